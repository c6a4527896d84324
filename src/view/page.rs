//! The declaration of a page: sections by a tag, and in each section tables with rows by key tags and columns by fields.
//!
//! A declaration is data, written with the functions below in a `static`. A measurement without a declared page gets
//! [`Page::of`]: its key tags make the rows, its fields the columns.

use crate::model::{FieldInfo, Kind as Type, Measurement, Point, carbon_component};
use crate::text::Shows;

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The name in addresses, and the key of the sections in JSON: `grids`.
    pub name: &'static str,
    /// The title: `Grids`.
    pub title: &'static str,
    /// The name of the page whose system it belongs to; empty for the first page of a system.
    pub part_of: &'static str,
    /// What stands first, stacked by a tag; `None` for the tables alone.
    pub overview: Option<&'static Overview>,
    /// Measurements that the page of a name has besides, read when it is asked for: those of several fields as a table, a number
    /// without a plot among what describes the name.
    pub own: &'static [&'static Measurement],
    /// How tables of `own` look, each of one measurement: without one a table has a column for each field. The row with the greatest
    /// names comes first, such as the latest time.
    pub own_tables: &'static [Table],
    /// A tag, and the tag by which its names are neighbours: queues of one site.
    pub near: Option<(&'static str, &'static str)>,
    /// The tag with one section per value; `None` for a page of one section.
    pub section: Option<&'static str>,
    /// The program that collects the numbers, named on an empty page; empty if unknown.
    pub program: &'static str,
    /// The default time between two runs of that program, in seconds.
    pub every: i64,
    /// The tables, in the order of the HTML.
    pub tables: &'static [Table],
    /// The tables in a terminal; if empty, all tables of the page.
    pub text: &'static [Text],
    /// The paths of the numbers in the JSON, in its order; a measurement without one is at `MEASUREMENT.{tag}.….{field}`.
    pub json: &'static [JsonPlace],
    /// The numbers whose plot is that of another one; all others have their own.
    pub plots: &'static [PlotPlace],
}

/// What stands for a tag where the fields of a measurement tell its numbers apart, such as counts by status: the field's name.
pub const FIELD: &str = "{field}";

/// A number of all, stacked over time by a tag that the reader chooses.
#[derive(Clone, Copy, Debug)]
pub struct Overview {
    /// The measurement, whose fields are summed one by one.
    pub measurement: &'static Measurement,
    /// The noun: `jobs`.
    pub noun: &'static str,
    /// What its fields are: `status`.
    pub of: &'static str,
    /// The fields of which one is shown, the first one if none is chosen.
    pub choices: &'static [&'static str],
    /// The tags by which it is stacked, each with the path of a part: `cloud_jobs.{value}.{of}`; `of` itself for its fields.
    pub by: &'static [(&'static str, &'static str)],
}

/// Two fields of a table's rows against each other.
#[derive(Clone, Copy, Debug)]
pub struct Scatter {
    /// The field on the horizontal axis, and its words.
    pub x: (&'static str, &'static str),
    /// The field on the vertical axis, and its words.
    pub y: (&'static str, &'static str),
    /// The noun for one row.
    pub noun: &'static str,
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The name, unique on the page: `clouds`.
    pub name: &'static str,
    /// The caption above the table.
    pub caption: &'static str,
    /// The noun for one row: `cloud`; empty if its name says it.
    pub noun: &'static str,
    /// The place in the HTML.
    pub placement: Placement,
    /// The name of the row that is the sum of the others and comes last; empty if there is none.
    pub sum_row: &'static str,
    /// Whether sums of all rows come first, if there are at least two rows. With two levels of rows, each name of the second
    /// level has its own sum.
    pub sums: bool,
    /// Two fields that are drawn against each other above the table.
    pub scatter: Option<&'static Scatter>,
    /// What is said below the caption when its first part is clicked; empty if there is nothing to say.
    pub note: (&'static str, &'static str),
    /// The fields, summed, by which rows are named above the table as those with the most, each with a word.
    pub talkers: &'static [(&'static str, &'static [&'static str])],
    /// Whether each row is one line, with sums of its sub-rows, which unfold below it.
    pub folded: bool,
    /// The columns. Those of kind [`Kind::Key`] name the rows: one, or several for rows with sub-rows.
    pub columns: &'static [Column],
}

