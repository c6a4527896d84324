//! Declarations of rules: which values are a trouble, how bad it is, and what to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::model::{Measurement, Point};
use crate::text::{Shows, one_line};

/// The rules of one system, with the page that shows its numbers.
#[derive(Debug)]
pub struct System {
    /// The name of its page in addresses: `grids`.
    pub name: &'static str,
    /// Its title: `Grids`.
    pub title: &'static str,
    /// The program that collects it.
    pub program: &'static str,
    /// The rules.
    pub rules: &'static [Rule],
}

/// A rule: which values of which series are a trouble.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The name, unique among all rules: `schedd_down`.
    pub name: &'static str,
    /// The measurement.
    pub measurement: &'static Measurement,
    /// Its field.
    pub field: &'static str,
    /// The tags and values of the series that are meant.
    pub only: &'static [(&'static str, &'static str)],
    /// When a value is a trouble.
    pub condition: Condition,
    /// How bad that is.
    pub severity: Severity,
    /// The tags that name the subject, joined by ` · `.
    pub subject: &'static [&'static str],
    /// The subject of a rule without such tags.
    pub called: &'static str,
    /// What is said of the subject. `{value}`, `{of}`, `{was}` stand for the values, `{TAG}` for the value of a tag.
    pub text: &'static str,
    /// What is said of a trouble of now, if its newest labels tell more; empty if nothing else is said.
    pub text_now: &'static str,
    /// How values are shown.
    pub shows: Shows,
    /// How many values in a row make an event.
    pub runs: u32,
    /// The interval of its values in seconds, where neither they nor their coverage tell it; 0 for that of the measurement.
    pub every: i64,
}

/// When a value is a trouble.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    /// It is 0.
    Zero,
    /// It, or its share of another number, is above the first limit; and it is at least the other limit.
    Above(Limit, Option<Of>, Option<Limit>),
    /// It is from the first number to the second one.
    Within(i64, i64),
    /// It is at least `factor` times the least value of the last `within` seconds, and at least `by` more.
    Grew {
        /// The factor.
        factor: Limit,
        /// The least difference.
        by: Limit,
        /// The time, in seconds.
        within: Limit,
    },
    /// None has come for so many intervals of its writer.
    Silent(Limit),
    /// It is another one than before: an event without a length, and never a trouble.
    Changed,
}

/// The number of which a value is a share: of the same series but for one field or one tag.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// Another field.
    Field(&'static str),
    /// The same field of the series with this value of this tag.
    Tag(&'static str, &'static str),
}

/// How bad an event is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Down, lost or over its limit: somebody must act.
    Bad,
    /// Worse than usual: somebody should look.
    Worse,
    /// Nobody looked: nothing is known.
    NotCollected,
    /// Off by intent.
    Off,
    /// Something was changed.
    Changed,
}

impl Severity {
    /// Returns its shape, which says the same as its colour.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Bad => "▼",
            Self::Worse => "▲",
            Self::NotCollected => "▨",
            Self::Off => "○",
            Self::Changed => "◆",
        }
    }

    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Worse => "worse",
            Self::NotCollected => "not collected",
            Self::Off => "off",
            Self::Changed => "changed",
        }
    }

    /// Whether it needs somebody.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Bad | Self::Worse)
    }
}

/// Returns the word of a heartbeat.
fn up(alive: i64) -> &'static str {
    if alive == 0 { "down" } else { "up" }
}

/// Returns the word of a switch.
fn enabled(is_on: i64) -> &'static str {
    if is_on == 0 { "disabled" } else { "enabled" }
}

/// A number of a rule that `[alarms]` may set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Its key.
    pub key: &'static str,
    /// Its default, as the config writes it.
    pub default: &'static str,
    /// The largest value.
    pub most: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it does.
    pub help: &'static str,
}

