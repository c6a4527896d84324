//! Runs a service to which others send points: it acknowledges only what is in the spool.
//!
//! Whoever receives points offers them to the [`Committer`] and hears when they are safe. One thread publishes. What is
//! published is handed to a thread of each sink, which sends it at once; what a sink does not take waits in the spool alone,
//! and is replayed when the sink is back.
//!
//! Once per interval the service publishes its own points and its report as every service does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;

use super::committer::Committer;
use super::gather::common;
use super::log::{self, Level};
use super::outbox::{FOR_SINK, Fresh, Notes, Outbox, Sender};
use super::output::{complain, say};
use super::own;
use super::process::exit_code;
use super::publish::publish;
use super::session::{Kind, Program, Session, Setup};
use super::watchdog::{FirstSignal, Watchdog};
use crate::delivery::{self, Delivery};
use crate::model::{Collected, Point};
use crate::os::files::host_name;
use crate::problem::{Problem, Repeat, Subject, failures};

/// What a config asks of the service.
pub struct Intake<C> {
    /// The parts that the frame needs.
    pub setup: Setup,
    /// Where the service logs.
    pub logging: log::Config,
    /// What of the config is left out; each is said once.
    pub warnings: Vec<String>,
    /// What the receiver of the points needs.
    pub config: C,
}

/// Who receives the points.
pub struct Receiving {
    /// What it listens to, for a message.
    pub description: String,
    /// Accepts no more connections, and returns when what was received is safe, or after a few seconds.
    pub stop: Box<dyn FnOnce()>,
    /// Returns what it had to refuse since it was asked last.
    pub problems: Box<dyn FnMut() -> Vec<Problem>>,
    /// Returns what it tells of those who send, at a time in unix nanoseconds.
    pub points: Box<dyn FnMut(i64) -> Vec<Point>>,
}

/// Runs the service until it is told to end: `load` reads the config, `receive` begins to receive points and may keep something
/// in the state directory, `ready` is called once it does.
pub fn fan_in<C>(
    program: &'static Program,
    config: Option<&Path>,
    load: impl FnOnce(Option<&Path>) -> Result<Intake<C>>,
    receive: impl FnOnce(C, Arc<Committer>, &Path) -> Result<Receiving>,
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
    receive: impl FnOnce(C, Arc<Committer>, &Path) -> Result<Receiving>,
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
    let state = session.directory.clone();
    let spool = delivery::open(&state, catalog).context("the spool")?;
    let sinks = (session.setup.sinks)(&session.directory);
    let names = sinks.iter().map(|sink| sink.name().to_string()).collect();
    let committer = Arc::new(Committer::new(spool, limits.clone(), program.name, &scope, names));
    committer.set_running(session.steady.running);
    let for_sinks = delivery::open(&session.directory, catalog).context("the spool")?;
    let delivery =
        Delivery { spool: Ok(&for_sinks), config: &limits, running: session.steady.running, progress: &|_| {} };
    let (outboxes, notes): (Vec<_>, _) = (sinks.iter().map(|_| Outbox::new()).collect(), Notes::default());
    thread::scope(|threads| {
        let senders: Vec<_> = sinks.iter().zip(&outboxes).collect();
        for (sink, outbox) in senders {
            let (sink, delivery, notes) = (sink.as_ref(), &delivery, &notes);
            threads.spawn(move || Sender::new(sink, outbox, Instant::now()).work(delivery, notes));
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
        let served = receive(receives, Arc::clone(&committer), &state).map(|mut receiving| {
            watchdog.names(None);
            ready();
            say(Level::Info, program.name, &[receiving.description.clone()]);
            run_ticks(session, &committer, &notes, &mut receiving, watchdog);
            (receiving.stop)();
            let last: Vec<_> = (receiving.problems)()
                .iter()
                .map(|problem| format!("{}: {}", problem.subject, problem.message))
                .collect();
            complain(program.name, &last);
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
        committer.set_running(session.steady.running);
        session.problems.extend((receiving.problems)());
        let of_sinks = notes.problems();
        let now = committer.committed();
        let received = now.points - last.points;
        last = now;
        let scope = session.setup.scope.clone();
        let mut points = own::points(session.time, (&scope, &host_name(), session.program.name), &BTreeMap::new());
        points.push(own::received(session.time, (&scope, &host_name(), session.program.name), received, now.batches));
        points.extend((receiving.points)(session.time));
        let until = Instant::now() + (interval / 2).min(FOR_SINK);
        let dropped = publish(&mut session, Collected { points, ..Collected::default() }, until);
        let known: BTreeSet<_> = failures(&session.problems).map(|problem| problem.subject.clone()).collect();
        session.problems.extend(of_sinks.into_iter().filter(|problem| !known.contains(&problem.subject)));
        let mut all = notes.take_dropped();
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
