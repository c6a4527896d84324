//! `frame::gather`, proved on a simulated clock: a day with steps of the clock, suspends, a leap second, a sink that is down
//! for eight hours, kills; and kills at any real moment. Nothing is lost but what `publish_seconds` allows, nothing is
//! there twice, every tick is aligned.
//!
//! The service is this test binary again, as a process of its own. Its time passes only while it waits; a script says what
//! happens to the clock and when. What a sensor reads it notes before it returns it: that is the truth that the sink's rows
//! are held to.

mod proofs;

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

use crate::service::{append, setup};

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
            ("lose", _) => fs::write(self.folder.join("lost"), "").unwrap(),
            ("find", _) => fs::remove_file(self.folder.join("lost")).unwrap(),
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
            if name == "d" && folder.join("lost").exists() {
                return (vec![], vec![Problem::of_sensor(name, "is lost")]);
            }
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
