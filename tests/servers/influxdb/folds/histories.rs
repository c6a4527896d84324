//! Random histories on a real InfluxDB.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::ensure;
use gridmon::frame::Downsampler;
use gridmon::model::{Point, SECOND, Tier, Value, Window};
use gridmon::query::{Scan, Selector};
use gridmon::rollup::{DAY, HOUR};
use gridmon::setup::{CATALOG, Config};
use gridmon::sinks::Sink as _;
use gridmon::sinks::influxdb::{InfluxReader, InfluxTiers};
use gridmon::sinks::tiers::Tiers as _;
use gridmon::sinks::windows::Windows;
use gridmon_testkit::sandbox::proof::{Random, seed};
use gridmon_testkit::{Influxdb, TempDir};

use super::super::refusals::soon;
use super::oracle::{Oracle, Rows};
use super::points::{D, measurement, points};
use super::{lines, server};

const FOLDED: [&str; 3] = ["jobs", "grid_jobs", "grid_cloud"];

/// A database of its own, and a state directory.
struct World<'a> {
    influxdb: &'a Influxdb,
    database: String,
    state: TempDir,
    tiers: InfluxTiers,
    reader: InfluxReader,
    /// What is stored.
    raw: Vec<Point>,
}

impl<'a> World<'a> {
    fn new(influxdb: &'a Influxdb, case: u64) -> Self {
        let database = format!("h{case}");
        let login = format!("username = root\npassword = {}", Influxdb::PASSWORD);
        let text = format!(
            "[influxdb]\nurl = http://127.0.0.1:{}\ndatabase = {database}\nfold = {}\n{login}\n",
            influxdb.port,
            FOLDED.join(", ")
        );
        let config = Config::parse(&text, "c.cfg").unwrap().0.influxdb.unwrap();
        let state = TempDir::new();
        gridmon::sinks::influxdb::Influxdb::new(config.clone(), state.path()).setup(soon()).unwrap();
        let tiers = InfluxTiers::new(&config, CATALOG).unwrap();
        let reader = InfluxReader::new(&config, CATALOG).unwrap();
        Self { influxdb, database, state, tiers, reader, raw: Vec::new() }
    }

    /// Stores a batch and marks its windows, as a sink does that is folded.
    fn deliver(&mut self, batch: &[Point]) {
        self.influxdb.write(&self.database, "10m", &lines(batch));
        Windows::new(self.state.path(), "influxdb", Tier::Hour).mark_points(batch).unwrap();
        for point in batch {
            self.raw.retain(|other| (other.tag_set(), other.time()) != (point.tag_set(), point.time()));
            self.raw.push(point.clone());
        }
    }

    fn fold(&self, tier: Tier, now: i64, killed_after: usize) -> anyhow::Result<()> {
        let left = Cell::new(killed_after);
        let go_on = || {
            ensure!(left.get() > 0, "killed");
            left.set(left.get() - 1);
            Ok(())
        };
        let until = Instant::now() + Duration::from_secs(60);
        let state = self.state.path();
        let of = Downsampler { store: &self.tiers, state, grid: "a", now, settle_seconds: 300, until, go_on: &go_on };
        of.run(tier).map(drop)
    }

    /// The folded values of a tier that stand for some slot.
    fn stored(&self, tier: Tier, name: &str) -> Vec<Point> {
        let mut found = Vec::new();
        let all = Window { from: 0, to: i64::MAX - 1 };
        self.reader
            .each(&Selector::measurement(name), all, tier, &mut |point| {
                let slots = |name: &str| name == "slots" || name.ends_with("_slots");
                let is_replaced = point.fields().any(|(name, value)| slots(name) && value.is_zero());
                found.extend((!is_replaced).then_some(point));
                Ok(())
            })
            .unwrap();
        found
    }

    fn check(&self, end: i64, what: &str) {
        for name in FOLDED {
            let measurement = measurement(name);
            let oracle = Oracle::new(&self.raw, measurement);
            let begin = oracle.folded_from();
            for (tier, length) in [(Tier::Hour, HOUR), (Tier::Day, DAY)] {
                let closed = (end - 300) * SECOND / length * length;
                let windows: BTreeSet<_> = self.raw.iter().map(|point| point.time() / length * length).collect();
                let mut expected = Rows::new();
                for from in windows.into_iter().filter(|from| from + length > begin && from + length <= closed) {
                    expected.extend(match tier {
                        Tier::Day => oracle.day(from, |hour| hour + HOUR > begin),
                        _ => oracle.hour(from),
                    });
                }
                let what = format!("{what} {name} {tier}");
                self.compare(measurement.exact.is_some(), &self.stored(tier, name), &expected, &what);
            }
        }
    }

