//! What a power failure leaves of a disk.
//!
//! Two file systems are played, by turns:
//!
//! - *Strict*: what POSIX promises and no more. A flush of a file keeps its data and size, a flush of a folder its names; any
//!   other write, size or name is there or not, each for itself. A rename alone stays one step: it is done or not done.
//! - *Ordered*: as ext4, XFS and btrfs do it. Names and sizes come to the disk in their order, up to some moment after the
//!   last flush that had something of them to write; what a file was lengthened by came before its size.
//!
//! In both, what was written since a file's last flush survives not at all, wholly, up to some byte, or here and there, in
//! sectors of 512 bytes or pages of 4096. Room that was not written holds zeros or (strict) rubbish. Bytes beside those
//! written are never harmed, as SQLite too assumes (SQLITE_IOCAP_POWERSAFE_OVERWRITE).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::log::{Lie, Log};
use super::tree::{Event, Node, Place, ROOT, put};
use crate::sandbox::proof::Random;

/// A change of a file's data.
struct Step<'a> {
    /// Its place in the log.
    at: usize,
    event: &'a Event,
    /// The size of the file after it.
    size: usize,
    /// Whether that is another one than before.
    resized: bool,
}

/// The disk as a log up to a moment makes it.
#[derive(Default)]
struct Replayed<'a> {
    /// Of each file: what was done to its data.
    data: BTreeMap<Node, Vec<Step<'a>>>,
    folders: BTreeSet<Node>,
    modes: BTreeMap<Node, u32>,
    /// What was done to names, by place in the log.
    names: Vec<(usize, &'a Event)>,
    /// Of each file and folder: the place in the log up to which it is on the disk.
    flushed: BTreeMap<Node, usize>,
    /// The place in the log up to which an ordered file system has written all names and sizes.
    committed: usize,
}

impl Log {
    /// Makes in `into` what is there after the power failed when the first `until` lines of the log were done. Returns what
    /// was played, for messages.
    pub fn cut(&self, until: usize, lie: Lie<'_>, random: &mut Random, into: &Path) -> String {
        let disk = self.replay(until, lie);
        let strict = random.below(2) == 0;
        let likely = random.below(5);
        let fill = if strict && random.below(4) == 0 { 0xa7 } else { 0 };
        let commit = disk.committed + random.below(until - disk.committed + 1);
        let mut names = BTreeMap::new();
        for (at, event) in &disk.names {
            let there = if strict { disk.is_flushed(*at, event) || random.below(4) < likely } else { *at < commit };
            if there {
                apply(&mut names, event);
            }
        }
        let files: BTreeMap<Node, Vec<u8>> = disk
            .data
            .iter()
            .map(|(node, done)| {
                let mut flushed = disk.flushed.get(node).copied().unwrap_or_default();
                if !strict {
                    let resized = done.iter().rfind(|step| step.at < commit && step.resized);
                    flushed = flushed.max(resized.map_or(0, |step| step.at + 1));
                }
                (*node, survive(done, flushed, strict, fill, random))
            })
            .collect();
        build(into, ROOT, &names, &disk, &files, &mut BTreeMap::new());
        let model = if strict { "strict" } else { "ordered" };
        format!("cut after {until} of {} steps, {model}", self.events.len())
    }

    fn replay(&self, until: usize, lie: Lie<'_>) -> Replayed<'_> {
        let mut disk = Replayed { folders: BTreeSet::from([ROOT]), ..Replayed::default() };
        // Files whose names or sizes an ordered file system has yet to write, and folders.
        let mut dirty = BTreeSet::new();
        let (mut settled, mut flushes) = (0, self.flushes.iter());
        for (at, event) in self.events[..until].iter().enumerate() {
            match event {
                Event::Make { node, is_folder: true } => drop(disk.folders.insert(*node)),
                Event::Make { node, .. } => drop(disk.data.insert(*node, Vec::new())),
                Event::Mode { node, mode } => drop(disk.modes.insert(*node, *mode)),
                Event::Write { file, .. } | Event::Resize { file, .. } => {
                    let done = disk.data.get_mut(file).expect("made before");
                    let before = done.last().map_or(0, |step| step.size);
                    let size = match event {
                        Event::Write { offset, bytes, .. } => before.max(offset + bytes.len()),
                        Event::Resize { size, .. } => *size,
                        _ => before,
                    };
                    if size != before {
                        dirty.insert(*file);
                    }
                    done.push(Step { at, event, size, resized: size != before });
                }
                Event::Link { node, at: (folder, _) } | Event::Unlink { node, at: (folder, _) } => {
                    dirty.extend([*node, *folder]);
                    disk.names.push((at, event));
                }
                Event::Rename { node, from, to } => {
                    dirty.extend([*node, from.0, to.0]);
                    disk.names.push((at, event));
                }
                Event::Sync { file: node } | Event::SyncFolder { folder: node } => {
                    if flushes.next().is_some_and(|flush| !lie(flush)) {
                        disk.flushed.insert(*node, at);
                        if dirty.contains(node) {
                            dirty.clear();
                            disk.committed = at;
                        }
                    }
                }
                Event::Settled => settled = at,
                Event::Mark(_) => {}
            }
        }
        for node in disk.folders.iter().chain(disk.data.keys()) {
            let flushed = disk.flushed.entry(*node).or_default();
            *flushed = settled.max(*flushed);
        }
        disk.committed = disk.committed.max(settled);
        disk
    }
}

impl Replayed<'_> {
    /// Whether a change of names was followed by a flush of a folder that it is in.
    fn is_flushed(&self, at: usize, event: &Event) -> bool {
        let after = |folder: Node| self.flushed.get(&folder).is_some_and(|flushed| *flushed > at);
        match event {
            Event::Link { at: (folder, _), .. } | Event::Unlink { at: (folder, _), .. } => after(*folder),
            Event::Rename { from, to, .. } => after(from.0) || after(to.0),
            _ => false,
        }
    }
}

