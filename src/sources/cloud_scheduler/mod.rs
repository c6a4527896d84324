//! Cloud Scheduler: its clouds and their virtual machines. Cloud Scheduler 1 ([`v1`]) and Cloud Scheduler 2 ([`v2`]) are
//! told apart by their answers.

pub mod v1;
pub mod v2;

use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::config::{Key, Kind, Program, Section, Unset, Values};
use crate::os::command;
use crate::os::http::{self, Login, Tls, Url};
use crate::problem::Problem;
use crate::sources::{CA, CERTIFICATE, KEY, not_json, read_tls};
use crate::text::quote;

/// `[cloud_scheduler]`.
pub const SECTION: Section = Section::new(
    "cloud_scheduler",
    "Asks Cloud Scheduler 1 or 2 for its clouds and their virtual machines; the answer tells which of them it is.",
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
            Unset::Absent("https://csv2.example.org/cloud/status/"),
            "Asked instead of the command: the status of Cloud Scheduler 2, with ?GROUP at its end for another group than \
             the user's own; or what Cloud Scheduler 1 serves, http://csv1.example.org:8111/clusters.json.",
        ),
        Key::new("username", Kind::Text, Unset::Absent("mon"), "The user of Cloud Scheduler 2 who asks."),
        Key::new("password", Kind::Secret, Unset::Absent("file:/etc/gridmon/csv2.password"), "That user's password."),
        CA,
        CERTIFICATE,
        KEY,
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
    pub command: Program,
    /// The address at which Cloud Scheduler serves its clouds; if set, it is used instead of the command.
    pub url: Option<Url>,
    /// How the config spells the address, if messages show that instead.
    pub spelling: Option<String>,
    /// The user and the password for the address.
    pub login: Option<Login>,
    /// Whom the connection trusts, and the certificate that it shows instead of a password or beside it.
    pub tls: Tls,
    /// The time limit of a request, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl Config {
    /// Reads `[cloud_scheduler]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, or a login is not whole.
    pub fn read(values: &Values) -> Result<Self> {
        let url = values.url("url")?;
        let login = values.login()?.map(|(username, password)| Login::basic(&username, &password.0));
        let login = login.transpose().map_err(|error| values.error("password", error))?;
        if login.is_some() && url.is_none() {
            return Err(values.error("username", anyhow!("needs url beside it; the command takes no login")));
        }
        let tls = read_tls(values)?;
        let named = [("ca", &tls.ca), ("certificate", &tls.certificate)].into_iter().find(|(_, path)| path.is_some());
        if let (Some((key, _)), None) = (named, &url) {
            return Err(values.error(key, anyhow!("needs url beside it; the command opens its own connection")));
        }
        let (command, spelling) = (values.command("command")?, values.spelling("url"));
        Ok(Self { command, url, spelling, login, tls, timeout_seconds: values.number("timeout_seconds")? })
    }
}

/// The answer of a Cloud Scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Cloud Scheduler 1 lists each machine of each cloud.
    One(Vec<v1::Cloud>),
    /// Cloud Scheduler 2 counts the machines of each cloud of each group.
    Two(v2::Status),
}

impl Answer {
    /// Returns which Cloud Scheduler it is and how much it lists, for `--check`.
    fn summary(&self) -> String {
        match self {
            Self::One(clouds) => {
                let vms: usize = clouds.iter().map(|cloud| cloud.vms.len()).sum();
                format!("{} clouds, {vms} virtual machines (Cloud Scheduler 1)", clouds.len())
            }
            Self::Two(status) => status.summary(),
        }
    }
}

/// Queries Cloud Scheduler, at most until `until`. Returns its answer, unless it does not answer, and what is missing.
pub fn collect(config: &Config, until: Instant) -> (Option<Answer>, Vec<Problem>) {
    match fetch(config, until).and_then(|json| parse(&json)) {
        Ok(Answer::Two(mut status)) => {
            let problems = std::mem::take(&mut status.problems);
            (Some(Answer::Two(status)), problems)
        }
        Ok(answer) => (Some(answer), Vec::new()),
        Err(error) => {
            let message = format!("{error:#}; clouds and virtual machines are missing");
            (None, vec![Problem::of_source("cloud_scheduler", message)])
        }
    }
}

/// The largest output of the command, in bytes; 100,000 virtual machines take 120 MB.
const LONGEST_ANSWER: usize = 256 << 20;

