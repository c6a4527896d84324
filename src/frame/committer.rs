//! Group commit: what many offer becomes one batch, and each of them hears when it is safe.
//!
//! One thread turns the [`Committer`]: all that was offered while the last batch was on its way to the disk becomes the next
//! one. Near the limits of the spool nothing is accepted any more: what was acknowledged is never dropped to make room for
//! what is not. To know how full the spool is it is not listed again and again: what was published since it was listed last
//! is added, and only near the limit, where that sum may be too high, it is listed anew.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::model::{Point, Tier, merge};
use crate::os::work::catch;
use crate::spool::{self, Batch, Directory, Disk, Header, NoRoom, Published, Spool};

/// Called when the points of an offer are safe, or with the reason why they are not.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Why points are not accepted now, and after how many seconds to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The reason.
    pub why: String,
    /// In seconds.
    pub retry_after: u64,
}

/// How much a [`Committer`] takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many points may wait for their batch before no more are accepted until it is published.
    pub waiting: usize,
    /// At how many points a batch is closed, so that no sink gets more at once than it can take in time.
    pub in_batch: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { waiting: 200_000, in_batch: 50_000 }
    }
}

/// How full the spool may be with what others sent, in percent of `[spool] max_bytes`. The rest is for the service's own
/// batches, so that the spool's limit, which drops, is not reached.
const FULL_PERCENT: u64 = 90;

/// From how much on, in percent of what it may hold, it is looked exactly how full the spool is.
const NEARLY_PERCENT: u64 = 80;

/// How often it is looked whether disk and spool have room.
const LOOK: Duration = Duration::from_secs(1);

/// How often the spool is listed, though it cannot be near its limit: other programs use it too.
const LIST_ANYWAY: Duration = Duration::from_secs(60);

/// The least time between two lists of the spool, as a multiple of what the last one took.
const LIST_AT_MOST: u32 = 20;

/// When to try again while the spool is full, in seconds.
const RETRY_FULL: u64 = 30;

/// Publishes what others offer.
pub struct Committer<D: Disk = Directory> {
    spool: Spool<D>,
    limits: spool::Config,
    bounds: Bounds,
    /// What each batch says of itself, but for its time.
    header: Header,
    /// For how long the machine has been running, in seconds.
    running: Mutex<i64>,
    state: Mutex<Offered>,
    changed: Condvar,
    filled: Mutex<Filled>,
}

/// What has been offered and is not published.
#[derive(Default)]
struct Offered {
    offers: VecDeque<(Vec<Point>, Done)>,
    points: usize,
    /// Why nothing more is accepted.
    full: Option<String>,
    is_ending: bool,
    published: u64,
    batches: u64,
}

/// How full the spool is.
#[derive(Clone, Copy, Debug, Default)]
struct Filled {
    /// The bytes when it was listed last, and what was published since: never less than there are.
    bytes: u64,
    /// When disk and spool were looked at last.
    looked: Option<Instant>,
    /// When it was listed last, and how long that took.
    listed: Option<(Instant, Duration)>,
}

/// What a service has published since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The points.
    pub points: u64,
    /// The batches.
    pub batches: u64,
    /// The points that wait for a batch now.
    pub waiting: usize,
}

impl<D: Disk> Committer<D> {
    /// Creates the committer of a spool. `sinks` are those that must acknowledge a batch.
    pub fn new(spool: Spool<D>, limits: spool::Config, program: &str, scope: &str, sinks: BTreeSet<String>) -> Self {
        let header = Header {
            program: program.into(),
            grid: scope.into(),
            time: 0,
            tier: Tier::Raw.name().into(),
            database: String::new(),
            sinks,
        };
        let (bounds, running, state, changed, filled) = Default::default();
        Self { spool, limits, bounds, header, running, state, changed, filled }
    }

