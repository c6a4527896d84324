//! What the last run said of every set, for people: tables of hubs, nodes and sets.

use std::collections::BTreeSet;

use super::memory::{Memory, NodeMemory, SeenNode, SeenSet};
use super::verdict::Verdict;
use crate::model::utc;
use crate::text::{Table, ago, one_line, size};

/// One row of the sets' table.
#[derive(Clone, Copy, Debug)]
pub struct SetRow<'a> {
    /// The node.
    pub node: &'a str,
    /// The set.
    pub set: &'a str,
    /// What the last run that read the node saw.
    pub seen: &'a SeenSet,
}

/// Returns the rows of a hub's sets: the worst first, then by name and node.
pub fn sets<'a>(nodes: impl IntoIterator<Item = (&'a String, &'a NodeMemory)>) -> Vec<SetRow<'a>> {
    let of_node = |(node, memory): (&'a String, &'a NodeMemory)| {
        let sets = memory.sets.iter().filter_map(|(set, known)| Some((set, known.seen.as_ref()?)));
        sets.map(|(set, seen)| SetRow { node, set, seen }).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = nodes.into_iter().flat_map(of_node).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.seen.verdict), row.set, row.node));
    rows
}

/// Returns what a node is: well, or the worst that is said of the node itself.
pub fn node_verdict(seen: &SeenNode) -> Verdict {
    let worst = seen.notes.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Ok);
    if seen.unreachable.is_some() { Verdict::Unreachable } else { worst }
}

/// Returns the tables of a terminal, of one hub or of all; empty if nothing is known. `now` is in unix seconds.
pub fn text(memory: &Memory, hub: Option<&str>, now: i64) -> String {
    let mut texts = Vec::new();
    for (name, nodes) in memory.hubs.iter().filter(|(name, _)| hub.is_none_or(|hub| hub == *name)) {
        if nodes.values().all(|known| known.seen.is_none()) {
            continue;
        }
        let mut table = Table::new(&["node", "is", "asked", "<sets", "<alarms", "<clock", "<disk free"]);
        for (node, known) in nodes {
            let Some(seen) = &known.seen else { continue };
            let rows = sets([(node, known)]);
            let alarms = rows.iter().filter(|row| row.seen.verdict.is_alarm()).count();
            table.row(&[
                node.clone(),
                node_verdict(seen).word().into(),
                format!("{} ago", ago((now - seen.asked).max(0))),
                rows.len().to_string(),
                alarms.to_string(),
                seen.skew_seconds.map_or("-".into(), |skew| format!("{skew:+} s")),
                seen.disk.map_or("-".into(), |(all, free)| format!("{} of {}", size(free), size(all))),
            ]);
            let said = seen.notes.iter().map(|(_, text)| text).chain(&seen.unreachable);
            said.for_each(|text| table.note(one_line(text)));
        }
        let mut of_sets = Table::new(&["set", "node", "is", "newest", "<age", "<size", "<backups"]);
        for SetRow { node, set, seen } in sets(nodes) {
            of_sets.row(&[
                set.into(),
                node.into(),
                seen.verdict.word().into(),
                seen.newest.map_or("-".into(), utc),
                seen.newest.map_or("-".into(), |newest| ago(now - newest)),
                seen.bytes.map_or("-".into(), size),
                seen.backups.to_string(),
            ]);
            if !seen.text.is_empty() {
                of_sets.note(one_line(&seen.text));
            }
        }
        texts.push(format!("hub {name}\n\n{}\n{}", table.text(), of_sets.text()));
    }
    texts.join("\n")
}

/// How many alarms and warnings there are, and of how many sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The sets.
    pub sets: usize,
    /// The alarms, each as `HUB NODE SET VERDICT`; a node that was not read is one.
    pub alarms: Vec<String>,
    /// The warnings.
    pub warnings: Vec<String>,
    /// When a node was last asked, in unix seconds; `None` if none ever was.
    pub asked: Option<i64>,
}

