//! Serves the dashboard: every grid at a glance, any number one click from its plot.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use gridmon::dashboard::{Dashboard, serve};
use gridmon::frame::{self, FirstSignal, Watchdog};
use gridmon::query::Read;
use gridmon::setup::{self, Config, PLOTTED};

/// Serves the dashboard: every grid at a glance, any number one click from its plot. A service; it reads and never writes.
///
/// Reads graphite-web when its address is in the config, else InfluxDB when that one's is, else the embedded store. Exit
/// code 0: it was told to end; 1: it could not listen; 2: wrong flags or config.
#[derive(Parser)]
#[command(name = "cloud-monitor", version, max_term_width = 100)]
struct Arguments {
    /// Read this config instead of ./config.cfg or /etc/gridmon/config.cfg
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here instead of where the config says; port 0 takes any that is free
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
}

const NAME: &str = "cloud-monitor";

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let watchdog = frame::begin(NAME, FirstSignal::Default, START);
    let arguments: Arguments = frame::parse();
    frame::exit_code(NAME, || {
        watchdog.names(Some("reading the config"));
        let read = Config::load(arguments.config.as_deref()).and_then(|config| {
            watchdog.names(Some("opening the store and the port"));
            Ok((setup::reader(&config)?, config))
        });
        let (reader, config) = match read {
            Ok(read) => read,
            Err(error) => {
                frame::complain(NAME, &[format!("{error:#}")]);
                return ExitCode::from(2);
            }
        };
        match run(&arguments, &config, reader, watchdog) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                frame::complain(NAME, &[format!("{error:#}")]);
                ExitCode::FAILURE
            }
        }
    })
}

fn run(arguments: &Arguments, config: &Config, reader: Box<dyn Read>, watchdog: &Watchdog) -> Result<()> {
    let listen = arguments.listen.map_or_else(|| config.dashboard.listen.clone(), |listen| listen.to_string());
    let reads = reader.describe();
    let now = Box::new(|| jiff::Timestamp::now().as_second());
    let dashboard =
        Dashboard::with_rules(config.dashboard.clone(), setup::pages(), config.alarms.clone(), reader, PLOTTED, now);
    serve(&dashboard, &listen, |address| {
        frame::complain(NAME, &[format!("http://{address}/ shows {reads}")]);
        watchdog.expect_end(None);
    })
}
