//! What one run leaves to the next: what was known of each set, and what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::alarms::Episode;
use super::content::Checked;
use super::gather::Backup;
use super::hub::Hub;
use super::verdict::Verdict;
use super::weekly::WeeklyNote;
use super::zone::Zone;
use crate::text::count;

/// What all hubs' nodes left, by hub and node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// By hub, then by node.
    pub hubs: BTreeMap<String, BTreeMap<String, NodeMemory>>,
    /// When it was last said of a hub that it is well, or its first run, in unix seconds.
    pub wells: BTreeMap<String, i64>,
    /// The same of all hubs, as versions before this one left it.
    #[serde(skip_serializing)]
    pub well: Option<i64>,
    /// What is to be said and was not, for sure.
    pub letters: Vec<Letter>,
}

/// What is to be said to some people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Letter {
    /// Their addresses; empty for those of `[mail]`.
    pub to: Vec<String>,
    /// The number of alarms that began or go on, warnings, and ends of either.
    pub counts: [usize; 3],
    /// The lines, as many as it has room for.
    pub lines: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Where more can be seen.
    pub links: BTreeSet<String>,
    /// Whether a run began to send it. If the run did not end well, the mail server may have it.
    pub is_handed: bool,
}

/// The most lines of a letter that waits.
const LINES: usize = 1000;

impl Memory {
    /// Forgets what was seen and said of hubs, nodes and sets that are no longer watched: nobody looks at them any more. What was
    /// known of their backups stays, for the day that they are watched again.
    pub fn forget_unwatched(&mut self, hubs: &[Hub]) {
        for (name, nodes) in &mut self.hubs {
            let hub = hubs.iter().find(|hub| hub.name == *name);
            let sets: BTreeSet<&String> = hub.into_iter().flat_map(|hub| &hub.sets).collect();
            for (node, known) in nodes {
                let hub = hub.filter(|hub| hub.nodes.contains(node));
                if hub.is_none() {
                    (known.seen, known.episodes) = (None, BTreeMap::new());
                }
                let is_watched = |set: &String, known: &SetMemory| {
                    hub.is_some() && (sets.contains(set) || sets.is_empty() && known.is_known())
                };
                for (_, known) in known.sets.iter_mut().filter(|(set, known)| !is_watched(set, known)) {
                    (known.seen, known.episode) = (None, None);
                }
                known.sets.retain(|_, known| *known != SetMemory::default());
            }
        }
        self.wells.retain(|name, _| hubs.iter().any(|hub| hub.name == *name));
        if let Some(well) = self.well.take() {
            self.wells.extend(hubs.iter().map(|hub| (hub.name.clone(), well)));
        }
    }

    /// Adds a line to the letter of these people, with where more can be seen.
    pub fn write(&mut self, to: &[String], verdict: Verdict, line: String, link: Option<&String>) {
        let letter = self.letter(to);
        letter.counts[if verdict == Verdict::Ok { 2 } else { usize::from(!verdict.is_alarm()) }] += 1;
        if letter.lines.len() < LINES {
            letter.lines.push(line);
        } else {
            letter.more += 1;
        }
        letter.links.extend(link.cloned());
    }

    /// Returns the letter to these people that nobody began to send.
    fn letter(&mut self, to: &[String]) -> &mut Letter {
        let at = self.letters.iter().position(|letter| letter.to == to && !letter.is_handed).unwrap_or_else(|| {
            self.letters.push(Letter { to: to.to_vec(), ..Letter::default() });
            self.letters.len() - 1
        });
        &mut self.letters[at]
    }

    /// Adds the weekly note to the letter of its people.
    pub fn greet(&mut self, WeeklyNote { to, line, lasting }: WeeklyNote) {
        let letter = self.letter(&to);
        letter.lines.push(line);
        // Those that began in this run are among those that last.
        letter.counts.iter_mut().zip(lasting).for_each(|(count, lasting)| *count = lasting.max(*count));
    }
}

