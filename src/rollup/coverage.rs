//! Which slots of a window the collectors of a measurement covered.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::fold::QMONIT_SLOTS;
use super::{HOUR, slot_of};
use crate::model::collected::{SLOTS, STEP};
use crate::model::{COVERAGE, Catalog, Measurement, Point, SCOPE_COVERAGE, Tier, Value};

/// The covered slots of a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covered {
    /// Times in nanoseconds, rising, each with its number of slots: 1 for a slot, more for the label of an hour.
    times: Vec<(i64, i64)>,
    /// The sum of these numbers.
    total: i64,
}

impl Covered {
    /// Returns the number of slots.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// Returns the number of slots at a time, in nanoseconds; 0 if it is not covered.
    pub fn at(&self, time: i64) -> i64 {
        self.times.binary_search_by_key(&time, |slot| slot.0).map_or(0, |at| self.times[at].1)
    }

    /// Returns its times, in nanoseconds, each with its number of slots.
    pub fn times(&self) -> &[(i64, i64)] {
        &self.times
    }

    /// Returns it with the slots of another one added.
    fn with(mut self, other: &Self) -> Self {
        other.times.iter().for_each(|(time, slots)| self.add(*time, *slots));
        self
    }

    /// Adds slots at a time. Of two numbers for one time the greater one counts.
    pub fn add(&mut self, time: i64, slots: i64) {
        match self.times.binary_search_by_key(&time, |slot| slot.0) {
            Ok(at) => {
                let more = (slots - self.times[at].1).max(0);
                self.times[at].1 += more;
                self.total += more;
            }
            Err(at) => {
                self.times.insert(at, (time, slots));
                self.total += slots;
            }
        }
    }
}

/// Whose coverage it is: grid, and `host=wn001` where several programs write one measurement, else empty.
type Whose = (String, String);

/// When the coverage of each measurement begins in a tier, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Begins(HashMap<String, i64>);

impl Begins {
    /// Adds a point of [`COVERAGE`] or [`SCOPE_COVERAGE`]; ignores other points, and those of no slot.
    pub fn add(&mut self, point: &Point) {
        if let Some((measurement, ..)) = read(point) {
            self.add_time(measurement, point.time());
        }
    }

    /// Adds the time of a covered slot or label of a measurement, in nanoseconds.
    pub fn add_time(&mut self, measurement: &str, time: i64) {
        let begin = self.0.entry(measurement.into()).or_insert(i64::MAX);
        *begin = (*begin).min(time);
    }

    /// Returns when the coverage of a measurement begins, in nanoseconds; `None` if it was never covered.
    pub fn of(&self, measurement: &str) -> Option<i64> {
        self.0.get(measurement).copied()
    }

    /// Returns when the coverage of each covered measurement begins, in nanoseconds.
    pub fn all(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(measurement, begin)| (measurement.as_str(), *begin))
    }

    /// Returns when the first coverage begins, in nanoseconds.
    pub fn first(&self) -> Option<i64> {
        self.0.values().min().copied()
    }
}

/// Whether a folded point of an exact count stands for no slot.
pub fn is_of_no_slot(measurement: &Measurement, point: &Point) -> bool {
    let slots = measurement.exact.map(|exact| exact.slots);
    point.fields().any(|(name, value)| Some(name) == slots && value.is_zero())
}

/// Whether a collector's coverage is that of a series.
fn is_of(series: &Point, (grid, scope): &Whose) -> bool {
    let tags = || scope.split(',').filter_map(|pair| pair.split_once('='));
    series.tag("grid").is_none_or(|own| own == grid) && tags().all(|(name, value)| series.tag(name) == Some(value))
}

/// Reads a point of coverage: the measurement, whose it is, and the number of slots.
fn read(point: &Point) -> Option<(&str, Whose, i64)> {
    if ![COVERAGE.name, SCOPE_COVERAGE.name].contains(&point.measurement()) {
        return None;
    }
    let slots = point.fields().find(|(name, _)| *name == SLOTS.info().name)?.1.as_f64() as i64;
    let scope = point.tag("scope").unwrap_or_default();
    Some((point.tag("measurement")?, (point.tag("grid")?.into(), scope.into()), slots)).filter(|_| slots > 0)
}

/// The coverage of one collector in a window.
#[derive(Clone, Debug, Default)]
struct Own {
    covered: Covered,
    /// The newest interval in seconds, with its time.
    step: Option<(i64, Value)>,
}

/// The coverage of all measurements in a window.
#[derive(Clone, Debug)]
pub struct Coverage<'a> {
    begins: &'a Begins,
    own: HashMap<String, BTreeMap<Whose, Own>>,
}

impl<'a> Coverage<'a> {
    /// Returns the coverage of a window of which nothing was read yet.
    pub fn new(begins: &'a Begins) -> Self {
        Self { begins, own: HashMap::new() }
    }

