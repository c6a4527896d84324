//! Folds the store's points into its coarser tiers, some thousand series in each transaction.
//!
//! The rows of a window lie together, series by series: an hour of raw points is one bucket; a day of hourly points is one
//! bucket, but for its first label, which is that of the day before, and the last one, which is in the next bucket.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::{Connection, Rows, Statement, Transaction, params};

use super::read::{PARTS, parts, time_of, value};
use super::schema::labels;
use super::write::{Fields, Row, insert, write};
use super::{Config, EmbeddedReader, Place, SOME, Series, Store};
use crate::model::{COVERAGE, Catalog, Kind, Measurement, Point, SCOPE_COVERAGE, Tier, Value, Window};
use crate::query::{Scan, Selector};
use crate::rollup::{Begins, Coverage, Folded, FoldedField, HOUR, Parts, SeriesFold, label_time, length, source};
use crate::sinks::tiers::{Task, Tiers};

/// The most series of one transaction.
const SERIES: usize = 10_000;

/// How long a transaction waits for other writers.
const PATIENCE: Duration = Duration::from_secs(30);

/// The embedded store as one that is folded.
pub struct EmbeddedTiers {
    config: Config,
    place: Place,
    catalog: Catalog,
    reader: EmbeddedReader,
    /// The open store, for writing.
    store: RefCell<Option<Store>>,
    known: RefCell<Known>,
    names: RefCell<Names>,
}

/// What every window asks of the table of series; it is right while no series is new.
#[derive(Clone, Default)]
struct Known {
    /// The newest id of a series.
    newest: Option<i64>,
    coverage: Vec<Series>,
    /// The measurements with counts that the store has.
    counted: Vec<&'static Measurement>,
}

/// The names of some thousand series, which every window asks for again. They are right while no other process writes.
#[derive(Default)]
struct Names {
    /// What SQLite counts of the commits of others.
    version: i64,
    /// By id, each without labels.
    series: HashMap<i64, Rc<Named>>,
}

struct Named {
    /// Measurement and keys, declared.
    names: Point,
    /// The bucket up to which the table of series was raised last, with its tier.
    newest: Cell<Option<(Tier, i64)>>,
}

impl EmbeddedTiers {
    /// Returns the store at `place`.
    pub fn new(config: Config, place: Place, catalog: Catalog) -> Self {
        let reader = EmbeddedReader::new(place.clone());
        Self {
            config,
            place,
            catalog,
            reader,
            store: RefCell::default(),
            known: RefCell::default(),
            names: RefCell::default(),
        }
    }

    /// Does `work` with the store, open for writing.
    fn write<T>(&self, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
        let mut store = self.store.borrow_mut();
        if store.is_none() {
            *store = Some(self.place.open(Instant::now() + PATIENCE)?);
        }
        work(store.as_mut().context("the store is open")?)
    }

    /// Does `work` with the store, open for reading; returns the default if it does not exist.
    fn read<T: Default>(&self, work: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
        match &*self.store.borrow() {
            Some(store) => work(store),
            None => Ok(self.reader.ask(work)?.unwrap_or_default()),
        }
    }

    /// Returns what is known of the table of series now.
    fn known(&self, store: &Store) -> Result<Known> {
        let newest: Option<i64> =
            store.read_with(|store| store.connection.query_row("SELECT max(id) FROM series", [], |row| row.get(0)))?;
        let mut known = self.known.borrow_mut();
        if newest.is_none() || known.newest != newest {
            let mut fresh = Known { newest, ..Known::default() };
            for name in [COVERAGE.name, SCOPE_COVERAGE.name] {
                fresh.coverage.extend(store.find(&Selector::measurement(name))?);
            }
            for measurement in self.catalog.measurements().filter(|measurement| measurement.has_counts()) {
                if !store.find(&Selector::measurement(measurement.name))?.is_empty() {
                    fresh.counted.push(measurement);
                }
            }
            *known = fresh;
        }
        Ok(known.clone())
    }

