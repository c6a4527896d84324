//! Folds the points of an InfluxDB into its coarser retention policies.
//!
//! Points of a window are read as they come and folded by series; InfluxDB's own SUM and MEAN would count each of several
//! points in a slot, and know nothing of covered slots. A point that is no longer given, because other labels are, stays for
//! ever: it becomes a point of no slot, which readers pass over.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::client::Connection;
use super::config::Config;
use super::influxql::{Cell, identifier, string};
use super::read::{InfluxReader, columns, number, pairs, parts, point};
use super::write;
use crate::model::collected::{SLOTS, STEP};
use crate::model::{
    COVERAGE, Catalog, Fold, Kind, Measurement, Name, Point, SCOPE_COVERAGE, SECOND, Tier, Value, Window,
};
use crate::os::http::Client;
use crate::query::{Scan, Selector};
use crate::rollup::{Begins, Coverage, DAY, Folded, HOUR, PARTS, WindowFold, source};
use crate::sinks::tiers::{Task, Tiers};
use crate::text::count;

/// The most points that are written between two looks at the time.
const POINTS: usize = 20_000;

/// InfluxDB as a store that is folded.
pub struct InfluxTiers {
    config: Config,
    client: Client,
    catalog: Catalog,
    reader: InfluxReader,
    measurements: Vec<&'static Measurement>,
    /// The time of the first point to fold in raw and in hourly points, in nanoseconds, as far as it was asked for.
    firsts: Mutex<HashMap<&'static str, Option<i64>>>,
    /// A time in each tier within a day of which slots are covered, in nanoseconds.
    near: Mutex<HashMap<&'static str, i64>>,
}

/// A series of a window's points: its tags in line protocol, and the time in nanoseconds.
type Key = (String, i64);

impl InfluxTiers {
    /// Returns the InfluxDB of `config`, of which these measurements are folded.
    ///
    /// # Errors
    /// Fails if no HTTP client can be created, or if two tiers have one retention policy.
    pub fn new(config: &Config, catalog: Catalog) -> Result<Self> {
        let policies = Tier::ALL.map(|tier| config.policy(tier));
        for (at, policy) in policies.iter().enumerate() {
            ensure!(
                !policies[..at].contains(policy),
                "[influxdb] retention_raw, retention_1h and retention_1d must differ: {policy} would hold raw and folded points"
            );
        }
        let mut measurements = Vec::new();
        for name in &config.fold {
            match catalog.measurement(name) {
                Some(measurement) => measurements.push(measurement),
                None => bail!("[influxdb] fold: no measurement is called {name}"),
            }
        }
        let (client, reader) = (config.client()?, InfluxReader::new(config, catalog)?);
        Ok(Self {
            config: config.clone(),
            client,
            catalog,
            reader,
            measurements,
            firsts: Mutex::default(),
            near: Mutex::default(),
        })
    }

