//! Collectors that do not list the whole pool, several that list the same, and names in two spellings.

use super::*;

/// The measurements and values that need every pool's whole list.
const WHOLE: [&str; 9] = [
    ".idle.",
    ".slots",
    ".mips",
    ".kflops",
    "heprc.jobs.",
    "coverage.heprc.grid_slots",
    "coverage.heprc.grid_idle_vms",
    "coverage.heprc.grid_jobs",
    "coverage.heprc.grid_negotiator",
];

/// A grid whose collectors are files of ads.
struct Grid(Sandbox);

impl Grid {
    fn new(htcondor: &str) -> Self {
        let sandbox = Sandbox::new("small");
        sandbox.program(
            "condor_status",
            "pool=local kind=slots
            while [ $# -gt 0 ]; do
              case $1 in -pool) pool=$2; shift;; -schedd) kind=schedds;; -negotiator) kind=negotiators;; -collector) kind=collector;; esac
              shift
            done
            [ -e $pool.$kind ] && exec cat $pool.$kind; echo refused >&2; exit 1",
        );
        // Two jobs, or three at `other`; names have no case.
        sandbox.program(
            "condor_q",
            "pool=local
            while [ $# -gt 0 ]; do case $1 in -pool) pool=$2; shift;; -name) name=$2; shift;; esac; shift; done
            grep -qi \"\\\"$name\\\"\" $pool.schedds || { echo 'Error: Collector has no record' >&2; exit 1; }
            case $name in other) echo '[{\"JobStatus\": 1, \"JobCount\": 3}]';; *) echo '[{\"JobStatus\": 2, \"JobCount\": 2}]';; esac",
        );
        let vms: Vec<_> = (1..=4)
            .map(|at| format!(r#"{{"hostname": "WN{at}.x.org", "vmtype": "w", "status": "Running"}}"#))
            .collect();
        sandbox.program(
            "cloud_status",
            &format!(r#"echo '{{"resources": [{{"name": "c", "vms": [{}]}}]}}'"#, vms.join(",")),
        );
        sandbox.config(&format!("[grid]\nlive_hosts = send\n[htcondor]\n{htcondor}"));
        Self(sandbox)
    }

    /// Sets a collector's ads: machines with a partitionable and a dynamic slot each, schedds, and the collector's own.
    fn collector(&self, pool: &str, machines: &[&str], schedds: &[&str], own: &str) {
        let slot = |slot: &str, machine: &str| {
            // What follows sock= is the way to the collector's own broker of connections.
            let address = format!("<192.0.2.1:9618?sock=startd_{}&CCBID={pool}:9618#1>", machine.to_lowercase());
            format!(r#"{{"Name": "{slot}@{machine}", "MyAddress": "{address}", "Mips": 100, "KFlops": 1000}}"#)
        };
        let slots = machines.iter().flat_map(|machine| [slot("slot1", machine), slot("slot1_1", machine)]);
        let schedds = schedds.iter().map(|schedd| format!(r#"{{"Name": "{schedd}"}}"#));
        let list = |ads: Vec<String>| if ads.is_empty() { String::new() } else { format!("[{}]", ads.join(",")) };
        self.0.write(&format!("{pool}.slots"), list(slots.collect()));
        self.0.write(&format!("{pool}.schedds"), list(schedds.collect()));
        self.0.write(&format!("{pool}.negotiators"), r#"[{"Name": "neg@x.org", "LastNegotiationCycleDuration0": 3}]"#);
        self.0.write(&format!("{pool}.collector"), format!("[{own}]"));
    }

    /// Lets a collector refuse every query.
    fn down(&self, pool: &str) {
        for kind in ["slots", "schedds", "negotiators", "collector"] {
            fs::remove_file(self.0.path(&format!("{pool}.{kind}"))).unwrap();
        }
    }

    /// Runs at a minute; gives the points that the run sends, what it prints, and its exit code.
    fn at(&self, minute: i64) -> (String, String, Option<i32>) {
        let now = (NOW + 60 * minute).to_string();
        let shown = self.0.run(&["-n", "--now", &now]);
        let sent = self.0.run(&["--now", &now]);
        assert_eq!(shown.code, sent.code, "{} {}", shown.stderr, sent.stderr);
        (shown.stdout, sent.stderr, sent.code)
    }
}

/// The value of a path without `grids.heprc.`.
fn value<'a>(points: &'a str, path: &str) -> Option<&'a str> {
    let line = points.lines().find_map(|line| line.strip_prefix("grids.heprc.")?.strip_prefix(path)?.strip_prefix(' '));
    line.and_then(|rest| rest.split(' ').next())
}

fn assert_whole(points: &str) {
    for part in WHOLE {
        assert!(points.contains(part), "{part} is missing: {points}");
    }
}

fn assert_nothing_that_needs_the_whole(points: &str) {
    for part in WHOLE {
        assert!(!points.contains(part), "{part}: {points}");
    }
    assert_eq!(value(points, "schedds.ce01.jobs.total"), Some("2"), "what a schedd counted is true: {points}");
    assert_eq!(value(points, "pools.local.heartbeat"), Some("1"), "it answers");
}

/// A collector's own ad with its age, beside an old ad of another collector.
fn own_ad(age: u64) -> String {
    format!(
        r#"{{"StatsLifetime": 1, "StatsLastUpdateTime": 1000, "LastHeardFrom": 500}},
           {{"UpdatesLostRatio": 0.5, "StatsLifetime": {age}, "StatsLastUpdateTime": 2000, "LastHeardFrom": 1100}}"#
    )
}

#[test]
fn a_collector_that_has_just_started_is_not_the_whole_pool() {
    let grid = Grid::new("");
    let all = ["wn1", "wn2", "wn3", "wn4"];
    grid.collector("local", &all, &["ce01"], r#"{"StatsLifetime": 37}"#);
    let (points, words, code) = grid.at(0);
    assert_nothing_that_needs_the_whole(&points);
    let line = "collect-grid: ads of pool local: its collector started 37 s ago and does not have the ads of all daemons \
                yet; its slots, idle machines and the grid's totals are missing until it has run for 6 min ([htcondor] \
                update_interval_seconds), at 12:30 UTC\n";
    assert_eq!((words.as_str(), code), (line, Some(1)));

    grid.collector("local", &all, &["ce01"], &own_ad(4000));
    let (points, words, code) = grid.at(6);
    assert_eq!((words.as_str(), code), ("collect-grid: ads of pool local: works again after 6 min\n", Some(0)));
    assert_whole(&points);
    assert_eq!(value(&points, "clouds.c.slots.w.slot1_1"), Some("4"));

    // It restarts, has no slots, then some.
    grid.collector("local", &[], &["ce01"], r#"{"StatsLifetime": 37}"#);
    assert_nothing_that_needs_the_whole(&grid.at(7).0);
    grid.collector("local", &["wn1", "wn2", "wn3"], &["ce01"], r#"{"StatsLifetime": 97}"#);
    let (points, words, code) = grid.at(8);
    assert_nothing_that_needs_the_whole(&points);
    assert_eq!((words.as_str(), code), ("", Some(1)), "it was said");
    grid.collector("local", &all, &["ce01"], r#"{"StatsLifetime": 361}"#);
    let (points, _, code) = grid.at(13);
    assert_eq!(code, Some(0));
    assert_whole(&points);

    // A pool that updates faster is old sooner.
    grid.0.config("[grid]\nlive_hosts = send\n[htcondor]\nupdate_interval_seconds = 10");
    grid.collector("local", &all, &["ce01"], r#"{"StatsLifetime": 12}"#);
    assert_eq!(grid.at(14).2, Some(0));
}

#[test]
fn a_pool_that_lost_its_machines_at_once_is_believed_after_a_while() {
    let grid = Grid::new("");
    grid.collector("local", &["wn1", "wn2", "wn3", "wn4"], &["ce01"], "{}");
    assert_eq!(grid.at(0).2, Some(0));
    grid.collector("local", &[], &["ce01"], "{}");
    let (points, words, code) = grid.at(1);
    assert_nothing_that_needs_the_whole(&points);
    let line = "collect-grid: ads of pool local: its collector lists 0 machines where it listed 4; its slots, idle machines \
                and the grid's totals are missing until they are back, or else believed in 6 min ([htcondor] \
                update_interval_seconds), at 12:31 UTC\n";
    assert_eq!((words.as_str(), code), (line, Some(1)));
    assert_nothing_that_needs_the_whole(&grid.at(6).0);
    let (points, words, code) = grid.at(7);
    assert_eq!((words.as_str(), code), ("collect-grid: ads of pool local: works again after 6 min\n", Some(0)));
    assert_eq!(value(&points, "clouds.c.slots.w.slot1_1"), Some("0"), "now it is zero: {points}");
    assert_eq!(value(&points, "clouds.c.idle.total"), Some("4"));
}

#[test]
fn what_two_collectors_list_counts_once() {
    let grid = Grid::new("pool = cm1, cm2, CM1");
    grid.collector("cm1", &["wn1", "wn2"], &["ce01"], "{}");
    grid.collector("cm2", &["WN1", "wn2", "wn3"], &["CE01", "other"], "{}");
    let (points, words, code) = grid.at(0);
    assert_eq!((words.as_str(), code), ("", Some(0)), "no point is dropped");
    assert_whole(&points);
    for (path, expected) in [
        ("clouds.c.slots.w.slot1_1", "3"),
        ("clouds.c.mips", "300"),
        ("clouds.c.idle.total", "1"),
        ("jobs.all.total", "5"),
        ("schedds.ce01.jobs.total", "2"),
        ("pools.cm1.slots", "4"),
        ("pools.cm2.slots", "6"),
    ] {
        assert_eq!(value(&points, path), Some(expected), "{path}: {points}");
    }

    // The first one is down, or has just started, and the second one lists all that it listed.
    grid.down("cm1");
    let (points, words, code) = grid.at(1);
    let line = "collect-grid: pool cm1: condor_status ended with exit status: 1: \"refused\"; nothing is missing, since cm2 \
                lists all that it listed, at 12:31 UTC\n";
    assert_eq!((words.as_str(), code), (line, Some(1)));
    assert_whole(&points);
    assert_eq!((value(&points, "jobs.all.total"), value(&points, "clouds.c.mips")), (Some("5"), Some("300")));
    assert_eq!((value(&points, "pools.cm1.heartbeat"), value(&points, "pools.cm1.slots")), (Some("0"), None));
    grid.collector("cm1", &["wn2"], &[], r#"{"StatsLifetime": 37}"#);
    let (points, words, code) = grid.at(2);
    assert_eq!((words.as_str(), code), ("collect-grid: pool cm1: works again after 60 s\n", Some(0)));
    assert_whole(&points);
    assert_eq!((value(&points, "jobs.all.total"), value(&points, "clouds.c.mips")), (Some("5"), Some("300")));

    // But not the other way round: the second one has a machine and a schedd of its own.
    grid.collector("cm1", &["wn1", "wn2"], &["ce01"], "{}");
    assert_eq!(grid.at(9).2, Some(0));
    grid.down("cm2");
    let (points, words, _) = grid.at(10);
    assert!(words.contains("pool cm2: ") && !words.contains("nothing is missing"), "{words}");
    for part in [".mips", "heprc.jobs.", "coverage.heprc.grid_slots"] {
        assert!(!points.contains(part), "{part}: {points}");
    }
    assert_eq!(value(&points, "schedds.ce01.jobs.total"), Some("2"));
}

#[test]
fn a_schedd_is_asked_through_a_collector_that_lists_it_now() {
    let grid = Grid::new("pool = cm1, cm2");
    grid.collector("cm1", &["wn1"], &["CE01", "other"], "{}");
    grid.collector("cm2", &["wn2"], &["ce02"], "{}");
    assert_eq!(value(&grid.at(0).0, "jobs.all.total"), Some("7"));
    // It moves to the other pool, where its name is spelled in another way: its paths stay.
    grid.collector("cm1", &["wn1"], &["other"], "{}");
    grid.collector("cm2", &["wn2"], &["ce02", "ce01"], "{}");
    let (points, words, code) = grid.at(1);
    assert_eq!((words.as_str(), code), ("", Some(0)));
    assert_eq!((value(&points, "jobs.all.total"), value(&points, "schedds.CE01.jobs.total")), (Some("7"), Some("2")));
    // Its old collector being down costs it nothing.
    grid.down("cm1");
    let (points, _, _) = grid.at(2);
    assert_eq!((value(&points, "schedds.CE01.jobs.total"), value(&points, "jobs.all.total")), (Some("2"), None));
}

#[test]
fn names_have_no_case() {
    // The spelling of the config is that of the paths.
    let grid = Grid::new("schedds = CE01, ce01");
    grid.collector("local", &["wn1"], &["Ce01"], "{}");
    let (points, words, code) = grid.at(0);
    assert_eq!((words.as_str(), code), ("", Some(0)));
    assert_eq!((value(&points, "jobs.all.total"), value(&points, "schedds.CE01.jobs.total")), (Some("2"), Some("2")));
    assert_eq!(value(&points, "clouds.c.idle.total"), Some("3"), "WN1.x.org of Cloud Scheduler is the host wn1");

    // Else it is the first one that a collector listed.
    let grid = Grid::new("");
    grid.collector("local", &[], &["Ce01", "ce01"], "{}");
    assert_eq!(value(&grid.at(0).0, "schedds.Ce01.jobs.total"), Some("2"));
    grid.collector("local", &[], &["CE01"], "{}");
    let (points, words, code) = grid.at(1);
    assert_eq!((words.as_str(), code), ("", Some(0)));
    assert_eq!((value(&points, "schedds.Ce01.jobs.total"), value(&points, "jobs.all.total")), (Some("2"), Some("2")));

    let vm = |name: &str| format!(r#"{{"hostname": "{name}", "vmtype": "w", "status": "Running"}}"#);
    let vms = [vm("wn1"), vm("WN1"), vm("wn2")].join(",");
    grid.0.program("cloud_status", &format!(r#"echo '{{"resources": [{{"name": "c", "vms": [{vms}]}}]}}'"#));
    let (points, _, _) = grid.at(2);
    let live: Vec<_> = points.lines().filter(|line| line.starts_with("util.live_hosts")).collect();
    assert_eq!(live.len(), 2, "{live:?}");
}
