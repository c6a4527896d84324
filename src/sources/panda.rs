//! PanDA: its counts of jobs by queue, production source, resource type and status.
//!
//! `GET …/api/v1/statistics/job_stats_by_site_share_and_resource_type?time_window=10`, answered by the JEDI server
//! (panda-server of 2026) with
//!
//! ```text
//! {"success": true, "message": "", "data": {"AGLT2": {"managed": {"MCORE": {"assigned": 0, "running": 1034, …
//! ```
//!
//! It answers in JSON only to exactly `Accept: application/json` (else in Python's spelling), and says with HTTP 200 that
//! it failed: the envelope is judged. The retired `/server/panda/get_job_statistics_per_site_label_resource` answered the
//! inner object alone, which is accepted too. An empty database is `success: false`.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{CA, CERTIFICATE, KEY, not_json, parse_json, read_tls, timeout};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::http::{self, Tls, Url};
use crate::problem::Problem;
use crate::text::quote;

/// `[panda]`.
pub const SECTION: Section = Section::new(
    "panda",
    "Asks PanDA how many jobs each of its queues has, and says how long a run of a PanDA program may take.",
    &[
        Key::deadline("240"),
        Key::new(
            "url",
            Kind::Url,
            Unset::Default(
                "http://pandaserver.cern.ch:25080/api/v1/statistics/job_stats_by_site_share_and_resource_type",
            ),
            "The whole address of the counts; time_window=10 is added to it. Also the retired address, or any that answers \
             in either shape. https://pandaserver.cern.ch:25443 needs a ca.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("60"),
            "How long the answer may take, in seconds.",
        ),
        Key::new(
            "suspicious_score",
            Kind::Decimal { least: 0.5, most: 1000.0, unit: "deviations" },
            Unset::Default("5"),
            "The score from which on the dashboard calls a queue or site suspicious.",
        ),
        CA,
        CERTIFICATE,
        KEY,
    ],
)
.owning(&["collect-panda", "write-datadisk", "downsample-1h", "downsample-1d"]);

/// `[panda]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the counts, with the time window.
    pub url: Url,
    /// The time limit of the answer, in seconds; 60 by default.
    pub timeout_seconds: u64,
    /// The deadline of a run, in seconds; 240 by default.
    pub deadline_seconds: u64,
    /// The score from which on a queue or site is suspicious; 5 by default.
    pub suspicious_score: f64,
    /// Whom the connection trusts.
    pub tls: Tls,
}

/// The minutes before the run in which jobs that ended are counted.
const TIME_WINDOW: &str = "10";

impl Config {
    /// Reads `[panda]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        let mut url = values.url("url")?.context("[panda] url has a default")?;
        if !url.query_pairs().any(|(name, _)| name == "time_window") {
            url.query_pairs_mut().append_pair("time_window", TIME_WINDOW);
        }
        Ok(Self {
            url,
            timeout_seconds: values.number("timeout_seconds")?,
            deadline_seconds: values.number("deadline_seconds")?,
            suspicious_score: values.decimal("suspicious_score")?,
            tls: read_tls(values)?,
        })
    }
}

/// An answer of PanDA.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The counts, in the order of the answer.
    pub groups: Vec<Group>,
    /// The counts that are none. If there are some, the answer is not whole.
    pub odd: Vec<Odd>,
}

/// The jobs of one queue, production source and resource type.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The PanDA queue (PanDA's `site`).
    pub queue: String,
    /// The production source: a label that comes from the global share.
    pub prod_source: String,
    /// The resource type; PanDA's `null` is the text `null`.
    pub resource: String,
    /// The number of jobs by status.
    pub counts: Vec<(Arc<str>, i64)>,
}

/// A count that is no whole number from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Odd {
    /// Queue, production source, resource type and status.
    pub key: [String; 4],
    /// What stands there.
    pub what: String,
}

impl Statistics {
    /// Returns the number of counts.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.counts.len()).sum()
    }
}

/// The part of PanDA that fails while any count is odd, whichever it is.
const COUNTS: &str = "counts of panda";

/// The most odd counts that are named one by one.
const MOST_NAMED: usize = 100;

/// Queries PanDA, at most until `until`. Returns its answer, unless it does not answer, and what is missing.
pub fn collect(config: &Config, until: Instant) -> (Option<Statistics>, Vec<Problem>) {
    match fetch(config, until).and_then(|json| parse(&json)) {
        Ok(statistics) => {
            let problems = odd_problems(&statistics.odd);
            (Some(statistics), problems)
        }
        Err(error) => (None, vec![Problem::of_source("panda", format!("{error:#}; no job counts in this run"))]),
    }
}

