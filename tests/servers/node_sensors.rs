//! The sensors of nodes on this machine: beside psutil at the same moment, with a mount whose server is gone, and with
//! interfaces that come and go.

mod psutil;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gridmon_testkit::hanging::hanging;
use gridmon_testkit::network::Network;
use gridmon_testkit::{TempDir, program, skip, wait_until};

/// A config in a folder of its own.
fn config(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.write("config.cfg", text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    path
}

fn qagent(config: &PathBuf, sensors: &[&str]) -> Child {
    let mut command = Command::new(program("qagent"));
    command.arg("once").arg("--config").arg(config).args(sensors).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn texts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Every type that / and the mount may have.
const TYPES: &str = "[sensor:DiskUsage]\ntimeout_seconds = 1\ntypes = ext4 xfs btrfs overlay fuse\n";

#[test]
fn a_mount_that_hangs_costs_its_own_numbers_and_is_asked_once() {
    let (folder, mount) = (TempDir::new(), TempDir::new());
    let config = config(&folder, TYPES);
    let done = hanging(mount.path(), |hanging| {
        let began = Instant::now();
        let (out, err) = (folder.path().join("out"), folder.path().join("err"));
        // Not through pipes: FUSE keeps the thread that asks, and with it the process' end, until it answers.
        let mut command = Command::new(program("qagent"));
        command.arg("once").arg("--config").arg(&config).arg("DiskUsage").env_clear();
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let read = |path: &PathBuf| Some(fs::read_to_string(path).unwrap()).filter(|text| text.ends_with('\n'));
        let stdout = wait_until("the points", Duration::from_secs(20), || read(&out));
        let stderr = wait_until("the line", Duration::from_secs(20), || read(&err));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(stdout.contains(".DiskUsage.root.percent "), "{stdout}");
        let name = mount.path().to_str().unwrap();
        let line = format!(
            "qagent: mount {name}: gone.example.org:/data (fuse): still does not answer; it is asked again once it has\n"
        );
        assert_eq!(stderr, line);
        assert_eq!(hanging.asked(), 1, "two readings ask it once");
        hanging.answer();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        // Once it answers it is as good as others.
        let (code, stdout, stderr) = texts(qagent(&config, &["DiskUsage"]).wait_with_output().unwrap());
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let tag = name.trim_start_matches('/').replace('/', "-");
        let line = stdout.lines().find(|line| line.contains(&format!(".DiskUsage.{tag}.free "))).unwrap();
        assert!(line.contains(&format!(" {} ", 300 * 4096)), "{line}");
    });
    if done.is_none() {
        skip("a_mount_that_hangs_costs_its_own_numbers_and_is_asked_once", "FUSE, or the right to mount,");
    }
}

#[test]
fn a_mount_that_goes_while_it_is_asked_gives_no_numbers_of_what_lies_below_it() {
    let (folder, mount) = (TempDir::new(), TempDir::new());
    let config = config(&folder, &TYPES.replace("timeout_seconds = 1", "timeout_seconds = 20"));
    let done = hanging(mount.path(), |hanging| {
        let child = qagent(&config, &["DiskUsage"]);
        wait_until("the question how full it is", Duration::from_secs(20), || (hanging.asked() > 0).then_some(()));
        // The child has its own view of the mounts, in which this one goes too: it shares this thread's.
        hanging.take_away(mount.path());
        hanging.answer();
        let (code, stdout, stderr) = texts(child.wait_with_output().unwrap());
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let tag = mount.path().to_str().unwrap().trim_start_matches('/').replace('/', "-");
        assert!(stdout.contains(".DiskUsage.root.percent ") && !stdout.contains(&tag), "{stdout}");
    });
    if done.is_none() {
        skip("a_mount_that_goes_while_it_is_asked", "FUSE, or the right to mount,");
    }
}

#[test]
fn interfaces_that_come_and_go_fail_nothing() {
    let Some(network) = Network::make() else {
        return skip("interfaces_that_come_and_go_fail_nothing", "iproute2, or the right to make a network,");
    };
    let folder = TempDir::new();
    let keep = "exclude = none\n";
    let sensors = ["NetIOCounters", "NetIFAddrs", "NetIFStats"];
    let config = config(&folder, &sensors.map(|sensor| format!("[sensor:{sensor}]\n{keep}")).concat());
    assert!(network.ip(&["link", "add", "stays", "type", "veth", "peer", "name", "other"]));
    assert!(network.ip(&["addr", "add", "10.9.8.7/24", "dev", "stays"]) && network.ip(&["link", "set", "stays", "up"]));
    for _ in 0..2 {
        let mut command = Command::new(program("qagent"));
        command.arg("once").arg("--config").arg(&config).args(sensors);
        let mut child = network.inside(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut changes = 0;
        while child.try_wait().unwrap().is_none() {
            assert!(network.ip(&["link", "add", "comes", "type", "veth", "peer", "name", "goes"]));
            assert!(network.ip(&["link", "delete", "comes"]));
            changes += 1;
        }
        let (code, stdout, stderr) = texts(child.wait_with_output().unwrap());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "after {changes} changes");
        for part in [".NetIFAddrs.stays.inet 1 ", ".NetIFStats.stays.mtu 1500 ", ".NetIOCounters.stays.bytes_sent "] {
            assert!(stdout.contains(part), "{part}: {stdout}");
        }
        assert!(changes > 2, "{changes}");
    }
}