/// The place of a table in the HTML of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Above all others, as a list of badges; no row is left out.
    Badges,
    /// Beside others.
    Beside,
    /// Beside others, stacked in the last column.
    Stacked,
    /// Below the others, as wide as it needs to be.
    Below,
}

/// One column, or the columns of a pivot.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The content of the cells.
    pub kind: Kind,
    /// The head; each column of a pivot has the tag's value instead.
    pub head: &'static str,
    /// The unit beside the head; empty if there is none.
    pub unit: &'static str,
    /// The meaning, a tooltip; empty if there is none.
    pub meaning: &'static str,
    /// The common head above it and its neighbours; empty if there is none.
    pub group: &'static str,
    /// The tag and value of series that are not in the column and make no row.
    pub except: Option<(&'static str, &'static str)>,
    /// The heads of columns that are marked as bad if not zero.
    pub alarms: &'static [&'static str],
    /// The number from which on a number of the column is marked as bad.
    pub limit: Option<f64>,
    /// Whether the column has a sum.
    pub summed: bool,
    /// Whether the column is left out if all its numbers are zero.
    pub unless_zero: bool,
    /// The head of the one column that a pivot is in a table that folds; its own numbers stand in the unfolded row. Empty if each
    /// has its column.
    pub gathered: &'static str,
    /// The heads of a pivot whose numbers use this one up: machines by state, of a quota.
    pub filled_by: &'static [&'static str],
    /// The page of the names, its section and their tag; `None` for names of this page.
    pub leads: Option<(&'static str, &'static str, &'static str)>,
    /// Whether the names have pages.
    pub linked: bool,
    /// The heads under which a small line of the last 24 hours stands left of each number.
    pub lines: &'static [&'static str],
    /// How its numbers are shown; `None` by their unit.
    pub shows: Option<Shows>,
    /// The column in a terminal.
    pub text: InText,
}

/// The content of the cells of a column.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The name of the row: the value of this tag.
    Key(&'static str),
    /// The number of a field.
    Field(&'static Measurement, &'static str),
    /// up, DOWN, stale or unknown, from a field that is 1 or 0.
    Health(&'static Measurement, &'static str),
    /// yes or no, from a field that is 1 or 0; a row with no is greyed out.
    Switch(&'static Measurement, &'static str),
    /// The number of the measurement's only field, of series whose tag has this value.
    One(&'static Measurement, &'static str, &'static str),
    /// A label of the row's series of this measurement, as text.
    Label(&'static Measurement, &'static str),
    /// One column per value of a tag.
    Pivot(Pivot),
}

/// One column per value of a tag, with the measurement's only field: always `first`, in this order, then the other values
/// with a number that is not zero, sorted, then `last`.
#[derive(Clone, Copy, Debug)]
pub struct Pivot {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The tag.
    pub tag: &'static str,
    /// The tag values of the first columns.
    pub first: &'static [&'static str],
    /// The tag value of the last column.
    pub last: Option<&'static str>,
    /// Whether short names come before long ones: `slot1_9` before `slot1_10`.
    pub short_first: bool,
}

