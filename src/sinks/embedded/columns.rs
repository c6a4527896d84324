//! Sums and other answers about one field of many series: SQLite adds, bucket by bucket and series by series.

use std::collections::BTreeMap;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::read::{Series, time_of, time_within, value};
use super::{Store, Tier};
use crate::model::{SECOND, WideSum};
use crate::query::{Column, Step, Total};

/// The values of a series in a bucket: the part of the WHERE that all questions share.
const THERE: &str = "bucket = ?1 AND series = ?2 AND field = ?3 AND time >= ?4 AND time < ?5";

/// The sums of the upper and the lower halves of the integers, which cannot overflow, that of the floats, and their number.
const HALVES: &str = "sum(CASE typeof(value) WHEN 'integer' THEN value >> 32 ELSE 0 END),
    sum(CASE typeof(value) WHEN 'integer' THEN value & 4294967295 ELSE 0 END),
    total(CASE typeof(value) WHEN 'real' THEN value END), count(CASE typeof(value) WHEN 'real' THEN value END)";

/// Returns the sum of a row of [`HALVES`].
fn halves(row: &Row) -> rusqlite::Result<WideSum> {
    let (upper, lower): (i64, i64) = (row.get(0)?, row.get(1)?);
    let integers = WideSum::Int((i128::from(upper) << 32) + i128::from(lower));
    let floats: i64 = row.get(3)?;
    Ok(if floats > 0 { integers.plus(WideSum::Float(row.get(2)?)) } else { integers })
}

/// Takes a bucket, the times within it, and the id of the field; `false` ends the walk.
type EachBucket<'a> = &'a mut dyn FnMut(&Connection, i64, (i64, i64), i64) -> rusqlite::Result<bool>;

impl Store {
    /// As [`Scan::totals`](crate::query::Scan::totals).
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn totals(&self, column: Column, by: &[&str]) -> Result<Vec<Total>> {
        let totals = match self.added(column, by, "sum(value)", |row| Ok(value(row, 0)?.into())) {
            // Counts near the largest number, which SQLite does not add up.
            Err(error) if format!("{error:#}").contains("integer overflow") => {
                self.added(column, by, HALVES, halves)?
            }
            totals => totals?,
        };
        Ok(totals.into_iter().map(|(group, sum)| Total { group, sum }).collect())
    }

    /// As [`Scan::counts`](crate::query::Scan::counts).
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn counts(&self, column: Column, by: &[&str]) -> Result<Vec<(Vec<String>, u64)>> {
        let counts = self.added(column, by, "count(*)", |row| Ok(WideSum::Int(row.get::<_, i64>(0)?.into())))?;
        Ok(counts.into_iter().map(|(group, count)| (group, count.whole() as u64)).collect())
    }

    /// Adds up what `read` makes of the row `what` of each series and bucket, by group.
    fn added(
        &self,
        column: Column,
        by: &[&str],
        what: &str,
        read: impl Fn(&Row) -> rusqlite::Result<WideSum>,
    ) -> Result<BTreeMap<Vec<String>, WideSum>> {
        let found = self.grouped(column, by)?;
        let mut sums: Vec<Option<WideSum>> = vec![None; found.len()];
        // Without values a sum is one row too.
        self.each_row(column, &found, what, " HAVING count(*) > 0", &mut |at, _, row| {
            sums[at] = Some(sums[at].unwrap_or(WideSum::Int(0)).plus(read(row)?));
            Ok(())
        })?;
        let mut added = BTreeMap::<Vec<String>, WideSum>::new();
        for ((_, group), sum) in found.into_iter().zip(sums) {
            let Some(sum) = sum else { continue };
            let total = added.entry(group).or_insert(WideSum::Int(0));
            *total = total.plus(sum);
        }
        Ok(added)
    }

