//! Writes the table of PanDA's queues from what the points' store holds.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::sinks::{CANNOT_BE_ASKED, can_be_asked};
use super::{CATALOG, Config, store_place, tables};
use crate::frame::Published;
use crate::model::{Rest, Row, SECOND};
use crate::monitors::panda::table::{self, AVERAGED, KEYS, SUMMED, TABLE, TableInput};
use crate::os::http;
use crate::problem::{Problem, Subject};
use crate::query::Scan;
use crate::rollup::averages::{Question, averages, current, rows};
use crate::sinks::embedded::EmbeddedReader;
use crate::sinks::influxdb::InfluxReader;
use crate::sources::cric::Queue;
use crate::sources::elastic::Datadisk;
use crate::sources::panda::Statistics;

/// What a run of collect-panda knows beside the stored points.
pub struct Known<'a> {
    /// PanDA's answer.
    pub panda: &'a Statistics,
    /// CRIC's queues.
    pub queues: &'a [Queue],
    /// The sizes of datadisks.
    pub datadisks: &'a [Datadisk],
}

/// Returns what is said of the table by a run that has none to write: nobody knows whether it could be written.
pub fn unasked() -> Problem {
    Problem::unasked(Subject::Table(TABLE.name.into()))
}

/// Writes the table of queues. Returns what is missing.
pub fn write(published: &Published<Config>, known: &Known) -> Vec<Problem> {
    let problem = |message| Problem::new(Subject::Table(TABLE.name.into()), message);
    match try_write(published, known) {
        Ok(left_out) => left_out.into_iter().map(problem).collect(),
        Err(error) => vec![problem(format!("{error:#}; it stays as it was"))],
    }
}

fn try_write(published: &Published<Config>, known: &Known) -> Result<Vec<String>> {
    let Published { config, time, until, directory, .. } = published;
    let Some((sink, store)) = points_store(config, directory, *until)? else {
        // Where MySQL is not set, nobody asked for a table.
        return Ok(config.mysql.iter().map(|_| format!("not written, since {CANNOT_BE_ASKED}")).collect());
    };
    if !published.has_reached(sink) {
        return Ok(vec![format!(
            "not written, since the points of this run have not reached {sink}; it stays as it was"
        )]);
    }
    let rows = rows_at(store.as_ref(), time / SECOND, known)?;
    let rest = if known.panda.odd.is_empty() { Rest::Removed } else { Rest::Kept };
    tables(config, directory).write(&TABLE, &rows, rest, *until)
}

/// Returns the rows of the table at a slot, given in unix seconds, from what a store holds.
///
/// # Errors
/// Fails if the store does not answer.
pub fn rows_at(store: &dyn Scan, slot: i64, known: &Known) -> Result<Vec<Row>> {
    let question = Question {
        measurement: "jobs",
        field: "jobs",
        by: &KEYS,
        status: "job_status",
        statuses: &AVERAGED,
        summed: &SUMMED,
        sequence: "sequence",
        slot,
    };
    let input = TableInput {
        slot,
        rows: &rows(store, &question)?,
        current: &current(store, &question)?,
        odd: &known.panda.odd,
        averages: &averages(store, &question)?,
        queues: known.queues,
        datadisks: known.datadisks,
    };
    Ok(table::rows(&input))
}

/// Returns the store that holds the points and can be asked for sums, with its name as a sink; `None` if they go to Carbon or
/// a master alone.
pub(super) fn points_store(
    config: &Config,
    directory: &Path,
    until: Instant,
) -> Result<Option<(&'static str, Box<dyn Scan>)>> {
    match &config.influxdb {
        _ if !can_be_asked(config) => Ok(None),
        Some(influxdb) if http::AVAILABLE => {
            let reader = InfluxReader::new(influxdb, CATALOG).context("[influxdb]")?.until(until);
            Ok(Some(("influxdb", Box::new(reader))))
        }
        _ => Ok(Some(("embedded", Box::new(EmbeddedReader::new(store_place(config, directory)))))),
    }
}
