//! Random histories on the embedded store: collectors that run, fail and come late, down-samplers that run at any minute and
//! are killed between any two writes. At the end the folded tiers are what the plain reference makes of all raw points.

mod random;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use gridmon::frame::Downsampler;
use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::rollup::{DAY, HOUR, Parts, length};
use gridmon::setup::CATALOG;
use gridmon::sinks::embedded::{Config, EmbeddedTiers, Place, Store};
use gridmon::sinks::windows::Windows;
use rusqlite::Connection;
use rusqlite::types::Value as Cell_;

use super::oracle::{Oracle, Rows};
use super::points::{D, coverage, grid, jobs, measurement, schedd};

const MINUTE: i64 = 60;

pub const MEASUREMENTS: [&str; 5] = ["jobs", "grid_jobs", "grid_cloud", "grid_schedd", "slurm_jobs"];

/// A folder in memory, where there is one: each commit is synced.
pub fn folder(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = parent.join(format!("gridmon-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A state directory with a store.
pub struct World {
    pub folder: PathBuf,
    pub config: Config,
    /// What the store holds: the raw points by series, time and field.
    pub raw: RefCell<BTreeMap<(String, i64), BTreeMap<String, Value>>>,
    store: RefCell<Option<Store>>,
    /// The time of the newest raw point of each series, with its labels.
    labels: RefCell<BTreeMap<String, (i64, String)>>,
}

impl World {
    pub fn new(name: &str) -> Self {
        let config = Config { path: None, keep_raw_days: Some(40), keep_1h_days: None, keep_1d_days: None };
        let (raw, store, labels) = Default::default();
        Self { folder: folder(name), config, raw, store, labels }
    }

    pub fn place(&self) -> Place {
        Place::new(self.path(), &self.folder)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("gridmon.db")
    }

    /// Stores a batch and marks its windows, as a sink does that is folded.
    pub fn deliver(&self, points: &[Point]) {
        let mut store = self.store.borrow_mut();
        let store = store.get_or_insert_with(|| self.place().open(later()).unwrap());
        store.write(Tier::Raw, points, later()).unwrap();
        Windows::new(&self.folder, "embedded", Tier::Hour).mark_points(points).unwrap();
        let mut raw = self.raw.borrow_mut();
        for point in points {
            let row = raw.entry((point.series().into(), point.time())).or_default();
            row.extend(point.fields().map(|(name, value)| (name.to_string(), value)));
            let mut labels = self.labels.borrow_mut();
            let newest = labels.entry(point.series().into()).or_insert((i64::MIN, String::new()));
            if point.time() >= newest.0 {
                *newest = (point.time(), point.labels_text());
            }
        }
    }

    /// A run of a down-sampler by the clock `now`, killed after so many writes.
    pub fn fold(&self, tier: Tier, now: i64, killed_after: usize) -> Result<()> {
        self.downsample(now, killed_after, &|of| of.run(tier).map(drop))
    }

    /// A backfill of some windows that begin at `from` or later, in nanoseconds.
    fn backfill(&self, tier: Tier, from: i64, windows: i64, now: i64, killed_after: usize) -> Result<()> {
        let length = length(tier) / SECOND;
        let first = (from / SECOND + length - 1).div_euclid(length) * length + length;
        self.downsample(now, killed_after, &|of| {
            let last = of.closed(tier).min(first + windows * length);
            if first <= last {
                of.backfill(tier, first, last, &|_| {})?;
            }
            Ok(())
        })
    }

    fn downsample(&self, now: i64, killed_after: usize, work: &dyn Fn(&Downsampler) -> Result<()>) -> Result<()> {
        let store = EmbeddedTiers::new(self.config.clone(), self.place(), CATALOG);
        let left = Cell::new(killed_after);
        let go_on = || {
            ensure!(left.get() > 0, "killed");
            left.set(left.get() - 1);
            Ok(())
        };
        let downsampler = Downsampler {
            store: &store,
            state: &self.folder,
            grid: "a",
            now,
            settle_seconds: 300,
            until: later(),
            go_on: &go_on,
        };
        work(&downsampler)
    }

    /// When the coverage of `jobs` begins, in nanoseconds.
    fn begin_of_jobs(&self) -> Option<i64> {
        let raw = self.raw.borrow();
        raw.keys().filter(|(series, _)| series == "coverage,grid=a,measurement=jobs").map(|(_, time)| *time).min()
    }

    pub fn points(&self) -> Vec<Point> {
        let raw = self.raw.borrow();
        let point = |((series, time), fields): (&(String, i64), &BTreeMap<String, Value>)| {
            let mut names = Point::of_series(series).unwrap();
            CATALOG.declare(&mut names);
            names.at(*time, fields.iter().map(|(name, value)| (name.clone().into(), *value)))
        };
        raw.iter().map(point).collect()
    }

    /// The folded rows of a tier of one measurement.
    pub fn stored(&self, tier: Tier, name: &str) -> Rows {
        let connection = Connection::open(self.path()).unwrap();
        let (table, bucket) = if tier == Tier::Hour { ("tier_1h", DAY) } else { ("tier_1d", 32 * DAY) };
        let query = format!(
            "SELECT key, bucket, time, name, value, sum, slots, least, most FROM {table} AS rows
             JOIN series ON series.id = rows.series JOIN field ON field.id = rows.field WHERE key GLOB '{name},*'"
        );
        let value = |cell: Cell_| match cell {
            Cell_::Integer(value) => Value::Int(value),
            Cell_::Real(value) => Value::Float(value),
            other => panic!("{other:?}"),
        };
        let mut query = connection.prepare(&query).unwrap();
        let rows = query.query_map([], |row| {
            let time = row.get::<_, i64>(1)? * bucket + row.get::<_, i64>(2)?;
            let parts = match row.get::<_, Option<i64>>(6)? {
                None => Parts { sum: Value::Int(0), slots: -1, least: Value::Int(0), most: Value::Int(0) },
                Some(slots) => {
                    Parts { sum: value(row.get(5)?), slots, least: value(row.get(7)?), most: value(row.get(8)?) }
                }
            };
            Ok(((row.get(0)?, time, row.get(3)?), (value(row.get(4)?), parts)))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// The covered slots of a measurement at a label of a tier, by grid and scope.
    fn stored_coverage(&self, tier: Tier, name: &str, label: i64) -> BTreeMap<(String, String), i64> {
        let mut rows = self.stored(tier, "coverage");
        rows.extend(self.stored(tier, "scope_coverage"));
        let own = rows.into_iter().filter_map(|((series, time, field), (value, _))| {
            let names = Point::of_series(&series).unwrap();
            let is_own = names.tag("measurement") == Some(name) && time == label && field == "slots";
            let text = |tag: &str| names.tag(tag).unwrap_or_default().to_string();
            is_own.then(|| ((text("grid"), text("scope")), value.as_f64() as i64))
        });
        own.collect()
    }

    /// Compares both folded tiers with the plain reference. `end` is the clock of the last run, in unix seconds.
    pub fn check(&self, end: i64, what: &str) {
        let all = self.points();
        let closed = |length: i64| (end - 300) * SECOND / length * length;
        for name in MEASUREMENTS {
            let measurement = measurement(name);
            let oracle = Oracle::new(&all, measurement);
            let begin = oracle.folded_from();
            let hours: BTreeSet<_> = all.iter().map(|point| point.time().div_euclid(HOUR) * HOUR).collect();
            let mut expected = Rows::new();
            for from in hours.iter().filter(|from| **from + HOUR > begin && **from + HOUR <= closed(HOUR)) {
                expected.extend(oracle.hour(*from));
                let covered = self.stored_coverage(Tier::Hour, name, from + HOUR);
                assert_eq!(covered, oracle.coverage(&[*from]), "{what} coverage of {name} 1h from {from}");
            }
            assert_rows(&self.stored(Tier::Hour, name), &expected, &format!("{what} {name} 1h"));

            let mut expected = Rows::new();
            let days: BTreeSet<_> = hours.iter().map(|from| from.div_euclid(DAY) * DAY).collect();
            for from in days.iter().filter(|from| **from + DAY > begin && **from + DAY <= closed(DAY)) {
                expected.extend(oracle.day(*from, |hour| hour + HOUR > begin));
                let folded: Vec<_> =
                    (0..24).map(|hour| from + hour * HOUR).filter(|hour| *hour + HOUR > begin).collect();
                let covered = self.stored_coverage(Tier::Day, name, from + DAY);
                assert_eq!(covered, oracle.coverage(&folded), "{what} coverage of {name} 1d from {from}");
            }
            assert_rows(&self.stored(Tier::Day, name), &expected, &format!("{what} {name} 1d"));
        }
        self.check_labels(what);
    }

    /// A series has the labels of its newest point, whichever came last, raw or folded.
    fn check_labels(&self, what: &str) {
        let connection = Connection::open(self.path()).unwrap();
        let mut query = connection.prepare("SELECT key, labels FROM series").unwrap();
        let stored = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        let stored: BTreeMap<_, _> = stored.map(Result::unwrap).collect();
        for (series, (_, labels)) in &*self.labels.borrow() {
            assert_eq!(stored.get(series), Some(labels), "{what}: labels of {series}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

pub fn assert_rows(stored: &Rows, expected: &Rows, what: &str) {
    for (row, value) in expected {
        assert_eq!(format!("{:?}", stored.get(row)), format!("{:?}", Some(value)), "{what}: {row:?}");
    }
    let more: Vec<_> = stored.keys().filter(|row| !expected.contains_key(*row)).collect();
    assert!(more.is_empty(), "{what}: nobody expects {more:?}");
}

/// The down-sampler keeps the names of series from window to window, while other processes forget series and use their ids
/// again.
#[test]
fn a_series_with_the_id_of_a_forgotten_one_is_folded_as_its_own_measurement() {
    let world = World::new("ids");
    let store = EmbeddedTiers::new(world.config.clone(), world.place(), CATALOG);
    let fold = |now: i64| {
        let (state, until) = (&*world.folder, later());
        let go_on = || Ok(());
        let of = Downsampler { store: &store, state, grid: "a", now, settle_seconds: 300, until, go_on: &go_on };
        of.run(Tier::Hour).unwrap();
    };
    world.deliver(&[schedd(D, 0.5)]);
    fold(D / SECOND + 3900);
    assert_eq!(world.stored(Tier::Hour, "grid_schedd").len(), 1);
    let other = Connection::open(world.path()).unwrap();
    for table in ["series", "tier_raw", "tier_1h"] {
        other.execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    world.deliver(&[grid(D + HOUR, "a", 0, 5)]);
    assert_eq!(other.query_row("SELECT id FROM series", [], |row| row.get::<_, i64>(0)), Ok(1));
    fold(D / SECOND + 7500);
    let rows = world.stored(Tier::Hour, "grid_jobs");
    let row = ("grid_jobs,grid=a,status=idle,type=all".into(), D + 2 * HOUR, "jobs".into());
    assert_eq!(rows.keys().collect::<Vec<_>>(), [&row]);
    assert_eq!(rows[&row].0, Value::Float(5.0));
}

/// A machine whose clock stood in 1970 has sent coverage: the half million hours since are not marked, and nothing changes.
#[test]
fn coverage_of_1970_marks_no_hour_without_points() {
    let world = World::new("epoch");
    let now = D / SECOND + 90_000;
    let slot = |time: i64| {
        world.deliver(&[coverage(time, "a", "jobs"), jobs(time, ("P", "running"), "online", 30, Some(1), 0.25)]);
    };
    (0..6).for_each(|at| slot(D + HOUR + at * 600 * SECOND));
    world.fold(Tier::Day, now, usize::MAX).unwrap();
    let before = [Tier::Hour, Tier::Day].map(|tier| world.stored(tier, "jobs"));
    world.deliver(&[coverage(600 * SECOND, "a", "jobs")]);
    // Killed before the first window is folded again: what is marked by then stays.
    let _ = world.fold(Tier::Hour, now, 0);
    let marks = fs::read_dir(world.folder.join("windows")).unwrap().count();
    assert!(marks < 20, "{marks} files");
    world.fold(Tier::Day, now, usize::MAX).unwrap();
    assert_eq!([Tier::Hour, Tier::Day].map(|tier| world.stored(tier, "jobs")), before);
    // The other way round: the first run of all has it.
    let world = World::new("epoch-first");
    world.deliver(&[coverage(600 * SECOND, "a", "jobs"), coverage(D, "a", "jobs")]);
    world.deliver(&[jobs(D, ("P", "running"), "online", 30, Some(1), 0.25)]);
    world.fold(Tier::Day, now, 40).unwrap();
    assert_eq!(world.stored_coverage(Tier::Hour, "jobs", D + HOUR).into_values().collect::<Vec<_>>(), [1]);
    assert!(!world.stored(Tier::Day, "jobs").is_empty());
}
