//! Graphite: written through Carbon, read through graphite-web.

pub mod carbon;
pub mod read;
pub mod receiver;
pub mod render;
