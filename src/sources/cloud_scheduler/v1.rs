//! Cloud Scheduler 1.13: each cloud with each of its virtual machines, from `cloud_status -aj` or from the served
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

use serde::{Deserialize, Deserializer};

use crate::sources::lenient::{text, truth, whole};

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

/// Reads the list of machines; `null` is an empty list.
fn vms<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<Vm>, D::Error> {
    Option::<Vec<Vm>>::deserialize(json).map(Option::unwrap_or_default)
}
