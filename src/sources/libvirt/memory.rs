//! What one run tells the next: the domains, and the calls that libvirtd still owes an answer.
//!
//! Each call that was given up keeps one of libvirtd's 20 workers until the QEMU moves that it waits for. So lost calls are
//! counted over the runs, and only a domain that answers, or is gone, shows that its call has ended. They are written down before
//! they are made, since a run that is killed in one of them cannot do it any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::{DomainRef, Uuid};
use super::nova::Nova;
use crate::os::process::Identity;

/// The most calls that a run may lose.
pub const MOST_LOST: usize = 3;

/// The most calls that may wait for an answer at once, over all runs.
pub const MOST_OUTSTANDING: usize = 5;

/// The memory of the source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The domains of the last list.
    pub domains: Vec<Known>,
    /// Domains whose QEMU holds up a call of ours: libvirtd passes them by since then, and a call for them is safe.
    pub held: BTreeMap<Uuid, i32>,
    /// Domains of which at least one held up a call, and that have not answered since.
    pub unsure: BTreeMap<Uuid, i32>,
    /// The calls that [`Self::unsure`] domains hold up.
    pub loose: usize,
    /// Parts of the domains that may hold the lock that holds up every list, and have not answered since.
    pub locked: Vec<Part>,
    /// The calls for domains that a lock holds up. A list that comes shows that they have ended.
    pub stuck: usize,
    /// The lists that a lock holds up, as [`Self::stuck`].
    pub lists: u32,
    /// When the last list was lost, in unix seconds.
    pub list_lost_at: i64,
    /// Domains that libvirtd passed by in the last run, with their run and since when, in unix seconds.
    pub busy: BTreeMap<Uuid, (i32, i64)>,
    /// The socket, by device and inode.
    pub socket: (u64, u64),
    /// The libvirtd behind it, as [`Identity::text`] names it: a new one has no old calls. Empty if it was not seen.
    pub daemon: String,
}

/// Some of the domains that may hold a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Whether one of them surely does: a call for them was lost, and none for a half of them that answered.
    pub is_certain: bool,
    /// The domains.
    pub domains: BTreeSet<Uuid>,
}

/// A domain of the last list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Its name, UUID and run.
    pub of: DomainRef,
    /// What nova knows of it: `None` if it was not asked yet, `Some(None)` if it is not nova's.
    pub nova: Option<Option<Nova>>,
}

/// Half of the seconds after which a list is tried again while a lock holds one up, doubled with each list that was lost.
const LOCKED_PAUSE: i64 = 3600;

impl Memory {
    /// Forgets the calls of another libvirtd than this one. Where systemd keeps the socket, only the process tells them apart.
    pub fn meet(&mut self, socket: (u64, u64), daemon: Option<&Identity>) {
        let known = Identity::parse(&self.daemon);
        let is_same = match (&known, daemon) {
            (Some(known), Some(daemon)) => known == daemon,
            (Some(known), None) => self.socket == socket && !matches!(known.find(), Ok(None)),
            (None, _) => self.socket == socket,
        };
        if !is_same {
            *self = Self { domains: std::mem::take(&mut self.domains), ..Self::default() };
        }
        self.socket = socket;
        if let Some(daemon) = daemon {
            self.daemon = daemon.text();
        }
    }

    /// Returns how many calls still wait for an answer.
    pub fn outstanding(&self) -> usize {
        let loose = if self.unsure.is_empty() { 0 } else { self.loose.min(self.unsure.len()) };
        // Of the lists one counts: the others are lost in ever longer pauses, and must not cost the healthy domains theirs.
        self.held.len() + loose + self.stuck + usize::from(self.lists > 0)
    }

    /// Returns how many calls may be lost now, if this run lost `lost` and `spare` are kept for others, one of them in this run.
    pub fn budget(&self, lost: usize, spare: usize) -> usize {
        let over_all = (MOST_OUTSTANDING - spare).saturating_sub(self.outstanding());
        MOST_LOST.saturating_sub(lost + spare.min(1)).min(over_all)
    }

