//! Reads the embedded store.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Result, ensure};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::Store;
use super::errors::remedy;
use super::schema::{has_parts, labels};
use crate::model::{AHEAD, COVERAGE, Measurement, Name, Point, SCOPE_COVERAGE, SECOND, Tier, Value, Window};
use crate::query::{Ahead, Intervals, Latest, Newest, Selector};
use crate::rollup::Parts;
use crate::text;

/// A series of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Measurement and keys, as in [`Point::series`].
    pub key: String,
    /// The labels, as in [`Point::labels_text`]; empty in a store of schema 1.
    pub labels: String,
    /// Its id in this store.
    pub id: i64,
}

impl Series {
    /// Returns its measurement and tags, as a point without fields.
    ///
    /// # Errors
    /// Fails if gridmon does not write such a key.
    pub fn names(&self) -> Result<Point> {
        Point::of_series_with(&self.key, &self.labels)
    }
}

/// Values of several series over a time range.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The tier of the values.
    pub tier: Tier,
    /// One list per requested series, in that order: times in nanoseconds, rising, with values.
    pub values: Vec<Vec<(i64, Value)>>,
    /// For each value of a folded tier what it was folded from, where that is known; empty for raw values.
    pub parts: Vec<Vec<Option<Parts>>>,
}

/// The newest value of each asked number, with its time in nanoseconds.
type NewestValues = Vec<Option<(i64, Value)>>;

/// The contents of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierStatus {
    /// The tier.
    pub tier: Tier,
    /// The number of series with values in it.
    pub series: usize,
    /// The number of values.
    pub rows: usize,
    /// Their size in the file, in bytes.
    pub bytes: u64,
    /// The times of the oldest and the newest value, in nanoseconds.
    pub ages: Option<(i64, i64)>,
}

/// A bucket and a series of it, whose rows are adjacent.
type Group = (i64, i64);

/// The columns of a folded tier that hold what a value was folded from.
pub(super) const PARTS: &str = ", sum, slots, least, most";

/// Which points of a tier are asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    tier: Tier,
    selector: &'a Selector,
    window: Window,
    /// Whether each value comes with what it was folded from.
    with_parts: bool,
}

