//! Machines that are large, and that change while they are read.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use gridmon::sources::node::Root;
use gridmon_testkit::TempDir;

use super::{Node, value};

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn totals_alone_of_512_cpus_and_each_of_them_when_asked() {
    let folder = TempDir::new();
    let stat = |ticks: u64| {
        let line = |cpu: &str, n: u64| format!("cpu{cpu} {} 0 0 {} 0 0 0 0 0 0\n", n * ticks, n * (1000 + ticks));
        let mut text = line(" ", 512);
        (0..512).for_each(|cpu| text += &line(&cpu.to_string(), 1));
        let _ = write!(text, "intr 5{}\nctxt 6\nbtime 7\nsoftirq 8\n", " 0".repeat(5000));
        text
    };
    for (option, cpus) in [("auto", 0), ("yes", 512), ("no", 0)] {
        write(&folder, "proc/stat", &stat(0));
        let config = format!("[sensor:CPUPercent]\nper_cpu = {option}\n");
        let mut node = Node::open(&Root::at(folder.path()), &config, &["CPUPercent", "CPUCount"]);
        node.read(0.0);
        write(&folder, "proc/stat", &stat(100));
        let (points, _) = node.read(1.0);
        assert_eq!(points.iter().filter(|point| point.measurement() == "node_cpu").count(), cpus + 1, "{option}");
        assert_eq!(value(&points, "node_cpu", &[("cpu", "total")], "percent"), Some(50.0));
        assert_eq!(value(&points, "node_cpus", &[], "cpus"), Some(512.0));
    }
}

/// /proc/net/dev with interfaces of these names and bytes received.
fn dev(interfaces: &[(String, u64)]) -> String {
    let mut text = String::from("Inter-|   Receive |  Transmit\n face |bytes\n");
    for (name, bytes) in interfaces {
        let _ = writeln!(text, "{name}: {bytes} 1 0 0 0 0 0 0 {} 1 0 0 0 0 0 0", bytes / 2);
    }
    text
}

