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

/// S and N of a row in one part of time.
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
    rows: BTreeMap<Vec<String>, Tally>,
}

impl Part {
    fn row(&mut self, row: Vec<String>) -> &mut Tally {
        self.rows.entry(row).or_default()
    }
}

/// Computes the averages of a store.
///
/// # Errors
/// Fails if the store does not answer.
pub fn averages(store: &dyn Scan, question: &Question) -> Result<AllAverages> {
    let raw = RawCoverage::read(store, question)?;
    let hours = HourCoverage::read(store, question)?;
    let mut all = AllAverages::default();
    let none = [None; WINDOWS.len()];
    for (at, status) in question.statuses.iter().enumerate() {
        let mut parts = raw_parts(store, question, status, &raw)?;
        parts.extend(hour_parts(store, question, status, &hours)?);
        let rows: BTreeSet<_> = parts.iter().flat_map(|part| part.rows.keys().cloned()).collect();
        all.without.push(of_parts(&parts, &[]));
        for row in rows {
            let averages = of_parts(&parts, &row);
            all.rows.entry(row).or_insert_with(|| vec![none; question.statuses.len()])[at] = averages;
        }
    }
    // A row that has points of one status alone is zero in the others.
    for averages in all.rows.values_mut() {
        for (own, without) in averages.iter_mut().zip(&all.without) {
            if *own == none {
                *own = *without;
            }
        }
    }
    Ok(all)
}

/// Adds up the parts of each window: the first four of slots, the last two of hours.
fn of_parts(parts: &[Part], row: &[String]) -> [Option<f64>; WINDOWS.len()] {
    let mut averages = [None; WINDOWS.len()];
    let (mut total, mut slots) = (Tally::default(), 0);
    for (at, part) in parts.iter().enumerate() {
        if at == RAW.len() {
            (total, slots) = (Tally::default(), 0);
        }
        let own = part.rows.get(row).copied().unwrap_or_default();
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
        let mut gaps: Vec<(i64, i64)> = Vec::new();
        for slot in (from..to).step_by(SLOT as usize).filter(|slot| !self.covered.contains(slot)) {
            match gaps.last_mut() {
                Some(last) if last.1 == slot => last.1 = slot + SLOT,
                _ => gaps.push((slot, slot + SLOT)),
            }
        }
        gaps
    }
}

