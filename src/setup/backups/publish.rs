//! Writes the files for other people's eyes: the JSON of each node's plots, and the report.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::super::{Config, history as history_of};
use super::complain_of;
use crate::frame::Run;
use crate::monitors::backups::chart::{self, Part};
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::site::{self, HubFacts, NodeFacts};
use crate::os::files;
use crate::sinks::history::Sizes;

/// The history of a node, by set.
type History = BTreeMap<String, Sizes>;

/// Writes the JSON of the nodes' plots for the hubs that have a path for it, and the report if the config names its folder.
pub fn publish(run: &Run<Config>, memory: &Memory) {
    let config = &run.config.backups;
    if !run.is_live() {
        return;
    }
    let mut facts = Vec::new();
    for hub in &config.hubs {
        let hub_facts = HubFacts::new(&hub.name, hub.report_url.as_deref(), &hub.nodes, memory);
        if let Err(error) = publish_hub(run, hub, &hub_facts) {
            complain_of(run, "report", format!("hub {}: {error:#}; it stays as it was", hub.name));
        }
        facts.push(hub_facts);
    }
    if let Some(folder) = &config.report_directory {
        remove_hubs(folder, &facts);
        let written = site::index(&facts, run.now).iter().try_for_each(|(name, text)| put(folder, name, text));
        if let Err(error) = written {
            complain_of(run, "report", format!("{error:#}; it stays as it was"));
        }
    }
}

fn publish_hub(run: &Run<Config>, hub: &Hub, facts: &HubFacts) -> Result<()> {
    let report = run.config.backups.report_directory.as_deref();
    // The pages of nodes need no report: what is wrong with it is said at the end.
    let mut folder = report.map(|report| folder_of(report, hub));
    let mut names = BTreeSet::new();
    let kept = history_of(run.config, &run.directory());
    for node in &facts.nodes {
        let sharing = sharing(run, hub, node.node);
        let writes_page = sharing.first().is_some_and(|first| first.name == hub.name);
        if !writes_page && !matches!(folder, Some(Ok(_))) {
            continue;
        }
        let history = kept.sizes(&hub.name, node.node, run.until)?;
        if writes_page {
            let others = sharing[1..].iter().map(|other| Ok((*other, kept.sizes(&other.name, node.node, run.until)?)));
            let others = others.collect::<Result<Vec<_>>>()?;
            let all = others.iter().map(|(hub, history)| Part { hub, history });
            write_page(run, node.node, &[Part { hub, history: &history }].into_iter().chain(all).collect::<Vec<_>>());
        }
        let Some(Ok(of_hub)) = &folder else { continue };
        match put_node(run, hub, node, &history, of_hub) {
            Ok(new) => names.extend(new),
            Err(error) => folder = Some(Err(error)),
        }
    }
    let Some((report, folder)) = report.zip(folder.transpose()?) else { return Ok(()) };
    // The pages come last: what they show is there.
    site::hub(facts, run.now).iter().try_for_each(|(name, text)| put(report, name, text))?;
    remove_others(&folder, &names);
    Ok(())
}

/// Writes the plots of a node, and their JSON, into the folder of its hub; returns the names of the files.
fn put_node(run: &Run<Config>, hub: &Hub, node: &NodeFacts, history: &History, folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for row in &node.sets {
        let sizes = history.get(row.set).map(Vec::as_slice).unwrap_or_default();
        let svg = site::svg(node.node, row.set, sizes, hub.rules(row.set).fresh_seconds, run.now);
        names.push(site::plot_name(node.node, row.set));
        put(folder, &names[names.len() - 1], &svg)?;
    }
    let json = chart::json(node.node, &[Part { hub, history }], run.now).to_string();
    names.push(site::chart_name(node.node));
    put(folder, &names[names.len() - 1], &json)?;
    Ok(names)
}

/// Returns the folder of a hub in the report, which is made.
fn folder_of(report: &Path, hub: &Hub) -> Result<PathBuf> {
    ensure!(
        report.is_dir(),
        "{}: no such folder; make it, so that an unmounted disk is not written beside",
        report.display()
    );
    let folder = report.join(site::file_name(&hub.name));
    files::create_public_dir(&folder).with_context(|| folder.display().to_string())?;
    files::sweep(&folder);
    Ok(folder)
}

/// Returns the hubs that share the page of a node with a hub, in the order of the config, and itself; none if it has no page.
fn sharing<'a>(run: &Run<'a, Config>, hub: &Hub, node: &str) -> Vec<&'a Hub> {
    let Some(page) = hub.page(node) else { return Vec::new() };
    let has_page = |other: &&Hub| other.nodes.iter().any(|one| one == node) && other.page(node).as_ref() == Some(&page);
    run.config.backups.hubs.iter().filter(has_page).collect()
}

/// Writes the page of a node, which these hubs share.
fn write_page(run: &Run<Config>, node: &str, parts: &[Part]) {
    let Some(path) = parts.first().and_then(|part| part.hub.page(node)) else { return };
    let json = chart::json(node, parts, run.now).to_string();
    if let Err(error) = write_chart(&path, &json) {
        complain_of(run, "charts", format!("{}: {error:#}; it stays as it was", path.display()));
    }
}

fn write_chart(path: &Path, json: &str) -> Result<()> {
    ensure!(path.is_absolute(), "is no path that begins with /; is a variable in it not set?");
    files::replace(path, 0o644, |file| Ok(file.write_all(json.as_bytes())?))
}

/// Writes a file of the report, unless it is there with the same text: most plots change once a day.
fn put(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    if files::read(&path, 2 * text.len() as u64).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let written = files::replace(&path, 0o644, |file| Ok(file.write_all(text.as_bytes())?));
    written.with_context(|| path.display().to_string())
}

/// Removes what the report has of hubs that the config has no more: those that its index still names. What is not ours stays.
fn remove_hubs(report: &Path, facts: &[HubFacts]) {
    let index = files::read(&report.join("index.json"), MOST_INDEX).unwrap_or_default();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&index).unwrap_or_default();
    let names = rows.iter().filter_map(|row| row["hub"].as_str());
    for hub in names.filter(|name| facts.iter().all(|facts| facts.hub != *name)) {
        let folder = report.join(site::file_name(hub));
        remove_others(&folder, &BTreeSet::new());
        for page in site::PAGES {
            let _ = fs::remove_file(folder.join(page));
        }
        let _ = fs::remove_dir(folder);
    }
}

/// The longest index that is read, in bytes.
const MOST_INDEX: u64 = 64 << 20;

/// Removes the plots of sets and nodes that are no longer shown. A file of another's has no `~` in its name, or stays all the same.
fn remove_others(folder: &Path, names: &BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.contains('~')) else { continue };
        let is_plot = name.ends_with(".svg") || name.starts_with("plots~") && name.ends_with(".json");
        if is_plot && !names.contains(name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
