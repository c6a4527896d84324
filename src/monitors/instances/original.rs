//! Why values of instances differ from those in the files of nova's instance monitor. They are compared as INSTANCE.FILE.SOURCE.

use crate::model::{Cause, Compared, Difference};

/// The most bytes a second that its net.rrd took.
const MOST: f64 = 1_250_000.0;

/// The known causes, the first that fits counts.
pub static CAUSES: &[Cause] = &[
    Cause {
        why: "both looked at moments of their own: they differ by less than a twentieth",
        is_general: true,
        explains: |of, difference| {
            let [Some(ours), Some(theirs)] = of.values() else { return false };
            is_value(difference) && (ours - theirs).abs() <= 0.05 * ours.abs().max(theirs.abs())
        },
    },
    Cause {
        why: "net.rrd of the instance monitor took no more than 1,250,000 bytes a second: what was more is unknown there",
        is_general: false,
        explains: |of, difference| {
            let is_more = of.values()[0].is_some_and(|ours| ours > MOST);
            *difference == Difference::Extra && is_more && file(of) == Some("net")
        },
    },
    Cause {
        why: "the instance was restarted: its counters began anew, and the instance monitor took that for a wrap",
        is_general: false,
        explains: |of, difference| {
            let is_spike = of.values()[1].is_some_and(|theirs| theirs > 1e12);
            (is_value(difference) || *difference == Difference::Missing) && is_spike && file(of) == Some("disk")
        },
    },
    Cause {
        why: "only gridmon keeps the file of this instance, or the instance monitor had no second reading yet",
        is_general: false,
        explains: |of, difference| *difference == Difference::Extra && of.values()[0] == Some(0.0),
    },
];

fn is_value(difference: &Difference) -> bool {
    matches!(difference, Difference::Field(_))
}

/// Returns the name of the file.
fn file<'a>(of: &Compared<'a>) -> Option<&'a str> {
    of.path()?.split('.').nth(1)
}
