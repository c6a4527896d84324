//! How numbers went over a time: aligned on one axis of times, with gaps where nothing was stored, thinned to what a plot
//! can show; as JSON, TSV and CSV. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::model::Fold;
use crate::query::Values;

/// Some series over a time, aligned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct History {
    /// From this time on, in unix seconds.
    pub from: i64,
    /// To before this time.
    pub to: i64,
    /// The time between two values, in seconds.
    pub step_seconds: i64,
    /// The times, rising, in unix seconds. Where nothing was stored for longer than a step there is one without values.
    pub times: Vec<i64>,
    /// The series, in the order in which they were asked for.
    pub series: Vec<Series>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Its Carbon path.
    pub path: String,
    /// What it counts: `jobs`, `seconds`, ….
    pub unit: &'static str,
    /// One for each time; `None` where nothing was stored.
    pub values: Vec<Option<f64>>,
}

impl History {
    /// Aligns `series` over `from..to`, with at most about `points` times. `step_seconds` is the time between two values of
    /// the tier that they come from; programs that run more rarely have a longer one, which is found from the values.
    pub fn new(from: i64, to: i64, step_seconds: i64, points: usize, mut series: Vec<Values>) -> Self {
        // What a server gives that was not asked for, or is no number.
        for Values { values, .. } in &mut series {
            values.retain(|(time, value)| (from..to).contains(time) && value.is_finite());
        }
        let points = i64::try_from(points.max(1)).unwrap_or(i64::MAX);
        // Of series that come at different rhythms the slowest is the common one; what came once a week has none.
        let steps = series.iter().filter_map(|series| usual_step(&series.values)).filter(|step| *step <= 3600);
        let step = steps.max().unwrap_or(0).max(step_seconds).max(1);
        let span = to.saturating_sub(from).max(0);
        // Whole steps, so that each bucket holds as many values as the next.
        let bucket = step * (span / step / points + i64::from(span / step % points > 0)).max(1);
        let mut rows = BTreeMap::<i64, Vec<Option<f64>>>::new();
        for (at, Values { field, values, .. }) in series.iter().enumerate() {
            let mut values = values.as_slice();
            while let Some((first, _)) = values.first() {
                let time = first.div_euclid(bucket) * bucket;
                let end =
                    values.iter().position(|(other, _)| *other >= time.saturating_add(bucket)).unwrap_or(values.len());
                rows.entry(time).or_insert_with(|| vec![None; series.len()])[at] = fold(field.fold, &values[..end]);
                values = &values[end..];
            }
        }
        let mut history = Self { from, to, step_seconds: bucket, ..Self::default() };
        history.series = series
            .into_iter()
            .map(|Values { path, field, .. }| Series { path, unit: field.unit, values: Vec::with_capacity(rows.len()) })
            .collect();
        for (time, row) in rows {
            // A line across a time of which nothing is known would be a lie.
            if let Some(last) = history.times.last().copied().filter(|last| time - last > bucket + bucket / 2) {
                history.times.push(last + bucket);
                history.series.iter_mut().for_each(|series| series.values.push(None));
            }
            history.times.push(time);
            for (series, value) in history.series.iter_mut().zip(row) {
                series.values.push(value);
            }
        }
        history
    }

    /// Heads and rows, with `separator` between the cells; times in UTC. A value that is not known is an empty cell.
    pub fn table(&self, separator: char) -> String {
        let mut text = String::from("time");
        for series in &self.series {
            text.push(separator);
            text.push_str(&series.path);
        }
        text.push('\n');
        for (at, time) in self.times.iter().enumerate() {
            let _ = write!(text, "{}", jiff::Timestamp::from_second(*time).unwrap_or_default());
            for series in &self.series {
                text.push(separator);
                if let Some(value) = series.values[at] {
                    let _ = write!(text, "{value}");
                }
            }
            text.push('\n');
        }
        text
    }
}

/// The time between most neighbours; `None` with fewer than two values.
fn usual_step(values: &[(i64, f64)]) -> Option<i64> {
    let mut steps: Vec<_> = values.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let middle = steps.len().saturating_sub(1) / 2;
    (!steps.is_empty()).then(|| *steps.select_nth_unstable(middle).1)
}

