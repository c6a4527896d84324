//! Rows written and removed.

use rusqlite::{Connection, Statement, Transaction, params};

use crate::model::{Point, Tier, Value};

/// One row of a tier, in the order of its key.
#[derive(Clone, Copy)]
struct Row {
    bucket: i64,
    series: i64,
    field: i64,
    time: i64,
    value: Value,
}

pub(super) fn write(transaction: &Transaction, tier: Tier, points: &[Point]) -> rusqlite::Result<()> {
    let mut named: Vec<(&str, &Point)> = points.iter().map(|point| (point.series(), point)).collect();
    // Stable, so that of one row's points the last one given is the last one written.
    named.sort_by_key(|named| named.0);
    let bucket = tier.bucket();
    let mut keys: Vec<(&str, i64)> = Vec::with_capacity(named.len());
    for (key, point) in &named {
        let newest = point.time().div_euclid(bucket);
        match keys.last_mut() {
            Some(last) if last.0 == *key => last.1 = last.1.max(newest),
            _ => keys.push((key, newest)),
        }
    }
    let ids = series_ids(transaction, tier, &keys)?;

    let mut fields = field_ids(transaction)?;
    let mut rows = Vec::with_capacity(points.len());
    let mut at = 0;
    for (key, point) in &named {
        at += usize::from(keys[at].0 != *key);
        for (name, value) in point.fields() {
            let field = match fields.iter().find(|field| field.1 == name) {
                Some(field) => field.0,
                None => {
                    let id = fields.len() as i64;
                    transaction.execute("INSERT INTO field (id, name) VALUES (?1, ?2)", params![id, name])?;
                    fields.push((id, name.to_string()));
                    id
                }
            };
            let (bucket, time) = (point.time().div_euclid(bucket), point.time().rem_euclid(bucket));
            rows.push(Row { bucket, series: ids[at], field, time, value });
        }
    }
    rows.sort_by_key(|row| (row.bucket, row.series, row.field, row.time));
    let mut insert = transaction.prepare(&format!(
        "INSERT INTO {} (bucket, series, field, time, value) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET value = excluded.value",
        tier.table()
    ))?;
    for Row { bucket, series, field, time, value } in rows {
        match value {
            Value::Int(value) => insert.execute(params![bucket, series, field, time, value])?,
            Value::Float(value) => insert.execute(params![bucket, series, field, time, value])?,
        };
    }
    Ok(())
}

pub(super) fn field_ids(connection: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    connection
        .prepare("SELECT id, name FROM field ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// How many rows of the table of series are walked over to the next one that is wanted before it is looked up anew.
const WALK: usize = 8;

/// The id of each series of `keys`, which are sorted and differ, in their order; each with the newest bucket that is about
/// to be written. Those that are not there are made.
pub(super) fn series_ids(transaction: &Transaction, tier: Tier, keys: &[(&str, i64)]) -> rusqlite::Result<Vec<i64>> {
    const MISSING: i64 = -1;
    let newest = tier.newest();
    let mut ids = vec![MISSING; keys.len()];
    let mut newer = Vec::new();
    let mut walk =
        transaction.prepare(&format!("SELECT key, id, {newest} FROM series WHERE key >= ?1 ORDER BY key"))?;
    let mut at = 0;
    // A run writes most of what is there, in its order: so one walk along it, not a search for each.
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
        add.execute(params![key, last, bucket])?;
    }
    let mut raise = transaction.prepare(&format!("UPDATE series SET {newest} = ?2 WHERE key = ?1"))?;
    for (key, bucket) in newer.into_iter().map(|at| keys[at]) {
        raise.execute(params![key, bucket])?;
    }
    Ok(ids)
}

/// Removes at most `most` of the rows in buckets before `oldest_kept`, the oldest first; says how many went.
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

/// Removes the series that no tier has a row of any more. None as long as any tier has rows that are to go: the pruning
/// was not done, or a late batch came meanwhile, and what the table of series says of the newest is no proof.
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
