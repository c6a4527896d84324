//! Tells how one folded point came about: the points, the coverage, the arithmetic.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use crate::model::{COVERAGE, Fold, Measurement, Point, SCOPE_COVERAGE, SECOND, Tier, Value, Window};
use crate::query::Selector;
use crate::rollup::{Coverage, Covered, Folded, HOUR, PARTS, WindowFold, label_time, slot_of, source, window_of};
use crate::setup::CATALOG;
use crate::sinks::tiers::Tiers;
use crate::text::{Table, count, quote};

/// Returns the text for one point of a tier: its series, and the label of its window in unix seconds.
///
/// # Errors
/// Fails if the store cannot be read, or if it has no such series, or several.
pub fn explain(store: &dyn Tiers, tier: Tier, series: &str, label: i64, grid: &str) -> Result<String> {
    let window = window_of(tier, label * SECOND);
    let (measurement, selector) = selector(series)?;
    let (finer, times) = source(tier, window);
    let begins = store.begins(finer)?;
    let mut coverage = Coverage::new(&begins);
    for name in [COVERAGE.name, SCOPE_COVERAGE.name] {
        let of_measurement = Selector::measurement(name).with("measurement", measurement.name);
        each(store, &of_measurement, times, finer, &mut |point| coverage.add(finer, &point, CATALOG))?;
    }
    if coverage.may_assume(measurement, times.from) && (finer == Tier::Raw || measurement.exact.is_some()) {
        each(store, &Selector::measurement(measurement.name), times, finer, &mut |point| match finer {
            Tier::Raw => coverage.assume(measurement, &point, point.time(), grid),
            _ => coverage.assume_hour(measurement, &point, point.time(), grid),
        })?;
    }
    let mut points = Vec::new();
    each(store, &selector, times, finer, &mut |point| points.push(point))?;
    let all: BTreeSet<_> = points.iter().map(|point| point.series().to_string()).collect();
    match all.len() {
        0 => bail!("no {finer} point of {} is in the window {}", quote(series), shown(window)),
        1 => {}
        more => bail!(
            "{} is {} series; give more tags: {}",
            quote(series),
            more,
            all.into_iter().take(3).collect::<Vec<_>>().join(" ")
        ),
    }
    points.sort_by_key(Point::time);
    let mut fold = WindowFold::new(tier, measurement, &coverage);
    points.iter().for_each(|point| fold.add(point));
    let mut folded = fold.finish(window.to);
    let of_hours: Vec<_> = folded.iter().map(|folded| folded.parts.clone()).collect();
    if tier == Tier::Day {
        store.complete_day(measurement, window, begins.of(measurement.name), &mut folded)?;
    }
    let covered = coverage.of(&points[0]);
    let mut text =
        format!("{}\n{} window {}, {}\n\n", points[0].series(), tier, shown(window), store.reader().describe());
    text += &rows(measurement, finer, &points, &covered);
    text += &covered_text(finer, &covered);
    for folded in &folded {
        text += &arithmetic(measurement, folded);
    }
    if folded.iter().zip(&of_hours).any(|(one, of_hours)| one.parts != *of_hours) {
        text +=
            "An hour here does not tell of how many values its means are: those of the day are of its raw points.\n";
    }
    let time = label_time(measurement, &points[0], window.to);
    let mut stored = Vec::new();
    let at = Window { from: time, to: time + 1 };
    each(store, &selector, at, tier, &mut |point| stored.push(point))?;
    text += &match (stored.as_slice(), folded.first()) {
        ([], _) => "\nNothing is stored at its label.\n".to_string(),
        (stored, Some(folded)) if stored.iter().any(|point| is_same(point, &folded.point)) => {
            "\nThe same is stored at its label.\n".to_string()
        }
        (stored, _) => {
            let lines: Vec<_> = stored.iter().map(Point::line).collect();
            format!("\nSomething else is stored at its label; --from folds it again:\n{}\n", lines.join("\n"))
        }
    };
    Ok(text)
}

/// Whether a stored point has the values of a folded one.
fn is_same(stored: &Point, folded: &Point) -> bool {
    let value = |name: &str| stored.fields().find(|(field, _)| *field == name).map(|(_, value)| value.as_f64());
    folded.fields().all(|(name, of)| value(name) == Some(of.as_f64()))
}

fn each(store: &dyn Tiers, selector: &Selector, window: Window, tier: Tier, take: &mut dyn FnMut(Point)) -> Result<()> {
    store.each(selector, window, tier, &mut |point| {
        take(point);
        Ok(())
    })
}

