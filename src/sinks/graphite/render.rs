//! graphite-web's render API, to read back the values that Carbon has stored. Measured against graphite-web 1.1.8.
//!
//! ```text
//! POST /render   target=grids.heprc.jobs.all.idle&target=…&from=1717244400&until=1717245000&format=json
//! [{"target": "grids.heprc.jobs.all.idle", "datapoints": [[17.0, 1717244940], [null, 1717245000]], "tags": {…}}]
//! ```
//!
//! graphite-web gets recent values from Carbon's query port. But a new metric returns nothing until its file exists,
//! and a metric that Carbon's creation limit dropped never returns anything.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{Datapoint, Value};
use crate::os::http::{Client, Url};
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
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("20"),
            "How long the dashboard waits for its answer, in seconds.",
        ),
    ],
);

/// `[graphite]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of graphite-web: `http://HOST:PORT/`, with a path if it is served under a prefix.
    pub url: Url,
    /// The time limit of a request by the dashboard, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl Config {
    /// Reads `[graphite]`; returns `None` unless it names an address.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Option<Self>> {
        let (url, timeout_seconds) = (values.url("url")?, values.number("timeout_seconds")?);
        Ok(url.map(|url| Self { url, timeout_seconds }))
    }

    /// Returns the address of the render API: `…/render`.
    pub(crate) fn render(&self) -> Result<Url> {
        // Without a final slash, `join` replaces the last part of the prefix.
        let mut base = self.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join("render").context("[graphite] url")
    }
}

/// The number of targets per request.
const TARGETS: usize = 200;

/// How far back a request reaches, in seconds, so that an archive with a coarser step than the data answers too.
const REACH: i64 = 600;

/// Requests `datapoints`, and the missing ones again, for up to a second or until `deadline`. Returns the datapoints
/// that are still missing.
///
/// # Errors
/// Fails if graphite-web does not answer.
pub fn missing(config: &Config, mut datapoints: Vec<Datapoint>, deadline: Instant) -> Result<Vec<Datapoint>> {
    let client = Client::new()?;
    let render = config.render()?;
    let mut ends = None;
    loop {
        let answer = still_missing(&client, &render, &datapoints, deadline);
        // The first request may have come too early, so missing datapoints are requested at least twice. graphite-web
        // answers with HTTP 500 while Carbon is creating a file.
        let ends = *ends.get_or_insert_with(|| deadline.min(Instant::now() + HELD));
        let last = Instant::now() + PAUSE >= ends;
        match answer {
            Ok(missing) => datapoints = missing,
            Err(error) if last => return Err(error),
            Err(_) => {}
        }
        if datapoints.is_empty() || last {
            return Ok(datapoints);
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
    parse(&Client::new()?.post(&config.render()?, question(&[&nothing], 3600), left)?).map(drop)
}

/// Builds the form that requests `datapoints`, all of one time.
fn question(datapoints: &[&Datapoint], time: i64) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for datapoint in datapoints {
        form.append_pair("target", &datapoint.path);
    }
    form.append_pair("from", &(time - REACH).to_string()).append_pair("until", &time.to_string());
    form.append_pair("format", "json").finish()
}

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(200);

fn still_missing(client: &Client, render: &Url, datapoints: &[Datapoint], deadline: Instant) -> Result<Vec<Datapoint>> {
    let mut by_time = BTreeMap::<i64, Vec<&Datapoint>>::new();
    for datapoint in datapoints {
        by_time.entry(datapoint.time).or_default().push(datapoint);
    }
    let mut missing = Vec::new();
    for (time, datapoints) in by_time {
        for chunk in datapoints.chunks(TARGETS) {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let answer = client.post(render, question(chunk, time), left)?;
            let stored = parse(&answer)?;
            let is_missing = |point: &Datapoint| !stored.get(&point.path).is_some_and(|series| series.has(point));
            missing.extend(chunk.iter().copied().filter(|point| is_missing(point)).cloned());
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
