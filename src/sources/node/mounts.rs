//! /proc/self/mountinfo, or /proc/self/mounts where it is missing, and /proc/filesystems.
//!
//! ```text
//! 78 77 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
//! 99 78 254:16 /a\040b /mnt/a\040b ro,relatime shared:1 - xfs /dev/vdb ro
//! ```

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Kept, Root};
use anyhow::{Result, ensure};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which no other mount has while it lasts; 0 from /proc/self/mounts.
    pub id: u64,
    /// The number of the mount on which it lies; 0 from /proc/self/mounts.
    pub parent: u64,
    /// The file system, the same for all its mounts: MAJOR:MINOR, or the device from /proc/self/mounts.
    pub system: String,
    /// The part of the file system that is mounted; `/` but for bind mounts and subvolumes.
    pub part: String,
    /// Where it is mounted.
    pub path: PathBuf,
    /// Whether nobody can write through it.
    pub is_readonly: bool,
    /// The type of the file system: `ext4`.
    pub kind: String,
    /// The device or server.
    pub device: String,
}

impl Mount {
    /// Returns its path as a text.
    pub fn shown(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// Reads the mounts that can be reached by their paths: another one may cover a mount, or a folder above it.
///
/// # Errors
/// Fails if neither file can be read, or names a mount: that of /proc is always there.
pub fn read(mountinfo: &mut Kept, mounts: &mut Kept) -> Result<Vec<Mount>> {
    let told = mountinfo.bytes().map(parse_mountinfo).unwrap_or_default();
    if !told.is_empty() {
        return Ok(uncovered(told));
    }
    // This file does not tell on which mount another one lies: of several at one path the last one covers the others.
    let mut all = parse_mounts(mounts.bytes()?);
    ensure!(!all.is_empty(), "/proc/self/mountinfo and /proc/self/mounts name no mount");
    let mut seen = HashSet::new();
    all.reverse();
    all.retain(|mount| seen.insert(mount.path.clone()));
    all.reverse();
    Ok(all)
}

/// Returns the mounts at which their paths end, as the kernel walks them: from mount to mount, at each folder of the path.
fn uncovered(all: Vec<Mount>) -> Vec<Mount> {
    /// What the mounts lie on whose own parent is not seen here, as in a container.
    const OUTSIDE: u64 = u64::MAX;
    let ids: HashSet<_> = all.iter().map(|mount| mount.id).collect();
    let parent = |mount: &Mount| match mount.parent {
        parent if parent != mount.id && ids.contains(&parent) => parent,
        _ => OUTSIDE,
    };
    let lying: HashMap<(u64, &Path), u64> =
        all.iter().map(|mount| ((parent(mount), mount.path.as_path()), mount.id)).collect();
    let is_reached = |mount: &Mount| {
        let mut folders: Vec<_> = mount.path.ancestors().collect();
        folders.reverse();
        let mut at = OUTSIDE;
        for folder in folders {
            // Several may lie one on the other; a file that lies about that must not keep this going.
            for _ in 0..all.len() {
                let Some(next) = lying.get(&(at, folder)) else { break };
                at = *next;
            }
        }
        // Nothing leads any more to a mount whose folder was deleted.
        at == mount.id && !mount.path.as_os_str().as_bytes().ends_with(b"//deleted")
    };
    let reached: Vec<_> = all.iter().map(is_reached).collect();
    drop(lying);
    all.into_iter().zip(reached).filter_map(|(mount, is_reached)| is_reached.then_some(mount)).collect()
}

/// Parses /proc/self/mountinfo; leaves out what is no mount. The names in it are bytes, of whatever encoding.
pub fn parse_mountinfo(text: impl AsRef<[u8]>) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut words = line.split(is_blank);
        let number = |word: &[u8]| shown(word).parse().ok();
        let (id, parent) = (number(words.next()?)?, number(words.next()?)?);
        let (system, part, path, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
        // Any number of optional words.
        words.find(|word| *word == b"-")?;
        let (kind, device, of_system) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        Some(Mount {
            id,
            parent,
            system: shown(system),
            part: unescaped(part).to_string_lossy().into_owned(),
            path: unescaped(path).into(),
            is_readonly: is_readonly(options) || is_readonly(of_system),
            kind: shown(kind),
            device: unescaped(device).to_string_lossy().into_owned(),
        })
    };
    text.as_ref().split(|byte| *byte == b'\n').filter_map(mount).collect()
}

fn is_blank(byte: &u8) -> bool {
    *byte == b' '
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// Parses /proc/self/mounts; leaves out what is no mount.
pub fn parse_mounts(text: impl AsRef<[u8]>) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut words = line.split(is_blank);
        let (device, path, kind, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let device = unescaped(device).to_string_lossy().into_owned();
        Some(Mount {
            id: 0,
            parent: 0,
            // Not a device but a name that many mounts have.
            system: if device.starts_with('/') { device.clone() } else { format!("{device} {}", shown(path)) },
            part: "/".into(),
            path: unescaped(path).into(),
            is_readonly: is_readonly(options),
            kind: shown(kind),
            device,
        })
    };
    text.as_ref().split(|byte| *byte == b'\n').filter_map(mount).collect()
}

fn is_readonly(options: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|option| option == b"ro")
}

