//! Composes qagent: reads its config, and makes the sensors that the frame reads.

use std::any::Any;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::nodes::{Running, host_of, running};
use super::{Config, SECTIONS, sections};
use crate::config::{self, Dialect, Sections};
use crate::frame::{Daemon, GatheredSensor, News, Plan, Program, ReadSensor, Tick, state};
use crate::model::Point;
use crate::monitors::nodes::{self, Moment};
use crate::os::files;
use crate::os::mail;
use crate::os::uptime::Uptime;
use crate::problem::Problem;
use crate::sinks::qmaster;
use crate::sinks::qmaster::config::Protocol;
use crate::sources::agents::status::AgentStatus;
use crate::sources::node::Root;
use crate::spool::{Directory, Spool};

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
    let dialect = |path: &Path| if is_qulos(path) { Dialect::Qulos } else { Dialect::Own };
    config::open_among(path, &SEARCHED, SECTIONS, dialect)
}

/// Reads the config of qagent.
///
/// In QULo's file the sensors that it names run and no others, and the dots of the host's name begin folders in Carbon
/// paths, as they did.
///
/// # Errors
/// As [`Config::load`].
pub fn load(path: Option<&Path>) -> Result<(Config, Sections)> {
    let mut sections = open(path)?;
    let is_named = |sensor: &&'static nodes::Sensor| sections.contains(&sensor.section);
    let named: Vec<_> = nodes::SENSORS.iter().copied().filter(is_named).map(|sensor| sensor.name).collect();
    let is_qulos = sections.path().is_some_and(is_qulos);
    if is_qulos {
        add_its_defaults(&mut sections)?;
    }
    let mut config = Config::read(&sections)?;
    if is_qulos {
        if !named.is_empty() {
            config.sensors.retain(|chosen| named.contains(&chosen.sensor.name));
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
    take_settings(&mut config, &mut sections);
    Ok((config, sections))
}

/// What QULo's agent did without being told, where ours does otherwise: each CPU has its path, however many there are.
const ITS_DEFAULTS: [(&str, &str, &str); 1] = [("CPUPercent", "per_cpu", "yes")];

fn add_its_defaults(sections: &mut Sections) -> Result<()> {
    for (name, key, value) in ITS_DEFAULTS {
        let sensor = nodes::sensor(name).context(name)?;
        if !sections.values(&sensor.section).gives(key) {
            let text = format!("[sensor:{name}]\n{key} = {value}\n");
            sections.overlay(Sections::read(&text, "QULo's defaults", nodes::SECTIONS)?);
        }
    }
    Ok(())
}

/// The file of the state directory with the newest good settings of the master.
const SETTINGS: &str = "qagent.settings";

/// Takes the master's settings over, for those sensors that run without them. A file that is no good is as none: it was checked
/// before it was kept.
fn take_settings(config: &mut Config, sections: &mut Sections) {
    if !config.qmaster.as_ref().is_some_and(|master| master.asks) {
        return;
    }
    let path = state::directory(config.state_directory.as_deref()).join(SETTINGS);
    let text = files::read(&path, nodes::central::LONGEST as u64).unwrap_or_default();
    let name = path.display().to_string();
    let Ok(settings) = nodes::central::check(&String::from_utf8_lossy(&text), &name) else { return };
    let is_set: Vec<_> = config.sensors.iter().map(|one| settings.contains(&one.sensor.section)).collect();
    sections.overlay(settings);
    for (chosen, _) in config.sensors.iter_mut().zip(is_set).filter(|(_, is_set)| *is_set) {
        if let Ok(mut read) = nodes::Chosen::read(chosen.sensor, &sections.values(&chosen.sensor.section)) {
            read.is_original = chosen.is_original;
            *chosen = read;
        }
    }
    config.sensors.retain(|chosen| chosen.is_enabled);
}

/// How long the master may take to answer, in seconds.
const ANSWER: Duration = Duration::from_secs(10);

/// Tells the master how this agent is, and keeps the settings that it answers with. Returns whether they are new.
fn ask(master: &qmaster::Config, directory: &Path, host: &str, sensors: &[(String, f64)]) -> Result<bool> {
    let spool = Spool::new(Directory::at(&directory.join("spool")));
    let backlog = spool.backlog("qmaster").unwrap_or_default();
    let now = Timestamp::now().as_second();
    let status = AgentStatus {
        host: host.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        sensors: sensors.to_vec(),
        backlog_points: backlog.points as u64,
        lag_seconds: backlog.oldest.map_or(0, |oldest| (now - oldest).max(0).unsigned_abs()),
    };
    let Some(text) = qmaster::tell(master, directory, serde_json::to_string(&status)?, ANSWER)? else {
        return Ok(false);
    };
    let name = format!("settings of {}", master.name());
    nodes::central::check(&text, &name)?;
    let path = directory.join(SETTINGS);
    if files::read(&path, nodes::central::LONGEST as u64).unwrap_or_default() == text.as_bytes() {
        return Ok(false);
    }
    files::write(&path, text.as_bytes()).context("the settings of the master")?;
    Ok(true)
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
    if config.mail.is_some() && !mail::AVAILABLE {
        warnings.push(
            "[mail] is not used: this build sends no mail (feature mail); what fails for long is in the log alone"
                .into(),
        );
    }
    let setup = config.setup(&PROGRAM, sections::timing(&sections, SECTIONS, PROGRAM.name)?);
    let state = state::directory(config.state_directory.as_deref());
    Ok(Plan {
        setup,
        sensors: running(&config, &HERE, Some(&state)).into_iter().map(gathered).collect(),
        publish_seconds: config.publish_seconds,
        news: news(&config),
        logging: config.logging,
        warnings,
    })
}

/// Returns what asks the master for settings; `None` if nobody is to be asked.
fn news(config: &Config) -> Option<News> {
    let master = config.qmaster.clone().filter(|master| master.asks && master.protocol != Protocol::Qulo)?;
    let directory = state::directory(config.state_directory.as_deref());
    let is_original = config.sensors.first().is_some_and(|chosen| chosen.is_original);
    let host = host_of(is_original);
    let seconds = |chosen: &nodes::Chosen| (chosen.sensor.name.to_string(), chosen.interval.as_secs_f64());
    let sensors: Vec<_> = config.sensors.iter().map(seconds).collect();
    Some(Box::new(move || ask(&master, &directory, &host, &sensors)))
}

/// This machine, whose files the sensors of an old config and of a new one share.
static HERE: LazyLock<Root> = LazyLock::new(Root::default);

/// Makes a sensor one that the frame reads.
fn gathered(sensor: Running) -> GatheredSensor {
    let nodes::Chosen { sensor: declared, interval, options, .. } = &sensor.chosen;
    let (name, is_slow) = (declared.name.to_string(), declared.is_slow);
    let (interval, options) = (*interval, format!("{} {options}", sensor.host));
    GatheredSensor { name, interval, is_slow, options, read: Box::new(sensor) }
}

impl ReadSensor for Running {
    fn read(&mut self, tick: Tick) -> (Vec<Point>, Vec<Problem>) {
        let running = Duration::from_nanos(Uptime::nanoseconds().cast_unsigned());
        let taken = Running::read(self, Moment { time: tick.time, running });
        (taken.points, taken.problems)
    }

    fn adopt(&mut self, old: Box<dyn Any>) {
        Running::adopt(self, old);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_master_can_switch_a_sensor_off_and_none_on() {
        let folder = gridmon_testkit::TempDir::new();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let text = format!(
            "[state]\ndirectory = {}\n[qmaster]\nhost = 127.0.0.1\n[sensor:Users]\nenabled = no\n",
            state.display()
        );
        let path = folder.write("c.cfg", text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let names = || -> Vec<_> {
            let sensors = load(Some(&path)).unwrap().0.sensors;
            sensors.iter().map(|one| one.sensor.name).collect()
        };
        let all = names();
        assert!(!all.contains(&"Users") && all.contains(&"BootTime"));
        std::fs::write(state.join(SETTINGS), "[sensor:BootTime]\nenabled = no\n[sensor:Users]\nenabled = yes\n")
            .unwrap();
        assert_eq!(names(), all.iter().copied().filter(|name| *name != "BootTime").collect::<Vec<_>>());
    }
}