    /// Returns the coverage of a window. Where a measurement was not covered yet, its points cover their slots.
    fn coverage<'a>(&self, tier: Tier, window: Window, task: &Task<'a>) -> Result<Coverage<'a>> {
        let (finer, times) = source(tier, window);
        let mut coverage = Coverage::new(task.begins);
        self.read(|store| {
            let Known { coverage: series, counted, .. } = self.known(store)?;
            let mut each = |point: Point| {
                coverage.add(finer, &point, self.catalog);
                Ok(())
            };
            series.iter().try_for_each(|series| store.points_of(finer, series, times, &mut each))?;
            for measurement in counted {
                let is_old = finer == Tier::Raw || measurement.exact.is_some();
                if !is_old || !coverage.may_assume(measurement, times.from) {
                    continue;
                }
                for series in store.find(&Selector::measurement(measurement.name))? {
                    let names = series.names()?;
                    for time in store.times_of(finer, series.id, times)? {
                        match finer {
                            Tier::Raw => coverage.assume(measurement, &names, time, task.grid),
                            _ => coverage.assume_hour(measurement, &names, time, task.grid),
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(coverage)
    }

    /// Returns the series of coverage that are none of `own`, with the measurements that they are about.
    fn coverage_besides(&self, own: &[Point], is_folded: &dyn Fn(&Point) -> bool) -> Result<Vec<(i64, String)>> {
        let given: HashSet<&str> = own.iter().map(Point::series).collect();
        let known = self.read(|store| self.known(store))?.coverage;
        let mut others = Vec::new();
        for series in known.iter().filter(|series| !given.contains(&*series.key)) {
            let names = series.names()?;
            if is_folded(&names) {
                others.push((series.id, measurement_of(&names).to_string()));
            }
        }
        Ok(others)
    }
}

impl Tiers for EmbeddedTiers {
    fn name(&self) -> &'static str {
        "embedded"
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
        let mut declared = |mut point: Point| {
            self.catalog.declare(&mut point);
            each(point)
        };
        self.read(|store| store.points_with_parts(tier, selector, window, &mut declared, &|_| {}))
    }

    fn measurements(&self) -> Option<Vec<String>> {
        None
    }

    fn begins(&self, tier: Tier) -> Result<Begins> {
        let mut begins = Begins::default();
        self.read(|store| {
            let series = self.known(store)?.coverage;
            series.iter().try_for_each(|series| store.first_point_of(tier, series, &mut |point| begins.add(point)))
        })?;
        Ok(begins)
    }

    fn next(&self, tier: Tier, from: i64) -> Result<Option<i64>> {
        let bucket = from.div_euclid(tier.bucket());
        let next = self.read(|store| store.read_with(|store| next_bucket(&store.connection, tier, bucket)))?;
        Ok(next.map(|next| next.saturating_mul(tier.bucket())))
    }

    fn oldest_kept(&self, tier: Tier, now: i64) -> Result<Option<i64>> {
        Ok(self.config.oldest_kept(tier, now))
    }

    fn fold(&self, tier: Tier, window: Window, task: &mut Task) -> Result<usize> {
        let (begins, is_refold, shows) = (task.begins, task.is_refold, task.show.is_some());
        let coverage = self.coverage(tier, window, task)?;
        let removes = |name: &str| coverage.has(name) || begins.of(name).is_none();
        let is_folded = |coverage: &Point| {
            let measurement = self.catalog.measurement(measurement_of(coverage));
            measurement.is_none_or(|measurement| task.folds(tier, measurement, window))
        };
        let own: Vec<_> = coverage.points(window.to).into_iter().filter(is_folded).collect();
        let others = if is_refold && !shows { self.coverage_besides(&own, &is_folded)? } else { Vec::new() };
        let mut folding = Folding {
            tier,
            window,
            shows,
            shows_parts: task.shows_parts,
            catalog: self.catalog,
            coverage: &coverage,
            folds: HashMap::new(),
            names: HashMap::new(),
            known: &mut self.names.borrow_mut(),
            is_folded: &|measurement: &Measurement| task.folds(tier, measurement, window),
            removes: if is_refold { Some(&removes) } else { None },
        };
        let (mut after, mut count) = (Some(i64::MIN), 0);
        let mut shown = Vec::new();
        while let Some(from) = after {
            (task.go_on)()?;
            let piece = match shows {
                true => self.read(|store| {
                    store.read_with(|store| {
                        let snapshot = store.connection.unchecked_transaction()?;
                        let mut piece = folding.read(&snapshot, from)?;
                        shown.append(&mut piece.shown);
                        Ok(piece)
                    })
                })?,
                false => self.write(|store| {
                    let (until, pages) = (Instant::now() + PATIENCE, 16 * SERIES + 4 * own.len());
                    store.in_transaction(pages as u64 + SOME, until, |transaction| {
                        let piece = folding.read(transaction, from)?;
                        folding.write(transaction, &piece, from)?;
                        // With the last points: where the coverage stands, all of the window does.
                        if piece.last.is_none() {
                            folding.write_coverage(transaction, &own, &others)?;
                        }
                        Ok(piece)
                    })
                })?,
            };
            for (.., named) in &piece.series {
                named.newest.set(Some((tier, place_of(tier, window.to).0)));
            }
            count += piece.points;
            after = piece.last;
        }
        drop(folding);
        if let Some(show) = &mut task.show {
            shown.into_iter().chain(own).try_for_each(show)?;
        }
        Ok(count)
    }

    fn has(&self, tier: Tier, label: i64) -> Result<bool> {
        self.read(|store| store.read_with(|store| Ok(!at_label(&store.connection, tier, label, 1)?.is_empty())))
    }

    fn delete(&self, tier: Tier, label: i64) -> Result<usize> {
        self.write(|store| {
            store.in_transaction(2 * SERIES as u64 + SOME, Instant::now() + PATIENCE, |transaction| {
                let all = at_label(transaction, tier, label, usize::MAX)?;
                let mut delete = deletion(transaction, tier)?;
                let (bucket, from) = place_of(tier, label);
                for series in &all {
                    delete.execute(params![bucket, series, from, from + length(tier)])?;
                }
                Ok(all.len())
            })
        })
    }
}

/// Returns the first bucket of a tier from `bucket` on that has rows.
fn next_bucket(connection: &Connection, tier: Tier, bucket: i64) -> rusqlite::Result<Option<i64>> {
    let query = format!("SELECT min(bucket) FROM {} WHERE bucket >= ?1", tier.table());
    connection.query_row(&query, [bucket], |row| row.get(0))
}

/// Returns the bucket of a time, and the time in it.
fn place_of(tier: Tier, time: i64) -> (i64, i64) {
    (time.div_euclid(tier.bucket()), time.rem_euclid(tier.bucket()))
}

/// Returns up to `most` series that have a point at a label.
fn at_label(connection: &Connection, tier: Tier, label: i64, most: usize) -> rusqlite::Result<Vec<i64>> {
    let (bucket, from) = place_of(tier, label);
    let query = "SELECT DISTINCT series FROM {} WHERE bucket = ?1 AND time >= ?2 AND time < ?3 LIMIT ?4";
    let mut query = connection.prepare(&query.replace("{}", &tier.table()))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    query.query_map(params![bucket, from, from + length(tier), most], |row| row.get(0))?.collect()
}

fn deletion<'a>(transaction: &'a Transaction, tier: Tier) -> rusqlite::Result<Statement<'a>> {
    let delete = "DELETE FROM {} WHERE bucket = ?1 AND series = ?2 AND time >= ?3 AND time < ?4";
    transaction.prepare(&delete.replace("{}", &tier.table()))
}

/// The fold of a window, of which some thousand series are read and written at a time.
struct Folding<'a> {
    tier: Tier,
    window: Window,
    /// Whether the points are only shown.
    shows: bool,
    shows_parts: bool,
    catalog: Catalog,
    coverage: &'a Coverage<'a>,
    /// One fold for each declaration, used for one series after another.
    folds: HashMap<*const Measurement, SeriesFold>,
    /// The names of fields by their ids.
    names: HashMap<i64, String>,
    known: &'a mut Names,
    is_folded: &'a dyn Fn(&Measurement) -> bool,
    /// Whether points of a measurement that the window has no more are removed; `None` if there can be none.
    removes: Option<&'a dyn Fn(&str) -> bool>,
}

