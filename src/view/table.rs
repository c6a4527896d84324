//! The tables of a page, built from the newest value of each series. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
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
    /// Whether a phone has no room for it, so that it stands below the row there.
    pub later: bool,
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
    /// The parts of which each column has one number, sorted by name; none in columns of other numbers.
    pub parts: Vec<Vec<Part<'a>>>,
    /// The sub-rows, sorted by name. If there are none, one without names and numbers.
    pub sub_rows: Vec<SubRow<'a>>,
}

/// What belongs to a row and has no row of its own: a disk or a GPU of a node.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// Its names by the tags that the rows have not.
    pub names: Vec<&'a str>,
    /// The name that is shown; empty if none is.
    pub name: &'a str,
    /// Its number; `None` if it has none now.
    pub cell: Option<Cell<'a>>,
    /// Whether it is lost.
    pub is_lost: bool,
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

    /// Returns how bad it is: the larger, the worse.
    pub fn badness(self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Unknown => 1,
            Self::Silent => 2,
            Self::Down => 3,
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

    /// Returns its cell, given the newest time of its section.
    fn cell(&self, newest: i64) -> Cell<'_> {
        let Self { value, time, every, .. } = *self;
        Cell { value, time, of: Some(self), every, late: self.is_late(newest) }
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

    /// Returns the tables that unfold below a row, of whose name all numbers of this section are.
    pub fn unfolded<'a>(&'a self, page: &Page, of: &'a page::Unfolds) -> Vec<Table<'a>> {
        let measurements = page.measurements();
        let mut tables: Vec<_> =
            of.tables.iter().map(|of| TableBuilder::new(self, of, &measurements).table(self.time, false)).collect();
        // Nothing unfolds below their rows, where a phone would have the rest.
        tables.iter_mut().flat_map(|table| &mut table.columns).for_each(|column| column.later = false);
        tables
    }

    /// Returns the numbers of some values of a tag, a section for each of them.
    pub fn split(&self, tag: &str, names: &HashSet<&str>) -> BTreeMap<String, Self> {
        let mut sections = BTreeMap::<String, Self>::new();
        for (of, numbers) in self.numbers.iter().enumerate() {
            for number in numbers {
                let Some(name) = names.get(number.tag(tag)) else { continue };
                let numbers = || vec![Vec::new(); self.numbers.len()];
                let new = || Self { name: self.name.clone(), time: self.time, every: self.every, numbers: numbers() };
                sections.entry((*name).into()).or_insert_with(new).numbers[of].push(number.clone());
            }
        }
        sections
    }
}

