//! gridmon: collectors for grids, clouds and clusters, one small program per job, each started by cron.
//!
//! ```text
//! source ──records──▶ arithmetic ──points──▶ delivery ──▶ sink(s)
//!  (IO)                 (pure)                              (IO)
//! ```
//!
//! What is where: ARCHITECTURE.md. What never breaks:
//!
//! 1. Sources never know a sink, sinks never know a source; arithmetic does no IO and reads no clock. The clock is read
//!    once per run (or given by `--now`) and handed down.
//! 2. A failed source yields no points, never zeros, and its heartbeat says 0. A total is sent only when every part of it
//!    answered.
//! 3. Unknown states, missing attributes and odd names are counted and kept, never fatal.
//! 4. Every point is accounted for, per sink and for the run's own points: collected = delivered + spooled + dropped by
//!    name. Backlog is reported apart.
//! 5. Output order is deterministic, so that every output can be a golden file.
//! 6. Running the same slot twice writes the same rows.
//! 7. A program with its sources or sinks down, hung, slow or lying ends before its deadline, exits 1 and says what is
//!    missing. It never hangs, never overlaps itself, never loses what it accepted.
//! 8. No secret in a URL, a command line, a log, an error, `--dry-run` or a `Debug` print. TLS is verified unless the
//!    config says otherwise in so many words.
//! 9. Imports point down the floors of the house; a test holds it.

pub mod config;
pub mod dashboard;
pub mod delivery;
pub mod events;
pub mod frame;
pub mod listener;
pub mod model;
pub mod monitors;
pub mod operator;
pub mod os;
pub mod problem;
pub mod query;
pub mod rollup;
pub mod setup;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod text;
pub mod view;
