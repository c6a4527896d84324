//! `[sensor:NetIOCounters]`: what network interfaces carry.

use std::sync::Arc;

use anyhow::Result;

use super::options::{INTERFACES, NOT_INTERFACES, Names, YES_OR_NO, is_yes};
use super::rates::{Rates, add};
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use super::{declared, unreadable, with_rates};
use crate::config::{Key, Section, Unset};
use crate::model::{Declaration, Field, FieldInfo, Fold, Measurement, Tag};
use crate::sources::node::Kept;
use crate::sources::node::interfaces::{Counters, Interface, Interfaces, parse};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "NetIOCounters",
    section: Section::new("sensor:NetIOCounters", "What network interfaces carry.", KEYS),
    measurements: &[&NODE_NET, &NODE_NET_EACH],
    source: "/proc/net/dev, /sys/class/net",
    is_default: true,
    is_slow: false,
    options: |values| {
        let (names, has_total) = (Names::read(values, INTERFACES.name)?, is_yes(values, TOTAL.name)?);
        Ok(Arc::new(move |node| {
            let (interfaces, rates) = (Interfaces::default(), Rates::default());
            let (file, names, node) = (node.root.kept("proc/net/dev"), names.clone(), node.clone());
            Box::new(Traffic { file, interfaces, rates, names, has_total, node })
        }))
    },
};

const TOTAL: Key = Key::new(
    "total",
    YES_OR_NO,
    Unset::Default("yes"),
    "Whether the sum is sent too. It is over devices, or where there is none, as in a container, over what lies on no other.",
);

const KEYS: &[Key] = &[TIME_INTERVAL, ENABLED, PREFIX, INTERFACES, NOT_INTERFACES, TOTAL];

const fn counter(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, unit, Fold::Last, meaning)
}

const fn rate(name: &'static str, unit: &'static str, meaning: &'static str) -> Field<f64> {
    Field::gauge(name, unit, Fold::Mean, meaning)
}

const COUNTERS: [Field<i64>; 8] = [
    counter("bytes_sent", "bytes", "sent since the interface came"),
    counter("bytes_recv", "bytes", "received since the interface came"),
    counter("packets_sent", "packets", "sent since the interface came"),
    counter("packets_recv", "packets", "received since the interface came"),
    counter("errin", "packets", "broken ones that were received"),
    counter("errout", "packets", "broken ones that were sent"),
    counter("dropin", "packets", "received and dropped"),
    counter("dropout", "packets", "dropped before they were sent"),
];
const RATES: [Field<f64>; 8] = [
    rate("bytes_sent_per_second", "bytes per second", "sent"),
    rate("bytes_recv_per_second", "bytes per second", "received"),
    rate("packets_sent_per_second", "packets per second", "sent"),
    rate("packets_recv_per_second", "packets per second", "received"),
    rate("errin_per_second", "packets per second", "broken ones that were received"),
    rate("errout_per_second", "packets per second", "broken ones that were sent"),
    rate("dropin_per_second", "packets per second", "received and dropped"),
    rate("dropout_per_second", "packets per second", "dropped before they were sent"),
];
const INFOS: [FieldInfo; 16] = declared(&COUNTERS, &RATES);

/// What a node carries.
pub static NODE_NET: Measurement = Measurement::new(Declaration {
    name: "node_net",
    meaning: "what the network interfaces of a node carry: its devices alone, as bridges, bonds and VLANs carry the same",
    tags: &[Tag::key("host")],
    fields: &INFOS,
    carbon: "{host/}.NetIOCounters.{field}",
    every: 10,
});

/// What one interface carries.
pub static NODE_NET_EACH: Measurement = Measurement::new(Declaration {
    name: "node_net_each",
    meaning: "what one network interface of a node carries",
    tags: &[Tag::key("host"), Tag::key("interface")],
    fields: &INFOS,
    carbon: "{host/}.NetIOCounters.{interface}.{field}",
    every: 10,
});

struct Traffic {
    file: Kept,
    interfaces: Interfaces,
    rates: Rates<8>,
    names: Names,
    has_total: bool,
    node: Node,
}

impl Reading for Traffic {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let Self { file, interfaces, rates, names, has_total, node } = self;
        let text = file.read()?;
        let (mut wanted, mut unread): (Vec<(&str, Counters)>, Vec<&str>) = (Vec::new(), Vec::new());
        for (name, counters) in parse(&text).filter(|(name, _)| names.want(name)) {
            match counters {
                Some(counters) => wanted.push((name, counters)),
                None => unread.push(name),
            }
        }
        interfaces.look(&node.root, wanted.iter().map(|(name, _)| *name));
        let has_devices = wanted.iter().any(|(name, _)| interfaces.kind(name) == Interface::Physical);
        let counted = if has_devices { Interface::Physical } else { Interface::Virtual };
        let mut points = Vec::with_capacity(wanted.len() + 1);
        let mut sum: Counters = [0; 8];
        let mut gained = [None; 8];
        for (name, counters) in &wanted {
            let own = rates.take(name, at.running, *counters);
            if interfaces.kind(name) == counted {
                sum.iter_mut().zip(counters).for_each(|(sum, one)| *sum = sum.saturating_add(*one));
                add(&mut gained, &own);
            }
            let fields = with_rates(&COUNTERS, &RATES, counters, &own);
            points.push(NODE_NET_EACH.point(at.time, [&node.host, name], &fields));
        }
        rates.keep(at.running);
        // Whether one that cannot be read is a part of the sum is not asked.
        if *has_total && !wanted.is_empty() && unread.is_empty() {
            points.push(NODE_NET.point(at.time, [&node.host], &with_rates(&COUNTERS, &RATES, &sum, &gained)));
        }
        let missing = "its numbers and those of all interfaces are missing";
        Ok(Taken { points, problems: unreadable("/proc/net/dev", &unread, missing).into_iter().collect() })
    }
}
