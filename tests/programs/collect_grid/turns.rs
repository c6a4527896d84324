//! More schedds than a run has time for, and schedds that hang.

use super::*;

/// A folder with schedds of these names. The sources have so many seconds, and a command has no more.
fn grid(names: &[String], seconds: u64, condor_q: &str) -> Sandbox {
    let sandbox = Sandbox::new("small");
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    sandbox.schedds(&names, "/dev/null");
    sandbox.program("condor_q", condor_q);
    sandbox.program("cloud_status", "echo '{\"resources\": []}'");
    let deadline = 2 * seconds;
    sandbox.config(&format!("[grid]\ndeadline_seconds = {deadline}\n[htcondor]\ntimeout_seconds = {seconds}"));
    sandbox
}

/// The names of the schedds that counted their jobs in a run, and what the run printed.
fn counted(sandbox: &Sandbox, minute: i64) -> (Vec<String>, String) {
    fs::remove_file(sandbox.path("done")).ok();
    let outcome = sandbox.run(&["--now", &(NOW + 60 * minute).to_string()]);
    let done = fs::read_to_string(sandbox.path("done")).unwrap_or_default();
    (done.lines().map(String::from).collect(), outcome.stderr)
}

const NAME: &str = "while [ \"$1\" != -name ]; do shift; done; name=$2";

#[test]
fn a_schedd_that_missed_its_turn_comes_first_in_the_next_run() {
    let names: Vec<_> = (0..260).map(|at| format!("ce{at:03}")).collect();
    let sandbox = grid(&names, 2, &format!("{NAME}; sleep 0.5; echo '[{{\"JobStatus\": 1}}]'; echo $name >> done"));
    let mut waiting = names.clone();
    let (mut lines, mut runs) = (Vec::new(), 0);
    while !waiting.is_empty() {
        let (done, words) = counted(&sandbox, runs);
        waiting.retain(|name| !done.contains(name));
        lines.extend(words.lines().map(String::from));
        runs += 1;
        assert!(runs < 20, "these never had a turn: {waiting:?}");
    }
    assert!(runs > 1, "the test proves nothing");
    assert!(!lines.iter().any(|line| line.contains("no answer in 0")), "nobody is silent without a turn: {lines:?}");
    let first = lines.iter().find(|line| line.contains("had no turn")).unwrap();
    assert!(
        first.contains(" more (ce") && first.contains("which --verbose names: had no turn in this run, since others took too long; it comes first in the next one; its jobs"),
        "{first}"
    );
}

#[test]
fn schedds_that_hang_do_not_keep_the_others_waiting() {
    let mut names: Vec<_> = (0..100).map(|at| format!("a-hung{at:03}")).collect();
    names.extend((0..5).map(|at| format!("good{at}")));
    let sandbox = grid(
        &names,
        2,
        &format!(
            "{NAME}; case $name in a-hung*) exec sleep 1000;; esac; echo '[{{\"JobStatus\": 1}}]'; echo $name >> done"
        ),
    );
    // The first run does not know them.
    let (mut done, words) = counted(&sandbox, 0);
    assert!(words.lines().count() <= 2, "one line for those that hang, one for those that had no turn: {words}");
    let mut run = 1;
    while done.len() < 5 {
        (done, _) = counted(&sandbox, run);
        run += 1;
        assert!(run < 20, "only {done:?}");
    }
    for run in run..run + 2 {
        let (mut done, _) = counted(&sandbox, run);
        done.sort();
        assert_eq!(done, names[100..]);
    }
    // One of them recovers, and is found in its share of the time.
    sandbox.program(
        "condor_q",
        &format!("{NAME}; case $name in a-hung007) ;; a-hung*) exec sleep 1000;; esac; echo '[{{\"JobStatus\": 1}}]'; echo $name >> done"),
    );
    gridmon_testkit::wait_until("the turn of one that recovered", LONG, || {
        run += 1;
        counted(&sandbox, run).0.contains(&"a-hung007".to_string()).then_some(())
    });
}

#[test]
fn a_command_turns_to_the_next_collector_in_time() {
    let sandbox = Sandbox::new("small");
    sandbox.program("condor_q", "echo $_CONDOR_QUERY_TIMEOUT >> asked; echo '[{\"JobStatus\": 1}]'");
    for (pool, seconds) in [("", "5"), ("pool = cm.example.org", "20")] {
        sandbox.config(&format!("[htcondor]\n{pool}"));
        fs::remove_file(sandbox.path("asked")).ok();
        assert_eq!(sandbox.dry_run().code, Some(0));
        assert_eq!(fs::read_to_string(sandbox.path("asked")).unwrap().trim(), seconds, "{pool}");
    }
}
