//! The arithmetic by itself: random points of an hour and a day, folded and recomputed.

use std::collections::BTreeMap;

use gridmon::model::{COVERAGE, Measurement, Point, SECOND, Tier, Value, Window};
use gridmon::rollup::{Begins, Coverage, DAY, HOUR, SeriesFold, WindowFold, label_time, slot_of};
use gridmon::setup::CATALOG;
use gridmon_testkit::sandbox::proof::{Random, seed, soak};

use super::oracle::{Oracle, Rows};
use super::points::{D, coverage, jobs, measurement, points};

/// Folds the points of an hour.
fn hour(all: &[Point], begins: &Begins, measurement: &'static Measurement, from: i64) -> (Rows, Vec<Point>) {
    let window = Window { from, to: from + HOUR };
    let mut inside: Vec<_> = all.iter().filter(|point| window.contains(point.time())).collect();
    inside.sort_by_key(|point| point.time());
    let mut coverage = Coverage::new(begins);
    inside.iter().for_each(|point| coverage.add(Tier::Raw, point, CATALOG));
    inside.retain(|point| point.measurement() == measurement.name);
    if coverage.may_assume(measurement, from) {
        inside.iter().for_each(|point| coverage.assume(measurement, point, point.time(), "a"));
    }
    let mut fold = WindowFold::new(Tier::Hour, measurement, &coverage);
    inside.iter().for_each(|point| fold.add(point));
    let mut rows = Rows::new();
    for folded in fold.finish(window.to) {
        // The labels are those of the newest point that counts.
        let winners = inside.iter().filter(|point| point.series() == folded.point.series());
        let order = |point: &&&Point| {
            let sequence =
                point.fields().find(|(name, _)| *name == "sequence").map_or(-1.0, |(_, value)| value.as_f64());
            (slot_of(measurement, point.time()), sequence as i64, point.tag_set().into_owned())
        };
        let newest = winners.max_by_key(order).unwrap();
        assert_eq!(folded.point.tag_set(), newest.tag_set());
        for ((field, value), parts) in folded.point.fields().zip(&folded.parts) {
            rows.insert((folded.point.series().into(), folded.point.time(), field.into()), (value, *parts));
        }
    }
    (rows, coverage.points(window.to))
}

/// Folds the hours of a day.
fn day(hours: &Rows, coverages: &[Point], measurement: &'static Measurement) -> Rows {
    let mut begins = Begins::default();
    coverages.iter().for_each(|point| begins.add(point));
    let mut coverage = Coverage::new(&begins);
    coverages.iter().for_each(|point| coverage.add(Tier::Hour, point, CATALOG));
    let mut folds = BTreeMap::<String, SeriesFold>::new();
    let mut times: Vec<_> = hours.keys().map(|(series, time, _)| (*time, series.clone())).collect();
    times.sort();
    times.dedup();
    let names = |series: &str| {
        let mut names = Point::of_series(series).unwrap();
        CATALOG.declare(&mut names);
        names
    };
    for (time, series) in times {
        let names = names(&series);
        let field =
            |field: &str| hours.get(&(series.clone(), time, field.into())).map(|(value, parts)| (*value, Some(*parts)));
        let fold = folds.entry(series.clone()).or_insert_with(|| SeriesFold::new(measurement));
        fold.add_hour(&names, time / HOUR * HOUR, &field, &coverage.of(&names));
    }
    let mut rows = Rows::new();
    for (series, mut fold) in folds {
        let names = names(&series);
        for field in fold.finish(&names, &coverage.of(&names)) {
            rows.insert(
                (series.clone(), label_time(measurement, &names, D + DAY), field.name.into()),
                (field.value, field.parts),
            );
        }
    }
    rows
}

fn assert_same(folded: &Rows, expected: &Rows, what: &str) {
    for (row, value) in expected {
        assert_eq!(format!("{:?}", folded.get(row)), format!("{:?}", Some(value)), "{what}: {row:?}");
    }
    assert_eq!(folded.len(), expected.len(), "{what}: {folded:?}");
}

#[test]
fn an_hour_and_a_day_are_what_the_plain_reference_makes_of_all_points() {
    let seed = seed();
    let count = if soak() { 1_000_000 } else { 200 };
    for case in 0..count {
        let mut random = Random(seed.wrapping_add(case).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let all = points(&mut random);
        let mut begins = Begins::default();
        all.iter().for_each(|point| begins.add(point));
        for name in ["jobs", "grid_jobs", "grid_cloud", "grid_schedd"] {
            let measurement = measurement(name);
            let oracle = Oracle::new(&all, measurement);
            let (mut hours, mut coverages) = (Rows::new(), Vec::new());
            for hour_of_day in 0..24 {
                let from = D + hour_of_day * HOUR;
                if !all.iter().any(|point| (from..from + HOUR).contains(&point.time())) {
                    continue;
                }
                let (rows, coverage) = hour(&all, &begins, measurement, from);
                assert_same(&rows, &oracle.hour(from), &format!("seed {seed} case {case} {name}"));
                for point in coverage.iter().filter(|point| point.tag("measurement") == Some(name)) {
                    let own = all.iter().find(|one| {
                        one.measurement() == name && one.tag("grid").is_none_or(|grid| Some(grid) == point.tag("grid"))
                    });
                    let slots = point.fields().find(|(name, _)| *name == "slots").unwrap().1;
                    let expected = own.map(|own| oracle.slots(own, from));
                    assert!(expected.is_none_or(|expected| Value::Int(expected) == slots), "{point:?} {expected:?}");
                }
                hours.extend(rows);
                coverages.extend(coverage);
            }
            let daily = day(&hours, &coverages, measurement);
            assert_same(&daily, &oracle.day(D, |_| true), &format!("seed {seed} case {case} {name} day"));
        }
    }
}

#[test]
fn the_examples_of_the_rules_hold() {
    let at = |slot: i64| D + slot * 600 * SECOND;
    let mut all = vec![coverage(at(0), "a", "jobs"), coverage(at(1), "a", "jobs")];
    for slot in [0, 1] {
        all.push(jobs(at(slot), ("Q", "running"), "online", 100, Some(5), 1.0));
        all.push(jobs(at(slot), ("Q", "finished"), "online", 30, Some(5), 1.0));
    }
    // Two runs in a slot: the picture of the later one counts, whatever its tags.
    all.push(jobs(at(1), ("Q", "running"), "zzz", 7, Some(4), 1.0));
    let mut begins = Begins::default();
    all.iter().for_each(|point| begins.add(point));
    let (rows, coverages) = hour(&all, &begins, measurement("jobs"), D);
    let value = |status: &str, field: &str| {
        rows.iter().find(|((series, _, name), _)| series.contains(status) && name == field).unwrap().1.0
    };
    assert_eq!((value("running", "jobs"), value("finished", "jobs")), (Value::Float(100.0), Value::Float(60.0)));
    assert_eq!((value("running", "jobs_sum"), value("running", "slots")), (Value::Int(200), Value::Int(2)));
    assert_eq!(
        coverages[0].line(),
        format!("coverage,grid=a,measurement=jobs slots=2i,step_seconds=600i {}", D + HOUR)
    );
    assert_eq!(COVERAGE.name, coverages[0].measurement());
    // No coverage and no points: nothing.
    let (rows, coverages) = hour(&all, &begins, measurement("jobs"), D + HOUR);
    assert!(rows.is_empty() && coverages.is_empty());
}
