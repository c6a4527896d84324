//! Measures the table of PanDA's queues: `cargo bench --bench queue_table`.
//!
//! 1. Averages from InfluxDB over 24 hours of raw points and 30 days of hourly ones, beside the six sums that they consist
//!    of, by curl: of 4,000 series, with `GRIDMON_SOAK=1` of 100,000. Of each hundred queues one has got other labels, a
//!    slot has no points, and an hour is covered in part.
//! 2. The same from the embedded store, beside the six sums in SQL.
//! 3. 20,000 rows into MariaDB, beside the same statements by its own client.
//! 4. The page of 3,000 queues, right after a change of the table.
//!
//! A part alone: `cargo bench --bench queue_table -- influxdb`, `embedded`, `mariadb` or `page`. `frame` describes how it
//! measures.

mod frame;

use std::env;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gridmon::model::{Cell, Point, Rest, Row, Tier};
use gridmon::monitors::panda::TABLE;
use gridmon::monitors::panda::table::{AVERAGED, KEYS, SUMMED};
use gridmon::query::Scan;
use gridmon::rollup::averages::{Question, averages};
use gridmon::setup::{CATALOG, Config};
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedReader, EmbeddedTables, Store};
use gridmon::sinks::influxdb::InfluxReader;
use gridmon::sinks::mysql::{Config as MysqlConfig, Mysql};
use gridmon_testkit::{Influxdb, Mariadb, TempDir, skip};
use rusqlite::{Connection, params};

use frame::monitor::{self, Site};
use frame::{Table, clean, cost, jobs_series, median, milliseconds, seconds, timed, times, turns};

/// The newest slot, 2024-06-11 09:00 UTC, in unix seconds.
const NOW: i64 = 1_718_096_400;
const SLOT: i64 = 600;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// The most time of all averages, as a multiple of the sums.
const AVERAGES_LIMIT: f64 = 1.2;
/// The most time of the rows, as a multiple of the statements.
const ROWS_LIMIT: f64 = 1.5;
/// The most time of the page, in milliseconds, and its most bytes, in kB.
const PAGE_LIMIT_MS: f64 = 50.0;
const PAGE_LIMIT_KB: f64 = 200.0;

fn main() -> ExitCode {
    let mut table = Table::default();
    let asked: Vec<_> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [(_, fn(&mut Table)); 4] =
        [("influxdb", of_influxdb), ("embedded", of_embedded), ("mariadb", of_mariadb), ("page", of_page)];
    for (name, part) in parts {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            part(&mut table);
        }
    }
    table.end()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

/// The lines that wait to be written into a policy, a few megabytes at a time.
struct Lines<'a> {
    influxdb: &'a Influxdb,
    policy: &'static str,
    text: String,
}

impl<'a> Lines<'a> {
    fn of(influxdb: &'a Influxdb, policy: &'static str) -> Self {
        Self { influxdb, policy, text: String::new() }
    }

    fn push(&mut self, series: &str, fields: std::fmt::Arguments, time: i64) {
        let _ = writeln!(self.text, "{series} {fields} {time}");
        if self.text.len() > 4 << 20 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.influxdb.write("b", self.policy, &self.text);
            self.text.clear();
        }
    }
}

