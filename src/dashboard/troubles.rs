//! What is wrong and what happened, as HTML: the line above everything, and the list of events. Pure.

use std::fmt::Write as _;

use super::lanes::lanes;
use super::page::{View, carried};
use super::watch::Watched;
use crate::events::{Entry, Event, MOST_VALUES, Now, Severity, System, lasted};
use crate::model::utc;
use crate::view::html::{Options, encoded, escaped};
use crate::view::page::Page;
use crate::view::text::length;

/// How many entries the line has on the first page, three lines of three with the rest, and on the others.
const NAMED: (usize, usize) = (8, 3);

/// How many it has in all, unfolded. Where more are wrong at once, their tables tell more than a list.
const UNFOLDED: usize = 100;

/// How many it has on a phone.
const NARROW: usize = 4;

/// The line above everything.
pub struct Line<'a> {
    /// What is wrong.
    pub(super) watched: &'a Watched,
    /// The systems of the page, whose own troubles come first.
    pub systems: &'a [&'static str],
    /// Where the page stands.
    pub place: Place,
    /// The reader's choices, which links keep.
    pub options: &'a Options,
    /// The title of the site.
    pub title: &'a str,
}

/// Where a page stands, below which its links are relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the root.
    Root,
    /// In `pages/NAME/`.
    Page,
    /// In `events/`.
    Events,
    /// In `help/`.
    Help,
}

impl Place {
    /// Returns where a page stands whose address names one or not.
    pub(super) fn of(is_named: bool, is_help: bool) -> Self {
        match is_named {
            true => Self::Page,
            false if is_help => Self::Help,
            false => Self::Root,
        }
    }

    /// Returns the way from here to the root.
    pub(super) fn root(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Page => "../../",
            Self::Events | Self::Help => "../",
        }
    }

    /// Returns the way from the root to a page that stands here.
    pub(super) fn way(self, page: &Page) -> String {
        match self {
            Self::Root => String::new(),
            Self::Page => format!("pages/{}/", page.name),
            Self::Events => "events/".into(),
            Self::Help => "help/".into(),
        }
    }
}

impl Severity {
    fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Worse => "worse",
            Self::NotCollected | Self::Off | Self::Changed => "quiet",
        }
    }
}

/// Returns a shape with its meaning for those who do not see it.
pub(super) fn shape(severity: Severity) -> String {
    format!(
        "<span class=\"shape\" aria-hidden=\"true\">{}</span><span class=\"unseen\">{}: </span>",
        severity.shape(),
        severity.word()
    )
}

/// Returns the rest of the addresses of other pages: how the reader wants them to look.
fn look(view: &View) -> String {
    let quiet = Options { theme: view.options.theme, compact: view.options.compact, ..Options::default() };
    match quiet.address() {
        none if none == "?" => String::new(),
        some => some,
    }
}

/// Writes a link to a page, with `more` behind its title.
fn link(html: &mut String, view: &View, page: &Page, is_here: bool, more: &str) {
    let (root, look) = (view.place.root(), look(view));
    let first = view.pages.first().is_some_and(|first| first.name == page.name);
    let way = if first { format!("{root}./") } else { format!("{root}pages/{}/", page.name) };
    let current = if is_here { " aria-current=\"page\"" } else { "" };
    let _ = write!(html, "<li><a href=\"{way}{look}\"{current}>{}{more}</a></li>", escaped(page.title));
}

/// Whether a page is one of a system, not that of what happened or the help.
fn is_of_a_system(view: &View) -> bool {
    view.place != Place::Events && view.place != Place::Help
}

