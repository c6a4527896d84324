//! Carbon paths: from a point to its paths, and from a path to its number.

use super::declaration::Part;
use super::name::push_component;
use super::{FieldInfo, Measurement, Point, Value, carbon_component};

/// The field of a series that a Carbon path names.
#[derive(Clone, Debug)]
pub struct Number {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The key tags of the series, as path components.
    pub tags: Vec<(&'static str, String)>,
    /// The field.
    pub field: &'static FieldInfo,
}

/// One value of one Carbon path.
#[derive(Clone, Debug, PartialEq)]
pub struct Datapoint {
    /// The path; every component is safe.
    pub path: String,
    /// Seconds since 1970, UTC.
    pub time: i64,
    /// The value; always finite.
    pub value: Value,
}

impl Datapoint {
    /// Returns `path value timestamp`, as Carbon's line receiver accepts it and `--dry-run` prints it.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.path, self.value, self.time)
    }
}

impl Measurement {
    /// Parses a Carbon path of this measurement into its keys (as path components) and its field; returns `None` for a
    /// path of another measurement.
    pub fn read_path(&'static self, path: &str) -> Option<Number> {
        let mut tags = Vec::new();
        let mut field = self.carbon_fields().next()?;
        let (mut template, mut components) = (self.carbon.split('.'), path.split('.'));
        loop {
            match (template.next(), components.next()) {
                (None, None) => return Some(Number { measurement: self, tags, field }),
                (Some(name), Some(component)) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some("field") => field = self.carbon_fields().find(|field| field.name == component)?,
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

    /// Returns the Carbon path of one field of `point`; every component is safe.
    ///
    /// Returns `None` if the point lacks a tag of the path, or if Carbon does not get the field.
    pub fn carbon_path(&self, point: &Point, field: &str) -> Option<String> {
        if self.field(field).is_some_and(|field| !field.carbon) {
            return None;
        }
        let mut path = String::with_capacity(self.carbon.len() + 64);
        for part in self.template.parts() {
            match *part {
                Part::Text(text) => path.push_str(text),
                Part::Field => path.push_str(&carbon_component(field)),
                Part::Tag(at) => {
                    let tag = &self.tags[usize::from(self.sorted[usize::from(at)])];
                    push_component(point.tag_at(at.into(), tag.name)?, &mut path);
                }
            }
        }
        Some(path)
    }
}
