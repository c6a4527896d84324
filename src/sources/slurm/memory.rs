//! What one run tells the next: when the jobs were asked for, and how long that took.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::LONGEST_TIMEOUT;

/// The memory of the source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The cluster's own name; `None` if Slurm never told it.
    pub cluster: Option<String>,
    /// The slot of the last question for the jobs, in unix seconds; `None` if they are to be asked for at once.
    pub jobs_asked: Option<i64>,
    /// How long that question took, in seconds, answered or not.
    pub jobs_took: f64,
    /// Whether squeue listed no job though slurmctld counted some.
    pub is_doubted: bool,
}

/// The part of the time that may go into the question for the jobs: slurmctld holds its job lock meanwhile.
const SHARE: f64 = 20.0;

/// The longest pause that a slow question causes, in seconds: that of the longest time-out. A damaged memory must not silence the
/// jobs for ever.
const LONGEST: f64 = SHARE * LONGEST_TIMEOUT as f64;

impl Memory {
    /// Whether it is the jobs' turn in the slot `now`. A clock that was set back gives them their turn.
    pub fn is_turn(&self, interval: u64, now: i64) -> bool {
        let pause = (self.jobs_took * SHARE).min(LONGEST).max(interval as f64);
        self.jobs_asked.is_none_or(|asked| now < asked || (now - asked) as f64 >= pause)
    }

    /// Notes that the jobs were asked for in the slot `now`.
    pub fn asked(&mut self, now: i64, took: Duration) {
        (self.jobs_asked, self.jobs_took) = (Some(now), took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_have_their_turn_by_interval_and_never_within_twenty_times_the_last_duration() {
        let mut memory = Memory::default();
        assert!(memory.is_turn(60, 0));
        memory.asked(0, Duration::from_millis(200));
        let turn = |memory: &Memory, now| memory.is_turn(60, now);
        assert_eq!([0, 50, 59, 60].map(|now| turn(&memory, now)), [false, false, false, true]);
        memory.asked(60, Duration::from_secs(4));
        assert_eq!([120, 139, 140].map(|now| turn(&memory, now)), [false, false, true]);
        assert!(turn(&memory, 30), "the clock was set back");
        memory.asked(200, Duration::from_secs(590));
        assert_eq!([11_999, 12_000].map(|now| turn(&memory, now)), [false, true]);
        memory.jobs_took = 1e9;
        assert_eq!([12_199, 12_200].map(|now| turn(&memory, now)), [false, true], "that is no duration of a command");
        let kept: Memory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
        assert_eq!(kept, memory);
    }
}
