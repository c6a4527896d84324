//! `[sensor:NetIFAddrs]` and `[sensor:NetIFStats]`: the addresses of network interfaces, and their state.

use std::sync::Arc;

use anyhow::Result;

use super::options::{INTERFACES, NOT_INTERFACES, Names};
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Section};
use crate::model::{Declaration, Field, Fold, Measurement, Tag};
use crate::sources::node::addresses::read;
use crate::sources::node::interfaces::link;

const KEYS: &[Key] = &[TIME_INTERVAL, ENABLED, PREFIX, INTERFACES, NOT_INTERFACES];

/// The addresses.
pub static ADDRESSES: Sensor = Sensor {
    name: "NetIFAddrs",
    section: Section::new("sensor:NetIFAddrs", "How many addresses network interfaces have.", KEYS),
    measurements: &[&NODE_NET_ADDRESSES],
    source: "rtnetlink, /sys/class/net",
    is_default: true,
    is_slow: false,
    options: |values| {
        let names = Names::read(values, INTERFACES.name)?;
        Ok(Arc::new(move |node| Box::new(NetAddresses(Wanted { names: names.clone(), node: node.clone() }))))
    },
};

const fn addresses(name: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, "addresses", Fold::Last, meaning)
}

const INET: Field<i64> = addresses("inet", "of IPv4");
const INET6: Field<i64> = addresses("inet6", "of IPv6");

/// The addresses of an interface.
pub static NODE_NET_ADDRESSES: Measurement = Measurement::new(Declaration {
    name: "node_net_addresses",
    meaning: "how many addresses a network interface of a node has",
    tags: &[Tag::key("host"), Tag::key("interface")],
    fields: &[INET.info(), INET6.info()],
    carbon: "{host/}.NetIFAddrs.{interface}.{field}",
    every: 10,
});

/// The interfaces that are measured.
struct Wanted {
    names: Names,
    node: Node,
}

impl Wanted {
    fn list(&self) -> Vec<String> {
        let mut names = self.node.root.names("sys/class/net");
        names.retain(|name| self.names.want(name));
        names
    }
}

struct NetAddresses(Wanted);

impl Reading for NetAddresses {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let Self(wanted) = self;
        let host = wanted.node.host.as_str();
        let all = read(&wanted.node.root, &wanted.list())?;
        let points = all.iter().map(|(name, addresses)| {
            let fields = [INET.of(addresses.inet), INET6.of(addresses.inet6)];
            NODE_NET_ADDRESSES.point(at.time, [host, name], &fields)
        });
        Ok(points.collect::<Vec<_>>().into())
    }
}

/// The state. Some drivers take long to tell the speed, and hold a lock of all interfaces meanwhile, so it has a thread of
/// its own.
pub static LINKS: Sensor = Sensor {
    name: "NetIFStats",
    section: Section::new("sensor:NetIFStats", "Whether network interfaces work, and how fast they are.", KEYS),
    measurements: &[&NODE_NET_LINK],
    source: "/sys/class/net/*/{flags,operstate,duplex,speed,mtu}",
    is_default: true,
    is_slow: true,
    options: |values| {
        let names = Names::read(values, INTERFACES.name)?;
        Ok(Arc::new(move |node| Box::new(NetLinks(Wanted { names: names.clone(), node: node.clone() }))))
    },
};

const IS_UP: Field<f64> =
    Field::gauge("isup", "0 or 1", Fold::Min, "whether it is on, and its other end answers or is not known");
const DUPLEX: Field<i64> = Field::gauge("duplex", "a number", Fold::Last, "1 half, 2 full, 0 not known");
const SPEED: Field<i64> = Field::gauge("speed", "Mbit/s", Fold::Min, "0 if it is not known");
const MTU: Field<i64> = Field::gauge("mtu", "bytes", Fold::Last, "the longest packet");

/// The state of an interface.
pub static NODE_NET_LINK: Measurement = Measurement::new(Declaration {
    name: "node_net_link",
    meaning: "the state of a network interface of a node",
    tags: &[Tag::key("host"), Tag::key("interface")],
    fields: &[IS_UP.info(), DUPLEX.info(), SPEED.info(), MTU.info()],
    carbon: "{host/}.NetIFStats.{interface}.{field}",
    every: 10,
});

struct NetLinks(Wanted);

impl Reading for NetLinks {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let Self(wanted) = self;
        let mut points = Vec::new();
        for name in wanted.list() {
            // One that went away since it was listed is passed over.
            let Some(link) = link(&wanted.node.root, &name) else { continue };
            let mut fields = vec![IS_UP.of(f64::from(link.is_up)), DUPLEX.of(link.duplex), SPEED.of(link.speed)];
            fields.extend(link.mtu.map(|mtu| MTU.of(mtu)));
            points.push(NODE_NET_LINK.point(at.time, [&wanted.node.host, &name], &fields));
        }
        Ok(points.into())
    }
}
