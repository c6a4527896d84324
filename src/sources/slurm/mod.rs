//! Slurm: nodes, partitions, jobs and the health of the scheduler, by means of `scontrol`, `sdiag` and `squeue`. Debian's packages
//! of 20.11, 22.05, 24.11 and 26.05 were recorded.
//!
//! ```text
//! $ sdiag
//! Server thread count:  3
//! Job states ts:  Thu Nov 26 02:40:02 2026 (1795660802)
//! Jobs pending:   16
//! $ scontrol -a -o -d show node
//! NodeName=n3 … CPUAlloc=12 CPUTot=32 … Gres=gpu:h100:4 GresUsed=gpu:h100:3(IDX:0-2) … State=MIXED+DRAIN … Partitions=batch,gpu …
//! $ scontrol -a -o show partition
//! PartitionName=batch … State=UP TotalCPUs=96 TotalNodes=4 …
//! $ squeue -h -a -r -o '%T␟%P␟%a␞'
//! PENDING␟batch␟chem␞
//! ```
//!
//! These four are the cheapest questions that answer all: `sinfo -N` takes 25 s where `scontrol` takes 0.2 s (10,000 nodes), and
//! `--json` costs 100 times as much memory (100,000 jobs) and changes with each release. The text of the four has the same keys in
//! all four versions. An empty queue is zero bytes.
//!
//! The traps that shape this module:
//!
//! - A dead slurmctld costs each command 9 to 10 s, a stopped one 10 s, a missing slurm.conf 59 s. So each command has its own
//!   time-out here, `sdiag` goes first, and the others are left out where it finds no slurmctld.
//! - An unknown field or a lost right is exit 0 with a line on standard error: standard error must be empty.
//! - `squeue` costs slurmctld its job lock, up to 0.7 s for 100,000 jobs. So it is asked at an interval of its own, and never within
//!   20 times as long as it took last.

mod client;
pub mod diag;
pub mod memory;
pub mod node;
pub mod partition;
pub mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::client::{Client, Failure};
pub use self::diag::Diag;
pub use self::memory::Memory;
pub use self::node::Node;
pub use self::partition::Partition;
pub use self::queue::{JobGroup, Jobs};
use crate::config::{Key, Kind, Program, Section, Unset, Values};
use crate::problem::{Problem, Subject};

/// `[slurm]`.
pub const SECTION: Section = Section::new(
    "slurm",
    "Asks Slurm for its nodes, partitions, jobs and scheduler, and says when and how long collect-slurm runs.",
    &[
        Key::deadline("50"),
        Key::interval("60", 3600),
        CLUSTER,
        JOBS_INTERVAL,
        ACCOUNTS,
        NODES,
        DOMAIN,
        TIMEOUT,
        SCONTROL,
        SDIAG,
        SQUEUE,
    ],
)
.owning(&["collect-slurm"]);

/// The cluster's name. It and the following are keys of collect-slurm and of the agent's sensor.
pub const CLUSTER: Key = Key::new(
    "cluster",
    Kind::Text,
    Unset::Absent("lab"),
    "The C of slurm.C.… Default: ClusterName in slurm.conf, which Slurm is asked for once. Set it to have a heartbeat of a \
     cluster that has never answered.",
);

/// The time between two questions for the jobs.
pub const JOBS_INTERVAL: Key = Key::new(
    "jobs_interval",
    Kind::Number { least: 10, most: 86_400, unit: "seconds" },
    Unset::Default("60"),
    "The seconds between two questions for the jobs. Where squeue is slow they are further apart: 20 times as long as it took.",
);

/// How many accounts are counted apart.
pub const ACCOUNTS: Key = Key::new(
    "accounts",
    Kind::Number { least: 1, most: 100_000, unit: "accounts" },
    Unset::Default("100"),
    "The most accounts whose jobs are counted apart; those of all others are counted as the account other.",
);

/// How many nodes have points of their own.
pub const NODES: Key = Key::new(
    "nodes",
    Kind::Number { least: 0, most: 100_000, unit: "nodes" },
    Unset::Default("2000"),
    "The most nodes of a cluster of which each has its state as points of its own, for the page of nodes; in a larger cluster none has.",
);