impl Store {
    /// Returns the series that `filter` selects, sorted by key.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn find(&self, filter: &Selector) -> Result<Vec<Series>> {
        let mut found = Vec::new();
        let mut take = |row: &Row| -> rusqlite::Result<()> {
            found.push(series(row)?);
            Ok(())
        };
        self.read_with(|store| {
            let all = format!("SELECT key, id, {} FROM series", labels(&store.connection)?);
            let Some(name) = &filter.measurement else {
                return each(&store.connection, &format!("{all} ORDER BY key"), &[], &mut take);
            };
            let named = Point::new(Cow::Owned(name.clone()), [], [], 0);
            let key = named.series();
            each(&store.connection, &format!("{all} WHERE key = ?1"), &[&key], &mut take)?;
            // A comma follows the measurement, and '-' is the character after the comma.
            let with_tags = format!("{all} WHERE key >= ?1 AND key < ?2 ORDER BY key");
            each(&store.connection, &with_tags, &[&format!("{key},"), &format!("{key}-")], &mut take)
        })?;
        if !filter.tags.is_empty() || !filter.one_of.is_empty() {
            found.retain(|series| series.names().is_ok_and(|names| filter.selects(&names)));
        }
        Ok(found)
    }

    /// Returns the series with this key.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn series(&self, key: &str) -> Result<Option<Series>> {
        self.read_with(|store| {
            let query = format!("SELECT key, id, {} FROM series WHERE key = ?1", labels(&store.connection)?);
            store.connection.query_row(&query, [key], series).optional()
        })
    }

    /// Returns the number of series.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn count_series(&self) -> Result<usize> {
        self.read_with(|store| store.connection.query_row("SELECT count(*) FROM series", [], |row| row.get(0)))
    }

    /// Returns the newest value up to `until`, in nanoseconds, of one field of each series, with its time in nanoseconds:
    /// the raw value, or a folded one if no raw value is kept. An entry is `None` if the field has no value. Also returns
    /// how many have a later value.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn latest(&self, wanted: &[(&Series, &str)], until: i64) -> Result<(NewestValues, Ahead)> {
        self.read_with(|store| {
            // One transaction, so that a concurrent write does not mix two states.
            let snapshot = store.connection.unchecked_transaction()?;
            let fields = field_ids(&snapshot, wanted)?;
            let mut ahead = Ahead::default();
            let mut tiers = Tier::ALL
                .iter()
                .map(|tier| Finder::new(&snapshot, *tier, until))
                .collect::<rusqlite::Result<Vec<_>>>()?;
            // In table order: neighbouring rows are read together.
            let mut order: Vec<_> = (0..wanted.len()).collect();
            order.sort_by_key(|at| wanted[*at].0.id);
            let mut latest = vec![None; wanted.len()];
            for at in order {
                let (series, field) = wanted[at];
                let Some(field) = fields[field] else { continue };
                let mut later = None;
                for tier in &mut tiers {
                    latest[at] = tier.of(series.id, field, &mut later)?;
                    if latest[at].is_some() {
                        break;
                    }
                }
                if let Some(later) = later {
                    ahead.numbers += 1;
                    ahead.until = ahead.until.max(later / SECOND);
                }
            }
            Ok((latest, ahead))
        })
    }

    /// Returns the newest value of every field of every series of `measurements` that has these `tags`, as of `now` in
    /// unix seconds: a value of a clock that is ahead hides no other.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn newest(&self, measurements: &[&'static Measurement], tags: &[(&str, &str)], now: i64) -> Result<Newest> {
        let intervals = self.intervals(now)?;
        let mut newest = self.newest_values(measurements, tags, now)?;
        for one in &mut newest.values {
            one.every = intervals.of(&one.series, one.every);
        }
        Ok(newest)
    }

    /// Returns the configured intervals of the series' writers, as of `now` in unix seconds.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn intervals(&self, now: i64) -> Result<Intervals> {
        Ok(Intervals::new(&self.newest_values(&[&COVERAGE, &SCOPE_COVERAGE], &[], now)?.values))
    }

    fn newest_values(&self, measurements: &[&'static Measurement], tags: &[(&str, &str)], now: i64) -> Result<Newest> {
        let mut found = Vec::new();
        for measurement in measurements {
            let filter = tags
                .iter()
                .fold(Selector::measurement(measurement.name), |filter, (tag, value)| filter.with(tag, value));
            found.extend(self.find(&filter)?.into_iter().map(|series| (*measurement, series)));
        }
        let wanted = found
            .iter()
            .flat_map(|(measurement, series)| measurement.fields.iter().map(move |field| (series, field.name)));
        let until = now.saturating_add(AHEAD).saturating_mul(SECOND);
        let (values, ahead) = self.latest(&wanted.collect::<Vec<_>>(), until)?;
        let mut values = values.into_iter();
        let mut latest = Vec::with_capacity(values.len());
        for (measurement, series) in &found {
            let found: Vec<_> =
                measurement.fields.iter().filter_map(|field| Some((field, values.next().flatten()?))).collect();
            if found.is_empty() {
                continue;
            }
            // Parsed once for all fields of the series.
            let (names, every) = (Arc::new(series.names()?), measurement.every);
            latest.extend(found.into_iter().map(|(field, (time, value))| {
                let series = Arc::clone(&names);
                Latest { series, field, time, value, every }
            }));
        }
        Ok(Newest { values: latest, ahead })
    }

    /// Returns the values of one field of each series from `from` to before `to`, in nanoseconds.
    ///
    /// Reads the coarsest tier in which some series has at least `points` values in that time; if there is no such
    /// tier, the one in which some series has most.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn range(&self, wanted: &[(&Series, &str)], from: i64, to: i64, points: usize) -> Result<Range> {
        let take = |(values, parts): &mut (Vec<_>, Vec<_>), tier, time, value, part| {
            values.push((time, value));
            if tier != Tier::Raw {
                parts.push(part);
            }
        };
        let (tier, found) = self.range_into(wanted, (from, to), points, |_| 0, |_, _| Default::default(), take)?;
        let (values, parts) = found.into_iter().unzip();
        Ok(Range { tier, values, parts })
    }

    /// Does the same with what `make` makes for each series of a tier, which `take` gives each value; so that nobody needs to
    /// hold them all. The values of a tier count as that much earlier than they stand as `later` says.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn range_into<T>(
        &self,
        wanted: &[(&Series, &str)],
        (from, to): (i64, i64),
        points: usize,
        later: impl Fn(Tier) -> i64,
        make: impl Fn(Tier, usize) -> T,
        take: impl Fn(&mut T, Tier, i64, Value, Option<Parts>),
    ) -> Result<(Tier, Vec<T>)> {
        let all = |tier| (0..wanted.len()).map(|at| make(tier, at)).collect::<Vec<_>>();
        self.read_with(|store| {
            let snapshot = store.connection.unchecked_transaction()?;
            let (mut best, mut most) = ((Tier::Raw, all(Tier::Raw)), 0);
            // Trying the coarse tiers first is cheap: each has a twentieth of the next one's values. The span of a tier
            // is no guide: a series may be younger than the tier, and its newest bucket is usually incomplete.
            for tier in Tier::ALL.into_iter().rev() {
                let (mut found, mut counts) = (all(tier), vec![0_usize; wanted.len()]);
                let later = later(tier);
                let range = (from.saturating_add(later), to.saturating_add(later));
                each_value(&snapshot, tier, wanted, range, &mut |at, time, value, parts| {
                    counts[at] += 1;
                    take(&mut found[at], tier, time - later, value, parts);
                })?;
                let count = counts.into_iter().max().unwrap_or_default();
                if count > most {
                    (best, most) = ((tier, found), count);
                }
                if most >= points.max(1) {
                    break;
                }
            }
            Ok(best)
        })
    }

    /// Returns the values of one field of each series from `from` to before `to`, in nanoseconds, from one tier.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn range_of(
        &self,
        tier: Tier,
        wanted: &[(&Series, &str)],
        from: i64,
        to: i64,
    ) -> Result<Vec<Vec<(i64, Value)>>> {
        let mut values = vec![Vec::new(); wanted.len()];
        self.read_with(|store| {
            let take = &mut |at: usize, time, value, _| values[at].push((time, value));
            each_value(&*store.connection.unchecked_transaction()?, tier, wanted, (from, to), take)
        })?;
        Ok(values)
    }

    /// Calls `each` with every point of a tier that `selector` and `window` select, by bucket, series and time. Memory
    /// use does not grow with the store. `progress` gets the time reached so far.
    ///
    /// Reads piece by piece, each in a transaction of its own that has ended when `each` is called: a long one, or a slow
    /// `each`, would let the log grow. So points that are written meanwhile may be among them.
    ///
    /// # Errors
    /// Fails if the store cannot be read, or if `each` fails.
    pub fn points(
        &self,
        tier: Tier,
        selector: &Selector,
        window: Window,
        each: &mut dyn FnMut(Point) -> Result<()>,
        progress: &dyn Fn(i64),
    ) -> Result<()> {
        self.pieces(Asked { tier, selector, window, with_parts: false }, each, progress)
    }

    /// Does what [`Store::points`] does, with four more fields beside each folded value: `NAME_sum`, `NAME_slots`,
    /// `NAME_least` and `NAME_most`, unless the point has a field of that name.
    ///
    /// # Errors
    /// As [`Store::points`].
    pub fn points_with_parts(
        &self,
        tier: Tier,
        selector: &Selector,
        window: Window,
        each: &mut dyn FnMut(Point) -> Result<()>,
        progress: &dyn Fn(i64),
    ) -> Result<()> {
        self.pieces(Asked { tier, selector, window, with_parts: tier != Tier::Raw }, each, progress)
    }

    fn pieces(&self, asked: Asked, each: &mut dyn FnMut(Point) -> Result<()>, progress: &dyn Fn(i64)) -> Result<()> {
        let tier = asked.tier;
        let mut after = Some((asked.window.from.div_euclid(tier.bucket()), i64::MIN));
        let mut fields = HashMap::new();
        while let Some(from) = after {
            let (points, last) = self.read_with(|store| store.piece(asked, from, &mut fields))?;
            points.into_iter().try_for_each(&mut *each)?;
            last.iter().for_each(|(bucket, _)| progress(bucket.saturating_mul(tier.bucket())));
            after = last;
        }
        Ok(())
    }

    /// Calls `each` with the points of one series in a tier, by time.
    ///
    /// # Errors
    /// Fails if the store cannot be read, or if `each` fails.
    pub(super) fn points_of(
        &self,
        tier: Tier,
        series: &Series,
        window: Window,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        let names = series.names()?;
        let mut points = BTreeMap::<i64, Vec<(Name, Value)>>::new();
        self.read_with(|store| {
            let query = "SELECT time, value, name FROM {} AS rows JOIN field ON field.id = rows.field
                 WHERE bucket = ?1 AND series = ?2";
            let mut query = store.connection.prepare(&query.replace("{}", &tier.table()))?;
            for bucket in window.from.div_euclid(tier.bucket())..=(window.to - 1).div_euclid(tier.bucket()) {
                let mut rows = query.query(params![bucket, series.id])?;
                while let Some(row) = rows.next()? {
                    let time = time_of(tier, bucket, row.get(0)?);
                    if window.contains(time) {
                        points.entry(time).or_default().push((Cow::Owned(row.get(2)?), value(row, 1)?));
                    }
                }
            }
            Ok(())
        })?;
        points.into_iter().try_for_each(|(time, fields)| each(names.at(time, fields)))
    }

    /// Returns the times of the values of a series in a tier, in nanoseconds.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn times_of(&self, tier: Tier, series: i64, window: Window) -> Result<BTreeSet<i64>> {
        self.read_with(|store| {
            let mut times = BTreeSet::new();
            let query = format!("SELECT time FROM {} WHERE bucket = ?1 AND series = ?2", tier.table());
            let mut query = store.connection.prepare(&query)?;
            for bucket in window.from.div_euclid(tier.bucket())..=(window.to - 1).div_euclid(tier.bucket()) {
                let mut rows = query.query(params![bucket, series])?;
                while let Some(row) = rows.next()? {
                    times.insert(time_of(tier, bucket, row.get(0)?));
                }
            }
            Ok(times.into_iter().filter(|time| window.contains(*time)).collect())
        })
    }

    /// Calls `each` with the points of the first bucket of a tier in which a series has some.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn first_point_of(&self, tier: Tier, series: &Series, each: &mut dyn FnMut(&Point)) -> Result<()> {
        let first = self.read_with(|store| {
            let table = tier.table();
            let mut next = store.connection.prepare(&format!("SELECT min(bucket) FROM {table} WHERE bucket >= ?1"))?;
            let is_there = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE bucket = ?1 AND series = ?2)");
            let mut is_there = store.connection.prepare(&is_there)?;
            let mut bucket: Option<i64> = next.query_row([i64::MIN], |row| row.get(0))?;
            while let Some(found) = bucket {
                if is_there.query_row([found, series.id], |row| row.get(0))? {
                    break;
                }
                bucket = next.query_row([found + 1], |row| row.get(0))?;
            }
            Ok(bucket)
        })?;
        let Some(bucket) = first else { return Ok(()) };
        let from = bucket.saturating_mul(tier.bucket());
        let window = Window { from, to: from.saturating_add(tier.bucket()) };
        self.points_of(tier, series, window, &mut |point| {
            each(&point);
            Ok(())
        })
    }

    /// Returns the selected points of a piece of a tier: of the series and buckets after `after`, some thousand rows. Also
    /// returns the last series and bucket; `None` at the end of the tier.
    fn piece(
        &self,
        Asked { tier, selector, window, with_parts }: Asked,
        after: Group,
        fields: &mut HashMap<i64, String>,
    ) -> rusqlite::Result<(Vec<Point>, Option<Group>)> {
        const ROWS: usize = 10_000;
        let snapshot = self.connection.unchecked_transaction()?;
        let mut key_of =
            snapshot.prepare(&format!("SELECT key, id, {} FROM series WHERE id = ?1", labels(&snapshot)?))?;
        let mut name_of = snapshot.prepare("SELECT name FROM field WHERE id = ?1")?;
        let columns = if with_parts && has_parts(&snapshot)? { PARTS } else { "" };
        let rows = format!(
            "SELECT bucket, series, field, time, value{columns} FROM {} WHERE (bucket, series) > (?1, ?2) AND bucket <= ?3
                    ORDER BY 1, 2, 3, 4",
            tier.table()
        );
        let stored = |row: &Row| {
            Ok::<_, rusqlite::Error>((stored(row)?, if columns.is_empty() { None } else { parts(row, 5)? }))
        };
        let mut rows = snapshot.prepare(&rows)?;
        let mut rows = rows.query(params![after.0, after.1, window.to.div_euclid(tier.bucket())])?;
        let mut next = rows.next()?.map(stored).transpose()?;
        let (mut found, mut count) = (Vec::new(), 0);
        // The rows of one series in one bucket are adjacent, field by field.
        while let Some(((of @ (in_bucket, series), ..), _)) = next {
            let names = key_of.query_row([series], self::series)?.names().ok().filter(|names| selector.selects(names));
            let mut points = BTreeMap::<i64, Vec<(i64, Value, Option<Parts>)>>::new();
            while let Some(((_, field, time, value), parts)) = next.filter(|row| row.0.0 == of) {
                let time = time_of(tier, in_bucket, time);
                if names.is_some() && window.contains(time) {
                    points.entry(time).or_default().push((field, value, parts));
                }
                count += 1;
                next = rows.next()?.map(stored).transpose()?;
            }
            for (time, values) in points {
                let mut named = Vec::with_capacity(values.len());
                for (field, value, parts) in values {
                    if let Entry::Vacant(unknown) = fields.entry(field) {
                        unknown.insert(name_of.query_row([field], |row| row.get(0))?);
                    }
                    named.push((fields[&field].clone(), value, parts));
                }
                found.extend(names.iter().map(|names| names.at(time, with_parts_beside(&named))));
            }
            if count >= ROWS && next.is_some() {
                return Ok((found, Some(of)));
            }
        }
        Ok((found, None))
    }

    /// Returns the time span of a tier, in nanoseconds, rounded to whole buckets; `None` if the tier is empty.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn span(&self, tier: Tier) -> Result<Option<(i64, i64)>> {
        self.read_with(|store| {
            let table = tier.table();
            let query = format!("SELECT (SELECT min(bucket) FROM {table}), (SELECT max(bucket) FROM {table})");
            let ends = store.connection.query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (Some(first), Some(last)): (Option<i64>, Option<i64>) = ends else { return Ok(None) };
            let bucket = tier.bucket();
            Ok(Some((first.saturating_mul(bucket), last.saturating_add(1).saturating_mul(bucket))))
        })
    }

    /// Returns the free space in the file, in bytes; new points fill it first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn free_bytes(&self) -> Result<u64> {
        self.read_with(|store| {
            let number = |name| store.connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
            Ok(number("freelist_count")? * number("page_size")?)
        })
    }

    /// Returns the contents of each tier. Reads the whole file.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn status(&self) -> Result<Vec<TierStatus>> {
        // Each query is a transaction of its own: a long one would let the log grow.
        self.read_with(|store| {
            let connection = &store.connection;
            let mut sizes = connection.prepare("SELECT ncell, pgsize FROM dbstat WHERE name = ?1 AND aggregate = 1")?;
            Tier::ALL
                .into_iter()
                .map(|tier| {
                    let (rows, bytes) = sizes
                        .query_row([tier.table()], |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()?
                        .unwrap_or_default();
                    let ages = ages(connection, tier)?;
                    let (table, newest) = (tier.table(), tier.newest());
                    let series =
                        format!("SELECT count(*) FROM series WHERE {newest} >= (SELECT min(bucket) FROM {table})");
                    let series = connection.query_row(&series, [], |row| row.get(0))?;
                    Ok(TierStatus { tier, series, rows, bytes, ages })
                })
                .collect()
        })
    }
}

