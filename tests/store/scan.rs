//! The embedded store read as a whole: every point once, and sums by tags.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gridmon::model::{Point, SECOND, Tier, Value, WideSum, Window};
use gridmon::query::{Column, Scan, Selector};
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

/// PanDA may count up to 2^63 - 1 jobs; SQLite's own sum of two such counts is an error.
#[test]
fn counts_near_the_largest_number_are_added_up_exactly() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sums-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gridmon.db");
    let point = |host: &str, minute: i64, jobs: Value| {
        Point::new("m".into(), [("host".into(), host)], [("jobs".into(), jobs)], minute * 60 * SECOND)
    };
    let (most, least) = (i64::MAX, i64::MIN);
    let points = [
        ("a", vec![Value::Int(most), Value::Int(most), Value::Int(7)]),
        ("b", vec![Value::Int(least), Value::Int(least), Value::Int(-1)]),
        ("c", vec![Value::Int(most), Value::Int(most), Value::Float(0.5)]),
        ("d", vec![Value::Int(1), Value::Int(2)]),
    ];
    let each = |(host, values): &(&str, Vec<Value>)| -> Vec<Point> {
        values.iter().zip(0..).map(|(value, minute)| point(host, minute, *value)).collect()
    };
    let later = Instant::now() + Duration::from_secs(60);
    let all: Vec<_> = points.iter().flat_map(each).collect();
    Store::open(&path, later).unwrap().write(Tier::Raw, &all, later).unwrap();
    let reader = EmbeddedReader::new(path);
    let selector = Selector::measurement("m");
    let window = Window { from: 0, to: 3600 * SECOND };
    let column = Column { selector: &selector, field: "jobs", window, tier: Tier::Raw };
    let sums: Vec<_> = reader.totals(column, &["host"]).unwrap().into_iter().map(|total| total.sum).collect();
    let (most, least) = (i128::from(most), i128::from(least));
    assert_eq!(sums[..2], [WideSum::Int(2 * most + 7), WideSum::Int(2 * least - 1)]);
    assert_eq!((sums[2].as_f64(), sums[3]), ((2 * most) as f64, WideSum::Int(3)));
    let all = reader.totals(column, &[]).unwrap();
    assert_eq!(all.len(), 1);
    fs::remove_dir_all(&folder).unwrap();
}
