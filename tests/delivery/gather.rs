//! `frame::gather`, proved on a simulated clock: a day with steps of the clock, suspends, a leap second, a sink that is down
//! for eight hours, kills; and kills at any real moment. Nothing is lost but what `publish_seconds` allows, nothing is
//! there twice, every tick is aligned.
//!
//! The service is this test binary again, as a process of its own. Its time passes only while it waits; a script says what
//! happens to the clock and when. What a sensor reads it notes before it returns it: that is the truth that the sink's rows
//! are held to.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use gridmon::frame::{FineClock, GatheredSensor, Plan, Program, Tick, gather, log};
use gridmon::model::{Declaration, Field, Fold, Measurement, SECOND, Tag};
use gridmon::problem::Problem;

use crate::service::{append, setup, signal};

const VALUE: Field<i64> = Field::gauge("value", "ticks", Fold::Last, "the number of a tick");

static TINY: Measurement = Measurement::new(Declaration {
    name: "tiny_sensor",
    meaning: "the ticks of a sensor",
    tags: &[Tag::key("sensor")],
    fields: &[VALUE.info()],
    carbon: "tiny_sensor.{sensor}.value",
    every: 10,
});

static PROGRAM: Program =
    Program { name: "tiny-agent", interval_seconds: 60, deadline_seconds: 60, sources: &[], measurements: &[&TINY] };

/// When the clock begins: midnight.
const BEGIN: i64 = 1_717_200_000;

/// The sensors, each with its interval in milliseconds and whether it is slow.
const SENSORS: [(&str, u64, bool); 4] =
    [("a", 10_000, false), ("b", 7_500, false), ("c", 60_000, true), ("d", 300_000, true)];

const PUBLISH: i64 = 60;

struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gather-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("state")).unwrap();
        fs::write(folder.join("clock"), format!("0 {}", BEGIN * SECOND)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes what happens, and when in seconds of the clock that nobody sets.
    fn script(&self, events: &[(i64, &str)]) {
        let lines: String = events.iter().map(|(at, event)| format!("{} {event}\n", at * SECOND)).collect();
        fs::write(self.path("script"), lines).unwrap();
    }

    fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "gather::the_service_itself", "--nocapture"])
            .env("GRIDMON_TEST_GATHER", &self.folder)
            .stdout(Stdio::null())
            .stderr(OpenOptions::new().create(true).append(true).open(self.path("stderr")).unwrap())
            .spawn()
            .unwrap()
    }

    /// Starts it until it ends by itself instead of being killed; returns how often it was killed.
    fn run(&self) -> usize {
        for kills in 0..100 {
            let ended = self.start().wait().unwrap();
            if ended.code().is_some() {
                assert!(ended.success(), "{}", self.stderr());
                return kills;
            }
        }
        panic!("it does not end");
    }

    fn rows(&self, file: &str) -> BTreeMap<String, usize> {
        let mut rows = BTreeMap::new();
        for line in fs::read_to_string(self.path(file)).unwrap_or_default().lines() {
            *rows.entry(line.to_string()).or_default() += 1;
        }
        rows
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A clock that passes only in waiting, and to which things happen by a script.
struct ScriptedClock {
    folder: PathBuf,
    /// The clock that nobody sets, and the wall clock, in nanoseconds.
    at: RefCell<(i64, i64)>,
    script: RefCell<VecDeque<(i64, String)>>,
}

impl ScriptedClock {
    fn open(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("clock")).unwrap();
        let (steady, wall) = text.split_once(' ').unwrap();
        let at: (i64, i64) = (steady.parse().unwrap(), wall.parse().unwrap());
        let script = fs::read_to_string(folder.join("script")).unwrap();
        let events = script.lines().map(|line| line.split_once(' ').unwrap());
        let events =
            events.map(|(time, event)| (time.parse().unwrap(), event.to_string())).filter(|event| event.0 > at.0);
        Self { folder: folder.into(), at: RefCell::new(at), script: RefCell::new(events.collect()) }
    }

    fn keep(&self) {
        let (steady, wall) = *self.at.borrow();
        fs::write(self.folder.join("clock.new"), format!("{steady} {wall}")).unwrap();
        fs::rename(self.folder.join("clock.new"), self.folder.join("clock")).unwrap();
    }

    fn pass(&self, nanoseconds: i64) {
        let mut at = self.at.borrow_mut();
        *at = (at.0 + nanoseconds, at.1 + nanoseconds);
    }

    fn happen(&self, event: &str) {
        let own = std::process::id();
        match event.split_once(' ').unwrap_or((event, "")) {
            ("step", seconds) => self.at.borrow_mut().1 += seconds.parse::<i64>().unwrap() * SECOND,
            ("down", _) => fs::write(self.folder.join("down"), "").unwrap(),
            ("spoil", _) => fs::write(self.folder.join("wrong"), "").unwrap(),
            ("up", _) => fs::remove_file(self.folder.join("down")).unwrap(),
            ("mend", _) => fs::remove_file(self.folder.join("broken")).unwrap(),
            (name @ ("KILL" | "TERM" | "HUP"), _) => {
                append(&self.folder.join("signals"), &format!("{name} {}\n", self.now()));
                let sent = Command::new("kill").args([&format!("-{name}"), &own.to_string()]).status();
                assert!(sent.unwrap().success());
            }
            other => panic!("{other:?}"),
        }
    }
}

