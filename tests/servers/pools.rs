//! collect-grid and the collectors of a real pool: two that have the same ads, one that hangs, one that has just started.

use std::time::Duration;

use gridmon_testkit::sandbox::{Outcome, Sandbox};
use gridmon_testkit::{Pool, Suite, signal, skip};

#[test]
fn two_collectors_of_htcondor_23() {
    two_collectors("two_collectors_of_htcondor_23", Suite::Trixie, false);
}

// On a busy machine the other collector fails now and then while one hangs: the tools say so, and no run is whole.
#[test]
#[ignore = "wants a quiet machine; make test-all runs it"]
fn one_of_two_collectors_of_htcondor_23_hangs() {
    two_collectors("one_of_two_collectors_of_htcondor_23_hangs", Suite::Trixie, true);
}

#[test]
#[ignore = "a second pool; make test-all runs it"]
fn two_collectors_of_htcondor_25() {
    two_collectors("two_collectors_of_htcondor_25", Suite::Sid, true);
}

fn two_collectors(test: &str, suite: Suite, hangs: bool) {
    // A daemon updates every 30 s, so that a collector that has just started has few ads for a while.
    let lines = ["UPDATE_INTERVAL = 30", "SCHEDD_INTERVAL = 30", "MASTER_BACKOFF_CONSTANT = 1"];
    let Some(pool) = Pool::start_with_two_collectors(suite, &lines) else { return skip(test, "an HTCondor pool") };
    let (first, second) = (pool.collector(), pool.second_collector());
    pool.wait_until("all slots at the second collector", || {
        let listed = pool.condor(&["condor_status", "-pool", &second, "-af", "Name"]);
        (listed.stdout.split(|byte| *byte == b'\n').count() > 5).then_some(())
    });
    let sandbox = Sandbox::new("small");
    for program in ["condor_q", "condor_status"] {
        sandbox.program(program, &format!("exec {}/{program} \"$@\"", pool.bin_dir().display()));
    }
    sandbox.program("cloud_status", r#"echo '{"resources": [{"name": "c", "vms": [{"hostname": "WN00000", "vmtype": "w", "status": "Running"}]}]}'"#);
    let config = |pools: &str, interval: u64| {
        sandbox.config(&format!(
            "[grid]\nlive_hosts = skip\n[htcondor]\n{pools}\ntimeout_seconds = 12\nupdate_interval_seconds = {interval}"
        ));
    };
    let both = format!("pool = {first}, {second}");
    let now = jiff::Timestamp::now().as_second() - 3600;
    let at = |minute: i64| sandbox.run(&["-n", "--now", &(now + 60 * minute).to_string()]);
    let remember = |minute: i64| sandbox.run(&["--now", &(now + 60 * minute).to_string()]);
    let value = |outcome: &Outcome, path: &str| {
        let line = outcome.stdout.lines().find(|line| line.starts_with(&format!("grids.heprc.{path} ")));
        line.and_then(|line| line.split(' ').nth(1)).map(String::from)
    };

    // Each slot counts once.
    pool.advertise_slots(4);
    pool.wait_until("the same ads at both collectors", || {
        let ads = [&first, &second].map(|collector| {
            let listed = ["-any", "-af", "MyType", "Name"];
            let ads = pool.condor(&[&["condor_status", "-pool", collector][..], &listed].concat()).stdout;
            let ads = String::from_utf8_lossy(&ads).into_owned();
            let counted = |line: &&str| line.starts_with("Machine ") || line.starts_with("Scheduler ");
            let mut ads: Vec<_> = ads.lines().filter(counted).map(String::from).collect();
            ads.sort();
            ads
        });
        (ads[0].len() > 5 && ads[0] == ads[1]).then_some(())
    });
    config(&both, 1);
    // On a busy machine a daemon that has just started takes its time.
    let whole = |minute: i64| {
        pool.wait_until("a whole answer", || {
            let outcome = at(minute);
            if outcome.code != Some(0) {
                eprintln!("no whole answer yet: {}", outcome.stderr);
            }
            (outcome.code == Some(0)).then_some(outcome)
        })
    };
    let outcome = whole(0);
    assert_eq!(value(&outcome, "clouds.c.slots.w.slot1_1").as_deref(), Some("1"), "{}", outcome.stdout);
    assert_eq!(value(&outcome, "clouds.c.mips").as_deref(), Some("80006"));
    assert_eq!(remember(0).code, Some(0));

    if hangs {
        // One hangs: the tools choose by chance which one they ask first, and turn to the other one in time.
        let hung = pool.second_collector_pid().unwrap();
        signal(hung, "STOP");
        config("", 1);
        let outcome = whole(1);
        config(&both, 1);
        let named = at(1);
        signal(hung, "CONT");
        assert!(outcome.took < Duration::from_secs(25), "{:?}", outcome.took);
        assert_eq!(value(&outcome, "jobs.all.total").as_deref(), Some("0"));
        assert_eq!(named.code, Some(1));
        assert!(
            named.stderr.contains(&format!("; nothing is missing, since {first} lists all that it listed")),
            "{}",
            named.stderr
        );
        for path in ["jobs.all.total", "clouds.c.slots.w.slot1_1"] {
            assert!(value(&named, path).is_some(), "{path}: {}", named.stdout);
        }
    }

    // One has just started: alone it is not the whole pool, beside the other one it is.
    pool.restart_second_collector();
    config(&format!("pool = {second}"), 300);
    let alone = at(2);
    assert_eq!(alone.code, Some(1));
    assert!(alone.stderr.contains(&format!("ads of pool {second}: its collector started ")), "{}", alone.stderr);
    for part in ["jobs.all.", ".idle.", ".slots", "mips", "coverage.heprc.grid_slots", "coverage.heprc.grid_jobs"] {
        assert_eq!(alone.lines_with(part), Vec::<&str>::new());
    }
    // By then the first one is older than 18 s.
    config(&both, 15);
    let beside = whole(2);
    assert_eq!(beside.stderr, "");
    for path in ["jobs.all.total", "clouds.c.slots.w.slot1_1"] {
        assert!(value(&beside, path).is_some(), "{path}: {}", beside.stdout);
    }
}
