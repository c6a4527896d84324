//! The flags of every cron program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::model::parse_time;

/// The flags that every cron program has.
#[derive(Args, Debug)]
pub struct Common {
    /// Read this config instead of ./config.cfg or /etc/gridmon/config.cfg
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Do everything but the last step: print the points, sorted, instead of sending them
    #[arg(short = 'n', long, conflicts_with_all = ["check", "list", "setup"])]
    pub dry_run: bool,
    /// How --dry-run prints them: "path value timestamp", line protocol, or a JSON object a line
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "carbon", requires = "dry_run")]
    pub format: Format,
    /// The run's clock: unix seconds, RFC 3339, or "YYYY-mm-dd HH:MM:SS" in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub now: Option<i64>,
    /// Validate the config and reach every source and sink, without writing
    #[arg(long, conflicts_with_all = ["list", "setup"])]
    pub check: bool,
    /// Create what the sinks need and lack, such as InfluxDB's database and retention policies; change nothing that exists
    #[arg(long, conflicts_with = "list")]
    pub setup: bool,
    /// Print the measurements that this program sends
    #[arg(long)]
    pub list: bool,
    /// Tell on stderr what happens
    #[arg(short, long)]
    pub verbose: bool,
}

/// How `--dry-run` prints points. Its variants carry no documentation, since `--help` would show it.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum Format {
    Carbon,
    Influx,
    Json,
}

/// What a run does with its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It delivers them and keeps its state.
    Live,
    /// It prints them and writes nothing.
    DryRun,
    /// It collects none; it reaches every source and sink.
    Check,
    /// It collects none; it creates what the sinks need and lack.
    Setup,
}

impl Common {
    /// The mode that the flags ask for.
    pub fn mode(&self) -> Mode {
        match (self.dry_run, self.check, self.setup) {
            (true, ..) => Mode::DryRun,
            (_, true, _) => Mode::Check,
            (.., true) => Mode::Setup,
            _ => Mode::Live,
        }
    }
}
