//! Power cuts: what a run said is delivered or spooled is there after the machine lost power at any moment.
//!
//! A site's life is recorded on the testkit's disk that logs every write and every flush: the first run of all, a store
//! that fails, a Carbon that is down, a reader beside the writer, pruning, a vacuum; and, on a disk of its own, the migration
//! of an old store. Then the power fails at a flush or at some moment after it, and the next runs of the real collect-grid
//! meet what is left. The judge knows from the log what was promised: a batch is, from the flush of the spool's folder on.
//!
//! 30 cuts in `make test`, at least one at each kind of flush; 300, at least one at every flush, in `make test-all`.
//! `GRIDMON_CUTS` sets another number, `GRIDMON_SEED` repeats the choices of a seed.

mod judge;
mod life;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;

use gridmon_testkit::power::{Flush, HONEST, Lie};
use gridmon_testkit::sandbox::proof::{Random, seed};
use gridmon_testkit::sandbox::tracer::mask;
use gridmon_testkit::skip;

use self::judge::Judge;
use self::life::{Life, migration, site};

/// The recorded lives; `None` without FUSE.
static LIVES: LazyLock<Option<[Life; 2]>> = LazyLock::new(|| Some([site()?, migration()?]));

/// A moment at which the power fails.
struct Cut<'a> {
    life: &'a Life,
    flush: Flush,
    /// How much of the log is done.
    until: usize,
    seed: u64,
}

/// A kind of flush: what is flushed, of any process and minute.
fn kind(flush: &Flush) -> String {
    mask(&flush.path).replace(|c: char| c.is_ascii_digit(), "")
}

/// Chooses so many cuts: as far as they go one at every kind of flush, then one at every flush, then more.
fn choose<'a>(lives: &'a [Life], count: usize, random: &mut Random) -> Vec<Cut<'a>> {
    let mut all: Vec<_> = lives
        .iter()
        .flat_map(|life| {
            let flushes = life.log.flushes();
            let ends = flushes.iter().skip(1).map(|flush| flush.at).chain([life.log.len()]).collect::<Vec<_>>();
            flushes.iter().cloned().zip(ends).map(move |(flush, end)| (life, flush, end))
        })
        .collect();
    for at in (1..all.len()).rev() {
        all.swap(at, random.below(at + 1));
    }
    let (mut kinds, mut kinds_in_phases) = (BTreeSet::new(), BTreeSet::new());
    all.sort_by_cached_key(|(_, flush, _)| {
        let is_new_in_phase = kinds_in_phases.insert((kind(flush), flush.said.clone()));
        (!kinds.insert(kind(flush)), !is_new_in_phase)
    });
    assert!(count >= kinds.len(), "{count} cuts for {} kinds of flushes", kinds.len());
    let cut = |(life, flush, end): &(&'a Life, Flush, usize)| {
        let until = match random.below(4) {
            // The flush itself is not done.
            0 => flush.at,
            1 => flush.at + 1,
            2 => *end,
            _ => flush.at + 1 + random.below(end - flush.at),
        };
        Cut { life, flush: flush.clone(), until, seed: random.below(1 << 48) as u64 }
    };
    all.iter().cycle().take(count).map(cut).collect()
}

/// Plays cuts of a disk; returns how many each kind of flush had, and what was wrong.
fn play(cuts: &[Cut<'_>], lie: Lie<'_>) -> (BTreeMap<String, usize>, Vec<String>) {
    let (next, kinds, wrong) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let judge = Judge::new();
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let place = format!("{} of {}", kind(&cut.flush), cut.flush.said);
                    let (played, verdict) = judge.judge(cut.life, cut.until, lie, &mut Random(cut.seed));
                    *kinds.lock().unwrap().entry(kind(&cut.flush)).or_default() += 1;
                    if let Err(why) = verdict {
                        wrong.lock().unwrap().push(format!("after {place} ({played}): {why}"));
                    }
                }
            });
        }
    });
    (kinds.into_inner().unwrap(), wrong.into_inner().unwrap())
}

/// Plays so many cuts of an honest disk, or as many as `GRIDMON_CUTS` says.
fn cuts_lose_nothing(test: &str, count: usize) {
    let Some(lives) = LIVES.as_ref() else { return skip(test, "FUSE with the right to mount (root)") };
    let count = env::var("GRIDMON_CUTS").map_or(count, |count| count.parse().unwrap());
    let seed = seed();
    println!("power cuts: GRIDMON_SEED={seed}");
    let (kinds, wrong) = play(&choose(lives, count, &mut Random(seed)), HONEST);
    println!(
        "power cuts: {count} at {} flushes: {kinds:#?}",
        lives.iter().map(|life| life.log.flushes().len()).sum::<usize>()
    );
    assert!(wrong.is_empty(), "GRIDMON_SEED={seed}: {} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn thirty_power_cuts_lose_nothing() {
    cuts_lose_nothing("thirty_power_cuts_lose_nothing", 30);
}

#[test]
#[ignore = "takes minutes; make test-all runs it"]
fn three_hundred_power_cuts_lose_nothing() {
    cuts_lose_nothing("three_hundred_power_cuts_lose_nothing", 300);
}

/// A disk that lies so loses something when the power fails some time after a flush that it has not done, and that is seen.
fn is_found_out<'a>(lives: &'a [Life], what: &str, lie: Lie<'_>) {
    let mut random = Random(seed());
    let of_life = |life: &'a Life| life.log.flushes().iter().filter(|flush| lie(flush)).map(move |flush| (life, flush));
    let flushes: Vec<_> = lives.iter().flat_map(of_life).collect();
    let mut cut = || {
        let (life, flush) = flushes[random.below(flushes.len())];
        let until = (flush.at + 1 + random.below(80)).min(life.log.len());
        Cut { life, flush: flush.clone(), until, seed: random.below(1 << 48) as u64 }
    };
    let found = (0..30).find_map(|_| play(&(0..12).map(|_| cut()).collect::<Vec<_>>(), lie).1.pop());
    println!(
        "without flushes of {what}: {}",
        found.unwrap_or_else(|| panic!("{what}: no cut lost anything that was seen"))
    );
}

#[test]
fn a_disk_that_does_not_flush_is_found_out() {
    let test = "a_disk_that_does_not_flush_is_found_out";
    let Some(lives) = LIVES.as_ref() else { return skip(test, "FUSE with the right to mount (root)") };
    is_found_out(lives, "files", &|flush| !flush.path.ends_with('/'));
    is_found_out(lives, "folders", &|flush| flush.path.ends_with('/'));
}

#[test]
#[ignore = "takes minutes; make test-all runs it"]
fn no_flush_can_be_left_out() {
    let Some(lives) = LIVES.as_ref() else {
        return skip("no_flush_can_be_left_out", "FUSE with the right to mount (root)");
    };
    let kinds: BTreeSet<_> = lives.iter().flat_map(|life| life.log.flushes()).map(kind).collect();
    let is_needed = |kind: &&String| {
        // The files of a store that is not in its place yet count only together, by the flush at the end. Of what is
        // remembered from run to run nothing was promised.
        let of_store = kind.starts_with("/state/gridmon.db") && !kind.contains(".new--");
        kind.ends_with('/') || kind.starts_with("/state/spool/") || of_store
    };
    for kind in kinds.iter().filter(is_needed) {
        is_found_out(lives, kind, &|flush| self::kind(flush) == *kind);
    }
}
