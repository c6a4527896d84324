//! InfluxDB's line protocol, as Telegraf, Vector, InfluxDB's clients and qagent write it.
//!
//! ```text
//! # a comment
//! cpu,host=wn001,cpu=cpu0 usage_idle=97.5,usage_user=1.25 1717245000000000000
//! disk,path=/ free=5i,total=9u,ro=false
//! ```
//!
//! A line stands for itself: one that is refused costs no other. Texts are no numbers: a field with one is refused, and the
//! rest of its line is kept. A line without a time has that of its arrival.

use super::Received;
use crate::model::Point;

/// Parses a body of lines: times are in units of `unit` nanoseconds; `now` is that of lines without one, in unix
/// nanoseconds.
pub fn parse(body: &[u8], unit: i64, now: i64) -> Received {
    let mut received = Received::default();
    let (mut rest, mut number) = (body, 0);
    while !rest.is_empty() {
        let end = end_of_line(rest);
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        number += 1;
        match std::str::from_utf8(line) {
            Ok(line) => parse_line(line.trim(), number, (unit, now), &mut received),
            Err(_) => received.refused.add(|| format!("line {number}: not a text in UTF-8")),
        }
    }
    received
}

fn parse_line(line: &str, number: usize, (unit, now): (i64, i64), received: &mut Received) {
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    match Point::from_foreign_line(line, unit, now) {
        Ok(foreign) => {
            received.points.extend(foreign.point);
            for field in foreign.texts {
                received.refused.add(|| format!("line {number}: field {field} is a text, and only numbers are kept"));
            }
        }
        Err(error) => received.refused.add(|| format!("line {number}: {error:#}")),
    }
}

/// Returns where the first line ends. A text between quotes may hold line feeds.
fn end_of_line(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    if !bytes[..end].contains(&b'"') || bytes.trim_ascii_start().starts_with(b"#") {
        return end;
    }
    let (mut is_quoted, mut is_escaped, mut has_fields) = (false, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            // In a name a quote is a character like any other.
            b' ' => has_fields |= at > 0,
            b'"' if has_fields => is_quoted = !is_quoted,
            b'\n' if !is_quoted => return at,
            _ => {}
        }
    }
    // A quote without its end costs its own line only.
    if is_quoted { end } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str) -> (Vec<String>, Vec<String>) {
        let received = parse(body.as_bytes(), 1, 7);
        (received.points.iter().map(Point::line).collect(), received.refused.reasons)
    }

    #[test]
    fn a_line_of_any_client_becomes_a_point() {
        for (line, expected) in [
            ("m f=1", "m f=1.0 7"),
            ("m,b=2,a=1 y=1i,x=2u 5", "m,a=1,b=2 x=2i,y=1i 5"),
            ("m f=t,g=False 5", "m f=1i,g=0i 5"),
            ("m f=-1.5e3 -5\r", "m f=-1500.0 -5"),
            (r"a\ b\,c,t\=g=v\ w f\ g=1 5", r"a\ b\,c,t\=g=v\ w f\ g=1.0 5"),
            ("  m   f=1   5", "m f=1.0 5"),
        ] {
            assert_eq!(lines(line), (vec![expected.to_string()], vec![]), "{line}");
        }
        assert_eq!(lines("# a \"comment\nm f=1 5\n\n").0, ["m f=1.0 5"]);
    }

    #[test]
    fn what_is_refused_costs_nothing_else() {
        let (points, refused) =
            lines("m f=1 1\nm\nm f= 2\nm f=1 x\nm f=nan 3\nm,a=1,a=2 f=1 4\nm f=18446744073709551615u 5\nm f=6 6");
        assert_eq!(points, ["m f=1.0 1", "m f=6.0 6"]);
        assert_eq!(refused.len(), 6, "{refused:?}");
        assert!(refused[0].starts_with("line 2: "), "{refused:?}");
        let received = parse(b"m f=1 1\n\xff\xfe f=1\nm f=2 2", 1, 7);
        assert_eq!((received.points.len(), received.refused.count), (2, 1));
    }

    #[test]
    fn texts_between_quotes_may_hold_anything() {
        let (points, refused) =
            lines("m f=\"a, b=2 c\nd\\\" e\",g=1 5\nn f=2 6\nm t=\"only\" 7\nm f=\"open 8\nn f=3 9");
        assert_eq!(points, ["m g=1.0 5", "n f=2.0 6", "n f=3.0 9"]);
        assert_eq!(refused.len(), 3, "{refused:?}");
    }

    #[test]
    fn times_have_the_unit_that_the_client_names() {
        let time = |text: &str, unit| parse(text.as_bytes(), unit, 7).points.first().map(Point::time);
        assert_eq!(time("m f=1 1717245000", 1_000_000_000), Some(1_717_245_000_000_000_000));
        assert_eq!(time("m f=1 1717245000000000000", 1_000_000_000), None);
        assert_eq!(time("m f=1", 1_000_000_000), Some(7));
    }
}
