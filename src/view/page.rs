//! What a page declares: sections by a tag, and in each of them tables of rows by key tags and columns of fields.
//!
//! A declaration is data, written with the functions below in a `static`. A measurement that no page declares gets
//! [`Page::of`]: its key tags are the rows, its fields the columns.

use crate::model::{Kind as Type, Measurement};

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Its name in addresses, and the name of its sections in JSON: `grids`.
    pub name: &'static str,
    /// Its name for a reader: `Grids`.
    pub title: &'static str,
    /// The tag by whose values the page is cut into sections; `None` for a page of one section.
    pub section: Option<&'static str>,
    /// The program that collects its numbers, for a reader who has none yet; empty when nobody knows.
    pub program: &'static str,
    /// The time between two runs of that program by default, in seconds, for the same reader.
    pub every: i64,
    /// The tables, in the order of the HTML.
    pub tables: &'static [Table],
    /// The tables of a terminal; when empty, each table of the page as it is.
    pub text: &'static [Text],
    /// Where numbers stand in the JSON, in its order; a measurement without a place has
    /// `MEASUREMENT.{tag}.….{field}`.
    pub json: &'static [JsonPlace],
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, unique on the page: `clouds`.
    pub name: &'static str,
    /// What stands above it.
    pub caption: &'static str,
    /// What one row is: `cloud`; empty when its name says it.
    pub noun: &'static str,
    /// Where it stands.
    pub placement: Placement,
    /// The name of the row that is the sum of the others and stands below them; empty for none.
    pub sum_row: &'static str,
    /// Whether sums of all rows stand above them, where there are two rows and more. Of two levels of rows, each name of the
    /// second level has its sum.
    pub sums: bool,
    /// The columns. Those of kind [`Kind::Key`] name the rows: one, or two and more for rows in groups.
    pub columns: &'static [Column],
}

/// Where a table stands in the HTML of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Above all others, as a list of badges, never left out.
    Badges,
    /// Beside others.
    Beside,
    /// Beside others, in the last pile.
    Stacked,
    /// Below those, as wide as it needs to be.
    Below,
}

/// One column, or several that are declared as one.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What is in its cells.
    pub kind: Kind,
    /// Its head; of a pivot each column has the tag's value instead.
    pub head: &'static str,
    /// The unit that stands beside the head; empty for none.
    pub unit: &'static str,
    /// What it means, as a tooltip; empty for none.
    pub meaning: &'static str,
    /// The head above it and its neighbours; empty for none.
    pub group: &'static str,
    /// Numbers of series with this value of this tag are not in it, and make no row.
    pub except: Option<(&'static str, &'static str)>,
    /// Columns with these heads are bad news when they are not zero.
    pub alarms: &'static [&'static str],
    /// Whether it has a sum.
    pub summed: bool,
    /// Whether it is left out when all its numbers are zero.
    pub unless_zero: bool,
    /// What a terminal shows of it.
    pub text: InText,
}

/// What is in the cells of a column.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The name of the row: the value of this tag.
    Key(&'static str),
    /// The number of a field.
    Field(&'static Measurement, &'static str),
    /// up, DOWN, stale or unknown, from a field that is 1 or 0.
    Health(&'static Measurement, &'static str),
    /// yes or no, from a field that is 1 or 0; a row with no is quiet.
    Switch(&'static Measurement, &'static str),
    /// The number of the measurement's only field where the tag has this value.
    One(&'static Measurement, &'static str, &'static str),
    /// A column for each value of a tag.
    Pivot(Pivot),
}

/// A column for each value of a tag, with the measurement's only field: `first` always, in this order, then those that occur
/// and are not zero, sorted, then `last`.
#[derive(Clone, Copy, Debug)]
pub struct Pivot {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The tag.
    pub tag: &'static str,
    /// The first columns.
    pub first: &'static [&'static str],
    /// The last column.
    pub last: Option<&'static str>,
    /// Whether short names come before long ones: `slot1_9` before `slot1_10`.
    pub short_first: bool,
}

