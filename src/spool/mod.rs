//! A crash-safe directory of batches: what a run collected and its sinks have not all acknowledged yet.
//!
//! One batch is one file, published by one rename and never changed after it:
//!
//! ```text
//! gridmon-batch 1 1c291ca3 {"program":"collect-grid","grid":"heprc",…,"encoding":"plain"}
//! grid_heartbeat,grid=heprc,service=condor alive=1i 1717245000000000000
//! …
//! ```
//!
//! The first line holds format version, CRC-32 of all that follows it, and what it needs to be replayed by a later run or
//! version. The body is line protocol, so that a person can read it and post it by hand; zstd when large
//! (`tail -n +2 FILE | zstd -d`). The file's name holds what lists and limits need, so that nothing is opened for them:
//!
//! ```text
//! 001717245000-105-8123-carbon+influxdb-collect-grid.heprc-4242-1.batch      time, points, bytes, sinks, who
//! 001717245000-105-8123-carbon+influxdb-collect-grid.heprc-4242-1.ack.carbon carbon has it
//! ```
//!
//! Every state and step, and what a kill between two of them leaves: ARCHITECTURE.md.

mod batch;
mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, Header, Unreadable};
pub use self::disk::{Directory, Disk, Quarantined};
use crate::config::Section;
use crate::model::{Catalog, carbon_component};
use crate::text::quote;

/// `[spool]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The most that waits, in bytes; 1 GiB by default. Beyond it the oldest batches are dropped, and named.
    pub max_bytes: u64,
    /// How long a batch waits, in days; 14 by default. Older ones are dropped, and named.
    pub max_age_days: u64,
    /// How full the disk may be, in percent; 95 by default. Beyond it nothing is spooled, and what a sink does not
    /// acknowledge at once is dropped, and named.
    pub max_disk_percent: u64,
    /// How fast waiting points are sent when a sink is back, in points a second; 20,000 by default.
    pub replay_points_per_second: u64,
}

impl Config {
    /// Reads `[spool]`.
    ///
    /// # Errors
    /// When a value is not what its key asks for.
    pub fn read(section: &mut Section) -> Result<Self> {
        let config = Self {
            max_bytes: section.number("max_bytes", 1 << 30)?,
            max_age_days: section.number("max_age_days", 14)?,
            max_disk_percent: section.number("max_disk_percent", 95)?,
            replay_points_per_second: section.number("replay_points_per_second", 20_000)?,
        };
        section.check("max_age_days", (1..=36_500).contains(&config.max_age_days), "1 to 36500 days")?;
        section.check("max_disk_percent", (1..=100).contains(&config.max_disk_percent), "1 to 100 percent")?;
        section.check("replay_points_per_second", config.replay_points_per_second > 0, "at least 1 point a second")?;
        Ok(config)
    }
}

/// The name of a published batch, and what it tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The file's name. Names sort by time.
    pub name: String,
    /// The slot, in unix seconds.
    pub time: i64,
    /// How many points it holds.
    pub points: usize,
    /// How large it is.
    pub bytes: u64,
    /// The sinks that owed an acknowledgement when it was published.
    pub sinks: BTreeSet<String>,
}

const BATCH: &str = ".batch";
const NEW: &str = ".new";
const ACK: &str = ".ack.";
const FAILED: &str = ".failed.";
const WHY: &str = ".why";

impl Entry {
    fn new(header: &Header, points: usize, bytes: u64) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Process and count tell runs of one slot apart, the clock those of a machine that started anew.
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unique =
            format!("{}-{:x}{:x}", std::process::id(), clock.as_micros(), COUNT.fetch_add(1, Ordering::Relaxed));
        let sinks = header.sinks.iter().map(String::as_str).collect::<Vec<_>>().join("+");
        let mut who = carbon_component(&format!("{}:{}", header.program, header.grid)).into_owned();
        who.truncate(80);
        let time = header.time.clamp(0, 999_999_999_999);
        let name = format!("{time:012}-{points}-{bytes}-{sinks}-{who}-{unique}{BATCH}");
        Self { name, time, points, bytes, sinks: header.sinks.clone() }
    }

    /// What a file's name tells; `None` when it is no batch's.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(BATCH)?.splitn(5, '-');
        let time = parts.next().filter(|time| time.len() == 12)?.parse().ok()?;
        let points = parts.next()?.parse().ok()?;
        let bytes = parts.next()?.parse().ok()?;
        let sinks = parts.next()?.split('+').filter(|sink| !sink.is_empty()).map(String::from).collect();
        parts.next()?;
        Some(Self { name: name.into(), time, points, bytes, sinks })
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

