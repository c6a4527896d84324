//! Which windows of a store are folded, and which of these a late batch has made dirty.
//!
//! ```text
//! STATE/windows/1h.embedded                     how far the hours of the store are folded
//! STATE/windows/1h.embedded.1717250400.dirty    the hour that ends then has got points since
//! STATE/windows/1h.embedded.1717250400.taken    the same, while it is folded again
//! STATE/windows/1h.embedded.backfill            how far a backfill has come
//! STATE/windows/1h.embedded.lock                held while windows are folded
//! ```
//!
//! No late point is missed, whichever process is killed at whatever moment. A down-sampler says how far it will fold before it reads the first
//! point; a sink looks there after the store has taken a batch, and before the batch is acknowledged. So a batch that was
//! not read marks its window, or is sent again. A mark is renamed before the window is read: one made meanwhile stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Sent, Sink};
use crate::model::{COVERAGE, Point, SCOPE_COVERAGE, Tier};
use crate::os::files::{self, create_dir};
use crate::rollup::length;
use crate::spool::Batch;

/// The folded windows of one tier of a store.
#[derive(Clone, Debug)]
pub struct Windows {
    tier: Tier,
    folder: PathBuf,
    /// The beginning of the files' names: `1h.embedded`.
    stem: String,
}

/// How far the windows of a store are folded; times are labels in unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The last window that a run has begun to fold, or was about to.
    pub begun: i64,
    /// The last window up to which all are folded.
    pub done: i64,
    /// The measurements; `None` for all.
    pub measurements: Option<Vec<String>>,
    /// When the coverage of each measurement began then, in nanoseconds.
    #[serde(default)]
    pub begins: BTreeMap<String, i64>,
}

/// How far a backfill has come; times are in unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The label of the first window that was asked for.
    pub first: i64,
    /// The label of the last one.
    pub last: i64,
    /// The label of the last one that is folded.
    pub done: i64,
}

/// The most bytes of a record.
const MOST: u64 = 64 << 10;

impl Windows {
    /// Returns the windows of a tier of the store of the sink called `store`, as the programs with this `state` directory
    /// know them.
    pub fn new(state: &Path, store: &str, tier: Tier) -> Self {
        Self { tier, folder: state.join("windows"), stem: format!("{tier}.{store}") }
    }

    /// Returns the windows that points of a tier are folded into; `None` for the coarsest tier.
    pub fn above(state: &Path, store: &str, tier: Tier) -> Option<Self> {
        match tier {
            Tier::Raw => Some(Self::new(state, store, Tier::Hour)),
            Tier::Hour => Some(Self::new(state, store, Tier::Day)),
            Tier::Day => None,
        }
    }

