//! `[sensor:CPUFreq]`: how fast the processors run.

use std::sync::Arc;

use anyhow::Result;

use super::options::{PER_CPU, is_yes};
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, FieldValue, Fold, Measurement, Tag};
use crate::sources::node::topology::{Frequency, frequencies, policies};

/// The sensor. Some kernels wake each CPU to tell its frequency, so it has a thread of its own.
pub static SENSOR: Sensor = Sensor {
    name: "CPUFreq",
    section: Section::new(
        "sensor:CPUFreq",
        "The frequency of the processors.",
        &[TIME_INTERVAL, ENABLED, PREFIX, PER_CPU],
    ),
    measurements: &[&NODE_FREQUENCY, &NODE_FREQUENCY_EACH],
    source: "/proc/cpuinfo, /sys/devices/system/cpu/cpufreq/policy*",
    is_default: true,
    is_slow: true,
    options: |values| {
        let is_each = is_yes(values, PER_CPU.name)?;
        Ok(Arc::new(move |node| Box::new(CpuFreq { node: node.clone(), is_each })))
    },
};

const fn mhz(name: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, "MHz", Fold::Mean, meaning)
}

const CURRENT: Field<f64> = mhz("current", "now");
const LEAST: Field<f64> = mhz("min", "the least that the governor may choose; 0 without cpufreq");
const MOST: Field<f64> = mhz("max", "the most that the governor may choose; 0 without cpufreq");

/// The mean frequency of a node.
pub static NODE_FREQUENCY: Measurement = Measurement::new(Declaration {
    name: "node_frequency",
    meaning: "the mean frequency of a node's CPUs",
    tags: &[Tag::key("host")],
    fields: &[CURRENT.info(), LEAST.info(), MOST.info()],
    carbon: "{host/}.CPUFreq.{field}",
    every: 10,
});

/// The frequency of each CPU.
pub static NODE_FREQUENCY_EACH: Measurement = Measurement::new(Declaration {
    name: "node_frequency_each",
    meaning: "the frequency of one CPU of a node, or of the CPUs that share its policy",
    tags: &[Tag::key("host"), Tag::key("cpu")],
    fields: &[CURRENT.info(), LEAST.info(), MOST.info()],
    carbon: "{host/}.CPUFreq.{cpu}.{field}",
    every: 10,
});

struct CpuFreq {
    node: Node,
    is_each: bool,
}

impl Reading for CpuFreq {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        // Policies change with the CPUs that are online, so they are listed each time.
        let each = frequencies(&self.node.root, &policies(&self.node.root));
        let host = self.node.host.as_str();
        let mut points = Vec::new();
        if let Some(current) = mean(&each, |one| one.current) {
            // Without cpufreq 0, as the original had it.
            let [least, most] =
                [mean(&each, |one| one.least), mean(&each, |one| one.most)].map(Option::unwrap_or_default);
            let fields = [CURRENT.of(current), LEAST.of(least), MOST.of(most)];
            points.push(NODE_FREQUENCY.point(at.time, [host], &fields));
        }
        for one in each.iter().filter(|_| self.is_each) {
            let told = [(CURRENT, one.current), (LEAST, one.least), (MOST, one.most)];
            let fields: Vec<FieldValue> = told.iter().filter_map(|(field, value)| Some(field.of((*value)?))).collect();
            if !fields.is_empty() {
                points.push(NODE_FREQUENCY_EACH.point(at.time, [host, &one.cpu.to_string()], &fields));
            }
        }
        Ok(points.into())
    }
}

/// Returns the mean over those that tell it.
fn mean(each: &[Frequency], told: impl Fn(&Frequency) -> Option<f64>) -> Option<f64> {
    let told: Vec<f64> = each.iter().filter_map(told).collect();
    (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64)
}
