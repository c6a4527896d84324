//! The history of every backup: written by each run, and read from the database of the original.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use super::super::{Config, history};
use super::{MEMORY, complain_of};
use crate::frame::{Run, print_in_time};
use crate::model::Collected;
use crate::monitors::backups::content::Content;
use crate::monitors::backups::gather::{Backup, digest_of};
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::name::{bytes, shown};
use crate::monitors::backups::seal::Seal;
use crate::monitors::backups::verdict::AHEAD;
use crate::os::work::catch;
use crate::sinks::embedded::Place;
use crate::sinks::history::{History, IMPORTED, Kept};
use crate::sources::tgzs::{self, Tarball};
use crate::text::count;

/// The name under which backups are remembered that could not be put into the history.
const UNKEPT: &str = "history";

/// How long a part of the history may take to be written.
const FOR_PART: Duration = Duration::from_secs(20);

/// The backups of a part: a first run may bring a million, and what is written of them need not come again.
const PART: usize = 2_500;

/// Returns a backup as the history has it, with what a check of its content found.
pub fn row(hub: &Hub, node: &str, set: &str, backup: &Backup, content: Option<Content>) -> Kept {
    let of_sidecar = match backup.seal.as_deref() {
        None => "unsealed",
        Some(&Seal::CLOSED) => "unreadable",
        Some(seal) if seal.bytes.is_some_and(|bytes| bytes != backup.bytes) => "truncated",
        Some(_) => "sealed",
    };
    Kept {
        hub: hub.name.clone(),
        node: node.into(),
        set: set.into(),
        time: backup.time,
        path: shown(&backup.path),
        bytes: backup.bytes,
        seal: content.map_or(of_sidecar, Content::word).into(),
    }
}

/// Puts backups into the history while the nodes are asked, part by part, so that a first run need not hold a million of them.
pub struct Keeper {
    writing: Mutex<Writing>,
    /// Whether some have waited since a run before.
    waited: bool,
}

/// What is being written of the history.
struct Writing {
    /// `None` if nothing is to be written.
    history: Option<Box<dyn History>>,
    until: Instant,
    /// The backups that are still to be written, in their order.
    waiting: Vec<Kept>,
    /// How many are in the history, or never will be.
    count: usize,
    /// Which of them never will be, in words.
    left_out: Vec<String>,
    /// Why the others are not.
    failed: Option<Error>,
}

impl Keeper {
    /// Begins with what could not be put there before.
    pub fn new(run: &Run<Config>) -> Self {
        let mut writing = Writing::new(run.is_live().then(|| history(run.config, &run.directory())), run.until);
        let before: Vec<Kept> = run.recall(UNKEPT);
        let waited = !before.is_empty();
        writing.take(&mut before.into_iter());
        Self { writing: Mutex::new(writing), waited }
    }

    /// Takes backups that no run before knew, or whose content was checked.
    pub fn take(&self, news: &mut dyn Iterator<Item = Kept>) {
        // What failed or panicked while it was held, `failed` says.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).take(news);
    }

    /// Writes the rest; what could not be written is remembered for the next run.
    pub fn finish(self, run: &Run<Config>) {
        let mut writing = self.writing.into_inner().unwrap_or_else(PoisonError::into_inner);
        writing.write();
        if writing.history.is_none() {
            return;
        }
        let Writing { waiting, left_out, failed, .. } = writing;
        left_out.into_iter().for_each(|line| complain_of(run, "history", line));
        if self.waited || !waiting.is_empty() {
            run.remember(UNKEPT, &waiting);
        }
        if let Some(error) = failed {
            complain_of(run, "history", format!("{error:#}; the next run writes {}", count(waiting.len(), "backup")));
        }
    }
}

impl Writing {
    fn new(history: Option<Box<dyn History>>, until: Instant) -> Self {
        Self { history, until, waiting: Vec::new(), count: 0, left_out: Vec::new(), failed: None }
    }

    fn take(&mut self, backups: &mut dyn Iterator<Item = Kept>) {
        for backup in backups {
            self.waiting.push(backup);
            if self.waiting.len() >= PART {
                self.write();
            }
        }
    }

