//! One node of one hub: its sets and itself, judged, and what is remembered of them.

use super::alarms::{Notice, follow};
use super::gather::Gathered;
use super::hub::Hub;
use super::memory::{NodeMemory, SeenNode, SeenSet, SetMemory};
use super::name::{bytes, shown, some_of};
use super::verdict::{Contents, Question, SetState, Verdict, closed_folder, judge, lies_in};
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
    /// The number of sets that lie there and are not watched.
    pub unlisted: usize,
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
            let mut of_set = judged(&question, hub, gathered, failed.as_deref());
            // Then each stamp that it makes is ahead.
            if let Some(skew) = told.skew_seconds.filter(|skew| of_set.verdict == Verdict::Future && *skew > SKEW) {
                of_set.words += &format!("; the node's clock is {} ahead of ours", ago(skew));
            }
            state.sets.push(of_set);
            let mut known: SetMemory = known;
            known.learn(backups, now + 15 * 60);
            memory.sets.insert(set, known);
        }
        state.notes = notes(&mut state.unlisted, hub, gathered, &mut memory, now);
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
            let (is, words) = found.map_or((Verdict::Ok, ""), |(one, words)| (*one, words.as_str()));
            let key = verdicts[0].word();
            let (after, text) = follow(memory.episodes.get(key), is, words, now);
            match after {
                Some(episode) => drop(memory.episodes.insert(key.into(), episode)),
                None => drop(memory.episodes.remove(key)),
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
    // What `timeout` says.
    matches!(gathered.failed, Some(124 | 137)).then(|| "find did not come to its end in time".into())
}

/// Returns what find could not read, if that is neither a folder that is closed to the login nor a file that went away.
fn failed(gathered: &Gathered, said: &str) -> Option<String> {
    gathered.failed?;
    let harmless = ["No such file or directory", "File system loop detected", "No such file"];
    // The folders that are closed are known one by one.
    let is_known = |line: &str| !gathered.closed.is_empty() && line.contains("Permission denied");
    let mut lines = said.lines().filter(|line| line.contains("find:"));
    let bad = lines.find(|line| !is_known(line) && !harmless.iter().any(|words| line.contains(words)));
    bad.map(one_line)
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
    let is_missed = matches!(state.verdict, Verdict::Old | Verdict::Lost | Verdict::Vanished | Verdict::Never);
    if !is_missed {
        return state;
    }
    // What is missed may lie where nobody could look.
    let inside = closed_folder(gathered, &folder, true);
    let why = inside.map(|folder| format!("this login may not read {}", shown(folder)));
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

/// Returns what nobody can see of a node whose sets nobody named: all of them, or those of some folders.
fn unseen(hub: &Hub, gathered: &Gathered, sets: &[SetState], failed: Option<&str>) -> Option<(Verdict, String)> {
    let folder = hub.pattern.folder();
    let is_of_hub = |closed: &&[u8]| lies_in(closed, folder) || lies_in(folder, closed);
    let mut closed: Vec<&[u8]> = gathered.closed_folders().filter(is_of_hub).collect();
    let path =
        |below: &[u8]| if below.is_empty() { hub.root.clone() } else { format!("{}/{}", hub.root, shown(below)) };
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

    /// What a run says of the node and its sets: the verdicts, each with its words.
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
        let words = |skew_seconds| {
            let told = Told { gathered: &gathered, said: "", skew_seconds, contents: &|_| None };
            let (state, _) = NodeState::judge(&hub, "N", &told, &NodeMemory::default(), NOW);
            assert_eq!(state.sets[0].verdict, Verdict::Future);
            state.sets[0].words.clone()
        };
        let future = "a-20260330-120000.gz is stamped 2026-03-30 12:00 UTC, which is still to come; none counts";
        assert_eq!(words(Some(6 * HOUR)), format!("{future}; the node's clock is 6 h 0 min ahead of ours"));
        for skew in [None, Some(0), Some(100), Some(-6 * HOUR)] {
            assert_eq!(words(skew), future, "{skew:?}");
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
            let words = notices
                .into_iter()
                .map(|notice| format!("{}: {}", notice.set.unwrap_or_default(), notice.verdict.word()));
            words.collect::<Vec<_>>()
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
        for (pattern, seen, said, verdict, words) in [
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
            assert_eq!(state.notes, [(verdict, words)], "{pattern} {seen:?}");
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
            assert_eq!(state.sets[0].verdict, verdict, "{pattern} {closed}: {}", state.sets[0].words);
        }
        // None was seen at all, and the folder of all sets is closed.
        for set in [&["a"][..], &[]] {
            let mut memory = NodeMemory::default();
            let hub = hub("dumps/{set}-%Y%m%d.gz", set);
            run(&hub, &[file("dumps/a-20260330.gz", NOW)], "", &mut memory, NOW);
            let state = run(&hub, &[Seen::Closed(b"dumps")], "", &mut memory, NOW + HOUR);
            assert_eq!((state.sets[0].verdict, state.notes.len()), (Unreadable, 0), "{}", state.sets[0].words);
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
        let words = "this login may not read /b/svn/b, /b/tracs; what lies there is not watched; let it read that, or name the \
                     sets to watch in [hub L] sets";
        assert_eq!((state.notes, state.sets[0].verdict), (vec![(Verdict::Unlisted, words.into())], Verdict::Ok));
        assert!(once(&hub("{set}/%Y%m%d.gz", &["svn/a"]), &seen, "").notes.is_empty());
        // Beside the folder that the pattern begins with nothing of the hub lies.
        assert!(once(&hub("svn/{set}/%Y%m%d.gz", &[]), &[seen[0], Seen::Closed(b"tracs")], "").notes.is_empty());
    }
}
