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
    /// What its sidecar says; `None` if it has none, or one that says nothing, and [`Seal::CLOSED`] if it cannot be read. Most have
    /// none, and there are many.
    pub seal: Option<Box<Seal>>,
    /// What is wrong with another file that has its stamp.
    pub beside: Beside,
}

/// What is wrong with a file beside the largest of its stamp; the larger, the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// Nothing, or there is no such file.
    #[default]
    Nothing,
    /// It does not have the size that its sidecar says.
    Truncated,
    /// It has no byte.
    Empty,
}

impl Backup {
    /// Whether its stamp or file is later than `until`, in unix seconds. Where the zone of a stamp is not known, it may be up to 14
    /// hours earlier than it is read.
    pub fn is_after(&self, until: i64, zone: &Zone) -> bool {
        self.sure_time(zone) > until || self.mtime > until
    }

    /// Returns when it was made at the earliest, in unix seconds.
    pub fn sure_time(&self, zone: &Zone) -> i64 {
        if self.stamp == Some(self.time) { zone.earliest(self.time) } else { self.time }
    }

    /// Returns what it is known by from run to run: that of its path, which no new time of the file changes.
    pub fn key(&self) -> u64 {
        digest_of(&self.path)
    }

    /// Returns what is wrong with it as a file beside another one.
    fn as_beside(&self) -> Beside {
        match self.seal.as_ref().and_then(|seal| seal.bytes) {
            _ if self.bytes == 0 => Beside::Empty,
            Some(bytes) if bytes != self.bytes => Beside::Truncated,
            _ => self.beside,
        }
    }
}

