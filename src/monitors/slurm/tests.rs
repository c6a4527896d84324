//! The points of recorded clusters, and the bounds of what is counted apart.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Shown, SlurmInput, points};
use crate::model::{Collected, SECOND};
use crate::sources::slurm::queue::{Counter, END};
use crate::sources::slurm::{Answer, JobGroup, Jobs, Node, diag, node, partition};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/slurm")
}

/// What a version answered in one state of its cluster.
fn answer(version: &str, state: &str) -> Answer {
    let read = |name: &str| std::fs::read_to_string(folder().join(version).join(name)).unwrap();
    let mut counter = Counter::default();
    for record in read(&format!("{state}.jobs")).as_bytes().split(|byte| *byte == END) {
        if !record.trim_ascii().is_empty() {
            counter.add(record).unwrap();
        }
    }
    Answer {
        cluster: Some("lab".into()),
        diag: Some(diag::parse(&read(&format!("{state}.sdiag"))).unwrap()),
        nodes: Some(read(&format!("{state}.nodes")).lines().filter_map(|line| node::parse(line).unwrap()).collect()),
        partitions: Some(read("partitions").lines().filter_map(|line| partition::parse(line).unwrap()).collect()),
        jobs: Some(counter.finish().unwrap()),
    }
}

fn collected(answer: &Answer, accounts: usize, shown: &mut Shown) -> Collected {
    let time = 1_795_660_800 * SECOND;
    points(&SlurmInput { cluster: "lab", time, accounts, nodes: 100, domain: "", answer }, shown)
}

/// The Carbon paths and values, sorted.
fn lines(collected: &Collected) -> Vec<String> {
    let of = |point: &crate::model::Point| {
        let measurement = point.declaration().unwrap();
        let paths: Vec<_> = point
            .fields()
            .map(|(field, value)| format!("{} {value}", measurement.carbon_path(point, field).unwrap()))
            .collect();
        paths
    };
    let mut lines: Vec<_> = collected.points.iter().flat_map(of).collect();
    lines.sort();
    lines
}

#[test]
fn the_points_of_every_version_are_the_golden_ones() {
    for version in ["20.11", "22.05", "24.11", "26.05"] {
        for state in ["empty", "busy", "nodes"] {
            let collected = collected(&answer(version, state), 100, &mut Shown::default());
            assert!(collected.points.iter().all(|point| point.fault().is_none()));
            assert_eq!(collected.complete.len(), super::MEASUREMENTS.len());
            let text = lines(&collected).join("\n") + "\n";
            let path = folder().join(version).join(format!("{state}.expected"));
            if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
                std::fs::write(&path, &text).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap();
            assert!(text == expected, "{}:\n{text}", path.display());
        }
    }
}

#[test]
fn each_node_has_its_state_in_a_word_by_the_name_of_its_host_unless_there_are_many() {
    let node = |name: &str, state: &str, cpus_alloc: i64| {
        let (base, flags) = crate::sources::slurm::node::read_state(state);
        Node { name: name.into(), base, flags, cpus_alloc, cpus: 64, ..Node::default() }
    };
    let states = [
        ("n1", "MIXED", 3, "mixed", 1),
        ("n2", "IDLE+DRAIN", 0, "drained", 0),
        ("n3", "MIXED+DRAIN", 2, "draining", 0),
        ("n4", "ALLOCATED*", 64, "not responding", 1),
        ("n5", "DOWN+DRAIN+NOT_RESPONDING", 0, "not responding", 0),
        ("n6", "DOWN", 0, "down", 1),
        ("n7", "IDLE+POWERED_DOWN", 0, "powered down", 0),
        ("n8", "IDLE+RESERVED+PLANNED", 0, "reserved", 1),
    ];
    let nodes = states.map(|(name, state, cpus, ..)| node(name, state, cpus)).to_vec();
    let answer = Answer { nodes: Some(nodes), ..Answer::default() };
    let of = |nodes: usize, domain: &str| {
        let input = SlurmInput { cluster: "lab", time: SECOND, accounts: 1, nodes, domain, answer: &answer };
        let all = points(&input, &mut Shown::default());
        let own = all.points.into_iter().filter(|point| point.measurement() == "slurm_node");
        own.collect::<Vec<_>>()
    };
    for (point, (name, state, cpus, word, in_service)) in of(8, ".example.org").iter().zip(states) {
        let told =
            (point.tag("host"), point.tag("state"), point.fields().map(|(_, value)| value.as_f64() as i64).collect());
        assert_eq!(told, (Some(&*format!("{name}.example.org")), Some(word), vec![cpus, in_service]), "{state}");
    }
    assert_eq!(of(8, "")[0].tag("host"), Some("n1"));
    assert_eq!((of(8, "").len(), of(7, "").len()), (8, 0));
}

