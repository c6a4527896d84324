//! Values with Carbon paths that an older system wrote: in a file of Carbon's lines or pickles, in an answer of graphite-web that was
//! kept, or in graphite-web itself. Of each path the newest value of the slot counts, as it does in Carbon.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::super::{CATALOG, Config};
use super::{BOM, SCOPES};
use crate::frame::{Older, Wanted};
use crate::model::{Datapoint, Measurement, Name, Point, RELAYED_PATH, SECOND, carbon_component};
use crate::os::http::Url;
use crate::sinks::graphite::read::GraphiteReader;
use crate::sinks::graphite::{carbon, render};
use crate::sources::agents::{Received, carbon_line, relayed};
use crate::text::size;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// How a file holds values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `path value time`, a line each.
    CarbonLines,
    /// Messages of Carbon's pickle protocol, each behind its length.
    Frames,
    /// One pickle of such a message, without its length.
    Pickle,
    /// An answer of graphite-web's render API.
    Render,
}

impl Form {
    /// Returns how a file that begins with these bytes holds values; `None` if it seems to hold none.
    pub fn of(head: &[u8]) -> Option<Self> {
        // Of protocol 2 and later a pickle begins with 0x80; of protocol 1 with an empty list that is remembered, of protocol 0 with the
        // mark of one. A list may be a tuple.
        let begins: [&[u8]; 4] = [&[0x80], b"]q", b"(lp", b"(("];
        let is_pickle = |bytes: &[u8]| begins.iter().any(|begin| bytes.starts_with(begin));
        if is_pickle(head) {
            return Some(Self::Pickle);
        }
        if head.first() == Some(&0) && head.get(4..).is_some_and(is_pickle) {
            return Some(Self::Frames);
        }
        let text = String::from_utf8_lossy(head.strip_prefix(BOM).unwrap_or(head));
        if text.trim_start().starts_with('[') {
            return Some(Self::Render);
        }
        // A damaged line, or a None of Python's, is told as such where most lines are Carbon's.
        let is_number = |word: &str| word.parse::<f64>().is_ok();
        let is_carbons = |line: &&str| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            matches!(words.as_slice(), [_, value, time] if is_number(value) && is_number(time))
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let (carbons, others): (Vec<_>, Vec<_>) = lines.partition(is_carbons);
        let of_influx = others.iter().filter(|line| line.contains('='));
        (carbons.len() > of_influx.count()).then_some(Self::CarbonLines)
    }
}

/// Says what a file is that begins with these bytes and cannot be read; `None` if it may be.
pub fn unreadable(head: &[u8]) -> Option<&'static str> {
    if head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start().starts_with(b"{") {
        return Some("is a JSON object, and Graphite's answer is a list");
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some("is a text in UTF-16: write it in UTF-8");
    }
    head.starts_with(b"\x1f\x8b").then_some("is compressed: gunzip it first")
}

/// Reads a file.
pub fn of_file(path: &Path, form: Form, wanted: Wanted) -> Result<Older> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LONGEST, "is longer than {}", size(LONGEST));
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    let mut received = Received::default();
    match form {
        Form::CarbonLines => {
            let is_comment = |line: &&[u8]| line.starts_with(b"#");
            bytes =
                bytes.split(|byte| *byte == b'\n').filter(|line| !is_comment(line)).collect::<Vec<_>>().join(&b'\n');
            bytes.push(b'\n');
            carbon_line::parse(&bytes, wanted.now, &mut received);
        }
        Form::Render => {
            let series = render::parse(&bytes)?;
            let all = series.values().flat_map(|one| one.datapoints.iter().map(|at| (one.target.as_str(), at)));
            for (path, (value, time)) in all {
                let Some(value) = value else { continue };
                match relayed(path, *value, *time as f64) {
                    Ok(point) => received.points.push(point),
                    Err(why) => received.refused.add(|| why),
                }
            }
        }
        Form::Frames => pickles(&bytes, &mut received)?,
        Form::Pickle => {
            let length = u32::try_from(bytes.len()).context("is too long for a pickle")?;
            bytes.splice(..0, length.to_be_bytes());
            pickles(&bytes, &mut received)?;
        }
    }
    let mut older = chosen(received.points, wanted);
    older.notes = received.refused.notes();
    Ok(older)
}

