//! Carbon paths: from a point, and back to the number that a path names.

use super::{Field, Measurement, Point, Value, carbon_component};

/// What a Carbon path names: one field of one series.
#[derive(Clone, Debug)]
pub struct Number {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The tags that identify the series, as components of a path.
    pub tags: Vec<(&'static str, String)>,
    /// The field.
    pub field: &'static Field,
}

/// One value of one path, in Carbon's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Datapoint {
    /// The path, every component safe.
    pub path: String,
    /// Seconds since 1970, UTC.
    pub time: i64,
    /// The value, finite.
    pub value: Value,
}

impl Datapoint {
    /// `path value timestamp`, as Carbon's line receiver takes it and as `--dry-run` shows it.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.path, self.value, self.time)
    }
}

impl Measurement {
    /// What a Carbon path of this measurement says: its tags, as components of a path, and its field; `None` for a path of
    /// another measurement.
    pub fn read_path(&'static self, path: &str) -> Option<Number> {
        let mut tags = Vec::new();
        let mut field = self.fields.first()?;
        let (mut template, mut components) = (self.carbon.split('.'), path.split('.'));
        loop {
            match (template.next(), components.next()) {
                (None, None) => return Some(Number { measurement: self, tags, field }),
                (Some(name), Some(component)) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some("field") => field = self.fields.iter().find(|field| field.name == component)?,
                    Some(tag) if !component.is_empty() && carbon_component(component) == component => {
                        tags.push((tag, component.to_string()));
                    }
                    None if name == component => {}
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// The Carbon path of one field of `point`, every component safe; `None` when the point lacks a tag that
    /// the path needs.
    pub fn carbon_path(&self, point: &Point, field: &str) -> Option<String> {
        let mut path = String::with_capacity(self.carbon.len() + 64);
        let mut rest = self.carbon;
        while let Some((literal, after)) = rest.split_once('{') {
            path.push_str(literal);
            let (name, after) = after.split_once('}')?;
            path.push_str(&carbon_component(if name == "field" { field } else { point.tag(name)? }));
            rest = after;
        }
        path.push_str(rest);
        Some(path)
    }
}
