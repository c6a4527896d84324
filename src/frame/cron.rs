//! Runs a cron program, from its flags to its exit code.
//!
//! Exit codes: 0 if all sources answered and all points were delivered; 1 if not, with a line for each failure; 2 if
//! the flags or the config are wrong, in which case no source was queried and no point was sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Common, Mode};
use super::dry_run;
use super::ledger::Ledger;
use super::listing::{CheckLine, list, print_checks};
use super::output::{complain, print};
use super::process::exit_code;
use super::publish::{prepare, publish};
use super::report::RUN;
use super::session::{Kind, Program, Session, Setup};
use super::state::State;
use super::watchdog::{FirstSignal, Watchdog};
use crate::model::{COVERAGE, Collected};
use crate::os::work::catch;
use crate::problem::{Asked, Problem, Subject};

/// The program's view of a run.
pub struct Run<'a, C> {
    /// The config.
    pub config: &'a C,
    /// The run's clock in unix seconds.
    pub now: i64,
    /// The time by which what a source remembers grows old, in unix seconds: a wall clock that jumps ahead makes nothing
    /// old.
    pub memory_time: i64,
    /// The time of the run's points, in nanoseconds.
    pub time: i64,
    /// The time by which the sources must end.
    pub until: Instant,
    session: Mutex<&'a mut Session>,
    /// The problems of each source, by its index in [`Program::sources`].
    problems: Mutex<BTreeMap<usize, Vec<Problem>>>,
}

impl<'a, C> Run<'a, C> {
    pub(super) fn new(config: &'a C, session: &'a mut Session) -> Self {
        let (now, time, until) = (session.now, session.time, session.sources_until());
        let memory_time = session.memory_time();
        Self { config, now, memory_time, time, until, session: Mutex::new(session), problems: Mutex::default() }
    }

    fn session<T>(&self, work: impl FnOnce(&mut Session) -> T) -> T {
        work(&mut self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Queries a source, and records the duration and the problems. May be called for several sources in parallel.
    pub fn ask<T>(&self, source: &str, ask: impl FnOnce() -> (Option<T>, Vec<Problem>)) -> Asked<T> {
        let began = Instant::now();
        let (answer, problems) = catch(ask).unwrap_or_else(|bug| (None, vec![Problem::of_source(source, bug)]));
        let seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let index = self.session(|session| {
            session.report.sources.insert(source.into(), seconds);
            let sources = session.program.sources;
            sources.iter().position(|known| *known == source).unwrap_or(sources.len())
        });
        let mut all = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let problems = problems.into_iter().map(|problem| problem.asked_of(source, answer.is_none()));
        all.entry(index).or_default().extend(problems);
        drop(all);
        answer.map_or(Asked::Failed, Asked::Answered)
    }

    /// Notes that this run does not ask a part: nobody knows whether it fails.
    pub fn unasked(&self, subject: Subject) {
        self.session(|session| session.problems.push(Problem::unasked(subject)));
    }

    /// Whether the run delivers its points and keeps what it remembers; else it only shows them.
    pub fn is_live(&self) -> bool {
        self.session(|session| session.is_live())
    }

    /// Whether the clock was given with `--now`.
    pub fn is_replayed(&self) -> bool {
        self.session(|session| session.is_replayed)
    }

    /// Returns the state directory.
    pub fn directory(&self) -> PathBuf {
        self.session(|session| session.directory.clone())
    }

    /// Returns the value that an earlier run stored as `what`, or the default.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> T {
        self.session(|session| session.recall(what))
    }

    /// Stores `value` as `what` for later runs; does nothing under `--dry-run`.
    pub fn remember<T: Serialize>(&self, what: &str, value: &T) {
        self.is_remembered(what, value);
    }

    /// Opens the value `what`, which is also written by a run that sends nothing; waits for another run that has it.
    ///
    /// # Errors
    /// Fails if it could not be written.
    pub fn ledger(&self, what: &str) -> Result<Ledger> {
        let (directory, grid) = self.session(|session| (session.directory.clone(), session.setup.scope.clone()));
        let program = self.session(|session| session.program.name);
        Ledger::open(&directory, program, &grid, what, self.until)
    }

    /// Stores `value` as [`Run::remember`] does, and returns whether it is stored.
    pub fn is_remembered<T: Serialize>(&self, what: &str, value: &T) -> bool {
        self.session(|session| session.remember(what, value))
    }
}

impl<C> Drop for Run<'_, C> {
    /// Sorts the problems by source: the sources may end in any order, but the output keeps theirs.
    fn drop(&mut self) {
        let problems = std::mem::take(&mut *self.problems.lock().unwrap_or_else(PoisonError::into_inner));
        self.session(|session| session.problems.extend(problems.into_values().flatten()));
    }
}

