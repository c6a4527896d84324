//! `gridmon-status doctor`: looks at everything that a run needs, in the environment that cron gives, and says what to do.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::spool_commands::look;
use super::status::{Level, Status, Thresholds};
use crate::config::trusted;
use crate::frame::{CheckLine, print};
use crate::os::command;
use crate::setup::Config;
use crate::text::{Table, count, one_line, size};

/// Look at everything that a run needs, as cron would start it, and say what to do.
#[derive(Args)]
pub struct Doctor {
    /// Take NAME=VALUE lines, PATH among them, from this crontab [default: /etc/cron.d/gridmon, if it is there]
    #[arg(long, value_name = "FILE")]
    crontab: Option<PathBuf>,
}

/// Where the packages put the crontab.
const CRONTAB: &str = "/etc/cron.d/gridmon";

/// The PATH of cron for a crontab that sets none.
const CRONS_PATH: &str = "/usr/bin:/bin";

/// How long a program may take to reach its sources and sinks: longer than any deadline in a config.
const CHECKING: Duration = Duration::from_secs(3660);

/// The most output of a program that is read.
const MOST: usize = 1 << 20;

/// A disk with less room than this is said to be nearly full, in bytes.
const LITTLE_ROOM: u64 = 256 << 20;

/// A finding: who found it, what it is about, and what is right or wrong with it.
struct Finding {
    of: String,
    about: String,
    result: Result<String, String>,
}

impl Doctor {
    /// Prints the findings as one table; the exit code is 1 if one of them is bad.
    ///
    /// # Errors
    /// Fails if the crontab cannot be read, or if there is no state directory of this user.
    pub fn run(&self, config: &Config, now: Option<i64>) -> Result<ExitCode> {
        let environment = self.environment()?;
        let input = look(config, now)?;
        let programs: BTreeSet<_> = input.histories.iter().map(|history| history.program.clone()).collect();
        let directory = PathBuf::from(&input.directory);
        let mut findings = vec![
            finding(
                "config",
                config.path.as_ref().map_or("no file, all defaults".into(), |path| path.display().to_string()),
            ),
            Finding { of: String::new(), about: "clock".into(), result: clock(Path::new("/run")) },
            Finding { of: String::new(), about: "disk".into(), result: room(&directory) },
        ];
        findings.extend(state(Status::gather(input)));
        let checked: Vec<_> = thread::scope(|scope| {
            let check = |program: &String| {
                let (program, path) = (program.clone(), config.path.clone());
                let environment = &environment;
                scope.spawn(move || check(&program, path.as_deref(), environment))
            };
            let running: Vec<_> = programs.iter().map(check).collect();
            running
                .into_iter()
                .zip(&programs)
                .map(|(one, program)| one.join().unwrap_or_else(|_| died(program)))
                .collect()
        });
        add(&mut findings, checked.into_iter().flatten());
        if programs.is_empty() {
            let advice = "no program has run here yet; look at what one would send: PROGRAM --dry-run";
            findings.push(Finding { of: String::new(), about: "programs".into(), result: Err(advice.into()) });
        }
        let printed = print(&table(&findings));
        Ok(if findings.iter().all(|finding| finding.result.is_ok()) { printed } else { ExitCode::FAILURE })
    }

    /// Returns the environment that cron gives to a line of the crontab.
    fn environment(&self) -> Result<Vec<(String, String)>> {
        let path = self.crontab.clone().or_else(|| Path::new(CRONTAB).exists().then(|| CRONTAB.into()));
        let text = match &path {
            // What may set PATH for the programs is as trusted as their config.
            Some(path) => trusted(path).with_context(|| format!("crontab {}", path.display()))?,
            None => String::new(),
        };
        let mut environment = vec![("PATH".to_string(), CRONS_PATH.to_string()), ("SHELL".into(), "/bin/sh".into())];
        environment
            .extend(["HOME", "LOGNAME", "USER"].iter().filter_map(|name| Some(((*name).into(), env::var(name).ok()?))));
        environment.extend(settings(&text));
        Ok(environment)
    }
}

