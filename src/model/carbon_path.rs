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

/// The measurement of values that came by Carbon's own protocols: `carbon,path=a.b.c value=5`.
pub const RELAYED: &str = "carbon";

/// The tag that holds their path.
pub const RELAYED_PATH: &str = "path";

/// The field that holds their value.
pub const RELAYED_VALUE: &str = "value";

/// The longest path that Carbon can make into a file's, in bytes: the system takes 4,095 with Carbon's own folder and the ending.
const LONGEST_PATH: usize = 4000;

/// The longest name of a folder or file, in bytes.
const LONGEST_FILE: usize = 255;

/// Whether a path that came by Carbon's own protocols may leave for Carbon as it is: Carbon can make a file of it, inside its folder.
/// The file of a path with tags, `a.b;tag=value`, is named by a hash.
pub fn is_relayable(path: &str) -> bool {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && c != '\\';
    let (name, tags) = path.split_at(path.find(';').unwrap_or(path.len()));
    let is_file = || {
        let last = name.rsplit(['.', '/']).next().unwrap_or_default();
        last.len() + ".wsp".len() <= LONGEST_FILE && name.split(['.', '/']).all(|folder| folder.len() <= LONGEST_FILE)
    };
    path.len() <= LONGEST_PATH
        && !path.starts_with('/')
        && name.split('.').all(|component| !component.is_empty())
        && path.chars().all(fits)
        && (!tags.is_empty() || is_file())
}

/// Returns the Carbon path of a field of a point that no measurement declares: `MEASUREMENT.TAGVALUES.FIELD`, with the tags
/// sorted by name, each a component; or, for a value that came by Carbon's own protocols, its own path. Returns `None` for a path
/// that Carbon cannot keep.
pub fn undeclared_path(point: &Point, field: &str) -> Option<String> {
    if point.measurement() == RELAYED && field == RELAYED_VALUE && point.tags().count() == 1 {
        let path = point.tag(RELAYED_PATH)?;
        return is_relayable(path).then(|| path.into());
    }
    let mut path = String::with_capacity(point.series().len() + field.len());
    push_component(point.measurement(), &mut path);
    for (_, value) in point.tags() {
        path.push('.');
        push_component(value, &mut path);
    }
    path.push('.');
    push_component(field, &mut path);
    (path.len() <= LONGEST_PATH).then_some(path)
}

