//! Measures the embedded store, each figure beside plain SQLite doing the same work in the same run: `make bench`.
//!
//! 1. One minute of 5,000 points, committed with its own open as under cron: time and system calls.
//! 2. 100,000 series written six times.
//! 3. The latest values of 10,000 series.
//! 4. A month of raw values of one series, and five years of hourly ones, out of a store of a third of 1 GB, or, with
//!    `GRIDMON_SOAK=1`, of 1.2 GB.
//! 5. The memory for reading that store.
//!
//! Plain SQLite is the same library with the same pragmas on a copy of the same file. To write, it gets the finished
//! rows of integers in the order of the table, through one prepared statement; to read, the IDs of the series and
//! handwritten SQL. So the difference is the cost of all that the store adds: names, series IDs, order, the newest
//! values. Each read and write opens the file anew, on both sides, and both must give the same rows.
//!
//! `frame` describes how it measures.

mod frame;

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value, validate};
use gridmon::query::Selector;
use gridmon::sinks::embedded::{Range, Series, Store};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params};

use frame::{
    SystemCalls, Table, again, alone, clean, cost, least, median, megabytes, milliseconds, seconds, tell, timed, times,
    turns,
};
use gridmon_testkit::{TempDir, skip};

/// Maximum time of a minute's commit, as a multiple of plain SQLite's.
const COMMIT_LIMIT: f64 = 1.3;
/// Maximum time of one of six slots of 100,000 series, in seconds.
const SLOT_LIMIT: f64 = 0.25;
/// Maximum time of a read, in seconds.
const READ_LIMIT: f64 = 0.020;
/// Maximum memory of a read, in MB.
const MEMORY_LIMIT_MB: f64 = 32.0;

/// The PATH of child processes.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// The beginning of all data, in unix nanoseconds: midnight UTC, 2024-06-01.
const BEGIN: i64 = 1_717_200_000 * SECOND;

fn main() -> ExitCode {
    // This program starts itself to measure a part in a separate process.
    if let [_, part, path, more @ ..] = env::args().collect::<Vec<_>>().as_slice()
        && let Some(answer) = of_its_own(part, Path::new(path), more)
    {
        return tell(answer);
    }
    let mut table = Table::default();
    minute(&mut table);
    slots(&mut table);
    latest(&mut table);
    let big = Big::build(&table);
    big.ranges(&mut table);
    big.memory(&mut table);
    table.end()
}

// Plain SQLite.

/// A row of a tier.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    bucket: i64,
    series: i64,
    field: i64,
    time: i64,
    value: Value,
}

impl Row {
    fn read(row: &rusqlite::Row) -> rusqlite::Result<Self> {
        let value = plain_value(row, 4)?;
        Ok(Self { bucket: row.get(0)?, series: row.get(1)?, field: row.get(2)?, time: row.get(3)?, value })
    }

    /// Returns a row of the same value at another time.
    fn at(self, time: i64) -> Self {
        Self { bucket: time.div_euclid(HOUR), time: time.rem_euclid(HOUR), ..self }
    }
}

fn plain_value(row: &rusqlite::Row, at: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(at)? {
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Float(value),
        other => panic!("{other:?} is no value"),
    })
}

fn plain_open(path: &Path, mode: OpenFlags) -> Connection {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).expect("a database");
    connection.execute_batch("PRAGMA cache_size = -8000; PRAGMA synchronous = FULL").expect("pragmas");
    connection
}

