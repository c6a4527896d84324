//! Runs Slurm's commands within their time, and tells their failures apart.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::diag::Diag;
use super::memory::Memory;
use super::node::Node;
use super::partition::Partition;
use super::queue::{self, Jobs};
use super::{Config, SLURM, diag, node, partition, subject};
use crate::config::Program;
use crate::os::command::{self, Failure as Ended};
use crate::problem::Problem;
use crate::text::quote_ends;

/// The longest line, or record, of an answer, in bytes.
const LONGEST: usize = 1 << 20;

/// How long `scontrol ping` may take. It answers at once where slurmctld is dead, and hangs where it hangs.
const PING: Duration = Duration::from_secs(2);

/// Variables that change what the commands ask, or whom: they belong to a person's shell, not to a monitor. With SQUEUE_PRIORITY a
/// job counts once for each of its partitions, with SQUEUE_SIBLING or SQUEUE_FEDERATION those of other clusters count too.
const VARIABLES: [&str; 19] = [
    "SCONTROL_FEDERATION",
    "SCONTROL_FUTURE",
    "SLURM_CLUSTERS",
    "SLURM_TIME_FORMAT",
    "SQUEUE_ACCOUNT",
    "SQUEUE_CLUSTERS",
    "SQUEUE_FEDERATION",
    "SQUEUE_JOBS",
    "SQUEUE_LICENSES",
    "SQUEUE_NAMES",
    "SQUEUE_PARTITION",
    "SQUEUE_PRIORITY",
    "SQUEUE_QOS",
    "SQUEUE_RESERVATION",
    "SQUEUE_SIBLING",
    "SQUEUE_SORT",
    "SQUEUE_STATES",
    "SQUEUE_USERS",
    "SINFO_PARTITION",
];

/// Why a question was not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// A command, by its key in the config, is not there.
    Missing(String, String),
    /// Slurm's own config was not found; the text is the command's.
    Unconfigured(String),
    /// slurmctld does not run, or cannot be reached; the text is the command's.
    Down(String),
    /// slurmctld took the connection and gave no answer for this long.
    Hung(Duration),
    /// Everything else, in words.
    Other(String),
}

impl Failure {
    /// Whether no other question would be answered either.
    pub(super) fn is_of_all(&self) -> bool {
        !matches!(self, Self::Other(_) | Self::Missing(..))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(program, key) => {
                write!(
                    out,
                    "{program} was not found on PATH; install Slurm's commands, or say where they are: [slurm] {key}"
                )
            }
            Self::Unconfigured(text) => {
                write!(
                    out,
                    "Slurm's commands find no config: {}; is slurm.conf there, or SLURM_CONF set?",
                    quote_ends(text)
                )
            }
            Self::Down(text) => write!(out, "slurmctld is down, or cannot be reached: {}", quote_ends(text)),
            Self::Hung(limit) if limit.as_millis() < 50 => write!(out, "no time was left in this run"),
            Self::Hung(limit) => write!(
                out,
                "slurmctld gave no answer in {:.1} s; it is stopped, hung or overloaded, or a firewall drops what is sent",
                limit.as_secs_f64()
            ),
            Self::Other(text) => out.write_str(text),
        }
    }
}

/// Asks questions within the time limits.
pub(super) struct Client<'a> {
    pub(super) config: &'a Config,
    pub(super) until: Instant,
}

