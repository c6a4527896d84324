//! The flags of `gridmon-status`, and which command each of them runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::error::ErrorKind as Usage;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::spool_commands::{Discard, NAME, complain, flush, look, show};
use super::status::{Level, Limits, Status, Thresholds, plugin_line};
use super::store::{self, StoreCommand};
use super::{backups, doctor, graph, meaning, problems};
use crate::config::is_closed;
use crate::frame::{self, FirstSignal, Watchdog, print, print_in_time};
use crate::model::parse_time;
use crate::os::work::catch;
use crate::setup::Config;

/// Shows what waits in the spool, what ran and what fails; sends, prints and discards batches by hand.
///
/// Without a subcommand it prints the status, and changes nothing. Exit code 0: told; 1: something could not be read, sent
/// or discarded, and a line says what; 2: wrong flags or config. With --nagios those of a plugin: 0 OK, 1 WARNING, 2
/// CRITICAL, 3 UNKNOWN.
#[derive(Parser)]
#[command(name = "gridmon-status", version, max_term_width = 100)]
struct Arguments {
    /// Read this config instead of ./config.cfg or /etc/gridmon/config.cfg
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The clock that ages are counted from: unix seconds, RFC 3339, or "YYYY-mm-dd HH:MM:SS" in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true, global = true)]
    now: Option<i64>,
    /// Print tables, or one JSON object
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "nagios")]
    format: Option<Format>,
    /// How many of the last runs of each program are told, up to 100 [default: 5]
    #[arg(long, value_name = "N", conflicts_with = "nagios")]
    runs: Option<usize>,
    #[command(flatten)]
    monitor: Monitor,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// For a monitor. A value above a threshold counts; 0 minds everything.
#[derive(Args)]
#[command(next_help_heading = "For Nagios and Icinga")]
struct Monitor {
    /// Print one line with perfdata, and exit with the code of a plugin
    #[arg(long)]
    nagios: bool,
    /// WARNING when the oldest batch that waits for a sink is older [default: 300]
    #[arg(long, value_name = "SECONDS", requires = "nagios")]
    warn_age: Option<i64>,
    /// CRITICAL when it is older than this [default: 3600]
    #[arg(long, value_name = "SECONDS", requires = "nagios")]
    crit_age: Option<i64>,
    /// WARNING when more points wait for a sink
    #[arg(long, value_name = "N", requires = "nagios")]
    warn_points: Option<i64>,
    /// CRITICAL when more than this wait
    #[arg(long, value_name = "N", requires = "nagios")]
    crit_points: Option<i64>,
    /// WARNING when a source or sink fails for longer [default: at once]
    #[arg(long, value_name = "SECONDS", requires = "nagios")]
    warn_failing: Option<i64>,
    /// CRITICAL when it fails for longer than this
    #[arg(long, value_name = "SECONDS", requires = "nagios")]
    crit_failing: Option<i64>,
    /// WARNING when the last run of a program is older; may be repeated. Without it: when two runs are missing
    #[arg(long, value_name = "[PROGRAM=]SECONDS", value_parser = run_age, requires = "nagios")]
    warn_run_age: Vec<(String, i64)>,
    /// CRITICAL when it is older than this; may be repeated. Without it: when five runs are missing
    #[arg(long, value_name = "[PROGRAM=]SECONDS", value_parser = run_age, requires = "nagios")]
    crit_run_age: Vec<(String, i64)>,
}

