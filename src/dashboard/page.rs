//! The page as HTML. It is whole without a script; the script refreshes its tables and draws its plots. Pure.

use std::fmt::Write as _;

use super::{Config, Summary};

/// A file that the page needs.
pub struct Asset {
    /// Its name below `static/`.
    pub name: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

/// All of them.
pub static ASSETS: [Asset; 0] = [];

/// What a person has chosen to see; all of it is in the page's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The numbers that are plotted, by path.
    pub plots: Vec<String>,
    /// The range of the plot, in Graphite's words; empty for the default.
    pub from: String,
    /// Its end.
    pub to: String,
    /// Whether clouds and schedds that have been silent for over an hour are shown too.
    pub all: bool,
    /// Grids that are not shown.
    pub hidden: Vec<String>,
}

impl Options {
    /// Reads them from a query; what is not understood is passed over.
    pub fn new(pairs: &[(String, String)]) -> Self {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "plot" => options.plots.push(value.clone()),
                "from" => options.from = value.clone(),
                "to" => options.to = value.clone(),
                "all" => options.all = value == "1",
                "hide" => options.hidden.push(value.clone()),
                _ => {}
            }
        }
        options
    }
}

/// What the page is made of.
pub struct View<'a> {
    /// Title and refresh.
    pub config: &'a Config,
    /// The grids.
    pub summary: &'a Summary,
    /// Where they come from, in words.
    pub backend: &'a str,
    /// What is chosen.
    pub options: &'a Options,
    /// The clock, in unix seconds.
    pub now: i64,
}

/// The whole page.
pub fn whole(view: &View) -> String {
    format!("<!doctype html><html lang=\"en\"><title>{}</title>{}</html>", escaped(&view.config.title), tables(view))
}

/// Its tables alone.
pub fn tables(view: &View) -> String {
    let mut html = String::new();
    for grid in &view.summary.grids {
        let _ = write!(html, "<pre>{}</pre>", escaped(&grid.text(view.now, view.options.all)));
    }
    html
}

/// Text from outside, fit for HTML: as text and as the value of an attribute in quotes.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
