//! The store that the config selects for readers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{CATALOG, Config, store_place, tables};
use crate::dashboard::config::Source;
use crate::frame::state;
use crate::model::{COVERAGE, Measurement, SECOND};
use crate::monitors::panda::page::{OF_TABLE, latest};
use crate::monitors::panda::{JOBS, TABLE};
use crate::os::http;
use crate::query::{Detail, Latest, Newest, Read, Values, Wanted};
use crate::sinks::Tables;
use crate::sinks::embedded::{EmbeddedReader, EmbeddedTiers};
use crate::sinks::graphite::read::GraphiteReader;
use crate::sinks::influxdb::{InfluxReader, InfluxTiers};
use crate::sinks::tiers::Tiers;

/// Returns the dashboard's store: graphite-web if the config names its address, else InfluxDB if it names that one's, else
/// the embedded store.
///
/// # Errors
/// Fails if the config selects a store without an address, or if this build has no client for it.
pub fn reader(config: &Config) -> Result<Box<dyn Read>> {
    let directory = state::directory(config.state_directory.as_deref());
    let tables = tables(config, &directory);
    Ok(Box::new(WithTables { points: points_reader(config)?, tables, suspicious: config.panda.suspicious_score }))
}

/// A store of points, and the table of queues beside it.
struct WithTables {
    points: Box<dyn Read>,
    tables: Box<dyn Tables>,
    suspicious: f64,
}

/// How long the table may take to be read.
const TABLE_SECONDS: Duration = Duration::from_secs(20);

impl Read for WithTables {
    fn describe(&self) -> String {
        self.points.describe()
    }

    fn version(&self) -> u64 {
        self.points.version()
    }

    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Newest> {
        let is_of_table = |one: &&&'static Measurement| OF_TABLE.iter().any(|of_table| of_table.name == one.name);
        let (of_table, of_points): (Vec<_>, Vec<_>) = measurements.iter().partition(|one| is_of_table(one));
        if of_table.is_empty() {
            return self.points.latest(measurements, now);
        }
        let mut newest = if of_points.is_empty() { Newest::default() } else { self.points.latest(&of_points, now)? };
        let rows = self.tables.read(&TABLE, Instant::now() + TABLE_SECONDS)?;
        // The table is as old as the newest slot that was seen whole; it says no time itself.
        let covered = self.points.latest(&[&COVERAGE], now)?.values.into_iter();
        let covered = covered.filter(|one| one.series.tag("measurement") == Some(JOBS.name));
        let time = covered.map(|one| one.time / SECOND).max().unwrap_or(now);
        let wanted = |one: &Latest| of_table.iter().any(|measurement| measurement.name == one.series.measurement());
        newest.values.extend(latest(&rows, self.suspicious, time).into_iter().filter(wanted));
        Ok(newest)
    }

    fn range(&self, wanted: &[Wanted], from: i64, to: i64, detail: Detail) -> Result<Vec<Values>> {
        self.points.range(wanted, from, to, detail)
    }
}

fn points_reader(config: &Config) -> Result<Box<dyn Read>> {
    let asked = config.dashboard.read;
    let needs_http = matches!(asked, Source::Graphite | Source::Influxdb);
    ensure!(http::AVAILABLE || !needs_http, "[dashboard] read = {asked}: this build has no HTTP");
    match (asked, &config.graphite, &config.influxdb) {
        (Source::Graphite, None, _) => bail!("[dashboard] read = graphite, but [graphite] url is not set"),
        (Source::Influxdb, _, None) => bail!("[dashboard] read = influxdb, but [influxdb] url is not set"),
        (Source::Graphite | Source::Auto, Some(graphite), _) if http::AVAILABLE => {
            Ok(Box::new(GraphiteReader::new(graphite, CATALOG).context("[graphite]")?))
        }
        (Source::Influxdb | Source::Auto, _, Some(_)) if http::AVAILABLE => Ok(Box::new(influx_reader(config)?)),
        _ => {
            let directory = state::directory(config.state_directory.as_deref());
            Ok(Box::new(EmbeddedReader::new(store_place(config, &directory))))
        }
    }
}

/// Returns the stores that points go to and that are folded.
///
/// # Errors
/// Fails if this build has no client for one of them, or if tiers of InfluxDB share a retention policy.
pub fn tiers(config: &Config, state: &Path) -> Result<Vec<Box<dyn Tiers>>> {
    let mut tiers: Vec<Box<dyn Tiers>> = Vec::new();
    if config.embedded.path.is_some() || config.carbon.is_none() && config.influxdb.is_none() {
        tiers.push(Box::new(EmbeddedTiers::new(config.embedded.clone(), store_place(config, state), CATALOG)));
    }
    if let Some(influxdb) = &config.influxdb {
        tiers.push(Box::new(InfluxTiers::new(influxdb, CATALOG)?));
    }
    Ok(tiers)
}

/// Returns the reader of the InfluxDB that points go to.
///
/// # Errors
/// Fails if the config names no InfluxDB, or if this build has no client for it.
pub fn influx_reader(config: &Config) -> Result<InfluxReader> {
    let influxdb = config.influxdb.as_ref().context("[influxdb] url is not set")?;
    InfluxReader::new(influxdb, CATALOG).context("[influxdb]")
}
