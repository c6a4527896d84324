//! SIGKILL at the system calls of a down-sampler: whatever is left, the next run folds everything, once.

use std::os::unix::process::ExitStatusExt;

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

#[test]
fn a_run_that_is_killed_anywhere_is_made_up_for_by_the_next() {
    if !may_trace("a_run_that_is_killed_anywhere_is_made_up_for_by_the_next") {
        return;
    }
    let (now, later) = (D + DAY + 360, D + DAY + 720);
    let expected = {
        let queues = Queues::new();
        queues.fold("downsample-1d", now);
        ["1h", "1d"].map(|tier| queues.tier(tier))
    };
    let mut killed = 0;
    for call in CALLS {
        let mut count = 1;
        loop {
            let queues = Queues::new();
            let plain = queues.command("downsample-1d", &[], now);
            let mut command = Command::new("strace");
            command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:signal=KILL:when={count}")]);
            command.arg(plain.get_program()).args(plain.get_args()).current_dir(queues.0.path("")).env_clear();
            command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let status = command.status().unwrap();
            let was_killed = status.signal() == Some(9) || status.code() == Some(137);
            let next = queues.run("downsample-1d", &[], later);
            assert!(next.code == Some(0), "{call} {count}: {}", next.stderr);
            assert_eq!(["1h", "1d"].map(|tier| queues.tier(tier)), expected, "{call} {count}");
            if !was_killed {
                break;
            }
            killed += 1;
            // In short, the first calls of each name, and fewer of the later ones.
            count += if soak() { 1 } else { 1 + count / 2 };
        }
    }
    assert!(killed > 40, "{killed} kills");
}
