//! What a program declares: measurements, their tags and fields. One declaration serves every sink, roll-up and reader.
//!
//! A wrong declaration fails the build: [`Measurement::new`] is a `const fn` and panics. A value of the wrong type does not
//! compile: a [`Field`] knows its type.

use std::fmt;
use std::marker::PhantomData;

use super::declaration::{self, MAX_TAGS, Template};
use super::{Point, Value};

/// What [`Measurement::new`] is given.
#[derive(Debug)]
pub struct Declaration {
    /// The measurement's name, the same in every store.
    pub name: &'static str,
    /// One sentence for the operator.
    pub meaning: &'static str,
    /// The tags, in the order in which a person reads them.
    pub tags: &'static [Tag],
    /// The fields.
    pub fields: &'static [FieldInfo],
    /// The Carbon path of a field: each key tag once as a component `{tag}`, and `{field}` where Carbon gets more than one
    /// field.
    pub carbon: &'static str,
    /// The default interval of the programs that send it, in seconds.
    pub every: i64,
}

/// Declares one kind of point, once, for every sink, roll-up and reader. Made by [`Measurement::new`] alone.
#[derive(Debug)]
pub struct Measurement {
    /// The measurement's name, the same in every store.
    pub name: &'static str,
    /// One sentence for the operator.
    pub meaning: &'static str,
    /// The tags, in the order in which a person reads them.
    pub tags: &'static [Tag],
    /// The fields.
    pub fields: &'static [FieldInfo],
    /// The Carbon path of a field, with `{tag}` for each key tag and `{field}` for the field's name.
    pub carbon: &'static str,
    /// The default interval of the programs that send it, in seconds.
    pub every: i64,
    /// The Carbon path, taken apart.
    pub(super) template: Template,
    /// The positions of the tags, sorted by name.
    pub(super) sorted: [u8; MAX_TAGS],
}

/// A tag of a [`Measurement`].
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    /// The tag's name.
    pub name: &'static str,
    /// Whether it tells series apart (`true`) or only describes one (`false`).
    pub identifies: bool,
}

impl Tag {
    /// A tag that identifies a series: points that differ in it belong to different series. It stands in the Carbon path.
    pub const fn key(name: &'static str) -> Self {
        Self { name, identifies: true }
    }

    /// A tag that describes a series: its text may change from point to point, and the newest one holds.
    pub const fn label(name: &'static str) -> Self {
        Self { name, identifies: false }
    }
}

/// A field of a [`Measurement`], without its Rust type.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
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
    /// Whether Carbon gets it.
    pub carbon: bool,
}

/// The Rust type of a field's values: `i64` or `f64`.
pub trait FieldType: Into<Value> + sealed::Sealed {
    /// How a declaration and InfluxDB call it.
    const KIND: Kind;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
}

impl FieldType for i64 {
    const KIND: Kind = Kind::Int;
}

impl FieldType for f64 {
    const KIND: Kind = Kind::Float;
}

/// A field of a [`Measurement`] with the type of its values: `Field<i64>` or `Field<f64>`.
///
/// ```
/// # use gridmon::model::{Field, Fold};
/// const JOBS: Field<i64> = Field::count("jobs", "jobs", "by JobStatus");
/// const LOAD: Field<f64> = Field::gauge("load", "ratio", Fold::Mean, "the load of the machine (/proc/loadavg)");
/// let values = [JOBS.of(5), LOAD.of(0.25)];
/// ```
///
/// A value of another type does not compile:
///
/// ```compile_fail
/// # use gridmon::model::{Field, Fold};
/// const JOBS: Field<i64> = Field::count("jobs", "jobs", "by JobStatus");
/// let values = [JOBS.of(5.0)];
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Field<T> {
    info: FieldInfo,
    of: PhantomData<fn(T)>,
}

impl<T: FieldType> Field<T> {
    /// A count: its mean over time, and zero when its series vanished from a complete answer.
    pub const fn count(name: &'static str, unit: &'static str, meaning: &'static str) -> Self {
        Self::new(name, unit, Fold::Mean, meaning, true)
    }

    /// A number that is unknown when its series is absent.
    pub const fn gauge(name: &'static str, unit: &'static str, fold: Fold, meaning: &'static str) -> Self {
        Self::new(name, unit, fold, meaning, false)
    }

    const fn new(name: &'static str, unit: &'static str, fold: Fold, meaning: &'static str, count: bool) -> Self {
        Self { info: FieldInfo { name, kind: T::KIND, unit, meaning, fold, count, carbon: true }, of: PhantomData }
    }

    /// The same field, folded in another way.
    #[must_use]
    pub const fn folded(mut self, fold: Fold) -> Self {
        self.info.fold = fold;
        self
    }

    /// The same field, which Carbon does not get.
    #[must_use]
    pub const fn without_carbon(mut self) -> Self {
        self.info.carbon = false;
        self
    }

    /// The field without its type, as a measurement lists it.
    pub const fn info(&self) -> FieldInfo {
        self.info
    }

    /// A value of this field, for [`Measurement::point`].
    pub fn of(&self, value: T) -> FieldValue {
        FieldValue { name: self.info.name, value: value.into() }
    }
}

