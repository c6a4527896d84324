//! Cloud Scheduler 1.13: its clouds and their virtual machines, from `cloud_status -aj` or from the served
//! `clusters.json`.
//!
//! ```text
//! $ cloud_status -aj
//! {"resources": [{"name": "cc-east", "enabled": true, "max_slots": 50, "vms": [{"hostname": "cc-east-39226a11", "vmtype":
//! "atlas-worker", "status": "Running", "override_status": null, …}], …}]}
//! ```
//!
//! Without clouds it prints `{"resources": []}`. If the server is down, it prints a sentence on *standard output* and
//! exits with 1; it has no time-out of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Deserializer};

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::command;
use crate::os::http::{self, Url};
use crate::problem::Problem;
use crate::text::quote;

/// `[cloud_scheduler]`.
pub const SECTION: Section = Section::new(
    "cloud_scheduler",
    "Asks Cloud Scheduler for its clouds and their virtual machines.",
    &[
        Key::new(
            "command",
            Kind::Command,
            Unset::Default("cloud_status -aj"),
            "The command that prints the clouds. Leave out this section when there is no Cloud Scheduler, [htcondor] when \
             there is no HTCondor; without both, both are asked.",
        ),
        Key::new(
            "url",
            Kind::Url,
            Unset::Absent("http://csv1.example.org:8111/clusters.json"),
            "Where Cloud Scheduler serves the same; asked instead of the command.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("20"),
            "How long the answer may take, in seconds.",
        ),
    ],
);

/// `[cloud_scheduler]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command that prints the clouds; `cloud_status -aj` by default.
    pub command: Vec<String>,
    /// The address at which Cloud Scheduler serves the same JSON (`http://HOST:8111/clusters.json`); if set, it is used
    /// instead of the command.
    pub url: Option<Url>,
    /// The time limit of a request, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl Config {
    /// Reads `[cloud_scheduler]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        Ok(Self {
            command: values.command("command")?,
            url: values.url("url")?,
            timeout_seconds: values.number("timeout_seconds")?,
        })
    }
}

/// One cloud. Unknown keys are ignored; missing ones are `None`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Cloud {
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// Whether Cloud Scheduler boots machines on it.
    #[serde(default, deserialize_with = "truth")]
    pub enabled: Option<bool>,
    /// The most machines that it may run.
    #[serde(default, deserialize_with = "whole")]
    pub max_slots: Option<i64>,
    /// Its virtual machines.
    #[serde(default, deserialize_with = "vms")]
    pub vms: Vec<Vm>,
}

/// One virtual machine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Vm {
    /// Its host name; empty or missing on clouds that report it late.
    #[serde(default, deserialize_with = "text")]
    pub hostname: Option<String>,
    /// The machine type that the requesting user chose.
    #[serde(default, deserialize_with = "text")]
    pub vmtype: Option<String>,
    /// The cloud's name for its state.
    #[serde(default, deserialize_with = "text")]
    pub status: Option<String>,
    /// Cloud Scheduler's own state, which overrides the cloud's; usually `Retiring`.
    #[serde(default, deserialize_with = "text")]
    pub override_status: Option<String>,
}

/// Queries Cloud Scheduler, at most until `until`.
///
/// # Errors
/// Fails if it does not answer, or not in JSON.
pub fn collect(config: &Config, until: Instant) -> Result<Vec<Cloud>, Problem> {
    fetch(config, until).and_then(|json| parse(&json)).map_err(|error| {
        Problem::of_source("cloud_scheduler", format!("{error:#}; clouds and virtual machines are missing"))
    })
}

/// The largest output of the command, in bytes; 100,000 virtual machines take 120 MB.
const LONGEST_ANSWER: usize = 256 << 20;

