//! What the history already has: a run writes the weeks of a set in which something has changed, whether the set is watched or not.
//!
//! A digest a week is small beside the backups themselves, and tells of a backup that came late, of a sidecar that came after its
//! file, and of a file that changed. What is written twice is there once.

use std::collections::BTreeMap;

use super::gather::{Backup, Gathered, digest_of};
use super::memory::{NodeMemory, Weeks};

const WEEK: i64 = 7 * 86_400;

fn week(backup: &Backup) -> i64 {
    backup.time.div_euclid(WEEK)
}

/// Returns the digests of what lies there, by set. The order of a listing makes no difference.
pub fn digests(gathered: &Gathered) -> BTreeMap<String, Weeks> {
    let of_set = |(set, backups): (&String, &Vec<Backup>)| {
        let mut weeks = BTreeMap::<i64, u64>::new();
        for backup in backups {
            let of_week = weeks.entry(week(backup)).or_default();
            *of_week = of_week.wrapping_add(digest(backup));
        }
        (set.clone(), Weeks::from(weeks))
    };
    gathered.sets.iter().map(of_set).collect()
}

/// Returns a digest of all of a backup that the history has.
fn digest(backup: &Backup) -> u64 {
    let seal = backup.seal.as_ref().map(|seal| {
        let size = seal.bytes.map_or(u64::MAX, |bytes| bytes ^ 1 << 63);
        size.wrapping_add(seal.digest.map_or(0, |digest| digest_of(&digest)))
    });
    let numbers = [backup.time.cast_unsigned(), backup.bytes, digest_of(&backup.path), seal.unwrap_or(0)];
    digest_of(numbers.map(u64::to_le_bytes).as_flattened())
}

/// Returns the backups of the weeks that the history does not have as they are, with their sets; `digests` are those of now.
pub fn news<'a>(
    gathered: &'a Gathered,
    digests: &'a BTreeMap<String, Weeks>,
    before: &'a NodeMemory,
) -> impl Iterator<Item = (&'a str, &'a Backup)> {
    gathered.sets.iter().flat_map(move |(set, backups)| {
        let (now, before) = (digests.get(set), before.kept.get(set));
        let of = |weeks: Option<&Weeks>, week: i64| weeks.and_then(|weeks| weeks.of(week));
        let is_new = move |backup: &&Backup| of(before, week(backup)) != of(now, week(backup)) || before.is_none();
        backups.iter().filter(is_new).map(move |backup| (set.as_str(), backup))
    })
}

#[cfg(test)]
mod tests {
    use super::super::gather::Beside;
    use super::super::seal::Seal;
    use super::*;

    const DAY: i64 = 86_400;

    /// A set of nightly backups, the first of them on this day.
    fn nightly(days: &[i64]) -> Vec<Backup> {
        let backup = |day: &i64| Backup {
            time: day * DAY,
            stamp: None,
            mtime: day * DAY,
            bytes: 5000,
            path: format!("a/{day}.gz").into_bytes().into(),
            seal: None,
            beside: Beside::Nothing,
        };
        days.iter().map(backup).collect()
    }

    /// What a run would write, and what is remembered of it.
    fn run(backups: &[Backup], memory: &mut NodeMemory) -> Vec<i64> {
        let mut gathered = Gathered::default();
        gathered.sets.insert("a".into(), backups.to_vec());
        let now = digests(&gathered);
        let written = news(&gathered, &now, memory).map(|(_, backup)| backup.time / DAY).collect();
        memory.kept = now;
        written
    }

    #[test]
    fn what_came_late_and_what_changed_is_new_and_nothing_else() {
        let mut memory = NodeMemory::default();
        let mut backups = nightly(&(100..140).collect::<Vec<_>>());
        assert_eq!(run(&backups, &mut memory).len(), 40);
        assert!(run(&backups, &mut memory).is_empty(), "nothing came");
        backups.reverse();
        assert!(run(&backups, &mut memory).is_empty(), "another order");
        backups.reverse();
        // A backlog that is older than all.
        backups.splice(0..0, nightly(&[10, 11, 50]));
        assert_eq!(run(&backups, &mut memory), [10, 11, 50]);
        // A sidecar that came after its file, and a file that grew.
        backups[20].seal = Some(Box::new(Seal { bytes: Some(5000), digest: None }));
        backups[40].bytes = 6000;
        let written = run(&backups, &mut memory);
        assert!([117, 137].iter().all(|day| written.contains(day)) && written.len() <= 14, "{written:?}");
        // The purge takes a week's first ones, and a whole week: those that are left of a week are written again.
        assert!(run(&backups[5..], &mut memory).len() < 7);
        assert!(run(&backups[5..], &mut memory).is_empty());
    }
}
