//! One program at work: its clock, state, sinks and catalog.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Common, Mode};
use super::listing::CheckLine;
use super::report::Report;
use super::state::{self, Lock, State};
use crate::delivery::Account;
use crate::model::{Catalog, Dropped, Measurement, SECOND};
use crate::problem::{Problem, Repeat, Subject, notify};
use crate::sinks::MakeSinks;
use crate::spool;
use crate::text::one_line;

/// What the frame needs to know of a program.
#[derive(Debug)]
pub struct Program {
    /// Its name, the first word of every line that it prints on stderr.
    pub name: &'static str,
    /// The seconds between two runs, unless the config says otherwise. Times of points are rounded down to it, so that a late start makes neither a double
    /// nor a hole.
    pub interval_seconds: i64,
    /// The seconds that a run may take at most, unless the config says otherwise.
    pub deadline_seconds: u64,
    /// Its sources, in the order in which their failures are printed, whichever answers first.
    pub sources: &'static [&'static str],
    /// What it sends, besides coverage and the report of its last run.
    pub measurements: &'static [&'static Measurement],
}

/// How a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cron starts it for each run.
    Cron,
    /// It runs all the time.
    Service,
}

impl Kind {
    /// How long a healthy process of this kind holds its lock at most.
    fn may_hold_lock(self, allowed: Duration) -> Duration {
        match self {
            Self::Cron => allowed,
            Self::Service => Duration::from_secs(u32::MAX.into()),
        }
    }
}

/// What setup/ hands to the frame: the parts that the config selects.
pub struct Setup {
    /// The config file; `None` when there is none and all is default.
    pub config_path: Option<PathBuf>,
    /// What the program works on, the grid's name: lock, state and reports are kept for each scope.
    pub scope: String,
    /// The seconds that a run may take at most; `None` for the program's own.
    pub deadline_seconds: Option<u64>,
    /// The seconds between two runs; `None` for the program's own.
    pub interval_seconds: Option<i64>,
    /// The state directory; `None` for the default one.
    pub state_directory: Option<PathBuf>,
    /// The limits of the spool.
    pub spool: spool::Config,
    /// Every measurement that this build knows.
    pub catalog: Catalog,
    /// Which role goes where, for `--check`.
    pub roles: String,
    /// Makes the sinks that points go to, given the state directory.
    pub sinks: MakeSinks,
}

/// The time between the end of the sources and the end of the run, for the sinks.
const FOR_SINKS: Duration = Duration::from_secs(15);

/// The last part of it, when the sinks must have ended too.
const FOR_REPORT: Duration = Duration::from_secs(1);

/// A program at work.
pub struct Session {
    /// The program.
    pub program: &'static Program,
    /// The parts that the config selects.
    pub setup: Setup,
    /// What becomes of the points.
    pub mode: Mode,
    /// The run's clock, in unix seconds.
    pub now: i64,
    /// The time of the run's points, in nanoseconds.
    pub time: i64,
    /// When the run began.
    pub began: Instant,
    /// How long the run may take.
    pub allowed: Duration,
    /// The state directory.
    pub directory: PathBuf,
    /// Whether the clock was given with `--now`.
    pub(super) is_replayed: bool,
    /// `None` when the state is neither read nor written.
    pub(super) state: Option<State>,
    pub(super) problems: Vec<Problem>,
    pub(super) report: Report,
    lock: Option<Lock>,
}

impl Session {
    /// Opens the state and takes the lock of this program and scope. Returns `None` if another run holds the lock, for a
    /// service for however long.
    ///
    /// # Errors
    /// When the state cannot be opened, or the holder of the lock has outlived its deadline.
    pub fn open(
        program: &'static Program,
        common: &Common,
        now: i64,
        kind: Kind,
        setup: Setup,
    ) -> Result<Option<Self>> {
        let began = Instant::now();
        let allowed = Duration::from_secs(setup.deadline_seconds.unwrap_or(program.deadline_seconds));
        let mode = common.mode();
        let configured = setup.state_directory.as_deref();
        let state = State::open(configured, program.name, &setup.scope, mode == Mode::Live);
        // --dry-run and --check need no state.
        let state = if mode == Mode::Live { Some(state?) } else { state.ok() };
        let lock = match &state {
            Some(state) if mode == Mode::Live => match state.lock(kind.may_hold_lock(allowed))? {
                Some(lock) => Some(lock),
                None => return Ok(None),
            },
            _ => None,
        };
        let directory = match &state {
            Some(state) => state.directory().to_path_buf(),
            None => state::directory(configured),
        };
        // A run whose --now precedes the last report neither reads nor writes the state.
        let state = state.filter(|state| common.now.is_none() || state.last().is_none_or(|last| last.time <= now));
        let mut session = Self {
            program,
            setup,
            mode,
            now,
            time: 0,
            began,
            allowed,
            directory,
            is_replayed: common.now.is_some(),
            state,
            problems: Vec::new(),
            report: Report::default(),
            lock,
        };
        session.begin(now, began);
        Ok(Some(session))
    }

    /// Begins a run of the session: of a cron program the only one, of a service the next tick.
    pub(super) fn begin(&mut self, now: i64, began: Instant) {
        (self.now, self.time, self.began) = (now, self.slot(now) * SECOND, began);
        self.problems = Vec::new();
        self.report = Report { time: now, ..Report::default() };
    }

    /// The slot that a clock falls into, in unix seconds.
    pub(super) fn slot(&self, now: i64) -> i64 {
        now.div_euclid(self.interval_seconds()) * self.interval_seconds()
    }

    /// The seconds between two runs.
    pub(super) fn interval_seconds(&self) -> i64 {
        self.setup.interval_seconds.unwrap_or(self.program.interval_seconds)
    }

