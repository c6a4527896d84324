//! Finds and reads the file, and checks who may own, write and read it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::ini::Sections;
use super::section::Section;

/// The paths to try without `--config`; the first existing file is read.
pub const SEARCHED: [&str; 2] = ["config.cfg", "/etc/gridmon/config.cfg"];

/// Reads `path`, or the first existing file of [`SEARCHED`]; the result is empty if none of them exists.
///
/// # Errors
/// Fails if `path` is given and cannot be read, or if the file has the wrong owner, is writable by others or exposes
/// its secrets; and as [`Sections::read`].
pub fn open(path: Option<&Path>, declared: &[&'static Section]) -> Result<Sections> {
    let found = match path {
        Some(path) => Some((path, File::open(path).with_context(|| path.display().to_string())?)),
        None => SEARCHED
            .iter()
            .map(Path::new)
            .find_map(|path| match File::open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                opened => Some(opened.with_context(|| path.display().to_string()).map(|file| (path, file))),
            })
            .transpose()?,
    };
    let Some((path, mut file)) = found else { return Sections::read("", SEARCHED[0], declared) };
    let name = path.display().to_string();
    let owner = file.metadata().with_context(|| name.clone())?;
    let (uid, mode) = (rustix::process::geteuid().as_raw(), owner.mode());
    ensure!(owner.is_file(), "{name}: not a file");
    ensure!(
        owner.uid() == uid || owner.uid() == 0,
        "{name}: belongs to user {}, who could make it run any command; give it to root or to user {uid}: chown {uid} {name}",
        owner.uid()
    );
    ensure!(
        mode & 0o022 == 0,
        "{name}: others than its owner can write it (mode {:04o}), and it names commands: chmod go-w {name}",
        mode & 0o7777
    );
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(|| format!("{name}: not a text in UTF-8"))?;
    let mut sections = Sections::read(&text, &name, declared)?;
    ensure!(
        !sections.holds_secrets() || mode & 0o007 == 0,
        "{name}: holds a password or token that everybody can read (mode {:04o}): chmod o= {name}",
        mode & 0o7777
    );
    sections.path = Some(path.to_path_buf());
    Ok(sections)
}
