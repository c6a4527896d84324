//! The grids as tables. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Options, STALE, View, moment};
use crate::model::Value;
use crate::text::{ago, count, one_line};
use crate::view::html::{encoded, escaped};
use crate::view::summary::{Grid, Number, Numbers, Present, Typed, VmType, columns};

/// All that stands between the head of the page and its plot.
pub fn html(view: &View) -> String {
    let mut html = String::with_capacity(1 << 16);
    if let Some(problem) = &view.summary.problem {
        let last = if view.summary.grids.is_empty() { "" } else { "; these are the last numbers that it gave" };
        let _ = writeln!(
            html,
            "<p class=\"banner\" role=\"alert\" data-key=\"banner\"><b>No answer from {}</b>: {}{last}.</p>",
            escaped(view.backend),
            escaped(problem)
        );
    } else if view.summary.grids.is_empty() {
        let _ = writeln!(
            html,
            "<section class=\"empty\" data-key=\"empty\"><h2>No numbers yet</h2><p>There is nothing in {}. This \
             collects the first ones:</p><pre>collect-grid --verbose</pre><p>Then let cron run it every minute; the page \
             shows them by itself. If it runs already: does it read the same config as this server?</p></section>",
            escaped(view.backend)
        );
    }
    let parts: Vec<_> = view.summary.grids.iter().map(|grid| Part::new(view, grid)).collect();
    if parts.len() > 1 || parts.iter().any(Part::is_hidden) {
        html.push_str("<nav aria-label=\"Grids\" data-key=\"grids\"><ul class=\"beats\">\n");
        for part in &parts {
            part.listed(&mut html);
        }
        html.push_str("</ul></nav>\n");
    }
    for part in parts.iter().filter(|part| !part.is_hidden()) {
        part.section(&mut html);
    }
    html
}

/// How something is, and since when.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Up,
    Down,
    Silent(i64),
    Unknown,
}

impl Is {
    fn class(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Silent(_) | Self::Unknown => "stale",
        }
    }

    /// Told by shape too, since not everybody sees the colour.
    fn shape(self) -> &'static str {
        match self {
            Self::Up => "●",
            Self::Down => "▼",
            Self::Silent(_) | Self::Unknown => "○",
        }
    }

    fn words(self) -> String {
        match self {
            Self::Up => "up".into(),
            Self::Down => "DOWN".into(),
            Self::Silent(seconds) => format!("stale for {}", ago(seconds)),
            Self::Unknown => "unknown".into(),
        }
    }
}

/// One grid, and what it takes to show it.
struct Part<'a> {
    view: &'a View<'a>,
    grid: &'a Grid,
    present: Present<'a>,
    /// What follows a number's path in its link: everything else that is chosen.
    tail: String,
    is_stale: bool,
}

/// Columns in which any number but zero is bad news.
const ALARMING: &[&str] = &["error", "held"];

impl<'a> Part<'a> {
    fn new(view: &'a View<'a>, grid: &'a Grid) -> Self {
        let others = Options { plots: Vec::new(), ..view.options.clone() }.address();
        let tail = if others == "?" { String::new() } else { format!("&amp;{}", &others[1..]) };
        let is_stale = view.now - grid.time > STALE;
        Self { view, grid, present: grid.present(view.options.all), tail, is_stale }
    }

    fn is_hidden(&self) -> bool {
        self.view.options.hidden.contains(&self.grid.name)
    }

    fn id(&self) -> String {
        format!("grid-{}", encoded(&self.grid.name))
    }

    /// How a heartbeat is.
    fn is(&self, number: Option<&Number>) -> Is {
        match number {
            None => Is::Unknown,
            Some(number) if self.is_stale || number.time < self.grid.time => {
                Is::Silent((self.view.now - number.time).max(0))
            }
            Some(Number { value: Value::Int(0), .. }) => Is::Down,
            Some(_) => Is::Up,
        }
    }

    /// The heartbeats of what is here.
    fn beats(&self) -> Vec<Is> {
        let services = self.grid.heartbeats.values().map(Some);
        let pools = self.present.pools.iter().map(|(_, pool)| *pool);
        let schedds = self.present.schedds.iter().map(|(_, schedd)| &schedd.health);
        let others = pools.chain(schedds).map(|numbers| numbers.get("heartbeat"));
        services.chain(others).map(|number| self.is(number)).collect()
    }

