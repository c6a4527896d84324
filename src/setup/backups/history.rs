//! The history of every backup: written by each run, and read from the database of the original.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use super::super::{Config, history};
use super::{MEMORY, complain_of};
use crate::frame::{Run, print_in_time};
use crate::model::Collected;
use crate::monitors::backups::content::Content;
use crate::monitors::backups::gather::Backup;
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::name::shown;
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
const PART: usize = 10_000;

/// Returns a backup as the history has it, with what a check of its content found.
pub fn kept(hub: &Hub, node: &str, set: &str, backup: &Backup, content: Option<Content>) -> Kept {
    let of_sidecar = match backup.seal.map(|seal| seal.bytes) {
        None => "unsealed",
        Some(Some(bytes)) if bytes != backup.bytes => "truncated",
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

/// Puts backups into the history; those that could not be put there are remembered for the next run.
pub fn keep(run: &Run<Config>, news: Vec<Kept>) {
    let waiting: Vec<Kept> = run.recall(UNKEPT);
    let waited = !waiting.is_empty();
    let all: Vec<Kept> = waiting.into_iter().chain(news).collect();
    if all.is_empty() || !run.is_live() {
        return;
    }
    let history = history(run.config, &run.directory());
    match catch(|| Ok(keep_parts(history.as_ref(), &all, run.until))).flatten() {
        Ok(Written { count: done, left_out, failed }) => {
            left_out.into_iter().for_each(|line| complain_of(run, "history", line));
            let left = &all[done..];
            if waited || !left.is_empty() {
                run.remember(UNKEPT, &left);
            }
            if let Some(error) = failed {
                complain_of(run, "history", format!("{error:#}; the next run writes {}", count(left.len(), "backup")));
            }
        }
        Err(bug) => {
            run.remember(UNKEPT, &all);
            complain_of(run, "history", format!("{bug:#}; the next run writes {}", count(all.len(), "backup")));
        }
    }
}

/// What was written of the history.
struct Written {
    /// How many backups are in the history, or never will be.
    count: usize,
    /// Which of them never will be, in words.
    left_out: Vec<String>,
    /// Why the others are not.
    failed: Option<Error>,
}

fn keep_parts(history: &dyn History, all: &[Kept], until: Instant) -> Written {
    let mut written = Written { count: 0, left_out: Vec::new(), failed: None };
    for part in all.chunks(PART) {
        match history.keep(part, until.min(Instant::now() + FOR_PART)) {
            Ok(left_out) => {
                written.count += part.len();
                // Each part says it again, if the table lacks a column.
                let new: Vec<_> = left_out.into_iter().filter(|line| !written.left_out.contains(line)).collect();
                written.left_out.extend(new);
            }
            Err(error) => {
                written.failed = Some(error);
                break;
            }
        }
    }
    written
}

/// Reads the database of the original into the history; or the history of an embedded store, which another place is to keep.
pub fn import(run: &Run<Config>, file: &Path) -> Collected {
    let done = read_into(run, file).and_then(|(rows, rest)| {
        let Written { count: written, left_out, failed } =
            keep_parts(history(run.config, &run.directory()).as_ref(), &rows, run.until);
        left_out.into_iter().for_each(|line| complain_of(run, "import", line));
        match failed {
            Some(error) => Err(error.context(format!("{} of {} imported", written, count(rows.len(), "backup")))),
            None => {
                let sets: BTreeSet<_> = rows.iter().map(|kept| (&kept.hub, &kept.node, &kept.set)).collect();
                let (rows, sets) = (count(rows.len(), "backup"), count(sets.len(), "set"));
                Ok(format!("{}: {rows} of {sets}{rest}\n", file.display()))
            }
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
        let found = run.config.backups.hubs.iter().filter_map(|hub| imported(hub, tarball)).collect::<Vec<_>>();
        foreign += usize::from(found.is_empty());
        for kept in &found {
            let nodes = memory.hubs.entry(kept.hub.clone()).or_default();
            let set = nodes.entry(kept.node.clone()).or_default().sets.entry(kept.set.clone()).or_default();
            set.newest = set.newest.max(Some(kept.time));
        }
        rows.extend(found);
    }
    // Before the rows are written: a backup that is known and not in the history is written by the next import.
    run.remember(MEMORY, &memory);
    Ok((rows, format!("; {} of no hub, or no backup", count(foreign, "row"))))
}

/// Returns a tarball of the original as the history of a hub has it; `None` if it is not one of its backups.
fn imported(hub: &Hub, tarball: &Tarball) -> Option<Kept> {
    hub.nodes.contains(&tarball.node).then_some(())?;
    // What stands behind the last variable of the root.
    let known = hub
        .root
        .rsplit_once('$')
        .map_or(hub.root.as_str(), |(_, rest)| rest.split_once('/').map_or("", |(_, rest)| rest));
    let tail = format!("/{}/", known.trim_matches('/'));
    let (_, below) = tarball.path.split_once(&tail)?;
    let (set, stamp) = hub.pattern.read(below.as_bytes(), &mut hub.pattern.scratch())?;
    // The original did not keep the times of files.
    let (time, of_stamp) = hub.zone.time(stamp, i64::MIN / 4);
    of_stamp?;
    let set = if set.is_empty() { hub.only_set().to_string() } else { shown(set) };
    let (hub, node, path) = (hub.name.clone(), tarball.node.clone(), shown(below.as_bytes()));
    Some(Kept { hub, node, set, time, path, bytes: tarball.bytes, seal: IMPORTED.into() })
}
