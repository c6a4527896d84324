//! Folds the points of one series in one window.

use std::borrow::Cow;

use super::{Covered, hundredths};
use crate::model::{Exact, FieldInfo, Fold, Kind, Measurement, Point, SECOND, Value, WideSum};

/// What a folded value was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// The sum of the values; of integers the exact one.
    pub sum: Value,
    /// The number of slots that the value stands for.
    pub slots: i64,
    /// The smallest value.
    pub least: Value,
    /// The largest value.
    pub most: Value,
}

/// A field of a folded point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoldedField {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// What the value was made of.
    pub parts: Parts,
}

/// A folded point with the parts of each of its values.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The point.
    pub point: Point,
    /// One per field, in the order of [`Point::fields`].
    pub parts: Vec<Parts>,
}

impl Folded {
    /// Returns the point of a series at `time`, in nanoseconds.
    pub fn new(names: &Point, time: i64, fields: &[FoldedField]) -> Self {
        let point = names.at(time, fields.iter().map(|field| (Cow::Borrowed(field.name), field.value)));
        Self { point, parts: fields.iter().map(|field| field.parts).collect() }
    }

    /// Returns the point with the parts of its fields as more fields, for a store that has no columns for them. Points that
    /// tell their sum and slots themselves have no more.
    pub fn with_parts(self, measurement: &Measurement) -> Point {
        if measurement.exact.is_some() {
            return self.point;
        }
        self.with_all_parts()
    }

    /// Returns the point with the parts of each field as more fields, unless it has one of that name.
    pub fn with_all_parts(self) -> Point {
        let mut fields = Vec::with_capacity(5 * self.parts.len());
        for ((name, value), Parts { sum, slots, least, most }) in self.point.fields().zip(&self.parts) {
            fields.push((Cow::Owned(name.to_string()), value));
            let parts = [*sum, Value::Int(*slots), *least, *most];
            let parts = PARTS.iter().zip(parts).map(|(end, part)| (format!("{name}{end}"), part));
            let is_new = |name: &str| self.point.fields().all(|(own, _)| own != name);
            fields.extend(parts.filter(|(name, _)| is_new(name)).map(|(name, part)| (Cow::Owned(name), part)));
        }
        self.point.at(self.point.time(), fields)
    }
}

/// Returns the slot of a raw point, in nanoseconds: for points that stand after their slot its beginning, for others their
/// own time, so that the interval may change.
pub fn slot_of(measurement: &Measurement, time: i64) -> i64 {
    match measurement.exact {
        Some(_) => time.div_euclid(measurement.every * SECOND) * measurement.every * SECOND,
        None => time,
    }
}

/// Returns the time of a folded point of a series, in nanoseconds.
pub fn label_time(measurement: &Measurement, series: &Point, label: i64) -> i64 {
    label + measurement.exact.map_or(0, |exact| (exact.offset)(series))
}

/// Whether a value is smaller than another; two integers are compared exactly.
fn is_less(one: Value, other: Value) -> bool {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => one < other,
        (one, other) => one.as_f64() < other.as_f64(),
    }
}

fn least(one: Value, other: Value) -> Value {
    if is_less(other, one) { other } else { one }
}

fn most(one: Value, other: Value) -> Value {
    if is_less(one, other) { other } else { one }
}

/// What is known of a field of a series in a window.
#[derive(Clone, Copy, Debug)]
struct Tally {
    sum: WideSum,
    /// The slots of its values.
    slots: i64,
    /// The covered slots at the times of its values.
    covered: i64,
    least: Value,
    most: Value,
    last: Value,
}

impl Tally {
    fn add(this: &mut Option<Self>, value: Value, parts: Parts, covered: i64) {
        let Some(tally) = this else {
            let zero = if matches!(parts.sum, Value::Int(_)) { WideSum::Int(0) } else { WideSum::Float(0.0) };
            let Parts { sum, slots, least, most } = parts;
            *this = Some(Self { sum: zero.plus(sum), slots, covered, least, most, last: value });
            return;
        };
        tally.sum = tally.sum.plus(parts.sum);
        tally.slots += parts.slots;
        tally.covered += covered;
        tally.least = least(tally.least, parts.least);
        tally.most = most(tally.most, parts.most);
        tally.last = value;
    }

    /// Adds the zeros of a count that is absent in covered slots.
    fn with_zeros(mut self, field: &FieldInfo, missing: i64) -> Self {
        if field.count && missing > 0 {
            let zero = if field.kind == Kind::Int { Value::Int(0) } else { Value::Float(0.0) };
            self.slots += missing;
            (self.least, self.most) = (least(self.least, zero), most(self.most, zero));
        }
        self
    }