    /// As [`Scan::groups`](crate::query::Scan::groups). Most series are found by their newest bucket alone.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn groups(&self, column: Column, by: &[&str]) -> Result<Vec<Vec<String>>> {
        let (tier, window) = (column.tier, column.window);
        let (first, last) = (window.from.div_euclid(tier.bucket()), (window.to - 1).div_euclid(tier.bucket()));
        let newest = self.newest_buckets(tier)?;
        let (mut groups, mut unsure) = (Vec::new(), Vec::new());
        for (series, group) in self.grouped(column, by)? {
            match newest.get(&series.id) {
                Some(bucket) if *bucket < first => {}
                Some(bucket) if first < *bucket && *bucket < last => groups.push(group),
                Some(_) => unsure.push((series, group)),
                None => {}
            }
        }
        let mut has_some = vec![false; unsure.len()];
        self.each_row(column, &unsure, "count(*)", "", &mut |at, _, row| {
            has_some[at] |= row.get::<_, u64>(0)? > 0;
            Ok(())
        })?;
        groups.extend(unsure.into_iter().zip(has_some).filter(|(_, has_some)| *has_some).map(|((_, group), _)| group));
        groups.sort();
        groups.dedup();
        Ok(groups)
    }

    /// As [`Scan::steps`](crate::query::Scan::steps).
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn steps(&self, column: Column, seconds: i64) -> Result<BTreeMap<i64, Step>> {
        let mut steps = BTreeMap::<i64, Step>::new();
        self.each_row(column, &self.grouped(column, &[])?, "time, value", "", &mut |_, bucket, row| {
            let time = time_of(column.tier, bucket, row.get(0)?).div_euclid(SECOND);
            let value = value(row, 1)?.as_f64();
            let step = steps.entry(time.div_euclid(seconds) * seconds).or_insert(Step { least: value, most: value });
            *step = Step { least: step.least.min(value), most: step.most.max(value) };
            Ok(())
        })?;
        Ok(steps)
    }

    /// As [`Scan::first`](crate::query::Scan::first).
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub(super) fn first(&self, column: Column) -> Result<Option<i64>> {
        let found = self.grouped(column, &[])?;
        let mut first: Option<i64> = None;
        self.each_bucket(column, &mut |connection, bucket, within, field| {
            let mut query =
                connection.prepare(&format!("SELECT min(time) FROM {} WHERE {THERE}", column.tier.table()))?;
            for (series, _) in &found {
                let time: Option<i64> =
                    query.query_row(params![bucket, series.id, field, within.0, within.1], |row| row.get(0))?;
                let time = time.map(|time| time_of(column.tier, bucket, time));
                first = first.into_iter().chain(time).min();
            }
            Ok(first.is_none())
        })?;
        Ok(first)
    }

    /// Returns the selected series, by id, each with its group.
    fn grouped(&self, column: Column, by: &[&str]) -> Result<Vec<(Series, Vec<String>)>> {
        let mut found = Vec::new();
        for series in self.find(column.selector)? {
            let names = series.names()?;
            let group = by.iter().map(|tag| names.tag(tag).unwrap_or_default().to_string()).collect();
            found.push((series, group));
        }
        found.sort_by_key(|(series, _)| series.id);
        Ok(found)
    }

    /// Returns the newest bucket of each series that has one.
    fn newest_buckets(&self, tier: Tier) -> Result<BTreeMap<i64, i64>> {
        let query = format!("SELECT id, {0} FROM series WHERE {0} IS NOT NULL", tier.newest());
        self.read_with(|store| {
            let mut query = store.connection.prepare(&query)?;
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Calls `each` with every row of `what` about the values of each series in each bucket: the place of the series, the
    /// bucket, the row.
    fn each_row(
        &self,
        column: Column,
        found: &[(Series, Vec<String>)],
        what: &str,
        end: &str,
        each: &mut dyn FnMut(usize, i64, &Row) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let query = format!("SELECT {what} FROM {} WHERE {THERE}{end}", column.tier.table());
        self.each_bucket(column, &mut |connection, bucket, within, field| {
            let mut query = connection.prepare(&query)?;
            for (at, (series, _)) in found.iter().enumerate() {
                let mut rows = query.query(params![bucket, series.id, field, within.0, within.1])?;
                while let Some(row) = rows.next()? {
                    each(at, bucket, row)?;
                }
            }
            Ok(true)
        })
    }

    /// Calls `each` with every bucket of the column's window that holds rows, until it returns `false`: the bucket, the times
    /// within it, and the id of the field. Each bucket is a transaction of its own, so that the log can be cut.
    fn each_bucket(&self, column: Column, each: EachBucket) -> Result<()> {
        let Column { window, tier, .. } = column;
        if window.from >= window.to {
            return Ok(());
        }
        let last = (window.to - 1).div_euclid(tier.bucket());
        let mut next = Some(window.from.div_euclid(tier.bucket()));
        while let Some(from) = next {
            next = self.read_with(|store| {
                let snapshot = store.connection.unchecked_transaction()?;
                let field = "SELECT id FROM field WHERE name = ?1";
                let field: Option<i64> = snapshot.query_row(field, [column.field], |row| row.get(0)).optional()?;
                let bucket = format!("SELECT min(bucket) FROM {} WHERE bucket >= ?1", tier.table());
                let bucket: Option<i64> = snapshot.query_row(&bucket, [from], |row| row.get(0))?;
                let (Some(field), Some(bucket)) = (field, bucket.filter(|bucket| *bucket <= last)) else {
                    return Ok(None);
                };
                let within = (time_within(tier, bucket, window.from), time_within(tier, bucket, window.to));
                Ok(each(&snapshot, bucket, within, field)?.then_some(bucket + 1))
            })?;
        }
        Ok(())
    }
}
