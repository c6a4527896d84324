//! From two readings to points.

use std::collections::BTreeMap;

use super::base::{Base, Bases, Moment, Part};
use super::measurements::*;
use crate::model::{Collected, Field, FieldValue, Measurement, Point};
use crate::sources::libvirt::domain::Balloon;
use crate::sources::libvirt::{Answer, Device, Domain, Nova, Stats};

/// How old what the guest told of its memory may be, in seconds.
const GUEST_LIMIT: i64 = 600;

/// How far ahead of our clock, by rounding, it may have told that, in seconds. More is of a clock that was set back: nobody knows
/// how old it is.
const GUEST_AHEAD: i64 = 5;

/// What the arithmetic needs.
#[derive(Debug)]
pub struct InstancesInput<'a> {
    /// The grid.
    pub grid: &'a str,
    /// This host.
    pub host: &'a str,
    /// The time of the points, in unix nanoseconds.
    pub time: i64,
    /// When libvirtd was first asked.
    pub began: Moment,
    /// The start of the machine.
    pub boot: &'a str,
    /// Whether instances bear their display names.
    pub names: bool,
    /// libvirtd's answer, if it answered.
    pub answer: Option<&'a Answer>,
}

/// Returns the points of a run, and takes its readings for the next one. Without an answer there is the host's heartbeat
/// alone, and `bases` stay.
pub fn points(input: &InstancesInput, bases: &mut Bases) -> Collected {
    let scope = vec![("host", input.host.to_string())];
    let host = |fields: &[FieldValue]| INSTANCE_HOST.point(input.time, [input.grid, input.host], fields);
    let Some(answer) = input.answer else {
        let points = vec![host(&[HEARTBEAT.of(0)])];
        return Collected { points, complete: vec![&INSTANCE_HOST], scope, ..Collected::default() };
    };
    let mut of_host = vec![HEARTBEAT.of(1), INSTANCES.of(answer.known as i64)];
    // Of those that were not asked nobody knows whether they are on.
    if answer.unasked.is_empty() {
        let running = answer.domains.iter().filter(|domain| domain.stats.is_on()).count();
        of_host.push(RUNNING.of(running as i64));
    }
    of_host.push(UNANSWERED.of(answer.unanswered as i64));
    let mut points = vec![host(&of_host)];
    let mut before = std::mem::take(&mut bases.of);
    if bases.boot != input.boot {
        (bases.boot, before) = (input.boot.into(), BTreeMap::new());
    }
    // An instance that was not asked is still there; the others are gone.
    bases.of = answer.unasked.iter().filter_map(|uuid| before.remove_entry(uuid)).collect();
    for domain in &answer.domains {
        let read = Read::new(domain, input, before.remove(&domain.of.uuid));
        points.extend(read.points(input));
        if domain.stats.is_on() {
            bases.of.insert(domain.of.uuid, read.base_for_next());
        }
    }
    let complete = if answer.is_whole { MEASUREMENTS.to_vec() } else { vec![&INSTANCE_HOST] };
    Collected { points, complete, scope, ..Collected::default() }
}

/// A reading of an instance, with the one before.
struct Read<'a> {
    domain: &'a Domain,
    /// Whether what the guest told of its memory is recent.
    is_fresh: bool,
    now: Base,
    /// The reading before, of the same run.
    before: Option<Base>,
}

impl<'a> Read<'a> {
    fn new(domain: &'a Domain, input: &InstancesInput, before: Option<Base>) -> Self {
        let at = input.began.plus(i64::try_from(domain.at.as_nanos()).unwrap_or(i64::MAX));
        let seconds = at.wall.div_euclid(1_000_000_000);
        let told = domain.stats.balloon.last_update.and_then(|told| i64::try_from(told).ok());
        let is_fresh = told.is_some_and(|told| (-GUEST_AHEAD..=GUEST_LIMIT).contains(&seconds.saturating_sub(told)));
        let now = Base::new(domain, at, is_fresh);
        let before = before.filter(|before| now.continues(before));
        Self { domain, is_fresh, now, before }
    }

    fn base_for_next(mut self) -> Base {
        if let Some(before) = self.before.take() {
            self.now.keep(before, self.domain);
        }
        self.now
    }

    fn points(&self, input: &InstancesInput) -> Vec<Point> {
        let Domain { of, stats, nova, .. } = self.domain;
        let uuid = of.uuid.to_string();
        let unknown = Nova::default();
        let nova = nova.as_ref().unwrap_or(&unknown);
        let name = if input.names && !nova.name.is_empty() { &nova.name } else { &of.name };
        let labels = [name.as_str(), known(&nova.project), known(&nova.flavor)];
        let mut fields: Vec<_> = [int(STATE, stats.state), int(REASON, stats.reason)].into_iter().flatten().collect();
        let mut points = Vec::new();
        if stats.is_on() {
            let net = self.devices(stats.net.values(), |base| &base.net);
            let block = self.devices(stats.block.values(), |base| &base.block);
            self.cpu(&mut fields);
            self.memory(&mut fields);
            fields.extend([int(INTERFACES, stats.net_count), int(DISKS, stats.block_count)].into_iter().flatten());
            fields.extend(sums(&net, stats.net_count, [(NET_RX, 0), (NET_TX, 4)]));
            fields.extend(sums(&block, stats.block_count, [(DISK_RD, 0), (DISK_WR, 1)]));
            let tags = |device: &str| {
                let [name, project, flavor] = labels;
                [input.grid, input.host, uuid.as_str(), device, name, project, flavor].map(String::from)
            };
            for (device, rates) in net {
                let fields = rated(&NET_RATES, rates);
                points.extend(point(&INSTANCE_NET, input.time, &tags(&device.name), &fields));
            }
            for (device, rates) in block {
                let mut fields = rated(&BLOCK_RATES, rates);
                let sizes = BLOCK_SIZES.iter().zip(&device.numbers[8..]);
                fields.extend(sizes.filter_map(|(field, number)| int(*field, *number)));
                points.extend(point(&INSTANCE_BLOCK, input.time, &tags(&device.name), &fields));
            }
        }
        if !fields.is_empty() {
            let [name, project, flavor] = labels;
            points
                .insert(0, INSTANCE.point(input.time, [input.grid, input.host, &uuid, name, project, flavor], &fields));
        }
        points
    }

