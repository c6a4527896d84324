//! What the sensors make of each recorded machine, to the byte.

use gridmon::model::{Catalog, validate};
use gridmon_testkit::sandbox::{expect, fixture};

use super::tree::Tree;
use super::{Node, value};

/// The paths of points, sorted, as Carbon gets them. How full disks are is this machine's, not the recorded one's.
fn paths(points: Vec<gridmon::model::Point>) -> String {
    let catalog: Catalog = gridmon::setup::CATALOG;
    let (points, dropped) = validate(points);
    assert_eq!(dropped, []);
    let (text, hidden) = gridmon::frame::show(&points, gridmon::frame::args::Format::Carbon, catalog);
    assert_eq!(hidden, []);
    text.lines().filter(|line| !line.contains(".DiskUsage.")).fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn each_recorded_machine_gives_the_same_points() {
    let config = "[sensor:NetConnections]\n[sensor:DiskIOCounters]\ndevices = nvme0n1 vda sda dm-0 md0\n";
    for name in ["vm2", "procfs", "nodeexp", "r720", "x250", "synth512"] {
        let tree = Tree::unpack(name);
        let mut node = Node::open(&tree.root(), config, &[]);
        node.read(0.0);
        let (points, missing) = node.read(10.0);
        let missing: String = missing.iter().map(|line| format!("# {line}\n")).collect();
        let missing = missing.replace(tree.path().to_str().unwrap(), "");
        expect(&fixture(&format!("node/{name}.expected")), &format!("{}{missing}", paths(points)));
    }
}

/// The original's paths that Carbon kept, of the host node01.example.org: each is ours too, with `prefix = original`.
#[test]
fn every_path_that_the_original_delivered_is_there() {
    let tree = Tree::unpack("vm2");
    let (config, _) = gridmon::setup::Config::parse("", "c.cfg").unwrap();
    let mut points = Vec::new();
    for chosen in config.sensors {
        let mut reading = chosen.open(&tree.root(), "node01.example.org.");
        for seconds in [0.0, 10.0] {
            let running = std::time::Duration::from_secs_f64(seconds);
            let at = gridmon::monitors::nodes::Moment { time: 0, running };
            if let Ok(taken) = reading.read(at) {
                points.extend(taken.points.into_iter().filter(|_| seconds > 0.0));
            }
        }
    }
    let (points, _) = validate(points);
    let text = gridmon::frame::show(&points, gridmon::frame::args::Format::Carbon, gridmon::setup::CATALOG).0;
    let ours: std::collections::BTreeSet<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let kept = std::fs::read_to_string(fixture("node/carbon_kept.txt")).unwrap();
    let kept = kept.lines().filter(|line| line.starts_with("node01."));
    // That machine has no disk of a kind that is one's own, and the recorded one has no battery.
    let lacking: Vec<_> = kept.filter(|path| !ours.contains(path)).collect();
    assert_eq!(lacking, Vec::<&str>::new());
}

#[test]
fn percentages_are_those_of_psutil_also_when_idle_and_iowait_go_backwards() {
    let tree = Tree::unpack("pair");
    let mut node = Node::open(
        &tree.root(),
        "[sensor:CPUTimesPercent]\nper_cpu = yes\n",
        &["CPUPercent", "CPUTimesPercent", "CPUTimes"],
    );
    let (first, _) = node.read(0.0);
    assert_eq!(value(&first, "node_cpu", &[], "percent"), None, "one reading makes no percentage");
    let later = std::fs::read_to_string(tree.path().join("proc/stat.later")).unwrap();
    tree.write("proc/stat", &later);
    let (points, missing) = node.read(10.0);
    assert_eq!(missing, Vec::<String>::new());
    let psutil: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("node/pair.psutil.json")).unwrap()).unwrap();
    let each = psutil["cpu_percent_percpu_stat_to_stat.later"].as_array().unwrap();
    assert_eq!(each.len(), 5);
    for (cpu, busy) in each.iter().enumerate() {
        let ours = value(&points, "node_cpu", &[("cpu", &cpu.to_string())], "percent");
        assert_eq!(ours, busy.as_f64(), "cpu {cpu}");
    }
    // psutil divides by a whole CPU second at least, though only 0.78 of them passed here.
    let all = psutil["cpu_times_percent_stat_to_stat.later"].as_object().unwrap();
    for (field, share) in all {
        let ours = value(&points, "node_cpu_share", &[], field).unwrap();
        let theirs = (share.as_f64().unwrap() / 0.78).min(100.0);
        assert!((ours - theirs).abs() < 0.1, "{field}: {ours} {theirs}");
    }
    let each = psutil["cpu_times_percent_percpu_stat_to_stat.later"].as_array().unwrap();
    for (cpu, shares) in each.iter().enumerate() {
        let is_own = |field: &str| !field.starts_with("guest");
        let shares: Vec<_> =
            shares.as_object().unwrap().iter().map(|(name, share)| (name, share.as_f64().unwrap())).collect();
        let sum: f64 = shares.iter().filter(|(field, _)| is_own(field)).map(|(_, share)| share).sum();
        for (field, share) in shares {
            let ours = value(&points, "node_cpu_share_each", &[("cpu", &cpu.to_string())], field).unwrap();
            // A CPU that had less than a second has too little in psutil.
            let theirs = (share * 100.0 / sum).min(100.0);
            assert!((ours - theirs).abs() < 0.2, "cpu {cpu} {field}: {ours} {theirs}");
        }
    }
}
