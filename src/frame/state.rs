//! The state that lasts from one run to the next: the lock, the reports of the last runs, and remembered values.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::fs::Access;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::report::{Report, marked, read_reports};
use super::watchdog::Watchdog;
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{carbon_component, utc};
use crate::os::files::{create_dir, write};
use crate::os::uptime::Uptime;
use crate::text::ago;

/// `[state]`.
pub const SECTION: Section = Section::new(
    "state",
    "Says where the programs keep what lasts from one run to the next.",
    &[Key::new(
        "directory",
        Kind::Path,
        Unset::Absent("/var/lib/gridmon"),
        "Where the spool, the lock, the reports of the last runs and what sources remember are kept. Default: \
         /var/lib/gridmon when that can be written, else ~/.local/state/gridmon.",
    )],
);

/// Reads `[state]`: the directory, if the config names one.
///
/// # Errors
/// When it is relative.
pub fn read(values: &Values) -> Result<Option<PathBuf>> {
    values.path("directory")
}

/// The state of one program on one grid.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    /// The prefix of its files' names: `collect-grid.heprc`.
    stem: String,
    /// The reports of earlier runs, oldest first.
    reports: Vec<Report>,
}

/// Number of reports that are kept.
const KEPT: usize = 100;

impl State {
    /// Opens the state of `program` on `grid` in `directory`; without one, in `/var/lib/gridmon` if that is writable,
    /// else in `~/.local/state/gridmon`. If `may_write`, creates a missing directory.
    ///
    /// # Errors
    /// Fails if there is no directory and none can be created, or if the reports cannot be read.
    pub fn open(directory: Option<&Path>, program: &str, grid: &str, may_write: bool) -> Result<Self> {
        let directory = match directory {
            Some(directory) => ensure_dir(directory, may_write)?,
            None => default_directory(may_write)?,
        };
        let stem = format!("{program}.{}", carbon_component(grid));
        let mut state = Self { directory, stem, reports: Vec::new() };
        let path = state.path("reports");
        match read_reports(&path) {
            Ok((reports, _)) => state.reports = reports,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        Ok(state)
    }

    /// Returns the state directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns when the last report was written; `None` if there is none.
    pub(super) fn reported(&self) -> Option<SystemTime> {
        fs::metadata(self.path("reports")).ok()?.modified().ok()
    }

    fn path(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{}.{what}", self.stem))
    }

    /// Returns the report of the last run.
    pub fn last(&self) -> Option<&Report> {
        self.reports.last()
    }

    /// Appends a report and drops the oldest ones beyond a hundred.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn add(&mut self, report: Report) -> Result<()> {
        self.reports.push(report);
        let from = self.reports.len().saturating_sub(KEPT);
        let mut text = String::new();
        for report in &self.reports[from..] {
            text.push_str(&serde_json::to_string(report).context("report")?);
            text.push('\n');
        }
        write(&self.path("reports"), text.as_bytes())
    }

    /// Marks a run that is about to deliver, until a report is written: of several without a report, the first. The mark
    /// is the time of an empty file, which takes no room on a full disk.
    pub fn mark(&self, now: i64) {
        let path = self.path("mark");
        let reported = self.last().map_or(i64::MIN, |last| last.time);
        if marked(&path).is_some_and(|marked| reported < marked && marked <= now) {
            return;
        }
        let Ok(time) = u64::try_from(now) else { return };
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(&path);
        // It serves the monitor alone.
        let _ = file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)));
    }

    /// Returns the value remembered as `what`; the default if there is none, or none that this version can read.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> T {
        fs::read(self.path(what)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Remembers `value` as `what`.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn remember<T: Serialize>(&self, what: &str, value: &T) -> Result<()> {
        let bytes = serde_json::to_vec(value).with_context(|| what.to_string())?;
        write(&self.path(what), &bytes)
    }

    /// Takes the lock of this program and grid. Returns `None` if another run holds it and is no older than `deadline`.
    ///
    /// # Errors
    /// Fails if the holder is older than `deadline`, with its process ID and age, or if the file cannot be locked.
    pub fn lock(&self, deadline: Duration) -> Result<Option<Lock>> {
        let path = self.path("lock");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(&path).or_else(
                |error| match error.kind() {
                    // A file can be locked even if its disk has become read-only.
                    ErrorKind::ReadOnlyFilesystem => File::open(&path),
                    _ => Err(error),
                },
            );
        let mut file = file.with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => {
                let death = death(&mut file);
                let Uptime { boot, seconds } = Uptime::now();
                let holder = format!("{} {seconds} {boot}\n", std::process::id());
                // Only the messages of other runs use the note. If the disk is too full for it, this run's points must
                // still reach the sinks.
                let _ = file.set_len(0).and_then(|()| file.write_all_at(holder.as_bytes(), 0));
                Ok(Some(Lock::new(file, death)))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
            Err(TryLockError::WouldBlock) => {
                // A holder of another machine, or of an earlier version, cannot be told from a healthy one.
                let Some((pid, began)) = holder(&mut file) else { return Ok(None) };
                let Some(held) = Uptime::now().since(&began).filter(|held| *held > deadline.as_secs() as i64) else {
                    return Ok(None);
                };
                // The note of a killed run stays until the next holder has written its own.
                std::thread::sleep(Duration::from_millis(100));
                if holder(&mut file) != Some((pid, began)) {
                    return Ok(None);
                }
                bail!(
                    "process {pid} has held {} for {}, longer than any run may take; nothing was collected; end it with: kill -9 {pid}",
                    path.display(),
                    ago(held)
                )
            }
        }
    }
}

