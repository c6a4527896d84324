//! What the next reading is compared with: the counters of the last one, each with its time. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sources::libvirt::{Device, Domain, Uuid};

/// The longest time between two readings that make a rate, in ns.
const LONGEST: i64 = 600_000_000_000;

/// When something was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// By the run's clock, in unix nanoseconds.
    pub wall: i64,
    /// By the time that the machine has been running, in ns, which nobody sets; `None` if the run's clock was given.
    pub running: Option<i64>,
}

impl Moment {
    /// Returns the seconds since an earlier moment, if a rate can be made over them.
    pub(super) fn since(self, earlier: Self) -> Option<f64> {
        let passed = match (self.running, earlier.running) {
            (Some(now), Some(then)) => now.checked_sub(then)?,
            _ => self.wall.checked_sub(earlier.wall)?,
        };
        (0 < passed && passed <= LONGEST).then_some(passed as f64 / 1e9)
    }

    /// Returns the moment `ns` later.
    pub(super) fn plus(self, ns: i64) -> Self {
        Self { wall: self.wall.saturating_add(ns), running: self.running.map(|running| running.saturating_add(ns)) }
    }
}

/// The last readings of all instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bases {
    /// The start of the machine in which they were read: libvirt's numbers of runs begin anew with each.
    pub boot: String,
    pub(super) of: BTreeMap<Uuid, Base>,
}

/// The last readings of one instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Base {
    /// libvirt's number of the run.
    pub id: i32,
    /// time, user, system.
    pub cpu: Option<Part>,
    /// delay and wait of each virtual CPU.
    pub vcpu: BTreeMap<u32, Part>,
    /// `swap_in`, `swap_out`, major and minor faults.
    pub guest: Option<Part>,
    /// The counters of the interfaces, by name.
    pub net: BTreeMap<String, Part>,
    /// The counters of the disks, by name.
    pub block: BTreeMap<String, Part>,
}

/// Counters that were read together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub at: Moment,
    pub counters: Vec<Option<u64>>,
}

impl Part {
    fn new(at: Moment, counters: &[Option<u64>]) -> Option<Self> {
        counters.iter().any(Option::is_some).then(|| Self { at, counters: counters.to_vec() })
    }

    /// Returns how much each counter grew in a second since an earlier reading; `None` if there is no rate, since one of
    /// them is smaller, and began anew.
    pub fn rates<const N: usize>(&self, before: &Self) -> Option<[Option<f64>; N]> {
        let seconds = self.at.since(before.at)?;
        let mut rates = [None; N];
        for (at, rate) in rates.iter_mut().enumerate() {
            let pair = (self.counters.get(at).copied().flatten(), before.counters.get(at).copied().flatten());
            if let (Some(now), Some(then)) = pair {
                // Before any float: beyond 2⁵³ a float has no ones.
                *rate = Some(now.checked_sub(then)? as f64 / seconds);
            }
        }
        Some(rates)
    }
}

impl Base {
    /// Returns what is read of an instance at `at`. `is_fresh` tells whether the guest told of its memory lately.
    pub fn new(domain: &Domain, at: Moment, is_fresh: bool) -> Self {
        let stats = &domain.stats;
        let balloon = &stats.balloon;
        let guest = [balloon.swap_in, balloon.swap_out, balloon.major_faults, balloon.minor_faults];
        let vcpu = stats.vcpu.iter().filter_map(|(n, vcpu)| Some((*n, Part::new(at, &[vcpu.delay, vcpu.wait])?)));
        Self {
            id: domain.of.id,
            cpu: Part::new(at, &[stats.cpu_time, stats.cpu_user, stats.cpu_system]),
            vcpu: vcpu.collect(),
            guest: Part::new(at, &guest).filter(|_| is_fresh),
            net: devices(stats.net.values(), at),
            block: devices(stats.block.values(), at),
        }
    }

    /// Whether an earlier reading is of the same run.
    pub fn continues(&self, before: &Self) -> bool {
        let time = |base: &Self| base.cpu.as_ref().and_then(|cpu| cpu.counters.first().copied().flatten());
        let is_smaller = matches!((time(self), time(before)), (Some(now), Some(then)) if now < then);
        self.id == before.id && !is_smaller
    }

    /// Keeps, of an earlier reading of the same run, the counters that libvirtd left out in this one.
    pub fn keep(&mut self, before: Self, domain: &Domain) {
        let stats = &domain.stats;
        self.cpu = self.cpu.take().or(before.cpu);
        self.guest = self.guest.take().or(before.guest);
        if self.vcpu.is_empty() {
            self.vcpu = before.vcpu;
        }
        keep_devices(&mut self.net, before.net, stats.net_count.is_some(), stats.net.values());
        keep_devices(&mut self.block, before.block, stats.block_count.is_some(), stats.block.values());
    }
}

fn devices<'a, const N: usize>(devices: impl Iterator<Item = &'a Device<N>>, at: Moment) -> BTreeMap<String, Part> {
    let part = |device: &Device<N>| Some((device.name.clone(), Part::new(at, &device.numbers[..8])?));
    devices.filter(|device| !device.name.is_empty()).filter_map(part).collect()
}

/// Keeps the devices that are still there, or may be, and whose counters were left out.
fn keep_devices<'a, const N: usize>(
    now: &mut BTreeMap<String, Part>,
    before: BTreeMap<String, Part>,
    is_told: bool,
    told: impl Iterator<Item = &'a Device<N>>,
) {
    let told: Vec<_> = told.map(|device| device.name.as_str()).collect();
    for (name, part) in before {
        if !is_told || told.contains(&name.as_str()) {
            now.entry(name).or_insert(part);
        }
    }
}
