//! The status that `gridmon-status` prints: the backlogs, the last runs and the failures, from the reports and the
//! spool of one state directory. Rendered as text, as JSON, or as the line that Nagios and Icinga read. Pure: the
//! caller reads the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::frame::report::{History, Report};
use crate::model::{is_ahead, utc};
use crate::problem::{Failing, Subject};
use crate::spool::{Backlog, Quarantined};
use crate::text::{Table, ago, count, one_line, size};

/// The contents of a state directory, as the caller has read them.
#[derive(Debug, Default)]
pub struct StatusInput {
    /// The clock, in unix seconds.
    pub now: i64,
    /// For how long the machine has been running, in seconds; `None` if ages are counted from another clock.
    pub running: Option<i64>,
    /// The directory.
    pub directory: String,
    /// The sinks that the config selects.
    pub configured: BTreeSet<String>,
    /// The backlog of each sink, by name.
    pub backlogs: BTreeMap<String, Backlog>,
    /// The last runs of each program on each grid.
    pub histories: Vec<History>,
    /// The files in `bad/`, oldest first.
    pub aside: Vec<Quarantined>,
    /// What it means that the disk of the state directory is full; `None` if it is not.
    pub full: Option<String>,
    /// Messages about everything that could not be read.
    pub problems: Vec<String>,
}

/// The backlogs, the last runs and the failures.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The clock, in unix seconds.
    pub time: i64,
    #[serde(skip)]
    running: Option<i64>,
    /// The state directory.
    pub directory: String,
    /// Each sink that the config selects or a batch waits for, by name.
    pub sinks: BTreeMap<String, SinkStatus>,
    /// Each program on each grid, sorted.
    pub programs: Vec<ProgramStatus>,
    /// The parts that failed in the last run of each program, except sinks: mostly sources that did not answer.
    #[serde(rename = "dark")]
    pub failing_parts: Vec<FailingPart>,
    /// The files in `bad/`, oldest first.
    pub aside: Vec<Quarantined>,
    /// Why points of runs are lost, whatever the reports say: such runs leave none.
    pub lost: Vec<String>,
    /// Messages about everything that could not be read.
    pub problems: Vec<String>,
}

/// The status of one sink.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct SinkStatus {
    /// Whether the config selects it.
    pub configured: bool,
    /// Its backlog.
    #[serde(flatten)]
    pub backlog: Backlog,
    /// For how long the oldest has been waiting, in seconds.
    pub waiting_seconds: i64,
    /// The last run in which it acknowledged points, in unix seconds; `None` if it did so in no remembered run.
    pub last_acknowledged: Option<i64>,
    /// The last error of the sink or its replay; `None` if neither failed in a remembered run.
    pub last_error: Option<LastError>,
}

/// The last error of a sink.
#[derive(Debug, PartialEq, Serialize)]
pub struct LastError {
    /// The run that reported it, in unix seconds.
    pub time: i64,
    /// The first run with this failure, in unix seconds.
    pub since: i64,
    /// The message.
    #[serde(rename = "words")]
    pub message: String,
}

/// One program on one grid.
#[derive(Debug, PartialEq, Serialize)]
pub struct ProgramStatus {
    /// The program.
    pub program: String,
    /// The grid.
    pub grid: String,
    /// The usual time between two of its runs, in seconds; `None` if too few runs are remembered.
    pub interval_seconds: Option<i64>,
    /// Its runs, oldest first.
    pub runs: Vec<Report>,
}

/// A part that failed in the last run of a program.
#[derive(Debug, PartialEq, Serialize)]
pub struct FailingPart {
    /// The program.
    pub program: String,
    /// The grid.
    pub grid: String,
    /// The part: `schedd ce01.example.org`.
    pub what: String,
    /// The first run with this failure, in unix seconds.
    pub since: i64,
    /// The message.
    #[serde(rename = "words")]
    pub message: String,
}

/// The limits above which a monitor warns or alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Above it: WARNING.
    pub warn: Option<i64>,
    /// Above it: CRITICAL.
    pub crit: Option<i64>,
}

