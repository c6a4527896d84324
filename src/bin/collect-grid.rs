//! Sends the state of a grid's clouds, virtual machines, slots and jobs to its sinks.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Parser;
use gridmon::cli::{self, Checked, Collected, Program, Run};
use gridmon::config::Config;
use gridmon::grid::{self, Seen};
use gridmon::sources::cloud_scheduler;
use gridmon::sources::htcondor::{self, Known, Rules};

static PROGRAM: Program = Program { name: "collect-grid", step_seconds: 60, measurements: &grid::MEASUREMENTS };

/// Sends the state of a grid's clouds, virtual machines, slots and jobs to its sinks. Meant for cron, every minute.
///
/// Asks HTCondor (condor_q, condor_status) and Cloud Scheduler (cloud_status -aj). Prints nothing when all is well. Exit
/// code 0: everything answered and was sent; 1: something was not, and a line says what; 2: wrong flags or config.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: cli::Common,
}

fn main() -> ExitCode {
    let args = Args::parse();
    cli::cron(&PROGRAM, &args.common, collect, check)
}

fn collect(run: &mut Run) -> Collected {
    let before: Known = run.recall("schedds");
    let mut known = before.clone();
    let (config, until, now) = (run.config, run.until, run.now);
    let (condor, clouds) = thread::scope(|scope| {
        let clouds = config
            .cloud_scheduler
            .as_ref()
            .map(|config| scope.spawn(move || timed(|| cloud_scheduler::collect(config, until))));
        let condor = config.htcondor.as_ref().map(|config| timed(|| htcondor::collect(config, &mut known, now, until)));
        (condor, clouds.map(|clouds| clouds.join().expect("a source does not panic")))
    });
    let condor = condor.map(|((answer, problems), took)| {
        run.took("condor", took);
        problems.into_iter().for_each(|problem| run.problem(problem));
        if known != before {
            run.remember("schedds", &known);
        }
        answer
    });
    let clouds = clouds.map(|(clouds, took)| {
        run.took("cloud_scheduler", took);
        clouds.map_err(|problem| run.problem(problem)).ok()
    });
    let no_rules = Rules::default();
    grid::points(&Seen {
        grid: &config.grid.name,
        time: run.time,
        condor: condor.as_ref(),
        rules: config.htcondor.as_ref().map_or(&no_rules, |config| &config.rules),
        clouds: clouds.as_ref().map(Option::as_deref),
        live_hosts: config.grid.live_hosts,
    })
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, std::time::Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

fn check(config: &Config, until: Instant) -> Vec<Checked> {
    let mut lines = config.htcondor.as_ref().map(|config| htcondor::check(config, until)).unwrap_or_default();
    lines.extend(config.cloud_scheduler.as_ref().map(|config| cloud_scheduler::check(config, until)));
    lines
}
