//! The part of the arithmetic that knows Cloud Scheduler 2, which counts machines by state itself. HTCondor's slots are
//! joined with its clouds by the host names that it gives its machines: `GROUP--CLOUD--NUMBER--NUMBER`.
//!
//! A cloud has its own name, and its groups stand where Cloud Scheduler 1 has the types of its machines. So two groups'
//! clouds of one name are one cloud with two types: the machines are counted apart, and the quota is the sum, as in csv2's
//! own totals. Idle are the machines that csv2 calls idle.

use std::collections::{BTreeMap, BTreeSet};

use super::arithmetic::{CloudTally, Counted, Hosts, TypeTally, UNKNOWN};
use super::measurements::{CLOUD, IDLE_VMS, SLOTS, VMS};
use crate::sources::cloud_scheduler::v2::{GroupCloud, Machines, Status};

/// Counts the machines and slots of Cloud Scheduler 2.
pub(super) fn count(status: &Status, hosts: Option<&Hosts>) -> Counted {
    let mut slots = hosts.map(slots_by_cloud);
    // An empty answer proves nothing: csv2 gives it to a group without clouds, and while its database fails.
    let knows_clouds = !status.clouds.is_empty();
    let (mut knows_machines, mut knows_slots) = (knows_clouds, knows_clouds);
    let mut counted = Counted::default();
    for of_group in &status.clouds {
        let cloud = counted.clouds.entry(name_of(&of_group.name)).or_insert_with(|| CloudTally {
            quota: Some(0),
            idle: Some(0),
            power: Some((0.0, 0.0)),
            ..CloudTally::default()
        });
        let group = name_of(&of_group.group);
        if cloud.types.contains_key(&group) {
            continue;
        }
        let mut of_type = of_group.machines.as_ref().map(machines_of).unwrap_or_default();
        knows_machines &= of_type.states.is_some() && of_type.untold.is_empty();
        cloud.enabled = cloud.enabled.max(of_group.enabled);
        cloud.quota = cloud.quota.zip(of_group.quota).map(|(sum, quota)| sum.saturating_add(quota));
        cloud.idle = cloud.idle.zip(of_type.idle).map(|(sum, idle)| sum.saturating_add(idle));
        if let Some(found) = slots.as_mut().and_then(|slots| slots_of(of_group, slots)) {
            cloud.power = cloud.power.map(|(mips, kflops)| (mips + found.mips, kflops + found.kflops));
            of_type.slots = found.slots;
            counted.live.extend(found.hosts);
        } else {
            cloud.power = None;
            knows_slots = false;
        }
        cloud.types.insert(group, of_type);
    }
    counted.complete.extend(knows_clouds.then_some(&CLOUD));
    counted.complete.extend(knows_machines.then_some([&VMS, &IDLE_VMS]).into_iter().flatten());
    counted.complete.extend(knows_slots.then_some(&SLOTS));
    Counted { knows_clouds, knows_live: knows_slots, ..counted }
}

fn name_of(name: &Option<String>) -> String {
    name.clone().unwrap_or_else(|| UNKNOWN.into())
}

fn machines_of(machines: &Machines) -> TypeTally {
    let states: BTreeMap<_, _> = machines.counts.iter().map(|(state, count)| (state.to_string(), *count)).collect();
    let idle = states.get("idle").copied();
    TypeTally { states: Some(states), untold: machines.untold.clone(), idle, ..TypeTally::default() }
}

/// The dynamic slots on one cloud of one group.
#[derive(Default)]
struct CloudSlots {
    hosts: BTreeSet<String>,
    slots: BTreeMap<String, i64>,
    mips: f64,
    kflops: f64,
}

/// Adds up the slots of csv2's machines by group and cloud, as these are written in host names.
fn slots_by_cloud(hosts: &Hosts) -> BTreeMap<(String, String), CloudSlots> {
    let mut clouds = BTreeMap::<_, CloudSlots>::new();
    for (label, host) in hosts.0.iter().flat_map(|slots| &slots.hosts) {
        let mut parts = label.split("--");
        let (Some(group), Some(cloud), Some(csv2)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if csv2.parse::<u64>().is_err() {
            continue;
        }
        let of_cloud = clouds.entry((group.into(), cloud.into())).or_default();
        of_cloud.hosts.insert(label.clone());
        of_cloud.mips += host.mips;
        of_cloud.kflops += host.kflops;
        for (slot, count) in &host.slots {
            *of_cloud.slots.entry(slot.clone()).or_default() += count;
        }
    }
    clouds
}

/// Returns the slots of one cloud of one group; `None` if csv2 counts slots and no pool lists one, because the group then
/// has an HTCondor that is not asked.
fn slots_of(of_group: &GroupCloud, clouds: &mut BTreeMap<(String, String), CloudSlots>) -> Option<CloudSlots> {
    // csv2 writes names into host names in lower case and without underscores.
    let written = |name: &Option<String>| name.as_deref().unwrap_or_default().to_lowercase().replace('_', "-");
    let found = clouds.remove(&(written(&of_group.group), written(&of_group.name)));
    found.or_else(|| (of_group.slots.unwrap_or_default() <= 0).then(CloudSlots::default))
}