/// Writes 30 days of hours and 24 hours of slots, each covered but for one. A shard after the other and a series after the other:
/// each series lies in few blocks then. Hour by hour, 100,000 series lie in millions of blocks of a few values, which
/// InfluxDB merges over and over, until it takes no more.
fn write_jobs(influxdb: &Influxdb, count: usize) {
    influxdb.query("CREATE DATABASE b WITH DURATION INF REPLICATION 1 NAME \"10m\"");
    influxdb.query("CREATE RETENTION POLICY \"1h\" ON b DURATION INF REPLICATION 1");
    let series = jobs_series(count, AVERAGED);
    let mut hours = Lines::of(influxdb, "1h");
    let labels: Vec<_> = (0..30 * 24).rev().map(|hour| (hour, NOW - hour * HOUR)).collect();
    let slots = |hour: i64| if hour == 50 { 5 } else { 6 };
    // A shard has a week, from Monday on.
    for shard in labels.chunk_by(|a, b| (a.1 + 3 * DAY) / (7 * DAY) == (b.1 + 3 * DAY) / (7 * DAY)) {
        for (at, (series, offset)) in series.iter().enumerate() {
            for (hour, label) in shard {
                let (jobs, slots) = ((at as i64 + hour) % 1000, slots(*hour));
                let fields = format_args!("jobs={jobs}.5,jobs_sum={}i,slots={slots}i", jobs * slots);
                hours.push(series, fields, label * 1_000_000_000 + offset);
            }
        }
        for (hour, label) in shard {
            let fields = format_args!("slots={}i", slots(*hour));
            hours.push("coverage,grid=g,measurement=jobs", fields, label * 1_000_000_000);
        }
        hours.flush();
    }
    let mut raw = Lines::of(influxdb, "10m");
    let slots: Vec<_> = (0..144).rev().filter(|slot| *slot != 20).map(|slot| (slot, NOW - slot * SLOT)).collect();
    for (at, (series, offset)) in series.iter().enumerate() {
        let other = series.replace("site_state=some", "site_state=other");
        for (slot, time) in &slots {
            let has_new_labels = at / 4 % 100 == 0 && *slot <= 10;
            let fields = format_args!("jobs={}i,sequence=5i", (at as i64 + slot) % 1000);
            raw.push(if has_new_labels { &other } else { series }, fields, time * 1_000_000_000 + offset);
        }
    }
    for (_, time) in &slots {
        let fields = format_args!("slots=1i,step_seconds=600i");
        raw.push("coverage,grid=g,measurement=jobs", fields, time * 1_000_000_000);
    }
    raw.flush();
}

fn series_count() -> usize {
    if env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1") { 100_000 } else { 4_000 }
}

/// Measures the averages of a table's run from a store, beside the sums of the six windows.
fn measure_averages(table: &mut Table, store: &dyn Scan, count: usize, (what, sums): (&str, &dyn Fn() -> f64)) {
    let question = Question {
        measurement: "jobs",
        field: "jobs",
        by: &KEYS,
        status: "job_status",
        statuses: &AVERAGED,
        summed: &SUMMED,
        sequence: "sequence",
        slot: NOW,
    };
    let queue = |at: usize| [format!("QUEUE_{at}"), "managed".into(), "MCORE".into()];
    let found = averages(store, &question).expect("the store answers");
    assert!((0..count / 4).all(|at| found.of(&queue(at)).iter().flatten().all(Option::is_some)), "all averages");
    let ours = || timed(|| averages(store, &question).expect("the store answers"));
    let measure = || turns(5, [&mut || sums(), &mut || ours()]).map(median);
    let met = |[theirs, ours]: &[f64; 2]| ours / theirs <= AVERAGES_LIMIT;
    let found = table.twice(measure, met);
    let [theirs, ours] = found;
    table.line(what, &seconds(theirs), &times(1.0));
    let target = format!("at most {AVERAGES_LIMIT} x");
    table.target("the averages", &seconds(ours), &times(ours / theirs), &target, met(&found));
}

/// The averages from InfluxDB.
fn of_influxdb(table: &mut Table) {
    // The merging of its files takes turns with what is measured instead of every core.
    let settings = [("http.max-body-size", "0"), ("data.max-concurrent-compactions", "1")];
    let Some(influxdb) = Influxdb::start_with(&settings) else {
        skip("the averages from InfluxDB", "InfluxDB");
        return;
    };
    let count = series_count();
    table.title(&format!("averages of {count} series in InfluxDB: 24 h of raw points, 30 days of hours"));
    let filling = timed(|| write_jobs(&influxdb, count));
    table.line("(filling it)", &seconds(filling), "");
    let port = influxdb.port;
    let login = format!("username = root\npassword = {}", Influxdb::PASSWORD);
    let config = format!("[influxdb]\nurl = http://127.0.0.1:{port}\ndatabase = b\ntimeout_seconds = 600\n{login}\n");
    let config = Config::parse(&config, "bench").expect("a config").0.influxdb.expect("its address is set");
    let reader = InfluxReader::new(&config, CATALOG).expect("a client");
    let theirs = || sums(port);
    measure_averages(table, &reader, count, ("the six sums, by curl", &theirs));
}

