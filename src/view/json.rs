//! The numbers of a page as JSON, each at the path that the page declares. Pure.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::page::{JsonPlace, Page};
use super::table::{Number, Section};

/// The newest numbers of a page: `{"now": …, "problem": …, "grids": […]}`.
#[derive(Clone, Copy, Debug)]
pub struct PageJson<'a> {
    /// The clock, in unix seconds.
    pub now: i64,
    /// Why the last read failed; `None` if it succeeded.
    pub problem: Option<&'a str>,
    /// What is strange about the numbers; left out if nothing is.
    pub notice: Option<&'a str>,
    /// The page; its name is the key of the sections.
    pub page: &'a Page,
    /// The sections.
    pub sections: &'a [Section],
}

/// One name on the path to a number.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// A fixed name.
    Name(&'static str),
    /// The value of a tag.
    Tag(&'static str),
    /// The field's name.
    Field,
}

/// The declared path of one measurement's numbers.
struct JsonPath {
    /// The measurement, by its index in [`Page::measurements`].
    measurement: usize,
    only: Option<(&'static str, &'static str)>,
    steps: Vec<Step>,
}

/// The possible children of a name.
#[derive(Default)]
struct Shape {
    /// The fixed names, in this order; they exist without any number.
    names: Vec<(&'static str, Shape)>,
    /// The shape below the names that come from tags and fields.
    any: Option<Box<Shape>>,
}

/// The value below a name.
enum Tree<'a> {
    /// A fixed name without a number.
    Nothing,
    Number(&'a Number),
    /// Children by name, in the order of the shape, then of the name.
    Map(BTreeMap<(usize, &'a str), Tree<'a>>),
}

/// Returns the declared paths, then the default ones of measurements without a path.
fn paths(page: &Page) -> Vec<JsonPath> {
    let measurements = page.measurements();
    let at = |place: &JsonPlace| measurements.iter().position(|one| one.name == place.measurement.name);
    let declared = page.json.iter().filter_map(|place| {
        let steps =
            place.path.split('.').map(|name| match name.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                None => Step::Name(name),
                Some("field") => Step::Field,
                Some(tag) => Step::Tag(tag),
            });
        Some(JsonPath { measurement: at(place)?, only: place.only, steps: steps.collect() })
    });
    let mut paths: Vec<_> = declared.collect();
    for (at, measurement) in measurements.iter().enumerate() {
        if !paths.iter().any(|path| path.measurement == at) {
            let tags = measurement.tags.iter().filter(|tag| tag.identifies && Some(tag.name) != page.section);
            let tags = tags.map(|tag| Step::Tag(tag.name));
            let steps = [Step::Name(measurement.name)].into_iter().chain(tags).chain([Step::Field]).collect();
            paths.push(JsonPath { measurement: at, only: None, steps });
        }
    }
    paths
}

impl Shape {
    fn of(paths: &[JsonPath]) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut shape = &mut root;
            for step in &path.steps {
                shape = match *step {
                    Step::Tag(_) | Step::Field => shape.any.get_or_insert_default(),
                    Step::Name(name) => {
                        let at = shape.names.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                            shape.names.push((name, Self::default()));
                            shape.names.len() - 1
                        });
                        &mut shape.names[at].1
                    }
                };
            }
        }
        root
    }

    /// Returns the fixed names without any number.
    fn empty<'a>(&self) -> Tree<'a> {
        if self.names.is_empty() && self.any.is_none() {
            return Tree::Nothing;
        }
        Tree::Map(self.names.iter().enumerate().map(|(at, (name, shape))| ((at, *name), shape.empty())).collect())
    }
}

/// Returns the numbers of a section at their paths.
fn tree<'a>(section: &'a Section, paths: &[JsonPath], shape: &Shape) -> Tree<'a> {
    let mut root = shape.empty();
    for path in paths {
        // A number goes to the first path that fits.
        let before: Vec<_> = paths.iter().take_while(|other| !std::ptr::eq(*other, path)).collect();
        let fits = |path: &JsonPath, number: &Number| path.only.is_none_or(|(tag, value)| number.tag(tag) == value);
        for number in section.numbers(path.measurement) {
            if fits(path, number)
                && !before.iter().any(|other| other.measurement == path.measurement && fits(other, number))
            {
                insert(&mut root, shape, &path.steps, number);
            }
        }
    }
    root
}

fn insert<'a>(root: &mut Tree<'a>, shape: &Shape, steps: &[Step], number: &'a Number) {
    let (mut tree, mut shape) = (root, shape);
    for step in steps {
        let Tree::Map(map) = tree else { return };
        let (key, below) = match *step {
            Step::Name(name) => {
                let Some(at) = shape.names.iter().position(|(known, _)| *known == name) else { return };
                ((at, name), &shape.names[at].1)
            }
            Step::Tag(_) | Step::Field => {
                let Some(below) = &shape.any else { return };
                let name = if let Step::Tag(tag) = *step { number.tag(tag) } else { number.field() };
                ((shape.names.len(), name), &**below)
            }
        };
        (tree, shape) = (map.entry(key).or_insert_with(|| below.empty()), below);
    }
    *tree = Tree::Number(number);
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => to.serialize_none(),
            Self::Number(number) => number.serialize(to),
            Self::Map(map) => to.collect_map(map.iter().map(|((_, name), tree)| (name, tree))),
        }
    }
}

/// A section as JSON: its name and time, then its numbers.
struct SectionJson<'a>(&'a Section, Tree<'a>);

impl Serialize for SectionJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("time", &self.0.time)?;
        if let Tree::Map(numbers) = &self.1 {
            for ((_, name), tree) in numbers {
                map.serialize_entry(name, tree)?;
            }
        }
        map.end()
    }
}

impl Serialize for PageJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let paths = paths(self.page);
        let shape = Shape::of(&paths);
        let sections = self.sections.iter().map(|section| SectionJson(section, tree(section, &paths, &shape)));
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("now", &self.now)?;
        map.serialize_entry("problem", &self.problem)?;
        if let Some(notice) = self.notice {
            map.serialize_entry("notice", notice)?;
        }
        map.serialize_entry(&self.page.name, &sections.collect::<Vec<_>>())?;
        map.end()
    }
}
