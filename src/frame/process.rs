//! What every program does before it touches anything from outside.

use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::log;
use super::output::{complain, say_at_once};
use super::session::Program;
use super::watchdog::{FirstSignal, Watchdog};
use crate::os::files::report_size_limit;
use crate::os::{guard, work};

/// Prepares the process: starts the watchdog, so that it ends within `allowed` unless it is given another deadline;
/// makes a panic one line; keeps its memory, which holds passwords, out of core files; makes a file that grows beyond
/// the limit an error instead of a signal.
pub fn begin(program: &'static str, first_signal: FirstSignal, allowed: Duration) -> &'static Watchdog {
    guard::enable(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()));
    panic::set_hook(Box::new(move |panic| {
        if let Some(bug) = work::uncaught(panic) {
            say_at_once(&format!("{program}: {bug}\n"));
            log::write_last(program, &bug);
        }
    }));
    // It fails only in a kernel without it.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    report_size_limit();
    Watchdog::start(program, first_signal, allowed)
}

/// Prepares the process of a cron program or service, and parses its flags. The first call of `main`.
pub fn start<A: Parser>(program: &Program) -> A {
    begin(program.name, FirstSignal::Ends, Duration::from_secs(program.deadline_seconds));
    parse()
}

/// Parses the flags of the process. Exits with 2 if they are wrong, and with 0 after `--help` and `--version`.
pub fn parse<A: Parser>() -> A {
    #[cfg(feature = "manuals")]
    write_manual(A::command());
    A::try_parse().unwrap_or_else(|error| {
        // Help may be read at any pace.
        if let Some(watchdog) = Watchdog::running().filter(|_| !error.use_stderr()) {
            watchdog.expect_end(None);
        }
        error.exit()
    })
}

/// Writes the manual pages and ends the process, if it was started for that.
#[cfg(feature = "manuals")]
pub fn write_manual(command: clap::Command) {
    match super::manual::write_if_asked(command) {
        Ok(false) => {}
        Ok(true) => std::process::exit(0),
        Err(error) => {
            say_at_once(&format!("--manual: {error:#}\n"));
            std::process::exit(1)
        }
    }
}

/// Returns the exit code of `work`; a panic is a message and the exit code 1.
pub fn exit_code(program: &str, work: impl FnOnce() -> ExitCode) -> ExitCode {
    work::catch(work).unwrap_or_else(|bug| {
        complain(program, &[bug.to_string()]);
        ExitCode::FAILURE
    })
}
