//! Folds the closed windows of a store: the new ones, those that late points made dirty, and those that a person asks for.

mod shown;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::{SECOND, Tier, utc};
use crate::rollup::{Begins, length, source, window_of};
use crate::sinks::tiers::{Task, Tiers};
use crate::sinks::windows::{Backfill, Record, Windows};

/// `[downsample]`.
pub const SECTION: Section = Section::new(
    "downsample",
    "Says when downsample-1h and downsample-1d fold.",
    &[Key::new(
        "settle_seconds",
        Kind::Seconds(0, 86_400),
        Unset::Default("300"),
        "How long after its end an hour or a day is folded, in seconds, so that late points are in it. Later ones make it be \
         folded again.",
    )],
);

/// Reads `[downsample] settle_seconds`.
///
/// # Errors
/// Fails if it is no number of seconds in range.
pub fn read(values: &Values) -> Result<i64> {
    Ok(values.number("settle_seconds")?.cast_signed())
}

/// Folds the windows of a store.
pub struct Downsampler<'a> {
    /// The store.
    pub store: &'a dyn Tiers,
    /// The state directory.
    pub state: &'a Path,
    /// The grid of series that name none.
    pub grid: &'a str,
    /// The clock, in unix seconds.
    pub now: i64,
    /// How long after its end a window may be folded, in seconds.
    pub settle_seconds: i64,
    /// Until when other processes that fold are waited for.
    pub until: Instant,
    /// Called between any two writes; its error ends the work.
    pub go_on: &'a dyn Fn() -> Result<()>,
}

/// What was folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folds {
    /// Windows with points.
    pub windows: usize,
    /// Their points.
    pub points: usize,
    /// Windows that are left as they are, since their finer points are no longer kept.
    pub expired: usize,
}

/// How many windows of a backfill are folded at a time, before others may fold.
const AT_A_TIME: i64 = 24;

/// How long a backfill then lets others in.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it is written how far the windows are folded.
const KEPT: Duration = Duration::from_secs(1);

/// The windows of one tier, and what their folds have in common.
struct Work<'a> {
    tier: Tier,
    windows: Windows,
    /// The windows of the next coarser tier.
    coarser: Option<Windows>,
    begins: Begins,
    /// The length of a window, in seconds.
    length: i64,
    /// The label of the last closed window, in unix seconds.
    closed: i64,
    oldest_kept: Option<i64>,
    of: &'a Downsampler<'a>,
    folds: Folds,
}

impl<'a> Downsampler<'a> {
    /// Returns the label of the last closed window of a tier, in unix seconds.
    pub fn closed(&self, tier: Tier) -> i64 {
        let length = length(tier) / SECOND;
        self.now.saturating_sub(self.settle_seconds).div_euclid(length) * length
    }

