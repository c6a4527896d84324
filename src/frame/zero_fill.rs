//! Zeros for counts that vanished: an absent series counts 0 if the run saw every series of its measurement.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::{Catalog, Measurement, Point, Zeros};

/// Returns a zero at `time`, in unix nanoseconds, for each series of `before` that has no point in `points`, if the run
/// saw every series of its measurement (`complete`), with its last labels; a label that changed makes no new series. `style`
/// tells what a zero has besides. Also
/// returns the series of counts to remember, each with its labels: those of `points`, and those of `before` whose
/// measurement is not in `complete`; `None` if they are those of `before`.
///
/// The points have met their declarations. It is fastest if they are sorted by series.
pub fn zero_fill(
    before: &BTreeSet<String>,
    points: &[Point],
    (complete, style): (&[&'static Measurement], &Zeros),
    time: i64,
    catalog: Catalog,
) -> (Vec<Point>, Option<BTreeSet<String>>) {
    let counts = |point: &&Point| {
        let declaration = point.declaration().or_else(|| catalog.measurement(point.measurement()));
        declaration.is_some_and(Measurement::has_counts)
    };
    let mut now: Vec<&Point> = points.iter().filter(counts).collect();
    if !now.is_sorted_by_key(|point| point.series()) {
        now.sort_by_key(|point| point.series());
    }
    now.dedup_by_key(|point| point.series());
    let (mut zeros, mut unknown) = (Vec::new(), Vec::new());
    let (mut at, mut same) = (0, 0);
    for (series, tag_set) in by_series(before, catalog) {
        at += now[at..].iter().take_while(|point| point.series() < series.as_ref()).count();
        if let Some(point) = now.get(at).filter(|point| point.series() == series) {
            same += usize::from(point.tag_set() == tag_set);
            continue;
        }
        let Ok(mut last) = Point::of_series(tag_set) else { continue };
        catalog.declare(&mut last);
        match complete.iter().find(|measurement| measurement.name == last.measurement()) {
            Some(measurement) => zeros.push(style.zero(&last, measurement, time)),
            None => unknown.push(tag_set),
        }
    }
    if same == now.len() && same + unknown.len() == before.len() {
        return (zeros, None);
    }
    let now = now.into_iter().map(|point| point.tag_set().into_owned());
    (zeros, Some(now.chain(unknown.into_iter().map(String::from)).collect()))
}

/// What was remembered, by the name of its series: without labels that is the tag set itself.
fn by_series(before: &BTreeSet<String>, catalog: Catalog) -> Vec<(Cow<'_, str>, &str)> {
    let labelled: Vec<_> = catalog.measurements().filter(|measurement| measurement.has_labels()).collect();
    let has_labels = |tag_set: &str| {
        let of = |measurement: &&Measurement| tag_set.strip_prefix(measurement.name);
        labelled.iter().any(|measurement| of(measurement).is_some_and(|rest| rest.starts_with(',')))
    };
    let mut before: Vec<_> = before
        .iter()
        .map(|tag_set| match has_labels(tag_set).then(|| Point::of_series(tag_set)).and_then(Result::ok) {
            Some(mut point) => {
                catalog.declare(&mut point);
                (Cow::Owned(point.series().to_string()), tag_set.as_str())
            }
            None => (Cow::Borrowed(tag_set.as_str()), tag_set.as_str()),
        })
        .collect();
    if !labelled.is_empty() {
        before.sort();
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Declaration, Field, Tag};

    const JOBS: Field<i64> = Field::count("jobs", "jobs", "those in the queue");
    const QUOTA: Field<i64> = Field::gauge("quota", "jobs", crate::model::Fold::Last, "the most it takes");

    static QUEUE: Measurement = Measurement::new(Declaration {
        name: "queue",
        meaning: "a queue",
        tags: &[Tag::key("cluster"), Tag::label("state"), Tag::key("status")],
        fields: &[JOBS.info()],
        carbon: "{cluster}.{status}",
        every: 60,
    });

    static LIMIT: Measurement = Measurement::new(Declaration {
        name: "limit",
        meaning: "a limit",
        tags: &[Tag::key("cluster")],
        fields: &[QUOTA.info()],
        carbon: "{cluster}",
        every: 60,
    });

    static HOSTS: Measurement = Measurement::new(Declaration {
        name: "hosts",
        meaning: "hosts",
        tags: &[Tag::key("cluster"), Tag::key("rack")],
        fields: &[JOBS.info()],
        carbon: "{cluster}.racks.{rack}",
        every: 60,
    });

    static ALL: [&Measurement; 3] = [&QUEUE, &LIMIT, &HOSTS];
    const CATALOG: Catalog = Catalog::new(&ALL);

    fn queue(time: i64, state: &str, status: &str, jobs: i64) -> Point {
        QUEUE.point(time, ["a b", state, status], &[JOBS.of(jobs)])
    }

    fn fill(
        before: &mut BTreeSet<String>,
        points: &[Point],
        complete: &[&'static Measurement],
        time: i64,
    ) -> Vec<Point> {
        let (zeros, after) = zero_fill(before, points, (complete, &Zeros::default()), time, CATALOG);
        if let Some(after) = after {
            assert_ne!(*before, after);
            *before = after;
        }
        zeros
    }

    #[test]
    fn a_count_that_vanished_from_a_complete_answer_goes_to_zero_once() {
        let mut seen = BTreeSet::new();
        let racks = HOSTS.point(7, ["a b", "c,d"], &[JOBS.of(3)]);
        let quota = LIMIT.point(7, ["a b"], &[QUOTA.of(3)]);
        let first = [queue(7, "online", "idle", 5), queue(7, "online", "held", 1), racks.clone(), quota];
        assert!(fill(&mut seen, &first, &[&QUEUE, &HOSTS], 7).is_empty());
        assert_eq!(seen.len(), 3, "a quota that vanished is unknown, not zero: {seen:?}");

        // The racks did not answer: nobody knows of them.
        let idle = [queue(8, "online", "idle", 5)];
        assert_eq!(fill(&mut seen, &idle, &[&QUEUE], 8), [queue(8, "online", "held", 0)]);
        assert!(seen.contains(racks.series()));
        // They are back, without this one.
        assert_eq!(fill(&mut seen, &idle, &[&QUEUE, &HOSTS], 9), [HOSTS.point(9, ["a b", "c,d"], &[JOBS.of(0)])]);
        let last = seen.clone();
        assert!(fill(&mut seen, &idle, &[&QUEUE, &HOSTS], 10).is_empty());
        assert_eq!(seen, last);
    }

    #[test]
    fn a_label_that_changes_is_no_vanishing_and_a_zero_has_the_last_one() {
        let mut seen = BTreeSet::new();
        fill(&mut seen, &[queue(7, "offline", "idle", 42)], &[&QUEUE], 7);
        assert!(fill(&mut seen, &[queue(8, "online", "idle", 42)], &[&QUEUE], 8).is_empty());
        assert_eq!(seen.iter().collect::<Vec<_>>(), [r"queue,cluster=a\ b,state=online,status=idle"]);
        assert_eq!(fill(&mut seen, &[], &[&QUEUE], 9), [queue(9, "online", "idle", 0)]);
        assert!(seen.is_empty());
    }

    #[test]
    fn the_series_to_remember_are_new_only_when_they_differ() {
        let points = [queue(7, "online", "idle", 5), HOSTS.point(7, ["a", "b"], &[JOBS.of(1)])];
        let (_, first) = zero_fill(&BTreeSet::new(), &points, (&[], &Zeros::default()), 7, CATALOG);
        let first = first.unwrap();
        assert_eq!(zero_fill(&first, &points, (&[], &Zeros::default()), 8, CATALOG), (vec![], None));
        assert_eq!(
            zero_fill(&first, &[], (&[], &Zeros::default()), 8, CATALOG),
            (vec![], None),
            "nothing was seen whole"
        );
        let with_bad: BTreeSet<_> = first.iter().cloned().chain(["no series at all".to_string()]).collect();
        assert_eq!(zero_fill(&with_bad, &points, (&[], &Zeros::default()), 8, CATALOG), (vec![], Some(first)));
    }
}
