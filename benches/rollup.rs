//! Measures downsample-1h and downsample-1d: `cargo bench --bench rollup`.
//!
//! 1. The embedded store: an hour and a day of 100,000 series, and a year of 1,000 series at ten minutes (a month of it, or
//!    with `GRIDMON_SOAK=1` all of it), each as a program of its own, with its memory.
//! 2. InfluxDB: an hour of 100,000 series of `jobs`, beside the bare queries and writes that it consists of, by curl, and
//!    beside InfluxDB's own `SELECT mean() INTO`.
//! 3. The fold of an hour beside the original's algorithm in Python, which matches every key set against every series.
//!
//! `frame` describes how it measures.

mod frame;

use std::env;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use gridmon::model::{COVERAGE, Measurement, Point, SECOND, Tier, Value};
use gridmon::rollup::{Begins, Coverage, HOUR, Parts, WindowFold};
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::{Folded, Store};
use gridmon::sinks::windows::{Record, Windows};

use frame::{Table, clean, cost, jobs_series, least, megabytes, memory_mb, seconds, timed, times};
use gridmon_testkit::{Influxdb, TempDir, program, skip};

/// 2024-06-01 00:00:00 UTC, in unix seconds.
const D: i64 = 1_717_200_000;
const MANY: usize = 100_000;
const PATH: &str = "/usr/bin:/bin";

/// The most memory of a run, in MB.
const MEMORY_LIMIT_MB: f64 = 128.0;
/// The longest that an hour, a day and a year may take, in seconds.
const HOUR_LIMIT: f64 = 1.0;
const DAY_LIMIT: f64 = 5.0;
const YEAR_LIMIT: f64 = 60.0;
/// The most time of an hour in InfluxDB, as a multiple of the bare requests.
const INFLUXDB_LIMIT: f64 = 1.5;

fn main() -> ExitCode {
    let mut table = Table::default();
    table.title("The embedded store");
    embedded(&mut table);
    year(&mut table);
    table.title("InfluxDB");
    influxdb(&mut table);
    table.title("Beside the original's algorithm");
    original(&table);
    table.end()
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn measurement(name: &str) -> &'static Measurement {
    CATALOG.measurement(name).expect("it is declared")
}

/// The points of a slot: one count of many series, and its coverage.
fn slot(count: usize, time: i64) -> Vec<Point> {
    let slots = gridmon::model::Field::<i64>::count("slots", "slots", "as collect-grid has it");
    let of = |at: usize| {
        let (cloud, slot) = (format!("cc-east-{}", at / 256), format!("slot1_{}", at % 256));
        measurement("grid_slots").point(time * SECOND, ["heprc", &cloud, "worker", &slot], &[slots.of(at as i64 % 64)])
    };
    let fields = [gridmon::model::collected::SLOTS.of(1), gridmon::model::collected::STEP.of(600)];
    let coverage = COVERAGE.point(time * SECOND, ["heprc", "grid_slots"], &fields);
    (0..count).map(of).chain([coverage]).collect()
}

/// A folder with a config and a store.
fn place(more: &str) -> TempDir {
    let folder = TempDir::new();
    fs::create_dir(folder.path().join("state")).expect("a folder of ours");
    let state = folder.path().join("state").display().to_string();
    folder.write(
        "config.cfg",
        format!("[grid]\nname = heprc\n[state]\ndirectory = {state}\n[panda]\ndeadline_seconds = 3600\n{more}"),
    );
    folder
}

fn command(folder: &TempDir, name: &str, more: &[&str], now: i64) -> Command {
    let mut command = clean(program(name), PATH);
    command.args(["-c", "config.cfg", "--now", &now.to_string()]).args(more).current_dir(folder.path());
    command
}

fn store(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("state/gridmon.db")
}

