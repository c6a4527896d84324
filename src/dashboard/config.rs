//! `[dashboard]`.

use std::fmt;

use anyhow::Result;

use crate::config::{Key, Kind, Section, Unset, Values};

/// `[dashboard]`.
pub const SECTION: Section = Section::new(
    "dashboard",
    "The dashboard: where it listens and what it shows.",
    &[
        Key::new(
            "listen",
            Kind::Listen,
            Unset::Default("127.0.0.1:5000"),
            "Where cloud-monitor listens. Everybody who reaches it sees everything: put a proxy with a login before any other \
             address.",
        ),
        Key::new(
            "hosts",
            Kind::List,
            Unset::Absent("monitor.example.org"),
            "More names under which a browser or proxy may ask for it at a loopback address; localhost and loopback \
             addresses are served anyway. At another address every name is.",
        ),
        Key::new("title", Kind::Text, Unset::Default("Cloud Monitor"), "The title at the top of its page."),
        Key::new(
            "refresh_seconds",
            Kind::Seconds(5, 3600),
            Unset::Default("60"),
            "How often the page refreshes, in seconds.",
        ),
        Key::new(
            "read",
            Kind::Word(&["auto", "graphite", "influxdb", "embedded"]),
            Unset::Default("auto"),
            "Where it reads: graphite, influxdb, embedded, or auto: Graphite when [graphite] url is set, else InfluxDB when \
             [influxdb] url is set, else the embedded store.",
        ),
    ],
);

/// `[dashboard]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on, `ADDRESS:PORT`; `127.0.0.1:5000` by default.
    pub listen: String,
    /// The names under which it is served at a loopback address, besides localhost and loopback addresses.
    pub hosts: Vec<String>,
    /// The heading of the page; `Cloud Monitor` by default.
    pub title: String,
    /// The time between two refreshes of the page, in seconds, 5 to 3600; 60 by default.
    pub refresh_seconds: u64,
    /// The store to read: `auto` (the default), `graphite`, `influxdb` or `embedded`.
    pub read: Source,
}

/// The store that the dashboard reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Graphite if `[graphite] url` is set, else InfluxDB if `[influxdb] url` is set, else the embedded store.
    Auto,
    /// graphite-web.
    Graphite,
    /// InfluxDB.
    Influxdb,
    /// The embedded store.
    Embedded,
}

/// Writes the keyword of the config.
impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Auto => "auto",
            Self::Graphite => "graphite",
            Self::Influxdb => "influxdb",
            Self::Embedded => "embedded",
        })
    }
}

impl Config {
    /// Reads `[dashboard]`.
    ///
    /// # Errors
    /// If a value is not valid for its key.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            listen: values.needed("listen")?,
            hosts: values.list("hosts")?,
            title: values.needed("title")?,
            refresh_seconds: values.number("refresh_seconds")?,
            read: match values.word("read")? {
                "graphite" => Source::Graphite,
                "influxdb" => Source::Influxdb,
                "embedded" => Source::Embedded,
                _ => Source::Auto,
            },
        })
    }
}
