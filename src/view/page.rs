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
    /// What unfolds below a row; `None` if nothing does, or its sub-rows alone.
    pub unfolds: Option<&'static Unfolds>,
    /// The heads of the columns of which each row has a small plot, where the table unfolds below another.
    pub plots: &'static [&'static str],
    /// The column by which it is sorted where the address names none, as the address would: `-datadisks:files a job`; empty for
    /// the names.
    pub sorted: &'static str,
    /// The numbers that a phone has room for, as `GROUP/HEAD` or `HEAD`; the others unfold below a row. If empty, the first
    /// three, fewer beside a health and where several names stand in a row.
    pub phone: &'static [&'static str],
    /// The columns. Those of kind [`Kind::Key`] name the rows: one, or several for rows with sub-rows.
    pub columns: &'static [Column],
}

/// What unfolds below a row beside its sub-rows: what belongs to its name.
#[derive(Clone, Copy, Debug)]
pub struct Unfolds {
    /// Tables of the numbers of the row's name, whose rows are named by other tags: its file systems, its GPUs. One without names
    /// is a line of words.
    pub tables: &'static [Table],
    /// The heads of the row's numbers that are plotted small.
    pub plots: &'static [&'static str],
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
    /// What is drawn left of each number.
    pub drawn: Drawn,
    /// The heads of columns that are [`inside`](Self::inside) this one.
    pub with: &'static [&'static str],
    /// Whether its numbers stand in the cells of another column, not in cells of their own.
    pub is_inside: bool,
    /// Whether its series make no row: it adds to the rows that others make.
    pub only_adds: bool,
    /// Whether a number of a column of health says by being there that it is up, whatever it is.
    pub is_presence: bool,
    /// The field that is 1 while a part of the row is lost; empty if there is none.
    pub lost: &'static str,
    /// Which of its numbers are well, which worse and which bad; `None` if they tell nothing of the kind.
    pub judged: Option<Judged>,
    /// Of which past small lines and what is judged tell.
    pub past: Past,
    /// Whether UUIDs in it are shown by their first digits only.
    pub is_short: bool,
    /// How its numbers are shown; `None` by their unit.
    pub shows: Option<Shows>,
    /// The column in a terminal.
    pub text: InText,
}

/// Which numbers are well, worse and bad, such as those of verdicts and states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// From this number on it is worse than usual.
    pub worse: i64,
    /// From this number on it is bad.
    pub bad: i64,
    /// These are off by intent.
    pub off: &'static [i64],
}

/// What a number says of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Is {
    /// It is off by intent.
    Off,
    /// It is well.
    Well,
    /// It is worse than usual.
    Worse,
    /// It is bad.
    Bad,
}

impl Judged {
    /// Returns what a number says.
    pub fn of(&self, value: f64) -> Is {
        match value {
            value if self.off.iter().any(|off| *off as f64 == value) => Is::Off,
            value if value >= self.bad as f64 => Is::Bad,
            value if value >= self.worse as f64 => Is::Worse,
            _ => Is::Well,
        }
    }
}

/// Of which past a cell tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// The last 24 hours.
    Day,
    /// The days of some weeks, for what runs each night.
    Nights,
    /// The weeks of a year.
    Year,
}

impl Past {
    /// Returns the length of one of its cells, in seconds.
    pub const fn cell_seconds(self) -> i64 {
        match self {
            Self::Day => 1800,
            Self::Nights => 86_400,
            Self::Year => 7 * 86_400,
        }
    }
}

