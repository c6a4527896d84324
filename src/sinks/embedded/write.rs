//! Writes and removes rows.

use std::collections::HashMap;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Statement, ToSql, Transaction, params};

use crate::model::{Point, Tier, Value};
use crate::rollup::{Parts, length};

/// One row of a tier, in the order of its key.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub bucket: i64,
    pub series: i64,
    pub field: i64,
    pub time: i64,
    pub value: Value,
    pub parts: Option<&'a Parts>,
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
        })
    }
}

/// Writes points, each with the parts of its values; the parts are empty for points that were not folded here.
pub(super) fn write(transaction: &Transaction, tier: Tier, points: &[(&Point, &[Parts])]) -> rusqlite::Result<()> {
    let mut named: Vec<(&str, &Point, &[Parts])> =
        points.iter().map(|(point, parts)| (point.series(), *point, *parts)).collect();
    // A stable sort: of several points for one row the last one is written last.
    named.sort_by_key(|named| named.0);
    let bucket = tier.bucket();
    let mut keys: Vec<(&str, i64)> = Vec::with_capacity(named.len());
    let mut described: Vec<(usize, &Point)> = Vec::new();
    for (key, point, _) in &named {
        let newest = point.time().div_euclid(bucket);
        match keys.last_mut() {
            Some(last) if last.0 == *key => last.1 = last.1.max(newest),
            _ => keys.push((key, newest)),
        }
        if point.has_labels() {
            match described.last_mut().filter(|last| last.0 == keys.len() - 1) {
                Some(last) if last.1.time() > point.time() => {}
                Some(last) => last.1 = point,
                None => described.push((keys.len() - 1, point)),
            }
        }
    }
    let ids = series_ids(transaction, tier, &keys)?;
    describe(transaction, tier, described.into_iter().map(|(at, point)| (ids[at], point)))?;

    let mut fields = Fields::new(transaction)?;
    let mut rows = Vec::with_capacity(named.iter().map(|(_, point, _)| point.fields().count()).sum());
    let mut at = 0;
    for (key, point, parts) in &named {
        at += usize::from(keys[at].0 != *key);
        for (number, (name, value)) in point.fields().enumerate() {
            let field = fields.id(name)?;
            let (bucket, time) = (point.time().div_euclid(bucket), point.time().rem_euclid(bucket));
            rows.push(Row { bucket, series: ids[at], field, time, value, parts: parts.get(number) });
        }
    }
    rows.sort_by_key(|row| (row.bucket, row.series, row.field, row.time));
    insert(transaction, tier, &rows)
}

/// Writes rows, sorted by their key.
pub(super) fn insert(transaction: &Transaction, tier: Tier, rows: &[Row]) -> rusqlite::Result<()> {
    let table = tier.table();
    if tier == Tier::Raw {
        let mut insert = transaction.prepare(&format!(
            "INSERT INTO {table} (bucket, series, field, time, value) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET value = excluded.value"
        ))?;
        for Row { bucket, series, field, time, value, .. } in rows {
            wrote(insert.execute(params![bucket, series, field, time, value])?)?;
        }
        return Ok(());
    }
    // A value rewritten without parts has none: the old parts belong to the old value.
    let mut insert = transaction.prepare(&format!(
        "INSERT INTO {table} (bucket, series, field, time, value, sum, slots, least, most)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET value = excluded.value, sum = excluded.sum, slots = excluded.slots,
             least = excluded.least, most = excluded.most"
    ))?;
    for Row { bucket, series, field, time, value, parts } in rows {
        let (sum, slots) = (parts.map(|parts| parts.sum), parts.map(|parts| parts.slots));
        let (least, most) = (parts.map(|parts| parts.least), parts.map(|parts| parts.most));
        wrote(insert.execute(params![bucket, series, field, time, value, sum, slots, least, most])?)?;
    }
    Ok(())
}

/// The ids of the fields that a transaction writes.
pub(super) struct Fields<'a> {
    known: HashMap<&'a str, i64>,
    find: Statement<'a>,
    add: Statement<'a>,
    /// The id of the next new field.
    next: i64,
}

impl<'a> Fields<'a> {
    pub fn new(transaction: &'a Transaction) -> rusqlite::Result<Self> {
        Ok(Self {
            known: HashMap::new(),
            find: transaction.prepare("SELECT id FROM field WHERE name = ?1")?,
            add: transaction.prepare("INSERT INTO field (id, name) VALUES (?1, ?2)")?,
            next: transaction.query_row("SELECT coalesce(max(id) + 1, 0) FROM field", [], |row| row.get(0))?,
        })
    }