/// Opens the file, commits rows and closes it.
fn plain_write(path: &Path, rows: &[Row]) {
    let mut connection = plain_open(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let transaction = connection.transaction().expect("nobody else writes");
    let insert = "INSERT INTO tier_raw (bucket, series, field, time, value) VALUES (?1, ?2, ?3, ?4, ?5)
                  ON CONFLICT DO UPDATE SET value = excluded.value";
    let mut insert = transaction.prepare(insert).expect("good SQL");
    for Row { bucket, series, field, time, value } in rows {
        match value {
            Value::Int(value) => insert.execute(params![bucket, series, field, time, value]),
            Value::Float(value) => insert.execute(params![bucket, series, field, time, value]),
        }
        .expect("a good row");
    }
    drop(insert);
    transaction.commit().expect("room on the disk");
    connection.close().expect("nothing is open");
}

/// Returns the rows of one time in a store, in the order of the table.
fn plain_rows(path: &Path, time: i64) -> Vec<Row> {
    let connection = plain_open(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let query =
        "SELECT bucket, series, field, time, value FROM tier_raw WHERE bucket = ?1 AND time = ?2 ORDER BY 1, 2, 3, 4";
    let mut query = connection.prepare(query).expect("good SQL");
    let rows = query.query_map([time.div_euclid(HOUR), time.rem_euclid(HOUR)], Row::read).expect("a store");
    rows.collect::<rusqlite::Result<_>>().expect("rows")
}

/// Checks that two stores hold the same rows: otherwise a side that does less would be the faster one.
fn expect_the_same(one: &Path, other: &Path) {
    let connection = plain_open(one, OpenFlags::SQLITE_OPEN_READ_ONLY);
    connection.execute("ATTACH ?1 AS other", [other.to_str()]).expect("a database");
    for (a, b) in [("main", "other"), ("other", "main")] {
        let differ = format!("SELECT count(*) FROM (SELECT * FROM {a}.tier_raw EXCEPT SELECT * FROM {b}.tier_raw)");
        let differ: i64 = connection.query_row(&differ, [], |row| row.get(0)).expect("good SQL");
        assert_eq!(differ, 0, "rows of {a} that are not in {b}");
    }
}

// The store.

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Returns points of one time, in the order in which delivery writes them.
fn points(count: usize, time: i64) -> Vec<Point> {
    validate(frame::points(count, time)).0
}

/// Opens the store, commits points and closes it, as a run of a program does.
fn write(path: &Path, points: &[Point]) {
    Store::open(path, soon()).and_then(|mut store| store.write(Tier::Raw, points, soon())).expect("a store");
}

fn open(path: &Path) -> Store {
    Store::open_to_read(path).expect("a store").expect("it is there")
}

// 1. One minute.

const POINTS: usize = 5_000;
/// Hours of the same series that the store already contains.
const HOURS: i64 = 3;

/// A minute in the form that each side reads.
struct Batch {
    points: Vec<Point>,
    rows: Vec<Row>,
    script: PathBuf,
}

impl Batch {
    /// Creates the batch of the minute at `time`; `rows` are those of any other minute.
    fn new(folder: &TempDir, rows: &[Row], time: i64) -> Self {
        let rows: Vec<_> = rows.iter().map(|row| row.at(time)).collect();
        let mut script = String::from("PRAGMA cache_size = -8000; PRAGMA synchronous = FULL;\nBEGIN;\n");
        for Row { bucket, series, field, time, value } in &rows {
            let _ = write!(script, "INSERT INTO tier_raw VALUES ({bucket}, {series}, {field}, {time}, ");
            let _ = match value {
                Value::Int(value) => writeln!(script, "{value});"),
                Value::Float(value) => writeln!(script, "{value:?});"),
            };
        }
        let script = folder.write(&format!("{time}.sql"), script + "COMMIT;\n");
        Self { points: points(POINTS, time), rows, script }
    }
}

fn minute(table: &mut Table) {
    table.title(&format!("a minute of {POINTS} points into a store that holds {HOURS} hours of the same series"));
    let folder = TempDir::new();
    let [store, plain, shell] = ["store.db", "plain.db", "shell.db"].map(|name| folder.path().join(name));
    for hour in 0..HOURS {
        let minutes = (0..60).map(|minute| BEGIN + hour * HOUR + minute * MINUTE);
        write(&store, &minutes.flat_map(|time| points(POINTS, time)).collect::<Vec<_>>());
    }
    let hour = BEGIN + HOURS * HOUR;
    write(&store, &points(POINTS, hour));
    let rows = plain_rows(&store, hour);
    assert_eq!(rows.len(), POINTS, "a row for each point");
    for copy in [&plain, &shell] {
        fs::copy(&store, copy).expect("room on the disk");
    }
    let sqlite3 = || clean("sqlite3", PATH);
    let version = sqlite3().arg("--version").output().ok();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.as_deref().and_then(|text| text.split(' ').next());
    if version.is_none() {
        skip("the benchmark of the sqlite3 shell", "sqlite3");
    }

    let measure = |times: &mut dyn Iterator<Item = i64>| {
        let minutes: Vec<_> = times.map(|time| Batch::new(&folder, &rows, time)).collect();
        let next = || minutes.iter().cycle();
        let (mut of_store, mut of_plain, mut of_shell) = (next(), next(), next());
        let mut shell = || {
            let read = format!(".read {}", of_shell.next()?.script.display());
            version.map(|_| cost(sqlite3().arg("-bail").arg(&shell).arg(read)).wall)
        };
        turns(
            minutes.len(),
            [
                &mut || timed(|| of_plain.next().map(|minute| plain_write(&plain, &minute.rows))),
                &mut || timed(|| of_store.next().map(|minute| write(&store, &minute.points))),
                &mut || shell().unwrap_or_default(),
            ],
        )
        .map(median)
    };
    let met = |[plain, store, _]: &[f64; 3]| store / plain <= COMMIT_LIMIT;
    let mut minute = 0;
    let one_after_another = || {
        minute += 29;
        measure(&mut (minute - 28..=minute).map(|minute| hour + minute * MINUTE))
    };
    let found = table.twice(one_after_another, met);
    let [plain_took, store_took, shell_took] = found;
    table.line("plain SQLite", &milliseconds(plain_took), &times(1.0));
    if let Some(version) = version {
        let what = format!("sqlite3 {version}, a process that reads the rows as SQL");
        table.line(&what, &milliseconds(shell_took), &times(shell_took / plain_took));
    }
    let (ratio, target) = (times(store_took / plain_took), format!("at most {}", times(COMMIT_LIMIT)));
    table.target("the store", &milliseconds(store_took), &ratio, &target, met(&found));

    // In the first minute of an hour, the store also updates the newest bucket of each series.
    let [plain_took, store_took, _] = measure(&mut (1..=15).map(|later| hour + later * HOUR));
    table.line("plain SQLite, the first minute of an hour", &milliseconds(plain_took), &times(1.0));
    let ratio = times(store_took / plain_took);
    table.line("the store, the first minute of an hour", &milliseconds(store_took), &ratio);

    // Plain SQLite needs a few more calls, to read the rows from a file.
    let time = hour + 15 * HOUR + MINUTE;
    let text = rows.iter().map(|row| row.at(time)).fold(String::new(), |text, row| {
        let Row { bucket, series, field, time, value } = row;
        let value = match value {
            Value::Int(value) => format!("i {value}"),
            Value::Float(value) => format!("f {value:?}"),
        };
        text + &format!("{bucket} {series} {field} {time} {value}\n")
    });
    let text = folder.write("rows", text);
    let plain_calls = again([OsStr::new("rows"), plain.as_os_str(), text.as_os_str()]);
    let store_calls = again([OsStr::new("points"), store.as_os_str(), time.to_string().as_ref()]);
    for (what, command) in [("plain SQLite", plain_calls), ("the store", store_calls)] {
        let what = format!("{what}, system calls of such a process");
        match SystemCalls::of(&command, &folder.path().join("system-calls")) {
            None => table.line(&what, "?", "strace is not here, or may not trace"),
            Some(calls) => {
                let synced = calls.named(&["fsync", "fdatasync"]);
                let most = format!("{synced} to sync; {}", calls.most(4));
                table.line(&what, &calls.total().to_string(), &most);
            }
        }
    }
    expect_the_same(&store, &plain);
}

// 2. Six slots.

const MANY: usize = 100_000;
const SLOTS: i64 = 6;

fn slots(table: &mut Table) {
    table.title(&format!("{MANY} series written {SLOTS} times into a new store, a time of a slot"));
    let folder = TempDir::new();
    let slots: Vec<_> = (0..SLOTS).map(|slot| points(MANY, BEGIN + slot * MINUTE)).collect();
    // An empty store, and the rows that it will receive.
    let [empty, filled] = ["empty.db", "filled.db"].map(|name| folder.path().join(name));
    drop(Store::open(&empty, soon()).expect("a store"));
    fs::copy(&empty, &filled).expect("room on the disk");
    slots.iter().for_each(|points| write(&filled, points));
    let rows: Vec<_> = (0..SLOTS).map(|slot| plain_rows(&filled, BEGIN + slot * MINUTE)).collect();
    assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), MANY * slots.len(), "a row for each point");

    let [store, plain] = ["store.db", "plain.db"].map(|name| folder.path().join(name));
    let made = |path: &PathBuf| assert!(fs::copy(&empty, path).is_ok(), "room on the disk");
    let measure = || {
        turns(
            7,
            [
                &mut || {
                    made(&plain);
                    timed(|| rows.iter().for_each(|rows| plain_write(&plain, rows))) / SLOTS as f64
                },
                &mut || {
                    made(&store);
                    timed(|| slots.iter().for_each(|points| write(&store, points))) / SLOTS as f64
                },
            ],
        )
    };
    against_plain(table, "", SLOT_LIMIT, measure);
    expect_the_same(&store, &plain);
}

