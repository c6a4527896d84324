//! One node of one hub: its sets and itself, judged, and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};

use super::alarms::{Episode, Notice, follow};
use super::gather::{Gathered, digest_of};
use super::hub::Hub;
use super::memory::{NodeMemory, SeenNode, SeenSet, SetMemory};
use super::name::{bytes, shown, some_of};
use super::verdict::{AHEAD, Contents, Question, SetState, Verdict, closed_folder, judge, lies_in};
use crate::sources::ssh::SKEW;
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
    /// What is wrong with the node itself, if it was read.
    pub notes: Vec<(Verdict, String)>,
    /// How far its clock is ahead, in seconds.
    pub skew_seconds: Option<i64>,
    /// The bytes of its disk, and how many are free.
    pub disk: Option<(u64, u64)>,
    /// In how many days its disk will be full; `None` if it does not fill, or too little is known.
    pub days_until_full: Option<f64>,
    /// The sets that lie there and are not watched.
    pub unlisted: Vec<String>,
}

/// How long LOCKED may be there, in seconds.
const LOCKED: i64 = 12 * 3600;

/// How far ahead a disk is foreseen, in days.
const FORESEEN: f64 = 14.0;

/// What is said of a node itself. Of those in one row one at most is so, and one becomes another.
const OF_NODES: [&[Verdict]; 5] = [
    &[Verdict::Unreachable],
    &[Verdict::Never, Verdict::Unreadable],
    &[Verdict::Stuck],
    &[Verdict::Unlisted],
    &[Verdict::Filling],
];

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
            days_until_full: None,
            unlisted: Vec::new(),
        }
    }

    /// Judges what a node told; `now` is the run's clock in unix seconds. Also returns what is to be remembered of it,
    /// without the digests of what the history has, if it was read.
    pub fn judge(hub: &Hub, node: &str, told: &Told, memory: &NodeMemory, now: i64) -> (Self, NodeMemory) {
        let gathered = told.gathered;
        if let Some(why) = unread(gathered, hub) {
            return (Self::unreachable(hub, node, why), memory.clone());
        }
        // The digests are the largest part, and those of now replace them.
        let NodeMemory { episodes, free, sets, seen, kept: _ } = memory;
        let (episodes, free, sets, seen) = (episodes.clone(), free.clone(), sets.clone(), seen.clone());
        let mut memory = NodeMemory { episodes, free, sets, seen, kept: BTreeMap::new() };
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
            let mut of_set = judged(&question, hub, gathered, failed.as_deref());
            // Then each stamp that it makes is ahead.
            if let Some(skew) = told.skew_seconds.filter(|skew| of_set.verdict == Verdict::Future && *skew > SKEW) {
                of_set.text += &format!("; the node's clock is {} ahead of ours", ago(skew));
            }
            state.sets.push(of_set);
            let mut known: SetMemory = known;
            known.learn(backups, &hub.zone, now + AHEAD);
            memory.sets.insert(set, known);
        }
        state.notes = notes(&mut state.unlisted, hub, gathered, &mut memory, now);
        state.days_until_full = gathered.disk.and_then(|_| memory.days_until_full());
        if hub.sets.is_empty() {
            state.notes.extend(unseen(hub, gathered, &state.sets, failed.as_deref()));
        }
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
        for verdicts in OF_NODES {
            let found = present.iter().find(|(one, _)| verdicts.contains(one));
            // Of a node that was not read nothing else is known.
            if found.is_none() && self.unreachable.is_some() {
                continue;
            }
            let (is, text) = found.map_or((Verdict::Ok, ""), |(one, text)| (*one, text.as_str()));
            let key = verdicts[0].word();
            let mut before = memory.episodes.get(key).cloned();
            let names = match is {
                Verdict::Unlisted => self.unlisted.iter().map(|name| digest_of(name.as_bytes())).collect(),
                _ => BTreeSet::new(),
            };
            before.iter_mut().for_each(|episode| episode.name(&names));
            let (after, text) = follow(before.as_ref(), is, text, now);
            match after {
                Some(episode) => drop(memory.episodes.insert(key.into(), Episode { names, ..episode })),
                None => drop(memory.episodes.remove(key)),
            }
            say(None, is, text);
        }
        for state in &self.sets {
            let known = memory.sets.entry(state.set.clone()).or_default();
            let (after, text) = follow(known.episode.as_deref(), state.verdict, &state.text, now);
            known.episode = after.map(Box::new);
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
        for SetState { set, verdict, text, newest, backups } in &self.sets {
            let seen = SeenSet {
                read: now,
                verdict: *verdict,
                text: text.clone(),
                newest: newest.as_ref().map(|newest| newest.time),
                bytes: newest.as_ref().map(|newest| newest.bytes),
                backups: *backups,
            };
            memory.sets.entry(set.clone()).or_default().seen = Some(seen);
        }
    }

    /// Returns the number of its alarms; a node that was not read is one.
    pub fn alarms(&self) -> usize {
        let own = self.notes.iter().filter(|(verdict, _)| verdict.is_alarm()).count();
        self.alarming_sets() + own + usize::from(self.unreachable.is_some())
    }

    /// Returns how many of its sets are in alarm.
    pub fn alarming_sets(&self) -> usize {
        self.sets.iter().filter(|state| state.verdict.is_alarm()).count()
    }
}

