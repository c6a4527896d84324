//! The values of series that a rule looks at, read from a store in bounded pieces.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::report::{Event, plot_address};
use super::rule::{Condition, Rule, Rules, Severity, System};
use super::track::{Happened, Track, samples};
use crate::model::collected::STEP;
use crate::model::{Measurement, Point, carbon_component};
use crate::query::{Detail, Latest, Read, Values, Wanted};
use crate::text::Shows;

/// How many intervals are read back for the beginning of a trouble, one after another: two hours, a day and a month of minutes.
const BACK: [i64; 3] = [130, 1500, 45_000];

/// The most values that one question may bring, about.
const VALUES: usize = 250_000;

/// The most series of one question.
pub(super) const AT_ONCE: usize = 400;

/// A series with the rule that looks at it.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub system: &'static System,
    pub rule: &'static Rule,
    pub series: Point,
    pub wanted: Wanted,
    /// The number of which it is a share.
    pub partner: Option<Wanted>,
    /// The interval of its values, in seconds.
    pub every: i64,
}

/// Returns a number as a store is asked for it.
fn wanted(measurement: &'static Measurement, series: &Point, field: &str) -> Option<Wanted> {
    let path = measurement.carbon_path(series, field)?;
    let number = measurement.read_path(&path)?;
    Some(Wanted { path, number })
}

/// The intervals that points of coverage tell of themselves, in seconds, by series.
pub(super) struct Steps<'a>(HashMap<&'a str, i64>);

impl<'a> Steps<'a> {
    pub fn new(values: &'a [Latest]) -> Self {
        let of_coverage = values.iter().filter(|one| one.field.name == STEP.info().name);
        Self(of_coverage.map(|one| (one.series.series(), one.value.as_f64() as i64)).collect())
    }
}

impl Followed {
    /// Returns the series of a newest value with a rule that looks at it; `None` if the number has no path.
    pub fn new(system: &'static System, rule: &'static Rule, latest: &Latest, steps: &Steps) -> Option<Self> {
        let partner = rule.partner(&latest.series);
        let told = steps.0.get(latest.series.series()).copied().filter(|step| *step > 0);
        let every = told.unwrap_or(if rule.every > 0 { rule.every } else { latest.every });
        Some(Self {
            system,
            rule,
            wanted: wanted(rule.measurement, &latest.series, rule.field)?,
            partner: partner.and_then(|(series, field)| wanted(rule.measurement, &series, field)),
            series: Point::clone(&latest.series),
            every: every.max(1),
        })
    }

    /// Whether it is about that of which a number tells: it is that number; or the number has the first name of its subject,
    /// and no other name of the subject, nor that of their grid or hub, differs. A subject without a name is about all numbers of
    /// its measurement.
    pub fn tells_of(&self, number: &Wanted) -> bool {
        if self.wanted.path == number.path {
            return true;
        }
        let Some(first) = self.rule.subject.first() else {
            let of = self.series.tag("measurement").unwrap_or(self.rule.measurement.name);
            return number.number.measurement.name == of;
        };
        let scope = self.rule.measurement.tags.iter().find(|tag| tag.identifies).map(|tag| tag.name);
        let mut is_named = false;
        for (tag, name) in &number.number.tags {
            // A host's path may have its dots.
            let Some(own) = self.series.tag(tag) else { continue };
            if own == name || carbon_component(own) == *name {
                is_named |= tag == first;
            } else if self.rule.subject.contains(tag) || scope == Some(tag) {
                return false;
            }
        }
        is_named
    }

    /// How long before a time its values must be known too, in seconds.
    pub fn margin(&self, rules: &Rules) -> i64 {
        match self.rule.condition {
            Condition::Grew { within, .. } => rules.limits.of(within) as i64 + self.every,
            _ => 10 * self.every,
        }
    }

    /// Returns an event for people, who are told these values of it.
    pub fn event(&self, happened: &Happened, values: (f64, Option<f64>), is_now: bool) -> Event {
        let Self { system, rule, series, wanted, .. } = self;
        let is_silence = matches!(rule.condition, Condition::Silent(_));
        let text = |value: Option<f64>| value.map_or(String::new(), |value| rule.shows.text(value));
        let (was, became) = match is_silence {
            true => (format!("each {}", Shows::Seconds.text(self.every as f64)), "nothing".into()),
            false => {
                let of = happened.became.1.map(|of| format!(" of {}", rule.shows.text(of))).unwrap_or_default();
                (text(happened.was), format!("{}{of}", rule.shows.text(happened.became.0)))
            }
        };
        // A silence that is over was a time of which nothing is known; one that goes on needs somebody.
        let severity = match happened.until {
            Some(_) if is_silence => Severity::NotCollected,
            _ => rule.severity,
        };
        let text = match severity {
            Severity::NotCollected => "not collected".into(),
            _ => rule.said(series, values, happened.was, is_now),
        };
        Event {
            system: system.name,
            title: system.title,
            rule: rule.name,
            subject: rule.subject(series),
            section: rule.section(series),
            text,
            severity,
            since: happened.since,
            is_begin: happened.is_begin,
            until: happened.until,
            was,
            became,
            path: wanted.path.clone(),
            plot: plot_address(system.name, &wanted.path),
            series: series.clone(),
            names: rule.subject,
        }
    }
}

/// Returns the values of these series, each with those of the number of which it is a share.
pub(super) fn read(
    store: &dyn Read,
    followed: &[&Followed],
    (from, to): (i64, i64),
    detail: Detail,
) -> Result<Vec<(Values, Option<Values>)>> {
    let mut all = Vec::with_capacity(followed.len());
    for some in followed.chunks(AT_ONCE) {
        let wanted = some.iter().flat_map(|one| [Some(&one.wanted), one.partner.as_ref()]).flatten();
        let mut values = store.range(&wanted.cloned().collect::<Vec<_>>(), from, to, detail)?.into_iter();
        for one in some {
            let Some(own) = values.next() else { break };
            let partner = one.partner.as_ref().and_then(|_| values.next());
            all.push((own, partner));
        }
    }
    Ok(all)
}

/// Returns the tracks of series up to `to` (unix seconds), read back until the beginning of their troubles is found, or for
/// about a month of minutes.
pub(super) fn read_back(store: &dyn Read, rules: &Rules, followed: &[&Followed], to: i64) -> Result<Vec<Track>> {
    let mut tracks: Vec<_> = followed.iter().map(|one| Track::new(one.rule, &rules.limits, one.every)).collect();
    let mut left: Vec<usize> = (0..followed.len()).collect();
    for intervals in BACK {
        let mut by_span = BTreeMap::<i64, Vec<usize>>::new();
        for at in left.drain(..) {
            let one = followed[at];
            by_span.entry((intervals * one.every).max(2 * one.margin(rules))).or_default().push(at);
        }
        for (span, some) in by_span {
            let of: Vec<_> = some.iter().map(|at| followed[*at]).collect();
            let detail = Detail::Points((VALUES / of.len()).clamp(150, 5000));
            for (at, (values, partner)) in some.iter().zip(read(store, &of, (to - span, to), detail)?) {
                let one = followed[*at];
                let mut track = Track::new(one.rule, &rules.limits, one.every);
                for sample in samples(one.rule, &rules.limits, &values, partner.as_ref()) {
                    track.push(sample);
                }
                left.extend(track.begins_earlier().then_some(*at));
                tracks[*at] = track;
            }
        }
    }
    Ok(tracks)
}
