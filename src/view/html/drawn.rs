//! What a cell has beside its number: a picture left of it, other numbers of the row behind it, the part whose number it is.

use super::*;
use crate::view::page::{Drawn, Is};
use crate::view::{drawn, nights};

impl SectionView<'_> {
    /// Returns what is drawn left of a number, given the cells beside it, and the parts of which it is made.
    pub(super) fn drawn(
        &self,
        table: &Table,
        (at, column): (usize, &Column),
        cells: &[Option<Cell>],
        parts: &[Part],
    ) -> String {
        let declared = column.declared;
        if let Drawn::Columns(full) = declared.drawn {
            let part = |part: &Part| match part.cell {
                _ if part.is_lost => drawn::Part::Lost,
                Some(cell) if !cell.late => drawn::Part::Is(cell.value.as_f64()),
                _ => drawn::Part::Nothing,
            };
            return if parts.is_empty() {
                String::new()
            } else {
                drawn::columns(&parts.iter().map(part).collect::<Vec<_>>(), full)
            };
        }
        let Some(cell) = cells[at].as_ref() else { return String::new() };
        let (value, limit) = (cell.value.as_f64(), declared.limit);
        let class = match self.selection.of_cell(column, cell) {
            Some(Trouble::Bad) => " bad",
            Some(Trouble::Worse) => " worse",
            None => "",
        };
        let line = |cell: Option<&Cell>| self.view.lines.get(cell?.path());
        let inside: Vec<_> = table.inside(column).into_iter().map(|(_, all)| all).collect();
        let numbers = || inside.iter().filter_map(|all| sum_of(cells, all));
        let picture = match declared.drawn {
            Drawn::Nothing | Drawn::Columns(_) => String::new(),
            Drawn::Bar(full) => {
                let several: Vec<_> = numbers().collect();
                drawn::bar(if several.is_empty() { std::slice::from_ref(&value) } else { &several }, full, limit, class)
            }
            Drawn::Of => drawn::bar(&[value], numbers().sum(), limit, class),
            Drawn::Against => {
                let limit = numbers().next();
                let class = if limit.is_some_and(|limit| value >= limit) { " worse" } else { class };
                drawn::bar(&[value], limit.map_or(value, |limit| 2.0 * limit), limit, class)
            }
            Drawn::Away(far, usual) => drawn::away(value, far, usual),
            Drawn::Shares => {
                let each: Vec<_> = numbers().collect();
                drawn::bar(&each, each.iter().sum(), None, " shares")
            }
            Drawn::Mirrored | Drawn::Lines => {
                let below = inside.first().and_then(|all| cells[*all.first()?].as_ref());
                drawn::mirrored(line(Some(cell)), line(below))
            }
            Drawn::Dot(low, high) => drawn::dot(value, (low, high), line(Some(cell)), limit, class),
        };
        let has_more = !matches!(declared.drawn, Drawn::Mirrored | Drawn::Lines | Drawn::Dot(..) | Drawn::Away(..));
        if has_more { picture + &self.small_line(column, Some(cell)) } else { picture }
    }

    /// Whether a column says how much of something it is, and there is nothing of which it could be some.
    pub(super) fn is_of_nothing(&self, table: &Table, column: &Column, cells: &[Option<Cell>]) -> bool {
        let inside = table.inside(column).into_iter().flat_map(|(_, all)| all);
        let mut numbers = inside.filter_map(|at| cells[at]).map(|cell| cell.value);
        column.declared.drawn == Drawn::Of && numbers.next().is_some_and(Value::is_zero)
    }

    /// Writes the numbers inside a column behind its own: `53 / 80`.
    pub(super) fn beside(
        &self,
        html: &mut String,
        table: &Table,
        column: &Column,
        (cells, of): (&[Option<Cell>], &[&str]),
    ) {
        let with_words = match column.declared.drawn {
            Drawn::Nothing | Drawn::Of | Drawn::Mirrored => false,
            Drawn::Shares => true,
            Drawn::Bar(_) | Drawn::Lines | Drawn::Dot(..) | Drawn::Columns(_) | Drawn::Against | Drawn::Away(..) => {
                return;
            }
        };
        let mut before = if with_words { ": " } else { " / " };
        for at in table.inside(column).into_iter().flat_map(|(_, all)| all) {
            let Some(cell) = cells[at].as_ref().filter(|cell| !with_words || !cell.value.is_zero()) else { continue };
            let _ = write!(html, "<span class=\"used\">{before}</span>");
            self.cell_content(html, Some(cell), &table.columns[at], of);
            if with_words {
                let _ = write!(html, "<span class=\"used\"> {}</span>", escaped_line(table.columns[at].head));
                before = ", ";
            }
        }
    }

    /// Returns the sums of the numbers inside a column, as they stand behind its own: `297 MB / 249 MB`.
    pub(super) fn sums_beside(&self, table: &Table, column: &Column) -> String {
        let mut html = String::new();
        if !is_pair(column) {
            return html;
        }
        for at in table.inside(column).into_iter().flat_map(|(_, all)| all) {
            let sum = self.sum(&table.columns[at], table.rows.iter().filter_map(|row| row.cells[at].as_ref()));
            let _ = write!(html, "<span class=\"used\"> / </span>{sum}");
        }
        html
    }

    /// Writes the content of a cell that is judged: its shape, its word, and what its nights were.
    pub(super) fn judged(&self, html: &mut String, (column, cell): (&Column, Option<&Cell>), of: &[&str]) {
        let (Some(cell), Some(judged)) = (cell, &column.declared.judged) else { return };
        let (class, shape) = match judged.of(cell.value.as_f64()) {
            _ if self.is_old(cell) || cell.late => ("none", "▨"),
            Is::Off => ("off", "○"),
            Is::Well => ("ok", "●"),
            Is::Worse => ("worse", "▲"),
            Is::Bad => ("bad", "▼"),
        };
        let _ = write!(html, "<span class=\"shape {class}\" aria-hidden=\"true\">{shape}</span>");
        if class == "none" {
            html.push_str("<span class=\"quiet\">as it was: </span>");
        }
        self.cell_content(html, Some(cell), column, of);
        if let Some(line) = self.view.lines.get(cell.path()).filter(|_| column.declared.has_nights()) {
            html.push_str(&nights::html(line, judged, self.view.now));
        }
    }

    /// Writes the content of a cell of two lines alone, a link to the plots of both.
    pub(super) fn lines_alone(&self, html: &mut String, Line { table, row, .. }: &Line, at: usize) {
        let inside = table.inside(&table.columns[at]).into_iter().flat_map(|(_, all)| all);
        let known: Vec<_> = [at].into_iter().chain(inside).filter_map(|at| Some((at, row.cells[at]?))).collect();
        let words = known.iter().map(|(at, cell)| {
            let column = &table.columns[*at];
            format!("{} {}", escaped_line(column.head), self.shown(column, cell.value))
        });
        let words = words.collect::<Vec<_>>().join(", ");
        let plots = known.iter().map(|(_, cell)| cell.path().to_string()).filter(|path| !path.is_empty()).collect();
        let address = Options { plots, ..self.view.options.clone() }.address();
        let picture = self.drawn(table, (at, &table.columns[at]), &row.cells, &[]);
        let shown = if picture.is_empty() { &words } else { &picture };
        let _ = match known.is_empty() {
            true => write!(html, "<span class=\"zero\">–</span>"),
            false => write!(
                html,
                "<a data-plots href=\"{address}\" title=\"{words}\" aria-label=\"{words}, {}\">{shown}</a>",
                escaped_line(row.name)
            ),
        };
    }

    /// Writes the content of a cell of a column whose numbers are those of parts.
    pub(super) fn content_of_parts(&self, html: &mut String, Line { table, row, .. }: &Line, at: usize) {
        let (column, parts) = (&table.columns[at], &row.parts[at]);
        let part = table.part_of(row, at);
        let names: Vec<_> = part.iter().flat_map(|part| part.names.iter().copied()).chain([row.name]).collect();
        if column.declared.judged.is_some() {
            return self.judged(html, (column, row.cells[at].as_ref()), &names);
        }
        html.push_str(&self.drawn(table, (at, column), &row.cells, parts));
        match (row.cells[at].as_ref(), column.declared.kind) {
            (Some(cell), Kind::Mean(..)) => {
                let plots = parts.iter().filter_map(|part| part.cell.map(|cell| cell.path().to_string()));
                let plots: Vec<_> = plots.filter(|path| !path.is_empty()).take(MAX_PLOTS).collect();
                let address = Options { plots, ..self.view.options.clone() }.address();
                let text = self.shown(column, cell.value);
                let name = format!(
                    "{}, {}: {text}, mean of {}",
                    escaped_line(column.head),
                    escaped_line(row.name),
                    parts.iter().filter(|part| part.cell.is_some_and(|cell| !cell.late)).count()
                );
                let _ = write!(html, "<a data-plots href=\"{address}\" aria-label=\"{name}\">{text}</a>");
            }
            (cell, _) => {
                self.cell_content(html, cell, column, &names);
                if let Some(part) = part.filter(|part| !part.name.is_empty()) {
                    let _ = write!(html, "<span class=\"whose\">{}</span>", escaped_line(part.name));
                }
            }
        }
        let lost = parts.iter().filter(|part| part.is_lost).count();
        if lost > 0 {
            let _ = write!(html, "<span class=\"unseen\">, {lost} lost</span>");
        }
    }

    /// Returns what the colours of bars mean, if a table has bars of several numbers.
    pub(super) fn legend(&self, table: &Table) -> String {
        let has_nights = |table: &Table| table.shown().any(|(_, column)| column.declared.has_nights());
        if has_nights(table) {
            let mut tables = self.tables.iter().map(|(table, _)| table).filter(|table| !table.rows.is_empty());
            let first = tables.find(|table| has_nights(table)).map(|table| table.declared.name);
            return if first == Some(table.declared.name) { nights::legend(self.view.now) } else { String::new() };
        }
        let mut words = Vec::new();
        for (_, column) in table.shown() {
            let inside = table.inside(column).into_iter().map(|(head, _)| head);
            match column.declared.drawn {
                Drawn::Bar(_) => words.push((false, inside.collect::<Vec<_>>())),
                Drawn::Shares => words.push((true, inside.collect())),
                _ => {}
            }
        }
        let Some(words) = words.into_iter().find(|(_, words)| words.len() > 1) else { return String::new() };
        let (is_shares, words) = words;
        let class = if is_shares { "legend shares" } else { "legend" };
        let mut html = format!("<p class=\"{class}\" aria-hidden=\"true\">");
        for (at, word) in words.iter().enumerate() {
            let _ = write!(html, "<span><span class=\"swatch q{at}\"></span>{}</span> ", escaped_line(word));
        }
        html + "</p>"
    }
}

/// Returns the sum of some cells; `None` if none of them has a number.
fn sum_of(cells: &[Option<Cell>], all: &[usize]) -> Option<f64> {
    all.iter().filter_map(|at| cells[*at].map(|cell| cell.value.as_f64())).reduce(|sum, value| sum + value)
}
