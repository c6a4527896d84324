//! The lanes of what happened: one for each subject, its events along one axis of time. Trouble is tall, quiet is low. The list
//! below says the same in words. Pure.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::troubles::{Happened, Place, address, when};
use crate::events::{Event, Severity, lasted};
use crate::view::html::escaped;
use crate::view::plot::ticks;

/// The most lanes, and the most events in them: more are no picture, and the list has them all.
const MOST: (usize, usize) = (60, 1000);

/// About how many times the axis has.
const TIMES: i64 = 12;

const DAY: i64 = 86_400;

/// How high an event stands, and where its upper edge is, in pixels of a lane of 16.
fn height(severity: Severity) -> (i64, i64) {
    match severity {
        Severity::Bad | Severity::NotCollected => (12, 2),
        Severity::Worse | Severity::Changed => (7, 7),
        Severity::Off => (3, 11),
    }
}

/// Returns the class of what an event is drawn with.
fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Bad => "bad",
        Severity::Worse => "worse",
        Severity::NotCollected => "nothing",
        Severity::Off => "off",
        Severity::Changed => "changed",
    }
}

/// Returns the lanes; empty if nothing happened.
pub(super) fn lanes(happened: &Happened) -> String {
    let drawn = happened.events.len().min(MOST.1);
    let lanes = by_subject(&happened.events[..drawn]);
    if lanes.is_empty() {
        return String::new();
    }
    let mut html = String::with_capacity(1 << 13);
    html.push_str("<div class=\"box\"><table class=\"lanes\"><caption class=\"unseen\">When it happened, by subject</caption><thead><tr>");
    html.push_str("<th scope=\"col\">who</th><th scope=\"col\"><span class=\"unseen\">when, UTC</span>");
    axis(&mut html, happened);
    html.push_str("</th><th scope=\"col\">lasted</th></tr></thead>\n<tbody>\n");
    let mut names = HashMap::<_, usize>::new();
    for first in lanes.iter().filter_map(|events| events.first()) {
        *names.entry((first.system, first.subject.as_str())).or_default() += 1;
    }
    for events in lanes.iter().take(MOST.0) {
        let is_shared = |first: &&Event| names.get(&(first.system, first.subject.as_str())).is_some_and(|of| *of > 1);
        lane(&mut html, happened, events, events.first().is_some_and(is_shared));
    }
    html.push_str("</tbody></table></div>\n");
    if lanes.len() > MOST.0 || drawn < happened.events.len() {
        html.push_str("<p class=\"quiet\">Not all of them have a lane: choose a shorter range, or find one.</p>\n");
    }
    html
}

/// Returns the events of each subject; the subjects in the order of their first event.
fn by_subject(events: &[Event]) -> Vec<Vec<&Event>> {
    let mut lanes = Vec::<Vec<&Event>>::new();
    let mut places = HashMap::new();
    for event in events {
        let place =
            *places.entry((event.system, event.section.as_str(), event.subject.as_str())).or_insert_with(|| {
                lanes.push(Vec::new());
                lanes.len() - 1
            });
        lanes[place].push(event);
    }
    lanes
}

impl Happened<'_> {
    /// Returns where a time of the range stands, in percent.
    fn place(&self, time: i64) -> f64 {
        let (from, until) = self.range;
        let part = time.clamp(from, until).saturating_sub(from) as f64 / until.saturating_sub(from).max(1) as f64;
        // Two digits are a tenth of a pixel.
        (part * 10_000.0).round() / 100.0
    }
}

/// Writes the axis with its times, and what every lane uses: its lines, and the hatch of what was not collected.
fn axis(html: &mut String, happened: &Happened) {
    let (from, until) = happened.range;
    let times = ticks(from, until, TIMES);
    html.push_str("<svg aria-hidden=\"true\" focusable=\"false\"><defs><g id=\"lane-lines\">");
    let has_days = times.iter().any(|(time, _)| time.rem_euclid(DAY) != 0);
    for (time, _) in &times {
        let class = if has_days && time.rem_euclid(DAY) == 0 { " class=\"midnight\"" } else { "" };
        let _ = write!(html, "<line x1=\"{0}%\" x2=\"{0}%\" y2=\"16\"{class}/>", happened.place(*time));
    }
    html.push_str(
        "</g><pattern id=\"lane-hatch\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"2\" height=\"4\"/></pattern></defs>",
    );
    for (time, label) in &times {
        let place = happened.place(*time);
        // A label at the edge would leave the picture.
        let anchor = match place {
            ..3.0 => "start",
            97.0.. => "end",
            _ => "middle",
        };
        let _ = write!(html, "<text x=\"{place}%\" y=\"12\" text-anchor=\"{anchor}\">{label}</text>");
    }
    html.push_str("</svg>");
}

/// Writes the lane of a subject, with its grid if another one has such a subject.
fn lane(html: &mut String, happened: &Happened, events: &[&Event], is_shared: bool) {
    let Some(first) = events.first() else { return };
    let who = if is_shared { format!("{} of {}", first.subject, first.section) } else { first.subject.clone() };
    let worst = events.iter().map(|event| event.severity).min().unwrap_or(first.severity);
    let _ = write!(
        html,
        "<tr class=\"{}\"><th scope=\"row\"><a href=\"{}\" title=\"{2}\">{2}</a></th><td><svg aria-hidden=\"true\" \
         focusable=\"false\"><use href=\"#lane-lines\"/>",
        class(worst),
        address(first, Place::Events, happened.options, happened.now),
        escaped(&who),
    );
    // The worst is drawn last, over the others.
    let mut drawn = events.to_vec();
    drawn.sort_by_key(|event| std::cmp::Reverse(event.severity));
    for event in drawn {
        mark(html, happened, event);
    }
    let count = match events.len() {
        1 => String::new(),
        count => format!("<span class=\"unseen\">, the longest of {count}</span>"),
    };
    let longest =
        events.iter().max_by_key(|event| event.seconds(happened.now)).map(|event| lasted(event, happened.now));
    let _ = writeln!(html, "</svg></td><td>{}{count}</td></tr>", longest.unwrap_or_default());
}

/// Draws one event; its title says it at the pointer.
fn mark(html: &mut String, happened: &Happened, event: &Event) {
    let (class, (high, top)) = (class(event.severity), height(event.severity));
    let begin = happened.place(event.since);
    let title = format!("{}, {}", event.text, when(event));
    let title = escaped(&title);
    if event.until == Some(event.since) {
        let _ = write!(
            html,
            "<svg x=\"{begin}%\" overflow=\"visible\"><path class=\"{class}\" d=\"M0 4l4 4-4 4-4-4z\"><title>{title}</title></path></svg>"
        );
        return;
    }
    let end = happened.place(event.until.unwrap_or(happened.range.1));
    // A short one is seen too, also at the end of the range.
    let width = (end - begin).max(0.3);
    let begin = begin.min(100.0 - width);
    let _ = write!(
        html,
        "<rect class=\"{class}\" x=\"{begin:.2}%\" y=\"{top}\" width=\"{width:.2}%\" height=\"{high}\"><title>{title}</title></rect>"
    );
}
