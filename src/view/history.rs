//! The values of some series over a range of time: aligned on one axis, with gaps where nothing was stored, folded into
//! buckets where there are more than a plot can show; as JSON, TSV and CSV. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::query::{Part, Tally, Values, own_step, width};

/// A bucket of which less than this part was collected is a gap in the line.
pub const GAP_COVERAGE: f64 = 0.9;

/// The values of some series over a range of time, aligned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct History {
    /// The start of the range, in unix seconds.
    pub from: i64,
    /// The end of the range, in unix seconds; it is not part of it.
    pub to: i64,
    /// The time between two entries of `times`, in seconds.
    pub step_seconds: i64,
    /// The times, rising, in unix seconds. A gap longer than a step has one time without values.
    pub times: Vec<i64>,
    /// The series, in the order of the question.
    pub series: Vec<Series>,
}

/// One series of a history.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Its Carbon path.
    pub path: String,
    /// The unit: `jobs`, `seconds`, ….
    pub unit: &'static str,
    /// How its values fold over time: `mean`, `last`, ….
    pub fold: &'static str,
    /// Whether it tells that something is up (1) or down (0).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub health: bool,
    /// One value per time, the mean of its bucket; `None` where nothing was stored.
    pub values: Vec<Option<f64>>,
    /// The smallest stored value of each bucket; empty, as the next three, if each value is a stored one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub least: Vec<Option<f64>>,
    /// The largest stored value of each bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub most: Vec<Option<f64>>,
    /// The number of stored values of each bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub count: Vec<u64>,
    /// The part of each bucket in which values were collected, 0 to 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<f64>,
    /// All stored values of the range; `None` if there are none.
    pub whole: Option<Whole>,
}

/// All stored values of a series in a range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Whole {
    /// The number of values.
    pub count: u64,
    /// The smallest value.
    pub least: f64,
    /// The mean.
    pub mean: f64,
    /// The largest value.
    pub most: f64,
    /// The newest value.
    pub last: f64,
    /// Its time, in unix seconds.
    pub last_time: i64,
}

/// Stored values, folded.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    count: u64,
    least: f64,
    most: f64,
    mean: f64,
    /// The seconds in which values were collected.
    covered: f64,
}

/// The buckets of one series by their times, which rise.
type Buckets = Vec<(i64, Bucket)>;

impl Bucket {
    /// Folds some values with their parts; `None` if there are none.
    fn of(step: i64, values: &[(i64, f64)], parts: &[Part]) -> Option<Self> {
        let mut tally: Option<Tally> = None;
        for (at, (_, value)) in values.iter().enumerate() {
            let part = parts.get(at).copied().unwrap_or(Part::of(*value));
            match &mut tally {
                Some(tally) => tally.take(*value, part),
                None => tally = Some(Tally::new(*value, part)),
            }
        }
        let tally = tally.filter(|tally| tally.part.count > 0)?;
        let Part { least, most, count, coverage } = tally.part;
        Some(Self { count, least, most, mean: tally.mean(), covered: coverage * step as f64 })
    }

    /// Returns the part of `width` seconds that is covered, by values that are `step` seconds apart.
    fn coverage(&self, width: i64, step: i64) -> f64 {
        let possible = (width / step).max(1).saturating_mul(step);
        let coverage = (self.covered / possible as f64).min(1.0);
        (coverage * 1e4).round() / 1e4
    }
}

