//! What others send to qmaster: line protocol, QULo's pickles, and Carbon's own protocols. Pure: bytes in, points out.
//!
//! Nothing that is read here is trusted. Each parser says how much of its input it has used, which points are in it, and
//! what it refused, each with a reason; it never allocates by a length that it was told.

pub mod carbon_line;
#[cfg(feature = "pickles")]
pub mod carbon_pickle;
pub mod lines;
#[cfg(feature = "pickles")]
pub mod qulo;
pub mod scanner;
pub mod status;

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::{Point, RELAYED, RELAYED_PATH, RELAYED_VALUE, Value, is_relayable};
use crate::text::quote;

/// How many refusals are kept with their reason; all are counted.
const NAMED: usize = 10;

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// The points.
    pub points: Vec<Point>,
    /// What could not be taken.
    pub refused: Refused,
    /// The hosts and sensors of QULo's agents.
    pub seen: BTreeSet<(String, String)>,
}

/// What could not be taken: how much, and the first reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many lines, values or messages.
    pub count: usize,
    /// The first reasons.
    pub reasons: Vec<String>,
}

impl Refused {
    /// Adds one.
    pub fn add(&mut self, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.reasons.len() < NAMED {
            self.reasons.push(reason());
        }
    }

    /// Returns the reasons for people, with the number of those that have none here.
    pub fn notes(self) -> Vec<String> {
        let more = self.count.saturating_sub(self.reasons.len());
        let mut notes = self.reasons;
        notes.extend((more > 0).then(|| format!("{more} more of this kind")));
        notes
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = NAMED - self.reasons.len().min(NAMED);
        self.reasons.extend(other.reasons.into_iter().take(room));
    }
}

/// The time that stands for now in Carbon's protocols.
const NOW: f64 = -1.0;

/// Returns a time of Carbon's protocols in unix seconds.
fn carbon_time(time: f64, now: i64) -> f64 {
    if time == NOW { now as f64 } else { time }
}

/// Returns the point of a value that has a Carbon path, at `time` in unix seconds. Dots side by side are one, as in Carbon's files.
///
/// # Errors
/// Fails with the reason if Carbon could not keep the path, the value or the time.
pub fn relayed(path: &str, value: f64, time: f64) -> Result<Point, String> {
    let path = one_dot_each(path);
    let path = path.as_ref();
    if !is_relayable(path) {
        return Err(format!("{} is no path that Carbon can keep", quote(path)));
    }
    if !value.is_finite() {
        return Err(format!("{}: {value} is no number", quote(path)));
    }
    Ok(Point::new(
        RELAYED.into(),
        [(RELAYED_PATH.into(), path)],
        [(RELAYED_VALUE.into(), Value::Float(value))],
        nanoseconds(time)?,
    ))
}

/// Makes dots side by side one, but for those of tags, and for those at the begin or end, of which Carbon can make no file.
fn one_dot_each(path: &str) -> Cow<'_, str> {
    let (name, tags) = path.split_at(path.find(';').unwrap_or(path.len()));
    if !name.contains("..") || name.starts_with('.') || name.ends_with('.') {
        return Cow::Borrowed(path);
    }
    let folders: Vec<_> = name.split('.').filter(|folder| !folder.is_empty()).collect();
    Cow::Owned(folders.join(".") + tags)
}

/// Returns a time in unix seconds as nanoseconds.
fn nanoseconds(time: f64) -> Result<i64, String> {
    /// Until 2262, in seconds.
    const LATEST: f64 = 9_223_372_036.0;
    if !(time.is_finite() && (0.0..LATEST).contains(&time)) {
        return Err(format!("time {time} is not between 1970 and 2262"));
    }
    // Whole seconds stay exact.
    let (whole, part) = (time.trunc(), time.fract());
    Ok(whole as i64 * crate::model::SECOND + (part * 1e9).round() as i64)
}
