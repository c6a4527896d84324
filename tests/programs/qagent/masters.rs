//! `[qmaster]`: QULo's config as it is, a master that acknowledges, QULo's own that does not, and which of them it is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gridmon_testkit::sandbox::{Outcome, fixture};
use gridmon_testkit::{Ports, TempDir, program, servers::script, signal, skip, wait_until};

const LIMIT: Duration = Duration::from_secs(90);

/// A process that is ended on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node with a config of QULo's, and the port of its master.
struct Node {
    folder: TempDir,
    ports: Ports,
}

impl Node {
    /// Returns `None`, and says so, without Python.
    fn new(test: &str) -> Option<Self> {
        if !Path::new("/usr/bin/python3").exists() {
            skip(test, "python3");
            return None;
        }
        Some(Self { folder: TempDir::new(), ports: Ports::free() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, more: &str) {
        let text = format!(
            "[qmaster]\nhost = 127.0.0.1\nIncoming Data Port: {}\n{more}\n[logging]\nfilename = {}\nmaxBytes = 100000\n\
             backupCount = 2\nlevel = DEBUG\n\n[DEFAULT]\ntime_interval = 0.5\n[sensor:VirtualMemory]\n[sensor:LoadAverage]\ntime_interval = 1.0\n\
             [sensor:NoSuch]\ntime_interval = 5\n[whatever]\nx = y\n",
            self.ports.first(),
            self.path("x.log").display(),
        );
        let path = self.folder.write("qagent.conf", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn master(&self, kind: &str) -> Running {
        let port = self.ports.first();
        let child = Command::new("/usr/bin/python3")
            .arg(script("masters.py"))
            .args([kind, &port.to_string()])
            .arg(self.path("values"))
            .stderr(fs::File::create(self.path("master.stderr")).unwrap())
            .spawn()
            .unwrap();
        wait_until("the master", LIMIT, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Running(child)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("qagent"));
        command.args(["-c", "qagent.conf"]).args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path());
        command
    }

    fn run(&self) -> Running {
        let stderr = fs::OpenOptions::new().create(true).append(true).open(self.path("stderr")).unwrap();
        Running(self.command(&["run"]).stderr(stderr).spawn().unwrap())
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Ends the agent, which publishes what it holds.
    fn end(&self, mut agent: Running) {
        signal(agent.0.id(), "TERM");
        assert!(agent.0.wait().unwrap().success(), "{}", self.stderr());
    }

    /// The values that have arrived.
    fn values(&self) -> String {
        fs::read_to_string(self.path("values")).unwrap_or_default()
    }
}

/// This host's name, as Carbon's paths begin with it in QULo's config.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().to_string()
}

/// Whether each time follows the one before it by `step`.
fn is_whole(times: &[f64], step: f64) -> bool {
    times.windows(2).all(|two| (two[1] - two[0] - step).abs() < 1e-6)
}

#[test]
fn qulos_config_is_accepted_as_it_is_and_what_is_left_out_is_named() {
    let Some(node) = Node::new("qulos_config_is_accepted_as_it_is") else { return };
    node.config("");
    let mut agent = node.run();
    wait_until("its start", LIMIT, || node.stderr().contains("it reads 2 sensors").then_some(()));
    signal(agent.0.id(), "TERM");
    assert!(agent.0.wait().unwrap().success());
    let stderr = node.stderr();
    for text in [
        "qagent.conf line 16: unknown section [sensor:NoSuch] is left out",
        "line 18: unknown section [whatever] is left out",
    ] {
        assert!(stderr.contains(text), "{stderr}");
    }
    assert!(node.path("x.log").exists());
    // In config.cfg the same is an error.
    fs::rename(node.path("qagent.conf"), node.path("config.cfg")).unwrap();
    let strict = Outcome::of(node.command(&["run"]).args(["-c", "config.cfg"]));
    assert_eq!(strict.code, Some(2), "{}", strict.stderr);
    // Without a section of its own QULo's agent had a master on its own host.
    fs::rename(node.path("config.cfg"), node.path("qagent.conf")).unwrap();
    node.folder.write("qagent.conf", "[sensor:LoadAverage]\ntime_interval = 1\n");
    // A new agent, which has not yet said that its master is away.
    fs::remove_file(node.path("stderr")).unwrap();
    fs::remove_dir_all(node.path(".local")).unwrap();
    let agent = node.run();
    wait_until("its master", LIMIT, || node.stderr().contains("qmaster: ").then_some(()));
    node.end(agent);
}

#[test]
fn a_master_that_acknowledges_is_found_out_and_gets_everything_once_through_an_outage() {
    let Some(node) = Node::new("a_master_that_acknowledges_is_found_out") else { return };
    node.config("[spool]\npublish_seconds = 1\n");
    let agent = node.run();
    wait_until("a failure", LIMIT, || node.stderr().contains("qmaster: ").then_some(()));
    let master = node.master("http");
    wait_until("values", LIMIT, || (node.values().lines().count() > 20).then_some(()));
    drop(master);
    std::thread::sleep(Duration::from_secs(3));
    let _master = node.master("http");
    let before = node.values().lines().count();
    wait_until("more values", LIMIT, || (node.values().lines().count() > before + 20).then_some(()));
    node.end(agent);
    let values = node.values();
    let mut times = BTreeMap::<&str, Vec<f64>>::new();
    for line in values.lines() {
        let time: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        times.entry(line.split(',').next().unwrap()).or_default().push(time / 1e9);
    }
    for (measurement, step) in [("node_memory", 0.5), ("node_load", 1.0)] {
        let all = times.get_mut(measurement).unwrap();
        all.sort_by(f64::total_cmp);
        assert!(is_whole(all, step), "{measurement}: {all:?} {}", node.stderr());
    }
    let found = fs::read_to_string(node.path(".local/state/gridmon/qmaster.protocol")).unwrap();
    assert!(found.contains("\"is_http\":true"), "{found}");
}

#[test]
fn qulos_own_master_is_found_out_and_reads_every_message_by_its_rules() {
    let Some(node) = Node::new("qulos_own_master_is_found_out") else { return };
    node.config("[spool]\npublish_seconds = 1\n");
    let _master = node.master("qulo");
    let agent = node.run();
    wait_until("values", LIMIT, || (node.values().lines().count() > 400).then_some(()));
    node.end(agent);
    let (values, host) = (node.values(), host());
    let mut times = BTreeMap::<&str, Vec<f64>>::new();
    for line in values.lines() {
        let words: Vec<_> = line.split(' ').collect();
        times.entry(words[0]).or_default().push(words[2].parse().unwrap());
    }
    let keys =
        ["total", "available", "percent", "used", "free", "active", "inactive", "buffers", "cached", "shared", "slab"];
    let paths = keys.map(|key| format!("{host}.VirtualMemory.{key}")).into_iter();
    for path in paths.chain([format!("{host}.LoadAverage.load1")]) {
        let all = times.get_mut(path.as_str()).unwrap_or_else(|| panic!("{path}: {values}"));
        all.sort_by(f64::total_cmp);
        // Carbon's times are whole seconds, so of two ticks in one the message holds one.
        all.dedup();
        assert!(all.len() > 5 && is_whole(all, 1.0), "{path}: {all:?}\n{}", node.stderr());
    }
    let said = node.stderr();
    assert!(said.contains("takes connections and does not answer"), "{said}");
    // The three questions by HTTP ended three readers, no message did.
    let ended = fs::read_to_string(node.path("master.stderr")).unwrap();
    assert_eq!(ended.lines().count(), 3, "{ended}");
}

#[test]
fn a_genuine_message_of_qulos_has_the_same_shape() {
    let Some(node) = Node::new("a_genuine_message_of_qulos_has_the_same_shape") else { return };
    node.config("protocol = qulo\n");
    let _master = node.master("qulo");
    // What holds for ours holds for recorded ones: the stand-in reads them by the same rules.
    for name in ["VirtualMemory", "CPUCount", "CPUPercent"] {
        let before = node.values().lines().count();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", node.ports.first())).unwrap();
        let bytes = fs::read(fixture(&format!("qulo/proto3/{name}.pkl"))).unwrap();
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
        wait_until(name, LIMIT, || (node.values().lines().count() > before).then_some(()));
        let begin = format!("node01.example.org.{name}");
        assert!(node.values().lines().skip(before).all(|line| line.starts_with(&begin)), "{}", node.values());
    }
    let before = node.values().lines().count();
    let agent = node.run();
    std::thread::sleep(Duration::from_millis(2500));
    node.end(agent);
    wait_until("its values", LIMIT, || (node.values().lines().count() > before + 11).then_some(()));
    assert!(node.stderr().contains("gets QULo's pickles, which nobody acknowledges"), "{}", node.stderr());
}
