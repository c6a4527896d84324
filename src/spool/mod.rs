//! A crash-safe directory of batches that not all of their sinks have acknowledged yet.
//!
//! A batch is one file, published by one rename and never changed afterwards:
//!
//! ```text
//! gridmon-batch 1 1c291ca3 {"program":"collect-grid","grid":"heprc",…,"encoding":"plain"}
//! grid_heartbeat,grid=heprc,service=condor alive=1i 1717245000000000000
//! …
//! ```
//!
//! The first line holds the format version, the CRC-32 of everything after it, and all that a later run or version
//! needs to replay the batch. The body is line protocol, so that a person can read it and post it by hand; a large one
//! is compressed with zstd (`tail -n +2 FILE | zstd -d`). The file's name holds all that listing and limiting need, so
//! that neither opens a file:
//!
//! ```text
//! 001717245000-105-8123-carbon+influxdb-collect-grid.heprc-4242-1r600.batch      time, points, bytes, sinks, who, when
//! 001717245000-105-8123-carbon+influxdb-collect-grid.heprc-4242-1r600.ack.carbon carbon has it
//! ```
//!
//! ARCHITECTURE.md lists every state and step, and the effect of a kill between two of them.

mod batch;
mod disk;
mod superseded;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, Header, Unreadable};
pub use self::disk::{Directory, Disk, Quarantined};
pub use self::superseded::Superseded;
use self::superseded::{Rank, rank};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Catalog, Point, carbon_component};
use crate::os::files::{NEW, SWEPT_AFTER, is_foreign};
use crate::text::quote;

/// `[spool]`.
pub const SECTION: Section = Section::new(
    "spool",
    "Limits what waits on disk until each sink has acknowledged it.",
    &[
        Key::new(
            "max_bytes",
            Kind::Number { least: 0, most: u64::MAX, unit: "bytes" },
            Unset::Default("1073741824"),
            WAITING,
        ),
        Key::new("max_age_days", Kind::Number { least: 1, most: 36_500, unit: "days" }, Unset::Default("14"), WAITING),
        Key::new(
            "max_disk_percent",
            Kind::Number { least: 1, most: 100, unit: "percent" },
            Unset::Default("95"),
            "With its disk fuller than this, in percent, nothing is spooled, and what is not acknowledged at once is \
             lost, and named.",
        ),
        Key::new(
            "replay_points_per_second",
            Kind::Number { least: 1, most: u64::MAX, unit: "points a second" },
            Unset::Default("20000"),
            "How fast waiting points are sent when a sink is back; this run's own points go first, and never wait for \
             them.",
        ),
        Key::new(
            "publish_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("10"),
            "How often qagent puts what its sensors told into the spool, as one batch. A kill or a power failure loses what \
             was told since. A sink has as long to take a batch, but 5 s at least.",
        ),
    ],
);

const WAITING: &str = "What no sink has acknowledged yet waits in STATE/spool. Beyond so many bytes or days the oldest is \
                       dropped, and named. A day is one during which the machine was running, whatever its clock says.";

/// The section `[spool]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Maximum size of all waiting batches, in bytes; 1 GiB by default. Beyond it the oldest are dropped and reported.
    pub max_bytes: u64,
    /// Maximum age of a waiting batch, in days; 14 by default. Older ones are dropped and reported.
    pub max_age_days: u64,
    /// Maximum fill level of the disk, in percent; 95 by default. Beyond it nothing is spooled: points that a sink does
    /// not acknowledge at once are dropped and reported.
    pub max_disk_percent: u64,
    /// Maximum speed of a replay, in points per second; 20,000 by default.
    pub replay_points_per_second: u64,
}

impl Config {
    /// Reads `[spool]`.
    ///
    /// # Errors
    /// Fails if a value is not a number or out of range.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            max_bytes: values.number("max_bytes")?,
            max_age_days: values.number("max_age_days")?,
            max_disk_percent: values.number("max_disk_percent")?,
            replay_points_per_second: values.number("replay_points_per_second")?,
        })
    }
}

