//! cloud-monitor at work, and clients that keep their connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gridmon_testkit::{TempDir, program};

/// The release binary, serving the store.
pub struct Site {
    pub child: Child,
    pub port: u16,
}

impl Site {
    pub fn start(folder: &TempDir, store: &Path) -> Self {
        let config =
            format!("[embedded]\npath = {}\n[state]\ndirectory = {}\n", store.display(), folder.path().display());
        let config: PathBuf = folder.write("config.cfg", config);
        let mut child = Command::new(program("cloud-monitor"))
            .arg("--config")
            .arg(config)
            .args(["--listen", "127.0.0.1:0"])
            .env_clear()
            // As contrib/cloud-monitor.service has it.
            .env("MALLOC_ARENA_MAX", "2")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is built");
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().expect("a pipe")).read_line(&mut said).expect("a line");
        let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("{said}")), child }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A persistent connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self(BufReader::new(stream))
    }

    /// Returns the body of a path, compressed as it arrives. Panics unless the status is 200.
    pub fn get(&mut self, path: &str) -> Vec<u8> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).expect("it reads");
        let (mut length, mut line) = (None, String::new());
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("it answers");
            let lower = line.to_ascii_lowercase();
            assert!(!lower.starts_with("http/1.1 ") || lower.contains(" 200 "), "{path}: {line}");
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length.unwrap_or_else(|| panic!("{path}: an answer without a length"))];
        self.0.read_exact(&mut body).expect("the whole body");
        body
    }
}

/// Returns a body uncompressed.
pub fn plain(body: &[u8]) -> String {
    let mut text = String::new();
    match flate2::read::GzDecoder::new(body).read_to_string(&mut text) {
        Ok(_) => text,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}
