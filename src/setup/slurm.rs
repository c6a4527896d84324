//! Composes collect-slurm: asks Slurm, and remembers when the jobs were asked for and which names are counted apart.

use super::Config;
use crate::frame::Run;
use crate::model::{Collected, SECOND};
use crate::monitors::slurm::{Shown, SlurmInput, points};
use crate::sources::slurm::{self, Memory};

/// The program.
pub const PROGRAM: &str = "collect-slurm";

/// The names under which is remembered what the source knows, and which accounts and partitions are counted apart.
const MEMORY: &str = "slurm";
const SHOWN: &str = "shown";

/// Asks Slurm, and returns the points. A cluster whose name nobody knows yet has none.
pub fn collect(run: &Run<Config>) -> Collected {
    let config = &run.config.slurm;
    let mut memory: Memory = run.recall(MEMORY);
    let asked = run.ask("slurm", || {
        let (answer, problems) = slurm::collect(config, &mut memory, run.time / SECOND, run.until);
        (Some(answer), problems)
    });
    // Also of a run that was not answered: the question for the jobs has cost its time.
    run.remember(MEMORY, &memory);
    let Some(answer) = asked.answer() else { return Collected::default() };
    let Some(cluster) = &answer.cluster else { return Collected::default() };
    let mut shown: Shown = run.recall(SHOWN);
    let input = SlurmInput::new(config, cluster, run.time, &answer);
    let collected = points(&input, &mut shown);
    if answer.jobs.is_some() {
        run.remember(SHOWN, &shown);
    }
    collected
}
