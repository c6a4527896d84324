//! Points of random runs, for histories of every store.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gridmon::model::{Measurement, Point, SECOND, Value};
use gridmon::rollup::DAY;
use gridmon::setup::CATALOG;
use gridmon_testkit::sandbox::proof::Random;

/// A day of 2024.
pub const D: i64 = 1_717_200_000 / 86_400 * DAY;

pub fn measurement(name: &str) -> &'static Measurement {
    CATALOG.measurement(name).unwrap()
}

fn point(name: &str, tags: &[(&str, &str)], fields: &[(&str, Value)], time: i64) -> Point {
    let tags = tags.iter().map(|(name, value)| (Cow::Owned(name.to_string()), *value));
    let fields = fields.iter().map(|(name, value)| (Cow::Owned(name.to_string()), *value));
    let mut point = Point::new(Cow::Owned(name.into()), tags, fields, time);
    CATALOG.declare(&mut point);
    point
}

/// A point of `jobs` in a slot, without the tags that nothing here needs.
pub fn jobs(
    slot: i64,
    (queue, status): (&str, &str),
    state: &str,
    jobs: i64,
    sequence: Option<i64>,
    power: f64,
) -> Point {
    let tags = [
        ("panda_queue", queue),
        ("prod_source", "managed"),
        ("resource", "SCORE"),
        ("job_status", status),
        ("site_state", state),
    ];
    let mut fields = vec![("jobs", Value::Int(jobs)), ("corepower", Value::Float(power))];
    fields.extend(sequence.map(|sequence| ("sequence", Value::Int(sequence))));
    let point = point("jobs", &tags, &fields, slot);
    let offset = measurement("jobs").exact.map(|exact| (exact.offset)(&point)).unwrap();
    point.at(
        slot + offset,
        point.fields().map(|(name, value)| (Cow::Owned(name.to_string()), value)).collect::<Vec<_>>(),
    )
}

/// A point of a grid: its jobs, a count, or its cloud with gauges.
pub fn grid(slot: i64, grid: &str, which: usize, value: i64) -> Point {
    match which % 3 {
        0 => point(
            "grid_jobs",
            &[("grid", grid), ("type", "all"), ("status", "idle")],
            &[("jobs", Value::Int(value))],
            slot,
        ),
        1 => point(
            "grid_jobs",
            &[("grid", grid), ("type", "all"), ("status", "held")],
            &[("jobs", Value::Int(value))],
            slot,
        ),
        _ => {
            let fields = [("enabled", Value::Int(value % 2)), ("quota", Value::Int(value))];
            point("grid_cloud", &[("grid", grid), ("cloud", "c")], &fields[usize::from(value % 5 == 0)..], slot)
        }
    }
}

/// A point of a schedd, with a float.
pub fn schedd(slot: i64, value: f64) -> Point {
    point("grid_schedd", &[("grid", "a"), ("schedd", "s")], &[("duty_cycle_ratio", Value::Float(value))], slot)
}

pub fn coverage(slot: i64, grid: &str, measurement: &str) -> Point {
    point(
        "coverage",
        &[("grid", grid), ("measurement", measurement)],
        &[("slots", Value::Int(1)), ("step_seconds", Value::Int(600))],
        slot,
    )
}

/// Coverage where several programs write one measurement, each in its scope.
#[allow(dead_code)]
pub fn scope_coverage(slot: i64, grid: &str, measurement: &str, scope: &str) -> Point {
    point(
        "scope_coverage",
        &[("grid", grid), ("measurement", measurement), ("scope", scope)],
        &[("slots", Value::Int(1)), ("step_seconds", Value::Int(600))],
        slot,
    )
}

/// A point of a cluster's jobs, a count.
#[allow(dead_code)]
pub fn slurm(slot: i64, cluster: &str, state: &str, value: i64) -> Point {
    point("slurm_jobs", &[("cluster", cluster), ("state", state)], &[("jobs", Value::Int(value))], slot)
}

/// Points of some hours of a day, each once: runs every ten minutes, some of them missing, in part without coverage.
pub fn points(random: &mut Random) -> Vec<Point> {
    let mut all = BTreeMap::new();
    let mut add = |point: Point| drop(all.insert((point.tag_set().into_owned(), point.time()), point));
    let first = random.below(140) as i64;
    let begins = first + random.below(6) as i64;
    for at in first..(first + 1 + random.below(20) as i64).min(144) {
        let slot = D + at * 600 * SECOND;
        if random.below(5) == 0 {
            continue;
        }
        if at >= begins && random.below(6) > 0 {
            add(coverage(slot, "a", "jobs"));
        }
        for status in ["running", "finished"] {
            for queue in ["P", "Q"] {
                for _ in 0..random.below(3) {
                    let state = ["online", "offline", "test"][random.below(3)];
                    let sequence = [None, Some(random.below(3) as i64)][random.below(2)];
                    let count = random.below(1000) as i64;
                    add(jobs(slot, (queue, status), state, count, sequence, random.below(3) as f64 * 0.25));
                }
            }
        }
        for name in ["a", "b"] {
            if at >= begins && random.below(3) > 0 {
                add(coverage(slot, name, "grid_jobs"));
            }
            for which in 0..3 {
                if random.below(3) > 0 {
                    add(grid(slot, name, which, random.below(100) as i64));
                }
            }
        }
        add(schedd(slot, random.below(1000) as f64 / 1000.0));
    }
    all.into_values().collect()
}
