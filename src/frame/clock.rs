//! The time by which the state ages: it never jumps, whatever is done to the wall clock.
//!
//! What waits in the spool or lies in the store is deleted when it is old. A wall clock that is wrong, for one run or
//! for a day, must not make it old. So its age is counted in the time during which the machine was seen running.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::model::is_ahead;
use crate::os::files::{self, write};
use crate::os::uptime::Uptime;

/// The clock of a state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteadyClock {
    /// For how long the machine has been running since the state directory was first used, as far as it was seen, in
    /// seconds.
    pub running: i64,
    /// The wall clock, in unix seconds. When that jumps ahead it is held back, until the machine has been running for a
    /// day with it.
    pub time: i64,
}

/// The file that it is kept in, below the state directory.
const FILE: &str = "clock";

/// Maximum size of the file, in bytes.
const MOST: u64 = 4096;

/// How long the file is not written again, in seconds: it need not be synced in every run.
const KEPT: i64 = 3600;

/// For how long a wall clock must stay ahead to be believed, in seconds.
const BELIEVED: i64 = 86_400;

/// The clock at a moment, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    uptime: Uptime,
    /// The wall clock, in unix seconds.
    wall: i64,
    running: i64,
    /// Never goes back, also when the wall clock does.
    time: i64,
    /// For how long the wall clock has been ahead of `time`, in seconds.
    ahead: i64,
}

impl SteadyClock {
    /// Reads the clock of the state in `directory`, and keeps it for the next run. `wall` is the wall clock, in unix
    /// seconds.
    ///
    /// # Errors
    /// Fails if it cannot be kept. The clock then counts from the record that is there, or from now.
    pub fn advance(directory: &Path, wall: i64) -> (Self, Result<()>) {
        let before = read(directory);
        let now = Record::after(before.as_ref(), Uptime::now(), wall);
        let is_fresh = |before: &Record| {
            now.uptime.since(&before.uptime).is_some_and(|passed| passed < KEPT) && (wall - before.wall).abs() < KEPT
        };
        if before.as_ref().is_some_and(is_fresh) {
            return (now.clock(), Ok(()));
        }
        let kept = serde_json::to_vec(&now).context(FILE).and_then(|bytes| write(&directory.join(FILE), &bytes));
        (now.clock(), kept)
    }

    /// Reads the clock of the state in `directory`; changes nothing.
    pub fn look(directory: &Path, wall: i64) -> Self {
        Record::after(read(directory).as_ref(), Uptime::now(), wall).clock()
    }
}

impl Record {
    fn after(before: Option<&Self>, uptime: Uptime, wall: i64) -> Self {
        let Some(before) = before else { return Self { uptime, wall, running: 0, time: wall, ahead: 0 } };
        // After a restart, or on another machine, the time between the two is not known; it is no longer than either
        // clock says.
        let either = || uptime.seconds.min(wall.saturating_sub(before.wall)).max(0);
        let passed = uptime.since(&before.uptime).unwrap_or_else(either);
        let time = before.time + passed;
        let ahead = if is_ahead(wall, time) { before.ahead + passed } else { 0 };
        let is_believed = !is_ahead(wall, time) || ahead > BELIEVED;
        let (time, ahead) = if is_believed { (time.max(wall), 0) } else { (time, ahead) };
        Self { running: before.running + passed, uptime, wall, time, ahead }
    }

    fn clock(&self) -> SteadyClock {
        SteadyClock { running: self.running, time: self.time.min(self.wall) }
    }
}

fn read(directory: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&files::read(&directory.join(FILE), MOST).ok()?).ok()?;
    // Sums of what a damaged file holds must not overflow.
    let times = [record.uptime.seconds, record.wall, record.running, record.time, record.ahead];
    times.iter().all(|time| (0..1 << 40).contains(time)).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const WALL: i64 = 1_717_245_240;

    fn at(seconds: i64) -> Uptime {
        Uptime { boot: "first".into(), seconds }
    }

    /// Lets runs pass, each with the seconds since the start and the wall clock; returns the last clock.
    fn runs(of: &[(Uptime, i64)]) -> SteadyClock {
        let mut last = None;
        for (uptime, wall) in of {
            last = Some(Record::after(last.as_ref(), uptime.clone(), *wall));
        }
        last.expect("at least one run").clock()
    }

    #[test]
    fn with_a_right_clock_it_is_the_wall_clock_and_the_time_since_the_first_run() {
        assert_eq!(runs(&[(at(500), WALL)]), SteadyClock { running: 0, time: WALL });
        assert_eq!(runs(&[(at(500), WALL), (at(560), WALL + 60)]), SteadyClock { running: 60, time: WALL + 60 });
    }

    #[test]
    fn a_clock_that_jumps_ages_nothing_by_more_than_the_time_that_passed() {
        for jump in [20 * DAY, DAY, 3600, -DAY, 365 * 30 * DAY] {
            let wrong = runs(&[(at(500), WALL), (at(560), WALL + 60 + jump)]);
            assert_eq!(wrong.running, 60, "{jump}");
            assert!(wrong.time <= WALL + 60, "{jump}: {}", wrong.time - WALL);
            let right_again = runs(&[(at(500), WALL), (at(560), WALL + 60 + jump), (at(620), WALL + 120)]);
            assert_eq!(right_again.running, 120, "{jump}");
            assert!(right_again.time <= WALL + 120, "never later than the wall clock");
        }
    }

    #[test]
    fn a_clock_that_was_set_right_is_believed_in_the_end() {
        // The first run was in 1970, before the clock was set.
        let mut all = vec![(at(10), 30)];
        all.extend((1..).map(|hour| (at(10 + 3600 * hour), WALL + 3600 * hour)).take(24));
        assert_eq!(runs(&all).time, 30 + DAY);
        all.push((at(10 + 3600 * 25), WALL + 3600 * 25));
        assert_eq!(runs(&all), SteadyClock { running: 3600 * 25, time: WALL + 3600 * 25 });
        all.push((at(10 + 3600 * 26), WALL + 3600 * 26));
        assert_eq!(runs(&all).time, WALL + 3600 * 26);
    }

    #[test]
    fn after_a_restart_no_more_is_counted_than_either_clock_says() {
        let again = |seconds| Uptime { boot: "second".into(), seconds };
        assert_eq!(
            runs(&[(at(500), WALL), (again(90), WALL + 30 * DAY)]).running,
            90,
            "a wrong clock, or a long pause"
        );
        assert_eq!(runs(&[(at(500), WALL), (again(300 * DAY), WALL + 60)]).running, 60, "another machine");
        assert_eq!(runs(&[(at(500), WALL), (again(300 * DAY), WALL - 60)]).running, 0);
    }
}
