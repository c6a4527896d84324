//! What collect-grid measures.

use crate::model::{Declaration, Field, Fold, Measurement, Tag};

/// What collect-grid sends.
pub static MEASUREMENTS: [&Measurement; 12] = [
    &HEARTBEAT,
    &CLOUD,
    &VMS,
    &IDLE_VMS,
    &SLOTS,
    &JOBS,
    &CLOUD_JOBS,
    &SCHEDD,
    &SCHEDD_JOBS,
    &POOL,
    &NEGOTIATOR,
    &LIVE_HOSTS,
];

pub(super) const ALIVE: Field<i64> = Field::gauge(
    "alive",
    "0 or 1",
    Fold::Mean,
    "cloud_monitor: this program ran; cloud_scheduler: it answered; condor: every collector and at least one schedd answered",
);

pub(super) static HEARTBEAT: Measurement = Measurement::new(Declaration {
    name: "grid_heartbeat",
    meaning: "whether each part of the chain worked in this run",
    tags: &[Tag::key("grid"), Tag::key("service")],
    fields: &[ALIVE.info()],
    carbon: "grids.{grid}.heartbeat.{service}",
    every: 60,
});

pub(super) const ENABLED: Field<i64> =
    Field::gauge("enabled", "0 or 1", Fold::Mean, "whether machines are booted on it (enabled)");
pub(super) const QUOTA: Field<i64> =
    Field::gauge("quota", "vms", Fold::Last, "the most machines it may run (max_slots)");
pub(super) const MIPS: Field<i64> =
    Field::gauge("mips", "mips", Fold::Mean, "sum over the dynamic slots on its machines (Mips)");
pub(super) const KFLOPS: Field<i64> =
    Field::gauge("kflops", "kflops", Fold::Mean, "sum over the dynamic slots on its machines (KFlops)");

pub(super) static CLOUD: Measurement = Measurement::new(Declaration {
    name: "grid_cloud",
    meaning: "one cloud of Cloud Scheduler",
    tags: &[Tag::key("grid"), Tag::key("cloud")],
    fields: &[ENABLED.info(), QUOTA.info(), MIPS.info(), KFLOPS.info()],
    carbon: "grids.{grid}.clouds.{cloud}.{field}",
    every: 60,
});

pub(super) const VM_COUNT: Field<i64> = Field::count(
    "vms",
    "vms",
    "by override_status, else status, lower case; starting, running, retiring, error, shutdown always, others when they occur",
);

pub(super) static VMS: Measurement = Measurement::new(Declaration {
    name: "grid_vms",
    meaning: "virtual machines of one type and state on one cloud; status total is the sum of the others",
    tags: &[Tag::key("grid"), Tag::key("cloud"), Tag::key("vmtype"), Tag::key("status")],
    fields: &[VM_COUNT.info()],
    carbon: "grids.{grid}.clouds.{cloud}.vms.{vmtype}.{status}",
    every: 60,
});

pub(super) const IDLE_COUNT: Field<i64> =
    Field::count("vms", "vms", "machines whose host name no dynamic slot carries");

pub(super) static IDLE_VMS: Measurement = Measurement::new(Declaration {
    name: "grid_idle_vms",
    meaning: "running virtual machines without a dynamic slot; vmtype total is the sum of the others",
    tags: &[Tag::key("grid"), Tag::key("cloud"), Tag::key("vmtype")],
    fields: &[IDLE_COUNT.info()],
    carbon: "grids.{grid}.clouds.{cloud}.idle.{vmtype}",
    every: 60,
});

pub(super) const SLOT_COUNT: Field<i64> = Field::count("slots", "slots", "slots of this name (slot1_1, slot1_2, …)");

pub(super) static SLOTS: Measurement = Measurement::new(Declaration {
    name: "grid_slots",
    meaning: "dynamic HTCondor slots on the virtual machines of one type on one cloud, by slot name",
    tags: &[Tag::key("grid"), Tag::key("cloud"), Tag::key("vmtype"), Tag::key("slot")],
    fields: &[SLOT_COUNT.info()],
    carbon: "grids.{grid}.clouds.{cloud}.slots.{vmtype}.{slot}",
    every: 60,
});

pub(super) const JOB_COUNT: Field<i64> =
    Field::count("jobs", "jobs", "by JobStatus; types are the rules of [job_types]");

pub(super) static JOBS: Measurement = Measurement::new(Declaration {
    name: "grid_jobs",
    meaning: "jobs of all schedds by type and status; sent only when every known schedd answered; type all and status total are sums",
    tags: &[Tag::key("grid"), Tag::key("type"), Tag::key("status")],
    fields: &[JOB_COUNT.info()],
    carbon: "grids.{grid}.jobs.{type}.{status}",
    every: 60,
});

