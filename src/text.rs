//! Text and tables for people.

use std::borrow::Cow;

/// Returns text from outside on one line, without characters that move a terminal's cursor.
pub fn one_line(text: &str) -> String {
    printable(text.trim())
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Quotes text from outside for an error message: on one line, at most 120 bytes of it.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 120;
    let text = text.trim();
    let cut = text.floor_char_boundary(LONGEST);
    format!("\"{}{}\"", printable(&text[..cut]), if cut < text.len() { "…" } else { "" })
}

/// Returns a name for a message, at most 240 bytes of it.
pub fn cut(name: &str) -> Cow<'_, str> {
    const LONGEST: usize = 240;
    match &name[..name.floor_char_boundary(LONGEST)] {
        begin if begin.len() < name.len() => Cow::Owned(format!("{begin}…")),
        _ => Cow::Borrowed(name),
    }
}

/// Returns a hash of a text (FNV-1a) that is the same in each version and on each machine: for names that must not change.
pub fn lasting_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Quotes the message of another program: on one line, at most 240 bytes of it, from the beginning and the end.
pub fn quote_ends(text: &str) -> String {
    const LONGEST: usize = 240;
    let text = text.trim();
    if text.len() <= LONGEST {
        return format!("\"{}\"", printable(text));
    }
    let begin = &text[..text.floor_char_boundary(LONGEST / 2)];
    let end = &text[text.ceil_char_boundary(text.len() - LONGEST / 2)..];
    format!("\"{} … {}\"", printable(begin), printable(end))
}

/// Formats a duration: `50 s`, `25 min`, `3 h 5 min`, `2 d 4 h`.
pub fn ago(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        i64::MIN..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Formats a count with its noun: `1 batch`, `3 batches`.
pub fn count(count: usize, what: &str) -> String {
    let plural = match count {
        1 => "",
        _ if what.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{count} {what}{plural}")
}

/// Formats a size: `812 B`, `24 kB`, `1.2 GB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            let digits = usize::from(unit != "B" && value < 9.95);
            return format!("{value:.digits$} {unit}");
        }
        value /= 1000.0;
    }
    if value < 999.95 { format!("{value:.1} TB") } else { format!("{:.1} PB", value / 1000.0) }
}

/// Formats a number for a table: whole ones and large ones without digits behind the point, with thin spaces from 10 000 on.
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 { spaced(&format!("{value:.0}")) } else { format!("{value:.2}") }
}

/// Puts thin spaces between the thousands of a whole number from 10 000 on.
pub fn spaced(digits: &str) -> String {
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    if digits.len() < 5 {
        return format!("{sign}{digits}").replace("-0", "0");
    }
    let each = digits.char_indices().flat_map(|(at, digit)| {
        let is_border = at > 0 && (digits.len() - at) % 3 == 0;
        is_border.then_some('\u{202f}').into_iter().chain([digit])
    });
    sign.chars().chain(each).collect()
}

/// How a value is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    /// As it is, without needless digits.
    Number,
    /// As tables show it: with thin spaces between its thousands.
    Plain,
    /// In units of 1000, with a prefix: `75.0 G`.
    Kilo,
    /// As a size, of gigabytes.
    Gigabytes,
    /// As the date and time of unix seconds, in UTC.
    Moment,
    /// As how long ago these unix seconds are, on a page; else as [`Moment`](Self::Moment).
    Age,
    /// In percent.
    Percent,
    /// With a unit, without needless digits: `97 %`, `66 °C`.
    Unit(&'static str),
    /// As a length of time.
    Seconds,
    /// As a size.
    Bytes,
    /// With a prefix where it is large: `20.5 M`.
    Large,
    /// By its name.
    Named(fn(i64) -> &'static str),
}

impl Shows {
    /// Returns how a number of this unit is shown where nothing else is declared.
    pub fn of_unit(unit: &str) -> Self {
        match unit {
            "bytes" | "bytes/s" | "bytes per second" => Self::Bytes,
            "gigabytes" => Self::Gigabytes,
            "kflops" => Self::Kilo,
            "unix seconds" => Self::Moment,
            _ => Self::Plain,
        }
    }

    /// Returns the text of a value.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Number if value.fract() == 0.0 => format!("{value}"),
            Self::Number => format!("{value:.2}"),
            Self::Plain => plain(value),
            Self::Kilo => large(value * 1e3),
            Self::Unit(unit) if value.abs() < 9.95 && value.fract() != 0.0 => format!("{value:.1} {unit}"),
            Self::Unit(unit) => format!("{} {unit}", spaced(&format!("{value:.0}"))),
            Self::Moment | Self::Age => {
                let time = jiff::Timestamp::from_second(value as i64).unwrap_or_default();
                time.strftime("%Y-%m-%d %H:%M").to_string()
            }
            Self::Gigabytes => size((value.max(0.0) * 1e9) as u64),
            Self::Percent => share(value),
            Self::Seconds => ago(value as i64),
            Self::Bytes => size(value.max(0.0) as u64),
            Self::Large => large(value),
            Self::Named(name) => name(value as i64).into(),
        }
    }
}

