//! Takes collected points to the sinks: zero-fill, coverage, validation, spool, sending, pruning, accounting.

use std::collections::BTreeSet;
use std::time::Instant;

use super::report::RUN;
use super::session::Session;
use super::state::State;
use super::zero_fill::zero_fill;
use crate::delivery::{self, Delivery, Outcome};
use crate::model::{COVERAGE, Collected, Dropped, Measurement, Point, SECOND, Tier, sort, validate};
use crate::os::files::host_name;
use crate::os::work::catch;
use crate::problem::{Problem, Subject};
use crate::sinks::Sink;
use crate::spool::{Batch, Header};

/// The points of a run, ready to be sent or shown.
pub(super) struct Prepared {
    /// The points that every sink can take, sorted by series and time.
    pub points: Vec<Point>,
    /// The points that no sink can take.
    pub rejected: Vec<Dropped>,
    /// The count series to store; `None` if they are unchanged since the last run.
    series: Option<BTreeSet<String>>,
}

/// Adds the frame's points to those of a run: zeros of missing counts, coverage, the report of the last run.
pub(super) fn prepare(session: &mut Session, mut collected: Collected) -> Prepared {
    let mut points = std::mem::take(&mut collected.points);
    let (scope, time) = (session.setup.scope.clone(), session.time);
    let catalog = session.setup.catalog;
    points.iter_mut().for_each(|point| catalog.declare(point));
    let (mut points, mut rejected) = validate(points);
    // A count that no sink can take, or one of two names that became one, is neither absent nor zero.
    let is_whole = |one: &Measurement| !rejected.iter().any(|dropped| dropped.measurement() == one.name);
    collected.complete.retain(|one| !one.has_counts() || is_whole(one));
    let before: BTreeSet<String> = session.recall("series");
    let (mut more, series) = zero_fill(&before, &points, (&collected.complete, &collected.zeros), time, catalog);
    let step = session.interval_seconds();
    more.extend(collected.complete.iter().map(|one| collected.coverage(one, &scope, time, step)));
    if let Some(last) = session.state.as_ref().filter(|_| session.is_live()).and_then(State::last) {
        more.push(last.point(&scope, &host_name(), session.program.name, session.interval_seconds()));
    }
    let (more, rejected_too) = validate(more);
    points.extend(more);
    sort(&mut points);
    rejected.extend(rejected_too);
    session.report.collected = points.len() + rejected.len();
    Prepared { points, rejected, series }
}

/// Spools and sends the points and replays waiting batches, at most until `until`; then prunes the sinks and checks
/// that every point is accounted for.
pub(super) fn publish(session: &mut Session, collected: Collected, until: Instant) -> Vec<Dropped> {
    let are_hourly = collected.are_hourly;
    let Prepared { points, rejected, series } = prepare(session, collected);
    // What the frame adds is as raw as ever.
    let is_of_tier = |point: &Point| !are_hourly || ![COVERAGE.name, RUN.name].contains(&point.measurement());
    let (points, raw): (Vec<_>, Vec<_>) = points.into_iter().partition(is_of_tier);
    if let Some(state) = &session.state {
        state.mark(session.now);
    }
    let spool = delivery::open(&session.directory, session.setup.catalog).map_err(|error| format!("{error:#}"));
    let sinks = (session.setup.sinks)(&session.directory);
    sinks.iter().for_each(|sink| sink.at(session.now));
    let header = Header {
        program: session.program.name.into(),
        grid: session.setup.scope.clone(),
        time: session.time / SECOND,
        tier: if are_hourly { Tier::Hour } else { Tier::Raw }.name().into(),
        database: session.setup.database.clone(),
        sinks: BTreeSet::new(),
    };
    let limits = session.setup.spool.clone();
    let steady = session.steady;
    session.report.running = Some(steady.running);
    let delivery = Delivery {
        spool: spool.as_ref().map_err(String::clone),
        config: &limits,
        running: steady.running,
        progress: &|_| {},
    };
    let raw = Batch { header: Header { tier: Tier::Raw.name().into(), ..header.clone() }, points: raw };
    let mut outcome = delivery.publish(Batch { header, points }, rejected, &sinks, until, || {
        // The configured database still lacks the zeros that went into another one.
        let is_usual = session.setup.database.is_empty();
        if let Some(series) = series.filter(|_| is_usual) {
            session.remember("series", &series);
        }
    });
    if !raw.points.is_empty() {
        outcome.add(delivery.publish(raw, Vec::new(), &sinks, until, || {}));
    }
    let Outcome { accounts, dropped, problems } = outcome;
    session.problems.extend(problems);
    let has_all = |sink: &dyn Sink| accounts.get(sink.name()).is_some_and(|account| account.spooled == 0);
    // Not by the run's clock, which `--now` may set, nor by a wall clock that has just jumped.
    for sink in sinks.iter().filter(|sink| !session.is_replayed && has_all(sink.as_ref())) {
        if let Err(error) = catch(|| sink.prune(steady.time, until)).flatten() {
            session.problems.push(Problem::new(Subject::Pruning(sink.name().into()), format!("{error:#}")));
        }
    }
    let collected = session.report.collected;
    for (sink, account) in accounts.iter().filter(|(_, account)| account.sum() != collected) {
        let message = format!("{collected} points collected, but {account:?}; this is a bug");
        session.problems.push(Problem::new(Subject::Account(sink.clone()), message));
    }
    session.report.sinks = accounts;
    dropped
}
