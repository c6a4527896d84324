//! The daemons of a pool: their processes, and how they hang and end.

use std::fs;
use std::path::Path;

use super::super::signal;
use super::Pool;

impl Pool {
    /// The process of a schedd, as seen from outside the pool's namespace.
    pub fn schedd_pid(&self, name: &str) -> u32 {
        let local_name = name.split_once('@').map(|(local_name, _)| local_name);
        self.daemon("condor_schedd", |arguments| arguments.get(1).map(String::as_str) == local_name)
            .unwrap_or_else(|| panic!("no process of schedd {name}"))
    }

    /// The process of the second collector, if it runs.
    pub fn second_collector_pid(&self) -> Option<u32> {
        let port = (self.ports.first() + 1).to_string();
        self.daemon("condor_collector", |arguments| arguments.contains(&port))
    }

    /// The process of a daemon whose arguments are these, as seen from outside the pool's namespace.
    fn daemon(&self, program: &str, is_it: impl Fn(&[String]) -> bool) -> Option<u32> {
        // unshare, the shell that is the namespace's init, condor_master: a daemon's own children bear its command line
        // too.
        let mut generation = vec![self.server.child.id()];
        for _ in 0..3 {
            generation = children(&generation);
        }
        generation.into_iter().find(|pid| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = command.split_terminator('\0');
            words.next() == Some(program) && is_it(&words.map(String::from).collect::<Vec<_>>())
        })
    }

    /// Kills the second collector and waits until the master has started it again and it answers.
    pub fn restart_second_collector(&self) {
        let before = self.second_collector_pid().expect("the second collector");
        signal(before, "KILL");
        self.wait_until("the second collector's restart", || {
            let collector = self.second_collector();
            // It lists itself as labb@….
            let listed = || self.condor(&["condor_status", "-pool", &collector, "-collector", "-af", "Name"]).stdout;
            let lists_itself = || String::from_utf8_lossy(&listed()).contains("labb@");
            self.second_collector_pid().is_some_and(|pid| pid != before && lists_itself()).then_some(())
        });
    }

    /// Lets a schedd hang: it accepts connections and never answers.
    pub fn stop_schedd(&self, name: &str) {
        signal(self.schedd_pid(name), "STOP");
    }

    /// Lets a stopped schedd go on.
    pub fn cont_schedd(&self, name: &str) {
        signal(self.schedd_pid(name), "CONT");
    }

    /// Kills a schedd for good; the collector keeps its ad.
    pub fn kill_schedd(&self, name: &str) {
        let pid = self.schedd_pid(name);
        signal(pid, "KILL");
        self.wait_until("the end of a killed schedd", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    }
}

/// The processes whose parent is one of these.
fn children(parents: &[u32]) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat).into_owned();
        // The command's name stands in parentheses and may hold any character.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parent.is_some_and(|parent: u32| parents.contains(&parent))
    };
    let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}
