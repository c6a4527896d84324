//! `qagent sensors` and `qagent once`: which sensors there are, and what they tell now.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;

use crate::config::{Key, Unset, is_closed};
use crate::frame::args::Format;
use crate::frame::{Wanted, compared, complain, is_there, print, print_compared, show};
use crate::model::{FieldInfo, Point, SECOND, Tier, Window, validate};
use crate::monitors::nodes::{self, SENSORS, Sensor};
use crate::setup::nodes::{once, running};
use crate::setup::{CATALOG, Config, older, qagent};
use crate::sources::node::Root;
use crate::text::quote;

/// The name in messages.
const NAME: &str = "qagent";

/// The time between the two readings of `qagent once`.
const PAUSE: Duration = Duration::from_secs(1);

/// The flags of `qagent once`.
#[derive(Args, Debug)]
pub struct Once {
    /// How points are printed: "path value timestamp", line protocol, or a JSON object a line
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "carbon")]
    format: Format,
    /// Print how the values differ from those that QULo's master sent, instead: in a file of Carbon's lines or pickles, or in
    /// Graphite (http://HOST/). Exit code 1 if a difference has no known cause
    #[arg(long, value_name = "FILE|URL")]
    compare: Option<String>,
    /// Read the files below this folder instead of /
    #[arg(long, value_name = "FOLDER", hide = true)]
    root: Option<PathBuf>,
    /// Only these sensors [default: those of the config]
    #[arg(value_name = "SENSOR")]
    sensors: Vec<String>,
}

/// Prints the sensors as a list, or all about one.
pub fn sensors(name: Option<&str>) -> ExitCode {
    match name {
        None => print(&list()),
        Some(name) => match found(name) {
            Ok(sensor) => print(&describe(sensor)),
            Err(code) => code,
        },
    }
}

/// Reads the sensors twice, a second apart, and prints the second reading.
pub fn print_once(flags: &Once, config: Option<&Path>) -> ExitCode {
    let mut config = match (qagent::load(config), config) {
        (Ok((config, _)), _) => config,
        // What a machine's own sensors tell is no secret: only the names are those of no config then.
        (Err(error), None) if is_closed(&error) => {
            complain(NAME, &[format!("{error:#}; the defaults hold")]);
            Config::parse("", "no config").map(|(config, _)| config).expect("every section has defaults")
        }
        (Err(error), _) => {
            complain(NAME, &[format!("{error:#}")]);
            return ExitCode::from(2);
        }
    };
    for name in &flags.sensors {
        if let Err(code) = found(name) {
            return code;
        }
    }
    if !flags.sensors.is_empty() {
        config.sensors.retain(|chosen| flags.sensors.iter().any(|name| name == chosen.sensor.name));
    }
    if let Some(source) = &flags.compare
        && let Err(error) = is_there(source)
    {
        complain(NAME, &[format!("{source}: {error:#}")]);
        return ExitCode::FAILURE;
    }
    let root = flags.root.as_deref().map_or_else(Root::default, Root::at);
    let time = || Timestamp::now().as_second().saturating_mul(SECOND);
    let (points, problems) = once(running(&config, &root, None), PAUSE, time);
    let (points, mut dropped) = validate(points);
    if let Some(source) = &flags.compare {
        let failed: Vec<_> = problems.iter().map(|one| format!("{}: {}", one.subject, one.message)).collect();
        complain(NAME, &failed);
        let is_equal = compare(&config, source, &points, time());
        return if is_equal && failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let (text, hidden) = show(&points, flags.format, CATALOG);
    dropped.extend(hidden);
    let mut lines: Vec<_> = problems.iter().map(|one| format!("{}: {}", one.subject, one.message)).collect();
    lines.extend(dropped.iter().map(|one| format!("dropped {}: {}", one.name, one.why)));
    complain(NAME, &lines);
    let printed = print(&text);
    if lines.is_empty() { printed } else { ExitCode::FAILURE }
}

/// How far back a store is asked for the older system's values, in seconds: Carbon may write late.
const REACH: i64 = 900;

/// How long a store may take to answer.
const ANSWERS: Duration = Duration::from_secs(60);

/// Prints how points differ from the newest values that QULo's master sent. Returns whether each difference has a known cause.
fn compare(config: &Config, source: &str, points: &[Point], time: i64) -> bool {
    // A file tells of one moment, whenever that was.
    let is_file = Path::new(source).exists();
    let window = if is_file { Window::ALL } else { Window { from: time - REACH * SECOND, to: time + SECOND } };
    let (program, now, until) = (&qagent::PROGRAM, time / SECOND, Instant::now() + ANSWERS);
    let told = compared(program, points, CATALOG, (source, now, nodes::CAUSES), |ours| {
        older(config, source, Wanted { program, tier: Tier::Raw, window, now, until, ours })
    });
    print_compared(NAME, told)
}

/// Returns the sensor `name`; says which there are if it is none.
fn found(name: &str) -> Result<&'static Sensor, ExitCode> {
    nodes::sensor(name).ok_or_else(|| {
        let all: Vec<_> = SENSORS.iter().map(|sensor| sensor.name).collect();
        complain(NAME, &[format!("there is no sensor {}; there are {}", quote(name), all.join(", "))]);
        ExitCode::from(2)
    })
}

/// A line for each sensor.
fn list() -> String {
    let width = SENSORS.iter().map(|sensor| sensor.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for sensor in SENSORS {
        let off = if sensor.is_default { "" } else { " Off unless the config names it." };
        let _ = writeln!(text, "{:<width$}  {}{off}", sensor.name, sensor.section.help);
    }
    text
}

/// All about a sensor: its help, source, options, measurements and fields.
fn describe(sensor: &Sensor) -> String {
    let mut text = format!("{}: {}\n", sensor.name, sensor.section.help);
    let _ = writeln!(text, "    source    {}", sensor.source);
    let thread = if sensor.is_slow { "in a thread of its own, as it may take long" } else { "with the others" };
    let _ = writeln!(text, "    read      {thread}");
    let _ = writeln!(text, "    runs      {}", if sensor.is_default { "by default" } else { "if the config names it" });
    let _ = writeln!(text, "\n[{}]", sensor.section.name);
    for Key { name, unset, help, .. } in sensor.section.keys {
        let value = match unset {
            Unset::Default(value) => format!(" [{value}]"),
            _ => String::new(),
        };
        let _ = writeln!(text, "    {name}{value}: {help}");
    }
    for measurement in sensor.measurements {
        let _ = writeln!(text, "\n{}: {}\n    carbon  {}", measurement.name, measurement.meaning, measurement.carbon);
        let width = measurement.fields.iter().map(|field| field.name.len()).max().unwrap_or_default();
        for FieldInfo { name, kind, unit, meaning, .. } in measurement.fields {
            let _ = writeln!(text, "    {name:<width$}  {kind:<5}  {unit:<16}  {meaning}");
        }
    }
    text
}
