//! Events as JSON, CSV and text.

use std::fmt::Write as _;

use serde::Serialize;

use super::now::{Entry, Now};
use super::rule::Severity;
use crate::model::Point;
use crate::text::{ago, count};

/// An event of a subject, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// The name of the system's page.
    pub system: &'static str,
    /// Its title.
    #[serde(skip)]
    pub title: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// Of whom.
    pub subject: String,
    /// Of which grid, where another one may have such a subject too; empty if the subject says it, or if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// What.
    #[serde(rename = "words")]
    pub text: String,
    /// How bad.
    pub severity: Severity,
    /// When it began, in unix seconds.
    pub since: i64,
    /// Whether it began then; else it was there already in the first value that was read.
    pub is_begin: bool,
    /// When it was over; `None` if it was not over at the end of the range.
    pub until: Option<i64>,
    /// The value before it, as text; empty if none is known.
    pub was: String,
    /// The worst value in it, as text.
    pub became: String,
    /// The Carbon path of the plot; empty if there is none.
    pub path: String,
    /// The page with that plot, relative to the root of cloud-monitor.
    pub plot: String,
    /// The series that it is found in.
    #[serde(skip)]
    pub series: Point,
    /// The tags of the series that name the subject.
    #[serde(skip)]
    pub names: &'static [&'static str],
}

/// Returns the address of a plot on its system's page, relative to the root. Both are safe: names of pages are declared,
/// paths have no character that an address cannot carry but a few, which are encoded.
pub(super) fn plot_address(system: &str, path: &str) -> String {
    let mut address = format!("pages/{system}/");
    if !path.is_empty() {
        address.push_str("?plot=");
        for byte in path.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => address.push(byte.into()),
                _ => {
                    let _ = write!(address, "%{byte:02X}");
                }
            }
        }
    }
    address
}

impl Event {
    /// Returns how long it lasted or has been going until `now`, in seconds.
    pub fn seconds(&self, now: i64) -> i64 {
        (self.until.unwrap_or(now) - self.since).max(0)
    }
}

/// Returns how long an event lasts as text: `20 min`, `over 3 h 5 min`; empty for one without a length.
pub fn lasted(event: &Event, now: i64) -> String {
    match event.seconds(now) {
        0 if event.until.is_some() => String::new(),
        seconds if event.is_begin => ago(seconds),
        seconds => format!("over {}", ago(seconds)),
    }
}

#[derive(Serialize)]
struct ProblemsJson<'a> {
    time: i64,
    count: usize,
    worst: Option<Severity>,
    checked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    problems: &'a [Entry],
    off: &'a [Event],
}

/// Returns the JSON of what is wrong now; `problem` says why it could not be read anew.
pub fn write_json(now: &Now, problem: Option<&str>) -> String {
    let json = ProblemsJson {
        time: now.time,
        count: now.entries.len(),
        worst: now.worst(),
        checked: now.checked,
        notice: now.notice.as_deref(),
        problem,
        problems: &now.entries,
        off: &now.off,
    };
    serde_json::to_string(&json).unwrap_or_default()
}

/// Returns events as CSV with a line of heads.
pub fn csv(events: &[Event], now: i64) -> String {
    let mut text = String::from("since,until,seconds,severity,system,rule,subject,what,was,became,path,section\n");
    let time = |time: Option<i64>| {
        time.map_or(String::new(), |time| {
            jiff::Timestamp::from_second(time).unwrap_or_default().strftime("%Y-%m-%d %H:%M:%S").to_string()
        })
    };
    for event in events {
        let seconds = event.seconds(now).to_string();
        let cells = [
            &time(Some(event.since)),
            &time(event.until),
            &seconds,
            event.severity.word(),
            event.system,
            event.rule,
            &event.subject,
            &event.text,
            &event.was,
            &event.became,
            &event.path,
            &event.section,
        ];
        let cells: Vec<_> = cells.into_iter().map(quoted).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// Returns a cell of CSV. One that a spreadsheet would take for a formula gets an apostrophe: names come from outside.
fn quoted(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.into() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Returns what a monitor's line says of it: the first few, and how many more.
pub fn nagios_text(now: &Now, named: usize) -> String {
    if now.entries.is_empty() {
        let off = if now.off.is_empty() { String::new() } else { format!(", {} off by intent", now.off.len()) };
        return match now.checked {
            0 => "nothing is stored that a rule could look at".into(),
            checked => format!("all well, {} checked{off}", count(checked, "number")),
        };
    }
    let text = |entry: &Entry| {
        let Entry { event, more, .. } = entry;
        let lasted = lasted(event, now.time);
        let since = if lasted.is_empty() { lasted } else { format!(" {lasted}") };
        let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} {}{since}{more}", entry.who(), event.text)
    };
    let mut said: Vec<_> = now.entries.iter().take(named).map(text).collect();
    let more = now.entries.len().saturating_sub(named);
    said.extend((more > 0).then(|| format!("{more} more")));
    said.join(", ")
}

#[cfg(test)]
impl Event {
    /// Makes up an event, for tests.
    pub(crate) fn made_up(subject: &str, since: i64, until: Option<i64>) -> Self {
        let series = Point::from_line("a b=1i 1").expect("a line");
        let [section, text, was, became, path, plot] = [const { String::new() }; 6];
        Self {
            system: "grids",
            title: "Grids",
            rule: "down",
            subject: subject.into(),
            severity: Severity::Bad,
            is_begin: true,
            names: &[],
            since,
            until,
            series,
            section,
            text,
            was,
            became,
            path,
            plot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_breaks_a_line_and_what_a_spreadsheet_would_compute() {
        assert_eq!(
            ["a", "a,b", "say \"x\"", "=1+1", "two\nlines"].map(quoted),
            ["a", "\"a,b\"", "\"say \"\"x\"\"\"", "'=1+1", "\"two\nlines\""]
        );
    }

    #[test]
    fn an_address_carries_every_path() {
        assert_eq!(plot_address("grids", "grids.a+b:c@d"), "pages/grids/?plot=grids.a%2Bb%3Ac%40d");
        assert_eq!(plot_address("grids", ""), "pages/grids/");
    }
}
