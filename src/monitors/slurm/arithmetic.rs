//! From Slurm's answer to points.

use std::collections::{BTreeMap, BTreeSet};

use super::bounded::{Shown, choose, shown};
use super::measurements::*;
use crate::model::{Collected, FieldValue, Point};
use crate::sources::slurm::{Answer, Config, Diag, Jobs, Node, Partition};

/// The most states, and the most flags. Slurm has about ten states and twenty flags.
const MOST_WORDS: usize = 64;

/// The most partitions whose jobs are counted apart.
const MOST_PARTITIONS: usize = 1000;

/// What the arithmetic needs.
#[derive(Debug)]
pub struct SlurmInput<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The time of the points, in unix nanoseconds.
    pub time: i64,
    /// The most accounts that are counted apart.
    pub accounts: usize,
    /// The most nodes of which each has points of its own.
    pub nodes: usize,
    /// What follows the name of a node in that of its host; empty if nothing does.
    pub domain: &'a str,
    /// Slurm's answer; its parts may be missing.
    pub answer: &'a Answer,
}

/// Returns the points of a run. A part that was not answered has none, and is not complete. `shown` holds the names that are counted
/// apart.
pub fn points(input: &SlurmInput, shown: &mut Shown) -> Collected {
    let Answer { diag, nodes, partitions, jobs, .. } = input.answer;
    let alive = input.answer.is_alive();
    let mut all = Collected {
        points: vec![SLURM.point(input.time, [input.cluster], &[HEARTBEAT.of(alive.into())])],
        complete: vec![&SLURM],
        scope: vec![("cluster", input.cluster.to_string())],
        ..Collected::default()
    };
    if let Some(nodes) = nodes {
        input.nodes(nodes, &mut all);
    }
    input.partitions(nodes.as_deref(), partitions.as_ref(), &mut all);
    if let Some(jobs) = jobs {
        input.jobs(jobs, shown, &mut all);
    }
    if let Some(diag) = diag {
        all.points.push(SLURM_SCHEDULER.point(input.time, [input.cluster], &scheduler(diag)));
        all.complete.push(&SLURM_SCHEDULER);
    }
    all
}

impl<'a> SlurmInput<'a> {
    /// Returns the input of a config.
    pub fn new(config: &'a Config, cluster: &'a str, time: i64, answer: &'a Answer) -> Self {
        let domain = config.domain.as_deref().unwrap_or_default();
        Self { cluster, time, accounts: config.accounts, nodes: config.nodes, domain, answer }
    }

    fn nodes(&self, nodes: &[Node], all: &mut Collected) {
        let Self { cluster, time, .. } = *self;
        let mut states: BTreeMap<&str, i64> = ["allocated", "mixed", "idle", "down"].map(|state| (state, 0)).into();
        let mut flags: BTreeMap<&str, i64> =
            ["drain", "drained", "draining", "not_responding"].map(|flag| (flag, 0)).into();
        for node in nodes {
            *states.entry(&node.base).or_default() += 1;
            for flag in &node.flags {
                *flags.entry(flag).or_default() += 1;
            }
            if node.has("drain") {
                *flags.entry(if node.cpus_alloc == 0 { "drained" } else { "draining" }).or_default() += 1;
            }
        }
        if nodes.len() <= self.nodes {
            all.points.extend(nodes.iter().map(|node| self.node(node)));
            all.complete.push(&SLURM_NODE);
        }
        let states = together(&states);
        all.points
            .extend(states.iter().map(|(state, count)| SLURM_NODES.point(time, [cluster, state], &[NODES.of(*count)])));
        let flags = together(&flags);
        all.points
            .extend(flags.iter().map(|(flag, count)| SLURM_FLAGS.point(time, [cluster, flag], &[FLAGGED.of(*count)])));
        let sum = Sum::of(nodes);
        let cpus = [
            ALLOC.of(sum.cpus_alloc),
            IDLE.of(sum.cpus_idle),
            OUT.of(sum.cpus_other),
            TOTAL.of(sum.cpus_alloc + sum.cpus_idle + sum.cpus_other),
            FREE.of(sum.cpus_free),
        ];
        all.points.push(SLURM_CPUS.point(time, [cluster], &cpus));
        let memory = [
            sum.memory.map(|bytes| MEMORY_TOTAL.of(bytes)),
            sum.memory_alloc.map(|bytes| MEMORY_ALLOC.of(bytes)),
            sum.memory_free.map(|bytes| MEMORY_FREE.of(bytes)),
        ];
        all.points.extend(unless_empty(&memory).map(|memory| SLURM_MEMORY.point(time, [cluster], &memory)));
        let gpus = [sum.gpus_alloc.map(|gpus| GPUS_ALLOC.of(gpus)), Some(GPUS_TOTAL.of(sum.gpus))];
        all.points.extend(unless_empty(&gpus).map(|gpus| SLURM_GPUS.point(time, [cluster], &gpus)));
        all.complete.extend([&SLURM_NODES, &SLURM_FLAGS, &SLURM_CPUS, &SLURM_MEMORY, &SLURM_GPUS]);
    }

