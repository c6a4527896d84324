//! The tables of a page, built from the newest value of each series. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::page::{self, FIELD, InText, Kind, Page, Pivot, Placement, PlotPlace};
use crate::model::{Measurement, Point, SECOND, Value};
use crate::query::Latest;

/// The newest value of one field of one series.
#[derive(Clone, Debug)]
pub struct Number {
    /// The value.
    pub value: Value,
    /// Its time, in unix seconds.
    pub time: i64,
    /// The interval of its series, in seconds.
    every: i64,
    series: Arc<Point>,
    measurement: &'static Measurement,
    field: &'static str,
    /// Its plot, if that is not its own.
    plot: Option<&'static PlotPlace>,
    /// See [`Number::path`]: a page of thousands of numbers draws some hundreds.
    path: OnceLock<Box<str>>,
}

/// One section of a page: one grid, for instance.
#[derive(Clone, Debug)]
pub struct Section {
    /// The value of the page's section tag.
    pub name: String,
    /// The newest time of all numbers, in unix seconds.
    pub time: i64,
    /// The interval of the most frequent series, in seconds.
    every: i64,
    /// The numbers by measurement, in the order of [`Page::measurements`].
    numbers: Vec<Vec<Number>>,
}

/// One table of a section.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// The declaration.
    pub declared: &'a page::Table,
    /// The columns, including hidden ones; one per value of a pivot.
    pub columns: Vec<Column<'a>>,
    /// The rows, sorted by name, a row of sums last.
    pub rows: Vec<Row<'a>>,
    /// The number of rows left out because they have been silent for too long; sub-rows are not counted.
    pub left_out: usize,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// The declaration.
    pub declared: &'a page::Column,
    /// The head: as declared, or the value of a pivot's tag.
    pub head: &'a str,
    /// Whether it is shown. A hidden column of a pivot holds only zeros.
    pub shown: bool,
    /// Whether it has one cell per row, not per sub-row.
    pub outer: bool,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The name.
    pub name: &'a str,
    /// A cell per column of the table; `None` if there is no number, and in columns of the sub-rows.
    pub cells: Vec<Option<Cell<'a>>>,
    /// The text of each column of labels; empty in all others, and where nothing is known.
    pub labels: Vec<&'a str>,
    /// The sub-rows, sorted by name. If there are none, one without names and numbers.
    pub sub_rows: Vec<SubRow<'a>>,
}

/// One row of the second level: one type of machine of a cloud, for instance.
#[derive(Clone, Debug)]
pub struct SubRow<'a> {
    /// The names by the key tags after the first one.
    pub names: Vec<&'a str>,
    /// A cell per column of the table.
    pub cells: Vec<Option<Cell<'a>>>,
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The value.
    pub value: Value,
    /// Its time, in unix seconds.
    pub time: i64,
    /// The number; `None` if it is the sum of several.
    of: Option<&'a Number>,
    /// The interval of its series, in seconds.
    pub every: i64,
    /// Whether it is at least one interval older than the newest number of its section.
    pub late: bool,
}

/// The health of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The number is not zero.
    Up,
    /// The number is zero.
    Down,
    /// The number is late.
    Silent,
    /// There is no number.
    Unknown,
}

impl Health {
    /// Returns the health that a cell shows.
    pub fn of(cell: Option<&Cell>) -> Self {
        match cell {
            None => Self::Unknown,
            Some(cell) if cell.late => Self::Silent,
            Some(Cell { value: Value::Int(0), .. }) => Self::Down,
            Some(_) => Self::Up,
        }
    }
}

impl<'a> Cell<'a> {
    /// Returns the Carbon path of its plot; empty if it has none.
    pub fn path(&self) -> &'a str {
        self.of.map_or("", Number::path)
    }

    /// Returns the number; `None` if it is the sum of several.
    pub fn number(&self) -> Option<&'a Number> {
        self.of
    }

    /// Whether the number is late and may have changed. A late zero has not: a count that vanishes is sent as zero once.
    pub fn is_old(&self) -> bool {
        self.late && !self.is_zero()
    }

    /// Whether its series has been silent for more than three intervals at `now`, in unix seconds.
    pub fn is_stale(&self, now: i64) -> bool {
        is_stale(self.time, self.every, now)
    }

    /// Whether it is the whole number zero.
    pub fn is_zero(&self) -> bool {
        self.value == Value::Int(0)
    }
}

