//! Runs in trouble with their sink, their lock, their clock, a signal or their state.

use gridmon::os::uptime::Uptime;

use super::*;

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
    wait_until("the bytes that nobody acknowledged", LONG, || (mute.lines().len() == 125).then_some(()));
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
    let Uptime { boot, seconds } = Uptime::now();
    let path = sandbox.write("state/collect-grid.heprc.lock", format!("4242 {} {boot}\n", seconds - 7300));
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

/// Whether a schedd works again, nobody knows while its collector is down.
#[test]
fn a_schedd_has_not_recovered_while_its_collector_is_down() {
    let sandbox = two_schedds("exit 1");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let said = |minute: i64| {
        let outcome = sandbox.run(&["--now", &(NOW + minute * 60).to_string()]);
        let subject = |line: &str| line.split(": ").nth(1).unwrap().to_string();
        let recovered = outcome.stderr.matches("works again").count();
        (outcome.stderr.lines().map(subject).collect::<Vec<_>>(), recovered)
    };
    assert_eq!(said(0), (vec!["schedd ce01".to_string()], 0));
    let status = fs::read_to_string(sandbox.path("bin/condor_status")).unwrap();
    sandbox.program("condor_status", "exit 1");
    assert_eq!(said(1), (vec!["pool local".to_string()], 0));
    let jobs = fixture("cloud_monitor/small/condor_jobs.json");
    sandbox.program("condor_q", &format!("cat {}", jobs.display()));
    fs::write(sandbox.path("bin/condor_status"), status).unwrap();
    assert_eq!(said(2), (vec!["pool local".to_string(), "schedd ce01".to_string()], 2));
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
    gridmon_testkit::signal(run.id(), "TERM");
    let status = run.wait().unwrap();
    let mut stderr = String::new();
    run.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(1), "collect-grid: interrupted; nothing more is sent\n"));
    for pid in pids {
        wait_until_dead(pid.trim());
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
            "carbon.receiver",
            "clock",
            "collect-grid.heprc.lock",
            "collect-grid.heprc.mark",
            "collect-grid.heprc.reports",
            "collect-grid.heprc.schedds",
            "collect-grid.heprc.series",
            "spool"
        ]
    );
    let lock = fs::read(Path::new(&sandbox.path("state/collect-grid.heprc.lock"))).unwrap();
    assert!(lock.is_empty(), "nobody holds it any more");
}
