//! What lasts from one run to the next: the lock, the reports of the last runs, and what a source remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::Access;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::delivery::Account;
use crate::point::{Field, Fold, Kind, Measurement, Point, SECOND, Tag, Value, carbon_component};
use crate::sources::Problem;

/// The state of one program on one grid.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    /// `collect-grid.heprc`: what the names of its files begin with.
    stem: String,
    /// The reports of the runs before, oldest first.
    reports: Vec<Report>,
}

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The run's clock, in unix seconds.
    pub time: i64,
    /// How long it took.
    pub duration_seconds: f64,
    /// Whether everything answered and everything was delivered.
    pub success: bool,
    /// How many points it collected.
    pub collected: usize,
    /// What became of them, by sink.
    pub sinks: BTreeMap<String, Account>,
    /// How long each source took, in seconds.
    pub sources: BTreeMap<String, f64>,
    /// The first names of dropped points, each with the reason.
    pub dropped: Vec<String>,
    /// What failed, and since when.
    pub failing: BTreeMap<String, Failing>,
}

/// A failure that may last over many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The first run that failed so, in unix seconds.
    pub since: i64,
    /// The last run that said so.
    pub said: i64,
    /// What happened in the run of the report.
    pub words: String,
}

const fn tag(name: &'static str) -> Tag {
    Tag { name, identifies: true }
}

