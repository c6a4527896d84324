//! /proc/diskstats: what disks and their partitions did. Which names are whole disks, and which are real ones, tells
//! /sys/block.
//!
//! ```text
//!  254       0 vda 109194 13099 5941626 109262 195575 66886 14863840 87224 0 29252 196486 …
//! ```

use std::collections::{HashMap, HashSet};

use super::Root;

/// The counters of a disk, in the order of QULo's fields: reads, writes, bytes read, bytes written, milliseconds of reads, of
/// writes, merged reads, merged writes, milliseconds in which the disk was busy.
pub type Counters = [u64; 9];

/// The size of a sector in /proc/diskstats, whatever the disk's own is.
const SECTOR: u64 = 512;

/// Parses the file. A disk whose line is not of numbers, or has too few, has no counters.
pub fn parse(text: &str) -> impl Iterator<Item = (&str, Option<Counters>)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(2);
        Some((words.next()?, counters(words)))
    })
}

fn counters<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Counters> {
    let mut number = || words.next()?.parse::<u64>().ok();
    let [reads, merged, sectors, time] = [number()?, number()?, number()?, number()?];
    let [writes, merged_writes, sectors_written, time_writing] = [number()?, number()?, number()?, number()?];
    let (_in_progress, busy) = (number()?, number()?);
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    Some([reads, writes, bytes(sectors), bytes(sectors_written), time, time_writing, merged, merged_writes, busy])
}

/// What a name of /proc/diskstats is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// A disk of its own.
    Physical,
    /// One that lies on others, or in memory: dm, md, loop, zram.
    Stacked,
    /// A partition.
    Part,
}

/// What the names are, as /sys/block told when each was first seen.
#[derive(Debug, Default)]
pub struct Disks(HashMap<String, Disk>);

impl Disks {
    /// Returns what a name is.
    pub fn kind(&mut self, root: &Root, name: &str) -> Disk {
        if let Some(kind) = self.0.get(name) {
            return *kind;
        }
        let folder = format!("sys/block/{}", name.replace('/', "!"));
        let is_stacked = ["dm-", "md", "loop", "ram", "zram", "nbd"].iter().any(|begin| name.starts_with(begin));
        let kind = match root.path(&folder).is_dir() {
            false => Disk::Part,
            true if is_stacked => Disk::Stacked,
            // A machine's own disks have a device; a recorded /sys may lack it for all of them.
            true if !root.is_here() || root.path(&format!("{folder}/device")).exists() => Disk::Physical,
            true => Disk::Stacked,
        };
        self.0.insert(name.into(), kind);
        kind
    }

    /// Forgets the names that are gone: another device may have one of them later. `count` is how many there are.
    pub fn keep<'a>(&mut self, count: usize, names: impl Iterator<Item = &'a str>) {
        if self.0.len() > count {
            let names: HashSet<_> = names.collect();
            self.0.retain(|name, _| names.contains(name.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_bytes_and_a_line_that_is_not_of_numbers_has_none() {
        let text = "254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12\n8 1 sda1 1 2 3\n8 0 cciss/c0d0 1 2 3 4 5 6 7 8 9 10 11\n8 2 x -1 2 3 4 5 6 7 8 9 10\n";
        let found: Vec<_> = parse(text).collect();
        let counters = Some([1, 5, 3 * 512, 7 * 512, 4, 8, 2, 6, 10]);
        assert_eq!(found, [("vda", counters), ("sda1", None), ("cciss/c0d0", counters), ("x", None)]);
    }

    #[test]
    fn a_name_that_was_gone_may_be_of_another_device() {
        let folder = gridmon_testkit::TempDir::new();
        let (root, mut disks) = (Root::at(folder.path()), Disks::default());
        assert_eq!(disks.kind(&root, "sdb"), Disk::Part, "it is there before /sys has it");
        disks.keep(1, ["sdb"].into_iter());
        std::fs::create_dir_all(folder.path().join("sys/block/sdb")).unwrap();
        assert_eq!(disks.kind(&root, "sdb"), Disk::Part, "it is known");
        disks.keep(0, [].into_iter());
        assert_eq!(disks.kind(&root, "sdb"), Disk::Physical);
    }
}
