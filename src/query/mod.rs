//! Queries that every store answers.

mod columns;
mod folding;
mod joining;
mod summing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::model::collected::STEP;
use crate::model::{
    COVERAGE, Catalog, FieldInfo, Measurement, Number, Point, SCOPE_COVERAGE, Tier, Value, WideSum, Window, utc,
};
use crate::text::{count, quote};

pub use self::columns::{Column, Step, Total};
use self::columns::{beginning, each_value, group};
pub use self::folding::{Detail, Folding, Tally, own_step};
pub use self::joining::{Join, TooMuch};
pub use self::summing::{ANY, range as range_with_sums};

/// The newest value of one field of a series.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The series: a point without fields, shared by the values of its fields.
    pub series: Arc<Point>,
    /// The field.
    pub field: &'static FieldInfo,
    /// Its time, in nanoseconds.
    pub time: i64,
    /// The value.
    pub value: Value,
    /// The interval between two values of the series, in seconds: the configured one of its writer, if known.
    pub every: i64,
}

/// The newest values of a store, as of a time.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    /// The newest value of each number.
    pub values: Vec<Latest>,
    /// The numbers that have a later value too.
    pub ahead: Ahead,
}

/// Numbers that a clock has written which is ahead of the reader's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub numbers: usize,
    /// The latest time among them, in unix seconds.
    pub until: i64,
}

impl Ahead {
    /// Returns the notice for people; `None` if there is no such number.
    pub fn notice(&self) -> Option<String> {
        let numbers = count(self.numbers, "number");
        let verb = if self.numbers == 1 { "is" } else { "are" };
        (self.numbers > 0)
            .then(|| format!("{numbers} {verb} from the future, until {}: whose clock is wrong?", utc(self.until)))
    }
}

/// The configured intervals of the series' writers, from their coverage.
#[derive(Clone, Debug, Default)]
pub struct Intervals(Vec<Interval>);

#[derive(Clone, Debug)]
struct Interval {
    grid: String,
    measurement: String,
    /// The tags that all series of the writer have.
    scope: Vec<(String, String)>,
    seconds: i64,
}

impl Intervals {
    /// Extracts the intervals from the newest values of [`COVERAGE`] and [`SCOPE_COVERAGE`]; ignores other values.
    pub fn new(latest: &[Latest]) -> Self {
        let of_coverage = latest.iter().filter(|one| {
            let name = one.series.measurement();
            (name == COVERAGE.name || name == SCOPE_COVERAGE.name) && one.field.name == STEP.info().name
        });
        let interval = |one: &Latest| {
            let tag = |name: &str| one.series.tag(name).map(String::from);
            let pairs = tag("scope").unwrap_or_default();
            let scope = pairs.split(',').filter_map(|pair| pair.split_once('='));
            let seconds = Some(one.value.as_f64() as i64).filter(|seconds| *seconds > 0)?;
            let scope = scope.map(|(name, value)| (name.into(), value.into())).collect();
            Some(Interval { grid: tag("grid")?, measurement: tag("measurement")?, scope, seconds })
        };
        Self(of_coverage.filter_map(interval).collect())
    }

    /// Returns the interval of a series, in seconds: that of its scope, else that of its measurement, else `default`.
    pub fn of(&self, series: &Point, default: i64) -> i64 {
        let fits = |interval: &&Interval| {
            interval.measurement == series.measurement()
                && series.tag("grid").is_none_or(|grid| grid == interval.grid)
                && interval.scope.iter().all(|(name, value)| series.tag(name) == Some(value))
        };
        let best = self.0.iter().filter(fits).max_by_key(|interval| (interval.scope.len(), interval.seconds));
        best.map_or(default, |interval| interval.seconds)
    }
}

/// A requested number of a plot: a Carbon path that a measurement declares.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The path.
    pub path: String,
    /// The number that the path names.
    pub number: Number,
}

impl Wanted {
    /// Parses a path.
    ///
    /// # Errors
    /// Fails if no measurement has this path; stores are never queried for other paths.
    pub fn new(path: &str, catalog: Catalog) -> Result<Self> {
        let number =
            catalog.read_path(path).with_context(|| format!("{}: no measurement has this path", quote(path)))?;
        Ok(Self { path: path.into(), number })
    }

    /// Returns what a store has read of it; its stored values are `step` seconds apart as far as the store knows.
    pub fn values(&self, read: Folding, step: i64) -> Values {
        read.finish(&self.path, self.number.field, step)
    }

    /// Returns the series, assuming that the path shows its tags unchanged.
    pub fn series(&self) -> Point {
        let tags = self.number.tags.iter().map(|(name, value)| ((*name).into(), value.as_str()));
        Point::new(self.number.measurement.name.into(), tags, [], 0)
    }
}

