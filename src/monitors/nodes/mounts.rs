//! `[sensor:DiskPartitions]`: the mounts of file systems on devices.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, Fold, Measurement, Tag, carbon_component};
use crate::sources::node::Kept;
use crate::sources::node::mounts::{Mount, kinds_on_devices, read};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "DiskPartitions",
    section: Section::new(
        "sensor:DiskPartitions",
        "The mounts of file systems on devices, and whether they are read-only.",
        &[TIME_INTERVAL, ENABLED, PREFIX],
    ),
    measurements: &[&NODE_MOUNTS, &NODE_MOUNT],
    source: "/proc/self/mountinfo, /proc/filesystems",
    is_default: true,
    is_slow: false,
    options: |_| Ok(Arc::new(|node| Box::new(DiskPartitions { table: MountTable::new(node), node: node.clone() }))),
};

const COUNT: Field<i64> = Field::gauge("count", "mounts", Fold::Last, "mounts of file systems on devices");
const READONLY: Field<i64> = Field::gauge(
    "readonly",
    "0 or 1",
    Fold::Max,
    "whether nobody can write through it: so mounted, or after an error of the disk",
);

/// The mounts of a node.
pub static NODE_MOUNTS: Measurement = Measurement::new(Declaration {
    name: "node_mounts",
    meaning: "how many file systems on devices a node has mounted",
    tags: &[Tag::key("host")],
    fields: &[COUNT.info()],
    carbon: "{host/}.DiskPartitions.count",
    every: 10,
});

/// A mount of a node.
pub static NODE_MOUNT: Measurement = Measurement::new(Declaration {
    name: "node_mount",
    meaning: "a mount of a node; its tag is its path, without the first / and with - for the others, root for / itself; where two \
              would have the same one, the second has a number too that is made of its path",
    tags: &[Tag::key("host"), Tag::key("mount"), Tag::label("device"), Tag::label("type")],
    fields: &[READONLY.info()],
    carbon: "{host/}.DiskPartitions.mounts.{mount}.readonly",
    every: 10,
});

/// Returns the tags of mounts by their paths: `root` for `/`, `var-lib` for `/var/lib`. Of several that have the same one, `/`
/// keeps it, or that with the fewest `-` of its own, and the others add a number that is made of their path; so do those that only
/// Carbon takes for one, as `/a.b` and `/a_b`.
pub(super) fn tags(mounts: &[Mount]) -> HashMap<&Path, String> {
    let tag = |path: &Path| match path.to_string_lossy().trim_matches('/') {
        "" => "root".to_string(),
        rest => rest.replace('/', "-"),
    };
    let rank = |path: &Path| (path != Path::new("/"), path.to_string_lossy().matches('-').count(), path.to_path_buf());
    let mut keeps: HashMap<String, &Path> = HashMap::new();
    for mount in mounts {
        let keeper = keeps.entry(carbon_component(&tag(&mount.path)).into_owned()).or_insert(&mount.path);
        if rank(&mount.path) < rank(keeper) {
            *keeper = &mount.path;
        }
    }
    let named = |mount: &Mount| {
        let tag = tag(&mount.path);
        let number = crc32fast::hash(mount.path.as_os_str().as_bytes());
        if keeps[&*carbon_component(&tag)] == mount.path { tag } else { format!("{tag}-{number:08x}") }
    };
    mounts.iter().map(|mount| (mount.path.as_path(), named(mount))).collect()
}

/// The mounts of a node, and which file systems lie on devices.
pub(super) struct MountTable {
    mountinfo: Kept,
    mounts: Kept,
    node: Node,
    kinds: HashSet<String>,
}

impl MountTable {
    pub fn new(node: &Node) -> Self {
        let (mountinfo, mounts) = (node.root.kept("proc/self/mountinfo"), node.root.kept("proc/self/mounts"));
        Self { mountinfo, mounts, node: node.clone(), kinds: HashSet::new() }
    }

    /// Returns all mounts.
    pub fn read(&mut self) -> Result<Vec<Mount>> {
        read(&mut self.mountinfo, &mut self.mounts)
    }

    /// Whether a mount's file system lies on a device. A type that is not known yet may be that of a new module.
    pub fn is_on_device(&mut self, mount: &Mount) -> Result<bool> {
        if self.kinds.is_empty() || (mount.device.starts_with("/dev/") && !self.kinds.contains(&mount.kind)) {
            self.kinds = kinds_on_devices(&self.node.root)?;
        }
        let is_named = !mount.device.is_empty() && mount.device != "none";
        Ok(is_named && self.kinds.contains(&mount.kind))
    }
}

struct DiskPartitions {
    table: MountTable,
    node: Node,
}

impl Reading for DiskPartitions {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let host = self.node.host.as_str();
        let mut points = Vec::new();
        let mounts = self.table.read()?;
        let names = tags(&mounts);
        for mount in &mounts {
            if self.table.is_on_device(mount)? {
                let tags = [host, &names[mount.path.as_path()], &mount.device, &mount.kind];
                points.push(NODE_MOUNT.point(at.time, tags, &[READONLY.of(mount.is_readonly.into())]));
            }
        }
        points.push(NODE_MOUNTS.point(at.time, [host], &[COUNT.of(points.len() as i64)]));
        Ok(points.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::node::mounts::parse_mountinfo;

    #[test]
    fn no_two_mounts_have_one_name_and_the_order_of_mounting_changes_none() {
        let line = |(at, path): (usize, &&str)| format!("{at} 0 8:{at} / {path} rw - ext4 /dev/sd{at} rw\n");
        let names = |paths: &[&str]| -> Vec<String> {
            let mounts = parse_mountinfo(paths.iter().enumerate().map(line).collect::<String>());
            let names = tags(&mounts);
            mounts.iter().map(|mount| names[mount.path.as_path()].clone()).collect()
        };
        assert_eq!(names(&["/", "/root", "/var/lib"]), ["root", "root-b203698f", "var-lib"]);
        assert_eq!(names(&["/root"]), ["root"]);
        let (dashed, deep) = (names(&["/a-b", "/a/b"]), names(&["/a/b", "/a-b"]));
        assert_eq!((&dashed[0], &dashed[1]), (&deep[1], &deep[0]));
        assert!(dashed[1] == "a-b" && dashed[0].starts_with("a-b-"), "{dashed:?}");
        // Carbon has the same name for both.
        let (dotted, spaced) = (names(&["/a.b", "/a_b"]), names(&["/a_b", "/a\\040b"]));
        assert!(dotted[0] == "a.b" && dotted[1].starts_with("a_b-"), "{dotted:?}");
        assert!(spaced[0].starts_with("a_b-") && spaced[1] == "a b", "{spaced:?}");
    }
}
