//! `--compare`: how the points of a run differ from those that an older system wrote. Nothing is sent and nothing is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;

use super::args::{Common, Mode};
use super::cron::{Run, collected, open};
use super::output::{complain, print};
use super::process::exit_code;
use super::publish::prepare;
use super::session::{Kind, Program, Session, Setup};
use crate::model::{
    COVERAGE, Catalog, Cause, Collected, Compared, Difference, Point, RELAYED, SECOND, Tier, Value, Window, compare,
    utc,
};
use crate::text::{Table, count};

/// The flag of a collector that stands beside an older system.
#[derive(Args, Debug)]
pub struct Compare {
    /// Send nothing: list how this run's points differ from what the older system wrote, in a file (line protocol, Carbon's
    /// lines or pickles, JSON of Graphite; the documentation names more), in InfluxDB (http://HOST:8086?db=NAME) or in Graphite
    /// (http://HOST/). Exit code 1 if a difference has no known cause
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
    /// The clock of our run, in unix seconds.
    pub now: i64,
    /// The time by which they must have been read.
    pub until: Instant,
    /// Our points, of measurements of the program.
    pub ours: &'a [Point],
}

/// The points of an older system.
#[derive(Debug, Default)]
pub struct Older {
    /// Those that are wanted, declared, or as values of the older system's own kind.
    pub points: Vec<Point>,
    /// Our points as values of that kind; `None` if they are compared as they are.
    pub ours: Option<Vec<Point>>,
    /// How many it has at other times, or of other grids and hosts, as far as that is known.
    pub others: usize,
    /// What of it could not be read.
    pub notes: Vec<String>,
    /// What the older system's own arithmetic explains, by series.
    pub by_rule: BTreeMap<String, ByRule>,
}

/// What of a point the older system's own arithmetic gives, so that a difference of it has this cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByRule {
    /// The reason.
    pub why: &'static str,
    /// The tags and fields that the arithmetic gives as they stand in the older system.
    pub names: BTreeSet<String>,
    /// Whether it gives that the older system alone has the point, or that it has none.
    pub is_whole: bool,
}

impl ByRule {
    fn explains(&self, difference: &Difference) -> bool {
        match difference {
            Difference::Tag(name) | Difference::Field(name) => self.names.contains(*name),
            Difference::Missing | Difference::Again | Difference::Extra => self.is_whole,
            Difference::Time => false,
        }
    }
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
        // A slip of the pen must not cost the time that the sources take. The file may lie on a hung mount.
        if let Err(error) = is_there(source) {
            complain(program.name, &[format!("{source}: {error:#}")]);
            return ExitCode::FAILURE;
        }
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
        let (time, until, catalog) = (session.time / SECOND, session.sinks_until(), session.setup.catalog);
        let points = prepare(&mut session, collected).points;
        let told = compared(program, &points, catalog, (source, time, causes), |ours| {
            older(&config, Wanted { program, tier, window, now, until, ours })
        });
        // What did not answer makes points missing.
        let code = session.finish(common.verbose);
        if print_compared(program.name, told) { code } else { ExitCode::FAILURE }
    })
}

/// Whether a source of older points is an address, and not a file.
pub fn is_address(source: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| source.starts_with(scheme))
}

/// Checks that a file or folder of older points can be opened. An address is not asked yet.
///
/// # Errors
/// Fails if it cannot, and says what may be given.
pub fn is_there(source: &str) -> Result<()> {
    if is_address(source) {
        return Ok(());
    }
    File::open(source).map(drop).context(
        "cannot be read; give a file (line protocol, Carbon's lines or pickles, JSON of Graphite), a folder of files in rrdtool's \
         format, http://HOST:8086?db=NAME or http://HOST/ of graphite-web",
    )
}

/// Prints what a comparison found, or why there is none. Returns whether each difference has a known cause.
pub fn print_compared(program: &str, told: Result<(String, bool)>) -> bool {
    match told {
        Ok((text, is_known)) => print(&text) == ExitCode::SUCCESS && is_known,
        Err(error) => {
            complain(program, &[format!("{error:#}")]);
            false
        }
    }
}

/// Compares points of a program, of `time` in unix seconds, with what `older` reads of `source`. Returns what is found, for people, and whether each difference has a known
/// cause.
///
/// # Errors
/// Fails if the points of the older system cannot be read.
pub fn compared(
    program: &Program,
    points: &[Point],
    catalog: Catalog,
    (source, time, causes): (&str, i64, &[Cause]),
    older: impl FnOnce(&[Point]) -> Result<Older>,
) -> Result<(String, bool)> {
    let is_own = |point: &&Point| program.measurements.iter().any(|known| known.name == point.measurement());
    let own: Vec<_> = points.iter().filter(is_own).cloned().collect();
    let older = older(&own).with_context(|| source.to_string())?;
    let what = if older.ours.is_some() { "values" } else { "points" };
    let ours = older.ours.as_deref().unwrap_or(&own);
    let mut found = Found::default();
    compare(ours, &older.points).iter().for_each(|one| found.add(one, (causes, &older.by_rule), catalog));
    let mut text = format!("{} at {}, against {source}\n", program.name, utc(time));
    let (here, there) = (ours.len(), older.points.len());
    let Counts { equal, alike, differ, missing, extra, .. } = found.sum();
    let _ = writeln!(
        text,
        "{here} {what} here, {there} there: {equal} equal, {alike} alike, {differ} differ, {missing} missing here, {extra} extra here"
    );
    if older.points.is_empty() {
        let others = count(older.others, what.trim_end_matches('s'));
        let _ = writeln!(text, "nothing of this time is there, {others} of other times: give the time with --now");
    }
    older.notes.iter().for_each(|note| text.push_str(&format!("left out {note}\n")));
    let _ = write!(text, "\n{}\n", found.table());
    found.lines.iter().for_each(|line| text.push_str(line));
    for (why, count) in &found.known {
        let _ = writeln!(text, "known   {count} × {why}");
    }
    if points.len() > own.len() {
        let new = points.len() - own.len();
        let _ = writeln!(text, "known   {new} × a point that only gridmon has, as {}", COVERAGE.name);
    }
    let unknown = found.sum().unknown;
    let _ = writeln!(text, "unknown {unknown}");
    Ok((text, unknown == 0 && !older.points.is_empty()))
}

