//! The database of Daya Bay's scm-backup-monitor: `tgzs`, an SQLite table of every tarball that it ever saw.
//!
//! ```text
//! CREATE TABLE tgzs (date text,node text,size real,dir text,nodepath text primary key)
//! 2012-11-13T10:47:02|SDU|25.0|/home/scm/backup/dayabay/svn/dybsvn|SDU:/home/scm/backup/dayabay/svn/dybsvn/2012/11/13/104702/…
//! ```
//!
//! The order of the columns is that of a dict of Python: they are read by name. `date` is the stamp of the path, in the zone of
//! its maker; `size` is in MiB, rounded up. A database without rows gives none.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

/// One tarball.
#[derive(Clone, Debug, PartialEq)]
pub struct Tarball {
    /// The node, whole: `Z9:229`.
    pub node: String,
    /// Its path on the node.
    pub path: String,
    /// Its size, in bytes: a whole number of MiB.
    pub bytes: u64,
}

/// The most rows that are read.
const MOST: usize = 10_000_000;

/// Reads the table; never changes the file.
///
/// # Errors
/// Fails if the file is not such a database.
pub fn read(path: &Path) -> Result<Vec<Tarball>> {
    let shown = path.display();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).with_context(|| shown.to_string())?;
    let not_one = || format!("{shown} is no database of scm-backup-monitor with a table tgzs");
    let mut query =
        database.prepare("SELECT node, nodepath, size FROM tgzs ORDER BY nodepath").with_context(not_one)?;
    let mut rows = query.query([]).with_context(not_one)?;
    let mut tarballs = Vec::new();
    while let Some(row) = rows.next().with_context(not_one)? {
        anyhow::ensure!(tarballs.len() < MOST, "{shown} has more than {MOST} rows");
        let text = |at: usize| row.get::<_, String>(at).ok();
        let (Some(node), Some(nodepath)) = (text(0), text(1)) else { continue };
        let mebibytes = row.get::<_, f64>(2).or_else(|_| row.get::<_, i64>(2).map(|size| size as f64)).unwrap_or(0.0);
        let Some(path) = nodepath.strip_prefix(&node).and_then(|rest| rest.strip_prefix(':')) else { continue };
        let bytes = (mebibytes.max(0.0) * 1_048_576.0) as u64;
        tarballs.push(Tarball { node, path: path.into(), bytes });
    }
    Ok(tarballs)
}
