//! The frame of every cron program: flags, one clock, the lock, the deadline, what is printed and when, the exit code and
//! the report of the run.
//!
//! Exit 0: everything answered and was delivered. 1: something did not or was not, and a line says what. 2: the flags or
//! the config are wrong, and nothing was asked or sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::config::Config;
use crate::delivery::{Account, Outgoing};
use crate::point::{Dropped, Measurement, Point, SECOND, sound};
use crate::sinks::carbon;
use crate::sources::Problem;
use crate::spool::Header;
use crate::state::{self, COVERAGE, Lock, RUN, Report, State, say, vanished};
use crate::words::one_line;
use crate::{command, delivery};

/// The flags that every cron program has.
#[derive(Args, Debug)]
pub struct Common {
    /// Read this config instead of ./config.cfg or /etc/gridmon/config.cfg
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do everything but the last step: print the points, sorted, instead of sending them
    #[arg(short = 'n', long, conflicts_with_all = ["check", "list"])]
    dry_run: bool,
    /// How --dry-run prints them: "path value timestamp", line protocol, or a JSON object a line
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "carbon", requires = "dry_run")]
    format: Format,
    /// The run's clock: unix seconds, RFC 3339, or "YYYY-mm-dd HH:MM:SS" in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    now: Option<i64>,
    /// Validate the config and reach every source and sink, without writing
    #[arg(long, conflicts_with = "list")]
    check: bool,
    /// Print the measurements that this program sends
    #[arg(long)]
    list: bool,
    /// Tell on stderr what happens
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Carbon,
    Influx,
    Json,
}

/// What the frame needs to know of a program.
#[derive(Debug)]
pub struct Program {
    /// Its name, the first word of every line that it prints on stderr.
    pub name: &'static str,
    /// The seconds between two runs. Times of points are rounded down to it, so that a late start makes neither a double
    /// nor a hole.
    pub step_seconds: i64,
    /// What it sends, besides coverage and the report of its last run.
    pub measurements: &'static [&'static Measurement],
}

/// What a program has collected.
#[derive(Debug, Default)]
pub struct Collected {
    /// The points.
    pub points: Vec<Point>,
    /// The measurements of which every series that there is was seen; a count series of theirs that is missing is zero,
    /// and the run covers them.
    pub complete: Vec<&'static Measurement>,
}

/// One line of `--check`: what was reached, and what it is or why it was not.
pub type Checked = (String, Result<String, String>);

/// A run, as the program sees it.
#[derive(Debug)]
pub struct Run<'a> {
    /// The config.
    pub config: &'a Config,
    /// The run's clock in unix seconds.
    pub now: i64,
    /// The time of the run's points, in nanoseconds.
    pub time: i64,
    /// When the sources must have ended.
    pub until: Instant,
    /// `None` when the state is neither read nor written.
    state: Option<State>,
    may_write: bool,
    problems: Vec<Problem>,
    report: Report,
}

/// The time between the end of the sources and the end of the run, for the sinks.
const FOR_SINKS: Duration = Duration::from_secs(15);

/// The last part of it, when the sinks must have ended too.
const FOR_REPORT: Duration = Duration::from_secs(1);

/// Runs a cron program: `collect` asks its sources and makes the points, `check` reaches its sources.
pub fn cron(
    program: &Program,
    common: &Common,
    collect: impl FnOnce(&mut Run) -> Collected,
    check: impl FnOnce(&Config, Instant) -> Vec<Checked>,
) -> ExitCode {
    if common.list {
        let measurements: Vec<_> = program.measurements.iter().copied().chain([&COVERAGE, &RUN]).collect();
        return print(&list(&measurements));
    }
    let config = Config::load(common.config.as_deref());
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            complain(program, &[format!("{error:#}")]);
            return ExitCode::from(2);
        }
    };
    match run(program, common, &config, collect, check) {
        Ok(code) => code,
        Err(error) => {
            complain(program, &[format!("{error:#}")]);
            ExitCode::FAILURE
        }
    }
}

