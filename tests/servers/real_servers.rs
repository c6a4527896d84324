//! collect-grid against real servers: an HTCondor pool with two schedds and real jobs, real Carbon, and every value read
//! back through graphite-web.

use std::time::Duration;

use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::{Carbon, GraphiteWeb, Pool, SCHEDDS, Suite, shared_graphite, skip};
use serde_json::Value;

#[test]
fn htcondor_23() {
    whole_chain("htcondor_23", Suite::Trixie);
}

#[test]
#[ignore = "a second pool; make test-all runs it"]
fn htcondor_25() {
    whole_chain("htcondor_25", Suite::Sid);
}

/// From a real pool through the real binary into real Carbon, and back through graphite-web.
fn whole_chain(test: &str, suite: Suite) {
    let Some((carbon, graphite)) = shared_graphite() else { return skip(test, "Carbon with graphite-web") };
    let Some(pool) = Pool::start(suite) else { return skip(test, "an HTCondor pool") };
    let odd_jobs = pool.submit_odd_jobs();
    // Machines wn00000 and wn00001 with eight slots each, wn00002 with four.
    pool.advertise_slots(20);

    let sandbox = Sandbox::new("small");
    for program in ["condor_q", "condor_status"] {
        sandbox.program(program, &format!("exec {}/{program} \"$@\"", pool.bin_dir().display()));
    }
    let vm =
        |host: &str, vmtype: &str| format!(r#"{{"hostname": "{host}", "vmtype": "{vmtype}", "status": "Running"}}"#);
    let vms = [vm("WN00000.lab.test", "w"), vm("wn00001", "w"), vm("wn00002", "x"), vm("wn00009", "x")];
    let cloud = format!(r#"{{"name": "CERN", "enabled": true, "max_slots": 9, "vms": [{}]}}"#, vms.join(","));
    sandbox.program("cloud_status", &format!("echo '{{\"resources\": [{cloud}]}}'"));
    let config = |more: &str| {
        sandbox.config(&format!(
            "[grid]\nname = {test}\n[htcondor]\npool = {}\ntimeout_seconds = 3\nupdate_interval_seconds = 1\n{more}\n[carbon]\nhost = 127.0.0.1\nport = {}",
            pool.collector(),
            carbon.pickle
        ));
        // The grid's name stands once.
        let path = sandbox.path("config.cfg");
        let text = std::fs::read_to_string(&path).unwrap().replace("name = heprc\n", "");
        std::fs::write(path, text).unwrap();
    };
    config("");
    // Whisper takes no value from the future.
    let start = (jiff::Timestamp::now().as_second() - 900) / 60 * 60;
    let at = |minute: i64| (start + 60 * minute).to_string();

    // Everything that is shown is stored, value by value.
    let shown = sandbox.run(&["-n", "--now", &at(0)]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let sent = sandbox.run(&["--now", &at(0)]);
    assert_eq!((sent.code, sent.stdout.as_str(), sent.stderr.as_str()), (Some(0), "", ""));
    for line in shown.stdout.lines().filter(|line| !line.contains("duty_cycle") && !line.contains("cycle_seconds")) {
        let (path, value) = line.split_once(' ').unwrap();
        let value: f64 = value.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(stored(graphite, path, start), Some(value), "{path}");
    }

    // What is stored is what HTCondor says of each schedd.
    let mut sums = [0; 6];
    for schedd in SCHEDDS {
        let totals = pool.condor(&["condor_q", "-name", schedd, "-allusers", "-totals", "-json"]);
        let totals: Value = serde_json::from_slice(&totals.stdout).unwrap();
        for (at, (status, name)) in [
            ("Idle", "idle"),
            ("Running", "running"),
            ("Removed", "removed"),
            ("Completed", "completed"),
            ("Held", "held"),
            ("Jobs", "total"),
        ]
        .into_iter()
        .enumerate()
        {
            let counted = totals[0][format!("Allusers{status}")].as_i64().unwrap();
            sums[at] += counted;
            let path = format!("grids.{test}.schedds.{}.jobs.{name}", schedd.replace('.', "_"));
            assert_eq!(stored(graphite, &path, start), Some(counted as f64), "{path}");
        }
    }
    for (sum, name) in sums.iter().zip(["idle", "running", "removed", "completed", "held", "total"]) {
        assert!(*sum > 0, "no job is {name}: the test would prove nothing");
        assert_eq!(stored(graphite, &format!("grids.{test}.jobs.all.{name}"), start), Some(*sum as f64), "{name}");
    }
    let iaas: usize =
        odd_jobs.iter().filter(|kind| kind.target_clouds == Some("IAAS".into())).map(|kind| kind.jobs).sum();
    assert_eq!(stored(graphite, &format!("grids.{test}.jobs.1_Core.total"), start), Some(iaas as f64));
    let names_cern = |kind: &&gridmon_testkit::OddJobs| {
        kind.target_clouds.as_ref().is_some_and(|clouds| clouds.to_string().contains("CERN"))
    };
    let cern: usize = odd_jobs.iter().filter(names_cern).map(|kind| kind.jobs).sum();
    for (path, value) in [
        ("jobs.all.total", cern as f64),
        ("slots.w.slot1_8", 2.0),
        ("slots.x.slot1_4", 1.0),
        ("idle.w", 0.0),
        ("idle.x", 1.0),
        ("idle.total", 1.0),
        ("mips", (0..20).map(|slot| 20_000 + slot).sum::<i32>().into()),
    ] {
        assert_eq!(stored(graphite, &format!("grids.{test}.clouds.CERN.{path}"), start), Some(value), "{path}");
    }

    // The dump, counted while it streams, gives the same.
    let counts = |text: &str| text.lines().filter(|line| line.contains("jobs")).map(String::from).collect::<Vec<_>>();
    config("counting = dump");
    let dumped = sandbox.run(&["-n", "--now", &at(0)]);
    assert_eq!((dumped.code, counts(&dumped.stdout)), (Some(0), counts(&shown.stdout)));
    config("");

    // A schedd that hangs costs its own numbers and the totals.
    let [first, second] = SCHEDDS.map(|schedd| format!("grids.{test}.schedds.{}", schedd.replace('.', "_")));
    pool.stop_schedd(SCHEDDS[1]);
    let outcome = sandbox.run(&["--now", &at(1)]);
    pool.cont_schedd(SCHEDDS[1]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
    let dead = format!(
        "collect-grid: schedd {}: condor_q gave no answer in 3 s; its jobs and the grid's totals are missing, at ",
        SCHEDDS[1]
    );
    assert!(outcome.stderr.starts_with(&dead) && outcome.stderr.lines().count() == 1, "{}", outcome.stderr);
    let later = start + 60;
    assert_eq!(stored(graphite, &format!("{second}.heartbeat"), later), Some(0.0));
    assert_eq!(stored(graphite, &format!("{first}.heartbeat"), later), Some(1.0));
    assert_eq!(
        stored(graphite, &format!("{first}.jobs.total"), later),
        stored(graphite, &format!("{first}.jobs.total"), start)
    );
    assert_eq!(stored(graphite, &format!("grids.{test}.heartbeat.condor"), later), Some(1.0));
    assert_eq!(graphite.value(&format!("{second}.jobs.total"), later), None);
    assert_eq!(graphite.value(&format!("grids.{test}.jobs.all.total"), later), None);

    // It comes back, and then dies for good.
    let outcome = sandbox.run(&["--now", &at(2)]);
    assert_eq!(
        (outcome.code, outcome.stderr),
        (Some(0), format!("collect-grid: schedd {}: works again after 60 s\n", SCHEDDS[1]))
    );
    pool.kill_schedd(SCHEDDS[1]);
    let outcome = sandbox.run(&["--now", &at(3)]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1));
    assert!(outcome.stderr.contains("Failed to fetch ads"), "{}", outcome.stderr);
    let checked = sandbox.run(&["--check"]);
    assert_eq!(checked.code, Some(1));
    for words in [
        format!("ok      pool {}", pool.collector()),
        format!("ok      schedd {}", SCHEDDS[0]),
        format!("failed  schedd {}", SCHEDDS[1]),
        "ok      carbon".into(),
    ] {
        assert!(checked.stdout.contains(&words), "{words}: {}", checked.stdout);
    }

    // The collector dies too: everything of HTCondor is missing, the clouds are there.
    drop(pool);
    let outcome = sandbox.run(&["--now", &at(4)]);
    assert_eq!(outcome.code, Some(1));
    let last = start + 240;
    assert_eq!(stored(graphite, &format!("grids.{test}.heartbeat.condor"), last), Some(0.0));
    assert_eq!(stored(graphite, &format!("grids.{test}.clouds.CERN.vms.w.running"), last), Some(2.0));
    assert_eq!(graphite.value(&format!("grids.{test}.clouds.CERN.idle.total"), last), None);
}

/// What graphite-web gives for a path and a minute, once Carbon has stored it.
fn stored(graphite: &GraphiteWeb, path: &str, at: i64) -> Option<f64> {
    graphite.wait_for(path, at)
}

#[test]
fn many_frames_and_odd_names_are_stored_by_carbon() {
    let Some((carbon, graphite)) = shared_graphite() else {
        return skip("many_frames_and_odd_names_are_stored_by_carbon", "Carbon with graphite-web");
    };
    let sandbox = Sandbox::new("small");
    let now = (jiff::Timestamp::now().as_second() - 600) / 60 * 60;
    let long = "long".repeat(45);
    let clouds: Vec<_> = (0..4000)
        .map(|at| format!(r#"{{"name": "{long}{at}", "enabled": true, "max_slots": {at}, "vms": []}}"#))
        .collect();
    let odd = r#"{"name": "odd 😀.name/{x}", "enabled": false, "max_slots": 7, "vms": []}"#;
    sandbox.write("clouds.json", format!(r#"{{"resources": [{},{odd}]}}"#, clouds.join(",")));
    sandbox.program("cloud_status", "cat clouds.json");
    sandbox.config(&format!("[grid]\nlive_hosts = skip\n[carbon]\nhost = 127.0.0.1\nport = {}", carbon.pickle));
    let outcome = sandbox.run(&["-v", "--now", &now.to_string()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    // Over 20,000 datapoints of some 230 bytes: five messages.
    assert!(outcome.stderr.contains("collected 8076 points"), "{}", outcome.stderr);
    let limit = Duration::from_secs(60);
    for at in [0, 1234, 3999] {
        let path = format!("grids.heprc.clouds.{long}{at}.quota");
        assert_eq!(graphite.wait_for_up_to(&path, now, limit), Some(at.into()), "{path}");
    }
    let path = "grids.heprc.clouds.odd___name__x_.quota";
    assert_eq!(graphite.wait_for_up_to(path, now, limit), Some(7.0));
}

#[test]
fn a_real_carbon_that_is_stopped_killed_or_back_is_told_apart() {
    let Some(mut carbon) = Carbon::start() else {
        return skip("a_real_carbon_that_is_stopped_killed_or_back_is_told_apart", "Carbon");
    };
    let sandbox = Sandbox::new("small");
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}\ntimeout_seconds = 2", carbon.pickle));
    let now = (jiff::Timestamp::now().as_second() - 600) / 60 * 60;
    let run = |minute: i64| {
        let outcome = sandbox.run(&["--now", &(now + 60 * minute).to_string()]);
        (outcome.code, outcome.stderr.replace(&carbon.pickle.to_string(), "PORT"))
    };
    assert_eq!(run(0), (Some(0), String::new()));
    carbon.signal("STOP");
    let (code, words) = run(1);
    assert_eq!(code, Some(1));
    assert!(
        words.starts_with(
            "collect-grid: carbon: 127.0.0.1:PORT: it did not acknowledge within 2 s; 113 points wait in the spool, at "
        ),
        "{words}"
    );
    carbon.signal("CONT");
    assert_eq!(run(2), (Some(0), "collect-grid: carbon: works again after 60 s\n".into()));
    let sandbox_run = |minute: i64| sandbox.run(&["--now", &(now + 60 * minute).to_string()]);
    carbon.kill();
    let outcome = sandbox_run(3);
    assert!(outcome.stderr.contains("no connection: Connection refused"), "{}", outcome.stderr);
    carbon.restart();
    assert_eq!(sandbox_run(4).code, Some(0));
}

#[test]
fn with_readback_everything_is_stored_in_the_end_though_carbon_drops_new_metrics() {
    let name = "with_readback_everything_is_stored_in_the_end_though_carbon_drops_new_metrics";
    // 20 a second after the first 1,200: what is beyond is dropped, and Carbon says FIN all the same.
    let Some(carbon) = Carbon::start_with(&[("MAX_CREATES_PER_MINUTE", "1200")]) else { return skip(name, "Carbon") };
    let Some(graphite) = GraphiteWeb::start(&carbon) else { return skip(name, "graphite-web") };
    let sandbox = Sandbox::new("small");
    let clouds: Vec<_> =
        (0..270).map(|at| format!(r#"{{"name": "c{at}", "enabled": true, "max_slots": {at}, "vms": []}}"#)).collect();
    sandbox.write("clouds.json", format!(r#"{{"resources": [{}]}}"#, clouds.join(",")));
    sandbox.program("cloud_status", "cat clouds.json");
    let config = |seconds: u32| {
        sandbox.config(&format!(
            "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\ntimeout_seconds = {seconds}\n[graphite]\nurl = http://127.0.0.1:{}",
            carbon.pickle, graphite.port
        ));
    };
    config(3);
    let checked = sandbox.run(&["--check"]);
    assert!(
        checked.stdout.contains(&format!(
            "127.0.0.1:{} answers, and so does http://127.0.0.1:{}/\n",
            carbon.pickle, graphite.port
        )),
        "{}",
        checked.stdout
    );
    let now = (jiff::Timestamp::now().as_second() - 600) / 60 * 60;
    let run = |minute: i64| sandbox.run(&["-v", "--now", &(now + 60 * minute).to_string()]);
    let first = run(0);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    // A busy machine does not come as far as to what was dropped.
    let (dropped, unasked) = (" did not come back through http://", " could not be asked for through http://");
    assert!(first.stderr.contains(dropped) || first.stderr.contains(unasked), "{}", first.stderr);
    let hint = "; a creation limit or a full cache?; ";
    assert_eq!(first.stderr.contains(hint), first.stderr.contains(dropped), "{}", first.stderr);
    assert!(first.stderr.contains(" 614 collected = 0 delivered + 614 spooled + 0 dropped;"), "{}", first.stderr);
    // The same minute again and again: what is back by then is acknowledged as a whole.
    config(30);
    let last = gridmon_testkit::wait_until("everything to be stored", Duration::from_secs(120), || {
        let outcome = run(0);
        (outcome.code == Some(0)).then_some(outcome)
    });
    assert!(last.stderr.contains(" 0 wait\n"), "{}", last.stderr);
    for at in 0..270 {
        assert_eq!(stored(&graphite, &format!("grids.heprc.clouds.c{at}.quota"), now), Some(at.into()));
    }
    // Names that the render API has to carry.
    sandbox.schedds(
        &["ce02@ce01.lab:9618+x"],
        gridmon_testkit::sandbox::fixture("cloud_monitor/small/condor_slots.json").to_str().unwrap(),
    );
    let odd = run(1);
    assert!(odd.stderr.contains(" 0 wait\n"), "{}", odd.stderr);
}