    fn path(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}{end}", self.stem))
    }

    /// Returns the label of the window that a point of the finer tier at `time`, in nanoseconds, is folded into; in unix
    /// seconds.
    pub fn label_of(&self, time: i64) -> i64 {
        let seconds = length(self.tier) / crate::model::SECOND;
        // An hourly point stands at its label, and the last of a day at the day's.
        let time = if self.tier == Tier::Day { time.saturating_sub(length(Tier::Hour)) } else { time };
        (time.div_euclid(length(self.tier)) + 1).saturating_mul(seconds)
    }

    /// Returns how far the windows are folded; `None` if they never were.
    ///
    /// # Errors
    /// Fails if that cannot be read.
    pub fn record(&self) -> Result<Option<Record>> {
        self.read("")
    }

    /// Returns how far a backfill has come that did not end.
    ///
    /// # Errors
    /// Fails if that cannot be read.
    pub fn backfill(&self) -> Result<Option<Backfill>> {
        self.read(".backfill")
    }

    fn read<T: DeserializeOwned>(&self, end: &str) -> Result<Option<T>> {
        let path = self.path(end);
        match files::read(&path, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{} is damaged: remove it, and the windows are folded anew", path.display())),
        }
    }

    /// Keeps how far the windows are folded.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn keep(&self, record: &Record) -> Result<()> {
        self.write("", record)
    }

    /// Keeps how far a backfill has come; `None` if it has ended.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn keep_backfill(&self, backfill: Option<&Backfill>) -> Result<()> {
        match backfill {
            Some(backfill) => self.write(".backfill", backfill),
            None => self.remove(".backfill"),
        }
    }

    fn write<T: Serialize>(&self, end: &str, value: &T) -> Result<()> {
        create_dir(&self.folder).with_context(|| self.folder.display().to_string())?;
        files::write_json(&self.path(end), value)
    }

    fn remove(&self, end: &str) -> Result<()> {
        match fs::remove_file(self.path(end)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| self.path(end).display().to_string())
            }
            _ => Ok(()),
        }
    }

    /// Takes the lock of the windows, waiting until `until`. Returns `None` if another process holds it.
    ///
    /// # Errors
    /// Fails if it cannot be locked.
    pub fn lock(&self, until: Instant) -> Result<Option<File>> {
        create_dir(&self.folder).with_context(|| self.folder.display().to_string())?;
        let path = self.path(".lock");
        let (file, _) = files::open_lock(&path).with_context(|| path.display().to_string())?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(error)) => return Err(error).with_context(|| path.display().to_string()),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Marks those of the windows, by their labels in unix seconds, that a run has begun to fold, to be folded again.
    ///
    /// # Errors
    /// Fails if a mark cannot be made.
    pub fn mark(&self, labels: impl IntoIterator<Item = i64>) -> Result<()> {
        // What cannot be read may name any of them.
        let begun = self.record().map_or(i64::MAX, |record| record.map_or(i64::MIN, |record| record.begun));
        let mut made = false;
        for label in labels.into_iter().filter(|label| *label <= begun) {
            let path = self.path(&format!(".{label}{DIRTY}"));
            files::open_lock(&path).with_context(|| path.display().to_string())?;
            made = true;
        }
        if made {
            File::open(&self.folder).and_then(|folder| folder.sync_all()).with_context(|| self.stem.clone())?;
        }
        Ok(())
    }

    /// Marks the windows into which points of the next finer tier are folded.
    ///
    /// # Errors
    /// Fails if a mark cannot be made.
    pub fn mark_points<'a>(&self, points: impl IntoIterator<Item = &'a Point>) -> Result<()> {
        let record = match self.record() {
            Ok(None) => return Ok(()),
            Ok(Some(record)) => record,
            Err(_) => Record { begun: i64::MAX, ..Record::default() },
        };
        let is_folded = |point: &Point| {
            let of = match point.measurement() {
                name if name == COVERAGE.name || name == SCOPE_COVERAGE.name => {
                    point.tag("measurement").unwrap_or(name)
                }
                name => name,
            };
            record.measurements.as_ref().is_none_or(|folded| folded.iter().any(|name| name == of))
        };
        let late = points.into_iter().map(|point| (self.label_of(point.time()), point));
        let late = late.filter(|(label, point)| *label <= record.begun && is_folded(point));
        self.mark(late.map(|(label, _)| label).collect::<BTreeSet<_>>())
    }

    /// Returns the marked windows by their labels, in unix seconds.
    ///
    /// # Errors
    /// Fails if they cannot be listed.
    pub fn dirty(&self) -> Result<BTreeSet<i64>> {
        let mut labels = BTreeSet::new();
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(labels),
            files => files.with_context(|| self.folder.display().to_string())?,
        };
        for file in files {
            let name = file.with_context(|| self.folder.display().to_string())?.file_name();
            let own = name.to_str().and_then(|name| name.strip_prefix(self.stem.as_str())?.strip_prefix('.'));
            let label = own.and_then(|own| own.strip_suffix(DIRTY).or_else(|| own.strip_suffix(TAKEN)));
            labels.extend(label.and_then(|label| label.parse::<i64>().ok()));
        }
        Ok(labels)
    }

    /// Takes the mark of a window that is about to be read.
    ///
    /// # Errors
    /// Fails if it cannot be taken.
    pub fn take(&self, label: i64) -> Result<()> {
        match fs::rename(self.path(&format!(".{label}{DIRTY}")), self.path(&format!(".{label}{TAKEN}"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| self.path(&format!(".{label}{DIRTY}")).display().to_string())
            }
            _ => Ok(()),
        }
    }

    /// Removes the mark that was taken of a window, which is folded.
    ///
    /// # Errors
    /// Fails if it cannot be removed.
    pub fn clear(&self, label: i64) -> Result<()> {
        self.remove(&format!(".{label}{TAKEN}"))
    }
}

const DIRTY: &str = ".dirty";
const TAKEN: &str = ".taken";

/// A sink whose store is folded: what it has taken marks the windows that are folded already.
pub struct Marking {
    /// The sink itself.
    pub sink: Box<dyn Sink>,
    /// The state directory.
    pub state: PathBuf,
}

impl Sink for Marking {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn at(&self, now: i64) {
        self.sink.at(now);
    }

    fn send(&self, batch: &Batch, deadline: Instant) -> Sent {
        let mut sent = self.sink.send(batch, deadline);
        let tier = batch.header.tier.parse().ok();
        let windows = tier.and_then(|tier| Windows::above(&self.state, self.sink.name(), tier));
        // Some of it may be stored even if it failed, and is sent again; then it marks.
        if let (Ok(()), Some(windows)) = (&sent.result, windows) {
            let marked = windows.mark_points(&batch.points);
            sent.result = marked.context("it is stored, but its window cannot be marked to be folded again");
        }
        sent
    }

    fn check(&self, deadline: Instant) -> Result<String> {
        self.sink.check(deadline)
    }

    fn setup(&self, deadline: Instant) -> Result<String> {
        self.sink.setup(deadline)
    }

    fn prune(&self, now: i64, deadline: Instant) -> Result<()> {
        self.sink.prune(now, deadline)
    }
}
