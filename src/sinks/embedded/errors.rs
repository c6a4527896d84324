//! Turns SQLite errors into messages with the file and a remedy.

use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::anyhow;
use rusqlite::{ErrorCode, ffi};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::process::{Resource, getrlimit};

use super::log::log_bytes;
use super::place::ACCEPT;
use crate::text::size;

/// Returns the remedy for a store that cannot be read.
pub(super) fn remedy(path: &Path) -> String {
    let path = path.display();
    format!(
        "put a copy of it in its place, or move it away and begin a new one: mv {path} {path}.damaged; rm -f {path}-wal {path}-shm; {ACCEPT}"
    )
}

/// Turns an SQLite error into a message that names the file and the remedy.
pub(super) fn explain(error: rusqlite::Error, path: &Path) -> anyhow::Error {
    let shown = path.display();
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => anyhow!("{shown} is not a SQLite database, or is damaged; {}", remedy(path)),
        // All statements are fixed, so a constraint violation or a missing table means a damaged file.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::Unknown,
        ) => anyhow!("{shown} is damaged ({error}); {}", remedy(path)),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if is_read_only(path) => read_only(path),
        Some(ErrorCode::DiskFull) => anyhow!("{shown}: the disk is full"),
        Some(_) if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => {
            anyhow!("{shown}-shm cannot be written: the disk is full, or fails")
        }
        Some(_) if extended == Some(ffi::SQLITE_IOERR_WRITE) => match getrlimit(Resource::Fsize).current {
            Some(limit) => {
                anyhow!("{shown}: disk I/O error; this process may write files up to {} only (ulimit -f)", size(limit))
            }
            None => anyhow!("{shown}: {error}"),
        },
        Some(_) if extended == Some(ffi::SQLITE_READONLY_DIRECTORY) => {
            anyhow!("{shown} takes files beside it, and its folder cannot be written")
        }
        // SQLite refuses to write a file format that it does not know, even with write permission.
        Some(ErrorCode::ReadOnly)
            if extended == Some(ffi::SQLITE_READONLY) && access(path, Access::WRITE_OK).is_ok() =>
        {
            anyhow!("{shown} is damaged (its header names a format that is not known); {}", remedy(path))
        }
        Some(ErrorCode::ReadOnly) => anyhow!("{shown} cannot be written ({error})"),
        Some(ErrorCode::CannotOpen) => {
            anyhow!(
                "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => anyhow!("{shown} is locked by another process"),
        Some(_) => anyhow!("{shown}: {error}"),
        // Not an SQLite error: a value in the file does not fit its column.
        None => anyhow!("{shown} is damaged ({error}); {}", remedy(path)),
    }
}

/// Explains an error of the operating system about the disk of a store.
pub(super) fn explain_io(error: io::Error, path: &Path) -> anyhow::Error {
    let shown = path.display();
    match error.kind() {
        ErrorKind::StorageFull => anyhow!("{shown}: the disk is full"),
        ErrorKind::QuotaExceeded => anyhow!("{shown}: the disk quota is used up"),
        ErrorKind::FileTooLarge => {
            let limit = getrlimit(Resource::Fsize).current.map_or("no".into(), size);
            anyhow!("{shown}: this process may write files up to {limit} only (ulimit -f)")
        }
        ErrorKind::ReadOnlyFilesystem => read_only(path),
        _ => anyhow!("{shown}: {error}"),
    }
}

/// Whether the disk of a store is mounted read-only.
pub(super) fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Returns the error for a store that takes a disk that can be written.
pub(super) fn read_only(path: &Path) -> anyhow::Error {
    let shown = path.display();
    match log_bytes(path) {
        0 => anyhow!("{shown}: its disk is read-only; did it fail (dmesg), or is it mounted so (mount)?"),
        _ => anyhow!(
            "{shown}: its disk is read-only; did it fail (dmesg), or is it mounted so (mount)? To read it, copy it to another disk together with {shown}-wal, which holds its newest points"
        ),
    }
}
