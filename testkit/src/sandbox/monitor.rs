//! A running cloud-monitor.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Sandbox;
use crate::program;

/// One that reads what the config of a sandbox names, killed on drop.
pub struct Monitor {
    child: Child,
    /// Where its page is.
    pub url: String,
}

impl Monitor {
    /// Starts it at an address; port 0 takes any that is free.
    pub fn start(sandbox: &Sandbox, address: &str) -> Self {
        Self::start_in(&sandbox.path(""), address)
    }

    /// Starts one that reads the config of a folder.
    pub fn start_in(folder: &Path, address: &str) -> Self {
        let mut child = Command::new(program("cloud-monitor"))
            .args(["--listen", address])
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| panic!("{line}"));
        Self { child, url: url.into() }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address().rsplit(':').next().and_then(|port| port.parse().ok()).expect("it listens on loopback")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