#[test]
fn of_2000_interfaces_those_of_containers_are_left_out_and_the_sum_is_over_devices() {
    let folder = TempDir::new();
    let names = (0..1950).map(|n| format!("veth{n:x}")).chain((0..40).map(|n| format!("br-{n}")));
    let names = names.chain(["lo", "docker0", "eth0", "eth1", "bond0", "bond0.7", "tun0"].map(String::from));
    let mut all: Vec<_> = names.map(|name| (name, 1000)).collect();
    write(&folder, "proc/net/dev", &dev(&all));
    for name in ["eth0", "eth1"] {
        write(&folder, &format!("sys/class/net/{name}/device/vendor"), "0x1af4\n");
    }
    write(&folder, "sys/class/net/bond0/bonding/mode", "802.3ad 4\n");
    write(&folder, "sys/class/net/bond0.7/lower_bond0", "");
    write(&folder, "sys/class/net/tun0/tun_flags", "0x1\n");
    let mut node = Node::open(&Root::at(folder.path()), "", &["NetIOCounters"]);
    let began = Instant::now();
    node.read(0.0);
    all.iter_mut().for_each(|(_, bytes)| *bytes += 5000);
    write(&folder, "proc/net/dev", &dev(&all));
    let (points, _) = node.read(2.0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let each: Vec<_> = points.iter().filter_map(|point| point.tag("interface")).collect();
    assert_eq!(each, ["eth0", "eth1", "bond0", "bond0.7", "tun0"]);
    assert_eq!(value(&points, "node_net", &[], "bytes_recv"), Some(12_000.0));
    assert_eq!(value(&points, "node_net", &[], "bytes_recv_per_second"), Some(5000.0));
    assert_eq!(value(&points, "node_net_each", &[("interface", "bond0")], "bytes_recv_per_second"), Some(2500.0));
}

#[test]
fn an_interface_that_comes_goes_or_begins_anew_makes_no_spike() {
    let folder = TempDir::new();
    let mut node = Node::open(&Root::at(folder.path()), "", &["NetIOCounters"]);
    let mut read = |seconds: f64, interfaces: &[(&str, u64)]| {
        let interfaces: Vec<_> = interfaces.iter().map(|(name, bytes)| (name.to_string(), *bytes)).collect();
        write(&folder, "proc/net/dev", &dev(&interfaces));
        let (points, missing) = node.read(seconds);
        assert_eq!(missing, Vec::<String>::new());
        let rate = |name: &str| value(&points, "node_net_each", &[("interface", name)], "bytes_recv_per_second");
        (rate("eth0"), rate("eth1"), value(&points, "node_net", &[], "bytes_recv_per_second"))
    };
    assert_eq!(read(0.0, &[("eth0", 1 << 40)]), (None, None, None));
    assert_eq!(read(10.0, &[("eth0", (1 << 40) + 100), ("eth1", 1 << 50)]), (Some(10.0), None, Some(10.0)));
    assert_eq!(read(20.0, &[("eth0", 7), ("eth1", (1 << 50) + 50)]), (None, Some(5.0), Some(5.0)));
    assert_eq!(read(30.0, &[("eth0", 107)]), (Some(10.0), None, Some(10.0)));
    assert_eq!(read(40.0, &[("eth0", 207), ("eth1", 5)]), (Some(10.0), None, Some(10.0)));
    assert_eq!(read(40.5, &[]), (None, None, None));
}

#[test]
fn a_disk_that_is_stacked_counts_once_and_one_that_sleeps_is_not_woken() {
    let folder = TempDir::new();
    let stats = |n: u64| {
        let line = |name: &str| format!("8 0 {name} {n} 0 {n} 0 {n} 0 {n} 0 0 0 0\n");
        ["sda", "sda1", "dm-0", "md0", "loop0", "zram0"].map(line).concat()
    };
    for name in ["sda", "dm-0", "md0", "loop0", "zram0"] {
        write(&folder, &format!("sys/block/{name}/size"), "1\n");
    }
    write(&folder, "proc/diskstats", &stats(10));
    for (chip, state, input) in [("hwmon0", "active", 50_000), ("hwmon1", "suspended", 60_000)] {
        write(&folder, &format!("sys/class/hwmon/{chip}/name"), "amdgpu\n");
        write(&folder, &format!("sys/class/hwmon/{chip}/device/power/runtime_status"), state);
        write(&folder, &format!("sys/class/hwmon/{chip}/temp1_input"), &input.to_string());
    }
    let config = "[sensor:DiskIOCounters]\ndevices = d* s*\nexclude = *1\n";
    let mut node = Node::open(&Root::at(folder.path()), config, &["DiskIOCounters", "SensorsTemperatures"]);
    node.read(0.0);
    write(&folder, "proc/diskstats", &stats(30));
    let (points, _) = node.read(4.0);
    assert_eq!(value(&points, "node_disk_io", &[], "read_count"), Some(30.0));
    assert_eq!(value(&points, "node_disk_io", &[], "read_bytes_per_second"), Some(20.0 * 512.0 / 4.0));
    let each: Vec<_> = points.iter().filter_map(|point| point.tag("disk")).collect();
    assert_eq!(each, ["sda", "dm-0"]);
    assert_eq!(value(&points, "node_temperature", &[("chip", "amdgpu_0")], "current"), Some(50.0));
    assert_eq!(value(&points, "node_temperature", &[("chip", "amdgpu_1")], "current"), None);
    write(&folder, "sys/class/hwmon/hwmon1/device/power/runtime_status", "active\n");
    assert_eq!(value(&node.read(8.0).0, "node_temperature", &[("chip", "amdgpu_1")], "current"), Some(60.0));
}

#[test]
fn a_node_without_disks_battery_and_chips_says_nothing_and_fails_nothing() {
    let folder = TempDir::new();
    write(&folder, "proc/diskstats", "");
    let only = ["DiskIOCounters", "SensorsTemperatures", "SensorsFans", "SensorsBattery", "CPUFreq"];
    let (points, missing) = Node::open(&Root::at(folder.path()), "", &only).read(0.0);
    assert_eq!((points.len(), missing), (0, Vec::new()));
}