/// Returns a name as it is; the kernel writes blanks, tabs, ends of lines and backslashes as `\040`.
fn unescaped(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let code =
            after.get(..3).filter(|code| *first == b'\\' && code.iter().all(|digit| matches!(digit, b'0'..=b'7')));
        let code = code.map(|code| code.iter().fold(0_u32, |code, digit| code * 8 + u32::from(digit - b'0')));
        match code.and_then(|code| u8::try_from(code).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// Returns the types of file systems that lie on devices: all of /proc/filesystems that are not `nodev`, and zfs.
pub fn kinds_on_devices(root: &Root) -> Result<HashSet<String>> {
    let text = root.text("proc/filesystems")?;
    let kinds = text.lines().filter_map(|line| line.strip_prefix('\t')).map(|kind| kind.trim().to_string());
    Ok(kinds.chain(["zfs".to_string()]).filter(|kind| !kind.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_have_any_number_of_optional_words_and_names_with_blanks() {
        let text = "78 77 254:0 / / rw - ext4 /dev/vda rw\n\
                    99 78 254:16 /a\\040b /mnt/a\\040b\\134 ro,relatime shared:1 master:2 - xfs /dev/vdb\n\
                    1 2 3\n100 78 0:5 / /x rw shared:1 xfs y rw\nx y z / / rw - a b c\n";
        let mounts = parse_mountinfo(text);
        assert_eq!(mounts.len(), 2);
        let second = &mounts[1];
        assert_eq!((second.id, second.system.as_str(), second.part.as_str()), (99, "254:16", "/a b"));
        assert_eq!((second.shown().as_str(), second.is_readonly, second.kind.as_str()), ("/mnt/a b\\", true, "xfs"));
        let mounts = parse_mounts("/dev/vda / ext4 ro 0 0\ntmpfs /run tmpfs rw 0 0\nshort line\n");
        assert_eq!(mounts.iter().map(|mount| mount.is_readonly).collect::<Vec<_>>(), [true, false]);
        assert_eq!(unescaped(b"\\\\0400\\04").to_str(), Some("\\ 0\\04"));
        assert_eq!(unescaped(b"\\777").to_str(), Some("\\777"));
        let latin = parse_mountinfo(b"1 0 8:1 / /caf\xe9 rw - ext4 /dev/sda1 rw\n");
        assert_eq!(latin[0].path.as_os_str().as_bytes(), b"/caf\xe9", "a path that no text can hold");
    }

    #[test]
    fn a_mount_that_another_one_covers_is_left_out() {
        let paths = |text: &str| -> Vec<_> {
            uncovered(parse_mountinfo(text)).iter().map(|mount| format!("{} {}", mount.id, mount.shown())).collect()
        };
        // The list begins with what the initial RAM disk mounted, and the disk was moved below it.
        let text = "22 30 0:21 / /proc rw - proc proc rw\n30 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    40 30 8:2 / /srv/deep/data rw - xfs /dev/sdb rw\n41 40 8:3 / /srv/deep/data/in rw - xfs /dev/sdc rw\n";
        assert_eq!(paths(text), ["22 /proc", "30 /", "40 /srv/deep/data", "41 /srv/deep/data/in"]);
        let covered = format!("{text}50 30 8:4 / /srv rw - ext4 /dev/sdd rw\n");
        assert_eq!(paths(&covered), ["22 /proc", "30 /", "50 /srv"], "with all below it");
        let again = format!(
            "{covered}51 50 8:5 / /srv/deep rw - ext4 /dev/sde rw\n52 51 8:6 / /srv/deep rw - ext4 /dev/sdf rw\n"
        );
        assert_eq!(paths(&again), ["22 /proc", "30 /", "50 /srv", "52 /srv/deep"], "one on the other");
        // In a container, or with a changed root, nobody tells what the first ones lie on.
        assert_eq!(paths("7 6 8:1 / /a rw - ext4 a rw\n8 7 8:2 / /a/b rw - ext4 b rw\n"), ["7 /a", "8 /a/b"]);
        assert_eq!(paths("7 6 8:1 / / rw - ext4 a rw\n8 7 8:2 / /a//deleted rw - ext4 b rw\n"), ["7 /"]);
        assert_eq!(
            paths("5 5 8:1 / / rw - ext4 a rw\n6 7 8:2 / /a rw - ext4 b rw\n7 6 8:2 / /a rw - ext4 b rw\n"),
            ["5 /"]
        );
    }
}