const fn field(name: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> Field {
    Field { name, kind, unit, meaning, fold: Fold::Mean, count: false }
}

/// What every cron program sends of its run before.
pub static RUN: Measurement = Measurement {
    name: "run",
    meaning: "what a run of a program did, sent by the next one with the time of the run it describes",
    tags: &[tag("grid"), tag("host"), tag("program")],
    fields: &[
        field("success", Kind::Int, "0 or 1", "whether everything answered and was delivered"),
        field("duration_seconds", Kind::Float, "seconds", "how long it took"),
        field("collected", Kind::Int, "points", "how many it collected"),
        field("delivered", Kind::Int, "points", "how many every sink acknowledged"),
        field("spooled", Kind::Int, "points", "how many waited for some sink at its end"),
        field("dropped", Kind::Int, "points", "how many were dropped by name for some sink"),
    ],
    carbon: "run.{grid}.{host}.{program}.{field}",
};

/// What every cron program sends for each measurement of which it saw every series that there is. Without it a count that
/// is absent at a time could be zero or unknown, and no mean over an hour could be right.
pub static COVERAGE: Measurement = Measurement {
    name: "coverage",
    meaning: "that a run saw every series of a measurement: a count that is absent at its time is zero, not unknown",
    tags: &[tag("grid"), tag("measurement")],
    fields: &[Field {
        name: "slots",
        kind: Kind::Int,
        unit: "runs",
        meaning: "1 for a run; summed over an hour or a day",
        fold: Fold::Sum,
        count: false,
    }],
    carbon: "coverage.{grid}.{measurement}",
};

impl Report {
    /// The report as a point, rounded down to the program's step.
    pub fn point(&self, grid: &str, host: &str, program: &str, step_seconds: i64) -> Point {
        let most = |count: fn(&Account) -> usize| self.sinks.values().map(count).max().unwrap_or_default();
        let (spooled, dropped) = (most(|account| account.spooled), most(|account| account.dropped));
        let count = |count: usize| Value::Int(count as i64);
        let fields = [
            ("success", Value::Int(self.success.into())),
            ("duration_seconds", Value::Float(self.duration_seconds)),
            ("collected", count(self.collected)),
            ("delivered", count(self.collected.saturating_sub(spooled + dropped))),
            ("spooled", count(spooled)),
            ("dropped", count(dropped)),
        ];
        RUN.point(self.time.div_euclid(step_seconds) * step_seconds * SECOND, [grid, host, program], &fields)
    }
}

/// The series of counts that vanished: those of `before` that none of `points` belongs to, though every series of their
/// measurement was seen (`complete`). Returns a zero for each at `time`, and the series to remember: those of `points`, and
/// of `before` where nobody knows.
pub fn vanished(
    before: &BTreeSet<String>,
    points: &[Point],
    complete: &[&'static Measurement],
    time: i64,
) -> (Vec<Point>, BTreeSet<String>) {
    let counts = |point: &Point| {
        crate::measurement(point.measurement()).is_some_and(|m| m.fields.iter().any(|field| field.count))
    };
    let mut after: BTreeSet<_> = points.iter().filter(|point| counts(point)).map(Point::series).collect();
    let mut zeros = Vec::new();
    let mut unknown = Vec::new();
    for series in before.difference(&after) {
        let Ok(last) = Point::of_series(series) else { continue };
        match complete.iter().find(|measurement| measurement.name == last.measurement()) {
            Some(measurement) => {
                let fields = measurement.fields.iter().filter(|field| field.count).map(|field| {
                    let zero = if field.kind == Kind::Int { Value::Int(0) } else { Value::Float(0.0) };
                    (field.name.into(), zero)
                });
                zeros.push(last.at(time, fields));
            }
            None => unknown.push(series.clone()),
        }
    }
    after.extend(unknown);
    (zeros, after)
}

/// How many reports are kept.
const KEPT: usize = 100;

/// How often a failure that lasts is said again, in seconds.
const AGAIN: i64 = 3600;

impl State {
    /// The state of `program` on `grid`, in `directory`; else in `/var/lib/gridmon` when that is writable; else in
    /// `~/.local/state/gridmon`. The directory is made when it is not there and `may_write`.
    ///
    /// # Errors
    /// When no directory can be had, or a report cannot be read.
    pub fn open(directory: Option<&Path>, program: &str, grid: &str, may_write: bool) -> Result<Self> {
        let directory = match directory {
            Some(directory) => have(directory, may_write)?,
            None => default_directory(may_write)?,
        };
        let stem = format!("{program}.{}", carbon_component(grid));
        let mut state = Self { directory, stem, reports: Vec::new() };
        let path = state.path("reports");
        match read_reports(&path) {
            Ok((reports, _)) => state.reports = reports,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        Ok(state)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{}.{what}", self.stem))
    }

    /// The report of the last run.
    pub fn last(&self) -> Option<&Report> {
        self.reports.last()
    }

    /// Appends a report and forgets the oldest beyond a hundred.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, report: Report) -> Result<()> {
        self.reports.push(report);
        let from = self.reports.len().saturating_sub(KEPT);
        let mut text = String::new();
        for report in &self.reports[from..] {
            text.push_str(&serde_json::to_string(report).context("report")?);
            text.push('\n');
        }
        write(&self.path("reports"), text.as_bytes())
    }

    /// What was remembered as `what`; the default when nothing was, or nothing that this version can read.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> T {
        fs::read(self.path(what)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Remembers `value` as `what`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember<T: Serialize>(&self, what: &str, value: &T) -> Result<()> {
        let bytes = serde_json::to_vec(value).with_context(|| what.to_string())?;
        write(&self.path(what), &bytes)
    }

    /// Takes the lock of this program and grid; `None` when another run holds it and has not outlived `deadline`.
    ///
    /// # Errors
    /// When the holder has outlived `deadline`, with its process and age, or the lock cannot be had for another reason.
    pub fn lock(&self, deadline: Duration) -> Result<Option<Lock>> {
        let path = self.path("lock");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(&path).or_else(
                |error| match error.kind() {
                    // A disk that has gone read-only can be locked all the same.
                    ErrorKind::ReadOnlyFilesystem => File::open(&path),
                    _ => Err(error),
                },
            );
        let mut file = file.with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => {
                let holder = format!("{} {}\n", std::process::id(), unix_now());
                // The note is for the words of others. A full disk, which cannot take it, must not keep what is collected
                // now from the sinks.
                let _ = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
                Ok(Some(Lock(file)))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
            Err(TryLockError::WouldBlock) => {
                let Some((pid, began)) = holder(&mut file) else { return Ok(None) };
                if unix_now() - began <= deadline.as_secs() as i64 {
                    return Ok(None);
                }
                // The note of a run that was killed stands until the next one has written its own.
                std::thread::sleep(Duration::from_millis(100));
                if holder(&mut file) != Some((pid, began)) {
                    return Ok(None);
                }
                bail!(
                    "process {pid} has held {} for {}, longer than any run may take; nothing was collected; end it with: kill -9 {pid}",
                    path.display(),
                    ago(unix_now() - began)
                )
            }
        }
    }
}

/// The last runs of one program on one grid, as a state directory has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The program.
    pub program: String,
    /// The grid, as the names of its files have it.
    pub grid: String,
    /// Its reports, oldest first; empty when there are none that can be read.
    pub reports: Vec<Report>,
    /// Why some of it cannot be read, in words; empty when all of it can.
    pub problem: String,
}

/// The last runs of every program on every grid that has its state in `directory`, sorted by program and grid. Reads only.
///
/// # Errors
/// When the directory cannot be read. A file in it that cannot be read is said in its [`History::problem`].
pub fn histories(directory: &Path) -> Result<Vec<History>> {
    let context = || format!("state directory {}", directory.display());
    let mut histories = Vec::new();
    for file in fs::read_dir(directory).with_context(context)? {
        let name = file.with_context(context)?.file_name();
        // The grid is a component of a Carbon path, so it has no dot.
        let Some((program, grid)) =
            name.to_str().and_then(|name| name.strip_suffix(".reports")).and_then(|stem| stem.rsplit_once('.'))
        else {
            continue;
        };
        let mut history = History { program: program.into(), grid: grid.into(), ..History::default() };
        match read_reports(&directory.join(&name)) {
            Ok((reports, unread)) => {
                history.reports = reports;
                if unread > 0 {
                    history.problem = format!("{unread} lines are no reports: damaged, or of another version");
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => history.problem = error.to_string(),
        }
        histories.push(history);
    }
    histories.sort_by(|a, b| (&a.program, &a.grid).cmp(&(&b.program, &b.grid)));
    Ok(histories)
}

/// The reports of a file, and how many of its lines are none. Such a line, from another version or a damaged disk, is
/// history lost and no more.
fn read_reports(path: &Path) -> std::io::Result<(Vec<Report>, usize)> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let reports: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let unread = text.lines().count() - reports.len();
    Ok((reports, unread))
}

/// The lock of a run; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // So that nobody takes this run's note for that of the next one.
        let _ = self.0.set_len(0);
    }
}

fn holder(file: &mut File) -> Option<(u32, i64)> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(100).read_to_string(&mut text).ok()?;
    let (pid, began) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, began.parse().ok()?))
}

