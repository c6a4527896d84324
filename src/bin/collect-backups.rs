//! Sends the state of backups on other machines to its sinks, and says what is wrong with them.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program};
use gridmon::monitors::backups;
use gridmon::setup::{self, Config, backups as composed};

static PROGRAM: Program = Program {
    name: composed::PROGRAM,
    interval_seconds: 3600,
    deadline_seconds: 900,
    sources: &["nodes"],
    measurements: &backups::MEASUREMENTS,
};

/// Sends the state of backups to its sinks, and says what is wrong with them. Meant for cron, every hour or every night.
///
/// Asks each node once, over ssh, for what lies below the folders of its hubs, and judges each set of backups: none, old,
/// small, shrunk and more. An alarm is said at its onset, when it is over, and again after seven days: by mail if the config
/// names a mail server, else on standard error. Prints nothing when nothing is new. Exit code 0: every node was read and all
/// was sent, with alarms or without; 1: something was not, and a line says what; 2: wrong flags or config.
#[derive(Parser)]
#[command(name = "collect-backups", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    compare: frame::Compare,
    /// Exit with 1 also while a set or node is in alarm
    #[arg(long)]
    fail_on_alarm: bool,
    /// Read the database of scm-backup-monitor, or the embedded store's history, into the history, and ask no node
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "check", "list", "setup", "compare"])]
    import: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    let alarmed = Cell::new(false);
    let collect = |run: &frame::Run<_>| match &args.import {
        Some(file) => composed::import(run, file),
        None => composed::collect(run, &alarmed),
    };
    if let Some(source) = &args.compare.compare {
        let older = |config: &Config, wanted: frame::Wanted| setup::of_backups(config, source, wanted);
        let causes = (source.as_str(), backups::scm_backup::CAUSES);
        return frame::cron_compare(&PROGRAM, &args.common, composed::load, collect, older, causes);
    }
    let code = frame::cron(&PROGRAM, &args.common, composed::load, collect, composed::check);
    if args.fail_on_alarm && alarmed.get() && code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
}