/// Many values as one, as their field declares it.
fn fold(fold: Fold, values: &[(i64, f64)]) -> Option<f64> {
    let numbers = || values.iter().map(|(_, value)| *value);
    let count = values.len() as f64;
    let folded = match fold {
        _ if values.is_empty() => None,
        Fold::Sum => Some(numbers().sum()),
        Fold::Mean => Some(numbers().sum::<f64>() / count),
        Fold::Last => numbers().next_back(),
        Fold::Min => numbers().reduce(f64::min),
        Fold::Max => numbers().reduce(f64::max),
    };
    // A sum of the largest numbers there are is none.
    folded.filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Field, FieldInfo};

    static MEAN: FieldInfo = JOBS.info();
    static MOST: FieldInfo = JOBS.folded(Fold::Max).info();

    const JOBS: Field<i64> = Field::count("jobs", "jobs", "");

    fn values(field: &'static FieldInfo, values: &[(i64, f64)]) -> Values {
        Values { path: "a.b".into(), field, values: values.to_vec() }
    }

    #[test]
    fn a_time_of_which_nothing_is_known_is_a_gap() {
        let history =
            History::new(0, 600, 60, 100, vec![values(&MEAN, &[(0, 1.0), (60, 2.0), (300, 3.0), (360, 4.0)])]);
        assert_eq!(history.times, [0, 60, 120, 300, 360]);
        assert_eq!(history.series[0].values, [Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)]);
        assert_eq!(history.table('\t').lines().nth(3), Some("1970-01-01T00:02:00Z\t"));
    }

    #[test]
    fn what_is_missing_from_one_series_alone_is_a_gap_in_it_alone() {
        let series =
            vec![values(&MEAN, &[(0, 1.0), (60, 2.0), (120, 3.0)]), values(&MEAN, &[(0, 5.0), (120, 6.0), (180, 7.0)])];
        let history = History::new(0, 600, 60, 100, series);
        assert_eq!(history.times, [0, 60, 120, 180]);
        assert_eq!(history.series[1].values, [Some(5.0), None, Some(6.0), Some(7.0)]);
    }

    #[test]
    fn many_values_become_one_as_their_field_declares_it() {
        let ten: Vec<_> = (0..10).map(|at| (at * 60, at as f64)).collect();
        let history = History::new(0, 600, 60, 2, vec![values(&MEAN, &ten), values(&MOST, &ten)]);
        assert_eq!((history.step_seconds, history.times.as_slice()), (300, &[0, 300][..]));
        assert_eq!(history.series[0].values, [Some(2.0), Some(7.0)]);
        assert_eq!(history.series[1].values, [Some(4.0), Some(9.0)]);
    }

    #[test]
    fn of_two_rhythms_the_slower_one_is_common() {
        let minutes: Vec<_> = (0..20).map(|at| (at * 60, 1.0)).collect();
        let history =
            History::new(0, 1200, 60, 1000, vec![values(&MEAN, &minutes), values(&MEAN, &[(0, 5.0), (600, 6.0)])]);
        assert_eq!((history.step_seconds, history.times.as_slice()), (600, &[0, 600][..]));
    }

    #[test]
    fn what_is_no_number_or_was_not_asked_for_is_not_shown() {
        let given = [(i64::MIN, 1.0), (0, f64::NAN), (60, 2.0), (120, f64::INFINITY), (600, 3.0), (i64::MAX, 4.0)];
        let history = History::new(0, 600, 60, 100, vec![values(&MEAN, &given)]);
        assert_eq!((history.times.as_slice(), history.series[0].values.as_slice()), (&[60][..], &[Some(2.0)][..]));
        // The sum of which the mean is made is beyond all numbers.
        let history = History::new(0, 600, 60, 2, vec![values(&MEAN, &[(0, f64::MAX), (60, f64::MAX)])]);
        assert_eq!(history.series[0].values, [None]);
    }

    #[test]
    fn nothing_is_an_empty_history() {
        let history = History::new(0, 600, 60, 100, vec![values(&MEAN, &[])]);
        assert!(history.times.is_empty() && history.series[0].values.is_empty());
        assert_eq!(history.table(','), "time,a.b\n");
    }

    proptest! {
        #[test]
        fn it_is_bounded_ordered_and_within_what_was_given(
            from in 0..2_000_000_000_i64,
            steps in 1..3000_i64,
            points in 2..500_usize,
            gaps in prop::collection::vec(any::<bool>(), 1..50),
        ) {
            let to = from + steps * 60;
            let given: Vec<_> = (0..steps).filter(|at| gaps[*at as usize % gaps.len()]).map(|at| (from + at * 60, at as f64)).collect();
            let history = History::new(from, to, 60, points, vec![values(&MEAN, &given)]);
            let [series] = history.series.as_slice() else { panic!("one series") };
            prop_assert_eq!(series.values.len(), history.times.len());
            // Each gap adds a time, and buckets may begin before the range.
            prop_assert!(series.values.iter().flatten().count() <= points + 2, "{} {points}", history.times.len());
            prop_assert!(history.times.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(series.values.iter().flatten().next().is_some(), !given.is_empty());
            let most = given.last().map_or(0.0, |last| last.1);
            prop_assert!(series.values.iter().flatten().all(|value| (0.0..=most).contains(value)));
        }
    }
}
