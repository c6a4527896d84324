//! The page in a real browser.

#![allow(clippy::unwrap_used)]

mod bars;
mod clicks;
mod driver;
mod finding;
mod keys;
mod long;
mod machines;
mod page;
mod pictures;
mod plot;
mod proofs;
mod queues;
mod systems;
mod troubles;
mod whole;
mod wide;
mod zoom;
