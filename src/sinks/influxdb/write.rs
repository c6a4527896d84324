//! Writes points, and finds those that InfluxDB refuses.
//!
//! An answer names one refused point of a body at most, and it comes as soon as one shard has failed, while others are
//! still being written. So nothing of such a body counts as stored: it is sent again in parts, until each part is stored,
//! or refused as a whole. Sending a point again is harmless, since it overwrites itself.

use anyhow::Result;

use super::client::{Connection, Verdict, dropped, limit};
use crate::model::Point;
use crate::sinks::ClosedPlace;

/// The most bytes of lines in a body, before compression. InfluxDB takes 25 MB, InfluxDB 2 50 MB.
const LARGEST_BODY: usize = 10 << 20;

/// How often a batch is sent again in parts because a limit of the server keeps some of its points out: all of them wait anyway, and
/// this is for the others. InfluxDB 1.6.7 then drops points of series that it has, more than it says.
const MOST_FULLS: usize = 64;

/// Points that InfluxDB refused for good, each with the reason.
pub(super) type Refused = Vec<(Point, String)>;

/// Writes points into a retention policy of a database. Returns those that InfluxDB refused; it has stored the others.
///
/// # Errors
/// Fails unless each point is stored or refused: with [`ClosedPlace`] if a limit of the server keeps some out, which its operator
/// can raise; most others are stored then. Some may be stored; sending all of them again is harmless.
pub(super) fn write(connection: &Connection, database: &str, policy: &str, points: &[Point]) -> Result<Refused> {
    let (mut refused, mut full) = (Vec::new(), None);
    let (mut next, mut fulls) = (0, 0_usize);
    'groups: while next < points.len() {
        let (body, count) = body(&points[next..]);
        let group: Vec<_> = points[next..next + count].iter().collect();
        next += count;
        let mut waiting = vec![(group, Some(body))];
        while let Some((group, body)) = waiting.pop() {
            let body = body.unwrap_or_else(|| lines(&group));
            let (why, is_whole) = match connection.write(database, policy, body)? {
                Verdict::Stored => continue,
                Verdict::Refused(why) => {
                    let is_whole = dropped(&why) >= group.len();
                    (why, is_whole)
                }
                Verdict::TooLarge(why) if group.len() > 1 => (why, false),
                // No limit of a body is there for good: an operator can raise it, also that of a proxy.
                Verdict::TooLarge(why) => {
                    full = Some(format!(
                        "it takes no body of one point: {why}; raise that limit, of it or of a proxy before it"
                    ));
                    fulls += 1;
                    if fulls > MOST_FULLS {
                        break 'groups;
                    }
                    continue;
                }
                Verdict::Full(why) => {
                    let is_whole = dropped(&why) >= group.len() || group.len() == 1 || fulls >= MOST_FULLS;
                    fulls += 1;
                    full = Some(format!(
                        "{}; it takes no new series: raise that limit of its [data], or drop series",
                        limit(&why)
                    ));
                    if is_whole {
                        continue;
                    }
                    (String::new(), false)
                }
            };
            if is_whole || group.len() == 1 {
                // The count is that of the body, not of the point.
                let why = why.split(" dropped=").next().unwrap_or_default();
                refused.extend(group.into_iter().map(|point| (point.clone(), why.into())));
            } else {
                let (first, second) = split(group, &why);
                waiting.extend([(second, None), (first, None)]);
            }
        }
    }
    match full {
        Some(why) => Err(ClosedPlace(format!(
            "{} at {}: {why}; the points wait",
            connection.config.peer.title,
            connection.config.name()
        ))
        .into()),
        None => Ok(refused),
    }
}

/// Returns the first body of points, one at least, and how many are in it.
fn body(points: &[Point]) -> (String, usize) {
    let mut body = String::new();
    for (at, point) in points.iter().enumerate() {
        let before = body.len();
        point.write_line(&mut body);
        body.push('\n');
        if at > 0 && body.len() > LARGEST_BODY {
            body.truncate(before);
            return (body, at);
        }
    }
    (body, points.len())
}

/// Returns points as lines.
fn lines(points: &[&Point]) -> String {
    let mut lines = String::new();
    for point in points {
        point.write_line(&mut lines);
        lines.push('\n');
    }
    lines
}

/// Splits two points or more into two parts: those that `why` names and the others, or two halves.
fn split<'a>(mut points: Vec<&'a Point>, why: &str) -> (Vec<&'a Point>, Vec<&'a Point>) {
    // Longer ones name many lines, which would take long to find.
    const LONGEST_REASON: usize = 4 << 10;
    if why.contains("retention") {
        // So that the halves soon differ.
        points.sort_by_key(|point| point.time());
    } else if why.len() <= LONGEST_REASON {
        let (named, others): (Vec<_>, Vec<_>) = points.iter().copied().partition(|point| is_named(point, why));
        if !named.is_empty() && !others.is_empty() {
            return (named, others);
        }
    }
    let second = points.split_off(points.len() / 2);
    (points, second)
}

/// Whether a refusal names a field of the point's measurement, or its line.
fn is_named(point: &Point, why: &str) -> bool {
    let names = |field: &str| why.contains(&format!("input field {field:?} on measurement {:?} ", point.measurement()));
    if why.contains("input field ") {
        return point.fields().any(|(field, _)| names(field));
    }
    why.contains("unable to parse") && why.contains(&point.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: usize) -> Vec<Point> {
        let line = |at: usize| format!("m{},a={at} v={at}i,w=0.5 {}", at % 3, 10 - (at as i64 % 10));
        (0..count).map(|at| Point::from_line(&line(at)).unwrap()).collect()
    }

    #[test]
    fn bodies_hold_every_point_once_and_none_is_too_large() {
        let points = points(500_000);
        let (mut texts, mut next) = (Vec::new(), 0);
        while next < points.len() {
            let (text, count) = body(&points[next..]);
            assert!(count > 0);
            next += count;
            texts.push(text);
        }
        assert!(texts.len() > 1);
        assert!(texts.iter().all(|text| text.len() <= LARGEST_BODY));
        assert!(texts.concat().lines().eq(points.iter().map(Point::line)));
        assert_eq!(lines(&[&points[0]]), "m0,a=0 v=0i,w=0.5 10\n");
        assert_eq!(body(&points[..1]).1, 1);
    }

    #[test]
    fn what_a_refusal_names_is_parted_from_the_rest() {
        let points = points(9);
        let parted = |why: &str| {
            let (first, second) = split(points.iter().collect(), why);
            assert_eq!(first.len() + second.len(), 9);
            first.iter().map(|point| point.tag("a").unwrap().to_string()).collect::<Vec<_>>().join(" ")
        };
        let conflict = r#"field type conflict: input field "v" on measurement "m1" is type float, already exists as type integer dropped=3"#;
        assert_eq!(parted(conflict), "1 4 7");
        assert_eq!(parted("points beyond retention policy dropped=2"), "8 7 6 5");
        assert_eq!(parted("unable to parse 'm2,a=2 v=2i,w=0.5 8': odd dropped=0"), "2");
        assert_eq!(parted("odd dropped=2"), "0 1 2 3");
        // What all of them are, or none of them is, parts nothing.
        assert_eq!(parted(r#"input field "v" on measurement "m9" is"#), "0 1 2 3");
    }
}
