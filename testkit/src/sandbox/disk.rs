//! A small disk, to be filled and made read-only.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::Outcome;
use crate::skip;

/// A small disk of its own for a folder of the sandbox, seen by nobody but those who are let in; gone with this value.
pub struct SmallDisk {
    child: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// `None` without the right to mount, which it says.
    pub fn mount(test: &str, folder: PathBuf, size: &str) -> Option<Self> {
        Self::start(test, folder, "mount -t tmpfs -o mode=0750,size=\"$1\" none \"$0\"", size)
    }

    /// An ext4 of this many kB with blocks of 1 kB, in a file beside the folder. `None` without the right to mount.
    pub fn ext4(test: &str, folder: PathBuf, kilobytes: u64) -> Option<Self> {
        let image = folder.with_extension("ext4");
        fs::File::create(&image).unwrap().set_len(kilobytes << 10).unwrap();
        let make = "mkfs.ext4 -q -b 1024 -m 0 -O ^has_journal \"$1\" && mount -o loop \"$1\" \"$0\" && rmdir \"$0/lost+found\"";
        Self::start(test, folder, make, image.to_str().unwrap())
    }

    fn start(test: &str, folder: PathBuf, mount: &str, argument: &str) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &format!("{mount} && echo ready && read -r _")])
            .arg(&folder)
            .arg(argument)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            let _ = child.wait();
            skip(test, "the right to mount (root)");
            return None;
        }
        Some(Self { child, folder })
    }

    /// A file on it.
    pub fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        root.join(self.folder.strip_prefix("/").unwrap()).join(name)
    }

    /// A command that sees it.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.child.id().to_string(), "-m"]);
        if let Some(folder) = command.get_current_dir() {
            inside.arg(format!("--wd={}", folder.display())).env_clear();
        }
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        inside
    }

    /// A command's end in it.
    pub fn run(&self, command: &Command) -> Outcome {
        Outcome::of(&mut self.inside(command))
    }

    /// Mounts it anew: `ro`, `rw`.
    pub fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&self.folder);
        assert!(self.inside(&mount).status().unwrap().success());
    }

    /// Writes a file of this name until so many kB are left.
    pub fn leave(&self, name: &str, kilobytes: usize) {
        self.fill(name);
        let file = fs::File::options().write(true).open(self.path(name)).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(kilobytes as u64 * 1024)).unwrap();
    }

    /// Writes a file of this name until nothing more fits.
    pub fn fill(&self, name: &str) {
        let mut file = fs::File::options().create(true).append(true).open(self.path(name)).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Its end of input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
