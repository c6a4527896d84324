//! qagent and qmaster, both real: what an agent has published is in the master's store, whatever was killed meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use gridmon_testkit::network::Line;
use gridmon_testkit::sandbox::Outcome;
use gridmon_testkit::{TempDir, program, wait_until};

use super::{LIMIT, Master};

/// An agent that sends to a master and to a store of its own, which is the judge.
pub(super) struct Agent {
    pub folder: TempDir,
    /// Where its master, or the balancer before several, is.
    pub to: String,
    port: u16,
    /// The network in which it runs, if not in this machine's.
    pub line: Option<Rc<Line>>,
    /// The name of its machine, if that is another one; root may give it such a name.
    pub host: Option<String>,
    /// The seconds between two batches.
    pub publishes: u32,
    process: Option<Child>,
}

impl Agent {
    /// Starts one that reads this sensor alone, as QULo's agent would: two of one host and sensor would have the same series.
    fn start(sensor: &str, port: u16) -> Self {
        Self::with(&format!("[sensor:{sensor}]\ntime_interval = 0.2\n"), port)
    }

    fn with(sections: &str, port: u16) -> Self {
        let mut agent = Self::new(port);
        agent.configure(sections);
        agent.run();
        agent
    }

    pub fn new(port: u16) -> Self {
        let (folder, to) = (TempDir::new(), "127.0.0.1".into());
        Self { folder, to, port, line: None, host: None, publishes: 1, process: None }
    }

