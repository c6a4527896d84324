//! From the listing of a root to its sets: what lies there, backup by backup.

use std::collections::{BTreeMap, HashMap};

use super::name::shown;
use super::pattern::{Pattern, Scratch, Stamp};
use super::seal::Seal;
use super::zone::Zone;
use crate::sources::ssh::{Entry, Seen};

/// One backup, as it lies on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// When it was made, in unix seconds.
    pub time: i64,
    /// The time of its stamp in unix seconds, if its name has one: read as UTC where the zone is not known.
    pub stamp: Option<i64>,
    /// When it was last written, in unix seconds by the clock of who wrote it.
    pub mtime: i64,
    /// Its size, in bytes: of several files with one stamp that of the largest.
    pub bytes: u64,
    /// Its path below the root.
    pub path: Box<[u8]>,
    /// What its sidecar says; `None` if it has none, or one that says nothing, and [`Seal::CLOSED`] if it cannot be read.
    pub seal: Option<Seal>,
}

/// What lies below one root of one node.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The sets by name, each with its backups, oldest first.
    pub sets: BTreeMap<String, Vec<Backup>>,
    /// The folders that may not be read, below the root; empty for the root itself.
    pub closed: Vec<Vec<u8>>,
    /// Whether the root is not there.
    pub is_missing: bool,
    /// The variable in the root's path that the login does not have.
    pub no_variable: Option<String>,
    /// The code with which find failed.
    pub failed: Option<i32>,
    /// The bytes of the disk, and how many are free.
    pub disk: Option<(u64, u64)>,
    /// When the folder LOCKED was last written to, in unix seconds; `None` if there is none.
    pub locked: Option<i64>,
}

impl Gathered {
    /// Returns the folders that may not be read and in which backups may lie, below the root; empty for the root itself.
    pub fn closed_folders(&self) -> impl Iterator<Item = &[u8]> {
        // fsck's, which lies on many disks, and which root alone may read.
        let may_hold = |folder: &&[u8]| folder.rsplit(|byte| *byte == b'/').next() != Some(&b"lost+found"[..]);
        self.closed.iter().map(Vec::as_slice).filter(may_hold)
    }
}

/// A listing that is being gathered.
pub struct Gatherer<'a> {
    pattern: &'a Pattern,
    zone: &'a Zone,
    scratch: Scratch,
    /// The name of the one set of a pattern that does not tell sets apart.
    only: &'a str,
    /// The number of each set in `found`.
    numbers: HashMap<Box<[u8]>, usize>,
    /// The name of the last entry's set: the files of a set come one after the other.
    last: (Box<[u8]>, usize),
    found: Vec<Vec<(Stamp, Backup)>>,
    seals: HashMap<Box<[u8]>, Seal>,
    gathered: Gathered,
}

/// The folder that lies in a root while backups are copied there.
const LOCKED: &[u8] = b"LOCKED";

/// The end of a sidecar's name.
const SIDECAR: &[u8] = b".dna";

impl<'a> Gatherer<'a> {
    /// Begins to gather the backups of `pattern`; `only` is the name of the set if it does not tell sets apart.
    pub fn new(pattern: &'a Pattern, zone: &'a Zone, only: &'a str) -> Self {
        Self {
            pattern,
            zone,
            scratch: pattern.scratch(),
            only,
            numbers: HashMap::new(),
            last: (Box::default(), usize::MAX),
            found: Vec::new(),
            seals: HashMap::new(),
            gathered: Gathered::default(),
        }
    }

