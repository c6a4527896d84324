//! The versions of what the programs talk to, as each tells its own. InfluxDB, MySQL and libvirt tell theirs in `--check`.

use std::time::{Duration, Instant};

use super::crontab::Schedule;
use crate::setup::Config;
use crate::sinks::embedded;
use crate::sinks::graphite::render;

/// How long each may take.
const ANSWERS: Duration = Duration::from_secs(10);

/// Returns what the sources and stores of `programs` call themselves; nothing of those that do not tell, since only `--check` knows
/// whether they answer.
pub fn versions(config: &Config, programs: &[&str], schedule: &Schedule) -> Vec<(&'static str, String)> {
    let mut told = vec![("SQLite", embedded::version())];
    let mut tool = |name, program, words: &[String], flag| {
        if programs.contains(&program)
            && let Some(first) = words.first()
            && let Ok(path) = schedule.find(first)
            && let Ok((text, error)) = schedule.ask(&path, words[1..].iter().map(String::as_str).chain([flag]), ANSWERS)
        {
            // ssh tells it on standard error.
            told.extend(version(&text).or_else(|| version(&error)).map(|version| (name, version)));
        }
    };
    if let Some(condor) = &config.htcondor {
        tool("HTCondor", "collect-grid", &condor.condor_status.words, "-version");
    }
    tool("Slurm", "collect-slurm", &config.slurm.scontrol.words, "--version");
    tool("ssh", "collect-backups", &config.backups.bounds.ssh.words, "-V");
    if let Some(graphite) = &config.graphite {
        told.extend(render::web_version(graphite, Instant::now() + ANSWERS).map(|version| ("graphite-web", version)));
    }
    told
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
