//! Hubs: which sets should lie on which nodes, and what is right for them.

use std::path::{Path, PathBuf};

use super::name::fits;
use super::pattern::Pattern;
use super::verdict::{Check, Rules};
use super::zone::Zone;

/// A server whose backups are watched, with the nodes that hold them.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its name.
    pub name: String,
    /// The nodes that hold its backups.
    pub nodes: Vec<String>,
    /// The folder on each node; it may name variables of the login.
    pub root: String,
    /// The pattern of its backups below the root.
    pub pattern: Pattern,
    /// The zone of their stamps.
    pub zone: Zone,
    /// The sets that must be there, as [`shown`](super::name::shown) spells them; empty for those that are or were there.
    pub sets: Vec<String>,
    /// Who is told of its alarms; empty for those of `[mail]`.
    pub email: Vec<String>,
    /// Where its report can be seen.
    pub report_url: Option<String>,
    /// Where the JSON of each node's plots is written, with `%(node)s` for the node; see [`Hub::page`].
    pub json_path: Option<String>,
    /// What is right for a set of which nothing else is said.
    pub defaults: Rules,
    /// What is said of some sets.
    pub exceptions: Vec<Exception>,
}

/// What the config says of the sets that fit a glob.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exception {
    /// The glob.
    pub glob: String,
    /// What differs.
    pub some: SomeRules,
}

/// Some of the [`Rules`]: those that a section of the config has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SomeRules {
    /// The age beyond which the newest backup is old, in seconds.
    pub fresh_seconds: Option<i64>,
    /// How much smaller the newest may be, in percent.
    pub shrink_percent: Option<u64>,
    /// The least bytes of a backup.
    pub least_bytes: Option<u64>,
    /// How many are kept.
    pub keep: Option<u64>,
    /// What is checked.
    pub check: Option<Check>,
}

impl SomeRules {
    /// Applies what is said to `rules`.
    pub fn apply(&self, rules: &mut Rules) {
        rules.fresh_seconds = self.fresh_seconds.unwrap_or(rules.fresh_seconds);
        rules.shrink_percent = self.shrink_percent.unwrap_or(rules.shrink_percent);
        rules.least_bytes = self.least_bytes.unwrap_or(rules.least_bytes);
        rules.keep = self.keep.or(rules.keep);
        rules.check = self.check.unwrap_or(rules.check);
    }
}

impl Hub {
    /// Returns what is right for a set: the narrowest section that says it.
    pub fn rules(&self, set: &str) -> Rules {
        let mut fitting: Vec<_> = self.exceptions.iter().filter(|exception| fits(&exception.glob, set)).collect();
        // The name itself last, then what leaves least to chance.
        let exact = |glob: &str| !glob.contains(['*', '?']);
        let literal = |glob: &str| glob.chars().filter(|c| !matches!(c, '*' | '?')).count();
        fitting.sort_by_key(|exception| (exact(&exception.glob), literal(&exception.glob)));
        let mut rules = self.defaults.clone();
        fitting.iter().for_each(|exception| exception.some.apply(&mut rules));
        rules
    }

    /// Returns where the JSON of a node's plots is written; `None` if nowhere. Two hubs that have one path for a node share it.
    pub fn page(&self, node: &str) -> Option<PathBuf> {
        let path = self.json_path.as_ref()?.replace("%(node)s", node);
        // One file has one name: without `//` and `/./`.
        Some(Path::new(&path).components().collect())
    }

    /// Returns the path of what lies below the root; empty for the root itself, with a `/` at its end.
    pub fn path_of(&self, below: &str) -> String {
        format!("{}/{below}", self.root.trim_end_matches('/'))
    }

    /// Returns the name of the one set of a pattern that does not tell sets apart.
    pub fn only_set(&self) -> &str {
        self.sets.first().map_or("backup", String::as_str)
    }
}

#[cfg(test)]
impl Hub {
    /// A hub with the original's pattern, in UTC, of which nothing more is said.
    pub fn usual(name: &str, nodes: &[&str]) -> Self {
        Self {
            name: name.into(),
            nodes: nodes.iter().map(|node| node.to_string()).collect(),
            root: "/backup".into(),
            pattern: Pattern::new("{set}/%Y/%m/%d/%H%M%S/*.tar.gz").unwrap(),
            zone: Zone::utc(),
            sets: Vec::new(),
            email: Vec::new(),
            report_url: None,
            json_path: None,
            defaults: Rules::USUAL,
            exceptions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_section_wins() {
        let of = |glob: &str, hours: i64, keep| Exception {
            glob: glob.into(),
            some: SomeRules { fresh_seconds: Some(hours * 3600), keep, ..SomeRules::default() },
        };
        let exceptions = vec![of("svn/weekly", 170, None), of("svn/*", 30, Some(9)), of("*", 28, Some(7))];
        let hub = Hub { exceptions, ..Hub::usual("ZZ", &[]) };
        let rules = |set| (hub.rules(set).fresh_seconds / 3600, hub.rules(set).keep);
        assert_eq!(rules("svn/weekly"), (170, Some(9)));
        assert_eq!(rules("svn/x"), (30, Some(9)));
        assert_eq!(rules("tracs/x"), (28, Some(7)));
    }
}
