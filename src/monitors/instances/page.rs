//! The page of the instances: a section for each host, with its instances and their devices.

use super::measurements::{INSTANCE, INSTANCE_BLOCK, INSTANCE_HOST, INSTANCE_NET};
use crate::text::Shows;
use crate::view::page::{Column, Page, Table, field, health, key, label};

static HOSTS: &[Column] = &[
    key("grid"),
    health(&INSTANCE_HOST, "heartbeat").head("libvirt"),
    field(&INSTANCE_HOST, "instances"),
    field(&INSTANCE_HOST, "running"),
    field(&INSTANCE_HOST, "unanswered").alarm(&["unanswered"]),
];

static INSTANCES: &[Column] = &[
    key("instance"),
    // Its owner's name for it only with `[libvirt] names = send`, else libvirt's.
    label(&INSTANCE, "name"),
    label(&INSTANCE, "project"),
    label(&INSTANCE, "flavor"),
    field(&INSTANCE, "state").shows(Shows::Named(state)),
    field(&INSTANCE, "cpu_ratio").head("CPU").shows(Shows::Percent).group("CPU"),
    field(&INSTANCE, "cpu_cores").head("cores").lines(&["cores"]).group("CPU"),
    field(&INSTANCE, "vcpus").group("CPU"),
    field(&INSTANCE, "cpu_steal_cores").head("steal").group("CPU").unless_zero(),
    field(&INSTANCE, "memory_bytes").head("memory").shows(Shows::Bytes).group("memory"),
    field(&INSTANCE, "memory_rss_bytes").head("on the host").shows(Shows::Bytes).group("memory"),
    field(&INSTANCE, "memory_usable_bytes").head("usable").shows(Shows::Bytes).group("memory"),
    field(&INSTANCE, "net_rx_bytes_per_second").head("received/s").shows(Shows::Bytes).group("network"),
    field(&INSTANCE, "net_tx_bytes_per_second").head("sent/s").shows(Shows::Bytes).group("network"),
    field(&INSTANCE, "disk_rd_bytes_per_second").head("read/s").shows(Shows::Bytes).group("disks"),
    field(&INSTANCE, "disk_wr_bytes_per_second").head("written/s").shows(Shows::Bytes).group("disks"),
];

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
    key("instance"),
    key("device"),
    field(&INSTANCE_NET, "rx_bytes_per_second").head("bytes/s").shows(Shows::Bytes).group("received"),
    field(&INSTANCE_NET, "rx_packets_per_second").head("packets/s").group("received"),
    field(&INSTANCE_NET, "rx_drops_per_second").head("dropped/s").group("received"),
    field(&INSTANCE_NET, "rx_errors_per_second").head("broken/s").group("received"),
    field(&INSTANCE_NET, "tx_bytes_per_second").head("bytes/s").shows(Shows::Bytes).group("sent"),
    field(&INSTANCE_NET, "tx_packets_per_second").head("packets/s").group("sent"),
    field(&INSTANCE_NET, "tx_drops_per_second").head("dropped/s").group("sent"),
    field(&INSTANCE_NET, "tx_errors_per_second").head("broken/s").group("sent"),
];

static BLOCK: &[Column] = &[
    key("instance"),
    key("device"),
    field(&INSTANCE_BLOCK, "rd_bytes_per_second").head("bytes/s").shows(Shows::Bytes).group("read"),
    field(&INSTANCE_BLOCK, "rd_requests_per_second").head("requests/s").group("read"),
    field(&INSTANCE_BLOCK, "rd_busy_ratio").head("busy").shows(Shows::Percent).group("read"),
    field(&INSTANCE_BLOCK, "wr_bytes_per_second").head("bytes/s").shows(Shows::Bytes).group("written"),
    field(&INSTANCE_BLOCK, "wr_requests_per_second").head("requests/s").group("written"),
    field(&INSTANCE_BLOCK, "wr_busy_ratio").head("busy").shows(Shows::Percent).group("written"),
    field(&INSTANCE_BLOCK, "fl_requests_per_second").head("requests/s").group("flushed"),
    field(&INSTANCE_BLOCK, "fl_busy_ratio").head("busy").shows(Shows::Percent).group("flushed"),
    field(&INSTANCE_BLOCK, "capacity_bytes").head("capacity").shows(Shows::Bytes).group("size"),
    field(&INSTANCE_BLOCK, "allocation_bytes").head("written up to").shows(Shows::Bytes).group("size"),
    field(&INSTANCE_BLOCK, "physical_bytes").head("on the host").shows(Shows::Bytes).group("size"),
];

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
        Table::new("instances", "Instances", INSTANCES).noun("instance").talkers(TALKERS),
        Table::new("interfaces", "Network interfaces", NET).noun("interface"),
        Table::new("disks", "Disks", BLOCK).noun("disk"),
    ],
    plots: &[],
    text: &[],
    json: &[],
};