/// What sinfo printed of the same clusters: allocated, idle and other CPUs of each partition, and nodes.
#[test]
fn cpus_and_nodes_are_those_of_sinfo() {
    for version in ["20.11", "22.05", "24.11", "26.05"] {
        let text = lines(&collected(&answer(version, "nodes"), 100, &mut Shown::default()));
        let has = |line: &str| assert!(text.iter().any(|known| known == line), "{version}: {line} is not in {text:#?}");
        for (partition, cpus) in [("batch", [28, 0, 68, 96]), ("gpu", [12, 0, 52, 64])] {
            for (name, value) in ["alloc", "idle", "other", "total"].iter().zip(cpus) {
                has(&format!("slurm.lab.partitions.{partition}.cpus_{name} {value}"));
            }
        }
        for line in [
            "nodes.down 1",
            "nodes.allocated 1",
            "nodes.mixed 1",
            "flags.drain 2",
            "flags.drained 1",
            "flags.draining 1",
            "flags.not_responding 1",
            "gpus.alloc 3",
            "gpus.total 8",
            "cpus.alloc 28",
            "heartbeat 1",
            "partitions.batch.nodes_down 1",
            "partitions.batch.nodes_drain 2",
            "partitions.gpu.gpus_alloc 3",
        ] {
            has(&format!("slurm.lab.{line}"));
        }
    }
}

#[test]
fn idle_cpus_of_a_node_that_does_not_answer_sleeps_or_is_planned_are_not_free() {
    let node = |state: &str| {
        let (base, flags) = node::read_state(state);
        Node { base, flags, cpus: 10, gpus_alloc: Some(0), ..Node::default() }
    };
    let states = ["IDLE", "IDLE*", "IDLE+PLANNED", "IDLE+CLOUD+POWERED_DOWN", "IDLE+DRAIN", "DOWN", "MIXED", "FUTURE"];
    let answer = Answer { nodes: Some(states.map(node).to_vec()), ..Answer::default() };
    let text = lines(&collected(&answer, 1, &mut Shown::default()));
    for (name, value) in [("alloc", 0), ("idle", 50), ("free", 20), ("other", 30), ("total", 80)] {
        assert!(text.contains(&format!("slurm.lab.cpus.{name} {value}")), "{name}: {text:#?}");
    }
}

#[test]
fn a_part_that_was_not_answered_has_no_points_and_a_cluster_that_was_not_has_a_heartbeat_of_0() {
    let text = lines(&collected(&Answer::default(), 100, &mut Shown::default()));
    assert_eq!(text, ["slurm.lab.heartbeat 0"]);
    let Answer { diag, nodes, .. } = answer("22.05", "busy");
    let scheduler = collected(&Answer { diag, ..Answer::default() }, 100, &mut Shown::default());
    assert_eq!(scheduler.points.len(), 2);
    // Without the partitions' own answer those of the nodes are known, and nobody knows whether these are all.
    let nodes = collected(&Answer { nodes, ..Answer::default() }, 100, &mut Shown::default());
    assert!(!nodes.complete.iter().any(|one| one.name == "slurm_partition"));
    let text = lines(&nodes);
    assert!(text.iter().any(|line| line.starts_with("slurm.lab.partitions.gpu.cpus_alloc ")));
    assert!(!text.iter().any(|line| line.contains(".up ")));
}

#[test]
fn a_gpu_count_that_one_node_does_not_tell_is_unknown() {
    let mut broken = answer("24.11", "busy");
    for node in broken.nodes.iter_mut().flatten().filter(|node| node.name == "n4") {
        node.gpus_alloc = None;
    }
    let text = lines(&collected(&broken, 100, &mut Shown::default()));
    assert!(text.contains(&"slurm.lab.gpus.total 8".to_string()));
    assert!(!text.iter().any(|line| line.starts_with("slurm.lab.gpus.alloc")));
}

#[test]
fn accounts_beyond_the_limit_are_counted_together_and_one_with_a_series_keeps_it() {
    let jobs = |counts: &[(&str, i64)]| -> Answer {
        let group =
            |account: &str| JobGroup { state: "running".into(), partition: "p".into(), account: account.into() };
        let jobs: Jobs = counts.iter().map(|(account, count)| (group(account), *count)).collect();
        Answer { jobs: Some(jobs), ..Answer::default() }
    };
    let mut shown = Shown::default();
    let mut run = |counts: &[(&str, i64)]| {
        let text = lines(&collected(&jobs(counts), 2, &mut shown));
        let of = |line: &String| {
            let (path, count) = line.strip_prefix("slurm.lab.accounts.")?.split_once(".jobs.running ")?;
            Some((path.to_string(), count.parse::<i64>().unwrap()))
        };
        text.iter().filter_map(of).collect::<BTreeMap<_, _>>()
    };
    let map = |pairs: &[(&str, i64)]| {
        pairs.iter().map(|(name, count)| (name.to_string(), *count)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(run(&[("a", 5), ("b", 9), ("c", 1), ("d", 7)]), map(&[("b", 9), ("d", 7), ("other", 6)]));
    // `a` is larger than `d` now; were it to take its place, the series of `d` would say 0.
    assert_eq!(run(&[("a", 50), ("b", 9), ("d", 1)]), map(&[("b", 9), ("d", 1), ("other", 50)]));
    assert_eq!(run(&[("a", 50), ("b", 9), ("c", 1)]), map(&[("a", 50), ("b", 9), ("other", 1)]));
    assert_eq!(run(&[]), map(&[]));
    // An account that is called as the rest is counted with it.
    assert_eq!(run(&[("other", 1), ("b", 2), ("c", 3), ("d", 1)]), map(&[("b", 2), ("c", 3), ("other", 2)]));
}
