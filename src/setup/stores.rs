//! Which store the config lets readers read.

use anyhow::{Context, Result, bail, ensure};

use super::{CATALOG, Config, store_path};
use crate::dashboard::config::Source;
use crate::frame::state;
use crate::os::http;
use crate::query::Read;
use crate::sinks::embedded::EmbeddedReader;
use crate::sinks::graphite::read::GraphiteReader;

/// The store that the dashboard reads: graphite-web when the config names its address, else the embedded store.
///
/// # Errors
/// When the config asks for a graphite-web that it does not name, or that this build cannot ask.
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
    Ok(Box::new(EmbeddedReader::new(store_path(config, &directory))))
}
