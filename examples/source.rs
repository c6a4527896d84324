//! The smallest program of the toolkit: how long this machine has been up, from `/proc/uptime`. Copy it to begin a new one.
//!
//! In the house its parts stand apart: the source in `src/sources/uptime.rs`, measurement and arithmetic in
//! `src/monitors/nodes/`, the measurement in `setup/`, the program in `src/bin/`. Try it without any server:
//!
//! ```sh
//! cargo run --example source -- --list
//! cargo run --example source -- --dry-run --verbose
//! ```

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use gridmon::frame::{self, CheckLine, Program, Run, Setup};
use gridmon::model::{Catalog, Collected, Declaration, Field, Fold, Measurement, Point, Tag};
use gridmon::os::files::host_name;
use gridmon::problem::{Asked, whole};
use gridmon::setup::{self, Config};

/// The source: it knows the system that it reads, and no sink.
///
/// ```text
/// $ cat /proc/uptime
/// 350735.47 234388.90
/// ```
mod uptime {
    use std::path::Path;

    use anyhow::{Context, Result, ensure};
    use gridmon::problem::Problem;
    use gridmon::text::quote;

    /// What the kernel tells.
    #[derive(Debug, PartialEq)]
    pub struct Uptime {
        /// The time since the machine was started, in seconds.
        pub seconds: f64,
    }

    /// Reads the uptime of this machine. A source that fails returns a problem, never zeros.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn collect(path: &Path) -> Result<Uptime, Problem> {
        let uptime = fetch(path).and_then(|text| parse(&text));
        uptime.map_err(|error| Problem::of_source("uptime", format!("{error:#}; the uptime is missing")))
    }

    /// The only function here that does IO.
    fn fetch(path: &Path) -> Result<String> {
        std::fs::read_to_string(path).with_context(|| path.display().to_string())
    }

    /// Reads the text of the file. It is pure, so that tests reach it with recorded and damaged texts.
    ///
    /// # Errors
    /// When it does not begin with a number of seconds.
    pub fn parse(text: &str) -> Result<Uptime> {
        let first = text.split_whitespace().next().context("the file is empty")?;
        let seconds: f64 = first.parse().with_context(|| format!("{} is not a number of seconds", quote(first)))?;
        ensure!(seconds.is_finite() && seconds >= 0.0, "{} is not a time", quote(first));
        Ok(Uptime { seconds })
    }
}

/// The measurement: declared once, checked by the compiler.
static NODE: Measurement = Measurement::new(Declaration {
    name: "node_uptime",
    meaning: "how long a machine has been up",
    tags: &[Tag::key("host")],
    fields: &[UPTIME.info()],
    carbon: "nodes.{host}.uptime_seconds",
    every: 60,
});

const UPTIME: Field<f64> =
    Field::gauge("uptime_seconds", "seconds", Fold::Last, "time since the machine was started (/proc/uptime)");

/// The arithmetic: from records to points; it does no IO and reads no clock.
fn points(time: i64, host: &str, uptime: &uptime::Uptime) -> Vec<Point> {
    vec![NODE.point(time, [host], &[UPTIME.of(uptime.seconds)])]
}

/// The program.
static PROGRAM: Program = Program {
    name: "collect-uptime",
    interval_seconds: 60,
    deadline_seconds: 50,
    sources: &["uptime"],
    measurements: &[&NODE],
};

/// Sends how long this machine has been up. Meant for cron, every minute.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: frame::Common,
}

fn main() -> ExitCode {
    let args: Args = frame::start(&PROGRAM);
    frame::cron(&PROGRAM, &args.common, load, collect, check)
}

/// In the house `setup/` knows every measurement; here the program brings its own.
fn load(path: Option<&Path>, program: &Program) -> anyhow::Result<(Config, Setup)> {
    let (config, setup) = setup::load(path, program)?;
    Ok((config, Setup { catalog: Catalog::new(PROGRAM.measurements), ..setup }))
}

const PROC: &str = "/proc/uptime";

fn collect(run: &Run<Config>) -> Collected {
    let Asked::Answered(uptime) = run.ask("uptime", || whole(uptime::collect(Path::new(PROC)))) else {
        return Collected::default();
    };
    Collected { points: points(run.time, &host_name(), &uptime), complete: vec![&NODE], ..Collected::default() }
}

fn check(_: &Config, _: std::time::Instant) -> Vec<CheckLine> {
    let uptime = uptime::collect(Path::new(PROC));
    let line = uptime.map(|uptime| format!("up for {} s", uptime.seconds)).map_err(|problem| problem.message);
    vec![("uptime".into(), line)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_answer_becomes_a_point_and_a_damaged_one_an_error() {
        let uptime = uptime::parse("350735.47 234388.90\n").unwrap();
        let lines: Vec<_> = points(7, "wn001", &uptime).iter().map(Point::line).collect();
        assert_eq!(lines, ["node_uptime,host=wn001 uptime_seconds=350735.47 7"]);
        for (text, error) in [
            ("", "the file is empty"),
            ("<html>", "\"<html>\" is not a number of seconds: invalid float literal"),
            ("-1 2", "\"-1\" is not a time"),
            ("NaN 2", "\"NaN\" is not a time"),
        ] {
            assert_eq!(format!("{:#}", uptime::parse(text).unwrap_err()), error);
        }
    }
}
