//! InfluxDB 1.6, as packaged by Debian 12, with login on.

use super::{Ports, Server, TempDir, encode, signal, tail};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

/// An InfluxDB with an administrator (`root`, password [`Influxdb::PASSWORD`]), killed on drop.
#[derive(Debug)]
pub struct Influxdb {
    /// Port of its HTTP service.
    pub port: u16,
    server: Server,
    settings: Vec<String>,
    _ports: Ports,
    dir: TempDir,
}

impl Influxdb {
    /// The administrator's password.
    pub const PASSWORD: &'static str = "s3cret-of-root";

    /// Starts one, or answers `None` where InfluxDB is not installed.
    pub fn start() -> Option<Influxdb> {
        Influxdb::start_with(&[])
    }

    /// Starts one with more of its configuration set, such as `("http.max-body-size", "1000")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Option<Influxdb> {
        if !Path::new("/usr/bin/influxd").exists() {
            return None;
        }
        let settings: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (dir, ports) = (TempDir::new(), Ports::free());
        let port = ports.first();
        let server = Influxdb::run(&dir, port, &settings);
        let influxdb = Influxdb { port, server, settings, _ports: ports, dir };
        influxdb.query(&format!("CREATE USER root WITH PASSWORD '{}' WITH ALL PRIVILEGES", Influxdb::PASSWORD));
        Some(influxdb)
    }

    fn run(dir: &TempDir, port: u16, settings: &[String]) -> Server {
        let number = port.to_string();
        let mut args = vec![dir.path().to_str().expect("an ASCII path"), &number];
        args.extend(settings.iter().map(String::as_str));
        let mut server = Server::start("influxdb.sh", &args);
        let ready = server.wait_ready("influxd to answer", || {
            exchange(port, "GET", "/ping", "", "").is_some_and(|(status, _)| status == 204)
        });
        assert!(ready, "influxd did not start: {}", tail(&dir.path().join("log")));
        server
    }

    /// Sends it a signal by name: `STOP` and `CONT` for one that hangs.
    pub fn signal(&self, name: &str) {
        signal(self.server.child.id(), name);
    }

    /// Ends the process at once; its ports stay reserved and refuse connections.
    pub fn kill(&mut self) {
        self.server.end();
    }

    /// Starts a killed one again, with the same ports, settings and data.
    pub fn restart(&mut self) {
        self.server.end();
        self.server = Influxdb::run(&self.dir, self.port, &self.settings);
    }

    /// The answer to a query of the administrator, with times in nanoseconds; it must not be an error.
    pub fn query(&self, query: &str) -> Value {
        let path = format!("/query?epoch=ns&q={}", encode(query));
        // The first one creates the administrator, whom nobody knows before.
        let method = if query.starts_with("S") { "GET" } else { "POST" };
        let (status, body) = exchange(self.port, method, &path, Influxdb::PASSWORD, "").expect("influxd is up");
        assert!(status == 200 && !body.contains("\"error\":"), "{query}: HTTP {status}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{query}: {error}: {body}"))
    }

    /// Every row of a query's answer, as JSON.
    pub fn rows(&self, query: &str) -> Vec<Value> {
        let answer = self.query(query);
        let series = answer["results"][0]["series"].as_array().cloned().unwrap_or_default();
        series.iter().flat_map(|series| series["values"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// Writes lines as the administrator, which must be stored.
    pub fn write(&self, database: &str, policy: &str, lines: &str) {
        let path = format!("/write?db={}&rp={}", encode(database), encode(policy));
        let (status, body) = exchange(self.port, "POST", &path, Influxdb::PASSWORD, lines).expect("influxd is up");
        assert!(status == 204, "HTTP {status}: {body}");
    }

    /// What it has logged, and the log of its requests.
    pub fn logs(&self) -> String {
        let read = |name: &str| fs::read(self.dir.path().join(name)).unwrap_or_default();
        [read("log"), read("access.log")].map(|log| String::from_utf8_lossy(&log).into_owned()).concat()
    }
}

/// Status and body of a request as the administrator, `None` while nothing listens there.
fn exchange(port: u16, method: &str, path: &str, password: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    // The login stands in the address: this connection goes to nobody but the test's own server.
    let login = if password.is_empty() { String::new() } else { format!("&u=root&p={password}") };
    let length = body.len();
    let head = format!("{method} {path}{login} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
