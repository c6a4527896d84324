//! The state directory: who may run in it, what lies in it that no program wrote, and where it is.

mod hosts;
mod places;
mod traps;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::{FakeCarbon, Mood, NOW, Outcome, Sandbox, fixture};
use gridmon_testkit::skip;

/// The user `nobody`, as every Debian has it.
const NOBODY: u32 = 65_534;

/// A sandbox with a Carbon that takes everything, and with one source.
fn with_carbon() -> (Sandbox, FakeCarbon) {
    let sandbox = Sandbox::new("small");
    let carbon = FakeCarbon::start(Mood::Good);
    sandbox.config(&format!("[carbon]\nhost = 127.0.0.1\nport = {}", carbon.port));
    (sandbox, carbon)
}

/// The same command as `nobody`; `None`, which is said, where this user cannot become nobody.
fn as_nobody(test: &str, command: &Command) -> Option<Command> {
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    let may_run = Command::new("setpriv")
        .args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "test", "-x"])
        .arg(command.get_program())
        .status();
    if !may_run.is_ok_and(|status| status.success()) {
        skip(test, "root, and a nobody who may run the programs");
        return None;
    }
    other.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    other.current_dir(command.get_current_dir().unwrap()).env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(other)
}

fn status_command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridmon-status"));
    command.args(arguments).current_dir(sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(&mut status_command(sandbox, arguments))
}

/// A run so many minutes after [`NOW`].
fn at(minute: i64) -> String {
    (NOW + 60 * minute).to_string()
}

