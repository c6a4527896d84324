//! The pages as HTML: static, without a script, and forbidden to run any.

use std::fmt::Write as _;

use super::{HubFacts, NodeFacts, Status, chart_name, file_name, plot_name};
use crate::model::utc;
use crate::text::{ago, one_line, size};
use crate::view::html::escaped;

/// How all pages look.
const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:75rem;padding:0 1rem;color:#171b20;background:#fff}\
h1,h2{line-height:1.2}h1 small,.quiet{color:#57616c;font-weight:normal}a{color:#0551a4}\
table{border-collapse:collapse;margin:.6rem 0}th,td{padding:.25rem .7rem;text-align:left;border-bottom:1px solid #d8dee4;\
vertical-align:top;overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap}.words td{border-top:0;padding-top:0;color:#57616c}\
tr.said td{border-bottom:0}b.ok{color:#2b6a4d}b.warning{color:#8a5200}b.alarm{color:#b3261e}b.unknown{color:#57616c}\
img{max-width:100%;height:auto;display:block;margin:.4rem 0}";

fn text(text: &str) -> String {
    escaped(&one_line(text))
}

/// Returns a page around its body.
fn page(title: &str, now: i64, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\
         <p class=\"quiet\">Written by collect-backups at {}. If that is long ago, it no longer runs.</p>\n</body>\n</html>\n",
        text(title),
        utc(now)
    )
}

/// A shape repeats the colour, which not everybody sees.
fn status(status: Status, word: &str) -> String {
    let shape = match status {
        Status::Ok => "●",
        Status::Unknown => "○",
        Status::Warning => "◆",
        Status::Alarm => "▼",
    };
    format!("<b class=\"{}\"><span aria-hidden=\"true\">{shape}</span> {}</b>", status.word(), text(word))
}

/// Returns the head of a table; a column of numbers begins with `<`.
fn head(columns: &[&str]) -> String {
    let cell = |column: &&str| match column.strip_prefix('<') {
        Some(column) => format!("<th scope=\"col\" class=\"n\">{column}</th>"),
        None => format!("<th scope=\"col\">{column}</th>"),
    };
    format!("<table>\n<tr>{}</tr>\n", columns.iter().map(cell).collect::<String>())
}

fn number(text: &str) -> String {
    format!("<td class=\"n\">{}</td>", escaped(text))
}

/// Returns the page of all hubs.
pub fn index(hubs: &[HubFacts], now: i64) -> String {
    let worst = hubs.iter().map(HubFacts::status).max().unwrap_or(Status::Unknown);
    let mut body = format!("<h1>Backups <small>{}</small></h1>\n", status(worst, worst.word()));
    body += &head(&["hub", "is", "<nodes", "<sets well", "<warnings", "<alarms", "<asked"]);
    for hub in hubs {
        let [ok, warnings, alarms] = hub.counts();
        let _ = write!(
            body,
            "<tr><td><a href=\"{}/index.html\">{}</a></td><td>{}</td>",
            file_name(hub.hub),
            text(hub.hub),
            status(hub.status(), hub.status().word())
        );
        for count in [hub.nodes.len(), ok, warnings, alarms] {
            body += &number(&count.to_string());
        }
        body += &number(&hub.asked().map_or("never".into(), utc));
        body += "</tr>\n";
    }
    body += "</table>\n<p>As data: <a href=\"index.json\">index.json</a>, <a href=\"index.rst\">index.rst</a>.</p>\n";
    page(&format!("Backups: {}", worst.word()), now, &body)
}

/// Returns the page of a hub.
pub fn hub(facts: &HubFacts, now: i64) -> String {
    let is = facts.status();
    let name = text(facts.hub);
    let title = facts.url.map_or(name.clone(), |url| format!("<a href=\"{}\">{name}</a>", text(url)));
    let mut body = format!(
        "<p><a href=\"../index.html\">All hubs</a></p>\n<h1>{title} <small>{}</small></h1>\n",
        status(is, is.word())
    );
    body += &head(&["node", "is", "<well", "<warnings", "<alarms", "<asked", "<clock", "<disk free"]);
    for node in &facts.nodes {
        body += &node_row(node);
    }
    body += "</table>\n<p>As data: <a href=\"nodes.json\">nodes.json</a>, <a href=\"sets.json\">sets.json</a>, \
             <a href=\"index.rst\">index.rst</a>.</p>\n";
    for node in &facts.nodes {
        body += &node_section(node, now);
    }
    page(&format!("{}: {}", facts.hub, is.word()), now, &body)
}

fn node_row(node: &NodeFacts) -> String {
    let [ok, warnings, alarms] = node.counts();
    let seen = node.memory.seen.as_ref();
    let texts = node.texts();
    let (is, id) = (node.status(), file_name(node.node));
    let mut row = format!(
        "<tr{}><td><a href=\"#{id}\">{}</a></td><td>{}</td>",
        if texts.is_empty() { "" } else { " class=\"said\"" },
        text(node.node),
        status(is, node.verdict.filter(|verdict| Status::of(*verdict) == is).map_or(is.word(), super::Verdict::word))
    );
    for count in [ok, warnings, alarms] {
        row += &number(&count.to_string());
    }
    row += &number(&seen.map_or("never".into(), |seen| utc(seen.asked)));
    row += &number(&seen.and_then(|seen| seen.skew_seconds).map_or("-".into(), |skew| format!("{skew:+} s")));
    let disk = seen.and_then(|seen| seen.disk);
    row += &number(&disk.map_or("-".into(), |(all, free)| format!("{} of {}", size(free), size(all))));
    row += "</tr>\n";
    for said in texts {
        let _ = writeln!(row, "<tr class=\"words\"><td colspan=\"8\">{}</td></tr>", text(said));
    }
    row
}

fn node_section(node: &NodeFacts, now: i64) -> String {
    let mut body = format!("<h2 id=\"{}\">{}</h2>\n", file_name(node.node), text(node.node));
    if node.sets.is_empty() {
        return body + "<p>No set of it is known.</p>\n";
    }
    body += &head(&["set", "is", "<newest", "<age", "<size", "<backups"]);
    for row in &node.sets {
        let seen = row.seen;
        let _ = write!(
            body,
            "<tr{}><td><a href=\"#{}\">{}</a></td><td>{}</td>",
            if seen.text.is_empty() { "" } else { " class=\"said\"" },
            plot_name(row.node, row.set),
            text(row.set),
            status(Status::of(seen.verdict), seen.verdict.word())
        );
        body += &number(&seen.newest.map_or("-".into(), utc));
        body += &number(&seen.newest.map_or("-".into(), |newest| ago(now - newest)));
        body += &number(&seen.bytes.map_or("-".into(), size));
        body += &number(&seen.backups.to_string());
        body += "</tr>\n";
        if !seen.text.is_empty() {
            let _ = writeln!(body, "<tr class=\"words\"><td colspan=\"6\">{}</td></tr>", text(&seen.text));
        }
    }
    let _ = writeln!(body, "</table>\n<p>As data: <a href=\"{0}\">{0}</a>.</p>", chart_name(node.node));
    for row in &node.sets {
        let name = plot_name(row.node, row.set);
        let _ = writeln!(
            body,
            "<img id=\"{name}\" src=\"{name}\" alt=\"sizes of {}\" width=\"720\" height=\"175\" loading=\"lazy\">",
            text(row.set)
        );
    }
    body
}
