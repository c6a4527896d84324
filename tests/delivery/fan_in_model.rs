//! The fan-in of qmaster on a simulated clock and disk: random schedules of clients that send and send again, of requests in several
//! pieces and of streams that nobody answers, group commits, sinks that come and go, full and failing disks, crashes of the process
//! and of the machine at any file operation, restarts.
//!
//! Clients go beyond every limit: they send while the spool or the disk is full, while as many points wait as may, and begin more
//! series than they may in an hour. They hear 503 or 429 with the time after which to come back, and most of them keep to it; some
//! give up.
//!
//! What was answered as safe, and what an answer says is kept, arrives at every sink, whatever happens in between; what nobody
//! accepted arrives nowhere; and what was sent once and answered is stored once, unless something failed between the store and the
//! note that it has it. No limit is passed.
//!
//! One thread turns the committer and the senders one after another, in an order that comes from the seed: `GRIDMON_SEED` sets
//! the first, `GRIDMON_FAN_INS` how many (1,000 by default, 100,000 in `make soak-fan-in`).

mod clients;
mod service;
mod store;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use gridmon::delivery::Delivery;
use gridmon::frame::{Bounds, Committer, Notes, Outbox, Sender};
use gridmon::listener::request::Kept;
use gridmon::listener::series::Series;
use gridmon::model::{Point, Value};
use gridmon::sinks::Sink;
use gridmon::spool::Config;

use self::store::{Mood, Shared, Store, id};
use super::spool_model::disk::{Claim, Random, SimulatedDisk};

/// Whether what was offered is safe, once that is known.
type Told = Arc<Mutex<Option<Result<(), String>>>>;

/// What a client sends, and sends again until it is answered as safe, unless it gives up.
struct Request {
    client: IpAddr,
    pieces: Vec<Vec<Point>>,
    /// Nobody answers it: what is not accepted waits for that, and is lost when the process ends.
    is_stream: bool,
    /// Whether its client gives up after an answer that is not 204.
    gives_up: bool,
    /// When its client sends it again at the earliest.
    not_before: Instant,
    attempt: Option<Attempt>,
    is_done: bool,
}

/// A request that is being received.
#[derive(Default)]
struct Attempt {
    kept: Kept,
    /// How many pieces have been taken.
    taken: usize,
    /// The points of the last piece that may be offered, until they are.
    held: Vec<Point>,
    /// Those that are offered.
    offered: Vec<i64>,
    told: Option<Told>,
}

/// How many new series a client may begin in an hour, where that is few.
const FEW_SERIES: u64 = 60;

/// How little a committer may take at once, where that is little.
const LITTLE: Bounds = Bounds { waiting: 8, in_batch: 4 };

/// The most points of a piece.
const PIECE: usize = 10;

/// How the schedules went.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    safe: usize,
    taken_again: usize,
    /// Answers with 503: the spool or the disk is full, too many points wait, or it ends.
    full: usize,
    busy: usize,
    /// Those of requests whose first pieces are kept.
    partly: usize,
    /// Answers with 429.
    limited: usize,
    given_up: usize,
    kills: usize,
    power_failures: usize,
    ended: usize,
}

impl Figures {
    fn add(self, other: Self) -> Self {
        Self {
            safe: self.safe + other.safe,
            taken_again: self.taken_again + other.taken_again,
            full: self.full + other.full,
            busy: self.busy + other.busy,
            partly: self.partly + other.partly,
            limited: self.limited + other.limited,
            given_up: self.given_up + other.given_up,
            kills: self.kills + other.kills,
            power_failures: self.power_failures + other.power_failures,
            ended: self.ended + other.ended,
        }
    }
}

struct World {
    seed: u64,
    random: Random,
    disk: SimulatedDisk,
    stores: Vec<Arc<Store>>,
    sinks: Vec<Box<dyn Sink>>,
    limits: Config,
    /// How many batches of its own the service may still make: they have a tenth of the spool.
    own: u64,
    at: Cell<Instant>,
    now: i64,
    requests: Vec<Request>,
    next_id: i64,
    /// How often each point was accepted.
    taken: BTreeMap<i64, u32>,
    /// The points that somebody was told are safe.
    promised: BTreeSet<i64>,
    series: Series,
    most_new: u64,
    bounds: Bounds,
    /// The series that each client has begun in this process, which began at a time.
    begun: BTreeMap<IpAddr, u64>,
    lives_since: Instant,
    figures: Figures,
}

/// A process of the service.
struct Process<'a> {
    committer: Committer<SimulatedDisk>,
    delivery: Delivery<'a, SimulatedDisk>,
    outboxes: &'a [Outbox<Claim>],
    senders: Vec<Sender<'a, SimulatedDisk>>,
    notes: Notes,
}

