//! Why what is known of a set's newest backup differs from what scm-backup-monitor had in its database or JSON.

use crate::model::{Cause, Compared, Difference};

/// What is compared with the database: a point for each set.
pub const OF_DATABASE: &str = "scm_backup_database";

/// What is compared with the JSON of a node, which has only the selected sets.
pub const OF_JSON: &str = "scm_backup_json";

/// The field with the time of the newest backup, in unix seconds.
pub const NEWEST: &str = "newest";

/// The field with its size in MiB, rounded up.
pub const MIB: &str = "mib";

/// Returns a size as `du --block-size=1M` prints it.
pub fn mebibytes(bytes: f64) -> f64 {
    (bytes / 1_048_576.0).ceil()
}

/// The known causes, the first that fits counts.
pub static CAUSES: &[Cause] = &[
    Cause {
        why: "scm-backup-monitor read stamps as if they were UTC: the difference is an offset of a zone",
        is_general: false,
        explains: |of, difference| {
            let [Some(ours), Some(theirs)] = numbers(of, NEWEST) else { return false };
            let offset = theirs - ours;
            *difference == Difference::Field(NEWEST)
                && offset != 0.0
                && offset % 900.0 == 0.0
                && offset.abs() <= 50_400.0
        },
    },
    Cause {
        why: "scm-backup-monitor multiplied sizes below 11 MiB by ten",
        is_general: false,
        explains: |of, difference| {
            let [Some(ours), Some(theirs)] = numbers(of, MIB) else { return false };
            *difference == Difference::Field(MIB) && ours < 11.0 && (theirs - 10.0 * ours).abs() <= 10.0
        },
    },
    Cause {
        why: "du tells what is allocated, gridmon how long the file is: they differ by a block",
        is_general: false,
        explains: |of, difference| {
            let [Some(ours), Some(theirs)] = numbers(of, MIB) else { return false };
            *difference == Difference::Field(MIB) && (ours - theirs).abs() <= 1.0
        },
    },
    Cause {
        why: GONE,
        is_general: false,
        explains: |of, difference| is_gone(of) && *difference == Difference::Field(NEWEST),
    },
    Cause {
        why: GONE,
        is_general: true,
        explains: |of, difference| is_gone(of) && matches!(difference, Difference::Field(_)),
    },
    Cause {
        why: "scm-backup-monitor shortened the names of sets whose folders begin alike, and then selected none of them",
        is_general: false,
        explains: |of, difference| {
            let is_short = of.tag("set")[1].is_some_and(|set| !set.contains('/'));
            *difference == Difference::Missing && is_short
        },
    },
    Cause {
        why: "scm-backup-monitor's JSON has the selected sets alone, and none of those whose folders begin alike",
        is_general: false,
        explains: |of, difference| {
            *difference == Difference::Extra && of.ours.is_some_and(|point| point.measurement() == OF_JSON)
        },
    },
    Cause {
        why: "a set that scm-backup-monitor never saw was \"ok\" to it",
        is_general: false,
        explains: |of, difference| *difference == Difference::Extra && numbers(of, NEWEST)[0].is_none(),
    },
];

const GONE: &str = "nothing that counts lies there now; scm-backup-monitor never forgot what it once saw";

/// Whether a set that it knew has no backup.
fn is_gone(of: &Compared) -> bool {
    of.ours.is_some() && of.theirs.is_some() && numbers(of, NEWEST)[0].is_none()
}

fn numbers(of: &Compared, field: &str) -> [Option<f64>; 2] {
    of.field(field).map(|value| value.map(|value| value.as_f64()))
}