/// A run that has published its points, and replayed what waited.
pub struct Published<'a, C> {
    /// The config.
    pub config: &'a C,
    /// The time of the run's points, in nanoseconds.
    pub time: i64,
    /// The time by which everything must have ended.
    pub until: Instant,
    /// The state directory.
    pub directory: &'a Path,
    /// The sinks that have all points of the run.
    reached: Vec<String>,
    state: &'a State,
}

impl<C> Published<'_, C> {
    /// Whether a sink has all points of the run.
    pub fn has_reached(&self, sink: &str) -> bool {
        self.reached.iter().any(|reached| reached == sink)
    }

    /// Returns the value that an earlier run stored as `what`, or the default.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> Result<T> {
        self.state.recall(what)
    }

    /// Stores `value` as `what` for later runs.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn remember<T: Serialize>(&self, what: &str, value: &T) -> Result<()> {
        self.state.remember(what, value)
    }
}

/// Runs a cron program: `load` reads the config, `collect` queries the sources and makes the points, `check` contacts
/// the sources.
///
/// `examples/source.rs` is a whole program.
///
/// ```
/// use std::process::ExitCode;
///
/// use clap::Parser;
/// use gridmon::frame::{self, Program};
/// use gridmon::model::Collected;
/// use gridmon::setup;
///
/// static PROGRAM: Program = Program {
///     name: "collect-nothing",
///     interval_seconds: 60,
///     deadline_seconds: 50,
///     sources: &[],
///     measurements: &[],
/// };
///
/// #[derive(Parser)]
/// struct Args {
///     #[command(flatten)]
///     common: frame::Common,
/// }
///
/// // A program takes its own: `let args: Args = frame::start(&PROGRAM);`
/// let args = Args::parse_from(["collect-nothing", "--list"]);
/// let code = frame::cron(&PROGRAM, &args.common, setup::load, |_run| Collected::default(), |_config, _until| Vec::new());
/// assert_eq!(code, ExitCode::SUCCESS);
/// ```
pub fn cron<C: Sync>(
    program: &'static Program,
    common: &Common,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(C, Setup)>,
    collect: impl FnOnce(&Run<C>) -> Collected,
    check: impl FnOnce(&C, Instant) -> Vec<CheckLine>,
) -> ExitCode {
    cron_then(program, common, load, collect, |_| Vec::new(), check)
}

/// Runs a cron program as [`cron`] does, and `then` writes what is made of the stored points. A run that neither reads nor
/// writes the state, and one that sends nothing, ends without it.
pub fn cron_then<C: Sync>(
    program: &'static Program,
    common: &Common,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(C, Setup)>,
    collect: impl FnOnce(&Run<C>) -> Collected,
    then: impl FnOnce(&Published<C>) -> Vec<Problem>,
    check: impl FnOnce(&C, Instant) -> Vec<CheckLine>,
) -> ExitCode {
    if common.list {
        return print_list(program);
    }
    exit_code(program.name, || {
        let (config, setup, watchdog) = match open(program, common, load) {
            Ok(started) => started,
            Err(code) => return code,
        };
        run(program, common, &config, setup, watchdog, (collect, then, check)).unwrap_or_else(|error| {
            complain(program.name, &[format!("{error:#}")]);
            ExitCode::FAILURE
        })
    })
}

/// Runs a cron program that works on what is stored: delivers the report of its last run and what waits in the spool, then
/// does `work` with most of the time.
pub fn cron_last<C: Sync>(
    program: &'static Program,
    common: &Common,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(C, Setup)>,
    work: impl FnOnce(&Run<C>),
    check: impl FnOnce(&C, Instant) -> Vec<CheckLine>,
) -> ExitCode {
    if common.list {
        return print_list(program);
    }
    let run = |config: &C, setup: Setup, watchdog: &Watchdog| -> Result<ExitCode> {
        let now = common.now.unwrap_or_else(|| Timestamp::now().as_second());
        let Some(mut session) = Session::open(program, common, now, Kind::Cron, setup)? else {
            return Ok(ExitCode::SUCCESS);
        };
        session.began = watchdog.began();
        watchdog.names(None);
        match session.mode {
            Mode::Check => return Ok(print_checks(&session.check(check(config, session.sources_until())))),
            Mode::Setup => return Ok(print_checks(&session.set_up())),
            Mode::Live | Mode::DryRun => {}
        }
        let until = session.began + session.allowed / 4;
        let dropped = publish(&mut session, Collected::default(), until);
        if let Err(bug) = catch(|| work(&Run::new(config, &mut session))) {
            session.problems.push(Problem::of_source("run", bug));
        }
        session.note_dropped(&dropped, common.verbose);
        Ok(session.finish(common.verbose))
    };
    exit_code(program.name, || {
        let (config, setup, watchdog) = match open(program, common, load) {
            Ok(started) => started,
            Err(code) => return code,
        };
        run(&config, setup, watchdog).unwrap_or_else(|error| {
            complain(program.name, &[format!("{error:#}")]);
            ExitCode::FAILURE
        })
    })
}

