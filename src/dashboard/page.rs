//! The page as HTML. It needs no script: every number is a link to its plot. The script refreshes the tables, draws the
//! plots and updates the address; it reads everything it needs from this HTML. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

pub use super::elsewhere::Elsewhere;
use super::question::no_range;
use super::troubles::{Happened, Line, Place, parts, plots_title, systems, tab_icon, tab_title};
use super::{Config, Summary};
use crate::model::{graphite_time, utc};
use crate::view::bar::{Bars, Lines};
use crate::view::help;
use crate::view::html::{self, Own, encoded};
use crate::view::page::Page;
use crate::view::png;
use crate::view::selection::{MAX_FIND, Troubles};
use crate::view::text::length;

pub use crate::view::html::{Options, escaped};

/// A file that the page needs.
pub struct Asset {
    /// The name below `static/`.
    pub name: &'static str,
    /// The value of its `Content-Type`.
    pub content_type: &'static str,
    /// The content.
    pub bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// All files that the page needs.
pub static ASSETS: [Asset; 6] = [
    Asset { name: "style.css", content_type: STYLE, bytes: include_bytes!("assets/style.css") },
    Asset { name: "early.js", content_type: SCRIPT, bytes: include_bytes!("assets/early.js") },
    Asset { name: "app.js", content_type: SCRIPT, bytes: include_bytes!("assets/app.js") },
    Asset { name: "uplot.js", content_type: SCRIPT, bytes: include_bytes!("assets/uplot.js") },
    Asset { name: "uplot.css", content_type: STYLE, bytes: include_bytes!("assets/uplot.css") },
    Asset {
        name: "LICENSE.txt",
        content_type: "text/plain; charset=utf-8",
        bytes: include_bytes!("assets/uplot.LICENSE"),
    },
];

/// The HTML that loads the assets. Their addresses hold a checksum, so browsers may cache them for ever.
static LINKS: LazyLock<String> = LazyLock::new(|| {
    let mut html = String::new();
    for Asset { name, bytes, .. } in &ASSETS {
        let address = format!("static/{name}?v={:08x}", crc32fast::hash(bytes));
        let _ = match *name {
            // It sets the theme, so it runs before the first paint; the others are deferred.
            "early.js" => writeln!(html, "<script src=\"{address}\"></script>"),
            name if name.ends_with(".js") => writeln!(html, "<script src=\"{address}\" defer></script>"),
            name if name.ends_with(".css") => writeln!(html, "<link rel=\"stylesheet\" href=\"{address}\">"),
            _ => Ok(()),
        };
    }
    html
});

/// A range of the plot: label, from, to.
type Range = (&'static str, &'static str, &'static str);

/// The ranges that end now.
const LAST: [Range; 15] = [
    ("5 min", "-5min", ""),
    ("15 min", "-15min", ""),
    ("1 h", "-1h", ""),
    ("3 h", "-3h", ""),
    ("6 h", "-6h", ""),
    ("12 h", "-12h", ""),
    ("24 h", "-1d", ""),
    ("2 d", "-2d", ""),
    ("7 d", "-1w", ""),
    ("1 mon", "-1mon", ""),
    ("3 mon", "-3mon", ""),
    ("6 mon", "-6mon", ""),
    ("1 y", "-1y", ""),
    ("2 y", "-2y", ""),
    ("5 y", "-5y", ""),
];

/// The ranges of days.
const DAYS: [Range; 3] = [
    ("yesterday", "yesterday", "today"),
    ("day before yesterday", "today-2d", "yesterday"),
    ("this day last week", "today-7d", "today-6d"),
];

/// The previous calendar week, month and year.
const PREVIOUS: [Range; 3] = [
    ("week", "thisweek-1w", "thisweek"),
    ("month", "thismonth-1mon", "thismonth"),
    ("year", "thisyear-1y", "thisyear"),
];

/// The start of the range if none is chosen.
const DEFAULT_FROM: &str = "-6h";

/// The input of [`whole`] and [`tables`].
pub struct View<'a> {
    /// The title and the refresh interval.
    pub config: &'a Config,
    /// The page.
    pub page: &'a Page,
    /// Where it stands.
    pub place: Place,
    /// The pages of the systems, in order.
    pub pages: &'a [Page],
    /// The pages of all else that is stored.
    pub others: &'a [Page],
    /// What is looked for, on other pages.
    pub elsewhere: &'a Elsewhere,
    /// The newest numbers.
    pub summary: &'a Summary,
    /// What only the page of a name has, while one is asked for.
    pub own: &'a Own,
    /// The 24 hours before now of each heartbeat.
    pub bars: &'a Bars,
    /// The same of each number with a small line.
    pub lines: &'a Lines,
    /// What happened in the last day, as HTML, by section.
    pub past: &'a BTreeMap<String, String>,
    /// The description of the store.
    pub backend: &'a str,
    /// The reader's choices.
    pub options: &'a Options,
    /// The clock, in unix seconds.
    pub now: i64,
    /// The line above the tables; `None` if there are no rules.
    pub line: Option<Line<'a>>,
    /// The numbers that a rule calls a trouble; `None` if no rule is about the page.
    pub troubles: Option<&'a Troubles>,
    /// Whether the help is shown instead of the tables.
    pub is_help: bool,
    /// What happened, instead of the tables.
    pub happened: Option<Happened<'a>>,
}

/// The icon of the tab, inline, so that it needs no request.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath \
                    d='M1 13l4-6 3 3 3-7 4 8' fill='none' stroke='%230b6bcb' stroke-width='2'/%3E%3C/svg%3E";

/// Returns the whole page.
pub fn whole(view: &View) -> String {
    let options = view.options;
    let title = escaped(&view.config.title);
    let watched = view.line.as_ref().map(|line| line.watched);
    let of = options.named().map(|(.., name)| name).filter(|name| !name.is_empty());
    let site = of.map_or(view.config.title.clone(), |name| format!("{name} – {}", view.config.title));
    let tab = escaped(&tab_title(&site, watched, &options.plots));
    let icon = watched.and_then(tab_icon);
    let icon = icon.as_deref().unwrap_or(ICON);
    let mut html = String::from("<!doctype html>\n<html lang=\"en\"");
    if !options.theme.is_empty() {
        let _ = write!(html, " data-theme=\"{}\"", options.theme);
    }
    if options.compact {
        html.push_str(" data-density=\"compact\"");
    }
    if options.full && !options.plots.is_empty() {
        html.push_str(" data-full=\"1\"");
    }
    let _ = write!(
        html,
        ">\n<head>\n<meta charset=\"utf-8\">\n<title>{tab}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"{icon}\">\n{}</head>\n\
         <body data-refresh=\"{}\">\n<a class=\"skip\" id=\"skip\" href=\"#plot-title\"{}>To the plot</a>\n<header>\n<h1>{title}</h1>\n{}<p id=\"state\">",
        *LINKS,
        view.config.refresh_seconds,
        if options.plots.is_empty() { " hidden" } else { "" },
        systems(view)
    );
    let _ = write!(
        html,
        "<span id=\"countdown\">As of {}; reload for newer numbers.</span></p>\n\
         <p class=\"buttons\" data-script hidden><button type=\"button\" id=\"refresh\">Refresh</button> <button \
         type=\"button\" id=\"pause\" aria-pressed=\"false\">Pause</button></p>\n",
        utc(view.now)
    );
    find_form(&mut html, view);
    options_form(&mut html, view);
    html.push_str("</header>\n<p id=\"said\" role=\"status\" aria-live=\"polite\"></p>\n<main>\n");
    html.push_str(&body(view));
    html.push_str("</main>\n");
    plot_panel(&mut html, view);
    // The script writes the whole address, which only the browser knows.
    let _ = write!(
        html,
        "<p id=\"foot\" class=\"paper\">{tab} · {}{} · {}</p>\n<div id=\"tip\" aria-hidden=\"true\" hidden></div>\n</body>\n</html>\n",
        view.place.way(view.page),
        options.address(),
        utc(view.now)
    );
    html
}

/// Writes the form of what is looked for. The heads of tables and the buttons above them belong to it too, so that each of
/// them is short.
fn find_form(html: &mut String, view: &View) {
    html.push_str("<form id=\"look\" method=\"get\" role=\"search\">");
    carried(html, view.options, &["find"]);
    let _ = writeln!(
        html,
        "<label class=\"unseen\" for=\"find\">Find a name; several with | between them</label><input id=\"find\" type=\"search\" \
         name=\"find\" value=\"{}\" placeholder=\"Find a name\" maxlength=\"{MAX_FIND}\" size=\"16\" autocomplete=\"off\" \
         spellcheck=\"false\" aria-keyshortcuts=\"/\"> <button>Find</button></form>",
        escaped(&view.options.find)
    );
}

/// Writes the choices of a form that it does not offer itself.
pub(super) fn carried(html: &mut String, options: &Options, offered: &[&str]) {
    for (name, value) in options.pairs() {
        if !offered.contains(&name) {
            let _ = write!(html, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value));
        }
    }
}

