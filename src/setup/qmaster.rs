//! Composes qmaster: reads its config, and hands what its listener receives to the frame.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::{Config, SECTIONS, sections};
use crate::config::{self, Key, Kind, Section, Sections, Unknown, Unset, Values};
use crate::frame::{Committer, Daemon, Intake, Program, Receiving, own};
use crate::listener::{self, Accept, Busy, Done, Listener};
use crate::model::Point;
use crate::sinks::graphite::carbon;

/// The program.
pub static PROGRAM: Program = Program {
    name: "qmaster",
    interval_seconds: 60,
    deadline_seconds: 60,
    sources: &[],
    measurements: &[&own::SERVICE, &own::SERVICE_RECEIVED],
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
    let unknown = |path: &Path| if is_qulos(path) { Unknown::Named } else { Unknown::Refused };
    config::open_among(path, &SEARCHED, WITH_GRAPHITE, unknown)
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
    let listener = Listener::start(config, Arc::new(ToSpool(committer)), state)?;
    let (description, problems) = (listener.describe(), listener.problems());
    Ok(Receiving { description, problems: Box::new(problems), stop: Box::new(move || listener.stop()) })
}

/// Puts what is received into the spool.
struct ToSpool(Arc<Committer>);

impl Accept for ToSpool {
    fn accept(&self, points: Vec<Point>, done: Done) -> Result<(), Busy> {
        self.0.offer(points, done).map_err(|busy| (busy.why, busy.retry_after))
    }

    fn problem(&self) -> Option<String> {
        self.0.full()
    }

    fn progress(&self) -> [u64; 3] {
        let committed = self.0.committed();
        [committed.points, committed.batches, committed.waiting as u64]
    }
}
