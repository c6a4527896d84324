//! Counts of requests and store reads, and `/metrics` in Prometheus's text format.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Summary;
use super::room::Room;

/// The counts since the start.
#[derive(Default)]
pub(super) struct Counts {
    /// By route and status.
    requests: Mutex<HashMap<(&'static str, u16), Requests>>,
    /// Responses and summaries that were given again.
    pub(super) reused: AtomicU64,
    /// Reads of the store.
    pub(super) store_questions: AtomicU64,
    /// Reads of the store that failed.
    pub(super) store_failures: AtomicU64,
}

/// How many requests there were, and how long they took in all.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Requests {
    count: u64,
    microseconds: u64,
}

impl Counts {
    /// Counts an answered request.
    pub(super) fn request(&self, route: &'static str, status: u16, duration: Duration) {
        let mut requests = self.requests.lock().expect("nothing panics while it is held");
        let of_route = requests.entry((route, status)).or_default();
        of_route.count += 1;
        of_route.microseconds += u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    }

    /// Returns all metrics; `summary` is that of the first page, `now` in unix seconds.
    pub(super) fn metrics(&self, summary: &Summary, room: &Room, now: i64) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, lines: Vec<(String, String)>| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in lines {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let requests = self.requests.lock().expect("nothing panics while it is held").clone();
        let mut requests: Vec<_> = requests.into_iter().collect();
        requests.sort_unstable();
        let lines = |value: &dyn Fn(&Requests) -> String| {
            let label = |(route, status): (&str, u16)| format!("{{route=\"{route}\",status=\"{status}\"}}");
            requests.iter().map(|(of, requests)| (label(*of), value(requests))).collect()
        };
        let counts = lines(&|requests| requests.count.to_string());
        metric("cloud_monitor_requests_total", "counter", "Requests that were answered.", counts);
        let seconds = lines(&|requests| (requests.microseconds as f64 / 1e6).to_string());
        metric("cloud_monitor_request_seconds_total", "counter", "How long they took in all.", seconds);
        let count = |count: &AtomicU64| vec![(String::new(), count.load(Ordering::Relaxed).to_string())];
        metric("cloud_monitor_reused_total", "counter", "Answers that were made before.", count(&self.reused));
        let questions = count(&self.store_questions);
        metric("cloud_monitor_store_questions_total", "counter", "Questions to the store.", questions);
        let failures = count(&self.store_failures);
        metric("cloud_monitor_store_failures_total", "counter", "Those that it did not answer.", failures);
        let bytes = vec![(String::new(), room.taken().to_string())];
        metric("cloud_monitor_answer_bytes", "gauge", "Bytes of answers that are kept or on their way.", bytes);
        let up = vec![(String::new(), u8::from(summary.problem.is_none()).to_string())];
        metric("cloud_monitor_store_up", "gauge", "Whether it answered the last one about all grids.", up);
        let escaped = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let age = |section: &crate::view::table::Section| {
            (format!("{{grid=\"{}\"}}", escaped(&section.name)), now.saturating_sub(section.time).to_string())
        };
        let ages = summary.sections.iter().map(age).collect();
        metric("cloud_monitor_grid_age_seconds", "gauge", "Age of the newest number of a grid.", ages);
        text
    }
}