/// Writes the form of options.
fn options_form(html: &mut String, view: &View) {
    let View { page, options, .. } = *view;
    let checked = |is: bool| if is { " checked" } else { "" };
    let selected = |is: bool| if is { " selected" } else { "" };
    html.push_str("<details id=\"options\"><summary>Options</summary>\n<form method=\"get\">\n");
    carried(html, options, &["all", "density", "theme"]);
    let _ = write!(
        html,
        "<label><input type=\"checkbox\" name=\"all\" value=\"1\"{}> show all, also what has been silent for over \
         {}</label>\n<label>rows <select name=\"density\"><option value=\"\">normal</option><option \
         value=\"compact\"{}>compact</option></select></label>\n<label>theme <select name=\"theme\"><option \
         value=\"\">automatic</option><option value=\"light\"{}>light</option><option \
         value=\"dark\"{}>dark</option></select></label>\n<button>Apply</button>\n</form>\n</details>\n",
        checked(options.all),
        length(page.silence_limit_seconds()),
        selected(options.compact),
        selected(options.theme == "light"),
        selected(options.theme == "dark"),
    );
}

/// Writes the panel of the plot: ranges, export, the image for browsers without script.
fn plot_panel(html: &mut String, view: &View) {
    let options = view.options;
    let hidden = if options.plots.is_empty() { " hidden" } else { "" };
    let title = if options.plots.is_empty() { "Plot".into() } else { plots_title(&options.plots) };
    let _ = write!(
        html,
        "<section id=\"plot\" aria-labelledby=\"plot-title\"{hidden}>\n<div id=\"grip\" role=\"slider\" \
         aria-orientation=\"vertical\" aria-label=\"Height of the plot\" aria-valuemin=\"0\" aria-valuemax=\"100\" aria-valuenow=\"30\" tabindex=\"0\" data-script \
         hidden></div>\n<div class=\"bar\"><h2 id=\"plot-title\" tabindex=\"-1\">{}</h2>\n",
        escaped(&title)
    );
    ranges(html, options);
    range_forms(html, view);
    html.push_str(
        "<p class=\"buttons\" data-script hidden><button type=\"button\" id=\"earlier\" aria-label=\"Earlier\" \
         title=\"Earlier\">◂</button> <button type=\"button\" id=\"later\" aria-label=\"Later\" title=\"Later\">▸</button> \
         <button type=\"button\" id=\"in\" aria-label=\"Zoom in\" title=\"Zoom in\">+</button> <button type=\"button\" \
         id=\"out\" aria-label=\"Zoom out\" title=\"Zoom out\">−</button></p>\n",
    );
    let other = Options { stacked: !options.stacked, ..options.clone() };
    let _ = writeln!(
        html,
        "<p><a id=\"stack\" href=\"{}\">{}</a></p>",
        other.address(),
        if options.stacked { "Lines" } else { "Stacked" }
    );
    corner(html, options);
    let wrong = wrong_time(view);
    let _ =
        writeln!(html, "</div>\n<p id=\"wrong\" role=\"alert\">{}</p>", escaped(wrong.as_deref().unwrap_or_default()));
    html.push_str("<div class=\"body\"><div id=\"chart\"><noscript>");
    if !options.plots.is_empty() {
        if wrong.is_none() {
            let mut size = vec![("width", "1200"), ("height", if options.full { "700" } else { "260" })];
            size.extend((!options.theme.is_empty()).then_some(("theme", options.theme)));
            size.extend(view.line.is_some().then_some(("events", "1")));
            let _ = write!(html, "<img src=\"{}\" alt=\"the plot\">", history_address("plot.svg", options, &size));
        }
        html.push_str("<ul>");
        for path in &options.plots {
            let plots = options.plots.iter().filter(|other| *other != path).cloned().collect();
            let without = Options { plots, ..options.clone() };
            let _ = write!(html, "<li>{} <a href=\"{}\">remove</a></li>", escaped(path), without.address());
        }
        html.push_str("</ul>");
    }
    html.push_str(
        "</noscript></div>\n<div id=\"facts\"><div id=\"legend\"></div>\n<div id=\"ticks\"></div></div></div>\n<p \
         id=\"folded\"></p>\n<p id=\"spoken\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p>\n</section>\n",
    );
}

