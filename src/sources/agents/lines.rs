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
use crate::model::line::Quotes;
use crate::text::cut;

/// The longest line, in bytes.
const LONGEST: usize = 1 << 20;

/// How much is parsed at once: so many points or, where lines have many fields, so many bytes. A point takes far more memory than
/// its line.
const PIECE_POINTS: usize = 20_000;
const PIECE_BYTES: usize = 2 << 20;

/// A body of lines, which is parsed in pieces.
#[derive(Debug)]
pub struct Lines {
    body: Vec<u8>,
    /// Up to where it is parsed.
    at: usize,
    /// How many lines that are.
    number: usize,
    unit: i64,
    now: i64,
}

impl Lines {
    /// Takes a body: times are in units of `unit` nanoseconds; `now` is that of lines without one, in unix nanoseconds.
    pub fn new(body: Vec<u8>, unit: i64, now: i64) -> Self {
        Self { body, at: 0, number: 0, unit, now }
    }

    /// Whether all lines are parsed.
    pub fn is_done(&self) -> bool {
        self.at >= self.body.len()
    }

    /// Parses the next lines; `None` if there are none.
    pub fn piece(&mut self) -> Option<Received> {
        if self.is_done() {
            return None;
        }
        let (begin, mut received) = (self.at, Received::default());
        while !self.is_done() && self.at - begin < PIECE_BYTES && received.points.len() < PIECE_POINTS {
            let end = self.at + self.end_of_line();
            let line = &self.body[self.at..end];
            self.at = end + 1;
            self.number += 1;
            let number = self.number;
            match std::str::from_utf8(line) {
                _ if line.len() > LONGEST => {
                    received.refused.add(|| format!("line {number}: it has more than {LONGEST} bytes"));
                }
                Ok(line) => parse_line(line.trim(), number, (self.unit, self.now), &mut received),
                Err(_) => received.refused.add(|| format!("line {number}: not a text in UTF-8")),
            }
        }
        Some(received)
    }

    /// Returns where the first line that is not parsed ends. A text between quotes may hold line feeds.
    fn end_of_line(&self) -> usize {
        let bytes = &self.body[self.at..];
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        if !bytes[..end].contains(&b'"') || bytes.trim_ascii_start().starts_with(b"#") {
            return end;
        }
        let mut quotes = Quotes::default();
        for (at, byte) in bytes.iter().enumerate() {
            if quotes.take(*byte) && *byte == b'\n' {
                return at;
            }
        }
        // A quote without its end costs its own line only. There is one of them at most, since any later quote would have ended it.
        if quotes.is_open { end } else { bytes.len() }
    }
}

fn parse_line(line: &str, number: usize, (unit, now): (i64, i64), received: &mut Received) {
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    match Point::from_foreign_line(line, unit, now) {
        Ok(foreign) => {
            received.points.extend(foreign.point);
            for field in foreign.texts {
                received
                    .refused
                    .add(|| format!("line {number}: field {} is a text, and only numbers are kept", cut(&field)));
            }
        }
        Err(error) => received.refused.add(|| format!("line {number}: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &[u8], unit: i64, now: i64) -> Received {
        let (mut lines, mut all) = (Lines::new(body.to_vec(), unit, now), Received::default());
        while let Some(Received { points, refused, .. }) = lines.piece() {
            all.points.extend(points);
            all.refused.merge(refused);
        }
        all
    }

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
    fn a_quote_in_a_name_is_a_character_like_any_other() {
        let (points, refused) = lines("m in5\"=1 5\nok f=1 7\nt,a=\"b c=2 6\nok2 f=2 7\nm in5\"=2,t=\"a\nb\",g\"=3 6");
        assert_eq!(points, ["m in5\"=1.0 5", "ok f=1.0 7", "t,a=\"b c=2.0 6", "ok2 f=2.0 7", "m g\"=3.0,in5\"=2.0 6"]);
        assert_eq!(refused.len(), 1, "{refused:?}");
    }

    /// Quadratic work on these would take minutes.
    #[test]
    fn bodies_of_open_quotes_and_lines_of_many_fields_cost_no_more_than_others() {
        for (line, refused) in
            [("m f=\"\n", 100_000), ("m f=\\\"\n", 200_000), ("m\" f=\\\"\n", 200_000), ("m f\"\n", 200_000)]
        {
            let open = line.repeat(200_000) + "m g=1 5\n";
            let received = parse(open.as_bytes(), 1, 7);
            assert_eq!((received.points.len(), received.refused.count), (1, refused), "{line}");
        }

        let mut fields = String::from("m ");
        (0..70_000).for_each(|at| fields += &format!("f{at}=1i,"));
        let received = parse(format!("{fields}t=\"x\" 5").as_bytes(), 1, 7);
        assert_eq!(received.points[0].fields().count(), 70_000);
        let received = parse(format!("{}g=1\nm f=2 5", fields.repeat(2)).as_bytes(), 1, 7);
        assert_eq!((received.points.len(), received.refused.count), (1, 1), "{:?}", received.refused);
    }

    #[test]
    fn a_body_is_parsed_in_pieces_that_are_small() {
        let body = "m f=1 5\n".repeat(2 * PIECE_POINTS + 7);
        let mut lines = Lines::new(body.into_bytes(), 1, 7);
        let counts: Vec<_> = std::iter::from_fn(|| lines.piece()).map(|piece| piece.points.len()).collect();
        assert_eq!(counts, [PIECE_POINTS, PIECE_POINTS, 7]);
        let line = format!("m {}=1 5\n", "f".repeat(100));
        let mut lines = Lines::new(line.repeat(3 * PIECE_BYTES / line.len()).into_bytes(), 1, 7);
        let pieces = std::iter::from_fn(|| lines.piece()).count();
        assert!(pieces >= 3, "{pieces}");
    }

    /// Of two names that were cut one series would be made.
    #[test]
    fn names_are_as_long_as_influxdb_takes_them_and_stay_whole() {
        let most = 65_535 - 4 - "m,t=".len() - "f".len();
        for length in [201, 4_096, most] {
            let long = "x".repeat(length);
            let line = format!("m,t={long} f=1.0 5");
            assert_eq!(lines(&line), (vec![line], vec![]), "{length}");
            assert_eq!(lines(&format!("m {long}=1.0,f=2 5")), (vec![format!("m f=2.0,{long}=1.0 5")], vec![]));
        }
        let long = "x".repeat(most + 1);
        for line in [format!("m,t={long} f=1 5"), format!("m,{long}=t f=1 5"), format!("{long},t=m f=1 5")] {
            let (points, refused) = lines(&line);
            assert!(points.is_empty() && refused[0].contains("has 65532 bytes with its series"), "{refused:?}");
            assert!(refused[0].len() < 500, "{refused:?}");
        }
    }

    #[test]
    fn times_have_the_unit_that_the_client_names() {
        let time = |text: &str, unit| parse(text.as_bytes(), unit, 7).points.first().map(Point::time);
        assert_eq!(time("m f=1 1717245000", 1_000_000_000), Some(1_717_245_000_000_000_000));
        assert_eq!(time("m f=1 1717245000000000000", 1_000_000_000), None);
        assert_eq!(time("m f=1", 1_000_000_000), Some(7));
    }
}
