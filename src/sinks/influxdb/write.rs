//! Writes points, and finds those that InfluxDB refuses.
//!
//! An answer names each line that InfluxDB cannot read, but of points that it cannot store one at most, and it comes as soon
//! as one shard has failed, while others are still being written. So nothing of such a body counts as stored: what is not named
//! is sent again, in parts, until each part is stored, or refused as a whole. Sending a point again is harmless, since it
//! overwrites itself.

use std::collections::HashMap;

use anyhow::Result;

use super::client::{Connection, Verdict, dropped, limit};
use crate::model::{Point, Value};
use crate::sinks::ClosedPlace;
use crate::text::cut;

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
    let mut found = Found::default();
    let mut next = 0;
    while next < points.len() && !found.is_hopeless {
        let (body, count) = body(&points[next..]);
        let group: Vec<_> = points[next..next + count].iter().collect();
        next += count;
        let mut waiting = vec![(group, Some(body))];
        while let Some((group, body)) = waiting.pop().filter(|_| !found.is_hopeless) {
            let body = body.unwrap_or_else(|| lines(&group));
            let parts = found.take(group, connection.write(database, policy, body)?);
            // The first part first.
            waiting.extend(parts.into_iter().rev().map(|part| (part, None)));
        }
    }
    match found.full {
        Some(why) => Err(ClosedPlace(format!(
            "{} at {}: {why}; the points wait",
            connection.config.peer.title,
            connection.config.name()
        ))
        .into()),
        None => Ok(found.refused),
    }
}

/// What the answers so far have said of the points.
#[derive(Default)]
struct Found {
    refused: Refused,
    /// The limit that keeps some out.
    full: Option<String>,
    /// How many answers named one.
    fulls: usize,
    /// Whether not even single points are taken: the others are not tried.
    is_hopeless: bool,
}

impl Found {
    /// Takes the verdict on a body of these points. Returns the parts that are to be sent next.
    fn take<'a>(&mut self, group: Vec<&'a Point>, verdict: Verdict) -> Vec<Vec<&'a Point>> {
        match verdict {
            Verdict::Stored => Vec::new(),
            Verdict::Refused(why) => {
                let (named, others) = part_unread(group, &why);
                if !named.is_empty() {
                    self.refused.extend(named);
                    return Some(others).filter(|others| !others.is_empty()).into_iter().collect();
                }
                if dropped(&why) < others.len() && others.len() > 1 {
                    return split(others, &why);
                }
                // The count is that of the body, not of the point.
                let why = cut(why.rsplit_once(" dropped=").map_or(why.as_str(), |(why, _)| why));
                self.refused.extend(others.into_iter().map(|point| (point.clone(), why.to_string())));
                Vec::new()
            }
            Verdict::TooLarge(_) if group.len() > 1 => halves(group),
            // No limit of a body is there for good: an operator can raise it, also that of a proxy.
            Verdict::TooLarge(why) => {
                let raise = "raise that limit, of it or of a proxy before it";
                self.full = Some(format!("it takes no body of one point: {why}; {raise}"));
                self.fulls += 1;
                self.is_hopeless = self.fulls > MOST_FULLS;
                Vec::new()
            }
            Verdict::Full(why) => {
                let is_whole = dropped(&why) >= group.len() || group.len() == 1 || self.fulls >= MOST_FULLS;
                self.fulls += 1;
                let raise = "raise that limit of its [data], or drop series";
                self.full = Some(format!("{}; it takes no new series: {raise}", limit(&why)));
                if is_whole { Vec::new() } else { halves(group) }
            }
        }
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

/// Parts points that a refusal names as lines that cannot be read from the others, each with its reason:
/// `unable to parse 'LINE': REASON`, one after the other.
fn part_unread<'a>(group: Vec<&'a Point>, why: &str) -> (Refused, Vec<&'a Point>) {
    const BEGINNING: &str = "unable to parse '";
    if !why.contains(BEGINNING) {
        return (Vec::new(), group);
    }
    let places: HashMap<_, _> = group.iter().enumerate().map(|(at, point)| (point.line(), at)).collect();
    let mut reasons = vec![None; group.len()];
    // No line has an end of a line in it.
    for said in why.split('\n').filter_map(|said| said.strip_prefix(BEGINNING)) {
        // A line may hold what ends it here.
        let named = said
            .match_indices("': ")
            .find_map(|(end, mark)| places.get(&said[..end]).map(|at| (*at, &said[end + mark.len()..])));
        if let Some((at, reason)) = named {
            let reason = reason.split(" dropped=").next().unwrap_or_default();
            reasons[at] = Some(format!("unable to parse it: {}", cut(reason)));
        }
    }
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for (point, reason) in group.into_iter().zip(reasons) {
        match reason {
            Some(reason) => named.push((point.clone(), reason)),
            None => others.push(point),
        }
    }
    (named, others)
}

