//! Patterns: which path is a backup, of which set, and when it was made by its name.
//!
//! A template has tokens of strptime, `{set}`, and `*` for anything within a name. `regex:` before a regular expression
//! with named groups is the escape. Both match a whole path below the root.

use anyhow::{Context, Result, ensure};
use jiff::civil::{Date, DateTime, Time};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::template::{Piece, Places, pieces};

/// A pattern of backups.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Where the groups lie in a path that matches; `None` if only the expression can tell.
    places: Option<Places>,
    /// The group of the set's name.
    set: Option<usize>,
    tokens: Vec<(usize, Token)>,
    /// Whether a backup is a folder with all that lies in it.
    pub is_folder: bool,
    /// Whether the pattern says that its times are UTC.
    pub is_utc: bool,
    /// The folders that the pattern begins with, each with its `/`; empty for the root, and for a regular expression.
    folder: String,
    /// Whether `{set}/` comes next: each set has a folder of its own.
    is_apart: bool,
}

/// A number or word of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour,
    HalfHour,
    AmPm,
    Minute,
    Second,
    Epoch,
    Offset,
    /// Read past: a weekday, a fraction.
    Other,
}

/// When a backup was made, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// The name tells no time.
    None,
    /// A day alone.
    Day(Date),
    /// A time in some zone.
    Local(DateTime),
    /// An instant, in unix seconds.
    Instant(i64),
}

/// What a pattern takes for one path.
pub type Scratch = CaptureLocations;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Fails if it is none: an unknown token, two `{set}`, half a date, or a wrong regular expression.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        let (body, is_folder) = match text.strip_suffix('/') {
            Some(body) => (body, true),
            None => (text, false),
        };
        if let Some(expression) = body.strip_prefix("regex:") {
            return Self::of_regex(expression.trim(), is_folder);
        }
        ensure!(!body.is_empty() && !body.starts_with('/'), "is not a path below the root");
        let pieces = pieces(body)?;
        let expression: String = pieces.iter().map(Piece::expression).collect();
        let names: Vec<_> = pieces.iter().filter_map(Piece::name).collect();
        let is_utc = pieces.windows(2).any(|two| matches!(two, [Piece::Part(..), Piece::Text('Z')]));
        let literal = &body[..body.find(['%', '*', '{']).unwrap_or(body.len())];
        let folder = &literal[..literal.rfind('/').map_or(0, |at| at + 1)];
        let is_apart = body[folder.len()..].starts_with("{set}/");
        let pattern = Self::with(&expression, &names, is_folder)?;
        Ok(Self {
            is_utc: is_utc || pattern.is_utc,
            folder: folder.into(),
            is_apart,
            places: Places::of(&pieces),
            ..pattern
        })
    }

    fn of_regex(expression: &str, is_folder: bool) -> Result<Self> {
        let regex = compiled(expression)?;
        let names: Vec<_> = regex.capture_names().skip(1).map(|name| name.unwrap_or("_")).collect();
        let pattern = Self::with(expression, &names, is_folder)?;
        Ok(Self { is_utc: pattern.is_utc || has_zulu(expression), ..pattern })
    }

    fn with(expression: &str, names: &[&str], is_folder: bool) -> Result<Self> {
        let regex = compiled(expression)?;
        let set = names.iter().position(|name| *name == "set").map(|at| at + 1);
        let mut tokens = Vec::new();
        for (at, name) in names.iter().enumerate().filter(|(_, name)| !matches!(**name, "set" | "_")) {
            let token = token(name).with_context(|| format!("has a group {name:?} that is no token of a time"))?;
            tokens.push((at + 1, token));
        }
        let has = |token| tokens.iter().any(|(_, one)| *one == token);
        let year = has(Token::Year) || has(Token::ShortYear);
        let month = has(Token::Month) || has(Token::MonthName);
        let is_day = year && (has(Token::DayOfYear) || month && has(Token::Day));
        let is_any = tokens.iter().any(|(_, token)| !matches!(token, Token::Other));
        ensure!(!is_any || is_day || has(Token::Epoch), "has a part of a date, and no whole one: year, month and day");
        let is_utc = has(Token::Epoch);
        Ok(Self { regex, places: None, set, tokens, is_folder, is_utc, folder: String::new(), is_apart: false })
    }

    /// Whether the pattern tells sets apart.
    pub fn names_sets(&self) -> bool {
        self.set.is_some()
    }

    /// Returns the folder that all backups of a set lie in; `None` if a set has none of its own.
    pub fn folder_of(&self, set: &[u8]) -> Option<Vec<u8>> {
        self.is_apart.then(|| [self.folder.as_bytes(), set].concat())
    }

    /// Returns the folder that the backups of all sets lie in, as far as the pattern says it; empty for the root.
    pub fn folder(&self) -> &[u8] {
        self.folder.trim_end_matches('/').as_bytes()
    }

    /// Makes room for [`Pattern::read`].
    pub fn scratch(&self) -> Scratch {
        self.regex.capture_locations()
    }

    /// Returns the set of a path, empty if the pattern does not tell sets apart, and its stamp; `None` if the path is not
    /// that of a backup.
    pub fn read<'a>(&self, path: &'a [u8], scratch: &mut Scratch) -> Option<(&'a [u8], Stamp)> {
        // Whether a path matches costs a tenth of where its groups lie.
        let set_end = match &self.places {
            Some(places) => self.regex.is_match(path).then(|| places.set_end(path))?,
            None => self.regex.captures_read(scratch, path).map(|_| 0)?,
        };
        let group = |at: usize| match &self.places {
            Some(places) => path.get(places.group(at, set_end)?),
            None => scratch.get(at).map(|(begin, end)| &path[begin..end]),
        };
        let set = match self.set {
            Some(at) => group(at)?,
            None => b"",
        };
        let mut parts = Parts::default();
        for (at, token) in &self.tokens {
            if let Some(text) = group(*at) {
                parts.take(*token, text)?;
            }
        }
        Some((set, parts.stamp()?))
    }
}

