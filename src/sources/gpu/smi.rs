//! Runs nvidia-smi, tells its failures apart, and keeps it running where its start is slow.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::config::Program;
use crate::os::command::{self, Failure, Running};
use crate::text::quote_ends;

/// The longest answer, in bytes.
const LONGEST: usize = 8 << 20;

/// The exit code of an answer that is whole, beside a warning that a card's infoROM is damaged.
const WARNED: i32 = 14;

/// What nvidia-smi prints where it finds no card; with this text alone some releases end well.
const NO_CARD: &str = "No devices were found";

/// How long nvidia-smi is silent between two of its rounds at least: what came before is a whole one.
const QUIET: Duration = Duration::from_millis(300);

/// Why nvidia-smi did not answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SmiError {
    /// It is not there.
    Missing,
    /// There is no card, or no driver that runs: exit code and text.
    NoDriver(i32, String),
    /// The driver does not know this column.
    Column(String),
    /// A card was lost; the text names it.
    Lost(String),
    /// It gave no answer for this long.
    Hung(Duration),
    /// Everything else, in words.
    Other(String),
}

impl SmiError {
    /// Returns the message, for a person.
    pub(super) fn explain(&self, program: &str) -> String {
        match self {
            Self::Missing => format!("{program} was not found on PATH; it comes with NVIDIA's driver"),
            Self::NoDriver(6, text) => {
                format!("{program} finds no card: {}; did all of them fall off the bus?", quote_ends(text))
            }
            Self::NoDriver(9, text) => format!(
                "{program} finds no driver: {}; after an update of the kernel it must be built again, or modprobe nvidia",
                quote_ends(text)
            ),
            Self::NoDriver(12, text) => {
                format!("{program} lacks its library: {}; in a container, let the runtime bring it", quote_ends(text))
            }
            Self::NoDriver(18, text) => format!(
                "{program} and the driver are of different versions: {}; reboot, or load the new driver",
                quote_ends(text)
            ),
            Self::NoDriver(_, text) => format!("{program} cannot reach the driver: {}", quote_ends(text)),
            Self::Column(name) => format!("{program} does not know the column {name}"),
            Self::Lost(text) => format!("{program} says {}", quote_ends(text)),
            Self::Hung(limit) => format!("{program} gave no answer in {:.1} s", limit.as_secs_f64()),
            Self::Other(text) => format!("{program} {text}"),
        }
    }
}

/// Runs nvidia-smi once, and returns what it printed.
pub(super) fn ask(program: &Program, arguments: &[String], limit: Duration) -> Result<String, SmiError> {
    let mut text = Vec::new();
    let mut command = command_of(program, arguments);
    let ended = command::exchange(&mut command, &[], Instant::now() + limit, |piece| {
        anyhow::ensure!(text.len() + piece.len() <= LONGEST, "printed more than {LONGEST} bytes");
        text.extend_from_slice(piece);
        Ok(())
    });
    let ended = ended.map_err(|failure| match failure {
        Failure::Start(error) if error.kind() == std::io::ErrorKind::NotFound => SmiError::Missing,
        Failure::TimedOut(limit, _) => SmiError::Hung(limit),
        other => SmiError::Other(other.to_string()),
    })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    match ended.status.code() {
        Some(0) if text.trim() == NO_CARD => return Err(SmiError::NoDriver(6, NO_CARD.into())),
        Some(0) => return Ok(text),
        Some(WARNED) => return Ok(format!("{}\n{}", text.trim_end(), stderr.trim())),
        _ => {}
    }
    // Errors were seen on standard output.
    let said = format!("{} {}", text.trim(), stderr.trim());
    Err(classify(ended.status.code(), said.trim()))
}

/// Tells by exit code and text why nvidia-smi failed.
pub(super) fn classify(code: Option<i32>, said: &str) -> SmiError {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match code {
        Some(2) if says(&["is not a valid field"]) => {
            SmiError::Column(said.split('"').nth(1).unwrap_or_default().to_string())
        }
        Some(code @ (6 | 9 | 12 | 18)) => SmiError::NoDriver(code, said.into()),
        Some(15) => SmiError::Lost(said.into()),
        _ if says(&["GPU is lost", "device handle for GPU"]) => SmiError::Lost(said.into()),
        Some(code) if says(&["Failed to initialize NVML"]) => SmiError::NoDriver(code, said.into()),
        Some(code) => SmiError::Other(format!("ended with exit status {code}: {}", quote_ends(said))),
        None => SmiError::Other(format!("was killed by a signal: {}", quote_ends(said))),
    }
}

fn command_of(program: &Program, arguments: &[String]) -> Command {
    let mut command = super::super::command(program);
    command.args(arguments).env("LC_ALL", "C");
    command
}

/// nvidia-smi that prints a round of rows every few seconds.
#[derive(Debug)]
pub(super) struct Loop {
    running: Running,
    /// What came after the last whole line.
    rest: Vec<u8>,
    /// The rows since the last first card.
    rows: Vec<String>,
    /// The column of the card's index, by which a new round is told.
    index: usize,
}

impl Loop {
    /// Starts it with a round every `interval`.
    pub(super) fn start(
        program: &Program,
        arguments: &[String],
        interval: Duration,
        index: usize,
    ) -> Result<Self, SmiError> {
        let mut arguments = arguments.to_vec();
        arguments.push(format!("--loop={}", interval.as_secs_f64().ceil().max(1.0)));
        let running = Running::start(&mut command_of(program, &arguments))
            .map_err(|failure| SmiError::Other(failure.to_string()))?;
        Ok(Self { running, rest: Vec::new(), rows: Vec::new(), index })
    }

    /// Returns the newest whole round, and waits at most `limit` for it.
    pub(super) fn round(&mut self, limit: Duration) -> Result<Vec<String>, SmiError> {
        let until = Instant::now() + limit;
        self.rows.clear();
        let mut is_alive = true;
        while is_alive {
            let left = until.saturating_duration_since(Instant::now());
            let wait = if self.rows.is_empty() { left } else { QUIET.min(left) };
            let mut printed = Vec::new();
            is_alive = self.running.read(wait, &mut printed);
            if printed.is_empty() {
                break;
            }
            self.take(&printed)?;
        }
        if !is_alive {
            let said = format!("{} {}", self.rows.join(" "), self.running.complaint());
            return Err(classify(Some(255), said.trim()));
        }
        if self.rows.is_empty() { Err(SmiError::Hung(limit)) } else { Ok(self.rows.clone()) }
    }

    fn take(&mut self, printed: &[u8]) -> Result<(), SmiError> {
        self.rest.extend_from_slice(printed);
        if self.rest.len() > LONGEST {
            return Err(SmiError::Other(format!("printed more than {LONGEST} bytes at once")));
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_string();
            let index = |line: &str| line.split(',').nth(self.index).and_then(|cell| cell.trim().parse::<u32>().ok());
            // The cards come in the order of their indices: one that is not greater begins a new round.
            // What is no row, such as a warning, begins none.
            let last = self.rows.iter().rev().find_map(|row| index(row));
            if index(&line).is_some_and(|own| last.is_some_and(|last| own <= last)) {
                self.rows.clear();
            }
            self.rows.extend(Some(line).filter(|line| !line.is_empty()));
        }
        Ok(())
    }
}
