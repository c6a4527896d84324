//! The tables of a page as HTML. They need no script: every number is a link to its plot. Pure.

use std::cell::{OnceCell, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::bar::{Bars, Lines, SmallLine};
use super::page::{self, Drawn, Kind, Page, Placement};
use super::scatter;
use super::selection::{
    Counts, MAX_FIND, MAX_SORTS, Selection, Trouble, Troubles, column_meaning, column_name, near, table_of,
};
use super::table::{Cell, Column, Health, Number, Part, Row, Section, SubRow, Table};
use super::text::length;
use crate::model::{Measurement, Value, utc};
use crate::query::ANY;
use crate::text::{Shows, ago, count, one_line, spaced};

mod drawn;
mod folded;
mod named;
mod overview;
mod part;
mod phone;
mod unfolded;

use self::folded::{Place, all_rows, places};
use self::named::{address_of, page_of_a_name};
use self::overview::overview;
use self::unfolded::is_pair;

/// The most rows that an address unfolds.
const MAX_OPEN: usize = 200;

/// The most bytes of an address that names the numbers of a column: proxies take about 8000.
const LONGEST_ADDRESS: usize = 7000;

/// The most series that are plotted at once, and that a question may name.
pub const MAX_PLOTS: usize = 100;

/// The choices of a reader; all of them are in the page's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The Carbon paths of the plotted numbers.
    pub plots: Vec<String>,
    /// The start of the plot's range, as Graphite writes it (`-6h`); empty for the default.
    pub from: String,
    /// The end of the plot's range; empty for now.
    pub to: String,
    /// Whether the plot fills the window.
    pub full: bool,
    /// Whether the lines of a unit stand on one another.
    pub stacked: bool,
    /// The name whose own page is shown, as `SECTION/TAG/NAME`; empty for the tables.
    pub of: String,
    /// The tag by which the overview is stacked; empty for the first one.
    pub by: String,
    /// What the overview shows; empty for the first choice.
    pub show: String,
    /// Whether rows that have been silent for too long are shown too.
    pub all: bool,
    /// The names of hidden sections.
    pub hidden: Vec<String>,
    /// The rows whose parts are shown, each as `SECTION/ROW`; with `*`, all but these.
    pub open: Vec<String>,
    /// The text that names must have, several with `|` between them; empty for all names.
    pub find: String,
    /// Whether only rows are shown in which something is wrong.
    pub wrong: bool,
    /// Of which system events are shown; empty for all.
    pub system: String,
    /// Of which severity events are shown, by its word; empty for all.
    pub kind: String,
    /// Whether only events are shown that are not over.
    pub going: bool,
    /// How many seconds events last at least; empty for any time.
    pub longer: String,
    /// The columns by which tables are sorted, each with its table: `clouds:jobs/held`, with `-` before it the other way round.
    pub sorts: Vec<String>,
    /// How many lines of long tables are shown, each with its table: `queues:400`, `queues:all`.
    pub rows: Vec<String>,
    /// Whether the rows are close together.
    pub compact: bool,
    /// `light`, `dark`, or empty for the preference of the browser.
    pub theme: &'static str,
}

impl Options {
    /// Reads a query; unknown names and values are ignored.
    pub fn new(pairs: &[(String, String)]) -> Self {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "plot" if options.plots.len() < MAX_PLOTS && !options.plots.contains(value) => {
                    options.plots.push(value.clone());
                }
                "from" => options.from = value.clone(),
                "to" => options.to = value.clone(),
                "full" => options.full = value == "1",
                "stack" => options.stacked = value == "1",
                "of" => options.of = value.clone(),
                "by" => options.by = value.clone(),
                "show" => options.show = value.clone(),
                "all" => options.all = value == "1",
                "hide" if !options.hidden.contains(value) => options.hidden.push(value.clone()),
                "open" => options.toggle(value),
                "find" => options.find = value[..value.floor_char_boundary(MAX_FIND)].into(),
                "only" => options.wrong = value == "wrong",
                "system" => options.system = value.clone(),
                "kind" => options.kind = value.clone(),
                "going" => options.going = value == "1",
                "longer" => options.longer = value.clone(),
                "sort" => choose(&mut options.sorts, value),
                "rows" => choose(&mut options.rows, value),
                "density" => options.compact = value == "compact",
                "theme" => options.theme = ["light", "dark"].into_iter().find(|theme| theme == value).unwrap_or(""),
                _ => {}
            }
        }
        options
    }

    /// Unfolds a row, or folds it if it is unfolded; `*` is for all rows.
    fn toggle(&mut self, row: &str) {
        let is_known = self.open.iter().any(|known| known == row);
        match row {
            "*" if is_known => self.open.clear(),
            "*" => self.open = vec!["*".into()],
            _ if is_known => self.open.retain(|known| known != row),
            _ if self.open.len() < MAX_OPEN => self.open.push(row.into()),
            _ => {}
        }
    }

    /// Whether the parts of a row are shown.
    pub fn is_open(&self, row: &str) -> bool {
        let has = |word: &str| self.open.iter().any(|known| known == word);
        has("*") != has(row)
    }

    /// Returns of whom a page of a name is: the section as the address has it, the tag, and its value.
    pub fn named(&self) -> Option<(&str, &str, &str)> {
        let mut parts = self.of.splitn(3, '/');
        Some((parts.next()?, parts.next()?, parts.next()?))
    }

    /// Returns the names and values of the address, in the order in which the script writes them.
    pub fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs: Vec<_> = self.plots.iter().map(|path| ("plot", path.as_str())).collect();
        pairs.extend([("from", self.from.as_str()), ("to", &self.to)].into_iter().filter(|(_, time)| !time.is_empty()));
        pairs.extend(self.full.then_some(("full", "1")));
        pairs.extend(self.stacked.then_some(("stack", "1")));
        let words = [("of", &self.of), ("by", &self.by), ("show", &self.show)];
        pairs.extend(words.into_iter().map(|(name, word)| (name, word.as_str())).filter(|(_, word)| !word.is_empty()));
        pairs.extend(self.all.then_some(("all", "1")));
        pairs.extend(self.hidden.iter().map(|section| ("hide", section.as_str())));
        pairs.extend(self.open.iter().map(|row| ("open", row.as_str())));
        pairs.extend((!self.find.is_empty()).then_some(("find", self.find.as_str())));
        pairs.extend(self.wrong.then_some(("only", "wrong")));
        let events = [("system", &self.system), ("kind", &self.kind)];
        pairs.extend(events.into_iter().map(|(name, word)| (name, word.as_str())).filter(|(_, word)| !word.is_empty()));
        pairs.extend(self.going.then_some(("going", "1")));
        pairs.extend((!self.longer.is_empty()).then_some(("longer", self.longer.as_str())));
        pairs.extend(self.sorts.iter().map(|word| ("sort", word.as_str())));
        pairs.extend(self.rows.iter().map(|word| ("rows", word.as_str())));
        pairs.extend(self.compact.then_some(("density", "compact")));
        pairs.extend((!self.theme.is_empty()).then_some(("theme", self.theme)));
        pairs
    }

    /// Returns the page's relative address with these options, escaped for an attribute.
    pub fn address(&self) -> String {
        let pairs: Vec<_> = self.pairs().iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("?{}", pairs.join("&amp;"))
    }

    /// Returns the same options with another range.
    pub fn with_range(&self, from: &str, to: &str) -> Self {
        Self { from: from.into(), to: to.into(), ..self.clone() }
    }
}

