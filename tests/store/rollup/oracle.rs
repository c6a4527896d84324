//! The plain reference of the roll-ups: everything anew from all raw points, written for clarity. Rules 10 to 13 of what
//! PanDA's numbers mean stand in docs/downsample-1h.md; other measurements fold by their declarations in the same way.

use std::collections::{BTreeMap, BTreeSet};

use gridmon::model::{Fold, Kind, Measurement, Point, SECOND, Value};
use gridmon::rollup::{DAY, HOUR, Parts};

/// A field of a folded point: series, time in nanoseconds, name of the field.
pub type Row = (String, i64, String);

/// Folded values with their parts.
pub type Rows = BTreeMap<Row, (Value, Parts)>;

/// All raw points there are of one measurement, and its coverage.
pub struct Oracle<'a> {
    measurement: &'static Measurement,
    series: BTreeMap<&'a str, Vec<&'a Point>>,
    coverage: Vec<&'a Point>,
    /// The slots in which a point stands, each with the grids of these points.
    stands: BTreeMap<i64, BTreeSet<Option<&'a str>>>,
}

impl<'a> Oracle<'a> {
    pub fn new(points: &'a [Point], measurement: &'static Measurement) -> Self {
        let mut this = Self { measurement, series: BTreeMap::new(), coverage: Vec::new(), stands: BTreeMap::new() };
        for point in points {
            if point.measurement() == measurement.name {
                this.series.entry(point.series()).or_default().push(point);
                this.stands.entry(this.slot(point.time())).or_default().insert(point.tag("grid"));
            }
            let is_coverage = ["coverage", "scope_coverage"].contains(&point.measurement());
            if is_coverage && point.tag("measurement") == Some(measurement.name) {
                this.coverage.push(point);
            }
        }
        this
    }

    /// When the coverage of the measurement begins.
    pub fn begin(&self) -> Option<i64> {
        self.coverage.iter().map(|point| point.time()).min()
    }

    /// From when on it is folded: `jobs` from its first coverage on, since what is before is QMonit's.
    pub fn folded_from(&self) -> i64 {
        if self.measurement.exact.is_some() { self.begin().unwrap_or(i64::MAX) } else { i64::MIN }
    }

    fn slot(&self, time: i64) -> i64 {
        match self.measurement.exact {
            Some(_) => time - time.rem_euclid(self.measurement.every * SECOND),
            None => time,
        }
    }

    /// The slots that are covered for a series.
    fn covered(&self, series: &Point) -> BTreeSet<i64> {
        let is_own = |coverage: &Point| {
            let scope = coverage.tag("scope").unwrap_or_default();
            let has =
                |pair: &str| pair.is_empty() || series.tags().any(|(name, value)| format!("{name}={value}") == pair);
            (series.tag("grid").is_none() || series.tag("grid") == coverage.tag("grid")) && scope.split(',').all(has)
        };
        let own = self.coverage.iter().filter(|coverage| is_own(coverage)).map(|coverage| coverage.time());
        let begin = self.begin().unwrap_or(i64::MAX);
        let old = self.stands.iter().filter(|(slot, grids)| **slot < begin && grids.contains(&series.tag("grid")));
        own.chain(old.map(|(slot, _)| *slot)).collect()
    }

    /// The number of covered slots of each grid, and of each scope in it, in these hours; those of none are left out.
    #[allow(dead_code)]
    pub fn coverage(&self, hours: &[i64]) -> BTreeMap<(String, String), i64> {
        let mut slots = BTreeMap::<_, BTreeSet<i64>>::new();
        let begin = self.begin().unwrap_or(i64::MAX);
        let text = |tag: Option<&str>, absent: &str| tag.unwrap_or(absent).to_string();
        for point in &self.coverage {
            let whose = (text(point.tag("grid"), ""), text(point.tag("scope"), ""));
            slots.entry(whose).or_default().insert(point.time());
        }
        for (slot, grids) in self.stands.range(..begin).filter(|_| self.measurement.has_counts()) {
            grids.iter().for_each(|grid| {
                slots.entry((text(*grid, "a"), String::new())).or_default().insert(*slot);
            });
        }
        let within = |slots: &BTreeSet<i64>| {
            hours.iter().map(|from| slots.range(*from..from + HOUR).count() as i64).sum::<i64>()
        };
        let of_grid = |grid: &String| slots.get(&(grid.clone(), String::new())).cloned().unwrap_or_default();
        let covered = slots.iter().filter(|(_, slots)| within(slots) > 0);
        // What the whole grid covers is covered in each scope that tells of itself.
        covered
            .map(|((grid, scope), slots)| ((grid.clone(), scope.clone()), within(&(slots | &of_grid(grid)))))
            .collect()
    }

