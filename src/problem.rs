//! The failures of a run, their consequences, and when to print them.

use std::collections::{BTreeMap, BTreeSet};
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
    /// A table, by name: `table jobs`.
    Table(String),
    /// The pruning of a sink's old points: `pruning embedded`.
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
    /// The lock of the program.
    Lock,
    /// The state directory, which another host uses too.
    SharedState,
    /// The state directory that the user's programs used before.
    FormerState,
    /// The mail server.
    Mail,
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name) | Self::Sink(name) => out.write_str(name),
            Self::Replay(sink) => write!(out, "replay to {sink}"),
            Self::Table(name) => write!(out, "table {name}"),
            Self::Pruning(sink) => write!(out, "pruning {sink}"),
            Self::Account(sink) => write!(out, "account of {sink}"),
            Self::Spool => out.write_str("spool"),
            Self::SpoolLimit => out.write_str("spool limit"),
            Self::Batch(name) => write!(out, "batch {name}"),
            Self::DroppedPoints => out.write_str("points dropped"),
            Self::Memory(name) => write!(out, "memory of {name}"),
            Self::Lock => out.write_str("lock"),
            Self::SharedState => out.write_str("shared state directory"),
            Self::FormerState => out.write_str("former state directory"),
            Self::Mail => out.write_str("mail"),
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
    /// Whether somebody else says it: it is printed only by a run that prints everything.
    pub is_quiet: bool,
    /// The part that failed for those who count the runs in which it did, if that is a larger one.
    pub counts_as: Option<&'static str>,
    /// The source that was asked, as its program names it; empty if none was.
    pub source: String,
    /// Whether that source gave nothing: then nobody knows of its other parts whether they would have failed.
    pub is_whole: bool,
    /// Whether nothing failed, and the part was not asked: nobody knows whether it would have failed.
    pub is_unasked: bool,
}

impl Problem {
    /// Creates a problem of `subject`, with the text of `error`.
    pub fn new(subject: Subject, error: impl fmt::Display) -> Self {
        Self {
            subject,
            message: error.to_string(),
            is_quiet: false,
            counts_as: None,
            source: String::new(),
            is_whole: false,
            is_unasked: false,
        }
    }

    /// Notes that a run did not ask `subject`, nor what is asked by means of it: none of them fails, and none has recovered.
    pub fn unasked(subject: Subject) -> Self {
        Self { is_unasked: true, ..Self::new(subject, "") }
    }

    /// Lets somebody else say it.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    /// Lets it count as one of `part`, which fails for as long as any of its own does.
    #[must_use]
    pub fn counting_as(self, part: &'static str) -> Self {
        Self { counts_as: Some(part), ..self }
    }

    /// Notes which source was asked, unless that is known, and whether it gave nothing.
    #[must_use]
    pub fn asked_of(mut self, source: &str, is_whole: bool) -> Self {
        if self.source.is_empty() {
            self.source = source.into();
        }
        self.is_whole |= is_whole;
        self
    }

    /// Creates the problem of a sensor that gave nothing.
    pub fn of_sensor(name: &str, error: impl fmt::Display) -> Self {
        Self::of_source(format!("sensor {name}"), error).asked_of(name, true)
    }

    /// Creates a problem of the source, or part of a source, called `name`.
    pub fn of_source(name: impl Into<String>, error: impl fmt::Display) -> Self {
        Self::new(Subject::Source(name.into()), error)
    }
}

/// Returns the failures among the problems of a run.
pub fn failures(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(|problem| !problem.is_unasked)
}

/// The parts of which a run does not know whether they fail: those that it did not ask, and those of sources that gave nothing.
pub struct Unknown(BTreeSet<String>);

impl Unknown {
    /// Returns those of a run with these problems.
    pub fn of(problems: &[Problem]) -> Self {
        let unasked = problems.iter().filter(|problem| problem.is_unasked).map(|problem| problem.subject.to_string());
        let silent = problems.iter().filter(|problem| problem.is_whole).map(|problem| problem.source.clone());
        Self(unasked.chain(silent).collect())
    }

    /// Whether the part `subject`, which was asked of `source`, is one of them.
    pub fn has(&self, subject: &str, source: &str) -> bool {
        self.0.contains(subject) || self.0.contains(source)
    }
}

/// Splits the answer of a source that has no partial answers into the form that [`Asked`] is made from.
///
/// ```
/// use gridmon::problem::{Problem, whole};
///
/// let failed: Result<u32, Problem> = Err(Problem::of_source("uptime", "the file is empty; the uptime is missing"));
/// let (answer, problems) = whole(failed);
/// assert_eq!(answer, None, "a source that fails returns a problem, never zeros");
/// assert_eq!(problems[0].message, "the file is empty; the uptime is missing");
/// ```
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
    #[serde(rename = "words")]
    pub message: String,
    /// The source that was asked; empty if none was, and in a report of an earlier version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// The interval at which a lasting failure is printed again, in seconds.
const AGAIN: i64 = 3600;

