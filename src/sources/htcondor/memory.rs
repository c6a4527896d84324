//! What one run tells the next: the schedds that collectors listed, what each pool had, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The memory of the source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Memory {
    /// The schedds that collectors listed.
    pub(super) schedds: KnownSchedds,
    /// What the pools had.
    pub(super) pools: KnownPools,
    /// Which schedds come first, and which get less time.
    pub(super) turns: Turns,
}

/// The memory as it may lie in the state.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Memory {
        schedds: KnownSchedds,
        pools: KnownPools,
        turns: Turns,
    },
    /// Versions before this one remembered the schedds alone.
    Schedds(KnownSchedds),
}

impl From<Stored> for Memory {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Memory { schedds, pools, turns } => Self { schedds, pools, turns },
            Stored::Schedds(schedds) => Self { schedds, ..Self::default() },
        }
    }
}

/// The schedds that a collector listed, by pool and name, with the time of the last list with them, in unix seconds, to
/// the hour.
///
/// A schedd that is down disappears from the collector's list within minutes; without this memory the grid's totals
/// would shrink in silence. A name keeps the spelling in which it was listed first, since Carbon paths have case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownSchedds(BTreeMap<String, BTreeMap<String, i64>>);

/// How long a schedd is still expected to answer after its last listing, in seconds.
const REMEMBERED: u64 = 24 * 3600;

impl KnownSchedds {
    /// Adds the schedds of each pool's list, if it arrived (`Some`), and forgets those that no list has held for a day.
    /// Of a pool that no longer lists a schedd which another one lists now, it forgets that schedd at once.
    pub(super) fn update(&mut self, lists: &[(&str, Option<Vec<&str>>)], now: i64) {
        let before = std::mem::take(&mut self.0);
        let mut spellings = BTreeMap::<String, &str>::new();
        for name in before.values().flat_map(BTreeMap::keys) {
            spellings.entry(name.to_ascii_lowercase()).or_insert(name);
        }
        let listed_now: BTreeSet<String> = lists
            .iter()
            .filter_map(|(_, list)| list.as_ref())
            .flatten()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        for (pool, list) in lists {
            let known = before.get(&pool.to_ascii_lowercase());
            let is_missed = |(name, seen): &(&String, &i64)| {
                let is_recent = list.is_none() || now.abs_diff(**seen) < REMEMBERED;
                is_recent && !listed_now.contains(&name.to_ascii_lowercase())
            };
            let mut after: BTreeMap<String, i64> =
                known.into_iter().flatten().filter(is_missed).map(|(name, seen)| (name.clone(), *seen)).collect();
            for name in list.iter().flatten() {
                let name = *spellings.entry(name.to_ascii_lowercase()).or_insert(name);
                // To the hour, so that most runs need not write the state.
                let seen = known.and_then(|known| known.get(name)).copied();
                let seen = seen.filter(|seen| (0..3600).contains(&now.saturating_sub(*seen))).unwrap_or(now);
                after.insert(name.into(), seen);
            }
            self.0.insert(pool.to_ascii_lowercase(), after);
        }
    }

    /// Returns the schedds of a pool.
    pub(super) fn of(&self, pool: &str) -> impl Iterator<Item = &str> {
        self.0.get(&pool.to_ascii_lowercase()).into_iter().flat_map(|known| known.keys().map(String::as_str))
    }

    /// Returns the remembered spelling of a name.
    pub(super) fn spelling(&self, name: &str) -> Option<&str> {
        let mut names = self.0.values().flat_map(BTreeMap::keys);
        names.find(|known| super::same_name(known, name)).map(String::as_str)
    }
}

/// What each pool had in its last whole answer, by the pool's name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownPools(BTreeMap<String, KnownPool>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct KnownPool {
    /// The number of its machines, within a tenth, so that most runs need not write the state.
    machines: usize,
    /// Since when its answers are not believed, in unix seconds.
    doubted_since: Option<i64>,
    /// The pools whose collectors listed every machine and schedd that its own listed, when both were last whole.
    covered_by: BTreeSet<String>,
}

/// Why a collector's answer is not taken for the whole pool.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    /// It started so many seconds ago, and daemons that have not updated since are not in its lists.
    Young(f64),
    /// It lists fewer than half of the machines that it listed. It is believed after so many more seconds.
    Fell { before: usize, machines: usize, for_seconds: i64 },
}

impl KnownPools {
    /// Returns why the answer of `pool` is not believed; `None` if it is.
    ///
    /// `machines` is the number of machines that it lists (`None` if it did not list its slots), `age` the collector's
    /// age in seconds (`None` if it does not tell). After `settle` seconds every daemon that lives has updated, so a pool
    /// that shrank is believed then.
    pub(super) fn doubt(
        &mut self,
        pool: &str,
        machines: Option<usize>,
        age: Option<f64>,
        now: i64,
        settle: i64,
    ) -> Option<Doubt> {
        let known = self.0.entry(pool.to_ascii_lowercase()).or_default();
        // A clock that was set back must not prolong the doubt.
        let since = known.doubted_since.filter(|since| *since <= now);
        if let Some(age) = age.filter(|age| *age < settle as f64) {
            known.doubted_since = since.or(Some(now));
            return Some(Doubt::Young(age));
        }
        let machines = machines?;
        let fell = if since.is_some() { machines < known.machines } else { machines < known.machines.div_ceil(2) };
        let for_seconds = settle - (now - since.unwrap_or(now));
        if fell && for_seconds > 0 {
            known.doubted_since = since.or(Some(now));
            return Some(Doubt::Fell { before: known.machines, machines, for_seconds });
        }
        known.doubted_since = None;
        if known.machines.abs_diff(machines) * 10 > known.machines {
            known.machines = machines;
        }
        None
    }

