//! What is a trouble of PanDA's queues: the score, which the table of queues has; and its past, made of the stored counts.

use std::collections::{BTreeMap, VecDeque};

use super::measurements::JOBS;
use super::page::QUEUE_SCORE;
use super::score::{Load, Loads, score};
use crate::events::{Limit, Rule, System};
use crate::model::{COVERAGE, Number};
use crate::monitors::SILENT;
use crate::query::{Detail, Folding, Values, Wanted};

/// The score from which on a queue is suspicious: `[panda] suspicious_score`.
pub const SUSPICIOUS: Limit = Limit::new("suspicious_score", "5", 1e6, "deviations", "");

/// The rules of PanDA.
pub static SYSTEM: System = System {
    name: "suspicious",
    title: "PanDA",
    program: "collect-panda",
    rules: &[
        Rule::silent("panda_silent", &COVERAGE, "slots", SILENT)
            .only(&[("measurement", "jobs")])
            .says(&[], "collector silent")
            .called("PanDA")
            .each(SLOT),
        Rule::above("queue_suspicious", &QUEUE_SCORE, "score", SUSPICIOUS)
            .says(&["queue", "source", "resource"], "suspicious, score {value}")
            .says_now("{reason}"),
    ],
};

/// The interval of the counts, in seconds.
const SLOT: i64 = 600;

/// How far back a score looks, in seconds.
pub const BEFORE: i64 = 86_400;

/// The counts that make a score, in the order in which [`scores`] takes them.
const STATUSES: [&str; 3] = ["activated", "running", "failed"];

/// The windows of the averages, in slots: 1, 6 and 24 hours.
const WINDOWS: [usize; 3] = [6, 36, 144];

/// Returns the stored counts that make the scores of a queue; empty for a number that is no score.
pub fn counts_of(number: &Number) -> Vec<Wanted> {
    if number.measurement.name != QUEUE_SCORE.name {
        return Vec::new();
    }
    let tag = |name: &str| number.tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value.as_str());
    let [Some(queue), Some(source), Some(resource)] = ["queue", "source", "resource"].map(tag) else {
        return Vec::new();
    };
    let wanted = |status: &&str| {
        let path = format!("panda.{queue}.{source}.{resource}.{status}.jobs");
        Some(Wanted { number: JOBS.read_path(&path)?, path })
    };
    STATUSES.iter().filter_map(wanted).collect()
}

/// The counts of one status: the last ones, and their sums over the windows.
#[derive(Default)]
struct Counts(VecDeque<f64>);

impl Counts {
    fn push(&mut self, value: f64) {
        self.0.push_front(value);
        self.0.truncate(WINDOWS[2]);
    }

    fn load(&self) -> Load {
        let average = |slots: usize| {
            let some = self.0.len().min(slots);
            let sum: f64 = self.0.iter().take(some).sum();
            (some > 0).then(|| (sum / some as f64 * 100.0).round() / 100.0)
        };
        let [avg1h, avg6h, avg24h] = WINDOWS.map(average);
        Load { now: self.0.front().copied(), avg1h, avg6h, avg24h }
    }
}

/// Returns the scores of a queue from `from` on, made of its counts since [`BEFORE`] that, in the order of [`counts_of`]; a
/// status that is absent in a slot that was collected is 0. `covering` has the slots that were collected.
pub fn scores(wanted: &Wanted, counts: &[Values], covering: Option<&Values>, from: i64, bucket: Option<i64>) -> Values {
    let slot = |time: i64| time.div_euclid(SLOT) * SLOT;
    let mut slots = BTreeMap::<i64, [f64; 3]>::new();
    for (time, _) in covering.iter().flat_map(|one| &one.values) {
        slots.entry(slot(*time)).or_default();
    }
    for (at, (time, value)) in
        counts.iter().enumerate().flat_map(|(at, one)| one.values.iter().map(move |value| (at, value)))
    {
        slots.entry(slot(*time)).or_default()[at.min(2)] = *value;
    }
    let mut history: [Counts; 3] = Default::default();
    let mut folding = Folding::new(bucket);
    for (time, values) in slots {
        for (counts, value) in history.iter_mut().zip(values) {
            counts.push(value);
        }
        let [activated, running, failed] = history.each_ref().map(Counts::load);
        if let Some(score) = score(&Loads { activated, running, failed }).filter(|_| time >= from) {
            folding.push(time, score.value(), None);
        }
    }
    folding.finish(&wanted.path, wanted.number.field, SLOT)
}

/// How a store is asked for counts that make scores: as they are stored.
pub const DETAIL: Detail = Detail::Step(SLOT);
