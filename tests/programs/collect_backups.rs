//! collect-backups from end to end, on this machine and over stand-ins for ssh. Real ssh servers are in tests/servers.

mod history;
mod kept;
mod odd_configs;
mod original;
mod pages;
mod report;
mod runs;
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use gridmon_testkit::program;
use gridmon_testkit::sandbox::{Outcome, Sandbox};

/// A site with collect-backups: its sandbox, with a config and a state directory of its own.
struct Site {
    sandbox: Sandbox,
}

impl Site {
    fn new(config: &str) -> Self {
        let site = Self { sandbox: Sandbox::new("small") };
        site.config(config);
        site
    }

    fn config(&self, more: &str) {
        let state = self.sandbox.path("state");
        let path = self.sandbox.write(
            "config.cfg",
            format!(
                "[grid]\nname = lab\n[embedded]\npath = {0}/gridmon.db\n[state]\ndirectory = {0}\n{more}\n",
                state.display()
            ),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program("collect-backups"));
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display());
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", path);
        // What the files of the original name.
        command.env("APACHE_HTDOCS", self.sandbox.path("htdocs"));
        Outcome::of(&mut command)
    }

    fn at(&self, now: &str, more: &[&str]) -> Outcome {
        self.run(&[&["--now", now], more].concat())
    }
}