/// The time of the last run that printed a failure which none did.
const UNSAID: i64 = i64::MIN;

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

/// A line about a failure, to be printed as `SUBJECT: TEXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    subject: String,
    text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.subject, self.text)
    }
}

/// Whether a subject, as it is kept in the state, is something that happened rather than a part that failed.
fn is_event(subject: &str) -> bool {
    let events = [Subject::DroppedPoints, Subject::SpoolLimit, Subject::Lock].map(|event| event.to_string());
    events.iter().any(|event| event == subject)
}

/// Returns the lines to print about a run's problems, and the current failures, given those of the last run.
///
/// A failure is printed when it begins, again as `repeat` says, and when it ends. One of which this run knows nothing has not
/// ended: it stays, in silence.
pub fn notify(
    before: &BTreeMap<String, Failing>,
    problems: &[Problem],
    now: i64,
    repeat: Repeat,
) -> (Vec<Line>, BTreeMap<String, Failing>) {
    let mut lines = Vec::new();
    let mut failing = BTreeMap::new();
    for Problem { subject, message, is_quiet, source, .. } in failures(problems) {
        let subject = subject.to_string();
        let known = before.get(&subject);
        let mut state = known.cloned().unwrap_or(Failing { since: now, said: UNSAID, ..Failing::default() });
        // The clock of the run that saw it first was ahead.
        state.since = state.since.min(now);
        state.message.clone_from(message);
        state.source.clone_from(source);
        let is_due = match repeat {
            Repeat::Always => true,
            _ if *is_quiet => false,
            // A clock that was set back must not silence the failure until the clock has caught up.
            Repeat::Hourly => !(0..AGAIN).contains(&now.saturating_sub(state.said)),
            Repeat::Never => known.is_none(),
        };
        if is_due {
            let lasting = if state.since < now { format!(", for {}", ago(now - state.since)) } else { String::new() };
            lines.push(Line { subject: subject.clone(), text: format!("{message}{lasting}") });
            if !is_quiet {
                state.said = now;
            }
        }
        failing.insert(subject, state);
    }
    let unknown = Unknown::of(problems);
    for (subject, state) in before {
        if failing.contains_key(subject) {
            continue;
        }
        if unknown.has(subject, &state.source) {
            failing.insert(subject.clone(), state.clone());
            continue;
        }
        // What happened once cannot work again.
        if is_event(subject) || state.said == UNSAID {
            continue;
        }
        let lasted = now - state.since;
        let after = if lasted > 0 { format!(" after {}", ago(lasted)) } else { String::new() };
        lines.push(Line { subject: subject.clone(), text: format!("works again{after}") });
    }
    (lines, failing)
}

/// The most lines of the same kind that are printed as such.
const MOST_ALIKE: usize = 3;