/// Returns why nothing is known of a root.
fn unread(gathered: &Gathered, hub: &Hub) -> Option<String> {
    if let Some(name) = &gathered.no_variable {
        return Some(format!("its login has no variable {name}, which [hub {}] root names", hub.name));
    }
    // What `timeout` and the shell say. After 1 find has come to its end, and named what it could not read.
    Some(match gathered.failed? {
        0 | 1 => return None,
        124 => "find did not come to its end in time".into(),
        code @ (126 | 127) => format!("find or its timeout could not be run: the code is {code}"),
        code @ 129.. => format!("find was killed by signal {}", code - 128),
        code => format!("find ended with {code}"),
    })
}

/// Returns what find could not read, if that is neither a folder that is closed to the login nor a file that went away.
fn failed(gathered: &Gathered, said: &str) -> Option<String> {
    gathered.failed?;
    let is_harmless = |line: &str| {
        line.ends_with(": No such file or directory") || line.starts_with("find: File system loop detected;")
    };
    // The folders that are closed are known one by one.
    let is_known = |line: &str| !gathered.closed.is_empty() && line.ends_with(": Permission denied");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("find: ") || line.starts_with("stat: ")).collect();
    if lines.is_empty() && gathered.closed.is_empty() {
        return Some("it failed, and did not say why".into());
    }
    lines.into_iter().find(|line| !is_known(line) && !is_harmless(line)).map(one_line)
}

/// Returns the sets that are watched, sorted: those of the config, else those that lie or lay there.
fn watched(hub: &Hub, gathered: &Gathered, memory: &NodeMemory) -> Vec<String> {
    let mut sets: Vec<String> = match hub.sets.is_empty() {
        false => hub.sets.clone(),
        true => {
            let known = memory.sets.iter().filter(|(_, known)| known.is_known()).map(|(set, _)| set);
            gathered.sets.keys().chain(known).cloned().collect()
        }
    };
    sets.sort();
    sets.dedup();
    sets
}

fn judged(question: &Question, hub: &Hub, gathered: &Gathered, failed: Option<&str>) -> SetState {
    // A set without a folder of its own may lie anywhere in that of all.
    let folder = hub.pattern.folder_of(&bytes(question.set)).unwrap_or_else(|| hub.pattern.folder().to_vec());
    let state = judge(question, closed_folder(gathered, &folder, false));
    // The folder that is the newest backup, or one within it: nobody knows how much it holds.
    if hub.pattern.is_folder
        && matches!(state.verdict, Verdict::Small | Verdict::Shrunk)
        && let Some(newest) = &state.newest
        && let Some(closed) = closed_folder(gathered, &newest.path, true)
    {
        return SetState {
            verdict: Verdict::Unreadable,
            text: format!("this login may not read {}", shown(closed)),
            ..state
        };
    }
    let is_missed = matches!(state.verdict, Verdict::Old | Verdict::Lost | Verdict::Vanished | Verdict::Never);
    if !is_missed {
        return state;
    }
    // What is missed may lie where nobody could look.
    let inside = closed_folder(gathered, &folder, true);
    let why = inside.map(|folder| format!("this login may not read {}", shown(folder)));
    let why = why.or_else(|| failed.map(|line| format!("find could not read all: {line}")));
    match why {
        Some(text) => SetState { verdict: Verdict::Unreadable, text, ..state },
        None if gathered.is_missing => {
            let text = format!("{}; {} is not there", state.text, hub.root);
            SetState { text, ..state }
        }
        None => match gathered.linked.iter().find(|linked| lies_in(linked, &folder)) {
            Some(linked) => {
                let text = format!("{}; {} is a link to a folder elsewhere, {NOT_FOLLOWED}", state.text, shown(linked));
                SetState { text, ..state }
            }
            None => state,
        },
    }
}

/// What is said of a link.
const NOT_FOLLOWED: &str = "and only sets that are links themselves, and named, are followed";

