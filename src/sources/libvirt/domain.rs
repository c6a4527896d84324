//! A domain's counters, with libvirt's names, read from the pairs of key and value in which they come. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::message::{DomainRef, Value, lossy, read_stats};
use super::nova::Nova;

/// What one domain told.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Its name, UUID and the number of its run.
    pub of: DomainRef,
    /// How long after the begin of the collection its numbers were read.
    pub at: Duration,
    /// What nova knows of it; `None` if it is not nova's.
    pub nova: Option<Nova>,
    /// Its counters. Those that libvirtd left out are absent.
    pub stats: Stats,
}

/// The counters of one domain; times in ns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// `state.state`: 1 running, 2 blocked, 3 paused, 4 stopping, 5 off, 6 crashed, 7 suspended.
    pub state: Option<u64>,
    /// `state.reason`.
    pub reason: Option<u64>,
    /// `cpu.time`; of a domain that is off it is libvirtd's own.
    pub cpu_time: Option<u64>,
    /// `cpu.user`.
    pub cpu_user: Option<u64>,
    /// `cpu.system`.
    pub cpu_system: Option<u64>,
    /// `vcpu.current`.
    pub vcpus: Option<u64>,
    /// `vcpu.maximum`.
    pub vcpus_limit: Option<u64>,
    /// `vcpu.N.*`, by N, which may have holes.
    pub vcpu: BTreeMap<u32, Vcpu>,
    /// `balloon.*`, in bytes where libvirt has KiB.
    pub balloon: Balloon,
    /// `net.count`.
    pub net_count: Option<u64>,
    /// `net.N.*`, by N, which moves when a device goes.
    pub net: BTreeMap<u32, Device<8>>,
    /// `block.count`.
    pub block_count: Option<u64>,
    /// `block.N.*`, by N, which moves when a device goes.
    pub block: BTreeMap<u32, Device<11>>,
}

/// The counters of a virtual CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vcpu {
    /// `delay`: it was ready, and the host ran another thread.
    pub delay: Option<u64>,
    /// `wait`: it waited for the host's IO.
    pub wait: Option<u64>,
}

/// Memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balloon {
    /// `current`.
    pub current: Option<u64>,
    /// `maximum`.
    pub maximum: Option<u64>,
    /// `rss`: what QEMU holds of the host's memory.
    pub rss: Option<u64>,
    /// `last-update`, in unix seconds: when the guest last told what follows.
    pub last_update: Option<u64>,
    /// `available`.
    pub available: Option<u64>,
    /// `unused`.
    pub unused: Option<u64>,
    /// `usable`.
    pub usable: Option<u64>,
    /// `disk_caches`.
    pub disk_caches: Option<u64>,
    /// `swap_in`, a counter.
    pub swap_in: Option<u64>,
    /// `swap_out`, a counter.
    pub swap_out: Option<u64>,
    /// `major_fault`, a counter.
    pub major_faults: Option<u64>,
    /// `minor_fault`, a counter.
    pub minor_faults: Option<u64>,
}

/// The counters of a network interface or disk, in the order of [`NET`] or [`BLOCK`].
#[derive(Clone, Debug, PartialEq)]
pub struct Device<const N: usize> {
    /// Its name: of an interface that on the host, of a disk that in the guest.
    pub name: String,
    /// The numbers.
    pub numbers: [Option<u64>; N],
}

/// The counters of an interface. `rx` is what the guest received.
pub const NET: [&str; 8] = ["rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop"];

/// The counters of a disk, then its sizes.
pub const BLOCK: [&str; 11] = [
    "rd.bytes",
    "wr.bytes",
    "rd.reqs",
    "wr.reqs",
    "fl.reqs",
    "rd.times",
    "wr.times",
    "fl.times",
    "capacity",
    "allocation",
    "physical",
];

impl<const N: usize> Default for Device<N> {
    fn default() -> Self {
        Self { name: String::new(), numbers: [None; N] }
    }
}

/// The most devices, and virtual CPUs, of a domain: a bound on what a lying libvirtd can make us keep.
const MOST_DEVICES: usize = 4096;