/// A column in a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InText {
    /// As in the HTML.
    Same,
    /// As in the HTML, with this head.
    Head(&'static str),
    /// The sum of a pivot's newest numbers, with this head.
    Sum(&'static str),
    /// Not shown.
    Never,
}

/// A table in a terminal.
#[derive(Clone, Copy, Debug)]
pub enum Text {
    /// A line per row of these tables: its name, its health, its numbers with their heads.
    HealthList(&'static [&'static str]),
    /// This table.
    Table(&'static str),
    /// The pivots of these tables as one table; this is the head of its names.
    JoinedPivots(&'static str, &'static [&'static str]),
}

/// The path of a measurement's numbers in the JSON of a section.
#[derive(Clone, Copy, Debug)]
pub struct JsonPlace {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The tag and value of the series that are meant; a number goes to the first path that fits.
    pub only: Option<(&'static str, &'static str)>,
    /// The names down to the number, as in a Carbon path: `clouds.{cloud}.facts.{field}`. A name in braces is the value of a
    /// tag, `{field}` the field's name. A name without braces always exists; without numbers it is `{}` or `null`.
    pub path: &'static str,
}

/// The plot of a field's numbers, where it is that of another number.
#[derive(Clone, Copy, Debug)]
pub struct PlotPlace {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The field.
    pub field: &'static str,
    /// The Carbon path of the other number: `site_jobs.{site}.running`. A name in braces is the value of a tag. Empty if the
    /// numbers have no plot; so has a series that lacks one of the tags.
    pub path: &'static str,
}

/// Declares the plot of a field's numbers.
///
/// # Panics
/// As [`field`].
pub const fn plotted(measurement: &'static Measurement, name: &'static str, path: &'static str) -> PlotPlace {
    assert_field(measurement, name);
    PlotPlace { measurement, field: name, path }
}

impl PlotPlace {
    /// Returns the path for a series; empty if it has no plot.
    pub(super) fn path(&self, series: &Point) -> String {
        let component = |name: &str| match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(tag) => series.tag(tag).map(|value| carbon_component(value).into_owned()),
            None => Some(name.into()),
        };
        self.path.split('.').map(component).collect::<Option<Vec<_>>>().unwrap_or_default().join(".")
    }
}

/// Declares the path of a measurement's numbers in the JSON.
pub const fn place(measurement: &'static Measurement, path: &'static str) -> JsonPlace {
    JsonPlace { measurement, only: None, path }
}

impl JsonPlace {
    /// Restricts the path to series with this value of this tag.
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
        limit: None,
        summed: true,
        unless_zero: false,
        gathered: "",
        filled_by: &[],
        leads: None,
        linked: true,
        lines: &[],
        shows: None,
        text: InText::Same,
    }
}

/// Declares the names of the rows: the values of a tag.
pub const fn key(tag: &'static str) -> Column {
    column(Kind::Key(tag), tag)
}

/// Declares a column with the numbers of a field; the field's name is the head.
///
/// # Panics
/// If the measurement has no such field; in a `static` this fails the build.
pub const fn field(measurement: &'static Measurement, name: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Field(measurement, name), name)
}

/// Declares a column with up, DOWN, stale or unknown, from a field that is 1 or 0.
///
/// # Panics
/// As [`field`].
pub const fn health(measurement: &'static Measurement, name: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Health(measurement, name), "is")
}

/// Declares a column with yes or no, from a field that is 1 or 0. A row with no is greyed out.
///
/// # Panics
/// As [`field`].
pub const fn switch(measurement: &'static Measurement, name: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Switch(measurement, name), name)
}

/// Declares a column with what a tag that describes says of the row, such as the flavor of an instance.
pub const fn label(measurement: &'static Measurement, tag: &'static str) -> Column {
    column(Kind::Label(measurement, tag), tag)
}

/// Declares a column with the numbers of the only field, of series whose tag has this value, which is the head.
pub const fn one(measurement: &'static Measurement, tag: &'static str, value: &'static str) -> Column {
    column(Kind::One(measurement, tag, value), value)
}

/// Declares one column per value of a tag: always `first`, then the other values with a number that is not zero, then
/// `last`.
pub const fn pivot(
    measurement: &'static Measurement,
    tag: &'static str,
    first: &'static [&'static str],
    last: Option<&'static str>,
) -> Column {
    column(Kind::Pivot(Pivot { measurement, tag, first, last, short_first: false }), "")
}

