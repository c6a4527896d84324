//! The partitions: `scontrol -a -o show partition`, a line each.

use anyhow::{Context, Result};

use super::node::Fields;
use crate::text::quote;

/// A partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// Its state as Slurm spells it: `UP`, `DOWN`, `DRAIN`, `INACTIVE`.
    pub state: String,
    /// Its nodes (`TotalNodes`), those that are asleep included.
    pub nodes: Option<i64>,
    /// Its processors (`TotalCPUs`).
    pub cpus: Option<i64>,
}

/// Parses a line. Returns `None` for one that is of no partition.
///
/// # Errors
/// Fails if the line of a partition lacks its state.
pub fn parse(line: &str) -> Result<Option<(String, Partition)>> {
    let fields = Fields::of(line);
    let Some(name) = fields.get("PartitionName") else { return Ok(None) };
    let state = fields.get("State").filter(|state| !state.is_empty());
    let state = state.with_context(|| format!("tells no State of partition {}", quote(name)))?;
    let number = |key: &str| fields.get(key).and_then(|text| text.parse().ok()).filter(|number| *number >= 0);
    let partition = Partition { state: state.into(), nodes: number("TotalNodes"), cpus: number("TotalCPUs") };
    Ok(Some((name.into(), partition)))
}
