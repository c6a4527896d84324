//! `gridmon-status backups`: what the last run of collect-backups said of every set, and each backup that was ever seen of one.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::status::{Level, plugin_line};
use crate::frame::{print, print_in_time, state};
use crate::model::utc;
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::name::some_of;
use crate::monitors::backups::page::digest;
use crate::monitors::backups::report::{Tally, tally, text};
use crate::setup::{Config, backups, history as history_of};
use crate::sinks::history::{Kept, OfSet};
use crate::text::{Table, ago, count, one_line, quote, size};

/// How many names a monitor's line has.
const NAMED: usize = 5;

/// Prints the tables of one hub or of all, or the line of a monitor.
///
/// # Errors
/// Fails if nothing is known: collect-backups has not run, or its state cannot be read.
pub fn run(config: &Config, now: i64, hub: Option<&str>, is_for_monitor: bool) -> Result<ExitCode> {
    let memory = backups::known(config)?;
    if is_for_monitor {
        let (level, line) = line(&memory, hub, now, config.backups.interval_seconds as i64);
        print_in_time(&line);
        return Ok(ExitCode::from(level.code()));
    }
    let shown = text(&memory, hub, now);
    if shown.is_empty() {
        let called = hub.map(|hub| format!(" called {hub:?}")).unwrap_or_default();
        bail!("no hub{called} is known; run collect-backups");
    }
    Ok(print(&shown))
}

/// How long the history may take to be read.
const FOR_HISTORY: Duration = Duration::from_secs(50);

/// Prints every backup of a set on a node, given as `NODE/SET`, of one hub or of each that has the node.
///
/// # Errors
/// Fails if the history cannot be read, or has no such backup.
pub fn history(config: &Config, hub: Option<&str>, of: &str) -> Result<ExitCode> {
    let (node, set) = of.split_once('/').with_context(|| format!("{} is not NODE/SET", quote(of)))?;
    let memory = backups::known(config)?;
    let known = memory.hubs.iter().filter(|(name, _)| hub.is_none_or(|hub| hub == *name));
    let known: Vec<_> = known.filter_map(|(name, nodes)| Some((name, nodes.get(node)?))).collect();
    if known.is_empty() {
        let nodes: BTreeSet<_> = memory.hubs.values().flat_map(|nodes| nodes.keys().map(String::as_str)).collect();
        let of_hub = hub.map(|hub| format!(" in hub {}", quote(hub))).unwrap_or_default();
        let nodes = nodes.into_iter().collect::<Vec<_>>();
        let nodes = if nodes.is_empty() { "none is; run collect-backups".into() } else { nodes.join(", ") };
        bail!("no node called {} is known{of_hub}; known: {nodes}", quote(node));
    }
    let directory = state::directory(config.state_directory.as_deref());
    let kept = history_of(config, &directory);
    let mut texts = Vec::new();
    for (name, _) in &known {
        let asked = OfSet { hub: (*name).clone(), node: node.into(), set: set.into() };
        let rows = kept.newest(&asked, usize::MAX, Instant::now() + FOR_HISTORY)?;
        let mut table = Table::new(&["time", "<size", "digest", "path"]);
        for Kept { time, path, bytes, seal, .. } in &rows {
            table.row(&[utc(*time), size(*bytes), digest(seal).into(), one_line(path)]);
        }
        if !rows.is_empty() {
            texts.push(format!("hub {}, {} on {node}\n\n{}", one_line(name), one_line(set), table.text()));
        }
    }
    if texts.is_empty() {
        let sets: BTreeSet<_> = known.iter().flat_map(|(_, node)| node.sets.keys().chain(node.kept.keys())).collect();
        bail!(
            "no backup of {} on {node} was ever seen; of {}",
            quote(set),
            some_of(&sets.into_iter().collect::<Vec<_>>())
        );
    }
    Ok(print(&texts.join("\n")))
}

/// Returns the line of a monitor: what is wrong, and whether collect-backups itself still runs.
fn line(memory: &Memory, hub: Option<&str>, now: i64, interval: i64) -> (Level, String) {
    let Tally { sets, alarms, warnings, asked } = tally(memory, hub);
    let Some(asked) = asked else {
        let why = match hub {
            Some(hub) if !memory.hubs.is_empty() => format!("no hub called {} is known", quote(hub)),
            _ => "collect-backups has not run yet".into(),
        };
        return (Level::Unknown, plugin_line(Level::Unknown, &why, ""));
    };
    let age = now - asked;
    // As for every other program.
    let missed = |runs: i64| age > runs * interval + 60;
    // A clock was ahead, or is behind: nobody knows whether it still runs.
    let is_ahead = age < -60;
    let silence = missed(2).then(|| format!("collect-backups ran {} ago", ago(age)));
    let silence =
        silence.or(is_ahead.then(|| format!("collect-backups ran {} in the future: a clock is wrong", ago(-age))));
    let level = match () {
        () if missed(5) || !alarms.is_empty() => Level::Critical,
        () if missed(2) || is_ahead || !warnings.is_empty() => Level::Warning,
        () => Level::Ok,
    };
    let mut said: Vec<String> = silence.into_iter().collect();
    said.extend(alarms.iter().chain(&warnings).take(NAMED).cloned());
    let more = (alarms.len() + warnings.len()).saturating_sub(NAMED);
    said.extend((more > 0).then(|| format!("{more} more")));
    if said.is_empty() {
        said.push(format!("{} well", count(sets, "set")));
    }
    let numbers = format!("sets={sets} alarms={};;0 warnings={};0 age={age}s", alarms.len(), warnings.len());
    (level, plugin_line(level, &said.join(", "), &numbers))
}
