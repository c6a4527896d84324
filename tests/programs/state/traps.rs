//! What lies in the state directory that no program wrote: links, pipes, devices, folders and endless files.

use super::*;

/// What a trap is made of.
#[derive(Clone, Copy, Debug)]
enum Trap {
    /// A link to a file elsewhere, which must not change.
    Link,
    /// A link to a device without an end.
    Endless,
    /// A pipe without another end.
    Pipe,
    /// A file larger than memory.
    Large,
}

impl Trap {
    fn set(self, path: &Path, victim: &Path) {
        let _ = fs::remove_file(path);
        match self {
            Self::Link => symlink(victim, path).unwrap(),
            Self::Endless => symlink("/dev/zero", path).unwrap(),
            Self::Pipe => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            Self::Large => fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
        }
    }
}

/// The run's command, ended by force where it hangs: then its exit code is 124.
fn limited(command: &Command) -> Outcome {
    let mut limited = Command::new("timeout");
    limited.args(["-s", "KILL", "30"]).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    limited.current_dir(command.get_current_dir().unwrap()).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Outcome::of(&mut limited)
}

#[test]
fn a_trap_in_place_of_any_file_keeps_no_run_from_collecting_and_reaches_no_other_file() {
    let (sandbox, _carbon) = with_carbon();
    let state = sandbox.path("state");
    let victim = sandbox.write("victim", "precious");
    let mut minute = 0;
    let mut run = || {
        minute += 1;
        limited(&sandbox.command(&["-v", "--now", &at(minute)]))
    };
    assert_eq!(run().code, Some(0));
    let own = ["reports", "series", "schedds", "lock", "mark", "reports.new", "series.new"];
    let mut paths: Vec<_> = own.iter().map(|name| state.join(format!("collect-grid.heprc.{name}"))).collect();
    paths.extend(["clock", "clock.new", "carbon.receiver"].map(|name| state.join(name)));
    for trap in [Trap::Link, Trap::Endless, Trap::Pipe, Trap::Large] {
        for path in paths.iter().chain([&state.join("spool/lock.carbon")]) {
            trap.set(path, &victim);
        }
        let looked = limited(&status_command(&sandbox, &[]));
        assert_eq!(looked.code, Some(1), "{trap:?}: {looked:?}");
        assert!(looked.stderr.contains("collect-grid.heprc.reports: is "), "{trap:?}: {looked:?}");
        let caught = run();
        assert_eq!(caught.code, Some(1), "{trap:?}: {caught:?}");
        for what in ["memory of reports", "memory of series", "memory of schedds", "lock"] {
            assert!(caught.stderr.contains(&format!("collect-grid: {what}: ")), "{trap:?}: {what}: {caught:?}");
        }
        assert!(caught.stderr.contains(" delivered + 0 spooled + 0 dropped"), "{trap:?}: {caught:?}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{trap:?}");
        let healed = run();
        assert_eq!(healed.code, Some(0), "{trap:?}: {healed:?}");
    }
    assert_eq!(fs::metadata(&victim).unwrap().len(), 8);
}

