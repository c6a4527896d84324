//! Questions about one field of many series: sums, and when there are values.

use anyhow::Result;

use super::{Scan, Selector};
use crate::model::{Point, SECOND, Tier, Value, WideSum, Window};

/// The sum of one field over the points of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Total {
    /// The values of the grouping tags, in their order; empty for a tag that the points lack.
    pub group: Vec<String>,
    /// The sum, which is an integer if all values are.
    pub sum: WideSum,
}

/// One field of the points of a tier in a time range.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Which points.
    pub selector: &'a Selector,
    /// Their field.
    pub field: &'a str,
    /// Their times.
    pub window: Window,
    /// Their tier.
    pub tier: Tier,
}

/// The values of one field within a step of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The smallest value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
}

/// Calls `each` with every value of a column and its point.
pub(super) fn each_value<S: Scan + ?Sized>(
    store: &S,
    column: Column,
    each: &mut dyn FnMut(&Point, Value),
) -> Result<()> {
    store.each(column.selector, column.window, column.tier, &mut |point| {
        if let Some((_, value)) = point.fields().find(|(name, _)| *name == column.field) {
            each(&point, value);
        }
        Ok(())
    })
}

/// Returns the values of some tags of a point; empty for a tag that it lacks.
pub(super) fn group(point: &Point, by: &[&str]) -> Vec<String> {
    by.iter().map(|tag| point.tag(tag).unwrap_or_default().to_string()).collect()
}

/// Returns the beginning of the step that holds a time in nanoseconds, in unix seconds.
pub(super) fn beginning(time: i64, seconds: i64) -> i64 {
    time.div_euclid(SECOND).div_euclid(seconds) * seconds
}
