//! collect-grid into a real InfluxDB 1.6 with login on: set up, checked, written, read back by a query, by the dashboard and
//! by gridmon-status; killed, hanging, and away for two hours. At the end everything is there once.

mod folds;
mod places;
mod reading;
mod refusals;
mod stubs;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use gridmon::model::Point;
use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox};
use gridmon_testkit::{Influxdb, program, skip};
use serde_json::Value as Json;

const USER: &str = "monit";
const PASSWORD: &str = "pa;ss #w'ord";

/// A sandbox whose programs write into this InfluxDB as [`USER`], an administrator. `more` is more of its section.
fn sandbox(port: u16, more: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!(
        "[credentials]\nusername = {USER}\npassword = {PASSWORD}\ndatabase = monit_jobs\n[influxdb]\nurl = http://127.0.0.1:{port}\n{more}"
    ));
    close(&sandbox);
    sandbox
}

/// Closes the config, which holds a secret, to others.
fn close(sandbox: &Sandbox) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(sandbox.path("config.cfg"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn server(test: &str, settings: &[(&str, &str)]) -> Option<Influxdb> {
    let Some(influxdb) = Influxdb::start_with(settings) else {
        skip(test, "InfluxDB");
        return None;
    };
    let password = PASSWORD.replace('\'', "\\'");
    influxdb.query(&format!("CREATE USER {USER} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"));
    Some(influxdb)
}

fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(Command::new(program("gridmon-status")).args(arguments).current_dir(sandbox.path("")).env_clear())
}

fn run(sandbox: &Sandbox, minute: i64) -> Outcome {
    sandbox.run(&["-v", "--now", &(NOW + 60 * minute).to_string()])
}

/// The points that a run of a minute sends, without the report of the run before.
fn shown(sandbox: &Sandbox, minute: i64) -> BTreeSet<String> {
    let outcome = sandbox.run(&["-n", "--format", "influx", "--now", &(NOW + 60 * minute).to_string()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout.lines().map(String::from).collect()
}

/// Every number of a retention policy of monit_jobs but those of the reports, as a line without the others; a number
/// that is there twice fails.
fn stored(influxdb: &Influxdb, policy: &str) -> BTreeSet<String> {
    let answer = influxdb.query(&format!("SELECT * FROM monit_jobs.\"{policy}\"./.*/ GROUP BY *"));
    let mut numbers = BTreeSet::new();
    for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
        let name = series["name"].as_str().unwrap();
        let columns: Vec<_> = series["columns"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        let tags = series["tags"].as_object().unwrap();
        let tags = tags.iter().filter(|(_, value)| **value != "");
        let tags: String = tags.map(|(tag, value)| format!(",{tag}={}", value.as_str().unwrap())).collect();
        for row in series["values"].as_array().unwrap().iter().filter(|_| name != "run") {
            for (column, value) in columns.iter().zip(row.as_array().unwrap()).skip(1).filter(|(_, one)| !one.is_null())
            {
                let number = format!("{name}{tags} {column}={} {}", value.as_f64().unwrap(), row[0]);
                assert!(numbers.insert(number.clone()), "{number} is there twice");
            }
        }
    }
    numbers
}

/// The numbers of lines, as [`stored`] writes them.
fn numbers(lines: &BTreeSet<String>) -> BTreeSet<String> {
    let number = |line: &String| {
        let point = Point::from_line(line).unwrap();
        let tags: String = point.tags().map(|(tag, value)| format!(",{tag}={value}")).collect();
        let of = format!("{}{tags}", point.measurement());
        point
            .fields()
            .map(|(field, value)| format!("{of} {field}={} {}", value.as_f64(), point.time()))
            .collect::<Vec<_>>()
    };
    lines.iter().flat_map(number).collect()
}

#[test]
fn what_was_collected_is_stored_once_and_read_everywhere() {
    let test = "what_was_collected_is_stored_once_and_read_everywhere";
    let Some(influxdb) = server(test, &[]) else { return };
    let sandbox = sandbox(influxdb.port, "");
    let url = format!("http://127.0.0.1:{}/", influxdb.port);
    // Nothing is there, and nothing is made by looking.
    let check = sandbox.run(&["--check"]);
    assert_eq!(check.code, Some(1), "{}", check.stdout);
    let missing = format!(
        "  InfluxDB 1.6.7~rc0 at {url} has no database \"monit_jobs\"; --setup creates it, or the login may not see it"
    );
    assert!(check.lines_with("failed  influxdb ")[0].ends_with(&missing), "{}", check.stdout);
    let made = sandbox.run(&["--setup"]);
    let all = "created database monit_jobs, retention policy 10m as default, retention policy 1h, retention policy 1d";
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), format!("ok      influxdb  {all}\n").as_str()));
    let policies = influxdb.query("SHOW RETENTION POLICIES ON monit_jobs");
    let again = sandbox.run(&["--setup"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "ok      influxdb  has all that it needs\n"));
    assert_eq!(influxdb.query("SHOW RETENTION POLICIES ON monit_jobs"), policies);
    let check = sandbox.run(&["--check"]);
    let there =
        format!("  InfluxDB 1.6.7~rc0 at {url} has the database monit_jobs with the retention policies 10m, 1h, 1d");
    assert!(check.lines_with("ok      influxdb ")[0].ends_with(&there), "{}", check.stdout);
    assert!(
        check.lines_with("roles")[0]
            .contains("  points go to influxdb, database monit_jobs; tables go to the embedded store"),
        "{}",
        check.stdout
    );

    let mut expected = BTreeSet::new();
    for minute in [0, 1, 1, 2] {
        expected.extend(shown(&sandbox, minute));
        let sent = run(&sandbox, minute);
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
        assert!(sent.stderr.contains("influxdb: ") && sent.stderr.contains(" 0 wait"), "{}", sent.stderr);
    }
    assert!(expected.len() > 200);
    assert_eq!(stored(&influxdb, "10m"), numbers(&expected));

    let grid = status(&sandbox, &["grid", "heprc", "--now", &(NOW + 120).to_string()]);
    assert_eq!(grid.code, Some(0), "{}", grid.stderr);
    assert!(grid.stdout.contains("heprc") && grid.stdout.contains("cc-east"), "{}", grid.stdout);
    let none = status(&sandbox, &["grid", "nosuch", "--now", &(NOW + 120).to_string()]);
    assert!(none.code == Some(1) && none.stderr.contains("has no grid called \"nosuch\""), "{}", none.stderr);

    let everything = [made.stdout, check.stdout, influxdb.logs(), grid.stdout].concat();
    assert!(
        !everything.contains(PASSWORD) && influxdb.logs().contains("POST /write?db=monit_jobs&rp=10m"),
        "{everything}"
    );
}

