//! Reads config.cfg strictly: a typing error is an error with its line, never a silent default.
//!
//! This module knows no section. The owner of a section declares it as data, a [`Section`], and reads its [`Values`];
//! setup/ lists all sections. The checks, defaults, hints, config.cfg.example and docs/configuration.md all come from
//! these declarations.
//!
//! The file is INI. rust-ini reads the values. It accepts repeated sections, joins a line without `=` to the next one
//! and knows no line numbers, so this module first checks each line. A value may be `${NAME}`, taken from the
//! environment, or `file:/path`, taken from that file. The configs of QULo's programs are read by the rules of Python's
//! configparser instead.

mod document;
mod file;
mod ini;
mod kind;
mod python;
mod section;
mod values;

pub use self::document::{documentation, example};
pub use self::file::{SEARCHED, is_closed, open, open_among, trusted, trusted_lossily};
pub use self::ini::{Dialect, Sections};
pub use self::kind::Kind;
pub use self::section::{FreeKeys, Key, Section, Unset};
pub use self::values::{Program, Secret, Values};

#[cfg(test)]
mod tests;
