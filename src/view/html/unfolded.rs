//! What unfolds below a row: tables of what belongs to its name, a line of words, small plots, and the way to all its numbers.

use std::collections::HashSet;

use super::named::picture;
use super::*;

/// The size of a small plot, in pixels.
const SMALL: (u32, u32) = (300, 110);

/// The range of the small plots.
const FROM: &str = "-1d";

impl SectionView<'_> {
    /// Returns the button that unfolds a row, if something unfolds below it.
    pub(super) fn unfold_mark(&self, table: &Table, row: &Row) -> String {
        if table.declared.unfolds.is_some() { self.mark(row, self.is_open(row)) } else { String::new() }
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
        self.small_plots(html, table, row, unfolds.plots);
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
                    let _ = write!(html, "<span class=\"each\">{} ", escaped_line(column.head));
                    self.cell_content(html, Some(cell), column, &[of.name]);
                    self.beside(html, table, column, (&row.cells, &[of.name]));
                    html.push_str("</span> · ");
                }
            }
        }
    }

    /// Writes small plots of a row's numbers.
    fn small_plots(&self, html: &mut String, table: &Table, row: &Row, heads: &[&str]) {
        html.push_str("<div class=\"plots\">");
        let is_wanted = |column: &Column| heads.contains(&column.head) && !column.declared.is_inside;
        for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| is_wanted(column)) {
            let Some(cell) = row.cells[at] else { continue };
            let parts = row.parts[at].iter().filter_map(|part| part.cell.map(|cell| cell.path));
            let paths: Vec<_> = match cell.path {
                "" => parts.filter(|path| !path.is_empty()).take(8).collect(),
                path => vec![path],
            };
            if paths.is_empty() {
                continue;
            }
            let group = column.declared.group;
            let whose = table.part_of(row, at).map_or("", |part| part.name);
            let words: Vec<_> = [group, column.head, whose].into_iter().filter(|word| !word.is_empty()).collect();
            let words = escaped_line(&words.join(" "));
            let _ = write!(html, "<figure><figcaption>{words} <b>{}</b></figcaption>", self.shown(column, cell.value));
            picture(html, self.view, &words, &paths, (SMALL, false, FROM));
            html.push_str("</figure>");
        }
        html.push_str("</div>");
    }
}