/// Prints the measurements of a program, and those of the frame.
fn print_list(program: &Program) -> ExitCode {
    let of_frame = [&COVERAGE, &RUN].into_iter();
    let of_frame = of_frame.filter(|one| program.measurements.iter().all(|own| own.name != one.name));
    let measurements: Vec<_> = program.measurements.iter().copied().chain(of_frame).collect();
    print(&list(&measurements))
}

/// Returns the points that `collect` makes: none, and a problem of the run, if it panics.
pub(super) fn collected(session: &mut Session, collect: impl FnOnce(&mut Session) -> Collected) -> Collected {
    catch(|| collect(session)).unwrap_or_else(|bug| {
        session.problems.push(Problem::of_source("run", format!("{bug}; nothing was collected")));
        Collected::default()
    })
}

/// Starts the watchdog, then reads the config, which may lie on a hung mount. Fails with the exit code.
pub(super) fn open<C>(
    program: &'static Program,
    common: &Common,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(C, Setup)>,
) -> Result<(C, Setup, &'static Watchdog), ExitCode> {
    let allowed = Duration::from_secs(program.deadline_seconds);
    let watchdog = Watchdog::start(program.name, FirstSignal::Ends, allowed);
    watchdog.names(Some("reading the config"));
    let (config, setup) = load(common.config.as_deref(), program).map_err(|error| {
        complain(program.name, &[format!("{error:#}")]);
        ExitCode::from(2)
    })?;
    let allowed = setup.allowed(program);
    watchdog.expect_end(Some((watchdog.began() + allowed, allowed)));
    watchdog.names(Some("opening the state"));
    Ok((config, setup, watchdog))
}

fn run<C: Sync>(
    program: &'static Program,
    common: &Common,
    config: &C,
    setup: Setup,
    watchdog: &Watchdog,
    (collect, then, check): (
        impl FnOnce(&Run<C>) -> Collected,
        impl FnOnce(&Published<C>) -> Vec<Problem>,
        impl FnOnce(&C, Instant) -> Vec<CheckLine>,
    ),
) -> Result<ExitCode> {
    let now = common.now.unwrap_or_else(|| Timestamp::now().as_second());
    let Some(mut session) = Session::open(program, common, now, Kind::Cron, setup)? else {
        return Ok(ExitCode::SUCCESS);
    };
    session.began = watchdog.began();
    watchdog.names(None);
    if session.mode == Mode::Check {
        return Ok(print_checks(&session.check(check(config, session.sources_until()))));
    }
    if session.mode == Mode::Setup {
        return Ok(print_checks(&session.set_up()));
    }
    let collected = collected(&mut session, |session| collect(&Run::new(config, session)));
    let (shown, dropped) = if session.mode == Mode::DryRun {
        let prepared = prepare(&mut session, collected);
        let (text, unshown) = dry_run::show(&prepared.points, common.format, session.setup.catalog);
        (print(&text), prepared.rejected.into_iter().chain(unshown).collect())
    } else {
        let until = session.sinks_until();
        let dropped = publish(&mut session, collected, until);
        conclude(&mut session, config, then);
        (ExitCode::SUCCESS, dropped)
    };
    session.note_dropped(&dropped, common.verbose);
    let code = session.finish(common.verbose);
    Ok(if shown == ExitCode::SUCCESS { code } else { shown })
}

/// Runs the last part of a run, unless it leaves the state alone or its points went into a database of their own: such a run
/// cannot tell whether the usual targets work again.
fn conclude<C>(session: &mut Session, config: &C, then: impl FnOnce(&Published<C>) -> Vec<Problem>) {
    if !session.setup.database.is_empty() {
        let sinks = session.report.sinks.keys().map(|sink| Subject::Sink(sink.clone()));
        let tables = session.setup.tables.iter().flat_map(|tables| tables.declared);
        let usual = sinks.chain(tables.map(|table| Subject::Table(table.name.into())));
        session.problems.extend(usual.map(Problem::unasked));
        return;
    }
    let Some(state) = session.state.as_ref() else { return };
    let accounts = session.report.sinks.iter().filter(|(_, account)| account.spooled == 0);
    let reached = accounts.map(|(sink, _)| sink.clone()).collect();
    let (time, until, directory) = (session.time, session.sinks_until(), session.directory.as_path());
    let problems = catch(|| then(&Published { config, time, until, directory, reached, state }));
    session.problems.extend(problems.unwrap_or_else(|bug| vec![Problem::of_source("run", bug)]));
}
