//! Turns the bytes of Cloud Scheduler's answer into the points of a grid: every sum is right, every machine and slot is
//! counted once, and every store can take every name.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use gridmon::frame::zero_fill::zero_fill;
use gridmon::model::{Collected, Point, SECOND, Value, Zeros, safe_text, validate};
use gridmon::monitors::grid::{self, GridInput};
use gridmon::problem::Asked;
use gridmon::setup::CATALOG;
use gridmon::sinks::graphite::carbon::{self, Frames};
use gridmon::sources::cloud_scheduler::v1::Cloud;
use gridmon::sources::cloud_scheduler::v2::Status;
use gridmon::sources::cloud_scheduler::{self, Answer};
use gridmon::sources::htcondor::{self, CondorReply, Pool, Rules, Schedd};
use libfuzzer_sys::fuzz_target;

/// The slots of a pool, on hosts that occur in the seeds.
const SLOTS: &str = r#"[
    {"Name": "slot1@wn1.example.org", "Mips": 40000, "KFlops": 1500000},
    {"Name": "slot1_1@wn1.example.org", "Mips": 40000, "KFlops": 1500000},
    {"Name": "slot1_2@wn1.example.org", "Mips": 40000.5, "KFlops": 1500000},
    {"Name": "slot1_1@startd@wn1", "Mips": null},
    {"Name": "slot1_1@WN2.example.org", "Mips": 1e308, "KFlops": 1e308},
    {"Name": "slot1_2@wn2", "Mips": 1e308, "KFlops": 1e308},
    {"Name": "slot1_1@cc-east-a231a4e4-9f60-47fa-9eb9-cb6978da97db", "Mips": 30000},
    {"Name": "slot1_1@atlas--cern--2049--1-1.example.org", "Mips": 30000},
    {"Name": "slot1_2@Atlas--CERN--2049--1-2", "Mips": 30000}
]"#;

/// The jobs of its schedds, for clouds that occur in the seeds.
const JOBS: [&str; 2] = [
    r#"[
        {"JobStatus": 1, "JobCount": 5, "TargetClouds": "IAAS"},
        {"JobStatus": 2, "JobCount": 3, "TargetClouds": "cc-east,cc-west"},
        {"JobStatus": 5, "TargetClouds": "cc-east cc-east", "AccountingGroup": "group_mcore.atlas"}
    ]"#,
    r#"[{"JobStatus": 6}, {"JobStatus": 2, "TargetClouds": "CERNClouds", "AccountingGroup": "group_mcore"}, {}]"#,
];

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

/// HTCondor's answer: a complete one, and one without the collector's slots.
static CONDOR: LazyLock<[CondorReply; 2]> = LazyLock::new(|| {
    [true, false].map(|tells| CondorReply {
        pools: vec![Pool {
            name: "cm.example.org:9618".into(),
            slots: tells.then(|| htcondor::parse_slots(SLOTS.as_bytes()).expect("slots")),
            answered: tells,
            listed: true,
            covered: false,
            updates_lost_ratio: Some(0.25),
            negotiators: Some(vec![("cm.example.org".into(), 1.5)]),
        }],
        schedds: JOBS
            .iter()
            .enumerate()
            .map(|(at, jobs)| Schedd {
                name: format!("ce{at}.example.org"),
                jobs: Some(htcondor::parse_jobs(jobs.as_bytes(), &RULES).expect("jobs")),
                duty_cycle_ratio: Some(0.5),
                running_jobs_limit: None,
                unmaterialized_jobs: None,
            })
            .collect(),
        every_schedd_is_known: true,
    })
});