/// Every file below a folder, with owner, size and time.
fn snapshot(folder: &Path) -> BTreeSet<(PathBuf, u32, u64, SystemTime)> {
    let mut all = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let (path, metadata) = file.map(|file| (file.path(), file.metadata().unwrap())).unwrap();
        if metadata.is_dir() {
            all.extend(snapshot(&path));
        }
        all.insert((path, metadata.uid(), metadata.len(), metadata.modified().unwrap()));
    }
    all
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_run_by_another_user_is_refused_with_the_command_and_leaves_nothing() {
    let test = "a_run_by_another_user_is_refused_with_the_command_and_leaves_nothing";
    let (sandbox, carbon) = with_carbon();
    let Some(mut user) = as_nobody(test, &sandbox.command(&["--now", &at(0)])) else { return };
    chown(sandbox.path("state"), Some(NOBODY), None).unwrap();
    assert_eq!(Outcome::of(&mut user).code, Some(0));
    let before = snapshot(&sandbox.path("state"));
    let sent = carbon.lines().len();
    sandbox.program("cloud_status", "echo called >> called; exit 1");

    let root = sandbox.run(&["--now", &at(1)]);
    assert_eq!((root.code, root.stdout.as_str(), root.stderr.lines().count()), (Some(1), "", 1), "{root:?}");
    let state = sandbox.path("state");
    let words = format!(
        "collect-grid: state directory {}: what another user changed there the programs could not open any more; it belongs to nobody; try: sudo -u nobody collect-grid …; if it is to be used by root: chown -R root {}",
        state.display(),
        state.display()
    );
    assert!(root.stderr.starts_with(&words), "{root:?}");
    assert!(!sandbox.path("called").exists(), "no source is asked");
    assert_eq!(carbon.lines().len(), sent);
    for arguments in [&["flush"][..], &["discard", "--bad", "--yes"], &["store", "import", "-"]] {
        let refused = status(&sandbox, arguments);
        assert_eq!(refused.code, Some(1), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains("try: sudo -u nobody gridmon-status …"), "{arguments:?}: {refused:?}");
    }

    // Looking works.
    assert_eq!(status(&sandbox, &[]).code, Some(0));
    let dry_run = sandbox.run(&["-n", "--now", &at(1)]);
    assert!(dry_run.stdout.contains("grids.heprc.jobs."), "{dry_run:?}");
    let check = sandbox.run(&["--check"]);
    assert_eq!(check.code, Some(1));
    assert!(
        check.stdout.contains("failed  state") && check.stdout.contains("sudo -u nobody collect-grid"),
        "{check:?}"
    );
    assert!(check.stdout.contains("ok      carbon"), "{check:?}");
    assert_eq!(snapshot(&state), before);

    // The runs of the user go on as before.
    sandbox.program("cloud_status", &format!("cat {}", fixture("cloud_monitor/small/cloud_status.json").display()));
    let Some(mut user) = as_nobody(test, &sandbox.command(&["--now", &at(2)])) else { return };
    let user = Outcome::of(&mut user);
    assert_eq!((user.code, user.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_folder_that_this_user_may_not_enter_hides_no_config() {
    let test = "a_folder_that_this_user_may_not_enter_hides_no_config";
    let (sandbox, _carbon) = with_carbon();
    chown(sandbox.path("state"), Some(NOBODY), None).unwrap();
    let hidden = sandbox.path("home");
    fs::create_dir(&hidden).unwrap();
    mode(&hidden, 0o700);
    // `runuser` and `sudo -u` leave the other user in the folder of root.
    let list = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.current_dir(&hidden);
        as_nobody(test, &command).map(|mut command| Outcome::of(&mut command))
    };
    let Some(listed) = list(&["--list"]) else { return };
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let dry_run = list(&["--dry-run"]).unwrap();
    assert!(!dry_run.stderr.contains("config.cfg: Permission denied"), "{dry_run:?}");

    // What lies there and may not be read is an error, with the way out.
    let config = sandbox.path("config.cfg");
    mode(&config, 0o640);
    let config = config.to_str().unwrap();
    let refused = list(&["--dry-run", "--config", config]).unwrap();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("may not read it; run it as a user of the group "), "{refused:?}");
    let mut command = status_command(&sandbox, &["explain", "node_load", "--config", config]);
    let explained = Outcome::of(&mut as_nobody(test, command.current_dir("/")).unwrap());
    assert!(explained.code == Some(1) && explained.stdout.contains("node_load"), "{explained:?}");
    assert!(explained.stderr.contains("its newest value: ") && explained.stderr.contains("group"), "{explained:?}");
}

#[test]
fn files_of_root_are_named_and_keep_no_run_from_collecting() {
    let test = "files_of_root_are_named_and_keep_no_run_from_collecting";
    let (sandbox, _carbon) = with_carbon();
    let state = sandbox.path("state");
    let mut minute = 0;
    let mut user = || {
        minute += 1;
        as_nobody(test, &sandbox.command(&["-v", "--now", &at(minute)])).map(|mut user| Outcome::of(&mut user))
    };
    chown(&state, Some(NOBODY), None).unwrap();
    let Some(first) = user() else { return };
    assert_eq!(first.code, Some(0), "{first:?}");
    for name in ["reports", "series", "schedds", "lock"] {
        let path = state.join(format!("collect-grid.heprc.{name}"));
        chown(&path, Some(0), Some(0)).unwrap();
        mode(&path, 0o600);
    }
    let lock = state.join("spool/lock.carbon");
    chown(&lock, Some(0), Some(0)).unwrap();
    mode(&lock, 0o600);
    let second = user().unwrap();
    assert_eq!(second.code, Some(1), "{second:?}");
    for (what, name) in
        [("memory of reports", "reports"), ("memory of series", "series"), ("memory of schedds", "schedds")]
    {
        let path = state.join(format!("collect-grid.heprc.{name}"));
        let words = format!(
            "collect-grid: {what}: {}: Permission denied (os error 13); it belongs to root: chown nobody {}",
            path.display(),
            path.display()
        );
        assert!(second.stderr.contains(&words), "{words}\n{}", second.stderr);
    }
    assert!(second.stderr.contains("lock: ") && second.stderr.contains("it is replaced"), "{second:?}");
    assert!(second.stderr.contains(" delivered + 0 spooled + 0 dropped"), "it collects and delivers: {second:?}");
    let third = user().unwrap();
    assert_eq!(third.code, Some(0), "{third:?}");
    assert!(third.stderr.contains("memory of reports: works again"), "{third:?}");
}

#[test]
fn a_directory_that_others_can_change_is_refused_with_the_command_that_mends_it() {
    let (sandbox, _carbon) = with_carbon();
    let state = sandbox.path("state");
    let run = |minute: i64| sandbox.run(&["--now", &at(minute)]);
    for (wrong, shown) in [(0o777, "0777"), (0o775, "0775"), (0o2770, "2770"), (0o1777, "1777")] {
        mode(&state, wrong);
        let refused = run(0);
        let words = format!(
            "collect-grid: state directory {}: others than its owner can write it (mode {shown}): chmod go-w {}\n",
            state.display(),
            state.display()
        );
        assert_eq!((refused.code, refused.stderr.as_str()), (Some(1), words.as_str()));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "nothing is made");
        assert!(sandbox.run(&["--check"]).stdout.contains("failed  state"), "--check says it first");
    }
    let told = status(&sandbox, &[]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("chmod go-w"), "{told:?}");
    for good in [0o2750, 0o755, 0o700] {
        mode(&state, good);
        assert_eq!(run(0).code, Some(0), "{good:o}");
    }

    // The spool and its bad/ are named, and the run's own points are sent without them.
    for folder in ["spool", "spool/bad"] {
        mode(&state.join(folder), 0o777);
        let run = run(1);
        let words =
            format!("collect-grid: spool: {}: others than its owner can write it", state.join(folder).display());
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains(&words), "{run:?}");
        let flush = status(&sandbox, &["flush"]);
        assert!(flush.code == Some(1) && flush.stderr.contains("chmod go-w"), "{flush:?}");
        let check = sandbox.run(&["--check"]);
        assert!(check.lines_with("failed  spool").len() == 1 && check.stdout.contains("chmod go-w"), "{check:?}");
        mode(&state.join(folder), 0o750);
        assert_eq!(sandbox.run(&["--now", &at(2)]).code, Some(0));
    }
}