impl FineClock for ScriptedClock {
    fn now(&self) -> i64 {
        self.at.borrow().1
    }

    fn wait(&self, nanoseconds: i64, is_told: &dyn Fn(Duration) -> bool) {
        let target = self.at.borrow().0 + nanoseconds;
        let next = self.script.borrow().front().map(|event| event.0).filter(|time| *time <= target);
        let Some(time) = next else {
            // It wakes up a little late, as all do.
            self.pass(nanoseconds + target.rem_euclid(1_700_000));
            self.keep();
            is_told(Duration::ZERO);
            return;
        };
        let left = time - self.at.borrow().0;
        self.pass(left.max(0));
        let (_, event) = self.script.borrow_mut().pop_front().unwrap();
        self.keep();
        self.happen(&event);
        self.keep();
        if matches!(event.as_str(), "TERM" | "HUP") {
            while !is_told(Duration::from_millis(1)) {}
        } else if event.starts_with("step -") {
            // A wait by a clock that nobody sets is not shortened: the service looks at the clock when it is over.
            let left = target - self.at.borrow().0;
            self.pass(left.max(0));
        }
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

fn plan(folder: &Path) -> Result<Plan> {
    ensure!(!folder.join("wrong").exists(), "c.cfg line 3: it is wrong");
    let sensors = SENSORS.iter().map(|&(name, interval, is_slow)| {
        let folder = folder.to_path_buf();
        let mut number = 0;
        let read = move |tick: Tick| {
            number += 1;
            let point = TINY.point(tick.time, [name], &[VALUE.of(number)]);
            append(&folder.join("collected"), &(point.line() + "\n"));
            let hangs = |at| Problem::of_source(format!("mount /{at}"), "hangs");
            let is_broken = name == "d" && folder.join("broken").exists();
            (vec![point], if is_broken { (1..=5).map(hangs).collect() } else { vec![] })
        };
        GatheredSensor {
            name: name.into(),
            interval: Duration::from_millis(interval),
            is_slow,
            options: String::new(),
            read: Box::new(read),
        }
    });
    Ok(Plan {
        setup: setup(folder),
        sensors: sensors.collect(),
        publish_seconds: PUBLISH as u64,
        logging: log::Config { filename: None, max_bytes: 0, backup_count: 0, level: None },
        news: None,
        warnings: vec![],
    })
}

/// Not a test: the process that the tests start.
#[test]
fn the_service_itself() {
    let Some(folder) = std::env::var_os("GRIDMON_TEST_GATHER").map(PathBuf::from) else { return };
    let clock = ScriptedClock::open(&folder);
    let code = gather(&PROGRAM, None, &clock, |_| plan(&folder), || {});
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

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
