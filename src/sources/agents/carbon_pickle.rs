//! Carbon's pickle protocol: a 4-byte big-endian length and a pickle of `[(path, (time, value)), …]`, as relays send it.
//! Nothing is answered.

use serde_pickle::{DeOptions, Value};

use super::qulo::number;
use super::scanner::{Scanned, scan};
use super::{Received, relayed};

/// The longest message, in bytes: that of Carbon.
const LONGEST: usize = 1 << 20;

/// Parses the whole messages at the beginning of a stream. Returns how many bytes they are.
///
/// # Errors
/// Fails if what follows is no message; the stream is then of no more use.
pub fn parse(bytes: &[u8], received: &mut Received) -> Result<usize, String> {
    let mut used = 0;
    while let Some(head) = bytes.get(used..used + 4) {
        let length = u32::from_be_bytes(head.try_into().unwrap_or_default()) as usize;
        if length > LONGEST {
            return Err(format!("a message of {length} bytes, and Carbon takes {LONGEST}"));
        }
        let Some(pickle) = bytes.get(used + 4..used + 4 + length) else { break };
        match scan(pickle) {
            Scanned::Plain(end, _) if end == length => {}
            Scanned::Hostile(why) => return Err(why),
            _ => return Err("a message whose pickle has another length".into()),
        }
        let value = serde_pickle::value_from_slice(pickle, DeOptions::new().decode_strings());
        let Ok(Value::List(members)) = value else { return Err("a message that is no list".into()) };
        for member in &members {
            match datapoint(member) {
                Some((path, value, time)) => match relayed(path, value, time) {
                    Ok(point) => received.points.push(point),
                    Err(why) => received.refused.add(|| why),
                },
                None => received.refused.add(|| "a member of a message is no (path, (time, value))".into()),
            }
        }
        used += 4 + length;
    }
    Ok(used)
}

/// Returns path, value and time of a member.
fn datapoint(member: &Value) -> Option<(&str, f64, f64)> {
    let (Value::Tuple(pair) | Value::List(pair)) = member else { return None };
    let [Value::String(path), Value::Tuple(inner) | Value::List(inner)] = pair.as_slice() else { return None };
    let [time, value] = inner.as_slice() else { return None };
    Some((path, number(value)?, number(time)?))
}