impl Limit {
    /// Declares a limit from 0 on.
    pub const fn new(
        key: &'static str,
        default: &'static str,
        most: f64,
        unit: &'static str,
        help: &'static str,
    ) -> Self {
        Self { key, default, most, unit, help }
    }
}

/// The limits as they are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits(BTreeMap<&'static str, f64>);

impl Limits {
    /// Sets a limit.
    pub fn set(&mut self, key: &'static str, value: f64) {
        self.0.insert(key, value);
    }

    /// Returns a limit as it is set, or its default.
    pub fn of(&self, limit: Limit) -> f64 {
        self.0.get(limit.key).copied().unwrap_or_else(|| limit.default.parse().unwrap_or_default())
    }
}

/// All rules of a build, with their limits.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The systems, in the order of the pages.
    pub systems: &'static [&'static System],
    /// The limits.
    pub limits: Limits,
    /// After so many seconds without a value a series counts as gone on purpose.
    pub forget_seconds: i64,
    /// The tag and value that a series must have, if it is only about some.
    pub only: Option<(&'static str, String)>,
}

impl Rules {
    /// Returns each rule with its system.
    pub fn all(&self) -> impl Iterator<Item = (&'static System, &'static Rule)> + use<> {
        self.systems.iter().flat_map(|system| system.rules.iter().map(|rule| (*system, rule)))
    }

    /// Whether a rule looks at a field of a series.
    pub fn select(&self, rule: &Rule, series: &Point, field: &str) -> bool {
        let is_meant = self.only.as_ref().is_none_or(|(tag, value)| series.tag(tag) == Some(value));
        is_meant && rule.selects(series, field)
    }

    /// Returns the rules of one system alone.
    #[must_use]
    pub fn of(&self, system: &str) -> Self {
        let at = self.systems.iter().position(|one| one.name == system);
        Self { systems: at.map_or(&[], |at| &self.systems[at..=at]), ..self.clone() }
    }

    /// Returns the measurements of the rules, each once.
    pub fn measurements(&self) -> Vec<&'static Measurement> {
        let mut measurements = Vec::<&'static Measurement>::new();
        for (_, rule) in self.all() {
            if !measurements.iter().any(|known| known.name == rule.measurement.name) {
                measurements.push(rule.measurement);
            }
        }
        measurements
    }
}

impl Rule {
    const fn new(
        name: &'static str,
        measurement: &'static Measurement,
        field: &'static str,
        condition: Condition,
        severity: Severity,
    ) -> Self {
        let rule = Self {
            name,
            measurement,
            field,
            only: &[],
            condition,
            severity,
            subject: &[],
            called: "",
            text: "",
            text_now: "",
            shows: Shows::Number,
            runs: 1,
            every: 0,
        };
        rule.assert_field();
        rule
    }

    /// # Panics
    /// If the measurement has no such field; in a `static` this fails the build.
    const fn assert_field(&self) {
        let mut at = 0;
        while at < self.measurement.fields.len() {
            let (a, b) = (self.measurement.fields[at].name.as_bytes(), self.field.as_bytes());
            let mut same = 0;
            while same < a.len() && same < b.len() && a[same] == b[same] {
                same += 1;
            }
            if same == a.len() && same == b.len() {
                return;
            }
            at += 1;
        }
        panic!("a rule of a field that its measurement does not declare");
    }

    /// Declares that 0 is down.
    ///
    /// # Panics
    /// If the measurement has no such field; in a `static` this fails the build. So do the functions below.
    pub const fn zero(name: &'static str, measurement: &'static Measurement, field: &'static str) -> Self {
        Self::new(name, measurement, field, Condition::Zero, Severity::Bad).shows(Shows::Named(up))
    }

    /// Declares that 0 is off by intent.
    pub const fn off(name: &'static str, measurement: &'static Measurement, field: &'static str) -> Self {
        Self::new(name, measurement, field, Condition::Zero, Severity::Off).shows(Shows::Named(enabled))
    }

