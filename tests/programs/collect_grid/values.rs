//! The values: the original's, golden ones, what vanishes, what must not be taken for another.

use super::*;

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
    assert_eq!(more.len(), 3 + 8 + 3 + 1 + 13, "{more:?}");
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
        "collect-grid: collected 112 points for 2024-06-01T12:30:00Z\n",
        "collect-grid: carbon: 112 collected = 112 delivered + 0 spooled + 0 dropped; 0 replayed, 0 wait\n",
    ] {
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
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
    assert_eq!(report(&of(0), "collected").as_deref(), Some("112"));
    assert_eq!(report(&of(0), "delivered").as_deref(), Some("112"));
    assert_eq!(report(&of(1), "success").as_deref(), Some("0"));
    assert_eq!(report(&of(3), "success"), None, "the last run has not been told of yet");
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
        "clouds.new_line_2fa10ccf790bda7b.quota",
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
