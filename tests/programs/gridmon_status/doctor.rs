//! `gridmon-status doctor`: everything that a run needs, in the environment that cron gives.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use gridmon_testkit::sandbox::{Outcome, Sandbox};

use super::{DOWN, collect, command};

fn doctor(sandbox: &Sandbox, crontab: &str) -> Outcome {
    let crontab = sandbox.write("crontab", crontab);
    set_permissions(&crontab, Permissions::from_mode(0o644)).unwrap();
    Outcome::of(&mut command(sandbox, &["doctor", "--crontab", crontab.to_str().unwrap()]))
}

/// The state of the first row about this, and its words.
fn row<'a>(told: &'a Outcome, about: &str) -> (&'a str, &'a str) {
    let of = |line: &'a str| {
        let (state, rest) = line.split_once(' ')?;
        Some((state, rest.trim_start().strip_prefix(about)?.strip_prefix(' ')?.trim_start()))
    };
    told.stdout.lines().find_map(of).unwrap_or_else(|| panic!("nothing about {about}: {told:?}"))
}

#[test]
fn what_cron_would_not_find_is_told_where_the_operators_own_shell_finds_it() {
    let sandbox = Sandbox::new("small");
    sandbox.config("");
    collect(&sandbox, 0..1);
    let tools = sandbox.path("bin").display().to_string();
    let told = doctor(&sandbox, "PATH=/nonexistent\n* * * * * collect-grid\n");
    assert_eq!(told.code, Some(1), "{told:?}");
    let (state, words) = row(&told, "pool local");
    assert_eq!(state, "bad", "{told:?}");
    assert!(words.starts_with("collect-grid ") && words.contains("was not found on PATH"), "{told:?}");
    assert!(told.stdout.ends_with(" to see to\n"), "{told:?}");

    let told = doctor(&sandbox, &format!("# as the packages have it\nPATH = \"{tools}:/usr/bin:/bin\"\n"));
    assert_eq!(row(&told, "pool local").0, "ok", "{told:?}");
    assert_eq!(
        (row(&told, "config").0, row(&told, "disk").0, row(&told, "embedded").0),
        ("ok", "ok", "ok"),
        "{told:?}"
    );
    assert!(row(&told, "disk").1.contains(" free for "), "{told:?}");
    // The run was of another year.
    assert_eq!(row(&told, "runs").0, "bad", "{told:?}");
}

#[test]
fn a_sink_that_is_down_is_told_with_the_programs_that_need_it() {
    let sandbox = Sandbox::new("small");
    sandbox.config(DOWN);
    collect(&sandbox, 0..1);
    let told = doctor(&sandbox, "");
    let (state, words) = row(&told, "carbon");
    assert!(state == "bad" && words.starts_with("collect-grid ") && words.contains("Connection refused"), "{told:?}");
    assert_eq!(told.code, Some(1));
}

#[test]
fn a_crontab_that_others_may_write_and_a_state_without_runs_are_refused_in_words() {
    let sandbox = Sandbox::new("small");
    sandbox.config(DOWN);
    let none = doctor(&sandbox, "");
    assert_eq!(none.code, Some(1));
    collect(&sandbox, 0..1);
    let crontab = sandbox.write("crontab", "PATH=/tmp\n");
    set_permissions(&crontab, Permissions::from_mode(0o666)).unwrap();
    let told = Outcome::of(&mut command(&sandbox, &["doctor", "--crontab", "crontab"]));
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""));
    assert!(told.stderr.contains("crontab") && told.stderr.contains("chmod"), "{told:?}");
    let missing = Outcome::of(&mut command(&sandbox, &["doctor", "--crontab", "nosuch"]));
    assert!(missing.code == Some(1) && missing.stderr.contains("nosuch"), "{missing:?}");
}