    /// Declares that more than a limit is worse than usual.
    pub const fn above(
        name: &'static str,
        measurement: &'static Measurement,
        field: &'static str,
        limit: Limit,
    ) -> Self {
        Self::new(name, measurement, field, Condition::Above(limit, None, None), Severity::Worse)
    }

    /// Declares that a larger share of another number than a limit is bad, if it is at least so many.
    pub const fn share(
        name: &'static str,
        measurement: &'static Measurement,
        field: &'static str,
        of: Of,
        (limit, least): (Limit, Limit),
    ) -> Self {
        Self::new(name, measurement, field, Condition::Above(limit, Some(of), Some(least)), Severity::Bad)
    }

    /// Declares that numbers from the first to the second are bad.
    pub const fn within(
        name: &'static str,
        measurement: &'static Measurement,
        field: &'static str,
        (first, last): (i64, i64),
    ) -> Self {
        Self::new(name, measurement, field, Condition::Within(first, last), Severity::Bad)
    }

    /// Declares that growth by a factor and by an amount within a time is worse than usual.
    pub const fn grew(
        name: &'static str,
        measurement: &'static Measurement,
        field: &'static str,
        [factor, by, within]: [Limit; 3],
    ) -> Self {
        Self::new(name, measurement, field, Condition::Grew { factor, by, within }, Severity::Worse)
    }

    /// Declares that silence of so many intervals of its writer is bad.
    pub const fn silent(
        name: &'static str,
        measurement: &'static Measurement,
        field: &'static str,
        intervals: Limit,
    ) -> Self {
        Self::new(name, measurement, field, Condition::Silent(intervals), Severity::Bad)
    }

    /// Declares that another value than before is an event.
    pub const fn changed(name: &'static str, measurement: &'static Measurement, field: &'static str) -> Self {
        Self::new(name, measurement, field, Condition::Changed, Severity::Changed)
    }

    /// Restricts the rule to series with these tags.
    pub const fn only(self, only: &'static [(&'static str, &'static str)]) -> Self {
        Self { only, ..self }
    }

