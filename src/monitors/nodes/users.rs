//! `[sensor:Users]`: who is logged in.

use std::sync::Arc;

use anyhow::Result;

use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, Fold, Measurement, Tag};
use crate::sources::node::users::read;

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "Users",
    section: Section::new("sensor:Users", "How many people are logged in.", &[TIME_INTERVAL, ENABLED, PREFIX]),
    measurements: &[&NODE_USERS],
    source: "/run/utmp; without it /run/systemd/sessions",
    is_default: true,
    is_slow: false,
    options: |_| Ok(Arc::new(|node| Box::new(Users { node: node.clone() }))),
};

const SESSIONS: Field<i64> = Field::gauge("sessions", "sessions", Fold::Max, "sessions of users");
const USERS: Field<i64> = Field::gauge("users", "users", Fold::Max, "distinct users that have them");

/// The users of a node.
pub static NODE_USERS: Measurement = Measurement::new(Declaration {
    name: "node_users",
    meaning: "who is logged in on a node",
    tags: &[Tag::key("host")],
    fields: &[SESSIONS.info(), USERS.info()],
    carbon: "{host/}.Users.{field}",
    every: 10,
});

struct Users {
    node: Node,
}

impl Reading for Users {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let told = read(&self.node.root);
        let fields = [SESSIONS.of(told.sessions), USERS.of(told.users)];
        Ok(vec![NODE_USERS.point(at.time, [&self.node.host], &fields)].into())
    }
}
