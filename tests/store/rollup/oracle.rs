//! The plain reference of the roll-ups: everything anew from all raw points, written for clarity. Rules 10 to 13 of what
//! PanDA's numbers mean stand in docs/downsample-1h.md; other measurements fold by their declarations in the same way.

use std::collections::{BTreeMap, BTreeSet};

use gridmon::model::{Fold, Kind, Measurement, Point, SECOND, Value};
use gridmon::rollup::{DAY, HOUR, Parts};

/// A field of a folded point: series, time in nanoseconds, name of the field.
pub type Row = (String, i64, String);

/// Folded values with their parts.
pub type Rows = BTreeMap<Row, (Value, Parts)>;

/// All raw points there are.
pub struct Oracle<'a> {
    pub points: &'a [Point],
}

impl Oracle<'_> {
    fn coverage(&self, measurement: &Measurement) -> impl Iterator<Item = &Point> {
        let name = measurement.name;
        self.points.iter().filter(move |point| {
            ["coverage", "scope_coverage"].contains(&point.measurement()) && point.tag("measurement") == Some(name)
        })
    }

    /// When the coverage of a measurement begins.
    pub fn begin(&self, measurement: &Measurement) -> Option<i64> {
        self.coverage(measurement).map(Point::time).min()
    }

    fn slot(measurement: &Measurement, time: i64) -> i64 {
        match measurement.exact {
            Some(_) => time - time.rem_euclid(measurement.every * SECOND),
            None => time,
        }
    }

    fn is_covered(&self, measurement: &Measurement, series: &Point, slot: i64) -> bool {
        let is_own = |coverage: &Point| {
            let scope = coverage.tag("scope").unwrap_or_default();
            let has = |pair: &str| pair.is_empty() || series.tags().any(|(name, value)| format!("{name}={value}") == pair);
            (series.tag("grid").is_none() || series.tag("grid") == coverage.tag("grid")) && scope.split(',').all(has)
        };
        let mut own = self.coverage(measurement).filter(|coverage| is_own(coverage));
        let stands = |point: &Point| {
            point.measurement() == measurement.name
                && point.tag("grid") == series.tag("grid")
                && Self::slot(measurement, point.time()) == slot
        };
        let is_old = self.begin(measurement).is_none_or(|begin| slot < begin);
        own.any(|coverage| coverage.time() == slot) || is_old && self.points.iter().any(stands)
    }

    /// The points of a series that count, by slot.
    fn winners(&self, measurement: &Measurement, series: &str, from: i64, to: i64) -> BTreeMap<i64, &Point> {
        let mut winners = BTreeMap::<i64, &Point>::new();
        for point in self.points.iter().filter(|point| point.series() == series) {
            if !(from..to).contains(&point.time()) {
                continue;
            }
            let order = |point: &Point| {
                let sequence = measurement.exact.and_then(|exact| field(point, exact.order));
                (sequence.map_or(-1, |sequence| sequence.as_f64() as i64), point.time(), point.tag_set().into_owned())
            };
            let winner = winners.entry(Self::slot(measurement, point.time())).or_insert(point);
            if order(point) > order(winner) {
                *winner = point;
            }
        }
        winners
    }

    /// The hourly points of a measurement in the hour from `from` on.
    pub fn hour(&self, measurement: &'static Measurement, from: i64) -> Rows {
        self.window(measurement, from + HOUR, &[from])
    }

    /// The daily points of a measurement of the day from `from` on, of which those hours count that `is_folded` takes by
    /// their beginning.
    pub fn day(&self, measurement: &'static Measurement, from: i64, is_folded: impl Fn(i64) -> bool) -> Rows {
        let hours: Vec<_> = (0..24).map(|hour| from + hour * HOUR).filter(|hour| is_folded(*hour)).collect();
        self.window(measurement, from + DAY, &hours)
    }

    /// The points of a window that consists of these hours.
    fn window(&self, measurement: &'static Measurement, label: i64, hours: &[i64]) -> Rows {
        let own = self.points.iter().filter(|point| point.measurement() == measurement.name);
        let names: BTreeMap<&str, &Point> = own.map(|point| (point.series(), point)).collect();
        let mut rows = Rows::new();
        for (series, names) in names {
            let offset = measurement.exact.map_or(0, |exact| (exact.offset)(names));
            for declared in measurement.fields {
                if measurement.exact.is_some_and(|exact| exact.order == declared.name) {
                    continue;
                }
                let Some((value, parts)) = self.field(measurement, series, names, declared.name, hours) else { continue };
                let mut add = |field: &str, value: Value, parts: Parts| {
                    rows.insert((series.into(), label + offset, field.into()), (value, parts));
                };
                add(declared.name, value, parts);
                if let Some(exact) = measurement.exact.filter(|exact| exact.field == declared.name) {
                    let slots = Value::Int(parts.slots);
                    add(exact.sum, parts.sum, Parts { least: parts.sum, most: parts.sum, ..parts });
                    add(exact.slots, slots, Parts { sum: slots, least: slots, most: slots, ..parts });
                }
            }
        }
        rows
    }

    /// The value of one field of a series: S, N, least, most, and what the fold makes of them.
    fn field(
        &self,
        measurement: &'static Measurement,
        series: &str,
        names: &Point,
        name: &str,
        hours: &[i64],
    ) -> Option<(Value, Parts)> {
        let declared = measurement.field(name)?;
        let (mut values, mut hourly, mut slots) = (Vec::new(), Vec::new(), BTreeSet::new());
        for from in hours {
            let winners = self.winners(measurement, series, *from, from + HOUR);
            let of_hour: Vec<_> =
                winners.iter().filter_map(|(slot, point)| Some((*slot, field(point, name)?))).collect();
            slots.extend(of_hour.iter().map(|(slot, _)| *slot));
            if !of_hour.is_empty() {
                hourly.push(of_hour.iter().map(|(_, value)| value.as_f64()).reduce(|sum, value| sum + value)?);
            }
            values.extend(of_hour.into_iter().map(|(_, value)| value));
        }
        let last = *values.last()?;
        let own = slots.len();
        if declared.count {
            // Absent in a covered slot is zero.
            let all = self.points.iter().map(|point| Self::slot(measurement, point.time()));
            let inside = all.filter(|slot| hours.iter().any(|from| (*from..from + HOUR).contains(slot)));
            slots.extend(inside.filter(|slot| self.is_covered(measurement, names, *slot)));
        }
        let zero = if declared.kind == Kind::Int { Value::Int(0) } else { Value::Float(0.0) };
        let mut ends = values.clone();
        ends.extend((slots.len() > own).then_some(zero));
        let least = ends.iter().copied().reduce(|a, b| if b.as_f64() < a.as_f64() { b } else { a })?;
        let most = ends.iter().copied().reduce(|a, b| if b.as_f64() > a.as_f64() { b } else { a })?;
        let count = slots.len() as i64;
        let whole: Option<i64> = values.iter().map(|value| if let Value::Int(v) = value { Some(*v) } else { None }).sum();
        let float: f64 = hourly.iter().copied().reduce(|sum, hour| sum + hour)?;
        let sum = whole.map_or(Value::Float(float), Value::Int);
        let value = match (measurement.exact, declared.fold) {
            (Some(exact), _) if exact.field == name => {
                let sum = whole?;
                let is_event = exact.events.1.iter().any(|event| names.tag(exact.events.0) == Some(event));
                let hundredths = (200 * sum + count).div_euclid(2 * count);
                Value::Float(if is_event { sum as f64 } else { hundredths as f64 / 100.0 })
            }
            (Some(_), _) => Value::Float((float / count as f64 * 100.0).round() / 100.0),
            (None, Fold::Sum) => sum,
            (None, Fold::Mean) => Value::Float(sum.as_f64() / count as f64),
            (None, Fold::Last) => last,
            (None, Fold::Min) => least,
            (None, Fold::Max) => most,
        };
        Some((value, Parts { sum, slots: count, least, most }))
    }

    /// The number of covered slots of a measurement in the hour from `from` on, of a series with these names.
    pub fn slots(&self, measurement: &Measurement, series: &Point, from: i64) -> i64 {
        let all = self.points.iter().filter(|point| {
            point.measurement() == measurement.name || point.tag("measurement") == Some(measurement.name)
        });
        let slots: BTreeSet<_> = all.map(|point| Self::slot(measurement, point.time())).collect();
        let inside = slots.range(from..from + HOUR);
        inside.filter(|slot| self.is_covered(measurement, series, **slot)).count() as i64
    }
}

fn field(point: &Point, name: &str) -> Option<Value> {
    point.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
}
