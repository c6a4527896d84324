//! The frame of every program: flags, clock, lock, deadline, delivery, what is printed and when, exit code, report.

pub mod args;
pub mod clock;
mod committer;
mod compare;
pub mod cron;
pub mod daemon;
pub mod downsample;
mod dry_run;
pub mod fan_in;
mod gather;
mod ledger;
mod listing;
pub mod log;
pub mod mail;
#[cfg(feature = "manuals")]
pub mod manual;
mod outbox;
mod output;
pub mod own;
mod process;
mod publish;
pub mod report;
mod schedule;
pub mod service;
mod session;
pub mod state;
mod watchdog;
pub mod zero_fill;

pub use self::args::{Common, Format};
pub use self::committer::{Bounds, Busy, Committed, Committer, Done};
pub use self::compare::{ByRule, Compare, Older, Wanted, compared, cron_compare, is_address, is_there, print_compared};
pub use self::cron::{Published, Run, cron, cron_last, cron_then};
pub use self::daemon::{Daemon, Files, Order, Ready};
pub use self::downsample::{Downsampler, Folds};
pub use self::dry_run::show;
pub use self::fan_in::{Intake, Receiving, fan_in};
pub use self::gather::{FineClock, GatheredSensor, News, Plan, ReadSensor, Tick, gather};
pub use self::ledger::Ledger;
pub use self::listing::{CheckLine, document, list};
pub use self::outbox::{Fresh, Notes, Outbox, Sender};
pub use self::output::{complain, print, print_in_time};
#[cfg(feature = "manuals")]
pub use self::process::write_manual;
pub use self::process::{begin, exit_code, parse, start};
pub use self::service::{Clock, SystemClock, service};
pub use self::session::{DeclaredTables, Program, Session, Setup};
pub use self::watchdog::{FirstSignal, Told, Watchdog};