/// Takes a choice about a table, such as its order, in the place of an earlier one; a word that names nothing takes it back.
fn choose(words: &mut Vec<String>, word: &str) {
    words.retain(|known| table_of(known) != table_of(word));
    if word.split_once(':').is_some_and(|(_, choice)| !choice.is_empty()) && words.len() < MAX_SORTS {
        words.push(word.into());
    }
}

/// What the page of a name has besides the numbers of the tables.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The measurements.
    pub measurements: Vec<&'static Measurement>,
    /// The name of a page that has all their numbers, for each of them; empty if there is none.
    pub pages: Vec<&'static str>,
    /// Their numbers.
    pub sections: Vec<Section>,
}

/// The input of [`tables`].
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The page.
    pub page: &'a Page,
    /// The sections.
    pub sections: &'a [Section],
    /// What only the page of a name has.
    pub own: &'a Own,
    /// The 24 hours before now of each heartbeat.
    pub bars: &'a Bars,
    /// The same of each number with a small line.
    pub lines: &'a Lines,
    /// What happened in the last day, as HTML, by section.
    pub past: &'a BTreeMap<String, String>,
    /// Why the last read failed; `None` if it succeeded.
    pub problem: Option<&'a str>,
    /// What is strange about the numbers, in a sentence without its full stop.
    pub notice: Option<&'a str>,
    /// The description of the store.
    pub backend: &'a str,
    /// The way from the page to the root of the site: empty, or `../../`.
    pub root: &'a str,
    /// The reader's choices.
    pub options: &'a Options,
    /// The numbers that a rule calls a trouble; `None` if no rule is about this page.
    pub troubles: Option<&'a Troubles>,
    /// The clock, in unix seconds.
    pub now: i64,
}

/// Returns the tables of a page, after a banner if there is a problem and a list of sections if there are several.
pub fn tables(view: &View) -> String {
    let mut html = String::with_capacity(1 << 16);
    let backend = escaped(view.backend);
    if let Some(problem) = view.problem {
        let last = if view.sections.is_empty() { "" } else { "; these are the last numbers that it gave" };
        let _ = writeln!(
            html,
            "<p class=\"banner\" role=\"alert\" data-key=\"banner\"><b>No answer from {backend}</b>: {}{last}.</p>",
            escaped(problem)
        );
    } else if view.sections.is_empty() {
        let _ = match view.page.program {
            "" => writeln!(
                html,
                "<section class=\"empty\" data-key=\"empty\"><h2>No numbers yet</h2><p>There is nothing of {} in \
                 {backend}.</p></section>",
                escaped(view.page.name)
            ),
            program => writeln!(
                html,
                "<section class=\"empty\" data-key=\"empty\"><h2>No numbers yet</h2><p>There is nothing in {backend}. This \
                 collects the first ones:</p><pre>{program} --verbose</pre><p>Then let {}; the page \
                 shows them by itself. If it runs already: does it read the same config as this server?</p></section>",
                match view.page.every {
                    // What is so fast is a service.
                    ..60 => "systemd run it".into(),
                    60 => "cron run it every minute".into(),
                    every => format!("cron run it every {}", ago(every)),
                }
            ),
        };
    }
    if let Some(notice) = view.notice {
        let _ = writeln!(html, "<p class=\"banner\" role=\"status\" data-key=\"notice\">{}</p>", escaped(notice));
    }
    if !view.options.of.is_empty() && page_of_a_name(&mut html, view) {
        return html;
    }
    let sections: Vec<_> = view.sections.iter().map(|section| SectionView::new(view, section)).collect();
    if sections.len() > 1 || sections.iter().any(SectionView::is_hidden) {
        let _ = writeln!(
            html,
            "<nav aria-label=\"{}\" data-key=\"{}\"><ul class=\"beats\">",
            view.page.title, view.page.name
        );
        for section in &sections {
            section.listed(&mut html);
        }
        html.push_str("</ul></nav>\n");
    }
    let shown: Vec<_> = sections.iter().filter(|section| !section.is_hidden()).collect();
    if view.options.find.is_empty() && !view.options.wrong {
        overview(&mut html, view);
    }
    let is_search = shown.iter().any(|section| section.selection.is_search());
    if is_search && !shown.is_empty() && !shown.iter().any(|section| section.has_rows()) {
        nothing_found(&mut html, view);
        return html;
    }
    for section in shown.iter().filter(|section| !is_search || section.has_rows()) {
        section.html(&mut html);
    }
    html
}

/// Returns the numbers of a column that an address names as `SECTION/TABLE:GROUP/HEAD`; none if there is no such column.
pub fn column(view: &View, name: &str) -> Vec<String> {
    let of = |section: &Section| {
        let name = name.strip_prefix(section.name.as_str())?.strip_prefix('/')?;
        SectionView::new(view, section).column(name)
    };
    view.sections.iter().find_map(of).unwrap_or_default()
}

/// Says that no name has what is looked for, and which are near to it.
fn nothing_found(html: &mut String, view: &View) {
    let find = &view.options.find;
    let tables = view.sections.iter().flat_map(|section| section.tables(view.page, view.options.all));
    let tables: Vec<_> = tables.collect();
    let rows = || tables.iter().flat_map(|table| &table.rows);
    let parts = rows().flat_map(|row| row.sub_rows.iter().flat_map(|part| part.names.iter().copied()));
    let names = view.sections.iter().map(|section| section.name.as_str()).chain(rows().map(|row| row.name));
    let near = near(find, names.chain(parts));
    let only = if view.options.wrong { " among what is wrong" } else { "" };
    let _ = write!(
        html,
        "<section class=\"empty\" data-key=\"none\" aria-label=\"Nothing found\"><p>No name here has “{}”{only}. {}",
        escaped_line(find),
        choice("find", "", "Clear")
    );
    for (at, name) in near.iter().enumerate() {
        let before = if at == 0 { " · near to it: " } else { ", " };
        let _ = write!(html, "{before}{}", choice("find", name, &escaped_line(name)));
    }
    html.push_str("</p></section>\n");
}

