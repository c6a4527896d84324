//! The rules of all systems, and `[alarms]`, which sets their limits.

use anyhow::Result;

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::events::{Limit, Limits, Rules, System};
use crate::monitors::panda::rules::SUSPICIOUS;
use crate::monitors::{backups, grid, instances, nodes, panda, slurm};

/// The systems with their rules, in the order of the pages.
pub static SYSTEMS: [&System; 6] = [
    &grid::rules::SYSTEM,
    &panda::rules::SYSTEM,
    &nodes::rules::SYSTEM,
    &slurm::rules::SYSTEM,
    &backups::rules::SYSTEM,
    &instances::rules::SYSTEM,
];

/// `[alarms]`: a key for each limit that a rule has.
pub static SECTION: Section = Section::new(
    "alarms",
    "When the dashboard and `gridmon-status grid --nagios` call something a trouble. docs/cloud-monitor.md lists every rule.",
    KEYS.0.split_at(KEYS.1).0,
);

/// The key of the time after which a silent series is forgotten.
const FORGET: Limit = Limit::new(
    "forget_days",
    "7",
    36_500.0,
    "days",
    "After how many days of silence something counts as gone on purpose: its rules forget it.",
);

/// The most limits of all rules.
const MOST: usize = 64;

const fn key(limit: Limit) -> Key {
    let Limit { key, default, most, unit, help } = limit;
    Key::new(key, Kind::Decimal { least: 0.0, most, unit }, Unset::Default(default), help)
}

/// The keys, and how many they are.
static KEYS: ([Key; MOST], usize) = {
    let mut keys = [const { key(FORGET) }; MOST];
    let mut at = 0;
    while at < LIMITS.1 {
        keys[at + 1] = key(LIMITS.0[at]);
        at += 1;
    }
    (keys, LIMITS.1 + 1)
};

/// The limits of all rules, each once, and how many they are; but the one that `[panda]` has.
static LIMITS: ([Limit; MOST], usize) = {
    let (mut limits, mut count, mut system) = ([FORGET; MOST], 0, 0);
    while system < SYSTEMS.len() {
        let rules = SYSTEMS[system].rules;
        let mut rule = 0;
        while rule < rules.len() {
            let of_rule = rules[rule].limits();
            let mut at = 0;
            while at < of_rule.len() {
                if let Some(limit) = of_rule[at] {
                    let mut known = is_same(limit.key, SUSPICIOUS.key);
                    let mut before = 0;
                    while before < count {
                        known = known || is_same(limit.key, limits[before].key);
                        before += 1;
                    }
                    if !known {
                        limits[count] = limit;
                        count += 1;
                    }
                }
                at += 1;
            }
            rule += 1;
        }
        system += 1;
    }
    (limits, count)
};

/// Whether two texts are equal; `==` is not `const`.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Reads `[alarms]`; `suspicious` is the limit that `[panda]` has.
///
/// # Errors
/// If a value is not valid for its key.
pub(super) fn read(values: &Values, suspicious: f64) -> Result<Rules> {
    let mut limits = Limits::default();
    for limit in LIMITS.0.iter().take(LIMITS.1) {
        limits.set(limit.key, values.decimal(limit.key)?);
    }
    limits.set(SUSPICIOUS.key, suspicious);
    let forget_seconds = (values.decimal(FORGET.key)? * 86_400.0) as i64;
    Ok(Rules { systems: &SYSTEMS, limits, forget_seconds, only: None })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::setup::Config;

    #[test]
    fn a_limit_is_set_by_its_key_and_a_slip_is_named() {
        let rules = |text: &str| Config::parse(text, "c.cfg").map(|(config, _)| config.alarms);
        let set = rules("[alarms]\nheld_jobs = 5\nforget_days = 1\n[panda]\nsuspicious_score = 6").unwrap();
        let grew = set.all().find(|(_, rule)| rule.name == "held_jobs").unwrap().1.limits();
        assert_eq!(grew.map(|limit| set.limits.of(limit.unwrap())), [3.0, 5.0, 21_600.0]);
        assert_eq!((set.limits.of(SUSPICIOUS), set.forget_seconds), (6.0, 86_400));
        let error = |text: &str| format!("{:#}", rules(text).unwrap_err());
        assert_eq!(
            error("[alarms]\nhold_jobs = 5"),
            "c.cfg line 2: [alarms] has no key \"hold_jobs\"; did you mean held_jobs?"
        );
        assert_eq!(
            error("[alarms]\nerror_vms_ratio = 25"),
            "c.cfg line 2: [alarms] error_vms_ratio: \"25\" is not 0 to 1 of all"
        );
    }

    #[test]
    fn every_rule_has_a_name_of_its_own_and_a_sound_text() {
        let rules = rules();
        let names: BTreeSet<_> = rules.all().map(|(_, rule)| rule.name).collect();
        assert_eq!(names.len(), rules.all().count());
        for (system, rule) in rules.all() {
            let is_tag = |name: &str| rule.measurement.tags.iter().any(|tag| tag.name == name);
            let of_text = rule.text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
            for name in of_text {
                assert!(["value", "of", "was"].contains(&name) || is_tag(name), "{}: {{{name}}}", rule.name);
            }
            assert!(
                rule.subject.iter().chain(rule.only.iter().map(|(tag, _)| tag)).all(|tag| is_tag(tag)),
                "{}",
                rule.name
            );
            assert!(!rule.text.is_empty() && (rule.subject.is_empty() != rule.called.is_empty()), "{}", rule.name);
            assert!(crate::setup::pages().iter().any(|page| page.name == system.name), "{}", system.name);
        }
    }

    fn rules() -> Rules {
        Config::parse("", "c.cfg").unwrap().0.alarms
    }
}
