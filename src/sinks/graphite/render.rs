//! graphite-web's render API, to read back the values that Carbon has stored. Measured against graphite-web 1.1.8.
//!
//! ```text
//! POST /render   target=grids.heprc.jobs.all.idle&target=…&from=1717244400&until=1717245000&noCache=1&format=json
//! [{"target": "grids.heprc.jobs.all.idle", "datapoints": [[17.0, 1717244940], [null, 1717245000]], "tags": {…}}]
//! ```
//!
//! graphite-web gets recent values from Carbon's query port. But a new metric returns nothing until its file exists,
//! and a metric that Carbon's creation limit dropped never returns anything.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Datapoint, Value};
use crate::os::http::{BadStatus, Client, Login, Url};
use crate::text::quote;

/// `[graphite]`.
pub const SECTION: Section = Section::new(
    "graphite",
    "Says where graphite-web is, which answers what Carbon has stored.",
    &[
        Key::new(
            "url",
            Kind::Url,
            Unset::Absent("http://graphite.example.org/"),
            "Where graphite-web is: for acknowledge = readback, and for the dashboard.",
        ),
        Key::new("username", Kind::Text, Unset::Absent("gridmon"), LOGIN),
        Key::new("password", Kind::Secret, Unset::Absent("change-me"), LOGIN),
        Key::new(
            "token",
            Kind::Secret,
            Unset::Absent("change-me"),
            "The bearer token that it asks for instead. Password and token are sent to url alone, readable on the way if it begins \
             with http://.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("20"),
            "How long the dashboard waits for its answer, in seconds.",
        ),
    ],
);

const LOGIN: &str = "The login that graphite-web, or a proxy in front of it, asks for (HTTP basic authentication).";

/// `[graphite]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of graphite-web: `http://HOST:PORT/`, with a path if it is served under a prefix.
    pub url: Url,
    /// How the config spells the address, if messages show that instead.
    pub spelling: Option<String>,
    /// The login that it asks for.
    pub login: Option<Login>,
    /// The time limit of a request by the dashboard, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl Config {
    /// Reads `[graphite]`; returns `None` unless it names an address.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, if the address has a query, or if the login is not whole.
    pub fn read(values: &Values) -> Result<Option<Self>> {
        let (url, login) = (values.url("url")?, login(values)?);
        let timeout_seconds = values.number("timeout_seconds")?;
        if url.as_ref().is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            let message = "carries a ? or #, and what follows it is not used; give the address alone, and a login by its own keys";
            return Err(values.error("url", anyhow!(message)));
        }
        Ok(url.map(|url| Self { url, spelling: values.spelling("url"), login, timeout_seconds }))
    }

    /// Returns its name for messages.
    pub fn name(&self) -> &str {
        self.spelling.as_deref().unwrap_or(self.url.as_str())
    }

    /// Names it for messages; says if its login can be read on the way.
    pub fn describe(&self) -> String {
        format!("{}{}", self.name(), Login::warning(self.login.as_ref(), &self.url))
    }

    /// Returns a client that knows the login.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new()?.with_login(self.login.clone()).shown_as(self.spelling.clone()))
    }

    /// Returns the address of the render API.
    pub(crate) fn render(&self) -> Result<Url> {
        // Without a final slash, `join` replaces the last part of the prefix.
        let mut base = self.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join("render").context("[graphite] url")
    }
}

/// Reads the login: `username` with `password`, or `token`.
fn login(values: &Values) -> Result<Option<Login>> {
    let Some(token) = values.secret("token")? else {
        let login = values.login()?.map(|(username, password)| Login::basic(&username, &password.0));
        return login.transpose().map_err(|error| values.error("password", error));
    };
    if values.gives("username") || values.gives("password") {
        return Err(values.error("token", anyhow!("stands beside username or password; keep the one that it asks for")));
    }
    Login::bearer(&token.0).map(Some).map_err(|error| values.error("token", error))
}

/// Adds the way out to the error of a request.
pub(crate) fn explain(error: anyhow::Error, login: Option<&Login>) -> anyhow::Error {
    let remedy = match (error.downcast_ref::<BadStatus>().map(|answer| answer.status), login) {
        (Some(401), None) => "it asks for a login: set [graphite] username and password, or token",
        (Some(401), Some(Login::Basic(_))) => "it refuses the login: check [graphite] username and password",
        (Some(401), Some(Login::Bearer(_))) => "it refuses the login: check [graphite] token",
        (Some(403), None) => {
            "it lets nobody in from here without a login, or not at all: set [graphite] username and password, or token"
        }
        (Some(403), Some(_)) => "it knows the login of [graphite], but does not let it read",
        _ => return error,
    };
    anyhow!("{error:#}; {remedy}")
}

/// The number of targets per request.
const TARGETS: usize = 200;

/// How far back a request reaches, in seconds, so that an archive with a coarser step than the data answers too.
const REACH: i64 = 600;

/// The values that graphite-web has not returned.
#[derive(Debug)]
pub struct Missing {
    /// Those that it was asked for.
    pub datapoints: Vec<Datapoint>,
    /// The number of those for which the time was too short.
    pub unasked: usize,
}

