//! The WebDriver protocol: JSON over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The value of an answer that is no error.
pub fn ask(port: u16, method: &str, path: &str, body: &Value) -> Value {
    let answer = exchange(port, method, path, body).unwrap_or_else(|error| panic!("chromedriver: {path}: {error}"));
    let value = &answer["value"];
    assert!(value["error"].is_null(), "{method} {path} {body}: {} {}", value["error"], value["message"]);
    value.clone()
}

/// Sends a command and reads the answer.
///
/// # Errors
/// When chromedriver does not answer.
pub fn exchange(port: u16, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(180)))?;
    let body = if method == "POST" { body.to_string() } else { String::new() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    );
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// What is written in base 64.
pub fn decoded(text: &str) -> Vec<u8> {
    let sixes = text.bytes().filter_map(|byte| {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        letters.iter().position(|letter| *letter == byte)
    });
    let sixes: Vec<_> = sixes.collect();
    let bytes = sixes.chunks(4).flat_map(|four| {
        let all = four.iter().enumerate().fold(0, |all, (at, six)| all | six << (18 - 6 * at));
        (0..four.len() - 1).map(move |at| (all >> (16 - 8 * at)) as u8)
    });
    bytes.collect()
}
