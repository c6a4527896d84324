//! Composes collect-backups: asks the nodes, judges their sets, says what is new, and remembers it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::Config;
use crate::config::trusted;
use crate::frame::state::{self, State};
use crate::frame::{CheckLine, Program, Run, Setup, complain};
use crate::model::Collected;
use crate::monitors::backups::alarms::{Notice, is_due};
use crate::monitors::backups::gather::Gatherer;
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::memory::{Memory, NodeMemory};
use crate::monitors::backups::name::bytes;
use crate::monitors::backups::node::{NodeState, Told};
use crate::monitors::backups::{self};
use crate::os::files::host_name;
use crate::os::mail::{Mail, Server, Unsent};
use crate::os::work::{catch, side_by_side};
use crate::problem::{Problem, Subject};
use crate::sources::ssh::{self, Node, Root, list};
use crate::text::count;

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
    let (mut config, setup) = super::load(path, program)?;
    let backups = &mut config.backups;
    if let Some((scm_monitor, libfab)) = backups.originals.clone() {
        let [scm_monitor, libfab] = [scm_monitor, libfab].map(|file| text_of(&file).map(|text| (text, file)));
        let ((scm, scm_name), (fab, fab_name)) = (scm_monitor?, libfab?);
        backups.add_originals((&scm, &scm_name), (&fab, &fab_name))?;
    }
    backups.join()?;
    let none = "no hub is configured: add a [hub NAME] with its nodes and root, or [backups] scm_monitor and libfab";
    anyhow::ensure!(!backups.hubs.is_empty(), "{none}");
    Ok((config, setup))
}

fn text_of(file: &str) -> Result<String> {
    let path = match file.strip_prefix("~/") {
        Some(below) => {
            PathBuf::from(std::env::var_os("HOME").context("HOME is not set, which ~ stands for")?).join(below)
        }
        None => PathBuf::from(file),
    };
    trusted(&path)
}

/// Returns what the last run of a grid's collect-backups knew, from the state directory; nothing if there was none.
///
/// # Errors
/// Fails if it cannot be read.
pub fn known(config: &Config) -> Result<Memory> {
    let directory = state::directory(config.state_directory.as_deref());
    if !directory.exists() {
        return Ok(Memory::default());
    }
    State::open(Some(&directory), PROGRAM, &config.grid.name, false)?.recall(MEMORY)
}

/// What one node told of one hub.
struct Heard {
    hub: usize,
    state: NodeState,
    memory: NodeMemory,
}

/// Asks every node once, for all hubs that it serves; returns the states in the order of the hubs and their nodes.
fn ask(config: &backups::Config, memory: &Memory, now: i64, until: Instant) -> Vec<Heard> {
    let mut served: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, hub) in config.hubs.iter().enumerate() {
        hub.nodes.iter().for_each(|node| served.entry(node).or_default().push(at));
    }
    let served: Vec<_> = served.into_iter().collect();
    let heard = side_by_side(served.len(), config.parallel, |at| {
        let (name, hubs) = &served[at];
        catch(|| ask_node(config, &config.nodes[*name], hubs, memory, now, until)).unwrap_or_else(|bug| {
            let unheard = |&hub: &usize| unheard(config, hub, name, bug.to_string(), memory);
            hubs.iter().map(unheard).collect()
        })
    });
    let mut heard: Vec<Heard> = heard.into_iter().flatten().collect();
    let place = |one: &Heard| config.hubs[one.hub].nodes.iter().position(|node| *node == one.state.node);
    heard.sort_by_key(|one| (one.hub, place(one)));
    heard
}

fn memory_of(memory: &Memory, hub: &Hub, node: &str) -> NodeMemory {
    memory.hubs.get(&hub.name).and_then(|nodes| nodes.get(node)).cloned().unwrap_or_default()
}

fn unheard(config: &backups::Config, hub: usize, node: &str, why: String, memory: &Memory) -> Heard {
    let of = &config.hubs[hub];
    Heard { hub, state: NodeState::unreachable(of, node, why), memory: memory_of(memory, of, node) }
}