/// Returns the four parts of the raw windows for a status.
fn raw_parts(store: &dyn Scan, question: &Question, status: &str, coverage: &RawCoverage) -> Result<Vec<Part>> {
    let selector = Selector::measurement(question.measurement).with(question.status, status);
    let column =
        |from, to| Column { selector: &selector, field: question.field, window: window(from, to), tier: Tier::Raw };
    let end = question.slot + SLOT;
    let crowded = store.crowded(column(end - RAW[3] * SLOT, end), SLOT, question.by)?;
    let mut parts = Vec::new();
    let mut to = end;
    for slots in RAW {
        let from = end - slots * SLOT;
        let covered = coverage.covered.range(from..to).count() as i64;
        let mut part = Part { covered, rows: BTreeMap::new() };
        for total in store.totals(column(from, to), question.by)? {
            part.row(total.group).sum += whole(total.sum);
        }
        for (from, to) in coverage.gaps(from, to) {
            for total in store.totals(column(from, to), question.by)? {
                part.row(total.group).more += total.count as i64;
            }
        }
        for slot in crowded.range(from..to) {
            let is_covered = coverage.covered.contains(slot);
            for (row, points) in points_by_row(store, question, &selector, *slot)? {
                let all: i128 = points.iter().map(|point| whole(point.jobs)).sum();
                let tally = part.row(row);
                tally.sum += winner(&points) - all;
                tally.more -= if is_covered { 0 } else { points.len() as i64 - 1 };
            }
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
    let keys: Vec<&str> = question.by.iter().copied().chain([question.status]).collect();
    let split = |mut group: Vec<String>| {
        let status = group.pop().unwrap_or_default();
        (group, status)
    };
    let int = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    let totals = store.totals(column, &keys)?;
    let mut values: BTreeMap<_, _> =
        totals.into_iter().map(|total| (split(total.group), int(whole(total.sum)))).collect();
    if !store.crowded(column, SLOT, &keys)?.is_empty() {
        let with_status = Question { by: &keys, ..*question };
        for (group, points) in points_by_row(store, &with_status, &selector, question.slot)? {
            values.insert(split(group), int(winner(&points)));
        }
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

/// A point of a crowded slot.
struct Rival {
    sequence: i64,
    labels: String,
    jobs: Value,
}

/// Returns the points of a slot by row.
fn points_by_row(
    store: &dyn Scan,
    question: &Question,
    selector: &Selector,
    slot: i64,
) -> Result<BTreeMap<Vec<String>, Vec<Rival>>> {
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    store.each(selector, window(slot, slot + SLOT), Tier::Raw, &mut |point: Point| {
        let field = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value);
        if let Some(jobs) = field(question.field) {
            let row = question.by.iter().map(|tag| point.tag(tag).unwrap_or_default().to_string()).collect();
            // A point of an older system has none.
            let sequence = field(question.sequence).map_or(-1, |value| value.as_f64() as i64);
            let labels = point.tags().fold(String::new(), |all, (name, value)| format!("{all},{name}={value}"));
            rows.entry(row).or_default().push(Rival { sequence, labels, jobs });
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Returns the jobs of the later run; of two runs with one sequence, of the point with the greater series key.
fn winner(points: &[Rival]) -> i128 {
    let last = points.iter().max_by(|a, b| (a.sequence, &a.labels).cmp(&(b.sequence, &b.labels)));
    last.map_or(0, |point| whole(point.jobs))
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
        let slots: BTreeMap<_, _> = steps.into_iter().map(|(label, step)| (label, step.most as i64)).collect();
        let newest = slots.last_key_value().map(|(label, _)| *label);
        let first = store.first(within(0, end))?.map_or(end, |time| time.div_euclid(SECOND * HOUR) * HOUR);
        let mut old = BTreeSet::new();
        if let Some(newest) = newest
            && first > newest - FOLDED[1] * DAY
        {
            let jobs = Selector::measurement(question.measurement);
            let window = window(newest - FOLDED[1] * DAY + HOUR, first);
            let column = Column { selector: &jobs, field: question.field, window, tier: Tier::Hour };
            old.extend(store.steps(column, HOUR)?.into_keys());
        }
        Ok(Self { newest, first, slots, old })
    }
}

/// Returns the two parts of the folded windows for a status: the last seven days, and the rest of thirty.
fn hour_parts(store: &dyn Scan, question: &Question, status: &str, coverage: &HourCoverage) -> Result<Vec<Part>> {
    let Some(newest) = coverage.newest else { return Ok(vec![Part::default(), Part::default()]) };
    let selector = Selector::measurement(question.measurement).with(question.status, status);
    let mut parts = Vec::new();
    let mut to = newest + HOUR;
    for days in FOLDED {
        let from = newest + HOUR - days * DAY;
        let mut part = Part::default();
        let folded = (from.max(coverage.first), to);
        add_folded(store, question, &selector, coverage, folded, &mut part)?;
        if from < coverage.first {
            let old = (from, to.min(coverage.first));
            add_old(store, question, &selector, status, coverage, old, &mut part)?;
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
    for total in store.totals(column("jobs_sum", from, to), question.by)? {
        part.row(total.group).sum += whole(total.sum);
    }
    // A series stands for the covered slots of its hour, but for hours with uncovered slots in which it has points. A point
    // of no slot was replaced by one with other labels.
    for (label, step) in store.steps(column("slots", from, to), HOUR)? {
        let covered = coverage.slots.get(&label).copied().unwrap_or(0);
        if step.most as i64 == covered && (step.least as i64 == covered || step.least == 0.0) {
            continue;
        }
        for total in store.totals(column("slots", label, label + HOUR), question.by)? {
            let slots = whole(total.sum) as i64;
            part.row(total.group).more += if slots > 0 { slots - covered } else { 0 };
        }
    }
    Ok(())
}

/// Adds the hours of an older system.
fn add_old(
    store: &dyn Scan,
    question: &Question,
    selector: &Selector,
    status: &str,
    coverage: &HourCoverage,
    (from, to): (i64, i64),
    part: &mut Part,
) -> Result<()> {
    part.covered += coverage.old.range(from..to).count() as i64 * SLOTS_OF_OLD;
    let factor = if question.summed.contains(&status) { 1.0 } else { SLOTS_OF_OLD as f64 };
    let column = Column { selector, field: question.field, window: window(from, to), tier: Tier::Hour };
    for total in store.totals(column, question.by)? {
        let sum = total.sum.as_f64() * factor;
        let tally = part.row(total.group);
        tally.sum += sum.floor() as i128;
        tally.fraction += sum - sum.floor();
    }
    Ok(())
}
