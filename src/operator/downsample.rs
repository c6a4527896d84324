//! downsample-1h and downsample-1d: the run that cron starts, and what a person asks for: a range, a look at one value, the
//! deletion of a window.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::explain::explain;
use super::rolled::compare;
use super::spool_commands::{confirm, print_line};
use super::store::bar;
use crate::frame::downsample::{Downsampler, Folds, labels};
use crate::frame::state::{self, State};
use crate::frame::{self, CheckLine, Common, Program, Run, Watchdog, complain, is_there, print};
use crate::model::{Point, SECOND, Tier, is_ahead, parse_time, utc};
use crate::problem::{Problem, Subject};
use crate::rollup::length;
use crate::setup::{self, CATALOG, Config};
use crate::sinks::tiers::Tiers;
use crate::text::count;

/// What a person may ask of a down-sampler.
#[derive(Args, Debug)]
pub struct ByHand {
    /// Fold all windows from this time on, also those that are folded; goes on where the same call was ended
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = ["check", "list", "setup"])]
    from: Option<i64>,
    /// Up to this time [default: the last window that has ended]
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "from")]
    to: Option<i64>,
    /// Print the points, the coverage and the arithmetic behind a folded point: a Carbon path or MEASUREMENT,TAG=VALUE,…, and
    /// the end of its window
    #[arg(long, num_args = 2, value_names = ["SERIES", "LABEL"], conflicts_with_all = ["from", "dry_run", "check", "list", "setup", "compare"])]
    explain: Option<Vec<String>>,
    /// Delete the points of the window with this label, its end, or of the last one that has ended; asks first
    #[arg(long, value_name = "LABEL", num_args = 0..=1, conflicts_with_all = ["from", "explain", "dry_run", "check", "list", "setup", "compare"])]
    delete_window: Option<Option<String>>,
    /// Do not ask
    #[arg(short, long, requires = "delete_window")]
    yes: bool,
    #[command(flatten)]
    compare: frame::Compare,
}

/// Runs a down-sampler.
pub fn run(program: &'static Program, tier: Tier, common: &Common, by_hand: &ByHand) -> ExitCode {
    let ByHand { from, explain, delete_window, compare, .. } = by_hand;
    let is_run = from.is_none() && explain.is_none() && delete_window.is_none() && compare.compare.is_none();
    if is_run && !common.dry_run {
        // What waits in the spool is stored before the windows are read.
        return frame::cron_last(program, common, setup::load, |run| fold(run, tier), check);
    }
    frame::exit_code(program.name, || {
        let config = match Config::load(common.config.as_deref()) {
            Ok(config) => config,
            Err(error) => {
                complain(program.name, &[format!("{error:#}")]);
                return ExitCode::from(2);
            }
        };
        // A person may interrupt it.
        Watchdog::running().inspect(|watchdog| watchdog.expect_end(None));
        let hand = Hand { program, tier, common, by_hand, config: &config };
        hand.work().unwrap_or_else(|error| {
            complain(program.name, &[format!("{error:#}")]);
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        })
    })
}

/// Wrong flags, found out by the clock or the config.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Folds the windows of every store.
fn fold(run: &Run<Config>, tier: Tier) {
    let (config, state, wall) = (run.config, run.directory(), jiff::Timestamp::now().as_second());
    let stores = match setup::tiers(config, &state) {
        Ok(stores) => stores,
        Err(error) => {
            let unasked = ["embedded", "influxdb"].map(|store| Problem::unasked(Subject::Source(store.into())));
            let problem = Problem::of_source("stores", format!("{error:#}"));
            run.ask("stores", || (None::<()>, [vec![problem], unasked.into()].concat()));
            return;
        }
    };
    let go_on = || {
        ensure!(Instant::now() < run.until, "no time is left");
        Ok(())
    };
    for store in &stores {
        let fold = || {
            let mut problems = Vec::new();
            if is_ahead(run.now, wall) {
                let message = format!(
                    "--now {} is ahead of this machine's clock; no window of the future is folded",
                    utc(run.now)
                );
                problems.push(Problem::of_source(format!("{} clock", store.name()), message));
            }
            let downsampler = Downsampler {
                store: store.as_ref(),
                state: &state,
                grid: &config.grid.name,
                now: run.now.min(wall),
                settle_seconds: config.settle_seconds,
                until: run.until,
                go_on: &go_on,
            };
            let folded = downsampler.run(tier);
            problems.extend(folded.as_ref().err().map(|error| Problem::of_source(store.name(), format!("{error:#}"))));
            (folded.ok(), problems)
        };
        run.ask(store.name(), fold);
    }
}