/// Returns the links to folders elsewhere that may be sets, or hold some, and that nobody watches.
fn unfollowed(hub: &Hub, gathered: &Gathered) -> Vec<String> {
    let folders = hub.sets.iter().chain(gathered.sets.keys()).filter_map(|set| hub.pattern.folder_of(&bytes(set)));
    let folders: BTreeSet<Vec<u8>> = folders.collect();
    // Without a folder of its own a set is no folder. A set may be any folder above or below another one.
    let is_watched = |linked: &[u8]| {
        let is_above = folders.range(linked.to_vec()..).next().is_some_and(|next| lies_in(next, linked));
        let mut ends = linked.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        is_above || ends.any(|end| folders.contains(&linked[..end])) || folders.contains(linked)
    };
    let may_be_set = |linked: &&Vec<u8>| hub.pattern.folder_of(b"").is_some() && lies_in(linked, hub.pattern.folder());
    let others = gathered.linked.iter().filter(may_be_set).filter(|linked| !is_watched(linked));
    others.map(|linked| shown(linked)).collect()
}

/// Returns what nobody can see of a node whose sets nobody named: all of them, or those of some folders.
fn unseen(hub: &Hub, gathered: &Gathered, sets: &[SetState], failed: Option<&str>) -> Option<(Verdict, String)> {
    let folder = hub.pattern.folder();
    let is_of_hub = |closed: &&[u8]| lies_in(closed, folder) || lies_in(folder, closed);
    let mut closed: Vec<&[u8]> = gathered.closed_folders().filter(is_of_hub).collect();
    let path = |below: &[u8]| if below.is_empty() { hub.root.clone() } else { hub.path_of(&shown(below)) };
    if sets.is_empty() {
        let (root, name) = (&hub.root, &hub.name);
        let none = format!("no backup is known on this node, and [hub {name}] names no sets");
        return Some(match (closed.first(), failed) {
            (Some(folder), _) => {
                let way = format!("let it read that folder, or correct root or pattern of [hub {name}]");
                (Verdict::Unreadable, format!("this login may not read {}; {none}; {way}", path(folder)))
            }
            (None, Some(line)) => (Verdict::Unreadable, format!("find could not read all: {line}; {none}")),
            (None, None) if gathered.is_missing => {
                (Verdict::Never, format!("{root} is not there; {none}; correct root, or mount what it should hold"))
            }
            _ => (Verdict::Never, format!("nothing in {root} fits the pattern; {none}; correct root or pattern")),
        });
    }
    // What is closed of a set that was seen is said of that set.
    let own: Vec<_> = sets.iter().filter_map(|state| hub.pattern.folder_of(&bytes(&state.set))).collect();
    closed.retain(|closed| !own.iter().any(|own| lies_in(closed, own) || lies_in(own, closed)));
    let is_said = own.is_empty() && sets.iter().any(|state| state.verdict == Verdict::Unreadable);
    (!closed.is_empty() && !is_said).then(|| {
        let named = some_of(&closed.iter().map(|folder| path(folder)).collect::<Vec<_>>());
        let way = format!("let it read that, or name the sets to watch in [hub {}] sets", hub.name);
        (Verdict::Unlisted, format!("this login may not read {named}; what lies there is not watched; {way}"))
    })
}

