//! `[rrd]`.

use std::path::PathBuf;

use anyhow::Result;

use crate::config::{Key, Kind, Section, Unset, Values};

/// `[rrd]`.
pub const SECTION: Section = Section::new(
    "rrd",
    "Keeps files in rrdtool's own format, of what has a declared file: the processor, network and disks of each instance.",
    &[
        Key::new(
            "directory",
            Kind::Path,
            Unset::Absent("/var/lib/gridmon/rrd"),
            "The folder of the files: INSTANCE/cpu.rrd, net.rrd, disk.rrd. Without it none are written. Points go to the \
             other sinks all the same. A run makes it in the state directory alone; elsewhere --setup does, since a disk may not \
             be mounted.",
        ),
        Key::new(
            "keep_days",
            Kind::Days(36_500),
            Unset::Default("30"),
            "How long the files of an instance stay after its last value, in days, or forever.",
        ),
    ],
);

/// `[rrd]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of the files.
    pub directory: PathBuf,
    /// How long a file stays after its last value, in days; 30 by default. `None` keeps it for ever.
    pub keep_days: Option<u64>,
}

impl Config {
    /// Reads `[rrd]`; returns `None` unless it names a directory.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Option<Self>> {
        let (directory, keep_days) = (values.path("directory")?, values.days("keep_days")?);
        Ok(directory.map(|directory| Self { directory, keep_days }))
    }
}
