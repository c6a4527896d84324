//! Averages of a count up to now, over raw slots and over folded hours. The store sums; here is what a sum of points does not
//! say: which slots are covered, and which of several points of a slot counts.
//!
//! ```text
//! slots   k-143 … k-72 │ k-71 … k-36 │ k-35 … k-6 │ k-5 … k     four disjoint parts, each summed once
//! avg24h  ───────────────────────────────────────────────────
//! avg1h                                            ───────────
//! hours   (H - 30 d … H - 7 d] │ (H - 7 d … H]                  H: the label of the newest covered hour
//! ```
//!
//! S is the sum over a window, N the covered slots in it and the uncovered ones in which the series has a point; an average
//! is S/N in exact hundredths. A slot before the first coverage is covered if any series has a point in it. An hour that an
//! older system folded holds a mean of six slots, or a sum.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::hundredths;
use crate::model::{COVERAGE, Point, SECOND, Tier, Value, Window};
use crate::query::{Column, Scan, Selector};

/// The windows of the averages, the shortest first.
pub const WINDOWS: [&str; 6] = ["1h", "6h", "12h", "24h", "7d", "30d"];

/// What is averaged.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The measurement.
    pub measurement: &'a str,
    /// Its field, a count.
    pub field: &'a str,
    /// The key tags that make a row.
    pub by: &'a [&'a str],
    /// The key tag whose values are averaged apart.
    pub status: &'a str,
    /// The values of that tag.
    pub statuses: &'a [&'a str],
    /// Those of them that an older system summed over an hour instead of averaging them.
    pub summed: &'a [&'a str],
    /// The field by which the later of two runs in a slot is told.
    pub sequence: &'a str,
    /// The newest slot, in unix seconds.
    pub slot: i64,
}

/// The averages of a row, by status and window; `None` where nothing is known.
pub type Averages = Vec<[Option<f64>; WINDOWS.len()]>;

/// The averages of all rows that have a point in one of the windows, and those of rows that have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllAverages {
    rows: BTreeMap<Vec<String>, Averages>,
    /// Those of a row without points: zero where slots were covered.
    without: Averages,
}

impl AllAverages {
    /// Returns the averages of a row.
    pub fn of(&self, row: &[String]) -> &Averages {
        self.rows.get(row).unwrap_or(&self.without)
    }
}

const SLOT: i64 = 600;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// The slots of the raw windows, the shortest first.
const RAW: [i64; 4] = [6, 36, 72, 144];

/// The days of the folded windows, the shortest first.
const FOLDED: [i64; 2] = [7, 30];

/// The slots that an older system's hour stands for.
const SLOTS_OF_OLD: i64 = 6;

/// S and N of a row and status in one part of time.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sum: i128,
    /// What is not whole in the hours of an older system, where its means are rounded.
    fraction: f64,
    /// Slots in addition to the covered ones.
    more: i64,
}

/// A part of time in which every row has the same covered slots.
#[derive(Debug, Default)]
struct Part {
    covered: i64,
    /// By row and status.
    rows: BTreeMap<Vec<String>, Tally>,
}

impl Part {
    fn row(&mut self, group: Vec<String>) -> &mut Tally {
        self.rows.entry(group).or_default()
    }
}

/// Computes the averages of a store.
///
/// # Errors
/// Fails if the store does not answer.
pub fn averages(store: &dyn Scan, question: &Question) -> Result<AllAverages> {
    let raw = RawCoverage::read(store, question)?;
    let hours = HourCoverage::read(store, question)?;
    let mut parts = raw_parts(store, question, &raw)?;
    parts.extend(hour_parts(store, question, &hours)?);
    let groups: BTreeSet<&Vec<String>> = parts.iter().flat_map(|part| part.rows.keys()).collect();
    // A row that has points of one status alone is zero in the others.
    let without = vec![of_parts(&parts, &[]); question.statuses.len()];
    let mut rows = BTreeMap::<Vec<String>, Averages>::new();
    for group in groups {
        let Some((status, row)) = group.split_last() else { continue };
        let Some(at) = question.statuses.iter().position(|known| known == status) else { continue };
        rows.entry(row.to_vec()).or_insert_with(|| without.clone())[at] = of_parts(&parts, group);
    }
    Ok(AllAverages { rows, without })
}

