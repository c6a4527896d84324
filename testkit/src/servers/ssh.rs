//! Hosts behind OpenSSH of Debian 12: healthy ones, and one for each way of failing.

use super::{Ports, Server, TempDir, tail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Hosts on loopback addresses of their own, ended on drop.
#[derive(Debug)]
pub struct SshHosts {
    _server: Server,
    _ports: Ports,
    dir: TempDir,
}

impl SshHosts {
    /// Starts `healthy` hosts `h001`, `h002` …, and the odd ones; answers `None` where OpenSSH's server, BusyBox, tcsh or Python
    /// is not installed.
    pub fn start(healthy: usize) -> Option<SshHosts> {
        let programs = ["/usr/sbin/sshd", "/bin/busybox", "/bin/tcsh", "/usr/bin/python3"];
        if !programs.iter().all(|program| Path::new(program).exists()) {
            return None;
        }
        let (dir, ports) = (TempDir::new(), Ports::free());
        let path = dir.path().to_str().expect("an ASCII path");
        let mut server = Server::start("ssh-hosts.sh", &[path, &healthy.to_string(), &ports.first().to_string()]);
        let ready = server.wait_ready("sshd", || dir.path().join("ready").exists());
        assert!(ready, "sshd did not start: {}", tail(&dir.path().join("output")));
        Some(SshHosts { _server: server, _ports: ports, dir })
    }

    /// The file of `ssh -F` that knows all hosts.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("ssh_config")
    }

    /// The names of all hosts.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_to_string(self.dir.path().join("names")).expect("the script writes it");
        names.lines().map(String::from).collect()
    }

    /// The folder that is `$SCM_FOLD` to a login on a host.
    pub fn folder(&self, host: &str) -> PathBuf {
        self.dir.path().join("hosts").join(host)
    }
}
