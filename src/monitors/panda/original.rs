//! Why points of `jobs` differ from those that QMonit wrote.

use super::measurements::{BENCHMARK, JOB_COUNT, PLEDGE, SEQUENCE};
use crate::model::{Cause, Compared, Difference, Value};

/// The known causes, the first that fits counts.
pub static CAUSES: &[Cause] = &[
    Cause {
        why: "QMonit's points have no sequence, which tells two runs in a slot apart",
        is_general: true,
        explains: |of, difference| {
            let name = SEQUENCE.info().name;
            *difference == Difference::Field(name) && of.field(name)[1].is_none()
        },
    },
    NOT_IN_CRIC,
    Cause {
        why: "a series that vanished is 0 once; QMonit's stood at its last value",
        is_general: false,
        explains: |of, difference| {
            let is_zero = of.field(JOB_COUNT.info().name)[0] == Some(Value::Int(0));
            let has_no_more = of.ours.is_some_and(|point| point.fields().count() == 2);
            *difference == Difference::Extra && is_zero && has_no_more
        },
    },
    Cause {
        why: "QMonit's pledge was a fraction, for which InfluxDB refused the whole point",
        is_general: false,
        explains: |of, difference| {
            // The field is the pledge of processors alone.
            let is_fraction = |pledge: &str| pledge.ends_with(" (CPU)") && pledge.contains('.');
            *difference == Difference::Extra
                && of.tag("pledge_type")[0].is_some_and(|pledges| pledges.split(';').any(is_fraction))
        },
    },
    NULL_TAG,
    PLEDGES_IN_ORDER,
    Cause {
        why: "QMonit had no pledge from January to March, and joined pledges by atlas_site",
        is_general: false,
        explains: |of, difference| {
            let [ours, theirs] = of.tag("pledge_type").map(|pledge| pledge.is_some_and(|pledge| pledge != "None"));
            is_pledge(difference) && ours && !theirs && of.field(PLEDGE.info().name)[1] == Some(Value::Int(0))
        },
    },
    Cause {
        why: "of several federations of a site QMonit took the last one of a dict of Python",
        is_general: false,
        explains: |of, difference| {
            // Another federation has pledges of another amount: the number alone does not come from there.
            let [ours, theirs] = of.tag("pledge_type");
            let is_there = [ours, theirs].into_iter().all(|pledge| pledge.is_some_and(|it| it != "None"));
            is_pledge(difference) && is_there && ours != theirs
        },
    },
    Cause {
        why: "of several endpoints of a site QMonit took the last one of a dict of Python",
        is_general: false,
        explains: |of, difference| *difference == Difference::Tag("fts_server") && both(of, "fts_server"),
    },
    Cause {
        why: "QMonit took the ages of benchmarks by the clock of its host's zone",
        is_general: false,
        explains: |of, difference| {
            // Another weight of the same benchmarks, and no other unit.
            let values = of.field(BENCHMARK.info().name).map(|value| value.map_or(0.0, Value::as_f64));
            let (least, most) = (values[0].min(values[1]), values[0].max(values[1]));
            *difference == Difference::Field(BENCHMARK.info().name) && least > 0.0 && most <= 2.0 * least
        },
    },
    Cause {
        why: "the tags changed within the slot, so QMonit's two runs left two points",
        is_general: false,
        explains: |_, difference| *difference == Difference::Again,
    },
];

/// Of raw and folded points.
pub(super) const NOT_IN_CRIC: Cause = Cause {
    why: "QMonit dropped queues that CRIC does not know",
    is_general: false,
    explains: |of, difference| {
        let is_unknown = |tag| of.tag(tag)[0] == Some("None");
        *difference == Difference::Extra && ["atlas_site", "type", "cloud", "site_state"].into_iter().all(is_unknown)
    },
};

/// Of raw and folded points.
pub(super) const NULL_TAG: Cause = Cause {
    why: "a null value of CRIC is None; QMonit left the tag out",
    is_general: false,
    explains: |of, difference| matches!(difference, Difference::Tag(name) if of.tag(name) == [Some("None"), None]),
};

/// Of raw and folded points.
pub(super) const PLEDGES_IN_ORDER: Cause = Cause {
    why: "the pledges are in the order of their names; QMonit's were in that of a dict of Python",
    is_general: false,
    explains: |of, difference| {
        let parts = |pledges: &str| {
            let mut parts: Vec<_> = pledges.split(';').map(String::from).collect();
            parts.sort_unstable();
            parts
        };
        *difference == Difference::Tag("pledge_type")
            && matches!(of.tag("pledge_type"), [Some(ours), Some(theirs)] if parts(ours) == parts(theirs))
    },
};

/// Why points of `datadisks` differ from those that QMonit wrote.
pub static DATADISK_CAUSES: &[Cause] = &[
    Cause {
        why: "what is not known is left out; QMonit wrote 0",
        is_general: false,
        explains: |of, difference| match difference {
            Difference::Field(name) => of.field(name)[0].is_none() && of.field(name)[1].map(Value::as_f64) == Some(0.0),
            _ => false,
        },
    },
    Cause {
        why: "a datadisk without a size keeps its name; QMonit wrote NONE",
        is_general: false,
        explains: |of, difference| {
            let theirs = of.tag("datadisk_name")[1];
            *difference == Difference::Tag("datadisk_name")
                && theirs.is_some_and(|name| name.eq_ignore_ascii_case("none"))
        },
    },
];

