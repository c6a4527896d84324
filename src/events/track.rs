//! The events of one series, made of its values one by one: pure, and the same in whichever pieces the values come.

use std::collections::VecDeque;

use super::rule::{Condition, Limits, Rule};
use crate::query::{Part, Values};

/// One value as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Its time, in unix seconds.
    pub time: i64,
    /// The value; of several that a store has folded, the worst one.
    pub value: f64,
    /// The number of which it is a share.
    pub of: Option<f64>,
    /// The value that it is compared with, if that is not the last one before.
    pub base: Option<f64>,
    /// Whether it is a trouble.
    pub is_bad: bool,
}

/// An event of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Happened {
    /// When it began, in unix seconds.
    pub since: i64,
    /// Whether it began then; else it was there already when the first value was collected.
    pub is_begin: bool,
    /// When it was over; `None` if it is still going.
    pub until: Option<i64>,
    /// The last value before it, if there was one.
    pub was: Option<f64>,
    /// The worst value in it, with the number of which it is a share.
    pub became: (f64, Option<f64>),
    /// The newest value in it.
    pub newest: (f64, Option<f64>),
}

/// What is known of a series so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// How many values in a row make an event.
    runs: u32,
    kind: Kind,
    /// The last value that was not a trouble.
    good: Option<f64>,
    /// The time of the last value.
    last: Option<i64>,
    /// The trouble that the last value is in, and how many values it has.
    open: Option<(Happened, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A trouble lasts from its first value to the first good one.
    Trouble,
    /// Each change is an event.
    Change,
    /// Silence beyond so many seconds is an event that begins when the next value was due.
    Silence { limit: i64, every: i64 },
}

impl Track {
    /// Returns what is known before the first value. The values come `every` seconds apart.
    pub fn new(rule: &Rule, limits: &Limits, every: i64) -> Self {
        let kind = match rule.condition {
            Condition::Changed => Kind::Change,
            Condition::Silent(intervals) => {
                Kind::Silence { limit: (limits.of(intervals) * every as f64) as i64, every }
            }
            _ => Kind::Trouble,
        };
        Self { runs: rule.runs.max(1), kind, good: None, last: None, open: None }
    }

    /// Returns the time of the last value.
    pub fn last(&self) -> Option<i64> {
        self.last
    }

    /// Takes the next value; returns the event that it ends, or that it is. A gap before it neither begins nor ends a
    /// trouble. A value that is not later than the last one is left out.
    pub fn push(&mut self, sample: Sample) -> Option<Happened> {
        let Sample { time, value, of, base, is_bad } = sample;
        if self.last.is_some_and(|last| time <= last) {
            return None;
        }
        let before = self.last.replace(time);
        match self.kind {
            Kind::Change => {
                let was = self.good.replace(value);
                let changed = was.is_some_and(|was| was != value);
                let pair = (value, None);
                changed.then_some(Happened {
                    since: time,
                    is_begin: true,
                    until: Some(time),
                    was,
                    became: pair,
                    newest: pair,
                })
            }
            Kind::Silence { limit, every } => {
                let silent = before.filter(|before| time - before > limit)?;
                Some(Happened { until: Some(time), ..silence(silent + every) })
            }
            Kind::Trouble if is_bad => {
                let was = base.or(self.good);
                let pair = (value, of);
                let new =
                    Happened { since: time, is_begin: before.is_some(), until: None, was, became: pair, newest: pair };
                let (open, count) = self.open.get_or_insert((new, 0));
                *count = count.saturating_add(1);
                open.newest = pair;
                if value > open.became.0 {
                    open.became = pair;
                }
                None
            }
            Kind::Trouble => {
                self.good = Some(value);
                let (event, count) = self.open.take()?;
                (count >= self.runs).then_some(Happened { until: Some(time), ..event })
            }
        }
    }

    /// Returns the event that is still going at `now`, in unix seconds.
    pub fn going(&self, now: i64) -> Option<Happened> {
        match self.kind {
            Kind::Silence { limit, every } => {
                let last = self.last.filter(|last| now - last > limit)?;
                Some(silence(last + every))
            }
            _ => self.open.filter(|(_, count)| *count >= self.runs).map(|(event, _)| event),
        }
    }

