//! Mail about sources and sinks: one when a part has failed in three runs on end, one when it was good in three.
//!
//! ```text
//! run        1      2      3      4      5      6      7      8
//! panda      good   fails  fails  fails  good   good   good   good
//! mail                            fails                works again
//! ```
//!
//! What a mail is about to say is written down before it is sent: a run that is killed in between costs a mail, where the
//! other order would send it in every run. A message that the server does not have for sure is sent by the next run.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::utc;
use crate::os::mail::{Mail, Server, Unsent, is_address};
use crate::problem::{Failing, Problem, Repeat, Subject, Unknown, failures, notify};
use crate::text::{ago, one_line};

/// `[mail]`.
pub const SECTION: Section = Section::new(
    "mail",
    "Sends a mail when a source or sink has failed in three runs on end, and one when three runs on end were good.",
    &[
        Key::new(
            "host",
            Kind::Host,
            Unset::Absent("smtp.example.org"),
            "The SMTP server that takes the mail. Without it none is sent.",
        ),
        Key::new("port", Kind::Port, Unset::Default("587"), "Its port."),
        Key::new("from", Kind::Text, Unset::Absent("gridmon@example.org"), "The sender's address."),
        Key::new(
            "to",
            Kind::List,
            Unset::Absent("operators@example.org"),
            "The addresses of those who get the mail, separated by commas.",
        ),
        Key::new("username", Kind::Text, Unset::Absent("gridmon"), LOGIN),
        Key::new("password", Kind::Secret, Unset::Absent("change-me"), LOGIN),
        Key::new(
            "tls",
            Kind::Word(&["starttls", "off"]),
            Unset::Default("starttls"),
            "starttls encrypts the session and verifies the server's certificate. off does neither, and is for a server on this \
             machine alone.",
        ),
    ],
);

const LOGIN: &str = "The login that the server asks for; default: that of [credentials_adcmon], else none.";

/// `[credentials_adcmon]`.
pub const CREDENTIALS: Section = Section::new(
    "credentials_adcmon",
    "QMonit's login to its mail server, for [mail] with tls = starttls unless that has its own. Alone it selects nothing.",
    &[
        Key::new(
            "username",
            Kind::Text,
            Unset::Absent("adcmon@example.org"),
            "The name to log in with; default: the sender of [mail].",
        ),
        Key::new("password", Kind::Secret, Unset::Absent("change-me"), "The password."),
    ],
)
.with_free_keys("Other keys of QMonit's config.cfg may stand here too; nothing uses them.", &[]);

/// Reads `[mail]`, and from `[credentials_adcmon]` the login that it leaves out; returns `None` unless it names a host.
///
/// # Errors
/// Fails if a value is not of its key's kind, if sender or recipient is missing, if the login is not whole, or if a session
/// to another machine would not be encrypted.
pub fn read(values: &Values, credentials: &Values) -> Result<Option<Server>> {
    let (host, port) = (values.text("host")?, values.port("port")?);
    let (from, to) = (values.text("from")?, values.list("to")?);
    let is_encrypted = values.word("tls")? == "starttls";
    let login = login(values, credentials, is_encrypted, from.as_deref())?;
    let Some(host) = host else { return Ok(None) };
    let lacks = |what: &str| values.error("host", anyhow!("needs {what}"));
    let from = from.ok_or_else(|| lacks("from beside it, the sender's address"))?;
    values.check("from", is_address(&from), "an address such as gridmon@example.org")?;
    if to.is_empty() {
        return Err(lacks("to beside it, the addresses of those who get the mail"));
    }
    let are_addresses = to.iter().all(|one| is_address(one));
    values.check("to", are_addresses, "addresses such as operators@example.org, separated by commas")?;
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !is_encrypted && !is_here {
        let message = "off is for a server on this machine alone (localhost, 127.0.0.1, ::1); leave it out";
        return Err(values.error("tls", anyhow!(message)));
    }
    Ok(Some(Server { host, port, is_encrypted, login, from, to }))
}

