//! The state that lasts from one run to the next: the lock, the reports of the last runs, and remembered values.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::report::{MOST, Report, marked, read_reports};
use super::watchdog::Watchdog;
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{carbon_component, utc};
use crate::os::files::{self, create_dir, host_name};
use crate::os::owner::{command_to_make, ensure_owned, ensure_private, ensure_way, with_remedy};
use crate::os::process::command_line;
use crate::os::uptime::Uptime;
use crate::problem::{Problem, Subject};
use crate::spool::{Directory, Spool};
use crate::text::{ago, count};

/// `[state]`.
pub const SECTION: Section = Section::new(
    "state",
    "Says where the programs keep what lasts from one run to the next.",
    &[Key::new(
        "directory",
        Kind::Path,
        Unset::Absent("/var/lib/gridmon"),
        "Where the spool, the lock, the reports of the last runs and what sources remember are kept: a directory of this \
         machine alone, of the user who runs the programs, that nobody else can write. Default: /var/lib/gridmon when \
         that exists, else ~/.local/state/gridmon.",
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
    program: String,
    /// The prefix of its files' names: `collect-grid.heprc`.
    stem: String,
    /// The reports of earlier runs, oldest first.
    reports: Vec<Report>,
    /// What was wrong with the files when they were opened.
    problems: Vec<Problem>,
}

/// Number of reports that are kept.
const KEPT: usize = 100;

/// Maximum size of a remembered value, in bytes.
const MOST_REMEMBERED: u64 = 256 << 20;

impl State {
    /// Opens the state of `program` on `grid` in `directory`; without one, in the default directory. If `may_write`,
    /// creates a missing directory.
    ///
    /// # Errors
    /// Fails if there is no directory and none can be created. If `may_write`, also if it belongs to another user or
    /// another user could change it. Reports that cannot be read are a problem of the run, and no error.
    pub fn open(directory: Option<&Path>, program: &str, grid: &str, may_write: bool) -> Result<Self> {
        let directory = directory.map_or_else(default_directory, |directory| Ok(directory.to_path_buf()))?;
        let there = match may_write {
            true => prepare(&directory, program),
            false => fs::metadata(&directory).map(drop).map_err(Into::into),
        };
        there.with_context(|| format!("state directory {}", directory.display()))?;
        let mut state = Self::named(&directory, program, grid);
        let path = state.path("reports");
        match read_reports(&path) {
            Ok((reports, _)) => state.reports = reports,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => state.problems.push(Problem::new(
                Subject::Memory("reports".into()),
                format!("{}: {error}; this run begins without those of earlier ones", path.display()),
            )),
        }
        Ok(state)
    }

    /// Returns the state of `program` on `grid` in a directory, without its reports.
    pub(super) fn named(directory: &Path, program: &str, grid: &str) -> Self {
        let stem = format!("{program}.{}", carbon_component(grid));
        let (directory, program) = (directory.to_path_buf(), program.into());
        Self { directory, program, stem, reports: Vec::new(), problems: Vec::new() }
    }

    /// Returns the state directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns when the last report was written; `None` if there is none.
    pub(super) fn reported(&self) -> Option<SystemTime> {
        fs::metadata(self.path("reports")).ok()?.modified().ok()
    }

    pub(super) fn path(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{}.{what}", self.stem))
    }

    /// Returns the report of the last run on any host.
    pub fn last(&self) -> Option<&Report> {
        self.reports.last()
    }

    /// Returns the report of this host's last run.
    pub fn last_here(&self) -> Option<&Report> {
        let host = host_name();
        self.reports.iter().rev().find(|report| report.is_of(&host))
    }

    /// Returns what is wrong with the state of a run at `now`, in unix seconds, of a program that runs every `interval`
    /// seconds: files that could not be read, and another host that uses the directory too.
    pub fn problems(&mut self, now: i64, interval: i64) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems);
        let host = host_name();
        // The other host's run may have begun later in its minute than this one.
        let lately = now.saturating_sub(2 * interval)..=now.saturating_add(interval);
        let other = self.reports.iter().rev().find(|report| !report.is_of(&host) && lately.contains(&report.time));
        if let Some(other) = other {
            problems.push(Problem::new(
                Subject::SharedState,
                format!(
                    "{} is used by {} too, which ran {} ago; the two stop and confuse each other: give each machine its own [state] directory",
                    self.directory.display(),
                    other.host,
                    ago((now - other.time).max(0))
                ),
            ));
        }
        problems
    }

    /// Appends a report and drops the oldest ones beyond a hundred.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn add(&mut self, report: Report) -> Result<()> {
        self.reports.push(report);
        self.reports.drain(..self.reports.len().saturating_sub(KEPT));
        let lines = self.reports.iter().map(|report| Ok(serde_json::to_string(report)? + "\n"));
        let lines = lines.collect::<serde_json::Result<Vec<_>>>().context("report")?;
        let mut bytes = 0;
        let fit = |line: &&String| {
            bytes += line.len() as u64;
            bytes <= MOST
        };
        let from = lines.len() - lines.iter().rev().take_while(fit).count();
        self.write("reports", lines[from..].concat().as_bytes())
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
        // It serves the monitor alone.
        let _ = files::open_lock(&path)
            .and_then(|(file, _)| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)));
    }

    fn write(&self, what: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(what);
        files::write(&path, bytes).map_err(|error| with_remedy(error, &self.directory, &self.program))
    }

    /// Returns the value remembered as `what`; the default if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> Result<T> {
        let path = self.path(what);
        match files::read(&path, MOST_REMEMBERED) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged, or another version wrote it", path.display())),
        }
    }

    /// Remembers `value` as `what`.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn remember<T: Serialize>(&self, what: &str, value: &T) -> Result<()> {
        let written = files::write_json(&self.path(what), value);
        written.map_err(|error| with_remedy(error, &self.directory, &self.program))
    }

    /// Takes the lock of this program and grid. Returns `None` if another run holds it and is no older than `deadline`.
    ///
    /// # Errors
    /// Fails if the holder is older than `deadline`, with its process ID and age; if it runs on another host; or if the
    /// file cannot be locked.
    pub fn lock(&mut self, deadline: Duration) -> Result<Option<Lock>> {
        let path = self.path("lock");
        let opened = files::open_lock(&path).or_else(|error| match error.kind() {
            // A file can be locked even if its disk has become read-only.
            ErrorKind::ReadOnlyFilesystem => match files::open(&path, OpenOptions::new().read(true)) {
                Ok(file) => Ok((file, false)),
                Err(_) => Err(error),
            },
            _ => Err(error),
        });
        let opened = opened.with_context(|| path.display().to_string());
        let (mut file, replaced) = opened.map_err(|error| with_remedy(error, &self.directory, &self.program))?;
        if replaced {
            let message = format!("{} was no lock file of this user; it is replaced", path.display());
            self.problems.push(Problem::new(Subject::Lock, message));
        }
        match file.try_lock() {
            Ok(()) => {
                let death = death(&mut file);
                let Uptime { boot, seconds } = Uptime::now();
                let holder = format!("{} {seconds} {boot} {}\n", std::process::id(), host_name());
                // Only the messages of other runs use the note. If the disk is too full for it, this run's points must
                // still reach the sinks.
                let _ = file.set_len(0).and_then(|()| file.write_all_at(holder.as_bytes(), 0));
                Ok(Some(Lock::new(file, death)))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
            Err(TryLockError::WouldBlock) => {
                // A holder of an earlier version cannot be told from a healthy one.
                let Some(found) = holder(&mut file) else { return Ok(None) };
                let is_here = found.is_here();
                let held = Uptime::now().since(&found.began).unwrap_or_default();
                if is_here && held <= deadline.as_secs() as i64 {
                    return Ok(None);
                };
                // The note of a killed run stays until the next holder has written its own.
                std::thread::sleep(Duration::from_millis(100));
                if holder(&mut file).as_ref() != Some(&found) {
                    return Ok(None);
                }
                let (shown, pid) = (path.display(), found.pid);
                if !is_here {
                    bail!(
                        "{shown}: process {pid} of {} holds it; give each machine its own [state] directory",
                        found.host
                    );
                }
                bail!(
                    "process {pid} has held {shown} for {}, longer than any run may take; nothing was collected; end it with: kill -9 {pid}",
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

/// Returns the death of the last holder of a free lock; `None` if that ran on another host, of which nothing is known.
fn death(file: &mut File) -> Option<Death> {
    let Holder { pid, began: held, .. } = holder(file).filter(Holder::is_here)?;
    let began = file.metadata().ok()?.modified().ok()?;
    let time = utc(began.duration_since(UNIX_EPOCH).ok()?.as_secs() as i64);
    let cause = match Uptime::now().since(&held) {
        Some(_) => "was killed or crashed; `journalctl -k` may say why, for instance that memory ran out",
        None => "ended with the machine, which has been started again since",
    };
    Some(Death { began, message: format!("the last run, process {pid}, begun {time}, {cause}") })
}

/// The process that holds a lock, by its own note.
#[derive(PartialEq)]
struct Holder {
    pid: u32,
    began: Uptime,
    /// Empty in a note of an older version.
    host: String,
}

impl Holder {
    fn is_here(&self) -> bool {
        self.host.is_empty() || self.host == host_name()
    }
}

fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(300).read_to_string(&mut text).ok()?;
    let mut words = text.split_whitespace();
    let (pid, seconds) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let began = Uptime { boot: words.next()?.into(), seconds };
    Some(Holder { pid, began, host: words.next().unwrap_or_default().into() })
}

/// Says whether a service of this user's state directory runs, by the note in its lock. Takes no lock: a service that starts at this
/// moment must get it.
///
/// # Errors
/// Fails if it does not run, and says how to start it.
pub fn serving(directory: &Path, program: &str, grid: &str) -> Result<String> {
    let path = State::named(directory, program, grid).path("lock");
    let remedy = format!(
        "start it: systemctl start {program}, rc-service {program} start, or {program} start; if it is not wanted here any more: rm {}",
        path.with_extension("reports").display()
    );
    let mut file = match files::open(&path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("does not run; {remedy}"),
        opened => opened.with_context(|| path.display().to_string())?,
    };
    let Some(found) = holder(&mut file) else { bail!("does not run; {remedy}") };
    ensure!(
        found.is_here(),
        "runs on {}, whose state this is; give each machine its own [state] directory",
        found.host
    );
    let is_program = |word: &str| Path::new(word).file_name().is_some_and(|name| name == program);
    let runs = i32::try_from(found.pid).is_ok_and(|pid| command_line(pid).split(' ').any(is_program));
    match Uptime::now().since(&found.began).filter(|_| runs) {
        Some(seconds) => Ok(format!("runs as process {} for {}", found.pid, ago(seconds))),
        None => bail!("process {} was killed, crashed or ended with the machine; {remedy}", found.pid),
    }
}

/// Where all programs of a machine keep their state, if it exists.
const SHARED: &str = "/var/lib/gridmon";

/// Returns the state directory if the config names none: the shared one if it exists, usable or not, else the user's.
/// No program makes the shared one: what root made by hand once, the programs' user could not use.
fn default_directory() -> Result<PathBuf> {
    match fs::symlink_metadata(SHARED) {
        Err(error) if error.kind() == ErrorKind::NotFound => user_dir().with_context(|| {
            format!("no place for state: {SHARED} does not exist and HOME is not set; set [state] directory")
        }),
        _ => Ok(SHARED.into()),
    }
}

/// Returns the state directory in the user's home.
fn user_dir() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| Path::new(home).is_absolute())?;
    Some(Path::new(&home).join(".local/state/gridmon"))
}

/// Returns the path of the state directory for readers. If it does not exist, the path where the first run would create
/// it.
pub fn directory(configured: Option<&Path>) -> PathBuf {
    configured.map_or_else(|| default_directory().unwrap_or_else(|_| SHARED.into()), PathBuf::from)
}

/// Names what still waits in the default directory that this user's programs used before there was a shared one;
/// `None` if nothing does.
pub fn left_behind(configured: Option<&Path>) -> Option<String> {
    let (None, Ok(directory), Some(before)) = (configured, default_directory(), user_dir()) else { return None };
    if directory == before {
        return None;
    }
    let (mut batches, mut points) = (0, 0);
    let spool = Spool::new(Directory::at(&before.join("spool")));
    // It usually does not exist.
    let _ = spool.entries(|entry| {
        if entry.sinks.iter().any(|sink| spool.is_pending(&entry, sink)) {
            (batches, points) = (batches + 1, points + entry.points);
        }
    });
    let before = before.display();
    (batches > 0).then(|| {
        format!(
            "{} with {} waits in {before}, which this user's programs no longer use, since {SHARED} exists; send it: write [state] directory = {before} into a copy of the config and run gridmon-status --config COPY flush",
            count(batches, "batch"),
            count(points, "point")
        )
    })
}

/// Returns why a run of `program` by this user would not use a state directory; `None` if it would, or would make it.
pub fn refusal(directory: &Path, program: &str) -> Option<String> {
    let checked = match directory.symlink_metadata() {
        Err(_) => ensure_way(directory).map(drop),
        Ok(_) => ensure_owned(directory, program).and_then(|()| ensure_private(directory)),
    };
    checked.err().map(|error| format!("{error:#}"))
}

/// Creates the state directory if it does not exist. Checks that it belongs to this user, and that no other user can
/// change it.
///
/// # Errors
/// Fails if it cannot be created, or with the command that mends it or runs `program` as the owner.
pub fn prepare(directory: &Path, program: &str) -> Result<()> {
    if directory.exists() {
        ensure_owned(directory, program)?;
    } else {
        ensure_way(directory)?;
        let made = create_dir(directory);
        made.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => anyhow!("{error}; make it for this user: {}", command_to_make(directory)),
            _ => with_remedy(error.into(), directory, program),
        })?;
    }
    ensure_private(directory)?;
    files::sweep(directory);
    Ok(())
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
        assert_eq!(open().recall::<Vec<String>>("schedds").unwrap(), Vec::<String>::new());
        state.remember("schedds", &["a"]).unwrap();
        assert_eq!(open().recall::<Vec<String>>("schedds").unwrap(), ["a"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
