//! This machine as its kernel tells of it: files below /proc and /sys, and a few system calls. A parser a file; each takes
//! the text of a file, and none trusts it.
//!
//! A [`Root`] stands in place of `/`, so that tests read the recorded files of other machines.

pub mod loadavg;
pub mod meminfo;
pub mod zoneinfo;

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The folder that stands for `/`.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Root {
    /// Returns a root that lies at `folder`.
    pub fn at(folder: &Path) -> Self {
        Self(folder.into())
    }

    /// Returns the path of `name`, which has no `/` in front: `proc/meminfo`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns a file that is read at each tick.
    pub fn kept(&self, name: &str) -> Kept {
        Kept { path: self.path(name), file: None, bytes: Vec::new() }
    }
}

/// The most that is read of a file, in bytes: /proc/net/tcp of a machine with 300,000 connections.
const MOST: usize = 64 << 20;

/// A file that is read at each tick. It stays open, which spares two of four system calls, and its buffer stays.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    file: Option<File>,
    bytes: Vec<u8>,
}

impl Kept {
    /// Returns the present text. Bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// Fails if the file cannot be opened or read.
    pub fn read(&mut self) -> Result<Cow<'_, str>> {
        if let Err(error) = self.fill() {
            // A device that came back, or a file that another one replaced, is another file.
            self.file = None;
            if error.kind() == io::ErrorKind::NotFound {
                return Err(error).with_context(|| self.path.display().to_string());
            }
            self.fill().with_context(|| self.path.display().to_string())?;
        }
        ensure!(self.bytes.len() < MOST, "{}: longer than {MOST} bytes", self.path.display());
        Ok(String::from_utf8_lossy(&self.bytes))
    }

    /// Reads the file from its beginning.
    fn fill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let mut length = 0;
        loop {
            if self.bytes.len() == length {
                self.bytes.resize((length * 2).max(4096), 0);
            }
            match file.read_at(&mut self.bytes[length..], length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if length >= MOST {
                break;
            }
        }
        self.bytes.truncate(length);
        Ok(())
    }
}
