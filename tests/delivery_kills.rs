//! A kill at every system call, and what was published arrives all the same.
//!
//! A run is ended by SIGKILL on entering the first, second, third… occurrence of each file and network call, name by name,
//! until it is killed no more. After each kill a normal run must bring everything that was published into Carbon, exactly,
//! and leave nothing behind. SIGKILL cannot show that what was written survives a power failure; the order of the calls
//! does: write, fsync, rename, fsync of the directory, and only then connect.

#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sandbox::Sandbox;
use sandbox::proof::{Clouds, Keeper, Key, Random, batches, copy, files, names, set_back, slot, soak};
use sandbox::tracer::{self, Threads, calls, mask, may_trace, was_killed};

/// The slot of the run that is killed.
const KILLED: i64 = 1_717_245_000;

/// The slot of the run that is killed after it, where there is one.
const KILLED_TOO: i64 = KILLED + 60;

/// The slot of the run that ends well.
const AFTER: i64 = KILLED + 120;

/// The grid when it is killed, and the one before, of which a cloud has vanished since.
fn now() -> Clouds {
    Clouds::new(3)
}

fn before() -> Clouds {
    Clouds::new(4)
}

/// What a killed run finds.
struct Scene {
    name: &'static str,
    /// A state directory to begin with; none for the first run of all.
    state: Option<PathBuf>,
    /// The slots that wait in it.
    waiting: Vec<i64>,
    /// What must be in `bad/` at the end.
    bad: Vec<String>,
    _sandbox: Sandbox,
}

/// The first run of all: no state, nothing waits.
fn first() -> Scene {
    Scene { name: "first", state: None, waiting: vec![], bad: vec![], _sandbox: Sandbox::new("small") }
}

/// Three batches wait, of a grid with a cloud more; a torn batch and a foreign file are among them.
fn backlog() -> Scene {
    let sandbox = Sandbox::new("small");
    let (closed, _ports) = support::free_port();
    before().config(&sandbox, closed, "");
    let waiting: Vec<_> = (1..4).map(|minutes| KILLED - 60 * minutes).rev().collect();
    for slot in &waiting {
        assert_eq!(before().run(&sandbox, *slot).code, Some(1));
    }
    let spool = sandbox.path("state/spool");
    let whole = batches(&sandbox).remove(1);
    let torn = whole.replacen(&whole[..12], &format!("{:012}", KILLED - 90), 1);
    let bytes = fs::read(spool.join(&whole)).unwrap();
    fs::write(spool.join(&torn), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(spool.join("notes.txt"), "what is this?\n").unwrap();
    let mut bad = vec![torn.clone(), format!("{torn}.why"), "notes.txt".into(), "notes.txt.why".into()];
    bad.sort();
    Scene { name: "backlog", state: Some(sandbox.path("state")), waiting, bad, _sandbox: sandbox }
}

/// A place in which a scene is played again and again.
struct Stage<'a> {
    scene: &'a Scene,
    sandbox: Sandbox,
    keeper: Keeper,
}

/// What a kill has left, by what tells one leaving from another: names and sizes of files.
type Left = BTreeMap<String, u64>;

/// What there is after a kill.
struct After {
    state: Sandbox,
    published: BTreeSet<i64>,
    /// What Carbon has.
    values: BTreeMap<Key, f64>,
}

impl<'a> Stage<'a> {
    fn new(scene: &'a Scene) -> Self {
        let (sandbox, keeper) = (Sandbox::new("small"), Keeper::start());
        now().config(&sandbox, keeper.port, "");
        Self { scene, sandbox, keeper }
    }

    /// Puts the state as it is to be, and into Carbon what it has.
    fn set(&self, state: Option<&Path>, values: &BTreeMap<Key, f64>) {
        let own = self.sandbox.path("state");
        let _ = fs::remove_dir_all(&own);
        if let Some(state) = state {
            copy(state, &own);
        }
        self.keeper.close(u64::MAX);
        self.keeper.forget_all_but(values.clone());
    }

