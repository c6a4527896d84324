//! SQLite's errors for people: with the file, and the way out.

use std::path::Path;

use anyhow::anyhow;
use rusqlite::{ErrorCode, ffi};
use rustix::fs::{Access, access};

/// What to do with a store that cannot be read.
pub(super) fn way_out(path: &Path) -> String {
    let path = path.display();
    format!(
        "put a copy of it in its place, or move it away and a new one is made: mv {path} {path}.damaged; rm -f {path}-wal {path}-shm"
    )
}

/// An error of SQLite's in words that name the file and the way out.
pub(super) fn in_words(error: rusqlite::Error, path: &Path) -> anyhow::Error {
    let shown = path.display();
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => anyhow!("{shown} is no SQLite database, or is damaged; {}", way_out(path)),
        // A row that is there twice, a table that is not there: what is written and asked is always the same.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::Unknown,
        ) => anyhow!("{shown} is damaged ({error}); {}", way_out(path)),
        Some(ErrorCode::DiskFull) => anyhow!("{shown}: the disk is full"),
        Some(_) if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => {
            anyhow!("{shown}-shm cannot be written: the disk is full, or fails")
        }
        Some(_) if extended == Some(ffi::SQLITE_READONLY_DIRECTORY) => {
            anyhow!("{shown} takes files beside it, and its folder cannot be written")
        }
        // A format that SQLite does not know it will not write, though nobody forbids it.
        Some(ErrorCode::ReadOnly)
            if extended == Some(ffi::SQLITE_READONLY) && access(path, Access::WRITE_OK).is_ok() =>
        {
            anyhow!("{shown} is damaged (its header names a format that is not known); {}", way_out(path))
        }
        Some(ErrorCode::ReadOnly) => anyhow!("{shown} cannot be written ({error})"),
        Some(ErrorCode::CannotOpen) => {
            anyhow!(
                "{shown}: unable to open database file; reading too takes room on its disk and the right to write into its folder: run it as the user who runs the programs"
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => anyhow!("{shown} is locked by another process"),
        Some(_) => anyhow!("{shown}: {error}"),
        // Not SQLite's: what it gave is not what a store holds.
        None => anyhow!("{shown} is damaged ({error}); {}", way_out(path)),
    }
}
