//! Tables with one line per row, whose parts unfold below it.

use super::*;
use crate::text::plain;

/// A column as it is shown: one of the table, or the sum of a pivot that is gathered.
pub(super) struct Place<'t, 'a> {
    /// The column; the first one of several.
    pub column: &'t Column<'a>,
    /// The indices among the cells.
    pub at: Vec<usize>,
    /// The head.
    pub head: &'t str,
}

/// Returns the columns of a table as they are shown.
pub(super) fn places<'t, 'a>(table: &'t Table<'a>) -> Vec<Place<'t, 'a>> {
    let mut places = Vec::<Place>::new();
    for (at, column) in table.shown() {
        let gathered = if table.declared.folded { column.declared.gathered } else { "" };
        if table.declared.folded && matches!(column.declared.kind, Kind::Key(_)) && !column.outer {
            continue;
        }
        match places.last_mut() {
            Some(last) if !gathered.is_empty() && std::ptr::eq(last.column.declared, column.declared) => {
                last.at.push(at)
            }
            _ => {
                let head = if gathered.is_empty() { column.head } else { gathered };
                places.push(Place { column, at: vec![at], head });
            }
        }
    }
    places
}

impl Place<'_, '_> {
    /// Returns the cells of a row: its own, or those of its parts.
    pub(super) fn cells<'r, 'a>(&self, row: &'r Row<'a>) -> Vec<&'r Cell<'a>> {
        match self.column.outer {
            true if matches!(self.column.declared.kind, Kind::Mean(..)) => {
                row.parts[self.at[0]].iter().filter_map(|part| part.cell.as_ref()).collect()
            }
            true => row.cells[self.at[0]].iter().collect(),
            false => row.sub_rows.iter().flat_map(|part| self.of_part(part)).collect(),
        }
    }

    /// Returns its group and head in words: `machines starting`.
    pub(super) fn words(&self) -> String {
        let group = self.column.declared.group;
        if group.is_empty() { self.head.into() } else { format!("{group} {}", self.head) }
    }

    /// Whether it is a pivot that is one column.
    fn is_gathered(&self) -> bool {
        !self.column.declared.gathered.is_empty()
    }

    fn of_part<'r, 'a>(&self, part: &'r SubRow<'a>) -> Vec<&'r Cell<'a>> {
        self.at.iter().filter_map(|at| part.cells[*at].as_ref()).collect()
    }
}

/// Returns the button that unfolds what an address calls `key`, or folds it, with `words` for who cannot see its mark.
pub(super) fn unfold_button(key: &str, words: &str, is_open: bool, class: &str) -> String {
    let mark = if is_open { "▾" } else { "▸" };
    let text = format!("<span aria-hidden=\"true\">{mark}</span><span class=\"unseen\">{words}</span>");
    choice("open", key, &text).replacen("<button", &format!("<button{class} aria-expanded=\"{is_open}\""), 1)
}

