//! The page in a real browser.

#![allow(clippy::unwrap_used)]

mod driver;
mod page;
mod proofs;
mod queues;
mod troubles;
