//! A month of backups without faults has no trouble, and each fault is seen within two runs.

use gridmon::events::{Known, now};
use gridmon::monitors::backups::verdict::Verdict;

use super::*;
use crate::quiet::{Memory, rules, said};

/// 2023-11-15 21:00 UTC: the files of the night have been there for long.
const BEGIN: i64 = 1_700_082_000;

/// Judges what lies on the nodes as collect-backups does, run by run.
struct Player<'a> {
    hubs: Vec<Hub>,
    play: Play<'a>,
    memory: BTreeMap<String, NodeMemory>,
    store: Memory,
    known: Known,
}

impl<'a> Player<'a> {
    fn new(play: Play<'a>) -> Self {
        let folder = std::env::temp_dir().join(format!("gridmon-quiet-backups-{}-{}", std::process::id(), play.last));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("config.cfg");
        fs::write(&path, config(&folder.display().to_string())).unwrap();
        let (config, _) = composed::load(Some(&path), &PROGRAM).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let (store, known) = (Memory::default(), Known::default());
        Self { hubs: config.backups.hubs, play, memory: BTreeMap::new(), store, known }
    }

    /// Returns what is said after the run of a time.
    fn run(&mut self, time: i64) -> Vec<String> {
        let mut states = Vec::new();
        for hub in &self.hubs {
            for node in &hub.nodes {
                let Some(world) = world(node, time, &self.play) else {
                    states.push(NodeState::unreachable(hub, node, "connection timed out".into()));
                    continue;
                };
                let another = |file: &File| file.seal.as_ref().is_some_and(|(_, digest)| *digest != sum(&file.path));
                let contents = |backup: &backups::gather::Backup| {
                    let file = world.files.iter().find(|file| file.path.as_bytes() == &*backup.path);
                    file.filter(|file| another(file)).map(|_| Verdict::Digest)
                };
                let gathered = gathered(hub, &world);
                let denied = if world.closed { "find: './mail': Permission denied" } else { "" };
                let told = Told { gathered: &gathered, said: denied, skew_seconds: Some(0), contents: &contents };
                let before = self.memory.remove(node).unwrap_or_default();
                let (state, mut after) = NodeState::judge(hub, node, &told, &before, time);
                state.remember(&mut after, time);
                self.memory.insert(node.clone(), after);
                states.push(state);
            }
        }
        self.store.take(&backups::points(&states, time * SECOND, time).points, DAY);
        said(&now(&self.store, &rules(), &mut self.known, time + 60).unwrap())
    }
}

#[test]
fn a_quiet_month_of_backups_has_no_trouble() {
    // Nor is there a set that nobody watches.
    let sets = SETS.into_iter().filter(|(.., fault, _)| *fault != Unlisted);
    let sets: Vec<_> = sets.map(|(hub, node, set, _, bytes)| (hub, node, set, Well, bytes)).collect();
    let mut player = Player::new(Play { sets: &sets, last: night(BEGIN) + 400, failing: 0.0 });
    for day in 0..30 {
        assert_eq!(player.run(BEGIN + day * DAY), [""; 0], "night {day}");
    }
    assert!(player.store.len() > 100, "{}", player.store.len());
}

#[test]
fn every_fault_of_backups_is_seen_within_two_runs() {
    // Of a set on two nodes the worse one is told; so each node of that hub has its turn.
    let mut told = BTreeMap::new();
    for spared in ["store1", "store2"] {
        let sets = SETS.map(|(hub, node, set, fault, bytes)| {
            (hub, node, set, if node == spared && fault != Unlisted { Well } else { fault }, bytes)
        });
        let last = BEGIN + 20 * DAY;
        let mut player = Player::new(Play { sets: &sets, last: night(last), failing: 0.0 });
        let mut before = Vec::new();
        for ago in (1..RUNS).rev() {
            before = player.run(last - ago * DAY);
        }
        let seen = [player.run(last), player.run(last + DAY)].concat();
        for (hub, node, set, fault, _) in sets {
            let words = format!("{hub} · {set}: backup {} on {node}", format!("{fault:?}").to_lowercase());
            let is_in = |lines: &[String], words: &str| lines.iter().any(|line| line.ends_with(words));
            match fault {
                // Who is well is not told; a disk that fills is its node's.
                Well => assert!(
                    !seen.iter().any(|line| line.contains(&format!("· {set}: ")) && line.ends_with(node)),
                    "{set} on {node}: {seen:#?}"
                ),
                Unlisted => assert!(is_in(&seen, &format!("{hub} · {node}: node unlisted")), "{seen:#?}"),
                fault => {
                    assert!(is_in(&seen, &words), "{words} is not in {seen:#?}");
                    // Two are so from the first run on; the last one that came is old on the second night without another.
                    assert_eq!(
                        is_in(&before, &words),
                        [Never, Hoards, Old].contains(&fault),
                        "{words}, the night before: {before:#?}"
                    );
                    told.insert(format!("{fault:?}"), node);
                }
            }
        }
        for words in ["machines · pve2: node unreachable", "machines · pve1: node filling"] {
            assert!(seen.iter().any(|line| line.ends_with(words)), "{words} is not in {seen:#?}");
        }
    }
    assert_eq!(told.len(), 14, "each kind of fault: {told:?}");
}
