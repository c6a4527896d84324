//! Carbon's pickle protocol: a 4-byte big-endian length and a pickle of `[(path, (time, value)), …]`, as relays send it, of any of
//! Python's protocols.
//! Nothing is answered.

use serde_pickle::{DeOptions, Value};

use super::qulo::number;
use super::scanner::{Scanned, scan};
use super::{Received, carbon_time, relayed};

/// The longest message, in bytes: that of Carbon.
const LONGEST: usize = 1 << 20;

/// Parses the whole messages at the beginning of a stream; `now` is in unix seconds. Returns how many bytes they are.
///
/// # Errors
/// Fails if what follows is no message; the stream is then of no more use.
pub fn parse(bytes: &[u8], now: i64, received: &mut Received) -> Result<usize, String> {
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
        let Ok(Value::List(members) | Value::Tuple(members)) = value else {
            return Err("a message that is no list".into());
        };
        for member in &members {
            match datapoint(member) {
                Some((path, value, time)) => match relayed(path, value, carbon_time(time, now)) {
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
    Some((path, told(value)?, told(time)?))
}

/// Returns a number, which may be written as a text: Carbon takes both.
fn told(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pickle: &[u8]) -> (Vec<String>, usize) {
        let message = [&(pickle.len() as u32).to_be_bytes(), pickle].concat();
        let mut received = Received::default();
        assert_eq!(parse(&message, 7, &mut received), Ok(message.len()));
        (received.points.iter().map(crate::model::Point::line).collect(), received.refused.count)
    }

    /// Each as Python's pickle.dumps(…, 2) writes it.
    #[test]
    fn pickles_of_every_protocol_become_points() {
        let expected =
            vec!["carbon,path=a.b value=1.5 5000000000".to_string(), "carbon,path=c value=2.0 6000000000".into()];
        // [("a.b", (5, 1.5)), ("c", (6L, 2))] by Python 2 and 3.
        for pickle in [
            &b"(lp1\n(S'a.b'\np2\n(I5\nF1.5\ntp3\ntp4\na(S'c'\np5\n(L6L\nI2\ntp6\ntp7\na."[..],
            b"(lp0\n(Va.b\np1\n(I5\nF1.5\ntp2\ntp3\na(Vc\np4\n(I6\nI2\ntp5\ntp6\na.",
            b"]q\x01((U\x03a.bq\x02(K\x05G?\xf8\0\0\0\0\0\0tq\x03tq\x04(U\x01cq\x05(L6L\nK\x02tq\x06tq\x07e.",
            b"]q\0((X\x03\0\0\0a.bq\x01(K\x05G?\xf8\0\0\0\0\0\0tq\x02tq\x03(X\x01\0\0\0cq\x04(K\x06K\x02tq\x05tq\x06e.",
        ] {
            assert_eq!(parsed(pickle), (expected.clone(), 0), "{}", pickle.escape_ascii());
        }
        let digits = [b"(lp0\n(Va\np1\n(I5\nL", &[b'9'; 500][..], b"L\ntp2\ntp3\na."].concat();
        for hostile in
            [&b"cos\nsystem\n(S'id'\ntR."[..], b"(lp0\n(Va\npx\n.", &digits, b"(i__main__\nX\n.", b"I1\n", b"g0\n."]
        {
            let message = [&(hostile.len() as u32).to_be_bytes(), hostile].concat();
            assert!(parse(&message, 7, &mut Received::default()).is_err(), "{}", hostile.escape_ascii());
        }
    }

    #[test]
    fn what_carbon_takes_becomes_points() {
        // d = (5, 1.5); [("a", d), ("b", d)]
        let shared = b"\x80\x02]q\x00(X\x01\0\0\0aq\x01K\x05G?\xf8\0\0\0\0\0\0\x86q\x02\x86q\x03X\x01\0\0\0bq\x04h\x02\x86q\x05e.";
        let expected = ["carbon,path=a value=1.5 5000000000", "carbon,path=b value=1.5 5000000000"];
        assert_eq!(parsed(shared), (expected.map(String::from).to_vec(), 0));
        // (("a", (-1, "1.5")),)
        let text = b"\x80\x02X\x01\0\0\0aq\0J\xff\xff\xff\xffX\x03\0\0\x001.5q\x01\x86q\x02\x86q\x03\x85q\x04.";
        assert_eq!(parsed(text), (vec!["carbon,path=a value=1.5 7000000000".into()], 0));
    }
}