    fn work(&'a self, tier: Tier) -> Result<Work<'a>> {
        let (finer, _) = source(tier, window_of(tier, 0));
        let windows = |tier| Windows::new(self.state, self.store.name(), tier);
        Ok(Work {
            tier,
            windows: windows(tier),
            coarser: (tier == Tier::Hour).then(|| windows(Tier::Day)),
            begins: self.store.begins(finer)?,
            length: length(tier) / SECOND,
            closed: self.closed(tier),
            oldest_kept: self.store.oldest_kept(finer, self.now)?,
            of: self,
            folds: Folds::default(),
        })
    }

    /// Folds the closed windows of a tier that are new or dirty; of days first their hours.
    ///
    /// # Errors
    /// Fails if the store or the state cannot be read or written, or if there is no time left. What is folded stays, and the
    /// next run goes on.
    pub fn run(&self, tier: Tier) -> Result<Folds> {
        let mut closed = self.closed(tier);
        if tier == Tier::Day {
            self.run(Tier::Hour).context("the hours")?;
            let hours = Windows::new(self.state, self.store.name(), Tier::Hour).record()?;
            closed = closed.min(hours.map_or(i64::MIN, |hours| hours.done));
        }
        let mut work = self.work(tier)?;
        work.closed = closed.div_euclid(work.length) * work.length;
        let _lock = work.lock()?;
        let record = work.windows.record()?;
        let before = record.clone().unwrap_or_default();
        let mut now = work.record(record.as_ref());
        work.windows.mark(work.earlier(&before)?)?;
        if record.as_ref() != Some(&now) {
            work.windows.keep(&now)?;
        }
        let is_refold = |label: i64| record.is_none() || label <= before.begun;
        let result = work.new_windows(&mut now, &is_refold).and_then(|()| work.dirty_windows(&now));
        if record.as_ref() != Some(&now) {
            work.windows.keep(&now)?;
        }
        result.map(|()| work.folds)
    }

    /// Folds all windows of a tier with labels from `first` to `last`, in unix seconds, also those that are folded; of days first the
    /// hours that are missing. Goes on where an earlier call with the same labels was ended. Calls `progress` with each
    /// label that is done.
    ///
    /// # Errors
    /// As [`Downsampler::run`].
    pub fn backfill(&self, tier: Tier, first: i64, last: i64, progress: &dyn Fn(i64)) -> Result<Folds> {
        if tier == Tier::Day {
            self.run(Tier::Hour).context("the hours")?;
        }
        let mut work = self.work(tier)?;
        let mut next = match work.windows.backfill()? {
            Some(begun) if (begun.first, begun.last) == (first, last) => begun.done + work.length,
            _ => first,
        };
        while next <= last {
            let lock = work.lock()?;
            let end = last.min(next.saturating_add((AT_A_TIME - 1) * work.length));
            work.begin(end)?;
            while next <= end {
                if tier == Tier::Day && self.missing_hours(next)? {
                    // The coverage of the hours may begin earlier now.
                    work.begins = self.store.begins(Tier::Hour)?;
                }
                work.fold(next, true, true)?;
                progress(next);
                next += work.length;
            }
            work.windows.keep_backfill(Some(&Backfill { first, last, done: end }))?;
            drop(lock);
            thread::sleep(PAUSE);
        }
        work.windows.keep_backfill(None)?;
        Ok(work.folds)
    }

    /// Folds the hours of a day, by its label, that have no point at all. Returns whether there were points to fold.
    fn missing_hours(&self, day: i64) -> Result<bool> {
        let mut hours = self.work(Tier::Hour)?;
        let _lock = hours.lock()?;
        for label in hours_of(day) {
            if !self.store.has(Tier::Hour, label * SECOND)? {
                hours.fold(label, true, true)?;
            }
        }
        Ok(hours.folds.points > 0)
    }

    /// Deletes the points of a window by its label, in unix seconds; the day of an hour is folded again. Returns the number of
    /// points.
    ///
    /// # Errors
    /// Fails if the store or the state cannot be written.
    pub fn delete(&self, tier: Tier, label: i64) -> Result<usize> {
        let work = self.work(tier)?;
        // Whoever folds days locks them before the hours. Meanwhile nobody takes the mark of the day, so that it can be made
        // first: killed after it, the day is folded once too often; killed before it, nothing is deleted.
        let _days = work.coarser.as_ref().map(|_| self.work(Tier::Day)?.lock()).transpose()?;
        let _lock = work.lock()?;
        work.mark_coarser(label)?;
        self.store.delete(tier, label * SECOND)
    }
}

impl Work<'_> {
    fn lock(&self) -> Result<std::fs::File> {
        let lock = self.windows.lock(self.of.until)?;
        lock.with_context(|| format!("another process folds the {} of it all the time", noun(self.tier)))
    }

    /// Says that windows up to `last` may be folded, before a backfill folds one that no run has begun: it is folded again by
    /// the run that comes to it, and what it has no more then is removed.
    fn begin(&self, last: i64) -> Result<()> {
        let record = self.windows.record()?;
        if record.as_ref().is_some_and(|record| record.begun >= last) {
            return Ok(());
        }
        let record = record.unwrap_or_else(|| Record { begun: i64::MIN, done: i64::MIN, ..self.record(None) });
        self.windows.keep(&Record { begun: record.begun.max(last), ..record })
    }

    /// Returns what a run writes down before it folds the windows that are new since `record`.
    fn record(&self, record: Option<&Record>) -> Record {
        let begins = self.begins.all().map(|(name, begin)| (name.to_string(), begin)).collect();
        let before = record.cloned().unwrap_or_default();
        let mut now = Record { measurements: self.of.store.measurements(), begins, ..before.clone() };
        now.begun = before.begun.max(self.closed);
        // A measurement that is folded only now has no folded window.
        let is_more = match (&before.measurements, &now.measurements) {
            (Some(before), Some(now)) => now.iter().any(|name| !before.contains(name)),
            (before, now) => before != now && record.is_some(),
        };
        if is_more || record.is_none() {
            now.done = i64::MIN;
        }
        now
    }

    /// Returns the labels of the windows of which late coverage has changed the meaning: what was not covered yet, is now. Only
    /// of those that may have points: coverage of a clock that stood in 1970 is half a million hours early.
    fn earlier(&self, before: &Record) -> Result<BTreeSet<i64>> {
        let mut labels = BTreeSet::new();
        for (measurement, begin) in self.begins.all() {
            let last = match before.begins.get(measurement) {
                Some(known) if *known <= begin => continue,
                Some(known) => self.windows.label_of(*known).min(before.begun),
                None => before.begun,
            };
            let mut next = self.windows.label_of(begin);
            while let Some(label) = self.next(next, last)? {
                labels.insert(label);
                next = label + self.length;
            }
        }
        Ok(labels)
    }

