//! A qmaster: points go to it by InfluxDB's protocol, which acknowledges them, or by the pickles of QULo's master, which
//! cannot.
//!
//! `protocol = auto` finds out which: it asks by HTTP without a point. A qmaster answers; QULo's master takes the connection
//! and says nothing, ever. So does a qmaster that hangs. Therefore only three silences in a row, in three batches, make it
//! QULo's; a qmaster that has answered once stays one; and one that was taken for QULo's is asked again after a day. Not
//! more often: QULo's master never closes what a client has closed, so each question costs it a file descriptor.

pub mod config;
mod qulo;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

pub use self::config::Config;
use self::config::Protocol;
pub use self::qulo::Line;
use super::influxdb::Influxdb;
use super::tcp::{self, Timeout};
use super::{Sent, Sink};
use crate::model::Catalog;
use crate::os::files;
use crate::os::http::BadStatus;
use crate::spool::Batch;

/// A qmaster as a sink.
#[derive(Debug)]
pub struct Qmaster {
    config: Config,
    http: Influxdb,
    catalog: Catalog,
    /// The file that remembers what it speaks.
    memory: PathBuf,
}

/// What was found out about a master.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// Whose it is.
    address: String,
    /// Whether it has answered by HTTP.
    is_http: bool,
    /// How often in a row it took a connection and said nothing.
    silences: u32,
    /// When it was last asked, in unix seconds.
    asked: i64,
}

/// The file that remembers what a master speaks.
const MEMORY: &str = "qmaster.protocol";

/// The most settings that are read, in bytes.
const LONGEST_SETTINGS: usize = 256 << 10;

/// So many silences in a row make a master QULo's.
const SILENCES: u32 = 3;

/// How long a master may think about a question without a point, in seconds.
const ANSWER: u64 = 3;

/// How long a master that was taken for QULo's is not asked again, in seconds.
const AGAIN: i64 = 86_400;

impl Qmaster {
    /// Creates the sink, which remembers in the directory `state`; it opens no connection yet. `catalog` has the Carbon
    /// paths, by which QULo's master is told points.
    pub fn new(config: Config, catalog: Catalog, state: &Path) -> Self {
        let http = Influxdb::new(config.http.clone(), state);
        Self { config, http, catalog, memory: state.join(MEMORY) }
    }

    /// Finds out what the master speaks.
    fn protocol(&self, deadline: Instant) -> Result<Protocol> {
        if self.config.protocol != Protocol::Auto {
            return Ok(self.config.protocol);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        let address = self.config.name();
        let bytes = files::read(&self.memory, 4096).unwrap_or_default();
        let known = serde_json::from_slice::<Memory>(&bytes).ok().filter(|known| known.address == address);
        let mut known = known.unwrap_or(Memory { address, ..Memory::default() });
        let is_qulos = known.silences >= SILENCES;
        if known.is_http || is_qulos && (0..AGAIN).contains(&(now - known.asked)) {
            return Ok(if known.is_http { Protocol::Http } else { Protocol::Qulo });
        }
        // Who cannot be reached says nothing of what he speaks.
        let timeout = Timeout::new(ANSWER, deadline);
        tcp::connect(&self.config.host, self.config.port, &timeout).with_context(|| known.address.clone())?;
        let asked = self.http.answers(deadline.min(Instant::now() + Duration::from_secs(ANSWER)));
        (known.is_http, known.asked) = (asked.is_ok(), now);
        known.silences = if asked.is_ok() { 0 } else { known.silences + 1 };
        // What cannot be written is asked again.
        let _ = files::write_json(&self.memory, &known);
        match asked {
            Ok(_) => Ok(Protocol::Http),
            Err(_) if known.silences >= SILENCES => Ok(Protocol::Qulo),
            Err(error) => bail!(
                "{} takes connections and does not answer: {error:#}; after {SILENCES} such answers it counts as QULo's \
                 master, which gets pickles and acknowledges nothing; if it is not, set [qmaster] protocol = http",
                known.address
            ),
        }
    }
}

/// Whether a master has answered by HTTP, by what the sink remembers in the directory `state`.
fn is_known(config: &Config, state: &Path) -> bool {
    let bytes = files::read(&state.join(MEMORY), 4096).unwrap_or_default();
    let known = serde_json::from_slice::<Memory>(&bytes).unwrap_or_default();
    known.is_http && known.address == config.name()
}

/// Returns the version that a master tells, as `gridmon-1.0.0`; `None` if it does not answer, and of QULo's own, which tells none.
/// `state` is the directory in which the sink remembers.
pub fn version(config: &Config, state: &Path, timeout: Duration) -> Option<String> {
    let asks = match config.protocol {
        Protocol::Qulo => false,
        Protocol::Http => true,
        Protocol::Auto => is_known(config, state),
    };
    let address = config.http.address("ping", &[]).ok().filter(|_| asks)?;
    let answer = config.http.client().ok()?.open(&address, timeout).ok()?;
    answer.header("x-influxdb-version").map(String::from)
}

/// Tells a master how an agent is, `status` as JSON. Returns what it answers: the settings of sensors, empty if it has none for this
/// host. Returns `None` if it does not know such words: QULo's own, a qmaster of an older version, and one of which nobody
/// knows yet what it speaks. `state` is the directory in which the sink remembers.
///
/// # Errors
/// Fails if it cannot be asked now.
pub fn tell(config: &Config, state: &Path, status: String, timeout: Duration) -> Result<Option<String>> {
    match config.protocol {
        Protocol::Qulo => return Ok(None),
        Protocol::Auto if !is_known(config, state) => return Ok(None),
        _ => {}
    }
    let client = config.http.client()?.reading_at_most(LONGEST_SETTINGS);
    match client.post_as("application/json", &config.http.address("agent", &[])?, status, timeout) {
        Ok(bytes) => Ok(Some(String::from_utf8(bytes).context("its settings are no text")?)),
        Err(error) => match error.downcast_ref::<BadStatus>() {
            Some(status) if [404, 405].contains(&status.status) => Ok(None),
            _ => Err(error),
        },
    }
}

impl Sink for Qmaster {
    fn name(&self) -> &str {
        "qmaster"
    }

    fn at(&self, now: i64) {
        self.http.at(now);
    }

    fn send(&self, batch: &Batch, deadline: Instant) -> Sent {
        match self.protocol(deadline) {
            Ok(Protocol::Qulo) => qulo::send(&self.config, batch, self.catalog, deadline),
            Ok(Protocol::Http | Protocol::Auto) => self.http.send(batch, deadline),
            Err(error) => Sent { dropped: Vec::new(), refused: Vec::new(), result: Err(error) },
        }
    }

    fn check(&self, deadline: Instant) -> Result<String> {
        match self.protocol(deadline)? {
            Protocol::Qulo => {
                let timeout = Timeout::new(self.config.http.timeout_seconds, deadline);
                tcp::connect(&self.config.host, self.config.port, &timeout).with_context(|| self.config.name())?;
                Ok(format!("{} takes QULo's pickles, and acknowledges nothing", self.config.name()))
            }
            Protocol::Http | Protocol::Auto => match self.http.answers(deadline)? {
                true => Ok(format!("{} takes points", self.http_name())),
                false => Err(anyhow!("{} speaks HTTP, and does not take points", self.http_name())),
            },
        }
    }
}

impl Qmaster {
    fn http_name(&self) -> String {
        self.config.http.describe()
    }
}
