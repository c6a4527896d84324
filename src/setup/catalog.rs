//! Every measurement of this build.

use crate::frame::{own, report};
use crate::model::{COVERAGE, Catalog, Measurement, SCOPE_COVERAGE};
use crate::monitors::panda::sums::MADE;
use crate::monitors::{backups, grid, instances, nodes, panda};

/// The measurements by the room that declares them, in the order of docs/measurements.md.
const GROUPS: &[&[&Measurement]] = &[
    &grid::MEASUREMENTS,
    &panda::MEASUREMENTS,
    &panda::DATADISK_MEASUREMENTS,
    &backups::MEASUREMENTS,
    &instances::MEASUREMENTS,
    nodes::MEASUREMENTS,
    &[&COVERAGE, &SCOPE_COVERAGE, &report::RUN, &own::SERVICE, &own::SERVICE_SENSOR, &own::SERVICE_RECEIVED],
];

/// Every measurement of this build.
pub const CATALOG: Catalog = Catalog::new(&ALL);

const ALL: [&Measurement; count()] = {
    let mut all = [&COVERAGE; count()];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut member = 0;
        while member < GROUPS[group].len() {
            all[at] = GROUPS[group][member];
            (member, at) = (member + 1, at + 1);
        }
        group += 1;
    }
    all
};

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
        count += GROUPS[group].len();
        group += 1;
    }
    count
}
