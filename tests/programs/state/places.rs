//! Which directory is used: the shared one if it exists, usable or not, else the user's own; never another one in silence.

use super::*;

/// A small disk in place of /var/lib, and a user's home.
struct Machine {
    sandbox: Sandbox,
    carbon: FakeCarbon,
    disk: SmallDisk,
    home: PathBuf,
}

impl Machine {
    fn new(test: &str) -> Option<Self> {
        let (sandbox, carbon) = with_carbon();
        let disk = SmallDisk::mount(test, "/var/lib".into(), "4m")?;
        mode(&disk.path(""), 0o755);
        let home = sandbox.path("home");
        fs::create_dir(&home).unwrap();
        let this = Self { sandbox, carbon, disk, home };
        this.carbon(true);
        Some(this)
    }

    /// Carbon is up or refuses connections; the config names no state directory.
    fn carbon(&self, up: bool) {
        let port = if up { self.carbon.port } else { 1 };
        let text = format!("[grid]\nname = heprc\n[carbon]\nhost = 127.0.0.1\nport = {port}\n[cloud_scheduler]\n");
        self.sandbox.write("config.cfg", text);
    }

    fn run(&self, minute: i64) -> Outcome {
        self.disk.run(self.sandbox.command(&["--now", &at(minute)]).env("HOME", &self.home))
    }

    fn status(&self, arguments: &[&str]) -> Outcome {
        self.disk.run(status_command(&self.sandbox, arguments).env("HOME", &self.home))
    }
}

#[test]
fn the_shared_directory_is_used_where_it_exists_and_made_by_no_run() {
    let test = "the_shared_directory_is_used_where_it_exists_and_made_by_no_run";
    let Some(machine) = Machine::new(test) else { return };
    let (shared, own) = (machine.disk.path("gridmon"), machine.home.join(".local/state/gridmon"));
    machine.carbon(false);
    assert_eq!(machine.run(0).code, Some(1));
    assert!(!shared.exists() && own.join("spool").exists(), "root too makes its own");
    assert!(machine.status(&[]).stdout.starts_with(&format!("state of {} at", own.display())));

    // Now there is one, which is not this user's: no way around it.
    fs::create_dir(&shared).unwrap();
    chown(&shared, Some(NOBODY), None).unwrap();
    let refused = machine.run(1);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("state directory /var/lib/gridmon: ") && refused.stderr.contains("sudo -u nobody"));
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);

    // It is this user's: what waits in the former one is named by runs and by the status, until it is sent.
    chown(&shared, Some(0), None).unwrap();
    machine.carbon(true);
    let words = format!("1 batch with {} points waits in {}, which", points(&own), own.display());
    for minute in [2, 3] {
        let run = machine.run(minute);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert_eq!(run.stderr.contains(&words), minute == 2, "said at its onset: {words}: {run:?}");
    }
    let told = machine.status(&[]);
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.starts_with("state of /var/lib/gridmon at") && told.stderr.contains(&words), "{told:?}");
    let config = fs::read_to_string(machine.sandbox.path("config.cfg")).unwrap();
    machine.sandbox.write("copy.cfg", format!("{config}[state]\ndirectory = {}\n", own.display()));
    let flush = machine.status(&["--config", "copy.cfg", "flush"]);
    assert_eq!(flush.code, Some(0), "{flush:?}");
    assert_eq!(machine.run(4).code, Some(0));
    assert_eq!(machine.status(&[]).code, Some(0));
}

/// The points of the only batch that waits.
fn points(state: &Path) -> usize {
    let names = fs::read_dir(state.join("spool")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let batches: Vec<_> = names.filter(|name| name.ends_with(".batch")).collect();
    assert_eq!(batches.len(), 1);
    batches[0].split('-').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_shared_directory_that_cannot_be_written_for_a_moment_is_not_left() {
    let test = "a_shared_directory_that_cannot_be_written_for_a_moment_is_not_left";
    let Some(machine) = Machine::new(test) else { return };
    let (shared, own) = (machine.disk.path("gridmon"), machine.home.join(".local/state/gridmon"));
    fs::create_dir(&shared).unwrap();
    chown(&shared, Some(NOBODY), None).unwrap();
    chown(&machine.home, Some(NOBODY), None).unwrap();
    let user = |minute: i64| {
        let mut command = machine.sandbox.command(&["--now", &at(minute)]);
        let user = as_nobody(test, command.env("HOME", &machine.home))?;
        Some(machine.disk.run(&user))
    };
    let Some(first) = user(0) else { return };
    assert_eq!(first.code, Some(0), "{first:?}");
    let config = fs::read_to_string(machine.sandbox.path("config.cfg")).unwrap();
    machine.sandbox.write("config.cfg", format!("{config}[state]\ndirectory = /var/lib/other\n"));
    let other = user(0).unwrap();
    assert_eq!(other.code, Some(1));
    assert!(
        other.stderr.ends_with("make it for this user: sudo install -d -m 0750 -o nobody /var/lib/other\n"),
        "{other:?}"
    );
    machine.sandbox.write("config.cfg", config);
    mode(&shared, 0o550);
    let sent = machine.carbon.received().len();
    let second = user(1).unwrap();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("chmod u+rwX /var/lib/gridmon"), "{second:?}");
    assert!(machine.carbon.received().len() > sent, "its points are sent all the same");
    assert!(!own.exists());
    mode(&shared, 0o750);
    assert_eq!(user(2).unwrap().code, Some(0));
    // A link to a disk that is not mounted exists, too.
    fs::rename(&shared, machine.disk.path("elsewhere")).unwrap();
    symlink("/var/lib/gone", &shared).unwrap();
    let gone = user(3).unwrap();
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("/var/lib/gridmon is a link to /var/lib/gone, which is not there"), "{gone:?}");
    assert!(!own.exists());
}

#[test]
fn without_a_place_for_state_the_way_out_is_said() {
    let Some(machine) = Machine::new("without_a_place_for_state_the_way_out_is_said") else { return };
    let homeless = machine.disk.run(&machine.sandbox.command(&[]));
    assert_eq!(homeless.code, Some(1));
    assert_eq!(
        homeless.stderr,
        "collect-grid: no place for state: /var/lib/gridmon does not exist and HOME is not set; set [state] directory\n"
    );
    // On a disk that has become read-only, being another user would not help.
    machine.disk.remount("ro");
    machine.sandbox.write("config.cfg", "[state]\ndirectory = /var/lib/gridmon\n[carbon]\nhost = 127.0.0.1\n");
    let run = machine.run(0);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("its disk is mounted read-only") && !run.stderr.contains("sudo"), "{run:?}");
}

#[test]
fn first_runs_side_by_side_all_make_the_directories_and_succeed() {
    let (sandbox, carbon) = with_carbon();
    for _round in 0..3 {
        let deep = sandbox.path("a");
        let _ = fs::remove_dir_all(&deep);
        let run = |grid: usize| {
            let text = format!(
                "[grid]\nname = g{grid}\n[state]\ndirectory = {}\n[carbon]\nhost = 127.0.0.1\nport = {}\n[cloud_scheduler]\n",
                deep.join("b/state").display(),
                carbon.port
            );
            sandbox.write(&format!("{grid}.cfg"), text);
            let mut command = sandbox.command(&["-c", &format!("{grid}.cfg"), "--now", &at(0)]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let runs: Vec<_> = (0..8).map(run).collect();
        for run in runs {
            let output = run.wait_with_output().unwrap();
            assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
        }
    }
}
