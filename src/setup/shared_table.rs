//! The table of queues, read once for all who ask at the same time: a page and the rules look at the same rows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::model::Row;
use crate::monitors::panda::TABLE;
use crate::sinks::Tables;

/// How long rows are used again while the points' store says that nothing has changed: the table may lie elsewhere.
const KEPT: Duration = Duration::from_secs(5);

/// The table with the rows that were read last.
pub(super) struct SharedTable {
    tables: Box<dyn Tables>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    /// The version of the points' store before the rows were read.
    version: u64,
    read_at: Instant,
    rows: Arc<Vec<Row>>,
}

impl SharedTable {
    pub fn new(tables: Box<dyn Tables>) -> Self {
        Self { tables, kept: Mutex::default() }
    }

    /// Returns the rows, no older than the version of the points' store.
    ///
    /// # Errors
    /// Fails if the table cannot be read by `deadline`.
    pub fn rows(&self, version: impl FnOnce() -> u64, deadline: Instant) -> Result<Arc<Vec<Row>>> {
        // Held while they are read, so that who comes meanwhile gets the same; if the database hangs, all have waited enough.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let version = version();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.version == version && kept.read_at.elapsed() < KEPT) {
            return Ok(Arc::clone(&kept.rows));
        }
        let read_at = Instant::now();
        let rows = Arc::new(self.tables.read(&TABLE, deadline)?);
        *kept = Some(Kept { version, read_at, rows: Arc::clone(&rows) });
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::thread;

    use anyhow::bail;

    use super::*;
    use crate::model::{Cell, Rest, TableInfo};

    /// A table that has another row at each reading, and fails at the third.
    #[derive(Default)]
    struct Counted(AtomicI64);

    impl Tables for Counted {
        fn name(&self) -> &str {
            "counted"
        }

        fn write(&self, _: &'static TableInfo, _: &[Row], _: Rest, _: Instant) -> Result<Vec<String>> {
            bail!("nobody writes")
        }

        fn read(&self, _: &'static TableInfo, _: Instant) -> Result<Vec<Row>> {
            thread::sleep(Duration::from_millis(50));
            match self.0.fetch_add(1, Ordering::Relaxed) {
                2 => bail!("gone"),
                count => Ok(vec![vec![Cell::Int(count)]]),
            }
        }

        fn check(&self, _: &'static TableInfo, _: Instant) -> Result<String> {
            bail!("nobody checks")
        }

        fn setup(&self, _: &'static TableInfo, _: Instant) -> Result<String> {
            bail!("nobody creates")
        }
    }

    #[test]
    fn rows_are_read_once_for_each_version_and_never_kept_after_an_error() {
        let table = SharedTable::new(Box::<Counted>::default());
        let row = |version: u64| match table.rows(|| version, Instant::now() + KEPT) {
            Ok(rows) => rows[0][0].as_f64(),
            Err(_) => None,
        };
        thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| row(1))).collect();
            for one in all {
                assert_eq!(one.join().unwrap(), Some(0.0));
            }
        });
        assert_eq!([row(1), row(2), row(2)], [Some(0.0), Some(1.0), Some(1.0)]);
        assert_eq!([row(3), row(3), row(3)], [None, Some(3.0), Some(3.0)]);
    }

    #[test]
    fn rows_of_another_database_are_not_kept_for_long() {
        let table = SharedTable::new(Box::<Counted>::default());
        let later = || Instant::now() + KEPT;
        table.rows(|| 1, later()).unwrap();
        if let Some(kept) = table.kept.lock().unwrap().as_mut() {
            kept.read_at -= KEPT;
        }
        assert_eq!(table.rows(|| 1, later()).unwrap()[0][0].as_f64(), Some(1.0));
    }
}
