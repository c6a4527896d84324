//! What every service says about itself: also what tells that it is there.

use super::{Declaration, Field, Fold, Measurement, Tag};

/// Its memory.
pub const RSS: Field<i64> = Field::gauge("rss_bytes", "bytes", Fold::Max, "its resident memory");
/// Its CPU time.
pub const CPU: Field<f64> =
    Field::gauge("cpu_seconds", "seconds", Fold::Last, "the CPU time that it has used since it was started");
/// The readings of its sensors.
pub const TICKS: Field<i64> =
    Field::gauge("ticks", "ticks", Fold::Sum, "how often its sensors were read since the last point");
/// The readings that were left out.
pub const MISSED: Field<i64> = Field::gauge(
    "missed",
    "ticks",
    Fold::Sum,
    "how many ticks were left out since the last point, because a sensor was still being read",
);

/// A service's own memory and CPU time, with each batch that it publishes.
pub static SERVICE: Measurement = Measurement::new(Declaration {
    name: "service",
    meaning: "what a service itself uses, sent with each batch that it publishes",
    tags: &[Tag::key("grid"), Tag::key("host"), Tag::key("program")],
    fields: &[RSS.info(), CPU.info(), TICKS.info(), MISSED.info()],
    carbon: "service.{grid}.{host}.{program}.{field}",
    every: 10,
});
