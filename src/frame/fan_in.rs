//! Runs a service to which others send points: it acknowledges only what is in the spool.
//!
//! Whoever receives points offers them to the [`Committer`] and hears when they are safe. One thread publishes: all that was
//! offered while the last batch was on its way to the disk becomes the next one, so that any number of requests shares two
//! flushes. What is published is handed to a thread of each sink, which sends it at once; what a sink does not take waits in
//! the spool alone, and is replayed when the sink is back. Near the limits of the spool nothing is accepted any more: what was
//! acknowledged is never dropped to make room for what is not.
//!
//! Once per interval the service publishes its own points and its report as every service does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;

use super::gather::common;
use super::log::{self, Level};
use super::output::{complain, say};
use super::own;
use super::process::exit_code;
use super::publish::publish;
use super::session::{Kind, Program, Session, Setup};
use super::watchdog::{FirstSignal, Watchdog};
use crate::delivery::{self, Delivery};
use crate::model::{Collected, Dropped, Point, Tier, merge};
use crate::os::files::host_name;
use crate::os::work::catch;
use crate::problem::{Problem, Repeat, Subject};
use crate::sinks::Sink;
use crate::spool::{self, Batch, Directory, Disk, Header, Published, Spool};

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

/// The most points that wait for their batch. More are not accepted until it is published.
const MOST_WAITING: usize = 200_000;

/// The most points of one batch, so that no sink gets more at once than it can take in time.
const MOST_IN_BATCH: usize = 50_000;

/// How full the spool may be for more to be accepted, in percent of `[spool] max_bytes`.
const FULL_PERCENT: u64 = 90;

/// How often it is looked how full the spool is.
const LOOK: Duration = Duration::from_secs(1);

/// When to try again while the spool is full, in seconds.
const RETRY_FULL: u64 = 30;

/// Publishes what others offer.
pub struct Committer<D: Disk = Directory> {
    spool: Spool<D>,
    limits: spool::Config,
    /// What each batch says of itself, but for its time.
    header: Header,
    /// For how long the machine has been running, in seconds.
    running: Mutex<i64>,
    state: Mutex<Offered>,
    changed: Condvar,
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

/// A batch that this process has published and still holds in memory.
struct Fresh<C> {
    batch: Batch,
    published: Published<C>,
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
        let (running, state, changed) = Default::default();
        Self { spool, limits, header, running, state, changed }
    }

    fn state(&self) -> MutexGuard<'_, Offered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        if state.points > MOST_WAITING {
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
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                self.look();
                looked = Some(Instant::now());
            }
            let state = self.state();
            let is_idle = |state: &mut Offered| state.offers.is_empty() && !state.is_ending;
            let waited = self.changed.wait_timeout_while(state, LOOK, is_idle);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let (mut points, mut dones) = (Vec::new(), Vec::new());
            while points.len() < MOST_IN_BATCH
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
            let is_ending = state.is_ending;
            drop(state);
            match (dones.is_empty(), is_ending) {
                (true, true) => return,
                (true, false) => {}
                (false, _) => self.commit(points, dones, now(), &mut published),
            }
        }
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
        let made = catch(|| {
            batch.points.iter_mut().for_each(|point| self.spool.declare(point));
            if batch.points.is_empty() { Ok(None) } else { self.spool.publish_of_others(&batch, running).map(Some) }
        });
        match made.flatten() {
            Ok(made) => {
                dones.into_iter().for_each(|done| done(Ok(())));
                let mut state = self.state();
                state.published += offered;
                state.batches += 1;
                drop(state);
                if let Some(made) = made {
                    published(batch, made);
                }
            }
            Err(error) => {
                let why = format!("the spool took nothing: {error:#}");
                self.state().full = Some(why.clone());
                dones.into_iter().for_each(|done| done(Err(why.clone())));
            }
        }
    }

    /// Looks how full spool and disk are.
    fn look(&self) {
        let mut bytes = 0;
        let full = match self.spool.has_room(&self.limits) {
            Err(error) => Some(format!("{error:#}")),
            Ok(()) => match self.spool.entries(|entry| bytes += entry.bytes) {
                Err(error) => Some(format!("{error:#}")),
                Ok(()) if u128::from(bytes) * 100 > u128::from(self.limits.max_bytes) * u128::from(FULL_PERCENT) => {
                    Some(format!(
                        "{bytes} bytes wait in the spool for sinks, and [spool] max_bytes is {}",
                        self.limits.max_bytes
                    ))
                }
                Ok(()) => None,
            },
        };
        self.state().full = full;
    }
}

