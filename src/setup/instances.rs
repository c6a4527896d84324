//! Composes collect-instances: asks libvirtd, makes rates of what it tells, and remembers its counters.

use super::Config;
use crate::frame::Run;
use crate::model::{Collected, SECOND};
use crate::monitors::instances::{Bases, InstancesInput, Moment, points};
use crate::os::files::host_name;
use crate::os::uptime::Uptime;
use crate::problem::{Problem, Subject};
use crate::sources::libvirt::{self, Answer, Memory};

/// The program.
pub const PROGRAM: &str = "collect-instances";

/// The names under which is remembered what libvirtd still owes an answer, and the counters of the last run.
pub(super) const MEMORY: &str = "libvirt";
const COUNTERS: &str = "counters";

/// Asks libvirtd, and returns the points.
pub fn collect(run: &Run<Config>) -> Collected {
    let mut bases: Bases = run.recall(COUNTERS);
    let running = (!run.is_replayed()).then(Uptime::nanoseconds);
    let began = Moment { wall: run.now.saturating_mul(SECOND), running };
    let asked = run.ask("libvirt", || ask(run));
    let answer = asked.answer();
    let input = InstancesInput {
        grid: &run.config.grid.name,
        host: &host_name(),
        time: run.time,
        began,
        boot: &Uptime::now().boot,
        names: run.config.libvirt.names,
        answer: answer.as_ref(),
    };
    let collected = points(&input, &mut bases);
    if answer.is_some() {
        run.remember(COUNTERS, &bases);
    }
    collected
}

/// Asks libvirtd. What it owes an answer is remembered by every run, also by one that sends nothing or is killed: each such call
/// keeps one of its workers. A run that cannot remember asks for nothing.
fn ask(run: &Run<Config>) -> (Option<Answer>, Vec<Problem>) {
    let ledger = match run.ledger(MEMORY) {
        Ok(ledger) => ledger,
        Err(error) => {
            let message = format!(
                "{error:#}; a call that hangs must be remembered, so libvirtd was not asked, and no instance has points in this run"
            );
            return (None, vec![Problem::of_source("libvirt", message)]);
        }
    };
    let forgotten =
        |error: anyhow::Error, then: &str| Problem::new(Subject::Memory(MEMORY.into()), format!("{error:#}; {then}"));
    let mut problems = Vec::new();
    let mut memory = ledger.read::<Memory>().unwrap_or_else(|error| {
        problems.push(forgotten(error, "this run goes on without it"));
        Memory::default()
    });
    let keep = |memory: &Memory| ledger.write(memory);
    let (answer, told) = libvirt::collect(&run.config.libvirt, &mut memory, run.now, run.until, &keep);
    problems.extend(told);
    // Also of a run that was not answered: what it lost is lost.
    if let Err(error) = keep(&memory) {
        problems.push(forgotten(error, "the next run takes calls that were answered for lost ones"));
    }
    (answer, problems)
}