/// Reads messages of Carbon's pickle protocol.
#[cfg(feature = "pickles")]
fn pickles(bytes: &[u8], received: &mut Received) -> Result<()> {
    use crate::sources::agents::carbon_pickle;
    let (mut rest, mut number) = (bytes, 1);
    while let Some((head, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*head) as usize;
        ensure!(behind.len() >= length, "ends within message {number}");
        let (message, others) = rest.split_at(4 + length);
        // Nobody knows when that was which a file calls now.
        carbon_pickle::parse(message, -1, received).map_err(|why| anyhow::anyhow!("message {number}: {why}"))?;
        (rest, number) = (others, number + 1);
    }
    ensure!(rest.is_empty(), "ends within the length of message {number}");
    Ok(())
}

/// This build has no decoder for pickles.
#[cfg(not(feature = "pickles"))]
fn pickles(_: &[u8], _: &mut Received) -> Result<()> {
    anyhow::bail!("this build reads no pickles: build it with the feature pickles");
}

/// Asks graphite-web.
pub fn of_graphite(config: &Config, mut url: Url, wanted: Wanted) -> Result<Older> {
    let path = url.path().trim_end_matches('/').trim_end_matches("/render").to_string();
    url.set_path(&path);
    let like = config.graphite.as_ref();
    // A login is for the server that the config names.
    let is_same = |like: &&render::Config| like.url.origin() == url.origin();
    let config = render::Config {
        login: like.filter(is_same).and_then(|like| like.login.clone()),
        timeout_seconds: like.map_or(20, |like| like.timeout_seconds),
        spelling: None,
        url,
    };
    let ours = values(wanted.ours);
    let known = |measurement: &'static Measurement, tag: &str| {
        let numbers = ours.iter().filter_map(|value| measurement.read_path(&value.path));
        let tags = numbers.flat_map(|number| number.tags).filter(|(name, _)| SCOPES.contains(name) && *name == tag);
        // A host whose dots are folders ends with a dot.
        let components = tags.map(|(_, value)| value.trim_end_matches('.').to_string());
        components.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let patterns = wanted.program.measurements.iter().map(|one| one.carbon_pattern(|tag| known(one, tag)));
    let targets = patterns.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let found = GraphiteReader::new(&config, CATALOG)?.values(&targets, wanted.window)?;
    let points = found
        .into_iter()
        .filter_map(|Datapoint { path, time, value }| relayed(&path, value.as_f64(), time as f64).ok());
    Ok(chosen(points.collect(), wanted))
}

/// Returns the values of our points.
fn values(points: &[Point]) -> Vec<Datapoint> {
    carbon::datapoints(points, CATALOG).0
}

/// Chooses the values of the slot, of each path the newest, and puts them and ours at one time.
fn chosen(theirs: Vec<Point>, wanted: Wanted) -> Older {
    let ours = values(wanted.ours);
    let of_ours = Scope::of(ours.iter().map(|value| value.path.as_str()));
    let mut older = Older::default();
    let mut newest = BTreeMap::<String, Point>::new();
    for point in theirs {
        let Some(path) = point.tag(RELAYED_PATH) else { continue };
        if !wanted.window.contains(point.time()) || !of_ours.has(path, wanted) {
            older.others += 1;
            continue;
        }
        match newest.get(path) {
            Some(known) if known.time() > point.time() => {}
            _ => drop(newest.insert(path.to_string(), point)),
        }
    }
    let slot = ours.first().map_or(wanted.window.from / SECOND, |value| value.time);
    let at_slot = |point: &Point| {
        let fields: Vec<_> = point.fields().map(|(name, value)| (Name::from(name.to_string()), value)).collect();
        point.at(slot.saturating_mul(SECOND), fields)
    };
    older.points = newest.values().map(at_slot).collect();
    let ours = ours.iter().filter_map(|value| relayed(&value.path, value.value.as_f64(), slot as f64).ok());
    older.ours = Some(ours.collect());
    older
}