/// What some thousand series are folded into.
#[derive(Default)]
struct Piece {
    /// Per series with its id: the time in nanoseconds, and the fields.
    series: Vec<(i64, i64, Vec<FoldedField>, Rc<Named>)>,
    /// The same as points, if they are only shown.
    shown: Vec<Point>,
    points: usize,
    /// The last series that was read; `None` at the end.
    last: Option<i64>,
}

/// A row of the finer tier.
#[derive(Clone, Copy)]
struct Stored {
    series: i64,
    field: i64,
    /// In nanoseconds.
    time: i64,
    value: Value,
    parts: Option<Parts>,
}

impl Folding<'_> {
    /// Reads and folds the series after `after`.
    fn read(&mut self, connection: &Connection, after: i64) -> rusqlite::Result<Piece> {
        let (finer, times) = source(self.tier, self.window);
        let mut statements = Vec::new();
        let columns = if finer == Tier::Raw { "" } else { PARTS };
        for bucket in times.from.div_euclid(finer.bucket())..=(times.to - 1).div_euclid(finer.bucket()) {
            let query = format!(
                "SELECT time, value{columns}, series, field FROM {}
                 WHERE bucket = ?1 AND series > ?2 AND time >= ?3 AND time < ?4 ORDER BY series, field, time",
                finer.table()
            );
            statements.push((bucket, connection.prepare(&query)?));
        }
        let mut cursors = Vec::new();
        for (bucket, statement) in &mut statements {
            let begin = bucket.saturating_mul(finer.bucket());
            let (from, to) = ((times.from - begin).max(0), (times.to - begin).min(finer.bucket()));
            cursors.push(Cursor::new(finer, *bucket, statement.query(params![*bucket, after, from, to])?)?);
        }
        let version = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if self.shows || self.known.version != version {
            *self.known = Names { version, ..Names::default() };
        }
        // Labels stay where they are; only who looks at a point wants them.
        let labels = if self.shows { labels(connection)? } else { "''" };
        let mut key_of = connection.prepare(&format!("SELECT key, {labels} FROM series WHERE id = ?1"))?;
        let mut piece = Piece::default();
        let mut rows = Vec::new();
        while let Some(series) = cursors.iter().filter_map(Cursor::series).min() {
            rows.clear();
            for cursor in &mut cursors {
                cursor.take(series, &mut rows)?;
            }
            if let Some(named) = self.named(&mut key_of, series)? {
                self.fold_series(connection, series, &named, &rows, &mut piece)?;
            }
            if piece.series.len() >= SERIES {
                piece.last = Some(series);
                return Ok(piece);
            }
        }
        Ok(piece)
    }

    /// Returns the names of a series; `None` if gridmon does not write such a key.
    fn named(&mut self, key_of: &mut Statement, series: i64) -> rusqlite::Result<Option<Rc<Named>>> {
        if let Some(named) = self.known.series.get(&series) {
            return Ok(Some(Rc::clone(named)));
        }
        let parsed = key_of.query_row([series], |row| {
            let (key, labels) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            Ok(Point::of_series_with(key, labels))
        })?;
        let Ok(mut names) = parsed else { return Ok(None) };
        self.catalog.declare(&mut names);
        let named = Rc::new(Named { names, newest: Cell::default() });
        if !self.shows && self.known.series.len() < SERIES {
            self.known.series.insert(series, Rc::clone(&named));
        }
        Ok(Some(named))
    }

    /// Folds the rows of one series, which come field by field.
    fn fold_series(
        &mut self,
        connection: &Connection,
        series: i64,
        named: &Rc<Named>,
        rows: &[Stored],
        piece: &mut Piece,
    ) -> rusqlite::Result<()> {
        let names = &named.names;
        if is_coverage(names.measurement()) {
            return Ok(());
        }
        for rows in rows.chunk_by(|a, b| a.field == b.field) {
            if let Entry::Vacant(unknown) = self.names.entry(rows[0].field) {
                let name = "SELECT name FROM field WHERE id = ?1";
                unknown.insert(connection.query_row(name, [rows[0].field], |row| row.get(0))?);
            }
        }
        let declared = names.declaration().or_else(|| self.undeclared(names.measurement(), rows));
        let Some(measurement) = declared.filter(|measurement| (self.is_folded)(measurement)) else { return Ok(()) };
        let fold = self.folds.entry(std::ptr::from_ref(measurement)).or_insert_with(|| SeriesFold::new(measurement));
        fold.clear();
        let covered = self.coverage.of(names);
        let mut cells = Vec::with_capacity(rows.len());
        for rows in rows.chunk_by(|a, b| a.field == b.field) {
            let name = self.names[&rows[0].field].as_str();
            cells.extend(rows.iter().map(|row| (row.time, name, row.value, row.parts)));
        }
        cells.sort_by_key(|(time, ..)| *time);
        let mut values = vec![None; measurement.fields.len()];
        for cells in cells.chunk_by(|(a, ..), (b, ..)| a == b) {
            let time = cells[0].0;
            let field = |name: &str| cells.iter().find(|cell| cell.1 == name).map(|cell| (cell.2, cell.3));
            if self.tier == Tier::Day {
                fold.add_hour(names, time.div_euclid(HOUR) * HOUR, &field, &covered);
                continue;
            }
            for (value, declared) in values.iter_mut().zip(measurement.fields) {
                *value = field(declared.name).map(|(value, _)| value);
            }
            fold.add_raw(time, "", &values, &covered);
        }
        let fields = fold.finish(names, &covered);
        if !fields.is_empty() {
            let time = label_time(measurement, names, self.window.to);
            piece.points += 1;
            if self.shows {
                let folded = Folded::new(names, time, &fields);
                piece.shown.push(if self.shows_parts { folded.with_all_parts() } else { folded.point });
            }
            piece.series.push((series, time, fields, Rc::clone(named)));
        }
        Ok(())
    }

    /// Returns how the rows of a series fold that nobody declares. A field of which one value is a float is one.
    fn undeclared(&self, measurement: &str, rows: &[Stored]) -> Option<&'static Measurement> {
        let mut fields = BTreeMap::<&str, Kind>::new();
        for row in rows {
            let is_int = matches!(row.value, Value::Int(_));
            let kind = fields.entry(&self.names[&row.field]).or_insert(Kind::Int);
            if !is_int {
                *kind = Kind::Float;
            }
        }
        Measurement::undeclared(measurement, &fields.into_iter().collect::<Vec<_>>())
    }

    /// Writes a piece of which the series come after `after`; removes what these series have no more.
    fn write(&self, transaction: &Transaction, piece: &Piece, after: i64) -> rusqlite::Result<()> {
        self.remove(transaction, after, piece.last.unwrap_or(i64::MAX))?;
        let (bucket, _) = place_of(self.tier, self.window.to);
        let mut fields = Fields::new(transaction)?;
        let mut rows = Vec::new();
        for (series, time, folded, _) in &piece.series {
            for FoldedField { name, value, parts } in folded {
                let (field, time) = (fields.id(name)?, time.rem_euclid(self.tier.bucket()));
                rows.push(Row { bucket, series: *series, field, time, value: *value, parts: Some(parts) });
            }
        }
        drop(fields);
        rows.sort_by_key(|row| (row.series, row.field));
        insert(transaction, self.tier, &rows)?;
        let newest = self.tier.newest();
        let query = format!("UPDATE series SET {newest} = ?1 WHERE id = ?2 AND ({newest} IS NULL OR {newest} < ?1)");
        let mut raise = transaction.prepare(&query)?;
        for (series, _, _, named) in &piece.series {
            if named.newest.get().is_none_or(|(tier, newest)| tier != self.tier || newest < bucket) {
                raise.execute([bucket, *series])?;
            }
        }
        Ok(())
    }

    /// Writes the window's own coverage, and removes that of `others` if their measurements are folded anew: an earlier fold
    /// may have taken slots for covered that were before the first coverage then.
    fn write_coverage(
        &self,
        transaction: &Transaction,
        own: &[Point],
        others: &[(i64, String)],
    ) -> rusqlite::Result<()> {
        let found: HashSet<&str> = self.folds.values().map(|fold| fold.measurement().name).collect();
        let mut delete = deletion(transaction, self.tier)?;
        let (bucket, from) = place_of(self.tier, self.window.to);
        for (series, measurement) in others {
            if found.contains(measurement.as_str()) || self.coverage.has(measurement) {
                delete.execute(params![bucket, series, from, from + length(self.tier)])?;
            }
        }
        drop(delete);
        let own: Vec<_> = own.iter().map(|point| (point, &[][..])).collect();
        write(transaction, self.tier, &own)
    }

    /// Removes the points at the label of the series after `after`, up to `last`, that are folded again.
    fn remove(&self, transaction: &Transaction, after: i64, last: i64) -> rusqlite::Result<()> {
        let Some(removes) = self.removes else { return Ok(()) };
        let (bucket, from) = place_of(self.tier, self.window.to);
        let query = "SELECT DISTINCT series, key FROM {} AS rows JOIN series ON series.id = rows.series
             WHERE bucket = ?1 AND series > ?2 AND series <= ?3 AND time >= ?4 AND time < ?5";
        let mut query = transaction.prepare(&query.replace("{}", &self.tier.table()))?;
        let to = from + length(self.tier);
        let mut found = query.query(params![bucket, after, last, from, to])?;
        let mut gone = Vec::new();
        while let Some(row) = found.next()? {
            let key: String = row.get(1)?;
            let name = key.split(',').next().unwrap_or_default();
            let is_folded = self.catalog.measurement(name).is_none_or(|measurement| (self.is_folded)(measurement));
            if !is_coverage(name) && is_folded && removes(name) {
                gone.push(row.get::<_, i64>(0)?);
            }
        }
        drop(found);
        let mut delete = deletion(transaction, self.tier)?;
        gone.iter().try_for_each(|series| delete.execute(params![bucket, series, from, to]).map(drop))
    }
}

