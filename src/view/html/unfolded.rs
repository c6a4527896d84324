//! What unfolds below a row: tables of what belongs to its name, a line of words, small plots, and the way to all its numbers.

use std::collections::HashSet;

use super::named::{calendar, picture};
use super::*;
use crate::view::page::{Drawn, Past};

/// The size of a small plot, in pixels, and of one of a year.
const SMALL: (u32, u32) = (300, 110);
const WIDE: (u32, u32) = (420, 110);

/// The range of the small plots, and of those of what runs each night.
const FROM: &str = "-1d";
const YEAR: &str = "-1y";

/// The most small plots, and calendars, below a row.
const MOST_PLOTS: usize = 12;
const MOST_CALENDARS: usize = 4;

impl SectionView<'_> {
    /// Returns the button that unfolds a row, if something unfolds below it, on a phone perhaps alone.
    pub(super) fn unfold_mark(&self, table: &Table, row: &Row) -> String {
        match table.declared.unfolds {
            Some(_) => self.mark(row, self.is_open(row)),
            None => self.unfold_on_phone(table, row),
        }
    }

    /// Writes what unfolds below a row, if the address unfolds it.
    pub(super) fn unfolded(&self, html: &mut String, table: &Table, row: &Row) {
        let (Some(unfolds), Some(tag)) = (table.declared.unfolds, table.declared.keys().next()) else { return };
        if !self.is_open(row) {
            return;
        }
        let _ = write!(
            html,
            "<tr class=\"part\"><td class=\"unfolded\" colspan=\"{}\"><div class=\"sides\">",
            places(table).len()
        );
        let own = self.opened().get(tag).and_then(|names| names.get(row.name));
        let tables = own.map_or(Vec::new(), |own| own.unfolded(self.view.page, unfolds));
        let (named, lines): (Vec<_>, Vec<_>) = tables.iter().partition(|table| table.declared.keys().next().is_some());
        named.into_iter().filter(|table| !table.rows.is_empty()).for_each(|inner| self.table_below(html, inner, row));
        self.small_plots(html, table, row, (unfolds.plots, &tables));
        html.push_str("</div><p class=\"ways\">");
        for line in lines {
            self.words(html, line, row);
        }
        let address = address_of(self.view, &self.section.name, tag, row.name);
        let _ = writeln!(
            html,
            "<a href=\"{address}\">all numbers<span class=\"unseen\"> of {}</span> as plots</a></p></td></tr>",
            escaped_line(row.name)
        );
    }

    /// Returns the numbers of all rows that are unfolded: all numbers are looked at once, however many rows that are.
    fn opened(&self) -> &BTreeMap<&'static str, BTreeMap<String, Section>> {
        self.unfolded.get_or_init(|| {
            let mut names = BTreeMap::<_, HashSet<&str>>::new();
            for (table, _) in self.tables.iter().filter(|(table, _)| table.declared.unfolds.is_some()) {
                let open = table.rows.iter().filter(|row| self.is_open(row)).map(|row| row.name);
                names.entry(table.declared.keys().next().unwrap_or_default()).or_default().extend(open);
            }
            names.into_iter().map(|(tag, names)| (tag, self.section.split(tag, &names))).collect()
        })
    }

    /// Writes a table of what belongs to a row.
    fn table_below(&self, html: &mut String, table: &Table, of: &Row) {
        let _ = write!(
            html,
            "<table><caption class=\"unseen\">{} of {}</caption><thead><tr>",
            escaped(table.declared.caption),
            escaped_line(of.name)
        );
        for Place { column, head, .. } in &places(table) {
            let is_name = matches!(column.declared.kind, Kind::Key(_) | Kind::Label(..));
            let class = if is_name { "" } else { " class=\"n\"" };
            let title = escaped(column_meaning(column.declared));
            let _ = write!(html, "<th scope=\"col\"{class} title=\"{title}\">{}</th>", escaped_line(head));
        }
        html.push_str("</tr></thead><tbody>");
        for row in &table.rows {
            let (class, shape) = self.row_look(table, row);
            let name = self.name_link(table, row.name);
            let _ = write!(html, "<tr{class}><th scope=\"row\">{shape}{name}</th>");
            for sub_row in row.sub_rows.iter().take(1) {
                self.line(html, &super::Line { table, row, sub_row, span: "", is_first: true });
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table>");
    }

    /// Writes the numbers of a table without names, each with its head.
    fn words(&self, html: &mut String, table: &Table, of: &Row) {
        for row in &table.rows {
            for (at, column) in table.shown() {
                if let Some(cell) = &row.cells[at] {
                    let heads =
                        if column.declared.group.is_empty() { column.head.into() } else { heads_of(table, column) };
                    let _ = write!(html, "<span class=\"each\">{} ", escaped_line(&heads));
                    self.cell_content(html, Some(cell), column, &[of.name]);
                    self.beside(html, table, column, (&row.cells, &[of.name]));
                    html.push_str("</span> · ");
                }
            }
        }
    }

    /// Writes small plots of a row's numbers and of those of the tables below it, and the nights of a year of what is judged.
    fn small_plots(&self, html: &mut String, table: &Table, row: &Row, (heads, below): (&[&str], &[Table])) {
        html.push_str("<div class=\"plots\">");
        let of_row = self.plotted(table, row, heads);
        let of_below = below.iter().flat_map(|table| table.rows.iter().map(move |row| (table, row)));
        let of_below = of_below.flat_map(|(table, row)| {
            let named = if table.declared.keys().next().is_some() { row.name } else { "" };
            self.plotted(table, row, table.declared.plots)
                .into_iter()
                .map(move |plot| Small { words: format!("{named} {}", plot.words), ..plot })
        });
        for Small { words, value, paths, past } in of_row.into_iter().chain(of_below).take(MOST_PLOTS) {
            let words = escaped_line(words.trim());
            let _ = write!(html, "<figure><figcaption>{words} <b>{value}</b></figcaption>");
            let (size, from) = if past == Past::Day { (SMALL, FROM) } else { (WIDE, YEAR) };
            picture(html, self.view, &words, &paths, (size, false, from));
            html.push_str("</figure>");
        }
        html.push_str("</div>");
        let nights = table.columns.iter().enumerate().filter(|(_, column)| column.declared.has_nights());
        for (at, column) in nights.take(MOST_CALENDARS) {
            if let Some(cell) = row.cells[at].filter(|cell| !cell.path().is_empty()) {
                let words = escaped_line(&format!("a year of nights on {}", column.head));
                let _ = write!(html, "<figure class=\"calendar\"><figcaption>{words}</figcaption>");
                calendar(html, self.view, cell.path(), column.declared.judged);
                html.push_str("</figure>");
            }
        }
    }

    /// Returns the numbers of a row, under these heads, that have plots; those that stand in one cell are in one plot.
    fn plotted<'r>(&self, table: &Table<'r>, row: &Row<'r>, heads: &[&str]) -> Vec<Small<'r>> {
        let is_wanted = |column: &Column| heads.contains(&column.head) && !column.declared.is_inside;
        let mut plots = Vec::new();
        for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| is_wanted(column)) {
            let Some(cell) = row.cells[at] else { continue };
            let inside = table.inside(column).into_iter().flat_map(|(_, all)| all);
            let beside = inside.filter(|_| is_pair(column)).filter_map(|at| row.cells[at]);
            let parts = row.parts[at].iter().filter_map(|part| part.cell);
            let is_whole = column.declared.past == Past::Day && !cell.path().is_empty();
            let all: Vec<_> = if is_whole || row.parts[at].is_empty() {
                std::iter::once(cell).chain(beside).collect()
            } else {
                parts.collect()
            };
            let paths: Vec<_> = all.iter().map(|cell| cell.path()).filter(|path| !path.is_empty()).take(8).collect();
            if paths.is_empty() {
                continue;
            }
            let whose = if is_whole { table.part_of(row, at).map_or("", |part| part.name) } else { "" };
            let heads = heads_of(table, column);
            let words: Vec<_> = [heads.as_str(), whose].into_iter().filter(|word| !word.is_empty()).collect();
            let value = self.shown(column, cell.value);
            plots.push(Small { words: words.join(" "), value, paths, past: column.declared.past });
        }
        plots
    }
}

/// Whether a column has its number and those inside it in one cell.
pub(super) fn is_pair(column: &Column) -> bool {
    matches!(column.declared.drawn, Drawn::Mirrored | Drawn::Of)
}

/// Returns the heads of a column and, if they stand in one cell, of those inside it: `CPU user / system`.
pub(super) fn heads_of(table: &Table, column: &Column) -> String {
    let inside = table.inside(column).into_iter().map(|(head, _)| head).filter(|_| is_pair(column));
    let heads: Vec<_> = std::iter::once(column.head).chain(inside).collect();
    format!("{} {}", column.declared.group, heads.join(" / ")).trim_start().into()
}

/// A small plot.
struct Small<'a> {
    words: String,
    value: String,
    paths: Vec<&'a str>,
    past: Past,
}
