//! graphite-web's render API, by which what Carbon has stored is read back. Measured against graphite-web 1.1.8.
//!
//! ```text
//! POST /render   target=grids.heprc.jobs.all.idle&target=…&from=1717244400&until=1717245000&format=json
//! [{"target": "grids.heprc.jobs.all.idle", "datapoints": [[17.0, 1717244940], [null, 1717245000]], "tags": {…}}]
//! ```
//!
//! Hot values come from Carbon's query port, but a metric that is new answers nothing until its file exists, and one that
//! Carbon's creation limit dropped never answers.

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
    /// Where graphite-web is: `http://HOST:PORT/`, with the path of a prefix when it has one.
    pub url: Url,
    /// How long the dashboard waits for an answer, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl Config {
    /// Reads `[graphite]`; `None` unless it names an address.
    ///
    /// # Errors
    /// When a value is not what its key asks for.
    pub fn read(values: &Values) -> Result<Option<Self>> {
        let (url, timeout_seconds) = (values.url("url")?, values.number("timeout_seconds")?);
        Ok(url.map(|url| Self { url, timeout_seconds }))
    }

    /// Where it draws and answers: `…/render`.
    pub(crate) fn render(&self) -> Result<Url> {
        // Without its slash the last part of a prefix would be replaced.
        let mut base = self.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join("render").context("[graphite] url")
    }
}

/// How many targets one question has.
const TARGETS: usize = 200;

/// How far back a question reaches, in seconds, so that an archive with a coarser step than the data answers too.
const REACH: i64 = 600;

/// Asks for `datapoints`, and again for those that have not come back, for up to a second or until `deadline`. Returns those
/// that are still missing.
///
/// # Errors
/// When graphite-web does not answer.
pub fn missing(config: &Config, mut datapoints: Vec<Datapoint>, deadline: Instant) -> Result<Vec<Datapoint>> {
    let client = Client::new()?;
    let render = config.render()?;
    let mut ends = None;
    loop {
        let answer = still_missing(&client, &render, &datapoints, deadline);
        // What was asked for first may have been asked too early, so what is missing is asked for twice at least. A question
        // that comes while Carbon is making a file is answered with HTTP 500.
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

/// How long Carbon holds new values at most before they can be asked for.
const HELD: Duration = Duration::from_secs(1);

/// Asks for nothing, and whether that is answered.
///
/// # Errors
/// When graphite-web does not answer.
pub fn check(config: &Config, deadline: Instant) -> Result<()> {
    let nothing = Datapoint { path: "gridmon.check".into(), time: 0, value: Value::Int(0) };
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    parse(&Client::new()?.post(&config.render()?, question(&[&nothing], 3600), left)?).map(drop)
}

/// The form that asks for `datapoints`, all of one time.
fn question(datapoints: &[&Datapoint], time: i64) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for datapoint in datapoints {
        form.append_pair("target", &datapoint.path);
    }
    form.append_pair("from", &(time - REACH).to_string()).append_pair("until", &time.to_string());
    form.append_pair("format", "json").finish()
}

/// How long to wait before asking again.
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

/// One series of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    /// What was asked for.
    pub target: String,
    /// Values and times in unix seconds.
    pub datapoints: Vec<(Option<f64>, i64)>,
}

/// The series of an answer, by what was asked for.
pub(crate) fn parse(answer: &[u8]) -> Result<HashMap<String, Series>> {
    let series: Vec<Series> = serde_json::from_slice(answer).with_context(|| {
        format!("graphite-web's answer is no list of series: {}", quote(&String::from_utf8_lossy(answer)))
    })?;
    Ok(series.into_iter().map(|series| (series.target.clone(), series)).collect())
}

impl Series {
    /// Whether a value is in it. In an archive with a coarser step than the data, any value of its step will do: the last
    /// one that was written there stands for all.
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
                .starts_with("graphite-web's answer is no list of series: \"<html>\"")
        );
        assert!(parse(b"[]").unwrap().is_empty());
    }
}
