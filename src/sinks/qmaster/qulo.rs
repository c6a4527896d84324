//! The protocol of QULo's master: pickles of one reading each, on one connection, with nothing in return.
//!
//! ```text
//! {"host": "wn042", "sensor": "CPUTimes", "value": {"user": 1.5, …}, "time": 1717245000.0}
//! ```
//!
//! Read in QULo 1.10.0, with its traps:
//!
//! - It unpickles each read, of at most 8,192 bytes, as one message: two messages that it reads at once lose the second
//!   one, and a longer message ends its reader, not the connection. So each message is short and has a pause after it.
//! - What it makes of a message is the Carbon path `HOST.SENSOR` for a number and `HOST.SENSOR.KEY` for each pair of a
//!   dict. So whatever has a Carbon path of two parts or more can be sent by it, and arrives under that path.
//! - It never closes what its client has closed, and runs out of file descriptors. So one connection serves all batches.
//! - It never answers. A batch counts as delivered when the kernel has taken it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Config;
use crate::model::{Catalog, Datapoint, Dropped, Value};
use crate::sinks::Sent;
use crate::sinks::graphite::carbon;
use crate::sinks::pickle;
use crate::sinks::tcp::{self, Timeout};
use crate::spool::Batch;

/// The connection, while it is open.
#[derive(Debug, Default)]
pub struct Line(Mutex<Option<TcpStream>>);

/// The most bytes of a message: what the master reads at once, with room to spare.
const LONGEST: usize = 8000;

/// The time that the master has to read a message before the next one comes.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest that a batch may take, in seconds.
const MOST_SECONDS: u64 = 3600;

/// The start of a pickle of protocol 3: an empty dict, the mark below its pairs.
const BEGIN: &[u8] = b"\x80\x03}(";

/// The end of a pickle: set the pairs, stop.
const END: &[u8] = b"u.";

/// Sends the points of a batch.
pub(super) fn send(config: &Config, batch: &Batch, catalog: Catalog, deadline: Instant) -> Sent {
    let (datapoints, mut dropped) = carbon::datapoints(&batch.points, catalog);
    let (messages, short) = messages(&datapoints);
    dropped.extend(short);
    Sent { dropped, refused: Vec::new(), result: write(config, &messages, deadline) }
}

fn write(config: &Config, messages: &[Vec<u8>], deadline: Instant) -> Result<()> {
    // It takes as long as the pauses do.
    let timeout = Timeout::new(MOST_SECONDS, deadline);
    let mut line = config.line.0.lock().unwrap_or_else(PoisonError::into_inner);
    // One that broke off meanwhile is opened anew.
    let mut stream = match line.take().filter(is_open) {
        Some(stream) => stream,
        None => tcp::connect(&config.host, config.port, &timeout).with_context(|| config.name())?.0,
    };
    for (at, message) in messages.iter().enumerate() {
        let put = put(&mut stream, message, &timeout);
        put.with_context(|| format!("{}, message {} of {}", config.name(), at + 1, messages.len()))?;
    }
    *line = Some(stream);
    Ok(())
}

fn put(stream: &mut TcpStream, message: &[u8], timeout: &Timeout) -> Result<()> {
    ensure!(!timeout.has_passed(), "it was not reached within {}", timeout.shown());
    stream.set_write_timeout(Some(timeout.left())).context("socket")?;
    stream.write_all(message).context("it broke off while it was sent to")?;
    thread::sleep(PAUSE);
    ensure!(is_open(stream), "it closed the connection");
    Ok(())
}

/// Whether the other side has neither closed nor broken off.
fn is_open(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| {
        let mut stream = stream;
        stream.read(&mut [0])
    });
    let is_quiet = looked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    is_quiet && stream.set_nonblocking(false).is_ok()
}