impl Store {
    /// Checks every page and every row.
    ///
    /// SQLite keeps no checksums, so a value that was changed into another valid value is not detected.
    ///
    /// # Errors
    /// Fails if anything is wrong with the file; the error gives all faults in one line, with the remedy.
    pub fn verify(&self) -> Result<()> {
        let faults = self.read_with(|store| {
            let connection = &store.connection;
            let mut faults = Vec::<String>::new();
            each(connection, "PRAGMA integrity_check(5)", &[], &mut |row| row.get(0).map(|fault| faults.push(fault)))?;
            faults.retain(|fault| fault != "ok");
            for tier in Tier::ALL {
                let (table, newest) = (tier.table(), tier.newest());
                let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, usize>(0));
                let nameless = count(&format!(
                    "SELECT count(*) FROM {table}
                     WHERE series NOT IN (SELECT id FROM series) OR field NOT IN (SELECT id FROM field)"
                ))?;
                let hidden = count(&format!(
                    "SELECT count(*) FROM (SELECT series, max(bucket) AS newest FROM {table} GROUP BY series) AS rows
                     JOIN series ON series.id = rows.series WHERE {newest} IS NULL OR {newest} < rows.newest"
                ))?;
                if nameless > 0 {
                    faults.push(format!("tier {tier}: {} of no series or no field", text::count(nameless, "row")));
                }
                if hidden > 0 {
                    faults.push(format!("tier {tier}: the newest values of {hidden} series are not found"));
                }
            }
            Ok(faults)
        })?;
        let path = &self.path;
        ensure!(
            faults.is_empty(),
            "{} is damaged ({}); {}",
            path.display(),
            text::one_line(&faults.join("; ")),
            remedy(path)
        );
        Ok(())
    }
}

