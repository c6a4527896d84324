//! What happened in the last 24 hours on a page, folded under each of its sections: read when the data have changed, but never for
//! more than a twentieth of the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use super::Dashboard;
use super::routes::Names;
use super::troubles::{Place, address, shape, when};
use crate::events::{Event, lasted, past};
use crate::os::work::catch;
use crate::view::html::{Options, encoded, escaped};
use crate::view::page::Page;
use crate::view::table::Section;

/// How long a page waits for them; later ones come with its refresh.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How long they are used while the data stay the same.
const LONGEST_USE: Duration = Duration::from_secs(300);

/// The time of which they are, in seconds.
const DAY: i64 = 86_400;

/// How many a list names.
const NAMED: usize = 20;

/// The events as they were last read.
#[derive(Debug, Default)]
pub(super) struct LastDay {
    events: Vec<Event>,
    version: u64,
    /// When they were read, and how long that took; `None` before the first time.
    pub read: Option<(Instant, Duration)>,
}

/// The events of a page.
#[derive(Default)]
pub(super) struct DayState {
    last: RwLock<Arc<LastDay>>,
    /// Held by whoever reads them.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl DayState {
    fn last(&self) -> Arc<LastDay> {
        self.last.read().expect("nothing panics while it is held").clone()
    }
}

impl Dashboard {
    /// Returns what happened in the last day on the page that an address names; what was read the last time while others read it,
    /// or if the store does not answer.
    pub(super) async fn day(self: &Arc<Self>, names: &Names) -> Arc<LastDay> {
        let Ok(state) = self.page(names) else { return Arc::default() };
        let last = state.day.last();
        let systems = self.systems_of(&state.page);
        if systems.is_empty() || self.has_day(&last) {
            return last;
        }
        let Ok(reading) = state.day.reading.clone().try_lock_owned() else { return last };
        let (this, names) = (self.clone(), names.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            let (began, version, now) = (Instant::now(), this.backend.version(), (this.now)());
            let read = |system: &&str| {
                this.counts.store_questions.fetch_add(1, Ordering::Relaxed);
                past(&*this.backend, &this.watch.rules.of(system), (now - DAY, now), now).map(|(events, _)| events)
            };
            let events = catch(|| systems.iter().map(read).collect::<anyhow::Result<Vec<_>>>()).flatten();
            let Ok(state) = this.page(&names) else { return };
            // If the store does not answer, the page says so by its numbers; the next try is as far away as after an answer.
            let events = events.map(|all| all.concat()).unwrap_or_else(|_| {
                this.counts.store_failures.fetch_add(1, Ordering::Relaxed);
                state.day.last().events.clone()
            });
            let read = Some((Instant::now(), began.elapsed()));
            *state.day.last.write().expect("nothing panics while it is held") =
                Arc::new(LastDay { events, version, read });
        });
        let _ = tokio::time::timeout(TIMEOUT, work).await;
        state.day.last()
    }

    fn has_day(&self, last: &LastDay) -> bool {
        let Some((read_at, took)) = last.read else { return false };
        let age = read_at.elapsed();
        age < LONGEST_USE && (age < 20 * took || last.version == self.backend.version())
    }

    /// Returns the systems whose rules are about a page.
    pub(super) fn systems_of(&self, page: &Page) -> Vec<&'static str> {
        let first = |page: &Page| if page.part_of.is_empty() { page.name } else { page.part_of };
        let pages = self.systems();
        let is_here =
            |name: &&'static str| pages.iter().any(|other| other.name == *name && first(other) == first(page));
        self.watch.rules.systems.iter().map(|system| system.name).filter(is_here).collect()
    }
}

impl LastDay {
    /// Returns a folded list for each section of a page in which something happened.
    pub fn html(
        &self,
        page: &Page,
        sections: &[Section],
        (place, options, now): (Place, &Options, i64),
    ) -> BTreeMap<String, String> {
        let is_of = |event: &Event, section: &Section| {
            page.section.is_none_or(|tag| event.series.tag(tag) == Some(section.name.as_str()))
        };
        let list = |section: &Section| {
            let events: Vec<_> = self.events.iter().filter(|event| is_of(event, section)).collect();
            (!events.is_empty()).then(|| (section.name.clone(), list(&events, (place, options, now))))
        };
        sections.iter().filter_map(list).collect()
    }
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
            escaped(&event.words),
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
