//! Composes collect-backups: asks the nodes, judges their sets, says what is new, and remembers it.

mod ask;
mod history;
mod publish;
mod say;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use self::ask::{Asking, Heard, ask};
use self::history::Keeper;
pub use self::history::import;
pub(super) use self::history::imported;
use super::Config;
use crate::config::trusted_lossily;
use crate::frame::state::{self, State};
use crate::frame::{CheckLine, Program, Run, Setup};
use crate::model::Collected;
use crate::monitors::backups;
use crate::monitors::backups::memory::Memory;
use crate::monitors::backups::name::fits;
use crate::monitors::backups::node::NodeState;
use crate::monitors::backups::weekly;
use crate::problem::{Problem, Subject};
use crate::sinks::history::TABLES;
use crate::sources::ssh;
use crate::text::{ago, count};

/// The longest time of a mail.
const FOR_MAIL: Duration = Duration::from_secs(10);

/// The program.
pub const PROGRAM: &str = "collect-backups";

/// The name under which what lasts is remembered.
const MEMORY: &str = "backups";

/// Reads the config as [`super::load`] does, with the files of the original if it names them.
///
/// # Errors
/// Fails as [`super::load`] does, if there is no hub, and if one of these files cannot be read.
pub fn load(path: Option<&Path>, program: &Program) -> Result<(Config, Setup)> {
    let (mut config, mut setup) = super::load(path, program)?;
    // The embedded store has the table of the history in every version that can have it.
    if config.mysql.is_some() {
        setup.tables = Some(super::declared(&config, &TABLES));
    }
    let backups = &mut config.backups;
    if let Some((scm_monitor, libfab)) = backups.originals.clone() {
        let [scm_monitor, libfab] = [scm_monitor, libfab].map(|file| text_of(&file).map(|text| (text, file)));
        let ((scm, scm_name), (fab, fab_name)) = (scm_monitor?, libfab?);
        let variable = |name: &str| std::env::var(name).ok();
        backups.add_originals((&scm, &scm_name), (&fab, &fab_name), &variable)?;
    }
    backups.join()?;
    let none = "no hub is configured: add a [hub NAME] with its nodes and root, or [backups] scm_monitor and libfab";
    let unwatched = backups.unwatched.first().map(|(hub, why)| format!("; hub {hub}: {why}"));
    ensure!(!backups.hubs.is_empty(), "{none}{}", unwatched.unwrap_or_default());
    Ok((config, setup))
}

fn text_of(file: &str) -> Result<String> {
    let path = match file.strip_prefix("~/") {
        Some(below) => {
            PathBuf::from(std::env::var_os("HOME").context("HOME is not set, which ~ stands for")?).join(below)
        }
        None => PathBuf::from(file),
    };
    trusted_lossily(&path)
}

/// Returns what the last run of a grid's collect-backups knew of what is still watched, from the state directory; nothing if there
/// was none.
///
/// # Errors
/// Fails if it cannot be read.
pub fn known(config: &Config) -> Result<Memory> {
    let directory = state::directory(config.state_directory.as_deref());
    if !directory.exists() {
        return Ok(Memory::default());
    }
    let mut memory: Memory = State::open(Some(&directory), PROGRAM, &config.grid.name, false)?.recall(MEMORY)?;
    // The hubs of the original's files are not known here; the next run forgets what these no longer name.
    if config.backups.originals.is_none() {
        memory.forget_unwatched(&config.backups.hubs);
    }
    Ok(memory)
}

/// Adds a problem to the run.
fn complain_of(run: &Run<Config>, source: &str, message: String) {
    run.ask(source, || (None::<()>, vec![Problem::of_source(source, message)]));
}

/// The node of a state, as a part of the source.
fn node(state: &NodeState) -> String {
    format!("node {}", state.node)
}

