//! Cloud Monitor's arithmetic: it joins virtual machines, slots and jobs into the state of a grid. Pure: no IO, no clock.
//!
//! A number that needs an answer which did not come is not sent at all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::csv2;
use super::measurements::*;
use crate::model::{Collected, Measurement, Point};
use crate::problem::Asked;
use crate::sources::cloud_scheduler::Answer;
use crate::sources::cloud_scheduler::v1::{Cloud, Vm};
use crate::sources::htcondor::rules::Rules;
use crate::sources::htcondor::{self, Jobs, first_label};

/// The answers of a grid's sources in one run.
#[derive(Clone, Copy, Debug)]
pub struct GridInput<'a> {
    /// The grid's name.
    pub grid: &'a str,
    /// The slot of the run, in nanoseconds.
    pub time: i64,
    /// HTCondor's answer; `None` if HTCondor is not part of this grid.
    pub condor: Option<&'a htcondor::CondorReply>,
    /// The rules that tell the type of a job.
    pub rules: &'a Rules,
    /// Cloud Scheduler's answer; [`Asked::Not`] if it is not part of this grid.
    pub clouds: Asked<&'a Answer>,
    /// Whether live hosts are sent.
    pub live_hosts: bool,
}

/// Returns the state of the grid as points, and the measurements of which this run saw every series. If a name from outside
/// equals a sum's name (`total`, `all`), the sum comes first and is kept.
pub fn points(input: &GridInput) -> Collected {
    let GridInput { grid, time, .. } = *input;
    let mut points = Vec::new();
    let mut complete = vec![&HEARTBEAT];
    let mut heartbeat = |service, alive: bool| {
        points.push(HEARTBEAT.point(time, [grid, service], &[ALIVE.of(alive.into())]));
    };
    heartbeat("cloud_monitor", true);
    if input.clouds != Asked::Not {
        heartbeat("cloud_scheduler", matches!(input.clouds, Asked::Answered(_)));
    }
    if let Some(condor) = input.condor {
        let schedds_answer = condor.schedds.is_empty() || condor.schedds.iter().any(|schedd| schedd.jobs.is_some());
        heartbeat("condor", condor.pools.iter().all(|pool| pool.answered) && schedds_answer);
    }
    let mut counted = Counted::default();
    if let Asked::Answered(answer) = input.clouds {
        let hosts = input.condor.and_then(Hosts::of_every_pool);
        counted = match answer {
            Answer::One(clouds) => count(clouds, hosts.as_ref()),
            Answer::Two(status) => csv2::count(status, hosts.as_ref()),
        };
        cloud_points(input, &counted.clouds, &mut points);
        if input.live_hosts {
            complete.extend(counted.knows_live.then_some(&LIVE_HOSTS));
            // Names of hosts have no case.
            let mut seen = HashSet::new();
            let hosts = counted.live.iter().filter(|host| seen.insert(host.to_lowercase()));
            points.extend(hosts.map(|host| LIVE_HOSTS.point(time, [grid, host], &[LIVE.of(1)])));
        }
        complete.append(&mut counted.complete);
    }
    if let Some(condor) = input.condor {
        condor_points(input, condor, &mut points);
        // Every known schedd and pool has a heartbeat, whether it answered or not.
        complete.extend([&SCHEDD, &POOL]);
        if condor.pools.iter().all(|pool| (pool.listed && pool.negotiators.is_some()) || pool.covered) {
            complete.push(&NEGOTIATOR);
        }
        job_points(input, condor, &counted.clouds, &mut points);
        if condor.every_schedds_jobs().is_some() {
            complete.extend([&JOBS, &SCHEDD_JOBS, &SCHEDULER_JOBS]);
            complete.extend(counted.knows_clouds.then_some(&CLOUD_JOBS));
        }
    }
    Collected { points, complete, ..Collected::default() }
}

/// The clouds of one answer, counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) clouds: BTreeMap<String, CloudTally>,
    /// The measurements of which the answer holds every series.
    pub(super) complete: Vec<&'static Measurement>,
    /// Whether it lists every cloud.
    pub(super) knows_clouds: bool,
    /// The hosts that run or retire.
    pub(super) live: BTreeSet<String>,
    /// Whether these are all of them.
    pub(super) knows_live: bool,
}

