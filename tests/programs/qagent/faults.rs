//! What a user, an init script or another program may do to a daemon: signals that come together, things in the place of its pid
//! file, a /proc that hides it.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::Outcome;
use gridmon_testkit::{program, skip, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use super::{LIMIT, Node, runs};

#[test]
fn hang_ups_that_come_together_end_nothing_and_a_single_word_to_end_is_heard_among_them() {
    let node = Node::new();
    let pid = node.start();
    let flood = move |seconds: u64| {
        let (target, until) = (Pid::from_raw(pid as i32).unwrap(), Instant::now() + Duration::from_secs(seconds));
        let send = move || while Instant::now() < until && kill_process(target, Signal::HUP).is_ok() {};
        [thread::spawn(send), thread::spawn(send)]
    };
    flood(3).into_iter().for_each(|thread| thread.join().unwrap());
    assert!(runs(pid), "{:?}", node.log().lines().last());
    let threads = flood(20);
    node.stop(pid);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let log = node.log();
    assert!(log.contains("was told to end, and has published what it held"), "{:?}", log.lines().last());
}

#[test]
fn what_lies_in_the_place_of_the_pid_file_is_named_with_the_way_out_and_left_there() {
    let node = Node::new();
    let path = node.path("run.pid");
    let way_out = "remove it, or name another file with --pidfile\n";
    for (make, what) in [
        ("mkdir run.pid", "Is a directory (os error 21); "),
        ("ln -s config.cfg run.pid", "is a symbolic link, not a regular file; "),
        ("mkfifo run.pid", "is a pipe, not a regular file; "),
    ] {
        assert!(Command::new("sh").args(["-c", make]).current_dir(node.folder.path()).status().unwrap().success());
        for (order, code) in [("start", 1), ("stop", 1), ("status", 4)] {
            let told = node.tell(order);
            assert_eq!((told.code, told.stdout.as_str()), (Some(code), ""), "{make}: {order}");
            assert_eq!(told.stderr, format!("qagent: pid file {}: {what}{way_out}", path.display()));
        }
        let gone =
            if path.symlink_metadata().unwrap().is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        gone.unwrap();
    }
    let pid = node.start();
    node.stop(pid);
}

#[test]
fn a_daemon_that_proc_hides_from_a_user_has_not_died_for_them() {
    let name = "a_daemon_that_proc_hides_from_a_user_has_not_died_for_them";
    let is_allowed = || Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !rustix::process::geteuid().is_root() || !is_allowed() {
        return skip(name, "the right to mount /proc");
    }
    let node = Node::new();
    let pid = node.start();
    fs::set_permissions(node.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // The program may lie where the other user may not go.
    let here = node.folder.write("qagent", "");
    for hidden in [1, 2] {
        let script = format!(
            "mount --bind {} {here} && mount -t proc -o hidepid={hidden} proc /proc && \
             exec setpriv --reuid 65534 --regid 65534 --clear-groups {here} --pidfile {} status",
            program("qagent").display(),
            node.path("run.pid").display(),
            here = here.display(),
        );
        let told = Outcome::of(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
        assert_eq!((told.code, told.stdout.as_str()), (Some(4), ""), "hidepid={hidden}: {}", told.stderr);
        assert!(told.stderr.contains(&format!("/proc does not show process {pid}, which runs: ")), "{}", told.stderr);
    }
    node.stop(pid);
}

#[test]
fn a_state_that_cannot_be_kept_is_said_once_and_again_when_it_can() {
    let node = Node::new();
    let text =
        fs::read_to_string(node.path("config.cfg")).unwrap().replace("publish_seconds = 600", "publish_seconds = 1");
    fs::write(node.path("config.cfg"), text).unwrap();
    let pid = node.start();
    let reports = node.path("state/qagent.g.reports");
    // A folder in its place is like a disk that is full.
    wait_until("a report", LIMIT, || reports.exists().then_some(()));
    fs::remove_file(&reports).unwrap();
    fs::create_dir_all(reports.join("in the way")).unwrap();
    node.wait_for_log("the report of this run is lost");
    thread::sleep(Duration::from_secs(4));
    assert_eq!(node.log().matches("the report of this run is lost").count(), 1, "{}", node.log());
    fs::remove_dir_all(&reports).unwrap();
    node.wait_for_log("the reports of runs are kept again");
    node.stop(pid);
}

/// Runs a program as a kernel before 3.17 would: without what is newer (memfd_create, pidfd_send_signal, pidfd_open).
const OLD_KERNEL: &str = "
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0)] + [(0x15, 3 - at, 0, call) for at, call in enumerate((319, 424, 434))]
code += [(0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x00050000 | 38)]
code = b''.join(struct.pack('HBBI', *step) for step in code)
buffer = ctypes.create_string_buffer(code)
program = struct.pack('HP', len(code) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn on_an_old_kernel_it_starts_and_stops_and_asks_its_commands() {
    let name = "on_an_old_kernel_it_starts_and_stops_and_asks_its_commands";
    let node = Node::new();
    node.folder.write("smi", "#!/bin/sh\necho asked >> \"${0%smi}asked\"\nexit 9\n");
    let path = node.path("smi");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    node.config(&format!("[sensor:GPU]\ntime_interval = 0.2\ncommand = {}\n", path.display()));
    let tell = |order: &str| {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", OLD_KERNEL]).arg(program("qagent"));
        command.args(["--pidfile", "run.pid", "-c", "config.cfg", order]).current_dir(node.folder.path());
        Outcome::of(command.env_clear())
    };
    if !cfg!(target_arch = "x86_64") || !std::path::Path::new("/usr/bin/python3").exists() {
        return skip(name, "python3 on x86-64");
    }
    let status = tell("status");
    assert_eq!((status.code, status.stdout.as_str()), (Some(3), "qagent: does not run\n"), "{}", status.stderr);
    // One that has died is no obstacle.
    fs::write(node.path("run.pid"), "4194304\n5 boot\n").unwrap();
    let started = tell("start");
    assert_eq!((started.code, started.stderr.as_str()), (Some(0), ""), "{}", started.stdout);
    let pid: u32 = started.stdout.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(tell("status").stdout, format!("qagent: runs as process {pid}\n"));
    assert_eq!(tell("reload").code, Some(0));
    node.wait_for_log("has read its config again");
    wait_until("nvidia-smi is asked", LIMIT, || node.path("asked").exists().then_some(()));
    let stopped = tell("stop");
    assert_eq!(
        (stopped.code, stopped.stdout),
        (Some(0), format!("qagent: process {pid} has ended\n")),
        "{}",
        stopped.stderr
    );
    assert!(!runs(pid) && !node.path("run.pid").exists());
}