/// The thresholds of the monitor's check.
#[derive(Clone, Debug, Default)]
pub struct Thresholds {
    /// The age of the oldest batch that waits for a sink, in seconds.
    pub age: Limits,
    /// The number of points that wait for a sink.
    pub points: Limits,
    /// How long a part has been failing, in seconds.
    pub failing: Limits,
    /// The age of the last run, in seconds, by program. The empty name applies to every program without its own entry.
    /// If there is neither, [`ProgramStatus::expected_interval`] applies.
    pub run_age: BTreeMap<String, Limits>,
}

/// The state that a monitor shows, in the order of the plugins' exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Ok,
    /// An operator should look.
    Warning,
    /// An operator must look.
    Critical,
    /// The state is not known.
    Unknown,
}

impl Level {
    /// Returns the plugin's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Returns the severity. A known failure is worse than an unknown state, as in Nagios's own plugins.
    fn weight(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unknown => 1,
            Self::Warning => 2,
            Self::Critical => 3,
        }
    }
}

impl Limits {
    fn level(self, value: i64) -> Level {
        let above = |limit: Option<i64>| limit.is_some_and(|limit| value > limit);
        match () {
            () if above(self.crit) => Level::Critical,
            () if above(self.warn) => Level::Warning,
            () => Level::Ok,
        }
    }

    /// Returns `;warn;crit;min` for a perfdata item.
    fn perfdata(self) -> String {
        let text = |limit: Option<i64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        format!(";{};{};0", text(self.warn), text(self.crit))
    }
}

/// Returns the name under which a run reports a failed replay to a sink.
fn replay_to(sink: &str) -> String {
    Subject::Replay(sink.into()).to_string()
}

