//! collect-slurm over a real Slurm 22.05: busy, drained, down, stopped, dead and empty, each told apart; all values beside what
//! Slurm's own commands say.
//!
//! All in one test, since the cluster is started once.

mod cost;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Slurm, program, skip, wait_until};

/// The seconds of one command.
const TIMEOUT: u64 = 3;

struct Site {
    slurm: Slurm,
    sandbox: Sandbox,
    runs: Cell<i64>,
}

/// What a run sent.
struct Run {
    outcome: Outcome,
    /// The values by Carbon path, without `slurm.lab.`.
    values: BTreeMap<String, f64>,
}

impl Run {
    fn value(&self, path: &str) -> Option<f64> {
        self.values.get(path).copied()
    }

    fn assert(&self, expected: &[(&str, f64)]) {
        for (path, value) in expected {
            assert_eq!(self.value(path), Some(*value), "{path}: {}{:#?}", self.outcome.stderr, self.values);
        }
    }

    fn is_known(&self, beginning: &str) -> bool {
        self.values.keys().any(|path| path.starts_with(beginning))
    }
}

impl Site {
    fn start() -> Option<Self> {
        let slurm = Slurm::start(&[])?;
        let site = Self { slurm, sandbox: Sandbox::new("small"), runs: Cell::new(0) };
        let state = site.sandbox.path("state");
        let text = format!(
            "[grid]\nname = lab\n[slurm]\ncluster = lab\ntimeout_seconds = {TIMEOUT}\n[state]\ndirectory = {}\n",
            state.display()
        );
        let path = site.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        Some(site)
    }

    fn command(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("collect-slurm"));
        let path = format!("{}:/usr/sbin:/usr/bin:/bin", self.slurm.bin_dir().display());
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", path);
        Outcome::of(command.env("HOME", self.sandbox.path("")))
    }

    fn run(&self) -> Run {
        let outcome = self.command(&["--dry-run"]);
        let value = |line: &str| {
            let mut words = line.strip_prefix("slurm.lab.")?.split(' ');
            Some((words.next()?.to_string(), words.next()?.parse().unwrap()))
        };
        let values = outcome.stdout.lines().filter_map(value).collect();
        self.runs.set(self.runs.get() + 1);
        assert!(outcome.took < Duration::from_secs(2 * TIMEOUT + 5), "{:?}: {}", outcome.took, outcome.stderr);
        Run { outcome, values }
    }

    /// Submits a job as a user.
    fn submit(&self, user: &str, arguments: &[&str]) {
        let all: Vec<_> = ["as", user, "sbatch", "-o", "/dev/null"].iter().chain(arguments).copied().collect();
        self.slurm.must(&all);
    }

    /// Waits until Slurm lists this many jobs in a state.
    fn wait_for(&self, state: &str, jobs: usize) {
        wait_until(&format!("{jobs} jobs {state}"), Duration::from_secs(60), || {
            (self.slurm.must(&["squeue", "-h", "-r", "-t", state]).lines().count() == jobs).then_some(())
        });
    }

    /// What sinfo says of the CPUs of a partition: allocated, idle, other, all.
    fn sinfo_cpus(&self, partition: &str) -> Vec<f64> {
        let told = self.slurm.must(&["sinfo", "-h", "-p", partition, "-o", "%C"]);
        told.trim().split('/').map(|number| number.parse().unwrap()).collect()
    }

    fn assert_cpus(&self, run: &Run) {
        for partition in ["batch", "gpu"] {
            let own: Vec<_> = ["alloc", "idle", "other", "total"]
                .map(|name| run.value(&format!("partitions.{partition}.cpus_{name}")).unwrap())
                .into();
            assert_eq!(own, self.sinfo_cpus(partition), "{partition}");
        }
    }
}

#[test]
fn a_cluster_is_measured_whatever_happens_to_its_nodes_and_slurmctld() {
    let Some(site) = Site::start() else {
        return skip("a_cluster_is_measured_whatever_happens_to_its_nodes_and_slurmctld", "Slurm 22.05, as root");
    };
    empty(&site);
    busy(&site);
    nodes(&site);
    stopped(&site);
    dead(&site);
    unconfigured(&site);
}

fn empty(site: &Site) {
    let check = site.command(&["--check"]);
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    let run = site.run();
    assert_eq!((run.outcome.code, run.outcome.stderr.as_str()), (Some(0), ""));
    run.assert(&[
        ("heartbeat", 1.0),
        ("nodes.idle", 4.0),
        ("nodes.down", 0.0),
        ("flags.drain", 0.0),
        ("cpus.total", 96.0),
        ("cpus.free", 96.0),
        ("cpus.alloc", 0.0),
        ("gpus.total", 8.0),
        ("gpus.alloc", 0.0),
        ("memory.total_bytes", 640_000.0 * 1_048_576.0),
        ("partitions.gpu.nodes", 2.0),
        ("partitions.gpu.up", 1.0),
        ("jobs.pending", 0.0),
        ("jobs.running", 0.0),
    ]);
    site.assert_cpus(&run);
}