/// Declares one column per value of a tag with a number that is not zero, short names first: `slot1_9` before `slot1_10`.
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
    /// Sets the head.
    pub const fn head(self, head: &'static str) -> Self {
        Self { head, ..self }
    }

    /// Sets the common head above it and its neighbours.
    pub const fn group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// Leaves out the series with this value of this tag.
    pub const fn except(self, tag: &'static str, value: &'static str) -> Self {
        Self { except: Some((tag, value)), ..self }
    }

    /// Marks columns with these heads as bad if they are not zero.
    pub const fn alarm(self, alarms: &'static [&'static str]) -> Self {
        Self { alarms, ..self }
    }

    /// Marks numbers as bad that are so large, or larger.
    pub const fn limit(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Leaves out the sum.
    pub const fn not_summed(self) -> Self {
        Self { summed: false, ..self }
    }

    /// Leaves out the column if all its numbers are zero.
    pub const fn unless_zero(self) -> Self {
        Self { unless_zero: true, ..self }
    }

    /// Makes a pivot one column of its sums, with this head, in a table that folds.
    pub const fn gathered(self, gathered: &'static str) -> Self {
        Self { gathered, ..self }
    }

    /// Shows how much of it the numbers under these heads of a pivot use, as a framed bar.
    pub const fn filled_by(self, filled_by: &'static [&'static str]) -> Self {
        Self { filled_by, ..self }
    }

    /// Lets the names, up to their first space, lead to their pages: that of a tag in a section of a page.
    pub const fn leads(self, page: &'static str, section: &'static str, tag: &'static str) -> Self {
        Self { leads: Some((page, section, tag)), ..self }
    }

    /// Says that its values are no names that have pages.
    pub const fn unlinked(self) -> Self {
        Self { linked: false, ..self }
    }

    /// Puts a small line of the last 24 hours left of the numbers under these heads.
    pub const fn lines(self, lines: &'static [&'static str]) -> Self {
        Self { lines, ..self }
    }

    /// Sets how its numbers are shown, beside which their exact ones stand as a tooltip.
    pub const fn shows(self, shows: Shows) -> Self {
        Self { shows: Some(shows), ..self }
    }

    /// Sets how a terminal shows it.
    pub const fn text(self, text: InText) -> Self {
        Self { text, ..self }
    }

    /// Returns the field of the numbers; `None` if they are names, or up and down.
    fn field(&self) -> Option<&'static FieldInfo> {
        match self.kind {
            Kind::Field(measurement, name) => measurement.field(name),
            Kind::One(..) | Kind::Pivot(_) => self.measurement()?.fields.first(),
            Kind::Key(_) | Kind::Label(..) | Kind::Health(..) | Kind::Switch(..) => None,
        }
    }

    /// Whether the numbers are floats.
    pub fn is_real(&self) -> bool {
        self.field().is_some_and(|field| field.kind == Type::Float)
    }

    /// Returns how the numbers are shown: as it is declared, else by their unit.
    pub fn shown(&self) -> Shows {
        self.shows.unwrap_or_else(|| Shows::of_unit(self.field().map_or("", |field| field.unit)))
    }

    /// Returns the measurement of the numbers; `None` for the names of rows.
    pub fn measurement(&self) -> Option<&'static Measurement> {
        match self.kind {
            Kind::Key(_) => None,
            Kind::Field(measurement, _) | Kind::Health(measurement, _) | Kind::Switch(measurement, _) => {
                Some(measurement)
            }
            Kind::One(measurement, ..) | Kind::Label(measurement, _) | Kind::Pivot(Pivot { measurement, .. }) => {
                Some(measurement)
            }
        }
    }
}

impl Table {
    /// Returns a table with these columns, below the others, without sums.
    pub const fn new(name: &'static str, caption: &'static str, columns: &'static [Column]) -> Self {
        Self {
            name,
            caption,
            noun: "",
            placement: Placement::Below,
            sum_row: "",
            sums: false,
            scatter: None,
            note: ("", ""),
            talkers: &[],
            folded: false,
            columns,
        }
    }

    /// Sets the place in the HTML.
    pub const fn placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// Sets the noun for one row: `cloud`.
    pub const fn noun(self, noun: &'static str) -> Self {
        Self { noun, ..self }
    }

    /// Sets the name of the row that is the sum of the others.
    pub const fn sum_row(self, sum_row: &'static str) -> Self {
        Self { sum_row, ..self }
    }

    /// Adds sums of all rows above them.
    pub const fn sums(self) -> Self {
        Self { sums: true, ..self }
    }

    /// Draws two fields against each other.
    pub const fn scatter(self, scatter: &'static Scatter) -> Self {
        Self { scatter: Some(scatter), ..self }
    }

    /// Says something of the table: what is clicked, and what it unfolds.
    pub const fn note(self, summary: &'static str, text: &'static str) -> Self {
        Self { note: (summary, text), ..self }
    }

    /// Names the rows with the most of these fields above the table.
    pub const fn talkers(self, talkers: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self { talkers, ..self }
    }

