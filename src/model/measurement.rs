//! Declarations: measurements, their tags and fields. One declaration serves every sink, roll-up and reader.
//!
//! A wrong declaration fails the build: [`Measurement::new`] is a `const fn` and panics. A value of the wrong type does
//! not compile, since a [`Field`] knows its type.

use std::fmt;
use std::marker::PhantomData;

use super::declaration::{self, MAX_TAGS, Template};
use super::{Labels, Point, RrdFile, Value};

/// The argument of [`Measurement::new`].
#[derive(Debug)]
pub struct Declaration {
    /// The measurement's name, the same in every store.
    pub name: &'static str,
    /// One sentence for the operator.
    pub meaning: &'static str,
    /// The tags, in reading order.
    pub tags: &'static [Tag],
    /// The fields.
    pub fields: &'static [FieldInfo],
    /// The Carbon path of a field: each key tag once as a component `{tag}`, and `{field}` if Carbon gets several
    /// fields. A value of `{tag/}` that ends with a dot becomes folders: its dots stay.
    pub carbon: &'static str,
    /// The default interval of the programs that send it, in seconds.
    pub every: i64,
}

/// One kind of point, declared once for every sink, roll-up and reader. Only [`Measurement::new`] makes one.
#[derive(Debug)]
pub struct Measurement {
    /// The measurement's name, the same in every store.
    pub name: &'static str,
    /// One sentence for the operator.
    pub meaning: &'static str,
    /// The tags, in reading order.
    pub tags: &'static [Tag],
    /// The fields.
    pub fields: &'static [FieldInfo],
    /// The Carbon path of a field, with `{tag}` for each key tag and `{field}` for the field's name.
    pub carbon: &'static str,
    /// The default interval of the programs that send it, in seconds.
    pub every: i64,
    /// The rules of its hourly and daily points beyond the folds of its fields.
    pub exact: Option<Exact>,
    /// The files in rrdtool's format that hold its fields, if `[rrd]` names a directory.
    pub rrd: &'static [RrdFile],
    /// The parsed Carbon path.
    pub(super) template: Template,
    /// The indices of the tags, sorted by name.
    pub(super) sorted: [u8; MAX_TAGS],
    /// The indices of the keys, sorted by name, and their number.
    pub(super) keys: ([u8; MAX_TAGS], usize),
    /// The place of each tag among the keys, or among the labels.
    pub(super) ranks: [u8; MAX_TAGS],
}

/// The rules of a measurement whose hourly and daily points tell in fields of their own what they were folded from.
#[derive(Clone, Copy, Debug)]
pub struct Exact {
    /// The count that folds to its sum or, rounded half up to hundredths, to its mean over the covered slots. The means
    /// of the other fields have two digits.
    pub field: &'static str,
    /// The field of a folded point that holds the exact sum of the count.
    pub sum: &'static str,
    /// The field of a folded point that holds the number of slots; 0 where another point replaced this one.
    pub slots: &'static str,
    /// The tag by which events are told, and its values for them: they fold to their sum.
    pub events: (&'static str, &'static [&'static str]),
    /// The field that is greater in the point that counts, of two in one slot. It does not fold.
    pub order: &'static str,
    /// Returns how long after its slot or label a point of a series stands, in nanoseconds.
    pub offset: fn(&Point) -> i64,
}

/// A tag of a [`Measurement`].
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    /// The tag's name.
    pub name: &'static str,
    /// Whether it identifies a series (`true`) or only describes one (`false`).
    pub identifies: bool,
}

impl Tag {
    /// Declares a tag that identifies a series and is part of the Carbon path: points that differ in it belong to
    /// different series.
    pub const fn key(name: &'static str) -> Self {
        Self { name, identifies: true }
    }

    /// Declares a tag that describes a series: its text may change from point to point; the newest one counts.
    pub const fn label(name: &'static str) -> Self {
        Self { name, identifies: false }
    }
}

/// A field of a [`Measurement`], without its Rust type.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// The field's name.
    pub name: &'static str,
    /// Its type. It can never change: InfluxDB drops points with another type.
    pub kind: Kind,
    /// The unit: a base unit (`seconds`, `bytes`, `ratio`) or the plural of the counted things (`jobs`).
    pub unit: &'static str,
    /// One sentence for the operator, with the source's own name for the number.
    pub meaning: &'static str,
    /// How the values of several slots become one value.
    pub fold: Fold,
    /// Whether a series that disappeared from a complete answer is zero (a count) or unknown (every other field).
    pub count: bool,
    /// Whether Carbon gets it.
    pub carbon: bool,
}

/// The Rust type of a field's values: `i64` or `f64`.
pub trait FieldType: Into<Value> + sealed::Sealed {
    /// Its name in declarations and in InfluxDB.
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
    /// Declares a count: it folds to its mean, and is zero if its series disappeared from a complete answer.
    pub const fn count(name: &'static str, unit: &'static str, meaning: &'static str) -> Self {
        Self::new(name, unit, Fold::Mean, meaning, true)
    }

    /// Declares a number that is unknown if its series is missing.
    pub const fn gauge(name: &'static str, unit: &'static str, fold: Fold, meaning: &'static str) -> Self {
        Self::new(name, unit, fold, meaning, false)
    }

    const fn new(name: &'static str, unit: &'static str, fold: Fold, meaning: &'static str, count: bool) -> Self {
        Self { info: FieldInfo { name, kind: T::KIND, unit, meaning, fold, count, carbon: true }, of: PhantomData }
    }

    /// Changes the fold.
    #[must_use]
    pub const fn folded(mut self, fold: Fold) -> Self {
        self.info.fold = fold;
        self
    }

