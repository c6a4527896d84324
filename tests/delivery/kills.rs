//! A kill at every system call, and what was published arrives all the same.
//!
//! A run is ended by SIGKILL on entering the first, second, third… occurrence of each file and network call, name by name,
//! until it is killed no more. After each kill a normal run must bring everything that was published into Carbon, exactly,
//! and leave nothing behind. SIGKILL cannot show that what was written survives a power failure; the order of the calls
//! does: write, fsync, rename, fsync of the directory, and only then connect.

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::proof::{Clouds, Keeper, Key, Random, batches, copy, files, names, set_back, slot, soak};
use gridmon_testkit::sandbox::tracer::{self, Threads, calls, mask, may_trace, was_killed};

use self::stage::{After, Left, Scene, Stage, backlog, first};

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
    // The first one is of the new folder bad/. In a first run the receiver proves itself on two more connections, which
    // it is to close.
    assert_eq!(
        steps,
        [
            "fsync of the directory",
            "create",
            "write",
            "fsync",
            "rename",
            "fsync of the directory",
            "connect",
            "send",
            "half-close",
            "connect",
            "send",
            "connect",
            "send",
            "unlink"
        ]
    );
}