/// Returns the settings of a crontab, as crontab(5) has them: NAME = VALUE, with quotes around either.
fn settings(crontab: &str) -> Vec<(String, String)> {
    let unquoted = |text: &str| {
        let text = text.trim();
        let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
        inner.unwrap_or(text).to_string()
    };
    let setting = |line: &str| {
        let (name, value) = line.trim_start().split_once('=')?;
        let name = unquoted(name);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| (name, unquoted(value)))
    };
    crontab.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(setting).collect()
}

fn finding(about: &str, well: String) -> Finding {
    Finding { of: String::new(), about: about.into(), result: Ok(well) }
}

/// Whether something keeps the clock of this machine right, by what the daemons leave below `run`, /run.
fn clock(run: &Path) -> Result<String, String> {
    let keepers = [
        ("systemd/timesync/synchronized", "systemd-timesyncd"),
        ("chrony/chronyd.pid", "chrony"),
        ("chronyd.pid", "chrony"),
        ("ntpd.pid", "ntpd"),
        ("ntpsec/ntpd.pid", "ntpsec"),
        ("openntpd.pid", "openntpd"),
    ];
    let is_container = Path::new("/run/.containerenv").exists() || Path::new("/.dockerenv").exists();
    match keepers.iter().find(|(path, _)| run.join(path).exists()) {
        Some((_, keeper)) => Ok(format!("kept right by {keeper}")),
        None if is_container => Ok("that of the machine outside of this container".into()),
        None => {
            Err("nothing is seen that keeps it right; points carry its times: install chrony or systemd-timesyncd"
                .into())
        }
    }
}