/// Returns why the range of the address is none; `None` if it is one.
fn wrong_time(view: &View) -> Option<String> {
    let options = view.options;
    let time =
        |text: &str, otherwise: &str| graphite_time::parse(if text.is_empty() { otherwise } else { text }, view.now);
    match (time(&options.from, DEFAULT_FROM), time(&options.to, "now")) {
        (Ok(from), Ok(to)) if !options.plots.is_empty() && from >= to => Some(no_range(from, "to", view.now)),
        (Ok(_), Ok(_)) => None,
        (Err(error), _) => Some(format!("from: {error:#}")),
        (_, Err(error)) => Some(format!("to: {error:#}")),
    }
}

/// Writes the ranges that a click chooses.
fn ranges(html: &mut String, options: &Options) {
    html.push_str("<nav aria-label=\"Range of the plot\">");
    for (heading, ranges) in [("last", &LAST[..]), ("", &DAYS[..]), ("previous", &PREVIOUS[..])] {
        let group = if heading.is_empty() { "days" } else { heading };
        let _ = write!(html, "<span class=\"ranges\" role=\"group\" aria-label=\"{group}\">{heading}");
        for (label, from, to) in ranges {
            let chosen = if options.from.is_empty() { DEFAULT_FROM } else { &options.from };
            let current = if (chosen, options.to.as_str()) == (from, to) { " aria-current=\"true\"" } else { "" };
            let address = options.with_range(from, to).address();
            let _ = write!(
                html,
                " <a href=\"{address}\" data-from=\"{from}\" data-to=\"{to}\"{current}>{}</a>",
                label.replace(' ', "\u{a0}")
            );
        }
        html.push_str("</span>\n");
    }
    html.push_str("</nav>\n");
}

