//! One node of one hub: its sets and itself, judged, and what is remembered of them.

use super::alarms::{Notice, follow};
use super::gather::{Backup, Gathered};
use super::hub::Hub;
use super::memory::{NodeMemory, SeenNode, SeenSet, SetMemory};
use super::name::{bytes, some_of};
use super::verdict::{Contents, Question, SetState, Verdict, closed_folder, judge};
use crate::text::{ago, count, one_line, size};

/// The state of one node of one hub.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// The hub.
    pub hub: String,
    /// The node.
    pub node: String,
    /// Why it was not read; `None` if it was.
    pub unreachable: Option<String>,
    /// Its sets, sorted by name; empty if it was not read.
    pub sets: Vec<SetState>,
    /// The warnings about the node itself.
    pub notes: Vec<(Verdict, String)>,
    /// How far its clock is ahead, in seconds.
    pub skew_seconds: Option<i64>,
    /// The bytes of its disk, and how many are free.
    pub disk: Option<(u64, u64)>,
    /// The number of sets that lie there and are not watched.
    pub unlisted: usize,
}

/// How long LOCKED may be there, in seconds.
const LOCKED: i64 = 12 * 3600;

/// How far ahead a disk is foreseen, in days.
const FORESEEN: f64 = 14.0;

/// What a node told of a hub.
pub struct Told<'a> {
    /// What lies there.
    pub gathered: &'a Gathered,
    /// What it printed on standard error.
    pub said: &'a str,
    /// How far its clock is ahead, in seconds.
    pub skew_seconds: Option<i64>,
    /// What the contents of backups say.
    pub contents: Contents<'a>,
}

impl NodeState {
    /// The state of a node that was not read, or whose root cannot be known.
    pub fn unreachable(hub: &Hub, node: &str, why: String) -> Self {
        Self {
            hub: hub.name.clone(),
            node: node.into(),
            unreachable: Some(why),
            sets: Vec::new(),
            notes: Vec::new(),
            skew_seconds: None,
            disk: None,
            unlisted: 0,
        }
    }

    /// Judges what a node told; `now` is the run's clock in unix seconds. Also returns what is to be remembered of it.
    pub fn judge(hub: &Hub, node: &str, told: &Told, memory: &NodeMemory, now: i64) -> (Self, NodeMemory) {
        let gathered = told.gathered;
        let mut memory = memory.clone();
        if let Some(why) = unread(gathered, hub) {
            return (Self::unreachable(hub, node, why), memory);
        }
        let mut state = Self { unreachable: None, ..Self::unreachable(hub, node, String::new()) };
        state.skew_seconds = told.skew_seconds;
        state.disk = gathered.disk;
        let failed = failed(gathered, told.said);
        for set in watched(hub, gathered, &memory) {
            let backups = gathered.sets.get(&set).map_or(&[][..], Vec::as_slice);
            let known = memory.sets.get(&set).cloned().unwrap_or_default();
            let contents = told.contents;
            let question = Question {
                set: &set,
                backups,
                rules: &hub.rules(&set),
                zone: &hub.zone,
                memory: &known,
                now,
                contents,
            };
            state.sets.push(judged(&question, hub, gathered, failed.as_deref()));
            let mut known: SetMemory = known;
            known.learn(backups, now + 15 * 60);
            memory.sets.insert(set, known);
        }
        state.notes = notes(&mut state.unlisted, hub, gathered, &mut memory, now);
        (state, memory)
    }

    /// Returns what to say of the node and its sets, and remembers that it was said.
    pub fn notices(&self, memory: &mut NodeMemory, now: i64) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut say = |set: Option<&str>, verdict: Verdict, text: Option<String>| {
            let notice = text.map(|text| Notice {
                hub: self.hub.clone(),
                node: self.node.clone(),
                set: set.map(String::from),
                verdict,
                text,
            });
            notices.extend(notice);
        };
        let mut present: Vec<_> = self.notes.clone();
        present.extend(self.unreachable.iter().map(|why| (Verdict::Unreachable, why.clone())));
        for verdict in [Verdict::Unreachable, Verdict::Stuck, Verdict::Unlisted, Verdict::Filling] {
            let words = present.iter().find(|(one, _)| *one == verdict).map(|(_, words)| words.as_str());
            // Of a node that was not read nothing else is known.
            if words.is_none() && self.unreachable.is_some() {
                continue;
            }
            let is = if words.is_some() { verdict } else { Verdict::Ok };
            let (after, text) = follow(memory.episodes.get(verdict.word()), is, words.unwrap_or_default(), now);
            match after {
                Some(episode) => drop(memory.episodes.insert(verdict.word().into(), episode)),
                None => drop(memory.episodes.remove(verdict.word())),
            }
            say(None, is, text);
        }
        for state in &self.sets {
            let known = memory.sets.entry(state.set.clone()).or_default();
            let (after, text) = follow(known.episode.as_ref(), state.verdict, &state.words, now);
            known.episode = after;
            say(Some(&state.set), state.verdict, text);
        }
        notices
    }

    /// Remembers what a run at `now`, in unix seconds, saw.
    pub fn remember(&self, memory: &mut NodeMemory, now: i64) {
        memory.seen = Some(SeenNode {
            asked: now,
            unreachable: self.unreachable.clone(),
            notes: self.notes.clone(),
            skew_seconds: self.skew_seconds,
            disk: self.disk,
        });
        if self.unreachable.is_some() {
            return;
        }
        for SetState { set, verdict, words, newest, backups } in &self.sets {
            let seen = SeenSet {
                read: now,
                verdict: *verdict,
                words: words.clone(),
                newest: newest.as_ref().map(|newest| newest.time),
                bytes: newest.as_ref().map(|newest| newest.bytes),
                backups: *backups,
            };
            memory.sets.entry(set.clone()).or_default().seen = Some(seen);
        }
    }

    /// Returns the number of its alarms; a node that was not read is one.
    pub fn alarms(&self) -> usize {
        let of_sets = self.sets.iter().filter(|state| state.verdict.is_alarm()).count();
        of_sets + usize::from(self.unreachable.is_some())
    }
}