/// The six disjoint parts of the windows: retention policy, field, from and to in unix seconds.
fn parts_of_windows() -> [(&'static str, &'static str, (i64, i64)); 6] {
    let (end, of_hours) = (NOW + SLOT, NOW + HOUR);
    let raw = |part| ("10m", "jobs", part);
    let hours = |part| ("1h", "jobs_sum", part);
    [
        raw((end - HOUR, end)),
        raw((end - 6 * HOUR, end - HOUR)),
        raw((end - 12 * HOUR, end - 6 * HOUR)),
        raw((end - DAY, end - 12 * HOUR)),
        hours((of_hours - 7 * DAY, of_hours)),
        hours((of_hours - 30 * DAY, of_hours - 7 * DAY)),
    ]
}

/// The time of the sums over these parts, by curl.
fn sums(port: u16) -> f64 {
    let statuses = AVERAGED.map(|status| format!("\"job_status\"::tag = '{status}'")).join(" OR ");
    let mut sum = 0.0;
    for (policy, field, (from, to)) in parts_of_windows() {
        let query = format!(
            "SELECT sum(\"{field}\"::field) FROM b.\"{policy}\".jobs WHERE time >= {from}s AND time < {to}s AND ({statuses}) \
             GROUP BY panda_queue, prod_source, resource, job_status"
        );
        let mut curl = clean("/usr/bin/curl", "/usr/bin:/bin");
        curl.args(["-sS", "-f", "-G", "--compressed", "-u", &format!("root:{}", Influxdb::PASSWORD)]);
        curl.args(["-o", "/dev/null", "--data-urlencode", &format!("q={query}")]);
        curl.args(["--data-urlencode", "epoch=ns", "--data-urlencode", "chunked=true"]);
        curl.arg(format!("http://127.0.0.1:{port}/query?db=b"));
        sum += cost(&mut curl).wall;
    }
    sum
}

/// The averages from the embedded store.
fn of_embedded(table: &mut Table) {
    let count = series_count();
    table.title(&format!("averages of {count} series in the embedded store: 24 h of raw points, 30 days of hours"));
    let folder = TempDir::new();
    let path = folder.path().join("gridmon.db");
    let filling = timed(|| fill_store(&path, count).expect("room on the disk"));
    table.line("(filling it)", &seconds(filling), "");
    let plain = Connection::open(&path).expect("a store");
    let theirs = || timed(|| sums_in_sql(&plain).expect("sums"));
    measure_averages(table, &EmbeddedReader::new(path), count, ("the six sums, in SQL", &theirs));
}

/// Writes the newest slot and hour of each series, and all others as copies of them.
fn fill_store(path: &Path, count: usize) -> rusqlite::Result<()> {
    let series = jobs_series(count, AVERAGED);
    let mut store = Store::open(path, later()).expect("a store");
    let mut write = |tier, fields: &str, coverage: &str| {
        let jobs = series.iter().map(|(series, offset)| format!("{series} {fields} {}", NOW * 1_000_000_000 + offset));
        let coverage = format!("coverage,grid=g,measurement=jobs {coverage} {NOW}000000000");
        let point = |line: String| {
            let mut point = Point::from_line(&line).expect("a line");
            CATALOG.declare(&mut point);
            point
        };
        let points: Vec<_> = jobs.chain([coverage]).map(point).collect();
        points.chunks(10_000).for_each(|some| store.write(tier, some, later()).expect("room on the disk"));
    };
    write(Tier::Raw, "jobs=7i,sequence=5i", "slots=1i,step_seconds=600i");
    write(Tier::Hour, "jobs_sum=42i,slots=6i", "slots=6i");
    drop(store);
    let plain = Connection::open(path)?;
    plain.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_size_limit = 0")?;
    for (tier, bucket, step, steps) in [("raw", HOUR, SLOT, 144), ("1h", DAY, HOUR, 30 * 24)] {
        plain.execute_batch(&format!(
            "CREATE TEMP TABLE seed_{tier} AS SELECT series, field, time % 1000000000 AS beyond, value FROM tier_{tier}"
        ))?;
        let times: Vec<_> = (0..steps).rev().map(|back| NOW - back * step).collect();
        for times in times.chunk_by(|a, b| a.div_euclid(bucket) == b.div_euclid(bucket)) {
            let within = times.iter().map(|time| format!("({})", time.rem_euclid(bucket)));
            let within = within.collect::<Vec<_>>().join(", ");
            plain.execute_batch(&format!(
                "WITH times (at) AS (VALUES {within})
                 INSERT OR IGNORE INTO tier_{tier} (bucket, series, field, time, value)
                 SELECT {}, series, field, at * 1000000000 + beyond, value FROM seed_{tier} CROSS JOIN times;
                 PRAGMA wal_checkpoint(TRUNCATE)",
                times[0].div_euclid(bucket)
            ))?;
        }
    }
    // A slot has no points, and an hour is covered in part.
    let (slot, hour) = (NOW - 20 * SLOT, NOW - 50 * HOUR);
    plain.execute(
        "DELETE FROM tier_raw WHERE bucket = ?1 AND time / 1000000000 = ?2",
        params![slot.div_euclid(HOUR), slot.rem_euclid(HOUR)],
    )?;
    plain.execute(
        "UPDATE tier_1h SET value = value / 6 * 5 WHERE bucket = ?1 AND time / 1000000000 = ?2",
        params![hour.div_euclid(DAY), hour.rem_euclid(DAY)],
    )?;
    Ok(())
}