/// Says how much room is left on the disk of the state directory.
fn room(directory: &Path) -> Result<String, String> {
    let disk = rustix::fs::statvfs(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = format!("{} free for {}", size(free), directory.display());
    if free < LITTLE_ROOM {
        return Err(format!(
            "{shown}; a full disk takes neither points nor reports: make room, or move [state] directory"
        ));
    }
    Ok(shown)
}

/// Says what the state directory and the reports of the last runs tell, by the thresholds of the monitor's check.
fn state(status: Status) -> Vec<Finding> {
    let (line, level) = status.nagios(&Thresholds::default());
    let words = line.split(" | ").next().unwrap_or_default().split_once(" - ").map_or("", |(_, words)| words);
    let result = if level == Level::Ok { Ok(words.to_string()) } else { Err(words.to_string()) };
    vec![Finding { of: String::new(), about: "runs".into(), result }]
}

/// Returns what `PROGRAM --check` says in such an environment; the program lies beside this one.
fn check(program: &str, config: Option<&Path>, environment: &[(String, String)]) -> Vec<Finding> {
    match ask(program, config, environment) {
        Ok(lines) => {
            let finding = |(about, result)| Finding { of: program.into(), about, result };
            lines.into_iter().map(finding).collect()
        }
        Err(error) => vec![Finding { of: program.into(), about: "--check".into(), result: Err(format!("{error:#}")) }],
    }
}

fn ask(program: &str, config: Option<&Path>, environment: &[(String, String)]) -> Result<Vec<CheckLine>> {
    let path = env::current_exe().context("the path of this program")?.with_file_name(program);
    let mut command = Command::new(&path);
    command.arg("--check").env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let mut printed = Vec::new();
    let ended = command::exchange(&mut command, b"", Instant::now() + CHECKING, |piece| {
        printed.extend_from_slice(piece);
        if printed.len() > MOST { bail!("more than {} of output", size(MOST as u64)) } else { Ok(()) }
    });
    let ended = ended.with_context(|| path.display().to_string())?;
    let lines: Vec<_> = String::from_utf8_lossy(&printed).lines().filter_map(line).collect();
    if lines.is_empty() {
        bail!("{}", one_line(&ended.printed()));
    }
    Ok(lines)
}

/// Reads a line of `--check`: `ok      carbon  localhost:2004 …`.
fn line(line: &str) -> Option<CheckLine> {
    let (state, rest) = line.split_once(' ')?;
    let (about, words) = rest.trim_start().split_once("  ")?;
    let words = words.trim_start().to_string();
    match state {
        "ok" => Some((about.into(), Ok(words))),
        "failed" => Some((about.into(), Err(words))),
        _ => None,
    }
}

fn died(program: &str) -> Vec<Finding> {
    let result = Err("the check panicked; please report it".into());
    vec![Finding { of: program.into(), about: "--check".into(), result }]
}

/// Adds findings; what several programs say alike, of a sink for instance, once.
fn add(findings: &mut Vec<Finding>, more: impl Iterator<Item = Finding>) {
    for finding in more {
        let same = |one: &&mut Finding| one.about == finding.about && one.result == finding.result;
        match findings.iter_mut().find(same) {
            Some(one) if one.of.is_empty() => {}
            Some(one) => one.of = format!("{}, {}", one.of, finding.of),
            None => findings.push(finding),
        }
    }
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new(&["", "what", "of", "finding, and what to do"]);
    for Finding { of, about, result } in findings {
        let (state, words) = match result {
            Ok(words) => ("ok", words),
            Err(words) => ("bad", words),
        };
        table.row(&[state.into(), about.clone(), of.clone(), words.clone()]);
    }
    let bad = findings.iter().filter(|finding| finding.result.is_err()).count();
    let sum = if bad == 0 { "all well".into() } else { count(bad, "finding") + " to see to" };
    format!("{}\n{sum}\n", table.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_crontab_are_those_that_cron_takes() {
        let crontab = "# PATH=/comment\nPATH=/usr/local/bin:/usr/bin\n MAILTO = ops@example.org\n'A B'=c\n\"NAME\" = ' x '\n\
                       * * * * * collect-grid --config /etc/gridmon/config.cfg # a=b\n*/5 * * * * root X=1 collect-panda\nEMPTY=\n";
        let expected =
            [("PATH", "/usr/local/bin:/usr/bin"), ("MAILTO", "ops@example.org"), ("NAME", " x "), ("EMPTY", "")];
        assert_eq!(settings(crontab), expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn a_clock_that_nothing_keeps_is_a_finding() {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("clock-{}", std::process::id()));
        std::fs::create_dir_all(run.join("chrony")).unwrap();
        let lone = clock(&run);
        std::fs::write(run.join("chrony/chronyd.pid"), "1").unwrap();
        let kept = clock(&run);
        std::fs::remove_dir_all(&run).unwrap();
        assert_eq!(kept, Ok("kept right by chrony".into()));
        assert!(lone.is_err() || lone.is_ok_and(|words| words.ends_with("container")));
    }

    #[test]
    fn a_line_of_check_is_read_as_it_was_written() {
        assert_eq!(
            line("ok      config  no file, all defaults"),
            Some(("config".into(), Ok("no file, all defaults".into())))
        );
        assert_eq!(
            line("failed  mysql, table jobs  no answer  at all"),
            Some(("mysql, table jobs".into(), Err("no answer  at all".into())))
        );
        for other in ["", "ok", "ok      config", "warning x  y"] {
            assert_eq!(line(other), None, "{other}");
        }
    }

    #[test]
    fn what_several_programs_say_alike_is_said_once() {
        let of = |of: &str, about: &str, result: Result<&str, &str>| Finding {
            of: of.into(),
            about: about.into(),
            result: result.map(String::from).map_err(String::from),
        };
        let mut findings = vec![of("", "config", Ok("c.cfg"))];
        add(
            &mut findings,
            [
                of("collect-grid", "config", Ok("c.cfg")),
                of("collect-grid", "carbon", Err("refused")),
                of("collect-panda", "carbon", Err("refused")),
                of("collect-panda", "panda", Ok("501 queues")),
            ]
            .into_iter(),
        );
        let rows: Vec<_> = findings.iter().map(|one| (one.of.as_str(), one.about.as_str())).collect();
        assert_eq!(rows, [("", "config"), ("collect-grid, collect-panda", "carbon"), ("collect-panda", "panda")]);
        assert!(table(&findings).ends_with("\n1 finding to see to\n"), "{}", table(&findings));
    }
}
