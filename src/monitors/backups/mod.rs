//! Backups: what should lie on which node, what does, and what is wrong with it.

pub mod alarms;
mod arithmetic;
pub mod chart;
pub mod config;
pub mod content;
pub mod gather;
pub mod hub;
pub mod kept;
mod measurements;
pub mod memory;
pub mod name;
pub mod node;
pub mod originals;
pub mod page;
pub mod pattern;
pub mod report;
pub mod rules;
pub mod scm_backup;
pub mod seal;
pub mod site;
mod template;
pub mod verdict;
pub mod weekly;
pub mod zone;

pub use self::arithmetic::points;
pub use self::config::Config;
pub use self::measurements::{BACKUP_NODE, BACKUP_SET, MEASUREMENTS};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