/// The values of one series, as returned by a store.
#[derive(Clone, Debug)]
pub struct Values {
    /// Its Carbon path.
    pub path: String,
    /// The field, with its unit and fold.
    pub field: &'static FieldInfo,
    /// The interval between two values, in seconds.
    pub step: i64,
    /// Times in unix seconds, rising, with values; the mean where the store has folded several.
    pub values: Vec<(i64, f64)>,
    /// What each value was folded from; empty if each is one collected value.
    pub parts: Vec<Part>,
    /// The newest stored value, where the values are folded from stored ones.
    pub newest: Option<(i64, f64)>,
}

/// What a folded value was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// The smallest value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
    /// The number of values.
    pub count: u64,
    /// The part of its step in which values were collected, 0 to 1.
    pub coverage: f64,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The lengths of buckets, in seconds, each with its name. Whole buckets make a day or a week, so that no plot shows waves
/// that only its buckets make.
pub const WIDTHS: [(i64, &str); 17] = [
    (MINUTE, "1min"),
    (2 * MINUTE, "2min"),
    (5 * MINUTE, "5min"),
    (10 * MINUTE, "10min"),
    (15 * MINUTE, "15min"),
    (30 * MINUTE, "30min"),
    (HOUR, "1h"),
    (2 * HOUR, "2h"),
    (3 * HOUR, "3h"),
    (4 * HOUR, "4h"),
    (6 * HOUR, "6h"),
    (8 * HOUR, "8h"),
    (12 * HOUR, "12h"),
    (DAY, "1d"),
    (2 * DAY, "2d"),
    (7 * DAY, "7d"),
    (7 * DAY, "1w"),
];

/// Returns the length of the buckets of `span` seconds on about `points` times, for values that are `step` seconds apart:
/// the step itself if that is long enough, else one of [`WIDTHS`], if possible one that holds whole steps. Wherever the span
/// begins, at least one whole bucket lies in it, unless it is shorter than two steps.
pub fn width(span: i64, points: usize, step: i64) -> i64 {
    let points = i64::try_from(points.max(1)).unwrap_or(i64::MAX);
    let (span, step) = (span.max(0), step.max(1));
    let needed = span / points + i64::from(span % points > 0);
    if step >= needed {
        return step;
    }
    let fits = |width: &i64| *width >= step && *width <= span / 2;
    let mut fitting = WIDTHS.iter().map(|(width, _)| *width).filter(fits);
    let mut wide = fitting.clone().filter(|width| *width >= needed);
    let Some(first) = wide.clone().next() else {
        let widest = fitting.clone().next_back().unwrap_or(step);
        return fitting.rfind(|width| width % step == 0).unwrap_or(widest);
    };
    wide.find(|width| width % step == 0 && *width <= first.saturating_mul(4)).unwrap_or(first)
}

/// A read-only store.
pub trait Read: Send + Sync {
    /// Returns the kind and location of the store, for messages.
    fn describe(&self) -> String;

    /// Returns a number that changes whenever the data do; a cached answer is valid until then.
    fn version(&self) -> u64;

    /// Returns the newest value of each field of each series of `measurements`, as of `now` in unix seconds: a value of
    /// a clock that is ahead hides no other.
    ///
    /// # Errors
    /// Fails if the store does not answer, or its answer cannot be parsed.
    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Newest>;

    /// Returns those of [`Read::latest`] whose series have a tag with this value; a store that can looks at no others.
    ///
    /// # Errors
    /// As [`Read::latest`].
    fn latest_of(&self, measurements: &[&'static Measurement], (tag, name): (&str, &str), now: i64) -> Result<Newest> {
        let mut newest = self.latest(measurements, now)?;
        newest.values.retain(|one| one.series.tag(tag) == Some(name));
        Ok(newest)
    }

    /// Returns values from `from` to before `to` (unix seconds), as finely as `detail` asks; more of them may come folded into
    /// the buckets that it allows. The series are in the order of `wanted`; a series without values is empty.
    ///
    /// # Errors
    /// Fails if the store does not answer, or its answer cannot be parsed.
    fn range(&self, wanted: &[Wanted], from: i64, to: i64, detail: Detail) -> Result<Vec<Values>>;
}

/// Selects series by measurement and tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The measurement; `None` for every measurement.
    pub measurement: Option<String>,
    /// The tags that a series must all have.
    pub tags: Vec<(String, String)>,
    /// Tags of which a series must have one of several values.
    pub one_of: Vec<(String, BTreeSet<String>)>,
}

impl Selector {
    /// Selects the series of one measurement.
    pub fn measurement(name: &str) -> Self {
        Self { measurement: Some(name.into()), ..Self::default() }
    }

    /// Selects only the series that also have this tag.
    #[must_use]
    pub fn with(mut self, tag: &str, value: &str) -> Self {
        self.tags.push((tag.into(), value.into()));
        self
    }

    /// Selects only the series that also have this tag with one of these values.
    #[must_use]
    pub fn with_one_of<T: AsRef<str>>(mut self, tag: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values = values.into_iter().map(|value| value.as_ref().to_string());
        self.one_of.push((tag.into(), values.collect()));
        self
    }