/// The machines of one cloud, counted.
#[derive(Debug, Default)]
pub(super) struct CloudTally {
    pub(super) enabled: Option<bool>,
    pub(super) quota: Option<i64>,
    pub(super) types: BTreeMap<String, TypeTally>,
    /// Its idle machines; `None` if they are not known.
    pub(super) idle: Option<i64>,
    /// The mips and kflops of its slots; `None` unless every pool listed its slots.
    pub(super) power: Option<(f64, f64)>,
}

/// The machines of one type on one cloud, counted.
#[derive(Debug, Default)]
pub(super) struct TypeTally {
    /// `None` if they are not known.
    pub(super) states: Option<BTreeMap<String, i64>>,
    /// The states whose counts are not known.
    pub(super) untold: Vec<&'static str>,
    /// `None` if they are not known.
    pub(super) idle: Option<i64>,
    pub(super) slots: BTreeMap<String, i64>,
}

/// The slots of all pools, by host; each in one of them.
pub(super) struct Hosts<'a>(pub(super) Vec<&'a htcondor::Slots>);

impl<'a> Hosts<'a> {
    /// Returns `None` unless the slots of every pool are known, because those of a machine may be in any pool.
    fn of_every_pool(condor: &'a htcondor::CondorReply) -> Option<Self> {
        let is_known = |pool: &htcondor::Pool| pool.slots.is_some() || pool.covered;
        let slots = condor.pools.iter().filter_map(|pool| pool.slots.as_ref());
        condor.pools.iter().all(is_known).then(|| Self(slots.collect()))
    }

    fn get(&self, label: &str) -> impl Iterator<Item = &'a htcondor::Host> {
        self.0.iter().filter_map(move |slots| slots.hosts.get(label))
    }
}

/// Returns the state of a machine in lower case: Cloud Scheduler's `override_status` if there is one, else the cloud's
/// `status`.
fn state(vm: &Vm) -> String {
    let state = vm.override_status.as_deref().or(vm.status.as_deref()).unwrap_or(UNKNOWN);
    state.trim().to_lowercase()
}

fn is_live(state: &str) -> bool {
    matches!(state, "running" | "retiring")
}

/// The name of clouds, types and states that have none.
pub(super) const UNKNOWN: &str = "unknown";

/// Counts the machines of Cloud Scheduler 1.
fn count(answer: &[Cloud], hosts: Option<&Hosts>) -> Counted {
    let mut complete = vec![&CLOUD, &VMS];
    if hosts.is_some() {
        complete.extend([&IDLE_VMS, &SLOTS]);
    }
    let live = answer.iter().flat_map(|cloud| &cloud.vms).filter(|vm| is_live(&state(vm)));
    let live = live.filter_map(|vm| vm.hostname.clone()).collect();
    Counted { clouds: tally(answer, hosts), complete, knows_clouds: true, live, knows_live: true }
}

/// Counts machines by cloud, type and state, and joins them with their slots on the first label of the host's name.
fn tally(answer: &[Cloud], hosts: Option<&Hosts>) -> BTreeMap<String, CloudTally> {
    let mut sorted: Vec<_> = answer.iter().collect();
    sorted.sort_by_key(|cloud| cloud.name.clone());

    // Slots belong to one machine: of records with the same host name to the first live one, else to
    // the first one.
    let mut owners = HashMap::<String, (&Vm, bool)>::new();
    for vm in sorted.iter().flat_map(|cloud| &cloud.vms) {
        let Some(label) = label(vm) else { continue };
        let live = is_live(&state(vm));
        let owner = owners.entry(label).or_insert((vm, live));
        if live && !owner.1 {
            *owner = (vm, true);
        }
    }
    let mut clouds = BTreeMap::<String, CloudTally>::new();
    for cloud in sorted {
        let tally = clouds.entry(cloud.name.clone().unwrap_or_else(|| UNKNOWN.into())).or_default();
        tally.enabled = tally.enabled.max(cloud.enabled);
        tally.quota = [tally.quota, cloud.max_slots].into_iter().flatten().reduce(i64::saturating_add);
        if hosts.is_some() {
            tally.power.get_or_insert_default();
            tally.idle.get_or_insert_default();
        }
        for vm in &cloud.vms {
            let state = state(vm);
            let of_type = tally.types.entry(vm.vmtype.clone().unwrap_or_else(|| UNKNOWN.into())).or_default();
            let running = state == "running";
            *of_type.states.get_or_insert_default().entry(state).or_default() += 1;

            let (Some(hosts), Some((mips, kflops)), Some(all_idle)) = (hosts, &mut tally.power, &mut tally.idle) else {
                continue;
            };
            let idle = of_type.idle.get_or_insert_default();
            // A machine without a host name yet cannot be joined with its slots, so it does not count as idle.
            let owned = label(vm).filter(|label| owners.get(label).is_some_and(|owner| std::ptr::eq(owner.0, vm)));
            let Some(label) = owned else { continue };
            let mut without_slot = true;
            for host in hosts.get(&label) {
                without_slot = false;
                *mips += host.mips;
                *kflops += host.kflops;
                for (slot, count) in &host.slots {
                    *of_type.slots.entry(slot.clone()).or_default() += count;
                }
            }
            *idle += i64::from(running && without_slot);
            *all_idle += i64::from(running && without_slot);
        }
    }
    clouds
}

