//! The pages as RST, in the shape of scm-backup-monitor's: for Sphinx, and for people who read text. Docutils needs nothing else for
//! it; the original needed two extensions of its own.

use super::{HubFacts, NodeFacts, Status, chart_name, file_name, plot_name};
use crate::model::utc;
use crate::text::one_line;

/// Returns text from outside as RST that says just this.
fn plain(text: &str) -> String {
    let text = one_line(text);
    let text = text.trim();
    let mut plain = String::new();
    // A list begins with a mark, or with a word that ends with one.
    let first_word = text.split_whitespace().next().unwrap_or_default().len();
    for (at, c) in text.char_indices() {
        let is_mark = matches!(c, '\\' | '*' | '`' | '|' | '_' | '<' | '>' | ':' | '@');
        let begins = at == 0 && c.is_ascii_punctuation() || at + 1 == first_word && matches!(c, '.' | ')');
        if is_mark || begins {
            plain.push('\\');
        }
        plain.push(c);
    }
    // An empty cell that is still there.
    if plain.is_empty() { "\\ ".into() } else { plain }
}

/// Returns a heading; what underlines it is as long as the line at least.
fn heading(text: &str, under: char) -> String {
    // A wide character takes two columns.
    let columns: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    format!("{text}\n{}\n\n", under.to_string().repeat(columns.max(4)))
}

/// Returns a link; an address that could end it is shown as text.
fn link(text: &str, target: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '`' | '\\' | '_');
    let target: String = target
        .chars()
        .map(|c| {
            if is_plain(c) {
                c.to_string()
            } else if c == '_' {
                "\\_".into()
            } else {
                encoded(c)
            }
        })
        .collect();
    format!("`{} <{target}>`__", plain(text))
}

fn encoded(c: char) -> String {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns text in the colour of a status.
fn coloured(text: &str, status: Status) -> String {
    format!(":{}:`{}`", status.word(), plain(text))
}

/// Returns a table of cells that are RST. One with other characters than ASCII, whose width nobody agrees on, is a list.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let all: Vec<Vec<String>> =
        [heads.iter().map(ToString::to_string).collect()].into_iter().chain(rows.iter().cloned()).collect();
    if !all.iter().flatten().all(|cell| cell.is_ascii()) {
        let row = |row: &Vec<String>| format!("   * - {}\n", row.join("\n     - "));
        let lines: String = all.iter().map(row).collect();
        return format!(".. list-table::\n   :header-rows: 1\n\n{lines}\n");
    }
    let width = |at: usize| all.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..heads.len()).map(width).collect();
    let rule = |with: &str| {
        let bars: Vec<_> = widths.iter().map(|width| with.repeat(width + 2)).collect();
        format!("+{}+\n", bars.join("+"))
    };
    let mut text = rule("-");
    for (at, row) in all.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} ")).collect();
        text += &format!("|{}|\n{}", cells.join("|"), rule(if at == 0 { "=" } else { "-" }));
    }
    text + "\n"
}

/// The roles, which the original had in a file of its own.
const ROLES: &str = ".. role:: ok\n.. role:: unknown\n.. role:: warning\n.. role:: alarm\n\n";

/// Returns the page of a hub.
pub fn hub(facts: &HubFacts, now: i64) -> String {
    let mut text = facts.url.map(|url| format!("* {}\n\n", link(url, url))).unwrap_or_default();
    text += ROLES;
    text += &heading(&format!("{} hub : {}", plain(facts.hub), facts.status().word()), '-');
    text += &format!("Written {}. {}\n\n.. contents:: :local:\n\n", utc(now), link("All hubs", "../index.html"));
    let row = |node: &NodeFacts| {
        let [ok, warnings, alarms] = node.counts();
        let status = node.status();
        let mut cells = vec![coloured(node.node, status)];
        cells.extend([ok, warnings, alarms].iter().map(ToString::to_string));
        cells.push(status.word().into());
        cells
    };
    let rows: Vec<_> = facts.nodes.iter().map(row).collect();
    text += &table(&["node", "nok", "nwarn", "nalarm", "status"], &rows);
    for node in &facts.nodes {
        text += &node_text(node, now);
    }
    text
}

fn node_text(node: &NodeFacts, now: i64) -> String {
    let mut text = heading(&format!("{} : {}", plain(node.node), node.status().word()), '~');
    for said in node.texts() {
        text += &format!("* {}\n", plain(said));
    }
    text += &format!("* {}\n\n", link(&chart_name(node.node), &chart_name(node.node)));
    let row = |row: &super::SetRow| {
        let status = Status::of(row.seen.verdict);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "\\-".into());
        let days = row.seen.newest.map(|newest| format!("{:.2}", (now - newest) as f64 / 86_400.0));
        vec![
            coloured(row.set, status),
            row.seen.verdict.word().into(),
            or_dash(row.seen.newest.map(|newest| (newest * 1000).to_string())),
            or_dash(row.seen.bytes.map(|bytes| format!("{:.2}", bytes as f64 / 1_048_576.0))),
            or_dash(days.map(|days| coloured(&days, status))),
            or_dash(row.seen.newest.map(utc)),
            row.seen.backups.to_string(),
        ]
    };
    let rows: Vec<_> = node.sets.iter().map(row).collect();
    text += &table(&["name", "is", "ltime", "lsize", "ldays", "ldate", "backups"], &rows);
    for row in &node.sets {
        if !row.seen.text.is_empty() {
            text += &format!("* {}: {}\n", plain(row.set), plain(&row.seen.text));
        }
    }
    text.push('\n');
    for row in &node.sets {
        let name = plot_name(row.node, row.set);
        text += &format!(".. image:: {name}\n   :alt: {}\n\n", one_line(row.set));
    }
    text
}

/// Returns the page of all hubs.
pub fn index(hubs: &[HubFacts], now: i64) -> String {
    let mut text = ROLES.to_string() + &heading("Backups", '=') + &format!("Written {}.\n\n", utc(now));
    let row = |hub: &HubFacts| {
        let [ok, warnings, alarms] = hub.counts();
        let status = hub.status();
        vec![
            link(hub.hub, &format!("{}/index.html", file_name(hub.hub))),
            hub.nodes.len().to_string(),
            ok.to_string(),
            warnings.to_string(),
            alarms.to_string(),
            coloured(status.word(), status),
        ]
    };
    let rows: Vec<_> = hubs.iter().map(row).collect();
    text += &table(&["hub", "nodes", "nok", "nwarn", "nalarm", "status"], &rows);
    text
}
