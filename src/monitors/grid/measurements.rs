//! What collect-grid measures.

use crate::model::{Field, Fold, Kind, Measurement, Tag};

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

const fn tag(name: &'static str) -> Tag {
    Tag { name, identifies: true }
}

const fn count(name: &'static str, unit: &'static str, meaning: &'static str) -> Field {
    Field { name, kind: Kind::Int, unit, meaning, fold: Fold::Mean, count: true }
}

const fn gauge(name: &'static str, kind: Kind, unit: &'static str, fold: Fold, meaning: &'static str) -> Field {
    Field { name, kind, unit, meaning, fold, count: false }
}

pub(super) static HEARTBEAT: Measurement = Measurement {
    name: "grid_heartbeat",
    meaning: "whether each part of the chain worked in this run",
    tags: &[tag("grid"), tag("service")],
    fields: &[gauge(
        "alive",
        Kind::Int,
        "0 or 1",
        Fold::Mean,
        "cloud_monitor: this program ran; cloud_scheduler: it answered; condor: every collector and at least one schedd answered",
    )],
    carbon: "grids.{grid}.heartbeat.{service}",
};

pub(super) static CLOUD: Measurement = Measurement {
    name: "grid_cloud",
    meaning: "one cloud of Cloud Scheduler",
    tags: &[tag("grid"), tag("cloud")],
    fields: &[
        gauge("enabled", Kind::Int, "0 or 1", Fold::Mean, "whether machines are booted on it (enabled)"),
        gauge("quota", Kind::Int, "vms", Fold::Last, "the most machines it may run (max_slots)"),
        gauge("mips", Kind::Int, "mips", Fold::Mean, "sum over the dynamic slots on its machines (Mips)"),
        gauge("kflops", Kind::Int, "kflops", Fold::Mean, "sum over the dynamic slots on its machines (KFlops)"),
    ],
    carbon: "grids.{grid}.clouds.{cloud}.{field}",
};

pub(super) static VMS: Measurement = Measurement {
    name: "grid_vms",
    meaning: "virtual machines of one type and state on one cloud; status total is the sum of the others",
    tags: &[tag("grid"), tag("cloud"), tag("vmtype"), tag("status")],
    fields: &[count(
        "vms",
        "vms",
        "by override_status, else status, lower case; starting, running, retiring, error, shutdown always, others when they occur",
    )],
    carbon: "grids.{grid}.clouds.{cloud}.vms.{vmtype}.{status}",
};

pub(super) static IDLE_VMS: Measurement = Measurement {
    name: "grid_idle_vms",
    meaning: "running virtual machines without a dynamic slot; vmtype total is the sum of the others",
    tags: &[tag("grid"), tag("cloud"), tag("vmtype")],
    fields: &[count("vms", "vms", "machines whose host name no dynamic slot carries")],
    carbon: "grids.{grid}.clouds.{cloud}.idle.{vmtype}",
};

pub(super) static SLOTS: Measurement = Measurement {
    name: "grid_slots",
    meaning: "dynamic HTCondor slots on the virtual machines of one type on one cloud, by slot name",
    tags: &[tag("grid"), tag("cloud"), tag("vmtype"), tag("slot")],
    fields: &[count("slots", "slots", "slots of this name (slot1_1, slot1_2, …)")],
    carbon: "grids.{grid}.clouds.{cloud}.slots.{vmtype}.{slot}",
};

pub(super) static JOBS: Measurement = Measurement {
    name: "grid_jobs",
    meaning: "jobs of all schedds by type and status; sent only when every known schedd answered; type all and status total are sums",
    tags: &[tag("grid"), tag("type"), tag("status")],
    fields: &[count("jobs", "jobs", "by JobStatus; types are the rules of [job_types]")],
    carbon: "grids.{grid}.jobs.{type}.{status}",
};

pub(super) static CLOUD_JOBS: Measurement = Measurement {
    name: "grid_cloud_jobs",
    meaning: "jobs whose TargetClouds names a cloud of Cloud Scheduler; a job that names two counts for both",
    tags: &[tag("grid"), tag("cloud"), tag("status")],
    fields: &[count("jobs", "jobs", "by JobStatus; status total is the sum of the others")],
    carbon: "grids.{grid}.clouds.{cloud}.jobs.all.{status}",
};

pub(super) static SCHEDD: Measurement = Measurement {
    name: "grid_schedd",
    meaning: "one schedd and its health",
    tags: &[tag("grid"), tag("schedd")],
    fields: &[
        gauge("heartbeat", Kind::Int, "0 or 1", Fold::Mean, "whether it counted its jobs in this run"),
        gauge(
            "duty_cycle_ratio",
            Kind::Float,
            "ratio",
            Fold::Mean,
            "how busy its main loop is; at 0.98 and more it falls behind (RecentDaemonCoreDutyCycle)",
        ),
        gauge("running_jobs_limit", Kind::Int, "jobs", Fold::Last, "the most jobs it runs (MaxJobsRunning)"),
    ],
    carbon: "grids.{grid}.schedds.{schedd}.{field}",
};

pub(super) static SCHEDD_JOBS: Measurement = Measurement {
    name: "grid_schedd_jobs",
    meaning: "jobs of one schedd by status; status total is the sum of the others",
    tags: &[tag("grid"), tag("schedd"), tag("status")],
    fields: &[count("jobs", "jobs", "by JobStatus")],
    carbon: "grids.{grid}.schedds.{schedd}.jobs.{status}",
};

pub(super) static POOL: Measurement = Measurement {
    name: "grid_pool",
    meaning: "one HTCondor pool, that is its collector, and its health",
    tags: &[tag("grid"), tag("pool")],
    fields: &[
        gauge("heartbeat", Kind::Int, "0 or 1", Fold::Mean, "whether it listed its slots and schedds in this run"),
        gauge("slots", Kind::Int, "slots", Fold::Mean, "all its slots: static, partitionable and dynamic"),
        gauge(
            "updates_lost_ratio",
            Kind::Float,
            "ratio",
            Fold::Mean,
            "updates that never reached it (UpdatesLostRatio)",
        ),
    ],
    carbon: "grids.{grid}.pools.{pool}.{field}",
};

pub(super) static NEGOTIATOR: Measurement = Measurement {
    name: "grid_negotiator",
    meaning: "one negotiator and its health",
    tags: &[tag("grid"), tag("negotiator")],
    fields: &[gauge(
        "cycle_seconds",
        Kind::Float,
        "seconds",
        Fold::Mean,
        "length of its last cycle (LastNegotiationCycleDuration0)",
    )],
    carbon: "grids.{grid}.negotiators.{negotiator}.cycle_seconds",
};

pub(super) static LIVE_HOSTS: Measurement = Measurement {
    name: "grid_live_hosts",
    meaning: "a virtual machine that runs or retires; only with [grid] live_hosts = send",
    tags: &[tag("grid"), tag("host")],
    fields: &[gauge("live", Kind::Int, "1", Fold::Max, "always 1")],
    carbon: "util.live_hosts.{grid}.{host}",
};
