//! Gives the dashboard any query, and any numbers with any names at any times. Its pages and plots must be well-formed,
//! and no name may become markup.

#![no_main]

use std::borrow::Cow;
use std::collections::BTreeMap;

use gridmon::dashboard::page::{self, Elsewhere, Options, View};
use gridmon::dashboard::{Place, Summary};
use gridmon::model::{Point, Value, graphite_time};
use gridmon::monitors::grid::MEASUREMENTS;
use gridmon::monitors::grid::page::GRIDS;
use gridmon::query::{Latest, Values, Wanted};
use gridmon::setup::{CATALOG, Config};
use gridmon::view::bar::{Bars, Lines};
use gridmon::view::history::History;
use gridmon::view::html::Own;
use gridmon::view::plot::{self, PlotStyle};
use gridmon::view::{table, text};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// The input from outside.
#[derive(Arbitrary, Debug)]
struct Outside<'a> {
    query: Vec<(u8, &'a str)>,
    now: u32,
    /// Values: measurement, field, tags, time and value.
    latest: Vec<(u8, u8, Vec<&'a str>, i64, Result<i64, f64>)>,
    /// Series as a store returns them.
    series: Vec<(u8, &'a str, Vec<(i64, f64)>)>,
    from: i32,
    span: u32,
    step: u16,
    points: u16,
    problem: Option<&'a str>,
}

const NAMES: [&str; 9] = ["plot", "from", "to", "all", "hide", "density", "theme", "width", "height"];

fuzz_target!(|outside: Outside| {
    let name = |at: &u8| NAMES[usize::from(*at) % NAMES.len()].to_string();
    let pairs: Vec<_> = outside.query.iter().map(|(at, value)| (name(at), value.to_string())).collect();
    let now = i64::from(outside.now);
    for (_, text) in &outside.query {
        if let Ok(time) = graphite_time::parse(text, now) {
            assert!(jiff::Timestamp::from_second(time).is_ok(), "{text:?} is {time}");
        }
        if let Ok(wanted) = Wanted::new(text, CATALOG) {
            assert!(!text.contains(|c: char| "*?{}[](),\"'<>&".contains(c)), "{:?}", wanted.path);
        }
    }
    shown(&outside, &pairs, now);
    drawn(&outside, &pairs);
});

/// Checks the page.
fn shown(outside: &Outside, pairs: &[(String, String)], now: i64) {
    let latest = outside.latest.iter().map(|(measurement, field, tags, time, value)| {
        let measurement = MEASUREMENTS[usize::from(*measurement) % MEASUREMENTS.len()];
        let names = measurement.tags.iter().map(|tag| Cow::Borrowed(tag.name));
        let series = Point::new(measurement.name.into(), names.zip(tags.iter().copied()), [], 0);
        let field = &measurement.fields[usize::from(*field) % measurement.fields.len()];
        Latest {
            series: series.into(),
            field,
            time: *time,
            value: value.map_or_else(Value::Float, Value::Int),
            every: outside.step.into(),
        }
    });
    let mut summary = Summary::default();
    summary.sections = table::sections(&GRIDS, latest.collect());
    summary.problem = outside.problem.map(String::from);
    for grid in &summary.sections {
        assert!(!text::section(&GRIDS, grid, now, true).contains(|c: char| c.is_control() && c != '\n'));
        text::section(&GRIDS, grid, now, false);
    }
    let (config, _) = Config::parse("", "config.cfg").expect("an empty config is one");
    let view = View {
        config: &config.dashboard,
        page: &GRIDS,
        place: Place::Root,
        pages: &[GRIDS],
        others: &[],
        elsewhere: &Elsewhere::default(),
        summary: &summary,
        own: &Own::default(),
        bars: &Bars::new(),
        lines: &Lines::new(),
        past: &BTreeMap::new(),
        backend: "the store",
        options: &Options::new(pairs),
        now,
        line: None,
        troubles: None,
        is_help: false,
        happened: None,
    };
    let html = page::whole(&view);
    well_formed(&html);
    let nothing = View { summary: &Summary::default(), options: &Options::default(), ..view };
    assert_eq!(html.matches("<script").count(), page::whole(&nothing).matches("<script").count());
}

/// Checks the plot.
fn drawn(outside: &Outside, pairs: &[(String, String)]) {
    let series = outside.series.iter().map(|(measurement, path, values)| {
        let measurement = MEASUREMENTS[usize::from(*measurement) % MEASUREMENTS.len()];
        let mut values = values.clone();
        values.sort_by_key(|(time, _)| *time);
        values.dedup_by_key(|(time, _)| *time);
        Values {
            path: path.to_string(),
            field: &measurement.fields[0],
            step: outside.step.into(),
            values,
            parts: Vec::new(),
            newest: None,
        }
    });
    let from = i64::from(outside.from);
    let to = from + i64::from(outside.span) + 1;
    let points = usize::from(outside.points) + 2;
    let history = History::new(from, to, points, series.collect());
    assert!(history.times.is_sorted_by(|a, b| a < b));
    for series in &history.series {
        assert_eq!(series.values.len(), history.times.len());
    }
    history.table('\t');
    let Ok(style) = PlotStyle::new(pairs) else { return };
    let svg = plot::svg(&history, &style);
    for broken in ["NaN", "inf"] {
        assert!(!svg.split('>').any(|tag| tag.contains(&format!("=\"{broken}"))), "{svg}");
    }
    well_formed(&svg);
}

/// Checks that every element and attribute is ours, and that text contains no markup.
fn well_formed(markup: &str) {
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let name = rest.trim_start_matches(['/', '!']);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        assert!(TAGS.contains(&&name[..end]), "<{}", &name[..name.len().min(60)]);
        rest = &name[end..];
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('>') {
                rest = after;
                break;
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != ':').unwrap_or(rest.len());
            let attribute = &rest[..end];
            assert!(!attribute.is_empty() && !attribute.starts_with("on"), "{attribute:?} before {rest:.60}");
            rest = &rest[end..];
            if let Some(value) = rest.strip_prefix("=\"") {
                let end = value.find('"').expect("a value ends");
                assert!(!value[..end].contains('<'), "{attribute}={:?}", &value[..end]);
                rest = &value[end + 1..];
            }
        }
    }
}

const TAGS: &[&str] = &[
    "a", "b", "body", "button", "caption", "desc", "details", "div", "doctype", "form", "h1", "h2", "head", "header",
    "html", "img", "input", "label", "li", "link", "main", "meta", "nav", "noscript", "option", "p", "path", "pre",
    "rect", "script", "section", "select", "span", "summary", "svg", "table", "tbody", "td", "text", "th", "thead",
    "title", "tr", "ul",
];
