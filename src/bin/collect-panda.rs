//! Sends the number of jobs of PanDA's queues to its sinks.

use std::cell::OnceCell;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gridmon::frame::{self, CheckLine, Program, Published, Run};
use gridmon::model::Collected;
use gridmon::monitors::panda::{self, PandaInput};
use gridmon::os::work::both;
use gridmon::problem::Problem;
use gridmon::setup::{self, Config, queue_table};
use gridmon::sources::cric::{self, Topology};
use gridmon::sources::elastic::{self, Answers};
use gridmon::sources::panda::{self as server, Statistics};
use jiff::Timestamp;

static PROGRAM: Program = Program {
    name: "collect-panda",
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
    let known = OnceCell::new();
    let collect = |run: &Run<Config>| collect(run, &known);
    let then = |published: &Published<Config>| known.get().map_or_else(Vec::new, |known| write_table(published, known));
    let load = setup::load_with(&panda::TABLES, args.database.as_deref());
    if let Some(source) = &args.compare.compare {
        return setup::compare(&PROGRAM, &args.common, load, collect, source, panda::CAUSES);
    }
    frame::cron_then(&PROGRAM, &args.common, load, collect, then, check)
}

/// What PanDA, CRIC and Elasticsearch answered.
type Known = (Statistics, Topology, Answers);

fn collect(run: &Run<Config>, known: &OnceCell<Known>) -> Collected {
    let (config, now, until) = (run.config, run.now, run.until);
    let mut topology = Topology {
        pandaqueue: run.recall("pandaqueue"),
        site: run.recall("site"),
        ddmendpoint: run.recall("ddmendpoint"),
        federation: run.recall("federation"),
    };
    let mut answers = Answers { datadisk: run.recall("datadisk"), benchmark: run.recall("benchmark") };
    let ask_panda = || run.ask("panda", || server::collect(&config.panda, until));
    let ask_cric = || run.ask("cric", || (Some(()), cric::collect(&config.cric, &mut topology, now, until)));
    let ask_elastic = || run.ask("elastic", || (Some(()), elastic::collect(&config.elastic, &mut answers, now, until)));
    let (jobs, _) = both(ask_panda, || both(ask_cric, ask_elastic));
    remember(run, &topology, &answers);
    let collected = panda::points(&PandaInput {
        now,
        time: run.time,
        panda: jobs.as_ref().answer(),
        queues: topology.pandaqueue.records(),
        sites: &topology.site.records,
        endpoints: &topology.ddmendpoint.records,
        federations: &topology.federation.records,
        benchmarks: &answers.benchmark.records,
    });
    // Without points there is no table either.
    if let (Some(jobs), false) = (jobs.answer(), collected.points.is_empty()) {
        let _ = known.set((jobs, topology, answers));
    }
    collected
}

fn write_table(published: &Published<Config>, (panda, topology, answers): &Known) -> Vec<Problem> {
    let queues = &topology.pandaqueue.records;
    queue_table::write(published, &queue_table::Known { panda, queues, datadisks: &answers.datadisk.records })
}

/// Stores what this run was answered.
fn remember(run: &Run<Config>, topology: &Topology, answers: &Answers) {
    let Topology { pandaqueue, site, ddmendpoint, federation } = topology;
    pandaqueue.if_of(run.now).inspect(|kept| run.remember("pandaqueue", kept));
    site.if_of(run.now).inspect(|kept| run.remember("site", kept));
    ddmendpoint.if_of(run.now).inspect(|kept| run.remember("ddmendpoint", kept));
    federation.if_of(run.now).inspect(|kept| run.remember("federation", kept));
    answers.datadisk.if_of(run.now).inspect(|kept| run.remember("datadisk", kept));
    answers.benchmark.if_of(run.now).inspect(|kept| run.remember("benchmark", kept));
}

fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    let now = Timestamp::now().as_second();
    let ask_cric = || cric::check(&config.cric, until);
    let ask_elastic = || elastic::check(&config.elastic, now, until);
    let (jobs, (topology, answers)) = both(|| server::check(&config.panda, until), || both(ask_cric, ask_elastic));
    [jobs, topology, answers].concat()
}
