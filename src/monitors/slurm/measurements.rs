//! What is measured of a Slurm cluster.

use crate::model::{Declaration, Field, FieldInfo, Fold, Measurement, Tag};

/// What collect-slurm sends.
pub static MEASUREMENTS: [&Measurement; 12] = [
    &SLURM,
    &SLURM_NODE,
    &SLURM_NODES,
    &SLURM_FLAGS,
    &SLURM_CPUS,
    &SLURM_MEMORY,
    &SLURM_GPUS,
    &SLURM_PARTITION,
    &SLURM_JOBS,
    &SLURM_PARTITION_JOBS,
    &SLURM_ACCOUNT_JOBS,
    &SLURM_SCHEDULER,
];

const CLUSTER: Tag = Tag::key("cluster");
const PARTITION: Tag = Tag::key("partition");
const STATE: Tag = Tag::key("state");

const fn mean(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, unit, Fold::Mean, meaning)
}

pub(super) const HEARTBEAT: Field<i64> = mean("heartbeat", "0 or 1", "whether slurmctld answered in this run");

/// One cluster.
pub static SLURM: Measurement = Measurement::new(Declaration {
    name: "slurm",
    meaning: "one Slurm cluster, and whether its slurmctld answered",
    tags: &[CLUSTER],
    fields: &[HEARTBEAT.info()],
    carbon: "slurm.{cluster}.heartbeat",
    every: 60,
});

pub(super) const NODES: Field<i64> = Field::count(
    "nodes",
    "nodes",
    "by the first word of their state: idle, mixed, allocated, down, error, unknown, future (State)",
);

/// Nodes by state.
pub static SLURM_NODES: Measurement = Measurement::new(Declaration {
    name: "slurm_nodes",
    meaning: "nodes of a cluster by state; each node once",
    tags: &[CLUSTER, STATE],
    fields: &[NODES.info()],
    carbon: "slurm.{cluster}.nodes.{state}",
    every: 60,
});

pub(super) const FLAGGED: Field<i64> = Field::count(
    "nodes",
    "nodes",
    "by a further word of their state: drain, not_responding, planned, reserved … (State); drained and draining are drain without and \
     with an allocated CPU",
);

/// Nodes by flag.
pub static SLURM_FLAGS: Measurement = Measurement::new(Declaration {
    name: "slurm_flags",
    meaning: "nodes of a cluster by flag; a node may have none or several",
    tags: &[CLUSTER, Tag::key("flag")],
    fields: &[FLAGGED.info()],
    carbon: "slurm.{cluster}.flags.{flag}",
    every: 60,
});

pub(super) const IN_SERVICE: Field<i64> = mean(
    "in_service",
    "0 or 1",
    "whether it is meant to take jobs: it is neither drained or draining, nor in maintenance, nor switched off to save power",
);
pub(super) const N_ALLOC: Field<i64> = mean("cpus_alloc", "cpus", "allocated to jobs (CPUAlloc)");

/// One node.
pub static SLURM_NODE: Measurement = Measurement::new(Declaration {
    name: "slurm_node",
    meaning: "one node of a cluster, by the name of its host, with its state in a word",
    tags: &[CLUSTER, Tag::key("host"), Tag::label("state")],
    fields: &[IN_SERVICE.info(), N_ALLOC.info()],
    carbon: "slurm.{cluster}.node.{host}.{field}",
    every: 60,
});

pub(super) const ALLOC: Field<i64> = mean("alloc", "cpus", "allocated to jobs (CPUAlloc)");
pub(super) const IDLE: Field<i64> = mean("idle", "cpus", "not allocated, of nodes that are neither down nor drained");
pub(super) const OUT: Field<i64> = mean("other", "cpus", "not allocated, of nodes that are down or drained");
pub(super) const TOTAL: Field<i64> = mean("total", "cpus", "all of them (CPUTot)");
pub(super) const FREE: Field<i64> = mean(
    "free",
    "cpus",
    "of the idle ones those that a job could have now: their node answers, is awake, and is neither planned, reserved, in maintenance \
     nor about to be rebooted",
);

/// The processors of a cluster.
pub static SLURM_CPUS: Measurement = Measurement::new(Declaration {
    name: "slurm_cpus",
    meaning: "processors of a cluster, as sinfo counts them",
    tags: &[CLUSTER],
    fields: &[ALLOC.info(), IDLE.info(), OUT.info(), TOTAL.info(), FREE.info()],
    carbon: "slurm.{cluster}.cpus.{field}",
    every: 60,
});

pub(super) const MEMORY_TOTAL: Field<i64> = mean("total_bytes", "bytes", "as configured (RealMemory)");
pub(super) const MEMORY_ALLOC: Field<i64> = mean("alloc_bytes", "bytes", "allocated to jobs (AllocMem)");
pub(super) const MEMORY_FREE: Field<i64> =
    mean("free_bytes", "bytes", "free by the nodes' kernels, over the nodes that tell it (FreeMem)");

