//! Composes qagent: reads its config, and makes the sensors that the frame reads.

use std::path::Path;

use anyhow::Result;

use super::nodes::{Running, running};
use super::{Config, SECTIONS, sections};
use crate::config::{self, Sections, Unknown};
use crate::frame::{Daemon, GatheredSensor, Plan, Program, Tick};
use crate::monitors::nodes::{self, Moment};
use crate::os::uptime::Uptime;
use crate::sinks::qmaster;
use crate::sinks::qmaster::config::Protocol;
use crate::sources::node::Root;

/// The program.
pub static PROGRAM: Program = Program {
    name: "qagent",
    interval_seconds: 10,
    deadline_seconds: 60,
    sources: &[],
    measurements: nodes::MEASUREMENTS,
};

/// The program as a daemon, with QULo's pid file.
pub static DAEMON: Daemon = Daemon { program: PROGRAM.name, pidfile: "/run/qagent.pid", reloads: true };

/// The configs that are looked for: QULo's, and the toolkit's.
const SEARCHED: [&str; 2] = ["/etc/qulo/qagent.conf", config::SEARCHED[1]];

/// Whether a config is QULo's, by its name.
fn is_qulos(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "qagent.conf")
}

/// Opens the config.
fn open(path: Option<&Path>) -> Result<Sections> {
    let unknown = |path: &Path| if is_qulos(path) { Unknown::Named } else { Unknown::Refused };
    config::open_among(path, &SEARCHED, SECTIONS, unknown)
}

/// Reads the config of qagent.
///
/// In QULo's file the sensors that it names run and no others, and the dots of the host's name begin folders in Carbon
/// paths, as they did.
///
/// # Errors
/// As [`Config::load`].
pub fn load(path: Option<&Path>) -> Result<(Config, Sections)> {
    let sections = open(path)?;
    let mut config = Config::read(&sections)?;
    if sections.path().is_some_and(is_qulos) {
        let is_named = |chosen: &nodes::Chosen| sections.contains(&chosen.sensor.section);
        if config.sensors.iter().any(is_named) {
            config.sensors.retain(is_named);
        }
        // QULo's agent has one sink, and a default for it.
        if config.carbon.is_none() && config.influxdb.is_none() && config.embedded.path.is_none() {
            let values = sections.values(&qmaster::config::SECTION);
            config.qmaster = qmaster::Config::read(&values, Some("127.0.0.1"))?;
        }
        for chosen in &mut config.sensors {
            chosen.is_original |= !sections.values(&chosen.sensor.section).gives("prefix");
        }
    }
    Ok((config, sections))
}

/// Reads the config, and says what the service has to do.
///
/// # Errors
/// As [`load`].
pub fn plan(path: Option<&Path>) -> Result<Plan> {
    let (config, sections) = load(path)?;
    let mut warnings = sections.left_out().to_vec();
    if let Some(master) = config.qmaster.as_ref().filter(|master| master.protocol == Protocol::Qulo) {
        let name = master.name();
        warnings.push(format!("{name} gets QULo's pickles, which nobody acknowledges: what it does not store is lost"));
    }
    let setup = config.setup(&PROGRAM, sections::timing(&sections, SECTIONS, PROGRAM.name)?);
    Ok(Plan {
        setup,
        sensors: running(&config, &Root::default()).into_iter().map(gathered).collect(),
        publish_seconds: config.publish_seconds,
        logging: config.logging,
        warnings,
    })
}

/// Makes a sensor one that the frame reads.
fn gathered(mut sensor: Running) -> GatheredSensor {
    GatheredSensor {
        name: sensor.chosen.sensor.name.into(),
        interval: sensor.chosen.interval,
        is_slow: sensor.chosen.sensor.is_slow,
        read: Box::new(move |tick: Tick| {
            let running = std::time::Duration::from_nanos(Uptime::nanoseconds().cast_unsigned());
            let taken = sensor.read(Moment { time: tick.time, running });
            (taken.points, taken.problems)
        }),
    }
}
