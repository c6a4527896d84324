//! `gridmon-status explain`: what a Carbon path, a series or a measurement is, and its newest values.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Error, Result, bail};

use super::explain::selector;
use super::spool_commands::complain;
use crate::frame::print;
use crate::model::{FieldInfo, Measurement, Point, SECOND, utc};
use crate::query::{Latest, Read, Selector};
use crate::setup::{CATALOG, Config, PLOTTED, interval, reader, senders, source};
use crate::text::{Table, ago, count, quote};

/// How many newest values are shown.
const SHOWN: usize = 20;

/// What is explained: a measurement, and of it the series and the field that were named.
struct Named<'a> {
    measurement: &'static Measurement,
    selector: Selector,
    path: Option<&'a str>,
    field: Option<&'static FieldInfo>,
}

impl<'a> Named<'a> {
    /// Reads a Carbon path, a measurement, or a measurement with some of its tags: `grid_cloud,cloud=cc-east`.
    fn new(name: &'a str) -> Result<Self> {
        if let Some(number) = PLOTTED.read_path(name) {
            let (measurement, field) = (number.measurement, Some(number.field));
            return Ok(Self { measurement, selector: Selector::default(), path: Some(name), field });
        }
        let whole =
            |measurement: &'static Measurement, selector| Self { measurement, selector, path: None, field: None };
        match (selector(name), PLOTTED.measurement(name)) {
            (Ok((measurement, selector)), _) => Ok(whole(measurement, selector)),
            // What pages make of stored numbers has a plot too.
            (Err(_), Some(measurement)) => Ok(whole(measurement, Selector::measurement(measurement.name))),
            (Err(_), None) => {
                bail!("{} is neither a measurement nor a Carbon path that one declares; {}", quote(name), near(name))
            }
        }
    }

    fn has(&self, value: &Latest) -> bool {
        match self.path {
            Some(path) => self.measurement.carbon_path(&value.series, value.field.name).as_deref() == Some(path),
            None => self.selector.selects(&value.series),
        }
    }

    /// Returns what the declaration says, and the config: the interval in seconds, if it is known.
    fn text(&self, interval: Option<i64>) -> String {
        let measurement = self.measurement;
        let here = interval.filter(|seconds| *seconds != measurement.every);
        let here = here.map_or(String::new(), |seconds| format!("{seconds} s here, "));
        let names = |keys: bool| {
            let tags = measurement.tags.iter().filter(|tag| tag.identifies == keys).map(|tag| tag.name);
            tags.collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("{}: {}\n", measurement.name, measurement.meaning);
        let _ = writeln!(text, "sent by   {}, every {here}{} s by default", senders(measurement), measurement.every);
        let _ = writeln!(text, "source    {}", source(measurement));
        let _ = writeln!(text, "key tags  {}", names(true));
        if measurement.has_labels() {
            let _ = writeln!(text, "labels    {}", names(false));
        }
        let _ = writeln!(text, "Carbon    {}\n", measurement.carbon);
        let mut table = Table::new(&["field", "type", "unit", "fold", "meaning"]);
        for field in measurement.fields.iter().filter(|field| self.field.is_none_or(|one| one.name == field.name)) {
            let FieldInfo { name, kind, unit, fold, meaning, .. } = field;
            table.row(&[(*name).into(), kind.to_string(), (*unit).into(), fold.name().into(), (*meaning).into()]);
        }
        text + &table.text()
    }

    /// Returns the newest values as a table.
    fn newest(&self, store: &dyn Read, now: i64) -> Result<String> {
        let newest = store.latest(&[self.measurement], now)?;
        let mut values: Vec<_> = newest.values.iter().filter(|value| self.has(value)).collect();
        values.sort_by_key(|value| (value.series.series().to_string(), value.field.name));
        let what = self.path.map_or_else(|| count(values.len(), "number"), |_| "it".into());
        let mut text = match values.len() {
            0 => return Ok(format!("\nNothing is stored of {} in {}.\n", self.described(), store.describe())),
            all if all > SHOWN => format!("\nThe first {SHOWN} of {what} in {}:\n", store.describe()),
            _ => format!("\nThe newest of {what} in {}:\n", store.describe()),
        };
        let mut table = Table::new(&["series", "field", "<value", "unit", "time", "<age"]);
        for value in values.into_iter().take(SHOWN) {
            let Latest { series, field, time, value, .. } = value;
            let seconds = time.div_euclid(SECOND);
            let age = ago(now.saturating_sub(seconds));
            table.row(&[tags(series), field.name.into(), value.to_string(), field.unit.into(), utc(seconds), age]);
        }
        text += &table.text();
        if let Some(notice) = newest.ahead.notice() {
            let _ = writeln!(text, "{notice}");
        }
        Ok(text)
    }

    fn described(&self) -> String {
        self.path.map_or_else(|| "it".into(), quote)
    }
}

fn tags(series: &Point) -> String {
    series.tags().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Returns what a name that nothing has may have meant.
fn near(name: &str) -> String {
    let measurement = name.split([',', ' ']).next().unwrap_or_default();
    let by_name = |one: &&Measurement| strsim::damerau_levenshtein(measurement, one.name);
    let nearest = CATALOG.measurements().min_by_key(by_name).filter(|one| by_name(one) <= 2.max(one.name.len() / 3));
    if let Some(nearest) = nearest {
        return format!("did you mean {}?", nearest.name);
    }
    // What begins with a tag fits every path; so only words count that are there literally.
    let begun = |one: &&Measurement| {
        let parts = one.carbon.split('.').zip(name.split('.'));
        let fits = parts.take_while(|(declared, given)| declared.starts_with('{') || declared == given);
        fits.filter(|(declared, _)| !declared.starts_with('{')).count()
    };
    let length = |path: &str| path.split('.').count();
    let unlike = |one: &&Measurement| (Reverse(begun(one)), length(one.carbon).abs_diff(length(name)));
    match CATALOG.measurements().min_by_key(unlike).filter(|one| begun(one) > 0) {
        Some(nearest) => format!("{} has {}", nearest.name, nearest.carbon),
        None => "without an argument, all are listed; what others send to qmaster has no declaration".into(),
    }
}

/// Returns every measurement with who sends it.
fn all() -> String {
    let mut table = Table::new(&["measurement", "sent by", "Carbon"]);
    for measurement in CATALOG.measurements() {
        table.row(&[measurement.name.into(), senders(measurement).into(), measurement.carbon.into()]);
    }
    table.text()
}

/// Prints what `name` is and its newest values; without it, every measurement.
///
/// # Errors
/// Fails if nothing has this name.
pub fn run(config: &Config, now: i64, name: Option<&str>) -> Result<ExitCode> {
    explain(name, |one| interval(config, one), |named| named.newest(&*reader(config)?, now))
}

/// Prints what `name` is for a user who may not read the config, and so has no newest values.
///
/// # Errors
/// As [`run`].
pub fn run_without(config: &Error, name: Option<&str>) -> Result<ExitCode> {
    explain(name, |_| None, |_| bail!("{config:#}"))
}

fn explain(
    name: Option<&str>,
    interval: impl FnOnce(&Measurement) -> Option<i64>,
    newest: impl FnOnce(&Named) -> Result<String>,
) -> Result<ExitCode> {
    let Some(name) = name else { return Ok(print(&all())) };
    let named = Named::new(name)?;
    let newest = newest(&named);
    let printed = print(&(named.text(interval(named.measurement)) + newest.as_deref().unwrap_or_default()));
    match newest {
        Ok(_) => Ok(printed),
        Err(error) => {
            complain(&format!("its newest value: {error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}
