//! The health of the scheduler: the text of `sdiag`, whose keys are the same from 20.11 to 26.05.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::text::quote;

/// What slurmctld tells of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diag {
    /// The numbers by section and key. The section is empty at the begin, then `Main schedule statistics` and so on; times are in
    /// microseconds, points in time in unix seconds.
    pub values: BTreeMap<(String, String), i64>,
}

/// The statistics by kind of call begin here; their number grows with the users.
const CALLS: &str = "Remote Procedure Call";

/// The most lines that are read.
const MOST_LINES: usize = 1000;

impl Diag {
    /// Returns a number.
    pub fn get(&self, section: &str, key: &str) -> Option<i64> {
        self.values.iter().find(|((of, name), _)| of == section && name == key).map(|(_, value)| *value)
    }

    /// Returns how many jobs slurmctld counted last, pending and running; 0 before its first count.
    pub fn jobs(&self) -> i64 {
        self.get("", "Jobs pending").unwrap_or(0).saturating_add(self.get("", "Jobs running").unwrap_or(0))
    }
}

/// Parses the text.
///
/// # Errors
/// Fails if the text is no answer of sdiag.
pub fn parse(text: &str) -> Result<Diag> {
    let mut values = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().take(MOST_LINES).take_while(|line| !line.starts_with(CALLS)) {
        let is_inner = line.starts_with([' ', '\t']);
        let (key, value) = line.split_once(':').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
        // `Data since      Thu Nov 26 02:39:32 2026 (1795660772)` has its colons in the time.
        let (key, value) = line.strip_prefix("Data since").map_or((key, value), |time| ("Data since", time));
        match number(value) {
            Some(number) => {
                let of = if is_inner { section.clone() } else { String::new() };
                values.entry((of, key.to_string())).or_insert(number);
            }
            None if !is_inner && value.is_empty() => {
                section = key.split(" (").next().unwrap_or_default().trim().to_string();
            }
            None => {}
        }
    }
    let mut diag = Diag { values };
    ensure!(diag.get("", "Server thread count").is_some(), "tells no Server thread count: {}", quote(text));
    // Before its first count, half a minute after its start, slurmctld tells zeros.
    let counted = diag.get("", "Job states ts");
    if counted.is_some_and(|time| time == 0 || Some(time) == diag.get("", "Data since")) {
        for key in ["Jobs pending", "Jobs running"] {
            diag.values.remove(&(String::new(), key.into()));
        }
    }
    Ok(diag)
}

/// Returns the number that a value is or, of a point in time, the unix seconds in its parentheses.
fn number(value: &str) -> Option<i64> {
    let bracketed = value.strip_suffix(')').and_then(|value| value.rsplit_once('(')).map(|(_, seconds)| seconds);
    bracketed.unwrap_or(value).parse().ok().filter(|number| *number >= 0)
}
