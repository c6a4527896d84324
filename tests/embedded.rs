//! The embedded store against a plain map: what is written is what is read, latest values and ranges are those of a scan,
//! pruning takes what is too old and nothing else. And against damage: a file that is no store, or no longer a whole one,
//! is refused in words, or everything in it is there.

#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::sinks::embedded::{Config, Filter, Series, Store};
use proptest::prelude::*;
use proptest::sample::Index;
use rusqlite::Connection;
use sandbox::proof::{Random, names, seed, soak};
use support::TempDir;

const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// 2024-06-01 12:00:00 UTC.
const NOON: i64 = 1_717_243_200 * SECOND;

/// How long what is pruned together is, as the store's page in the documentation has it.
fn bucket(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => HOUR,
        Tier::Hour => DAY,
        Tier::Day => 32 * DAY,
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A value with its type and its every bit: 0.0 is neither -0.0 nor 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    Int(i64),
    Float(u64),
}

fn exact(value: Value) -> Exact {
    match value {
        Value::Int(value) => Exact::Int(value),
        Value::Float(value) => Exact::Float(value.to_bits()),
    }
}

fn exactly(values: &[(i64, Value)]) -> Vec<(i64, Exact)> {
    values.iter().map(|(time, value)| (*time, exact(*value))).collect()
}

/// What a store must hold: by tier, series, field and time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    rows: BTreeMap<(Tier, String, String, i64), Exact>,
    /// Points of one series that did not come in the order of their times.
    out_of_order: usize,
}

impl Model {
    fn write(&mut self, tier: Tier, points: &[Point]) {
        for point in points {
            for (field, value) in point.fields() {
                self.rows.insert((tier, point.series().to_string(), field.into(), point.time()), exact(value));
            }
        }
    }

    fn of(&self, tier: Tier, series: &str, field: &str, from: i64, to: i64) -> Vec<(i64, Exact)> {
        let key = |time| (tier, series.to_string(), field.to_string(), time);
        // Of an empty range BTreeMap wants to know nothing.
        if from >= to {
            return Vec::new();
        }
        self.rows.range(key(from)..key(to)).map(|((.., time), value)| (*time, *value)).collect()
    }

    fn latest(&self, series: &str, field: &str) -> Option<(i64, Exact)> {
        Tier::ALL.into_iter().find_map(|tier| {
            let of = |(t, s, f, _): &(Tier, String, String, i64)| *t == tier && s == series && f == field;
            self.rows.iter().rfind(|(key, _)| of(key)).map(|((.., time), value)| (*time, *value))
        })
    }

    fn series(&self) -> BTreeSet<String> {
        self.rows.keys().map(|(_, series, ..)| series.clone()).collect()
    }

    fn fields(&self) -> BTreeSet<String> {
        self.rows.keys().map(|(_, _, field, _)| field.clone()).collect()
    }

    /// Whether a row is in a bucket that has wholly passed when `days` are kept.
    fn is_old(tier: Tier, time: i64, days: Option<u64>, now: i64) -> bool {
        let Some(days) = days else { return false };
        let end = (i128::from(time.div_euclid(bucket(tier))) + 1) * i128::from(bucket(tier));
        end <= (i128::from(now) - i128::from(days) * 86_400) * i128::from(SECOND)
    }
}

/// Everything that a store has, as its reader for exports tells it.
fn everything(store: &Store) -> anyhow::Result<Model> {
    let mut model = Model::default();
    for tier in Tier::ALL {
        let mut last = BTreeMap::new();
        let mut each = |point: Point| {
            let before = last.insert(point.series().to_string(), point.time());
            model.out_of_order += usize::from(before.is_some_and(|before| before >= point.time()));
            model.write(tier, &[point]);
            Ok(())
        };
        store.points(tier, &Filter::default(), i64::MIN, i64::MAX, &mut each, &|_| {})?;
    }
    Ok(model)
}

/// A store that has just been made, in a folder of its own: a copy of one, since making it waits for the disk.
fn fresh() -> (TempDir, PathBuf, Store) {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    let empty = EMPTY.get_or_init(|| {
        let folder = TempDir::new();
        let path = folder.path().join("gridmon.db");
        drop(Store::open(&path, later()).unwrap());
        fs::read(path).unwrap()
    });
    let folder = TempDir::new();
    let path = folder.write("gridmon.db", empty);
    let store = Store::open(&path, later()).unwrap();
    (folder, path, store)
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (-3..3_i64).prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        prop::num::f64::SUBNORMAL.prop_map(Value::Float),
        // What a store without types would take for whole numbers.
        (-3..3_i64).prop_map(|whole| Value::Float(whole as f64)),
        Just(Value::Float(-0.0)),
    ]
}