/// Returns the links to the systems, each with how many things need somebody there.
pub(super) fn systems(view: &View) -> String {
    let (root, here, look) = (view.place.root(), view.page.system(), look(view));
    let mut html = String::from("<nav class=\"systems\" aria-label=\"Systems\" data-key=\"systems\"><ul>");
    for page in view.pages.iter().filter(|page| page.part_of.is_empty()) {
        let is_of = |name: &str| view.pages.iter().any(|other| other.name == name && other.system() == page.name);
        let entries = view.line.iter().flat_map(|line| &line.watched.now.entries);
        let entries: Vec<_> = entries.filter(|entry| is_of(entry.event.system)).collect();
        let worst = entries.iter().map(|entry| entry.event.severity).min();
        let more = worst.map_or(String::new(), |worst| {
            format!(" <span class=\"{}\">{}{}</span>", worst.class(), shape(worst), entries.len())
        });
        link(&mut html, view, page, is_of_a_system(view) && page.name == here, &more);
    }
    let [events, help] =
        [Place::Events, Place::Help].map(|place| if view.place == place { " aria-current=\"page\"" } else { "" });
    let _ = writeln!(
        html,
        "<li><a href=\"{root}events/{look}\"{events}>What happened</a></li><li><a \
         href=\"{root}help/{look}\"{help}>Help</a></li></ul></nav>"
    );
    html
}

/// Returns the links to the pages of this system, if it has several.
pub(super) fn parts(view: &View) -> String {
    let here = view.page.system();
    let parts: Vec<_> = view.pages.iter().filter(|page| page.system() == here).collect();
    if parts.len() < 2 || !is_of_a_system(view) {
        return String::new();
    }
    let mut html =
        String::from("<nav class=\"systems within\" aria-label=\"Pages of this system\" data-key=\"within\"><ul>");
    for page in parts {
        link(&mut html, view, page, page.name == view.page.name, "");
    }
    html + "</ul></nav>\n"
}

/// Returns the title of the tab: how many things need somebody, what is plotted, the name of the site.
pub(super) fn tab_title(title: &str, watched: Option<&Watched>, plots: &[String]) -> String {
    let count = match watched.map_or(0, |watched| watched.now.entries.len()) {
        0 => String::new(),
        count => format!("({count}) "),
    };
    let plotted = if plots.is_empty() { String::new() } else { format!("{} – ", plots_title(plots)) };
    format!("{count}{plotted}{title}")
}

/// How many names, and how many groups of numbers, a title has.
const TITLED: (usize, usize) = (3, 3);

/// Paths that differ in one word.
struct Alike<'a> {
    /// The words of the first one.
    words: Vec<&'a str>,
    /// Where they differ; `None` for one path alone.
    at: Option<usize>,
    /// Each one's own word; empty for one path alone.
    names: Vec<&'a str>,
}

