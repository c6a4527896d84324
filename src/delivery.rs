//! Delivers the points of a run to its sinks: spools, sends and acknowledges them, and accounts for every point.
//!
//! The run's own batch goes first, to all sinks in parallel. Each sink that acknowledged it then gets its backlog: the
//! oldest batch first, from one program at a time, at most at the configured speed, until the deadline. A sink that keeps
//! no value older than one it has gets its backlog first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::model::{Catalog, Dropped, Point, utc};
use crate::os::files::is_foreign;
use crate::os::work::{catch, side_by_side};
use crate::problem::{Problem, Subject};
use crate::sinks::{ClosedPlace, NeverTaken, Sent, Sink};
use crate::spool::{self, Backlog, Batch, Directory, Disk, Entry, Header, Published, Spool, Superseded, Unreadable};

/// The number of a run's points by their fate at one sink: collected = delivered + spooled + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Acknowledged by the sink.
    pub delivered: usize,
    /// Not acknowledged yet, but safe in the spool.
    pub spooled: usize,
    /// Dropped and reported by name: invalid, rejected, refused for good, or neither acknowledged nor spooled.
    pub dropped: usize,
    /// Points of earlier runs that the sink acknowledged during this one.
    pub replayed: usize,
    /// Points of earlier runs that it never gets, because a newer batch of the same slot has them too.
    pub superseded: usize,
    /// The sink's backlog at the end of the run, including this run's own points.
    pub backlog: Backlog,
}

impl Account {
    /// Returns the number of points of the run.
    pub fn sum(&self) -> usize {
        self.delivered + self.spooled + self.dropped
    }
}

/// The result of publishing a run's points.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The account of each sink, by name.
    pub accounts: BTreeMap<String, Account>,
    /// The points that were dropped, each with the reason.
    pub dropped: Vec<Dropped>,
    /// The problems that occurred.
    pub problems: Vec<Problem>,
}

impl Outcome {
    /// Adds the outcome of another batch of the same run, which was published later.
    pub fn add(&mut self, later: Self) {
        for (sink, account) in later.accounts {
            let sum = self.accounts.entry(sink).or_default();
            sum.delivered += account.delivered;
            sum.spooled += account.spooled;
            sum.dropped += account.dropped;
            sum.replayed += account.replayed;
            sum.superseded += account.superseded;
            sum.backlog = account.backlog;
        }
        self.dropped.extend(later.dropped);
        // A sink that is down is so for both.
        self.problems.extend(later.problems);
        let mut seen = BTreeSet::new();
        self.problems.retain(|problem| seen.insert((problem.subject.clone(), problem.is_unasked)));
    }
}

/// Sends batches to sinks, for a run or for an operator.
pub struct Delivery<'a, D: Disk> {
    /// The spool, or why it could not be opened, which the loss message quotes.
    pub spool: Result<&'a Spool<D>, String>,
    /// The limits of the spool and the speed of a replay.
    pub config: &'a spool::Config,
    /// For how long the machine has been running, in seconds: the clock by which batches grow old.
    pub running: i64,
    /// Called after each replayed batch with the number of points so far.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

