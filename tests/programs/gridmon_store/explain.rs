//! `gridmon-status explain`: what a number is, and its newest value.

use super::{status, with_store};

#[test]
fn a_path_is_explained_with_its_newest_value() {
    let sandbox = with_store();
    let told = status(&sandbox, &["explain", "grids.heprc.clouds.cc-east.quota"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "grid_cloud: one cloud of Cloud Scheduler",
            "sent by   collect-grid, every 60 s by default",
            "source    HTCondor (condor_status, condor_q) and Cloud Scheduler (cloud_status)",
            "key tags  grid, cloud",
            "Carbon    grids.{grid}.clouds.{cloud}.{field}",
            "",
        ]
    );
    assert!(lines[7].starts_with("quota  int   vms   last  the most machines"), "{}", told.stdout);
    assert_eq!(
        lines[9],
        format!("The newest of it in {}:", lines[9].split(" in ").nth(1).unwrap().trim_end_matches(':'))
    );
    let words: Vec<_> = lines[11].split_whitespace().collect();
    assert_eq!(words, "cloud=cc-east,grid=heprc quota 50 vms 2024-06-01 12:32 UTC 60 s".split(' ').collect::<Vec<_>>());
    assert_eq!(lines.len(), 12, "one field of one series: {}", told.stdout);
}

#[test]
fn a_measurement_and_a_series_are_explained_whole() {
    let sandbox = with_store();
    let all = status(&sandbox, &["explain", "grid_cloud"]);
    let one = status(&sandbox, &["explain", "grid_cloud,cloud=cern-wigner"]);
    for field in ["enabled", "quota", "mips", "kflops"] {
        assert!(all.stdout.contains(&format!("\n{field} ")) && one.stdout.contains(&format!("\n{field} ")), "{all:?}");
    }
    assert!(all.stdout.contains("cloud=cc-east,grid=heprc") && all.stdout.contains("cloud=cern-wigner,grid=heprc"));
    assert!(!one.stdout.contains("cloud=cc-east,") && one.stdout.contains("cloud=cern-wigner,grid=heprc"));
    let nothing = status(&sandbox, &["explain", "grid_cloud,cloud=nowhere"]);
    assert_eq!(nothing.code, Some(0));
    assert!(nothing.stdout.contains("\nNothing is stored of it in "), "{nothing:?}");
    let list = status(&sandbox, &["explain"]);
    assert!(list.stdout.lines().any(|line| line.starts_with("jobs ") && line.contains("collect-panda")), "{list:?}");
}

/// Who sends it here, how often by this config, and what that asks.
#[test]
fn each_number_has_its_own_sender_source_and_interval() {
    let sandbox = with_store();
    sandbox.config("[grid]\ninterval_seconds = 300\n[sensor:LoadAverage]\ntime_interval = 30");
    for (name, sent, source) in [
        ("grid_cloud", "collect-grid, every 300 s here, 60 s by default", "HTCondor (condor_status, condor_q)"),
        ("node_load", "qagent, every 30 s here, 10 s by default", "/proc/loadavg, by [sensor:LoadAverage]"),
        ("slurm_jobs", "collect-slurm, or qagent with [sensor:Slurm], every ", "by [sensor:Slurm]"),
        ("queue_score.Q.managed.SCORE", "the dashboard, which makes it of others", "other measurements"),
        ("queue_score", "the dashboard, which makes it of others", "other measurements"),
    ] {
        let told = status(&sandbox, &["explain", name]).stdout;
        assert!(told.contains(&format!("\nsent by   {sent}")), "{name}: {told}");
        let of = told.lines().find(|line| line.starts_with("source    ")).unwrap_or_default();
        assert!(of.contains(source), "{name}: {told}");
    }
}

#[test]
fn what_has_no_meaning_is_refused_with_what_is_near() {
    let sandbox = with_store();
    for (name, near) in [
        ("grid_clod", "did you mean grid_cloud?"),
        ("grids.heprc.clouds.cc-east.nosuch", "grid_cloud has grids.{grid}.clouds.{cloud}.{field}"),
        ("..", "without an argument, all are listed; what others send to qmaster has no declaration"),
        ("no\u{1b}such thing", "without an argument, all are listed"),
    ] {
        let told = status(&sandbox, &["explain", name]);
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""));
        assert!(told.stderr.contains("is neither a measurement nor a Carbon path that one declares; "), "{told:?}");
        assert!(told.stderr.contains(near) && !told.stderr.contains('\u{1b}'), "{told:?}");
    }
}

#[test]
fn without_a_store_that_answers_the_meaning_is_told_all_the_same() {
    let sandbox = gridmon_testkit::sandbox::Sandbox::new("small");
    sandbox.config("[influxdb]\nurl = http://127.0.0.1:1\ndatabase = d");
    let told = status(&sandbox, &["explain", "grid_cloud"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stdout.starts_with("grid_cloud: one cloud of Cloud Scheduler\n"), "{told:?}");
    assert!(told.stderr.starts_with("gridmon-status: its newest value: "), "{told:?}");
}
