//! Apache and nginx of Debian 12, each set up by the example in `contrib`.

use super::{Ports, Server, TempDir, tail};
use std::{net::TcpStream, path::Path};

/// A web server that shows one cloud-monitor below `/cloud-monitor/`, ended on drop.
#[derive(Debug)]
pub struct Proxy {
    /// Port of its HTTP server.
    pub port: u16,
    _server: Server,
    _ports: Ports,
    _dir: TempDir,
}

impl Proxy {
    /// Starts `apache` or `nginx` before the cloud-monitor on a port, or answers `None` where it is not installed.
    pub fn start(kind: &str, monitor: u16) -> Option<Proxy> {
        let program = if kind == "nginx" { "/usr/sbin/nginx" } else { "/usr/sbin/apache2" };
        if !Path::new(program).exists() {
            return None;
        }
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let path = dir.path().to_str().expect("an ASCII path");
        let mut server = Server::start("proxy.sh", &[kind, path, &port.to_string(), &monitor.to_string()]);
        let ready = server.wait_ready(kind, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(ready, "{kind} did not start: {}", tail(&dir.path().join("log")));
        Some(Proxy { port, _server: server, _ports: ports, _dir: dir })
    }
}
