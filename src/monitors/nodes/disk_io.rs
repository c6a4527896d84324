//! `[sensor:DiskIOCounters]`: what disks read and write.

use std::sync::Arc;

use anyhow::Result;

use super::options::Names;
use super::rates::{Rates, add};
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use super::{declared, unreadable, with_rates};
use crate::config::{Key, Kind, Section, Unset};
use crate::model::{Declaration, Field, FieldInfo, Fold, Measurement, Tag};
use crate::sources::node::Kept;
use crate::sources::node::disks::{Counters, Disk, Disks, parse};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "DiskIOCounters",
    section: Section::new("sensor:DiskIOCounters", "What disks read and write.", KEYS),
    measurements: &[&NODE_DISK_IO, &NODE_DISK_IO_EACH],
    source: "/proc/diskstats, /sys/block",
    is_default: true,
    is_slow: false,
    options: |values| {
        let names = Names::read(values, "devices")?;
        Ok(Arc::new(move |node| {
            let (disks, rates) = (Disks::default(), Rates::default());
            Box::new(DiskIo {
                file: node.root.kept("proc/diskstats"),
                disks,
                rates,
                names: names.clone(),
                node: node.clone(),
            })
        }))
    },
};

const KEYS: &[Key] = &[
    TIME_INTERVAL,
    ENABLED,
    PREFIX,
    Key::new(
        "devices",
        Kind::List,
        Unset::Absent("sd* nvme*"),
        "The disks that have numbers of their own, beside those of all; * stands for any characters, ? for one. Default: none.",
    ),
    Key::new("exclude", Kind::List, Unset::Absent("loop*"), "Those of them that are left out."),
];

const fn counter(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, unit, Fold::Last, meaning)
}

const fn rate(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, unit, Fold::Mean, meaning)
}

const COUNTERS: [Field<i64>; 9] = [
    counter("read_count", "requests", "reads since the start of the machine"),
    counter("write_count", "requests", "writes since the start of the machine"),
    counter("read_bytes", "bytes", "read since the start of the machine"),
    counter("write_bytes", "bytes", "written since the start of the machine"),
    counter("read_time", "milliseconds", "time of all reads; of 32 bits in the kernel"),
    counter("write_time", "milliseconds", "time of all writes; of 32 bits in the kernel"),
    counter("read_merged_count", "requests", "reads that became part of others"),
    counter("write_merged_count", "requests", "writes that became part of others"),
    counter("busy_time", "milliseconds", "time with requests under way; of 32 bits in the kernel"),
];
const RATES: [Field<f64>; 9] = [
    rate("read_count_per_second", "requests per second", "reads"),
    rate("write_count_per_second", "requests per second", "writes"),
    rate("read_bytes_per_second", "bytes per second", "read"),
    rate("write_bytes_per_second", "bytes per second", "written"),
    rate("read_time_per_second", "ms per second", "reads under way, a thousand for one all the time"),
    rate("write_time_per_second", "ms per second", "writes under way, a thousand for one all the time"),
    rate("read_merged_count_per_second", "requests per second", "reads that became part of others"),
    rate("write_merged_count_per_second", "requests per second", "writes that became part of others"),
    rate("busy_time_per_second", "ms per second", "time with requests under way, a thousand at most for one disk"),
];
const INFOS: [FieldInfo; 18] = declared(&COUNTERS, &RATES);

/// What the disks of a node do.
pub static NODE_DISK_IO: Measurement = Measurement::new(Declaration {
    name: "node_disk_io",
    meaning: "what the physical disks of a node read and write: neither dm, md, loop, zram nor partitions, which would count twice",
    tags: &[Tag::key("host")],
    fields: &INFOS,
    carbon: "{host/}.DiskIOCounters.{field}",
    every: 10,
});

/// What one disk does.
pub static NODE_DISK_IO_EACH: Measurement = Measurement::new(Declaration {
    name: "node_disk_io_each",
    meaning: "what one disk of a node reads and writes",
    tags: &[Tag::key("host"), Tag::key("disk")],
    fields: &INFOS,
    carbon: "{host/}.DiskIOCounters.{disk}.{field}",
    every: 10,
});

struct DiskIo {
    file: Kept,
    disks: Disks,
    rates: Rates<9>,
    names: Names,
    node: Node,
}

impl Reading for DiskIo {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let Self { file, disks, rates, names, node } = self;
        let text = file.read()?;
        let mut points = Vec::new();
        let mut sum: Counters = [0; 9];
        let mut gained = [None; 9];
        let (mut has_disks, mut is_whole, mut count, mut unread) = (false, true, 0, Vec::new());
        for (name, counters) in parse(&text) {
            count += 1;
            let (kind, is_named) = (disks.kind(&node.root, name), names.want(name));
            if kind != Disk::Physical && !is_named {
                continue;
            }
            let Some(counters) = counters else {
                unread.push(name);
                is_whole &= kind != Disk::Physical;
                continue;
            };
            let own = rates.take(name, at.running, counters);
            if kind == Disk::Physical {
                has_disks = true;
                sum.iter_mut().zip(counters).for_each(|(sum, one)| *sum = sum.saturating_add(one));
                add(&mut gained, &own);
            }
            if is_named {
                let fields = with_rates(&COUNTERS, &RATES, &counters, &own);
                points.push(NODE_DISK_IO_EACH.point(at.time, [&node.host, name], &fields));
            }
        }
        rates.keep(at.running);
        disks.keep(count, parse(&text).map(|(name, _)| name));
        // A node without disks has no numbers of them.
        if has_disks && is_whole {
            let fields = with_rates(&COUNTERS, &RATES, &sum, &gained);
            points.push(NODE_DISK_IO.point(at.time, [&node.host], &fields));
        }
        let missing =
            if is_whole { "its numbers are missing" } else { "its numbers and those of all disks are missing" };
        Ok(Taken { points, problems: unreadable("/proc/diskstats", &unread, missing).into_iter().collect() })
    }
}
