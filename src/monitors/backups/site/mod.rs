//! The report: a folder of files for any web server, without a script. A page of all hubs, and for each hub a page, as HTML and as
//! RST, its tables as JSON, and for each node the JSON of its plots and a plot of each set.
//!
//! ```text
//! index.html index.rst index.json              all hubs
//! ZZ/index.html ZZ/index.rst                   one hub
//! ZZ/nodes.json ZZ/sets.json                   its tables
//! ZZ/plots~SDU.json ZZ/SDU~svn,dybsvn.svg      of one node
//! ```

mod html;
mod plot;
mod rst;
mod tables;

use super::memory::{Memory, NodeMemory};
use super::report::{SetRow, node_verdict, sets};
use super::verdict::Verdict;
use crate::text::lasting_hash;

pub use self::plot::svg;

/// The times and bytes of a set's backups, oldest first.
pub type Sizes = [(i64, u64)];

/// What is shown of a hub.
#[derive(Clone, Debug)]
pub struct HubFacts<'a> {
    /// Its name.
    pub hub: &'a str,
    /// Where its report can be seen.
    pub url: Option<&'a str>,
    /// Its nodes, in the order of the config.
    pub nodes: Vec<NodeFacts<'a>>,
}

/// What is shown of a node of a hub.
#[derive(Clone, Debug)]
pub struct NodeFacts<'a> {
    /// Its name.
    pub node: &'a str,
    /// What is said of the node itself; `None` if it was never asked.
    pub verdict: Option<Verdict>,
    /// What is known of it.
    pub memory: &'a NodeMemory,
    /// Its sets, the worst first.
    pub sets: Vec<SetRow<'a>>,
}

/// How a node or hub is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// It was never asked.
    Unknown,
    /// There is a warning.
    Warning,
    /// There is an alarm.
    Alarm,
}

impl Status {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
        }
    }

    /// Returns what a verdict is.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Self::Ok,
            verdict if verdict.is_alarm() => Self::Alarm,
            _ => Self::Warning,
        }
    }
}

impl<'a> HubFacts<'a> {
    /// Returns what is known of a hub and of these nodes of it.
    pub fn new(hub: &'a str, url: Option<&'a str>, nodes: &'a [String], memory: &'a Memory) -> Self {
        let known = memory.hubs.get(hub);
        static NOTHING: NodeMemory = NodeMemory::NOTHING;
        let facts = |node: &'a String| {
            let memory = known.and_then(|nodes| nodes.get(node)).unwrap_or(&NOTHING);
            NodeFacts { node, verdict: memory.seen.as_ref().map(node_verdict), memory, sets: sets([(node, memory)]) }
        };
        Self { hub, url, nodes: nodes.iter().map(facts).collect() }
    }

    /// Returns how it is: as its worst node.
    pub fn status(&self) -> Status {
        self.nodes.iter().map(NodeFacts::status).max().unwrap_or(Status::Unknown)
    }

    /// Returns when a node was last asked, in unix seconds.
    pub fn asked(&self) -> Option<i64> {
        self.nodes.iter().filter_map(|node| Some(node.memory.seen.as_ref()?.asked)).max()
    }

    /// Returns how many sets are well, warned of, and in alarm.
    pub fn counts(&self) -> [usize; 3] {
        let add = |sum: [usize; 3], of: [usize; 3]| [sum[0] + of[0], sum[1] + of[1], sum[2] + of[2]];
        self.nodes.iter().map(NodeFacts::counts).fold([0; 3], add)
    }
}

impl NodeFacts<'_> {
    /// Returns how it is: as its worst set, or the node itself.
    pub fn status(&self) -> Status {
        let own = self.verdict.map_or(Status::Unknown, Status::of);
        self.sets.iter().map(|row| Status::of(row.seen.verdict)).fold(own, Status::max)
    }

    /// Returns how many sets are well, warned of, and in alarm, by what the last run that read the node saw.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for row in &self.sets {
            counts[match Status::of(row.seen.verdict) {
                Status::Ok | Status::Unknown => 0,
                Status::Warning => 1,
                Status::Alarm => 2,
            }] += 1;
        }
        counts
    }

    /// Returns what is said of the node itself.
    pub fn texts(&self) -> Vec<&str> {
        let Some(seen) = &self.memory.seen else { return vec!["it has not been asked yet"] };
        let unread = seen.unreachable.iter().map(String::as_str);
        unread.chain(seen.notes.iter().map(|(_, text)| text.as_str())).collect()
    }
}

/// Returns the files of all hubs, by path. `now` is in unix seconds.
pub fn index(hubs: &[HubFacts], now: i64) -> [(String, String); 3] {
    [
        ("index.json".into(), tables::hubs(hubs)),
        ("index.rst".into(), rst::index(hubs, now)),
        ("index.html".into(), html::index(hubs, now)),
    ]
}

/// The names of the files of a hub, in its folder.
pub const PAGES: [&str; 4] = ["nodes.json", "sets.json", "index.rst", "index.html"];

/// Returns the files of one hub, by path; what the page shows is not among them. `now` is in unix seconds.
pub fn hub(facts: &HubFacts, now: i64) -> [(String, String); 4] {
    let folder = file_name(facts.hub);
    let [nodes, sets, rst, html] = PAGES.map(|name| format!("{folder}/{name}"));
    [
        (nodes, tables::nodes(facts)),
        (sets, tables::sets(facts, now)),
        (rst, rst::hub(facts, now)),
        (html, html::hub(facts, now)),
    ]
}

/// Returns the name of the file with a set's plot, in the folder of its hub.
pub fn plot_name(node: &str, set: &str) -> String {
    format!("{}~{}.svg", file_name(node), file_name(set))
}

/// Returns the name of the file with the JSON of a node's plots, in the folder of its hub.
pub fn chart_name(node: &str) -> String {
    format!("plots~{}.json", file_name(node))
}

/// The most bytes of a part of a file's name; the whole may have 255.
const LONGEST: usize = 100;

/// Returns a name of a file for a name from outside: letters, digits and `- _ . : @` stay, `/` becomes a comma, all else `=XX`.
/// Two names never have one file. It has no `~`, needs no quotes in an address, and is never hidden or `..`.
pub fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        match byte {
            b'/' => file.push(','),
            b'.' if file.is_empty() => file.push_str("=2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b'@' => file.push(byte.into()),
            _ => file.push_str(&format!("={byte:02X}")),
        }
    }
    if file.is_empty() {
        file.push('=');
    }
    if file.len() > LONGEST {
        file.truncate(LONGEST - 18);
        file.push_str(&format!("=={:016x}", lasting_hash(name)));
    }
    file
}

#[cfg(test)]
mod tests;