#[derive(Subcommand)]
enum Command {
    /// Send now what waits, oldest first; exit code 1 when something is left, with what and why
    Flush,
    /// Print a batch, header and points, as text; without BATCH list them all
    Show {
        /// Its name, or a part that no other name has; those in bad/ too
        batch: Option<String>,
    },
    /// Put batches aside into bad/, so that they are not sent; asks first
    Discard(Discard),
    /// Print what the grids of the embedded store are like now
    Grid {
        /// Only this one
        grid: Option<String>,
        /// What has been silent for over an hour too
        #[arg(long, conflicts_with = "nagios")]
        all: bool,
        /// A line and an exit code for Nagios and Icinga: CRITICAL for what is down, WARNING for what is worse than usual
        #[arg(long)]
        nagios: bool,
    },
    /// Print what is wrong now, by the rules of the dashboard, in all systems
    Problems {
        /// Only in this one: grids, suspicious, backups, instances
        system: Option<String>,
        /// A line and an exit code for Nagios and Icinga: CRITICAL for what is down, WARNING for what is worse than usual
        #[arg(long)]
        nagios: bool,
    },
    /// Print what the last run of collect-backups said of every set of backups
    Backups {
        /// Only those of this hub
        hub: Option<String>,
        /// A line and an exit code for Nagios and Icinga: CRITICAL for an alarm, WARNING for a warning
        #[arg(long)]
        nagios: bool,
        /// Print every backup of a set that was ever seen on a node, the newest first, also those that are gone
        #[arg(long, value_name = "NODE/SET", conflicts_with = "nagios")]
        history: Option<String>,
    },
    Doctor(doctor::Doctor),
    /// Tell what a number is: its unit, source and newest value; without NAME list every measurement
    Explain {
        /// A Carbon path, a measurement, or a measurement with tags: grid_cloud,cloud=cc-east
        name: Option<String>,
    },
    /// Draw a graph of an instance from its file in rrdtool's format
    Graph(graph::Graph),
    /// Tell how large the embedded store is; check, export, import and vacuum it
    Store {
        #[command(subcommand)]
        command: Option<StoreCommand>,
    },
}

impl Command {
    /// Whether it may take any time: it asks the operator, works through much data, or waits for a server. The operator
    /// can interrupt it.
    fn takes_any_time(&self) -> bool {
        match self {
            Self::Flush | Self::Discard(_) | Self::Doctor(_) | Self::Store { command: Some(_) } => true,
            Self::Show { .. }
            | Self::Grid { .. }
            | Self::Problems { .. }
            | Self::Backups { .. }
            | Self::Explain { .. }
            | Self::Graph(_)
            | Self::Store { command: None } => false,
        }
    }
}

/// Parses `[PROGRAM=]SECONDS`.
fn run_age(text: &str) -> Result<(String, i64)> {
    let (program, seconds) = text.rsplit_once('=').unwrap_or(("", text));
    Ok((program.into(), seconds.parse().map_err(|_| anyhow!("give SECONDS or PROGRAM=SECONDS"))?))
}

impl Arguments {
    /// Whether a monitor reads what is printed.
    fn is_for_monitor(&self) -> bool {
        let of_command = matches!(
            self.command,
            Some(
                Command::Backups { nagios: true, .. }
                    | Command::Grid { nagios: true, .. }
                    | Command::Problems { nagios: true, .. }
            )
        );
        self.monitor.nagios || of_command
    }
}

impl Monitor {
    fn thresholds(&self) -> Thresholds {
        let mut run_age = BTreeMap::<String, Limits>::new();
        for (program, seconds) in &self.warn_run_age {
            run_age.entry(program.clone()).or_default().warn = Some(*seconds);
        }
        for (program, seconds) in &self.crit_run_age {
            run_age.entry(program.clone()).or_default().crit = Some(*seconds);
        }
        // If one of the two is given, the other has no default.
        let age = match (self.warn_age, self.crit_age) {
            (None, None) => Limits { warn: Some(300), crit: Some(3600) },
            (warn, crit) => Limits { warn, crit },
        };
        // With -1, a failure counts in its first second.
        let at_once = if self.crit_failing.is_none() { Some(-1) } else { None };
        Thresholds {
            age,
            points: Limits { warn: self.warn_points, crit: self.crit_points },
            failing: Limits { warn: self.warn_failing.or(at_once), crit: self.crit_failing },
            run_age,
        }
    }
}

/// How long looking may take, and reading the config before any other work.
const LOOKING: Duration = Duration::from_secs(60);

/// How long looking may take for a monitor, whose patience ends after 10 s.
const FOR_MONITOR: Duration = Duration::from_secs(8);

/// Runs `gridmon-status` with the flags of the process; returns its exit code.
pub fn run() -> ExitCode {
    let for_monitor = std::env::args().any(|argument| argument == "--nagios");
    let watchdog = frame::begin(NAME, FirstSignal::Default, if for_monitor { FOR_MONITOR } else { LOOKING });
    if for_monitor {
        watchdog.speaks_as_plugin(|message| plugin_line(Level::Unknown, message, ""), Level::Unknown.code());
    }
    #[cfg(feature = "manuals")]
    frame::write_manual(Arguments::command());
    let arguments = match Arguments::try_parse().and_then(reject_status_flags) {
        Ok(arguments) => arguments,
        // A monitor takes exit code 2 for CRITICAL, and reads only standard output.
        Err(error) if for_monitor && error.use_stderr() => {
            let message = error.to_string();
            return print_unknown(message.lines().next().unwrap_or_default().trim_start_matches("error: "));
        }
        Err(error) => {
            // Help may be read at any pace.
            watchdog.expect_end(None);
            error.exit()
        }
    };
    catch(|| execute(&arguments, watchdog)).unwrap_or_else(|bug| {
        if for_monitor {
            return print_unknown(&bug.to_string());
        }
        complain(&bug.to_string());
        ExitCode::FAILURE
    })
}