    /// A run at `slot` that is killed, if it comes so far.
    fn kill(&self, slot: i64, threads: Threads, name: &str, count: usize) -> bool {
        let log = self.sandbox.path("log");
        let arguments = now().at(&self.sandbox, slot);
        was_killed(tracer::run(&self.sandbox, &arguments, &self.keeper, threads, Some((name, count)), &log))
    }

    /// What is in the state directory.
    fn left(&self) -> Left {
        let state = self.sandbox.path("state");
        files(&state).into_iter().map(|name| (mask(&name), fs::metadata(state.join(&name)).unwrap().len())).collect()
    }

    /// The slots of what is published now.
    fn published(&self) -> BTreeSet<i64> {
        let torn = |name: &String| !self.scene.bad.contains(name);
        batches(&self.sandbox).iter().filter(|name| torn(name)).map(|name| slot(name)).collect()
    }

    /// A normal run: everything `published` must be in Carbon afterwards, nothing else but this run's own and what came
    /// whole before it, and nothing be left.
    fn recover(&self, published: &BTreeSet<i64>, what: &str) {
        let Self { scene, sandbox, keeper } = self;
        let spool = sandbox.path("state/spool");
        // What was never published is swept two hours later.
        for name in names(&spool).iter().filter(|name| name.ends_with(".new")) {
            set_back(&spool.join(name), Duration::from_secs(3 * 3600));
        }
        let mut outcome = now().run(sandbox, AFTER);
        if outcome.code == Some(1) {
            // It may say that it put something aside, once.
            let about = |line: &str| line.contains("bad/") || line.contains("works again");
            assert!(outcome.stderr.lines().all(about) && !scene.bad.is_empty(), "{what}: {}", outcome.stderr);
            outcome = now().run(sandbox, AFTER);
        }
        let about = |line: &str| line.contains("works again");
        assert!(outcome.code == Some(0) && outcome.stderr.lines().all(about), "{what}: {outcome:?}");

        let mut rest: BTreeMap<Key, f64> = keeper.values();
        let slots: BTreeSet<i64> = rest.keys().map(|(_, time)| *time).collect();
        let mut zeros = 0;
        for slot in &slots {
            let grid = if scene.waiting.contains(slot) { before() } else { now() };
            for (key, value) in grid.datapoints(*slot) {
                assert_eq!(rest.remove(&key), Some(value), "{what}: {key:?}");
            }
            // Of the cloud that has vanished, zeros.
            let gone: Vec<_> = rest.keys().filter(|(_, time)| time == slot).cloned().collect();
            for key in gone {
                let of_gone = key.0.starts_with("grids.heprc.clouds.c0003.vms.w.") && !scene.waiting.is_empty();
                assert!(of_gone && rest.remove(&key) == Some(0.0), "{what}: {key:?} was invented");
                zeros += 1;
            }
        }
        assert!(rest.is_empty(), "{what}: {rest:?}");
        assert_eq!(keeper.changed(), Vec::<Key>::new(), "{what}");
        let missing: Vec<_> = published.difference(&slots).collect();
        assert!(missing.is_empty(), "{what}: lost {missing:?}");
        assert!(slots.contains(&AFTER), "{what}");
        // Six series vanished; they go to zero once, or once more where a kill came between.
        let wanted = if scene.waiting.is_empty() { 0..=0 } else { 6..=18 };
        assert!(wanted.contains(&zeros) && zeros % 6 == 0, "{what}: {zeros} zeros");

        assert_eq!(names(&spool), ["bad", "lock.carbon"], "{what}");
        assert_eq!(names(&spool.join("bad")), scene.bad, "{what}");
        let others: Vec<_> = names(&sandbox.path("state")).into_iter().filter(|name| name.ends_with(".new")).collect();
        assert_eq!(others, Vec::<String>::new(), "{what}");
        assert_eq!(fs::read(sandbox.path("state/collect-grid.heprc.lock")).unwrap(), b"", "{what}");
    }
}

