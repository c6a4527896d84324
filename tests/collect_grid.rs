//! collect-grid from end to end, as cron runs it: recorded and failing sources by stand-ins on PATH, Carbon in every mood
//! by stand-ins on a port; what is sent, what is printed and the exit code.

#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{FakeCarbon, Mood, NOW, Sandbox, expect, fixture, http};
use support::wait_until;

const LONG: Duration = Duration::from_secs(30);

/// `path value timestamp` lines by path.
fn by_path(text: &str) -> BTreeMap<&str, &str> {
    text.lines().map(|line| line.split_once(' ').expect("path and value")).collect()
}

#[test]
fn the_originals_inputs_give_the_originals_values_path_by_path() {
    let sandbox = Sandbox::new("small");
    sandbox.config("[grid]\nlive_hosts = send");
    let outcome = sandbox.dry_run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let original = fs::read_to_string(fixture("cloud_monitor/small/original.carbon")).unwrap();
    let (ours, theirs) = (by_path(&outcome.stdout), by_path(&original));

    let missing: Vec<_> = theirs.iter().filter(|(path, value)| ours.get(*path) != Some(value)).collect();
    // The original read in Graphite which clouds there were, so it needed Graphite's web side to collect anything, and
    // sent zeros for a cloud that is gone for ever, but for its idle machines only. A count that vanished goes to zero
    // from our own memory, once.
    assert_eq!(missing, [(&"grids.heprc.clouds.gone-cloud.idle.total", &"0 1717245000")]);

    // What we send beyond the original: schedds, pools and negotiators by name, and what the run covered.
    let more: Vec<_> = ours.keys().filter(|path| !theirs.contains_key(*path)).copied().collect();
    for path in &more {
        let kind = path.split('.').nth(2).unwrap();
        assert!(["schedds", "pools", "negotiators"].contains(&kind) || path.starts_with("coverage."), "{path}");
    }
    assert_eq!(more.len(), 3 + 8 + 3 + 1 + 12, "{more:?}");
}

#[test]
fn dry_run_is_a_golden_file_in_all_three_formats() {
    for case in ["small", "hard"] {
        let sandbox = Sandbox::new(case);
        sandbox.config("[grid]\nlive_hosts = send");
        for format in ["carbon", "influx", "json"] {
            let outcome = sandbox.run(&["-n", "--format", format, "--now", &NOW.to_string()]);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{case} {format}");
            expect(&fixture(&format!("cloud_monitor/{case}/expected.{format}")), &outcome.stdout);
        }
    }
}

#[test]
fn what_is_sent_is_what_dry_run_shows_and_a_late_start_fills_its_slot() {
    let sandbox = Sandbox::new("small");
    let shown = sandbox.dry_run();
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let outcome = sandbox.run(&["--now", "2024-06-01 12:30:37"]);
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""));
    assert_eq!(carbon.lines(), shown.stdout.lines().collect::<Vec<_>>());

    let report = fs::read_to_string(sandbox.path("state/collect-grid.heprc.reports")).unwrap();
    let report: serde_json::Value = serde_json::from_str(report.trim()).unwrap();
    assert_eq!(report["time"], NOW + 37);
    assert_eq!(report["success"], true);
    assert_eq!(report["sinks"]["carbon"]["delivered"], report["collected"]);
    assert!(report["sources"]["condor"].is_f64() && report["duration_seconds"].is_f64(), "{report}");
}

#[test]
fn verbose_tells_the_story_on_stderr() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let outcome = sandbox.run(&["-v", "--now", &NOW.to_string()]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));
    for words in [
        "collect-grid: cloud_scheduler took ",
        "collect-grid: condor took ",
        "collect-grid: collected 111 points for 2024-06-01T12:30:00Z\n",
        "collect-grid: carbon: 111 collected = 111 delivered + 0 spooled + 0 dropped; 0 replayed, 0 wait\n",
    ] {
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
}

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
        "collect-grid: cloud_scheduler: cloud_status -aj ended with exit status: 1: \"/usr/local/bin/cloud_status: couldn't \
         connect to cloud scheduler at csv1.example.org on port 8111. Is the cloud schedule…\"; clouds and virtual machines \
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

