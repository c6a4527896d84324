//! The made-up trees of three nights, and what a person would say of each of their 78 sets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::gather::{Backup, Gatherer};
use super::hub::{Exception, Hub, SomeRules};
use super::memory::NodeMemory;
use super::name::{bytes, shown};
use super::node::{NodeState, Told};
use super::verdict::Verdict;
use super::zone::Zone;
use crate::model::parse_time;
use crate::sources::ssh::Listing;

#[derive(Deserialize)]
struct Expected {
    nights: Vec<Night>,
}

#[derive(Deserialize)]
struct Night {
    night: usize,
    now: String,
    sets: Vec<ExpectedSet>,
}

#[derive(Deserialize)]
struct ExpectedSet {
    node: String,
    set: String,
    verdict: String,
    verdict_when_read: Option<String>,
    fresh_hours: Option<i64>,
    newest: Option<String>,
    bytes: Option<u64>,
    backups: Option<usize>,
}

impl ExpectedSet {
    fn set(&self) -> String {
        shown(&bytes(&self.set))
    }
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../../../tests/fixtures/backups/expected.json")).unwrap()
}

/// The nodes in the order in which the listings were recorded, with their zones.
const NODES: [(&str, &str); 6] = [
    ("SDU", "Asia/Shanghai"),
    ("C", "Asia/Taipei"),
    ("H1", "Asia/Taipei"),
    ("EU1", "Europe/Zurich"),
    ("US1", "America/New_York"),
    ("Z9:229", "UTC"),
];

/// What the script printed for all six roots, in nights 1 to 3, to a login that is not root.
const LISTINGS: [&[u8]; 3] = [
    include_bytes!("../../../tests/fixtures/backups/night1.zst"),
    include_bytes!("../../../tests/fixtures/backups/night2.zst"),
    include_bytes!("../../../tests/fixtures/backups/night3.zst"),
];

fn hub(node: &str, zone: &str, night: &Night) -> Hub {
    let of_node = || night.sets.iter().filter(|set| set.node == node && set.fresh_hours.is_some());
    let exceptions = of_node().map(|set| Exception {
        glob: set.set(),
        some: SomeRules { fresh_seconds: set.fresh_hours.map(|hours| hours * 3600), ..SomeRules::default() },
    });
    Hub {
        zone: Zone::named(zone).unwrap(),
        sets: of_node().map(ExpectedSet::set).collect(),
        // No name has a star of its own but one, which fits itself.
        exceptions: exceptions.collect(),
        ..Hub::usual(node, &[node])
    }
}

/// Judges three nights; `read` tells what the contents say. Returns each state by night, node and set.
fn judge(
    read: impl Fn(&Night, &str, &Backup) -> Option<Verdict>,
) -> BTreeMap<(usize, String, String), (String, NodeState)> {
    let mut memories = vec![NodeMemory::default(); NODES.len()];
    let mut verdicts = BTreeMap::new();
    for night in expected().nights {
        let output = zstd::decode_all(LISTINGS[night.night - 1]).unwrap();
        let hubs: Vec<_> = NODES.iter().map(|(node, zone)| hub(node, zone, &night)).collect();
        let mut gatherers: Vec<_> = hubs.iter().map(|hub| Gatherer::new(&hub.pattern, &hub.zone, "")).collect();
        let mut listing = Listing::new("n", usize::MAX);
        for piece in output.chunks(1000) {
            listing.read(piece, |root, seen| gatherers[root].take(seen)).unwrap();
        }
        assert!(listing.is_whole());
        for ((gatherer, hub), memory) in gatherers.into_iter().zip(&hubs).zip(&mut memories) {
            let (gathered, node) = (gatherer.finish(), &hub.nodes[0]);
            let contents = |backup: &Backup| read(&night, node, backup);
            let told = Told { gathered: &gathered, said: "", skew_seconds: None, contents: &contents };
            let (state, after) = NodeState::judge(hub, node, &told, memory, parse_time(&night.now).unwrap());
            *memory = after;
            let key = |set: &str| (night.night, node.clone(), set.to_string());
            for set in &state.sets {
                verdicts.insert(key(&set.set), (set.verdict.word().to_string(), state.clone()));
            }
            for (verdict, text) in &state.notes {
                let about = if *verdict == Verdict::Unlisted { text.rsplit(' ').next().unwrap() } else { "" };
                verdicts.insert(key(about), (verdict.word().into(), state.clone()));
            }
        }
    }
    verdicts
}

#[test]
fn three_nights_are_judged_as_a_person_would() {
    let verdicts = judge(|_, _, _| None);
    let mut judged = 0;
    for night in expected().nights {
        for expected in &night.sets {
            let key = (night.night, expected.node.clone(), expected.set());
            let Some((verdict, state)) = verdicts.get(&key) else {
                assert!(expected.set.is_empty() && expected.verdict == "ok", "{key:?} is missing");
                continue;
            };
            assert_eq!(*verdict, expected.verdict, "{key:?}");
            judged += 1;
            let Some(set) = state.sets.iter().find(|set| set.set == key.2) else { continue };
            // Half a transfer lies there: it is the newest, which expected.json does not count as held.
            if expected.node == "H1" && expected.set == "repos/env" && night.night > 1 {
                continue;
            }
            let newest = set.newest.as_ref();
            assert_eq!(
                newest.map(|newest| newest.time),
                expected.newest.as_ref().map(|time| parse_time(time).unwrap()),
                "{key:?}"
            );
            assert_eq!(newest.map(|newest| newest.bytes), expected.bytes, "{key:?}");
            assert_eq!(Some(set.backups), expected.backups, "{key:?}");
        }
    }
    assert_eq!(judged, 78 * 3 + 1);
}

/// What reading the files would find out, as expected.json says it.
#[test]
fn contents_that_were_read_count() {
    let of = |night: &Night, node: &str, backup: &Backup| {
        let path = shown(&backup.path);
        let of_set = |set: &&ExpectedSet| set.node == node && path.starts_with(&format!("{}/", set.set()));
        let word = night.sets.iter().find(of_set)?.verdict_when_read.clone()?;
        [Verdict::Truncated, Verdict::Digest, Verdict::Unreadable].into_iter().find(|verdict| verdict.word() == word)
    };
    let verdicts = judge(of);
    let mut read = 0;
    for night in expected().nights {
        for expected in night.sets.iter().filter(|set| set.verdict_when_read.is_some()) {
            let key = (night.night, expected.node.clone(), expected.set());
            assert_eq!(Some(&verdicts[&key].0), expected.verdict_when_read.as_ref(), "{key:?}");
            read += 1;
        }
    }
    assert_eq!(read, 8);
}
