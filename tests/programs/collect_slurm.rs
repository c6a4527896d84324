//! collect-slurm as cron starts it, with stand-ins for Slurm's commands: recorded answers, and every way in which they fail.

mod turns;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{NOW, Outcome, Sandbox, fixture};

/// The seconds of one command.
const TIMEOUT: u64 = 1;

struct Cluster {
    sandbox: Sandbox,
}

impl Cluster {
    /// A cluster of a version in one state: `empty`, `busy`, `nodes`.
    fn new(version: &str, state: &str) -> Self {
        let cluster = Self { sandbox: Sandbox::new("small") };
        let file = |name: &str| fixture(&format!("slurm/{version}/{name}")).display().to_string();
        let (nodes, partitions) = (file(&format!("{state}.nodes")), file("partitions"));
        cluster.scontrol(&nodes, &partitions, "echo 'Slurmctld(primary) at ctl01 is UP'");
        cluster.sandbox.program("sdiag", &format!("cat {}", file(&format!("{state}.sdiag"))));
        cluster.sandbox.program("squeue", &format!("echo >> asked; cat {}", file(&format!("{state}.jobs"))));
        cluster.config("cluster = lab\n");
        cluster
    }

    fn scontrol(&self, nodes: &str, partitions: &str, ping: &str) {
        let script = format!(
            "case \"$*\" in\n'-a -o -d show node') cat {nodes};;\n'-a -o show partition') cat {partitions};;\n\
             'show config') echo 'ClusterName             = own';;\nping) {ping};;\n*) echo \"asked $*\" >&2; exit 1;;\nesac"
        );
        self.sandbox.program("scontrol", &script);
    }

    fn config(&self, more: &str) {
        let state = self.sandbox.path("state");
        let text = format!(
            "[grid]\nname = g\n[slurm]\ntimeout_seconds = {TIMEOUT}\n{more}[state]\ndirectory = {0}\n[embedded]\npath = {0}/store.db\n",
            state.display()
        );
        let path = self.sandbox.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program(name));
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display());
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", path);
        Outcome::of(command.env("HOME", self.sandbox.path("")))
    }

    /// The points of a dry run as Carbon's lines, without their time.
    fn dry_run(&self) -> (Outcome, String) {
        let outcome = self.command("collect-slurm", &["--dry-run", "--now", &NOW.to_string()]);
        let line = |line: &str| line.rsplit_once(' ').unwrap().0.to_string() + "\n";
        let lines = outcome.stdout.lines().filter(|line| line.starts_with("slurm.")).map(line).collect();
        (outcome, lines)
    }

    /// A run at this many seconds after [`NOW`]; also returns how often the jobs have been asked for.
    fn run(&self, seconds: i64) -> (Outcome, usize) {
        let outcome = self.command("collect-slurm", &["--now", &(NOW + seconds).to_string()]);
        let asked = fs::read_to_string(self.sandbox.path("asked")).unwrap_or_default();
        (outcome, asked.lines().count())
    }

    /// The points that are stored, as line protocol.
    fn stored(&self) -> Vec<String> {
        let export = self.command("gridmon-status", &["store", "export"]);
        assert_eq!(export.code, Some(0), "{}", export.stderr);
        export.stdout.lines().filter(|line| line.starts_with("slurm")).map(String::from).collect()
    }
}

fn file(name: &str) -> PathBuf {
    fixture(&format!("slurm/{name}"))
}

#[test]
fn what_a_person_set_for_slurms_commands_changes_no_count() {
    let cluster = Cluster::new("22.05", "busy");
    for name in ["squeue", "scontrol", "sdiag"] {
        let path = cluster.sandbox.path(&format!("bin/{name}"));
        let script = fs::read_to_string(&path).unwrap();
        let (first, rest) = script.split_once('\n').unwrap();
        fs::write(&path, format!("{first}\nenv >> seen\n{rest}")).unwrap();
    }
    let set = [
        "SLURM_CLUSTERS",
        "SLURM_TIME_FORMAT",
        "SQUEUE_PARTITION",
        "SQUEUE_PRIORITY",
        "SQUEUE_SIBLING",
        "SQUEUE_FEDERATION",
        "SQUEUE_STATES",
        "SCONTROL_FEDERATION",
        "SCONTROL_FUTURE",
    ];
    let mut command = Command::new(program("collect-slurm"));
    let path = format!("{}:/usr/bin:/bin", cluster.sandbox.path("bin").display());
    command.args(["--dry-run", "--now", &NOW.to_string()]).current_dir(cluster.sandbox.path("")).env_clear();
    command.env("PATH", path).env("HOME", cluster.sandbox.path("")).env("SLURM_CONF", "/etc/other/slurm.conf");
    let outcome = Outcome::of(command.envs(set.map(|name| (name, "x"))));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let seen = fs::read_to_string(cluster.sandbox.path("seen")).unwrap();
    assert!(seen.contains("SLURM_CONF=/etc/other/slurm.conf\n"), "which cluster it is stays: {seen}");
    assert_eq!(set.iter().filter(|name| seen.contains(&format!("{name}="))).collect::<Vec<_>>(), [&""; 0], "{seen}");
}