fn busy(site: &Site) {
    site.submit("alice", &["-A", "physics", "-n4", "--wrap", "sleep 600"]);
    site.submit("bob", &["-A", "chem", "--array=0-9%2", "--wrap", "sleep 600"]);
    site.submit("carol", &["-A", "ml", "-p", "gpu", "-n8", "--gres=gpu:2", "--wrap", "sleep 600"]);
    // Two GPUs of each of two nodes, asked for per node.
    site.submit("carol", &["-A", "ml", "-p", "gpu", "-N2", "--gpus-per-node=1", "--wrap", "sleep 600"]);
    site.submit("bob", &["-p", "batch,gpu", "-n3", "--hold", "-J", "a|b \"c\" ü", "--wrap", "sleep 600"]);
    site.wait_for("RUNNING", 5);
    let run = site.run();
    assert_eq!((run.outcome.code, run.outcome.stderr.as_str()), (Some(0), ""));
    run.assert(&[
        ("jobs.running", 5.0),
        ("jobs.pending", 9.0),
        ("partitions.batch.jobs.pending", 9.0),
        ("partitions.gpu.jobs.running", 2.0),
        ("accounts.chem.jobs.running", 2.0),
        ("accounts.chem.jobs.pending", 8.0),
        ("accounts.physics.jobs.running", 1.0),
        ("accounts.none.jobs.pending", 1.0),
        ("gpus.alloc", 4.0),
        ("partitions.gpu.gpus_alloc", 4.0),
    ]);
    assert!(run.value("nodes.mixed").unwrap() >= 2.0 && run.value("scheduler.jobs_submitted").unwrap() >= 5.0);
    site.assert_cpus(&run);
}

fn nodes(site: &Site) {
    let update = |node: &str, state: &str, reason: &str| {
        site.slurm.must(&[
            "scontrol",
            "update",
            &format!("NodeName={node}"),
            &format!("State={state}"),
            &format!("Reason={reason}"),
        ]);
    };
    // Every node works for somebody or for nobody: n2 is idle.
    update("n2", "DRAIN", "swap fan | \"State=IDLE CPUTot=1\" GresUsed=gpu:9");
    update("n3", "DRAIN", "later");
    update("n1", "DOWN", "bad disk");
    // Its jobs are killed first.
    wait_until("the node down", Duration::from_secs(60), || {
        let told = site.slurm.must(&["scontrol", "-o", "show", "node", "n1"]);
        (told.contains(" State=DOWN") && told.contains(" CPUAlloc=0 ")).then_some(())
    });
    let run = site.run();
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome.stderr);
    run.assert(&[
        ("nodes.down", 1.0),
        ("flags.drain", 2.0),
        ("flags.drained", 1.0),
        ("flags.draining", 1.0),
        ("partitions.batch.nodes_down", 1.0),
        ("partitions.batch.nodes_drain", 2.0),
        ("cpus.total", 96.0),
        ("gpus.alloc", 4.0),
    ]);
    site.assert_cpus(&run);
    for node in ["n1", "n2", "n3"] {
        site.slurm.must(&["scontrol", "update", &format!("NodeName={node}"), "State=RESUME"]);
    }
}

fn stopped(site: &Site) {
    site.slurm.signal_controller("STOP");
    let run = site.run();
    site.slurm.signal_controller("CONT");
    assert_eq!(run.outcome.code, Some(1));
    assert!(
        run.outcome.stderr.contains("slurm: slurmctld gave no answer in 3.0 s; it is stopped, hung"),
        "{}",
        run.outcome.stderr
    );
    assert_eq!(run.values.len(), 1, "{:#?}", run.values);
    run.assert(&[("heartbeat", 0.0)]);
    assert_eq!(site.run().outcome.code, Some(0), "it works again");
}

fn dead(site: &Site) {
    site.slurm.down();
    let run = site.run();
    assert_eq!(run.outcome.code, Some(1));
    let told = "slurm: slurmctld is down, or cannot be reached: \"Slurmctld(primary) at ctl01 is DOWN\"";
    assert!(run.outcome.stderr.contains(told), "{}", run.outcome.stderr);
    assert_eq!(run.values.len(), 1, "{:#?}", run.values);
    run.assert(&[("heartbeat", 0.0)]);
    site.slurm.up();
    let run = site.run();
    // It has not counted its jobs yet, and its nodes may not have answered.
    assert!(run.is_known("nodes.") && run.is_known("jobs."), "{}", run.outcome.stderr);
}

fn unconfigured(site: &Site) {
    let conf = site.slurm.path("root/lab/slurm.conf");
    let aside = conf.with_extension("aside");
    fs::rename(&conf, &aside).unwrap();
    let began = Instant::now();
    let run = site.run();
    fs::rename(&aside, &conf).unwrap();
    assert!(began.elapsed() < Duration::from_secs(TIMEOUT + 3), "Slurm's own commands take a minute");
    assert!(run.outcome.stderr.contains("slurm: Slurm's commands find no config: "), "{}", run.outcome.stderr);
    run.assert(&[("heartbeat", 0.0)]);
}

/// 10,000 jobs, one record each in slurmctld.
#[test]
#[ignore = "a minute; make test-all runs it"]
fn ten_thousand_jobs_are_counted_one_by_one() {
    let Some(site) = Site::start() else {
        return skip("ten_thousand_jobs_are_counted_one_by_one", "Slurm 22.05, as root");
    };
    // Tasks of an array are one record until they start; those of squeue -r are 10,000.
    site.submit("alice", &["-A", "physics", "--hold", "--array=0-9899", "--wrap", "true"]);
    let script = "for i in $(seq 100); do sbatch -A chem --hold -o /dev/null --wrap true; done";
    site.slurm.must(&["as", "bob", "sh", "-c", script]);
    let run = site.run();
    assert_eq!((run.outcome.code, run.outcome.stderr.as_str()), (Some(0), ""));
    run.assert(&[
        ("jobs.pending", 10_000.0),
        ("accounts.physics.jobs.pending", 9900.0),
        ("accounts.chem.jobs.pending", 100.0),
    ]);
    assert!(run.outcome.took < Duration::from_secs(5), "{:?}", run.outcome.took);
}
