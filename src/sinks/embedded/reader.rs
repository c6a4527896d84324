//! Implements [`Read`] for the embedded store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

use anyhow::Result;

use super::{Place, Series, Store};
use crate::model::{Measurement, Point, SECOND, Tier, Value, Window};
use crate::query::{Column, Detail, Folding, Newest, Part, Read, Scan, Selector, Step, Total, Values, Wanted};
use crate::rollup::Parts;

/// The embedded store as a reader.
#[derive(Debug)]
pub struct EmbeddedReader {
    place: Place,
    /// Connections that are not in use.
    idle: Mutex<Vec<(u64, Store)>>,
}

impl EmbeddedReader {
    /// Creates a reader of the store at `place`, which need not exist yet.
    pub fn new(place: impl Into<Place>) -> Self {
        Self { place: place.into(), idle: Mutex::default() }
    }

    pub(super) fn ask<T>(&self, question: impl FnOnce(&Store) -> Result<T>) -> Result<Option<T>> {
        // A replaced store counts as changed.
        let inode = fs::metadata(self.place.path()).map(|file| file.ino()).unwrap_or_default();
        let taken = {
            let mut idle = self.idle.lock().expect("nothing panics while it is held");
            idle.retain(|(of, _)| *of == inode);
            idle.pop()
        };
        let store = match taken {
            Some((_, store)) => {
                store.ensure_ours()?;
                store
            }
            None => match self.place.open_to_read()? {
                Some(store) => store,
                None => return Ok(None),
            },
        };
        let answer = question(&store)?;
        self.idle.lock().expect("nothing panics while it is held").push((inode, store));
        Ok(Some(answer))
    }
}

/// Returns the series of each number.
fn find(store: &Store, all: &[Wanted]) -> Result<Vec<Option<Series>>> {
    let mut found = Vec::with_capacity(all.len());
    for wanted in all {
        found.push(store.series(wanted.series().series())?);
    }
    // Carbon paths replace some characters, so the key cannot be computed from the path: compare all series, once.
    let mut missing: BTreeMap<&str, (&Wanted, Vec<usize>)> = BTreeMap::new();
    for (at, wanted) in all.iter().enumerate().filter(|(at, _)| found[*at].is_none()) {
        let name = wanted.number.measurement.name;
        missing.entry(name).or_insert((wanted, Vec::new())).1.push(at);
    }
    for (name, (Wanted { number, .. }, of)) in missing {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        of.into_iter().for_each(|at| places.entry(&all[at].path).or_default().push(at));
        let fields: BTreeSet<_> = places.values().flatten().map(|at| all[*at].number.field.name).collect();
        for series in store.find(&Selector::measurement(name))? {
            let Ok(names) = series.names() else { continue };
            for field in &fields {
                let path = number.measurement.carbon_path(&names, field);
                for at in path.and_then(|path| places.get(path.as_str())).into_iter().flatten() {
                    found[*at] = Some(series.clone());
                }
            }
        }
    }
    Ok(found)
}

/// Returns what a folded value was folded from, and makes the value their mean.
fn part(value: &mut f64, parts: Option<Parts>, every: i64, step: i64) -> Part {
    let Some(Parts { sum, slots, least, most }) = parts.filter(|parts| parts.slots > 0) else {
        return Part::of(*value);
    };
    let (least, most) = (least.as_f64(), most.as_f64());
    *value = (sum.as_f64() / slots as f64).clamp(least, most.max(least));
    let coverage = (slots.saturating_mul(every) as f64 / step as f64).clamp(0.0, 1.0);
    Part { least, most, count: slots.unsigned_abs(), coverage }
}

impl Read for EmbeddedReader {
    fn describe(&self) -> String {
        format!("the embedded store {}", self.place.path().display())
    }

    fn version(&self) -> u64 {
        let mut wal = self.place.path().as_os_str().to_owned();
        wal.push("-wal");
        let mut hash = DefaultHasher::new();
        for path in [self.place.path().as_os_str(), &wal] {
            let file = fs::metadata(path).ok();
            file.map(|file| (file.ino(), file.size(), file.mtime(), file.mtime_nsec())).hash(&mut hash);
        }
        hash.finish()
    }

    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Newest> {
        Ok(self.ask(|store| store.newest(measurements, &[], now))?.unwrap_or_default())
    }

