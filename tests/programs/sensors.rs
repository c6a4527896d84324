//! The sensors of nodes on recorded machines: their files lie in a folder that stands for `/`, one text for each machine in
//! tests/fixtures/node.

mod compare;
mod golden;
mod odd;
mod peers;
mod scale;
mod tree;

use std::process::Command;
use std::time::Duration;

use gridmon::model::{Point, SECOND};
use gridmon::monitors::nodes::{Moment, Reading};
use gridmon::setup::Config;
use gridmon::sources::node::Root;
use gridmon_testkit::program;
use gridmon_testkit::sandbox::Outcome;

/// The time of the first reading, 2024-06-01 12:30:00 UTC.
const NOW: i64 = 1_717_245_000;

/// Sensors with the options of a config, of the machine at a root.
struct Node(Vec<(&'static str, Box<dyn Reading>)>);

impl Node {
    /// Opens the sensors that a config chooses; `only` names those that are wanted, and nothing means all.
    fn open(root: &Root, config: &str, only: &[&str]) -> Self {
        let (config, _) = Config::parse(config, "c.cfg").unwrap();
        let wanted = config.sensors.iter().filter(|one| only.is_empty() || only.contains(&one.sensor.name));
        Self(wanted.map(|one| (one.sensor.name, one.open(root, "wn1"))).collect())
    }

    /// Reads all of them, so many seconds after the first reading. Returns the points, and what is missing.
    fn read(&mut self, seconds: f64) -> (Vec<Point>, Vec<String>) {
        let running = Duration::from_secs_f64(100.0 + seconds);
        let at = Moment { time: NOW * SECOND + (seconds * 1e9) as i64, running };
        let (mut points, mut missing) = (Vec::new(), Vec::new());
        for (name, reading) in &mut self.0 {
            match reading.read(at) {
                Ok(taken) => {
                    points.extend(taken.points);
                    missing.extend(taken.problems.iter().map(|one| format!("{}: {}", one.subject, one.message)));
                }
                Err(error) => missing.push(format!("{name}: {error:#}")),
            }
        }
        (points, missing)
    }
}

/// The value of a field, of the series whose tags have these values.
fn value(points: &[Point], measurement: &str, tags: &[(&str, &str)], field: &str) -> Option<f64> {
    let fits = |point: &&Point| tags.iter().all(|(name, value)| point.tag(name) == Some(value));
    let point = points.iter().filter(|point| point.measurement() == measurement).find(fits)?;
    point.fields().find(|(name, _)| *name == field).map(|(_, value)| value.as_f64())
}

fn qagent(arguments: &[&str]) -> Outcome {
    Outcome::of(Command::new(program("qagent")).args(arguments).env_clear())
}

#[test]
fn each_sensor_tells_of_its_options_fields_units_and_source() {
    let all = qagent(&["sensors"]);
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""));
    let names: Vec<_> = all.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() >= 21, "{names:?}");
    for name in names {
        let told = qagent(&["sensors", name]);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
        for part in [format!("[sensor:{name}]"), "time_interval [".into(), "source ".into(), "carbon ".into()] {
            assert!(told.stdout.contains(&part), "{name}: {part}\n{}", told.stdout);
        }
    }
    let wrong = qagent(&["sensors", "cpupercent"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.starts_with("qagent: there is no sensor \"cpupercent\"; there are CPUPercent, "));
}