#[test]
fn every_versions_answers_become_the_golden_points() {
    for (version, state) in [("20.11", "nodes"), ("22.05", "busy"), ("24.11", "nodes"), ("26.05", "empty")] {
        let (outcome, lines) = Cluster::new(version, state).dry_run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{version}");
        let mut expected = fs::read_to_string(file(&format!("{version}/{state}.expected"))).unwrap();
        // The clock of the recordings differs from the run's, their values do not.
        expected.retain(|c| c != '\r');
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(String::from).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&lines), sorted(&expected), "{version} {state}");
    }
}

#[test]
fn the_clusters_own_name_is_asked_for_once() {
    let cluster = Cluster::new("22.05", "busy");
    cluster.config("");
    assert_eq!(cluster.run(0).0.code, Some(0));
    assert!(cluster.stored().iter().any(|line| line.starts_with("slurm,cluster=own heartbeat=1i ")));
    // It is remembered while slurmctld is down.
    cluster.sandbox.program(
        "sdiag",
        "echo 'slurm_get_statistics: Unable to contact slurm controller (connect failure)' >&2; exit 255",
    );
    assert_eq!(cluster.run(60).0.code, Some(1));
    assert!(cluster.stored().iter().any(|line| line.starts_with("slurm,cluster=own heartbeat=0i ")));
    // A cluster that has never answered has no name.
    let (outcome, lines) = {
        let cluster = Cluster::new("22.05", "busy");
        cluster.config("");
        cluster.sandbox.program("sdiag", "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 255");
        cluster.dry_run()
    };
    assert_eq!((outcome.code, lines.as_str()), (Some(1), ""));
    assert!(outcome.stderr.contains("nothing is known of the cluster, not even its name"), "{}", outcome.stderr);
}

/// What makes Slurm fail, the line that tells it, and whether nothing at all is known then.
fn failures() -> Vec<(&'static str, String, &'static str, bool)> {
    let hang = "exec sleep 60".to_string();
    let refused =
        |call: &str| format!("echo '{call}: Unable to contact slurm controller (connect failure)' >&2; exit 255");
    vec![
        ("sdiag", refused("slurm_get_statistics"), "slurm: slurmctld is down, or cannot be reached: \"slurm_get_statistics: Unable to", true),
        ("sdiag", hang.clone(), "slurm: slurmctld is down, or cannot be reached: \"Slurmctld(primary) at ctl01 is DOWN\"", true),
        (
            "sdiag",
            "echo 'sdiag: error: s_p_parse_file: cannot stat file /etc/slurm/slurm.conf: No such file or directory, retrying in 1sec up \
             to 60sec' >&2; exec sleep 60"
                .into(),
            "slurm: Slurm's commands find no config: \"sdiag: error: s_p_parse_file: cannot stat file /etc/slurm/slurm.conf",
            true,
        ),
        (
            "sdiag",
            "echo 'slurm_get_statistics: Socket timed out on send/recv operation' >&2; exit 255".into(),
            "slurm: slurmctld gave no answer in 1.0 s; it is stopped, hung or overloaded",
            true,
        ),
        ("sdiag", "echo 'slurm_get_statistics: Access/permission denied' >&2; exit 1".into(), "slurm scheduler: sdiag ended with exit status: 1: \"slurm_get_statistics: Access", false),
        ("sdiag", "printf 'Server thread count: 3\nJobs submitted: 1'".into(), "slurm scheduler: sdiag broke off: \"Jobs submitted: 1\"", false),
        ("sdiag", "echo rubbish".into(), "slurm scheduler: sdiag tells no Server thread count: \"rubbish\"", false),
        ("squeue", "cat /dev/null; echo 'squeue: error: Invalid job format specification: x' >&2".into(), "slurm jobs: squeue complains beside its answer: \"squeue: error: Invalid job format", false),
        ("squeue", "printf 'RUNNING\\037batch\\036\\n'".into(), "slurm jobs: squeue lists a job that is not of state, partition and account", false),
        ("squeue", "printf 'RUNNING\\037batch\\037a\\036\\nRUNN'".into(), "slurm jobs: squeue broke off: \"RUNN\"", false),
        ("squeue", "echo \"squeue: unrecognized option '-r'\" >&2; exit 1".into(), "slurm jobs: squeue ended with exit status: 1: \"squeue: unrecognized option", false),
        ("scontrol", "echo NodeName=n1 State=IDLE".into(), "slurm nodes: scontrol tells no CPUAlloc of node \"n1\"", false),
        ("scontrol", "exit 0".into(), "slurm nodes: scontrol lists no node", false),
        ("scontrol", "printf 'NodeName=n1 CPUAlloc=0 CPUT'".into(), "slurm nodes: scontrol broke off: \"NodeName=n1 CPUAlloc=0 CPUT\"", false),
        ("scontrol", "head -c 3000000 /dev/zero".into(), "slurm nodes: scontrol printed a line of more than 1048576 bytes", false),
    ]
}

