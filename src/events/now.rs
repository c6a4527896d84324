//! What is wrong now: the newest values find the troubles, and only those series are read back for when they began.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use serde::Serialize;

use super::reading::{Followed, Steps, read, read_back};
use super::report::Event;
use super::rule::{Condition, Rules, Severity};
use super::track::{Happened, Sample, Track, is_bad, samples};
use crate::model::{Measurement, SECOND};
use crate::query::{Detail, Latest, Read};

/// A subject that needs somebody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The worst of its troubles, of several the newest one.
    #[serde(flatten)]
    pub event: Event,
    /// How many more it has.
    pub more: usize,
    /// Whether another grid has a subject of the same name that needs somebody too.
    #[serde(skip)]
    pub is_shared: bool,
}

impl Entry {
    /// Returns of whom it is, with the grid if two of them have such a subject: `ce01 of heprc`.
    pub fn who(&self) -> String {
        match self.is_shared {
            true => format!("{} of {}", self.event.subject, self.event.section),
            false => self.event.subject.clone(),
        }
    }
}

/// What is wrong as of a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    /// The time, in unix seconds.
    pub time: i64,
    /// The subjects that need somebody: the worst first, of the same severity the newest trouble first.
    pub entries: Vec<Entry>,
    /// What is off by intent, by subject.
    pub off: Vec<Event>,
    /// All troubles, of which a subject may have several.
    pub troubles: Vec<Event>,
    /// How many numbers were looked at that are not too old to tell.
    pub checked: usize,
    /// What is strange about the numbers: some are from the future, and left out.
    pub notice: Option<String>,
}

impl Now {
    /// Returns how bad the worst is.
    pub fn worst(&self) -> Option<Severity> {
        self.entries.first().map(|entry| entry.event.severity)
    }

    /// Returns those of one system.
    pub fn of<'a>(&'a self, system: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.event.system == system)
    }
}

/// For how long what is remembered is believed, in seconds: values that come late may change the past.
const REMEMBERED: i64 = 3600;

/// The troubles of the last look, so that the next one reads only what has come since.
#[derive(Debug, Default)]
pub struct Known {
    since: i64,
    tracks: HashMap<(&'static str, String), Track>,
}

/// Returns what is wrong at `now`, in unix seconds. `known` may be new; it makes the next look cheaper.
///
/// # Errors
/// Fails if the store does not answer.
pub fn now(store: &dyn Read, rules: &Rules, known: &mut Known, now: i64) -> Result<Now> {
    let newest = store.latest(&rules.measurements(), now)?;
    let notice = newest.ahead.notice();
    let looked = Looked::new(rules, &newest.values, now);
    if !(0..REMEMBERED).contains(&now.saturating_sub(known.since)) {
        *known = Known { since: now, tracks: HashMap::new() };
    }
    let tracks = looked.tracks(store, rules, known)?;
    let mut events = Vec::new();
    for (candidate, track) in looked.candidates.iter().zip(&tracks) {
        let going = candidate.going(track, now);
        events.extend(going.map(|happened| candidate.followed.event(&happened, happened.newest, true)));
    }
    for (followed, last) in &looked.silent {
        let mut track = Track::new(followed.rule, &rules.limits, followed.every);
        track.push(Sample { time: *last, value: 0.0, of: None, base: None, is_bad: false });
        events.extend(track.going(now).map(|happened| followed.event(&happened, happened.newest, true)));
    }
    let (off, troubles): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| !event.severity.is_trouble());
    let mut off = off;
    off.sort_by(|a, b| (a.system, &a.subject).cmp(&(b.system, &b.subject)));
    Ok(Now { time: now, entries: entries(troubles.clone()), off, troubles, checked: looked.checked, notice })
}

