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
        Key::deadline("50"),
        Key::interval("60", 3600),
        Key::new(
            "live_hosts",
            Kind::Word(&["skip", "send"]),
            Unset::Default("skip"),
            "send or skip util.live_hosts.G.HOST for each live virtual machine. Each machine that ever ran becomes a metric.",
        ),
    ],
)
.owning(&["collect-grid"]);

/// `[grid]`: the grid's name, and the timing of a run.
#[derive(Debug)]
pub struct Grid {
    /// The grid's name, the `G` of `grids.G.…`; by default the first label of this host's name.
    pub name: String,
    /// The deadline of a run, in seconds; sources end 15 s earlier. 50 by default.
    pub deadline_seconds: u64,
    /// The interval between two runs, in seconds; times of points are rounded down to it. 60 by default.
    pub interval_seconds: u64,
    /// Whether to send `util.live_hosts.G.HOST` for each live virtual machine: `send` or `skip` (default). It creates a
    /// new Graphite metric for every machine that ever ran.
    pub live_hosts: bool,
}

impl Grid {
    /// Reads `[grid]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
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
