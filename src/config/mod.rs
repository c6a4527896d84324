//! config.cfg: one strict file, in which a typing error is an error with its line and never a silent default.
//!
//! This room knows no section. The owner of a section declares it as data, a [`Section`], and reads its [`Values`];
//! setup/ lists all sections. From the same declarations come the checks, the defaults, the hints, config.cfg.example and
//! docs/configuration.md.
//!
//! The file is INI. rust-ini reads the values; it passes over repeated sections, lets a line without `=` swallow the
//! next one and knows no line numbers, so this room looks at each line first. A value may be `${NAME}`, taken from the
//! environment, or `file:/path`, taken from that file.

mod document;
mod file;
mod ini;
mod kind;
mod section;
mod values;

pub use self::document::{documentation, example};
pub use self::file::{SEARCHED, open};
pub use self::ini::Sections;
pub use self::kind::Kind;
pub use self::section::{FreeKeys, Key, Section, Unset};
pub use self::values::{Secret, Values};

#[cfg(test)]
mod tests;