impl<'a> Alike<'a> {
    /// Takes a path that differs from the others in the same word; whether it does.
    fn takes(&mut self, words: &[&'a str]) -> bool {
        let own = |at: &usize| words[*at] != self.words[*at] && self.at != Some(*at);
        let mut differs = (0..words.len()).filter(|at| self.words.len() == words.len() && own(at));
        let (first, others) = (differs.next(), differs.next());
        let is_alike = self.words.len() == words.len() && others.is_none() && (self.at.is_none() || first.is_none());
        let Some(at) = self.at.or(first).filter(|_| is_alike) else { return false };
        if self.at.is_none() {
            (self.at, self.names) = (Some(at), vec![self.words[at]]);
        }
        self.names.push(words[at]);
        true
    }
}

/// Returns what paths are plotted, as the script says it too: `heprc · jobs · all · idle`, and of several what they have in common
/// and the names of each: `heprc · clouds · jobs · held: cc-east, cc-west + schedds · ce02 · heartbeat`.
pub(super) fn plots_title(paths: &[String]) -> String {
    let mut groups = Vec::<Alike>::new();
    for path in paths {
        let words: Vec<_> = path.split('.').collect();
        if !groups.iter_mut().any(|group| group.takes(&words)) {
            groups.push(Alike { words, at: None, names: Vec::new() });
        }
    }
    let first = groups.first().map_or(Vec::new(), |first| first.words.clone());
    let title = |(number, Alike { words, at, names }): (usize, &Alike)| {
        // What the first group has said need not be said again.
        let same = words.iter().zip(&first).take_while(|(one, other)| one == other).count();
        let begin = if number == 0 { 0 } else { same.min(words.len() - 1) };
        let common = (begin..words.len()).filter(|place| *at != Some(*place)).map(|place| words[place]);
        let common: Vec<_> = common.filter(|word| *word != "grids").collect();
        let more = names.len().saturating_sub(TITLED.0);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = names.iter().take(TITLED.0).copied().collect::<Vec<_>>().join(", ");
        let colon = if names.is_empty() || common.is_empty() { "" } else { ": " };
        format!("{}{colon}{names}{more}", common.join(" · "))
    };
    let mut titles: Vec<_> = groups.iter().enumerate().take(TITLED.1).map(title).collect();
    let left: usize = groups.iter().skip(TITLED.1).map(|group| group.names.len().max(1)).sum();
    titles.extend((left > 0).then(|| format!("{left} more")));
    titles.join(" + ")
}

/// Returns the icon of the tab: red or amber with a triangle and the count while something is wrong; `None` for the usual one.
pub(super) fn tab_icon(watched: &Watched) -> Option<String> {
    // A badge with a point below or above, as the shape has it.
    let (path, fill, ink, foot) = match watched.now.worst()? {
        Severity::Bad => ("M0 0h16v12h-4l-4 4-4-4h-4z", "c4261f", "fff", 10),
        _ => ("M0 16h16v-12h-4l-4-4-4 4h-4z", "b97a00", "000", 14),
    };
    let count = watched.now.entries.len().min(99);
    Some(format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='{path}' \
         fill='%23{fill}'/%3E%3Ctext x='8' y='{foot}' font-size='9' font-weight='700' font-family='sans-serif' \
         text-anchor='middle' fill='%23{ink}'%3E{count}%3C/text%3E%3C/svg%3E"
    ))
}

/// Returns the address of an event's plot with a range around it, escaped for an attribute.
pub(super) fn address(event: &Event, place: Place, options: &Options, now: i64) -> String {
    let margin = (event.seconds(now) / 2).clamp(1800, 14 * 86_400);
    // A trouble of the last hours stands in the range that the plot has anyway.
    let is_recent = event.until.is_none() && event.since > now - 5 * 3600;
    let from = if is_recent { String::new() } else { event.since.saturating_sub(margin).to_string() };
    let to = event.until.map_or(String::new(), |until| until.saturating_add(margin).min(now).to_string());
    let plots = if event.path.is_empty() { Vec::new() } else { vec![event.path.clone()] };
    let options = Options { plots, from, to, full: false, hidden: Vec::new(), ..options.clone() };
    format!("{}pages/{}/{}", place.root(), encoded(event.system), options.address())
}

