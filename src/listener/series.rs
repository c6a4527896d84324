//! How many new series each client begins: a client that puts a job's number into a tag, or into a field's name, must not fill every
//! store. The fields that no series of their measurement had before are counted likewise.
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
use crate::text::cut;

/// The time in which new series are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most series that are remembered, by a hash of 8 bytes: when half of them are of late, those that none of them is are
/// forgotten.
const MOST_KNOWN: usize = 4_000_000;

/// The series that have been seen.
#[derive(Debug, Default)]
pub struct Series {
    /// The file that remembers them.
    path: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Those that were seen of late.
    known: HashSet<u64>,
    /// Those that were seen before and not since.
    before: HashSet<u64>,
    /// How many of them were known when the file was written.
    saved: usize,
    /// Since when what each client begins is counted, and how many series and fields that is.
    clients: HashMap<IpAddr, (Instant, [u64; 2])>,
}

/// The new series that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// How many points they had.
    pub points: usize,
    /// The first of them.
    pub first: String,
}

/// What a client begins.
#[derive(Clone, Copy)]
enum Begun {
    Series,
    Field,
}

/// Every start of a process hashes alike.
fn hash(series: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    series.hash(&mut hasher);
    hasher.finish()
}

impl Seen {
    fn count(&self) -> usize {
        self.known.len() + self.before.len()
    }

    /// Whether it was seen before; if so it is of late.
    fn knows(&mut self, hash: u64) -> bool {
        self.known.contains(&hash) || self.before.remove(&hash) && self.learn(hash)
    }

    fn learn(&mut self, hash: u64) -> bool {
        if self.known.len() >= MOST_KNOWN / 2 {
            self.before = std::mem::take(&mut self.known);
        }
        self.known.insert(hash)
    }

    /// Forgets the clients that have begun nothing for an hour, if they are many.
    fn sweep(&mut self, now: Instant) {
        if self.clients.len() > 10_000 {
            self.clients.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
    }

    /// Whether a client may send it: it is known, or one of the client's `most` new ones of an hour.
    fn admits(&mut self, (client, most): (IpAddr, u64), (begun, hash): (Begun, u64), now: Instant) -> bool {
        if self.knows(hash) {
            return true;
        }
        let (since, counts) = self.clients.entry(client).or_insert((now, [0; 2]));
        if now.duration_since(*since) >= WINDOW {
            (*since, *counts) = (now, [0; 2]);
        }
        let count = &mut counts[begun as usize];
        *count < most && {
            *count += 1;
            self.learn(hash)
        }
    }
}

/// What the file begins with.
fn mark() -> [u8; 8] {
    hash("series known to qmaster").to_le_bytes()
}

impl Series {
    /// Remembers the series that a file has, and keeps them there. A file that cannot be read has none: it is written anew.
    pub fn remember(&mut self, path: &Path) {
        let bytes = files::read(path, 16 * MOST_KNOWN as u64).unwrap_or_default();
        let mut before = HashSet::new();
        if let Some(hashes) = bytes.strip_prefix(&mark()) {
            before.extend(hashes.chunks_exact(8).filter_map(|hash| Some(u64::from_le_bytes(hash.try_into().ok()?))));
        }
        let mut seen = self.seen();
        seen.saved = before.len();
        seen.before = before;
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
        let count = seen.count();
        if count == seen.saved {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(8 * (count + 1));
        bytes.extend_from_slice(&mark());
        seen.before.iter().chain(&seen.known).for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
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
        // Once for all points: there may be many of either.
        seen.sweep(now);
        let mut refused: Option<TooMany> = None;
        points.retain(|point| {
            let measurement = point.measurement();
            let mut may = |begun| seen.admits((client, most), begun, now);
            let is_new = |name: &&str| !may((Begun::Field, hash((measurement, name))));
            let field = point.fields().map(|(name, _)| name).find(is_new);
            if field.is_none() && may((Begun::Series, hash(point.series()))) {
                return true;
            }
            let named = |name| format!("field {} of {}", cut(name), cut(measurement));
            let first = || field.map_or_else(|| cut(point.series()).into_owned(), named);
            let refused = refused.get_or_insert_with(|| TooMany { points: 0, first: first() });
            refused.points += 1;
            false
        });
        refused
    }

    /// Whether the client may begin the series of an agent.
    pub fn admits_agent(&self, client: IpAddr, most: u64, host: &str, now: Instant) -> bool {
        let (mut seen, hash) = (self.seen(), hash(("agent", "", host)));
        seen.knows(hash) || {
            seen.sweep(now);
            seen.admits((client, most), (Begun::Series, hash), now)
        }
    }

    /// Returns how many series are known.
    pub fn known(&self) -> usize {
        self.seen().count()
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
        assert_eq!(series.known(), 22, "with the field");
    }

    #[test]
    fn new_fields_are_counted_too() {
        let (series, now) = (Series::default(), Instant::now());
        let client = IpAddr::from([192, 0, 2, 1]);
        let admit = |lines: &[&str]| {
            let mut points: Vec<_> = lines.iter().map(|line| Point::from_line(line).unwrap()).collect();
            let refused = series.admit(client, 3, &mut points, now);
            (points.len(), refused.map(|refused| refused.first))
        };
        assert_eq!(admit(&["m,a=1 f=1,g=1 1", "m,a=2 f=1 1", "n h=1 1"]), (3, None));
        assert_eq!(admit(&["m,a=1 job17=1 1", "m,a=2 f=2,g=1 2"]), (1, Some("field job17 of m".into())));
        assert!(!series.admits_agent(client, 3, "wn1", now) && series.admits_agent(client, 4, "wn1", now));
        assert!(series.admits_agent(client, 0, "wn1", now), "it is known");
    }

    #[test]
    fn those_that_are_seen_again_and_again_stay_known() {
        let mut seen = Seen::default();
        for hash in 0..2 * MOST_KNOWN as u64 {
            seen.learn(hash + 1);
            assert!(hash % 100_000 != 0 || hash == 0 || seen.knows(1), "{hash}");
        }
        assert!(seen.count() <= MOST_KNOWN && !seen.knows(2));
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
        assert_eq!(bytes.len(), 8 * 6, "the mark, four series and a field");
        std::fs::write(&path, &bytes[..8 * 3 + 5]).unwrap();
        assert!(begun(0) >= 3);
        std::fs::write(&path, [&[7; 8], &bytes[8..]].concat()).unwrap();
        assert_eq!(begun(0), 5);
    }
}
