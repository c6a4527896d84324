//! The pages of nodes: one with a row for each node, and one with a section for each node.

use super::agent::NODE_AGENT;
use super::battery::NODE_BATTERY;
use super::cpu::{NODE_CPU, NODE_CPU_SHARE};
use super::disk_io::{NODE_DISK_IO, NODE_DISK_IO_EACH};
use super::gpu::{GPU, GPU_HOST, GPU_SLICE};
use super::interfaces::NODE_NET_LINK;
use super::kernel::{NODE_BOOT, NODE_CPUS};
use super::load::NODE_LOAD;
use super::mounts::NODE_MOUNT;
use super::swap::NODE_SWAP;
use super::temperatures::{NODE_FAN, NODE_TEMPERATURE};
use super::traffic::{NODE_NET, NODE_NET_EACH};
use super::usage::{NODE_DISK, NODE_DISK_MOUNT};
use super::users::NODE_USERS;
use super::virtual_memory::NODE_MEMORY;
use crate::monitors::slurm::SLURM_NODE;
use crate::text::Shows;
use crate::view::page::{Column, Drawn, Page, Table, Unfolds, field, key, label, mean, most, one, presence, switch};

/// From where on a disk is full, in percent.
const FULL: f64 = 90.0;

/// From where on a node swaps, in percent of its swap.
const SWAPS: f64 = 50.0;

/// How numbers of a hundred are shown.
const PERCENT: Shows = Shows::Unit("%");

const CELSIUS: Shows = Shows::Unit("°C");

/// A share of the time of all CPUs, in the bar of how busy they are.
const fn share(name: &'static str, head: &'static str) -> Column {
    field(&NODE_CPU_SHARE, name).head(head).group("CPU").shows(PERCENT).inside()
}

const USER: &str = "user";
const SYSTEM: &str = "system";
const WAITS: &str = "waits for a disk";

/// From where on an agent cannot reach its master, in seconds.
const LAGS: f64 = 300.0;

/// From where on a chip is hot, in °C.
const HOT: f64 = 85.0;

/// How many lost GPUs are too many.
const LOST: f64 = 1.0;

static NODES: &[Column] = &[
    key("host"),
    label(&SLURM_NODE, "state").head("Slurm").unlinked().only_adds(),
    switch(&SLURM_NODE, "in_service").inside().only_adds(),
    presence(&NODE_CPUS, "cpus"),
    one(&NODE_CPU, "cpu", "total")
        .head("busy")
        .group("CPU")
        .shows(PERCENT)
        .drawn(Drawn::Bar(100.0))
        .with(&[USER, SYSTEM, WAITS]),
    // Jobs of grids have a nice value.
    share("user", USER),
    share("nice", USER),
    share("system", SYSTEM),
    share("irq", SYSTEM),
    share("softirq", SYSTEM),
    share("steal", SYSTEM),
    share("iowait", WAITS),
    field(&NODE_LOAD, "load1").head("load").group("CPU").lines(&["load"]),
    field(&NODE_MEMORY, "percent").head("used").group("memory").shows(PERCENT).drawn(Drawn::Bar(100.0)),
    most(&NODE_DISK_MOUNT, "percent", "mount")
        .head("fullest")
        .group("disks")
        .shows(PERCENT)
        .limit(FULL)
        .drawn(Drawn::Bar(100.0)),
    field(&NODE_DISK_IO, "read_bytes_per_second")
        .head("read/s")
        .group("disks")
        .shows(Shows::Bytes)
        .drawn(Drawn::Lines)
        .with(&["written/s"]),
    field(&NODE_DISK_IO, "write_bytes_per_second")
        .head("written/s")
        .group("disks")
        .shows(Shows::Bytes)
        .lines(&["written/s"])
        .inside(),
    field(&NODE_NET, "bytes_recv_per_second")
        .head("received/s")
        .group("network")
        .shows(Shows::Bytes)
        .drawn(Drawn::Mirrored)
        .with(&["sent/s"]),
    field(&NODE_NET, "bytes_sent_per_second")
        .head("sent/s")
        .group("network")
        .shows(Shows::Bytes)
        .lines(&["sent/s"])
        .inside(),
    most(&NODE_TEMPERATURE, "current", "")
        .head("hottest")
        .shows(CELSIUS)
        .limit(HOT)
        .drawn(Drawn::Dot(20.0, 100.0))
        .unless_zero(),
    mean(&GPU, "utilization_ratio", "bus")
        .head("busy")
        .group("GPUs")
        .shows(Shows::Percent)
        .lost("lost")
        .drawn(Drawn::Columns(1.0))
        .unless_zero(),
    field(&GPU_HOST, "lost").group("GPUs").limit(LOST).unless_zero(),
    field(&NODE_AGENT, "lag_seconds").head("lag").group("agent").shows(Shows::Seconds).limit(LAGS).unless_zero(),
    field(&NODE_AGENT, "backlog_points").head("backlog").group("agent").unless_zero(),
];

