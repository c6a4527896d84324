//! What the collectors list, whether it is the whole pool, and the union of what several of them list.
//!
//! A collector keeps its ads in memory: after a restart it has none until each daemon updates, every `UPDATE_INTERVAL`.
//! Its own ad tells its age (`StatsLifetime`, made anew for each query). Collectors that stand for each other (HA), or to
//! which the same machines report (flocking), list the same ads; an ad is the same if its `Name` and `MyAddress` are.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::ads::Attribute;
use super::memory::{Doubt, KnownPools, Memory};
use super::slot::{self, DynamicSlot};
use super::{Client, Config, LOCAL, Pool, ScheddAd, Slots, ask, same_name};
use crate::os::command::Failure;
use crate::os::work::both;
use crate::problem::Problem;
use crate::text::ago;

/// The answers of one collector.
pub(super) struct PoolList {
    /// The pool's name in the config.
    pub(super) name: String,
    slots: Result<Vec<SlotAd>, Failure>,
    /// The schedds, in the collector's spelling.
    pub(super) schedds: Result<Vec<(String, ScheddAd)>, Failure>,
    negotiators: Result<Vec<(String, f64)>, Failure>,
    collector: Result<Vec<CollectorAd>, Failure>,
    /// Why its lists are not the whole pool.
    pub(super) doubt: Option<Doubt>,
    /// The pool whose collector lists all that this one should have listed.
    pub(super) covered_by: Option<String>,
}

/// The ad of a slot.
struct SlotAd {
    /// A hash of its identity; `None` without a name. Of 100,000 slots two have the same with a chance of 1 in 10^9.
    id: Option<u64>,
    name: String,
    dynamic: Option<DynamicSlot>,
}

/// The ad of a collector; times in seconds by the clock of its host.
#[derive(Debug, Default)]
struct CollectorAd {
    /// `Machine`.
    machine: String,
    /// `MyAddress`.
    address: String,
    updates_lost_ratio: Option<f64>,
    /// `StatsLifetime`: its age at `stats_time`.
    lifetime: Option<f64>,
    /// `StatsLastUpdateTime`. A collector makes its own ad anew for each query; that of another one is up to 15 min old.
    stats_time: Option<f64>,
    /// `LastHeardFrom`: when the queried collector received it.
    received: Option<f64>,
}

impl PoolList {
    /// Whether its list of slots is that of the whole pool.
    fn slots_are_whole(&self) -> bool {
        self.slots.is_ok() && self.doubt.is_none()
    }

    /// Whether its list of schedds is that of the whole pool.
    pub(super) fn schedds_are_whole(&self) -> bool {
        self.schedds.is_ok() && self.doubt.is_none()
    }

    /// Whether its collector has just started.
    pub(super) fn is_young(&self) -> bool {
        matches!(self.doubt, Some(Doubt::Young(_)))
    }

    fn is_whole(&self) -> bool {
        self.slots_are_whole() && self.schedds_are_whole()
    }

    /// Returns the names of its machines, in lower case: `startd@host` of `slot1@startd@host`.
    fn machines(&self) -> BTreeSet<String> {
        let machine =
            |slot: &SlotAd| slot.name.split_once('@').map_or(&*slot.name, |(_, machine)| machine).to_ascii_lowercase();
        self.slots.iter().flatten().map(machine).collect()
    }

    /// Returns everything that it lists, by names in lower case.
    fn names(&self) -> BTreeSet<String> {
        let schedds = self.schedds.iter().flatten().map(|(name, _)| format!("schedd {}", name.to_ascii_lowercase()));
        self.machines().into_iter().chain(schedds).collect()
    }

    /// Returns the collector's own ad: the one with its address, else the newest one, since those of other collectors are
    /// not made anew.
    fn own_ad(&self) -> Option<&CollectorAd> {
        let key = |ad: &CollectorAd| {
            (ad.is_at(&self.name), ad.stats_time.unwrap_or(f64::MIN), -ad.lifetime.unwrap_or(f64::MAX))
        };
        let order = |a: &&CollectorAd, b: &&CollectorAd| key(a).partial_cmp(&key(b)).unwrap_or(Ordering::Equal);
        self.collector.iter().flatten().max_by(order)
    }

    /// Returns the collector's age in seconds, if it tells.
    ///
    /// Of several collectors in this machine's own configuration each command picks one by chance: it is the age of the
    /// youngest.
    fn age(&self) -> Option<f64> {
        let own = self.own_ad()?;
        if self.name != LOCAL {
            return own.lifetime;
        }
        let age = |ad: &CollectorAd| {
            let waited = if std::ptr::eq(ad, own) { 0.0 } else { own.stats_time? - ad.received? };
            Some(ad.lifetime? + waited.max(0.0))
        };
        self.collector.iter().flatten().filter_map(age).min_by(f64::total_cmp)
    }
}

