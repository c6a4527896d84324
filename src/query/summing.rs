//! Sums over series that are asked for together: a path with `*` for the value of a tag.

use anyhow::{Error, Result};

use super::{Detail, Join, Read, TooMuch, Values, Wanted};
use crate::model::Catalog;

/// What stands for any value of a tag.
pub const ANY: &str = "*";

/// A value of a tag that stands for [`ANY`] while a path is parsed.
const PROBE: &str = "any-value-of-this-tag";

/// The most numbers that one sum has.
const MOST_MEMBERS: usize = 5000;

/// The most values that are held for one sum.
const MOST_VALUES: usize = 6_000_000;

impl Wanted {
    /// Parses a path in which [`ANY`] may stand for values of tags: it names the sum over them.
    ///
    /// # Errors
    /// Fails if no measurement has this path.
    pub fn or_sum(path: &str, catalog: Catalog) -> Result<Self> {
        if !path.split('.').any(|component| component == ANY) {
            return Self::new(path, catalog);
        }
        let probe: Vec<_> = path.split('.').map(|component| if component == ANY { PROBE } else { component }).collect();
        let is_a_tag = |wanted: &Self| {
            let stars = path.split('.').filter(|component| *component == ANY).count();
            wanted.number.tags.iter().filter(|(_, value)| value == PROBE).count() == stars
        };
        // A star for a field, or for a word of the declared path, names nothing.
        let found = Self::new(&probe.join("."), catalog).ok().filter(is_a_tag);
        let Some(Self { mut number, .. }) = found else { return Self::new(path, catalog) };
        number.tags.iter_mut().filter(|(_, value)| value == PROBE).for_each(|(_, value)| *value = ANY.into());
        Ok(Self { path: path.into(), number })
    }

    /// Whether it is a sum over the values of a tag.
    pub fn is_sum(&self) -> bool {
        self.number.tags.iter().any(|(_, value)| value == ANY)
    }

    fn has(&self, path: &str) -> bool {
        let mut own = self.path.split('.');
        path.split('.').all(|component| own.next().is_some_and(|one| one == ANY || one == component))
            && own.next().is_none()
    }
}

/// Returns values as [`Read::range`] does, of sums too. A sum is that of the series that the store knows at `now`; where some
/// of them have a value, those that have none count as zero.
///
/// # Errors
/// Fails if the store does not answer, or if a sum has too many members or values.
pub fn range(
    store: &dyn Read,
    wanted: &[Wanted],
    (from, to): (i64, i64),
    detail: Detail,
    now: i64,
) -> Result<Vec<Values>> {
    let plain: Vec<_> = wanted.iter().filter(|one| !one.is_sum()).cloned().collect();
    if plain.len() == wanted.len() {
        return store.range(wanted, from, to, detail);
    }
    let mut plain = if plain.is_empty() { Vec::new() } else { store.range(&plain, from, to, detail)? }.into_iter();
    let each =
        |one: &Wanted| if one.is_sum() { Some(sum(store, one, (from, to), detail, now)) } else { plain.next().map(Ok) };
    wanted.iter().filter_map(each).collect()
}

fn sum(store: &dyn Read, wanted: &Wanted, (from, to): (i64, i64), detail: Detail, now: i64) -> Result<Values> {
    let measurement = wanted.number.measurement;
    let newest = store.latest(&[measurement], now)?;
    let paths = newest.values.iter().filter(|one| one.field.name == wanted.number.field.name);
    let paths = paths.filter_map(|one| measurement.carbon_path(&one.series, one.field.name));
    let member = |path: String| Some(Wanted { number: measurement.read_path(&path)?, path });
    let mut members: Vec<_> = paths.filter(|path| wanted.has(path)).filter_map(member).collect();
    members.sort_by(|a, b| a.path.cmp(&b.path));
    members.dedup_by(|a, b| a.path == b.path);
    let every = measurement.every.max(1);
    let span = to.saturating_sub(from).max(0);
    let values = detail.points(span).min(usize::try_from(span / every).unwrap_or(usize::MAX)).saturating_add(1);
    if members.len() > MOST_MEMBERS || values.saturating_mul(members.len()) > MOST_VALUES {
        return Err(Error::new(TooMuch(format!(
            "{} is the sum of {} numbers: ask for a shorter range, fewer points or a longer step",
            wanted.path,
            members.len()
        ))));
    }
    let values = if members.is_empty() { Vec::new() } else { store.range(&members, from, to, detail)? };
    Ok(Join::Sum.of(&wanted.path, wanted.number.field, every, &values, None))
}