/// The lock of a run. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// The death of the last holder, if it did not release the lock.
    pub(super) death: Option<Death>,
}

impl Lock {
    fn new(file: File, death: Option<Death>) -> Self {
        if let Some(watchdog) = Watchdog::running() {
            watchdog.clears(file.try_clone().ok());
        }
        Self { file, death }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // From now on the note is that of the next holder.
        if let Some(watchdog) = Watchdog::running() {
            watchdog.clears(None);
        }
        // Otherwise another run could take this note for that of the next holder, or for that of a run that died.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// The end of a run that left its note in the lock: it did not end by itself, nor could it say why.
#[derive(Debug)]
pub(super) struct Death {
    /// When it wrote its note, which is when it began.
    pub began: SystemTime,
    /// The message.
    pub message: String,
}

/// Returns the death of the last holder of a free lock.
fn death(file: &mut File) -> Option<Death> {
    let (pid, held) = holder(file)?;
    let began = file.metadata().ok()?.modified().ok()?;
    let time = utc(began.duration_since(UNIX_EPOCH).ok()?.as_secs() as i64);
    let cause = match Uptime::now().since(&held) {
        Some(_) => "was killed or crashed; `journalctl -k` may say why, for instance that memory ran out",
        None => "ended with the machine, which has been started again since",
    };
    Some(Death { began, message: format!("the last run, process {pid}, begun {time}, {cause}") })
}

/// Returns the process that holds the lock, and when it took it.
fn holder(file: &mut File) -> Option<(u32, Uptime)> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(100).read_to_string(&mut text).ok()?;
    let mut parts = text.split_whitespace();
    let (pid, seconds) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((pid, Uptime { boot: parts.next()?.into(), seconds }))
}

/// Where all programs of a machine keep their state if they may write there.
const SHARED: &str = "/var/lib/gridmon";

fn default_directory(may_write: bool) -> Result<PathBuf> {
    let shared = ensure_dir(Path::new(SHARED), may_write).ok();
    if let Some(shared) = shared.filter(|shared| rustix::fs::access(shared, Access::WRITE_OK).is_ok()) {
        return Ok(shared);
    }
    let home = user_dir()
        .context("no place for state: /var/lib/gridmon cannot be written and HOME is not set; set [state] directory")
        .and_then(|home| ensure_dir(&home, may_write));
    // Read-only callers, such as Nagios, need no write permission.
    if may_write { home } else { home.or_else(|error| ensure_dir(Path::new(SHARED), false).map_err(|_| error)) }
}

/// Returns the state directory in the user's home.
fn user_dir() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| Path::new(home).is_absolute())?;
    Some(Path::new(&home).join(".local/state/gridmon"))
}

/// Returns the path of the state directory for readers. If it does not exist, the path where the first run would create
/// it.
pub fn directory(configured: Option<&Path>) -> PathBuf {
    let there = configured.map_or_else(|| default_directory(false), |configured| ensure_dir(configured, false));
    there.unwrap_or_else(|_| default_path(configured))
}

/// Returns the path where the first run would create the state directory.
fn default_path(configured: Option<&Path>) -> PathBuf {
    let shared = rustix::fs::access("/var/lib", Access::WRITE_OK).is_ok().then(|| SHARED.into());
    configured.map(PathBuf::from).or(shared).or_else(user_dir).unwrap_or_else(|| SHARED.into())
}

/// Returns the directory, which must exist; if `may_write`, creates it.
fn ensure_dir(directory: &Path, may_write: bool) -> Result<PathBuf> {
    let there = if may_write { create_dir(directory) } else { fs::metadata(directory).map(drop) };
    there.with_context(|| format!("state directory {}", directory.display()))?;
    Ok(directory.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_last_and_the_oldest_of_many_are_forgotten() {
        let directory =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("state-test-{}", std::process::id()));
        let open = || State::open(Some(&directory), "collect-x", "a/b c", true).unwrap();
        let mut state = open();
        assert_eq!(state.last(), None);
        for time in 0..130 {
            state.add(Report { time, ..Report::default() }).unwrap();
        }
        let path = directory.join("collect-x.a_b_c.reports");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 100);
        fs::write(&path, format!("{text}{{damaged\n")).unwrap();
        assert_eq!(open().last().unwrap().time, 129);
        assert_eq!(open().recall::<Vec<String>>("schedds"), Vec::<String>::new());
        state.remember("schedds", &["a"]).unwrap();
        assert_eq!(open().recall::<Vec<String>>("schedds"), ["a"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