impl Letter {
    /// Returns its lines, with one that says how many more there are.
    pub fn text(&self) -> impl Iterator<Item = String> + '_ {
        let more = (self.more > 0).then(|| format!("and {} more; see gridmon-status backups", self.more));
        self.lines.iter().cloned().chain(more)
    }

    /// Returns what it is about: `2 alarms, 1 well again`.
    pub fn subject(&self) -> String {
        let [alarms, warnings, ends] = self.counts;
        let mut parts = Vec::new();
        parts.extend((alarms > 0).then(|| count(alarms, "alarm")));
        parts.extend((warnings > 0).then(|| count(warnings, "warning")));
        parts.extend((ends > 0).then(|| format!("{ends} well again")));
        if parts.is_empty() { "all is well".into() } else { parts.join(", ") }
    }
}

/// The digests of a set's backups, by week, as weeks since 1970, oldest first. A list, since there are many of them: a map takes
/// three times the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<i64, u64>", into = "BTreeMap<i64, u64>")]
pub struct Weeks(Box<[(i64, u64)]>);

impl Weeks {
    /// Returns the digest of a week; `None` if nothing is known of it.
    pub fn of(&self, week: i64) -> Option<u64> {
        let at = self.0.binary_search_by_key(&week, |(week, _)| *week).ok()?;
        Some(self.0[at].1)
    }
}

impl From<BTreeMap<i64, u64>> for Weeks {
    fn from(digests: BTreeMap<i64, u64>) -> Self {
        Self(digests.into_iter().collect())
    }
}

impl From<Weeks> for BTreeMap<i64, u64> {
    fn from(weeks: Weeks) -> Self {
        weeks.0.into_iter().collect()
    }
}

/// What one node left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeMemory {
    /// What was said of the node, by the word of its verdict: `unreachable`, `stuck`.
    pub episodes: BTreeMap<String, Episode>,
    /// The least free bytes of its disk by day, as days since 1970, oldest first.
    pub free: Vec<(i64, u64)>,
    /// Its sets.
    #[serde(deserialize_with = "packed")]
    pub sets: BTreeMap<String, SetMemory>,
    /// What the history has of what lies there, watched or not: by set and week, a digest of its backups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "packed")]
    pub kept: BTreeMap<String, Weeks>,
    /// What the last run saw of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenNode>,
}

/// What a run saw of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenNode {
    /// When it was asked, in unix seconds.
    pub asked: i64,
    /// Why it was not read; `None` if it was.
    pub unreachable: Option<String>,
    /// The warnings about it, each with its words.
    pub notes: Vec<(Verdict, String)>,
    /// How far its clock was ahead, in seconds.
    pub skew_seconds: Option<i64>,
    /// The bytes of its disk, and how many were free.
    pub disk: Option<(u64, u64)>,
}

/// What a run saw of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenSet {
    /// When it was read, in unix seconds.
    pub read: i64,
    /// What was said of it.
    pub verdict: Verdict,
    /// That as text; empty if it was well.
    #[serde(rename = "words")]
    pub text: String,
    /// The time of its newest backup in unix seconds, if it had one.
    pub newest: Option<i64>,
    /// The size of that, in bytes.
    pub bytes: Option<u64>,
    /// How many there were.
    pub backups: usize,
}

/// What was known of one set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetMemory {
    /// The time of the newest backup that ever counted, in unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<i64>,
    /// The key of that backup; `None` if a version before this one left it, or the import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_key: Option<u64>,
    /// Its last backups, oldest first; those that are gone too.
    #[serde(deserialize_with = "exact")]
    pub sizes: Vec<Size>,
    /// Whether its backups ever had sidecars.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub had_seals: bool,
    /// What was found in those that lie there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checked: Vec<Checked>,
    /// What was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<Box<Episode>>,
    /// What the last run that read its node saw of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenSet>,
}

