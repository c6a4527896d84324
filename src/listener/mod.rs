//! Receives points from others: line protocol over HTTP, QULo's pickles on the same port, and Carbon's own protocols.
//!
//! | route | answers |
//! |---|---|
//! | `POST /write`, `/api/v2/write` | 204 once the points are safe; 400 with the lines that were refused, the rest being safe |
//! | `POST /agent` | the settings that the agent gets, once it has said how it is; empty if there are none |
//! | `POST /query` | an empty result to `CREATE DATABASE`, which Telegraf sends before it writes |
//! | `/ping`, `/health` | 204 and 200, as InfluxDB |
//! | `/healthz`, `/metrics` | `ok`, or why nothing is accepted; counts for Prometheus |
//!
//! A connection says with its first byte what it speaks: 0x80 begins a pickle, 0x16 a TLS handshake, all else is HTTP.
//! What is received is handed to an [`Accept`], which says when it is safe; the answer waits for that. A stream without
//! answers waits too, and reads nothing meanwhile, so that its sender feels it.
//!
//! What a client may take from others is bounded: connections, the time of a request's head and body, the bytes of all
//! requests together, the depth and size of a pickle, new series an hour.

#[cfg(feature = "qmaster")]
pub mod agents;
pub mod config;
#[cfg(feature = "qmaster")]
mod counts;
#[cfg(feature = "qmaster")]
mod door;
#[cfg(feature = "qmaster")]
mod http;
pub mod request;
#[cfg(feature = "qmaster")]
mod room;
pub mod series;
#[cfg(feature = "qmaster")]
mod streams;
#[cfg(feature = "qmaster")]
mod tls;

pub use self::config::Config;
#[cfg(feature = "qmaster")]
pub use self::door::Listener;
use crate::model::Point;

/// Called when points are safe, or with the reason why they are not.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Why points are not accepted now, and after how many seconds to try again.
pub type Busy = (String, u64);

/// Makes points safe.
pub trait Accept: Send + Sync {
    /// Takes points; `done` is called once they are safe, or could not be made safe.
    ///
    /// # Errors
    /// Fails if nothing can be accepted now; `done` is then never called.
    fn accept(&self, points: Vec<Point>, done: Done) -> Result<(), Busy>;
    /// Returns why nothing is accepted now; `None` if all is well.
    fn problem(&self) -> Option<String>;
    /// Returns the settings of sensors for the agent of a host; empty if there are none.
    ///
    /// # Errors
    /// Fails with the reason if they cannot be read.
    fn settings(&self, host: &str) -> anyhow::Result<String>;
    /// Returns how many points and batches have been made safe, and how many points wait for that.
    fn progress(&self) -> [u64; 3];
}