/// Reads the login. QMonit's was that of the sender.
fn login(
    values: &Values,
    credentials: &Values,
    is_encrypted: bool,
    from: Option<&str>,
) -> Result<Option<(String, String)>> {
    let (username, password) = (values.text("username")?, values.secret("password")?);
    let (other_username, other_password) = (credentials.text("username")?, credentials.secret("password")?);
    let is_own = username.is_some() || password.is_some();
    if !is_own && !is_encrypted {
        return Ok(None);
    }
    let username = username.or(other_username).or(from.map(String::from));
    match (username, password.or(other_password)) {
        (Some(username), Some(password)) => {
            let is_text = !format!("{username}{}", password.0).contains(char::is_control);
            values.check("username", is_text, "a login without control characters")?;
            Ok(Some((username, password.0)))
        }
        (_, None) if is_own => Err(values.error("username", anyhow!("needs password beside it"))),
        _ => Ok(None),
    }
}

/// How many runs on end must fail, or be good, before a mail says so.
const RUNS: u32 = 3;

/// The most mails of a program and grid in a day, by UTC.
const MOST_A_DAY: u32 = 10;

/// The longest time that a mail takes from a run.
pub(super) const LONGEST: Duration = Duration::from_secs(20);

/// The name of the stored [`Alarms`].
const STORED: &str = "mail";

/// What is known of the parts that failed lately, and of the mails about them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Alarms {
    /// The day of the last mail, in days since 1970.
    day: i64,
    /// How many mails were sent on it.
    sent: u32,
    /// The parts that failed lately, by name.
    parts: BTreeMap<String, Part>,
    /// The failure of the mail server itself.
    failing: BTreeMap<String, Failing>,
}

/// A source or sink that failed lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Part {
    /// The first failed run of those on end, in unix seconds.
    since: i64,
    /// How many runs failed on end; 0 if the last one was good.
    failed: u32,
    /// How many runs were good on end.
    good: u32,
    /// What the last failed run said.
    message: String,
    /// The source that was asked; empty if none was.
    source: String,
    /// Whether it has failed three times on end, and was not good three times on end since.
    is_down: bool,
    /// Whether a mail has said so.
    is_told: bool,
}

/// Sends the mail that a run with these problems must send, at most until `until`. Returns what is to be printed about it.
pub(super) fn tell(
    state: &State,
    server: &Server,
    problems: &[Problem],
    origin: &Origin<'_>,
    until: Instant,
) -> Vec<String> {
    let mut lines = Vec::new();
    let kept = state.recall::<Alarms>(STORED).unwrap_or_else(|error| {
        lines.push(format!("mail: {error:#}; what failed before is not known"));
        Alarms::default()
    });
    let mut alarms = kept.clone();
    alarms.observe(problems, origin.now);
    let untold = alarms.clone();
    let mail = alarms.take(origin);
    // A mail that is not written down would be sent by every run.
    if alarms != kept
        && let Err(error) = state.remember(STORED, &alarms)
    {
        lines.push(format!("mail: {error:#}; no mail is sent"));
        return lines;
    }
    let Some(mail) = mail else { return lines };
    let written = alarms.clone();
    lines.extend(alarms.send(server, &mail, untold, until, origin.now));
    if alarms != written
        && let Err(error) = state.remember(STORED, &alarms)
    {
        lines.push(format!("mail: {error:#}"));
    }
    lines
}

/// Which run this is, for the text of a mail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub program: &'a str,
    pub scope: &'a str,
    pub host: &'a str,
    /// The run's clock, in unix seconds.
    pub now: i64,
}

/// The parts that a mail must name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Due {
    failing: Vec<String>,
    working: Vec<String>,
}

impl Alarms {
    /// Takes in the problems of a run. A part of which the run knows nothing was neither good nor did it fail.
    fn observe(&mut self, problems: &[Problem], now: i64) {
        let mut failing = BTreeMap::new();
        for problem in failures(problems)
            .filter(|one| !one.is_quiet && matches!(one.subject, Subject::Source(_) | Subject::Sink(_)))
        {
            let (name, message) = match problem.counts_as {
                Some(part) => (part.to_string(), format!("{}: {}", problem.subject, problem.message)),
                None => (problem.subject.to_string(), problem.message.clone()),
            };
            failing.entry(name).or_insert((message, &problem.source));
        }
        for (name, (message, source)) in &failing {
            let part = self.parts.entry(name.clone()).or_default();
            if part.failed == 0 && !part.is_down {
                part.since = now;
            }
            (part.failed, part.good) = (part.failed.saturating_add(1), 0);
            part.message = one_line(message);
            part.source.clone_from(source);
            part.is_down |= part.failed >= RUNS;
        }
        let unknown = Unknown::of(problems);
        let is_good = |name: &str, part: &Part| !failing.contains_key(name) && !unknown.has(name, &part.source);
        for (_, part) in self.parts.iter_mut().filter(|(name, part)| is_good(name, part)) {
            (part.failed, part.good) = (0, part.good.saturating_add(1));
        }
        // Nobody was told of these, and nothing is to be said any more.
        self.parts.retain(|_, part| part.failed > 0 || part.is_down && (part.is_told || part.good < RUNS));
    }