    fn connection(&self) -> Connection<'_> {
        // Each request has its own time; the work between them is ended by the task.
        let ends = Instant::now() + Duration::from_secs(86_400);
        Connection { config: &self.config, client: &self.client, ends }
    }

    /// Calls `each` with the points of a measurement in a tier, by time. Only these tags and fields are read.
    fn points(
        &self,
        measurement: &str,
        (tags, fields): (&[&str], &[(String, Kind)]),
        (tier, window): (Tier, Window),
        condition: &str,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let mut query = format!(
            "SELECT {} FROM {} WHERE time >= {} AND time < {}",
            columns(tags, &names),
            self.reader.from(measurement, tier),
            window.from,
            window.to
        );
        if !condition.is_empty() {
            let _ = write!(query, " AND {condition}");
        }
        self.reader.ask(&query, |rows| {
            for row in &rows.values {
                let (time, given, values) = parts(row, tags.len())?;
                let named = fields.iter().zip(values);
                let named =
                    named.filter_map(|((name, kind), cell)| Some((Name::Owned(name.clone()), number(cell, *kind)?)));
                let series = point(measurement, pairs(tags, given), self.catalog);
                each(series.at(time, named.collect::<Vec<_>>()))?;
            }
            Ok(())
        })
    }

    /// Returns the coverage of a measurement in a window.
    fn coverage<'a>(
        &self,
        measurement: &'static Measurement,
        (finer, times): (Tier, Window),
        task: &Task<'a>,
    ) -> Result<Coverage<'a>> {
        let mut coverage = Coverage::new(task.begins);
        let fields = [SLOTS.info(), STEP.info()].map(|field| (field.name.to_string(), field.kind));
        let condition = of_measurement(measurement);
        for of in [&COVERAGE, &SCOPE_COVERAGE] {
            let tags: Vec<_> = of.tags.iter().map(|tag| tag.name).collect();
            self.points(of.name, (&tags, &fields), (finer, times), &condition, &mut |point| {
                coverage.add(finer, &point, self.catalog);
                Ok(())
            })?;
        }
        if coverage.may_assume(measurement, times.from) && (finer == Tier::Raw || measurement.exact.is_some()) {
            let grid: Vec<_> = measurement.tags.iter().map(|tag| tag.name).filter(|name| *name == "grid").collect();
            let count = measurement.fields.iter().find(|field| field.count).into_iter();
            let mut fields: Vec<_> = count.map(|field| (field.name.to_string(), Kind::Float)).collect();
            let slots = measurement.exact.filter(|_| finer != Tier::Raw).map(|exact| exact.slots);
            fields.extend(slots.map(|slots| (slots.to_string(), Kind::Int)));
            self.points(measurement.name, (&grid, &fields), (finer, times), "", &mut |point| {
                match finer {
                    Tier::Raw => coverage.assume(measurement, &point, point.time(), task.grid),
                    _ => coverage.assume_hour(measurement, &point, point.time(), task.grid),
                }
                Ok(())
            })?;
        }
        Ok(coverage)
    }

    /// Folds the points of a measurement, sorted by series.
    fn folded(
        &self,
        measurement: &'static Measurement,
        tier: Tier,
        window: Window,
        (coverage, begin): (&Coverage, Option<i64>),
    ) -> Result<Vec<Folded>> {
        let tags: Vec<_> = measurement.tags.iter().map(|tag| tag.name).collect();
        let (finer, times) = source(tier, window);
        let fields = if finer == Tier::Raw { raw_fields(measurement) } else { folded_fields(measurement) };
        let mut fold = WindowFold::new(tier, measurement, coverage);
        self.points(measurement.name, (&tags, &fields), (finer, times), "", &mut |point| {
            fold.add(&point);
            Ok(())
        })?;
        let mut folded = fold.finish(window.to);
        if tier == Tier::Day {
            self.complete_day(measurement, window, begin, &mut folded)?;
        }
        Ok(folded)
    }

    /// Replaces the means of a day that differ from hour to hour: an hour does not tell of how many values its mean is. Leaves
    /// those of which there are no raw points any more, and the hours before the first that is folded, at `begin`.
    fn mean_from_raw(
        &self,
        measurement: &'static Measurement,
        window: Window,
        begin: Option<i64>,
        folded: &mut [Folded],
    ) -> Result<()> {
        let exact = measurement.exact.map_or([""; 3], |exact| [exact.field, exact.sum, exact.slots]);
        let differs = |one: &Folded| {
            let fields = one.point.fields().zip(&one.parts);
            fields.filter(|((name, _), _)| !exact.contains(name)).any(|(_, parts)| parts.least != parts.most)
        };
        let changed: HashSet<String> =
            folded.iter().filter(|one| differs(one)).map(|one| one.point.series().to_string()).collect();
        if changed.is_empty() {
            return Ok(());
        }
        // A person asks for one series, which need not be looked for among all.
        let only = match folded.iter().find(|one| differs(one)) {
            Some(one) if changed.len() == 1 => {
                let keys = measurement.tags.iter().filter(|tag| tag.identifies);
                of_tags(keys.filter_map(|tag| Some((tag.name, one.point.tag(tag.name)?))))
            }
            _ => String::new(),
        };
        let begins = Begins::default();
        let nothing = Coverage::new(&begins);
        let mut fold = WindowFold::new(Tier::Hour, measurement, &nothing);
        let tags: Vec<_> = measurement.tags.iter().map(|tag| tag.name).collect();
        for hour in (window.from..window.to).step_by(HOUR as usize) {
            let hour = Window { from: hour, to: hour + HOUR };
            if begin.is_none_or(|begin| hour.to < begin) {
                continue;
            }
            let fields = raw_fields(measurement);
            self.points(measurement.name, (&tags, &fields), (Tier::Raw, hour), &only, &mut |point| {
                if changed.contains(point.series()) {
                    fold.add(&point);
                }
                Ok(())
            })?;
        }
        let raw: HashMap<String, Folded> =
            fold.finish(0).into_iter().map(|one| (one.point.series().to_string(), one)).collect();
        for one in folded.iter_mut().filter(|one| differs(one)) {
            let Some(of_raw) = raw.get(one.point.series()) else { continue };
            let better = |name: &str| {
                let mut fields = of_raw.point.fields().zip(&of_raw.parts);
                let found = fields.find(|((field, _), _)| *field == name && !exact.contains(field));
                found.map(|((_, value), parts)| (value, *parts))
            };
            let mut fields = Vec::with_capacity(one.parts.len());
            for ((name, value), parts) in one.point.fields().zip(&mut one.parts) {
                let (value, of_raw) = better(name).unwrap_or((value, *parts));
                *parts = of_raw;
                fields.push((Name::Owned(name.to_string()), value));
            }
            one.point = one.point.at(one.point.time(), fields);
        }
        Ok(())
    }

    /// Returns the points at a label that are not among `given`, as points of no slot.
    fn replaced(
        &self,
        measurement: &'static Measurement,
        tier: Tier,
        label: i64,
        given: &HashSet<Key>,
    ) -> Result<Vec<Point>> {
        let tags: Vec<_> = measurement.tags.iter().map(|tag| tag.name).collect();
        let at = Window { from: label, to: label + HOUR };
        let fields = folded_fields(measurement);
        let mut replaced = Vec::new();
        self.points(measurement.name, (&tags, &fields), (tier, at), "", &mut |point| {
            if !given.contains(&(point.tag_set().into_owned(), point.time())) {
                replaced.extend(without_slots(measurement, &point));
            }
            Ok(())
        })?;
        Ok(replaced)
    }

    /// Returns the points of a measurement's coverage at a label that are not among `given`, as points of no slot: an earlier
    /// fold may have taken slots for covered that were before the first coverage then.
    fn replaced_coverage(
        &self,
        measurement: &Measurement,
        tier: Tier,
        label: i64,
        given: &HashSet<Key>,
    ) -> Result<Vec<Point>> {
        let at = Window { from: label, to: label + HOUR };
        let slots = SLOTS.info().name;
        let mut replaced = Vec::new();
        for of in [&COVERAGE, &SCOPE_COVERAGE] {
            let tags: Vec<_> = of.tags.iter().map(|tag| tag.name).collect();
            let fields = [(slots.to_string(), Kind::Int)];
            self.points(of.name, (&tags, &fields), (tier, at), &of_measurement(measurement), &mut |point| {
                let has_slots = point.fields().any(|(_, value)| !value.is_zero());
                if has_slots && !given.contains(&(point.tag_set().into_owned(), point.time())) {
                    replaced.push(point.at(point.time(), [(Name::Borrowed(slots), Value::Int(0))]));
                }
                Ok(())
            })?;
        }
        Ok(replaced)
    }

    /// Writes points into a tier.
    fn write(&self, tier: Tier, points: &[Point], go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        for points in points.chunks(POINTS) {
            go_on()?;
            let policy = self.config.policy(tier);
            let refused = write::write(&self.connection(), self.config.of_run(), policy, points)?;
            if let Some((point, why)) = refused.first() {
                let of = count(points.len(), "point");
                bail!(
                    "InfluxDB at {} refused {} of {of}, {} first: {why}; after fixing it run again with --from",
                    self.config.name(),
                    refused.len(),
                    point.series()
                );
            }
        }
        Ok(())
    }

    fn fold_one(
        &self,
        measurement: &'static Measurement,
        tier: Tier,
        window: Window,
        task: &mut Task,
    ) -> Result<usize> {
        let coverage = self.coverage(measurement, source(tier, window), task)?;
        let begin = task.begins.of(measurement.name);
        let folded = self.folded(measurement, tier, window, (&coverage, begin))?;
        let own = coverage.points(window.to);
        if folded.is_empty() && own.is_empty() {
            return Ok(0);
        }
        let count = folded.len();
        let mut points: Vec<_> = folded.into_iter().map(|folded| folded.with_parts(measurement)).collect();
        if let Some(show) = &mut task.show {
            points.into_iter().chain(own).try_for_each(show)?;
            return Ok(count);
        }
        let keys = |points: &[Point]| points.iter().map(|point| (point.tag_set().into_owned(), point.time())).collect();
        points.extend(self.replaced(measurement, tier, window.to, &keys(&points))?);
        // The coverage last: where it stands, all of the window does.
        points.extend(self.replaced_coverage(measurement, tier, window.to, &keys(&own))?);
        points.extend(own);
        self.write(tier, &points, task.go_on)?;
        Ok(count)
    }
}