impl History {
    /// Aligns `series` over `from..to` on about `points` times. The axis has the step of the most frequent series, so that no
    /// series is folded without need, or a wider one of [`crate::query::WIDTHS`]; then a bucket at an end that is not whole is
    /// left out. A value of a rarer series is repeated until its next one is due.
    pub fn new(from: i64, to: i64, points: usize, mut series: Vec<Values>) -> Self {
        let wholes: Vec<_> = series.iter_mut().map(|one| tidy(one, from, to)).collect();
        let with_values = series.iter().filter(|one| !one.values.is_empty()).map(|one| one.step).min();
        let step = with_values.or_else(|| series.iter().map(|one| one.step).min()).unwrap_or(60);
        let bucket = width(to.saturating_sub(from), points, step);
        let mut buckets = buckets(&mut series, bucket);
        let is_inside = |time: i64| time >= from && time <= to.saturating_sub(bucket);
        let is_folded = bucket > step || series.iter().any(|one| !one.parts.is_empty());
        // A range may be shorter than a bucket that the store has folded.
        if is_folded && (bucket > step || buckets.iter().flatten().any(|(time, _)| is_inside(*time))) {
            buckets.iter_mut().for_each(|of_one| of_one.retain(|(time, _)| is_inside(*time)));
            // The newest values may not have been stored yet.
            let newest = buckets.iter().filter_map(|of_one| Some(of_one.last()?.0)).max();
            let at_end = |of_one: &Buckets| of_one.last().filter(|(time, _)| Some(*time) == newest).copied();
            let is_whole = |(of_one, one): (&Buckets, &Values)| {
                at_end(of_one).is_some_and(|(_, of_end)| of_end.coverage(bucket, one.step) >= 1.0)
            };
            if newest.is_some_and(|time| time > to - 2 * bucket) && !buckets.iter().zip(&series).any(is_whole) {
                buckets.iter_mut().filter(|of_one| at_end(of_one).is_some()).for_each(|of_one| {
                    of_one.pop();
                });
            }
        }
        let mut history = Self::aligned(from, to, bucket, &series, wholes, buckets);
        for (drawn, Values { step, .. }) in history.series.iter_mut().zip(&series) {
            carry(&history.times, drawn, *step);
        }
        history
    }

    /// Folds `series` over `from..to` into buckets of `step` seconds; a bucket at an end that is not whole is left out.
    pub fn by_step(from: i64, to: i64, step: i64, mut series: Vec<Values>) -> Self {
        let wholes = series.iter_mut().map(|one| tidy(one, from, to)).collect();
        let mut buckets = buckets(&mut series, step);
        let is_inside = |time: i64| time >= from && time <= to.saturating_sub(step);
        buckets.iter_mut().for_each(|of_one| of_one.retain(|(time, _)| is_inside(*time)));
        let mut history = Self::aligned(from, to, step, &series, wholes, buckets);
        history.series.iter_mut().filter(|one| one.count.is_empty()).for_each(Series::unfold);
        history
    }

    /// Returns the values as they are stored, each at its own time.
    pub fn stored(from: i64, to: i64, mut series: Vec<Values>) -> Self {
        let wholes: Vec<_> = series.iter_mut().map(|one| tidy(one, from, to)).collect();
        let times: BTreeSet<_> = series.iter().flat_map(|one| one.values.iter().map(|(time, _)| *time)).collect();
        let times: Vec<_> = times.into_iter().collect();
        let step_seconds = series.iter().map(|one| one.step).min().unwrap_or(60);
        let aligned = |(one, whole): (Values, Option<Whole>)| {
            let mut values = vec![None; times.len()];
            let mut at = 0;
            for (time, value) in &one.values {
                while times[at] < *time {
                    at += 1;
                }
                values[at] = Some(*value);
            }
            Series { values, whole, ..Series::named(&one) }
        };
        let series = series.into_iter().zip(wholes).map(aligned).collect();
        Self { from, to, step_seconds, times, series }
    }

    fn aligned(
        from: i64,
        to: i64,
        bucket: i64,
        series: &[Values],
        wholes: Vec<Option<Whole>>,
        buckets: Vec<Buckets>,
    ) -> Self {
        let mut known: Vec<_> = buckets.iter().flatten().map(|(time, _)| *time).collect();
        known.sort_unstable();
        known.dedup();
        let mut times = Vec::with_capacity(known.len());
        for time in known {
            // Without this empty time the plot would draw a line across the gap.
            if let Some(last) = times.last().copied().filter(|last| time - last > bucket + bucket / 2) {
                times.push(last + bucket);
            }
            times.push(time);
        }
        let of_series = |((one, whole), buckets): ((&Values, Option<Whole>), Buckets)| {
            let mut buckets = buckets.into_iter().peekable();
            let cell = |time: &i64| buckets.next_if(|(of, _)| of == time).map(|(_, bucket)| bucket);
            let cells: Vec<_> = times.iter().map(cell).collect();
            let mut drawn = Series { whole, ..Series::named(one) };
            drawn.values = cells.iter().map(|cell| cell.map(|cell| cell.mean)).collect();
            if bucket > one.step || !one.parts.is_empty() {
                drawn.least = cells.iter().map(|cell| cell.map(|cell| cell.least)).collect();
                drawn.most = cells.iter().map(|cell| cell.map(|cell| cell.most)).collect();
                drawn.count = cells.iter().map(|cell| cell.map_or(0, |cell| cell.count)).collect();
                let coverage = |cell: &Option<Bucket>| cell.map_or(0.0, |cell| cell.coverage(bucket, one.step));
                drawn.coverage = cells.iter().map(coverage).collect();
            }
            drawn
        };
        let series = series.iter().zip(wholes).zip(buckets).map(of_series).collect();
        Self { from, to, step_seconds: bucket, times, series }
    }