/// The memory of a cluster.
pub static SLURM_MEMORY: Measurement = Measurement::new(Declaration {
    name: "slurm_memory",
    meaning: "memory of a cluster's nodes",
    tags: &[CLUSTER],
    fields: &[MEMORY_TOTAL.info(), MEMORY_ALLOC.info(), MEMORY_FREE.info()],
    carbon: "slurm.{cluster}.memory.{field}",
    every: 60,
});

pub(super) const GPUS_ALLOC: Field<i64> = mean("alloc", "gpus", "allocated to jobs (GresUsed)");
pub(super) const GPUS_TOTAL: Field<i64> =
    mean("total", "gpus", "all of them (Gres); shards and shares are not counted");

/// The GPUs of a cluster.
pub static SLURM_GPUS: Measurement = Measurement::new(Declaration {
    name: "slurm_gpus",
    meaning: "GPUs of a cluster",
    tags: &[CLUSTER],
    fields: &[GPUS_ALLOC.info(), GPUS_TOTAL.info()],
    carbon: "slurm.{cluster}.gpus.{field}",
    every: 60,
});

pub(super) const UP: Field<i64> = mean("up", "0 or 1", "whether its jobs may start: State is UP");
pub(super) const P_NODES: Field<i64> =
    mean("nodes", "nodes", "all of them, those that are asleep included (TotalNodes)");
pub(super) const P_DOWN: Field<i64> = mean("nodes_down", "nodes", "those that are down");
pub(super) const P_DRAIN: Field<i64> = mean("nodes_drain", "nodes", "those that are drained or draining");
pub(super) const P_ALLOCATED: Field<i64> =
    mean("nodes_allocated", "nodes", "those that work, all of their CPUs allocated");
pub(super) const P_MIXED: Field<i64> = mean("nodes_mixed", "nodes", "those that work, some of their CPUs allocated");
pub(super) const P_FREE_NODES: Field<i64> = mean("nodes_idle", "nodes", "those that could work, without a job");
pub(super) const P_NO_NODES: Field<i64> =
    mean("nodes_out", "nodes", "those that take no job: down, drained or draining, silent, or in another state");
pub(super) const P_ALLOC: Field<i64> =
    mean("cpus_alloc", "cpus", "allocated, also by jobs of other partitions of the nodes");
pub(super) const P_IDLE: Field<i64> =
    mean("cpus_idle", "cpus", "not allocated, of nodes that are neither down nor drained");
pub(super) const P_OUT: Field<i64> = mean("cpus_other", "cpus", "not allocated, of nodes that are down or drained");
pub(super) const P_TOTAL: Field<i64> = mean("cpus_total", "cpus", "all of them (TotalCPUs)");
pub(super) const P_FREE: Field<i64> = mean("cpus_free", "cpus", "those that a job could have now");
pub(super) const P_GPUS_ALLOC: Field<i64> =
    mean("gpus_alloc", "gpus", "allocated, also by jobs of other partitions of the nodes");
pub(super) const P_GPUS: Field<i64> = mean("gpus_total", "gpus", "all of them");

/// One partition.
pub static SLURM_PARTITION: Measurement = Measurement::new(Declaration {
    name: "slurm_partition",
    meaning: "one partition of a cluster; a node may be in several",
    tags: &[CLUSTER, PARTITION, Tag::label("state")],
    fields: &[
        UP.info(),
        P_NODES.info(),
        P_DOWN.info(),
        P_DRAIN.info(),
        P_ALLOCATED.info(),
        P_MIXED.info(),
        P_FREE_NODES.info(),
        P_NO_NODES.info(),
        P_ALLOC.info(),
        P_IDLE.info(),
        P_OUT.info(),
        P_TOTAL.info(),
        P_FREE.info(),
        P_GPUS_ALLOC.info(),
        P_GPUS.info(),
    ],
    carbon: "slurm.{cluster}.partitions.{partition}.{field}",
    every: 60,
});

pub(super) const JOBS: Field<i64> = Field::count("jobs", "jobs", "tasks of arrays one by one (squeue -r)");

/// Jobs by state.
pub static SLURM_JOBS: Measurement = Measurement::new(Declaration {
    name: "slurm_jobs",
    meaning: "jobs of a cluster by state, those that have ended not included",
    tags: &[CLUSTER, STATE],
    fields: &[JOBS.info()],
    carbon: "slurm.{cluster}.jobs.{state}",
    every: 60,
});

/// Jobs by partition and state.
pub static SLURM_PARTITION_JOBS: Measurement = Measurement::new(Declaration {
    name: "slurm_partition_jobs",
    meaning: "jobs of a partition by state; a pending job that names several partitions counts in the first one",
    tags: &[CLUSTER, PARTITION, STATE],
    fields: &[JOBS.info()],
    carbon: "slurm.{cluster}.partitions.{partition}.jobs.{state}",
    every: 60,
});

/// Jobs by account and state.
pub static SLURM_ACCOUNT_JOBS: Measurement = Measurement::new(Declaration {
    name: "slurm_account_jobs",
    meaning: "jobs of an account by state; other holds the accounts beyond the limit, none the jobs without an account",
    tags: &[CLUSTER, Tag::key("account"), STATE],
    fields: &[JOBS.info()],
    carbon: "slurm.{cluster}.accounts.{account}.jobs.{state}",
    every: 60,
});

