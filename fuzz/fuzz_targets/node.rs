//! Reads files of /proc and /sys and answers of netlink: they may be refused, and what is taken makes points that every sink
//! can take. The first byte says which file it is.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use gridmon::model::validate;
use gridmon::monitors::nodes::{Moment, SENSORS};
use gridmon::setup::Config;
use gridmon::sources::node::{
    Root, addresses, cpuinfo, disks, interfaces, loadavg, meminfo, mounts, netlink, sockets, stat, users, vmstat, zoneinfo,
};
use libfuzzer_sys::fuzz_target;

/// The files that stand in a tree for the sensors.
const FILES: [&str; 9] = [
    "proc/stat",
    "proc/meminfo",
    "proc/vmstat",
    "proc/diskstats",
    "proc/net/dev",
    "proc/self/mountinfo",
    "proc/loadavg",
    "proc/cpuinfo",
    "run/utmp",
];

fn tree() -> &'static PathBuf {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("gridmon-fuzz-{}", std::process::id()));
        for name in ["proc/self", "proc/net", "run"] {
            fs::create_dir_all(folder.join(name)).expect("a folder for the tree");
        }
        folder
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(data);
    let _ = stat::parse(&text);
    let _ = meminfo::parse(&text);
    let _ = loadavg::parse(&text);
    let _ = (vmstat::swapped(&text), zoneinfo::low_watermark(&text), cpuinfo::parse(&text).len());
    assert!(disks::parse(&text).count() <= text.lines().count());
    assert!(interfaces::parse(&text).count() <= text.lines().count());
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(mounts::parse_mountinfo(data).len() + mounts::parse_mounts(data).len() <= 2 * lines);
    let _ = sockets::count_lines(data);
    assert!(users::parse(data).sessions as usize <= data.len() / 384);
    let (mut all, mut counts) = (Vec::new(), [[0; sockets::STATES.len()]; 2]);
    let _ = netlink::parse(data, &mut |kind, message: &[u8]| {
        all.extend(addresses::address(kind, message));
        sockets::count_message(message, &mut counts);
    });
    assert!(all.len() * 16 <= data.len() && counts.iter().flatten().sum::<i64>() * 16 <= data.len() as i64);
    sensors(FILES[usize::from(*which) % FILES.len()], data);
});

/// Two readings of a machine of which one file is known, the second with one byte changed.
fn sensors(file: &str, data: &[u8]) {
    let path = tree().join(file);
    let mut later = data.to_vec();
    // Not the last one, without which the file would break off.
    if let Some(byte) = later.get_mut(data.len().saturating_sub(2)) {
        *byte ^= 1;
    }
    let (config, _) = Config::parse("", "c.cfg").expect("no line is wrong");
    let root = Root::at(tree());
    // What asks the file systems of this machine is left out.
    let wanted = config.sensors.iter().filter(|one| one.sensor.name != "DiskUsage");
    let mut readings: Vec<_> = wanted.map(|one| one.open(&root, "h")).collect();
    assert!(readings.len() < SENSORS.len());
    for (seconds, bytes) in [(10, data), (20, later.as_slice())] {
        fs::write(&path, bytes).expect("the tree can be written");
        let at = Moment { time: seconds * 1_000_000_000, running: Duration::from_secs(seconds as u64) };
        let taken = readings.iter_mut().filter_map(|reading| reading.read(at).ok());
        let points: Vec<_> = taken.flat_map(|taken| taken.points).collect();
        for point in &points {
            assert!(point.fields().all(|(_, value)| value.as_f64().is_finite()), "{point:?}");
            assert!(point.fields().all(|(name, value)| !name.ends_with("_per_second") || value.as_f64() >= 0.0));
        }
        let count = points.len();
        let (sound, dropped) = validate(points);
        assert_eq!(sound.len() + dropped.len(), count);
    }
    let _ = fs::remove_file(&path);
}
