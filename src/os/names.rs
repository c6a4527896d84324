//! Looks up host names, without waiting for a name server that does not answer.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

/// Looks `host` up in a thread of its own, which hands the addresses to `found`; without them `found` is dropped.
///
/// getaddrinfo cannot be interrupted, and waits up to minutes for name servers that do not answer. The caller waits as long
/// as it likes; the thread is left behind, and keeps no process from ending.
pub fn look_up(host: String, port: u16, found: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static) {
    let work = move || found((host.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    // If there is no thread to be had, `found` is dropped, and its caller hears of no address.
    let _ = thread::Builder::new().name("look-up".into()).spawn(work);
}
