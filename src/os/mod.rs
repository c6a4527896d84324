//! Access to the operating system: child processes, threads, HTTP, mail, names of hosts, files and their owners, processes, the uptime.

pub mod command;
pub mod files;
pub mod guard;
#[cfg(any(feature = "dashboard", feature = "qmaster"))]
pub mod guests;
#[cfg(any(feature = "dashboard", feature = "qmaster"))]
pub mod hosts;
pub mod http;
pub mod mail;
pub mod names;
pub mod owner;
#[cfg(any(feature = "dashboard", feature = "qmaster"))]
pub mod pace;
pub mod pid_file;
pub mod process;
pub mod tls;
pub mod uptime;
pub mod work;