#[test]
fn once_prints_the_sensors_of_this_machine_in_each_format() {
    let carbon = qagent(&["once", "LoadAverage", "CPUTimesPercent"]);
    assert_eq!((carbon.code, carbon.stderr.as_str()), (Some(0), ""));
    assert!(carbon.stdout.contains(".LoadAverage.load1 ") && carbon.stdout.contains(".CPUTimesPercent.idle "));
    let influx = qagent(&["once", "--format", "influx", "VirtualMemory"]);
    assert!(influx.stdout.starts_with("node_memory,host="), "{}", influx.stdout);
    let json = qagent(&["once", "--format", "json", "BootTime"]);
    assert!(json.stdout.contains("\"node_boot\""), "{}", json.stdout);
    let all = qagent(&["once"]);
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""));
    let wrong = qagent(&["once", "NoSuch"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
}

#[test]
fn a_host_is_one_component_or_folders_as_the_config_says() {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let sandbox = gridmon_testkit::TempDir::new();
    for (prefix, expected) in [("component", host.replace('.', "_")), ("original", host.clone())] {
        let config = sandbox.write(&format!("{prefix}.cfg"), format!("[sensor:BootTime]\nprefix = {prefix}\n"));
        std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let told = qagent(&["once", "--config", config.to_str().unwrap(), "BootTime"]);
        assert!(told.stdout.starts_with(&format!("{expected}.BootTime ")), "{}", told.stdout);
    }
}

#[test]
fn a_file_that_is_missing_is_named_and_the_other_sensors_go_on() {
    let folder = gridmon_testkit::TempDir::new();
    std::fs::create_dir(folder.path().join("proc")).unwrap();
    std::fs::write(folder.path().join("proc/loadavg"), "0.5 0.4 0.3 1/2 3\n").unwrap();
    let mut node = Node::open(&Root::at(folder.path()), "", &["VirtualMemory", "LoadAverage", "CPUStats"]);
    let (points, missing) = node.read(0.0);
    assert_eq!(points.len(), 1);
    let named = |name: &str, file: &str| missing.iter().any(|line| line.starts_with(name) && line.contains(file));
    assert!(named("VirtualMemory: ", "proc/meminfo") && named("CPUStats: ", "/proc/stat"), "{missing:?}");
    // It is tried again.
    std::fs::write(folder.path().join("proc/meminfo"), "MemTotal: 8 kB\nMemFree: 2 kB\nMemAvailable: 4 kB\n").unwrap();
    let (points, missing) = node.read(10.0);
    assert_eq!((points.len(), missing.len()), (2, 1), "{missing:?}");
    assert_eq!(value(&points, "node_memory", &[], "percent"), Some(50.0));
}

#[test]
fn a_counter_that_the_kernel_does_not_tell_is_absent_and_no_zero() {
    let folder = gridmon_testkit::TempDir::new();
    std::fs::create_dir(folder.path().join("proc")).unwrap();
    let mut node = Node::open(&Root::at(folder.path()), "", &["CPUStats"]);
    for (seconds, intr) in [(0.0, 5), (10.0, 25)] {
        folder.write("proc/stat", format!("cpu  1 2 3 4\nintr {intr}\nbtime 7\n"));
        let (points, missing) = node.read(seconds);
        assert!(missing.is_empty(), "{missing:?}");
        let told = |field: &str| value(&points, "node_kernel", &[], field);
        assert_eq!([told("ctx_switches"), told("soft_interrupts")], [None, None]);
        assert_eq!(told("interrupts"), Some(f64::from(intr)));
        assert_eq!(told("interrupts_per_second"), (seconds > 0.0).then_some(2.0));
    }
}

#[test]
fn a_config_of_qulos_keeps_the_path_of_each_cpu_however_many_there_are() {
    let folder = gridmon_testkit::TempDir::new();
    std::fs::create_dir(folder.path().join("proc")).unwrap();
    let stat = |ticks: u64| {
        let cpus: String = (0..100).map(|cpu| format!("cpu{cpu} {ticks} 0 0 {ticks}\n")).collect();
        folder.write("proc/stat", format!("cpu  {ticks} 0 0 {ticks}\n{cpus}"));
    };
    for (text, name, count) in [
        ("[sensor:CPUPercent]\ntime_interval = 10\n", "qagent.conf", 101),
        ("[sensor:CPUPercent]\nper_cpu = no\n", "qagent.conf", 1),
        ("[sensor:CPUPercent]\ntime_interval = 10\n", "config.cfg", 1),
    ] {
        let path = folder.write(name, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let (config, _) = gridmon::setup::qagent::load(Some(&path)).unwrap();
        let sensors = config.sensors.iter().filter(|one| one.sensor.name == "CPUPercent");
        let sensors = sensors.map(|one| (one.sensor.name, one.open(&Root::at(folder.path()), "wn1")));
        let mut node = Node(sensors.collect());
        stat(100);
        node.read(0.0);
        stat(200);
        assert_eq!(node.read(10.0).0.len(), count, "{name}: {text}");
    }
}
