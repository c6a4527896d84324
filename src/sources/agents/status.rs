//! What a qagent says about itself once a minute, as JSON, and what a master remembers of it.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The largest status, in bytes.
pub const LONGEST: usize = 64 << 10;

/// The version of QULo's agents, which say none.
pub const QULO: &str = "QULo";

/// What an agent says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentStatus {
    /// Its host, as in the points of its sensors.
    pub host: String,
    /// Its version.
    pub version: String,
    /// Its sensors, with the seconds between two readings.
    pub sensors: Vec<(String, f64)>,
    /// The points that wait for the master.
    pub backlog_points: u64,
    /// For how long the oldest of them has been waiting, in seconds.
    pub lag_seconds: u64,
}

/// What a master remembers of an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentRecord {
    /// What it said last.
    #[serde(rename = "word")]
    pub status: AgentStatus,
    /// From where.
    pub from: String,
    /// When it said anything last, in unix seconds of the master's clock.
    pub at: i64,
}

/// An agent is silent if nothing has been heard of it for so long, in seconds: it speaks once a minute, and to any of several
/// masters behind a balancer.
pub const SILENT: i64 = 300;

impl AgentStatus {
    /// Parses what somebody claims that an agent said.
    ///
    /// # Errors
    /// Fails if it is none, or if a text in it is longer than a name may be or moves a terminal's cursor.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() <= LONGEST, "it is longer than {LONGEST} bytes");
        let status: Self = serde_json::from_slice(bytes)?;
        let is_name = |text: &str| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
        ensure!(is_name(&status.host), "its host is no name");
        ensure!(is_name(&status.version), "its version is no text of a line");
        let are_sensors = status.sensors.iter().all(|(name, seconds)| is_name(name) && seconds.is_finite());
        ensure!(status.sensors.len() <= 200 && are_sensors, "its sensors are none");
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_parsed_and_what_is_none_is_refused() {
        let good = r#"{"host":"wn1.","version":"0.1.0","sensors":[["CPUPercent",10.0]],"backlog_points":3,"lag_seconds":7,"new":1}"#;
        let status = AgentStatus::parse(good.as_bytes()).unwrap();
        assert_eq!((status.host.as_str(), status.backlog_points, status.sensors.len()), ("wn1.", 3, 1));
        assert_eq!(AgentStatus::parse(&serde_json::to_vec(&status).unwrap()).unwrap(), status);
        let long = "x".repeat(256);
        for bad in [
            "".to_string(),
            "[]".into(),
            r#"{"host":""}"#.into(),
            r#"{"host":"a\u001b[2J","version":"1"}"#.into(),
            format!(r#"{{"host":"{long}","version":"1"}}"#),
            r#"{"host":"a","version":"1","backlog_points":-1}"#.into(),
            " ".repeat(LONGEST + 1),
        ] {
            assert!(AgentStatus::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
