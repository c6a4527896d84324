//! `gridmon-status doctor`: looks at everything that a run needs, in the environment that cron gives, and says what to do.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::crontab::{Schedule, is_enabled};
use super::machine;
use super::spool_commands::{NAME, look};
use super::status::{Level, Status, StatusInput, Thresholds};
use crate::config::Program;
use crate::frame::{CheckLine, print, state};
use crate::os::work::catch;
use crate::setup::{self, COLLECTORS, Config, versions};
use crate::text::{Table, count, one_line};

/// Look at everything that a run needs, as cron would start it, and say what to do.
#[derive(Args)]
pub struct Doctor {
    /// Look at what this crontab starts, with its PATH [default: /etc/cron.d/gridmon, else that of this user, else systemd's timers]
    #[arg(long, value_name = "FILE")]
    crontab: Option<PathBuf>,
}

/// The programs that run for ever and leave reports, and so have no `--check`.
const SERVICES: [&str; 2] = ["qagent", "qmaster"];

/// The dashboard, which leaves no report.
const DASHBOARD: &str = "cloud-monitor";

/// How long a program may take to reach its sources and sinks: longer than any deadline in a config.
const CHECKING: Duration = Duration::from_secs(3660);

/// How long the dashboard, a sink of a service, and `--version` may take.
const ANSWERS: Duration = Duration::from_secs(20);

/// How long a command may take to tell its version.
const VERSIONS: Duration = Duration::from_secs(10);

/// A finding: who found it, what it is about, and what is right or wrong with it.
struct Finding {
    of: String,
    about: String,
    result: Result<String, String>,
}

impl Finding {
    fn new(of: &str, about: &str, result: Result<String, String>) -> Self {
        Self { of: of.into(), about: about.into(), result }
    }

    /// A finding that is of no program.
    fn of_all(about: &str, result: Result<String, String>) -> Self {
        Self::new("", about, result)
    }
}

/// A program that is to be asked, and how.
struct Asked {
    program: String,
    path: PathBuf,
    config: Option<PathBuf>,
}

impl Doctor {
    /// Prints the findings as one table; the exit code is 1 if one of them is bad. A config that cannot be read is one of them.
    pub fn run(&self, config: Result<&Config>, now: Option<i64>) -> ExitCode {
        let mut findings = Vec::new();
        let read = match &config {
            Ok(config) => {
                Ok(config.path.as_ref().map_or("no file, all defaults".into(), |path| path.display().to_string()))
            }
            Err(error) => Err(format!("{error:#}")),
        };
        findings.push(Finding::of_all("config", read));
        findings.push(Finding::of_all("clock", machine::clock(Path::new("/run"))));
        let schedule = Schedule::look(self.crontab.as_deref()).unwrap_or_else(|error| {
            findings.push(Finding::of_all("crontab", Err(format!("{error:#}"))));
            Schedule::none()
        });
        if let Ok(config) = config {
            findings.extend(of_config(config, now, &schedule));
        }
        add_alike(&mut findings);
        let printed = print(&table(&findings));
        if findings.iter().all(|finding| finding.result.is_ok()) { printed } else { ExitCode::FAILURE }
    }
}

/// Looks at what the config names: the state directory, the programs that ran or will, and the dashboard.
fn of_config(config: &Config, now: Option<i64>, schedule: &Schedule) -> Vec<Finding> {
    let directory = state::directory(config.state_directory.as_deref());
    let mut findings = vec![Finding::of_all("disk", machine::room(&directory))];
    if let Some(problem) = state::refusal(&directory, NAME) {
        findings.push(Finding::of_all("state", Err(problem)));
    }
    let input = look(config, now);
    let input = input.unwrap_or_else(|error| {
        findings.push(Finding::of_all("state", Err(format!("{error:#}"))));
        StatusInput::default()
    });
    let ran: BTreeSet<_> = input.histories.iter().map(|one| (one.program.clone(), one.grid.clone())).collect();
    if !input.directory.is_empty() {
        findings.push(state_of(Status::gather(input)));
    }
    let asked = asked(config, &ran, schedule, &mut findings);
    let checked: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = asked.iter().map(|one| scope.spawn(move || check(one, schedule))).collect();
        running
            .into_iter()
            .zip(&asked)
            .map(|(one, asked)| one.join().unwrap_or_else(|_| died(&asked.program)))
            .collect()
    });
    findings.extend(checked.into_iter().flatten());
    let programs: Vec<_> = asked.iter().map(|one| one.program.as_str()).collect();
    let run = |program: &Program, flag: &str| run(program, flag, schedule);
    let told = versions(config, &programs, &run).into_iter();
    findings.extend(told.map(|(of, version)| Finding::new(of, "version", Ok(version))));
    findings.extend(of_services(config, &directory, &ran));
    findings.extend(of_dashboard(config));
    if ran.is_empty() && asked.is_empty() {
        let advice = "no program has run here yet; look at what one would send: PROGRAM --dry-run";
        findings.push(Finding::of_all("programs", Err(advice.into())));
    }
    findings
}