/// A batch that this run has published; nobody else sends it while this lives.
#[derive(Debug)]
pub struct Published<H> {
    /// Its name.
    pub entry: Entry,
    _claim: H,
}

/// What waits for one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// How many batches.
    pub batches: usize,
    /// How many points they hold.
    pub points: usize,
    /// How large they are.
    pub bytes: u64,
    /// The slot of the oldest, in unix seconds.
    pub oldest: Option<i64>,
}

impl Backlog {
    fn add(&mut self, entry: &Entry) {
        self.batches += 1;
        self.points += entry.points;
        self.bytes += entry.bytes;
        self.oldest = Some(self.oldest.map_or(entry.time, |oldest| oldest.min(entry.time)));
    }
}

/// The folder for what cannot be sent, below the spool.
pub const BAD: &str = "bad";

/// How old a file that was never published must be to be swept. No run lives as long.
const SWEPT_AFTER: Duration = Duration::from_secs(2 * 3600);

impl<D: Disk> Spool<D> {
    /// A spool on `disk`.
    pub fn new(disk: D) -> Self {
        Self { disk, catalog: Catalog::new(&[]) }
    }

    /// The same spool, whose points meet their declarations in `catalog` when they are read.
    #[must_use]
    pub fn declared_by(self, catalog: Catalog) -> Self {
        Self { catalog, ..self }
    }

    /// Publishes a batch: written aside, synced, renamed, directory synced. After it, nothing but an acknowledgement of
    /// every sink, a limit or a person removes it.
    ///
    /// # Errors
    /// When any step fails. Nothing is published then, or it is not certain to survive a crash.
    pub fn publish(&self, batch: &Batch) -> Result<Published<D::Claim>> {
        let bytes = batch.encode()?;
        let entry = Entry::new(&batch.header, batch.points.len(), bytes.len() as u64);
        let aside = format!("{}{NEW}", entry.stem());
        let hold = self.disk.create(&aside, &bytes).and_then(|hold| {
            self.disk.rename(&aside, &entry.name)?;
            Ok(hold)
        });
        let hold = match hold {
            Ok(hold) => hold,
            Err(error) => {
                let _ = self.disk.remove(&aside);
                return Err(error).context("spool");
            }
        };
        self.disk.sync().context("spool")?;
        Ok(Published { entry, _claim: hold })
    }

