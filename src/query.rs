//! Questions to a store, the same for every store.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::model::collected::STEP;
use crate::model::{COVERAGE, Catalog, FieldInfo, Measurement, Number, Point, SCOPE_COVERAGE, Tier, Value, Window};
use crate::text::quote;

/// The newest value of one field of a series.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The series: a point without fields.
    pub series: Point,
    /// The field.
    pub field: &'static FieldInfo,
    /// Its time, in nanoseconds.
    pub time: i64,
    /// The value.
    pub value: Value,
    /// The time between two values of the series, in seconds: what its writer was configured to, where that is known.
    pub every: i64,
}

/// The intervals that the writers of series were configured to, as their coverage tells them.
#[derive(Clone, Debug, Default)]
pub struct Intervals(Vec<Interval>);

#[derive(Clone, Debug)]
struct Interval {
    grid: String,
    measurement: String,
    /// The tags that the series of its writer have.
    scope: Vec<(String, String)>,
    seconds: i64,
}

impl Intervals {
    /// Reads them from the newest values of [`COVERAGE`] and [`SCOPE_COVERAGE`]; other values are passed over.
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

    /// The interval of a series in seconds: of its own scope, else of its measurement; `default` where nobody told it.
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

/// What a plot is asked for by: a Carbon path that a measurement declares.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The path.
    pub path: String,
    /// What it names.
    pub number: Number,
}

impl Wanted {
    /// Reads a path.
    ///
    /// # Errors
    /// When no measurement has such a path: nothing else is ever asked of a store.
    pub fn new(path: &str, catalog: Catalog) -> Result<Self> {
        let number = catalog.read_path(path).with_context(|| format!("{} is the path of no number", quote(path)))?;
        Ok(Self { path: path.into(), number })
    }

    /// The series, if its tags are what the path shows of them.
    pub fn series(&self) -> Point {
        let tags = self.number.tags.iter().map(|(name, value)| ((*name).into(), value.as_str()));
        Point::new(self.number.measurement.name.into(), tags, [], 0)
    }
}

/// One series as a store gave it.
#[derive(Clone, Debug)]
pub struct Values {
    /// Its Carbon path.
    pub path: String,
    /// What it counts, and how it folds.
    pub field: &'static FieldInfo,
    /// The time between two of them, in seconds.
    pub step: i64,
    /// Times in unix seconds, rising, with values.
    pub values: Vec<(i64, f64)>,
}

/// A store that is read and never written.
pub trait Read: Send + Sync {
    /// Returns the kind of store and where it is, for people.
    fn describe(&self) -> String;

    /// Returns a number that changes as soon as the data do; answers made of the data are valid until then.
    fn version(&self) -> u64;

    /// Returns the newest value of each field of each series of `measurements`, as of `now` in unix seconds.
    ///
    /// # Errors
    /// When the store does not answer, or its answer cannot be read.
    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Vec<Latest>>;

    /// Returns values over a time (unix seconds, up to before `to`), at least `points` where there are so many: the series
    /// in the order of `wanted`, empty where there is none.
    ///
    /// # Errors
    /// When the store does not answer, or its answer cannot be read.
    fn range(&self, wanted: &[Wanted], from: i64, to: i64, points: usize) -> Result<Vec<Values>>;
}

/// Selects series by measurement and tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The measurement; `None` for any.
    pub measurement: Option<String>,
    /// The tags that a series must have, all of them.
    pub tags: Vec<(String, String)>,
}

impl Selector {
    /// Selects the series of one measurement.
    pub fn measurement(name: &str) -> Self {
        Self { measurement: Some(name.into()), tags: Vec::new() }
    }

    /// Selects only those of them with this tag.
    #[must_use]
    pub fn with(mut self, tag: &str, value: &str) -> Self {
        self.tags.push((tag.into(), value.into()));
        self
    }

    /// Whether it selects a series, given as a point without fields.
    pub fn selects(&self, series: &Point) -> bool {
        self.measurement.as_deref().is_none_or(|name| name == series.measurement())
            && self.tags.iter().all(|(name, value)| series.tag(name) == Some(value))
    }
}

/// A sum of the values of one field over some series and a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The values of the tags that it is grouped by, in their order; empty where a series lacks the tag.
    pub group: Vec<String>,
    /// The field.
    pub field: String,
    /// The sum.
    pub sum: f64,
    /// How many values it is the sum of.
    pub count: u64,
    /// The smallest of them.
    pub least: f64,
    /// The largest of them.
    pub most: f64,
}

/// A store that can be read as a whole: for down-samplers, averages and the export.
pub trait Scan: Read {
    /// Hands every point of a tier that `selector` and `window` select to `each`, by time bucket, series and time. Its
    /// memory does not grow with the store.
    ///
    /// # Errors
    /// When the store does not answer, or `each` fails.
    fn each(
        &self,
        selector: &Selector,
        window: Window,
        tier: Tier,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()>;

    /// Sums the values of each field that `selector` and `window` select, grouped by the tags `by`; sorted by group and
    /// field.
    ///
    /// # Errors
    /// When the store does not answer.
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
                sum.sum += value;
                sum.count += 1;
                (sum.least, sum.most) = (sum.least.min(value), sum.most.max(value));
            }
            Ok(())
        })?;
        Ok(sums.into_values().collect())
    }
}
