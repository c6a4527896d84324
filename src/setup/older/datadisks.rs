//! What QMonit sent of datadisks, and which of its averages come from its own arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::super::{CATALOG, Config, queue_table};
use super::{Address, is_address, older};
use crate::frame::{ByRule, Older, Wanted, state};
use crate::model::{Point, SECOND, Tier, Window};
use crate::monitors::panda::averaged::{BY_RULE, Counts, NEW, REACH};
use crate::monitors::panda::{JOBS, table};
use crate::query::{Scan, Selector};
use crate::sinks::influxdb::InfluxReader;

/// The running jobs by queue, production source and resource type.
type AllCounts = BTreeMap<Vec<String>, Counts>;

/// Reads as [`older`] does, and the counts behind the averages: of the InfluxDB at `source`, if it has them, else of our own store,
/// which has the same but for the moment of asking.
///
/// # Errors
/// As [`older`].
pub fn of_datadisks(config: &Config, source: &str, wanted: Wanted) -> Result<Older> {
    let mut found = older(config, source, wanted)?;
    if found.ours.is_some() || found.points.is_empty() {
        return Ok(found);
    }
    match counts(config, source, (&found, wanted)) {
        Ok(counts) => found.by_rule = by_rule(&found.points, wanted, &counts),
        Err(error) => found.notes.push(format!("the counts behind the averages, so none is explained: {error:#}")),
    }
    Ok(found)
}

fn counts(config: &Config, source: &str, (found, wanted): (&Older, Wanted)) -> Result<AllCounts> {
    if is_address(source) {
        let config = Address::parse(source)?.influxdb(config, false);
        if let Some(config) = config {
            let counts = read(&InfluxReader::new(&config, CATALOG)?.until(wanted.until), found, wanted)?;
            if !counts.is_empty() {
                return Ok(counts);
            }
        }
    }
    let directory = state::directory(config.state_directory.as_deref());
    match queue_table::points_store(config, &directory, wanted.until)? {
        Some((_, store)) => read(store.as_ref(), found, wanted),
        None => Ok(AllCounts::new()),
    }
}

/// Reads the counts that QMonit's rule takes for the points of an hour.
fn read(store: &dyn Scan, found: &Older, wanted: Wanted) -> Result<AllCounts> {
    let hour = wanted.window.from / SECOND;
    let running = || Selector::measurement(JOBS.name).with("job_status", "running");
    let mut counts = AllCounts::new();
    let back = |reach: i64| Window { from: (hour - reach) * SECOND, to: (hour + JOBS.every) * SECOND };
    take(store, &running(), (Tier::Raw, back(REACH[0])), &mut |key, value| {
        counts.entry(key).or_default().raw.push(value);
    })?;
    // Of a queue that has been silent for a day, what stood last.
    let is_silent = |key: &Vec<String>| !counts.contains_key(key);
    let silent: BTreeSet<_> = found.points.iter().map(key).filter(is_silent).collect();
    for key in silent {
        let selector = table::KEYS.iter().zip(&key).fold(running(), |selector, (tag, value)| selector.with(tag, value));
        let mut newest = Vec::new();
        take(store, &selector, (Tier::Raw, back(REACH[1])), &mut |_, value: (i64, f64)| newest.push(value))?;
        if let Some(last) = newest.into_iter().max_by_key(|(time, _)| *time) {
            counts.entry(key).or_default().raw.push(last);
        }
    }
    // The rows of silent queues were written up to a month ago, of days before that.
    take(store, &running(), (Tier::Day, back(2 * REACH[1])), &mut |key, value| {
        counts.entry(key).or_default().daily.push(value);
    })?;
    Ok(counts)
}

/// Calls `each` with the key, the time in unix seconds and the number of jobs of each point.
fn take(
    store: &dyn Scan,
    selector: &Selector,
    (tier, window): (Tier, Window),
    each: &mut dyn FnMut(Vec<String>, (i64, f64)),
) -> Result<()> {
    store.each(selector, window, tier, &mut |point| {
        let value = |name| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value.as_f64());
        // A folded point of no slot was taken back.
        if let Some(jobs) = value("jobs").filter(|_| value("slots") != Some(0.0)) {
            each(key(&point), (point.time() / SECOND, jobs));
        }
        Ok(())
    })
}

fn key(point: &Point) -> Vec<String> {
    table::KEYS.iter().map(|tag| point.tag(tag).unwrap_or_default().to_string()).collect()
}

/// Returns which averages QMonit's rule gives, and which rows it could not have yet.
fn by_rule(theirs: &[Point], wanted: Wanted, counts: &AllCounts) -> BTreeMap<String, ByRule> {
    let hour = wanted.window.from / SECOND;
    let mut by_rule = BTreeMap::new();
    for point in theirs {
        if let Some(counts) = counts.get(&key(point)) {
            let names = counts.gives(point, hour);
            by_rule.insert(point.series().to_string(), ByRule { why: BY_RULE, names, is_whole: false });
        }
    }
    let has_days = counts.values().any(|counts| !counts.daily.is_empty());
    let is_new = |point: &&Point| counts.get(&key(point)).is_none_or(|counts| counts.daily.is_empty());
    for point in wanted.ours.iter().filter(|_| has_days).filter(is_new) {
        let new = ByRule { why: NEW, names: BTreeSet::new(), is_whole: true };
        by_rule.entry(point.series().to_string()).or_insert(new);
    }
    by_rule
}
