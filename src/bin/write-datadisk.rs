//! Sends the running jobs of PanDA's queues beside the datadisks that they read to its sinks.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gridmon::frame::{self, CheckLine, Program, Run};
use gridmon::model::{Collected, Row, SECOND};
use gridmon::monitors::panda;
use gridmon::os::work::both;
use gridmon::problem::Problem;
use gridmon::setup::{self, Config};
use gridmon::sources::kept::Kept;
use gridmon::sources::{cric, elastic};
use jiff::Timestamp;

static PROGRAM: Program = Program {
    name: "write-datadisk",
    interval_seconds: 3600,
    deadline_seconds: 240,
    sources: &["table jobs", "cric", "elastic"],
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
    if let Some(source) = &args.compare.compare {
        let older = |config: &Config, wanted: frame::Wanted| {
            let directory = frame::state::directory(config.state_directory.as_deref());
            setup::of_datadisks(config, &directory, source, wanted)
        };
        let causes = (source.as_str(), panda::DATADISK_CAUSES);
        let load = setup::load_with(&panda::TABLES, None);
        return frame::cron_compare(&PROGRAM, &args.common, load, collect, older, causes);
    }
    frame::cron(&PROGRAM, &args.common, setup::load_with(&panda::TABLES, None), collect, check)
}

fn collect(run: &Run<Config>) -> Collected {
    let (config, now, until) = (run.config, run.now, run.until);
    let (mut queues, mut sizes) = (run.recall("pandaqueue"), run.recall("datadisk"));
    let ask_table = || run.ask("table jobs", || table(run));
    let ask_cric = || run.ask("cric", || (Some(()), cric::collect_queues(&config.cric, &mut queues, now, until)));
    let ask_sizes =
        || run.ask("elastic", || (Some(()), elastic::collect_sizes(&config.elastic, &mut sizes, now, until)));
    let (rows, _) = both(ask_table, || both(ask_cric, ask_sizes));
    queues.if_of(now).inspect(|kept: &&Kept<_>| run.remember("pandaqueue", kept));
    sizes.if_of(now).inspect(|kept: &&Kept<_>| run.remember("datadisk", kept));
    let (Some(rows), Some(queues)) = (rows.answer(), queues.records()) else { return Collected::default() };
    let hour = run.time.div_euclid(3600 * SECOND) * 3600 * SECOND;
    let points = panda::datadisks(&rows, queues, &sizes.records, hour);
    Collected { points, are_hourly: true, ..Collected::default() }
}

/// Reads the table of queues.
fn table(run: &Run<Config>) -> (Option<Vec<Row>>, Vec<Problem>) {
    match setup::tables(run.config, &run.directory()).read(&panda::TABLE, run.until) {
        Ok(rows) if rows.is_empty() => {
            (None, vec![Problem::of_source("table jobs", "has no rows; has collect-panda run? nothing is sent")])
        }
        Ok(rows) => {
            let (rows, problem) = panda::of_hour(rows, run.now);
            (Some(rows), problem.into_iter().map(|text| Problem::of_source("table jobs", text)).collect())
        }
        Err(error) => (None, vec![Problem::of_source("table jobs", format!("{error:#}; nothing is sent"))]),
    }
}

fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    let now = Timestamp::now().as_second();
    let ask_cric = || cric::check(&config.cric, until).into_iter().take(1).collect::<Vec<_>>();
    let (queues, sizes) = both(ask_cric, || elastic::check(&config.elastic, now, until));
    [queues, sizes.into_iter().filter(|(what, _)| what == "datadisks").collect()].concat()
}