impl CollectorAd {
    /// Whether it is the ad of the collector that the config calls `pool`, `HOST` or `HOST:PORT`.
    fn is_at(&self, pool: &str) -> bool {
        let (host, port) = pool.rsplit_once(':').unwrap_or((pool, "9618"));
        let place = self.address.split('?').next().unwrap_or_default().trim_matches(['<', '>']);
        let (address, own_port) = place.rsplit_once(':').unwrap_or_default();
        port == own_port && (host == address || same_name(host, &self.machine))
    }
}

impl Client<'_> {
    /// Queries a collector for its slots, schedds, negotiators and its own health, in parallel.
    pub(super) fn pool(&self, name: &str) -> PoolList {
        let health = || (ask(|| self.negotiators(name)), ask(|| self.collector(name)));
        let (slots, (schedds, (negotiators, collector))) =
            both(|| ask(|| self.slots(name)), || both(|| ask(|| self.schedds(name)), health));
        PoolList { name: name.into(), slots, schedds, negotiators, collector, doubt: None, covered_by: None }
    }

    fn slots(&self, pool: &str) -> Result<Vec<SlotAd>, Failure> {
        let mut slots = Vec::new();
        let mut attributes = ["MyAddress"; 1 + slot::ATTRIBUTES.len()];
        attributes[1..].copy_from_slice(&slot::ATTRIBUTES);
        self.status(pool, &[], &attributes, |[address, ad @ ..]| {
            let name = ad[0].text().unwrap_or_default();
            slots.push(SlotAd { id: identity(&name, &address), name, dynamic: DynamicSlot::read(&ad) });
        })?;
        Ok(slots)
    }

    fn schedds(&self, pool: &str) -> Result<Vec<(String, ScheddAd)>, Failure> {
        let mut schedds = Vec::new();
        let attributes = ["Name", "RecentDaemonCoreDutyCycle", "MaxJobsRunning", "JobsUnmaterialized"];
        self.status(pool, &["-schedd"], &attributes, |[name, duty_cycle, limit, unmaterialized]| {
            // HTCondor uses no names that look like flags.
            if let Some(name) = name.text().filter(|name| !name.is_empty() && !name.starts_with('-')) {
                let ad = ScheddAd {
                    duty_cycle_ratio: duty_cycle.number(),
                    running_jobs_limit: limit.whole(),
                    unmaterialized_jobs: unmaterialized.whole(),
                };
                schedds.push((name, ad));
            }
        })?;
        Ok(schedds)
    }

    fn negotiators(&self, pool: &str) -> Result<Vec<(String, f64)>, Failure> {
        let mut negotiators = Vec::new();
        self.status(pool, &["-negotiator"], &["Name", "LastNegotiationCycleDuration0"], |[name, seconds]| {
            // The duration is absent until the first cycle has ended.
            negotiators.extend(name.text().zip(seconds.number()));
        })?;
        negotiators.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(negotiators)
    }

    fn collector(&self, pool: &str) -> Result<Vec<CollectorAd>, Failure> {
        let mut collectors = Vec::new();
        let attributes =
            ["Machine", "MyAddress", "UpdatesLostRatio", "StatsLifetime", "StatsLastUpdateTime", "LastHeardFrom"];
        self.status(pool, &["-collector"], &attributes, |[machine, address, lost, lifetime, stats_time, received]| {
            collectors.push(CollectorAd {
                machine: machine.text().unwrap_or_default(),
                address: address.text().unwrap_or_default(),
                updates_lost_ratio: lost.number(),
                lifetime: lifetime.number(),
                stats_time: stats_time.number(),
                received: received.number(),
            });
        })?;
        Ok(collectors)
    }
}

/// Returns a hash of what makes an ad the same in the list of another collector: its name and its daemon's address,
/// without case. Of the address the routes are left out, which a daemon may have told one collector before the other.
fn identity(name: &str, address: &Attribute) -> Option<u64> {
    let address = address.text().unwrap_or_default().to_ascii_lowercase();
    let (place, routes) = address.split_once('?').unwrap_or((&address, ""));
    let socket = routes.trim_end_matches('>').split('&').find(|route| route.starts_with("sock="));
    let mut hasher = DefaultHasher::new();
    (name.to_ascii_lowercase(), place.trim_matches(['<', '>']), socket).hash(&mut hasher);
    (!name.is_empty()).then(|| hasher.finish())
}

