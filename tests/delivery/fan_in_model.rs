//! The fan-in of qmaster on a simulated clock and disk: random schedules of clients that send and send again, group commits,
//! sinks that come and go, full and failing disks, crashes of the process and of the machine at any file operation, restarts.
//! What was answered as safe arrives at every sink, whatever happens in between; what nobody accepted arrives nowhere; and
//! what was sent once and answered is stored once, unless something failed between the store and the note that it has it.
//!
//! One thread turns the committer and the senders one after another, in an order that comes from the seed: `GRIDMON_SEED` sets
//! the first, `GRIDMON_FAN_INS` how many (1,000 by default, 100,000 in `make soak-fan-in`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use gridmon::delivery::Delivery;
use gridmon::frame::{Committer, Fresh, Notes, Outbox, Sender};
use gridmon::model::{Point, Value};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::{Batch, Config, Header, Spool};

use super::spool_model::disk::{Claim, Random, SimulatedDisk};

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

/// How often a point came to a sink, and what had failed until then.
#[derive(Clone, Copy, Debug)]
struct Stored {
    times: u32,
    /// What had failed before the sink said that it has it; `None` if it never did.
    said: Option<u64>,
}

/// A sink that counts, beyond every crash of the machine that sends.
struct Store {
    name: &'static str,
    mood: Mutex<Mood>,
    points: Mutex<BTreeMap<i64, Stored>>,
    /// The points that came again though the sink had said that it has them, and nothing had failed since.
    doubled: Mutex<Vec<i64>>,
    disk: SimulatedDisk,
}

#[derive(Clone)]
struct Shared(Arc<Store>);

/// The measurement of the service's own points.
const OWN: &str = "own";

fn id(point: &Point) -> i64 {
    match point.fields().next() {
        Some((_, Value::Int(id))) => id,
        other => panic!("{other:?}"),
    }
}

impl Sink for Shared {
    fn name(&self) -> &str {
        self.0.name
    }

    fn send(&self, Batch { points, .. }: &Batch, _deadline: Instant) -> Sent {
        let mood = *self.0.mood.lock().unwrap();
        let is_dead = self.0.disk.is_dead();
        let count = match mood {
            // A process that has died sends nothing more.
            _ if is_dead => 0,
            Mood::Up | Mood::Mute => points.len(),
            Mood::Down => 0,
            Mood::Breaks => points.len() / 2,
        };
        let troubles = self.0.disk.0.lock().unwrap().troubles;
        let is_said = mood == Mood::Up && !is_dead;
        let mut stored = self.0.points.lock().unwrap();
        for point in points[..count].iter().filter(|point| point.measurement() != OWN) {
            let id = id(point);
            let there = stored.entry(id).or_insert(Stored { times: 0, said: None });
            there.times += 1;
            if there.said == Some(troubles) {
                self.0.doubled.lock().unwrap().push(id);
            }
            if is_said {
                there.said = Some(troubles);
            }
        }
        Sent { dropped: vec![], refused: vec![], result: if is_said { Ok(()) } else { Err(anyhow!("{mood:?}")) } }
    }

    fn check(&self, _deadline: Instant) -> Result<String> {
        bail!("nobody asks")
    }
}

/// What a request is answered, once it is.
type Answer = Arc<Mutex<Option<Result<(), String>>>>;

/// A request of a client, which is sent again until it is answered as safe.
struct Request {
    points: Vec<Point>,
    /// How often it was taken.
    taken: u32,
    /// Whether it waits for its answer.
    answer: Option<Answer>,
    is_safe: bool,
}

/// How the schedules went.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    safe: usize,
    taken_again: usize,
    refused: usize,
    kills: usize,
    power_failures: usize,
    ended: usize,
}

