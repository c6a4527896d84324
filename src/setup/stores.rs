//! The store that the config selects for readers.

use anyhow::{Context, Result, bail, ensure};

use super::{CATALOG, Config, store_place};
use crate::dashboard::config::Source;
use crate::frame::state;
use crate::os::http;
use crate::query::Read;
use crate::sinks::embedded::EmbeddedReader;
use crate::sinks::graphite::read::GraphiteReader;

/// Returns the dashboard's store: graphite-web if the config names its address, else the embedded store.
///
/// # Errors
/// Fails if the config selects a graphite-web without an address, or if this build has no client for it.
pub fn reader(config: &Config) -> Result<Box<dyn Read>> {
    let asked = config.dashboard.read;
    ensure!(http::AVAILABLE || asked != Source::Graphite, "[dashboard] read = graphite: this build has no HTTP");
    let graphite = match (asked, &config.graphite) {
        (Source::Graphite, None) => bail!("[dashboard] read = graphite, but [graphite] url is not set"),
        (Source::Embedded, _) => None,
        (_, graphite) => graphite.as_ref().filter(|_| http::AVAILABLE),
    };
    if let Some(graphite) = graphite {
        return Ok(Box::new(GraphiteReader::new(graphite, CATALOG).context("[graphite]")?));
    }
    let directory = state::directory(config.state_directory.as_deref());
    Ok(Box::new(EmbeddedReader::new(store_place(config, &directory))))
}