impl Status {
    /// Builds the status from the reports and the spool.
    pub fn gather(input: StatusInput) -> Self {
        let StatusInput { now, running, directory, configured, backlogs, histories, aside, full, mut problems } = input;
        let mut lost: Vec<_> = full.into_iter().collect();
        let names: BTreeSet<_> = configured.iter().chain(backlogs.keys()).cloned().collect();
        let sinks: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| {
                let backlog = backlogs.get(&name).copied().unwrap_or_default();
                let sink = SinkStatus {
                    configured: configured.contains(&name),
                    waiting_seconds: waiting_seconds(&backlog, now, running),
                    backlog,
                    last_acknowledged: last_acknowledged(&histories, &name, now),
                    last_error: last_error(&histories, &name, now),
                };
                (name, sink)
            })
            .collect();
        let of_a_sink = |what: &str| sinks.keys().any(|sink| what == sink || what == replay_to(sink));
        let mut failing_parts = Vec::new();
        let mut programs = Vec::new();
        for History { program, grid, reports, problem, unreported } in histories {
            if !problem.is_empty() {
                problems.push(format!("{directory}/{program}.{grid}.reports: {problem}"));
            }
            if let Some(first) = unreported.filter(|first| now.saturating_sub(*first) > AT_WORK) {
                lost.push(format!(
                    "{program} {grid}: no run has left a report since that of {}: it was killed, or could not write it; what it collected may be lost",
                    utc(first)
                ));
            }
            if reports.is_empty() {
                continue;
            }
            let failing = reports.last().map(|last| &last.failing).into_iter().flatten();
            for (what, Failing { since, message, .. }) in failing.filter(|(what, _)| !of_a_sink(what)) {
                failing_parts.push(FailingPart {
                    program: program.clone(),
                    grid: grid.clone(),
                    what: what.clone(),
                    since: *since,
                    message: message.clone(),
                });
            }
            programs.push(ProgramStatus { interval_seconds: interval(&reports), program, grid, runs: reports });
        }
        Self { time: now, running, directory, sinks, programs, failing_parts, aside, lost, problems }
    }

    /// Returns the seconds since `time`; 0 if that is still to come.
    fn age(&self, time: i64) -> i64 {
        self.time.saturating_sub(time).max(0)
    }

    /// Returns the seconds since a run. If its clock was ahead, by the time that the machine has been running since.
    fn run_age(&self, run: &Report) -> i64 {
        match self.running.zip(run.running).filter(|_| is_ahead(run.time, self.time)) {
            Some((now, then)) => now.saturating_sub(then).max(0),
            None => self.age(run.time),
        }
    }

    fn when(&self, time: i64) -> String {
        if is_ahead(time, self.time) {
            return format!("{}, {} in the future", utc(time), ago(time.saturating_sub(self.time)));
        }
        format!("{}, {} ago", utc(time), ago(self.age(time)))
    }

    /// Renders the status as tables for people, with the last `runs` runs of each program.
    pub fn text(&self, runs: usize) -> String {
        let mut text = format!("state of {} at {}\n\n", self.directory, utc(self.time));
        self.lost.iter().for_each(|lost| text += &format!("{lost}\n\n"));
        self.sinks_text(&mut text);
        text.push('\n');
        self.programs_text(&mut text, runs);
        text.push('\n');
        if self.failing_parts.is_empty() {
            text.push_str("nothing fails\n");
        } else {
            text.push_str("failing\n");
        }
        for FailingPart { program, grid, what, since, message } in &self.failing_parts {
            let _ =
                writeln!(text, "  {what} ({program}, {grid}) since {}\n    {}", self.when(*since), one_line(message));
        }
        if let Some(last) = self.aside.last() {
            let bytes = self.aside.iter().map(|file| file.bytes).sum();
            let files = count(self.aside.len(), "file");
            let _ = writeln!(text, "\nbad/ holds {files}, {}, that cannot be sent; the last one", size(bytes));
            let _ = writeln!(text, "  {}\n    {}", one_line(&last.name), one_line(&last.why));
        }
        text
    }

    fn sinks_text(&self, text: &mut String) {
        if self.sinks.is_empty() {
            text.push_str("no sink is known, and nothing waits\n");
            return;
        }
        let heads = ["sink", "<batches", "<points", "<size", "oldest", "last acknowledgement"];
        let mut table = Table::new(&heads);
        for (name, SinkStatus { backlog, waiting_seconds, last_acknowledged, last_error, configured }) in &self.sinks {
            table.row(&[
                name.clone(),
                backlog.batches.to_string(),
                backlog.points.to_string(),
                size(backlog.bytes),
                backlog.oldest.map_or("nothing waits".into(), |oldest| {
                    format!("{}, waits for {}", utc(oldest), ago(*waiting_seconds))
                }),
                last_acknowledged.map_or("in no run remembered".into(), |time| self.when(time)),
            ]);
            if let Some(LastError { time, since, message }) = last_error {
                let lasted = if since < time { format!(", since {}", utc(*since)) } else { String::new() };
                table.note(format!("last error {}{lasted}: {}", self.when(*time), one_line(message)));
            }
            if !configured {
                table.note(format!(
                    "the config does not select it: select it again, or put its batches aside with `gridmon-status discard --sink {name}`"
                ));
            }
        }
        text.push_str(&table.text());
    }

    fn programs_text(&self, text: &mut String, runs: usize) {
        if self.programs.is_empty() {
            text.push_str("no program has reported a run: start one, for instance `collect-grid --verbose`\n");
            return;
        }
        let heads = [
            "program",
            "grid",
            "run",
            "<took",
            "<collected",
            "<delivered",
            "<spooled",
            "<dropped",
            "<replayed",
            "failed",
        ];
        let mut table = Table::new(&heads);
        for program in &self.programs {
            for (at, run) in program.runs.iter().rev().take(runs.max(1)).enumerate() {
                let most = |count: fn(&crate::delivery::Account) -> usize| {
                    run.sinks.values().map(count).max().unwrap_or_default()
                };
                let (spooled, dropped) = (most(|account| account.spooled), most(|account| account.dropped));
                let failed: Vec<_> = run.failing.keys().map(|what| one_line(what)).collect();
                table.row(&[
                    if at == 0 { program.program.clone() } else { String::new() },
                    if at == 0 { program.grid.clone() } else { String::new() },
                    self.when(run.time),
                    format!("{:.2} s", run.duration_seconds),
                    run.collected.to_string(),
                    run.collected.saturating_sub(spooled + dropped).to_string(),
                    spooled.to_string(),
                    dropped.to_string(),
                    most(|account| account.replayed).to_string(),
                    match (failed.is_empty(), run.success) {
                        (false, _) => failed.join(", "),
                        (true, true) => "nothing".into(),
                        (true, false) => "something that it did not name".into(),
                    },
                ]);
            }
            let limits = program.expected_interval();
            if let Some(last) = program.runs.last().filter(|last| is_ahead(last.time, self.time)) {
                table.note(format!("the last run was {} ago, by a clock that was ahead", ago(self.run_age(last))));
            }
            // Who runs without a report is not to be removed.
            let last = program.runs.last().filter(|_| self.lost.is_empty());
            if let Some(last) = last.filter(|last| limits.level(self.run_age(last)) != Level::Ok) {
                table.note(format!(
                    "no run for {}, and it ran every {}; does cron start it? When it is not to run here any more: rm {}/{}.{}.*",
                    ago(self.run_age(last)),
                    ago(program.interval_seconds.unwrap_or_default()),
                    self.directory,
                    program.program,
                    program.grid
                ));
            }
        }
        text.push_str(&table.text());
    }

    /// Renders the status as one JSON object, with the last `runs` runs of each program.
    ///
    /// # Errors
    /// Fails if a value cannot be serialized; no such value is known.
    pub fn json(&self, runs: usize) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        for program in value["programs"].as_array_mut().into_iter().flatten() {
            if let Some(all) = program["runs"].as_array_mut() {
                all.drain(..all.len().saturating_sub(runs.max(1)));
            }
        }
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }

    /// Returns the line for Nagios and Icinga, which lists the findings, worst first, and perfdata; and the level.
    pub fn nagios(&self, thresholds: &Thresholds) -> (String, Level) {
        let mut findings = Vec::new();
        let mut perfdata = Vec::new();
        let mut find = |level: Level, text: String| {
            if level != Level::Ok {
                findings.push((level, text));
            }
        };
        for (name, sink) in &self.sinks {
            let Backlog { batches, points, .. } = sink.backlog;
            let age = sink.waiting_seconds;
            let waiting = count(batches, "batch");
            find(thresholds.age.level(age), format!("{name}: {waiting} waiting, the oldest for {}", ago(age)));
            find(thresholds.points.level(points as i64), format!("{name}: {} waiting", count(points, "point")));
            perfdata.push(format!("{}={batches};;;0", label(&[name, "batches"])));
            perfdata.push(format!("{}={points}{}", label(&[name, "points"]), thresholds.points.perfdata()));
            perfdata.push(format!("{}={age}s{}", label(&[name, "age"]), thresholds.age.perfdata()));
        }
        for program in &self.programs {
            let Some(last) = program.runs.last() else { continue };
            let age = self.run_age(last);
            let limits = thresholds.run_age.get(&program.program).or_else(|| thresholds.run_age.get(""));
            let limits = limits.copied().unwrap_or_else(|| program.expected_interval());
            let ProgramStatus { program, grid, .. } = program;
            find(limits.level(age), format!("{program} {grid}: no run for {}", ago(age)));
            if is_ahead(last.time, self.time) {
                let ahead = ago(last.time - self.time);
                find(
                    Level::Warning,
                    format!("{program} {grid}: the clock of the last run was {ahead} ahead, or this one is behind"),
                );
            }
            for (what, Failing { since, message, .. }) in &last.failing {
                let lasts = self.age(*since);
                find(
                    thresholds.failing.level(lasts),
                    format!("{program} {grid}: {what}, for {}: {message}", ago(lasts)),
                );
            }
            perfdata.push(format!("{}={age}s{}", label(&[program, grid, "run_age"]), limits.perfdata()));
            perfdata.push(format!("{}={:.3}s;;;0", label(&[program, grid, "duration"]), last.duration_seconds));
            perfdata.push(format!("{}={};;;0", label(&[program, grid, "failing"]), last.failing.len()));
        }
        if let Some(text) = self.aside_text() {
            find(Level::Warning, text);
        }
        perfdata.push(format!("bad={};0;;0", self.aside.len()));
        for lost in &self.lost {
            find(Level::Critical, lost.clone());
        }
        for problem in &self.problems {
            find(Level::Unknown, problem.clone());
        }
        if self.programs.is_empty() && self.problems.is_empty() && self.lost.is_empty() {
            find(Level::Unknown, format!("no program has reported a run in {}", self.directory));
        }
        findings.sort_by_key(|(level, _)| std::cmp::Reverse(level.weight()));
        let level = findings.first().map_or(Level::Ok, |(level, _)| *level);
        let mut texts: Vec<_> = findings.iter().take(NAMED).map(|(_, text)| shorten(text)).collect();
        if findings.len() > NAMED {
            texts.push(format!("and {} more", findings.len() - NAMED));
        }
        if texts.is_empty() {
            texts = self.all_well_texts();
        }
        (plugin_line(level, &texts.join("; "), &perfdata.join(" ")), level)
    }

    /// Says what `bad/` holds, unless it is empty.
    fn aside_text(&self) -> Option<String> {
        let (files, why) = (count(self.aside.len(), "file"), &self.aside.last()?.why);
        Some(format!("bad/ holds {files} that cannot be sent; gridmon-status show lists them; the last one: {why}"))
    }

    /// Returns the text of a monitor's line if all is well, in parts.
    fn all_well_texts(&self) -> Vec<String> {
        let sinks = self.sinks.iter().map(|(name, sink)| match sink.backlog.points {
            0 => format!("{name}: nothing waits"),
            points => format!("{name}: {} waiting", count(points, "point")),
        });
        let programs = self.programs.iter().filter_map(|program| {
            let last = program.runs.last()?;
            Some(format!("{} {} ran {} ago", program.program, program.grid, ago(self.run_age(last))))
        });
        sinks.chain(programs).collect()
    }
}

