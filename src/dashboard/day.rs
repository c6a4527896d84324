//! What happened in the last 24 hours on a page, folded under each of its sections.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Dashboard;
use super::aside::Last;
use super::routes::Names;
use super::troubles::{Place, address, shape, when};
use crate::events::{Event, lasted, past};
use crate::os::work::catch;
use crate::view::html::{Options, encoded, escaped};
use crate::view::page::Page;
use crate::view::table::Section;

/// How long a page waits for them; later ones come with its refresh.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The time of which they are, in seconds.
const DAY: i64 = 86_400;

/// How many a list names.
const NAMED: usize = 20;

impl Dashboard {
    /// Returns what happened in the last day on the page that an address names; what was found the last time if the store does not
    /// answer.
    pub(super) async fn day(self: &Arc<Self>, names: &Names) -> Arc<Last<Vec<Event>>> {
        let Ok(state) = self.page(names) else { return Arc::default() };
        let systems = self.systems_of(&state.page);
        if systems.is_empty() {
            return state.day.last();
        }
        if let Some(last) = self.fresh(&state.day) {
            return last;
        }
        let read = move |this: &Self, last: &Vec<Event>| {
            let now = (this.now)();
            let events = |system: &&str| {
                this.counts.store_questions.fetch_add(1, Ordering::Relaxed);
                past(&*this.backend, &this.watch.rules.of(system), (now - DAY, now), now).map(|(events, _)| events)
            };
            let events = catch(|| systems.iter().map(events).collect::<anyhow::Result<Vec<_>>>()).flatten();
            // If the store does not answer, the page says so by its numbers; the next try is as far away as after an answer.
            events.map(|all| all.into_iter().flatten().collect()).unwrap_or_else(|_| {
                this.counts.store_failures.fetch_add(1, Ordering::Relaxed);
                last.clone()
            })
        };
        self.read_aside(&state.day, TIMEOUT, read).await
    }

    /// Returns the systems whose rules are about a page.
    pub(super) fn systems_of(&self, page: &Page) -> Vec<&'static str> {
        let pages = self.systems();
        let is_here =
            |name: &&'static str| pages.iter().any(|other| other.name == *name && other.system() == page.system());
        self.watch.rules.systems.iter().map(|system| system.name).filter(is_here).collect()
    }
}

/// Returns a folded list for each section of a page in which something happened.
pub(super) fn html(
    events: &[Event],
    page: &Page,
    sections: &[Section],
    (place, options, now): (Place, &Options, i64),
) -> BTreeMap<String, String> {
    let is_of = |event: &Event, section: &Section| {
        page.section.is_none_or(|tag| event.series.tag(tag) == Some(section.name.as_str()))
    };
    let list = |section: &Section| {
        let events: Vec<_> = events.iter().filter(|event| is_of(event, section)).collect();
        (!events.is_empty()).then(|| (section.name.clone(), list(&events, (place, options, now))))
    };
    sections.iter().filter_map(list).collect()
}

/// Returns a folded list of events, the latest first.
fn list(events: &[&Event], (place, options, now): (Place, &Options, i64)) -> String {
    let mut html = format!(
        "<details class=\"past\" data-key=\"past\"><summary>What happened in 24 h <span class=\"quiet\">{}</span></summary>\n<ul>\n",
        events.len()
    );
    for event in events.iter().take(NAMED) {
        let lasted = lasted(event, now);
        let comma = if lasted.is_empty() { "" } else { ", " };
        let _ = writeln!(
            html,
            "<li><a href=\"{}\">{} {}<b>{}</b> {}{comma}{lasted}</a></li>",
            address(event, place, options, now),
            when(event),
            shape(event.severity),
            escaped(&event.subject),
            escaped(&event.text),
        );
    }
    if let [first, ..] = events {
        let more = match events.len().saturating_sub(NAMED) {
            0 => "all that happened".into(),
            more => format!("{more} more"),
        };
        let _ =
            writeln!(html, "<li><a href=\"{}events/?system={}\">{more}</a></li>", place.root(), encoded(first.system));
    }
    html + "</ul></details>\n"
}