/// Returns one entry for each subject, the worst first.
fn entries(mut events: Vec<Event>) -> Vec<Entry> {
    events.sort_by(|a, b| {
        let order = |event: &Event| (event.severity, -event.since);
        order(a)
            .cmp(&order(b))
            .then_with(|| (&a.subject, a.system, a.rule, &a.path).cmp(&(&b.subject, b.system, b.rule, &b.path)))
    });
    let mut entries = Vec::<Entry>::new();
    let mut at = HashMap::<(&'static str, String, String), usize>::new();
    let mut sections = HashMap::<(&'static str, String), usize>::new();
    for event in events {
        match at.entry((event.system, event.section.clone(), event.subject.clone())) {
            Occupied(at) => entries[*at.get()].more += 1,
            Vacant(at) => {
                at.insert(entries.len());
                *sections.entry((event.system, event.subject.clone())).or_default() += 1;
                entries.push(Entry { event, more: 0, is_shared: false });
            }
        }
    }
    for entry in &mut entries {
        entry.is_shared = sections.get(&(entry.event.system, entry.event.subject.clone())).is_some_and(|of| *of > 1);
    }
    entries
}

/// A series whose newest value may be a trouble.
struct Candidate {
    followed: Followed,
    /// The newest value.
    newest: Sample,
}

impl Candidate {
    /// Returns what goes on, by its track; by its newest value alone where the store gave no value of that time to the track.
    fn going(&self, track: &Track, now: i64) -> Option<Happened> {
        let Sample { time, value, of, is_bad, .. } = self.newest;
        let alone =
            Happened { since: time, is_begin: true, until: None, was: None, became: (value, of), newest: (value, of) };
        track.going(now).or((is_bad && track.last() != Some(time) && self.followed.rule.runs == 1).then_some(alone))
    }
}

/// What the newest values alone tell.
struct Looked {
    /// The series that may be in trouble.
    candidates: Vec<Candidate>,
    /// The silent ones, each with the time of its newest value.
    silent: Vec<(Followed, i64)>,
    checked: usize,
}

impl Looked {
    fn new(rules: &Rules, values: &[Latest], now: i64) -> Self {
        let mut looked = Self { candidates: Vec::new(), silent: Vec::new(), checked: 0 };
        // How far each scope has been collected: a grid, a hub. The first key tells it.
        let measurements = rules.measurements();
        let scope = |one: &Latest| {
            let name = one.series.measurement();
            let tags = measurements.iter().find(|known| known.name == name).map_or(&[][..], |known| known.tags);
            let key = tags.iter().find(|tag| tag.identifies).map_or("", |tag| tag.name);
            (name.to_string(), one.series.tag(key).unwrap_or_default().to_string())
        };
        let mut scopes = HashMap::<_, i64>::new();
        let mut by_rule = BTreeMap::<(usize, String), (&Latest, Followed)>::new();
        let (all, steps) = (rules.all().collect::<Vec<_>>(), Steps::new(values));
        for one in values {
            let newest = scopes.entry(scope(one)).or_insert(i64::MIN);
            *newest = (*newest).max(one.time / SECOND);
            for (at, (system, rule)) in
                all.iter().enumerate().filter(|(_, (_, rule))| rules.select(rule, &one.series, one.field.name))
            {
                let Some(followed) = Followed::new(system, rule, one, &steps) else { continue };
                // Of several series of one path, as points with other labels are, the newest one counts.
                let key = (at, followed.wanted.path.clone());
                if by_rule.get(&key).is_none_or(|(known, _)| known.time < one.time) {
                    by_rule.insert(key, (one, followed));
                }
            }
        }
        let partners = Partners::new(values, &measurements, &by_rule);
        for (_, (one, followed)) in by_rule {
            let (time, every) = (one.time / SECOND, followed.every);
            let age = now.saturating_sub(time);
            if age > rules.forget_seconds {
                continue;
            }
            if let Condition::Silent(intervals) = followed.rule.condition {
                looked.checked += 1;
                if age as f64 > rules.limits.of(intervals) * every as f64 {
                    looked.silent.push((followed, time));
                }
                continue;
            }
            // The others of its scope go on without it: it is no longer there.
            let collected = scopes.get(&scope(one)).copied().unwrap_or(time);
            if time < collected.saturating_sub((10 * every).max(3600)) {
                continue;
            }
            looked.checked += 1;
            let (value, of) = (one.value.as_f64(), partners.of(&followed, one.time));
            let is_bad = is_bad(followed.rule, &rules.limits, value, of, None);
            // The least value of the window from which it may have grown is not below zero.
            let grew = matches!(followed.rule.condition, Condition::Grew { by, .. } if value >= rules.limits.of(by));
            if is_bad || grew {
                looked.candidates.push(Candidate { followed, newest: Sample { time, value, of, base: None, is_bad } });
            }
        }
        looked
    }

    /// Returns what is known of each candidate, after reading what is missing.
    fn tracks(&self, store: &dyn Read, rules: &Rules, known: &mut Known) -> Result<Vec<Track>> {
        let mut tracks = vec![None; self.candidates.len()];
        let (mut anew, mut further) = (Vec::new(), BTreeMap::<(i64, i64), Vec<usize>>::new());
        let key = |followed: &Followed| (followed.rule.name, followed.wanted.path.clone());
        for (at, Candidate { followed, newest: Sample { time, .. } }) in self.candidates.iter().enumerate() {
            // Growth is told by a whole window of values.
            let is_window = matches!(followed.rule.condition, Condition::Grew { .. });
            let before = known.tracks.remove(&key(followed)).filter(|track| !is_window && track.last().is_some());
            match before.and_then(|track| Some((track.last()?, track))) {
                None => anew.push(at),
                Some((last, track)) => {
                    tracks[at] = Some(track);
                    if last < *time {
                        further.entry((last + 1, *time + 1)).or_default().push(at);
                    }
                }
            }
        }
        for (range, some) in further {
            let followed: Vec<_> = some.iter().map(|at| &self.candidates[*at].followed).collect();
            let values = read(store, &followed, range, Detail::Stored)?;
            for (at, (values, partner)) in some.iter().zip(values) {
                let Some(track) = &mut tracks[*at] else { continue };
                for sample in samples(self.candidates[*at].followed.rule, &rules.limits, &values, partner.as_ref()) {
                    track.push(sample);
                }
            }
        }
        let mut by_end = BTreeMap::<i64, Vec<usize>>::new();
        for at in anew {
            by_end.entry(self.candidates[at].newest.time + 1).or_default().push(at);
        }
        for (end, some) in by_end {
            let followed: Vec<_> = some.iter().map(|at| &self.candidates[*at].followed).collect();
            for (at, track) in some.iter().zip(read_back(store, rules, &followed, end)?) {
                tracks[*at] = Some(track);
            }
        }
        let tracks: Vec<Track> = tracks.into_iter().flatten().collect();
        known.tracks.clear();
        for (candidate, track) in self.candidates.iter().zip(&tracks) {
            known.tracks.insert(key(&candidate.followed), track.clone());
        }
        Ok(tracks)
    }
}

/// The newest values of the numbers of which others are a share.
struct Partners(HashMap<String, (i64, f64)>);

impl Partners {
    fn new(
        values: &[Latest],
        measurements: &[&'static Measurement],
        by_rule: &BTreeMap<(usize, String), (&Latest, Followed)>,
    ) -> Self {
        let mut wanted: HashMap<&str, (i64, f64)> = HashMap::new();
        let partners = by_rule.values().filter_map(|(_, followed)| followed.partner.as_ref());
        wanted.extend(partners.map(|partner| (partner.path.as_str(), (i64::MIN, 0.0))));
        if wanted.is_empty() {
            return Self(HashMap::new());
        }
        for one in values {
            let Some(measurement) = measurements.iter().find(|known| known.name == one.series.measurement()) else {
                continue;
            };
            let path = measurement.carbon_path(&one.series, one.field.name).unwrap_or_default();
            if let Some(newest) = wanted.get_mut(path.as_str()).filter(|(time, _)| *time < one.time) {
                *newest = (one.time, one.value.as_f64());
            }
        }
        Self(wanted.into_iter().map(|(path, newest)| (path.to_string(), newest)).collect())
    }

    /// Returns the other number of a share at the same time.
    fn of(&self, followed: &Followed, time: i64) -> Option<f64> {
        let (other, value) = self.0.get(&followed.partner.as_ref()?.path)?;
        (*other == time).then_some(*value)
    }
}