fn label(vm: &Vm) -> Option<String> {
    vm.hostname.as_deref().map(first_label).filter(|label| !label.is_empty())
}

fn cloud_points(input: &GridInput, clouds: &BTreeMap<String, CloudTally>, points: &mut Vec<Point>) {
    let GridInput { grid, time, .. } = *input;
    for (cloud, tally) in clouds {
        let mut fields = Vec::new();
        fields.extend(tally.enabled.map(|enabled| ENABLED.of(enabled.into())));
        fields.extend(tally.quota.map(|quota| QUOTA.of(quota)));
        if let Some((mips, kflops)) = tally.power {
            fields.push(MIPS.of(mips.round() as i64));
            fields.push(KFLOPS.of(kflops.round() as i64));
        }
        points.extend(tally.idle.map(|idle| IDLE_VMS.point(time, [grid, cloud, "total"], &[IDLE_COUNT.of(idle)])));
        if !fields.is_empty() {
            points.push(CLOUD.point(time, [grid, cloud], &fields));
        }
        for (vmtype, of_type) in &tally.types {
            let mut columns = vec!["starting", "running", "retiring", "error", "shutdown"];
            columns.retain(|column| !of_type.untold.contains(column));
            for (status, vms) in of_type.states.iter().flat_map(|states| with_total(states, &columns)) {
                points.push(VMS.point(time, [grid, cloud, vmtype, status], &[VM_COUNT.of(vms)]));
            }
            let idle = of_type.idle.map(|idle| IDLE_VMS.point(time, [grid, cloud, vmtype], &[IDLE_COUNT.of(idle)]));
            points.extend(idle);
            for (slot, slots) in &of_type.slots {
                points.push(SLOTS.point(time, [grid, cloud, vmtype, slot], &[SLOT_COUNT.of(*slots)]));
            }
        }
    }
}

/// Returns the sum (`total`), then the count of each of `columns` (0 if absent), then the other counts.
fn with_total<'a>(counts: &'a BTreeMap<String, i64>, columns: &[&'a str]) -> Vec<(&'a str, i64)> {
    let mut rows = vec![("total", counts.values().sum())];
    rows.extend(columns.iter().map(|column| (*column, counts.get(*column).copied().unwrap_or_default())));
    rows.extend(counts.iter().map(|(name, count)| (name.as_str(), *count)).filter(|(name, _)| !columns.contains(name)));
    rows
}

fn condor_points(input: &GridInput, condor: &htcondor::CondorReply, points: &mut Vec<Point>) {
    let GridInput { grid, time, .. } = *input;
    for pool in &condor.pools {
        let mut fields = vec![POOL_HEARTBEAT.of(pool.answered.into())];
        fields.extend(pool.slots.as_ref().map(|slots| POOL_SLOTS.of(slots.count as i64)));
        fields.extend(pool.updates_lost_ratio.map(|ratio| UPDATES_LOST.of(ratio)));
        points.push(POOL.point(time, [grid, &pool.name], &fields));
        for (negotiator, seconds) in pool.negotiators.iter().flatten() {
            points.push(NEGOTIATOR.point(time, [grid, negotiator], &[CYCLE.of(*seconds)]));
        }
    }
    for schedd in &condor.schedds {
        let mut fields = vec![SCHEDD_HEARTBEAT.of(schedd.jobs.is_some().into())];
        fields.extend(schedd.duty_cycle_ratio.map(|ratio| DUTY_CYCLE.of(ratio)));
        fields.extend(schedd.running_jobs_limit.map(|limit| RUNNING_LIMIT.of(limit)));
        // The collector keeps the ad of a dead schedd for a while.
        let unmaterialized = schedd.unmaterialized_jobs.filter(|_| schedd.jobs.is_some());
        fields.extend(unmaterialized.map(|jobs| UNMATERIALIZED.of(jobs)));
        points.push(SCHEDD.point(time, [grid, &schedd.name], &fields));
    }
}

