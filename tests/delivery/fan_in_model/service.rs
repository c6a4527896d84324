//! What the service does: it commits, delivers, publishes points of its own, and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gridmon::delivery::Delivery;
use gridmon::frame::{Committer, Fresh, Notes, Outbox, Sender};
use gridmon::listener::series::Series;
use gridmon::model::{Point, Value};
use gridmon::spool::{Batch, Header, Spool};

use super::store::{Mood, OWN, Shared};
use super::{PIECE, Process, World};

impl World {
    pub(super) fn commit(&self, process: &Process<'_>) -> bool {
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

    pub(super) fn deliver(&self, process: &mut Process<'_>, sink: usize) -> bool {
        process.senders[sink].turn(&process.delivery, &process.notes, &|| self.at.get())
    }

    /// The service publishes its own points, as once a minute.
    pub(super) fn tick(&mut self, process: &Process<'_>) {
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

    pub(super) fn change_something(&mut self) {
        let moods = [Mood::Up, Mood::Up, Mood::Down, Mood::Mute, Mood::Breaks];
        let at = self.random.below(self.stores.len() as u64) as usize;
        *self.stores[at].mood.lock().unwrap() = moods[self.random.below(5) as usize];
        self.disk.0.lock().unwrap().percent = if self.random.one_in(6) { 99 } else { 50 };
    }

    /// One process from its start to its end; the last one serves until all is done.
    pub(super) fn live(&mut self, is_last: bool) {
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
    pub(super) fn end(&mut self, process: &mut Process<'_>) {
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
    pub(super) fn serve_to_the_end(&mut self, process: &mut Process<'_>) {
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
}
