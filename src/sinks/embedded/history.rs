//! The history of backups in the embedded store: a table, which no pruning touches.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use rusqlite::{Transaction, params};

use super::{Place, SOME};
use crate::sinks::history::{History, IMPORTED, Kept, NEWEST, OfSet, SIZES, Sizes};

/// The first schema that has the table.
const SINCE: i64 = 5;

impl History for Place {
    fn keep(&self, backups: &[Kept], until: Instant) -> Result<Vec<String>> {
        let mut store = self.open(until)?;
        store.in_transaction(2 * backups.len() as u64 + SOME, until, |transaction| {
            let mut insert = transaction.prepare(
                "INSERT INTO backup (hub, node, name, time, path, bytes, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET bytes = excluded.bytes, seal = excluded.seal WHERE excluded.seal <> 'imported'",
            )?;
            for Kept { hub, node, set, time, path, bytes, seal } in new_of(transaction, backups)? {
                let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                insert.execute(params![hub, node, set, time, path, bytes, seal])?;
            }
            Ok(())
        })?;
        Ok(Vec::new())
    }

    /// Empty if there is no store, or an older one.
    fn sizes(&self, hub: &str, node: &str, _until: Instant) -> Result<BTreeMap<String, Sizes>> {
        let mut sets = BTreeMap::<String, Sizes>::new();
        let Some(store) = self.open_to_read()? else { return Ok(sets) };
        store.read_with(|store| {
            if store.number("user_version")? < SINCE {
                return Ok(());
            }
            let mut query = store.connection.prepare(SIZES)?;
            let mut rows = query.query(params![hub, node, hub, node])?;
            while let Some(row) = rows.next()? {
                let bytes: i64 = row.get(2)?;
                sets.entry(row.get(0)?).or_default().push((row.get(1)?, bytes.unsigned_abs()));
            }
            Ok(())
        })?;
        Ok(sets)
    }

    /// Empty if there is no store, or an older one.
    fn newest(&self, of: &OfSet, most: usize, _until: Instant) -> Result<Vec<Kept>> {
        let Some(store) = self.open_to_read()? else { return Ok(Vec::new()) };
        store.read_with(|store| {
            if store.number("user_version")? < SINCE {
                return Ok(Vec::new());
            }
            let OfSet { hub, node, set } = of;
            let mut query = store.connection.prepare(NEWEST)?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let rows = query.query_map(params![hub, node, set, hub, node, set, most], |row| {
                Ok(of.kept(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect()
        })
    }
}

/// Returns what is to be written: of each path the last that was seen, or else that was imported, if the history has none that was
/// seen. Removes what the history has of that path with another time: a file that was still written to, or that got another time, is
/// one backup.
fn new_of<'a>(transaction: &Transaction, backups: &'a [Kept]) -> rusqlite::Result<Vec<&'a Kept>> {
    let mut sets = BTreeMap::<[&str; 3], BTreeMap<&str, &Kept>>::new();
    for kept in backups {
        let of_path = sets.entry([&kept.hub, &kept.node, &kept.set]).or_default().entry(&kept.path).or_insert(kept);
        if of_path.is_imported() || !kept.is_imported() {
            *of_path = kept;
        }
    }
    let mut known =
        transaction.prepare("SELECT time, path, seal FROM backup WHERE hub = ?1 AND node = ?2 AND name = ?3")?;
    let mut remove = transaction
        .prepare("DELETE FROM backup WHERE hub = ?1 AND node = ?2 AND name = ?3 AND time = ?4 AND path = ?5")?;
    let mut all = Vec::with_capacity(backups.len());
    for ([hub, node, set], mut paths) in sets {
        let mut others = Vec::new();
        let mut rows = known.query([hub, node, set])?;
        while let Some(row) = rows.next()? {
            let (time, path): (i64, &str) = (row.get(0)?, row.get_ref(1)?.as_str()?);
            let Some(kept) = paths.get(path).copied() else { continue };
            if kept.is_imported() && row.get_ref(2)?.as_str()? != IMPORTED {
                paths.remove(path);
            } else if kept.time != time {
                others.push((time, &kept.path));
            }
        }
        for (time, path) in others {
            remove.execute(params![hub, node, set, time, path])?;
        }
        all.extend(paths.into_values());
    }
    Ok(all)
}

impl Place {
    /// Returns every backup of the history, for another place to keep; `None` if here is no store that has one.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn every_backup(&self) -> Result<Option<Vec<Kept>>> {
        let Some(store) = self.open_to_read()? else { return Ok(None) };
        store.read_with(|store| {
            if store.number("user_version")? < SINCE {
                return Ok(None);
            }
            let query =
                "SELECT hub, node, name, time, path, bytes, seal FROM backup ORDER BY hub, node, name, time, path";
            let mut query = store.connection.prepare(query)?;
            let kept = query.query_map([], |row| {
                let (hub, node, set, time) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                let (path, bytes, seal) = (row.get(4)?, row.get::<_, i64>(5)?.unsigned_abs(), row.get(6)?);
                Ok(Kept { hub, node, set, time, path, bytes, seal })
            })?;
            kept.collect::<rusqlite::Result<_>>().map(Some)
        })
    }
}
