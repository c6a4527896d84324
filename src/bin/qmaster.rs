//! Receives points from others, and sends them to its sinks.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gridmon::frame::{self, Files, Order};
use gridmon::operator::agents;
use gridmon::setup::qmaster::{DAEMON, PROGRAM, load, receive};

/// Receives points and acknowledges only what is safe: line protocol over HTTP, QULo's agents, Carbon's protocols. A service.
///
/// Exit code 0: it did what it was told, and `status` says that it runs; 1: it did not, and `status` says that it died; 2:
/// wrong flags or config; 3: `status` says that it does not run; 4: `status` cannot tell.
#[derive(Parser)]
#[command(name = "qmaster", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Service(Order),
    /// List the agents with their version, sensors, last word and backlog: exit code 1 if one is silent
    Agents,
}

fn main() -> ExitCode {
    let Arguments { files, command } = frame::start(&PROGRAM);
    let config = files.config.as_deref();
    let order = match command {
        Command::Service(order) => order,
        Command::Agents => return agents::list(config),
    };
    let run = |ready: frame::Ready| frame::fan_in(&PROGRAM, config, load, receive, || ready.tell());
    DAEMON.obey(order, &files, || load(config).map(drop), run)
}