/// The names of a scene's calls, thread by thread, and what they were about, from runs that nobody kills.
fn traced(stage: &Stage, threads: Threads, state: Option<&Path>, slot: i64) -> Vec<(String, String)> {
    stage.set(state, &BTreeMap::new());
    let log = stage.sandbox.path("log");
    let arguments = now().at(&stage.sandbox, slot);
    let status = tracer::run(&stage.sandbox, &arguments, &stage.keeper, threads, None, &log);
    assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
    let calls = calls(&log, &stage.sandbox.path(""));
    assert!(calls.len() > 10, "{threads:?}: {calls:?}");
    calls.into_iter().filter(|(name, _)| !["execve", "exit_group", "mmap"].contains(&name.as_str())).collect()
}

/// One kill: whose call, its name, the how many-th.
type Kill = (Threads, String, usize);

/// Every kill of a scene, and then some which come too late, so that the end is seen.
fn kills(stage: &Stage, state: Option<&Path>, slot: i64) -> (Vec<Kill>, BTreeSet<(String, String)>) {
    let mut kills = Vec::new();
    let mut all = BTreeSet::new();
    for threads in [Threads::Main, Threads::Each, Threads::Delivery] {
        let calls = traced(stage, threads, state, slot);
        for (name, count) in tracer::names(&calls) {
            // Over all threads the count is no thread's: only what the network is made of is worth the while.
            let network =
                ["connect", "socket", "sendto", "recvfrom", "shutdown", "poll", "ioctl", "setsockopt", "getsockopt"];
            if threads != Threads::Each || network.contains(&name.as_str()) {
                kills.extend((1..=count + 1).map(|count| (threads, name.clone(), count)));
            }
        }
        all.extend(calls);
    }
    (kills, all)
}

/// Plays `each` of the kills on both cores.
fn play<'a>(scene: &'a Scene, kills: &[Kill], each: impl Fn(&Stage<'a>, &Kill) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let stage = Stage::new(scene);
                while let Some(kill) = kills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    each(&stage, kill);
                }
            });
        }
    });
}

/// Kills a run of the scene at every call, then the recovery of every different leaving: all of them in the soak, else some.
fn kill_everywhere(test: &str, scene: &Scene) {
    if !may_trace(test) {
        return;
    }
    let (all_kills, all_calls) = kills(&Stage::new(scene), scene.state.as_deref(), KILLED);
    let hit = Mutex::new(BTreeSet::new());
    let left: Mutex<BTreeMap<Left, After>> = Mutex::default();
    let killed = AtomicUsize::new(0);
    play(scene, &all_kills, |stage, kill| {
        let (threads, name, count) = kill;
        stage.set(scene.state.as_deref(), &BTreeMap::new());
        let was_killed = stage.kill(KILLED, *threads, name, *count);
        let mut published: BTreeSet<i64> = scene.waiting.iter().copied().collect();
        if was_killed {
            killed.fetch_add(1, Ordering::Relaxed);
            // The call that it was killed at is the last of the log.
            hit.lock().unwrap().extend(calls(&stage.sandbox.path("log"), &stage.sandbox.path("")).pop());
            published.extend(stage.published());
            left.lock().unwrap().entry(stage.left()).or_insert_with(|| {
                let kept = Sandbox::new("small");
                fs::remove_dir_all(kept.path("state")).unwrap();
                copy(&stage.sandbox.path("state"), &kept.path("state"));
                After { state: kept, published: published.clone(), values: stage.keeper.values() }
            });
        } else {
            published.insert(KILLED);
        }
        stage.recover(&published, &format!("{} killed at {kill:?}", scene.name));
    });
    // Every kind of call has seen a kill. What the log of one name cannot tell apart it was killed at as well.
    let hit = hit.into_inner().unwrap();
    let missed: Vec<_> = all_calls.difference(&hit).filter(|(_, about)| about.contains("/state/")).collect();
    assert!(missed.is_empty(), "never killed at {missed:?}");

    // The same again after each leaving. Two kills that leave the same files are one to the run that comes after.
    let left = left.into_inner().unwrap();
    let mut random = Random(jiff::Timestamp::now().as_second() as u64);
    let seed = random.0;
    let (mut twice, mut second) = (0, 0);
    for (left, After { state, published, values }) in &left {
        let state = state.path("state");
        let (mut kills, _) = kills(&Stage::new(scene), Some(&state), KILLED_TOO);
        if !soak() {
            kills = (0..4).map(|_| kills.swap_remove(random.below(kills.len()))).collect();
        }
        second += kills.len();
        let killed = AtomicUsize::new(0);
        play(scene, &kills, |stage, kill| {
            stage.set(Some(&state), values);
            let (threads, name, count) = kill;
            let mut published = published.clone();
            if stage.kill(KILLED_TOO, *threads, name, *count) {
                killed.fetch_add(1, Ordering::Relaxed);
                published.extend(stage.published());
            } else {
                published.insert(KILLED_TOO);
            }
            stage.recover(&published, &format!("{} killed at {kill:?} after {left:?} (seed {seed})", scene.name));
        });
        twice += killed.into_inner();
    }
    println!(
        "kills, {}: {} of {} tries killed a run, {} different leavings; of {second} second tries {twice} killed the \
         recovery too; lost 0, invented 0",
        scene.name,
        killed.into_inner(),
        all_kills.len(),
        left.len()
    );
}

