//! `[sensor:SwapMemory]`: the swap of a node.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::rates::Rates;
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use super::{percent, with_rates};
use crate::config::Section;
use crate::model::{Declaration, Field, Fold, Measurement, Tag};
use crate::sources::node::{Kept, meminfo, vmstat};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "SwapMemory",
    section: Section::new(
        "sensor:SwapMemory",
        "The swap in use, and what goes in and out.",
        &[TIME_INTERVAL, ENABLED, PREFIX],
    ),
    measurements: &[&NODE_SWAP],
    source: "/proc/meminfo, /proc/vmstat",
    is_default: true,
    is_slow: false,
    options: |_| {
        Ok(Arc::new(|node| {
            let (meminfo, vmstat) = (node.root.kept("proc/meminfo"), node.root.kept("proc/vmstat"));
            Box::new(SwapMemory { meminfo, vmstat, rates: Rates::default(), node: node.clone() })
        }))
    },
};

const fn bytes(name: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, "bytes", Fold::Mean, meaning)
}

const fn rate(name: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, "bytes per second", Fold::Mean, meaning)
}

const TOTAL: Field<i64> = bytes("total", "all swap (SwapTotal)");
const USED: Field<i64> = bytes("used", "total without free");
const FREE: Field<i64> = bytes("free", "used for nothing (SwapFree)");
const PERCENT: Field<f64> = Field::gauge("percent", "%", Fold::Mean, "used of the total; 0 without swap");
const COUNTERS: [Field<i64>; 2] = [
    bytes("sin", "read from swap since the start of the machine (pswpin)").folded(Fold::Last),
    bytes("sout", "written to swap since the start of the machine (pswpout)").folded(Fold::Last),
];
const RATES: [Field<f64>; 2] = [rate("sin_per_second", "read from swap"), rate("sout_per_second", "written to swap")];

/// The swap of a node.
pub static NODE_SWAP: Measurement = Measurement::new(Declaration {
    name: "node_swap",
    meaning: "the swap of a node",
    tags: &[Tag::key("host")],
    fields: &[
        TOTAL.info(),
        USED.info(),
        FREE.info(),
        PERCENT.info(),
        COUNTERS[0].info(),
        COUNTERS[1].info(),
        RATES[0].info(),
        RATES[1].info(),
    ],
    carbon: "{host/}.SwapMemory.{field}",
    every: 10,
});

struct SwapMemory {
    meminfo: Kept,
    vmstat: Kept,
    rates: Rates<2>,
    node: Node,
}

impl Reading for SwapMemory {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let memory = meminfo::parse(&self.meminfo.read()?).context("/proc/meminfo")?;
        let (total, free) = (memory.swap_total.unwrap_or(0), memory.swap_free.unwrap_or(0));
        let used = (total - free).max(0);
        let mut fields =
            vec![TOTAL.of(total), USED.of(used), FREE.of(free), PERCENT.of(percent(used as f64, total as f64))];
        let page = rustix::param::page_size() as u64;
        // Some containers have no /proc/vmstat.
        if let Some(pages) = self.vmstat.read().ok().and_then(|text| vmstat::swapped(&text)) {
            let counters = pages.map(|pages| pages.saturating_mul(page));
            let rates = self.rates.take("", at.running, counters);
            fields.extend(with_rates(&COUNTERS, &RATES, &counters, &rates));
        }
        Ok(vec![NODE_SWAP.point(at.time, [&self.node.host], &fields)].into())
    }
}
