//! Lets the next runs meet what a cut has left, and judges what there is then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use gridmon::spool::Batch;
use gridmon_testkit::power::Lie;
use gridmon_testkit::sandbox::Sandbox;
use gridmon_testkit::sandbox::proof::{Keeper, Key, Random, names, set_back, slot};

use super::life::{Life, MINUTE, STATE, configure, discarded, status, store, with_carbon};
use crate::runs::{datapoints, sound, stored};

/// What must be there after a cut, and what may be.
#[derive(Default)]
struct Promised {
    /// By slot: what must be there.
    must: BTreeSet<i64>,
    /// What may be there.
    may: BTreeSet<i64>,
    /// Whose batch was published.
    published: BTreeSet<i64>,
    /// What has been acknowledged and may be sent once more: a disk that promises no more than POSIX can lose the removal of
    /// a batch and keep the later one of its notes.
    again: BTreeSet<i64>,
}

impl Promised {
    /// Whether these values are those of all slots that must be there, and of none but those that may.
    fn is_kept(&self, there: &BTreeMap<Key, f64>, values: impl Fn(i64) -> BTreeMap<Key, f64>) -> Result<(), String> {
        let mut rest = there.clone();
        for slot in self.must.union(&self.may) {
            let expected = values(*slot);
            let count = expected.iter().filter(|(key, value)| rest.get(key) == Some(value)).count();
            if count < expected.len() && (count > 0 || self.must.contains(slot)) {
                return Err(format!("of slot {slot} {count} of {} values", expected.len()));
            }
            rest.retain(|key, _| !expected.contains_key(key));
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("{} values that nobody collected", rest.len())) }
    }
}

