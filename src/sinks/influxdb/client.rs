//! Requests to InfluxDB, and what its answers mean.
//!
//! ```text
//! 204                                                                          stored
//! 400 {"error":"partial write: points beyond retention policy dropped=1"}      refused in part (1.x)
//! 401 {"error":"authorization failed"}
//! 403 {"error":"\"r\" user is not authorized to write to database \"d\""}
//! 404 {"error":"database not found: \"d\""}
//! 500 {"error":"retention policy not found: 10m"}                              for good, in spite of the 500
//! 422 {"code":"unprocessable entity","message":"failure writing points…"}      refused in part (2.x, from 2.5 on)
//! 429, with Retry-After                                                        too much (2.x, InfluxDB Cloud)
//! ```
//!
//! The first five are recorded from InfluxDB 1.6.7, the last two are written after the documentation of 2.x. Only a 204
//! acknowledges: whatever stands in front of InfluxDB may answer 200 with a page to log in.

use std::fmt;
use std::io::BufReader;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::config::{Config, Peer};
use super::influxql::{self, Rows};
use crate::os::http::{Answer, Client, Failure, Login, NoAnswer};
use crate::sinks::ClosedPlace;
use crate::text::quote_ends;

/// The most bytes of an error that are read: with a bad line in it, it repeats that line.
const LONGEST_ERROR: u64 = 1 << 20;

/// A connection to InfluxDB.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    pub config: &'a Config,
    pub client: &'a Client,
    /// When everything must have ended.
    pub ends: Instant,
}

/// What InfluxDB did with the points of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stored all of them.
    Stored,
    /// It refused some or all of them for good, for this reason.
    Refused(String),
    /// It, or a proxy, takes no body of this size.
    TooLarge(String),
    /// A limit that its operator can raise keeps out some of the points; it may have stored others.
    Full(String),
}

/// The error of an InfluxDB that takes nothing for now, and says for how long.
#[derive(Debug)]
pub(super) struct Busy {
    text: String,
    /// Its `Retry-After`.
    pub retry_after: String,
}

impl fmt::Display for Busy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for Busy {}

/// What a request wants, for the way out of a 403.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Read,
    Write,
}

