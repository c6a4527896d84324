//! Access to the operating system: child processes, HTTP, host names, files.

pub mod command;
pub mod files;
pub mod http;
pub mod names;