impl<D: Disk<Claim: Send + Sync>> Delivery<'_, D> {
    /// Publishes a batch, then sends it and the backlog to all `sinks` in parallel, at most until `deadline`. Sets the
    /// sinks in the batch's header to `sinks`. `rejected` are the run's points that no sink can take; each account
    /// counts them as dropped. Calls `published` before any sink is tried, once the points are spooled or could not be.
    pub fn publish(
        &self,
        mut batch: Batch,
        rejected: Vec<Dropped>,
        sinks: &[Box<dyn Sink>],
        deadline: Instant,
        published: impl FnOnce(),
    ) -> Outcome {
        let mut outcome = Outcome { dropped: rejected, ..Outcome::default() };
        let rejected = outcome.dropped.len();
        batch.header.sinks = sinks.iter().map(|sink| sink.name().to_string()).collect();
        let own = self.spool_batch(&batch, &mut outcome);
        published();
        let superseded = self.supersede(own.is_some());
        outcome.problems.extend(superseded.as_ref().err().map(|error| Problem::new(Subject::Spool, error)));
        let superseded = superseded.ok();
        let results = side_by_side(sinks.len(), sinks.len(), |at| {
            self.send_to(sinks[at].as_ref(), &batch, own.as_ref(), superseded.as_ref(), deadline)
        });
        for (sink, (mut account, dropped, problems)) in sinks.iter().zip(results) {
            account.dropped += rejected;
            account.superseded += superseded.as_ref().map_or(0, |taken| taken.of(sink.name()));
            outcome.accounts.insert(sink.name().into(), account);
            outcome.dropped.extend(dropped);
            outcome.problems.extend(problems);
        }
        // Until here, no other process may send this run's batch.
        drop(own);
        for (name, account) in &mut outcome.accounts {
            account.backlog =
                self.spool.as_ref().map(|spool| spool.backlog(name).unwrap_or_default()).unwrap_or_default();
        }
        outcome
    }

    /// Takes from waiting batches what newer ones of their slots have too.
    fn supersede(&self, is_synced: bool) -> Result<Superseded, String> {
        let Ok(spool) = self.spool else { return Ok(Superseded::default()) };
        spool.supersede(is_synced).map_err(|error| format!("{error:#}; what waits is not sent in this run"))
    }

    /// Makes room in the spool and publishes the batch. Returns `None` if it is empty or could not be published.
    fn spool_batch(&self, batch: &Batch, outcome: &mut Outcome) -> Option<Published<D::Claim>> {
        let mut problem = |subject: Subject, message: String| outcome.problems.push(Problem::new(subject, message));
        let spool = match &self.spool {
            Ok(spool) => *spool,
            Err(message) => {
                problem(Subject::Spool, format!("{message}; what a sink does not acknowledge at once is lost"));
                return None;
            }
        };
        match spool.sweep() {
            Ok(foreign) if foreign.is_empty() => {}
            Ok(foreign) => {
                problem(Subject::Spool, format!("put {} into bad/, which gridmon did not write", foreign.join(", ")))
            }
            Err(error) => problem(Subject::Spool, format!("{error:#}")),
        }
        match spool.limit(self.config, self.running, 0) {
            Ok(dropped) if dropped.batches == 0 => {}
            Ok(Backlog { batches, points, oldest, .. }) => problem(
                Subject::SpoolLimit,
                format!(
                    "dropped {batches} batches with {points} points from {} on, that waited longer than [spool] max_age_days or beyond max_bytes",
                    utc(oldest.unwrap_or_default())
                ),
            ),
            Err(error) => problem(Subject::SpoolLimit, format!("{error:#}")),
        }
        if batch.points.is_empty() || batch.header.sinks.is_empty() {
            return None;
        }
        match spool.has_room(self.config).and_then(|()| spool.publish(batch, self.running)) {
            Ok(published) => Some(published),
            Err(error) => {
                problem(Subject::Spool, format!("{error:#}; what a sink does not acknowledge at once is lost"));
                None
            }
        }
    }

    /// Sends the run's own batch to one sink, then, if it was acknowledged, the sink's backlog. Without `superseded` nobody
    /// knows whether an older batch of the slot still waits.
    fn send_to(
        &self,
        sink: &dyn Sink,
        batch: &Batch,
        own: Option<&Published<D::Claim>>,
        mut superseded: Option<&Superseded>,
        deadline: Instant,
    ) -> (Account, Vec<Dropped>, Vec<Problem>) {
        let mut account = Account::default();
        let mut problems = Vec::new();
        let before = sink.is_in_order().then(|| self.replayed(sink, deadline, false, superseded));
        let Sent { mut dropped, refused, result } = send(sink, batch, deadline);
        account.dropped = dropped.len() + refused.len();
        let sent = batch.points.len() - account.dropped;
        match (result, own) {
            (Ok(()), own) => {
                account.delivered = sent;
                match own {
                    Some(own) => {
                        let held = superseded.is_none_or(|taken| taken.held.contains(&own.entry.name));
                        problems.extend(self.acknowledge(&own.entry, sink, &batch.header, &refused, held));
                    }
                    // A disk that took no batch may fail here too, which was reported.
                    None => match superseded
                        .filter(|taken| taken.blocked.is_empty())
                        .and_then(|_| self.supersede_by(batch, sink))
                    {
                        Some(points) => account.superseded += points,
                        None => superseded = None,
                    },
                }
                let replay = before.unwrap_or_else(|| self.replayed(sink, deadline, true, superseded));
                account.replayed = replay.points;
                problems.extend(replay.is_untried.then(|| Problem::unasked(replay_to(sink))));
                problems.extend(replay.problems);
                dropped.extend(replay.dropped);
            }
            (Err(error), own) => {
                // What kept the older batches from the sink keeps this one too, and is said once.
                problems.push(Problem::unasked(replay_to(sink)));
                if let Some(replay) = before {
                    account.replayed = replay.points;
                    dropped.extend(replay.dropped);
                }
                let (of_rest, lost, problem) = unsent(sink, &error, sent, own.is_some());
                account.spooled = of_rest.spooled;
                account.dropped += of_rest.dropped;
                dropped.extend(lost);
                problems.extend(problem);
            }
        }
        dropped.extend(refused_by_name(&refused, sink));
        (account, dropped, problems)
    }

    /// Sends what waits for a sink, unless nobody knows what of it is superseded.
    fn replayed(
        &self,
        sink: &dyn Sink,
        deadline: Instant,
        newer_passed: bool,
        superseded: Option<&Superseded>,
    ) -> Replay {
        let replayed = catch(|| match superseded {
            Some(superseded) => self.replay_waiting(sink, deadline, newer_passed, superseded),
            None => Replay::untried(),
        });
        replayed.unwrap_or_else(|bug| Replay { problems: vec![not_replayed(sink, bug)], ..Replay::default() })
    }

    /// Takes what a sink has of a batch that could not be spooled from the sink's waiting ones. Returns the number of points;
    /// `None` if older ones are still there.
    fn supersede_by(&self, batch: &Batch, sink: &dyn Sink) -> Option<usize> {
        let Ok(spool) = self.spool else { return Some(0) };
        spool.supersede_by(batch, sink.name()).ok()
    }

    /// Records that a sink has acknowledged a batch, and puts the points that it refused into `bad/`. A batch that is `held`
    /// waits on, because an older one of its slot is still there.
    fn acknowledge(
        &self,
        entry: &Entry,
        sink: &dyn Sink,
        header: &Header,
        refused: &[(Point, String)],
        held: bool,
    ) -> Option<Problem> {
        let Ok(spool) = self.spool else { return None };
        if held {
            return None;
        }
        let kept = match refused.first() {
            None => Ok(()),
            Some((_, message)) => {
                let points = refused.iter().map(|(point, _)| point.clone()).collect();
                spool.keep_refused(entry, sink.name(), &Batch { header: header.clone(), points }, message)
            }
        };
        let result = kept.and_then(|()| spool.acknowledge(entry, sink.name()));
        result.err().map(|error| Problem::new(Subject::Spool, format!("{error:#}; {} is sent again", entry.name)))
    }

    /// Sends a batch that this process has published and still holds, and records that the sink has it.
    ///
    /// # Errors
    /// Fails if the sink did not acknowledge it. It then waits in the spool.
    pub fn send_published(
        &self,
        sink: &dyn Sink,
        batch: &Batch,
        published: &Published<D::Claim>,
        deadline: Instant,
    ) -> Result<Replay> {
        let Sent { mut dropped, refused, result } = send(sink, batch, deadline);
        result?;
        dropped.extend(refused_by_name(&refused, sink));
        let problems = self.acknowledge(&published.entry, sink, &batch.header, &refused, false);
        Ok(Replay {
            points: batch.points.len(),
            dropped,
            problems: problems.into_iter().collect(),
            ..Replay::default()
        })
    }

    /// Sends the backlog of `sink`, oldest batch first, at most until `deadline` and at the configured speed.
    /// `newer_passed` is true if the sink has just taken newer points: one batch that fails now does not mean that it is down.
    pub fn replay(&self, sink: &dyn Sink, deadline: Instant, newer_passed: bool) -> Replay {
        match self.supersede(false) {
            Ok(superseded) => self.replay_waiting(sink, deadline, newer_passed, &superseded),
            Err(error) => Replay { problems: vec![not_replayed(sink, error)], ..Replay::default() },
        }
    }

    /// Does a replay, once older batches of a slot have lost what newer ones have.
    fn replay_waiting(
        &self,
        sink: &dyn Sink,
        deadline: Instant,
        newer_passed: bool,
        superseded: &Superseded,
    ) -> Replay {
        let Ok(spool) = self.spool else { return Replay::untried() };
        match spool.lock(sink.name()) {
            Ok(Some(_lock)) => self.replay_in_order(spool, sink, deadline, newer_passed, superseded),
            Ok(None) => Replay::untried(),
            Err(error) => {
                let problem = not_replayed(sink, format!("{error:#}"));
                Replay { problems: vec![problem], ..Replay::default() }
            }
        }
    }

    fn replay_in_order(
        &self,
        spool: &Spool<D>,
        sink: &dyn Sink,
        deadline: Instant,
        mut newer_passed: bool,
        superseded: &Superseded,
    ) -> Replay {
        let mut replay = Replay::default();
        let problem = |error: anyhow::Error| not_replayed(sink, format!("{error:#}"));
        let (began, mut after, mut failed_before) = (Instant::now(), String::new(), false);
        let mut closed = Closed::default();
        loop {
            let waiting = match spool.oldest(sink.name(), &after, 100) {
                Ok(waiting) => waiting,
                Err(error) => {
                    replay.problems.push(problem(error));
                    return replay;
                }
            };
            let Some(last) = waiting.last() else { return replay };
            after.clone_from(&last.name);
            for entry in waiting.into_iter().filter(|entry| !superseded.blocked.contains(&entry.name)) {
                if closed.has(spool, sink, &entry) {
                    continue;
                }
                let due =
                    began + Duration::from_secs_f64(replay.points as f64 / self.config.replay_points_per_second as f64);
                if due >= deadline || Instant::now() >= deadline {
                    replay.is_untried = replay.points == 0;
                    return replay;
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let held = superseded.held.contains(&entry.name);
                match self.replay_one(spool, sink, (&entry, held), deadline, &mut replay) {
                    Ok(true) => (newer_passed, failed_before) = (true, false),
                    Ok(false) => {}
                    // It may not keep those waiting that go elsewhere.
                    Err(error) if error.is::<ClosedPlace>() => {
                        replay.problems.extend(closed.add(spool, sink, &entry, &error));
                    }
                    Err(error) => {
                        let ran_out = Instant::now() >= deadline;
                        // The deadline passed during this batch, after others were sent: the next replay begins with
                        // it.
                        if ran_out && replay.points > 0 {
                            return replay;
                        }
                        if error.is::<NeverTaken>() && !ran_out {
                            self.record_failure(spool, sink, &entry, &error, &mut replay);
                            continue;
                        }
                        // A sink that fails twice in a row is down again: trying the rest would tell nothing new.
                        if failed_before || !newer_passed || ran_out {
                            replay.problems.push(problem(error));
                            return replay;
                        }
                        failed_before = true;
                    }
                }
                (self.progress)(replay.points);
            }
        }
    }

    /// Sends one waiting batch. Returns `false` if it could not be claimed or read.
    fn replay_one(
        &self,
        spool: &Spool<D>,
        sink: &dyn Sink,
        (entry, held): (&Entry, bool),
        deadline: Instant,
        replay: &mut Replay,
    ) -> Result<bool> {
        let problem = |message: String| of_batch(sink, entry, message);
        // A local disk error must not count as a failed attempt by the sink.
        let _claim = match spool.claim(entry) {
            Ok(Some(claim)) => claim,
            Ok(None) => return Ok(false),
            Err(error) if error.downcast_ref().is_some_and(is_foreign) => {
                replay.problems.push(problem(quarantine(spool, entry, &error.to_string())));
                return Ok(false);
            }
            Err(error) => {
                replay.problems.push(problem(format!("{error:#}; it waits")));
                return Ok(false);
            }
        };
        let batch = match spool.read(entry) {
            Ok(Ok(batch)) => batch,
            Ok(Err(Unreadable::Bad(why))) => {
                replay.problems.push(problem(quarantine(spool, entry, &why)));
                return Ok(false);
            }
            Ok(Err(newer)) => {
                replay.problems.push(problem(format!("{newer}; it waits")));
                return Ok(false);
            }
            // Removed after it was listed: another program has finished it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) if is_foreign(&error) => {
                replay.problems.push(problem(quarantine(spool, entry, &error.to_string())));
                return Ok(false);
            }
            Err(error) => {
                replay.problems.push(problem(format!("{error}; it waits")));
                return Ok(false);
            }
        };
        let Sent { dropped, refused, result } = send(sink, &batch, deadline);
        result?;
        replay.points += batch.points.len();
        replay.dropped.extend(dropped);
        replay.dropped.extend(refused_by_name(&refused, sink));
        replay.problems.extend(self.acknowledge(entry, sink, &batch.header, &refused, held));
        Ok(true)
    }

    /// Records a failed attempt at a batch that was itself the cause. Quarantines it at the third.
    fn record_failure(
        &self,
        spool: &Spool<D>,
        sink: &dyn Sink,
        entry: &Entry,
        error: &anyhow::Error,
        replay: &mut Replay,
    ) {
        match spool.count_failure(entry, sink.name()) {
            Ok(failures) if failures < 3 => {}
            Ok(_) => {
                let why = format!("{} failed with it three times, and took others: {error:#}", sink.name());
                let moved = match spool.read(entry) {
                    Ok(Ok(batch)) => spool
                        .keep_refused(entry, sink.name(), &batch, &why)
                        .and_then(|()| spool.acknowledge(entry, sink.name())),
                    // It was readable when it was sent; the next replay will report the cause.
                    Ok(Err(unreadable)) => Err(anyhow!("{unreadable}; it waits")),
                    Err(error) => Err(anyhow!("{error}; it waits")),
                };
                let moved = moved.map_or_else(|error| format!("{error:#}"), |()| "put into bad/".into());
                replay.problems.push(of_batch(sink, entry, format!("{why}; {moved}")));
            }
            Err(error) => replay.problems.push(Problem::new(Subject::Spool, format!("{error:#}"))),
        }
    }
}