fn fetch(config: &Config, until: Instant) -> Result<Vec<u8>> {
    let timeout = super::timeout(config.timeout_seconds, until);
    if let Some(url) = &config.url {
        let client = http::Client::trusting(&config.tls)?.accepting_json().with_login(config.login.clone());
        let client = client.shown_as(config.spelling.clone());
        return client.get(url, timeout).map_err(|error| explain(error, config));
    }
    let mut answer = Vec::new();
    let what = &config.command.shown;
    super::run(&mut super::command(&config.command), Instant::now() + timeout, &config.command.secret, |piece| {
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

/// Adds what to do about an HTTP status.
fn explain(error: anyhow::Error, config: &Config) -> anyhow::Error {
    let (login, certificate) = (config.login.is_some(), config.tls.certificate.is_some());
    let remedy = match error.downcast_ref::<http::BadStatus>().map(|answer| answer.status) {
        Some(301..=308) => {
            "no redirect is followed: set [cloud_scheduler] url to the page itself, for Cloud Scheduler 2 \
             https://HOST/cloud/status/ with the slash at its end"
        }
        Some(401) if login => "it does not take the [cloud_scheduler] username and password",
        Some(401) if certificate => {
            "it knows no user with the [cloud_scheduler] certificate: enter the certificate's common name at the user in \
             Cloud Scheduler 2, or set username and password"
        }
        Some(401) => "it wants a login: set [cloud_scheduler] username and password, or certificate",
        Some(403) if certificate && !login => {
            "no user of Cloud Scheduler 2 has the common name of the [cloud_scheduler] certificate, or that user may not ask"
        }
        Some(403) => "its [cloud_scheduler] username is no user of Cloud Scheduler 2, or may not ask",
        _ => return error,
    };
    anyhow!("{error:#}; {remedy}")
}

/// Parses a response. Invalid UTF-8 becomes U+FFFD.
///
/// # Errors
/// Fails if the response is not JSON, is neither Cloud Scheduler's, or says that Cloud Scheduler 2 refuses or that all its
/// numbers are old.
pub fn parse(json: &[u8]) -> Result<Answer> {
    /// The keys that tell whose answer it is.
    #[derive(Deserialize)]
    struct Shape {
        resources: Option<IgnoredAny>,
        cloud_status_list: Option<IgnoredAny>,
        response_code: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Clusters {
        resources: Vec<v1::Cloud>,
    }
    let text = String::from_utf8_lossy(json);
    let text = text.trim();
    if text.is_empty() {
        bail!("the answer is empty");
    }
    let shape = match serde_json::from_str(text) {
        Err(error) if !error.is_data() => return Err(not_json(text, &error)),
        Err(_) => None,
        Ok(shape) => Some(shape),
    };
    match shape {
        Some(Shape { resources: Some(_), cloud_status_list: None, .. }) => {
            let clusters = serde_json::from_str::<Clusters>(text);
            let clusters = clusters.with_context(|| format!("the answer is not clusters.json: {}", quote(text)))?;
            Ok(Answer::One(clusters.resources))
        }
        Some(Shape { cloud_status_list: Some(_), .. } | Shape { response_code: Some(_), .. }) => {
            let reply = serde_json::from_str(text);
            let reply =
                reply.with_context(|| format!("the answer is not the status of Cloud Scheduler 2: {}", quote(text)))?;
            v2::read(reply).map(Answer::Two)
        }
        _ => bail!(
            "the answer has neither the resources of Cloud Scheduler 1 nor the cloud_status_list of Cloud Scheduler 2: {}",
            quote(text)
        ),
    }
}

/// Queries Cloud Scheduler; returns the lines for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<(String, Result<String, String>)> {
    let (answer, problems) = collect(config, until);
    let answered = answer.map(|answer| ("cloud_scheduler".into(), Ok(answer.summary())));
    let failed = problems.into_iter().map(|problem| (problem.subject.to_string(), Err(problem.message)));
    answered.into_iter().chain(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::cloud_scheduler::v1::{Cloud, Vm};

    fn error(json: &str) -> String {
        format!("{:#}", parse(json.as_bytes()).unwrap_err())
    }

    #[test]
    fn odd_values_are_kept_as_far_as_they_mean_something() {
        let json = br#"{"resources": [
            {"name": 7, "enabled": "True", "max_slots": "50", "vms": null, "more": [1]},
            {"enabled": 0, "max_slots": 12.0, "vms": [{"hostname": "", "vmtype": null, "status": " "}, {"status": 5}]},
            {"name": "x", "enabled": null, "max_slots": "many"}
        ], "more": {}}"#;
        let vm = |status: Option<&str>| Vm {
            hostname: None,
            vmtype: None,
            status: status.map(String::from),
            override_status: None,
        };
        let clouds = vec![
            Cloud { name: Some("7".into()), enabled: Some(true), max_slots: Some(50), vms: vec![] },
            Cloud { name: None, enabled: Some(false), max_slots: Some(12), vms: vec![vm(None), vm(Some("5"))] },
            Cloud { name: Some("x".into()), enabled: None, max_slots: None, vms: vec![] },
        ];
        assert_eq!(parse(json).unwrap(), Answer::One(clouds));
    }

    #[test]
    fn an_answer_of_neither_is_refused_by_what_it_is() {
        let neither = "the answer has neither the resources of Cloud Scheduler 1 nor the cloud_status_list of Cloud Scheduler 2: ";
        for (json, start) in [
            (" \n", "the answer is empty"),
            ("<html>login</html>", "the answer is a web page, perhaps to log in, where JSON was expected: \"<html>"),
            (r#"{"resources": [{"#, r#"the answer broke off after 16 bytes: "{"resources": [{""#),
            (r#"{"cloud_status_list": [{"cloud_name": "ce"#, "the answer broke off after 41 bytes: "),
            ("couldn't connect", "the answer is not JSON: \"couldn't connect\": expected value"),
            (r#"{"cloud_status_list": [{"VMs": NaN}]}"#, "the answer is not JSON: "),
            ("[]", neither),
            ("null", neither),
            ("{}", neither),
            (r#"{"resources": null}"#, neither),
            (r#"{"cloud_status_list": null}"#, neither),
            (r#"{"resources": {}}"#, r#"the answer is not clusters.json: "{"resources": {}}": invalid type: map"#),
            (r#"{"resources": [5]}"#, "the answer is not clusters.json: "),
            (
                r#"{"cloud_status_list": [5]}"#,
                r#"the answer is not the status of Cloud Scheduler 2: "{"cloud_status_list": [5]}": invalid type: integer `5`, expected a cloud of Cloud Scheduler 2"#,
            ),
            (
                r#"{"response_code": 1, "message": "CV00 cannot switch to invalid group \"x\".", "active_group": "x"}"#,
                r#"Cloud Scheduler 2 refuses: "CV00 cannot switch to invalid group "x"."#,
            ),
            (r#"{"response_code": 0, "vm_list": []}"#, "this is another page of Cloud Scheduler 2; its status is at"),
        ] {
            assert!(error(json).starts_with(start), "{json}: {}", error(json));
        }
    }
}
