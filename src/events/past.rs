//! What happened in a range of time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::reading::{AT_ONCE, Followed, Steps, read, read_back};
use super::report::Event;
use super::rule::Rules;
use super::track::{Track, samples};
use crate::model::SECOND;
use crate::query::{Detail, Read, Wanted};

/// The most values of a series, about; where there are more, a store folds them, and the worst of each bucket counts.
pub const MOST_VALUES: i64 = 2000;

/// The most events that are given.
pub const MOST: usize = 5000;

/// Returns the events that touch the time from `from` to before `until` (unix seconds): those that are not over first, then
/// by their beginning, the newest first. At most [`MOST`], with how many there are more.
///
/// # Errors
/// Fails if the store does not answer.
pub fn past(store: &dyn Read, rules: &Rules, range: (i64, i64), now: i64) -> Result<(Vec<Event>, usize)> {
    past_of(store, rules, range, now, &[])
}

/// Returns such events of what these numbers tell of; of all if there are none.
///
/// # Errors
/// As [`past`].
pub fn past_of(
    store: &dyn Read,
    rules: &Rules,
    (from, until): (i64, i64),
    now: i64,
    numbers: &[Wanted],
) -> Result<(Vec<Event>, usize)> {
    let until = until.min(now);
    let newest = store.latest(&rules.measurements(), now)?;
    let steps = Steps::new(&newest.values);
    let mut by_span = BTreeMap::<i64, Vec<Followed>>::new();
    let mut seen = HashMap::<(&str, String), ()>::new();
    for one in &newest.values {
        for (system, rule) in rules.all().filter(|(_, rule)| rules.select(rule, &one.series, one.field.name)) {
            let Some(followed) = Followed::new(system, rule, one, &steps) else { continue };
            let is_old = one.time / SECOND < from.saturating_sub(rules.forget_seconds);
            let is_asked = numbers.is_empty() || numbers.iter().any(|number| followed.tells_of(number));
            if !is_old && is_asked && seen.insert((rule.name, followed.wanted.path.clone()), ()).is_none() {
                by_span.entry(followed.margin(rules)).or_default().push(followed);
            }
        }
    }
    let mut first = First::default();
    for (margin, all) in &by_span {
        for some in all.chunks(AT_ONCE) {
            of_some(store, rules, some, (from.saturating_sub(*margin), from, until), &mut first)?;
        }
    }
    Ok(first.in_order())
}

/// The first events of many. All of them would fill the memory of a site on which every number flaps.
#[derive(Default)]
struct First {
    events: Vec<Event>,
    /// How many others there were.
    more: usize,
}

impl First {
    fn push(&mut self, event: Event) {
        self.events.push(event);
        if self.events.len() == 2 * MOST {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.events.len() > MOST {
            self.more += self.events.len() - MOST;
            self.events.select_nth_unstable_by(MOST, order);
            self.events.truncate(MOST);
        }
    }

    fn in_order(mut self) -> (Vec<Event>, usize) {
        self.cut();
        self.events.sort_unstable_by(order);
        (self.events, self.more)
    }
}

/// The order in which events are given.
fn order(a: &Event, b: &Event) -> Ordering {
    let first = |event: &Event| {
        (event.until.is_some(), if event.until.is_some() { -event.since } else { 0 }, event.severity, -event.since)
    };
    first(a)
        .cmp(&first(b))
        .then_with(|| (&a.subject, a.system, a.rule, &a.path).cmp(&(&b.subject, b.system, b.rule, &b.path)))
}

/// Adds the events of some series that touch the range, read from `begin` on.
fn of_some(
    store: &dyn Read,
    rules: &Rules,
    some: &[Followed],
    (begin, from, until): (i64, i64, i64),
    first: &mut First,
) -> Result<()> {
    let followed: Vec<_> = some.iter().collect();
    let all = read(store, &followed, (begin, until), Detail::Points(MOST_VALUES as usize))?;
    let mut earlier = Vec::new();
    for (one, (values, partner)) in followed.iter().zip(all) {
        let mut track = Track::new(one.rule, &rules.limits, one.every.max(values.step));
        let all = samples(one.rule, &rules.limits, &values, partner.as_ref());
        let mut happened: Vec<_> = all.into_iter().filter_map(|sample| track.push(sample)).collect();
        happened.extend(track.going(until));
        let touches = |since: i64, end: Option<i64>| {
            since < until && end.is_none_or(|end| end > from || (end == since && end >= from))
        };
        for event in happened.into_iter().filter(|event| touches(event.since, event.until)) {
            match event.is_begin {
                true => first.push(one.event(&event, event.became, false)),
                false => earlier.push((*one, event)),
            }
        }
    }
    // Their beginning lies before what was read.
    let of: Vec<_> = earlier.iter().map(|(one, _)| *one).collect();
    for ((one, event), track) in earlier.iter().zip(read_back(store, rules, &of, begin)?) {
        let mut event = *event;
        if let Some(before) = track.going(until).filter(|before| before.until.is_none()) {
            event = super::Happened {
                since: before.since,
                is_begin: before.is_begin,
                was: before.was.or(event.was),
                ..event
            };
        } else if track.last().is_some() {
            event.is_begin = true;
        }
        first.push(one.event(&event, event.became, false));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_stays_whatever_came_first_and_then_the_newest() {
        let mut events: Vec<_> = (0..20_000).map(|at| Event::made_up("", at * 7919 % 20_000, Some(30_000))).collect();
        events.insert(9000, Event::made_up("", 1, None));
        let mut first = First::default();
        for event in events {
            first.push(event);
            assert!(first.events.len() < 2 * MOST, "they are cut as they come");
        }
        let (kept, more) = first.in_order();
        assert_eq!((kept.len(), more), (MOST, 15_001));
        assert_eq!((kept[0].since, kept[0].until), (1, None));
        assert!(kept[1..].iter().map(|event| event.since).eq((15_001..20_000).rev()));
    }
}