/// Reads a map that is held as long as the run: with its entries one beside the other. Made one by one, in their order, they take
/// almost twice the memory.
fn packed<'de, D: Deserializer<'de>, V: Deserialize<'de>>(from: D) -> Result<BTreeMap<String, V>, D::Error> {
    struct Entries<V>(PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
            to.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries.into_iter().collect())
        }
    }
    from.deserialize_map(Entries(PhantomData))
}

/// Reads a list that is held as long as the run, without room for more.
fn exact<'de, D: Deserializer<'de>, V: Deserialize<'de>>(from: D) -> Result<Vec<V>, D::Error> {
    let mut list = Vec::deserialize(from)?;
    list.shrink_to_fit();
    Ok(list)
}

/// One backup of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AnySize", into = "(i64, u64, u64)")]
pub struct Size {
    /// When it was made, in unix seconds.
    pub time: i64,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Its key; 0 if a version before this one left it.
    pub key: u64,
}

/// A [`Size`] as it is written, and as versions before this one wrote it.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnySize {
    Keyed(i64, u64, u64),
    Plain(i64, u64),
}

impl From<AnySize> for Size {
    fn from(size: AnySize) -> Self {
        match size {
            AnySize::Keyed(time, bytes, key) => Self { time, bytes, key },
            AnySize::Plain(time, bytes) => Self { time, bytes, key: 0 },
        }
    }
}

impl From<Size> for (i64, u64, u64) {
    fn from(Size { time, bytes, key }: Size) -> Self {
        (time, bytes, key)
    }
}

impl Size {
    fn of(backup: &Backup) -> Self {
        Self { time: backup.time, bytes: backup.bytes, key: backup.key() }
    }

    /// Whether it is one and the same backup, with another time or size since it was still written to, or not.
    fn is_of(&self, other: &Self) -> bool {
        if self.key == 0 || other.key == 0 { self.time == other.time } else { self.key == other.key }
    }
}

/// How many sizes are remembered: the seven before the newest, and two that may be arriving.
const SIZES: usize = 10;

/// How many days of the disk are remembered.
const DAYS: usize = 30;

const DAY: i64 = 86_400;

impl SetMemory {
    /// Whether a backup was ever seen, if only one of a time to come.
    pub fn is_known(&self) -> bool {
        let was_there = |seen: &SeenSet| seen.backups > 0 || seen.verdict == Verdict::Vanished;
        self.newest.is_some() || !self.sizes.is_empty() || self.seen.as_ref().is_some_and(was_there)
    }

    /// Takes what lies there now, oldest first; what is later than `until`, in unix seconds, does not count.
    pub fn learn(&mut self, backups: &[Backup], zone: &Zone, until: i64) {
        let counted = || backups.iter().filter(|backup| !backup.is_after(until, zone)).rev();
        self.had_seals |= counted().any(|backup| backup.seal.is_some());
        self.newest = self.newest_beside(backups);
        if let Some(newest) = counted().next()
            && self.newest.is_none_or(|known| newest.sure_time(zone) >= known)
        {
            (self.newest, self.newest_key) = (Some(newest.sure_time(zone)), Some(newest.key()));
        }
        let newest: Vec<_> = counted().take(SIZES).map(Size::of).collect();
        self.sizes = self.sizes_beside(backups);
        self.sizes.retain(|known| !newest.iter().any(|new| new.is_of(known)));
        self.sizes.extend(newest);
        self.sizes.sort_by_key(|size| size.time);
        self.sizes.drain(..self.sizes.len().saturating_sub(SIZES));
    }

    /// Returns the time of the newest backup that ever counted, unless that one is among `backups`: then its time is the one that it
    /// has now.
    pub fn newest_beside(&self, backups: &[Backup]) -> Option<i64> {
        let is_there = |key: u64| backups.iter().rev().any(|backup| backup.key() == key);
        self.newest.filter(|_| !self.newest_key.is_some_and(is_there))
    }

