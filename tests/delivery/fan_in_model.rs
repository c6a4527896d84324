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

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use gridmon::delivery::Delivery;
use gridmon::frame::{Bounds, Committer, Fresh, Notes, Outbox, Sender};
use gridmon::listener::request::{Answer, Kept};
use gridmon::listener::series::Series;
use gridmon::model::{Point, Value};
use gridmon::sinks::{Sent, Sink};
use gridmon::sources::agents::Received;
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

    /// A client sends something new, or again what nobody has answered as safe.
    fn send(&mut self, process: &Process<'_>, only_again: bool) {
        let at = self.at.get();
        // Not everybody waits until he is told to.
        let waits = only_again || !self.random.one_in(4);
        let is_open =
            |request: &Request| !request.is_done && request.attempt.is_none() && (!waits || request.not_before <= at);
        let open: Vec<_> = (0..self.requests.len()).filter(|at| is_open(&self.requests[*at])).collect();
        let again = if open.is_empty() { None } else { Some(open[self.random.below(open.len() as u64) as usize]) };
        let at = match again {
            Some(at) if only_again || self.random.one_in(2) => at,
            _ if only_again => return,
            _ => {
                let request = self.request();
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.requests[at].attempt = Some(Attempt::default());
        self.go_on(at, process);
    }

    /// Receives a request up to where it must wait.
    fn go_on(&mut self, at: usize, process: &Process<'_>) {
        let now = self.at.get();
        let request = &mut self.requests[at];
        let Some(attempt) = &mut request.attempt else { return };
        while attempt.told.is_none() {
            if attempt.held.is_empty() {
                let Some(piece) = request.pieces.get(attempt.taken) else {
                    let answer = std::mem::take(&mut attempt.kept).answer(self.most_new);
                    return self.answered(at, &answer);
                };
                attempt.taken += 1;
                let received = Received { points: piece.clone(), ..Received::default() };
                let limit = (&self.series, self.most_new);
                (attempt.held, _) = attempt.kept.admit(received, request.client, limit, now);
                continue;
            }
            let told = Told::default();
            let tells = Arc::clone(&told);
            let done = Box::new(move |result| *tells.lock().unwrap() = Some(result));
            match process.committer.offer(attempt.held.clone(), done) {
                Ok(()) => {
                    attempt.offered = attempt.held.drain(..).map(|point| id(&point)).collect();
                    for id in &attempt.offered {
                        let times = self.taken.entry(*id).or_default();
                        self.figures.taken_again += usize::from(*times > 0);
                        *self.begun.entry(request.client).or_default() += u64::from(*times == 0);
                        *times += 1;
                    }
                    attempt.told = Some(told);
                }
                // A stream waits, and tries again.
                Err(_) if request.is_stream => return,
                Err(busy) => {
                    let answer = attempt.kept.unfinished(busy.why, busy.retry_after);
                    return self.answered(at, &answer);
                }
            }
        }
        let waiting = process.committer.committed().waiting;
        assert!(waiting <= self.bounds.waiting + PIECE, "seed {}: {waiting} points wait", self.seed);
        // One of its hours began before it did.
        let hours = 2 + now.duration_since(self.lives_since).as_secs() / 3600;
        let most = self.most_new.saturating_mul(hours);
        let is_few = self.begun.values().all(|begun| *begun <= most);
        assert!(is_few, "seed {}: {:?} new series in {hours} hours", self.seed, self.begun);
    }

    /// A client reads its answer.
    fn answered(&mut self, at: usize, answer: &Answer) {
        let request = &mut self.requests[at];
        request.attempt = None;
        request.is_done = answer.status == 204 || request.gives_up || request.is_stream;
        request.not_before = self.at.get() + Duration::from_secs(answer.retry_after.unwrap_or_default());
        match (answer.status, answer.retry_after) {
            (204, None) => return,
            (429, Some(600)) => self.figures.limited += 1,
            (503, Some(1)) => self.figures.busy += 1,
            (503, Some(5 | 30)) => self.figures.full += 1,
            _ => panic!("seed {}: {answer:?}", self.seed),
        }
        self.figures.partly += usize::from(answer.message.contains("points are kept"));
        self.figures.given_up += usize::from(request.gives_up);
    }

    /// What was offered is safe, or is not; its request goes on.
    fn hear(&mut self, process: &Process<'_>) {
        for at in 0..self.requests.len() {
            let request = &mut self.requests[at];
            let Some(attempt) = &mut request.attempt else { continue };
            let result = attempt.told.as_ref().map(|told| told.lock().unwrap().take());
            let points = std::mem::take(&mut attempt.offered);
            match result {
                Some(None) => {
                    attempt.offered = points;
                    continue;
                }
                Some(Some(Ok(()))) => {
                    attempt.kept.keep(points.len());
                    self.promised.extend(points);
                }
                Some(Some(Err(_))) if request.is_stream => {
                    let all = request.pieces.iter().flatten();
                    attempt.held = all.filter(|point| points.contains(&id(point))).cloned().collect();
                }
                Some(Some(Err(why))) => {
                    let answer = attempt.kept.unfinished(why, 30);
                    self.answered(at, &answer);
                    continue;
                }
                None => {}
            }
            attempt.told = None;
            self.go_on(at, process);
        }
    }

    /// The process is gone, and with it every connection.
    fn hang_up(&mut self) {
        for request in &mut self.requests {
            let Some(attempt) = request.attempt.take() else { continue };
            // What it said last was perhaps heard.
            if let Some(Ok(())) = attempt.told.and_then(|told| told.lock().unwrap().take()) {
                self.promised.extend(attempt.offered);
            }
            request.is_done = request.is_stream;
        }
        self.begun.clear();
    }

    fn commit(&self, process: &Process<'_>) -> bool {
        let goes_on = process.committer.turn(self.at.get(), self.now, |batch, published| {
            let count = batch.points.len();
            assert!(count < self.bounds.in_batch + PIECE, "seed {}: a batch of {count} points", self.seed);
            let fresh = Arc::new(Fresh { batch, published });
            process.outboxes.iter().for_each(|outbox| outbox.put(Arc::clone(&fresh)));
        });
        let simulation = self.disk.0.lock().unwrap();
        let batches = simulation.names.iter().filter(|(name, _)| name.ends_with(".batch"));
        let bytes: usize = batches.map(|(_, inode)| simulation.inodes[*inode].bytes.len()).sum();
        assert!(bytes as u64 <= self.limits.max_bytes, "seed {}: {bytes} bytes in the spool", self.seed);
        goes_on
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
        self.lives_since = self.at.get();
        // Which series it knows outlives it, unless the file of them is lost.
        if self.random.one_in(2) {
            self.series = Series::default();
        }
        let mut process = Process {
            committer: Committer::new(spool, limits.clone(), "qmaster", "g", names).bounded(self.bounds),
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
            self.hear(&process);
        }
        if !self.disk.is_dead() && self.random.one_in(3) {
            self.end(&mut process);
        }
        self.hang_up();
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
        let told = self.requests.iter().filter_map(|request| request.attempt.as_ref()?.told.as_ref());
        let unanswered = told.filter(|told| told.lock().unwrap().is_none()).count();
        assert_eq!(unanswered, 0, "seed {}: taken, not answered", self.seed);
    }

    /// Everything works again: clients send what is not safe, sinks get what waits.
    fn serve_to_the_end(&mut self, process: &mut Process<'_>) {
        self.disk.0.lock().unwrap().percent = 50;
        self.stores.iter().for_each(|store| *store.mood.lock().unwrap() = Mood::Up);
        for round in 0.. {
            assert!(round < 5_000, "seed {}: it does not come to an end: {:#?}", self.seed, self.disk.files());
            self.send(process, true);
            self.commit(process);
            (0..self.stores.len()).for_each(|sink| {
                let _ = self.deliver(process, sink);
            });
            self.hear(process);
            let waits = self.disk.files().iter().any(|name| name.ends_with(".batch"));
            if !waits && self.requests.iter().all(|request| request.is_done) {
                break;
            }
            // Nothing happens before the first of those that were told to come back later does.
            let open = self.requests.iter().filter(|request| !request.is_done);
            let is_idle = !waits && open.clone().all(|request| request.attempt.is_none());
            let first = open.map(|request| request.not_before).min().filter(|_| is_idle);
            let later = first.map_or(0, |first| first.saturating_duration_since(self.at.get()).as_millis() as u64);
            self.pass(later.max(1_100));
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
