//! Composes collect-instances: asks libvirtd, makes rates of what it tells, and remembers its counters.

use super::Config;
use crate::frame::Run;
use crate::model::{Collected, SECOND};
use crate::monitors::instances::{Bases, InstancesInput, Moment, points};
use crate::os::files::host_name;
use crate::os::uptime::Uptime;
use crate::sources::libvirt::{self, Memory};

/// The program.
pub const PROGRAM: &str = "collect-instances";

/// The names under which is remembered what libvirtd still owes an answer, and the counters of the last run.
const MEMORY: &str = "libvirt";
const COUNTERS: &str = "counters";

/// Asks libvirtd, and returns the points.
pub fn collect(run: &Run<Config>) -> Collected {
    let mut memory: Memory = run.recall(MEMORY);
    let mut bases: Bases = run.recall(COUNTERS);
    let running = (!run.is_replayed()).then(Uptime::nanoseconds);
    let began = Moment { wall: run.now.saturating_mul(SECOND), running };
    let asked = run.ask("libvirt", || libvirt::collect(&run.config.libvirt, &mut memory, run.now, run.until));
    // Also of a run that was not answered: what it lost is lost.
    run.remember(MEMORY, &memory);
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