    /// The grid in the list of all grids.
    fn listed(&self, html: &mut String) {
        let name = escaped(&one_line(&self.grid.name));
        let beats = self.beats();
        let down = beats.iter().filter(|is| **is == Is::Down).count();
        let stale = beats.iter().filter(|is| is.class() == "stale").count();
        let (is, words) = if self.is_stale {
            (Is::Unknown, Is::Silent((self.view.now - self.grid.time).max(0)).words())
        } else if down + stale == 0 {
            (Is::Up, "all up".into())
        } else {
            let words = [(down, "DOWN"), (stale, "stale")].map(|(count, words)| match count {
                0 => String::new(),
                count => format!("{count} {words}"),
            });
            let words: Vec<_> = words.into_iter().filter(|words| !words.is_empty()).collect();
            (if down > 0 { Is::Down } else { Is::Unknown }, words.join(", "))
        };
        let _ = write!(html, "<li class=\"{}\" data-key=\"{name}\">", is.class());
        if self.is_hidden() {
            let hidden = self.view.options.hidden.iter().filter(|grid| **grid != self.grid.name).cloned().collect();
            let shown = Options { hidden, ..self.view.options.clone() }.address();
            let _ = write!(
                html,
                "<a href=\"{shown}\" data-look><span class=\"shape\" aria-hidden=\"true\">{}</span> {name} \
                 <b>{words}</b> <span class=\"quiet\">hidden, show it</span></a>",
                is.shape()
            );
        } else {
            let _ = write!(
                html,
                "<a href=\"#{}\"><span class=\"shape\" aria-hidden=\"true\">{}</span> {name} <b>{words}</b></a>",
                self.id(),
                is.shape()
            );
        }
        html.push_str("</li>\n");
    }

    fn section(&self, html: &mut String) {
        let Self { grid, view, .. } = self;
        let name = escaped(&one_line(&grid.name));
        let Present { pools, negotiators, schedds, clouds, jobs, left_out } = &self.present;
        let hidden = view.options.hidden.iter().cloned().chain([grid.name.clone()]).collect();
        let hide = Options { hidden, ..view.options.clone() }.address();
        let _ = write!(
            html,
            "<section class=\"grid{}\" id=\"{}\" data-key=\"{name}\" aria-label=\"{name}\">\n<div \
             class=\"title\"><h2>{name}</h2> <p class=\"when\">{}, <span class=\"age\" data-time=\"{}\" \
             data-now=\"{}\">{}</span> ago{}</p> <a class=\"hide\" href=\"{hide}\" data-look>hide<span \
             class=\"unseen\"> {name}</span></a></div>\n",
            if self.is_stale { " stale" } else { "" },
            self.id(),
            moment(grid.time),
            grid.time,
            view.now,
            ago((view.now - grid.time).max(0)),
            if self.is_stale { "; <b>all numbers are old</b>" } else { "" },
        );
        if !grid.heartbeats.is_empty() {
            html.push_str("<ul class=\"beats\" aria-label=\"Heartbeats\">\n");
            for (service, number) in &grid.heartbeats {
                let is = self.is(Some(number));
                let _ = write!(html, "<li class=\"{}\">", is.class());
                let words = format!(
                    "<span class=\"shape\" aria-hidden=\"true\">{}</span> {} <b>{}</b>",
                    is.shape(),
                    escaped(&one_line(service)),
                    is.words()
                );
                self.link(html, number, "", &words);
                html.push_str("</li>\n");
            }
            html.push_str("</ul>\n");
        }
        html.push_str("<div class=\"small\">\n");
        if !jobs.is_empty() {
            let statuses = columns(&["idle", "running", "held"], jobs.iter().map(|(_, numbers)| *numbers));
            self.begin(html, "jobs", "Jobs by type", "jobs");
            self.heads(html, &["type"], &statuses);
            html.push_str("<tbody>\n");
            for (name, numbers) in jobs {
                let sum = if *name == "all" { " class=\"sum\"" } else { "" };
                let _ = write!(html, "<tr{sum} data-key=\"{0}\"><th scope=\"row\">{0}</th>", shown(name));
                self.cells(html, &statuses, numbers);
                html.push_str("</tr>\n");
            }
            html.push_str("</tbody></table></div>\n");
        }
        if !schedds.is_empty() {
            let statuses = columns(&["idle", "running", "held"], schedds.iter().map(|(_, schedd)| &schedd.jobs));
            self.begin(html, "schedds", "Schedds and their jobs", "schedds");
            self.heads(html, &["schedd", "is", "<duty cycle", "<runs at most"], &statuses);
            html.push_str("<tbody>\n");
            for (name, schedd) in schedds {
                self.row_with_heartbeat(html, name, &schedd.health);
                for field in ["duty_cycle_ratio", "running_jobs_limit"] {
                    self.cell(html, schedd.health.get(field), "");
                }
                self.cells(html, &statuses, &schedd.jobs);
                html.push_str("</tr>\n");
            }
            html.push_str("</tbody></table></div>\n");
        }
        html.push_str("<div>\n");
        if !pools.is_empty() {
            self.begin(html, "pools", "HTCondor pools", "pools");
            self.heads(html, &["pool", "is", "<slots", "<updates lost"], &[]);
            html.push_str("<tbody>\n");
            for (name, pool) in pools {
                self.row_with_heartbeat(html, name, pool);
                for field in ["slots", "updates_lost_ratio"] {
                    self.cell(html, pool.get(field), "");
                }
                html.push_str("</tr>\n");
            }
            html.push_str("</tbody></table></div>\n");
        }
        if !negotiators.is_empty() {
            self.begin(html, "negotiators", "Negotiators", "negotiators");
            self.heads(html, &["negotiator", "<cycle, s"], &[]);
            html.push_str("<tbody>\n");
            for (name, numbers) in negotiators {
                let _ = write!(html, "<tr data-key=\"{0}\"><th scope=\"row\">{0}</th>", shown(name));
                self.cell(html, numbers.get("cycle_seconds"), "");
                html.push_str("</tr>\n");
            }
            html.push_str("</tbody></table></div>\n");
        }
        html.push_str("</div></div>\n");
        if !clouds.is_empty() {
            self.clouds(html, clouds);
        }
        if *left_out > 0 {
            let all = Options { all: true, ..view.options.clone() }.address();
            let _ = writeln!(
                html,
                "<p class=\"quiet\">{} silent for over an hour left out. <a href=\"{all}\" data-look>Show all</a></p>",
                count(*left_out, "name")
            );
        }
        html.push_str("</section>\n");
    }

