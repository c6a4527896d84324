//! HTCondor pools 23.9 and 25, unpacked from Debian's suites trixie and sid, each with two schedds.

use super::{Ports, Server, TempDir, servers, signal, tail, wait_until};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
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

    /// The process of a schedd, as seen from outside the pool's namespace.
    pub fn schedd_pid(&self, name: &str) -> u32 {
        let local_name = name.split_once('@').map(|(local_name, _)| local_name);
        self.daemon("condor_schedd", |arguments| arguments.get(1).map(String::as_str) == local_name)
            .unwrap_or_else(|| panic!("no process of schedd {name}"))
    }

    /// The process of the second collector, if it runs.
    pub fn second_collector_pid(&self) -> Option<u32> {
        let port = (self.ports.first() + 1).to_string();
        self.daemon("condor_collector", |arguments| arguments.contains(&port))
    }

    /// The process of a daemon whose arguments are these, as seen from outside the pool's namespace.
    fn daemon(&self, program: &str, is_it: impl Fn(&[String]) -> bool) -> Option<u32> {
        // unshare, the shell that is the namespace's init, condor_master: a daemon's own children bear its command line
        // too.
        let mut generation = vec![self.server.child.id()];
        for _ in 0..3 {
            generation = children(&generation);
        }
        generation.into_iter().find(|pid| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = command.split_terminator('\0');
            words.next() == Some(program) && is_it(&words.map(String::from).collect::<Vec<_>>())
        })
    }

    /// Kills the second collector and waits until the master has started it again and it answers.
    pub fn restart_second_collector(&self) {
        let before = self.second_collector_pid().expect("the second collector");
        signal(before, "KILL");
        self.wait_until("the second collector's restart", || {
            let collector = self.second_collector();
            // It lists itself as labb@….
            let listed = || self.condor(&["condor_status", "-pool", &collector, "-collector", "-af", "Name"]).stdout;
            let lists_itself = || String::from_utf8_lossy(&listed()).contains("labb@");
            self.second_collector_pid().is_some_and(|pid| pid != before && lists_itself()).then_some(())
        });
    }

    /// Lets a schedd hang: it accepts connections and never answers.
    pub fn stop_schedd(&self, name: &str) {
        signal(self.schedd_pid(name), "STOP");
    }

    /// Lets a stopped schedd go on.
    pub fn cont_schedd(&self, name: &str) {
        signal(self.schedd_pid(name), "CONT");
    }

    /// Kills a schedd for good; the collector keeps its ad.
    pub fn kill_schedd(&self, name: &str) {
        let pid = self.schedd_pid(name);
        signal(pid, "KILL");
        self.wait_until("the end of a killed schedd", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
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

    /// Queues jobs in every state, with every type that TargetClouds was seen to have, at both schedds, and waits until
    /// they have reached their state; gives what is in the queues then, one entry per kind of job.
    pub fn submit_odd_jobs(&self) -> Vec<OddJobs> {
        let [first, second] = SCHEDDS;
        let atlas = Some("group_mcore.atlas");
        let kinds = [
            (first, "alice", "running", 3, Some(json!("IAAS")), atlas),
            (first, "bob", "running", 1, None, None),
            (first, "alice", "idle", 4, Some(json!("CERN,IAAS")), Some("group_analy.long.anna")),
            (first, "alice", "idle", 1, Some(json!(["CERN", "IAAS"])), atlas),
            (first, "bob", "idle", 1, Some(json!(42)), None),
            (first, "bob", "idle", 1, Some(json!("žluťoučký 😀")), None),
            (first, "alice", "held", 2, Some(Value::Null), None),
            (first, "alice", "completed", 2, Some(json!("IAAS")), None),
            (first, "bob", "removed", 1, Some(json!("IAAS")), None),
            (second, "bob", "idle", 2, Some(json!("CERN")), Some("group_score.bob")),
            (second, "alice", "running", 1, Some(json!("IAAS")), atlas),
            (second, "pilot", "held", 1, None, None),
        ];
        let mut odd_jobs = Vec::new();
        for (schedd, user, state, jobs, target_clouds, accounting_group) in kinds {
            let mut text =
                String::from("request_cpus = 1\nrequest_memory = 100\nrequest_disk = 100\narguments = 3600\n");
            // `completed` and `removed` jobs stay in the queue only when they are told to.
            text += match state {
                "running" => "executable = /bin/sleep\n",
                "held" => "executable = /bin/sleep\nhold = true\n",
                "completed" => "executable = /bin/true\nleave_in_queue = true\n",
                "removed" => "executable = /bin/sleep\nrequirements = false\nleave_in_queue = true\n",
                _ => "executable = /bin/sleep\nrequirements = false\n",
            };
            if let Some((group, owner)) = accounting_group.and_then(|name: &str| name.rsplit_once('.')) {
                text += &format!("accounting_group = {group}\naccounting_group_user = {owner}\n");
            }
            match &target_clouds {
                None => {}
                Some(Value::Null) => text += "+TargetClouds = undefined\n",
                Some(Value::Array(clouds)) => text += &format!("+TargetClouds = {{{}, {}}}\n", clouds[0], clouds[1]),
                Some(value) => text += &format!("+TargetClouds = {value}\n"),
            }
            let cluster = self.submit(schedd, user, &format!("{text}queue {jobs}\n"));
            if state == "removed" {
                self.condor_as(user, &["condor_rm", "-name", schedd, &cluster.to_string()], "");
            }
            let job_status = match state {
                "idle" => 1,
                "running" => 2,
                "removed" => 3,
                "completed" => 4,
                _ => 5,
            };
            odd_jobs.push(OddJobs { schedd, cluster, job_status, jobs, target_clouds, accounting_group });
        }
        for schedd in SCHEDDS {
            self.wait_until("the odd jobs to reach their states", || {
                let queue = self.jobs(schedd, "ClusterId,JobStatus");
                let reached = |kind: &OddJobs| {
                    let here = queue
                        .iter()
                        .filter(|job| job["ClusterId"] == kind.cluster && job["JobStatus"] == kind.job_status);
                    here.count() == kind.jobs
                };
                odd_jobs.iter().filter(|kind| kind.schedd == schedd).all(reached).then_some(())
            });
        }
        odd_jobs
    }
}

/// One kind of jobs that [`Pool::submit_odd_jobs`] has queued.
#[derive(Clone, Debug, PartialEq)]
pub struct OddJobs {
    /// Name of the schedd that has them.
    pub schedd: &'static str,
    /// Their cluster there.
    pub cluster: u32,
    /// `JobStatus`: 1 idle, 2 running, 3 removed, 4 completed, 5 held.
    pub job_status: u8,
    /// How many there are.
    pub jobs: usize,
    /// `TargetClouds` as condor_q prints it in JSON: absent, null, a string, a number or a list.
    pub target_clouds: Option<Value>,
    /// `AccountingGroup`, where they have one.
    pub accounting_group: Option<&'static str>,
}

/// The processes whose parent is one of these.
fn children(parents: &[u32]) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat).into_owned();
        // The command's name stands in parentheses and may hold any character.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parent.is_some_and(|parent: u32| parents.contains(&parent))
    };
    let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}
