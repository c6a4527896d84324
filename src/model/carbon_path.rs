//! Carbon paths: from a point, and back to the number that a path names.

use super::declaration::Part;
use super::name::push_component;
use super::{FieldInfo, Measurement, Point, Value, carbon_component};

/// What a Carbon path names: one field of one series.
#[derive(Clone, Debug)]
pub struct Number {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The keys of the series, as components of a path.
    pub tags: Vec<(&'static str, String)>,
    /// The field.
    pub field: &'static FieldInfo,
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
    /// What a Carbon path of this measurement says: its keys, as components of a path, and its field; `None` for a path of
    /// another measurement.
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

    /// The Carbon path of one field of `point`, every component safe; `None` when the point lacks a tag that
    /// the path needs, and for a field that Carbon does not get.
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
