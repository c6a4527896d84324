//! `gridmon-status backups`: what the last run of collect-backups said of every set.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::status::{Level, plugin_line};
use crate::frame::{print, print_in_time};
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::report::{Tally, tally, text};
use crate::setup::{Config, backups};
use crate::text::{ago, count};

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

/// Returns the line of a monitor: what is wrong, and whether collect-backups itself still runs.
fn line(memory: &Memory, hub: Option<&str>, now: i64, interval: i64) -> (Level, String) {
    let Tally { sets, alarms, warnings, asked } = tally(memory, hub);
    let Some(asked) = asked else {
        return (Level::Unknown, plugin_line(Level::Unknown, "collect-backups has not run yet", ""));
    };
    let age = now - asked;
    // As for every other program.
    let missed = |runs: i64| age > runs * interval + 60;
    let silence = missed(2).then(|| format!("collect-backups ran {} ago", ago(age)));
    let level = match () {
        () if missed(5) || !alarms.is_empty() => Level::Critical,
        () if missed(2) || !warnings.is_empty() => Level::Warning,
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
