//! In which order libvirtd is asked for what, so that few calls are lost.
//!
//! - Domains are asked for in lists, with NOWAIT: a domain whose job somebody holds is passed by.
//! - A QEMU that hangs anew holds up the call, which is given up and holds the domain's job from then on. Of such lists those
//!   whose guests send a packet within a second are asked once more in lists, since their QEMUs work; the others one by one.
//! - State and interface never ask QEMU: what is not asked for all has these two.
//! - When the lock of a domain is held (a storage that hangs), even the list of domains does not come. Then the last list is
//!   asked for in parts, which are halved where a call is lost.
//! - At most 3 calls are lost in a run, and at most 5 wait for an answer over all runs ([`memory`](super::memory)). Each is written
//!   down as lost before it is made; what cannot be written down is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Config;
use super::answer::Answer;
use super::client::{Client, Failure};
use super::domain::{Domain, parse};
use super::memory::{Known, MOST_LOST, MOST_OUTSTANDING, Memory};
use super::message::{self, DomainRef, Groups, Procedure, Uuid};
use super::nova::{self, NAMESPACES, Nova};
use crate::problem::Problem;

/// The domains of one list.
const LIST: usize = 100;

/// How long guests are given to send a packet.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// How many calls are spared for better candidates: none by those whose guests just sent a packet, one by those that answered in the
/// last run, two by those of which one hangs.
const FOR_ALIVE: usize = 0;
const FOR_TRUSTED: usize = 1;
const FOR_UNSURE: usize = 2;

/// How many runs share the questions for nova's metadata, which seldom change.
const METADATA_EVERY: i64 = 12;

/// libvirt's numbers of errors.
const NO_DOMAIN: i32 = 42;
const NO_METADATA: i32 = 80;

/// Stores what is remembered for later runs, before a call that may be lost.
pub type Keep<'a> = &'a dyn Fn(&Memory) -> anyhow::Result<()>;

/// Queries libvirtd, at most until `until`; `now` is the run's clock in unix seconds. Returns its answer, unless it does not
/// answer, and what is missing.
pub fn collect(
    config: &Config,
    memory: &mut Memory,
    now: i64,
    until: Instant,
    keep: Keep,
) -> (Option<Answer>, Vec<Problem>) {
    let mut queries = Queries {
        config,
        memory,
        keep,
        now,
        until,
        began: Instant::now(),
        client: None,
        lost: 0,
        domains: BTreeMap::new(),
        asked: BTreeSet::new(),
        problems: Vec::new(),
    };
    let ended = queries.run();
    if let Some(client) = queries.client.take() {
        client.close();
    }
    queries.answer(ended.err())
}

/// Why a call brought nothing.
enum CallFailure {
    /// It was given up.
    Lost,
    /// libvirtd refused it.
    Refused(Failure),
    /// There is nobody to ask, no time, or no place to remember a call.
    Over(String),
}

impl CallFailure {
    fn why(self) -> String {
        match self {
            Self::Lost => "no answer".into(),
            Self::Refused(failure) => failure.to_string(),
            Self::Over(why) => why,
        }
    }
}

/// A run's questions and what came of them.
pub(super) struct Queries<'a> {
    config: &'a Config,
    pub(super) memory: &'a mut Memory,
    keep: Keep<'a>,
    pub(super) now: i64,
    until: Instant,
    began: Instant,
    client: Option<Client>,
    /// The calls that this run gave up.
    lost: usize,
    pub(super) domains: BTreeMap<Uuid, Domain>,
    /// The domains of answered calls: one that is not in the answer is gone.
    pub(super) asked: BTreeSet<Uuid>,
    pub(super) problems: Vec<Problem>,
}