/// Returns the name of the measurement that a point of coverage is about.
fn measurement_of(coverage: &Point) -> &str {
    coverage.tag("measurement").unwrap_or_default()
}

/// Whether a measurement tells what was covered.
fn is_coverage(measurement: &str) -> bool {
    [COVERAGE.name, SCOPE_COVERAGE.name].contains(&measurement)
}

/// The rows of one bucket, series by series.
struct Cursor<'a> {
    tier: Tier,
    bucket: i64,
    rows: Rows<'a>,
    next: Option<Stored>,
}

impl<'a> Cursor<'a> {
    fn new(tier: Tier, bucket: i64, rows: Rows<'a>) -> rusqlite::Result<Self> {
        let mut cursor = Self { tier, bucket, rows, next: None };
        cursor.advance()?;
        Ok(cursor)
    }

    /// Returns the series of the next row.
    fn series(&self) -> Option<i64> {
        self.next.map(|row| row.series)
    }

    /// Appends the rows of a series, if it is the next one.
    fn take(&mut self, series: i64, to: &mut Vec<Stored>) -> rusqlite::Result<()> {
        while let Some(row) = self.next.filter(|row| row.series == series) {
            to.push(row);
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> rusqlite::Result<()> {
        let is_raw = self.tier == Tier::Raw;
        let after = if is_raw { 2 } else { 6 };
        self.next = match self.rows.next()? {
            None => None,
            Some(row) => Some(Stored {
                series: row.get(after)?,
                field: row.get(after + 1)?,
                time: time_of(self.tier, self.bucket, row.get(0)?),
                value: value(row, 1)?,
                parts: if is_raw { None } else { parts(row, 2)? },
            }),
        };
        Ok(())
    }
}
