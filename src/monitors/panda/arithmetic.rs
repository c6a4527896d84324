//! From PanDA's counts and CRIC's topology to points.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::measurements::{BENCHMARK, COREPOWER, JOB_COUNT, JOBS, PLEDGE, RESOURCE_FACTOR, SEQUENCE};
use crate::model::{Collected, Labels, Point, SECOND, Zeros, safe_text};
use crate::sources::cric::{Endpoint, Federation, Queue, Site};
use crate::sources::elastic::Benchmark;
use crate::sources::panda::{Group, Statistics};

/// What the points of a run are made of. What no run ever got is empty, except for the queues.
pub struct PandaInput<'a> {
    /// The run's clock, in unix seconds.
    pub now: i64,
    /// The slot, in unix nanoseconds.
    pub time: i64,
    /// PanDA's answer; `None` if it gave none.
    pub panda: Option<&'a Statistics>,
    /// CRIC's queues; `None` if no run ever got them.
    pub queues: Option<&'a [Queue]>,
    /// CRIC's sites.
    pub sites: &'a [Site],
    /// CRIC's storage endpoints.
    pub endpoints: &'a [Endpoint],
    /// CRIC's federations.
    pub federations: &'a [Federation],
    /// The benchmarks of queues.
    pub benchmarks: &'a [Benchmark],
}

/// Returns the points of a run: one per queue, production source, resource type and status. None without PanDA's answer, and
/// none if no run ever got CRIC's queues.
///
/// The answer is complete if it has no odd count.
pub fn points(input: &PandaInput) -> Collected {
    let (Some(panda), Some(queues)) = (input.panda, input.queues) else { return Collected::default() };
    let topology = Topology::new(input, queues);
    let sequence = input.now - input.time / SECOND;
    let mut points = Vec::with_capacity(panda.count());
    let mut described: Option<(&str, Description)> = None;
    for group in &panda.groups {
        let description = match described.take() {
            Some((name, description)) if name == group.queue => description,
            _ => topology.describe(&group.queue),
        };
        description.points(group, input.time, sequence, &mut points);
        described = Some((&group.queue, description));
    }
    Collected {
        points,
        complete: if panda.odd.is_empty() { vec![&JOBS] } else { Vec::new() },
        scope: Vec::new(),
        zeros: Zeros { offset: Some(offset_of), fields: vec![SEQUENCE.of(sequence)] },
        are_hourly: false,
    }
}

/// Returns how long after its slot the points of a series stand, in nanoseconds: the first nine digits of the MD5 sum of
/// the four names as a number, as QMonit made them. They keep series with equal tags apart in InfluxDB.
pub fn offset(queue: &str, prod_source: &str, resource: &str, status: &str) -> i64 {
    const DIGITS: u32 = 9;
    let mut sum = md5::Context::new();
    for name in [queue, prod_source, resource, status] {
        sum.consume(name);
    }
    let number = u128::from_be_bytes(sum.finalize().0);
    let beyond = number.checked_ilog10().unwrap_or(0).saturating_sub(DIGITS - 1);
    (number / 10_u128.pow(beyond)) as i64
}

/// Returns the offset of a point's series.
pub(super) fn offset_of(point: &Point) -> i64 {
    let tag = |name| point.tag(name).unwrap_or_default();
    offset(tag("panda_queue"), tag("prod_source"), tag("resource"), tag("job_status"))
}

/// A tag for a value that CRIC does not have.
const ABSENT: &str = "None";

/// A tag for a value that is empty.
const EMPTY: &str = "No value";

/// Returns the tag of a value of CRIC.
pub(super) fn tag(value: &Option<String>) -> &str {
    value.as_deref().map_or(ABSENT, name)
}

/// Returns the tag of a name that is there.
fn name(name: &str) -> &str {
    if name.is_empty() { EMPTY } else { name }
}

