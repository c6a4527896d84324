//! The log of a disk, and what can be read in it.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Event, Node, Place, ROOT};

/// What programs did to a disk, in order.
pub struct Log {
    pub(super) events: Vec<Event>,
    pub(super) flushes: Vec<Flush>,
}

/// A flush in a log.
#[derive(Clone, Debug)]
pub struct Flush {
    /// Its place in the log.
    pub at: usize,
    /// The path of the file or folder at that moment.
    pub path: String,
    /// What was said last before it.
    pub said: String,
}

/// Which flushes a disk only says that it does.
pub type Lie<'a> = &'a (dyn Fn(&Flush) -> bool + Sync);

/// An honest disk.
pub const HONEST: Lie<'static> = &|_| false;

impl Log {
    pub(super) fn new(events: Vec<Event>) -> Self {
        Self { flushes: flushes(&events), events }
    }

    /// How many changes and flushes it has.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What was said up to a moment.
    pub fn said(&self, until: usize) -> impl DoubleEndedIterator<Item = &str> {
        self.events[..until].iter().filter_map(|event| match event {
            Event::Mark(said) => Some(said.as_str()),
            _ => None,
        })
    }

    /// Every flush.
    pub fn flushes(&self) -> &[Flush] {
        &self.flushes
    }

    /// The names in a folder that had come there and been flushed at this moment, by the place in the log of that flush; with
    /// those that have left it since.
    pub fn kept(&self, folder: &str, until: usize) -> BTreeMap<String, usize> {
        let Some(folder) = self.folder(folder) else { return BTreeMap::new() };
        let (mut new, mut kept) = (BTreeSet::new(), BTreeMap::new());
        for (at, event) in self.events[..until].iter().enumerate() {
            match event {
                Event::Link { at: to, .. } | Event::Rename { to, .. } if to.0 == folder => drop(new.insert(&to.1)),
                Event::SyncFolder { folder: synced } if *synced == folder => {
                    for name in std::mem::take(&mut new) {
                        kept.entry(name.clone()).or_insert(at);
                    }
                }
                _ => {}
            }
        }
        kept
    }

    /// The names that came into a folder and those that left it until this moment, flushed or not.
    pub fn came_and_left(&self, folder: &str, until: usize) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut came, mut left) = (BTreeSet::new(), BTreeSet::new());
        let Some(folder) = self.folder(folder) else { return (came, left) };
        for event in &self.events[..until] {
            match event {
                Event::Link { at, .. } if at.0 == folder => drop(came.insert(at.1.clone())),
                Event::Unlink { at, .. } if at.0 == folder => drop(left.insert(at.1.clone())),
                Event::Rename { from, to, .. } => {
                    if from.0 == folder {
                        left.insert(from.1.clone());
                    }
                    if to.0 == folder {
                        came.insert(to.1.clone());
                    }
                }
                _ => {}
            }
        }
        (came, left)
    }

    /// The last folder that was made at a path.
    fn folder(&self, path: &str) -> Option<Node> {
        let mut names = BTreeMap::new();
        for event in &self.events {
            if let Event::Link { node, at } = event {
                names.insert(at, *node);
            }
        }
        path.split('/').try_fold(ROOT, |folder, name| names.get(&(folder, name.to_string())).copied())
    }
}

/// Every flush of a log, with the path that the file or folder had then.
fn flushes(events: &[Event]) -> Vec<Flush> {
    let mut paths = BTreeMap::from([(ROOT, String::new())]);
    let (mut flushes, mut said) = (Vec::new(), String::new());
    let path = |paths: &BTreeMap<Node, String>, at: &Place| format!("{}/{}", paths[&at.0], at.1);
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Link { node, at: to } | Event::Rename { node, to, .. } => {
                paths.insert(*node, path(&paths, to));
            }
            Event::Sync { file: node } | Event::SyncFolder { folder: node } => {
                let is_folder = matches!(event, Event::SyncFolder { .. });
                let path = format!("{}{}", paths[node], if is_folder { "/" } else { "" });
                flushes.push(Flush { at, path, said: said.clone() });
            }
            Event::Mark(text) => said.clone_from(text),
            _ => {}
        }
    }
    flushes
}