#[test]
fn each_failure_is_told_apart_and_costs_only_its_part() {
    for (tool, script, line, is_all) in failures() {
        let cluster = Cluster::new("22.05", "busy");
        if tool == "sdiag" {
            let nodes = file("22.05/busy.nodes");
            let partitions = file("22.05/partitions");
            // 20.11 exits with 0 here, later ones with 1.
            let ping =
                "echo 'Slurmctld(primary) at ctl01 is DOWN'; echo '** RESTORE SLURMCTLD DAEMON TO SERVICE **'; exit 1";
            cluster.scontrol(nodes.to_str().unwrap(), partitions.to_str().unwrap(), ping);
        }
        cluster.sandbox.program(tool, &script);
        let (run, _) = cluster.run(0);
        assert!(run.stderr.contains(line), "{script}: {}", run.stderr);
        assert_eq!(run.code, Some(1));
        assert!(run.took < Duration::from_secs(6), "{script}: {:?}", run.took);
        let stored = cluster.stored();
        let has = |name: &str| stored.iter().any(|line| line.starts_with(&format!("{name},")));
        let heartbeat = format!("slurm,cluster=lab heartbeat={}i", u8::from(!is_all));
        assert!(stored.iter().any(|line| line.starts_with(&heartbeat)), "{script}: {stored:?}");
        assert_eq!(has("slurm_scheduler"), tool != "sdiag", "{script}");
        assert_eq!(has("slurm_nodes"), !is_all && tool != "scontrol", "{script}");
        assert_eq!(has("slurm_jobs"), !is_all && tool != "squeue", "{script}");
    }
}

#[test]
fn a_stopped_slurmctld_costs_one_question_and_the_ping() {
    let cluster = Cluster::new("22.05", "busy");
    let hang = "exec sleep 60";
    cluster.scontrol("/dev/null", "/dev/null", hang);
    cluster.sandbox.program("sdiag", hang);
    let (run, asked) = cluster.run(0);
    assert!(
        run.stderr.contains("slurm: slurmctld gave no answer in 1.0 s; it is stopped, hung or overloaded"),
        "{}",
        run.stderr
    );
    assert_eq!((run.code, asked), (Some(1), 0));
    assert!(run.took >= Duration::from_secs(TIMEOUT) && run.took < Duration::from_secs(TIMEOUT + 4), "{:?}", run.took);
}

#[test]
fn without_slurms_commands_it_says_which_is_missing() {
    let cluster = Cluster::new("22.05", "busy");
    for tool in ["sdiag", "squeue", "scontrol"] {
        fs::remove_file(cluster.sandbox.path(&format!("bin/{tool}"))).unwrap();
    }
    let (run, _) = cluster.run(0);
    assert_eq!(run.code, Some(1));
    let missing = "sdiag was not found on PATH; install Slurm's commands, or say where they are: [slurm] sdiag";
    assert!(run.stderr.contains(missing), "{}", run.stderr);
    let check = cluster.command("collect-slurm", &["--check"]);
    assert_eq!(check.code, Some(1), "{}", check.stdout);
    assert!(check.stdout.contains("[slurm] scontrol"), "{}", check.stdout);
}

#[test]
fn check_tells_what_each_question_brings_and_list_what_is_measured() {
    let cluster = Cluster::new("24.11", "busy");
    let check = cluster.command("collect-slurm", &["--check"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{}", check.stdout);
    for line in ["slurm: cluster lab", "slurm nodes: 6 nodes", "slurm partitions: 3 partitions", "slurm jobs: 24 jobs"]
    {
        let words: Vec<_> = line.split(": ").collect();
        assert!(
            check.stdout.lines().any(|told| words.iter().all(|word| told.contains(word))),
            "{line}: {}",
            check.stdout
        );
    }
    let list = cluster.command("collect-slurm", &["--list"]);
    assert!(list.stdout.contains("slurm.{cluster}.partitions.{partition}.jobs.{state}"), "{}", list.stdout);
}

/// No older system has such numbers: a run is compared with those of another one, of an older version for example.
#[test]
fn a_cluster_is_compared_with_what_another_run_sent() {
    let cluster = Cluster::new("24.11", "busy");
    let sent = cluster.command("collect-slurm", &["--dry-run", "--now", &NOW.to_string()]).stdout;
    let other = sent.replace("slurm.lab.", "slurm.other.");
    let against = |text: &str| {
        let file = cluster.sandbox.write("sent.carbon", text);
        cluster.command("collect-slurm", &["--now", &NOW.to_string(), "--compare", file.to_str().unwrap()])
    };
    let same = against(&(sent.clone() + &other));
    assert_eq!((same.code, same.stderr.as_str()), (Some(0), ""), "{}", same.stdout);
    assert!(same.stdout.contains(" 0 differ, 0 missing here, 0 extra here\n"), "{}", same.stdout);
    let changed = against(&sent.replace(" 1 ", " 7 "));
    assert_eq!(changed.code, Some(1), "{}", changed.stdout);
    assert!(!changed.lines_with("no known cause").is_empty(), "{}", changed.stdout);
}
