//! Creates the store's schema, migrates it to this version, and compares it with what this version knows.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, TransactionBehavior};

use super::{beside, open_unchanging};
use crate::os::files;
use crate::text::quote;

/// The `PRAGMA application_id` of a store: `gmon`.
pub(super) const APPLICATION: i64 = 0x676d_6f6e;

/// Each migrates a store from one schema version to the next. `PRAGMA user_version` counts the applied ones.
pub(super) const MIGRATIONS: [&str; 6] = [
    include_str!("1.sql"),
    include_str!("2.sql"),
    include_str!("3.sql"),
    include_str!("4.sql"),
    include_str!("5.sql"),
    include_str!("6.sql"),
];

/// Creates an empty store under another name, checks it, and moves it to `path`, unless another process just did so. A
/// half-made store at `path` could not be told from a truncated one. If it fails, it leaves nothing.
pub(super) fn make(path: &Path, migrations: &[&str]) -> Result<()> {
    let folder = path.parent().context("it has no folder")?;
    let name = path.file_name().context("it has no name")?.to_string_lossy().into_owned();
    let begins = format!("{name}.new-");
    sweep(folder, &begins)?;
    let aside = create_aside(folder, &begins)?;
    let made = fill(&aside, migrations).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(File::open(folder)?.sync_all()?),
    });
    let removed = fs::remove_file(&aside);
    for suffix in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(&aside, suffix));
    }
    made.and_then(|()| Ok(removed?))
}

/// Removes the files that processes left when they were killed in [`make`].
fn sweep(folder: &Path, begins: &str) -> Result<()> {
    let old = SystemTime::now() - Duration::from_secs(3600);
    for file in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(begins) else { continue };
        // By a wrong clock a file of this moment is old; who makes it has it open.
        let process = rest.split('-').next().and_then(|process| process.parse().ok());
        if process.is_some_and(|process| files::may_write(process, &file.path())) {
            continue;
        }
        let swept = match file.metadata().and_then(|there| there.modified()) {
            Ok(modified) if modified < old => fs::remove_file(file.path()),
            there => there.map(drop),
        };
        match swept {
            // Another process that makes the store at the same time removes its own.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Creates an empty file that no other process uses, even one with this id in another container.
fn create_aside(folder: &Path, begins: &str) -> Result<PathBuf> {
    for attempt in 0..1000 {
        let aside = folder.join(format!("{begins}{}-{attempt}", std::process::id()));
        // SQLite gives the files beside a store the mode of the store.
        match OpenOptions::new().write(true).create_new(true).mode(0o640).open(&aside) {
            Ok(_) => return Ok(aside),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| folder.display().to_string()),
        }
    }
    bail!("{} is full of {begins}…: remove them", folder.display())
}

/// Makes a store of an empty file, and checks what it made.
fn fill(aside: &Path, migrations: &[&str]) -> Result<()> {
    let mut connection = Connection::open(aside)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    // With SQLite's first journal, a commit that succeeds is in the file. From a WAL it would get there when the
    // connection is closed, which does not say whether it failed.
    migrate(&mut connection, migrations)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    ensure!(
        mode == "wal",
        "the file system cannot share memory between processes, as SQLite's WAL mode needs; set [embedded] path to a disk of this machine"
    );
    connection.close().map_err(|(_, error)| error)?;
    File::open(aside)?.sync_all()?;
    let log = fs::metadata(beside(aside, "-wal")).map_or(0, |log| log.len());
    let made = open_unchanging(aside)?;
    let number = |name| made.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let is_whole = log == 0
        && number("application_id")? == APPLICATION
        && number("user_version")? == migrations.len() as i64
        && made.query_row("PRAGMA quick_check", [], |row| Ok(row.get_ref(0)?.as_str()? == "ok"))?;
    ensure!(is_whole, "what was written did not come back; is the disk full, or does it fail?");
    Ok(())
}

/// An object of a schema: its type, name, table and SQL.
type Object = (String, String, String, Option<String>);

/// How a schema differs from the one that gridmon makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// It has an object that gridmon does not make: its type and name.
    Foreign(String, String),
    /// An object is missing or differs.
    Damaged(String),
}

/// Compares the schema of a store, of a `version` that this program knows, with the one that gridmon makes. A trigger or
/// a view could keep rows from being stored, or a query from ending.
pub(super) fn compare(connection: &Connection, version: usize) -> rusqlite::Result<Option<Difference>> {
    static MADE: [OnceLock<Vec<Object>>; MIGRATIONS.len() + 1] = [const { OnceLock::new() }; MIGRATIONS.len() + 1];
    let expected = match MADE[version].get() {
        Some(made) => made,
        None => {
            let mut made = Connection::open_in_memory()?;
            migrate(&mut made, &MIGRATIONS[..version])?;
            let mut all = Vec::new();
            objects(&made, &mut |object| {
                all.push(object);
                true
            })?;
            MADE[version].get_or_init(|| all)
        }
    };
    let mut missing: Vec<&Object> = expected.iter().collect();
    let mut difference = None;
    objects(connection, &mut |object| {
        match missing.iter().position(|known| (&known.0, &known.1) == (&object.0, &object.1)) {
            None if is_statistics(&object) => {}
            None => difference = Some(Difference::Foreign(object.0, quote(&object.1))),
            Some(at) if *missing[at] == object => drop(missing.swap_remove(at)),
            Some(_) => {
                let (kind, name, ..) = object;
                difference = Some(Difference::Damaged(format!("{kind} {name} is not as gridmon makes it")));
            }
        }
        difference.is_none()
    })?;
    let absent = || missing.first().map(|(kind, name, ..)| Difference::Damaged(format!("no such {kind}: {name}")));
    Ok(difference.or_else(absent))
}