/// Adds up the parts of each window: the first four of slots, the last two of hours.
fn of_parts(parts: &[Part], group: &[String]) -> [Option<f64>; WINDOWS.len()] {
    let mut averages = [None; WINDOWS.len()];
    let (mut total, mut slots) = (Tally::default(), 0);
    for (at, part) in parts.iter().enumerate() {
        if at == RAW.len() {
            (total, slots) = (Tally::default(), 0);
        }
        let own = part.rows.get(group).copied().unwrap_or_default();
        total.sum += own.sum;
        total.fraction += own.fraction;
        slots += part.covered + own.more;
        averages[at] = match total.fraction {
            0.0 => hundredths(total.sum, slots),
            fraction if slots > 0 => Some(((total.sum as f64 + fraction) / slots as f64 * 100.0 + 0.5).floor() / 100.0),
            _ => None,
        };
    }
    averages
}

/// Returns the window from one time to before another, both in unix seconds.
fn window(from: i64, to: i64) -> Window {
    Window { from: from.saturating_mul(SECOND), to: to.saturating_mul(SECOND) }
}

/// Selects the coverage of the measurement.
fn coverage(question: &Question) -> Selector {
    Selector::measurement(COVERAGE.name).with("measurement", question.measurement)
}

/// Which of the last 144 slots are covered.
struct RawCoverage {
    covered: BTreeSet<i64>,
}

impl RawCoverage {
    fn read(store: &dyn Scan, question: &Question) -> Result<Self> {
        let (from, to) = (question.slot - (RAW[3] - 1) * SLOT, question.slot + SLOT);
        let selector = coverage(question);
        let column = Column { selector: &selector, field: "slots", window: window(from, to), tier: Tier::Raw };
        let mut covered: BTreeSet<_> = store.steps(column, SLOT)?.into_keys().collect();
        let first = store.first(Column { window: window(0, to), ..column })?.map_or(to, |time| time.div_euclid(SECOND));
        if first > from {
            let jobs = Selector::measurement(question.measurement);
            let before = window(from, first.min(to));
            let column = Column { selector: &jobs, field: question.field, window: before, tier: Tier::Raw };
            covered.extend(store.steps(column, SLOT)?.into_keys());
        }
        Ok(Self { covered })
    }

    /// Returns the uncovered times within slots from one to before another, in unix seconds.
    fn gaps(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        ranges((from..to).step_by(SLOT as usize).filter(|slot| !self.covered.contains(slot)), SLOT)
    }
}

impl Question<'_> {
    /// Selects the points of the statuses that are averaged.
    fn selector(&self) -> Selector {
        Selector::measurement(self.measurement).with_one_of(self.status, self.statuses)
    }

    /// Returns the tags that tell rows and statuses apart.
    fn keys(&self) -> Vec<&str> {
        self.by.iter().copied().chain([self.status]).collect()
    }
}

/// Returns the four parts of the raw windows.
fn raw_parts(store: &dyn Scan, question: &Question, coverage: &RawCoverage) -> Result<Vec<Part>> {
    let (selector, keys) = (question.selector(), question.keys());
    let column =
        |from, to| Column { selector: &selector, field: question.field, window: window(from, to), tier: Tier::Raw };
    let end = question.slot + SLOT;
    let crowds = crowds(store, question, column(end - RAW[3] * SLOT, end))?;
    let mut parts = Vec::new();
    let mut to = end;
    for slots in RAW {
        let from = end - slots * SLOT;
        let covered = coverage.covered.range(from..to).count() as i64;
        let mut part = Part { covered, rows: BTreeMap::new() };
        for total in store.totals(column(from, to), &keys)? {
            part.row(total.group).sum += total.sum.whole();
        }
        for (from, to) in coverage.gaps(from, to) {
            // As a rule a slot without coverage has no points, and this is quickly found out.
            if store.first(column(from, to))?.is_some() {
                for (group, count) in store.counts(column(from, to), &keys)? {
                    part.row(group).more += count as i64;
                }
            }
        }
        for crowd in crowds.iter().filter(|crowd| (from..to).contains(&crowd.slot)) {
            let tally = part.row(crowd.group.clone());
            tally.sum += crowd.winner.jobs - crowd.all;
            tally.more -= if coverage.covered.contains(&crowd.slot) { 0 } else { crowd.points - 1 };
        }
        parts.push(part);
        to = from;
    }
    Ok(parts)
}

