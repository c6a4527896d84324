//! Connects to a sink that has a protocol of its own, within a time limit.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::os::names;

/// The time limit of a delivery.
pub(in crate::sinks) struct Timeout {
    began: Instant,
    /// When it ends.
    pub ends: Instant,
}

impl Timeout {
    /// Begins now, and ends after so many seconds or at `deadline`.
    pub fn new(seconds: u64, deadline: Instant) -> Self {
        let began = Instant::now();
        Self { began, ends: deadline.min(began + Duration::from_secs(seconds)) }
    }

    /// Returns the time left, never zero, which sockets take for "for ever".
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Returns the whole time limit for messages, in seconds.
    pub fn shown(&self) -> String {
        format!("{} s", (self.ends.saturating_duration_since(self.began).as_secs_f64() * 10.0).round() / 10.0)
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// Fails if it has passed.
    pub fn ensure_acknowledged(&self) -> Result<()> {
        ensure!(!self.has_passed(), "it did not acknowledge within {}", self.shown());
        Ok(())
    }
}

/// Connects; also returns how long that took.
pub(in crate::sinks) fn connect(host: &str, port: u16, timeout: &Timeout) -> Result<(TcpStream, Duration)> {
    let (found, addresses) = mpsc::channel();
    names::look_up(host.into(), port, move |addresses| drop(found.send(addresses)));
    let addresses: Vec<SocketAddr> = match addresses.recv_timeout(timeout.left()) {
        Ok(addresses) => addresses.context("its name cannot be looked up")?,
        Err(_) => bail!("its name was not looked up within {}", timeout.shown()),
    };
    let mut failure = anyhow!("its name has no address");
    for (at, address) in addresses.iter().enumerate() {
        // An address that drops packets must not use up the time of the others.
        let share = timeout.left() / (addresses.len() - at) as u32;
        let began = Instant::now();
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => {
                let took = began.elapsed();
                stream.set_nodelay(true).context("socket")?;
                return Ok((stream, took));
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                failure = anyhow!("no connection within {}", timeout.shown())
            }
            Err(error) => failure = anyhow!("no connection: {error}"),
        }
    }
    Err(failure)
}