/// Judges which answers are the whole pool, and remembers what they list.
pub(super) fn judge(config: &Config, mut lists: Vec<PoolList>, memory: &mut Memory, now: i64) -> Vec<PoolList> {
    let settle = config.settle_seconds();
    memory.pools.keep(&config.pools);
    for list in &mut lists {
        let machines = list.slots.as_ref().ok().map(|_| list.machines().len());
        if machines.is_some() || list.schedds.is_ok() {
            list.doubt = memory.pools.doubt(&list.name, machines, list.age(), now, settle);
        }
    }
    cover(&mut lists, &mut memory.pools);
    let listed: Vec<_> = lists.iter().map(|list| (list.name.as_str(), names_of(&list.schedds))).collect();
    memory.schedds.update(&listed, now);
    lists
}

fn names_of(schedds: &Result<Vec<(String, ScheddAd)>, Failure>) -> Option<Vec<&str>> {
    schedds.as_ref().ok().map(|schedds| schedds.iter().map(|(name, _)| name.as_str()).collect())
}

/// Finds for each list that is not whole a whole one that holds all that it should have held; of the whole ones,
/// remembers which hold which.
fn cover(lists: &mut [PoolList], known: &mut KnownPools) {
    if lists.len() < 2 {
        return;
    }
    let names: Vec<_> = lists.iter().map(|list| (list.name.clone(), list.names(), list.is_whole())).collect();
    for (at, (name, listed, is_whole)) in names.iter().enumerate() {
        for (other, listed_there, _) in names.iter().filter(|other| other.2 && other.0 != *name) {
            let holds = listed.is_subset(listed_there);
            if *is_whole {
                // An empty list is part of every other one, which says nothing.
                known.set_covered(name, other, holds && !listed.is_empty());
            } else if holds && lists[at].covered_by.is_none() && known.is_covered(name, other) {
                lists[at].covered_by = Some(other.clone());
            }
        }
    }
}

/// Returns a pool as the subject of its problems.
pub(super) fn subject(name: &str) -> String {
    format!("pool {name}")
}

/// Returns the problems of a pool.
pub(super) fn problems(config: &Config, list: &PoolList) -> Vec<Problem> {
    let PoolList { name, slots, schedds, negotiators, collector, doubt, covered_by } = list;
    let mut problems = Vec::new();
    let mut problem = |what: String, failure: &Failure, missing: &str| {
        let program = &config.condor_status.shown;
        let advice = match failure {
            Failure::Start(_) => {
                "; set PATH in the crontab or [htcondor] condor_status, or name [cloud_scheduler] alone in the config when there is no HTCondor"
            }
            _ => "",
        };
        let missing = match covered_by {
            Some(other) => format!("nothing is missing, since {other} lists all that it listed"),
            None => missing.into(),
        };
        let problem = Problem::of_source(what, format!("{program} {failure}{advice}; {missing}"));
        // Without its collector nobody knows of a pool's schedds and lists.
        problems.push(problem.asked_of(&subject(name), slots.is_err() && schedds.is_err()));
    };
    // If the collector is down, all four queries fail; report it once.
    match (slots, schedds) {
        (Err(failure), Err(_)) => {
            problem(subject(name), failure, "its slots, its schedds' jobs and the grid's totals are missing")
        }
        (Err(failure), Ok(_)) => {
            problem(format!("slots of pool {name}"), failure, "slots and idle machines are missing")
        }
        (Ok(_), Err(failure)) => {
            problem(format!("schedds of pool {name}"), failure, "its schedds' jobs and the grid's totals are missing")
        }
        (Ok(_), Ok(_)) => {
            for (what, failure) in
                [("negotiators", negotiators.as_ref().err()), ("collector", collector.as_ref().err())]
            {
                if let Some(failure) = failure {
                    problem(format!("{what} of pool {name}"), failure, "its health is missing");
                }
            }
        }
    }
    if let Some(doubt) = doubt.as_ref().filter(|_| covered_by.is_none()) {
        let problem = Problem::of_source(format!("ads of pool {name}"), not_whole(doubt, config.settle_seconds()));
        problems.push(problem.asked_of(&subject(name), false));
    }
    problems
}

