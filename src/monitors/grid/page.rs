//! The page of the grids, and the tables of `gridmon-status grid`.

use super::measurements::{
    CLOUD, CLOUD_JOBS, HEARTBEAT, IDLE_VMS, JOBS, NEGOTIATOR, POOL, SCHEDD, SCHEDD_JOBS, SCHEDULER_JOBS, SLOTS, VMS,
};
use crate::text::Shows;
use crate::view::page::{
    Column, InText, Page, Placement, Table, Text, field, health, key, one, pivot, pivot_short_first, place, switch,
};

/// Held jobs, and jobs and machines in error, are marked as bad.
const ALARMS: &[&str] = &["error", "held"];

const STATUSES: &[&str] = &["idle", "running", "held"];
const STATES: &[&str] = &["starting", "running", "retiring", "error", "shutdown"];

/// The states of machines that use a quota, in the order of its bar.
const USED: &[&str] = &["running", "retiring", "starting", "shutdown", "error"];

/// The columns with a small line of the last 24 hours.
const LINES: &[&str] = &["running"];

const TOTAL: Option<&str> = Some("total");

static SCHEDDS: &[Column] = &[
    key("schedd"),
    health(&SCHEDD, "heartbeat"),
    field(&SCHEDD, "duty_cycle_ratio").head("duty cycle"),
    field(&SCHEDD, "running_jobs_limit").head("runs at most"),
    pivot(&SCHEDD_JOBS, "status", STATUSES, TOTAL).alarm(ALARMS).lines(LINES),
    field(&SCHEDD, "unmaterialized_jobs").head("unmaterialized").unless_zero(),
    one(&SCHEDULER_JOBS, "status", "running").group("scheduler universe").unless_zero(),
    one(&SCHEDULER_JOBS, "status", "held").group("scheduler universe").unless_zero().alarm(ALARMS),
];

static POOLS: &[Column] = &[
    key("pool"),
    health(&POOL, "heartbeat"),
    field(&POOL, "slots"),
    field(&POOL, "updates_lost_ratio").head("updates lost"),
];

static NEGOTIATORS: &[Column] =
    &[key("negotiator"), field(&NEGOTIATOR, "cycle_seconds").head("cycle, s").text(InText::Head("seconds per cycle"))];

static CLOUDS: &[Column] = &[
    key("cloud"),
    switch(&CLOUD, "enabled").not_summed(),
    field(&CLOUD, "quota").head("of the quota").group("machines").filled_by(USED).text(InText::Head("quota")),
    key("vmtype").head("type").text(InText::Head("machines")),
    pivot(&VMS, "status", STATES, TOTAL).group("machines").alarm(ALARMS).lines(LINES),
    field(&IDLE_VMS, "vms").head("idle").group("machines").except("vmtype", "total"),
    pivot_short_first(&SLOTS, "slot").group("slots").gathered("all").text(InText::Sum("slots")),
    // No sum: a job that names two clouds would count twice.
    one(&CLOUD_JOBS, "status", "idle").group("jobs").not_summed().text(InText::Head("jobs idle")),
    one(&CLOUD_JOBS, "status", "running").group("jobs").not_summed().lines(LINES).text(InText::Never),
    one(&CLOUD_JOBS, "status", "held").group("jobs").not_summed().alarm(ALARMS),
    field(&CLOUD, "mips").shows(Shows::Large).group("power").unless_zero().text(InText::Never),
    field(&CLOUD, "kflops").head("flops").group("power").unless_zero().text(InText::Never),
];

/// The page of all grids. Live hosts are not on it, because every machine that ever ran is a series.
pub static GRIDS: Page = Page {
    name: "grids",
    title: "Grids",
    part_of: "",
    overview: None,
    own: &[],
    own_tables: &[],
    near: None,
    section: Some("grid"),
    program: "collect-grid",
    every: 60,
    tables: &[
        Table::new("heartbeats", "Heartbeats", &[key("service"), health(&HEARTBEAT, "alive")])
            .placement(Placement::Badges),
        Table::new(
            "jobs",
            "Jobs by type",
            &[key("type"), pivot(&JOBS, "status", STATUSES, TOTAL).alarm(ALARMS).lines(LINES)],
        )
        .placement(Placement::Beside)
        .sum_row("all"),
        Table::new("schedds", "Schedds and their jobs", SCHEDDS)
            .placement(Placement::Beside)
            .noun("schedd")
            .phone(&["running", "held"]),
        Table::new("pools", "HTCondor pools", POOLS).placement(Placement::Stacked).noun("pool"),
        Table::new("negotiators", "Negotiators", NEGOTIATORS).placement(Placement::Stacked).noun("negotiator"),
        Table::new("clouds", "Clouds: machines, slots and jobs", CLOUDS).noun("cloud").sums().folded().phone(&[
            "machines/of the quota",
            "machines/error",
            "jobs/running",
            "jobs/held",
        ]),
    ],
    text: &[
        Text::HealthList(&["heartbeats", "pools", "negotiators", "schedds"]),
        Text::Table("clouds"),
        Text::JoinedPivots("jobs", &["jobs", "schedds"]),
    ],
    json: &[
        place(&HEARTBEAT, "heartbeats.{service}"),
        place(&POOL, "pools.{pool}.{field}"),
        place(&NEGOTIATOR, "negotiators.{negotiator}.{field}"),
        place(&SCHEDD, "schedds.{schedd}.health.{field}"),
        place(&SCHEDD_JOBS, "schedds.{schedd}.jobs.{status}"),
        place(&SCHEDULER_JOBS, "schedds.{schedd}.scheduler_jobs.{status}"),
        place(&CLOUD, "clouds.{cloud}.facts.{field}"),
        place(&IDLE_VMS, "clouds.{cloud}.idle").only("vmtype", "total"),
        place(&CLOUD_JOBS, "clouds.{cloud}.jobs.{status}"),
        place(&VMS, "clouds.{cloud}.types.{vmtype}.states.{status}"),
        place(&SLOTS, "clouds.{cloud}.types.{vmtype}.slots.{slot}"),
        place(&IDLE_VMS, "clouds.{cloud}.types.{vmtype}.idle"),
        place(&JOBS, "jobs.{type}.{status}"),
    ],
    plots: &[],
};
