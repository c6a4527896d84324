//! The files as programs see them, and the log of what was done to them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use fuser::{Errno, FileAttr, FileType, INodeNo};

/// A file or folder, by its number; 1 is the root.
pub(super) type Node = u64;

pub(super) const ROOT: Node = 1;

/// Where a name stands: a folder and the name in it.
pub(super) type Place = (Node, String);

/// One line of the log.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Write {
        file: Node,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// Cut or lengthened to this size.
    Resize {
        file: Node,
        size: usize,
    },
    /// A new file or folder, which has no name yet.
    Make {
        node: Node,
        is_folder: bool,
    },
    Mode {
        node: Node,
        mode: u32,
    },
    Link {
        node: Node,
        at: Place,
    },
    Unlink {
        node: Node,
        at: Place,
    },
    Rename {
        node: Node,
        from: Place,
        to: Place,
    },
    /// A flush of a file's data and size.
    Sync {
        file: Node,
    },
    /// A flush of a folder's names.
    SyncFolder {
        folder: Node,
    },
    Mark(String),
    Settled,
}

struct Inode {
    /// The names in a folder; `None` for a file.
    names: Option<BTreeMap<String, Node>>,
    bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    links: u32,
    modified: SystemTime,
    changed: SystemTime,
}

/// All files and folders.
pub(super) struct Tree {
    inodes: Vec<Inode>,
    pub(super) log: Vec<Event>,
    pub(super) refused: Option<String>,
}

type Answer<T> = Result<T, Errno>;

impl Tree {
    pub(super) fn new() -> Self {
        let mut tree = Self { inodes: Vec::new(), log: Vec::new(), refused: None };
        tree.add(true, 0o755, (0, 0));
        tree
    }

    pub(super) fn mark(&mut self, said: &str) {
        self.log.push(Event::Mark(said.into()));
    }

    pub(super) fn settle(&mut self) {
        self.log.push(Event::Settled);
    }

    fn add(&mut self, is_folder: bool, mode: u32, owner: (u32, u32)) -> Node {
        let now = SystemTime::now();
        let names = is_folder.then(BTreeMap::new);
        let mode = mode & 0o7777;
        self.inodes.push(Inode { names, bytes: Vec::new(), mode, owner, links: 0, modified: now, changed: now });
        let node = self.inodes.len() as Node;
        self.log.push(Event::Make { node, is_folder });
        self.log.push(Event::Mode { node, mode });
        node
    }

    fn inode(&mut self, node: Node) -> Answer<&mut Inode> {
        self.inodes.get_mut(node as usize - 1).ok_or(Errno::ENOENT)
    }

    fn names(&mut self, folder: Node) -> Answer<&mut BTreeMap<String, Node>> {
        self.inode(folder)?.names.as_mut().ok_or(Errno::ENOTDIR)
    }

    /// Changes the names of a folder.
    fn change_names<T>(&mut self, folder: Node, change: impl FnOnce(&mut BTreeMap<String, Node>) -> T) -> Answer<()> {
        change(self.names(folder)?);
        let inode = self.inode(folder)?;
        inode.modified = SystemTime::now();
        inode.changed = inode.modified;
        Ok(())
    }

