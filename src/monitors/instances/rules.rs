//! What is a trouble of instances and their hosts.

use super::measurements::{INSTANCE, INSTANCE_HOST};
use crate::events::{Limit, Of, Rule, Severity, System};
use crate::monitors::SILENT;

const UNANSWERED: Limit =
    Limit::new("unanswered_instances", "0", 1e6, "instances", "How many instances of a host may give no answer.");
const STOLEN: (Limit, Limit) = (
    Limit::new(
        "stolen_cpu_ratio",
        "0.1",
        1.0,
        "of its CPUs",
        "The share of an instance's CPUs that the host may steal, 0 to 1.",
    ),
    Limit::new("stolen_cpu_cores", "0.2", 1e6, "cores", "The least stolen CPUs that are a trouble, in cores."),
);

/// The state of an instance that crashed.
const CRASHED: (i64, i64) = (6, 6);

/// The rules of the instances.
pub static SYSTEM: System = System {
    name: "instances",
    title: "Instances",
    program: "collect-instances",
    rules: &[
        Rule::silent("instances_silent", &INSTANCE_HOST, "heartbeat", SILENT).says(&["host"], "collector silent"),
        Rule::zero("host_down", &INSTANCE_HOST, "heartbeat").says(&["host"], "libvirtd does not answer"),
        Rule::above("instances_hung", &INSTANCE_HOST, "unanswered", UNANSWERED)
            .says(&["host"], "instances that do not answer: {value}"),
        Rule::within("instance_crashed", &INSTANCE, "state", CRASHED).says(&["host", "instance"], "crashed"),
        Rule::share("cpu_stolen", &INSTANCE, "cpu_steal_cores", Of::Field("vcpus"), STOLEN)
            .says(&["host", "instance"], "{value} of {of} CPUs stolen")
            .is(Severity::Worse)
            .runs(2),
    ],
};