/// The sums over the windows' six disjoint parts, by SQLite.
fn sums_in_sql(plain: &Connection) -> rusqlite::Result<i64> {
    let mut all = 0;
    for (policy, field, (from, to)) in parts_of_windows() {
        let (tier, bucket) = if policy == "10m" { ("raw", HOUR) } else { ("1h", DAY) };
        let query = format!(
            "SELECT series, sum(value) FROM tier_{tier} WHERE bucket BETWEEN ?1 AND ?2 AND field = (SELECT id FROM field WHERE name = ?3)
             AND bucket * {bucket} + time / 1000000000 >= ?4 AND bucket * {bucket} + time / 1000000000 < ?5 GROUP BY series"
        );
        let mut query = plain.prepare(&query)?;
        let within = params![from.div_euclid(bucket), (to - 1).div_euclid(bucket), field, from, to];
        let mut rows = query.query(within)?;
        while let Some(row) = rows.next()? {
            all += row.get::<_, i64>(1)?;
        }
    }
    Ok(all)
}

/// The count of a row in a column.
fn counted(at: usize, column: &str, more: i64) -> i64 {
    (at as i64 * 31 + column.len() as i64 + more) % 997
}

/// A row of the table: 40 queues a site, 30 sites a cloud.
fn row(at: usize, more: i64) -> Row {
    let cell = |name: &str| match name {
        "panda_queue" => Cell::Text(format!("QUEUE_{at}_MCORE")),
        "prod_source" => Cell::Text("managed".into()),
        "resource" => Cell::Text("MCORE".into()),
        "atlas_site" => Cell::Text(format!("SITE-{}", at / 40)),
        "cloud" => Cell::Text(format!("C{}", at / 1200)),
        "type" | "country" | "federation" | "site_state" | "tier" | "resource_type" => {
            Cell::Text(format!("some {name}"))
        }
        "datadisk_name" => Cell::Text(format!("SITE-{}_DATADISK", at / 40)),
        // One queue of a hundred has stopped running its jobs.
        "running_jobs" if at % 100 == 99 => Cell::Int(0),
        name if name.starts_with("avg") => {
            let count = counted(at, name.split_once('_').map_or(name, |(_, of)| of), more);
            Cell::Real(count as f64 * (0.9 + (at + name.len()) as f64 % 20.0 / 100.0))
        }
        name if name.ends_with("_jobs") || name == "datadisk_files" => Cell::Int(counted(at, name, more)),
        "slot" => Cell::Int(NOW),
        _ => Cell::Real(more as f64 / 8.0),
    };
    TABLE.columns.iter().map(|column| cell(column.name)).collect()
}