/// The places that were found closed in a replay. What has met its place closed before is not sent again while another batch that
/// goes there is refused: of a backlog that grows, one batch a replay asks whether the place is open again.
#[derive(Default)]
struct Closed {
    places: BTreeSet<String>,
    messages: BTreeSet<String>,
}

impl Closed {
    fn has<D: Disk>(&self, spool: &Spool<D>, sink: &dyn Sink, entry: &Entry) -> bool {
        !self.places.is_empty() && spool.closed(entry, sink.name()).is_some_and(|place| self.places.contains(&place))
    }

    /// Adds the place of a batch. Returns the problem, unless it has been said.
    fn add<D: Disk>(
        &mut self,
        spool: &Spool<D>,
        sink: &dyn Sink,
        entry: &Entry,
        error: &anyhow::Error,
    ) -> Vec<Problem> {
        let message = format!("{error:#}");
        let mut problems = Vec::new();
        if self.messages.insert(message.clone()) {
            problems.push(not_replayed(sink, message));
        }
        let Some(Header { program, grid, tier, database, .. }) = spool.header(entry) else { return problems };
        // What closes a place to the points of one program need not do so to those of another.
        let place = [program, grid, tier, database].join("\n");
        let noted = spool.note_closed(entry, sink.name(), &place);
        self.places.insert(place);
        problems.extend(noted.err().map(|error| Problem::new(Subject::Spool, format!("{error:#}"))));
        problems
    }
}

