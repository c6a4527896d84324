//! A running cloud-monitor that is asked over HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

use super::Sandbox;
use super::monitor::Monitor;

/// How long an answer may take.
const LONG: Duration = Duration::from_secs(30);

/// A cloud-monitor on a port of its own, asked over HTTP.
pub struct Site(pub Monitor);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// What follows them.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Site {
    /// Starts it on any free port.
    pub fn start(sandbox: &Sandbox) -> Self {
        Self(Monitor::start(sandbox, "127.0.0.1:0"))
    }

    /// Sends bytes and reads all that comes back.
    pub fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0.port())).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // It may answer and close before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// Sends a request and reads the answer.
    pub fn ask(&self, request: &str) -> Answer {
        let bytes = self.raw(request.as_bytes());
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(!head.contains("transfer-encoding"), "{head}");
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    /// The JSON of a path that answers.
    pub fn json(&self, path: &str) -> Json {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Its memory at the peak, in MB.
    pub fn peak_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// Every number of a summary by its path: value and time.
pub fn numbers(summary: &Json) -> BTreeMap<String, (f64, i64)> {
    fn walk(json: &Json, found: &mut BTreeMap<String, (f64, i64)>) {
        match json {
            Json::Object(object) => match (object.get("path"), object.get("value"), object.get("time")) {
                (Some(Json::String(path)), Some(value), Some(time)) => {
                    found.insert(path.clone(), (value.as_f64().unwrap(), time.as_i64().unwrap()));
                }
                _ => object.values().for_each(|json| walk(json, found)),
            },
            Json::Array(array) => array.iter().for_each(|json| walk(json, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    walk(summary, &mut found);
    found
}

/// The minute that began so many minutes ago, in unix seconds.
pub fn minute(ago: i64) -> i64 {
    (jiff::Timestamp::now().as_second() / 60 - ago) * 60
}

/// Runs collect-grid once for each of so many minutes up to the one that began `last` minutes ago, and gives these
/// minutes.
pub fn collect(sandbox: &Sandbox, runs: i64, last: i64) -> Vec<i64> {
    // Another minute may begin meanwhile.
    let last = minute(last);
    let minutes: Vec<_> = (0..runs).rev().map(|before| last - 60 * before).collect();
    for minute in &minutes {
        let run = sandbox.run(&["--now", &minute.to_string()]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    }
    minutes
}