/// Reads a Carbon path, or a measurement with some of its tags.
pub(super) fn selector(series: &str) -> Result<(&'static Measurement, Selector)> {
    if let Some(number) = CATALOG.read_path(series) {
        let tags = number.tags.into_iter();
        let selector = Selector::measurement(number.measurement.name);
        return Ok((number.measurement, tags.fold(selector, |selector, (name, value)| selector.with(name, &value))));
    }
    let names = Point::of_series(series).with_context(|| format!("{} is no series", quote(series)))?;
    let name = names.measurement();
    let measurement = CATALOG.measurement(name);
    let measurement =
        measurement.with_context(|| format!("{} is neither a measurement nor a Carbon path", quote(name)))?;
    ensure!(
        ![COVERAGE.name, SCOPE_COVERAGE.name].contains(&name),
        "coverage folds to the number of covered slots; explain one of the measurement's own series"
    );
    let tags = names.tags();
    Ok((measurement, tags.fold(Selector::measurement(name), |selector, (name, value)| selector.with(name, value))))
}

fn shown(window: Window) -> String {
    format!("{} to {}", clock(window.from), clock(window.to))
}

fn clock(time: i64) -> String {
    let time = jiff::Timestamp::from_second(time.div_euclid(SECOND)).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the points as a table, each with its slot, or hour, and whether that is covered.
fn rows(measurement: &Measurement, finer: Tier, points: &[Point], covered: &Covered) -> String {
    let names: BTreeSet<_> = points.iter().flat_map(|point| point.fields().map(|(name, _)| name)).collect();
    let names: BTreeSet<_> = names.iter().copied().filter(|name| is_told(measurement, name, &names)).collect();
    let labels: BTreeSet<_> = points.iter().map(Point::labels_text).collect();
    let mut heads = vec!["UTC", "covered"];
    heads.extend(names.iter().copied());
    heads.extend((labels.len() > 1).then_some("labels"));
    let heads: Vec<_> = heads.into_iter().map(String::from).collect();
    let heads: Vec<_> = heads.iter().map(String::as_str).collect();
    let mut table = Table::new(&heads);
    for point in points {
        let slot = match finer {
            Tier::Raw => slot_of(measurement, point.time()),
            _ => point.time().div_euclid(HOUR) * HOUR,
        };
        let mut row = vec![clock(slot), covered.at(slot).to_string()];
        let value = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value.to_string());
        row.extend(names.iter().map(|name| value(name).unwrap_or_default()));
        row.extend((labels.len() > 1).then(|| point.labels_text()));
        table.row(&row);
    }
    table.text()
}

/// Whether a field is a column of the table: of the parts of an hour's values those alone that a mean is made of.
fn is_told(measurement: &Measurement, name: &str, all: &BTreeSet<&str>) -> bool {
    let exact = measurement.exact.map(|exact| [exact.field, exact.sum, exact.slots]).unwrap_or_default();
    let [sum, slots, ..] = PARTS;
    let mut of_mean = [sum, slots].into_iter().filter_map(|end| measurement.field(name.strip_suffix(end)?));
    let is_part = || PARTS.iter().any(|end| name.strip_suffix(end).is_some_and(|field| all.contains(field)));
    exact.contains(&name) || !is_part() || of_mean.any(|field| field.fold == Fold::Mean && !exact.contains(&field.name))
}

fn covered_text(finer: Tier, covered: &Covered) -> String {
    let slots = covered.times().iter().map(|(time, slots)| match finer {
        Tier::Raw => clock(*time)[11..].to_string(),
        _ => format!("{} ({slots})", &clock(*time)[11..16]),
    });
    let slots: Vec<_> = slots.collect();
    format!("\ncovered: {} {}\n", count(covered.total().unsigned_abs() as usize, "slot"), slots.join(" "))
}

/// Returns what each field is made of.
fn arithmetic(measurement: &Measurement, folded: &Folded) -> String {
    let mut text = String::new();
    for ((name, value), parts) in folded.point.fields().zip(&folded.parts) {
        let Some(field) = measurement.field(name) else {
            text += &format!("{name} = {value}\n");
            continue;
        };
        let (sum, slots) = (parts.sum, parts.slots);
        let is_sum = field.fold == Fold::Sum
            || measurement.exact.is_some_and(|exact| {
                exact.field == name
                    && folded.point.tag(exact.events.0).is_some_and(|event| exact.events.1.contains(&event))
            });
        text += &match (is_sum, field.fold) {
            (true, _) => format!("{name} = S = {value}; N = {slots}\n"),
            (_, Fold::Mean) => format!("{name} = S/N = {sum}/{slots} = {value}{}\n", zeros(parts.least, field.count)),
            (_, fold) => format!("{name} = {fold} = {value}\n"),
        };
    }
    text
}

/// Says where a mean of a count has zeros in it.
fn zeros(least: Value, is_count: bool) -> &'static str {
    if is_count && least.is_zero() { "; a covered slot without a point is zero" } else { "" }
}
