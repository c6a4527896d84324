//! How many new series each client begins: a client that puts a job's number into a tag must not fill every store.
//!
//! Which series are known outlives a restart, in a file of their hashes. Its first eight bytes are the hash of a known text: a
//! version that hashes otherwise takes none of them.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::model::Point;
use crate::os::files;

/// The time in which new series are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most series that are remembered, by a hash of 8 bytes. Beyond them all are new again.
const MOST_KNOWN: usize = 4_000_000;

/// The series that have been seen.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// The file that remembers them.
    path: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    known: HashSet<u64>,
    /// How many of them the file has.
    saved: usize,
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

/// Every start of a process hashes alike.
fn hash(series: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    series.hash(&mut hasher);
    hasher.finish()
}

/// What the file begins with.
fn mark() -> [u8; 8] {
    hash("series known to qmaster").to_le_bytes()
}

impl Series {
    /// Remembers the series that a file has, and keeps them there. A file that cannot be read has none: it is written anew.
    pub fn remember(&mut self, path: &Path) {
        let bytes = files::read(path, 8 * (MOST_KNOWN as u64 + 2)).unwrap_or_default();
        let mut known = HashSet::new();
        if let Some(hashes) = bytes.strip_prefix(&mark()) {
            known.extend(hashes.chunks_exact(8).filter_map(|hash| Some(u64::from_le_bytes(hash.try_into().ok()?))));
        }
        let mut seen = self.seen();
        seen.saved = known.len();
        seen.known = known;
        drop(seen);
        self.path = Some(path.into());
    }

    /// Writes the file anew if there are more series than it has.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn save(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let seen = self.seen();
        let count = seen.known.len();
        if count == seen.saved {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(8 * (count + 1));
        bytes.extend_from_slice(&mark());
        seen.known.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
        drop(seen);
        files::write(path, &bytes).context("the known series")?;
        self.seen().saved = count;
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the points of series that the client may not begin from `points`. Returns which they were.
    pub fn admit(&self, client: IpAddr, most: u64, points: &mut Vec<Point>, now: Instant) -> Option<TooMany> {
        let mut seen = self.seen();
        let Seen { known, clients, .. } = &mut *seen;
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
            let hash = hash(point.series());
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
        self.seen().known.len()
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

    #[test]
    fn known_series_outlive_a_restart_and_a_damaged_file_has_none() {
        let folder = gridmon_testkit::TempDir::new();
        let path = folder.path().join("series");
        let begun = |most: u64| {
            let mut series = Series::default();
            series.remember(&path);
            let mut points: Vec<_> = (0..5).map(|at| Point::from_line(&format!("m,a={at} f=1 1")).unwrap()).collect();
            let refused = series.admit(IpAddr::from([192, 0, 2, 1]), most, &mut points, Instant::now());
            series.save().unwrap();
            refused.map_or(0, |refused| refused.points)
        };
        assert_eq!((begun(3), begun(0), begun(1), begun(0)), (2, 2, 1, 1));
        // A file that ends within a hash, and one of a version that hashes otherwise.
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 8 * 5);
        std::fs::write(&path, &bytes[..8 * 3 + 5]).unwrap();
        assert_eq!(begun(0), 3);
        std::fs::write(&path, [&[7; 8], &bytes[8..]].concat()).unwrap();
        assert_eq!(begun(0), 5);
    }
}
