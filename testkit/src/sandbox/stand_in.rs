//! An HTTP server that stands in for the systems that a program asks.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A whole answer, from its status line on.
pub type Answer = Vec<u8>;

/// A server that gives one answer for each path, and remembers the requests. It stands in for PanDA, CRIC and
/// Elasticsearch.
pub struct StandIn {
    /// Its address, without a path.
    pub url: String,
    answers: Arc<Mutex<HashMap<String, (Answer, Duration)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Starts one that knows no path.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, requests) =
            (Arc::<Mutex<HashMap<_, (Answer, Duration)>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (known, seen) = (answers.clone(), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, known, seen) = (stream.unwrap(), known.clone(), seen.clone());
                thread::spawn(move || {
                    let mut request = vec![0; 65_536];
                    let count = stream.read(&mut request).unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..count]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    let path = path.split('?').next().unwrap_or_default().to_string();
                    seen.lock().unwrap().push(request);
                    let answer = known.lock().unwrap().get(&path).cloned();
                    let (answer, pause) =
                        answer.unwrap_or_else(|| (page("404 Not Found", "nothing here"), Duration::ZERO));
                    // A pause is one before each piece.
                    for piece in answer.chunks(if pause.is_zero() { usize::MAX } else { 20 }) {
                        thread::sleep(pause);
                        if stream.write_all(piece).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, answers, requests }
    }

    /// Gives this answer for a path.
    pub fn answers(&self, path: &str, answer: Answer) {
        self.drips(path, answer, Duration::ZERO);
    }

    /// Gives this answer for a path, in pieces with a pause before each.
    pub fn drips(&self, path: &str, answer: Answer, pause: Duration) {
        self.answers.lock().unwrap().insert(path.into(), (answer, pause));
    }

    /// Gives this JSON for a path.
    pub fn gives(&self, path: &str, json: &Value) {
        self.answers(path, page("200 OK", &json.to_string()));
    }

    /// The requests for a path.
    pub fn asked(&self, path: &str) -> Vec<String> {
        let is_for =
            |request: &&String| request.split(' ').nth(1).is_some_and(|asked| asked.split('?').next() == Some(path));
        self.requests.lock().unwrap().iter().filter(is_for).cloned().collect()
    }
}

/// Returns an answer with this status line and body.
pub fn page(status: &str, body: &str) -> Answer {
    // It closes after each answer, and says so, lest the next question comes on a connection that is about to end.
    let heads = "Connection: close\r\nContent-Type: text/plain";
    format!("HTTP/1.1 {status}\r\n{heads}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
