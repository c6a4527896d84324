//! `[sensor:DiskUsage]`: how full file systems are.

use std::any::Any;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::mounts::{MountTable, tags};
use super::options::fits;
use super::percent;
use super::sensor::{ENABLED, Moment, Node, PREFIX, Reading, Sensor, TIME_INTERVAL, Taken};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Declaration, Field, FieldInfo, FieldValue, Fold, Measurement, Tag};
use crate::problem::Problem;
use crate::sources::node::mounts::Mount;
use crate::sources::node::usage::{Usage, UsageReader};

/// The sensor. A mount may take long to answer, so it has a thread of its own.
pub static SENSOR: Sensor = Sensor {
    name: "DiskUsage",
    section: Section::new("sensor:DiskUsage", "How full file systems are.", KEYS),
    measurements: &[&NODE_DISK, &NODE_DISK_MOUNT],
    source: "statvfs, /proc/self/mountinfo",
    is_default: true,
    is_slow: true,
    options: |values| {
        let options = Arc::new(Options::read(values)?);
        Ok(Arc::new(move |node| {
            let (table, reader) = (MountTable::new(node), UsageReader::new(options.limit));
            Box::new(DiskUsage { table, reader, options: Arc::clone(&options), node: node.clone() })
        }))
    },
};

const KEYS: &[Key] = &[
    TIME_INTERVAL,
    ENABLED,
    PREFIX,
    Key::new(
        "path",
        Kind::List,
        Unset::Default("*"),
        "The paths of the mounts that are measured; * stands for any characters, ? for one. What is not mounted is not mounted for it.",
    ),
    Key::new(
        "types",
        Kind::List,
        Unset::Absent("ext4 xfs nfs4"),
        "The types of file systems that are measured. Default: those that lie on devices, which are local, and / whatever it is.",
    ),
    Key::new(
        "exclude_types",
        Kind::List,
        Unset::Default("squashfs iso9660 udf erofs"),
        "The types of file systems that are not measured: these are full by nature. autofs never is.",
    ),
    Key::new(
        "timeout_seconds",
        Kind::Seconds(1, 60),
        Unset::Default("5"),
        "How long the mounts may take to answer, all together. One that does not is left out until it has.",
    ),
];

struct Options {
    paths: Vec<String>,
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    limit: Duration,
}

impl Options {
    fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            paths: values.list("path")?,
            types: values.text("types")?.is_some().then(|| values.list("types")).transpose()?,
            not_types: values.list("exclude_types")?,
            limit: Duration::from_secs(values.number("timeout_seconds")?),
        })
    }

    /// Whether a mount is measured; `is_on_device` tells whether its file system lies on a device.
    fn want(&self, mount: &Mount, is_on_device: bool) -> bool {
        let has = |types: &[String]| types.contains(&mount.kind);
        let path = mount.shown();
        let is_root = path == "/";
        // To ask autofs is to have it mount what it offers.
        mount.kind != "autofs"
            && self.paths.iter().any(|pattern| fits(pattern, &path))
            && self.types.as_ref().map_or(is_on_device || is_root, |types| has(types))
            && (is_root || !has(&self.not_types))
    }
}

const fn bytes(name: &'static str, meaning: &'static str) -> Field<i64> {
    Field::gauge(name, "bytes", Fold::Last, meaning)
}

const TOTAL: Field<i64> = bytes("total", "the size (f_blocks)");
const USED: Field<i64> = bytes("used", "what is written, the part that is kept for root included (f_blocks - f_bfree)");
const FREE: Field<i64> = bytes("free", "what users may still write (f_bavail)");
const PERCENT: Field<f64> = Field::gauge("percent", "%", Fold::Max, "used, of used and free");
const INFOS: [FieldInfo; 4] = [TOTAL.info(), USED.info(), FREE.info(), PERCENT.info()];

/// How full the root is.
pub static NODE_DISK: Measurement = Measurement::new(Declaration {
    name: "node_disk",
    meaning: "how full the file system at / of a node is",
    tags: &[Tag::key("host")],
    fields: &INFOS,
    carbon: "{host/}.DiskUsage.{field}",
    every: 10,
});

/// How full another file system is.
pub static NODE_DISK_MOUNT: Measurement = Measurement::new(Declaration {
    name: "node_disk_mount",
    meaning: "how full a file system of a node is, / among them; each once, by the shortest path at which it is mounted whole",
    tags: &[Tag::key("host"), Tag::key("mount"), Tag::label("device"), Tag::label("type")],
    fields: &INFOS,
    carbon: "{host/}.DiskUsage.{mount}.{field}",
    every: 10,
});

struct DiskUsage {
    table: MountTable,
    reader: UsageReader,
    options: Arc<Options>,
    node: Node,
}

