//! What is a trouble of backups: the verdicts, which collect-backups itself makes.

use super::measurements::{BACKUP_NODE, BACKUP_SET};
use super::verdict::Verdict;
use crate::events::{Rule, Severity, Shows, System};
use crate::monitors::SILENT;

/// All verdicts.
const VERDICTS: [Verdict; 19] = [
    Verdict::Ok,
    Verdict::Grown,
    Verdict::Stale,
    Verdict::Hoards,
    Verdict::Stuck,
    Verdict::Unlisted,
    Verdict::Filling,
    Verdict::Shrunk,
    Verdict::Unsealed,
    Verdict::Digest,
    Verdict::Truncated,
    Verdict::Small,
    Verdict::Old,
    Verdict::Lost,
    Verdict::Future,
    Verdict::Vanished,
    Verdict::Never,
    Verdict::Unreadable,
    Verdict::Unreachable,
];

/// Returns the word of a verdict's number.
pub(super) fn word(number: i64) -> &'static str {
    VERDICTS.iter().find(|verdict| **verdict as i64 == number).map_or("of an unknown kind", |verdict| verdict.word())
}

pub(super) const FIRST_ALARM: i64 = Verdict::Shrunk as i64;
const LAST_ALARM: i64 = Verdict::Unreachable as i64;

/// The rules of the backups. A warning counts as worse, an alarm as bad.
pub static SYSTEM: System = System {
    name: "backups",
    title: "Backups",
    program: "collect-backups",
    rules: &[
        Rule::silent("backups_silent", &BACKUP_NODE, "reachable", SILENT).says(&["hub"], "collector silent"),
        Rule::within("backup_alarm", &BACKUP_SET, "verdict", (FIRST_ALARM, LAST_ALARM))
            .says(&["hub", "set"], "backup {value} on {node}")
            .shows(Shows::Named(word)),
        Rule::within("backup_warning", &BACKUP_SET, "verdict", (1, FIRST_ALARM - 1))
            .says(&["hub", "set"], "backup {value} on {node}")
            .shows(Shows::Named(word))
            .is(Severity::Worse),
        Rule::within("node_alarm", &BACKUP_NODE, "verdict", (FIRST_ALARM, LAST_ALARM))
            .says(&["hub", "node"], "node {value}")
            .shows(Shows::Named(word)),
        Rule::within("node_warning", &BACKUP_NODE, "verdict", (1, FIRST_ALARM - 1))
            .says(&["hub", "node"], "node {value}")
            .shows(Shows::Named(word))
            .is(Severity::Worse),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_word() {
        let field =
            BACKUP_SET.field("verdict").unwrap().meaning.to_string() + BACKUP_NODE.field("verdict").unwrap().meaning;
        for verdict in VERDICTS {
            let number = verdict as i64;
            assert!(field.contains(&format!("{number} {}", word(number))), "{number}");
        }
        assert_eq!(word(99), "of an unknown kind");
    }
}
