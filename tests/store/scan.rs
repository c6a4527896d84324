//! The embedded store read as a whole: every point once, and sums by tags.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value, Window};
use gridmon::query::{Scan, Selector};
use gridmon::sinks::embedded::{EmbeddedReader, Store};

#[test]
fn a_scan_hands_out_every_point_once_and_its_sums_are_those_of_a_plain_loop() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scan-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gridmon.db");
    let point = |host: &str, kind: &str, minute: i64, jobs: i64| {
        let tags = [("host".into(), host), ("kind".into(), kind)];
        Point::new("m".into(), tags, [("jobs".into(), Value::Int(jobs))], minute * 60 * SECOND)
    };
    let mut points = Vec::new();
    for minute in 0..200 {
        for (at, host) in ["a", "b", "c"].into_iter().enumerate() {
            points.push(point(host, "x", minute, minute % 7 + at as i64));
            points.push(point(host, "y", minute, 100 - minute));
        }
    }
    let later = Instant::now() + Duration::from_secs(60);
    Store::open(&path, later).unwrap().write(Tier::Raw, &points, later).unwrap();
    let reader = EmbeddedReader::new(path);
    let window = Window { from: 17 * 60 * SECOND, to: 130 * 60 * SECOND };
    let selector = Selector::measurement("m").with("host", "b");
    let mut seen = Vec::new();
    let mut each = |point: Point| {
        seen.push(point.line());
        Ok(())
    };
    reader.each(&selector, window, Tier::Raw, &mut each).unwrap();
    let is_wanted = |point: &&Point| window.contains(point.time()) && point.tag("host") == Some("b");
    let mut wanted: Vec<_> = points.iter().filter(is_wanted).map(Point::line).collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);

    let sums = reader.sums(&Selector::measurement("m"), window, Tier::Raw, &["kind", "nosuch"]).unwrap();
    for (sum, kind) in sums.iter().zip(["x", "y"]) {
        let of_kind = points.iter().filter(|point| window.contains(point.time()) && point.tag("kind") == Some(kind));
        let values: Vec<_> = of_kind.map(|point| point.fields().next().unwrap().1.as_f64()).collect();
        assert_eq!((sum.group.as_slice(), sum.field.as_str()), (&[kind.to_string(), String::new()][..], "jobs"));
        assert_eq!((sum.sum, sum.count), (values.iter().sum(), values.len() as u64));
        assert_eq!(sum.least, values.iter().copied().fold(f64::INFINITY, f64::min));
        assert_eq!(sum.most, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }
    assert_eq!(sums.len(), 2);
    assert!(reader.sums(&selector, Window { from: 0, to: 0 }, Tier::Raw, &[]).unwrap().is_empty());
    fs::remove_dir_all(&folder).unwrap();
}
