//! The store commands of gridmon-status: shows, checks, exports, imports and vacuums the embedded store.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sheet;
use super::spool_commands::{complain, ensure_owned, print_line, state_directory};
use crate::frame::print;
use crate::frame::state::{self, State};
use crate::model::{Point, SECOND, Tier, Window, parse_time, utc};
use crate::os::files;
use crate::query::{Read as _, Selector};
use crate::setup::{self, Config};
use crate::sinks::embedded::{Place, Store, TierStatus};
use crate::sinks::windows::Windows;
use crate::text::{Table, count, size};
use crate::view::table::sections;
use crate::view::text;

/// What can be done with the store.
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Look for damage in all of it
    Check,
    /// Write what is in it as line protocol, which InfluxDB and `import` read, or as CSV
    Export(Export),
    /// Read line protocol, or the CSV of an export, into it; what is there already takes the new value
    Import(Import),
    /// Give the room of what was removed back to the disk
    Vacuum,
    /// Take the store that is there now, or a new one, for that of earlier runs, which is gone on purpose
    Accept,
}

impl StoreCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Fails if the store cannot be read or written.
    pub fn run(&self, config: &Config, now: i64) -> Result<ExitCode> {
        match self {
            Self::Check => check(config),
            Self::Export(export) => export.run(config),
            Self::Import(import) => import.run(config, now),
            Self::Vacuum => vacuum(config),
            Self::Accept => {
                print_line(&owned_place(config)?.accept()?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Returns the state directory of the store. If the config names the store's path, it need not exist.
fn state_of(config: &Config) -> Result<PathBuf> {
    match config.embedded.path {
        Some(_) => Ok(state::directory(config.state_directory.as_deref())),
        None => state_directory(config),
    }
}

/// Opens the store, which must exist. Returns its path and the store.
fn open(config: &Config) -> Result<(PathBuf, Store)> {
    let place = setup::store_place(config, &state_of(config)?);
    let path = place.path().to_path_buf();
    let store = place.open_to_read()?.with_context(|| {
        let remedy = if config.influxdb.is_some() {
            "points go to influxdb, and to a store only when [embedded] path is set too"
        } else if config.carbon.is_some() {
            "points go to carbon, and to a store only when [embedded] path is set too"
        } else {
            "no program has written one yet: run one, for instance `collect-grid --verbose`, or name its config with --config"
        };
        format!("there is no store {}; {remedy}", path.display())
    })?;
    Ok((path, store))
}

/// Prints the state of the grid called `name`, or of all grids, at `now` in unix seconds. With `all`, includes numbers
/// that have been silent for over an hour.
///
/// # Errors
/// Fails if the store cannot be read, or contains no such grid.
pub fn grid(config: &Config, now: i64, name: Option<&str>, all: bool) -> Result<ExitCode> {
    let page = &crate::monitors::grid::page::GRIDS;
    let (place, newest, remedy) = if config.influxdb.is_some() && config.embedded.path.is_none() {
        let reader = setup::influx_reader(config)?;
        let mut newest = reader.latest(&page.measurements(), now)?;
        newest.values.retain(|one| name.is_none_or(|name| one.series.tag("grid") == Some(name)));
        (reader.describe(), newest, "")
    } else {
        let (path, store) = open(config)?;
        let tags: Vec<_> = name.iter().map(|name| ("grid", *name)).collect();
        let newest = store.newest(&page.measurements(), &tags, now)?;
        (path.display().to_string(), newest, ", or see what there is with gridmon-status store export")
    };
    let grids = sections(page, newest.values);
    ensure!(
        !grids.is_empty(),
        "{place} has no grid{}; run collect-grid{remedy}",
        name.map(|name| format!(" called {name:?}")).unwrap_or_default()
    );
    let mut texts: Vec<_> = grids.iter().map(|grid| text::section(page, grid, now, all)).collect();
    texts.extend(newest.ahead.notice().map(|notice| format!("{notice}\n")));
    Ok(print(&texts.join("\n\n")))
}

/// Prints the size and the time range of each tier.
///
/// # Errors
/// Fails if the store cannot be read.
pub fn status(config: &Config, now: i64) -> Result<ExitCode> {
    let (path, store) = open(config)?;
    let bytes = fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    let mut table = Table::new(&["tier", "<series", "<rows", "<size", "oldest", "newest", "kept"]);
    for TierStatus { tier, series, rows, bytes, ages } in store.status()? {
        let kept = config.embedded.keep_days(tier).map_or("for ever".into(), |days| count(days as usize, "day"));
        let time = |time: Option<i64>| time.map_or("-".into(), |time| utc(time.div_euclid(SECOND)));
        table.row(&[
            tier.to_string(),
            series.to_string(),
            rows.to_string(),
            size(bytes),
            time(ages.map(|ages| ages.0)),
            time(ages.map(|ages| ages.1)),
            kept,
        ]);
    }
    let free = match store.free_bytes()? {
        free if free * 5 > bytes => {
            format!(", {} of it free, which `gridmon-status store vacuum` gives back", size(free))
        }
        free => format!(", {} of it free", size(free)),
    };
    let log = size(store.log_bytes());
    let large = store.large_log().map(|large| format!("\n{large}\n")).unwrap_or_default();
    let (shown, bytes, now) = (path.display(), size(bytes), utc(now));
    Ok(print(&format!("{shown}, {bytes}{free}, {log} of log, at {now}\n\n{}{large}", table.text())))
}

fn check(config: &Config) -> Result<ExitCode> {
    let (path, store) = open(config)?;
    store.verify()?;
    let rows = store.status()?.iter().map(|tier| tier.rows).sum();
    let (rows, series) = (count(rows, "row"), store.count_series()?);
    Ok(print(&format!("{}: no damage in {rows} of {series} series\n", path.display())))
}

/// How long a step waits for programs that write.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Returns the place of the store if its folder and the state directory belong to this user. Creates a missing state
/// directory if the store lies in it.
fn owned_place(config: &Config) -> Result<Place> {
    let state = match config.embedded.path {
        Some(_) => state_of(config)?,
        None => {
            let configured = config.state_directory.as_deref();
            State::open(configured, super::spool_commands::NAME, &config.grid.name, true)?.directory().to_path_buf()
        }
    };
    let place = setup::store_place(config, &state);
    ensure_owned(place.path().parent().unwrap_or(Path::new("/")))?;
    if state.exists() {
        ensure_owned(&state)?;
    }
    Ok(place)
}

fn vacuum(config: &Config) -> Result<ExitCode> {
    let (path, _) = open(config)?;
    let place = owned_place(config)?;
    let bytes = || fs::metadata(&path).map(|file| file.size()).with_context(|| path.display().to_string());
    let before = bytes()?;
    let until = Instant::now() + TIMEOUT;
    place.open(until)?.vacuum(until)?;
    print_line(&format!("{}: {} before, {} now", path.display(), size(before), size(bytes()?)));
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Influx,
    Csv,
}

/// What to export, and how.
#[derive(Args)]
pub struct Export {
    /// From this time on: unix seconds, RFC 3339, or "YYYY-mm-dd HH:MM:SS" in UTC [default: the oldest]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<i64>,
    /// Up to before this time [default: the newest, included]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<i64>,
    /// Only this measurement
    #[arg(short, long, value_name = "NAME")]
    measurement: Option<String>,
    /// Only series with this tag; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
    /// Only this tier: raw, 1h or 1d [default: all]
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
    /// Also what each value of 1h and 1d was folded from: sum, slots, least and most, as fields NAME_sum, NAME_slots, …
    #[arg(long)]
    parts: bool,
    /// Line protocol as `influx -import` reads it, or CSV with a column for each tag, safe in a spreadsheet
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "influx")]
    format: Format,
    /// The database that line protocol names for `influx -import`
    #[arg(long, value_name = "NAME", default_value = "gridmon")]
    database: String,
    /// Into this file, which is there whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Parses `NAME=VALUE`.
fn tag(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').ok_or_else(|| anyhow!("give NAME=VALUE"))?;
    Ok((name.into(), value.into()))
}

impl Export {
    fn run(&self, config: &Config) -> Result<ExitCode> {
        let (_, store) = open(config)?;
        match &self.output {
            None => {
                // On a terminal, a bar would mix with the exported lines.
                let bar = !io::stdout().is_terminal();
                let mut out = BufWriter::new(io::stdout().lock());
                let done =
                    self.write(config, &store, &mut out, bar).and_then(|points| Ok(out.flush().map(|()| points)?));
                match done {
                    // A reader that closes the pipe early (`| head`) is not a failure.
                    Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
                    done => done.map(|_| ExitCode::SUCCESS),
                }
            }
            Some(path) => {
                let shown = || path.display().to_string();
                ensure!(
                    path.metadata().map_or(true, |there| there.is_file()),
                    "{}: not a file; without --output the export goes to standard output",
                    path.display()
                );
                let written = files::replace(path, 0o666, |file| {
                    let mut out = BufWriter::new(file);
                    let points = self.write(config, &store, &mut out, true)?;
                    out.flush()?;
                    Ok(points)
                });
                let points = written.with_context(shown)?;
                print_line(&format!("exported {} into {}", count(points, "point"), path.display()));
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// Writes the export and returns the number of points.
    fn write(&self, config: &Config, store: &Store, out: &mut dyn Write, bar: bool) -> Result<usize> {
        let selector =
            Selector { measurement: self.measurement.clone(), tags: self.tag.clone(), ..Selector::default() };
        let nanoseconds = |seconds: i64| seconds.saturating_mul(SECOND);
        let (from, to) = (self.from.map_or(i64::MIN, nanoseconds), self.to.map_or(i64::MAX, nanoseconds));
        let tiers: Vec<_> = Tier::ALL.into_iter().filter(|tier| self.tier.is_none_or(|only| only == *tier)).collect();
        let mut points = 0;
        let mut each_tier = |each: &mut dyn FnMut(Tier, Option<Point>) -> Result<()>| -> Result<()> {
            for tier in &tiers {
                let bar = bar.then(|| Bar::of_time(store, *tier, from, to)).transpose()?.flatten();
                each(*tier, None)?;
                let mut one = |point| {
                    points += 1;
                    each(*tier, Some(point))
                };
                let progress = |time| bar.iter().for_each(|bar| bar.at(time));
                let window = Window { from, to };
                if self.parts {
                    store.points_with_parts(*tier, &selector, window, &mut one, &progress)?;
                } else {
                    store.points(*tier, &selector, window, &mut one, &progress)?;
                }
            }
            Ok(())
        };
        match self.format {
            Format::Influx => {
                let database = self.database.replace(['"', '\\', '\n', '\r'], "_");
                out.write_all(heading(config, &database, &tiers).as_bytes())?;
                each_tier(&mut |tier, point| {
                    match point {
                        None => writeln!(out, "# CONTEXT-RETENTION-POLICY: {tier}")?,
                        Some(point) => writeln!(out, "{}", point.line())?,
                    }
                    Ok(())
                })?;
            }
            Format::Csv => {
                let series = store.find(&selector)?;
                let tags = series.iter().filter_map(|series| series.names().ok());
                let tags = tags.flat_map(|names| names.tags().map(|tag| tag.0.to_string()).collect::<Vec<_>>());
                let tags: BTreeSet<String> = tags.collect();
                let mut lines = csv::Writer::from_writer(out);
                lines.write_record(sheet::heads(&tags).iter().map(|head| head.as_bytes()))?;
                each_tier(&mut |tier, point| {
                    let mut write = |row: &[Cow<str>]| Ok(lines.write_record(row.iter().map(|cell| cell.as_bytes()))?);
                    point.map_or(Ok(()), |point| sheet::rows(&tags, tier, &point, &mut write))
                })?;
                lines.flush()?;
            }
        }
        Ok(points)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<csv::Error>().map(csv::Error::kind)
    {
        Some(csv::ErrorKind::Io(error)) => Some(error.kind()),
        _ => cause.downcast_ref::<io::Error>().map(io::Error::kind),
    };
    error.chain().any(|cause| io(cause) == Some(io::ErrorKind::BrokenPipe))
}

/// Returns the lines that `influx -import` needs before the points: the database and the retention policies.
fn heading(config: &Config, database: &str, tiers: &[Tier]) -> String {
    let mut text = format!("# DDL\nCREATE DATABASE \"{database}\"\n");
    for tier in tiers {
        let kept = config.embedded.keep_days(*tier).map_or("INF".into(), |days| format!("{days}d"));
        text += &format!("CREATE RETENTION POLICY \"{tier}\" ON \"{database}\" DURATION {kept} REPLICATION 1\n");
    }
    text + &format!("# DML\n# CONTEXT-DATABASE: {database}\n")
}

/// A progress bar on the terminal.
struct Bar {
    bar: ProgressBar,
    first: i64,
}

impl Bar {
    /// Creates a bar that follows the time of the exported points. Returns `None` if standard error is not a terminal
    /// or the tier is empty.
    fn of_time(store: &Store, tier: Tier, from: i64, to: i64) -> Result<Option<Self>> {
        let Some((oldest, newest)) = store.span(tier)?.filter(|_| io::stderr().is_terminal()) else { return Ok(None) };
        let (first, end) = (from.max(oldest), to.min(newest));
        let template = format!("{tier:<3} {{wide_bar}} {{percent}} % {{eta}} left");
        Ok(Some(Self { bar: bar(end.saturating_sub(first).max(0) as u64, &template), first }))
    }

    fn at(&self, time: i64) {
        self.bar.set_position(time.saturating_sub(self.first).max(0) as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

pub(super) fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is sound");
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
}

/// What to import.
#[derive(Args)]
pub struct Import {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// All points are of this tier: raw, 1h or 1d [default: what the CSV or `# CONTEXT-RETENTION-POLICY:` lines say, raw
    /// before them]
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
}

/// Points per transaction.
const CHUNK: usize = 20_000;

/// Maximum length of a line, in bytes.
const LONGEST: u64 = 1 << 20;

impl Import {
    fn run(&self, config: &Config, now: i64) -> Result<ExitCode> {
        let place = owned_place(config)?;
        let path = place.path();
        let (name, input, length): (_, Box<dyn Read>, _) = if self.file == Path::new("-") {
            ("standard input".to_string(), Box::new(io::stdin()), 0)
        } else {
            let name = self.file.display().to_string();
            let file = File::open(&self.file).with_context(|| name.clone())?;
            let there = file.metadata().with_context(|| name.clone())?;
            ensure!(!there.is_dir(), "{name}: a folder");
            (name, Box::new(file), there.len())
        };
        let bar = (length > 0 && io::stderr().is_terminal())
            .then(|| Bar { bar: bar(length, "{wide_bar} {bytes} of {total_bytes}, {eta} left"), first: 0 });
        let mut reader = Importing {
            store: place.open(Instant::now() + TIMEOUT)?,
            state: state_of(config)?,
            config,
            now,
            tier: self.tier.unwrap_or(Tier::Raw),
            only: self.tier,
            points: Vec::new(),
            imported: 0,
            old: 0,
            bad: Vec::new(),
            bad_lines: 0,
        };
        let progress = |bytes| bar.iter().for_each(|bar| bar.at(bytes as i64));
        let mut input = BufReader::new(input);
        let is_sheet = sheet::is_sheet(input.fill_buf().with_context(|| name.clone())?);
        let read = if is_sheet { reader.read_sheet(input, &progress) } else { reader.read(input, &progress) };
        drop(bar);
        let Importing { imported, old, bad, bad_lines, .. } = reader;
        let done = format!("imported {} from {name} into {}", count(imported, "point"), path.display());
        read.with_context(|| format!("{done}, then"))?;
        print_line(&done);
        if old > 0 {
            print_line(&format!(
                "{old} of them are older than [embedded] keeps points of their tier; the next run of a program removes them, unless keep_raw_days, keep_1h_days or keep_1d_days is raised first"
            ));
        }
        if bad_lines > 0 {
            let more = if bad_lines > bad.len() { " …" } else { "" };
            let lines = count(bad_lines, "line");
            complain(&format!(
                "{name}: {lines} left out, which hold no number that can be stored: {}{more}",
                bad.join("; ")
            ));
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An import in progress.
struct Importing<'a> {
    store: Store,
    state: PathBuf,
    config: &'a Config,
    now: i64,
    /// The tier of the points that are being read.
    tier: Tier,
    /// The tier given with `--tier`, which overrides the lines.
    only: Option<Tier>,
    points: Vec<Point>,
    imported: usize,
    /// Number of imported points that are older than their tier keeps.
    old: usize,
    /// The first lines that could not be read as points, each with the reason.
    bad: Vec<String>,
    bad_lines: usize,
}

impl Importing<'_> {
    fn read(&mut self, mut input: impl BufRead, progress: &dyn Fn(u64)) -> Result<()> {
        let (mut line, mut bytes, mut number, mut commands) = (Vec::new(), 0, 0, false);
        loop {
            line.clear();
            let length = input.by_ref().take(LONGEST).read_until(b'\n', &mut line).context("reading")? as u64;
            if length == 0 {
                return self.flush();
            }
            number += 1;
            bytes += length;
            ensure!(length < LONGEST, "line {number} is over {LONGEST} bytes long; is it line protocol?");
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if let Some(comment) = text.strip_prefix('#') {
                commands = comment.trim() == "DDL" || commands && comment.trim() != "DML";
                if let Some(policy) = comment.trim().strip_prefix("CONTEXT-RETENTION-POLICY:") {
                    self.flush()?;
                    let policy = policy.trim().trim_matches('"');
                    let named = self.only.map_or_else(|| policy.parse(), Ok);
                    self.tier = named.with_context(|| {
                        format!("line {number}: which tier do these points belong to? Say it with --tier")
                    })?;
                }
            } else if !text.is_empty() && !commands {
                match Point::from_line(text) {
                    Ok(mut point) => {
                        setup::CATALOG.declare(&mut point);
                        self.points.push(point);
                    }
                    Err(error) => self.leave_out(number, &error),
                }
            }
            if self.points.len() >= CHUNK {
                self.flush()?;
                progress(bytes);
            }
        }
    }

    /// Reads the CSV of an export.
    fn read_sheet(&mut self, input: impl Read, progress: &dyn Fn(u64)) -> Result<()> {
        let mut lines = csv::ReaderBuilder::new().from_reader(input);
        let columns = sheet::Columns::of(lines.headers()?)?;
        let mut rows = lines.records();
        while let Some(row) = rows.next() {
            let bytes = rows.reader().position().byte();
            let at = row.as_ref().map_or_else(|error| error.position().cloned(), |row| row.position().cloned());
            match row.context("reading").and_then(|row| columns.point(&row)) {
                Ok((tier, point)) => {
                    let tier = self.only.unwrap_or(tier);
                    if tier != self.tier {
                        self.flush()?;
                        self.tier = tier;
                    }
                    self.points.push(point);
                }
                Err(error) if error.chain().any(|cause| cause.is::<io::Error>()) => return Err(error),
                Err(error) => self.leave_out(at.map_or(0, |at| at.line()) as usize, &error),
            }
            if self.points.len() >= CHUNK {
                self.flush()?;
                progress(bytes);
            }
        }
        self.flush()
    }

    /// Counts a line that holds no point, and keeps the reason of the first ones.
    fn leave_out(&mut self, number: usize, error: &anyhow::Error) {
        self.bad_lines += 1;
        if self.bad.len() < 3 {
            self.bad.push(format!("line {number}: {error:#}"));
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.points.is_empty() {
            return Ok(());
        }
        self.store.write(self.tier, &self.points, Instant::now() + TIMEOUT)?;
        // What is folded already is folded again.
        let windows = Windows::above(&self.state, "embedded", self.tier);
        windows.map_or(Ok(()), |windows| windows.mark_points(&self.points))?;
        let oldest = self.config.embedded.oldest_kept(self.tier, self.now).unwrap_or(i64::MIN);
        // In a CSV each field of a point has a row.
        let of = |point: &Point| (point.series().to_string(), point.time());
        let mut last = None;
        for point in &self.points {
            let this = Some(of(point));
            if this != last {
                self.imported += 1;
                self.old += usize::from(point.time() < oldest);
            }
            last = this;
        }
        self.points.clear();
        Ok(())
    }
}