/// Whether more than three intervals of `every` seconds have passed since `time`.
pub fn is_stale(time: i64, every: i64, now: i64) -> bool {
    now.saturating_sub(time) > every.saturating_mul(3)
}

/// Returns the sections of a page, sorted by name.
pub fn sections(page: &Page, latest: Vec<Latest>) -> Vec<Section> {
    sections_of(page, &page.measurements(), latest)
}

/// Returns the sections that a page would have of these measurements; the numbers of a section are in their order.
pub fn sections_of(page: &Page, measurements: &[&'static Measurement], latest: Vec<Latest>) -> Vec<Section> {
    let mut sections = BTreeMap::<String, Section>::new();
    for Latest { series, field, time, value, every } in latest {
        let Some(of) = measurements.iter().position(|measurement| measurement.name == series.measurement()) else {
            continue;
        };
        let (measurement, field) = (measurements[of], field.name);
        let plot = page.plot_of(measurement, field);
        let name = page.section.map_or(Some(page.title), |tag| series.tag(tag));
        let Some(name) = name.filter(|_| plot.is_some() || measurement.has_carbon_path(&series, field)) else {
            continue;
        };
        if !sections.contains_key(name) {
            let numbers = vec![Vec::new(); measurements.len()];
            sections.insert(name.into(), Section { name: name.into(), time: i64::MIN, every: i64::MAX, numbers });
        }
        let Some(section) = sections.get_mut(name) else { continue };
        let (time, every, path) = (time / SECOND, every.max(1), OnceLock::new());
        let number = Number { value, time, every, series, measurement, field, plot, path };
        section.time = section.time.max(number.time);
        section.every = section.every.min(number.every);
        section.numbers[of].push(number);
    }
    sections.into_values().collect()
}

impl Number {
    /// Returns the value of a tag of its series, or the name of its field for [`FIELD`]; empty if there is no such tag.
    pub fn tag(&self, name: &str) -> &str {
        if name == FIELD { self.field } else { self.series.tag(name).unwrap_or_default() }
    }

    /// Returns the Carbon path by which its plot is asked for; empty if it has none.
    pub fn path(&self) -> &str {
        self.path.get_or_init(|| match self.plot {
            Some(plot) => plot.path(&self.series).into(),
            None => self.measurement.carbon_path(&self.series, self.field).unwrap_or_default().into(),
        })
    }

    /// Returns the first name of its path, if that is the same for all such numbers.
    pub fn path_begins(&self) -> Option<&'static str> {
        let path = self.plot.map_or(self.measurement.carbon, |plot| plot.path);
        path.split('.').next().filter(|name| !name.starts_with('{'))
    }

    /// Whether it is at least one interval older than `newest`, the newest time of its section.
    pub fn is_late(&self, newest: i64) -> bool {
        self.time <= newest.saturating_sub(self.every)
    }

    /// Returns the name of its field.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

/// `{"value": …, "time": …, "path": …}`, without a path if it has none.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("time", &self.time)?;
        if !self.path().is_empty() {
            map.serialize_entry("path", self.path())?;
        }
        map.end()
    }
}

impl Section {
    /// Returns the numbers of a measurement, given its index in [`Page::measurements`].
    pub fn numbers(&self, of: usize) -> &[Number] {
        &self.numbers[of]
    }

    /// Whether all its numbers are old at `now`, in unix seconds: the newest one is older than three intervals of its most
    /// frequent series.
    pub fn is_stale(&self, now: i64) -> bool {
        is_stale(self.time, self.every, now)
    }

    /// Returns the tables in the order of the page. Unless `all` is set, rows that have been silent for ten intervals, and
    /// for an hour at least, are left out: the thing no longer exists, or its source has been down for long.
    pub fn tables<'a>(&'a self, page: &'a Page, all: bool) -> Vec<Table<'a>> {
        let measurements = page.measurements();
        let build = |of: &'a page::Table| {
            let keeps_all = all || of.placement == Placement::Badges;
            TableBuilder::new(self, of, &measurements).table(self.time, keeps_all)
        };
        page.tables.iter().map(build).collect()
    }
}

/// The numbers of a table, sorted by row.
struct TableBuilder<'a> {
    declared: &'a page::Table,
    /// The heads of each declared column: one, or those of a pivot as they were met.
    heads: Vec<Vec<&'a str>>,
    rows: BTreeMap<&'a str, RowNumbers<'a>>,
}

/// A number with its place in a table: a declared column and one of its heads; `None` if it is in no column.
type Placed<'a> = (&'a Number, Option<(usize, usize)>);

