//! The history of backups in the embedded store: each one that was ever seen, also when it is gone. It is a table, which no
//! pruning touches: a row is small, and a set has a few thousand in ten years.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use rusqlite::params;

use super::{Place, SOME};

/// One backup that was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// The hub.
    pub hub: String,
    /// The node.
    pub node: String,
    /// The set.
    pub set: String,
    /// When it was made, in unix seconds.
    pub time: i64,
    /// Its path below the root, as text.
    pub path: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// What was known of its content: sealed, unsealed, truncated; checked or digest, if it was read; imported.
    pub seal: String,
}

/// The first schema that has the table.
const SINCE: i64 = 5;

/// The times and sizes of the backups of one set, oldest first.
pub type Sizes = Vec<(i64, u64)>;

impl Place {
    /// Writes backups that were seen, in one transaction. One that is there gets its new size; one that was imported is not
    /// put over one that was seen.
    ///
    /// # Errors
    /// Fails unless all are in the store.
    pub fn keep_backups(&self, backups: &[Kept], until: Instant) -> Result<()> {
        let mut store = self.open(until)?;
        store.in_transaction(2 * backups.len() as u64 + SOME, until, |transaction| {
            let mut insert = transaction.prepare(
                "INSERT INTO backup (hub, node, name, time, path, bytes, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET bytes = excluded.bytes, seal = excluded.seal WHERE excluded.seal <> 'imported'",
            )?;
            for Kept { hub, node, set, time, path, bytes, seal } in backups {
                let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                insert.execute(params![hub, node, set, time, path, bytes, seal])?;
            }
            Ok(())
        })
    }

    /// Returns the history of one node of a hub, by set: of several backups of one time the largest. Empty if there is no
    /// store, or an older one.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub fn kept_backups(&self, hub: &str, node: &str) -> Result<BTreeMap<String, Sizes>> {
        let mut sets = BTreeMap::<String, Sizes>::new();
        let Some(store) = self.open_to_read()? else { return Ok(sets) };
        store.read_with(|store| {
            if store.number("user_version")? < SINCE {
                return Ok(());
            }
            let mut query = store.connection.prepare(
                "SELECT name, time, max(bytes) FROM backup WHERE hub = ?1 AND node = ?2 GROUP BY name, time ORDER BY name, time",
            )?;
            let mut rows = query.query(params![hub, node])?;
            while let Some(row) = rows.next()? {
                let bytes: i64 = row.get(2)?;
                sets.entry(row.get(0)?).or_default().push((row.get(1)?, bytes.unsigned_abs()));
            }
            Ok(())
        })?;
        Ok(sets)
    }
}
