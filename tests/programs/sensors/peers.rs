//! What psutil reads of each recorded machine, and what the parsers of the crate procfs do, beside ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use gridmon::model::Point;
use gridmon_testkit::sandbox::fixture;
use serde_json::Value;

use super::tree::Tree;
use super::{Node, value};

/// Everything that each sensor can tell.
const ALL: &str = "[sensor:NetConnections]\n[sensor:CPUTimes]\nper_cpu = yes\n[sensor:CPUFreq]\nper_cpu = yes\n\
                   [sensor:DiskIOCounters]\ndevices = *\n[sensor:NetIOCounters]\nexclude = none\n";

fn psutil(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("node/{name}.psutil.json"))).unwrap()).unwrap()
}

/// Each machine with psutil's answer and our points.
fn machines() -> Vec<(&'static str, Value, Vec<Point>)> {
    ["vm2", "procfs", "nodeexp", "r720", "x250", "synth512"]
        .map(|name| {
            let tree = Tree::unpack(name);
            let (points, _) = Node::open(&tree.root(), ALL, &[]).read(0.0);
            (name, psutil(name), points)
        })
        .into()
}

/// Compares the numbers of an object with the fields of a series; returns how many there were.
fn compare(told: &Value, points: &[Point], measurement: &str, tags: &[(&str, &str)]) -> usize {
    let Some(told) = told.as_object() else { return 0 };
    for (field, number) in told {
        let ours = value(points, measurement, tags, field);
        let number = number.as_f64().unwrap();
        // Without /proc/vmstat psutil says 0, and we say nothing.
        if ours.is_none() && measurement == "node_swap" && number == 0.0 {
            continue;
        }
        let is_same = ours.is_some_and(|ours| (ours - number).abs() <= 1e-6 * number.abs().max(1.0));
        assert!(is_same, "{measurement} {tags:?} {field}: psutil {number}, ours {ours:?}");
    }
    told.len()
}

#[test]
fn every_number_is_psutils() {
    let mut count = 0;
    for (name, told, points) in machines() {
        for (answer, measurement) in [
            ("cpu_times", "node_cpu_time"),
            ("cpu_stats", "node_kernel"),
            ("virtual_memory", "node_memory"),
            ("swap_memory", "node_swap"),
            ("cpu_freq", "node_frequency"),
        ] {
            // Without swap psutil reads the swap of the machine that it runs on.
            if !(answer == "swap_memory" && value(&points, measurement, &[], "total").is_none()) {
                count += compare(&told[answer], &points, measurement, &[]);
            }
        }
        if let Some(boot) = told["boot_time"].as_f64() {
            assert_eq!(value(&points, "node_boot", &[], "boot_time"), Some(boot), "{name}");
        }
        for (answer, measurement, tag) in [
            ("disk_io_counters_perdisk", "node_disk_io_each", "disk"),
            ("net_io_counters_pernic", "node_net_each", "interface"),
        ] {
            for (device, told) in told[answer].as_object().into_iter().flatten() {
                count += compare(told, &points, measurement, &[(tag, device)]);
            }
        }
        let cpus: BTreeSet<u32> = points
            .iter()
            .filter(|point| point.measurement() == "node_cpu_time_each")
            .map(|point| point.tag("cpu").unwrap().parse().unwrap())
            .collect();
        // psutil counts lines; we take the CPUs' numbers.
        for (cpu, told) in cpus.iter().zip(told["per_cpu_times"].as_array().into_iter().flatten()) {
            count += compare(told, &points, "node_cpu_time_each", &[("cpu", &cpu.to_string())]);
        }
    }
    assert!(count > 6000, "{count} numbers were compared");
}