/// Whether an object holds the statistics that SQLite's ANALYZE makes.
fn is_statistics((kind, name, _, sql): &Object) -> bool {
    let made = match name.as_str() {
        "sqlite_stat1" => "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
        "sqlite_stat4" => "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
        _ => return false,
    };
    kind == "table" && sql.as_deref() == Some(made)
}

/// Calls `each` with every object of a schema, until it returns false.
fn objects(connection: &Connection, each: &mut dyn FnMut(Object) -> bool) -> rusqlite::Result<()> {
    let mut query = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        // The spaces in the SQL depend on the version of SQLite that migrated it.
        let sql: Option<String> = row.get(3)?;
        let sql = sql.map(|sql| sql.split_whitespace().collect::<Vec<_>>().join(" "));
        if !each((row.get(0)?, row.get(1)?, row.get(2)?, sql)) {
            break;
        }
    }
    Ok(())
}

/// Returns the SQL expression for the labels of a series. A store of schema 1 has none. Not cached, since a writer may
/// migrate the store meanwhile.
pub(super) fn labels(connection: &Connection) -> rusqlite::Result<&'static str> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    Ok(if version < 2 { "''" } else { "labels" })
}

/// Whether the store says what a folded value was folded from.
pub(super) fn has_parts(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? >= 2)
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
    const NEXT: [&str; 7] = [
        MIGRATIONS[0],
        MIGRATIONS[1],
        MIGRATIONS[2],
        MIGRATIONS[3],
        MIGRATIONS[4],
        MIGRATIONS[5],
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

    /// The schema of this version.
    const NEWEST: i64 = MIGRATIONS.len() as i64;

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
    fn what_a_process_makes_is_not_swept_though_it_looks_old() {
        let folder = std::env::temp_dir().join(format!("gridmon-sweep-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // No process has the largest number.
        let [made, left] =
            [std::process::id(), u32::MAX >> 1].map(|process| folder.join(format!("s.db.new-{process}-0")));
        let files = [&made, &left].map(|path| File::create(path).unwrap());
        files.iter().for_each(|file| file.set_modified(SystemTime::UNIX_EPOCH).unwrap());
        sweep(&folder, "s.db.new-").unwrap();
        assert_eq!((made.exists(), left.exists()), (true, false));
        drop(files);
        sweep(&folder, "s.db.new-").unwrap();
        assert!(!made.exists());
        fs::remove_dir_all(&folder).unwrap();
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
    fn a_store_is_brought_to_the_next_schema_once_by_the_first_that_comes() {
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
        assert_eq!(look(&path), (NEWEST + 1, BEFORE + ROWS));
        migrate(&mut connection(&path), &NEXT).unwrap();
        assert_eq!(look(&path), (NEWEST + 1, BEFORE + ROWS));
        // To the previous version this store is newer.
        let error = Store::open(&path, later()).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!(
                "has schema {}, which a newer gridmon made; this one knows schemas up to {NEWEST}: run the newer one again",
                NEWEST + 1
            )),
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
        assert_eq!(look(&path), (NEWEST, BEFORE));
        clear(&path);
    }

    #[test]
    fn a_reader_reads_schema_1_and_what_a_writer_makes_of_it_meanwhile() {
        let path = old("read-old");
        let reader = Store::open_to_read(&path).unwrap().unwrap();
        let all = |reader: &Store| {
            let series = reader.find(&Selector::measurement("m")).unwrap();
            let wanted: Vec<_> = series.iter().map(|series| (series, "v")).collect();
            let (latest, labels) =
                (reader.latest(&wanted, i64::MAX).unwrap().0, series.iter().map(|one| one.labels.clone()));
            (labels.collect::<Vec<_>>(), latest)
        };
        let last = |value| Some(((ROWS - 1) * SECOND, Value::Int(value)));
        assert_eq!(all(&reader), (vec![String::new()], vec![last(ROWS - 1)]));
        assert_eq!(look(&path), (1, BEFORE));

        let labelled = Point::of_series_with("m", "state=on").unwrap();
        let point = labelled.at((ROWS - 1) * SECOND, [("v".into(), Value::Int(7))]);
        Store::open(&path, later()).unwrap().write(Tier::Raw, &[point], later()).unwrap();
        assert_eq!(look(&path).0, NEWEST);
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
