//! Servers that are none, for what the real ones cannot be made to do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a stand-in for Carbon behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Reads everything, then closes: the acknowledgement.
    Good,
    /// Accepts and never reads, as a stopped process does.
    Stopped,
    /// Reads some bytes and resets the connection.
    Resets,
    /// Closes in an orderly way before everything was sent, as Carbon does with a frame it cannot read.
    Closes,
    /// Reads 1 kB a second.
    Slow,
    /// Reads everything, and never closes.
    Mute,
}

/// A stand-in for Carbon's pickle receiver, for what the real one cannot be made to do.
pub struct FakeCarbon {
    /// The port it listens on.
    pub port: u16,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FakeCarbon {
    /// Listens in this mood until the test ends.
    pub fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let store = received.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let store = store.clone();
                thread::spawn(move || behave(stream.unwrap(), mood, &store));
            }
        });
        Self { port, received }
    }

    /// The bytes of each connection that was read to its end.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    /// `path value timestamp` of everything in them, sorted.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for bytes in self.received() {
            let mut rest = bytes.as_slice();
            while let Some((length, after)) = rest.split_at_checked(4) {
                let (message, after) = after.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
                let datapoints: Vec<(String, (i64, serde_pickle::Value))> =
                    serde_pickle::from_slice(message, serde_pickle::DeOptions::new()).unwrap();
                for (path, (time, value)) in datapoints {
                    let value = match value {
                        serde_pickle::Value::F64(value) => format!("{value:?}"),
                        value => value.to_string(),
                    };
                    lines.push(format!("{path} {value} {time}"));
                }
                rest = after;
            }
        }
        lines.sort();
        lines
    }
}

fn behave(mut stream: TcpStream, mood: Mood, store: &Mutex<Vec<Vec<u8>>>) {
    let forever = Duration::from_secs(600);
    match mood {
        Mood::Good => {
            let mut bytes = Vec::new();
            if read_messages(&mut stream, &mut bytes).is_ok_and(|is_whole| is_whole) {
                store.lock().unwrap().push(bytes);
            }
        }
        Mood::Mute => {
            let mut bytes = Vec::new();
            if stream.read_to_end(&mut bytes).is_ok() {
                store.lock().unwrap().push(bytes);
            }
            thread::sleep(forever);
        }
        Mood::Stopped => thread::sleep(forever),
        Mood::Resets => {
            let _ = stream.read(&mut [0; 100]);
            // Closing with bytes unread makes the kernel send RST.
        }
        Mood::Closes => {
            let _ = stream.read(&mut [0; 4]);
            let _ = stream.shutdown(Shutdown::Write);
            thread::sleep(forever);
        }
        Mood::Slow => {
            while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

/// Reads messages into `bytes` as a pickle receiver does: to the end of the connection, or to a length that no message may
/// have, on which it closes. Returns whether it has come to the end.
pub(super) fn read_messages(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut some = [0; 65536];
    // Where the next message begins.
    let mut next = 0;
    loop {
        let count = stream.read(&mut some)?;
        bytes.extend_from_slice(&some[..count]);
        while let Some(length) = bytes.get(next..next + 4) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if length > 1 << 20 {
                return Ok(false);
            }
            next += 4 + length;
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

/// An HTTP server that answers every request with these bytes, after a while.
pub fn http(answer: &str, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                thread::sleep(after);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    url
}