/// What a terminal shows of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InText {
    /// The same.
    Same,
    /// The same below this head.
    Head(&'static str),
    /// The sum of a pivot's newest numbers, below this head.
    Sum(&'static str),
    /// Nothing.
    Never,
}

/// A table of a terminal.
#[derive(Clone, Copy, Debug)]
pub enum Text {
    /// A line for each row of these tables: its name, its health, its numbers as words.
    HealthList(&'static [&'static str]),
    /// A table as it is.
    Table(&'static str),
    /// The pivots of these tables as one table, below this head.
    JoinedPivots(&'static str, &'static [&'static str]),
}

/// Where the numbers of a measurement stand in the JSON of a section.
#[derive(Clone, Copy, Debug)]
pub struct JsonPlace {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// Only those with this value of this tag; the first place that fits is taken.
    pub only: Option<(&'static str, &'static str)>,
    /// The names on the way to it, as in a Carbon path: `clouds.{cloud}.facts.{field}`. A name in braces is the value of a
    /// tag, `{field}` the field's name. What stands without braces is there always, be it `{}` or `null`.
    pub path: &'static str,
}

/// Numbers of this measurement stand at this path.
pub const fn place(measurement: &'static Measurement, path: &'static str) -> JsonPlace {
    JsonPlace { measurement, only: None, path }
}

impl JsonPlace {
    /// Only those with this value of this tag.
    pub const fn only(self, tag: &'static str, value: &'static str) -> Self {
        Self { only: Some((tag, value)), ..self }
    }
}

const fn column(kind: Kind, head: &'static str) -> Column {
    Column {
        kind,
        head,
        unit: "",
        meaning: "",
        group: "",
        except: None,
        alarms: &[],
        summed: true,
        unless_zero: false,
        text: InText::Same,
    }
}

/// The rows, by the value of a tag.
pub const fn key(tag: &'static str) -> Column {
    column(Kind::Key(tag), tag)
}

/// The number of a field; the field's name is the head.
///
/// # Panics
/// When the measurement has no such field: the build fails where this is in a `static`.
pub const fn field(measurement: &'static Measurement, name: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Field(measurement, name), name)
}

/// up, DOWN, stale or unknown, from a field that is 1 or 0.
///
/// # Panics
/// As [`field`].
pub const fn health(measurement: &'static Measurement, name: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Health(measurement, name), "is")
}

/// yes or no, from a field that is 1 or 0. A row with no is quiet.
///
/// # Panics
/// As [`field`].
pub const fn switch(measurement: &'static Measurement, name: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Switch(measurement, name), name)
}

/// The number of the only field where a tag has this value, which is the head.
pub const fn one(measurement: &'static Measurement, tag: &'static str, value: &'static str) -> Column {
    column(Kind::One(measurement, tag, value), value)
}

/// A column for each value of a tag: `first` always, then those that occur and are not zero, then `last`.
pub const fn pivot(
    measurement: &'static Measurement,
    tag: &'static str,
    first: &'static [&'static str],
    last: Option<&'static str>,
) -> Column {
    column(Kind::Pivot(Pivot { measurement, tag, first, last, short_first: false }), "")
}

/// A column for each value of a tag that occurs and is not zero, short names first: `slot1_9` before `slot1_10`.
pub const fn pivot_short_first(measurement: &'static Measurement, tag: &'static str) -> Column {
    column(Kind::Pivot(Pivot { measurement, tag, first: &[], last: None, short_first: true }), "")
}

/// # Panics
/// If the measurement has no such field.
const fn assert_field(measurement: &Measurement, name: &str) {
    let mut at = 0;
    while at < measurement.fields.len() {
        if same(measurement.fields[at].name.as_bytes(), name.as_bytes()) {
            return;
        }
        at += 1;
    }
    panic!("a column of a field that its measurement does not declare");
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    a.len() == b.len()
}

impl Column {
    /// With this head.
    pub const fn head(self, head: &'static str) -> Self {
        Self { head, ..self }
    }

    /// Below this head together with its neighbours.
    pub const fn group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// Without the series that have this value of this tag.
    pub const fn except(self, tag: &'static str, value: &'static str) -> Self {
        Self { except: Some((tag, value)), ..self }
    }

    /// Columns with these heads are bad news when they are not zero.
    pub const fn alarm(self, alarms: &'static [&'static str]) -> Self {
        Self { alarms, ..self }
    }

    /// Without a sum.
    pub const fn not_summed(self) -> Self {
        Self { summed: false, ..self }
    }

    /// Left out when all its numbers are zero.
    pub const fn unless_zero(self) -> Self {
        Self { unless_zero: true, ..self }
    }

    /// What a terminal shows of it.
    pub const fn text(self, text: InText) -> Self {
        Self { text, ..self }
    }

    /// Whether its numbers are real ones.
    pub fn is_real(&self) -> bool {
        let mut fields = self.measurement().into_iter().flat_map(|measurement| measurement.fields);
        match self.kind {
            Kind::Field(_, name) => fields.any(|field| field.name == name && field.kind == Type::Float),
            Kind::One(..) | Kind::Pivot(_) => fields.next().is_some_and(|field| field.kind == Type::Float),
            Kind::Key(_) | Kind::Health(..) | Kind::Switch(..) => false,
        }
    }

    /// The measurement of its numbers; `None` for the names of rows.
    pub fn measurement(&self) -> Option<&'static Measurement> {
        match self.kind {
            Kind::Key(_) => None,
            Kind::Field(measurement, _) | Kind::Health(measurement, _) | Kind::Switch(measurement, _) => {
                Some(measurement)
            }
            Kind::One(measurement, ..) | Kind::Pivot(Pivot { measurement, .. }) => Some(measurement),
        }
    }
}