    /// Whether a call may be made that hangs at a domain's lock alone, if this run lost `lost`: state and network of all are worth
    /// one call beyond [`MOST_OUTSTANDING`], which shows that the lock is held.
    pub fn may_meet_a_lock(&self, lost: usize) -> bool {
        lost < MOST_LOST && self.outstanding() <= MOST_OUTSTANDING
    }

    /// Whether a domain holds up a call, or may.
    pub fn suspects(&self, domain: &DomainRef) -> bool {
        self.held.contains_key(&domain.uuid) || self.unsure.contains_key(&domain.uuid)
    }

    /// Whether a list may be asked for: no lock holds one up, or it is time for another try. The tries become rarer, so that a
    /// lock that is never released costs eight workers in a month.
    pub fn may_list(&self, now: i64) -> bool {
        self.lists == 0 || now.abs_diff(self.list_lost_at) >= (LOCKED_PAUSE << self.lists.min(20)).cast_unsigned()
    }

    /// Takes a list: what was lost to a lock has ended, and domains that are gone or run anew hold up nothing.
    pub fn listed(&mut self, domains: &[DomainRef]) {
        let mut before: BTreeMap<_, _> = std::mem::take(&mut self.domains)
            .into_iter()
            .map(|known| ((known.of.uuid, known.of.id), known.nova))
            .collect();
        let known = |of: &DomainRef| Known { of: of.clone(), nova: before.remove(&(of.uuid, of.id)).flatten() };
        self.domains = domains.iter().map(known).collect();
        let runs: BTreeMap<_, _> = domains.iter().map(|domain| (domain.uuid, domain.id)).collect();
        self.held.retain(|uuid, id| runs.get(uuid) == Some(id));
        self.unsure.retain(|uuid, id| runs.get(uuid) == Some(id));
        (self.stuck, self.lists, self.locked) = (0, 0, Vec::new());
        self.settle();
    }

    /// Notes that a call for these domains was given up.
    pub fn lost(&mut self, domains: &[&DomainRef]) {
        if domains.iter().all(|domain| self.held.contains_key(&domain.uuid)) {
            // libvirtd passes their QEMUs by, so it waits for a lock.
            return self.locked_up(domains);
        }
        if let [one] = domains {
            self.held.insert(one.uuid, one.id);
            self.unsure.remove(&one.uuid);
            return;
        }
        self.loose += 1;
        self.unsure.extend(domains.iter().map(|domain| (domain.uuid, domain.id)));
    }

    /// Notes that a list was given up: it waits for the lock of a domain.
    pub fn list_lost(&mut self, now: i64) {
        self.lists += 1;
        self.list_lost_at = now;
    }

    /// Notes that a call was given up that waits for the lock of one of these domains.
    pub fn locked_up(&mut self, domains: &[&DomainRef]) {
        self.stuck += 1;
        self.suspect(domains, true);
    }

    /// Notes domains one of which may hold a lock, or surely does.
    pub fn suspect(&mut self, domains: &[&DomainRef], is_certain: bool) {
        let domains: BTreeSet<_> = domains.iter().map(|domain| domain.uuid).collect();
        self.locked.retain(|part| part.domains.is_disjoint(&domains));
        self.locked.push(Part { is_certain, domains });
    }

    /// Notes that a domain answered.
    pub fn answered(&mut self, domain: &DomainRef) {
        self.held.remove(&domain.uuid);
        self.unsure.remove(&domain.uuid);
        for part in &mut self.locked {
            part.domains.remove(&domain.uuid);
        }
        self.locked.retain(|part| !part.domains.is_empty());
        self.settle();
    }

    /// Notes that libvirtd passed a domain by: if a call of ours is missing, this is where it hangs.
    pub fn passed_by(&mut self, domain: &DomainRef) {
        if self.loose > 0 && self.unsure.remove(&domain.uuid).is_some() {
            self.loose -= 1;
            self.held.insert(domain.uuid, domain.id);
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.unsure.is_empty() {
            self.loose = 0;
        }
    }
}