    /// Whether it selects a series, given as a point without fields.
    pub fn selects(&self, series: &Point) -> bool {
        self.measurement.as_deref().is_none_or(|name| name == series.measurement())
            && self.tags.iter().all(|(name, value)| series.tag(name) == Some(value))
            && self.one_of.iter().all(|(name, values)| series.tag(name).is_some_and(|value| values.contains(value)))
    }
}

/// The sum of the values of one field over several series and a time range.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The values of the grouping tags, in their order; empty for a tag that the series lack.
    pub group: Vec<String>,
    /// The field.
    pub field: String,
    /// The sum.
    pub sum: f64,
    /// The number of values.
    pub count: u64,
    /// The smallest value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
}

/// A store that can be scanned as a whole, for down-samplers, averages and the export.
pub trait Scan: Read {
    /// Calls `each` with every point of a tier that `selector` and `window` select. The points of a series come in the
    /// order of time; the series of a time bucket may be mixed. Memory use does not grow with the store.
    ///
    /// # Errors
    /// Fails if the store does not answer, or if `each` fails.
    fn each(
        &self,
        selector: &Selector,
        window: Window,
        tier: Tier,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()>;

    /// Returns the sums of each field that `selector` and `window` select, grouped by the tags `by`, sorted by group
    /// and field.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn sums(&self, selector: &Selector, window: Window, tier: Tier, by: &[&str]) -> Result<Vec<Sum>> {
        let mut sums = BTreeMap::<(Vec<String>, String), Sum>::new();
        self.each(selector, window, tier, &mut |point| {
            let group: Vec<_> = by.iter().map(|tag| point.tag(tag).unwrap_or_default().to_string()).collect();
            for (field, value) in point.fields() {
                let value = value.as_f64();
                let sum = sums.entry((group.clone(), field.into())).or_insert_with(|| Sum {
                    group: group.clone(),
                    field: field.into(),
                    sum: 0.0,
                    count: 0,
                    least: f64::INFINITY,
                    most: f64::NEG_INFINITY,
                });
                sum.sum = (sum.sum + value).clamp(f64::MIN, f64::MAX);
                sum.count += 1;
                (sum.least, sum.most) = (sum.least.min(value), sum.most.max(value));
            }
            Ok(())
        })?;
        Ok(sums.into_values().collect())
    }

    /// Returns the sum of the values of a column by the tags `by`, sorted by group.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn totals(&self, column: Column, by: &[&str]) -> Result<Vec<Total>> {
        let mut totals = BTreeMap::<Vec<String>, WideSum>::new();
        each_value(self, column, &mut |point, value| {
            let sum = totals.entry(group(point, by)).or_insert(WideSum::Int(0));
            *sum = sum.plus(value);
        })?;
        Ok(totals.into_iter().map(|(group, sum)| Total { group, sum }).collect())
    }

    /// Returns the number of the values of a column by the tags `by`, sorted by group.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn counts(&self, column: Column, by: &[&str]) -> Result<Vec<(Vec<String>, u64)>> {
        let mut counts = BTreeMap::<Vec<String>, u64>::new();
        each_value(self, column, &mut |point, _| *counts.entry(group(point, by)).or_default() += 1)?;
        Ok(counts.into_iter().collect())
    }

    /// Returns the groups by the tags `by` that have a value, sorted.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn groups(&self, column: Column, by: &[&str]) -> Result<Vec<Vec<String>>> {
        Ok(self.totals(column, by)?.into_iter().map(|total| total.group).collect())
    }

    /// Returns the least and the largest value of a column in each step of so many seconds, by the beginning of the step in
    /// unix seconds.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn steps(&self, column: Column, seconds: i64) -> Result<BTreeMap<i64, Step>> {
        let mut steps = BTreeMap::<i64, Step>::new();
        each_value(self, column, &mut |point, value| {
            let value = value.as_f64();
            let step = steps.entry(beginning(point.time(), seconds)).or_insert(Step { least: value, most: value });
            *step = Step { least: step.least.min(value), most: step.most.max(value) };
        })?;
        Ok(steps)
    }

    /// Returns the time of the first value of a column, in nanoseconds; `None` if it has no value.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn first(&self, column: Column) -> Result<Option<i64>> {
        let mut first: Option<i64> = None;
        each_value(self, column, &mut |point, _| {
            first = Some(first.map_or(point.time(), |first| first.min(point.time())));
        })?;
        Ok(first)
    }

    /// Returns the groups by the tags `by` with values in more than one series, sorted: a store that takes points with other
    /// labels for other series may have several values at one time.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    fn rivals(&self, column: Column, by: &[&str]) -> Result<Vec<Vec<String>>> {
        let mut series = BTreeMap::<Vec<String>, BTreeSet<String>>::new();
        each_value(self, column, &mut |point, _| {
            series.entry(group(point, by)).or_default().insert(point.tag_set().into_owned());
        })?;
        Ok(series.into_iter().filter(|(_, series)| series.len() > 1).map(|(group, _)| group).collect())
    }
}
