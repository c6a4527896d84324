//! Flags, --check, and a config that is refused.

use super::*;

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
         ok      cloud_scheduler  3 clouds, 8 virtual machines (Cloud Scheduler 1)\n\
         ok      roles            points go to carbon; tables go to the embedded store\n\
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
    let (code, words) = run(0o644, me, "[credentials]\npassword = ${PASSWORD}");
    assert!(code == Some(2) && words.contains("[credentials] password: the environment has no PASSWORD"), "{words}");
    if me == 0 {
        let (code, words) = run(0o600, 1000, "");
        assert_eq!(code, Some(2));
        assert!(
            words.starts_with("collect-grid: FILE: belongs to user 1000, who could make it run any command;"),
            "{words}"
        );
    } else {
        gridmon_testkit::skip("a config of somebody else", "root");
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
        format!("[cloud_scheduler]\nurl = http://127.0.0.1:1/cloud/status/\nusername = mon\npassword = {secret}"),
        format!("[cloud_scheduler]\npassword = {secret}"),
        format!("[influxdb]\nurl = http://127.0.0.1:1\ndatabase = d\n[credentials]\nusername = x\npassword = {secret}"),
        format!("[influxdb]\nurl = http://127.0.0.1:1\ndatabase = d\ntoken = {secret}"),
        format!("[influxdb]\nurl = http://127.0.0.1:1\ndatabase = d\ntoken = {secret} x"),
        format!("[influxdb]\nurl = http://x:{secret}@127.0.0.1:1\ndatabase = d"),
        format!("[cloud_scheduler]\nusername = mon\npassword = {secret}"),
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

/// Addresses and commands that a config takes from the environment or from a file may hold what nobody else is to see.
#[test]
fn what_a_reference_stands_for_is_not_shown() {
    let sandbox = Sandbox::new("small");
    let hidden = "Hidd3n";
    let host = sandbox.write("host", format!("{hidden}.localhost\n"));
    for name in ["condor_q", "condor_status", "cloud_status"] {
        sandbox.program(&format!("{hidden}_{name}"), "echo \"$0: $1: no such thing\" >&2; exit 3");
    }
    let program = |name: &str| format!("{} {hidden}argument", sandbox.path(&format!("bin/{hidden}_{name}")).display());
    let url = format!("http://{hidden}.localhost:1/");
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: /{hidden}\r\nContent-Length: 0\r\n\r\n");
    let carbon = FakeCarbon::start(Mood::Good);
    let environment = [
        ("CONDOR_Q", program("condor_q")),
        ("CONDOR_STATUS", program("condor_status")),
        ("CLOUD_STATUS", program("cloud_status")),
        ("NO_PROGRAM", format!("/{hidden}")),
        ("URL", url),
        ("REDIRECT", http(&redirect, Duration::ZERO)),
    ];
    for text in [
        "[htcondor]\npool = a\ncondor_q = ${CONDOR_Q}\ncondor_status = ${CONDOR_STATUS}",
        "[htcondor]\ncondor_q = ${NO_PROGRAM}\ncondor_status = ${NO_PROGRAM}",
        "[cloud_scheduler]\ncommand = ${CLOUD_STATUS}",
        "[cloud_scheduler]\ncommand = ${NO_PROGRAM}",
        "[cloud_scheduler]\nurl = ${URL}",
        "[cloud_scheduler]\nurl = ${REDIRECT}",
        &format!("[carbon]\nhost = file:{}", host.display()),
        &format!(
            "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\n[graphite]\nurl = ${{URL}}",
            carbon.port
        ),
    ] {
        sandbox.config(text);
        let mut said = String::new();
        for arguments in [&["-v", "-n"][..], &["-v"], &["--check", "-v"]] {
            let outcome = gridmon_testkit::sandbox::Outcome::of(sandbox.command(arguments).envs(environment.clone()));
            assert_ne!(outcome.code, Some(2), "{text}: {outcome:?}");
            assert!(!format!("{outcome:?}").contains(hidden), "{text}: {outcome:?}");
            said += &(outcome.stdout + &outcome.stderr);
        }
        assert!(said.contains("${") || said.contains("file:/"), "{text}: {said}");
        let state = Command::new("grep").args(["-r", hidden]).arg(sandbox.path("state")).output().unwrap();
        assert!(state.stdout.is_empty(), "{text}: in the state");
    }
}