/// Returns a part of 1 in percent: `4.1 %`.
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// Returns a number with a prefix if it is large: `940`, `4.2 M`.
pub fn large(value: f64) -> String {
    let mut rest = value;
    for prefix in ["", "k", "M", "G", "T", "P"] {
        if rest.abs() < 999.5 {
            let digits =
                usize::from(!prefix.is_empty() && rest.abs() < 99.95 || prefix.is_empty() && rest.fract() != 0.0);
            let space = if prefix.is_empty() { "" } else { " " };
            return format!("{rest:.digits$}{space}{prefix}");
        }
        rest /= 1000.0;
    }
    format!("{value:.1e}")
}

/// A table whose columns are as wide as their cells need, with notes below the rows that they belong to.
pub struct Table {
    /// Whether each column is right-aligned.
    right: Vec<bool>,
    lines: Vec<Line>,
}

enum Line {
    Row(Vec<String>),
    Note(String),
}

impl Table {
    /// Creates a table with these heads. A column is right-aligned if its head begins with `<`.
    pub fn new(heads: &[&str]) -> Self {
        let right = heads.iter().map(|head| head.starts_with('<')).collect();
        let heads = heads.iter().map(|head| head.trim_start_matches('<').to_string()).collect();
        Self { right, lines: vec![Line::Row(heads)] }
    }

    /// Adds a row of one cell per head.
    pub fn row(&mut self, cells: &[String]) {
        self.lines.push(Line::Row(cells.to_vec()));
    }

    /// Adds a line below the last row.
    pub fn note(&mut self, text: String) {
        self.lines.push(Line::Note(text));
    }

    /// Returns the table, a line for each row and note, without trailing blanks.
    pub fn text(&self) -> String {
        let mut widths = vec![0; self.right.len()];
        for line in &self.lines {
            if let Line::Row(cells) = line {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(cell.chars().count());
                }
            }
        }
        let mut text = String::new();
        for line in &self.lines {
            let line = match line {
                Line::Note(note) => format!("  {note}"),
                Line::Row(cells) => {
                    let cells = cells.iter().zip(&self.right).zip(&widths).map(|((cell, right), width)| {
                        if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                    });
                    cells.collect::<Vec<_>>().join("  ")
                }
            };
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Returns bytes in base 64.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |three: &[u8]| {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or_default()));
        let digit = |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]);
        (0..4).map(|at| if at <= three.len() { digit(at) } else { '=' }).collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(four).collect()
}

/// Returns the bytes that a text in base 64 stands for, with or without its padding; `None` if it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let bits = four.iter().try_fold(0_u32, |bits, byte| Some(bits << 6 | u32::from(digit(*byte)?)))?;
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_thin_spaces_and_units_their_prefixes() {
        let shown = |unit: &str, value: f64| Shows::of_unit(unit).text(value).replace('\u{202f}', "_");
        for (unit, value, text) in [
            ("jobs", 0.0, "0"),
            ("jobs", -0.0, "0"),
            ("jobs", 9999.0, "9999"),
            ("jobs", 10_000.0, "10_000"),
            ("jobs", -1_234_567.0, "-1_234_567"),
            ("jobs", 1627.47, "1627"),
            ("jobs", 99.5, "99.50"),
            ("packets per second", 167_481.18, "167_481"),
            ("bytes", 2_147_483_648.0, "2.1 GB"),
            ("bytes per second", 1500.0, "1.5 kB"),
            ("gigabytes", 9_514_811.25, "9.5 PB"),
            ("kflops", 75_000_000.0, "75.0 G"),
            ("unix seconds", 1_717_245_000.5, "2024-06-01 12:30"),
        ] {
            assert_eq!(shown(unit, value), text, "{value} {unit}");
        }
        let with = |value: f64| Shows::Unit("%").text(value);
        assert_eq!([97.3, 4.16, 4.0, 0.04, -0.0].map(with), ["97 %", "4.2 %", "4 %", "0.0 %", "0 %"]);
        assert_eq!(spaced(&i64::MIN.to_string()).replace('\u{202f}', "_"), "-9_223_372_036_854_775_808");
    }

    #[test]
    fn base64_is_that_of_everybody() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{ff}~?>", "w79+Pz4=")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(from_base64(text.trim_end_matches('=')).as_deref(), Some(bytes.as_bytes()));
        }
        for none in ["Z", "Zg===", "Zm9vY", "Zm 9", "Zg=a", "ä"] {
            assert_eq!(from_base64(none), None, "{none}");
        }
    }
}
