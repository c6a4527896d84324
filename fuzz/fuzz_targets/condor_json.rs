//! Reads the output of `condor_q` and `condor_status` with `-json`: the ads do not depend on the pieces in which it
//! arrives, and the counts equal those of a plain JSON parser.
//!
//! The bytes after the last zero byte are the sizes of the pieces; without a zero byte the text arrives byte by byte.

#![no_main]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use gridmon::sources::htcondor::ads::{self, Splitter};
use gridmon::sources::htcondor::{self, JobGroup, Jobs, Rules};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fuzz_target!(|data: &[u8]| {
    let (text, sizes) = match data.iter().rposition(|byte| *byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let (objects, finished) = split([text]);
    assert_eq!(split(pieces(text, sizes)), (objects.clone(), finished), "by pieces of {sizes:?}");
    assert_eq!(split(text.chunks(1)), (objects.clone(), finished), "byte by byte");

    for object in &objects {
        assert!(object.starts_with(b"{") && object.ends_with(b"}"), "{:?}", String::from_utf8_lossy(object));
        let _ = ads::read(object, &["JobStatus", "TargetClouds", "Lst"]);
    }
    let jobs = htcondor::parse_jobs(text, &RULES).ok();
    let slots = htcondor::parse_slots(text).ok();
    assert!(finished || (jobs.is_none() && slots.is_none()), "half an answer was counted");

    // The tools print nothing if there are no ads. Everything else must be JSON, or is not compared.
    let plain: Vec<Ad> = match std::str::from_utf8(text).map(serde_json::from_str) {
        Ok(Ok(plain)) => plain,
        _ => return,
    };
    assert!(finished, "valid JSON was refused");
    let again: Vec<Ad> = objects.iter().map(|object| serde_json::from_slice(object).expect("an object")).collect();
    assert_eq!(again, plain);
    assert_eq!(jobs, count(&plain));
    let slots = slots.expect("any object is a slot");
    assert_eq!(slots.count, plain.len());
    assert!(slots.hosts.values().flat_map(|host| host.slots.values()).sum::<i64>() <= plain.len() as i64);
});

/// Returns the objects of a stream of these pieces, and whether it was complete.
fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut objects = Vec::new();
    let mut splitter = Splitter::default();
    let fed = pieces.into_iter().try_for_each(|piece| {
        splitter.feed(piece, &mut |object| {
            objects.push(object.to_vec());
            Ok(())
        })
    });
    let finished = fed.and_then(|()| splitter.finish());
    if let Ok(count) = finished {
        assert_eq!(count, objects.len());
    }
    (objects, finished.is_ok())
}

/// Splits `text` into pieces of these sizes, repeated cyclically; a size of zero is an empty piece.
fn pieces<'a>(text: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    // At least one size must not be zero, or the splitting would never end.
    let sizes = if sizes.iter().any(|size| *size > 0) { sizes } else { &[1] };
    let mut rest = text;
    sizes.iter().cycle().map_while(move |size| {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*size)));
        rest = after;
        Some(piece)
    })
}

/// An ad with its attributes in the order of the text. Of two with the same name, ignoring case, the later one counts.
#[derive(Debug, PartialEq)]
struct Ad(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ad {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct AdVisitor;
        impl<'de> Visitor<'de> for AdVisitor {
            type Value = Ad;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ad, A::Error> {
                let mut attributes = Vec::new();
                while let Some(attribute) = map.next_entry()? {
                    attributes.push(attribute);
                }
                Ok(Ad(attributes))
            }
        }
        json.deserialize_map(AdVisitor)
    }
}

impl Ad {
    fn get(&self, name: &str) -> &Value {
        let attribute = self.0.iter().rev().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
        attribute.map_or(&Value::Null, |(_, value)| value)
    }
}

/// Returns the number of jobs by group: each ad is one job, or as many as its `JobCount`. Returns `None` if a
/// `JobCount` is not a valid count.
fn count(plain: &[Ad]) -> Option<Jobs> {
    let mut jobs = BTreeMap::new();
    for ad in plain {
        let count = match ad.get("JobCount") {
            Value::Null | Value::Object(_) => 1,
            value => whole(value).filter(|count| (0..=1_000_000_000_000).contains(count))?,
        };
        let values = RULES.attributes().iter().map(|attribute| text(ad.get(attribute))).collect();
        *jobs.entry(JobGroup { status: whole(ad.get("JobStatus")), values }).or_default() += count;
    }
    Some(jobs)
}

fn whole(value: &Value) -> Option<i64> {
    let number: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (number.fract() == 0.0 && number.abs() <= 9e15).then_some(number as i64)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => number.as_f64().map(|number| number.to_string()),
        Value::String(text) => Some(text.clone()).filter(|text| !text.starts_with("/Expr(")),
        Value::Array(members) => Some(members.iter().filter_map(text).collect::<Vec<_>>().join(",")),
    }
}
