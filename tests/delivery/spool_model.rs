//! The spool against a simulated disk: random schedules of publishing, delivering, sinks that come and go, crashes of the
//! process and of the machine at any file operation, torn writes, lost renames, ENOSPC and EIO. Whatever was promised by a
//! publication arrives at every sink, and nothing arrives that was never collected. Of two runs of a slot the later one's
//! values stand at the end, whichever waited.
//!
//! `GRIDMON_SCHEDULES` sets how many (100,000 by default, more in `make soak`), `GRIDMON_SEED` the first.

pub(crate) mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use gridmon::delivery::Delivery;
use gridmon::model::{Point, Value};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::{BAD, Batch, Config, Disk, Header, Spool};

use self::disk::{Random, SimulatedDisk};

/// What a sink does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Up,
    Down,
    /// Stores everything and does not say so.
    Mute,
    /// Stores a part and breaks off.
    Breaks,
}

/// A sink that stores rows in memory, beyond every crash of the machine that sends.
#[derive(Debug)]
struct Store {
    name: &'static str,
    mood: Mutex<Mood>,
    rows: Mutex<BTreeMap<(String, i64), Value>>,
    disk: SimulatedDisk,
}

#[derive(Clone)]
struct Shared(Arc<Store>);

impl Sink for Shared {
    fn name(&self) -> &str {
        self.0.name
    }

    fn send(&self, Batch { points, .. }: &Batch, _deadline: Instant) -> Sent {
        let mood = *self.0.mood.lock().unwrap();
        // A process that has died sends nothing more.
        let count = match mood {
            _ if self.0.disk.is_dead() => 0,
            Mood::Up | Mood::Mute => points.len(),
            Mood::Down => 0,
            Mood::Breaks => points.len() / 2,
        };
        let mut rows = self.0.rows.lock().unwrap();
        for point in &points[..count] {
            let (_, value) = point.fields().next().unwrap();
            rows.insert((point.series().to_string(), point.time()), value);
        }
        let result = if mood == Mood::Up && !self.0.disk.is_dead() { Ok(()) } else { Err(anyhow::anyhow!("{mood:?}")) };
        Sent { dropped: vec![], refused: vec![], result }
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        bail!("nobody asks")
    }
}

const CONFIG: Config =
    Config { max_bytes: u64::MAX, max_age_days: 36_500, max_disk_percent: 100, replay_points_per_second: u64::MAX };

/// How a schedule ended: points promised, faults.
#[derive(Debug, Default)]
struct Figures {
    promised: usize,
    kills: usize,
    power_failures: usize,
    refused_by_disk: usize,
}

impl Figures {
    fn add(self, other: Self) -> Self {
        Self {
            promised: self.promised + other.promised,
            kills: self.kills + other.kills,
            power_failures: self.power_failures + other.power_failures,
            refused_by_disk: self.refused_by_disk + other.refused_by_disk,
        }
    }
}