impl Client<'_> {
    /// Returns the health of the scheduler.
    pub(super) fn diag(&self) -> Result<Diag, Failure> {
        let text = self.text("sdiag", &self.config.sdiag, &[])?;
        diag::parse(&text).map_err(|error| Failure::Other(format!("{} {error:#}", self.config.sdiag.shown)))
    }

    /// Returns the nodes.
    pub(super) fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let mut nodes = Vec::new();
        let arguments = ["-a", "-o", "-d", "show", "node"];
        self.pieces("scontrol", &self.config.scontrol, &arguments, b'\n', |line| {
            nodes.extend(node::parse(&String::from_utf8_lossy(line))?);
            Ok(())
        })?;
        if nodes.is_empty() {
            return Err(Failure::Other(format!("{} lists no node", self.config.scontrol.shown)));
        }
        Ok(nodes)
    }

    /// Returns the partitions by name.
    pub(super) fn partitions(&self) -> Result<BTreeMap<String, Partition>, Failure> {
        let mut partitions = BTreeMap::new();
        let arguments = ["-a", "-o", "show", "partition"];
        self.pieces("scontrol", &self.config.scontrol, &arguments, b'\n', |line| {
            partitions.extend(partition::parse(&String::from_utf8_lossy(line))?);
            Ok(())
        })?;
        if partitions.is_empty() {
            return Err(Failure::Other(format!("{} lists no partition", self.config.scontrol.shown)));
        }
        Ok(partitions)
    }

    /// Returns the jobs by group.
    pub(super) fn jobs(&self) -> Result<Jobs, Failure> {
        let mut counter = queue::Counter::default();
        let arguments = ["-h", "-a", "-r", "-o", queue::FORMAT];
        self.pieces("squeue", &self.config.squeue, &arguments, queue::END, |record| counter.add(record))?;
        counter.finish().map_err(|error| Failure::Other(format!("{} {error:#}", self.config.squeue.shown)))
    }

    /// Returns the cluster's name: the config's, the remembered one, or Slurm's own, which is then remembered.
    pub(super) fn cluster(&self, memory: &mut Memory, problems: &mut Vec<Problem>) -> Option<String> {
        if let Some(name) = self.config.cluster.as_ref().or(memory.cluster.as_ref()) {
            return Some(name.clone());
        }
        let asked = self.text("scontrol", &self.config.scontrol, &["show", "config"]);
        let named = asked.and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("ClusterName"));
            let name = line.and_then(|line| line.split_once('=')).map(|(_, name)| name.trim().to_string());
            name.filter(|name| !name.is_empty()).ok_or_else(|| Failure::Other("scontrol tells no ClusterName".into()))
        });
        match named {
            Ok(name) => memory.cluster = Some(name),
            Err(failure) => {
                let remedy = "nothing is sent without the cluster's name; set [slurm] cluster";
                problems.push(Problem::new(subject("cluster"), format!("{failure}; {remedy}")).asked_of(SLURM, false));
            }
        }
        memory.cluster.clone()
    }

    /// Runs a command and returns its whole answer, which is short.
    fn text(&self, key: &str, program: &Program, arguments: &[&str]) -> Result<String, Failure> {
        let mut text = Vec::new();
        self.run(key, program, arguments, |piece| {
            anyhow::ensure!(text.len() + piece.len() <= LONGEST, "printed more than {LONGEST} bytes");
            text.extend_from_slice(piece);
            Ok(())
        })?;
        let text = String::from_utf8_lossy(&text).into_owned();
        // A number or a name that is cut is another one.
        match text.lines().next_back().filter(|_| !text.ends_with('\n')) {
            Some(last) => Err(Failure::Other(format!("{} broke off: {}", program.shown, quote_ends(last)))),
            None => Ok(text),
        }
    }

    /// Runs a command and passes each part of its answer that ends with `end` to `each`.
    fn pieces(
        &self,
        key: &str,
        program: &Program,
        arguments: &[&str],
        end: u8,
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let mut pieces = Pieces { end, rest: Vec::new() };
        self.run(key, program, arguments, |piece| pieces.feed(piece, &mut each))?;
        pieces.finish().map_err(|error| Failure::Other(format!("{} {error:#}", program.shown)))
    }

    /// Runs a command, and passes its answer to `read` as it arrives.
    fn run(
        &self,
        key: &str,
        program: &Program,
        arguments: &[&str],
        read: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let mut command = super::super::command(program);
        command.args(arguments).env("LC_ALL", "C");
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let deadline = self.until.min(Instant::now() + self.config.timeout);
        let name = || program.shown.clone();
        let ended = command::exchange(&mut command, &[], deadline, read).map_err(|failure| match failure {
            Ended::Start(error) if error.kind() == std::io::ErrorKind::NotFound => Failure::Missing(name(), key.into()),
            Ended::TimedOut(limit, printed) => self.hung(limit, printed),
            other => Failure::Other(format!("{} {other}", name())),
        })?;
        let printed = [&ended.stderr, &ended.stdout].map(|text| String::from_utf8_lossy(text).trim().to_string());
        let [stderr, stdout] = &printed;
        match (ended.status.success(), stderr.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => {
                Err(Failure::Other(format!("{} complains beside its answer: {}", name(), quote_ends(stderr))))
            }
            (false, _) => {
                let said = if stderr.is_empty() { stdout } else { stderr };
                Err(explain(said, self.config.timeout).unwrap_or_else(|| {
                    Failure::Other(format!("{} ended with {}: {}", name(), ended.status, quote_ends(said)))
                }))
            }
        }
    }

    /// Returns why a command gave no answer in time: by what it printed meanwhile, else by what `scontrol ping` says of slurmctld.
    fn hung(&self, limit: Duration, printed: String) -> Failure {
        if let Some(failure) = explain(&printed, limit) {
            return failure;
        }
        let mut command = super::super::command(&self.config.scontrol);
        command.arg("ping").env("LC_ALL", "C");
        let ping = command::exchange(&mut command, &[], self.until.min(Instant::now() + PING), |_| Ok(()));
        // The exit code of a ping that finds nobody is 0 in 20.11 and 1 later.
        let said = ping.map(|ended| String::from_utf8_lossy(&ended.stdout).into_owned()).unwrap_or_default();
        let controllers: Vec<_> = said.lines().filter(|line| line.starts_with("Slurmctld(")).collect();
        match controllers.as_slice() {
            [first, ..] if controllers.iter().all(|line| line.trim_end().ends_with("DOWN")) => {
                Failure::Down((*first).into())
            }
            _ => Failure::Hung(limit),
        }
    }
}

/// Returns the failure that an error message of Slurm's commands tells; `None` for every other message.
pub(super) fn explain(printed: &str, limit: Duration) -> Option<Failure> {
    let says = |words: &[&str]| words.iter().any(|word| printed.contains(word));
    if says(&["cannot stat file", "Unable to process configuration", "configuration source"]) {
        Some(Failure::Unconfigured(printed.into()))
    } else if says(&["Unable to contact slurm controller"]) {
        Some(Failure::Down(printed.into()))
    } else if says(&["Socket timed out on send/recv"]) {
        Some(Failure::Hung(limit))
    } else {
        None
    }
}

/// Cuts an answer into parts while it arrives.
struct Pieces {
    end: u8,
    rest: Vec<u8>,
}

impl Pieces {
    fn feed(&mut self, mut piece: &[u8], each: &mut impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        while let Some(at) = piece.iter().position(|byte| *byte == self.end) {
            if self.rest.is_empty() {
                each(&piece[..at])?;
            } else {
                self.rest.extend_from_slice(&piece[..at]);
                each(&std::mem::take(&mut self.rest))?;
            }
            piece = &piece[at + 1..];
        }
        anyhow::ensure!(self.rest.len() + piece.len() <= LONGEST, "printed a line of more than {LONGEST} bytes");
        self.rest.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let rest = self.rest.trim_ascii();
        anyhow::ensure!(rest.is_empty(), "broke off: {}", quote_ends(&String::from_utf8_lossy(rest)));
        Ok(())
    }
}