/// Returns the warnings about the node itself.
fn notes(
    unlisted: &mut Vec<String>,
    hub: &Hub,
    gathered: &Gathered,
    memory: &mut NodeMemory,
    now: i64,
) -> Vec<(Verdict, String)> {
    let mut notes = Vec::new();
    if let Some(locked) = gathered.locked.filter(|locked| now - locked > LOCKED) {
        let text = format!("LOCKED has been there for {}: a copy that never ended", ago(now - locked));
        notes.push((Verdict::Stuck, text));
    }
    if !hub.sets.is_empty() {
        *unlisted = gathered.sets.keys().filter(|set| !hub.sets.contains(set)).cloned().collect();
    }
    let links = unfollowed(hub, gathered);
    let mut text = Vec::new();
    if !unlisted.is_empty() {
        let sets = count(unlisted.len(), "set");
        text.push(format!("{sets} there that [hub {}] sets does not list: {}", hub.name, some_of(unlisted)));
    }
    if !links.is_empty() {
        let links = some_of(&links);
        text.push(format!("links to folders elsewhere, which only [hub {}] sets makes be followed: {links}", hub.name));
    }
    if !text.is_empty() {
        notes.push((Verdict::Unlisted, text.join("; ")));
        unlisted.extend(links);
    }
    if let Some((all, free)) = gathered.disk {
        memory.learn_disk(free, now);
        if free < all / 100 {
            notes.push((Verdict::Filling, format!("its disk is full: {} of {} is free", size(free), size(all))));
        } else if let Some(days) = memory.days_until_full().filter(|days| *days < FORESEEN) {
            let text = format!("its disk has {} free, and will be full in {days:.0} days", size(free));
            notes.push((Verdict::Filling, text));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::gather::Gatherer;
    use super::super::memory::Memory;
    use super::super::pattern::Pattern;
    use super::super::verdict::Rules;
    use super::super::zone::Zone;
    use super::*;
    use crate::sources::ssh::{Entry, Seen};

    /// 2026-03-30 06:00:00 UTC.
    const NOW: i64 = 1_774_850_400;

    const HOUR: i64 = 3600;

    fn hub(pattern: &str, sets: &[&str]) -> Hub {
        Hub {
            name: "L".into(),
            nodes: vec!["N".into()],
            root: "/b".into(),
            pattern: Pattern::new(pattern).unwrap(),
            zone: Zone::utc(),
            sets: sets.iter().map(|set| (*set).to_string()).collect(),
            email: Vec::new(),
            report_url: None,
            json_path: None,
            defaults: Rules::USUAL,
            exceptions: Vec::new(),
        }
    }

    fn file(path: &str, mtime: i64) -> Seen<'_> {
        Seen::Entry(Entry { is_folder: false, bytes: 5000, mtime, path: path.as_bytes() })
    }

    /// What a run says of the node and its sets: the verdicts, each with its text.
    fn run(hub: &Hub, seen: &[Seen], said: &str, memory: &mut NodeMemory, now: i64) -> NodeState {
        let mut gatherer = Gatherer::new(&hub.pattern, &hub.zone, hub.only_set());
        seen.iter().for_each(|seen| gatherer.take(*seen));
        let gathered = gatherer.finish();
        let told = Told { gathered: &gathered, said, skew_seconds: None, contents: &|_| None };
        let (state, after) = NodeState::judge(hub, "N", &told, memory, now);
        *memory = after;
        state
    }

    #[test]
    fn a_stamp_of_the_future_names_a_node_whose_clock_is_ahead() {
        let hub = hub("{set}-%Y%m%d-%H%M%S.gz", &["a"]);
        let mut gatherer = Gatherer::new(&hub.pattern, &hub.zone, hub.only_set());
        gatherer.take(file("a-20260330-120000.gz", NOW + 6 * HOUR));
        let gathered = gatherer.finish();
        let text = |skew_seconds| {
            let told = Told { gathered: &gathered, said: "", skew_seconds, contents: &|_| None };
            let (state, _) = NodeState::judge(&hub, "N", &told, &NodeMemory::default(), NOW);
            assert_eq!(state.sets[0].verdict, Verdict::Future);
            state.sets[0].text.clone()
        };
        let future = "a-20260330-120000.gz is stamped 2026-03-30 12:00 UTC, which is still to come; none counts";
        assert_eq!(text(Some(6 * HOUR)), format!("{future}; the node's clock is 6 h 0 min ahead of ours"));
        for skew in [None, Some(0), Some(100), Some(-6 * HOUR)] {
            assert_eq!(text(skew), future, "{skew:?}");
        }
    }

    #[test]
    fn only_what_is_or_was_there_is_watched_where_nobody_named_the_sets() {
        let (mut named, mut memory) = (hub("{set}-%Y%m%d.gz", &["a", "typo"]), NodeMemory::default());
        let mut said = |hub: &Hub, seen: &[Seen], hour: i64| {
            let mut all = Memory::default();
            all.hubs.entry("L".into()).or_default().insert("N".into(), std::mem::take(&mut memory));
            all.forget_unwatched(std::slice::from_ref(hub));
            memory = all.hubs.remove("L").unwrap().remove("N").unwrap();
            let now = NOW + hour * HOUR;
            let state = run(hub, seen, "", &mut memory, now);
            let notices = state.notices(&mut memory, now);
            state.remember(&mut memory, now);
            let text = notices
                .into_iter()
                .map(|notice| format!("{}: {}", notice.set.unwrap_or_default(), notice.verdict.word()));
            text.collect::<Vec<_>>()
        };
        let a = file("a-20260330.gz", NOW);
        assert_eq!(said(&named, &[a], 0), ["typo: never"]);
        named.sets.clear();
        let unnamed = named;
        assert!(said(&unnamed, &[a], 1).is_empty(), "the name is gone, and so is its alarm");
        // A set of which only a backup of the future was ever there is one.
        let future = file("b-20990101.gz", NOW);
        assert_eq!(said(&unnamed, &[a, future], 2), ["b: future"]);
        assert!(said(&unnamed, &[a, future], 3).is_empty());
        assert_eq!(said(&unnamed, &[a], 4), ["b: vanished"]);
        assert!(said(&unnamed, &[a], 5).is_empty());
        assert_eq!(said(&unnamed, &[a, file("b-20260330.gz", NOW)], 6), ["b: ok"]);
    }

    fn once(hub: &Hub, seen: &[Seen], said: &str) -> NodeState {
        run(hub, seen, said, &mut NodeMemory::default(), NOW)
    }

    #[test]
    fn a_node_without_any_set_is_an_alarm_with_the_way_out() {
        let none = "no backup is known on this node, and [hub L] names no sets";
        let open = "let it read that folder, or correct root or pattern of [hub L]";
        let unfit = format!("nothing in /b fits the pattern; {none}; correct root or pattern");
        let dumps = "dumps/{set}-%Y%m%d.gz";
        let (broken, denied) = ("find: './x': Input/output error", "find: './lost+found': Permission denied");
        for (pattern, seen, said, verdict, text) in [
            (
                dumps,
                vec![Seen::Missing],
                "",
                Verdict::Never,
                format!("/b is not there; {none}; correct root, or mount what it should hold"),
            ),
            (dumps, vec![], "", Verdict::Never, unfit.clone()),
            (dumps, vec![file("dumps/x", NOW)], "", Verdict::Never, unfit.clone()),
            (
                dumps,
                vec![Seen::Closed(b"")],
                "",
                Verdict::Unreadable,
                format!("this login may not read /b; {none}; {open}"),
            ),
            (
                dumps,
                vec![Seen::Closed(b"dumps")],
                "",
                Verdict::Unreadable,
                format!("this login may not read /b/dumps; {none}; {open}"),
            ),
            (dumps, vec![Seen::Closed(b"other"), Seen::Failed(1)], "", Verdict::Never, unfit.clone()),
            ("{set}.gz", vec![Seen::Closed(b"lost+found"), Seen::Failed(1)], denied, Verdict::Never, unfit.clone()),
            (
                "{set}.gz",
                vec![Seen::Closed(b"x/y")],
                "",
                Verdict::Unreadable,
                format!("this login may not read /b/x/y; {none}; {open}"),
            ),
            (
                "{set}.gz",
                vec![Seen::Failed(1)],
                broken,
                Verdict::Unreadable,
                format!("find could not read all: {broken}; {none}"),
            ),
        ] {
            let state = once(&hub(pattern, &[]), &seen, said);
            assert_eq!(state.notes, [(verdict, text)], "{pattern} {seen:?}");
            assert_eq!((state.alarms(), state.alarming_sets(), state.unreachable), (1, 0, None));
        }
        // Of sets that have names each says so itself.
        let named = once(&hub(dumps, &["a"]), &[Seen::Missing], "");
        assert_eq!((named.notes.len(), named.sets[0].verdict), (0, Verdict::Never));
    }

    #[test]
    fn it_is_said_at_its_onset_when_it_becomes_another_and_when_it_is_over() {
        let (hub, mut memory) = (hub("{set}-%Y%m%d.gz", &[]), NodeMemory::default());
        let mut said = |seen: &[Seen], hour: i64| {
            let now = NOW + hour * HOUR;
            let notices = run(&hub, seen, "", &mut memory, now).notices(&mut memory, now);
            notices.into_iter().map(|notice| notice.text.split(';').next().unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(said(&[Seen::Missing], 0), ["never: /b is not there"]);
        assert!(said(&[Seen::Missing], 1).is_empty());
        assert_eq!(said(&[Seen::Closed(b"")], 2), ["unreadable: this login may not read /b"]);
        assert_eq!(said(&[file("a-20260330.gz", NOW)], 3), ["well again, after 3 h 0 min (unreadable)"]);
        // From now on it is known what should be there.
        assert_eq!(said(&[Seen::Missing], 4), ["vanished: no backup is left"]);
    }

    #[test]
    fn a_find_that_does_not_end_by_itself_tells_nothing() {
        for (code, why) in [
            (124, "find did not come to its end in time"),
            (127, "find or its timeout could not be run: the code is 127"),
            (137, "find was killed by signal 9"),
            (139, "find was killed by signal 11"),
            (143, "find was killed by signal 15"),
            (2, "find ended with 2"),
        ] {
            for seen in [&[Seen::Failed(code)][..], &[Seen::Failed(code), Seen::Failed(1)]] {
                let state = once(&hub("{set}-%Y%m%d.gz", &["a"]), seen, "");
                assert_eq!((state.unreachable.as_deref(), state.sets.len()), (Some(why), 0), "{code}");
            }
        }
        // It came to its end, and something is not explained.
        let old = file("a-20260327.gz", NOW - 50 * HOUR);
        let verdict = |seen: &[Seen], said| once(&hub("{set}-%Y%m%d.gz", &["a"]), seen, said).sets[0].verdict;
        assert_eq!(verdict(&[old, Seen::Failed(1)], ""), Verdict::Unreadable);
        assert_eq!(verdict(&[old, Seen::Failed(1)], "find: ./x: No such file or directory"), Verdict::Old);
        let odd = "find: './No such file or directory': Input/output error";
        assert_eq!(verdict(&[old, Seen::Failed(1)], odd), Verdict::Unreadable, "a name says what an error says");
    }

    #[test]
    fn a_full_disk_is_said_by_the_first_run() {
        let full = |free| {
            once(&hub("{set}-%Y%m%d.gz", &["a"]), &[file("a-20260330.gz", NOW), Seen::Disk(1_000_000, free)], "").notes
        };
        assert_eq!(full(0), [(Verdict::Filling, "its disk is full: 0 B of 1.0 MB is free".into())]);
        assert_eq!(full(9_999)[0].0, Verdict::Filling);
        assert!(full(10_000).is_empty());
    }

    #[test]
    fn a_second_unlisted_set_is_said_when_it_comes() {
        let (hub, mut memory) = (hub("{set}-%Y%m%d.gz", &["a"]), NodeMemory::default());
        let [a, b, c] = ["a-20260330.gz", "b-20260330.gz", "c-20260330.gz"].map(|path| file(path, NOW));
        let mut said = |seen: &[Seen], hour: i64| {
            let now = NOW + hour * HOUR;
            let notices = run(&hub, seen, "", &mut memory, now).notices(&mut memory, now);
            notices.into_iter().map(|notice| notice.text).collect::<Vec<_>>()
        };
        assert_eq!(said(&[a, b], 0), ["unlisted: 1 set there that [hub L] sets does not list: b"]);
        assert!(said(&[a, b], 1).is_empty());
        let both = "unlisted: 2 sets there that [hub L] sets does not list: b, c; for 2 h 0 min";
        assert_eq!(said(&[a, b, c], 2), [both]);
        assert!(said(&[a, b, c], 3).is_empty() && said(&[a, c], 4).is_empty(), "one is gone");
        assert_eq!(said(&[a], 5), ["well again, after 5 h 0 min (unlisted)"]);
    }

    #[test]
    fn a_set_that_had_sidecars_misses_them_also_when_the_purge_took_the_last_one() {
        let (hub, mut memory) = (hub("{set}-%Y%m%d.gz", &["a"]), NodeMemory::default());
        let mut verdict =
            |seen: &[Seen], hour: i64| run(&hub, seen, "", &mut memory, NOW + hour * HOUR).sets[0].verdict;
        let (sealed, bare) = (file("a-20260330.gz", NOW), file("a-20260331.gz", NOW + 24 * HOUR));
        assert_eq!(verdict(&[sealed, Seen::Seal(b"a-20260330.gz.dna", b"{'size': 5000}")], 1), Verdict::Ok);
        assert_eq!(verdict(&[bare], 25), Verdict::Ok, "it may be arriving");
        assert_eq!(verdict(&[bare], 27), Verdict::Unsealed);
        let (hub, mut memory) = (self::hub("{set}-%Y%m%d.gz", &["a"]), NodeMemory::default());
        assert_eq!(
            run(&hub, &[bare], "", &mut memory, NOW + 27 * HOUR).sets[0].verdict,
            Verdict::Ok,
            "it never had one"
        );
    }

    #[test]
    fn a_dead_file_beside_its_log_is_small_and_a_cut_one_truncated() {
        let hub = hub("{set}-%Y%m%d-%H%M%S.*", &["a"]);
        let empty = Seen::Entry(Entry { is_folder: false, bytes: 0, mtime: NOW, path: b"a-20260330-010000.vma" });
        let state = once(&hub, &[empty, file("a-20260330-010000.log", NOW)], "");
        let text = "the newest, of 2026-03-30 01:00 UTC, has another file beside it, and that has no byte";
        assert_eq!((state.sets[0].verdict, state.sets[0].text.as_str()), (Verdict::Small, text));
        let cut = Seen::Entry(Entry { is_folder: false, bytes: 400, mtime: NOW, path: b"a-20260330-010000.vma" });
        let seal = Seen::Seal(b"a-20260330-010000.vma.dna", b"{'size': 500}");
        let state = once(&hub, &[cut, file("a-20260330-010000.log", NOW), seal], "");
        // The log itself has no sidecar: its file says more.
        assert!(matches!(state.sets[0].verdict, Verdict::Truncated), "{:?}", state.sets[0]);
    }

    #[test]
    fn a_stale_stamp_of_an_unknown_zone_is_not_of_the_future() {
        let stale = Hub { zone: Zone::Unknown, ..hub("{set}-%Y%m%d-%H%M%S.gz", &["a"]) };
        let state = once(&stale, &[file("a-20260330-104702.gz", NOW - 60 * HOUR)], "");
        assert_eq!(state.sets[0].verdict, Verdict::Stale, "{}", state.sets[0].text);
        let far = once(&stale, &[file("a-20260331-104702.gz", NOW - 60 * HOUR)], "");
        assert_eq!(far.sets[0].verdict, Verdict::Future);
    }

    #[test]
    fn a_file_that_grows_while_it_is_looked_at_is_no_backup_before_itself() {
        let fixed = Hub { zone: Zone::Unknown, ..hub("{set}.gz", &["a"]) };
        let mut memory = NodeMemory::default();
        let grown = |path: &'static str, bytes, hour: i64| {
            Seen::Entry(Entry { is_folder: false, bytes, mtime: NOW + hour * HOUR, path: path.as_bytes() })
        };
        let dated = Hub { zone: Zone::Unknown, ..hub("{set}-%Y%m%d.gz", &["a"]) };
        for hour in 0..10 {
            let seen = [grown("a-20260330.gz", 1_000_000 * (hour as u64 + 1), hour)];
            run(&dated, &seen, "", &mut memory, NOW + hour * HOUR);
        }
        let next = [grown("a-20260330.gz", 10_000_000, 9), grown("a-20260331.gz", 3_000_000, 24)];
        let state = run(&dated, &next, "", &mut memory, NOW + 24 * HOUR);
        assert_eq!(state.sets[0].verdict, Verdict::Shrunk, "{}", state.sets[0].text);
        // A time that was set back is the same backup, and not one that is lost.
        let mut memory = NodeMemory::default();
        run(&fixed, &[grown("a.gz", 5000, 0)], "", &mut memory, NOW);
        let state = run(&fixed, &[grown("a.gz", 5000, -50)], "", &mut memory, NOW + HOUR);
        assert_eq!(state.sets[0].verdict, Verdict::Old, "{}", state.sets[0].text);
    }

    #[test]
    fn a_newest_folder_that_is_closed_is_unreadable_and_not_small() {
        let folder = |path: &'static str, mtime| {
            Seen::Entry(Entry { is_folder: true, bytes: 4096, mtime, path: path.as_bytes() })
        };
        let hub = hub("vm/{set}/%Y-%m-%dT%H:%M:%SZ/", &["1"]);
        let (before, newest) = ("vm/1/2026-03-29T01:00:00Z", "vm/1/2026-03-30T01:00:00Z");
        let mut seen = vec![
            folder(before, NOW - 29 * HOUR),
            file("vm/1/2026-03-29T01:00:00Z/x", NOW - 29 * HOUR),
            folder(newest, NOW - 5 * HOUR),
        ];
        assert_eq!(once(&hub, &seen, "").sets[0].verdict, Verdict::Small);
        seen.push(Seen::Closed(newest.as_bytes()));
        let state = once(&hub, &seen, "");
        let text = "this login may not read vm/1/2026-03-30T01:00:00Z";
        assert_eq!((state.sets[0].verdict, state.sets[0].text.as_str()), (Verdict::Unreadable, text));
    }

    #[test]
    fn links_to_folders_elsewhere_are_named() {
        let old = file("svn/a/20260327.gz", NOW - 50 * HOUR);
        let seen = [old, Seen::Linked(b"svn/a/2026"), Seen::Linked(b"svn/b"), Seen::Linked(b"c/d")];
        let state = once(&hub("{set}/%Y%m%d.gz", &["svn/a", "c"]), &seen, "");
        let text = &state.sets.iter().find(|state| state.set == "svn/a").unwrap().text;
        assert!(text.contains("; svn/a/2026 is a link to a folder elsewhere, "), "{text}");
        let links = "links to folders elsewhere, which only [hub L] sets makes be followed: svn/b";
        assert_eq!(state.notes, [(Verdict::Unlisted, links.into())]);
        let unnamed = once(&hub("{set}/%Y%m%d.gz", &[]), &[file("svn/a/20260330.gz", NOW), seen[1], seen[2]], "");
        assert_eq!(unnamed.notes, [(Verdict::Unlisted, links.into())]);
        // There a set is no folder.
        let files = once(&hub("{set}-%Y%m%d.gz", &["a"]), &[file("a-20260330.gz", NOW), seen[2]], "");
        assert!(files.notes.is_empty());
    }

    #[test]
    fn a_set_that_is_missed_is_unreadable_where_it_may_lie() {
        use Verdict::{Old, Unreadable};
        let old = NOW - 50 * HOUR;
        for (pattern, path, closed, verdict) in [
            ("dumps/{set}-%Y%m%d.gz", "dumps/a-20260327.gz", "dumps", Unreadable),
            ("dumps/{set}-%Y%m%d.gz", "dumps/a-20260327.gz", "dumps/x", Unreadable),
            ("dumps/{set}-%Y%m%d.gz", "dumps/a-20260327.gz", "other", Old),
            ("daily/*/{set}/%Y%m%d.gz", "daily/1/a/20260327.gz", "daily/2", Unreadable),
            ("%Y/{set}/%Y%m%d.gz", "2026/a/20260327.gz", "2025", Unreadable),
            ("%Y/{set}/%Y%m%d.gz", "2026/a/20260327.gz", "lost+found", Old),
            ("regex:dumps/(?P<set>a)-.*", "dumps/a-1", "x", Unreadable),
            ("{set}/%Y%m%d.gz", "a/20260327.gz", "a/x", Unreadable),
            ("{set}/%Y%m%d.gz", "a/20260327.gz", "b", Old),
            // A pattern without {set} has one set, by whatever name.
            ("dumps/%Y%m%d.gz", "dumps/20260327.gz", "dumps/2026", Unreadable),
            ("dumps/%Y%m%d.gz", "dumps/20260327.gz", "a", Old),
        ] {
            let state = once(&hub(pattern, &["a"]), &[file(path, old), Seen::Closed(closed.as_bytes())], "");
            assert_eq!(state.sets[0].verdict, verdict, "{pattern} {closed}: {}", state.sets[0].text);
        }
        // None was seen at all, and the folder of all sets is closed.
        for set in [&["a"][..], &[]] {
            let mut memory = NodeMemory::default();
            let hub = hub("dumps/{set}-%Y%m%d.gz", set);
            run(&hub, &[file("dumps/a-20260330.gz", NOW)], "", &mut memory, NOW);
            let state = run(&hub, &[Seen::Closed(b"dumps")], "", &mut memory, NOW + HOUR);
            assert_eq!((state.sets[0].verdict, state.notes.len()), (Unreadable, 0), "{}", state.sets[0].text);
        }
        // One that is not missed is well.
        let well = [file("dumps/a-20260330.gz", NOW), Seen::Closed(b"dumps/x")];
        assert_eq!(once(&hub("dumps/{set}-%Y%m%d.gz", &["a"]), &well, "").sets[0].verdict, Verdict::Ok);
        // Another error beside a closed folder is not lost.
        let said = "find: './lost+found': Permission denied\nfind: './a': Input/output error";
        let seen = [file("a/20260327.gz", old), Seen::Closed(b"lost+found"), Seen::Failed(1)];
        assert_eq!(once(&hub("{set}/%Y%m%d.gz", &["a"]), &seen, said).sets[0].verdict, Unreadable);
    }

    #[test]
    fn a_closed_folder_whose_sets_nobody_saw_is_a_warning() {
        let seen = [
            file("svn/a/20260330.gz", NOW),
            Seen::Closed(b"lost+found"),
            Seen::Closed(b"svn/a/2019"),
            Seen::Closed(b"svn/b"),
            Seen::Closed(b"tracs"),
        ];
        let state = once(&hub("{set}/%Y%m%d.gz", &[]), &seen, "");
        let text = "this login may not read /b/svn/b, /b/tracs; what lies there is not watched; let it read that, or name the \
                     sets to watch in [hub L] sets";
        assert_eq!((state.notes, state.sets[0].verdict), (vec![(Verdict::Unlisted, text.into())], Verdict::Ok));
        assert!(once(&hub("{set}/%Y%m%d.gz", &["svn/a"]), &seen, "").notes.is_empty());
        // Beside the folder that the pattern begins with nothing of the hub lies.
        assert!(once(&hub("svn/{set}/%Y%m%d.gz", &[]), &[seen[0], Seen::Closed(b"tracs")], "").notes.is_empty());
    }
}