    fn clouds(&self, html: &mut String, clouds: &[Typed]) {
        let types = || clouds.iter().flat_map(|(_, _, types)| types.iter().map(|(_, vms)| *vms));
        let states = columns(&["starting", "running", "retiring", "error", "shutdown"], types().map(|vms| &vms.states));
        let mut slots: Vec<_> = types()
            .flat_map(|vms| &vms.slots)
            .filter(|(_, number)| number.value != Value::Int(0))
            .map(|(name, _)| name.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        // slot1_10 comes after slot1_9.
        slots.sort_by_key(|name| (name.len(), *name));
        let powers: Vec<_> = ["mips", "kflops"]
            .into_iter()
            .filter(|field| {
                clouds.iter().any(|(_, cloud, _)| cloud.facts.get(*field).is_some_and(|it| it.value != Value::Int(0)))
            })
            .collect();

        self.begin(html, "clouds", "Clouds: machines, slots and jobs", "clouds");
        let _ = write!(
            html,
            "<thead><tr><td colspan=\"4\"></td><th scope=\"colgroup\" colspan=\"{}\">machines</th>",
            states.len() + 1
        );
        if !slots.is_empty() {
            let _ = write!(html, "<th scope=\"colgroup\" colspan=\"{}\">slots</th>", slots.len());
        }
        html.push_str("<th scope=\"colgroup\" colspan=\"2\">jobs</th>");
        if !powers.is_empty() {
            let _ = write!(html, "<th scope=\"colgroup\" colspan=\"{}\">power</th>", powers.len());
        }
        html.push_str("</tr>\n<tr>");
        for head in ["cloud", "enabled", "<quota", "type"] {
            headed(html, head);
        }
        for head in states.iter().map(String::as_str).chain(["idle"]).chain(slots.iter().copied()) {
            headed(html, &format!("<{head}"));
        }
        for head in ["idle", "held"].into_iter().chain(powers.iter().copied()) {
            headed(html, &format!("<{head}"));
        }
        html.push_str("</tr></thead>\n");
        self.sums(html, clouds, &states, &slots, &powers);
        for (name, cloud, types) in clouds {
            let rows = types.len().max(1);
            let span = if rows > 1 { format!(" rowspan=\"{rows}\"") } else { String::new() };
            let is_disabled = cloud.facts.get("enabled").is_some_and(|number| number.value == Value::Int(0));
            let _ = write!(
                html,
                "<tbody data-key=\"{0}\"{2}><tr><th scope=\"rowgroup\"{1}>{0}</th>",
                shown(name),
                span,
                if is_disabled { " class=\"disabled\"" } else { "" }
            );
            let spanned = |html: &mut String, number: Option<&Number>, words: Option<&str>| {
                let _ = write!(html, "<td{span}>");
                self.inner(html, number, "", words);
                html.push_str("</td>");
            };
            let enabled = cloud.facts.get("enabled");
            spanned(html, enabled, enabled.map(|_| if is_disabled { "<b>no</b>" } else { "yes" }));
            spanned(html, cloud.facts.get("quota"), None);
            let none = VmType::default();
            let no_type = [("–", &none)];
            let types = if types.is_empty() { &no_type[..] } else { types };
            for (at, (vmtype, vms)) in types.iter().enumerate() {
                if at > 0 {
                    html.push_str("<tr>");
                }
                let _ = write!(html, "<td class=\"name\">{}</td>", shown(vmtype));
                self.cells(html, &states, &vms.states);
                self.cell(html, vms.idle.as_ref(), "");
                for slot in &slots {
                    self.cell(html, vms.slots.get(*slot), "");
                }
                if at == 0 {
                    for status in ["idle", "held"] {
                        let number = cloud.jobs.get(status);
                        let _ = write!(html, "<td{span}>");
                        self.inner(html, number, status, None);
                        html.push_str("</td>");
                    }
                    for field in &powers {
                        spanned(html, cloud.facts.get(*field), None);
                    }
                }
                html.push_str("</tr>\n");
            }
            html.push_str("</tbody>\n");
        }
        html.push_str("</table></div>\n");
    }

    /// The sums over all clouds, by type. A job may name two clouds, so sums of the clouds' jobs would count it twice.
    fn sums(&self, html: &mut String, clouds: &[Typed], states: &[String], slots: &[&str], powers: &[&str]) {
        let mut by_type = BTreeMap::<&str, Vec<&VmType>>::new();
        for (name, vms) in clouds.iter().flat_map(|(_, _, types)| types) {
            by_type.entry(name).or_default().push(vms);
        }
        if clouds.len() < 2 || by_type.is_empty() {
            return;
        }
        let facts = |field: &str| self.sum(clouds.iter().filter_map(|(_, cloud, _)| cloud.facts.get(field)));
        let span = by_type.len();
        let _ = write!(
            html,
            "<tbody class=\"sum\" data-key=\" sum\"><tr><th scope=\"rowgroup\" rowspan=\"{span}\">all {}</th><td \
             rowspan=\"{span}\">{} yes</td><td rowspan=\"{span}\">{}</td>",
            count(clouds.len(), "cloud"),
            facts("enabled"),
            facts("quota"),
        );
        for (at, (vmtype, all)) in by_type.iter().enumerate() {
            if at > 0 {
                html.push_str("<tr>");
            }
            let _ = write!(html, "<td class=\"name\">{}</td>", shown(vmtype));
            for state in states {
                let _ = write!(html, "<td>{}</td>", self.sum(all.iter().filter_map(|vms| vms.states.get(state))));
            }
            let _ = write!(html, "<td>{}</td>", self.sum(all.iter().filter_map(|vms| vms.idle.as_ref())));
            for slot in slots {
                let _ = write!(html, "<td>{}</td>", self.sum(all.iter().filter_map(|vms| vms.slots.get(*slot))));
            }
            if at == 0 {
                let _ = write!(html, "<td rowspan=\"{span}\" colspan=\"2\"></td>");
                for field in powers {
                    let _ = write!(html, "<td rowspan=\"{span}\">{}</td>", facts(field));
                }
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n");
    }

    /// A sum in words; one with an old part is old.
    fn sum<'n>(&self, numbers: impl Iterator<Item = &'n Number>) -> String {
        let (mut sum, mut old) = (0, self.view.now);
        for number in numbers {
            if let Value::Int(value) = number.value {
                sum += value;
            }
            if self.is_old(number) {
                old = old.min(number.time);
            }
        }
        match (old < self.view.now, sum) {
            (true, sum) => {
                format!(
                    "<span class=\"old\" title=\"with numbers that are {} old\">{sum}</span>",
                    ago(self.view.now - old)
                )
            }
            (false, 0) => "<span class=\"zero\">0</span>".into(),
            (false, sum) => sum.to_string(),
        }
    }

    /// Whether nobody could tell a newer number. A count that vanished was sent as zero once, and is zero still.
    fn is_old(&self, number: &Number) -> bool {
        self.is_stale || number.time < self.grid.time && number.value != Value::Int(0)
    }

    fn begin(&self, html: &mut String, class: &str, caption: &str, key: &str) {
        let name = escaped(&one_line(&self.grid.name));
        let _ = write!(
            html,
            "<div class=\"box {class}\" data-key=\"{key}\"><table><caption>{caption}<span class=\"unseen\"> of \
             {name}</span></caption>"
        );
    }

    fn heads(&self, html: &mut String, first: &[&str], more: &[String]) {
        html.push_str("<thead><tr>");
        for head in first {
            headed(html, head);
        }
        for head in more {
            headed(html, &format!("<{head}"));
        }
        html.push_str("</tr></thead>\n");
    }

    fn row_with_heartbeat(&self, html: &mut String, name: &str, numbers: &Numbers) {
        let number = numbers.get("heartbeat");
        let is = self.is(number);
        let _ = write!(
            html,
            "<tr data-key=\"{0}\"><th scope=\"row\">{0}</th><td class=\"beat {1}\">",
            shown(name),
            is.class()
        );
        let words = format!("<span class=\"shape\" aria-hidden=\"true\">{}</span> {}", is.shape(), is.words());
        match number {
            Some(number) => self.link(html, number, "", &words),
            None => html.push_str(&words),
        }
        html.push_str("</td>");
    }

    fn cells(&self, html: &mut String, columns: &[String], numbers: &Numbers) {
        for column in columns {
            self.cell(html, numbers.get(column), column);
        }
    }

    fn cell(&self, html: &mut String, number: Option<&Number>, column: &str) {
        html.push_str("<td>");
        self.inner(html, number, column, None);
        html.push_str("</td>");
    }

    /// What stands in a cell: the number, or `words` of HTML for it.
    fn inner(&self, html: &mut String, number: Option<&Number>, column: &str, words: Option<&str>) {
        let Some(number) = number else { return html.push_str("<span class=\"zero\">–</span>") };
        let text = match (words, number.value) {
            (Some(words), _) => words.to_string(),
            (None, Value::Int(value)) => value.to_string(),
            (None, Value::Float(value)) => format!("{value:.2}"),
        };
        let class = match number.value {
            Value::Int(0) if words.is_none() => "zero",
            Value::Int(_) if ALARMING.contains(&column) => "bad",
            _ => "",
        };
        self.link(html, number, class, &text);
    }

    /// A number as a link to its plot; `words` are HTML.
    fn link(&self, html: &mut String, number: &Number, class: &str, words: &str) {
        let _ = write!(html, "<a href=\"?plot={}{}\"", encoded(&number.path), self.tail);
        let is_old = self.is_old(number);
        let class = if is_old { "old" } else { class };
        if !class.is_empty() {
            let _ = write!(html, " class=\"{class}\"");
        }
        if is_old {
            let age = ago((self.view.now - number.time).max(0));
            let _ = write!(html, " title=\"{age} old: of {}\"", moment(number.time));
        }
        if self.view.options.plots.contains(&number.path) {
            html.push_str(" aria-current=\"true\"");
        }
        let _ = write!(html, ">{words}</a>");
    }
}

/// A name from outside, on one line, as HTML.
fn shown(name: &str) -> String {
    escaped(&one_line(name))
}

/// The head of a column; of numbers when it begins with `<`.
fn headed(html: &mut String, head: &str) {
    let _ = match head.strip_prefix('<') {
        Some(head) => write!(html, "<th scope=\"col\" class=\"n\">{}</th>", shown(head)),
        None => write!(html, "<th scope=\"col\">{}</th>", shown(head)),
    };
}
