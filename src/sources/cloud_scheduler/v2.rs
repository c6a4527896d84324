//! Cloud Scheduler 2.11 (csv2): the clouds of its groups, with their virtual machines counted by state, from
//! `https://HOST/cloud/status/`.
//!
//! ```text
//! $ curl -u mon -H 'Accept: application/json' https://csv2.example.org/cloud/status/
//! {"active_user": "mon", "active_group": "atlas", "user_groups": ["atlas"], "cloud_status_list": [{"group_name": "atlas",
//! "cloud_name": "cern", "VMs": "47", "VMs_manual": "0", "VMs_in_error": "1", "VMs_starting": "2", "VMs_retiring": "3",
//! "VMs_unregistered": "1", "VMs_idle": "0", "VMs_running": "40", "slot_count": "320", "enabled": 1, "communication_up": 1,
//! "VMs_quota": 100, …}, …], "job_status_list": […], "service_status": […], "response_code": 0, "version": "2.11", …}
//! ```
//!
//! - It answers in JSON only if the request accepts `application/json` and nothing else; a browser gets a page.
//! - csv2 decides the state of a machine; the first rule that fits counts: manual (an operator controls it), error,
//!   retiring, starting (BUILD), unregistered (ACTIVE without a partitionable slot), idle (no dynamic slot), running, else
//!   error.
//! - Sums of the database are texts (`"47"`), other numbers are numbers. A row with the tag `_total` sums the rows before
//!   it.
//! - The numbers are those of csv2's last look at a cloud, however long ago. `communication_up` is 0 since it cannot reach
//!   the cloud, and `service_status` tells whether the program that looks is alive; `job_status_list` tells it for the
//!   program that asks a group's HTCondor, on which unregistered, idle and running depend.
//! - A user who is not set to a global view sees one group: the default one, or the one in `?GROUP`.
//! - A group without clouds has an empty `cloud_status_list`, and so has every group while the database refuses the query.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::sources::lenient::{text, text_of, truth, whole};
use crate::text::{one_line, quote};

/// csv2's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Its version, as it names it.
    pub version: Option<String>,
    /// One for each cloud of each group, in the order of the answer.
    pub clouds: Vec<GroupCloud>,
    /// The groups of the user whose clouds the answer leaves out.
    pub other_groups: Vec<String>,
    /// The parts whose numbers are old, and are therefore missing.
    pub problems: Vec<Problem>,
}

impl Status {
    /// Returns how much it lists, for `--check`.
    pub(super) fn summary(&self) -> String {
        let version = self.version.as_ref().map(|version| format!(", version {}", one_line(version)));
        let groups: BTreeSet<_> = self.clouds.iter().filter_map(|cloud| cloud.group.as_deref()).collect();
        let groups: Vec<_> = groups.into_iter().map(one_line).collect();
        let machines = self.clouds.iter().filter_map(|cloud| cloud.machines.as_ref());
        let vms: i64 = machines.flat_map(|machines| &machines.counts).map(|(_, count)| count).sum();
        let mut summary = format!("{} clouds", self.clouds.len());
        if !groups.is_empty() {
            summary += &format!(" of {} {}", if groups.len() == 1 { "group" } else { "groups" }, groups.join(", "));
        }
        summary += &format!(", {vms} virtual machines (Cloud Scheduler 2{})", version.unwrap_or_default());
        if !self.other_groups.is_empty() {
            let others: Vec<_> = self.other_groups.iter().map(|group| one_line(group)).collect();
            summary += &format!("; the user's other groups ({}) come with csv2's global view only", others.join(", "));
        }
        summary
    }
}

/// One cloud of one group. Group and cloud identify it: two groups may have clouds of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupCloud {
    /// The group that owns it (`group_name`).
    pub group: Option<String>,
    /// Its name (`cloud_name`).
    pub name: Option<String>,
    /// Whether csv2 boots machines on it (`enabled`).
    pub enabled: Option<bool>,
    /// The most machines that the cloud lets it run (`VMs_quota`); `None` if that is unlimited, unknown or old.
    pub quota: Option<i64>,
    /// The number of its dynamic slots, as csv2 counts them (`slot_count`).
    pub slots: Option<i64>,
    /// Its machines; `None` if their numbers are old, or missing.
    pub machines: Option<Machines>,
}

