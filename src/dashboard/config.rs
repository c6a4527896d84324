//! `[dashboard]`.

use anyhow::Result;

use crate::config::Section;

/// `[dashboard]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on, `ADDRESS:PORT`; `127.0.0.1:5000` by default.
    pub listen: String,
    /// The heading of the page; `Cloud Monitor` by default.
    pub title: String,
    /// The time between two refreshes of the page, in seconds, 5 to 3600; 60 by default.
    pub refresh_seconds: u64,
    /// The store to read: `auto` (the default), `graphite` or `embedded`.
    pub read: Source,
}

/// The store that the dashboard reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Graphite if `[graphite] url` is set, else the embedded store.
    Auto,
    /// graphite-web.
    Graphite,
    /// The embedded store.
    Embedded,
}

impl Config {
    /// Reads `[dashboard]`.
    ///
    /// # Errors
    /// If a value is not valid for its key.
    pub fn read(section: &mut Section) -> Result<Self> {
        let listen = section.text("listen")?.unwrap_or_else(|| "127.0.0.1:5000".into());
        let is_address = listen.parse::<std::net::SocketAddr>().is_ok();
        section.check("listen", is_address, "an ADDRESS:PORT such as 127.0.0.1:5000")?;
        let refresh_seconds = section.number("refresh_seconds", 60)?;
        section.check("refresh_seconds", (5..=3600).contains(&refresh_seconds), "5 to 3600 seconds")?;
        Ok(Self {
            listen,
            title: section.text("title")?.unwrap_or_else(|| "Cloud Monitor".into()),
            refresh_seconds,
            read: section.word(
                "read",
                &[("auto", Source::Auto), ("graphite", Source::Graphite), ("embedded", Source::Embedded)],
            )?,
        })
    }
}