/// A machine that comes up again after each cut.
pub(super) struct Judge {
    sandbox: Sandbox,
    keeper: Keeper,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self { sandbox: Sandbox::new("small"), keeper: Keeper::start() }
    }

    /// Cuts the power and lets the next runs come. Returns what was played, and what is wrong then.
    pub(super) fn judge(
        &self,
        life: &Life,
        until: usize,
        lie: Lie<'_>,
        random: &mut Random,
    ) -> (String, Result<(), String>) {
        let disk = self.sandbox.path("disk");
        let _ = fs::remove_dir_all(&disk);
        let played = life.log.cut(until, lie, random, &disk);
        self.keeper.forget_all_but(BTreeMap::new());
        (played, self.recover(life).and_then(|()| self.account(life, until)))
    }

    /// Two runs with all in order: the first may tell that something works again, the second has nothing to say.
    fn recover(&self, life: &Life) -> Result<(), String> {
        let sandbox = &self.sandbox;
        configure(sandbox, &life.clouds, &with_carbon(sandbox, self.keeper.port));
        let spool = sandbox.path(STATE).join("spool");
        for name in names(&spool).iter().filter(|name| name.ends_with(".new")) {
            // What was never published is swept after two hours.
            set_back(&spool.join(name), Duration::from_secs(3 * 3600));
        }
        for minute in 0..2 {
            let outcome = life.clouds.run(sandbox, life.next + minute * MINUTE);
            // The first run tells of the one that the cut ended.
            let known = ["works again", "collect-grid: the last run, process "];
            let about = |line: &str| minute == 0 && known.iter().any(|known| line.contains(known));
            if outcome.code != Some(0) || !outcome.stderr.lines().all(about) {
                return Err(format!("run {minute} after it: {:?}: {}", outcome.code, outcome.stderr));
            }
        }
        let left: Vec<_> = names(&spool).into_iter().filter(|name| !name.starts_with("lock.")).collect();
        if left != ["bad"] { Err(format!("the spool holds {left:?}")) } else { Ok(()) }
    }

    /// Everything that was promised is there, and nothing else.
    fn account(&self, life: &Life, until: usize) -> Result<(), String> {
        let sandbox = &self.sandbox;
        let checked = status(sandbox, &["store", "check"]);
        if checked.code != Some(0) || !checked.stdout.contains("no damage in") {
            return Err(format!("store check: {}{}", checked.stdout, checked.stderr));
        }
        sound(&store(sandbox));
        let (to_store, mut to_carbon) = promised(life, until);
        self.aside(life, until, &mut to_carbon)?;
        let values = |slot: i64| (life.slots.get(&slot).copied().unwrap_or(slot), slot);
        let at = |values: BTreeMap<Key, f64>, slot: i64| {
            values.into_iter().map(|((path, _), value)| ((path, slot), value)).collect::<BTreeMap<_, _>>()
        };
        let mut there = stored(&store(sandbox));
        for (key, value) in &life.before {
            if there.remove(key) != Some(*value) {
                return Err(format!("{key:?} was in the store and is not"));
            }
        }
        let of_store = |slot| at(datapoints(&life.clouds, values(slot).0), values(slot).1);
        to_store.is_kept(&there, of_store).map_err(|why| format!("store: {why}"))?;
        let of_carbon = |slot| at(life.clouds.datapoints(values(slot).0), values(slot).1);
        to_carbon.is_kept(&self.keeper.values(), of_carbon).map_err(|why| format!("Carbon: {why}"))?;
        if self.keeper.changed().is_empty() { Ok(()) } else { Err("Carbon got two values for one time".into()) }
    }

    /// What was discarded lies in `bad/` with its reason, and Carbon never gets it; nothing else is in there. Where the power
    /// failed before the operator was told, Carbon may get it instead.
    fn aside(&self, life: &Life, until: usize, to_carbon: &mut Promised) -> Result<(), String> {
        let bad = self.sandbox.path(STATE).join("spool/bad");
        let aside: Vec<_> = names(&bad).into_iter().filter(|name| !name.ends_with(".why")).collect();
        for name in &aside {
            let why = fs::read_to_string(bad.join(format!("{name}.why"))).unwrap_or_default();
            let is_whole = Batch::decode(&fs::read(bad.join(name)).unwrap()).is_ok();
            if !life.discarded.contains(&slot(name)) || why.is_empty() || !is_whole {
                return Err(format!("bad/ holds {name}, whole {is_whole}: {why:?}"));
            }
        }
        for slot in &life.discarded {
            let is_aside = aside.iter().any(|name| self::slot(name) == *slot);
            if life.log.said(until).any(|said| said == discarded(*slot)) {
                if !to_carbon.again.contains(slot) {
                    to_carbon.may.remove(slot);
                }
                if !is_aside {
                    return Err(format!("slot {slot} was discarded, and is not in bad/"));
                }
            } else if to_carbon.published.contains(slot) && !is_aside {
                to_carbon.must.insert(*slot);
            }
        }
        Ok(())
    }
}

/// What was promised to the store and to Carbon when the power failed, and what the runs after it collected.
fn promised(life: &Life, until: usize) -> (Promised, Promised) {
    let spool = "state/spool";
    let kept = life.log.kept(spool, until);
    let (came, left) = life.log.came_and_left(spool, until);
    let pruned = life.log.said(until).any(|said| said == "pruning");
    let (mut to_store, mut to_carbon) = (Promised::default(), Promised::default());
    for name in came.iter().filter(|name| name.ends_with(".batch")) {
        let slot = slot(name);
        let sinks: Vec<_> = name.split('-').nth(3).unwrap().split('+').collect();
        let note = name.replace(".batch", ".ack.carbon");
        // Carbon has acknowledged it, or it was discarded.
        let has_it = left.contains(name) || came.contains(&note);
        if left.contains(&note) {
            to_carbon.again.insert(slot);
        }
        for (promised, sink, may_lack) in
            [(&mut to_store, "embedded", pruned && life.old.contains(&slot)), (&mut to_carbon, "carbon", has_it)]
        {
            if sinks.contains(&sink) {
                let is_published = kept.contains_key(name);
                if is_published {
                    promised.published.insert(slot);
                }
                if is_published && !may_lack { &mut promised.must } else { &mut promised.may }.insert(slot);
            }
        }
    }
    let next = [life.next, life.next + MINUTE];
    to_store.must.extend(next);
    to_carbon.must.extend(next);
    (to_store, to_carbon)
}
