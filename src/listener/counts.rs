//! Counts of what was received, `/metrics` in Prometheus's text format, and what the next report must say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::problem::Problem;
use crate::sources::agents::Refused;
use crate::text::count;

/// The counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    /// Requests by route and status.
    requests: BTreeMap<(&'static str, u16), u64>,
    /// Points that became safe, by how they came.
    points: BTreeMap<&'static str, u64>,
    /// What was refused, by how it came.
    refused: BTreeMap<&'static str, u64>,
    /// Connections that were ended because of what they sent.
    ended: u64,
    /// By how it came, what was refused since the last report, and from whom.
    news: BTreeMap<&'static str, (Refused, Option<IpAddr>)>,
}

impl Counts {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn request(&self, route: &'static str, status: u16) {
        *self.all().requests.entry((route, status)).or_default() += 1;
    }

    pub fn safe(&self, how: &'static str, points: usize) {
        *self.all().points.entry(how).or_default() += points as u64;
    }

    pub fn refused(&self, how: &'static str, client: IpAddr, refused: &Refused) {
        if refused.count == 0 {
            return;
        }
        let mut all = self.all();
        *all.refused.entry(how).or_default() += refused.count as u64;
        let (news, from) = all.news.entry(how).or_default();
        news.merge(refused.clone());
        from.get_or_insert(client);
    }

    /// A connection was ended because of what it sent.
    pub fn ended(&self, how: &'static str, client: IpAddr, why: &str) {
        self.all().ended += 1;
        self.refused(how, client, &Refused { count: 1, reasons: vec![format!("its connection was ended: {why}")] });
    }

    /// Returns what was refused since this was called last.
    pub fn problems(&self) -> Vec<Problem> {
        let news = std::mem::take(&mut self.all().news);
        let told = news.into_iter().map(|(how, (refused, from))| {
            let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
            let first = refused.reasons.first().map(String::as_str).unwrap_or_default();
            Problem::of_source(how, format!("{} refused; the first{from}: {first}", count(refused.count, "thing")))
        });
        told.collect()
    }

    /// Returns all metrics; `gauges` are names, help and values.
    pub fn metrics(&self, gauges: &[(&str, &str, u64)]) -> String {
        let all = self.all();
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, lines: Vec<(String, u64)>| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in lines {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let requests = all.requests.iter();
        let requests = requests
            .map(|((route, status), count)| (format!("{{route=\"{route}\",status=\"{status}\"}}"), *count))
            .collect();
        metric("qmaster_requests_total", "counter", "Requests that were answered.", requests);
        let by = |counts: &BTreeMap<&'static str, u64>| -> Vec<_> {
            counts.iter().map(|(how, count)| (format!("{{from=\"{how}\"}}"), *count)).collect()
        };
        metric("qmaster_points_total", "counter", "Points that were received and are safe.", by(&all.points));
        metric("qmaster_refused_total", "counter", "Lines, values and messages that were refused.", by(&all.refused));
        let ended = vec![(String::new(), all.ended)];
        metric("qmaster_connections_ended_total", "counter", "Connections ended because of what they sent.", ended);
        for (name, help, value) in gauges {
            metric(name, "gauge", help, vec![(String::new(), *value)]);
        }
        text
    }
}