fuzz_target!(|data: &[u8]| {
    let Ok(answer) = cloud_scheduler::parse(data) else { return };
    for condor in CONDOR.iter().map(Some).chain([None]) {
        let seen = GridInput {
            grid: "g",
            time: 1_717_245_000 * SECOND,
            condor,
            rules: &RULES,
            clouds: Asked::Answered(&answer),
            live_hosts: true,
        };
        let Collected { points, .. } = grid::points(&seen);
        assert_eq!(grid::points(&seen).points, points, "the second time");
        points.iter().for_each(is_fit_for_every_store);
        if tells_every_state(&answer) {
            totals_are_sums(&points);
        }
        let half = match &answer {
            Answer::One(clouds) => {
                machines_are_counted_once(&points, clouds);
                idle_machines_run(&points);
                Answer::One(clouds[..clouds.len() / 2].to_vec())
            }
            Answer::Two(status) => {
                no_more_machines_than_told(&points, status);
                let clouds = status.clouds[..status.clouds.len() / 2].to_vec();
                Answer::Two(Status { clouds, ..Status::default() })
            }
        };
        slots_are_counted_once(&points, condor);
        let fewer = grid::points(&GridInput { clouds: Asked::Answered(&half), ..seen });
        what_vanished_is_zero(&points, &fewer);
        is_accounted_for(points);
    }
});

fn is_fit_for_every_store(point: &Point) {
    let line = point.line();
    assert!(!line.contains(char::is_control), "{line:?}");
    assert_eq!(point.fault(), None, "{line:?}");
    assert_eq!(&Point::from_line(&line).expect("it was written here"), point, "{line:?}");
    let measurement = CATALOG.measurement(point.measurement()).expect("it is declared");
    for (field, _) in point.fields() {
        let path = measurement.carbon_path(point, field).expect("it has every tag");
        assert_eq!(path.split('.').count(), measurement.carbon.split('.').count(), "{path}");
        assert!(path.split('.').all(|component| (1..=200).contains(&component.len())), "{path}");
        assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "-_@:+.".contains(c)), "{path}");
    }
}

fn whole(point: &Point) -> i64 {
    match point.fields().next() {
        Some((_, Value::Int(value))) => value,
        other => panic!("{other:?} in {}", point.line()),
    }
}

/// Returns the points of one measurement, split before each `total` that is a sum. The status `first`, which always
/// exists, follows a sum, but does not follow a machine whose own state is called total.
fn groups<'a>(points: &'a [Point], measurement: &str, first: &str) -> Vec<Vec<&'a Point>> {
    let points: Vec<_> = points.iter().filter(|point| point.measurement() == measurement).collect();
    let status = |at: usize| points.get(at).and_then(|point| point.tag("status"));
    let mut groups = Vec::<Vec<_>>::new();
    for (at, point) in points.iter().enumerate() {
        if status(at) == Some("total") && status(at + 1) == Some(first) {
            groups.push(Vec::new());
        }
        groups.last_mut().expect("a sum comes first").push(*point);
    }
    groups
}

fn totals_are_sums(points: &[Point]) {
    let job_measurements = ["grid_jobs", "grid_cloud_jobs", "grid_schedd_jobs"].map(|name| (name, "unexpanded"));
    for (measurement, first) in [("grid_vms", "starting")].into_iter().chain(job_measurements) {
        for group in groups(points, measurement, first) {
            let others: i64 = group[1..].iter().map(|point| whole(point)).sum();
            assert_eq!(whole(group[0]), others, "{}", group[0].line());
        }
    }
}

/// Checks that the totals by cloud and type are the machines in the answer.
fn machines_are_counted_once(points: &[Point], clouds: &[Cloud]) {
    let name = |name: &Option<String>| safe_text(name.as_deref().unwrap_or("unknown")).into_owned();
    let mut expected = BTreeMap::<_, i64>::new();
    for cloud in clouds {
        for vm in &cloud.vms {
            *expected.entry((name(&cloud.name), name(&vm.vmtype))).or_default() += 1;
        }
    }
    let mut counted = BTreeMap::<_, i64>::new();
    for group in groups(points, "grid_vms", "starting") {
        let tag = |name| group[0].tag(name).expect("it is declared").to_string();
        *counted.entry((tag("cloud"), tag("vmtype"))).or_default() += whole(group[0]);
    }
    assert_eq!(counted, expected);
}

/// Whether each total is followed by every state that always exists.
fn tells_every_state(answer: &Answer) -> bool {
    match answer {
        Answer::One(_) => true,
        Answer::Two(status) => {
            let mut machines = status.clouds.iter().filter_map(|cloud| cloud.machines.as_ref());
            machines.all(|machines| machines.untold.is_empty())
        }
    }
}

