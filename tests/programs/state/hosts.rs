//! Two machines that were given one state directory are told apart.

use super::*;

/// The same command on a machine of another name; `None`, which is said, without the right to name one.
fn on_host(test: &str, host: &str, command: &Command) -> Option<Command> {
    let named = Command::new("unshare").args(["-u", "hostname", host]).status();
    if !named.is_ok_and(|status| status.success()) {
        skip(test, "root, who may name a machine");
        return None;
    }
    let mut there = Command::new("unshare");
    there.args(["-u", "sh", "-c", "hostname \"$0\"; exec \"$@\"", host]);
    there.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    there.current_dir(command.get_current_dir().unwrap()).env_clear();
    there.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(there)
}

#[test]
fn a_report_is_sent_for_the_host_that_ran_and_the_other_host_says_so() {
    let test = "a_report_is_sent_for_the_host_that_ran_and_the_other_host_says_so";
    let (sandbox, carbon) = with_carbon();
    let run = |host: &str, minute: i64| {
        let command = on_host(test, host, &sandbox.command(&["--now", &at(minute)]))?;
        Some(Outcome::of(&mut { command }))
    };
    let reports = || {
        let lines = carbon.lines();
        let mut hosts: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("run.") && line.contains(".success "))
            .map(|line| {
                let mut parts = line.split([' ', '.']);
                (parts.nth(2).unwrap().to_string(), line.rsplit(' ').next().unwrap().parse::<i64>().unwrap())
            })
            .collect();
        hosts.sort();
        hosts
    };
    let Some(first) = run("alpha.example.org", 0) else { return };
    assert_eq!(first.code, Some(0), "{first:?}");
    let second = run("beta.example.org", 1).unwrap();
    assert_eq!(second.code, Some(1));
    let words = format!(
        "collect-grid: shared state directory: {} is used by alpha too, which ran 60 s ago; the two stop and confuse each other: give each machine its own [state] directory",
        sandbox.path("state").display()
    );
    assert!(second.stderr.starts_with(&words), "{second:?}");
    assert_eq!(reports(), [("alpha".to_string(), NOW)]);
    // Its own failures go by its own last report: alpha has nothing to recover from.
    let third = run("alpha.example.org", 2).unwrap();
    assert!(third.stderr.contains("is used by beta too"), "{third:?}");
    // Beta has been off for an hour.
    let later = run("alpha.example.org", 60).unwrap();
    assert_eq!((later.code, later.stderr.contains("works again")), (Some(0), true), "{later:?}");
    let hosts: Vec<_> = reports();
    assert_eq!(hosts, [("alpha".into(), NOW), ("alpha".into(), NOW + 120), ("beta".to_string(), NOW + 60)]);

    // A report of an older version names no host: it is this one's.
    let path = sandbox.path("state/collect-grid.heprc.reports");
    let old = format!("{{\"time\":{},\"success\":true,\"collected\":7}}\n", NOW + 3660);
    fs::write(&path, old).unwrap();
    let next = run("alpha.example.org", 62).unwrap();
    assert_eq!((next.code, next.stderr.as_str()), (Some(0), ""));
    assert!(reports().contains(&("alpha".to_string(), NOW + 3660)));
    assert!(fs::read_to_string(&path).unwrap().lines().last().unwrap().contains("\"host\":\"alpha\""));
}

#[test]
fn a_lock_that_another_host_holds_is_said_at_once() {
    let (sandbox, _carbon) = with_carbon();
    let path = sandbox.write("state/collect-grid.heprc.lock", "4242 7 b00t elsewhere\n");
    let lock = fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let run = sandbox.run(&["--now", &at(0)]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.stderr,
        format!(
            "collect-grid: {}: process 4242 of elsewhere holds it; give each machine its own [state] directory\n",
            path.display()
        )
    );
}

#[test]
fn a_run_that_ended_on_another_host_has_not_died_with_this_machine() {
    let (sandbox, _carbon) = with_carbon();
    sandbox.write("state/collect-grid.heprc.lock", "4242 7 b00t elsewhere\n");
    let run = sandbox.run(&["--now", &at(0)]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}
