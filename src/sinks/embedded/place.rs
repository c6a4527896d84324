//! The place of a store, and which store earlier runs found there.
//!
//! A store whose disk is not mounted, or that was removed, must not be begun anew in silence. So the state directory
//! remembers the id of the store at each path, one `ID PATH` a line. A copy of a store has its id, whatever its age. A
//! path that no run remembers is taken as it is: the store that is there is adopted, or a new one is made.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use super::Store;
use crate::os::files::{self, write};

/// The path of a store, and the state directory that remembers it.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
    /// The file that remembers; `None` for a store that is looked at by itself.
    memory: Option<PathBuf>,
}

impl From<PathBuf> for Place {
    /// The place of a store that no state directory remembers.
    fn from(path: PathBuf) -> Self {
        Self { path, memory: None }
    }
}

/// The longest memory that is read, in bytes.
const LONGEST: u64 = 1 << 20;

impl Place {
    /// Returns the place of the store at `path` as the programs with this `state` directory know it.
    pub fn new(path: PathBuf, state: &Path) -> Self {
        Self { path, memory: Some(state.join("embedded.stores")) }
    }

    /// Returns the path of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the store for writing as [`Store::open`] does, and remembers it.
    ///
    /// # Errors
    /// As [`Store::open`]; also fails if the store of earlier runs is gone, or another one lies there.
    pub fn open(&self, until: Instant) -> Result<Store> {
        let known = self.remembered()?;
        let store = Store::open_as(&self.path, known.as_deref(), until)?;
        if known.is_none() {
            // If it cannot be remembered now, the next run remembers it: that must not cost points.
            let _ = store.id().and_then(|id| self.remember(id.as_deref()));
        }
        Ok(store)
    }

    /// Opens the store for reading; returns `None` if it does not exist, and never did.
    ///
    /// # Errors
    /// As [`Store::open_to_read`]; also fails if the store of earlier runs is gone, or another one lies there.
    pub fn open_to_read(&self) -> Result<Option<Store>> {
        let store = Store::open_to_read(&self.path)?;
        // A reader that may not read the state directory may still read the store.
        if let Some(known) = self.remembered().ok().flatten() {
            store.as_ref().ok_or_else(|| gone(&self.path, &known))?.ensure_is(&known)?;
        }
        Ok(store)
    }

    /// Whether a folder is there as soon as the state directory is.
    pub(super) fn lies_above_its_memory(&self, folder: &Path) -> bool {
        self.memory.as_deref().is_some_and(|memory| memory.starts_with(folder))
    }

    /// Returns the id of the store that earlier runs found here; `None` if no run remembers one.
    ///
    /// # Errors
    /// Fails if the memory cannot be read.
    pub(super) fn remembered(&self) -> Result<Option<String>> {
        let path = self.path.display().to_string();
        Ok(self.lines()?.into_iter().find(|line| line.1 == path).map(|line| line.0))
    }

    /// Takes the store that is there now, or its absence, for the one of earlier runs. Returns what the next run does.
    ///
    /// # Errors
    /// Fails if a store is there that cannot be read, or if the memory cannot be written.
    pub fn accept(&self) -> Result<String> {
        let (shown, known) = (self.path.display(), self.remembered()?);
        let store = Store::open_to_read(&self.path)?;
        let id = store.as_ref().map(Store::id).transpose()?.flatten();
        match (&store, known) {
            (None, None) => return Ok(format!("{shown} is not there, and the next run makes it, as it would have")),
            (Some(_), None) => {}
            (Some(_), Some(known)) if id.as_ref() == Some(&known) => {
                return Ok(format!("{shown} is the store {known} of earlier runs: there is nothing to accept"));
            }
            _ => self.remember(id.as_deref())?,
        }
        Ok(match store {
            Some(_) => format!("the next run goes on with the store that is {shown} now"),
            None => format!("the next run makes a new store {shown}"),
        })
    }

    /// Remembers the id of the store that lies here; `None` forgets it.
    fn remember(&self, id: Option<&str>) -> Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let path = self.path.display().to_string();
        let mut lines = self.lines()?;
        lines.retain(|line| line.1 != path);
        lines.extend(id.map(|id| (id.to_string(), path)));
        let text: String = lines.iter().map(|(id, path)| format!("{id} {path}\n")).collect();
        write(memory, text.as_bytes())
    }

    /// Returns the id and the path of every remembered store.
    fn lines(&self) -> Result<Vec<(String, String)>> {
        let Some(memory) = &self.memory else { return Ok(Vec::new()) };
        let text = match files::read(memory, LONGEST) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.with_context(|| memory.display().to_string())?,
        };
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(|line| line.split_once(' ')).map(|(id, path)| (id.into(), path.into())).collect())
    }
}

/// The command with which a person takes another store, or none, for the one of earlier runs.
pub(super) const ACCEPT: &str = "gridmon-status store accept";

/// Returns the error for a store that is missing.
pub(super) fn gone(path: &Path, known: &str) -> anyhow::Error {
    anyhow!(
        "{} is gone, and earlier runs wrote to it (store {known}): is its disk mounted? Put it or a copy back, or begin a new one with: {ACCEPT}",
        path.display()
    )
}

impl Store {
    /// Fails if this is not the store with the id `known`.
    pub(super) fn ensure_is(&self, known: &str) -> Result<()> {
        let shown = self.path.display();
        match self.id()?.as_deref() {
            Some(id) if id == known => Ok(()),
            Some(id) => bail!(
                "{shown} is another store ({id}) than earlier runs wrote to ({known}): is its disk mounted? Put that one or a copy back, or go on with this one with: {ACCEPT}"
            ),
            None => bail!(
                "{shown} is from before stores had an id, so it may be another one than earlier runs wrote to ({known}): put that one or a newer copy back, or go on with this one with: {ACCEPT}"
            ),
        }
    }
}
