//! The tables of a page for a terminal. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::page::{self, InText, Kind, Page, Pivot, Text};
use super::table::{Cell, Column, Health, Row, Section, SubRow, Table};
use crate::model::{Value, utc};
use crate::text::{self, ago, count, one_line};

/// Returns a section as tables, as of `now` in unix seconds. Rows that have been silent for too long are left out, unless
/// `all` is set.
pub fn section(page: &Page, section: &Section, now: i64, all: bool) -> String {
    let age = now.saturating_sub(section.time);
    let mut text = format!("{} at {}, {} ago\n", one_line(&section.name), utc(section.time), ago(age));
    let tables = section.tables(page, all);
    let named = |names: &[&str]| -> Vec<&Table> {
        names.iter().filter_map(|name| tables.iter().find(|table| table.declared.name == *name)).collect()
    };
    let each: Vec<_> = match page.text {
        [] => tables.iter().filter(|table| !table.rows.is_empty()).map(as_declared).collect(),
        declared => {
            let each = declared.iter().filter_map(|declared| match declared {
                Text::HealthList(names) => Some(health_list(section, &named(names))),
                Text::Table(name) => named(&[name]).into_iter().find(|table| !table.rows.is_empty()).map(as_declared),
                Text::JoinedPivots(head, names) => {
                    let tables = named(names);
                    tables.iter().any(|table| !table.rows.is_empty()).then(|| joined_pivots(head, &tables))
                }
            });
            each.collect()
        }
    };
    for table in each {
        text.push('\n');
        text.push_str(&table);
    }
    if text.contains('*') {
        text.push_str("\n* an older number: nobody could tell a newer one\n");
    }
    let left_out = tables.iter().map(|table| table.left_out).sum();
    if left_out > 0 {
        let (left_out, gone) = (count(left_out, "name"), length(page.silence_limit_seconds()));
        let _ = writeln!(text, "\n{left_out} silent for over {gone} left out; --all shows them");
    }
    text
}

/// Returns a length of time for a sentence: `an hour`, `10 h 0 min`.
pub fn length(seconds: i64) -> String {
    match seconds {
        3600 => "an hour".into(),
        seconds => ago(seconds),
    }
}

/// Returns the text of a number, with `*` if it is older than its interval.
fn number(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else { return "-".into() };
    let mark = if cell.is_old() { "*" } else { "" };
    match cell.value {
        Value::Int(value) => format!("{value}{mark}"),
        Value::Float(value) => format!("{value:.2}{mark}"),
    }
}

/// Returns the name of a row behind its noun: `schedd ce01`.
fn named(table: &Table, row: &Row) -> String {
    match table.declared.noun {
        "" => one_line(row.name),
        noun => format!("{noun} {}", one_line(row.name)),
    }
}

/// Returns a line per row: its name, its health, the worst of its parts', its numbers with their heads.
fn health_list(section: &Section, tables: &[&Table]) -> String {
    let mut text = text::Table::new(&["part", "is", ""]);
    for table in tables {
        for row in &table.rows {
            let is =
                table.worst(row, Health::of).map_or(String::new(), |cell| match (Health::of(cell.as_ref()), cell) {
                    (Health::Silent, Some(cell)) => format!("silent for {}", ago(section.time - cell.time)),
                    (Health::Up, _) => "up".into(),
                    (Health::Down, _) => "DOWN".into(),
                    (Health::Silent | Health::Unknown, _) => "unknown".into(),
                });
            let facts = table.shown().filter_map(|(at, column)| {
                let Kind::Field(..) = column.declared.kind else { return None };
                Some(format!("{} {}", column.in_text()?, number(Some(row.cells[at].as_ref()?))))
            });
            text.row(&[named(table, row), is, facts.collect::<Vec<_>>().join(", ")]);
        }
    }
    text.text()
}

