//! `[sensor:DiskPartitions]`: the mounts of file systems on devices.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::sensor::{Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::Section;
use crate::model::{Declaration, Field, Fold, Measurement, Tag};
use crate::sources::node::Kept;
use crate::sources::node::mounts::{Mount, kinds_on_devices, read};

/// The sensor.
pub static SENSOR: Sensor = Sensor {
    name: "DiskPartitions",
    section: Section::new(
        "sensor:DiskPartitions",
        "The mounts of file systems on devices, and whether they are read-only.",
        &[TIME_INTERVAL, PREFIX],
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
    meaning: "a mount of a node; its tag is its path, without the first / and with - for the others, root for / itself",
    tags: &[Tag::key("host"), Tag::key("mount"), Tag::label("device"), Tag::label("type")],
    fields: &[READONLY.info()],
    carbon: "{host/}.DiskPartitions.mounts.{mount}.readonly",
    every: 10,
});

/// Returns the tag of a mount: `root` for `/`, `var-lib` for `/var/lib`.
pub(super) fn tag(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.trim_matches('/') {
        "" => "root".into(),
        rest => rest.replace('/', "-"),
    }
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
        for mount in self.table.read()? {
            if self.table.is_on_device(&mount)? {
                let tags = [host, &tag(&mount.path), &mount.device, &mount.kind];
                points.push(NODE_MOUNT.point(at.time, tags, &[READONLY.of(mount.is_readonly.into())]));
            }
        }
        points.push(NODE_MOUNTS.point(at.time, [host], &[COUNT.of(points.len() as i64)]));
        Ok(points.into())
    }
}
