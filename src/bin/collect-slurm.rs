//! Sends the state of a Slurm cluster to its sinks.

use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program};
use gridmon::monitors::slurm;
use gridmon::setup::{self, slurm as composed};
use gridmon::sources::slurm as source;

static PROGRAM: Program = Program {
    name: composed::PROGRAM,
    interval_seconds: 60,
    deadline_seconds: 50,
    sources: &["slurm"],
    measurements: &slurm::MEASUREMENTS,
};

/// Sends the state of a Slurm cluster to its sinks: nodes, CPUs, memory, GPUs, partitions, jobs and the scheduler's health. Meant
/// for cron, every minute.
///
/// Asks scontrol, sdiag and squeue, each within its own time; squeue no more often than slurmctld can bear. Prints nothing when
/// all is well. Exit code 0: everything was answered and sent; 1: something is missing, and a line says what; 2: wrong flags
/// or config.
#[derive(Parser)]
#[command(name = "collect-slurm", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    compare: frame::Compare,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    if let Some(source) = &args.compare.compare {
        return setup::compare(&PROGRAM, &args.common, setup::load, composed::collect, source, &[]);
    }
    let check = |config: &setup::Config, until| source::check(&config.slurm, until);
    frame::cron(&PROGRAM, &args.common, setup::load, composed::collect, check)
}
