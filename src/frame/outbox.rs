//! Sends to a sink what has just been published, from memory, and what waits in the spool when it is back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::delivery::{Delivery, replay_to};
use crate::model::Dropped;
use crate::problem::{Problem, Subject};
use crate::sinks::Sink;
use crate::spool::{Batch, Disk, Published};

/// A batch that this process has published and still holds in memory.
pub struct Fresh<C> {
    /// The batch.
    pub batch: Batch,
    /// Keeps others from sending it.
    pub published: Published<C>,
}

/// What has been published and waits in memory for one sink.
pub struct Outbox<C> {
    state: Mutex<Waiting<C>>,
    changed: Condvar,
}

struct Waiting<C> {
    fresh: VecDeque<Arc<Fresh<C>>>,
    points: usize,
    /// Whether something of the spool is not in `fresh`.
    is_behind: bool,
    is_ending: bool,
}

/// The most points that wait in memory for one sink. Beyond them they wait in the spool alone.
const MOST_FRESH: usize = 100_000;

impl<C> Default for Outbox<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Outbox<C> {
    /// Creates an empty one.
    pub fn new() -> Self {
        // What an earlier process left waits from the beginning.
        let state = Waiting { fresh: VecDeque::new(), points: 0, is_behind: true, is_ending: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, Waiting<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a batch. Beyond what fits into memory it waits in the spool alone.
    pub fn put(&self, fresh: Arc<Fresh<C>>) {
        let mut state = self.state();
        if state.points > MOST_FRESH {
            state.is_behind = true;
        } else {
            state.points += fresh.batch.points.len();
            state.fresh.push_back(fresh);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more comes.
    pub fn end(&self) {
        self.state().is_ending = true;
        self.changed.notify_all();
    }

    /// Leaves everything to the spool.
    fn leave(&self) {
        let mut state = self.state();
        (state.points, state.is_behind) = (0, true);
        let fresh = std::mem::take(&mut state.fresh);
        drop(state);
        drop(fresh);
    }
}

/// How long a sink may take for one batch.
pub(super) const FOR_SINK: Duration = Duration::from_secs(30);

/// How long waiting batches are sent before it is the turn of fresh ones again.
const FOR_REPLAY: Duration = Duration::from_secs(2);

/// How long a sink that failed is left alone: at first, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How often it is looked whether something waits, though nothing says so.
const REPLAY_ANYWAY: Duration = Duration::from_secs(20);

/// What the threads found that the next report must say.
#[derive(Default)]
pub struct Notes {
    /// By sink; empty lists of those that work.
    problems: Mutex<BTreeMap<String, Vec<Problem>>>,
    dropped: Mutex<Vec<Dropped>>,
}

impl Notes {
    fn set(&self, sink: &str, problems: Vec<Problem>) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).insert(sink.into(), problems);
    }

    fn drop_points(&self, dropped: Vec<Dropped>) {
        let mut all = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        // Each is named in the report; memory must not grow with a sink that refuses everything.
        let room = 10_000_usize.saturating_sub(all.len());
        all.extend(dropped.into_iter().take(room));
    }

    /// Returns what is wrong with the sinks now.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// Returns the points that were dropped since this was called last.
    pub fn take_dropped(&self) -> Vec<Dropped> {
        std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends to one sink.
pub struct Sender<'a, D: Disk> {
    sink: &'a dyn Sink,
    outbox: &'a Outbox<D::Claim>,
    /// How long the sink is left alone when it fails next.
    pause: Duration,
    /// Until when it is left alone.
    not_before: Instant,
    /// When what waits was sent last.
    replayed: Instant,
}

impl<'a, D: Disk<Claim: Send + Sync>> Sender<'a, D> {
    /// Begins to send at `now`.
    pub fn new(sink: &'a dyn Sink, outbox: &'a Outbox<D::Claim>, now: Instant) -> Self {
        Self { sink, outbox, pause: PAUSE, not_before: now, replayed: now }
    }

    /// Sends what is published, until the service ends.
    pub fn work(&mut self, delivery: &Delivery<'_, D>, notes: &Notes) {
        loop {
            let not_before = self.not_before;
            let is_idle = |state: &mut Waiting<D::Claim>| {
                state.fresh.is_empty() && !state.is_ending && !(state.is_behind && not_before <= Instant::now())
            };
            drop(self.outbox.changed.wait_timeout_while(self.outbox.state(), PAUSE, is_idle));
            if !self.turn(delivery, notes, &Instant::now) {
                return;
            }
        }
    }

    /// Sends the oldest fresh batch, then what waits in the spool if something does. Returns `false` once the service ends
    /// and no fresh batch is left, or the sink is down.
    pub fn turn(&mut self, delivery: &Delivery<'_, D>, notes: &Notes, clock: &dyn Fn() -> Instant) -> bool {
        let mut state = self.outbox.state();
        let is_down = clock() < self.not_before;
        let fresh = if is_down { None } else { state.fresh.pop_front() };
        if let Some(fresh) = &fresh {
            state.points -= fresh.batch.points.len();
        }
        let is_behind = state.is_behind || clock().saturating_duration_since(self.replayed) > REPLAY_ANYWAY;
        if state.is_ending && fresh.is_none() {
            return false;
        }
        drop(state);
        if is_down {
            self.outbox.leave();
            return true;
        }
        if fresh.is_none() && !is_behind {
            return true;
        }
        let (mut problems, mut has_failed) = (Vec::new(), false);
        if let Some(fresh) = fresh {
            match delivery.send_published(self.sink, &fresh.batch, &fresh.published, clock() + FOR_SINK) {
                Ok(sent) => {
                    notes.drop_points(sent.dropped);
                    problems.extend(sent.problems);
                }
                Err(error) => {
                    has_failed = true;
                    let message = format!("{error:#}; what it lacks waits in the spool");
                    problems.push(Problem::new(Subject::Sink(self.sink.name().into()), message));
                    problems.push(Problem::unasked(replay_to(self.sink)));
                }
            }
        }
        if !has_failed && is_behind {
            self.outbox.state().is_behind = false;
            let began = clock();
            let replay = delivery.replay(self.sink, began + FOR_REPLAY, false);
            self.replayed = clock();
            has_failed = !replay.problems.is_empty();
            let is_cut = self.replayed.saturating_duration_since(began) >= FOR_REPLAY;
            self.outbox.state().is_behind |= has_failed || is_cut;
            notes.drop_points(replay.dropped);
            problems.extend(replay.is_untried.then(|| Problem::unasked(replay_to(self.sink))));
            problems.extend(replay.problems);
        }
        notes.set(self.sink.name(), problems);
        if has_failed {
            (self.not_before, self.pause) = (clock() + self.pause, (self.pause * 2).min(LONGEST_PAUSE));
            self.outbox.leave();
        } else {
            self.pause = PAUSE;
        }
        true
    }
}