    /// Writes what waits, unless that has failed before. The first failure ends it: a database that hangs costs one part's
    /// time, not that of all.
    fn write(&mut self) {
        let Some(history) = &self.history else { return self.waiting.clear() };
        while self.failed.is_none() && !self.waiting.is_empty() {
            let part = &self.waiting[..PART.min(self.waiting.len())];
            let until = self.until.min(Instant::now() + FOR_PART);
            match catch(|| history.keep(part, until)).flatten() {
                Ok(left_out) => {
                    self.count += part.len();
                    // Each part says it again, if the table lacks a column.
                    let new: Vec<_> = left_out.into_iter().filter(|line| !self.left_out.contains(line)).collect();
                    self.left_out.extend(new);
                    self.waiting.drain(..part.len());
                }
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

/// Reads the database of the original into the history; or the history of an embedded store, which another place is to keep.
pub fn import(run: &Run<Config>, file: &Path) -> Collected {
    let done = read_into(run, file).and_then(|(rows, rest)| {
        let sets: BTreeSet<_> = rows.iter().map(|kept| (&kept.hub, &kept.node, &kept.set)).collect();
        let (all, sets) = (count(rows.len(), "backup"), count(sets.len(), "set"));
        let mut writing = Writing::new(Some(history(run.config, &run.directory())), run.until);
        writing.take(&mut rows.into_iter());
        writing.write();
        let Writing { count: written, left_out, failed, .. } = writing;
        left_out.into_iter().for_each(|line| complain_of(run, "import", line));
        match failed {
            Some(error) => Err(error.context(format!("{written} of {all} imported"))),
            None => Ok(format!("{}: {all} of {sets}{rest}\n", file.display())),
        }
    });
    match done {
        Ok(text) => drop(print_in_time(&text)),
        Err(error) => complain_of(run, "import", format!("{error:#}; once more does no harm")),
    }
    Collected::default()
}

/// Returns the backups of a file, and what is to be said of the others.
fn read_into(run: &Run<Config>, file: &Path) -> Result<(Vec<Kept>, String)> {
    let tarballs = match tgzs::read(file) {
        Ok(tarballs) => tarballs,
        Err(error) => {
            let own = Place::new(file.to_path_buf(), &run.directory()).every_backup();
            return own.ok().flatten().map(|rows| (rows, String::new())).ok_or(error);
        }
    };
    let mut memory: Memory = run.recall(MEMORY);
    let (mut rows, mut foreign) = (Vec::new(), 0);
    for tarball in &tarballs {
        let of = |hub: &Hub| imported(hub, tarball).map(|kept| (hub.zone.earliest(kept.time), kept));
        let is_past = |newest: i64| newest <= run.now + AHEAD;
        let found: Vec<_> = run.config.backups.hubs.iter().filter_map(of).collect();
        foreign += usize::from(found.is_empty());
        // As for one that lies there: of a time to come none counts.
        for (newest, kept) in found.iter().filter(|(newest, _)| is_past(*newest)) {
            let nodes = memory.hubs.entry(kept.hub.clone()).or_default();
            let set = nodes.entry(kept.node.clone()).or_default().sets.entry(kept.set.clone()).or_default();
            if set.newest.is_none_or(|known| known < *newest) {
                (set.newest, set.newest_key) = (Some(*newest), Some(digest_of(&bytes(&kept.path))));
            }
        }
        rows.extend(found.into_iter().map(|(_, kept)| kept));
    }
    // Before the rows are written: a backup that is known and not in the history is written by the next import.
    run.remember(MEMORY, &memory);
    Ok((rows, format!("; {} of no hub, or no backup", count(foreign, "row"))))
}

/// Returns what stands behind the last variable of a root, or its `~`, without `.` and empty parts: all that is known of its path.
fn known_end(root: &str) -> String {
    let of_variable = root.rsplit_once('$').map(|(_, rest)| rest);
    let known = match of_variable.or(root.strip_prefix('~')) {
        Some(rest) => rest.split_once('/').map_or("", |(_, rest)| rest),
        None => root,
    };
    known.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// Returns what may be the path below a root, given the whole one.
fn belows<'a>(root: &str, path: &'a str) -> impl Iterator<Item = &'a str> {
    let known = known_end(root);
    let tail = if known.is_empty() { "/".into() } else { format!("/{known}/") };
    // A root without a variable is the whole beginning of a path.
    let is_whole = root.starts_with('/') && !root.contains('$');
    let ends = path.match_indices(&tail).map(|(at, tail)| (at, at + tail.len())).collect::<Vec<_>>();
    ends.into_iter().filter(move |(at, _)| !is_whole || *at == 0).map(|(_, end)| &path[end..])
}

/// Returns a tarball of the original as the history of a hub has it; `None` if it is not one of its backups.
pub fn imported(hub: &Hub, tarball: &Tarball) -> Option<Kept> {
    hub.nodes.contains(&tarball.node).then_some(())?;
    let scratch = &mut hub.pattern.scratch();
    let (below, set, stamp) = belows(&hub.root, &tarball.path).find_map(|below| {
        let (set, stamp) = hub.pattern.read(below.as_bytes(), scratch)?;
        let is_known = set.is_empty() || hub.sets.contains(&shown(set));
        // Where nothing tells where the root ends, the names of the sets do.
        (is_known || !known_end(&hub.root).is_empty()).then_some((below, set, stamp))
    })?;
    // The original did not keep the times of files.
    let (time, of_stamp) = hub.zone.time(stamp, i64::MIN / 4);
    of_stamp?;
    let set = if set.is_empty() { hub.only_set().to_string() } else { shown(set) };
    let (hub, node, path) = (hub.name.clone(), tarball.node.clone(), shown(below.as_bytes()));
    Some(Kept { hub, node, set, time, path, bytes: tarball.bytes, seal: IMPORTED.into() })
}
