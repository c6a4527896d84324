//! `[sensor:LoadAverage]`: how many tasks want to run. QULo had no such sensor.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, Fold, Measurement, Point, Tag};
use crate::sources::node::Kept;
use crate::sources::node::loadavg::{Load, parse};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "LoadAverage",
    section: Section::new(
        "sensor:LoadAverage",
        "The load averages, and how many tasks there are.",
        &[TIME_INTERVAL, ENABLED, PREFIX],
    ),
    measurements: &[&NODE_LOAD],
    source: "/proc/loadavg",
    is_default: true,
    is_slow: false,
    options: |_| {
        Ok(Arc::new(|node| Box::new(LoadAverage { file: node.root.kept("proc/loadavg"), node: node.clone() })))
    },
};

const fn mean(name: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, "tasks", Fold::Mean, meaning)
}

const MEANS: [Field<f64>; 3] = [
    mean("load1", "tasks that ran, waited for a CPU or for a disk, over a minute"),
    mean("load5", "the same over 5 minutes"),
    mean("load15", "the same over 15 minutes"),
];
const RUNNING: Field<i64> = Field::gauge("running", "tasks", Fold::Mean, "tasks that run now or wait for a CPU");
const TASKS: Field<i64> = Field::gauge("tasks", "tasks", Fold::Mean, "all processes and threads");

/// The load of a node.
pub static NODE_LOAD: Measurement = Measurement::new(Declaration {
    name: "node_load",
    meaning: "the load averages of a node",
    tags: &[Tag::key("host")],
    fields: &[MEANS[0].info(), MEANS[1].info(), MEANS[2].info(), RUNNING.info(), TASKS.info()],
    carbon: "{host/}.LoadAverage.{field}",
    every: 10,
});

struct LoadAverage {
    file: Kept,
    node: Node,
}

impl Reading for LoadAverage {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        Ok(vec![point(&self.node.host, at, &parse(&self.file.read()?).context("/proc/loadavg")?)].into())
    }
}

fn point(host: &str, at: Moment, load: &Load) -> Point {
    let [one, five, fifteen] = load.means;
    let means = [MEANS[0].of(one), MEANS[1].of(five), MEANS[2].of(fifteen)];
    NODE_LOAD.point(at.time, [host], &[means[0], means[1], means[2], RUNNING.of(load.running), TASKS.of(load.tasks)])
}