/// A published batch, as its file name describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The file's name. Names sort by time.
    pub name: String,
    /// The time slot, in unix seconds.
    pub time: i64,
    /// Number of points.
    pub points: usize,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The sinks that must acknowledge it.
    pub sinks: BTreeSet<String>,
    /// For how long the machine had been running when it was published, in seconds; `None` if an earlier version named
    /// it.
    pub published: Option<i64>,
}

/// What stands before [`Entry::published`] in a name. No hexadecimal digit.
const PUBLISHED: char = 'r';
/// What begins the stamp of a batch of points that others sent. No hexadecimal digit, so that earlier versions see no rank
/// in it, and take nothing from such a batch either.
const OF_OTHERS: char = 'x';
const BATCH: &str = ".batch";
const ACK: &str = ".ack.";
const FAILED: &str = ".failed.";
const CLOSED: &str = ".closed.";
const WHY: &str = ".why";

impl Entry {
    fn new(header: &Header, points: usize, bytes: u64, running: i64, kind: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Process ID and counter distinguish the runs of one slot; the clock does so if a reboot repeats process IDs.
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{}-{kind}{:x}{count:x}{PUBLISHED}{running}", std::process::id(), clock.as_micros());
        let sinks = header.sinks.iter().map(String::as_str).collect::<Vec<_>>().join("+");
        let mut origin = carbon_component(&format!("{}:{}", header.program, header.grid)).into_owned();
        origin.truncate(80);
        let time = header.time.clamp(0, 999_999_999_999);
        let name = format!("{time:012}-{points}-{bytes}-{sinks}-{origin}-{unique}{BATCH}");
        Self { name, time, points, bytes, sinks: header.sinks.clone(), published: Some(running) }
    }

    /// Parses a file's name. Returns `None` if it is not the name of a batch.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(BATCH)?.splitn(5, '-');
        let time = parts.next().filter(|time| time.len() == 12)?.parse().ok()?;
        let points = parts.next()?.parse().ok()?;
        let bytes = parts.next()?.parse().ok()?;
        let sinks = parts.next()?.split('+').filter(|sink| !sink.is_empty()).map(String::from).collect();
        let unique = parts.next()?.rsplit_once('-').map(|(_, unique)| unique);
        let published = unique.and_then(|unique| unique.split_once(PUBLISHED)?.1.parse().ok());
        Some(Self { name: name.into(), time, points, bytes, sinks, published })
    }

    /// Returns what batches are sorted by when they are sent: by time, and those that others sent in one second in the order
    /// in which they were published.
    fn order(&self) -> (i64, Option<Rank>, String) {
        let is_of_others = |stamp: &str| stamp.starts_with(OF_OTHERS);
        let rank = self.origin().filter(|(_, stamp)| is_of_others(stamp)).and_then(|(_, stamp)| rank(&stamp[1..]));
        (self.time, rank, self.name.clone())
    }

    fn stem(&self) -> &str {
        self.name.strip_suffix(BATCH).unwrap_or(&self.name)
    }

    fn ack(&self, sink: &str) -> String {
        format!("{}{ACK}{sink}", self.stem())
    }
}

/// The directory of batches.
#[derive(Debug)]
pub struct Spool<D> {
    disk: D,
    catalog: Catalog,
}

/// A batch that this run has published. No other process sends it until this is dropped.
#[derive(Debug)]
pub struct Published<C> {
    /// The batch.
    pub entry: Entry,
    _claim: C,
}

/// A batch is larger than the room that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the batch is larger than its room in the spool")
    }
}

impl std::error::Error for NoRoom {}

/// The batches that wait for one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Number of batches.
    pub batches: usize,
    /// Number of points in them.
    pub points: usize,
    /// Their total size, in bytes.
    pub bytes: u64,
    /// The time slot of the oldest, in unix seconds; `None` if nothing waits.
    pub oldest: Option<i64>,
    /// The least [`Entry::published`] of them.
    #[serde(skip)]
    pub published: Option<i64>,
}

impl Backlog {
    fn add(&mut self, entry: &Entry) {
        self.batches += 1;
        self.points += entry.points;
        self.bytes += entry.bytes;
        let least = |least: Option<i64>, other: Option<i64>| least.into_iter().chain(other).min();
        self.oldest = least(self.oldest, Some(entry.time));
        self.published = least(self.published, entry.published);
    }
}

