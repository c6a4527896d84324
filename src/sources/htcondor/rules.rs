//! `[job_types]`: the rules that give a job its type by its ClassAd attributes.

use anyhow::{Result, anyhow, ensure};

use crate::config::{Section, Values};
use crate::text::quote;

/// `[job_types]`.
pub const SECTION: Section = Section::new(
    "job_types",
    "Tells which job counts as which type, by its ClassAd attributes.",
    &[],
)
.with_free_keys(
    "TYPE = ATTRIBUTE = VALUE | VALUE…, several conditions joined by \" and \", a * at the end of a value for \"begins \
     with\". The first rule that a job fits is its type. Rules here replace these, which are the original Cloud \
     Monitor's:",
    &DEFAULT,
);

/// The rules, in the order of the file. A job has the type of the first rule that matches it, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    rules: Vec<Rule>,
    /// `TargetClouds`, which names a job's clouds, `JobUniverse`, and every attribute that a rule names; each once.
    attributes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    job_type: String,
    /// All conditions must hold. Each is the attribute's index in `attributes` and the patterns, one of which must
    /// match.
    conditions: Vec<(usize, Vec<String>)>,
}

/// The job types of the original Cloud Monitor. Its group names are the accounting groups of that time; today's pools
/// write `group.user`.
pub const DEFAULT: [(&str, &str); 7] = [
    ("1_Core", "TargetClouds = IAAS"),
    ("8_Core", "TargetClouds = IAAS_MCORE"),
    ("Alberta", "TargetClouds = Alberta"),
    ("DPHEP", "TargetClouds = cern-preservation"),
    ("MCore", "TargetClouds = CERNClouds and AccountingGroup = group_mcore | group_mcore.*"),
    ("Himem", "TargetClouds = CERNClouds and AccountingGroup = group_himem | group_himem.*"),
    ("Analy", "TargetClouds = CERNClouds and AccountingGroup = group_analysis | group_analysis.*"),
];

/// The attributes that are needed with any rules, first in [`Rules::attributes`]: the clouds on which a job may run, and
/// its universe.
const ALWAYS: [&str; 2] = ["TargetClouds", "JobUniverse"];

/// `JobUniverse` of the scheduler universe.
const SCHEDULER_UNIVERSE: &str = "7";

/// The attributes that `condor_q -group-by` adds to every group. A job's own attribute of the same name could not be
/// distinguished from them.
const RESERVED: [&str; 4] = ["JobStatus", "JobCount", "JobIds", "Id"];

impl Rules {
    /// Reads the section. Returns the original's rules if it is empty or missing.
    ///
    /// # Errors
    /// Fails if a rule cannot be read.
    pub fn read(values: &Values) -> Result<Self> {
        let entries = values.free()?;
        let mut rules = Self::none();
        for (job_type, text) in &entries {
            rules.add(job_type, text).map_err(|error| values.refuse(job_type, error))?;
        }
        Ok(if entries.is_empty() { Self::default() } else { rules })
    }

    fn none() -> Self {
        Self { rules: Vec::new(), attributes: ALWAYS.map(String::from).to_vec() }
    }

    fn add(&mut self, job_type: &str, text: &str) -> Result<()> {
        ensure!(job_type != "all", "\"all\" is what the sum of all types is called; name this type otherwise");
        let conditions = text.split(" and ").map(|condition| self.condition(condition)).collect::<Result<_>>()?;
        self.rules.push(Rule { job_type: job_type.into(), conditions });
        Ok(())
    }

