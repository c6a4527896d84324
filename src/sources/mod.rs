//! The monitored systems, a module each. A source returns records that are named as in its system, and knows no sink.

pub mod cloud_scheduler;
pub mod htcondor;

use std::process::Command;
use std::time::Instant;

use crate::config::Program;
use crate::os::command::{self, Failure};

/// Runs a command as [`command::run`] does. The arguments in the config may be secret, so what the command prints about
/// them is left out of the failure.
fn run(
    command: &mut Command,
    deadline: Instant,
    secret: &[String],
    read: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    command::run(command, deadline, read).map_err(|failure| match failure {
        Failure::Exit(status, printed) => {
            let hidden = secret.iter().fold(printed, |text, word| hide(&text, word));
            Failure::Exit(status, hidden)
        }
        other => other,
    })
}

/// Replaces an argument by `***` where it stands as a word; of `--option=VALUE` the value. The name of an option stays.
fn hide(text: &str, argument: &str) -> String {
    let word =
        if argument.starts_with('-') { argument.split_once('=').map_or("", |(_, value)| value) } else { argument };
    if word.is_empty() {
        return text.to_string();
    }
    let (mut hidden, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(word) {
        let is_word = !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        hidden = hidden + before + if is_word { "***" } else { word };
        rest = after;
    }
    hidden + rest
}

/// Returns a command to which arguments can be added.
fn command(Program { words, .. }: &Program) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn an_argument_is_hidden_and_a_word_that_contains_it_is_not() {
        for (text, argument, hidden) in [
            ("unknown option --password hunter2", "hunter2", "unknown option --password ***"),
            ("bad: --password=hunter2!", "--password=hunter2", "bad: --password=***!"),
            ("hunter2 (hunter2), hunter22", "hunter2", "*** (***), hunter22"),
            ("usage: cloud_status -aj", "-aj", "usage: cloud_status -aj"),
            ("error: a", "a", "error: ***"),
        ] {
            assert_eq!(super::hide(text, argument), hidden);
        }
        assert_eq!(hide("", ""), "");
    }
}
