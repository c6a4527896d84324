//! /sys/devices/system/cpu: which CPUs are threads of one core, and how fast they run.

use std::collections::{BTreeMap, BTreeSet};

use super::{Root, cpuinfo};

/// Returns how many cores the CPUs with these numbers have; `None` if the kernel does not tell.
pub fn cores(root: &Root, cpus: &[u32]) -> Option<usize> {
    let siblings = |cpu: &u32| {
        let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        root.word(&format!("{topology}/core_cpus_list"))
            .or_else(|| root.word(&format!("{topology}/thread_siblings_list")))
    };
    let cores: BTreeSet<_> = cpus.iter().filter_map(siblings).collect();
    if !cores.is_empty() {
        return Some(cores.len());
    }
    let text = root.text("proc/cpuinfo").ok()?;
    // The cores of each package.
    let packages: BTreeMap<_, _> =
        cpuinfo::parse(&text).iter().filter_map(|cpu| Some((cpu.package?, cpu.cores?))).collect();
    let sum = packages.values().fold(0_usize, |sum, cores| sum.saturating_add(*cores));
    (sum > 0).then_some(sum)
}

/// The frequencies of CPUs, in MHz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frequency {
    /// The number of the CPU, or of the first one of a policy.
    pub cpu: u32,
    /// How fast it runs now.
    pub current: Option<f64>,
    /// The least and the most that its governor may choose.
    pub least: Option<f64>,
    /// See `least`.
    pub most: Option<f64>,
}

/// Where a policy's files lie, with the number of the policy or CPU; empty without cpufreq.
pub fn policies(root: &Root) -> Vec<(u32, String)> {
    let cpu = "sys/devices/system/cpu";
    let in_folder = |folder: &str, prefix: &str, rest: &str| -> Vec<(u32, String)> {
        let names = root.names(folder);
        let numbers = names.iter().filter_map(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
        let mut all: Vec<_> = numbers.map(|number| (number, format!("{folder}/{prefix}{number}{rest}"))).collect();
        all.sort();
        all
    };
    let policies = in_folder(&format!("{cpu}/cpufreq"), "policy", "");
    if !policies.is_empty() {
        return policies;
    }
    let each = in_folder(cpu, "cpu", "/cpufreq");
    each.into_iter().filter(|(_, folder)| root.path(folder).is_dir()).collect()
}

/// Returns how fast the CPUs run. The kernel's answer of /proc/cpuinfo costs one file for all; it counts if it has a line
/// for each policy.
pub fn frequencies(root: &Root, policies: &[(u32, String)]) -> Vec<Frequency> {
    let cpus = root.text("proc/cpuinfo").map(|text| cpuinfo::parse(&text)).unwrap_or_default();
    let told: Vec<_> = cpus.iter().filter_map(|cpu| Some((cpu.number, cpu.mhz?))).collect();
    if policies.is_empty() {
        let of = |(cpu, mhz): &(u32, f64)| Frequency { cpu: *cpu, current: Some(*mhz), least: None, most: None };
        return told.iter().map(of).collect();
    }
    let each = policies.iter().enumerate().map(|(at, (cpu, folder))| {
        let mhz = |name: &str| root.number(&format!("{folder}/{name}")).map(|khz| khz / 1000.0);
        let current = if told.len() == policies.len() {
            Some(told[at].1)
        } else {
            mhz("scaling_cur_freq").or_else(|| mhz("cpuinfo_cur_freq"))
        };
        Frequency { cpu: *cpu, current, least: mhz("scaling_min_freq"), most: mhz("scaling_max_freq") }
    });
    each.collect()
}
