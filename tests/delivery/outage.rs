//! An outage of a day: what was collected while Carbon was down is in Carbon afterwards, every value of it, sent no faster
//! than the config says, while what is collected now does not wait for it.
//!
//! `make test` takes an hour of minutes with 500 points each, `make soak` a day with 5,000 each.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::proof::{Clouds, Keeper, account, batches, soak};
use gridmon_testkit::{Carbon, GraphiteWeb, skip, wait_until};

#[test]
fn after_a_day_without_carbon_every_value_is_there() {
    let name = "after_a_day_without_carbon_every_value_is_there";
    let (minutes, count, rate, deadline_seconds) = if soak() { (1440, 715, 20_000, 50) } else { (60, 72, 8_000, 6) };
    let Some(mut carbon) = Carbon::start() else { return skip(name, "Carbon") };
    let web = GraphiteWeb::start(&carbon);
    carbon.kill();

    let (sandbox, clouds) = (Sandbox::new("small"), Clouds { deadline_seconds, ..Clouds::new(count) });
    let more = format!("timeout_seconds = 30\n[spool]\nreplay_points_per_second = {rate}");
    clouds.config(&sandbox, carbon.pickle, &more);

    // Whisper takes no value from the future, and the replay goes on for some minutes of it.
    let start = (jiff::Timestamp::now().as_second() - 60 * (minutes + 60)) / 60 * 60;
    let time = |minute: i64| start + 60 * minute;
    let mut minute = 0;
    let mut collected = 0;
    let limit = Duration::from_secs(deadline_seconds);

    // Down.
    let began = Instant::now();
    while minute < minutes {
        let outcome = clouds.run(&sandbox, time(minute));
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(outcome.took < limit, "{:?}", outcome.took);
        if minute % 60 == 0 {
            let words = format!("carbon: 127.0.0.1:{}: no connection: Connection refused", carbon.pickle);
            assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
        } else {
            assert_eq!(outcome.stderr, "", "said hourly");
        }
        collected += clouds.points();
        minute += 1;
    }
    assert_eq!(batches(&sandbox).len() as i64, minutes);
    let down = began.elapsed();

    // Up again: each further minute sends its own points first, then what waits.
    carbon.restart();
    let began = Instant::now();
    let (mut replayed, mut runs) = (0, 0);
    loop {
        let arguments = clouds.at(&sandbox, time(minute));
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push("-v");
        let outcome = sandbox.run(&arguments);
        let [of_run, delivered, spooled, dropped, points, waiting] = account(&outcome.stderr);
        assert_eq!((outcome.code, spooled, dropped), (Some(0), 0, 0), "{}", outcome.stderr);
        assert_eq!(delivered, of_run, "this minute's own points wait for nothing");
        assert!(outcome.took < limit, "{:?}", outcome.took);
        // The rate holds but for the batch that is on its way.
        let most = outcome.took.as_secs_f64() * rate as f64 + (clouds.points() + 1) as f64;
        assert!((points as f64) <= most, "{points} points in {:?} are more than {rate} a second", outcome.took);
        collected += clouds.points();
        replayed += points;
        minute += 1;
        runs += 1;
        if waiting == 0 {
            break;
        }
        assert!(points > 0, "a replay that does not get on: {}", outcome.stderr);
    }
    let up = began.elapsed();
    assert!(batches(&sandbox).is_empty());
    // Each spooled run but the first carries the report of the run before it as one more point.
    assert_eq!(replayed as i64, minutes * clouds.points() as i64 + minutes - 1);

    // What is in Whisper is what was collected: every series, every minute, every value, and nothing else.
    let mut expected: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
    for minute in 0..minute {
        for ((path, slot), value) in clouds.datapoints(time(minute)) {
            expected.entry(path).or_default().insert(slot, value);
        }
    }
    let mut values = 0;
    let mut lost = 0;
    for (path, expected) in &expected {
        // Carbon writes what it has read when it comes to it.
        let began = Instant::now();
        let stored = loop {
            let stored = carbon.on_disk(path);
            if stored.len() >= expected.len() || began.elapsed() > Duration::from_secs(60) {
                break stored;
            }
            thread::sleep(Duration::from_millis(50));
        };
        lost += expected.iter().filter(|(time, value)| stored.get(time) != Some(value)).count();
        assert!(stored.keys().all(|time| expected.contains_key(time)), "{path}: a time that nobody collected");
        values += stored.len();
    }
    assert_eq!(lost, 0, "of {values} values");
    // And through graphite-web, as the dashboards read it: a cloud's quota, which is another one in each minute.
    match web {
        Some(web) => {
            for at in [0, clouds.count / 2, clouds.count - 1] {
                let path = format!("grids.heprc.clouds.c{at:04}.quota");
                let reply = web.render(&path, start - 60, time(minute - 1));
                let points = reply[0]["datapoints"].as_array().unwrap().iter();
                let read: BTreeMap<_, _> =
                    points.filter_map(|point| Some((point[1].as_i64()?, point[0].as_f64()?))).collect();
                assert_eq!(read, expected[&path]);
            }
        }
        None => skip(name, "graphite-web"),
    }
    println!(
        "outage: {minutes} runs without Carbon in {down:.1?}; {runs} runs brought {replayed} points back in {up:.1?} \
         ({:.0} a second, limit {rate}); {collected} points of {} minutes collected, {values} values in {} series read \
         back, {lost} lost",
        replayed as f64 / up.as_secs_f64(),
        minute,
        expected.len()
    );
}