/// How long a run may be at work after it has collected, in seconds.
const AT_WORK: i64 = 60;

/// Maximum number of findings in a monitor's line.
const NAMED: usize = 5;

/// Formats the line of a plugin. A bar begins the perfdata, so a bar in the text becomes a slash.
pub fn plugin_line(level: Level, text: &str, perfdata: &str) -> String {
    let perfdata = if perfdata.is_empty() { String::new() } else { format!(" | {perfdata}") };
    format!("GRIDMON {} - {}{perfdata}\n", level.word(), one_line(text).replace('|', "/"))
}

impl ProgramStatus {
    /// Returns limits for the age of the last run, from the usual interval: WARNING if two runs are missing, CRITICAL
    /// if five are. No limits if too few runs of an earlier version are remembered.
    pub fn expected_interval(&self) -> Limits {
        // A run is reported when it ends, which is at most a minute after its start if cron starts it every minute.
        let missing =
            |runs: i64| self.interval_seconds.map(|interval| runs.saturating_mul(interval).saturating_add(60));
        Limits { warn: missing(2), crit: missing(5) }
    }
}

/// Returns the time between runs, in seconds: the median, which a manual run or a reboot does not change, but at least the
/// interval that the program is meant for. `None` if there are fewer than three times, and no report names that interval.
fn interval(runs: &[Report]) -> Option<i64> {
    let times = runs.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time));
    // No program runs less than once a year, and later multiplication must not overflow.
    let mut times: Vec<_> = times.filter(|time| (1..366 * 86_400).contains(time)).collect();
    times.sort_unstable();
    let median = (times.len() >= 3).then(|| times[times.len() / 2]);
    median.max(runs.last().and_then(|last| last.interval_seconds))
}

