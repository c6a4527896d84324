//! Sends the state of a grid's clouds, virtual machines, slots and jobs to its sinks.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gridmon::frame::{self, CheckLine, Program, Run};
use gridmon::model::Collected;
use gridmon::monitors::grid::{self, GridInput};
use gridmon::os::work::both;
use gridmon::problem::Asked;
use gridmon::setup::{self, Config};
use gridmon::sources::cloud_scheduler;
use gridmon::sources::htcondor::{self, Memory, Rules};

static PROGRAM: Program = Program {
    name: "collect-grid",
    interval_seconds: 60,
    deadline_seconds: 50,
    sources: &["condor", "cloud_scheduler"],
    measurements: &grid::MEASUREMENTS,
};

/// Sends the state of a grid's clouds, virtual machines, slots and jobs to its sinks. Meant for cron, every minute.
///
/// Asks HTCondor (condor_q, condor_status) and Cloud Scheduler (cloud_status -aj, or its address). Prints nothing when all
/// is well. Exit code 0: everything answered and was sent; 1: something was not, and a line says what; 2: wrong flags or
/// config.
#[derive(Parser)]
#[command(name = "collect-grid", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    compare: frame::Compare,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    if let Some(source) = &args.compare.compare {
        return setup::compare(&PROGRAM, &args.common, setup::load, collect, source, grid::CAUSES);
    }
    frame::cron(&PROGRAM, &args.common, setup::load, collect, check)
}

fn collect(run: &Run<Config>) -> Collected {
    let before: Memory = run.recall("schedds");
    let mut memory = before.clone();
    let (config, until, now) = (run.config, run.until, run.memory_time);
    let ask_clouds = || match &config.cloud_scheduler {
        None => Asked::Not,
        Some(config) => run.ask("cloud_scheduler", || cloud_scheduler::collect(config, until)),
    };
    let ask_condor = || match &config.htcondor {
        None => Asked::Not,
        Some(config) => run.ask("condor", || {
            let (reply, problems) = htcondor::collect(config, &mut memory, now, until);
            (Some(reply), problems)
        }),
    };
    let (clouds, condor) = both(ask_clouds, ask_condor);
    if memory != before {
        run.remember("schedds", &memory);
    }
    let no_rules = Rules::default();
    grid::points(&GridInput {
        grid: &config.grid.name,
        time: run.time,
        condor: condor.as_ref().answer(),
        rules: config.htcondor.as_ref().map_or(&no_rules, |config| &config.rules),
        clouds: clouds.as_ref(),
        live_hosts: config.grid.live_hosts,
    })
}

fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    let mut lines = config.htcondor.as_ref().map(|config| htcondor::check(config, until)).unwrap_or_default();
    lines.extend(config.cloud_scheduler.iter().flat_map(|config| cloud_scheduler::check(config, until)));
    lines
}