/// Whether a `Z` stands right behind a group of a time.
fn has_zulu(expression: &str) -> bool {
    let (mut open, mut is_escaped, mut is_class) = (Vec::new(), false, false);
    for (at, c) in expression.char_indices() {
        let rest = &expression[at + c.len_utf8()..];
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ']' => is_class = false,
            _ if is_class => {}
            '[' => is_class = true,
            '(' => {
                let name = rest.strip_prefix("?P<").or(rest.strip_prefix("?<")).and_then(|rest| rest.split_once('>'));
                open.push(name.is_some_and(|(name, _)| token(name).is_some()));
            }
            ')' if open.pop() == Some(true) && rest.starts_with('Z') => return true,
            _ => {}
        }
    }
    false
}

/// Compiles an expression over a whole path. Bytes, since names are bytes.
fn compiled(expression: &str) -> Result<Regex> {
    let regex = RegexBuilder::new(&format!("^(?:{expression})$")).unicode(false).dot_matches_new_line(true).build();
    regex.map_err(|error| anyhow::anyhow!("is no regular expression: {}", error.to_string().replace('\n', " ")))
}

fn token(name: &str) -> Option<Token> {
    Some(match name {
        "Y" => Token::Year,
        "y" => Token::ShortYear,
        "m" => Token::Month,
        "b" | "B" | "h" => Token::MonthName,
        "d" | "e" => Token::Day,
        "j" => Token::DayOfYear,
        "H" => Token::Hour,
        "I" => Token::HalfHour,
        "p" => Token::AmPm,
        "M" => Token::Minute,
        "S" => Token::Second,
        "s" => Token::Epoch,
        "z" => Token::Offset,
        "a" | "A" | "f" => Token::Other,
        _ => return None,
    })
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The parts of a stamp, as far as they were read.
#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: Option<i8>,
    half: Option<i8>,
    is_pm: bool,
    minute: Option<i8>,
    second: Option<i8>,
    epoch: Option<i64>,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

/// Sets a part. Two that differ are no stamp.
fn agree<T: PartialEq + Copy>(part: &mut Option<T>, value: T) -> Option<()> {
    let agrees = part.is_none_or(|before| before == value);
    *part = Some(value);
    agrees.then_some(())
}

impl Parts {
    fn take(&mut self, token: Token, text: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(text).ok()?.trim();
        match token {
            Token::Year => agree(&mut self.year, text.parse().ok()?),
            // As strptime reads it: 69 to 99 are of the last century.
            Token::ShortYear => {
                let year: i16 = text.parse().ok()?;
                agree(&mut self.year, if year < 69 { 2000 + year } else { 1900 + year })
            }
            Token::Month => agree(&mut self.month, text.parse().ok()?),
            Token::MonthName => {
                let name = text.get(..3)?.to_ascii_lowercase();
                agree(&mut self.month, MONTHS.iter().position(|month| *month == name)? as i8 + 1)
            }
            Token::Day => agree(&mut self.day, text.parse().ok()?),
            Token::DayOfYear => agree(&mut self.day_of_year, text.parse().ok()?),
            Token::Hour => agree(&mut self.hour, text.parse().ok()?),
            Token::HalfHour => agree(&mut self.half, text.parse().ok().filter(|hour| (1..=12).contains(hour))?),
            Token::AmPm => {
                self.is_pm = text.eq_ignore_ascii_case("pm");
                Some(())
            }
            Token::Minute => agree(&mut self.minute, text.parse().ok()?),
            Token::Second => {
                agree(&mut self.second, text.parse::<i8>().ok().map(|second| if second == 60 { 59 } else { second })?)
            }
            Token::Epoch => agree(
                &mut self.epoch,
                text.parse::<i64>().ok().filter(|seconds| jiff::Timestamp::from_second(*seconds).is_ok())?,
            ),
            Token::Offset => agree(&mut self.offset, offset(text)?),
            Token::Other => Some(()),
        }
    }

    /// Returns the stamp; `None` if it is no time.
    fn stamp(&self) -> Option<Stamp> {
        if let Some(seconds) = self.epoch {
            return Some(Stamp::Instant(seconds));
        }
        let Some(year) = self.year else { return Some(Stamp::None) };
        let date = match (self.month, self.day, self.day_of_year) {
            (Some(month), Some(day), _) => Date::new(year, month, day).ok()?,
            (_, _, Some(day)) => {
                let date = Date::new(year, 1, 1).ok()?.checked_add(jiff::Span::new().days(i64::from(day) - 1)).ok()?;
                (day > 0 && date.year() == year).then_some(date)?
            }
            _ => return None,
        };
        let half = self.half.map(|hour| hour % 12 + if self.is_pm { 12 } else { 0 });
        let Some(hour) = self.hour.or(half) else { return Some(Stamp::Day(date)) };
        let time = Time::new(hour, self.minute.unwrap_or(0), self.second.unwrap_or(0), 0).ok()?;
        let local = date.to_datetime(time);
        Some(match self.offset {
            Some(offset) => Stamp::Instant(super::zone::as_utc(local) - offset),
            None => Stamp::Local(local),
        })
    }
}

fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let digits: String = text[1..].chars().filter(char::is_ascii_digit).collect();
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    let seconds = hours * 3600 + minutes * 60;
    (hours < 24 && minutes < 60).then_some(if text.starts_with('-') { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pattern: &str, path: &str) -> Option<(String, String)> {
        let pattern = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error:#}"));
        let (set, stamp) = pattern.read(path.as_bytes(), &mut pattern.scratch())?;
        let stamp = match stamp {
            Stamp::None => "none".into(),
            Stamp::Day(date) => date.to_string(),
            Stamp::Local(time) => time.to_string(),
            Stamp::Instant(seconds) => seconds.to_string(),
        };
        Some((String::from_utf8_lossy(set).into_owned(), stamp))
    }

    /// Every row of the table of other tools.
    #[test]
    fn the_names_of_other_tools_are_read() {
        let scm = "{set}/%Y/%m/%d/%H%M%S/*.tar.gz";
        for (pattern, path, set, stamp) in [
            (scm, "svn/dybsvn/2012/11/13/104702/dybsvn-18921.tar.gz", "svn/dybsvn", "2012-11-13T10:47:02"),
            (scm, "svn/2026/2026/03/28/104702/2026.tar.gz", "svn/2026", "2026-03-28T10:47:02"),
            ("{set}-%Y%m%d.sql.gz", "a-b-20260328.sql.gz", "a-b", "2026-03-28"),
            ("{set}_%Y-%m-%d_%H%M.tar.gz", "etc_2026-03-28_0230.tar.gz", "etc", "2026-03-28T02:30:00"),
            (
                "daily/{set}/*_%Y-%m-%d_%Hh%Mm.*.sql.gz",
                "daily/wiki/wiki_2026-03-28_06h25m.Saturday.sql.gz",
                "wiki",
                "2026-03-28T06:25:00",
            ),
            ("%s_%Y_%m_%d_*_gitlab_backup.tar", "1774678022_2026_03_28_16.9.1_gitlab_backup.tar", "", "1774678022"),
            (
                "vzdump-{set}-%Y_%m_%d-%H_%M_%S.*",
                "vzdump-qemu-101-2026_03_28-01_00_03.vma.zst",
                "qemu-101",
                "2026-03-28T01:00:03",
            ),
            ("vm/{set}/%Y-%m-%dT%H:%M:%SZ/", "vm/101/2026-03-28T01:00:03Z", "101", "2026-03-28T01:00:03"),
            (
                "duplicity-full.%Y%m%dT%H%M%SZ.manifest.gpg",
                "duplicity-full.20260328T010003Z.manifest.gpg",
                "",
                "2026-03-28T01:00:03",
            ),
            ("{set}-%Y%m%dT%H%M%SZ.dlist.zip*", "home-20260328T010003Z.dlist.zip.aes", "home", "2026-03-28T01:00:03"),
            ("backup/{set}/%Y%m%d-%H%M%SF/", "backup/main/20260328-010003F", "main", "2026-03-28T01:00:03"),
            ("base/%Y%m%dT%H%M%S/", "base/20260328T010003", "", "2026-03-28T01:00:03"),
            ("{set}.%Y%m%dT%H%M", "home.20260328T0100", "home", "2026-03-28T01:00:00"),
            (
                "{set}@autosnap_%Y-%m-%d_%H:%M:%S_daily",
                "tank@autosnap_2026-03-28_00:00:07_daily",
                "tank",
                "2026-03-28T00:00:07",
            ),
            ("%Y-%m-%d_%H-%M-%S/", "2026-03-28_01-00-03", "", "2026-03-28T01:00:03"),
            ("snapshots/*", "snapshots/4f1e", "", "none"),
            ("{set}/index.*", "a/b/index.12", "a/b", "none"),
            ("daily.*/", "daily.0", "", "none"),
            ("{set}-*.tgz", "my-db-Mon.tgz", "my-db", "none"),
            ("{set}-%d%b%y.tgz", "db-28Mar26.tgz", "db", "2026-03-28"),
            ("{set}.%F_%T%z.gz", "db.2026-03-28_01:00:03+0800.gz", "db", "1774630803"),
            ("{set}-%Y%j-%I%p.gz", "db-2026087-11PM.gz", "db", "2026-03-28T23:00:00"),
            (r"regex: (?P<set>[a-z]+)\.(?P<Y>\d{4})w(?P<m>\d\d)(?P<d>\d\d)", "db.2026w0328", "db", "2026-03-28"),
        ] {
            assert_eq!(read(pattern, path), Some((set.into(), stamp.into())), "{pattern} {path}");
        }
        assert!(Pattern::new("vm/{set}/%Y-%m-%dT%H:%M:%SZ/").unwrap().is_utc);
        assert!(!Pattern::new(scm).unwrap().is_utc);
        let day = r"(?P<set>\w+)-(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)";
        for (expression, is_utc) in [
            (format!("regex: {day}T(?P<H>[(]?\\d\\d)Z"), true),
            (format!("regex: {day}T(?<H>\\d\\d)Z\\.gz"), true),
            (format!("regex: {day}T(?P<H>\\d\\d)\\.Z"), false),
            (format!("regex: {day}(?:x)Z"), false),
            ("%s_*.tar".into(), true),
        ] {
            assert_eq!(Pattern::new(&expression).unwrap().is_utc, is_utc, "{expression}");
        }
        assert_eq!(read("%s.gz", "9223372036854775807.gz"), None, "no calendar goes so far");
        assert_eq!(Pattern::new("vm/{set}/x").unwrap().folder_of(b"101").unwrap(), b"vm/101");
        assert_eq!(Pattern::new("{set}-%Y%m%d.gz").unwrap().folder_of(b"a"), None);
        for (pattern, folder) in [
            ("vm/{set}/x", "vm"),
            ("{set}-%Y%m%d.gz", ""),
            ("dumps/all/{set}-%Y%m%d.gz", "dumps/all"),
            ("dumps/x-{set}/y", "dumps"),
            ("daily/*/{set}", "daily"),
            ("a/b%%/{set}/x", "a"),
            ("a/b.gz", "a"),
            ("regex:dumps/(?P<set>.+)", ""),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().folder(), folder.as_bytes(), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_backup_or_no_date_is_left_out() {
        let scm = "{set}/%Y/%m/%d/%H%M%S/*.tar.gz";
        for path in [
            "stray.tar.gz",
            "svn/x/2026/03/28/104702/notes.gz",
            "svn/x/2026/03/28/104702/x.tar.gz.part",
            "svn/x/2026/03/28/104702/.x.tar.gz.Xa81Qz",
            "svn/x/2026/03/28/104702/x.tar.gz.dna",
            "svn/x/2026/02/30/104702/x.tar.gz",
            "svn/x/2026/3/28/1047/x.tar.gz",
            "svn/x/2026/13/01/000000/x.tar.gz",
            "svn/x/0000/00/00/000000/x.tar.gz",
            "svn/x/2026/03/28/256199/x.tar.gz",
            "svn/x/2026/03/28/104702/deeper/x.tar.gz",
        ] {
            assert_eq!(read(scm, path), None, "{path}");
        }
        assert_eq!(read("%Y/{set}-%Y%m%d.gz", "2025/a-20260328.gz"), None, "the two years differ");
        assert!(read("{set}.tar.gz", "new\nline/a.tar.gz").is_some());
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (pattern, why) in [
            ("{set}/{set}", "has {set} twice"),
            ("{name}.gz", "has a { that is not of {set}"),
            ("{set}-%Y.gz", "has a part of a date"),
            ("{set}-%Q.gz", "has %Q"),
            ("{set}%", "ends with %"),
            ("/x/*", "is not a path below the root"),
            ("", "is not a path below the root"),
            ("regex: (", "is no regular expression"),
            ("regex: (?P<name>x)", "has a group \"name\""),
        ] {
            let error = Pattern::new(pattern).map(|_| ()).unwrap_err();
            assert!(format!("{error:#}").starts_with(why), "{pattern}: {error:#}");
        }
    }

    proptest! {
        /// The places of the groups are those that the expression finds.
        #[test]
        fn places_are_where_the_expression_finds_the_groups(
            // A set with a whole date behind it, and any pieces around them.
            around in prop::collection::vec(prop::collection::vec(0..SAMPLES.len(), 0..4), 3),
            date in 5..8usize,
            texts in prop::collection::vec(0..3usize, 12),
            spoiled in prop::option::of((0..12usize, "[a/1-]{1,3}")),
        ) {
            let [head, middle, tail] = around.as_slice() else { unreachable!() };
            let pieces: Vec<_> = [head, &vec![0], middle, &vec![date], tail].into_iter().flatten().copied().collect();
            let template: String = pieces.iter().map(|at| SAMPLES[*at].0).collect();
            let Ok(pattern) = Pattern::new(&template) else { return Ok(()) };
            let plain = Pattern { places: None, ..pattern.clone() };
            let scratch = &mut pattern.scratch();
            // A path that fits, with a word somewhere that may spoil it.
            let mut path = String::new();
            for (at, (piece, text)) in pieces.iter().zip(&texts).enumerate() {
                path += SAMPLES[*piece].1[*text];
                path += spoiled.as_ref().filter(|(place, _)| *place == at).map_or("", |(_, word)| word);
            }
            for path in [path.as_str(), &path.replacen('1', "/", 1), &format!("{path}/x")] {
                let found = pattern.read(path.as_bytes(), scratch);
                prop_assert_eq!(found, plain.read(path.as_bytes(), scratch), "{} {}", template, path);
            }
        }
    }

    /// Pieces of templates, each with texts that it fits.
    const SAMPLES: [(&str, [&str; 3]); 14] = [
        ("{set}", ["a", "a/b-1", "12/2026/1"]),
        ("*", ["", "x1", "a-20"]),
        ("/", ["/"; 3]),
        ("-", ["-"; 3]),
        ("1", ["1"; 3]),
        ("%Y-%m-%d", ["2026-03-28", "2024-12-31", "2026-01-01"]),
        ("%Y%m%d", ["20260328", "20241231", "20260101"]),
        ("/%Y/%m/%d/", ["/2026/03/28/", "/2024/12/31/", "/2026/01/01/"]),
        ("%D", ["03/28/26", "12/31/24", "01/01/26"]),
        ("%H%M", ["0130", "2359", "0000"]),
        ("T%T", ["T01:30:00", "T23:59:59", "T00:00:00"]),
        ("%s", ["1774678022", "1", "17746"]),
        ("%Y-%b-%d", ["2026-Mar-28", "2024-December-31", "2026-Jan-01"]),
        ("%z", ["+0100", "Z", "-08:00"]),
    ];
}
