//! What the kernel asks of the disk, put to the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::tree::{Place, Tree};

/// How long the kernel may remember: nobody changes the tree behind its back.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// A name in a folder: number, kind, name.
type Entry = (u64, FileType, String);

/// The disk as the kernel sees it.
pub(super) struct Front {
    tree: Arc<Mutex<Tree>>,
    /// What folders held when they were opened: a listing must not skip names because others go meanwhile.
    listings: Mutex<BTreeMap<u64, Vec<Entry>>>,
    opened: AtomicU64,
}

fn place(folder: INodeNo, name: &OsStr) -> Result<Place, Errno> {
    Ok((folder.0, name.to_str().ok_or(Errno::EINVAL)?.into()))
}

/// Sends the answer to a question that has no other than an error.
fn end(answer: Result<(), Errno>, reply: ReplyEmpty) {
    match answer {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Front {
    pub(super) fn new(tree: Arc<Mutex<Tree>>) -> Self {
        Self { tree, listings: Mutex::default(), opened: AtomicU64::new(1) }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap()
    }

    /// Sends what there is about the file or folder that `find` finds.
    fn entry(&self, reply: ReplyEntry, find: impl FnOnce(&mut Tree) -> Result<u64, Errno>) {
        let mut tree = self.tree();
        let found = find(&mut tree).and_then(|node| tree.attributes(node));
        match found {
            Ok(attributes) => reply.entry(&REMEMBERED, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }
}

impl Filesystem for Front {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |tree| place(parent, name).and_then(|(folder, name)| tree.lookup(folder, &name)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.tree().attributes(ino.0) {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree();
        let done = (|| {
            if let Some(mode) = mode {
                tree.set_mode(ino.0, mode)?;
            }
            if uid.is_some() || gid.is_some() {
                tree.set_owner(ino.0, uid, gid)?;
            }
            if let Some(size) = size {
                tree.resize(ino.0, size as usize)?;
            }
            match mtime {
                Some(TimeOrNow::SpecificTime(time)) => tree.set_modified(ino.0, time)?,
                Some(TimeOrNow::Now) => tree.set_modified(ino.0, SystemTime::now())?,
                None => {}
            }
            tree.attributes(ino.0)
        })();
        match done {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let owner = (request.uid(), request.gid());
        self.entry(reply, |tree| tree.make(place(parent, name)?, true, mode & !umask, owner));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut tree = self.tree();
        let made = place(parent, name)
            .and_then(|at| tree.make(at, false, mode & !umask, (request.uid(), request.gid())))
            .and_then(|node| tree.attributes(node));
        match made {
            Ok(attributes) => {
                reply.created(&REMEMBERED, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(place(parent, name).and_then(|at| self.tree().unlink(at, false)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(place(parent, name).and_then(|at| self.tree().unlink(at, true)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let must_be_new = flags.contains(RenameFlags::RENAME_NOREPLACE);
        let names = place(parent, name).and_then(|from| Ok((from, place(newparent, newname)?)));
        end(names.and_then(|(from, to)| self.tree().rename(from, to, must_be_new)), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.entry(reply, |tree| tree.link(ino.0, place(newparent, newname)?).map(|()| ino.0));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.tree().open(ino.0) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.tree().read(ino.0, offset as usize, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.tree().write(ino.0, offset as usize, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.tree().sync(ino.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.tree().sync(ino.0);
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let (mut tree, wanted) = (self.tree(), (offset + length) as usize);
        // Room without a new size changes nothing here; holes are not made.
        end(
            match mode {
                0 => tree.size(ino.0).and_then(|size| if size < wanted { tree.resize(ino.0, wanted) } else { Ok(()) }),
                1 => Ok(()),
                _ => Err(Errno::EOPNOTSUPP),
            },
            reply,
        );
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut tree = self.tree();
        let listing = tree.list(ino.0).and_then(|names| {
            let own = [(ino.0, ".".to_string()), (ino.0, "..".to_string())];
            let kind = |(node, name)| Ok((node, tree.attributes(node)?.kind, name));
            own.into_iter().chain(names).map(kind).collect::<Result<Vec<_>, Errno>>()
        });
        match listing {
            Ok(listing) => {
                let handle = self.opened.fetch_add(1, Ordering::Relaxed);
                self.listings.lock().unwrap().insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listings = self.listings.lock().unwrap();
        let Some(listing) = listings.get(&fh.0) else { return reply.error(Errno::EBADF) };
        for (at, (node, kind, name)) in listing.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*node), at as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings.lock().unwrap().remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        // A disk of 4 GB, half of it free.
        reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096);
    }
}