    fn cpu(&self, fields: &mut Vec<FieldValue>) {
        let Stats { vcpus, vcpus_limit, .. } = self.domain.stats;
        if let Some([time, user, system]) = self.rates(|base| base.cpu.as_ref()) {
            let cores = |field: Field<f64>, ns: Option<f64>| ns.map(|ns| field.of(ns / 1e9));
            fields.extend(
                [cores(CPU_CORES, time), cores(CPU_USER, user), cores(CPU_SYSTEM, system)].into_iter().flatten(),
            );
            if let (Some(time), Some(vcpus @ 1..)) = (time, vcpus) {
                fields.push(CPU_RATIO.of((time / 1e9 / vcpus as f64).min(1.0)));
            }
        }
        let each: Vec<_> = self.now.vcpu.keys().filter_map(|n| self.rates::<2>(|base| base.vcpu.get(n))).collect();
        for (at, field) in [CPU_STEAL, CPU_WAIT].into_iter().enumerate() {
            fields.extend(sum(each.iter().map(|rates| rates[at])).map(|ns| field.of(ns / 1e9)));
        }
        fields.extend([int(VCPUS, vcpus), int(VCPUS_LIMIT, vcpus_limit)].into_iter().flatten());
    }

    fn memory(&self, fields: &mut Vec<FieldValue>) {
        let Balloon { current, maximum, rss, available, unused, usable, disk_caches, .. } = self.domain.stats.balloon;
        let of_host = [int(MEMORY, current), int(MEMORY_LIMIT, maximum), int(MEMORY_RSS, rss)];
        fields.extend(of_host.into_iter().flatten());
        if !self.is_fresh {
            return;
        }
        let of_guest = [
            int(MEMORY_AVAILABLE, available),
            int(MEMORY_UNUSED, unused),
            int(MEMORY_USABLE, usable),
            int(MEMORY_CACHES, disk_caches),
        ];
        fields.extend(of_guest.into_iter().flatten());
        if let Some(rates) = self.rates(|base| base.guest.as_ref()) {
            fields.extend(rated(&[SWAP_IN, SWAP_OUT, MAJOR_FAULTS, MINOR_FAULTS], Some(rates)));
        }
    }

    /// Returns the rates of a part of both readings.
    fn rates<const N: usize>(&self, part: impl Fn(&Base) -> Option<&Part>) -> Option<[Option<f64>; N]> {
        part(&self.now)?.rates(part(self.before.as_ref()?)?)
    }

    /// Returns each device with its rates.
    fn devices<const N: usize>(
        &self,
        devices: impl Iterator<Item = &'a Device<N>>,
        parts: impl Fn(&Base) -> &BTreeMap<String, Part>,
    ) -> Vec<(&'a Device<N>, Option<[Option<f64>; 8]>)> {
        let named = devices.filter(|device| !device.name.is_empty());
        named.map(|device| (device, self.rates(|base| parts(base).get(&device.name)))).collect()
    }
}

/// Returns a label; InfluxDB has no empty ones.
fn known(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn point(measurement: &'static Measurement, time: i64, tags: &[String; 7], fields: &[FieldValue]) -> Option<Point> {
    (!fields.is_empty()).then(|| measurement.point(time, tags.each_ref().map(String::as_str), fields))
}

fn int(field: Field<i64>, value: Option<u64>) -> Option<FieldValue> {
    value.map(|value| field.of(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// Returns the fields of rates; times of disks, in ns a second, become ratios.
fn rated<const N: usize>(declared: &[Field<f64>; N], rates: Option<[Option<f64>; N]>) -> Vec<FieldValue> {
    let Some(rates) = rates else { return Vec::new() };
    let in_unit = |field: &Field<f64>, rate: f64| if field.info().unit == "ratio" { rate / 1e9 } else { rate };
    declared.iter().zip(rates).filter_map(|(field, rate)| Some(field.of(in_unit(field, rate?)))).collect()
}

/// Returns sums over the devices with a rate: zero without devices, nothing without a rate.
fn sums<const N: usize>(
    devices: &[(&Device<N>, Option<[Option<f64>; 8]>)],
    count: Option<u64>,
    fields: [(Field<f64>, usize); 2],
) -> Vec<FieldValue> {
    let of = |(field, at): (Field<f64>, usize)| {
        let total = if count == Some(0) { Some(0.0) } else { sum(devices.iter().map(|(_, rates)| (*rates)?[at])) };
        total.map(|total| field.of(total))
    };
    fields.into_iter().filter_map(of).collect()
}

fn sum(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    rates.flatten().fold(None, |sum, rate| Some(sum.unwrap_or(0.0) + rate))
}
