//! The programs from end to end, as cron and a person start them, with stand-ins for what they call.

#![allow(clippy::unwrap_used)]

mod bounds;
mod clocks;
#[cfg(feature = "dashboard")]
mod cloud_monitor;
mod collect_grid;
#[cfg(feature = "demo")]
mod demo;
mod golden;
mod gridmon_status;
mod gridmon_store;
#[cfg(feature = "dashboard")]
mod intervals;
mod labels;
mod pages;
mod state;
