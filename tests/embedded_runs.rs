//! The embedded store written by real runs of collect-grid: four at once, killed anywhere, on disks that are full, read-only
//! or failing, with the file locked, replaced or no store at all. Each fault is said in words and costs no point: what
//! waits in the spool is in the store after the next run that finds all in order.

#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::sinks::embedded::{Filter, Store};
use rusqlite::Connection;
use sandbox::disk::SmallDisk;
use sandbox::proof::{Clouds, Keeper, Key, Random, batches, copy, is_report, names, seed, slot, soak};
use sandbox::tracer::{self, Threads, may_trace, was_killed};
use sandbox::{Outcome, Sandbox};
use support::{free_port, signal, skip, wait_until};

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
fn datapoints(clouds: &Clouds, time: i64) -> BTreeMap<Key, f64> {
    clouds.datapoints(time).into_iter().filter(|(key, _)| of_grid(key)).collect()
}

/// The raw values of a store by Carbon's path and time in seconds, those about runs left out.
fn stored(store: &Path) -> BTreeMap<Key, f64> {
    all_stored(store).into_iter().filter(|(key, _)| of_grid(key)).collect()
}

fn all_stored(store: &Path) -> BTreeMap<Key, f64> {
    let mut values = BTreeMap::new();
    let Some(store) = Store::open_to_read(store).unwrap() else { return values };
    let mut each = |point: Point| {
        let measurement = gridmon::setup::CATALOG.measurement(point.measurement()).unwrap();
        for (field, value) in point.fields() {
            // What Carbon gets.
            let Some(path) = measurement.carbon_path(&point, field) else { continue };
            assert_eq!(point.time() % SECOND, 0);
            values.insert((path, point.time() / SECOND), value.as_f64());
        }
        Ok(())
    };
    store.points(Tier::Raw, &Filter::default(), i64::MIN, i64::MAX, &mut each, &|_| {}).unwrap();
    values
}

fn assert_same(stored: &BTreeMap<Key, f64>, expected: &BTreeMap<Key, f64>) {
    let slots =
        |values: &BTreeMap<Key, f64>| values.keys().map(|(_, time)| (time - START) / MINUTE).collect::<BTreeSet<_>>();
    assert_eq!(slots(stored), slots(expected), "minutes");
    assert!(stored == expected, "{} values, expected {}", stored.len(), expected.len());
}