/// Names that meet again, and any others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c]", 1 => any::<String>(), 1 => "[a, =#'-]{1,4}"]
}

/// Times that meet again, minutes and days apart or at the edges of buckets, and any others.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (0..200_i64).prop_map(|minute| NOON + minute * 60 * SECOND),
        3 => (-40..40_i64).prop_map(|day| NOON + day * DAY),
        2 => (-3..3_i64, -1..2_i64, prop::sample::select(Tier::ALL.as_slice()))
            .prop_map(|(at, by, tier)| at * bucket(tier) + by),
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1]),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    let tags = prop::collection::vec((name(), name()), 0..3);
    let fields = prop::collection::vec((name(), number()), 1..4);
    (name(), tags, fields, time()).prop_map(|(measurement, tags, fields, time)| {
        Point::new(
            Cow::Owned(measurement),
            tags.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.as_str())),
            fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)),
            time,
        )
    })
}

fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![3 => Just(Tier::Raw), 1 => Just(Tier::Hour), 1 => Just(Tier::Day)]
}

/// Writes of a few points each, some of which come again later.
fn writes() -> impl Strategy<Value = Vec<(Tier, Vec<Point>)>> {
    let write = (tier(), prop::collection::vec(point(), 0..12));
    (prop::collection::vec(write, 1..6), prop::collection::vec((any::<Index>(), any::<Index>(), number()), 0..6))
        .prop_map(|(mut writes, again)| {
            for (from, to, value) in again {
                let (tier, points) = from.get(&writes).clone();
                let Some(point) = points.first() else { continue };
                let fields: Vec<_> = point.fields().map(|(name, _)| (Cow::Owned(name.to_string()), value)).collect();
                let again = point.at(point.time(), fields);
                let to = to.index(writes.len());
                if writes[to].0 == tier {
                    writes[to].1.push(again);
                }
            }
            writes
        })
}

/// Many points of few series over a long time: what latest values and ranges are asked of.
fn history() -> impl Strategy<Value = Vec<(Tier, Vec<Point>)>> {
    let one = (tier(), 0..4_u8, 0..3_u8, time(), number(), 1..30_i64, 1..2000_i64);
    prop::collection::vec(one, 1..12).prop_map(|runs| {
        let run = |(tier, series, field, from, value, count, minutes): (Tier, u8, u8, i64, Value, i64, i64)| {
            let at = |number: i64| {
                let time = from.checked_add(number * minutes * 60 * SECOND)?;
                let field = Cow::Owned(format!("f{field}"));
                let tags = (series > 0).then(|| (Cow::Borrowed("at"), ["x", "y", "z"][usize::from(series) - 1]));
                Some(Point::new(Cow::Borrowed("m"), tags, [(field, value)], time))
            };
            (tier, (0..count).filter_map(at).collect())
        };
        runs.into_iter().map(run).collect()
    })
}

fn written(writes: &[(Tier, Vec<Point>)]) -> (TempDir, PathBuf, Store, Model) {
    let (folder, path, mut store) = fresh();
    let mut model = Model::default();
    for (tier, points) in writes {
        store.write(*tier, points, later()).unwrap();
        model.write(*tier, points);
    }
    (folder, path, store, model)
}

/// The series of a store by key.
fn by_key(store: &Store) -> BTreeMap<String, Series> {
    store.find(&Filter::default()).unwrap().into_iter().map(|series| (series.key.clone(), series)).collect()
}

