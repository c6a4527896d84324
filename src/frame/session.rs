//! One run of a program: its clock, state, sinks and catalog.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Common, Mode};
use super::clock::SteadyClock;
use super::listing::CheckLine;
use super::mail;
use super::output::complain;
use super::report::Report;
use super::state::{self, Lock, State};
use crate::delivery::Account;
use crate::model::{Catalog, Dropped, Measurement, SECOND, TableInfo, is_ahead};
use crate::os::files::host_name;
use crate::os::mail::Server;
use crate::os::work::catch;
use crate::problem::{Problem, Repeat, Subject, failures, fold, notify};
use crate::sinks::{MakeSinks, MakeTables, Sink, Tables};
use crate::spool;
use crate::text::cut;

/// The frame's description of a program.
#[derive(Debug)]
pub struct Program {
    /// Its name, the first word of every line that it prints to stderr.
    pub name: &'static str,
    /// The default interval between two runs, in seconds. Times of points are rounded down to it, so that a late start
    /// causes neither a duplicate nor a gap.
    pub interval_seconds: i64,
    /// The default deadline of a run, in seconds.
    pub deadline_seconds: u64,
    /// Its sources, in the order in which their failures are printed.
    pub sources: &'static [&'static str],
    /// The measurements that it sends, besides coverage and the report of its last run.
    pub measurements: &'static [&'static Measurement],
}

/// How a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cron starts it for each run.
    Cron,
    /// It runs permanently.
    Service,
}

impl Kind {
    /// Returns how long a healthy process of this kind may hold its lock.
    fn may_hold_lock(self, allowed: Duration) -> Duration {
        match self {
            Self::Cron => allowed,
            Self::Service => Duration::from_secs(u32::MAX.into()),
        }
    }
}

/// The parts that the config selects, passed from setup/ to the frame.
pub struct Setup {
    /// The config file; `None` if there is no file and every setting is a default.
    pub config_path: Option<PathBuf>,
    /// The scope of the lock, state and reports: the grid's name.
    pub scope: String,
    /// The deadline of a run, in seconds; `None` for the program's default.
    pub deadline_seconds: Option<u64>,
    /// The interval between two runs, in seconds; `None` for the program's default.
    pub interval_seconds: Option<i64>,
    /// The state directory; `None` for the default.
    pub state_directory: Option<PathBuf>,
    /// The limits of the spool.
    pub spool: spool::Config,
    /// Every measurement of this build.
    pub catalog: Catalog,
    /// The database of this run's points, for sinks that have several; empty for the one in the config.
    pub database: String,
    /// Which role goes where, for `--check`.
    pub roles: String,
    /// Makes the sinks that points go to, given the state directory.
    pub sinks: MakeSinks,
    /// The mail server that is told of lasting failures; `None` for no mail.
    pub mail: Option<Server>,
    /// The tables that the program uses; `None` if it uses none.
    pub tables: Option<DeclaredTables>,
}

/// The tables that a program uses.
pub struct DeclaredTables {
    /// Which they are.
    pub declared: &'static [&'static TableInfo],
    /// Makes the database that keeps them, given the state directory.
    pub make: MakeTables,
}

impl Setup {
    /// Returns the time limit of a run.
    pub(super) fn allowed(&self, program: &Program) -> Duration {
        Duration::from_secs(self.deadline_seconds.unwrap_or(program.deadline_seconds))
    }
}

/// The time for the sinks, between the end of the sources and the end of the run.
const FOR_SINKS: Duration = Duration::from_secs(15);

/// The last part of that time, for the report; the sinks must have ended.
const FOR_REPORT: Duration = Duration::from_secs(1);

/// The time for a mail, before the report's, if the config names a mail server.
const FOR_MAIL: Duration = Duration::from_secs(5);

