//! What is a trouble of a grid, and what is worth an event.

use super::measurements::{CLOUD, CLOUD_JOBS, HEARTBEAT, NEGOTIATOR, POOL, SCHEDD, SCHEDD_JOBS, VMS};
use crate::events::{Limit, Of, Rule, Shows, System};
use crate::monitors::SILENT;

const ERRORS: (Limit, Limit) = (
    Limit::new(
        "error_vms_ratio",
        "0.33",
        1.0,
        "of all",
        "The share of a cloud's machines of one type in error that is a trouble, 0 to 1.",
    ),
    Limit::new("error_vms", "4", 1e9, "machines", "The least number of machines in error that is a trouble."),
);
const HELD: [Limit; 3] = [
    Limit::new("held_jobs_factor", "3", 1e6, "times", "By which factor held jobs must grow to be a trouble."),
    Limit::new("held_jobs", "20", 1e9, "jobs", "By how many they must grow at least."),
    Limit::new("held_jobs_seconds", "21600", 604_800.0, "seconds", "Within how many seconds they must grow."),
];
const BUSY: Limit = Limit::new(
    "duty_cycle_ratio",
    "0.98",
    1.0,
    "of its time",
    "How busy a schedd's main loop may be, 0 to 1: above 0.98 it falls behind.",
);
const LOST: Limit = Limit::new(
    "updates_lost_ratio",
    "0.02",
    1.0,
    "of all",
    "The share of a collector's updates that may be lost, 0 to 1.",
);
const CYCLE: Limit =
    Limit::new("negotiation_seconds", "300", 86_400.0, "seconds", "How many seconds a negotiation cycle may take.");

/// The rules of the grids.
pub static SYSTEM: System = System {
    name: "grids",
    title: "Grids",
    program: "collect-grid",
    rules: &[
        Rule::silent("grid_silent", &HEARTBEAT, "alive", SILENT)
            .only(&[("service", "cloud_monitor")])
            .says(&["grid"], "collector silent"),
        Rule::zero("cloud_scheduler_down", &HEARTBEAT, "alive")
            .only(&[("service", "cloud_scheduler")])
            .says(&["grid"], "Cloud Scheduler does not answer"),
        Rule::zero("schedd_down", &SCHEDD, "heartbeat").says(&["schedd"], "down"),
        Rule::zero("pool_down", &POOL, "heartbeat").says(&["pool"], "collector does not answer"),
        Rule::share("vms_in_error", &VMS, "vms", Of::Tag("status", "total"), ERRORS)
            .only(&[("status", "error")])
            .says(&["cloud"], "{value} of {of} machines in error"),
        Rule::grew("held_jobs", &CLOUD_JOBS, "jobs", HELD)
            .only(&[("status", "held")])
            .says(&["cloud"], "held jobs {was} → {value}"),
        Rule::grew("schedd_held_jobs", &SCHEDD_JOBS, "jobs", HELD)
            .only(&[("status", "held")])
            .says(&["schedd"], "held jobs {was} → {value}"),
        Rule::above("schedd_busy", &SCHEDD, "duty_cycle_ratio", BUSY)
            .says(&["schedd"], "main loop {value} busy")
            .shows(Shows::Percent)
            .runs(2),
        Rule::above("updates_lost", &POOL, "updates_lost_ratio", LOST)
            .says(&["pool"], "{value} of updates lost")
            .shows(Shows::Percent)
            .runs(2),
        Rule::above("negotiation_slow", &NEGOTIATOR, "cycle_seconds", CYCLE)
            .says(&["negotiator"], "negotiation takes {value}")
            .shows(Shows::Seconds)
            .runs(2),
        Rule::off("cloud_disabled", &CLOUD, "enabled").says(&["cloud"], "disabled"),
        Rule::changed("quota_changed", &CLOUD, "quota").says(&["cloud"], "quota changed"),
    ],
};
