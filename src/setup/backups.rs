//! Composes collect-backups: asks the nodes, judges their sets, says what is new, and remembers it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use super::{Config, store_place};
use crate::config::trusted;
use crate::frame::state::{self, State};
use crate::frame::{CheckLine, Program, Run, Setup, complain, print_in_time};
use crate::model::Collected;
use crate::monitors::backups::alarms::{Notice, is_due};
use crate::monitors::backups::chart;
use crate::monitors::backups::gather::{Backup, Gatherer};
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::memory::{Memory, NodeMemory};
use crate::monitors::backups::name::{bytes, shown};
use crate::monitors::backups::node::{NodeState, Told, new_ones};
use crate::monitors::backups::{self};
use crate::os::files::{self, host_name};
use crate::os::mail::{Mail, Server, Unsent};
use crate::os::work::{catch, side_by_side};
use crate::problem::{Problem, Subject};
use crate::sinks::embedded::history::Kept;
use crate::sources::ssh::{self, Node, Root, list};
use crate::sources::tgzs::{self, Tarball};
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
        let variable = |name: &str| std::env::var(name).ok();
        backups.add_originals((&scm, &scm_name), (&fab, &fab_name), &variable)?;
    }
    backups.join()?;
    let none = "no hub is configured: add a [hub NAME] with its nodes and root, or [backups] scm_monitor and libfab";
    ensure!(!backups.hubs.is_empty(), "{none}");
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
    /// The backups that no run before knew.
    news: Vec<Kept>,
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
    Heard { hub, state: NodeState::unreachable(of, node, why), memory: memory_of(memory, of, node), news: Vec::new() }
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
        let before = memory_of(memory, hub, &node.name);
        let news = new_ones(&gathered, &before).into_iter().map(|(set, backup)| kept(hub, &node.name, set, backup));
        let news = news.collect();
        let (state, memory) = NodeState::judge(hub, &node.name, &told, &before, now);
        Heard { hub: at, state, memory, news }
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
    let mut news = Vec::new();
    for Heard { hub, state, memory: mut of_node, news: mut of_hub } in heard {
        news.append(&mut of_hub);
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
    // First: a run that is killed before it remembers writes the same rows again.
    keep(run, news);
    // Written down before it is said: what a run that is killed has not said, the next one says.
    run.remember(MEMORY, &memory);
    if !memory.letters.is_empty() {
        say(run, &mut memory);
        run.remember(MEMORY, &memory);
    }
    write_charts(run);
    backups::points(&states, run.time, run.now)
}

/// The name under which backups are remembered that could not be put into the history.
const UNKEPT: &str = "history";

/// How long the history may wait for another writer.
const FOR_HISTORY: Duration = Duration::from_secs(5);

/// Returns a backup as the history has it.
fn kept(hub: &Hub, node: &str, set: &str, backup: &Backup) -> Kept {
    let seal = match backup.seal.map(|seal| seal.bytes) {
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
        seal: seal.into(),
    }
}

/// Puts backups into the history; those that could not be put there are remembered for the next run.
fn keep(run: &Run<Config>, news: Vec<Kept>) {
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

/// Adds a problem to the run.
fn complain_of(run: &Run<Config>, source: &str, message: String) {
    run.ask(source, || (None::<()>, vec![Problem::of_source(source, message)]));
}

/// Writes the JSON of the nodes' plots, for the hubs that have a path for it.
fn write_charts(run: &Run<Config>) {
    if !run.is_live() {
        return;
    }
    let place = store_place(run.config, &run.directory());
    for hub in &run.config.backups.hubs {
        let Some(path) = &hub.json_path else { continue };
        for node in &hub.nodes {
            let path = PathBuf::from(path.replace("%(node)s", node));
            let written = place.kept_backups(&hub.name, node).and_then(|history| {
                ensure!(path.is_absolute(), "is no path that begins with /; is a variable in it not set?");
                let sets = if hub.sets.is_empty() { history.keys().cloned().collect() } else { hub.sets.clone() };
                let json = chart::json(node, &hub.root, &sets, &history, run.now).to_string();
                files::replace(&path, 0o644, |file| Ok(file.write_all(json.as_bytes())?))
            });
            if let Err(error) = written {
                complain_of(run, "charts", format!("{}: {error:#}; it stays as it was", path.display()));
            }
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
