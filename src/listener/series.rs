//! How many new series each client begins: a client that puts a job's number into a tag must not fill every store.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::Point;

/// The time in which new series are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most series that are remembered, by a hash of 8 bytes. Beyond them all are new again.
const MOST_KNOWN: usize = 4_000_000;

/// The series that have been seen since the start.
#[derive(Debug, Default)]
pub(super) struct Series {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    known: HashSet<u64>,
    /// Since when each client's new series are counted, and how many there are.
    clients: HashMap<IpAddr, (Instant, u64)>,
}

/// The new series that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// How many points they had.
    pub points: usize,
    /// The first of them.
    pub first: String,
}

impl Series {
    /// Takes the points of series that the client may not begin from `points`. Returns which they were.
    pub fn admit(&self, client: IpAddr, most: u64, points: &mut Vec<Point>, now: Instant) -> Option<TooMany> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { known, clients } = &mut *seen;
        if known.len() > MOST_KNOWN {
            known.clear();
        }
        if clients.len() > 10_000 {
            clients.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        let (since, count) = clients.entry(client).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        let mut refused: Option<TooMany> = None;
        points.retain(|point| {
            let hash = self.hasher.hash_one(point.series());
            if known.contains(&hash) {
                return true;
            }
            if *count < most {
                *count += 1;
                known.insert(hash);
                return true;
            }
            let refused = refused.get_or_insert_with(|| TooMany { points: 0, first: point.series().into() });
            refused.points += 1;
            false
        });
        refused
    }

    /// Returns how many series are known.
    pub fn known(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_series_are_counted_by_client_and_hour_and_known_ones_always_pass() {
        let (series, began) = (Series::default(), Instant::now());
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let points = |range: std::ops::Range<i64>| -> Vec<_> {
            range.map(|at| Point::from_line(&format!("m,a={at} f=1 1")).unwrap()).collect()
        };
        let admit = |client, range, now| {
            let mut points = points(range);
            let refused = series.admit(client, 10, &mut points, now);
            (points.len(), refused.map(|refused| (refused.points, refused.first)))
        };
        assert_eq!(admit(one, 0..8, began), (8, None));
        assert_eq!(admit(one, 5..15, began), (5, Some((5, "m,a=10".into()))));
        assert_eq!(admit(one, 0..10, began), (10, None));
        assert_eq!(admit(other, 10..20, began), (10, None));
        assert_eq!(admit(one, 20..21, began), (0, Some((1, "m,a=20".into()))));
        assert_eq!(admit(one, 20..21, began + WINDOW), (1, None));
        assert_eq!(series.known(), 21);
    }
}