/// What has been published and waits in memory for one sink.
struct Outbox<C> {
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

impl<C> Outbox<C> {
    fn new() -> Self {
        // What an earlier process left waits from the beginning.
        let state = Waiting { fresh: VecDeque::new(), points: 0, is_behind: true, is_ending: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, Waiting<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, fresh: Arc<Fresh<C>>) {
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

    fn end(&self) {
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
const FOR_SINK: Duration = Duration::from_secs(30);

/// How long waiting batches are sent before it is the turn of fresh ones again.
const FOR_REPLAY: Duration = Duration::from_secs(2);

/// How long a sink that failed is left alone: at first, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How often it is looked whether something waits, though nothing says so.
const REPLAY_ANYWAY: Duration = Duration::from_secs(20);

/// What the threads found that the next report must say.
#[derive(Default)]
struct Notes {
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
}

/// Sends to one sink what is published, until the service ends.
fn send_to_sink<D: Disk<Claim: Send + Sync>>(
    sink: &dyn Sink,
    outbox: &Outbox<D::Claim>,
    delivery: &Delivery<'_, D>,
    notes: &Notes,
) {
    let (mut pause, mut not_before, mut replayed) = (PAUSE, Instant::now(), Instant::now());
    loop {
        let mut state = outbox.state();
        let is_idle = |state: &mut Waiting<D::Claim>| {
            state.fresh.is_empty() && !state.is_ending && !(state.is_behind && not_before <= Instant::now())
        };
        state = outbox.changed.wait_timeout_while(state, PAUSE, is_idle).unwrap_or_else(PoisonError::into_inner).0;
        let is_down = Instant::now() < not_before;
        let fresh = if is_down { None } else { state.fresh.pop_front() };
        if let Some(fresh) = &fresh {
            state.points -= fresh.batch.points.len();
        }
        let is_behind = state.is_behind || replayed.elapsed() > REPLAY_ANYWAY;
        if state.is_ending && (fresh.is_none() || is_down) {
            return;
        }
        drop(state);
        if is_down {
            outbox.leave();
            continue;
        }
        if fresh.is_none() && !is_behind {
            continue;
        }
        let (mut problems, mut has_failed) = (Vec::new(), false);
        if let Some(fresh) = fresh {
            match delivery.send_published(sink, &fresh.batch, &fresh.published, Instant::now() + FOR_SINK) {
                Ok(sent) => {
                    notes.drop_points(sent.dropped);
                    problems.extend(sent.problems);
                }
                Err(error) => {
                    has_failed = true;
                    let message = format!("{error:#}; what it lacks waits in the spool");
                    problems.push(Problem::new(Subject::Sink(sink.name().into()), message));
                }
            }
        }
        if !has_failed && is_behind {
            outbox.state().is_behind = false;
            let began = Instant::now();
            let replay = delivery.replay(sink, began + FOR_REPLAY, false);
            replayed = Instant::now();
            has_failed = !replay.problems.is_empty();
            outbox.state().is_behind |= has_failed || began.elapsed() >= FOR_REPLAY;
            notes.drop_points(replay.dropped);
            problems.extend(replay.problems);
        }
        notes.set(sink.name(), problems);
        if has_failed {
            (not_before, pause) = (Instant::now() + pause, (pause * 2).min(LONGEST_PAUSE));
            outbox.leave();
        } else {
            pause = PAUSE;
        }
    }
}

/// What a config asks of the service.
pub struct Intake<C> {
    /// The parts that the frame needs.
    pub setup: Setup,
    /// Where the service logs.
    pub logging: log::Config,
    /// What of the config is left out; each is said once.
    pub warnings: Vec<String>,
    /// What whoever receives the points needs.
    pub config: C,
}

/// Who receives the points.
pub struct Receiving {
    /// What it listens to, for a message.
    pub description: String,
    /// Accepts no more connections, and returns when what was received has been offered, or after a few seconds.
    pub stop: Box<dyn FnOnce()>,
    /// Returns what it had to refuse since it was asked last.
    pub problems: Box<dyn FnMut() -> Vec<Problem>>,
}

/// Runs the service until it is told to end: `load` reads the config, `receive` begins to receive points, `ready` is called
/// once it does.
pub fn fan_in<C>(
    program: &'static Program,
    config: Option<&Path>,
    load: impl FnOnce(Option<&Path>) -> Result<Intake<C>>,
    receive: impl FnOnce(C, Arc<Committer>) -> Result<Receiving>,
    ready: impl FnOnce(),
) -> ExitCode {
    exit_code(program.name, || {
        let watchdog = Watchdog::start(program.name, FirstSignal::Ends, Duration::from_secs(program.deadline_seconds));
        watchdog.names(Some("reading the config"));
        let intake = match load(config) {
            Ok(intake) => intake,
            Err(error) => {
                say(Level::Error, program.name, &[format!("{error:#}")]);
                return ExitCode::from(2);
            }
        };
        watchdog.names(Some("opening the state and the port"));
        match serve(program, config, intake, receive, watchdog, ready) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(Level::Error, program.name, &[format!("{error:#}")]);
                ExitCode::FAILURE
            }
        }
    })
}

fn serve<C>(
    program: &'static Program,
    config: Option<&Path>,
    intake: Intake<C>,
    receive: impl FnOnce(C, Arc<Committer>) -> Result<Receiving>,
    watchdog: &'static Watchdog,
    ready: impl FnOnce(),
) -> Result<()> {
    watchdog.on_first_signal(FirstSignal::Asks);
    let Intake { setup, logging, warnings, config: receives } = intake;
    // A service that receives and cannot log is better than one that does neither.
    if let Err(error) = log::open(&logging) {
        complain(program.name, &[format!("{error:#}; nothing is logged there")]);
    }
    complain(program.name, &warnings);
    let (scope, limits, catalog) = (setup.scope.clone(), setup.spool.clone(), setup.catalog);
    let now = Timestamp::now().as_second();
    let Some(session) = Session::open(program, &common(config), now, Kind::Service, setup)? else {
        bail!("another {} runs for {scope} already; end it first", program.name);
    };
    let spool = delivery::open(&session.directory, catalog).context("the spool")?;
    let sinks = (session.setup.sinks)(&session.directory);
    let names = sinks.iter().map(|sink| sink.name().to_string()).collect();
    let committer = Arc::new(Committer::new(spool, limits.clone(), program.name, &scope, names));
    *committer.running.lock().unwrap_or_else(PoisonError::into_inner) = session.steady.running;
    let for_sinks = delivery::open(&session.directory, catalog).context("the spool")?;
    let delivery =
        Delivery { spool: Ok(&for_sinks), config: &limits, running: session.steady.running, progress: &|_| {} };
    let (outboxes, notes): (Vec<_>, _) = (sinks.iter().map(|_| Outbox::new()).collect(), Notes::default());
    thread::scope(|threads| {
        let senders: Vec<_> = sinks.iter().zip(&outboxes).collect();
        for (sink, outbox) in senders {
            let (sink, delivery, notes) = (sink.as_ref(), &delivery, &notes);
            threads.spawn(move || send_to_sink(sink, outbox, delivery, notes));
        }
        let (commits, hands_out) = (Arc::clone(&committer), &outboxes);
        let commit = threads.spawn(move || {
            commits.work(
                || Timestamp::now().as_second(),
                |batch, published| {
                    let fresh = Arc::new(Fresh { batch, published });
                    hands_out.iter().for_each(|outbox| outbox.put(Arc::clone(&fresh)));
                },
            );
        });
        let served = receive(receives, Arc::clone(&committer)).map(|mut receiving| {
            watchdog.names(None);
            ready();
            say(Level::Info, program.name, &[receiving.description.clone()]);
            run_ticks(session, &committer, &notes, &mut receiving, watchdog);
            (receiving.stop)();
        });
        committer.end();
        let committed = commit.join().map_err(|_| anyhow!("what was received last could not be published"));
        outboxes.iter().for_each(Outbox::end);
        served.and(committed)
    })?;
    say(
        Level::Info,
        program.name,
        &["was told to end; all that it acknowledged is in the spool or with the sinks".into()],
    );
    Ok(())
}

/// How long a tick may take in all.
const FOR_TICK: Duration = Duration::from_secs(180);

/// Publishes the service's own points once per interval, until it is told to end.
fn run_ticks(
    mut session: Session,
    committer: &Committer,
    notes: &Notes,
    receiving: &mut Receiving,
    watchdog: &'static Watchdog,
) {
    let mut last = committer.committed();
    loop {
        watchdog.expect_end(Some((Instant::now() + FOR_TICK, FOR_TICK)));
        let interval = Duration::from_secs(session.interval_seconds() as u64);
        session.begin(Timestamp::now().as_second(), Instant::now());
        *committer.running.lock().unwrap_or_else(PoisonError::into_inner) = session.steady.running;
        session.problems.extend((receiving.problems)());
        let of_sinks: Vec<Vec<Problem>> =
            notes.problems.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let now = committer.committed();
        let received = now.points - last.points;
        last = now;
        let scope = session.setup.scope.clone();
        let mut points = own::points(session.time, (&scope, &host_name(), session.program.name), &BTreeMap::new());
        points.push(own::received(session.time, (&scope, &host_name(), session.program.name), received, now.batches));
        let until = Instant::now() + (interval / 2).min(FOR_SINK);
        let dropped = publish(&mut session, Collected { points, ..Collected::default() }, until);
        let known: BTreeSet<_> = session.problems.iter().map(|problem| problem.subject.clone()).collect();
        session.problems.extend(of_sinks.into_iter().flatten().filter(|problem| !known.contains(&problem.subject)));
        let mut all = std::mem::take(&mut *notes.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        all.extend(dropped);
        session.note_dropped(&all, false);
        if let Some(why) = committer.full() {
            session.problems.push(Problem::new(Subject::SpoolLimit, format!("nothing is accepted now: {why}")));
        }
        let (_, lines) = session.conclude(false, Repeat::Never);
        complain(session.program.name, &lines);
        let next = session.slot(session.now) + session.interval_seconds() - Timestamp::now().as_second();
        if watchdog.is_told_to_end(Duration::from_secs(next.clamp(1, session.interval_seconds()) as u64)) {
            watchdog.expect_end(Some((Instant::now() + FOR_TICK, FOR_TICK)));
            return;
        }
    }
}