/// Returns the values in the newest slot by row and status; of several points of one slot the later run's.
///
/// # Errors
/// Fails if the store does not answer.
pub fn current(store: &dyn Scan, question: &Question) -> Result<BTreeMap<(Vec<String>, String), i64>> {
    let selector = Selector::measurement(question.measurement);
    let window = window(question.slot, question.slot + SLOT);
    let column = Column { selector: &selector, field: question.field, window, tier: Tier::Raw };
    let split = |mut group: Vec<String>| {
        let status = group.pop().unwrap_or_default();
        (group, status)
    };
    let int = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    let totals = store.totals(column, &question.keys())?;
    let mut values: BTreeMap<_, _> =
        totals.into_iter().map(|total| (split(total.group), int(total.sum.whole()))).collect();
    for crowd in crowds(store, question, column)? {
        values.insert(split(crowd.group), int(crowd.winner.jobs));
    }
    Ok(values)
}

/// Returns the rows that have a point, raw or folded, in the 30 days up to the newest slot, sorted.
///
/// # Errors
/// Fails if the store does not answer.
pub fn rows(store: &dyn Scan, question: &Question) -> Result<Vec<Vec<String>>> {
    let selector = Selector::measurement(question.measurement);
    // A point stands up to a second after its slot or label.
    let from = question.slot - FOLDED[1] * DAY + 1;
    let column = |to, tier| Column { selector: &selector, field: question.field, window: window(from, to), tier };
    let mut rows = store.groups(column(question.slot + SLOT, Tier::Raw), question.by)?;
    rows.extend(store.groups(column(question.slot + 1, Tier::Hour), question.by)?);
    rows.sort();
    rows.dedup();
    Ok(rows)
}

/// Several points of a row and status in one slot, of which one counts.
struct Crowd {
    slot: i64,
    /// Row and status.
    group: Vec<String>,
    /// The sum of their values.
    all: i128,
    points: i64,
    winner: Rival,
}

/// A point among others of its slot. The later run's is the greatest; of two with one sequence, that with the greater tags.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rival {
    sequence: i64,
    tags: String,
    jobs: i128,
}

/// So many rows with points of several series are read at once. From so many times as many on all points are read.
const MANY: usize = 200;
const TIMES: usize = 10;

/// Finds the slots in which a row has several points. Only rows are looked at whose points are of several series: a point
/// of the same series would have replaced the one before.
fn crowds(store: &dyn Scan, question: &Question, column: Column) -> Result<Vec<Crowd>> {
    let keys = question.keys();
    let rivals: BTreeSet<_> = store.rivals(column, &keys)?.into_iter().collect();
    let names: BTreeSet<_> = rivals.iter().filter_map(|group| Some(group.first()?.as_str())).collect();
    let mut crowds = Vec::new();
    for (selector, window) in pieces(question, column, &names) {
        let mut slots = BTreeMap::<(i64, Vec<String>), Crowd>::new();
        store.each(&selector, window, column.tier, &mut |point| {
            let group: Vec<_> = keys.iter().map(|tag| point.tag(tag).unwrap_or_default().to_string()).collect();
            let Some(rival) = rival(question, &point).filter(|_| rivals.contains(&group)) else { return Ok(()) };
            let slot = point.time().div_euclid(SECOND * SLOT) * SLOT;
            match slots.entry((slot, group)) {
                Entry::Vacant(slots) => {
                    let group = slots.key().1.clone();
                    slots.insert(Crowd { slot, group, all: rival.jobs, points: 1, winner: rival });
                }
                Entry::Occupied(mut crowd) => crowd.get_mut().add(rival),
            }
            Ok(())
        })?;
        crowds.extend(slots.into_values().filter(|crowd| crowd.points > 1));
    }
    Ok(crowds)
}

