//! Names that a foreign system may have any number of: the largest are counted apart, the rest together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The name under which the rest is counted.
pub const OTHER: &str = "other";

/// The names that are counted apart, as an earlier run chose them: one that has a series keeps it while it has anything to count,
/// so that a series never says 0 of what is counted as the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// The accounts.
    pub accounts: BTreeSet<String>,
    /// The partitions.
    pub partitions: BTreeSet<String>,
}

/// Chooses at most `most` names to be counted apart, and returns them: those of `before` that are still there, then the
/// largest ones, of equal ones the first by name.
pub(super) fn choose(sizes: &BTreeMap<&str, i64>, before: &BTreeSet<String>, most: usize) -> BTreeSet<String> {
    let mut names: Vec<_> = sizes.iter().map(|(name, size)| (!before.contains(*name), -size, *name)).collect();
    names.sort_unstable();
    names.into_iter().take(most).map(|(_, _, name)| name.to_string()).collect()
}

/// Returns the name under which `name` is counted.
pub(super) fn shown<'a>(name: &'a str, chosen: &BTreeSet<String>) -> &'a str {
    if chosen.contains(name) { name } else { OTHER }
}
