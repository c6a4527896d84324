//! Every value beside psutil's, read before and after ours on this machine, within the tolerances that the oracle explains.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND};
use gridmon::monitors::nodes::Moment;
use gridmon::setup::Config;
use gridmon::sources::node::Root;
use gridmon_testkit::sandbox::fixture;
use gridmon_testkit::{root, skip};
use serde_json::Value;

/// What each sensor can tell of all devices.
const ALL: &str = "[sensor:NetConnections]\n[sensor:CPUPercent]\nper_cpu = yes\n[sensor:CPUTimes]\nper_cpu = yes\n\
                   [sensor:DiskIOCounters]\ndevices = *\n[sensor:NetIOCounters]\nexclude = none\n\
                   [sensor:NetIFStats]\nexclude = none\n[sensor:NetIFAddrs]\nexclude = none\n";

/// The time over which percentages are taken.
const PAUSE: Duration = Duration::from_secs(2);

fn oracle() -> Option<Child> {
    let servers = env::var_os("GRIDMON_SERVERS").map_or_else(|| root().join("target/servers"), PathBuf::from);
    let psutil = servers.join("psutil");
    psutil.is_dir().then(|| {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(fixture("node/oracle.py")).args(["--interval", &PAUSE.as_secs_f64().to_string()]);
        command.env("PYTHONPATH", psutil).stdout(Stdio::piped()).spawn().unwrap()
    })
}

fn answer(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["sensors"].take()
}

/// Our numbers: measurement, key tag, field → value.
type Numbers = BTreeMap<(String, String, String), f64>;

fn numbers(points: &[Point]) -> Numbers {
    let tag = |point: &Point| {
        let tags = point.tags().filter(|(name, _)| !["host", "device", "type"].contains(name));
        tags.map(|(_, value)| value.to_string()).collect::<Vec<_>>().join("/")
    };
    let of = |point: &Point| {
        let (name, tag) = (point.measurement().to_string(), tag(point));
        let fields = point.fields().map(|(field, value)| (field.to_string(), value.as_f64()));
        fields.map(|(field, value)| ((name.clone(), tag.clone(), field), value)).collect::<Vec<_>>()
    };
    points.iter().flat_map(of).collect()
}

/// Reads all sensors twice, and returns the second reading.
fn ours() -> Numbers {
    let (config, _) = Config::parse(ALL, "c.cfg").unwrap();
    let mut readings: Vec<_> = config.sensors.iter().map(|one| one.open(&Root::default(), "wn1")).collect();
    let began = Instant::now();
    let mut read = || {
        let at = Moment { time: SECOND, running: began.elapsed() };
        let taken = readings.iter_mut().map(|reading| reading.read(at).unwrap());
        taken.flat_map(|taken| taken.points).collect::<Vec<_>>()
    };
    read();
    thread::sleep(PAUSE);
    numbers(&read())
}

/// How a number is held to psutil's before and after it.
#[derive(Clone, Copy)]
enum Held {
    /// A counter lies between them, less so much.
    Between(f64),
    /// As near to one of them, or between them.
    Near(f64),
}

const MIB: f64 = 1024.0 * 1024.0;

/// Collects what differs.
struct Check<'a> {
    ours: &'a Numbers,
    count: usize,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn number(&mut self, key: (&str, &str, &str), before: &Value, after: &Value, held: Held) {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_bool().map(f64::from));
        let (Some(before), Some(after)) = (number(before), number(after)) else { return };
        let (measurement, tag, field) = key;
        self.count += 1;
        let ours = self.ours.get(&(measurement.into(), tag.into(), field.into()));
        let (least, most) = (before.min(after), before.max(after));
        let is_good = ours.is_some_and(|ours| match held {
            Held::Between(by) | Held::Near(by) => (least - by..=most + by).contains(ours),
        });
        if !is_good {
            self.wrong.push(format!("{measurement} {tag} {field}: psutil {before} then {after}, ours {ours:?}"));
        }
    }

    /// Holds the fields of an object to those of a series.
    fn object(&mut self, (measurement, tag): (&str, &str), before: &Value, after: &Value, held: impl Fn(&str) -> Held) {
        for (field, value) in before.as_object().into_iter().flatten() {
            self.number((measurement, tag, field), value, &after[field], held(field));
        }
    }
}

