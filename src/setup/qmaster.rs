//! Composes qmaster: reads its config, and hands what its listener receives to the frame.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Result, bail};

use super::{Config, SECTIONS, sections};
use crate::config::{self, Dialect, Key, Kind, Section, Sections, Unset, Values};
use crate::frame::{Committer, Daemon, Intake, Program, Receiving, own};
use crate::listener::{self, Accept, Busy, Done, Listener};
use crate::model::Point;
use crate::monitors::nodes::{agent, central};
use crate::problem::Problem;
use crate::sinks::graphite::carbon;
use crate::sources::agents::status::AgentRecord;

/// The program.
pub static PROGRAM: Program = Program {
    name: "qmaster",
    interval_seconds: 60,
    deadline_seconds: 60,
    sources: &[],
    measurements: &[&own::SERVICE, &own::SERVICE_RECEIVED, &agent::NODE_AGENT],
};

/// The program as a daemon, with QULo's pid file.
pub static DAEMON: Daemon = Daemon { program: PROGRAM.name, pidfile: "/run/qmaster.pid", reloads: false };

/// The configs that are looked for: QULo's, and the toolkit's.
const SEARCHED: [&str; 2] = ["/etc/qulo/qmaster.conf", config::SEARCHED[1]];

/// `[Graphite]` of QULo's `qmaster.conf`; in config.cfg the same is said by `[carbon]`.
const GRAPHITE: Section = Section::new(
    "Graphite",
    "Where QULo's master sent what it received.",
    &[
        Key::new("host", Kind::Host, Unset::Default("localhost"), "The host of Carbon's pickle receiver."),
        Key::new("port", Kind::Port, Unset::Default("2004"), "Its port.").or(&["carbon receiver pickle port"]),
        Key::new("send", Kind::Word(&["yes", "no"]), Unset::Default("yes"), "Whether anything is sent there."),
    ],
)
.in_any_case();

/// The sections that qmaster's config may have.
const WITH_GRAPHITE: &[&Section] = &sections::joined::<{ SECTIONS.len() + 1 }>(&[SECTIONS, &[&GRAPHITE]]);

/// Whether a config is QULo's, by its name.
fn is_qulos(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "qmaster.conf")
}

fn open(path: Option<&Path>) -> Result<Sections> {
    let dialect = |path: &Path| if is_qulos(path) { Dialect::Qulos } else { Dialect::Own };
    config::open_among(path, &SEARCHED, WITH_GRAPHITE, dialect)
}

/// Reads the config of qmaster.
///
/// In QULo's file Graphite is on, as it was: at `[Graphite] host`, unless `[Graphite] send = no` or `[carbon]` says where.
///
/// # Errors
/// As [`Config::load`].
pub fn load(path: Option<&Path>) -> Result<Intake<listener::Config>> {
    let sections = open(path)?;
    let mut config = Config::read(&sections)?;
    let is_on = sections.path().is_some_and(is_qulos) || sections.contains(&GRAPHITE);
    // Its own address is no place to send to.
    config.qmaster = config.forward.take();
    if config.carbon.is_none() && is_on {
        config.carbon = original_carbon(&sections.values(&GRAPHITE))?;
    }
    let setup = config.setup(&PROGRAM, sections::timing(&sections, SECTIONS, PROGRAM.name)?);
    Ok(Intake { setup, logging: config.logging, warnings: sections.left_out().to_vec(), config: config.listener })
}

/// Returns the Carbon that `[Graphite]` names.
fn original_carbon(values: &Values) -> Result<Option<carbon::Config>> {
    let (host, port) = (values.needed("host")?, values.port("port")?);
    let (acknowledge, timeout_seconds) = (carbon::Acknowledge::Fin, 10);
    let config = carbon::Config { shown_host: host.clone(), host, port, acknowledge, timeout_seconds, graphite: None };
    Ok((values.word("send")? == "yes").then_some(config))
}

/// Begins to receive points for `committer`.
///
/// # Errors
/// As [`Listener::start`].
pub fn receive(config: listener::Config, committer: Arc<Committer>, state: &Path) -> Result<Receiving> {
    let settings = Arc::new(config.agents_config.clone().map(Settings::new));
    let listener = Listener::start(config, Arc::new(ToSpool(committer, Arc::clone(&settings))), state)?;
    let (description, mut refused, mut agents) = (listener.describe(), listener.problems(), listener.agents());
    let problems = move || {
        let mut problems = refused();
        problems.extend(settings.as_ref().as_ref().and_then(Settings::problem));
        problems
    };
    let points = move |time| agents().iter().map(|heard| agent_point(time, heard)).collect();
    let (problems, points) = (Box::new(problems), Box::new(points));
    Ok(Receiving { description, problems, points, stop: Box::new(move || listener.stop()) })
}

fn agent_point(time: i64, AgentRecord { status, .. }: &AgentRecord) -> Point {
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (lag, backlog) = (agent::LAG.of(int(status.lag_seconds)), agent::BACKLOG.of(int(status.backlog_points)));
    let sensors = agent::SENSORS.of(int(status.sensors.len() as u64));
    agent::NODE_AGENT.point(time, [&status.host, &status.version], &[lag, backlog, sensors])
}

/// The file `[qmaster] agents_config`, read again when it has changed.
struct Settings {
    path: PathBuf,
    read: Mutex<Read>,
}

/// What was read last.
#[derive(Default)]
struct Read {
    /// Size and time of the file.
    stamp: Option<(u64, SystemTime)>,
    /// The newest good text.
    text: String,
    /// Why what stands in the file now is not used.
    problem: Option<String>,
}

impl Settings {
    fn new(path: PathBuf) -> Self {
        let settings = Self { path, read: Mutex::default() };
        drop(settings.current());
        settings
    }

    /// Reads the file if it has changed. What is wrong in it is named, and the last good text stays.
    fn current(&self) -> MutexGuard<'_, Read> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.path.metadata().and_then(|there| Ok((there.len(), there.modified()?))).ok();
        if stamp.is_some() && read.stamp == stamp {
            return read;
        }
        let name = self.path.display().to_string();
        let text = config::trusted(&self.path).and_then(|text| {
            // Everything is checked, whichever hosts there are.
            central::for_host(&text, &name, "")?;
            Ok(text)
        });
        read.problem = text.as_ref().err().map(|error| format!("{error:#}; agents keep what they have"));
        if let Ok(text) = text {
            read.text = text;
        }
        read.stamp = stamp;
        read
    }

    fn problem(&self) -> Option<Problem> {
        self.current().problem.clone().map(|problem| Problem::of_source("agents_config", problem))
    }

    fn of(&self, host: &str) -> Result<String> {
        let read = self.current();
        if let Some(problem) = read.problem.as_ref().filter(|_| read.text.is_empty()) {
            bail!("{problem}");
        }
        let text = read.text.clone();
        drop(read);
        central::for_host(&text, &self.path.display().to_string(), host)
    }
}

/// Puts what is received into the spool.
struct ToSpool(Arc<Committer>, Arc<Option<Settings>>);

impl Accept for ToSpool {
    fn accept(&self, points: Vec<Point>, done: Done) -> Result<(), Busy> {
        self.0.offer(points, done).map_err(|busy| (busy.why, busy.retry_after))
    }

    fn problem(&self) -> Option<String> {
        self.0.full()
    }

    fn settings(&self, host: &str) -> Result<String> {
        self.1.as_ref().as_ref().map_or_else(|| Ok(String::new()), |settings| settings.of(host))
    }

    fn progress(&self) -> [u64; 3] {
        let committed = self.0.committed();
        [committed.points, committed.batches, committed.waiting as u64]
    }
}