/// The statuses that are always sent. `error` is the original's column: no job of today's HTCondor is in that state, and
/// JobStatus 6, which the original counted there, is `transferring`.
const STATUSES: [&str; 7] = ["unexpanded", "idle", "running", "removed", "completed", "held", "error"];

/// The statuses that are sent for each schedd with jobs of the scheduler universe.
const SCHEDULER_STATUSES: [&str; 5] = ["idle", "running", "removed", "completed", "held"];

/// Returns the name of a `JobStatus`; an unknown one keeps its number.
fn status_name(status: Option<i64>) -> String {
    match status {
        Some(0) => "unexpanded".into(),
        Some(1) => "idle".into(),
        Some(2) => "running".into(),
        Some(3) => "removed".into(),
        Some(4) => "completed".into(),
        Some(5) => "held".into(),
        Some(6) => "transferring".into(),
        Some(7) => "suspended".into(),
        Some(8) => "failed".into(),
        Some(9) => "blocked".into(),
        Some(10) => "preparing".into(),
        Some(other) => format!("status_{other}"),
        None => UNKNOWN.into(),
    }
}

/// Job counts by status.
type ByStatus = BTreeMap<String, i64>;

fn add_jobs(counts: &mut ByStatus, status: Option<i64>, jobs: i64) {
    *counts.entry(status_name(status)).or_default() += jobs;
}

fn job_points(
    input: &GridInput,
    condor: &htcondor::CondorReply,
    clouds: &BTreeMap<String, CloudTally>,
    points: &mut Vec<Point>,
) {
    let GridInput { grid, time, rules, .. } = *input;
    for schedd in &condor.schedds {
        let Some(jobs) = &schedd.jobs else { continue };
        let (mut counts, mut scheduler) = (ByStatus::new(), ByStatus::new());
        for (group, count) in jobs {
            let of = if Rules::in_scheduler_universe(&group.values) { &mut scheduler } else { &mut counts };
            add_jobs(of, group.status, *count);
        }
        for (status, jobs) in with_total(&counts, &STATUSES) {
            points.push(SCHEDD_JOBS.point(time, [grid, &schedd.name, status], &[SCHEDD_JOB_COUNT.of(jobs)]));
        }
        if !scheduler.is_empty() {
            for (status, jobs) in with_total(&scheduler, &SCHEDULER_STATUSES) {
                points.push(SCHEDULER_JOBS.point(time, [grid, &schedd.name, status], &[SCHEDULER_JOB_COUNT.of(jobs)]));
            }
        }
    }
    // The grid's totals need the answer of every schedd.
    let Some(jobs) = condor.every_schedds_jobs() else { return };
    let mut types = BTreeMap::<&str, ByStatus>::new();
    let mut of_cloud = BTreeMap::<&str, ByStatus>::new();
    let mut all = ByStatus::new();
    let groups = jobs.into_iter().flat_map(Jobs::iter);
    for (group, count) in groups.filter(|(group, _)| !Rules::in_scheduler_universe(&group.values)) {
        add_jobs(&mut all, group.status, *count);
        if let Some(job_type) = rules.job_type(&group.values) {
            add_jobs(types.entry(job_type).or_default(), group.status, *count);
        }
        let mut targets: Vec<_> = Rules::target_clouds(&group.values).split([',', ' ']).collect();
        targets.sort_unstable();
        targets.dedup();
        for (cloud, _) in targets.iter().filter_map(|target| clouds.get_key_value(*target)) {
            add_jobs(of_cloud.entry(cloud).or_default(), group.status, *count);
        }
    }
    for (job_type, counts) in std::iter::once(("all", all)).chain(types) {
        for (status, jobs) in with_total(&counts, &STATUSES) {
            points.push(JOBS.point(time, [grid, job_type, status], &[JOB_COUNT.of(jobs)]));
        }
    }
    for (cloud, counts) in of_cloud {
        for (status, jobs) in with_total(&counts, &STATUSES) {
            points.push(CLOUD_JOBS.point(time, [grid, cloud, status], &[CLOUD_JOB_COUNT.of(jobs)]));
        }
    }
}