/// Checks that a machine of Cloud Scheduler 2 counts once at most.
fn no_more_machines_than_told(points: &[Point], status: &Status) {
    let machines = status.clouds.iter().filter_map(|cloud| cloud.machines.as_ref());
    let told: i64 = machines.flat_map(|machines| &machines.counts).map(|(_, count)| count).sum();
    let totals = points.iter().filter(|point| point.measurement() == "grid_vms");
    let counted: i64 = totals.filter(|point| point.tag("status") == Some("total")).map(whole).sum();
    assert!(counted <= told, "{counted} of {told} machines");
}

/// Checks that a cloud's idle machines are the sum over its types, and no more than its running machines.
fn idle_machines_run(points: &[Point]) {
    let running = |point: &&Point| point.measurement() == "grid_vms" && point.tag("status") == Some("running");
    let running: i64 = points.iter().filter(running).map(whole).sum();
    let mut sums = 0;
    let mut types = 0;
    for (at, point) in points.iter().enumerate().filter(|(_, point)| point.measurement() == "grid_idle_vms") {
        // The cloud's own point follows the sum, but does not follow a type that is called total.
        let is_sum = points.get(at + 1).is_some_and(|next| next.measurement() == "grid_cloud");
        *(if is_sum { &mut sums } else { &mut types }) += whole(point);
    }
    assert_eq!(sums, types);
    assert!(sums <= running, "{sums} of {running} are idle");
}

/// Checks that each slot counts for at most one machine, and for none if the pool did not answer.
fn slots_are_counted_once(points: &[Point], condor: Option<&CondorReply>) {
    let slots = points.iter().filter(|point| point.measurement() == "grid_slots");
    let counted: i64 = slots.map(whole).sum();
    let slots = condor.and_then(|condor| condor.pools[0].slots.as_ref());
    let there = slots.iter().flat_map(|slots| slots.hosts.values()).flat_map(|host| host.slots.values()).sum();
    assert!(counted <= there, "{counted} of {there} slots");
}

/// Checks that a count that vanished is sent once more, as zero in the same series, if the run saw every series of its
/// measurement; else its series is remembered.
fn what_vanished_is_zero(before: &[Point], after: &Collected) {
    let time = 1_717_245_060 * SECOND;
    let (zeros, before) = zero_fill(&BTreeSet::new(), before, (&grid::MEASUREMENTS, &Zeros::default()), time, CATALOG);
    assert_eq!(zeros, []);
    let before = before.unwrap_or_default();
    let (zeros, known) = zero_fill(&before, &after.points, (&after.complete, &Zeros::default()), time, CATALOG);
    let known = known.unwrap_or_else(|| before.clone());
    assert!(zeros.iter().all(|zero| zero.time() == time && whole(zero) == 0));
    let zeros: BTreeSet<_> = zeros.iter().map(Point::series).collect();
    let there: BTreeSet<_> = after.points.iter().map(Point::series).collect();
    for series in &before {
        let is_complete = after.complete.iter().any(|measurement| series.split(',').next() == Some(measurement.name));
        assert_eq!(zeros.contains(series.as_str()), is_complete && !there.contains(series.as_str()), "{series}");
        assert_eq!(known.contains(series), !is_complete || there.contains(series.as_str()), "{series}");
    }
    assert!(zeros.iter().all(|zero| before.contains(*zero)));
}

/// Checks that every point reaches Carbon or is dropped by name.
fn is_accounted_for(points: Vec<Point>) {
    let count = points.len();
    let (sound, dropped) = validate(points);
    assert_eq!(sound.len() + dropped.len(), count);
    let (datapoints, dropped) = carbon::datapoints(&sound, CATALOG);
    let fields: usize = sound.iter().map(|point| point.fields().count()).sum();
    assert!(datapoints.len() <= fields && (datapoints.len() == fields) == dropped.is_empty());
    let mut frames = Frames::of(&datapoints);
    while let Some(frame) = frames.advance() {
        let (length, message) = frame.split_first_chunk().expect("it begins with its length");
        assert_eq!(u32::from_be_bytes(*length) as usize, message.len());
        assert!(message.len() <= 1 << 20);
    }
}
