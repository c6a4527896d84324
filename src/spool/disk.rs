//! The file operations of a spool, and a directory of the file system that implements them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::Serialize;

use super::batch::MAX_BODY;
use super::{BAD, BATCH, Entry, WHY};
use crate::os::files::{self, create_dir};
use crate::os::owner::ensure_private;
use crate::os::uptime::Uptime;

/// The file operations of a spool. A trait, so that tests can simulate a crash between any two of them.
pub trait Disk: Sync {
    /// Keeps other processes from sending a batch until it is dropped.
    type Claim;
    /// Creates a file that must not exist, writes and syncs it, and claims it exclusively.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Self::Claim>;
    /// Takes a shared claim on a file. Returns `None` if its creator still holds the exclusive claim.
    fn claim(&self, name: &str) -> io::Result<Option<Self::Claim>>;
    /// Takes an exclusive claim on a file. Returns `None` if anybody else has one.
    fn claim_alone(&self, name: &str) -> io::Result<Option<Self::Claim>>;
    /// Takes an exclusive lock. Returns `None` if another process holds it. Released on drop or process exit.
    fn lock(&self, name: &str) -> io::Result<Option<Self::Claim>>;
    /// Returns for how long a lock has been held; `None` if its holder cannot be asked.
    fn held_for(&self, name: &str) -> Option<Duration>;
    /// Renames a file; into `bad/`, so that it survives a crash.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Syncs the directory, so that earlier creations, renames and removals survive a crash.
    fn sync(&self) -> io::Result<()>;
    /// Calls `each` with the name of every file, in any order.
    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()>;
    /// Reads a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns whether a file exists.
    fn exists(&self, name: &str) -> bool;
    /// Returns the time since a file was last written.
    fn age(&self, name: &str) -> io::Result<Duration>;
    /// Returns how full the disk is, in percent.
    fn percent_full(&self) -> io::Result<u64>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens the directory at `path`. Creates it and its `bad/` if they do not exist.
    ///
    /// # Errors
    /// Fails if it cannot be created, for instance below another user's directory; or if one of the two belongs to
    /// another user, or another user can change it.
    pub fn open(path: &Path) -> Result<Self> {
        for folder in [path, &path.join(BAD)] {
            let made = create_dir(folder);
            // What lies there tells more than that it does.
            let made = made.or_else(|error| if folder.exists() { Ok(()) } else { Err(error.into()) });
            made.and_then(|()| ensure_private(folder)).with_context(|| folder.display().to_string())?;
        }
        Ok(Self::at(path))
    }

    /// Checks what [`Directory::open`] would refuse of a directory that exists; creates nothing.
    ///
    /// # Errors
    /// Fails if it, or its `bad/`, belongs to another user, or another user can change it.
    pub fn ensure(path: &Path) -> Result<()> {
        let mut there =
            [path.to_path_buf(), path.join(BAD)].into_iter().filter(|folder| folder.symlink_metadata().is_ok());
        there.try_for_each(|folder| ensure_private(&folder).with_context(|| folder.display().to_string()))
    }

    /// Opens the directory at `path` for a reader; creates nothing.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Returns the files in `bad/`, sorted by name, oldest first; empty if the folder does not exist.
    ///
    /// # Errors
    /// Fails if the folder cannot be read.
    pub fn quarantined(&self) -> io::Result<Vec<Quarantined>> {
        let folder = match fs::read_dir(self.path.join(BAD)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder?,
        };
        let mut files = Vec::new();
        for file in folder {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str().filter(|name| !name.ends_with(WHY)) else { continue };
            // Removed after it was listed; skip it.
            let Ok(metadata) = file.metadata() else { continue };
            let why = files::read(&file.path().with_file_name(format!("{name}{WHY}")), MOST_WHY).unwrap_or_default();
            let changed = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            let time = name.find(BATCH).and_then(|at| Entry::parse(&name[..at + BATCH.len()])).map(|entry| entry.time);
            files.push(Quarantined {
                name: name.into(),
                bytes: metadata.len(),
                time: time.or(changed.map(|changed| changed.as_secs() as i64)).unwrap_or_default(),
                why: String::from_utf8_lossy(&why).trim().into(),
            });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Deletes a file or folder in `bad/` and the reason beside it. Its points are lost for good.
    ///
    /// # Errors
    /// Fails if it cannot be deleted.
    pub fn delete_quarantined(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(BAD).join(name);
        let is_folder = path.symlink_metadata().is_ok_and(|there| there.is_dir());
        match if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) } {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let _ = fs::remove_file(self.path.join(BAD).join(format!("{name}{WHY}")));
        Ok(())
    }
}

/// Maximum size of a reason beside a file in `bad/`, in bytes.
const MOST_WHY: u64 = 64 << 10;

/// A file in `bad/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its name, without the folder.
    pub name: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The time slot of its points, in unix seconds; the time of the last write if its name contains no slot.
    pub time: i64,
    /// Why it is there; empty if no reason was recorded.
    pub why: String,
}

impl Disk for Directory {
    type Claim = File;

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(self.path.join(name))?;
        if !bytes.is_empty() {
            // On a file system without locks, another process could send the batch at the same time only by chance,
            // which is harmless.
            let _ = file.try_lock();
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Ok(file)
    }

    fn claim(&self, name: &str) -> io::Result<Option<File>> {
        let file = files::open(&self.path.join(name), OpenOptions::new().read(true))?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Ok(None),
            _ => Ok(Some(file)),
        }
    }

    fn claim_alone(&self, name: &str) -> io::Result<Option<File>> {
        let file = files::open(&self.path.join(name), OpenOptions::new().read(true))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            _ => Ok(Some(file)),
        }
    }

    fn lock(&self, name: &str) -> io::Result<Option<File>> {
        let (mut file, _) = files::open_lock(&self.path.join(name))?;
        match file.try_lock() {
            Ok(()) => {
                // Only a message of other programs uses the note; on a full disk the lock alone must do.
                let Uptime { boot, seconds } = Uptime::now();
                let _ = file.set_len(0).and_then(|()| writeln!(file, "{seconds} {boot}"));
                Ok(Some(file))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn held_for(&self, name: &str) -> Option<Duration> {
        let note = self.read(name).ok().and_then(|note| String::from_utf8(note).ok())?;
        let (seconds, boot) = note.trim().split_once(' ')?;
        let began = Uptime { boot: boot.into(), seconds: seconds.parse().ok()? };
        Uptime::now().since(&began).map(|held| Duration::from_secs(held.unsigned_abs()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        match to.rsplit_once('/') {
            Some((folder, _)) => File::open(self.path.join(folder))?.sync_all(),
            None => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is not ours, and `quarantine` could not name it either.
            if let Some(name) = entry?.file_name().to_str() {
                each(name);
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        files::read(&self.path.join(name), MAX_BODY)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn exists(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    fn age(&self, name: &str) -> io::Result<Duration> {
        let modified = self.path.join(name).symlink_metadata()?.modified()?;
        Ok(SystemTime::now().duration_since(modified).unwrap_or_default())
    }

    fn percent_full(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        // As in df, the blocks reserved for root do not count as available.
        let used = disk.f_blocks - disk.f_bfree;
        Ok((used * 100).div_ceil((used + disk.f_bavail).max(1)))
    }
}
