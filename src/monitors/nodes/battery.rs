//! `[sensor:SensorsBattery]`.

use std::sync::Arc;

use anyhow::Result;

use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, Fold, Measurement, Tag};
use crate::sources::node::battery::read;

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "SensorsBattery",
    section: Section::new(
        "sensor:SensorsBattery",
        "The battery, and whether the mains are there; nothing without a battery.",
        &[TIME_INTERVAL, ENABLED, PREFIX],
    ),
    measurements: &[&NODE_BATTERY],
    source: "/sys/class/power_supply",
    is_default: true,
    is_slow: false,
    options: |_| Ok(Arc::new(|node| Box::new(SensorsBattery { node: node.clone() }))),
};

const PERCENT: Field<f64> = Field::gauge("percent", "%", Fold::Min, "how full it is");
const LEFT: Field<i64> =
    Field::gauge("secsleft", "seconds", Fold::Min, "how long it lasts; absent with the mains, or if it does not tell");
const PLUGGED: Field<f64> = Field::gauge("power_plugged", "0 or 1", Fold::Min, "whether the mains are there");

/// The battery of a node.
pub static NODE_BATTERY: Measurement = Measurement::new(Declaration {
    name: "node_battery",
    meaning: "the battery of a node",
    tags: &[Tag::key("host")],
    fields: &[PERCENT.info(), LEFT.info(), PLUGGED.info()],
    carbon: "{host/}.SensorsBattery.{field}",
    every: 10,
});

struct SensorsBattery {
    node: Node,
}

impl Reading for SensorsBattery {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let Some(battery) = read(&self.node.root) else { return Ok(Taken::default()) };
        let mut fields = vec![PERCENT.of(battery.percent)];
        fields.extend(battery.seconds_left.map(|left| LEFT.of(left)));
        fields.extend(battery.is_plugged.map(|is_plugged| PLUGGED.of(f64::from(is_plugged))));
        Ok(vec![NODE_BATTERY.point(at.time, [&self.node.host], &fields)].into())
    }
}
