//! The versions of what the programs talk to, as each tells its own. InfluxDB, MySQL and libvirt tell theirs in `--check`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Config;
use crate::config::Program;
use crate::frame::state;
use crate::os::work::{catch, side_by_side};
use crate::sinks::graphite::render;
use crate::sinks::{embedded, qmaster as to_qmaster};
use crate::sources::elastic;

/// How long each server may take.
const ANSWERS: Duration = Duration::from_secs(10);

/// What is said of a system that has a version to tell, and did not: whether it answers is what `--check` says.
const NOT_TOLD: &str = "not told";

/// What is said of a system that nobody can ask for its version.
const CANNOT: &str = "it has no way to tell";

/// A system, and what it calls its version.
type Told = (&'static str, String);

/// Runs a command with one more argument; returns its output and what it said of an error.
pub type RunCommand<'a> = &'a (dyn Fn(&Program, &str) -> Option<(String, String)> + Sync);

/// Returns what the sources, stores and sinks of `programs` call their versions; of each that did not tell, or cannot, that it is so.
pub fn versions(config: &Config, programs: &[&str], run: RunCommand) -> Vec<Told> {
    let directory = state::directory(config.state_directory.as_deref());
    let asks: [&(dyn Fn() -> Vec<Told> + Sync); 4] =
        [&|| tools(config, programs, run), &|| elasticsearch(config, programs), &|| graphite_web(config), &|| {
            masters(config, &directory)
        }];
    let mut told = vec![("SQLite", embedded::version())];
    let answers = side_by_side(asks.len(), asks.len(), |at| catch(asks[at]).unwrap_or_default());
    told.extend(answers.into_iter().flatten());
    told.extend(without(config, programs).into_iter().map(|name| (name, CANNOT.to_string())));
    told
}

/// Asks the commands that the programs start.
fn tools(config: &Config, programs: &[&str], run: RunCommand) -> Vec<Told> {
    let mut told = Vec::new();
    let mut tool = |name, program, command: &Program, flag| {
        if !programs.contains(&program) {
            return;
        }
        // ssh tells it on standard error.
        let version = run(command, flag).and_then(|(text, error)| version(&text).or_else(|| version(&error)));
        told.push((name, version.unwrap_or_else(|| NOT_TOLD.into())));
    };
    if let Some(condor) = &config.htcondor {
        tool("HTCondor", "collect-grid", &condor.condor_status, "-version");
    }
    tool("Slurm", "collect-slurm", &config.slurm.scontrol, "--version");
    tool("ssh", "collect-backups", &config.backups.bounds.ssh, "-V");
    told
}

/// Asks Elasticsearch, and the Grafana before it.
fn elasticsearch(config: &Config, programs: &[&str]) -> Vec<Told> {
    let asks_sizes_alone = !programs.contains(&"collect-panda");
    if asks_sizes_alone && !programs.contains(&"write-datadisk") {
        return Vec::new();
    }
    let mut asked = config.elastic.clone();
    asked.benchmarks = asked.benchmarks.filter(|_| !asks_sizes_alone);
    let told = elastic::versions(&asked, Instant::now() + ANSWERS).into_iter();
    told.map(|(name, version)| (name, version.unwrap_or_else(|| NOT_TOLD.into()))).collect()
}

fn graphite_web(config: &Config) -> Vec<Told> {
    let told = |graphite| render::web_version(graphite, Instant::now() + ANSWERS).unwrap_or_else(|| NOT_TOLD.into());
    config.graphite.iter().map(|graphite| ("graphite-web", told(graphite))).collect()
}

/// Asks the masters to which points go.
fn masters(config: &Config, directory: &Path) -> Vec<Told> {
    let masters = config.qmaster.iter().chain(&config.forward);
    let told = masters.map(|master| to_qmaster::version(master, directory, ANSWERS).unwrap_or_else(|| NOT_TOLD.into()));
    told.map(|version| ("qmaster", version)).collect()
}

/// Returns what the programs talk to and cannot be asked for a version.
fn without(config: &Config, programs: &[&str]) -> Vec<&'static str> {
    let runs = |wanted: &[&str]| wanted.iter().any(|program| programs.contains(program));
    let all = [
        ("Cloud Scheduler", runs(&["collect-grid"]) && config.cloud_scheduler.is_some()),
        ("PanDA", runs(&["collect-panda"])),
        ("CRIC", runs(&["collect-panda", "write-datadisk"])),
        ("Carbon", config.carbon.is_some()),
        ("the object store", runs(&["collect-instances"]) && config.s3.is_some()),
        ("the mail server", config.mail.is_some()),
    ];
    all.into_iter().filter(|(_, is_used)| *is_used).map(|(name, _)| name).collect()
}

/// Returns the version in what a tool prints: `$CondorVersion: 23.9.6 2024-08-08 …$`, `slurm 22.05.8`, `OpenSSH_9.2p1 Debian-2, …`.
fn version(text: &str) -> Option<String> {
    let first = text.lines().next()?.trim_start_matches("$CondorVersion:").trim_start_matches("slurm ");
    let word = first.trim_start_matches("OpenSSH_").split_whitespace().next()?.trim_end_matches(',');
    let is_version = word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && word.len() < 40;
    is_version.then(|| word.chars().filter(|c| c.is_ascii_graphic()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_each_tool_prints() {
        for (text, expected) in [
            ("$CondorVersion: 23.9.6 2024-08-08 BuildID: 750 $\n$CondorPlatform: x86_64 $\n", Some("23.9.6")),
            ("slurm 22.05.8\n", Some("22.05.8")),
            ("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15\n", Some("9.2p1")),
            ("[{\"Name\": \"ce01\"}]", None),
            ("usage: ssh [-46]", None),
            ("", None),
        ] {
            assert_eq!(version(text).as_deref(), expected, "{text}");
        }
    }
}