/// Returns datapoints, sorted by path and time, as messages in the order of time, and those whose path is too short.
fn messages(datapoints: &[Datapoint]) -> (Vec<Vec<u8>>, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let mut parts = Vec::with_capacity(datapoints.len());
    for Datapoint { path, time, value } in datapoints {
        let Some((host, rest)) = path.split_once('.') else {
            let why = "a message of QULo's names a host and a sensor, and its Carbon path has one part".to_string();
            dropped.push(Dropped { name: path.clone(), why });
            continue;
        };
        let (sensor, key) = rest.split_once('.').map_or((rest, None), |(sensor, key)| (sensor, Some(key)));
        parts.push(Part { time: *time, host, sensor, key, value: *value });
    }
    // A number of a sensor without a key has a message of its own.
    parts.sort_by_key(|part| (part.time, part.host, part.sensor, part.key.is_some()));
    let is_one = |a: &Part, b: &Part| {
        a.key.is_some() && (a.time, a.host, a.sensor, true) == (b.time, b.host, b.sensor, b.key.is_some())
    };
    let mut messages = Vec::new();
    for reading in parts.chunk_by(is_one) {
        let mut rest = reading;
        while let Some(first) = rest.first() {
            let mut length = BEGIN.len() + first.host.len() + first.sensor.len() + 100;
            let fits = |part: &&Part| {
                length += part.key.map_or(0, str::len) + 16;
                length <= LONGEST
            };
            let count = rest.iter().take_while(fits).count().max(1);
            messages.push(message(&rest[..count]));
            rest = &rest[count..];
        }
    }
    (messages, dropped)
}

/// One value, and where it belongs.
struct Part<'a> {
    time: i64,
    host: &'a str,
    sensor: &'a str,
    key: Option<&'a str>,
    value: Value,
}

/// Returns the message of one reading of a sensor.
fn message(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::from(BEGIN);
    pickle::text("host", &mut out);
    pickle::text(parts[0].host, &mut out);
    pickle::text("sensor", &mut out);
    pickle::text(parts[0].sensor, &mut out);
    pickle::text("value", &mut out);
    let put = |value: Value, out: &mut Vec<u8>| match value {
        Value::Int(value) => pickle::whole(value, out),
        Value::Float(value) => pickle::float(value, out),
    };
    if parts[0].key.is_none() {
        put(parts[0].value, &mut out);
    } else {
        out.extend_from_slice(b"}(");
        for part in parts {
            pickle::text(part.key.unwrap_or_default(), &mut out);
            put(part.value, &mut out);
        }
        out.push(b'u');
    }
    pickle::text("time", &mut out);
    pickle::float(parts[0].time as f64, &mut out);
    out.extend_from_slice(END);
    out
}

#[cfg(test)]
mod tests {
    use serde_pickle::{DeOptions, HashableValue, Value as Pickled};

    use super::*;

    fn datapoint(path: &str, time: i64, value: Value) -> Datapoint {
        Datapoint { path: path.into(), time, value }
    }

    /// A message as `HOST SENSOR VALUE TIME`.
    fn read(message: &[u8]) -> String {
        let Pickled::Dict(pairs) = serde_pickle::value_from_slice(message, DeOptions::new()).unwrap() else { panic!() };
        let of = |key: &str| pairs[&HashableValue::String(key.into())].clone();
        assert_eq!(pairs.len(), 4);
        format!("{} {} {} {}", of("host"), of("sensor"), of("value"), of("time"))
    }

    #[test]
    fn what_has_one_time_and_sensor_is_one_message_in_the_order_of_time() {
        let datapoints = [
            datapoint("a.CPUCount", 20, Value::Int(2)),
            datapoint("a.CPUTimes.idle", 10, Value::Float(0.5)),
            datapoint("a.CPUTimes.user", 10, Value::Int(1 << 40)),
            datapoint("a.Disk.sda.read", 10, Value::Int(-1)),
            datapoint("lonely", 10, Value::Int(1)),
        ];
        let (messages, dropped) = messages(&datapoints);
        let texts: Vec<_> = messages.iter().map(|message| read(message)).collect();
        assert_eq!(
            texts,
            [
                "\"a\" \"CPUTimes\" {\"idle\": 0.5, \"user\": 1099511627776} 10",
                "\"a\" \"Disk\" {\"sda.read\": -1} 10",
                "\"a\" \"CPUCount\" 2 20",
            ]
        );
        assert_eq!(dropped.len(), 1);
        assert!(messages.iter().all(|message| message.starts_with(b"\x80\x03")));
    }

    #[test]
    fn a_message_is_never_longer_than_what_the_master_reads_at_once() {
        let datapoints: Vec<_> =
            (0..3000).map(|at| datapoint(&format!("a.Net.interface_{at:04}.bytes"), 10, Value::Int(at))).collect();
        let (messages, _) = messages(&datapoints);
        assert!(
            messages.len() > 10 && messages.iter().all(|message| message.len() <= LONGEST + 200),
            "{}",
            messages.len()
        );
        assert!(messages.iter().all(|message| message.len() < 8192));
        let pairs = |message: &Vec<u8>| read(message).matches("interface_").count();
        assert_eq!(messages.iter().map(pairs).sum::<usize>(), 3000);
    }
}