    fn parts(&self) -> Parts {
        Parts { sum: self.sum.value(), slots: self.slots, least: self.least, most: self.most }
    }
}

/// The point that counts in a slot, as far as it was seen.
#[derive(Clone, Debug)]
struct Winner {
    slot: i64,
    order: i64,
    time: i64,
    tag_set: String,
    values: Vec<Option<Value>>,
}

/// Folds the points of one series in one window. They come in the order of time.
#[derive(Clone, Debug)]
pub struct SeriesFold {
    measurement: &'static Measurement,
    /// One per declared field.
    tallies: Vec<Option<Tally>>,
    winner: Option<Winner>,
}

impl SeriesFold {
    /// Returns the fold of no point.
    pub fn new(measurement: &'static Measurement) -> Self {
        Self { measurement, tallies: vec![None; measurement.fields.len()], winner: None }
    }

    /// Returns the measurement.
    pub fn measurement(&self) -> &'static Measurement {
        self.measurement
    }

    /// Forgets all points, for another series of the measurement.
    pub fn clear(&mut self) {
        self.tallies.fill(None);
        self.winner = None;
    }

    /// Adds a raw point: its time in nanoseconds, its measurement and tags in line protocol, and a value for each declared
    /// field. Of several points in a slot the one with the greater order counts, else the later one, else the one with the
    /// greater `tag_set`. Returns whether it counts so far.
    pub fn add_raw(&mut self, time: i64, tag_set: &str, values: &[Option<Value>], covered: &Covered) -> bool {
        let slot = slot_of(self.measurement, time);
        let order = self.order_of(values);
        match &mut self.winner {
            Some(winner) if winner.slot == slot => {
                let wins = (order, time, tag_set) >= (winner.order, winner.time, winner.tag_set.as_str());
                if wins {
                    (winner.order, winner.time) = (order, time);
                    winner.tag_set.replace_range(.., tag_set);
                    winner.values.copy_from_slice(values);
                }
                wins
            }
            Some(_) => {
                self.commit(covered);
                if let Some(winner) = &mut self.winner {
                    (winner.slot, winner.order, winner.time) = (slot, order, time);
                    winner.tag_set.replace_range(.., tag_set);
                    winner.values.copy_from_slice(values);
                }
                true
            }
            None => {
                self.winner = Some(Winner { slot, order, time, tag_set: tag_set.into(), values: values.to_vec() });
                true
            }
        }
    }

    /// Returns the order of a point among those of its slot; −1 if it has none, as points of an older system.
    fn order_of(&self, values: &[Option<Value>]) -> i64 {
        let Some(exact) = self.measurement.exact else { return -1 };
        let at = self.measurement.fields.iter().position(|field| field.name == exact.order);
        at.and_then(|at| values[at]).map_or(-1, |order| order.as_f64() as i64)
    }

    /// Counts the point of the slot at hand.
    fn commit(&mut self, covered: &Covered) {
        let Some(winner) = &self.winner else { return };
        let at = covered.at(winner.slot);
        for (tally, value) in self.tallies.iter_mut().zip(&winner.values) {
            if let Some(value) = *value {
                Tally::add(tally, value, Parts { sum: value, slots: 1, least: value, most: value }, at);
            }
        }
    }

    /// Adds an hourly point with this label, in nanoseconds. `field` returns a value by the name of its field, with its parts
    /// if the store tells them. A point of no slot counts for nothing.
    pub fn add_hour(&mut self, series: &Point, label: i64, field: &HourField, covered: &Covered) {
        let at = covered.at(label);
        let slots = self.measurement.exact.map(|exact| field(exact.slots).map(|(slots, _)| slots.as_f64() as i64));
        if slots == Some(Some(0)) {
            return;
        }
        for (declared, tally) in self.measurement.fields.iter().zip(&mut self.tallies) {
            let Some((value, parts)) = field(declared.name) else { continue };
            let parts = parts.unwrap_or_else(|| match self.measurement.exact {
                Some(exact) if exact.field == declared.name => {
                    let sum = field(exact.sum).map(|(sum, _)| sum.as_f64() as i64).filter(|_| slots.is_some());
                    exact_parts(&exact, series, value, sum.zip(slots.flatten()))
                }
                Some(_) => told_parts(declared.name, field)
                    .unwrap_or_else(|| mean_parts(value, slots.flatten().unwrap_or(QMONIT_SLOTS))),
                None => told_parts(declared.name, field).unwrap_or(Parts {
                    sum: value,
                    slots: 1,
                    least: value,
                    most: value,
                }),
            });
            Tally::add(tally, value, parts, at);
        }
    }

    /// Returns the fields of the window's point, sorted by name; none if the series has no value. `series` is a point
    /// without fields.
    pub fn finish(&mut self, series: &Point, covered: &Covered) -> Vec<FoldedField> {
        self.commit(covered);
        self.winner = None;
        let exact = self.measurement.exact;
        let mut folded = Vec::with_capacity(self.tallies.len() + 1);
        for (field, tally) in self.measurement.fields.iter().zip(&self.tallies) {
            let Some(tally) = tally.filter(|_| exact.is_none_or(|exact| exact.order != field.name)) else { continue };
            let tally = tally.with_zeros(field, covered.total() - tally.covered);
            let parts = tally.parts();
            let value = match exact {
                Some(exact) if exact.field == field.name => {
                    let only = |value| Parts { sum: value, least: value, most: value, ..parts };
                    // Older systems may have had fractions; the sum stays an integer.
                    let sum = WideSum::Int(tally.sum.whole()).value();
                    let slots = Value::Int(tally.slots);
                    folded.push(FoldedField { name: exact.sum, value: sum, parts: only(sum) });
                    folded.push(FoldedField { name: exact.slots, value: slots, parts: only(slots) });
                    Value::Float(exact_value(&exact, series, tally.sum, tally.slots))
                }
                Some(_) => Value::Float((tally.sum.as_f64() / tally.slots as f64 * 100.0).round() / 100.0),
                None => value(field.fold, &tally),
            };
            folded.push(FoldedField { name: field.name, value, parts });
        }
        folded.sort_by_key(|field| field.name);
        folded
    }
}

