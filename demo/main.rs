//! `make demo`: sends a day of a simulated grid, ending now, minute by minute through the real `collect-grid` into the
//! embedded store; then three times as long of PanDA, a year of nights of backups, and a day of a Slurm cluster.
//!
//! The program has two roles. Under its own name it is the player: it creates a folder with a config, a state directory
//! and a `bin` with links to itself called `condor_q`, `condor_status`, `cloud_status` and `demo-ssh`, and runs `collect-grid
//! --now` for one minute after the other. Under one of those names it stands in for that command, or for ssh.

mod backups;
mod grid;
mod libvirt;
mod nodes;
mod panda;
mod player;
#[cfg(test)]
mod quiet;
mod stand_in;

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use gridmon::model::parse_time;
use jiff::Timestamp;

/// The time for which the stand-ins answer, in unix seconds; the current time if it is not set.
const TIME: &str = "GRIDMON_DEMO_TIME";

/// Plays a day of a made-up grid that ends now, through collect-grid into the embedded store.
#[derive(Parser)]
#[command(name = "gridmon-demo", version, max_term_width = 100)]
struct Arguments {
    /// Where config, state and commands of the demo go; what an earlier demo made there is removed first
    #[arg(long, value_name = "FOLDER", default_value = "target/demo")]
    folder: std::path::PathBuf,
    /// How many hours are played
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    /// When the last of them ends, instead of now: unix seconds, RFC 3339, or "YYYY-mm-dd HH:MM:SS" in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
    /// How long it may take, in seconds; when every minute would take longer, the older hours are played more coarsely
    #[arg(long, value_name = "N", default_value_t = 50)]
    seconds: u32,
}

fn main() -> ExitCode {
    let mut arguments = env::args();
    let name = arguments.next().unwrap_or_default();
    let name = Path::new(&name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(program) = stand_in::PROGRAMS.into_iter().find(|program| *program == name) {
        return stand_in(program, &arguments.collect::<Vec<_>>());
    }
    if name == backups::SSH {
        return backups::stand_in(&arguments.collect::<Vec<_>>());
    }
    match player::play(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gridmon-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn stand_in(program: &str, arguments: &[String]) -> ExitCode {
    let time = env::var(TIME).ok().and_then(|time| time.parse().ok());
    let time: i64 = time.unwrap_or_else(|| Timestamp::now().as_second());
    let answer = stand_in::answer(program, arguments, &grid::Grid::at(time.div_euclid(60)));
    let _ = io::stderr().write_all(answer.stderr.as_bytes());
    // If the reader has closed the pipe, it no longer wants the answer.
    let _ = io::stdout().write_all(answer.stdout.as_bytes());
    ExitCode::from(answer.code)
}
