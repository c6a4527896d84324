//! `[sensor:SensorsTemperatures]` and `[sensor:SensorsFans]`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::options::{CHIPS, NOT_CHIPS, Names};
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Section, Values};
use crate::model::{Declaration, Field, Fold, Measurement, Point, Tag};
use crate::sources::node::Root;
use crate::sources::node::hwmon::{Chip, Input, chips, zones};

const KEYS: &[Key] = &[TIME_INTERVAL, ENABLED, PREFIX, CHIPS, NOT_CHIPS];

/// The temperatures. Some chips take a second for each, so they have a thread of their own.
pub static TEMPERATURES: Sensor = Sensor {
    name: "SensorsTemperatures",
    section: Section::new(
        "sensor:SensorsTemperatures",
        "The temperatures of the node's chips and disks. A device that sleeps is not woken.",
        KEYS,
    ),
    measurements: &[&NODE_TEMPERATURE],
    source: "/sys/class/hwmon/hwmon*/temp*; without any /sys/class/thermal",
    is_default: true,
    is_slow: true,
    options: |values| {
        let names = read(values)?;
        Ok(Arc::new(move |node| Box::new(Temperatures(Known::new(node, &names, all_temperatures)))))
    },
};

const fn celsius(name: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, "°C", Fold::Max, meaning)
}

const CURRENT: Field<f64> = celsius("current", "now (temp*_input)");
const HIGH: Field<f64> = celsius("high", "from where on it is too high; absent if the chip does not tell (temp*_max)");
const CRITICAL: Field<f64> =
    celsius("critical", "from where on it harms; absent if the chip does not tell (temp*_crit)");

/// A temperature.
pub static NODE_TEMPERATURE: Measurement = Measurement::new(Declaration {
    name: "node_temperature",
    meaning: "a temperature of a node, by chip and label; chips of one name are numbered in the order of their devices",
    tags: &[Tag::key("host"), Tag::key("chip"), Tag::key("label")],
    fields: &[CURRENT.info(), HIGH.info(), CRITICAL.info()],
    carbon: "{host/}.SensorsTemperatures.{chip}.{label}.{field}",
    every: 10,
});

/// The fans.
pub static FANS: Sensor = Sensor {
    name: "SensorsFans",
    section: Section::new("sensor:SensorsFans", "The speed of the node's fans.", KEYS),
    measurements: &[&NODE_FAN],
    source: "/sys/class/hwmon/hwmon*/fan*",
    is_default: true,
    is_slow: true,
    options: |values| {
        let names = read(values)?;
        Ok(Arc::new(move |node| Box::new(Fans(Known::new(node, &names, |root| chips(root, "fan"))))))
    },
};

const SPEED: Field<i64> = Field::gauge("rpm", "turns a minute", Fold::Mean, "how fast it turns; 0 stands still");

/// A fan.
pub static NODE_FAN: Measurement = Measurement::new(Declaration {
    name: "node_fan",
    meaning: "a fan of a node, by chip and label",
    tags: &[Tag::key("host"), Tag::key("chip"), Tag::key("label")],
    fields: &[SPEED.info()],
    carbon: "{host/}.SensorsFans.{chip}.{label}",
    every: 10,
});

fn read(values: &Values) -> Result<Names> {
    Names::read(values, CHIPS.name)
}

/// Returns the temperatures of chips, or where there is none those of thermal zones.
fn all_temperatures(root: &Root) -> Vec<Chip> {
    let chips = chips(root, "temp");
    if chips.is_empty() { zones(root) } else { chips }
}

/// How long the chips are known before they are listed again. Their limits are read then too.
const FRESH: Duration = Duration::from_secs(60);

/// The chips, as they were last listed.
struct Known {
    node: Node,
    names: Names,
    list: fn(&Root) -> Vec<Chip>,
    /// When they were listed, and the folders that were there.
    listed: Option<(Duration, Vec<String>)>,
    chips: Vec<Chip>,
}

impl Known {
    fn new(node: &Node, names: &Names, list: fn(&Root) -> Vec<Chip>) -> Self {
        Self { node: node.clone(), names: names.clone(), list, listed: None, chips: Vec::new() }
    }

    /// Tells `each` the value of each input that can be read, in thousandths.
    fn read(&mut self, at: Moment, mut each: impl FnMut(&str, &str, &Input, f64) -> Point) -> Vec<Point> {
        let root = &self.node.root;
        let folders = root.names("sys/class/hwmon");
        let is_fresh =
            |(listed, known): &(Duration, Vec<String>)| at.running.saturating_sub(*listed) < FRESH && *known == folders;
        if !self.listed.as_ref().is_some_and(is_fresh) {
            self.chips = (self.list)(root);
            self.chips.retain(|chip| self.names.want(&chip.name));
            self.listed = Some((at.running, folders));
        }
        let mut points = Vec::new();
        for chip in self.chips.iter().filter(|chip| !chip.is_asleep(root)) {
            for input in &chip.inputs {
                if let Some(value) = input.read(root) {
                    points.push(each(&self.node.host, &chip.name, input, value));
                }
            }
        }
        points
    }
}

struct Temperatures(Known);

/// What an input without a sensor shows, in m°C: less than nothing can have.
const IMPOSSIBLE: f64 = -273_150.0;

impl Reading for Temperatures {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let points = self.0.read(at, |host, chip, input, value| {
            let told = [(CURRENT, Some(value)), (HIGH, input.high), (CRITICAL, input.critical)];
            let is_possible = |value: &f64| *value > IMPOSSIBLE;
            let fields: Vec<_> =
                told.iter().filter_map(|(field, value)| Some(field.of(value.filter(is_possible)? / 1000.0))).collect();
            let fields = if value > IMPOSSIBLE { &fields[..] } else { &[] };
            NODE_TEMPERATURE.point(at.time, [host, chip, &input.label], fields)
        });
        // A point without a field is none.
        Ok(points.into_iter().filter(|point| point.fields().next().is_some()).collect::<Vec<_>>().into())
    }
}

struct Fans(Known);

impl Reading for Fans {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let points = self.0.read(at, |host, chip, input, value| {
            NODE_FAN.point(at.time, [host, chip, &input.label], &[SPEED.of(value as i64)])
        });
        Ok(points.into())
    }
}