/// The machines of one cloud of one group by state.
#[derive(Clone, Debug, PartialEq)]
pub struct Machines {
    /// The states that the answer tells, with their counts; then, if any are left, the machines of other states as
    /// `unknown`.
    pub counts: Vec<(&'static str, i64)>,
    /// The states that it does not tell.
    pub untold: Vec<&'static str>,
}

/// The parts of the answer that are read. Unknown keys are ignored.
#[derive(Deserialize)]
pub(super) struct Reply {
    cloud_status_list: Option<Vec<Row>>,
    #[serde(default)]
    service_status: Value,
    #[serde(default)]
    job_status_list: Value,
    #[serde(default)]
    user_groups: Value,
    #[serde(default)]
    global_flag: Value,
    #[serde(default, deserialize_with = "text")]
    active_group: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    response_code: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    message: Option<String>,
    #[serde(default, deserialize_with = "text")]
    version: Option<String>,
}

/// One row of `cloud_status_list`.
#[derive(Deserialize)]
#[serde(expecting = "a cloud of Cloud Scheduler 2")]
struct Row {
    #[serde(default, deserialize_with = "text")]
    group_name: Option<String>,
    #[serde(default)]
    cloud_name: Value,
    #[serde(default, deserialize_with = "text")]
    tag: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "truth")]
    communication_up: Option<bool>,
    #[serde(default, rename = "VMs_quota", deserialize_with = "whole")]
    quota: Option<i64>,
    #[serde(default, deserialize_with = "whole")]
    slot_count: Option<i64>,
    #[serde(default, rename = "VMs", deserialize_with = "whole")]
    total: Option<i64>,
    #[serde(default, rename = "VMs_starting", deserialize_with = "whole")]
    starting: Option<i64>,
    #[serde(default, rename = "VMs_unregistered", deserialize_with = "whole")]
    unregistered: Option<i64>,
    #[serde(default, rename = "VMs_idle", deserialize_with = "whole")]
    idle: Option<i64>,
    #[serde(default, rename = "VMs_running", deserialize_with = "whole")]
    running: Option<i64>,
    #[serde(default, rename = "VMs_retiring", deserialize_with = "whole")]
    retiring: Option<i64>,
    #[serde(default, rename = "VMs_manual", deserialize_with = "whole")]
    manual: Option<i64>,
    #[serde(default, rename = "VMs_in_error", deserialize_with = "whole")]
    error: Option<i64>,
}

/// The states that depend on csv2's last look at HTCondor.
const FROM_HTCONDOR: [&str; 3] = ["unregistered", "idle", "running"];

/// csv2's stand-in for "unlimited" (`no_limit_default`).
const UNLIMITED: i64 = 999_999_999;

/// The largest believable count of machines.
const MOST_MACHINES: i64 = 1_000_000_000;

impl Row {
    /// Whether it sums other rows. csv2 has no cloud with an empty name.
    fn is_total(&self) -> bool {
        self.tag.as_deref() == Some("_total")
            || matches!(&self.cloud_name, Value::String(name) if name.trim().is_empty())
    }

    /// Counts its machines; `None` if it does not tell how many there are.
    fn machines(&self, knows_htcondor: bool) -> Option<Machines> {
        let is_count = |count: &i64| (0..=MOST_MACHINES).contains(count);
        let states = [
            ("starting", self.starting),
            ("unregistered", self.unregistered),
            ("idle", self.idle),
            ("running", self.running),
            ("retiring", self.retiring),
            ("manual", self.manual),
            ("error", self.error),
        ];
        let is_known = |state: &str| knows_htcondor || !FROM_HTCONDOR.contains(&state);
        let told = |(state, count): (&'static str, Option<i64>)| {
            count.filter(is_count).filter(|_| is_known(state)).map(|count| (state, count))
        };
        let mut counts: Vec<_> = states.into_iter().filter_map(told).collect();
        let untold: Vec<_> =
            states.into_iter().filter(|state| told(*state).is_none()).map(|(state, _)| state).collect();
        let sum: i64 = counts.iter().map(|(_, count)| count).sum();
        match self.total.filter(is_count) {
            Some(total) if total > sum => counts.push(("unknown", total - sum)),
            Some(_) => {}
            None if untold.is_empty() => {}
            None => return None,
        }
        Some(Machines { counts, untold })
    }