/// A running program.
pub struct Session {
    /// The program.
    pub program: &'static Program,
    /// The parts that the config selects.
    pub setup: Setup,
    /// How it runs.
    kind: Kind,
    /// Whether points are delivered, shown or only checked.
    pub mode: Mode,
    /// The run's clock, in unix seconds.
    pub now: i64,
    /// The time of the run's points, in nanoseconds.
    pub time: i64,
    /// When the run began.
    pub began: Instant,
    /// The time limit of the run.
    pub allowed: Duration,
    /// The state directory.
    pub directory: PathBuf,
    /// Whether the clock was given with `--now`.
    pub(super) is_replayed: bool,
    /// The clock by which what is kept grows old.
    pub(super) steady: SteadyClock,
    /// `None` if the state is neither read nor written.
    pub(super) state: Option<State>,
    pub(super) problems: Vec<Problem>,
    pub(super) report: Report,
    lock: Option<Lock>,
    /// How the last run died, until it is printed.
    death: Option<String>,
    /// The subjects of failures of the last run about which nobody knows any more.
    forgotten: BTreeSet<String>,
    /// Whether the last report could not be kept.
    is_unkept: bool,
}

impl Session {
    /// Opens the state and takes the lock of this program and scope.
    ///
    /// Returns `None` if another run holds the lock; a service may hold it for any length of time.
    ///
    /// # Errors
    /// Fails if the state cannot be opened, or if a cron run holds the lock beyond its deadline.
    pub fn open(
        program: &'static Program,
        common: &Common,
        now: i64,
        kind: Kind,
        setup: Setup,
    ) -> Result<Option<Self>> {
        Self::open_as(common.mode(), program, common, now, kind, setup)
    }

    /// Opens it as [`Session::open`] does, in another mode than the flags ask for.
    pub(super) fn open_as(
        mode: Mode,
        program: &'static Program,
        common: &Common,
        now: i64,
        kind: Kind,
        setup: Setup,
    ) -> Result<Option<Self>> {
        let began = Instant::now();
        let allowed = setup.allowed(program);
        let configured = setup.state_directory.as_deref();
        let state = State::open(configured, program.name, &setup.scope, mode == Mode::Live);
        // --dry-run and --check work without a state.
        let mut state = if mode == Mode::Live { Some(state?) } else { state.ok() };
        let lock = match &mut state {
            Some(state) if mode == Mode::Live => match state.lock(kind.may_hold_lock(allowed))? {
                Some(lock) => Some(lock),
                None => return Ok(None),
            },
            _ => None,
        };
        let death = lock.as_ref().and_then(|lock| lock.death.as_ref()).filter(|death| {
            // A run that was killed after its report lacks nothing. A service reports at each tick.
            kind == Kind::Service || state.as_ref().and_then(State::reported).is_none_or(|at| at < death.began)
        });
        let death = death.map(|death| death.message.clone());
        let directory = match &state {
            Some(state) => state.directory().to_path_buf(),
            None => state::directory(configured),
        };
        // A run whose --now precedes the last report, or is still to come, neither reads nor writes the state.
        let is_ahead = common.now.is_some_and(|now| is_ahead(now, Timestamp::now().as_second()));
        let state =
            state.filter(|state| common.now.is_none() || !is_ahead && state.last().is_none_or(|last| last.time <= now));
        let mut session = Self {
            program,
            setup,
            kind,
            mode,
            now,
            time: 0,
            began,
            allowed,
            directory,
            is_replayed: common.now.is_some(),
            steady: SteadyClock { running: 0, time: now },
            state,
            problems: Vec::new(),
            report: Report::default(),
            lock,
            death,
            forgotten: BTreeSet::new(),
            is_unkept: false,
        };
        session.begin(now, began);
        Ok(Some(session))
    }

    /// Begins a run of the session: the only run of a cron program, or the next tick of a service.
    pub(super) fn begin(&mut self, now: i64, began: Instant) {
        (self.now, self.time, self.began) = (now, self.slot(now) * SECOND, began);
        let interval = self.interval_seconds();
        self.problems = Vec::new();
        if self.is_live() {
            self.problems.extend(self.state.as_mut().into_iter().flat_map(|state| state.problems(now, interval)));
            let left_behind = state::left_behind(self.setup.state_directory.as_deref());
            self.problems.extend(left_behind.map(|message| Problem::new(Subject::FormerState, message)));
        }
        self.steady = self.steady_clock();
        self.report = Report { host: host_name(), time: now, interval_seconds: Some(interval), ..Report::default() };
    }

