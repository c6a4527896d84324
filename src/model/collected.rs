//! The points of a run, and the measurements that it collected completely.

use super::{Declaration, Field, FieldValue, Fold, Kind, Measurement, Point, Tag, Value};

/// The result of a collection.
#[derive(Debug, Default)]
pub struct Collected {
    /// The points.
    pub points: Vec<Point>,
    /// The measurements of which the run saw every existing series: their missing count series are zero, and the run
    /// covers them.
    pub complete: Vec<&'static Measurement>,
    /// The key tags that separate the series of this run from those of other programs with the same measurements, such
    /// as the host of an agent. Empty if only one program writes them.
    pub scope: Vec<(&'static str, String)>,
    /// What the zero of a series that vanished has, besides its counts.
    pub zeros: Zeros,
    /// Whether the points are hourly ones, which are kept with those that are folded over hours.
    pub are_hourly: bool,
}

/// What the zeros of a program's series have, besides their counts.
#[derive(Debug, Default)]
pub struct Zeros {
    /// Returns how long after the slot the points of a series stand, in nanoseconds; `None` for points that stand at the
    /// slot.
    pub offset: Option<fn(&Point) -> i64>,
    /// More fields.
    pub fields: Vec<FieldValue>,
}

impl Zeros {
    /// Returns the zero at the slot `time`, in unix nanoseconds, of the series of `last`, with its labels.
    pub fn zero(&self, last: &Point, measurement: &'static Measurement, time: i64) -> Point {
        let counts = measurement.fields.iter().filter(|field| field.count).map(|field| {
            let zero = if field.kind == Kind::Int { Value::Int(0) } else { Value::Float(0.0) };
            (field.name.into(), zero)
        });
        let more = self.fields.iter().filter(|field| measurement.field(field.name).is_some());
        let more = more.map(|field| (field.name.into(), field.value));
        last.at(time + self.offset.map_or(0, |offset| offset(last)), counts.chain(more))
    }
}

impl Collected {
    /// Returns the coverage of a measurement by a run on `grid`. Its scope is the scope's tags that are keys of the
    /// measurement.
    pub fn coverage(&self, measurement: &Measurement, grid: &str, time: i64, step_seconds: i64) -> Point {
        let is_key = |name: &str| measurement.tags.iter().any(|tag| tag.identifies && tag.name == name);
        let scope: Vec<_> =
            self.scope.iter().filter(|(name, _)| is_key(name)).map(|(name, value)| format!("{name}={value}")).collect();
        let fields = [SLOTS.of(1), STEP.of(step_seconds)];
        match scope.is_empty() {
            true => COVERAGE.point(time, [grid, measurement.name], &fields),
            false => SCOPE_COVERAGE.point(time, [grid, measurement.name, &scope.join(",")], &fields),
        }
    }
}

/// Sent by every cron program for each measurement of which it saw every existing series. Without it, an absent count
/// could be zero or unknown, and no hourly mean could be right.
pub static COVERAGE: Measurement = Measurement::new(Declaration {
    name: "coverage",
    meaning: "that a run saw every series of a measurement: a count that is absent at its time is zero, not unknown",
    tags: &[Tag::key("grid"), Tag::key("measurement")],
    fields: &[SLOTS.info(), STEP.info()],
    carbon: "coverage.{grid}.{measurement}",
    every: 60,
});

/// The same, for a measurement that several programs write, each for the series of its own scope.
pub static SCOPE_COVERAGE: Measurement = Measurement::new(Declaration {
    name: "scope_coverage",
    meaning: "that a run saw every series of a measurement in its scope, as host=wn001: coverage where several programs write one measurement",
    tags: &[Tag::key("grid"), Tag::key("measurement"), Tag::key("scope")],
    fields: &[SLOTS.info(), STEP.info()],
    carbon: "coverage.{grid}.{measurement}.{scope}",
    every: 60,
});

/// The number of runs that a point of [`COVERAGE`] stands for.
pub const SLOTS: Field<i64> = Field::gauge("slots", "runs", Fold::Sum, "1 for a run; summed over an hour or a day");

/// The interval of the runs that a point of [`COVERAGE`] stands for. Not sent to Carbon, so that the path of `slots`
/// does not change.
pub const STEP: Field<i64> =
    Field::gauge("step_seconds", "seconds", Fold::Last, "the time between two runs; Carbon does not get it")
        .without_carbon();
