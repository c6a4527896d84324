//! The tables of a page, made of the newest value of each series. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::page::{self, InText, Kind, Page, Pivot, Placement};
use crate::model::{Measurement, Point, SECOND, Value};
use crate::query::Latest;

/// The newest value of one field of one series.
#[derive(Clone, Debug, Serialize)]
pub struct Number {
    /// The value.
    pub value: Value,
    /// Its time, in unix seconds.
    pub time: i64,
    /// The Carbon path that it has or would have: what a plot of it is asked for by.
    pub path: String,
    /// The time between two values of its series, in seconds.
    #[serde(skip)]
    every: i64,
    #[serde(skip)]
    series: Point,
    #[serde(skip)]
    field: &'static str,
}

/// One section of a page: one grid, for instance.
#[derive(Clone, Debug)]
pub struct Section {
    /// The value of the page's tag.
    pub name: String,
    /// The newest time of all its numbers, in unix seconds.
    pub time: i64,
    /// The shortest time between two values of a series of it, in seconds.
    every: i64,
    /// Its numbers by measurement, in the order of [`Page::measurements`].
    numbers: Vec<Vec<Number>>,
}

/// One table of a section.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// Its declaration.
    pub declared: &'a page::Table,
    /// The columns, hidden ones among them; one for each value of a pivot.
    pub columns: Vec<Column<'a>>,
    /// The rows that are shown, sorted by name, a row of sums last.
    pub rows: Vec<Row<'a>>,
    /// How many rows are left out because they have been silent for too long; those of a second level are not counted.
    pub left_out: usize,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Its declaration.
    pub declared: &'a page::Column,
    /// Its head: as declared, or the value of a pivot's tag.
    pub head: &'a str,
    /// Whether it is shown. A hidden column of a pivot holds zeros alone.
    pub shown: bool,
    /// Whether it has one cell for each row of the first level, not of the second.
    pub outer: bool,
}

/// One row of the first level.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Its name.
    pub name: &'a str,
    /// A cell for each column of the table; `None` where there is no number, and in columns of the second level.
    pub cells: Vec<Option<Cell<'a>>>,
    /// The rows of the second level, sorted by name. Where there are none, and in tables of one level, one row without
    /// numbers: it has no names then.
    pub sub_rows: Vec<SubRow<'a>>,
}

/// One row of the second level.
#[derive(Clone, Debug)]
pub struct SubRow<'a> {
    /// Its names by the tags after the first one.
    pub names: Vec<&'a str>,
    /// A cell for each column of the table.
    pub cells: Vec<Option<Cell<'a>>>,
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The value.
    pub value: Value,
    /// Its time, in unix seconds.
    pub time: i64,
    /// The Carbon path of its number.
    pub path: &'a str,
    /// The time between two values of its series, in seconds.
    pub every: i64,
    /// Whether it is older than the newest number of its section by its interval and more.
    pub late: bool,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its number is not zero.
    Up,
    /// Its number is zero.
    Down,
    /// Its number is late.
    Silent,
    /// There is no number.
    Unknown,
}

impl Health {
    /// How it is by this number.
    pub fn of(cell: Option<&Cell>) -> Self {
        match cell {
            None => Self::Unknown,
            Some(cell) if cell.late => Self::Silent,
            Some(Cell { value: Value::Int(0), .. }) => Self::Down,
            Some(_) => Self::Up,
        }
    }
}

impl Cell<'_> {
    /// Whether nobody could tell a newer number. A count that vanished was sent as zero once, and is zero still.
    pub fn is_old(&self) -> bool {
        self.late && !self.is_zero()
    }

    /// Whether its series has been silent for three intervals at a time in unix seconds.
    pub fn is_stale(&self, now: i64) -> bool {
        is_stale(self.time, self.every, now)
    }

    /// Whether it is a count of nothing.
    pub fn is_zero(&self) -> bool {
        self.value == Value::Int(0)
    }
}

/// Whether a series whose newest value is of `time` has been silent for three intervals of `every` seconds.
fn is_stale(time: i64, every: i64, now: i64) -> bool {
    now.saturating_sub(time) > every.saturating_mul(3)
}

