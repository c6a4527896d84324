//! What is written is what is read, pruned and found, whatever it is.

use super::*;

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn what_is_written_is_what_is_read(writes in writes(), from in time(), to in time(), tags in any::<Index>()) {
        let (_folder, path, store, model) = written(&writes);
        prop_assert_eq!(&everything(&store).unwrap(), &model);
        let reader = Store::open_to_read(&path).unwrap().unwrap();
        prop_assert_eq!(&everything(&reader).unwrap(), &model);

        // Half a time, and the series that a filter means.
        let series: Vec<Point> = model.series().iter().map(|key| Point::of_series(key).unwrap()).collect();
        let mut filters = vec![Selector::default()];
        for one in series.iter().take(8) {
            let whole = Selector::measurement(one.measurement());
            filters.push(whole.clone());
            filters.push(one.tags().fold(whole.clone(), |filter, (name, value)| filter.with(name, value)));
            let names: Vec<_> = one.tags().collect();
            if !names.is_empty() {
                let (name, value) = *tags.get(&names);
                filters.push(whole.with(name, value));
                filters.push(Selector::default().with(name, value));
                filters.push(Selector::default().with_one_of(name, [value, "no such value"]));
            }
        }
        for filter in filters {
            let fits = |point: &Point| {
                filter.measurement.as_deref().is_none_or(|name| name == point.measurement())
                    && filter.tags.iter().all(|(name, value)| point.tags().any(|tag| tag == (name, value)))
                    && filter.one_of.iter().all(|(name, values)| point.tags().any(|tag| tag.0 == name && values.contains(tag.1)))
            };
            let found: Vec<_> = reader.find(&filter).unwrap().into_iter().map(|series| series.key).collect();
            let expected: BTreeSet<_> = series.iter().filter(|point| fits(point)).map(Point::series).collect();
            prop_assert_eq!(&found, &expected.iter().cloned().collect::<Vec<_>>(), "{:?}, sorted", &filter);
            for tier in Tier::ALL {
                let mut told = Model::default();
                let mut each = |point: Point| {
                    told.write(tier, &[point]);
                    Ok(())
                };
                reader.points(tier, &filter, gridmon::model::Window { from, to }, &mut each, &|_| {}).unwrap();
                let of = |(t, series, _, time): &(Tier, String, String, i64)| {
                    *t == tier && expected.contains(series.as_str()) && *time >= from && *time < to
                };
                let rows = model.rows.iter().filter(|(key, _)| of(key));
                let rows = rows.map(|(key, value)| (key.clone(), *value)).collect();
                let expected = Model { rows, out_of_order: 0 };
                prop_assert_eq!(told, expected, "{:?} {}", &filter, tier);
            }
        }
        prop_assert_eq!(reader.count_series().unwrap(), series.len());
    }

    #[test]
    fn latest_values_and_ranges_are_those_of_a_plain_scan(
        history in history(),
        // As often as not around what is there.
        around in any::<Index>(), width in prop_oneof![1..400_i64 * 60, any::<i64>()], anywhere in (time(), time()),
        near in any::<bool>(), points in prop::option::of(0..40_usize), edge in (tier(), 0..2_usize),
    ) {
        let (_folder, path, store, model) = written(&history);
        let reader = Store::open_to_read(&path).unwrap().unwrap();
        let known = by_key(&store);
        let nowhere = Series { key: "nowhere".into(), id: 1_000_000, labels: String::new() };
        let mut fields: Vec<_> = model.fields().into_iter().collect();
        fields.push("no field".into());
        let wanted: Vec<(&Series, &str)> = known
            .values()
            .chain([&nowhere])
            .flat_map(|series| fields.iter().map(move |field| (series, field.as_str())))
            .collect();

        let latest = reader.latest(&wanted, i64::MAX).unwrap().0;
        for ((series, field), latest) in wanted.iter().zip(&latest) {
            let latest = latest.map(|(time, value)| (time, exact(value)));
            prop_assert_eq!(latest, model.latest(&series.key, field), "{} {}", series.key, field);
        }

        let (mut from, mut to) = anywhere;
        if near && !model.rows.is_empty() {
            let times: Vec<_> = model.rows.keys().map(|key| key.3).collect();
            from = *around.get(&times);
            to = from.saturating_add(width.saturating_mul(SECOND));
        }
        let scan = |tier: Tier| -> Vec<Vec<_>> {
            wanted.iter().map(|(series, field)| model.of(tier, &series.key, field, from, to)).collect()
        };
        for tier in Tier::ALL {
            let values = reader.range_of(tier, &wanted, from, to).unwrap();
            prop_assert_eq!(values.iter().map(|values| exactly(values)).collect::<Vec<_>>(), scan(tier), "{}", tier);
        }

        // The coarsest tier in which one of them has so many values; if none has, the tier with most, the coarser of two.
        let most = |tier: Tier| scan(tier).iter().map(Vec::len).max().unwrap_or_default();
        // As often as not just as many as a tier has, or one more.
        let points = points.unwrap_or_else(|| most(edge.0) + edge.1);
        let coarsest_first = [Tier::Day, Tier::Hour, Tier::Raw];
        let tier = coarsest_first.into_iter().find(|tier| most(*tier) >= points.max(1)).unwrap_or_else(|| {
            let best = coarsest_first.into_iter().map(most).max().unwrap();
            coarsest_first.into_iter().find(|tier| best > 0 && most(*tier) == best).unwrap_or(Tier::Raw)
        });
        let range = reader.range(&wanted, from, to, points).unwrap();
        prop_assert_eq!(range.tier, tier);
        prop_assert_eq!(range.values.iter().map(|values| exactly(values)).collect::<Vec<_>>(), scan(tier));
    }

    #[test]
    fn pruning_takes_what_is_too_old_and_nothing_else(
        before in history(), after in writes(), now in prop_oneof![4 => -50..50_i64, 1 => -80_000..80_000_i64],
        keep in (prop::option::of(1..40_u64), prop::option::of(1..40_u64), prop::option::of(1..40_u64)),
        budget in prop_oneof![1..20_usize, 1..400_usize],
    ) {
        let now = NOON / SECOND + now * 86_400;
        let config = Config { path: None, keep_raw_days: keep.0, keep_1h_days: keep.1, keep_1d_days: keep.2 };
        let keep = |tier| match tier { Tier::Raw => keep.0, Tier::Hour => keep.1, Tier::Day => keep.2 };
        let (_folder, path, mut store, mut model) = written(&before);
        let whole = model.clone();
        model.rows.retain(|(tier, .., time), _| !Model::is_old(*tier, *time, keep(*tier), now));

        let mut left = whole.rows.len();
        loop {
            let removed = store.prune(&config, now, budget, later()).unwrap();
            let there = everything(&store).unwrap();
            prop_assert!(removed <= budget, "{} of at most {}", removed, budget);
            prop_assert_eq!(there.rows.len() + removed, left);
            prop_assert!(there.rows.iter().all(|(key, value)| whole.rows.get(key) == Some(value)));
            prop_assert!(model.rows.keys().all(|key| there.rows.contains_key(key)));
            left = there.rows.len();
            if there == model {
                // Nobody need come again to forget them.
                let forgotten = removed > 0 || whole == model;
                prop_assert!(!forgotten || by_key(&store).keys().cloned().collect::<BTreeSet<_>>() == model.series());
                break;
            }
            prop_assert_eq!(removed, budget, "it stopped before its budget was used, with work left");
        }

        // What comes now gets numbers of its own.
        for (tier, points) in &after {
            store.write(*tier, points, later()).unwrap();
            model.write(*tier, points);
        }
        prop_assert_eq!(&everything(&store).unwrap(), &model);
        let reader = Store::open_to_read(&path).unwrap().unwrap();
        prop_assert_eq!(reader.count_series().unwrap(), model.series().len());
        let ids: BTreeSet<_> = by_key(&reader).values().map(|series| series.id).collect();
        prop_assert_eq!(ids.len(), model.series().len());
    }
}