fn each(
    connection: &Connection,
    query: &str,
    parameters: &[&dyn rusqlite::ToSql],
    take: &mut dyn FnMut(&Row) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

/// Returns the id of every wanted field; `None` if the store has no such field.
fn field_ids<'a>(
    connection: &Connection,
    wanted: &[(&Series, &'a str)],
) -> rusqlite::Result<HashMap<&'a str, Option<i64>>> {
    let mut find = connection.prepare("SELECT id FROM field WHERE name = ?1")?;
    let mut ids = HashMap::new();
    for (_, name) in wanted {
        if let Entry::Vacant(unknown) = ids.entry(*name) {
            unknown.insert(find.query_row([name], |row| row.get(0)).optional()?);
        }
    }
    Ok(ids)
}

/// Reads a row of the series table: key, id, labels.
fn series(row: &Row) -> rusqlite::Result<Series> {
    Ok(Series { key: row.get(0)?, id: row.get(1)?, labels: row.get(2)? })
}

/// Reads a row of a tier: bucket and series, field, time in the bucket, value.
fn stored(row: &Row) -> rusqlite::Result<(Group, i64, i64, Value)> {
    Ok(((row.get(0)?, row.get(1)?), row.get(2)?, row.get(3)?, value(row, 4)?))
}

pub(super) fn value(row: &Row, at: usize) -> rusqlite::Result<Value> {
    match row.get_ref(at)? {
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Real(value) => Ok(Value::Float(value)),
        other => Err(rusqlite::Error::InvalidColumnType(at, "value".into(), other.data_type())),
    }
}

/// Returns the time of a row, in nanoseconds. The bucket of a time near the limits of 64 bits overflows; wrapping
/// restores the original time.
pub(super) fn time_of(tier: Tier, bucket: i64, time: i64) -> i64 {
    bucket.wrapping_mul(tier.bucket()).wrapping_add(time)
}

/// Returns a time as one within a bucket, at most its end; in nanoseconds.
pub(super) fn time_within(tier: Tier, bucket: i64, time: i64) -> i64 {
    // The first possible bucket begins before the smallest time in 64 bits.
    let begin = i128::from(bucket) * i128::from(tier.bucket());
    (i128::from(time) - begin).clamp(0, i128::from(tier.bucket())) as i64
}

/// Returns the times of the oldest and the newest value of a tier, in nanoseconds; `None` if the tier is empty.
fn ages(connection: &Connection, tier: Tier) -> rusqlite::Result<Option<(i64, i64)>> {
    let end = |of: &str| {
        let table = tier.table();
        let query = format!("SELECT bucket, {of}(time) FROM {table} WHERE bucket = (SELECT {of}(bucket) FROM {table})");
        connection.query_row(&query, [], |row| {
            let (bucket, time): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(bucket.zip(time).map(|(bucket, time)| time_of(tier, bucket, time)))
        })
    };
    Ok(end("min")?.zip(end("max")?))
}

/// Reads what a folded value was folded from, in the columns after its own.
pub(super) fn parts(row: &Row, first: usize) -> rusqlite::Result<Option<Parts>> {
    let is_null = |at| Ok::<_, rusqlite::Error>(matches!(row.get_ref(at)?, ValueRef::Null));
    for at in first..first + 4 {
        if is_null(at)? {
            return Ok(None);
        }
    }
    let (sum, slots) = (value(row, first)?, row.get(first + 1)?);
    Ok(Some(Parts { sum, slots, least: value(row, first + 2)?, most: value(row, first + 3)? }))
}

/// Returns the fields of a point, with what each was folded from as further fields.
fn with_parts_beside(values: &[(String, Value, Option<Parts>)]) -> Vec<(Name, Value)> {
    let mut fields: Vec<(Name, Value)> =
        values.iter().map(|(name, value, _)| (Cow::Owned(name.clone()), *value)).collect();
    for (name, _, parts) in values {
        let Some(Parts { sum, slots, least, most }) = parts else { continue };
        for (part, value) in [("sum", *sum), ("slots", Value::Int(*slots)), ("least", *least), ("most", *most)] {
            let beside = format!("{name}_{part}");
            if values.iter().all(|(own, ..)| *own != beside) {
                fields.push((Cow::Owned(beside), value));
            }
        }
    }
    fields
}

/// Gives each value of a tier from `from` to before `to`, in nanoseconds, by its number among the `wanted`, with what it was
/// folded from, where that is known. Those of one series come in the order of time.
fn each_value(
    connection: &Connection,
    tier: Tier,
    wanted: &[(&Series, &str)],
    (from, to): (i64, i64),
    take: &mut dyn FnMut(usize, i64, Value, Option<Parts>),
) -> rusqlite::Result<()> {
    if from >= to {
        return Ok(());
    }
    let columns = if tier == Tier::Raw || !has_parts(connection)? { "" } else { PARTS };
    let (table, bucket) = (tier.table(), tier.bucket());
    let fields = field_ids(connection, wanted)?;
    let ids: Vec<_> = wanted.iter().map(|(series, field)| Some((series.id, fields[field]?))).collect();
    let mut order: Vec<_> = (0..wanted.len()).filter(|at| ids[*at].is_some()).collect();
    order.sort_by_key(|at| ids[*at]);
    let mut query = connection.prepare(&format!(
        "SELECT time, value{columns} FROM {table}
         WHERE bucket = ?1 AND series = ?2 AND field = ?3 AND time >= ?4 AND time < ?5"
    ))?;
    // A point from a wrong clock may lie half a million buckets before the next one.
    let mut next = connection.prepare(&format!("SELECT min(bucket) FROM {table} WHERE bucket >= ?1"))?;
    let mut next = |from: i64| next.query_row([from], |row| row.get::<_, Option<i64>>(0));
    let last = (to - 1).div_euclid(bucket);
    let mut number = next(from.div_euclid(bucket))?;
    while let Some(in_bucket) = number.filter(|number| *number <= last) {
        let (first, end) = (time_within(tier, in_bucket, from), time_within(tier, in_bucket, to));
        for at in &order {
            let Some((series, field)) = ids[*at] else { continue };
            let mut rows = query.query(params![in_bucket, series, field, first, end])?;
            while let Some(row) = rows.next()? {
                let parts = if columns.is_empty() { None } else { parts(row, 2)? };
                take(*at, time_of(tier, in_bucket, row.get(0)?), value(row, 1)?, parts);
            }
        }
        number = next(in_bucket + 1)?;
    }
    Ok(())
}

/// Finds the newest values of a tier up to a time.
struct Finder<'a> {
    tier: Tier,
    /// In nanoseconds.
    until: i64,
    /// The newest bucket of the tier up to then; most series have a value in it.
    newest: Option<i64>,
    /// The latest times of what is in the buckets after it, by series and field.
    later: HashMap<(i64, i64), i64>,
    in_bucket: Statement<'a>,
    newest_of: Statement<'a>,
    before: Statement<'a>,
}

