//! The store that the config selects for readers.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::shared_table::SharedTable;
use super::with_tables::WithTables;
use super::{CATALOG, Config, history, store_place, tables};
use crate::dashboard::config::Source;
use crate::frame::state;
use crate::os::http;
use crate::query::Read;
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
    let table = SharedTable::new(tables(config, &directory));
    let (suspicious, grid) = (config.panda.suspicious_score, config.grid.name.clone());
    let (history, hubs) = (history(config, &directory), config.backups.hubs.clone());
    Ok(Box::new(WithTables { points: points_reader(config)?, table, suspicious, grid, history, hubs }))
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
