//! Sends what the sensors of this node tell to its sinks.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gridmon::frame::{self, Files, Order, SystemClock};
use gridmon::operator::sensors::{self, Once};
use gridmon::setup::qagent::{DAEMON, PROGRAM, plan};

/// Measures this node: processors, memory, disks, network, temperatures, GPUs, Slurm. A service.
///
/// Exit code 0: it did what it was told, and `status` says that it runs; 1: it did not, and `status` says that it died; 2:
/// wrong flags or config; 3: `status` says that it does not run; 4: `status` cannot tell.
#[derive(Parser)]
#[command(name = "qagent", version, max_term_width = 100)]
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
    /// List the sensors, or tell all about one: its options, fields, units and source
    Sensors {
        /// The sensor
        name: Option<String>,
    },
    /// Read the sensors twice, a second apart, and print the second reading
    Once(Once),
}

fn main() -> ExitCode {
    let Arguments { files, command } = frame::start(&PROGRAM);
    match command {
        Command::Service(order) => serve(order, &files),
        Command::Sensors { name } => sensors::sensors(name.as_deref()),
        Command::Once(once) => sensors::print_once(&once, files.config.as_deref()),
    }
}

fn serve(order: Order, files: &Files) -> ExitCode {
    let config = files.config.as_deref();
    let run = |ready: frame::Ready| frame::gather(&PROGRAM, config, &SystemClock, plan, || ready.tell());
    DAEMON.obey(order, files, || plan(config).map(drop), run)
}