/// Returns why nothing is known of a root.
fn unread(gathered: &Gathered, hub: &Hub) -> Option<String> {
    if let Some(name) = &gathered.no_variable {
        return Some(format!("its login has no variable {name}, which [hub {}] root names", hub.name));
    }
    // What `timeout` says.
    matches!(gathered.failed, Some(124 | 137)).then(|| "find did not come to its end in time".into())
}

/// Returns what find could not read, if that is neither a folder that is closed to the login nor a file that went away.
fn failed(gathered: &Gathered, said: &str) -> Option<String> {
    gathered.failed.filter(|_| gathered.closed.is_empty())?;
    let harmless = ["No such file or directory", "File system loop detected", "No such file"];
    let mut lines = said.lines().filter(|line| line.contains("find:"));
    let bad = lines.find(|line| !harmless.iter().any(|words| line.contains(words)));
    bad.map(one_line)
}

/// Returns the sets that are watched, sorted: those of the config, else those that lie or lay there.
fn watched(hub: &Hub, gathered: &Gathered, memory: &NodeMemory) -> Vec<String> {
    let mut sets: Vec<String> = match hub.sets.is_empty() {
        false => hub.sets.clone(),
        true => gathered.sets.keys().chain(memory.sets.keys()).cloned().collect(),
    };
    sets.sort();
    sets.dedup();
    sets
}

fn judged(question: &Question, hub: &Hub, gathered: &Gathered, failed: Option<&str>) -> SetState {
    let name = bytes(question.set);
    let folder = hub.pattern.folder_of(&name).unwrap_or(name);
    let state = judge(question, closed_folder(gathered, &folder, false));
    let is_missed = matches!(state.verdict, Verdict::Old | Verdict::Lost | Verdict::Vanished | Verdict::Never);
    if !is_missed {
        return state;
    }
    // What is missed may lie where nobody could look.
    let inside = closed_folder(gathered, &folder, true);
    let why = inside.map(|folder| format!("this login may not read {}", super::name::shown(folder)));
    let why = why.or_else(|| failed.map(|line| format!("find could not read all: {line}")));
    match why {
        Some(words) => SetState { verdict: Verdict::Unreadable, words, ..state },
        None if gathered.is_missing => {
            let words = format!("{}; {} is not there", state.words, hub.root);
            SetState { words, ..state }
        }
        None => state,
    }
}

/// Returns the warnings about the node itself.
fn notes(
    unlisted: &mut usize,
    hub: &Hub,
    gathered: &Gathered,
    memory: &mut NodeMemory,
    now: i64,
) -> Vec<(Verdict, String)> {
    let mut notes = Vec::new();
    if let Some(locked) = gathered.locked.filter(|locked| now - locked > LOCKED) {
        let words = format!("LOCKED has been there for {}: a copy that never ended", ago(now - locked));
        notes.push((Verdict::Stuck, words));
    }
    if !hub.sets.is_empty() {
        let others: Vec<_> = gathered.sets.keys().filter(|set| !hub.sets.contains(set)).collect();
        *unlisted = others.len();
        if !others.is_empty() {
            let words = format!(
                "{} there that [hub {}] sets does not list: {}",
                count(others.len(), "set"),
                hub.name,
                some_of(&others)
            );
            notes.push((Verdict::Unlisted, words));
        }
    }
    if let Some((_, free)) = gathered.disk {
        memory.learn_disk(free, now);
        if let Some(days) = memory.days_until_full().filter(|days| *days < FORESEEN) {
            let words = format!("its disk has {} free, and will be full in {days:.0} days", size(free));
            notes.push((Verdict::Filling, words));
        }
    }
    notes
}

/// Returns the backups that no earlier run knew, with their sets.
pub fn new_ones<'a>(gathered: &'a Gathered, memory: &NodeMemory) -> Vec<(&'a str, &'a Backup)> {
    let nothing = SetMemory::default();
    let of_set = |(set, backups): (&'a String, &'a Vec<Backup>)| {
        let known = memory.sets.get(set).unwrap_or(&nothing).clone();
        backups.iter().filter(move |backup| known.is_new(backup)).map(move |backup| (set.as_str(), backup))
    };
    gathered.sets.iter().flat_map(of_set).collect()
}
