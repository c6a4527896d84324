//! Slurm: nodes, processors, memory, GPUs, partitions, jobs and the scheduler of a cluster. Pure.

mod arithmetic;
mod bounded;
mod measurements;
pub mod page;
pub mod rules;
#[cfg(test)]
mod tests;

pub use self::arithmetic::{SlurmInput, points};
pub use self::bounded::{OTHER, Shown};
pub use self::measurements::{
    MEASUREMENTS, SLURM, SLURM_ACCOUNT_JOBS, SLURM_CPUS, SLURM_FLAGS, SLURM_GPUS, SLURM_JOBS, SLURM_MEMORY, SLURM_NODE,
    SLURM_NODES, SLURM_PARTITION, SLURM_PARTITION_JOBS, SLURM_SCHEDULER,
};
