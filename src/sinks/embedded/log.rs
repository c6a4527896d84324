//! The files that SQLite keeps beside a store: the log (`-wal`) and the memory that processes share (`-shm`).
//!
//! SQLite maps the shared memory, and writes one byte of each 4096 to allocate it. On a disk with smaller blocks, or with
//! a quota, a later write through the map would then end the process with SIGBUS when the disk is full. So all of it is
//! allocated before it is used.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate};

use super::{beside, identity};

/// A log above this size, in bytes, is large. SQLite takes 4 MB of it into the store at once, unless a reader needs it.
pub const LARGE: u64 = 32 << 20;

/// The size that a log is cut to when it begins anew, in bytes.
pub(super) const LENGTH_KEPT: i64 = 4 << 20;

/// The shared memory grows in such regions, in bytes; each but the first indexes 4096 pages of the log.
const REGION: u64 = 32_768;

/// The pages of the log that the first region indexes.
const PAGES: u64 = 4062;

/// The size of a page, in bytes; a page in the log has a header beside.
const PAGE: u64 = 4096;

fn bytes_for(pages: u64) -> u64 {
    REGION * (1 + pages / PAGES)
}

/// Returns the size of a store's log, in bytes.
pub(super) fn log_bytes(store: &Path) -> u64 {
    fs::metadata(beside(store, "-wal")).map_or(0, |log| log.len())
}

/// Fails if the disk has no room for the shared memory, which the first process that opens a store allocates anew.
pub(super) fn ensure_room(store: &Path, may_write: bool) -> io::Result<()> {
    let bytes = bytes_for(log_bytes(store) / PAGE);
    let there = fs::metadata(beside(store, "-shm")).map_or(0, |shared| shared.len());
    if !may_write && there >= bytes {
        return Ok(());
    }
    let folder = store.parent().unwrap_or(Path::new("/"));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    // Where such files do not exist, SQLite has to find out.
    let Ok(file) = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) else { return Ok(()) };
    allocated(fallocate(file, FallocateFlags::empty(), 0, bytes))
}

/// The shared memories of this process. To close such a file would release SQLite's locks on it, as POSIX has it, so it
/// stays open until SQLite has removed it.
static OPEN: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

/// Allocates all of the shared memory of an open store, for a log that gets `more` pages.
pub(super) fn allocate(store: &Path, more: u64) -> io::Result<()> {
    let path = beside(store, "-shm");
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(is_there);
    let at = match open.iter().position(|open| open.0 == path) {
        Some(at) => at,
        None => {
            let flags = OFlags::NOFOLLOW.bits() as i32;
            let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
            let Ok(file) = file else { return Ok(()) };
            open.push((path, file));
            open.len() - 1
        }
    };
    allocated(fallocate(&open[at].1, FallocateFlags::empty(), 0, bytes_for(log_bytes(store) / PAGE + more)))
}

/// Whether a file is still at its path.
fn is_there((path, file): &(PathBuf, File)) -> bool {
    let at_path = fs::metadata(path).map(|there| identity(&there));
    at_path.is_ok_and(|there| file.metadata().is_ok_and(|file| identity(&file) == there))
}

/// Closes the shared memories that SQLite has removed, when it is dropped: after the connection beside it.
#[derive(Debug)]
pub(super) struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).retain(is_there);
    }
}

/// Turns the result of an allocation into an error if there is no room; some file systems cannot allocate at all.
fn allocated(result: rustix::io::Result<()>) -> io::Result<()> {
    use rustix::io::Errno;
    match result {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO | Errno::ROFS)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Returns the other processes that read a store in a transaction, so that its log cannot be cut: `process 12 (sqlite3)`.
pub(super) fn readers(store: &Path) -> Vec<String> {
    // SQLite's five locks of readers; the bytes are part of its file format.
    const LOCKS: std::ops::RangeInclusive<u64> = 123..=127;
    let Ok(there) = fs::metadata(beside(store, "-shm")) else { return Vec::new() };
    // The kernel gives its list piece by piece: while locks come and go elsewhere, a look may pass one over.
    const LOOKS: usize = 3;
    let look = |_| {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let found = locks.lines().filter_map(|line| reader(line, there.ino(), &LOCKS));
        found.filter(|process| *process != std::process::id()).collect::<BTreeSet<u32>>()
    };
    let processes = (0..LOOKS).map(look).find(|found| !found.is_empty()).unwrap_or_default();
    let named = |process: &u32| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        format!("process {process} ({})", crate::text::one_line(&name))
    };
    processes.iter().map(named).collect()
}

/// Returns the process of a line of /proc/locks, if that locks one of these bytes of a file.
fn reader(line: &str, inode: u64, bytes: &std::ops::RangeInclusive<u64>) -> Option<u32> {
    // `4: POSIX  ADVISORY  READ 1234 fd:01:5678 123 123`
    let mut words = line.split_whitespace().skip_while(|word| *word != "POSIX").skip(3);
    let process = words.next()?.parse().ok()?;
    let file = words.next()?.rsplit(':').next()?.parse::<u64>().ok()?;
    let from = words.next()?.parse::<u64>().ok()?;
    (file == inode && bytes.contains(&from)).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_found_by_its_lock() {
        let of = |line: &str| reader(line, 5678, &(123..=127));
        assert_eq!(of("4: POSIX  ADVISORY  READ 1234 fd:01:5678 124 124"), Some(1234));
        for line in [
            "4: POSIX  ADVISORY  READ 1234 fd:01:5678 128 128",
            "4: POSIX  ADVISORY  READ 1234 fd:01:5679 124 124",
            "4: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 124 124",
            "4: POSIX  ADVISORY  READ",
            "",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
        assert_eq!([0, 4061, 4062, 9000].map(bytes_for), [32_768, 32_768, 65_536, 98_304]);
    }
}
