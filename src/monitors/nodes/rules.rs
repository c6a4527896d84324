//! What is a trouble of a node, and what is worth an event.

use super::gpu::{GPU, GPU_HOST};
use super::mounts::NODE_MOUNT;
use super::swap::NODE_SWAP;
use super::temperatures::NODE_TEMPERATURE;
use super::usage::NODE_DISK_MOUNT;
use super::virtual_memory::NODE_MEMORY;
use crate::events::{Limit, Of, Rule, Shows, System};
use crate::model::service::{CPU, SERVICE};

/// Nodes send every ten seconds and publish once in a while, so few intervals are no silence.
const SILENT: Limit = Limit::new(
    "silent_node_intervals",
    "30",
    1e6,
    "intervals",
    "After how many intervals without a value a node is silent; the value is one that qagent sends whatever sensors it reads.",
);
const FULL: Limit =
    Limit::new("full_disk_percent", "95", 100.0, "percent", "How full a file system of a node may be, in percent.");
const MEMORY: Limit = Limit::new(
    "used_memory_percent",
    "98",
    100.0,
    "percent",
    "How much of a node's memory may be in use for a minute, in percent.",
);
const SWAP: Limit = Limit::new(
    "used_swap_percent",
    "80",
    100.0,
    "percent",
    "How much of a node's swap may be in use for a minute, in percent.",
);
const HOT: (Limit, Limit) = (
    Limit::new(
        "hot_ratio",
        "0.98",
        10.0,
        "of the critical temperature",
        "How hot a chip of a node may be, as a part of the temperature from where on it harms.",
    ),
    Limit::new("hot_celsius", "60", 1000.0, "°C", "Below this temperature no chip of a node is too hot, in °C."),
);

/// The rules of the nodes.
pub static SYSTEM: System = System {
    name: "nodes",
    title: "Nodes",
    program: "qagent",
    rules: &[
        Rule::silent("node_silent", &SERVICE, CPU.info().name, SILENT)
            .only(&[("program", "qagent")])
            .says(&["host"], "silent"),
        Rule::above("disk_full", &NODE_DISK_MOUNT, "percent", FULL).says(&["host", "mount"], "{value} % full"),
        Rule::above("memory_full", &NODE_MEMORY, "percent", MEMORY)
            .says(&["host"], "{value} % of its memory in use")
            .runs(6),
        Rule::above("swap_full", &NODE_SWAP, "percent", SWAP).says(&["host"], "{value} % of its swap in use").runs(6),
        Rule::share("chip_hot", &NODE_TEMPERATURE, "current", Of::Field("critical"), HOT)
            .says(&["host", "chip", "label"], "{value} °C, harmful from {of} °C")
            .runs(2),
        Rule::zero("gpus_silent", &GPU_HOST, "heartbeat").says(&["host"], "its GPUs do not answer").runs(2),
        Rule::within("gpu_lost", &GPU, "lost", (1, 1)).says(&["host", "bus"], "GPU is lost").shows(Shows::Number),
        Rule::changed("mount_readonly", &NODE_MOUNT, "readonly").says(&["host", "mount"], "read-only changed"),
    ],
};