static DISKS_BELOW: &[Column] = &[
    key("mount").head("file system").unlinked(),
    field(&NODE_DISK_MOUNT, "percent").head("used").shows(PERCENT).limit(FULL).drawn(Drawn::Bar(100.0)),
    field(&NODE_DISK_MOUNT, "used").head("of").shows(Shows::Bytes).with(&["total"]),
    field(&NODE_DISK_MOUNT, "total").shows(Shows::Bytes).inside(),
];

static GPUS_BELOW: &[Column] = &[
    key("bus").head("GPU").unlinked(),
    field(&GPU, "lost")
        .head("is")
        .limit(LOST)
        .shows(Shows::Named(|lost| if lost == 0 { "there" } else { "LOST" }))
        .unless_zero(),
    field(&GPU, "utilization_ratio").head("busy").shows(Shows::Percent).drawn(Drawn::Bar(1.0)),
    field(&GPU, "memory_used_bytes").head("memory").shows(Shows::Bytes).drawn(Drawn::Of).with(&["all"]),
    field(&GPU, "memory_total_bytes").head("all").shows(Shows::Bytes).inside(),
    field(&GPU, "temperature_celsius").head("hot").shows(CELSIUS).limit(HOT),
    field(&GPU, "power_watts").head("power").shows(Shows::Unit("W")),
];

static INTERFACES_BELOW: &[Column] = &[
    key("interface").unlinked(),
    field(&NODE_NET_LINK, "isup").head("is").shows(Shows::Named(|up| if up == 0 { "down" } else { "up" })),
    field(&NODE_NET_LINK, "speed").shows(Shows::Unit("Mbit/s")),
];

static WORDS_BELOW: &[Column] = &[
    field(&NODE_CPUS, "cpus").head("CPUs"),
    field(&NODE_MEMORY, "available").head("memory available").shows(Shows::Bytes).with(&["of memory"]),
    field(&NODE_MEMORY, "total").head("of memory").shows(Shows::Bytes).inside(),
    field(&NODE_SWAP, "used").head("swap").shows(Shows::Bytes).with(&["of swap"]),
    field(&NODE_SWAP, "total").head("of swap").shows(Shows::Bytes).inside(),
    field(&GPU_HOST, "cards").head("GPUs"),
    field(&NODE_USERS, "users"),
    field(&NODE_BOOT, "boot_time").head("booted").shows(Shows::Age),
];

static BELOW: Unfolds = Unfolds {
    tables: &[
        Table::new("file_systems_below", "File systems", DISKS_BELOW),
        Table::new("gpus_below", "GPUs", GPUS_BELOW),
        Table::new("interfaces_below", "Network interfaces", INTERFACES_BELOW),
        Table::new("words_below", "Node", WORDS_BELOW),
    ],
    plots: &["busy", "load", "fullest", "hottest", "received/s", "read/s"],
};

/// The page of all nodes. A node that has been silent for an interval is marked as old.
pub static NODES_PAGE: Page = Page {
    name: "nodes",
    title: "Nodes",
    part_of: "",
    overview: None,
    // The root alone, as QULo had it: it is one of the disks.
    own: &[&NODE_DISK],
    own_tables: &[],
    near: None,
    section: None,
    program: "qagent",
    every: 10,
    tables: &[Table::new("nodes", "Nodes", NODES).noun("node").unfolds(&BELOW)],
    plots: &[],
    text: &[],
    json: &[],
};