/// Returns a button that makes a choice, with the text `html`; it belongs to the form of what is looked for.
fn choice(name: &str, value: &str, html: &str) -> String {
    format!("<button form=\"look\" name=\"{name}\" value=\"{}\">{html}</button>", escaped(value))
}

impl Health {
    fn class(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Silent | Self::Unknown => "stale",
        }
    }

    /// The shape repeats the class, because not everybody sees its colour.
    fn shape(self) -> &'static str {
        match self {
            Self::Up => "<span class=\"shape\" aria-hidden=\"true\">●</span>",
            Self::Down => "<span class=\"shape\" aria-hidden=\"true\">▼</span>",
            Self::Silent | Self::Unknown => "<span class=\"shape\" aria-hidden=\"true\">○</span>",
        }
    }
}

/// One section with everything needed to render it.
struct SectionView<'a> {
    view: &'a View<'a>,
    section: &'a Section,
    selection: Selection<'a>,
    /// The tables with the rows that are shown, each with the number of all its rows.
    tables: Vec<(Table<'a>, Counts)>,
    /// How all rows are together.
    is: (Health, String),
    /// The end of each link to a plot: the options other than `plot`, escaped.
    tail: String,
    /// How many numbers a path with stars is the sum of, by measurement, field and the places of the stars.
    sums: RefCell<BTreeMap<SumKey, BTreeMap<String, usize>>>,
    /// The numbers of each row that is unfolded, by the tag of the rows, and by name.
    unfolded: OnceCell<BTreeMap<&'static str, BTreeMap<String, Section>>>,
    is_stale: bool,
}

/// A measurement, a field, and the components of its paths that are stars.
type SumKey = (&'static str, String, Vec<usize>);

/// The cells of one line of a table.
struct Line<'t, 'a> {
    table: &'t Table<'a>,
    row: &'t Row<'a>,
    sub_row: &'t SubRow<'a>,
    /// ` rowspan="…"` of the cells that all lines of a row share.
    span: &'t str,
    is_first: bool,
}

impl<'a> Line<'_, 'a> {
    /// Returns whose a number of a column is: the names of the part if it is one's, then that of the row.
    fn names(&self, column: &Column) -> Vec<&'a str> {
        of(if column.outer { &[] } else { &self.sub_row.names }, self.row)
    }
}

