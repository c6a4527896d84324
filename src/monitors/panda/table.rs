//! The table of queues: PanDA's counts now, their averages, what CRIC and Elasticsearch say, and the score.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use super::arithmetic::{factor, stored};
use super::score::{Load, Loads, score};
use crate::model::{Cell, Column, Row, TableInfo};
use crate::rollup::averages::{AllAverages, Averages, WINDOWS};
use crate::sources::cric::Queue;
use crate::sources::elastic::Datadisk;
use crate::sources::panda::Odd;

/// The table of queues: one row for each queue, production source and resource type. The names are QMonit's.
pub static TABLE: TableInfo = TableInfo { name: "jobs", columns: &COLUMNS, keys: 3 };

/// The tables that the programs of PanDA use.
pub static TABLES: [&TableInfo; 1] = [&TABLE];

/// The key tags of the points that make a row, as the key of the table.
pub const KEYS: [&str; 3] = ["panda_queue", "prod_source", "resource"];

/// The statuses that have averages, in the order of their columns.
pub const AVERAGED: [&str; 4] = ["assigned", "activated", "failed", "running"];

/// The statuses of [`AVERAGED`] that are events, which QMonit summed over an hour.
pub const SUMMED: [&str; 1] = ["failed"];

/// The statuses that have a column.
pub const COUNTED: [&str; 16] = [
    "pending",
    "defined",
    "waiting",
    "assigned",
    "throttled",
    "activated",
    "sent",
    "starting",
    "running",
    "holding",
    "transferring",
    "merging",
    "finished",
    "failed",
    "cancelled",
    "closed",
];

const COLUMNS: [Column; 57] = [
    Column::text("panda_queue", 128),
    Column::text("prod_source", 64),
    Column::text("resource", 64),
    Column::text("atlas_site", 128),
    Column::text("type", 32),
    Column::text("country", 64),
    Column::text("cloud", 32),
    Column::text("federation", 128),
    Column::text("site_state", 32),
    Column::text("tier", 16),
    Column::real("resource_factor"),
    Column::text("resource_type", 32),
    Column::text("datadisk_name", 128),
    Column::real("datadisk_occupied_gb"),
    Column::integer("datadisk_files"),
    Column::integer("pending_jobs"),
    Column::integer("defined_jobs"),
    Column::integer("waiting_jobs"),
    Column::integer("assigned_jobs"),
    Column::integer("throttled_jobs"),
    Column::integer("activated_jobs"),
    Column::integer("sent_jobs"),
    Column::integer("starting_jobs"),
    Column::integer("running_jobs"),
    Column::integer("holding_jobs"),
    Column::integer("transferring_jobs"),
    Column::integer("merging_jobs"),
    Column::integer("finished_jobs"),
    Column::integer("failed_jobs"),
    Column::integer("cancelled_jobs"),
    Column::integer("closed_jobs"),
    Column::real("avg1h_assigned_jobs"),
    Column::real("avg6h_assigned_jobs"),
    Column::real("avg12h_assigned_jobs"),
    Column::real("avg24h_assigned_jobs"),
    Column::real("avg7d_assigned_jobs"),
    Column::real("avg30d_assigned_jobs"),
    Column::real("avg1h_activated_jobs"),
    Column::real("avg6h_activated_jobs"),
    Column::real("avg12h_activated_jobs"),
    Column::real("avg24h_activated_jobs"),
    Column::real("avg7d_activated_jobs"),
    Column::real("avg30d_activated_jobs"),
    Column::real("avg1h_failed_jobs"),
    Column::real("avg6h_failed_jobs"),
    Column::real("avg12h_failed_jobs"),
    Column::real("avg24h_failed_jobs"),
    Column::real("avg7d_failed_jobs"),
    Column::real("avg30d_failed_jobs"),
    Column::real("avg1h_running_jobs"),
    Column::real("avg6h_running_jobs"),
    Column::real("avg12h_running_jobs"),
    Column::real("avg24h_running_jobs"),
    Column::real("avg7d_running_jobs"),
    Column::real("avg30d_running_jobs"),
    Column::real("score"),
    Column::integer(SLOT),
];

/// The column of the slot that a row is of, in unix seconds: a table that nobody can write any more must not look new.
const SLOT: &str = "slot";

/// Returns the newest slot that the rows are of, in unix seconds; `None` if none of them says it, as in a table of an older version.
pub fn newest_slot(rows: &[Row]) -> Option<i64> {
    let at = TABLE.at(SLOT)?;
    rows.iter().filter_map(|row| if let Cell::Int(slot) = row.get(at)? { Some(*slot) } else { None }).max()
}

/// What the rows are made of.
pub struct TableInput<'a> {
    /// The slot, in unix seconds.
    pub slot: i64,
    /// The rows: queue, production source and resource type as the points have them, sorted.
    pub rows: &'a [Vec<String>],
    /// The counts now, by row and status.
    pub current: &'a BTreeMap<(Vec<String>, String), i64>,
    /// The counts of PanDA's answer that are none.
    pub odd: &'a [Odd],
    /// The averages of [`AVERAGED`].
    pub averages: &'a AllAverages,
    /// CRIC's queues.
    pub queues: &'a [Queue],
    /// The sizes of datadisks.
    pub datadisks: &'a [Datadisk],
}

