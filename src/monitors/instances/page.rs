//! The page of the instances: a section for each host, with its instances, whose disks and interfaces unfold.

use super::measurements::{INSTANCE, INSTANCE_BLOCK, INSTANCE_HOST, INSTANCE_NET};
use crate::text::Shows;
use crate::view::page::{Column, Drawn, Page, Table, Unfolds, field, health, key, label};

static HOSTS: &[Column] = &[
    key("grid"),
    health(&INSTANCE_HOST, "heartbeat").head("libvirt"),
    field(&INSTANCE_HOST, "instances"),
    field(&INSTANCE_HOST, "running"),
    field(&INSTANCE_HOST, "unanswered").alarm(&["unanswered"]),
];

static INSTANCES: &[Column] = &[
    key("instance").short(),
    // Its owner's name for it only with `[libvirt] names = send`, else libvirt's.
    label(&INSTANCE, "name"),
    label(&INSTANCE, "project").short(),
    label(&INSTANCE, "flavor"),
    field(&INSTANCE, "state").shows(Shows::Named(state)).judged(CRASHED, CRASHED).off(OFF),
    field(&INSTANCE, "vcpus").head("vCPUs").group("CPU"),
    field(&INSTANCE, "cpu_ratio")
        .head("of its vCPUs")
        .shows(Shows::Percent)
        .drawn(Drawn::Bar(1.0))
        .group("CPU")
        .not_summed(),
    field(&INSTANCE, "cpu_cores").head("cores").lines(&["cores"]).group("CPU"),
    field(&INSTANCE, "cpu_steal_cores").head("stolen").group("CPU").unless_zero(),
    field(&INSTANCE, "memory_rss_bytes")
        .head("on the host")
        .shows(Shows::Bytes)
        .drawn(Drawn::Of)
        .with(&["memory"])
        .group("memory"),
    field(&INSTANCE, "memory_bytes").head("memory").shows(Shows::Bytes).group("memory").inside(),
    field(&INSTANCE, "net_rx_bytes_per_second")
        .head("received")
        .shows(Shows::Bytes)
        .drawn(Drawn::Mirrored)
        .with(&["sent"])
        .group("network, per second"),
    field(&INSTANCE, "net_tx_bytes_per_second")
        .head("sent")
        .shows(Shows::Bytes)
        .lines(&["sent"])
        .group("network, per second")
        .inside(),
    field(&INSTANCE, "disk_rd_bytes_per_second")
        .head("read")
        .shows(Shows::Bytes)
        .drawn(Drawn::Mirrored)
        .with(&["written"])
        .group("disks, per second"),
    field(&INSTANCE, "disk_wr_bytes_per_second")
        .head("written")
        .shows(Shows::Bytes)
        .lines(&["written"])
        .group("disks, per second")
        .inside(),
];

/// The states that an operator chooses: no state, paused, off, suspended.
const OFF: &[i64] = &[0, 3, 5, 7];

/// The state of one that crashed.
const CRASHED: i64 = 6;

/// By which instances are named first.
const TALKERS: &[(&str, &[&str])] = &[
    ("CPU", &["cpu_cores"]),
    ("network", &["net_rx_bytes_per_second", "net_tx_bytes_per_second"]),
    ("disks", &["disk_rd_bytes_per_second", "disk_wr_bytes_per_second"]),
];

/// Returns libvirt's word for a state.
fn state(number: i64) -> &'static str {
    match number {
        0 => "no state",
        1 => "running",
        2 => "blocked",
        3 => "paused",
        4 => "stopping",
        5 => "off",
        6 => "crashed",
        7 => "suspended",
        _ => "of an unknown kind",
    }
}