#[test]
fn every_temperature_fan_and_battery_is_psutils() {
    let mut count = 0;
    for (name, told, points) in machines() {
        // psutil puts all chips of one name together, fills in one limit from the other, and knows no impossible ones.
        let chip = |point: &Point, told: &Value| {
            let chip = point.tag("chip").unwrap();
            let stem = chip.rsplit_once('_').map(|(stem, _)| stem).filter(|_| told.get(chip).is_none());
            stem.unwrap_or(chip).to_string()
        };
        for (answer, measurement, field) in
            [("sensors_temperatures", "node_temperature", "current"), ("sensors_fans", "node_fan", "rpm")]
        {
            let mut ours: BTreeMap<String, Vec<i64>> = BTreeMap::new();
            for point in points.iter().filter(|point| point.measurement() == measurement) {
                let (_, number) = point.fields().find(|(name, _)| *name == field).unwrap();
                ours.entry(chip(point, &told[answer])).or_default().push((number.as_f64() * 1000.0).round() as i64);
            }
            let mut theirs: BTreeMap<String, Vec<i64>> = BTreeMap::new();
            for (chip, inputs) in told[answer].as_object().into_iter().flatten() {
                let numbers = inputs.as_array().unwrap().iter().map(|input| input["current"].as_f64().unwrap());
                let possible = numbers.filter(|number| *number > -273.15);
                theirs.insert(chip.clone(), possible.map(|number| (number * 1000.0).round() as i64).collect());
            }
            // The files of an old driver, which psutil reads only where there is no other fan.
            if answer == "sensors_fans" && name == "nodeexp" {
                assert_eq!(ours.remove("applesmc"), Some(vec![0, 1_998_000]));
            }
            ours.values_mut().for_each(|numbers| numbers.sort_unstable());
            theirs.retain(|_, numbers| !numbers.is_empty());
            theirs.values_mut().for_each(|numbers| numbers.sort_unstable());
            assert_eq!(ours, theirs, "{name}: {answer}");
            count += ours.values().map(Vec::len).sum::<usize>();
        }
        if told["sensors_battery"].is_object() {
            let percent = value(&points, "node_battery", &[], "percent").unwrap();
            assert!((percent - told["sensors_battery"]["percent"].as_f64().unwrap()).abs() < 1e-9, "{name}");
        } else {
            assert_eq!(value(&points, "node_battery", &[], "percent"), None, "{name}");
        }
    }
    assert!(count > 40, "{count} were compared");
}

#[test]
fn mounts_and_sockets_are_psutils() {
    for (name, told, points) in machines() {
        if let Some(partitions) = told["disk_partitions"].as_array() {
            let paths: BTreeSet<_> = partitions.iter().map(|one| one["mountpoint"].as_str().unwrap()).collect();
            assert_eq!(value(&points, "node_mounts", &[], "count"), Some(paths.len() as f64), "{name} {paths:?}");
        }
        let Some(sockets) = told["net_connections"].as_array() else { continue };
        let ours: f64 = points
            .iter()
            .filter(|point| point.measurement() == "node_sockets")
            .flat_map(Point::fields)
            .map(|(_, count)| count.as_f64())
            .sum();
        // psutil passes over a socket that has the addresses and state of another one.
        let doubles = if name == "procfs" { 2 } else { 0 };
        assert_eq!(ours, (sockets.len() + doubles) as f64, "{name}");
    }
}

/// The parsers of the crate procfs are stricter: one odd line costs them the whole file. Where they read a file, ours read
/// the same.
#[test]
fn the_parsers_of_the_crate_procfs_read_the_same() {
    use gridmon::sources::node::{disks, mounts};
    use procfs_core::{FromBufRead, process::MountInfos};
    let mut count = 0;
    for name in ["vm2", "procfs", "nodeexp", "synth512"] {
        let tree = Tree::unpack(name);
        let text = |file: &str| fs::read_to_string(tree.path().join(file)).unwrap_or_default();
        let stats = text("proc/diskstats");
        let ours: BTreeMap<_, _> = disks::parse(&stats).filter_map(|(name, told)| Some((name, told?))).collect();
        for line in stats.lines() {
            let Ok(theirs) = procfs_core::DiskStat::from_line(line) else { continue };
            let [reads, writes, read_bytes, ..] = ours[theirs.name.as_str()];
            let sectors = theirs.sectors_read * 512;
            assert_eq!((reads, writes, read_bytes), (theirs.reads, theirs.writes, sectors), "{line}");
            count += 1;
        }
        let mountinfo = text("proc/self/mountinfo");
        let ours = mounts::parse_mountinfo(&mountinfo);
        if let Ok(theirs) = MountInfos::from_buf_read(mountinfo.as_bytes()) {
            let theirs: Vec<_> = theirs.0.iter().map(|one| (one.mnt_id as u64, one.fs_type.clone())).collect();
            assert_eq!(ours.iter().map(|one| (one.id, one.kind.clone())).collect::<Vec<_>>(), theirs, "{name}");
            count += theirs.len();
        }
    }
    assert!(count > 100, "{count} lines were compared");
}
