//! `gridmon-status`: shows the backlog, the last runs and the failures; the operator's commands for spool and store.

#[cfg(feature = "qmaster")]
pub mod agents;
mod backups;
mod crontab;
mod doctor;
pub mod downsample;
mod explain;
pub mod flags;
mod graph;
mod machine;
mod meaning;
mod problems;
mod rolled;
pub mod sensors;
mod sheet;
pub mod spool_commands;
pub mod status;
pub mod store;