    /// Adds a point of [`COVERAGE`] or [`SCOPE_COVERAGE`] of a tier; ignores other points.
    pub fn add(&mut self, tier: Tier, point: &Point, catalog: Catalog) {
        let Some((name, whose, slots)) = read(point) else { return };
        let measurement = catalog.measurement(name);
        let (time, slots) = match tier {
            Tier::Raw => (measurement.map_or(point.time(), |measurement| slot_of(measurement, point.time())), 1),
            Tier::Hour | Tier::Day => (point.time(), slots),
        };
        let own = self.own.entry(name.into()).or_default().entry(whose).or_default();
        own.covered.add(time, slots);
        let step = point.fields().find(|(name, _)| *name == STEP.info().name).map(|(_, value)| (time, value));
        if step.is_some_and(|(time, _)| own.step.is_none_or(|(last, _)| time >= last)) {
            own.step = step;
        }
    }

    /// Whether a measurement is covered in some slot of the window.
    pub fn has(&self, measurement: &str) -> bool {
        self.own.contains_key(measurement)
    }

    /// Whether points of a measurement in a window from `from` on, in nanoseconds, cover their slots themselves, because the
    /// coverage of the measurement begins later. [`Coverage::assume`] wants all of them before the first is folded.
    pub fn may_assume(&self, measurement: &Measurement, from: i64) -> bool {
        measurement.has_counts() && self.begins.of(measurement.name).is_none_or(|begin| begin > from)
    }

    /// Takes the slot of a raw point for covered if the coverage of its measurement begins later. `grid` is the grid of
    /// series that name none.
    pub fn assume(&mut self, measurement: &Measurement, series: &Point, time: i64, grid: &str) {
        self.assume_slots(measurement, series, grid, slot_of(measurement, time), 1);
    }

    /// Takes the hour of a point that an older system folded for covered, if the coverage of its measurement begins later. One
    /// of no slot was deleted, or replaced by one with other labels.
    pub fn assume_hour(&mut self, measurement: &Measurement, series: &Point, time: i64, grid: &str) {
        if is_of_no_slot(measurement, series) {
            return;
        }
        self.assume_slots(measurement, series, grid, time.div_euclid(HOUR) * HOUR, QMONIT_SLOTS);
    }

    fn assume_slots(&mut self, measurement: &Measurement, series: &Point, grid: &str, time: i64, slots: i64) {
        if self.begins.of(measurement.name).is_some_and(|begin| time >= begin) {
            return;
        }
        let whose = (series.tag("grid").unwrap_or(grid).into(), String::new());
        let own = self.own.entry(measurement.name.into()).or_default().entry(whose).or_default();
        own.covered.add(time, slots);
        own.step.get_or_insert((i64::MIN, Value::Int(measurement.every)));
    }

    /// Returns the coverage of a series, given as a point without fields.
    pub fn of(&self, series: &Point) -> Cow<'_, Covered> {
        static NOTHING: Covered = Covered { times: Vec::new(), total: 0 };
        let Some(all) = self.own.get(series.measurement()) else { return Cow::Borrowed(&NOTHING) };
        let mut found: Option<Cow<Covered>> = None;
        for covered in candidates(all, series) {
            found = Some(match found {
                None => Cow::Borrowed(covered),
                Some(both) => Cow::Owned(both.into_owned().with(covered)),
            });
        }
        found.unwrap_or(Cow::Borrowed(&NOTHING))
    }

    /// Returns the points of the window's own coverage at its label, in nanoseconds.
    pub fn points(&self, label: i64) -> Vec<Point> {
        let mut points = Vec::new();
        for (measurement, all) in &self.own {
            for ((grid, scope), own) in all {
                // A slot that the whole grid covers is one of each scope in it: of an hour's numbers alone nobody could tell
                // which of their slots are the same.
                let grids = all.get(&(grid.clone(), String::new())).filter(|_| !scope.is_empty());
                let total = grids.map_or(own.covered.total, |grids| own.covered.clone().with(&grids.covered).total);
                let mut fields = vec![SLOTS.of(total)];
                fields.extend(own.step.map(|(_, step)| STEP.of(step.as_f64() as i64)));
                points.push(match scope.is_empty() {
                    true => COVERAGE.point(label, [grid.as_str(), measurement], &fields),
                    false => SCOPE_COVERAGE.point(label, [grid.as_str(), measurement, scope], &fields),
                });
            }
        }
        points.sort_by(|a, b| a.series().cmp(b.series()));
        points
    }
}

/// Returns the coverages that are those of a series. Looks each up where the series names its grid.
fn candidates<'a: 'b, 'b>(
    all: &'a BTreeMap<Whose, Own>,
    series: &'b Point,
) -> Box<dyn Iterator<Item = &'a Covered> + 'b> {
    /// Up to this many are compared one by one.
    const FEW: usize = 8;
    let compare = move |(whose, own): (&'a Whose, &'a Own)| is_of(series, whose).then_some(&own.covered);
    match series.tag("grid") {
        Some(grid) if all.len() > FEW => {
            let mut scopes = vec![String::new()];
            let pairs: Vec<_> = series.tags().map(|(name, value)| format!("{name}={value}")).collect();
            // A scope has one key or two; more are found by comparing.
            scopes.extend(pairs.iter().cloned());
            for (at, first) in pairs.iter().enumerate() {
                let others = pairs.iter().enumerate().filter(move |(other, _)| *other != at);
                scopes.extend(others.map(|(_, second)| format!("{first},{second}")));
            }
            let found = scopes.into_iter().filter_map(move |scope| all.get(&(grid.to_string(), scope)));
            Box::new(found.map(|own| &own.covered))
        }
        _ => Box::new(all.iter().filter_map(compare)),
    }
}