/// Returns the problems of odd counts, each by name.
fn odd_problems(odd: &[Odd]) -> Vec<Problem> {
    let mut problems: Vec<_> = odd
        .iter()
        .take(MOST_NAMED)
        .map(|Odd { key, what }| {
            let name = key.join("/").replace(char::is_whitespace, "_");
            // A name with a blank or slash is not seen in the others'.
            let is_plain = key.iter().all(|part| !part.contains(|c: char| c.is_whitespace() || c == '/'));
            let names = if is_plain {
                String::new()
            } else {
                format!(" ({})", key.each_ref().map(|part| quote(part)).join(", "))
            };
            let message = format!("is {what}, no number of jobs{names}; it is left out, and the answer is not whole");
            Problem::of_source(format!("count {name}"), message).counting_as(COUNTS)
        })
        .collect();
    if odd.len() > MOST_NAMED {
        let more = odd.len() - MOST_NAMED;
        problems.push(Problem::of_source(COUNTS, format!("{more} more are no numbers of jobs; they are left out")));
    }
    problems
}

fn fetch(config: &Config, until: Instant) -> Result<Vec<u8>> {
    let client = http::Client::trusting(&config.tls)?.accepting_json();
    client.get(&config.url, timeout(config.timeout_seconds, until)).map_err(|error| explain(error, &config.url))
}

/// Adds what to do about an HTTP status.
fn explain(error: anyhow::Error, url: &Url) -> anyhow::Error {
    let is_retired = url.path().contains("get_job_statistics_per_site_label_resource");
    match error.downcast_ref::<http::BadStatus>().map(|answer| answer.status) {
        Some(403 | 404) if is_retired => anyhow!(
            "{error:#}; PanDA has retired this address: set [panda] url to …/api/v1/statistics/job_stats_by_site_share_and_resource_type"
        ),
        Some(301..=308) => anyhow!("{error:#}; set [panda] url to the address itself"),
        _ => error,
    }
}

/// Parses an answer, with or without its envelope. Invalid UTF-8 becomes U+FFFD.
///
/// # Errors
/// Fails if the answer is not JSON, says that PanDA failed, holds no count, or has another shape.
pub fn parse(json: &[u8]) -> Result<Statistics> {
    parse_json(json, parse_text)
}

fn parse_text(text: &str) -> Result<Statistics> {
    let read = |read_data: bool| -> Result<Answer, anyhow::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let answer = json.deserialize_map(AnswerVisitor { reads_data: read_data });
        answer.and_then(|answer| json.end().map(|()| answer)).map_err(|error| misshapen(text, &error))
    };
    let mut answer = read(false)?;
    let statistics = match answer.success {
        // The retired address answers without an envelope; there could be a queue of that name.
        Flag::Absent | Flag::Object => {
            let Data(statistics) = serde_json::from_str(text).map_err(|error| misshapen(text, &error))?;
            let has_any = statistics.count() > 0 || statistics.odd.is_empty();
            ensure!(has_any, "the answer is not PanDA's statistics: no count in it is a number: {}", quote(text));
            statistics
        }
        Flag::Is(false) => bail!("PanDA says that it failed: {}", quote(&answer.message.unwrap_or_default())),
        Flag::Is(true) => {
            if answer.is_skipped {
                answer = read(true)?;
            }
            answer.data.context("the answer has no data")?.0
        }
        Flag::Other => bail!("the answer's success is neither true nor false: {}", quote(text)),
    };
    ensure!(statistics.count() + statistics.odd.len() > 0, "the answer holds no counts: {}", quote(text));
    Ok(statistics)
}

fn misshapen(text: &str, error: &serde_json::Error) -> anyhow::Error {
    if error.is_data() {
        return anyhow!("the answer is not PanDA's statistics: {}: {error}", quote(text));
    }
    not_json(text, error)
}

/// An answer, as far as an envelope has it.
#[derive(Default)]
struct Answer {
    success: Flag,
    message: Option<String>,
    data: Option<Data>,
    /// Whether data stand before the word of success, and were not read.
    is_skipped: bool,
}

