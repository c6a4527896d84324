//! Files that are whole or not there, and never another user's trap; the host's name.

use std::fs::{self, DirBuilder, File, FileType, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use serde::Serialize;

use super::owner::{explain, me};

/// Writes a file atomically: to a temporary file, synced, then renamed.
///
/// # Errors
/// Fails if it cannot be written; the previous content stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(path, |file| file.write_all(bytes))
}

/// Writes a value as JSON, as [`write()`] does; part by part, so that a long one is not twice in memory.
///
/// # Errors
/// Fails if it cannot be written; the previous content stays.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_by(path, |file| {
        let mut file = BufWriter::with_capacity(64 << 10, file);
        serde_json::to_writer(&mut file, value)?;
        file.flush()
    })
}

fn write_by(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let written = replace(path, 0o640, |file| Ok(fill(file)?));
    written.with_context(|| format!("state file {}", path.display()))
}

/// Lets `fill` write a file and returns its result. The file is there as a whole or not at all, and then the previous
/// content stays. What lies at `path` or beside it, a link above all, is replaced and never written through.
///
/// # Errors
/// Fails if `fill` does, or if the file cannot be written.
pub fn replace<T>(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let mut temporary = path.as_os_str().to_owned();
    // Several programs may write a file at once.
    temporary.push(format!(".{}{NEW}", std::process::id()));
    let temporary = Path::new(&temporary);
    // Left by a process of the same number that was killed here.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(temporary)?;
    // Tells a sweep that it is being written. On a file system without locks, its name does.
    let _ = file.try_lock();
    let filled = fill(&mut file).and_then(|result| {
        file.sync_all()?;
        fs::rename(temporary, path)?;
        Ok(result)
    });
    filled.inspect_err(|_| drop(fs::remove_file(temporary)))
}

/// The end of a temporary file's name.
pub const NEW: &str = ".new";

/// Removes the temporary files that killed processes have left in a directory of this user.
pub fn sweep(directory: &Path) {
    let is_old = |path: &Path| {
        let age = path.symlink_metadata().and_then(|there| there.modified()).ok().and_then(|time| time.elapsed().ok());
        age.is_some_and(|age| age > SWEPT_AFTER)
    };
    // `NAME.PROCESS.new`, of a process that no longer runs; another one may have its number now.
    let is_left = |path: &Path| {
        let process =
            path.file_stem().and_then(|stem| Path::new(stem).extension()).and_then(|process| process.to_str());
        let process = process.and_then(|process| process.parse::<u32>().ok());
        process.is_some_and(|process| !may_write(process, path))
    };
    // By a wrong clock a file of this moment is old; who writes it holds it.
    let is_held = |path: &Path| open(path, OpenOptions::new().read(true)).is_ok_and(|file| file.try_lock().is_err());
    for file in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = file.path();
        let is_temporary = path.as_os_str().as_bytes().ends_with(NEW.as_bytes());
        if is_temporary && (is_old(&path) || is_left(&path)) && !is_held(&path) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether a process may have a file open. False only if the process does not run, or shows its files and this one is not
/// among them.
pub fn may_write(process: u32, path: &Path) -> bool {
    let inode = |file: fs::Metadata| (file.dev(), file.ino());
    let Ok(own) = path.symlink_metadata().map(inode) else { return false };
    match fs::read_dir(format!("/proc/{process}/fd")) {
        Ok(open) => open.flatten().any(|open| fs::metadata(open.path()).is_ok_and(|file| inode(file) == own)),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Minimum age of a temporary file that is swept. No process writes one for that long.
pub const SWEPT_AFTER: Duration = Duration::from_secs(2 * 3600);

/// Reads a regular file of at most `most` bytes. Never follows a link, and never waits for the other end of a pipe.
///
/// # Errors
/// Fails if it cannot be read; see [`is_foreign`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path, OpenOptions::new().read(true))?;
    let (length, mut bytes) = (file.metadata()?.len(), Vec::new());
    if length <= most {
        // It may grow meanwhile.
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    if length.max(bytes.len() as u64) > most {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Whether an error says that there is something, and no program of ours has written it: a link, a pipe, a folder, or
/// too large a file.
pub fn is_foreign(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::IsADirectory)
}

/// Opens a regular file. Never follows a link, and never waits for the other end of a pipe.
///
/// # Errors
/// Fails if it cannot be opened; see [`is_foreign`].
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Opening a device may already do something.
    if let Ok(there) = path.symlink_metadata() {
        ensure_regular(there.file_type())?;
    }
    let file = options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32).open(path);
    let file = file.map_err(|error| explain(error, path))?;
    ensure_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn ensure_regular(kind: FileType) -> io::Result<()> {
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => return Err(rustix::io::Errno::ISDIR.into()),
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(ErrorKind::InvalidData, format!("is {what}, not a regular file")))
}

/// The most bytes that a lock file holds.
const LOCK: u64 = 300;

/// Opens a lock file in a directory of this user, for reading and writing; creates it if it does not exist. Also returns
/// whether something else lay there, which no program of this user can have made and which is removed: a file of another
/// user, a link, or a pipe.
///
/// # Errors
/// Fails if it cannot be opened or created.
pub fn open_lock(path: &Path) -> io::Result<(File, bool)> {
    let there = path.symlink_metadata();
    let foreign = there.is_ok_and(|there| !there.is_file() || there.uid() != me() || there.len() > LOCK);
    if foreign {
        fs::remove_file(path)?;
    }
    let mut options = OpenOptions::new();
    let file = open(path, options.read(true).write(true).create(true).truncate(false).mode(0o640))?;
    Ok((file, foreign))
}

/// Creates a directory and its missing parents. They survive a power failure: what is synced in a directory is lost all the
/// same if the directory's own name is not on the disk.
///
/// # Errors
/// Fails if it cannot be created.
pub fn create_dir(path: &Path) -> io::Result<()> {
    create_dir_with(path, 0o750)
}

/// Creates a directory as [`create_dir`] does, which everybody may read, whatever the umask; also one that is there.
///
/// # Errors
/// Fails if it cannot be created, or is another user's.
pub fn create_public_dir(path: &Path) -> io::Result<()> {
    create_dir_with(path, 0o755)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o055 == 0o055 { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o755)) }
}

fn create_dir_with(path: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|ancestor| !ancestor.is_dir()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Points are better spooled into a directory that may vanish than nowhere.
        let _ = File::open(parent).and_then(|parent| parent.sync_all());
    }
    Ok(())
}

/// Makes a write beyond the limit on file sizes (`ulimit -f`) an error like any other, instead of a signal that ends the
/// process without a word. It lasts until the process ends; a child has the default again.
pub fn report_size_limit() {
    // The handler does nothing. That there is one makes the write fail with EFBIG.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Returns the first label of this host's name: `cm` of `cm.example.org`.
pub fn host_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.split('.').next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_though_another_one_has_its_number() {
        let folder = std::env::temp_dir().join(format!("gridmon-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // Of this process, which has not opened it, and of none.
        let left = [format!("a.{}.new", std::process::id()), "a.4194304.new".into()].map(|name| folder.join(name));
        left.iter().for_each(|path| fs::write(path, "").unwrap());
        let written = folder.join(format!("b.{}.new", std::process::id()));
        let file = File::create(&written).unwrap();
        sweep(&folder);
        assert_eq!(left.map(|path| path.exists()), [false, false]);
        assert!(written.exists(), "it is being written");
        drop(file);
        sweep(&folder);
        assert!(!written.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
