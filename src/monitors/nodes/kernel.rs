//! `[sensor:CPUCount]`, `[sensor:CPUStats]`, `[sensor:BootTime]`: what /proc/stat tells besides the times of CPUs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::int;
use super::rates::Rates;
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, FieldInfo, Fold, Measurement, Tag};
use crate::sources::node::topology::cores;

/// How many CPUs there are.
pub static COUNT: Sensor = Sensor {
    name: "CPUCount",
    section: Section::new("sensor:CPUCount", "How many processors are online.", &[TIME_INTERVAL, ENABLED, PREFIX]),
    measurements: &[&NODE_CPUS, &NODE_CORES],
    source: "/proc/stat, /sys/devices/system/cpu/cpu*/topology",
    is_default: true,
    is_slow: false,
    options: |_| Ok(Arc::new(|node| Box::new(CpuCount { node: node.clone(), known: None }))),
};

const CPUS: Field<i64> = Field::gauge("cpus", "CPUs", Fold::Last, "CPUs that are online, threads of a core each");
const CORES: Field<i64> = Field::gauge("cores", "cores", Fold::Last, "cores that are online");

/// The CPUs of a node.
pub static NODE_CPUS: Measurement = Measurement::new(Declaration {
    name: "node_cpus",
    meaning: "the CPUs of a node",
    tags: &[Tag::key("host")],
    fields: &[CPUS.info()],
    carbon: "{host/}.CPUCount",
    every: 10,
});

/// The cores of a node.
pub static NODE_CORES: Measurement = Measurement::new(Declaration {
    name: "node_cores",
    meaning: "the physical cores of a node; absent where the kernel does not tell them",
    tags: &[Tag::key("host")],
    fields: &[CORES.info()],
    carbon: "{host/}.CPUCount_physical",
    every: 10,
});

struct CpuCount {
    node: Node,
    /// The CPUs of the tick before, and the cores, which only other CPUs change.
    known: Option<(Vec<u32>, Option<usize>)>,
}

impl Reading for CpuCount {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let (_, stat) = self.node.root.stat(at.running)?;
        let numbers: Vec<u32> = stat.cpus.iter().map(|(number, _)| *number).collect();
        let count = numbers.len() as i64;
        if self.known.as_ref().is_none_or(|(known, _)| *known != numbers) {
            let cores = cores(&self.node.root, &numbers);
            self.known = Some((numbers, cores));
        }
        let host = [self.node.host.as_str()];
        let mut points = vec![NODE_CPUS.point(at.time, host, &[CPUS.of(count)])];
        if let Some((_, Some(cores))) = self.known {
            points.push(NODE_CORES.point(at.time, host, &[CORES.of(cores as i64)]));
        }
        Ok(points.into())
    }
}

/// Counters of the kernel.
pub static STATS: Sensor = Sensor {
    name: "CPUStats",
    section: Section::new(
        "sensor:CPUStats",
        "Context switches and interrupts since the start of the machine, and a second.",
        &[TIME_INTERVAL, ENABLED, PREFIX],
    ),
    measurements: &[&NODE_KERNEL],
    source: "/proc/stat",
    is_default: true,
    is_slow: false,
    options: |_| Ok(Arc::new(|node| Box::new(CpuStats { node: node.clone(), rates: Rates::default() }))),
};

const fn counter(name: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, "since the start", Fold::Last, meaning)
}

const fn rate(name: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, "per second", Fold::Mean, meaning)
}

const COUNTERS: [Field<i64>; 3] = [
    counter("ctx_switches", "switches from task to task (ctxt)"),
    counter("interrupts", "interrupts (intr)"),
    counter("soft_interrupts", "soft interrupts (softirq)"),
];
const RATES: [Field<f64>; 3] = [
    rate("ctx_switches_per_second", "switches from task to task"),
    rate("interrupts_per_second", "interrupts"),
    rate("soft_interrupts_per_second", "soft interrupts"),
];
const SYSCALLS: Field<i64> = counter("syscalls", "0 on Linux, as the original had it");

const KERNEL_FIELDS: [FieldInfo; 7] = [
    COUNTERS[0].info(),
    COUNTERS[1].info(),
    COUNTERS[2].info(),
    SYSCALLS.info(),
    RATES[0].info(),
    RATES[1].info(),
    RATES[2].info(),
];

/// Counters of the kernel.
pub static NODE_KERNEL: Measurement = Measurement::new(Declaration {
    name: "node_kernel",
    meaning: "context switches and interrupts of a node",
    tags: &[Tag::key("host")],
    fields: &KERNEL_FIELDS,
    carbon: "{host/}.CPUStats.{field}",
    every: 10,
});

struct CpuStats {
    node: Node,
    rates: Rates<1>,
}

impl Reading for CpuStats {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let (running, stat): (Duration, _) = self.node.root.stat(at.running)?;
        let counters = [stat.ctxt, stat.intr, stat.softirq];
        let (mut fields, mut rates) = (Vec::with_capacity(2 * counters.len() + 1), Vec::new());
        // A line that the kernel does not have is no counter at 0.
        for ((counter, rate), value) in COUNTERS.iter().zip(&RATES).zip(counters) {
            let Some(value) = value else { continue };
            fields.push(counter.of(int(value)));
            let [gained] = self.rates.take(counter.info().name, running, [value]);
            rates.extend(gained.map(|gained| rate.of(gained)));
        }
        fields.append(&mut rates);
        fields.push(SYSCALLS.of(0));
        Ok(vec![NODE_KERNEL.point(at.time, [&self.node.host], &fields)].into())
    }
}

/// When the machine was started.
pub static BOOT: Sensor = Sensor {
    name: "BootTime",
    section: Section::new("sensor:BootTime", "When the machine was started.", &[TIME_INTERVAL, ENABLED, PREFIX]),
    measurements: &[&NODE_BOOT],
    source: "/proc/stat",
    is_default: true,
    is_slow: false,
    options: |_| Ok(Arc::new(|node| Box::new(BootTime { node: node.clone() }))),
};

const BOOT_TIME: Field<f64> =
    Field::gauge("boot_time", "unix seconds", Fold::Last, "moves by a second or so when the clock is set (btime)");

/// When a node was started.
pub static NODE_BOOT: Measurement = Measurement::new(Declaration {
    name: "node_boot",
    meaning: "when a node was started",
    tags: &[Tag::key("host")],
    fields: &[BOOT_TIME.info()],
    carbon: "{host/}.BootTime",
    every: 10,
});

struct BootTime {
    node: Node,
}

impl Reading for BootTime {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let (_, stat) = self.node.root.stat(at.running)?;
        let boot = int(stat.btime.context("/proc/stat: btime is missing")?) as f64;
        Ok(vec![NODE_BOOT.point(at.time, [&self.node.host], &[BOOT_TIME.of(boot)])].into())
    }
}
