//! `frame::service`, proved with a tiny service of the tests' own on a simulated clock: ticks, a sink that is down for an
//! hour, kills and restarts, SIGTERM in the middle of a tick. Nothing is lost, nothing is there twice.
//!
//! The service is this test binary again, as a process of its own. Its clock is a file; its sink appends each row to a
//! file, with one write a batch, and refuses while a file `down` is there. What it collected it notes, before it publishes,
//! in a file too: that is the truth that the sink's rows are held to.

mod proofs;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use gridmon::frame::{Clock, Common, Program, Run, Setup, service};
use gridmon::model::{Catalog, Collected, Declaration, Field, Fold, Measurement, Tag};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::{self, Batch};

const VALUE: Field<i64> = Field::gauge("value", "ticks", Fold::Last, "the time of the tick");

static TINY: Measurement = Measurement::new(Declaration {
    name: "tiny",
    meaning: "the number of a tick",
    tags: &[Tag::key("grid")],
    fields: &[VALUE.info()],
    carbon: "tiny.{grid}.value",
    every: 60,
});

static PROGRAM: Program =
    Program { name: "tiny-service", interval_seconds: 10, deadline_seconds: 8, sources: &[], measurements: &[&TINY] };

/// The tick at which the clock begins.
const BEGIN: i64 = 1_717_245_000;

/// A folder with the clock and the files of one service.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("service-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("state")).unwrap();
        let bench = Self { folder };
        bench.set_clock(BEGIN);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn set_clock(&self, time: i64) {
        fs::write(self.path("clock.new"), time.to_string()).unwrap();
        fs::rename(self.path("clock.new"), self.path("clock")).unwrap();
    }

    fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "service::the_service_itself", "--nocapture"])
            .env("GRIDMON_TEST_SERVICE", &self.folder)
            .stdout(Stdio::null())
            .stderr(OpenOptions::new().create(true).append(true).open(self.path("stderr")).unwrap())
            .spawn()
            .unwrap()
    }

    /// How many ticks have been published, or given up: each leaves a report.
    fn reports(&self) -> Vec<i64> {
        let text = fs::read_to_string(self.path("state/tiny-service.g.reports")).unwrap_or_default();
        let time = |line: &str| Some(line.split("\"time\":").nth(1)?.split(',').next()?.parse().unwrap());
        text.lines().filter_map(time).collect()
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            let printed = fs::read_to_string(self.path("stderr")).unwrap_or_default();
            assert!(Instant::now() < limit, "{what} did not come; it printed: {printed}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Moves the clock tick by tick up to `tick`, and waits each time until the report is there.
    fn run_until(&self, from: i64, to: i64) {
        for tick in from..to {
            self.set_clock(BEGIN + tick * 10);
            self.wait_for("a report", || self.reports().last() == Some(&(BEGIN + tick * 10)));
        }
    }

    /// The rows of a file, `tick value` a line, each with how often it is there.
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

pub(crate) fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The clock in the bench's file.
struct FileClock(PathBuf);

impl Clock for FileClock {
    fn now(&self) -> i64 {
        fs::read_to_string(&self.0).unwrap().parse().unwrap()
    }

    fn wait(&self, time: i64, is_told_to_end: &dyn Fn(Duration) -> bool) {
        while self.now() < time && !is_told_to_end(Duration::from_millis(1)) {}
    }
}

/// A sink that keeps its rows in a file and is down while a file says so.
pub(crate) struct FileSink(pub PathBuf);

impl Sink for FileSink {
    fn name(&self) -> &str {
        "file"
    }

    fn send(&self, batch: &Batch, _: Instant) -> Sent {
        let rows = batch.points.iter().filter(|point| point.measurement().starts_with("tiny"));
        let rows: String = rows.map(|point| point.line() + "\n").collect();
        let result = if self.0.join("down").exists() {
            Err(anyhow!("it is down"))
        } else {
            append(&self.0.join("rows"), &rows);
            Ok(())
        };
        Sent { dropped: vec![], refused: vec![], result }
    }

    fn check(&self, _: Instant) -> Result<String> {
        ensure!(!self.0.join("down").exists(), "it is down");
        Ok("it is up".into())
    }
}

pub(crate) fn setup(folder: &Path) -> Setup {
    let own = folder.to_path_buf();
    Setup {
        config_path: None,
        scope: "g".into(),
        deadline_seconds: None,
        interval_seconds: None,
        state_directory: Some(folder.join("state")),
        spool: spool::Config {
            max_bytes: 1 << 30,
            max_age_days: 36_500,
            max_disk_percent: 100,
            replay_points_per_second: 1_000_000,
        },
        catalog: Catalog::new(PROGRAM.measurements),
        database: String::new(),
        roles: String::new(),
        mail: None,
        tables: None,
        sinks: Box::new(move |_| vec![Box::new(FileSink(own.clone()))]),
    }
}

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// Not a test: the process that the tests start.
#[test]
fn the_service_itself() {
    let Some(folder) = std::env::var_os("GRIDMON_TEST_SERVICE").map(PathBuf::from) else { return };
    let tick = |run: &Run<PathBuf>| {
        let point = TINY.point(run.time, ["g"], &[VALUE.of(run.now)]);
        append(&folder.join("collected"), &(point.line() + "\n"));
        // A tick that is told to be slow gives the test the time to end the service in the middle of it.
        while folder.join("slow").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Collected { points: vec![point], complete: vec![&TINY], ..Collected::default() }
    };
    let clock = FileClock(folder.join("clock"));
    let load = |_: Option<&Path>, _: &Program| Ok((folder.clone(), setup(&folder)));
    let common = Args::parse_from(["tiny-service"]).common;
    let code = service(&PROGRAM, &common, &clock, load, tick, |_, _| vec![]);
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}
