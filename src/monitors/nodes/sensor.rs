//! What a sensor is: its name, its section of the config, what it measures, and how it is read.
//!
//! A new sensor is a file that declares one [`Sensor`], and a line in [`super::SENSORS`].

use std::any::Any;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Measurement, Point};
use crate::problem::Problem;
use crate::sources::node::Root;

/// A sensor.
#[derive(Debug)]
pub struct Sensor {
    /// Its name, as QULo calls it.
    pub name: &'static str,
    /// The section `[sensor:NAME]` with its options; its help says what the sensor measures.
    pub section: Section,
    /// What it measures.
    pub measurements: &'static [&'static Measurement],
    /// The files or system calls that it reads.
    pub source: &'static str,
    /// Whether it runs without being named in the config.
    pub is_default: bool,
    /// Whether reading it may take a second or more, so that it needs a thread of its own.
    pub is_slow: bool,
    /// Reads its options; nothing of the machine is touched before the first reading.
    pub options: fn(&Values) -> Result<Open>,
}

/// Makes a reading of a machine by the options that were read.
pub type Open = Arc<dyn Fn(&Node) -> Box<dyn Reading> + Send + Sync>;

/// The machine that is read.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The folder that stands for `/`.
    pub root: Root,
    /// The tag `host` of its points.
    pub host: String,
    /// The folder in which a sensor keeps what must last over a restart; `None` if nothing is kept.
    pub state: Option<PathBuf>,
}

/// When a sensor is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time of the points: that of the tick, in unix nanoseconds.
    pub time: i64,
    /// The true moment, by a clock that nobody sets. Rates are made of its differences.
    pub running: Duration,
}

/// A sensor that is being read, with what it remembers from tick to tick.
pub trait Reading: Any + Send {
    /// Reads the sensor.
    ///
    /// # Errors
    /// Fails if nothing could be read. The next tick tries again.
    fn read(&mut self, at: Moment) -> Result<Taken>;

    /// Takes over what a reading by other options remembers, beyond what only costs a tick.
    fn adopt(&mut self, _old: Box<dyn Any>) {}

    /// Whether only the second of two readings tells everything, as rates are made of two.
    fn needs_two(&self) -> bool {
        true
    }
}

/// What a reading brought.
#[derive(Debug, Default)]
pub struct Taken {
    /// The points.
    pub points: Vec<Point>,
    /// What is missing, with the reason; the rest is there.
    pub problems: Vec<Problem>,
}

impl From<Vec<Point>> for Taken {
    fn from(points: Vec<Point>) -> Self {
        Self { points, problems: Vec::new() }
    }
}

/// A sensor with the options of the config.
#[derive(Clone)]
pub struct Chosen {
    /// The sensor.
    pub sensor: &'static Sensor,
    /// The time between two ticks.
    pub interval: Duration,
    /// Whether the host's name becomes folders in a Carbon path, as the original's did.
    pub is_original: bool,
    /// Whether the config lets it run.
    pub is_enabled: bool,
    /// All its options, to be compared with those of another config.
    pub options: String,
    open: Open,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} every {:?}, original: {}", self.sensor.name, self.interval, self.is_original)
    }
}

impl Chosen {
    /// Reads the section of a sensor.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(sensor: &'static Sensor, values: &Values) -> Result<Self> {
        let open = (sensor.options)(values)?;
        let interval = Duration::try_from_secs_f64(values.decimal(TIME_INTERVAL.name)?)?;
        let (is_original, is_enabled) = (values.word(PREFIX.name)? == "original", values.word(ENABLED.name)? == "yes");
        let mut options = String::new();
        for key in sensor.section.keys {
            let _ = writeln!(options, "{} {:?}", key.name, values.text(key.name)?);
        }
        Ok(Self { sensor, interval, is_original, is_enabled, options, open })
    }

    /// Makes the reading of the machine at `root` that is called `host`, which keeps nothing.
    pub fn open(&self, root: &Root, host: &str) -> Box<dyn Reading> {
        self.open_at(&Node { root: root.clone(), host: host.into(), state: None })
    }

    /// Makes the reading of a machine.
    pub fn open_at(&self, node: &Node) -> Box<dyn Reading> {
        (self.open)(node)
    }
}

/// How often a sensor is read.
pub const TIME_INTERVAL: Key = Key::new(
    "time_interval",
    Kind::Decimal { least: 0.1, most: 86_400.0, unit: "seconds" },
    Unset::Default("10"),
    "The seconds between two readings. Ticks are multiples of it on the clock. Carbon keeps one value a second: below 1 it gets the \
     first one of each.",
);

/// Whether a sensor runs.
pub const ENABLED: Key = Key::new(
    "enabled",
    Kind::Word(&["yes", "no"]),
    Unset::Default("yes"),
    "Whether the sensor runs; no switches off one that runs without being named.",
);

/// How the host's name stands in Carbon paths.
pub const PREFIX: Key = Key::new(
    "prefix",
    Kind::Word(&["component", "original"]),
    Unset::Default("component"),
    "How the host's name begins a Carbon path: as one component, its dots made _, or as the original wrote it, where each dot begins a folder.",
);
