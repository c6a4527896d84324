//! What QULo's agents send: one pickle per measurement, back to back, nothing answered. Measured with QULo 1.10.0, of
//! Python 3.6 (protocol 3) and 3.9 (protocol 4).
//!
//! ```text
//! {"host": "node01.example.org", "sensor": "VirtualMemory", "value": {"total": 25276510208, …}, "time": 1795656603.8286}
//! ```
//!
//! The original's master wrote a number to `HOST.SENSOR` and the members of a dict to `HOST.SENSOR.KEY`, and Carbon dropped
//! those that are lists or dicts. Such a value becomes a point with that very path. A value that the original never
//! delivered, as a list of sockets, is refused, and counted.

use std::fmt::Write as _;

use serde_pickle::{DeOptions, HashableValue, Value};

use super::scanner::{Scanned, Scanner};
use super::{Received, relayed};
use crate::text::quote;

/// The longest name of a host or sensor that is remembered, in bytes.
const LONGEST_NAME: usize = 255;

/// Parses the whole messages at the beginning of a stream; `scanner` has seen the beginning of the first one, if any of it
/// was there before. Returns how many bytes they are.
///
/// # Errors
/// Fails if what follows is no message of an agent; the stream is then of no more use.
pub fn parse(bytes: &[u8], scanner: &mut Scanner, received: &mut Received) -> Result<usize, String> {
    let mut used = 0;
    while used < bytes.len() {
        match scanner.scan(&bytes[used..]) {
            Scanned::Plain(length, _) => {
                *scanner = Scanner::default();
                let value: Value = serde_pickle::value_from_slice(&bytes[used..used + length], DeOptions::new())
                    .map_err(|error| format!("a pickle that cannot be read: {error}"))?;
                message(value, received)?;
                used += length;
            }
            Scanned::Incomplete => break,
            Scanned::Hostile(why) => return Err(why),
        }
    }
    Ok(used)
}

fn message(value: Value, received: &mut Received) -> Result<(), String> {
    let Value::Dict(mut parts) = value else { return Err("a pickle that is no dict".into()) };
    let mut part = |name: &str| parts.remove(&HashableValue::String(name.into()));
    let (host, sensor, value, time) = (part("host"), part("sensor"), part("value"), part("time"));
    let (Some(Value::String(host)), Some(Value::String(sensor)), Some(value)) = (host, sensor, value) else {
        return Err("a pickle without host, sensor and value".into());
    };
    let Some(time) = time.as_ref().and_then(number) else { return Err("a pickle without a time".into()) };
    let path = format!("{host}.{sensor}");
    let mut add = |path: &str, value: &Value| match number(value).ok_or("its value is no number".to_string()) {
        Ok(number) => match relayed(path, number, time) {
            Ok(point) => received.points.push(point),
            Err(why) => received.refused.add(|| why),
        },
        Err(why) => received.refused.add(|| format!("{}: {why}", quote(path))),
    };
    if host.len() <= LONGEST_NAME && sensor.len() <= LONGEST_NAME {
        received.seen.insert((host.clone(), sensor.clone()));
    }
    match &value {
        Value::Dict(members) => {
            for (key, value) in members {
                let mut path = format!("{path}.");
                match key {
                    HashableValue::String(key) => path.push_str(key),
                    HashableValue::I64(key) => {
                        let _ = write!(path, "{key}");
                    }
                    _ => path.clear(),
                }
                add(&path, value);
            }
        }
        value => add(&path, value),
    }
    Ok(())
}

/// Returns the number of a value, as Carbon took it.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::I64(number) => Some(*number as f64),
        Value::F64(number) => Some(*number),
        Value::Bool(is_so) => Some(f64::from(u8::from(*is_so))),
        Value::Int(number) => number.to_string().parse().ok(),
        _ => None,
    }
}