/// What one run needs of memory at its peak, in KiB, with this many batches waiting; at its end none waits.
fn peak(backlog: i64) -> u64 {
    const START: i64 = 1_717_200_000;
    let (sandbox, clouds, keeper) = (Sandbox::new("small"), Clouds::new(20), Keeper::start());
    let (closed, _ports) = gridmon_testkit::free_port();
    clouds.config(&sandbox, closed, "");
    assert_eq!(clouds.run(&sandbox, START).code, Some(1));
    // The others are that batch under other names.
    let spool = sandbox.path("state/spool");
    let first = batches(&sandbox).remove(0);
    for minute in 1..backlog {
        let name = first.replacen(&first[..12], &format!("{:012}", START + 60 * minute), 1);
        fs::copy(spool.join(&first), spool.join(name)).unwrap();
    }
    clouds.config(&sandbox, keeper.port, "[spool]\nreplay_points_per_second = 100000000");
    // The last connection stays open until the peak has been read: it is the process's own, and ends with it.
    let arguments = clouds.at(&sandbox, START + 60 * backlog);
    keeper.wait_before_closing();
    keeper.close(backlog as u64);
    let mut run = sandbox.command(&arguments.each_ref().map(String::as_str)).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the last batch to be read", Duration::from_secs(60), || {
        (keeper.read_to_end() > backlog as u64).then_some(())
    });
    let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    keeper.close(1);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(batches(&sandbox).is_empty());
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn the_memory_of_a_replay_does_not_grow_with_what_waits() {
    let (few, many) = (peak(10), peak(1440));
    println!("memory: {few} KiB at the peak with 10 batches waiting, {many} KiB with 1,440");
    // The points of a batch are about 50 KiB; 1,430 more of them kept would be 70 MiB, their names alone 150 KiB.
    assert!(many < few + 2048, "{few} KiB with 10 batches, {many} KiB with 1,440");
}

#[test]
fn a_run_sends_its_own_points_first_and_then_what_waits_oldest_first() {
    const START: i64 = 1_717_200_000;
    let (sandbox, clouds, keeper) = (Sandbox::new("small"), Clouds::new(3), Keeper::start());
    let (closed, _ports) = gridmon_testkit::free_port();
    clouds.config(&sandbox, closed, "");
    // Collected in an order of their own, as runs for the past are.
    for minute in [3, 0, 4, 1, 2] {
        assert_eq!(clouds.run(&sandbox, START + 60 * minute).code, Some(1));
    }
    clouds.config(&sandbox, keeper.port, "");
    assert_eq!(clouds.run(&sandbox, START + 300).code, Some(0));
    let slots: Vec<_> = keeper.connections().into_iter().flatten().map(|slot| (slot - START) / 60).collect();
    assert_eq!(slots, [5, 0, 1, 2, 3, 4]);
}
