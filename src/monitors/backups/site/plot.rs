//! The plot of a set: the size of each of its backups, and when none of them was fresh.

use super::Sizes;
use crate::view::history::{History, Series, Whole};
use crate::view::plot::{self, PlotStyle};

const DAY: i64 = 86_400;

/// The days that a plot shows at most.
const DAYS: i64 = 366;

/// The days that it shows at least.
const LEAST_DAYS: i64 = 30;

/// The most backups of a plot.
const MOST: usize = 1500;

/// Returns the plot of a set. Hatched is the time in which its newest backup was older than `fresh_seconds`. `now` is in unix
/// seconds; the same day gives the same picture, if no backup came.
pub fn svg(node: &str, set: &str, sizes: &Sizes, fresh_seconds: i64, now: i64) -> String {
    let to = (now.div_euclid(DAY) + 1) * DAY;
    let shown: Vec<(i64, u64)> =
        sizes.iter().rev().take(MOST).copied().filter(|(time, _)| (to - DAYS * DAY..to).contains(time)).collect();
    let first = shown.last().map_or(to, |(time, _)| time.div_euclid(DAY) * DAY);
    let from = first.min(to - LEAST_DAYS * DAY);
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let mut until = None;
    for (time, bytes) in shown.iter().rev() {
        if let Some(stale) = until.filter(|stale| stale < time) {
            times.push(stale);
            values.push(None);
        }
        times.push(*time);
        values.push(Some(megabytes(*bytes)));
        until = time.checked_add(fresh_seconds.max(1));
    }
    // To the end of the day, so that the picture stays the same on it.
    if let Some(stale) = until.filter(|stale| *stale < now) {
        times.extend([stale, to]);
        values.extend([None, None]);
    }
    let numbers = || shown.iter().rev().map(|(_, bytes)| megabytes(*bytes));
    let whole = shown.first().map(|(last_time, last)| Whole {
        count: shown.len() as u64,
        least: numbers().fold(f64::INFINITY, f64::min),
        mean: numbers().sum::<f64>() / shown.len() as f64,
        most: numbers().fold(0.0, f64::max),
        last: megabytes(*last),
        last_time: *last_time,
    });
    let series = Series { path: format!("{node} {set}"), unit: "MB", values, whole, ..Series::default() };
    let history = History { from, to, step_seconds: 1, times, series: vec![series] };
    plot::svg(&history, &PlotStyle { width: 720, height: 150, ..PlotStyle::default() })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