impl Stats {
    /// Whether it has a QEMU: off and crashed ones have none, and 0 tells nothing.
    pub fn is_on(&self) -> bool {
        self.state.is_some_and(|state| !matches!(state, 0 | 5 | 6))
    }

    /// Whether libvirtd passed its QEMU by: it runs, and lacks what only QEMU knows.
    pub fn is_passed_by(&self) -> bool {
        self.is_on() && self.balloon.rss.is_none() && !self.block.values().any(|disk| disk.numbers[0].is_some())
    }

    /// Returns the packets that its guest sent: a QEMU that sends works.
    pub fn sent(&self) -> u64 {
        self.net.values().filter_map(|net| net.numbers[5]).fold(0, u64::saturating_add)
    }

    /// Takes one pair. Keys that nobody needs are passed over.
    pub fn take(&mut self, key: &[u8], value: Value) {
        let Ok(key) = str::from_utf8(key) else { return };
        let Some((group, rest)) = key.split_once('.') else { return };
        let number = value.counter();
        match (group, rest) {
            ("state", "state") => self.state = number,
            ("state", "reason") => self.reason = number,
            ("cpu", "time") => self.cpu_time = number,
            ("cpu", "user") => self.cpu_user = number,
            ("cpu", "system") => self.cpu_system = number,
            ("vcpu", "current") => self.vcpus = number,
            ("vcpu", "maximum") => self.vcpus_limit = number,
            ("vcpu", _) => self.take_vcpu(rest, number),
            ("balloon", _) => self.balloon.take(rest, number),
            ("net", "count") => self.net_count = number,
            ("net", _) => take_device(&mut self.net, &NET, rest, value),
            ("block", "count") => self.block_count = number,
            ("block", _) => take_device(&mut self.block, &BLOCK, rest, value),
            _ => {}
        }
    }

    fn take_vcpu(&mut self, rest: &str, number: Option<u64>) {
        let Some((at, which @ ("delay" | "wait"))) = rest.split_once('.') else { return };
        let Some(at) = at.parse().ok().filter(|_| self.vcpu.len() < MOST_DEVICES) else { return };
        let vcpu: &mut Vcpu = self.vcpu.entry(at).or_default();
        *(if which == "delay" { &mut vcpu.delay } else { &mut vcpu.wait }) = number;
    }
}

fn take_device<const N: usize>(devices: &mut BTreeMap<u32, Device<N>>, keys: &[&str; N], rest: &str, value: Value) {
    let Some((at, key)) = rest.split_once('.') else { return };
    let Some(at) = at.parse().ok().filter(|_| devices.len() < MOST_DEVICES) else { return };
    if let ("name", Value::Text(name)) = (key, value) {
        devices.entry(at).or_default().name = lossy(name).into();
    } else if let Some(key) = keys.iter().position(|known| *known == key) {
        devices.entry(at).or_default().numbers[key] = value.counter();
    }
}

impl Balloon {
    fn take(&mut self, key: &str, number: Option<u64>) {
        let bytes = number.map(|kib| kib.saturating_mul(1024));
        match key {
            "current" => self.current = bytes,
            "maximum" => self.maximum = bytes,
            "rss" => self.rss = bytes,
            "last-update" => self.last_update = number,
            "available" => self.available = bytes,
            "unused" => self.unused = bytes,
            "usable" => self.usable = bytes,
            "disk_caches" => self.disk_caches = bytes,
            "swap_in" => self.swap_in = bytes,
            "swap_out" => self.swap_out = bytes,
            "major_fault" => self.major_faults = number,
            "minor_fault" => self.minor_faults = number,
            _ => {}
        }
    }
}

/// Reads the reply to STATS about at most so many domains, which came `at` after the begin of the collection.
///
/// # Errors
/// As [`read_stats`].
pub fn parse(body: &[u8], at: Duration, most: usize) -> Result<Vec<Domain>> {
    let begin = |of| Domain { of, at, nova: None, stats: Stats::default() };
    read_stats(body, most, begin, |domain, key, value| domain.stats.take(key, value))
}
