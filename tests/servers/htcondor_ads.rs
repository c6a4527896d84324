//! What the ads of a real pool mean: slots with a name of the administrator's choice, jobs of every universe, factories.
//! `condor_q -totals` is the judge of the jobs.

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::{Pool, SCHEDDS, Suite, skip};
use serde_json::{Value, json};

#[test]
fn slots_and_jobs_of_23_are_counted_as_its_own_tools_do() {
    counts("slots_and_jobs_of_23_are_counted_as_its_own_tools_do", Suite::Trixie);
}

#[test]
#[ignore = "a second pool; make test-all runs it"]
fn slots_and_jobs_of_25_are_counted_as_its_own_tools_do() {
    counts("slots_and_jobs_of_25_are_counted_as_its_own_tools_do", Suite::Sid);
}

fn counts(test: &str, suite: Suite) {
    let lines = ["SLOT_TYPE_1_NAME_PREFIX = gpu_slot"];
    let Some(pool) = Pool::start_with(suite, &lines) else { return skip(test, "an HTCondor pool") };
    let sandbox = Sandbox::new("small");
    for program in ["condor_q", "condor_status"] {
        sandbox.program(program, &format!("exec {}/{program} \"$@\"", pool.bin_dir().display()));
    }
    let vm = r#"{"hostname": "ce01", "vmtype": "w", "status": "Running"}"#;
    let cloud = format!(r#"{{"name": "CERN", "enabled": true, "max_slots": 9, "vms": [{vm}]}}"#);
    sandbox.program("cloud_status", &format!("echo '{{\"resources\": [{cloud}]}}'"));

    // A collector that has just started is not believed.
    pool.wait_until("a collector older than the interval", || {
        let age = pool.condor(&["condor_status", "-collector", "-af", "StatsLifetime"]).stdout;
        (String::from_utf8_lossy(&age).trim().parse::<u32>().ok()? > 3).then_some(())
    });
    let run = |counting: &str| {
        sandbox.config(&format!(
            "[htcondor]\npool = {}\nupdate_interval_seconds = 1\ncounting = {counting}",
            pool.collector()
        ));
        let outcome = sandbox.run(&["--dry-run"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        outcome
    };
    let empty = run("schedd");
    assert_eq!(value(&empty.stdout, "clouds.CERN.idle.total"), Some(1));
    assert_eq!(empty.lines_with(".slots."), Vec::<String>::new(), "gpu_slot1 is partitionable");
    assert_eq!(value(&empty.stdout, "schedds.ce01_lab_test.unmaterialized_jobs"), Some(0));
    assert_eq!(empty.lines_with(".scheduler_jobs."), Vec::<String>::new());

    submit(&pool);
    for counting in ["schedd", "dump"] {
        let outcome = run(counting);
        let of = |path: &str| value(&outcome.stdout, path);
        assert_eq!(of("clouds.CERN.idle.total"), Some(0));
        assert_eq!((of("clouds.CERN.slots.w.gpu_slot1_1"), of("clouds.CERN.slots.w.gpu_slot1_2")), (Some(1), Some(1)));
        let totals = totals(&pool);
        for (status, name) in [
            ("Jobs", "total"),
            ("Idle", "idle"),
            ("Running", "running"),
            ("Removed", "removed"),
            ("Completed", "completed"),
            ("Held", "held"),
            ("Suspended", "suspended"),
        ] {
            let counted = totals[format!("Allusers{status}")].as_i64();
            assert_eq!(of(&format!("schedds.ce01_lab_test.jobs.{name}")), counted, "{counting}: {name}");
            assert_eq!(of(&format!("jobs.all.{name}")), counted, "{counting}: {name} of the grid");
            if name != "suspended" {
                let counted = totals[format!("AllusersScheduler{status}")].as_i64();
                assert_eq!(of(&format!("schedds.ce01_lab_test.scheduler_jobs.{name}")), counted, "{counting}: {name}");
            }
        }
        // Jobs of the scheduler universe wait for no slot, also where they name a cloud.
        assert_eq!((of("jobs.1_Core.total"), of("clouds.CERN.jobs.all.total")), (None, None));
        // 1000 and 300 in two factories with two jobs each; the rest of a factory that is held is not idle.
        assert_eq!(of("schedds.ce01_lab_test.unmaterialized_jobs"), Some(998 + 298));
        assert_eq!(of("schedds.ce02@ce01_lab_test.unmaterialized_jobs"), Some(0));
    }
}

/// The number at a path below `grids.heprc`, in the output of a dry run.
fn value(text: &str, path: &str) -> Option<i64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(&format!("grids.heprc.{path} ")))?;
    rest.split(' ').next()?.parse().ok()
}

/// What the first schedd counts.
fn totals(pool: &Pool) -> Value {
    let output = pool.condor(&["condor_q", "-name", SCHEDDS[0], "-allusers", "-totals", "-json"]);
    let totals: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    totals[0].clone()
}

/// Queues jobs of every universe that this pool takes, and factories, and waits until they have reached their states.
fn submit(pool: &Pool) {
    let script = pool.root().join("home/alice/job");
    // The schedd runs a job of the scheduler universe under another name, by which busybox would not know sleep.
    std::fs::write(&script, "#!/bin/sh\nexec sleep 3600\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let submit = |text: &str| {
        let common = "request_cpus = 1\nrequest_memory = 100\nrequest_disk = 100\narguments = 3600\n";
        pool.submit(SCHEDDS[0], "alice", &format!("{common}{text}")).to_string()
    };
    let sleep = "executable = /bin/sleep\n";
    let slot_jobs = submit(&format!("{sleep}requirements = TARGET.SlotType != \"Static\"\nqueue 3"));
    let scheduler = "universe = scheduler\nexecutable = /home/alice/job\n+TargetClouds = \"CERN,IAAS\"\n";
    submit(&format!("{scheduler}queue 3"));
    submit(&format!("{scheduler}hold = true\nqueue 2"));
    submit("universe = scheduler\nexecutable = /bin/true\nleave_in_queue = true\nqueue 1");
    let removed = submit(&format!("{scheduler}hold = true\nleave_in_queue = true\nqueue 1"));
    submit("universe = local\nexecutable = /home/alice/job\nqueue 2");
    submit(&format!("{sleep}universe = grid\ngrid_resource = batch pbs\nqueue 2"));
    submit(&format!("{sleep}universe = parallel\nmachine_count = 1\nqueue 1"));
    submit("universe = vm\nexecutable = x\nvm_type = kvm\nvm_memory = 10\nvm_disk = x:y:z\nqueue 1");
    let factory = format!("{sleep}requirements = false\nmax_materialize = 2\n");
    submit(&format!("{factory}queue 1000"));
    submit(&format!("{factory}queue 300"));
    let held = submit(&format!("{factory}queue 5000"));
    let as_alice = |tool: &str, cluster: &str| pool.condor_as("alice", &[tool, "-name", SCHEDDS[0], cluster], "");
    as_alice("condor_hold", &held);
    as_alice("condor_rm", &removed);
    let states = |jobs: [(&str, i64); 6]| jobs.map(|(name, jobs)| (format!("Allusers{name}"), jobs));
    let reached = |expected: &[(String, i64)]| {
        let totals = totals(pool);
        expected.iter().all(|(name, jobs)| totals[name] == json!(jobs)).then_some(())
    };
    let running = states([
        ("Idle", 2 + 1 + 1 + 4),
        ("Running", 3 + 2),
        ("Held", 2),
        ("SchedulerRunning", 3),
        ("SchedulerCompleted", 1),
        ("SchedulerRemoved", 1),
    ]);
    pool.wait_until("the jobs to reach their states", || reached(&running));
    as_alice("condor_suspend", &format!("{slot_jobs}.0"));
    pool.wait_until("a suspended job", || reached(&[("AllusersSuspended".into(), 1)]));
    pool.wait_until("the schedd's ad and the slots", || {
        let schedd = pool.condor(&["condor_status", "-schedd", SCHEDDS[0], "-af", "JobsUnmaterialized"]);
        let slots = pool.condor(&["condor_status", "-constraint", "DynamicSlot", "-af", "Name"]);
        let first = String::from_utf8_lossy(&schedd.stdout).lines().next() == Some("1296");
        (first && String::from_utf8_lossy(&slots.stdout).lines().count() == 3).then_some(())
    });
}
