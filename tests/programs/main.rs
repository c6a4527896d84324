//! The programs from end to end, as cron and a person start them, with stand-ins for what they call.

#![allow(clippy::unwrap_used)]

mod book;
mod bounds;
mod clocks;
#[cfg(feature = "dashboard")]
mod cloud_monitor;
mod collect_backups;
mod collect_grid;
mod collect_instances;
mod collect_panda;
mod collect_slurm;
mod compare;
#[cfg(feature = "demo")]
mod demo;
mod downsample;
mod golden;
mod gpu;
mod gridmon_status;
mod gridmon_store;
#[cfg(feature = "dashboard")]
mod intervals;
mod labels;
#[cfg(feature = "manuals")]
mod manual;
mod packages;
#[cfg(feature = "dashboard")]
mod pages;
mod qagent;
#[cfg(feature = "qmaster")]
mod qmaster;
mod sensors;
mod state;
mod tls;
mod write_datadisk;

/// Limits of a spool that no test reaches.
const SPOOL: gridmon::spool::Config = gridmon::spool::Config {
    max_bytes: 1 << 30,
    max_age_days: 36_500,
    max_disk_percent: 100,
    replay_points_per_second: 1_000_000,
};

/// Lets this process open as many files as it may at all.
#[cfg(any(feature = "dashboard", feature = "qmaster"))]
fn open_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