/// The folder below the spool for files that cannot be sent.
pub const BAD: &str = "bad";

/// How many batches are held in memory at once: it must not grow with the backlog.
const CHUNK: usize = 1000;

impl<D: Disk> Spool<D> {
    /// Creates a spool on `disk`.
    pub fn new(disk: D) -> Self {
        Self { disk, catalog: Catalog::new(&[]) }
    }

    /// The same spool, whose points meet their declarations in `catalog` when they are read.
    #[must_use]
    pub fn declared_by(self, catalog: Catalog) -> Self {
        Self { catalog, ..self }
    }

    /// Gives a point its declaration, if there is one.
    pub fn declare(&self, point: &mut Point) {
        self.catalog.declare(point);
    }

    /// Publishes a batch: writes a temporary file, syncs it, renames it and syncs the directory. Afterwards only the
    /// acknowledgement of every sink, a limit or an operator removes it. `running` is for how long the machine has been
    /// running, in seconds, for [`Spool::limit`].
    ///
    /// # Errors
    /// Fails if any step fails. The batch is then not published, or may not survive a crash.
    pub fn publish(&self, batch: &Batch, running: i64) -> Result<Published<D::Claim>> {
        self.publish_as("", batch, running, u64::MAX)
    }

    /// Publishes, as [`Spool::publish`] does, points that others sent. A slot has any number of such batches: none of them
    /// takes the place of another, and they are sent in the order in which they were published.
    ///
    /// # Errors
    /// As [`Spool::publish`], and with [`NoRoom`] if the batch has more than `room` bytes.
    pub fn publish_of_others(&self, batch: &Batch, running: i64, room: u64) -> Result<Published<D::Claim>> {
        let mut kind = [0; 4];
        self.publish_as(OF_OTHERS.encode_utf8(&mut kind), batch, running, room)
    }

    fn publish_as(&self, kind: &str, batch: &Batch, running: i64, room: u64) -> Result<Published<D::Claim>> {
        let bytes = batch.encode()?;
        if bytes.len() as u64 > room {
            return Err(NoRoom.into());
        }
        let entry = Entry::new(&batch.header, batch.points.len(), bytes.len() as u64, running, kind);
        let temporary = format!("{}{NEW}", entry.stem());
        let claim = self.disk.create(&temporary, &bytes).and_then(|claim| {
            self.disk.rename(&temporary, &entry.name)?;
            Ok(claim)
        });
        let claim = match claim {
            Ok(claim) => claim,
            Err(error) => {
                let _ = self.disk.remove(&temporary);
                return Err(error.into());
            }
        };
        self.disk.sync()?;
        Ok(Published { entry, _claim: claim })
    }