impl Line<'_> {
    /// Returns the line.
    pub fn html(&self, icon: &str) -> String {
        let Watched { now, problem, .. } = self.watched;
        let mut html = String::with_capacity(4096);
        let class = now.worst().map_or("well", Severity::class);
        let one = if self.place == Place::Root { "" } else { " one" };
        let _ = write!(
            html,
            "<section class=\"now {class}{one}\" aria-label=\"Now\" data-key=\"now\" data-title=\"{}\" data-icon=\"{}\">\n<p \
             class=\"count\">{}</p>\n",
            escaped(&tab_title(self.title, Some(self.watched), &[])),
            tab_icon(self.watched).as_deref().unwrap_or(icon),
            verdict(now, problem.as_deref(), self.counts()),
        );
        let (own, others): (Vec<_>, Vec<_>) = now.entries.iter().partition(|entry| self.is_here(entry));
        let is_first = self.place == Place::Root;
        let entries: Vec<_> = if is_first { now.entries.iter().collect() } else { [own, others].concat() };
        let named = if is_first { NAMED.0 } else { NAMED.1 };
        let (shown, rest) = entries.split_at(entries.len().min(named));
        if !shown.is_empty() {
            self.list(&mut html, shown, rest);
        }
        html.push_str("</section>\n");
        html
    }

    /// Whether an entry is of the system of this page.
    fn is_here(&self, entry: &Entry) -> bool {
        self.systems.contains(&entry.event.system)
    }

    /// Returns how many entries are of the system of this page, and how many are elsewhere; `None` where all are told alike.
    fn counts(&self) -> Option<(usize, usize)> {
        let here = self.watched.now.entries.iter().filter(|entry| self.is_here(entry)).count();
        (self.place == Place::Page).then_some((here, self.watched.now.entries.len() - here))
    }

    /// Writes the entries, and the rest folded in the place of one more. On a phone the rest begins earlier.
    fn list(&self, html: &mut String, shown: &[&Entry], rest: &[&Entry]) {
        let (first, later) = shown.split_at(shown.len().min(NARROW));
        html.push_str("<ul>\n");
        first.iter().for_each(|entry| self.entry(html, entry, ""));
        later.iter().for_each(|entry| self.entry(html, entry, " wide"));
        if later.len() + rest.len() > 0 {
            let is_narrow = if rest.is_empty() { " narrow" } else { "" };
            let names: Vec<_> = rest.iter().take(NAMED.1).map(|entry| escaped(&entry.who())).collect();
            let _ = writeln!(
                html,
                "<li class=\"more{is_narrow}\" data-key=\"more\"><details data-key=\"more\"><summary><span \
                 class=\"wide\">{} more <span class=\"quiet\">{}</span></span><span class=\"narrow\">{} \
                 more</span></summary><ul>",
                rest.len(),
                names.join(", "),
                later.len() + rest.len(),
            );
            later.iter().for_each(|entry| self.entry(html, entry, " narrow"));
            let (listed, others) = rest.split_at(rest.len().min(UNFOLDED));
            listed.iter().for_each(|entry| self.entry(html, entry, ""));
            if !others.is_empty() {
                let _ = writeln!(
                    html,
                    "<li><span class=\"quiet\">{} more: the pages have them under “only what is wrong”, and</span> <a \
                     href=\"{}api/v1/problems\">all as JSON</a></li>",
                    others.len(),
                    self.place.root(),
                );
            }
            html.push_str("</ul></details></li>\n");
        }
        html.push_str("</ul>\n");
    }

    fn entry(&self, html: &mut String, entry: &Entry, class: &str) {
        let Entry { event, more, .. } = entry;
        let more = if *more > 0 { format!(" <span class=\"quiet\">and {more} more</span>") } else { String::new() };
        let _ = writeln!(
            html,
            "<li class=\"{}{class}\"><a href=\"{}\" title=\"{}\">{}<b>{}</b> {}{more}</a><span class=\"quiet\"><span class=\"unseen\">, \
             </span>{}</span></li>",
            event.severity.class(),
            address(event, self.place, self.options, self.watched.now.time),
            escaped(&format!("{} {}", entry.who(), event.text)),
            shape(event.severity),
            escaped(&entry.who()),
            escaped(&event.text),
            lasted(event, self.watched.now.time),
        );
    }
}

