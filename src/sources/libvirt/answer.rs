//! What libvirtd told, and what is missing, in words.

use std::collections::BTreeMap;

use super::ask::Queries;
use super::domain::Domain;
use super::memory::Known;
use super::message::Uuid;
use super::nova::Nova;
use crate::problem::Problem;
use crate::text::count;

/// The answer of libvirtd.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The domains that answered, sorted by UUID. Those whose QEMU did not have fewer counters.
    pub domains: Vec<Domain>,
    /// How many domains there are, those that went meanwhile not counted; by the last list if none came.
    pub known: usize,
    /// Those of them that exist and were not asked.
    pub unasked: Vec<Uuid>,
    /// How many of them did not tell everything, but for those that a job of libvirt has held for less than 15 min.
    pub unanswered: usize,
    /// Whether each domain told everything.
    pub is_whole: bool,
}

impl Queries<'_> {
    /// Returns what was told, and what is missing.
    pub(super) fn answer(mut self, ended: Option<String>) -> (Option<Answer>, Vec<Problem>) {
        let unasked: Vec<_> = self.memory.domains.iter().filter(|known| !self.asked.contains(&known.of.uuid)).collect();
        if let Some(why) = &ended {
            let missing = match (self.domains.len(), unasked.len()) {
                (0, _) => "no instance has points in this run".to_string(),
                (_, 0) => "the rest was told".to_string(),
                (_, left) => format!("{} no points in this run", have(left)),
            };
            let problem = Problem::of_source("libvirt", format!("{why}; {missing}"));
            // Of those that were not asked nobody knows whether they work again.
            self.problems.insert(0, problem.asked_of("libvirt", !unasked.is_empty()));
        } else {
            self.problems.extend(unasked.iter().map(|known| unasked_problem(known)));
        }
        let is_unlisted = self.memory.lists > 0;
        let is_unknown = is_unlisted && self.memory.domains.is_empty();
        if is_unlisted {
            let instead = if is_unknown {
                "no earlier list is known, so no instance has points in this run"
            } else {
                "the last run's list serves"
            };
            let message = format!(
                "the list of domains does not come: libvirtd waits for the lock of a domain, perhaps one on a storage that hangs; {instead}"
            );
            self.problems.insert(0, Problem::of_source("libvirt list", message));
        }
        let outstanding = self.memory.outstanding();
        if self.memory.budget(0, 0) == 0 {
            let message = format!(
                "{} to libvirtd still wait for an answer, and more would block it for others; instances have state and network alone until the hung ones move, are destroyed, or libvirtd is restarted",
                count(outstanding, "call")
            );
            self.problems.push(Problem::of_source("libvirt calls", message));
        }
        let passed_by: Vec<_> = self.domains.values().filter(|domain| domain.stats.is_passed_by()).collect();
        let unasked: Vec<_> = unasked.iter().map(|known| known.of.uuid).collect();
        let mut unanswered = unasked.len();
        let busy = std::mem::take(&mut self.memory.busy);
        for domain in &passed_by {
            let of = &domain.of;
            let (is_held, is_unsure) =
                (self.memory.held.contains_key(&of.uuid), self.memory.unsure.contains_key(&of.uuid));
            let since = busy.get(&of.uuid).filter(|(id, _)| *id == of.id).map_or(self.now, |(_, since)| *since);
            self.memory.busy.insert(of.uuid, (of.id, since));
            if let Some(message) = why_passed_by(is_held, is_unsure, self.now - since) {
                unanswered += 1;
                self.problems.push(Problem::of_source(format!("instance {} ({})", of.uuid, of.name), message));
            }
        }
        if is_unknown || ended.is_some() && self.domains.is_empty() {
            return (None, self.problems);
        }
        let is_whole = ended.is_none() && passed_by.is_empty() && unasked.is_empty() && !is_unlisted;
        let known = self.domains.len() + unasked.len();
        let mut novas: BTreeMap<_, _> =
            self.memory.domains.iter().map(|known| (known.of.uuid, known.nova.clone().flatten())).collect();
        let with_nova = |domain| Domain { nova: nova_of(&mut novas, &domain), ..domain };
        let domains = self.domains.into_values().map(with_nova).collect();
        (Some(Answer { domains, known, unasked, unanswered, is_whole }), self.problems)
    }
}

fn nova_of(novas: &mut BTreeMap<Uuid, Option<Nova>>, domain: &Domain) -> Option<Nova> {
    novas.remove(&domain.of.uuid).flatten()
}

fn have(instances: usize) -> String {
    format!("{} {}", count(instances, "instance"), if instances == 1 { "has" } else { "have" })
}

fn unasked_problem(known: &Known) -> Problem {
    let message = "was not asked: a call for it could hang; it has no points in this run";
    Problem::of_source(format!("instance {} ({})", known.of.uuid, known.of.name), message)
}

/// How long a job of libvirt, such as a migration, is nothing to speak of, in seconds.
const BUSY: i64 = 900;

/// Returns what is said of a domain that libvirtd passed by for so many seconds: a call of ours hangs at it, or may have.
fn why_passed_by(is_held: bool, is_unsure: bool, seconds: i64) -> Option<&'static str> {
    match (is_held, is_unsure) {
        (true, _) => Some(
            "its QEMU does not answer; its disks and memory, perhaps its processors, are missing until it moves: look at its storage, or destroy it",
        ),
        (false, true) => Some(
            "its QEMU may hang: it gave no sign of life since a call was lost, and no more calls are risked; it has state and network alone until then",
        ),
        (false, false) if seconds >= BUSY => Some(
            "libvirt passes it by: a job (migration, backup, snapshot) or a hung QEMU holds it since more than 15 min; CPU, memory and disks are missing",
        ),
        (false, false) => None,
    }
}
