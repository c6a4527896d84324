//! qagent and qmaster, both real: what an agent has published is in the master's store, whatever was killed meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use gridmon_testkit::sandbox::Outcome;
use gridmon_testkit::{TempDir, program, wait_until};

use super::{LIMIT, Master};

/// An agent that sends to a master and to a store of its own, which is the judge.
struct Agent {
    folder: TempDir,
    process: Option<Child>,
}

impl Agent {
    /// Starts one that reads this sensor alone, as QULo's agent would: two of one host and sensor would have the same series.
    fn start(sensor: &str, port: u16) -> Self {
        let folder = TempDir::new();
        let state = folder.path().join("state");
        let text = format!(
            "[grid]\nname = g\n[state]\ndirectory = {0}\n[embedded]\npath = {0}/own.db\n[spool]\npublish_seconds = 1\n\
             [qmaster]\nhost = 127.0.0.1\nport = {port}\nprotocol = http\ntimeout_seconds = 2\n\
             [sensor:{sensor}]\ntime_interval = 0.2\n",
            state.display()
        );
        fs::set_permissions(folder.write("qagent.conf", text), fs::Permissions::from_mode(0o640)).unwrap();
        let mut agent = Self { folder, process: None };
        agent.run();
        agent
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command.args(["-c", "qagent.conf"]).args(arguments).current_dir(self.folder.path()).env_clear();
        command.stdin(Stdio::null());
        command
    }

    fn run(&mut self) {
        let mut command = self.command("qagent", &["run"]);
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Ends it with a signal.
    fn end(&mut self, signal: &str) {
        let mut process = self.process.take().unwrap();
        gridmon_testkit::signal(process.id(), signal);
        process.wait().unwrap();
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
fn stored(mut export: Command) -> BTreeSet<String> {
    let exported = Outcome::of(&mut export);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    exported.stdout.lines().filter(|line| line.starts_with("node_")).map(String::from).collect()
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
        wait_until("the agent's spool to be empty", LIMIT, || {
            let flushed = Outcome::of(&mut agent.command("gridmon-status", &["flush"]));
            (flushed.code == Some(0)).then_some(())
        });
        own.append(&mut stored(agent.command("gridmon-status", &["store", "export"])));
    }
    assert!(own.len() > 50, "{}", own.len());
    wait_until("the master's store to hold it", LIMIT, || {
        let mut export = Command::new(program("gridmon-status"));
        export.args(["-c", "config.cfg", "store", "export"]).current_dir(master.folder.path()).env_clear();
        (stored(export) == own).then_some(())
    });
}