impl Connection<'_> {
    /// Returns the time that a request has.
    fn left(&self) -> Result<Duration> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("{} has no time left for another request", self.config.name());
        }
        Ok(left.min(Duration::from_secs(self.config.timeout_seconds)))
    }

    /// Writes a body of line protocol.
    ///
    /// # Errors
    /// Fails unless InfluxDB judges the points: with [`ClosedPlace`] if it takes none there.
    pub fn write(&self, database: &str, policy: &str, body: String) -> Result<Verdict> {
        // Beyond this a connection that breaks may mean that the body is too large: the other side need not read it.
        const LARGE: usize = 256 << 10;
        let is_large = body.len() > LARGE;
        // No precision: without it all versions read nanoseconds, and no word for them is known to all.
        let address = self.config.address("write", &[("db", database), ("rp", policy)])?;
        match self.client.send(&address, body, self.left()?) {
            Ok(answer) => {
                self.verdict(answer).with_context(|| format!("{} at {}", self.config.peer.title, self.config.name()))
            }
            Err(error) => match error.downcast_ref::<NoAnswer>().map(|answer| answer.kind) {
                Some(Failure::Broken) if is_large => Ok(Verdict::TooLarge(format!("{error:#}"))),
                _ => Err(error),
            },
        }
    }

    fn verdict(&self, answer: Answer) -> Result<Verdict> {
        if answer.status == 204 {
            return Ok(Verdict::Stored);
        }
        let reply = Reply::of(answer);
        match (reply.status, reply.message.as_deref()) {
            (413, _) => Ok(Verdict::TooLarge(reply.shown())),
            (400 | 422, Some(message)) if is_full(message) => Ok(Verdict::Full(message.into())),
            (400 | 422, Some(message)) if is_about_points(message) => Ok(Verdict::Refused(reason(message))),
            _ => Err(self.explain(&reply, Right::Write)),
        }
    }

    /// Asks a query and calls `each` with its rows as they come.
    ///
    /// # Errors
    /// Fails if InfluxDB does not answer all of it, and if `each` fails.
    pub fn query(&self, database: &str, query: &str, each: impl FnMut(Rows) -> Result<()>) -> Result<()> {
        let parameters = [("db", database), ("q", query), ("epoch", "ns"), ("chunked", "true")];
        let address = self.config.address("query", &parameters)?;
        // Only a POST may change something.
        let answer = if query.starts_with("CREATE ") {
            self.client.send(&address, String::new(), self.left()?)?
        } else {
            self.client.open(&address, self.left()?)?
        };
        let read = if answer.status == 200 {
            influxql::read(BufReader::with_capacity(1 << 16, answer), each)
        } else {
            Err(self.explain(&Reply::of(answer), Right::Read))
        };
        read.with_context(|| format!("{} at {}", self.config.peer.title, self.config.name()))
    }

    /// Asks whether it would write: a body without points.
    ///
    /// # Errors
    /// Fails if it would not.
    pub fn write_nothing(&self, database: &str, policy: &str) -> Result<()> {
        match self.write(database, policy, String::new())? {
            Verdict::Stored => Ok(()),
            Verdict::Refused(why) | Verdict::TooLarge(why) | Verdict::Full(why) => {
                bail!("it refuses a body without points: {why}")
            }
        }
    }

    /// Returns its version, `1.8.10` or `v2.7.1`; empty if it tells none.
    ///
    /// # Errors
    /// Fails if it does not answer.
    pub fn version(&self) -> Result<String> {
        let answer = self.client.open(&self.config.address("ping", &[])?, self.left()?)?;
        Ok(answer.header("x-influxdb-version").unwrap_or_default().into())
    }

    /// Says what an answer means that is neither a result nor about points, and what to do.
    fn explain(&self, reply: &Reply, right: Right) -> anyhow::Error {
        let shown = reply.shown();
        let message = reply.message.as_deref().unwrap_or_default();
        let Peer { title, section, login, .. } = self.config.peer;
        let (asks, refuses) = (
            format!("it asks for a login: set [{section}] {login}"),
            format!("it refuses the login: check [{section}] token"),
        );
        let (is_it, is_address) =
            (format!("is that an {title}?"), format!("is [{section}] url the address of an {title}?"));
        let (is_place, remedy) = match (reply.status, &self.config.login) {
            (401, None) => (false, asks.as_str()),
            (401, Some(Login::Token(_) | Login::Bearer(_))) => (false, refuses.as_str()),
            (401, _) => (false, "it refuses the login: check username and password of [influxdb] or [credentials]"),
            (403, _) if right == Right::Write => (true, "its login may not write there: GRANT WRITE ON it"),
            (403, _) => (
                true,
                "its login may not do that: GRANT READ ON the database, or for --setup a login of an administrator",
            ),
            (404, _) if is_missing(message) => (true, "the database is missing: --setup creates it"),
            (500, _) if is_missing(message) => (true, "the retention policy is missing: --setup creates it"),
            (404, _) => (false, is_address.as_str()),
            (429, _) => (false, "it takes no more for now"),
            (300..=399 | 502..=504, _) => (false, ""),
            (200..=299 | 400..=499, _) => (false, is_it.as_str()),
            // An overloaded server, or a batch that it cannot digest.
            _ => return anyhow!("{shown}"),
        };
        let text = if remedy.is_empty() { shown } else { format!("{shown}; {remedy}") };
        match &reply.retry_after {
            _ if is_place => ClosedPlace(text).into(),
            Some(retry_after) if matches!(reply.status, 429 | 503) => {
                Busy { text, retry_after: retry_after.clone() }.into()
            }
            _ => anyhow!(text),
        }
    }
}

/// An answer that is an error.
struct Reply {
    status: u16,
    /// InfluxDB's own message; `None` if something else answered.
    message: Option<String>,
    /// The beginning of the body, or where a redirect leads to.
    rest: String,
    retry_after: Option<String>,
}

impl Reply {
    fn of(answer: Answer) -> Self {
        let (status, location) = (answer.status, answer.location());
        let header = answer.header("x-influxdb-error").map(String::from);
        let retry_after = answer.header("retry-after").map(String::from);
        let body = answer.text(LONGEST_ERROR);
        let rest = location.map_or_else(|| body.clone(), |to| format!("a redirect to {to}, which is not followed"));
        Self { status, message: message(&body).or(header), rest, retry_after }
    }

    /// Returns it as one line.
    fn shown(&self) -> String {
        let Self { status, message, rest, retry_after } = self;
        let wait = retry_after.as_ref().map(|wait| format!(", Retry-After {}", quote_ends(wait))).unwrap_or_default();
        match message {
            Some(message) => format!("HTTP {status} {}{wait}", quote_ends(message)),
            // The body is a page that asks people to log in.
            None if matches!(status, 401 | 403) || rest.is_empty() => format!("HTTP {status}{wait}"),
            None => format!("HTTP {status} {}{wait}", quote_ends(rest)),
        }
    }
}

/// Returns the message of an error of 1.x (`error`) or 2.x (`message`).
fn message(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Error {
        error: Option<String>,
        message: Option<String>,
    }
    match serde_json::from_str(body) {
        Ok(Error { error, message }) => message.or(error),
        Err(_) if body.len() as u64 >= LONGEST_ERROR => beginning(body),
        Err(_) => None,
    }
}

