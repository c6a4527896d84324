//! When the ticks of several intervals are due. Pure: the time is handed in.
//!
//! A tick is due at each multiple of its interval. The next one is computed from the clock each time, so nothing drifts.
//! A clock that jumps ahead, as after a suspend, makes one tick due and no burst. One that is set back by no more than
//! two minutes makes none until it has caught up: those times have their points. One that is set back further was wrong
//! before, and its ticks go on from where it is.

use crate::model::{AHEAD, SECOND};

/// Ticks of several intervals.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// In nanoseconds.
    interval: i64,
    /// How long after the multiples of the interval its ticks are, in nanoseconds.
    offset: i64,
    /// The last tick, in unix nanoseconds.
    last: i64,
}

impl Row {
    fn slot(&self, now: i64) -> i64 {
        (now - self.offset).div_euclid(self.interval) * self.interval + self.offset
    }
}

impl Schedule {
    /// Adds ticks of an interval, `offset` after its multiples, both in nanoseconds. The first one comes after `now`, in unix
    /// nanoseconds: the one before it may be that of a process which has just ended.
    pub fn add(&mut self, interval: i64, offset: i64, now: i64) {
        let mut row = Row { interval: interval.max(1), offset, last: 0 };
        row.last = row.slot(now);
        self.rows.push(row);
    }

    /// Returns the rows whose ticks are due, by their order, each with the time of its tick, in unix nanoseconds.
    pub fn due(&mut self, now: i64) -> Vec<(usize, i64)> {
        let mut due = Vec::new();
        for (at, row) in self.rows.iter_mut().enumerate() {
            let slot = row.slot(now);
            if slot > row.last {
                due.push((at, slot));
                row.last = slot;
            } else if row.last - now > AHEAD * SECOND {
                row.last = slot;
            }
        }
        due
    }

    /// Returns when the next tick is due, in unix nanoseconds; the end of time without rows.
    pub fn next(&self) -> i64 {
        self.rows.iter().map(|row| row.last.saturating_add(row.interval)).min().unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1_717_245_000 * SECOND;

    fn schedule(intervals: &[f64]) -> Schedule {
        let mut schedule = Schedule::default();
        for seconds in intervals {
            schedule.add((seconds * SECOND as f64) as i64, 0, BEGIN + 300_000_000);
        }
        schedule
    }

    /// The ticks that are due at these times, in seconds after [`BEGIN`]: `ROW@TIME`.
    fn ticks(schedule: &mut Schedule, times: &[f64]) -> String {
        let mut all = Vec::new();
        for time in times {
            let due = schedule.due(BEGIN + (time * SECOND as f64) as i64);
            all.extend(due.iter().map(|(at, slot)| format!("{at}@{}", (slot - BEGIN) as f64 / SECOND as f64)));
        }
        all.join(" ")
    }

    #[test]
    fn ticks_are_aligned_and_each_has_an_interval_of_its_own() {
        let mut schedule = schedule(&[1.0, 2.5, 60.0]);
        assert_eq!(schedule.next(), BEGIN + SECOND);
        assert_eq!(ticks(&mut schedule, &[0.4, 1.0, 1.001, 1.9, 2.2, 2.5, 3.7]), "0@1 0@2 1@2.5 0@3");
        assert_eq!(schedule.next(), BEGIN + 4 * SECOND);
        assert_eq!(ticks(&mut schedule, &[60.0]), "0@60 1@60 2@60");
        assert_eq!(Schedule::default().next(), i64::MAX);
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_one_tick_and_no_burst() {
        let mut schedule = schedule(&[1.0, 10.0]);
        assert_eq!(ticks(&mut schedule, &[1.0, 28_803.5, 28_804.0]), "0@1 0@28803 1@28800 0@28804");
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_repeats_no_tick_and_far_it_goes_on() {
        let mut schedule = schedule(&[1.0]);
        // A leap second: 100.0 to 100.9 comes twice.
        assert_eq!(ticks(&mut schedule, &[99.0, 100.0, 100.9, 100.0, 100.9, 101.0]), "0@99 0@100 0@101");
        assert_eq!(ticks(&mut schedule, &[41.0, 100.5, 102.0]), "0@102", "a minute back");
        assert_eq!(ticks(&mut schedule, &[-3600.0, -3599.0, -3598.2, -3598.0]), "0@-3599 0@-3598");
    }

    #[test]
    fn an_offset_moves_all_ticks() {
        let mut schedule = Schedule::default();
        schedule.add(10 * SECOND, 3 * SECOND, BEGIN + SECOND);
        assert_eq!(schedule.next(), BEGIN + 3 * SECOND);
        assert_eq!(ticks(&mut schedule, &[2.9, 3.0, 12.9, 13.4]), "0@3 0@13");
    }
}