    fn compare(&self, is_exact: bool, stored: &[Point], expected: &Rows, what: &str) {
        let mut left = expected.clone();
        for point in stored {
            let field = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value.as_f64());
            for (name, value) in point.fields() {
                let row = (point.series().to_string(), point.time(), name.to_string());
                let Some((expected, parts)) = left.remove(&row) else {
                    assert!(
                        !is_exact && expected.keys().any(|(_, _, field)| name.starts_with(&format!("{field}_"))),
                        "{what}: nobody expects {row:?}"
                    );
                    continue;
                };
                let is_mean = is_exact && name == "corepower";
                let is_near = (value.as_f64() - expected.as_f64()).abs() <= if is_mean { 0.011 } else { 0.0 };
                assert!(is_near, "{what}: {row:?}: {value} is stored, {expected} expected");
                if !is_exact {
                    let of = |end: &str| field(&format!("{name}{end}"));
                    let all = [of("_sum"), of("_slots"), of("_least"), of("_most")];
                    let wanted = [parts.sum, Value::Int(parts.slots), parts.least, parts.most];
                    assert_eq!(all, wanted.map(|part| Some(part.as_f64())), "{what}: {row:?}");
                }
            }
        }
        assert!(left.is_empty(), "{what}: missing {left:?}");
    }
}

fn history(influxdb: &Influxdb, case: u64, seed: u64) {
    let mut random = Random(seed.wrapping_add(case.wrapping_mul(0x0123_4567_89ab_cdef)));
    let what = format!("seed {seed} case {case}");
    let mut world = World::new(influxdb, case);
    let all = points(&mut random);
    // The points of a slot are those of one batch, or of two: the first coverage comes first, since it is what a fold begins with.
    let mut batches: Vec<Vec<Point>> = Vec::new();
    let mut slots: Vec<_> = all.iter().map(|point| point.time() / (600 * SECOND)).collect();
    slots.dedup();
    slots.sort_unstable();
    slots.dedup();
    for slot in slots {
        let (one, other): (Vec<_>, Vec<_>) = all
            .iter()
            .filter(|point| point.time() / (600 * SECOND) == slot)
            .cloned()
            .partition(|_| random.below(4) > 0);
        batches.extend([one, other].into_iter().filter(|batch| !batch.is_empty()));
    }
    let mut waiting = Vec::new();
    for batch in batches {
        let time = batch[0].time() / SECOND;
        match random.below(4) {
            0 => waiting.push(batch),
            _ => world.deliver(&batch),
        }
        if random.below(6) == 0 {
            let killed_after = if random.below(2) == 0 { random.below(20) } else { usize::MAX };
            let _ = world.fold([Tier::Hour, Tier::Day][random.below(2)], time + 1500, killed_after);
        }
    }
    let end = D / SECOND + 86_400 + 3600;
    while !waiting.is_empty() {
        let batch = waiting.swap_remove(random.below(waiting.len()));
        world.deliver(&batch);
        if random.below(4) == 0 {
            let _ = world.fold(Tier::Day, end, random.below(30));
        }
    }
    world.fold(Tier::Day, end, usize::MAX).unwrap();
    world.check(end, &what);
    influxdb.query(&format!("DROP DATABASE {}", world.database));
    let left = fs::read_dir(world.state.path().join("windows")).unwrap();
    assert!(left.flatten().all(|file| !file.file_name().to_string_lossy().ends_with(".dirty")), "{what}");
    assert_eq!(world.tiers.name(), "influxdb");
}

fn histories(test: &str, count: u64) {
    let Some(influxdb) = server(test, &[]) else { return };
    let seed = seed();
    // One alone, to look into it.
    let only = std::env::var("GRIDMON_CASE").ok().and_then(|case| case.parse().ok());
    let cases = only.map_or(0..count, |case| case..case + 1);
    cases.for_each(|case| history(&influxdb, case, seed));
}

#[test]
fn after_any_of_ten_histories_a_real_influxdb_has_what_the_plain_reference_makes() {
    histories("after_any_of_ten_histories_a_real_influxdb_has_what_the_plain_reference_makes", 10);
}

#[test]
#[ignore = "takes minutes: make test-all"]
fn after_any_of_three_hundred_histories_a_real_influxdb_has_what_the_plain_reference_makes() {
    histories("after_any_of_three_hundred_histories_a_real_influxdb_has_what_the_plain_reference_makes", 300);
}