    /// Remembers whether the collector of `other` lists all that the collector of `pool` lists.
    pub(super) fn set_covered(&mut self, pool: &str, other: &str, is_covered: bool) {
        let covered_by = &mut self.0.entry(pool.to_ascii_lowercase()).or_default().covered_by;
        if is_covered {
            covered_by.insert(other.to_ascii_lowercase());
        } else {
            covered_by.remove(&other.to_ascii_lowercase());
        }
    }

    /// Whether the collector of `other` listed all that the collector of `pool` listed, when both were last whole.
    pub(super) fn is_covered(&self, pool: &str, other: &str) -> bool {
        self.0
            .get(&pool.to_ascii_lowercase())
            .is_some_and(|known| known.covered_by.contains(&other.to_ascii_lowercase()))
    }

    /// Forgets the pools that are not configured.
    pub(super) fn keep(&mut self, pools: &[String]) {
        let pools: BTreeSet<String> = pools.iter().map(|pool| pool.to_ascii_lowercase()).collect();
        self.0.retain(|pool, _| pools.contains(pool));
        self.0.values_mut().for_each(|known| known.covered_by.retain(|pool| pools.contains(pool)));
    }
}

/// Whose turn it is, by names of schedds in lower case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turns {
    /// How many runs in a row ended before the schedd's turn.
    pub(super) missed: BTreeMap<String, u32>,
    /// The schedds that gave no answer within their time in the last run.
    pub(super) silent: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedd_is_known_for_a_day_in_its_first_spelling_where_it_was_listed_last() {
        let mut known = KnownSchedds::default();
        let names = |known: &KnownSchedds, pool: &str| known.of(pool).map(String::from).collect::<Vec<_>>();
        known.update(&[("a", Some(vec!["CE01"])), ("b", Some(vec!["other"]))], 0);
        // It moved, and its host changed the case of its name.
        known.update(&[("A", Some(vec![])), ("b", Some(vec!["ce01", "Other"]))], 60);
        assert_eq!((names(&known, "a"), names(&known, "b")), (vec![], vec!["CE01".to_string(), "other".into()]));
        let hour = known.clone();
        known.update(&[("a", Some(vec![])), ("b", Some(vec!["ce01", "other"]))], 3000);
        assert_eq!(known, hour, "nothing to write");
        known.update(&[("a", Some(vec![])), ("b", None)], 200_000);
        assert_eq!(names(&known, "b").len(), 2, "a collector that does not answer makes nobody forgotten");
        known.update(&[("a", Some(vec![])), ("b", Some(vec!["other"]))], 60 + 86_399);
        assert_eq!(names(&known, "b"), ["CE01", "other"]);
        known.update(&[("a", Some(vec![])), ("b", Some(vec!["other"]))], 60 + 86_400);
        assert_eq!(names(&known, "b"), ["other"]);
        known.update(&[("b", None)], 90_000);
        assert_eq!(known.0.len(), 1, "a pool that is not configured any more is forgotten");
    }

    #[test]
    fn the_memory_comes_back_also_from_an_older_version() {
        let mut memory = Memory::default();
        memory.schedds.update(&[("a", Some(vec!["ce01"]))], 60);
        let read = |text: &str| serde_json::from_str::<Memory>(text).unwrap();
        assert_eq!(read(r#"{"a": {"ce01": 60}}"#), memory);
        memory.pools.doubt("a", Some(3), None, 60, 360);
        memory.turns.missed.insert("ce01".into(), 2);
        assert_eq!(read(&serde_json::to_string(&memory).unwrap()), memory);
    }

    #[test]
    fn a_pool_that_fell_to_a_fraction_is_believed_after_its_daemons_had_time_to_update() {
        let mut pools = KnownPools::default();
        let mut at = |now: i64, machines: usize, age: Option<f64>| pools.doubt("p", Some(machines), age, now, 360);
        assert_eq!(at(0, 100, None), None);
        assert_eq!(at(60, 50, None), None, "half of them at once is possible");
        let fell = |before, machines, for_seconds| Some(Doubt::Fell { before, machines, for_seconds });
        assert_eq!(at(120, 24, None), fell(50, 24, 360));
        assert_eq!(at(180, 40, None), fell(50, 40, 300), "it is still being filled");
        assert_eq!(at(240, 50, None), None, "all are back");
        assert_eq!(at(300, 0, None), fell(50, 0, 360));
        assert_eq!(at(200, 0, None), fell(50, 0, 360), "the clock was set back");
        assert_eq!(at(560, 0, None), None, "it was switched off for good");
        assert_eq!(at(620, 10, None), None);
        // A young collector tells so; as soon as it is old, it is whole.
        assert_eq!(at(1000, 0, Some(37.0)), Some(Doubt::Young(37.0)));
        assert_eq!(at(1300, 3, Some(337.0)), Some(Doubt::Young(337.0)));
        assert_eq!(at(1360, 3, Some(397.0)), None);
    }
}
