//! What every run writes down, also one that sends nothing: what it did to others lasts longer than itself.

use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{State, refusal};
use crate::os::files;
use crate::os::owner::{command_to_make, with_remedy};

/// How long a run waits for another one that has it.
const LONGEST: Duration = Duration::from_secs(60);

/// A value in the state directory that one run has at a time.
#[derive(Debug)]
pub struct Ledger {
    state: State,
    what: String,
    _lock: File,
}

impl Ledger {
    /// Opens the value `what` of a program on a grid.
    ///
    /// # Errors
    /// Fails if it could not be written, or if another run has it until `until`.
    pub(super) fn open(directory: &Path, program: &str, grid: &str, what: &str, until: Instant) -> Result<Self> {
        let shown = || format!("state directory {}", directory.display());
        if !directory.exists() {
            // Made by one user, another could not use it.
            bail!("{} does not exist; make it for this user: {}", shown(), command_to_make(directory));
        }
        if let Some(why) = refusal(directory, program) {
            bail!("{}: {why}", shown());
        }
        let state = State::named(directory, program, grid);
        let path = state.path(&format!("{what}-lock"));
        let opened = files::open_lock(&path).with_context(|| path.display().to_string());
        let (lock, _) = opened.map_err(|error| with_remedy(error, directory, program))?;
        let until = until.min(Instant::now() + LONGEST);
        while lock.try_lock().is_err() {
            if Instant::now() >= until {
                bail!("another run of {program}, perhaps with --dry-run or --compare, holds {}", path.display());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(Self { state, what: what.into(), _lock: lock })
    }

    /// Returns the value; the default if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub fn read<T: DeserializeOwned + Default>(&self) -> Result<T> {
        self.state.recall(&self.what)
    }

    /// Writes the value.
    ///
    /// # Errors
    /// Fails if it cannot be written; the one before stays.
    pub fn write<T: Serialize>(&self, value: &T) -> Result<()> {
        self.state.remember(&self.what, value)
    }
}
