//! What a phone has no room for: it leaves out the columns of class `x`, and shows them as pairs below a row that is unfolded.

use super::folded::{places, unfold_button};
use super::unfolded::heads_of;
use super::*;

/// Returns the group of a column before its head, where the heads of groups are left out.
pub(super) fn group(column: &Column) -> String {
    match column.declared.group {
        "" => String::new(),
        _ if column.later => String::new(),
        group => format!("<span class=\"narrow\">{} </span>", escaped_line(group)),
    }
}

/// Returns the beginning of a cell of a column.
pub(super) fn td(column: &Column) -> &'static str {
    if column.later { "<td class=\"x\"" } else { "<td" }
}

/// Returns what the class of such a cell ends with.
pub(super) fn and_x(column: &Column) -> &'static str {
    if column.later { " x" } else { "" }
}

impl SectionView<'_> {
    /// Returns the word of an address that unfolds a row on a phone.
    fn phone_key(&self, table: &Table, row: &Row) -> String {
        format!("{}/{}:{}", self.section.name, table.declared.name, row.name)
    }

    /// Whether the pairs of a row without parts are shown: with what unfolds below it, if there is anything, else by a button of
    /// their own.
    pub(super) fn is_open_on_phone(&self, table: &Table, row: &Row) -> bool {
        match table.declared.unfolds {
            Some(_) => self.is_open(row),
            None => self.view.options.open.contains(&self.phone_key(table, row)),
        }
    }

    /// Returns the button that unfolds the pairs of a row without parts; empty if there are none.
    pub(super) fn unfold_on_phone(&self, table: &Table, row: &Row) -> String {
        if !table.shown().any(|(_, column)| column.later) {
            return String::new();
        }
        let (key, words) = (self.phone_key(table, row), format!("more of {}", escaped_line(row.name)));
        unfold_button(&key, &words, self.is_open_on_phone(table, row), " class=\"narrow\"")
    }

    /// Writes the columns of a row for which a phone has no room, as pairs of head and number.
    pub(super) fn pairs(&self, html: &mut String, table: &Table, row: &Row) {
        let places = places(table);
        let later: Vec<_> = places.iter().filter(|place| place.column.later).collect();
        if later.is_empty() {
            return;
        }
        let _ = write!(
            html,
            "<tr class=\"pairs narrow\" data-key=\"{} pairs\"><td colspan=\"{}\"><dl>",
            escaped_line(row.name),
            places.len()
        );
        for place in later {
            let (column, at) = (place.column, place.at[0]);
            let is_folded = table.declared.folded;
            let head = if is_folded { place.words() } else { heads_of(table, column) };
            let _ = write!(html, "<div><dt>{}</dt><dd>", escaped_line(&head));
            match (column.declared.kind, row.sub_rows.first()) {
                (Kind::Label(..), _) => {
                    let label = escaped_line(row.labels[at]);
                    let short = short(row.labels[at]).filter(|_| column.declared.is_short).unwrap_or(&label);
                    let _ = write!(html, "<span title=\"{label}\">{short}</span>");
                }
                // As in its cell.
                (_, Some(sub_row)) if !is_folded => {
                    self.content(html, &Line { table, row, sub_row, span: "", is_first: true }, at);
                    // Here is room for the part that a column does not name.
                    let part = table.part_of(row, at).filter(|part| part.name.is_empty());
                    if let Some(part) = part.filter(|part| !part.names.is_empty()) {
                        let _ = write!(html, "<span class=\"whose\">{}</span>", escaped_line(&part.names.join(" ")));
                    }
                }
                _ => {
                    let cells = place.cells(row);
                    html.push_str(&self.small_line(column, cells.iter().copied()));
                    self.folded_content(html, place, (&cells, &[row.name]), false);
                }
            }
            html.push_str("</dd></div>");
        }
        html.push_str("</dl></td></tr>\n");
    }
}