/// Makes one line of more than three that say the same of subjects of one kind: 200 schedds that hang are one failure to
/// the reader. It has the text of the first one and the names of the next two.
pub fn fold(lines: Vec<Line>) -> Vec<Line> {
    // `schedd` of `schedd ce01.example.org`, and the text without numbers and what it quotes.
    let kind = |line: &Line| {
        let subject = line.subject.rsplit_once(' ').map(|(kind, _)| kind.to_string());
        let said = line.text.split('"').step_by(2).flat_map(str::chars).filter(|c| !c.is_ascii_digit() && *c != '.');
        subject.map(|subject| (subject, said.collect::<String>()))
    };
    let mut alike = BTreeMap::<_, Vec<usize>>::new();
    for (at, line) in lines.iter().enumerate() {
        alike.entry(kind(line).ok_or(at)).or_default().push(at);
    }
    let mut groups: Vec<_> = alike.into_values().collect();
    groups.sort();
    let name = |at: &usize| lines[*at].subject.rsplit(' ').next().unwrap_or_default();
    let folded = groups.into_iter().flat_map(|group| match group.as_slice() {
        [first, second, third, ..] if group.len() > MOST_ALIKE => {
            let Line { subject, text } = &lines[*first];
            let others = format!("{} more ({}, {}, …)", group.len() - 1, name(second), name(third));
            vec![Line { subject: format!("{subject} and {others}, which --verbose names"), text: text.clone() }]
        }
        _ => group.iter().map(|at| lines[*at].clone()).collect(),
    });
    folded.collect()
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
            lines.iter().map(Line::to_string).collect::<Vec<_>>()
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
        assert!(run(&dead, 1440).len() == 1);
        assert_eq!(run(&both, 2000).len(), 2);
        assert_eq!(run(&dead, 7), ["schedd a: no answer, for 2 min", "carbon: works again"], "a run was a day ahead");
        assert_eq!(run(&[], 8), ["schedd a: works again after 3 min"]);
    }

    #[test]
    fn many_failures_of_one_kind_are_one_line_and_keep_their_subjects() {
        let problem = |at: usize, why: &str| Problem::of_source(format!("schedd ce{at}"), why);
        let hung = "condor_q gave no answer in 20 s; its jobs are missing";
        let mut problems: Vec<_> = (0..200).map(|at| problem(at, hung)).collect();
        problems.insert(100, Problem::of_source("pool a", "refused"));
        problems[7] = problem(7, "condor_q gave no answer in 3.1 s; its jobs are missing");
        problems.extend((200..203).map(|at| problem(at, "ended with \"x\"")));
        let folded = |lines| fold(lines).iter().map(Line::to_string).collect::<Vec<_>>();
        let (lines, failing) = notify(&BTreeMap::new(), &problems, 0, Repeat::Hourly);
        assert_eq!(
            folded(lines),
            [
                format!("schedd ce0 and 199 more (ce1, ce2, …), which --verbose names: {hung}").as_str(),
                "pool a: refused",
                "schedd ce200: ended with \"x\"",
                "schedd ce201: ended with \"x\"",
                "schedd ce202: ended with \"x\"",
            ]
        );
        assert_eq!(failing.len(), 204);
        // One more begins while the others last; then all but one are over.
        problems.push(problem(300, hung));
        let (lines, failing) = notify(&failing, &problems, 60, Repeat::Hourly);
        assert_eq!(folded(lines), [format!("schedd ce300: {hung}")]);
        let (lines, _) = notify(&failing, &problems[204..], 120, Repeat::Hourly);
        assert_eq!(
            folded(lines),
            [
                "pool a: works again after 2 min",
                "schedd ce0 and 202 more (ce1, ce10, …), which --verbose names: works again after 2 min"
            ]
        );
    }

    #[test]
    fn a_failure_that_somebody_else_says_is_kept_in_silence() {
        let quiet = [Problem::of_source("node a", "refused").quiet()];
        let (lines, failing) = notify(&BTreeMap::new(), &quiet, 0, Repeat::Hourly);
        assert_eq!((lines.len(), failing["node a"].message.as_str()), (0, "refused"));
        let (lines, failing) = notify(&failing, &quiet, 7200, Repeat::Hourly);
        assert_eq!((lines.len(), failing["node a"].since), (0, 0));
        assert_eq!(notify(&failing, &quiet, 7200, Repeat::Always).0.len(), 1);
        assert_eq!(notify(&failing, &[], 9000, Repeat::Hourly), (Vec::new(), BTreeMap::new()));
    }

    #[test]
    fn a_part_of_a_source_that_gave_nothing_has_not_recovered() {
        let odd = Problem::of_source("count A/s/r/x", "is null").asked_of("panda", false);
        let down = Problem::of_source("panda", "no answer").asked_of("panda", true);
        let site = Problem::of_source("cric site", "no answer").asked_of("cric", false);
        let (_, failing) = notify(&BTreeMap::new(), &[odd, site], 0, Repeat::Hourly);
        let said = |lines: &[Line]| lines.iter().map(Line::to_string).collect::<Vec<_>>();
        let (lines, failing) = notify(&failing, &[down], 600, Repeat::Hourly);
        assert_eq!(said(&lines), ["panda: no answer", "cric site: works again after 10 min"]);
        assert_eq!((failing.len(), failing["count A/s/r/x"].since), (2, 0));
        let (lines, failing) = notify(&failing, &[], 1200, Repeat::Hourly);
        let both = ["count A/s/r/x: works again after 20 min", "panda: works again after 10 min"];
        assert_eq!((said(&lines), failing.len()), (both.map(String::from).to_vec(), 0));
    }

    #[test]
    fn a_part_that_was_not_asked_neither_fails_nor_has_recovered() {
        let replay = Subject::Replay("carbon".into());
        let batch = Problem::new(Subject::Batch("7".into()), "it waits").asked_of(&replay.to_string(), false);
        let fails = [Problem::of_source("slurm jobs", "hung"), Problem::new(replay.clone(), "refused"), batch];
        let unasked = [Subject::Source("slurm jobs".into()), replay].map(Problem::unasked);
        assert_eq!(failures(&unasked).count(), 0);
        assert_eq!(notify(&BTreeMap::new(), &unasked, 0, Repeat::Always), (Vec::new(), BTreeMap::new()));
        let (_, failing) = notify(&BTreeMap::new(), &fails, 0, Repeat::Hourly);
        assert_eq!(notify(&failing, &unasked, 60, Repeat::Hourly), (Vec::new(), failing.clone()));
        let both: Vec<_> = fails.into_iter().chain(unasked).collect();
        assert_eq!(notify(&failing, &both, 60, Repeat::Hourly).1.len(), 3, "one that failed all the same");
        assert_eq!(notify(&failing, &[], 120, Repeat::Hourly).0.len(), 3);
    }

    #[test]
    fn what_was_dropped_does_not_work_again() {
        let events = [Subject::DroppedPoints, Subject::SpoolLimit];
        let events = events.map(|subject| Problem::new(subject, "gone"));
        let (lines, failing) = notify(&BTreeMap::new(), &events, 0, Repeat::Hourly);
        assert_eq!(lines.len(), 2);
        assert_eq!(notify(&failing, &[], 60, Repeat::Hourly), (Vec::new(), BTreeMap::new()));
    }
}