    /// Returns what is to be said now.
    fn due(&self) -> Due {
        let names = |fits: fn(&Part) -> bool| {
            self.parts.iter().filter(|(_, part)| fits(part)).map(|(name, _)| name.clone()).collect()
        };
        Due {
            failing: names(|part| part.is_down && !part.is_told && part.failed > 0),
            working: names(|part| part.is_told && part.good >= RUNS),
        }
    }

    /// Returns the mail that this run must send, and notes that it was sent; `None` if there is nothing to say, or if it
    /// was said often enough today.
    fn take(&mut self, origin: &Origin<'_>) -> Option<Mail> {
        let due = self.due();
        let day = origin.now.div_euclid(86_400);
        let sent = if day == self.day { self.sent } else { 0 };
        if due == Due::default() || sent >= MOST_A_DAY {
            return None;
        }
        (self.day, self.sent) = (day, sent + 1);
        let mail = self.compose(&due, origin);
        for name in &due.failing {
            self.parts.entry(name.clone()).and_modify(|part| part.is_told = true);
        }
        self.parts.retain(|name, _| !due.working.contains(name));
        Some(mail)
    }

    fn compose(&self, due: &Due, origin: &Origin<'_>) -> Mail {
        let Origin { program, scope, host, now } = *origin;
        let verb = |names: &[String], one: &str, many: &str| match names {
            [] => None,
            [name] => Some(format!("{name} {one}")),
            [first, rest @ ..] => Some(format!("{first} and {} more {many}", rest.len())),
        };
        let said = [verb(&due.failing, "fails", "fail"), verb(&due.working, "works again", "work again")];
        let said = said.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let mut lines = vec![format!("{program} of {scope} on {host}, run of {}:", utc(now)), String::new()];
        for name in &due.failing {
            let Part { since, message, .. } = &self.parts[name];
            lines.push(format!("{name} has failed since {}: {message}", utc(*since)));
        }
        for name in &due.working {
            let lasted = (now - self.parts[name].since).max(0);
            lines.push(format!("{name} works again, {} after it failed first", ago(lasted)));
        }
        lines.push(String::new());
        lines.push(format!(
            "A source or sink is named here when it has failed in {RUNS} runs on end, and when {RUNS} runs on end were good. \
             gridmon-status shows what fails now, and what waits for a sink."
        ));
        if self.sent == MOST_A_DAY {
            lines.push(format!(
                "This is the last of {MOST_A_DAY} mails that {program} sends a day; what comes is said after 00:00 UTC."
            ));
        }
        Mail::compose(&format!("[gridmon {scope}] {program} on {host}: {said}"), lines.iter().map(String::as_str))
    }

    /// Sends a mail that [`Alarms::take`] gave. `self` may be `before` again if it was not sent. Returns what is to be
    /// printed about it.
    fn send(&mut self, server: &Server, mail: &Mail, before: Self, until: Instant, now: i64) -> Vec<String> {
        let limit = LONGEST.min(until.saturating_duration_since(Instant::now()));
        let known = std::mem::take(&mut self.failing);
        let problems: Vec<_> = match server.send(mail, limit) {
            Ok(refusals) => refusals,
            Err(unsent) => {
                let text = format!("{unsent}; what fails is not told by mail");
                if let Unsent::Rejected(_) = unsent {
                    *self = before;
                }
                vec![text]
            }
        };
        let problems: Vec<_> = problems.iter().map(|text| Problem::new(Subject::Mail, text)).collect();
        let (lines, failing) = notify(&known, &problems, now, Repeat::Hourly);
        self.failing = failing;
        lines.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_717_245_000;

    fn origin(now: i64) -> Origin<'static> {
        Origin { program: "collect-panda", scope: "atlas", host: "h", now }
    }