/// How many intervals may pass without the number by which a row is up: a service sends several of its readings at once, and each
/// at its own time.
const PATIENCE: i64 = 12;

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
        let columns_of = |measurement: &'static Measurement| {
            of.columns.iter().enumerate().filter(move |(_, column)| is_of(column, measurement))
        };
        let only_adds = |measurement: &'static Measurement| columns_of(measurement).all(|(_, column)| column.only_adds);
        let mut all: Vec<_> = measurements.iter().copied().zip(&section.numbers).collect();
        all.retain(|(measurement, _)| columns_of(measurement).next().is_some());
        // What makes no rows finds those of the others.
        all.sort_by_key(|(measurement, _)| only_adds(measurement));
        for (measurement, numbers) in all {
            let columns: Vec<_> = columns_of(measurement).collect();
            let only_adds = only_adds(measurement);
            let except = columns.iter().find_map(|(_, column)| column.except);
            let outer = is_outer(&keys, measurement);
            let names_of = |number: &'a Number| keys.iter().map(move |key| number.tag(key));
            // The numbers of a series stand together, such as those of a queue by status.
            let mut rest = numbers.as_slice();
            while let Some(first) = rest.first() {
                let names: Vec<_> = names_of(first).collect();
                let is_same = |number: &&'a Number| {
                    Arc::ptr_eq(&number.series, &first.series) || names_of(number).eq(names.iter().copied())
                };
                let same = 1 + rest[1..].iter().take_while(is_same).count();
                let (numbers, after) = rest.split_at(same);
                rest = after;
                let name = names.first().copied().unwrap_or("–");
                if only_adds && !rows.contains_key(name) {
                    continue;
                }
                let row = rows.entry(name).or_default();
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
                if let Some(at) = place.and_then(|(column, head)| places[column][head]) {
                    let mut cell = number.cell(newest);
                    if columns[at].declared.is_presence {
                        cell.late = cell.time <= newest.saturating_sub(number.every.saturating_mul(PATIENCE));
                    }
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
            let label = |column: &Column<'a>| {
                let Kind::Label(of, tag) = column.declared.kind else { return "" };
                let newest = row.all().map(|(number, _)| number).filter(|number| std::ptr::eq(number.measurement, of));
                newest.max_by_key(|number| number.time).map_or("", |number| number.tag(tag))
            };
            let mut cells = fill(&row.numbers);
            let mut parts = vec![Vec::new(); columns.len()];
            for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.is_of_parts()) {
                parts[at] = self.parts(column.declared, &row.numbers, newest);
                cells[at] = column.together(&parts[at]);
            }
            Row { name, cells, labels: columns.iter().map(label).collect(), parts, sub_rows }
        };
        let mut rows: Vec<_> = self.rows.iter().map(row).collect();
        rows.sort_by_key(|row| !self.declared.sum_row.is_empty() && row.name == self.declared.sum_row);
        let left_out = known - rows.len();
        Table { declared: self.declared, columns, rows, left_out }
    }

    /// Returns the parts of a row of which a column has numbers. Those that have been silent for long are left out.
    fn parts(&self, of: &page::Column, numbers: &[Placed<'a>], newest: i64) -> Vec<Part<'a>> {
        let (Kind::Most(measurement, field, tag) | Kind::Mean(measurement, field, tag)) = of.kind else {
            return Vec::new();
        };
        let keys: Vec<_> = self.declared.keys().collect();
        let is_own = |tag: &&crate::model::Tag| tag.identifies && !keys.contains(&tag.name);
        let own: Vec<_> = measurement.tags.iter().filter(is_own).map(|tag| tag.name).collect();
        let mut parts = BTreeMap::<Vec<&str>, Part>::new();
        for (number, _) in numbers.iter().filter(|(number, _)| std::ptr::eq(number.measurement, measurement)) {
            let is_gone = number.time <= newest.saturating_sub(number.every.saturating_mul(10).max(3600));
            let names: Vec<_> = own.iter().map(|tag| number.tag(tag)).filter(|name| !name.is_empty()).collect();
            if is_gone || names.is_empty() {
                continue;
            }
            let part = parts.entry(names).or_insert_with_key(|names| Part {
                names: names.clone(),
                name: number.tag(tag),
                cell: None,
                is_lost: false,
            });
            if number.field == field {
                part.cell = Some(number.cell(newest));
            } else if number.field == of.lost {
                part.is_lost = !number.value.is_zero() && !number.is_late(newest);
            }
        }
        parts.into_values().collect()
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
                let is_of_part = |number: &Number| matches!(of.kind, Kind::Most(_, field, _) | Kind::Mean(_, field, _) if field == number.field);
                let is_its = |number: &Number| fits(of, number).is_some() || is_of_part(number);
                let is_zero = |(number, _): &Placed| !is_its(number) || !is_of_part(number) && number.value.is_zero();
                let shown = !of.is_inside && (!of.unless_zero || !numbers().all(is_zero));
                columns.push(Column { declared: of, head: of.head, shown, outer, later: false });
                continue;
            };
            let Pivot { tag, field, first, last, short_first, .. } = pivot;
            // Whether each head has a number, and one that is not zero.
            let mut heads = self.heads[at].clone();
            let mut has = vec![None; heads.len()];
            for (number, place) in numbers().filter(|(number, _)| fits(of, number).is_some()) {
                let head = match place {
                    Some((column, head)) if *column == at => *head,
                    // It stands in another column.
                    _ => index(&mut heads, 0, number.tag(tag)),
                };
                has.resize(heads.len(), None);
                has[head] = Some(has[head].unwrap_or(false) | (!field.is_empty() || number.value != Value::Int(0)));
            }
            let more = heads.into_iter().zip(has).filter_map(|(head, shown)| Some((head, shown?)));
            let is_fixed = |head: &str| first.contains(&head) || last == Some(head);
            let mut more: Vec<_> = more.filter(|(head, _)| !is_fixed(head)).collect();
            more.sort_by_key(|(head, _)| (if short_first { head.len() } else { 0 }, *head));
            let first = first.iter().map(|head| (*head, true));
            let all = first.chain(more).chain(last.map(|head| (head, true)));
            columns.extend(all.map(|(head, shown)| Column { declared: of, head, shown, outer, later: false }));
        }
        self.leave_to_later(&mut columns);
        columns
    }

    /// Says of each column whether a phone has room for it.
    fn leave_to_later(&self, columns: &mut [Column]) {
        let phone = self.declared.phone;
        let has_health = columns.iter().any(|column| matches!(column.declared.kind, Kind::Health(..)));
        let names = if self.declared.folded { 1 } else { self.declared.keys().count() };
        let (mut left, mut last) =
            (if has_health { 1 } else { 4_usize.saturating_sub(names).max(1) }, None::<(&page::Column, bool)>);
        for column in columns.iter_mut().filter(|column| column.shown) {
            let declared = column.declared;
            column.later = match declared.kind {
                Kind::Key(_) | Kind::Health(..) => false,
                _ if !phone.is_empty() => !phone.contains(&column.place(self.declared.folded).as_str()),
                Kind::Label(..) => true,
                // What is gathered is one column.
                _ if self.declared.folded
                    && !declared.gathered.is_empty()
                    && last.is_some_and(|(of, _)| std::ptr::eq(of, declared)) =>
                {
                    last.is_some_and(|(_, later)| later)
                }
                _ if left == 0 => true,
                _ => {
                    left -= 1;
                    false
                }
            };
            last = Some((declared, column.later));
        }
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
        // Those of parts are gathered apart.
        Kind::Key(_) | Kind::Label(..) | Kind::Most(..) | Kind::Mean(..) => None,
        Kind::Field(_, field) | Kind::Health(_, field) | Kind::Switch(_, field) => {
            (field == number.field).then_some(column.head)
        }
        Kind::One(_, tag, value) => (number.tag(tag) == value).then_some(column.head),
        Kind::Pivot(Pivot { tag, field, .. }) => (field.is_empty() || field == number.field).then(|| number.tag(tag)),
    }
}