#[test]
fn what_is_called_like_a_batch_and_is_none_goes_aside_unopened() {
    let (sandbox, _carbon) = with_carbon();
    assert_eq!(sandbox.run(&["--now", &at(0)]).code, Some(0));
    let spool = sandbox.path("state/spool");
    let victim = sandbox.write("victim", "precious");
    let name = |at: i64| format!("{:012}-7-812-carbon-collect-x.g-1-{at}.batch", NOW + at);
    for (at, trap) in [Trap::Link, Trap::Endless, Trap::Pipe, Trap::Large].into_iter().enumerate() {
        trap.set(&spool.join(name(at as i64)), &victim);
    }
    fs::create_dir(spool.join(name(9))).unwrap();
    let listed = limited(&status_command(&sandbox, &["show"]));
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 5));
    for at in [0, 1, 2, 3, 9] {
        let shown = limited(&status_command(&sandbox, &["show", &name(at)]));
        assert_eq!(shown.code, Some(1), "{shown:?}");
    }
    let run = limited(&sandbox.command(&["-v", "--now", &at(1)]));
    assert_eq!(run.code, Some(1));
    for (at, words) in [
        (0, "is a symbolic link, not a regular file; put into bad/"),
        (1, "is a symbolic link, not a regular file; put into bad/"),
        (2, "is a pipe, not a regular file; put into bad/"),
        (3, "is larger than 536870912 bytes; put into bad/"),
        (9, "Is a directory (os error 21); put into bad/"),
    ] {
        assert!(run.stderr.contains(&format!("batch {}: {words}", name(at))), "{words}: {}", run.stderr);
        assert!(spool.join("bad").join(name(at)).symlink_metadata().is_ok());
    }
    assert_eq!(limited(&sandbox.command(&["--now", &at(2)])).code, Some(0));
    // What lies in bad/ is no less a trap.
    for trap in [Trap::Endless, Trap::Pipe, Trap::Large] {
        trap.set(&spool.join("bad").join(name(0) + ".why"), &victim);
        let told = limited(&status_command(&sandbox, &[]));
        assert_eq!(told.code, Some(0), "{trap:?}: {told:?}");
        let shown = limited(&status_command(&sandbox, &["show", &format!("bad/{}", name(2))]));
        assert_eq!(shown.code, Some(1), "{trap:?}: {shown:?}");
    }
    assert_eq!(limited(&status_command(&sandbox, &["discard", "--bad", "--yes"])).code, Some(0));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn an_export_replaces_a_file_and_writes_through_no_link_and_no_device() {
    let sandbox = Sandbox::new("small");
    assert_eq!(sandbox.run(&["--now", &at(0)]).code, Some(0));
    let victim = sandbox.write("victim", "precious");
    symlink(&victim, sandbox.path("all.new")).unwrap();
    assert_eq!(status(&sandbox, &["store", "export", "-o", "all"]).code, Some(0));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::read_to_string(sandbox.path("all")).unwrap().contains("grid_jobs,"));
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    for path in ["pipe", "."] {
        let refused = limited(&status_command(&sandbox, &["store", "export", "-o", path]));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("not a file; without --output"), "{refused:?}");
    }
}

#[test]
fn a_config_and_what_it_refers_to_are_regular_files_of_the_right_people() {
    let sandbox = Sandbox::new("small");
    let run = |config: &str| limited(&sandbox.command(&["-n", "--now", &at(0), "-c", config]));
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    mode(&sandbox.path("pipe"), 0o600);
    for config in ["pipe", "/dev/zero", "state"] {
        let refused = run(config);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.ends_with(": not a regular file\n"), "{refused:?}");
    }
    let endless = sandbox.write("endless", "");
    fs::File::options().write(true).open(&endless).unwrap().set_len(1 << 40).unwrap();
    assert!(run("endless").stderr.contains("endless: is larger than 1048576 bytes"));

    let value = sandbox.write("value", "lab\n");
    let with = |path: &Path| {
        sandbox.write("other.cfg", format!("[grid]\nname = file:{}\n", path.display()));
        run("other.cfg")
    };
    assert!(with(&value).stdout.contains("grids.lab.jobs."));
    assert!(with(&sandbox.path("pipe")).stderr.contains("pipe: not a regular file"));
    assert!(with(&endless).stderr.contains("is larger than"));
    mode(&value, 0o666);
    assert!(with(&value).stderr.contains("others than its owner can write it (mode 0666)"), "{:?}", with(&value));
    mode(&value, 0o644);
    if !rustix::process::geteuid().is_root() {
        return skip("a value of somebody else", "root");
    }
    chown(&value, Some(NOBODY), None).unwrap();
    assert_eq!(with(&value).code, Some(2));
    assert!(with(&value).stderr.contains("belongs to user 65534, who could"), "{:?}", with(&value));
}