    /// Returns up to `count` of the oldest batches that `sink` has not acknowledged and that come after the one named `after`.
    /// Memory does not grow with the backlog.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn oldest(&self, sink: &str, after: &str, count: usize) -> Result<Vec<Entry>> {
        let after = Entry::parse(after);
        let after = after.as_ref().map(Entry::order);
        let mut oldest = BTreeMap::new();
        self.entries(|entry| {
            let order = entry.order();
            let beyond = oldest.len() == count && oldest.last_key_value().is_some_and(|(last, _)| *last <= order);
            if after.as_ref().is_none_or(|after| *after < order) && !beyond && self.is_pending(&entry, sink) {
                oldest.insert(order, entry);
                if oldest.len() > count {
                    oldest.pop_last();
                }
            }
        })?;
        Ok(oldest.into_values().collect())
    }

    /// Returns the backlog of `sink`.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn backlog(&self, sink: &str) -> Result<Backlog> {
        let mut backlog = Backlog::default();
        self.entries(|entry| {
            if self.is_pending(&entry, sink) {
                backlog.add(&entry);
            }
        })?;
        Ok(backlog)
    }

    /// Returns the backlog of each sink that has one, in one pass over the directory.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn backlogs(&self) -> Result<BTreeMap<String, Backlog>> {
        let mut backlogs = BTreeMap::<String, Backlog>::new();
        self.entries(|entry| {
            for sink in entry.sinks.iter().filter(|sink| self.is_pending(&entry, sink)) {
                backlogs.entry(sink.clone()).or_default().add(&entry);
            }
        })?;
        Ok(backlogs)
    }

    /// Returns every sink that a published batch names.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn sinks(&self) -> Result<BTreeSet<String>> {
        let mut sinks = BTreeSet::new();
        self.entries(|entry| sinks.extend(entry.sinks))?;
        Ok(sinks)
    }

    /// Calls `each` with every published batch, in any order.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn entries(&self, mut each: impl FnMut(Entry)) -> Result<()> {
        self.disk
            .list(&mut |name| Entry::parse(name).into_iter().for_each(&mut each))
            .context("the spool cannot be listed")
    }

    /// Returns whether `sink` has yet to acknowledge a batch.
    pub fn is_pending(&self, entry: &Entry, sink: &str) -> bool {
        entry.sinks.contains(sink) && (entry.sinks.len() == 1 || !self.disk.exists(&entry.ack(sink)))
    }

    /// Claims a batch for sending. Returns `None` if its publisher is still sending it, or it no longer exists.
    ///
    /// # Errors
    /// Fails if it cannot be opened.
    pub fn claim(&self, entry: &Entry) -> Result<Option<D::Claim>> {
        match self.disk.claim(&entry.name) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            held => Ok(held?),
        }
    }

    /// Takes the lock on replaying to `sink`. Returns `None` if another program holds it.
    ///
    /// # Errors
    /// Fails if the lock file cannot be opened, or if the lock has been held longer than any run lives: its holder
    /// hangs.
    pub fn lock(&self, sink: &str) -> Result<Option<D::Claim>> {
        let name = format!("{LOCK}{sink}");
        let lock = self.disk.lock(&name).with_context(|| name.clone())?;
        let held = if lock.is_none() { self.disk.held_for(&name).unwrap_or_default() } else { Duration::ZERO };
        ensure!(
            held < SWEPT_AFTER,
            "a program has held {name} for {}, longer than any run may take, and nothing that waits is sent; find it with: fuser spool/{name}",
            crate::text::ago(held.as_secs() as i64)
        );
        Ok(lock)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// Returns the outer error if the file cannot be read (removed, disk error), the inner one if it does not contain a
    /// batch.
    pub fn read(&self, entry: &Entry) -> io::Result<Result<Batch, Unreadable>> {
        let batch = self.disk.read(&entry.name).map(|bytes| Batch::decode(&bytes));
        batch.map(|batch| {
            batch.map(|mut batch| {
                batch.points.iter_mut().for_each(|point| self.catalog.declare(point));
                batch
            })
        })
    }

    /// Records that `sink` has acknowledged a batch, and removes the batch if no other sink is pending. If a crash
    /// undoes this, the batch is sent again.
    ///
    /// # Errors
    /// Fails if the acknowledgement cannot be recorded; the batch is then sent again.
    pub fn acknowledge(&self, entry: &Entry, sink: &str) -> Result<()> {
        if entry.sinks.len() > 1 {
            match self.disk.create(&entry.ack(sink), b"") {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
            // The process that creates the last note sees all of them.
            if entry.sinks.iter().any(|sink| self.is_pending(entry, sink)) {
                return Ok(());
            }
        }
        self.forget(entry)
    }

    /// Removes a batch, then its notes. In this order because [`Spool::sweep`] removes notes without a batch.
    ///
    /// # Errors
    /// Fails if the batch cannot be removed.
    pub fn forget(&self, entry: &Entry) -> Result<()> {
        match self.disk.remove(&entry.name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if entry.sinks.len() > 1 {
            for sink in &entry.sinks {
                let _ = self.disk.remove(&entry.ack(sink));
            }
        }
        Ok(())
    }

    /// Records one more failure of a batch at `sink`, and returns their number.
    ///
    /// # Errors
    /// Fails if it cannot be recorded.
    pub fn count_failure(&self, entry: &Entry, sink: &str) -> Result<usize> {
        let note = |count: usize| format!("{}{FAILED}{sink}.{count}", entry.stem());
        let count = (1..).find(|count| !self.disk.exists(&note(*count))).unwrap_or(1);
        self.disk.create(&note(count), b"")?;
        Ok(count)
    }

    /// Notes that `place`, where a batch goes in `sink`, was closed when it was sent.
    ///
    /// # Errors
    /// Fails if it cannot be noted.
    pub fn note_closed(&self, entry: &Entry, sink: &str, place: &str) -> Result<()> {
        let note = format!("{}{CLOSED}{sink}", entry.stem());
        if !self.disk.exists(&note) {
            self.disk.create(&note, place.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the place that [`Spool::note_closed`] noted for a batch.
    pub fn closed(&self, entry: &Entry, sink: &str) -> Option<String> {
        let note = format!("{}{CLOSED}{sink}", entry.stem());
        String::from_utf8(self.disk.read(&note).ok()?).ok()
    }

    /// Returns the header of a batch; `None` if it cannot be read.
    pub fn header(&self, entry: &Entry) -> Option<Header> {
        Batch::header(&self.disk.read(&entry.name).ok()?)
    }

    /// Moves a file into `bad/` and writes the reason beside it.
    ///
    /// # Errors
    /// Fails if it cannot be moved; it then stays in place.
    pub fn quarantine(&self, name: &str, why: &str) -> Result<()> {
        // Earlier files of this name must stay, and a folder cannot be renamed over another.
        let mut target = format!("{BAD}/{name}");
        for count in 2.. {
            if !self.disk.exists(&target) {
                break;
            }
            target = format!("{BAD}/{name}.{count}");
        }
        let _ = self.put_aside(&format!("{target}{WHY}"), format!("{why}\n").as_bytes());
        match self.disk.rename(name, &target) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| name.to_string()),
            _ => Ok(()),
        }
    }

    /// Writes points that a sink refuses for good into `bad/`, and the sink's message beside them.
    ///
    /// # Errors
    /// Fails if they cannot be written.
    pub fn keep_refused(&self, entry: &Entry, sink: &str, batch: &Batch, why: &str) -> Result<()> {
        let name = format!("{BAD}/{}.{sink}", entry.name);
        let _ = self.put_aside(&format!("{name}{WHY}"), format!("{why}\n").as_bytes());
        Ok(self.put_aside(&name, &batch.encode()?)?)
    }

    /// Writes a file in `bad/`, whole or not at all. Replaces one that an earlier attempt left.
    fn put_aside(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Outside of bad/: there it is swept after a crash.
        let temporary = format!("{}{NEW}", name.rsplit('/').next().unwrap_or(name));
        let _ = self.disk.remove(&temporary);
        self.disk.create(&temporary, bytes)?;
        self.disk.rename(&temporary, name)
    }

    /// Moves a batch into `bad/` at an operator's request. If `sink` is given and other sinks are pending, only `sink`
    /// loses it.
    ///
    /// # Errors
    /// Fails if it cannot be moved, or, if only one of its sinks is to lose it, cannot be read. The batch then still
    /// waits.
    pub fn discard(&self, entry: &Entry, sink: Option<&str>, why: &str) -> Result<()> {
        let others = |sink: &str| entry.sinks.iter().any(|other| other != sink && self.is_pending(entry, other));
        match sink.filter(|sink| others(sink)) {
            Some(sink) => {
                let batch = self.read(entry)?.map_err(|why| anyhow!("{why}"))?;
                self.keep_refused(entry, sink, &batch, why)?;
                self.acknowledge(entry, sink)?;
            }
            None => {
                self.quarantine(&entry.name, why)?;
                // The file has moved; this removes its notes.
                self.forget(entry)?;
            }
        }
        // A crash must not bring back what the operator was told is gone.
        Ok(self.disk.sync()?)
    }

    /// Removes the remains of crashes: unpublished files, batches without a pending sink, notes without a batch.
    /// Quarantines foreign files and returns their names.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn sweep(&self) -> Result<Vec<String>> {
        let (mut leftovers, mut finished, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        self.disk
            .list(&mut |name| {
                if let Some((stem, _)) = [ACK, FAILED, CLOSED].iter().find_map(|note| name.split_once(note)) {
                    if !self.disk.exists(&format!("{stem}{BATCH}")) {
                        leftovers.push(name.to_string());
                    }
                } else if name.ends_with(NEW) {
                    // By a wrong clock a file of this moment is old; its maker still holds it.
                    let is_left =
                        || self.disk.claim(name).map_or_else(|error| is_foreign(&error), |claim| claim.is_some());
                    if self.disk.age(name).is_ok_and(|age| age > SWEPT_AFTER) && is_left() {
                        leftovers.push(name.to_string());
                    }
                } else if let Some(entry) = Entry::parse(name) {
                    if !entry.sinks.iter().any(|sink| self.is_pending(&entry, sink)) {
                        finished.push(entry);
                    }
                } else if !name.starts_with(LOCK) && name != BAD {
                    foreign.push(name.to_string());
                }
            })
            .context("the spool cannot be listed")?;
        for name in leftovers {
            let _ = self.disk.remove(&name);
        }
        for entry in finished {
            self.forget(&entry)?;
        }
        for name in &foreign {
            self.quarantine(name, "nothing that gridmon wrote: its name is no batch's")?;
        }
        Ok(foreign)
    }

    /// Drops the batches that are too old, then the oldest ones until `bytes` more fit. Returns the number, points and
    /// size of the dropped batches.
    ///
    /// Neither a run's clock nor the wall clock makes a batch old. Its age is the time since it was published during
    /// which the machine was `running`, in seconds; and by its file and the wall clock it must be as old.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn limit(&self, config: &Config, running: i64, bytes: u64) -> Result<Backlog> {
        let mut dropped = Backlog::default();
        loop {
            let old = self.first(|entry| self.is_too_old(entry, config, running))?;
            self.drop_all(&old, &mut dropped)?;
            if old.len() < CHUNK {
                break;
            }
        }
        let mut total = bytes;
        self.entries(|entry| total += entry.bytes)?;
        while total > config.max_bytes {
            let mut oldest = self.first(|_| true)?;
            oldest.retain(|entry| {
                let goes = total > config.max_bytes;
                total -= if goes { entry.bytes.min(total) } else { 0 };
                goes
            });
            self.drop_all(&oldest, &mut dropped)?;
            if oldest.len() < CHUNK {
                break;
            }
        }
        Ok(dropped)
    }

    fn is_too_old(&self, entry: &Entry, config: &Config, running: i64) -> bool {
        let most = config.max_age_days * 86_400;
        // What was published later than now was so by a clock whose file is gone.
        let published = entry.published.filter(|published| *published <= running).unwrap_or_default();
        (running - published).unsigned_abs() > most && self.disk.age(&entry.name).is_ok_and(|age| age.as_secs() > most)
    }

    /// Returns the first batches in order of their time, up to a chunk, of those that `fits` takes.
    fn first(&self, fits: impl Fn(&Entry) -> bool) -> Result<BTreeSet<Entry>> {
        let mut first = BTreeSet::new();
        self.entries(|entry| {
            if fits(&entry) {
                first.insert(entry);
            }
            if first.len() > CHUNK {
                first.pop_last();
            }
        })?;
        Ok(first)
    }

    fn drop_all(&self, entries: &BTreeSet<Entry>, dropped: &mut Backlog) -> Result<()> {
        for entry in entries {
            self.forget(entry)?;
            dropped.add(entry);
        }
        Ok(())
    }

    /// Checks that the disk is not fuller than the config allows.
    ///
    /// # Errors
    /// Fails if it is fuller, or if its fill level cannot be read.
    pub fn has_room(&self, config: &Config) -> Result<()> {
        let percent = self.disk.percent_full()?;
        ensure!(
            percent <= config.max_disk_percent,
            "its disk is {percent} % full, and [spool] max_disk_percent is {}",
            config.max_disk_percent
        );
        Ok(())
    }
}

/// Prefix of the names of lock files.
const LOCK: &str = "lock.";

/// The quoted file name, for messages.
impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", quote(&self.name))
    }
}