static PROCESSORS: &[Column] = &[
    key("host"),
    one(&NODE_CPU, "cpu", "total").head("CPU %").group("CPU"),
    field(&NODE_CPUS, "cpus").head("CPUs").group("CPU"),
    field(&NODE_LOAD, "load1").head("1 min").group("load"),
    field(&NODE_LOAD, "load5").head("5 min").group("load"),
    field(&NODE_LOAD, "load15").head("15 min").group("load"),
    field(&NODE_MEMORY, "percent").head("used %").group("memory"),
    field(&NODE_MEMORY, "available").shows(Shows::Bytes).group("memory"),
    field(&NODE_MEMORY, "total").shows(Shows::Bytes).group("memory"),
    field(&NODE_SWAP, "percent").head("used %").group("swap").limit(SWAPS),
    field(&NODE_SWAP, "total").shows(Shows::Bytes).group("swap"),
];

static GPUS: &[Column] = &[
    key("bus"),
    label(&GPU, "name").unlinked(),
    field(&GPU, "lost").limit(LOST),
    field(&GPU, "asleep"),
    field(&GPU, "utilization_ratio").head("busy").shows(Shows::Percent),
    field(&GPU, "memory_used_bytes").head("used").shows(Shows::Bytes).group("memory"),
    field(&GPU, "memory_total_bytes").head("all").shows(Shows::Bytes).group("memory"),
    field(&GPU, "temperature_celsius").head("°C").limit(HOT),
    field(&GPU, "power_watts").head("W"),
    field(&GPU, "ecc_uncorrected_errors").head("bad bits").limit(LOST),
];

static SLICES: &[Column] = &[
    key("bus"),
    key("slice"),
    label(&GPU_SLICE, "profile").unlinked(),
    field(&GPU_SLICE, "memory_used_bytes").head("used").shows(Shows::Bytes).group("memory"),
    field(&GPU_SLICE, "memory_total_bytes").head("all").shows(Shows::Bytes).group("memory"),
    field(&GPU_SLICE, "multiprocessors").head("processors"),
];

static FILE_SYSTEMS: &[Column] = &[
    key("mount"),
    field(&NODE_DISK_MOUNT, "percent").head("used %").limit(FULL),
    field(&NODE_DISK_MOUNT, "used").shows(Shows::Bytes),
    field(&NODE_DISK_MOUNT, "free").shows(Shows::Bytes),
    field(&NODE_DISK_MOUNT, "total").shows(Shows::Bytes),
    field(&NODE_MOUNT, "readonly").head("read-only"),
];

static DISKS: &[Column] = &[
    key("disk"),
    field(&NODE_DISK_IO_EACH, "read_bytes_per_second").head("read/s").shows(Shows::Bytes),
    field(&NODE_DISK_IO_EACH, "write_bytes_per_second").head("written/s").shows(Shows::Bytes),
    field(&NODE_DISK_IO_EACH, "busy_time_per_second").head("busy ms/s"),
];

static INTERFACES: &[Column] = &[
    key("interface"),
    field(&NODE_NET_LINK, "isup").head("up"),
    field(&NODE_NET_LINK, "speed").head("Mbit/s"),
    field(&NODE_NET_EACH, "bytes_recv_per_second").head("bytes/s").shows(Shows::Bytes).group("received"),
    field(&NODE_NET_EACH, "packets_recv_per_second").head("packets/s").group("received"),
    field(&NODE_NET_EACH, "dropin_per_second").head("dropped/s").group("received"),
    field(&NODE_NET_EACH, "errin_per_second").head("broken/s").group("received"),
    field(&NODE_NET_EACH, "bytes_sent_per_second").head("bytes/s").shows(Shows::Bytes).group("sent"),
    field(&NODE_NET_EACH, "packets_sent_per_second").head("packets/s").group("sent"),
    field(&NODE_NET_EACH, "dropout_per_second").head("dropped/s").group("sent"),
    field(&NODE_NET_EACH, "errout_per_second").head("broken/s").group("sent"),
];

static TEMPERATURES: &[Column] = &[
    key("chip"),
    key("label"),
    field(&NODE_TEMPERATURE, "current").head("°C").limit(HOT),
    field(&NODE_TEMPERATURE, "high").head("too high from"),
    field(&NODE_TEMPERATURE, "critical").head("harmful from"),
];

static FANS: &[Column] = &[key("chip"), key("label"), field(&NODE_FAN, "rpm").head("turns a minute")];

