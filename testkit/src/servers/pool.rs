//! HTCondor pools 23.9 and 25, unpacked from Debian's suites trixie and sid, each with two schedds.

mod daemons;
mod odd_jobs;

pub use self::odd_jobs::OddJobs;
use super::{Ports, Server, TempDir, servers, tail, wait_until};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

/// The two schedds of every pool: the first is named after the host alone, the second has a name of its own.
pub const SCHEDDS: [&str; 2] = ["ce01.lab.test", "ce02@ce01.lab.test"];

/// The Debian suite that HTCondor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// HTCondor 23.9.
    Trixie,
    /// HTCondor 25.
    Sid,
}

/// A personal pool with 12 cores and two schedds, in its own pid namespace, killed with all its jobs on drop.
#[derive(Debug)]
pub struct Pool {
    server: Server,
    ports: Ports,
    dir: TempDir,
}

impl Pool {
    /// Starts a pool and waits until its slots, its negotiator and both schedds answer; `None` where that HTCondor is
    /// not unpacked or this user may not have a pid namespace.
    pub fn start(suite: Suite) -> Option<Pool> {
        Pool::start_with(suite, &[])
    }

    /// Starts a pool with two collectors that all daemons update and that clients find in their configuration (HA), with
    /// more lines of configuration.
    pub fn start_with_two_collectors(suite: Suite, lines: &[&str]) -> Option<Pool> {
        let ports = Ports::free();
        let (first, second) = (ports.first(), ports.first() + 1);
        let own = [
            format!("COLLECTOR_HOST = 127.0.0.1:{first}, 127.0.0.1:{second}"),
            "COLLECTOR_B = $(COLLECTOR)".into(),
            format!("COLLECTOR_B_ARGS = -f -p {second}"),
            "COLLECTOR_B_ENVIRONMENT = \"_CONDOR_USE_SHARED_PORT=False _CONDOR_COLLECTOR_NAME=labb \
             _CONDOR_COLLECTOR_LOG=/var/log/condor/CollectorLog.b \
             _CONDOR_COLLECTOR_ADDRESS_FILE=/var/log/condor/.collector_b_address\""
                .into(),
            "DAEMON_LIST = $(DAEMON_LIST) COLLECTOR_B".into(),
            "DC_DAEMON_LIST = +SCHEDD_CE02 COLLECTOR_B".into(),
        ];
        let lines: Vec<_> = own.iter().map(String::as_str).chain(lines.iter().copied()).collect();
        Pool::start_on(ports, suite, &lines)
    }

    /// Starts a pool with more lines of configuration, such as `CE02.MAX_JOBS_RUNNING = 1` for the second schedd.
    pub fn start_with(suite: Suite, lines: &[&str]) -> Option<Pool> {
        Pool::start_on(Ports::free(), suite, lines)
    }

    fn start_on(ports: Ports, suite: Suite, lines: &[&str]) -> Option<Pool> {
        let base = servers().join(match suite {
            Suite::Trixie => "htcondor-trixie",
            Suite::Sid => "htcondor-sid",
        });
        let root_user = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        if !base.exists() || !root_user {
            return None;
        }
        let dir = TempDir::new();
        let port = ports.first().to_string();
        let pool_dir = dir.path().join("pool");
        let mut args =
            vec![base.to_str().expect("a path in UTF-8"), pool_dir.to_str().expect("a path in UTF-8"), &port];
        args.extend(lines);
        let server = Server::start("htcondor-pool.sh", &args);
        let mut pool = Pool { server, ports, dir };
        // The tools take a second to give up on a port that nobody serves, so knock first.
        let port = pool.ports.first();
        let listens =
            pool.server.wait_ready("the collector's port", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let log = tail(&pool.dir.path().join("pool/log"));
        if log.contains("unshare failed: Operation not permitted") {
            return None;
        }
        assert!(listens, "the pool did not start: {log}");
        let answers = |args: &[&str], lines: usize| {
            let output = pool.condor(args);
            output.status.success()
                && output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() >= lines
        };
        // Slots are what condor_status lists by itself; `-startd` lists daemons, one per machine, in 23.9 and 25.
        for (args, lines) in [
            (&["condor_status", "-schedd", "-af", "Name"][..], 2),
            (&["condor_status", "-negotiator", "-af", "Name"], 1),
            (&["condor_status", "-af", "Name"], 5),
        ] {
            pool.wait_until(&args.join(" "), || answers(args, lines).then_some(()));
        }
        for schedd in SCHEDDS {
            pool.wait_until(schedd, || {
                answers(&["condor_q", "-name", schedd, "-allusers", "-totals"], 1).then_some(())
            });
        }
        Some(pool)
    }

    /// A folder with condor_q, condor_status and all the other tools, to be put first on a program's PATH.
    pub fn bin_dir(&self) -> PathBuf {
        self.dir.path().join("pool/bin")
    }

    /// The pool's own root, in which its daemons and tools run.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("pool/root")
    }

