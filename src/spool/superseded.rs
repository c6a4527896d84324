//! Two runs in one slot: what the later one collected again is never sent by the earlier one's batch.
//!
//! A waiting batch is sent after the run's own, so the older picture of a slot would overwrite the newer one. Therefore a batch
//! loses the points that a newer batch of the same program, grid, tier, database and slot has too: the same series at
//! the same time. What the newer one lacks, because a source did not answer, still goes out.
//!
//! ```text
//! 12:00:05  older.batch   a=1 b=1      no sink takes it
//! 12:07:30  newer.batch   a=2          is published, then
//!           rest.batch    b=1          takes the place of the older one, with its rank: it is not newer than the newer one
//! ```
//!
//! The rest is published before the older batch goes, and the newer batch is safe before that. While an older one is still
//! there, because its disk fails or another process is sending it, it is not sent, and the newer one is not acknowledged and so
//! comes after it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use anyhow::{Context, Result};

use super::{BATCH, Batch, Disk, Entry, Header, NEW, PUBLISHED, Spool};
use crate::model::Point;

/// What a newer batch took from older ones.
#[derive(Debug, Default)]
pub struct Superseded {
    /// How many points each sink will not get, by name.
    pub points: BTreeMap<String, usize>,
    /// The newer batches, by file name, whose older ones are still there: they must not be acknowledged.
    pub held: BTreeSet<String>,
    /// These older ones: they must not be sent.
    pub blocked: BTreeSet<String>,
}

impl Superseded {
    fn hold<'a>(&mut self, older: &Entry, newer: impl Iterator<Item = &'a Newer>) {
        self.blocked.insert(older.name.clone());
        self.held.extend(newer.flat_map(|newer| newer.names.iter().cloned()));
    }

    /// Returns how many points a sink will not get.
    pub fn of(&self, sink: &str) -> usize {
        self.points.get(sink).copied().unwrap_or_default()
    }
}

/// The series and times of a batch.
type Content = HashSet<(String, i64)>;

fn content(points: &[Point]) -> Content {
    points.iter().map(|point| (point.series().to_string(), point.time())).collect()
}

/// Whose points a batch holds, of when, and where they go: all of its header but the sinks.
#[derive(PartialEq, Eq)]
struct Place(Header);

impl Place {
    fn of(header: &Header) -> Self {
        Self(Header { sinks: BTreeSet::new(), ..header.clone() })
    }
}

/// A batch that is newer than others of its slot.
struct Newer {
    /// Its name, and that of what is left of it.
    names: Vec<String>,
    place: Place,
    sinks: BTreeSet<String>,
    content: Content,
}

/// The order in which the batches of a slot were published: by the machine's running time, its clock, and a count.
pub(super) type Rank = (i64, u64, u64);

/// Returns the rank that a stamp holds.
pub(super) fn rank(stamp: &str) -> Option<Rank> {
    /// The hexadecimal digits of the microseconds since 1970, until 2112.
    const CLOCK: usize = 13;
    let (unique, running) = stamp.split_once(PUBLISHED)?;
    let (clock, count) = unique.split_at_checked(CLOCK)?;
    let digits = |text| u64::from_str_radix(text, 16).ok();
    Some((running.parse().ok()?, digits(clock)?, digits(count)?))
}

impl Entry {
    /// Returns program and grid as its name has them, and what tells batches of one slot apart.
    pub(super) fn origin(&self) -> Option<(&str, &str)> {
        let mut parts = self.stem().splitn(5, '-').nth(4)?.rsplitn(3, '-');
        let (stamp, _process) = (parts.next()?, parts.next()?);
        Some((parts.next()?, stamp))
    }

    /// Returns its [`Rank`]; `None` for a batch of an earlier version, and for one of points that others sent.
    fn rank(&self) -> Option<Rank> {
        rank(self.origin()?.1)
    }

    fn slot(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.time, self.origin().map(|(origin, _)| origin)).hash(&mut hasher);
        hasher.finish()
    }
}

impl<D: Disk> Spool<D> {
    /// Takes from the batches of a slot what newer ones of the same program and slot have too. `is_synced` says that a
    /// publication has just synced the directory.
    ///
    /// # Errors
    /// Fails if the directory cannot be read or synced: then nothing is known, and nothing may be replayed.
    pub fn supersede(&self, is_synced: bool) -> Result<Superseded> {
        // An older batch that a power failure brings back must not outlive the newer one.
        if !is_synced {
            self.disk.sync().context("the spool")?;
        }
        let mut superseded = Superseded::default();
        // Nearly always each batch has its slot for itself, and nothing of it is kept in memory.
        let (mut slots, mut shared) = (HashSet::new(), HashSet::new());
        self.entries(|entry| {
            if entry.rank().is_some() && !slots.insert(entry.slot()) {
                shared.insert(entry.slot());
            }
        })?;
        if shared.is_empty() {
            return Ok(superseded);
        }
        let mut groups = BTreeMap::<_, Vec<Entry>>::new();
        self.entries(|entry| {
            if shared.contains(&entry.slot()) && entry.rank().is_some() {
                groups.entry(entry.slot()).or_default().push(entry);
            }
        })?;
        // A newer batch of another process may not be safe yet.
        self.disk.sync().context("the spool")?;
        for mut group in groups.into_values() {
            group.sort_by_key(|entry| std::cmp::Reverse(entry.rank()));
            self.supersede_group(&group, &mut superseded);
        }
        Ok(superseded)
    }