impl Figures {
    fn add(self, other: Self) -> Self {
        Self {
            safe: self.safe + other.safe,
            taken_again: self.taken_again + other.taken_again,
            refused: self.refused + other.refused,
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
        let (at, now) = (Cell::new(Instant::now()), 1_717_245_000);
        let (requests, next_id, figures) = Default::default();
        Self { seed, random, disk, stores, sinks, limits, own, at, now, requests, next_id, figures }
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
        let count = if is_large { 10 } else { 1 + self.random.below(3) };
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

    /// A client sends something new, or again what nobody has answered as safe.
    fn send(&mut self, process: &Process<'_>, only_again: bool) {
        let open: Vec<_> = (0..self.requests.len())
            .filter(|at| !self.requests[*at].is_safe && self.requests[*at].answer.is_none())
            .collect();
        let again = if open.is_empty() { None } else { Some(open[self.random.below(open.len() as u64) as usize]) };
        let at = match again {
            Some(at) if only_again || self.random.one_in(2) => at,
            _ if only_again => return,
            _ => {
                let points = self.points();
                self.requests.push(Request { points, taken: 0, answer: None, is_safe: false });
                self.requests.len() - 1
            }
        };
        let answer = Arc::new(Mutex::new(None));
        let told = Arc::clone(&answer);
        let done = Box::new(move |result| *told.lock().unwrap() = Some(result));
        let request = &mut self.requests[at];
        match process.committer.offer(request.points.clone(), done) {
            Ok(()) => {
                self.figures.taken_again += usize::from(request.taken > 0);
                request.taken += 1;
                request.answer = Some(answer);
            }
            Err(_) => self.figures.refused += 1,
        }
    }

    /// Clients read what they are answered.
    fn hear(&mut self, has_ended: bool) {
        for request in &mut self.requests {
            let Some(answer) = &request.answer else { continue };
            match answer.lock().unwrap().take() {
                Some(Ok(())) => request.is_safe = true,
                None if !has_ended => continue,
                _ => {}
            }
            request.answer = None;
        }
    }

    fn commit(&self, process: &Process<'_>) -> bool {
        process.committer.turn(self.at.get(), self.now, |batch, published| {
            let fresh = Arc::new(Fresh { batch, published });
            process.outboxes.iter().for_each(|outbox| outbox.put(Arc::clone(&fresh)));
        })
    }

    fn deliver(&self, process: &mut Process<'_>, sink: usize) -> bool {
        process.senders[sink].turn(&process.delivery, &process.notes, &|| self.at.get())
    }

    /// The service publishes its own points, as once a minute.
    fn tick(&mut self, process: &Process<'_>) {
        if self.own == 0 {
            return;
        }
        self.own -= 1;
        // Its sinks are served side by side. What fails then would depend on which comes first.
        let held = {
            let mut simulation = self.disk.0.lock().unwrap();
            let held = (simulation.fuse, simulation.faults);
            if self.sinks.len() > 1 && held.0 != Some(0) {
                (simulation.fuse, simulation.faults) = (None, 0);
            }
            held
        };
        let point = Point::new(OWN.into(), [], [("v".into(), Value::Int(0))], self.now);
        let header = Header {
            program: "model".into(),
            grid: "g".into(),
            time: self.now,
            tier: "raw".into(),
            database: String::new(),
            sinks: Default::default(),
        };
        let batch = Batch { header, points: vec![point] };
        process.delivery.publish(batch, vec![], &self.sinks, Instant::now() + Duration::from_secs(60), || {});
        if self.sinks.len() > 1 {
            let mut simulation = self.disk.0.lock().unwrap();
            (simulation.fuse, simulation.faults) = held;
        }
    }

    fn change_something(&mut self) {
        let moods = [Mood::Up, Mood::Up, Mood::Down, Mood::Mute, Mood::Breaks];
        let at = self.random.below(self.stores.len() as u64) as usize;
        *self.stores[at].mood.lock().unwrap() = moods[self.random.below(5) as usize];
        self.disk.0.lock().unwrap().percent = if self.random.one_in(6) { 99 } else { 50 };
    }

    /// One process from its start to its end; the last one serves until all is done.
    fn live(&mut self, is_last: bool) {
        let (spool, for_sinks) = (Spool::new(self.disk.clone()), Spool::new(self.disk.clone()));
        let limits = self.limits.clone();
        let outboxes: Vec<_> = self.stores.iter().map(|_| Outbox::new()).collect();
        let sinks: Vec<_> = self.stores.iter().map(|store| Shared(store.clone())).collect();
        let names = self.stores.iter().map(|store| store.name.to_string()).collect();
        let senders =
            sinks.iter().zip(&outboxes).map(|(sink, outbox)| Sender::new(sink, outbox, self.at.get())).collect();
        let mut process = Process {
            committer: Committer::new(spool, limits.clone(), "qmaster", "g", names),
            delivery: Delivery { spool: Ok(&for_sinks), config: &limits, running: 0, progress: &|_| {} },
            outboxes: &outboxes,
            senders,
            notes: Notes::default(),
        };
        if is_last {
            self.serve_to_the_end(&mut process);
            return;
        }
        {
            let mut simulation = self.disk.0.lock().unwrap();
            simulation.fuse = self.random.one_in(2).then(|| self.random.below(150));
            simulation.faults = if self.random.one_in(2) { 0 } else { 10 + self.random.below(60) };
        }
        for _ in 0..20 + self.random.below(60) {
            match self.random.below(16) {
                0..=5 => self.send(&process, false),
                6..=8 => drop(self.commit(&process)),
                9..=11 => {
                    let sink = self.random.below(self.stores.len() as u64) as usize;
                    self.deliver(&mut process, sink);
                }
                12..=13 => {
                    let milliseconds = [100, 600, 1_100, 30_000][self.random.below(4) as usize];
                    self.pass(milliseconds);
                }
                14 => self.change_something(),
                _ => self.tick(&process),
            }
            if self.disk.is_dead() {
                break;
            }
            self.hear(false);
        }
        if !self.disk.is_dead() && self.random.one_in(3) {
            self.end(&mut process);
        }
        self.hear(true);
        let power = self.random.one_in(3);
        self.figures.kills += usize::from(self.disk.is_dead());
        self.figures.power_failures += usize::from(power);
        drop(process);
        self.disk.restart(power);
    }

    /// The service is told to end.
    fn end(&mut self, process: &mut Process<'_>) {
        self.figures.ended += 1;
        process.committer.end();
        while self.commit(process) {}
        process.outboxes.iter().for_each(Outbox::end);
        for sink in 0..self.stores.len() {
            while self.deliver(process, sink) {}
        }
        let unanswered = |request: &&Request| request.answer.as_ref().is_some_and(|one| one.lock().unwrap().is_none());
        assert_eq!(self.requests.iter().filter(unanswered).count(), 0, "seed {}: taken, not answered", self.seed);
    }

    /// Everything works again: clients send what is not safe, sinks get what waits.
    fn serve_to_the_end(&mut self, process: &mut Process<'_>) {
        self.disk.0.lock().unwrap().percent = 50;
        self.stores.iter().for_each(|store| *store.mood.lock().unwrap() = Mood::Up);
        for round in 0.. {
            assert!(round < 1_000, "seed {}: it does not come to an end: {:#?}", self.seed, self.disk.files());
            self.send(process, true);
            self.commit(process);
            (0..self.stores.len()).for_each(|sink| {
                let _ = self.deliver(process, sink);
            });
            self.hear(false);
            let waits = self.disk.files().iter().any(|name| name.ends_with(".batch"));
            if !waits && self.requests.iter().all(|request| request.is_safe) {
                break;
            }
            self.pass(1_100);
            // What every sink has, and a fault left in the spool, goes with the next batch of the service itself.
            if round % 50 == 49 {
                self.own += 1;
                self.tick(process);
            }
        }
        self.end(process);
    }

    fn judge(&mut self) {
        let seed = self.seed;
        for store in &self.stores {
            let stored = store.points.lock().unwrap();
            let mut taken = BTreeMap::new();
            for request in &self.requests {
                for point in &request.points {
                    taken.insert(id(point), request.taken);
                    assert!(stored.contains_key(&id(point)), "seed {seed}: {} lost {}", store.name, point.series());
                }
            }
            for id in stored.keys() {
                assert!(taken.get(id).is_some_and(|taken| *taken > 0), "seed {seed}: {} invented {id}", store.name);
            }
            let doubled = store.doubled.lock().unwrap();
            let once: Vec<_> = doubled.iter().filter(|id| taken[id] == 1).map(|id| (id, stored[id])).collect();
            assert!(once.is_empty(), "seed {seed}: {} got again what was sent once: {once:?}", store.name);
        }
        self.figures.safe += self.next_id as usize;
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
    let least = |count: usize, of: u64| count as u64 >= of;
    assert!(least(figures.safe, schedules) && least(figures.kills, schedules / 4), "{figures:?}");
    assert!(least(figures.power_failures, schedules / 4) && least(figures.refused, schedules / 4), "{figures:?}");
}