impl SectionView<'_> {
    /// Returns the word of an address that unfolds a row.
    fn key(&self, row: &Row) -> String {
        format!("{}/{}", self.section.name, row.name)
    }

    /// Whether the address unfolds a row.
    pub(super) fn is_open(&self, row: &Row) -> bool {
        self.view.options.is_open(&self.key(row))
    }

    /// Returns the button that unfolds a row, or folds it.
    pub(super) fn mark(&self, row: &Row, is_open: bool) -> String {
        unfold_button(&self.key(row), &format!("parts of {}", escaped_line(row.name)), is_open, "")
    }

    /// Whether the parts of a row of a table that folds are shown.
    pub(super) fn is_unfolded(&self, row: &Row) -> bool {
        has_parts(row) && self.is_open(row)
    }

    /// Writes these rows of a table that folds, after the sums of all.
    pub(super) fn folded(&self, html: &mut String, table: &Table, counts: Counts, rows: &[(&Row, usize)]) {
        let places = places(table);
        let most = self.most(table, &places);
        if table.declared.sums && table.rows.len() > 1 {
            let _ = write!(
                html,
                "<tbody class=\"sum\" data-key=\" sum\"><tr><th scope=\"row\">{}</th>",
                all_rows(table, counts)
            );
            for place in places.iter().filter(|place| !matches!(place.column.declared.kind, Kind::Key(_))) {
                let kind = place.column.declared.kind;
                let has_none = !place.column.declared.summed || matches!(kind, Kind::Label(..) | Kind::Health(..));
                let cells = table.rows.iter().flat_map(|row| place.cells(row));
                let sum = if has_none { String::new() } else { self.sum(place.column, cells) };
                let yes = if !has_none && matches!(kind, Kind::Switch(..)) { " yes" } else { "" };
                let used = self.used(table, place, &table.rows.iter().collect::<Vec<_>>(), None);
                // What has no sum has no line of the sum either.
                let lined = table.rows.iter().filter(|_| !has_none).flat_map(|row| place.cells(row));
                let line = self.small_line(place.column, lined);
                let _ = write!(html, "{}>{used}{line}{sum}{yes}</td>", phone::td(place.column));
            }
            html.push_str("</tr>\n</tbody>\n");
        }
        for (row, _) in rows {
            self.folded_row(html, table, &places, row, most);
        }
    }

    fn folded_row(&self, html: &mut String, table: &Table, places: &[Place], row: &Row, most: f64) {
        let name = escaped_line(row.name);
        let (class, shape) = self.row_look(table, row);
        let (has_parts, is_open) = (has_parts(row), self.is_unfolded(row));
        let mark = if has_parts { self.mark(row, is_open) } else { self.unfold_on_phone(table, row) };
        let head = mark + &self.name_link(table, row.name);
        let _ = write!(html, "<tbody data-key=\"{name}\"{class}><tr><th scope=\"rowgroup\">{shape}{head}</th>");
        let worst = table.worst(row, |cell| self.health(cell)).flatten();
        for place in places {
            // Unfolded, the numbers of the parts stand below, each once.
            let is_sum = is_open && !place.column.outer;
            let used = self.used(table, place, &[row], Some(most));
            let cells = match place.column.declared.kind {
                Kind::Health(..) => worst.iter().collect(),
                _ => place.cells(row),
            };
            self.folded_cell(html, place, (&cells, &[row.name]), is_sum, &used);
        }
        html.push_str("</tr>\n");
        if is_open || self.is_open_on_phone(table, row) {
            self.pairs(html, table, row);
        }
        for part in row.sub_rows.iter().filter(|_| is_open) {
            let _ = write!(html, "<tr class=\"part\"><th scope=\"row\">{}</th>", self.part_links(table, part));
            for place in places {
                match place.column.outer {
                    true if matches!(place.column.declared.kind, Kind::Key(_)) => {}
                    true => {
                        let _ = write!(html, "{}></td>", phone::td(place.column));
                    }
                    // What is gathered stands below, each once.
                    false => {
                        let cells = (&*place.of_part(part), &*of(&part.names, row));
                        self.folded_cell(html, place, cells, place.is_gathered(), "");
                    }
                }
            }
            html.push_str("</tr>\n");
            self.gathered(html, table, places, (part, row));
        }
        html.push_str("</tbody>\n");
    }

    /// Returns the names of a part, each a link to its page.
    fn part_links(&self, table: &Table, part: &SubRow) -> String {
        let keys = table.declared.columns.iter().filter(|column| matches!(column.kind, Kind::Key(_))).skip(1);
        let links: Vec<_> = keys.zip(&part.names).map(|(column, name)| self.key_link(column, name)).collect();
        links.join(" · ")
    }

    /// Writes one cell: the number itself if there is one, else the sum of several.
    fn folded_cell(
        &self,
        html: &mut String,
        place: &Place,
        (cells, names): (&[&Cell], &[&str]),
        is_sum: bool,
        before: &str,
    ) {
        let Place { column, .. } = place;
        match column.declared.kind {
            Kind::Key(_) => {}
            Kind::Health(..) => {
                let health = self.health(cells.first().copied());
                let _ = write!(html, "<td class=\"beat {}\">", health.class());
                let text = format!("{} {}", health.shape(), self.health_text(cells.first().copied()));
                self.link(html, cells.first().copied(), "", &text);
                self.bar(html, cells.first().copied());
                html.push_str("</td>");
            }
            _ => {
                let line = self.small_line(column, cells.iter().copied());
                let _ = write!(html, "{}>{before}{line}", phone::td(column));
                self.folded_content(html, place, (cells, names), is_sum);
                html.push_str("</td>");
            }
        }
    }

    /// Writes the content of a cell: the number itself if there is one, else the sum of several.
    pub(super) fn folded_content(
        &self,
        html: &mut String,
        place: &Place,
        (cells, names): (&[&Cell], &[&str]),
        is_sum: bool,
    ) {
        let column = place.column;
        match cells {
            [] => self.cell_content(html, None, column, names),
            [cell] if !is_sum => self.cell_content(html, Some(cell), column, names),
            several => {
                let trouble = several.iter().filter_map(|cell| self.selection.of_cell(column, cell)).max();
                let pill = match trouble.filter(|_| self.view.troubles.is_some()) {
                    Some(Trouble::Bad) => " class=\"pill bad\"",
                    Some(Trouble::Worse) => " class=\"pill worse\"",
                    None => "",
                };
                // A link in a cell is as high as the cell, and looks like its other numbers.
                match self.sum(column, several.iter().copied()) {
                    link if link.starts_with("<a ") => html.push_str(&link.replacen("<a", &format!("<a{pill}"), 1)),
                    text => {
                        let _ = write!(html, "<span{pill}>{text}</span>");
                    }
                }
            }
        }
    }

    /// Writes the numbers of a part that are gathered, each with its name.
    fn gathered(&self, html: &mut String, table: &Table, places: &[Place], (part, row): (&SubRow, &Row)) {
        for place in places.iter().filter(|place| place.is_gathered()) {
            let each = place.at.iter().filter_map(|at| Some((&table.columns[*at], part.cells[*at].as_ref()?)));
            let each: Vec<_> = each.filter(|(_, cell)| !cell.value.is_zero()).collect();
            if each.is_empty() {
                continue;
            }
            let _ = write!(
                html,
                "<tr class=\"part\"><td class=\"list\" colspan=\"{}\"><span class=\"quiet\">{} of {}:</span>",
                places.len(),
                escaped_line(place.column.declared.group),
                part.names.iter().map(|name| escaped_line(name)).collect::<Vec<_>>().join(" · ")
            );
            for (column, cell) in each {
                let _ = write!(html, " <span class=\"each\">{} ", escaped_line(column.head));
                self.cell_content(html, Some(cell), column, &of(&part.names, row));
                html.push_str("</span>");
            }
            html.push_str("</td></tr>\n");
        }
    }

    /// Returns the largest number of the bars of a table, which fills the widest one.
    fn most(&self, table: &Table, places: &[Place]) -> f64 {
        let bars = places.iter().filter(|place| !place.column.declared.filled_by.is_empty());
        let numbers = bars.flat_map(|place| {
            table.rows.iter().map(|row| {
                let of = place.cells(row).iter().map(|cell| cell.value.as_f64()).sum::<f64>();
                of.max(parts_of(table, place, &[row]).iter().map(|(_, number)| number).sum())
            })
        });
        numbers.fold(1.0, f64::max)
    }

    /// Returns how much of a number others use: as a framed bar on the scale of the column, and as `53 / `. Empty if the column
    /// has no such others, or if there is no number.
    fn used(&self, table: &Table, place: &Place, rows: &[&Row], most: Option<f64>) -> String {
        let cells: Vec<_> = rows.iter().flat_map(|row| place.cells(row)).collect();
        if place.column.declared.filled_by.is_empty() || cells.is_empty() {
            return String::new();
        }
        let of = cells.iter().map(|cell| cell.value.as_f64()).sum::<f64>();
        let parts = parts_of(table, place, rows);
        let used: f64 = parts.iter().map(|(_, number)| number).sum();
        let scale = 96.0 / most.unwrap_or_else(|| of.max(used)).max(1.0);
        let mut svg = String::from("<svg class=\"quota\" viewBox=\"0 0 98 12\" aria-hidden=\"true\">");
        let mut x = 1.0;
        for (at, (_, number)) in parts.iter().enumerate().filter(|(_, (_, number))| *number > 0.0) {
            let width = number * scale;
            let _ = write!(svg, "<path class=\"q{at}\" d=\"M{x:.1} 1h{width:.1}v10h-{width:.1}z\"></path>");
            x += width;
        }
        let _ = write!(svg, "<path class=\"frame\" d=\"M.5 .5h{:.1}v11h-{0:.1}z\"></path></svg>", of * scale + 1.0);
        // The sum of nothing is -0.
        format!("{svg}<span class=\"used\">{} / </span>", plain(used + 0.0))
    }
}

fn has_parts(row: &Row) -> bool {
    row.sub_rows.iter().any(|part| !part.names.is_empty())
}

/// Returns how many rows there are: `all 14 clouds`, `2 of 14 clouds`.
pub(super) fn all_rows(table: &Table, counts: Counts) -> String {
    let shown = table.things();
    let some = if shown == counts.all { "all ".into() } else { format!("{shown} of ") };
    some + &count(counts.all, table.declared.noun)
}

/// Returns the numbers by which a column is filled, each with its head.
fn parts_of(table: &Table, place: &Place, rows: &[&Row]) -> Vec<(&'static str, f64)> {
    let of = |head: &&'static str| {
        let at = table
            .columns
            .iter()
            .position(|column| column.head == *head && matches!(column.declared.kind, Kind::Pivot(_)) && !column.outer);
        let cells = rows.iter().flat_map(|row| row.sub_rows.iter()).filter_map(|part| part.cells[at?].as_ref());
        (*head, cells.map(|cell| cell.value.as_f64()).sum())
    };
    place.column.declared.filled_by.iter().map(of).collect()
}