struct AnswerVisitor {
    /// Whether data are read though nothing has said yet that they are some.
    reads_data: bool,
}

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let (mut answer, mut found) = (Answer::default(), [false; 3]);
        while let Some(key) = map.next_key::<String>()? {
            let place = ["success", "message", "data"].iter().position(|name| **name == key);
            if place.is_some_and(|at| std::mem::replace(&mut found[at], true)) {
                return Err(A::Error::custom(format_args!("{key} stands there twice")));
            }
            match place {
                Some(0) => answer.success = map.next_value()?,
                Some(1) => answer.message = map.next_value::<Scalar>()?.text(),
                Some(_) if self.reads_data || matches!(answer.success, Flag::Is(true)) => {
                    answer.data = map.next_value()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    answer.is_skipped |= place.is_some();
                }
            }
        }
        Ok(answer)
    }
}

/// What stands as `success`.
#[derive(Default)]
enum Flag {
    #[default]
    Absent,
    Is(bool),
    Object,
    Other,
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(match Scalar::deserialize(json)? {
            Scalar::Bool(is) => Self::Is(is),
            Scalar::Object => Self::Object,
            _ => Self::Other,
        })
    }
}

/// The counts of an answer.
struct Data(Statistics);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut statistics = Statistics::default();
        Level { above: &mut Vec::new(), statistics: &mut statistics }.deserialize(json)?;
        Ok(Self(statistics))
    }
}

/// One level of the counts: the queues, or what stands below the names `above`.
struct Level<'a> {
    above: &'a mut Vec<String>,
    statistics: &'a mut Statistics,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "an object of {}",
            ["queues", "production sources", "resource types", "counts"][self.above.len().min(3)]
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let [queue, prod_source, resource] = self.above.as_slice() else {
            while let Some(name) = map.next_key()? {
                self.above.push(name);
                map.next_value_seed(Level { above: self.above, statistics: self.statistics })?;
                self.above.pop();
            }
            return Ok(());
        };
        // Every group has the same statuses, as a rule in one order.
        let before = self.statistics.groups.last().map_or(&[][..], |group| &group.counts);
        let mut counts = Vec::with_capacity(before.len());
        while let Some(status) = map.next_key_seed(Status(before.get(counts.len()).map(|(status, _)| status)))? {
            match map.next_value::<Scalar>()?.count() {
                Ok(count) => counts.push((status, count)),
                Err(what) => {
                    let key = [queue.clone(), prod_source.clone(), resource.clone(), status.to_string()];
                    self.statistics.odd.push(Odd { key, what });
                }
            }
        }
        let (queue, prod_source, resource) = (queue.clone(), prod_source.clone(), resource.clone());
        self.statistics.groups.push(Group { queue, prod_source, resource, counts });
        Ok(())
    }
}

/// A status, which shares the text of another one if it is equal.
struct Status<'a>(Option<&'a Arc<str>>);

impl<'de> DeserializeSeed<'de> for Status<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Arc<str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Status<'_> {
    type Value = Arc<str>;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a status")
    }

    fn visit_str<E>(self, status: &str) -> Result<Arc<str>, E> {
        Ok(self.0.filter(|other| ***other == *status).map_or_else(|| status.into(), Arc::clone))
    }
}

/// Any value, as far as it matters here.
#[derive(Debug)]
enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List,
    Object,
}

impl Scalar {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number of jobs, or what stands there instead of one.
    fn count(self) -> Result<i64, String> {
        Ok(match self {
            Self::Int(count) if count >= 0 => count,
            // A sum may come as 5.0. 2^63 is the first float that is too large.
            Self::Float(count) if count.fract() == 0.0 && (0.0..9_223_372_036_854_775_808.0).contains(&count) => {
                count as i64
            }
            Self::Null => return Err("null".into()),
            Self::Bool(is) => return Err(is.to_string()),
            Self::Int(count) => return Err(count.to_string()),
            Self::Float(count) => return Err(count.to_string()),
            Self::Text(text) => return Err(quote(&text)),
            Self::List => return Err("a list".into()),
            Self::Object => return Err("an object".into()),
        })
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(is))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number).map_or(Scalar::Text(number.to_string()), Scalar::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>().map_err(A::Error::custom)?.is_some() {}
        Ok(Scalar::Object)
    }
}

/// Queries PanDA; returns the lines for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<(String, Result<String, String>)> {
    let (statistics, problems) = collect(config, until);
    let answered = statistics.map(|statistics| {
        let mut queues: Vec<_> = statistics.groups.iter().map(|group| group.queue.as_str()).collect();
        queues.dedup();
        ("panda".to_string(), Ok(format!("{} queues, {} counts", queues.len(), statistics.count())))
    });
    let failed = problems.into_iter().map(|problem| (problem.subject.to_string(), Err(problem.message)));
    answered.into_iter().chain(failed).collect()
}
