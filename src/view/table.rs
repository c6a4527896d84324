//! The tables of a page, built from the newest value of each series. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

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
    /// The Carbon path by which its plot is asked for; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The interval of its series, in seconds.
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
    /// The Carbon path of its plot; empty if it has none.
    pub path: &'a str,
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

impl Cell<'_> {
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
        let name = page.section.map_or(Some(page.title), |tag| series.tag(tag));
        let (Some(name), Some(path)) = (name, page.plot_path(measurements[of], &series, field.name)) else { continue };
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
    /// Returns the value of a tag of its series; empty if there is no such tag.
    pub fn tag(&self, name: &str) -> &str {
        self.series.tag(name).unwrap_or_default()
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
    rows: BTreeMap<&'a str, RowNumbers<'a>>,
}

/// The numbers of a row, each with its measurement.
struct RowNumbers<'a> {
    newest: i64,
    /// The interval of the rarest series, in seconds.
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
            // The numbers of a series stand together, such as those of a queue by status.
            let mut rest = numbers.as_slice();
            while let Some(first) = rest.first() {
                let names: Vec<_> = keys.iter().map(|key| first.tag(key)).collect();
                let is_same = |number: &Number| keys.iter().zip(&names).all(|(key, name)| number.tag(key) == *name);
                let same = 1 + rest[1..].iter().take_while(|number| is_same(number)).count();
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
                row.numbers.extend(numbers.into_iter().map(|number| (*measurement, number)));
            }
        }
        Self { declared: of, rows }
    }

    /// Returns the table, given the newest time of its section. Rows that are not recent are left out unless `keeps_all`.
    fn table(mut self, newest: i64, keeps_all: bool) -> Table<'a> {
        let known = self.rows.len();
        self.rows.retain(|_, row| keeps_all || row.is_recent(newest));
        for row in self.rows.values_mut() {
            row.sub_rows.retain(|_, sub_row| keeps_all || sub_row.is_recent(newest));
        }
        let columns = self.columns();
        let places = Places::new(self.declared, &columns);
        let fill = |numbers: &[(&'static Measurement, &'a Number)]| {
            let mut cells = vec![None; columns.len()];
            for (measurement, number) in numbers {
                let Number { value, time, path, every, .. } = *number;
                let late = *time <= newest.saturating_sub(*every);
                let cell = Cell { value: *value, time: *time, path, every: *every, late };
                if let Some(at) = places.of(measurement, number) {
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
                let newest = row.all().filter(|(measurement, _)| std::ptr::eq(*measurement, of));
                newest.max_by_key(|(_, number)| number.time).map_or("", |(_, number)| number.tag(tag))
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

/// Which column a number belongs to.
struct Places<'c, 'a> {
    declared: &'a page::Table,
    /// By declared column, by head; of two with the same head the first one.
    heads: Vec<HashMap<&'c str, usize>>,
}

impl<'c, 'a> Places<'c, 'a> {
    fn new(declared: &'a page::Table, columns: &'c [Column<'a>]) -> Self {
        let of = |declared: &page::Column| {
            let columns = columns.iter().enumerate().filter(|(_, column)| std::ptr::eq(column.declared, declared));
            columns.rev().map(|(at, column)| (column.head, at)).collect()
        };
        Self { declared, heads: declared.columns.iter().map(of).collect() }
    }

    /// Returns the index of the column of a number.
    fn of(&self, measurement: &Measurement, number: &Number) -> Option<usize> {
        let of = self.declared.columns.iter().zip(&self.heads).filter(|(column, _)| is_of(column, measurement));
        of.filter_map(|(column, heads)| heads.get(fits(column, number)?).copied()).next()
    }
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
        Some(Cell { value: sum, path: "", ..newest })
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
        about: &[],
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
            series: PART.point(0, [service, part], &[ALIVE.of(value)]),
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
