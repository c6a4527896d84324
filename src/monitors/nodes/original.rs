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
            let [Some(ours), Some(theirs)] = of.values() else { return false };
            matches!(difference, Difference::Field(_)) && of.path().is_some_and(|path| is_moved(path, ours, theirs))
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

/// Sensors that count since the machine was started.
const COUNTERS: [&str; 4] = ["CPUStats", "CPUTimes", "DiskIOCounters", "NetIOCounters"];

/// Whether a value may have moved so far in the seconds or minutes between two readings. A wrong unit or field is further off.
fn is_moved(path: &str, ours: f64, theirs: f64) -> bool {
    let ends_with = |end: &&str| path.ends_with(&format!(".{end}"));
    let is_of = |sensors: &[&str]| path.split('.').any(|part| sensors.contains(&part));
    if LASTING.iter().any(ends_with) {
        return false;
    }
    // A share of the processor may be anything in the next second.
    if is_of(&["CPUPercent", "CPUTimesPercent"]) || path.ends_with(".percent") {
        return [ours, theirs].iter().all(|share| (0.0..=100.0).contains(share));
    }
    let most = match () {
        () if is_of(&COUNTERS) => 0.05,
        // From a core that sleeps to one that hurries.
        () if is_of(&["CPUFreq"]) => 0.9,
        () => 0.5,
    };
    (ours - theirs).abs() <= most * ours.abs().max(theirs.abs())
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Point, compare};

    /// The cause of the difference of two values of a path.
    fn cause(path: &str, ours: f64, theirs: f64) -> Option<&'static str> {
        let point = |value: f64| {
            let line = format!("carbon,path={path} value={value} 60");
            vec![Point::from_line(&line).unwrap()]
        };
        let (ours, theirs) = (point(ours), point(theirs));
        let compared = compare(&ours, &theirs);
        compared[0].cause(&compared[0].differences[0], CAUSES).map(|cause| cause.why)
    }

    #[test]
    fn a_value_that_moved_is_explained_and_one_in_another_unit_is_not() {
        for (path, ours, theirs) in [
            ("n.NetIOCounters.bytes_sent", 1_040_000.0, 1_000_000.0),
            ("n.CPUTimes.user", 5000.0, 4990.0),
            ("n.VirtualMemory.free", 4e9, 6e9),
            ("n.VirtualMemory.percent", 3.0, 80.0),
            ("n.CPUPercent", 100.0, 0.5),
            ("n.CPUFreq.current", 800.0, 4200.0),
            ("n.DiskUsage.used", 5e10, 5.1e10),
        ] {
            assert_eq!(cause(path, ours, theirs), Some("both measured at moments of their own"), "{path}");
            for factor in [1024.0, 1e-3, -1.0] {
                assert_eq!(cause(path, ours, ours * factor - 150.0), None, "{path} by {factor}");
            }
        }
        assert_eq!(cause("n.VirtualMemory.total", 8e9, 8.1e9), None, "it does not change while the machine runs");
    }
}
