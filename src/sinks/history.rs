//! The history of backups: each one that was ever seen, also when it is gone. Kept where tables are, in the embedded store or in
//! MySQL, and pruned nowhere: a row is small, and a set has a few thousand in ten years.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use crate::model::{Cell, Column, Row, TableInfo};

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

/// One set on one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfSet {
    /// The hub.
    pub hub: String,
    /// The node.
    pub node: String,
    /// The set.
    pub set: String,
}

impl OfSet {
    /// Returns a row of [`NEWEST`] as a backup.
    pub(super) fn kept(&self, time: i64, path: String, bytes: i64, seal: String) -> Kept {
        let Self { hub, node, set } = self.clone();
        Kept { hub, node, set, time, path, bytes: bytes.unsigned_abs(), seal }
    }
}

/// The times and sizes of the backups of one set, oldest first.
pub type Sizes = Vec<(i64, u64)>;

/// Asks for the times and sizes of one node, given hub and node twice. Where the zone of the stamps is not known, another program's
/// database has another time of a backup than its file has: what was seen itself counts.
pub const SIZES: &str = "SELECT name, time, MAX(bytes) FROM backup
    WHERE hub = ? AND node = ? AND (seal <> 'imported' OR (name, path) NOT IN
        (SELECT name, path FROM backup WHERE hub = ? AND node = ? AND seal <> 'imported'))
    GROUP BY name, time ORDER BY name, time";

/// Asks for the newest backups of one set, given hub, node and set twice, and how many.
pub const NEWEST: &str = "SELECT time, path, bytes, seal FROM backup
    WHERE hub = ? AND node = ? AND name = ? AND (seal <> 'imported' OR path NOT IN
        (SELECT path FROM backup WHERE hub = ? AND node = ? AND name = ? AND seal <> 'imported'))
    ORDER BY time DESC, path DESC LIMIT ?";

/// Keeps the history.
pub trait History: Send + Sync {
    /// Writes backups that were seen. One that is there, by its path, gets its new time and size; one that was imported is not put over one that was
    /// seen. Twice is once. Returns what it left out, one line each.
    ///
    /// # Errors
    /// Fails unless all are there by `until`; some may be.
    fn keep(&self, backups: &[Kept], until: Instant) -> Result<Vec<String>>;
    /// Returns the history of one node of a hub, by set: of several backups of one time the largest. One that was imported and
    /// then seen counts once, as it was seen.
    ///
    /// # Errors
    /// Fails if the database does not answer by `until`.
    fn sizes(&self, hub: &str, node: &str, until: Instant) -> Result<BTreeMap<String, Sizes>>;
    /// Returns the newest backups of a set, `most` of them, the newest first: those that are gone too. One that was imported and
    /// then seen is there once, as it was seen.
    ///
    /// # Errors
    /// Fails if the database does not answer by `until`.
    fn newest(&self, of: &OfSet, most: usize, until: Instant) -> Result<Vec<Kept>>;
}

/// The history as a table of a database that has others. A path is too long for a key, so the key is a digest of set and path; it
/// begins with the node, whose rows are read together. Versions before this one had the time in the digest too.
pub static TABLE: TableInfo = TableInfo {
    name: "backup",
    columns: &[
        Column::text("hub", 255),
        Column::text("node", 255),
        Column::text("id", 32),
        Column::text("name", 4096),
        Column::integer("time"),
        Column::text("path", 8192),
        Column::integer("bytes"),
        Column::text("seal", 32),
    ],
    keys: 3,
};

/// The tables of the history.
pub static TABLES: [&TableInfo; 1] = [&TABLE];

impl Kept {
    /// Whether it comes from the database of another program.
    pub fn is_imported(&self) -> bool {
        self.seal == IMPORTED
    }

    /// Returns its row of [`TABLE`].
    pub fn row(&self) -> Row {
        let Self { hub, node, set, time, path, bytes, seal } = self;
        // No name holds a zero byte: it is escaped.
        let id = format!("{:x}", md5::compute(format!("{set}\0{path}")));
        let text = |text: &str| Cell::Text(text.into());
        let bytes = Cell::Int(i64::try_from(*bytes).unwrap_or(i64::MAX));
        vec![text(hub), text(node), text(&id), text(set), Cell::Int(*time), text(path), bytes, text(seal)]
    }
}

/// The seal of a backup that comes from the database of another program.
pub const IMPORTED: &str = "imported";