/// What CRIC and Elasticsearch say, by the names that join them.
struct Topology<'a> {
    queues: HashMap<&'a str, &'a Queue>,
    sites: HashMap<&'a str, &'a Site>,
    /// The server of each site: of its first endpoint by name that has one.
    fts_servers: HashMap<&'a str, &'a str>,
    /// The federations of each `rc_site` that may pledge to ATLAS, by name.
    federations: HashMap<&'a str, BTreeMap<&'a str, &'a Federation>>,
    benchmarks: HashMap<&'a str, f64>,
    /// The pledge year and the quarter of the run.
    quarter: (String, &'static str),
}

/// What a federation's name in the accounting holds if it pledges nothing to ATLAS.
const OF_OTHERS: [&str; 6] = ["CMS Federation", "LHCb Federation", "ALICE Federation", " CMS ", " LHCb ", " ALICE "];

impl<'a> Topology<'a> {
    fn new(input: &PandaInput<'a>, queues: &'a [Queue]) -> Self {
        let mut endpoints: Vec<_> = input
            .endpoints
            .iter()
            .filter_map(|endpoint| Some((endpoint, host(endpoint.master.as_deref()?)?)))
            .collect();
        endpoints.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let mut federations = HashMap::<_, BTreeMap<_, _>>::new();
        for federation in input.federations {
            let accounting = federation.accounting_name.as_deref().unwrap_or_default();
            if !OF_OTHERS.iter().any(|other| accounting.contains(other)) {
                for site in &federation.rcsites {
                    federations.entry(site.as_str()).or_default().entry(federation.name.as_str()).or_insert(federation);
                }
            }
        }
        // Of several with one name the first counts: what is inserted last stays.
        Self {
            queues: queues.iter().rev().map(|queue| (queue.panda_resource.as_str(), queue)).collect(),
            sites: input.sites.iter().rev().map(|site| (site.name.as_str(), site)).collect(),
            fts_servers: endpoints.into_iter().rev().map(|(endpoint, host)| (endpoint.site.as_str(), host)).collect(),
            federations,
            benchmarks: input.benchmarks.iter().rev().map(|one| (one.queue.as_str(), one.mean)).collect(),
            quarter: pledge_quarter(input.now),
        }
    }

    /// Returns what is known of a queue.
    fn describe(&self, name: &str) -> Description<'a> {
        let nothing = const { &Queue::NONE };
        let queue = self.queues.get(name).copied().unwrap_or(nothing);
        let atlas_site = queue.atlas_site.as_deref();
        let site = atlas_site.and_then(|name| self.sites.get(name));
        let frontier = site.and_then(|site| host(site.frontier.as_deref()?));
        let is_nucleus = site.is_some_and(|site| site.is_nucleus);
        let (pledge, pledge_type) = self.pledge(queue);
        let labels: [&str; 17] = [
            tag(&queue.atlas_site),
            tag(&queue.resource_type),
            tag(&queue.kind),
            tag(&queue.cloud),
            tag(&queue.country),
            tag(&queue.status),
            tag(&queue.tier),
            tag(&queue.pilot_manager),
            tag(&queue.pilot_version),
            frontier.unwrap_or(EMPTY),
            tag(&queue.harvester),
            tag(&queue.workflow),
            atlas_site.and_then(|name| self.fts_servers.get(name)).copied().unwrap_or(EMPTY),
            if is_nucleus { tag(&queue.atlas_site) } else { ABSENT },
            tag(&queue.container_type),
            tag(&queue.rc),
            &pledge_type,
        ];
        Description {
            queue,
            labels: JOBS.labels(labels),
            pledge,
            benchmark: self.benchmarks.get(name).copied().unwrap_or(0.0),
        }
    }

    /// Returns the CPU that the queue's federation pledges, and the tag of all that it pledges.
    fn pledge(&self, queue: &Queue) -> (i64, Cow<'static, str>) {
        let federations = queue.rc_site.as_deref().and_then(|site| self.federations.get(site));
        let in_quarter = |federation: &&'a Federation| federation.atlas.get(&self.quarter.0)?.get(self.quarter.1);
        let chosen = federations.and_then(|federations| {
            let own = queue.rc.as_deref().and_then(|name| federations.get(name));
            own.or_else(|| federations.values().find(|federation| in_quarter(federation).is_some()))
        });
        let Some(kinds) = chosen.and_then(in_quarter) else { return (0, Cow::Borrowed(ABSENT)) };
        let cpu = kinds.get("CPU").copied().unwrap_or(0.0);
        let named: Vec<_> = kinds.iter().map(|(kind, pledge)| format!("{pledge} ({kind})")).collect();
        ((cpu + 0.5).floor() as i64, Cow::Owned(named.join(";")))
    }
}