impl<'a> Finder<'a> {
    fn new(connection: &'a Connection, tier: Tier, until: i64) -> rusqlite::Result<Self> {
        let (table, newest) = (tier.table(), tier.newest());
        let last = until.div_euclid(tier.bucket());
        let mut later = HashMap::new();
        let query = format!("SELECT series, field, bucket, max(time) FROM {table} WHERE bucket > ?1 GROUP BY 3, 1, 2");
        each(connection, &query, &[&last], &mut |row| {
            // By bucket, so that the last one stays.
            later.insert((row.get(0)?, row.get(1)?), time_of(tier, row.get(2)?, row.get(3)?));
            Ok(())
        })?;
        let query = format!("SELECT max(bucket) FROM {table} WHERE bucket <= ?1");
        Ok(Self {
            tier,
            until,
            newest: connection.query_row(&query, [last], |row| row.get(0))?,
            later,
            in_bucket: connection.prepare(&format!(
                "SELECT time, value FROM {table} WHERE bucket = ?1 AND series = ?2 AND field = ?3 AND time <= ?4
                 ORDER BY time DESC LIMIT 1"
            ))?,
            newest_of: connection.prepare(&format!("SELECT {newest} FROM series WHERE id = ?1"))?,
            before: connection.prepare(&format!("SELECT max(bucket) FROM {table} WHERE bucket < ?1"))?,
        })
    }