    /// Writes its config; what stands before the first section belongs to `[qmaster]`.
    pub fn configure(&self, sections: &str) {
        let text = format!(
            "[grid]\nname = g\n[state]\ndirectory = {0}\n[embedded]\npath = {0}/own.db\n[spool]\npublish_seconds = {2}\n\
             [qmaster]\nhost = {3}\nport = {1}\nprotocol = http\ntimeout_seconds = 2\n{sections}",
            self.folder.path().join("state").display(),
            self.port,
            self.publishes,
            self.to
        );
        fs::set_permissions(self.folder.write("qagent.conf", text), fs::Permissions::from_mode(0o640)).unwrap();
    }

    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command.args(["-c", "qagent.conf"]).args(arguments).current_dir(self.folder.path()).env_clear();
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&mut self) {
        let mut command = self.command("qagent", &["run"]);
        if let Some(host) = &self.host {
            // A namespace of its own for the name; the process stays the one that was started.
            let mut named = Command::new("/usr/bin/unshare");
            named.args(["-u", "/bin/sh", "-c", "echo \"$0\" > /proc/sys/kernel/hostname; exec \"$@\"", host]);
            named.arg(command.get_program()).args(command.get_args());
            named.current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
            command = named;
        }
        if let Some(line) = &self.line {
            command = line.network.inside(&command);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("stderr")).unwrap();
        self.process = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    pub fn wait_for_log(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < LIMIT, "waited in vain for {text:?}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it with a signal.
    pub fn end(&mut self, signal: &str) {
        let mut process = self.process.take().unwrap();
        gridmon_testkit::signal(process.id(), signal);
        process.wait().unwrap();
    }

    pub fn forget_log(&self) {
        fs::write(self.folder.path().join("stderr"), "").unwrap();
    }

    /// Sends what waits in its spool, until nothing does.
    pub fn flush(&self) {
        // A master whose disk was full has asked it to come back in 30 s.
        wait_until("the agent's spool to be empty", 3 * LIMIT, || {
            let flushed = Outcome::of(&mut self.command("gridmon-status", &["flush"]));
            (flushed.code == Some(0)).then_some(())
        });
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The points of nodes in a store, as lines.
pub(super) fn stored(mut export: Command) -> BTreeSet<String> {
    let exported = Outcome::of(&mut export);
    if exported.stderr.contains("no program has written one yet") {
        return BTreeSet::new();
    }
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let is_of_sensor = |line: &&str| line.starts_with("node_") && !line.starts_with("node_agent,");
    exported.stdout.lines().filter(is_of_sensor).map(String::from).collect()
}

#[test]
fn what_agents_have_published_is_in_the_masters_store_whatever_was_killed_meanwhile() {
    let mut master = Master::start("");
    let mut agents: Vec<_> = ["LoadAverage", "CPUTimes"].map(|sensor| Agent::start(sensor, master.port)).into();
    for round in 0..4 {
        thread::sleep(Duration::from_secs(2));
        match round {
            0 | 2 => master.kill(),
            1 => {
                agents[0].end("KILL");
                agents[0].run();
                master.run();
            }
            _ => master.run(),
        }
    }
    thread::sleep(Duration::from_secs(1));
    agents.iter_mut().for_each(|agent| agent.end("TERM"));
    let mut own = BTreeSet::new();
    for agent in &agents {
        agent.flush();
        own.append(&mut stored(agent.command("gridmon-status", &["store", "export"])));
    }
    assert!(own.len() > 50, "{}", own.len());
    wait_until("the master's store to hold it", LIMIT, || (stored(master.export()) == own).then_some(()));
}

/// An agent takes intervals and filters from its master, keeps them while the master is away, and takes nothing else.
#[test]
fn agents_take_intervals_and_filters_from_the_master_and_nothing_else() {
    let mut master = Master::new("");
    let path = master.folder.path().join("agents.conf");
    master.config(&format!("agents_config = {}", path.display()));
    let settings = |text: &str| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    };
    settings(
        "[sensor:LoadAverage]\ntime_interval = 3600\n[sensor:LoadAverage *]\ntime_interval = 7200\n[sensor:Users no.such]\n",
    );
    master.run();
    let mut agent =
        Agent::with("[sensor:LoadAverage]\ntime_interval = 0.2\n[sensor:CPUTimes]\ntime_interval = 0.5\n", master.port);
    agent.wait_for_log("has read its config again: it reads 2 sensors");
    let kept = agent.folder.path().join("state/qagent.settings");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "[sensor:LoadAverage]\ntime_interval = 7200\n");
    // From now on LoadAverage is as good as silent, and CPUTimes is read as before.
    thread::sleep(Duration::from_secs(2));
    let count = |agent: &Agent, name: &str| {
        let lines = stored(agent.command("gridmon-status", &["store", "export"]));
        lines.iter().filter(|line| line.starts_with(name)).count()
    };
    let (loads, times) = (count(&agent, "node_load,"), count(&agent, "node_cpu_time,"));
    // The master is away, and the agent is started anew.
    master.kill();
    agent.end("TERM");
    agent.run();
    wait_until("more of the other sensor", LIMIT, || (count(&agent, "node_cpu_time,") > times + 6).then_some(()));
    assert_eq!(count(&agent, "node_load,"), loads);
    // What is no interval and no filter is refused, and named, and the agent keeps what it has.
    settings("[sensor:GPU]\ncommand = /tmp/x\n");
    master.run();
    wait_until("the problem", LIMIT, || master.log().contains("[sensor:GPU] command: cannot be set").then_some(()));
    agent.end("TERM");
    agent.forget_log();
    agent.run();
    agent.wait_for_log("the settings stay as they are");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "[sensor:LoadAverage]\ntime_interval = 7200\n");
    // A master that lies is not believed either.
    let word = format!("{{\"host\":\"liar\",\"version\":\"9\",\"backlog_points\":{},\"lag_seconds\":400}}", u64::MAX);
    assert_eq!(master.post("/agent", "", word.as_bytes()).0, 503);
    assert_eq!(master.post("/agent", "", b"{}").0, 400);
    // Without settings for it, its own config counts again.
    settings("[sensor:LoadAverage no.such.host]\ntime_interval = 3600\n");
    agent.end("TERM");
    agent.forget_log();
    agent.run();
    agent.wait_for_log("has read its config again: it reads 2 sensors");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "");
    wait_until("more of the first sensor", LIMIT, || (count(&agent, "node_load,") > loads + 6).then_some(()));
    assert!(!agent.log().contains("the settings stay"), "{}", agent.log());
    let mut old = master.connect();
    let message = fs::read(gridmon_testkit::sandbox::fixture("qulo/stream_20.bin")).unwrap();
    std::io::Write::write_all(&mut old, &message).unwrap();
    wait_until("the old agent's values", LIMIT, || (master.metric("qmaster_spooled_points") > 20).then_some(()));
    agent.end("TERM");
    master.stop();
    let mut list = Command::new(program("qmaster"));
    list.args(["-c", "config.cfg", "agents"]).current_dir(master.folder.path()).env_clear();
    let listed = Outcome::of(&mut list);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let line = |host: &str| listed.stdout.lines().find(|line| line.starts_with(host)).unwrap_or_default().to_string();
    assert!(line("liar").contains("6 min"), "{}", listed.stdout);
    assert!(line("node01.example.org").contains("QULo"), "{}", listed.stdout);
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(line(&own).contains(env!("CARGO_PKG_VERSION")) && line(&own).contains(" 2 "), "{}", listed.stdout);
}
