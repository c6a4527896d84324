//! What is a trouble of PanDA's queues: the score, which the table of queues has; and its past, made of the stored counts.

use std::array;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
const WINDOWS: [i64; 3] = [6, 36, 144];

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

/// The counts of one status in the slots of a day, the newest first.
#[derive(Default)]
struct Counts(VecDeque<(i64, f64)>);

impl Counts {
    /// Takes the count of a slot, and returns what is scored in it.
    fn load(&mut self, slot: i64, now: Option<f64>) -> Load {
        if let Some(now) = now {
            self.0.push_front((slot, now));
        }
        // A window is of time, not of so many slots: after a gap there are fewer in it.
        let is_in = |time: i64, slots: i64| time > slot - slots * SLOT;
        while self.0.back().is_some_and(|(time, _)| !is_in(*time, WINDOWS[2])) {
            self.0.pop_back();
        }
        let average = |slots: i64| {
            let known = self.0.iter().take_while(|(time, _)| is_in(*time, slots));
            let (sum, some) = known.fold((0.0, 0_u32), |(sum, some), (_, count)| (sum + count, some + 1));
            (some > 0).then(|| (sum / f64::from(some) * 100.0).round() / 100.0)
        };
        let [avg1h, avg6h, avg24h] = WINDOWS.map(average);
        Load { now, avg1h, avg6h, avg24h }
    }
}

/// Returns the scores of a queue from `from` on, made of its counts since [`BEFORE`] that, in the order of [`counts_of`].
/// `covering` has the slots that were collected: a status that is absent in one of them is 0, and in another slot unknown.
/// Before the first of them a slot with any count of the queue was collected.
pub fn scores(wanted: &Wanted, counts: &[Values], covering: Option<&Values>, from: i64, bucket: Option<i64>) -> Values {
    let slot = |time: i64| time.div_euclid(SLOT) * SLOT;
    let covered: BTreeSet<i64> = covering.iter().flat_map(|one| &one.values).map(|(time, _)| slot(*time)).collect();
    let first = covered.first().copied().unwrap_or(i64::MAX);
    let mut slots: BTreeMap<i64, [Option<f64>; 3]> = covered.iter().map(|slot| (*slot, [None; 3])).collect();
    for (at, one) in counts.iter().enumerate().take(STATUSES.len()) {
        for (time, value) in &one.values {
            slots.entry(slot(*time)).or_default()[at] = Some(*value);
        }
    }
    let mut history: [Counts; 3] = Default::default();
    let mut folding = Folding::new(bucket);
    for (time, mut values) in slots {
        if time < first || covered.contains(&time) {
            values = values.map(|value| value.or(Some(0.0)));
        }
        let [activated, running, failed] = array::from_fn(|at| history[at].load(time, values[at]));
        if let Some(score) = score(&Loads { activated, running, failed }).filter(|_| time >= from) {
            folding.push(time, score.value(), None);
        }
    }
    folding.finish(&wanted.path, wanted.number.field, SLOT)
}

/// How a store is asked for counts that make scores: as they are stored.
pub const DETAIL: Detail = Detail::Step(SLOT);

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &Wanted, slots: &[(i64, f64)]) -> Values {
        let values = slots.iter().map(|(slot, value)| (slot * SLOT, *value)).collect();
        Values { path: of.path.clone(), field: of.number.field, step: SLOT, values, parts: Vec::new(), newest: None }
    }

    /// Plays running jobs and the covered slots, and returns the score of slots.
    fn played(running: &[(i64, f64)], covered: &[i64]) -> Vec<(i64, f64)> {
        let path = "queue_score.Q.managed.SCORE";
        let wanted = Wanted { path: path.into(), number: QUEUE_SCORE.read_path(path).unwrap() };
        let of = counts_of(&wanted.number);
        let counts = [values(&of[0], &[]), values(&of[1], running), values(&of[2], &[])];
        let covered: Vec<_> = covered.iter().map(|slot| (*slot, 1.0)).collect();
        let scores = scores(&wanted, &counts, Some(&values(&of[1], &covered)), 0, None);
        scores.values.into_iter().map(|(time, score)| (time / SLOT, score)).collect()
    }

    #[test]
    fn a_window_is_of_time_and_not_of_so_many_slots() {
        // 100 jobs for a day, then two days without a run, then 20: nothing older than a day says that these are few.
        let day: Vec<i64> = (0..144).collect();
        let running: Vec<_> = day.iter().map(|slot| (*slot, 100.0)).chain([(432, 20.0)]).collect();
        let scores = played(&running, &[day, vec![432]].concat());
        assert_eq!(scores.last(), Some(&(432, 0.0)));
        // Five hours after the last of 144 slots the day has 114 of them and the new one: (114·100 + 20)/115 = 99.30, with
        // √(2·(54.62 − 20 + 20·ln(20/54.62))) = 5.39. Six hours have six of them: (6·100 + 20)/7 = 88.57, with
        // √(2·(57.57 − 20 + 20·ln(20/57.57))) = 5.73.
        let running: Vec<_> = (0..144).map(|slot| (slot, 100.0)).chain([(173, 20.0)]).collect();
        let covered: Vec<_> = running.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(played(&running, &covered).last(), Some(&(173, 5.73)));
    }

    #[test]
    fn a_status_without_a_count_is_zero_in_a_covered_slot_and_unknown_in_another() {
        let steady: Vec<_> = (0..20).map(|slot| (slot, 100.0)).collect();
        let all: Vec<_> = (0..21).collect();
        // No running job in slot 20: of the mean before, 80 is √160.
        assert_eq!(played(&steady, &all).last(), Some(&(20, 12.65)));
        // An odd count of failed jobs in a slot that no run covers tells nothing of running ones.
        let path = "queue_score.Q.managed.SCORE";
        let wanted = Wanted { path: path.into(), number: QUEUE_SCORE.read_path(path).unwrap() };
        let of = counts_of(&wanted.number);
        let counts = [values(&of[0], &[]), values(&of[1], &steady), values(&of[2], &[(20, 1.0)])];
        let covered: Vec<_> = (0..20).map(|slot| (slot, 1.0)).collect();
        let scores = scores(&wanted, &counts, Some(&values(&of[1], &covered)), 0, None);
        assert_eq!(scores.values.last(), Some(&(20 * SLOT, 0.0)));
    }
}
