//! config.cfg: read strictly, so that a slip of the pen is an error with its line and never a silent default.
//!
//! The file is INI. rust-ini reads the values; it passes over repeated sections, lets a line without `=` swallow the
//! next one and knows no line numbers, so every line is looked at here first. A value may be `${NAME}`, taken from the
//! environment, or `file:/path`, taken from that file.

mod ini;
mod section;

pub use self::ini::Sections;
pub use self::section::{Secret, Section};
