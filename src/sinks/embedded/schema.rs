//! Creates the store's schema and migrates it to this version.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, TransactionBehavior};

/// The `PRAGMA application_id` of a store: `gmon`.
pub(super) const APPLICATION: i64 = 0x676d_6f6e;

/// Each migrates a store from one schema version to the next. `PRAGMA user_version` counts the applied ones.
pub(super) const MIGRATIONS: [&str; 2] = [include_str!("1.sql"), include_str!("2.sql")];

/// Creates an empty store under another name and moves it to `path`, unless another process just did so. A half-made
/// store at `path` could not be told from a truncated one.
pub(super) fn make(path: &Path, migrations: &[&str]) -> Result<()> {
    let folder = path.parent().context("it has no folder")?;
    let name = path.file_name().context("it has no name")?.to_string_lossy().into_owned();
    let begins = format!("{name}.new-");
    let old = SystemTime::now() - Duration::from_secs(3600);
    for file in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = file?;
        // Left by a process that was killed here.
        if file.file_name().to_string_lossy().starts_with(&begins) && file.metadata()?.modified()? < old {
            fs::remove_file(file.path())?;
        }
    }
    let aside = folder.join(format!("{begins}{}", std::process::id()));
    let made = (|| {
        let mut connection = Connection::open(&aside)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        ensure!(
            mode == "wal",
            "the file system cannot share memory between processes, as SQLite's WAL mode needs; set [embedded] path to a disk of this machine"
        );
        migrate(&mut connection, migrations)?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(&aside)?.sync_all()?;
        match fs::hard_link(&aside, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error)?,
            _ => Ok(File::open(folder)?.sync_all()?),
        }
    })();
    let removed = fs::remove_file(&aside);
    made.and_then(|()| Ok(removed?))
}

/// Returns the SQL expression for the labels of a series. A store of schema 1 has none. Not cached, since a writer may
/// migrate the store meanwhile.
pub(super) fn labels(connection: &Connection) -> rusqlite::Result<&'static str> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    Ok(if version < 2 { "''" } else { "labels" })
}