/// Writes the forms of the range: in words, and by the browser's fields of date and time, which the script shows in local time
/// too.
fn range_forms(html: &mut String, view: &View) {
    let options = view.options;
    html.push_str("<form id=\"range\" method=\"get\">");
    carried(html, options, &["from", "to"]);
    let _ = writeln!(
        html,
        "<label>from <input name=\"from\" value=\"{}\" placeholder=\"{DEFAULT_FROM}\" size=\"14\" autocomplete=\"off\" \
         spellcheck=\"false\"></label> <label>to <input name=\"to\" value=\"{}\" placeholder=\"now\" size=\"14\" \
         autocomplete=\"off\" spellcheck=\"false\"></label> <button title=\"now, -6h, now-2d, today-7d, monday, noon yesterday, \
         2026-06-01, 2026-06-01 12:30, unix seconds; in UTC\">Show</button></form>",
        escaped(&options.from),
        escaped(&options.to)
    );
    html.push_str("<form id=\"moments\" method=\"get\">");
    carried(html, options, &["from", "to"]);
    for (name, word, text, otherwise) in
        [("from", "from", options.from.as_str(), DEFAULT_FROM), ("to", "to", &options.to, "now")]
    {
        let time = graphite_time::parse(if text.is_empty() { otherwise } else { text }, view.now).unwrap_or(view.now);
        let time = jiff::Timestamp::from_second(time).unwrap_or_default().strftime("%Y-%m-%dT%H:%M");
        let _ = write!(
            html,
            "<label><span class=\"unseen\">date and time </span>{word} <input type=\"datetime-local\" name=\"{name}\" \
             value=\"{time}\" max=\"9999-12-31T23:59\"></label> "
        );
    }
    html.push_str(
        "<button>Set</button> <noscript>UTC</noscript><span class=\"pair\" role=\"group\" aria-label=\"Times in\" data-script \
         hidden><button type=\"button\" data-zone=\"UTC\" aria-pressed=\"true\">UTC</button><button type=\"button\" \
         data-zone=\"local\" aria-pressed=\"false\">local</button></span></form>\n",
    );
}

/// Writes what is done with the whole plot: its link, its files, its size.
fn corner(html: &mut String, options: &Options) {
    html.push_str(
        "<div class=\"corner\"><button type=\"button\" id=\"copy\" data-script hidden>Copy link</button> <p \
         class=\"export\">export",
    );
    let png = png::AVAILABLE.then_some(("png", "PNG"));
    for (format, label) in [("tsv", "TSV"), ("csv", "CSV"), ("json", "JSON"), ("svg", "SVG")].into_iter().chain(png) {
        let address = history_address("export", options, &[("format", format)]);
        let _ = write!(html, " <a href=\"{address}\" data-export=\"{format}\" download>{label}</a>");
    }
    let resized = Options { full: !options.full, ..options.clone() };
    let closed = Options { plots: Vec::new(), full: false, ..options.clone() };
    let _ = writeln!(
        html,
        "</p> <a id=\"full\" href=\"{}\">{}</a> <a id=\"close\" href=\"{}\">Close</a></div>",
        resized.address(),
        if options.full { "Beside the tables" } else { "Full window" },
        closed.address()
    );
}

