//! The page of the Slurm clusters: a section for each, with its nodes, partitions, jobs and scheduler.

use super::measurements::{
    SLURM, SLURM_ACCOUNT_JOBS, SLURM_CPUS, SLURM_FLAGS, SLURM_GPUS, SLURM_JOBS, SLURM_MEMORY, SLURM_NODES,
    SLURM_PARTITION, SLURM_PARTITION_JOBS, SLURM_SCHEDULER,
};
use crate::view::page::{Column, Drawn, Page, Placement, Table, field, health, key, pivot, switch};

/// The states and flags of nodes that somebody must look at.
const SICK: &[&str] = &["down", "drained", "error", "fail", "invalid_reg", "not_responding", "unknown"];

static NODES: &[Column] = &[
    key("cluster"),
    pivot(&SLURM_NODES, "state", &["allocated", "mixed", "idle", "down"], None).group("nodes").alarm(SICK),
    pivot(&SLURM_FLAGS, "flag", &["drained", "draining", "not_responding"], None).group("of them").alarm(SICK),
    field(&SLURM_CPUS, "alloc").head("allocated").group("CPUs"),
    field(&SLURM_CPUS, "idle").group("CPUs"),
    field(&SLURM_CPUS, "free").group("CPUs"),
    field(&SLURM_CPUS, "other").head("out of order").group("CPUs"),
    field(&SLURM_CPUS, "total").group("CPUs"),
    field(&SLURM_GPUS, "alloc").head("allocated").group("GPUs"),
    field(&SLURM_GPUS, "total").group("GPUs"),
    field(&SLURM_MEMORY, "alloc_bytes").head("allocated").group("memory"),
    field(&SLURM_MEMORY, "total_bytes").head("total").group("memory"),
];

static PARTITIONS: &[Column] = &[
    key("partition"),
    switch(&SLURM_PARTITION, "up"),
    field(&SLURM_PARTITION, "nodes").head("by state").group("nodes").drawn(Drawn::Shares).with(&[
        "allocated",
        "mixed",
        "idle",
        "out of order",
    ]),
    field(&SLURM_PARTITION, "nodes_allocated").head("allocated").group("nodes").inside(),
    field(&SLURM_PARTITION, "nodes_mixed").head("mixed").group("nodes").inside(),
    field(&SLURM_PARTITION, "nodes_idle").head("idle").group("nodes").inside(),
    field(&SLURM_PARTITION, "nodes_out").head("out of order").group("nodes").inside(),
    field(&SLURM_PARTITION, "nodes_down").head("down").group("nodes").alarm(&["down"]).unless_zero(),
    field(&SLURM_PARTITION, "nodes_drain").head("drain").group("nodes").alarm(&["drain"]).unless_zero(),
    field(&SLURM_PARTITION, "cpus_alloc").head("allocated").group("CPUs").drawn(Drawn::Of).with(&["of CPUs"]),
    field(&SLURM_PARTITION, "cpus_total").head("of CPUs").group("CPUs").inside(),
    field(&SLURM_PARTITION, "cpus_free").head("free").group("CPUs"),
    field(&SLURM_PARTITION, "cpus_other").head("out of order").group("CPUs").unless_zero(),
    field(&SLURM_PARTITION, "gpus_alloc")
        .head("allocated")
        .group("GPUs")
        .drawn(Drawn::Of)
        .with(&["of GPUs"])
        .unless_zero(),
    field(&SLURM_PARTITION, "gpus_total").head("of GPUs").group("GPUs").inside(),
    pivot(&SLURM_PARTITION_JOBS, "state", STATES, None).group("jobs").lines(STATES),
];

const STATES: &[&str] = &["running", "pending"];

static JOBS: &[Column] = &[key("cluster"), pivot(&SLURM_JOBS, "state", STATES, None)];

static ACCOUNTS: &[Column] = &[key("account"), pivot(&SLURM_ACCOUNT_JOBS, "state", STATES, None)];

static SCHEDULER: &[Column] = &[
    key("cluster"),
    field(&SLURM_SCHEDULER, "cycle_seconds").head("last, s").group("main cycle"),
    field(&SLURM_SCHEDULER, "cycle_max_seconds").head("longest, s").group("main cycle"),
    field(&SLURM_SCHEDULER, "queue_length").head("jobs").group("main cycle"),
    field(&SLURM_SCHEDULER, "backfill_cycle_seconds").head("last, s").group("backfill cycle"),
    field(&SLURM_SCHEDULER, "backfill_cycle_max_seconds").head("longest, s").group("backfill cycle"),
    field(&SLURM_SCHEDULER, "backfill_depth").head("jobs").group("backfill cycle"),
    field(&SLURM_SCHEDULER, "server_threads").head("threads").group("slurmctld"),
    field(&SLURM_SCHEDULER, "agent_queue").head("to nodes").group("messages that wait"),
    field(&SLURM_SCHEDULER, "dbd_queue").head("to slurmdbd").group("messages that wait"),
];

/// The page of the Slurm clusters.
pub static SLURM_PAGE: Page = Page {
    name: "slurm",
    title: "Slurm",
    part_of: "nodes",
    overview: None,
    own: &[],
    own_tables: &[],
    near: None,
    section: Some("cluster"),
    program: "collect-slurm",
    every: 60,
    tables: &[
        Table::new("clusters", "slurmctld", &[key("cluster"), health(&SLURM, "heartbeat")])
            .placement(Placement::Badges),
        Table::new("nodes", "Nodes", NODES),
        Table::new("partitions", "Partitions", PARTITIONS).noun("partition"),
        Table::new("jobs", "Jobs", JOBS).placement(Placement::Beside),
        Table::new("accounts", "Jobs by account", ACCOUNTS).placement(Placement::Beside).noun("account"),
        Table::new("scheduler", "Scheduler", SCHEDULER),
    ],
    plots: &[],
    text: &[],
    json: &[],
};
