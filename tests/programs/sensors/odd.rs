//! Files of a machine as no kernel should write them: broken off, with numbers that are none, with names that no text can hold.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use gridmon::sources::node::Root;
use gridmon_testkit::TempDir;

use super::{Node, value};

/// A machine with these files, and folders where the text is empty.
fn machine(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(if text.is_empty() { &path } else { path.parent().unwrap() }).unwrap();
        if !text.is_empty() {
            fs::write(path, text).unwrap();
        }
    }
    folder
}

const DISKS: &str = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sdb 10 20 30 40 50 60 70 80 90 100 110\n";
const INTERFACES: &str =
    " face |bytes\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12\n eth1: 10 20 30 40 50 60 70 80 90 100 110 120\n";

#[test]
fn a_sum_is_absent_if_a_part_of_it_cannot_be_read_and_the_part_is_named() {
    let folder = machine(&[
        ("proc/diskstats", DISKS),
        ("sys/block/sda", ""),
        ("sys/block/sdb", ""),
        ("proc/net/dev", INTERFACES),
        ("sys/class/net/eth0/device", ""),
        ("sys/class/net/eth1/device", ""),
    ]);
    let config = "[sensor:DiskIOCounters]\ndevices = sd*\n";
    let mut node = Node::open(&Root::at(folder.path()), config, &["DiskIOCounters", "NetIOCounters"]);
    let (points, missing) = node.read(0.0);
    let sums = |points: &[_]| {
        ["node_disk_io", "node_net"].map(|name| {
            let field = if name == "node_net" { "bytes_recv" } else { "read_count" };
            value(points, name, &[], field)
        })
    };
    assert_eq!((sums(&points), missing), ([Some(11.0); 2], Vec::new()));
    for (at, odd) in ["99999999999999999999", "-1", "1.5", "x", ""].iter().enumerate() {
        folder.write("proc/diskstats", DISKS.replace("sda 1 ", &format!("sda {odd} ")).replace(" 11\n", "\n"));
        folder.write("proc/net/dev", INTERFACES.replace("eth0: 1 ", &format!("eth0: {odd} ")));
        let (points, missing) = node.read(10.0 * (at + 1) as f64);
        assert_eq!(sums(&points), [None; 2], "{odd:?}");
        let each = [
            ("node_disk_io_each", ("disk", "sdb"), "read_count"),
            ("node_net_each", ("interface", "eth1"), "bytes_recv"),
        ];
        assert_eq!(each.map(|(name, tag, field)| value(&points, name, &[tag], field)), [Some(10.0); 2], "{odd:?}");
        assert_eq!(
            missing,
            [
                "/proc/diskstats: the line of \"sda\" is not of numbers; its numbers and those of all disks are missing",
                "/proc/net/dev: the line of \"eth0\" is not of numbers; its numbers and those of all interfaces are missing",
            ],
            "{odd:?}"
        );
    }
}

#[test]
fn a_file_that_breaks_off_within_a_line_is_named_and_tells_nothing() {
    let files = [
        ("proc/stat", "cpu  10 0 5 100\ncpu0 5 0 2 50\ncpu1 5 0 3 50\n"),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 600 kB\n"),
        ("proc/loadavg", "0.1 0.2 0.3 1/100 55\n"),
        ("proc/diskstats", DISKS),
        ("proc/net/dev", INTERFACES),
        ("proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n"),
        ("proc/filesystems", "\text4\n"),
    ];
    let names = ["CPUCount", "VirtualMemory", "LoadAverage", "DiskIOCounters", "NetIOCounters", "DiskPartitions"];
    let folder = machine(&files);
    let mut node = Node::open(&Root::at(folder.path()), "", &names);
    let (points, missing) = node.read(0.0);
    assert!(missing.is_empty() && points.len() > 5, "{missing:?}");
    for (name, text) in files {
        folder.write(name, &text[..text.len() - 3]);
    }
    let (points, missing) = node.read(10.0);
    assert!(points.is_empty(), "{points:?}");
    assert_eq!(missing.len(), names.len());
    assert!(missing.iter().all(|line| line.ends_with("breaks off in its last line")), "{missing:?}");
    // As a container without them has it.
    for (name, _) in files {
        folder.write(name, "");
    }
    let (points, missing) = node.read(20.0);
    assert_eq!((points.len(), missing.len()), (0, 4), "{points:?} {missing:?}");
    for name in ["/proc/stat", "/proc/meminfo", "/proc/loadavg", "/proc/self/mounts"] {
        assert!(missing.iter().any(|line| line.contains(name)), "{name}: {missing:?}");
    }
}

#[test]
fn a_container_whose_memory_is_less_than_what_is_free_uses_none_of_it() {
    let folder = machine(&[("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 5000 kB\nMemAvailable: 6000 kB\n")]);
    let (points, missing) = Node::open(&Root::at(folder.path()), "", &["VirtualMemory"]).read(0.0);
    assert!(missing.is_empty(), "{missing:?}");
    let fields = ["used", "percent", "available"].map(|field| value(&points, "node_memory", &[], field));
    assert_eq!(fields, [Some(0.0), Some(0.0), Some(1_024_000.0)]);
}

#[test]
fn a_frequency_that_is_no_number_is_absent_and_leaves_the_mean_of_the_others() {
    let folder = TempDir::new();
    for (cpu, khz) in [(0, "nan"), (1, "1000000"), (2, "<unknown>"), (3, "inf")] {
        let policy = folder.path().join(format!("sys/devices/system/cpu/cpufreq/policy{cpu}"));
        fs::create_dir_all(&policy).unwrap();
        fs::write(policy.join("scaling_cur_freq"), format!("{khz}\n")).unwrap();
    }
    let (points, _) = Node::open(&Root::at(folder.path()), "", &["CPUFreq"]).read(0.0);
    assert_eq!(value(&points, "node_frequency", &[], "current"), Some(1000.0));
}

#[test]
fn a_mount_whose_path_no_text_can_hold_is_measured() {
    let folder = machine(&[("proc/filesystems", "\text4\n")]);
    fs::create_dir_all(folder.path().join(OsStr::from_bytes(b"srv/caf\xe9 au lait"))).unwrap();
    fs::create_dir_all(folder.path().join("proc/self")).unwrap();
    let table = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /srv/caf\xe9\\040au\\040lait rw - ext4 /dev/sdb1 rw\n";
    fs::write(folder.path().join("proc/self/mountinfo"), table).unwrap();
    let (points, missing) = Node::open(&Root::at(folder.path()), "", &["DiskUsage"]).read(0.0);
    assert!(missing.is_empty(), "{missing:?}");
    let size = |mount: &str| value(&points, "node_disk_mount", &[("mount", mount)], "total");
    assert!(size("root").is_some() && size("srv-caf\u{fffd} au lait") == size("root"), "{points:?}");
}