/// Returns the value of a field by its fold.
fn value(fold: Fold, tally: &Tally) -> Value {
    match fold {
        Fold::Sum => tally.sum.value(),
        Fold::Mean => Value::Float(tally.sum.as_f64() / tally.slots as f64),
        Fold::Last => tally.last,
        Fold::Min => tally.least,
        Fold::Max => tally.most,
    }
}

/// Returns the value of the exact count: its sum for events, else its mean.
fn exact_value(exact: &Exact, series: &Point, sum: WideSum, slots: i64) -> f64 {
    match (is_event(exact, series), sum) {
        (true, sum) => sum.as_f64(),
        (false, WideSum::Int(sum)) => hundredths(sum, slots).unwrap_or_default(),
        (false, WideSum::Float(sum)) => (sum / slots as f64 * 100.0 + 0.5).floor() / 100.0,
    }
}

fn is_event(exact: &Exact, series: &Point) -> bool {
    series.tag(exact.events.0).is_some_and(|value| exact.events.1.contains(&value))
}

/// Returns a field of an hourly point by name.
pub type HourField<'a> = dyn Fn(&str) -> Option<(Value, Option<Parts>)> + 'a;

/// The slots of an hourly point of QMonit: its newest six values.
pub(super) const QMONIT_SLOTS: i64 = 6;

/// Returns the parts of the exact count of an hourly point: those that its own fields tell, sum and slots, else those of a
/// point of QMonit.
fn exact_parts(exact: &Exact, series: &Point, value: Value, told: Option<(i64, i64)>) -> Parts {
    let mean_of = if is_event(exact, series) { 1 } else { QMONIT_SLOTS };
    let (sum, slots) = told.unwrap_or_else(|| ((value.as_f64() * mean_of as f64).round() as i64, QMONIT_SLOTS));
    Parts { sum: Value::Int(sum), slots, least: value, most: value }
}

/// Returns the parts of a mean of which only the slots are known.
fn mean_parts(mean: Value, slots: i64) -> Parts {
    Parts { sum: Value::Float(mean.as_f64() * slots as f64), slots, least: mean, most: mean }
}

/// The ends of the names of the fields that hold the parts of a field where a store has no columns for them.
pub const PARTS: [&str; 4] = ["_sum", "_slots", "_least", "_most"];

/// Returns the parts that fields of their own tell; `None` if they are not there.
fn told_parts(name: &str, field: &HourField) -> Option<Parts> {
    let part = |end: &str| field(&format!("{name}{end}")).map(|(part, _)| part);
    match PARTS.map(part) {
        [Some(sum), Some(slots), Some(least), Some(most)] => {
            Some(Parts { sum, slots: slots.as_f64() as i64, least, most })
        }
        _ => None,
    }
}