    fn condition(&mut self, text: &str) -> Result<(usize, Vec<String>)> {
        let (attribute, patterns) = text
            .split_once('=')
            .ok_or_else(|| anyhow!("{} is not ATTRIBUTE = VALUE | VALUE…; join several with \" and \"", quote(text)))?;
        let attribute = attribute.trim();
        ensure!(
            attribute.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && attribute.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{} is no attribute name",
            quote(attribute)
        );
        ensure!(
            !RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(attribute)),
            "{attribute} cannot tell a job's type"
        );
        let patterns: Vec<_> = patterns.split('|').map(|pattern| pattern.trim().to_string()).collect();
        for pattern in &patterns {
            let stem = pattern.strip_suffix('*').unwrap_or(pattern);
            ensure!(
                !pattern.is_empty() && !stem.contains('*') && !stem.starts_with(['=', '"']),
                "{} is not a value, bare, or the beginning of one and a *",
                quote(pattern)
            );
        }
        ensure!(
            !attribute.eq_ignore_ascii_case(ALWAYS[1]) || patterns.iter().all(|pattern| pattern != SCHEDULER_UNIVERSE),
            "jobs of the scheduler universe have no type; schedds.SCHEDD.scheduler_jobs counts them"
        );
        let known = self.attributes.iter().position(|known| known.eq_ignore_ascii_case(attribute));
        let place = known.unwrap_or_else(|| {
            self.attributes.push(attribute.into());
            self.attributes.len() - 1
        });
        Ok((place, patterns))
    }

    /// Returns the attributes to request besides `JobStatus`.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// Returns the clouds that a job names (`TargetClouds`), separated by commas or spaces. `values` belong to
    /// [`Rules::attributes`], in that order.
    pub fn target_clouds(values: &[Option<String>]) -> &str {
        values.first().and_then(Option::as_deref).unwrap_or_default()
    }

    /// Returns whether a job is in the scheduler universe, like DAGMan: the schedd itself runs it, beside all limits for
    /// jobs, and `condor_q -totals` counts it apart. `values` are as in [`Rules::target_clouds`].
    pub fn in_scheduler_universe(values: &[Option<String>]) -> bool {
        values.get(1).and_then(Option::as_deref) == Some(SCHEDULER_UNIVERSE)
    }

    /// Returns the type of a job. `values` belong to [`Rules::attributes`], in that order.
    pub fn job_type(&self, values: &[Option<String>]) -> Option<&str> {
        let fits = |(place, patterns): &(usize, Vec<String>)| {
            let value = values.get(*place).and_then(Option::as_deref);
            value.is_some_and(|value| {
                patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                    Some(stem) => value.starts_with(stem),
                    None => value == pattern,
                })
            })
        };
        self.rules.iter().find(|rule| rule.conditions.iter().all(fits)).map(|rule| rule.job_type.as_str())
    }
}

impl Default for Rules {
    fn default() -> Self {
        let mut rules = Self::none();
        for (job_type, text) in DEFAULT {
            rules.add(job_type, text).expect("a test reads every default");
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job_type(clouds: Option<&str>, group: Option<&str>) -> Option<String> {
        let rules = Rules::default();
        assert_eq!(rules.attributes(), ["TargetClouds", "JobUniverse", "AccountingGroup"]);
        rules.job_type(&[clouds.map(String::from), Some("5".into()), group.map(String::from)]).map(String::from)
    }

    #[test]
    fn the_originals_types_are_told_apart_by_default() {
        for (clouds, group, expected) in [
            (Some("IAAS"), Some("group_mcore"), Some("1_Core")),
            (Some("IAAS_MCORE"), None, Some("8_Core")),
            (Some("Alberta"), None, Some("Alberta")),
            (Some("cern-preservation"), None, Some("DPHEP")),
            (Some("CERNClouds"), Some("group_mcore"), Some("MCore")),
            (Some("CERNClouds"), Some("group_mcore.alice"), Some("MCore")),
            (Some("CERNClouds"), Some("group_mcores"), None),
            (Some("CERNClouds"), Some("group_himem"), Some("Himem")),
            (Some("CERNClouds"), Some("group_analysis.x"), Some("Analy")),
            (Some("CERNClouds"), None, None),
            (Some("OTHER"), None, None),
            (None, Some("group_mcore"), None),
        ] {
            assert_eq!(job_type(clouds, group).as_deref(), expected, "{clouds:?} {group:?}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused_in_words() {
        let mut rules = Rules::default();
        for (job_type, text, error) in [
            ("all", "A = b", "\"all\" is what the sum of all types is called; name this type otherwise"),
            ("x", "IAAS", "\"IAAS\" is not ATTRIBUTE = VALUE | VALUE…; join several with \" and \""),
            ("x", "Target Clouds = a", "\"Target Clouds\" is no attribute name"),
            ("x", "jobstatus = 1", "jobstatus cannot tell a job's type"),
            (
                "dag",
                "jobuniverse = 12 | 7",
                "jobs of the scheduler universe have no type; schedds.SCHEDD.scheduler_jobs counts them",
            ),
            ("x", "A = ", "\"\" is not a value, bare, or the beginning of one and a *"),
            ("x", "A == b", "\"= b\" is not a value, bare, or the beginning of one and a *"),
            ("x", "A = \"b\"", "\"\"b\"\" is not a value, bare, or the beginning of one and a *"),
            ("x", "A = b*c", "\"b*c\" is not a value, bare, or the beginning of one and a *"),
        ] {
            assert_eq!(rules.add(job_type, text).unwrap_err().to_string(), error);
        }
    }
}
