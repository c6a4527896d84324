//! What is monitored, a folder each: its measurements, its arithmetic, its page.

pub mod backups;
pub mod grid;
pub mod instances;
pub mod nodes;
pub mod panda;
pub mod slurm;
