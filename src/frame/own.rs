//! What a service says about itself: its memory, its CPU time, and what its sensors take.

use std::collections::BTreeMap;
use std::fs;

use rustix::time::{ClockId, clock_gettime};

pub use crate::model::service::SERVICE;
use crate::model::service::{CPU, MISSED, RSS, TICKS};
use crate::model::{Declaration, Field, Fold, Measurement, Point, Tag};

const MEAN: Field<f64> =
    Field::gauge("duration_seconds", "seconds", Fold::Mean, "how long reading it took, on average");
const SLOWEST: Field<f64> = Field::gauge("slowest_seconds", "seconds", Fold::Max, "how long the slowest reading took");

/// What reading the sensors of a service takes, with each batch in which they have points.
pub static SERVICE_SENSOR: Measurement = Measurement::new(Declaration {
    name: "service_sensor",
    meaning: "what reading a sensor of a service takes, sent with each batch that it publishes",
    tags: &[Tag::key("grid"), Tag::key("host"), Tag::key("program"), Tag::key("sensor")],
    fields: &[TICKS.info(), MISSED.info(), MEAN.info(), SLOWEST.info()],
    carbon: "service.{grid}.{host}.{program}.sensors.{sensor}.{field}",
    every: 10,
});

const RECEIVED: Field<i64> =
    Field::gauge("points", "points", Fold::Sum, "how many points it has put into the spool since the last point");
const BATCHES: Field<i64> =
    Field::gauge("batches", "batches", Fold::Last, "in how many batches, since the service was started");

/// What a service received.
pub static SERVICE_RECEIVED: Measurement = Measurement::new(Declaration {
    name: "service_received",
    meaning: "what others sent to a service, sent once per interval",
    tags: &[Tag::key("grid"), Tag::key("host"), Tag::key("program")],
    fields: &[RECEIVED.info(), BATCHES.info()],
    carbon: "service.{grid}.{host}.{program}.received.{field}",
    every: 60,
});

/// Returns the point about what was received.
pub(super) fn received(time: i64, (grid, host, program): (&str, &str, &str), points: u64, batches: u64) -> Point {
    let fields = [RECEIVED.of(points.cast_signed()), BATCHES.of(batches.cast_signed())];
    SERVICE_RECEIVED.point(time, [grid, host, program], &fields)
}

/// How a sensor did since the last points about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effort {
    pub ticks: i64,
    pub missed: i64,
    /// In seconds, of all ticks together.
    pub seconds: f64,
    pub slowest: f64,
}

impl Effort {
    /// Adds a reading that took so many seconds.
    pub fn add(&mut self, seconds: f64) {
        (self.ticks, self.seconds) = (self.ticks + 1, self.seconds + seconds);
        self.slowest = self.slowest.max(seconds);
    }
}

/// Returns the points of a service about itself at `time`, in unix nanoseconds.
pub(super) fn points(
    time: i64,
    (grid, host, program): (&str, &str, &str),
    efforts: &BTreeMap<String, Effort>,
) -> Vec<Point> {
    let sum = |count: fn(&Effort) -> i64| efforts.values().map(count).sum::<i64>();
    let (ticks, missed) = (sum(|effort| effort.ticks), sum(|effort| effort.missed));
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let mut fields = vec![CPU.of(cpu), TICKS.of(ticks), MISSED.of(missed)];
    fields.extend(rss().map(|bytes| RSS.of(bytes)));
    let mut points = vec![SERVICE.point(time, [grid, host, program], &fields)];
    for (sensor, effort) in efforts.iter().filter(|(_, effort)| effort.ticks + effort.missed > 0) {
        let mut fields = vec![TICKS.of(effort.ticks), MISSED.of(effort.missed)];
        if effort.ticks > 0 {
            fields.extend([MEAN.of(effort.seconds / effort.ticks as f64), SLOWEST.of(effort.slowest)]);
        }
        points.push(SERVICE_SENSOR.point(time, [grid, host, program, sensor], &fields));
    }
    points
}

/// Returns the resident memory of this process in bytes.
fn rss() -> Option<i64> {
    let pages: i64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as i64)
}