    /// Whether the values are folded.
    pub fn is_folded(&self) -> bool {
        self.series.iter().any(|series| !series.count.is_empty())
    }

    /// Returns a head line and a line per time, with `separator` between the cells: the time in UTC, then each series, or
    /// its least, mean, most and count if it is folded. A missing value is an empty cell.
    pub fn table(&self, separator: char) -> String {
        let mut text = String::from("UTC");
        for series in &self.series {
            let Series { path, unit, fold, .. } = series;
            let heads = if series.count.is_empty() {
                vec![format!("{path} ({unit}; {fold})")]
            } else {
                let fold = |fold: &str| format!("{path} ({unit}; {fold})");
                vec![fold("least"), fold("mean"), fold("most"), format!("{path} (values; count)")]
            };
            heads.iter().for_each(|head| push_cell(&mut text, separator, head));
        }
        text.push('\n');
        for (at, time) in self.times.iter().enumerate() {
            let time = jiff::Timestamp::from_second(*time).unwrap_or_default();
            let _ = write!(text, "{}", time.strftime("%Y-%m-%d %H:%M:%S"));
            let mut number = |value: Option<f64>| {
                let value = value.map(|value| value.to_string());
                push_cell(&mut text, separator, &value.unwrap_or_default());
            };
            for series in &self.series {
                match series.count.get(at) {
                    None => number(series.values[at]),
                    Some(count) => {
                        [series.least[at], series.values[at], series.most[at]].into_iter().for_each(&mut number);
                        number(Some(*count as f64));
                    }
                }
            }
            text.push('\n');
        }
        text
    }
}

/// Adds a separator and a cell, quoted if it holds what separates cells.
fn push_cell(text: &mut String, separator: char, cell: &str) {
    text.push(separator);
    if cell.contains([separator, '"', '\n']) {
        let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
    } else {
        text.push_str(cell);
    }
}

impl Series {
    /// Returns the series without values.
    fn named(values: &Values) -> Self {
        let Values { path, field, .. } = values;
        Self { path: path.clone(), unit: field.unit, fold: field.fold.name(), ..Self::default() }
    }

    /// Says of values that are not folded what they are folded from: themselves.
    fn unfold(&mut self) {
        (self.least, self.most) = (self.values.clone(), self.values.clone());
        self.count = self.values.iter().map(|value| value.is_some().into()).collect();
        self.coverage = self.values.iter().map(|value| if value.is_some() { 1.0 } else { 0.0 }).collect();
    }

    /// Returns the value of a time as a line shows it: `None` where too little was collected.
    pub fn in_line(&self, at: usize) -> Option<f64> {
        self.values[at].filter(|_| self.coverage.get(at).is_none_or(|coverage| *coverage >= GAP_COVERAGE))
    }
}

/// Removes what is no number or outside the range, corrects the step, and returns what the range holds.
fn tidy(series: &mut Values, from: i64, to: i64) -> Option<Whole> {
    let Values { step, values, parts, newest, .. } = series;
    *step = (*step).max(1);
    // A server may return values outside the range, and NaN.
    let has_parts = !parts.is_empty();
    let length = *step;
    let end = |time: i64| if has_parts { time.saturating_add(length) } else { time.saturating_add(1) };
    let is_good = |(time, value): &(i64, f64)| *time < to && end(*time) > from && value.is_finite();
    let mut good = values.iter().map(is_good);
    parts.retain(|_| good.next().unwrap_or(false));
    values.retain(is_good);
    let newest = newest.filter(|(time, value)| (from..to).contains(time) && value.is_finite());
    let whole = Bucket::of(1, values, parts).zip(newest.or(values.last().copied()));
    let whole = whole.map(|(Bucket { count, least, most, mean, .. }, (last_time, last))| Whole {
        count,
        least,
        mean,
        most,
        last,
        last_time,
    });
    // The first value of a folded series may begin before the range.
    let before = values.iter().take_while(|(time, _)| *time < from).count();
    values.drain(..before);
    parts.drain(..before.min(parts.len()));
    if !has_parts {
        *step = own_step(*step, &mut values.windows(2).map(|pair| pair[1].0 - pair[0].0).collect::<Vec<_>>());
    }
    whole
}