/// SQLite itself must find nothing wrong with a store.
fn sound(store: &Path) {
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

// Kills.

/// Four grids that write into one store.
struct Four {
    sandbox: Sandbox,
    grids: Vec<Clouds>,
    /// By grid and slot: what was seen in the spool, or said to be done.
    promised: BTreeSet<(String, i64)>,
    tried: BTreeSet<(String, i64)>,
}

impl Four {
    fn new() -> Self {
        let sandbox = Sandbox::new("small");
        let grids: Vec<_> = (0..4).map(|at| Clouds { grid: format!("g{at}"), ..Clouds::new(2 + at) }).collect();
        for grid in &grids {
            config(&sandbox, grid, &format!("[embedded]\npath = {}\n", sandbox.path("store.db").display()));
        }
        Self { sandbox, grids, promised: BTreeSet::new(), tried: BTreeSet::new() }
    }

    fn look(&mut self) {
        for name in batches(&self.sandbox) {
            let grid = self.grids.iter().find(|grid| name.contains(&format!(":{}-", grid.grid)));
            self.promised.insert((grid.expect("a batch of ours").grid.clone(), slot(&name)));
        }
    }

    /// All four at once, some of them killed. Returns how many were.
    fn round(&mut self, time: i64, random: &mut Random) -> usize {
        let sandbox = &self.sandbox;
        let keeper = Keeper::start();
        let plans: Vec<_> =
            self.grids.iter().map(|grid| (grid, random.below(4), Random(random.below(1 << 40) as u64))).collect();
        let ended: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = plans
                .into_iter()
                .map(|(grid, plan, mut random)| {
                    let (keeper, tried) = (&keeper, (grid.grid.clone(), time));
                    scope.spawn(move || {
                        let arguments = grid.at(sandbox, time);
                        let status = match plan {
                            // At a call that makes, writes or ends the store, or waits for it.
                            0 if tracer_is_here() => {
                                let (name, most) = KILLED_AT[random.below(KILLED_AT.len())];
                                let call = Some((name, 1 + random.below(most)));
                                let log = sandbox.path(&format!("{}.log", grid.grid));
                                tracer::run(sandbox, &arguments, keeper, Threads::Each, call, &log)
                            }
                            0 | 1 => {
                                let mut command = sandbox.command(&arguments.each_ref().map(String::as_str));
                                let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                                // Any moment of a run may be the one.
                                thread::sleep(Duration::from_micros(random.below(60_000) as u64));
                                let _ = run.kill();
                                run.wait().unwrap()
                            }
                            _ => {
                                let mut command = sandbox.command(&arguments.each_ref().map(String::as_str));
                                command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
                            }
                        };
                        (tried, status)
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        self.look();
        let mut killed = 0;
        for (tried, status) in ended {
            if status.code() == Some(0) {
                self.promised.insert(tried.clone());
            }
            assert!(was_killed(status) || matches!(status.code(), Some(0 | 1)), "{tried:?}: {status:?}");
            killed += usize::from(was_killed(status));
            self.tried.insert(tried);
        }
        killed
    }

    /// A run of each with all in order, one after another; then everything is there.
    fn end(&mut self, time: i64, what: &str) {
        for grid in &self.grids {
            let outcome = grid.run(&self.sandbox, time);
            assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
            self.promised.insert((grid.grid.clone(), time));
            self.tried.insert((grid.grid.clone(), time));
        }
        assert_eq!(batches(&self.sandbox), Vec::<String>::new(), "{what}");
        let store = self.sandbox.path("store.db");
        let mut rest = stored(&store);
        let of = |grid: &str, key: &Key| key.0.starts_with(&format!("grids.{grid}."));
        let slots: BTreeSet<_> = self
            .tried
            .iter()
            .filter(|(grid, time)| rest.keys().any(|key| key.1 == *time && of(grid, key)))
            .cloned()
            .collect();
        let lost: Vec<_> = self.promised.difference(&slots).collect();
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        for (name, time) in &slots {
            let grid = self.grids.iter().find(|grid| grid.grid == *name).unwrap();
            for (key, value) in datapoints(grid, *time) {
                assert_eq!(rest.remove(&key), Some(value), "{what}: {key:?}: a part of a batch");
            }
        }
        assert!(rest.is_empty(), "{what}: invented {rest:?}");
        sound(&store);
    }
}

/// The calls at which a run is killed, and how often a run makes them, about.
const KILLED_AT: [(&str, usize); 9] = [
    ("pwrite64", 20),
    ("pread64", 12),
    ("fdatasync", 4),
    ("fsync", 4),
    ("fcntl", 40),
    ("link", 2),
    ("unlink", 4),
    ("openat", 60),
    ("ftruncate", 3),
];

fn tracer_is_here() -> bool {
    static HERE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HERE.get_or_init(|| may_trace("four_writers_at_once_with_kills_between_lose_nothing"))
}

#[test]
fn four_writers_at_once_with_kills_between_lose_nothing() {
    let seed = seed();
    println!("four writers: GRIDMON_SEED={seed}");
    let mut random = Random(seed);
    let (places, rounds) = if soak() { (100, 50) } else { (3, 10) };
    let (mut killed, mut runs, mut values) = (0, 0, 0);
    for place in 0..places {
        let mut four = Four::new();
        for round in 0..rounds {
            killed += four.round(START + MINUTE * round, &mut random);
            runs += 4;
        }
        four.end(START + MINUTE * rounds, &format!("GRIDMON_SEED={seed}, place {place}"));
        values += stored(&four.sandbox.path("store.db")).len();
    }
    assert!(killed > 0);
    println!(
        "four writers: GRIDMON_SEED={seed}: {runs} runs, {killed} of them killed; {values} values; lost 0, invented 0"
    );
}

#[test]
fn a_run_killed_at_any_call_leaves_a_store_that_the_next_one_takes_up() {
    let test = "a_run_killed_at_any_call_leaves_a_store_that_the_next_one_takes_up";
    if !may_trace(test) {
        return;
    }
    let seed = seed();
    let mut random = Random(seed);
    // The run that makes the store, and one that finds it.
    for first in [true, false] {
        let mut kills: Vec<_> =
            KILLED_AT.into_iter().flat_map(|(name, most)| (1..=most).map(move |count| (name, count))).collect();
        if !soak() {
            kills = (0..25).map(|_| kills.swap_remove(random.below(kills.len()))).collect();
        }
        let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let keeper = Keeper::start();
                    while let Some((name, count)) = kills.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let what = format!("GRIDMON_SEED={seed}: first {first}, killed at {name} {count}");
                        let at = Place::new(2);
                        let mut minutes = BTreeSet::from([2]);
                        if !first {
                            at.run(0);
                            minutes.insert(0);
                        }
                        let arguments = at.clouds.at(&at.sandbox, START + MINUTE);
                        let log = at.sandbox.path("log");
                        let call = Some((*name, *count));
                        let status = tracer::run(&at.sandbox, &arguments, &keeper, Threads::Each, call, &log);
                        let slots = stored(&at.store()).into_keys().map(|(_, time)| time).collect::<BTreeSet<_>>();
                        killed.fetch_add(usize::from(was_killed(status)), Ordering::Relaxed);
                        let there = slots.contains(&(START + MINUTE)) || !batches(&at.sandbox).is_empty();
                        assert!(was_killed(status) || there, "{what}: {status:?}");
                        if there {
                            minutes.insert(1);
                        }
                        let outcome = at.run(2);
                        assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
                        assert_eq!(batches(&at.sandbox), Vec::<String>::new(), "{what}");
                        at.has(minutes);
                    }
                });
            }
        });
        println!("GRIDMON_SEED={seed}: first {first}: {} of {} killed", killed.into_inner(), kills.len());
    }
}