fn embedded(table: &mut Table) {
    let folder = place("[embedded]\nkeep_raw_days = forever\n");
    let mut writer = Store::open(&store(&folder), later()).expect("a store");
    for at in 0..12 {
        writer.write(Tier::Raw, &slot(MANY, D + 600 * at), later()).expect("room on the disk");
    }
    let hour = cost(&mut command(&folder, "downsample-1h", &[], D + 3900)).wall;
    let memory = memory_mb(&mut command(&folder, "downsample-1h", &[], D + 7500));
    let ok = hour <= HOUR_LIMIT;
    table.target("an hour of 100,000 series", &seconds(hour), "", &format!("at most {HOUR_LIMIT} s"), ok);
    let bound = format!("at most {MEMORY_LIMIT_MB} MB");
    table.target("its memory", &megabytes(memory), "", &bound, memory <= MEMORY_LIMIT_MB);

    // The other hours of the day, as runs have folded them.
    for at in 3..=24 {
        let label = D + 3600 * at;
        let folded = |mut point: Point| {
            let value = point.fields().next().map_or(0.0, |(_, value)| value.as_f64());
            let name = point.fields().next().map(|(name, _)| name.to_string()).unwrap_or_default();
            let parts = Parts {
                sum: Value::Int(6 * value as i64),
                slots: 6,
                least: Value::Int(value as i64),
                most: Value::Int(value as i64),
            };
            let mut fields = vec![(name.into(), Value::Float(value))];
            if point.measurement() == COVERAGE.name {
                fields = vec![("slots".into(), Value::Int(6))];
            }
            point = point.at(label * SECOND, fields);
            Folded { point, parts: vec![parts] }
        };
        let points: Vec<_> = slot(MANY, label).into_iter().map(folded).collect();
        writer.write_folded(Tier::Hour, &points, later()).expect("room on the disk");
    }
    drop(writer);
    let windows = Windows::new(&folder.path().join("state"), "embedded", Tier::Hour);
    let done = D + 86_400;
    let record = windows.record().expect("a record").unwrap_or_default();
    windows.keep(&Record { begun: done, done, ..record }).expect("a folder of ours");
    let mut day = command(&folder, "downsample-1d", &[], D + 86_400 + 360);
    let took = cost(&mut day).wall;
    table.target("a day of 100,000 series", &seconds(took), "", &format!("at most {DAY_LIMIT} s"), took <= DAY_LIMIT);
    // Again, from the same hours.
    let from = D.to_string();
    let memory = memory_mb(&mut command(&folder, "downsample-1d", &["--from", &from], D + 86_400 + 360));
    table.target("its memory", &megabytes(memory), "", &bound, memory <= MEMORY_LIMIT_MB);
}

/// A year of 1,000 series, or a month.
fn year(table: &mut Table) {
    let is_whole = env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1");
    let days = if is_whole { 365 } else { 30 };
    let folder = place("[embedded]\nkeep_raw_days = forever\n");
    let mut writer = Store::open(&store(&folder), later()).expect("a store");
    for hour in 0..days * 24 {
        let points: Vec<_> = (0..6).flat_map(|at| slot(1000, D + hour * 3600 + at * 600)).collect();
        writer.write(Tier::Raw, &points, later()).expect("room on the disk");
    }
    drop(writer);
    let now = D + days * 86_400 + 600;
    let took = cost(&mut command(&folder, "downsample-1d", &[], now)).wall;
    let limit = YEAR_LIMIT * days as f64 / 365.0;
    let what = format!("{days} days of 1,000 series at ten minutes, hours and days");
    table.target(&what, &seconds(took), "", &format!("at most {limit:.1} s"), took <= limit);
    let from = D.to_string();
    let memory = memory_mb(&mut command(&folder, "downsample-1h", &["--from", &from], now));
    let bound = format!("at most {MEMORY_LIMIT_MB} MB");
    table.target("its memory, anew", &megabytes(memory), "", &bound, memory <= MEMORY_LIMIT_MB);
}

/// The lines of a slot of `jobs` with 21 tags.
fn jobs_lines(count: usize, time: i64) -> Vec<String> {
    let series = jobs_series(count, ["running", "activated", "finished", "failed"]);
    let of = |(at, (series, offset)): (usize, (String, i64))| {
        format!(
            "{series} HS06_benchmark=12.5,corepower=14.5,federation_HS06_pledge=73000i,jobs={}i,resource_factor=8.0,sequence=5i {}",
            at % 1000,
            time * SECOND + offset
        )
    };
    series.into_iter().enumerate().map(of).collect()
}

/// Writes lines in bodies of some thousand.
fn write(influxdb: &Influxdb, policy: &str, lines: &[String]) {
    lines.chunks(20_000).for_each(|lines| influxdb.write("monit_jobs", policy, &(lines.join("\n") + "\n")));
}

fn influxdb(table: &mut Table) {
    // Its series are many, and on a loaded machine it takes its time.
    let Some(influxdb) = Influxdb::start() else {
        skip("the hour in InfluxDB", "InfluxDB");
        return;
    };
    let section = format!(
        "[influxdb]\nurl = http://127.0.0.1:{}\ndatabase = monit_jobs\nusername = root\npassword = {}\ntimeout_seconds = 600\n",
        influxdb.port,
        Influxdb::PASSWORD
    );
    let folder = place(&section);
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.path().join("config.cfg"), secret).expect("a file of ours");
    assert!(command(&folder, "downsample-1h", &["--setup"], D).status().expect("a program of ours").success());
    for at in 0..6 {
        let time = D + 600 * at;
        write(&influxdb, "10m", &jobs_lines(MANY, time));
        let coverage = format!("coverage,grid=heprc,measurement=jobs slots=1i,step_seconds=600i {}", time * SECOND);
        write(&influxdb, "10m", &[coverage]);
    }
    let run = cost(&mut command(&folder, "downsample-1h", &[], D + 3900)).wall;
    // The same hour by hand: its points, and what it writes.
    let shown = command(&folder, "downsample-1h", &["-n", "--format", "influx", "--from", &D.to_string()], D + 3900);
    let mut shown = shown;
    let lines = String::from_utf8(shown.output().expect("a program of ours").stdout).expect("text");
    let lines: Vec<_> = lines.lines().filter(|line| line.starts_with("jobs,")).collect();
    assert_eq!(lines.len(), MANY, "one point a series");
    let bare = bare(&folder, &influxdb, &lines);
    let ratio = run / bare;
    table.line("an hour of 100,000 series of jobs: the bare requests", &seconds(bare), "by curl");
    let of_bare = format!("at most {INFLUXDB_LIMIT} x the bare requests");
    table.target("downsample-1h", &seconds(run), &times(ratio), &of_bare, ratio <= INFLUXDB_LIMIT);
    let into = timed(|| {
        let query = format!(
            "SELECT mean(jobs) AS jobs INTO monit_jobs.\"1d\".mean_of_jobs FROM monit_jobs.\"10m\".jobs WHERE time >= {} AND time < {} GROUP BY time(1h), *",
            D * SECOND,
            (D + 3600) * SECOND
        );
        // With a blank before it, it is sent as a POST: it writes.
        influxdb.query(&format!(" {query}"))
    });
    table.line("SELECT mean() INTO, of one of five fields", &seconds(into), "without coverage, sums and tag changes");
}