/// Migrates a store through all `migrations`, each in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let version =
        |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    while version(connection)? < migrations.len() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have migrated it meanwhile.
        let version = version(&transaction)?;
        if let Some(migration) = migrations.get(version) {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", version + 1)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::{Child, Command};
    use std::thread;
    use std::time::Instant;

    use super::super::{Store, beside};
    use super::*;
    use crate::model::{Point, SECOND, Tier, Value, Window};
    use crate::query::Selector;

    /// The real migrations and a possible next one, which changes every row.
    const NEXT: [&str; 3] = [
        MIGRATIONS[0],
        MIGRATIONS[1],
        "ALTER TABLE series ADD COLUMN seen INTEGER; UPDATE series SET seen = 1; UPDATE tier_raw SET value = value + 1;",
    ];

    /// The second migration with an endless statement at its end; the process is killed while it runs.
    const ENDLESS: [&str; 2] = [
        MIGRATIONS[0],
        concat!(
            include_str!("2.sql"),
            "UPDATE tier_raw SET value = value + 1;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;"
        ),
    ];

    const AT: &str = "GRIDMON_TEST_MIGRATION_AT";
    const ROWS: i64 = 20_000;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// A store of schema 1 with some rows; each value is its time in seconds.
    fn old(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("gridmon-{name}-{}.db", std::process::id()));
        clear(&path);
        make(&path, &MIGRATIONS[..1]).unwrap();
        let rows = format!(
            "INSERT INTO field VALUES (0, 'v'); INSERT INTO series VALUES ('m', 1, {}, NULL, NULL);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS} - 1)
             INSERT INTO tier_raw SELECT i / 3600, 1, 0, i % 3600 * 1000000000, i FROM n;",
            (ROWS - 1) / 3600
        );
        connection(&path).execute_batch(&rows).unwrap();
        path
    }

    fn clear(path: &Path) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(path, suffix));
        }
    }

    fn connection(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection
    }

    /// Returns the schema version and the sum of the values.
    fn look(path: &Path) -> (i64, i64) {
        let connection = connection(path);
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let one = |query: &str| connection.query_row(query, [], |row| row.get(0)).unwrap();
        (one("PRAGMA user_version"), one("SELECT sum(value) FROM tier_raw"))
    }

    const BEFORE: i64 = ROWS * (ROWS - 1) / 2;

    /// Starts this test as a process of its own, which does the one task that [`AT`] asks for.
    fn process(path: &Path, endless: bool) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sinks::embedded::schema::tests::a_process_that_migrates"])
            .env(AT, format!("{endless} {}", path.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_process_that_migrates() {
        let Ok(at) = std::env::var(AT) else { return };
        let (endless, path) = at.split_once(' ').unwrap();
        let mut connection = connection(Path::new(path));
        // A small cache makes SQLite write pages to the log early, where the test can see them.
        connection.pragma_update(None, "cache_size", 10).unwrap();
        migrate(&mut connection, if endless == "true" { &ENDLESS } else { &NEXT[..] }).unwrap();
    }

    #[test]
    fn a_store_is_brought_to_the_next_schema_once_by_whoever_comes_first() {
        let path = old("next-schema");
        assert_eq!(look(&path), (1, BEFORE));
        // All processes wait for this write lock, so that they start together.
        let gate = connection(&path);
        gate.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut processes: Vec<_> = (0..3).map(|_| process(&path, false)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..2).map(|_| scope.spawn(|| migrate(&mut connection(&path), &NEXT).unwrap())).collect();
            gate.execute_batch("COMMIT").unwrap();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert!(processes.iter_mut().all(|process| process.wait().unwrap().success()));
        // A migration that ran twice would change the sum.
        assert_eq!(look(&path), (3, BEFORE + ROWS));
        migrate(&mut connection(&path), &NEXT).unwrap();
        assert_eq!(look(&path), (3, BEFORE + ROWS));
        // To the previous version this store is newer.
        let error = Store::open(&path, later()).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "has schema 3, which a newer gridmon made; this one knows schemas up to 2: run the newer one again"
            ),
            "{error}"
        );
        clear(&path);
    }

    #[test]
    fn a_migration_that_is_killed_half_way_is_done_by_the_next() {
        let path = old("killed");
        let mut endless = process(&path, true);
        let began = Instant::now();
        while fs::metadata(beside(&path, "-wal")).map_or(0, |log| log.len()) < 200_000 {
            assert!(endless.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(30));
            thread::yield_now();
        }
        endless.kill().unwrap();
        endless.wait().unwrap();
        assert_eq!(look(&path), (1, BEFORE));
        Store::open(&path, later()).unwrap();
        assert_eq!(look(&path), (2, BEFORE));
        clear(&path);
    }

    #[test]
    fn a_reader_reads_schema_1_and_what_a_writer_makes_of_it_meanwhile() {
        let path = old("read-old");
        let reader = Store::open_to_read(&path).unwrap().unwrap();
        let all = |reader: &Store| {
            let series = reader.find(&Selector::measurement("m")).unwrap();
            let wanted: Vec<_> = series.iter().map(|series| (series, "v")).collect();
            let (latest, labels) = (reader.latest(&wanted, i64::MAX).unwrap().0, series.iter().map(|one| one.labels.clone()));
            (labels.collect::<Vec<_>>(), latest)
        };
        let last = |value| Some(((ROWS - 1) * SECOND, Value::Int(value)));
        assert_eq!(all(&reader), (vec![String::new()], vec![last(ROWS - 1)]));
        assert_eq!(look(&path), (1, BEFORE));

        let labelled = Point::of_series_with("m", "state=on").unwrap();
        let point = labelled.at((ROWS - 1) * SECOND, [("v".into(), Value::Int(7))]);
        Store::open(&path, later()).unwrap().write(Tier::Raw, &[point], later()).unwrap();
        assert_eq!(look(&path).0, 2);
        assert_eq!(all(&reader), (vec!["state=on".to_string()], vec![last(7)]));
        let mut points = Vec::new();
        let mut each = |point: Point| {
            points.push(point.line());
            Ok(())
        };
        let from = (ROWS - 1) * SECOND;
        reader
            .points(
                Tier::Raw,
                &Selector::default().with("state", "on"),
                Window { from, to: i64::MAX },
                &mut each,
                &|_| {},
            )
            .unwrap();
        assert_eq!(points, [format!("m,state=on v=7i {from}")]);
        reader.verify().unwrap();
        clear(&path);
    }
}
