//! The overview of a page: a number of all, stacked by a tag that the reader chooses.

use super::named::picture;
use super::*;
use crate::model::carbon_component;

/// How many parts are drawn, the largest first: as many as there are colours.
const PARTS: usize = 8;

/// The range of the picture if none is chosen.
const FROM: &str = "-2d";

/// Writes the overview of the page, if it has one and something is stored of it.
pub(super) fn overview(html: &mut String, view: &View) {
    let Some(overview) = view.page.overview else { return };
    let place = view.page.measurements().iter().position(|one| std::ptr::eq(*one, overview.measurement));
    let (Some(place), Some(section)) = (place, view.sections.first()) else { return };
    let options = view.options;
    let by = overview.by.iter().find(|(tag, _)| *tag == options.by).unwrap_or(&overview.by[0]);
    let of = overview.choices.iter().find(|choice| **choice == options.show).unwrap_or(&overview.choices[0]);
    let is_by_choice = by.0 == overview.of;
    let mut totals = BTreeMap::<&str, f64>::new();
    for number in section.numbers(place) {
        if is_by_choice || number.field() == *of {
            let part = if is_by_choice { number.field() } else { number.tag(by.0) };
            *totals.entry(part).or_default() += number.value.as_f64();
        }
    }
    let mut totals: Vec<_> = totals.into_iter().filter(|(_, total)| *total > 0.0).collect();
    totals.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    if totals.is_empty() {
        return;
    }
    let all: f64 = totals.iter().map(|(_, total)| total).sum();
    let path = |name: &str| by.1.replace("{value}", &carbon_component(name)).replace("{of}", of);
    let shown: Vec<_> = totals.iter().take(PARTS).map(|(name, total)| (*name, *total, path(name))).collect();
    let largest =
        if totals.len() > PARTS { format!(", the {PARTS} largest of {}", totals.len()) } else { String::new() };
    let what = if is_by_choice { overview.noun.to_string() } else { format!("{} {of}", overview.noun) };
    let _ = write!(
        html,
        "<section class=\"overview\" data-key=\"overview\" aria-label=\"{what} by {}\">\n<div class=\"title\"><h2>{what}</h2> <p \
         class=\"when\">by {}{largest}</p></div>\n",
        by.0, by.0
    );
    choices(html, view, (by.0, of));
    html.push_str("<div class=\"sides\">");
    let paths: Vec<_> = shown.iter().map(|(_, _, path)| path.as_str()).collect();
    let plots = paths.iter().map(|path| (*path).to_string()).collect();
    let from = if options.from.is_empty() { FROM } else { &options.from };
    let large = Options { plots, stacked: true, from: from.into(), ..options.clone() };
    let _ = write!(html, "<a data-plots href=\"{}\">", large.address());
    let words = format!("{what} by {}: the same as a plot", by.0);
    // Where a picture is made smaller nobody can read it.
    for (class, size) in [("wide", (1000, 260)), ("narrow", (370, 230))] {
        let _ = write!(html, "<span class=\"{class}\">");
        picture(html, view, &words, &paths, (size, true, from));
        html.push_str("</span>");
    }
    html.push_str("</a>\n");
    parts(html, view, by.0, (&what, all), &shown);
    html.push_str("</div></section>\n");
}

/// Writes the links that choose by what is stacked, and what.
fn choices(html: &mut String, view: &View, (by, of): (&str, &str)) {
    let Some(overview) = view.page.overview else { return };
    let link = |html: &mut String, word: &str, options: &Options, is_on: bool| {
        let current = if is_on { " aria-current=\"page\"" } else { "" };
        let _ = write!(html, " <a href=\"./{}\"{current}>{word}</a>", options.address());
    };
    html.push_str("<p class=\"choices\">stacked by");
    for (tag, _) in overview.by {
        let options = Options { by: (*tag).into(), ..view.options.clone() };
        link(html, tag, &options, *tag == by);
    }
    html.push_str(" · of");
    for choice in overview.choices {
        let options = Options { show: (*choice).into(), ..view.options.clone() };
        link(html, choice, &options, *choice == of && by != overview.of);
    }
    html.push_str("</p>\n");
}

/// Writes the parts with their numbers and shares.
fn parts(html: &mut String, view: &View, by: &str, (what, all): (&str, f64), shown: &[(&str, f64, String)]) {
    let _ = write!(
        html,
        "<table><caption class=\"unseen\">{what} by {by}</caption><thead><tr><th scope=\"col\">{by}</th><th scope=\"col\" \
         class=\"n\">{what}</th><th scope=\"col\" class=\"n\">share</th></tr></thead>\n<tbody>"
    );
    let others = Options { plots: Vec::new(), full: false, ..view.options.clone() }.address();
    for (line, (name, total, path)) in shown.iter().enumerate() {
        let _ = writeln!(
            html,
            "<tr data-key=\"{0}\"><th scope=\"row\"><span class=\"swatch\" data-line=\"{line}\" aria-hidden=\"true\"></span>{0}</th><td><a \
             href=\"?plot={1}{2}{3}\">{total}</a></td><td>{4}</td></tr>",
            escaped_line(name),
            encoded(path),
            if others.len() > 1 { "&amp;" } else { "" },
            &others[1..],
            crate::text::share(total / all)
        );
    }
    html.push_str("</tbody></table>");
}