    fn quota(&self) -> Option<i64> {
        // csv2 writes 0 while it does not know the quota.
        self.quota.filter(|quota| (1..UNLIMITED).contains(quota))
    }
}

/// Reads csv2's answer.
///
/// # Errors
/// Fails if csv2 refuses, or all its numbers are old.
pub(super) fn read(reply: Reply) -> Result<Status> {
    reply.ensure_it_answers()?;
    let down = reply.groups_without_htcondor();
    let other_groups = reply.other_groups();
    let mut status = Status { version: reply.version, other_groups, ..Status::default() };
    let mut seen = BTreeSet::new();
    for row in reply.cloud_status_list.unwrap_or_default() {
        let name = text_of(&row.cloud_name);
        let group = row.group_name.clone();
        if row.is_total() || !seen.insert((group.clone(), name.clone())) {
            continue;
        }
        let is_up = row.communication_up != Some(false);
        let knows_htcondor = !group.as_ref().is_some_and(|group| down.contains(group));
        let machines = row.machines(knows_htcondor);
        let missing = match (is_up, &machines) {
            (false, _) => Some("csv2 cannot reach it (communication_up 0), so its numbers are old"),
            (true, None) => Some("csv2 does not tell how many machines it has (VMs)"),
            (true, Some(_)) => None,
        };
        // Nobody expects csv2 to reach a cloud that is switched off.
        if let Some(reason) = missing.filter(|_| row.enabled != Some(false)) {
            status.problems.push(problem(name.as_deref(), group.as_deref(), reason));
        }
        let (enabled, quota, slots) = (row.enabled, row.quota().filter(|_| is_up), row.slot_count);
        let machines = machines.filter(|_| is_up);
        status.clouds.push(GroupCloud { group, name, enabled, quota, slots, machines });
    }
    status.problems.extend(down.iter().map(|group| {
        let subject = format!("cloud_scheduler group {}", quote(group));
        let message = "csv2 does not ask its HTCondor any more (job_status_list: state down); its machines' states \
                       unregistered, idle and running are missing";
        Problem::of_source(subject, message)
    }));
    Ok(status)
}

fn problem(cloud: Option<&str>, group: Option<&str>, reason: &str) -> Problem {
    let named = |name: Option<&str>| name.map_or("without a name".into(), quote);
    let subject = format!("cloud {} of group {}", named(cloud), named(group));
    Problem::of_source(subject, format!("{reason}; its virtual machines are missing"))
}

impl Reply {
    fn ensure_it_answers(&self) -> Result<()> {
        if self.response_code.is_some_and(|code| code != 0) {
            bail!("Cloud Scheduler 2 refuses: {}", quote(self.message.as_deref().unwrap_or("no message")));
        }
        ensure!(
            self.cloud_status_list.is_some(),
            "this is another page of Cloud Scheduler 2; its status is at https://HOST/cloud/status/"
        );
        let has_no_clouds = self.cloud_status_list.as_ref().is_some_and(Vec::is_empty);
        let has_no_services = self.service_status.as_array().is_some_and(Vec::is_empty);
        ensure!(
            !(has_no_clouds && has_no_services),
            "Cloud Scheduler 2 lists no clouds and none of its own services: its database does not answer"
        );
        // No row tells whether a cloud is one of OpenStack's. csv2's others are few, and its status does not tell their age.
        for service in rows(&self.service_status) {
            let alias = service.get("alias").and_then(text_of).unwrap_or_default();
            ensure!(
                !(alias.to_lowercase().contains("openstack") && is_down(service)),
                "Cloud Scheduler 2's own service {} is down, so all its numbers are old",
                quote(&alias)
            );
        }
        Ok(())
    }