fn execute(arguments: &Arguments, watchdog: &Watchdog) -> ExitCode {
    watchdog.names(Some("reading the config"));
    let config = match (Config::load(arguments.config.as_deref()), &arguments.command) {
        (Ok(config), _) => config,
        (Err(error), _) if arguments.is_for_monitor() => return print_unknown(&format!("{error:#}")),
        // These two say something without it.
        (Err(error), Some(Command::Doctor(doctor))) => {
            watchdog.expect_end(None);
            return doctor.run(Err(error), arguments.now);
        }
        (Err(error), Some(Command::Explain { name })) if is_closed(&error) => {
            return meaning::run_without(&error, name.as_deref()).unwrap_or_else(|error| {
                complain(&format!("{error:#}"));
                ExitCode::FAILURE
            });
        }
        (Err(error), _) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    let now = arguments.now.unwrap_or_else(|| jiff::Timestamp::now().as_second());
    watchdog.names(Some("reading the state directory or the store"));
    if arguments.command.as_ref().is_some_and(Command::takes_any_time) {
        watchdog.expect_end(None);
    }
    let done = match &arguments.command {
        None => status(arguments, &config),
        Some(Command::Flush) => flush(&config),
        Some(Command::Show { batch }) => show(&config, batch.as_deref()),
        Some(Command::Discard(discard)) => discard.run(&config, now),
        Some(Command::Grid { grid, nagios: true, .. }) => {
            problems::run(&config, now, Some("grids"), grid.as_deref(), true)
        }
        Some(Command::Grid { grid, all, .. }) => store::grid(&config, now, grid.as_deref(), *all),
        Some(Command::Problems { system, nagios }) => problems::run(&config, now, system.as_deref(), None, *nagios),
        Some(Command::Backups { hub, history: Some(of), .. }) => backups::history(&config, hub.as_deref(), of),
        Some(Command::Backups { hub, nagios, .. }) => backups::run(&config, now, hub.as_deref(), *nagios),
        Some(Command::Doctor(doctor)) => Ok(doctor.run(Ok(&config), arguments.now)),
        Some(Command::Explain { name }) => meaning::run(&config, now, name.as_deref()),
        Some(Command::Graph(graph)) => graph.run(&config, now),
        Some(Command::Store { command: None }) => store::status(&config, now),
        Some(Command::Store { command: Some(command) }) => command.run(&config, now),
    };
    match done {
        Ok(code) => code,
        Err(error) if arguments.is_for_monitor() => print_unknown(&format!("{error:#}")),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Refuses flags that a subcommand would ignore.
fn reject_status_flags(arguments: Arguments) -> Result<Arguments, clap::Error> {
    let status = arguments.monitor.nagios || arguments.format.is_some() || arguments.runs.is_some();
    if status && arguments.command.is_some() {
        let message = "--format, --runs and --nagios are for the status, without a subcommand";
        return Err(Arguments::command().error(Usage::ArgumentConflict, message));
    }
    Ok(arguments)
}

fn print_unknown(message: &str) -> ExitCode {
    print_in_time(&plugin_line(Level::Unknown, message, ""));
    ExitCode::from(Level::Unknown.code())
}

fn status(arguments: &Arguments, config: &Config) -> Result<ExitCode> {
    let status = Status::gather(look(config, arguments.now)?);
    if arguments.monitor.nagios {
        let (line, level) = status.nagios(&arguments.monitor.thresholds());
        print_in_time(&line);
        return Ok(ExitCode::from(level.code()));
    }
    let runs = arguments.runs.unwrap_or(5);
    let text = match arguments.format.unwrap_or(Format::Text) {
        Format::Text => status.text(runs),
        Format::Json => status.json(runs)?,
    };
    let printed = print(&text);
    status.problems.iter().for_each(|problem| complain(problem));
    Ok(if status.problems.is_empty() { printed } else { ExitCode::FAILURE })
}
