//! Ten years of nights in four zones that change their clocks, with faults: each is said once, and nothing else.
//!
//! `GRIDMON_SOAK=1` takes 100 seeds instead of 5, `GRIDMON_SEED` begins with another one.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::gather::Gatherer;
use super::hub::Hub;
use super::memory::NodeMemory;
use super::node::{NodeState, Told};
use super::verdict::Verdict;
use super::zone::Zone;
use crate::sources::ssh::{Entry, Seen};

const DAY: i64 = 86_400;

/// Zones, with the hour of their run in UTC: about nine in the morning there. Lord Howe's clocks change by half an hour.
const ZONES: [(&str, i64); 4] =
    [("Europe/Zurich", 8), ("America/New_York", 14), ("America/Santiago", 13), ("Australia/Lord_Howe", 22)];

/// When each set is made, in minutes of the local day: also in the hours that are skipped or repeated.
const SETS: [(&str, i64); 3] = [("db/midnight", 5), ("db/one", 90), ("db/two", 150)];

/// Pseudo-random numbers, the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What is wrong with a set in some nights.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Skipped,
    Zero,
    Half,
    Gone,
    NewestGone,
    NoSidecar,
    Cut,
    Future,
    Closed,
}

const FAULTS: [(Fault, Verdict, u64); 9] = [
    (Fault::Skipped, Verdict::Old, 10),
    (Fault::Zero, Verdict::Small, 3),
    (Fault::Half, Verdict::Shrunk, 3),
    (Fault::Gone, Verdict::Vanished, 10),
    (Fault::NewestGone, Verdict::Lost, 10),
    (Fault::NoSidecar, Verdict::Unsealed, 3),
    (Fault::Cut, Verdict::Truncated, 10),
    (Fault::Future, Verdict::Future, 10),
    (Fault::Closed, Verdict::Unreadable, 10),
];

/// A tarball as it lies there.
#[derive(Clone)]
struct Tarball {
    path: String,
    mtime: i64,
    bytes: u64,
    sealed: Option<u64>,
}

/// One node with its sets, and what a perfect observer would have said.
struct World {
    zone: TimeZone,
    hour: i64,
    files: Vec<Vec<Tarball>>,
    /// The fault of each set, and the night after its last one.
    faults: Vec<Option<(usize, i64)>>,
    /// The night after the last one in which the purge of each set fails.
    unpurged_until: Vec<i64>,
    /// The night after the last one in which the node is away.
    away_until: i64,
    /// What lasts, and when it was last said, by set, and the last one of the node.
    lasting: Vec<Option<(Verdict, i64)>>,
}

/// What was said: night, set (or none), verdict.
type Said = (i64, String, Verdict);

impl World {
    fn new(at: usize) -> Self {
        let (zone, hour) = ZONES[at];
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let sets = SETS.len();
        Self {
            zone,
            hour,
            files: vec![Vec::new(); sets],
            faults: vec![None; sets],
            unpurged_until: vec![0; sets],
            away_until: 0,
            lasting: vec![None; sets + 1],
        }
    }

    /// Begins faults: in the first ten nights of each twenty, of each set, or of the node alone; and in three nights soon after, so
    /// that one comes back within a week. A purge fails for weeks, whatever else does.
    fn plan(&mut self, night: i64, dice: &mut Dice) {
        let most = match night % 20 {
            0 if night > 0 => 10,
            13 => 3,
            _ => return,
        };
        for until in &mut self.unpurged_until {
            if night >= *until && dice.below(6) == 0 {
                *until = night + 10 + dice.below(60) as i64;
            }
        }
        if most == 10 && dice.below(6) == 0 {
            self.away_until = night + 1 + dice.below(10) as i64;
            return;
        }
        for fault in &mut self.faults {
            if dice.below(2) == 0 {
                let which = dice.below(FAULTS.len() as u64) as usize;
                *fault = Some((which, night + 1 + dice.below(FAULTS[which].2.min(most)) as i64));
            }
        }
    }