    /// When the run must have ended.
    pub fn deadline(&self) -> Instant {
        self.began + self.allowed
    }

    /// When the sources must have ended.
    pub fn sources_until(&self) -> Instant {
        self.deadline() - FOR_SINKS.min(self.allowed / 2)
    }

    /// When the sinks must have ended. The rest is for the report, and so that the errors of the sinks come before the
    /// watchdog's last line.
    pub fn sinks_until(&self) -> Instant {
        self.deadline() - FOR_REPORT.min(self.allowed / 10)
    }

    /// Whether the run delivers its points and keeps its state.
    pub(super) fn is_live(&self) -> bool {
        self.mode == Mode::Live
    }

    /// The lines of `--check`: the config, the program's sources (`sources`), the roles, and every sink.
    pub(super) fn check(&self, sources: Vec<CheckLine>) -> Vec<CheckLine> {
        let config = self.setup.config_path.as_ref();
        let config = config.map_or("no file, all defaults".into(), |path| path.display().to_string());
        let mut lines = vec![("config".to_string(), Ok(config))];
        lines.extend(sources);
        lines.push(("roles".into(), Ok(self.setup.roles.clone())));
        for sink in (self.setup.sinks)(&self.directory) {
            let checked = sink.check(self.sinks_until()).map_err(|error| format!("{error:#}"));
            lines.push((sink.name().into(), checked));
        }
        lines
    }

    /// What an earlier run remembered as `what`; the default when no run did.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> T {
        self.state.as_ref().map(|state| state.recall(what)).unwrap_or_default()
    }

    /// Remembers `value` as `what` for later runs. Under `--dry-run` nothing is written.
    pub fn remember<T: Serialize>(&mut self, what: &str, value: &T) {
        let state = self.state.as_ref().filter(|_| self.is_live());
        if let Some(Err(error)) = state.map(|state| state.remember(what, value)) {
            self.problems
                .push(Problem::new(Subject::Memory(what.into()), format!("{error:#}; the next run starts without it")));
        }
    }

    /// Notes the points that were dropped, by name.
    pub(super) fn note_dropped(&mut self, dropped: &[Dropped], all: bool) {
        self.problems.extend(dropped_problem(dropped, all));
        self.report.dropped = Report::names(dropped);
    }

    /// Prints what is to be said, writes the report, and releases the lock.
    pub(super) fn finish(mut self, verbose: bool) -> ExitCode {
        // A person at a terminal wants to see what is wrong now, and so does everybody while there is no state.
        let always = verbose || !self.is_live() || self.state.is_none() || io::stderr().is_terminal();
        let success = self.conclude(verbose, if always { Repeat::Always } else { Repeat::Hourly });
        drop(self.lock);
        if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Prints what is to be said of this run and keeps its report. Returns whether all of it went well.
    pub(super) fn conclude(&mut self, verbose: bool, repeat: Repeat) -> bool {
        if verbose {
            self.tell();
        }
        let slot = Timestamp::from_second(self.time / SECOND)
            .map(|slot| slot.strftime("%H:%M UTC").to_string())
            .unwrap_or_default();
        let is_live = self.is_live();
        let nothing = BTreeMap::new();
        let before = self.state.as_ref().and_then(State::last).map_or(&nothing, |last| &last.failing);
        let before = if is_live { before } else { &nothing };
        let (lines, failing) = notify(before, &self.problems, self.now, repeat);
        let success = self.problems.is_empty();
        let lines: Vec<_> =
            lines.into_iter().map(|line| if success { line } else { format!("{line}, at {slot}") }).collect();
        complain(self.program, &lines);

        let mut report = std::mem::take(&mut self.report);
        report.success = success;
        report.failing = failing;
        report.duration_seconds = self.began.elapsed().as_secs_f64();
        let mut kept = Ok(());
        if let Some(state) = self.state.as_mut().filter(|_| is_live) {
            kept = state.add(report);
        }
        if let Err(error) = &kept {
            complain(self.program, &[format!("{error:#}; the report of this run is lost")]);
        }
        success && kept.is_ok()
    }

    fn tell(&self) {
        let Report { collected, sources, sinks: accounts, .. } = &self.report;
        let mut lines: Vec<_> = sources.iter().map(|(source, seconds)| format!("{source} took {seconds} s")).collect();
        let slot = Timestamp::from_second(self.time / SECOND).unwrap_or_default();
        lines.push(format!("collected {collected} points for {slot}"));
        for (sink, account) in accounts {
            let Account { delivered, spooled, dropped, replayed, backlog } = account;
            lines.push(format!(
                "{sink}: {collected} collected = {delivered} delivered + {spooled} spooled + {dropped} dropped; {replayed} replayed, {} wait",
                backlog.points
            ));
        }
        complain(self.program, &lines);
    }
}

/// Prints lines to standard error in one write, so that the output of 50 programs at once stays readable.
pub(super) fn complain(program: &Program, lines: &[String]) {
    let text = lines.iter().fold(String::new(), |text, line| format!("{text}{}: {}\n", program.name, one_line(line)));
    // If nobody reads it, there is no other place to report that.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// One problem for all dropped points: the first ones by name, or all of them.
fn dropped_problem(dropped: &[Dropped], all: bool) -> Option<Problem> {
    const NAMED: usize = 3;
    if dropped.is_empty() {
        return None;
    }
    let named = if all { dropped.len() } else { NAMED };
    let names: Vec<_> =
        dropped.iter().take(named).map(|dropped| format!("{} ({})", dropped.name, dropped.why)).collect();
    let more = dropped.len().saturating_sub(named);
    let more = if more > 0 { format!(" and {more} more, which --verbose names") } else { String::new() };
    Some(Problem::new(Subject::DroppedPoints, format!("{}{more}", names.join(", "))))
}