fn is_pledge(difference: &Difference) -> bool {
    [Difference::Tag("pledge_type"), Difference::Field(PLEDGE.info().name)].contains(difference)
}

/// Whether both points have a tag.
fn both(of: &Compared, tag: &str) -> bool {
    of.tag(tag).iter().all(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::super::MEASUREMENTS;
    use super::*;
    use crate::model::{Catalog, Point, compare};

    /// The causes of the differences of two lines; `-` where none is known.
    fn causes(ours: &[&str], theirs: &[&str]) -> Vec<String> {
        let points = |lines: &[&str]| -> Vec<Point> {
            let line = |line: &&str| {
                let mut point =
                    Point::from_line(&format!("jobs,panda_queue=Q,prod_source=s,resource=r,job_status=running,{line}"))
                        .unwrap();
                Catalog::new(&MEASUREMENTS).declare(&mut point);
                point
            };
            lines.iter().map(line).collect()
        };
        let (ours, theirs) = (points(ours), points(theirs));
        let all = compare(&ours, &theirs);
        let of_one = |one: &Compared| {
            let why = |difference| one.cause(difference, CAUSES).map_or("-".into(), |cause| cause.why.to_string());
            one.differences.iter().map(why).collect::<Vec<_>>()
        };
        all.iter().flat_map(of_one).collect()
    }

    #[test]
    fn what_is_known_is_explained_and_nothing_else() {
        let check = |ours: &str, theirs: &str, words: &str| {
            let found = causes(&[ours], &[theirs]);
            assert!(found.iter().any(|why| why.contains(words)), "{ours} {theirs}: {found:?}");
        };
        check("tier=T jobs=1i,sequence=5i 1", "tier=T jobs=1i 1", "no sequence");
        check("tier=None jobs=1i 1", "cloud=US jobs=1i 1", "left the tag out");
        check(
            "pledge_type=1\\ (CPU);2\\ (Disk) jobs=1i 1",
            "pledge_type=2\\ (Disk);1\\ (CPU) jobs=1i 1",
            "order of their names",
        );
        check(
            "pledge_type=1\\ (CPU) federation_HS06_pledge=1i 1",
            "pledge_type=None federation_HS06_pledge=0i 1",
            "January",
        );
        check(
            "pledge_type=1\\ (CPU) federation_HS06_pledge=1i 1",
            "pledge_type=2\\ (CPU) federation_HS06_pledge=2i 1",
            "federations",
        );
        check("fts_server=a jobs=1i 1", "fts_server=b jobs=1i 1", "endpoints");
        check("tier=T HS06_benchmark=1 1", "tier=T HS06_benchmark=2 1", "clock");
        let unknown = [
            ("tier=T jobs=1i,sequence=5i 1", "tier=T jobs=1i,sequence=6i 1"),
            ("tier=T jobs=1i 1", "tier=T jobs=2i 1"),
            ("tier=T HS06_benchmark=10 1", "tier=T HS06_benchmark=10240 1"),
            ("tier=T HS06_benchmark=10 1", "tier=T HS06_benchmark=0 1"),
            ("tier=T jobs=1i 1", "tier=T jobs=1 1"),
            ("tier=T jobs=1i 1", "tier=U jobs=1i 1"),
            ("tier=T jobs=1i 1", "tier=T jobs=1i 2"),
            ("pledge_type=None federation_HS06_pledge=0i 1", "pledge_type=None federation_HS06_pledge=5i 1"),
            ("pledge_type=1\\ (CPU) federation_HS06_pledge=1i 1", "pledge_type=1\\ (CPU) federation_HS06_pledge=2i 1"),
            ("pledge_type=1\\ (CPU) federation_HS06_pledge=1i 1", "pledge_type=1\\ (CPU) federation_HS06_pledge=0i 1"),
            ("tier=T HS06_benchmark=1 1", "tier=T HS06_benchmark=0 1"),
        ];
        for (ours, theirs) in unknown {
            assert_eq!(causes(&[ours], &[theirs]), ["-"], "{ours} {theirs}");
        }
        assert_eq!(causes(&["tier=T jobs=1i 1"], &[]), ["-"]);
        assert_eq!(causes(&[], &["tier=T jobs=1i 1"]), ["-"]);
        let found = causes(&["tier=T jobs=0i,sequence=1i 1"], &[]);
        assert!(found[0].contains("vanished"), "{found:?}");
        let unknown = "atlas_site=None,type=None,cloud=None,site_state=None jobs=1i 1";
        assert!(causes(&[unknown], &[])[0].contains("does not know"));
        assert!(causes(&["pledge_type=1.5\\ (CPU) jobs=1i 1"], &[])[0].contains("fraction"));
        assert_eq!(causes(&["pledge_type=1\\ (CPU);1.5\\ (Disk) jobs=1i 1"], &[]), ["-"]);
        let twice = causes(&["tier=T jobs=1i 1"], &["tier=T jobs=1i 1", "tier=U jobs=1i 1"]);
        assert!(twice.len() == 1 && twice[0].contains("two points"), "{twice:?}");
    }
}