    fn task(&self, is_refold: bool, before_coverage: bool) -> Task<'_> {
        let (grid, go_on) = (self.of.grid, self.of.go_on);
        Task { begins: &self.begins, grid, is_refold, before_coverage, go_on, shows_parts: false, show: None }
    }

    /// Whether the points that a window is folded from are no longer all kept.
    fn is_expired(&self, label: i64) -> bool {
        let window = window_of(self.tier, label.saturating_mul(SECOND));
        self.oldest_kept.is_some_and(|kept| source(self.tier, window).1.from < kept)
    }

    /// Returns the label of the first window from the one with the label `from` on, up to `last`, that may have points to
    /// fold; in unix seconds.
    fn next(&self, from: i64, last: i64) -> Result<Option<i64>> {
        let label = from.max(i64::MIN / SECOND + 2 * self.length);
        let (finer, times) = source(self.tier, window_of(self.tier, label.saturating_mul(SECOND)));
        let Some(time) = self.of.store.next(finer, times.from)? else { return Ok(None) };
        // A bucket of hourly points begins with the last label of the day before.
        let time = if self.tier == Tier::Day { time.saturating_sub(length(Tier::Hour)) } else { time };
        let found = (time.div_euclid(SECOND).div_euclid(self.length) + 1) * self.length;
        Ok(Some(found.max(label.div_euclid(self.length) * self.length)).filter(|label| *label <= last))
    }

    /// Folds the windows after the last one that is done.
    fn new_windows(&mut self, record: &mut Record, is_refold: &dyn Fn(i64) -> bool) -> Result<()> {
        let mut kept = Instant::now();
        let mut next = record.done.saturating_add(self.length);
        while let Some(label) = self.next(next, self.closed)? {
            self.fold(label, is_refold(label), false).with_context(|| self.waits(label))?;
            (next, record.done) = (label + self.length, label);
            if kept.elapsed() > KEPT {
                self.windows.keep(record)?;
                kept = Instant::now();
            }
        }
        record.done = record.done.max(self.closed);
        Ok(())
    }

    /// Says from which window on nothing is folded.
    fn waits(&self, label: i64) -> String {
        let window = utc(label - self.length);
        format!("the {} from {window} on wait for the next run", noun(self.tier))
    }

    /// Folds the dirty windows again that are closed.
    fn dirty_windows(&mut self, record: &Record) -> Result<()> {
        let last = self.closed.min(record.done);
        for label in self.windows.dirty()?.into_iter().filter(|label| *label <= last) {
            self.fold(label, true, false).with_context(|| format!("the window that ends {}", utc(label)))?;
        }
        Ok(())
    }

    /// Folds one window by its label, in unix seconds.
    fn fold(&mut self, label: i64, is_refold: bool, before_coverage: bool) -> Result<()> {
        (self.of.go_on)()?;
        let window = window_of(self.tier, label.saturating_mul(SECOND));
        self.windows.take(label)?;
        if self.is_expired(label) {
            self.folds.expired += 1;
            return self.windows.clear(label);
        }
        let mut task = self.task(is_refold, before_coverage);
        let points = self.of.store.fold(self.tier, window, &mut task)?;
        self.mark_coarser(label)?;
        self.windows.clear(label)?;
        self.folds.points += points;
        self.folds.windows += usize::from(points > 0);
        Ok(())
    }

    /// Marks the day of an hour, if it is folded already.
    fn mark_coarser(&self, label: i64) -> Result<()> {
        self.coarser.as_ref().map_or(Ok(()), |coarser| coarser.mark([day_of(label)]))
    }
}

/// Returns the label of the day to which the hour with this label belongs; both in unix seconds.
fn day_of(hour: i64) -> i64 {
    let day = length(Tier::Day) / SECOND;
    (hour - 1).div_euclid(day) * day + day
}

/// Returns the labels of the hours of a day by its own label, in unix seconds.
fn hours_of(day: i64) -> impl Iterator<Item = i64> {
    let hour = length(Tier::Hour) / SECOND;
    (day - 23 * hour..=day).step_by(hour as usize)
}

/// Names the windows of a tier.
fn noun(tier: Tier) -> &'static str {
    if tier == Tier::Day { "days" } else { "hours" }
}

/// Returns the labels of the windows that overlap a range, up to the last closed one; all in unix seconds.
///
/// # Errors
/// Fails if the range ends in the future, or holds no closed window.
pub fn labels(of: &Downsampler, tier: Tier, from: i64, to: Option<i64>) -> Result<(i64, i64)> {
    let (length, closed) = (length(tier) / SECOND, of.closed(tier));
    if let Some(to) = to {
        ensure!(to <= of.now, "--to {} is in the future: its windows are not closed", utc(to));
        ensure!(from < to, "--from {} is not before --to {}", utc(from), utc(to));
    }
    let first = from.div_euclid(length) * length + length;
    let last = to.map_or(closed, |to| (to - 1).div_euclid(length) * length + length).min(closed);
    if first > last {
        bail!(
            "no closed window begins in that time: the last {} that may be folded ends {}",
            noun(tier).trim_end_matches('s'),
            utc(closed)
        );
    }
    Ok((first, last))
}