fn unix_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Where all programs of a machine keep their state, when they may.
const SHARED: &str = "/var/lib/gridmon";

fn default_directory(may_write: bool) -> Result<PathBuf> {
    let shared = have(Path::new(SHARED), may_write).ok();
    if let Some(shared) = shared.filter(|shared| rustix::fs::access(shared, Access::WRITE_OK).is_ok()) {
        return Ok(shared);
    }
    let home = own_directory()
        .context("no place for state: /var/lib/gridmon cannot be written and HOME is not set; set [state] directory")
        .and_then(|home| have(&home, may_write));
    // Who only looks, as a monitor's user does, need not be able to write where the programs do.
    if may_write { home } else { home.or_else(|error| have(Path::new(SHARED), false).map_err(|_| error)) }
}

/// Where a user's own programs keep it.
fn own_directory() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| Path::new(home).is_absolute())?;
    Some(Path::new(&home).join(".local/state/gridmon"))
}

/// Where the state directory is, for who only looks: where the first run would make it when there is none.
pub fn directory(configured: Option<&Path>) -> PathBuf {
    let there = configured.map_or_else(|| default_directory(false), |configured| have(configured, false));
    there.unwrap_or_else(|_| place(configured))
}

/// Where the first run would make it.
fn place(configured: Option<&Path>) -> PathBuf {
    let shared = rustix::fs::access("/var/lib", Access::WRITE_OK).is_ok().then(|| SHARED.into());
    configured.map(PathBuf::from).or(shared).or_else(own_directory).unwrap_or_else(|| SHARED.into())
}

/// The directory, made when it is not there and `may_write`.
fn have(directory: &Path, may_write: bool) -> Result<PathBuf> {
    let there = if may_write {
        DirBuilder::new().recursive(true).mode(0o750).create(directory)
    } else {
        fs::metadata(directory).map(drop)
    };
    there.with_context(|| format!("state directory {}", directory.display()))?;
    Ok(directory.to_path_buf())
}

/// Writes a file so that it is there whole or not at all: aside, synced, renamed.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension(format!("{}.new", path.extension().unwrap_or_default().to_string_lossy()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
    written.and_then(|()| fs::rename(&aside, path)).with_context(|| format!("state file {}", path.display()))
}

/// What a run has to say of its problems, given those of the run before, and what is failing now. A failure is said when
/// it begins, every hour while it lasts, and when it is over; `always` says it each time.
pub fn say(
    before: &BTreeMap<String, Failing>,
    problems: &[Problem],
    now: i64,
    always: bool,
) -> (Vec<String>, BTreeMap<String, Failing>) {
    let mut lines = Vec::new();
    let mut failing = BTreeMap::new();
    for Problem { what, words } in problems {
        let mut state =
            before.get(what).cloned().unwrap_or(Failing { since: now, said: i64::MIN, words: String::new() });
        state.words = words.clone();
        // A clock that was set back must not silence it until its time has come again.
        if always || !(0..AGAIN).contains(&now.saturating_sub(state.said)) {
            let lasting = if state.since < now { format!(", for {}", ago(now - state.since)) } else { String::new() };
            lines.push(format!("{what}: {words}{lasting}"));
            state.said = now;
        }
        failing.insert(what.clone(), state);
    }
    let names: BTreeSet<_> = failing.keys().collect();
    for (what, state) in before.iter().filter(|(what, _)| !names.contains(what)) {
        lines.push(format!("{what}: works again after {}", ago(now - state.since)));
    }
    (lines, failing)
}