/// Returns the programs to ask: those that the schedule starts, as it does, and those that have run here without it.
fn asked(
    config: &Config,
    ran: &BTreeSet<(String, String)>,
    schedule: &Schedule,
    findings: &mut Vec<Finding>,
) -> Vec<Asked> {
    let mut asked = Vec::<Asked>::new();
    for one in &schedule.started {
        let place = match one.line {
            0 => schedule.from.clone(),
            line => format!("{}, line {line}", schedule.from),
        };
        match schedule.find(&one.word) {
            Ok(path) => {
                findings.push(Finding::new(one.program, "schedule", Ok(format!("{place}, starts {}", path.display()))));
                let is_known = asked.iter().any(|other| other.path == path && other.config == one.config);
                if !is_known {
                    asked.push(Asked { program: one.program.into(), path, config: one.config.clone() });
                }
            }
            Err(error) => findings.push(Finding::new(one.program, "schedule", Err(format!("{place}: {error:#}")))),
        }
    }
    let programs: BTreeSet<_> = ran.iter().map(|(program, _)| program.as_str()).collect();
    for program in programs.into_iter().filter(|program| COLLECTORS.contains(program)) {
        if !asked.iter().any(|other| other.program == program)
            && let Ok(own) = env::current_exe()
        {
            // Cron starts programs in another folder.
            let config = config.path.as_deref().map(|path| absolute(path).unwrap_or(path.into()));
            asked.push(Asked { program: program.into(), path: own.with_file_name(program), config });
        }
    }
    asked
}

/// Says what the state directory and the reports of the last runs tell, by the thresholds of the monitor's check.
fn state_of(status: Status) -> Finding {
    let (line, level) = status.nagios(&Thresholds::default());
    let text = line.split(" | ").next().unwrap_or_default().split_once(" - ").map_or("", |(_, text)| text).to_string();
    Finding::of_all("runs", if level == Level::Ok { Ok(text) } else { Err(text) })
}

/// Says whether the services that have run here, or that systemd starts, run now; and asks their sinks.
fn of_services(config: &Config, directory: &Path, ran: &BTreeSet<(String, String)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in SERVICES {
        let grids: Vec<_> = ran.iter().filter(|(of, _)| of == program).map(|(_, grid)| grid.as_str()).collect();
        if grids.is_empty() && is_enabled(program) {
            let advice = format!("is started with the machine, and has left no report; see: journalctl -u {program}");
            findings.push(Finding::new(program, "service", Err(advice)));
        }
        for grid in grids {
            let told = state::serving(directory, program, grid).map_err(|error| format!("{error:#}"));
            findings.push(Finding::new(program, "service", told));
            findings.extend(setup::sinks(config, directory).iter().map(|sink| {
                let answer = catch(|| sink.check(Instant::now() + ANSWERS)).flatten();
                Finding::new(program, sink.name(), answer.map_err(|error| format!("{error:#}")))
            }));
        }
    }
    findings
}

/// Asks the dashboard, if it should run here or does.
fn of_dashboard(config: &Config) -> Option<Finding> {
    let listen = &config.dashboard.listen;
    let status = page(listen);
    match status {
        Ok(status) if status.split(' ').nth(1) == Some("200") => {
            Some(Finding::new(DASHBOARD, "service", Ok(format!("http://{listen}/ answers"))))
        }
        Ok(status) => {
            Some(Finding::new(DASHBOARD, "service", Err(format!("http://{listen}/ answers {}", one_line(&status)))))
        }
        Err(error) if is_enabled(DASHBOARD) => Some(Finding::new(
            DASHBOARD,
            "service",
            Err(format!("http://{listen}/: {error:#}; see: journalctl -u {DASHBOARD}")),
        )),
        // Most machines have none.
        Err(_) => None,
    }
}

