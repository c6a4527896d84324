//! A disk that loses power: a file system in memory, mounted with FUSE, that logs every change and every flush. From the
//! log, [`Log::cut`] makes the folder that a power failure at any moment would leave.
//!
//! ```text
//! programs ──system calls──▶ front ──▶ tree (files as programs see them) ──▶ log ──▶ cut (what a power failure leaves)
//! ```
//!
//! Programs see what any local file system gives them: hard links, renames, locks and shared memory between processes
//! (the kernel keeps both), and a write that is read at once by everybody. Only extended attributes, symbolic links and
//! device files are missing.

mod cut;
mod front;
mod log;
mod tree;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fuser::{Config, MountOption};
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

pub use log::{Flush, HONEST, Lie, Log};

use crate::wait_until;
use front::Front;
use tree::Tree;

/// The disk, while programs use it.
pub struct Disk(Arc<Mutex<Tree>>);

impl Disk {
    /// Notes in the log that something was said at this moment.
    pub fn mark(&self, said: &str) {
        self.0.lock().unwrap().mark(said);
    }

    /// Everything that was done so far is on the disk.
    pub fn settle(&self) {
        self.0.lock().unwrap().settle();
    }

    /// From now on files of this name cannot be opened or made (EIO); `None` ends it.
    pub fn refuse(&self, name: Option<&str>) {
        self.0.lock().unwrap().refused = name.map(String::from);
    }
}

/// Runs `work` with such a disk mounted on `folder`, seen by nobody but the programs that it starts, and returns the log of
/// what they did. `None` without FUSE or without root's right to
/// mount.
pub fn record<T: Send>(folder: &Path, work: impl FnOnce(&Disk) -> T + Send) -> Option<(T, Log)> {
    let tree = Arc::new(Mutex::new(Tree::new()));
    let front = Front::new(tree.clone());
    thread::scope(|scope| {
        let recorder = scope.spawn(|| {
            // The mount belongs to this thread and its children: it is gone with them, however the test ends.
            unshare(CloneFlags::CLONE_NEWNS).ok()?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).ok()?;
            File::options().read(true).write(true).open("/dev/fuse").ok()?;
            let mut config = Config::default();
            config.mount_options = vec![MountOption::FSName("gridmon-test".into()), MountOption::DefaultPermissions];
            let session = fuser::spawn_mount(front, folder, &config).expect("root mounts");
            let done = work(&Disk(tree.clone()));
            // A child of another thread has our open files between its fork and its exec.
            wait_until("nobody to use the disk", Duration::from_secs(10), || umount(folder).ok());
            session.join().expect("the disk has worked to its end");
            Some(done)
        });
        let done = recorder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let log = std::mem::take(&mut tree.lock().unwrap().log);
        Some((done, Log::new(log)))
    })
}
