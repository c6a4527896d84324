//! Random histories of runs, folds, kills and late points, held to the plain reference.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use gridmon::model::{Point, SECOND, Tier};
use gridmon::rollup::HOUR;
use gridmon_testkit::sandbox::proof::{Random, seed, soak};

use super::super::points::{D, coverage, grid, jobs, schedd, scope_coverage, slurm};
use super::{MINUTE, World};

/// What a run of one of the collectors sends at a slot.
fn batch(random: &mut Random, which: usize, slot: i64, offset: usize) -> Vec<Point> {
    let mut points = Vec::new();
    let is_whole = random.below(6) > 0;
    if let Some(cluster) = which.checked_sub(3) {
        // Two programs write one measurement: each tells of its own scope.
        let cluster = ["one", "two"][cluster];
        points.extend(is_whole.then(|| scope_coverage(slot, "a", "slurm_jobs", &format!("cluster={cluster}"))));
        for state in ["RUNNING", "PENDING"] {
            if random.below(3) > 0 {
                points.push(slurm(slot, cluster, state, random.below(50) as i64));
            }
        }
        return points;
    }
    if which == 0 {
        let state = ["online", "online", "offline", "test"][random.below(4)];
        points.extend(is_whole.then(|| coverage(slot, "a", "jobs")));
        for status in ["running", "finished"] {
            for queue in ["P", "Q", "R"] {
                if random.below(4) > 0 {
                    let count = random.below(1000) as i64;
                    let power = random.below(3) as f64 * 0.25;
                    points.push(jobs(slot, (queue, status), state, count, Some(offset as i64), power));
                }
            }
        }
        return points;
    }
    let name = ["a", "b"][which - 1];
    points.extend(is_whole.then(|| coverage(slot, name, "grid_jobs")));
    for which in 0..3 {
        if random.below(3) > 0 {
            points.push(grid(slot, name, which, random.below(100) as i64));
        }
    }
    points.extend((name == "a").then(|| schedd(slot, random.below(1000) as f64 / 1000.0)));
    points
}

/// Whether a point of `jobs` or its coverage is of a slot, in unix seconds.
fn is_slot_of(point: &Point, slot: i64) -> bool {
    let is_jobs = point.measurement() == "jobs" || point.tag("measurement") == Some("jobs");
    is_jobs && point.time() / SECOND / 600 == slot / 600
}

fn history(case: u64, seed: u64) {
    let mut random = Random(seed.wrapping_add(case.wrapping_mul(0x0123_4567_89ab_cdef)));
    let what = format!("seed {seed} case {case}");
    let world = World::new(&format!("history-{case}"));
    let first = D / SECOND + 600 * random.below(144) as i64;
    let most = if random.below(8) == 0 { 90 } else { 18 };
    let slots = 2 + random.below(most) as i64;
    let (mut waiting, mut dark): (Vec<(i64, Vec<Point>)>, i64) = (Vec::new(), 0);
    let mut last_run = 0;
    for slot in 0..slots {
        let time = first + 600 * slot;
        // An outage of all collectors.
        if random.below(15) == 0 {
            dark = random.below(12) as i64;
        }
        dark -= 1;
        for which in (0..5).filter(|_| dark < 0) {
            if random.below(8) == 0 {
                continue;
            }
            let points = batch(&mut random, which, time * SECOND, slot as usize % 599);
            match random.below(10) {
                // It waits in the spool, for minutes, hours or days.
                0 | 1 => waiting.push((time + [600, 7200, 86_400, 30 * 86_400][random.below(4)], points)),
                2 => {
                    world.deliver(&points);
                    waiting.push((time + 3000, points));
                }
                _ => world.deliver(&points),
            }
            // A second run in the slot: the first one is not sent after it. Other tags may have come.
            if which == 0 && random.below(8) == 0 {
                waiting.retain(|(_, other)| other.first().is_none_or(|other| !is_slot_of(other, time)));
                world.deliver(&batch(&mut random, which, time * SECOND, 599));
            }
        }
        while let Some(at) = waiting.iter().position(|(until, _)| *until <= time) {
            let (_, points) = waiting.swap_remove(at);
            world.deliver(&points);
        }
        // A run at any minute, by a clock that may be set back.
        if random.below(6) == 0 {
            let tier = [Tier::Hour, Tier::Hour, Tier::Day][random.below(3)];
            let now = time + random.below(10) as i64 * MINUTE - [0, 0, 7200][random.below(3)];
            let killed_after = if random.below(2) == 0 { random.below(12) } else { usize::MAX };
            last_run = last_run.max(now);
            let _ = world.fold(tier, now, killed_after);
        }
        // A person folds some windows anew, which may be newer than the last run. What is before the first coverage is left
        // alone: it would be an older system's.
        if random.below(20) == 0
            && let Some(begin) = world.begin_of_jobs()
        {
            let tier = [Tier::Hour, Tier::Hour, Tier::Day][random.below(3)];
            let from = begin + random.below(20) as i64 * HOUR;
            let killed_after = if random.below(2) == 0 { random.below(12) } else { usize::MAX };
            let _ = world.backfill(tier, from, random.below(30) as i64, time + 600, killed_after);
        }
    }
    // The rest comes, in any order, some of it after a run.
    let end = (first + 600 * slots).max(last_run) + [3600, 90_000, 30 * 86_400][random.below(3)];
    while !waiting.is_empty() {
        let (_, points) = waiting.swap_remove(random.below(waiting.len()));
        world.deliver(&points);
        if random.below(5) == 0 {
            let _ = world.fold([Tier::Hour, Tier::Day][random.below(2)], end, random.below(40));
        }
    }
    if world.raw.borrow().is_empty() {
        return;
    }
    if random.below(2) == 0 {
        world.fold(Tier::Hour, end, usize::MAX).unwrap();
    }
    world.fold(Tier::Day, end, usize::MAX).unwrap();
    world.check(end, &what);
    // Once more changes nothing.
    world.fold(Tier::Day, end, usize::MAX).unwrap();
    world.check(end, &what);
    assert_eq!(
        fs::read_dir(world.folder.join("windows"))
            .unwrap()
            .filter(|file| {
                let name = file.as_ref().unwrap().file_name().into_string().unwrap();
                name.ends_with(".taken") || name.ends_with(".dirty")
            })
            .count(),
        0,
        "{what}"
    );
}

#[test]
fn after_any_history_the_folded_tiers_are_those_of_the_plain_reference() {
    let seed = seed();
    let count = if soak() { 20_000 } else { 500 };
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= count {
                        return;
                    }
                    history(case, seed);
                }
            });
        }
    });
}