/// The numbers of a row.
struct RowNumbers<'a> {
    newest: i64,
    /// The interval of the rarest series, in seconds.
    every: i64,
    numbers: Vec<Placed<'a>>,
    sub_rows: BTreeMap<Vec<&'a str>, RowNumbers<'a>>,
}

impl Default for RowNumbers<'_> {
    fn default() -> Self {
        Self { newest: i64::MIN, every: 0, numbers: Vec::new(), sub_rows: BTreeMap::new() }
    }
}

impl<'a> RowNumbers<'a> {
    /// Takes the time and interval of a number into account.
    fn add(&mut self, number: &Number) {
        self.newest = self.newest.max(number.time);
        self.every = self.every.max(number.every);
    }

    /// Whether it is not left out, given the newest time of its section.
    fn is_recent(&self, newest: i64) -> bool {
        self.newest > newest.saturating_sub(self.every.saturating_mul(10).max(3600))
    }

    /// Returns all numbers, those of sub-rows too.
    fn all(&self) -> impl Iterator<Item = &Placed<'a>> {
        self.numbers.iter().chain(self.sub_rows.values().flat_map(|sub_row| &sub_row.numbers))
    }
}

impl<'a> TableBuilder<'a> {
    /// Sorts the numbers of a section by row.
    fn new(section: &'a Section, of: &'a page::Table, measurements: &[&'static Measurement]) -> Self {
        let mut rows = BTreeMap::<_, RowNumbers>::new();
        let mut heads = vec![Vec::new(); of.columns.len()];
        let keys: Vec<_> = of.keys().collect();
        for (measurement, numbers) in measurements.iter().zip(&section.numbers) {
            let columns: Vec<_> = of.columns.iter().enumerate().filter(|(_, one)| is_of(one, measurement)).collect();
            if columns.is_empty() {
                continue;
            }
            let except = columns.iter().find_map(|(_, column)| column.except);
            let outer = is_outer(&keys, measurement);
            let names_of = |number: &'a Number| keys.iter().map(move |key| number.tag(key));
            // The numbers of a series stand together, such as those of a queue by status.
            let mut rest = numbers.as_slice();
            while let Some(first) = rest.first() {
                let names: Vec<_> = names_of(first).collect();
                let is_same = |number: &&'a Number| {
                    Arc::ptr_eq(&number.series, &first.series) || names_of(*number).eq(names.iter().copied())
                };
                let same = 1 + rest[1..].iter().take_while(is_same).count();
                let (numbers, after) = rest.split_at(same);
                rest = after;
                let row = rows.entry(names.first().copied().unwrap_or("–")).or_default();
                numbers.iter().for_each(|number| row.add(number));
                let is_except = |number: &Number| except.is_some_and(|(tag, value)| number.tag(tag) == value);
                let numbers: Vec<_> = numbers.iter().filter(|number| !is_except(number)).collect();
                if numbers.is_empty() {
                    continue;
                }
                let row = match outer {
                    true => row,
                    false => row.sub_rows.entry(names[1..].to_vec()).or_default(),
                };
                numbers.iter().for_each(|number| row.add(number));
                for (at, number) in numbers.into_iter().enumerate() {
                    let head = columns.iter().find_map(|(column, of)| Some((*column, fits(of, number)?)));
                    row.numbers
                        .push((number, head.map(|(column, head)| (column, index(&mut heads[column], at, head)))));
                }
            }
        }
        Self { declared: of, heads, rows }
    }

    /// Returns the table, given the newest time of its section. Rows that are not recent are left out unless `keeps_all`.
    fn table(mut self, newest: i64, keeps_all: bool) -> Table<'a> {
        let known = self.rows.len();
        self.rows.retain(|_, row| keeps_all || row.is_recent(newest));
        for row in self.rows.values_mut() {
            row.sub_rows.retain(|_, sub_row| keeps_all || sub_row.is_recent(newest));
        }
        let columns = self.columns();
        let places = self.places(&columns);
        let fill = |numbers: &[Placed<'a>]| {
            let mut cells = vec![None; columns.len()];
            for (number, place) in numbers {
                let Number { value, time, every, .. } = **number;
                let late = time <= newest.saturating_sub(every);
                if let Some(at) = place.and_then(|(column, head)| places[column][head]) {
                    cells[at] = Some(Cell { value, time, of: Some(number), every, late });
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
            let label = |column: &Column<'a>| {
                let Kind::Label(of, tag) = column.declared.kind else { return "" };
                let newest = row.all().map(|(number, _)| number).filter(|number| std::ptr::eq(number.measurement, of));
                newest.max_by_key(|number| number.time).map_or("", |number| number.tag(tag))
            };
            Row { name, cells: fill(&row.numbers), labels: columns.iter().map(label).collect(), sub_rows }
        };
        let mut rows: Vec<_> = self.rows.iter().map(row).collect();
        rows.sort_by_key(|row| !self.declared.sum_row.is_empty() && row.name == self.declared.sum_row);
        let left_out = known - rows.len();
        Table { declared: self.declared, columns, rows, left_out }
    }