/// What makes the name of a node that of its host.
pub const DOMAIN: Key = Key::new(
    "domain",
    Kind::Text,
    Unset::Absent("example.org"),
    "What follows the names of Slurm's nodes in the names of hosts, so that the page of nodes shows Slurm's state of each host. Default: \
     nothing.",
);

/// The most seconds that one command may be given.
const LONGEST_TIMEOUT: u64 = 600;

/// The time of one command.
pub const TIMEOUT: Key = Key::new(
    "timeout_seconds",
    Kind::Seconds(1, LONGEST_TIMEOUT),
    Unset::Default("5"),
    "How long one command may take, in seconds.",
);

/// The command that tells of nodes and partitions.
pub const SCONTROL: Key = Key::new("scontrol", Kind::Command, Unset::Default("scontrol"), PROGRAMS);

/// The command that tells of the scheduler.
pub const SDIAG: Key = Key::new("sdiag", Kind::Command, Unset::Default("sdiag"), PROGRAMS);

/// The command that tells of the jobs.
pub const SQUEUE: Key = Key::new("squeue", Kind::Command, Unset::Default("squeue"), PROGRAMS);

const PROGRAMS: &str = "The programs, with first arguments; found on PATH unless a path is given.";

/// `[slurm]`, or the options of the sensor.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's name; `None` for its own.
    pub cluster: Option<String>,
    /// The least interval between two questions for the jobs, in seconds; 60 by default.
    pub jobs_interval: u64,
    /// The most accounts that are counted apart; 100 by default.
    pub accounts: usize,
    /// The most nodes of which each has points; 2000 by default.
    pub nodes: usize,
    /// What follows the name of a node in that of its host.
    pub domain: Option<String>,
    /// The time limit of one command; 5 s by default.
    pub timeout: Duration,
    /// The command that tells of nodes and partitions.
    pub scontrol: Program,
    /// The command that tells of the scheduler.
    pub sdiag: Program,
    /// The command that tells of jobs.
    pub squeue: Program,
}

/// The times of collect-slurm's runs in `[slurm]`.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The deadline of a run, in seconds; 50 by default.
    pub deadline_seconds: u64,
    /// The interval between two runs, in seconds; 60 by default.
    pub interval_seconds: u64,
}

impl Times {
    /// Reads `[slurm]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            deadline_seconds: values.number("deadline_seconds")?,
            interval_seconds: values.number("interval_seconds")?,
        })
    }
}

impl Config {
    /// Reads `[slurm]`, or a section with the same options.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            cluster: values.text("cluster")?,
            jobs_interval: values.number("jobs_interval")?,
            accounts: usize::try_from(values.number("accounts")?)?,
            nodes: usize::try_from(values.number("nodes")?)?,
            domain: values.text("domain")?,
            timeout: Duration::from_secs(values.number("timeout_seconds")?),
            scontrol: values.command("scontrol")?,
            sdiag: values.command("sdiag")?,
            squeue: values.command("squeue")?,
        })
    }
}

/// What Slurm answered. A part that did not come is `None`.
#[derive(Debug, Default)]
pub struct Answer {
    /// The cluster's name; `None` if the config has none and Slurm never told it.
    pub cluster: Option<String>,
    /// The health of the scheduler.
    pub diag: Option<Diag>,
    /// The nodes, in Slurm's order.
    pub nodes: Option<Vec<Node>>,
    /// The partitions by name.
    pub partitions: Option<BTreeMap<String, Partition>>,
    /// The jobs; also `None` in a run in which it was not their turn.
    pub jobs: Option<Jobs>,
}

impl Answer {
    /// Whether slurmctld answered at least one question.
    pub fn is_alive(&self) -> bool {
        self.diag.is_some() || self.nodes.is_some() || self.partitions.is_some() || self.jobs.is_some()
    }
}

