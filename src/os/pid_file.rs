//! The pid file of a service: who runs, told so that no signal ever goes to another process.
//!
//! The file holds the number of the process, which every reader of pid files takes, and below it when that process was
//! started. A number alone proves nothing: the file may be from before a crash or a restart of the machine, and another
//! process may have the number now. The holder also keeps the file locked, so that of two that start at once one waits. The
//! lock is no proof either, since everybody who may read the file can lock it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::files;
use super::owner::{me, with_remedy};
use super::process::{Identity, Process, command_line};

/// What a pid file tells.
#[derive(Debug)]
pub enum Told {
    /// There is no file.
    Nothing,
    /// The process that the file names has ended; its number, if the file has one.
    Ended(Option<i32>),
    /// The service runs.
    Runs(i32, Process),
    /// A process of this number runs the program, but nobody can tell whether it wrote the file: an older version, or
    /// `start-stop-daemon`, names its number alone.
    Unproved(i32),
}

/// The most bytes of a pid file.
const MOST: u64 = 4096;

/// How long the holder of the lock may take to write its name.
const UNNAMED: Duration = Duration::from_secs(2);

/// Returns what the pid file at `path` tells of `program`.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn look(path: &Path, program: &str) -> Result<Told> {
    let context = || format!("pid file {}", path.display());
    let mut file = match files::open(path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Told::Nothing),
        opened => opened.map_err(foreign).with_context(context)?,
    };
    let text = read(&mut file).with_context(context)?;
    let number = text.split_whitespace().next().and_then(|word| word.parse::<i32>().ok()).filter(|number| *number > 0);
    // What others may write can name any process.
    if is_trusted(&file).with_context(context)?
        && let Some(identity) = Identity::parse(&text)
    {
        let found = identity.find().with_context(context)?;
        return Ok(found.map_or(Told::Ended(number), |process| Told::Runs(identity.pid, process)));
    }
    let is_program = |word: &str| Path::new(word).file_name().is_some_and(|name| name == program);
    let runs = number.filter(|number| command_line(*number).split(' ').any(is_program));
    Ok(runs.map_or(Told::Ended(number), Told::Unproved))
}

/// Adds the way out where something lies in the place of a pid file.
fn foreign(error: io::Error) -> anyhow::Error {
    match files::is_foreign(&error) {
        true => anyhow!("{error}; remove it, or name another file with --pidfile"),
        false if error.kind() == ErrorKind::NotFound => {
            anyhow!("{error}; make its folder, or name another file with --pidfile")
        }
        false => error.into(),
    }
}

/// A pid file that names this process; removed on drop.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes this process into the pid file at `path`. A file of a process that has ended is no obstacle.
    ///
    /// # Errors
    /// Fails if the service runs already, or if the file cannot be written.
    pub fn take(path: &Path, program: &str) -> Result<Self> {
        let taken = Self::take_for(path, program);
        let taken = taken.with_context(|| format!("pid file {}", path.display()));
        taken.map_err(|error| with_remedy(error, path, program))
    }

    fn take_for(path: &Path, program: &str) -> Result<Self> {
        let mut unnamed_until = None;
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o644);
            let mut file = files::open(path, &mut options).map_err(foreign)?;
            if !is_trusted(&file)? {
                fs::remove_file(path)?;
                continue;
            }
            match file.try_lock() {
                Ok(()) if is_at(&file, path)? => {
                    file.set_permissions(fs::Permissions::from_mode(0o644))?;
                    file.set_len(0)?;
                    file.write_all(Identity::own()?.text().as_bytes())?;
                    return Ok(Self { path: path.into(), file });
                }
                // Its holder has just removed it.
                Ok(()) => continue,
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Told::Runs(pid, _) = look(path, program)? {
                bail!("{program} runs already as process {pid}");
            }
            // Who starts has a moment to write its name; who only holds the lock is not our program.
            let until = *unnamed_until.get_or_insert_with(|| Instant::now() + UNNAMED);
            if Instant::now() < until {
                thread::sleep(Duration::from_millis(20));
            } else {
                fs::remove_file(path)?;
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path).unwrap_or_default() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether only root and this user can have written a file.
fn is_trusted(file: &File) -> io::Result<bool> {
    let there = file.metadata()?;
    Ok((there.uid() == 0 || there.uid() == me()) && there.mode() & 0o022 == 0)
}

/// Whether a file still lies at `path`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match path.symlink_metadata() {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use gridmon_testkit::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn a_pid_file_names_its_process_and_a_stale_one_is_no_obstacle() {
        let folder = TempDir::new();
        let path = folder.path().join("x.pid");
        assert!(matches!(look(&path, "x"), Ok(Told::Nothing)));
        let own = std::process::id() as i32;
        for stale in ["", "4194304\n", "4194304\n5 boot\n", &format!("{own}\n"), &format!("{own}\n1 boot\n"), "words"] {
            fs::write(&path, stale).unwrap();
            assert!(matches!(look(&path, "x"), Ok(Told::Ended(_))), "{stale:?}");
            let taken = PidFile::take(&path, "x").unwrap();
            assert!(matches!(look(&path, "x"), Ok(Told::Runs(pid, _)) if pid == own), "{stale:?}");
            assert_eq!(mode(&path), 0o644);
            let error = format!("{:#}", PidFile::take(&path, "x").unwrap_err());
            assert!(error.ends_with(&format!("x runs already as process {own}")), "{error}");
            drop(taken);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_file_that_others_can_write_names_nobody_and_is_replaced() {
        let folder = TempDir::new();
        let path = folder.path().join("x.pid");
        fs::write(&path, Identity::own().unwrap().text()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(look(&path, "x"), Ok(Told::Ended(Some(_)))));
        let before = path.metadata().unwrap().ino();
        let held = File::open(&path).unwrap();
        let taken = PidFile::take(&path, "x").unwrap();
        assert_ne!(path.metadata().unwrap().ino(), before);
        assert_eq!(mode(&path), 0o644);
        drop((held, taken));
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let error = format!("{:#}", PidFile::take(&path, "x").unwrap_err());
        let remedy = "is a symbolic link, not a regular file; remove it, or name another file with --pidfile";
        assert!(error.ends_with(remedy), "{error}");
        // What only looks says the same.
        assert_eq!(format!("{:#}", look(&path, "x").unwrap_err()), error);
        let error = format!("{:#}", PidFile::take(&folder.path().join("no/x.pid"), "x").unwrap_err());
        assert!(error.ends_with("; make its folder, or name another file with --pidfile"), "{error}");
    }

    #[test]
    fn a_lock_of_somebody_who_runs_nothing_keeps_nobody_out() {
        let folder = TempDir::new();
        let path = folder.path().join("x.pid");
        fs::write(&path, "4194304\n5 boot\n").unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        let began = Instant::now();
        let _taken = PidFile::take(&path, "x").unwrap();
        assert!(began.elapsed() >= UNNAMED);
    }

    #[test]
    fn a_number_alone_proves_nothing_and_the_program_is_named() {
        let folder = TempDir::new();
        let path = folder.path().join("x.pid");
        let own = std::process::id();
        let line = command_line(own as i32);
        let program = Path::new(line.split(' ').next().unwrap()).file_name().unwrap().to_str().unwrap();
        fs::write(&path, format!("{own}\n")).unwrap();
        assert!(matches!(look(&path, program), Ok(Told::Unproved(pid)) if pid == own as i32));
    }
}
