//! Serves the dashboard: every grid at a glance, any number one click from its plot.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use gridmon::dashboard::{Dashboard, serve};
use gridmon::os::files::report_size_limit;
use gridmon::query::Read;
use gridmon::setup::{self, CATALOG, Config};
use gridmon::text::one_line;

/// Serves the dashboard: every grid at a glance, any number one click from its plot. A service; it reads and never writes.
///
/// Reads graphite-web when its address is in the config, else the embedded store. Exit code 0: it was told to end; 1: it
/// could not listen; 2: wrong flags or config.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// Read this config instead of ./config.cfg or /etc/gridmon/config.cfg
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here instead of where the config says; port 0 takes any that is free
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
}

fn main() -> ExitCode {
    report_size_limit();
    let arguments = Arguments::parse();
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    let reader = match setup::reader(&config) {
        Ok(reader) => reader,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    match run(&arguments, &config, reader) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &anyhow::Error) {
    // If standard error is closed, nobody can be told.
    let _ = writeln!(std::io::stderr(), "cloud-monitor: {}", one_line(&format!("{error:#}")));
}

fn run(arguments: &Arguments, config: &Config, reader: Box<dyn Read>) -> Result<()> {
    let listen = arguments.listen.map_or_else(|| config.dashboard.listen.clone(), |listen| listen.to_string());
    let reads = reader.describe();
    let now = Box::new(|| jiff::Timestamp::now().as_second());
    let routes = Dashboard::new(config.dashboard.clone(), setup::pages(), reader, CATALOG, now).routes();
    serve(routes, &listen, |address| {
        let _ = writeln!(std::io::stderr(), "cloud-monitor: http://{address}/ shows {reads}");
    })
}
