//! What an agent says about itself to its master.

use crate::model::{Declaration, Field, Fold, Measurement, Tag};

/// How old the oldest point is that has not reached the master.
pub const LAG: Field<i64> =
    Field::gauge("lag_seconds", "seconds", Fold::Max, "for how long the oldest point has been waiting for the master");
/// The points that wait for the master.
pub const BACKLOG: Field<i64> =
    Field::gauge("backlog_points", "points", Fold::Max, "how many points wait at the agent for the master");
/// The sensors that run.
pub const SENSORS: Field<i64> = Field::gauge("sensors", "sensors", Fold::Last, "how many sensors it reads");

/// What the agent of a node said to its master, once a minute.
pub static NODE_AGENT: Measurement = Measurement::new(Declaration {
    name: "node_agent",
    meaning: "what the agent of a node said to its qmaster, which sends it",
    tags: &[Tag::key("host"), Tag::label("version")],
    fields: &[LAG.info(), BACKLOG.info(), SENSORS.info()],
    carbon: "{host/}.agent.{field}",
    every: 60,
});
