//! This machine as its kernel tells of it: files below /proc and /sys, and a few system calls. A parser a file; each takes
//! the text of a file, and none trusts it.
//!
//! A [`Root`] stands in place of `/`, so that tests read the recorded files of other machines.

pub mod addresses;
pub mod battery;
pub mod cpuinfo;
pub mod disks;
pub mod hwmon;
pub mod interfaces;
pub mod loadavg;
pub mod meminfo;
pub mod mounts;
pub mod netlink;
pub mod sockets;
pub mod stat;
pub mod topology;
pub mod usage;
pub mod users;
pub mod vmstat;
pub mod zoneinfo;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::stat::Stat;

/// The folder that stands for `/`, and what several sensors read of it at one moment.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    stat: Arc<Mutex<SharedStat>>,
}

/// /proc/stat, which five sensors read.
#[derive(Debug)]
struct SharedStat {
    file: Kept,
    last: Option<(Duration, Arc<Stat>)>,
}

/// How old /proc/stat may be for a sensor of the same tick.
const SAME_TICK: Duration = Duration::from_millis(20);

impl Default for Root {
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

impl Root {
    /// Returns a root that lies at `folder`.
    pub fn at(folder: &Path) -> Self {
        let file = Kept::new(folder.join("proc/stat"));
        Self { path: folder.into(), stat: Arc::new(Mutex::new(SharedStat { file, last: None })) }
    }

    /// Whether this is the machine that the program runs on, which answers system calls too.
    pub fn is_here(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Returns the path of `name`, which has no `/` in front: `proc/meminfo`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns a file that is read at each tick.
    pub fn kept(&self, name: &str) -> Kept {
        Kept::new(self.path(name))
    }

    /// Returns /proc/stat as it is at the moment `running`, and the moment at which it was read.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not what it should be.
    pub fn stat(&self, running: Duration) -> Result<(Duration, Arc<Stat>)> {
        let mut shared = self.stat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, stat)) = &shared.last
            && running.abs_diff(*read) < SAME_TICK
        {
            return Ok((*read, Arc::clone(stat)));
        }
        let stat = Arc::new(stat::parse(&shared.file.read()?).context("/proc/stat")?);
        shared.last = Some((running, Arc::clone(&stat)));
        Ok((running, stat))
    }

    /// Returns the text of a file that is read seldom.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub fn text(&self, name: &str) -> Result<String> {
        let mut file = self.kept(name);
        Ok(file.read()?.into_owned())
    }

    /// Returns the only word or line of a small file, such as those of /sys; `None` if it cannot be read or is empty.
    pub fn word(&self, name: &str) -> Option<String> {
        let mut bytes = [0; 256];
        let file = File::open(self.path(name)).ok()?;
        let length = file.read_at(&mut bytes, 0).ok()?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_string())
    }

    /// Returns the only number of a small file.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.word(name)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns the names in a folder, sorted so that `hwmon2` is before `hwmon10`; empty if it cannot be read.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by(|a, b| in_order(a, b));
        names
    }
}

/// Compares names so that numbers in them count as numbers.
pub fn in_order(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(String, u64, usize)> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (before, after) = rest.split_at(digits);
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            // A longer number than 64 bits hold is compared by its length; without a number a name is the first.
            let number = if end == 0 { 0 } else { after[..end].parse().unwrap_or(u64::MAX) };
            parts.push((before.to_string(), number, end));
            rest = &after[end..];
        }
        parts
    };
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
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
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, bytes: Vec::new() }
    }

    /// Returns the present text. Bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// Fails if the file cannot be opened or read, or breaks off within a line.
    pub fn read(&mut self) -> Result<Cow<'_, str>> {
        self.bytes().map(String::from_utf8_lossy)
    }

    /// Returns the present bytes.
    ///
    /// # Errors
    /// As [`Kept::read`].
    pub fn bytes(&mut self) -> Result<&[u8]> {
        if let Err(error) = self.fill() {
            // A device that came back, or a file that another one replaced, is another file.
            self.file = None;
            if error.kind() == io::ErrorKind::NotFound {
                return Err(error).with_context(|| self.path.display().to_string());
            }
            self.fill().with_context(|| self.path.display().to_string())?;
        }
        ensure!(self.bytes.len() < MOST, "{}: longer than {MOST} bytes", self.path.display());
        // A number that is cut is another number.
        ensure!(
            self.bytes.last().is_none_or(|last| *last == b'\n'),
            "{}: breaks off in its last line",
            self.path.display()
        );
        Ok(&self.bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["hwmon10", "hwmon2", "hwmon", "a1b10", "a1b9", "a01", "a1", "b99999999999999999999999"];
        names.sort_by(|a, b| in_order(a, b));
        assert_eq!(names, ["a1", "a1b9", "a1b10", "a01", "b99999999999999999999999", "hwmon", "hwmon2", "hwmon10"]);
    }

    #[test]
    fn a_file_that_stays_open_is_read_anew_and_one_that_is_replaced_is_found() {
        let folder = std::env::temp_dir().join(format!("gridmon-node-{}", std::process::id()));
        fs::create_dir_all(folder.join("proc")).unwrap();
        let root = Root::at(&folder);
        let mut file = root.kept("proc/x");
        assert!(file.read().unwrap_err().to_string().ends_with("proc/x"));
        fs::write(root.path("proc/x"), "a".repeat(9000) + "\n").unwrap();
        assert_eq!(file.read().unwrap().len(), 9001);
        fs::write(root.path("proc/x"), b"b\xff\n").unwrap();
        assert_eq!(file.read().unwrap(), "b\u{fffd}\n");
        fs::write(root.path("proc/x"), b"b 12\nc 3").unwrap();
        assert!(file.read().unwrap_err().to_string().ends_with("proc/x: breaks off in its last line"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