    fn latest_of(&self, measurements: &[&'static Measurement], of: (&str, &str), now: i64) -> Result<Newest> {
        Ok(self.ask(|store| store.newest(measurements, &[of], now))?.unwrap_or_default())
    }

    fn range(&self, wanted: &[Wanted], from: i64, to: i64, detail: Detail) -> Result<Vec<Values>> {
        let span = to.saturating_sub(from);
        let answer = self.ask(|store| {
            let intervals = store.intervals(to)?;
            let found = find(store, wanted)?;
            let every = |wanted: &Wanted| intervals.of(&wanted.series(), wanted.number.measurement.every);
            let asked: Vec<_> =
                wanted.iter().zip(&found).filter_map(|(wanted, series)| Some((wanted, series.as_ref()?))).collect();
            let numbers: Vec<_> = asked.iter().map(|(wanted, series)| (*series, wanted.number.field.name)).collect();
            let everies: Vec<_> = asked.iter().map(|(wanted, _)| every(wanted)).collect();
            let step = |tier: Tier, every: i64| if tier == Tier::Raw { every } else { tier.step_seconds() };
            let make = |tier, at: usize| (everies[at], Folding::new(detail.bucket(span, step(tier, everies[at]))));
            let take = |(every, folding): &mut (i64, Folding), tier: Tier, time: i64, value: Value, parts| {
                let mut value = value.as_f64();
                let part = (tier != Tier::Raw).then(|| part(&mut value, parts, *every, tier.step_seconds()));
                folding.push(time.div_euclid(SECOND), value, part);
            };
            let range = (from.saturating_mul(SECOND), to.saturating_mul(SECOND));
            // A folded value stands at the end of its window, and is shown at its beginning.
            let (tier, foldings) = store.range_into(&numbers, range, detail.points(span), Tier::window, make, take)?;
            let mut foldings = foldings.into_iter();
            let found = wanted.iter().zip(&found).map(|(wanted, series)| {
                let folding = series.as_ref().and_then(|_| foldings.next());
                let (every, folding) = folding.unwrap_or_else(|| (every(wanted), Folding::default()));
                wanted.values(folding, step(tier, every))
            });
            Ok(found.collect::<Vec<_>>())
        })?;
        let nothing = |wanted: &Wanted| wanted.values(Folding::default(), wanted.number.measurement.every);
        Ok(answer.unwrap_or_else(|| wanted.iter().map(nothing).collect()))
    }
}

impl Scan for EmbeddedReader {
    fn each(
        &self,
        selector: &Selector,
        window: Window,
        tier: Tier,
        each: &mut dyn FnMut(Point) -> Result<()>,
    ) -> Result<()> {
        self.ask(|store| store.points(tier, selector, window, each, &|_| {})).map(|_| ())
    }

    fn totals(&self, column: Column, by: &[&str]) -> Result<Vec<Total>> {
        Ok(self.ask(|store| store.totals(column, by))?.unwrap_or_default())
    }

    fn groups(&self, column: Column, by: &[&str]) -> Result<Vec<Vec<String>>> {
        Ok(self.ask(|store| store.groups(column, by))?.unwrap_or_default())
    }

    fn steps(&self, column: Column, seconds: i64) -> Result<BTreeMap<i64, Step>> {
        Ok(self.ask(|store| store.steps(column, seconds))?.unwrap_or_default())
    }

    fn first(&self, column: Column) -> Result<Option<i64>> {
        Ok(self.ask(|store| store.first(column))?.flatten())
    }

    fn counts(&self, column: Column, by: &[&str]) -> Result<Vec<(Vec<String>, u64)>> {
        Ok(self.ask(|store| store.counts(column, by))?.unwrap_or_default())
    }

    /// A series has one row at a time, whatever its labels.
    fn rivals(&self, _: Column, _: &[&str]) -> Result<Vec<Vec<String>>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_value_is_its_mean_with_the_least_and_most_of_what_was_collected() {
        let parts = |slots| Parts { sum: Value::Int(300), slots, least: Value::Int(1), most: Value::Float(40.5) };
        // An hour of minutes with twenty of them dark; the value is what its field folds to, 40 for instance.
        let mut value = 40.0;
        let folded = part(&mut value, Some(parts(40)), 60, 3600);
        assert_eq!(folded, Part { least: 1.0, most: 40.5, count: 40, coverage: 40.0 / 60.0 });
        assert_eq!(value, 7.5);
        for unknown in [None, Some(parts(0))] {
            let mut value = 40.0;
            assert_eq!(part(&mut value, unknown, 60, 3600), Part { least: 40.0, most: 40.0, count: 1, coverage: 1.0 });
        }
    }
}