#[test]
fn the_first_run_killed_anywhere_loses_nothing() {
    kill_everywhere("the_first_run_killed_anywhere_loses_nothing", &first());
}

#[test]
fn a_replay_killed_anywhere_loses_nothing() {
    kill_everywhere("a_replay_killed_anywhere_loses_nothing", &backlog());
}

#[test]
fn what_was_never_published_is_swept_after_two_hours_and_not_before() {
    let (sandbox, keeper) = (Sandbox::new("small"), Keeper::start());
    now().config(&sandbox, keeper.port, "");
    assert_eq!(now().run(&sandbox, KILLED).code, Some(0));
    let name = "state/spool/001717245000-2-300-carbon-collect-grid:other-1-1.new";
    let new = sandbox.write(name, "gridmon-ba");
    for (minutes, there) in [(0, true), (119, true), (121, false)] {
        if there || new.exists() {
            set_back(&new, Duration::from_secs(60 * minutes));
        }
        assert_eq!(now().run(&sandbox, KILLED + 60).code, Some(0));
        assert_eq!(new.exists(), there, "after {minutes} minutes");
    }
}

#[test]
fn a_batch_is_on_disk_before_carbon_is_tried() {
    let test = "a_batch_is_on_disk_before_carbon_is_tried";
    if !may_trace(test) {
        return;
    }
    let scene = first();
    let stage = Stage::new(&scene);
    let calls = traced(&stage, Threads::Each, None, KILLED);
    let is_new = |about: &str| about.ends_with(".new") && about.contains("/spool/");
    let is_batch = |about: &str| about.ends_with(".batch") && about.contains("/spool/");
    let mut steps = Vec::new();
    for (name, about) in &calls {
        let step = match name.as_str() {
            "openat" if is_new(about) => "create",
            "write" | "pwrite64" if is_new(about) => "write",
            "fsync" if is_new(about) => "fsync",
            // Both names are of one call; the new one is listed first.
            "rename" | "renameat" | "renameat2" if about.contains("/spool/") => "rename",
            "fsync" if about.ends_with("/state/spool") => "fsync of the directory",
            "connect" => "connect",
            "sendto" if about.is_empty() && steps.last() == Some(&"connect") => "send",
            "shutdown" => "half-close",
            "unlink" | "unlinkat" if is_batch(about) => "unlink",
            _ => continue,
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    assert_eq!(
        steps,
        ["create", "write", "fsync", "rename", "fsync of the directory", "connect", "send", "half-close", "unlink"]
    );
}