    /// Takes the next record of the listing.
    pub fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Entry(entry) => self.entry(&entry),
            Seen::Seal(path, line) => {
                if let (Some(of), Some(seal)) = (path.strip_suffix(SIDECAR), Seal::parse(line)) {
                    self.seals.insert(of.into(), seal);
                }
            }
            Seen::ClosedSeal(path) => {
                if let Some(of) = path.strip_suffix(SIDECAR) {
                    self.seals.insert(of.into(), Seal::CLOSED);
                }
            }
            Seen::Closed(path) => self.gathered.closed.push(path.to_vec()),
            Seen::Missing => self.gathered.is_missing = true,
            Seen::NoVariable(name) => self.gathered.no_variable = Some(String::from_utf8_lossy(name).into_owned()),
            Seen::Failed(code) => self.gathered.failed = Some(code),
            Seen::Disk(bytes, free) => self.gathered.disk = Some((bytes, free)),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        if entry.path.starts_with(LOCKED) && matches!(entry.path.get(LOCKED.len()), None | Some(b'/')) {
            self.gathered.locked = self.gathered.locked.max(Some(entry.mtime));
            return;
        }
        if self.pattern.is_folder && self.belongs_to_last(entry) {
            return;
        }
        if entry.is_folder != self.pattern.is_folder || entry.path.ends_with(SIDECAR) {
            return;
        }
        let Some((set, stamp)) = self.pattern.read(entry.path, &mut self.scratch) else { return };
        let (time, of_stamp) = self.zone.time(stamp, entry.mtime);
        let bytes = if entry.is_folder { 0 } else { entry.bytes };
        let backup = Backup { time, stamp: of_stamp, mtime: entry.mtime, bytes, path: entry.path.into(), seal: None };
        if self.last.1 == usize::MAX || *self.last.0 != *set {
            let next = self.found.len();
            let number = *self.numbers.entry(set.into()).or_insert(next);
            if number == next {
                self.found.push(Vec::new());
            }
            self.last = (set.into(), number);
        }
        self.found[self.last.1].push((stamp, backup));
    }

    /// Adds a file below the folder that is the last backup: find lists a folder before what lies in it, and both together.
    fn belongs_to_last(&mut self, entry: &Entry) -> bool {
        let Some((_, backup)) = self.found.get_mut(self.last.1).and_then(|backups| backups.last_mut()) else {
            return false;
        };
        let is_below = entry.path.strip_prefix(&*backup.path).is_some_and(|rest| rest.starts_with(b"/"));
        if is_below && !entry.is_folder {
            // The folder's own time is that of its last new name.
            backup.mtime = if backup.bytes == 0 { entry.mtime } else { backup.mtime.max(entry.mtime) };
            backup.bytes += entry.bytes;
        }
        is_below
    }

    /// Returns what lies there.
    pub fn finish(self) -> Gathered {
        let Self { numbers, mut found, mut seals, mut gathered, only, zone, .. } = self;
        for (name, number) in numbers {
            let name = if name.is_empty() { only.to_string() } else { shown(&name) };
            let backups = one_each(std::mem::take(&mut found[number]), zone, &mut seals);
            gathered.sets.insert(name, backups);
        }
        gathered
    }
}

/// Returns one backup for each stamp, oldest first, with its sidecar: of several files with one stamp the largest.
fn one_each(mut backups: Vec<(Stamp, Backup)>, zone: &Zone, seals: &mut HashMap<Box<[u8]>, Seal>) -> Vec<Backup> {
    let mut best: HashMap<Stamp, usize> = HashMap::new();
    let mut kept: Vec<(Stamp, Backup)> = Vec::with_capacity(backups.len());
    for (stamp, backup) in backups.drain(..) {
        if stamp != Stamp::None {
            if let Some(&at) = best.get(&stamp) {
                let before: &mut Backup = &mut kept[at].1;
                // Of two of one size the first by name, whatever the order of the listing.
                if (backup.bytes, &before.path) > (before.bytes, &backup.path) {
                    *before = backup;
                }
                continue;
            }
            best.insert(stamp, kept.len());
        }
        kept.push((stamp, backup));
    }
    let mut kept: Vec<Backup> = kept
        .into_iter()
        .map(|(stamp, mut backup)| {
            // The time of a folder's files was not known when the folder was seen.
            (backup.time, backup.stamp) = zone.time(stamp, backup.mtime);
            backup.seal = seals.remove(&backup.path);
            backup
        })
        .collect();
    kept.sort_by(|a, b| (a.time, &a.path).cmp(&(b.time, &b.path)));
    kept
}