/// Returns the condition on points of coverage that they are those of a measurement.
fn of_measurement(measurement: &Measurement) -> String {
    of_tags([("measurement", measurement.name)].into_iter())
}

/// Returns the condition that points have these tags.
fn of_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let conditions: Vec<_> =
        tags.map(|(name, value)| format!("{}::tag = {}", identifier(name), string(value))).collect();
    conditions.join(" AND ")
}

fn raw_fields(measurement: &Measurement) -> Vec<(String, Kind)> {
    measurement.fields.iter().map(|field| (field.name.to_string(), field.kind)).collect()
}

/// Returns the fields of folded points, with their types.
fn folded_fields(measurement: &Measurement) -> Vec<(String, Kind)> {
    let mut fields = Vec::new();
    for field in measurement.fields {
        let name = field.name;
        if let Some(exact) = measurement.exact {
            if exact.field == name {
                fields.extend([exact.sum, exact.slots].map(|name| (name.to_string(), Kind::Int)));
            }
            if exact.order != name {
                fields.push((name.to_string(), Kind::Float));
            }
            continue;
        }
        fields.push((name.to_string(), if field.fold == Fold::Mean { Kind::Float } else { field.kind }));
        let [sum, slots, least, most] = PARTS.map(|end| format!("{name}{end}"));
        fields.extend([(sum, field.kind), (slots, Kind::Int), (least, field.kind), (most, field.kind)]);
    }
    fields
}