impl Measurement {
    /// Parses a Carbon path of this measurement into its keys (as path components) and its field; returns `None` for a
    /// path of another measurement.
    pub fn read_path(&'static self, path: &str) -> Option<Number> {
        let mut tags = Vec::new();
        let mut field = self.carbon_fields().next()?;
        let (mut template, mut components) = (self.carbon.split('.'), path.split('.'));
        // What a path has more than the declared one is a host's folders.
        let more = path.matches('.').count().checked_sub(self.carbon.matches('.').count())?;
        let is_safe = |component: &str| !component.is_empty() && carbon_component(component) == component;
        loop {
            match (template.next(), components.next()) {
                (None, None) => return Some(Number { measurement: self, tags, field }),
                (Some(name), Some(component)) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some("field") => field = self.carbon_fields().find(|field| field.name == component)?,
                    Some(tag) if is_safe(component) => match tag.strip_suffix('/') {
                        None => tags.push((tag, component.to_string())),
                        Some(tag) => {
                            let mut value = component.to_string();
                            for _ in 0..more {
                                let next = components.next().filter(|next| is_safe(next))?;
                                value = value + "." + next;
                            }
                            tags.push((tag, if more > 0 { value + "." } else { value }));
                        }
                    },
                    None if name == component => {}
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// Returns the pattern of graphite-web that matches all paths of this measurement; `known` gives the components that a tag may
    /// have, and nothing for any.
    pub fn carbon_pattern(&self, known: impl Fn(&str) -> Vec<String>) -> String {
        let components = self.carbon.split('.').map(|component| {
            let tag = component.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            let values = match tag {
                None => return component.to_string(),
                Some("field") => self.carbon_fields().map(|field| field.name.to_string()).collect(),
                Some(tag) => known(tag.trim_end_matches('/')),
            };
            match values.as_slice() {
                [] => "*".into(),
                values if tag == Some("field") => format!("{{{}}}", values.join(",")),
                [one] => one.clone(),
                values => format!("{{{}}}", values.join(",")),
            }
        });
        components.collect::<Vec<_>>().join(".")
    }

    /// Whether a field of `point` has a Carbon path.
    pub fn has_carbon_path(&'static self, point: &Point, field: &str) -> bool {
        let has = |part: &Part| match *part {
            Part::Text(_) | Part::Field => true,
            Part::Tag(at) | Part::Folders(at) => {
                point.tag_at(at.into(), self.tags[usize::from(self.sorted[usize::from(at)])].name).is_some()
            }
        };
        let has_tags = point.has_all_tags(self) || self.template.parts().iter().all(has);
        has_tags && self.field(field).is_none_or(|field| field.carbon)
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
                Part::Tag(at) | Part::Folders(at) => {
                    let tag = &self.tags[usize::from(self.sorted[usize::from(at)])];
                    let value = point.tag_at(at.into(), tag.name)?;
                    match folders(value).filter(|_| matches!(part, Part::Folders(_))) {
                        Some(folders) => push_folders(folders, &mut path),
                        None => push_component(value, &mut path),
                    }
                }
            }
        }
        Some(path)
    }
}

/// Returns the name that becomes folders, without its last dot; `None` for a name that is one component. A name that ends with
/// a dot is a whole one, as in DNS; so a point tells how it is written, whichever program sends it to Carbon.
fn folders(value: &str) -> Option<&str> {
    value.strip_suffix('.').filter(|name| name.contains('.') && name.split('.').all(|label| !label.is_empty()))
}

fn push_folders(name: &str, path: &mut String) {
    for (at, label) in name.split('.').enumerate() {
        if at > 0 {
            path.push('.');
        }
        push_component(label, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Declaration, Field, Fold, Tag};

    const LOAD: Field<f64> = Field::gauge("load", "tasks", Fold::Mean, "how many want to run");
    const TASKS: Field<f64> = Field::gauge("tasks", "tasks", Fold::Mean, "how many there are");

    static NODE: Measurement = Measurement::new(Declaration {
        name: "node",
        meaning: "a node",
        tags: &[Tag::key("host"), Tag::key("disk")],
        fields: &[LOAD.info(), TASKS.info()],
        carbon: "{host/}.Load.{disk}.{field}",
        every: 60,
    });

    #[test]
    fn names_that_are_longer_than_a_component_may_be_stay_apart_in_carbon() {
        let long = "é".repeat(150);
        let path = |measurement: &str, tag: &str, field: &str| {
            let fields = [(field.to_string().into(), Value::Int(1))];
            undeclared_path(&Point::new(measurement.to_string().into(), [("t".into(), tag)], fields, 0), field)
        };
        assert_eq!(path("m", &"x".repeat(200), "f"), Some(format!("m.{}.f", "x".repeat(200))));
        let of_tag = path("m", &long, "f").unwrap();
        assert_eq!(of_tag, format!("m.{}_68f95dee7a64a70d.f", "_".repeat(91)));
        let others = [format!("{long}x"), format!("{long}y"), format!("x{long}")];
        let mut all: Vec<_> = others.iter().map(|tag| path("m", tag, "f").unwrap()).chain([of_tag]).collect();
        all.extend([path(&long, "t", "f").unwrap(), path("m", "t", &long).unwrap()]);
        assert!(all.iter().all(|path| path.split('.').all(|component| component.len() <= 200)), "{all:?}");
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        // Carbon could make no file of it.
        let (tags, long): (Vec<_>, _) = ((0..20).map(|at| format!("t{at:02}")).collect(), "x".repeat(200));
        let tags = tags.iter().map(|name| (name.clone().into(), long.as_str()));
        let point = Point::new("m".into(), tags, [("f".into(), Value::Int(1))], 0);
        assert_eq!(undeclared_path(&point, "f").map(|path| path.len()), None);
    }

    #[test]
    fn a_host_that_ends_with_a_dot_is_folders_and_the_path_leads_back_to_it() {
        for (host, path) in [
            ("wn1", "wn1.Load.a_b.load"),
            ("wn1.example.org", "wn1_example_org.Load.a_b.load"),
            ("wn1.example.org.", "wn1.example.org.Load.a_b.load"),
            ("wn1.", "wn1_.Load.a_b.load"),
            (".", "_.Load.a_b.load"),
            ("a..b.", "a__b_.Load.a_b.load"),
            ("ä.b c.", "_.b_c.Load.a_b.load"),
        ] {
            let point = NODE.point(0, [host, "a.b"], &[LOAD.of(1.0)]);
            assert_eq!(NODE.carbon_path(&point, "load").as_deref(), Some(path));
            let Number { tags, field, .. } = NODE.read_path(path).unwrap();
            let again = NODE.point(0, [&tags[0].1, &tags[1].1], &[LOAD.of(1.0)]);
            assert_eq!((NODE.carbon_path(&again, field.name).as_deref(), field.name), (Some(path), "load"));
        }
        for path in ["Load.a.load", "a.Load.b.nosuch", "a..Load.b.load", "a.b.Lood.c.load", ".a.Load.b.load"] {
            assert!(NODE.read_path(path).is_none(), "{path}");
        }
    }
}
