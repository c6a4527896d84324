//! The embedded store written by real runs of collect-grid: four at once, killed anywhere, on disks that are full, read-only
//! or failing, with the file locked, replaced or no store at all. Each fault is said in words and costs no point: what
//! waits in the spool is in the store after the next run that finds all in order.

mod disk;
mod identity;
mod kills;
mod refused;
mod rules;
mod small;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::query::Selector;
use gridmon::sinks::embedded::{Place as StorePlace, Store};
use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::proof::{Clouds, Keeper, Key, Random, batches, copy, is_report, names, seed, slot, soak};
use gridmon_testkit::sandbox::tracer::{self, Threads, may_trace, was_killed};
use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{free_port, signal, skip, wait_until};
use rusqlite::Connection;

/// The slot of the first run.
const START: i64 = 1_717_200_000;

const MINUTE: i64 = 60;

/// A sandbox whose grid goes to a store that `[embedded] path` names.
struct Place {
    sandbox: Sandbox,
    clouds: Clouds,
}

impl Place {
    fn new(count: usize) -> Self {
        let this = Self { sandbox: Sandbox::new("small"), clouds: Clouds::new(count) };
        fs::create_dir(this.sandbox.path("data")).unwrap();
        this.config(&format!("[embedded]\npath = {}\n", this.store().display()));
        this
    }

    fn store(&self) -> PathBuf {
        self.sandbox.path("data/store.db")
    }

    fn config(&self, more: &str) {
        config(&self.sandbox, &self.clouds, more);
    }

    /// The id of the store that the state directory remembers.
    fn id(&self) -> String {
        let memory = fs::read_to_string(self.sandbox.path("state/embedded.stores")).unwrap();
        memory.split(' ').next().unwrap().to_string()
    }

    /// What is said of a store that is not there any more.
    fn gone(&self) -> String {
        format!(
            "{} is gone, and earlier runs wrote to it (store {}): is its disk mounted? Put it or a copy back, or begin a new one with: gridmon-status store accept",
            self.store().display(),
            self.id()
        )
    }

    /// What `gridmon-status` says with these arguments, by the clock of that minute.
    fn status(&self, minute: i64, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.status_command(minute, arguments))
    }

    fn status_command(&self, minute: i64, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridmon-status"));
        command.args(["-c", "heprc.cfg", "--now", &(START + MINUTE * minute).to_string()]).args(arguments);
        command.current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command
    }

    /// A run that tells everything, this many minutes after the first.
    fn run(&self, minute: i64) -> Outcome {
        let arguments = self.clouds.at(&self.sandbox, START + MINUTE * minute);
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push("-v");
        self.sandbox.run(&arguments)
    }

    /// A run that must fail with these words, in time, with its points in the spool.
    fn fails(&self, minute: i64, words: &str) {
        let outcome = self.run(minute);
        self.failed(&outcome, words);
    }

    fn failed(&self, outcome: &Outcome, words: &str) {
        let waiting = batches(&self.sandbox);
        assert_eq!(outcome.code, Some(1), "{words}: {outcome:?}");
        let line = outcome.stderr.lines().find(|line| line.contains(": embedded: ") && line.contains("points wait"));
        let line = line.unwrap_or_else(|| panic!("{words}: {}", outcome.stderr));
        let [_, delivered, spooled, dropped] = account(&outcome.stderr);
        let expected = format!("collect-grid: embedded: {words}; {spooled} points wait in the spool");
        assert!(line.starts_with(&expected), "\n{line}\n{expected}");
        assert_eq!((delivered, dropped), (0, 0), "{words}: {}", outcome.stderr);
        assert!(spooled >= self.clouds.points() && !waiting.is_empty(), "{words}: {waiting:?}");
        assert!(!outcome.stderr.contains("panicked") && !outcome.stderr.contains("bug"), "{}", outcome.stderr);
    }

    /// A run with all in order, after which the store has exactly these minutes and nothing waits.
    fn recovers(&self, minute: i64, minutes: impl IntoIterator<Item = i64>) {
        let outcome = self.run(minute);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(batches(&self.sandbox), Vec::<String>::new());
        self.has(minutes);
    }

    fn has(&self, minutes: impl IntoIterator<Item = i64>) {
        let mut expected = BTreeMap::new();
        minutes.into_iter().for_each(|minute| expected.extend(datapoints(&self.clouds, START + MINUTE * minute)));
        assert_same(&stored(&self.store()), &expected);
        sound(&self.store());
    }
}

