//! Sends what the sensors of this node tell to its sinks.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gridmon::frame;
use gridmon::operator::sensors::{self, Once};

/// Measures this node: processors, memory, disks, network, temperatures, GPUs, Slurm.
#[derive(Parser)]
#[command(name = "qagent", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the sensors, or tell all about one: its options, fields, units and source
    Sensors {
        /// The sensor
        name: Option<String>,
    },
    /// Read the sensors twice, a second apart, and print the second reading
    Once(Once),
}

fn main() -> ExitCode {
    match frame::parse::<Arguments>().command {
        Command::Sensors { name } => sensors::sensors(name.as_deref()),
        Command::Once(once) => sensors::print_once(&once),
    }
}
