//! The history of every backup: written by each run, and read from the database of the original.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::{Config, store_place};
use super::{MEMORY, complain_of};
use crate::frame::{Run, print_in_time};
use crate::model::Collected;
use crate::monitors::backups::content::Content;
use crate::monitors::backups::gather::Backup;
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::name::shown;
use crate::os::work::catch;
use crate::sinks::embedded::history::Kept;
use crate::sources::tgzs::{self, Tarball};
use crate::text::count;

/// The name under which backups are remembered that could not be put into the history.
const UNKEPT: &str = "history";

/// How long the history may wait for another writer.
const FOR_HISTORY: Duration = Duration::from_secs(5);

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
    let place = store_place(run.config, &run.directory());
    let until = run.until.min(Instant::now() + FOR_HISTORY);
    match catch(|| place.keep_backups(&all, until)).flatten() {
        Ok(()) if waited => run.remember(UNKEPT, &Vec::<Kept>::new()),
        Ok(()) => {}
        Err(error) => {
            run.remember(UNKEPT, &all);
            complain_of(run, "history", format!("{error:#}; the next run writes {}", count(all.len(), "backup")));
        }
    }
}

/// Reads the database of the original into the history.
pub fn import(run: &Run<Config>, file: &Path) -> Collected {
    let done = tgzs::read(file).and_then(|tarballs| {
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
        store_place(run.config, &run.directory()).keep_backups(&rows, run.until)?;
        run.remember(MEMORY, &memory);
        let sets: BTreeSet<_> = rows.iter().map(|kept| (&kept.hub, &kept.node, &kept.set)).collect();
        let (rows, sets) = (count(rows.len(), "backup"), count(sets.len(), "set"));
        Ok(format!("{}: {rows} of {sets}; {} of no hub, or no backup\n", file.display(), count(foreign, "row")))
    });
    match done {
        Ok(text) => drop(print_in_time(&text)),
        Err(error) => complain_of(run, "import", format!("{error:#}; nothing was imported")),
    }
    Collected::default()
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
    Some(Kept { hub, node, set, time, path, bytes: tarball.bytes, seal: "imported".into() })
}
