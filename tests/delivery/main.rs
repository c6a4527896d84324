//! Delivery: nothing that was published is lost, nothing is invented, whatever fails in between.

#![allow(clippy::unwrap_used)]

mod engine;
mod fan_in_model;
mod faults;
mod gather;
mod kills;
mod outage;
mod service;
mod soak;
mod spool_model;
