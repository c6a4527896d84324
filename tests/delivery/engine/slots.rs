//! Two runs of one slot: what the later one collected again is never sent by the earlier one's batch.

use super::*;

/// The points of a run in the slot of minute 5: series by name, with the run's own value.
fn run_of(bench: &Bench, program: &str, database: &str, series: &[&str], value: i64) -> Outcome {
    let header = Header {
        program: program.into(),
        grid: "g".into(),
        time: 300,
        tier: "raw".into(),
        database: database.into(),
        sinks: BTreeSet::new(),
    };
    let point = |at: &&str| Point::new("m".into(), [("at".into(), *at)], [("v".into(), value.into())], 300_000_000_000);
    let batch = Batch { header, points: series.iter().map(point).collect() };
    let until = Instant::now() + Duration::from_secs(60);
    bench.delivery(5, &CONFIG).publish(batch, vec![], &bench.sinks(), until, || {})
}

/// What a sink has at the end, `a=1`, after everything that it was sent in that order.
fn has(bench: &Bench, sink: usize) -> Vec<String> {
    let mut rows = std::collections::BTreeMap::new();
    for point in bench.recorders[sink].got.lock().unwrap().iter().flatten() {
        rows.insert(point.tag("at").unwrap().to_string(), point.fields().next().unwrap().1.as_f64());
    }
    rows.into_iter().map(|(at, value)| format!("{at}={value}")).collect()
}

/// The number of batches and their notes in the spool.
fn waiting(bench: &Bench) -> usize {
    bench.files("spool").iter().filter(|name| name.contains(".batch") || name.contains(".ack.")).count()
}

#[test]
fn the_later_run_of_a_slot_stands_and_what_it_lacks_still_comes() {
    let bench = Bench::new(&["carbon", "influxdb"]);
    bench.set(1, down);
    let first = run_of(&bench, "panda", "", &["a", "b", "c"], 1);
    assert_eq!((first.accounts["influxdb"].spooled, first.accounts["influxdb"].superseded), (3, 0));
    // Still down: what the first one has alone takes its place in the spool.
    let second = run_of(&bench, "panda", "", &["a", "b"], 2);
    assert_eq!(failed(&second).len(), 1, "{:?}", second.problems);
    let account = &second.accounts["influxdb"];
    assert_eq!((account.spooled, account.superseded, account.backlog.points), (2, 2, 3));
    assert_eq!(second.accounts["carbon"].superseded, 0, "it had them already");
    bench.set(1, up);
    let third = run_of(&bench, "panda", "", &["a"], 3);
    assert_eq!((third.problems, third.accounts["influxdb"].superseded), (vec![], 1));
    assert_eq!(third.accounts["influxdb"].replayed, 2);
    for sink in 0..2 {
        assert_eq!(has(&bench, sink), ["a=3", "b=2", "c=1"], "sink {sink}");
    }
    let sent: usize = bench.recorders[1].got.lock().unwrap().iter().map(Vec::len).sum();
    assert_eq!(sent, 3, "nothing was sent twice");
    assert_eq!(waiting(&bench), 0);
}

#[test]
fn another_program_database_or_slot_supersedes_nothing() {
    let bench = Bench::new(&["influxdb"]);
    bench.set(0, down);
    run_of(&bench, "panda", "", &["a"], 1);
    for (program, database) in [("grid", ""), ("panda", "test_monit_jobs")] {
        let outcome = run_of(&bench, program, database, &["a"], 2);
        assert_eq!(outcome.accounts["influxdb"].superseded, 0);
    }
    assert_eq!(bench.run(5, 1).accounts["influxdb"].superseded, 0);
    assert_eq!(waiting(&bench), 4);
}

#[test]
fn a_batch_that_another_process_is_sending_comes_before_the_newer_one() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    run_of(&bench, "panda", "", &["a", "b"], 1);
    bench.set(0, up);
    let entry = bench.spool.oldest("carbon", "", 1).unwrap().remove(0);
    let claim = bench.spool.claim(&entry).unwrap().unwrap();
    let second = run_of(&bench, "panda", "", &["a"], 2);
    assert_eq!((second.problems, second.accounts["carbon"].delivered), (vec![], 1));
    // The other process ends: the newer one is sent once more, after it.
    bench.recorders[0].got.lock().unwrap().push(vec![bench.spool.read(&entry).unwrap().unwrap().points[0].clone()]);
    drop(claim);
    bench.replay(0, &CONFIG, Duration::from_secs(60));
    assert_eq!(has(&bench, 0), ["a=2", "b=1"]);
    assert_eq!(waiting(&bench), 0);
}

#[test]
fn a_run_whose_batch_finds_no_room_supersedes_too() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    run_of(&bench, "panda", "", &["a", "b"], 1);
    bench.set(0, up);
    let full = Config { max_disk_percent: 0, ..CONFIG };
    let header = bench.spool.read(&bench.spool.oldest("carbon", "", 1).unwrap()[0]).unwrap().unwrap().header;
    let point = Point::new("m".into(), [("at".into(), "a")], [("v".into(), 2.into())], 300_000_000_000);
    let batch = Batch { header, points: vec![point] };
    let until = Instant::now() + Duration::from_secs(60);
    let second = bench.delivery(5, &full).publish(batch, vec![], &bench.sinks(), until, || {});
    assert_eq!((second.accounts["carbon"].delivered, second.accounts["carbon"].superseded), (1, 1));
    assert_eq!(has(&bench, 0), ["a=2", "b=1"]);
}
