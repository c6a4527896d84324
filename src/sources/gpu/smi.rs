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
        Some(0 | WARNED) if !text.is_empty() && !text.ends_with('\n') => {
            return Err(SmiError::Other(format!("breaks off: {}", quote_ends(&text))));
        }
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
    round: Round,
    /// The column of the card's index, by which a new round is told.
    index: usize,
}

/// The rows of one round so far.
#[derive(Debug, Default)]
struct Round {
    rows: Vec<String>,
    /// How many of them are of cards; a warning is of none.
    cards: usize,
    /// The index of the last card, also of the round before while this one has none.
    last: Option<u32>,
    /// Whether they are the end of a round that was taken for a whole one, as that of a card which has just come.
    is_torn: bool,
}

impl Round {
    fn is_whole(&self, cards: usize) -> bool {
        self.cards >= cards && !self.is_torn
    }

    /// Ends the round, and returns its rows.
    fn end(&mut self) -> Vec<String> {
        std::mem::replace(self, Self { last: self.last, ..Self::default() }).rows
    }
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
        Ok(Self { running, rest: Vec::new(), round: Round::default(), index })
    }

    /// Returns the newest whole round, and waits at most `limit` for it. A round is whole once it has the rows of as many `cards` as
    /// before, or once the next one has begun: where each row takes long, a part of a round would make the other cards lost.
    pub(super) fn round(&mut self, limit: Duration, cards: usize) -> Result<Vec<String>, SmiError> {
        let until = Instant::now() + limit;
        let (mut ended, mut room) = (None, LONGEST);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let is_whole = self.round.is_whole(cards);
            let mut printed = Vec::new();
            let wait = if is_whole || ended.is_some() { QUIET.min(left) } else { left };
            let is_alive = self.running.read(wait, &mut printed);
            if !is_alive {
                let said = format!("{} {}", self.round.rows.join(" "), self.running.complaint());
                return Err(classify(Some(255), said.trim()));
            }
            if printed.is_empty() || left.is_zero() {
                let rows = if is_whole { Some(self.round.end()) } else { ended };
                return rows.ok_or(SmiError::Hung(limit));
            }
            room = room.saturating_sub(printed.len());
            if room == 0 {
                return Err(SmiError::Other(format!("printed more than {LONGEST} bytes at once")));
            }
            ended = self.take(&printed).or(ended);
        }
    }

    /// Takes what was printed. Returns the rows of the last round that ended with it.
    fn take(&mut self, printed: &[u8]) -> Option<Vec<String>> {
        self.rest.extend_from_slice(printed);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n')? + 1;
        let rest = self.rest.split_off(end);
        let lines = std::mem::replace(&mut self.rest, rest);
        let mut ended = None;
        for line in String::from_utf8_lossy(&lines).lines().map(str::trim).filter(|line| !line.is_empty()) {
            // The cards come in the order of their indices: one that is not greater begins a new round.
            let index = line.split(',').nth(self.index).and_then(|cell| cell.trim().parse::<u32>().ok());
            let is_first = self.round.cards == 0;
            match (index, self.round.last) {
                (Some(own), Some(last)) if own <= last => {
                    let is_good = !is_first && !self.round.is_torn;
                    let rows = self.round.end();
                    ended = if is_good { Some(rows) } else { ended };
                }
                (Some(_), Some(_)) if is_first => self.round.is_torn = true,
                _ => {}
            }
            self.round.cards += usize::from(index.is_some());
            self.round.last = index.or(self.round.last);
            self.round.rows.push(line.into());
        }
        ended
    }
}
