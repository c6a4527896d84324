//! The systems that are written, one file each. A sink takes points and knows no source.

pub mod embedded;
pub mod graphite;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::model::{Dropped, Point};
use crate::spool::Batch;

/// Makes the sinks that the config selects, given the state directory.
pub type MakeSinks = Box<dyn Fn(&Path) -> Vec<Box<dyn Sink>> + Send + Sync>;

/// What takes points and acknowledges them.
pub trait Sink: Sync {
    /// Its name, the same for ever: batches owe it by this name.
    fn name(&self) -> &str;
    /// Sends the points of a batch and waits for the acknowledgement, at most until `deadline`. Sending the same points
    /// twice gives the same rows.
    fn send(&self, batch: &Batch, deadline: Instant) -> Sent;
    /// Reaches it without writing; says what answers.
    ///
    /// # Errors
    /// When it does not answer.
    fn check(&self, deadline: Instant) -> Result<String>;
    /// Removes what it need keep no longer, by the wall clock in unix seconds. Never called in a run of another time.
    ///
    /// # Errors
    /// When it cannot.
    fn prune(&self, _now: i64, _deadline: Instant) -> Result<()> {
        Ok(())
    }
}

/// What a sink says of points that it was given.
#[derive(Debug)]
pub struct Sent {
    /// Those that it is known to reject, dropped before they were sent.
    pub dropped: Vec<Dropped>,
    /// Those that it refused for good, each with its words. The others are not touched by it.
    pub refused: Vec<(Point, String)>,
    /// Whether it acknowledged the rest.
    pub result: Result<()>,
}
