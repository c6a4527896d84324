//! Every measurement of this build.

use crate::frame::{own, report};
use crate::model::{COVERAGE, Catalog, Measurement, SCOPE_COVERAGE};
use crate::monitors::panda::sums::MADE;
use crate::monitors::{backups, grid, instances, nodes, panda};

/// The measurements by the programs that send them, in the order of docs/measurements.md.
const GROUPS: &[(&str, &[&Measurement])] = &[
    ("collect-grid", &grid::MEASUREMENTS),
    ("collect-panda", &panda::MEASUREMENTS),
    ("write-datadisk", &panda::DATADISK_MEASUREMENTS),
    ("collect-backups", &backups::MEASUREMENTS),
    ("collect-instances", &instances::MEASUREMENTS),
    ("qagent; of Slurm also collect-slurm", nodes::MEASUREMENTS),
    ("every program with sources", &[&COVERAGE, &SCOPE_COVERAGE]),
    ("every program", &[&report::RUN]),
    ("every service", &[&own::SERVICE]),
    ("qagent", &[&own::SERVICE_SENSOR]),
    ("qmaster", &[&own::SERVICE_RECEIVED, &nodes::agent::NODE_AGENT]),
];

/// Every measurement of this build.
pub const CATALOG: Catalog = Catalog::new(&ALL);

const ALL: [&Measurement; count()] = {
    let mut all = [&COVERAGE; count()];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut member = 0;
        while member < GROUPS[group].1.len() {
            all[at] = GROUPS[group].1[member];
            (member, at) = (member + 1, at + 1);
        }
        group += 1;
    }
    all
};

/// Returns the programs that send a measurement, for people.
pub fn senders(measurement: &Measurement) -> &'static str {
    let sends = |(_, sent): &&(_, &[&Measurement])| sent.iter().any(|one| one.name == measurement.name);
    GROUPS.iter().find(sends).map_or("the dashboard, which makes it of others", |(programs, _)| programs)
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
        count += GROUPS[group].1.len();
        group += 1;
    }
    count
}
