//! What a program declares: measurements, their tags and fields. One declaration serves every sink, roll-up and reader.

use std::borrow::Cow;
use std::fmt;

use super::{Point, Value};

/// Declares one kind of point, once, for every sink, roll-up and reader.
#[derive(Debug)]
pub struct Measurement {
    /// The measurement's name, the same in every store.
    pub name: &'static str,
    /// One sentence for the operator.
    pub meaning: &'static str,
    /// The tags, in the order in which a person reads them.
    pub tags: &'static [Tag],
    /// The fields.
    pub fields: &'static [Field],
    /// The Carbon path of a field, with `{tag}` for each tag that identifies the series and `{field}` for the
    /// field's name where there is more than one field.
    pub carbon: &'static str,
}

/// A tag of a [`Measurement`].
#[derive(Debug)]
pub struct Tag {
    /// The tag's name.
    pub name: &'static str,
    /// Whether it tells series apart (`true`) or only describes one (`false`).
    pub identifies: bool,
}

/// A field of a [`Measurement`].
#[derive(Debug)]
pub struct Field {
    /// The field's name.
    pub name: &'static str,
    /// Its type, the same for ever: InfluxDB drops points whose type differs.
    pub kind: Kind,
    /// The unit: a base unit (`seconds`, `bytes`, `ratio`) or the plural of what is counted (`jobs`).
    pub unit: &'static str,
    /// One sentence for the operator, with the source's own name of the number.
    pub meaning: &'static str,
    /// How values of many slots become one.
    pub fold: Fold,
    /// Whether a series that vanished from a complete answer is zero (a count) or unknown (the rest).
    pub count: bool,
}

/// The type of a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Int`].
    Int,
    /// [`Value::Float`].
    Float,
}

/// How a [`Field`] folds over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// The sum of the values.
    Sum,
    /// Their mean over the slots that the collector covered.
    Mean,
    /// The newest value.
    Last,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl fmt::Display for Fold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Last => "last",
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Int => "int",
            Self::Float => "float",
        })
    }
}

impl Measurement {
    /// A point of this measurement at `time` (nanoseconds since 1970, UTC): the tag values in the declared order,
    /// and the fields that are known, by name. Names outside the declaration are a bug of the caller.
    pub fn point<const N: usize>(&self, time: i64, tags: [&str; N], fields: &[(&'static str, Value)]) -> Point
    where
        Self: 'static,
    {
        debug_assert_eq!(self.tags.len(), N, "{}: one value per declared tag", self.name);
        debug_assert!(
            fields.iter().all(|(name, _)| self.fields.iter().any(|field| field.name == *name)),
            "{}: a field that is not declared",
            self.name
        );
        Point::new(
            Cow::Borrowed(self.name),
            self.tags.iter().zip(tags).map(|(tag, value)| (Cow::Borrowed(tag.name), value)),
            fields.iter().map(|(name, value)| (Cow::Borrowed(*name), *value)),
            time,
        )
    }
}