/// The time of the requests of an hour, by curl: all points, the points at the label, and the write of the folded ones.
fn bare(folder: &TempDir, influxdb: &Influxdb, lines: &[&str]) -> f64 {
    let jobs = measurement("jobs");
    let columns: Vec<_> = jobs.tags.iter().map(|tag| format!("\"{}\"::tag", tag.name)).collect();
    let fields: Vec<_> = jobs.fields.iter().map(|field| format!("\"{}\"::field", field.name)).collect();
    let select = |policy: &str, fields: &str, from: i64| {
        format!(
            "SELECT {}, {fields} FROM monit_jobs.\"{policy}\".jobs WHERE time >= {} AND time < {}",
            columns.join(", "),
            from * SECOND,
            (from + 3600) * SECOND
        )
    };
    let address = format!("http://127.0.0.1:{}", influxdb.port);
    let login = format!("root:{}", Influxdb::PASSWORD);
    let query = |text: &str| {
        let mut curl = clean("/usr/bin/curl", PATH);
        curl.args([
            "-sS",
            "-G",
            "--compressed",
            "-u",
            &login,
            "-o",
            "/dev/null",
            "--data-urlencode",
            &format!("q={text}"),
        ]);
        curl.args(["--data-urlencode", "epoch=ns", "--data-urlencode", "chunked=true", &format!("{address}/query")]);
        cost(&mut curl).wall
    };
    let mut sum = query(&select("10m", &fields.join(", "), D));
    sum += query(&select("1h", "\"jobs\"::field, \"slots\"::field", D + 3600));
    for (at, lines) in lines.chunks(20_000).enumerate() {
        let body = folder.write(&format!("body-{at}"), lines.join("\n"));
        let mut curl = clean("/usr/bin/curl", PATH);
        curl.args(["-sS", "-u", &login, "--data-binary", &format!("@{}", body.display())]);
        curl.arg(format!("{address}/write?db=monit_jobs&rp=1h"));
        sum += cost(&mut curl).wall;
    }
    sum
}

/// The original's algorithm: for each key set all series are looked through.
const ORIGINAL: &str = r#"
import sys, time
count = int(sys.argv[1])
series = [({"panda_queue": "Q%d" % (at // 4), "prod_source": "managed", "resource": "MCORE", "job_status": "s%d" % (at % 4)},
           [(at + slot) % 1000 for slot in range(6)]) for at in range(count)]
keysets = [tags for tags, values in series]
begin = time.time()
points = []
for keys in keysets:
    for tags, values in series:
        if tags == keys:
            points.append((keys, sum(values) / len(values)))
print(time.time() - begin)
"#;

fn original(table: &Table) {
    let folder = TempDir::new();
    let script = folder.write("original.py", ORIGINAL);
    for count in [2000, 4000, 8000] {
        let theirs = || {
            let output = clean("/usr/bin/python3", PATH).arg(&script).arg(count.to_string()).output();
            String::from_utf8(output.ok()?.stdout).ok()?.trim().parse::<f64>().ok()
        };
        let Some(theirs) = theirs() else {
            skip("the original's algorithm", "python3");
            return;
        };
        let points = (0..6).flat_map(|at| jobs_lines(count, D + 600 * at)).map(|line| {
            let mut point = Point::from_line(&line).expect("a good line");
            CATALOG.declare(&mut point);
            point
        });
        let points: Vec<_> = points.collect();
        let ours = least((0..5).map(|_| timed(|| fold(&points))));
        let ratio = format!("{} for Python, {:.0} times as long", seconds(theirs), theirs / ours);
        table.line(&format!("{count} series, six slots, five fields"), &seconds(ours), &ratio);
    }
}

/// Folds an hour of `jobs`.
fn fold(points: &[Point]) -> usize {
    let begins = Begins::default();
    let mut coverage = Coverage::new(&begins);
    points.iter().for_each(|point| coverage.assume(measurement("jobs"), point, point.time(), "heprc"));
    let mut fold = WindowFold::new(Tier::Hour, measurement("jobs"), &coverage);
    points.iter().for_each(|point| fold.add(point));
    fold.finish(D * SECOND + HOUR).len()
}