    /// Returns the newest value with its time; sets `later` to the latest time beyond the asked one.
    fn of(&mut self, series: i64, field: i64, later: &mut Option<i64>) -> rusqlite::Result<Option<(i64, Value)>> {
        *later = (*later).max(self.later.get(&(series, field)).copied());
        let Some(mut bucket) = self.newest else { return Ok(None) };
        let mut looked_up = false;
        loop {
            let within = time_within(self.tier, bucket, self.until);
            let newest = self.newest_in(bucket, series, field, self.tier.bucket())?;
            if let Some((time, _)) = newest.filter(|(time, _)| *time > self.until) {
                *later = (*later).max(Some(time));
                if let Some(found) = self.newest_in(bucket, series, field, within)? {
                    return Ok(Some(found));
                }
            } else if newest.is_some() {
                return Ok(newest);
            }
            let next = if looked_up {
                // The series has newer values, but not of this field, or only such as are later than asked for.
                self.before.query_row([bucket], |row| row.get::<_, Option<i64>>(0))?
            } else {
                looked_up = true;
                let newest =
                    self.newest_of.query_row([series], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten();
                match newest {
                    Some(newest) if newest < bucket => Some(newest),
                    Some(_) => self.before.query_row([bucket], |row| row.get(0))?,
                    None => None,
                }
            };
            match next {
                Some(next) => bucket = next,
                None => return Ok(None),
            }
        }
    }

    /// Returns the newest value in a bucket up to a time within it.
    fn newest_in(
        &mut self,
        bucket: i64,
        series: i64,
        field: i64,
        within: i64,
    ) -> rusqlite::Result<Option<(i64, Value)>> {
        let mut rows = self.in_bucket.query(params![bucket, series, field, within])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some((time_of(self.tier, bucket, row.get(0)?), value(row, 1)?)))
    }
}
