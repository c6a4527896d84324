//! From the points of a run to its sinks: spooled first, sent, acknowledged, forgotten, with an account of every point.
//!
//! The run's own batch goes first, to every sink at once. Then each sink that took it gets what waits for it, oldest
//! first, by one program at a time, no faster than the config says, until the deadline.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::model::{Catalog, Dropped, Point, utc};
use crate::problem::{Problem, Subject};
use crate::sinks::{Sent, Sink};
use crate::spool::{self, Backlog, Batch, Directory, Disk, Entry, Header, Published, Spool, Unreadable};

/// What became of the points of a run at one sink: collected = delivered + spooled + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Acknowledged by the sink.
    pub delivered: usize,
    /// Not acknowledged yet, and safe in the spool.
    pub spooled: usize,
    /// Dropped by name: unsound, rejected, refused for good, or neither acknowledged nor spooled.
    pub dropped: usize,
    /// Points of earlier runs that it acknowledged in this one.
    pub replayed: usize,
    /// What waits for it at the end of the run, this run's own points included.
    pub backlog: Backlog,
}

impl Account {
    /// How many points of the run it accounts for.
    pub fn sum(&self) -> usize {
        self.delivered + self.spooled + self.dropped
    }
}

/// What became of a run's points.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The account of each sink.
    pub accounts: BTreeMap<String, Account>,
    /// The points that were dropped, by name.
    pub dropped: Vec<Dropped>,
    /// What went wrong.
    pub problems: Vec<Problem>,
}

/// The way from a run or an operator to the sinks.
pub struct Delivery<'a, D: Disk> {
    /// The spool, or why it could not be opened, which the loss message quotes.
    pub spool: Result<&'a Spool<D>, String>,
    /// The limits of the spool.
    pub config: &'a spool::Config,
    /// The run's clock, in unix seconds.
    pub now: i64,
    /// Called in a replay after each batch, with the points so far.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

