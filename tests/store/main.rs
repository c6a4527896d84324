//! The embedded store: what it holds, what becomes of it in every trouble, and the runs that write it.

#![allow(clippy::unwrap_used)]

mod embedded;
mod power_cuts;
mod rollup;
mod rrd;
mod runs;
mod scan;