/// Runs a command of the config with one more argument, as a program of the schedule would.
fn run(program: &Program, flag: &str, schedule: &Schedule) -> Option<(String, String)> {
    let (first, others) = program.argv.split_first()?;
    let path = schedule.find(first).ok()?;
    schedule.ask(&path, others.iter().map(String::as_str).chain([flag]), VERSIONS).ok()
}

/// Returns the status line of the dashboard's first page.
fn page(listen: &str) -> Result<String> {
    let address = listen.to_socket_addrs()?.next().context("no address")?;
    let mut connection = TcpStream::connect_timeout(&address, ANSWERS)?;
    connection.set_read_timeout(Some(ANSWERS))?;
    connection.set_write_timeout(Some(ANSWERS))?;
    write!(connection, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 64];
    let read = connection.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..read]);
    Ok(answer.lines().next().unwrap_or_default().to_string())
}

/// Returns what `PROGRAM --check` says in the environment of the schedule, and whether the program is of this version.
fn check(asked: &Asked, schedule: &Schedule) -> Vec<Finding> {
    let program = asked.program.as_str();
    let mut findings = match ask(asked, schedule) {
        Ok(lines) => lines.into_iter().map(|(about, result)| Finding::new(program, &about, result)).collect(),
        Err(error) => vec![Finding::new(program, "--check", Err(format!("{error:#}")))],
    };
    let own = env!("CARGO_PKG_VERSION");
    if let Ok((text, _)) = schedule.ask(&asked.path, ["--version"], ANSWERS) {
        let version = text.trim().rsplit(' ').next().unwrap_or_default();
        let result = match version == own {
            true => Ok(own.to_string()),
            false => Err(format!(
                "{} is of version {}, and this is {own}: remove the other one, or set PATH",
                asked.path.display(),
                one_line(version)
            )),
        };
        findings.push(Finding::new(program, "version", result));
    }
    findings
}

fn ask(asked: &Asked, schedule: &Schedule) -> Result<Vec<CheckLine>> {
    let mut arguments = vec![OsStr::new("--check")];
    if let Some(config) = &asked.config {
        arguments.extend([OsStr::new("--config"), config.as_os_str()]);
    }
    let (text, error) =
        schedule.ask(&asked.path, arguments, CHECKING).with_context(|| asked.path.display().to_string())?;
    let lines: Vec<_> = text.lines().filter_map(line).collect();
    if lines.is_empty() {
        bail!("{}", one_line(&error));
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
    vec![Finding::new(program, "--check", Err("the check panicked; please report it".into()))]
}

/// Tells once what several programs say alike, of a sink for instance.
fn add_alike(findings: &mut Vec<Finding>) {
    for finding in std::mem::take(findings) {
        let same = |one: &&mut Finding| one.about == finding.about && one.result == finding.result;
        match findings.iter_mut().find(same) {
            Some(one) if one.of.is_empty() || one.of.split(", ").any(|of| of == finding.of) => {}
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
        let of = |of: &str, about: &str, result: Result<&str, &str>| {
            Finding::new(of, about, result.map(String::from).map_err(String::from))
        };
        let mut findings = vec![
            of("", "config", Ok("c.cfg")),
            of("collect-grid", "config", Ok("c.cfg")),
            of("collect-grid", "carbon", Err("refused")),
            of("collect-panda", "carbon", Err("refused")),
            of("collect-panda", "carbon", Err("refused")),
            of("collect-panda", "panda", Ok("501 queues")),
        ];
        add_alike(&mut findings);
        let rows: Vec<_> = findings.iter().map(|one| (one.of.as_str(), one.about.as_str())).collect();
        assert_eq!(rows, [("", "config"), ("collect-grid, collect-panda", "carbon"), ("collect-panda", "panda")]);
        assert!(table(&findings).ends_with("\n1 finding to see to\n"), "{}", table(&findings));
    }
}
