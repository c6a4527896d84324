//! `gridmon-status problems` and `gridmon-status grid --nagios`: what is wrong now, by the rules of the dashboard.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::status::{Level, plugin_line};
use crate::events::{Entry, Known, Now, Rules, Severity, lasted, nagios_text, now as look};
use crate::frame::{print, print_in_time};
use crate::model::utc;
use crate::setup::{self, Config};
use crate::text::{Table, count};

/// How many troubles a monitor's line names.
const NAMED: usize = 5;

/// Prints what is wrong in one system, called as its page, or in all; `grid` restricts it to one grid.
///
/// # Errors
/// Fails if there is no such system, or if the store cannot be read.
pub fn run(
    config: &Config,
    now: i64,
    system: Option<&str>,
    grid: Option<&str>,
    is_for_monitor: bool,
) -> Result<ExitCode> {
    let known: Vec<_> = config.alarms.systems.iter().map(|system| system.name).collect();
    ensure!(
        system.is_none_or(|system| known.contains(&system)),
        "there is no system {}; there are {}",
        crate::text::quote(system.unwrap_or_default()),
        known.join(", ")
    );
    let mut rules = system.map_or_else(|| config.alarms.clone(), |system| config.alarms.of(system));
    rules.only = grid.map(|grid| ("grid", grid.to_string()));
    let found = found(config, &rules, now)?;
    if is_for_monitor {
        let (level, line) = line(&found);
        print_in_time(&line);
        return Ok(ExitCode::from(level.code()));
    }
    Ok(print(&text(&found)))
}

fn found(config: &Config, rules: &Rules, now: i64) -> Result<Now> {
    look(&*setup::reader(config)?, rules, &mut Known::default(), now)
}

/// Returns the line of a monitor: CRITICAL if something is bad, WARNING if something is worse than usual, UNKNOWN if no rule
/// has a number to look at.
fn line(now: &Now) -> (Level, String) {
    let level = match now.worst() {
        Some(Severity::Bad) => Level::Critical,
        Some(_) => Level::Warning,
        None if now.checked == 0 => Level::Unknown,
        None => Level::Ok,
    };
    let of = |severity: Severity| now.entries.iter().filter(|entry| entry.event.severity == severity).count();
    let (bad, worse) = (of(Severity::Bad), of(Severity::Worse));
    let numbers = format!("bad={bad};;0;0 worse={worse};0;;0 off={};;;0 checked={};;;0", now.off.len(), now.checked);
    let mut text = nagios_text(now, NAMED);
    if let Some(notice) = &now.notice {
        text = format!("{text}; {notice}");
    }
    (level, plugin_line(level, &text, &numbers))
}

/// Returns the tables for people.
fn text(now: &Now) -> String {
    let clock = utc(now.time);
    let mut text = match (now.entries.len(), now.checked) {
        (0, 0) => format!("nothing is stored that a rule could look at, {clock}\n"),
        (0, checked) => format!("all well, {} checked, {clock}\n", count(checked, "number")),
        (entries, _) => format!("{}, {clock}\n", count(entries, "trouble")),
    };
    let mut table = Table::new(&["", "who", "what", "<for", "<more", "system"]);
    let mut row = |entry: &Entry| {
        let event = &entry.event;
        let more = if entry.more > 0 { entry.more.to_string() } else { String::new() };
        let (shape, lasted) = (event.severity.shape().to_string(), lasted(event, now.time));
        let place = [event.title, &event.section].join(" ").trim_end().to_string();
        table.row(&[shape, event.subject.clone(), event.text.clone(), lasted, more, place]);
    };
    now.entries.iter().for_each(&mut row);
    now.off.iter().for_each(|event| row(&Entry { event: event.clone(), more: 0, is_shared: false }));
    if !(now.entries.is_empty() && now.off.is_empty()) {
        text += &format!("\n{}", table.text());
    }
    if let Some(notice) = &now.notice {
        text += &format!("\n{notice}\n");
    }
    text
}
