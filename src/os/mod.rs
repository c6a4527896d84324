//! Access to the operating system: child processes, HTTP, files, the host's name.

pub mod command;
pub mod files;
pub mod http;
