//! Why values of a node differ from those that QULo's master sent to Carbon. They are compared by their paths.

use crate::model::{Cause, Compared, Difference};

/// What does not change while a machine runs: HOST.SENSOR and HOST.SENSOR.FIELD.
const LASTING: [&str; 6] =
    ["CPUCount", "BootTime", "CPUFreq.max", "CPUFreq.min", "VirtualMemory.total", "SwapMemory.total"];

/// Sensors whose values QULo's master refused, or Carbon dropped.
const REFUSED: [&str; 8] = [
    "DiskPartitions",
    "NetConnections",
    "NetIFAddrs",
    "NetIFStats",
    "SensorsTemperatures",
    "SensorsFans",
    "SensorsBattery",
    "Users",
];

/// Its other sensors.
const SENSORS: [&str; 12] = [
    "BootTime",
    "CPUCount",
    "CPUFreq",
    "CPUPercent",
    "CPUStats",
    "CPUTimes",
    "CPUTimesPercent",
    "DiskIOCounters",
    "DiskUsage",
    "NetIOCounters",
    "SwapMemory",
    "VirtualMemory",
];

/// The known causes, the first that fits counts.
pub static CAUSES: &[Cause] = &[
    Cause {
        why: "both measured at moments of their own",
        is_general: true,
        explains: |of, difference| {
            let lasts = of.path().is_some_and(|path| LASTING.iter().any(|end| path.ends_with(&format!(".{end}"))));
            matches!(difference, Difference::Field(_)) && !lasts
        },
    },
    Cause {
        why: "QULo's master refused the values of this sensor, or Carbon dropped them",
        is_general: true,
        explains: |of, difference| *difference == Difference::Extra && has(of, &REFUSED),
    },
    Cause {
        why: "QULo had no such sensor or field: rates, single interfaces and mounts, sums",
        is_general: true,
        explains: |of, difference| *difference == Difference::Extra && of.path().is_some_and(is_new),
    },
];

/// Whether QULo had no such path: HOST.SENSOR or HOST.SENSOR.FIELD, where HOST may have several components.
fn is_new(path: &str) -> bool {
    let parts: Vec<_> = path.split('.').collect();
    let Some(at) = parts.iter().position(|part| SENSORS.contains(part)) else { return true };
    match &parts[at + 1..] {
        [] => false,
        [field] => field.ends_with("_per_second") || parts[at] == "CPUPercent" && *field == "total",
        _ => true,
    }
}

/// Whether the path has one of these sensors.
fn has(of: &Compared, sensors: &[&str]) -> bool {
    of.path().is_some_and(|path| path.split('.').any(|part| sensors.contains(&part)))
}
