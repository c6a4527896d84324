//! How QMonit's downsample.py made its hourly and daily points: of the newest values at its run, however old. So that its own
//! arithmetic is told from a difference that nobody knows.

use std::collections::BTreeMap;

use super::measurements::{JOB_COUNT, JOBS};
use super::original::{NOT_IN_CRIC, NULL_TAG, PLEDGES_IN_ORDER};
use crate::model::{Cause, Difference, Point, SECOND, Tier, Value, Window};

const HOUR: i64 = 3600;

/// The reason of what [`qmonits`] explains.
pub const BY_RULE: &str = "QMonit's value is of its newest six, a day's of its newest 24, at its run, however old; a slot without the \
                           series is left out";

/// Why folded points of `jobs` differ from those that QMonit wrote, beside its own arithmetic.
pub static FOLD_CAUSES: &[Cause] = &[
    Cause {
        why: "QMonit's folded points do not tell what they were made of",
        is_general: true,
        explains: |of, difference| {
            let is_ours = |name: &str| JOBS.exact.is_some_and(|exact| [exact.sum, exact.slots].contains(&name));
            matches!(difference, Difference::Field(name) if is_ours(name) && of.field(name)[1].is_none())
        },
    },
    Cause {
        why: "QMonit's downsample.py made a tag of each field that it did not know, such as gridmon's sequence",
        is_general: false,
        explains: |of, difference| *difference == Difference::Tag("sequence") && of.tag("sequence")[0].is_none(),
    },
    NOT_IN_CRIC,
    NULL_TAG,
    PLEDGES_IN_ORDER,
];

/// Returns the time of the finer points that QMonit read for the point at a label, in unix seconds: two hours of raw ones, two
/// days of hourly ones, up to its run.
pub fn read_by_qmonit(tier: Tier, label: i64) -> Window {
    let runs = runs(tier, label);
    let (first, last) = (runs[0], runs[runs.len() - 1]);
    Window { from: (first - reach(tier)) * SECOND, to: (last + 1) * SECOND }
}

/// Returns when QMonit's run for a label may have been, in unix seconds: a quarter past the hour; for a day six minutes past midnight, of
/// UTC, or of the zone of CERN, whose day of then has UTC's name of the day before.
fn runs(tier: Tier, label: i64) -> Vec<i64> {
    match tier {
        Tier::Day => [0, 22 * HOUR, 23 * HOUR].map(|later| label + later + 360).to_vec(),
        _ => vec![label + 900],
    }
}

fn reach(tier: Tier) -> i64 {
    if tier == Tier::Day { 48 * HOUR } else { 2 * HOUR }
}

/// Returns what QMonit may have written at a label, in unix seconds, from the finer points of [`read_by_qmonit`]: the values of
/// each series.
pub fn qmonits(tier: Tier, label: i64, finer: &[Point]) -> BTreeMap<String, Vec<f64>> {
    let most = if tier == Tier::Day { 24 } else { 6 };
    let mut series = BTreeMap::<&str, Vec<&Point>>::new();
    finer.iter().for_each(|point| series.entry(point.series()).or_default().push(point));
    let mut found = BTreeMap::new();
    for (name, mut points) in series {
        points.sort_by_key(|point| std::cmp::Reverse(point.time()));
        let of_run = |run: i64| {
            let window = Window { from: (run - reach(tier)) * SECOND, to: (run + 1) * SECOND };
            let newest = points.iter().filter(|point| window.contains(point.time())).take(most);
            let values: Vec<_> = newest.filter_map(|point| jobs(point)).collect();
            let sum: f64 = values.iter().sum();
            let is_event = points.first().is_some_and(|point| {
                JOBS.exact.is_some_and(|exact| {
                    point.tag(exact.events.0).is_some_and(|status| exact.events.1.contains(&status))
                })
            });
            (!values.is_empty()).then(|| if is_event { sum } else { sum / values.len() as f64 })
        };
        found.insert(name.to_string(), runs(tier, label).into_iter().filter_map(of_run).collect());
    }
    found
}

/// Whether QMonit's point has one of these values: it rounded to hundredths.
pub fn is_by_rule(theirs: &Point, values: &[f64]) -> bool {
    jobs(theirs).is_some_and(|theirs| values.iter().any(|value| (theirs - value).abs() < 0.006))
}

fn jobs(point: &Point) -> Option<f64> {
    point.fields().find(|(name, _)| *name == JOB_COUNT.info().name).map(|(_, value): (_, Value)| value.as_f64())
}