impl Queries<'_> {
    /// Asks for everything. Fails if nobody can be asked any more.
    fn run(&mut self) -> Result<(), String> {
        self.connect()?;
        if !self.list()? {
            return self.around_the_lock();
        }
        let all: Vec<DomainRef> = self.memory.domains.iter().map(|known| known.of.clone()).collect();
        let (suspects, trusted): (Vec<_>, Vec<_>) = all.iter().partition(|domain| self.memory.suspects(domain));
        let (held, unsure): (Vec<_>, Vec<_>) =
            suspects.into_iter().partition(|domain| self.memory.held.contains_key(&domain.uuid));
        let mut open = Vec::new();
        for list in trusted.chunks(LIST).chain(held.chunks(LIST)) {
            if !self.bulk(list)? {
                open.extend_from_slice(list);
            }
        }
        open.extend(unsure);
        self.explore(&open)?;
        self.metadata()
    }

    fn connect(&mut self) -> Result<(), String> {
        if self.client.is_none() {
            let client = Client::open(&self.config.socket, self.config.timeout, self.until);
            let client = client.map_err(|failure| match failure {
                Failure::TimedOut(_) => format!(
                    "libvirtd took the connection and gave {failure}; is it stopped, or are all its workers busy?"
                ),
                other => other.to_string(),
            })?;
            if let Ok(socket) = std::fs::metadata(&self.config.socket) {
                self.memory.meet((socket.dev(), socket.ino()), client.daemon(&self.config.socket).as_ref());
            }
            self.client = Some(client);
        }
        Ok(())
    }

    fn call(&mut self, procedure: Procedure, body: &[u8]) -> Result<Vec<u8>, CallFailure> {
        if self.until.saturating_duration_since(Instant::now()) < Duration::from_millis(100) {
            return Err(CallFailure::Over("the run has no time left".into()));
        }
        self.connect().map_err(CallFailure::Over)?;
        let Some(mut client) = self.client.take() else { return Err(CallFailure::Over("no connection".into())) };
        match client.call(procedure, body, self.until) {
            Ok(body) => {
                self.client = Some(client);
                Ok(body)
            }
            Err(failure @ Failure::Refused(_)) => {
                self.client = Some(client);
                Err(CallFailure::Refused(failure))
            }
            Err(Failure::TimedOut(_)) => {
                // Who takes no new connection is stopped as a whole: it has lost nothing, and nothing is to be had.
                drop(client);
                self.connect().map_err(CallFailure::Over)?;
                self.lost += 1;
                Err(CallFailure::Lost)
            }
            Err(Failure::Gone(error)) => Err(CallFailure::Over(format!("{error:#}"))),
        }
    }

    /// Makes a call that may be lost; `lost` notes that it was. It is written down as lost before it is made.
    fn risk(&mut self, procedure: Procedure, body: &[u8], lost: impl Fn(&mut Memory)) -> Result<Vec<u8>, CallFailure> {
        self.fear(&lost)?;
        let answer = self.call(procedure, body);
        if matches!(answer, Err(CallFailure::Lost)) {
            lost(self.memory);
        }
        answer
    }

    /// Writes down what is remembered if calls are lost.
    fn fear(&mut self, lost: impl Fn(&mut Memory)) -> Result<(), CallFailure> {
        // A new libvirtd owes nothing.
        self.connect().map_err(CallFailure::Over)?;
        let mut feared = self.memory.clone();
        lost(&mut feared);
        (self.keep)(&feared).map_err(|error| {
            CallFailure::Over(format!(
                "{error:#}; a call that hangs must be remembered, so libvirtd is asked for nothing more"
            ))
        })
    }

    /// Asks for the list of domains; returns whether it came. Without it the last one serves.
    fn list(&mut self) -> Result<bool, String> {
        if !self.memory.may_list(self.now) || !self.memory.may_meet_a_lock(self.lost) {
            return Ok(false);
        }
        let now = self.now;
        match self.risk(Procedure::List, &message::list(), |memory| memory.list_lost(now)) {
            Ok(body) => {
                let mut domains = message::read_list(&body).map_err(|error| format!("list of domains: {error:#}"))?;
                // The order is random; runs must not differ by it.
                domains.sort_by_key(|domain| domain.uuid);
                self.memory.listed(&domains);
                Ok(true)
            }
            Err(CallFailure::Lost) => Ok(false),
            Err(CallFailure::Refused(failure)) => Err(format!("list of domains: {failure}")),
            Err(CallFailure::Over(why)) => Err(why),
        }
    }

    /// Asks for counters of domains; returns whether the answer came. `lost` notes that it did not.
    fn stats(&mut self, list: &[&DomainRef], groups: Groups, lost: impl Fn(&mut Memory)) -> Result<bool, String> {
        if list.is_empty() {
            return Ok(true);
        }
        let begin = self.began.elapsed();
        let body = match self.risk(Procedure::Stats, &message::stats(list, groups), lost) {
            Ok(body) => body,
            Err(CallFailure::Lost) => return Ok(false),
            Err(CallFailure::Refused(failure)) => return Err(format!("counters: {failure}")),
            Err(CallFailure::Over(why)) => return Err(why),
        };
        // libvirtd reads one domain after another. In the middle of a long call no time is wrong by more than half of it.
        let at = (begin + self.began.elapsed()) / 2;
        let domains = parse(&body, at, list.len()).map_err(|error| format!("counters: {error:#}"))?;
        let asked: BTreeSet<_> = list.iter().map(|domain| domain.uuid).collect();
        for domain in domains.into_iter().filter(|domain| asked.contains(&domain.of.uuid)) {
            let is_partial = domain.stats.is_passed_by();
            match (groups, is_partial) {
                (_, false) => self.memory.answered(&domain.of),
                (Groups::All, true) => self.memory.passed_by(&domain.of),
                (Groups::Quiet, true) => {}
            }
            let is_better = self.domains.get(&domain.of.uuid).is_none_or(|known| known.stats.is_passed_by());
            if is_better {
                self.domains.insert(domain.of.uuid, domain);
            }
        }
        self.asked.extend(asked);
        Ok(true)
    }

    /// Asks for all counters of domains in one call; returns whether the answer came.
    fn bulk(&mut self, list: &[&DomainRef]) -> Result<bool, String> {
        if !self.may_ask(list, FOR_TRUSTED) {
            return Ok(false);
        }
        self.stats(list, Groups::All, |memory| memory.lost(list))
    }

    /// Whether a call for all counters of these domains may be made. One that holds up a call already is passed by, so that a
    /// list of them can hang at a lock alone.
    fn may_ask(&self, list: &[&DomainRef], spare: usize) -> bool {
        if list.iter().all(|domain| self.memory.held.contains_key(&domain.uuid)) {
            return self.memory.may_meet_a_lock(self.lost);
        }
        self.memory.budget(self.lost, spare) > 0
    }

    /// Asks for the counters of domains of which some hang.
    fn explore(&mut self, open: &[&DomainRef]) -> Result<(), String> {
        let mut before = Vec::new();
        for list in open.chunks(LIST) {
            if !self.quiet(list)? {
                return Ok(());
            }
            before.extend(list.iter().map(|domain| self.sent(domain)));
        }
        if open.is_empty() {
            return Ok(());
        }
        sleep(SIGN_OF_LIFE.min(self.until.saturating_duration_since(Instant::now())));
        for list in open.chunks(LIST) {
            if !self.quiet(list)? {
                return Ok(());
            }
        }
        let (alive, rest): (Vec<_>, Vec<_>) =
            open.iter().zip(before).partition(|(one, before)| self.sent(one) > *before);
        let alive: Vec<_> = alive.into_iter().map(|(one, _)| *one).collect();
        for list in alive.chunks(LIST) {
            if self.may_ask(list, FOR_ALIVE) {
                self.stats(list, Groups::All, |memory| memory.lost(list))?;
            }
        }
        for (one, _) in rest {
            let is_told = self.domains.get(&one.uuid).is_some_and(|told| !told.stats.is_passed_by());
            if !is_told && self.may_ask(&[one], FOR_UNSURE) {
                self.stats(&[one], Groups::All, |memory| memory.lost(&[one]))?;
            }
        }
        Ok(())
    }

    /// Returns the packets that a domain's guest has sent.
    fn sent(&self, domain: &DomainRef) -> Option<u64> {
        self.domains.get(&domain.uuid).map(|told| told.stats.sent())
    }

    /// Asks for what never asks QEMU; returns whether the answer came.
    fn quiet(&mut self, list: &[&DomainRef]) -> Result<bool, String> {
        if !self.memory.may_meet_a_lock(self.lost) {
            return Ok(false);
        }
        self.stats(list, Groups::Quiet, |memory| memory.locked_up(list))
    }

    /// Asks for the domains of the last list, while the lock of one of them holds up every list: first those that no lost call
    /// was for.
    fn around_the_lock(&mut self) -> Result<(), String> {
        let all: Vec<DomainRef> = self.memory.domains.iter().map(|known| known.of.clone()).collect();
        let mut parts = std::mem::take(&mut self.memory.locked);
        let is_trusted = |domain: &&DomainRef| {
            !self.memory.unsure.contains_key(&domain.uuid)
                && !parts.iter().any(|part| part.domains.contains(&domain.uuid))
        };
        let trusted: Vec<_> = all.iter().filter(is_trusted).collect();
        for list in trusted.chunks(LIST) {
            self.part(list, false, 0)?;
        }
        parts.sort_by_key(|part| part.is_certain);
        for part in parts {
            let list: Vec<_> = all.iter().filter(|domain| part.domains.contains(&domain.uuid)).collect();
            self.part(&list, part.is_certain, 1)?;
        }
        Ok(())
    }

    /// Asks for domains of which one may hold a lock, or surely does (`is_certain`); halves them to find it. Notes what it
    /// cannot find out without losing one call more.
    fn part(&mut self, list: &[&DomainRef], is_certain: bool, spare: usize) -> Result<(), String> {
        if list.is_empty() {
            return Ok(());
        }
        let is_alone = is_certain && list.len() == 1;
        if is_alone || self.memory.budget(self.lost, spare) == 0 {
            self.memory.suspect(list, is_certain);
            return Ok(());
        }
        if !is_certain {
            if self.stats(list, Groups::All, |memory| memory.locked_up(list))? {
                return Ok(());
            }
            return self.part(list, true, spare);
        }
        let (first, second) = list.split_at(list.len() / 2);
        if self.stats(first, Groups::All, |memory| memory.locked_up(first))? {
            return self.part(second, true, spare);
        }
        self.part(first, true, spare)?;
        self.part(second, false, spare)
    }

    /// Asks for nova's metadata, of new domains and of some others. One that is refused costs the others nothing.
    fn metadata(&mut self) -> Result<(), String> {
        let turn = self.now.div_euclid(300).rem_euclid(METADATA_EVERY);
        let is_due = |known: &Known| known.nova.is_none() || i64::from(known.of.uuid.0[15]) % METADATA_EVERY == turn;
        let all = self.memory.domains.iter().enumerate();
        let told = all.filter(|(_, known)| is_due(known) && self.domains.contains_key(&known.of.uuid));
        let due: Vec<_> = told.map(|(at, known)| (at, known.of.clone())).collect();
        let may_ask = |queries: &Self| queries.lost < MOST_LOST && queries.memory.outstanding() < MOST_OUTSTANDING;
        if due.is_empty() || !may_ask(self) {
            return Ok(());
        }
        // Written down once for all of them: there are many, and the first that is lost ends them.
        self.fear(|memory| memory.stuck += 1).map_err(CallFailure::why)?;
        let mut refused = Vec::new();
        for (at, of) in due {
            match self.nova(&of) {
                Ok(Some(nova)) => self.memory.domains[at].nova = Some(nova),
                Ok(None) => {}
                Err(CallFailure::Refused(failure)) => refused.push(format!("metadata of {}: {failure}", of.name)),
                Err(CallFailure::Lost) => {
                    self.memory.locked_up(&[&of]);
                    return Err(format!("metadata of {} did not come", of.name));
                }
                Err(CallFailure::Over(why)) => return Err(why),
            }
        }
        if let Some(first) = refused.first() {
            let more = if refused.len() > 1 { format!("; and {} more", refused.len() - 1) } else { String::new() };
            let message = format!("{first}{more}; they have no project and flavor, or those of before");
            self.problems.push(Problem::of_source("libvirt metadata", message));
        }
        Ok(())
    }

    /// Asks for the metadata of one domain. `None` if it is unknown now.
    fn nova(&mut self, of: &DomainRef) -> Result<Option<Option<Nova>>, CallFailure> {
        for namespace in NAMESPACES {
            match self.call(Procedure::Metadata, &message::metadata(of, namespace)) {
                Ok(body) => {
                    let read = message::read_metadata(&body).and_then(|xml| nova::parse(&xml));
                    return Ok(match read {
                        Ok(nova) => Some(Some(nova)),
                        Err(error) => {
                            let message = format!("{error:#}; it has no project and flavor");
                            self.problems.push(Problem::of_source(format!("instance {}", of.name), message));
                            Some(None)
                        }
                    });
                }
                Err(CallFailure::Refused(Failure::Refused(refusal))) if refusal.code == NO_METADATA => {}
                Err(CallFailure::Refused(Failure::Refused(refusal))) if refusal.code == NO_DOMAIN => return Ok(None),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(Some(None))
    }
}