    /// Returns the columns of the rows that are left.
    fn columns(&self) -> Vec<Column<'a>> {
        let keys: Vec<_> = self.declared.keys().collect();
        let mut columns = Vec::new();
        for (at, of) in self.declared.columns.iter().enumerate() {
            let outer = is_level_one(&keys, of);
            let numbers = || {
                let all = self.rows.values().flat_map(RowNumbers::all);
                all.filter(|(number, _)| is_of(of, number.measurement))
            };
            let Kind::Pivot(pivot) = of.kind else {
                let is_zero = |(number, _): &Placed| number.value == Value::Int(0) || fits(of, number).is_none();
                let shown = !of.unless_zero || !numbers().all(is_zero);
                columns.push(Column { declared: of, head: of.head, shown, outer });
                continue;
            };
            let Pivot { tag, first, last, short_first, .. } = pivot;
            // Whether each head has a number, and one that is not zero.
            let mut heads = self.heads[at].clone();
            let mut has = vec![None; heads.len()];
            for (number, place) in numbers() {
                let head = match place {
                    Some((column, head)) if *column == at => *head,
                    // It stands in another column.
                    _ => index(&mut heads, 0, number.tag(tag)),
                };
                has.resize(heads.len(), None);
                has[head] = Some(has[head].unwrap_or(false) | (number.value != Value::Int(0)));
            }
            let more = heads.into_iter().zip(has).filter_map(|(head, shown)| Some((head, shown?)));
            let is_fixed = |head: &str| first.contains(&head) || last == Some(head);
            let mut more: Vec<_> = more.filter(|(head, _)| !is_fixed(head)).collect();
            more.sort_by_key(|(head, _)| (if short_first { head.len() } else { 0 }, *head));
            let first = first.iter().map(|head| (*head, true));
            let all = first.chain(more).chain(last.map(|head| (head, true)));
            columns.extend(all.map(|(head, shown)| Column { declared: of, head, shown, outer }));
        }
        columns
    }

    /// Returns the index of each declared column and head among the columns; of two with the same head the first one.
    fn places(&self, columns: &[Column]) -> Vec<Vec<Option<usize>>> {
        let of = |(declared, heads): (&page::Column, &Vec<&str>)| {
            let is_it = |column: &Column, head: &str| std::ptr::eq(column.declared, declared) && column.head == head;
            heads.iter().map(|head| columns.iter().position(|column| is_it(column, head))).collect()
        };
        self.declared.columns.iter().zip(&self.heads).map(of).collect()
    }
}

/// Returns the index of a head, which is usually the one at `likely`; a new one is added.
fn index<'a>(heads: &mut Vec<&'a str>, likely: usize, head: &'a str) -> usize {
    if heads.get(likely) == Some(&head) {
        return likely;
    }
    heads.iter().position(|known| *known == head).unwrap_or_else(|| {
        heads.push(head);
        heads.len() - 1
    })
}

fn is_of(column: &page::Column, measurement: &Measurement) -> bool {
    column.measurement().is_some_and(|of| std::ptr::eq(of, measurement))
}

/// Whether a measurement has one number per row, not per sub-row.
fn is_outer(keys: &[&str], measurement: &Measurement) -> bool {
    !keys.iter().skip(1).any(|key| measurement.tags.iter().any(|tag| tag.name == *key))
}

/// Whether a column has one cell per row, not per sub-row.
fn is_level_one(keys: &[&str], column: &page::Column) -> bool {
    match (column.kind, column.measurement()) {
        (Kind::Key(tag), _) => keys.first() == Some(&tag),
        (_, measurement) => measurement.is_none_or(|measurement| is_outer(keys, measurement)),
    }
}