/// A folder with two schedds, of which `ce02` is good and answers 40 jobs, and `ce01` runs `script`.
fn two_schedds(script: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let slots = fixture("cloud_monitor/small/condor_slots.json");
    sandbox.schedds(&["ce01", "ce02"], slots.to_str().unwrap());
    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    sandbox.program("condor_q", &format!("case \"$*\" in *ce02*) exec cat {};; esac\n{script}", jobs.display()));
    sandbox.config("[htcondor]\ntimeout_seconds = 1");
    sandbox
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
    assert!(!is_alive(pid.trim()));
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn bytes_that_are_no_text_and_types_of_every_kind_are_counted() {
    for (recorded, total) in
        [("q_weird_json.out", 2), ("q_json_types.out", 18), ("q_json.out", 18), ("q_groupby2_json.out", 500_018)]
    {
        let sandbox = Sandbox::new("small");
        sandbox.program("condor_q", &format!("cat {}", fixture(&format!("htcondor/{recorded}")).display()));
        let outcome = sandbox.dry_run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{recorded}");
        let all = outcome.lines_with("heprc.jobs.all.total")[0];
        let count: i64 = all.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(count, total, "{recorded}");
    }
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
    assert_eq!(asked, "-name ce01.example.org -allusers -attributes JobStatus,TargetClouds,AccountingGroup -json\n");
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
fn what_vanished_goes_to_zero_once_and_the_last_runs_report_goes_out() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let at = |minute: i64| {
        let outcome = sandbox.run(&["-v", "--now", &(NOW + 60 * minute + 5).to_string()]);
        let ends = format!(" {}", NOW + 60 * minute);
        let lines: Vec<_> = carbon.lines().into_iter().filter(|line| line.ends_with(&ends)).collect();
        (outcome.code, lines)
    };
    let (_, first) = at(0);
    let empty = fixture("cloud_monitor/cloud_status_empty.json");
    sandbox.program("cloud_status", "exit 1");
    let (code, second) = at(1);
    assert_eq!(code, Some(1));
    assert!(!second.iter().any(|line| line.contains(".clouds.")), "a failed source yields nothing, never zeros");
    sandbox.program("cloud_status", &format!("cat {}", empty.display()));
    let (code, third) = at(2);
    assert_eq!(code, Some(0));
    let counts = |lines: &[String]| -> Vec<String> {
        let of_clouds =
            lines.iter().filter(|line| line.contains(".vms.") || line.contains(".idle.") || line.contains(".slots."));
        of_clouds.map(|line| line.split(' ').next().unwrap().to_string()).collect()
    };
    assert_eq!(counts(&third), counts(&first));
    assert!(third.iter().filter(|line| line.contains(".clouds.")).all(|line| line.contains(" 0 ")), "{third:?}");
    let (_, fourth) = at(3);
    assert!(!fourth.iter().any(|line| line.contains(".clouds.")), "once is enough");

    // Each run tells of the one before, with its time.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = gridmon::model::carbon_component(host.trim().split('.').next().unwrap()).into_owned();
    let report = |lines: &[String], field: &str| {
        let begin = format!("run.heprc.{host}.collect-grid.{field} ");
        lines.iter().find_map(|line| line.strip_prefix(&begin)).map(|rest| rest.split(' ').next().unwrap().to_string())
    };
    let lines: Vec<_> = carbon.lines();
    let of = |minute: i64| {
        lines.iter().filter(|line| line.ends_with(&format!(" {}", NOW + 60 * minute))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(report(&of(0), "success").as_deref(), Some("1"));
    assert_eq!(report(&of(0), "collected").as_deref(), Some("111"));
    assert_eq!(report(&of(0), "delivered").as_deref(), Some("111"));
    assert_eq!(report(&of(1), "success").as_deref(), Some("0"));
    assert_eq!(report(&of(3), "success"), None, "the last run has not been told of yet");
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

#[test]
fn names_of_every_kind_stay_one_path_and_two_that_become_one_are_named() {
    let sandbox = Sandbox::new("small");
    let vm =
        |host: &str, vmtype: &str| format!(r#"{{"hostname": "{host}", "vmtype": "{vmtype}", "status": "Running"}}"#);
    let cloud =
        |name: &str, vm: &str| format!(r#"{{"name": "{name}", "enabled": true, "max_slots": 1, "vms": [{vm}]}}"#);
    let clouds = [
        cloud(r"new\nline", &vm("h1", "w")),
        cloud("smile 😀", &vm("h2", "x y.z")),
        cloud("a.b", &vm("h3", "w")),
        cloud("a b", &vm("h4", "w")),
        cloud("", &vm("h5", "total")),
    ];
    sandbox.write("clouds.json", format!(r#"{{"resources": [{}]}}"#, clouds.join(",")));
    sandbox.program("cloud_status", "cat clouds.json");
    let outcome = sandbox.dry_run();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.lines().all(|line| line.split(' ').count() == 3), "{}", outcome.stdout);
    for path in [
        "clouds.new_line.quota",
        "clouds.smile__.vms.x_y_z.running",
        "clouds.unknown.vms.total.running",
        "clouds.a_b.quota",
    ] {
        assert_eq!(outcome.lines_with(path).len(), 1, "{path}");
    }
    assert!(
        outcome.stderr.starts_with(
            r"collect-grid: points dropped: grid_idle_vms,cloud=unknown,grid=heprc,vmtype=total (another point has the same name), grid_cloud,cloud=a\ b,grid=heprc (its Carbon path grids.heprc.clouds.a_b.enabled is taken by grid_cloud,cloud=a.b,grid=heprc), "
        ),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains(" more, which --verbose names"), "{}", outcome.stderr);
}

#[test]
fn carbon_in_every_mood_ends_the_run_in_time_with_the_right_words() {
    let refused = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let fake = |mood| FakeCarbon::start(mood).port;
    let hole = black_hole();
    // Enough points to fill every buffer between us and a Carbon that does not read: about 8 MB.
    for (port, large, words) in [
        (refused(), false, "no connection: Connection refused (os error 111)"),
        (hole.1, false, "no connection within 2 s"),
        (fake(Mood::Stopped), false, "it did not acknowledge within 2 s"),
        (fake(Mood::Stopped), true, "it did not take everything within 2 s"),
        (fake(Mood::Mute), false, "it did not acknowledge within 2 s"),
        (fake(Mood::Resets), true, "it broke off"),
        (fake(Mood::Closes), true, "it closed the connection before the end"),
        (fake(Mood::Slow), true, "it did not take everything within 2 s"),
    ] {
        let sandbox = Sandbox::new("small");
        if large {
            many_slots(&sandbox, 60_000);
        }
        sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {port}\ntimeout_seconds = 2"));
        let outcome = sandbox.run(&["--now", &NOW.to_string()]);
        let begin = format!("collect-grid: carbon: 127.0.0.1:{port}: {words}");
        assert!(outcome.stderr.starts_with(&begin), "{words}: {}", outcome.stderr);
        assert!(outcome.stderr.ends_with(" points wait in the spool, at 12:30 UTC\n"), "{}", outcome.stderr);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str(), outcome.stderr.lines().count()),
            (Some(1), "", 1),
            "{words}"
        );
        assert!(outcome.took < LONG, "{words}: {:?}", outcome.took);
    }
    let mute = FakeCarbon::start(Mood::Mute);
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!("[carbon]\nhost = localhost\nport = {}\nacknowledge = none", mute.port));
    assert_eq!(sandbox.run(&["--now", &NOW.to_string()]).code, Some(0));
    wait_until("the bytes that nobody acknowledged", LONG, || (mute.lines().len() == 124).then_some(()));
}

/// A listener whose queue is full, so that the kernel drops every further connection request.
fn black_hole() -> (Vec<std::os::fd::OwnedFd>, u16) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with};
    let socket = || socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    let listener = socket();
    bind(&listener, &std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    listen(&listener, 0).unwrap();
    let address: std::net::SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let client = socket();
        let _ = connect(&client, &address);
        sockets.push(client);
    }
    (sockets, address.port())
}

/// Gives the grid this many clouds of long names, so that a run has some megabytes to send.
fn many_slots(sandbox: &Sandbox, clouds: usize) {
    let name = "c".repeat(100);
    let clouds: Vec<_> =
        (0..clouds).map(|at| format!(r#"{{"name": "{name}{at}", "max_slots": 1, "enabled": true}}"#)).collect();
    sandbox.write("clouds.json", format!(r#"{{"resources": [{}]}}"#, clouds.join(",")));
    sandbox.program("cloud_status", "cat clouds.json");
}

#[test]
fn of_fifty_copies_one_works_and_the_others_leave_quietly_at_once() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    sandbox.program("cloud_status", "echo called >> called; until [ -e go ]; do sleep 0.1; done; exec cat clouds.json");
    fs::copy(fixture("cloud_monitor/small/cloud_status.json"), sandbox.path("clouds.json")).unwrap();
    let start =
        || sandbox.command(&["--now", &NOW.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut copies: Vec<_> = (0..50).map(|_| start()).collect();
    // While the one that works waits for its source, all others must be gone.
    wait_until("49 copies to leave", LONG, || {
        let running = copies.iter_mut().filter_map(|copy| copy.try_wait().unwrap().is_none().then_some(())).count();
        (running == 1).then_some(())
    });
    wait_until("the source to be asked", LONG, || sandbox.path("called").exists().then_some(()));
    sandbox.write("go", "");
    for copy in copies {
        let output = copy.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), 0, "")
        );
    }
    assert_eq!(fs::read_to_string(sandbox.path("called")).unwrap(), "called\n");
    assert_eq!(carbon.received().len(), 1);
}

#[test]
fn a_run_that_holds_the_lock_beyond_its_deadline_is_named() {
    let sandbox = Sandbox::new("small");
    sandbox.config("[carbon]\nhost = 127.0.0.1\n[grid]\ndeadline_seconds = 20");
    let path =
        sandbox.write("state/collect-grid.heprc.lock", format!("4242 {}\n", jiff::Timestamp::now().as_second() - 7300));
    let lock = fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let outcome = sandbox.run(&[]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stderr,
        format!(
            "collect-grid: process 4242 has held {} for 2 h 1 min, longer than any run may take; nothing was collected; end it with: kill -9 4242\n",
            path.display()
        )
    );
    // A note without a holder is what a killed run leaves: no reason to stay away.
    drop(lock);
    assert!(sandbox.run(&["-v"]).stderr.contains("collected"), "the lock was free");
}

#[test]
fn a_lasting_failure_is_printed_at_its_onset_hourly_and_once_at_recovery() {
    let sandbox = two_schedds("exit 1");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let at = |minute: i64| {
        let outcome = sandbox.run(&["--now", &(NOW + minute * 60).to_string()]);
        (outcome.code, outcome.stderr)
    };
    let dead = "collect-grid: schedd ce01: condor_q ended with exit status: 1 and printed nothing; its jobs and the grid's totals are missing";
    assert_eq!(at(0), (Some(1), format!("{dead}, at 12:30 UTC\n")));
    assert_eq!(at(1), (Some(1), String::new()));
    assert_eq!(at(59), (Some(1), String::new()));
    assert_eq!(at(60), (Some(1), format!("{dead}, for 60 min, at 13:30 UTC\n")));
    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    sandbox.program("condor_q", &format!("cat {}", jobs.display()));
    assert_eq!(at(75), (Some(0), "collect-grid: schedd ce01: works again after 75 min\n".into()));
    assert_eq!(at(76), (Some(0), String::new()));
}

#[test]
fn a_clock_set_back_neither_reads_nor_writes_the_state() {
    let sandbox = two_schedds("exit 1");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let run = |now: i64| sandbox.run(&["--now", &now.to_string()]);
    assert_eq!(run(NOW).stderr.lines().count(), 1);
    let state = || {
        let read = |name| fs::read_to_string(sandbox.path("state").join(name)).unwrap();
        (read("collect-grid.heprc.reports"), read("collect-grid.heprc.schedds"))
    };
    let before = state();
    let outcome = run(NOW - 86_400);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{}", outcome.stderr);
    assert_eq!(state(), before);
    assert!(run(NOW + 60).stderr.is_empty());
    assert_ne!(state(), before);
}

#[test]
fn a_signal_ends_the_run_with_its_children() {
    let sandbox = Sandbox::new("small");
    sandbox.program("cloud_status", "echo $$ > child; sleep 1000 & echo $! > grandchild; wait");
    let mut run = sandbox.command(&["-n"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let pids = wait_until("the source to be asked", LONG, || {
        let read = |name| fs::read_to_string(sandbox.path(name)).ok().filter(|pid| pid.ends_with('\n'));
        Some([read("child")?, read("grandchild")?])
    });
    support::signal(run.id(), "TERM");
    let status = run.wait().unwrap();
    let mut stderr = String::new();
    run.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(1), "collect-grid: interrupted; nothing more is sent\n"));
    for pid in pids {
        wait_until("the child to end", LONG, || (!is_alive(pid.trim())).then_some(()));
    }
}

#[test]
fn everything_hanging_ends_before_the_deadline() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Stopped);
    for program in ["condor_q", "condor_status", "cloud_status"] {
        sandbox.program(program, "sleep 1000");
    }
    sandbox.config(&format!("[grid]\ndeadline_seconds = 6\n[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let outcome = sandbox.run(&["--now", &NOW.to_string()]);
    assert_eq!(outcome.code, Some(1));
    let whats: Vec<_> = outcome.stderr.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(whats, ["pool local", "cloud_scheduler", "carbon"], "{}", outcome.stderr);
    assert!(outcome.took < Duration::from_secs(6), "{:?}", outcome.took);
}

#[test]
fn clusters_json_is_read_over_http_when_a_url_is_set() {
    let sandbox = Sandbox::new("small");
    let shown = sandbox.dry_run().stdout;
    sandbox.program("cloud_status", "exit 1");
    let body = fs::read_to_string(fixture("cloud_monitor/small/cloud_status.json")).unwrap();
    let soon = Duration::ZERO;
    let answer =
        |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let run = |url: &str| {
        sandbox.config(&format!("[cloud_scheduler]\nurl = {url}/clusters.json\ntimeout_seconds = 1"));
        let outcome = sandbox.dry_run();
        (outcome.code, outcome.stdout, outcome.stderr.replace(url, "URL"))
    };
    assert_eq!(run(&http(&answer("200 OK", &body), soon)), (Some(0), shown, String::new()));

    let refused = format!(
        "http://127.0.0.1:{}",
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    );
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", &body[..1000]);
    for (url, words) in [
        (refused, "GET URL/clusters.json: no answer within 1 s: "),
        (
            http(&answer("200 OK", "<html>Please log in</html>"), soon),
            "the answer is not clusters.json: \"<html>Please log in</html>\": expected value at line 1 column 1",
        ),
        (http(&answer("200 OK", &body[..1000]), soon), "the answer is not clusters.json: "),
        (http(&answer("404 Not Found", "gone"), soon), "GET URL/clusters.json: HTTP 404 \"gone\""),
        (http(&answer("302 Found", ""), soon), "GET URL/clusters.json: HTTP 302 \"\""),
        (http(&cut, soon), "GET URL/clusters.json: "),
        (http("", LONG), "GET URL/clusters.json: no answer within 1 s: "),
    ] {
        let (code, stdout, stderr) = run(&url);
        assert!(stderr.starts_with(&format!("collect-grid: cloud_scheduler: {words}")), "{words}: {stderr}");
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stdout.contains("heartbeat.cloud_scheduler 0 ") && !stdout.contains(".clouds."), "{stdout}");
    }
}

#[test]
fn check_names_each_source_and_sink_with_ok_or_the_reason() {
    let sandbox = two_schedds("exit 1");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let outcome = sandbox.run(&["--check"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        outcome.stdout.replace(&carbon.port.to_string(), "PORT"),
        "ok      config           config.cfg\n\
         ok      pool local       16 slots\n\
         ok      schedd ce02      40 jobs\n\
         failed  schedd ce01      condor_q ended with exit status: 1 and printed nothing; its jobs and the grid's totals are missing\n\
         ok      cloud_scheduler  3 clouds, 8 virtual machines\n\
         ok      roles            points go to carbon; a table, which no program of this version keeps, would go to the embedded store\n\
         ok      carbon           127.0.0.1:PORT answers\n"
    );
    assert_eq!(carbon.lines(), Vec::<String>::new(), "nothing is written");
    assert!(!sandbox.path("state/collect-grid.heprc.reports").exists());
}

#[test]
fn wrong_flags_end_with_2_before_anything_is_asked() {
    let sandbox = Sandbox::new("small");
    sandbox.program("cloud_status", "echo called > called");
    for (arguments, words) in [
        (&["--nosuch"][..], "error: unexpected argument '--nosuch' found"),
        (&["--format", "influx"], "error: the following required arguments were not provided:\n  --dry-run"),
        (&["-n", "--format", "xml"], "error: invalid value 'xml' for '--format <FORMAT>'"),
        (&["-n", "--now", "noon"], "error: invalid value 'noon' for '--now <TIME>': give unix seconds, RFC 3339, or"),
        (&["-n", "--check"], "error: the argument '--dry-run' cannot be used with '--check'"),
        (&["-c", "missing.cfg"], "collect-grid: missing.cfg: No such file or directory (os error 2)\n"),
    ] {
        let outcome = sandbox.run(arguments);
        assert!(outcome.stderr.starts_with(words), "{arguments:?}: {}", outcome.stderr);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    assert!(!sandbox.path("called").exists());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::new("small");
    let mut run = sandbox.command(&["-n"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(run.stdout.take());
    let output = run.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_config_is_refused_when_the_wrong_people_can_change_or_read_it() {
    let sandbox = Sandbox::new("small");
    let path = sandbox.path("config.cfg");
    let run = |mode: u32, user: u32, text: &str| {
        sandbox.config(text);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&path, Some(user), None).unwrap();
        let outcome = sandbox.run(&["-n", "-c", path.to_str().unwrap()]);
        (outcome.code, outcome.stderr.replace(&path.display().to_string(), "FILE"))
    };
    let me = rustix::process::geteuid().as_raw();
    let secret = "[credentials]\npassword = hunter2";
    assert_eq!(run(0o644, me, ""), (Some(0), String::new()));
    assert_eq!(
        run(0o664, me, "").1,
        "collect-grid: FILE: others than its owner can write it (mode 0664), and it names commands: chmod go-w FILE\n"
    );
    assert_eq!(run(0o646, me, "").0, Some(2));
    assert_eq!(
        run(0o644, me, secret),
        (
            Some(2),
            "collect-grid: FILE: holds a password or token that everybody can read (mode 0644): chmod o= FILE\n".into()
        )
    );
    assert_eq!(run(0o640, me, secret), (Some(0), String::new()));
    assert_eq!(run(0o644, me, "[credentials]\npassword = ${PASSWORD}").0, Some(0), "read by nobody yet");
    if me == 0 {
        let (code, words) = run(0o600, 1000, "");
        assert_eq!(code, Some(2));
        assert!(
            words.starts_with("collect-grid: FILE: belongs to user 1000, who could make it run any command;"),
            "{words}"
        );
    } else {
        support::skip("a config of somebody else", "root");
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let sandbox = Sandbox::new("small");
    let secret = "S3cr3t";
    for text in [
        format!("[credentials]\npassword = {secret}\n[carbon]\nhost = 127.0.0.1\nport = 1"),
        format!("[credentials]\npassword = {secret} # comment\nusername = x"),
        format!("[carbon]\npassword = {secret}\nhost = 127.0.0.1"),
        format!("[credentials]\npassword = a\n{secret}\n"),
        format!("[cloud_scheduler]\nurl = http://user:{secret}@127.0.0.1:1/"),
        format!("[cloud_scheduler]\nurl = http://127.0.0.1:1/clusters.json?token={secret}"),
    ] {
        sandbox.config(&text);
        fs::set_permissions(sandbox.path("config.cfg"), fs::Permissions::from_mode(0o600)).unwrap();
        for arguments in [&["-v", "-n"][..], &["-v"], &["--check", "-v"]] {
            let outcome = sandbox.run(arguments);
            assert!(!format!("{outcome:?}").contains(secret), "{text}: {outcome:?}");
        }
        let state = Command::new("grep").args(["-r", secret]).arg(sandbox.path("state")).output().unwrap();
        assert!(state.stdout.is_empty(), "{text}: in the state");
    }
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_is_not_believed() {
    let name = "a_server_whose_certificate_nobody_vouches_for_is_not_believed";
    let sandbox = Sandbox::new("small");
    let openssl = |arguments: &[&str]| {
        Command::new("openssl").args(arguments).current_dir(sandbox.path("")).stdin(Stdio::null()).output().ok()
    };
    let make = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ];
    if openssl(&make).is_none() {
        return support::skip(name, "openssl");
    }
    fs::copy(fixture("cloud_monitor/small/cloud_status.json"), sandbox.path("clusters.json")).unwrap();
    let (port, _ports) = support::free_port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-WWW", "-key", "key.pem", "-cert", "cert.pem", "-accept", &port.to_string()])
        .current_dir(sandbox.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the server", LONG, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    sandbox.config(&format!("[cloud_scheduler]\nurl = https://localhost:{port}/clusters.json"));
    let outcome = sandbox.dry_run();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("invalid peer certificate"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("heartbeat.cloud_scheduler 0 ") && !outcome.stdout.contains(".clouds."));
}

#[test]
fn looking_leaves_no_trace() {
    let sandbox = Sandbox::new("small");
    fs::remove_dir(sandbox.path("state")).unwrap();
    for arguments in [&["-n"][..], &["--check"], &["--list"]] {
        sandbox.run(arguments);
    }
    assert!(!sandbox.path("state").exists());
}

#[test]
fn state_that_cannot_be_had_is_named_with_the_way_out() {
    let sandbox = Sandbox::new("small");
    sandbox.write("file", "");
    let state = sandbox.path("file/state");
    sandbox.write("config.cfg", format!("[state]\ndirectory = {}\n[carbon]\nhost = 127.0.0.1\n", state.display()));
    let outcome = sandbox.run(&[]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.starts_with(&format!("collect-grid: state directory {}: ", state.display())),
        "{}",
        outcome.stderr
    );
    assert_eq!(sandbox.run(&["-n"]).code, Some(0), "looking needs no state");
}

#[test]
fn a_run_leaves_nothing_in_the_state_but_its_own_files() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let began = Instant::now();
    for minute in 0..3 {
        assert_eq!(sandbox.run(&["--now", &(NOW + 60 * minute).to_string()]).code, Some(0));
    }
    assert!(began.elapsed() < LONG);
    let mut files: Vec<_> = fs::read_dir(sandbox.path("state"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "collect-grid.heprc.lock",
            "collect-grid.heprc.reports",
            "collect-grid.heprc.schedds",
            "collect-grid.heprc.series",
            "spool"
        ]
    );
    let lock = fs::read(Path::new(&sandbox.path("state/collect-grid.heprc.lock"))).unwrap();
    assert!(lock.is_empty(), "nobody holds it any more");
}
