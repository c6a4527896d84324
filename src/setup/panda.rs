//! Composes collect-panda: asks PanDA, CRIC and Elasticsearch, remembers what the last two answered, and writes the table of queues
//! once the points are delivered.

use std::cell::OnceCell;
use std::time::Instant;

use jiff::Timestamp;

use super::{Config, queue_table};
use crate::frame::{CheckLine, Published, Run};
use crate::model::Collected;
use crate::monitors::panda::{PandaInput, points};
use crate::os::work::both;
use crate::problem::Problem;
use crate::sources::cric::{self, Topology};
use crate::sources::elastic::{self, Answers};
use crate::sources::panda::{self as server, Statistics};

/// The program.
pub const PROGRAM: &str = "collect-panda";

/// What PanDA, CRIC and Elasticsearch answered.
pub type Answered = (Statistics, Topology, Answers);

/// Asks PanDA, CRIC and Elasticsearch, and returns the points; `answered` gets what the table of queues is made of.
pub fn collect(run: &Run<Config>, answered: &OnceCell<Answered>) -> Collected {
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
    let collected = points(&PandaInput {
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
        let _ = answered.set((jobs, topology, answers));
    }
    collected
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

/// Writes the table of queues from the delivered points and what [`collect`] was answered. Returns what is missing.
pub fn write_table(published: &Published<Config>, answered: &OnceCell<Answered>) -> Vec<Problem> {
    let Some((panda, topology, answers)) = answered.get() else { return vec![queue_table::unasked()] };
    let known =
        queue_table::Known { panda, queues: &topology.pandaqueue.records, datadisks: &answers.datadisk.records };
    queue_table::write(published, &known)
}

/// Asks all of them; returns the lines for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    let now = Timestamp::now().as_second();
    let ask_cric = || cric::check(&config.cric, until);
    let ask_elastic = || elastic::check(&config.elastic, now, until);
    let (jobs, (topology, answers)) = both(|| server::check(&config.panda, until), || both(ask_cric, ask_elastic));
    [jobs, topology, answers].concat()
}