    /// Returns the groups whose HTCondor csv2 does not ask any more.
    fn groups_without_htcondor(&self) -> BTreeSet<String> {
        let down = rows(&self.job_status_list).filter(|row| is_down(row));
        down.filter_map(|row| row.get("group_name").and_then(text_of)).collect()
    }

    /// Returns the user's groups that the answer leaves out, because the user is not set to a global view.
    fn other_groups(&self) -> Vec<String> {
        let is_global = self.global_flag.as_bool().or(self.global_flag.as_i64().map(|flag| flag != 0));
        if is_global != Some(false) {
            return Vec::new();
        }
        let groups = rows(&self.user_groups).filter_map(text_of);
        groups.filter(|group| self.active_group.as_ref() != Some(group)).collect()
    }
}

/// Returns the elements of a list; none of every other value.
fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Whether csv2 calls one of its programs down (its last sign of life is too old).
fn is_down(row: &Value) -> bool {
    row.get("state").and_then(Value::as_str).is_some_and(|state| state.trim().eq_ignore_ascii_case("down"))
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, parse};
    use super::*;

    fn status(json: &str) -> Status {
        match parse(json.as_bytes()) {
            Ok(Answer::Two(status)) => status,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn the_answer_of_its_source_is_read() {
        let status = status(include_str!("../../../tests/fixtures/cloud_monitor/csv2/cloud_status.json"));
        let counts = [("starting", 2), ("unregistered", 1), ("idle", 0), ("running", 40), ("retiring", 3)];
        let counts = counts.into_iter().chain([("manual", 0), ("error", 1)]).collect();
        assert_eq!(
            status.clouds[0],
            GroupCloud {
                group: Some("atlas".into()),
                name: Some("cern".into()),
                enabled: Some(true),
                quota: Some(100),
                slots: Some(320),
                machines: Some(Machines { counts, untold: vec![] }),
            }
        );
        let rest: Vec<_> = status.clouds[1..].iter().map(|cloud| (cloud.name.as_deref(), cloud.enabled)).collect();
        assert_eq!(rest, [(Some("cc-east"), Some(false))], "a row that sums others is no cloud");
        assert_eq!(status.problems, []);
        assert_eq!(status.summary(), "2 clouds of group atlas, 65 virtual machines (Cloud Scheduler 2, version 2.11)");
    }

    #[test]
    fn old_numbers_are_not_taken_for_those_of_now() {
        let json = r#"{"cloud_status_list": [{"cloud_name": "c", "VMs": 1}], "service_status": [
            {"alias": "csv2_ec2", "state": "down"}, {"alias": "csv2_openstack", "state": "STATE"}]}"#;
        assert_eq!(status(&json.replace("STATE", "warn")).clouds.len(), 1);
        let error = parse(json.replace("STATE", "down").as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"Cloud Scheduler 2's own service "csv2_openstack" is down, so all its numbers are old"#
        );
    }

    #[test]
    fn no_clouds_are_an_answer_unless_the_database_fails() {
        for json in [
            r#"{"cloud_status_list": []}"#,
            r#"{"cloud_status_list": [], "service_status": [{"alias": "main", "state": "up"}]}"#,
            r#"{"cloud_status_list": [], "service_status": null, "job_status_list": 5, "user_groups": "atlas"}"#,
        ] {
            assert_eq!(status(json).clouds, []);
        }
        let error = parse(br#"{"cloud_status_list": [], "service_status": [], "response_code": 0}"#).unwrap_err();
        assert!(error.to_string().ends_with("its database does not answer"), "{error}");
    }

    #[test]
    fn check_names_the_groups_that_the_answer_leaves_out() {
        let json = r#"{"cloud_status_list": [], "user_groups": ["atlas", "belle"], "active_group": "atlas",
            "global_flag": FLAG}"#;
        assert_eq!(
            status(&json.replace("FLAG", "0")).summary(),
            "0 clouds, 0 virtual machines (Cloud Scheduler 2); the user's other groups (belle) come with csv2's global view only"
        );
        assert_eq!(status(&json.replace("FLAG", "1")).other_groups, Vec::<String>::new());
    }
}
