//! The agents that have said something, for people and for the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::os::files;
use crate::sources::agents::word::{Heard, QULO, Word};

/// The file of the state directory in which they are remembered.
pub const FILE: &str = "qmaster.agents";

/// The most agents that are remembered.
const MOST: usize = 100_000;

/// The largest file, in bytes.
const LARGEST: u64 = 1 << 30;

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
    all: BTreeMap<String, Heard>,
    /// The hosts of those that were heard since they were asked for last.
    fresh: BTreeSet<String>,
    is_changed: bool,
}

/// Reads what a master remembers.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn remembered(path: &std::path::Path) -> Result<BTreeMap<String, Heard>> {
    let bytes = files::read(path, LARGEST).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

impl Agents {
    /// Begins with those that a file remembers; one that cannot be read has none.
    pub fn open(path: PathBuf) -> Self {
        let all = remembered(&path).unwrap_or_default();
        Self { path, state: Mutex::new(State { all, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent has said something.
    pub fn hear(&self, word: Word, from: IpAddr, at: i64) {
        let mut state = self.state();
        if state.all.len() >= MOST && !state.all.contains_key(&word.host) {
            return;
        }
        state.fresh.insert(word.host.clone());
        state.all.insert(word.host.clone(), Heard { word, from: from.to_string(), at });
        state.is_changed = true;
    }

    /// QULo's agents have sent values of sensors: they say nothing about themselves.
    pub fn hear_qulos(&self, seen: &BTreeSet<(String, String)>, from: IpAddr, at: i64) {
        let mut state = self.state();
        for (host, sensor) in seen {
            let is_known = state.all.contains_key(host);
            if !is_known && state.all.len() >= MOST {
                continue;
            }
            let heard = state.all.entry(host.clone()).or_default();
            if heard.word.version != QULO {
                let (host, version) = (host.clone(), QULO.into());
                heard.word = Word { host, version, ..Word::default() };
            }
            if heard.word.sensors.len() < 200 && !heard.word.sensors.iter().any(|(name, _)| name == sensor) {
                heard.word.sensors.push((sensor.clone(), 0.0));
            }
            (heard.from, heard.at) = (from.to_string(), at);
            state.is_changed = true;
        }
    }

    /// Returns those that have said something about themselves since this was called last.
    pub fn fresh(&self) -> Vec<Heard> {
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
        state.all.retain(|_, heard| now - heard.at < FORGOTTEN);
        let bytes = serde_json::to_vec(&state.all)?;
        state.is_changed = false;
        drop(state);
        files::write(&self.path, &bytes).context("the agents")
    }
}