/// Returns the sections of a page, sorted by name.
pub fn sections(page: &Page, latest: Vec<Latest>) -> Vec<Section> {
    let measurements = page.measurements();
    let mut sections = BTreeMap::<String, Section>::new();
    for Latest { series, field, time, value, every } in latest {
        let Some(of) = measurements.iter().position(|measurement| measurement.name == series.measurement()) else {
            continue;
        };
        let name = page.section.map_or(Some(page.title), |tag| series.tag(tag));
        let (Some(name), Some(path)) = (name, measurements[of].carbon_path(&series, field.name)) else { continue };
        if !sections.contains_key(name) {
            let numbers = vec![Vec::new(); measurements.len()];
            sections.insert(name.into(), Section { name: name.into(), time: i64::MIN, every: i64::MAX, numbers });
        }
        let Some(section) = sections.get_mut(name) else { continue };
        let number = Number { value, time: time / SECOND, path, every: every.max(1), series, field: field.name };
        section.time = section.time.max(number.time);
        section.every = section.every.min(number.every);
        section.numbers[of].push(number);
    }
    sections.into_values().collect()
}

impl Number {
    /// The value of one tag of its series; empty where it has no such tag.
    pub fn tag(&self, name: &str) -> &str {
        self.series.tag(name).unwrap_or_default()
    }

    /// The name of its field.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl Section {
    /// Its numbers of one measurement by their place in [`Page::measurements`].
    pub fn numbers(&self, of: usize) -> &[Number] {
        &self.numbers[of]
    }

    /// Whether all its numbers are old at a time in unix seconds: its most frequent series has been silent for three
    /// intervals.
    pub fn is_stale(&self, now: i64) -> bool {
        is_stale(self.time, self.every, now)
    }

    /// Its tables, one for each that the page declares. A row that has been silent for ten of its intervals, and for an hour
    /// at least, is left out unless `all` is wanted: it is gone, or nobody can ask it.
    pub fn tables<'a>(&'a self, page: &'a Page, all: bool) -> Vec<Table<'a>> {
        let measurements = page.measurements();
        let build = |of: &'a page::Table| {
            let keeps_all = all || of.placement == Placement::Badges;
            TableBuilder::new(self, of, &measurements).table(self.time, keeps_all)
        };
        page.tables.iter().map(build).collect()
    }
}

/// Numbers that make rows, and which columns they belong to.
struct TableBuilder<'a> {
    declared: &'a page::Table,
    rows: BTreeMap<&'a str, RowNumbers<'a>>,
}

/// The numbers of a row, each with its measurement.
struct RowNumbers<'a> {
    newest: i64,
    /// The longest time between two values of a series of it, in seconds.
    every: i64,
    numbers: Vec<(&'static Measurement, &'a Number)>,
    sub_rows: BTreeMap<Vec<&'a str>, RowNumbers<'a>>,
}

impl Default for RowNumbers<'_> {
    fn default() -> Self {
        Self { newest: i64::MIN, every: 0, numbers: Vec::new(), sub_rows: BTreeMap::new() }
    }
}

impl<'a> RowNumbers<'a> {
    /// Notes that it has a number.
    fn add(&mut self, number: &Number) {
        self.newest = self.newest.max(number.time);
        self.every = self.every.max(number.every);
    }

    /// Whether it had a number lately, given the newest time of its section.
    fn is_recent(&self, newest: i64) -> bool {
        self.newest > newest.saturating_sub(self.every.saturating_mul(10).max(3600))
    }

    /// All its numbers, those of the second level too.
    fn all(&self) -> impl Iterator<Item = &(&'static Measurement, &'a Number)> {
        self.numbers.iter().chain(self.sub_rows.values().flat_map(|sub_row| &sub_row.numbers))
    }
}