fn run(
    program: &Program,
    common: &Common,
    config: &Config,
    collect: impl FnOnce(&mut Run) -> Collected,
    check: impl FnOnce(&Config, Instant) -> Vec<Checked>,
) -> Result<ExitCode> {
    let began = Instant::now();
    let allowed = Duration::from_secs(config.grid.deadline_seconds);
    let deadline = began + allowed;
    let until = deadline - FOR_SINKS.min(allowed / 2);
    // The rest is for the report, and so that what the sinks have to say comes before the watch's last word.
    let sinks_until = deadline - FOR_REPORT.min(allowed / 10);
    let now = common.now.unwrap_or_else(|| Timestamp::now().as_second());

    let in_earnest = !common.dry_run && !common.check;
    let state = State::open(config.state_directory.as_deref(), program.name, &config.grid.name, in_earnest);
    // Looking needs no state.
    let state = if in_earnest { Some(state?) } else { state.ok() };
    let lock = match &state {
        Some(state) if in_earnest => match state.lock(allowed)? {
            Some(lock) => Some(lock),
            None => return Ok(ExitCode::SUCCESS),
        },
        _ => None,
    };
    // A run of the past must neither use nor change what later ones know.
    let directory = match &state {
        Some(state) => state.directory().to_path_buf(),
        None => state::directory(config.state_directory.as_deref()),
    };
    let state = state.filter(|state| common.now.is_none() || state.last().is_none_or(|last| last.time <= now));
    watch(program.name, deadline, allowed)?;

    if common.check {
        let path = config.path.as_ref().map_or("no file, all defaults".into(), |path| path.display().to_string());
        let mut lines = vec![("config".to_string(), Ok(path))];
        lines.extend(check(config, until));
        lines.push(("roles".into(), Ok(delivery::roles(config))));
        for sink in delivery::sinks(config, &directory) {
            lines.push((sink.name().into(), sink.check(sinks_until).map_err(|error| format!("{error:#}"))));
        }
        return Ok(print_checked(&lines));
    }
    let time = now.div_euclid(program.step_seconds) * program.step_seconds * SECOND;
    let report = Report { time: now, ..Report::default() };
    let mut run = Run { config, now, time, until, state, may_write: in_earnest, problems: Vec::new(), report };
    let Collected { mut points, complete } = collect(&mut run);
    let before: BTreeSet<String> = run.recall("series");
    let (zeros, series) = vanished(&before, &points, &complete, time);
    points.extend(zeros);
    let covered =
        |measurement: &Measurement| COVERAGE.point(time, [&config.grid.name, measurement.name], &[("slots", 1.into())]);
    points.extend(complete.iter().map(|measurement| covered(measurement)));
    if let Some(last) = run.state.as_ref().filter(|_| in_earnest).and_then(State::last) {
        points.push(last.point(&config.grid.name, &host_name(), program.name, program.step_seconds));
    }
    run.report.collected = points.len();
    let (points, unsound) = sound(points);

    let (shown, dropped) = if common.dry_run {
        let (text, rejected) = show(&points, common.format);
        (print(&text), unsound.into_iter().chain(rejected).collect())
    } else {
        let spool = delivery::open(&directory).map_err(|error| format!("{error:#}"));
        let header = Header {
            program: program.name.into(),
            grid: config.grid.name.clone(),
            time: time / SECOND,
            tier: "raw".into(),
            database: String::new(),
            sinks: BTreeSet::new(),
        };
        let spool = spool.as_ref().map_err(String::clone);
        let outgoing = Outgoing { header, points, unsound, spool, config: &config.spool, now, progress: &|_| {} };
        let sinks = delivery::sinks(config, &directory);
        let delivery = outgoing.deliver(&sinks, sinks_until, || {
            if series != before {
                run.remember("series", &series);
            }
        });
        run.problems.extend(delivery.problems);
        // By the wall clock: a run of another time must not cost what is kept for this one.
        for sink in sinks.iter().filter(|_| common.now.is_none()) {
            if delivery.accounts.get(sink.name()).is_none_or(|account| account.spooled > 0) {
                continue;
            }
            let tidied = sink.tidy(now, sinks_until).err();
            run.problems
                .extend(tidied.map(|error| Problem::new(format!("tidying {}", sink.name()), format!("{error:#}"))));
        }
        for (sink, account) in &delivery.accounts {
            if account.sum() != run.report.collected {
                let words = format!("{} points collected, but {account:?}; this is a bug", run.report.collected);
                run.problems.push(Problem::new(format!("account of {sink}"), words));
            }
        }
        run.report.sinks = delivery.accounts;
        (ExitCode::SUCCESS, delivery.dropped)
    };
    run.problems.extend(dropped_problem(&dropped, common.verbose));
    run.report.dropped = dropped.iter().take(20).map(|dropped| format!("{}: {}", dropped.name, dropped.why)).collect();
    if common.verbose {
        run.tell(program);
    }
    let code = finish(program, common, run, began, lock);
    Ok(if shown == ExitCode::SUCCESS { code } else { shown })
}

