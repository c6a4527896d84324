//! Folds hourly points into daily points.

use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, Program};
use gridmon::model::Tier;
use gridmon::operator::downsample::{self, ByHand};
use gridmon::setup::CATALOG;

static PROGRAM: Program = Program {
    name: "downsample-1d",
    interval_seconds: 86_400,
    deadline_seconds: 240,
    sources: &["embedded", "influxdb"],
    measurements: CATALOG.all(),
};

/// Folds hourly points into daily ones, in the store that they are in. Meant for cron, every day.
///
/// Folds the hours that are still missing, then the days (UTC) that have ended and are new, or that have got late points
/// since. Prints nothing when all is well. Exit code 0: all is folded; 1: something is not, and a line says what; 2: wrong
/// flags or config.
#[derive(Parser)]
#[command(name = "downsample-1d", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
    #[command(flatten)]
    by_hand: ByHand,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    downsample::run(&PROGRAM, Tier::Day, &args.common, &args.by_hand)
}