/// Returns the beginning of the line: how many need somebody, or that all is well, or that nobody knows.
fn verdict(now: &Now, problem: Option<&str>, counts: Option<(usize, usize)>) -> String {
    let clock = utc(now.time);
    let clock = clock.split_once(' ').map_or("", |(_, time)| time);
    if let Some(problem) = problem {
        let last = if now.time == 0 { String::new() } else { format!("; this was so at {clock}") };
        return format!("<b>▨ not known</b> <span class=\"quiet\">{}{last}</span>", escaped(problem));
    }
    let off = match now.off.len() {
        0 => String::new(),
        count => format!(" · <span class=\"shape\" aria-hidden=\"true\">○</span> {count} off by intent"),
    };
    match (now.entries.len(), now.worst()) {
        (0, _) if now.checked == 0 => {
            format!(
                "<b>▨ nothing is collected</b> <span class=\"quiet\">no rule has a number to look at, {clock}</span>"
            )
        }
        (0, _) | (_, None) => format!(
            "<b><span class=\"shape\" aria-hidden=\"true\">●</span> all well</b> <span class=\"quiet\">{clock} · {} \
             checked{off}</span>",
            now.checked
        ),
        (count, Some(worst)) => {
            let need = |count: usize| format!("{count} {}", if count == 1 { "needs you" } else { "need you" });
            let what = match counts {
                None => need(count),
                Some((0, elsewhere)) => format!("none here, {} elsewhere", need(elsewhere)),
                Some((here, 0)) => format!("{} here", need(here)),
                Some((here, elsewhere)) => format!("{} here, {elsewhere} elsewhere", need(here)),
            };
            format!("<b>{}{what}</b> <span class=\"quiet\">{clock}{off}</span>", shape(worst))
        }
    }
}

/// The list of what happened.
pub struct Happened<'a> {
    /// The events, those that are not over first, then the newest first.
    pub events: &'a [Event],
    /// How many there are beyond these.
    pub more: usize,
    /// The range, in unix seconds.
    pub range: (i64, i64),
    /// The reader's choices.
    pub options: &'a Options,
    /// The systems that have rules.
    pub systems: &'a [&'static System],
    /// The clock, in unix seconds.
    pub now: i64,
}

/// The least lengths of events that a reader may choose: label, seconds.
const LENGTHS: [(&str, &str); 6] =
    [("any time", ""), ("5 min", "300"), ("30 min", "1800"), ("1 h", "3600"), ("6 h", "21600"), ("1 d", "86400")];

/// The ranges: label, from.
const RANGES: [(&str, &str); 6] =
    [("1 h", "-1h"), ("6 h", "-6h"), ("24 h", "-1d"), ("7 d", "-7d"), ("30 d", "-30d"), ("1 y", "-1y")];

/// The start of the range if none is chosen.
pub(super) const DEFAULT_FROM: &str = "-1d";