const KEEP_A_DAY: Config = Config { path: None, keep_raw_days: Some(1), keep_1h_days: None, keep_1d_days: None };

#[test]
fn pruning_that_its_deadline_stops_leaves_no_row_without_a_series() {
    // 72,000 rows are four steps, of which each deadline allows others.
    let points = minutes(100, 6, NOON);
    let now = NOON / SECOND + 10 * 86_400;
    let mut stopped = 0;
    for microseconds in [1, 500, 2_000, 8_000, 15_000, 30_000, 60_000, 120_000] {
        let (_folder, _, mut store) = fresh();
        store.write(Tier::Raw, &points, later()).unwrap();
        let until = Instant::now() + Duration::from_micros(microseconds);
        let removed = store.prune(&KEEP_A_DAY, now, usize::MAX, until).unwrap();
        let there = everything(&store).unwrap();
        assert_eq!(there.rows.len() + removed, 2 * points.len());
        stopped += usize::from(removed > 0 && !there.rows.is_empty());
        let new = [Point::new("new".into(), [], [("value".into(), Value::Int(1))], NOON)];
        store.write(Tier::Hour, &new, later()).unwrap();
        let mut model = there;
        model.write(Tier::Hour, &new);
        assert_eq!(everything(&store).unwrap(), model);
    }
    println!("stopped half-way {stopped} of 8 times");
}

#[test]
fn a_point_at_the_beginning_of_time_makes_no_question_slow() {
    // The clock of a machine that has just been started.
    let (_folder, path, mut store) = fresh();
    let at = |time| Point::new("m".into(), [], [("value".into(), Value::Int(1))], time);
    store.write(Tier::Raw, &[at(i64::MIN), at(0), at(NOON), at(i64::MAX - 1)], later()).unwrap();
    let reader = Store::open_to_read(&path).unwrap().unwrap();
    let series = reader.find(&Selector::default()).unwrap().remove(0);
    let began = Instant::now();
    let values = reader.range_of(Tier::Raw, &[(&series, "value")], i64::MIN, i64::MAX).unwrap();
    assert_eq!(values[0].iter().map(|(time, _)| *time).collect::<Vec<_>>(), [i64::MIN, 0, NOON, i64::MAX - 1]);
    let range = reader.range(&[(&series, "value")], 0, NOON + 1, 100).unwrap();
    assert_eq!((range.tier, range.values[0].len()), (Tier::Raw, 2));
    assert_eq!(reader.latest(&[(&series, "nothing")], i64::MAX).unwrap().0, [None]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
