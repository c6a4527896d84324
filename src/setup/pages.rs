//! The pages of the dashboard.

use super::CATALOG;
use crate::monitors::panda::page::{DATADISK_PAGE, PANDA, SUSPICIOUS};
use crate::monitors::{backups, grid, instances, nodes, slurm};
use crate::view::page::Page;

/// Returns the pages in order: the declared ones, then one for each measurement that no declared page shows.
pub fn pages() -> Vec<Page> {
    Page::all(
        &[
            &grid::page::GRIDS,
            &PANDA,
            &SUSPICIOUS,
            &DATADISK_PAGE,
            &nodes::page::NODES_PAGE,
            &nodes::page::NODE_PAGE,
            &slurm::page::SLURM_PAGE,
            &backups::page::BACKUPS,
            &instances::page::INSTANCES_PAGE,
        ],
        CATALOG.measurements(),
    )
}