impl<'a> TableBuilder<'a> {
    /// Sorts the numbers of a section by row.
    fn new(section: &'a Section, of: &'a page::Table, measurements: &[&'static Measurement]) -> Self {
        let mut rows = BTreeMap::<_, RowNumbers>::new();
        let keys: Vec<_> = of.keys().collect();
        for (measurement, numbers) in measurements.iter().zip(&section.numbers) {
            let columns = || of.columns.iter().filter(|column| is_of(column, measurement));
            if columns().next().is_none() {
                continue;
            }
            let except = columns().find_map(|column| column.except);
            let outer = is_outer(&keys, measurement);
            for number in numbers {
                let row = rows.entry(keys.first().map_or("–", |key| number.tag(key))).or_default();
                row.add(number);
                if except.is_some_and(|(tag, value)| number.tag(tag) == value) {
                    continue;
                }
                let row = match outer {
                    true => row,
                    false => row.sub_rows.entry(keys[1..].iter().map(|key| number.tag(key)).collect()).or_default(),
                };
                row.add(number);
                row.numbers.push((measurement, number));
            }
        }
        Self { declared: of, rows }
    }

    /// The table, given the newest time of its section. Rows that are gone are left out unless it `keeps_all`.
    fn table(mut self, newest: i64, keeps_all: bool) -> Table<'a> {
        let known = self.rows.len();
        self.rows.retain(|_, row| keeps_all || row.is_recent(newest));
        for row in self.rows.values_mut() {
            row.sub_rows.retain(|_, sub_row| keeps_all || sub_row.is_recent(newest));
        }
        let columns = self.columns();
        let fill = |numbers: &[(&'static Measurement, &'a Number)]| {
            let mut cells = vec![None; columns.len()];
            for (measurement, number) in numbers {
                let Number { value, time, path, every, .. } = *number;
                let late = *time <= newest.saturating_sub(*every);
                let cell = Cell { value: *value, time: *time, path, every: *every, late };
                let fits = |column: &Column| {
                    is_of(column.declared, measurement)
                        && fits(column.declared, number).is_some_and(|head| head == column.head)
                };
                if let Some(at) = columns.iter().position(fits) {
                    cells[at] = Some(cell);
                }
            }
            cells
        };
        let row = |(name, row): (&&'a str, &RowNumbers<'a>)| {
            let sub_rows = row.sub_rows.iter();
            let sub_rows =
                sub_rows.map(|(names, sub_row)| SubRow { names: names.clone(), cells: fill(&sub_row.numbers) });
            let mut sub_rows: Vec<_> = sub_rows.collect();
            if sub_rows.is_empty() {
                sub_rows.push(SubRow { names: Vec::new(), cells: vec![None; columns.len()] });
            }
            Row { name, cells: fill(&row.numbers), sub_rows }
        };
        let mut rows: Vec<_> = self.rows.iter().map(row).collect();
        rows.sort_by_key(|row| !self.declared.sum_row.is_empty() && row.name == self.declared.sum_row);
        let left_out = known - rows.len();
        Table { declared: self.declared, columns, rows, left_out }
    }

    /// The columns, now that it is known which rows are shown.
    fn columns(&self) -> Vec<Column<'a>> {
        let keys: Vec<_> = self.declared.keys().collect();
        let mut columns = Vec::new();
        for of in self.declared.columns {
            let outer = is_level_one(&keys, of);
            let numbers = || {
                let all = self.rows.values().flat_map(RowNumbers::all);
                all.filter(|(measurement, _)| is_of(of, measurement)).map(|(_, number)| *number)
            };
            let Kind::Pivot(pivot) = of.kind else {
                let is_zero = |number: &Number| number.value == Value::Int(0) || fits(of, number).is_none();
                let shown = !of.unless_zero || !numbers().all(is_zero);
                columns.push(Column { declared: of, head: of.head, shown, outer });
                continue;
            };
            let Pivot { tag, first, last, short_first, .. } = pivot;
            let mut more = BTreeMap::<&str, bool>::new();
            for number in numbers() {
                *more.entry(number.tag(tag)).or_default() |= number.value != Value::Int(0);
            }
            let is_fixed = |head: &str| first.contains(&head) || last == Some(head);
            let mut more: Vec<_> = more.into_iter().filter(|(head, _)| !is_fixed(head)).collect();
            if short_first {
                more.sort_by_key(|(head, _)| head.len());
            }
            let first = first.iter().map(|head| (*head, true));
            let all = first.chain(more).chain(last.map(|head| (head, true)));
            columns.extend(all.map(|(head, shown)| Column { declared: of, head, shown, outer }));
        }
        columns
    }
}

