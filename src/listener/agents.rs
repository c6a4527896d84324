//! The agents that have said something, for people and for the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::os::files;
use crate::sources::agents::status::{AgentRecord, AgentStatus, QULO};

/// The file of the state directory in which they are remembered.
pub const FILE: &str = "qmaster.agents";

/// The most agents that are remembered, and the most bytes of their texts. Of more, those are forgotten that have been silent for the
/// longest time: they are known again once they say something.
const MOST: usize = 100_000;
const MOST_BYTES: usize = 64 << 20;

/// The largest file, in bytes: JSON may write each byte of a text as six.
const LARGEST: u64 = 8 * MOST_BYTES as u64;

/// How long a silent agent is remembered, in seconds.
const FORGOTTEN: i64 = 30 * 86_400;

/// The agents that have said something.
#[derive(Debug, Default)]
pub(super) struct Agents {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By host.
    all: BTreeMap<String, AgentRecord>,
    /// How many bytes their texts have.
    bytes: usize,
    /// The hosts of those that were heard since they were asked for last.
    fresh: BTreeSet<String>,
    is_changed: bool,
}

/// How many bytes the texts of an agent take, roughly.
fn weight(record: &AgentRecord) -> usize {
    let AgentStatus { host, version, sensors, .. } = &record.status;
    256 + 2 * host.len() + version.len() + sensors.iter().map(|(name, _)| name.len() + 32).sum::<usize>()
}

impl State {
    fn take(&mut self, host: &str) -> Option<AgentRecord> {
        let record = self.all.remove(host)?;
        self.bytes -= weight(&record);
        Some(record)
    }

    fn put(&mut self, record: AgentRecord) {
        let _ = self.take(&record.status.host);
        self.bytes += weight(&record);
        self.all.insert(record.status.host.clone(), record);
        self.is_changed = true;
        self.make_room();
    }

    /// Forgets a tenth of all, those that have been silent for the longest time, if they are too many.
    fn make_room(&mut self) {
        while self.all.len() > MOST || self.bytes > MOST_BYTES {
            let mut times: Vec<_> = self.all.values().map(|record| record.at).collect();
            times.sort_unstable();
            let until = times[times.len() / 10];
            // Those of one second go one after the other, as far as there is need.
            let (most, mut gone) = (self.all.len() / 10 + 1, 0);
            self.all.retain(|_, record| {
                let goes = record.at <= until && gone < most;
                gone += usize::from(goes);
                !goes
            });
            self.fresh.retain(|host| self.all.contains_key(host));
            self.bytes = self.all.values().map(weight).sum();
        }
    }
}

/// Reads what a master remembers.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn remembered(path: &std::path::Path) -> Result<BTreeMap<String, AgentRecord>> {
    let bytes = files::read(path, LARGEST).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

impl Agents {
    /// Begins with those that a file remembers; one that cannot be read has none.
    pub fn open(path: PathBuf) -> Self {
        let all = remembered(&path).unwrap_or_default();
        let bytes = all.values().map(weight).sum();
        let mut state = State { all, bytes, ..State::default() };
        state.make_room();
        Self { path, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent has said something.
    pub fn hear(&self, status: AgentStatus, from: IpAddr, at: i64) {
        let mut state = self.state();
        state.fresh.insert(status.host.clone());
        state.put(AgentRecord { status, from: from.to_string(), at });
    }

    /// QULo's agents have sent values of sensors: they say nothing about themselves.
    pub fn hear_qulos(&self, seen: &BTreeSet<(String, String)>, from: IpAddr, at: i64) {
        let mut state = self.state();
        for (host, sensor) in seen {
            let mut record = state.take(host).unwrap_or_default();
            if record.status.version != QULO {
                let (host, version) = (host.clone(), QULO.into());
                record.status = AgentStatus { host, version, ..AgentStatus::default() };
            }
            if record.status.sensors.len() < 200 && !record.status.sensors.iter().any(|(name, _)| name == sensor) {
                record.status.sensors.push((sensor.clone(), 0.0));
            }
            (record.from, record.at) = (from.to_string(), at);
            state.put(record);
        }
    }

    /// Returns those that have said something about themselves since this was called last.
    pub fn fresh(&self) -> Vec<AgentRecord> {
        let mut state = self.state();
        let fresh = std::mem::take(&mut state.fresh);
        fresh.iter().filter_map(|host| state.all.get(host)).cloned().collect()
    }

    /// Writes the file anew if somebody has said something. Forgets those that have been silent for a month.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn save(&self, now: i64) -> Result<()> {
        let mut state = self.state();
        if !state.is_changed {
            return Ok(());
        }
        state.all.retain(|_, record| now - record.at < FORGOTTEN);
        state.bytes = state.all.values().map(weight).sum();
        let bytes = serde_json::to_vec(&state.all)?;
        state.is_changed = false;
        drop(state);
        files::write(&self.path, &bytes).context("the agents")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_say_takes_no_more_than_its_room_and_the_silent_go_first() {
        let agents = Agents::default();
        let from = IpAddr::from([192, 0, 2, 1]);
        let status =
            |host: String| AgentStatus { host, sensors: vec![("x".repeat(250), 1.0); 200], ..AgentStatus::default() };
        agents.hear(status("silent".into()), from, 1);
        for at in 0..2 * MOST_BYTES / 50_000 {
            agents.hear(status(format!("wn{at}")), from, 10 + at as i64);
            agents.hear(status("real".into()), from, 10 + at as i64);
        }
        let state = agents.state();
        assert!(state.bytes <= MOST_BYTES && state.bytes == state.all.values().map(weight).sum::<usize>());
        assert!(state.all.contains_key("real") && !state.all.contains_key("silent"), "{}", state.all.len());
        assert!(state.all.len() > 500 && state.fresh.iter().all(|host| state.all.contains_key(host)));
    }
}
