//! One observation, and which points every sink can take.

use std::collections::BTreeSet;

use super::name::{safe_measurement, safe_name};
use super::{Name, Value, safe_text};

/// One observation: measurement, tags, fields and time. Its tags and fields are sorted by name and its texts
/// are safe, so that two points with the same content are equal and line protocol gives back what it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub(super) measurement: Name,
    pub(super) tags: Vec<(Name, String)>,
    pub(super) fields: Vec<(Name, Value)>,
    pub(super) time: i64,
}

impl Point {
    /// A point with its texts made safe and its tags and fields sorted by name. Of two values for one name the
    /// first stays.
    pub fn new<'a>(
        measurement: Name,
        tags: impl IntoIterator<Item = (Name, &'a str)>,
        fields: impl IntoIterator<Item = (Name, Value)>,
        time: i64,
    ) -> Self {
        let mut tags: Vec<_> =
            tags.into_iter().map(|(name, value)| (safe_name(name), safe_text(value).into_owned())).collect();
        tags.sort_by(|a, b| a.0.cmp(&b.0));
        tags.dedup_by(|b, a| a.0 == b.0);
        let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (safe_name(name), value)).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields.dedup_by(|b, a| a.0 == b.0);
        Self { measurement: safe_measurement(measurement), tags, fields, time }
    }

    /// A point of the same series.
    pub fn at(&self, time: i64, fields: impl IntoIterator<Item = (Name, Value)>) -> Self {
        let mut point = Self::new("_".into(), [], fields, time);
        (point.measurement, point.tags) = (self.measurement.clone(), self.tags.clone());
        point
    }

    /// The name of its measurement.
    pub fn measurement(&self) -> &str {
        &self.measurement
    }

    /// Its tags, sorted by name, none empty.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// The value of one tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags().find(|tag| tag.0 == name).map(|tag| tag.1)
    }

    /// Its fields, sorted by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Value)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Its time in nanoseconds since 1970, UTC.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Why no sink can take this point; `None` for a good one.
    pub fn fault(&self) -> Option<String> {
        if self.fields.is_empty() {
            return Some("it has no field".into());
        }
        self.fields().find_map(|(name, value)| match value {
            Value::Float(float) if !float.is_finite() => Some(format!("field {name} is {float}")),
            _ => None,
        })
    }
}

/// A point that no sink can take, or that says again what an earlier one said: dropped, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The series or the Carbon path.
    pub name: String,
    /// Why, in words that follow "dropped NAME: ".
    pub why: String,
}

/// The points that every sink can be given, sorted by series and time, and those that none can: faulty values,
/// and the second of two points that would be one row (same series, same time).
pub fn validate(mut points: Vec<Point>) -> (Vec<Point>, Vec<Dropped>) {
    // The sort is stable: of two points of one row the one that came first stays.
    points.sort_by_cached_key(|point| (point.series(), point.time));
    let mut dropped = Vec::new();
    let mut seen = BTreeSet::new();
    points.retain(|point| {
        let name = point.series();
        let why = point
            .fault()
            .or_else(|| (!seen.insert((name.clone(), point.time))).then(|| "another point has the same name".into()));
        match why {
            Some(why) => {
                dropped.push(Dropped { name, why });
                false
            }
            None => true,
        }
    });
    (points, dropped)
}