/// Makes `clouds` the grid of the sandbox; `more` is config.
fn config(sandbox: &Sandbox, clouds: &Clouds, more: &str) {
    let Clouds { grid, deadline_seconds, .. } = clouds;
    let text = format!(
        "[grid]\nname = {grid}\ndeadline_seconds = {deadline_seconds}\n[state]\ndirectory = {}\n[cloud_scheduler]\ncommand = cat {}\n{more}",
        sandbox.path("state").display(),
        sandbox.path(&format!("{grid}.json")).display(),
    );
    sandbox.write(&format!("{grid}.cfg"), text);
}

/// Whether a value is of the grid itself, not about runs.
fn of_grid(key: &Key) -> bool {
    !is_report(&key.0) && !key.0.starts_with("coverage.")
}

/// What a run at this time must bring, by Carbon's path: every sink has the same.
pub(crate) fn datapoints(clouds: &Clouds, time: i64) -> BTreeMap<Key, f64> {
    clouds.datapoints(time).into_iter().filter(|(key, _)| of_grid(key)).collect()
}

/// The raw values of a store by Carbon's path and time in seconds, those about runs left out.
pub(crate) fn stored(store: &Path) -> BTreeMap<Key, f64> {
    all_stored(store).into_iter().filter(|(key, _)| of_grid(key)).collect()
}

fn all_stored(store: &Path) -> BTreeMap<Key, f64> {
    let mut values = BTreeMap::new();
    let Some(store) = Store::open_to_read(store).unwrap() else { return values };
    let mut each = |point: Point| {
        let measurement = gridmon::setup::CATALOG.measurement(point.measurement()).unwrap();
        for (field, value) in point.fields() {
            let Some(path) = measurement.carbon_path(&point, field) else { continue };
            assert_eq!(point.time() % SECOND, 0);
            values.insert((path, point.time() / SECOND), value.as_f64());
        }
        Ok(())
    };
    store.points(Tier::Raw, &Selector::default(), gridmon::model::Window::ALL, &mut each, &|_| {}).unwrap();
    values
}

fn assert_same(stored: &BTreeMap<Key, f64>, expected: &BTreeMap<Key, f64>) {
    let slots =
        |values: &BTreeMap<Key, f64>| values.keys().map(|(_, time)| (time - START) / MINUTE).collect::<BTreeSet<_>>();
    assert_eq!(slots(stored), slots(expected), "minutes");
    assert!(stored == expected, "{} values, expected {}", stored.len(), expected.len());
}

/// SQLite itself must find nothing wrong with a store.
pub(crate) fn sound(store: &Path) {
    let connection = Connection::open(store).unwrap();
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let orphans: i64 = connection
        .query_row("SELECT count(*) FROM tier_raw WHERE series NOT IN (SELECT id FROM series)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(orphans, 0, "rows without a series");
}

/// The line of `--verbose` about the store: collected, delivered, spooled, dropped.
fn account(stderr: &str) -> [usize; 4] {
    let line = stderr.lines().find_map(|line| line.split_once(": embedded: ").filter(|(_, line)| line.contains(" = ")));
    let line = line.unwrap_or_else(|| panic!("no account: {stderr}")).1;
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    let numbers: Vec<usize> = numbers.take(4).collect();
    assert_eq!(numbers[0], numbers[1] + numbers[2] + numbers[3], "{line}");
    numbers.try_into().unwrap()
}

/// `program` with the same arguments, folder and environment as a plain command, after arguments of its own.
fn under(program: &str, own: &[&str], plain: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(own).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().unwrap()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
