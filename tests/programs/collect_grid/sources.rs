//! HTCondor and Cloud Scheduler answering by half, in odd ways, or not at all.

use super::*;

/// Everything that needs HTCondor: none of these paths may be there when it did not answer.
const FROM_SLOTS: [&str; 4] = [".idle.", ".slots.", ".mips", ".kflops"];

#[test]
fn without_htcondor_no_machine_is_called_idle_and_no_job_counted() {
    let sandbox = Sandbox::new("small");
    sandbox.program("condor_status", "echo 'Error: communication error' >&2; exit 1");
    let outcome = sandbox.dry_run();
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stderr,
        "collect-grid: pool local: condor_status ended with exit status: 1: \"Error: communication error\"; its slots, \
         its schedds' jobs and the grid's totals are missing, at 12:30 UTC\n"
    );
    for part in FROM_SLOTS.into_iter().chain([".jobs."]) {
        assert_eq!(outcome.lines_with(part), Vec::<&str>::new());
    }
    assert_eq!(
        outcome.lines_with(".heartbeat"),
        [
            "grids.heprc.heartbeat.cloud_monitor 1 1717245000",
            "grids.heprc.heartbeat.cloud_scheduler 1 1717245000",
            "grids.heprc.heartbeat.condor 0 1717245000",
            "grids.heprc.pools.local.heartbeat 0 1717245000",
        ]
    );
    assert_eq!(outcome.lines_with("vms.atlas-worker.total").len(), 2);
}

#[test]
fn without_cloud_scheduler_jobs_are_counted_all_the_same() {
    let sandbox = Sandbox::new("small");
    sandbox
        .program("cloud_status", &format!("cat {}; exit 1", fixture("cloud_monitor/cloud_status_down.txt").display()));
    let outcome = sandbox.dry_run();
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stderr,
        "collect-grid: cloud_scheduler: cloud_status ended with exit status: 1: \"/usr/local/bin/cloud_status: couldn't \
         connect to cloud scheduler at csv1.example.org on port 8111. Is the cloud scheduler running on port 8111?\"; clouds and virtual machines \
         are missing, at 12:30 UTC\n"
    );
    assert!(outcome.lines_with(".clouds.").is_empty());
    assert_eq!(outcome.lines_with("heartbeat.c").len(), 3);
    assert_eq!(outcome.lines_with("jobs.all.total"), ["grids.heprc.jobs.all.total 40 1717245000"]);
}

#[test]
fn a_grid_of_one_kind_is_asked_for_that_kind_only() {
    let sandbox = Sandbox::new("small");
    sandbox.program("cloud_status", "echo called > called; exit 1");
    let state = sandbox.path("state");
    sandbox
        .write("config.cfg", format!("[grid]\nname = heprc\n[state]\ndirectory = {}\n[htcondor]\n", state.display()));
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert!(outcome.lines_with("cloud_scheduler").is_empty() && !sandbox.path("called").exists());
}

#[test]
fn no_clouds_no_slots_and_no_jobs_are_zeros_and_no_failure() {
    let sandbox = Sandbox::new("small");
    sandbox.schedds(&["ce01"], "/dev/null");
    sandbox.program("condor_q", "");
    sandbox.program("cloud_status", &format!("cat {}", fixture("cloud_monitor/cloud_status_empty.json").display()));
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.lines_with("jobs.all.total"), ["grids.heprc.jobs.all.total 0 1717245000"]);
    assert_eq!(outcome.lines_with("schedds.ce01.jobs.total"), ["grids.heprc.schedds.ce01.jobs.total 0 1717245000"]);
}

