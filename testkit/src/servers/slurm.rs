//! A Slurm 22.05 cluster, unpacked from Debian's bookworm: slurmctld and four nodes, without munge and slurmdbd.

use super::{Ports, Server, TempDir, servers, signal, tail, wait_until};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// slurmctld and the nodes n1 to n4, killed with all their jobs on drop.
#[derive(Debug)]
pub struct Slurm {
    _server: Server,
    _ports: [Ports; 2],
    dir: TempDir,
}

impl Slurm {
    /// Starts a cluster with more lines of slurm.conf and waits until its nodes are idle; `None` where Slurm is not unpacked or this
    /// user may not have namespaces.
    pub fn start(lines: &[&str]) -> Option<Slurm> {
        let base = servers().join("slurm-bookworm");
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if !base.exists() || !is_root {
            return None;
        }
        let ports = [Ports::free(), Ports::free()];
        let dir = TempDir::new();
        let cluster = dir.path().join("cluster");
        let [port, nodes] = ports.each_ref().map(|ports| ports.first().to_string());
        let path = |path: &PathBuf| path.to_str().expect("a path in UTF-8").to_string();
        let (base, cluster) = (path(&base), path(&cluster));
        let mut args = vec![base.as_str(), cluster.as_str(), &port, &nodes];
        args.extend(lines);
        let server = Server::start("slurm-cluster.sh", &args);
        let mut slurm = Slurm { _server: server, _ports: ports, dir };
        let Slurm { _server: server, dir, .. } = &mut slurm;
        let sinfo = dir.path().join("cluster/bin/sinfo");
        let ready = server.wait_ready("the nodes of Slurm", || {
            let told = Command::new(&sinfo).args(["-h", "-N", "-p", "batch", "-o", "%T"]).output();
            told.is_ok_and(|told| told.stdout == b"idle\nidle\nidle\nidle\n")
        });
        let log = tail(&slurm.path("log"));
        if log.contains("unshare failed: Operation not permitted") {
            return None;
        }
        assert!(ready, "Slurm did not start: {log}");
        Some(slurm)
    }

    /// A folder with scontrol, sdiag, squeue and the others.
    pub fn bin_dir(&self) -> PathBuf {
        self.path("bin")
    }

    /// A file in the folder of the cluster.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("cluster").join(name)
    }

    /// Runs one of the commands, for at most 60 s.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg("60").arg(self.path("bin").join(arguments[0])).args(&arguments[1..]);
        command.output().expect("timeout, of coreutils")
    }

    /// Runs one of the commands, which must succeed, and gives what it printed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout.into_owned()
    }

    /// Sends a signal to slurmctld.
    pub fn signal_controller(&self, name: &str) {
        signal(self.controller().expect("slurmctld runs"), name);
    }

    /// Ends slurmctld, which stays down; its jobs and nodes go on.
    pub fn down(&self) {
        fs::write(self.path("down"), "").expect("the folder is ours");
        self.signal_controller("KILL");
        wait_until("the end of slurmctld", Duration::from_secs(10), || self.controller().is_none().then_some(()));
    }

    /// Lets slurmctld start again, and waits until it answers.
    pub fn up(&self) {
        let _ = fs::remove_file(self.path("down"));
        wait_until("slurmctld", Duration::from_secs(60), || {
            self.command(&["scontrol", "ping"]).status.success().then_some(())
        });
    }

    /// The process of this cluster's slurmctld, by its root.
    fn controller(&self) -> Option<u32> {
        let root = self.path("root");
        let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "slurmctld" && fs::read_link(format!("/proc/{pid}/root")).is_ok_and(|of| of == root)
        })
    }
}
