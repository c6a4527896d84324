//! `[dashboard]`.

use anyhow::Result;

use crate::config::Section;

/// `[dashboard]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens, `ADDRESS:PORT`; `127.0.0.1:5000` by default.
    pub listen: String,
    /// What stands at the top of the page; `Cloud Monitor` by default.
    pub title: String,
    /// How often the page refreshes, in seconds; 60 by default.
    pub refresh_seconds: u64,
    /// Where it reads: `graphite`, `embedded`, or whichever the points go to.
    pub read: Source,
}

/// Where the dashboard reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Graphite when `[graphite] url` is set, else the embedded store.
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
    /// When a value is not what its key asks for.
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