/// Divides the points of the rows whose first tag has one of these values into what is read at once: the rows of some values over
/// the whole time, or, of too many, everything in an hour. Slots do not cross the beginning of an hour: the window begins with one.
fn pieces(question: &Question, column: Column, names: &BTreeSet<&str>) -> Vec<(Selector, Window)> {
    let Window { from, to } = column.window;
    let names: Vec<_> = names.iter().copied().collect();
    match question.by.first() {
        Some(tag) if names.len() < MANY * TIMES => {
            let of = |names: &[&str]| (column.selector.clone().with_one_of(tag, names.iter().copied()), column.window);
            names.chunks(MANY).map(of).collect()
        }
        _ if names.is_empty() => Vec::new(),
        _ => {
            let hours = (from..to).step_by((HOUR * SECOND) as usize);
            let hour = |begin| Window { from: begin, to: to.min(begin + HOUR * SECOND) };
            hours.map(|begin| (column.selector.clone(), hour(begin))).collect()
        }
    }
}

impl Crowd {
    fn add(&mut self, rival: Rival) {
        self.all += rival.jobs;
        self.points += 1;
        if rival > self.winner {
            self.winner = rival;
        }
    }
}

/// Reads a point; `None` if it lacks the field.
fn rival(question: &Question, point: &Point) -> Option<Rival> {
    let field = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value);
    let jobs = whole(field(question.field)?);
    // A point of an older system has none.
    let sequence = field(question.sequence).map_or(-1, |value| value.as_f64() as i64);
    let tags = point.tags().fold(String::new(), |all, (name, value)| format!("{all},{name}={value}"));
    Some(Rival { sequence, tags, jobs })
}

fn whole(value: Value) -> i128 {
    match value {
        Value::Int(value) => value.into(),
        Value::Float(value) => value.round() as i128,
    }
}

/// The covered slots of the hours up to the newest covered one, by label.
struct HourCoverage {
    newest: Option<i64>,
    /// The first covered label: the hours before it are an older system's.
    first: i64,
    slots: BTreeMap<i64, i64>,
    /// The labels before the first covered one at which an older system has a point.
    old: BTreeSet<i64>,
}

impl HourCoverage {
    fn read(store: &dyn Scan, question: &Question) -> Result<Self> {
        let (end, selector) = (question.slot + SLOT, coverage(question));
        let within =
            |from, to| Column { selector: &selector, field: "slots", window: window(from, to), tier: Tier::Hour };
        // The newest label may be long ago: if no hour was folded for a month, there is none.
        let steps = store.steps(within(end - (2 * FOLDED[1] + 1) * DAY, end), HOUR)?;
        let slots = steps.into_iter().map(|(label, step)| (label, step.most as i64));
        // A label of no slot was covered once, or taken for it.
        let slots: BTreeMap<_, _> = slots.filter(|(_, slots)| *slots > 0).collect();
        let newest = slots.last_key_value().map(|(label, _)| *label);
        let first = store.first(within(0, end))?.map_or(end, |time| time.div_euclid(SECOND * HOUR) * HOUR);
        let mut old = BTreeSet::new();
        if let Some(newest) = newest
            && first > newest - FOLDED[1] * DAY + HOUR
        {
            let jobs = Selector::measurement(question.measurement);
            let window = window(newest - FOLDED[1] * DAY + HOUR, first);
            let column = Column { selector: &jobs, field: question.field, window, tier: Tier::Hour };
            old.extend(store.steps(column, HOUR)?.into_keys());
        }
        Ok(Self { newest, first, slots, old })
    }
}

impl HourCoverage {
    /// Returns the labels within a range, as ranges, of the hours of which some slot is not covered. More than a few are one
    /// range: each costs a question.
    fn with_gaps(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let is_whole = |label: &i64| self.slots.get(label).is_some_and(|slots| *slots >= HOUR / SLOT);
        let ranges = ranges((from..to).step_by(HOUR as usize).filter(|label| !is_whole(label)), HOUR);
        if ranges.len() > FEW_RANGES { vec![(from, to)] } else { ranges }
    }
}

/// The most ranges of hours that are asked about one by one.
const FEW_RANGES: usize = 8;

/// Joins steps that follow one another to ranges, each from its beginning to before its end.
fn ranges(steps: impl Iterator<Item = i64>, length: i64) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for step in steps {
        match ranges.last_mut() {
            Some(last) if last.1 == step => last.1 = step + length,
            _ => ranges.push((step, step + length)),
        }
    }
    ranges
}