/// Returns the address of the plotted numbers at another route, escaped for an attribute.
fn history_address(route: &str, options: &Options, more: &[(&str, &str)]) -> String {
    let paths = options.plots.iter().map(|path| ("path", path.as_str()));
    let times = [("from", options.from.as_str()), ("to", &options.to)].into_iter().filter(|(_, time)| !time.is_empty());
    let stack = options.stacked.then_some(("stack", "1"));
    let pairs: Vec<_> = more
        .iter()
        .copied()
        .chain(stack)
        .chain(times)
        .chain(paths)
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    format!("{route}?{}", pairs.join("&amp;"))
}

/// Returns the relative address that plots a column besides what is chosen, instead of other numbers.
pub fn plotting(page: &Page, summary: &Summary, options: &Options, column: &str, now: i64) -> String {
    let (sections, bars, lines) = (&summary.sections, &Bars::new(), &Lines::new());
    let view = html::View {
        page,
        sections,
        own: &Own::default(),
        bars,
        lines,
        past: &BTreeMap::new(),
        problem: None,
        notice: None,
        backend: "",
        root: "",
        options,
        troubles: None,
        now,
    };
    let plots = html::column(&view, column);
    let address = Options { plots, ..options.clone() }.address().replace("&amp;", "&");
    // An address that is only `?` would be the one that was asked for.
    if address == "?" { "./".into() } else { address }
}

/// Returns what changes, for the refresh: the links to the systems, which stand in the bar, and the tables.
pub fn tables(view: &View) -> String {
    systems(view) + &body(view)
}

/// Returns what stands below the bar.
fn body(view: &View) -> String {
    let View { page, summary, own, backend, options, now, .. } = *view;
    let line = view.line.as_ref().map(|line| line.html(ICON)).unwrap_or_default() + &parts(view);
    let elsewhere = view.elsewhere.html(view.place.root(), options);
    if let Some(happened) = &view.happened {
        return line + &happened.html() + &elsewhere;
    }
    if view.is_help {
        return line + &elsewhere + &help::html(view.pages, view.others, view.place.root());
    }
    let problem = summary.problem.as_deref();
    let notice = summary.ahead.notice();
    let (sections, notice) = (&summary.sections, notice.as_deref());
    let (bars, lines, troubles, root) = (view.bars, view.lines, view.troubles, view.place.root());
    line + &html::tables(&html::View {
        page,
        sections,
        own,
        bars,
        lines,
        past: view.past,
        problem,
        notice,
        backend,
        root,
        options,
        troubles,
        now,
    }) + &elsewhere
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let options = Options {
            plots: vec!["grids.a&b.jobs.all.idle".into(), "\"<'".into()],
            from: "-6h".into(),
            to: "12:30_20240601".into(),
            full: true,
            stacked: true,
            of: "a grid/cloud/c".into(),
            by: "site".into(),
            show: "idle".into(),
            all: true,
            hidden: vec!["a grid+".into()],
            open: vec!["a grid/c".into()],
            find: "cc|gpu".into(),
            wrong: true,
            system: "grids".into(),
            kind: "worse".into(),
            going: true,
            longer: "3600".into(),
            sorts: vec!["-clouds:jobs/held".into()],
            rows: vec!["queues:400".into()],
            compact: true,
            theme: "dark",
        };
        let address = options.address();
        assert_eq!(
            address,
            "?plot=grids.a%26b.jobs.all.idle&amp;plot=%22%3C%27&amp;from=-6h&amp;to=12%3A30_20240601&amp;full=1&amp;stack=1&amp;of=a%20grid%2Fcloud%2Fc&amp;by=site&amp;show=idle&amp;all=1\
             &amp;hide=a%20grid%2B&amp;open=a%20grid%2Fc&amp;find=cc%7Cgpu&amp;only=wrong&amp;system=grids&amp;kind=worse&amp;going=1&amp;longer=3600&amp;sort=-clouds%3Ajobs%2Fheld&amp;rows=queues%3A400&amp;density=compact&amp;theme=dark"
        );
        let query = address[1..].replace("&amp;", "&");
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(Options::new(&pairs), options);
        assert_eq!(Options::new(&[("theme".into(), "\" onload=\"".into())]), Options::default());
    }

    #[test]
    fn every_range_is_a_time() {
        for (label, from, to) in LAST.iter().chain(&DAYS).chain(&PREVIOUS) {
            let time = |text| graphite_time::parse(text, 1_717_245_000).unwrap();
            assert!(time(from) < time(to), "{label}");
        }
    }

    proptest! {
        #[test]
        fn no_text_from_outside_is_html(text in ".{0,40}") {
            prop_assert!(!escaped(&text).contains(['<', '>', '"', '\'']));
            prop_assert!(encoded(&text).bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte)));
        }
    }
}