fn is_of(column: &page::Column, measurement: &Measurement) -> bool {
    column.measurement().is_some_and(|of| std::ptr::eq(of, measurement))
}

/// Whether a measurement has one number for each row of the first level.
fn is_outer(keys: &[&str], measurement: &Measurement) -> bool {
    !keys.iter().skip(1).any(|key| measurement.tags.iter().any(|tag| tag.name == *key))
}

/// Whether a column has one cell for each row of the first level.
fn is_level_one(keys: &[&str], column: &page::Column) -> bool {
    match (column.kind, column.measurement()) {
        (Kind::Key(tag), _) => keys.first() == Some(&tag),
        (_, measurement) => measurement.is_none_or(|measurement| is_outer(keys, measurement)),
    }
}

/// The head of the column that a number of its measurement belongs to; `None` when it is in none of this declaration.
fn fits<'a>(column: &'a page::Column, number: &'a Number) -> Option<&'a str> {
    match column.kind {
        Kind::Key(_) => None,
        Kind::Field(_, field) | Kind::Health(_, field) | Kind::Switch(_, field) => {
            (field == number.field).then_some(column.head)
        }
        Kind::One(_, tag, value) => (number.tag(tag) == value).then_some(column.head),
        Kind::Pivot(Pivot { tag, .. }) => Some(number.tag(tag)),
    }
}

impl<'a> Table<'a> {
    /// The column of its names, and those after it that are shown, each with its place among the cells.
    pub fn shown(&self) -> impl Iterator<Item = (usize, &Column<'a>)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.shown)
    }

    /// Whether the rows have a second level.
    pub fn is_grouped(&self) -> bool {
        self.declared.keys().nth(1).is_some()
    }

    /// Whether a declared column has one cell for each row of the first level.
    pub fn is_outer(&self, of: &page::Column) -> bool {
        let keys: Vec<_> = self.declared.keys().collect();
        is_level_one(&keys, of)
    }

    /// Whether it says the health of its rows.
    pub fn has_health(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.declared.kind, Kind::Health(..)))
    }

    /// The health of a row, where the table has any.
    pub fn health(&self, row: &Row<'a>) -> Option<Health> {
        Some(Health::of(self.health_cell(row)?.as_ref()))
    }

    /// The cell that says the health of a row; the outer `None` where the table has no such column.
    pub fn health_cell(&self, row: &Row<'a>) -> Option<Option<Cell<'a>>> {
        let at = self.columns.iter().position(|column| matches!(column.declared.kind, Kind::Health(..)))?;
        Some(row.cells[at])
    }

    /// The sum of a pivot's numbers in one row, of those that are as new as the newest of them.
    pub fn newest_sum(&self, of: &page::Column, cells: &[Option<Cell<'a>>]) -> Option<Cell<'a>> {
        let of = self.columns.iter().zip(cells).filter(|(column, _)| std::ptr::eq(column.declared, of));
        let cells: Vec<_> = of.filter_map(|(_, cell)| *cell).collect();
        let newest = *cells.iter().max_by_key(|cell| cell.time)?;
        let now = cells.iter().filter(|cell| cell.time == newest.time);
        let whole = now.map(|cell| if let Value::Int(value) = cell.value { value } else { 0 });
        let sum = whole.fold(0, i64::saturating_add);
        Some(Cell { value: Value::Int(sum), path: "", ..newest })
    }
}

impl Column<'_> {
    /// What is above it in a terminal; `None` when it is not shown there.
    pub fn in_text(&self) -> Option<&str> {
        match self.declared.text {
            InText::Same => Some(self.head),
            InText::Head(head) | InText::Sum(head) => Some(head),
            InText::Never => None,
        }
    }
}
