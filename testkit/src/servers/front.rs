//! What stands in front of Carbon or graphite-web: haproxy, socat, relays, nginx with a login.

use super::{Ports, Server, TempDir, signal, tail};
use std::{fs, net::TcpStream, path::Path};

/// A proxy or relay of `front.sh`, ended on drop.
#[derive(Debug)]
pub struct Front {
    /// The port on which it listens.
    pub port: u16,
    server: Server,
    _ports: Ports,
    dir: TempDir,
}

impl Front {
    /// Starts one of a kind of `front.sh` in front of the port `target`, or answers `None` where it is not installed.
    pub fn start(kind: &str, target: u16) -> Option<Front> {
        Front::before(kind, &[target])
    }

    /// As [`Front::start`], in front of several ports: a balancer.
    pub fn before(kind: &str, targets: &[u16]) -> Option<Front> {
        Front::also_at("", kind, targets)
    }

    /// As [`Front::before`]; haproxy listens at another address of this machine too, unless that is empty.
    pub fn also_at(address: &str, kind: &str, targets: &[u16]) -> Option<Front> {
        let name = kind.split('-').next().filter(|name| *name == "haproxy").unwrap_or(kind);
        if !["/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(name).exists()) {
            return None;
        }
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let path = dir.path().to_str().expect("an ASCII path");
        let numbers: Vec<_> = [port].iter().chain(targets).map(u16::to_string).collect();
        let kind = format!("{kind}@{address}");
        let arguments: Vec<_> = [kind.as_str(), path].into_iter().chain(numbers.iter().map(String::as_str)).collect();
        let mut server = Server::start("front.sh", &arguments);
        let ready = server.wait_ready(&kind, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(ready, "{kind} did not start: {}", tail(&dir.path().join("log")));
        Some(Front { port, server, _ports: ports, dir })
    }

    /// Sends it a signal by name: `STOP` and `CONT` for a line that lets nothing through.
    pub fn signal(&self, name: &str) {
        signal(self.server.child.id(), name);
    }

    /// What it has written into a file of its folder; empty if there is none.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }
}