    /// The points of a series that count, by slot.
    fn winners(&self, series: &str, from: i64, to: i64) -> BTreeMap<i64, &'a Point> {
        let mut winners = BTreeMap::<i64, &Point>::new();
        for point in &self.series[series] {
            if !(from..to).contains(&point.time()) {
                continue;
            }
            let order = |point: &Point| {
                let sequence = self.measurement.exact.and_then(|exact| field(point, exact.order));
                (sequence.map_or(-1, |sequence| sequence.as_f64() as i64), point.time(), point.tag_set().into_owned())
            };
            let winner = winners.entry(self.slot(point.time())).or_insert(point);
            if order(point) > order(winner) {
                *winner = point;
            }
        }
        winners
    }

    /// The points of the hour from `from` on.
    pub fn hour(&self, from: i64) -> Rows {
        self.window(from + HOUR, &[from])
    }

    /// The points of the day from `from` on, of which those hours count that `is_folded` takes by their beginning.
    pub fn day(&self, from: i64, is_folded: impl Fn(i64) -> bool) -> Rows {
        let hours: Vec<_> = (0..24).map(|hour| from + hour * HOUR).filter(|hour| is_folded(*hour)).collect();
        self.window(from + DAY, &hours)
    }

    /// The points of a window that consists of these hours.
    fn window(&self, label: i64, hours: &[i64]) -> Rows {
        let (measurement, mut rows) = (self.measurement, Rows::new());
        for (series, points) in &self.series {
            let names = points[0];
            let winners: Vec<_> = hours.iter().map(|from| self.winners(series, *from, from + HOUR)).collect();
            if winners.iter().all(BTreeMap::is_empty) {
                continue;
            }
            let covered = self.covered(names);
            let offset = measurement.exact.map_or(0, |exact| (exact.offset)(names));
            for declared in measurement.fields {
                if measurement.exact.is_some_and(|exact| exact.order == declared.name) {
                    continue;
                }
                let Some((value, parts)) = self.field(&winners, &covered, names, declared.name, hours) else {
                    continue;
                };
                let mut add = |field: &str, value: Value, parts: Parts| {
                    rows.insert((series.to_string(), label + offset, field.into()), (value, parts));
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
        winners: &[BTreeMap<i64, &Point>],
        covered: &BTreeSet<i64>,
        names: &Point,
        name: &str,
        hours: &[i64],
    ) -> Option<(Value, Parts)> {
        let measurement = self.measurement;
        let declared = measurement.field(name)?;
        let (mut values, mut hourly, mut slots) = (Vec::new(), Vec::new(), BTreeSet::new());
        for winners in winners {
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
            slots.extend(hours.iter().flat_map(|from| covered.range(*from..from + HOUR)));
        }
        let zero = if declared.kind == Kind::Int { Value::Int(0) } else { Value::Float(0.0) };
        let mut ends = values.clone();
        ends.extend((slots.len() > own).then_some(zero));
        let least = ends.iter().copied().reduce(|a, b| if b.as_f64() < a.as_f64() { b } else { a })?;
        let most = ends.iter().copied().reduce(|a, b| if b.as_f64() > a.as_f64() { b } else { a })?;
        let count = slots.len() as i64;
        let whole: Option<i64> =
            values.iter().map(|value| if let Value::Int(v) = value { Some(*v) } else { None }).sum();
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

    /// The number of covered slots of a series in the hour from `from` on.
    #[allow(dead_code)]
    pub fn slots(&self, series: &Point, from: i64) -> i64 {
        self.covered(series).range(from..from + HOUR).count() as i64
    }
}

fn field(point: &Point, name: &str) -> Option<Value> {
    point.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
}
