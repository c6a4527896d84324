//! What is proved of a service with sensors: its ticks are aligned, and what steps, suspends, outages and kills cost.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use gridmon::model::SECOND;

use super::{Bench, PUBLISH, SENSORS};
use crate::service::{append, signal};

/// The sensor and the time of a row.
fn key(row: &str) -> (String, i64) {
    let (name, time) = (row.split([',', '=', ' ']).nth(2).unwrap(), row.rsplit(' ').next().unwrap());
    (name.into(), time.parse().unwrap())
}

/// The times of each sensor's rows, in the order of the file.
fn times(bench: &Bench, file: &str) -> BTreeMap<String, Vec<i64>> {
    let mut times = BTreeMap::<_, Vec<_>>::new();
    for row in fs::read_to_string(bench.path(file)).unwrap().lines() {
        let (name, time) = key(row);
        times.entry(name).or_default().push(time);
    }
    times
}

/// Every tick stands at a multiple of its interval, none is there twice, and each follows the one before it by the interval,
/// but where the script lets the clock jump or the service be killed: at most `breaks` times.
fn every_tick_is_aligned(bench: &Bench, breaks: usize) {
    for (name, times) in times(bench, "collected") {
        let (_, interval, _) = SENSORS.iter().find(|sensor| sensor.0 == name).unwrap();
        let interval = *interval as i64 * 1_000_000;
        assert!(times.iter().all(|time| time % interval == 0), "{name}");
        let odd: Vec<_> = times.windows(2).filter(|two| two[1] - two[0] != interval).collect();
        assert!(odd.iter().all(|two| two[1] > two[0] || two[0] - two[1] > 120 * SECOND), "{name}: {odd:?}");
        assert!(odd.len() <= breaks, "{name}: {odd:?}");
    }
}

/// All that was collected is stored, once, but for what a kill took with it.
fn all_is_stored(bench: &Bench, twice: usize) {
    let signals = fs::read_to_string(bench.path("signals")).unwrap_or_default();
    let kills: Vec<i64> = signals.lines().filter_map(|line| line.strip_prefix("KILL ")?.parse().ok()).collect();
    let (collected, stored) = (bench.rows("collected"), bench.rows("rows"));
    let is_excused = |row: &&String| {
        let time = key(row).1;
        kills.iter().any(|kill| (0..=PUBLISH * SECOND).contains(&(kill - time)))
    };
    let missing: Vec<_> = collected.keys().filter(|row| !stored.contains_key(*row)).collect();
    let unexcused: Vec<_> = missing.iter().filter(|row| !is_excused(row)).collect();
    assert!(unexcused.is_empty(), "lost: {unexcused:?}");
    assert!(stored.keys().all(|row| collected.contains_key(row)), "invented rows");
    let again: usize = stored.values().map(|times| times - 1).sum();
    assert!(again <= twice, "{again} rows are there twice");
}

const HOUR: i64 = 3600;

#[test]
fn a_day_with_steps_suspends_a_leap_second_an_outage_and_kills_loses_what_publish_seconds_allows() {
    let bench = Bench::new("day");
    bench.script(&[
        (HOUR + 7, "step 5"),
        (HOUR * 3 / 2 + 1, "step -1"),
        (2 * HOUR + 33, "KILL"),
        (3 * HOUR, "down"),
        (5 * HOUR + 21, "KILL"),
        (6 * HOUR, "step -90"),
        (7 * HOUR + 1, "step 7200"),
        (11 * HOUR, "up"),
        (12 * HOUR, "HUP"),
        (14 * HOUR + 59, "KILL"),
        (15 * HOUR + 3, "step 1800"),
        (18 * HOUR, "step 28800"),
        (24 * HOUR + 11, "TERM"),
    ]);
    assert_eq!(bench.run(), 3);
    all_is_stored(&bench, 0);
    // Each step ahead, kill, and the new config (whose first tick is the next one) may break a row of ticks once.
    every_tick_is_aligned(&bench, 8);
    let times = times(&bench, "rows");
    // A day of ticks, but for what the clock jumped back and the kills cost.
    for (name, least) in [("a", 8_640 - 30), ("b", 11_520 - 40), ("c", 1_440 - 6), ("d", 288 - 4)] {
        assert!((least..=least + 130).contains(&times[name].len()), "{name}: {}", times[name].len());
    }
    let stderr = bench.stderr();
    let said = |text: &str| stderr.lines().filter(|line| line.contains(text)).count();
    assert_eq!((said("file: it is down; "), said("file: works again after ")), (1, 1), "{stderr}");
    assert_eq!(said("has read its config again"), 1, "{stderr}");
}

