//! Random faults, one after another: runs killed at a random call, two at once, clocks that step, a Carbon that refuses,
//! stops, resets or closes, torn and foreign files. Then one run with all in order, and everything that was ever published
//! is in Carbon, exactly, and nothing else.
//!
//! 500 faults in `make test`, 10,000 in `make soak`. `GRIDMON_SEED` repeats what a seed did.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::proof::{
    Clouds, Keeper, Key, Random, batches, is_report, names, seed, set_back, slot, soak,
};
use gridmon_testkit::sandbox::tracer::{self, Threads, may_trace, was_killed};
use gridmon_testkit::sandbox::{Mood, Sandbox};

use self::place::{Figures, Place};

const START: i64 = 1_717_200_000;

/// The calls of which a random one is killed.
const CALLS: [&str; 20] = [
    "openat",
    "read",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "mkdir",
    "flock",
    "ftruncate",
    "connect",
    "sendto",
    "recvfrom",
    "shutdown",
    "close",
    "statfs",
    "getdents64",
    "poll",
    "statx",
    "newfstatat",
];

#[test]
fn random_faults_lose_nothing_and_invent_nothing() {
    if !may_trace("random_faults_lose_nothing_and_invent_nothing") {
        return;
    }
    let faults = if soak() { 10_000 } else { 500 };
    let seed = seed();
    println!("soak: GRIDMON_SEED={seed}");
    const PLACES: usize = 4;
    let (began, done) = (Instant::now(), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for place in 0..PLACES {
            let done = &done;
            scope.spawn(move || {
                // Now and then all is put in order, so that a loss is found near to its cause.
                let mut left = faults / PLACES;
                let mut round = 0;
                while left > 0 {
                    let mut place = Place::new(seed.wrapping_mul(1000) + place as u64 * 100_000 + round);
                    let count = left.min(125);
                    (0..count).for_each(|_| place.fault());
                    left -= count;
                    round += 1;
                    let figures = place.end();
                    let sound = figures.lost == 0 && figures.invented == 0 && figures.aside == 0;
                    assert!(sound, "GRIDMON_SEED={seed}: {figures:?}");
                    done.lock().unwrap().push(figures);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let sum = |count: fn(&Figures) -> usize| done.iter().map(count).sum::<usize>();
    let mut by_name = BTreeMap::new();
    for (name, count) in done.iter().flat_map(|figures| &figures.by_name) {
        *by_name.entry(name).or_insert(0) += count;
    }
    println!(
        "soak: GRIDMON_SEED={seed}: {} faults ({} runs, {} of them killed) in {:.0?}; {} points published, {} values in \
         Carbon; lost {}, invented {}, aside {}; {by_name:?}",
        sum(|figures| figures.faults),
        sum(|figures| figures.runs),
        sum(|figures| figures.kills),
        began.elapsed(),
        sum(|figures| figures.published),
        sum(|figures| figures.values),
        sum(|figures| figures.lost),
        sum(|figures| figures.invented),
        sum(|figures| figures.aside),
    );
}