fn check<'a>(before: &Value, ours: &'a Numbers, after: &Value) -> Check<'a> {
    let mut check = Check { ours, count: 0, wrong: Vec::new() };
    let exact = |_: &str| Held::Between(0.0);
    let memory = |most: f64| {
        move |field: &str| match field {
            "total" => Held::Near(0.0),
            "percent" => Held::Near(1.0),
            _ => Held::Near(most),
        }
    };
    for (sensor, measurement, held) in [
        ("CPUTimes", "node_cpu_time", &(|_: &str| Held::Between(0.1)) as &dyn Fn(&str) -> Held),
        ("CPUStats", "node_kernel", &exact),
        ("VirtualMemory", "node_memory", &memory(64.0 * MIB)),
        ("SwapMemory", "node_swap", &memory(16.0 * MIB)),
        ("DiskUsage", "node_disk", &memory(64.0 * MIB)),
        ("CPUFreq", "node_frequency", &|field: &str| Held::Near(if field == "current" { 1500.0 } else { 0.0 })),
        ("CPUTimesPercent", "node_cpu_share", &|_: &str| Held::Near(10.0)),
    ] {
        check.object((measurement, ""), &before[sensor], &after[sensor], held);
    }
    check.number(("node_cpus", "", "cpus"), &before["CPUCount"], &after["CPUCount"], Held::Near(0.0));
    check.number(
        ("node_cores", "", "cores"),
        &before["CPUCount_physical"],
        &after["CPUCount_physical"],
        Held::Near(0.0),
    );
    check.number(("node_boot", "", "boot_time"), &before["BootTime"], &after["BootTime"], Held::Near(1.0));
    for (sensor, measurement, by) in [
        ("DiskIOCounters_perdisk", "node_disk_io_each", 0.0),
        ("NetIOCounters_pernic", "node_net_each", 0.0),
        ("NetIFStats", "node_net_link", 0.0),
    ] {
        for (device, told) in before[sensor].as_object().into_iter().flatten() {
            check.object((measurement, device), told, &after[sensor][device], |_| Held::Between(by));
        }
    }
    let count = |told: &Value, what: &dyn Fn(&Value) -> bool| {
        Value::from(told.as_array().into_iter().flatten().filter(|one| what(one)).count())
    };
    for (interface, told) in before["NetIFAddrs"].as_object().into_iter().flatten() {
        for (field, family) in [("inet", "AddressFamily.AF_INET: "), ("inet6", "AddressFamily.AF_INET6: ")] {
            let is_of = |one: &Value| {
                let told = one["family"].to_string();
                told.contains(family) || told.trim_matches('"') == family.trim_end_matches(": ")
            };
            let [before, after] = [told, &after["NetIFAddrs"][interface]].map(|told| count(told, &is_of));
            check.number(("node_net_addresses", interface, field), &before, &after, Held::Near(0.0));
        }
    }
    let [first, second] = [before, after].map(|told| count(&told["DiskPartitions"], &|_| true));
    check.number(("node_mounts", "", "count"), &first, &second, Held::Near(0.0));
    let [first, second] = [before, after].map(|told| count(&told["Users"], &|_| true));
    check.number(("node_users", "", "sessions"), &first, &second, Held::Near(0.0));
    let is_listening = |one: &Value| {
        one["status"] == "LISTEN" && one["family"].as_str().is_some_and(|family| !family.contains("INET6"))
    };
    let [first, second] = [before, after].map(|told| count(&told["NetConnections"], &is_listening));
    check.number(("node_sockets", "tcp", "LISTEN"), &first, &second, Held::Near(5.0));
    check
}

#[test]
fn every_value_is_psutils_at_the_same_moment() {
    let mut last = Vec::new();
    // Something may be mounted, plugged or opened between: then the test is taken again.
    for _ in 0..4 {
        let Some(first) = oracle() else {
            return skip("every_value_is_psutils_at_the_same_moment", "psutil");
        };
        let before = answer(first);
        // This one measures its percentages while we measure ours.
        let second = oracle().expect("it was here");
        let ours = ours();
        let after = answer(second);
        let found = check(&before, &ours, &after);
        assert!(found.count > 100, "{} values were compared", found.count);
        if found.wrong.is_empty() {
            return;
        }
        last = found.wrong;
    }
    panic!("{}", last.join("\n"));
}
