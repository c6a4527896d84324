//! What QMonit read and wrote (tests/fixtures/panda), also for the tests of programs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gridmon::model::{Point, Tier, Value};
use gridmon::setup::CATALOG;
use serde_json::Value as Json;

/// Reads a file of the fixtures.
pub fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/panda").join(name);
    fs::read_to_string(path).unwrap()
}

/// The points of InfluxDB's answer with all values.
pub fn given(name: &str, tier: Tier) -> Vec<Point> {
    let answers: Json = serde_json::from_str(&read(name)).unwrap();
    let mut points = Vec::new();
    for series in answers[1]["series"].as_array().unwrap() {
        let columns: Vec<_> = series["columns"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        for row in series["values"].as_array().unwrap() {
            let row: BTreeMap<_, _> = columns.iter().copied().zip(row.as_array().unwrap()).collect();
            let time: jiff::Timestamp = row["time"].as_str().unwrap().parse().unwrap();
            let keys = series["tags"].as_object().unwrap().iter();
            let keys = keys.map(|(name, value)| (Cow::Owned(name.clone()), value.as_str().unwrap()));
            let labels = row.iter().filter(|(name, _)| **name != "time");
            let labels = labels.filter_map(|(name, value)| Some((Cow::Owned(name.to_string()), value.as_str()?)));
            let fields = row.iter().filter_map(|(name, value)| {
                let value = match (value.as_i64(), tier) {
                    (Some(value), Tier::Raw) => Value::Int(value),
                    _ => Value::Float(value.as_f64()?),
                };
                Some((Cow::Owned(name.to_string()), value))
            });
            let nanoseconds = i64::try_from(time.as_nanosecond()).unwrap();
            let mut point = Point::new("jobs".into(), keys.chain(labels), fields.collect::<Vec<_>>(), nanoseconds);
            CATALOG.declare(&mut point);
            points.push(point);
        }
    }
    points.sort_by_key(Point::time);
    points
}
