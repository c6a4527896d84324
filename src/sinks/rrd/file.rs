//! A file on the disk: made whole, locked as rrdtool locks it, changed so that a kill at any moment leaves it readable.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use super::layout::{Archive, Cf, Definition, LONGEST_HEAD, Live, UNKNOWN};
use super::update::{Row, new, update};
use crate::os::files;

/// How much of a file is read at first: all before the rows of a file of ours.
const AT_ONCE: usize = 4096;

/// The error of a file that this program cannot go on with.
#[derive(Debug)]
pub struct Unfit(pub String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// An open file.
#[derive(Debug)]
pub struct Rrd {
    file: File,
    /// What it holds.
    pub definition: Definition,
    /// Its state.
    pub live: Live,
    /// The bytes before the rows.
    head: Vec<u8>,
}

impl Rrd {
    /// Opens a file for reading; returns `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if it cannot be read, or is not a file that this program can go on with.
    pub fn open_to_read(path: &Path) -> Result<Option<Self>> {
        let file = match files::open(path, OpenOptions::new().read(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        Self::read(file).map(Some)
    }

    /// Opens a file for writing and locks it; returns `None` if it does not exist. Waits at most until `until` for others.
    ///
    /// # Errors
    /// As [`Rrd::open_to_read`], and if another program holds its lock.
    pub fn open(path: &Path, until: Instant) -> Result<Option<Self>> {
        let file = match files::open(path, OpenOptions::new().read(true).write(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        lock(&file, until)?;
        Self::read(file).map(Some)
    }

    fn read(file: File) -> Result<Self> {
        let length = file.metadata()?.len();
        let mut head = read_at_most(&file, AT_ONCE)?;
        let unfit = |error: anyhow::Error| Unfit(format!("{error:#}"));
        let needed = Definition::head_length(&head).map_err(unfit)?;
        if needed > head.len() && needed as u64 <= LONGEST_HEAD {
            head = read_at_most(&file, needed)?;
        }
        let (definition, live) = Definition::read(&head, length).map_err(unfit)?;
        head.truncate(definition.head());
        Ok(Self { file, definition, live, head })
    }

    /// Writes the values of a time; does nothing if the file has a value of that time or a later one.
    ///
    /// The rows are written before the part that says which row is the newest. A kill between the two leaves the oldest row
    /// changed, and the same update again does the same.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn update(&mut self, time: i64, values: &[Option<f64>]) -> Result<()> {
        if time <= self.live.last {
            return Ok(());
        }
        for Row { archive, row, values } in update(&self.definition, &mut self.live, time, values) {
            let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let at = self.definition.rows_of(archive) + row * self.definition.row_bytes();
            self.file.write_all_at(&bytes, at)?;
        }
        self.definition.encode_live(&self.live, &mut self.head);
        let live = self.definition.live();
        Ok(self.file.write_all_at(&self.head[live..], live as u64)?)
    }

    /// Returns the values of the newest rows of an archive, at most `most` of them, the oldest row first: one for each data
    /// source.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub fn rows(&self, archive: usize, most: usize) -> Result<Vec<f64>> {
        let (sources, rows) = (self.definition.sources.len(), self.definition.archives[archive].rows as usize);
        let mut bytes = vec![0; rows * sources * 8];
        self.file.read_exact_at(&mut bytes, self.definition.rows_of(archive))?;
        // The row after the newest is the oldest.
        let oldest = (self.live.current[archive] as usize + 1) % rows;
        let shown = (oldest + rows.saturating_sub(most)..oldest + rows).map(|at| at % rows * sources * 8);
        let float = |bytes: &[u8]| bytes.try_into().map_or(UNKNOWN, f64::from_le_bytes);
        Ok(shown.flat_map(|at| bytes[at..at + sources * 8].chunks_exact(8).map(float)).collect())
    }

    /// Returns the mean of each data source over the step that ends at `time`, in unix seconds, with its name; NaN where it is
    /// unknown. `None` if the file has no such step, or not yet.
    ///
    /// # Errors
    /// Fails if the rows cannot be read.
    pub fn means(&self, time: i64) -> Result<Option<Vec<(&str, f64)>>> {
        let is_of_step = |archive: &Archive| archive.fold == Cf::Average && archive.steps == 1;
        let Some(archive) = self.definition.archives.iter().position(is_of_step) else { return Ok(None) };
        let (step, before) = (self.definition.step as i64, self.newest(archive) - time);
        if step <= 0 || before < 0 || before % step != 0 {
            return Ok(None);
        }
        let back = 1 + (before / step) as usize;
        if back as u64 > self.definition.archives[archive].rows {
            return Ok(None);
        }
        let names = self.definition.sources.iter().map(|source| source.name.as_str());
        Ok(Some(names.zip(self.rows(archive, back)?).collect()))
    }

    /// Returns the end of the newest row of an archive, in unix seconds.
    pub fn newest(&self, archive: usize) -> i64 {
        let seconds = (self.definition.step * self.definition.archives[archive].steps) as i64;
        self.live.last - self.live.last.rem_euclid(seconds)
    }
}

/// Creates a file without a value. The first one that it takes is later than `start`, in unix seconds. Another program's
/// file of that name stays.
///
/// # Errors
/// Fails if it cannot be written.
pub fn create(path: &Path, definition: &Definition, start: i64) -> Result<()> {
    let mut bytes = definition.encode(&new(definition, start));
    let unknown = UNKNOWN.to_le_bytes().repeat(((definition.length() - bytes.len() as u64) / 8) as usize);
    bytes.extend(unknown);
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".first{}", files::NEW));
    let aside = Path::new(&aside);
    files::replace(aside, 0o640, |file| Ok(file.write_all(&bytes)?))?;
    // Unlike a rename, it replaces nothing.
    let linked = fs::hard_link(aside, path);
    let _ = fs::remove_file(aside);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Locks a whole file against rrdtool and other runs.
fn lock(file: &File, until: Instant) -> Result<()> {
    loop {
        match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::ACCESS | Errno::AGAIN) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
            Err(Errno::ACCESS | Errno::AGAIN) => bail!("another program holds its lock"),
            Err(error) => return Err(error).context("its lock"),
        }
    }
}

fn read_at_most(file: &File, most: usize) -> Result<Vec<u8>> {
    let (mut bytes, mut filled) = (vec![0; most], 0);
    loop {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