/// Counts what is wrong, with one hub or with all.
pub fn tally(memory: &Memory, hub: Option<&str>) -> Tally {
    let mut tally = Tally::default();
    for (name, nodes) in memory.hubs.iter().filter(|(name, _)| hub.is_none_or(|hub| hub == *name)) {
        let seen = nodes.iter().filter_map(|(node, known)| Some((node, known.seen.as_ref()?)));
        for (node, seen) in seen.clone() {
            tally.asked = tally.asked.max(Some(seen.asked));
            tally.add(format!("{name} {node}"), node_verdict(seen));
        }
        let rows = sets(nodes);
        tally.sets += rows.len();
        // What is known of the sets of a node that was not read is part of its one alarm.
        let unread: BTreeSet<&str> =
            seen.filter(|(_, seen)| seen.unreachable.is_some()).map(|(node, _)| node.as_str()).collect();
        let read = rows.iter().filter(|row| !unread.contains(row.node));
        read.for_each(|row| tally.add(format!("{name} {} {}", row.node, row.set), row.seen.verdict));
    }
    tally
}

impl Tally {
    fn add(&mut self, of: String, verdict: Verdict) {
        let said = format!("{of} {}", verdict.word());
        match verdict {
            Verdict::Ok => {}
            verdict if verdict.is_alarm() => self.alarms.push(said),
            _ => self.warnings.push(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitors::backups::alarms::Episode;
    use crate::monitors::backups::hub::Hub;
    use crate::monitors::backups::memory::SetMemory;

    const NOW: i64 = 1_774_850_400;

    /// A node whose sets `x` and `y` are old, and said to be.
    fn known() -> NodeMemory {
        let text = "the newest is 3 d old".to_string();
        let seen =
            SeenSet { read: NOW, verdict: Verdict::Old, text, newest: Some(NOW - 260_000), bytes: Some(7), backups: 1 };
        let episode = Episode { since: NOW, said: NOW, verdicts: vec![Verdict::Old], ..Episode::default() };
        let newest = seen.newest;
        let set = SetMemory { newest, seen: Some(seen), episode: Some(Box::new(episode)), ..SetMemory::default() };
        let mut node = NodeMemory::NOTHING;
        node.sets.extend(["x", "y"].map(|name| (name.to_string(), set.clone())));
        node.seen = Some(SeenNode { asked: NOW, unreachable: Some("no route".into()), ..SeenNode::default() });
        node
    }

    #[test]
    fn what_is_no_longer_watched_is_not_shown_and_its_backups_stay_known() {
        let mut memory = Memory::default();
        for (hub, node) in [("A", "n1"), ("A", "n2"), ("B", "n1")] {
            memory.hubs.entry(hub.into()).or_default().insert(node.into(), known());
        }
        assert_eq!(tally(&memory, None).alarms.len(), 3, "a node that was not read is one");
        memory.forget_unwatched(&[Hub { sets: vec!["x".into()], ..Hub::usual("A", &["n1"]) }]);
        let left = tally(&memory, None);
        assert_eq!((left.alarms, left.sets), (vec!["A n1 unreachable".to_string()], 1));
        let shown = text(&memory, None, NOW);
        assert!(shown.contains("hub A") && !shown.contains("hub B") && !shown.contains("n2"), "{shown}");
        assert!(shown.contains("\nx ") && !shown.contains("\ny "), "{shown}");
        assert_eq!(text(&memory, Some("B"), NOW), "");
        for (hub, node, set) in [("A", "n1", "y"), ("A", "n2", "x"), ("B", "n1", "x")] {
            let set = &memory.hubs[hub][node].sets[set];
            assert_eq!((set.newest, &set.episode), (Some(NOW - 260_000), &None), "{hub} {node}");
        }
        assert!(memory.hubs["A"]["n1"].sets["x"].episode.is_some());
    }
}