#[test]
fn one_bad_schedd_costs_its_own_numbers_and_the_totals_and_nothing_else() {
    let half = "head -c 700 JOBS";
    for (script, words) in [
        (half, "printed half an answer, cut off after 8 ads"),
        ("echo '[{\"JobStatus\": 2}]'; exit 1", "ended with exit status: 1: \"[{\"JobStatus\": 2}]\""),
        (
            "echo '<html><body>Please log in</body></html>'",
            "printed \"<html><body>Please log in</body></html>\" where JSON was expected",
        ),
        (
            "echo 'WARNING: clock skew'; echo '[{\"JobStatus\": 2}]'",
            "printed \"WARNING: clock skew\" where JSON was expected",
        ),
        (
            "echo '[{\"JobStatus\": }]'",
            "printed \"{\"JobStatus\": }\", which is no JSON: expected value at line 1 column 15",
        ),
        (
            "echo '[{\"JobStatus\": 1, \"JobCount\": -3}]'",
            "printed a JobCount that counts nothing: \"{\"JobStatus\": 1, \"JobCount\": -3}\"",
        ),
        (
            "echo 'Error: Collector has no record of schedd/submitter' >&2; exit 1",
            "ended with exit status: 1: \"Error: Collector has no record of schedd/submitter\"",
        ),
        // What colours a terminal, or moves its cursor, is no part of a mail.
        ("printf 'no\\033[31m such\\rschedd\\n' >&2; exit 1", "ended with exit status: 1: \"no [31m such schedd\""),
        ("kill -SEGV $$", "ended with signal: 11 (SIGSEGV) and printed nothing"),
        ("sleep 1000", "gave no answer in 1 s"),
        ("trap '' TERM INT HUP QUIT; while :; do sleep 1; done", "gave no answer in 1 s"),
        ("sleep 1000 & wait", "gave no answer in 1 s"),
        ("yes '[' | tr -d '\\n'", "gave no answer in 1 s"),
    ] {
        let script = script.replace("JOBS", fixture("cloud_monitor/small/condor_jobs.json").to_str().unwrap());
        let sandbox = two_schedds(&script);
        let outcome = sandbox.dry_run();
        let line = format!(
            "collect-grid: schedd ce01: condor_q {words}; its jobs and the grid's totals are missing, at 12:30 UTC\n"
        );
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), line.as_str()), "{script}");
        assert!(outcome.took < LONG, "{script}: {:?}", outcome.took);

        assert_eq!(
            outcome
                .lines_with(".ce01.")
                .iter()
                .filter(|line| line.contains("heartbeat 0") || !line.contains("jobs."))
                .count(),
            3
        );
        assert!(outcome.lines_with("schedds.ce01.jobs").is_empty());
        assert!(outcome.lines_with("heprc.jobs.").is_empty());
        assert_eq!(
            outcome.lines_with("schedds.ce02.jobs.total"),
            ["grids.heprc.schedds.ce02.jobs.total 40 1717245000"]
        );
        assert_eq!(outcome.lines_with("heartbeat.condor"), ["grids.heprc.heartbeat.condor 1 1717245000"]);
        assert!(!outcome.lines_with(".idle.").is_empty());
    }
}

#[test]
fn a_grandchild_that_holds_the_pipe_neither_hangs_the_run_nor_outlives_it() {
    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    let sandbox = two_schedds(&format!("sleep 1000 & echo $! > grandchild; cat {}", jobs.display()));
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.lines_with("jobs.all.total"), ["grids.heprc.jobs.all.total 80 1717245000"]);
    let pid = fs::read_to_string(sandbox.path("grandchild")).unwrap();
    wait_until_dead(pid.trim());
}

#[test]
fn a_schedd_that_cannot_group_is_counted_from_its_dump() {
    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    // One says that it does not know the flag, one silently groups nothing: both are asked for the dump.
    for group_by in ["echo 'Error: Unknown argument -group-by' >&2; exit 1", "exit 0"] {
        let sandbox = Sandbox::new("small");
        sandbox
            .program("condor_q", &format!("case \"$*\" in *-group-by*) {group_by};; *) cat {};; esac", jobs.display()));
        let outcome = sandbox.dry_run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert_eq!(outcome.lines_with("jobs.all.total"), ["grids.heprc.jobs.all.total 40 1717245000"]);
    }
    let sandbox = Sandbox::new("small");
    sandbox.config("[htcondor]\ncounting = dump");
    sandbox.program("condor_q", &format!("echo \"$*\" >> asked; cat {}", jobs.display()));
    assert_eq!(sandbox.dry_run().code, Some(0));
    let asked = fs::read_to_string(sandbox.path("asked")).unwrap();
    assert_eq!(
        asked,
        "-name ce01.example.org -allusers -attributes JobStatus,TargetClouds,JobUniverse,AccountingGroup -json\n"
    );
}