impl World {
    fn new(seed: u64) -> Self {
        let (disk, mut random) = (SimulatedDisk::new(seed), Random(seed ^ 0xfa_01));
        let names = if random.one_in(3) { &["carbon"][..] } else { &["carbon", "influxdb"] };
        let store = |name: &&'static str| {
            let (mood, points, doubled) = (Mutex::new(Mood::Up), Mutex::default(), Mutex::default());
            Arc::new(Store { name, mood, points, doubled, disk: disk.clone() })
        };
        let stores: Vec<_> = names.iter().map(store).collect();
        let sinks = stores.iter().map(|store| Box::new(Shared(store.clone())) as Box<dyn Sink>).collect();
        let is_small = random.one_in(3);
        let limits = Config {
            max_bytes: if is_small { 20_000 } else { u64::MAX },
            max_age_days: 36_500,
            max_disk_percent: 95,
            replay_points_per_second: u64::MAX,
        };
        let own = if is_small { 4 } else { 100 };
        let most_new = if random.one_in(3) { FEW_SERIES } else { u64::MAX };
        let bounds = if random.one_in(3) { LITTLE } else { Bounds::default() };
        let (begins, now) = (Instant::now(), 1_717_245_000);
        let (requests, next_id, taken, promised, series, begun, figures) = Default::default();
        Self {
            seed,
            random,
            disk,
            stores,
            sinks,
            limits,
            own,
            at: Cell::new(begins),
            now,
            requests,
            next_id,
            taken,
            promised,
            series,
            most_new,
            bounds,
            begun,
            lives_since: begins,
            figures,
        }
    }

    /// Lets time pass, in milliseconds.
    fn pass(&mut self, milliseconds: u64) {
        self.at.set(self.at.get() + Duration::from_millis(milliseconds));
        // The wall clock steps now and then.
        self.now +=
            (milliseconds / 1000) as i64 + i64::from(self.random.one_in(20)) * (self.random.below(200) as i64 - 100);
    }

    fn points(&mut self) -> Vec<Point> {
        let is_large = self.random.one_in(4);
        let count = if is_large { PIECE as u64 } else { 1 + self.random.below(3) };
        let point = |id: i64, random: &mut Random| {
            // What cannot be packed.
            let long: String = (0..if is_large { 16 } else { 1 }).map(|_| format!("{:x}", random.next())).collect();
            let number = id.to_string();
            let tags = [("id".into(), number.as_str()), ("long".into(), long.as_str())];
            Point::new("m".into(), tags, [("v".into(), Value::Int(id))], 1_717_245_000 + id)
        };
        (0..count)
            .map(|_| {
                self.next_id += 1;
                point(self.next_id, &mut self.random)
            })
            .collect()
    }

    fn request(&mut self) -> Request {
        let is_stream = self.random.one_in(4);
        let pieces = if is_stream || self.random.one_in(2) { 1 } else { 2 + self.random.below(2) };
        Request {
            client: IpAddr::from([192, 0, 2, self.random.below(2) as u8]),
            pieces: (0..pieces).map(|_| self.points()).collect(),
            is_stream,
            gives_up: self.random.one_in(6),
            not_before: self.at.get(),
            attempt: None,
            is_done: false,
        }
    }

    fn judge(&mut self) {
        let seed = self.seed;
        for store in &self.stores {
            let stored = store.points.lock().unwrap();
            for id in &self.promised {
                assert!(stored.contains_key(id), "seed {seed}: {} lost {id}", store.name);
            }
            for id in stored.keys() {
                assert!(self.taken.contains_key(id), "seed {seed}: {} invented {id}", store.name);
            }
            let doubled = store.doubled.lock().unwrap();
            let once: Vec<_> = doubled.iter().filter(|id| self.taken[id] == 1).map(|id| (id, stored[id])).collect();
            assert!(once.is_empty(), "seed {seed}: {} got again what was sent once: {once:?}", store.name);
        }
        let done = self.requests.iter().filter(|request| !request.is_stream && !request.gives_up);
        for point in done.flat_map(|request| request.pieces.iter().flatten()) {
            assert!(self.promised.contains(&id(point)), "seed {seed}: nobody was told that {} is safe", point.series());
        }
        self.figures.safe += self.promised.len();
    }
}

fn schedule(seed: u64) -> Figures {
    let mut world = World::new(seed);
    for _ in 0..1 + world.random.below(4) {
        world.live(false);
    }
    world.live(true);
    world.judge();
    world.figures
}

#[test]
fn what_was_answered_as_safe_arrives_once_whatever_happens_in_between() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (schedules, first) = (number("GRIDMON_FAN_INS", 1_000), number("GRIDMON_SEED", 1));
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let figures = std::thread::scope(|scope| {
        let worker = |worker: u64| {
            (first + worker..first + schedules)
                .step_by(workers as usize)
                .map(schedule)
                .fold(Figures::default(), Figures::add)
        };
        let threads: Vec<_> = (0..workers).map(|at| scope.spawn(move || worker(at))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Figures::default(), Figures::add)
    });
    println!("{schedules} schedules from seed {first}: {figures:?}, 0 lost, 0 invented, 0 stored twice");
    let Figures { safe, full, busy, partly, limited, given_up, kills, power_failures, .. } = figures;
    let least = |count: usize, of: u64| count as u64 >= of;
    assert!(
        least(safe, schedules) && least(kills, schedules / 4) && least(power_failures, schedules / 4),
        "{figures:?}"
    );
    assert!(least(full, schedules / 4) && least(busy, schedules / 10) && least(limited, schedules / 4), "{figures:?}");
    assert!(least(partly, schedules / 10) && least(given_up, schedules / 10), "{figures:?}");
}