impl<'a> SectionView<'a> {
    fn new(view: &'a View<'a>, section: &'a Section) -> Self {
        // A number that is clicked is plotted beside the tables.
        let others = Options { plots: Vec::new(), full: false, ..view.options.clone() }.address();
        let tail = if others == "?" { String::new() } else { format!("&amp;{}", &others[1..]) };
        let is_stale = section.is_stale(view.now);
        let selection =
            Selection::new(view.options, view.troubles).of_section(view.page.section, section.name.as_str());
        let is = (Health::Up, String::new());
        let (sums, unfolded) = (RefCell::default(), OnceCell::new());
        let mut this = Self { view, section, selection, tables: Vec::new(), is, tail, sums, unfolded, is_stale };
        let tables = section.tables(view.page, view.options.all);
        this.is = this.health_of(&tables);
        let is_found = this.selection.finds(&section.name);
        let select = |mut table: Table<'a>| {
            let counts = this.selection.select(&mut table, is_found);
            (table, counts)
        };
        let tables = tables.into_iter().map(select).collect();
        Self { tables, ..this }
    }

    fn trouble(&self, table: &Table, row: &Row) -> Option<Trouble> {
        // What is off by intent needs nobody; where all is old, each row need not say so.
        if table.is_off(row) { None } else { self.selection.of_row(table, row) }
    }

    fn has_rows(&self) -> bool {
        self.tables.iter().any(|(table, _)| !table.rows.is_empty())
    }

    fn is_hidden(&self) -> bool {
        self.view.options.hidden.contains(&self.section.name)
    }

    fn id(&self) -> String {
        format!("grid-{}", encoded(&self.section.name))
    }

    /// Returns the seconds from a time to now; 0 for one in the future.
    fn age(&self, time: i64) -> i64 {
        (self.view.now - time).max(0)
    }

    /// Returns the health that a cell shows; in a stale section a stale cell is silent too.
    fn health(&self, cell: Option<&Cell>) -> Health {
        match cell {
            Some(cell) if self.is_stale && cell.is_stale(self.view.now) => Health::Silent,
            _ => Health::of(cell),
        }
    }

    fn health_text(&self, cell: Option<&Cell>) -> String {
        match (self.health(cell), cell) {
            (Health::Up, _) => "up".into(),
            (Health::Down, _) => "DOWN".into(),
            (Health::Silent, Some(cell)) => self.stale_text(cell.time),
            (Health::Silent | Health::Unknown, _) => "unknown".into(),
        }
    }

    fn stale_text(&self, time: i64) -> String {
        format!("stale for {}", ago(self.age(time)))
    }

    /// Returns how the rows of all tables are together.
    fn health_of(&self, tables: &[Table]) -> (Health, String) {
        let of_table = |table: &Table| -> Vec<Health> {
            let cells = table.rows.iter().flat_map(|row| table.healths(row));
            cells.map(|cell| self.health(cell.as_ref())).collect()
        };
        let healths: Vec<_> = tables.iter().flat_map(of_table).collect();
        let down = healths.iter().filter(|health| **health == Health::Down).count();
        let stale = healths.iter().filter(|health| health.class() == "stale").count();
        let bad = tables.iter().map(|table| self.selection.count(table)).sum::<usize>();
        if self.is_stale {
            (Health::Silent, self.stale_text(self.section.time))
        } else if down + stale + bad > 0 {
            let counts = [(down, "DOWN"), (bad, "bad"), (stale, "stale")].into_iter().filter(|(count, _)| *count > 0);
            let counts: Vec<_> = counts.map(|(count, is)| format!("{count} {is}")).collect();
            (if down + bad > 0 { Health::Down } else { Health::Silent }, counts.join(", "))
        } else if tables.iter().any(Table::has_health) {
            (Health::Up, "all up".into())
        } else {
            (Health::Up, "up to date".into())
        }
    }

    /// Writes the section's entry in the list of sections.
    fn listed(&self, html: &mut String) {
        let name = escaped_line(&self.section.name);
        let (health, text) = &self.is;
        let _ = write!(html, "<li class=\"{}\" data-key=\"{name}\">", health.class());
        let shape = health.shape();
        let _ = if self.is_hidden() {
            let others = self.view.options.hidden.iter().filter(|hidden| **hidden != self.section.name);
            let show = Options { hidden: others.cloned().collect(), ..self.view.options.clone() }.address();
            write!(
                html,
                "<a href=\"{show}\" data-look>{shape} {name} <b>{text}</b> <span class=\"quiet\">hidden, show \
                 it</span></a>"
            )
        } else {
            write!(html, "<a href=\"#{}\">{shape} {name} <b>{text}</b></a>", self.id())
        };
        html.push_str("</li>\n");
    }

    /// Writes the section with its tables.
    fn html(&self, html: &mut String) {
        self.title(html);
        if !self.selection.is_partial() {
            html.push_str(self.view.past.get(&self.section.name).map_or("", String::as_str));
        }
        if self.view.options.wrong && !self.has_rows() {
            let _ = writeln!(
                html,
                "<p class=\"quiet\"><span class=\"shape\" aria-hidden=\"true\">●</span> Nothing is wrong here. {}</p>",
                choice("only", "", "Show all")
            );
        }
        let tables =
            |placement: Placement| self.tables.iter().filter(move |(table, _)| table.declared.placement == placement);
        for (table, _) in tables(Placement::Badges).filter(|(table, _)| !table.rows.is_empty()) {
            self.badges(html, table);
        }
        let is_stacked = tables(Placement::Stacked).next().is_some();
        if is_stacked || tables(Placement::Beside).next().is_some() {
            html.push_str("<div class=\"small\">\n");
            tables(Placement::Beside).for_each(|(table, counts)| self.table(html, table, *counts));
            if is_stacked {
                html.push_str("<div>\n");
                tables(Placement::Stacked).for_each(|(table, counts)| self.table(html, table, *counts));
                html.push_str("</div>");
            }
            html.push_str("</div>\n");
        }
        tables(Placement::Below).for_each(|(table, counts)| self.table(html, table, *counts));
        let left_out = self.tables.iter().map(|(table, _)| table.left_out).sum::<usize>();
        if left_out > 0 {
            let all = Options { all: true, ..self.view.options.clone() }.address();
            let (left_out, gone) = (count(left_out, "name"), length(self.view.page.silence_limit_seconds()));
            let _ = writeln!(
                html,
                "<p class=\"quiet\">{left_out} silent for over {gone} left out. <a href=\"{all}\" data-look>Show \
                 all</a></p>"
            );
        }
        html.push_str("</section>\n");
    }

    fn title(&self, html: &mut String) {
        let Self { section, view, .. } = self;
        let name = escaped_line(&section.name);
        let hidden = view.options.hidden.iter().cloned().chain([section.name.clone()]).collect();
        let hide = Options { hidden, ..view.options.clone() }.address();
        let _ = write!(
            html,
            "<section class=\"grid{}\" id=\"{}\" data-key=\"{name}\" aria-label=\"{name}\">\n<div \
             class=\"title\"><h2>{name}</h2> <p class=\"when\">{}, <span class=\"age\" data-time=\"{}\" \
             data-now=\"{}\">{}</span> ago{}</p> <a class=\"hide\" href=\"{hide}\" data-look>hide<span \
             class=\"unseen\"> {name}</span></a></div>\n",
            if self.is_stale { " stale" } else { "" },
            self.id(),
            utc(section.time),
            section.time,
            view.now,
            ago(self.age(section.time)),
            if self.is_stale { "; <b>all numbers are old</b>" } else { "" },
        );
    }

    /// Writes the health of a table's rows as a list.
    fn badges(&self, html: &mut String, table: &Table) {
        let _ = writeln!(html, "<ul class=\"beats\" aria-label=\"{}\">", table.declared.caption);
        for row in &table.rows {
            let cell = table.worst(row, |cell| self.health(cell)).flatten();
            let health = self.health(cell.as_ref());
            let _ = write!(html, "<li class=\"{}\">", health.class());
            let text =
                format!("{} {} <b>{}</b>", health.shape(), escaped_line(row.name), self.health_text(cell.as_ref()));
            self.link(html, cell.as_ref(), "", &text);
            self.bar(html, cell.as_ref());
            html.push_str("</li>\n");
        }
        html.push_str("</ul>\n");
    }

    /// Returns the buttons of a table that choose its rows.
    fn tools(&self, table: &Table, Counts { all, wrong }: Counts) -> String {
        let is_wrong = self.view.options.wrong;
        if !is_wrong && wrong == 0 && (table.declared.placement != Placement::Below || all < 2) {
            return String::new();
        }
        let button = |value: &str, text: &str| {
            let pressed = is_wrong == (value == "wrong");
            choice("only", value, text).replacen("<button", &format!("<button aria-pressed=\"{pressed}\""), 1)
        };
        format!(
            "<div class=\"tools\" role=\"group\" aria-label=\"Rows of {}\">{}{}</div>",
            escaped(table.declared.caption),
            button("", &format!("all {all}")),
            button("wrong", &format!("only what is wrong {wrong}")) + &self.unfold(table)
        )
    }

    /// Returns the rows with the most of something, if the table is declared to name them: links to the plots.
    fn talkers(&self, table: &Table) -> String {
        let mut html = String::new();
        for (word, fields) in table.declared.talkers {
            let is_of =
                |column: &Column| matches!(column.declared.kind, Kind::Field(_, field) if fields.contains(&field));
            let columns: Vec<_> = (0..table.columns.len()).filter(|at| is_of(&table.columns[*at])).collect();
            let of =
                |row: &Row| columns.iter().filter_map(|at| row.cells[*at].map(|cell| cell.value.as_f64())).sum::<f64>();
            let most = table.rows.iter().max_by(|a, b| of(a).total_cmp(&of(b)).then_with(|| b.name.cmp(a.name)));
            let Some(row) = most.filter(|row| of(row) > 0.0) else { continue };
            let plots = columns.iter().filter_map(|at| row.cells[*at]).map(|cell| cell.path().to_string());
            let options =
                Options { plots: plots.filter(|path| !path.is_empty()).collect(), ..self.view.options.clone() };
            let value = Value::Float((of(row) * 100.0).round() / 100.0);
            let _ = write!(
                html,
                " <a data-plots href=\"{}\">{word} <b>{}</b> {}</a>",
                options.address(),
                short(row.name).map_or_else(|| escaped_line(row.name), String::from),
                columns.first().map_or(String::new(), |at| self.shown(&table.columns[*at], value))
            );
        }
        if html.is_empty() { html } else { format!("<p class=\"talkers\">top talkers:{html}</p>") }
    }

    /// Returns the button that unfolds all rows of a table, if they fold.
    fn unfold(&self, table: &Table) -> String {
        let is_all = self.view.options.open.iter().any(|word| word == "*");
        if table.declared.folded {
            choice("open", "*", if is_all { "fold all" } else { "unfold all" })
        } else {
            String::new()
        }
    }

    /// Writes the last 24 hours of a heartbeat.
    fn bar(&self, html: &mut String, cell: Option<&Cell>) {
        if let Some(bar) = cell.and_then(|cell| self.view.bars.get(cell.path())) {
            html.push_str(&bar.html());
        }
    }

    /// Returns the small line of a column's numbers, of their sum if there are several.
    fn small_line<'n>(&self, column: &Column, cells: impl IntoIterator<Item = &'n Cell<'n>>) -> String {
        if !column.has_line() {
            return String::new();
        }
        let lines: Vec<_> = cells.into_iter().filter_map(|cell| self.view.lines.get(cell.path())).collect();
        SmallLine::html(&lines)
    }

    /// Writes a table, if it has rows.
    fn table(&self, html: &mut String, table: &Table, counts: Counts) {
        if table.rows.is_empty() {
            return;
        }
        let _ = write!(
            html,
            "{5}<div class=\"box {0}\" data-key=\"{0}\">{3}{4}<table><caption>{1}<span class=\"unseen\"> of {2}</span></caption>",
            table.declared.name,
            escaped(table.declared.caption),
            escaped_line(&self.section.name),
            self.tools(table, counts),
            self.talkers(table),
            self.above(table)
        );
        self.heads(html, table);
        let part = self.part(table);
        let rows = self.shown_rows(table, part);
        if table.declared.folded {
            self.folded(html, table, counts, &rows);
        } else {
            if table.declared.sums {
                self.sums(html, table, counts);
            }
            html.push_str(if table.is_grouped() { "" } else { "<tbody>\n" });
            for (row, lines) in &rows {
                self.row(html, table, row, *lines);
                self.unfolded(html, table, row);
            }
            html.push_str(if table.is_grouped() { "" } else { "</tbody>" });
        }
        self.more(html, table, part);
        html.push_str("</table></div>\n");
    }

    /// Writes the heads of a table, those of groups above them.
    fn heads(&self, html: &mut String, table: &Table) {
        html.push_str("<thead>");
        let places = places(table);
        if places.iter().any(|place| !place.column.declared.group.is_empty()) {
            html.push_str("<tr>");
            let mut columns = places.iter().map(|place| place.column.declared.group).peekable();
            while let Some(group) = columns.next() {
                let mut span = 1;
                while columns.next_if_eq(&group).is_some() {
                    span += 1;
                }
                let _ = match group {
                    "" => write!(html, "<td colspan=\"{span}\"></td>"),
                    group => write!(html, "<th scope=\"colgroup\" colspan=\"{span}\">{}</th>", escaped_line(group)),
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("<tr>");
        for Place { column, head, .. } in &places {
            let is_number =
                !matches!(column.declared.kind, Kind::Key(_) | Kind::Label(..) | Kind::Health(..) | Kind::Switch(..))
                    && column.declared.judged.is_none();
            let is_right = is_number && column.declared.drawn != Drawn::Shares;
            let class = match (is_right, column.later) {
                (true, false) => " class=\"n\"",
                (true, true) => " class=\"n x\"",
                (false, true) => " class=\"x\"",
                (false, false) => "",
            };
            let group = phone::group(column);
            let title = match column_meaning(column.declared) {
                "" => String::new(),
                meaning => format!(" title=\"{}\"", escaped(meaning)),
            };
            let unit = match column.declared.unit {
                "" => String::new(),
                unit => format!(" <span class=\"quiet\">{}</span>", escaped(unit)),
            };
            let inside = table.inside(column).into_iter().filter(|_| is_pair(column));
            let inside: String =
                inside.map(|(head, _)| format!(" <span class=\"quiet\">/ {}</span>", escaped_line(head))).collect();
            let (sort, order) = self.selection.head(table, column.declared, head);
            let (sorted, mark) = match order {
                Some(Ordering::Less) => (" aria-sort=\"ascending\"", " <span aria-hidden=\"true\">▴</span>"),
                Some(_) => (" aria-sort=\"descending\"", " <span aria-hidden=\"true\">▾</span>"),
                None => ("", ""),
            };
            let plot = if is_number { self.column_button(table, column, head) } else { String::new() };
            let button = choice("sort", &sort, &escaped_line(head));
            let _ =
                write!(html, "<th scope=\"col\"{class}{sorted}{title}>{group}{button}{inside}{mark}{unit}{plot}</th>");
        }
        html.push_str("</tr></thead>\n");
    }

    /// Returns the button that plots a column.
    fn column_button(&self, table: &Table, column: &Column, head: &str) -> String {
        let value = format!("{}/{}", self.section.name, column_name(table, column.declared, head));
        let of = if column.declared.group.is_empty() { "" } else { " of " };
        let name = format!("plot the column {}{of}{}", escaped_line(head), escaped_line(column.declared.group));
        choice("column", &value, "∿").replacen("<button", &format!("<button class=\"plot\" aria-label=\"{name}\""), 1)
    }

    /// Returns the numbers of a column in the order of the rows, by the name that an address has for it.
    fn column(&self, name: &str) -> Option<Vec<String>> {
        self.tables.iter().find_map(|(table, _)| {
            let places = places(table);
            let place = places.iter().find(|place| column_name(table, place.column.declared, place.head) == name)?;
            let paths = table.rows.iter().flat_map(|row| place.cells(row)).map(|cell| cell.path().to_string());
            let mut left = LONGEST_ADDRESS;
            let fits = |path: &String| {
                left = left.saturating_sub("&plot=".len() + encoded(path).len());
                left > 0
            };
            Some(paths.filter(|path| !path.is_empty()).take(MAX_PLOTS).take_while(fits).collect())
        })
    }

    /// Returns a name as a link to its page.
    fn name_link(&self, table: &Table, name: &str) -> String {
        let is_key = |column: &&page::Column| matches!(column.kind, Kind::Key(_));
        match table.declared.columns.iter().find(is_key) {
            Some(column) if name != table.declared.sum_row => self.key_link(column, name),
            _ => escaped_line(name),
        }
    }

    /// Returns a name of a column as a link to its page, if it has one.
    fn key_link(&self, column: &page::Column, name: &str) -> String {
        let Kind::Key(tag) = column.kind else { return escaped_line(name) };
        let address = match column.leads {
            _ if !column.linked => return escaped_line(name),
            None => address_of(self.view, &self.section.name, tag, name),
            Some((page, section, tag)) => {
                let word = name.split(' ').next().unwrap_or_default();
                let way = if page == self.view.page.name {
                    String::new()
                } else {
                    format!("{}pages/{page}/", self.view.root)
                };
                way + &address_of(self.view, section, tag, word)
            }
        };
        match short(name).filter(|_| column.is_short) {
            Some(short) => {
                let name = escaped_line(name);
                format!("<a class=\"name\" href=\"{address}\" title=\"{name}\" aria-label=\"{name}\">{short}</a>")
            }
            None => format!("<a class=\"name\" href=\"{address}\">{}</a>", escaped_line(name)),
        }
    }

    /// Returns two fields of a table's rows against each other, if it is declared, and what is said of the table.
    fn above(&self, table: &Table) -> String {
        let mut html = self.legend(table);
        if let Some(declared) = table.declared.scatter {
            let at = |field: &str| {
                table
                    .columns
                    .iter()
                    .position(|column| matches!(column.declared.kind, Kind::Field(_, own) if own == field))
            };
            let dots = match (at(declared.x.0), at(declared.y.0)) {
                (Some(x), Some(y)) => table.rows.iter().filter_map(move |row| {
                    let number = |at: usize| row.cells[at].map(|cell| cell.value.as_f64());
                    Some(scatter::Dot { name: row.name, x: number(x)?, y: number(y)? })
                }),
                _ => return html,
            };
            html = scatter::html(&dots.collect::<Vec<_>>(), (declared.x.1, declared.y.1, declared.noun));
        }
        let (summary, text) = table.declared.note;
        if !summary.is_empty() {
            let _ = write!(
                html,
                "<details class=\"note\" data-key=\"note\"><summary>{}</summary><p>{}</p></details>",
                escaped(summary),
                escaped(text)
            );
        }
        html
    }

    /// Returns the class of a row, and the shape before its name.
    fn row_look(&self, table: &Table, row: &Row) -> (String, String) {
        let is_sum = !table.declared.sum_row.is_empty() && row.name == table.declared.sum_row;
        let trouble = self.trouble(table, row).map(Trouble::look);
        let class = match (table.is_off(row), is_sum, trouble) {
            (true, ..) => " class=\"disabled\"".into(),
            (_, true, _) => " class=\"sum\"".into(),
            (.., Some((class, ..))) => format!(" class=\"is-{class}\""),
            _ => String::new(),
        };
        (class, self::shape(trouble.filter(|_| !is_sum)))
    }

    /// Writes the first lines of a row.
    fn row(&self, html: &mut String, table: &Table, row: &Row, lines: usize) {
        let (class, shape) = self.row_look(table, row);
        let (name, link) = (escaped_line(row.name), self.name_link(table, row.name));
        let span = if lines > 1 { format!(" rowspan=\"{lines}\"") } else { String::new() };
        let _ = match table.is_grouped() {
            true => write!(
                html,
                "<tbody data-key=\"{name}\"{class}><tr{}><th scope=\"rowgroup\"{span}>{shape}{link}</th>",
                row.sub_rows.first().map_or(String::new(), line_key)
            ),
            false => {
                let mark = self.unfold_mark(table, row);
                write!(html, "<tr{class} data-key=\"{name}\"><th scope=\"row\">{shape}{mark}{link}</th>")
            }
        };
        for (at, sub_row) in row.sub_rows.iter().take(lines).enumerate() {
            if at > 0 {
                let _ = write!(html, "<tr{}>", line_key(sub_row));
            }
            self.line(html, &Line { table, row, sub_row, span: &span, is_first: at == 0 });
            html.push_str("</tr>\n");
        }
        if table.is_grouped() {
            html.push_str("</tbody>\n");
        } else if self.is_open_on_phone(table, row) {
            self.pairs(html, table, row);
        }
    }

    /// Writes the cells of one line after the row's name.
    fn line(&self, html: &mut String, line: &Line) {
        for (at, column) in line.table.shown() {
            if column.outer && !line.is_first {
                continue;
            }
            let (cell, span) =
                if column.outer { (line.row.cells[at], line.span) } else { (line.sub_row.cells[at], "") };
            let cell = cell.as_ref();
            match column.declared.kind {
                Kind::Key(_) if column.outer => {}
                Kind::Key(tag) => {
                    let name = line.table.declared.sub_row_name(&line.sub_row.names, tag);
                    let link = name.map_or("–".into(), |name| self.key_link(column.declared, name));
                    // The first name of a part says that it is this part that is in trouble.
                    let is_first = line.table.declared.keys().nth(1) == Some(tag) && !line.table.is_off(line.row);
                    let trouble =
                        is_first.then(|| self.selection.of_part(line.table, line.row, line.sub_row)).flatten();
                    let _ = write!(html, "<td class=\"name\">{}{link}</td>", shape(trouble.map(Trouble::look)));
                }
                Kind::Label(..) => {
                    let (label, x) = (line.row.labels[at], phone::and_x(column));
                    let _ = match short(label).filter(|_| column.declared.is_short) {
                        Some(short) => {
                            write!(html, "<td class=\"name{x}\"{span} title=\"{label}\">{short}</td>")
                        }
                        None => write!(html, "<td class=\"name{x}\"{span}>{}</td>", escaped_line(label)),
                    };
                }
                Kind::Health(..) if cell.is_none() && column.declared.is_presence => {
                    let _ = write!(html, "<td class=\"beat\"{span}><span class=\"zero\">–</span></td>");
                }
                Kind::Health(..) => {
                    let health = self.health(cell);
                    let _ = write!(html, "<td class=\"beat {}\"{span}>", health.class());
                    let names: Vec<_> = line.names(column).into_iter().map(escaped_line).collect();
                    let (text, name) = (self.health_text(cell), names.join(", "));
                    let shown = format!("{} {text}", health.shape());
                    self.exact_link(html, cell, "", &shown, ("", &format!("{name}: {text}")));
                    self.bar(html, cell);
                    html.push_str("</td>");
                }
                _ => {
                    let _ = match column.declared.judged {
                        Some(_) => write!(html, "<td class=\"judged{}\"{span}>", phone::and_x(column)),
                        None => write!(html, "{}{span}>", phone::td(column)),
                    };
                    self.content(html, line, at);
                    html.push_str("</td>");
                }
            }
        }
    }

    /// Writes what a cell of a line has, which is a number: a picture, the number or its word, and what stands behind it.
    fn content(&self, html: &mut String, line: &Line, at: usize) {
        let column = &line.table.columns[at];
        let cells = if column.outer { &line.row.cells } else { &line.sub_row.cells };
        match column.declared.kind {
            Kind::Most(..) | Kind::Mean(..) => self.content_of_parts(html, line, at),
            _ if column.declared.judged.is_some() => {
                self.judged(html, (column, cells[at].as_ref()), &line.names(column));
            }
            _ if column.declared.drawn == Drawn::Lines => self.lines_alone(html, line, at),
            _ if self.is_of_nothing(line.table, column, &line.row.cells) => {
                html.push_str("<span class=\"zero\">–</span>");
            }
            _ => {
                html.push_str(&self.drawn(line.table, (at, column), cells, &[]));
                let names = line.names(column);
                self.cell_content(html, cells[at].as_ref(), column, &names);
                self.beside(html, line.table, column, (cells, &names));
            }
        }
    }

    /// Writes the sums over all rows, a line per name of the sub-rows.
    fn sums(&self, html: &mut String, table: &Table, counts: Counts) {
        let mut by_names = BTreeMap::<&[&str], Vec<&SubRow>>::new();
        for sub_row in table.rows.iter().flat_map(|row| &row.sub_rows) {
            if !table.is_grouped() || !sub_row.names.is_empty() {
                by_names.entry(&sub_row.names).or_default().push(sub_row);
            }
        }
        if table.rows.len() < 2 || by_names.is_empty() {
            return;
        }
        let span = by_names.len();
        let _ = write!(
            html,
            "<tbody class=\"sum\" data-key=\" sum\"><tr><th scope=\"rowgroup\" rowspan=\"{span}\">{}</th>",
            all_rows(table, counts)
        );
        for (line, (names, sub_row)) in by_names.iter().enumerate() {
            if line > 0 {
                html.push_str("<tr>");
            }
            let (mut without, mut is_later) = (0, false);
            for (at, column) in table.shown().filter(|(_, column)| line == 0 || !column.outer) {
                let has_none = !column.declared.summed
                    || column.declared.judged.is_some()
                    || matches!(column.declared.kind, Kind::Label(..) | Kind::Health(..));
                if without > 0 && (!has_none || column.later != is_later) {
                    empty_cell(html, span, std::mem::take(&mut without), is_later);
                }
                let _ = match column.declared.kind {
                    Kind::Key(_) if column.outer => Ok(()),
                    Kind::Key(tag) => write!(html, "<td class=\"name\">{}</td>", name_of(table, names, tag)),
                    _ if has_none => {
                        without += 1;
                        is_later = column.later;
                        Ok(())
                    }
                    _ if column.outer => {
                        let sum = self.sum(column, table.rows.iter().filter_map(|row| row.cells[at].as_ref()));
                        let yes = if matches!(column.declared.kind, Kind::Switch(..)) { " yes" } else { "" };
                        let beside = self.sums_beside(table, column);
                        write!(html, "{} rowspan=\"{span}\">{sum}{yes}{beside}</td>", phone::td(column))
                    }
                    _ => {
                        let sum = self.sum(column, sub_row.iter().filter_map(|sub_row| sub_row.cells[at].as_ref()));
                        write!(html, "{}>{sum}</td>", phone::td(column))
                    }
                };
            }
            if without > 0 {
                empty_cell(html, span, without, is_later);
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n");
    }

    /// Returns the sum of a column as HTML, marked as old if one of its numbers is; a link to its plot if it has one.
    fn sum<'n>(&self, column: &Column, cells: impl Iterator<Item = &'n Cell<'n>>) -> String {
        let cells: Vec<_> = cells.collect();
        let text = self.sum_text(column, &cells);
        let Some(path) = self.sum_path(column, &cells) else { return text };
        let is_on = self.view.options.plots.contains(&path);
        let on = if is_on { " aria-current=\"true\"" } else { "" };
        let zero = if column.declared.is_real() { Value::Float(0.0) } else { Value::Int(0) };
        let exact = exact(column, cells.iter().fold(zero, |sum, cell| sum.plus(cell.value)));
        let title = if exact.is_empty() { exact } else { format!(" title=\"{exact}\"") };
        format!("<a href=\"?plot={}{}\"{title}{on}>{text}</a>", encoded(&path), self.tail)
    }

    /// Returns the path of the sum of several numbers: with a star for each component in which they differ. `None` if they are
    /// not all that the path would name.
    fn sum_path(&self, column: &Column, cells: &[&Cell]) -> Option<String> {
        let measurement = column.declared.measurement()?;
        let (first, others) = cells.split_first()?;
        let first: Vec<_> = first.path().split('.').collect();
        let mut stars = std::collections::BTreeSet::new();
        for other in others {
            let mut same = first.iter().enumerate();
            for component in other.path().split('.') {
                let (at, one) = same.next()?;
                if *one != component {
                    stars.insert(at);
                }
            }
            if same.next().is_some() {
                return None;
            }
        }
        if stars.is_empty() {
            return None;
        }
        let masked = |path: &str| {
            let each = path.split('.').enumerate();
            each.map(|(at, one)| if stars.contains(&at) { ANY } else { one }).collect::<Vec<_>>().join(".")
        };
        let of = self.view.page.measurements().iter().position(|one| std::ptr::eq(*one, measurement))?;
        let numbers = self.section.numbers(of);
        let field = cells[0].number()?.field();
        let is_own = |number: &&Number| number.field() == field && !number.is_late(self.section.time);
        let key = (measurement.name, field.to_string(), stars.iter().copied().collect::<Vec<_>>());
        let path = masked(cells[0].path());
        let mut sums = self.sums.borrow_mut();
        let counts = sums.entry(key).or_insert_with(|| {
            let mut counts = BTreeMap::new();
            for number in numbers.iter().filter(is_own) {
                *counts.entry(masked(number.path())).or_default() += 1;
            }
            counts
        });
        let current = cells.iter().filter(|cell| !cell.late).count();
        let number = measurement.read_path(cells[0].path());
        (counts.get(&path) == Some(&current) && number.is_some()).then_some(path)
    }

    fn sum_text(&self, column: &Column, cells: &[&Cell]) -> String {
        let (mut sum, mut is_bad, mut old) = (Value::Int(0), false, self.view.now);
        if column.declared.is_real() {
            sum = Value::Float(0.0);
        }
        for cell in cells {
            sum = sum.plus(cell.value);
            is_bad |= self.selection.of_cell(column, cell).is_some();
            if self.is_old(cell) {
                old = old.min(cell.time);
            }
        }
        let text = self.shown(column, sum);
        let bad = if is_bad { " bad" } else { "" };
        if old < self.view.now {
            let age = ago(self.age(old));
            return format!("<span class=\"old{bad}\" title=\"with numbers that are {age} old\">{text}</span>");
        }
        match (is_bad, sum.is_zero()) {
            (true, _) => format!("<span class=\"bad\">{text}</span>"),
            (_, true) => format!("<span class=\"zero\">{text}</span>"),
            _ => text,
        }
    }

    /// Returns a number as its column shows it.
    fn shown(&self, column: &Column, value: Value) -> String {
        match column.declared.shown() {
            Shows::Age => format!("{} ago", ago(self.age(value.as_f64() as i64))),
            shows => text_of(shows, value),
        }
    }

    fn is_old(&self, cell: &Cell) -> bool {
        (self.is_stale && cell.is_stale(self.view.now)) || cell.is_old()
    }

    /// Writes the content of a cell: the number, yes or no.
    fn cell_content(&self, html: &mut String, cell: Option<&Cell>, column: &Column, of: &[&str]) {
        let Some(number) = cell else { return html.push_str("<span class=\"zero\">–</span>") };
        let text = match (column.declared.kind, number.value) {
            (Kind::Switch(..), Value::Int(0)) => "<b>no</b>".into(),
            (Kind::Switch(..), _) => "yes".into(),
            (_, value) => self.shown(column, value),
        };
        let class = match column.declared.kind {
            Kind::Switch(..) => "",
            _ if self.view.troubles.is_some_and(|troubles| troubles.of_cell(number).is_some()) => self
                .selection
                .of_cell(column, number)
                .map_or("", |trouble| if trouble == Trouble::Bad { "pill bad" } else { "pill worse" }),
            _ if self.selection.of_cell(column, number).is_some() => "bad",
            _ if number.value.is_zero() => "zero",
            _ => "",
        };
        let exact = exact(column, number.value);
        let words: Vec<_> = std::iter::once(column.head).chain(of.iter().copied()).map(escaped_line).collect();
        let name = format!("{}: {}", words.join(", "), text.trim_start_matches("<b>").trim_end_matches("</b>"));
        self.exact_link(html, cell, class, &text, (&exact, &name));
    }

    /// Writes `text`, which is HTML, as a link to the plot of a cell's number, if it has one.
    fn link(&self, html: &mut String, cell: Option<&Cell>, class: &str, text: &str) {
        self.exact_link(html, cell, class, text, ("", ""));
    }

    /// Writes such a link with the exact number as its tooltip, and its whole name for who hears it alone.
    fn exact_link(&self, html: &mut String, cell: Option<&Cell>, class: &str, text: &str, (exact, name): (&str, &str)) {
        let Some(cell) = cell else { return html.push_str(text) };
        let element = if cell.path().is_empty() { "span" } else { "a" };
        let _ = match element {
            "a" => write!(html, "<a href=\"?plot={}{}\"", encoded(cell.path()), self.tail),
            _ => write!(html, "<span"),
        };
        let is_old = self.is_old(cell);
        let old = match (is_old, class) {
            (true, "zero" | "") => "old",
            (true, _) => "old ",
            (false, _) => "",
        };
        let class = if old == "old" { "" } else { class };
        if !old.is_empty() || !class.is_empty() {
            let _ = write!(html, " class=\"{old}{class}\"");
        }
        if is_old {
            let age = ago(self.age(cell.time));
            let _ = write!(html, " title=\"{age} old: of {}\"", utc(cell.time));
        } else if !exact.is_empty() {
            let _ = write!(html, " title=\"{exact}\"");
        }
        if element == "a" && self.view.options.plots.iter().any(|path| path == cell.path()) {
            html.push_str(" aria-current=\"true\"");
        }
        if element == "a" && !name.is_empty() {
            let _ = write!(html, " aria-label=\"{name}\"");
        }
        let _ = write!(html, ">{text}</{element}>");
    }
}

/// Returns the shape of a trouble before a name; it repeats the colour, and a word the shape.
fn shape(trouble: Option<(&str, &str, &str)>) -> String {
    trouble.map_or(String::new(), |(class, shape, word)| {
        format!(
            "<span class=\"shape {class}\" aria-hidden=\"true\">{shape}</span> <span class=\"unseen\">{word}: </span>"
        )
    })
}

/// Returns what is shown of a UUID, with dashes or without, where there is little room; `None` if a name is none.
fn short(name: &str) -> Option<&str> {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let is_uuid = name.len() <= 36
        && name.bytes().all(|byte| is_digit(&byte) || byte == b'-')
        && name.bytes().filter(is_digit).count() == 32;
    is_uuid.then(|| &name[..8])
}

/// Returns a value as it is shown; one that is whole keeps all its digits.
fn text_of(shows: Shows, value: Value) -> String {
    match (shows, value) {
        (Shows::Plain, Value::Int(value)) => spaced(&value.to_string()),
        (shows, value) => shows.text(value.as_f64()),
    }
}

/// Returns the exact number where a column shows it otherwise; empty if it shows it as it is.
fn exact(column: &Column, value: Value) -> String {
    let is_all = value.as_f64().abs() < 1000.0 || value.as_f64().fract() == 0.0;
    match column.declared.shown() {
        Shows::Named(_) => String::new(),
        Shows::Age => Shows::Moment.text(value.as_f64()),
        Shows::Plain if is_all => String::new(),
        _ => number(value),
    }
}

/// Returns a number as people read it.
fn number(value: Value) -> String {
    match value {
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:.2}"),
    }
}

/// Returns the key of a line of a row with several lines, as an attribute.
fn line_key(sub_row: &SubRow) -> String {
    format!(" data-key=\"{}\"", escaped_line(&sub_row.names.join(" · ")))
}

/// Returns whose a number is: the names of the part, then that of the row.
fn of<'n>(parts: &[&'n str], row: &Row<'n>) -> Vec<&'n str> {
    parts.iter().copied().chain([row.name]).collect()
}

/// Writes one empty cell for columns without a sum.
fn empty_cell(html: &mut String, rows: usize, columns: usize, is_later: bool) {
    let class = if is_later { " class=\"x\"" } else { "" };
    let _ = write!(html, "<td{class} rowspan=\"{rows}\" colspan=\"{columns}\"></td>");
}

/// Returns the name of a sub-row by one of its tags.
fn name_of(table: &Table, names: &[&str], tag: &str) -> String {
    table.declared.sub_row_name(names, tag).map_or("–".into(), escaped_line)
}

/// Escapes a name from outside, on one line.
fn escaped_line(name: &str) -> String {
    escaped(&one_line(name))
}

/// Escapes text for HTML, and for the value of a quoted attribute.
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

/// Encodes text as a value in a query, percent-encoding all but `A-Z a-z 0-9 - _ . ~`; safe in a quoted attribute.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