    /// Sets how much it takes at once.
    #[must_use]
    pub fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    fn state(&self) -> MutexGuard<'_, Offered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets for how long the machine has been running, in seconds.
    pub fn set_running(&self, running: i64) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Offers points. `done` is called once they are safe, or could not be made safe.
    ///
    /// # Errors
    /// Fails if nothing can be accepted now; `done` is then never called.
    pub fn offer(&self, points: Vec<Point>, done: Done) -> Result<(), Busy> {
        let mut state = self.state();
        if let Some(why) = &state.full {
            return Err(Busy { why: why.clone(), retry_after: RETRY_FULL });
        }
        if state.is_ending {
            return Err(Busy { why: "the service is about to end".into(), retry_after: 5 });
        }
        if state.points > self.bounds.waiting {
            return Err(Busy { why: format!("{} points wait for the disk", state.points), retry_after: 1 });
        }
        state.points += points.len();
        state.offers.push_back((points, done));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Returns why nothing is accepted now; `None` if all is well.
    pub fn full(&self) -> Option<String> {
        self.state().full.clone()
    }

    /// Returns what has been published.
    pub fn committed(&self) -> Committed {
        let state = self.state();
        Committed { points: state.published, batches: state.batches, waiting: state.points }
    }

    /// Accepts nothing more; [`Committer::work`] returns once all that was offered is published.
    pub fn end(&self) {
        self.state().is_ending = true;
        self.changed.notify_all();
    }

    /// Publishes what is offered, until [`Committer::end`]. Calls `published` with each batch. `now` is the wall clock, in
    /// unix seconds.
    pub fn work(&self, now: impl Fn() -> i64, mut published: impl FnMut(Batch, Published<D::Claim>)) {
        loop {
            let is_idle = |state: &mut Offered| state.offers.is_empty() && !state.is_ending;
            drop(self.changed.wait_timeout_while(self.state(), LOOK, is_idle));
            if !self.turn(Instant::now(), now(), &mut published) {
                return;
            }
        }
    }

    /// Publishes one batch of what is offered now, if anything is. Returns `false` once the service ends and nothing is left.
    /// `at` is the time by a clock that nobody sets, `now` the wall clock in unix seconds.
    pub fn turn(&self, at: Instant, now: i64, mut published: impl FnMut(Batch, Published<D::Claim>)) -> bool {
        self.look(at);
        let mut state = self.state();
        let (mut points, mut dones) = (Vec::new(), Vec::new());
        while points.len() < self.bounds.in_batch
            && let Some((some, done)) = state.offers.pop_front()
        {
            state.points -= some.len();
            if points.is_empty() {
                points = some
            } else {
                points.extend(some)
            }
            dones.push(done);
        }
        let (is_ending, full) = (state.is_ending, state.full.clone());
        drop(state);
        if let Some(why) = full {
            // It was offered while there was room.
            let has_refused = !dones.is_empty();
            dones.into_iter().for_each(|done| done(Err(why.clone())));
            return has_refused || !is_ending;
        }
        if !dones.is_empty() {
            self.commit(points, dones, now, &mut published);
            return true;
        }
        !is_ending
    }

    fn commit(
        &self,
        points: Vec<Point>,
        dones: Vec<Done>,
        now: i64,
        published: &mut impl FnMut(Batch, Published<D::Claim>),
    ) {
        let offered = points.len() as u64;
        let mut batch = Batch { header: Header { time: now, ..self.header.clone() }, points: merge(points) };
        let running = *self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.most_bytes().saturating_sub(self.filled().bytes);
        let made = catch(|| {
            batch.points.iter_mut().for_each(|point| self.spool.declare(point));
            if batch.points.is_empty() {
                Ok(None)
            } else {
                self.spool.publish_of_others(&batch, running, room).map(Some)
            }
        });
        match made.flatten() {
            Ok(made) => {
                self.filled().bytes += made.as_ref().map_or(0, |made| made.entry.bytes);
                // Counted first: who hears that it is safe may ask at once how much is.
                let mut state = self.state();
                state.published += offered;
                state.batches += 1;
                drop(state);
                dones.into_iter().for_each(|done| done(Ok(())));
                if let Some(made) = made {
                    published(batch, made);
                }
            }
            Err(error) => {
                let why = if error.is::<NoRoom>() {
                    self.too_full(self.filled().bytes)
                } else {
                    format!("the spool took nothing: {error:#}")
                };
                self.state().full = Some(why.clone());
                // A file may be there though it could not be made safe.
                self.filled().listed = None;
                dones.into_iter().for_each(|done| done(Err(why.clone())));
            }
        }
    }

    fn filled(&self) -> MutexGuard<'_, Filled> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many bytes the spool may have for more to be accepted.
    fn most_bytes(&self) -> u64 {
        u64::try_from(u128::from(self.limits.max_bytes) * u128::from(FULL_PERCENT) / 100).unwrap_or(u64::MAX)
    }

    fn too_full(&self, bytes: u64) -> String {
        format!("{bytes} bytes wait in the spool for sinks, and [spool] max_bytes is {}", self.limits.max_bytes)
    }

    /// Looks how full spool and disk are, if that has not just been done.
    fn look(&self, at: Instant) {
        let Filled { looked, listed, .. } = *self.filled();
        if listed.is_some() && looked.is_some_and(|looked| at.saturating_duration_since(looked) < LOOK) {
            return;
        }
        self.filled().looked = Some(at);
        let looked = self.spool.has_room(&self.limits).and_then(|()| self.bytes(at));
        let full = match looked {
            Err(error) => Some(format!("{error:#}")),
            Ok(bytes) => (bytes >= self.most_bytes()).then(|| self.too_full(bytes)),
        };
        self.state().full = full;
    }

    /// Returns at least as many bytes as there are in the spool; exactly as many if that may be near the limit.
    fn bytes(&self, at: Instant) -> Result<u64> {
        let Filled { bytes, listed, .. } = *self.filled();
        let is_near = u128::from(bytes) * 100 >= u128::from(self.most_bytes()) * u128::from(NEARLY_PERCENT);
        let must_list = listed.is_none_or(|(listed, took)| {
            let since = at.saturating_duration_since(listed);
            since >= LIST_ANYWAY || is_near && since >= took * LIST_AT_MOST
        });
        if !must_list {
            return Ok(bytes);
        }
        let (began, mut bytes) = (Instant::now(), 0);
        self.spool.entries(|entry| bytes += entry.bytes)?;
        let mut filled = self.filled();
        (filled.bytes, filled.listed) = (bytes, Some((at, began.elapsed())));
        Ok(bytes)
    }
}
