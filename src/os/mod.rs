//! Access to the operating system: child processes, HTTP, files, the host's name, the uptime.

pub mod command;
pub mod files;
pub mod http;
pub mod uptime;