/// A value with the field that it belongs to; [`Field::of`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct FieldValue {
    pub(super) name: &'static str,
    pub(super) value: Value,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Int`].
    Int,
    /// [`Value::Float`].
    Float,
}

/// How a field folds over time.
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
    /// A measurement, checked.
    ///
    /// ```
    /// # use gridmon::model::{Declaration, Field, Fold, Measurement, Tag};
    /// const RUNNING: Field<i64> = Field::count("running", "jobs", "jobs that run");
    /// const LOAD: Field<f64> = Field::gauge("load", "ratio", Fold::Mean, "how busy it is");
    ///
    /// static QUEUE: Measurement = Measurement::new(Declaration {
    ///     name: "queue",
    ///     meaning: "one queue",
    ///     tags: &[Tag::key("cluster"), Tag::key("queue"), Tag::label("state")],
    ///     fields: &[RUNNING.info(), LOAD.info()],
    ///     carbon: "clusters.{cluster}.queues.{queue}.{field}",
    ///     every: 60,
    /// });
    ///
    /// let point = QUEUE.point(0, ["a", "b", "online"], &[RUNNING.of(3)]);
    /// assert_eq!(point.line(), "queue,cluster=a,queue=b,state=online running=3i 0");
    /// assert_eq!(point.series(), "queue,cluster=a,queue=b");
    /// ```
    ///
    /// A key that is missing in the Carbon path fails the build:
    ///
    /// ```compile_fail,E0080
    /// # use gridmon::model::{Declaration, Field, Fold, Measurement, Tag};
    /// # const RUNNING: Field<i64> = Field::count("running", "jobs", "jobs that run");
    /// static QUEUE: Measurement = Measurement::new(Declaration {
    ///     name: "queue",
    ///     meaning: "one queue",
    ///     tags: &[Tag::key("cluster"), Tag::key("queue"), Tag::label("state")],
    ///     fields: &[RUNNING.info()],
    ///     carbon: "clusters.{cluster}.queues.running",
    ///     every: 60,
    /// });
    /// ```
    ///
    /// So does a label in it:
    ///
    /// ```compile_fail,E0080
    /// # use gridmon::model::{Declaration, Field, Fold, Measurement, Tag};
    /// # const RUNNING: Field<i64> = Field::count("running", "jobs", "jobs that run");
    /// static QUEUE: Measurement = Measurement::new(Declaration {
    ///     name: "queue",
    ///     meaning: "one queue",
    ///     tags: &[Tag::key("cluster"), Tag::key("queue"), Tag::label("state")],
    ///     fields: &[RUNNING.info()],
    ///     carbon: "clusters.{cluster}.queues.{queue}.{state}.running",
    ///     every: 60,
    /// });
    /// ```
    ///
    /// So do two fields at one Carbon path:
    ///
    /// ```compile_fail,E0080
    /// # use gridmon::model::{Declaration, Field, Fold, Measurement, Tag};
    /// # const RUNNING: Field<i64> = Field::count("running", "jobs", "jobs that run");
    /// # const LOAD: Field<f64> = Field::gauge("load", "ratio", Fold::Mean, "how busy it is");
    /// static QUEUE: Measurement = Measurement::new(Declaration {
    ///     name: "queue",
    ///     meaning: "one queue",
    ///     tags: &[Tag::key("cluster"), Tag::key("queue"), Tag::label("state")],
    ///     fields: &[RUNNING.info(), LOAD.info()],
    ///     carbon: "clusters.{cluster}.queues.{queue}",
    ///     every: 60,
    /// });
    /// ```
    ///
    /// # Panics
    /// When a name is empty, unsafe or there twice; when the Carbon path lacks a key, has one twice, a label or an unknown
    /// placeholder, or no `{field}` though Carbon gets several fields; when `every` is not positive. In a `static` or a
    /// `const` that fails the build.
    pub const fn new(declared: Declaration) -> Self {
        let Declaration { name, meaning, tags, fields, carbon, every } = declared;
        assert!(every > 0, "the interval is not positive");
        declaration::check_names(name, tags, fields);
        let sorted = declaration::sorted(tags);
        let template = Template::new(carbon, tags, &sorted);
        declaration::check_path(&template, tags, fields);
        Self { name, meaning, tags, fields, carbon, every, template, sorted }
    }

    /// A point of this measurement at `time` (nanoseconds since 1970, UTC): the tag values in the declared order, and the
    /// fields that are known. [`validate`](super::validate) drops, by name, a point with the wrong number of tags or a field
    /// of another measurement.
    pub fn point<const N: usize>(&'static self, time: i64, tags: [&str; N], fields: &[FieldValue]) -> Point {
        Point::declared(self, time, &tags, fields)
    }

    /// The declaration of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&FieldInfo> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The fields that Carbon gets.
    pub fn carbon_fields(&self) -> impl Iterator<Item = &FieldInfo> {
        self.fields.iter().filter(|field| field.carbon)
    }

    /// Whether any of its tags only describes a series.
    pub fn has_labels(&self) -> bool {
        self.tags.iter().any(|tag| !tag.identifies)
    }

    /// Whether a series that vanished from a complete answer is zero.
    pub fn has_counts(&self) -> bool {
        self.fields.iter().any(|field| field.count)
    }
}
