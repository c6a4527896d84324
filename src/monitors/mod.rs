//! What is monitored, a folder each, with its pages.

pub mod grid;

use crate::view::page::Page;

/// The pages, in their order: those that are declared, then one for each measurement that none of them shows.
pub fn pages() -> Vec<Page> {
    Page::all(&[&grid::page::GRIDS], crate::measurements())
}
