//! Folds the points of all series of a measurement in one window.

use std::collections::HashMap;

use super::{Coverage, DAY, Folded, HOUR, SeriesFold, label_time, slot_of};
use crate::model::{Measurement, Point, Tier, Value, Window};

/// Returns the window of a tier whose point stands at `label`; both in nanoseconds.
pub fn window_of(tier: Tier, label: i64) -> Window {
    Window { from: label.saturating_sub(length(tier)), to: label }
}

/// Returns the length of a tier's windows, in nanoseconds; for raw points that of an hour.
pub fn length(tier: Tier) -> i64 {
    if tier == Tier::Day { DAY } else { HOUR }
}

/// Returns the times at which the points stand that a window of a tier folds: raw points in the hour itself, hourly ones
/// at the labels in (begin, end] of the day.
pub fn source(tier: Tier, window: Window) -> (Tier, Window) {
    match tier {
        Tier::Raw | Tier::Hour => (Tier::Raw, window),
        Tier::Day => {
            let later = |time: i64| time.saturating_add(HOUR);
            (Tier::Hour, Window { from: later(window.from), to: later(window.to) })
        }
    }
}

/// Folds the points of all series of a measurement in one window. Its memory grows with the series, not with their points.
#[derive(Debug)]
pub struct WindowFold<'a> {
    tier: Tier,
    measurement: &'static Measurement,
    coverage: &'a Coverage<'a>,
    series: HashMap<String, One>,
    values: Vec<Option<Value>>,
}

#[derive(Debug)]
struct One {
    /// The series with the labels of its newest point that counts.
    names: Point,
    /// The slot of that point.
    slot: i64,
    fold: SeriesFold,
}

impl<'a> WindowFold<'a> {
    /// Returns the fold of no point into `tier`. `coverage` is whole.
    pub fn new(tier: Tier, measurement: &'static Measurement, coverage: &'a Coverage) -> Self {
        let values = vec![None; measurement.fields.len()];
        Self { tier, measurement, coverage, series: HashMap::new(), values }
    }

    /// Adds a point of the measurement, with its declaration. The points of a series come in the order of time.
    pub fn add(&mut self, point: &Point) {
        let covered = self.coverage.of(point);
        let one = match self.series.get_mut(point.series()) {
            Some(one) => one,
            None => {
                let one = One { names: point.at(0, []), slot: i64::MIN, fold: SeriesFold::new(self.measurement) };
                self.series.entry(point.series().into()).or_insert(one)
            }
        };
        let field = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value);
        let (slot, counts) = if self.tier == Tier::Day {
            let label = point.time().div_euclid(HOUR) * HOUR;
            let is_replaced = self.measurement.exact.and_then(|exact| field(exact.slots)).is_some_and(Value::is_zero);
            one.fold.add_hour(point, label, &|name| Some((field(name)?, None)), &covered);
            (label, !is_replaced)
        } else {
            for (value, declared) in self.values.iter_mut().zip(self.measurement.fields) {
                *value = field(declared.name);
            }
            let counts = one.fold.add_raw(point.time(), &point.tag_set(), &self.values, &covered);
            (slot_of(self.measurement, point.time()), counts)
        };
        if counts && slot >= one.slot {
            one.slot = slot;
            if !one.names.tags().eq(point.tags()) {
                one.names = point.at(0, []);
            }
        }
    }

    /// Returns the points of the window with this label, in nanoseconds, sorted by series.
    pub fn finish(self, label: i64) -> Vec<Folded> {
        let mut folded = Vec::with_capacity(self.series.len());
        for mut one in self.series.into_values() {
            let fields = one.fold.finish(&one.names, &self.coverage.of(&one.names));
            if !fields.is_empty() {
                folded.push(Folded::new(&one.names, label_time(self.measurement, &one.names, label), &fields));
            }
        }
        folded.sort_by(|a, b| a.point.series().cmp(b.point.series()));
        folded
    }
}
