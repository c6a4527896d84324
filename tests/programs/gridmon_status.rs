//! gridmon-status from end to end: runs fill a spool while Carbon is down; then the status is told, and batches are sent,
//! shown and discarded, in every state that the directory can be in.

mod batches;
mod doctor;
mod graph;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use gridmon::model::{Point, SECOND, Value};
use gridmon::spool::{Batch, Directory, Disk, Header, Spool};
use gridmon_testkit::sandbox::{FakeCarbon, Mood, NOW, Outcome, Sandbox};
use gridmon_testkit::skip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gridmon-status");

/// A Carbon that is down.
const DOWN: &str = "[carbon]\nhost = 127.0.0.1\nport = 1";

fn up(carbon: &FakeCarbon) -> String {
    format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port)
}

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// Runs `gridmon-status`, with the clock three minutes after [`NOW`].
fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let now = (NOW + 180).to_string();
    Outcome::of(command(sandbox, arguments).args(["--now", &now]))
}

/// A folder where three runs have met a Carbon that is down.
fn with_backlog() -> Sandbox {
    let sandbox = Sandbox::new("small");
    sandbox.config(DOWN);
    collect(&sandbox, 0..3);
    sandbox
}

fn collect(sandbox: &Sandbox, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let run = sandbox.run(&["--now", &(NOW + minute * 60).to_string()]);
        assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    }
}

/// The names in a folder, sorted; nothing when there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn batches(sandbox: &Sandbox) -> Vec<String> {
    names(&sandbox.path("state/spool")).into_iter().filter(|name| name.ends_with(".batch")).collect()
}

fn bad(sandbox: &Sandbox) -> Vec<String> {
    names(&sandbox.path("state/spool/bad"))
}

/// Every file below a folder, with size and time.
fn snapshot(folder: &Path) -> BTreeSet<(PathBuf, u64, SystemTime)> {
    let mut all = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let (path, metadata) = file.map(|file| (file.path(), file.metadata().unwrap())).unwrap();
        if metadata.is_dir() {
            all.extend(snapshot(&path));
        }
        all.insert((path, metadata.len(), metadata.modified().unwrap()));
    }
    all
}

/// Publishes a batch for two sinks, of which the config knows one.
fn publish_for_two(sandbox: &Sandbox, time: i64) -> String {
    let spool = Spool::new(Directory::open(&sandbox.path("state/spool")).unwrap());
    let sinks = ["carbon", "influxdb"].map(String::from).into();
    let tags = [("grid", "g"), ("service", "condor")].map(|(name, value)| (name.into(), value));
    let point = Point::new("grid_heartbeat".into(), tags, [("alive".into(), Value::Int(1))], time * SECOND);
    let header = Header {
        program: "collect-x".into(),
        grid: "g".into(),
        time,
        tier: "raw".into(),
        database: String::new(),
        sinks,
    };
    spool.publish(&Batch { header, points: vec![point] }, 0).unwrap().entry.name
}