/// Whose numbers our paths are.
struct Scope {
    /// The values of the tags in [`SCOPES`].
    tags: BTreeSet<(&'static str, String)>,
    /// The first two components of the paths.
    begins: BTreeSet<String>,
}

impl Scope {
    fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut scope = Self { tags: BTreeSet::new(), begins: BTreeSet::new() };
        for path in paths {
            let number = CATALOG.read_path(path);
            let tags = number.into_iter().flat_map(|number| number.tags);
            scope.tags.extend(tags.filter(|(name, _)| SCOPES.contains(name)));
            scope.begins.insert(begin(path));
        }
        scope
    }

    /// Whether a path is of the program, and of a grid, host, hub or cluster of which we have numbers.
    fn has(&self, path: &str, wanted: Wanted) -> bool {
        let own = wanted.program.measurements.iter().find_map(|measurement| measurement.read_path(path));
        // Carbon may hold the numbers of many programs. One that no measurement has is the older system's if it stands beside ours.
        let Some(number) = own else { return self.begins.contains(&begin(path)) };
        number.tags.iter().filter(|(name, _)| SCOPES.contains(name)).all(|tag| {
            let knows_none = self.tags.iter().all(|(name, _)| *name != tag.0);
            knows_none || self.tags.contains(tag)
        })
    }
}

/// Returns the first two components of a path.
fn begin(path: &str) -> String {
    path.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Returns a value of a file in rrdtool's format, or another that has no Carbon path of its own, as one with a path.
pub fn named(names: &[&str], value: f64, slot: i64) -> Option<Point> {
    let path: Vec<_> = names.iter().map(|name| carbon_component(name)).collect();
    let path = path.join(".");
    relayed(&path, value, slot as f64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        for (head, form) in [
            (&b"\0\0\x19\x2e]q\0((U grids"[..], Some(Form::Frames)),
            (b"\0\0\0\x10\x80\x02]q\0", Some(Form::Frames)),
            (b"\x80\x04\x95", Some(Form::Pickle)),
            (b"]q\0((U", Some(Form::Pickle)),
            (b"]q\x01((U", Some(Form::Pickle)),
            (b"(lp0\n(S'a.b'\np1\n", Some(Form::Pickle)),
            (b"((S'a.b'\np1\n", Some(Form::Pickle)),
            (b"\0\0\0\x10(lp0\n", Some(Form::Frames)),
            (b" [{\"target\": \"a\"}]", Some(Form::Render)),
            (b"# wire\na.b 1.5 1717245000\n", Some(Form::CarbonLines)),
            (b"a.b -1e3 1717245000.5", Some(Form::CarbonLines)),
            (b"a.b None 1717245000\na.b 1 1717245000\n", Some(Form::CarbonLines)),
            (b"\xef\xbb\xbfa.b 1 1717245000\n", Some(Form::CarbonLines)),
            (b"jobs,a=b x=1i 1717245000", None),
            (b"", None),
            (b"<html>", None),
        ] {
            assert_eq!(Form::of(head), form, "{}", String::from_utf8_lossy(head));
            assert_eq!(unreadable(head), None, "{}", String::from_utf8_lossy(head));
        }
        for (head, what) in
            [(&b" {\"target\": 1}"[..], "JSON object"), (b"\xff\xfea\0", "UTF-16"), (b"\x1f\x8b\x08", "gunzip")]
        {
            assert!(unreadable(head).is_some_and(|why| why.contains(what)), "{what}");
        }
    }
}
