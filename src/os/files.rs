//! Files written whole or not at all, standard output, and the host's name.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

/// Writes a file so that it is there whole or not at all: aside, synced, renamed.
///
/// # Errors
/// When it cannot be written; what was there before stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension(format!("{}.new", path.extension().unwrap_or_default().to_string_lossy()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
    written.and_then(|()| fs::rename(&aside, path)).with_context(|| format!("state file {}", path.display()))
}

/// The first label of this host's name.
pub fn host_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.split('.').next().unwrap_or_default().to_string()
}

/// Writes data to standard output. A reader that has seen enough (`| head`) is no failure.
pub fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