/// A number of the scheduler: the section and key of `sdiag`, and the field.
pub(super) struct Told {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) field: Number,
}

/// A field by the unit in which sdiag tells its number.
pub(super) enum Number {
    /// As it is.
    Count(Field<i64>),
    /// In microseconds.
    Micros(Field<f64>),
}

impl Number {
    const fn info(&self) -> FieldInfo {
        match self {
            Self::Count(field) => field.info(),
            Self::Micros(field) => field.info(),
        }
    }
}

const fn count(section: &'static str, key: &'static str, field: Field<i64>) -> Told {
    Told { section, key, field: Number::Count(field) }
}

const fn micros(section: &'static str, key: &'static str, name: &'static str, meaning: &'static str) -> Told {
    Told { section, key, field: Number::Micros(Field::gauge(name, "seconds", Fold::Mean, meaning)) }
}

const fn today(key: &'static str, name: &'static str, meaning: &'static str) -> Told {
    count("", key, Field::gauge(name, "jobs", Fold::Max, meaning))
}

const MAIN: &str = "Main schedule statistics";
const BACKFILL: &str = "Backfilling stats";

/// What is taken of `sdiag`.
pub(super) static TOLD: [Told; 23] = [
    count(
        "",
        "Server thread count",
        mean("server_threads", "threads", "slurmctld's that work on a call (Server thread count)"),
    ),
    count("", "Agent queue size", mean("agent_queue", "messages", "those that wait for nodes (Agent queue size)")),
    count("", "Agent thread count", mean("agent_threads", "threads", "those that talk to nodes (Agent thread count)")),
    count(
        "",
        "DBD Agent queue size",
        mean("dbd_queue", "messages", "those that wait for slurmdbd; grows while it is down (DBD Agent queue size)"),
    ),
    today("Jobs submitted", "jobs_submitted", "since the last midnight UTC or the start of slurmctld (Jobs submitted)"),
    today("Jobs started", "jobs_started", "the same (Jobs started)"),
    today("Jobs completed", "jobs_completed", "the same (Jobs completed)"),
    today("Jobs canceled", "jobs_canceled", "the same (Jobs canceled)"),
    today("Jobs failed", "jobs_failed", "the same (Jobs failed)"),
    count("", "Jobs pending", mean("jobs_pending", "jobs", "as slurmctld counts them every 30 s (Jobs pending)")),
    count("", "Jobs running", mean("jobs_running", "jobs", "as slurmctld counts them every 30 s (Jobs running)")),
    micros(MAIN, "Last cycle", "cycle_seconds", "the last cycle of the main scheduler (Last cycle)"),
    micros(MAIN, "Mean cycle", "cycle_mean_seconds", "the mean since midnight UTC (Mean cycle)"),
    micros(MAIN, "Max cycle", "cycle_max_seconds", "the longest since midnight UTC (Max cycle)"),
    count(
        MAIN,
        "Last queue length",
        mean("queue_length", "jobs", "those that the last cycle looked at (Last queue length)"),
    ),
    micros(BACKFILL, "Last cycle", "backfill_cycle_seconds", "the last cycle of the backfill scheduler (Last cycle)"),
    micros(BACKFILL, "Mean cycle", "backfill_cycle_mean_seconds", "the mean since midnight UTC (Mean cycle)"),
    micros(BACKFILL, "Max cycle", "backfill_cycle_max_seconds", "the longest since midnight UTC (Max cycle)"),
    count(
        BACKFILL,
        "Last depth cycle",
        mean("backfill_depth", "jobs", "those that its last cycle went through (Last depth cycle)"),
    ),
    count(
        BACKFILL,
        "Last depth cycle (try sched)",
        mean("backfill_depth_tried", "jobs", "those of them that it tried to start (Last depth cycle (try sched))"),
    ),
    count(
        BACKFILL,
        "Last queue length",
        mean("backfill_queue_length", "jobs", "those that waited then (Last queue length)"),
    ),
    count(
        BACKFILL,
        "Total backfilled jobs (since last stats cycle start)",
        Field::gauge("backfilled_jobs", "jobs", Fold::Max, "started by it since midnight UTC (Total backfilled jobs)"),
    ),
    count(
        BACKFILL,
        "Total cycles",
        Field::gauge("backfill_cycles", "cycles", Fold::Max, "its cycles since midnight UTC (Total cycles)"),
    ),
];

/// The health of the scheduler.
pub static SLURM_SCHEDULER: Measurement = Measurement::new(Declaration {
    name: "slurm_scheduler",
    meaning: "the health of a cluster's scheduler, as sdiag tells it; counts since midnight UTC fall then",
    tags: &[CLUSTER],
    fields: &FIELDS,
    carbon: "slurm.{cluster}.scheduler.{field}",
    every: 60,
});

const FIELDS: [FieldInfo; TOLD.len()] = {
    let mut all = [HEARTBEAT.info(); TOLD.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = TOLD[at].field.info();
        at += 1;
    }
    all
};