impl<D: Disk<Claim: Send + Sync>> Delivery<'_, D> {
    /// Publishes a batch, then sends it and what waits to all `sinks` side by side, at most until `deadline`. The sinks of
    /// its header become those of `sinks`; `rejected` are the run's points that no sink can take, for the account.
    /// `published` is called once the points are safe, or cannot be made so, before any sink is tried.
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
        let one = |sink: &dyn Sink| self.to_one(sink, &batch, own.as_ref(), deadline);
        let results: Vec<_> = match sinks {
            [sink] => vec![one(sink.as_ref())],
            sinks => thread::scope(|scope| {
                let threads: Vec<_> = sinks.iter().map(|sink| scope.spawn(|| one(sink.as_ref()))).collect();
                threads.into_iter().map(|thread| thread.join().expect("a sink does not panic")).collect()
            }),
        };
        for (sink, (mut account, dropped, problems)) in sinks.iter().zip(results) {
            account.dropped += rejected;
            outcome.accounts.insert(sink.name().into(), account);
            outcome.dropped.extend(dropped);
            outcome.problems.extend(problems);
        }
        // Only now may others send what this run has published.
        drop(own);
        for (name, account) in &mut outcome.accounts {
            account.backlog =
                self.spool.as_ref().map(|spool| spool.backlog(name).unwrap_or_default()).unwrap_or_default();
        }
        outcome
    }

    /// Makes room in the spool and publishes the run's points there.
    fn spool_batch(&self, batch: &Batch, outcome: &mut Outcome) -> Option<Published<D::Claim>> {
        let mut problem = |subject: Subject, message: String| outcome.problems.push(Problem::new(subject, message));
        let spool = match &self.spool {
            Ok(spool) => *spool,
            Err(words) => {
                problem(Subject::Spool, format!("{words}; what a sink does not acknowledge at once is lost"));
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
        match spool.limit(self.config, self.now, 0) {
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
        match spool.has_room(self.config).and_then(|()| spool.publish(batch)) {
            Ok(published) => Some(published),
            Err(error) => {
                problem(Subject::Spool, format!("{error:#}; what a sink does not acknowledge at once is lost"));
                None
            }
        }
    }

    /// The run's own points to one sink, then what waits for it.
    fn to_one(
        &self,
        sink: &dyn Sink,
        batch: &Batch,
        own: Option<&Published<D::Claim>>,
        deadline: Instant,
    ) -> (Account, Vec<Dropped>, Vec<Problem>) {
        let mut account = Account::default();
        let mut problems = Vec::new();
        let Sent { mut dropped, refused, result } = sink.send(batch, deadline);
        account.dropped = dropped.len() + refused.len();
        let sent = batch.points.len() - account.dropped;
        match (result, own) {
            (Ok(()), own) => {
                account.delivered = sent;
                if let Some(own) = own {
                    problems.extend(self.done(&own.entry, sink, &batch.header, &refused));
                }
                let replay = self.replay(sink, deadline, true);
                account.replayed = replay.points;
                problems.extend(replay.problems);
                dropped.extend(replay.dropped);
            }
            (Err(error), Some(_)) => {
                account.spooled = sent;
                problems.push(Problem::new(
                    Subject::Sink(sink.name().into()),
                    format!("{error:#}; {sent} points wait in the spool"),
                ));
            }
            (Err(error), None) => {
                account.dropped += sent;
                problems.push(Problem::new(
                    Subject::Sink(sink.name().into()),
                    format!("{error:#}; {sent} points are lost"),
                ));
                if sent > 0 {
                    dropped.push(Dropped {
                        name: format!("all {sent} points of this run"),
                        why: format!("neither spooled nor acknowledged by {}", sink.name()),
                    });
                }
            }
        }
        dropped.extend(by_name(&refused, sink));
        (account, dropped, problems)
    }

    /// Notes that a sink has a batch, but for the points that it refused, which go aside.
    fn done(&self, entry: &Entry, sink: &dyn Sink, header: &Header, refused: &[(Point, String)]) -> Option<Problem> {
        let Ok(spool) = self.spool else { return None };
        let kept = match refused.first() {
            None => Ok(()),
            Some((_, words)) => {
                let points = refused.iter().map(|(point, _)| point.clone()).collect();
                spool.keep_refused(entry, sink.name(), &Batch { header: header.clone(), points }, words)
            }
        };
        let done = kept.and_then(|()| spool.acknowledge(entry, sink.name()));
        done.err().map(|error| Problem::new(Subject::Spool, format!("{error:#}; {} is sent again", entry.name)))
    }

    /// Sends what waits for `sink`, oldest first, at most until `deadline` and no faster than the config says. `newer_passed`
    /// says that the sink has just taken newer points, so that a batch which fails now has only itself to blame.
    pub fn replay(&self, sink: &dyn Sink, deadline: Instant, mut newer_passed: bool) -> Replay {
        let mut replay = Replay::default();
        let spool = match &self.spool {
            Ok(spool) => *spool,
            Err(_) => return replay,
        };
        let problem = |error: anyhow::Error| Problem::new(Subject::Replay(sink.name().into()), format!("{error:#}"));
        let _lock = match spool.lock(sink.name()) {
            Ok(Some(lock)) => lock,
            Ok(None) => return replay,
            Err(error) => {
                replay.problems.push(problem(error));
                return replay;
            }
        };
        let (began, mut after, mut failed_before) = (Instant::now(), String::new(), false);
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
            for entry in waiting {
                let due =
                    began + Duration::from_secs_f64(replay.points as f64 / self.config.replay_points_per_second as f64);
                if due >= deadline || Instant::now() >= deadline {
                    return replay;
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
                match self.replay_one(spool, sink, &entry, deadline, &mut replay) {
                    Ok(true) => (newer_passed, failed_before) = (true, false),
                    Ok(false) => {}
                    Err(error) => {
                        let ran_out = Instant::now() >= deadline;
                        // It got on until its time was over, in the middle of this batch: the next replay begins with it.
                        if ran_out && replay.points > 0 {
                            return replay;
                        }
                        // A sink that fails twice in a row is down again; nothing is to be learnt from the rest.
                        let down = failed_before || !newer_passed || ran_out;
                        if newer_passed && !ran_out {
                            self.failed(spool, sink, &entry, &error, &mut replay);
                        }
                        if down {
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

    /// Sends one batch that waits; whether it was there to send.
    fn replay_one(
        &self,
        spool: &Spool<D>,
        sink: &dyn Sink,
        entry: &Entry,
        deadline: Instant,
        replay: &mut Replay,
    ) -> Result<bool> {
        let aside = |words: String| Problem::new(Subject::Batch(entry.name.clone()), words);
        // An error of our own disk is none of the sink's: it must not count as its failure with this batch.
        let _claim = match spool.claim(entry) {
            Ok(Some(hold)) => hold,
            Ok(None) => return Ok(false),
            Err(error) => {
                replay.problems.push(aside(format!("{error:#}; it waits")));
                return Ok(false);
            }
        };
        let batch = match spool.read(entry) {
            Ok(Ok(batch)) => batch,
            Ok(Err(Unreadable::Bad(why))) => {
                let moved = spool.quarantine(&entry.name, &why);
                let moved = moved.map_or_else(|error| format!("{error:#}"), |()| "put into bad/".into());
                replay.problems.push(aside(format!("{why}; {moved}")));
                return Ok(false);
            }
            Ok(Err(newer)) => {
                replay.problems.push(aside(format!("{newer}; it waits")));
                return Ok(false);
            }
            // Gone since it was listed: another program has finished it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                replay.problems.push(aside(format!("{error}; it waits")));
                return Ok(false);
            }
        };
        let Sent { dropped, refused, result } = sink.send(&batch, deadline);
        result?;
        replay.points += batch.points.len();
        replay.dropped.extend(dropped);
        replay.dropped.extend(by_name(&refused, sink));
        replay.problems.extend(self.done(entry, sink, &batch.header, &refused));
        Ok(true)
    }

    /// Counts a failure of a batch that newer ones have overtaken; at the third it goes aside.
    fn failed(&self, spool: &Spool<D>, sink: &dyn Sink, entry: &Entry, error: &anyhow::Error, replay: &mut Replay) {
        match spool.count_failure(entry, sink.name()) {
            Ok(failures) if failures < 3 => {}
            Ok(_) => {
                let why = format!("{} failed with it three times while newer ones passed: {error:#}", sink.name());
                let moved = match spool.read(entry) {
                    Ok(Ok(batch)) => spool
                        .keep_refused(entry, sink.name(), &batch, &why)
                        .and_then(|()| spool.acknowledge(entry, sink.name())),
                    // It was readable when it was sent; the next replay sees what is the matter.
                    Ok(Err(unreadable)) => Err(anyhow!("{unreadable}; it waits")),
                    Err(error) => Err(anyhow!("{error}; it waits")),
                };
                let moved = moved.map_or_else(|error| format!("{error:#}"), |()| "put into bad/".into());
                replay.problems.push(Problem::new(Subject::Batch(entry.name.clone()), format!("{why}; {moved}")));
            }
            Err(error) => replay.problems.push(Problem::new(Subject::Spool, format!("{error:#}"))),
        }
    }
}

/// The points that a sink refused, by name.
fn by_name<'a>(refused: &'a [(Point, String)], sink: &'a dyn Sink) -> impl Iterator<Item = Dropped> + 'a {
    refused.iter().map(|(point, words)| Dropped {
        name: point.series().into(),
        why: format!("{} refused it: {words}", sink.name()),
    })
}

/// What a replay did.
#[derive(Debug, Default)]
pub struct Replay {
    /// How many points the sink acknowledged.
    pub points: usize,
    /// What was dropped, by name.
    pub dropped: Vec<Dropped>,
    /// What went wrong.
    pub problems: Vec<Problem>,
}

/// The spool of a state directory, whose points meet their declarations in `catalog`.
///
/// # Errors
/// When it cannot be had.
pub fn open(state: &Path, catalog: Catalog) -> Result<Spool<Directory>> {
    Ok(Spool::new(Directory::open(&state.join("spool"))?).declared_by(catalog))
}
