//! A writer killed at any system call leaves files that rrdtool reads, and the next one goes on with them.

use std::env;
use std::process::Stdio;

use gridmon_testkit::sandbox::proof::soak;
use gridmon_testkit::sandbox::tracer::{may_trace, was_killed};

use super::*;

const FOLDER: &str = "GRIDMON_RRD_FOLDER";

/// The writer that is killed: a batch of three machines, one of them new. Only in a process of its own.
#[test]
#[ignore = "is started by the other test"]
fn the_writer() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    take(&sink(Path::new(&folder)), ["a", "b", "c"].map(|machine| at(machine, 40)).to_vec());
}

/// Slot 40 ends a row of every archive but the daily ones, after an hour without a value.
fn at(machine: &str, slot: i64) -> Point {
    point(machine, START + 300 * slot, &[RATIO.of(0.5), RX.of(1000.0 + slot as f64), TX.of(5.0)])
}

/// Two machines with ten values each.
fn prepare(folder: &Path) {
    for slot in 0..10 {
        take(&sink(folder), vec![at("a", slot), at("b", slot)]);
    }
}

#[test]
fn a_writer_killed_at_any_call_leaves_files_that_rrdtool_reads() {
    let test = "a_writer_killed_at_any_call_leaves_files_that_rrdtool_reads";
    if !may_trace(test) || !has_rrdtool(test) {
        return;
    }
    let whole = TempDir::new();
    prepare(whole.path());
    take(&sink(whole.path()), ["a", "b", "c"].map(|machine| at(machine, 40)).to_vec());
    let names = [("a", "cpu"), ("a", "net"), ("b", "cpu"), ("b", "net"), ("c", "cpu"), ("c", "net")];
    let expected = names.map(|(machine, name)| fs::read(path_of(&whole, machine, name)).unwrap());
    let mut killed = 0;
    let calls = [
        "pwrite64", "write", "openat", "fcntl", "fsync", "rename", "link", "linkat", "unlink", "mkdir", "pread64",
        "flock",
    ];
    for call in calls {
        // All of them in the soak; here every fourth.
        for count in (1..).step_by(if soak() { 1 } else { 4 }) {
            let folder = TempDir::new();
            prepare(folder.path());
            let inject = format!("inject={call}:signal=KILL:when={count}");
            let mut command = Command::new("strace");
            command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            command.arg(env::current_exe().unwrap()).args([
                "--exact",
                "rrd::kills::the_writer",
                "--ignored",
                "--test-threads=1",
            ]);
            let status =
                command.env(FOLDER, folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            for (machine, name) in names {
                let path = path_of(&folder, machine, name);
                if path.exists() {
                    let read = rrdtool(&["dump", shown(&path)]).unwrap();
                    assert!(read.is_ok(), "{call} {count}: {machine}/{name}.rrd: {read:?}");
                }
            }
            take(&sink(folder.path()), ["a", "b", "c"].map(|machine| at(machine, 40)).to_vec());
            for ((machine, name), expected) in names.iter().zip(&expected) {
                let same = fs::read(path_of(&folder, machine, name)).unwrap() == *expected;
                assert!(same, "{call} {count}: {machine}/{name}.rrd is another after the next run");
            }
            if !was_killed(status) {
                assert!(status.success(), "{call} {count}: {status:?}");
                break;
            }
            killed += 1;
        }
    }
    println!("{killed} writers were killed");
    assert!(killed > 15, "{killed}");
}