    /// Takes from the waiting batches of `sink` what it has just acknowledged of `batch`, of which the spool knows nothing for
    /// sure. Returns the number of points.
    ///
    /// # Errors
    /// Fails if a batch stays: then nothing may be replayed.
    pub fn supersede_by(&self, batch: &Batch, sink: &str) -> Result<usize> {
        let mut group = Vec::new();
        let slot = Entry::new(&batch.header, 0, 0, 0, "").slot();
        self.entries(|entry| group.extend((entry.slot() == slot && self.is_pending(&entry, sink)).then_some(entry)))?;
        // The oldest first: the newest may be this batch, whose publication was not seen to succeed.
        group.sort_by_key(Entry::rank);
        let newer = Newer {
            names: Vec::new(),
            place: Place::of(&batch.header),
            sinks: [sink.to_string()].into(),
            content: content(&batch.points),
        };
        let mut superseded = Superseded::default();
        for entry in group {
            match self.read(&entry) {
                Ok(Ok(older)) if Place::of(&older.header) == newer.place => {
                    self.take_from(&entry, &older, &[&newer], &mut superseded, &mut Vec::new())?;
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(superseded.of(sink))
    }

    /// Goes through the batches of a slot, newest first.
    fn supersede_group(&self, group: &[Entry], superseded: &mut Superseded) {
        let (mut newer, mut at_rank, mut is_unknown) = (Vec::<Newer>::new(), Vec::new(), false);
        for (at, entry) in group.iter().enumerate() {
            // The rest of a batch has the rank of the whole.
            if at > 0 && group[at - 1].rank() != entry.rank() {
                newer.append(&mut at_rank);
            }
            let batch = match self.read(entry) {
                Ok(Ok(batch)) => batch,
                // It is not sent either: a replay says why.
                Ok(Err(_)) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => {
                    is_unknown = true;
                    superseded.hold(entry, newer.iter());
                    superseded.held.insert(entry.name.clone());
                    continue;
                }
            };
            let place = Place::of(&batch.header);
            let of_place: Vec<_> = newer.iter().filter(|newer| newer.place == place).collect();
            let mut names = vec![entry.name.clone()];
            let taken = self.take_from(entry, &batch, &of_place, superseded, &mut names);
            if is_unknown || taken.is_err() {
                superseded.hold(entry, of_place.into_iter());
            }
            at_rank.push(Newer { names, place, sinks: entry.sinks.clone(), content: content(&batch.points) });
        }
    }

    /// Takes from one batch what newer ones have too, for each sink that they go to. Adds the names of what is left to `names`.
    ///
    /// # Errors
    /// Fails if a step fails, or if another process is sending it: it then waits as it was.
    fn take_from(
        &self,
        entry: &Entry,
        batch: &Batch,
        newer: &[&Newer],
        superseded: &mut Superseded,
        names: &mut Vec<String>,
    ) -> Result<()> {
        // Nearly always all sinks get the same.
        let mut sinks_by_newer = BTreeMap::<Vec<usize>, BTreeSet<String>>::new();
        for sink in entry.sinks.iter().filter(|sink| self.is_pending(entry, sink)) {
            let those = (0..newer.len()).filter(|at| newer[*at].sinks.contains(sink)).collect();
            sinks_by_newer.entry(those).or_default().insert(sink.clone());
        }
        for (those, sinks) in sinks_by_newer {
            let key = |point: &Point| (point.series().to_string(), point.time());
            let is_taken = |point: &&Point| those.iter().any(|at| newer[*at].content.contains(&key(point)));
            let rest: Vec<_> = batch.points.iter().filter(|point| !is_taken(point)).cloned().collect();
            let taken = batch.points.len() - rest.len();
            if taken == 0 {
                continue;
            }
            let Some(_claim) = self.disk.claim_alone(&entry.name)? else {
                return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
            };
            if !rest.is_empty() {
                let mut header = batch.header.clone();
                header.sinks.clone_from(&sinks);
                self.publish_rest(entry, &Batch { header, points: rest }, names)?;
            }
            for sink in sinks {
                self.acknowledge(entry, &sink)?;
                *superseded.points.entry(sink).or_default() += taken;
            }
            // It must not come back while the newer one goes.
            self.disk.sync()?;
        }
        Ok(())
    }

    /// Publishes what is left of a batch, with its rank. Adds its name to `names`.
    fn publish_rest(&self, entry: &Entry, rest: &Batch, names: &mut Vec<String>) -> Result<()> {
        let bytes = rest.encode()?;
        let sinks = rest.header.sinks.iter().map(String::as_str).collect::<Vec<_>>().join("+");
        let tail = entry.stem().splitn(5, '-').nth(4).context("its name")?;
        let stem = format!("{:012}-{}-{}-{sinks}-{tail}", entry.time, rest.points.len(), bytes.len());
        let temporary = format!("{stem}{NEW}");
        // A run that was killed here may have left it.
        let _ = self.disk.remove(&temporary);
        let _claim = self.disk.create(&temporary, &bytes)?;
        names.push(format!("{stem}{BATCH}"));
        self.disk.rename(&temporary, &format!("{stem}{BATCH}"))?;
        Ok(self.disk.sync()?)
    }
}
