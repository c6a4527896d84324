//! A run that is killed, and what the next one says of it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use gridmon_testkit::sandbox::{FakeCarbon, Mood, Sandbox};
use gridmon_testkit::{signal, wait_until};

use super::{LONG, wait_for_end, without_carbon};

/// Makes `cloud_status` hang with a grandchild and one that left its group; returns how to wait for their process IDs.
fn hanging(sandbox: &Sandbox) -> impl Fn() -> Vec<String> {
    sandbox.program("cloud_status", "echo $$ > a; sleep 1000 & echo $! > b; setsid sleep 1000 & echo $! > c; wait");
    let paths = ["a", "b", "c"].map(|name| sandbox.path(name));
    move || {
        wait_until("the source to be asked", LONG, || {
            let pid = |path| fs::read_to_string(path).ok().filter(|pid| pid.ends_with('\n'));
            paths.iter().map(|path| pid(path).map(|pid| pid.trim().to_string())).collect()
        })
    }
}

fn wait_until_dead(pid: &str) {
    wait_until(&format!("the end of process {pid}"), LONG, || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn what_a_killed_run_started_dies_with_it_and_the_next_run_tells_of_it_once() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let children = hanging(&sandbox);
    let mut run = sandbox.command(&[]).spawn().unwrap();
    let pids = children();
    run.kill().unwrap();
    run.wait().unwrap();
    pids.iter().for_each(|pid| wait_until_dead(pid));

    sandbox.program("cloud_status", "setsid sleep 1000 >&- 2>&- & echo $! > left; echo '{\"resources\": []}'");
    let next = sandbox.run(&[]);
    let begin = format!("collect-grid: the last run, process {}, begun 20", run.id());
    assert!(next.stderr.starts_with(&begin) && next.stderr.lines().count() == 1, "{}", next.stderr);
    assert!(next.stderr.contains(", was killed or crashed; "), "{}", next.stderr);
    assert_eq!(next.code, Some(0), "its own work is done");
    // It ended by itself, and what left its process group is gone too.
    wait_until_dead(fs::read_to_string(sandbox.path("left")).unwrap().trim());
    assert_eq!(sandbox.run(&[]).stderr, "");
}

#[test]
fn a_run_that_said_why_it_ended_is_not_told_of_again() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let children = hanging(&sandbox);
    let run = sandbox.command(&[]).stderr(Stdio::piped()).spawn().unwrap();
    let pids = children();
    signal(run.id(), "TERM");
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.stderr, b"collect-grid: interrupted; nothing more is sent\n");
    pids.iter().for_each(|pid| wait_until_dead(pid));
    sandbox.program("cloud_status", "echo '{\"resources\": []}'");
    let next = sandbox.run(&[]);
    assert_eq!((next.code, next.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_core_file_is_never_written() {
    let sandbox = without_carbon("");
    let children = hanging(&sandbox);
    let plain = sandbox.command(&["-n"]);
    let mut run = Command::new("prlimit");
    run.args(["--core=unlimited", "--"]).arg(plain.get_program()).args(plain.get_args());
    run.current_dir(sandbox.path(""))
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut run = run.stdout(Stdio::null()).spawn().unwrap();
    children();
    signal(run.id(), "ABRT");
    let status = wait_for_end(&mut run);
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
