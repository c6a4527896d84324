//! InfluxDB: points in the retention policies of a database, through the addresses of 1.x (`/write`, `/query`), which 2.x
//! has too. Measured against InfluxDB 1.6.7.
//!
//! A batch goes into the retention policy of its tier. All tags are tags, keys and labels alike. Only a 204 acknowledges;
//! client.rs says what each other answer means, write.rs how the points are found that InfluxDB refuses.
//!
//! - A write that names no retention policy goes into the default one, so every write names its own.
//! - A field keeps its type for ever, in each retention policy its own: points with another one are refused.
//! - Two points of one series and time are one: their fields are merged, the later value stays. So sending again is
//!   harmless.

mod client;
pub mod config;
mod fold;
pub mod influxql;
mod pause;
mod read;
mod setup;
mod write;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Result;

use self::client::{Busy, Connection};
pub use self::config::Config;
pub use self::fold::InfluxTiers;
use self::pause::Pause;
pub use self::read::InfluxReader;
use super::{NeverTaken, Sent, Sink};
use crate::model::Tier;
use crate::os::http::{Client, NoAnswer};
use crate::spool::Batch;

/// InfluxDB as a sink.
#[derive(Debug)]
pub struct Influxdb {
    config: Config,
    client: OnceLock<Client>,
    pause: Pause,
    /// The run's clock, in unix seconds; the machine's if nobody says it.
    now: OnceLock<i64>,
}

impl Influxdb {
    /// Creates the sink, which remembers in the directory `state`; it opens no connection yet.
    pub fn new(config: Config, state: &Path) -> Self {
        let pause = Pause::new(config.peer, state);
        Self { config, client: OnceLock::new(), pause, now: OnceLock::new() }
    }

    fn now(&self) -> i64 {
        self.now.get().copied().unwrap_or_else(pause::wall)
    }

    fn connection(&self, ends: Instant) -> Result<Connection<'_>> {
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let client = self.config.client()?;
                self.client.get_or_init(|| client)
            }
        };
        Ok(Connection { config: &self.config, client, ends })
    }

    fn write(&self, batch: &Batch, deadline: Instant) -> Result<write::Refused> {
        let tier: Tier = batch.header.tier.parse().map_err(|error| NeverTaken(format!("{error:#}")))?;
        let named = batch.header.database.as_str();
        let database = if named.is_empty() { &self.config.database } else { named };
        if batch.points.is_empty() {
            return Ok(write::Refused::default());
        }
        self.pause.ensure_over(self.config.name(), self.now())?;
        let written = write::write(&self.connection(deadline)?, database, self.config.policy(tier), &batch.points);
        if let Some(busy) = written.as_ref().err().and_then(|error| error.downcast_ref::<Busy>()) {
            self.pause.remember(self.config.name(), &busy.retry_after, self.now());
        } else if written.is_ok() {
            self.pause.forget();
        }
        written
    }
}

impl Influxdb {
    /// Asks whether it would write, with a request that carries nothing. Returns whether somebody spoke HTTP.
    ///
    /// # Errors
    /// Fails if nobody answers.
    pub(super) fn answers(&self, deadline: Instant) -> Result<bool> {
        match self.connection(deadline)?.write_nothing(&self.config.database, self.config.policy(Tier::Raw)) {
            Err(error) if error.downcast_ref::<NoAnswer>().is_some() => Err(error),
            written => Ok(written.is_ok()),
        }
    }
}

impl Sink for Influxdb {
    fn name(&self) -> &str {
        self.config.peer.sink
    }

    fn at(&self, now: i64) {
        let _ = self.now.set(now);
    }

    fn send(&self, batch: &Batch, deadline: Instant) -> Sent {
        let (refused, result) = match self.write(batch, deadline) {
            Ok(refused) => (refused, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        Sent { dropped: Vec::new(), refused, result }
    }

    fn check(&self, deadline: Instant) -> Result<String> {
        setup::check(&self.connection(deadline)?)
    }

    fn setup(&self, deadline: Instant) -> Result<String> {
        setup::setup(&self.connection(deadline)?)
    }
}
