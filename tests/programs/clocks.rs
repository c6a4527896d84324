//! Clocks that are wrong for one run: nothing is deleted, hidden or called well because of them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use gridmon_testkit::sandbox::{FakeCarbon, Mood, Outcome, Sandbox, fixture};
use gridmon_testkit::{skip, wait_until};

const DOWN: &str = "[carbon]\nhost = 127.0.0.1\nport = 1";

/// Gives a command another clock; `false` if this machine cannot do that.
fn with_clock(command: &mut Command, shift: &str) -> bool {
    let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let found = libraries.map(|folder| format!("/usr/lib/{folder}/faketime/libfaketime.so.1"));
    let Some(library) = found.iter().find(|library| Path::new(library).exists()) else { return false };
    command.env("LD_PRELOAD", library).env("FAKETIME", shift).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    true
}

/// Runs `collect-grid` by a clock that is wrong by `shift`; `None` if this machine cannot do that.
fn run_at(sandbox: &Sandbox, shift: &str) -> Option<Outcome> {
    let mut command = sandbox.command(&["--verbose"]);
    with_clock(&mut command, shift).then(|| Outcome::of(&mut command))
}

fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridmon-status"));
    Outcome::of(command.args(arguments).current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin"))
}

fn batches(sandbox: &Sandbox) -> usize {
    let files = fs::read_dir(sandbox.path("state/spool")).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".batch")).count()
}

/// A run ten minutes ago: one of this minute would be superseded by the next.
fn earlier(sandbox: &Sandbox) -> Outcome {
    sandbox.run(&["--now", &(jiff::Timestamp::now().as_second() - 600).to_string()])
}

#[test]
fn nothing_that_waits_is_deleted_by_a_run_of_another_time() {
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!("{DOWN}\n[spool]\nmax_age_days = 1"));
    let mut waiting = 0;
    let mut after = |outcome: Outcome| {
        waiting += 1;
        assert_eq!(batches(&sandbox), waiting, "{outcome:?}");
        assert!(!outcome.stderr.contains("max_age_days"), "{outcome:?}");
    };
    after(earlier(&sandbox));
    after(sandbox.run(&["--now", "2030-01-01T00:00:00Z"]));
    after(sandbox.run(&["--now", "2020-01-01T00:00:00Z"]));
    for shift in ["+20d", "+20d", "+3600d", "-20d", "+0"] {
        match run_at(&sandbox, shift) {
            Some(outcome) => after(outcome),
            None => skip("wrong wall clocks", "faketime"),
        }
    }
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    assert_eq!(status(&sandbox, &["flush"]).code, Some(0));
    assert_eq!(batches(&sandbox), 0);
}

#[test]
fn what_waits_for_longer_than_the_limit_goes_by_the_time_that_the_machine_was_running() {
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!("{DOWN}\n[spool]\nmax_age_days = 2"));
    earlier(&sandbox);
    // Three days pass: for the clock of the state, or for the wall clock, or for both.
    let clock = sandbox.path("state/clock");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&clock).unwrap()).unwrap();
    record["running"] = (3 * 86_400).into();
    fs::write(&clock, record.to_string()).unwrap();
    let aged = sandbox.run(&[]);
    assert_eq!(batches(&sandbox), 2, "its file is young: {aged:?}");
    for file in fs::read_dir(sandbox.path("state/spool")).unwrap() {
        let file = fs::File::open(file.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3 * 86_400)).unwrap();
    }
    let both = sandbox.run(&[]);
    assert!(both.stderr.contains("spool limit: dropped 1 batches"), "{both:?}");
    assert_eq!(batches(&sandbox), 2, "the second was published after those days");
}

#[test]
fn a_run_that_was_ahead_hides_nothing_and_is_named() {
    let sandbox = Sandbox::new("small");
    sandbox.program("condor_q", "exit 1");
    let Some(ahead) = run_at(&sandbox, "+86450s") else { return skip("a run a day ahead", "faketime") };
    assert_eq!(ahead.code, Some(1), "{ahead:?}");
    let only = status(&sandbox, &["--nagios"]);
    assert!(only.stdout.contains("the clock of the last run was 24 h 0 min ahead"), "{only:?}");
    assert_ne!(only.code, Some(0), "{only:?}");

    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    sandbox.program("condor_q", &format!("cat {}", jobs.display()));
    let right = sandbox.run(&[]);
    assert_eq!(right.code, Some(0), "{right:?}");
    assert!(right.stderr.contains("works again\n") && !right.stderr.contains("after -"), "{right:?}");
    let grid = status(&sandbox, &["grid"]);
    assert!(grid.stdout.contains("condor                     up"), "{grid:?}");
    assert!(!grid.stdout.contains("DOWN"), "{grid:?}");
    assert!(grid.stdout.contains(" numbers are from the future, until "), "{grid:?}");
    let told = status(&sandbox, &[]).stdout;
    assert!(told.contains("24 h 0 min in the future"), "{told}");
    let well = status(&sandbox, &["--nagios"]);
    assert_eq!(well.code, Some(0), "{well:?}");
}

#[test]
fn a_service_or_a_long_run_is_not_called_hung_because_the_clock_was_set() {
    let sandbox = Sandbox::new("small");
    sandbox.program("condor_q", "sleep 20");
    let mut running = sandbox.command(&[]).spawn().unwrap();
    wait_until("the lock is held", Duration::from_secs(20), || {
        let note = fs::read_to_string(sandbox.path("state/collect-grid.heprc.lock")).ok()?;
        note.contains(' ').then_some(())
    });
    let outcome = run_at(&sandbox, "+2d");
    running.kill().unwrap();
    running.wait().unwrap();
    match outcome {
        Some(outcome) => assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), "")),
        None => skip("a lock and a clock that was set", "faketime"),
    }
}

#[test]
fn a_schedd_that_is_down_is_not_forgotten_by_a_run_that_was_ahead() {
    let sandbox = Sandbox::new("small");
    sandbox.schedds(&["ce01.example.org", "ce02.example.org"], &slots());
    assert_eq!(sandbox.run(&[]).code, Some(0));
    // ce02 goes, and the next run is two days ahead.
    sandbox.schedds(&["ce01.example.org"], &slots());
    sandbox.program("condor_q", "case \"$*\" in *ce02*) exit 1;; esac; echo '[]'");
    if run_at(&sandbox, "+2d").is_none() {
        return skip("a schedd that is down while a clock is ahead", "faketime");
    }
    let after = sandbox.run(&["--verbose"]);
    assert!(after.stderr.contains("schedd ce02.example.org: "), "it is still expected: {after:?}");
}

fn slots() -> String {
    fixture("cloud_monitor/small/condor_slots.json").display().to_string()
}
