//! Carbon's line protocol, as collectd's write_graphite, carbon-c-relay and `nc` write it: `path value time`, the time in
//! unix seconds; -1 or N stands for now. Nothing is answered.

use super::{NOW, Received, carbon_time, relayed};
use crate::text::quote;

/// The longest line, in bytes: that of Carbon.
pub const LONGEST: usize = 16_384;

/// Parses the whole lines at the beginning of `bytes`. Returns how many bytes they are. `now` is in unix seconds.
pub fn parse(bytes: &[u8], now: i64, received: &mut Received) -> usize {
    let mut used = 0;
    while let Some(end) = bytes[used..].iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&bytes[used..used + end]);
        used += end + 1;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match point(line, now) {
            Ok(point) => received.points.push(point),
            Err(why) => received.refused.add(|| why),
        }
    }
    used
}

fn point(line: &str, now: i64) -> Result<crate::model::Point, String> {
    let mut words = line.split_ascii_whitespace();
    let (path, value, time) = (words.next(), words.next(), words.next());
    let (Some(path), Some(value), None) = (path, value, words.next()) else {
        return Err(format!("{} is not PATH VALUE TIME", quote(line)));
    };
    let value = value.parse().map_err(|_| format!("{}: {} is no number", quote(path), quote(value)))?;
    let time = match time {
        None | Some("N") => NOW,
        Some(time) => time.parse().map_err(|_| format!("{}: time {} is no number", quote(path), quote(time)))?,
    };
    relayed(path, value, carbon_time(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::undeclared_path;

    #[test]
    fn whole_lines_become_points_and_the_rest_waits() {
        let mut received = Received::default();
        let text = b"a.b 1.5 100\na.c;t=v 2 100.25\r\n\na.d 3 N\na.d 4 -1.0\na.d nan 1\nb...c..d 1 1\n../../x 1 1\nb. 1 1\na 1 2 3\na.e 4 10";
        let used = parse(text, 7, &mut received);
        assert_eq!(&text[used..], b"a.e 4 10");
        let lines: Vec<_> = received.points.iter().map(crate::model::Point::line).collect();
        assert_eq!(
            lines,
            [
                "carbon,path=a.b value=1.5 100000000000",
                r"carbon,path=a.c;t\=v value=2.0 100250000000",
                "carbon,path=a.d value=3.0 7000000000",
                "carbon,path=a.d value=4.0 7000000000",
                "carbon,path=b.c.d value=1.0 1000000000"
            ]
        );
        assert_eq!(received.refused.count, 4, "{:?}", received.refused);
    }

    /// Carbon makes a folder of each component but the last, and a file of that, with four bytes of an ending. Measured against
    /// carbon-cache 1.1.7.
    #[test]
    fn paths_may_be_as_long_as_carbon_can_keep_them() {
        let [folder, file, tag] = [255, 251, 3_000].map(|length| "x".repeat(length));
        let long = format!("{}{file}", "abcdefghi.".repeat(374));
        assert_eq!(long.len(), 3991);
        for path in [&format!("{folder}.a.{file}"), &long, &format!("a.b;c={tag};d=/var/../x"), "a/b.c"] {
            let mut received = Received::default();
            parse(format!("{path} 1 5\n").as_bytes(), 7, &mut received);
            assert_eq!(
                received.points.first().and_then(|point| point.tag("path")),
                Some(path),
                "{:?}",
                received.refused
            );
            assert_eq!(undeclared_path(&received.points[0], "value").as_deref(), Some(path));
        }
        for path in [format!("x{folder}.a"), format!("a.x{file}"), format!("aaaaaaaaaa.{long}"), "/etc/x".into()] {
            let mut received = Received::default();
            parse(format!("{path} 1 5\n").as_bytes(), 7, &mut received);
            assert_eq!((received.points.len(), received.refused.count), (0, 1), "{path}");
        }
    }
}
