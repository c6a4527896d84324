//! The failures of a run, their consequences, and when to print them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::ago;

/// The part of a program that failed. Its text stays the same while the failure lasts, since it is the key in the state
/// file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A source or a part of it: `schedd ce01.example.org`.
    Source(String),
    /// A sink, by name: `carbon`.
    Sink(String),
    /// The replay of waiting batches to a sink: `replay to carbon`.
    Replay(String),
    /// The pruning of a sink's old points: `tidying embedded`.
    Pruning(String),
    /// A sink's account of the points: `account of carbon`.
    Account(String),
    /// The spool.
    Spool,
    /// The limits of the spool.
    SpoolLimit,
    /// A batch of the spool, by file name.
    Batch(String),
    /// The points that were dropped, by name.
    DroppedPoints,
    /// A stored value for later runs: `memory of series`.
    Memory(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name) | Self::Sink(name) => out.write_str(name),
            Self::Replay(sink) => write!(out, "replay to {sink}"),
            Self::Pruning(sink) => write!(out, "tidying {sink}"),
            Self::Account(sink) => write!(out, "account of {sink}"),
            Self::Spool => out.write_str("spool"),
            Self::SpoolLimit => out.write_str("spool limit"),
            Self::Batch(name) => write!(out, "batch {name}"),
            Self::DroppedPoints => out.write_str("points dropped"),
            Self::Memory(name) => write!(out, "memory of {name}"),
        }
    }
}

/// A failure, with its consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part that failed.
    pub subject: Subject,
    /// The message, to follow the subject and a colon.
    pub message: String,
}

impl Problem {
    /// Creates a problem of `subject`, with the text of `error`.
    pub fn new(subject: Subject, error: impl fmt::Display) -> Self {
        Self { subject, message: error.to_string() }
    }

    /// Creates a problem of the source, or part of a source, called `name`.
    pub fn of_source(name: impl Into<String>, error: impl fmt::Display) -> Self {
        Self::new(Subject::Source(name.into()), error)
    }
}

/// Splits the answer of a source that has no partial answers into the form that [`Asked`] is made from.
pub fn whole<T>(answer: Result<T, Problem>) -> (Option<T>, Vec<Problem>) {
    match answer {
        Ok(answer) => (Some(answer), Vec::new()),
        Err(problem) => (None, vec![problem]),
    }
}

/// The result of querying a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<T> {
    /// The config does not select the source.
    Not,
    /// The source did not answer.
    Failed,
    /// The source's answer.
    Answered(T),
}

impl<T> Asked<T> {
    /// Borrows the answer.
    pub fn as_ref(&self) -> Asked<&T> {
        match self {
            Self::Not => Asked::Not,
            Self::Failed => Asked::Failed,
            Self::Answered(answer) => Asked::Answered(answer),
        }
    }

    /// Applies `change` to the answer.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Asked<U> {
        match self {
            Self::Not => Asked::Not,
            Self::Failed => Asked::Failed,
            Self::Answered(answer) => Asked::Answered(change(answer)),
        }
    }

    /// Returns the answer, if the source answered.
    pub fn answer(self) -> Option<T> {
        match self {
            Self::Answered(answer) => Some(answer),
            Self::Not | Self::Failed => None,
        }
    }
}

/// A failure that may last over many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The first run with this failure, in unix seconds.
    pub since: i64,
    /// The last run that printed it, in unix seconds.
    pub said: i64,
    /// The message of the reported run.
    pub words: String,
}

/// The interval at which a lasting failure is printed again, in seconds.
const AGAIN: i64 = 3600;

/// How often a lasting failure is printed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// In every run.
    Always,
    /// Once an hour, since cron mails all output.
    Hourly,
    /// Never: a service logs only changes of state.
    Never,
}

/// Returns the lines to print about a run's problems, and the current failures, given those of the last run.
///
/// A failure is printed when it begins, again as `repeat` says, and when it ends.
pub fn notify(
    before: &BTreeMap<String, Failing>,
    problems: &[Problem],
    now: i64,
    repeat: Repeat,
) -> (Vec<String>, BTreeMap<String, Failing>) {
    let mut lines = Vec::new();
    let mut failing = BTreeMap::new();
    for Problem { subject, message } in problems {
        let subject = subject.to_string();
        let known = before.get(&subject);
        let mut state = known.cloned().unwrap_or(Failing { since: now, said: i64::MIN, words: String::new() });
        state.words.clone_from(message);
        let is_due = match repeat {
            Repeat::Always => true,
            // A clock that was set back must not silence the failure until the clock has caught up.
            Repeat::Hourly => !(0..AGAIN).contains(&now.saturating_sub(state.said)),
            Repeat::Never => known.is_none(),
        };
        if is_due {
            let lasting = if state.since < now { format!(", for {}", ago(now - state.since)) } else { String::new() };
            lines.push(format!("{subject}: {message}{lasting}"));
            state.said = now;
        }
        failing.insert(subject, state);
    }
    // What was dropped once does not work again.
    let is_event =
        |subject: &str| [Subject::DroppedPoints, Subject::SpoolLimit].iter().any(|event| event.to_string() == subject);
    for (subject, state) in before.iter().filter(|(subject, _)| !failing.contains_key(*subject) && !is_event(subject)) {
        let lasted = if now > state.since { format!(" after {}", ago(now - state.since)) } else { String::new() };
        lines.push(format!("{subject}: works again{lasted}"));
    }
    (lines, failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_failure_speaks_at_its_onset_hourly_and_at_its_end() {
        let dead = [Problem::of_source("schedd a", "no answer")];
        let both = [Problem::of_source("schedd a", "refused"), Problem::of_source("carbon", "refused")];
        let mut failing = BTreeMap::new();
        let mut run = |problems: &[Problem], minute: i64| {
            let (lines, after) = notify(&failing, problems, minute * 60, Repeat::Hourly);
            failing = after;
            lines
        };
        assert_eq!(run(&dead, 0), ["schedd a: no answer"]);
        assert!(run(&dead, 1).is_empty());
        assert_eq!(run(&both, 2), ["carbon: refused"], "what begins later has an onset of its own");
        assert!(run(&both, 59).is_empty());
        assert_eq!(run(&both, 60), ["schedd a: refused, for 60 min"]);
        assert_eq!(run(&dead, 61), ["carbon: works again after 59 min"]);
        assert!(run(&dead, 62).is_empty());
        assert_eq!(run(&[], 130), ["schedd a: works again after 2 h 10 min"]);
        assert!(run(&[], 131).is_empty());
        assert_eq!(run(&dead, 132), ["schedd a: no answer"]);
        assert_eq!(run(&dead, 5), ["schedd a: no answer"], "the clock was set back");
        assert!(run(&dead, 6).is_empty());
        assert_eq!(run(&[], 5), ["schedd a: works again"], "no time has passed");
    }

    #[test]
    fn what_was_dropped_does_not_work_again() {
        let dropped = [Subject::DroppedPoints, Subject::SpoolLimit].map(|subject| Problem::new(subject, "one point"));
        let (lines, failing) = notify(&BTreeMap::new(), &dropped, 0, Repeat::Hourly);
        assert_eq!(lines, ["points dropped: one point", "spool limit: one point"]);
        assert_eq!(notify(&failing, &[], 60, Repeat::Hourly), (Vec::new(), BTreeMap::new()));
    }
}