// Faults.

#[test]
fn what_is_no_store_is_refused_and_the_points_wait() {
    let at = Place::new(2);
    let shown = at.store().display().to_string();
    let other = || {
        Connection::open(at.store()).unwrap().execute_batch("CREATE TABLE pictures (name TEXT)").unwrap();
    };
    let way_out = format!(
        "put a copy of it in its place, or move it away and a new one is made: mv {shown} {shown}.damaged; rm -f {shown}-wal {shown}-shm"
    );
    at.recovers(0, [0]);
    let good = fs::read(at.store()).unwrap();
    let newer = || {
        fs::write(at.store(), &good).unwrap();
        Connection::open(at.store()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    let cases: [(&dyn Fn(), String); 8] = [
        (&|| fs::write(at.store(), "").unwrap(), format!("{shown} is empty, though no store ever is; {way_out}")),
        (
            &|| fs::write(at.store(), &good[..3 * 4096]).unwrap(),
            format!("{shown} is damaged (database disk image is malformed); {way_out}"),
        ),
        (
            &|| fs::write(at.store(), &good[..good.len() - 100]).unwrap(),
            format!("{shown} is damaged (it ends within a page); {way_out}"),
        ),
        (
            &|| fs::write(at.store(), "what is this?\n").unwrap(),
            format!("{shown} is no SQLite database, or is damaged; {way_out}"),
        ),
        (&other, format!("{shown} is another program's SQLite database; name a different file with [embedded] path")),
        (
            &newer,
            format!(
                "{shown} has schema 99, which a newer gridmon made; this one knows schemas up to 2: run the newer one again"
            ),
        ),
        (&|| fs::create_dir(at.store()).unwrap(), format!("{shown} is not a file")),
        (
            &|| symlink("/nowhere/store.db", at.store()).unwrap(),
            format!("{shown} is a link to /nowhere/store.db, which is not there"),
        ),
    ];
    let clear = || {
        for name in names(&at.sandbox.path("data")) {
            let path = at.sandbox.path("data").join(name);
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
    };
    let count = cases.len() as i64;
    for (minute, (put, words)) in (1..).zip(cases) {
        clear();
        put();
        let before = fs::read(at.store()).ok();
        at.fails(minute, &words);
        assert_eq!(fs::read(at.store()).ok(), before, "{words}: it was changed");
        let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
        assert_eq!(outcome.code, Some(1), "{words}");
        assert!(outcome.stdout.contains(&format!("failed  embedded         {words}\n")), "{}", outcome.stdout);
    }
    clear();
    fs::write(at.store(), good).unwrap();
    at.recovers(count + 1, 0..=count + 1);
}

#[test]
fn a_folder_that_is_missing_is_not_made_and_the_points_wait() {
    let at = Place::new(2);
    fs::remove_dir(at.sandbox.path("data")).unwrap();
    let shown = at.store().display().to_string();
    let words = format!(
        "{shown} cannot be made: {}: No such file or directory (os error 2)",
        at.sandbox.path("data").display()
    );
    at.fails(0, &words);
    let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
    assert_eq!(outcome.code, Some(1));
    let words = format!("failed  embedded         {words}\n");
    assert!(outcome.stdout.contains(&words), "{}{words}", outcome.stdout);
    assert!(!at.sandbox.path("data").exists());
    fs::create_dir(at.sandbox.path("data")).unwrap();
    at.recovers(1, [0, 1]);
}

#[test]
fn a_store_locked_for_longer_than_the_deadline_costs_nothing() {
    let mut at = Place::new(2);
    at.recovers(0, [0]);
    at.clouds.deadline_seconds = 6;
    at.config(&format!("[embedded]\npath = {}\n", at.store().display()));
    let other = Connection::open(at.store()).unwrap();
    let shown = at.store().display().to_string();
    for (minute, lock) in [(1, "BEGIN IMMEDIATE"), (2, "BEGIN EXCLUSIVE")] {
        other.execute_batch(lock).unwrap();
        let outcome = at.run(minute);
        at.failed(&outcome, &format!("{shown} is locked by another process, for 5 s now"));
        assert!(outcome.took < Duration::from_secs(6), "{:?}", outcome.took);
        assert!(outcome.took > Duration::from_secs(4), "it did not wait: {:?}", outcome.took);
        other.execute_batch("COMMIT").unwrap();
    }
    // One that shares with nobody.
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE").unwrap();
    drop(other);
    let other = Connection::open(at.store()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; PRAGMA user_version = 1").unwrap();
    let outcome = at.run(3);
    at.failed(&outcome, &format!("{shown} is locked by another process"));
    assert!(outcome.took < Duration::from_secs(6), "{:?}", outcome.took);
    drop(other);
    // A moment is waited for.
    let other = Connection::open(at.store()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| at.run(4));
        wait_until("the run to come to the store", Duration::from_secs(20), || {
            batches(&at.sandbox).iter().any(|name| slot(name) == START + 4 * MINUTE).then_some(())
        });
        other.execute_batch("COMMIT").unwrap();
        let outcome = run.join().unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    });
    at.has(0..=4);
}

/// A run with an error injected into calls on the store and what lies beside it.
fn injected(at: &Place, minute: i64, inject: &str) -> Outcome {
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.push("-v");
    let store = at.store().display().to_string();
    let (wal, shm) = (format!("{store}-wal"), format!("{store}-shm"));
    let log = at.sandbox.path("log").display().to_string();
    let inject = format!("inject={inject}");
    let calls = inject.split([':', '=']).nth(1).unwrap();
    let trace = format!("trace={calls}");
    let own = ["-f", "-b", "execve", "-o", &log, "-P", &store, "-P", &wal, "-P", &shm, "-e", &trace, "-e", &inject];
    Outcome::of(&mut under("strace", &own, &at.sandbox.command(&arguments)))
}

#[test]
fn a_disk_that_fails_is_said_and_the_points_wait() {
    let test = "a_disk_that_fails_is_said_and_the_points_wait";
    if !may_trace(test) {
        return;
    }
    let at = Place::new(2);
    at.recovers(0, [0]);
    let shown = at.store().display().to_string();
    let full = format!("{shown}: the disk is full");
    let fails = format!("{shown}: disk I/O error");
    let beside = format!("{shown}-shm cannot be written: the disk is full, or fails");
    let cannot = format!(
        "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
    );
    // What could not be read is not there.
    let damaged = format!(
        "{shown} is damaged (database disk image is malformed); put a copy of it in its place, or move it away and a new one is made: mv {shown} {shown}.damaged; rm -f {shown}-wal {shown}-shm"
    );
    let folder = format!("{shown} takes files beside it, and its folder cannot be written");
    // The first eight are those of the shared memory, which lies beside it.
    let cases = [
        ("pwrite64:error=ENOSPC:when=1+", &beside),
        ("pwrite64:error=ENOSPC:when=9+", &full),
        ("pwrite64:error=ENOSPC:when=12+", &full),
        ("pwrite64:error=EIO:when=1+", &beside),
        ("pwrite64:error=EIO:when=9+", &fails),
        ("fsync,fdatasync:error=EIO:when=1+", &fails),
        ("pread64:error=EIO:when=1+", &fails),
        ("pread64:error=EIO:when=4+", &damaged),
        ("openat:error=EIO:when=1+", &cannot),
        ("openat:error=EACCES:when=2+", &folder),
        ("ftruncate,fallocate:error=ENOSPC:when=1+", &fails),
    ];
    let count = cases.len() as i64;
    for (minute, (inject, words)) in (1..).zip(cases) {
        let outcome = injected(&at, minute, inject);
        at.failed(&outcome, words);
    }
    at.recovers(count + 1, 0..=count + 1);
}

#[test]
fn a_full_disk_is_said_and_the_points_wait() {
    let at = Place::new(40);
    let test = "a_full_disk_is_said_and_the_points_wait";
    let Some(disk) = SmallDisk::mount(test, at.sandbox.path("data"), "700k") else { return };
    // SQLite takes the way to another's disk for one on its own.
    let store = at.sandbox.path("copy/store.db");
    let look = || {
        let _ = fs::remove_dir_all(at.sandbox.path("copy"));
        copy(&disk.path(""), &at.sandbox.path("copy"));
        sound(&store);
        stored(&store)
    };
    let run = |minute: i64| {
        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push("-v");
        disk.run(&at.sandbox.command(&arguments))
    };
    let shown = at.store().display().to_string();
    // Before there is a store.
    disk.fill("filling");
    at.failed(&run(0), &format!("{shown}: the disk is full"));
    assert_eq!(names(&disk.path("")), ["filling"], "no half of a store");
    fs::remove_file(disk.path("filling")).unwrap();
    let outcome = run(1);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let full = |outcome: &Outcome| {
        // Wherever it was that no more would fit.
        let shm = format!("{shown}-shm cannot be written: the disk is full, or fails");
        let words = if outcome.stderr.contains("-shm cannot") { shm } else { format!("{shown}: the disk is full") };
        at.failed(outcome, &words);
    };
    disk.fill("filling");
    full(&run(2));
    fs::remove_file(disk.path("filling")).unwrap();
    let mut minutes = 3;
    // It fills by itself.
    let outcome = loop {
        let outcome = run(minutes);
        if outcome.code != Some(0) {
            break outcome;
        }
        minutes += 1;
        assert!(minutes < 100, "it never was full");
    };
    full(&outcome);
    // Even reading takes room beside it.
    disk.remount("size=4m");
    let there: BTreeSet<_> = look().into_keys().map(|(_, time)| (time - START) / MINUTE).collect();
    assert_eq!(there, (0..minutes).collect(), "all of a transaction or nothing");
    assert_eq!(run(minutes + 1).code, Some(0));
    let mut expected = BTreeMap::new();
    (0..=minutes + 1).for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
    assert_same(&look(), &expected);

    disk.remount("ro");
    let words = "reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs";
    at.failed(&run(minutes + 2), &format!("{shown}: unable to open database file; {words}"));
    disk.remount("rw");
    assert_eq!(run(minutes + 3).code, Some(0));
    (minutes + 2..minutes + 4).for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
    assert_same(&look(), &expected);
}

/// A run that may do no more to files than their modes say, whoever it is.
fn run_by_modes(at: &Place, minute: i64) -> Outcome {
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.push("-v");
    by_modes(&at.sandbox.command(&arguments))
}

fn by_modes(plain: &Command) -> Outcome {
    Outcome::of(&mut if rustix::process::geteuid().is_root() {
        under("setpriv", &["--bounding-set=-dac_override,-dac_read_search"], plain)
    } else {
        under("env", &[], plain)
    })
}

#[test]
fn a_store_or_a_folder_that_may_not_be_written_is_said_and_the_points_wait() {
    let test = "a_store_or_a_folder_that_may_not_be_written_is_said_and_the_points_wait";
    if rustix::process::geteuid().is_root() {
        let try_it = Command::new("setpriv").args(["--bounding-set=-dac_override", "true"]).status();
        if !try_it.is_ok_and(|status| status.success()) {
            return skip(test, "setpriv");
        }
    }
    let at = Place::new(2);
    let (shown, data) = (at.store().display().to_string(), at.sandbox.path("data"));
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let check = |words: &str| {
        let outcome = by_modes(&at.sandbox.command(&["-c", "heprc.cfg", "--check"]));
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stdout.contains(&format!("failed  embedded         {words}")), "{}{words}", outcome.stdout);
    };
    // Before there is one.
    mode(&data, 0o555);
    let cannot = format!(
        "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
    );
    at.failed(&run_by_modes(&at, 0), &cannot);
    check(&format!("{shown} is not there and cannot be made: {}: Permission denied (os error 13)\n", data.display()));
    mode(&data, 0o755);
    at.recovers(1, [0, 1]);
    mode(&data, 0o555);
    let folder = format!("{shown} takes files beside it, and its folder cannot be written");
    at.failed(&run_by_modes(&at, 2), &folder);
    check(&folder);
    mode(&data, 0o755);
    mode(&at.store(), 0o444);
    at.failed(&run_by_modes(&at, 3), &format!("{shown} cannot be written (attempt to write a readonly database)"));
    check(&format!("{shown}: Permission denied (os error 13)\n"));
    mode(&at.store(), 0o000);
    at.failed(&run_by_modes(&at, 4), &cannot);
    check(&cannot);
    mode(&at.store(), 0o644);
    at.recovers(5, 0..=5);
}

#[test]
fn a_store_that_is_removed_or_replaced_while_it_is_written_acknowledges_nothing() {
    let test = "a_store_that_is_removed_or_replaced_while_it_is_written_acknowledges_nothing";
    if !may_trace(test) {
        return;
    }
    // Between open and commit, also with another run that begins meanwhile; and in the commit itself, where the log beside
    // the path is the old store's and a writer that came just then would take it for the new one's.
    let cases = [("pread64", 3, false), ("pread64", 3, true), ("pwrite64", 1, false)];
    for ((call, count, meanwhile), replaced) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        let what = format!("stopped at {call}, replaced {replaced}, meanwhile {meanwhile}");
        let at = Place::new(2);
        let other = Clouds { grid: "other".into(), ..Clouds::new(3) };
        config(&at.sandbox, &other, &format!("[embedded]\npath = {}\n", at.store().display()));
        at.recovers(0, [0]);
        let older = at.sandbox.path("older.db");
        fs::copy(at.store(), &older).unwrap();
        at.recovers(1, [0, 1]);

        let arguments = at.clouds.at(&at.sandbox, START + MINUTE * 2);
        let log = at.sandbox.path("log");
        let file = format!("{}{}", at.store().display(), if call == "pwrite64" { "-wal" } else { "" });
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=STOP:when={count}"));
        let own = ["-f", "-b", "execve", "-o", log.to_str().unwrap(), "-P", &file, "-e", &trace, "-e", &inject];
        let mut plain = at.sandbox.command(&arguments.each_ref().map(String::as_str));
        plain.arg("-v");
        let mut command = under("strace", &own, &plain);
        thread::scope(|scope| {
            let run = scope.spawn(|| Outcome::of(&mut command));
            let pid = wait_until("the run to stop in its transaction", Duration::from_secs(30), || {
                let log = fs::read_to_string(&log).ok()?;
                log.lines().find(|line| line.contains("stopped by SIGSTOP"))?.split(' ').next()?.parse::<u32>().ok()
            });
            if replaced {
                fs::rename(&older, at.store()).unwrap();
            } else {
                fs::remove_file(at.store()).unwrap();
            }
            let beside = meanwhile.then(|| {
                let beside = scope.spawn(|| other.run(&at.sandbox, START + MINUTE * 2));
                wait_until("the other run to publish, or to end", Duration::from_secs(30), || {
                    let published = batches(&at.sandbox).iter().any(|name| name.contains(":other-"));
                    (published || at.sandbox.path("state/collect-grid.other.reports").exists()).then_some(())
                });
                beside
            });
            signal(pid, "CONT");
            let outcome = run.join().unwrap();
            at.failed(&outcome, &format!("{} was replaced or removed while it was written", at.store().display()));
            if let Some(beside) = beside {
                let beside = beside.join().unwrap();
                assert!(matches!(beside.code, Some(0 | 1)), "{what}: {beside:?}");
            }
        });
        let outcome = at.run(3);
        assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
        assert_eq!(batches(&at.sandbox), Vec::<String>::new(), "{what}");
        sound(&at.store());
        let mut expected = BTreeMap::new();
        let minutes = if replaced { vec![0, 2, 3] } else { vec![2, 3] };
        minutes.into_iter().for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
        if meanwhile {
            expected.extend(datapoints(&other, START + MINUTE * 2));
        }
        let there = stored(&at.store());
        assert!(there == expected, "{what}: {} values, expected {}", there.len(), expected.len());
    }
}

