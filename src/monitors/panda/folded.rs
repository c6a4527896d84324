//! How QMonit's downsample.py made its hourly and daily points: of the newest values at its run, however old. So that its own
//! arithmetic is told from a difference that nobody knows.

use std::collections::{BTreeMap, BTreeSet};

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

/// What QMonit may have written of a series at a label: of each field the values, of each tag those of the newest point that it
/// read.
#[derive(Debug, Default)]
pub struct Ruled {
    fields: BTreeMap<String, Vec<f64>>,
    tags: BTreeMap<String, BTreeSet<String>>,
}

impl Ruled {
    /// Returns the tags and fields of QMonit's point that are so, and whether its jobs are.
    pub fn of(&self, theirs: &Point) -> (BTreeSet<String>, bool) {
        let fields = theirs.fields().filter(|(name, value): &(&str, Value)| self.gives(name, value.as_f64()));
        let mut names: BTreeSet<String> = fields.map(|(name, _)| name.to_string()).collect();
        let is_whole = names.contains(JOB_COUNT.info().name);
        // The tags are of the newest of the same points, so they follow only where the jobs do.
        let all = self.tags.iter().filter(|_| is_whole);
        let same = all.filter(|(name, values)| values.contains(theirs.tag(name).unwrap_or_default()));
        names.extend(same.map(|(name, _)| name.clone()));
        (names, is_whole)
    }

    /// Whether a field may have this value: QMonit rounded to hundredths.
    fn gives(&self, field: &str, theirs: f64) -> bool {
        self.fields.get(field).is_some_and(|values| values.iter().any(|value| is_rounded(theirs, *value)))
    }
}

/// Whether a number is another one, rounded to hundredths.
pub(super) fn is_rounded(rounded: f64, value: f64) -> bool {
    (rounded - value).abs() < 0.006
}

/// Returns what QMonit may have written at a label, in unix seconds, from the finer points of [`read_by_qmonit`], by series.
pub fn qmonits(tier: Tier, label: i64, finer: &[Point]) -> BTreeMap<String, Ruled> {
    let most = if tier == Tier::Day { 24 } else { 6 };
    let mut series = BTreeMap::<&str, Vec<&Point>>::new();
    finer.iter().for_each(|point| series.entry(point.series()).or_default().push(point));
    let mut found = BTreeMap::new();
    for (name, mut points) in series {
        points.sort_by_key(|point| std::cmp::Reverse(point.time()));
        let mut ruled = Ruled::default();
        for run in runs(tier, label) {
            let window = Window { from: (run - reach(tier)) * SECOND, to: (run + 1) * SECOND };
            let newest: Vec<&Point> = points.iter().copied().filter(|point| window.contains(point.time())).collect();
            for field in JOBS.fields {
                ruled.fields.entry(field.name.into()).or_default().extend(folded(&newest, field.name, most));
            }
            for tag in newest.first().into_iter().flat_map(|_| JOBS.tags).filter(|tag| !tag.identifies) {
                let value = newest[0].tag(tag.name).unwrap_or_default();
                ruled.tags.entry(tag.name.into()).or_default().insert(value.into());
            }
        }
        found.insert(name.to_string(), ruled);
    }
    found
}

/// Returns QMonit's fold of a field, of the newest values that are there: the sum of jobs that are events, else the mean.
fn folded(newest: &[&Point], field: &str, most: usize) -> Option<f64> {
    let of =
        |point: &&Point| point.fields().find(|(name, _)| *name == field).map(|(_, value): (_, Value)| value.as_f64());
    let values: Vec<f64> = newest.iter().take(most).filter_map(of).collect();
    let sum: f64 = values.iter().sum();
    let is_summed = JOBS.exact.is_some_and(|exact| {
        let status = newest.first().and_then(|point| point.tag(exact.events.0));
        exact.field == field && status.is_some_and(|status| exact.events.1.contains(&status))
    });
    (!values.is_empty()).then(|| if is_summed { sum } else { sum / values.len() as f64 })
}
