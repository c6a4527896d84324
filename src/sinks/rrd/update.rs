//! How a value changes a file: rrdtool's own arithmetic, for gauges. Pure.
//!
//! A value holds for the time since the last one, if that is at most the heartbeat; a longer time is unknown. Seconds
//! become steps, steps become rows. A row of which more than its share of steps is unknown is unknown.
//!
//! One thing is different: after a pause of more rows than an archive has, rrdtool 1.7.2 shows a row from before the pause as
//! the oldest one. Here all of them are unknown.

use super::layout::{Archive, Cf, Consolidated, Definition, Live, Prepared, UNKNOWN};

/// Rows that an update writes, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The number of its archive.
    pub archive: usize,
    /// Its number in the archive.
    pub row: u64,
    /// Its values, one for each data source.
    pub values: Vec<f64>,
}

/// Returns the live part of a new file that takes its first value after `start`.
pub fn new(definition: &Definition, start: i64) -> Live {
    let step = definition.step;
    let begun = start.rem_euclid(step as i64).unsigned_abs();
    let prepared = Prepared { text: "U".into(), unknown_seconds: begun, value: UNKNOWN };
    let consolidated = definition.archives.iter().flat_map(|archive| {
        let unknown = (start.unsigned_abs() - begun) % (step * archive.steps) / step;
        let one = Consolidated { value: UNKNOWN, unknown, primary: 0.0, secondary: 0.0 };
        std::iter::repeat_n(one, definition.sources.len())
    });
    Live {
        last: start,
        micros: 0,
        prepared: vec![prepared; definition.sources.len()],
        consolidated: consolidated.collect(),
        current: definition.archives.iter().map(|archive| archive.rows - 1).collect(),
    }
}

/// Takes the values of a time after the last one, one for each data source; `None` is unknown. Returns the rows to write
/// before the live part.
pub fn update(definition: &Definition, live: &mut Live, time: i64, values: &[Option<f64>]) -> Vec<Row> {
    let step = definition.step as i64;
    let interval = (time - live.last) as f64 - live.micros as f64 / 1e6;
    let (begun, ended) = (live.last - live.last.rem_euclid(step), time - time.rem_euclid(step));
    let elapsed = ((ended - begun) / step).unsigned_abs();
    let weighed = values.iter().zip(&definition.sources).map(|(value, source)| {
        let value = value.filter(|_| source.heartbeat as f64 >= interval)?;
        // A rate as rrdtool computes it, for the same rounding at the limits.
        let weighed = value * interval;
        let rate = weighed / interval;
        (!(rate > source.most || rate < source.least)).then_some(weighed)
    });
    let weighed: Vec<_> = weighed.collect();
    for (prepared, value) in live.prepared.iter_mut().zip(values) {
        prepared.text = value.map_or("U".into(), written);
    }
    let mut rows = Vec::new();
    // rrdtool 1.7 ends the step under way by itself, so that its beginning counts for it alone.
    let open = (ended - live.last - i64::from(live.micros > 0)).rem_euclid(step);
    if elapsed > 1 && open > 0 {
        let first: Vec<_> = weighed.iter().map(|one| one.map(|one| one * open as f64 / interval)).collect();
        let rest = |(all, first): (&Option<f64>, &Option<f64>)| Some((*all)? - (*first)?);
        let rest: Vec<_> = weighed.iter().zip(&first).map(rest).collect();
        rows.extend(take(definition, live, begun + step, &first));
        rows.extend(take(definition, live, time, &rest));
    } else {
        rows.extend(take(definition, live, time, &weighed));
    }
    rows
}

/// Takes the products of value and seconds since the last time; `None` is unknown.
fn take(definition: &Definition, live: &mut Live, time: i64, weighed: &[Option<f64>]) -> Vec<Row> {
    let step = definition.step as i64;
    let interval = (time - live.last) as f64 - live.micros as f64 / 1e6;
    let (begun, ended) = (live.last - live.last.rem_euclid(step), time - time.rem_euclid(step));
    let elapsed = ((ended - begun) / step).unsigned_abs();
    let mut rows = Vec::new();
    if elapsed == 0 {
        for (prepared, weighed) in live.prepared.iter_mut().zip(weighed) {
            match weighed {
                None => prepared.unknown_seconds = prepared.unknown_seconds.saturating_add(interval as u64),
                Some(weighed) if prepared.value.is_nan() => prepared.value = *weighed,
                Some(weighed) => prepared.value += weighed,
            }
        }
    } else {
        let before = (ended - live.last) as f64 - live.micros as f64 / 1e6;
        let span = Span { interval, before, after: (time - ended) as f64, seconds: elapsed * definition.step };
        let of_steps: Vec<f64> = (live.prepared.iter_mut().zip(weighed).zip(&definition.sources))
            .map(|((prepared, weighed), source)| {
                end_step(prepared, *weighed, &span, (definition.step, source.heartbeat))
            })
            .collect();
        let begun = begun.unsigned_abs() / definition.step;
        for (at, archive) in definition.archives.iter().enumerate() {
            let sources = definition.sources.len();
            let of_archive = &mut live.consolidated[at * sources..(at + 1) * sources];
            let ahead = archive.steps - begun % archive.steps;
            let count = if ahead <= elapsed { (elapsed - ahead) / archive.steps + 1 } else { 0 };
            for (one, step) in of_archive.iter_mut().zip(&of_steps) {
                consolidate(one, archive, *step, (elapsed, ahead, count));
            }
            rows.extend(written_rows(at, archive, &mut live.current[at], of_archive, count));
        }
    }
    (live.last, live.micros) = (time, 0);
    rows
}

