//! SIGKILL and a failing disk at the system calls of a down-sampler: whatever is left, the next run folds everything, once.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use gridmon_testkit::sandbox::proof::soak;
use gridmon_testkit::sandbox::tracer::may_trace;

use super::*;

/// The calls that change something, or wait for it.
const CALLS: [&str; 12] = [
    "openat",
    "pwrite64",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "mkdir",
    "flock",
    "fcntl",
    "fallocate",
    "ftruncate",
];

/// A run and what makes up for it, each with its time.
struct Run<'a> {
    program: &'a str,
    arguments: &'a [&'a str],
    now: i64,
    /// What another run like it leaves.
    expected: [Vec<String>; 2],
}

fn tiers(queues: &Queues) -> [Vec<String>; 2] {
    ["1h", "1d"].map(|tier| queues.tier(tier))
}

impl<'a> Run<'a> {
    fn new(program: &'a str, arguments: &'a [&'a str], now: i64) -> Self {
        let queues = Queues::new();
        assert_eq!(queues.run(program, arguments, now).code, Some(0));
        Self { program, arguments, now, expected: tiers(&queues) }
    }

    /// Runs it with a fault at the `count`th call of this name, then once more without. Returns how the first one ended.
    fn with_fault(&self, call: &str, fault: &str) -> (ExitStatus, String) {
        let queues = Queues::new();
        let plain = queues.command(self.program, self.arguments, self.now);
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:{fault}"),
        ]);
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(queues.0.path("")).env_clear();
        let output = command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().unwrap();
        let next = queues.run(self.program, self.arguments, self.now + 360);
        assert!(next.code == Some(0), "{call} {fault}: {}", next.stderr);
        assert_eq!(tiers(&queues), self.expected, "{call} {fault}");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Kills it at the calls of each name; returns how many runs were killed.
    fn kills(&self, pace: usize) -> usize {
        let mut killed = 0;
        for call in CALLS {
            let mut count = 1;
            loop {
                let (status, _) = self.with_fault(call, &format!("signal=KILL:when={count}"));
                if status.signal() != Some(9) && status.code() != Some(137) {
                    break;
                }
                killed += 1;
                // In short, the first calls of each name, and fewer of the later ones.
                count += if soak() { 1 } else { 1 + count / pace };
            }
        }
        killed
    }
}

#[test]
fn a_run_that_is_killed_anywhere_is_made_up_for_by_the_next() {
    if !may_trace("a_run_that_is_killed_anywhere_is_made_up_for_by_the_next") {
        return;
    }
    let killed = Run::new("downsample-1d", &[], D + DAY + 360).kills(2);
    assert!(killed > 40, "{killed} kills");
}

#[test]
fn a_backfill_that_is_killed_anywhere_is_resumed() {
    if !may_trace("a_backfill_that_is_killed_anywhere_is_resumed") {
        return;
    }
    let (from, to) = (D.to_string(), (D + 3 * HOUR).to_string());
    let killed = Run::new("downsample-1h", &["--from", &from, "--to", &to], D + DAY + 360).kills(1);
    assert!(killed > 30, "{killed} kills");
}

#[test]
fn a_disk_that_fails_in_mid_fold_is_said_and_the_next_run_folds_what_is_missing() {
    if !may_trace("a_disk_that_fails_in_mid_fold_is_said_and_the_next_run_folds_what_is_missing") {
        return;
    }
    let run = Run::new("downsample-1d", &[], D + DAY + 360);
    let mut failed = 0;
    for (call, error) in [
        ("pwrite64", "ENOSPC"),
        ("pwrite64", "EIO"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("fallocate", "ENOSPC"),
        ("ftruncate", "EIO"),
    ] {
        let mut count = 1;
        // From this call on, as on a disk that is full.
        for _ in 0..if soak() { 200 } else { 6 } {
            let (status, said) = run.with_fault(call, &format!("error={error}:when={count}+"));
            if status.success() {
                break;
            }
            failed += 1;
            assert_eq!(status.code(), Some(1), "{call} {error} {count}: {said}");
            assert!(said.contains("downsample-1d: "), "{call} {error} {count}: {said}");
            count += if soak() { 1 } else { 1 + count };
        }
    }
    assert!(failed > 8, "{failed} runs failed");
}
