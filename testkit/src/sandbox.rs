//! A folder in which a program of the toolkit runs as cron would start it: an empty environment, stand-ins for the
//! commands it calls on PATH, a config and a state directory of its own.
//!
//! The stand-ins are shell scripts: they print recorded answers, or fail in ways that a real pool cannot be made to fail
//! at will. Real servers are in [`servers`](crate::servers).

pub mod disk;
mod keeper;
pub mod monitor;
pub mod proof;
pub mod site;
mod stand_in;
mod stand_ins;
pub mod tracer;

pub use stand_in::{Answer, StandIn, page};
pub use stand_ins::{FakeCarbon, Mood, http};

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{TempDir, program, root};

/// The slot of the recorded inputs: 2024-06-01 12:30:00 UTC.
pub const NOW: i64 = 1_717_245_000;

/// One such folder.
pub struct Sandbox {
    folder: TempDir,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// How long it took.
    pub took: Duration,
}

/// Where a recorded input lies.
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

impl Sandbox {
    /// A folder whose stand-ins answer with the recorded inputs of `case` (`small`, `hard`), and a config that names the
    /// grid and both sources.
    pub fn new(case: &str) -> Self {
        let sandbox = Self { folder: TempDir::new() };
        for folder in ["bin", "state"] {
            DirBuilder::new().mode(0o755).create(sandbox.path(folder)).unwrap();
        }
        let recorded = |name: &str| fixture(&format!("cloud_monitor/{case}/{name}.json")).display().to_string();
        sandbox.schedds(&["ce01.example.org"], &recorded("condor_slots"));
        sandbox.program("condor_q", &format!("cat {}", recorded("condor_jobs")));
        sandbox.program("cloud_status", &format!("cat {}", recorded("cloud_status")));
        sandbox.config("");
        sandbox
    }

    /// Makes `condor_status` list these schedds and print the slots of a file.
    pub fn schedds(&self, names: &[&str], slots: &str) {
        let ads: Vec<_> = names
            .iter()
            .map(|name| format!(r#"{{"Name": "{name}", "RecentDaemonCoreDutyCycle": 0.25, "MaxJobsRunning": 10000}}"#))
            .collect();
        let script = format!(
            r#"case "$*" in
            *-schedd*) echo '[{}]';;
            *-negotiator*) echo '[{{"Name": "cm.example.org", "LastNegotiationCycleDuration0": 3}}]';;
            *-collector*) echo '[{{"UpdatesLostRatio": 0.0}}]';;
            *) cat {slots};;
            esac"#,
            ads.join(",")
        );
        self.program("condor_status", &script);
    }

    /// Where something in the folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.folder.write(name, text)
    }

    /// Puts a shell script on PATH.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes the config: grid, state and the two sources, then `more`, whose `[htcondor]`, `[cloud_scheduler]` and
    /// `[grid]` lines stand for keys of sections that are there already.
    pub fn config(&self, more: &str) {
        let mut sections = vec![
            ("grid", vec!["name = heprc".to_string()]),
            ("state", vec![format!("directory = {}", self.path("state").display())]),
            ("htcondor", vec![]),
            ("cloud_scheduler", vec![]),
        ];
        let mut current = 0;
        for line in more.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                current = sections.iter().position(|(section, _)| *section == name).unwrap_or_else(|| {
                    sections.push((name, vec![]));
                    sections.len() - 1
                });
            } else {
                sections[current].1.push(line.to_string());
            }
        }
        let text: String = sections.iter().map(|(name, lines)| format!("[{name}]\n{}\n", lines.join("\n"))).collect();
        self.write("config.cfg", text);
    }

    /// `collect-grid` in this folder, in an environment like cron's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("collect-grid"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .stdin(Stdio::null());
        command
    }

    /// Runs `collect-grid` to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// Runs `collect-grid --dry-run` at [`NOW`].
    pub fn dry_run(&self) -> Outcome {
        self.run(&["--dry-run", "--now", &NOW.to_string()])
    }
}

impl Outcome {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let began = Instant::now();
        let output = command.output().unwrap();
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
            took: began.elapsed(),
        }
    }

    /// The lines of standard output that hold `text`.
    pub fn lines_with(&self, text: &str) -> Vec<&str> {
        self.stdout.lines().filter(|line| line.contains(text)).collect()
    }
}

/// Compares `actual` with the file `expected`; with `UPDATE_EXPECT=1` in the environment writes it instead.
pub fn expect(expected: &Path, actual: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(expected, actual).unwrap();
    }
    let text = fs::read_to_string(expected).unwrap_or_default();
    for (at, (left, right)) in text.lines().zip(actual.lines()).enumerate() {
        assert_eq!(left, right, "{} line {}", expected.display(), at + 1);
    }
    assert_eq!(text.lines().count(), actual.lines().count(), "{}: number of lines", expected.display());
}
