//! The systems that points are written to, one file each. A sink takes points and knows no source.

pub mod credentials;
pub mod embedded;
pub mod graphite;
pub mod history;
pub mod influxdb;
pub mod mysql;
mod pickle;
pub mod qmaster;
pub mod rrd;
pub mod s3;
mod tcp;
pub mod tiers;
pub mod windows;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::model::{Dropped, Point, Rest, Row, TableInfo};
use crate::spool::Batch;

/// Makes the sinks that the config selects, given the state directory.
pub type MakeSinks = Box<dyn Fn(&Path) -> Vec<Box<dyn Sink>> + Send + Sync>;

/// Takes points and acknowledges them.
///
/// `examples/sink.rs` is a whole one.
///
/// ```
/// use std::time::Instant;
///
/// use gridmon::sinks::{Sent, Sink};
/// use gridmon::spool::Batch;
///
/// /// Takes everything, and forgets it.
/// struct Nowhere;
///
/// impl Sink for Nowhere {
///     fn name(&self) -> &str {
///         "nowhere"
///     }
///
///     fn send(&self, _batch: &Batch, _deadline: Instant) -> Sent {
///         Sent { dropped: Vec::new(), refused: Vec::new(), result: Ok(()) }
///     }
///
///     fn check(&self, _deadline: Instant) -> anyhow::Result<String> {
///         Ok("takes everything".into())
///     }
/// }
/// assert_eq!(Nowhere.check(Instant::now()).unwrap(), "takes everything");
/// assert_eq!(Nowhere.setup(Instant::now()).unwrap(), "needs nothing");
/// ```
pub trait Sink: Sync {
    /// Its permanent name: the spool lists under it the batches that wait for this sink.
    fn name(&self) -> &str;
    /// Tells the run's clock, in unix seconds: what the sink remembers from run to run ends by it, also under `--now`. Without it
    /// the machine's clock counts.
    fn at(&self, _now: i64) {}
    /// Sends the points of a batch and waits for the acknowledgement, at most until `deadline`. Sending the same points
    /// twice gives the same rows.
    fn send(&self, batch: &Batch, deadline: Instant) -> Sent;
    /// Whether it keeps no value that is older than one it has. Then what waits is sent before the run's own batch.
    fn is_in_order(&self) -> bool {
        false
    }
    /// Contacts the sink without writing; returns the text for `--check`.
    ///
    /// # Errors
    /// Fails if the sink does not answer.
    fn check(&self, deadline: Instant) -> Result<String>;
    /// Creates what the sink needs and lacks, such as a database; changes nothing that exists. Returns the text for
    /// `--setup`.
    ///
    /// # Errors
    /// Fails if something is missing and cannot be created.
    fn setup(&self, _deadline: Instant) -> Result<String> {
        Ok("needs nothing".into())
    }
    /// Removes expired points, by the wall clock `now` in unix seconds. Not called in a run with `--now`.
    ///
    /// # Errors
    /// Fails if the points cannot be removed.
    fn prune(&self, _now: i64, _deadline: Instant) -> Result<()> {
        Ok(())
    }
}

/// Makes the database that the config selects for tables, given the state directory.
pub type MakeTables = Box<dyn Fn(&Path) -> Box<dyn Tables> + Send + Sync>;

/// Keeps tables. Each is a picture of now: written whole by a run, in one transaction, and never spooled.
pub trait Tables: Send + Sync {
    /// Its permanent name, for messages.
    fn name(&self) -> &str;
    /// Writes the rows of a table: a row whose key is there is replaced, and `rest` says what becomes of the others. All
    /// of it or nothing. Returns what it left out, one line each.
    ///
    /// # Errors
    /// Fails unless the database has committed the rows by `deadline`.
    fn write(&self, table: &'static TableInfo, rows: &[Row], rest: Rest, deadline: Instant) -> Result<Vec<String>>;
    /// Returns all rows of a table, sorted by key.
    ///
    /// # Errors
    /// Fails if the database does not answer by `deadline`, or has no such table.
    fn read(&self, table: &'static TableInfo, deadline: Instant) -> Result<Vec<Row>>;
    /// Looks for a table without writing; returns the text for `--check`.
    ///
    /// # Errors
    /// Fails if a run could not write the table.
    fn check(&self, table: &'static TableInfo, deadline: Instant) -> Result<String>;
    /// Creates the table, or what it lacks; changes nothing that exists. Returns the text for `--setup`.
    ///
    /// # Errors
    /// Fails if something is missing and cannot be created.
    fn setup(&self, table: &'static TableInfo, deadline: Instant) -> Result<String>;
}

/// The error of a sink that takes other batches, and would never take this one. Every other error may be over at the next
/// attempt.
#[derive(Debug)]
pub struct NeverTaken(pub String);

impl fmt::Display for NeverTaken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for NeverTaken {}

/// The result of sending points to a sink.
#[derive(Debug)]
pub struct Sent {
    /// Points that this sink is known to reject, dropped before sending.
    pub dropped: Vec<Dropped>,
    /// Points that the sink refused for good, each with its message. The other points are not affected.
    pub refused: Vec<(Point, String)>,
    /// Whether the sink acknowledged the remaining points. The error is [`NeverTaken`] if the batch itself is the cause.
    pub result: Result<()>,
}

/// The error of a sink that does not take what goes where this batch goes, such as into a database that is missing. It may
/// take others.
#[derive(Debug)]
pub struct ClosedPlace(pub String);

impl fmt::Display for ClosedPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ClosedPlace {}
