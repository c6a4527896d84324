//! The machine's limits: of a file's size, of threads and processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{FakeCarbon, Mood, Outcome, Sandbox};

#[test]
fn a_file_that_reaches_the_limit_is_an_error_and_the_points_still_arrive() {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    let plain = sandbox.command(&[]);
    let mut run = Command::new("prlimit");
    run.args(["--fsize=1000", "--"]).arg(plain.get_program()).args(plain.get_args());
    run.current_dir(sandbox.path(""))
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = Outcome::of(&mut run);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("collect-grid: spool: ") && outcome.stderr.contains("File too large"),
        "{outcome:?}"
    );
    assert!(!carbon.received().is_empty());
}

#[test]
fn where_no_thread_or_process_may_start_that_is_said() {
    let own = rustix::process::geteuid().as_raw();
    // The limit does not hold for root; the user is one that runs nothing else.
    let (user, may_change) = if own == 0 { (40_961, true) } else { (own, false) };
    if !may_change {
        gridmon_testkit::skip(
            "where_no_thread_or_process_may_start_that_is_said",
            "root, to become a user without processes",
        );
        return;
    }
    let place = std::env::temp_dir().join(format!("gridmon-bounds-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(program("collect-grid"), place.join("collect-grid")).unwrap();
    fs::create_dir(place.join("state")).unwrap();
    let config =
        format!("[state]\ndirectory = {}\n[carbon]\nhost = 127.0.0.1\nport = 9\n", place.join("state").display());
    fs::write(place.join("config.cfg"), config).unwrap();
    fs::set_permissions(place.join("config.cfg"), fs::Permissions::from_mode(0o644)).unwrap();
    let state = place.join("state");
    std::os::unix::fs::chown(&state, Some(user), Some(user)).unwrap();
    for (limit, expected) in [
        (
            1,
            "collect-grid: the watchdog cannot be started: Resource temporarily unavailable (os error 11); nothing was done\n",
        ),
        (3, "condor_status cannot be started: Resource temporarily unavailable (os error 11)"),
    ] {
        let (id, limit) = (user.to_string(), format!("--nproc={limit}"));
        let outcome = Outcome::of(
            Command::new("setpriv")
                .args(["--reuid", &id, "--regid", &id, "--clear-groups", "prlimit", &limit, "--"])
                .arg(place.join("collect-grid"))
                .arg("-c")
                .arg(place.join("config.cfg")),
        );
        assert_eq!(outcome.code, Some(1), "{limit}: {outcome:?}");
        assert!(outcome.stderr.contains(expected) && !outcome.stderr.contains("panicked"), "{limit}: {outcome:?}");
    }
    fs::remove_dir_all(&place).unwrap();
}