/// Returns the rows of [`TABLE`].
pub fn rows(input: &TableInput) -> Vec<Row> {
    let queues = by_name(input.queues);
    let disks = sizes(input.datadisks);
    let odd: BTreeSet<[Cow<str>; 4]> =
        input.odd.iter().map(|odd| odd.key.each_ref().map(|text| stored(text))).collect();
    let mut rows = Vec::with_capacity(input.rows.len());
    for key in input.rows {
        let [queue_name, prod_source, resource] = key.as_slice() else { continue };
        let queue = queues.get(queue_name.as_str()).copied();
        let count = |status: &str| {
            let is_odd = odd.contains(&[queue_name, prod_source, resource, status].map(Cow::Borrowed));
            let count = input.current.get(&(key.clone(), status.into())).copied().unwrap_or(0);
            (!is_odd).then_some(count)
        };
        let averages = input.averages.of(key);
        let mut row: Row = key.iter().map(|text| Cell::Text(text.clone())).collect();
        describe(queue, resource, &disks, &mut row);
        row.extend(COUNTED.iter().map(|status| Cell::from(count(status))));
        row.extend(averages.iter().flatten().map(|average| Cell::from(*average)));
        let load = |status: &str| load(count(status), averages, status);
        let loads = Loads { activated: load("activated"), running: load("running"), failed: load("failed") };
        row.push(score(&loads).map(|score| score.value()).into());
        row.push(Cell::Int(input.slot));
        rows.push(row);
    }
    rows
}

/// Returns queues by their name as the points have it; of several with one name the first counts.
pub(super) fn by_name(queues: &[Queue]) -> HashMap<Cow<'_, str>, &Queue> {
    queues.iter().rev().map(|queue| (stored(&queue.panda_resource), queue)).collect()
}

pub(super) fn sizes(disks: &[Datadisk]) -> HashMap<&str, &Datadisk> {
    disks.iter().rev().map(|disk| (disk.rse.as_str(), disk)).collect()
}

/// Appends what CRIC and Elasticsearch say of a queue.
fn describe(queue: Option<&Queue>, resource: &str, disks: &HashMap<&str, &Datadisk>, row: &mut Row) {
    let of = |field: fn(&Queue) -> &Option<String>| Cell::from(queue.and_then(|queue| field(queue).as_deref()));
    row.extend([
        of(|queue| &queue.atlas_site),
        of(|queue| &queue.kind),
        of(|queue| &queue.country),
        of(|queue| &queue.cloud),
        of(|queue| &queue.rc),
        of(|queue| &queue.status),
        of(|queue| &queue.tier),
    ]);
    row.push(Cell::Real(factor(resource, queue.unwrap_or(const { &Queue::NONE }))));
    row.push(of(|queue| &queue.resource_type));
    let disk = queue.map(|queue| datadisk(queue, disks));
    row.push(disk.as_ref().map(|disk| disk.name).into());
    row.push(disk.as_ref().and_then(|disk| disk.occupied_gb).into());
    row.push(disk.as_ref().and_then(|disk| disk.files).into());
}

/// The storage endpoint whose data a queue reads.
pub(super) struct Disk<'a> {
    pub name: &'a str,
    pub occupied_gb: Option<f64>,
    pub files: Option<i64>,
}

/// The name of the datadisk of a queue that has none.
const NO_DISK: &str = "NONE";

/// Returns the datadisk of a queue: the first in CRIC's order whose size is known, else the first.
pub(super) fn datadisk<'a>(queue: &'a Queue, disks: &HashMap<&str, &Datadisk>) -> Disk<'a> {
    let names = || queue.read_lan.iter().map(String::as_str).filter(|name| name.contains("DATADISK"));
    let known = names().find_map(|name| Some((name, *disks.get(name)?)));
    match (known, names().next()) {
        (Some((name, disk)), _) => Disk { name, occupied_gb: Some(disk.bytes as f64 / 1e9), files: Some(disk.files) },
        (None, Some(name)) => Disk { name, occupied_gb: None, files: None },
        (None, None) => Disk { name: NO_DISK, occupied_gb: Some(0.0), files: Some(0) },
    }
}

fn load(now: Option<i64>, averages: &Averages, status: &str) -> Load {
    let of_status = AVERAGED.iter().position(|averaged| *averaged == status).and_then(|at| averages.get(at));
    let average = |window: &str| {
        let at = WINDOWS.iter().position(|known| *known == window)?;
        of_status?[at]
    };
    let now = now.map(|now| now as f64);
    Load { now, avg1h: average("1h"), avg6h: average("6h"), avg24h: average("24h") }
}

/// The columns that make a score, for activated, running and failed: the count now, and its averages of 1, 6 and 24 hours.
static LOADED: LazyLock<[[Option<usize>; 4]; 3]> = LazyLock::new(|| {
    let of_status =
        |status: &str| ["", "avg1h_", "avg6h_", "avg24h_"].map(|window| TABLE.at(&format!("{window}{status}_jobs")));
    ["activated", "running", "failed"].map(of_status)
});

/// Returns what a row of the table says for its score.
pub fn loads(row: &[Cell]) -> Loads {
    let number = |column: Option<usize>| row.get(column?)?.as_f64();
    let [activated, running, failed] = LOADED.map(|columns| {
        let [now, avg1h, avg6h, avg24h] = columns.map(number);
        Load { now, avg1h, avg6h, avg24h }
    });
    Loads { activated, running, failed }
}
