//! The CSV of an export: a column for each tag, a row for each value, safe to open in a spreadsheet.
//!
//! A spreadsheet runs a text that begins with `=`, `+`, `-`, `@`, a tab or a line end as a formula. Such a text, and one
//! that begins with `'`, gets a `'` in front, which an import takes off again. Numbers stay as they are.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use jiff::Timestamp;

use crate::model::{Point, Tier, Value};
use crate::setup::CATALOG;
use crate::text::quote;

/// The first columns, before those of the tags.
const FIRST: [&str; 3] = ["time", "tier", "measurement"];

/// The last columns.
const LAST: [&str; 2] = ["field", "value"];

/// Returns a text as it stands in a cell.
fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) { format!("'{text}").into() } else { text.into() }
}

/// Returns the text of a cell.
fn text(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// Returns the heads of the columns for points with these tags.
pub(super) fn heads(tags: &BTreeSet<String>) -> Vec<Cow<'_, str>> {
    FIRST.into_iter().map(Cow::from).chain(tags.iter().map(|tag| cell(tag))).chain(LAST.map(Cow::from)).collect()
}

/// Calls `each` with the row of each field of a point.
///
/// # Errors
/// Fails if `each` fails, or if the time of the point is beyond the calendar.
pub(super) fn rows(
    tags: &BTreeSet<String>,
    tier: Tier,
    point: &Point,
    each: &mut dyn FnMut(&[Cow<'_, str>]) -> Result<()>,
) -> Result<()> {
    let time = Timestamp::from_nanosecond(point.time().into())?.to_string();
    let mut row = vec![time.into(), tier.name().into(), cell(point.measurement())];
    row.extend(tags.iter().map(|tag| cell(point.tag(tag).unwrap_or_default())));
    let head = row.len();
    for (field, value) in point.fields() {
        row.truncate(head);
        row.extend([cell(field), value.to_string().into()]);
        each(&row)?;
    }
    Ok(())
}

/// Whether a file that begins so is such a CSV.
pub(super) fn is_sheet(begin: &[u8]) -> bool {
    let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin);
    let begin: Vec<u8> = begin.iter().copied().filter(|byte| *byte != b'"').take(22).collect();
    begin == b"time,tier,measurement,"
}

/// The tags of the columns of a CSV.
pub(super) struct Columns {
    tags: Vec<String>,
}

impl Columns {
    /// Reads the heads of the columns.
    ///
    /// # Errors
    /// Fails if they are not those of an export.
    pub(super) fn of(heads: &StringRecord) -> Result<Self> {
        let heads: Vec<_> = heads.iter().map(|head| head.trim_start_matches('\u{feff}')).collect();
        let is_whole = heads.len() >= 5 && heads[..3] == FIRST && heads[heads.len() - 2..] == LAST;
        ensure!(is_whole, "the columns of a CSV are time, tier, measurement, one for each tag, field, value");
        Ok(Self { tags: heads[3..heads.len() - 2].iter().map(|tag| text(tag).to_string()).collect() })
    }

    /// Returns the point of a row, with its only field, and its tier.
    ///
    /// # Errors
    /// Fails if the row has no time, tier or number.
    pub(super) fn point(&self, row: &StringRecord) -> Result<(Tier, Point)> {
        let at = |column: usize| row.get(column).unwrap_or_default();
        let time = at(0).parse::<Timestamp>().with_context(|| format!("{} is not a time", quote(at(0))))?;
        let time = i64::try_from(time.as_nanosecond()).context("its time is beyond what can be stored")?;
        let (field, value) = (3 + self.tags.len(), 4 + self.tags.len());
        let value = match (at(value).parse::<i64>(), at(value).parse::<f64>()) {
            (Ok(value), _) => Value::Int(value),
            (_, Ok(value)) if value.is_finite() => Value::Float(value),
            _ => bail!("{} is not a number", quote(at(value))),
        };
        ensure!(!at(2).is_empty() && !at(field).is_empty(), "it names no measurement, or no field");
        let tags = self.tags.iter().enumerate().map(|(number, tag)| (tag, text(at(3 + number))));
        let tags = tags.filter(|(_, value)| !value.is_empty()).map(|(tag, value)| (Cow::Owned(tag.clone()), value));
        let named = |column: usize| Cow::Owned(text(at(column)).to_string());
        let mut point = Point::new(named(2), tags, [(named(field), value)], time);
        CATALOG.declare(&mut point);
        Ok((at(1).parse()?, point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_each_text_comes_back() {
        for plain in ["a", "", "a=b", "é", "1-2"] {
            assert_eq!(cell(plain), plain);
        }
        for formula in ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'", "''=1", "'=1"] {
            let shown = cell(formula);
            assert!(shown.starts_with('\'') && text(&shown) == formula, "{shown}");
        }
        assert!(
            is_sheet(b"time,tier,measurement,a,field,value\n") && is_sheet(b"\xef\xbb\xbf\"time\",tier,measurement,f")
        );
        assert!(!is_sheet(b"time,tier=raw x=1 5\n") && !is_sheet(b""));
    }
}