    /// Returns the time by which what a source remembers grows old, in unix seconds: `--now`, or else the wall clock, held
    /// back when it jumps ahead.
    pub(super) fn memory_time(&self) -> i64 {
        if self.is_replayed { self.now } else { self.steady.time }
    }

    /// Returns the slot of a time, both in unix seconds.
    pub(super) fn slot(&self, now: i64) -> i64 {
        now.div_euclid(self.interval_seconds()) * self.interval_seconds()
    }

    /// Returns the interval between two runs, in seconds.
    pub(super) fn interval_seconds(&self) -> i64 {
        self.setup.interval_seconds.unwrap_or(self.program.interval_seconds)
    }

    /// Returns the time by which the run must end.
    pub fn deadline(&self) -> Instant {
        self.began + self.allowed
    }

    /// Returns the time by which the sources must end.
    pub fn sources_until(&self) -> Instant {
        self.deadline() - FOR_SINKS.min(self.allowed / 2)
    }

    /// Returns the time by which the sinks must end. The rest of the run is for the report, and lets the errors of the
    /// sinks appear before the watchdog's last line.
    pub fn sinks_until(&self) -> Instant {
        let for_mail = if self.setup.mail.is_some() { FOR_MAIL.min(self.allowed / 10) } else { Duration::ZERO };
        self.deadline() - FOR_REPORT.min(self.allowed / 10) - for_mail
    }

    /// Returns the time by which a mail must have been sent.
    fn mail_until(&self) -> Instant {
        self.deadline() - FOR_REPORT.min(self.allowed / 10) / 2
    }

    /// Whether the run delivers its points and keeps its state.
    pub(super) fn is_live(&self) -> bool {
        self.mode == Mode::Live
    }

    /// Returns the lines of `--check`: the config, the program's sources (`sources`), the roles, and every sink.
    pub(super) fn check(&self, sources: Vec<CheckLine>) -> Vec<CheckLine> {
        let config = self.setup.config_path.as_ref();
        let config = config.map_or("no file, all defaults".into(), |path| path.display().to_string());
        let mut lines = vec![("config".to_string(), Ok(config))];
        lines.extend(sources);
        if let Some(problem) = state::refusal(&self.directory, self.program.name) {
            lines.push(("state".into(), Err(problem)));
        } else if let Err(problem) = spool::Directory::ensure(&self.directory.join("spool")) {
            // A run sends its own points without it, and loses what cannot be sent.
            lines.push(("spool".into(), Err(format!("{problem:#}"))));
        }
        lines.push(("roles".into(), Ok(self.setup.roles.clone())));
        lines.extend(self.ask_sinks(|sink, until| sink.check(until)));
        lines.extend(self.setup.mail.as_ref().map(|server| {
            let left = mail::LONGEST.min(self.mail_until().saturating_duration_since(Instant::now()));
            ("mail".into(), server.check(left).map_err(|error| format!("{error:#}")))
        }));
        lines.extend(self.ask_tables(|tables, table, until| tables.check(table, until)));
        lines
    }

    /// Returns the lines of `--setup`: what each sink needed and has now.
    pub(super) fn set_up(&self) -> Vec<CheckLine> {
        let mut lines = Vec::new();
        // As a run would, which may be the next thing that is started.
        if !self.directory.exists() {
            let made = state::prepare(&self.directory, self.program.name);
            let line = made.map(|()| format!("made {}", self.directory.display()));
            lines.push(("state".into(), line.map_err(|error| format!("{error:#}"))));
        }
        lines.extend(self.ask_sinks(|sink, until| sink.setup(until)));
        lines.extend(self.ask_tables(|tables, table, until| tables.setup(table, until)));
        lines
    }