    fn node(&self, node: &Node) -> Point {
        let domain = self.domain.trim_start_matches('.');
        let host = if domain.is_empty() { node.name.clone() } else { format!("{}.{domain}", node.name) };
        let fields = [IN_SERVICE.of((!off_by_intent(node)).into()), N_ALLOC.of(node.cpus_alloc)];
        SLURM_NODE.point(self.time, [self.cluster, &host, &word(node)], &fields)
    }

    /// Adds the partitions that either answer names, with what is known of them.
    fn partitions(&self, nodes: Option<&[Node]>, told: Option<&BTreeMap<String, Partition>>, all: &mut Collected) {
        let mut members: BTreeMap<&str, Vec<&Node>> =
            told.into_iter().flatten().map(|(name, _)| (name.as_str(), Vec::new())).collect();
        for node in nodes.unwrap_or_default() {
            for partition in &node.partitions {
                members.entry(partition).or_default().push(node);
            }
        }
        for (name, members) in members {
            let partition = told.and_then(|told| told.get(name));
            let mut fields = Vec::new();
            if nodes.is_some() {
                fields.extend(of_nodes(&members));
            }
            if let Some(partition) = partition {
                fields.push(UP.of((partition.state == "UP").into()));
                fields.extend(partition.nodes.map(|nodes| P_NODES.of(nodes)));
                fields.extend(partition.cpus.map(|cpus| P_TOTAL.of(cpus)));
            }
            let state = partition.map_or("unknown", |partition| &partition.state);
            all.points.push(SLURM_PARTITION.point(self.time, [self.cluster, name, state], &fields));
        }
        if nodes.is_some() && told.is_some() {
            all.complete.push(&SLURM_PARTITION);
        }
    }

    fn jobs(&self, jobs: &Jobs, names: &mut Shown, all: &mut Collected) {
        let Self { cluster, time, .. } = *self;
        let (mut accounts, mut partitions) = (BTreeMap::new(), BTreeMap::new());
        for (group, count) in jobs {
            *accounts.entry(group.account.as_str()).or_default() += count;
            *partitions.entry(group.partition.as_str()).or_default() += count;
        }
        names.accounts = choose(&accounts, &names.accounts, self.accounts);
        names.partitions = choose(&partitions, &names.partitions, MOST_PARTITIONS);
        let mut by_state: BTreeMap<&str, i64> = ["pending", "running"].map(|state| (state, 0)).into();
        let (mut by_account, mut by_partition) = (BTreeMap::new(), BTreeMap::new());
        for (group, count) in jobs {
            *by_state.entry(&group.state).or_default() += count;
            *by_account.entry((shown(&group.account, &names.accounts), group.state.as_str())).or_default() += count;
            *by_partition.entry((shown(&group.partition, &names.partitions), group.state.as_str())).or_default() +=
                count;
        }
        let by_state = together(&by_state);
        all.points
            .extend(by_state.iter().map(|(state, jobs)| SLURM_JOBS.point(time, [cluster, state], &[JOBS.of(*jobs)])));
        all.points.extend(by_partition.iter().map(|((partition, state), jobs)| {
            SLURM_PARTITION_JOBS.point(time, [cluster, partition, state], &[JOBS.of(*jobs)])
        }));
        all.points.extend(by_account.iter().map(|((account, state), jobs)| {
            SLURM_ACCOUNT_JOBS.point(time, [cluster, account, state], &[JOBS.of(*jobs)])
        }));
        all.complete.extend([&SLURM_JOBS, &SLURM_PARTITION_JOBS, &SLURM_ACCOUNT_JOBS]);
    }
}

/// Counts all words beyond the most together.
fn together<'a>(counts: &BTreeMap<&'a str, i64>) -> BTreeMap<&'a str, i64> {
    let chosen = choose(counts, &BTreeSet::new(), MOST_WORDS);
    let mut bounded = BTreeMap::new();
    for (word, count) in counts {
        *bounded.entry(shown(word, &chosen)).or_default() += count;
    }
    bounded
}

/// Returns the known fields, unless there are none.
fn unless_empty(fields: &[Option<FieldValue>]) -> Option<Vec<FieldValue>> {
    let known: Vec<_> = fields.iter().copied().flatten().collect();
    (!known.is_empty()).then_some(known)
}