    /// Sets the tags that name the subject, and what is said of it.
    pub const fn says(self, subject: &'static [&'static str], text: &'static str) -> Self {
        Self { subject, text, ..self }
    }

    /// Sets what is said of a trouble of now.
    pub const fn says_now(self, text_now: &'static str) -> Self {
        Self { text_now, ..self }
    }

    /// Sets the subject of a rule whose series have no name of their own.
    pub const fn called(self, called: &'static str) -> Self {
        Self { called, ..self }
    }

    /// Sets how bad it is.
    pub const fn is(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// Sets how values are shown.
    pub const fn shows(self, shows: Shows) -> Self {
        Self { shows, ..self }
    }

    /// Sets how many values in a row make an event.
    pub const fn runs(self, runs: u32) -> Self {
        Self { runs, ..self }
    }

    /// Sets the interval of its values where nothing else tells it, in seconds.
    pub const fn each(self, every: i64) -> Self {
        Self { every, ..self }
    }

    /// Returns the limits of the rule.
    pub const fn limits(&self) -> [Option<Limit>; 3] {
        match self.condition {
            Condition::Above(limit, _, least) => [Some(limit), least, None],
            Condition::Grew { factor, by, within } => [Some(factor), Some(by), Some(within)],
            Condition::Silent(intervals) => [Some(intervals), None, None],
            Condition::Zero | Condition::Within(..) | Condition::Changed => [None; 3],
        }
    }

    /// Whether a series is meant.
    fn selects(&self, series: &Point, field: &str) -> bool {
        self.field == field
            && self.measurement.name == series.measurement()
            && self.only.iter().all(|(tag, value)| series.tag(tag) == Some(value))
    }

    /// Returns the name of the subject.
    pub fn subject(&self, series: &Point) -> String {
        if self.subject.is_empty() {
            return self.called.into();
        }
        let names: Vec<_> = self.subject.iter().filter_map(|tag| series.tag(tag)).map(one_line).collect();
        names.join(" · ")
    }

    /// Returns the grid, or the like, whose subject it is: the value of the first key. Empty if the subject says it.
    pub(super) fn section(&self, series: &Point) -> String {
        let first = self.measurement.tags.iter().find(|tag| tag.identifies).map_or("", |tag| tag.name);
        let is_said = self.subject.is_empty() || self.subject.contains(&first);
        if is_said { String::new() } else { one_line(series.tag(first).unwrap_or_default()) }
    }

    /// Returns the series of the number of which this one is a share, and its field.
    pub(super) fn partner(&self, series: &Point) -> Option<(Point, &'static str)> {
        let Condition::Above(_, Some(of), _) = self.condition else { return None };
        Some(match of {
            Of::Field(field) => (series.clone(), field),
            Of::Tag(tag, value) => {
                let tags =
                    series.tags().map(|(name, own)| (name.to_string().into(), if name == tag { value } else { own }));
                (Point::new(self.measurement.name.into(), tags, [], 0), self.field)
            }
        })
    }

    /// Returns what is said, given the value, the number of which it is a share and the last value before; `is_now` if
    /// the series has the labels of now.
    pub(super) fn said(
        &self,
        series: &Point,
        (value, of): (f64, Option<f64>),
        was: Option<f64>,
        is_now: bool,
    ) -> String {
        let text = if is_now && !self.text_now.is_empty() { self.text_now } else { self.text };
        let mut text = text.replace("{value}", &self.shows.text(value));
        for (name, other) in [("{of}", of), ("{was}", was)] {
            if text.contains(name) {
                text = text.replace(name, &other.map_or("?".into(), |other| self.shows.text(other)));
            }
        }
        // A name from outside comes last, so that what it holds stands for nothing.
        match text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            Some((before, (tag, after))) => format!("{before}{}{after}", one_line(series.tag(tag).unwrap_or_default())),
            None => text,
        }
    }

    /// Returns the condition in a sentence's part, for the documentation.
    fn condition_text(&self) -> String {
        let key = |limit: Limit| format!("`{}`", limit.key);
        match self.condition {
            Condition::Zero => "is 0".into(),
            Condition::Above(limit, of, least) => {
                let of = match of {
                    None => String::new(),
                    Some(Of::Field(field)) => format!(" of `{field}`"),
                    Some(Of::Tag(tag, value)) => format!(" of that with {tag} {value}"),
                };
                let least = least.map(|least| format!(", and is at least {}", key(least))).unwrap_or_default();
                format!("is more than {}{of}{least}", key(limit))
            }
            Condition::Within(first, last) if first == last => format!("is {first}"),
            Condition::Within(first, last) => format!("is {first} to {last}"),
            Condition::Grew { factor, by, within } => {
                format!("is {} times its least value within {} and {} more", key(factor), key(within), key(by))
            }
            Condition::Silent(intervals) => format!("has been silent for {} intervals of its writer", key(intervals)),
            Condition::Changed => "is another one than before".into(),
        }
    }
}

/// Returns the table of all rules for docs/cloud-monitor.md.
pub fn documentation(systems: &[&System]) -> String {
    let mut text = String::from("| system | | of whom | it says | when |\n|---|---|---|---|---|\n");
    for system in systems {
        for rule in system.rules {
            let only = rule.only.iter().map(|(tag, value)| format!(" with {tag} {value}")).collect::<String>();
            let runs = if rule.runs > 1 { format!(", {} runs on end", rule.runs) } else { String::new() };
            let subject = if rule.subject.is_empty() { rule.called.into() } else { rule.subject.join(" · ") };
            let _ = writeln!(
                text,
                "| {} | {} | {subject} | {} | `{}.{}`{only} {}{runs} |",
                system.title,
                rule.severity.shape(),
                rule.text,
                rule.measurement.name,
                rule.field,
                rule.condition_text(),
            );
        }
    }
    text
}
