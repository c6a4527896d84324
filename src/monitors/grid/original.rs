//! Why values of a grid differ from those that Cloud Monitor, or C'mon beside it, wrote to Carbon. They are compared by their paths.

use crate::model::{Cause, Compared, Difference};

/// The known causes, the first that fits counts.
pub static CAUSES: &[Cause] = &[
    Cause {
        why: "only gridmon tells of schedds, pools, negotiators and the jobs of the scheduler universe",
        is_general: true,
        explains: |of, difference| {
            let is_new = |part| ["schedds", "pools", "negotiators", "scheduler_jobs"].contains(&part);
            *difference == Difference::Extra && component(of, 2).is_some_and(is_new)
        },
    },
    Cause {
        why: "C'mon alone sent the jobs of a cloud; gridmon always does",
        is_general: true,
        explains: |of, difference| *difference == Difference::Extra && of_cloud(of) == Some("jobs"),
    },
    Cause {
        why: "Cloud Monitor sent 0 for ever for a cloud or type that is gone; gridmon sends 0 once",
        is_general: false,
        explains: |of, difference| {
            let is_count = ["idle", "vms", "slots"].map(Some).contains(&of_cloud(of));
            *difference == Difference::Missing && of.values()[1] == Some(0.0) && is_count
        },
    },
    Cause {
        why: "a count that vanished is 0 once; Cloud Monitor's stood at its last value",
        is_general: false,
        explains: |of, difference| {
            // A heartbeat of 0 is an outage, and no count.
            let is_count = component(of, 2).is_some_and(|part| ["clouds", "jobs"].contains(&part));
            *difference == Difference::Extra && of.values()[0] == Some(0.0) && is_count
        },
    },
    Cause {
        why: "JobStatus 6 is transferring output and 7 is suspended, which gridmon counts by name; Cloud Monitor called 6 an error, and 7 ended its run",
        is_general: false,
        explains: |of, difference| {
            let state = of.path().and_then(|path| path.rsplit('.').next());
            let is_of_jobs = component(of, 2) == Some("jobs");
            match difference {
                Difference::Field(_) => is_of_jobs && state == Some("error") && of.values()[0] < of.values()[1],
                Difference::Extra => is_of_jobs && matches!(state, Some("transferring" | "suspended")),
                _ => false,
            }
        },
    },
    Cause {
        why: "C'mon read it from the clouds or from its own machine; gridmon has no such number",
        is_general: false,
        explains: |of, difference| {
            let last = of.path().and_then(|path| path.rsplit('.').next());
            let is_of_machines = of_cloud(of) == Some("vms") && matches!(last, Some("unknown" | "total2"));
            let is_of_cloud = matches!(of_cloud(of), Some("lost" | "unreg" | "api-vms"));
            *difference == Difference::Missing && (is_of_machines || is_of_cloud || component(of, 2) == Some("sysinfo"))
        },
    },
    Cause {
        why: "gridmon sends it with [grid] live_hosts = send",
        is_general: false,
        explains: |of, difference| {
            let is_live = of.path().is_some_and(|path| path.starts_with("util.live_hosts."));
            *difference == Difference::Missing && is_live
        },
    },
];

/// Returns a component of the path.
fn component<'a>(of: &Compared<'a>, at: usize) -> Option<&'a str> {
    of.path()?.split('.').nth(at)
}

/// Returns what is told of a cloud: `vms`, `idle`, `slots`.
fn of_cloud<'a>(of: &Compared<'a>) -> Option<&'a str> {
    component(of, 2).filter(|part| *part == "clouds").and(component(of, 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Point, compare};

    #[test]
    fn of_what_only_we_have_a_zero_is_explained_where_it_is_a_count() {
        let cause = |path: &str, value: &str| {
            let ours = [Point::from_line(&format!("carbon,path={path} value={value} 60")).unwrap()];
            let compared = compare(&ours, &[]);
            compared[0].cause(&Difference::Extra, CAUSES).map(|cause| cause.why)
        };
        assert!(cause("grids.g.jobs.all.idle", "0").is_some_and(|why| why.contains("vanished")));
        assert!(cause("grids.g.clouds.c.slots.8.all", "0").is_some_and(|why| why.contains("vanished")));
        assert_eq!(cause("grids.g.jobs.all.idle", "1"), None);
        assert_eq!(cause("grids.g.heartbeat.condor", "0"), None, "HTCondor is down here");
    }
}
