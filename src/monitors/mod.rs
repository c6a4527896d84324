//! What is monitored, a folder each: its measurements, its arithmetic, its page.

pub mod backups;
pub mod grid;
pub mod instances;
pub mod nodes;
pub mod panda;
pub mod slurm;

use crate::events::Limit;

/// After how many intervals without a value the rules of every system call a collector silent.
pub const SILENT: Limit = Limit::new(
    "silent_intervals",
    "3",
    1e6,
    "intervals",
    "After how many intervals without a value a collector is silent; the interval is that of its own runs.",
);