/// Asks the nodes, says what is new, and returns the points. Sets `alarmed` if a set or node is in alarm.
pub fn collect(run: &Run<Config>, alarmed: &Cell<bool>) -> Collected {
    let config = &run.config.backups;
    let mut memory: Memory = run.recall(MEMORY);
    memory.forget_unwatched(&config.hubs);
    let memory = Mutex::new(memory);
    let keeper = Keeper::new(run);
    config.unwatched.iter().for_each(|(hub, why)| complain_of(run, &format!("hub {hub}"), why.clone()));
    let asked = run.ask("nodes", || {
        let for_mail = if run.config.mail.is_some() {
            FOR_MAIL.min(run.until.saturating_duration_since(Instant::now()) / 4)
        } else {
            Duration::ZERO
        };
        let (now, until, keeper) = (run.now, run.until - for_mail, Some(&keeper));
        let heard = ask(&Asking { config, memory: &memory, now, until, keeper });
        let mut problems: Vec<Problem> = Vec::new();
        for Heard { state, unchecked, .. } in &heard {
            if let Some(why) = unchecked {
                let of = format!("contents of {} on {}", state.hub, state.node);
                problems.push(Problem::of_source(of, why.clone()).asked_of(&node(state), false));
            }
            let subject = node(state);
            if let Some(why) = &state.unreachable
                && !problems.iter().any(|problem| problem.subject.to_string() == subject)
            {
                // What is said below, once.
                let problem = Problem::of_source(subject, format!("{why}; its sets stay as they were"));
                problems.push(problem.asked_of(&node(state), true).quiet());
            }
        }
        (Some(heard), problems)
    });
    // Before the run remembers: one that is killed writes the same rows again.
    keeper.finish(run);
    let Some(heard) = asked.answer() else { return Collected::default() };
    let mut states = Vec::new();
    let mut memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
    for Heard { hub, state, .. } in heard {
        let hub = &config.hubs[hub];
        let of_node = memory.hubs.entry(hub.name.clone()).or_default().entry(state.node.clone()).or_default();
        let notices = state.notices(of_node, run.now);
        state.remember(of_node, run.now);
        for notice in notices {
            memory.write(&hub.email, notice.verdict, say::line(&notice), hub.report_url.as_ref());
        }
        states.push(state);
    }
    alarmed.set(states.iter().any(|state| state.alarms() > 0));
    if let Some(day) = config.weekly {
        let notes = weekly::notes(&config.hubs, day, &states, &mut memory.wells, run.now);
        notes.into_iter().for_each(|note| memory.greet(note));
    }
    // Written down before it is said: what a run that is killed has not said, the next one says.
    let is_kept = run.is_remembered(MEMORY, &memory);
    if !memory.letters.is_empty() {
        say::say(run, &mut memory, is_kept);
        run.remember(MEMORY, &memory);
    } else {
        run.unasked(Subject::Mail);
    }
    publish::publish(run, &memory);
    backups::points(&states, run.time, run.now)
}

/// Asks every node, for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    // What is missing is only known from what was there.
    let (mut memory, unknown) = match known(config) {
        Ok(memory) => (memory, None),
        Err(error) => (Memory::default(), Some(("what was known".to_string(), Err(format!("{error:#}"))))),
    };
    let config = &config.backups;
    memory.forget_unwatched(&config.hubs);
    let (now, memory) = (Timestamp::now().as_second(), Mutex::new(memory));
    let passed_over = config.passed_over.iter().map(|what| ("passed over".to_string(), Ok(what.clone())));
    let unwatched = config.unwatched.iter().map(|(hub, why)| (format!("hub {hub}"), Err(why.clone())));
    let asking = Asking { config, memory: &memory, now, until, keeper: None };
    let heard = ask(&asking);
    let unfit: Vec<_> = unfit(config, &heard).map(|what| ("passed over".to_string(), Ok(what))).collect();
    let nodes = heard.into_iter().map(|Heard { state, .. }| {
        let name = format!("node {} of hub {}", state.node, state.hub);
        let of_node = state.notes.iter().find(|(verdict, _)| verdict.is_alarm()).map(|(_, text)| text);
        match state.unreachable.as_ref().or(of_node) {
            Some(why) => (name, Err(why.clone())),
            None => (name, Ok(found(&state))),
        }
    });
    passed_over.chain(unknown).chain(unwatched).chain(nodes).chain(unfit).collect()
}

/// Returns the `[backup_set …]` of which no set is known, of hubs whose nodes were all read.
fn unfit<'a>(config: &'a backups::Config, heard: &'a [Heard]) -> impl Iterator<Item = String> + 'a {
    config.hubs.iter().enumerate().flat_map(move |(at, hub)| {
        let of_hub: Vec<_> = heard.iter().filter(|heard| heard.hub == at).map(|heard| &heard.state).collect();
        let is_read = of_hub.iter().all(|state| state.unreachable.is_none());
        let sets: Vec<_> = of_hub.iter().flat_map(|state| &state.sets).map(|state| &state.set).collect();
        let globs = hub.exceptions.iter().map(|exception| &exception.glob).filter(move |_| is_read);
        let unfit = globs.filter(move |glob| !sets.iter().any(|set| fits(glob, set)));
        unfit.map(|glob| format!("[backup_set {} {glob}]: no set of the hub has such a name", hub.name))
    })
}

fn found(state: &NodeState) -> String {
    let missing: Vec<_> = state.sets.iter().filter(|set| set.backups == 0).map(|set| set.set.as_str()).collect();
    let backups = state.sets.iter().map(|set| set.backups).sum();
    let mut text = format!("{}, {}", count(state.sets.len(), "set"), count(backups, "backup"));
    if !missing.is_empty() {
        text += &format!("; none of {}", missing.join(", "));
    }
    for (_, note) in &state.notes {
        text += &format!("; {note}");
    }
    match state.skew_seconds {
        Some(skew) if skew.abs() > ssh::SKEW => {
            let side = if skew > 0 { "ahead of" } else { "behind" };
            format!("{text}; its clock is {} {side} ours", ago(skew.abs()))
        }
        _ => text,
    }
}
