//! Reads what Slurm's commands print: it may be refused, and what is taken makes points that every sink can take, whose CPUs add up.

#![no_main]

use gridmon::model::validate;
use gridmon::monitors::slurm::{Shown, SlurmInput, points};
use gridmon::sources::slurm::queue::{Counter, END};
use gridmon::sources::slurm::{Answer, diag, node, partition};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut counter = Counter::default();
    let is_counted = data
        .split(|byte| *byte == END)
        .filter(|record| !record.trim_ascii().is_empty())
        .all(|record| counter.add(record).is_ok());
    let answer = Answer {
        cluster: Some("c".into()),
        diag: diag::parse(&text).ok(),
        nodes: text
            .lines()
            .map(node::parse)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .map(|nodes| nodes.into_iter().flatten().collect()),
        partitions: text
            .lines()
            .map(partition::parse)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .map(|all| all.into_iter().flatten().collect()),
        jobs: if is_counted { counter.finish().ok() } else { None },
    };
    for node in answer.nodes.iter().flatten() {
        assert!(node.cpus >= 0 && node.cpus_alloc >= 0 && node.gpus >= 0);
    }
    let time = 1_795_660_800_000_000_000;
    let input = SlurmInput { cluster: "c", time, accounts: 3, nodes: 9, domain: "d", answer: &answer };
    let mut shown = Shown::default();
    let collected = points(&input, &mut shown);
    assert!(shown.accounts.len() <= 3);
    let accounts = collected
        .points
        .iter()
        .filter(|point| point.measurement() == "slurm_account_jobs")
        .filter_map(|point| point.tag("account"));
    assert!(accounts.collect::<std::collections::BTreeSet<_>>().len() <= 4);
    assert!(
        collected
            .points
            .iter()
            .all(|point| point.fields().all(|(_, value)| value.as_f64() >= 0.0 && value.as_f64().is_finite()))
    );
    let count = collected.points.len();
    let (sound, dropped) = validate(collected.points);
    assert_eq!(sound.len() + dropped.len(), count);
});
