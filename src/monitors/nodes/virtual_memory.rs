//! `[sensor:VirtualMemory]`: the memory of a node.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::percent;
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, FieldValue, Fold, Measurement, Tag};
use crate::sources::node::Kept;
use crate::sources::node::meminfo::{self, Meminfo};
use crate::sources::node::zoneinfo;

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "VirtualMemory",
    section: Section::new("sensor:VirtualMemory", "The memory in use.", &[TIME_INTERVAL, ENABLED, PREFIX]),
    measurements: &[&NODE_MEMORY],
    source: "/proc/meminfo",
    is_default: true,
    is_slow: false,
    options: |_| {
        Ok(Arc::new(|node| {
            let (meminfo, zoneinfo) = (node.root.kept("proc/meminfo"), node.root.kept("proc/zoneinfo"));
            Box::new(VirtualMemory { meminfo, zoneinfo, node: node.clone() })
        }))
    },
};

const fn bytes(name: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, "bytes", Fold::Mean, meaning)
}

const TOTAL: Field<i64> = bytes("total", "all memory of the kernel (MemTotal)");
const AVAILABLE: Field<i64> = bytes("available", "what programs may have without swapping (MemAvailable)");
const PERCENT: Field<f64> = Field::gauge("percent", "%", Fold::Mean, "what is not available, of the total");
const USED: Field<i64> = bytes("used", "total without available");
const FREE: Field<i64> = bytes("free", "used for nothing (MemFree)");
const ACTIVE: Field<i64> = bytes("active", "used of late (Active)");
const INACTIVE: Field<i64> = bytes("inactive", "the first to be reclaimed (Inactive)");
const BUFFERS: Field<i64> = bytes("buffers", "blocks of devices (Buffers)");
const CACHED: Field<i64> = bytes("cached", "files, and what the kernel can reclaim (Cached + SReclaimable)");
const SHARED: Field<i64> = bytes("shared", "tmpfs and shared memory (Shmem)");
const SLAB: Field<i64> = bytes("slab", "the kernel's own structures (Slab)");

/// The memory of a node.
pub static NODE_MEMORY: Measurement = Measurement::new(Declaration {
    name: "node_memory",
    meaning: "the memory of a node",
    tags: &[Tag::key("host")],
    fields: &[
        TOTAL.info(),
        AVAILABLE.info(),
        PERCENT.info(),
        USED.info(),
        FREE.info(),
        ACTIVE.info(),
        INACTIVE.info(),
        BUFFERS.info(),
        CACHED.info(),
        SHARED.info(),
        SLAB.info(),
    ],
    carbon: "{host/}.VirtualMemory.{field}",
    every: 10,
});

struct VirtualMemory {
    meminfo: Kept,
    zoneinfo: Kept,
    node: Node,
}

impl Reading for VirtualMemory {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let memory = meminfo::parse(&self.meminfo.read()?).context("/proc/meminfo")?;
        // Kernels before 3.14 do not tell what is available, and some containers say 0.
        let available = match memory.available.filter(|available| *available > 0) {
            Some(available) => available,
            None => estimated(&memory, self.zoneinfo.read().ok().map(|text| zoneinfo::low_watermark(&text))),
        };
        Ok(vec![NODE_MEMORY.point(at.time, [&self.node.host], &fields(&memory, available))].into())
    }
}

/// Returns what is available as newer kernels reckon it: the free memory, and of the pages of files and of what can be
/// reclaimed all but half or the low watermark. Without these numbers it is the free memory and the files'.
fn estimated(memory: &Meminfo, low: Option<i64>) -> i64 {
    let (Some(active), Some(inactive), Some(low)) = (memory.active_file, memory.inactive_file, low) else {
        return memory.free.saturating_add(memory.cached.unwrap_or(0));
    };
    let spared = |bytes: i64| bytes - (bytes / 2).min(low);
    let pages = active.saturating_add(inactive);
    let available = (memory.free - low).saturating_add(spared(pages));
    available.saturating_add(spared(memory.reclaimable.unwrap_or(0))).max(0)
}

fn fields(memory: &Meminfo, available: i64) -> Vec<FieldValue> {
    let Meminfo { total, free, .. } = *memory;
    // In a container the total may be its own, and what is free or available the machine's.
    let available = if available > total { free.min(total) } else { available };
    let used = total - available;
    let cached = memory.cached.map(|cached| cached.saturating_add(memory.reclaimable.unwrap_or(0)));
    let mut fields = vec![
        TOTAL.of(total),
        AVAILABLE.of(available),
        PERCENT.of(percent(used as f64, total as f64)),
        USED.of(used),
        FREE.of(free),
    ];
    let rest = [
        (ACTIVE, memory.active),
        (INACTIVE, memory.inactive),
        (BUFFERS, memory.buffers),
        (CACHED, cached),
        (SHARED, memory.shared),
        (SLAB, memory.slab),
    ];
    fields.extend(rest.iter().filter_map(|(field, value)| Some(field.of((*value)?))));
    fields
}
