//! GPUs: NVIDIA's by `nvidia-smi`, AMD's by /sys. Recorded from drivers 590 to 610 (and their XML from 418 on) and from a Vega 10.
//!
//! ```text
//! $ nvidia-smi --query-gpu=index,uuid,name,pci.bus_id,…,temperature.memory,utilization.gpu,… --format=csv,noheader,nounits
//! 0, GPU-…, NVIDIA H100 80GB HBM3, 00000000:00:09.0, 590.48.01, …, 48, [N/A], 81559, …
//! ```
//!
//! A machine without a GPU has no cards and no problem.
//!
//! The traps that shape this module:
//!
//! - A column that the driver does not know fails the whole query: `nvidia-smi --help-query-gpu` is asked once for those it knows.
//! - A card that fell off the bus ends or hangs the query for all cards: then each card is asked by itself.
//! - `nvidia-smi` sets up the driver and takes it down again each time, seconds without persistence mode: then it is kept running
//!   with `-l`, unless that would keep a card awake.
//! - A question wakes a card that sleeps: what /sys says of its power comes first.

pub mod amd;
pub mod mig;
pub mod nvidia;
mod smi;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::mig::Slice;
pub use self::nvidia::Nvidia;
use crate::config::Program;
use crate::problem::Problem;

/// How the GPUs are read.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command that tells of NVIDIA's cards; `nvidia-smi` on PATH by default.
    pub command: Program,
    /// The time limit of one question; 10 s by default.
    pub timeout: Duration,
    /// Whether nvidia-smi is kept running.
    pub keep_running: KeepRunning,
    /// The time between two readings.
    pub interval: Duration,
    /// The folder that stands for `/`.
    pub root: PathBuf,
}

/// Whether nvidia-smi is kept running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepRunning {
    /// Where its start is slow and no card may sleep.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// A card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    /// Its PCI address as /sys spells it: `0000:0c:00.0`. Its index changes when another card is lost, this does not.
    pub bus: String,
    /// `nvidia` or `amd`.
    pub vendor: &'static str,
    /// Its name; empty if it is not told.
    pub name: String,
    /// Its UUID, or AMD's unique ID; empty if it is not told.
    pub uuid: String,
    /// The version of its driver; empty if it is not told.
    pub driver: String,
    /// Whether it sleeps, and was left asleep.
    pub is_asleep: bool,
    /// Whether it was there before, or /sys has it, and it does not answer.
    pub is_lost: bool,
    /// Its numbers by name, in base units. What is no number is absent.
    pub values: BTreeMap<&'static str, f64>,
    /// Its slices (MIG), if it is divided.
    pub slices: Vec<Slice>,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub struct Answer {
    /// The cards, sorted by address.
    pub gpus: Vec<Gpu>,
    /// Whether every driver that is there answered.
    pub is_whole: bool,
    /// What is missing, with the reason.
    pub problems: Vec<Problem>,
}

/// The readers of both vendors, with what they remember.
#[derive(Debug)]
pub struct Gpus {
    root: PathBuf,
    nvidia: Nvidia,
}

impl Gpus {
    /// Touches nothing yet.
    pub fn new(config: Config) -> Self {
        Self { root: config.root.clone(), nvidia: Nvidia::new(config) }
    }

    /// Takes over which cards other readers have seen: one that is lost stays so.
    pub fn adopt(&mut self, old: Self) {
        self.nvidia.adopt(old.nvidia);
    }

    /// Reads all cards.
    pub fn read(&mut self) -> Answer {
        let mut answer = self.nvidia.read();
        answer.gpus.extend(amd::read(&self.root));
        answer.gpus.sort_by(|a, b| a.bus.cmp(&b.bus));
        answer
    }
}

/// The longest file of /sys that is read, in bytes.
const LONGEST: usize = 4096;

/// Reads a file of /sys, without white space around it; `None` if it is not there, or empty.
fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok().filter(|bytes| bytes.len() <= LONGEST)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_string();
    Some(text).filter(|text| !text.is_empty())
}

/// Reads a file of /sys that holds a number.
fn number(path: &Path) -> Option<f64> {
    text(path)?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a PCI device sleeps. Asking the kernel for it does not wake the device.
fn is_asleep(device: &Path) -> bool {
    text(&device.join("power_state")).is_some_and(|state| state.starts_with("D3"))
        || text(&device.join("power/runtime_status")).is_some_and(|status| status == "suspended")
}

/// Returns a PCI address as /sys spells it: nvidia-smi prints eight digits of the domain, in upper case.
pub fn bus_of(address: &str) -> String {
    let lower = address.trim().to_ascii_lowercase();
    match lower.split_once(':') {
        Some((domain, rest)) if domain.len() == 8 && domain.starts_with("0000") => format!("{}:{rest}", &domain[4..]),
        _ => lower,
    }
}