/// The replay of what waits for a sink, as the part of a run that may fail.
pub fn replay_to(sink: &dyn Sink) -> Subject {
    Subject::Replay(sink.name().into())
}

/// Returns the problem of a replay that did not come to its end.
fn not_replayed(sink: &dyn Sink, error: impl fmt::Display) -> Problem {
    let subject = replay_to(sink);
    let source = subject.to_string();
    Problem::new(subject, error).asked_of(&source, true)
}

/// Returns the problem of a waiting batch, which nobody meets again before the next replay.
fn of_batch(sink: &dyn Sink, entry: &Entry, message: String) -> Problem {
    Problem::new(Subject::Batch(entry.name.clone()), message).asked_of(&replay_to(sink).to_string(), false)
}

/// Sends a batch; a panic of the sink is an error.
fn send(sink: &dyn Sink, batch: &Batch, deadline: Instant) -> Sent {
    let nothing = |bug| Sent { dropped: Vec::new(), refused: Vec::new(), result: Err(bug) };
    catch(|| sink.send(batch, deadline)).unwrap_or_else(nothing)
}

/// Returns the account of `points` points that a sink did not acknowledge, those that are lost, and the problem.
fn unsent(
    sink: &dyn Sink,
    error: &anyhow::Error,
    points: usize,
    is_spooled: bool,
) -> (Account, Vec<Dropped>, Vec<Problem>) {
    let (spooled, dropped) = if is_spooled { (points, 0) } else { (0, points) };
    let fate = if is_spooled { "wait in the spool" } else { "are lost" };
    let problem = Problem::new(Subject::Sink(sink.name().into()), format!("{error:#}; {points} points {fate}"));
    let lost = (dropped > 0).then(|| Dropped {
        name: format!("all {points} points of this run"),
        why: format!("neither spooled nor acknowledged by {}", sink.name()),
    });
    (Account { spooled, dropped, ..Account::default() }, lost.into_iter().collect(), vec![problem])
}