/// Returns for how long the oldest batch has been waiting, in seconds: by the time that the machine has been running
/// since it was published, or by its slot if an earlier version published it.
fn waiting_seconds(backlog: &Backlog, now: i64, running: Option<i64>) -> i64 {
    let since_published = running.zip(backlog.published).map(|(now, then)| now - then).filter(|waited| *waited >= 0);
    let by_slot = || backlog.oldest.map_or(0, |oldest| now.saturating_sub(oldest).max(0));
    since_published.unwrap_or_else(by_slot)
}

/// Returns what sorts times of a clock that was ahead before all others.
fn believed(time: i64, now: i64) -> (bool, i64) {
    (!is_ahead(time, now), time)
}

fn last_acknowledged(histories: &[History], sink: &str, now: i64) -> Option<i64> {
    let acknowledged =
        |run: &&Report| run.sinks.get(sink).is_some_and(|account| account.delivered > 0 || account.replayed > 0);
    let times = histories.iter().flat_map(|history| history.reports.iter().filter(acknowledged).map(|run| run.time));
    times.max_by_key(|time| believed(*time, now))
}

fn last_error(histories: &[History], sink: &str, now: i64) -> Option<LastError> {
    let replay = replay_to(sink);
    let runs = histories.iter().flat_map(|history| &history.reports);
    runs.filter_map(|run| run.failing.get(sink).or_else(|| run.failing.get(&replay)).map(|failing| (run.time, failing)))
        .max_by_key(|(time, _)| believed(*time, now))
        .map(|(time, Failing { since, message, .. })| LastError { time, since: *since, message: message.clone() })
}

