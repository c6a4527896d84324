//! Troubles and changes, found in stored values by declared rules: what is wrong now, and what happened. Pure over
//! [`query::Read`](crate::query::Read): the clock comes from outside, and nothing is written.
//!
//! A rule is data beside a measurement. [`Track`] makes the events of one series of its values, one by one, so that it
//! does not matter in which pieces they come; [`now()`] reads the newest value of each series and reads back only the few
//! that are in trouble; [`past()`] reads all of a range.

mod now;
mod past;
mod reading;
mod report;
mod rule;
mod track;

pub use self::now::{Entry, Known, Now, now};
pub use self::past::{MOST, MOST_VALUES, past, past_of};
pub use self::report::{Event, csv, lasted, nagios_text, write_json};
pub use self::rule::{Condition, Limit, Limits, Of, Rule, Rules, Severity, System, documentation};
pub use self::track::{Happened, Sample, Track};
pub use crate::text::{Shows, share};
