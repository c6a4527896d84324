//! Access to the operating system: child processes, HTTP, names of hosts, files, the uptime.

pub mod command;
pub mod files;
pub mod http;
pub mod names;
pub mod uptime;
