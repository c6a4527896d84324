//! `gridmon-status`: what waits, what ran and what fails; what an operator does by hand with spool and store.

pub mod spool_commands;
pub mod status;
pub mod store;