pub(super) const CLOUD_JOB_COUNT: Field<i64> =
    Field::count("jobs", "jobs", "by JobStatus; status total is the sum of the others");

pub(super) static CLOUD_JOBS: Measurement = Measurement::new(Declaration {
    name: "grid_cloud_jobs",
    meaning: "jobs whose TargetClouds names a cloud of Cloud Scheduler; a job that names two counts for both",
    tags: &[Tag::key("grid"), Tag::key("cloud"), Tag::key("status")],
    fields: &[CLOUD_JOB_COUNT.info()],
    carbon: "grids.{grid}.clouds.{cloud}.jobs.all.{status}",
    every: 60,
});

pub(super) const SCHEDD_HEARTBEAT: Field<i64> =
    Field::gauge("heartbeat", "0 or 1", Fold::Mean, "whether it counted its jobs in this run");
pub(super) const DUTY_CYCLE: Field<f64> = Field::gauge(
    "duty_cycle_ratio",
    "ratio",
    Fold::Mean,
    "how busy its main loop is; at 0.98 and more it falls behind (RecentDaemonCoreDutyCycle)",
);
pub(super) const RUNNING_LIMIT: Field<i64> =
    Field::gauge("running_jobs_limit", "jobs", Fold::Last, "the most jobs it runs (MaxJobsRunning)");

pub(super) static SCHEDD: Measurement = Measurement::new(Declaration {
    name: "grid_schedd",
    meaning: "one schedd and its health",
    tags: &[Tag::key("grid"), Tag::key("schedd")],
    fields: &[SCHEDD_HEARTBEAT.info(), DUTY_CYCLE.info(), RUNNING_LIMIT.info()],
    carbon: "grids.{grid}.schedds.{schedd}.{field}",
    every: 60,
});

pub(super) const SCHEDD_JOB_COUNT: Field<i64> = Field::count("jobs", "jobs", "by JobStatus");

pub(super) static SCHEDD_JOBS: Measurement = Measurement::new(Declaration {
    name: "grid_schedd_jobs",
    meaning: "jobs of one schedd by status; status total is the sum of the others",
    tags: &[Tag::key("grid"), Tag::key("schedd"), Tag::key("status")],
    fields: &[SCHEDD_JOB_COUNT.info()],
    carbon: "grids.{grid}.schedds.{schedd}.jobs.{status}",
    every: 60,
});

pub(super) const POOL_HEARTBEAT: Field<i64> =
    Field::gauge("heartbeat", "0 or 1", Fold::Mean, "whether it listed its slots and schedds in this run");
pub(super) const POOL_SLOTS: Field<i64> =
    Field::gauge("slots", "slots", Fold::Mean, "all its slots: static, partitionable and dynamic");
pub(super) const UPDATES_LOST: Field<f64> =
    Field::gauge("updates_lost_ratio", "ratio", Fold::Mean, "updates that never reached it (UpdatesLostRatio)");

pub(super) static POOL: Measurement = Measurement::new(Declaration {
    name: "grid_pool",
    meaning: "one HTCondor pool, that is its collector, and its health",
    tags: &[Tag::key("grid"), Tag::key("pool")],
    fields: &[POOL_HEARTBEAT.info(), POOL_SLOTS.info(), UPDATES_LOST.info()],
    carbon: "grids.{grid}.pools.{pool}.{field}",
    every: 60,
});

pub(super) const CYCLE: Field<f64> =
    Field::gauge("cycle_seconds", "seconds", Fold::Mean, "length of its last cycle (LastNegotiationCycleDuration0)");

pub(super) static NEGOTIATOR: Measurement = Measurement::new(Declaration {
    name: "grid_negotiator",
    meaning: "one negotiator and its health",
    tags: &[Tag::key("grid"), Tag::key("negotiator")],
    fields: &[CYCLE.info()],
    carbon: "grids.{grid}.negotiators.{negotiator}.cycle_seconds",
    every: 60,
});

pub(super) const LIVE: Field<i64> = Field::gauge("live", "1", Fold::Max, "always 1");

pub(super) static LIVE_HOSTS: Measurement = Measurement::new(Declaration {
    name: "grid_live_hosts",
    meaning: "a virtual machine that runs or retires; only with [grid] live_hosts = send",
    tags: &[Tag::key("grid"), Tag::key("host")],
    fields: &[LIVE.info()],
    carbon: "util.live_hosts.{grid}.{host}",
    every: 60,
});