/// Requests `datapoints`, and the missing ones again, for up to a second or until `deadline`. Returns the datapoints
/// that are still missing.
///
/// # Errors
/// Fails if graphite-web does not answer.
pub fn missing(config: &Config, datapoints: Vec<Datapoint>, deadline: Instant) -> Result<Missing> {
    let client = config.client()?;
    let mut missing = Missing { datapoints, unasked: 0 };
    let (mut ends, mut has_answered) = (None, false);
    loop {
        let answer = still_missing(config, &client, &missing.datapoints, deadline);
        // The first request may have come too early, so missing datapoints are requested at least twice. graphite-web
        // answers with HTTP 500 while Carbon is creating a file.
        let ends = *ends.get_or_insert_with(|| deadline.min(Instant::now() + HELD));
        let last = Instant::now() + PAUSE >= ends;
        match answer {
            Ok(Missing { unasked: 1.., .. }) | Err(_) if has_answered && Instant::now() >= deadline => {
                return Ok(missing);
            }
            Ok(now) => (missing, has_answered) = (now, true),
            Err(error) if last || error.downcast_ref::<BadStatus>().is_none_or(|answer| answer.status < 500) => {
                return Err(explain(error, config.login.as_ref()));
            }
            Err(_) => {}
        }
        if missing.datapoints.is_empty() || last {
            return Ok(missing);
        }
        thread::sleep(PAUSE);
    }
}

/// The longest time for which Carbon holds new values before a query finds them.
const HELD: Duration = Duration::from_secs(1);

/// Requests a metric that does not exist, to test whether graphite-web answers.
///
/// # Errors
/// Fails if graphite-web does not answer.
pub fn check(config: &Config, deadline: Instant) -> Result<()> {
    let nothing = Datapoint { path: "gridmon.check".into(), time: 0, value: Value::Int(0) };
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let answer = config.client()?.post(&config.render()?, question(&[&nothing], 3600), left);
    parse(&answer.map_err(|error| explain(error, config.login.as_ref()))?).map(drop)
}

/// Returns what graphite-web calls its version; `None` if it does not answer, or tells something else, as versions before 1.1 do.
pub fn web_version(config: &Config, deadline: Instant) -> Option<String> {
    let url = config.render().ok()?.join("version").ok()?;
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let answer = config.client().ok()?.get(&url, left).ok()?;
    let text = String::from_utf8(answer).ok()?.trim().trim_matches('"').to_string();
    let is_version = text.len() < 20 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
    (is_version && text.starts_with(|c: char| c.is_ascii_digit())).then_some(text)
}

/// Builds the form that requests `datapoints`, all of one time.
fn question(datapoints: &[&Datapoint], time: i64) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for datapoint in datapoints {
        form.append_pair("target", &datapoint.path);
    }
    form.append_pair("from", &(time - REACH).to_string()).append_pair("until", &time.to_string());
    // graphite-web may keep answers for a minute, also that a new metric has no values.
    form.append_pair("noCache", "1").append_pair("format", "json").finish()
}

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(200);

fn still_missing(config: &Config, client: &Client, datapoints: &[Datapoint], deadline: Instant) -> Result<Missing> {
    let render = config.render()?;
    let mut by_time = BTreeMap::<i64, Vec<&Datapoint>>::new();
    for datapoint in datapoints {
        by_time.entry(datapoint.time).or_default().push(datapoint);
    }
    let mut missing = Missing { datapoints: Vec::new(), unasked: datapoints.len() };
    for (time, of_time) in by_time {
        for chunk in of_time.chunks(TARGETS) {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = match left {
                Duration::ZERO => Err(anyhow!("no time was left to read back through {}", config.name())),
                left => client.post(&render, question(chunk, time), left),
            };
            let stored = match answer {
                Err(_) if missing.unasked < datapoints.len() && Instant::now() >= deadline => return Ok(missing),
                answer => parse(&answer?)?,
            };
            let is_missing = |point: &Datapoint| !stored.get(&point.path).is_some_and(|series| series.has(point));
            missing.datapoints.extend(chunk.iter().copied().filter(|point| is_missing(point)).cloned());
            missing.unasked -= chunk.len();
        }
    }
    Ok(missing)
}

/// One series of a response.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    /// The requested target.
    pub target: String,
    /// Values, and their times in unix seconds.
    pub datapoints: Vec<(Option<f64>, i64)>,
}

/// Parses a response; returns its series by target.
pub(crate) fn parse(answer: &[u8]) -> Result<HashMap<String, Series>> {
    let series: Vec<Series> = serde_json::from_slice(answer).with_context(|| {
        format!("graphite-web's answer is not a list of series: {}", quote(&String::from_utf8_lossy(answer)))
    })?;
    Ok(series.into_iter().map(|series| (series.target.clone(), series)).collect())
}

impl Series {
    /// Whether the series holds a value. In an archive with a coarser step than the data, any value of the step counts:
    /// the last one written there replaces the others.
    fn has(&self, datapoint: &Datapoint) -> bool {
        match self.datapoints.iter().rev().find(|(_, time)| *time <= datapoint.time) {
            Some((Some(stored), time)) if *time == datapoint.time => *stored == datapoint.value.as_f64(),
            Some((stored, _)) => stored.is_some(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_come_back_when_it_stands_at_its_time() {
        let series = |text: &str| {
            parse(format!("[{{\"target\": \"a\", \"datapoints\": {text}, \"tags\": {{}}}}]").as_bytes()).unwrap()
        };
        let datapoint = |value: Value| Datapoint { path: "a".into(), time: 600, value };
        for (text, there) in [
            ("[[5.0, 540], [7.0, 600]]", true),
            ("[[7.0, 540], [null, 600]]", false),
            ("[[7.0, 540], [5.0, 600]]", false),
            ("[]", false),
            ("[[7.0, 660]]", false),
            ("[[1.0, 300]]", true),
            ("[[null, 300]]", false),
        ] {
            assert_eq!(series(text)["a"].has(&datapoint(Value::Int(7))), there, "{text}");
        }
        assert!(
            parse(b"<html>")
                .unwrap_err()
                .to_string()
                .starts_with("graphite-web's answer is not a list of series: \"<html>\"")
        );
        assert!(parse(b"[]").unwrap().is_empty());
    }
}