/// Returns the two parts of the folded windows: the last seven days, and the rest of thirty.
fn hour_parts(store: &dyn Scan, question: &Question, coverage: &HourCoverage) -> Result<Vec<Part>> {
    let Some(newest) = coverage.newest else { return Ok(vec![Part::default(), Part::default()]) };
    let selector = question.selector();
    let mut parts = Vec::new();
    let mut to = newest + HOUR;
    for days in FOLDED {
        let from = newest + HOUR - days * DAY;
        let mut part = Part::default();
        let folded = (from.max(coverage.first), to);
        add_folded(store, question, &selector, coverage, folded, &mut part)?;
        if from < coverage.first {
            let old = (from, to.min(coverage.first));
            add_old(store, question, &selector, coverage, old, &mut part)?;
        }
        parts.push(part);
        to = from;
    }
    Ok(parts)
}

/// Adds the hours that were folded with their sums.
fn add_folded(
    store: &dyn Scan,
    question: &Question,
    selector: &Selector,
    coverage: &HourCoverage,
    (from, to): (i64, i64),
    part: &mut Part,
) -> Result<()> {
    if from >= to {
        return Ok(());
    }
    let column = |field, from, to| Column { selector, field, window: window(from, to), tier: Tier::Hour };
    part.covered += coverage.slots.range(from..to).map(|(_, slots)| slots).sum::<i64>();
    let keys = question.keys();
    for total in store.totals(column("jobs_sum", from, to), &keys)? {
        part.row(total.group).sum += total.sum.whole();
    }
    // A series stands for the covered slots of its hour, but for hours with uncovered slots in which it has points. A point
    // of no slot was replaced by one with other labels.
    for (from, to) in coverage.with_gaps(from, to) {
        for (label, step) in store.steps(column("slots", from, to), HOUR)? {
            let covered = coverage.slots.get(&label).copied().unwrap_or(0);
            if step.most as i64 == covered && (step.least as i64 == covered || step.least == 0.0) {
                continue;
            }
            for total in store.totals(column("slots", label, label + HOUR), &keys)? {
                let slots = total.sum.whole() as i64;
                part.row(total.group).more += if slots > 0 { slots - covered } else { 0 };
            }
        }
    }
    Ok(())
}

/// Adds the hours of an older system.
fn add_old(
    store: &dyn Scan,
    question: &Question,
    selector: &Selector,
    coverage: &HourCoverage,
    (from, to): (i64, i64),
    part: &mut Part,
) -> Result<()> {
    part.covered += coverage.old.range(from..to).count() as i64 * SLOTS_OF_OLD;
    let column = Column { selector, field: question.field, window: window(from, to), tier: Tier::Hour };
    for total in store.totals(column, &question.keys())? {
        let is_summed = total.group.last().is_some_and(|status| question.summed.contains(&status.as_str()));
        let sum = total.sum.as_f64() * if is_summed { 1.0 } else { SLOTS_OF_OLD as f64 };
        let tally = part.row(total.group);
        tally.sum += sum.floor() as i128;
        tally.fraction += sum - sum.floor();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_with_several_series_is_read_once() {
        let question = Question {
            measurement: "jobs",
            field: "jobs",
            by: &["queue", "source"],
            status: "status",
            statuses: &["running"],
            summed: &[],
            sequence: "sequence",
            slot: 144 * SLOT,
        };
        let (selector, window) = (question.selector(), window(SLOT, 145 * SLOT));
        let column = Column { selector: &selector, field: "jobs", window, tier: Tier::Raw };
        let of = |count: usize| {
            let names: Vec<_> = (0..count).map(|at| at.to_string()).collect();
            let names: BTreeSet<_> = names.iter().map(String::as_str).collect();
            pieces(&question, column, &names)
        };
        assert!(of(0).is_empty());
        let some = of(450);
        let mut names: Vec<_> = some.iter().flat_map(|(selector, _)| &selector.one_of.last().unwrap().1).collect();
        names.sort();
        names.dedup();
        assert!(some.len() == 3 && names.len() == 450 && some.iter().all(|(_, own)| *own == window), "{some:?}");
        // More of them are all points, an hour at a time without a gap.
        let all = of(MANY * TIMES);
        assert!(all.len() == 24 && all.iter().all(|(own, _)| *own == selector), "{all:?}");
        assert!(all.windows(2).all(|pair| pair[0].1.to == pair[1].1.from));
        assert_eq!((all[0].1.from, all[23].1.to), (window.from, window.to));
    }
}