impl Reading for DiskUsage {
    fn read(&mut self, at: Moment) -> Result<Taken> {
        let all = self.table.read()?;
        let (mut wanted, mut remote) = (Vec::new(), HashMap::new());
        for mount in &all {
            let is_on_device = self.table.is_on_device(mount)?;
            if self.options.want(mount, is_on_device) {
                wanted.push(mount);
                remote.insert(mount.path.as_path(), !is_on_device && mount.shown() != "/");
            }
        }
        // Servers that are gone must not keep the machine's own disks from being asked.
        let mut wanted = once_each(wanted);
        wanted.sort_by_key(|mount| remote[mount.path.as_path()]);
        // The path lies below the root, so that a test's tree is asked and not this machine.
        let root = self.node.root.path("");
        let path = |mount: &&Mount| root.join(mount.path.strip_prefix("/").unwrap_or(&mount.path));
        let asked: Vec<_> = wanted.iter().map(|mount| (*mount, path(mount))).collect();
        let mut answers: Vec<_> = wanted.iter().copied().zip(self.reader.ask(&asked)).collect();
        // A mount that went away meanwhile has told of the file system below it.
        let now = self.table.read()?;
        answers.retain(|(mount, _)| now.contains(mount));
        Ok(self.points(at, &answers, &tags(&all)))
    }

    fn adopt(&mut self, old: Box<dyn Any>) {
        if let Ok(old) = old.downcast::<Self>() {
            self.reader.adopt(old.reader);
        }
    }
}

impl DiskUsage {
    fn points(&self, at: Moment, answers: &[(&Mount, Result<Usage>)], names: &HashMap<&Path, String>) -> Taken {
        let host = self.node.host.as_str();
        let mut taken = Taken::default();
        for (mount, answer) in answers {
            let path = mount.shown();
            match answer {
                // A pseudo file system without blocks.
                Ok(usage) if usage.total == 0 => {}
                Ok(usage) => {
                    let fields = fields(usage);
                    if path == "/" {
                        taken.points.push(NODE_DISK.point(at.time, [host], &fields));
                    }
                    let tags = [host, &names[mount.path.as_path()], &mount.device, &mount.kind];
                    taken.points.push(NODE_DISK_MOUNT.point(at.time, tags, &fields));
                }
                Err(error) => {
                    let text = format!("{} ({}): {error:#}", mount.device, mount.kind);
                    taken.problems.push(Problem::of_source(format!("mount {path}"), text));
                }
            }
        }
        taken
    }
}

/// Returns a mount for each file system: a whole one before a part of it, and a short path before a long one. Bind mounts
/// show one file system many times.
fn once_each(mounts: Vec<&Mount>) -> Vec<&Mount> {
    let rank = |mount: &Mount| (mount.shown() != "/", mount.part != "/", mount.path.as_os_str().len(), mount.shown());
    let mut best: HashMap<&str, &Mount> = HashMap::new();
    for mount in mounts {
        let one = best.entry(&mount.system).or_insert(mount);
        if rank(mount) < rank(one) {
            *one = mount;
        }
    }
    let mut all: Vec<_> = best.into_values().collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn fields(usage: &Usage) -> [FieldValue; 4] {
    let Usage { total, used, free } = *usage;
    let percent = percent(used as f64, used as f64 + free as f64);
    [TOTAL.of(total), USED.of(used), FREE.of(free), PERCENT.of(percent)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::node::mounts::parse_mountinfo;

    #[test]
    fn a_file_system_counts_once_by_its_whole_and_shortest_mount() {
        let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:1 /home /home rw - ext4 /dev/sda1 rw\n\
                    3 1 8:2 /x /a rw - xfs /dev/sdb rw\n4 1 8:2 / /mnt/b rw - xfs /dev/sdb rw\n5 1 8:2 / /mnt rw - xfs /dev/sdb rw\n\
                    6 1 0:50 / /nfs rw - nfs4 s:/x rw\n";
        let mounts = parse_mountinfo(text);
        let paths = |mounts: Vec<&Mount>| once_each(mounts).iter().map(|mount| mount.shown()).collect::<Vec<_>>();
        assert_eq!(paths(mounts.iter().collect()), ["/", "/mnt", "/nfs"]);
    }

    #[test]
    fn network_and_automatic_mounts_are_left_alone_unless_named() {
        let text = "1 0 0:20 / / rw - overlay overlay rw\n2 1 0:50 / /nfs rw - nfs4 s:/x rw\n3 1 0:51 / /net rw - autofs auto rw\n\
                    4 1 8:1 / /b rw - ext4 /dev/sda1 rw\n5 1 7:1 / /snap/x ro - squashfs /dev/loop1 ro\n";
        let mounts = parse_mountinfo(text);
        let wanted = |options: Options| -> Vec<String> {
            let is_on_device = |mount: &&Mount| matches!(mount.kind.as_str(), "ext4" | "squashfs");
            let all = mounts.iter().filter(|mount| options.want(mount, is_on_device(mount)));
            all.map(Mount::shown).collect()
        };
        let options = |paths: &[&str], types: Option<&[&str]>| {
            let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
            Options {
                paths: own(paths),
                types: types.map(own),
                not_types: own(&["squashfs"]),
                limit: Duration::from_secs(1),
            }
        };
        assert_eq!(wanted(options(&["*"], None)), ["/", "/b"]);
        assert_eq!(wanted(options(&["/n*"], Some(&["nfs4", "autofs"]))), ["/nfs"]);
        assert_eq!(wanted(options(&["/"], None)), ["/"]);
    }
}
