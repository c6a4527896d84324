//! Every measurement of this build.

use crate::frame::{own, report};
use crate::model::{COVERAGE, Catalog, Measurement, SCOPE_COVERAGE};
use crate::monitors::panda::sums::MADE;
use crate::monitors::{backups, grid, instances, nodes, panda, slurm};

/// The programs that send measurements, what they ask for them, and the measurements.
type Group = (&'static str, &'static str, &'static [&'static Measurement]);

/// The measurements by the programs that send them, in the order of docs/measurements.md.
const GROUPS: &[Group] = &[
    ("collect-grid", "HTCondor (condor_status, condor_q) and Cloud Scheduler (cloud_status)", &grid::MEASUREMENTS),
    ("collect-panda", "PanDA's counts of jobs, CRIC, and the benchmarks in Elasticsearch", &panda::MEASUREMENTS),
    ("write-datadisk", "CRIC's datadisks, and the table that collect-panda writes", &panda::DATADISK_MEASUREMENTS),
    ("collect-backups", "the folders of backups on other machines, over ssh", &backups::MEASUREMENTS),
    ("collect-instances", "libvirtd of the host", &instances::MEASUREMENTS),
    ("qagent", "the node", nodes::MEASUREMENTS),
    ("every program with sources", "the program itself: what its run saw whole", &[&COVERAGE, &SCOPE_COVERAGE]),
    ("every program", "the program itself: its report of the run before", &[&report::RUN]),
    ("every service", "the service itself", &[&own::SERVICE]),
    ("qagent", "the service itself", &[&own::SERVICE_SENSOR]),
    ("qmaster", "the service itself, and what agents tell it", &[&own::SERVICE_RECEIVED, &nodes::agent::NODE_AGENT]),
];

/// Every measurement of this build.
pub const CATALOG: Catalog = Catalog::new(&ALL);

const ALL: [&Measurement; count()] = {
    let mut all = [&COVERAGE; count()];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut member = 0;
        while member < GROUPS[group].2.len() {
            all[at] = GROUPS[group].2[member];
            (member, at) = (member + 1, at + 1);
        }
        group += 1;
    }
    all
};

/// Returns the programs that send a measurement, for people.
pub fn senders(measurement: &Measurement) -> &'static str {
    if is_among(slurm::MEASUREMENTS.iter(), measurement) {
        return "collect-slurm, or qagent with [sensor:Slurm]";
    }
    group_of(measurement).map_or("the dashboard, which makes it of others", |(programs, ..)| programs)
}

/// Returns what the programs ask for a measurement, for people.
pub fn source(measurement: &Measurement) -> String {
    match nodes::SENSORS.iter().find(|sensor| is_among(sensor.measurements.iter(), measurement)) {
        Some(sensor) => format!("{}, by [sensor:{}]", sensor.source, sensor.name),
        None => group_of(measurement).map_or("other measurements", |(_, source, _)| source).into(),
    }
}

fn group_of(measurement: &Measurement) -> Option<&'static Group> {
    GROUPS.iter().find(|group| is_among(group.2.iter(), measurement))
}

fn is_among<'a>(mut all: impl Iterator<Item = &'a &'static Measurement>, measurement: &Measurement) -> bool {
    all.any(|one| one.name == measurement.name)
}

/// Every number that has a plot: those of [`CATALOG`], and those that pages make of them.
pub const PLOTTED: Catalog = Catalog::new(&WITH_MADE);

const WITH_MADE: [&Measurement; ALL.len() + MADE.len()] = {
    let mut all = [&COVERAGE; ALL.len() + MADE.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < ALL.len() { ALL[at] } else { MADE[at - ALL.len()] };
        at += 1;
    }
    all
};

const fn count() -> usize {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].2.len();
        group += 1;
    }
    count
}