fn apply(names: &mut BTreeMap<Place, Node>, event: &Event) {
    let mut remove = |node: &Node, at: &Place| {
        if names.get(at) == Some(node) {
            names.remove(at);
        }
    };
    match event {
        Event::Link { node, at } => drop(names.insert(at.clone(), *node)),
        Event::Unlink { node, at } => remove(node, at),
        Event::Rename { node, from, to } => {
            remove(node, from);
            names.insert(to.clone(), *node);
        }
        _ => {}
    }
}

/// What is left of a file whose first steps, up to `flushed`, are on the disk.
fn survive(done: &[Step<'_>], flushed: usize, strict: bool, fill: u8, random: &mut Random) -> Vec<u8> {
    let mut file = Vec::new();
    let mut pending = Vec::new();
    for step in done {
        match step.event {
            event if step.at >= flushed => pending.push(event),
            Event::Write { offset, bytes, .. } => put(&mut file, *offset, bytes, 0),
            Event::Resize { size, .. } => file.resize(*size, 0),
            _ => {}
        }
    }
    let flushed_size = file.len();
    let last_size = done.last().map_or(0, |step| step.size);
    match random.below(5) {
        0 => {}
        1 => pending.iter().for_each(|event| part(&mut file, event, fill, |_, bytes| bytes)),
        2 if !pending.is_empty() => {
            // In order, the last one torn.
            let torn = random.below(pending.len());
            pending[..torn].iter().for_each(|event| part(&mut file, event, fill, |_, bytes| bytes));
            let sectors = random.below(2) == 0;
            part(&mut file, pending[torn], fill, |offset, bytes| {
                let end = random.below(bytes.len() + 1);
                let end = if sectors { ((offset + end) / 512 * 512).saturating_sub(offset) } else { end };
                &bytes[..end]
            });
        }
        mode => {
            let block = if mode == 3 { 512 } else { 4096 };
            pending.iter().for_each(|event| scatter(&mut file, event, block, fill, random));
        }
    }
    if !strict {
        file.resize(flushed_size, 0);
    } else {
        match random.below(4) {
            0 => file.truncate(flushed_size),
            1 if file.len() < last_size => file.resize(last_size, fill),
            _ => {}
        }
    }
    file
}

/// Does a part of a step to a file.
fn part<'a>(file: &mut Vec<u8>, event: &'a Event, fill: u8, choose: impl FnOnce(usize, &'a [u8]) -> &'a [u8]) {
    match event {
        Event::Write { offset, bytes, .. } => put(file, *offset, choose(*offset, bytes), fill),
        Event::Resize { size, .. } => file.resize(*size, fill),
        _ => {}
    }
}

/// Does a step to a file in some of its blocks.
fn scatter(file: &mut Vec<u8>, event: &Event, block: usize, fill: u8, random: &mut Random) {
    match event {
        Event::Write { offset, bytes, .. } => {
            let mut from = 0;
            while from < bytes.len() {
                let to = ((offset + from) / block * block + block - offset).min(bytes.len());
                if random.below(2) == 0 {
                    put(file, offset + from, &bytes[from..to], fill);
                }
                from = to;
            }
        }
        Event::Resize { size, .. } if random.below(2) == 0 => file.resize(*size, fill),
        _ => {}
    }
}

/// Writes out a folder and all that is below it; `made` are the files that have a name already.
fn build(
    into: &Path,
    folder: Node,
    names: &BTreeMap<Place, Node>,
    disk: &Replayed<'_>,
    files: &BTreeMap<Node, Vec<u8>>,
    made: &mut BTreeMap<Node, PathBuf>,
) {
    fs::create_dir_all(into).unwrap();
    for ((_, name), node) in names.range((folder, String::new())..(folder + 1, String::new())) {
        let path = into.join(name);
        match (files.get(node), made.get(node)) {
            (Some(_), Some(first)) => fs::hard_link(first, &path).unwrap(),
            (Some(bytes), None) => fs::write(&path, bytes).unwrap(),
            (None, _) => build(&path, *node, names, disk, files, made),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(disk.modes[node])).unwrap();
        made.insert(*node, path);
    }
}