    /// Whether the beginning of the trouble that the last value is in lies before all values.
    pub fn begins_earlier(&self) -> bool {
        self.open.is_some_and(|(event, _)| !event.is_begin)
    }
}

fn silence(since: i64) -> Happened {
    Happened { since, is_begin: true, until: None, was: None, became: (0.0, None), newest: (0.0, None) }
}

/// Returns the values of a series as a rule sees them. Where a share has no other number at the same time, nothing is known.
pub fn samples(rule: &Rule, limits: &Limits, values: &Values, partner: Option<&Values>) -> Vec<Sample> {
    let mut least = Least { within: 0, values: VecDeque::new() };
    if let Condition::Grew { within, .. } = rule.condition {
        least.within = limits.of(within) as i64;
    }
    let mut samples = Vec::with_capacity(values.values.len());
    for (at, (time, mean)) in values.values.iter().enumerate() {
        let part = values.parts.get(at).copied().unwrap_or(Part::of(*mean));
        let value = if matches!(rule.condition, Condition::Zero) { part.least } else { part.most };
        let of = partner.and_then(|partner| {
            let at = partner.values.binary_search_by_key(time, |(time, _)| *time).ok()?;
            Some(partner.values[at].1)
        });
        if matches!(rule.condition, Condition::Above(_, Some(_), _)) && of.is_none() {
            continue;
        }
        let base = least.before(*time);
        if least.within > 0 {
            least.push(*time, part.least);
        }
        samples.push(Sample { time: *time, value, of, base, is_bad: is_bad(rule, limits, value, of, base) });
    }
    samples
}

/// Whether a value is a trouble, given the number of which it is a share and the one that it may have grown from.
pub fn is_bad(rule: &Rule, limits: &Limits, value: f64, of: Option<f64>, base: Option<f64>) -> bool {
    match rule.condition {
        Condition::Zero => value == 0.0,
        Condition::Above(limit, share, least) => {
            let is_many = least.is_none_or(|least| value >= limits.of(least));
            let compared = if share.is_some() { of.filter(|of| *of > 0.0).map(|of| value / of) } else { Some(value) };
            is_many && compared.is_some_and(|compared| compared > limits.of(limit))
        }
        Condition::Within(first, last) => (first as f64..=last as f64).contains(&value),
        Condition::Grew { factor, by, .. } => {
            base.is_some_and(|base| value >= base * limits.of(factor) && value - base >= limits.of(by))
        }
        Condition::Silent(_) | Condition::Changed => false,
    }
}

/// The least value of the last seconds.
struct Least {
    within: i64,
    /// Rising in time and value.
    values: VecDeque<(i64, f64)>,
}

impl Least {
    fn before(&mut self, time: i64) -> Option<f64> {
        while self.values.front().is_some_and(|(first, _)| *first < time - self.within) {
            self.values.pop_front();
        }
        self.values.front().map(|(_, value)| *value)
    }

