//! Finds and reads the file, and checks who may own, write and read it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Error, Result, ensure};
use rustix::fs::OFlags;

use super::ini::{Dialect, Sections};
use super::section::Section;

/// The paths to try without `--config`; the first existing file is read.
pub const SEARCHED: [&str; 2] = ["config.cfg", "/etc/gridmon/config.cfg"];

/// Reads `path`, or the first existing file of [`SEARCHED`]; the result is empty if none of them exists.
///
/// # Errors
/// Fails if `path` is given and cannot be read, or if the file has the wrong owner, is writable by others or exposes
/// its secrets; and as [`Sections::read`].
pub fn open(path: Option<&Path>, declared: &[&'static Section]) -> Result<Sections> {
    open_among(path, &SEARCHED, declared, |_| Dialect::Own)
}

/// Reads `path`, or the first existing file of `searched`, as [`open`] does; `dialect` says by which rules the file is read.
///
/// # Errors
/// As [`open`].
pub fn open_among(
    path: Option<&Path>,
    searched: &[&'static str],
    declared: &[&'static Section],
    dialect: impl FnOnce(&Path) -> Dialect,
) -> Result<Sections> {
    let found = match path {
        Some(path) => Some((path, open_file(path).map_err(|error| closed(error, path))?)),
        None => searched
            .iter()
            .map(Path::new)
            .find_map(|path| match open_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound || is_in_closed_folder(path, &error) => None,
                opened => Some(opened.map_err(|error| closed(error, path)).map(|file| (path, file))),
            })
            .transpose()?,
    };
    let Some((path, file)) = found else { return Sections::read("", searched[0], declared) };
    let name = path.display().to_string();
    let (text, mode) = read_trusted(file, &name)?;
    let mut sections = Sections::read_with(&text, &name, declared, dialect(path))?;
    ensure!(
        !sections.holds_secrets() || mode & 0o007 == 0,
        "{name}: holds a password or token that everybody can read (mode {:04o}): chmod o= {name}",
        mode & 0o7777
    );
    sections.path = Some(path.to_path_buf());
    Ok(sections)
}

/// Whether a file of the working directory is hidden from this user with all that is there: root's home, in which
/// `runuser` leaves another user. None of the programs keeps a config there.
fn is_in_closed_folder(path: &Path, error: &io::Error) -> bool {
    let is_denied = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
    path.is_relative() && is_denied(error) && path.symlink_metadata().is_err_and(|error| is_denied(&error))
}

/// Whether an error says that this user may not read the config, whatever is in it.
pub fn is_closed(error: &Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == ErrorKind::PermissionDenied)
}

/// Returns the error of a config that cannot be opened, with the way out where its group may read it.
fn closed(error: io::Error, path: &Path) -> Error {
    let group = path.metadata().ok().filter(|there| there.mode() & 0o040 != 0).map(|there| group(there.gid()));
    let is_denied = error.kind() == ErrorKind::PermissionDenied;
    let error = Error::from(error);
    match group.filter(|_| is_denied) {
        Some(group) => error.context(format!(
            "{}: this user may not read it; run it as a user of the group {group}, or name another config with --config",
            path.display()
        )),
        None => error.context(path.display().to_string()),
    }
}

/// Returns the name of a group, or its number.
fn group(id: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_string())
    });
    name.unwrap_or_else(|| id.to_string())
}

/// Reads another config, that only root or this user may have written.
///
/// # Errors
/// Fails if it cannot be read, or if the wrong users may write it.
pub fn trusted(path: &Path) -> Result<String> {
    let name = path.display().to_string();
    Ok(read_trusted(open_file(path).with_context(|| name.clone())?, &name)?.0)
}

/// Reads another program's config as [`trusted`] does, whatever its encoding: bytes that are no UTF-8 become `\u{fffd}`.
///
/// # Errors
/// As [`trusted`].
pub fn trusted_lossily(path: &Path) -> Result<String> {
    let name = path.display().to_string();
    let (bytes, _) = trusted_bytes(open_file(path).with_context(|| name.clone())?, &name)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens a file without waiting for the other end of a pipe.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32).open(path)
}

/// Maximum size of a config, and of a file that it refers to, in bytes.
const MOST: u64 = 1 << 20;

/// Reads a file that only root or this user may have written. Returns its text and its mode.
pub(super) fn read_trusted(file: File, name: &str) -> Result<(String, u32)> {
    let (bytes, mode) = trusted_bytes(file, name)?;
    Ok((String::from_utf8(bytes).with_context(|| format!("{name}: not a text in UTF-8"))?, mode))
}

fn trusted_bytes(file: File, name: &str) -> Result<(Vec<u8>, u32)> {
    let there = file.metadata().with_context(|| name.to_string())?;
    let (uid, mode) = (rustix::process::geteuid().as_raw(), there.mode());
    ensure!(there.is_file(), "{name}: not a regular file");
    ensure!(
        there.uid() == uid || there.uid() == 0,
        "{name}: belongs to user {}, who could make it run any command; give it to root or to user {uid}: chown {uid} {name}",
        there.uid()
    );
    ensure!(
        mode & 0o022 == 0,
        "{name}: others than its owner can write it (mode {:04o}), and it names commands: chmod go-w {name}",
        mode & 0o7777
    );
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).with_context(|| name.to_string())?;
    ensure!(bytes.len() as u64 <= MOST, "{name}: is larger than {MOST} bytes");
    Ok((bytes, mode))
}
