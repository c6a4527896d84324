//! How QMonit made the averages of running jobs in its table, and so in its points of datadisks: of the newest values up to its run, however
//! old. So that its own arithmetic is told from a difference that nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use super::datadisks::AVERAGES;
use super::folded::is_rounded;
use crate::model::{Point, Value};

/// The reason of what [`Counts::gives`] explains.
pub const BY_RULE: &str =
    "QMonit's average is of its newest 6, 36, 72 or 144 values of a day, or of 7 or 30 daily ones, however old";

/// The reason why QMonit has no point of a queue that is new.
pub const NEW: &str = "QMonit's table had no row of a queue until it had daily points";

/// The newest values that an average has, in the order of [`AVERAGES`]: of ten minutes, then of days.
const NEWEST: [usize; 6] = [6, 36, 72, 144, 7, 30];

const SLOT: i64 = 600;
const DAY: i64 = 86_400;

/// How far back QMonit looked for values of ten minutes, and for daily ones, in seconds.
pub const REACH: [i64; 2] = [DAY, 30 * DAY];

/// The running jobs of one queue, production source and resource type, as time in unix seconds and value: those of ten minutes, and daily
/// ones.
#[derive(Debug, Default)]
pub struct Counts {
    /// Of ten minutes.
    pub raw: Vec<(i64, f64)>,
    /// Of days.
    pub daily: Vec<(i64, f64)>,
}

impl Counts {
    /// Returns the averages of QMonit's point of an hour, in unix seconds, that are what its rule gives.
    pub fn gives(&self, theirs: &Point, hour: i64) -> BTreeSet<String> {
        let ruled = self.averages(hour);
        let is_so = |(name, value): &(&str, Value)| {
            ruled.get(name).is_some_and(|values| values.iter().any(|ruled| is_rounded(value.as_f64(), *ruled)))
        };
        theirs.fields().filter(is_so).map(|(name, _)| name.to_string()).collect()
    }

    /// Returns what the table may have had of each average in the hour.
    fn averages(&self, hour: i64) -> BTreeMap<&'static str, Vec<f64>> {
        let mut ruled = BTreeMap::<&'static str, Vec<f64>>::new();
        for run in self.runs(hour) {
            let [raw, daily] = [(&self.raw, REACH[0]), (&self.daily, REACH[1])].map(|(values, reach)| {
                // A run begins after its slot, so the value of the slot a reach ago is too old.
                let is_in = |time: i64| time >= run - reach + SLOT && time < run + SLOT;
                let mut values: Vec<_> = values.iter().filter(|(time, _)| is_in(*time)).collect();
                values.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
                values
            });
            // Without values of both kinds it wrote nothing.
            if raw.is_empty() || daily.is_empty() {
                continue;
            }
            for ((average, newest), at) in AVERAGES.iter().zip(NEWEST).zip(0..) {
                let values = if at < 4 { &raw } else { &daily };
                let values = &values[..newest.min(values.len())];
                let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
                ruled.entry(average.info().name).or_default().push(mean);
            }
        }
        ruled
    }

    /// Returns the slots of the runs that may have written the row last: that of the hour or the one before, five minutes before the
    /// points were made; of a queue that is silent, the last one that still saw a value.
    fn runs(&self, hour: i64) -> Vec<i64> {
        let newest = self.raw.iter().map(|(time, _)| time.div_euclid(SLOT) * SLOT).filter(|slot| *slot <= hour).max();
        match newest {
            Some(newest) if newest <= hour - DAY => vec![newest + DAY - SLOT],
            _ => vec![hour, hour - SLOT],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 1_717_246_800;

    fn theirs(fields: &str) -> Point {
        Point::from_line(&format!("datadisks,panda_queue=Q {fields} {HOUR}000000000")).unwrap()
    }

    fn given(counts: &Counts, fields: &str) -> Vec<String> {
        counts.gives(&theirs(fields), HOUR).into_iter().collect()
    }

    #[test]
    fn only_what_the_newest_values_give_is_qmonits_rule() {
        // Ten minutes without a run, and 20 an hour ago: the newest six values are of 70 minutes.
        let raw = [(0, 10.0), (1, 10.0), (2, 10.0), (4, 10.0), (5, 10.0), (6, 40.0), (7, 70.0)];
        let raw = raw.map(|(back, jobs)| (HOUR - back * SLOT, jobs)).to_vec();
        let counts = Counts { raw, daily: vec![(HOUR - 13 * 3600, 5.0), (HOUR - 37 * 3600, 8.0)] };
        assert_eq!(given(&counts, "avg1h_running_jobs=15"), ["avg1h_running_jobs"]);
        // 160 of seven values; the run before had 150 of six.
        assert_eq!(given(&counts, "avg6h_running_jobs=22.86"), ["avg6h_running_jobs"]);
        assert_eq!(given(&counts, "avg24h_running_jobs=25"), ["avg24h_running_jobs"]);
        assert_eq!(given(&counts, "avg7d_running_jobs=6.5,avg30d_running_jobs=6.5").len(), 2);
        for other in ["avg1h_running_jobs=15.01", "avg6h_running_jobs=15", "avg7d_running_jobs=5", "datadisk_files=15"]
        {
            assert_eq!(given(&counts, other), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_queue_that_is_silent_keeps_the_last_average_and_a_new_one_has_none() {
        let raw = vec![(HOUR - 3 * DAY, 30.0), (HOUR - 3 * DAY - SLOT, 99.0)];
        let counts = Counts { raw: raw.clone(), daily: vec![(HOUR - 4 * DAY, 7.0), (HOUR - 13 * 3600, 8.0)] };
        let fields = "avg1h_running_jobs=30,avg24h_running_jobs=30,avg7d_running_jobs=7";
        assert_eq!(given(&counts, fields).len(), 3);
        assert_eq!(given(&counts, "avg24h_running_jobs=64.5"), [""; 0]);
        assert_eq!(given(&Counts { raw, daily: Vec::new() }, fields), [""; 0]);
    }
}