/// A length of time in words: `50 s`, `25 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn ago(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        i64::MIN..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_failure_speaks_at_its_onset_hourly_and_at_its_end() {
        let dead = [Problem::new("schedd a", "no answer")];
        let both = [Problem::new("schedd a", "refused"), Problem::new("carbon", "refused")];
        let mut failing = BTreeMap::new();
        let mut run = |problems: &[Problem], minute: i64| {
            let (lines, after) = say(&failing, problems, minute * 60, false);
            failing = after;
            lines
        };
        assert_eq!(run(&dead, 0), ["schedd a: no answer"]);
        assert!(run(&dead, 1).is_empty());
        assert_eq!(run(&both, 2), ["carbon: refused"], "what begins later has an onset of its own");
        assert!(run(&both, 59).is_empty());
        assert_eq!(run(&both, 60), ["schedd a: refused, for 60 min"]);
        assert_eq!(run(&dead, 61), ["carbon: works again after 59 min"]);
        assert!(run(&dead, 62).is_empty());
        assert_eq!(run(&[], 130), ["schedd a: works again after 2 h 10 min"]);
        assert!(run(&[], 131).is_empty());
        assert_eq!(run(&dead, 132), ["schedd a: no answer"]);
        assert_eq!(run(&dead, 5), ["schedd a: no answer"], "the clock was set back");
        assert!(run(&dead, 6).is_empty());
    }

    #[cfg(feature = "grid")]
    #[test]
    fn a_count_that_vanished_from_a_complete_answer_goes_to_zero_once() {
        let measurement = |name| crate::measurement(name).expect("it is declared");
        let (jobs, vms, cloud) = (measurement("grid_jobs"), measurement("grid_vms"), measurement("grid_cloud"));
        let job = |status: &str, n: i64| jobs.point(7, ["a b", "all", status], &[("jobs", n.into())]);
        let vm = vms.point(7, ["a b", "c,d", "w", "running"], &[("vms", 3.into())]);
        let quota = cloud.point(7, ["a b", "c"], &[("quota", 3.into())]);
        let (zeros, first) =
            vanished(&BTreeSet::new(), &[job("idle", 5), job("held", 1), vm.clone(), quota], &[jobs, vms], 7);
        assert!(zeros.is_empty());
        assert_eq!(first.len(), 3, "a quota that vanished is unknown, not zero: {first:?}");

        // Cloud Scheduler is down: nobody knows of its machines.
        let (zeros, second) = vanished(&first, &[job("idle", 5)], &[jobs], 8);
        assert_eq!(zeros, [jobs.point(8, ["a b", "all", "held"], &[("jobs", 0.into())])]);
        assert!(second.contains(&vm.series()));
        // It is back, without them.
        let (zeros, third) = vanished(&second, &[job("idle", 5)], &[jobs, vms], 9);
        assert_eq!(zeros, [vms.point(9, ["a b", "c,d", "w", "running"], &[("vms", 0.into())])]);
        assert_eq!(vanished(&third, &[job("idle", 5)], &[jobs, vms], 10), (vec![], third));
    }

    #[test]
    fn reports_last_and_the_oldest_of_many_are_forgotten() {
        let directory =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("state-test-{}", std::process::id()));
        let open = || State::open(Some(&directory), "collect-x", "a/b c", true).unwrap();
        let mut state = open();
        assert_eq!(state.last(), None);
        for time in 0..130 {
            state.add(Report { time, ..Report::default() }).unwrap();
        }
        let path = directory.join("collect-x.a_b_c.reports");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 100);
        fs::write(&path, format!("{text}{{damaged\n")).unwrap();
        assert_eq!(open().last().unwrap().time, 129);
        assert_eq!(open().recall::<Vec<String>>("schedds"), Vec::<String>::new());
        state.remember("schedds", &["a"]).unwrap();
        assert_eq!(open().recall::<Vec<String>>("schedds"), ["a"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
