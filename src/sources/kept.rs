//! The last good answer of a slow source: checked before it replaces the one before, and served while there is no other.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::model::utc;
use crate::problem::Problem;
use crate::text::ago;

/// The last good answer, with the clock of the run that got it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept<T> {
    /// When a run got it, in unix seconds of that run's clock; `None` if no run ever did.
    pub time: Option<i64>,
    /// Its records.
    pub records: Vec<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { time: None, records: Vec::new() }
    }
}

/// The seconds of a clock hour.
const HOUR: i64 = 3600;

impl<T> Kept<T> {
    /// Whether the source must be asked at `now`: no run of this clock hour got an answer.
    pub fn is_due(&self, now: i64) -> bool {
        self.time.is_none_or(|time| time.div_euclid(HOUR) != now.div_euclid(HOUR))
    }

    /// Returns the records, unless no run ever got an answer.
    pub fn records(&self) -> Option<&[T]> {
        self.time.map(|_| self.records.as_slice())
    }

    /// Returns the copy if the run at `now` was answered, to be stored.
    pub fn if_of(&self, now: i64) -> Option<&Self> {
        Some(self).filter(|kept| kept.time == Some(now))
    }

    /// Replaces the copy by an answer of the run at `now`, if it has at least half as many records; otherwise keeps the
    /// copy. Returns the problem of the source `name`; `what` is the file of the copy, and `missing` tells the consequence
    /// of having none.
    pub fn renew(
        &mut self,
        answer: Result<Vec<T>>,
        now: i64,
        (name, what): (&str, &str),
        missing: &str,
    ) -> Option<Problem> {
        let records = answer.and_then(|records| match self.records.len() {
            before if records.len() * 2 < before => bail!(
                "the answer has {} usable records, and the last good one had {before}; if it is right, remove the file *.{what} from the state directory",
                records.len()
            ),
            _ => Ok(records),
        });
        let error = match records {
            Ok(records) => {
                *self = Self { time: Some(now), records };
                return None;
            }
            Err(error) => error,
        };
        let rest = match self.time {
            Some(time) => format!("the copy of {} serves, {} old", utc(time), ago((now - time).max(0))),
            None => format!("there is no copy yet; {missing}"),
        };
        Some(Problem::of_source(name, format!("{error:#}; {rest}")))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn renew(kept: &mut Kept<u8>, answer: Result<Vec<u8>>, now: i64) -> String {
        let problem = kept.renew(answer, now, ("cric site", "site"), "no sites");
        problem.map(|problem| format!("{}: {}", problem.subject, problem.message)).unwrap_or_default()
    }

    #[test]
    fn a_bad_answer_never_replaces_a_good_copy() {
        let mut kept = Kept::default();
        assert_eq!(
            renew(&mut kept, Err(anyhow!("HTTP 403")), 0),
            "cric site: HTTP 403; there is no copy yet; no sites"
        );
        assert_eq!((kept.records(), kept.is_due(0)), (None, true));
        assert_eq!(renew(&mut kept, Ok(vec![1, 2, 3]), 3599), "");
        let good = kept.clone();
        assert_eq!((kept.is_due(3599), kept.is_due(0), kept.is_due(3600), kept.is_due(-1)), (false, false, true, true));
        assert_eq!(
            renew(&mut kept, Err(anyhow!("HTTP 403")), 90_000),
            "cric site: HTTP 403; the copy of 1970-01-01 00:59 UTC serves, 24 h 0 min old"
        );
        let refused = renew(&mut kept, Ok(vec![1]), 90_000);
        assert!(refused.starts_with("cric site: the answer has 1 usable records, and the last good one had 3; if it is right, remove the file *.site from the state directory; the copy of"), "{refused}");
        assert_eq!(kept, good);
        // Half of three is two.
        assert_eq!(renew(&mut kept, Ok(vec![4, 5]), 90_000), "");
        assert_eq!(kept, Kept { time: Some(90_000), records: vec![4, 5] });
    }
}
