//! Access to the operating system: child processes, threads, HTTP, files, the host's name, the uptime.

pub mod command;
pub mod files;
pub mod guard;
pub mod http;
pub mod uptime;
pub mod work;
