//! What the ads of HTCondor mean: which slot is dynamic, which job waits for a slot.

use super::*;

/// A sandbox with the running machines `wn1` and `wn2` on cloud `cc`, and these slots.
fn two_machines(slots: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let vm = |host: &str| format!(r#"{{"hostname": "{host}", "vmtype": "w", "status": "Running"}}"#);
    let vms = [vm("wn1.x.org"), vm("wn2.x.org")].join(",");
    let cloud = format!(r#"{{"name": "cc", "enabled": true, "max_slots": 9, "vms": [{vms}]}}"#);
    sandbox.write("clouds.json", format!(r#"{{"resources": [{cloud}]}}"#));
    sandbox.program("cloud_status", "cat clouds.json");
    sandbox.write("slots.json", slots);
    sandbox.schedds(&["ce01.example.org"], "slots.json");
    sandbox
}

#[test]
fn a_slot_is_dynamic_if_its_ad_says_so_whatever_its_name() {
    let static_and_partitionable = [
        r#"{"Name": "gpu_slot1@wn1.x.org", "SlotType": "Partitionable", "PartitionableSlot": true, "Mips": 100}"#,
        r#"{"Name": "cpu_slot2@wn1.x.org", "SlotType": "Static", "Mips": 100}"#,
        r#"{"Name": "old_slot3@wn1.x.org", "PartitionableSlot": "true", "Mips": 100}"#,
    ];
    let dynamic = [
        r#"{"Name": "gpu_slot1_1@wn2.x.org", "Machine": "wn2.x.org", "SlotType": "Dynamic", "DynamicSlot": true, "Mips": 7}"#,
        r#"{"Name": "slot9@glidein@x", "Machine": "wn2.x.org", "DynamicSlot": 1, "Mips": 20}"#,
        // An ad without any of the attributes, and without Machine.
        r#"{"Name": "slot1_2@WN2.x.org", "Mips": 300}"#,
    ];
    let sandbox = two_machines(&format!(
        "[{}]",
        static_and_partitionable.into_iter().chain(dynamic).collect::<Vec<_>>().join(",")
    ));
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines = by_path(&outcome.stdout);
    for (path, value) in [
        ("clouds.cc.idle.w", "1"),
        ("clouds.cc.idle.total", "1"),
        ("clouds.cc.mips", "327"),
        ("clouds.cc.slots.w.gpu_slot1_1", "1"),
        ("clouds.cc.slots.w.slot9", "1"),
        ("clouds.cc.slots.w.slot1_2", "1"),
        ("pools.local.slots", "6"),
    ] {
        assert_eq!(lines.get(format!("grids.heprc.{path}").as_str()), Some(&&*format!("{value} {NOW}")), "{path}");
    }
    assert_eq!(outcome.lines_with(".slots.").len(), 3);
}

/// A sandbox whose schedds `ce01` and `ce02` answer with these ads.
fn two_queues(first: &str, second: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    sandbox.schedds(&["ce01", "ce02"], "/dev/null");
    sandbox.program("condor_q", &format!("case \"$*\" in *ce01*) echo '{first}';; *) echo '{second}';; esac"));
    sandbox
}

#[test]
fn jobs_of_the_scheduler_universe_are_counted_apart() {
    let group = |universe: &str, status: i64, jobs: i64| {
        format!(
            r#"{{"JobStatus": {status}, "JobUniverse": {universe}, "JobCount": {jobs}, "TargetClouds": "IAAS,cc-east"}}"#
        )
    };
    // Scheduler (7), vanilla, local, grid, java, parallel, vm, and a group that does not tell.
    let first: Vec<_> = [("7", 2, 6), ("\"7\"", 1, 20), ("7.0", 5, 300), ("5", 2, 5), ("12", 2, 40), ("9", 1, 500)]
        .into_iter()
        .chain([("10", 1, 1000), ("11", 1, 2000), ("13", 5, 7), ("null", 1, 10_000)])
        .map(|(universe, status, jobs)| group(universe, status, jobs))
        .collect();
    let sandbox = two_queues(&format!("[{}]", first.join(",")), &format!("[{}]", group("5", 1, 1)));
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines = by_path(&outcome.stdout);
    for (path, jobs) in [
        ("schedds.ce01.jobs.running", 45),
        ("schedds.ce01.jobs.idle", 13_500),
        ("schedds.ce01.jobs.held", 7),
        ("schedds.ce01.jobs.total", 13_552),
        ("schedds.ce01.scheduler_jobs.running", 6),
        ("schedds.ce01.scheduler_jobs.idle", 20),
        ("schedds.ce01.scheduler_jobs.held", 300),
        ("schedds.ce01.scheduler_jobs.completed", 0),
        ("schedds.ce01.scheduler_jobs.removed", 0),
        ("schedds.ce01.scheduler_jobs.total", 326),
        ("jobs.all.total", 13_553),
        ("clouds.cc-east.jobs.all.total", 13_553),
    ] {
        assert_eq!(lines.get(format!("grids.heprc.{path}").as_str()), Some(&&*format!("{jobs} {NOW}")), "{path}");
    }
    assert_eq!(outcome.lines_with("schedds.ce02.scheduler_jobs"), Vec::<String>::new());
    let checked = sandbox.run(&["--check"]);
    assert!(checked.stdout.contains("13552 jobs and 326 of the scheduler universe\n"), "{}", checked.stdout);
}

#[test]
fn each_job_status_has_its_name_and_its_place_in_the_total() {
    let ads: Vec<_> = (0..=11).map(|status| format!(r#"{{"JobStatus": {status}, "JobUniverse": 5}}"#)).collect();
    let outcome = two_queues(&format!("[{}]", ads.join(",")), "[]").dry_run();
    for status in ["transferring", "suspended", "failed", "blocked", "preparing", "status_11"] {
        assert_eq!(
            outcome.lines_with(&format!("jobs.all.{status} ")),
            [format!("grids.heprc.jobs.all.{status} 1 {NOW}")]
        );
    }
    assert_eq!(outcome.lines_with("jobs.all.total"), [format!("grids.heprc.jobs.all.total 12 {NOW}")]);
}

#[test]
fn the_rest_of_factories_is_missing_where_unknown_and_zero_where_none() {
    let sandbox = Sandbox::new("small");
    let names = [("new", ", \"JobsUnmaterialized\": 99500"), ("none", ", \"JobsUnmaterialized\": 0"), ("old", "")];
    let ads = names.map(|(name, more)| format!(r#"{{"Name": "{name}"{more}}}"#)).join(",");
    let dead = r#"{"Name": "dead", "JobsUnmaterialized": 5}"#;
    sandbox.program("condor_status", &format!("case \"$*\" in *-schedd*) echo '[{ads},{dead}]';; esac"));
    sandbox.program("condor_q", "case \"$*\" in *dead*) exit 1;; esac");
    let outcome = sandbox.dry_run();
    assert_eq!(
        outcome.lines_with("unmaterialized_jobs"),
        ["new.unmaterialized_jobs 99500", "none.unmaterialized_jobs 0"]
            .map(|line| format!("grids.heprc.schedds.{line} {NOW}"))
    );
}

#[test]
fn machines_that_are_named_by_address_are_not_taken_for_one() {
    let sandbox = two_machines(r#"[{"Name": "slot1_1@10.0.0.1", "Machine": "10.0.0.1", "SlotType": "Dynamic"}]"#);
    let clouds = std::fs::read_to_string(sandbox.path("clouds.json")).unwrap();
    sandbox.write("clouds.json", clouds.replace("wn1.x.org", "10.0.0.1").replace("wn2.x.org", "10.0.0.2"));
    assert_eq!(sandbox.dry_run().lines_with("idle.total"), [format!("grids.heprc.clouds.cc.idle.total 1 {NOW}")]);
}