/// Asks Slurm, at most until `until`. `now` is the time of the run's slot in unix seconds, by which the jobs have their turn.
///
/// A part that does not come is missing in the answer and named in the problems.
pub fn collect(config: &Config, memory: &mut Memory, now: i64, until: Instant) -> (Answer, Vec<Problem>) {
    let client = Client { config, until };
    let mut answer = Answer::default();
    let mut problems = Vec::new();
    match client.diag() {
        Ok(diag) => answer.diag = Some(diag),
        Err(failure) if failure.is_of_all() => {
            answer.cluster = config.cluster.clone().or_else(|| memory.cluster.clone());
            let missing = if memory.cluster.is_none() && config.cluster.is_none() {
                "nothing is known of the cluster, not even its name"
            } else {
                "nothing is known of the cluster in this run"
            };
            let problem = Problem::of_source(SLURM, format!("{failure}; {missing}"));
            return (answer, vec![problem.asked_of(SLURM, true)]);
        }
        Err(failure) => problems.push(part("scheduler", &failure, "its health is missing")),
    }
    answer.cluster = client.cluster(memory, &mut problems);
    match client.nodes() {
        Ok(nodes) => answer.nodes = Some(nodes),
        Err(failure) => problems.push(part("nodes", &failure, "nodes, CPUs, memory and GPUs are missing")),
    }
    match client.partitions() {
        Ok(partitions) => answer.partitions = Some(partitions),
        Err(failure) => problems.push(part("partitions", &failure, "their states are missing")),
    }
    if memory.is_turn(config.jobs_interval, now) {
        let began = Instant::now();
        let asked = client.jobs();
        memory.asked(now, began.elapsed());
        match asked.and_then(|jobs| confirm(jobs, answer.diag.as_ref(), memory)) {
            Ok(Some(jobs)) => answer.jobs = Some(jobs),
            Ok(None) => problems.push(Problem::unasked(subject("jobs"))),
            Err(failure) => problems.push(part("jobs", &failure, "jobs are missing")),
        }
    } else {
        problems.push(Problem::unasked(subject("jobs")));
    }
    (answer, problems)
}

/// The source, of which the others are parts.
const SLURM: &str = "slurm";

fn subject(part: &str) -> Subject {
    Subject::Source(format!("{SLURM} {part}"))
}

/// Returns the problem of one part.
fn part(name: &str, failure: &Failure, missing: &str) -> Problem {
    Problem::new(subject(name), format!("{failure}; {missing}")).asked_of(SLURM, false)
}

/// Returns the jobs, if the scheduler does not contradict that there are none. slurmctld counts the jobs of `sdiag` every 30 s
/// only, so one contradiction is no failure yet: the jobs are asked for again in the next run.
fn confirm(jobs: Jobs, diag: Option<&Diag>, memory: &mut Memory) -> Result<Option<Jobs>, Failure> {
    let known = match diag {
        _ if !jobs.is_empty() => Some(0),
        Some(diag) => Some(diag.jobs()),
        None => None,
    };
    let was_doubted = std::mem::take(&mut memory.is_doubted);
    match known {
        Some(0) => Ok(Some(jobs)),
        Some(known) if was_doubted => Err(Failure::Other(format!(
            "squeue lists no job, and slurmctld counts {known}; PrivateData in slurm.conf may hide other users' jobs: run the \
             program as an operator of Slurm"
        ))),
        Some(_) => {
            memory.is_doubted = true;
            memory.jobs_asked = None;
            Ok(None)
        }
        None => Err(Failure::Other("squeue lists no job, which only sdiag can confirm".into())),
    }
}

/// Asks every question, for `--check`; returns a line for each.
pub fn check(config: &Config, until: Instant) -> Vec<(String, Result<String, String>)> {
    let (answer, problems) = collect(config, &mut Memory::default(), 0, until);
    let mut lines = Vec::new();
    if let (Some(cluster), true) = (&answer.cluster, answer.is_alive()) {
        lines.push(("slurm".to_string(), Ok(format!("cluster {cluster}"))));
    }
    let mut told = |name: &str, text: Option<String>| {
        lines.extend(text.map(|text| (format!("slurm {name}"), Ok(text))));
    };
    told("scheduler", answer.diag.as_ref().map(|diag| format!("{} values", diag.values.len())));
    told("nodes", answer.nodes.as_ref().map(|nodes| format!("{} nodes", nodes.len())));
    told("partitions", answer.partitions.as_ref().map(|partitions| format!("{} partitions", partitions.len())));
    told("jobs", answer.jobs.as_ref().map(|jobs| format!("{} jobs", jobs.values().sum::<i64>())));
    lines.extend(problems.into_iter().map(|problem| (problem.subject.to_string(), Err(problem.message))));
    lines
}
