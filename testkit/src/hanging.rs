//! A mount whose server is gone: it answers what a path needs, and to the question how full it is nothing, until it is told to.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, INodeNo, MountOption, ReplyAttr, ReplyEntry,
    ReplyStatfs, Request,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// The mount, while programs use it.
pub struct Hanging {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// How often it was asked how full it is, and whether it answers.
    asked: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Hanging {
    /// Returns how often it was asked how full it is.
    pub fn asked(&self) -> usize {
        self.state.asked.lock().unwrap().0
    }

    /// Answers from now on, also what it was asked before.
    pub fn answer(&self) {
        self.state.asked.lock().unwrap().1 = true;
        self.state.changed.notify_all();
    }

    /// Takes the mount away while it is used.
    pub fn take_away(&self, folder: &Path) {
        umount2(folder, MntFlags::MNT_DETACH).expect("root unmounts");
    }
}

struct Front(Arc<State>);

impl Filesystem for Front {
    fn lookup(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::ENOENT);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let time = SystemTime::UNIX_EPOCH;
        let folder = FileAttr {
            ino,
            size: 0,
            blocks: 0,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: FileType::Directory,
            perm: 0o755,
            nlink: 2,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        reply.attr(&Duration::from_secs(3600), &folder);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let state = Arc::clone(&self.0);
        // The kernel's other questions go on meanwhile.
        thread::spawn(move || {
            let mut asked = state.asked.lock().unwrap();
            asked.0 += 1;
            state.changed.notify_all();
            drop(state.changed.wait_while(asked, |asked| !asked.1).unwrap());
            reply.statfs(1000, 400, 300, 0, 0, 4096, 255, 4096);
        });
    }
}

/// Runs `work` with such a mount on `folder`, seen by nobody but the programs that it starts. `None` without FUSE or without
/// root's right to mount.
pub fn hanging<T: Send>(folder: &Path, work: impl FnOnce(&Hanging) -> T + Send) -> Option<T> {
    let state = Arc::new(State::default());
    let front = Front(Arc::clone(&state));
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // The mount belongs to this thread and its children: it is gone with them, however the test ends.
            unshare(CloneFlags::CLONE_NEWNS).ok()?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).ok()?;
            std::fs::File::options().read(true).write(true).open("/dev/fuse").ok()?;
            let mut config = Config::default();
            config.mount_options = vec![MountOption::FSName("gone.example.org:/data".into())];
            let session = fuser::spawn_mount(front, folder, &config).expect("root mounts");
            let hanging = Hanging { state };
            let done = work(&hanging);
            hanging.answer();
            let _ = umount2(folder, MntFlags::MNT_DETACH);
            drop(session);
            Some(done)
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
