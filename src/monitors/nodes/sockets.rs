//! `[sensor:NetConnections]`: the sockets of a node, by protocol and state.
//!
//! The original walked through /proc/PID/fd of all processes, which was 93 % of its cost; only the counts were ever of use.

use std::sync::Arc;

use anyhow::Result;

use super::sensor::{ENABLED, Moment, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Kind, Section, Unset};
use crate::model::{Declaration, Field, FieldInfo, Fold, Measurement, Tag};
use crate::sources::node::sockets;
use crate::sources::node::sockets::STATES;

/// The sensor. A server with many connections takes long to list them, so it has a thread of its own.
pub static SENSOR: Sensor = Sensor {
    name: "NetConnections",
    section: Section::new(
        "sensor:NetConnections",
        "How many sockets there are, by protocol and state; on a busy server it costs more than all others.",
        &[
            TIME_INTERVAL,
            ENABLED,
            PREFIX,
            Key::new(
                "kind",
                Kind::Word(&["inet", "inet4", "inet6", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"]),
                Unset::Default("inet"),
                "The protocols that are counted.",
            ),
        ],
    )
    .chosen_by_name(),
    measurements: &[&NODE_SOCKETS],
    source: "the kernel's inet_diag, /proc/net/{tcp,tcp6,udp,udp6}",
    is_default: false,
    is_slow: true,
    options: |values| {
        let protocols: &[&str] = match values.word("kind")? {
            "inet4" => &["tcp", "udp"],
            "inet6" => &["tcp6", "udp6"],
            "tcp" => &["tcp", "tcp6"],
            "tcp4" => &["tcp"],
            "tcp6" => &["tcp6"],
            "udp" => &["udp", "udp6"],
            "udp4" => &["udp"],
            "udp6" => &["udp6"],
            _ => &["tcp", "tcp6", "udp", "udp6"],
        };
        Ok(Arc::new(move |node| {
            Box::new(Sockets { protocols, counted: sockets::Sockets::new(&node.root), host: node.host.clone() })
        }))
    },
};

const fn in_state(state: usize) -> Field<i64> {
    Field::gauge(STATES[state], "sockets", Fold::Mean, "of TCP in this state")
}

const TCP: [Field<i64>; 11] = [
    in_state(0),
    in_state(1),
    in_state(2),
    in_state(3),
    in_state(4),
    in_state(5),
    in_state(6),
    in_state(7),
    in_state(8),
    in_state(9),
    in_state(10),
];
const UDP: Field<i64> = Field::gauge("NONE", "sockets", Fold::Mean, "of UDP, which has no states");

const INFOS: [FieldInfo; 12] = {
    let mut all = [UDP.info(); 12];
    let mut at = 0;
    while at < TCP.len() {
        all[at] = TCP[at].info();
        at += 1;
    }
    all
};

/// The sockets of a protocol.
pub static NODE_SOCKETS: Measurement = Measurement::new(Declaration {
    name: "node_sockets",
    meaning: "how many sockets a node has, by protocol",
    tags: &[Tag::key("host"), Tag::key("protocol")],
    fields: &INFOS,
    carbon: "{host/}.NetConnections.{protocol}.{field}",
    every: 10,
});

struct Sockets {
    protocols: &'static [&'static str],
    counted: sockets::Sockets,
    host: String,
}

impl Reading for Sockets {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let mut points = Vec::new();
        for (protocol, counts) in self.counted.count(self.protocols)? {
            let fields = match protocol.starts_with("udp") {
                true => vec![UDP.of(counts.iter().sum())],
                false => (0..TCP.len()).map(|state| TCP[state].of(counts[state])).collect(),
            };
            points.push(NODE_SOCKETS.point(at.time, [&*self.host, protocol], &fields));
        }
        Ok(points.into())
    }
}
