//! qagent as a daemon: `start`, `stop`, `restart`, `status`, SIGHUP, its pid file and its logs, with real processes.

mod faults;
mod masters;
mod system;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gridmon_testkit::sandbox::Outcome;
use gridmon_testkit::{TempDir, program, signal, wait_until};

/// A folder with a config, a state directory and a pid file of its own.
struct Node {
    folder: TempDir,
}

const LIMIT: Duration = Duration::from_secs(60);

impl Node {
    /// Whose sensors tick every fifth of a second, and which publishes once in ten minutes: at its end.
    fn new() -> Self {
        let node = Self { folder: TempDir::new() };
        node.config("");
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, more: &str) {
        let text = format!(
            "[grid]\nname = g\n[state]\ndirectory = {}\n[spool]\npublish_seconds = 600\nmax_disk_percent = 100\n\
             [sensor:LoadAverage]\ntime_interval = 0.2\n[logging]\nfilename = {}\n{more}\n",
            self.path("state").display(),
            self.path("x.log").display()
        );
        let path = self.folder.write("config.cfg", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    fn command(&self, order: &str) -> Command {
        let mut command = Command::new(program("qagent"));
        command.args(["--pidfile", "run.pid", "-c", "config.cfg", order]).current_dir(self.folder.path());
        command.env_clear().stdin(Stdio::null());
        command
    }

    fn tell(&self, order: &str) -> Outcome {
        Outcome::of(&mut self.command(order))
    }

    /// Starts the daemon; returns the number of its process.
    fn start(&self) -> u32 {
        let started = self.tell("start");
        assert_eq!((started.code, started.stderr.as_str()), (Some(0), ""), "{}", started.stdout);
        let pid = started.stdout.strip_prefix("qagent: runs as process ").unwrap().trim_end().parse().unwrap();
        assert_eq!(self.status(), (Some(0), format!("runs as process {pid}")));
        pid
    }

    fn stop(&self, pid: u32) {
        let stopped = self.tell("stop");
        assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
        assert_eq!(stopped.stdout, format!("qagent: process {pid} has ended\n"));
        assert!(!runs(pid) && !self.path("run.pid").exists());
    }

    fn status(&self) -> (Option<i32>, String) {
        let told = self.tell("status");
        assert_eq!(told.stderr, "");
        (told.code, told.stdout.trim_end().trim_start_matches("qagent: ").to_string())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("x.log")).unwrap_or_default()
    }

    fn wait_for_log(&self, text: &str) {
        wait_until(text, LIMIT, || self.log().contains(text).then_some(()));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.command("stop").output();
    }
}

/// Whether a process runs; one that has ended and that nobody has waited for does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A process of the test's own, ended on drop.
struct Other(Child);

impl Other {
    fn start(command: &mut Command) -> Self {
        Self(command.arg("600").stdin(Stdio::null()).spawn().unwrap())
    }

    fn is_there(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_starts_in_the_background_and_stop_waits_until_it_has_published_and_ended() {
    let node = Node::new();
    assert_eq!(node.status(), (Some(3), "does not run".into()));
    let stopped = node.tell("stop");
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(0), "qagent: does not run\n"));
    let pid = node.start();

    let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let stat = of("stat");
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "a session of its own, and no terminal");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), PathBuf::from("/"));
    assert!(of("status").contains("Umask:\t0022"));
    for fd in 0..3 {
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(), PathBuf::from("/dev/null"));
    }
    assert_eq!(node.path("run.pid").metadata().unwrap().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_to_string(node.path("run.pid")).unwrap().lines().next(), Some(pid.to_string().as_str()));

    let again = node.tell("start");
    assert_eq!((again.code, again.stdout), (Some(0), format!("qagent: runs already as process {pid}\n")));
    let other = Outcome::of(node.command("start").args(["--pidfile", "other.pid"]));
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.starts_with("qagent: another qagent runs for g already; end it first\n"), "{}", other.stderr);
    assert!(!node.path("other.pid").exists() && runs(pid));

    // Long enough for some ticks, which nothing but the end publishes.
    std::thread::sleep(Duration::from_millis(1500));
    node.stop(pid);
    assert_eq!(node.status().0, Some(3));
    let mut export = Command::new(program("gridmon-status"));
    export.args(["-c", "config.cfg", "store", "export"]).current_dir(node.folder.path());
    let points = Outcome::of(&mut export);
    let times: Vec<i64> = points
        .stdout
        .lines()
        .filter(|line| line.starts_with("node_load,"))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!((5..=9).contains(&times.len()), "{times:?} {}", points.stderr);
    assert!(times.iter().all(|time| time % 200_000_000 == 0), "{times:?}");
    assert!(points.stdout.contains("service,grid=g,host="), "{}", points.stdout);
    let log = node.log();
    for text in ["INFO [", "][qagent] ---> ", "sensors, and publishes every 600 s", "was told to end"] {
        assert!(log.contains(text), "{log}");
    }
}

#[test]
fn no_signal_goes_to_a_process_that_is_not_its_own_and_a_stale_pid_file_is_no_obstacle() {
    let node = Node::new();
    let mut other = Other::start(&mut Command::new("sleep"));
    let number = other.0.id();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for stale in [format!("{number}\n"), format!("{number}\n17 {boot}"), "4194304\n5 x\n".into()] {
        node.folder.write("run.pid", &stale);
        assert_eq!(node.status().0, Some(1), "{stale}");
        let stopped = node.tell("stop");
        assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(0), "qagent: does not run\n"));
        assert!(other.is_there());
        let pid = node.start();
        node.stop(pid);
        assert!(other.is_there());
    }
    // What anybody can write may name any process, even truly.
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap();
    let started = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
    let path = node.folder.write("run.pid", format!("{number}\n{started} {boot}"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(node.tell("stop").stdout, "qagent: does not run\n");
    assert!(other.is_there());
    let pid = node.start();
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o644);
    node.stop(pid);
}