impl Happened<'_> {
    /// Returns the page's content.
    pub fn html(&self) -> String {
        let Self { events, more, range: (from, until), options, .. } = *self;
        let mut html = String::with_capacity(1 << 14);
        let going = events.iter().filter(|event| event.until.is_none()).count();
        let _ = write!(
            html,
            "<section class=\"happened\" data-key=\"happened\" aria-labelledby=\"happened\">\n<div class=\"title\"><h2 \
             id=\"happened\">What happened</h2> <p class=\"when\">{} to {}: {} events, {going} not over</p></div>\n<p class=\"ranges\">",
            utc(from),
            utc(until),
            events.len() + more,
        );
        for (label, from) in RANGES {
            let chosen = if options.from.is_empty() { DEFAULT_FROM } else { &options.from };
            let current = if (chosen, options.to.as_str()) == (from, "") { " aria-current=\"true\"" } else { "" };
            let _ = write!(html, " <a href=\"./{}\"{current}>{label}</a>", options.with_range(from, "").address());
        }
        let mut chosen = String::new();
        let Options { system, kind, longer, .. } = options;
        let still = if options.going { "1" } else { "" };
        for (name, word) in [("system", system.as_str()), ("kind", kind), ("going", still), ("longer", longer)] {
            if !word.is_empty() {
                let _ = write!(chosen, "&amp;{name}={}", encoded(word));
            }
        }
        let fixed = options.with_range(&from.to_string(), &until.to_string()).address();
        let _ = writeln!(
            html,
            " · <a href=\"../api/v1/events?from={from}&amp;until={until}&amp;format=csv{chosen}\">CSV</a> <a \
             href=\"../api/v1/events?from={from}&amp;until={until}{chosen}\">JSON</a> <a href=\"./{fixed}\" data-copy>Copy \
             link</a></p>"
        );
        self.choices(&mut html);
        if events.is_empty() {
            html.push_str("<p class=\"empty\">Nothing happened that a rule knows of.</p>\n");
        }
        html.push_str(&lanes(self));
        let (still, over) = events.split_at(going);
        if !still.is_empty() {
            self.group(&mut html, "still going", still, true);
        }
        let mut left = over;
        let mut is_newest = true;
        while let Some(first) = left.first() {
            let day = first.since.div_euclid(86_400);
            let of_day = left.iter().take_while(|event| event.since.div_euclid(86_400) == day).count();
            let (those, rest) = left.split_at(of_day);
            let name =
                jiff::Timestamp::from_second(day * 86_400).unwrap_or_default().strftime("%a %d %b %Y").to_string();
            self.group(&mut html, &name, those, is_newest || events.len() < 200);
            (left, is_newest) = (rest, false);
        }
        if more > 0 {
            let _ = writeln!(html, "<p class=\"quiet\">{more} more are left out: choose a shorter range.</p>");
        }
        let bucket = (until - from) / MOST_VALUES;
        let folded = match bucket > 60 {
            true => {
                format!(" The values of about {} are taken together, and the worst of them counts.", length(bucket))
            }
            false => String::new(),
        };
        let _ = writeln!(html, "<p class=\"quiet\">All times are UTC.{folded}</p>\n</section>");
        html
    }

    /// Writes the form that chooses events.
    fn choices(&self, html: &mut String) {
        let options = self.options;
        html.push_str("<form class=\"events\" method=\"get\">");
        carried(html, options, &["system", "kind", "going", "longer"]);
        let mut select = |label: &str, name: &str, chosen: &str, words: &[(&str, &str)]| {
            let _ = write!(html, "<label>{label} <select name=\"{name}\">");
            for (word, value) in words {
                let selected = if *value == chosen { " selected" } else { "" };
                let _ = write!(html, "<option value=\"{value}\"{selected}>{word}</option>");
            }
            html.push_str("</select></label> ");
        };
        let mut systems = vec![("all systems", "")];
        systems.extend(self.systems.iter().map(|system| (system.title, system.name)));
        select("system", "system", &options.system, &systems);
        let mut kinds = vec![("every kind", "")];
        let all = [Severity::Bad, Severity::Worse, Severity::NotCollected, Severity::Off, Severity::Changed];
        kinds.extend(all.iter().map(|severity| (severity.word(), severity.word())));
        select("kind", "kind", &options.kind, &kinds);
        select("lasted at least", "longer", &options.longer, &LENGTHS);
        let checked = if options.going { " checked" } else { "" };
        let _ = writeln!(
            html,
            "<label><input type=\"checkbox\" name=\"going\" value=\"1\"{checked}> only what still goes on</label> \
             <button>Choose</button></form>"
        );
    }

    fn group(&self, html: &mut String, name: &str, events: &[Event], is_open: bool) {
        let _ = write!(
            html,
            "<details class=\"day\" data-key=\"{0}\"{1}><summary><h3>{0} <span class=\"quiet\">{2}</span></h3></summary>\n<div \
             class=\"box\"><table><caption class=\"unseen\">{0}</caption><thead><tr><th scope=\"col\">when, UTC</th><th \
             scope=\"col\">lasted</th><th scope=\"col\">who</th><th scope=\"col\">what</th><th scope=\"col\">was</th><th \
             scope=\"col\">became</th><th scope=\"col\">where</th></tr></thead>\n<tbody>\n",
            escaped(name),
            if is_open { " open" } else { "" },
            events.len(),
        );
        for event in events {
            let _ = writeln!(
                html,
                "<tr class=\"{}\"><td>{}</td><td>{}</td><th scope=\"row\"><a href=\"{}\">{}{}</a></th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                event.severity.class(),
                when(event),
                lasted(event, self.now),
                address(event, Place::Events, self.options, self.now),
                shape(event.severity),
                escaped(&event.subject),
                escaped(&event.text),
                escaped(&event.was),
                escaped(&event.became),
                place(event),
            );
        }
        html.push_str("</tbody></table></div></details>\n");
    }
}

