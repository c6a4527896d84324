//! Asks the schedds, in fair turns: in a time that is too short for all of them, each gets its turn within a few runs, and
//! those that hang do not keep the others waiting.

use std::time::{Duration, Instant};

use super::memory::Turns;
use super::pools::subject;
use super::{Client, Jobs, Schedds, Target, ask as count};
use crate::os::command::Failure;
use crate::os::work::{Crowd, both, in_a_crowd};
use crate::problem::Problem;

/// A condor_q that waits takes no processor time, 2 MB of memory of its own and two file descriptors of ours (measured,
/// 25.14); 200 schedds that take 4 s each are asked within 16 s. Schedds that answer at once cause no crowd at the central
/// manager, which is asked for the address of each.
const ASKED: Crowd = Crowd { first: 16, pause: PAUSE, most: 80 };

/// Those that gave no answer in the last run are asked besides.
const ASKED_AGAIN: Crowd = Crowd { first: 16, pause: PAUSE, most: 20 };

const PAUSE: Duration = Duration::from_millis(25);

/// What a schedd's turn gave.
pub(super) enum Turn {
    /// Its jobs.
    Counted(Jobs),
    /// Why it did not count its jobs.
    Failed(Failure),
    /// The run's time was over before its turn, or less than half of a turn after it began.
    Missed,
    /// It was not asked, because its collector did not answer.
    Unreachable,
}

impl Client<'_> {
    /// Asks the schedds for their jobs: first those that missed their turns, the longest first. Those that gave no answer in
    /// the last run are asked beside the others and share their time.
    pub(super) fn ask_schedds(&self, targets: &[Target], memory: &mut Turns) -> Vec<Turn> {
        let time = self.until.saturating_duration_since(Instant::now());
        let full = time.min(Duration::from_secs(self.config.timeout_seconds));
        let keys: Vec<_> = targets.iter().map(|target| target.name.to_ascii_lowercase()).collect();
        let missed = |at: &usize| memory.missed.get(&keys[*at]).copied().unwrap_or_default();
        let mut order: Vec<_> = (0..targets.len()).filter(|at| targets[*at].askable).collect();
        order.sort_by_key(|at| std::cmp::Reverse(missed(at)));
        let (silent, others): (Vec<_>, Vec<_>) = order.into_iter().partition(|at| memory.silent.contains(&keys[*at]));
        let share = full.min(time / silent.len().div_ceil(ASKED_AGAIN.most).max(1) as u32);

        let ask = |at: usize, limit: Duration| {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Turn::Missed;
            }
            match count(|| self.jobs(&targets[at], limit)) {
                Ok(jobs) => Turn::Counted(jobs),
                Err(Failure::TimedOut(..)) if left < limit / 2 => Turn::Missed,
                Err(failure) => Turn::Failed(failure),
            }
        };
        let (silent_turns, other_turns) = both(
            || in_a_crowd(silent.len(), ASKED_AGAIN, |at| ask(silent[at], share)),
            || in_a_crowd(others.len(), ASKED, |at| ask(others[at], full)),
        );
        let mut turns: Vec<_> = targets.iter().map(|_| Turn::Unreachable).collect();
        for (at, turn) in silent.into_iter().zip(silent_turns).chain(others.into_iter().zip(other_turns)) {
            turns[at] = turn;
        }
        memory.note(keys.iter().map(String::as_str).zip(&turns));
        turns
    }

    /// Returns the problem of a schedd that did not count its jobs.
    pub(super) fn no_jobs(&self, target: &Target, turn: &Turn) -> Option<Problem> {
        let why = match turn {
            Turn::Counted(_) | Turn::Unreachable => return None,
            Turn::Failed(failure) => format!("{} {failure}", self.config.condor_q.shown),
            Turn::Missed => {
                "had no turn in this run, since others took too long; it comes first in the next one".into()
            }
        };
        let advice = match (turn, &target.ad, &self.config.schedds) {
            (Turn::Failed(_), None, _) if target.is_young => {
                " (its collector has just started and does not list it yet)"
            }
            (Turn::Failed(_), None, Schedds::All) => {
                " (its collector lists it no more; it is given up after a day, or at once when [htcondor] schedds names the others)"
            }
            _ => "",
        };
        let message = format!("{why}{advice}; its jobs and the grid's totals are missing");
        Some(Problem::of_source(format!("schedd {}", target.name), message).asked_of(&subject(&target.pool), false))
    }
}

impl Turns {
    /// Remembers the schedds that missed their turns or gave no answer.
    fn note<'a>(&mut self, turns: impl Iterator<Item = (&'a str, &'a Turn)>) {
        let before = std::mem::take(self);
        for (name, turn) in turns {
            let was_silent = before.silent.contains(name);
            let missed = before.missed.get(name).copied().unwrap_or_default();
            let is_silent = match turn {
                Turn::Failed(Failure::TimedOut(..)) => true,
                Turn::Missed => {
                    self.missed.insert(name.into(), missed.saturating_add(1));
                    was_silent
                }
                Turn::Unreachable => was_silent,
                Turn::Counted(_) | Turn::Failed(_) => false,
            };
            if is_silent {
                self.silent.insert(name.into());
            }
        }
    }
}