    /// Makes the tarballs of a night.
    fn make(&mut self, night: i64, day: Date, dice: &mut Dice) {
        for (at, (name, minute)) in SETS.iter().enumerate() {
            let fault = self.faults[at].map(|(which, _)| FAULTS[which].0);
            // As cron: a time that is skipped comes at once after, one that is repeated comes once.
            let local =
                day.to_datetime(jiff::civil::Time::midnight()).checked_add(jiff::Span::new().minutes(*minute)).unwrap();
            let ambiguous = self.zone.to_ambiguous_zoned(local);
            let zoned = if dice.below(2) == 0 { ambiguous.later() } else { ambiguous.earlier() };
            let zoned = match self.zone.to_ambiguous_timestamp(local).is_ambiguous() {
                true => zoned.unwrap(),
                false => self.zone.to_ambiguous_zoned(local).compatible().unwrap(),
            };
            let made = zoned.timestamp().as_second();
            let files = &mut self.files[at];
            files.retain(|file| !file.path.contains("/2099/"));
            let path = |stamp: &str| format!("{name}/{stamp}/x.tar.gz");
            let whole = 1_000_000 + dice.below(20_000);
            let bytes = match fault {
                Some(Fault::Zero) => 0,
                Some(Fault::Half) => whole * 4 / 10,
                Some(Fault::Cut) => whole * 9 / 10,
                _ => whole,
            };
            let sealed = match fault {
                Some(Fault::NoSidecar) => None,
                Some(Fault::Cut) => Some(whole),
                _ => Some(bytes),
            };
            if matches!(fault, Some(Fault::Gone)) {
                files.clear();
            }
            // Those that the runs before have seen.
            if matches!(fault, Some(Fault::NewestGone)) && files.len() > 1 {
                files.truncate(1);
            }
            if !matches!(fault, Some(Fault::Skipped | Fault::Gone | Fault::NewestGone)) {
                let mtime = made + 60 + dice.below(1500) as i64;
                files.push(Tarball {
                    path: path(&zoned.strftime("%Y/%m/%d/%H%M%S").to_string()),
                    mtime,
                    bytes,
                    sealed,
                });
                let keep = if night < self.unpurged_until[at] { 12 } else { 4 };
                files.drain(..files.len().saturating_sub(keep));
            }
            if matches!(fault, Some(Fault::Future)) {
                files.push(Tarball { path: path("2099/01/01/000000"), mtime: made, bytes, sealed });
            }
        }
    }

    /// What a perfect observer says after a night.
    fn truth(&mut self, night: i64, now: i64, said: &mut Vec<Said>) {
        let is_away = night < self.away_until;
        let node = self.lasting.len() - 1;
        for at in 0..self.lasting.len() {
            let is = match at {
                at if at == node => is_away.then_some(Verdict::Unreachable),
                _ if is_away => continue,
                at => self.faults[at].map(|(which, _)| FAULTS[which].1).or(self.hoards(at)),
            };
            let news = match (is, self.lasting[at]) {
                (Some(verdict), None) => Some(verdict),
                // From a warning to an alarm, or back.
                (Some(verdict), Some((last, _))) if verdict.is_alarm() != last.is_alarm() => Some(verdict),
                (Some(verdict), Some((_, last))) if now - last >= 7 * DAY => Some(verdict),
                (None, Some(_)) => Some(Verdict::Ok),
                _ => None,
            };
            let name = SETS.get(at).map_or("", |(name, _)| name).to_string();
            said.extend(news.map(|verdict| (night, name, verdict)));
            let last = self.lasting[at].filter(|_| news.is_none()).map_or(now, |(_, last)| last);
            self.lasting[at] = is.map(|verdict| (verdict, last));
        }
    }

    /// Whether more than twice as many as are kept lie there.
    fn hoards(&self, set: usize) -> Option<Verdict> {
        (self.files[set].len() > 8).then_some(Verdict::Hoards)
    }

    /// Ends the faults whose last night this was.
    fn end(&mut self, night: i64) {
        for fault in &mut self.faults {
            *fault = fault.filter(|(_, until)| night + 1 < *until);
        }
    }