impl Column<'_> {
    /// Returns its group and head: `machines/running`; where its table folds, a gathered one's.
    pub fn place(&self, is_folded: bool) -> String {
        let page::Column { group, gathered, .. } = self.declared;
        let head = if is_folded && !gathered.is_empty() { gathered } else { self.head };
        if group.is_empty() { head.into() } else { format!("{group}/{head}") }
    }

    /// Whether the last 24 hours are drawn left of each number.
    pub fn has_line(&self) -> bool {
        self.declared.has_past() && (self.declared.lines.is_empty() || self.declared.lines.contains(&self.head))
    }

    /// Whether its numbers are each of several parts of a row.
    pub fn is_of_parts(&self) -> bool {
        matches!(self.declared.kind, Kind::Most(..) | Kind::Mean(..))
    }

    /// Returns the number of several parts together: of those that are not late, if there are any.
    fn together<'a>(&self, parts: &[Part<'a>]) -> Option<Cell<'a>> {
        let all: Vec<_> = parts.iter().filter_map(|part| part.cell).collect();
        let is_late = all.iter().all(|cell| cell.late);
        let cells = all.into_iter().filter(|cell| cell.late == is_late);
        if let Kind::Most(..) = self.declared.kind {
            return cells.reduce(|a, b| if b.value.as_f64() > a.value.as_f64() { b } else { a });
        }
        let (mut sum, mut count, mut last) = (0.0, 0, None::<Cell>);
        for cell in cells {
            (sum, count) = (sum + cell.value.as_f64(), count + 1);
            last = Some(last.filter(|last| last.time > cell.time).unwrap_or(cell));
        }
        // A mean has no path: its plot is that of all parts.
        last.map(|last| Cell { value: Value::Float(sum / f64::from(count)), of: None, ..last })
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

    /// Returns the part whose number a cell of a row has; `None` if it is the row's own.
    pub fn part_of<'r>(&self, row: &'r Row<'a>, at: usize) -> Option<&'r Part<'a>> {
        let path = row.cells[at]?.path();
        row.parts[at].iter().find(|part| part.cell.is_some_and(|cell| cell.path() == path))
    }

    /// Returns the heads of the columns inside one, each with their indices among the cells.
    pub fn inside(&self, of: &Column<'a>) -> Vec<(&'static str, Vec<usize>)> {
        let is_it = |at: &usize, head: &str| self.columns[*at].declared.is_inside && self.columns[*at].head == head;
        let all = |head: &str| (0..self.columns.len()).filter(|at| is_it(at, head)).collect();
        of.declared.with.iter().map(|head| (*head, all(head))).collect()
    }

    /// Whether the health of a row is up whenever its number is there.
    pub fn has_presence(&self) -> bool {
        self.health_column().is_some_and(|at| self.columns[at].declared.is_presence)
    }

    /// Whether a declared column has one cell per row, not per sub-row.
    pub fn is_outer(&self, of: &page::Column) -> bool {
        let keys: Vec<_> = self.declared.keys().collect();
        is_level_one(&keys, of)
    }

    /// Whether a row is off by intent: a switch of it is off, or a number says so.
    pub fn is_off(&self, row: &Row<'a>) -> bool {
        let is_off = |(column, cell): (&Column, &Option<Cell>)| match (column.declared.kind, cell) {
            (_, None) => false,
            (Kind::Switch(..), Some(cell)) => cell.is_zero(),
            (_, Some(cell)) => column.is(cell) == Some(page::Is::Off),
        };
        self.columns.iter().zip(&row.cells).any(is_off)
    }

    /// Whether the table has a column of health.
    pub fn has_health(&self) -> bool {
        self.health_column().is_some()
    }

    /// Returns the cells of a row's health: its own, or one for each of its parts; none if the table has no such column.
    pub fn healths(&self, row: &Row<'a>) -> Vec<Option<Cell<'a>>> {
        match self.health_column() {
            None => Vec::new(),
            // What was never there may be switched off.
            Some(at) if self.columns[at].declared.is_presence && row.cells[at].is_none() => Vec::new(),
            Some(at) if self.columns[at].outer => vec![row.cells[at]],
            Some(_) => row.sub_rows.iter().filter_map(|part| self.health_of_part(part)).collect(),
        }
    }

    /// Returns the worst of a row's [healths](Self::healths), given what a cell shows: of several that are silent the one that has
    /// been so for longest.
    pub fn worst(&self, row: &Row<'a>, health: impl Fn(Option<&Cell>) -> Health) -> Option<Option<Cell<'a>>> {
        let badness = |cell: &Option<Cell>| (health(cell.as_ref()).badness(), Reverse(cell.map(|cell| cell.time)));
        // Of equal ones the first.
        self.healths(row).into_iter().rev().max_by_key(badness)
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
    /// Returns what a number of this column says of its row; `None` if it is not judged.
    pub fn is(&self, cell: &Cell) -> Option<page::Is> {
        self.declared.judged.map(|judged| judged.of(cell.value.as_f64()))
    }

    /// Whether the declaration calls a number of this column bad.
    pub fn is_bad(&self, cell: &Cell) -> bool {
        let is_beyond = self.declared.limit.is_some_and(|limit| cell.value.as_f64() >= limit);
        is_beyond
            || self.is(cell) == Some(page::Is::Bad)
            || self.declared.alarms.contains(&self.head) && !cell.value.is_zero()
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

#[cfg(test)]
mod tests {
    use super::super::html::{self, Options, Own, View};
    use super::super::page::{Text, health, key};
    use super::super::text;
    use super::*;
    use crate::model::{Declaration, Field, Fold, Tag, Value};
    use crate::view::bar::{Bars, Lines};

    const ALIVE: Field<i64> = Field::gauge("alive", "0 or 1", Fold::Mean, "whether it answers");
    static PART: Measurement = Measurement::new(Declaration {
        name: "part",
        meaning: "a part of a service",
        tags: &[Tag::key("service"), Tag::key("part")],
        fields: &[ALIVE.info()],
        carbon: "parts.{service}.{part}.{field}",
        every: 60,
    });
    static COLUMNS: &[page::Column] = &[key("service"), key("part"), health(&PART, "alive")];
    static PAGE: Page = Page {
        name: "services",
        title: "Services",
        part_of: "",
        overview: None,
        own: &[],
        own_tables: &[],
        near: None,
        section: None,
        program: "",
        every: 60,
        tables: &[
            page::Table::new("list", "List", COLUMNS).placement(Placement::Badges),
            page::Table::new("folds", "Folds", COLUMNS).folded(),
        ],
        text: &[Text::HealthList(&["list"])],
        json: &[],
        plots: &[],
    };

    #[test]
    fn a_row_is_as_its_worst_part() {
        const NOW: i64 = 10_000;
        let parts = [
            ("a", "1", 1, 0),
            ("a", "2", 0, 0),
            ("a", "3", 1, 600),
            ("b", "1", 1, 0),
            ("b", "2", 1, 600),
            ("b", "3", 1, 1200),
            ("c", "1", 1, 0),
            ("c", "2", 1, 0),
        ];
        let latest = parts.map(|(service, part, value, age)| Latest {
            series: PART.point(0, [service, part], &[ALIVE.of(value)]).into(),
            field: &PART.fields[0],
            time: (NOW - age) * SECOND,
            value: Value::Int(value),
            every: 60,
        });
        let sections = sections(&PAGE, latest.into());
        let text = text::section(&PAGE, &sections[0], NOW, false);
        for line in ["a     DOWN", "b     silent for 20 min", "c     up"] {
            assert!(text.lines().any(|one| one.trim_end() == line), "{line} is not in {text}");
        }
        let view = View {
            page: &PAGE,
            sections: &sections,
            own: &Own::default(),
            bars: &Bars::new(),
            lines: &Lines::new(),
            past: &BTreeMap::new(),
            problem: None,
            notice: None,
            backend: "",
            root: "",
            options: &Options::default(),
            troubles: None,
            now: NOW,
        };
        let html = html::tables(&view);
        // As a list, and as rows that fold.
        for (health, count) in
            [("▼</span> a <b>DOWN", 1), ("○</span> b <b>stale for 20 min", 1), ("●</span> c <b>up", 1)]
        {
            assert_eq!(html.matches(health).count(), count, "{health} in {html}");
        }
        for health in ["▼</span> DOWN", "○</span> stale for 20 min", "●</span> up"] {
            assert_eq!(html.matches(health).count(), 1, "{health} in {html}");
        }
    }
}
