//! The monitored systems, a module each. A source returns records that are named as in its system, and knows no sink.

pub mod cloud_scheduler;
pub mod htcondor;

use std::process::Command;

/// Returns `words` as a command, to which arguments can be added.
fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}