/// Returns the beginning of the message of an error that is too long to be read.
fn beginning(body: &str) -> Option<String> {
    let text = ["{\"error\":\"", "\"message\":\""].iter().find_map(|key| body.split_once(key)).map(|(_, text)| text)?;
    // An escape may be cut in two.
    let whole = text.rfind('\\').filter(|at| text.len() - at < 6).map_or(text, |at| text[..at].trim_end_matches('\\'));
    let message: String = serde_json::from_str(&format!("\"{whole}\"")).ok()?;
    Some(format!("{message} … (an error of more than 1 MiB)"))
}

/// Whether a database, bucket, mapping or retention policy is missing.
fn is_missing(message: &str) -> bool {
    ["database", "bucket", "retention policy", "dbrp", "mapping"].iter().any(|place| message.contains(place))
        && message.contains("not found")
}

/// Whether a refusal is about the points: in part (1.x, 2.x), or lines that cannot be read.
fn is_about_points(message: &str) -> bool {
    ["partial write", "unable to parse", "failure writing points", "outside retention", "field type conflict"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether a limit of the server keeps out new series, which is no fault of the points (1.x: max-series-per-database,
/// max-values-per-tag).
fn is_full(message: &str) -> bool {
    message.contains("max-series-per-database") || message.contains("max-values-per-tag")
}

/// Returns the limit, without what differs from point to point.
pub(super) fn limit(message: &str) -> &str {
    let limit = reason_of(message);
    [" value=", " dropped="].iter().fold(limit, |limit, end| limit.split(end).next().unwrap_or(limit))
}

/// Returns the reason for which points were refused.
fn reason(message: &str) -> String {
    reason_of(message).into()
}

fn reason_of(message: &str) -> &str {
    message.strip_prefix("partial write: ").unwrap_or(message)
}

/// Returns how many points a refusal says that it dropped, at least: of several shards only the first one that failed is
/// counted.
pub(super) fn dropped(reason: &str) -> usize {
    let number = |before: &str| {
        let rest = &reason[reason.rfind(before)? + before.len()..];
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    number("dropped=").or_else(|| number("dropped ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_in_the_words_of_each_version() {
        for (body, expected) in [
            (
                r#"{"error":"partial write: points beyond retention policy dropped=1"}"#,
                Some("points beyond retention policy dropped=1"),
            ),
            (
                r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: dropped 3 points outside retention policy"}"#,
                Some("failure writing points to database: partial write: dropped 3 points outside retention policy"),
            ),
            (
                r#"{"code":"invalid","message":"unable to parse 'm v=': missing field value"}"#,
                Some("unable to parse 'm v=': missing field value"),
            ),
            (r#"{"error":"database is required"}"#, None),
            ("<html>400 The plain HTTP request was sent to HTTPS port</html>", None),
            ("[]", None),
        ] {
            let found = message(body).filter(|message| is_about_points(message)).map(|message| reason(&message));
            assert_eq!(found.as_deref(), expected, "{body}");
        }
        assert_eq!(dropped("points beyond retention policy dropped=12"), 12);
        assert_eq!(dropped("partial write: dropped 3 points outside retention policy"), 3);
        assert_eq!(dropped("unable to parse 'm v=': missing field value dropped=0"), 0);
        assert_eq!((dropped("dropped="), dropped("dropped="), dropped("")), (0, 0, 0));
        let long = format!(r#"{{"error":"unable to parse 'm\\\"x=\n {}"#, "é\\\\".repeat(400_000));
        let cut = message(&long).unwrap();
        assert!(is_about_points(&cut) && cut.len() > 1_000_000 && cut.ends_with("… (an error of more than 1 MiB)"));
        assert_eq!(message(&long[..5000]), None, "half an answer");
        for (message, expected) in [
            (
                "partial write: max-series-per-database limit exceeded: (10) dropped=3",
                "max-series-per-database limit exceeded: (10)",
            ),
            (
                r#"partial write: max-values-per-tag limit exceeded (5/5): measurement="m" tag="a" value="p7" dropped=2"#,
                r#"max-values-per-tag limit exceeded (5/5): measurement="m" tag="a""#,
            ),
        ] {
            assert!(is_full(message));
            assert_eq!(limit(message), expected);
        }
        assert!(!is_full("partial write: points beyond retention policy dropped=1"));
        assert!(is_missing("database not found: \"d\"") && is_missing("retention policy not found: 10m"));
        assert!(is_missing("bucket \"d/10m\" not found") && !is_missing("page not found"));
    }
}