#[test]
fn a_backlog_is_told_and_nothing_is_changed_by_looking() {
    let sandbox = with_backlog();
    let before = snapshot(&sandbox.path("state"));
    let told = status(&sandbox, &[]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{told:?}");
    let carbon = told.lines_with("carbon  ")[0];
    assert!(
        carbon.contains("2024-06-01 12:30 UTC, waits for 3 min") && carbon.contains("in no run remembered"),
        "{told:?}"
    );
    assert!(carbon.split_whitespace().nth(1) == Some("3"), "{carbon}");
    assert!(told.stdout.contains("last error 2024-06-01 12:32 UTC, 60 s ago, since 2024-06-01 12:30 UTC: 127.0.0.1:1"));
    assert_eq!(told.lines_with("2024-06-01 12:30 UTC, 3 min ago").len(), 1, "the first run: {told:?}");
    assert!(told.stdout.contains("nothing fails"));

    let one_run = status(&sandbox, &["--runs", "1"]);
    assert_eq!(told.stdout.lines().count() - one_run.stdout.lines().count(), 2);
    for arguments in [&["show"][..], &["show", &batches(&sandbox)[0]], &["--nagios"], &["--format", "json"]] {
        status(&sandbox, arguments);
    }
    assert_eq!(snapshot(&sandbox.path("state")), before);
}

#[test]
fn json_has_what_the_text_has() {
    let sandbox = with_backlog();
    let told = status(&sandbox, &["--format", "json", "--runs", "2"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(json["time"], NOW + 180);
    assert_eq!(json["sinks"]["carbon"]["batches"], 3);
    assert_eq!(json["sinks"]["carbon"]["oldest"], NOW);
    assert_eq!(json["sinks"]["carbon"]["last_error"]["since"], NOW);
    assert_eq!(json["sinks"]["carbon"]["last_acknowledged"], serde_json::Value::Null);
    let [program] = json["programs"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((&program["program"], &program["grid"]), (&"collect-grid".into(), &"heprc".into()));
    let times: Vec<_> = program["runs"].as_array().unwrap().iter().map(|run| run["time"].as_i64().unwrap()).collect();
    assert_eq!(times, [NOW + 60, NOW + 120]);
}

#[test]
fn a_dead_source_is_dark_since_its_first_failure() {
    let sandbox = with_backlog();
    sandbox.program("cloud_status", "echo no database >&2; exit 3");
    collect(&sandbox, 3..5);
    let told = Outcome::of(command(&sandbox, &["--now", &(NOW + 300).to_string()]).arg("--runs=1"));
    assert!(
        told.stdout.contains("cloud_scheduler (collect-grid, heprc) since 2024-06-01 12:33 UTC, 2 min ago"),
        "{told:?}"
    );
    assert!(told.stdout.contains("no database"), "{told:?}");
}

#[test]
fn a_monitor_reads_one_line_and_the_code_of_a_plugin() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let check = |after: i64, arguments: &[&str]| {
        let now = (NOW + after).to_string();
        let told = Outcome::of(command(&sandbox, &["--nagios", "--now", &now]).args(arguments));
        assert_eq!((told.stdout.lines().count(), told.stderr.as_str()), (1, ""), "{told:?}");
        let word = told.stdout.split(' ').nth(1).unwrap().to_string();
        let code = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].iter().position(|known| *known == word).unwrap();
        assert_eq!(told.code, Some(code as i32), "{told:?}");
        (word, told.stdout)
    };
    assert_eq!(check(0, &[]).0, "UNKNOWN", "nothing has run");
    collect(&sandbox, 0..5);
    let (word, line) = check(300, &[]);
    assert_eq!(word, "OK", "{line}");
    assert!(
        line.starts_with("GRIDMON OK - carbon: nothing waits; collect-grid heprc ran 60 s ago | carbon_batches=0;;;0 ")
    );
    assert_eq!(check(1000, &[]).0, "CRITICAL", "five runs are missing");
    assert_eq!(check(1000, &["--warn-run-age", "collect-grid=500", "--crit-run-age", "5"]).0, "WARNING");
    assert_eq!(check(1000, &["--warn-run-age", "5000"]).0, "OK");

    sandbox.config(DOWN);
    collect(&sandbox, 5..7);
    assert_eq!(check(420, &[]).0, "WARNING", "it fails");
    let calm = ["--warn-failing", "3600"];
    assert_eq!(check(420, &calm).0, "OK");
    assert_eq!(check(420, &[&calm[..], &["--warn-age", "60"]].concat()).0, "WARNING");
    assert_eq!(check(420, &[&calm[..], &["--warn-age", "60", "--crit-age", "90"]].concat()).0, "CRITICAL");
    assert_eq!(check(420, &[&calm[..], &["--warn-points", "10"]].concat()).0, "WARNING");
    assert_eq!(check(420, &[&calm[..], &["--crit-points", "10"]].concat()).0, "CRITICAL");

    // Whatever is wrong with the call itself is not known, and never CRITICAL.
    assert_eq!(check(0, &["--crit-age", "soon"]).0, "UNKNOWN");
    assert_eq!(check(0, &["--config", "nowhere.cfg"]).0, "UNKNOWN");
    sandbox.config("[state]\ndirectory = /nonexistent\n[carbon]\nhost = h");
    sandbox.write("config.cfg", "[state]\ndirectory = /nonexistent/state\n");
    let (word, line) = check(0, &[]);
    assert_eq!(word, "UNKNOWN");
    assert!(line.contains("/nonexistent/state") && line.contains("no program has run with this config yet"), "{line}");
}

#[test]
fn several_programs_and_grids_are_told_apart() {
    let sandbox = with_backlog();
    sandbox.config(&format!("{DOWN}\n[grid]\nname = other.grid"));
    // The section has the name twice now; the second one counts.
    let config = fs::read_to_string(sandbox.path("config.cfg")).unwrap().replace("name = heprc\n", "");
    sandbox.write("config.cfg", config);
    collect(&sandbox, 0..1);
    let report = |time: i64| format!("{{\"time\":{time},\"success\":true,\"collected\":7}}\n");
    let text = format!("{}torn\n{}", report(NOW - 90_000), report(NOW - 3600));
    sandbox.write("state/downsample-1d.heprc.reports", text);
    fs::create_dir(sandbox.path("state/write-datadisk.heprc.reports")).unwrap();
    sandbox.write("state/notes.txt", "not ours");

    let told = status(&sandbox, &["--format=json"]);
    assert_eq!(told.code, Some(1), "a file cannot be read");
    assert!(told.stderr.contains("write-datadisk.heprc.reports: Is a directory"), "{told:?}");
    assert!(told.stderr.contains("downsample-1d.heprc.reports: 1 lines are no reports"), "{told:?}");
    let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let programs: Vec<_> = json["programs"].as_array().unwrap().iter().collect();
    let names: Vec<_> = programs.iter().map(|p| format!("{} {}", p["program"], p["grid"]).replace('"', "")).collect();
    assert_eq!(names, ["collect-grid heprc", "collect-grid other_grid", "downsample-1d heprc"]);
    assert_eq!(json["sinks"]["carbon"]["batches"], 4, "all grids share the spool");
}

#[test]
fn where_nothing_is_yet_it_says_so_and_makes_nothing() {
    let sandbox = Sandbox::new("small");
    sandbox.config(DOWN);
    for arguments in [&[][..], &["show"], &["flush"], &["discard", "--bad"], &["discard", "--sink", "x"]] {
        let told = status(&sandbox, arguments);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    assert!(status(&sandbox, &[]).stdout.contains("no program has reported a run: start one"));
    assert_eq!(status(&sandbox, &["discard", "a"]).code, Some(1));
    assert_eq!(names(&sandbox.path("state")), [""; 0]);

    fs::remove_dir(sandbox.path("state")).unwrap();
    for arguments in [&[][..], &["show"], &["flush"], &["discard", "--bad"]] {
        let told = status(&sandbox, arguments);
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(told.stderr.contains("run one, name their config with --config, or set [state] directory"), "{told:?}");
    }
    assert!(!sandbox.path("state").exists());
}

#[test]
fn wrong_calls_are_told_from_failures() {
    let sandbox = with_backlog();
    for arguments in [
        &["discard"][..],
        &["discard", "a", "--bad"],
        &["discard", "--bad", "--sink", "carbon"],
        &["--warn-age", "5"],
        &["--format", "json", "flush"],
        &["--nagios", "--format", "json", "--warn-age"],
        &["--config", "nowhere.cfg"],
    ] {
        let expected = if arguments.contains(&"--nagios") { 3 } else { 2 };
        assert_eq!(status(&sandbox, arguments).code, Some(expected), "{arguments:?}");
    }
}