    fn ask_tables(&self, ask: impl Fn(&dyn Tables, &'static TableInfo, Instant) -> Result<String>) -> Vec<CheckLine> {
        let Some(DeclaredTables { declared, make }) = &self.setup.tables else { return Vec::new() };
        let tables = make(&self.directory);
        let line = |table: &&'static TableInfo| {
            let asked = catch(|| ask(tables.as_ref(), table, self.sinks_until())).flatten();
            (format!("{}, table {}", tables.name(), table.name), asked.map_err(|error| format!("{error:#}")))
        };
        declared.iter().map(line).collect()
    }

    fn ask_sinks(&self, ask: impl Fn(&dyn Sink, Instant) -> Result<String>) -> Vec<CheckLine> {
        let line = |sink: Box<dyn Sink>| {
            let asked = catch(|| ask(sink.as_ref(), self.sinks_until())).flatten();
            (sink.name().into(), asked.map_err(|error| format!("{error:#}")))
        };
        (self.setup.sinks)(&self.directory).into_iter().map(line).collect()
    }

    /// Returns what failed in the last run of this host: subjects and messages.
    pub(super) fn failed_before(&self) -> Vec<(String, String)> {
        let last = self.state.as_ref().and_then(State::last_here);
        let failing = last.into_iter().flat_map(|last| &last.failing);
        failing.map(|(subject, state)| (subject.clone(), state.message.clone())).collect()
    }

    /// Forgets failures of the last run: it is not said that they are over.
    pub(super) fn forget(&mut self, subjects: BTreeSet<String>) {
        self.forgotten = subjects;
    }

    /// Returns the value that an earlier run stored as `what`, or the default.
    pub fn recall<T: DeserializeOwned + Default>(&mut self, what: &str) -> T {
        let value = self.state.as_ref().map(|state| state.recall(what));
        value.unwrap_or_else(|| Ok(T::default())).unwrap_or_else(|error| {
            // Another user may look without being allowed to read it.
            if self.is_live() {
                let message = format!("{error:#}; this run goes on without it");
                self.problems.push(Problem::new(Subject::Memory(what.into()), message));
            }
            T::default()
        })
    }

    /// Stores `value` as `what` for later runs; does nothing under `--dry-run`. Returns whether it is stored.
    pub fn remember<T: Serialize>(&mut self, what: &str, value: &T) -> bool {
        let state = self.state.as_ref().filter(|_| self.is_live());
        let kept = state.map(|state| state.remember(what, value));
        if let Some(Err(error)) = &kept {
            self.problems
                .push(Problem::new(Subject::Memory(what.into()), format!("{error:#}; the next run starts without it")));
        }
        matches!(kept, Some(Ok(())))
    }

    /// Returns the clock by which what is kept grows old; keeps it for the next run.
    fn steady_clock(&mut self) -> SteadyClock {
        let wall = Timestamp::now().as_second();
        if !self.is_live() {
            return SteadyClock::look(&self.directory, wall);
        }
        let (clock, kept) = SteadyClock::advance(&self.directory, wall);
        if let Err(error) = kept {
            let message = format!("{error:#}; [spool] max_age_days does not count the time until it can be kept");
            self.problems.push(Problem::new(Subject::Memory("clock".into()), message));
        }
        clock
    }

    /// Adds a problem for the dropped points, by name.
    pub(super) fn note_dropped(&mut self, dropped: &[Dropped], all: bool) {
        self.problems.extend(dropped_problem(dropped, all, self.kind));
        self.report.dropped = Report::names(dropped);
    }