/// Returns a value as the file keeps its text, which is short.
fn written(value: f64) -> String {
    let text = format!("{value}");
    if text.len() < 30 { text } else { format!("{value:e}") }
}

/// The time between two values that ends one step or more, in seconds.
struct Span {
    interval: f64,
    /// Before the last end of a step.
    before: f64,
    /// After it.
    after: f64,
    /// From the beginning of the first step to the last end of one.
    seconds: u64,
}

/// Ends the step under way; returns its value, which the steps after it have too.
fn end_step(prepared: &mut Prepared, weighed: Option<f64>, span: &Span, (step, heartbeat): (u64, u64)) -> f64 {
    let unknown_before = match weighed {
        None => span.before,
        Some(weighed) => {
            let sum = if prepared.value.is_nan() { 0.0 } else { prepared.value };
            prepared.value = sum + weighed / span.interval * span.before;
            0.0
        }
    };
    let is_unknown = span.interval > heartbeat as f64 || step as f64 / 2.0 < prepared.unknown_seconds as f64;
    let known = span.seconds.saturating_sub(prepared.unknown_seconds) as f64 - unknown_before;
    let value = if is_unknown { UNKNOWN } else { prepared.value / known };
    // 0 / 0 has another sign on each processor.
    let value = if value.is_nan() { UNKNOWN } else { value };
    match weighed {
        None => (prepared.unknown_seconds, prepared.value) = (span.after as u64, UNKNOWN),
        Some(weighed) => (prepared.unknown_seconds, prepared.value) = (0, weighed / span.interval * span.after),
    }
    value
}

/// Takes `elapsed` steps of one value into the row under way, which is full after `ahead` of them; `count` rows are full.
fn consolidate(one: &mut Consolidated, archive: &Archive, step: f64, (elapsed, ahead, count): (u64, u64, u64)) {
    if archive.steps == 1 {
        one.primary = step;
        if elapsed > 1 {
            one.secondary = step;
        }
        return;
    }
    if count == 0 {
        if step.is_nan() {
            one.unknown = one.unknown.saturating_add(elapsed);
        } else {
            one.value = folded(archive.fold, one.value, step, elapsed);
        }
        return;
    }
    if step.is_nan() {
        one.unknown = one.unknown.saturating_add(ahead);
    }
    one.secondary = step;
    let or = |value: f64, other: f64| if value.is_nan() { other } else { value };
    one.primary = if one.unknown as f64 > archive.steps as f64 * archive.unknown_share {
        UNKNOWN
    } else {
        match archive.fold {
            Cf::Average => {
                let known = archive.steps.saturating_sub(one.unknown) as f64;
                (or(one.value, 0.0) + or(step, 0.0) * ahead as f64) / known
            }
            Cf::Max => or(one.value, f64::NEG_INFINITY).max(or(step, f64::NEG_INFINITY)),
            Cf::Min => or(one.value, f64::INFINITY).min(or(step, f64::INFINITY)),
            Cf::Last => step,
        }
    };
    let into = (elapsed - ahead) % archive.steps;
    one.value = match archive.fold {
        Cf::Average if into == 0 || step.is_nan() => 0.0,
        Cf::Average => step * into as f64,
        Cf::Max if into == 0 || step.is_nan() => f64::NEG_INFINITY,
        Cf::Min if into == 0 || step.is_nan() => f64::INFINITY,
        Cf::Last if into == 0 || step.is_nan() => UNKNOWN,
        Cf::Max | Cf::Min | Cf::Last => step,
    };
    one.unknown = if step.is_nan() { into } else { 0 };
}

/// Returns what the steps of a row are folded into, after `elapsed` more of one value.
fn folded(fold: Cf, so_far: f64, step: f64, elapsed: u64) -> f64 {
    match fold {
        Cf::Average if so_far.is_nan() => step * elapsed as f64,
        Cf::Average => so_far + step * elapsed as f64,
        Cf::Min => so_far.min(step),
        Cf::Max => so_far.max(step),
        Cf::Last => step,
    }
}

/// Returns the `count` full rows of an archive. Of more rows than it has, the oldest are overwritten at once and left out.
fn written_rows(
    number: usize,
    archive: &Archive,
    current: &mut u64,
    of_archive: &[Consolidated],
    count: u64,
) -> Vec<Row> {
    let skipped = count.saturating_sub(archive.rows);
    let row = |at: u64| Row {
        archive: number,
        row: ((u128::from(*current) + u128::from(at) + 1) % u128::from(archive.rows)) as u64,
        values: of_archive.iter().map(|one| if at == 0 { one.primary } else { one.secondary }).collect(),
    };
    let rows: Vec<_> = (skipped..count).map(row).collect();
    if let Some(last) = rows.last() {
        *current = last.row;
    }
    rows
}