/// Asks one node, in one login.
fn ask_node(
    config: &backups::Config,
    node: &Node,
    hubs: &[usize],
    memory: &Memory,
    now: i64,
    until: Instant,
) -> Vec<Heard> {
    let of = |at: &usize| &config.hubs[*at];
    let roots: Vec<_> = hubs.iter().map(|at| root(of(at))).collect();
    let mut gatherers: Vec<_> =
        hubs.iter().map(of).map(|hub| Gatherer::new(&hub.pattern, &hub.zone, hub.only_set())).collect();
    let clock = || Timestamp::now().as_second();
    let answer = list(node, &roots, &config.bounds, until, clock, |root, seen| {
        if let Some(gatherer) = gatherers.get_mut(root) {
            gatherer.take(seen);
        }
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return hubs.iter().map(|&hub| unheard(config, hub, &node.name, why.clone(), memory)).collect(),
    };
    let heard = gatherers.into_iter().zip(hubs).map(|(gatherer, &at)| {
        let (hub, gathered) = (&config.hubs[at], gatherer.finish());
        let told =
            Told { gathered: &gathered, said: &answer.said, skew_seconds: answer.skew_seconds, contents: &|_| None };
        let (state, memory) = NodeState::judge(hub, &node.name, &told, &memory_of(memory, hub, &node.name), now);
        Heard { hub: at, state, memory }
    });
    heard.collect()
}

/// Returns what is listed of a hub. A set that is a link is followed, if the config names it and it has a folder.
fn root(hub: &Hub) -> Root {
    let linked = hub.sets.iter().filter_map(|set| hub.pattern.folder_of(&bytes(set))).collect();
    Root { path: hub.root.clone(), linked }
}

/// Asks the nodes, says what is new, and returns the points. Sets `alarmed` if a set or node is in alarm.
pub fn collect(run: &Run<Config>, alarmed: &Cell<bool>) -> Collected {
    let config = &run.config.backups;
    let mut memory: Memory = run.recall(MEMORY);
    let asked = run.ask("nodes", || {
        let for_mail = if run.config.mail.is_some() {
            FOR_MAIL.min(run.until.saturating_duration_since(Instant::now()) / 4)
        } else {
            Duration::ZERO
        };
        let heard = ask(config, &memory, run.now, run.until - for_mail);
        let mut problems: Vec<Problem> = Vec::new();
        for Heard { state, .. } in &heard {
            let subject = format!("node {}", state.node);
            if let Some(why) = &state.unreachable
                && !problems.iter().any(|problem| problem.subject.to_string() == subject)
            {
                // What is said below, once.
                problems.push(Problem::of_source(subject, format!("{why}; its sets stay as they were")).quiet());
            }
        }
        (Some(heard), problems)
    });
    let Some(heard) = asked.answer() else { return Collected::default() };
    let mut states = Vec::new();
    for Heard { hub, state, memory: mut of_node } in heard {
        let hub = &config.hubs[hub];
        for notice in state.notices(&mut of_node, run.now) {
            memory.write(&hub.email, notice.verdict, line(&notice), hub.report_url.as_ref());
        }
        state.remember(&mut of_node, run.now);
        let nodes = memory.hubs.entry(hub.name.clone()).or_default();
        nodes.insert(state.node.clone(), of_node);
        states.push(state);
    }
    alarmed.set(states.iter().any(|state| state.alarms() > 0));
    if let Some(line) = all_well(config, &states, &mut memory, run.now) {
        let mut readers: Vec<_> = config.hubs.iter().map(|hub| hub.email.clone()).collect();
        readers.sort();
        readers.dedup();
        readers.iter().for_each(|to| memory.greet(to, line.clone()));
    }
    // Written down before it is said: what a run that is killed has not said, the next one says.
    run.remember(MEMORY, &memory);
    if !memory.letters.is_empty() {
        say(run, &mut memory);
        run.remember(MEMORY, &memory);
    }
    backups::points(&states, run.time, run.now)
}

fn line(notice: &Notice) -> String {
    let Notice { hub, node, set, text, .. } = notice;
    let set = set.as_ref().map(|set| format!(" {set}")).unwrap_or_default();
    format!("{hub} {node}{set}: {text}")
}

/// Says what is to be said: by mail if the config names a mail server, else on standard error. Keeps what the server did not
/// take for sure.
fn say(run: &Run<Config>, memory: &mut Memory) {
    let Some(server) = run.config.mail.as_ref().filter(|_| run.is_live()) else {
        // Two hubs' readers may have one line in common: that all is well.
        let mut lines: Vec<_> = memory.letters.drain(..).flat_map(|letter| letter.lines).collect();
        let mut seen = BTreeSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        return complain(PROGRAM, &lines);
    };
    let origin = format!("[gridmon {}] {PROGRAM} on {}", run.config.grid.name, host_name());
    run.ask("mail", || {
        let mut problems = Vec::new();
        memory.letters.retain(|letter| {
            let server = match letter.to.as_slice() {
                [] => server.clone(),
                to => Server { to: to.to_vec(), ..server.clone() },
            };
            let limit = FOR_MAIL.min(run.until.saturating_duration_since(Instant::now()));
            let links = letter.links.iter().map(|link| format!("See {link}"));
            let text: Vec<_> = letter.lines.iter().cloned().chain(links).collect();
            let mail = Mail::compose(&format!("{origin}: {}", letter.subject()), text.iter().map(String::as_str));
            let (kept, said) = match server.send(&mail, limit) {
                Ok(refusals) => (false, refusals),
                Err(Unsent::Rejected(why)) => (true, vec![format!("{why}; the next run sends it")]),
                Err(unsent) => (false, vec![unsent.to_string()]),
            };
            problems.extend(said.into_iter().map(|said| Problem::new(Subject::Mail, said)));
            kept
        });
        (Some(()), problems)
    });
}

/// Returns the weekly line, if all is well.
fn all_well(config: &backups::Config, states: &[NodeState], memory: &mut Memory, now: i64) -> Option<String> {
    // The first run begins the first week.
    let last = *memory.well.get_or_insert(now);
    let is_well = |state: &NodeState| state.alarms() == 0 && state.notes.is_empty();
    config.weekly.filter(|day| is_due(last.min(now), *day, now) && states.iter().all(is_well))?;
    memory.well = Some(now);
    let sets = states.iter().map(|state| state.sets.len()).sum();
    let hubs = count(config.hubs.len(), "hub");
    Some(format!("all is well: {} on {} of {hubs}", count(sets, "set"), count(states.len(), "node")))
}

/// Asks every node, for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    let config = &config.backups;
    let now = Timestamp::now().as_second();
    let passed_over = config.passed_over.iter().map(|what| ("passed over".to_string(), Ok(what.clone())));
    let nodes = ask(config, &Memory::default(), now, until).into_iter().map(|Heard { state, .. }| {
        let name = format!("node {} of hub {}", state.node, state.hub);
        match &state.unreachable {
            Some(why) => (name, Err(why.clone())),
            None => (name, Ok(found(&state))),
        }
    });
    passed_over.chain(nodes).collect()
}

fn found(state: &NodeState) -> String {
    let missing: Vec<_> = state.sets.iter().filter(|set| set.backups == 0).map(|set| set.set.as_str()).collect();
    let backups = state.sets.iter().map(|set| set.backups).sum();
    let mut text = format!("{}, {}", count(state.sets.len(), "set"), count(backups, "backup"));
    if !missing.is_empty() {
        text += &format!("; none of {}", missing.join(", "));
    }
    for (_, words) in &state.notes {
        text += &format!("; {words}");
    }
    match state.skew_seconds {
        Some(skew) if skew.abs() > ssh::SKEW => format!("{text}; its clock is {skew} s ahead of ours"),
        _ => text,
    }
}