    /// `127.0.0.1:PORT`, where the collector listens.
    pub fn collector(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first())
    }

    /// Where the second of two collectors listens.
    pub fn second_collector(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first() + 1)
    }

    /// The names of the pool's schedds, sorted.
    pub fn schedds(&self) -> [&'static str; 2] {
        SCHEDDS
    }

    /// Runs a tool as root, such as `["condor_q", "-allusers"]`, for 60 s at most (exit code 124 then).
    pub fn condor(&self, args: &[&str]) -> Output {
        let tool = self.bin_dir().join(args[0]);
        Command::new("timeout")
            .arg("60")
            .arg(tool)
            .args(&args[1..])
            .stdin(Stdio::null())
            .output()
            .expect("timeout of coreutils")
    }

    /// Runs a tool as one of the pool's users (`alice`, `bob`, `pilot` or `condor`) with a text on standard input and
    /// gives its standard output; panics when it fails.
    pub fn condor_as(&self, user: &str, args: &[&str], input: &str) -> String {
        let id = match user {
            "alice" => 1000,
            "bob" => 1001,
            "pilot" => 1002,
            "condor" => 64,
            _ => panic!("the pool has no user {user}"),
        };
        let mut child = Command::new("timeout")
            .args(["60", "/usr/sbin/chroot", &format!("--userspec={id}:{id}")])
            .arg(self.root())
            .args([
                "/usr/bin/env",
                "-i",
                "PATH=/usr/bin:/usr/sbin",
                &format!("USER={user}"),
                &format!("HOME=/home/{user}"),
            ])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("timeout of coreutils");
        let written = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("our own child");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && written.is_ok(), "{args:?}: {}: {stdout}{stderr}", output.status);
        stdout
    }

    /// Queues the jobs of a submit file's text at a schedd and gives their cluster.
    pub fn submit(&self, schedd: &str, user: &str, text: &str) -> u32 {
        let said = self.condor_as(user, &["condor_submit", "-name", schedd], text);
        let cluster = said.rsplit_once("cluster ").and_then(|(_, rest)| rest.trim().trim_end_matches('.').parse().ok());
        cluster.unwrap_or_else(|| panic!("condor_submit named no cluster: {said}"))
    }

    /// The jobs in a schedd's queue with these attributes, in the order of their ids.
    pub fn jobs(&self, schedd: &str, attributes: &str) -> Vec<Value> {
        let output = self.condor(&["condor_q", "-name", schedd, "-allusers", "-json", "-attributes", attributes]);
        assert!(output.status.success(), "condor_q: {}", String::from_utf8_lossy(&output.stderr));
        // An empty queue is no JSON at all.
        if output.stdout.is_empty() {
            return Vec::new();
        }
        serde_json::from_slice(&output.stdout).expect("a list of jobs")
    }

    /// Asks again and again until there is an answer, and panics with `what` when none has come in 60 s.
    pub fn wait_until<T>(&self, what: &str, check: impl FnMut() -> Option<T>) -> T {
        wait_until(what, Duration::from_secs(60), check)
    }

    /// Adds `n` claimed dynamic slots on made-up machines, 8 to a machine, each with Mips and KFlops, and waits until
    /// the collector has them.
    pub fn advertise_slots(&self, n: usize) {
        let ads: Vec<_> = (0..n)
            .map(|i| {
                let (host, slot) = (i / 8, i % 8 + 1);
                let (mips, kflops) = (20000 + i % 1000, 1_500_000 + i % 1000);
                format!(
                    "MyType = \"Machine\"
                    Name = \"slot1_{slot}@wn{host:05}.lab.test\"
                    Machine = \"wn{host:05}.lab.test\"
                    MyAddress = \"<127.0.0.1:9?wn{host}>\"
                    SlotID = 1
                    DSlotID = {slot}
                    SlotType = \"Dynamic\"
                    DynamicSlot = true
                    PartitionableSlot = false
                    State = \"Claimed\"
                    Activity = \"Busy\"
                    Cpus = 1
                    TotalSlotCpus = 1
                    TotalCpus = 8
                    Memory = 2000
                    Mips = {mips}
                    KFlops = {kflops}
                    Start = false
                    Requirements = false\n"
                )
            })
            .collect();
        self.advertise(&ads.join("\n"));
        self.wait_until("the advertised slots", || {
            let output = self.condor(&["condor_status", "-constraint", "regexp(\"@wn[0-9]+\", Name)", "-af", "SlotID"]);
            (output.stdout.split(|byte| *byte == b'\n').count() > n).then_some(())
        });
    }

    /// Gives the collector slot ads: lines `Attribute = expression`, an empty line between two ads.
    pub fn advertise(&self, ads: &str) {
        self.condor_as("condor", &["condor_advertise", "-multiple", "UPDATE_STARTD_AD", "-"], ads);
    }
}