    fn push(&mut self, time: i64, value: f64) {
        while self.values.back().is_some_and(|(_, last)| *last >= value) {
            self.values.pop_back();
        }
        self.values.push_back((time, value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::{Limit, Of};
    use super::*;
    use crate::model::{Declaration, Field, FieldInfo, Measurement, Tag};

    const ALIVE: Field<i64> = Field::count("alive", "0 or 1", "");
    static FIELD: FieldInfo = ALIVE.info();
    static THING: Measurement = Measurement::new(Declaration {
        name: "thing",
        meaning: "",
        tags: &[Tag::key("grid"), Tag::key("name")],
        fields: &[ALIVE.info()],
        carbon: "thing.{grid}.{name}",
        every: 60,
    });
    const LIMIT: Limit = Limit::new("limit", "0.25", 1.0, "ratio", "");
    const LEAST: Limit = Limit::new("least", "3", 1e9, "things", "");
    const GROWTH: [Limit; 3] = [
        Limit::new("factor", "3", 1e9, "times", ""),
        Limit::new("by", "20", 1e9, "things", ""),
        Limit::new("within", "3600", 1e9, "seconds", ""),
    ];
    const SILENT: Limit = Limit::new("intervals", "3", 1e9, "intervals", "");
    const DOWN: Rule = Rule::zero("down", &THING, "alive");

    fn values(given: &[(i64, f64)]) -> Values {
        Values { path: "x".into(), field: &FIELD, step: 60, values: given.to_vec(), parts: Vec::new(), newest: None }
    }

    /// All events of a series up to `now`, the one that is still going last.
    fn events(rule: &Rule, given: &[(i64, f64)], of: Option<&[(i64, f64)]>, now: i64) -> Vec<Happened> {
        let limits = Limits::default();
        let mut track = Track::new(rule, &limits, 60);
        let of = of.map(values);
        let samples = samples(rule, &limits, &values(given), of.as_ref());
        let mut events: Vec<_> = samples.into_iter().filter_map(|sample| track.push(sample)).collect();
        events.extend(track.going(now));
        events
    }

    /// Values of 60 s on end.
    fn minutes(given: &[f64]) -> Vec<(i64, f64)> {
        given.iter().enumerate().map(|(at, value)| (at as i64 * 60, *value)).collect()
    }

    fn spans(events: &[Happened]) -> Vec<(i64, Option<i64>)> {
        events.iter().map(|event| (event.since / 60, event.until.map(|until| until / 60))).collect()
    }

    #[test]
    fn a_trouble_lasts_from_its_first_value_to_the_first_good_one_and_no_gap_ends_it() {
        let given = minutes(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let found = events(&DOWN, &given, None, 0);
        assert_eq!(spans(&found), [(1, Some(3)), (5, None)]);
        assert!(found.iter().all(|event| event.is_begin && event.was == Some(1.0) && event.became.0 == 0.0));
        // A gap within a trouble, at its end, and between good values.
        assert_eq!(spans(&events(&DOWN, &[(0, 1.0), (60, 0.0), (6000, 0.0), (6060, 1.0)], None, 0)), [(1, Some(101))]);
        assert_eq!(spans(&events(&DOWN, &[(0, 1.0), (60, 0.0), (6000, 1.0)], None, 0)), [(1, Some(100))]);
        assert_eq!(events(&DOWN, &[(0, 1.0), (60_000, 1.0)], None, 0), []);
        // What was there from the first value on began earlier.
        let [event] = events(&DOWN, &[(0, 0.0)], None, 0)[..] else { panic!() };
        assert!(!event.is_begin && event.was.is_none());
        // Two values in a row.
        let twice = DOWN.runs(2);
        assert_eq!(spans(&events(&twice, &minutes(&[1.0, 0.0, 1.0, 0.0, 0.0]), None, 0)), [(3, None)]);
    }

    #[test]
    fn a_share_needs_its_other_number_and_a_least_value() {
        let rule = Rule::share("error", &THING, "alive", Of::Tag("name", "total"), (LIMIT, LEAST));
        let (errors, total) = (minutes(&[0.0, 2.0, 10.0, 12.0, 6.0]), minutes(&[24.0, 4.0, 24.0, 24.0, 24.0]));
        let found = events(&rule, &errors, Some(&total), 0);
        assert_eq!(spans(&found), [(2, Some(4))]);
        assert_eq!((found[0].became, found[0].was), ((12.0, Some(24.0)), Some(2.0)));
        assert_eq!(events(&rule, &errors, None, 0), [], "nothing is known without the total");
        let late = [(120, 24.0)];
        assert_eq!(spans(&events(&rule, &errors, Some(&late), 0)), [(2, None)], "a gap ends nothing");
    }

    #[test]
    fn growth_is_by_factor_and_amount_within_a_time() {
        let rule = Rule::grew("held", &THING, "alive", GROWTH);
        let mut given = vec![2.0; 30];
        given.extend([41.0; 100]);
        let found = events(&rule, &minutes(&given), None, 0);
        // The least value of the last hour is 2 until minute 90.
        assert_eq!(spans(&found), [(30, Some(90))]);
        assert_eq!((found[0].was, found[0].became.0), (Some(2.0), 41.0));
        assert_eq!(events(&rule, &minutes(&[10.0, 29.0]), None, 0), [], "by less than 20");
        assert_eq!(events(&rule, &minutes(&[100.0, 130.0]), None, 0), [], "not by the factor");
        assert_eq!(events(&rule, &[(0, 2.0), (7200, 41.0)], None, 0), [], "nothing was known in the hour before");
    }

    #[test]
    fn silence_begins_when_a_value_was_due_and_a_change_has_no_length() {
        let silent = Rule::silent("silent", &THING, "alive", SILENT);
        let given = [(0, 1.0), (60, 1.0), (240, 1.0), (600, 1.0)];
        assert_eq!(spans(&events(&silent, &given, None, 780)), [(5, Some(10))]);
        assert_eq!(spans(&events(&silent, &given, None, 781)), [(5, Some(10)), (11, None)]);
        let changed = Rule::changed("quota", &THING, "alive");
        let found = events(&changed, &minutes(&[100.0, 100.0, 120.0, 120.0]), None, 900);
        assert_eq!(spans(&found), [(2, Some(2))]);
        assert_eq!((found[0].was, found[0].became.0), (Some(100.0), 120.0));
    }

    proptest! {
        /// Values that come in pieces, cut anywhere and with some of them given again, make the same events.
        #[test]
        fn the_events_of_a_series_do_not_depend_on_how_its_values_are_cut(
            steps in prop::collection::vec((1..400_i64, 0..60_i64, any::<bool>()), 0..80),
            again in 0..4_usize,
            runs in 1..4_u32,
            which in 0..5_usize,
        ) {
            let rule = [
                DOWN,
                Rule::share("error", &THING, "alive", Of::Tag("name", "total"), (LIMIT, LEAST)),
                Rule::grew("held", &THING, "alive", GROWTH),
                Rule::silent("silent", &THING, "alive", SILENT),
                Rule::changed("quota", &THING, "alive"),
            ][which].runs(runs);
            let (limits, mut time) = (Limits::default(), 0);
            let mut given = Vec::new();
            for (step, value, _) in &steps {
                time += step;
                given.push((time, if which == 0 { (value % 3) as f64 } else { *value as f64 }));
            }
            let total: Vec<_> = given.iter().map(|(time, _)| (*time, 60.0)).collect();
            let now = time + 100;
            let whole = events(&rule, &given, Some(&total), now);
            // The values that a piece is read again with before it begins.
            let all = samples(&rule, &limits, &values(&given), Some(&values(&total)));
            let mut track = Track::new(&rule, &limits, 60);
            let mut pieces = Vec::new();
            for (at, (.., cut)) in steps.iter().enumerate() {
                if *cut {
                    // Some are given twice, and later ones not yet.
                    for sample in &all[at.saturating_sub(again)..=at] {
                        pieces.extend(track.push(*sample));
                    }
                } else {
                    pieces.extend(track.push(all[at]));
                }
                let copy = track.clone();
                prop_assert!(copy.going(time + 100).is_none_or(|event| event.until.is_none()));
            }
            pieces.extend(track.going(now));
            prop_assert_eq!(&pieces, &whole);
            // No two overlap, and each has its order.
            for pair in whole.windows(2) {
                prop_assert!(pair[0].until.is_some_and(|until| until <= pair[1].since));
            }
        }

        /// The events of a window are those of the whole time that touch it, if the window is read from before they began.
        #[test]
        fn the_events_of_a_window_are_those_of_the_whole_time_that_touch_it(
            flips in prop::collection::vec(1..30_i64, 1..20),
            cut in 0.0..1.0_f64,
        ) {
            let mut given = vec![(0, 1.0)];
            for (at, length) in flips.iter().enumerate() {
                for _ in 0..*length {
                    given.push((given.len() as i64 * 60, f64::from(u8::from(at % 2 == 1))));
                }
            }
            let end = given.len() as i64 * 60;
            let at = (cut * given.len() as f64) as usize;
            let whole = events(&DOWN, &given, None, end);
            let before = events(&DOWN, &given[..at], None, at as i64 * 60);
            let time = at as i64 * 60;
            // What is over before the cut is the same; what is going there ends later or is going still.
            for event in &before {
                let same = whole.iter().find(|other| other.since == event.since);
                prop_assert!(same.is_some_and(|same| event.until.is_none() || same.until == event.until));
            }
            let touching = whole.iter().filter(|event| event.since < time).count();
            prop_assert_eq!(before.len(), touching);
        }
    }
}