/// Folds the values of each series into buckets, and keeps no value: many numbers over a long time fill the memory
/// otherwise.
fn buckets(series: &mut [Values], width: i64) -> Vec<Buckets> {
    let of_one = |one: &mut Values| {
        let all = std::mem::take(&mut one.values);
        let (mut values, mut parts) = (all.as_slice(), one.parts.as_slice());
        let mut buckets = Buckets::new();
        while let Some((first, _)) = values.first() {
            let time = first.div_euclid(width) * width;
            let end = values.partition_point(|(other, _)| *other < time.saturating_add(width));
            let of_bucket = parts.get(..end).unwrap_or_default();
            buckets.extend(Bucket::of(one.step, &values[..end], of_bucket).map(|bucket| (time, bucket)));
            (values, parts) = (&values[end..], parts.get(end..).unwrap_or_default());
        }
        buckets
    };
    series.iter_mut().map(of_one).collect()
}

/// Repeats each value until the next one is due, `step` seconds later.
fn carry(times: &[i64], series: &mut Series, step: i64) {
    let mut last: Option<(i64, f64)> = None;
    for (time, value) in times.iter().zip(&mut series.values) {
        match (*value, last) {
            (Some(value), _) => last = Some((*time, value)),
            (None, Some((since, standing))) if time - since < step => *value = Some(standing),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Field, FieldInfo, Fold};
    use crate::query::{Detail, Folding, WIDTHS, width};

    static MEAN: FieldInfo = JOBS.info();
    static MOST: FieldInfo = JOBS.folded(Fold::Max).info();

    const JOBS: Field<i64> = Field::count("jobs", "jobs", "");

    fn values(field: &'static FieldInfo, values: &[(i64, f64)]) -> Values {
        Values { path: "a.b".into(), field, step: 60, values: values.to_vec(), parts: Vec::new(), newest: None }
    }

    #[test]
    fn a_time_of_which_nothing_is_known_is_a_gap() {
        let history = History::new(0, 600, 100, vec![values(&MEAN, &[(0, 1.0), (60, 2.0), (300, 3.0), (360, 4.0)])]);
        assert_eq!(history.times, [0, 60, 120, 300, 360]);
        assert_eq!(history.series[0].values, [Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)]);
        assert_eq!(history.table('\t').lines().nth(3), Some("1970-01-01 00:02:00\t"));
    }

    #[test]
    fn what_is_missing_from_one_series_alone_is_a_gap_in_it_alone() {
        let series =
            vec![values(&MEAN, &[(0, 1.0), (60, 2.0), (120, 3.0)]), values(&MEAN, &[(0, 5.0), (120, 6.0), (180, 7.0)])];
        let history = History::new(0, 600, 100, series);
        assert_eq!(history.times, [0, 60, 120, 180]);
        assert_eq!(history.series[1].values, [Some(5.0), None, Some(6.0), Some(7.0)]);
    }

    #[test]
    fn many_values_become_their_mean_with_least_and_most() {
        let ten: Vec<_> = (0..10).map(|at| (at * 60, at as f64)).collect();
        let history = History::new(0, 600, 2, vec![values(&MEAN, &ten), values(&MOST, &ten)]);
        assert_eq!((history.step_seconds, history.times.as_slice()), (300, &[0, 300][..]));
        assert_eq!(history.series[0].values, [Some(2.0), Some(7.0)]);
        assert_eq!(history.series[1].values, history.series[0].values, "a line is the mean, however a field folds");
        assert_eq!(history.series[1].least, [Some(0.0), Some(5.0)]);
        assert_eq!(history.series[1].most, [Some(4.0), Some(9.0)]);
    }

    #[test]
    fn the_most_frequent_series_is_not_thinned_and_a_value_of_a_rarer_one_stands_until_the_next() {
        let seconds: Vec<_> = (0..60).map(|at| (at * 10, at as f64)).collect();
        let nightly = Values { step: 86_400, ..values(&MEAN, &[(0, 7.0)]) };
        let series = vec![values(&MEAN, &seconds), values(&MEAN, &[(0, 5.0), (300, 6.0)]), nightly];
        let history = History::new(0, 600, 1000, series);
        assert_eq!((history.step_seconds, history.times.len()), (10, 60));
        assert_eq!(history.series[0].values, seconds.iter().map(|(_, value)| Some(*value)).collect::<Vec<_>>());
        let stands: Vec<_> = (0..60).map(|at| Some(if at < 30 { 5.0 } else { 6.0 })).collect();
        assert_eq!(history.series[1].values, stands);
        assert!(history.series[2].values.iter().all(|value| *value == Some(7.0)));
    }

    #[test]
    fn a_value_does_not_stand_beyond_the_time_of_the_next() {
        let minutes: Vec<_> = (0..20).map(|at| (at * 60, 1.0)).collect();
        let history =
            History::new(0, 1200, 1000, vec![values(&MEAN, &minutes), values(&MEAN, &[(0, 5.0), (300, 6.0)])]);
        assert_eq!(history.series[1].values[9], Some(6.0));
        assert!(history.series[1].values[10..].iter().all(Option::is_none));
    }

    #[test]
    fn what_is_no_number_or_was_not_asked_for_is_not_shown() {
        let given = [(i64::MIN, 1.0), (0, f64::NAN), (60, 2.0), (120, f64::INFINITY), (600, 3.0), (i64::MAX, 4.0)];
        let history = History::new(0, 600, 100, vec![values(&MEAN, &given)]);
        assert_eq!((history.times.as_slice(), history.series[0].values.as_slice()), (&[60][..], &[Some(2.0)][..]));
        // The sum behind the mean overflows, the mean does not.
        let history =
            History::new(0, 600, 2, vec![values(&MEAN, &[0, 60, 120, 180, 240].map(|time| (time, f64::MAX)))]);
        assert_eq!(history.series[0].values, [Some(f64::MAX)]);
    }

    #[test]
    fn nothing_is_an_empty_history() {
        let history = History::new(0, 600, 100, vec![values(&MEAN, &[])]);
        assert!(history.times.is_empty() && history.series[0].values.is_empty());
        assert_eq!(history.table(','), "UTC,a.b (jobs; mean)\n");
    }

    #[test]
    fn darkness_shows_in_a_month() {
        let month: Vec<_> = (0..43_200).filter(|at| !(20_000..20_020).contains(at)).map(|at| (at * 60, 1.0)).collect();
        let history = History::new(0, 30 * 86_400, 1000, vec![values(&MEAN, &month)]);
        let [series] = history.series.as_slice() else { panic!("one series") };
        assert_eq!((history.step_seconds, history.times.len()), (3600, 720));
        let dark: Vec<_> = (0..720).filter(|at| series.in_line(*at).is_none()).map(|at| series.coverage[at]).collect();
        assert_eq!(dark, [0.6667]);
    }

    /// The same values as a store returns them that folds while it reads.
    fn read(given: &[(i64, f64)], (from, to): (i64, i64), detail: Detail) -> Values {
        let mut folding = Folding::new(detail.bucket(to - from, 60));
        given.iter().for_each(|(time, value)| folding.push(*time, *value, None));
        folding.finish("a.b", &MEAN, 60)
    }

    /// A plain fold of the values of one bucket: least, mean, most, count.
    fn plain(values: &[(i64, f64)], from: i64, to: i64) -> Option<(f64, f64, f64, u64)> {
        let values: Vec<f64> =
            values.iter().filter(|(time, _)| from <= *time && *time < to).map(|(_, value)| *value).collect();
        let (mut least, mut most, mut sum) = (*values.first()?, *values.first()?, 0.0);
        for value in &values {
            sum += value;
            if *value < least {
                least = *value;
            }
            if *value > most {
                most = *value;
            }
        }
        Some((least, sum / values.len() as f64, most, values.len() as u64))
    }

    fn check(history: &History, given: &[(i64, f64)]) -> Result<(), TestCaseError> {
        let History { from, to, step_seconds: step, .. } = *history;
        let [series] = history.series.as_slice() else { panic!("one series") };
        let is_near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0);
        for (at, time) in history.times.iter().enumerate() {
            let Some((least, mean, most, count)) = plain(given, *time, time + step) else {
                prop_assert_eq!(series.values[at], None);
                continue;
            };
            prop_assert!(from <= *time && time + step <= to, "{time} is not whole");
            prop_assert_eq!((series.least[at], series.most[at], series.count[at]), (Some(least), Some(most), count));
            prop_assert!(series.values[at].is_some_and(|value| is_near(value, mean)));
            let possible = (step / 60) as f64;
            prop_assert!(
                (series.coverage[at] - count as f64 / possible).abs() < 1e-3,
                "{} {count}",
                series.coverage[at]
            );
            prop_assert_eq!(time % step, 0);
        }
        let whole = plain(given, from, to);
        prop_assert_eq!(series.whole.is_some(), whole.is_some());
        if let (Some(shown), Some((least, mean, most, count))) = (series.whole, whole) {
            prop_assert_eq!((shown.least, shown.most, shown.count), (least, most, count));
            prop_assert!(is_near(shown.mean, mean));
            prop_assert_eq!(Some((shown.last_time, shown.last)), given.last().copied());
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A range of eight days on two points was once asked for in weeks, and no whole week lay in it.
        #[test]
        fn a_whole_bucket_lies_in_every_range(from in 0..2_000_000_000_i64, span in 1..400_000_000_i64, points in 1..3000_usize, step in 1..100_000_i64) {
            let bucket = width(span, points, step);
            let first = (from + bucket - 1).div_euclid(bucket) * bucket;
            prop_assert!(bucket >= step);
            prop_assert!(bucket == step || first + bucket <= from + span, "{bucket}");
        }

        #[test]
        fn buckets_are_those_of_a_plain_fold(
            begin in 0..30_000_000_i64,
            length in 1..60_000_i64,
            points in 2..1500_usize,
            numbers in prop::collection::vec(prop_oneof![-1e9..1e9, (0..50_i64).prop_map(|value| value as f64)], 1..70),
            dark in prop::collection::vec((0..60_000_i64, 0..3000_i64), 0..4),
            step in prop::sample::select(WIDTHS.to_vec()),
        ) {
            // A value a minute, but for some darkness.
            let (from, to) = (begin * 60, (begin + length) * 60);
            let is_dark = |at: i64| dark.iter().any(|(since, long)| (*since..since + long).contains(&at));
            let given: Vec<_> = (0..length)
                .filter(|at| !is_dark(*at))
                .map(|at| (from + at * 60, numbers[at as usize % numbers.len()]))
                .collect();
            let history = History::new(from, to, points, vec![values(&MEAN, &given)]);
            prop_assert!(history.step_seconds == 60 || WIDTHS.iter().any(|(width, _)| *width == history.step_seconds));
            if history.is_folded() {
                check(&history, &given)?;
            }
            if history.step_seconds > 60 {
                // No bucket between the ends is missing, but the last one while its values are still to come.
                for (time, _) in &given {
                    let bucket = time / history.step_seconds * history.step_seconds;
                    let is_inside = from <= bucket && bucket + 2 * history.step_seconds <= to;
                    prop_assert!(!is_inside || history.times.binary_search(&bucket).is_ok(), "{time}");
                }
            } else {
                let shown: Vec<_> = history.times.iter().zip(&history.series[0].values).filter_map(|(time, value)| Some((*time, (*value)?))).collect();
                prop_assert_eq!(&shown, &given);
            }
            check(&History::by_step(from, to, step.0, vec![values(&MEAN, &given)]), &given)?;
            let whole = (from.div_euclid(step.0) * step.0 + if from % step.0 == 0 { 0 } else { step.0 }, to / step.0 * step.0);
            let inside: Vec<_> = given.iter().copied().filter(|(time, _)| (whole.0..whole.1).contains(time)).collect();
            check(&History::by_step(from, to, step.0, vec![read(&inside, whole, Detail::Step(step.0))]), &inside)?;
            let read = read(&given, (from, to), Detail::Points(points));
            prop_assert!(read.values.len() as i64 <= length.min((to - from) / history.step_seconds + 2));
            let same = History::new(from, to, points, vec![read]);
            if history.is_folded() {
                check(&same, &given)?;
                prop_assert_eq!(&same.times, &history.times);
                prop_assert_eq!(&same.series[0].coverage, &history.series[0].coverage);
            } else {
                prop_assert_eq!((&same.times, &same.series[0].values), (&history.times, &history.series[0].values));
            }
            let stored = History::stored(from, to, vec![values(&MEAN, &given)]);
            let shown: Vec<_> = stored.times.iter().copied().zip(stored.series[0].values.iter().flatten().copied()).collect();
            prop_assert_eq!(shown, given);
        }
    }
}