/// The first label of this host's name.
pub fn host_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.split('.').next().unwrap_or_default().to_string()
}

/// A time in words, to the minute: `2024-06-01 12:30 UTC`.
pub fn utc(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Says what is to be said, writes the report, and gives the lock back.
fn finish(program: &Program, common: &Common, mut run: Run, began: Instant, lock: Option<Lock>) -> ExitCode {
    let slot = Timestamp::from_second(run.time / SECOND)
        .map(|slot| slot.strftime("%H:%M UTC").to_string())
        .unwrap_or_default();
    // A person who looks wants to see what is wrong now, and so does everybody while there is no memory.
    let always = common.verbose || !run.may_write || run.state.is_none() || io::stderr().is_terminal();
    let nothing = BTreeMap::new();
    let before = run.state.as_ref().and_then(State::last).map_or(&nothing, |last| &last.failing);
    let before = if run.may_write { before } else { &nothing };
    let (lines, failing) = say(before, &run.problems, run.now, always);
    let success = run.problems.is_empty();
    let lines: Vec<_> =
        lines.into_iter().map(|line| if success { line } else { format!("{line}, at {slot}") }).collect();
    complain(program, &lines);

    run.report.success = success;
    run.report.failing = failing;
    run.report.duration_seconds = began.elapsed().as_secs_f64();
    let mut kept = Ok(());
    if let Some(state) = run.state.as_mut().filter(|_| run.may_write) {
        kept = state.add(run.report);
    }
    drop(lock);
    if let Err(error) = &kept {
        complain(program, &[format!("{error:#}; the report of this run is lost")]);
    }
    if success && kept.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Run<'_> {
    /// Notes what a source did not answer.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes how long a source took.
    pub fn took(&mut self, source: &str, time: Duration) {
        self.report.sources.insert(source.into(), (time.as_secs_f64() * 1000.0).round() / 1000.0);
    }

    /// What an earlier run remembered as `what`; the default when none did.
    pub fn recall<T: DeserializeOwned + Default>(&self, what: &str) -> T {
        self.state.as_ref().map(|state| state.recall(what)).unwrap_or_default()
    }

    /// Remembers `value` as `what` for later runs. Under `--dry-run` nothing is written.
    pub fn remember<T: Serialize>(&mut self, what: &str, value: &T) {
        if let Some(Err(error)) =
            self.state.as_ref().filter(|_| self.may_write).map(|state| state.remember(what, value))
        {
            self.problem(Problem::new(
                format!("memory of {what}"),
                format!("{error:#}; the next run starts without it"),
            ));
        }
    }

    fn tell(&self, program: &Program) {
        let Report { collected, sources, sinks: accounts, .. } = &self.report;
        let mut lines: Vec<_> = sources.iter().map(|(source, seconds)| format!("{source} took {seconds} s")).collect();
        lines.push(format!(
            "collected {collected} points for {}",
            Timestamp::from_second(self.time / SECOND).unwrap_or_default()
        ));
        for (sink, account) in accounts {
            let Account { delivered, spooled, dropped, replayed, backlog } = account;
            lines.push(format!(
                "{sink}: {collected} collected = {delivered} delivered + {spooled} spooled + {dropped} dropped; {replayed} replayed, {} wait",
                backlog.points
            ));
        }
        complain(program, &lines);
    }
}

/// One problem for all dropped points: the first ones by name, or all when asked to tell everything.
fn dropped_problem(dropped: &[Dropped], all: bool) -> Option<Problem> {
    const NAMED: usize = 3;
    if dropped.is_empty() {
        return None;
    }
    let named = if all { dropped.len() } else { NAMED };
    let names: Vec<_> =
        dropped.iter().take(named).map(|dropped| format!("{} ({})", dropped.name, dropped.why)).collect();
    let more = dropped.len().saturating_sub(named);
    let more = if more > 0 { format!(" and {more} more, which --verbose names") } else { String::new() };
    Some(Problem::new("points dropped", format!("{}{more}", names.join(", "))))
}

/// Ends the process when the deadline has passed or a signal asks for it, with everything that it started. Every wait has
/// a time-out of its own that ends before; this is for the one that nobody thought of.
fn watch(program: &'static str, deadline: Instant, allowed: Duration) -> Result<()> {
    let (mut signalled, signal) = UnixStream::pair().context("socket pair")?;
    for number in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(number, signal.try_clone().context("socket pair")?)
            .context("signal handler")?;
    }
    thread::Builder::new()
        .name("watch".into())
        .spawn(move || {
            // The end that the handlers hold must outlive the wait, or it would read as closed.
            let _open = signal;
            let mut byte = [0];
            let words = loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break format!("not done after {} s; what is missing is not known", allowed.as_secs());
                }
                let _ = signalled.set_read_timeout(Some(left));
                if matches!(signalled.read(&mut byte), Ok(1)) {
                    break "interrupted; nothing more is sent".to_string();
                }
            };
            command::end_all();
            let _ = writeln!(io::stderr(), "{program}: {words}");
            std::process::exit(1);
        })
        .context("watch thread")?;
    Ok(())
}