    /// Returns the id of a field; inserts the field if it is new.
    pub fn id(&mut self, name: &'a str) -> rusqlite::Result<i64> {
        if let Some(id) = self.known.get(name) {
            return Ok(*id);
        }
        let id = match self.find.query_row([name], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                let id = self.next;
                wrote(self.add.execute(params![id, name])?)?;
                self.next += 1;
                id
            }
        };
        self.known.insert(name, id);
        Ok(id)
    }
}

/// Fails unless a statement wrote its row: what is acknowledged must be there.
fn wrote(rows: usize) -> rusqlite::Result<()> {
    if rows == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(rows)) }
}

/// Stores the labels of series from the newest point of a batch, before the batch's rows are written.
///
/// A late point, or one that was folded from stored points, does not replace the labels of a newer point.
fn describe<'a>(
    transaction: &Transaction,
    tier: Tier,
    series: impl Iterator<Item = (i64, &'a Point)>,
) -> rusqlite::Result<()> {
    let mut stored =
        transaction.prepare("SELECT labels, newest_raw, newest_1h, newest_1d FROM series WHERE id = ?1")?;
    let mut update = transaction.prepare("UPDATE series SET labels = ?2 WHERE id = ?1")?;
    let mut newest = Vec::new();
    for tier in Tier::ALL {
        let query = format!("SELECT max(time) FROM {} WHERE bucket = ?1 AND series = ?2", tier.table());
        newest.push(transaction.prepare(&query)?);
    }
    for (id, point) in series {
        let labels = point.labels_text();
        let (known, buckets) = stored.query_row([id], |row| {
            Ok((row.get::<_, String>(0)?, [row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?]))
        })?;
        if known == labels {
            continue;
        }
        let mut is_newest = true;
        for ((of, query), bucket) in Tier::ALL.into_iter().zip(&mut newest).zip(buckets) {
            let Some(bucket) = bucket else { continue };
            let begins = bucket.wrapping_mul(of.bucket());
            let own = point.time().div_euclid(of.bucket());
            // The batch's own bucket is already recorded, though its rows are not written yet.
            let time: Option<i64> = query.query_row([bucket, id], |row| row.get(0))?;
            let is_after = |time: i64| match (tier, of) {
                // A raw point at the time of a fold is newer than the folded points.
                (Tier::Hour | Tier::Day, Tier::Raw) => point.time() > time,
                // A folded point stands at the end of its window, and was folded from points somewhere in it.
                (Tier::Raw, Tier::Hour | Tier::Day) => point.time() >= time.saturating_sub(length(of)),
                _ => point.time() >= time,
            };
            is_newest &= time.map_or(of != tier || own >= bucket, |time| is_after(begins.wrapping_add(time)));
        }
        if is_newest {
            wrote(update.execute(params![id, labels])?)?;
        }
    }
    Ok(())
}

/// The number of rows of the series table to step over before searching for the next key instead.
const WALK: usize = 8;

/// Returns the ids of the series of `keys`, in their order.
///
/// `keys` are sorted and distinct, each with the newest bucket that is about to be written. Inserts the missing series.
pub(super) fn series_ids(transaction: &Transaction, tier: Tier, keys: &[(&str, i64)]) -> rusqlite::Result<Vec<i64>> {
    const MISSING: i64 = -1;
    let newest = tier.newest();
    let mut ids = vec![MISSING; keys.len()];
    let mut newer = Vec::new();
    let mut walk =
        transaction.prepare(&format!("SELECT key, id, {newest} FROM series WHERE key >= ?1 ORDER BY key"))?;
    let mut at = 0;
    // A run writes most of the stored series, in table order: one scan is cheaper than a search for each.
    while at < keys.len() {
        let mut rows = walk.query([keys[at].0])?;
        let mut passed = 0;
        while at < keys.len() && passed < WALK {
            let Some(row) = rows.next()? else {
                at = keys.len();
                break;
            };
            let key = row.get_ref(0)?.as_str()?;
            at += keys[at..].iter().take_while(|wanted| wanted.0 < key).count();
            match keys.get(at) {
                Some((wanted, bucket)) if *wanted == key => {
                    ids[at] = row.get(1)?;
                    if row.get::<_, Option<i64>>(2)?.is_none_or(|newest| newest < *bucket) {
                        newer.push(at);
                    }
                    (at, passed) = (at + 1, 0);
                }
                _ => passed += 1,
            }
        }
    }
    drop(walk);
    let mut last: i64 = transaction.query_row("SELECT coalesce(max(id), 0) FROM series", [], |row| row.get(0))?;
    let mut add = transaction.prepare(&format!("INSERT INTO series (key, id, {newest}) VALUES (?1, ?2, ?3)"))?;
    for (id, (key, bucket)) in ids.iter_mut().zip(keys).filter(|(id, _)| **id == MISSING) {
        last += 1;
        *id = last;
        wrote(add.execute(params![key, last, bucket])?)?;
    }
    let mut raise = transaction.prepare(&format!("UPDATE series SET {newest} = ?2 WHERE key = ?1"))?;
    for (key, bucket) in newer.into_iter().map(|at| keys[at]) {
        wrote(raise.execute(params![key, bucket])?)?;
    }
    Ok(ids)
}

