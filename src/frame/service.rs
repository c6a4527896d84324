//! Runs a service: one tick per interval, published like a run of a cron program.
//!
//! After a signal the current tick finishes and its points are published; the service then exits with 0. A second
//! signal, or a tick beyond its deadline, ends the process at once. It logs changes of state, not ticks.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::args::{Common, Mode};
use super::cron::{Run, collected, cron, open};
use super::listing::CheckLine;
use super::output::complain;
use super::process::exit_code;
use super::publish::publish;
use super::session::{Kind, Program, Session, Setup};
use super::watchdog::{FirstSignal, Watchdog};
use crate::model::Collected;
use crate::problem::Repeat;

/// The clock of a service, which tests replace.
pub trait Clock {
    /// Returns the time in unix seconds.
    fn now(&self) -> i64;

    /// Waits until the clock shows `time`, or until `is_told_to_end`, which waits at most for the given duration,
    /// returns true.
    fn wait(&self, time: i64, is_told_to_end: &dyn Fn(Duration) -> bool);
}

/// The clock of this machine.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        Timestamp::now().as_second()
    }

    fn wait(&self, time: i64, is_told_to_end: &dyn Fn(Duration) -> bool) {
        // Waits once, by a clock that cannot be set; the caller then looks at the wall clock again.
        let now = Timestamp::now();
        let left = Timestamp::from_second(time).map(|time| time.duration_since(now)).unwrap_or_default();
        is_told_to_end(left.try_into().unwrap_or_default());
    }
}

/// Runs a service: `load` reads the config, `tick` collects, `check` contacts the sources. With `--dry-run`, `--check`,
/// `--list` or `--now` it runs once, like a cron program.
pub fn service<C: Sync>(
    program: &'static Program,
    common: &Common,
    clock: &dyn Clock,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(C, Setup)>,
    mut tick: impl FnMut(&Run<C>) -> Collected,
    check: impl FnOnce(&C, Instant) -> Vec<CheckLine>,
) -> ExitCode {
    if common.list || common.now.is_some() || common.mode() != Mode::Live {
        return cron(program, common, load, tick, check);
    }
    exit_code(program.name, || {
        let (config, setup, watchdog) = match open(program, common, load) {
            Ok(started) => started,
            Err(code) => return code,
        };
        watchdog.on_first_signal(FirstSignal::Asks);
        match serve(program, common, clock, setup, watchdog, |session| tick(&Run::new(&config, session))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(program.name, &[format!("{error:#}")]);
                ExitCode::FAILURE
            }
        }
    })
}

/// Runs ticks until a signal arrives.
fn serve(
    program: &'static Program,
    common: &Common,
    clock: &dyn Clock,
    setup: Setup,
    watchdog: &Watchdog,
    mut collect: impl FnMut(&mut Session) -> Collected,
) -> Result<()> {
    let scope = setup.scope.clone();
    let Some(mut session) = Session::open(program, common, clock.now(), Kind::Service, setup)? else {
        bail!("another {} runs for {scope} already; end it first", program.name);
    };
    let mut last = None;
    loop {
        let now = clock.now();
        let slot = session.slot(now);
        if last == Some(slot) {
            clock.wait(slot + session.interval_seconds(), &|limit| watchdog.is_told_to_end(limit));
        }
        if watchdog.is_told_to_end(Duration::ZERO) {
            return Ok(());
        }
        if last == Some(slot) {
            continue;
        }
        last = Some(slot);
        session.begin(now, Instant::now());
        watchdog.expect_end(Some((session.deadline(), session.allowed)));
        watchdog.names(None);
        let collected = collected(&mut session, &mut collect);
        let until = session.sinks_until();
        let dropped = publish(&mut session, collected, until);
        session.note_dropped(&dropped, common.verbose);
        let (_, lines) = session.conclude(common.verbose, if common.verbose { Repeat::Always } else { Repeat::Never });
        complain(program.name, &lines);
        watchdog.expect_end(None);
    }
}