/// `short` cases, in the soak forty times as many.
fn cases(short: u32) -> ProptestConfig {
    let cases = if soak() { short * 40 } else { short };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

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
        let mut filters = vec![Filter::default()];
        for one in series.iter().take(8) {
            let whole = Filter::measurement(one.measurement());
            filters.push(whole.clone());
            filters.push(one.tags().fold(whole.clone(), |filter, (name, value)| filter.with(name, value)));
            let names: Vec<_> = one.tags().collect();
            if !names.is_empty() {
                let (name, value) = *tags.get(&names);
                filters.push(whole.with(name, value));
                filters.push(Filter { measurement: None, tags: vec![(name.into(), value.into())] });
            }
        }
        for filter in filters {
            let fits = |point: &Point| {
                filter.measurement.as_deref().is_none_or(|name| name == point.measurement())
                    && filter.tags.iter().all(|(name, value)| point.tags().any(|tag| tag == (name, value)))
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
                reader.points(tier, &filter, from, to, &mut each, &|_| {}).unwrap();
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

        let latest = reader.latest(&wanted).unwrap();
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

/// So many series with a value every minute of some hours, from `from` on.
fn minutes(series: usize, hours: i64, from: i64) -> Vec<Point> {
    let of = |at: usize, minute: i64| {
        let name = format!("s{at:03}");
        let fields = [(Cow::Borrowed("value"), Value::Int(minute)), (Cow::Borrowed("load"), Value::Float(0.5))];
        Point::new(Cow::Borrowed("m"), [(Cow::Borrowed("at"), name.as_str())], fields, from + minute * 60 * SECOND)
    };
    (0..hours * 60).flat_map(|minute| (0..series).map(move |at| of(at, minute))).collect()
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
    let series = reader.find(&Filter::default()).unwrap().remove(0);
    let began = Instant::now();
    let values = reader.range_of(Tier::Raw, &[(&series, "value")], i64::MIN, i64::MAX).unwrap();
    assert_eq!(values[0].iter().map(|(time, _)| *time).collect::<Vec<_>>(), [i64::MIN, 0, NOON, i64::MAX - 1]);
    let range = reader.range(&[(&series, "value")], 0, NOON + 1, 100).unwrap();
    assert_eq!((range.tier, range.values[0].len()), (Tier::Raw, 2));
    assert_eq!(reader.latest(&[(&series, "nothing")]).unwrap(), [None]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// A store of some pages with a known content, in one file.
fn whole() -> (TempDir, PathBuf, Model) {
    let (folder, path, mut store) = fresh();
    let mut model = Model::default();
    for (tier, points) in
        [(Tier::Raw, minutes(40, 2, NOON)), (Tier::Hour, minutes(40, 1, NOON)), (Tier::Day, minutes(9, 1, 0))]
    {
        store.write(tier, &points, later()).unwrap();
        model.write(tier, &points);
    }
    drop(store);
    assert!(!folder.path().join("gridmon.db-wal").exists(), "the last one that closes it tidies up");
    (folder, path, model)
}

/// The same with what was written last still beside it, as after a kill.
fn with_log() -> (TempDir, PathBuf, Model) {
    let (folder, path, mut model) = whole();
    let mut store = Store::open(&path, later()).unwrap();
    let points = minutes(60, 1, NOON + 7 * HOUR);
    store.write(Tier::Raw, &points, later()).unwrap();
    model.write(Tier::Raw, &points);
    let aside = TempDir::new();
    for name in ["gridmon.db", "gridmon.db-wal"] {
        fs::copy(folder.path().join(name), aside.path().join(name)).unwrap();
    }
    assert!(fs::metadata(aside.path().join("gridmon.db-wal")).unwrap().len() > 0);
    let path = aside.path().join("gridmon.db");
    (aside, path, model)
}

/// How a damaged store was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    RefusedToWrite,
    RefusedToRead,
    /// A value is another one; SQLite keeps no checksum that could tell.
    Changed,
    Whole,
}

/// Writes to a store that may be damaged and reads it: whatever is acknowledged must be there, or it is said that it cannot
/// be read, or at least [`Store::verify`] sees the damage. `damaged` says what was done to it; `model` is what was acknowledged before.
fn meet(path: &Path, model: &Model, damaged: &str) -> Met {
    let said = |error: anyhow::Error| {
        let words = format!("{error:#}");
        let shown = path.display().to_string();
        let known = [
            format!("{shown} is damaged ("),
            format!("{shown} is no SQLite database, or is damaged; put a copy of it in its place, or move it away"),
            format!("{shown} is empty, though no store ever is; put a copy"),
            format!("{shown} is another program's SQLite database; name a different file with [embedded] path"),
            format!("{shown} has schema "),
        ];
        assert!(known.iter().any(|known| words.starts_with(known)), "{damaged}: {words}");
    };
    let began = Instant::now();
    let new = minutes(60, 1, NOON + 3 * HOUR);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(path);
    let wrote = Store::open(path, later()).and_then(|mut store| store.write(Tier::Raw, &new, later()));
    assert_eq!(inode(path), before, "{damaged}: a new store took its place");
    let acknowledged = wrote.is_ok();
    if let Err(error) = wrote {
        said(error);
    }
    let read = Store::open_to_read(path).and_then(|store| {
        let store = store.expect("it is there");
        let wanted = store.find(&Filter::default())?;
        let wanted: Vec<_> = wanted.iter().map(|series| (series, "value")).collect();
        store.latest(&wanted)?;
        store.range(&wanted, NOON, NOON + 9 * HOUR, 100)?;
        store.status()?;
        everything(&store)
    });
    assert!(began.elapsed() < Duration::from_secs(15), "{damaged}: {:?}", began.elapsed());
    let mut expected = model.clone();
    if acknowledged {
        expected.write(Tier::Raw, &new);
    }
    match read {
        Err(error) => {
            said(error);
            if acknowledged { Met::RefusedToRead } else { Met::RefusedToWrite }
        }
        Ok(there) if there == expected => {
            if acknowledged {
                Met::Whole
            } else {
                Met::RefusedToWrite
            }
        }
        Ok(there) => {
            let mut own = Model::default();
            own.write(Tier::Raw, &new);
            let lost = own.rows.iter().filter(|(key, value)| there.rows.get(key) != Some(value)).count();
            // A row in the wrong place hides others from a search; whoever looks at every page sees it.
            let hidden = acknowledged && lost > 0;
            let check = Store::open_to_read(path).and_then(|store| store.expect("it is there").verify());
            assert!(!hidden || check.is_err(), "{damaged}: {lost} acknowledged values lost");
            Met::Changed
        }
    }
}

/// Removes what SQLite keeps beside the store, so that the next case begins with the file alone.
fn remove_beside(folder: &TempDir) {
    for beside in ["gridmon.db-wal", "gridmon.db-shm"] {
        let _ = fs::remove_file(folder.path().join(beside));
    }
}

fn tally(what: &str, met: &[Met]) -> BTreeMap<Met, usize> {
    let mut tally = BTreeMap::new();
    met.iter().for_each(|met| *tally.entry(*met).or_insert(0) += 1);
    println!("{what}: {tally:?}");
    tally
}

#[test]
fn a_store_truncated_at_any_page_is_refused() {
    let (folder, path, model) = whole();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() / 4096 > 20 && bytes.len() % 4096 == 0, "{} bytes", bytes.len());
    let mut met = Vec::new();
    for cut in (0..bytes.len()).step_by(4096).chain([1, 99, 100, 511, 4095, bytes.len() - 1]) {
        folder.write("gridmon.db", &bytes[..cut]);
        met.push(meet(&path, &model, &format!("cut at {cut} of {}", bytes.len())));
        assert_eq!(fs::metadata(&path).unwrap().len(), cut as u64, "what was refused is left as it is");
        remove_beside(&folder);
    }
    assert_eq!(tally("truncated", &met), BTreeMap::from([(Met::RefusedToWrite, met.len())]));
    folder.write("gridmon.db", &bytes);
    assert_eq!(meet(&path, &model, "nothing"), Met::Whole);
}

#[test]
fn a_store_truncated_beside_its_log_is_refused_or_read_whole() {
    let (folder, path, model) = with_log();
    let (bytes, log) = (fs::read(&path).unwrap(), fs::read(folder.path().join("gridmon.db-wal")).unwrap());
    let mut met = Vec::new();
    let put = |store: &[u8], log: &[u8], what: &str| {
        folder.write("gridmon.db", store);
        folder.write("gridmon.db-wal", log);
        let _ = fs::remove_file(folder.path().join("gridmon.db-shm"));
        meet(&path, &model, what)
    };
    for cut in (0..bytes.len()).step_by(4096) {
        met.push(put(&bytes[..cut], &log, &format!("cut at {cut} of {} with its log", bytes.len())));
    }
    // A transaction that lies beside it cannot be told from one that has not been committed: never half of one is read.
    assert!(!tally("truncated beside a log", &met).contains_key(&Met::Changed));
    for cut in (0..log.len()).step_by(4096 + 24) {
        let what = format!("log cut at {cut} of {}", log.len());
        let met = put(&bytes, &log[..cut], &what);
        assert!(matches!(met, Met::Changed | Met::Whole), "{what}: {met:?}");
    }
    assert_eq!(put(&bytes, &log, "nothing"), Met::Whole);
}

#[test]
fn of_a_store_with_flipped_bytes_all_is_there_or_the_damage_can_be_seen() {
    let (folder, path, model) = whole();
    let bytes = fs::read(&path).unwrap();
    let seed = seed();
    println!("flipped bytes: GRIDMON_SEED={seed}");
    let mut random = Random(seed);
    let mut met = Vec::new();
    for _ in 0..if soak() { 10_000 } else { 120 } {
        let mut bytes = bytes.clone();
        let mut what = format!("GRIDMON_SEED={seed}: flipped");
        // As often as not in the first page or in the head of one, where it hurts.
        for _ in 0..1 + random.below(3) {
            let at = match random.below(4) {
                0 => random.below(4096),
                1 => random.below(bytes.len() / 4096) * 4096 + random.below(16),
                _ => random.below(bytes.len()),
            };
            bytes[at] ^= 1 << random.below(8);
            what += &format!(" {at}");
        }
        folder.write("gridmon.db", &bytes);
        remove_beside(&folder);
        met.push(meet(&path, &model, &what));
    }
    tally("flipped", &met);
}

#[test]
fn a_store_with_a_flipped_bit_in_its_header_is_whole_or_refused_in_words() {
    let (folder, path, model) = whole();
    let bytes = fs::read(&path).unwrap();
    let mut met = Vec::new();
    // Bytes 18 and 19 name the format that it is written and read in.
    for (at, bit) in (0..100).map(|at| (at, at % 8)).chain([(18, 7), (19, 7)]) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << bit;
        folder.write("gridmon.db", &bytes);
        remove_beside(&folder);
        met.push(meet(&path, &model, &format!("bit {bit} of byte {at}")));
    }
    assert!(tally("flipped in the header", &met).contains_key(&Met::RefusedToWrite));
}

#[test]
fn what_is_no_store_is_refused_in_words_and_left_as_it_is() {
    let folder = TempDir::new();
    let path = folder.path().join("gridmon.db");
    let shown = path.display().to_string();
    let other = || {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE pictures (name TEXT); INSERT INTO pictures VALUES ('sunset')").unwrap();
    };
    let newer = || {
        drop(Store::open(&path, later()).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    let way_out = format!(
        "put a copy of it in its place, or move it away and a new one is made: mv {shown} {shown}.damaged; rm -f {shown}-wal {shown}-shm"
    );
    let cases: [(&str, &dyn Fn(), String); 7] = [
        ("empty", &|| fs::write(&path, "").unwrap(), format!("{shown} is empty, though no store ever is; {way_out}")),
        (
            "text",
            &|| fs::write(&path, "what is this?\n").unwrap(),
            format!("{shown} is no SQLite database, or is damaged; {way_out}"),
        ),
        (
            "long text",
            &|| fs::write(&path, "what is this?\n".repeat(900)).unwrap(),
            format!("{shown} is no SQLite database, or is damaged; {way_out}"),
        ),
        (
            "another program's",
            &other,
            format!("{shown} is another program's SQLite database; name a different file with [embedded] path"),
        ),
        (
            "newer",
            &newer,
            format!(
                "{shown} has schema 99, which a newer gridmon made; this one knows schemas up to 2: run the newer one again"
            ),
        ),
        ("folder", &|| fs::create_dir(&path).unwrap(), format!("{shown} is not a file")),
        (
            "dangling",
            &|| symlink("/nowhere/store.db", &path).unwrap(),
            format!("{shown} is a link to /nowhere/store.db, which is not there"),
        ),
    ];
    for (what, put, words) in cases {
        put();
        let before = fs::read(&path).ok();
        for error in [
            Store::open(&path, later()).map(drop).unwrap_err(),
            Store::open_to_read(&path).map(drop).unwrap_err(),
            Store::check(&path).map(drop).unwrap_err(),
        ] {
            assert_eq!(format!("{error:#}"), words, "{what}");
        }
        assert_eq!(fs::read(&path).ok(), before, "{what}");
        for name in names(folder.path()).iter().filter(|name| *name != "gridmon.db") {
            let empty = fs::metadata(folder.path().join(name)).unwrap().len() == 0;
            // What SQLite needs to read, and a reader may not remove.
            assert!(name == "gridmon.db-shm" || name == "gridmon.db-wal" && empty, "{what}: {name} was left beside it");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    assert!(Store::open_to_read(&path).unwrap().is_none());
    assert!(!path.exists(), "reading makes nothing");
}
