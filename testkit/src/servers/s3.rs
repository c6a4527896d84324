//! s3s-fs: an object store that speaks S3, with its objects as plain files.

use super::{Ports, Server, TempDir, servers, tail};
use std::{net::TcpStream, path::PathBuf};

/// An object store on loopback, killed on drop.
#[derive(Debug)]
pub struct S3 {
    /// Its port.
    pub port: u16,
    program: PathBuf,
    server: Server,
    _ports: Ports,
    dir: TempDir,
}

impl S3 {
    /// Its access key.
    pub const KEY: &'static str = "AKIDEXAMPLE";

    /// Its secret key.
    pub const SECRET: &'static str = "secret/with+slash";

    /// Starts one, or answers `None` where s3s-fs is not installed.
    pub fn start() -> Option<S3> {
        let program = servers().join("s3s-fs/bin/s3s-fs");
        if !program.exists() {
            return None;
        }
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let server = S3::run(&program, &dir, port);
        Some(S3 { port, program, server, _ports: ports, dir })
    }

    fn run(program: &std::path::Path, dir: &TempDir, port: u16) -> Server {
        let objects = dir.path().join("objects");
        let [program, folder] = [program, &objects].map(|path| path.to_str().expect("an ASCII path"));
        let mut server = Server::start("s3.sh", &[program, folder, &port.to_string()]);
        let ready = server.wait_ready("s3s-fs to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(ready, "s3s-fs did not start: {}", tail(&dir.path().join("objects.log")));
        server
    }

    /// The folder of its buckets.
    pub fn objects(&self) -> PathBuf {
        self.dir.path().join("objects")
    }

    /// Ends it; its port stays reserved and refuses connections.
    pub fn kill(&mut self) {
        self.server.end();
    }

    /// Starts a killed one again, with the same port and objects.
    pub fn restart(&mut self) {
        self.server.end();
        self.server = S3::run(&self.program, &self.dir, self.port);
    }
}