/// Puts a file that is not a batch into `bad/`, and returns the message about it.
fn quarantine<D: Disk>(spool: &Spool<D>, entry: &Entry, why: &str) -> String {
    let moved = spool.quarantine(&entry.name, why);
    format!("{why}; {}", moved.map_or_else(|error| format!("{error:#}"), |()| "put into bad/".into()))
}

/// Returns the points that a sink refused, by series, each with the reason.
fn refused_by_name<'a>(refused: &'a [(Point, String)], sink: &'a dyn Sink) -> impl Iterator<Item = Dropped> + 'a {
    refused.iter().map(|(point, message)| Dropped {
        name: point.series().into(),
        why: format!("{} refused it: {message}", sink.name()),
    })
}

/// The result of a replay.
#[derive(Debug, Default)]
pub struct Replay {
    /// Number of points that the sink acknowledged.
    pub points: usize,
    /// The points that were dropped, each with the reason.
    pub dropped: Vec<Dropped>,
    /// The problems that occurred.
    pub problems: Vec<Problem>,
    /// Whether nothing was tried though something may wait: another program replays, or no time was left.
    pub is_untried: bool,
}

impl Replay {
    fn untried() -> Self {
        Self { is_untried: true, ..Self::default() }
    }
}

/// Opens the spool of a state directory, and creates it if it does not exist. Its points meet their declarations in
/// `catalog`.
///
/// # Errors
/// Fails if it cannot be created.
pub fn open(state: &Path, catalog: Catalog) -> Result<Spool<Directory>> {
    Ok(Spool::new(Directory::open(&state.join("spool"))?).declared_by(catalog))
}
