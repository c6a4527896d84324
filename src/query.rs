//! Questions to a store, the same for every store.

use anyhow::{Context, Result};

use crate::model::{Catalog, FieldInfo, Measurement, Number, Point, Value};
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

    /// Returns values over a time (unix seconds, up to before `to`), at least `points` where there are so many: the time
    /// between two of them in seconds, and the series in the order of `wanted`, empty where there is none.
    ///
    /// # Errors
    /// When the store does not answer, or its answer cannot be read.
    fn range(&self, wanted: &[Wanted], from: i64, to: i64, points: usize) -> Result<(i64, Vec<Values>)>;
}