// 3. The latest values.

const LATEST: usize = 10_000;

fn latest(table: &mut Table) {
    table.title(&format!("the latest value of each of {LATEST} series, of which there are 90 minutes"));
    let folder = TempDir::new();
    let path = folder.path().join("store.db");
    for begin in [0, 30, 60] {
        let minutes = (begin..begin + 30).map(|minute| BEGIN + minute * MINUTE);
        write(&path, &minutes.flat_map(|time| points(LATEST, time)).collect::<Vec<_>>());
    }
    let newest = BEGIN + 89 * MINUTE;
    let rows = plain_rows(&path, newest);
    assert_eq!(rows.len(), LATEST, "a row for each series");
    let found = open(&path).find(&Selector::default()).expect("a store");
    let fields: Vec<_> = rows.iter().map(|row| field_name(&path, row.field)).collect();
    let names: Vec<_> = rows
        .iter()
        .zip(&fields)
        .map(|(row, field)| {
            let series = found.iter().find(|series| series.id == row.series);
            (series.expect("it has a row"), field.as_str())
        })
        .collect();

    let plain = || -> rusqlite::Result<Vec<(i64, Value)>> {
        let connection = plain_open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let picture = connection.unchecked_transaction()?;
        let bucket: i64 = picture.query_row("SELECT max(bucket) FROM tier_raw", [], |row| row.get(0))?;
        let mut query = picture.prepare(
            "SELECT time, value FROM tier_raw WHERE bucket = ?1 AND series = ?2 AND field = ?3
             ORDER BY time DESC LIMIT 1",
        )?;
        let mut latest = |row: &Row| {
            query.query_row([bucket, row.series, row.field], |row| {
                Ok((bucket * HOUR + row.get::<_, i64>(0)?, plain_value(row, 1)?))
            })
        };
        rows.iter().map(&mut latest).collect()
    };
    let store = || open(&path).latest(&names, i64::MAX).expect("a store").0;
    let expected: Vec<_> = rows.iter().map(|row| Some((newest, row.value))).collect();
    assert_eq!(plain().expect("a store").into_iter().map(Some).collect::<Vec<_>>(), expected);
    assert_eq!(store(), expected);
    against_plain(table, "", READ_LIMIT, || turns(61, [&mut || timed(plain), &mut || timed(store)]));
}

