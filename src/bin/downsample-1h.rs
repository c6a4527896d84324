//! Folds raw points into hourly points.

use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program};
use gridmon::model::Tier;
use gridmon::operator::downsample::{self, ByHand};
use gridmon::setup::CATALOG;

static PROGRAM: Program = Program {
    name: "downsample-1h",
    interval_seconds: 3600,
    deadline_seconds: 240,
    sources: &["embedded", "influxdb"],
    measurements: CATALOG.all(),
};

/// Folds raw points into hourly ones, in the store that they are in. Meant for cron, every hour.
///
/// Folds the hours that have ended and are new, or that have got late points since. Prints nothing when all is well. Exit code
/// 0: all is folded; 1: something is not, and a line says what; 2: wrong flags or config.
#[derive(Parser)]
#[command(name = "downsample-1h", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    by_hand: ByHand,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    downsample::run(&PROGRAM, Tier::Hour, &args.common, &args.by_hand)
}