/// Returns the fields of folded points that tell the slots of others, each with the field that it belongs to.
fn slots_fields(measurement: &Measurement) -> Vec<(&'static str, String)> {
    match measurement.exact {
        Some(exact) => vec![(exact.field, exact.slots.into())],
        None => measurement.fields.iter().map(|field| (field.name, format!("{}{}", field.name, PARTS[1]))).collect(),
    }
}

/// Returns a folded point as one of no slot; `None` if it is one.
fn without_slots(measurement: &Measurement, point: &Point) -> Option<Point> {
    let value = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value);
    let Some(exact) = measurement.exact else {
        let slots = slots_fields(measurement).into_iter().map(|(_, slots)| slots);
        let slots: Vec<_> = slots.filter(|name| value(name).is_some_and(|slots| !slots.is_zero())).collect();
        let slots: Vec<_> = slots.into_iter().map(|name| (Name::Owned(name), Value::Int(0))).collect();
        return (!slots.is_empty()).then(|| point.at(point.time(), slots));
    };
    if value(exact.slots).is_some_and(Value::is_zero) {
        return None;
    }
    let zeros = [(exact.field, Value::Float(0.0)), (exact.sum, Value::Int(0)), (exact.slots, Value::Int(0))];
    Some(point.at(point.time(), zeros.map(|(name, zero)| (Name::Borrowed(name), zero))))
}