/// Returns where an event is: its system, and its grid where the subject does not say it.
fn place(event: &Event) -> String {
    let section = if event.section.is_empty() { String::new() } else { format!(" · {}", event.section) };
    escaped(&format!("{}{section}", event.title))
}

/// Returns the times of an event: `since Thu 09:22`, `03:40–04:00`.
pub(super) fn when(event: &Event) -> String {
    let time =
        |seconds: i64, form: &str| jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime(form).to_string();
    match event.until {
        None => format!("since {}", time(event.since, "%a %d %b %H:%M")),
        Some(until) if until == event.since => time(event.since, "%H:%M"),
        Some(until) if until.div_euclid(86_400) == event.since.div_euclid(86_400) => {
            format!("{}–{}", time(event.since, "%H:%M"), time(until, "%H:%M"))
        }
        Some(until) => format!("{}–{}", time(event.since, "%H:%M"), time(until, "%a %H:%M")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_what_is_plotted() {
        let title = |paths: &[&str]| plots_title(&paths.iter().map(|path| (*path).to_string()).collect::<Vec<_>>());
        let clouds: Vec<_> = (1..=5).map(|at| format!("grids.heprc.clouds.c{at}.jobs.held")).collect();
        assert_eq!(title(&[]), "");
        assert_eq!(title(&["grids.heprc.jobs.all.idle"]), "heprc · jobs · all · idle");
        assert_eq!(
            title(&["grids.heprc.jobs.all.idle", "grids.heprc.jobs.all.held"]),
            "heprc · jobs · all: idle, held"
        );
        assert_eq!(plots_title(&clouds), "heprc · clouds · jobs · held: c1, c2, c3 and 2 more");
        assert_eq!(plots_title(&[&clouds[..2], &["grids.heprc.schedds.ce02.heartbeat".into()]].concat()), {
            "heprc · clouds · jobs · held: c1, c2 + schedds · ce02 · heartbeat"
        });
        // Two words differ: two groups.
        let rest = ["grids.heprc.clouds.c1.jobs.idle", "grids.heprc.clouds.c2.jobs.held"];
        assert_eq!(title(&rest), "heprc · clouds · c1 · jobs · idle + c2 · jobs · held");
        assert_eq!(title(&["a.b", "c.d", "e.f", "g.h", "i.h"]), "a · b + c · d + e · f + 2 more");
        assert_eq!(title(&["a", "b"]), "a, b");
    }

    #[test]
    fn a_long_list_is_cut_and_says_where_the_rest_stands() {
        let html = |count: usize| {
            let mut watched = Watched::default();
            let event = |at| Event::made_up(&format!("s{at}"), 0, None);
            watched.now.entries = (0..count).map(|at| Entry { event: event(at), more: 0, is_shared: false }).collect();
            let options = &Options::default();
            Line { watched: &watched, systems: &[], place: Place::Root, options, title: "" }.html("")
        };
        let most = NAMED.0 + UNFOLDED;
        let (whole, cut) = (html(most), html(most + 7));
        let last = format!("<b>s{}</b>", most - 1);
        assert!(whole.contains(&last) && !whole.contains("as JSON"), "{whole}");
        assert!(cut.contains(&last) && !cut.contains(&format!("<b>s{most}</b>")), "{cut}");
        assert!(cut.contains(">7 more: the pages have them") && cut.contains("href=\"api/v1/problems\""), "{cut}");
    }
}