/// A column of a table in a terminal.
enum TextColumn<'t, 'a> {
    /// A column of the table, with its index among the cells.
    Column(usize, &'t Column<'a>),
    /// The sum of a pivot.
    Sum(&'a page::Column),
}

/// Returns a table with its declared columns.
fn as_declared(table: &Table) -> String {
    let (mut columns, mut heads) = (Vec::new(), Vec::new());
    for of in table.declared.columns {
        if let InText::Sum(head) = of.text {
            columns.push(TextColumn::Sum(of));
            heads.push(format!("<{head}"));
            continue;
        }
        for (at, column) in table.shown().filter(|(_, column)| std::ptr::eq(column.declared, of)) {
            let Some(head) = column.in_text() else { continue };
            let unit = if of.unit.is_empty() { String::new() } else { format!(" ({})", of.unit) };
            let right = !matches!(of.kind, Kind::Key(_) | Kind::Label(..) | Kind::Switch(..) | Kind::Health(..));
            columns.push(TextColumn::Column(at, column));
            heads.push(format!("{}{}{unit}", if right { "<" } else { "" }, one_line(head)));
        }
    }
    let mut text = text::Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &table.rows {
        for (line, sub_row) in row.sub_rows.iter().enumerate() {
            let cell = |wanted: &TextColumn| {
                let outer = match wanted {
                    TextColumn::Column(_, column) => column.outer,
                    TextColumn::Sum(of) => table.is_outer(of),
                };
                match (outer, line) {
                    // The cells of the row stand in its first line only.
                    (true, 1..) => String::new(),
                    (true, 0) => cell(table, row, sub_row, wanted, &row.cells),
                    (false, _) => cell(table, row, sub_row, wanted, &sub_row.cells),
                }
            };
            text.row(&columns.iter().map(cell).collect::<Vec<_>>());
        }
    }
    text.text()
}

/// Returns the text of one cell.
fn cell(table: &Table, row: &Row, sub_row: &SubRow, wanted: &TextColumn, cells: &[Option<Cell>]) -> String {
    let (at, column) = match *wanted {
        TextColumn::Column(at, column) => (at, column),
        TextColumn::Sum(of) => return number(table.newest_sum(of, cells).as_ref()),
    };
    let it = cells[at].as_ref();
    match column.declared.kind {
        Kind::Key(_) if column.outer => one_line(row.name),
        Kind::Key(tag) => table.declared.sub_row_name(&sub_row.names, tag).map_or("-".into(), one_line),
        Kind::Label(..) => match row.labels[at] {
            "" => "-".into(),
            label => one_line(label),
        },
        Kind::Switch(..) => it.map_or("-", |it| if it.is_zero() { "no" } else { "yes" }).into(),
        Kind::Health(..) => match Health::of(it) {
            Health::Up => "up".into(),
            Health::Down => "DOWN".into(),
            Health::Silent => "silent".into(),
            Health::Unknown => "unknown".into(),
        },
        Kind::Field(..) | Kind::One(..) | Kind::Pivot(_) | Kind::Most(..) | Kind::Mean(..) => number(it),
    }
}

/// Returns the pivots of some tables as one table.
fn joined_pivots(head: &str, tables: &[&Table]) -> String {
    let (mut first, mut more, mut last): (&[&str], _, _) = (&[], BTreeSet::new(), None);
    for column in tables.iter().flat_map(|table| table.shown()).map(|(_, column)| column) {
        let Kind::Pivot(Pivot { first: begin, last: end, .. }) = column.declared.kind else { continue };
        (first, last) = (begin, end);
        if !begin.contains(&column.head) && end != Some(column.head) {
            more.insert(column.head);
        }
    }
    let columns: Vec<&str> = first.iter().copied().chain(more).chain(last).collect();
    let heads = columns.iter().map(|head| format!("<{}", one_line(head)));
    let heads: Vec<_> = std::iter::once(head.to_string()).chain(heads).collect();
    let mut text = text::Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for table in tables {
        for row in &table.rows {
            let cells = columns.iter().map(|head| {
                let is = |column: &Column| matches!(column.declared.kind, Kind::Pivot(_)) && column.head == *head;
                number(table.columns.iter().position(is).and_then(|at| row.cells[at].as_ref()))
            });
            text.row(&std::iter::once(named(table, row)).chain(cells).collect::<Vec<_>>());
        }
    }
    text.text()
}