fn fetch(config: &Config, until: Instant) -> Result<Vec<u8>> {
    let timeout = Duration::from_secs(config.timeout_seconds).min(until.saturating_duration_since(Instant::now()));
    if let Some(url) = &config.url {
        return http::Client::new()?.get(url, timeout);
    }
    let mut answer = Vec::new();
    let what = config.command.join(" ");
    command::run(&mut super::command(&config.command), Instant::now() + timeout, |piece| {
        ensure!(answer.len() + piece.len() <= LONGEST_ANSWER, "printed over {LONGEST_ANSWER} bytes");
        answer.extend_from_slice(piece);
        Ok(())
    })
    .map_err(|failure| match failure {
        command::Failure::Start(_) => anyhow::anyhow!(
            "{what} {failure}; set [cloud_scheduler] command or url, or name [htcondor] alone in the config when there is no Cloud Scheduler"
        ),
        _ => anyhow::anyhow!("{what} {failure}"),
    })?;
    Ok(answer)
}

/// Parses a response. Invalid UTF-8 becomes U+FFFD.
///
/// # Errors
/// Fails if the response is not JSON, or has no list of `resources`.
pub fn parse(json: &[u8]) -> Result<Vec<Cloud>> {
    #[derive(Deserialize)]
    struct Reply {
        resources: Vec<Cloud>,
    }
    let text = String::from_utf8_lossy(json);
    if text.trim().is_empty() {
        bail!("the answer is empty");
    }
    let reply: Reply =
        serde_json::from_str(&text).with_context(|| format!("the answer is not clusters.json: {}", quote(&text)))?;
    Ok(reply.resources)
}

/// Queries Cloud Scheduler; returns the lines for `--check`.
pub fn check(config: &Config, until: Instant) -> (String, Result<String, String>) {
    let result = collect(config, until).map(|clouds| {
        let vms: usize = clouds.iter().map(|cloud| cloud.vms.len()).sum();
        format!("{} clouds, {vms} virtual machines", clouds.len())
    });
    ("cloud_scheduler".into(), result.map_err(|problem| problem.message))
}

/// Reads a string, number or boolean as text; an empty string and every other value are `None`.
fn text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(json)? {
        serde_json::Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
        number @ serde_json::Value::Number(_) => Some(number.to_string()),
        _ => None,
    })
}

/// Reads an integer, also from `50.0` or `"50"`.
fn whole<'de, D: Deserializer<'de>>(json: D) -> Result<Option<i64>, D::Error> {
    Ok(match serde_json::Value::deserialize(json)? {
        serde_json::Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() <= 9e15).map(|n| n as i64)),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// Reads a boolean, also from a number or Python's `"True"`.
fn truth<'de, D: Deserializer<'de>>(json: D) -> Result<Option<bool>, D::Error> {
    Ok(match serde_json::Value::deserialize(json)? {
        serde_json::Value::Bool(truth) => Some(truth),
        serde_json::Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        serde_json::Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    })
}

/// Reads the list of machines; `null` is an empty list.
fn vms<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<Vm>, D::Error> {
    Option::<Vec<Vm>>::deserialize(json).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_are_kept_as_far_as_they_mean_something() {
        let json = br#"{"resources": [
            {"name": 7, "enabled": "True", "max_slots": "50", "vms": null, "more": [1]},
            {"enabled": 0, "max_slots": 12.0, "vms": [{"hostname": "", "vmtype": null, "status": " "}, {"status": 5}]},
            {"name": "x", "enabled": null, "max_slots": "many"}
        ], "more": {}}"#;
        let clouds = parse(json).unwrap();
        let vm = |status: Option<&str>| Vm {
            hostname: None,
            vmtype: None,
            status: status.map(String::from),
            override_status: None,
        };
        assert_eq!(
            clouds,
            [
                Cloud { name: Some("7".into()), enabled: Some(true), max_slots: Some(50), vms: vec![] },
                Cloud { name: None, enabled: Some(false), max_slots: Some(12), vms: vec![vm(None), vm(Some("5"))] },
                Cloud { name: Some("x".into()), enabled: None, max_slots: None, vms: vec![] },
            ]
        );
    }

    #[test]
    fn what_is_no_answer_is_refused_in_words() {
        let error = |json: &str| format!("{:#}", parse(json.as_bytes()).unwrap_err());
        assert_eq!(error(" \n"), "the answer is empty");
        for json in ["<html>login</html>", r#"{"resources": [{"#, "[]", "{}", r#"{"resources": null}"#] {
            let error = error(json);
            assert!(error.starts_with(&format!("the answer is not clusters.json: {}: ", quote(json))), "{error}");
        }
    }
}