/// The points as text, a line each, sorted; and what the format cannot show.
fn show(points: &[Point], format: Format) -> (String, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let mut lines: Vec<String> = match format {
        Format::Carbon => {
            let datapoints;
            (datapoints, dropped) = carbon::datapoints(points);
            datapoints.iter().map(carbon::Datapoint::line).collect()
        }
        Format::Influx => points.iter().map(Point::line).collect(),
        Format::Json => points.iter().map(|point| point.json().to_string()).collect(),
    };
    lines.sort();
    (lines.iter().fold(String::new(), |text, line| text + line + "\n"), dropped)
}

/// The measurements as a table for people: what `--list` prints and the README shows.
pub fn list(measurements: &[&Measurement]) -> String {
    let mut text = String::new();
    for (at, measurement) in measurements.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        let tags: Vec<_> = measurement
            .tags
            .iter()
            .map(|tag| if tag.identifies { tag.name.to_string() } else { format!("({})", tag.name) })
            .collect();
        let _ = writeln!(text, "{}: {}", measurement.name, measurement.meaning);
        let _ = writeln!(text, "    tags    {}", tags.join(", "));
        let _ = writeln!(text, "    carbon  {}", measurement.carbon);
        for field in measurement.fields {
            let _ = writeln!(
                text,
                "    {:<18}  {:<5}  {:<7}  {:<4}  {}",
                field.name, field.kind, field.unit, field.fold, field.meaning
            );
        }
    }
    text
}

fn print_checked(lines: &[Checked]) -> ExitCode {
    let width = lines.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
    let text = lines.iter().fold(String::new(), |text, (what, result)| match result {
        Ok(words) => format!("{text}ok      {what:<width$}  {}\n", one_line(words)),
        Err(words) => format!("{text}failed  {what:<width$}  {}\n", one_line(words)),
    });
    let printed = print(&text);
    if lines.iter().all(|(_, result)| result.is_ok()) { printed } else { ExitCode::FAILURE }
}

/// Writes data to standard output. A reader that has seen enough (`| head`) is no failure.
pub fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Writes lines to standard error, in one write each run of the program, so that 50 programs at once stay readable.
fn complain(program: &Program, lines: &[String]) {
    let text = lines.iter().fold(String::new(), |text, line| format!("{text}{}: {}\n", program.name, one_line(line)));
    // Nobody reads: nothing to be done.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A time as people and programs write it, in unix seconds.
///
/// # Errors
/// When it is no time from 1970 to 2262.
pub fn parse_time(text: &str) -> Result<i64> {
    let seconds = if let Ok(seconds) = text.parse::<i64>() {
        seconds
    } else if let Ok(time) = text.parse::<Timestamp>() {
        time.as_second()
    } else {
        let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok();
        let civil = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
        civil
            .ok_or_else(|| anyhow!("give unix seconds, RFC 3339, or YYYY-mm-dd HH:MM:SS in UTC"))?
            .timestamp()
            .as_second()
    };
    // The times of points are nanoseconds in 64 bits.
    ensure!((0..i64::MAX / SECOND).contains(&seconds), "give a time from 1970 to 2262");
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_as_people_write_it() {
        for (text, seconds) in [
            ("1717245000", 1_717_245_000),
            ("2024-06-01T12:30:00Z", 1_717_245_000),
            ("2024-06-01T14:30:00+02:00", 1_717_245_000),
            ("2024-06-01 12:30:00", 1_717_245_000),
            ("0", 0),
        ] {
            assert_eq!(parse_time(text).unwrap(), seconds, "{text}");
        }
        for text in ["", "yesterday", "2024-13-01 00:00:00", "-5", "9999-01-01T00:00:00Z", "99999999999999"] {
            parse_time(text).unwrap_err();
        }
    }
}