/// Removes up to `most` rows in buckets before `oldest_kept`, the oldest first; returns the number of removed rows.
pub(super) fn remove_some(
    connection: &Connection,
    tier: Tier,
    oldest_kept: i64,
    most: usize,
) -> rusqlite::Result<usize> {
    let table = tier.table();
    let next = format!(
        "SELECT bucket, series, field, time FROM {table} WHERE bucket < ?1 ORDER BY 1, 2, 3, 4 LIMIT 1 OFFSET ?2"
    );
    let mut next: Statement = connection.prepare(&next)?;
    let mut first_kept = next.query(params![oldest_kept, most])?;
    match first_kept.next()? {
        Some(row) => {
            let key: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            drop(first_kept);
            connection
                .execute(&format!("DELETE FROM {table} WHERE (bucket, series, field, time) < (?1, ?2, ?3, ?4)"), key)
        }
        None => {
            drop(first_kept);
            connection.execute(&format!("DELETE FROM {table} WHERE bucket < ?1"), [oldest_kept])
        }
    }
}

/// Removes the series without rows in any tier.
///
/// Removes no series while any tier has expired rows: the pruning is unfinished, or a late batch arrived meanwhile, and
/// then the newest buckets in the series table prove nothing.
pub(super) fn forget_series(
    connection: &Connection,
    oldest_kept: &dyn Fn(Tier) -> Option<i64>,
) -> rusqlite::Result<()> {
    let gone = |tier: Tier| {
        let (newest, table) = (tier.newest(), tier.table());
        match oldest_kept(tier) {
            Some(oldest_kept) => format!(
                "({newest} IS NULL OR {newest} < {oldest_kept}) AND NOT EXISTS (SELECT 1 FROM {table} WHERE bucket < {oldest_kept})"
            ),
            None => format!("{newest} IS NULL"),
        }
    };
    let gone = Tier::ALL.map(gone).join(" AND ");
    connection.execute(&format!("DELETE FROM series WHERE {gone}"), []).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Store, beside};
    use super::*;
    use crate::model::{Catalog, Declaration, Field, Measurement, SECOND, Tag};
    use crate::query::Selector;
    use crate::rollup::Folded;

    const JOBS: Field<i64> = Field::count("jobs", "jobs", "those in the queue");

    static QUEUE: Measurement = Measurement::new(Declaration {
        name: "queue",
        meaning: "a queue",
        tags: &[Tag::key("queue"), Tag::label("state")],
        fields: &[JOBS.info()],
        carbon: "queues.{queue}",
        every: 60,
    });
    static ALL: [&Measurement; 1] = [&QUEUE];

    const HOUR: i64 = 3600;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn queue(seconds: i64, state: &str, jobs: i64) -> Point {
        QUEUE.point(seconds * SECOND, ["q", state], &[JOBS.of(jobs)])
    }

    /// Runs `work` on an empty store.
    fn with_store(name: &str, work: impl FnOnce(&mut Store)) {
        let path = std::env::temp_dir().join(format!("gridmon-{name}-{}.db", std::process::id()));
        let clear = || ["", "-wal", "-shm"].map(|suffix| drop(std::fs::remove_file(beside(&path, suffix))));
        clear();
        work(&mut Store::open(&path, later()).unwrap());
        clear();
    }

    /// Returns the labels of the only series, and its newest value.
    fn only(store: &Store) -> (String, Option<Value>) {
        let series = store.find(&Selector::default()).unwrap();
        assert_eq!(series.len(), 1, "{series:?}");
        let latest = store.latest(&[(&series[0], "jobs")], i64::MAX).unwrap().0[0];
        (series[0].labels.clone(), latest.map(|latest| latest.1))
    }

    #[test]
    fn a_row_that_the_file_does_not_take_is_an_error() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection, &super::super::schema::MIGRATIONS).unwrap();
        let ignores =
            |table: &str| format!("CREATE TRIGGER ignores BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END");
        for table in ["tier_raw", "series", "field"] {
            connection.execute_batch(&ignores(table)).unwrap();
            let transaction = connection.transaction().unwrap();
            let error = write(&transaction, Tier::Raw, &[(&queue(HOUR, "online", 1), &[])]).unwrap_err();
            assert_eq!(error.to_string(), "Query changed 0 rows", "{table}");
            transaction.rollback().unwrap();
            connection.execute_batch("DROP TRIGGER ignores").unwrap();
        }
    }

    #[test]
    fn a_label_that_changes_stays_one_series_and_the_newest_label_holds() {
        with_store("labels", |store| {
            let mut write = |tier, points: &[Point]| {
                store.write(tier, points, later()).unwrap();
                only(store)
            };
            let is = |labels: &str, jobs| (labels.to_string(), Some(Value::Int(jobs)));
            assert_eq!(write(Tier::Raw, &[queue(HOUR, "offline", 41)]), is("state=offline", 41));
            assert_eq!(write(Tier::Raw, &[queue(HOUR + 60, "online", 42)]), is("state=online", 42));
            // A late point does not change the labels; within one batch the newest point counts, wherever it stands.
            assert_eq!(write(Tier::Raw, &[queue(HOUR + 30, "test", 1)]), is("state=online", 42));
            assert_eq!(write(Tier::Raw, &[queue(60, "test", 1)]), is("state=online", 42));
            assert_eq!(
                write(Tier::Raw, &[queue(2 * HOUR + 60, "test", 2), queue(2 * HOUR, "online", 1)]),
                is("state=test", 2)
            );
            // A fold describes the time before its own, so a raw point of the same time is newer.
            assert_eq!(write(Tier::Hour, &[queue(2 * HOUR + 60, "online", 1)]), is("state=test", 2));
            assert_eq!(write(Tier::Hour, &[queue(3 * HOUR, "broker off", 3)]), is(r"state=broker\ off", 2));
            assert_eq!(write(Tier::Raw, &[queue(3 * HOUR, "online", 4)]), is("state=online", 4));
            // Writing a row again replaces it.
            assert_eq!(write(Tier::Raw, &[queue(3 * HOUR, "test", 5)]), is("state=test", 5));
            // A parsed point has labels only after it was given its declaration.
            let mut read = Point::from_line(&queue(3 * HOUR + 60, "online", 6).line()).unwrap();
            Catalog::new(&ALL).declare(&mut read);
            assert_eq!(write(Tier::Raw, &[read]), is("state=online", 6));
        });
    }

    #[test]
    fn a_folded_value_keeps_what_it_was_made_of_until_it_is_written_without() {
        with_store("folded", |store| {
            let parts =
                |sum: i64| Parts { sum: Value::Int(sum), slots: 60, least: Value::Int(1), most: Value::Float(2.5) };
            let folded = |sum| Folded { point: queue(HOUR, "online", 7), parts: vec![parts(sum)] };
            let kept = |store: &Store, tier: Tier| {
                let query = format!("SELECT value, sum, slots, least, most FROM {}", tier.table());
                let row = store.connection.query_row(&query, [], |row| {
                    Ok((0..5).map(|at| row.get::<_, rusqlite::types::Value>(at).unwrap()).collect::<Vec<_>>())
                });
                format!("{:?}", row.unwrap())
            };
            for tier in [Tier::Hour, Tier::Day] {
                store.write_folded(tier, &[folded(1)], later()).unwrap();
                store.write_folded(tier, &[folded(i64::MAX)], later()).unwrap();
                let whole = format!("[Integer(7), Integer({}), Integer(60), Integer(1), Real(2.5)]", i64::MAX);
                assert_eq!(kept(store, tier), whole);
                store.write(tier, &[queue(HOUR, "online", 8)], later()).unwrap();
                assert_eq!(kept(store, tier), "[Integer(8), Null, Null, Null, Null]");
            }
            let refused = |store: &mut Store, tier, folded| store.write_folded(tier, &[folded], later()).unwrap_err();
            assert_eq!(refused(store, Tier::Raw, folded(1)).to_string(), "raw points are not folded");
            let bare = Folded { parts: Vec::new(), ..folded(1) };
            assert_eq!(refused(store, Tier::Hour, bare).to_string(), "queue,queue=q has 0 parts for 1 fields");
        });
    }
}
