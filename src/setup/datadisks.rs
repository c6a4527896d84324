//! Composes write-datadisk: reads the table of queues, asks CRIC for the queues and Grafana for the sizes of datadisks, and remembers
//! both.

use std::time::Instant;

use jiff::Timestamp;

use super::{Config, tables};
use crate::frame::{CheckLine, Run};
use crate::model::{Collected, Row, SECOND};
use crate::monitors::panda;
use crate::os::work::both;
use crate::problem::Problem;
use crate::sources::kept::Kept;
use crate::sources::{cric, elastic};

/// The program.
pub const PROGRAM: &str = "write-datadisk";

/// The name of the table of queues as a source.
pub const TABLE: &str = "table jobs";

/// Reads the table, asks CRIC and Grafana, and returns the points.
pub fn collect(run: &Run<Config>) -> Collected {
    let (config, now, until) = (run.config, run.now, run.until);
    let (mut queues, mut sizes) = (run.recall("pandaqueue"), run.recall("datadisk"));
    let ask_table = || run.ask(TABLE, || table(run));
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
    match tables(run.config, &run.directory()).read(&panda::TABLE, run.until) {
        Ok(rows) if rows.is_empty() => {
            (None, vec![Problem::of_source(TABLE, "has no rows; has collect-panda run? nothing is sent")])
        }
        Ok(rows) => {
            let (rows, problem) = panda::of_hour(rows, run.now);
            (Some(rows), problem.into_iter().map(|text| Problem::of_source(TABLE, text)).collect())
        }
        Err(error) => (None, vec![Problem::of_source(TABLE, format!("{error:#}; nothing is sent"))]),
    }
}

/// Asks CRIC and Grafana; returns the lines for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<CheckLine> {
    let now = Timestamp::now().as_second();
    let ask_cric = || cric::check(&config.cric, until).into_iter().take(1).collect::<Vec<_>>();
    let (queues, sizes) = both(ask_cric, || elastic::check(&config.elastic, now, until));
    [queues, sizes.into_iter().filter(|(what, _)| what == "datadisks").collect()].concat()
}
