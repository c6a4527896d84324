//! Who owns a directory of the programs, and who else could change it.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// Fails if `directory` belongs to another user, with the command that runs `program` as its owner.
///
/// Every other user, root above all, would leave files there that the owner's programs cannot open.
///
/// # Errors
/// See above; and if the directory does not exist.
pub fn ensure_owned(directory: &Path, program: &str) -> Result<()> {
    let (shown, me) = (directory.display(), me());
    let owner = directory.metadata()?.uid();
    if owner == me {
        return Ok(());
    }
    let mine = format!("if it is to be used by {}: chown -R {} {shown}", user(me), id(me));
    if is_unmapped(owner) {
        bail!(
            "it belongs to a user who is not known in this container; outside of it, give it to the user that {} is there, or set [state] directory to one that is made in here",
            user(me)
        );
    }
    let squashed = match (owner, me) {
        (OVERFLOW, 0) => "; if it is on NFS, where root is nobody, set [state] directory to a disk of this machine",
        _ => "",
    };
    bail!(
        "what another user changed there the programs could not open any more; it belongs to {}; try: {}; {mine}{squashed}",
        user(owner),
        command_as(owner, program)
    )
}

/// Fails if another user than this process's could change what lies in `directory`, or put another directory in its
/// place, with the command that mends it. Links of root and of this user are followed.
///
/// # Errors
/// See above; and if the directory does not exist.
pub fn ensure_private(directory: &Path) -> Result<()> {
    let shown = directory.display();
    let there = ensure_way(directory)?.context("No such file or directory")?;
    ensure!(there.is_dir(), io::Error::from(rustix::io::Errno::NOTDIR));
    ensure!(there.uid() == me(), "it belongs to {}: chown -R {} {shown}", user(there.uid()), id(me()));
    ensure_mode(directory, &there)
}

/// Fails if others than the owner of `directory` can write it.
///
/// # Errors
/// See above; and if the directory does not exist.
pub fn ensure_closed(directory: &Path) -> Result<()> {
    ensure_mode(directory, &directory.metadata()?)
}

fn ensure_mode(directory: &Path, there: &Metadata) -> Result<()> {
    let (shown, mode) = (directory.display(), there.mode());
    ensure!(mode & 0o022 == 0, "others than its owner can write it (mode {:04o}): chmod go-w {shown}", mode & 0o7777);
    Ok(())
}

/// Fails if another user could put a directory or link of their own on the way to `path`. Returns what lies there;
/// `None` if nothing does.
///
/// # Errors
/// See above; and if a directory on the way cannot be read.
pub fn ensure_way(path: &Path) -> Result<Option<Metadata>> {
    let backwards = |path: &Path| path.iter().rev().map(OsString::from).collect::<Vec<_>>();
    let (mut at, mut ahead, mut links) = (PathBuf::from("/"), backwards(&absolute(path)?), 0);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        if next == at {
            continue;
        }
        ensure_parent(&at)?;
        let there = match next.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            there => there.with_context(|| next.display().to_string())?,
        };
        if !there.is_symlink() {
            at = next;
            continue;
        }
        let (shown, to) = (next.display(), fs::read_link(&next)?);
        ensure!(is_trusted(there.uid()), "{shown} is a link that {} made: rm {shown}", user(there.uid()));
        links += 1;
        ensure!(links <= 40 && next.exists(), "{shown} is a link to {}, which is not there", to.display());
        ahead.extend(backwards(&to));
    }
    Ok(Some(at.symlink_metadata().with_context(|| at.display().to_string())?))
}

/// Fails if another user could rename what lies in `parent`. A group that may write there is accepted: its owner chose
/// it, as Debian's /var/local has one.
fn ensure_parent(parent: &Path) -> Result<()> {
    let shown = parent.display();
    let there = parent.metadata().with_context(|| shown.to_string())?;
    let mode = there.mode();
    ensure!(
        is_trusted(there.uid()),
        "{shown} belongs to {}, who could put another directory in its place; choose a directory elsewhere",
        user(there.uid())
    );
    ensure!(
        mode & 0o002 == 0 || mode & 0o1000 != 0,
        "everybody can write {shown} (mode {:04o}) and put another directory in its place: chmod o-w {shown}",
        mode & 0o7777
    );
    Ok(())
}

/// Adds the way out to an error that `program` met at `path`, if one is known.
pub fn with_remedy(error: anyhow::Error, path: &Path, program: &str) -> anyhow::Error {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match kind {
        Some(ErrorKind::PermissionDenied) => {
            let Some((path, owner, mode)) = path.ancestors().find_map(|path| {
                let there = path.symlink_metadata().ok()?;
                Some((path.display(), there.uid(), there.mode() & 0o7777))
            }) else {
                return error;
            };
            if owner == me() {
                return anyhow!("{error:#}; its owner may not use {path} (mode {mode:04o}): chmod u+rwX {path}");
            }
            anyhow!("{error:#}; {path} belongs to {}; try: {}", user(owner), command_as(owner, program))
        }
        Some(ErrorKind::ReadOnlyFilesystem) => {
            anyhow!(
                "{error:#}; its disk is mounted read-only: see `findmnt -T {}` and the kernel's log",
                path.display()
            )
        }
        _ => error,
    }
}

/// Returns an error of a file that cannot be opened, with its owner if that is another user.
pub(super) fn explain(error: io::Error, path: &Path) -> io::Error {
    match path.symlink_metadata() {
        Ok(there) if error.kind() == ErrorKind::PermissionDenied && there.uid() != me() => {
            let owner = user(there.uid());
            io::Error::new(
                error.kind(),
                format!("{error}; it belongs to {owner}: chown {} {}", id(me()), path.display()),
            )
        }
        _ => error,
    }
}

/// The user that stands for every user without an ID here: in a user namespace, and for root on most NFS servers.
const OVERFLOW: u32 = 65_534;

/// Whether a file's owner is a user without an ID in this user namespace.
fn is_unmapped(owner: u32) -> bool {
    let mapped = || {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum::<u64>()
    };
    owner == OVERFLOW && mapped() < u64::from(u32::MAX)
}

/// Whether what this user may change is safe from this process's user: root's, the user's own, and, in a container,
/// that of the user who made the container.
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == me() || is_unmapped(owner)
}

/// Returns the ID of this process's user.
pub(super) fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn name(user: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_string())
    })
}

/// Returns a user's name, or `user 1000`.
fn user(user: u32) -> String {
    name(user).unwrap_or_else(|| format!("user {user}"))
}

/// Returns a user's name or number.
fn id(user: u32) -> String {
    name(user).unwrap_or_else(|| user.to_string())
}

/// Returns the command with which root makes a directory for this user.
pub fn command_to_make(directory: &Path) -> String {
    format!("sudo install -d -m 0750 -o {} {}", id(me()), directory.display())
}

/// Returns the command that runs a program as a user.
fn command_as(user: u32, program: &str) -> String {
    match name(user) {
        Some(name) => format!("sudo -u {name} {program} …"),
        None => format!("sudo -u '#{user}' {program} …"),
    }
}