/// Returns what the nodes of a partition tell.
fn of_nodes(members: &[&Node]) -> Vec<FieldValue> {
    let sum = Sum::of(members.iter().copied());
    let having = |has: fn(&Node) -> bool| members.iter().filter(|node| has(node)).count() as i64;
    let in_state = |state: &str| members.iter().filter(|node| node.base == state && takes_jobs(node)).count() as i64;
    let [allocated, mixed, idle] = ["allocated", "mixed", "idle"].map(in_state);
    let fields = [
        P_ALLOCATED.of(allocated),
        P_MIXED.of(mixed),
        P_FREE_NODES.of(idle),
        P_NO_NODES.of(members.len() as i64 - allocated - mixed - idle),
        P_DOWN.of(having(|node| node.base == "down")),
        P_DRAIN.of(having(|node| node.has("drain"))),
        P_ALLOC.of(sum.cpus_alloc),
        P_IDLE.of(sum.cpus_idle),
        P_OUT.of(sum.cpus_other),
        P_FREE.of(sum.cpus_free),
        P_GPUS.of(sum.gpus),
    ];
    fields.into_iter().chain(sum.gpus_alloc.map(|gpus| P_GPUS_ALLOC.of(gpus))).collect()
}

/// Sums over nodes. One that a node does not tell, though it should, is `None`.
#[derive(Debug, Default)]
struct Sum {
    cpus_alloc: i64,
    cpus_idle: i64,
    cpus_other: i64,
    cpus_free: i64,
    memory: Option<i64>,
    memory_alloc: Option<i64>,
    memory_free: Option<i64>,
    gpus: i64,
    gpus_alloc: Option<i64>,
}

/// States whose nodes take no job.
const OUT_OF_ORDER: [&str; 5] = ["down", "error", "unknown", "future", "invalid"];

/// Flags of nodes whose idle processors no job could have now.
const NOT_NOW: [&str; 14] = [
    "blocked",
    "fail",
    "invalid_reg",
    "maintenance",
    "maint",
    "not_responding",
    "planned",
    "power_down",
    "powered_down",
    "powering_down",
    "powering_up",
    "reboot_issued",
    "reboot_requested",
    "reserved",
];

impl Sum {
    fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut sum = Self { gpus_alloc: Some(0), ..Self::default() };
        for node in nodes {
            let rest = (node.cpus - node.cpus_alloc).max(0);
            sum.cpus_alloc += node.cpus_alloc;
            if node.has("drain") || OUT_OF_ORDER.contains(&node.base.as_str()) {
                sum.cpus_other += rest;
            } else {
                sum.cpus_idle += rest;
                if !NOT_NOW.iter().any(|flag| node.has(flag)) {
                    sum.cpus_free += rest;
                }
            }
            let add = |sum: Option<i64>, more: Option<i64>| match (sum, more) {
                (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
                (sum, more) => sum.or(more),
            };
            sum.memory = add(sum.memory, node.memory_bytes);
            sum.memory_alloc = add(sum.memory_alloc, node.memory_alloc_bytes);
            sum.memory_free = add(sum.memory_free, node.memory_free_bytes);
            sum.gpus += node.gpus;
            sum.gpus_alloc = sum.gpus_alloc.zip(node.gpus_alloc).map(|(sum, more)| sum + more);
        }
        sum
    }
}

/// Whether somebody wants a node to take no jobs.
fn off_by_intent(node: &Node) -> bool {
    const FLAGS: [&str; 7] =
        ["drain", "maintenance", "maint", "power_down", "powered_down", "powering_down", "powering_up"];
    node.base == "future" || FLAGS.iter().any(|flag| node.has(flag))
}

/// Returns the state of a node in one word: that flag of it which matters most, else its base.
fn word(node: &Node) -> String {
    const FLAGS: [&str; 11] = [
        "fail",
        "invalid_reg",
        "maintenance",
        "maint",
        "powered_down",
        "powering_down",
        "powering_up",
        "reboot_issued",
        "reserved",
        "planned",
        "completing",
    ];
    let flag = FLAGS.into_iter().find(|flag| node.has(flag));
    match (node.has("not_responding"), node.base.as_str()) {
        (true, _) => "not responding".into(),
        (_, "down") => "down".into(),
        _ if node.has("drain") => if node.cpus_alloc == 0 { "drained" } else { "draining" }.into(),
        (_, base) => flag.unwrap_or(base).replace('_', " "),
    }
}

/// Whether jobs may start on a node, by the states and flags that somebody must look at.
fn takes_jobs(node: &Node) -> bool {
    !["drain", "fail", "invalid_reg", "not_responding"].iter().any(|flag| node.has(flag))
}

/// Returns the fields of the scheduler that sdiag tells.
fn scheduler(diag: &Diag) -> Vec<FieldValue> {
    let value = |told: &Told| {
        let value = diag.get(told.section, told.key)?;
        Some(match &told.field {
            Number::Count(field) => field.of(value),
            Number::Micros(field) => field.of(value as f64 / 1e6),
        })
    };
    TOLD.iter().filter_map(value).collect()
}
