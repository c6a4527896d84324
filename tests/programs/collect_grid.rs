//! collect-grid from end to end, as cron runs it: recorded and failing sources by stand-ins on PATH, Carbon in every mood
//! by stand-ins on a port; what is sent, what is printed and the exit code.

mod ads;
mod csv2;
mod flags;
mod http;
mod pools;
mod runs;
mod sources;
mod turns;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::{FakeCarbon, Mood, NOW, Sandbox, expect, fixture, http};
use gridmon_testkit::{skip, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// `path value timestamp` lines by path.
fn by_path(text: &str) -> BTreeMap<&str, &str> {
    text.lines().map(|line| line.split_once(' ').expect("path and value")).collect()
}

/// A folder with two schedds, of which `ce02` is good and answers 40 jobs, and `ce01` runs `script`.
fn two_schedds(script: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let slots = fixture("cloud_monitor/small/condor_slots.json");
    sandbox.schedds(&["ce01", "ce02"], slots.to_str().unwrap());
    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    sandbox.program("condor_q", &format!("case \"$*\" in *ce02*) exec cat {};; esac\n{script}", jobs.display()));
    sandbox.config("[htcondor]\ntimeout_seconds = 1");
    sandbox
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Waits until a process that was killed is gone: the kernel takes its time on a busy machine.
fn wait_until_dead(pid: &str) {
    wait_until(&format!("the end of process {pid}"), LONG, || (!is_alive(pid)).then_some(()));
}
