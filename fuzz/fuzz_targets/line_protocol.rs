//! Reads and writes line protocol: lines from outside, and points made of any text and number.
//!
//! The input is used three times: each of its lines as line protocol, all of it as one name, and its bytes as the parts
//! of a point.

#![no_main]

use std::borrow::Cow;

use gridmon::model::{LONGEST_NAME, Point, Value, carbon_component, safe_text, validate};
use gridmon::setup::CATALOG;
use gridmon::sinks::graphite::carbon;
use gridmon_fuzz::bounded;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;

/// The parts of a point that a caller chooses: measurement, tags, fields (`Ok` for a whole number) and time.
#[derive(Arbitrary)]
struct Makings<'a> {
    measurement: &'a str,
    tags: Vec<(&'a str, &'a str)>,
    fields: Vec<(&'a str, Result<i64, f64>)>,
    time: i64,
}

/// What is made of an input of `length` bytes may take so much memory.
fn room(length: usize) -> usize {
    (1 << 20) + 4_000 * length
}

fuzz_target!(|data: &[u8]| bounded(room(data.len()), || whole(data)));

fn whole(data: &[u8]) {
    let mut points = Vec::new();
    if let Ok(text) = std::str::from_utf8(data) {
        names_are_safe(text);
        for line in text.split('\n') {
            if let Ok(point) = Point::from_line(line) {
                assert_eq!(point.fault(), None, "{line:?} was read");
                points.push(point);
            }
        }
    }
    if let Ok(makings) = Makings::arbitrary(&mut Unstructured::new(data)) {
        names_are_safe(makings.measurement);
        points.push(made_of(makings));
    }
    points.iter().for_each(comes_back);
    every_point_is_accounted_for(points);
}

fn made_of(makings: Makings) -> Point {
    let name = |name: &str| Cow::Owned(name.to_string());
    Point::new(
        name(makings.measurement),
        makings.tags.into_iter().map(|(tag, value)| (name(tag), value)),
        makings.fields.into_iter().map(|(field, value)| (name(field), value.map_or_else(Value::Float, Value::Int))),
        makings.time,
    )
}

/// Checks that the functions that make a name safe keep their promises, and do not change a safe name.
fn names_are_safe(text: &str) {
    let tag = safe_text(text);
    assert!(!tag.is_empty() && tag.len() <= LONGEST_NAME, "{tag:?}");
    assert!(!tag.contains(|c: char| c.is_control() || c == '\\'), "{tag:?}");
    assert_eq!(safe_text(&tag), tag);
    let component = carbon_component(text);
    assert!(!component.is_empty() && component.len() <= LONGEST_NAME, "{component:?}");
    assert!(component.chars().all(|c| c.is_ascii_alphanumeric() || "-_@:+".contains(c)), "{component:?}");
    assert_eq!(carbon_component(&component), component);
    // Points return from the spool with safe tags; they must have the same path.
    assert_eq!(carbon_component(&tag), component);
}

/// Checks that the line of a valid point reads as the same point, and that the line of an invalid one is refused.
fn comes_back(point: &Point) {
    let line = point.line();
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(!line.starts_with('#'), "InfluxDB takes {line:?} for a comment");
    assert_eq!(line.strip_prefix(point.series()).map(|rest| rest.starts_with(' ')), Some(true), "{line:?}");
    match (point.fault(), Point::from_line(&line)) {
        (None, Ok(again)) => {
            assert_eq!(&again, point, "{line:?}");
            assert_eq!(again.line(), line);
        }
        (None, Err(error)) => panic!("{line:?} was written and not read: {error:#}"),
        (Some(fault), Ok(_)) => panic!("{line:?} was read, though {fault}"),
        (Some(_), Err(_)) => {}
    }
    // Of any length: two that were cut could be one series.
    for text in point.tags().flat_map(|(name, value)| [name, value]) {
        let is_safe = !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '\\');
        assert!(is_safe, "{line:?}");
    }
    assert!(point.tags().map(|tag| tag.0).is_sorted_by(|a, b| a < b), "{line:?}");
    assert!(point.fields().map(|field| field.0).is_sorted_by(|a, b| a < b), "{line:?}");
    if let Some(measurement) = CATALOG.measurement(point.measurement()) {
        for path in point.fields().filter_map(|(field, _)| measurement.carbon_path(point, field)) {
            assert_eq!(path.split('.').count(), measurement.carbon.split('.').count(), "{path}");
            assert!(path.split('.').all(|component| component.len() <= LONGEST_NAME), "{path}");
        }
    }
}

/// Checks that no point is lost silently on its way to the sinks, and that a valid point stays valid.
fn every_point_is_accounted_for(points: Vec<Point>) {
    let count = points.len();
    let (sound, dropped) = validate(points);
    assert_eq!(sound.len() + dropped.len(), count);
    let (again, dropped) = validate(sound.clone());
    assert_eq!((&again, dropped.len()), (&sound, 0));
    for point in &sound {
        let (datapoints, dropped) = carbon::datapoints(std::slice::from_ref(point), CATALOG);
        assert!(datapoints.iter().all(|datapoint| datapoint.path.len() <= 4000), "{}", point.line());
        let expected = if dropped.is_empty() { point.fields().count() } else { 0 };
        assert_eq!(datapoints.len(), expected, "{}", point.line());
    }
    let (datapoints, dropped) = carbon::datapoints(&sound, CATALOG);
    assert!(datapoints.is_sorted_by(|a, b| (&a.path, a.time) < (&b.path, b.time)));
    assert!(dropped.len() <= sound.len());
}