/// Returns the pledge year and quarter of a time: they begin in April.
fn pledge_quarter(now: i64) -> (String, &'static str) {
    let date = Timestamp::from_second(now).unwrap_or_default().to_zoned(TimeZone::UTC);
    let (year, month) = (i32::from(date.year()), date.month());
    match month {
        1..=3 => ((year - 1).to_string(), "Q4"),
        4..=6 => (year.to_string(), "Q1"),
        7..=9 => (year.to_string(), "Q2"),
        _ => (year.to_string(), "Q3"),
    }
}

/// Returns the host of an address, with or without its scheme, login and port; one of IPv6 without its brackets.
fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?.trim();
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split(']').next()?,
        None if authority.parse::<Ipv6Addr>().is_ok() => authority,
        None => authority.split(':').next()?.trim_end(),
    };
    Some(host).filter(|host| !host.is_empty())
}

/// What all points of a queue have in common.
struct Description<'a> {
    queue: &'a Queue,
    labels: Labels,
    pledge: i64,
    benchmark: f64,
}

/// Returns a name of PanDA as the points have it.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    safe_text(name(text))
}

/// Returns the cores of a job with this resource type in a queue.
pub(super) fn factor(resource: &str, queue: &Queue) -> f64 {
    match queue.corecount {
        _ if !resource.contains("MCORE") => 1.0,
        Some(cores) if cores > 0 => cores as f64,
        _ => CORES,
    }
}

/// The cores of a multi-core job where CRIC has no corecount.
const CORES: f64 = 8.0;

impl Description<'_> {
    fn points(&self, group: &Group, time: i64, sequence: i64, points: &mut Vec<Point>) {
        let queue = self.queue;
        // A name that no store can carry is changed here, so that the offset is that of the series as it is sent.
        let [panda_queue, prod_source, resource] =
            [&group.queue, &group.prod_source, &group.resource].map(|text| stored(text));
        let factor = factor(&group.resource, queue);
        for (status, jobs) in &group.counts {
            let job_status = stored(status);
            let keys = [&*panda_queue, &*prod_source, &*resource, &*job_status];
            let fields = [
                // By name, as a point has them.
                BENCHMARK.of(self.benchmark),
                COREPOWER.of(queue.corepower.unwrap_or(1.0)),
                PLEDGE.of(self.pledge),
                JOB_COUNT.of(*jobs),
                RESOURCE_FACTOR.of(factor),
                SEQUENCE.of(sequence),
            ];
            let offset = offset(&panda_queue, &prod_source, &resource, &job_status);
            points.push(JOBS.point_with(time + offset, keys, &self.labels, &fields));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_whole() {
        for (url, expected) in [
            ("http://atlasfrontier-ai.cern.ch:8000/atlr", Some("atlasfrontier-ai.cern.ch")),
            ("https://fts.example.org:8446", Some("fts.example.org")),
            ("squid.example.org", Some("squid.example.org")),
            ("squid.example.org:3128/x?y", Some("squid.example.org")),
            ("http://[2001:db8::17]:3128/atlr", Some("2001:db8::17")),
            ("[2001:db8::17]:3128", Some("2001:db8::17")),
            ("http://2001:db8::17/atlr", Some("2001:db8::17")),
            ("http://[::ffff:192.0.2.7]", Some("::ffff:192.0.2.7")),
            ("http://name:word@squid.example.org:3128", Some("squid.example.org")),
            ("http://squid.example.org?a@b", Some("squid.example.org")),
            (" http://squid.example.org :8000", Some("squid.example.org")),
            ("http://[", None),
            ("http://", None),
            ("", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