impl Tiers for InfluxTiers {
    fn name(&self) -> &'static str {
        "influxdb"
    }

    fn reader(&self) -> &dyn Scan {
        &self.reader
    }

    fn catalog(&self) -> Catalog {
        self.catalog
    }

    fn each(
        &self,
        selector: &Selector,
        window: Window,
        tier: Tier,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        self.reader.each(selector, window, tier, &mut |mut point| {
            self.catalog.declare(&mut point);
            each(point)
        })
    }

    fn complete_day(
        &self,
        measurement: &'static Measurement,
        window: Window,
        begin: Option<i64>,
        folded: &mut [Folded],
    ) -> Result<()> {
        match measurement.exact {
            Some(_) => self.mean_from_raw(measurement, window, begin, folded),
            None => Ok(()),
        }
    }

    fn written(&self, measurement: &'static Measurement, folded: Folded) -> Point {
        folded.with_parts(measurement)
    }

    fn measurements(&self) -> Option<Vec<String>> {
        Some(self.measurements.iter().map(|measurement| measurement.name.to_string()).collect())
    }

    fn begins(&self, tier: Tier) -> Result<Begins> {
        // It is looked for anew in each run.
        self.firsts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.near.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.begins_from(tier, i64::MIN)
    }

    fn next(&self, tier: Tier, from: i64) -> Result<Option<i64>> {
        let known = self.firsts.lock().unwrap_or_else(PoisonError::into_inner).get(tier.name()).copied();
        let first = match known {
            Some(first) => first,
            None => {
                let first = self.first(tier, i64::MIN)?;
                self.firsts.lock().unwrap_or_else(PoisonError::into_inner).insert(tier.name(), first);
                first
            }
        };
        match first {
            Some(first) if first < from => self.after(tier, from),
            first => Ok(first),
        }
    }

    fn oldest_kept(&self, tier: Tier, now: i64) -> Result<Option<i64>> {
        let (database, policy) = (identifier(self.config.of_run()), self.config.policy(tier));
        let mut kept = None;
        let rows = self.reader.names(&format!("SHOW RETENTION POLICIES ON {database}"));
        // Of InfluxDB 2 it is not known.
        for row in rows.unwrap_or_default() {
            if row.first().map(String::as_str) == Some(policy) {
                kept = row.get(1).and_then(|duration| seconds(duration)).filter(|seconds| *seconds > 0);
            }
        }
        Ok(kept.map(|seconds| now.saturating_sub(seconds).saturating_mul(SECOND)))
    }

    fn fold(&self, tier: Tier, window: Window, task: &mut Task) -> Result<usize> {
        let mut count = 0;
        for measurement in &self.measurements {
            (task.go_on)()?;
            if task.folds(tier, measurement, window) {
                count += self.fold_one(measurement, tier, window, task)?;
            }
        }
        Ok(count)
    }

    fn has(&self, tier: Tier, label: i64) -> Result<bool> {
        let at = Window { from: label, to: label + HOUR };
        for measurement in &self.measurements {
            // A point without slots is an older system's; one of no slot was deleted, or replaced.
            let columns = slots_fields(measurement).into_iter().map(|(field, slots)| {
                let [field, slots] = [field, &slots].map(|name| format!("{}::field", identifier(name)));
                format!("count({field}), count({slots}), max({slots})")
            });
            let query = format!(
                "SELECT {} FROM {} WHERE time >= {} AND time < {}",
                columns.collect::<Vec<_>>().join(", "),
                self.reader.from(measurement.name, tier),
                at.from,
                at.to
            );
            let mut found = false;
            self.reader.ask(&query, |rows| {
                for row in &rows.values {
                    let (_, _, numbers) = parts(row, 0)?;
                    let number = |cell: &Cell| number(cell, Kind::Float).map_or(0.0, Value::as_f64);
                    found |= numbers.chunks(3).any(|of| match of {
                        [values, with_slots, most] => number(values) > number(with_slots) || number(most) > 0.0,
                        _ => false,
                    });
                }
                Ok(())
            })?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn delete(&self, tier: Tier, label: i64) -> Result<usize> {
        let mut count = 0;
        for measurement in &self.measurements {
            let mut points = self.replaced(measurement, tier, label, &HashSet::new())?;
            count += points.len();
            points.extend(self.replaced_coverage(measurement, tier, label, &HashSet::new())?);
            self.write(tier, &points, &|| Ok(()))?;
        }
        Ok(count)
    }
}

impl InfluxTiers {
    /// Returns the time of the first point to fold of a tier at or after `from`, which is later than the very first; both in
    /// nanoseconds. Within a day of covered slots every time counts as one: points are not looked for at each window.
    fn after(&self, tier: Tier, from: i64) -> Result<Option<i64>> {
        let is_near = |time: i64| time.saturating_sub(from) < DAY;
        let known = self.near.lock().unwrap_or_else(PoisonError::into_inner).get(tier.name()).copied();
        if known.is_some_and(|known| (known..known.saturating_add(DAY)).contains(&from)) {
            return Ok(Some(from));
        }
        if self.begins_from(tier, from)?.first().is_some_and(is_near) {
            self.near.lock().unwrap_or_else(PoisonError::into_inner).insert(tier.name(), from);
            return Ok(Some(from));
        }
        // A long gap, such as after coverage of a clock that stood in 1970.
        self.first(tier, from)
    }

    /// Returns the time of the first point to fold of a tier at or after `from`; both in nanoseconds.
    fn first(&self, tier: Tier, from: i64) -> Result<Option<i64>> {
        let begins = self.begins_from(tier, from)?;
        let mut first = begins.first();
        let is_all = from == i64::MIN;
        for measurement in &self.measurements {
            // Before the first coverage of these everything is an older system's.
            if measurement.exact.is_some() && is_all {
                continue;
            }
            for field in measurement.fields {
                let of = self.reader.from(measurement.name, tier);
                let mut query = format!("SELECT first({}::field) FROM {of}", identifier(field.name));
                if !is_all {
                    let _ = write!(query, " WHERE time >= {from}");
                }
                self.reader.ask(&query, |rows| {
                    if let Some([Cell::Int(time), ..]) = rows.values.first().map(Vec::as_slice) {
                        first = Some(first.map_or(*time, |first| first.min(*time)));
                    }
                    Ok(())
                })?;
            }
        }
        Ok(first)
    }

    /// Returns when coverage begins in a tier, or the first of it at or after `from`, in nanoseconds.
    fn begins_from(&self, tier: Tier, from: i64) -> Result<Begins> {
        let mut begins = Begins::default();
        let since = if from == i64::MIN { String::new() } else { format!(" AND time >= {from}") };
        for measurement in &self.measurements {
            for of in [&COVERAGE, &SCOPE_COVERAGE] {
                let slots = identifier(SLOTS.info().name);
                let from = self.reader.from(of.name, tier);
                let condition = of_measurement(measurement);
                let query =
                    format!("SELECT first({slots}::field) FROM {from} WHERE {condition} AND {slots}::field > 0{since}");
                self.reader.ask(&query, |rows| {
                    if let Some([Cell::Int(time), ..]) = rows.values.first().map(Vec::as_slice) {
                        begins.add_time(measurement.name, *time);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(begins)
    }
}

/// Returns the seconds of a duration as InfluxDB shows it, `720h0m0s`.
fn seconds(duration: &str) -> Option<i64> {
    let (hours, rest) = duration.split_once('h').unwrap_or(("0", duration));
    let (minutes, rest) = rest.split_once('m').unwrap_or(("0", rest));
    let seconds = rest.strip_suffix('s').unwrap_or("0");
    let number = |text: &str| text.parse::<i64>().ok();
    Some(number(hours)? * 3600 + number(minutes)? * 60 + number(seconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_influxdb_shows_it() {
        for (text, expected) in [("720h0m0s", Some(2_592_000)), ("0s", Some(0)), ("1h30m0s", Some(5400)), ("xh", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