static POWER: &[Column] = &[
    key("host"),
    field(&NODE_BOOT, "boot_time").head("booted").shows(Shows::Age),
    field(&NODE_BATTERY, "percent").head("battery %"),
    field(&NODE_BATTERY, "secsleft").head("seconds left"),
];

/// The page of each node.
pub static NODE_PAGE: Page = Page {
    name: "node",
    title: "Each node",
    part_of: "nodes",
    overview: None,
    own: &[],
    own_tables: &[],
    near: None,
    section: Some("host"),
    program: "qagent",
    every: 10,
    tables: &[
        Table::new("processors", "Processors and memory", PROCESSORS),
        Table::new("gpus", "GPUs", GPUS).noun("GPU"),
        Table::new("slices", "Slices of GPUs", SLICES).noun("GPU"),
        Table::new("file_systems", "File systems", FILE_SYSTEMS).noun("file system"),
        Table::new("disks", "Disks", DISKS).noun("disk"),
        Table::new("interfaces", "Network interfaces", INTERFACES).noun("interface"),
        Table::new("temperatures", "Temperatures", TEMPERATURES).noun("chip"),
        Table::new("fans", "Fans", FANS).noun("chip"),
        Table::new("power", "Power", POWER),
    ],
    plots: &[],
    text: &[],
    json: &[],
};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::gpu::points;
    use super::*;
    use crate::model::{Point, SECOND};
    use crate::query::Latest;
    use crate::sources::gpu::{Answer, Gpu, Slice};
    use crate::view::table;

    fn latest(points: &[Point]) -> Vec<Latest> {
        let of = |point: &Point| {
            let series = Arc::new(Point::of_series_with(point.series(), &point.labels_text()).unwrap());
            let (declared, time) = (point.declaration().unwrap(), point.time());
            let one = |(name, value)| {
                let field = declared.field(name).unwrap();
                Latest { series: series.clone(), field, time, value, every: 10 }
            };
            point.fields().map(one).collect::<Vec<_>>()
        };
        points.iter().flat_map(of).collect()
    }

    #[test]
    fn gpus_and_slices_stand_on_the_pages_of_nodes_and_a_lost_one_is_marked() {
        let slice = Slice { name: "gi3-ci0".into(), values: [("multiprocessors", 14.0)].into(), ..Slice::default() };
        let values = [("utilization_ratio", 0.5), ("temperature_celsius", 61.0)].into();
        let good = Gpu { bus: "0000:07:00.0".into(), vendor: "nvidia", values, slices: vec![slice], ..Gpu::default() };
        let lost = Gpu { bus: "0000:0f:00.0".into(), vendor: "nvidia", is_lost: true, ..Gpu::default() };
        let answer = Answer { gpus: vec![good, lost], is_whole: true, problems: Vec::new() };
        let latest = latest(&points("wn1", 1_717_245_000 * SECOND, &answer));
        // The cells under a head, of each row, and whether they are marked.
        let cells = |page: &'static Page, table: &str, head: &str| -> Vec<(String, Option<f64>, bool)> {
            let sections = table::sections(page, latest.clone());
            let tables = sections[0].tables(page, true);
            let table = tables.iter().find(|one| one.declared.name == table).unwrap();
            let at = table.columns.iter().position(|column| column.head == head).unwrap();
            let limit = table.columns[at].declared.limit;
            let row = |row: &table::Row| {
                let inner = row.sub_rows.first().and_then(|inner| inner.cells[at]);
                let value = row.cells[at].or(inner).map(|cell| cell.value.as_f64());
                let is_marked = limit.zip(value).is_some_and(|(limit, value)| value >= limit);
                (row.name.to_string(), value, is_marked)
            };
            table.rows.iter().map(row).collect()
        };
        assert_eq!(cells(&NODES_PAGE, "nodes", "lost"), [("wn1".to_string(), Some(1.0), true)]);
        let [good, lost] = ["0000:07:00.0", "0000:0f:00.0"].map(String::from);
        let busy = [(good.clone(), Some(0.5), false), (lost.clone(), None, false)];
        assert_eq!(cells(&NODE_PAGE, "gpus", "busy"), busy);
        assert_eq!(cells(&NODE_PAGE, "gpus", "lost"), [(good.clone(), Some(0.0), false), (lost, Some(1.0), true)]);
        assert_eq!(cells(&NODE_PAGE, "slices", "processors"), [(good, Some(14.0), false)]);
    }
}