/// Splits two points or more into two parts, none of them empty: those that `why` names and the others, or two halves.
fn split<'a>(mut points: Vec<&'a Point>, why: &str) -> Vec<Vec<&'a Point>> {
    let (named, others): (Vec<_>, Vec<_>) = points.iter().copied().partition(|point| has_conflict(point, why));
    if !named.is_empty() && !others.is_empty() {
        return vec![named, others];
    }
    if why.contains("retention") || why.contains("field type conflict") {
        // A shard holds a time, so that the halves soon differ.
        points.sort_by_key(|point| point.time());
    }
    halves(points)
}

fn halves(mut points: Vec<&Point>) -> Vec<Vec<&Point>> {
    let second = points.split_off(points.len() / 2);
    vec![points, second]
}

/// Whether a refusal names the type of a field of the point's measurement.
fn has_conflict(point: &Point, why: &str) -> bool {
    why.contains("input field ")
        && point.fields().any(|(field, value)| {
            let kind = if matches!(value, Value::Int(_)) { "integer" } else { "float" };
            why.contains(&format!("input field {field:?} on measurement {:?} is type {kind},", point.measurement()))
        })
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

    fn names(points: &[&Point]) -> String {
        points.iter().map(|point| point.tag("a").unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_refusal_names_is_parted_from_the_rest() {
        let points = points(9);
        let parted = |why: &str| {
            let parts = split(points.iter().collect(), why);
            assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 9);
            names(&parts[0])
        };
        let conflict = |field: &str, is: &str| {
            format!(
                r#"field type conflict: input field "{field}" on measurement "m1" is type {is}, already exists as type string dropped=3"#
            )
        };
        assert_eq!(parted(&conflict("v", "integer")), "1 4 7");
        assert_eq!(parted(&conflict("w", "float")), "1 4 7");
        // What none of them is parts nothing; shards do.
        assert_eq!(parted(&conflict("v", "float")), "8 7 6 5");
        assert_eq!(parted("points beyond retention policy dropped=2"), "8 7 6 5");
        assert_eq!(parted("odd dropped=2"), "0 1 2 3");
    }

    #[test]
    fn all_lines_that_one_answer_names_are_refused_each_with_its_reason() {
        let mut all = points(4);
        all.push(Point::from_line("m,a=it's\\ 'm1':\\ odd v=1i 5").unwrap());
        let said = |at: usize, reason: &str| format!("unable to parse '{}': {reason}", all[at].line());
        let why = [
            said(3, "bad time"),
            said(4, "it's: odd"),
            "unable to parse 'x y': missing".into(),
            said(0, "too long dropped=0"),
        ];
        let (named, others) = part_unread(all.iter().collect(), &why.join("\n"));
        let named: Vec<_> = named.iter().map(|(point, why)| (point.tag("a").unwrap(), why.as_str())).collect();
        let expected = [
            ("0", "unable to parse it: too long"),
            ("3", "unable to parse it: bad time"),
            ("it's 'm1': odd", "unable to parse it: it's: odd"),
        ];
        assert_eq!((named.as_slice(), names(&others).as_str()), (expected.as_slice(), "1 2"));
        assert_eq!(part_unread(all.iter().collect(), "points beyond retention policy dropped=1").1.len(), 5);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_loses_a_point(why in r"(unable to parse '|m0,a=0 v=0i,w=0\.5 10|m1,a=1 v=1i,w=0\.5 9|': |\n| dropped=|[0-9'é ]){0,12}") {
            let points = points(3);
            let (named, others) = part_unread(points.iter().collect(), &why);
            proptest::prop_assert_eq!(named.len() + others.len(), 3);
            if others.len() > 1 {
                let parts = split(others.clone(), &why);
                proptest::prop_assert!(parts.len() == 2 && parts.iter().all(|part| !part.is_empty()));
                proptest::prop_assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), others.len());
            }
        }
    }
}
