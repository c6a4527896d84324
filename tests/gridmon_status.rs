//! gridmon-status from end to end: runs fill a spool while Carbon is down; then the status is told, and batches are sent,
//! shown and discarded, in every state that the directory can be in.

#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use gridmon::model::{Point, SECOND, Value};
use gridmon::spool::{Batch, Directory, Disk, Header, Spool};
use sandbox::{FakeCarbon, Mood, NOW, Outcome, Sandbox};
use support::skip;

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
    spool.publish(&Batch { header, points: vec![point] }).unwrap().entry.name
}

#[test]
fn a_backlog_is_told_and_nothing_is_changed_by_looking() {
    let sandbox = with_backlog();
    let before = snapshot(&sandbox.path("state"));
    let told = status(&sandbox, &[]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{told:?}");
    let carbon = told.lines_with("carbon  ")[0];
    assert!(carbon.contains("2024-06-01 12:30 UTC, 3 min ago") && carbon.contains("in no run remembered"), "{told:?}");
    assert!(carbon.split_whitespace().nth(1) == Some("3"), "{carbon}");
    assert!(told.stdout.contains("last error 2024-06-01 12:32 UTC, 60 s ago, since 2024-06-01 12:30 UTC: 127.0.0.1:1"));
    assert_eq!(told.lines_with("12:30 UTC, 3 min ago").len(), 2, "the sink and its first run: {told:?}");
    assert!(told.stdout.contains("no source is dark"));

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
fn flush_sends_what_waits_and_says_what_is_left_and_why() {
    let sandbox = with_backlog();
    let down = status(&sandbox, &["flush"]);
    assert_eq!(down.code, Some(1));
    assert!(down.stdout.starts_with("carbon: sent 0 points; 3 batches with "), "{down:?}");
    assert!(down.stdout.contains("127.0.0.1:1: no connection: Connection refused"), "{down:?}");
    assert!(down.stderr.starts_with("gridmon-status: carbon: 3 batches"), "{down:?}");
    assert_eq!(batches(&sandbox).len(), 3);

    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let flushed = status(&sandbox, &["flush"]);
    assert_eq!(flushed.code, Some(0), "{flushed:?}");
    assert!(
        flushed.stdout.starts_with("carbon: sent ") && flushed.stdout.ends_with("; nothing waits\n"),
        "{flushed:?}"
    );
    assert_eq!(batches(&sandbox), [""; 0]);
    let lines = carbon.lines();
    for minute in 0..3 {
        let line = format!("grids.heprc.heartbeat.cloud_monitor 1 {}", NOW + minute * 60);
        assert_eq!(lines.iter().filter(|sent| **sent == line).count(), 1, "{line}");
    }
    let again = status(&sandbox, &["flush"]);
    assert_eq!((again.code, again.stdout.as_str(), again.stderr.as_str()), (Some(0), "carbon: nothing waits\n", ""));
    assert!(status(&sandbox, &[]).stdout.contains("nothing waits"));

    // The next run has its acknowledgement, and the error is remembered.
    collect(&sandbox, 3..4);
    let told = status(&sandbox, &[]).stdout;
    assert!(told.lines().nth(3).unwrap().ends_with("2024-06-01 12:33 UTC, 0 s ago"), "{told}");
    assert!(told.contains("last error 2024-06-01 12:32 UTC"), "{told}");
}

#[test]
fn flush_waits_for_a_program_that_is_sending() {
    let sandbox = with_backlog();
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let lock = Directory::at(&sandbox.path("state/spool")).lock("lock.carbon").unwrap().unwrap();
    let flush = command(&sandbox, &["flush"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(batches(&sandbox).len(), 3);
    drop(lock);
    let output = flush.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("carbon: another program is sending what waits; waiting for it"), "{stderr}");
    assert_eq!(batches(&sandbox), [""; 0]);
}

#[test]
fn torn_and_foreign_files_stop_nothing_and_are_shown_as_they_are() {
    let sandbox = with_backlog();
    let torn = batches(&sandbox)[0].clone();
    let path = sandbox.path(&format!("state/spool/{torn}"));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    sandbox.write("state/spool/core", b"\x7fELF\xff");
    sandbox.write("state/spool/nonsense.batch", "x");
    assert_eq!(status(&sandbox, &[]).code, Some(0));

    let shown = status(&sandbox, &["show", &torn]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stdout.contains("# unreadable  its checksum is wrong"), "{shown:?}");
    assert!(shown.stdout.contains("grid_heartbeat,grid=heprc"), "{shown:?}");

    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let flushed = status(&sandbox, &["flush"]);
    assert_eq!(flushed.code, Some(1), "what went aside is said: {flushed:?}");
    assert!(
        flushed.stdout.contains("its checksum is wrong") && flushed.stdout.contains("put into bad/"),
        "{flushed:?}"
    );
    assert_eq!(bad(&sandbox), [torn.clone(), format!("{torn}.why")]);
    assert_eq!(status(&sandbox, &["flush"]).code, Some(0));

    // The next run puts the foreign ones aside.
    collect(&sandbox, 3..4);
    let told = status(&sandbox, &[]).stdout;
    assert!(told.contains("bad/ holds 3 files"), "{told}");
    let shown = status(&sandbox, &["show", "bad/core"]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stdout.contains("# aside       nothing that gridmon wrote"), "{shown:?}");
    assert!(shown.stdout.ends_with("\\u{7f}ELF\u{fffd}\n"), "{shown:?}");
}

#[test]
fn show_lists_and_prints_batches_by_any_part_of_a_name() {
    let sandbox = with_backlog();
    let names = batches(&sandbox);
    let list = status(&sandbox, &["show"]);
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    let firsts: Vec<_> = list.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(firsts, names);
    assert!(list.stdout.lines().all(|line| line.ends_with("waits for carbon")), "{list:?}");

    let by_time = (NOW + 60).to_string();
    let shown = status(&sandbox, &["show", &by_time]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    assert!(
        shown.stdout.contains("# program     collect-grid on heprc\n# slot        2024-06-01 12:31 UTC\n"),
        "{shown:?}"
    );
    let points: Vec<_> = shown.stdout.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(shown.stdout.contains(&format!("# points      {} in ", points.len())), "{shown:?}");
    assert!(points.contains(&"grid_heartbeat,grid=heprc,service=condor alive=1i 1717245060000000000"), "{shown:?}");

    for (part, words) in [("heprc", "is a part of 3 names"), ("nowhere", "no batch is called \"nowhere\"")] {
        let missed = status(&sandbox, &["show", part]);
        assert_eq!((missed.code, missed.stdout.as_str()), (Some(1), ""));
        assert!(missed.stderr.contains(words), "{missed:?}");
    }
    for reader in ["head -1", "true"] {
        let script = format!("{PROGRAM} show {by_time} | {reader}; echo code ${{PIPESTATUS[0]}}");
        let output = Outcome::of(Command::new("bash").args(["-c", &script]).current_dir(sandbox.path("")));
        assert!(output.stdout.ends_with("code 0\n") && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn discard_puts_aside_with_a_reason_and_deletes_only_what_is_aside() {
    let sandbox = with_backlog();
    let names = batches(&sandbox);
    let bytes = fs::read(sandbox.path(&format!("state/spool/{}", names[1]))).unwrap();
    let by_time = (NOW + 60).to_string();

    let refused = status(&sandbox, &["discard", &by_time]);
    assert_eq!(refused.code, Some(1), "nobody is there to ask");
    assert!(refused.stderr.contains("say --yes"), "{refused:?}");
    assert_eq!(batches(&sandbox), names);

    let done = status(&sandbox, &["discard", &by_time, "--yes"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert!(done.stdout.starts_with("put 1 batch with "), "{done:?}");
    assert_eq!(bad(&sandbox), [names[1].clone(), format!("{}.why", names[1])]);
    let aside = sandbox.path("state/spool/bad").join(&names[1]);
    assert_eq!(fs::read(&aside).unwrap(), bytes, "not a byte is lost");
    let why = fs::read_to_string(aside.with_file_name(format!("{}.why", names[1]))).unwrap();
    assert!(why.starts_with("discarded by hand at ") && why.ends_with(", still owed to carbon\n"), "{why}");
    let shown = status(&sandbox, &["show", &by_time]);
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.contains("# aside       discarded by hand at "), "{shown:?}");
    let again = status(&sandbox, &["discard", &by_time, "--yes"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is aside already"), "{again:?}");

    // By age: the rest is three minutes old, or a day later more than a day.
    let young = status(&sandbox, &["discard", "--older-than", "1", "--yes"]);
    assert_eq!((young.code, young.stdout.as_str()), (Some(0), "nothing to discard\n"));
    let tomorrow = (NOW + 86_400 + 60).to_string();
    let old = Outcome::of(&mut command(&sandbox, &["discard", "--older-than", "1", "-y", "--now", &tomorrow]));
    assert!(old.stdout.starts_with("put 1 batch "), "{old:?}");
    assert_eq!(batches(&sandbox), [names[2].clone()], "half-open: what is a day old to the second stays");

    let all = status(&sandbox, &["discard", "--sink", "carbon", "--yes"]);
    assert!(all.stdout.starts_with("put 1 batch "), "{all:?}");
    assert_eq!((batches(&sandbox).len(), bad(&sandbox).len()), (0, 6));
    assert_eq!(status(&sandbox, &["discard", "--sink", "carbon", "-y"]).stdout, "nothing to discard\n");

    assert_eq!(status(&sandbox, &["discard", "--bad"]).code, Some(1));
    assert_eq!(bad(&sandbox).len(), 6);
    assert_eq!(status(&sandbox, &["discard", "--bad", "--older-than", "1", "-y"]).stdout, "nothing to discard\n");
    let gone = status(&sandbox, &["discard", "--bad", "--yes"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(0), "deleted 3 files\n"));
    assert_eq!(bad(&sandbox), [""; 0]);
    let again = status(&sandbox, &["discard", "--bad", "--yes"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "nothing to discard\n"));
}

#[test]
fn what_is_discarded_for_one_sink_still_reaches_the_others() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&up(&carbon));
    let name = publish_for_two(&sandbox, NOW);
    let told = status(&sandbox, &[]).stdout;
    assert!(told.contains("gridmon-status discard --sink influxdb"), "{told}");

    let flushed = status(&sandbox, &["flush"]);
    assert_eq!(flushed.code, Some(1), "{flushed:?}");
    assert!(
        flushed.stdout.contains("carbon: sent 1 point; nothing waits\ninfluxdb: 1 batch with 1 point waits"),
        "{flushed:?}"
    );
    assert!(status(&sandbox, &["show"]).stdout.ends_with("waits for influxdb\n"));
    // Nobody else owes it: it goes aside as it is, with its notes.
    assert!(status(&sandbox, &["discard", "--sink", "influxdb", "-y"]).stdout.starts_with("put 1 batch with 1 point"));
    assert_eq!(bad(&sandbox), [name.clone(), format!("{name}.why")]);
    assert_eq!(names(&sandbox.path("state/spool")), ["bad", "lock.carbon"]);

    let name = publish_for_two(&sandbox, NOW + 60);
    assert_eq!(status(&sandbox, &["discard", "--sink", "influxdb", "-y"]).code, Some(0));
    assert!(bad(&sandbox).contains(&format!("{name}.influxdb")), "a copy for the sink that never gets it");
    assert_eq!(status(&sandbox, &["flush"]).stdout, "carbon: sent 1 point; nothing waits\n");
    assert_eq!(names(&sandbox.path("state/spool")), ["bad", "lock.carbon"]);
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

#[test]
fn another_users_spool_is_read_and_never_changed() {
    if !rustix::process::geteuid().is_root() {
        return skip("another_users_spool_is_read_and_never_changed", "the right of root to give a folder away");
    }
    let sandbox = with_backlog();
    std::os::unix::fs::chown(sandbox.path("state"), Some(54_321), None).unwrap();
    assert_eq!(status(&sandbox, &[]).code, Some(0));
    let before = snapshot(&sandbox.path("state"));
    for arguments in [&["flush"][..], &["discard", "--sink", "carbon", "--yes"]] {
        let refused = status(&sandbox, arguments);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("belongs to user 54321; try: sudo -u '#54321' gridmon-status"), "{refused:?}");
    }
    assert_eq!(snapshot(&sandbox.path("state")), before);
}

/// Runs it on a terminal, with `typed` on its keyboard; what the terminal showed. `None` without util-linux's script.
fn on_a_terminal(sandbox: &Sandbox, arguments: &str, typed: &str) -> Option<(String, Option<i32>)> {
    let mut script = Command::new("script")
        .args(["-qec", &format!("{PROGRAM} {arguments}"), "/dev/null"])
        .current_dir(sandbox.path(""))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut keyboard = script.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    drop(keyboard);
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

#[test]
fn on_a_terminal_it_asks_and_shows_its_progress() {
    let sandbox = with_backlog();
    let Some((shown, code)) = on_a_terminal(&sandbox, "discard --sink carbon", "no\n") else {
        return skip("on_a_terminal_it_asks_and_shows_its_progress", "script of util-linux");
    };
    assert!(
        shown.contains("Put 3 batches with ") && shown.contains("so that they never reach carbon? [y/N]"),
        "{shown}"
    );
    assert_eq!((code, batches(&sandbox).len()), (Some(1), 3), "{shown}");
    let (shown, code) = on_a_terminal(&sandbox, &format!("discard {NOW}"), "yes\n").unwrap();
    assert_eq!((code, batches(&sandbox).len(), bad(&sandbox).len()), (Some(0), 2, 2), "{shown}");
    let (shown, code) = on_a_terminal(&sandbox, "discard --bad", "y\n").unwrap();
    assert_eq!((code, bad(&sandbox).len()), (Some(0), 0), "{shown}");

    let carbon = FakeCarbon::start(Mood::Good);
    // Slow enough to see it.
    sandbox.config(&format!("{}\n[spool]\nreplay_points_per_second = 200", up(&carbon)));
    let (shown, code) = on_a_terminal(&sandbox, "flush", "").unwrap();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(" points, ") && shown.contains("left"), "a bar: {shown:?}");
    assert!(shown.contains("nothing waits"), "{shown}");
}
