//! What is proved of a service: nothing that it collected is lost, whatever ends it.

use std::fs;
use std::time::Duration;

use super::{BEGIN, Bench, signal};

/// Every row that was collected is stored. Of those there are twice only those that a kill left unacknowledged.
fn nothing_is_lost(bench: &Bench, killed: usize) {
    let (collected, stored) = (bench.rows("collected"), bench.rows("rows"));
    let missing: Vec<_> = collected.keys().filter(|row| !stored.contains_key(*row)).collect();
    assert!(missing.len() <= killed, "lost: {missing:?}");
    assert!(stored.keys().all(|row| collected.contains_key(row)), "invented rows");
    let again: usize = stored.values().map(|times| times - 1).sum();
    assert!(again <= killed, "{again} rows are there twice, with {killed} kills");
}

#[test]
fn it_ticks_and_a_sink_that_was_down_for_an_hour_gets_everything() {
    let bench = Bench::new("hour");
    let mut child = bench.start();
    bench.run_until(0, 10);
    fs::write(bench.path("down"), "").unwrap();
    bench.run_until(10, 370);
    fs::remove_file(bench.path("down")).unwrap();
    bench.run_until(370, 375);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success(), "{}", bench.stderr());
    assert_eq!(bench.rows("rows").len(), 375);
    nothing_is_lost(&bench, 0);
    // It says that the sink went down and that it came back, and nothing in between.
    let lines: Vec<_> = bench.stderr().lines().map(String::from).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("tiny-service: file: it is down; "), "{lines:?}");
    assert_eq!(lines[1], "tiny-service: file: works again after 60 min");
}

#[test]
fn killed_at_any_time_and_started_anew_it_loses_nothing_that_it_published() {
    let bench = Bench::new("kill");
    let kills = 40;
    for round in 0..kills {
        let mut child = bench.start();
        let tick = round * 3;
        bench.run_until(tick, tick + 2);
        bench.set_clock(BEGIN + (tick + 2) * 10);
        // From before the tick to after it.
        std::thread::sleep(Duration::from_micros(200 * (round as u64 % 20)));
        signal(&child, "KILL");
        child.wait().unwrap();
    }
    let mut child = bench.start();
    bench.run_until(kills * 3, kills * 3 + 2);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success(), "{}", bench.stderr());
    nothing_is_lost(&bench, kills as usize);
    // What the reports of the runs that ended say was published is there without exception.
    let stored = bench.rows("rows");
    for time in bench.reports() {
        let row = format!("tiny,grid=g value={time}i {time}000000000");
        assert!(stored.contains_key(&row), "{row} was reported and is lost");
    }
}

#[test]
fn told_to_end_in_the_middle_of_a_tick_it_publishes_it_first() {
    for name in ["TERM", "INT", "HUP"] {
        let bench = Bench::new(name);
        fs::write(bench.path("slow"), "").unwrap();
        let mut child = bench.start();
        bench.wait_for("a tick", || bench.rows("collected").len() == 1);
        signal(&child, name);
        std::thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none(), "it ended in the middle of a tick");
        fs::remove_file(bench.path("slow")).unwrap();
        assert!(child.wait().unwrap().success(), "{}", bench.stderr());
        assert_eq!(bench.rows("rows"), bench.rows("collected"));
        assert_eq!(bench.stderr(), "");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_a_tick_beyond_its_deadline_too() {
    let bench = Bench::new("twice");
    fs::write(bench.path("slow"), "").unwrap();
    let mut child = bench.start();
    bench.wait_for("a tick", || bench.rows("collected").len() == 1);
    signal(&child, "TERM");
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(bench.stderr(), "tiny-service: interrupted; nothing more is sent\n");

    let mut child = bench.start();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(bench.stderr().ends_with("tiny-service: not done after 8 s; what is missing is not known\n"));
}

#[test]
fn a_second_one_is_refused_and_a_clock_that_goes_back_stops_nothing() {
    let bench = Bench::new("second");
    let mut child = bench.start();
    bench.run_until(0, 3);
    let mut second = bench.start();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    assert_eq!(bench.stderr(), "tiny-service: another tiny-service runs for g already; end it first\n");
    // An hour back: it goes on with the times of the clock.
    bench.set_clock(BEGIN - 3600);
    bench.set_clock(BEGIN + 30);
    bench.wait_for("a report", || bench.reports().last() == Some(&(BEGIN + 30)));
    bench.run_until(4, 6);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    nothing_is_lost(&bench, 0);
}
