//! Real servers: HTCondor, Carbon, graphite-web, InfluxDB, MariaDB, libvirt, Slurm. Where one is not installed its tests say so and are skipped.

#![allow(clippy::unwrap_used)]

mod backup_contents;
mod backup_history;
mod backup_kills;
mod backup_mail;
mod carbon_moods;
#[cfg(feature = "dashboard")]
mod cloud_monitor;
mod grafana_graphite;
mod graphite_times;
mod htcondor_ads;
mod influxdb;
mod libvirt;
mod mail;
mod node_sensors;
mod pools;
mod queue_table;
mod real_servers;
mod receivers;
mod s3;
mod secrets;
mod slurm;
mod ssh_hosts;
