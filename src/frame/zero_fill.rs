//! Zeros for counts that vanished: an absent series counts 0 if the run saw every series of its measurement.

use std::collections::BTreeSet;

use crate::model::{Catalog, Kind, Measurement, Point, Value};

/// Returns a zero at `time`, in unix nanoseconds, for each series of `before` that has no point in `points`, if the run
/// saw every series of its measurement (`complete`). Also returns the series of counts to remember: those of `points`,
/// and those of `before` whose measurement is not in `complete`.
pub fn zero_fill(
    before: &BTreeSet<String>,
    points: &[Point],
    complete: &[&'static Measurement],
    time: i64,
    catalog: Catalog,
) -> (Vec<Point>, BTreeSet<String>) {
    let counts = |point: &Point| {
        catalog.measurement(point.measurement()).is_some_and(|m| m.fields.iter().any(|field| field.count))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_vanished_from_a_complete_answer_goes_to_zero_once() {
        let catalog = Catalog::new(&crate::monitors::grid::MEASUREMENTS);
        let measurement = |name| catalog.measurement(name).expect("it is declared");
        let (jobs, vms, cloud) = (measurement("grid_jobs"), measurement("grid_vms"), measurement("grid_cloud"));
        let job = |status: &str, n: i64| jobs.point(7, ["a b", "all", status], &[("jobs", n.into())]);
        let vm = vms.point(7, ["a b", "c,d", "w", "running"], &[("vms", 3.into())]);
        let quota = cloud.point(7, ["a b", "c"], &[("quota", 3.into())]);
        let (zeros, first) =
            zero_fill(&BTreeSet::new(), &[job("idle", 5), job("held", 1), vm.clone(), quota], &[jobs, vms], 7, catalog);
        assert!(zeros.is_empty());
        assert_eq!(first.len(), 3, "a quota that vanished is unknown, not zero: {first:?}");

        // Cloud Scheduler is down: the number of its machines is unknown.
        let (zeros, second) = zero_fill(&first, &[job("idle", 5)], &[jobs], 8, catalog);
        assert_eq!(zeros, [jobs.point(8, ["a b", "all", "held"], &[("jobs", 0.into())])]);
        assert!(second.contains(&vm.series()));
        // It is back and reports no machines.
        let (zeros, third) = zero_fill(&second, &[job("idle", 5)], &[jobs, vms], 9, catalog);
        assert_eq!(zeros, [vms.point(9, ["a b", "c,d", "w", "running"], &[("vms", 0.into())])]);
        assert_eq!(zero_fill(&third, &[job("idle", 5)], &[jobs, vms], 10, catalog), (vec![], third));
    }
}
