//! Sends the number of jobs of PanDA's queues to its sinks.

use std::cell::OnceCell;
use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program, Published, Run};
use gridmon::monitors::panda;
use gridmon::setup::{self, Config, panda as composed};

static PROGRAM: Program = Program {
    name: composed::PROGRAM,
    interval_seconds: 600,
    deadline_seconds: 240,
    sources: &["panda", "cric", "elastic"],
    measurements: &panda::MEASUREMENTS,
};

/// Sends the number of jobs of PanDA's queues to its sinks. Meant for cron, every ten minutes.
///
/// Asks PanDA for the jobs, CRIC for the queues, sites, storage endpoints and federations, and Elasticsearch for benchmarks
/// and datadisks. Prints nothing when all is well. Exit code 0: everything answered and was sent; 1: something was not, and
/// a line says what; 2: wrong flags or config.
#[derive(Parser)]
#[command(name = "collect-panda", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    /// Send this run's points into this database of InfluxDB instead of the config's
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    #[command(flatten)]
    compare: frame::Compare,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    let answered = OnceCell::new();
    let collect = |run: &Run<Config>| composed::collect(run, &answered);
    let then = |published: &Published<Config>| composed::write_table(published, &answered);
    let load = setup::load_with(&panda::TABLES, args.database.as_deref());
    if let Some(source) = &args.compare.compare {
        return setup::compare(&PROGRAM, &args.common, load, collect, source, panda::CAUSES);
    }
    frame::cron_then(&PROGRAM, &args.common, load, collect, then, composed::check)
}
