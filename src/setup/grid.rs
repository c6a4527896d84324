//! `[grid]`.

use anyhow::Result;

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::files::host_name;

/// `[grid]`.
pub const SECTION: Section = Section::new(
    "grid",
    "Says what the points are filed under, and when and how long collect-grid runs.",
    &[
        Key::new(
            "name",
            Kind::Text,
            Unset::Suggested("heprc"),
            "What the points are filed under: the G of grids.G.… Default: the first label of this host's name.",
        ),
        Key::new(
            "deadline_seconds",
            Kind::Seconds(2, 3600),
            Unset::Default("50"),
            "A run ends after this many seconds at the latest, its sources 15 s earlier. Shorter than the interval in the \
             crontab.",
        ),
        Key::new(
            "interval_seconds",
            Kind::Seconds(10, 3600),
            Unset::Default("60"),
            "The seconds between two runs; times of points are rounded down to it. Change it together with the crontab.",
        ),
        Key::new(
            "live_hosts",
            Kind::Word(&["skip", "send"]),
            Unset::Default("skip"),
            "send or skip util.live_hosts.G.HOST for each live virtual machine. Each machine that ever ran becomes a metric.",
        ),
    ],
)
.owning(&["collect-grid"]);

/// `[grid]`: what the points are filed under, and how a run behaves.
#[derive(Debug)]
pub struct Grid {
    /// The grid's name, the `G` of `grids.G.…`; the first label of this host's name by default.
    pub name: String,
    /// A run ends after this many seconds at the latest, sources 15 s earlier; 50 by default.
    pub deadline_seconds: u64,
    /// The seconds between two runs, to which times of points are rounded down; 60 by default.
    pub interval_seconds: u64,
    /// Whether `util.live_hosts.G.HOST` is sent for each live virtual machine: `send` or `skip` (default). It makes a
    /// new Graphite metric for every machine that ever ran.
    pub live_hosts: bool,
}

impl Grid {
    /// Reads `[grid]`.
    ///
    /// # Errors
    /// When a value is not what its key asks for.
    pub fn read(values: &Values) -> Result<Self> {
        let host = host_name();
        Ok(Self {
            deadline_seconds: values.number("deadline_seconds")?,
            interval_seconds: values.number("interval_seconds")?,
            name: values.text("name")?.unwrap_or(if host.is_empty() { "grid".into() } else { host }),
            live_hosts: values.word("live_hosts")? == "send",
        })
    }
}
