//! The systems that are read, one file each. A source yields records in the words of its system and knows no sink.

#[cfg(feature = "grid")]
pub mod cloud_scheduler;
#[cfg(feature = "grid")]
pub mod htcondor;

#[cfg(feature = "grid")]
use std::process::Command;

#[cfg(feature = "grid")]
use anyhow::{Result, ensure};

/// Something that did not answer, and what is missing because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What stays the same while the failure lasts: `schedd ce01.example.org`.
    pub what: String,
    /// What happened, in words that follow the above and a colon.
    pub words: String,
}

impl Problem {
    /// A problem of `what`, in the words of `error`.
    pub fn new(what: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self { what: what.into(), words: error.to_string() }
    }
}

/// A command of the config as program and first arguments, split at blanks.
#[cfg(feature = "grid")]
fn split_command(text: &str) -> Result<Vec<String>> {
    ensure!(
        !text.contains(['"', '\'', '`', '$', '\\', '|', ';', '&', '<', '>']),
        "no shell runs this: give a program and its arguments, or put the rest into a script"
    );
    let words: Vec<_> = text.split_whitespace().map(String::from).collect();
    ensure!(!words.is_empty(), "names no program");
    Ok(words)
}

/// `words` as a command to which arguments can be added.
#[cfg(feature = "grid")]
fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}
