//! The points of a run, and the measurements that it saw whole.

use super::{Declaration, Field, Fold, Measurement, Point, Tag};

/// What a program has collected.
#[derive(Debug, Default)]
pub struct Collected {
    /// The points.
    pub points: Vec<Point>,
    /// The measurements of which every series that there is was seen; a count series of theirs that is missing is zero,
    /// and the run covers them.
    pub complete: Vec<&'static Measurement>,
}

/// What every cron program sends for each measurement of which it saw every series that there is. Without it a count that
/// is absent at a time could be zero or unknown, and no mean over an hour could be right.
pub static COVERAGE: Measurement = Measurement::new(Declaration {
    name: "coverage",
    meaning: "that a run saw every series of a measurement: a count that is absent at its time is zero, not unknown",
    tags: &[Tag::key("grid"), Tag::key("measurement")],
    fields: &[SLOTS.info(), STEP.info()],
    carbon: "coverage.{grid}.{measurement}",
    every: 60,
});

/// How many runs a point of [`COVERAGE`] stands for.
pub const SLOTS: Field<i64> = Field::gauge("slots", "runs", Fold::Sum, "1 for a run; summed over an hour or a day");

/// The interval of the runs that a point of [`COVERAGE`] stands for. Carbon does not get it, so that the path of `slots` stays.
pub const STEP: Field<i64> =
    Field::gauge("step_seconds", "seconds", Fold::Last, "the time between two runs; Carbon does not get it")
        .without_carbon();