/// Returns the head of the column that a number of its measurement belongs to; `None` if it is in no column of this
/// declaration.
fn fits<'a>(column: &'a page::Column, number: &'a Number) -> Option<&'a str> {
    match column.kind {
        Kind::Key(_) | Kind::Label(..) => None,
        Kind::Field(_, field) | Kind::Health(_, field) | Kind::Switch(_, field) => {
            (field == number.field).then_some(column.head)
        }
        Kind::One(_, tag, value) => (number.tag(tag) == value).then_some(column.head),
        Kind::Pivot(Pivot { tag, .. }) => Some(number.tag(tag)),
    }
}

impl Column<'_> {
    /// Whether a small line stands left of each number.
    pub fn has_line(&self) -> bool {
        self.declared.lines.contains(&self.head)
    }
}

impl<'a> Table<'a> {
    /// Returns the columns that are shown, each with its index among the cells.
    pub fn shown(&self) -> impl Iterator<Item = (usize, &Column<'a>)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.shown)
    }

    /// Whether the rows have sub-rows.
    pub fn is_grouped(&self) -> bool {
        self.declared.keys().nth(1).is_some()
    }

    /// Whether a declared column has one cell per row, not per sub-row.
    pub fn is_outer(&self, of: &page::Column) -> bool {
        let keys: Vec<_> = self.declared.keys().collect();
        is_level_one(&keys, of)
    }

    /// Whether a row is off by intent: a switch of it is off.
    pub fn is_off(&self, row: &Row<'a>) -> bool {
        let is_switch = |column: &Column| matches!(column.declared.kind, Kind::Switch(..));
        let mut cells = self.columns.iter().zip(&row.cells);
        cells.any(|(column, cell)| is_switch(column) && cell.is_some_and(|cell| cell.is_zero()))
    }

    /// Whether the table has a column of health.
    pub fn has_health(&self) -> bool {
        self.health_column().is_some()
    }

    /// Returns the cells of a row's health: its own, or one for each of its parts; none if the table has no such column.
    pub fn healths(&self, row: &Row<'a>) -> Vec<Option<Cell<'a>>> {
        match self.health_column() {
            None => Vec::new(),
            Some(at) if self.columns[at].outer => vec![row.cells[at]],
            Some(_) => row.sub_rows.iter().filter_map(|part| self.health_of_part(part)).collect(),
        }
    }

    /// Returns the cell of a part's health; the outer `None` if its row has that, or if it is none.
    pub fn health_of_part(&self, part: &SubRow<'a>) -> Option<Option<Cell<'a>>> {
        let at = self.health_column()?;
        (!self.columns[at].outer && !part.names.is_empty()).then(|| part.cells[at])
    }

    fn health_column(&self) -> Option<usize> {
        self.columns.iter().position(|column| matches!(column.declared.kind, Kind::Health(..)))
    }

    /// Whether each part of a row is a line of its own.
    pub fn is_parted(&self) -> bool {
        self.is_grouped() && !self.declared.folded
    }

    /// Returns how many things it shows: rows, or their parts where each part is a line.
    pub fn things(&self) -> usize {
        if self.is_parted() { self.rows.iter().map(|row| row.sub_rows.len()).sum() } else { self.rows.len() }
    }

    /// Returns the sum of a pivot's numbers in one row, without those older than the newest; `None` if there are none.
    pub fn newest_sum(&self, of: &page::Column, cells: &[Option<Cell<'a>>]) -> Option<Cell<'a>> {
        let of = self.columns.iter().zip(cells).filter(|(column, _)| std::ptr::eq(column.declared, of));
        let cells: Vec<_> = of.filter_map(|(_, cell)| *cell).collect();
        let newest = *cells.iter().max_by_key(|cell| cell.time)?;
        let now = cells.iter().filter(|cell| cell.time == newest.time);
        let sum = now.map(|cell| cell.value).reduce(Value::plus)?;
        Some(Cell { value: sum, of: None, ..newest })
    }
}

impl Column<'_> {
    /// Whether the declaration calls a number of this column bad.
    pub fn is_bad(&self, cell: &Cell) -> bool {
        let is_beyond = self.declared.limit.is_some_and(|limit| cell.value.as_f64() >= limit);
        is_beyond || self.declared.alarms.contains(&self.head) && !cell.value.is_zero()
    }

    /// Returns the head in a terminal; `None` if it is not shown there.
    pub fn in_text(&self) -> Option<&str> {
        match self.declared.text {
            InText::Same => Some(self.head),
            InText::Head(head) | InText::Sum(head) => Some(head),
            InText::Never => None,
        }
    }
}