/// The rows as statements.
fn statements(rows: &[Row]) -> String {
    let names: Vec<_> = TABLE.columns.iter().map(|column| format!("`{}`", column.name)).collect();
    let updates: Vec<_> = names[TABLE.keys..].iter().map(|name| format!("{name} = VALUES({name})")).collect();
    let mut sql = "START TRANSACTION;\n".to_string();
    for part in rows.chunks(500) {
        let rows = part.iter().map(|row| {
            let cells = row.iter().map(|cell| match cell {
                Cell::Null => "NULL".into(),
                Cell::Text(text) => format!("'{text}'"),
                Cell::Real(value) => format!("{value:?}"),
                Cell::Int(value) => value.to_string(),
            });
            format!("({})", cells.collect::<Vec<String>>().join(","))
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let _ = writeln!(
            sql,
            "INSERT INTO jobs ({}) VALUES {rows} ON DUPLICATE KEY UPDATE {};",
            names.join(","),
            updates.join(",")
        );
    }
    sql + "COMMIT;\n"
}

fn of_mariadb(table: &mut Table) {
    const ROWS: usize = 20_000;
    table.title("20,000 rows of the table into MariaDB");
    let Some(mariadb) = Mariadb::start() else {
        skip("the rows into MariaDB", "MariaDB");
        return;
    };
    let tables = Mysql::new(MysqlConfig {
        host: "127.0.0.1".into(),
        port: mariadb.port,
        database: "b".into(),
        username: "monit".into(),
        password: Mariadb::PASSWORD.into(),
        is_verified: false,
        ca: None,
        timeout_seconds: 60,
    });
    tables.setup(&TABLE, later()).expect("a table");
    let folder = TempDir::new();
    // All rows change each time.
    let sets = [1, 2].map(|more| (0..ROWS).map(|at| row(at, more)).collect::<Vec<_>>());
    let file = folder.write("rows.sql", statements(&sets[0]));
    let theirs = || timed(|| mariadb.run_file("b", &file));
    let ours = || timed(|| tables.write(&TABLE, &sets[1], Rest::Removed, later()).expect("MariaDB takes them"));
    theirs();
    let measure = || turns(7, [&mut || theirs(), &mut || ours()]).map(median);
    let met = |[theirs, ours]: &[f64; 2]| ours / theirs <= ROWS_LIMIT;
    let found = table.twice(measure, met);
    let [theirs, ours] = found;
    assert_eq!(tables.read(&TABLE, later()).expect("MariaDB answers").len(), ROWS);
    table.line("the statements, by its own client", &seconds(theirs), &times(1.0));
    let target = format!("at most {ROWS_LIMIT} x");
    table.target("the table", &seconds(ours), &times(ours / theirs), &target, met(&found));
}

fn of_page(table: &mut Table) {
    const QUEUES: usize = 3000;
    table.title("the page of 3,000 queues");
    let folder = TempDir::new();
    let path = folder.path().join("gridmon.db");
    let tables = EmbeddedTables { place: path.clone().into() };
    let write = |more: i64| {
        let rows: Vec<_> = (0..QUEUES).map(|at| row(at, more)).collect();
        tables.write(&TABLE, &rows, Rest::Removed, later()).expect("room on the disk");
    };
    write(0);
    drop(Store::open(&path, later()).expect("a store"));
    let site = Site::start(&folder, &path);
    let mut connection = monitor::Connection::to(site.port);
    let mut bytes = connection.get("/pages/panda/").len();
    let (mut changed, mut again) = (Vec::new(), Vec::new());
    let mut measure = || {
        for more in 1..8 {
            write(more);
            changed.push(timed(|| bytes = connection.get("/pages/panda/").len()));
            again.push(timed(|| connection.get("/pages/panda/")));
        }
        (median(std::mem::take(&mut changed)), median(std::mem::take(&mut again)))
    };
    let met = |(changed, _): &(f64, f64)| changed * 1e3 <= PAGE_LIMIT_MS;
    let found = table.twice(&mut measure, met);
    let target = format!("at most {PAGE_LIMIT_MS} ms");
    table.target("right after a change of the table", &milliseconds(found.0), "", &target, met(&found));
    table.line("  with nothing changed", &milliseconds(found.1), "");
    let kilobytes = bytes as f64 / 1000.0;
    let target = format!("at most {PAGE_LIMIT_KB} kB");
    table.target("transferred, compressed", &format!("{kilobytes:.0} kB"), "", &target, kilobytes <= PAGE_LIMIT_KB);
}
