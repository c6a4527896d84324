//! /proc/loadavg: how many tasks want to run.
//!
//! ```text
//! 0.42 0.37 0.30 2/345 12345
//! ```

use anyhow::{Context, Result};

use crate::text::quote;

/// /proc/loadavg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// The mean number of tasks that ran, waited for a CPU or for a disk, over 1, 5 and 15 minutes.
    pub means: [f64; 3],
    /// Tasks that run now or wait for a CPU.
    pub running: i64,
    /// All tasks.
    pub tasks: i64,
}

/// Parses the file.
///
/// # Errors
/// Fails if it has not its five words.
pub fn parse(text: &str) -> Result<Load> {
    read(text).with_context(|| format!("{} is not a load average", quote(text)))
}

fn read(text: &str) -> Option<Load> {
    let mut words = text.split_ascii_whitespace();
    let mut mean = || words.next()?.parse().ok().filter(|mean: &f64| mean.is_finite() && *mean >= 0.0);
    let means = [mean()?, mean()?, mean()?];
    let (running, tasks) = words.next()?.split_once('/')?;
    let count = |text: &str| text.parse().ok().filter(|count: &i64| *count >= 0);
    Some(Load { means, running: count(running)?, tasks: count(tasks)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_words_are_a_load_average_and_nothing_else_is() {
        let load = parse("0.42 0.37 12.30 2/345 12345\n").unwrap();
        assert_eq!(load, Load { means: [0.42, 0.37, 12.3], running: 2, tasks: 345 });
        for text in [
            "",
            "0.42",
            "0.42 0.37 x 2/345 1",
            "0.42 nan 0.3 2/345 1",
            "0.1 0.2 0.3 2 1",
            "0.1 0.2 0.3 a/b",
            "-1 0.2 0.3 1/2",
            "0.1 0.2 0.3 -1/2",
        ] {
            parse(text).unwrap_err();
        }
    }
}