    /// Returns the last backups that are not among these.
    pub fn sizes_beside(&self, backups: &[Backup]) -> Vec<Size> {
        let mut gone = self.sizes.clone();
        for size in backups.iter().rev().map(Size::of) {
            gone.retain(|known| !known.is_of(&size));
            if gone.is_empty() {
                break;
            }
        }
        gone
    }

    /// Whether a backup was not there, or not with this size, when the memory was made.
    pub fn is_new(&self, backup: &Backup) -> bool {
        let size = Size::of(backup);
        let is_older = self.sizes.first().is_some_and(|oldest| size.time < oldest.time);
        !is_older && !self.sizes.iter().any(|known| known.is_of(&size) && known.bytes == size.bytes)
    }
}

impl NodeMemory {
    /// That of a node that was never asked.
    pub const NOTHING: Self =
        Self { episodes: BTreeMap::new(), free: Vec::new(), sets: BTreeMap::new(), kept: BTreeMap::new(), seen: None };

    /// Returns a copy in as little memory as it needs.
    pub fn copied(&self) -> Self {
        let Self { episodes, free, sets, kept, seen } = self.clone();
        Self { episodes, free, sets: sets.into_iter().collect(), kept: kept.into_iter().collect(), seen }
    }

    /// Takes the free bytes of the disk at `now`, in unix seconds.
    pub fn learn_disk(&mut self, free: u64, now: i64) {
        let today = now.div_euclid(DAY);
        match self.free.last_mut() {
            Some((day, least)) if *day == today => *least = (*least).min(free),
            // A clock that was ahead.
            _ => {
                self.free.retain(|(day, _)| *day < today);
                self.free.push((today, free));
            }
        }
        self.free.drain(..self.free.len().saturating_sub(DAYS));
    }

