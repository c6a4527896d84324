//! Shows what a down-sampler would write, and writes nothing.
//!
//! A run of days first folds the hours that are still to be folded. Here these are folded in memory, twice: first for their
//! coverage, which a fold wants whole, then for their values; so that no more than the series of a day are in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};

use super::{Downsampler, Work, day_of, hours_of};
use crate::model::{COVERAGE, Kind, Measurement, Point, SCOPE_COVERAGE, SECOND, Tier, Value, Window};
use crate::query::Selector;
use crate::rollup::{Coverage, HOUR, PARTS, WindowFold, is_of_no_slot, source, window_of};
use crate::sinks::tiers::Task;

/// The hours of a day that a run would fold first, by their labels in unix seconds; each with whether it is folded although an
/// older system has folded it.
type Pending = BTreeMap<i64, bool>;

/// The fields of a series that nobody declares.
type Fields = BTreeMap<String, Kind>;

impl Downsampler<'_> {
    /// Shows what [`Downsampler::run`], or with labels [`Downsampler::backfill`], would write into the tier. `show` gets the
    /// points of each window.
    ///
    /// # Errors
    /// Fails if the store or the state cannot be read, or if `show` fails.
    pub fn show(
        &self,
        tier: Tier,
        labels: Option<(i64, i64)>,
        show: &mut dyn FnMut(Vec<Point>) -> Result<()>,
    ) -> Result<()> {
        let mut work = self.work(tier)?;
        let hours = (tier == Tier::Day).then(|| self.work(Tier::Hour)).transpose()?;
        let due_hours = hours.as_ref().map_or_else(|| Ok(BTreeSet::new()), Work::due)?;
        // Coverage begins where it will when these hours are folded.
        for (measurement, begin) in hours.iter().flat_map(|hours| hours.begins.all()) {
            let label = hours.as_ref().map_or(begin, |hours| hours.windows.label_of(begin));
            if due_hours.contains(&label) {
                work.begins.add_time(measurement, label * SECOND);
            }
        }
        let chosen = match labels {
            Some((first, last)) => (first..=last).step_by(work.length as usize).collect(),
            None => {
                let mut due = work.due()?;
                due.extend(due_hours.iter().map(|hour| day_of(*hour)).filter(|day| *day <= work.closed));
                due
            }
        };
        for label in chosen.into_iter().filter(|label| !work.is_expired(*label)) {
            let mut pending = Pending::new();
            if let Some(hours) = &hours {
                for hour in hours_of(label) {
                    let is_missing = labels.is_some() && !self.store.has(Tier::Hour, hour * SECOND)?;
                    if (due_hours.contains(&hour) || is_missing) && !hours.is_expired(hour) {
                        pending.insert(hour, is_missing);
                    }
                }
            }
            show(match &hours {
                Some(hours) if !pending.is_empty() => work.day_of_hours(hours, label, &pending, labels.is_some())?,
                _ => work.window(label, labels.is_some())?,
            })?;
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Returns the labels of the windows that a run would fold.
    fn due(&self) -> Result<BTreeSet<i64>> {
        let record = self.windows.record()?;
        let mut next = self.record(record.as_ref()).done.saturating_add(self.length);
        let mut due = self.windows.dirty()?;
        due.extend(self.earlier(&record.unwrap_or_default())?);
        due.retain(|label| *label <= self.closed);
        while let Some(label) = self.next(next, self.closed)? {
            due.insert(label);
            next = label + self.length;
        }
        Ok(due)
    }

    /// Returns the points of a window.
    fn window(&self, label: i64, before_coverage: bool) -> Result<Vec<Point>> {
        let mut points = Vec::new();
        let mut take = |point: Point| {
            points.push(point);
            Ok(())
        };
        let mut task = self.task(false, before_coverage);
        task.show = Some(&mut take);
        self.of.store.fold(self.tier, window_of(self.tier, label * SECOND), &mut task)?;
        Ok(points)
    }

    /// Returns the points of a day of which some hours are to be folded first.
    fn day_of_hours(&self, hours: &Work, label: i64, pending: &Pending, before_coverage: bool) -> Result<Vec<Point>> {
        let (store, window) = (self.of.store, window_of(Tier::Day, label * SECOND));
        let (_, times) = source(Tier::Day, window);
        let (mut begins, mut covered) = (self.begins.clone(), Vec::new());
        let mut undeclared = HashMap::<String, Fields>::new();
        // One point of each hour and grid is enough to tell that an older system covered it.
        let mut old = BTreeMap::new();
        hours.each_hour(label, pending, &mut |point| {
            match point.declaration() {
                Some(measurement) if is_coverage(measurement.name) => {
                    begins.add(&point);
                    covered.push(point);
                }
                Some(measurement) if measurement.exact.is_some() && !is_of_no_slot(measurement, &point) => {
                    let key = (measurement.name, point.tag("grid").map(String::from), point.time().div_euclid(HOUR));
                    old.entry(key).or_insert((measurement, point));
                }
                Some(_) => {}
                None => learn(&point, undeclared.entry(point.series().into()).or_default()),
            }
            Ok(())
        })?;
        let mut coverage = Coverage::new(&begins);
        covered.iter().for_each(|point| coverage.add(Tier::Hour, point, store.catalog()));
        for (measurement, point) in old.into_values() {
            if coverage.may_assume(measurement, times.from) {
                coverage.assume_hour(measurement, &point, point.time(), self.of.grid);
            }
        }
        let task = Task { begins: &begins, ..self.task(false, before_coverage) };
        let is_folded = |measurement: &Measurement| task.folds(Tier::Day, measurement, window);
        let mut folds = BTreeMap::<(&str, *const Measurement), (&Measurement, WindowFold)>::new();
        hours.each_hour(label, pending, &mut |point| {
            let known = point.declaration().or_else(|| declare(&point, undeclared.get(point.series())?));
            if let Some(measurement) = known.filter(|known| !is_coverage(known.name) && is_folded(known)) {
                let key = (measurement.name, std::ptr::from_ref(measurement));
                let fold = || (measurement, WindowFold::new(Tier::Day, measurement, &coverage));
                folds.entry(key).or_insert_with(fold).1.add(&point);
            }
            Ok(())
        })?;
        let mut points = Vec::new();
        for (measurement, fold) in folds.into_values() {
            let mut folded = fold.finish(window.to);
            store.complete_day(measurement, window, begins.of(measurement.name), &mut folded)?;
            points.extend(folded.into_iter().map(|folded| store.written(measurement, folded)));
        }
        let own = coverage.points(window.to).into_iter();
        points.extend(own.filter(|point| store.catalog().measurement(of_coverage(point)).is_none_or(is_folded)));
        Ok(points)
    }

    /// Calls `each` with the points of the hours of a day, by its label in unix seconds, those of each series by time: the
    /// stored ones, and those of `pending` as they are folded now.
    fn each_hour(&self, day: i64, pending: &Pending, each: &mut dyn FnMut(Point) -> Result<()>) -> Result<()> {
        let store = self.of.store;
        let names = store.measurements();
        let selectors: Vec<_> = match &names {
            None => vec![Selector::default()],
            Some(names) => {
                let of = [COVERAGE.name, SCOPE_COVERAGE.name].into_iter();
                of.chain(names.iter().map(String::as_str)).map(Selector::measurement).collect()
            }
        };
        let is_one = |point: &Point| {
            let name = if is_coverage(point.measurement()) { of_coverage(point) } else { point.measurement() };
            names.as_ref().is_none_or(|names| names.iter().any(|one| one == name))
        };
        let all: Vec<_> = hours_of(day).collect();
        for labels in all.chunk_by(|a, b| !pending.contains_key(a) && !pending.contains_key(b)) {
            let (first, last) = labels.first().zip(labels.last()).context("a chunk has an hour")?;
            if let Some(before_coverage) = pending.get(first) {
                let mut take = |point| each(point);
                let mut task = self.task(false, *before_coverage);
                task.shows_parts = true;
                task.show = Some(&mut take);
                store.fold(Tier::Hour, window_of(Tier::Hour, first * SECOND), &mut task)?;
                continue;
            }
            let window = Window { from: first * SECOND, to: last * SECOND + HOUR };
            for selector in &selectors {
                store.each(selector, window, Tier::Hour, &mut |point| match is_one(&point) {
                    true => each(point),
                    false => Ok(()),
                })?;
            }
        }
        Ok(())
    }
}

fn is_coverage(measurement: &str) -> bool {
    [COVERAGE.name, SCOPE_COVERAGE.name].contains(&measurement)
}

/// Returns the name of the measurement that a point of coverage is about.
fn of_coverage(point: &Point) -> &str {
    point.tag("measurement").unwrap_or_default()
}

/// Adds the fields of a point. A field of which one value is a float is one; the parts of another field are none.
fn learn(point: &Point, fields: &mut Fields) {
    let is_field = |name: &str| point.fields().any(|(field, _)| field == name);
    for (name, value) in point.fields() {
        if PARTS.iter().any(|end| name.strip_suffix(end).is_some_and(is_field)) {
            continue;
        }
        let kind = fields.entry(name.into()).or_insert(Kind::Int);
        if matches!(value, Value::Float(_)) {
            *kind = Kind::Float;
        }
    }
}

fn declare(point: &Point, fields: &Fields) -> Option<&'static Measurement> {
    let fields: Vec<_> = fields.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    Measurement::undeclared(point.measurement(), &fields)
}
