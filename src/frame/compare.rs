//! `--compare`: how the points of a run differ from those that an older system wrote. Nothing is sent and nothing is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::args::{Common, Mode};
use super::cron::{Run, collected, open};
use super::output::{complain, print};
use super::process::exit_code;
use super::publish::prepare;
use super::session::{Kind, Program, Session, Setup};
use crate::model::{
    COVERAGE, Cause, Collected, Compared, Difference, Point, SECOND, Tier, Value, Window, compare, utc,
};

/// The flag of a collector that stands beside an older system.
#[derive(Args, Debug)]
pub struct Compare {
    /// Send nothing: list how this run's points differ from those of the older system, in a file of line protocol or in
    /// InfluxDB (http://HOST:8086?db=NAME). Exit code 1 if a difference has no known cause
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["dry_run", "check", "list", "setup"])]
    pub compare: Option<String>,
}

/// Which points of the older system are compared.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The program, whose measurements are wanted.
    pub program: &'a Program,
    /// The tier.
    pub tier: Tier,
    /// The times.
    pub window: Window,
    /// The time by which they must have been read.
    pub until: Instant,
}

/// The points of an older system.
#[derive(Debug, Default)]
pub struct Older {
    /// Those that are wanted, declared.
    pub points: Vec<Point>,
    /// How many it has at other times, as far as that is known.
    pub others: usize,
}

/// Collects as the program does, reads the points of the older system by `older`, and prints how they differ.
pub fn cron_compare<C: Sync>(
    program: &'static Program,
    common: &Common,
    load: impl FnOnce(Option<&Path>, &Program) -> Result<(C, Setup)>,
    collect: impl FnOnce(&Run<C>) -> Collected,
    older: impl FnOnce(&C, Wanted) -> Result<Older>,
    (source, causes): (&str, &[Cause]),
) -> ExitCode {
    exit_code(program.name, || {
        let (config, setup, watchdog) = match open(program, common, load) {
            Ok(started) => started,
            Err(code) => return code,
        };
        let now = common.now.unwrap_or_else(|| Timestamp::now().as_second());
        let mut session = match Session::open_as(Mode::DryRun, program, common, now, Kind::Cron, setup) {
            Ok(Some(session)) => session,
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) => {
                complain(program.name, &[format!("{error:#}")]);
                return ExitCode::FAILURE;
            }
        };
        session.began = watchdog.began();
        watchdog.names(None);
        let collected = collected(&mut session, |session| collect(&Run::new(&config, session)));
        let tier = if collected.are_hourly { Tier::Hour } else { Tier::Raw };
        let window =
            Window { from: session.time, to: session.time + session.interval_seconds().saturating_mul(SECOND) };
        let wanted = Wanted { program, tier, window, until: session.sinks_until() };
        let read = older(&config, wanted);
        let prepared = prepare(&mut session, collected);
        let time = session.time / SECOND;
        let told = match &read {
            Ok(older) => Ok(table(program, (source, time), &prepared.points, older, causes)),
            Err(error) => Err(format!("{source}: {error:#}")),
        };
        // What did not answer makes points missing.
        let code = session.finish(common.verbose);
        match told {
            Ok((text, is_known)) => {
                let printed = print(&text);
                if is_known && printed == ExitCode::SUCCESS { code } else { ExitCode::FAILURE }
            }
            Err(message) => {
                complain(program.name, &[message]);
                ExitCode::FAILURE
            }
        }
    })
}

/// Returns what the comparison found, for people, and whether each difference has a known cause.
fn table(
    program: &Program,
    (source, time): (&str, i64),
    ours: &[Point],
    older: &Older,
    causes: &[Cause],
) -> (String, bool) {
    let is_new = |point: &&Point| !program.measurements.iter().any(|known| known.name == point.measurement());
    let new = ours.iter().filter(is_new).count();
    let ours: Vec<_> = ours.iter().filter(|point| !is_new(point)).cloned().collect();
    let mut text = format!("{} at {}, against {source}\n", program.name, utc(time));
    let (mut equal, mut lines) = (0, Vec::new());
    let (mut known, mut unknown) = (BTreeMap::<&str, usize>::new(), 0);
    let mut kinds = BTreeMap::<&str, usize>::new();
    for one in compare(&ours, &older.points) {
        let mut kind = "";
        for difference in &one.differences {
            let cause = one.cause(difference, causes);
            if let Some(cause) = cause {
                *known.entry(cause.why).or_default() += 1;
            }
            unknown += usize::from(cause.is_none());
            if !cause.is_some_and(|cause| cause.is_general) {
                kind = name(difference);
                let why = cause.map_or("no known cause", |cause| cause.why);
                lines.push(format!("{kind:<8}{}{}: {why}\n", one.series(), values(&one, difference)));
            }
        }
        match kind {
            "" => equal += 1,
            kind => *kinds.entry(kind).or_default() += 1,
        }
    }
    let of = |kind: &str| kinds.get(kind).copied().unwrap_or_default();
    let _ = writeln!(
        text,
        "{} points here, {} there: {equal} equal, {} differ, {} missing here, {} extra here",
        ours.len(),
        older.points.len(),
        of("differs"),
        of("missing"),
        of("extra")
    );
    if older.points.is_empty() {
        let _ = writeln!(
            text,
            "nothing of this time is there, {} points of other times: give the time with --now",
            older.others
        );
    }
    lines.iter().for_each(|line| text.push_str(line));
    for (why, count) in &known {
        let _ = writeln!(text, "known   {count} × {why}");
    }
    if new > 0 {
        let _ = writeln!(text, "known   {new} × a point that only gridmon has, as {}", COVERAGE.name);
    }
    let _ = writeln!(text, "unknown {unknown}");
    (text, unknown == 0 && !older.points.is_empty())
}

fn name(difference: &Difference) -> &'static str {
    match difference {
        Difference::Tag(_) | Difference::Field(_) | Difference::Time => "differs",
        Difference::Missing | Difference::Again => "missing",
        Difference::Extra => "extra",
    }
}

/// Returns a value as line protocol has it, which tells the type.
fn typed(value: Value) -> String {
    let suffix = if matches!(value, Value::Int(_)) { "i" } else { "" };
    format!("{value}{suffix}")
}

/// Returns what differs, with both values.
fn values(of: &Compared, difference: &Difference) -> String {
    let either = |value: Option<String>| value.unwrap_or("nothing".into());
    let (name, [ours, theirs]) = match difference {
        Difference::Tag(name) => (*name, of.tag(name).map(|value| value.map(|value| format!("\"{value}\"")))),
        Difference::Field(name) => (*name, of.field(name).map(|value| value.map(typed))),
        Difference::Time => ("time", [of.ours, of.theirs].map(|point| point.map(|point| point.time().to_string()))),
        Difference::Missing | Difference::Again => {
            return of.theirs.map_or(String::new(), |point| format!(" ({})", point.line()));
        }
        Difference::Extra => return of.ours.map_or(String::new(), |point| format!(" ({})", point.line())),
    };
    format!(" {name}: {} here, {} there", either(ours), either(theirs))
}
