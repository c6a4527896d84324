//! The sinks of the model: they count what comes, and remember what they have said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use gridmon::model::{Point, Value};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::Batch;

use super::SimulatedDisk;

/// What a sink does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    Up,
    Down,
    /// Stores everything and does not say so.
    Mute,
    /// Stores a part and breaks off.
    Breaks,
}

/// How often a point came to a sink, and what had failed until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    times: u32,
    /// What had failed before the sink said that it has it; `None` if it never did.
    said: Option<u64>,
}

/// A sink that counts, beyond every crash of the machine that sends.
pub(super) struct Store {
    pub name: &'static str,
    pub mood: Mutex<Mood>,
    pub points: Mutex<BTreeMap<i64, Stored>>,
    /// The points that came again though the sink had said that it has them, and nothing had failed since.
    pub doubled: Mutex<Vec<i64>>,
    pub disk: SimulatedDisk,
}

#[derive(Clone)]
pub(super) struct Shared(pub Arc<Store>);

/// The measurement of the service's own points.
pub(super) const OWN: &str = "own";

pub(super) fn id(point: &Point) -> i64 {
    match point.fields().next() {
        Some((_, Value::Int(id))) => id,
        other => panic!("{other:?}"),
    }
}

impl Sink for Shared {
    fn name(&self) -> &str {
        self.0.name
    }

    fn send(&self, Batch { points, .. }: &Batch, _deadline: Instant) -> Sent {
        let mood = *self.0.mood.lock().unwrap();
        let is_dead = self.0.disk.is_dead();
        let count = match mood {
            // A process that has died sends nothing more.
            _ if is_dead => 0,
            Mood::Up | Mood::Mute => points.len(),
            Mood::Down => 0,
            Mood::Breaks => points.len() / 2,
        };
        let troubles = self.0.disk.0.lock().unwrap().troubles;
        let is_said = mood == Mood::Up && !is_dead;
        let mut stored = self.0.points.lock().unwrap();
        for point in points[..count].iter().filter(|point| point.measurement() != OWN) {
            let id = id(point);
            let there = stored.entry(id).or_insert(Stored { times: 0, said: None });
            there.times += 1;
            if there.said == Some(troubles) {
                self.0.doubled.lock().unwrap().push(id);
            }
            if is_said {
                there.said = Some(troubles);
            }
        }
        Sent { dropped: vec![], refused: vec![], result: if is_said { Ok(()) } else { Err(anyhow!("{mood:?}")) } }
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        bail!("nobody asks")
    }
}
