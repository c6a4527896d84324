//! The monitored systems, a module each. A source returns records that are named as in its system, and knows no sink.

pub mod cloud_scheduler;
pub mod htcondor;

use std::process::Command;

use anyhow::{Result, ensure};

fn split_command(text: &str) -> Result<Vec<String>> {
    ensure!(
        !text.contains(['"', '\'', '`', '$', '\\', '|', ';', '&', '<', '>']),
        "no shell runs this: give a program and its arguments, or put the rest into a script"
    );
    let words: Vec<_> = text.split_whitespace().map(String::from).collect();
    ensure!(!words.is_empty(), "names no program");
    Ok(words)
}

/// Returns `words` as a command, to which arguments can be added.
fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}