/// Returns a digest of some bytes that is the same in each version. It is fast, and no lock.
pub fn digest_of(bytes: &[u8]) -> u64 {
    let mix = |digest: u64, word: u64| {
        let mixed = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let digest = words.iter().fold(bytes.len() as u64, |digest, word| mix(digest, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(digest, u64::from_le_bytes(last))
}

/// What lies below one root of one node.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The sets by name, each with its backups, oldest first.
    pub sets: BTreeMap<String, Vec<Backup>>,
    /// The links to folders outside the root, which are not followed, below the root.
    pub linked: Vec<Vec<u8>>,
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
    /// The latest time of a file in a folder that counts, in unix seconds.
    until: i64,
    /// The number of each set in `found`.
    numbers: HashMap<Box<[u8]>, usize>,
    /// The name of the last entry's set: the files of a set come one after the other.
    last: (Box<[u8]>, usize),
    found: Vec<Vec<Found>>,
    seals: HashMap<Box<[u8]>, Seal>,
    gathered: Gathered,
}

/// A file or folder that fits the pattern: what is held of each while a listing comes.
struct Found {
    stamp: Stamp,
    mtime: i64,
    bytes: u64,
    path: Box<[u8]>,
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
            until: i64::MAX,
            numbers: HashMap::new(),
            last: (Box::default(), usize::MAX),
            found: Vec::new(),
            seals: HashMap::new(),
            gathered: Gathered::default(),
        }
    }

    /// Passes over the times of files in a folder that are later than this, in unix seconds: they are not the folder's own.
    pub fn until(mut self, until: i64) -> Self {
        self.until = until;
        self
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
            Seen::Linked(path) => self.gathered.linked.push(path.to_vec()),
            Seen::Missing => self.gathered.is_missing = true,
            Seen::NoVariable(name) => self.gathered.no_variable = Some(String::from_utf8_lossy(name).into_owned()),
            // Of several folders the worst: after 1 the rest is known.
            Seen::Failed(code) if self.gathered.failed.is_none_or(|before| before == 1) => {
                self.gathered.failed = Some(code);
            }
            Seen::Failed(_) => {}
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
        let bytes = if entry.is_folder { 0 } else { entry.bytes };
        let found = Found { stamp, mtime: entry.mtime, bytes, path: entry.path.into() };
        if self.last.1 == usize::MAX || *self.last.0 != *set {
            let next = self.found.len();
            let number = *self.numbers.entry(set.into()).or_insert(next);
            if number == next {
                self.found.push(Vec::new());
            }
            self.last = (set.into(), number);
        }
        self.found[self.last.1].push(found);
    }

    /// Adds a file below the folder that is the last backup: find lists a folder before what lies in it, and both together.
    fn belongs_to_last(&mut self, entry: &Entry) -> bool {
        let Some(folder) = self.found.get_mut(self.last.1).and_then(|found| found.last_mut()) else { return false };
        let is_below = entry.path.strip_prefix(&*folder.path).is_some_and(|rest| rest.starts_with(b"/"));
        if is_below && !entry.is_folder {
            // What lies in it may be far older: links to what was there before, or copies with their times.
            if entry.mtime <= self.until {
                folder.mtime = folder.mtime.max(entry.mtime);
            }
            folder.bytes = folder.bytes.saturating_add(entry.bytes);
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

/// Returns one backup for each stamp, oldest first, with its sidecar: of several files with one stamp the largest, with what is
/// wrong with the others.
fn one_each(found: Vec<Found>, zone: &Zone, seals: &mut HashMap<Box<[u8]>, Seal>) -> Vec<Backup> {
    let mut best: HashMap<Stamp, usize> = HashMap::new();
    let (mut stamps, mut kept) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
    for Found { stamp, mtime, bytes, path } in found {
        let seal = if seals.is_empty() { None } else { seals.remove(&path).map(Box::new) };
        let backup = Backup { time: 0, stamp: None, mtime, bytes, path, seal, beside: Beside::Nothing };
        if stamp != Stamp::None {
            if let Some(&at) = best.get(&stamp) {
                let before: &mut Backup = &mut kept[at];
                // Of two of one size the first by name, whatever the order of the listing.
                let is_larger = (backup.bytes, &before.path) > (before.bytes, &backup.path);
                let smaller = if is_larger { std::mem::replace(before, backup) } else { backup };
                before.beside = before.beside.max(smaller.as_beside());
                continue;
            }
            best.insert(stamp, kept.len());
        }
        stamps.push(stamp);
        kept.push(backup);
    }
    for (stamp, backup) in stamps.into_iter().zip(&mut kept) {
        (backup.time, backup.stamp) = zone.time(stamp, backup.mtime);
    }
    kept.sort_by(|a, b| (a.time, &a.path).cmp(&(b.time, &b.path)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn gathered(pattern: &str, zone: &Zone, entries: &[(&str, u64, i64)]) -> Gathered {
        let pattern = Pattern::new(pattern).unwrap();
        let mut gatherer = Gatherer::new(&pattern, zone, "backup").until(100 * DAY);
        for (path, bytes, mtime) in entries {
            let (is_folder, path) = (path.ends_with('/'), path.trim_end_matches('/').as_bytes());
            gatherer.take(Seen::Entry(Entry { is_folder, bytes: *bytes, mtime: *mtime, path }));
        }
        for (of, line) in [("b-19700102-010000.gz", "{'size': 900}"), ("c-19700102-010000.gz", "{'size': 900}")] {
            gatherer.take(Seen::Seal(format!("{of}.dna").as_bytes(), line.as_bytes()));
        }
        gatherer.finish()
    }

    /// What rsnapshot and Timeshift keep has the times of what was copied.
    #[test]
    fn the_time_of_a_folder_is_its_own_unless_a_file_is_later() {
        let old = ("daily.0/etc/passwd", 500, DAY);
        let time = |entries: &[_]| gathered("daily.*/", &Zone::utc(), entries).sets["backup"][0].time / DAY;
        assert_eq!(time(&[("daily.0/", 4096, 90 * DAY), old]), 90);
        assert_eq!(time(&[("daily.0/", 4096, 90 * DAY), old, ("daily.0/x", 5, 91 * DAY)]), 91);
        assert_eq!(time(&[("daily.0/", 4096, 90 * DAY), ("daily.0/x", 5, 3000 * DAY)]), 90, "a file of the future");
        let shift = gathered(
            "%Y-%m-%d_%H-%M-%S/",
            &Zone::utc(),
            &[("1970-04-01_00-00-00/", 4096, 90 * DAY), ("1970-04-01_00-00-00/x", 500, DAY)],
        );
        assert_eq!((shift.sets["backup"][0].mtime, shift.sets["backup"][0].bytes), (90 * DAY, 500));
    }

    #[test]
    fn a_dead_file_does_not_hide_behind_the_largest_of_its_stamp() {
        let beside = |entries: &[_]| {
            let gathered = gathered("{set}-%Y%m%d-%H%M%S.*", &Zone::utc(), entries);
            assert!(gathered.sets.values().all(|backups| backups.len() == 1));
            gathered.sets.into_values().map(|backups| (backups[0].bytes, backups[0].beside)).collect::<Vec<_>>()
        };
        let (dead, log) = (("a-19700102-010000.vma.zst", 0, DAY), ("a-19700102-010000.log", 3000, DAY));
        for entries in [[dead, log], [log, dead]] {
            assert_eq!(beside(&entries), [(3000, Beside::Empty)]);
        }
        assert_eq!(beside(&[log]), [(3000, Beside::Nothing)]);
        let (cut, whole) = (("b-19700102-010000.gz", 800, DAY), ("c-19700102-010000.gz", 900, DAY));
        let large = ["b", "c"].map(|set| format!("{set}-19700102-010000.tar"));
        let entries = [cut, (&large[0], 2000, DAY), whole, (&large[1], 2000, DAY)];
        assert_eq!(beside(&entries), [(2000, Beside::Truncated), (2000, Beside::Nothing)]);
    }

    #[test]
    fn a_stamp_of_an_unknown_zone_may_be_earlier_than_it_is_read() {
        let pattern = "{set}-%Y%m%d-%H%M%S.gz";
        let of = |zone: &Zone| gathered(pattern, zone, &[("a-19700201-100000.gz", 5, DAY)]).sets["a"][0].clone();
        let stamp = 31 * DAY + 36_000;
        for (zone, until, is_after) in [
            (Zone::Unknown, stamp - 3600, false),
            (Zone::Unknown, stamp - 15 * 3600, true),
            (Zone::utc(), stamp - 3600, true),
            (Zone::utc(), stamp, false),
        ] {
            assert_eq!(of(&zone).is_after(until, &zone), is_after, "{zone:?} {until}");
        }
    }

    #[test]
    fn a_digest_is_the_same_in_each_version() {
        assert_ne!(digest_of(b"ab"), digest_of(b"ba"));
        assert_ne!(digest_of(b"a"), digest_of(b"a\0"));
        assert_eq!(digest_of(b"svn/dybsvn/2026/03/28/104702/dybsvn.tar.gz"), 0xbbdd_fec3_1ad4_6fcf);
    }
}
