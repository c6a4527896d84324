//! Atomic file writes, and the host's name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

/// Writes a file atomically: to a temporary file, synced, then renamed.
///
/// # Errors
/// Fails if it cannot be written; the previous content stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("{}.new", path.extension().unwrap_or_default().to_string_lossy()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
    written.and_then(|()| fs::rename(&temporary, path)).with_context(|| format!("state file {}", path.display()))
}

/// Creates a directory and its missing parents. They survive a power failure: what is synced in a directory is lost all the
/// same if the directory's own name is not on the disk.
///
/// # Errors
/// Fails if it cannot be created.
pub fn create_dir(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|ancestor| !ancestor.is_dir()).collect();
    DirBuilder::new().recursive(true).mode(0o750).create(path)?;
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