fn field_name(path: &Path, id: i64) -> String {
    let connection = plain_open(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    connection.query_row("SELECT name FROM field WHERE id = ?1", [id], |row| row.get(0)).expect("it has rows")
}

/// Compares the store with plain SQLite, with a limit in seconds. Nearly all the time is computation, since the file is
/// in memory: so the best turn counts, and the median is for information.
fn against_plain(table: &mut Table, what: &str, limit: f64, measure: impl FnMut() -> [Vec<f64>; 2]) {
    let met = |[_, store]: &[Vec<f64>; 2]| least(store.iter().copied()) <= limit;
    let found = table.twice(measure, met);
    let medians = found.clone().map(median);
    let [plain, store] = found.clone().map(least);
    let with_median = |ratio: f64, median: f64| format!("{} (median {})", times(ratio), milliseconds(median));
    table.line(&format!("plain SQLite{what}"), &milliseconds(plain), &with_median(1.0, medians[0]));
    let (ratio, target) = (with_median(store / plain, medians[1]), format!("at most {}", milliseconds(limit)));
    table.target(&format!("the store{what}"), &milliseconds(store), &ratio, &target, met(&found));
}

// 4. and 5. A large store.

/// A store with a month of raw values and five years of hourly and daily ones.
struct Big {
    path: PathBuf,
    rows: usize,
    _folder: TempDir,
}

/// Returns the number of clouds with raw values in the large store, four fields each: 1.2 GB if `GRIDMON_SOAK=1` is
/// set, else a third of that.
fn clouds() -> usize {
    if env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1") { 250 } else { 60 }
}

/// Number of clouds that also have hourly and daily values.
const FOLDED: usize = 25;
const MONTH: i64 = 30 * DAY;
const FIVE_YEARS: i64 = 1826 * DAY;

impl Big {
    /// Builds the store with [`Store::write`]: a transaction for each six hours, or for as many points.
    fn build(table: &Table) -> Self {
        let folder = TempDir::new();
        let path = folder.path().join("store.db");
        let raw = clouds();
        let began = Instant::now();
        let mut store = Store::open(&path, soon()).expect("a store");
        let mut rows = 0;
        thread::scope(|scope| {
            let (give, take) = mpsc::sync_channel(1);
            // This thread makes the next points while the last ones are written.
            scope.spawn(move || {
                for (tier, clouds, step, long) in [
                    (Tier::Raw, raw, MINUTE, MONTH),
                    (Tier::Hour, FOLDED, HOUR, FIVE_YEARS),
                    (Tier::Day, FOLDED, DAY, FIVE_YEARS),
                ] {
                    let clouds: Vec<_> = (0..clouds).map(cloud).collect();
                    let times: Vec<_> = (0..long / step).map(|at| BEGIN - long + at * step).collect();
                    for times in times.chunks(360 * raw / clouds.len()) {
                        let batch =
                            |time: &i64| -> Vec<Point> { clouds.iter().map(|cloud| values(cloud, *time)).collect() };
                        let points: Vec<_> = times.iter().flat_map(batch).collect();
                        give.send((tier, points)).expect("it is taken");
                    }
                }
            });
            for (tier, points) in take {
                store.write(tier, &points, soon()).expect("room on the disk");
                rows += points.iter().map(|point| point.fields().count()).sum::<usize>();
            }
        });
        drop(store);
        let size = fs::metadata(&path).expect("just written").len() as f64 / 1e6;
        table.title(&format!(
            "a store of {} and {rows} rows: {} series each minute of a month, {} each hour and day of five years",
            megabytes(size),
            raw * 4,
            FOLDED * 4,
        ));
        table.line("writing it", &seconds(began.elapsed().as_secs_f64()), "");
        Self { path, rows, _folder: folder }
    }

    fn ranges(&self, table: &mut Table) {
        let store = open(&self.path);
        let (series, field) = one(&store);
        let number = (0..).find(|id| field_name(&self.path, *id) == field).expect("it has rows");
        for (what, tier, long, points) in [
            ("a month of raw values of one series", Tier::Raw, MONTH, 43_200),
            ("five years of hourly values of one series", Tier::Hour, FIVE_YEARS, 43_824),
            ("five years of daily values of one series", Tier::Day, FIVE_YEARS, 1_826),
        ] {
            let (bucket, name) = match tier {
                Tier::Raw => (HOUR, "tier_raw"),
                Tier::Hour => (DAY, "tier_1h"),
                Tier::Day => (32 * DAY, "tier_1d"),
            };
            let from = BEGIN - long;
            // Lists the buckets one by one: otherwise SQLite cannot use an index with the bucket before the series.
            let query = format!(
                "WITH RECURSIVE buckets (bucket) AS (SELECT ?1 UNION ALL SELECT bucket + 1 FROM buckets WHERE bucket < ?2)
                 SELECT rows.bucket * {bucket} + time, value FROM buckets CROSS JOIN {name} AS rows
                 ON rows.bucket = buckets.bucket AND series = ?3 AND field = ?4
                 AND rows.bucket * {bucket} + time BETWEEN ?5 AND ?6"
            );
            let plain = || -> rusqlite::Result<Vec<(i64, Value)>> {
                let connection = plain_open(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY);
                let mut query = connection.prepare(&query)?;
                let (first, last) = (from.div_euclid(bucket), (BEGIN - 1).div_euclid(bucket));
                let parameters = params![first, last, series.id, number, from, BEGIN - 1];
                query.query_map(parameters, |row| Ok((row.get(0)?, plain_value(row, 1)?)))?.collect()
            };
            let store = || open(&self.path).range(&[(&series, field)], from, BEGIN, points).expect("a store");
            let expected = vec![plain().expect("a store")];
            let Range { tier: found_tier, values, .. } = store();
            assert!((found_tier, &values) == (tier, &expected), "{what}: the store says otherwise");
            assert_eq!(expected[0].len(), points);
            against_plain(table, &format!(", {what}"), READ_LIMIT, || {
                turns(41, [&mut || timed(plain), &mut || timed(store)])
            });
        }
    }

    fn memory(&self, table: &mut Table) {
        let in_its_own = |part: &str| {
            let mut said = Default::default();
            let took = timed(|| said = alone([OsStr::new(part), self.path.as_os_str()]));
            let (count, memory): (String, f64) = said;
            (count.parse::<usize>().expect("a number"), memory, took)
        };
        let (count, memory, plain) = in_its_own("plain-all");
        assert_eq!(count, self.rows);
        let beside = format!("read in {}", seconds(plain));
        table.line("plain SQLite, peak memory for every row", &megabytes(memory), &beside);
        for (part, what, rows) in [
            ("all", "every point, Store::points", self.rows),
            ("range", "a month of raw values of one series", 43_200),
            ("latest", "the latest values of all series", clouds() * 4),
            ("status", "what each tier holds, status", self.rows),
        ] {
            let mut measured = (0, 0.0, 0.0);
            let measure = || {
                measured = in_its_own(part);
                measured.1
            };
            let met = |memory: &f64| *memory < MEMORY_LIMIT_MB;
            let memory = table.twice(measure, met);
            assert_eq!(measured.0, rows, "{what}: not all of it");
            let beside = if part == "all" { format!("read in {}", times(measured.2 / plain)) } else { String::new() };
            let target = format!("under {}", megabytes(MEMORY_LIMIT_MB));
            table.target(&format!("the store, {what}"), &megabytes(memory), &beside, &target, met(&memory));
        }
    }
}

/// Returns a cloud of the large store, without values.
fn cloud(number: usize) -> Point {
    let cloud = gridmon::setup::CATALOG.measurement("grid_cloud").expect("collect-grid sends it");
    cloud.point(0, ["heprc", &format!("cc-east-{number:03}")], &[])
}

/// Returns the values of a cloud at a time.
fn values(cloud: &Point, time: i64) -> Point {
    let noise = (time / MINUTE).wrapping_mul(0x5851_f42d_4c95_7f2d) >> 48;
    let fields = [("enabled", 1), ("kflops", 1_500_000_000 + noise), ("mips", 20_000 + noise), ("quota", 50)];
    cloud.at(time, fields.map(|(name, value)| (name.into(), Value::Int(value))))
}

/// Returns a series in the middle of the large store, with values in all tiers.
fn one(store: &Store) -> (Series, &'static str) {
    let filter = Selector::measurement("grid_cloud").with("cloud", &format!("cc-east-{:03}", FOLDED / 2));
    (store.find(&filter).expect("a store").remove(0), "mips")
}

/// Runs a part that is measured in a separate process, and returns its count.
fn of_its_own(part: &str, path: &Path, more: &[String]) -> Option<usize> {
    match (part, more) {
        ("points", [time]) => {
            write(path, &points(POINTS, time.parse().ok()?));
            Some(POINTS)
        }
        ("rows", [file]) => {
            let text = fs::read_to_string(file).expect("the rows");
            let row = |line: &str| {
                let mut words = line.split(' ');
                let mut number = || words.next()?.parse().ok();
                let (bucket, series, field, time) = (number()?, number()?, number()?, number()?);
                let value = match (words.next()?, words.next()?) {
                    ("i", value) => Value::Int(value.parse().ok()?),
                    (_, value) => Value::Float(value.parse().ok()?),
                };
                Some(Row { bucket, series, field, time, value })
            };
            let rows: Vec<_> = text.lines().map(|line| row(line).expect("a row")).collect();
            plain_write(path, &rows);
            Some(rows.len())
        }
        ("plain-all", []) => {
            let connection = plain_open(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
            let mut count = 0;
            for tier in ["tier_raw", "tier_1h", "tier_1d"] {
                let query = format!("SELECT bucket, series, field, time, value FROM {tier} ORDER BY 1, 2, 3, 4");
                let mut query = connection.prepare(&query).expect("good SQL");
                let mut rows = query.query([]).expect("a store");
                while let Some(row) = rows.next().expect("a row") {
                    black_box(Row::read(row).expect("a row"));
                    count += 1;
                }
            }
            Some(count)
        }
        ("all", []) => {
            let (store, mut count) = (open(path), 0);
            for tier in Tier::ALL {
                let mut each = |point: Point| {
                    count += black_box(point).fields().count();
                    Ok(())
                };
                store
                    .points(tier, &Selector::default(), gridmon::model::Window::ALL, &mut each, &|_| ())
                    .expect("a store");
            }
            Some(count)
        }
        ("range", []) => {
            let store = open(path);
            let (series, field) = one(&store);
            let found = store.range(&[(&series, field)], BEGIN - MONTH, BEGIN, 43_200).expect("a store");
            Some(found.values[0].len())
        }
        ("latest", []) => {
            let grid_cloud = gridmon::setup::CATALOG.measurement("grid_cloud").expect("collect-grid sends it");
            Some(open(path).newest(&[grid_cloud], &[], i64::MAX).expect("a store").values.len())
        }
        ("status", []) => Some(open(path).status().expect("a store").iter().map(|tier| tier.rows).sum()),
        _ => None,
    }
}
