//! `--compare` of the down-samplers: the folded points of `jobs` against those that QMonit's downsample.py wrote.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::frame::downsample::Downsampler;
use crate::frame::{ByRule, Older, Program, Wanted, compared, is_address, print_compared};
use crate::model::{Measurement, Point, SECOND, Tier, Window};
use crate::monitors::panda::JOBS;
use crate::monitors::panda::folded::{BY_RULE, FOLD_CAUSES, Ruled, qmonits, read_by_qmonit};
use crate::query::Selector;
use crate::rollup::length;
use crate::setup::{CATALOG, Config, older};

/// How long a store may take to answer.
const ANSWERS: Duration = Duration::from_secs(600);

/// What QMonit folded.
static FOLDED: [&Measurement; 1] = [&JOBS];

/// Prints how the points of each window differ from those at `source`, by the labels of the first and the last one, in unix seconds; writes
/// nothing. Returns whether each difference has a known cause.
///
/// # Errors
/// Fails if our store cannot be read.
pub fn compare(
    of: &Downsampler,
    name: &'static str,
    tier: Tier,
    (first, last): (i64, i64),
    (config, source): (&Config, &str),
) -> Result<bool> {
    let seconds = length(tier) / SECOND;
    let program = Program {
        name,
        interval_seconds: seconds,
        deadline_seconds: ANSWERS.as_secs(),
        sources: &[],
        measurements: &FOLDED,
    };
    let mut is_known = true;
    for label in (first..=last).step_by(seconds as usize) {
        let mut folded = Vec::new();
        of.show(tier, Some((label, label)), &mut |points| {
            folded.extend(points.into_iter().filter(|point| point.measurement() == JOBS.name));
            Ok(())
        })?;
        let until = Instant::now() + ANSWERS;
        let wanted = |tier, window| Wanted { program: &program, tier, window, now: of.now, until, ours: &[] };
        // Each series stands at an offset of its own after the label.
        let at_label = Window { from: label * SECOND, to: (label + JOBS.every) * SECOND };
        let told = compared(&program, &folded, CATALOG, (source, label, FOLD_CAUSES), |ours| {
            let mut found = older(config, source, Wanted { ours, ..wanted(tier, at_label) })?;
            let window = read_by_qmonit(tier, label);
            let finer = if tier == Tier::Day { Tier::Hour } else { Tier::Raw };
            // What QMonit folded itself is best asked of its own store; else ours has the same counts, but for the moment of asking.
            let of_qmonit =
                || older(config, source, Wanted { ours, ..wanted(finer, window) }).ok().filter(|it| it.ours.is_none());
            let of_qmonit = is_address(source).then(of_qmonit).flatten().map(|older| older.points);
            let points = match of_qmonit.filter(|points| !points.is_empty()) {
                Some(points) => points,
                None => stored(of, finer, window)?,
            };
            found.by_rule = by_rule(&found, &qmonits(tier, label, &points));
            Ok(found)
        });
        is_known &= print_compared(name, told);
    }
    Ok(is_known)
}

/// Returns the points of `jobs` in our store.
fn stored(of: &Downsampler, tier: Tier, window: Window) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    of.store.reader().each(&Selector::measurement(JOBS.name), window, tier, &mut |mut point| {
        CATALOG.declare(&mut point);
        points.push(point);
        Ok(())
    })?;
    Ok(points)
}

/// Returns what of each point QMonit's own arithmetic makes.
fn by_rule(older: &Older, ruled: &BTreeMap<String, Ruled>) -> BTreeMap<String, ByRule> {
    let of = |point: &Point| {
        let (names, is_whole) = ruled.get(point.series())?.of(point);
        Some((point.series().to_string(), ByRule { why: BY_RULE, names, is_whole }))
    };
    older.points.iter().filter_map(of).collect()
}