    /// Writes the report, releases the lock, and prints the problems of the run.
    pub(super) fn finish(mut self, verbose: bool) -> ExitCode {
        // A user at a terminal wants to see all current failures; without a state there are no earlier ones to compare with.
        let always = verbose || !self.is_live() || self.state.is_none() || io::stderr().is_terminal();
        let (success, lines) = self.conclude(verbose, if always { Repeat::Always } else { Repeat::Hourly });
        // Whoever reads standard error slowly, or not at all, must not keep the next run from its work.
        drop(self.lock);
        complain(self.program.name, &lines);
        if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Stores the report of this run. Returns whether everything succeeded, and the lines to print.
    pub(super) fn conclude(&mut self, verbose: bool, repeat: Repeat) -> (bool, Vec<String>) {
        let mut said: Vec<_> = self.death.take().into_iter().collect();
        said.extend(self.tell().into_iter().filter(|_| verbose));
        let slot = Timestamp::from_second(self.time / SECOND)
            .map(|slot| slot.strftime("%H:%M UTC").to_string())
            .unwrap_or_default();
        let is_live = self.is_live();
        let nothing = BTreeMap::new();
        let before = self.state.as_ref().and_then(State::last_here).map_or(&nothing, |last| &last.failing);
        let mut before = Cow::Borrowed(if is_live { before } else { &nothing });
        let forgotten = std::mem::take(&mut self.forgotten);
        if !forgotten.is_empty() {
            before.to_mut().retain(|subject, _| !forgotten.contains(subject));
        }
        let (lines, failing) = notify(&before, &self.problems, self.now, repeat);
        // The log of a service is the only place where each is named.
        let lines = if verbose || repeat == Repeat::Never { lines } else { fold(lines) };
        let success = failures(&self.problems).next().is_none();
        let said_at = |line| if success { format!("{line}") } else { format!("{line}, at {slot}") };
        said.extend(lines.iter().map(said_at));

        let mut report = std::mem::take(&mut self.report);
        report.success = success;
        report.failing = failing;
        report.duration_seconds = self.began.elapsed().as_secs_f64();
        let mut kept = Ok(());
        if let Some(state) = self.state.as_mut().filter(|_| is_live) {
            kept = state.add(report);
        }
        // A service says it once, and not at each of its batches.
        match &kept {
            Err(error) if !self.is_unkept => said.push(format!("{error:#}; the report of this run is lost")),
            Ok(()) if self.is_unkept => said.push("the reports of runs are kept again".into()),
            _ => {}
        }
        self.is_unkept = kept.is_err();
        said.extend(self.tell_by_mail());
        (success && kept.is_ok(), said)
    }

    /// Sends the mail that this run must send. Returns what is to be printed about it.
    fn tell_by_mail(&self) -> Vec<String> {
        let (Some(server), Some(state)) = (&self.setup.mail, self.state.as_ref().filter(|_| self.is_live())) else {
            return Vec::new();
        };
        let (scope, host) = (self.setup.scope.as_str(), host_name());
        let origin = mail::Origin { program: self.program.name, scope, host: &host, now: self.now };
        mail::tell(state, server, &self.problems, &origin, self.mail_until())
    }

    /// Returns the lines of `--verbose`.
    fn tell(&self) -> Vec<String> {
        let Report { collected, sources, sinks: accounts, .. } = &self.report;
        let mut lines: Vec<_> = sources.iter().map(|(source, seconds)| format!("{source} took {seconds} s")).collect();
        let slot = Timestamp::from_second(self.time / SECOND).unwrap_or_default();
        lines.push(format!("collected {collected} points for {slot}"));
        for (sink, account) in accounts {
            let Account { delivered, spooled, dropped, replayed, superseded, backlog } = account;
            lines.push(format!(
                "{sink}: {collected} collected = {delivered} delivered + {spooled} spooled + {dropped} dropped; {replayed} replayed, {}{} wait",
                if *superseded > 0 { format!("{superseded} superseded, ") } else { String::new() },
                backlog.points
            ));
        }
        lines
    }
}

/// Returns one problem for all dropped points, with the first names or all of them.
fn dropped_problem(dropped: &[Dropped], all: bool, kind: Kind) -> Option<Problem> {
    const NAMED: usize = 3;
    if dropped.is_empty() {
        return None;
    }
    let named = if all { dropped.len() } else { NAMED };
    let names: Vec<_> =
        dropped.iter().take(named).map(|dropped| format!("{} ({})", cut(&dropped.name), dropped.why)).collect();
    let more = dropped.len().saturating_sub(named);
    let more = match kind {
        _ if more == 0 => String::new(),
        Kind::Cron => format!(" and {more} more, which --verbose names"),
        Kind::Service => format!(" and {more} more"),
    };
    Some(Problem::new(Subject::DroppedPoints, format!("{}{more}", names.join(", "))))
}
