//! Every measurement of this build.

use crate::frame::report;
use crate::model::{COVERAGE, Catalog, Measurement, SCOPE_COVERAGE};
use crate::monitors::{backups, grid, panda};

/// The measurements by the room that declares them, in the order of docs/measurements.md.
const GROUPS: &[&[&Measurement]] = &[
    &grid::MEASUREMENTS,
    &panda::MEASUREMENTS,
    &panda::DATADISK_MEASUREMENTS,
    &backups::MEASUREMENTS,
    &[&COVERAGE, &SCOPE_COVERAGE, &report::RUN],
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

const fn count() -> usize {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
}