static NET: &[Column] = &[
    key("device").head("interface").unlinked(),
    field(&INSTANCE_NET, "rx_bytes_per_second")
        .head("received/s")
        .shows(Shows::Bytes)
        .drawn(Drawn::Mirrored)
        .with(&["sent/s"]),
    field(&INSTANCE_NET, "tx_bytes_per_second").head("sent/s").shows(Shows::Bytes).inside(),
    field(&INSTANCE_NET, "rx_packets_per_second").head("packets/s").drawn(Drawn::Mirrored).with(&["sent"]),
    field(&INSTANCE_NET, "tx_packets_per_second").head("sent").inside(),
    field(&INSTANCE_NET, "rx_drops_per_second").head("dropped/s").group("received").unless_zero(),
    field(&INSTANCE_NET, "rx_errors_per_second").head("broken/s").group("received").unless_zero(),
    field(&INSTANCE_NET, "tx_drops_per_second").head("dropped/s").group("sent").unless_zero(),
    field(&INSTANCE_NET, "tx_errors_per_second").head("broken/s").group("sent").unless_zero(),
];

static BLOCK: &[Column] = &[
    key("device").head("disk").unlinked(),
    field(&INSTANCE_BLOCK, "allocation_bytes")
        .head("written up to")
        .shows(Shows::Bytes)
        .drawn(Drawn::Of)
        .with(&["capacity"]),
    field(&INSTANCE_BLOCK, "capacity_bytes").head("capacity").shows(Shows::Bytes).inside(),
    field(&INSTANCE_BLOCK, "physical_bytes").head("its file").shows(Shows::Bytes),
    field(&INSTANCE_BLOCK, "rd_bytes_per_second")
        .head("read/s")
        .shows(Shows::Bytes)
        .drawn(Drawn::Mirrored)
        .with(&["written/s"]),
    field(&INSTANCE_BLOCK, "wr_bytes_per_second").head("written/s").shows(Shows::Bytes).inside(),
    field(&INSTANCE_BLOCK, "rd_requests_per_second").head("requests/s").drawn(Drawn::Mirrored).with(&["writes"]),
    field(&INSTANCE_BLOCK, "wr_requests_per_second").head("writes").inside(),
    field(&INSTANCE_BLOCK, "rd_busy_ratio").head("reads").shows(Shows::Percent).group("busy"),
    field(&INSTANCE_BLOCK, "wr_busy_ratio").head("writes").shows(Shows::Percent).group("busy"),
    field(&INSTANCE_BLOCK, "fl_busy_ratio").head("flushes").shows(Shows::Percent).group("busy").unless_zero(),
];

static WORDS: &[Column] = &[
    field(&INSTANCE, "vcpus_limit").head("vCPUs at most"),
    field(&INSTANCE, "memory_limit_bytes").head("memory at most").shows(Shows::Bytes),
    field(&INSTANCE, "memory_usable_bytes").head("usable inside").shows(Shows::Bytes),
    field(&INSTANCE, "cpu_user_cores").head("user").drawn(Drawn::Of).with(&["system"]).group("CPU"),
    field(&INSTANCE, "cpu_system_cores").head("system").group("CPU").inside(),
    field(&INSTANCE, "cpu_steal_cores").head("to others").drawn(Drawn::Of).with(&["to waits"]).group("CPU lost"),
    field(&INSTANCE, "cpu_wait_cores").head("to waits").group("CPU lost").inside(),
];

/// What unfolds below an instance.
static BELOW: Unfolds = Unfolds {
    tables: &[
        Table::new("disks_below", "Disks", BLOCK).plots(&["read/s"]),
        Table::new("interfaces_below", "Network interfaces", NET).plots(&["received/s", "packets/s"]),
        Table::new("words_below", "Instance", WORDS).plots(&["user", "to others"]),
    ],
    plots: &["on the host"],
};

/// The page of the instances.
pub static INSTANCES_PAGE: Page = Page {
    name: "instances",
    title: "Instances",
    part_of: "",
    overview: None,
    own: &[],
    own_tables: &[],
    near: None,
    section: Some("host"),
    program: "collect-instances",
    every: 300,
    tables: &[
        Table::new("hosts", "Host", HOSTS),
        Table::new("instances", "Instances", INSTANCES).noun("instance").talkers(TALKERS).sums().unfolds(&BELOW),
    ],
    plots: &[],
    text: &[],
    json: &[],
};
