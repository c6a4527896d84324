//! The file operations that a spool is made of, and a directory of the file system that does them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::Serialize;

use super::batch::LARGEST;
use super::{BAD, BATCH, Entry, WHY};

/// The file operations that a spool is made of, so that crashes can be simulated between any two of them.
pub trait Disk: Sync {
    /// What keeps a batch from being sent by others while it lives.
    type Claim;
    /// Makes a file that must not exist, writes and syncs it, and holds it for its maker alone.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Self::Claim>;
    /// Holds a file together with others that do the same; `None` when its maker holds it.
    fn claim(&self, name: &str) -> io::Result<Option<Self::Claim>>;
    /// Locks a name against every other process, and makes its age zero; `None` when one of them has it. Dropped or killed,
    /// it is free again.
    fn lock(&self, name: &str) -> io::Result<Option<Self::Claim>>;
    /// Renames a file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Syncs the directory: what was renamed, made and removed is so after a crash.
    fn sync(&self) -> io::Result<()>;
    /// Hands the name and size of every file to `each`, in any order.
    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()>;
    /// Reads a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Whether there is such a file.
    fn exists(&self, name: &str) -> bool;
    /// How long ago a file was last written.
    fn age(&self, name: &str) -> io::Result<Duration>;
    /// How full the disk is, in percent.
    fn percent_full(&self) -> io::Result<u64>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at `path`, made with its `bad/` when they are not there.
    ///
    /// # Errors
    /// When it cannot be made or is somebody else's.
    pub fn open(path: &Path) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(path.join(BAD));
        made.with_context(|| format!("spool {}", path.display()))?;
        Ok(Self::at(path))
    }

    /// The directory at `path` as it is, for who only looks: nothing is made.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// What was put into `bad/`, sorted by name, oldest first; empty when there is no such folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
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
            // Gone since it was listed, which is as good as never there.
            let Ok(metadata) = file.metadata() else { continue };
            let why = fs::read(file.path().with_file_name(format!("{name}{WHY}"))).unwrap_or_default();
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

    /// Deletes a file of `bad/`, with the reason beside it. This is the end of its points.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn delete_quarantined(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(BAD).join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let _ = fs::remove_file(self.path.join(BAD).join(format!("{name}{WHY}")));
        Ok(())
    }
}

/// A file in `bad/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its name, without the folder.
    pub name: String,
    /// How large it is.
    pub bytes: u64,
    /// The slot of its points in unix seconds; when it was last written, where its name does not tell.
    pub time: i64,
    /// Why it is there; empty when nobody noted it.
    pub why: String,
}

impl Disk for Directory {
    type Claim = File;

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(self.path.join(name))?;
        if !bytes.is_empty() {
            // A file system without locks has nobody who could send it at the same time but by chance, which is harmless.
            let _ = file.try_lock();
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Ok(file)
    }

    fn claim(&self, name: &str) -> io::Result<Option<File>> {
        let file = File::open(self.path.join(name))?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Ok(None),
            _ => Ok(Some(file)),
        }
    }

    fn lock(&self, name: &str) -> io::Result<Option<File>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // Its age tells for how long it has been held.
                let _ = file.set_modified(SystemTime::now());
                Ok(Some(file))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            // What is no text is no name of ours, and quarantine could not name it either.
            if let Some(name) = entry?.file_name().to_str() {
                each(name);
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path.join(name))?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
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
        // What only root may still use counts as used, as df counts it.
        let used = disk.f_blocks - disk.f_bfree;
        Ok((used * 100).div_ceil((used + disk.f_bavail).max(1)))
    }
}