#[test]
fn a_way_to_the_directory_that_others_can_change_is_refused() {
    let (sandbox, _carbon) = with_carbon();
    let config = |directory: &Path| {
        let text = fs::read_to_string(sandbox.path("config.cfg")).unwrap();
        let lines = text.lines().map(|line| match line.starts_with("directory = ") {
            true => format!("directory = {}\n", directory.display()),
            false => format!("{line}\n"),
        });
        let text: String = lines.collect();
        sandbox.write("config.cfg", text);
    };
    let run = || sandbox.run(&["--now", &at(0)]);
    let open = sandbox.path("open");
    fs::create_dir(&open).unwrap();
    config(&open.join("new/state"));
    mode(&open, 0o777);
    let refused = run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains(&format!("everybody can write {} (mode 0777)", open.display())), "{refused:?}");
    assert!(!open.join("new").exists(), "nothing is made");
    // As /tmp is, and as Debian's /var/local is.
    for good in [0o1777, 0o2775] {
        mode(&open, good);
        assert_eq!(run().code, Some(0), "{good:o}");
    }
    assert_eq!(open.join("new/state").metadata().unwrap().mode() & 0o777, 0o750);

    // A link to another disk is this user's own choice.
    let link = sandbox.path("link");
    symlink(open.join("new"), &link).unwrap();
    config(&link.join("state"));
    assert_eq!(run().code, Some(0));
    symlink(open.join("new/state"), sandbox.path("direct")).unwrap();
    config(&sandbox.path("direct"));
    assert_eq!(run().code, Some(0));
    symlink("gone", sandbox.path("dangling")).unwrap();
    config(&sandbox.path("dangling"));
    assert!(run().stderr.contains("dangling is a link to gone, which is not there"), "{:?}", run());

    if !rustix::process::geteuid().is_root() {
        return skip("a link and a folder of another user", "root");
    }
    config(&link.join("state"));
    std::os::unix::fs::lchown(&link, Some(NOBODY), None).unwrap();
    assert!(run().stderr.contains("link is a link that nobody made: rm "), "{:?}", run());
    config(&open.join("new/state"));
    chown(&open, Some(NOBODY), None).unwrap();
    assert!(
        run().stderr.contains("open belongs to nobody, who could put another directory in its place"),
        "{:?}",
        run()
    );
}