fn schedule(seed: u64, figures: &mut Figures) {
    let disk = SimulatedDisk::new(seed);
    let mut random = Random(seed ^ 0x5eed);
    let names = if random.one_in(3) { &["carbon"][..] } else { &["carbon", "influxdb"] };
    let stores: Vec<_> = names
        .iter()
        .map(|name| Arc::new(Store { name, mood: Mutex::new(Mood::Up), rows: Mutex::default(), disk: disk.clone() }))
        .collect();
    let sinks: Vec<Box<dyn Sink>> =
        stores.iter().map(|store| Box::new(Shared(store.clone())) as Box<dyn Sink>).collect();
    // The values of each row, the latest run's last.
    let mut collected = BTreeMap::<_, Vec<Value>>::new();
    let mut slot = 0;
    // An operator takes one sink out of the config now and then. Not where the power fails too: a batch that comes back without
    // its notes owes the other sink again, for which nothing newer waits.
    let changes_sinks = random.one_in(4);
    let steps = 3 + random.below(6);
    for step in 0..=steps {
        let last = step == steps;
        for store in &stores {
            let moods = [Mood::Up, Mood::Up, Mood::Down, Mood::Mute, Mood::Breaks];
            *store.mood.lock().unwrap() = if last { Mood::Up } else { moods[random.below(5) as usize] };
        }
        let killed = !last && random.one_in(2);
        {
            let mut simulation = disk.0.lock().unwrap();
            simulation.fuse = killed.then(|| random.below(40));
            simulation.faults = if last || random.one_in(2) { 0 } else { 5 + random.below(30) };
        }
        // Slots repeat now and then: a run that was started twice.
        slot += i64::from(!random.one_in(3));
        let time = 1_717_245_000 + 60 * slot;
        let points: Vec<_> = (0..1 + random.below(3))
            .map(|at| {
                let value = Value::Int(random.next() as i64 >> 8);
                let series = format!("s{at}{}", if random.one_in(10) { "x".repeat(150) } else { String::new() });
                Point::new("m".into(), [("tag".into(), series.as_str())], [("v".into(), value)], time)
            })
            .collect();
        for point in &points {
            let row = (point.series().to_string(), point.time());
            collected.entry(row).or_default().push(point.fields().next().unwrap().1);
        }
        let spool = Spool::new(disk.clone());
        let header = Header {
            program: "model".into(),
            grid: "g".into(),
            time,
            tier: "raw".into(),
            database: String::new(),
            sinks: BTreeSet::new(),
        };
        let total = points.len();
        let way = Delivery { spool: Ok(&spool), config: &CONFIG, running: time, progress: &|_| {} };
        let batch = Batch { header, points };
        let sinks = if !last && changes_sinks && random.one_in(3) { &sinks[..1] } else { &sinks[..] };
        let delivery = way.publish(batch, vec![], sinks, Instant::now() + Duration::from_secs(60), || {});
        for account in delivery.accounts.values() {
            assert_eq!(account.sum(), total, "seed {seed}: {account:?}");
        }
        if !last {
            figures.refused_by_disk += usize::from(
                delivery.problems.iter().any(|problem| problem.subject == gridmon::problem::Subject::Spool),
            );
            let power = !changes_sinks && random.one_in(3);
            figures.kills += usize::from(disk.is_dead());
            figures.power_failures += usize::from(power);
            if disk.is_dead() || power || disk.0.lock().unwrap().faults > 0 {
                disk.restart(power);
            }
        }
    }
    // One more run with everything up finishes what the last one found held or failing.
    disk.restart(false);
    let spool = Spool::new(disk.clone());
    let header = Header {
        program: "model".into(),
        grid: "g".into(),
        time: 0,
        tier: "raw".into(),
        database: String::new(),
        sinks: BTreeSet::new(),
    };
    let way = Delivery { spool: Ok(&spool), config: &CONFIG, running: 0, progress: &|_| {} };
    let batch = Batch { header, points: vec![] };
    let delivery = way.publish(batch, vec![], &sinks, Instant::now() + Duration::from_secs(60), || {});
    assert_eq!(delivery.problems, [], "seed {seed}");

    let promised = disk.0.lock().unwrap().promised.clone();
    for store in &stores {
        let rows = store.rows.lock().unwrap();
        // Which run a value is of, counted from 1.
        let run = |row: &(String, i64), value: &Value| {
            collected[row].iter().position(|one| one == value).map_or(0, |at| at + 1)
        };
        for (row, value) in rows.iter() {
            assert!(run(row, value) > 0, "seed {seed}: {} invented {row:?}", store.name);
        }
        for point in
            promised.values().filter(|batch| batch.header.sinks.contains(store.name)).flat_map(|batch| &batch.points)
        {
            let row = (point.series().to_string(), point.time());
            let value = point.fields().next().unwrap().1;
            let Some(stored) = rows.get(&row) else {
                panic!("seed {seed}: {} lost {row:?}; files {:#?}", store.name, disk.files());
            };
            let (stored, promised) = (run(&row, stored), run(&row, &value));
            assert!(stored >= promised, "seed {seed}: {} has run {stored} of {row:?}, not {promised}", store.name);
        }
    }
    figures.promised += promised.values().map(|batch| batch.points.len()).sum::<usize>();
    let left: Vec<_> = disk.files().into_iter().filter(|name| !name.starts_with(BAD)).collect();
    assert_eq!(left, Vec::<String>::new(), "seed {seed}: left behind");
}

#[test]
fn what_was_promised_arrives_and_nothing_else_whatever_happens_in_between() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (schedules, first) = (number("GRIDMON_SCHEDULES", 100_000), number("GRIDMON_SEED", 1));
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let figures = std::thread::scope(|scope| {
        let worker = |worker: u64| {
            let mut figures = Figures::default();
            (first + worker..first + schedules).step_by(workers as usize).for_each(|seed| schedule(seed, &mut figures));
            figures
        };
        let threads: Vec<_> = (0..workers).map(|at| scope.spawn(move || worker(at))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Figures::default(), Figures::add)
    });
    println!("{schedules} schedules from seed {first}: {figures:?}, 0 lost, 0 invented");
    assert!(
        figures.kills as u64 > schedules / 2
            && figures.power_failures as u64 > schedules
            && figures.promised as u64 > schedules
    );
}
