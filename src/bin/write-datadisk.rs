//! Sends the running jobs of PanDA's queues beside the datadisks that they read to its sinks.

use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program};
use gridmon::monitors::panda;
use gridmon::setup::{self, Config, datadisks as composed};

static PROGRAM: Program = Program {
    name: composed::PROGRAM,
    interval_seconds: 3600,
    deadline_seconds: 240,
    sources: &[composed::TABLE, "cric", "elastic"],
    measurements: &panda::DATADISK_MEASUREMENTS,
};

/// Sends the running jobs of PanDA's queues beside the datadisks that they read to its sinks. Meant for cron, every hour.
///
/// Reads the averages from the table that collect-panda writes; asks CRIC for the queues, and Grafana for the sizes of
/// datadisks. Prints nothing when all is well. Exit code 0: everything answered and was sent; 1: something was not, and a
/// line says what; 2: wrong flags or config.
#[derive(Parser)]
#[command(name = "write-datadisk", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    compare: frame::Compare,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    let load = setup::load_with(&panda::TABLES, None);
    if let Some(source) = &args.compare.compare {
        let older = |config: &Config, wanted: frame::Wanted| setup::of_datadisks(config, source, wanted);
        let causes = (source.as_str(), panda::DATADISK_CAUSES);
        return frame::cron_compare(&PROGRAM, &args.common, load, composed::collect, older, causes);
    }
    frame::cron(&PROGRAM, &args.common, load, composed::collect, composed::check)
}