/// What is drawn beside a number, for the eye alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drawn {
    /// Nothing, or a small line.
    Nothing,
    /// A bar that this number fills, with a tick at the limit; of the numbers inside the column if there are some, one behind the
    /// other.
    Bar(f64),
    /// How much it is of the number inside the column, as a bar; that number stands behind it: `53 / 80`.
    Of,
    /// The numbers inside the column, of which it is the sum, as one bar; they stand behind it, each with its head.
    Shares,
    /// Its small line, and below it that of the number inside the column, upside down: `420 / 130`.
    Mirrored,
    /// The same lines alone: the numbers stand in their tooltip.
    Lines,
    /// A dot between these numbers, on the range of its last 24 hours, with a tick at the limit.
    Dot(f64, f64),
    /// A small column for each part of the row, which this number fills.
    Columns(f64),
    /// A bar with a tick in its middle, at the number inside the column.
    Against,
    /// A dot from a part to a multiple of what is usual, by powers: this number of times at most. Up to the other number of times it
    /// is usual.
    Away(f64, f64),
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
    /// The greatest number of a field among the parts of the row, with the value of this tag, which names the part: the fullest
    /// disk of a node. Without a tag the part has no name.
    Most(&'static Measurement, &'static str, &'static str),
    /// The mean of a field over the parts of the row, which this tag names.
    Mean(&'static Measurement, &'static str, &'static str),
    /// A label of the row's series of this measurement, as text.
    Label(&'static Measurement, &'static str),
    /// One column per value of a tag.
    Pivot(Pivot),
}

/// One column per value of a tag, with the measurement's only field, or the one that is named: always `first`, in this order, then the other values
/// with a number that is not zero, sorted, then `last`.
#[derive(Clone, Copy, Debug)]
pub struct Pivot {
    /// The measurement.
    pub measurement: &'static Measurement,
    /// The tag.
    pub tag: &'static str,
    /// The field, whose zeros are shown; empty for the only one.
    pub field: &'static str,
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
        drawn: Drawn::Nothing,
        with: &[],
        is_inside: false,
        only_adds: false,
        is_presence: false,
        lost: "",
        judged: None,
        past: Past::Day,
        is_short: false,
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

/// Declares a column with up or how long nothing has been heard, from a field that is always sent.
///
/// # Panics
/// As [`field`].
pub const fn presence(measurement: &'static Measurement, name: &'static str) -> Column {
    Column { is_presence: true, ..health(measurement, name) }
}

/// Declares a column with the greatest number among the parts of the row, which have a tag more than it, such as the fullest disk
/// of a node; this tag names it in the cell, unless it is empty.
///
/// # Panics
/// As [`field`].
pub const fn most(measurement: &'static Measurement, name: &'static str, part: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Most(measurement, name, part), name)
}

/// Declares a column with the mean over the parts of the row, which this tag names, such as the GPUs of a node.
///
/// # Panics
/// As [`field`].
pub const fn mean(measurement: &'static Measurement, name: &'static str, part: &'static str) -> Column {
    assert_field(measurement, name);
    column(Kind::Mean(measurement, name, part), name)
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
    column(Kind::Pivot(Pivot { measurement, tag, field: "", first, last, short_first: false }), "")
}

/// Declares one column per value of a tag with a number that is not zero, short names first: `slot1_9` before `slot1_10`.
pub const fn pivot_short_first(measurement: &'static Measurement, tag: &'static str) -> Column {
    column(Kind::Pivot(Pivot { measurement, tag, field: "", first: &[], last: None, short_first: true }), "")
}

/// Declares one column per value of a tag with the numbers of a field, also of those that are zero: what each node says of a row.
///
/// # Panics
/// As [`field`].
pub const fn pivot_of(measurement: &'static Measurement, name: &'static str, tag: &'static str) -> Column {
    assert_field(measurement, name);
    let (field, first) = (name, &[]);
    column(Kind::Pivot(Pivot { measurement, tag, field, first, last: None, short_first: false }), "")
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

    /// Draws something left of each number.
    pub const fn drawn(self, drawn: Drawn) -> Self {
        Self { drawn, ..self }
    }

    /// Puts the numbers of the columns with these heads, which are inside it, into its cells.
    pub const fn with(self, heads: &'static [&'static str]) -> Self {
        Self { with: heads, ..self }
    }

    /// Puts its numbers into the cells of the column that names it.
    pub const fn inside(self) -> Self {
        Self { is_inside: true, ..self }
    }

    /// Lets its series make no row: another system may know names that are no matter of this table.
    pub const fn only_adds(self) -> Self {
        Self { only_adds: true, ..self }
    }

    /// Marks parts of the row as lost of which this field is not zero.
    pub const fn lost(self, lost: &'static str) -> Self {
        Self { lost, ..self }
    }

    /// Says which numbers are worse than usual, and which bad: those from these on.
    pub const fn judged(self, worse: i64, bad: i64) -> Self {
        Self { judged: Some(Judged { worse, bad, off: &[] }), ..self }
    }

    /// Says which numbers of a column that is judged are off by intent; such a row is quiet.
    ///
    /// # Panics
    /// If it is not judged.
    pub const fn off(self, off: &'static [i64]) -> Self {
        let Some(judged) = self.judged else { panic!("a column that is off must be judged") };
        Self { judged: Some(Judged { off, ..judged }), ..self }
    }

    /// Says of which past its small lines, and what is judged, tell.
    pub const fn past(self, past: Past) -> Self {
        Self { past, ..self }
    }

    /// Shows UUIDs in it by their first digits only.
    pub const fn short(self) -> Self {
        Self { is_short: true, ..self }
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
    pub fn field(&self) -> Option<&'static FieldInfo> {
        match self.kind {
            Kind::Field(measurement, name) | Kind::Most(measurement, name, _) | Kind::Mean(measurement, name, _) => {
                measurement.field(name)
            }
            Kind::Pivot(Pivot { measurement, field, .. }) if !field.is_empty() => measurement.field(field),
            Kind::One(..) | Kind::Pivot(_) => self.measurement()?.fields.first(),
            Kind::Key(_) | Kind::Label(..) | Kind::Health(..) | Kind::Switch(..) => None,
        }
    }

    /// Whether the numbers are floats.
    pub fn is_real(&self) -> bool {
        matches!(self.kind, Kind::Mean(..)) || self.field().is_some_and(|field| field.kind == Type::Float)
    }

    /// Returns how the numbers are shown: as it is declared, else by their unit.
    pub fn shown(&self) -> Shows {
        self.shows.unwrap_or_else(|| Shows::of_unit(self.field().map_or("", |field| field.unit)))
    }

    /// Whether a small line, or what is drawn, tells of the past of its numbers.
    pub fn has_past(&self) -> bool {
        !self.lines.is_empty()
            || matches!(self.drawn, Drawn::Mirrored | Drawn::Lines | Drawn::Dot(..))
            || self.has_nights()
    }

    /// Whether it shows what each of the last nights was.
    pub fn has_nights(&self) -> bool {
        self.judged.is_some() && self.past == Past::Nights
    }

    /// Returns the measurement of the numbers; `None` for the names of rows.
    pub fn measurement(&self) -> Option<&'static Measurement> {
        match self.kind {
            Kind::Key(_) => None,
            Kind::Field(measurement, _) | Kind::Health(measurement, _) | Kind::Switch(measurement, _) => {
                Some(measurement)
            }
            Kind::One(measurement, ..) | Kind::Most(measurement, ..) | Kind::Mean(measurement, ..) => Some(measurement),
            Kind::Label(measurement, _) | Kind::Pivot(Pivot { measurement, .. }) => Some(measurement),
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
            unfolds: None,
            plots: &[],
            sorted: "",
            phone: &[],
            columns,
        }
    }

    /// Sets the place in the HTML.
    pub const fn placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// Sets the numbers that a phone has room for, as `GROUP/HEAD` or `HEAD`.
    pub const fn phone(self, phone: &'static [&'static str]) -> Self {
        Self { phone, ..self }
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

    /// Plots the columns with these heads, where the table unfolds below another.
    pub const fn plots(self, plots: &'static [&'static str]) -> Self {
        Self { plots, ..self }
    }

    /// Sorts it by a column where the address names none.
    pub const fn sorted(self, sorted: &'static str) -> Self {
        Self { sorted, ..self }
    }

    /// Unfolds this below each row.
    pub const fn unfolds(self, unfolds: &'static Unfolds) -> Self {
        Self { unfolds: Some(unfolds), ..self }
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

    /// Returns the columns of all tables, then those of what unfolds in them.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> {
        let unfolded = self.tables.iter().filter_map(|table| table.unfolds).flat_map(|unfolds| unfolds.tables);
        self.tables.iter().chain(unfolded).flat_map(|table| table.columns)
    }

    /// Whether a field is the health of a row.
    pub fn has_health(&self, of: &Measurement, field: &str) -> bool {
        let is_it = |column: &Column| matches!(column.kind, Kind::Health(measurement, own) if measurement.name == of.name && own == field);
        self.columns().any(is_it)
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