/// Formats a perfdata label: replaces characters that Nagios takes for its end, and quotes it if necessary.
fn label(parts: &[&str]) -> String {
    let name: String = parts
        .join("_")
        .chars()
        .map(|c| if matches!(c, '\'' | '=' | '|') || c.is_control() { '_' } else { c })
        .collect();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if plain { name } else { format!("'{name}'") }
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 160;
    let cut = text.floor_char_boundary(LONGEST);
    format!("{}{}", &text[..cut], if cut < text.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Account;

    const NOW: i64 = 1_717_245_240;

    fn failing(what: &str, since: i64, message: &str) -> (String, Failing) {
        (what.into(), Failing { since, said: since, message: message.into(), ..Failing::default() })
    }

    fn run(time: i64, delivered: usize, spooled: usize, failing: &[(String, Failing)]) -> Report {
        Report {
            time,
            duration_seconds: 0.412,
            success: failing.is_empty(),
            collected: delivered + spooled,
            sinks: [("carbon".into(), Account { delivered, spooled, ..Account::default() })].into(),
            failing: failing.iter().cloned().collect(),
            ..Report::default()
        }
    }

    fn input() -> StatusInput {
        let schedd = failing("schedd ce02", NOW - 7500, "condor_q gave no answer in 20 s");
        let down = failing("carbon", NOW - 120, "no connection: refused |\x1b[31m\nor so");
        let grid = |grid: &str, reports| History {
            program: "collect-grid".into(),
            grid: grid.into(),
            reports,
            ..History::default()
        };
        StatusInput {
            now: NOW,
            running: None,
            directory: "/var/lib/gridmon".into(),
            configured: ["carbon".into()].into(),
            backlogs: [
                (
                    "carbon".into(),
                    Backlog { batches: 2, points: 212, bytes: 16_400, oldest: Some(NOW - 120), published: None },
                ),
                (
                    "influxdb".into(),
                    Backlog { batches: 1, points: 9, bytes: 812, oldest: Some(NOW - 90_000), published: None },
                ),
            ]
            .into(),
            histories: vec![
                grid(
                    "heprc",
                    vec![
                        run(NOW - 240, 105, 0, std::slice::from_ref(&schedd)),
                        run(NOW - 180, 105, 0, std::slice::from_ref(&schedd)),
                        run(NOW - 120, 0, 106, &[schedd.clone(), down.clone()]),
                        run(NOW - 60, 0, 106, &[schedd, down]),
                    ],
                ),
                grid("other", (4..9).rev().map(|hours| run(NOW - hours * 3600, 7, 0, &[])).collect()),
            ],
            aside: vec![Quarantined {
                name: "torn.batch".into(),
                bytes: 4096,
                time: NOW - 900,
                why: "its checksum is wrong: it is torn or was changed".into(),
            }],
            full: None,
            problems: Vec::new(),
        }
    }

    /// Compares with a golden file; `UPDATE_EXPECT=1` writes it.
    fn expect(name: &str, actual: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/status").join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
            std::fs::write(&path, actual).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        assert_eq!(expected, actual, "{}", path.display());
    }

    fn defaults() -> Thresholds {
        Thresholds {
            age: Limits { warn: Some(300), crit: Some(3600) },
            failing: Limits { warn: Some(-1), crit: None },
            ..Thresholds::default()
        }
    }

    #[test]
    fn all_three_forms_are_golden_files() {
        let status = Status::gather(input());
        expect("status.txt", &status.text(2));
        expect("status.json", &status.json(1).unwrap());
        let (line, level) = status.nagios(&defaults());
        assert_eq!(level, Level::Critical);
        expect("status.nagios", &line);
        let empty =
            Status::gather(StatusInput { now: NOW, directory: "/var/lib/gridmon".into(), ..StatusInput::default() });
        expect("empty.txt", &empty.text(5));
        for text in [status.text(100), empty.text(1)] {
            assert!(!text.contains('\x1b') && text.lines().all(|line| line == line.trim_end()), "{text}");
        }
    }

    #[test]
    fn a_monitor_is_told_by_thresholds_and_only_above_them() {
        let mut input = input();
        input.backlogs.remove("influxdb");
        let aside = std::mem::take(&mut input.aside);
        input.histories.truncate(1);
        for report in &mut input.histories[0].reports {
            report.failing.clear();
        }
        let status = Status::gather(input);
        let level = |change: fn(&mut Thresholds)| {
            let mut thresholds = defaults();
            change(&mut thresholds);
            status.nagios(&thresholds).1
        };
        assert_eq!(level(|_| ()), Level::Ok);
        // The oldest batch is 120 s old, 212 points wait, and the last run was 60 s ago.
        assert_eq!(level(|limits| limits.age.warn = Some(120)), Level::Ok);
        assert_eq!(level(|limits| limits.age.warn = Some(119)), Level::Warning);
        assert_eq!(level(|limits| limits.age.crit = Some(119)), Level::Critical);
        assert_eq!(level(|limits| limits.points.warn = Some(212)), Level::Ok);
        assert_eq!(level(|limits| limits.points.warn = Some(211)), Level::Warning);
        assert_eq!(level(|limits| limits.points.crit = Some(0)), Level::Critical);
        let run_age = |program: &str, warn, crit| BTreeMap::from([(program.to_string(), Limits { warn, crit })]);
        for (ages, expected) in [
            (run_age("", Some(60), None), Level::Ok),
            (run_age("", Some(59), None), Level::Warning),
            (run_age("collect-grid", None, Some(59)), Level::Critical),
            (run_age("downsample-1d", None, Some(1)), Level::Ok),
        ] {
            assert_eq!(status.nagios(&Thresholds { run_age: ages, ..defaults() }).1, expected);
        }
        let (line, _) = status.nagios(&defaults());
        assert_eq!(
            line,
            "GRIDMON OK - carbon: 212 points waiting; collect-grid heprc ran 60 s ago | carbon_batches=2;;;0 carbon_points=212;;;0 carbon_age=120s;300;3600;0 collect-grid_heprc_run_age=60s;180;360;0 collect-grid_heprc_duration=0.412s;;;0 collect-grid_heprc_failing=0;;;0 bad=0;0;;0\n"
        );
        let (line, level) = Status { aside, ..status }.nagios(&defaults());
        assert!(level == Level::Warning && line.contains("bad/ holds 1 file that cannot be sent"), "{line}");
    }

    #[test]
    fn a_program_that_cron_no_longer_starts_is_late_by_its_own_rhythm() {
        let at = |now: i64| {
            let mut input = input();
            input.histories.remove(0);
            input.backlogs.clear();
            input.aside.clear();
            input.now = now;
            Status::gather(input)
        };
        // It runs hourly, and last ran at NOW - 4 h.
        let last = NOW - 4 * 3600;
        for (age, expected) in [
            (0, Level::Ok),
            (7260, Level::Ok),
            (7261, Level::Warning),
            (18_060, Level::Warning),
            (18_061, Level::Critical),
            (-100, Level::Ok),
        ] {
            let status = at(last + age);
            assert_eq!(status.nagios(&defaults()).1, expected, "{age}");
            assert_eq!(status.text(1).contains("does cron start it?"), expected != Level::Ok, "{age}");
        }
        assert_eq!(interval(&[1, 2, 3].map(|time| run(time, 0, 0, &[]))), None, "too few to know");
        let by_hand = [0, 60, 61, 62, 120, 180, 240, 300, 300, 10_000].map(|time| run(time, 0, 0, &[]));
        assert_eq!(interval(&by_hand), Some(60));
        let meant_for = |seconds: i64| Report { interval_seconds: Some(seconds), ..run(0, 0, 0, &[]) };
        assert_eq!(interval(&[meant_for(60)]), Some(60), "the first run is followed by others");
        assert_eq!(interval(&[by_hand.to_vec(), vec![meant_for(600)]].concat()), Some(600), "tried by hand at first");
        assert_eq!(interval(&[0, 300, 600, 900].map(|time| Report { time, ..meant_for(60) })), Some(300));
    }

    #[test]
    fn a_run_from_the_future_is_no_good_news_for_ever() {
        let mut input = input();
        input.histories.truncate(1);
        input.backlogs.clear();
        input.running = Some(50_000);
        let runs = &mut input.histories[0].reports;
        runs.iter_mut().for_each(|run| run.failing.clear());
        let ahead = Report { time: NOW + 86_400, running: Some(50_000 - 600), ..runs[3].clone() };
        runs.push(ahead);
        let status = Status::gather(input);
        let (line, level) = status.nagios(&defaults());
        assert_eq!(level, Level::Critical, "{line}");
        assert!(line.contains("no run for 10 min"), "{line}");
        assert!(line.contains("the clock of the last run was 24 h 0 min ahead, or this one is behind"), "{line}");
        let text = status.text(5);
        assert!(text.contains("2024-06-02 12:34 UTC, 24 h 0 min in the future"), "{text}");
        assert!(text.contains("the last run was 10 min ago, by a clock that was ahead"), "{text}");
        assert_eq!(status.sinks["carbon"].last_acknowledged, Some(NOW - 180), "{text}");
    }

    #[test]
    fn points_that_are_lost_are_critical_at_once_though_no_report_tells() {
        let mut full = input();
        full.full = Some("the disk of /var/lib/gridmon is full".into());
        let status = Status::gather(full);
        let (line, level) = status.nagios(&defaults());
        assert!(level == Level::Critical && line.contains("the disk of /var/lib/gridmon is full"), "{line}");
        let of = |first: Option<i64>, now: i64| {
            let mut input = input();
            input.now = now;
            input.backlogs.clear();
            input.aside.clear();
            input.histories.truncate(1);
            input.histories[0].reports.iter_mut().for_each(|report| report.failing.clear());
            input.histories[0].unreported = first;
            let status = Status::gather(input);
            (status.nagios(&defaults()), status.text(1))
        };
        assert_eq!(of(None, NOW).0.1, Level::Ok);
        assert_eq!(of(Some(NOW - 10), NOW).0.1, Level::Ok, "it is at work");
        let ((line, level), text) = of(Some(NOW), NOW + 600);
        let words = "collect-grid heprc: no run has left a report since that of 2024-06-01 12:34 UTC";
        assert!(level == Level::Critical && line.contains(words), "{line}");
        assert!(text.contains(words) && !text.contains("rm "), "{text}");
    }

    #[test]
    fn what_cannot_be_read_is_unknown_but_hides_nothing_worse() {
        let mut input = input();
        input.aside.clear();
        input.problems.push("spool: Permission denied".into());
        let (line, level) = Status::gather(input).nagios(&defaults());
        assert_eq!(level, Level::Critical);
        assert!(line.contains("Permission denied"), "{line}");
        let (line, level) = Status::gather(StatusInput { now: NOW, directory: "/x".into(), ..StatusInput::default() })
            .nagios(&defaults());
        assert_eq!(
            (line.as_str(), level.code()),
            ("GRIDMON UNKNOWN - no program has reported a run in /x | bad=0;0;;0\n", 3)
        );
        let torn = History {
            problem: "2 lines are no reports".into(),
            program: "a".into(),
            grid: "b".into(),
            ..History::default()
        };
        let status =
            Status::gather(StatusInput { histories: vec![torn], directory: "/x".into(), ..StatusInput::default() });
        assert_eq!(status.problems, ["/x/a.b.reports: 2 lines are no reports"]);
        assert_eq!(status.nagios(&defaults()).1, Level::Unknown);
    }

    #[test]
    fn words_of_a_monitor_end_at_the_bar_and_its_labels_are_quoted() {
        assert_eq!(plugin_line(Level::Unknown, "a|b\nc", ""), "GRIDMON UNKNOWN - a/b c\n");
        assert_eq!(label(&["carbon", "age"]), "carbon_age");
        assert_eq!(label(&["it's=a|b:c", "age"]), "'it_s_a_b:c_age'");
        let sizes: Vec<_> = [0, 999, 1000, 9949, 9999, 24_400, 999_499, 999_500, 1 << 30, 1 << 42].map(size).into();
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "24 kB", "999 kB", "1.0 MB", "1.1 GB", "4.4 TB"]
        );
        assert_eq!([0, 1, 2].map(|n| count(n, "batch")), ["0 batches", "1 batch", "2 batches"]);
    }
}
