//! A store with something in its schema that gridmon did not make: it is refused before it can do harm.

use super::*;
use gridmon::query::Read;

/// A store of a few points.
fn some() -> (TempDir, PathBuf) {
    let (folder, path, mut store) = fresh();
    store.write(Tier::Raw, &minutes(3, 1, NOON), later()).unwrap();
    (folder, path)
}

/// What is said of a store by one who writes, by one who reads, and by the dashboard.
fn said(path: &Path) -> [String; 3] {
    let measurement: &'static gridmon::model::Measurement = &gridmon::model::COVERAGE;
    let new = minutes(3, 1, NOON + HOUR);
    [
        Store::open(path, later()).and_then(|mut store| store.write(Tier::Raw, &new, later())),
        Store::open_to_read(path).and_then(|store| everything(&store.unwrap()).map(drop)),
        EmbeddedReader::new(path.to_path_buf()).latest(&[measurement], 0).map(drop),
    ]
    .map(|told| told.map_or_else(|error| format!("{error:#}"), |()| "nothing".into()))
}

/// A query that never ends.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

#[test]
fn what_gridmon_did_not_make_is_refused_by_name_and_at_once() {
    let foreign = |kind: &str, name: &str| {
        format!(
            " has the {kind} \"{name}\", which gridmon did not make and which may hide or delete rows: remove it with SQLite's own program (DROP {}), or put a copy",
            kind.to_uppercase()
        )
    };
    let damaged = |why: &str| format!(" is damaged ({why}); put a copy of it in its place");
    let view = format!(
        "ALTER TABLE tier_raw RENAME TO raw; CREATE VIEW tier_raw AS {ENDLESS} SELECT i AS bucket, i AS series, i AS field, i AS time, i AS value FROM n"
    );
    for (sql, words) in [
        ("CREATE TRIGGER eats AFTER INSERT ON tier_raw BEGIN DELETE FROM tier_raw; END", foreign("trigger", "eats")),
        (
            "CREATE TRIGGER ignores BEFORE INSERT ON tier_raw BEGIN SELECT RAISE(IGNORE); END",
            foreign("trigger", "ignores"),
        ),
        (&view, foreign("table", "raw")),
        ("DROP VIEW points; CREATE VIEW points AS SELECT 1 AS utc", damaged("view points is not as gridmon makes it")),
        ("CREATE INDEX quick ON tier_raw (time)", foreign("index", "quick")),
        ("CREATE TABLE notes (text)", foreign("table", "notes")),
        ("ALTER TABLE tier_raw ADD COLUMN more ANY", damaged("table tier_raw is not as gridmon makes it")),
        ("DROP TABLE tier_1d", damaged("no such table: tier_1d")),
        ("DROP TABLE identity", damaged("no such table: identity")),
    ] {
        let (_folder, path) = some();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(&path).unwrap();
        let began = Instant::now();
        for told in said(&path) {
            assert!(told.starts_with(&format!("{}{words}", path.display())), "{sql}:\n{told}\n{words}");
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{sql}: {:?}", began.elapsed());
        assert_eq!(fs::read(&path).unwrap(), before, "{sql}: it was changed");
    }
    // The statistics of SQLite are nobody's secret.
    let (_folder, path) = some();
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    assert_eq!(said(&path), ["nothing"; 3]);
}

#[test]
fn an_old_store_is_compared_before_it_is_migrated() {
    let folder = TempDir::new();
    let path = folder.path().join("gridmon.db");
    fs::copy(gridmon_testkit::sandbox::fixture("store/schema1.db"), &path).unwrap();
    let trigger = "CREATE TRIGGER eats AFTER UPDATE ON series BEGIN DELETE FROM tier_raw; END";
    Connection::open(&path).unwrap().execute_batch(trigger).unwrap();
    for told in said(&path) {
        assert!(told.contains(" has the trigger \"eats\", which gridmon did not make"), "{told}");
    }
    let connection = Connection::open(&path).unwrap();
    let version = || connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(version(), 1);
    connection.execute_batch("DROP TRIGGER eats").unwrap();
    assert_eq!(said(&path), ["nothing"; 3]);
    assert_eq!(version(), 6);
}

#[test]
fn a_schema_that_changes_while_the_store_is_open_is_noticed() {
    let (_folder, path) = some();
    let mut store = Store::open(&path, later()).unwrap();
    let reader = EmbeddedReader::new(path.clone());
    let measurement: &'static gridmon::model::Measurement = &gridmon::model::COVERAGE;
    reader.latest(&[measurement], 0).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TRIGGER eats AFTER INSERT ON tier_raw BEGIN DELETE FROM tier_raw; END").unwrap();
    let error = store.write(Tier::Raw, &minutes(3, 1, NOON + HOUR), later()).unwrap_err().to_string();
    assert!(error.contains("the trigger \"eats\""), "{error}");
    assert!(reader.latest(&[measurement], 0).unwrap_err().to_string().contains("the trigger \"eats\""));
    other.execute_batch("DROP TRIGGER eats").unwrap();
    store.write(Tier::Raw, &minutes(3, 1, NOON + HOUR), later()).unwrap();
    reader.latest(&[measurement], 0).unwrap();
}