    /// Lists what lies there, as a node does.
    fn list(&self, gatherer: &mut Gatherer) {
        for (at, files) in self.files.iter().enumerate() {
            if self.faults[at].is_some_and(|(which, _)| FAULTS[which].0 == Fault::Closed) {
                gatherer.take(Seen::Closed(SETS[at].0.as_bytes()));
                continue;
            }
            for file in files {
                let entry =
                    Entry { is_folder: false, bytes: file.bytes, mtime: file.mtime, path: file.path.as_bytes() };
                gatherer.take(Seen::Entry(entry));
                if let Some(bytes) = file.sealed {
                    let line = format!("{{'dig': '{:032x}', 'size': {bytes}L}}", 7);
                    gatherer.take(Seen::Seal(format!("{}.dna", file.path).as_bytes(), line.as_bytes()));
                }
            }
        }
    }
}

fn hub(zone: &str) -> Hub {
    let sets = SETS.iter().map(|(name, _)| name.to_string()).collect();
    Hub { zone: Zone::named(zone).unwrap(), sets, ..Hub::usual("ZZ", &["N"]) }
}

/// Lets ten years pass at one place; returns what was said, and what should have been.
fn ten_years(at: usize, seed: u64) -> (Vec<Said>, Vec<Said>, BTreeMap<&'static str, usize>) {
    let mut dice = Dice(seed.wrapping_mul(4).wrapping_add(at as u64));
    let (hub, mut world, mut memory) = (hub(ZONES[at].0), World::new(at), NodeMemory::default());
    let (mut said, mut truth, mut kinds) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut day = date(2024, 1, 1);
    for night in 0..3653 {
        world.plan(night, &mut dice);
        world.make(night, day, &mut dice);
        // Lord Howe's morning is the evening before in UTC.
        let days_before = i64::from(world.hour > 20);
        let now = super::zone::as_utc(day.at(0, 0, 0, 0)) - days_before * DAY + world.hour * 3600 + 30 * 60;
        world.truth(night, now, &mut truth);
        let state = if night < world.away_until {
            NodeState::unreachable(&hub, "N", "refused".into())
        } else {
            let mut gatherer = Gatherer::new(&hub.pattern, &hub.zone, "");
            world.list(&mut gatherer);
            let gathered = gatherer.finish();
            let told = Told { gathered: &gathered, said: "", skew_seconds: None, contents: &|_| None };
            let (state, after) = NodeState::judge(&hub, "N", &told, &memory, now);
            memory = after;
            state
        };
        for notice in state.notices(&mut memory, now) {
            *kinds.entry(notice.verdict.word()).or_default() += 1;
            said.push((night, notice.set.unwrap_or_default(), notice.verdict));
        }
        world.end(night);
        day = day.tomorrow().unwrap();
    }
    (said, truth, kinds)
}

#[test]
fn ten_years_over_every_change_of_clocks_miss_nothing_and_cry_wolf_never() {
    let soak = std::env::var_os("GRIDMON_SOAK").is_some();
    let first: u64 = std::env::var("GRIDMON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let seeds = if soak { 100 } else { 5 };
    let mut kinds = BTreeMap::<&str, usize>::new();
    for seed in first..first + seeds {
        for (at, (zone, _)) in ZONES.iter().enumerate() {
            let (mut said, mut truth, of_zone) = ten_years(at, seed);
            said.sort();
            truth.sort();
            let missed: Vec<_> = truth.iter().filter(|one| !said.contains(one)).take(3).collect();
            let wrong: Vec<_> = said.iter().filter(|one| !truth.contains(one)).take(3).collect();
            assert!(missed.is_empty() && wrong.is_empty(), "seed {seed}, {zone}: missed {missed:?}, wrong {wrong:?}");
            assert_eq!(said.len(), truth.len(), "seed {seed}, {zone}: something is said twice");
            of_zone.into_iter().for_each(|(kind, count)| *kinds.entry(kind).or_default() += count);
        }
    }
    // The judge can fail: every kind of fault was there, often.
    for verdict in FAULTS.iter().map(|(_, verdict, _)| *verdict).chain([Verdict::Hoards]) {
        assert!(kinds[verdict.word()] > 20, "{kinds:?}");
    }
    assert!(kinds["ok"] > 1000 && kinds["unreachable"] > 20, "{kinds:?}");
}
