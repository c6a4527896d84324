//! Replays: their limits, and two at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use gridmon::os::uptime::Uptime;
use gridmon::problem::{Repeat, notify};
use gridmon::sinks::ClosedPlace;

use super::*;

#[test]
fn a_replay_stops_when_the_sink_is_down_again() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    (0..5).for_each(|minute| drop(bench.run(minute, 1)));
    static LEFT: Mutex<usize> = Mutex::new(3);
    bench.set(0, |_| {
        let mut left = LEFT.lock().unwrap();
        *left = left.saturating_sub(1);
        sent(if *left > 0 { Ok(()) } else { Err(anyhow!("down again")) })
    });
    let delivery = bench.run(5, 1);
    assert_eq!(bench.minutes(0), [5, 0]);
    let words: Vec<_> =
        delivery.problems.iter().map(|problem| (problem.subject.to_string(), problem.message.clone())).collect();
    assert_eq!(words, [("replay to carbon".to_string(), "down again".to_string())]);
    bench.set(0, up);
    bench.run(6, 1);
    assert_eq!(bench.minutes(0), [5, 0, 6, 1, 2, 3, 4]);
}

#[test]
fn a_replay_keeps_to_its_rate_and_its_deadline() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    (0..30).for_each(|minute| drop(bench.run(minute, 100)));
    bench.set(0, up);
    let config = Config { replay_points_per_second: 1000, ..CONFIG };
    let began = Instant::now();
    let replay = bench.replay(0, &config, Duration::from_secs(1));
    // One batch at once, then one every tenth of a second: eleven at most.
    assert!((100..=1100).contains(&replay.points), "{}", replay.points);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let began = Instant::now();
    let rest = bench.replay(0, &config, Duration::from_secs(60));
    assert_eq!(replay.points + rest.points, 3000);
    assert!(began.elapsed() >= Duration::from_millis((rest.points as u64 / 100 - 1) * 100), "faster than the rate");
}

#[test]
fn a_replay_whose_time_is_over_in_the_middle_of_a_batch_has_failed_only_if_it_did_not_get_on() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    (0..3).for_each(|minute| drop(bench.run(minute, 1 + minute as usize)));
    // Batches of one point pass, all others take for ever.
    bench.set(0, |points| match points.len() {
        1 => sent(Ok(())),
        _ => {
            std::thread::sleep(Duration::from_secs(2));
            sent(Err(anyhow!("it did not take everything")))
        }
    });
    let words =
        |replay: Replay| -> Vec<String> { replay.problems.into_iter().map(|problem| problem.message).collect() };
    let first = bench.replay(0, &CONFIG, Duration::from_secs(1));
    assert_eq!((first.points, words(first)), (1, vec![]));
    let second = bench.replay(0, &CONFIG, Duration::from_secs(1));
    assert_eq!((second.points, words(second)), (0, vec!["it did not take everything".to_string()]));
    bench.set(0, up);
    assert_eq!(bench.replay(0, &CONFIG, Duration::from_secs(60)).points, 5);
    assert_eq!(bench.minutes(0), [0, 1, 2]);
}

#[test]
fn two_replays_at_once_send_nothing_twice() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    (0..200).for_each(|minute| drop(bench.run(minute, 1)));
    bench.set(0, up);
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| bench.replay(0, &CONFIG, Duration::from_secs(60)))));
    });
    assert_eq!(bench.minutes(0), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_program_that_is_stopped_in_a_replay_is_named_when_it_has_outlived_every_run() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    bench.run(0, 1);
    bench.set(0, up);
    let lock = bench.spool.lock("carbon").unwrap().unwrap();
    assert_eq!(failed(&bench.run(1, 1)), NONE, "somebody else is at it");
    let Uptime { boot, seconds } = Uptime::now();
    // The wall clock has no say in it.
    lock.set_modified(std::time::SystemTime::now() - Duration::from_secs(3 * 3600)).unwrap();
    fs::write(bench.folder.path().join("spool/lock.carbon"), format!("{} {boot}\n", seconds - 3 * 3600)).unwrap();
    let problems = bench.run(2, 1).problems;
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].message.starts_with("a program has held lock.carbon for 3 h 0 min, longer than"),
        "{problems:?}"
    );
    drop(lock);
    assert_eq!(bench.run(3, 1).problems, []);
    assert_eq!(bench.minutes(0), [1, 2, 3, 0]);
}

/// Whether a replay works again, a run does not know that could not try it.
#[test]
fn a_replay_that_was_not_tried_has_not_recovered() {
    let bench = Bench::new(&["carbon"]);
    bench.set(0, down);
    (0..3).for_each(|minute| drop(bench.run(minute, 3)));
    bench.set(0, |points| sent(if points.len() == 3 { Err(anyhow!("refused")) } else { Ok(()) }));
    let mut failing = BTreeMap::new();
    let mut said = |minute: i64| {
        let problems = bench.run(minute, 1).problems;
        let (lines, after) = notify(&failing, &problems, minute * 60, Repeat::Hourly);
        failing = after;
        lines.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(said(3), ["replay to carbon: refused"]);
    bench.set(0, down);
    assert_eq!(said(4), ["carbon: it is down; 1 points wait in the spool"]);
    bench.set(0, up);
    let lock = bench.spool.lock("carbon").unwrap().unwrap();
    assert_eq!(said(5), ["carbon: works again after 60 s"]);
    drop(lock);
    assert_eq!(said(6), ["replay to carbon: works again after 3 min"]);
}

/// A backlog that grows must not be sent anew in every run: one batch asks whether the place is open again.
#[test]
fn of_a_backlog_whose_place_is_closed_one_batch_a_run_is_sent() {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    let bench = Bench::new(&["influxdb"]);
    bench.set(0, down);
    (0..30).for_each(|minute| drop(bench.run(minute, 3)));
    bench.set(0, |points| match points.len() {
        3 => {
            REFUSED.fetch_add(1, Ordering::Relaxed);
            sent(Err(anyhow!(ClosedPlace("full".into()))))
        }
        _ => sent(Ok(())),
    });
    let refused: Vec<_> =
        (30..34).map(|minute| (drop(bench.run(minute, 1)), REFUSED.swap(0, Ordering::Relaxed)).1).collect();
    assert_eq!(refused, [30, 1, 1, 1]);
    bench.set(0, up);
    bench.run(34, 1);
    assert_eq!(bench.minutes(0).len(), 35);
}
