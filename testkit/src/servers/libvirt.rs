//! libvirtd of Debian 12 with real QEMU domains, emulated, in namespaces of their own.

use super::{Server, TempDir, tail};
use crate::{signal, wait_until};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

/// libvirtd and its domains, ended on drop.
#[derive(Debug)]
pub struct Libvirt {
    _server: Server,
    dir: TempDir,
}

impl Libvirt {
    /// Starts libvirtd with `domains` domains, `instance-00000001` and so on; answers `None` where libvirtd, QEMU or tini is not
    /// installed, or nobody may make namespaces.
    pub fn start(domains: usize) -> Option<Libvirt> {
        Self::start_by(domains, false)
    }

    /// Starts it as [`Libvirt::start`] does, with sockets that somebody else listens at and keeps, as systemd does.
    pub fn start_activated(domains: usize) -> Option<Libvirt> {
        Self::start_by(domains, true)
    }

    fn start_by(domains: usize, is_activated: bool) -> Option<Libvirt> {
        let programs = ["/usr/sbin/libvirtd", "/usr/bin/virsh", "/usr/bin/qemu-system-x86_64", "/usr/bin/tini"];
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if !is_root || !programs.iter().all(|program| Path::new(program).exists()) {
            return None;
        }
        let dir = TempDir::new();
        let path = dir.path().to_str().expect("an ASCII path");
        if is_activated {
            fs::write(dir.path().join("activated"), "").expect("the folder is ours");
        }
        let mut server = Server::start("libvirt.sh", &[path, &domains.to_string()]);
        let ready = server.wait_ready("libvirtd and its domains", || dir.path().join("ready").exists());
        assert!(ready, "libvirtd did not start: {}", tail(&dir.path().join("output")));
        Some(Libvirt { _server: server, dir })
    }

    /// The name of a domain.
    pub fn name(domain: usize) -> String {
        format!("instance-{domain:08x}")
    }

    /// The UUID of a domain.
    pub fn uuid(domain: usize) -> String {
        format!("00000000-0000-4000-8000-{domain:012x}")
    }

    /// The read-only socket.
    pub fn socket(&self) -> PathBuf {
        self.path("run/libvirt-sock-ro")
    }

    /// A file in the server's folder: `disks/1.xml` is a domain, `disks/disk.xml` and `disks/nic.xml` are what can be plugged in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs virsh, for at most 10 s.
    pub fn virsh(&self, arguments: &[&str]) -> Output {
        let uri = fs::read_to_string(self.path("uri")).expect("the script writes it");
        let mut command = Command::new("timeout");
        command.args(["10", "virsh", "-q", "-c", uri.trim()]).args(arguments);
        command.output().expect("timeout, of coreutils")
    }

    /// Runs virsh, which must succeed, and gives what it printed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.virsh(arguments);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "virsh {arguments:?}: {stderr}");
        stdout.into_owned()
    }

    /// Sends a signal to the QEMU of a domain.
    pub fn signal_qemu(&self, domain: usize, name: &str) {
        let guest = format!("guest={},", Self::name(domain));
        signal(self.process(&guest).expect("its QEMU runs"), name);
    }

    /// The number of libvirtd's process.
    pub fn daemon(&self) -> u32 {
        self.process("libvirtd.pid").expect("libvirtd runs")
    }

    /// Lets libvirtd wait for a pipe as for a storage that hangs, with the lock of a domain that is off, until the lock is
    /// [released](Self::release_lock).
    pub fn hold_lock(&self, domain: usize) {
        let disk = self.path(&format!("disks/{domain}.img"));
        fs::rename(&disk, disk.with_extension("kept")).expect("the disk is a file");
        let made = Command::new("mkfifo").arg(&disk).status().expect("mkfifo, of coreutils");
        assert!(made.success());
        let uri = fs::read_to_string(self.path("uri")).expect("the script writes it");
        let asks = ["1", "virsh", "-q", "-c", uri.trim(), "domblkinfo", &Self::name(domain), "vda"];
        let asked = Command::new("timeout").args(asks).output().expect("timeout, of coreutils");
        assert_eq!(asked.status.code(), Some(124), "{asked:?}");
    }

    /// Releases the lock that libvirtd holds since [`Self::hold_lock`].
    pub fn release_lock(&self, domain: usize) {
        let disk = self.path(&format!("disks/{domain}.img"));
        fs::OpenOptions::new().write(true).open(&disk).expect("libvirtd reads it");
        fs::rename(disk.with_extension("kept"), &disk).expect("the folder is ours");
    }

    /// Sends a signal to libvirtd.
    pub fn signal_daemon(&self, name: &str) {
        signal(self.daemon(), name);
    }

    /// Ends libvirtd, which stays down; its domains go on.
    pub fn down(&self) {
        fs::write(self.path("down"), "").expect("the folder is ours");
        self.signal_daemon("KILL");
        wait_until("the end of libvirtd", Duration::from_secs(10), || {
            self.process("libvirtd.pid").is_none().then_some(())
        });
    }

    /// Lets libvirtd start again, and waits until it answers.
    pub fn up(&self) {
        let _ = fs::remove_file(self.path("down"));
        wait_until("libvirtd", Duration::from_secs(30), || self.virsh(&["list"]).status.success().then_some(()));
    }

    /// The process, not a script or virsh, whose command line has this word and is about our folder.
    fn process(&self, word: &str) -> Option<u32> {
        let folder = self.dir.path().to_str().expect("an ASCII path");
        let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let is_program = ["libvirtd", "/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64"]
                .iter()
                .any(|program| line.split('\0').next() == Some(program));
            is_program && line.contains(word) && line.contains(folder)
        })
    }
}
