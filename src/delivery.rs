//! From the points of a run to its sinks, with an account of every point.
//!
//! Until the spool stands here, what a sink did not acknowledge is lost, and said so.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::point::{Dropped, Point};
use crate::sinks::carbon;
use crate::sources::Problem;

/// What became of the points of a run at one sink: collected = delivered + lost + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Acknowledged by the sink.
    pub delivered: usize,
    /// Not acknowledged. The sink may have got some of them.
    pub lost: usize,
    /// Dropped by name, because the sink or every sink would reject them.
    pub dropped: usize,
}

impl Account {
    /// How many points it accounts for.
    pub fn sum(&self) -> usize {
        self.delivered + self.lost + self.dropped
    }
}

/// Sends `points` to every sink of the config, at most until `deadline`. `unsound` are those of the run's points that no
/// sink can take. Returns an account per sink, the names of what was dropped, and what went wrong.
pub fn deliver(
    config: &Config,
    points: &[Point],
    unsound: &[Dropped],
    deadline: Instant,
) -> (BTreeMap<String, Account>, Vec<Dropped>, Vec<Problem>) {
    let mut accounts = BTreeMap::new();
    let mut problems = Vec::new();
    let mut dropped = unsound.to_vec();
    if let Some(carbon) = &config.carbon {
        let (datapoints, rejected) = carbon::datapoints(points);
        let sent = points.len() - rejected.len();
        let mut account = Account { delivered: sent, lost: 0, dropped: unsound.len() + rejected.len() };
        if let Err(error) = carbon::send(carbon, &datapoints, deadline) {
            (account.delivered, account.lost) = (0, sent);
            let words = format!("{error:#}; {} datapoints are not acknowledged", datapoints.len());
            problems.push(Problem::new("carbon", words));
        }
        dropped.extend(rejected);
        accounts.insert("carbon".to_string(), account);
    }
    (accounts, dropped, problems)
}

/// The names of the sinks that the config selects.
pub fn sinks(config: &Config) -> Vec<&'static str> {
    config.carbon.iter().map(|_| "carbon").collect()
}

/// Reaches every sink without writing, and says of each what it is.
pub fn check(config: &Config, deadline: Instant) -> Vec<(String, Result<String, String>)> {
    let carbon = config.carbon.iter().map(|carbon| carbon::check(carbon, deadline));
    carbon.map(|result| ("carbon".to_string(), result.map_err(|error| format!("{error:#}")))).collect()
}