/// Returns a line for each store that is folded.
fn check(config: &Config, _until: Instant) -> Vec<CheckLine> {
    let state = state::directory(config.state_directory.as_deref());
    let stores = match setup::tiers(config, &state) {
        Ok(stores) => stores,
        Err(error) => return vec![("folds".into(), Err(format!("{error:#}")))],
    };
    let line = |store: &dyn Tiers| {
        let what = store.measurements().map_or("all measurements".into(), |names| names.join(", "));
        let begins = store.begins(Tier::Raw).map(|begins| match begins.first() {
            Some(first) => format!("{}: {what}, covered from {} on", store.reader().describe(), utc(first / SECOND)),
            None => format!("{}: {what}; no run is in it yet", store.reader().describe()),
        });
        (format!("folds {}", store.name()), begins.map_err(|error| format!("{error:#}")))
    };
    if stores.is_empty() {
        return vec![("folds".into(), Ok("nothing: points go to no store that is folded".into()))];
    }
    stores.iter().map(|store| line(store.as_ref())).collect()
}

/// What a person has asked for.
struct Hand<'a> {
    program: &'static Program,
    tier: Tier,
    common: &'a Common,
    by_hand: &'a ByHand,
    config: &'a Config,
}

impl Hand<'_> {
    fn work(&self) -> Result<ExitCode> {
        let configured = self.config.state_directory.as_deref();
        let compared = self.by_hand.compare.compare.as_deref();
        if let Some(source) = compared {
            is_there(source).with_context(|| source.to_string())?;
        }
        let may_write = !self.common.dry_run && self.by_hand.explain.is_none() && compared.is_none();
        let state = match may_write {
            true => State::open(configured, self.program.name, &self.config.grid.name, true)?.directory().to_path_buf(),
            false => state::directory(configured),
        };
        let stores = setup::tiers(self.config, &state)?;
        ensure!(!stores.is_empty(), "points go to no store that is folded: set [embedded] path or [influxdb] url");
        let mut code = ExitCode::SUCCESS;
        for store in &stores {
            match self.of_store(store.as_ref(), &state).with_context(|| store.name()) {
                Ok(ExitCode::SUCCESS) => {}
                Ok(failed) => code = failed,
                // Wrong flags are wrong for all of them.
                Err(error) if error.is::<Usage>() => return Err(error),
                Err(error) => {
                    complain(self.program.name, &[format!("{error:#}")]);
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }

    fn of_store(&self, store: &dyn Tiers, state: &Path) -> Result<ExitCode> {
        let wall = jiff::Timestamp::now().as_second();
        let go_on = || Ok(());
        let downsampler = Downsampler {
            store,
            state,
            grid: &self.config.grid.name,
            now: self.common.now.unwrap_or(wall).min(wall),
            settle_seconds: self.config.settle_seconds,
            until: Instant::now() + Duration::from_secs(3600),
            go_on: &go_on,
        };
        if let Some(explained) = &self.by_hand.explain {
            let [series, label] = explained.as_slice() else { bail!("--explain takes a series and a label") };
            let label = self.label(label)?;
            return Ok(print(&explain(store, self.tier, series, label, &self.config.grid.name)?));
        }
        if let Some(label) = &self.by_hand.delete_window {
            let label =
                label.as_deref().map_or_else(|| Ok(downsampler.closed(self.tier)), |label| self.label(label))?;
            return self.delete(&downsampler, label);
        }
        let range = self.by_hand.from.map(|from| labels(&downsampler, self.tier, from, self.by_hand.to)).transpose();
        let range = range.map_err(|error| Usage(format!("{error:#}")))?;
        if let Some(source) = &self.by_hand.compare.compare {
            let closed = downsampler.closed(self.tier);
            let range = range.unwrap_or((closed, closed));
            let is_known = compare(&downsampler, self.program.name, self.tier, range, (self.config, source))?;
            return Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        match range {
            Some((first, last)) if !self.common.dry_run => self.backfill(&downsampler, first, last),
            range => self.show(&downsampler, range),
        }
    }

    /// Reads the label of a window.
    fn label(&self, text: &str) -> Result<i64> {
        let length = length(self.tier) / SECOND;
        let label = parse_time(text).map_err(|error| Usage(format!("{text:?}: {error:#}")))?;
        if label % length != 0 {
            let end = label.div_euclid(length) * length + length;
            bail!(Usage(format!("no window ends {}; the one that holds it ends {}", utc(label), utc(end))));
        }
        Ok(label)
    }

    fn show(&self, downsampler: &Downsampler, range: Option<(i64, i64)>) -> Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        downsampler.show(self.tier, range, &mut |points| {
            let carbon = matches!(self.common.format, frame::Format::Carbon);
            let points: Vec<Point> = if carbon { points.iter().map(declared).collect() } else { points };
            code = print(&frame::show(&points, self.common.format, CATALOG).0);
            Ok(())
        })?;
        Ok(code)
    }

    fn backfill(&self, downsampler: &Downsampler, first: i64, last: i64) -> Result<ExitCode> {
        let step = length(self.tier) / SECOND;
        let bar = io::stderr().is_terminal().then(|| {
            let windows = (last - first) / step + 1;
            bar(windows.unsigned_abs(), "{pos}/{len} windows {wide_bar} {percent} % {eta} left")
        });
        let progress = |label: i64| {
            bar.iter().for_each(|bar| bar.set_position(((label - first) / step + 1).unsigned_abs()));
        };
        let folded = downsampler.backfill(self.tier, first, last, &progress);
        bar.iter().for_each(indicatif::ProgressBar::finish_and_clear);
        let Folds { windows, points, expired } = folded?;
        if self.common.verbose || io::stdout().is_terminal() {
            print_line(&format!(
                "{}: folded {} into {}",
                downsampler.store.name(),
                count(windows, "window"),
                count(points, "point")
            ));
        }
        if expired > 0 {
            let message = format!(
                "{}: {} left as they are, since the points that they were folded from are no longer kept",
                downsampler.store.name(),
                count(expired, "window")
            );
            complain(self.program.name, &[message]);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn delete(&self, downsampler: &Downsampler, label: i64) -> Result<ExitCode> {
        let of = downsampler.store.reader().describe();
        if !downsampler.store.has(self.tier, label * SECOND)? {
            print_line(&format!("{of} has no {} point that stands at {}", self.tier, utc(label)));
            return Ok(ExitCode::SUCCESS);
        }
        let question = format!("Delete the {} points that stand at {} from {of}?", self.tier, utc(label));
        if !confirm(self.program.name, &question, self.by_hand.yes)? {
            return Ok(ExitCode::FAILURE);
        }
        let points = downsampler.delete(self.tier, label)?;
        print_line(&format!("deleted {}; --from folds the window again", count(points, "point")));
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns a point with the fields alone that its measurement declares: others have no Carbon path.
fn declared(point: &Point) -> Point {
    let known = |name: &str| point.declaration().is_some_and(|measurement| measurement.field(name).is_some());
    let fields = point.fields().filter(|(name, _)| known(name)).map(|(name, value)| (name.to_string().into(), value));
    point.at(point.time(), fields.collect::<Vec<_>>())
}
