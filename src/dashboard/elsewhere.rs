//! What is looked for on the other pages: a name is found from every page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::Dashboard;
use super::summary::Summary;
use crate::text::one_line;
use crate::view::html::{Options, escaped};
use crate::view::page::Page;
use crate::view::selection::{Selection, near};

/// How long an answer waits for the numbers of the other pages; those that come later are in the next one.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How many names of a page are listed.
const NAMED: usize = 8;

/// The names of another page.
struct Names {
    /// The page.
    page: Page,
    /// Whether it is the one at the root.
    is_first: bool,
    /// Those that have what is looked for, or that are near to it.
    found: Vec<String>,
}

/// What is looked for, on the other pages.
#[derive(Default)]
pub struct Elsewhere {
    /// The pages with names that have it; with names that are near to it if none has it.
    pages: Vec<Names>,
    is_near: bool,
}

impl Elsewhere {
    /// Looks for names on these pages, each with its numbers.
    pub(super) fn new(options: &Options, pages: &[(Page, bool, Arc<Summary>)]) -> Self {
        let selection = Selection::new(options, None);
        let each =
            pages.iter().map(|(page, is_first, summary)| (page, *is_first, names_of(page, summary, options.all)));
        let each: Vec<_> = each.collect();
        let found = |pick: &dyn Fn(&BTreeSet<String>) -> Vec<String>| -> Vec<Names> {
            let picked = each.iter().map(|(page, is_first, names)| Names {
                page: **page,
                is_first: *is_first,
                found: pick(names),
            });
            picked.filter(|names| !names.found.is_empty()).collect()
        };
        let has = found(&|names| names.iter().filter(|name| selection.finds(name)).cloned().collect());
        if !has.is_empty() {
            return Self { pages: has, is_near: false };
        }
        let near = |names: &BTreeSet<String>| -> Vec<String> {
            near(&options.find, names.iter().map(String::as_str)).into_iter().map(String::from).collect()
        };
        Self { pages: found(&near), is_near: true }
    }

    /// Returns the list of these names, each a link to its page; empty if there are none.
    pub(super) fn html(&self, root: &str, options: &Options) -> String {
        let mut html = String::new();
        if self.pages.is_empty() {
            return html;
        }
        let find = escaped(&one_line(&options.find));
        let heading = match self.is_near {
            true => format!("Near to “{find}” on other pages"),
            false => format!("“{find}” on other pages"),
        };
        let _ = write!(
            html,
            "<section class=\"elsewhere\" data-key=\"elsewhere\" aria-labelledby=\"elsewhere\">\n<h2 \
             id=\"elsewhere\">{heading}</h2>\n<dl class=\"facts\">"
        );
        for Names { page, is_first, found } in &self.pages {
            let way = if *is_first { format!("{root}./") } else { format!("{root}pages/{}/", page.name) };
            let link = |find: &str, text: &str| {
                let asked = Options {
                    find: find.into(),
                    all: options.all,
                    theme: options.theme,
                    compact: options.compact,
                    ..Options::default()
                };
                format!("<a class=\"each\" href=\"{way}{}\">{}</a>", asked.address(), escaped(&one_line(text)))
            };
            let mut names: Vec<_> = found.iter().take(NAMED).map(|name| link(name, name)).collect();
            let more = found.len().saturating_sub(NAMED);
            names.extend((more > 0).then(|| link(&options.find, &format!("{more} more"))));
            let _ = write!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(page.title), names.join(" "));
        }
        html.push_str("</dl></section>\n");
        html
    }
}

/// Returns the names of a page: of its sections, rows, their parts and labels.
fn names_of(page: &Page, summary: &Summary, all: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for section in &summary.sections {
        names.extend((!section.name.is_empty()).then(|| section.name.clone()));
        for table in section.tables(page, all) {
            for row in table.rows.iter().filter(|row| row.name != table.declared.sum_row) {
                let parts = row.sub_rows.iter().flat_map(|part| &part.names);
                let own = std::iter::once(&row.name).chain(parts).chain(&row.labels);
                names.extend(own.filter(|name| !name.is_empty()).map(|name| (*name).to_string()));
            }
        }
    }
    names
}

/// Other pages with their numbers, each with whether it is the one at the root.
pub(super) type Others = Vec<(Page, bool, Arc<Summary>)>;

impl Dashboard {
    /// Returns the numbers of the pages other than `here`, and in words when they were read; none if nothing is looked for.
    pub(super) async fn others_to_search(self: &Arc<Self>, here: Option<&Page>, options: &Options) -> (Others, String) {
        if options.find.trim().is_empty() {
            return Default::default();
        }
        let systems = self.systems();
        let first = systems.first().map(|page| page.name);
        let others = systems.into_iter().filter(|page| here.is_none_or(|here| here.name != page.name));
        // They are read on if this answer does not wait for them.
        let read = others.map(|page| {
            let (this, at) = (self.clone(), self.pages.iter().position(|state| state.page.name == page.name));
            (page, tokio::spawn(async move { Some(this.summary(this.pages.get(at?)?).await) }))
        });
        let read: Vec<_> = read.collect();
        let (until, mut pages, mut when) = (tokio::time::Instant::now() + TIMEOUT, Vec::new(), String::new());
        for (page, summary) in read {
            if let Ok(Ok(Some(summary))) = tokio::time::timeout_at(until, summary).await {
                let _ = write!(when, " {} {:?}", page.name, summary.read_at);
                pages.push((page, first == Some(page.name), summary));
            }
        }
        (pages, when)
    }
}