#[test]
fn a_schedd_that_left_the_list_is_missed_for_a_day_and_then_forgotten() {
    let sandbox = two_schedds("cat $(dirname $0)/../jobs.json");
    let slots = fixture("cloud_monitor/small/condor_slots.json");
    fs::copy(fixture("cloud_monitor/small/condor_jobs.json"), sandbox.path("jobs.json")).unwrap();
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}\n[htcondor]\ntimeout_seconds = 1", carbon.port));
    let at = |hours: i64| sandbox.run(&["-v", "--now", &(NOW + hours * 3600).to_string()]);
    assert_eq!(at(0).code, Some(0));

    sandbox.schedds(&["ce02"], slots.to_str().unwrap());
    sandbox.program(
        "condor_q",
        "case \"$*\" in *ce02*) cat jobs.json;; *) echo 'Error: Collector has no record' >&2; exit 1;; esac",
    );
    let outcome = at(23);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains(
            "collect-grid: schedd ce01: condor_q ended with exit status: 1: \"Error: Collector has no record\" (its \
             collector lists it no more; it is given up after a day, or at once when [htcondor] schedds names the others); \
             its jobs and the grid's totals are missing"
        ),
        "{}",
        outcome.stderr
    );
    let outcome = at(25);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let lines = carbon.lines();
    let last: Vec<_> = lines.iter().filter(|line| line.ends_with(&(NOW + 25 * 3600).to_string())).collect();
    assert!(last.iter().any(|line| line.starts_with("grids.heprc.jobs.all.total 40 ")));
    // What it had goes to zero, once.
    let gone: Vec<_> = last.iter().filter(|line| line.contains(".ce01.")).collect();
    assert!(gone.len() == 8 && gone.iter().all(|line| line.contains(" 0 ")), "{gone:?}");
    assert_eq!(at(26).code, Some(0));
    assert!(
        !carbon.lines().iter().any(|line| line.contains(".ce01.") && line.ends_with(&(NOW + 26 * 3600).to_string()))
    );
}

#[test]
fn several_pools_are_asked_side_by_side_and_a_dead_one_is_named() {
    let sandbox = Sandbox::new("small");
    let slots = fixture("cloud_monitor/small/condor_slots.json");
    let good = format!(
        "case \"$*\" in *dead*) echo refused >&2; exit 1;; *-schedd*'cm1'*|*cm1*-schedd*) echo '[{{\"Name\": \"a\"}}]';; \
         *cm2*-schedd*) echo '[{{\"Name\": \"b\"}}]';; *-negotiator*|*-collector*) ;; *) cat {};; esac",
        slots.display()
    );
    sandbox.program("condor_status", &good);
    sandbox.config("[htcondor]\npool = cm1.example.org, cm2.example.org:9620");
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.lines_with("jobs.all.total"), ["grids.heprc.jobs.all.total 80 1717245000"]);
    assert_eq!(outcome.lines_with("pools.cm2_example_org:9620.slots").len(), 1);

    sandbox.config("[htcondor]\npool = cm1.example.org, dead.example.org");
    let outcome = sandbox.dry_run();
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stderr
            .starts_with("collect-grid: pool dead.example.org: condor_status ended with exit status: 1: \"refused\";")
    );
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(outcome.lines_with("heprc.jobs.").is_empty(), "a total over half of the pools");
    for part in FROM_SLOTS {
        assert!(outcome.lines_with(part).is_empty(), "nobody knows in which pool a machine's slots are");
    }
    assert_eq!(outcome.lines_with("schedds.a.jobs.total").len(), 1);
    assert_eq!(outcome.lines_with("heartbeat.condor"), ["grids.heprc.heartbeat.condor 0 1717245000"]);
}
