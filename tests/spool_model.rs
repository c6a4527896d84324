//! The spool against a simulated disk: random schedules of publishing, delivering, sinks that come and go, crashes of the
//! process and of the machine at any file operation, torn writes, lost renames, ENOSPC and EIO. Whatever was promised by a
//! publication arrives at every sink, and nothing arrives that was never collected.
//!
//! `GRIDMON_SCHEDULES` sets how many (100,000 by default, more in `make soak`), `GRIDMON_SEED` the first.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use gridmon::delivery::Delivery;
use gridmon::model::{Point, Value};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::{BAD, Batch, Config, Disk, Header, Spool};

/// A small generator of random numbers (splitmix64): schedules must come again from their seed.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A file: what the process sees, and what a power failure leaves.
#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: bool,
    maker: Weak<()>,
}

/// What has been done to the directory since it was last synced.
#[derive(Clone, Debug)]
enum Change {
    Link(String, usize),
    Unlink(String),
}

#[derive(Debug)]
struct Simulation {
    random: Random,
    inodes: Vec<Inode>,
    /// The directory as processes see it.
    names: BTreeMap<String, usize>,
    /// The directory as of its last sync, and what was done since.
    durable: BTreeMap<String, usize>,
    changes: Vec<Change>,
    locks: BTreeMap<String, Weak<()>>,
    /// How many file operations the process still lives; `None` is for ever.
    fuse: Option<u64>,
    /// The chance of one in so many that an operation fails with EIO or ENOSPC; 0 is never.
    faults: u64,
    /// The points of every batch that a sync of the directory has made safe.
    promised: BTreeMap<String, Vec<Point>>,
}

/// The disk, shared by the spools of all processes of a schedule.
#[derive(Clone, Debug)]
struct SimulatedDisk(Arc<Mutex<Simulation>>);

/// What keeps a file or a lock held.
type Claim = Arc<()>;

impl SimulatedDisk {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Simulation {
            random: Random(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            changes: Vec::new(),
            locks: BTreeMap::new(),
            fuse: None,
            faults: 0,
            promised: BTreeMap::new(),
        })))
    }

    /// Runs one operation, unless the process has died or the operation fails.
    fn operate<T>(&self, work: impl FnOnce(&mut Simulation) -> io::Result<T>) -> io::Result<T> {
        let mut simulation = self.0.lock().unwrap();
        match &mut simulation.fuse {
            Some(0) => return Err(io::Error::other("killed")),
            Some(left) => *left -= 1,
            None => {}
        }
        let faults = simulation.faults;
        if faults > 0 && simulation.random.one_in(faults) {
            let kinds = [ErrorKind::StorageFull, ErrorKind::Other];
            return Err(kinds[simulation.random.below(2) as usize].into());
        }
        work(&mut simulation)
    }

    fn is_dead(&self) -> bool {
        self.0.lock().unwrap().fuse == Some(0)
    }

    /// A new process: the old one is gone, with the machine (`power`) or alone.
    fn restart(&self, power: bool) {
        let mut simulation = self.0.lock().unwrap();
        let simulation = &mut *simulation;
        simulation.fuse = None;
        simulation.faults = 0;
        simulation.locks.clear();
        for inode in &mut simulation.inodes {
            inode.maker = Weak::new();
        }
        if power {
            // Of what was not synced, a part came to the disk: in order, up to some point, or here and there.
            let (in_order, upto) =
                (simulation.random.one_in(2), simulation.random.below(simulation.changes.len() as u64 + 1));
            for (at, change) in std::mem::take(&mut simulation.changes).into_iter().enumerate() {
                let came = if in_order { (at as u64) < upto } else { simulation.random.one_in(2) };
                match change {
                    Change::Link(name, inode) if came => drop(simulation.durable.insert(name, inode)),
                    Change::Unlink(name) if came => drop(simulation.durable.remove(&name)),
                    _ => {}
                }
            }
            simulation.names = simulation.durable.clone();
            for inode in simulation.inodes.iter_mut().filter(|inode| !inode.synced) {
                let block = if simulation.random.one_in(2) { 512 } else { 4096 };
                let blocks = inode.bytes.len() as u64 / block + 1;
                let kept = (simulation.random.below(blocks + 1) * block).min(inode.bytes.len() as u64) as usize;
                if simulation.random.one_in(2) {
                    inode.bytes.truncate(kept);
                } else {
                    // The size came to the disk, the blocks did not.
                    inode.bytes[kept..].fill(0);
                }
                inode.synced = true;
            }
        }
    }

    fn files(&self) -> Vec<String> {
        self.0.lock().unwrap().names.keys().cloned().collect()
    }
}