    /// The mails of runs, a minute apart: `f` for one in which the source fails, `g` for a good one.
    fn mails(alarms: &mut Alarms, runs: &str) -> Vec<usize> {
        let mut sent = Vec::new();
        for (at, run) in runs.chars().enumerate() {
            let problems = if run == 'f' { vec![Problem::of_source("panda", "no answer")] } else { Vec::new() };
            alarms.observe(&problems, NOW + 60 * at as i64);
            if alarms.take(&origin(NOW + 60 * at as i64)).is_some() {
                sent.push(at);
            }
        }
        sent
    }

    #[test]
    fn three_failed_runs_on_end_are_one_mail_and_three_good_ones_another() {
        for (runs, expected) in [
            ("gfffffggggg", vec![3, 8]),
            ("ffgffgffgfg", vec![]),
            ("fffgfggfggg", vec![2, 10]),
            ("fffggfffggg", vec![2, 10]),
            ("fffgggfffggg", vec![2, 5, 8, 11]),
        ] {
            let mut alarms = Alarms::default();
            assert_eq!(mails(&mut alarms, runs), expected, "{runs}");
            assert!(alarms.parts.is_empty(), "{runs}: nothing is left to know");
        }
    }

    #[test]
    fn parts_that_fail_by_turns_count_as_what_they_are_parts_of() {
        let mut alarms = Alarms::default();
        let mut mails = Vec::new();
        for at in 0..6_i64 {
            let names = [format!("count A/s/r/{at}"), format!("count B/s/r/{at}")];
            let problems = names.map(|name| Problem::of_source(name, "is null").counting_as("counts of panda"));
            alarms.observe(&problems, NOW + at);
            mails.extend(alarms.take(&origin(NOW + at)).map(|mail| (at, mail)));
        }
        let [(2, mail)] = mails.as_slice() else { panic!("{mails:?}") };
        let text = format!("{mail:?}");
        assert!(text.contains("counts of panda has failed since") && text.contains("count A/s/r/2: is null"), "{text}");
    }

    #[test]
    fn a_run_in_which_the_source_gave_nothing_is_neither_good_nor_bad_for_its_parts() {
        // `o` an odd count, `d` PanDA down, `u` nothing asked of it, `g` a good run.
        for (runs, expected) in [
            ("ododo", vec!["counts fails"]),
            ("ooodddooggg", vec!["counts fails", "panda fails", "panda works", "counts works"]),
            ("ooogdgdg", vec!["counts fails", "counts works"]),
            ("uouououuguguug", vec!["counts fails", "counts works"]),
        ] {
            let (mut alarms, mut said) = (Alarms::default(), Vec::new());
            for (at, run) in runs.chars().enumerate() {
                let problems = match run {
                    'o' => vec![Problem::of_source("count", "null").counting_as("counts").asked_of("panda", false)],
                    'd' => vec![Problem::of_source("panda", "no answer").asked_of("panda", true)],
                    'u' => vec![Problem::unasked(Subject::Source("counts".into()))],
                    _ => Vec::new(),
                };
                alarms.observe(&problems, NOW + at as i64);
                let due = alarms.due();
                said.extend(due.failing.iter().map(|name| format!("{name} fails")));
                said.extend(due.working.iter().map(|name| format!("{name} works")));
                alarms.take(&origin(NOW + at as i64));
            }
            assert_eq!(said, expected, "{runs}");
        }
    }

    #[test]
    fn what_is_no_source_and_no_sink_is_no_alarm() {
        let mut alarms = Alarms::default();
        let problems = [Problem::new(Subject::Spool, "full"), Problem::new(Subject::DroppedPoints, "m")];
        for _ in 0..5 {
            alarms.observe(&problems, NOW);
            assert_eq!(alarms.take(&origin(NOW)), None);
        }
        assert_eq!(alarms, Alarms::default());
    }

    #[test]
    fn what_nobody_could_be_told_is_told_later_or_never() {
        // No mail goes out before run 4, in which the source is good.
        let (mut alarms, fails) = (Alarms::default(), [Problem::of_source("panda", "no answer")]);
        for at in 0..4 {
            alarms.observe(&fails, NOW + at);
        }
        alarms.observe(&[], NOW + 4);
        assert_eq!(alarms.due(), Due::default(), "it does not fail now");
        alarms.observe(&fails, NOW + 5);
        assert_eq!(alarms.due().failing, ["panda"], "nor has it recovered");
        for at in 6..9 {
            alarms.observe(&[], NOW + at);
        }
        assert_eq!((alarms.due(), alarms.parts.len()), (Due::default(), 0), "a recovery from what nobody knows");
    }
}