    /// Makes each row one line, whose sub-rows unfold below it.
    pub const fn folded(self) -> Self {
        Self { folded: true, ..self }
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
    /// Returns the default page of a measurement: sections by its first key tag if it has several, rows by the others, and a
    /// column per field.
    ///
    /// `examples/page.rs` declares one.
    ///
    /// ```
    /// use gridmon::model::{Declaration, Field, Fold, Measurement, Tag};
    /// use gridmon::view::page::Page;
    ///
    /// const LOAD: Field<f64> = Field::gauge("load", "tasks", Fold::Mean, "how many want to run");
    /// static MACHINE: Measurement = Measurement::new(Declaration {
    ///     name: "machine",
    ///     meaning: "one machine",
    ///     tags: &[Tag::key("site"), Tag::key("machine")],
    ///     fields: &[LOAD.info()],
    ///     carbon: "sites.{site}.{machine}.{field}",
    ///     every: 60,
    /// });
    /// let page = Page::of(&MACHINE);
    /// assert_eq!((page.name, page.section), ("machine", Some("site")));
    /// assert_eq!(page.tables[0].columns.len(), 2, "the machine and its load");
    /// ```
    pub fn of(measurement: &'static Measurement) -> Self {
        let mut keys: Vec<_> = measurement.tags.iter().filter(|tag| tag.identifies).map(|tag| tag.name).collect();
        let section = (keys.len() > 1).then(|| keys.remove(0));
        let fields = measurement.fields.iter().map(|field| Column {
            unit: if field.name.ends_with(field.unit) { "" } else { field.unit },
            meaning: field.meaning,
            ..column(Kind::Field(measurement, field.name), field.name)
        });
        let columns: Vec<_> = keys.into_iter().map(key).chain(fields).collect();
        // Leaked on purpose: pages live as long as the process, and there is one per measurement.
        let table = Table::new(measurement.name, measurement.meaning, columns.leak());
        Self {
            name: measurement.name,
            title: measurement.name,
            part_of: "",
            overview: None,
            own: &[],
            own_tables: &[],
            near: None,
            section,
            program: "",
            every: measurement.every,
            tables: vec![table].leak(),
            text: &[],
            json: &[],
            plots: &[],
        }
    }

    /// Returns the name of the first page of its system.
    pub fn system(&self) -> &'static str {
        if self.part_of.is_empty() { self.name } else { self.part_of }
    }

    /// Returns the measurements that the page of a name has besides those of the tables: the declared ones, then all others of
    /// these of which the name is a key, in the page's sections if it has some. A page without sections has those that begin with
    /// that key, since another system may call something else by the same word.
    pub fn measurements_of_a_name(
        &self,
        tag: &str,
        all: impl Iterator<Item = &'static Measurement>,
    ) -> Vec<&'static Measurement> {
        let shown = self.measurements();
        let is_new = |one: &&'static Measurement| !shown.iter().chain(self.own).any(|known| known.name == one.name);
        let is_of = |one: &&'static Measurement| {
            let mut keys = one.tags.iter().filter(|tag| tag.identifies).map(|tag| tag.name);
            match self.section {
                Some(section) => keys.clone().any(|key| key == section) && keys.any(|key| key == tag),
                None => keys.next() == Some(tag),
            }
        };
        self.own.iter().copied().chain(all.filter(is_new).filter(is_of)).collect()
    }

    /// Returns these pages, then a default page for each measurement that none of them shows.
    pub fn all(declared: &[&Self], measurements: impl Iterator<Item = &'static Measurement>) -> Vec<Self> {
        let mut pages: Vec<Self> = declared.iter().map(|page| **page).collect();
        for measurement in measurements {
            if !pages.iter().any(|page| page.measurements().iter().any(|shown| shown.name == measurement.name)) {
                pages.push(Self::of(measurement));
            }
        }
        pages
    }

    /// Returns the measurements of the page, each once, in the order of its tables.
    pub fn measurements(&self) -> Vec<&'static Measurement> {
        let mut measurements = Vec::<&'static Measurement>::new();
        let of_tables = self.columns().filter_map(Column::measurement);
        for measurement in of_tables.chain(self.overview.iter().map(|overview| overview.measurement)) {
            if !measurements.iter().any(|known| known.name == measurement.name) {
                measurements.push(measurement);
            }
        }
        measurements
    }

    /// Returns the columns of all tables.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> {
        self.tables.iter().flat_map(|table| table.columns)
    }

    /// Returns the plot of a field's numbers, where the page declares that it is another one than their own.
    pub fn plot_of(&self, measurement: &'static Measurement, field: &str) -> Option<&'static PlotPlace> {
        self.plots.iter().find(|place| std::ptr::eq(place.measurement, measurement) && place.field == field)
    }

    /// Returns how long a series of the default interval may be silent before its row is left out, in seconds.
    pub fn silence_limit_seconds(&self) -> i64 {
        (10 * self.every).max(3600)
    }
}