impl Table {
    /// A table with these columns below the others, without sums.
    pub const fn new(name: &'static str, caption: &'static str, columns: &'static [Column]) -> Self {
        Self { name, caption, noun: "", placement: Placement::Below, sum_row: "", sums: false, columns }
    }

    /// Standing elsewhere.
    pub const fn placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// One row is one of these: `cloud`.
    pub const fn noun(self, noun: &'static str) -> Self {
        Self { noun, ..self }
    }

    /// The row of this name is the sum of the others.
    pub const fn sum_row(self, sum_row: &'static str) -> Self {
        Self { sum_row, ..self }
    }

    /// With sums of all rows above them.
    pub const fn sums(self) -> Self {
        Self { sums: true, ..self }
    }

    /// Returns the name of a sub-row by one of its tags, given its names by the tags after the first one.
    pub fn sub_row_name<'a>(&self, names: &[&'a str], tag: &str) -> Option<&'a str> {
        names.get(self.keys().skip(1).position(|key| key == tag)?).copied()
    }

    /// Returns the tags that name the rows.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter_map(|column| if let Kind::Key(tag) = column.kind { Some(tag) } else { None })
    }
}

impl Page {
    /// The page of a measurement that no page declares: sections by its first key tag where there are two and more, rows by
    /// the others, a column for each field.
    pub fn of(measurement: &'static Measurement) -> Self {
        let mut keys: Vec<_> = measurement.tags.iter().filter(|tag| tag.identifies).map(|tag| tag.name).collect();
        let section = (keys.len() > 1).then(|| keys.remove(0));
        let fields = measurement.fields.iter().map(|field| Column {
            unit: if field.name.ends_with(field.unit) { "" } else { field.unit },
            meaning: field.meaning,
            ..column(Kind::Field(measurement, field.name), field.name)
        });
        let columns: Vec<_> = keys.into_iter().map(key).chain(fields).collect();
        // A declaration lives as long as the process, and each measurement has one.
        let table = Table::new(measurement.name, measurement.meaning, columns.leak());
        Self {
            name: measurement.name,
            title: measurement.name,
            section,
            program: "",
            every: 60,
            tables: vec![table].leak(),
            text: &[],
            json: &[],
        }
    }

    /// These pages, then one for each measurement that none of them shows.
    pub fn all(declared: &[&Self], measurements: impl Iterator<Item = &'static Measurement>) -> Vec<Self> {
        let mut pages: Vec<Self> = declared.iter().map(|page| **page).collect();
        for measurement in measurements {
            if !pages.iter().any(|page| page.measurements().iter().any(|shown| shown.name == measurement.name)) {
                pages.push(Self::of(measurement));
            }
        }
        pages
    }

    /// The measurements that it shows, each once, in the order of its tables.
    pub fn measurements(&self) -> Vec<&'static Measurement> {
        let mut measurements = Vec::<&'static Measurement>::new();
        for measurement in self.tables.iter().flat_map(|table| table.columns.iter()).filter_map(Column::measurement) {
            if !measurements.iter().any(|known| known.name == measurement.name) {
                measurements.push(measurement);
            }
        }
        measurements
    }

    /// How long a series of its default interval may be silent until its row is left out, in seconds.
    pub fn silence_limit_seconds(&self) -> i64 {
        (10 * self.every).max(3600)
    }
}
