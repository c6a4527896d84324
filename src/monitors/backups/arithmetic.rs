//! From the states of nodes and sets to points.

use super::measurements::{
    AGE, ALARMS, BACKUP_NODE, BACKUP_SET, BACKUPS, BYTES, DISK, FREE, FULL, REACHABLE, SETS, SKEW, UNLISTED, VERDICT,
    WARNING, WELL,
};
use super::node::NodeState;
use super::verdict::{SetState, Verdict};
use crate::model::{Collected, Point};

/// Returns the points of a run at `time`, in unix nanoseconds; `now` is its clock in unix seconds. A node that was not read
/// has none of its sets'.
pub fn points(states: &[NodeState], time: i64, now: i64) -> Collected {
    let mut points = Vec::new();
    for state in states {
        points.push(node(state, time));
        points.extend(state.sets.iter().map(|of| set(state, of, time, now)));
    }
    let is_whole = states.iter().all(|state| state.unreachable.is_none()) && !states.is_empty();
    let complete = match (is_whole, states.is_empty()) {
        (true, _) => vec![&BACKUP_SET, &BACKUP_NODE],
        (_, true) => Vec::new(),
        _ => vec![&BACKUP_NODE],
    };
    Collected { points, complete, ..Collected::default() }
}

/// How far ahead a disk is foreseen, in seconds: ten years.
const FORESEEN: i64 = 10 * 366 * 86_400;

fn node(state: &NodeState, time: i64) -> Point {
    let worst = state.notes.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Ok);
    let is_reached = state.unreachable.is_none();
    let verdict = if is_reached { worst } else { Verdict::Unreachable };
    let mut fields = vec![REACHABLE.of(is_reached.into()), WARNING.of(verdict as i64)];
    if is_reached {
        fields.extend([
            SETS.of(state.sets.len() as i64),
            ALARMS.of(state.alarming_sets() as i64),
            UNLISTED.of(state.unlisted.len() as i64),
        ]);
    }
    fields.extend(state.skew_seconds.map(|skew| SKEW.of(skew)));
    if let Some((bytes, free)) = state.disk {
        fields.extend([DISK.of(clamped(bytes)), FREE.of(clamped(free))]);
    }
    // A disk that hardly fills is full in a time of which nobody knows anything.
    let full = state.days_until_full.map(|days| (days * 86_400.0) as i64).filter(|seconds| *seconds < FORESEEN);
    fields.extend(full.map(|seconds| FULL.of(seconds)));
    BACKUP_NODE.point(time, [&state.hub, &state.node], &fields)
}

fn set(node: &NodeState, state: &SetState, time: i64, now: i64) -> Point {
    let mut fields = vec![BACKUPS.of(state.backups as i64), VERDICT.of(state.verdict as i64)];
    fields.push(WELL.of((!state.verdict.is_alarm()).into()));
    if let Some(newest) = &state.newest {
        fields.extend([BYTES.of(clamped(newest.bytes)), AGE.of(now - newest.time)]);
    }
    BACKUP_SET.point(time, [&node.hub, &node.node, &state.set], &fields)
}

fn clamped(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