#[test]
fn the_dashboard_shows_what_the_embedded_store_has() {
    #[cfg(feature = "dashboard")]
    {
        use gridmon_testkit::sandbox::site::{Site, collect, numbers};
        let Some(influxdb) = server("the_dashboard_shows_what_the_embedded_store_has", &[]) else { return };
        let sandbox = sandbox(influxdb.port, "");
        let text = fs::read_to_string(sandbox.path("config.cfg")).unwrap();
        let config = |read: &str| {
            let path = sandbox.path("state/gridmon.db");
            sandbox.write(
                "config.cfg",
                format!("{text}[embedded]\npath = {}\n[dashboard]\nread = {read}\n", path.display()),
            );
            close(&sandbox);
        };
        config("influxdb");
        assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
        collect(&sandbox, 12, 1);
        let from_influxdb = Site::start(&sandbox);
        config("embedded");
        let from_store = Site::start(&sandbox);
        let expected = numbers(&from_store.json("/json"));
        assert!(expected.len() > 90, "{}", expected.len());
        assert_eq!(numbers(&from_influxdb.json("/json")), expected);
        let question =
            "/api/v1/history?path=grids.heprc.jobs.all.idle&path=grids.heprc.clouds.cc-east.quota&from=-20min";
        let [ours, theirs] = [&from_influxdb, &from_store].map(|site| site.json(question)["series"].clone());
        assert!(ours[0]["values"].as_array().unwrap().iter().filter(|value| !value.is_null()).count() == 12, "{ours}");
        assert_eq!(ours, theirs);
    }
}

#[test]
fn down_hanging_or_killed_in_mid_request_everything_is_there_once_at_the_end() {
    let test = "down_hanging_or_killed_in_mid_request_everything_is_there_once_at_the_end";
    let Some(mut influxdb) = server(test, &[]) else { return };
    let sandbox = sandbox(influxdb.port, "timeout_seconds = 2");
    assert_eq!(sandbox.run(&["--setup"]).code, Some(0));
    let mut expected = BTreeSet::new();
    let mut collect = |minute: i64, code: i32, words: &str| {
        expected.extend(shown(&sandbox, minute));
        let outcome = run(&sandbox, minute);
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(outcome.took < Duration::from_secs(30) && !outcome.stderr.contains(PASSWORD));
    };
    collect(0, 0, " 0 wait");
    influxdb.signal("STOP");
    collect(1, 1, "no answer within 2 s");
    influxdb.signal("CONT");
    collect(2, 0, " 0 wait");
    // Killed while it is written to.
    influxdb.signal("STOP");
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(700));
            influxdb.kill();
        });
        collect(3, 1, "points wait in the spool");
    });
    // Two hours.
    for minute in (4..124).step_by(10) {
        collect(minute, 1, "no connection: Connection refused");
    }
    influxdb.restart();
    collect(124, 0, " 0 wait");
    assert_eq!(stored(&influxdb, "10m"), numbers(&expected));
}

/// The one number that a query answers.
fn count(influxdb: &Influxdb, query: &str) -> i64 {
    influxdb.rows(query).first().and_then(|row| row[1].as_i64()).unwrap_or_default()
}

/// Whether an answer has no rows.
fn is_empty(answer: &Json) -> bool {
    answer["results"][0].get("series").is_none()
}