    /// Returns in how many days the disk will be full: by the median of the slopes between any two of the last two weeks'
    /// days. `None` if it does not fill, or if fewer than five days are known.
    pub fn days_until_full(&self) -> Option<f64> {
        let (today, free) = *self.free.last()?;
        let recent: Vec<_> = self.free.iter().filter(|(day, _)| today - day < 14).collect();
        if recent.len() < 5 {
            return None;
        }
        let mut slopes = Vec::new();
        for (at, (later, less)) in recent.iter().enumerate() {
            slopes.extend(recent[..at].iter().map(|(day, more)| (*more as f64 - *less as f64) / (later - day) as f64));
        }
        slopes.sort_by(f64::total_cmp);
        let a_day = slopes[slopes.len() / 2];
        (a_day > 0.0).then(|| free as f64 / a_day)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gather::Beside;
    use super::*;

    #[test]
    fn a_disk_that_fills_is_foreseen_and_one_that_breathes_is_not() {
        let days = |free: &dyn Fn(i64) -> u64, count: i64| {
            let mut memory = NodeMemory::default();
            (0..count).for_each(|day| memory.learn_disk(free(day), day * DAY + 7));
            memory.days_until_full()
        };
        assert_eq!(days(&|day| 1000 - 50 * day as u64, 4), None, "too little is known");
        assert_eq!(days(&|day| 1000 - 50 * day as u64, 11), Some(10.0));
        assert_eq!(days(&|day| 1000 + day as u64, 40), None);
        assert_eq!(days(&|_| 1000, 40), None);
        // A weekly full backup, and its purge.
        let weekly = |day: i64| 1000 - 100 * (day % 7 == 0) as u64;
        assert_eq!(days(&weekly, 40), None);
    }

    #[test]
    fn a_letter_that_is_full_says_how_many_more_there_are() {
        let mut memory = Memory::default();
        let to = ["a@example.org".to_string()];
        (0..LINES).for_each(|at| memory.write(&to, Verdict::Never, format!("A n s{at}: never"), None));
        assert_eq!(memory.letters[0].text().count(), LINES);
        (0..7).for_each(|at| memory.write(&to, Verdict::Old, format!("A n t{at}: old"), None));
        let letter = &memory.letters[0];
        let text: Vec<_> = letter.text().collect();
        assert_eq!((text.len(), text[LINES].as_str()), (LINES + 1, "and 7 more; see gridmon-status backups"));
        assert_eq!(letter.subject(), "1007 alarms");
    }

    #[test]
    fn when_all_was_said_to_be_well_is_known_from_the_version_before() {
        let mut memory: Memory = serde_json::from_str(r#"{"well": 1717459200}"#).unwrap();
        memory.forget_unwatched(&[Hub::usual("A", &["n"])]);
        assert_eq!(memory.wells, BTreeMap::from([("A".to_string(), 1_717_459_200)]));
        let kept: Memory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
        assert_eq!(kept, memory);
    }

    fn backup(path: &str, time: i64, bytes: u64) -> Backup {
        let (path, beside) = (path.as_bytes().into(), Beside::Nothing);
        Backup { time, stamp: None, mtime: time, bytes, path, seal: None, beside }
    }

    #[test]
    fn a_backup_that_is_still_written_to_is_one_and_its_time_may_go_back() {
        let mut memory = SetMemory::default();
        for hour in 1..=5 {
            memory.learn(
                &[backup("a", DAY, 7), backup("b", 2 * DAY + hour, 100 * hour as u64)],
                &Zone::utc(),
                i64::MAX,
            );
        }
        let sizes = |memory: &SetMemory| memory.sizes.iter().map(|size| (size.time, size.bytes)).collect::<Vec<_>>();
        assert_eq!((sizes(&memory), memory.newest), (vec![(DAY, 7), (2 * DAY + 5, 500)], Some(2 * DAY + 5)));
        assert!(!memory.is_new(&backup("b", 2 * DAY + 9, 500)) && memory.is_new(&backup("b", 2 * DAY, 501)));
        // Copied anew with its time: no newer one is gone.
        let back = [backup("a", DAY, 7), backup("b", 2 * DAY, 500)];
        assert_eq!(memory.newest_beside(&back), None);
        assert_eq!(memory.newest_beside(&back[..1]), Some(2 * DAY + 5), "it is gone");
        memory.learn(&back, &Zone::utc(), i64::MAX);
        assert_eq!((sizes(&memory), memory.newest), (vec![(DAY, 7), (2 * DAY, 500)], Some(2 * DAY)));
        let kept: SetMemory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
        assert_eq!(kept, memory);
    }

    #[test]
    fn the_sizes_of_the_version_before_are_those_of_their_times() {
        let mut memory: SetMemory = serde_json::from_str(r#"{"newest": 200, "sizes": [[100, 7], [200, 8]]}"#).unwrap();
        assert!(!memory.is_new(&backup("b", 200, 8)) && memory.is_new(&backup("b", 200, 9)));
        assert_eq!(memory.newest_beside(&[backup("b", 200, 8)]), Some(200));
        memory.learn(&[backup("b", 200, 9)], &Zone::utc(), i64::MAX);
        let sizes: Vec<_> = memory.sizes.iter().map(|size| (size.time, size.bytes, size.key != 0)).collect();
        assert_eq!((sizes, memory.newest), (vec![(100, 7, false), (200, 9, true)], Some(200)));
    }

    #[test]
    fn the_least_of_a_day_counts() {
        let mut memory = NodeMemory::default();
        [(10, 500), (20, 300), (30, 400), (DAY, 100)].into_iter().for_each(|(now, free)| memory.learn_disk(free, now));
        assert_eq!(memory.free, [(0, 300), (1, 100)]);
        memory.learn_disk(50, 40);
        assert_eq!(memory.free, [(0, 50)], "the clock was a day ahead");
    }
}
