//! Measures the table of PanDA's queues: `cargo bench --bench queue_table`.
//!
//! 1. Averages from InfluxDB over 24 hours of raw points and 30 days of hourly ones, beside the six sums that they consist
//!    of, by curl: of 4,000 series, with `GRIDMON_SOAK=1` of 100,000. Of each hundred queues one has got other labels, a
//!    slot has no points, and an hour is covered in part.
//! 2. 20,000 rows into MariaDB, beside the same statements by its own client.
//! 3. The page of 3,000 queues, right after a change of the table.
//!
//! A part alone: `cargo bench --bench queue_table -- influxdb`, `mariadb` or `page`. `frame` describes how it measures.

mod frame;

use std::env;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gridmon::model::{Cell, Rest, Row};
use gridmon::monitors::panda::TABLE;
use gridmon::monitors::panda::table::{AVERAGED, KEYS, SUMMED};
use gridmon::rollup::averages::{Question, averages};
use gridmon::setup::{CATALOG, Config};
use gridmon::sinks::Tables;
use gridmon::sinks::embedded::{EmbeddedTables, Store};
use gridmon::sinks::influxdb::InfluxReader;
use gridmon::sinks::mysql::{Config as MysqlConfig, Mysql};
use gridmon_testkit::{Influxdb, Mariadb, TempDir, skip};

use frame::monitor::{Connection, Site};
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
    for (name, part) in [("influxdb", of_influxdb as fn(&mut Table)), ("mariadb", of_mariadb), ("page", of_page)] {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            part(&mut table);
        }
    }
    table.end()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

/// Writes 30 days of hours and 24 hours of slots, each covered but for one.
fn write_jobs(influxdb: &Influxdb, count: usize) {
    influxdb.query("CREATE DATABASE b WITH DURATION INF REPLICATION 1 NAME \"10m\"");
    influxdb.query("CREATE RETENTION POLICY \"1h\" ON b DURATION INF REPLICATION 1");
    let series = jobs_series(count, AVERAGED);
    let mut lines = String::new();
    let flush = |policy: &str, lines: &mut String| {
        influxdb.write("b", policy, lines);
        lines.clear();
    };
    for hour in 0..30 * 24 {
        let label = NOW - hour * HOUR;
        let slots = if hour == 50 { 5 } else { 6 };
        for (at, (series, offset)) in series.iter().enumerate() {
            let jobs = (at as i64 + hour) % 1000;
            let _ = writeln!(
                lines,
                "{series} corepower=14.5,jobs={jobs}.5,jobs_sum={}i,slots={slots}i {}",
                jobs * slots,
                label * 1_000_000_000 + offset
            );
            if lines.len() > 4 << 20 {
                flush("1h", &mut lines);
            }
        }
        let _ = writeln!(lines, "coverage,grid=g,measurement=jobs slots={slots}i {label}000000000");
        flush("1h", &mut lines);
    }
    for slot in (0..144).filter(|slot| *slot != 20) {
        let time = NOW - slot * SLOT;
        for (at, (series, offset)) in series.iter().enumerate() {
            let has_new_labels = at / 4 % 100 == 0 && slot <= 10;
            let state = if has_new_labels { "site_state=other" } else { "site_state=some" };
            let series = series.replace("site_state=some", state);
            let _ = writeln!(
                lines,
                "{series} corepower=14.5,jobs={}i,sequence=5i {}",
                (at as i64 + slot) % 1000,
                time * 1_000_000_000 + offset
            );
            if lines.len() > 4 << 20 {
                flush("10m", &mut lines);
            }
        }
        let _ = writeln!(lines, "coverage,grid=g,measurement=jobs slots=1i,step_seconds=600i {time}000000000");
        flush("10m", &mut lines);
    }
}

/// The averages of a table's run, beside the sums of the six windows.
fn of_influxdb(table: &mut Table) {
    let Some(influxdb) = Influxdb::start_with(&[("http.max-body-size", "0")]) else {
        skip("the averages from InfluxDB", "InfluxDB");
        return;
    };
    let count = if env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1") { 100_000 } else { 4_000 };
    table.title(&format!("averages of {count} series in InfluxDB: 24 h of raw points, 30 days of hours"));
    write_jobs(&influxdb, count);
    let port = influxdb.port;
    let login = format!("username = root\npassword = {}", Influxdb::PASSWORD);
    let config = format!("[influxdb]\nurl = http://127.0.0.1:{port}\ndatabase = b\ntimeout_seconds = 600\n{login}\n");
    let config = Config::parse(&config, "bench").expect("a config").0.influxdb.expect("its address is set");
    let reader = InfluxReader::new(&config, CATALOG).expect("a client");
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
    let found = averages(&reader, &question).expect("InfluxDB answers");
    assert!((0..count / 4).all(|at| found.of(&queue(at)).iter().flatten().all(Option::is_some)), "all averages");
    let ours = || timed(|| averages(&reader, &question).expect("InfluxDB answers"));
    let theirs = || sums(port);
    let measure = || turns(5, [&mut || theirs(), &mut || ours()]).map(median);
    let met = |[theirs, ours]: &[f64; 2]| ours / theirs <= AVERAGES_LIMIT;
    let found = table.twice(measure, met);
    let [theirs, ours] = found;
    table.line("the six sums, by curl", &seconds(theirs), &times(1.0));
    let target = format!("at most {AVERAGES_LIMIT} x");
    table.target("the averages", &seconds(ours), &times(ours / theirs), &target, met(&found));
}

/// The time of the sums over the windows' six disjoint parts, by curl.
fn sums(port: u16) -> f64 {
    let statuses = AVERAGED.map(|status| format!("\"job_status\"::tag = '{status}'")).join(" OR ");
    let end = NOW + SLOT;
    let raw = [(end - HOUR, end), (end - 6 * HOUR, end - HOUR), (end - 12 * HOUR, end - 6 * HOUR)];
    let raw = raw.into_iter().chain([(end - DAY, end - 12 * HOUR)]).map(|part| ("10m", "jobs", part));
    let end = NOW + HOUR;
    let hours = [(end - 7 * DAY, end), (end - 30 * DAY, end - 7 * DAY)].map(|part| ("1h", "jobs_sum", part));
    let mut sum = 0.0;
    for (policy, field, (from, to)) in raw.chain(hours) {
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
    let mut connection = Connection::to(site.port);
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