#[test]
fn killed_at_any_moment_it_loses_no_more_than_the_last_batch() {
    let bench = Bench::new("any");
    bench.script(&[(400 * HOUR, "TERM")]);
    let kills = 30;
    for round in 0..kills {
        let mut child = bench.start();
        let begun = bench.rows("rows").len();
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while bench.rows("rows").len() < begun + 100 {
            assert!(std::time::Instant::now() < limit, "{}", bench.stderr());
            std::thread::sleep(Duration::from_micros(500 + 137 * round));
        }
        signal(&child, "KILL");
        child.wait().unwrap();
        let clock = fs::read_to_string(bench.path("clock")).unwrap();
        append(&bench.path("signals"), &format!("KILL {}\n", clock.split(' ').next_back().unwrap()));
    }
    let mut child = bench.start();
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success(), "{}", bench.stderr());
    // A batch that was sent and not yet acknowledged is sent again.
    let a_batch = PUBLISH as usize;
    all_is_stored(&bench, kills as usize * a_batch);
    every_tick_is_aligned(&bench, kills as usize + 1);
}

#[test]
fn a_wrong_new_config_is_said_and_the_old_one_goes_on() {
    let bench = Bench::new("wrong");
    bench.script(&[(199, "spoil"), (200, "HUP"), (700, "TERM")]);
    assert_eq!(bench.run(), 0);
    let stderr = bench.stderr();
    let line = "tiny-agent: the new config is not used, the old one stays: c.cfg line 3: it is wrong";
    assert!(stderr.lines().any(|said| said == line), "{stderr}");
    all_is_stored(&bench, 0);
    every_tick_is_aligned(&bench, 0);
}

/// A sensor that is read every five minutes reports five mounts that hang; the batches in between, those after a new config
/// and those of the next process know nothing new of them.
#[test]
fn what_is_not_read_again_neither_fails_anew_nor_works_again_and_each_is_named() {
    let bench = Bench::new("unknown");
    fs::write(bench.path("broken"), "").unwrap();
    bench.script(&[(400, "HUP"), (700, "KILL"), (1000, "mend"), (1500, "TERM")]);
    assert_eq!(bench.run(), 1);
    let stderr = bench.stderr();
    for at in 1..=5 {
        let said = |text: &str| stderr.lines().filter(|line| line.contains(&format!("mount /{at}: {text}"))).count();
        assert_eq!((said("hangs"), said("works again")), (1, 1), "{stderr}");
    }
    assert!(!stderr.contains("--verbose"), "{stderr}");
}

/// The same sensor gives nothing for a while, and so nobody knows of the mounts.
#[test]
fn parts_of_a_sensor_that_gives_nothing_do_not_work_again() {
    let bench = Bench::new("lost");
    fs::write(bench.path("broken"), "").unwrap();
    bench.script(&[(700, "lose"), (1400, "find"), (2000, "mend"), (2500, "TERM")]);
    assert_eq!(bench.run(), 0);
    let stderr = bench.stderr();
    for part in ["mount /1: hangs", "mount /1: works again", "sensor d: is lost", "sensor d: works again"] {
        assert_eq!(stderr.matches(part).count(), 1, "{part}: {stderr}");
    }
}
