//! A network of its own, whose line to this machine can be cut.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace, gone when dropped.
#[derive(Debug)]
pub struct Network(String);

/// Tells the networks of one process from each other, and its lines.
static MADE: AtomicU32 = AtomicU32::new(0);
static LINES: AtomicU32 = AtomicU32::new(0);

impl Network {
    /// Makes one without a line; `None` without iproute2, or without the right to.
    pub fn make() -> Option<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("gridmon-{}-{number}", std::process::id());
        ip(&["netns", "add", &name]).then_some(Self(name))
    }

    /// Runs `ip` in it; returns whether that succeeded.
    pub fn ip(&self, words: &[&str]) -> bool {
        ip(&[&["-n", &self.0], words].concat())
    }

    /// A command that runs in it; the process stays the one that is started.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.0]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

/// A network with a line to this machine.
#[derive(Debug)]
pub struct Line {
    /// The network.
    pub network: Network,
    /// The address of this machine, as the network sees it.
    pub address: String,
    interface: String,
}

impl Line {
    /// Makes one; `None` without the right to.
    pub fn make() -> Option<Self> {
        let network = Network::make()?;
        // 198.18.0.0/15 is set aside for tests of networks.
        let number = (2 * std::process::id() + LINES.fetch_add(1, Ordering::Relaxed)) % 16_384;
        let of = |last: u32| format!("198.18.{}.{}", number / 64, number % 64 * 4 + last);
        let (interface, other) = (format!("gm{number}a"), format!("gm{number}b"));
        let line = Self { network, address: of(1), interface };
        let own = format!("{}/30", line.address);
        let made = ip(&["link", "add", &line.interface, "type", "veth", "peer", "name", &other])
            && ip(&["link", "set", &other, "netns", &line.network.0])
            && ip(&["addr", "add", &own, "dev", &line.interface])
            && line.network.ip(&["addr", "add", &format!("{}/30", of(2)), "dev", &other])
            && line.network.ip(&["link", "set", &other, "up"])
            && line.network.ip(&["link", "set", "lo", "up"]);
        made.then(|| {
            line.mend();
            line
        })
    }

    /// Nothing gets through, in either direction, and nobody is told.
    pub fn cut(&self) {
        assert!(ip(&["link", "set", &self.interface, "down"]));
    }

    /// Everything gets through again.
    pub fn mend(&self) {
        assert!(ip(&["link", "set", &self.interface, "up"]));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The other end goes with it, also where the network is still held by a process.
        ip(&["link", "delete", &self.interface]);
    }
}

fn ip(words: &[&str]) -> bool {
    let mut command = Command::new("ip");
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
