//! libvirt: the domains of this host and their counters, by libvirt's own protocol on its read-only socket.
//!
//! libvirtd 9.0 with QEMU 7.2 was tried and recorded; modular daemons (`virtqemud-sock-ro`) speak the same protocol and were
//! not tried. One reply to STATS has for each domain
//!
//! ```text
//! state.state=1  cpu.time=10380000000  balloon.rss=45376  net.0.rx.bytes=796  block.0.rd.bytes=2834944  …
//! ```
//!
//! A host without domains answers with empty lists. Domains that went since the list are left out in silence, and the order
//! is random. Times are ns; libvirt's memory is in KiB here and in bytes in [`Stats`].
//!
//! **A QEMU that hangs must not take libvirtd with it.** A call that asks a hung QEMU never returns and keeps one of
//! libvirtd's 20 workers, which nova needs too. [`ask`] has the rules by which few calls are lost.

mod answer;
pub mod ask;
pub mod client;
pub mod domain;
pub mod memory;
pub mod message;
pub mod nova;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
pub mod xdr;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use self::answer::Answer;
pub use self::ask::collect;
use self::client::Client;
pub use self::domain::{Device, Domain, Stats};
pub use self::memory::Memory;
use self::message::Procedure;
pub use self::message::{DomainRef, Uuid};
pub use self::nova::Nova;
use crate::config::{Key, Kind, Section, Unset, Values};

/// `[libvirt]`.
pub const SECTION: Section = Section::new(
    "libvirt",
    "Reads the instances of this host from libvirt, and says when and how long collect-instances runs.",
    &[
        Key::deadline("240"),
        Key {
            help: "The seconds between two runs, at most 540, since a rate is made over 600 s at most; times of points are rounded \
                   down to it. Change it together with the crontab.",
            ..Key::interval("300", 540)
        },
        Key::new(
            "socket",
            Kind::Path,
            Unset::Default("/run/libvirt/libvirt-sock-ro"),
            "The read-only socket of libvirtd. With modular daemons it is /run/libvirt/virtqemud-sock-ro.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("20"),
            "How long one answer may take, in seconds. A call that takes longer is given up, at most three in a run.",
        ),
        Key::new(
            "names",
            Kind::Word(&["skip", "send"]),
            Unset::Default("skip"),
            "send labels each instance with the display name that its owner gave it; skip labels it with libvirt's name, \
             such as instance-0000002a.",
        ),
    ],
)
.owning(&["collect-instances"]);

/// `[libvirt]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The socket.
    pub socket: PathBuf,
    /// The time limit of one answer; 20 s by default.
    pub timeout: Duration,
    /// Whether instances bear the names that their owners gave them.
    pub names: bool,
    /// The deadline of a run, in seconds; 240 by default.
    pub deadline_seconds: u64,
    /// The interval between two runs, in seconds; 300 by default.
    pub interval_seconds: u64,
}

impl Config {
    /// Reads `[libvirt]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            socket: values.path("socket")?.context("[libvirt] socket has a default")?,
            timeout: Duration::from_secs(values.number("timeout_seconds")?),
            names: values.word("names")? == "send",
            deadline_seconds: values.number("deadline_seconds")?,
            interval_seconds: values.number("interval_seconds")?,
        })
    }
}

/// Contacts libvirtd for `--check`; asks for nothing that could hang at a domain.
pub fn check(config: &Config, until: Instant) -> Vec<(String, Result<String, String>)> {
    let version = || {
        let mut client = Client::open(&config.socket, config.timeout, until)?;
        let body = client.call(Procedure::LibVersion, &[], until)?;
        client.close();
        Ok(message::read_version(&body)?)
    };
    let answer = version().map(|version| format!("{}: libvirt {version}", config.socket.display()));
    vec![("libvirt".into(), answer.map_err(|failure: client::Failure| failure.to_string()))]
}