impl Disk for SimulatedDisk {
    type Claim = Claim;

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Claim> {
        let hold = Claim::new(());
        let at = self.operate(|s| {
            if s.names.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let at = s.inodes.len();
            s.inodes.push(Inode { maker: Arc::downgrade(&hold), ..Inode::default() });
            s.names.insert(name.into(), at);
            s.changes.push(Change::Link(name.into(), at));
            Ok(at)
        })?;
        if !bytes.is_empty() {
            // A write can stop half-way, with the process or with the space.
            let written = self.operate(|s| {
                s.inodes[at].bytes = bytes.to_vec();
                Ok(())
            });
            if let Err(error) = written {
                let mut simulation = self.0.lock().unwrap();
                let part = simulation.random.below(bytes.len() as u64 + 1) as usize;
                simulation.inodes[at].bytes = bytes[..part].to_vec();
                return Err(error);
            }
            self.operate(|s| {
                s.inodes[at].synced = true;
                Ok(())
            })?;
        }
        Ok(hold)
    }

    fn claim(&self, name: &str) -> io::Result<Option<Claim>> {
        self.operate(|s| {
            let at = *s.names.get(name).ok_or(ErrorKind::NotFound)?;
            Ok((s.inodes[at].maker.strong_count() == 0).then(|| Claim::new(())))
        })
    }

    fn lock(&self, name: &str) -> io::Result<Option<Claim>> {
        self.operate(|s| {
            if s.locks.get(name).is_some_and(|lock| lock.strong_count() > 0) {
                return Ok(None);
            }
            let hold = Claim::new(());
            s.locks.insert(name.into(), Arc::downgrade(&hold));
            Ok(Some(hold))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|s| {
            let at = s.names.remove(from).ok_or(ErrorKind::NotFound)?;
            s.names.insert(to.into(), at);
            // The link first: a rename never loses the file.
            s.changes.push(Change::Link(to.into(), at));
            s.changes.push(Change::Unlink(from.into()));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(|s| {
            s.durable = s.names.clone();
            s.changes.clear();
            for (name, at) in s.durable.iter().filter(|(name, _)| name.ends_with(".batch") && !name.starts_with(BAD)) {
                if !s.promised.contains_key(name) {
                    s.promised.insert(name.clone(), Batch::decode(&s.inodes[*at].bytes).unwrap().points);
                }
            }
            Ok(())
        })
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        let names = self.operate(|s| Ok(s.names.keys().cloned().collect::<Vec<_>>()))?;
        names.iter().filter(|name| !name.contains('/')).for_each(|name| each(name));
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.operate(|s| Ok(s.inodes[*s.names.get(name).ok_or(ErrorKind::NotFound)?].bytes.clone()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(|s| {
            s.names.remove(name).ok_or(ErrorKind::NotFound)?;
            s.changes.push(Change::Unlink(name.into()));
            Ok(())
        })
    }

    fn exists(&self, name: &str) -> bool {
        self.0.lock().unwrap().names.contains_key(name)
    }

    fn age(&self, name: &str) -> io::Result<Duration> {
        // No process of the schedule lives on when the next one sweeps.
        self.operate(|s| {
            if s.names.contains_key(name) { Ok(Duration::from_secs(86_400)) } else { Err(ErrorKind::NotFound.into()) }
        })
    }

    fn percent_full(&self) -> io::Result<u64> {
        self.operate(|_| Ok(50))
    }
}

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
    let mut collected = BTreeMap::new();
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
        // Slots repeat now and then: two programs, or a run that was started twice.
        let time = 1_717_245_000 + 60 * (step as i64 - i64::from(random.one_in(4)));
        let points: Vec<_> = (0..1 + random.below(3))
            .map(|at| {
                let value = Value::Int(random.next() as i64 >> 8);
                let series = format!("s{at}{}", if random.one_in(10) { "x".repeat(150) } else { String::new() });
                Point::new(format!("m{step}").into(), [("tag".into(), series.as_str())], [("v".into(), value)], time)
            })
            .collect();
        for point in &points {
            collected.insert((point.series().to_string(), point.time()), point.fields().next().unwrap().1);
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
        let way = Delivery { spool: Ok(&spool), config: &CONFIG, now: time, progress: &|_| {} };
        let batch = Batch { header, points };
        let delivery = way.publish(batch, vec![], &sinks, Instant::now() + Duration::from_secs(60), || {});
        for account in delivery.accounts.values() {
            assert_eq!(account.sum(), total, "seed {seed}: {account:?}");
        }
        if !last {
            figures.refused_by_disk += usize::from(
                delivery.problems.iter().any(|problem| problem.subject == gridmon::problem::Subject::Spool),
            );
            let power = random.one_in(3);
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
    let way = Delivery { spool: Ok(&spool), config: &CONFIG, now: 0, progress: &|_| {} };
    let batch = Batch { header, points: vec![] };
    let delivery = way.publish(batch, vec![], &sinks, Instant::now() + Duration::from_secs(60), || {});
    assert_eq!(delivery.problems, [], "seed {seed}");

    let promised = disk.0.lock().unwrap().promised.clone();
    for store in &stores {
        let rows = store.rows.lock().unwrap();
        for point in promised.values().flatten() {
            let row = (point.series().to_string(), point.time());
            assert!(rows.contains_key(&row), "seed {seed}: {} lost {row:?}; files {:#?}", store.name, disk.files());
        }
        for (row, value) in rows.iter() {
            assert_eq!(collected.get(row), Some(value), "seed {seed}: {} invented {row:?}", store.name);
        }
    }
    figures.promised += promised.values().map(Vec::len).sum::<usize>();
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