// Time.

/// Writes 2400 rows for each of these hours, the last of which ends at `until`.
fn fill_with_old(store: &Path, hours: i64, until: i64) -> usize {
    let point = |minute: i64, at: &'static str| {
        let fields = (0..8).map(|field| (format!("f{field}").into(), Value::Int(minute)));
        Point::new("old".into(), [("at".into(), at)], fields, (until - 60 * minute) * SECOND)
    };
    let points: Vec<_> =
        (1..=hours * 60).flat_map(|minute| ["0", "1", "2", "3", "4"].map(|at| point(minute, at))).collect();
    let until = Instant::now() + Duration::from_secs(60);
    Store::open(store, until).unwrap().write(Tier::Raw, &points, until).unwrap();
    points.len() * 8
}

/// How many rows a tier has before the bucket of a time.
fn rows_before(store: &Path, table: &str, bucket: i64) -> usize {
    let count = format!("SELECT count(*) FROM {table} WHERE bucket < {bucket}");
    Connection::open(store).unwrap().query_row(&count, [], |row| row.get(0)).unwrap()
}

#[test]
fn only_the_wall_clock_prunes_and_a_run_no_more_than_its_budget() {
    const BUDGET: usize = 100_000;
    let at = Place::new(2);
    at.recovers(0, [0]);
    let wall = jiff::Timestamp::now().as_second();
    let (hour, day) = (3600, 86_400);
    // The end of what is too old; an hour may end while the test runs, so what is kept is two hours younger.
    let limit = (wall - 30 * day).div_euclid(hour);
    let kept = fill_with_old(&at.store(), 1, (limit + 3) * hour);
    fill_with_old(&at.store(), 43, limit * hour);
    // Of the folded tiers one that is kept and one that is not, as long as nothing is said; the last for ever.
    let old = |days: i64| [Point::new("old".into(), [], [("f".into(), Value::Int(1))], (wall - days * day) * SECOND)];
    let later = Instant::now() + Duration::from_secs(60);
    let mut store = Store::open(&at.store(), later).unwrap();
    for (tier, days) in [(Tier::Hour, 1800), (Tier::Hour, 1850), (Tier::Day, 18_000)] {
        store.write(tier, &old(days), later).unwrap();
    }
    drop(store);

    let rows = |table| rows_before(&at.store(), table, i64::MAX);
    let counts = || (rows_before(&at.store(), "tier_raw", limit), rows("tier_1h"), rows("tier_1d"));
    let (too_old, ..) = counts();
    assert!(too_old > BUDGET && too_old < 2 * BUDGET, "{too_old}");
    // Years ahead, and years back.
    let year = 365 * 24 * 60;
    let now = (wall - START) / MINUTE;
    for minute in [now + 40 * year, now - 10 * year] {
        let before = rows("tier_raw");
        let outcome = at.run(minute);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(rows("tier_raw") > before, "a run of another time removed something");
        assert_eq!((rows("tier_1h"), rows("tier_1d")), (2, 1));
    }
    let (too_old, ..) = counts();
    let run = |more: &str| {
        at.config(&format!("[embedded]\npath = {}\n{more}", at.store().display()));
        let outcome = at.sandbox.run(&["-c", "heprc.cfg"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        counts()
    };
    assert_eq!(run("keep_raw_days = forever\nkeep_1h_days = forever\n"), (too_old, 2, 1));
    // What is left of the budget by the raw ones is for the others.
    assert_eq!(run(""), (too_old - BUDGET, 2, 1));
    assert_eq!(run(""), (0, 1, 1));
    assert_eq!(run(""), (0, 1, 1));
    assert_eq!(rows_before(&at.store(), "tier_raw", limit + 3), kept);
    sound(&at.store());
    assert_eq!(run("keep_1h_days = 30\nkeep_1d_days = 365\n"), (0, 0, 0));
    sound(&at.store());
}

// Roles.

#[test]
fn both_sinks_get_every_point_and_each_acknowledges_for_itself() {
    let at = Place::new(3);
    let keeper = Keeper::start();
    let (closed, _ports) = free_port();
    let carbon = |port: u16| {
        let path = at.store().display().to_string();
        at.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {port}\n[embedded]\npath = {path}\n"));
    };
    let in_carbon = |minutes: &[i64]| {
        let mut expected = BTreeMap::new();
        minutes.iter().for_each(|minute| expected.extend(datapoints(&at.clouds, START + MINUTE * minute)));
        assert_same(&keeper.values().into_iter().filter(|(key, _)| of_grid(key)).collect(), &expected);
    };
    carbon(keeper.port);
    assert_eq!(at.run(0).code, Some(0));
    at.has([0]);
    in_carbon(&[0]);
    // All that either has, the other has.
    let about_runs = |values: BTreeMap<Key, f64>| values.into_iter().filter(|(key, _)| !of_grid(key)).collect();
    let all: BTreeMap<Key, f64> = about_runs(keeper.values());
    assert_eq!(about_runs(all_stored(&at.store())), all);
    // The one without the other, and the other without the one.
    carbon(closed);
    let outcome = at.run(1);
    assert_eq!(outcome.code, Some(1));
    assert!(!outcome.stderr.contains(": embedded: /"), "{}", outcome.stderr);
    at.has([0, 1]);
    in_carbon(&[0]);
    carbon(keeper.port);
    let away = at.sandbox.path("away");
    fs::rename(at.sandbox.path("data"), &away).unwrap();
    let (shown, data) = (at.store().display().to_string(), at.sandbox.path("data"));
    at.fails(2, &format!("{shown} cannot be made: {}: No such file or directory (os error 2)", data.display()));
    in_carbon(&[0, 1, 2]);
    assert_eq!(batches(&at.sandbox).len(), 1);
    fs::rename(away, at.sandbox.path("data")).unwrap();
    at.recovers(3, 0..4);
    in_carbon(&[0, 1, 2, 3]);
}

#[test]
fn a_store_stands_in_where_no_sink_is_and_looking_makes_nothing() {
    let at = Place::new(2);
    fs::remove_dir(at.sandbox.path("state")).unwrap();
    let keeper = Keeper::start();
    let path = at.store().display().to_string();
    let own = at.sandbox.path("state/gridmon.db");
    let carbon = format!("[carbon]\nhost = 127.0.0.1\nport = {}\n", keeper.port);
    let both = format!("{carbon}[embedded]\npath = {path}\n");
    let named = format!("[embedded]\npath = {path}\n");
    let stands_in = "points go to the embedded store, since no [carbon] host is set";
    let table = "; a table, which no program of this version keeps, would go to the embedded store";
    let answers = format!("ok      carbon           127.0.0.1:{} answers\n", keeper.port);
    let makes = |path: &str| format!("ok      embedded         {path}; the first run makes it\n");
    let own_path = own.display().to_string();
    for (config, role, sinks) in [
        ("", stands_in, makes(&own_path)),
        (named.as_str(), stands_in, makes(&path)),
        (&carbon, "points go to carbon", answers.clone()),
        (
            &both,
            "points go to carbon and, since [embedded] names a path, to the embedded store",
            format!("{answers}{}", makes(&path)),
        ),
    ] {
        at.config(config);
        at.clouds.at(&at.sandbox, START);
        let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{config}");
        let expected = format!("ok      roles            {role}{table}\n{sinks}");
        assert!(outcome.stdout.ends_with(&expected), "{}{expected}", outcome.stdout);
        let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--dry-run"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(!outcome.stdout.is_empty());
        assert!(!at.sandbox.path("state").exists() && names(&at.sandbox.path("data")).is_empty(), "{config}");
    }
    // In earnest: Carbon alone makes none.
    at.config(&carbon);
    assert_eq!(at.run(0).code, Some(0));
    assert!(!own.exists() && names(&at.sandbox.path("data")).is_empty());
    at.config("");
    let outcome = at.clouds.run(&at.sandbox, START + MINUTE);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_same(&stored(&own), &datapoints(&at.clouds, START + MINUTE));
    sound(&own);
    assert!(names(&at.sandbox.path("data")).is_empty());
    // And one that is there is looked at without a change.
    let before = (fs::read(&own).unwrap(), fs::metadata(&own).unwrap().modified().unwrap());
    let series = Store::open_to_read(&own).unwrap().unwrap().count_series().unwrap();
    let outcome = at.sandbox.run(&["-c", "heprc.cfg", "--check"]);
    let expected = format!("ok      embedded         {own_path}, {series} series\n");
    assert!(outcome.code == Some(0) && outcome.stdout.ends_with(&expected), "{}{expected}", outcome.stdout);
    assert_eq!(at.sandbox.run(&["-c", "heprc.cfg", "--dry-run"]).code, Some(0));
    assert_eq!((fs::read(&own).unwrap(), fs::metadata(&own).unwrap().modified().unwrap()), before);
}

#[test]
fn a_config_of_the_store_that_is_wrong_is_refused_in_words() {
    let at = Place::new(1);
    for (line, words) in [
        ("path = store.db", "path: \"store.db\" is not a path that begins with /"),
        ("keep_raw_days = 0", "keep_raw_days: \"0\" is not 1 to 36500 days, or forever"),
        ("keep_raw_days = -1", "keep_raw_days: \"-1\" is not 1 to 36500 days, or forever"),
        ("keep_1h_days = 36501", "keep_1h_days: \"36501\" is not 1 to 36500 days, or forever"),
        ("keep_1d_days = for ever", "keep_1d_days: \"for ever\" is not 1 to 36500 days, or forever"),
        ("keep_1d_days = 5 # years", "keep_1d_days: \"5 # years\" carries a comment"),
        ("keep_raw_day = 5", "keep_raw_day"),
        ("tiers = raw", "tiers"),
    ] {
        at.config(&format!("[embedded]\n{line}\n"));
        let outcome = at.run(0);
        assert_eq!(outcome.code, Some(2), "{line}: {outcome:?}");
        assert!(outcome.stderr.contains("[embedded]") && outcome.stderr.contains(words), "{line}: {}", outcome.stderr);
        assert!(names(&at.sandbox.path("state")).is_empty(), "{line}");
    }
}
