//! The embedded store against a plain map: what is written is what is read, latest values and ranges are those of a scan,
//! pruning takes what is too old and nothing else. And against damage: a file that is no store, or no longer a whole one,
//! is refused in words, or everything in it is there.

mod damage;
mod foreign;
mod log;
mod properties;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::query::Selector;
use gridmon::sinks::embedded::{Config, EmbeddedReader, Place, Series, Store};
use gridmon_testkit::TempDir;
use gridmon_testkit::sandbox::proof::{Random, names, seed, soak};
use proptest::prelude::*;
use proptest::sample::Index;
use rusqlite::Connection;

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
        store.points(tier, &Selector::default(), gridmon::model::Window::ALL, &mut each, &|_| {})?;
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
    store.find(&Selector::default()).unwrap().into_iter().map(|series| (series.key.clone(), series)).collect()
}

/// `short` cases, in the soak forty times as many.
fn cases(short: u32) -> ProptestConfig {
    let cases = if soak() { short * 40 } else { short };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
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
