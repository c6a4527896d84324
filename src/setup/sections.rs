//! All sections of config.cfg, and the programs that use them.

use anyhow::Result;

use super::{grid, rules};
use crate::config::{Section, Sections};
use crate::frame::{downsample, log, mail, state};
use crate::monitors::backups::config as backups;
use crate::monitors::nodes;
use crate::sinks::embedded;
use crate::sinks::graphite::{carbon, render};
use crate::sinks::{credentials, influxdb, mysql, qmaster, rrd, s3};
use crate::sources::{cloud_scheduler, cric, elastic, htcondor, libvirt, panda, slurm};
use crate::{dashboard, spool};

/// Every section, in the order of config.cfg.example. Declarations are data without dependencies, so a build accepts
/// every valid file, whatever its features.
pub const SECTIONS: &[&Section] = &joined::<COUNT>(&[BEFORE, nodes::SECTIONS, AFTER]);

const COUNT: usize = BEFORE.len() + nodes::SECTIONS.len() + AFTER.len();

/// Those of the programs that cron starts.
const BEFORE: &[&Section] = &[
    &grid::SECTION,
    &htcondor::SECTION,
    &cloud_scheduler::SECTION,
    &htcondor::rules::SECTION,
    &panda::SECTION,
    &cric::SECTION,
    &elastic::GRAFANA,
    &elastic::ELASTICSEARCH,
    &backups::SECTION,
    &backups::HUB,
    &backups::SET,
    &backups::NODE,
    &libvirt::SECTION,
    &slurm::SECTION,
];

/// Those of sinks, stores and the frame.
const AFTER: &[&Section] = &[
    &carbon::SECTION,
    &render::SECTION,
    &influxdb::config::SECTION,
    &qmaster::config::SECTION,
    &mysql::config::SECTION,
    &rrd::config::SECTION,
    &s3::config::SECTION,
    &credentials::SECTION,
    &dashboard::config::SECTION,
    &rules::SECTION,
    &embedded::SECTION,
    &downsample::SECTION,
    &spool::SECTION,
    &state::SECTION,
    &log::SECTION,
    &mail::SECTION,
    &mail::CREDENTIALS,
];

/// Puts lists of sections together.
pub(super) const fn joined<const N: usize>(parts: &[&[&'static Section]]) -> [&'static Section; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut member = 0;
        while member < parts[part].len() {
            all[at] = parts[part][member];
            (member, at) = (member + 1, at + 1);
        }
        part += 1;
    }
    assert!(at == N, "a list has another length");
    all
}

/// Every program, with the sections that it uses, in groups.
pub const READERS: &[(&str, &[&[&Section]])] = &[
    (
        "collect-grid",
        &[&[&grid::SECTION, &htcondor::SECTION, &cloud_scheduler::SECTION, &htcondor::rules::SECTION], DELIVERY, MAIL],
    ),
    (
        "collect-backups",
        &[&[&grid::SECTION, &backups::SECTION, &backups::HUB, &backups::SET, &backups::NODE], DELIVERY, MAIL],
    ),
    ("collect-instances", &[&[&grid::SECTION, &libvirt::SECTION], DELIVERY, FILES, GRAPHS, MAIL]),
    ("qagent", &[&[&grid::SECTION], nodes::SECTIONS, &[&log::SECTION], DELIVERY, MAIL]),
    ("collect-slurm", &[&[&grid::SECTION, &slurm::SECTION], DELIVERY, MAIL]),
    ("collect-panda", &[&[&grid::SECTION, &panda::SECTION], QUEUES, DELIVERY, TABLES, MAIL]),
    ("write-datadisk", &[&[&grid::SECTION, &panda::SECTION], QUEUES, DELIVERY, TABLES, MAIL]),
    ("downsample-1h", &[&[&grid::SECTION, &panda::SECTION, &downsample::SECTION], DELIVERY, MAIL]),
    ("downsample-1d", &[&[&grid::SECTION, &panda::SECTION, &downsample::SECTION], DELIVERY, MAIL]),
    (
        "cloud-monitor",
        &[
            &[&render::SECTION, &dashboard::config::SECTION, &rules::SECTION, &state::SECTION, &panda::SECTION],
            STORES,
            TABLES,
        ],
    ),
    ("qmaster", &[&[&grid::SECTION, &log::SECTION], DELIVERY, MAIL]),
    (
        "gridmon-status",
        &[&[&grid::SECTION, &dashboard::config::SECTION, &rules::SECTION, &panda::SECTION], DELIVERY, FILES, TABLES],
    ),
];

/// The programs that cron or a timer starts for each run.
pub const COLLECTORS: [&str; 8] = [
    "collect-backups",
    "collect-grid",
    "collect-instances",
    "collect-panda",
    "collect-slurm",
    "downsample-1d",
    "downsample-1h",
    "write-datadisk",
];

/// What every program that sends points uses: the sinks, the spool and the state directory.
const DELIVERY: &[&Section] = &[
    &carbon::SECTION,
    &render::SECTION,
    &influxdb::config::SECTION,
    &qmaster::config::SECTION,
    &credentials::SECTION,
    &embedded::SECTION,
    &spool::SECTION,
    &state::SECTION,
];

/// The stores that a program reads from.
const STORES: &[&Section] = &[&influxdb::config::SECTION, &credentials::SECTION, &embedded::SECTION];

/// Where tables are kept, if not in the embedded store.
const TABLES: &[&Section] = &[&mysql::config::SECTION];

/// Files of what declares them.
const FILES: &[&Section] = &[&rrd::config::SECTION];

/// Where their graphs go.
const GRAPHS: &[&Section] = &[&s3::config::SECTION];

/// Where the description of PanDA's queues comes from.
const QUEUES: &[&Section] = &[&cric::SECTION, &elastic::GRAFANA, &elastic::ELASTICSEARCH];

/// What every cron program and service uses to tell of lasting failures.
const MAIL: &[&Section] = &[&mail::SECTION, &mail::CREDENTIALS];

/// The timing of a program in the config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timing {
    /// The deadline of a run, in seconds; `None` for the program's default.
    pub deadline_seconds: Option<u64>,
    /// The interval between two runs, in seconds; `None` for the program's default.
    pub interval_seconds: Option<i64>,
}

/// Reads the deadline and interval of a program from the section that owns it.
///
/// # Errors
/// Fails if a value is not of its key's kind.
pub(super) fn timing(sections: &Sections, declared: &[&'static Section], program: &str) -> Result<Timing> {
    let Some(owner) = declared.iter().find(|section| section.programs.contains(&program)) else {
        return Ok(Timing::default());
    };
    let values = sections.values(owner);
    let seconds = |key| if owner.key(key).is_some() { values.number_if_given(key) } else { Ok(None) };
    Ok(Timing {
        deadline_seconds: seconds("deadline_seconds")?,
        interval_seconds: seconds("interval_seconds")?.and_then(|seconds| i64::try_from(seconds).ok()),
    })
}
