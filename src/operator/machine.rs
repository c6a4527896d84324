//! What a run needs of the machine: a clock that is right, and room on the disk.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use crate::os::command;
use crate::text::size;

/// A disk with less room than this is said to be nearly full, in bytes.
const LITTLE_ROOM: u64 = 256 << 20;

/// A disk with fewer free inodes than this is said to be nearly full: each batch and report takes one for a while.
const FEW_FILES: u64 = 1000;

/// Whether something keeps the clock of this machine right: by the kernel's word where systemd can be asked for it, else by what the
/// daemons leave below `run`, /run.
pub fn clock(run: &Path) -> Result<String, String> {
    let keepers = [
        ("systemd/timesync/synchronized", "systemd-timesyncd"),
        ("chrony/chronyd.pid", "chrony"),
        ("chronyd.pid", "chrony"),
        ("ntpd.pid", "ntpd"),
        ("ntpsec/ntpd.pid", "ntpsec"),
        ("openntpd.pid", "openntpd"),
    ];
    let keeper = keepers.iter().find(|(path, _)| run.join(path).exists()).map(|(_, keeper)| *keeper);
    let is_container = Path::new("/run/.containerenv").exists() || Path::new("/.dockerenv").exists();
    match (is_synchronized(run), keeper) {
        (Some(true), keeper) => {
            Ok(keeper.map_or("is right, says the kernel".into(), |it| format!("kept right by {it}")))
        }
        (_, None) if is_container => Ok("that of the machine outside of this container".into()),
        (Some(false), Some(keeper)) => Err(format!(
            "{keeper} runs, and the kernel says that the clock is not right yet; see: timedatectl timesync-status, or chronyc tracking"
        )),
        (None, Some(keeper)) => Ok(format!("kept right by {keeper}")),
        (_, None) => {
            Err("nothing is seen that keeps it right; points carry its times: install chrony or systemd-timesyncd"
                .into())
        }
    }
}

/// Returns the kernel's word on the clock (adjtimex), as systemd tells it; `None` where systemd does not run or does not answer.
fn is_synchronized(run: &Path) -> Option<bool> {
    const ANSWERS: Duration = Duration::from_secs(5);
    if !run.join("systemd/system").exists() {
        return None;
    }
    let mut asked = Command::new("timedatectl");
    asked.args(["show", "--property=NTPSynchronized", "--value"]);
    match command::output(&mut asked, Instant::now() + ANSWERS, 100).ok()?.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// Says how much room is left on the disk of the state directory, or of the folder in which it will be made.
pub fn room(directory: &Path) -> Result<String, String> {
    let there = directory.ancestors().find(|folder| folder.exists()).unwrap_or(directory);
    let disk = statvfs(there).map_err(|error| format!("{}: {error}", there.display()))?;
    judged(&disk, directory)
}

fn judged(disk: &StatVfs, directory: &Path) -> Result<String, String> {
    let directory = directory.display();
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(format!("{directory} is mounted read-only: see `findmnt -T {directory}` and the kernel's log"));
    }
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = format!("{} free for {directory}", size(free));
    let remedy = "a full disk takes neither points nor reports: make room, or move [state] directory";
    if free < LITTLE_ROOM {
        return Err(format!("{shown}; {remedy}"));
    }
    // Some file systems have no fixed number of files, and say 0 of 0.
    if disk.f_files > 0 && disk.f_favail < FEW_FILES {
        return Err(format!("{shown}, for {} more files; {remedy}", disk.f_favail));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nothing_keeps_is_a_finding() {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("clock-{}", std::process::id()));
        std::fs::create_dir_all(run.join("chrony")).unwrap();
        let lone = clock(&run);
        std::fs::write(run.join("chrony/chronyd.pid"), "1").unwrap();
        let kept = clock(&run);
        std::fs::remove_dir_all(&run).unwrap();
        assert_eq!(kept, Ok("kept right by chrony".into()));
        assert!(lone.is_err() || lone.is_ok_and(|text| text.ends_with("container")));
    }

    #[test]
    fn a_disk_without_room_or_files_or_leave_to_write_is_a_finding() {
        let of = |bytes: u64, files: u64, all: u64, flags: StatVfsMountFlags| StatVfs {
            f_bsize: 1,
            f_frsize: 1,
            f_blocks: bytes,
            f_bfree: bytes,
            f_bavail: bytes,
            f_files: all,
            f_ffree: files,
            f_favail: files,
            f_fsid: 0,
            f_flag: flags,
            f_namemax: 255,
        };
        let directory = Path::new("/var/lib/gridmon");
        let none = StatVfsMountFlags::empty();
        assert!(judged(&of(1 << 30, 5000, 9000, none), directory).unwrap().contains(" free for /var/lib/gridmon"));
        assert!(judged(&of(1 << 30, 0, 0, none), directory).is_ok(), "btrfs counts no files");
        assert!(judged(&of(1 << 20, 5000, 9000, none), directory).unwrap_err().contains("make room"));
        assert!(judged(&of(1 << 30, 7, 9000, none), directory).unwrap_err().contains("7 more files"));
        let read_only = judged(&of(1 << 30, 5000, 9000, StatVfsMountFlags::RDONLY), directory);
        assert!(read_only.unwrap_err().contains("read-only"));
    }
}