    /// Withholds the field from Carbon.
    #[must_use]
    pub const fn without_carbon(mut self) -> Self {
        self.info.carbon = false;
        self
    }

    /// Returns the field without its type, for the list of a measurement.
    pub const fn info(&self) -> FieldInfo {
        self.info
    }

    /// Returns a value of this field, for [`Measurement::point`].
    pub fn of(&self, value: T) -> FieldValue {
        FieldValue { name: self.info.name, value: value.into() }
    }
}

/// A value with its field; [`Field::of`] makes one.
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
    /// The mean of the values over the slots that the collector covered.
    Mean,
    /// The newest value.
    Last,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl Fold {
    /// Returns its name in lists: `sum`, `mean`, `last`, `min`, `max`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Last => "last",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
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
    /// Checks a declaration and makes the measurement.
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
    /// A Carbon path without one of the keys fails the build:
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
    /// So does a Carbon path with a label:
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
    /// So do two fields with the same Carbon path:
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
    /// Panics if a name is empty, unsafe or duplicate; if the Carbon path lacks a key, or has a key twice, a label or
    /// an unknown placeholder; if it lacks `{field}` though Carbon gets several fields; and if `every` is not positive.
    /// In a `static` or a `const` a panic fails the build.
    pub const fn new(declared: Declaration) -> Self {
        let Declaration { name, meaning, tags, fields, carbon, every } = declared;
        assert!(every > 0, "the interval is not positive");
        declaration::check_names(name, tags, fields);
        let sorted = declaration::sorted(tags);
        let template = Template::new(carbon, tags, &sorted);
        declaration::check_path(&template, tags, fields);
        Self {
            name,
            meaning,
            tags,
            fields,
            carbon,
            every,
            exact: None,
            rrd: &[],
            template,
            sorted,
            keys: declaration::keys(tags, &sorted),
            ranks: declaration::ranks(tags),
        }
    }

    /// Declares the rules of its hourly and daily points.
    #[must_use]
    pub const fn exactly(mut self, exact: Exact) -> Self {
        self.exact = Some(exact);
        self
    }

    /// Declares files in rrdtool's format for each of its series.
    ///
    /// # Panics
    /// Panics if a folder is not a key tag, if a field is unknown, or if a name does not fit into a file. In a `static` or a
    /// `const` a panic fails the build.
    #[must_use]
    pub const fn in_rrd(mut self, files: &'static [RrdFile]) -> Self {
        let mut at = 0;
        while at < files.len() {
            assert!(files[at].fits(self.tags, self.fields), "a file in rrdtool's format does not fit the measurement");
            at += 1;
        }
        self.rrd = files;
        self
    }

    /// Returns a point at `time` (nanoseconds since 1970, UTC) with the tag values in the declared order and the known
    /// fields.
    ///
    /// [`validate`](super::validate) drops, by name, a point with the wrong number of tags or a field of another
    /// measurement.
    pub fn point<const N: usize>(&'static self, time: i64, tags: [&str; N], fields: &[FieldValue]) -> Point {
        Point::declared(self, time, &tags, fields)
    }

    /// Returns the labels of points, with their values in the declared order.
    pub fn labels<const N: usize>(&'static self, values: [&str; N]) -> Labels {
        Labels::new(self, values)
    }

    /// Returns such a point as [`Measurement::point`] does, with the values of the keys in the declared order, and labels
    /// that it has in common with others.
    ///
    /// ```
    /// # use gridmon::model::{Declaration, Field, Measurement, Tag};
    /// # const RUNNING: Field<i64> = Field::count("running", "jobs", "jobs that run");
    /// # static QUEUE: Measurement = Measurement::new(Declaration {
    /// #     name: "queue",
    /// #     meaning: "one queue",
    /// #     tags: &[Tag::key("queue"), Tag::label("state"), Tag::key("user")],
    /// #     fields: &[RUNNING.info()],
    /// #     carbon: "queues.{queue}.{user}",
    /// #     every: 60,
    /// # });
    /// let labels = QUEUE.labels(["on line"]);
    /// let point = QUEUE.point_with(0, ["a", "b"], &labels, &[RUNNING.of(3)]);
    /// assert_eq!(point.line(), r"queue,queue=a,state=on\ line,user=b running=3i 0");
    /// ```
    pub fn point_with<const N: usize>(
        &'static self,
        time: i64,
        keys: [&str; N],
        labels: &Labels,
        fields: &[FieldValue],
    ) -> Point {
        Point::with_common(self, time, &keys, labels, fields)
    }

    /// Returns the keys, sorted by name, each with its index among the tags and its place among the keys.
    pub(super) fn sorted_keys(&self) -> impl Iterator<Item = (&'static Tag, usize, usize)> {
        let (keys, count) = &self.keys;
        let keys = keys[..*count].iter().map(|at| usize::from(*at));
        keys.map(|at| (&self.tags[at], at, usize::from(self.ranks[at])))
    }

    /// Returns the declaration of the field `name`.
    pub fn field(&self, name: &str) -> Option<&FieldInfo> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the fields that Carbon gets.
    pub fn carbon_fields(&self) -> impl Iterator<Item = &FieldInfo> {
        self.fields.iter().filter(|field| field.carbon)
    }

    /// Whether it has labels.
    pub fn has_labels(&self) -> bool {
        self.tags.iter().any(|tag| !tag.identifies)
    }

    /// Whether it has counts: fields that are zero if their series disappeared from a complete answer.
    pub fn has_counts(&self) -> bool {
        self.fields.iter().any(|field| field.count)
    }
}