    pub(super) fn lookup(&mut self, folder: Node, name: &str) -> Answer<Node> {
        self.names(folder)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// What a folder holds.
    pub(super) fn list(&mut self, folder: Node) -> Answer<Vec<(Node, String)>> {
        Ok(self.names(folder)?.iter().map(|(name, node)| (*node, name.clone())).collect())
    }

    pub(super) fn attributes(&mut self, node: Node) -> Answer<FileAttr> {
        let inode = self.inode(node)?;
        let size = inode.bytes.len() as u64;
        let is_folder = inode.names.is_some();
        Ok(FileAttr {
            ino: INodeNo(node),
            size,
            blocks: size.div_ceil(512),
            atime: inode.modified,
            mtime: inode.modified,
            ctime: inode.changed,
            crtime: inode.changed,
            kind: if is_folder { FileType::Directory } else { FileType::RegularFile },
            perm: inode.mode as u16,
            nlink: if is_folder { 2 } else { inode.links },
            uid: inode.owner.0,
            gid: inode.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// Whether files of this name are refused.
    fn may_open(&self, name: &str) -> Answer<()> {
        if self.refused.as_deref() == Some(name) { Err(Errno::EIO) } else { Ok(()) }
    }

    pub(super) fn make(&mut self, at: Place, is_folder: bool, mode: u32, owner: (u32, u32)) -> Answer<Node> {
        self.may_open(&at.1)?;
        if self.names(at.0)?.contains_key(&at.1) {
            return Err(Errno::EEXIST);
        }
        let node = self.add(is_folder, mode, owner);
        self.link(node, at)?;
        Ok(node)
    }

    pub(super) fn link(&mut self, node: Node, at: Place) -> Answer<()> {
        if self.names(at.0)?.contains_key(&at.1) {
            return Err(Errno::EEXIST);
        }
        self.change_names(at.0, |names| names.insert(at.1.clone(), node))?;
        self.inode(node)?.links += 1;
        self.log.push(Event::Link { node, at });
        Ok(())
    }

    pub(super) fn unlink(&mut self, at: Place, is_folder: bool) -> Answer<()> {
        let node = self.lookup(at.0, &at.1)?;
        match (&self.inode(node)?.names, is_folder) {
            (Some(names), true) if !names.is_empty() => return Err(Errno::ENOTEMPTY),
            (None, true) => return Err(Errno::ENOTDIR),
            (Some(_), false) => return Err(Errno::EISDIR),
            _ => {}
        }
        self.change_names(at.0, |names| names.remove(&at.1))?;
        self.inode(node)?.links -= 1;
        self.log.push(Event::Unlink { node, at });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: Place, to: Place, must_be_new: bool) -> Answer<()> {
        let node = self.lookup(from.0, &from.1)?;
        match self.lookup(to.0, &to.1) {
            Ok(_) if must_be_new => return Err(Errno::EEXIST),
            // Two names of one file: POSIX does nothing.
            Ok(there) if there == node => return Ok(()),
            Ok(there) if self.inode(there)?.names.as_ref().is_some_and(|names| !names.is_empty()) => {
                return Err(Errno::ENOTEMPTY);
            }
            Ok(there) => self.inode(there)?.links -= 1,
            Err(_) => {}
        }
        self.change_names(from.0, |names| names.remove(&from.1))?;
        self.change_names(to.0, |names| names.insert(to.1.clone(), node))?;
        self.log.push(Event::Rename { node, from, to });
        Ok(())
    }

    pub(super) fn open(&mut self, node: Node) -> Answer<()> {
        let Some(refused) = self.refused.clone() else { return Ok(()) };
        let is_it = |inode: &Inode| inode.names.as_ref().is_some_and(|names| names.get(&refused) == Some(&node));
        if self.inodes.iter().any(is_it) { Err(Errno::EIO) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, file: Node, offset: usize, size: usize) -> Answer<&[u8]> {
        let bytes = &self.inode(file)?.bytes;
        let from = offset.min(bytes.len());
        Ok(&bytes[from..(from + size).min(bytes.len())])
    }

    pub(super) fn write(&mut self, file: Node, offset: usize, bytes: &[u8]) -> Answer<()> {
        let inode = self.inode(file)?;
        put(&mut inode.bytes, offset, bytes, 0);
        inode.modified = SystemTime::now();
        inode.changed = inode.modified;
        self.log.push(Event::Write { file, offset, bytes: bytes.to_vec() });
        Ok(())
    }

    pub(super) fn resize(&mut self, file: Node, size: usize) -> Answer<()> {
        let inode = self.inode(file)?;
        inode.bytes.resize(size, 0);
        inode.modified = SystemTime::now();
        inode.changed = inode.modified;
        self.log.push(Event::Resize { file, size });
        Ok(())
    }

    pub(super) fn size(&mut self, file: Node) -> Answer<usize> {
        Ok(self.inode(file)?.bytes.len())
    }

    pub(super) fn set_mode(&mut self, node: Node, mode: u32) -> Answer<()> {
        self.inode(node)?.mode = mode & 0o7777;
        self.log.push(Event::Mode { node, mode: mode & 0o7777 });
        Ok(())
    }

    pub(super) fn set_owner(&mut self, node: Node, user: Option<u32>, group: Option<u32>) -> Answer<()> {
        let owner = &mut self.inode(node)?.owner;
        *owner = (user.unwrap_or(owner.0), group.unwrap_or(owner.1));
        Ok(())
    }

    pub(super) fn set_modified(&mut self, node: Node, time: SystemTime) -> Answer<()> {
        self.inode(node)?.modified = time;
        Ok(())
    }

    pub(super) fn sync(&mut self, node: Node) {
        let is_folder = self.inode(node).is_ok_and(|inode| inode.names.is_some());
        self.log.push(if is_folder { Event::SyncFolder { folder: node } } else { Event::Sync { file: node } });
    }
}

/// Writes `bytes` at `offset`; what lies between the end and the offset becomes `fill`.
pub(super) fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8], fill: u8) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, fill);
    }
    file[offset..end].copy_from_slice(bytes);
}
