//! What is a trouble of a Slurm cluster, and what is worth an event.

use super::measurements::{SLURM, SLURM_FLAGS, SLURM_NODES, SLURM_PARTITION, SLURM_SCHEDULER};
use crate::events::{Limit, Rule, Severity, Shows, System};
use crate::monitors::SILENT;

const SILENT_NODES: Limit =
    Limit::new("slurm_silent_nodes", "0", 1e9, "nodes", "How many nodes of a Slurm cluster may not respond.");
const DOWN: Limit = Limit::new("slurm_down_nodes", "0", 1e9, "nodes", "How many nodes of a Slurm cluster may be down.");
const BROKEN: Limit =
    Limit::new("slurm_error_nodes", "0", 1e9, "nodes", "How many nodes of a Slurm cluster may be in the state error.");
const CYCLE: Limit = Limit::new(
    "slurm_cycle_seconds",
    "30",
    86_400.0,
    "seconds",
    "How many seconds a cycle of Slurm's main scheduler may take.",
);
const WAITING: Limit = Limit::new(
    "slurm_dbd_messages",
    "1000",
    1e9,
    "messages",
    "How many messages may wait for slurmdbd: they grow while it is down, and are lost in the end.",
);

/// The rules of the Slurm clusters.
pub static SYSTEM: System = System {
    name: "slurm",
    title: "Slurm",
    program: "collect-slurm",
    rules: &[
        Rule::silent("slurm_silent", &SLURM, "heartbeat", SILENT).says(&["cluster"], "collector silent"),
        Rule::zero("slurmctld_down", &SLURM, "heartbeat").says(&["cluster"], "slurmctld does not answer"),
        Rule::above("slurm_nodes_silent", &SLURM_FLAGS, "nodes", SILENT_NODES)
            .only(&[("flag", "not_responding")])
            .says(&["cluster"], "nodes that do not respond: {value}")
            .is(Severity::Bad),
        Rule::above("slurm_nodes_error", &SLURM_NODES, "nodes", BROKEN)
            .only(&[("state", "error")])
            .says(&["cluster"], "nodes in error: {value}")
            .is(Severity::Bad),
        Rule::above("slurm_nodes_down", &SLURM_NODES, "nodes", DOWN)
            .only(&[("state", "down")])
            .says(&["cluster"], "nodes that are down: {value}"),
        Rule::above("slurm_cycle_slow", &SLURM_SCHEDULER, "cycle_seconds", CYCLE)
            .says(&["cluster"], "scheduling takes {value}")
            .shows(Shows::Seconds)
            .runs(2),
        Rule::above("slurm_dbd_waits", &SLURM_SCHEDULER, "dbd_queue", WAITING)
            .says(&["cluster"], "messages that wait for slurmdbd: {value}")
            .runs(2),
        Rule::off("slurm_partition_closed", &SLURM_PARTITION, "up").says(&["cluster", "partition"], "closed"),
    ],
};
