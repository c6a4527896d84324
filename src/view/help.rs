//! The help: what each column means, what shapes and keys do. Made of the declarations of the pages. Pure.

use std::fmt::Write as _;

use super::html::escaped;
use super::page::{Column, Kind, Page};
use super::selection::column_meaning;

/// What a shape says.
const SHAPES: [(&str, &str); 7] = [
    ("●", "up, all well"),
    ("▼", "down, lost, or over its limit: somebody must act"),
    ("▲", "worse than usual: somebody should look"),
    ("○", "off by intent, silent or unknown"),
    ("▨", "not collected"),
    ("◆", "was changed"),
    ("∿", "on a head: plots the column"),
];

/// What a key does.
const KEYS: [(&str, &str); 7] = [
    ("/", "to the field that finds names"),
    ("arrow keys", "in a table: to the next number; on the plot: move the pointer; on its upper edge: its height"),
    ("Home, End", "in a table: to the first and last number of the row"),
    ("Enter", "plots the number that has the focus, or takes it out"),
    ("Escape", "closes what is open: a tooltip, the options, the full window, the plot"),
    ("F6", "to the plot and back"),
    ("Tab", "to the next link, button or field"),
];

/// Returns the content of the page: of these pages, and of those of all else that is stored. `root` is the way to the root of the site.
pub fn html(pages: &[Page], others: &[Page], root: &str) -> String {
    let mut html = String::with_capacity(1 << 15);
    html.push_str("<section class=\"help\" data-key=\"help\" aria-labelledby=\"help\"><div class=\"title\"><h2 id=\"help\">Help</h2></div>\n");
    for (name, rows) in [("Shapes", &SHAPES[..]), ("Keys", &KEYS[..])] {
        let _ = write!(html, "<h3>{name}</h3>\n<dl class=\"help\">");
        for (word, meaning) in rows {
            let _ = write!(html, "<div><dt>{word}</dt><dd>{meaning}</dd></div>");
        }
        html.push_str("</dl>\n");
    }
    for page in pages {
        let _ = writeln!(html, "<h3>{}</h3>", escaped(page.title));
        for table in page.tables {
            let _ = write!(html, "<h4>{}</h4>\n<dl class=\"help\">", escaped(table.caption));
            for (at, column) in table.columns.iter().enumerate() {
                let meaning = column_meaning(column);
                let is_same = |other: &Column| (other.group, other.head) == (column.group, column.head);
                if !meaning.is_empty() && !table.columns[..at].iter().any(is_same) {
                    let group = if column.group.is_empty() { String::new() } else { format!("{}: ", column.group) };
                    let _ = write!(
                        html,
                        "<div><dt>{}{}</dt><dd>{}</dd></div>",
                        escaped(&group),
                        escaped(head(column)),
                        escaped(meaning)
                    );
                }
            }
            html.push_str("</dl>\n");
        }
    }
    if !others.is_empty() {
        html.push_str("<h3>All else that is stored</h3>\n<dl class=\"help\">");
        for page in others {
            let meaning = page.tables.first().map_or("", |table| table.caption);
            let _ = write!(
                html,
                "<div><dt><a href=\"{root}pages/{0}/\">{0}</a></dt><dd>{1}</dd></div>",
                escaped(page.name),
                escaped(meaning)
            );
        }
        html.push_str("</dl>\n");
    }
    html.push_str("</section>\n");
    html
}

/// Returns the head of a column; that of a pivot names its tag.
fn head(column: &Column) -> &str {
    match column.kind {
        Kind::Pivot(pivot) if column.head.is_empty() => pivot.tag,
        _ => column.head,
    }
}