/// Says why a collector's lists are not the whole pool, and until when.
fn not_whole(doubt: &Doubt, settle: i64) -> String {
    let (why, until) = match doubt {
        Doubt::Young(age) => (
            format!(
                "its collector started {} ago and does not have the ads of all daemons yet",
                ago(age.max(0.0) as i64)
            ),
            format!("until it has run for {}", ago(settle)),
        ),
        Doubt::Fell { before, machines, for_seconds } => (
            format!("its collector lists {} where it listed {before}", crate::text::count(*machines, "machine")),
            format!("until they are back, or else believed in {}", ago(*for_seconds)),
        ),
    };
    format!(
        "{why}; its slots, idle machines and the grid's totals are missing {until} ([htcondor] update_interval_seconds)"
    )
}

/// Returns the answers of all pools. A slot or negotiator that several of them list is in the first one's answer alone.
pub(super) fn reply(lists: Vec<PoolList>) -> Vec<Pool> {
    let (mut slots_seen, mut negotiators_seen) = (HashSet::new(), Vec::<String>::new());
    let mut pool = |list: PoolList| {
        let slots = list.slots_are_whole().then(|| {
            let mut slots = Slots::default();
            let ads = list.slots.as_deref().unwrap_or_default();
            for ad in ads.iter().filter(|ad| ad.id.is_none_or(|id| slots_seen.insert(id))) {
                slots.add(ad.dynamic.as_ref());
            }
            slots.count = ads.len();
            slots
        });
        let mut is_new = |name: &str| {
            let is_new = !negotiators_seen.iter().any(|seen| same_name(seen, name));
            negotiators_seen.push(name.into());
            is_new
        };
        Pool {
            answered: list.slots.is_ok() && list.schedds.is_ok(),
            listed: list.schedds_are_whole(),
            covered: list.covered_by.is_some(),
            updates_lost_ratio: list.own_ad().and_then(|ad| ad.updates_lost_ratio),
            negotiators: list.negotiators.ok().map(|mut negotiators| {
                negotiators.retain(|(name, _)| is_new(name));
                negotiators
            }),
            name: list.name,
            slots,
        }
    };
    lists.into_iter().map(&mut pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_as_old_as_its_own_ad_says() {
        let ad = |machine: &str, port: u16, lifetime: f64, stats_time: f64, received: f64| CollectorAd {
            machine: machine.into(),
            address: format!("<192.0.2.1:{port}?addrs=192.0.2.1-{port}&sock=collector>"),
            lifetime: Some(lifetime),
            stats_time: Some(stats_time),
            received: Some(received),
            ..CollectorAd::default()
        };
        let list = |name: &str, ads| PoolList {
            name: name.into(),
            slots: Ok(vec![]),
            schedds: Ok(vec![]),
            negotiators: Ok(vec![]),
            collector: Ok(ads),
            doubt: None,
            covered_by: None,
        };
        // The clock of cm2 is fast, and its ad came when it had just started.
        let ads = || vec![ad("cm1.x.org", 9618, 5000.0, 9000.0, 8500.0), ad("cm2.x.org", 9618, 1.0, 9010.0, 8600.0)];
        for (name, age) in [
            ("CM1.x.org", 5000.0),
            ("cm2.x.org:9618", 1.0),
            ("cm1.x.org:9619", 1.0),
            ("192.0.2.1", 1.0),
            ("alias.x.org", 1.0),
        ] {
            assert_eq!(list(name, ads()).age(), Some(age), "{name}");
        }
        let ads = vec![ad("cm1.x.org", 9618, 5000.0, 9000.0, 8500.0), ad("cm2.x.org", 9618, 1.0, 8590.0, 8600.0)];
        assert_eq!(list(LOCAL, ads).age(), Some(401.0), "the youngest one, which was heard of 400 s ago");
        assert_eq!(list(LOCAL, vec![]).age(), None);
    }

    #[test]
    fn an_ad_is_the_same_whatever_its_routes_and_case() {
        let id = |name: &str, address: &str| identity(name, &Attribute::Text(address.into()));
        let same = id("slot1@wn1.x.org", "<192.0.2.1:9618?addrs=192.0.2.1-9618&sock=startd_1_2>");
        assert_eq!(id("SLOT1@WN1.x.org", "<192.0.2.1:9618?CCBID=cm1:9618#7&sock=startd_1_2>"), same);
        for (name, address) in [
            ("slot2@wn1.x.org", "<192.0.2.1:9618?sock=startd_1_2>"),
            ("slot1@wn1.x.org", "<192.0.2.2:9618?sock=startd_1_2>"),
            ("slot1@wn1.x.org", "<192.0.2.1:9618?sock=startd_1_3>"),
        ] {
            assert_ne!(id(name, address), same, "{name} {address}");
        }
        assert_eq!(identity("a", &Attribute::None), identity("A", &Attribute::None));
        assert_eq!(identity("", &Attribute::None), None);
    }
}