#[test]
fn a_qagent_that_was_started_otherwise_is_named_and_left_alone() {
    let node = Node::new();
    fs::copy("/bin/sleep", node.path("qagent")).unwrap();
    let mut original = Other::start(&mut Command::new(node.path("qagent")));
    let pid = original.0.id();
    node.folder.write("run.pid", format!("{pid}\n"));
    let (code, text) = node.status();
    assert_eq!(code, Some(0), "{text}");
    for order in ["stop", "start", "restart"] {
        let told = node.tell(order);
        assert_eq!(told.code, Some(1), "{order}");
        let end = format!("does not say that `qagent start` started it; end it as it was started, or: kill {pid}\n");
        assert!(
            told.stderr.contains(&format!("process {pid} runs (")) && told.stderr.ends_with(&end),
            "{}",
            told.stderr
        );
        assert!(original.is_there());
    }
}

#[test]
fn what_keeps_it_from_starting_is_said_and_leaves_nothing_behind() {
    let node = Node::new();
    node.config("[carbon]\nprot = 1\n");
    for order in ["start", "restart"] {
        let told = node.tell(order);
        assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""), "{order}");
        assert!(told.stderr.contains("[carbon] has no key \"prot\"; did you mean port?"), "{}", told.stderr);
        assert!(!node.path("run.pid").exists());
    }
    let run = node.tell("run");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let flags = Outcome::of(&mut node.command("began"));
    assert_eq!(flags.code, Some(2));
}

#[test]
fn one_that_was_killed_is_told_from_one_that_was_ended() {
    let node = Node::new();
    let pid = node.start();
    signal(pid, "KILL");
    // Its threads end one after the other.
    let text = wait_until("its end", LIMIT, || Some(node.status()).filter(|status| status.0 == Some(1))).1;
    assert!(text.starts_with(&format!("process {pid} has died and left ")), "{text}");
    let pid = node.start();
    node.stop(pid);
    assert!(node.log().contains("was killed or crashed"), "{}", node.log());
}

#[test]
fn hang_up_reads_the_config_again_and_a_wrong_one_leaves_the_old_one_at_work() {
    let node = Node::new();
    let pid = node.start();
    node.config("[carbon]\nprot = 1\n");
    signal(pid, "HUP");
    node.wait_for_log("ERROR [");
    let log = node.log();
    assert!(
        log.contains("the new config is not used, the old one stays: ") && log.contains("[carbon] has no key"),
        "{log}"
    );
    for order in ["restart", "reload"] {
        assert_eq!(node.tell(order).code, Some(2), "{order}");
        assert_eq!(node.status(), (Some(0), format!("runs as process {pid}")), "a wrong config ends nothing");
    }

    node.config("[sensor:VirtualMemory]\ntime_interval = 0.5\n");
    let reload = node.tell("reload");
    assert_eq!(
        (reload.code, reload.stdout),
        (Some(0), format!("qagent: process {pid} reads its config again\n")),
        "{}",
        reload.stderr
    );
    node.wait_for_log("has read its config again");
    let restart = node.tell("restart");
    assert_eq!(restart.code, Some(0), "{}", restart.stderr);
    assert!(restart.stdout.starts_with(&format!("qagent: process {pid} has ended\nqagent: runs as process ")));
    assert!(!runs(pid));
    let new = fs::read_to_string(node.path("run.pid")).unwrap().lines().next().unwrap().parse().unwrap();
    node.stop(new);
}

#[test]
fn many_that_start_at_once_are_one() {
    let node = Node::new();
    let starts: Vec<_> =
        (0..6).map(|_| node.command("start").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    let outputs: Vec<_> = starts.into_iter().map(|start| start.wait_with_output().unwrap()).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let new: Vec<_> =
        outputs.iter().map(|output| text(&output.stdout)).filter(|line| line.starts_with("qagent: runs as ")).collect();
    assert_eq!(new.len(), 1, "{outputs:?}");
    for output in outputs.iter().filter(|output| !output.status.success()) {
        assert!(text(&output.stderr).contains("runs already as process "), "{}", text(&output.stderr));
    }
    let pid = new[0].trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(runs(pid));
    node.stop(pid);
}

#[test]
fn a_daemon_holds_nothing_open_that_its_starter_had_open() {
    let node = Node::new();
    let mut shell = Command::new("/bin/sh");
    let script = "exec 7>>held 9>>held; exec \"$0\" --pidfile run.pid -c config.cfg start";
    shell.args(["-c", script]).arg(program("qagent")).current_dir(node.folder.path()).env_clear();
    let started = Outcome::of(&mut shell);
    assert_eq!((started.code, started.stderr.as_str()), (Some(0), ""), "{}", started.stdout);
    let pid = started.stdout.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links: Vec<_> = open.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(!links.is_empty() && !links.contains(&node.path("held")), "{links:?}");
    node.stop(pid);
}

#[test]
fn signals_that_mean_nothing_to_it_end_nothing() {
    let node = Node::new();
    let pid = node.start();
    for name in ["USR1", "USR2", "ALRM"] {
        signal(pid, name);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(pid));
    node.stop(pid);
    assert!(node.log().contains("was told to end, and has published what it held"), "{}", node.log());
}