    /// Up to `count` of the oldest batches that `sink` still owes, whose names come after `after`. Memory does not grow
    /// with the backlog.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn oldest(&self, sink: &str, after: &str, count: usize) -> Result<Vec<Entry>> {
        let mut oldest = BTreeSet::new();
        self.entries(|entry| {
            let beyond = oldest.len() == count && oldest.last().is_some_and(|last: &Entry| last.name <= entry.name);
            if entry.name.as_str() > after && !beyond && self.is_pending(&entry, sink) {
                oldest.insert(entry);
                if oldest.len() > count {
                    oldest.pop_last();
                }
            }
        })?;
        Ok(oldest.into_iter().collect())
    }

    /// What waits for `sink`.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn backlog(&self, sink: &str) -> Result<Backlog> {
        let mut backlog = Backlog::default();
        self.entries(|entry| {
            if self.is_pending(&entry, sink) {
                backlog.add(&entry);
            }
        })?;
        Ok(backlog)
    }

    /// What waits for each sink that some batch is owed to, looked up in one pass.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn backlogs(&self) -> Result<BTreeMap<String, Backlog>> {
        let mut backlogs = BTreeMap::<String, Backlog>::new();
        self.entries(|entry| {
            for sink in entry.sinks.iter().filter(|sink| self.is_pending(&entry, sink)) {
                backlogs.entry(sink.clone()).or_default().add(&entry);
            }
        })?;
        Ok(backlogs)
    }

    /// Every sink that some batch still names.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn sinks(&self) -> Result<BTreeSet<String>> {
        let mut sinks = BTreeSet::new();
        self.entries(|entry| sinks.extend(entry.sinks))?;
        Ok(sinks)
    }

    /// Every published batch, in any order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn entries(&self, mut each: impl FnMut(Entry)) -> Result<()> {
        self.disk.list(&mut |name| Entry::parse(name).into_iter().for_each(&mut each)).context("spool")
    }

    /// Whether `sink` has yet to acknowledge a batch.
    pub fn is_pending(&self, entry: &Entry, sink: &str) -> bool {
        entry.sinks.contains(sink) && (entry.sinks.len() == 1 || !self.disk.exists(&entry.ack(sink)))
    }

    /// Holds a batch while it is sent; `None` when the run that published it is at it, or it is gone.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn claim(&self, entry: &Entry) -> Result<Option<D::Claim>> {
        match self.disk.claim(&entry.name) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            held => held.with_context(|| format!("spool: {}", entry.name)),
        }
    }

    /// Locks the replay to `sink` against other programs; `None` when one of them is at it.
    ///
    /// # Errors
    /// When the lock cannot be had, or has been held for longer than any run lives: its holder is stopped.
    pub fn lock(&self, sink: &str) -> Result<Option<D::Claim>> {
        let name = format!("{LOCK}{sink}");
        let lock = self.disk.lock(&name).context("spool")?;
        let age = self.disk.age(&name).unwrap_or_default();
        ensure!(
            lock.is_some() || age < SWEPT_AFTER,
            "spool: a program has held {name} for {}, longer than any run may take, and nothing that waits is sent; find it with: fuser spool/{name}",
            crate::text::ago(age.as_secs() as i64)
        );
        Ok(lock)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// The outer one when it cannot be read (gone, disk error), the inner one when it is no batch.
    pub fn read(&self, entry: &Entry) -> io::Result<Result<Batch, Unreadable>> {
        let batch = self.disk.read(&entry.name).map(|bytes| Batch::decode(&bytes));
        batch.map(|batch| {
            batch.map(|mut batch| {
                batch.points.iter_mut().for_each(|point| self.catalog.declare(point));
                batch
            })
        })
    }

    /// Notes that `sink` has a batch, and removes the batch when it was the last that owed it. What a crash undoes of
    /// this is sent again.
    ///
    /// # Errors
    /// When the note cannot be made; the batch is sent again.
    pub fn acknowledge(&self, entry: &Entry, sink: &str) -> Result<()> {
        if entry.sinks.len() > 1 {
            match self.disk.create(&entry.ack(sink), b"") {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).context("spool"),
                _ => {}
            }
            // Whoever makes the last note sees all of them.
            if entry.sinks.iter().any(|sink| self.is_pending(entry, sink)) {
                return Ok(());
            }
        }
        self.forget(entry)
    }

    /// Removes a batch with its notes, the batch first: notes without a batch are swept.
    ///
    /// # Errors
    /// When the batch cannot be removed.
    pub fn forget(&self, entry: &Entry) -> Result<()> {
        match self.disk.remove(&entry.name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context("spool"),
            _ => {}
        }
        if entry.sinks.len() > 1 {
            for sink in &entry.sinks {
                let _ = self.disk.remove(&entry.ack(sink));
            }
        }
        Ok(())
    }

    /// Counts one more failure of a batch at `sink`; how many there are now.
    ///
    /// # Errors
    /// When the note cannot be made.
    pub fn count_failure(&self, entry: &Entry, sink: &str) -> Result<usize> {
        let note = |count: usize| format!("{}{FAILED}{sink}.{count}", entry.stem());
        let count = (1..).find(|count| !self.disk.exists(&note(*count))).unwrap_or(1);
        self.disk.create(&note(count), b"").context("spool")?;
        Ok(count)
    }

    /// Puts a file into `bad/`, with the reason beside it.
    ///
    /// # Errors
    /// When it cannot be moved; it stays then.
    pub fn quarantine(&self, name: &str, why: &str) -> Result<()> {
        // What went aside before under this name stays, and a folder could not be renamed over another.
        let mut aside = format!("{BAD}/{name}");
        for count in 2.. {
            if !self.disk.exists(&aside) {
                break;
            }
            aside = format!("{BAD}/{name}.{count}");
        }
        let _ = self.disk.create(&format!("{aside}{WHY}"), format!("{why}\n").as_bytes());
        match self.disk.rename(name, &aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("spool: {name}")),
            _ => Ok(()),
        }
    }

    /// Writes points that a sink refuses for good into `bad/`, with the sink's words beside them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_refused(&self, entry: &Entry, sink: &str, batch: &Batch, why: &str) -> Result<()> {
        let name = format!("{BAD}/{}.{sink}", entry.name);
        let _ = self.disk.create(&format!("{name}{WHY}"), format!("{why}\n").as_bytes());
        match self.disk.create(&name, &batch.encode()?) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).context("spool"),
            _ => Ok(()),
        }
    }

    /// Puts a batch into `bad/` because a person wants so: for one sink, while others still owe it, or altogether.
    ///
    /// # Errors
    /// When it cannot be moved, or cannot be read while only one of its sinks is to lose it. It waits then.
    pub fn discard(&self, entry: &Entry, sink: Option<&str>, why: &str) -> Result<()> {
        let others = |sink: &str| entry.sinks.iter().any(|other| other != sink && self.is_pending(entry, other));
        match sink.filter(|sink| others(sink)) {
            Some(sink) => {
                let batch = self.read(entry).with_context(|| format!("spool: {}", entry.name))?;
                let batch = batch.map_err(|why| anyhow!("{}: {why}", entry.name))?;
                self.keep_refused(entry, sink, &batch, why)?;
                self.acknowledge(entry, sink)
            }
            None => {
                self.quarantine(&entry.name, why)?;
                // Its notes, which nothing needs any more.
                self.forget(entry)
            }
        }
    }

    /// Sweeps what crashes have left: files that were never published, batches that nobody owes, notes without a batch; puts
    /// foreign files aside.
    /// Returns the names of the foreign ones.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn sweep(&self) -> Result<Vec<String>> {
        let (mut leftovers, mut finished, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        self.disk
            .list(&mut |name| {
                if let Some((stem, _)) = name.split_once(ACK).or_else(|| name.split_once(FAILED)) {
                    if !self.disk.exists(&format!("{stem}{BATCH}")) {
                        leftovers.push(name.to_string());
                    }
                } else if name.ends_with(NEW) {
                    if self.disk.age(name).is_ok_and(|age| age > SWEPT_AFTER) {
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
            .context("spool")?;
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

    /// Drops what is too old or too much, the oldest first, so that `bytes` more fit. `now` is the run's clock in unix
    /// seconds. Returns what was dropped.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn limit(&self, config: &Config, now: i64, bytes: u64) -> Result<Backlog> {
        let mut dropped = Backlog::default();
        let mut total = bytes;
        self.entries(|entry| total += entry.bytes)?;
        let too_old = now - (config.max_age_days * 86_400) as i64;
        loop {
            // Some at a time: memory must not grow with the backlog.
            let mut oldest = BTreeSet::new();
            self.entries(|entry| {
                oldest.insert(entry);
                if oldest.len() > 1000 {
                    oldest.pop_last();
                }
            })?;
            let doomed: Vec<_> = oldest
                .into_iter()
                .take_while(|entry| {
                    let goes = entry.time < too_old || total > config.max_bytes;
                    if goes {
                        total -= entry.bytes.min(total);
                    }
                    goes
                })
                .collect();
            for entry in &doomed {
                self.forget(entry)?;
                dropped.add(entry);
            }
            if doomed.len() < 1000 {
                return Ok(dropped);
            }
        }
    }

    /// Refuses when the disk is fuller than the config allows.
    ///
    /// # Errors
    /// When it is, or cannot be asked.
    pub fn has_room(&self, config: &Config) -> Result<()> {
        let percent = self.disk.percent_full().context("spool")?;
        ensure!(
            percent <= config.max_disk_percent,
            "spool: its disk is {percent} % full, and [spool] max_disk_percent is {}",
            config.max_disk_percent
        );
        Ok(())
    }
}

/// What the names of lock files begin with.
const LOCK: &str = "lock.";

/// For messages: a batch by slot and size.
impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", quote(&self.name))
    }
}