/// What a comparison has found.
#[derive(Default)]
struct Found {
    /// By the name of the measurement.
    counts: BTreeMap<String, Counts>,
    /// A line for each difference that is not general.
    lines: Vec<String>,
    /// How many differences each cause explains.
    known: BTreeMap<&'static str, usize>,
}

/// How many points of a measurement are equal, and how many are not.
#[derive(Clone, Copy, Default)]
struct Counts {
    here: usize,
    there: usize,
    equal: usize,
    /// Those that differ only in what all of them do, by a known cause.
    alike: usize,
    differ: usize,
    missing: usize,
    extra: usize,
    /// The differences without a known cause.
    unknown: usize,
}

impl Found {
    fn add(&mut self, one: &Compared, (causes, by_rule): (&[Cause], &BTreeMap<String, ByRule>), catalog: Catalog) {
        let counts = self.counts.entry(group(one, catalog)).or_default();
        counts.here += usize::from(one.ours.is_some());
        counts.there += usize::from(one.theirs.is_some());
        let mut kind = "";
        for difference in &one.differences {
            let cause = one.cause(difference, causes);
            let ruled = || by_rule.get(one.series()).filter(|rule| rule.explains(difference)).map(|rule| rule.why);
            let why = cause.map(|cause| cause.why).or_else(ruled);
            match why {
                Some(why) => *self.known.entry(why).or_default() += 1,
                None => counts.unknown += 1,
            }
            if !cause.is_some_and(|cause| cause.is_general) {
                kind = name(difference);
                let why = why.unwrap_or("no known cause");
                self.lines.push(format!("{kind:<8}{}{}: {why}\n", shown(one), values(one, difference)));
            }
        }
        match (kind, one.differences.first()) {
            ("differs", _) => counts.differ += 1,
            ("missing", _) | (_, Some(Difference::Missing | Difference::Again)) => counts.missing += 1,
            ("extra", _) | (_, Some(Difference::Extra)) => counts.extra += 1,
            (_, Some(_)) => counts.alike += 1,
            _ => counts.equal += 1,
        }
    }

    fn sum(&self) -> Counts {
        self.counts.values().fold(Counts::default(), |sum, one| Counts {
            here: sum.here + one.here,
            there: sum.there + one.there,
            equal: sum.equal + one.equal,
            alike: sum.alike + one.alike,
            differ: sum.differ + one.differ,
            missing: sum.missing + one.missing,
            extra: sum.extra + one.extra,
            unknown: sum.unknown + one.unknown,
        })
    }

    /// A row for each measurement, and one for all.
    fn table(&self) -> String {
        let heads = ["measurement", "<here", "<there", "<equal", "<alike", "<differ", "<missing", "<extra", "<unknown"];
        let mut table = Table::new(&heads);
        let sum = [("all".to_string(), self.sum())];
        for (name, of) in self.counts.iter().chain(sum.iter().map(|(name, of)| (name, of))) {
            let numbers = [of.here, of.there, of.equal, of.alike, of.differ, of.missing, of.extra, of.unknown];
            let cells = numbers.iter().map(usize::to_string);
            table.row(&[name.clone()].into_iter().chain(cells).collect::<Vec<_>>());
        }
        table.text()
    }
}

/// Returns the measurement of a point, or that whose path a value of Carbon has.
fn group(one: &Compared, catalog: Catalog) -> String {
    let point = one.ours.or(one.theirs);
    let Some(path) = one.path() else { return point.map_or("", Point::measurement).into() };
    catalog.read_path(path).map_or("of no measurement", |number| number.measurement.name).into()
}

/// Returns the series, or the path of a value of Carbon.
fn shown<'a>(one: &Compared<'a>) -> &'a str {
    one.path().unwrap_or(one.series())
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
        Difference::Missing | Difference::Again => return whole(of.theirs),
        Difference::Extra => return whole(of.ours),
    };
    format!(" {name}: {} here, {} there", either(ours), either(theirs))
}

/// Returns a point that has no counterpart, for people.
fn whole(point: Option<&Point>) -> String {
    let Some(point) = point else { return String::new() };
    if point.measurement() == RELAYED {
        return point.fields().map(|(_, value)| format!(" {value}")).collect();
    }
    format!(" ({})", point.line())
}
