//! Elasticsearch: the sizes of datadisks, through Grafana's proxy, and the HS06 benchmarks of queues.
//!
//! Datadisks: `POST …/api/datasources/proxy/9023/_msearch`, a header line and a search, answered with
//!
//! ```text
//! {"responses": [{"status": 200, "timed_out": false, "_shards": {"failed": 0, …}, "aggregations": {"4": {"buckets": [
//!   {"key": "AGLT2_DATADISK", "1": {"value": 1559635.0}, "3": {"value": 2864830492252718.0}, …
//! ```
//!
//! The search asks for the days of the window apart, and takes the newest: documents of one snapshot need not carry one
//! timestamp. It avoids what Elasticsearch 8 and OpenSearch have dropped (`interval`, `order: _term`), so that it
//! needs Elasticsearch 7.2 or later, the first with `calendar_interval`, or any OpenSearch. An error comes with
//! HTTP 200 inside `responses`.
//!
//! Benchmarks: `POST …/benchmarks-*/_search`, at most 50 per queue, newest first. None has come since 2020.

#[cfg(feature = "elasticsearch")]
mod official;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kept::Kept;
use super::lenient::number_of;
use super::{not_json, parse_json, timeout};
use crate::config::{FreeKeys, Key, Kind, Section, Unset, Values};
use crate::os::http::{self, Client, Login, Url};
use crate::os::work::both;
use crate::problem::Problem;
use crate::text::quote;

/// `[credentials_monit_grafana]`.
pub const GRAFANA: Section = Section {
    free_keys: Some(OF_QMONIT),
    ..Section::new(
        "credentials_monit_grafana",
        "Asks an Elasticsearch behind CERN's Grafana for the sizes of datadisks. Without it none are asked for.",
        &[
            Key::new(
                "url",
                Kind::Url,
                Unset::Absent("https://monit-grafana.cern.ch/api/datasources/proxy/9023/_msearch"),
                "The whole address of its _msearch; …/proxy/uid/UID/_msearch in a current Grafana.",
            ),
            Key::new(
                "token",
                Kind::Secret,
                Unset::Absent("file:/etc/gridmon/grafana.token"),
                "The token of the service account that asks.",
            ),
        ],
    )
};

/// `[credentials_elasticsearch]`.
pub const ELASTICSEARCH: Section = Section {
    free_keys: Some(OF_QMONIT),
    ..Section::new(
        "credentials_elasticsearch",
        "Asks an Elasticsearch for the HS06 benchmarks of queues. Without it none are asked for.",
        &[
            Key::new(
                "host",
                Kind::Text,
                Unset::Absent("es.example.org"),
                "Its host, asked at https://HOST:9200, or its address.",
            ),
            Key::new("username", Kind::Text, Unset::Absent("monit"), "The login that it asks for."),
            Key::new(
                "password",
                Kind::Secret,
                Unset::Absent("file:/etc/gridmon/elasticsearch.password"),
                "The login that it asks for.",
            ),
        ],
    )
};

const OF_QMONIT: FreeKeys =
    FreeKeys { help: "Other keys of QMonit's config.cfg may stand here; they mean nothing.", examples: &[] };

/// How long an answer may take, in seconds: as long as Grafana waits for it, twice.
const TIMEOUT_SECONDS: u64 = 60;

/// What this module asks: each `None` if the config does not select it.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The address of the `_msearch` for datadisks, and its login.
    pub datadisks: Option<(Url, Login)>,
    /// The address of the Elasticsearch with the benchmarks, with a slash at its end, and its login.
    pub benchmarks: Option<(Url, Option<Login>)>,
}

impl Config {
    /// Reads `[credentials_monit_grafana]` and `[credentials_elasticsearch]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, or a login is not whole.
    pub fn read(grafana: &Values, elasticsearch: &Values) -> Result<Self> {
        let token = grafana.secret("token")?.map(|token| Login::bearer(&token.0));
        let token = token.transpose().map_err(|error| grafana.error("token", error))?;
        let datadisks = match (grafana.url("url")?, token) {
            (Some(url), Some(token)) => Some((url, token)),
            (Some(_), None) => return Err(grafana.error("url", anyhow!("needs token beside it"))),
            (None, _) => None,
        };
        let host = elasticsearch.text("host")?;
        let login = elasticsearch.login()?.map(|(username, password)| Login::basic(&username, &password.0));
        let login = login.transpose().map_err(|error| elasticsearch.error("password", error))?;
        let benchmarks = match host {
            Some(host) => Some((base_address(elasticsearch, &host)?, login)),
            None => None,
        };
        Ok(Self { datadisks, benchmarks })
    }
}

/// Where the benchmarks are.
const INDEX: &str = "benchmarks-*";

/// Returns the address of a host, or the address itself, with a slash at its end.
fn base_address(values: &Values, host: &str) -> Result<Url> {
    let base = if host.contains("://") {
        values.url("host")?.with_context(|| "it is there")?.to_string()
    } else {
        let is_name = host.chars().all(|c| c.is_alphanumeric() || ".-_:[]".contains(c));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { format!("https://{host}/") } else { format!("https://{host}:9200/") };
        let with_port = Some(with_port).filter(|_| is_name);
        with_port.ok_or_else(|| {
            values.error("host", anyhow!("is not the name of a host, nor an http:// or https:// address"))
        })?
    };
    let address = Url::parse(&format!("{}/", base.trim_end_matches('/')));
    address.map_err(|_| values.error("host", anyhow!("is not the name of a host, nor an http:// or https:// address")))
}

/// The size of a storage endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Datadisk {
    /// The endpoint's name (`data.rse`).
    pub rse: String,
    /// The bytes on it.
    pub bytes: i64,
    /// The files on it.
    pub files: i64,
}

/// The HS06 benchmark of a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// The queue's name in PanDA.
    pub queue: String,
    /// The mean of the measurements that count, in HS06.
    pub mean: f64,
    /// How many they are.
    pub measurements: usize,
}

/// The last good answers of Elasticsearch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The sizes of datadisks.
    pub datadisk: Kept<Datadisk>,
    /// The benchmarks of queues.
    pub benchmark: Kept<Benchmark>,
}

/// Asks for what the config selects and is due at `now`, at most until `until`, and renews the copies. What the config does
/// not select is empty. Returns what is missing.
pub fn collect(config: &Config, answers: &mut Answers, now: i64, until: Instant) -> Vec<Problem> {
    let Answers { datadisk, benchmark } = answers;
    let ask_datadisks = || match &config.datadisks {
        Some(asked) => collect_datadisks(asked, datadisk, now, until),
        None => {
            *datadisk = Kept::default();
            None
        }
    };
    let ask_benchmarks = || match &config.benchmarks {
        Some(asked) => collect_benchmarks(asked, benchmark, now, until),
        None => {
            *benchmark = Kept::default();
            None
        }
    };
    let (datadisks, benchmarks) = both(ask_datadisks, ask_benchmarks);
    [datadisks, benchmarks].into_iter().flatten().collect()
}

/// Asks for the sizes of datadisks alone, if the config selects them and they are due at `now`, and renews their copy.
/// Returns what is missing.
pub fn collect_sizes(config: &Config, kept: &mut Kept<Datadisk>, now: i64, until: Instant) -> Vec<Problem> {
    let Some(asked) = &config.datadisks else {
        *kept = Kept::default();
        return Vec::new();
    };
    collect_datadisks(asked, kept, now, until).into_iter().collect()
}

fn collect_datadisks(
    (url, token): &(Url, Login),
    kept: &mut Kept<Datadisk>,
    now: i64,
    until: Instant,
) -> Option<Problem> {
    let answer = if kept.is_due(now) { ask_datadisks(url, token, now, until) } else { return None };
    kept.renew(answer, now, ("datadisks", "datadisk"), "sizes of datadisks are missing")
}

fn ask_datadisks(url: &Url, token: &Login, now: i64, until: Instant) -> Result<Vec<Datadisk>> {
    let client = Client::new()?.accepting_json().with_login(Some(token.clone()));
    let answer = client.post_as("application/x-ndjson", url, msearch(now), timeout(TIMEOUT_SECONDS, until));
    datadisks(&answer.map_err(|error| explain(error, "[credentials_monit_grafana] token"))?)
}

fn collect_benchmarks(
    (url, login): &(Url, Option<Login>),
    kept: &mut Kept<Benchmark>,
    now: i64,
    until: Instant,
) -> Option<Problem> {
    let answer = if kept.is_due(now) { ask_benchmarks(url, login, now, until) } else { return None };
    kept.renew(answer, now, ("benchmarks", "benchmark"), "HS06_benchmark is 0 in this run")
}

fn ask_benchmarks(url: &Url, login: &Option<Login>, now: i64, until: Instant) -> Result<Vec<Benchmark>> {
    let answer = post_search(url, login.as_ref(), search(), timeout(TIMEOUT_SECONDS, until));
    benchmarks(&answer.map_err(|error| explain(error, "[credentials_elasticsearch] username and password"))?, now)
}

#[cfg(feature = "elasticsearch")]
use official::search as post_search;

#[cfg(not(feature = "elasticsearch"))]
fn post_search(base: &Url, login: Option<&Login>, body: Value, timeout: std::time::Duration) -> Result<Vec<u8>> {
    let client = Client::new()?.accepting_json().with_login(login.cloned());
    let address = base.join(&format!("{INDEX}/_search")).context("address of the search")?;
    client.post_as("application/json", &address, body.to_string(), timeout)
}

/// Adds what to do about an HTTP status.
fn explain(error: anyhow::Error, login: &str) -> anyhow::Error {
    match error.downcast_ref::<http::BadStatus>().map(|answer| answer.status) {
        Some(401 | 403) => anyhow!("{error:#}; it does not take the {login}"),
        _ => error,
    }
}

/// The newest and the oldest document of a search for datadisks, in seconds before the run.
const WINDOW: (i64, i64) = (12 * 3600, 36 * 3600);

/// The most storage endpoints; there are about a thousand.
const MOST_ENDPOINTS: u32 = 10_000;

/// Which documents count, as QMonit's dashboard asked for them.
const DOCUMENTS: &str = "data.account:* AND data.campaign:* AND data.country:* AND data.cloud:* AND data.datatype:* \
     AND data.datatype_grouped:* AND data.prod_step:* AND data.provenance:* AND data.rse:* AND data.scope:* \
     AND data.experiment_site:* AND data.stream_name:* AND data.tier:* \
     AND data.token:(\"ATLASDATADISK\" OR \"ATLASSCRATCHDISK\") \
     AND data.tombstone:(\"primary\" OR \"secondary\") AND NOT(data.tombstone:UNKNOWN) \
     AND data.rse:/.*().*/ AND NOT data.rse:/.*(none).*/";

/// Returns the search for datadisks of a run at `now`: two lines of JSON.
pub fn msearch(now: i64) -> String {
    let (newest, oldest) = WINDOW;
    let header = json!({
        "search_type": "query_then_fetch",
        "ignore_unavailable": true,
        "index": ["monit_prod_rucioacc_enr_site*"],
    });
    let (gte, lte) = ((now - oldest) * 1000, (now - newest) * 1000);
    let endpoints = json!({
        "terms": {"field": "data.rse", "size": MOST_ENDPOINTS, "min_doc_count": 1},
        "aggs": {"1": {"sum": {"field": "data.files"}}, "3": {"sum": {"field": "data.bytes"}}},
    });
    let days = json!({"field": "metadata.timestamp", "calendar_interval": "1d", "min_doc_count": 1});
    let body = json!({
        "size": 0,
        "query": {"bool": {"filter": [
            {"range": {"metadata.timestamp": {"gte": gte, "lte": lte, "format": "epoch_millis"}}},
            {"query_string": {"analyze_wildcard": true, "query": DOCUMENTS}},
        ]}},
        "aggs": {"days": {"date_histogram": days, "aggs": {"4": endpoints}}},
    });
    format!("{header}\n{body}\n")
}

/// Returns the search for benchmarks.
fn search() -> Value {
    json!({
        "size": 10_000,
        "query": {"match_all": {}},
        "collapse": {
            "field": "metadata.PanDAQueue",
            "inner_hits": {"name": "most_recent", "size": 50, "sort": [{"timestamp": "desc"}]},
        },
    })
}

/// Parses the answer to [`msearch`], or to one that does not ask for the days apart. Endpoints without numbers are passed
/// over.
///
/// # Errors
/// Fails if it is an error, holds only a part of the data, or has no endpoint.
pub fn datadisks(json: &[u8]) -> Result<Vec<Datadisk>> {
    let answer = read(json)?;
    let response = answer.pointer("/responses/0").context("the answer has no response")?;
    ensure_whole(response)?;
    let newest = response.pointer("/aggregations/days/buckets").and_then(Value::as_array).and_then(|days| {
        let has_some = |day: &&Value| endpoints(day).is_some_and(|endpoints| !endpoints.is_empty());
        let time = |day: &&Value| day.get("key").and_then(number_of).unwrap_or(f64::MIN);
        days.iter().filter(has_some).max_by(|one, other| time(one).total_cmp(&time(other)))
    });
    let aggregation = newest.or(response.get("aggregations")).context("the answer has no aggregations")?;
    let others = aggregation.pointer("/4/sum_other_doc_count").and_then(Value::as_i64).unwrap_or(0);
    ensure!(others == 0, "the answer lacks {others} documents of endpoints beyond its limit");
    let whole = |bucket: &Value, name: &str| {
        let number = number_of(bucket.pointer(&format!("/{name}/value"))?)?;
        (0.0..9e18).contains(&number).then_some(number as i64)
    };
    let disks: Vec<_> = endpoints(aggregation)
        .into_iter()
        .flatten()
        .filter_map(|bucket| {
            let rse = bucket.get("key")?.as_str()?.to_string();
            Some(Datadisk { rse, bytes: whole(bucket, "3")?, files: whole(bucket, "1")? })
        })
        .collect();
    ensure!(!disks.is_empty(), "the answer holds no endpoint with a size");
    Ok(disks)
}

/// Returns the endpoints of an aggregation.
fn endpoints(aggregation: &Value) -> Option<&Vec<Value>> {
    aggregation.pointer("/4/buckets").and_then(Value::as_array)
}

fn read(json: &[u8]) -> Result<Value> {
    let answer: Value = parse_json(json, |text| {
        let answer: Value = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
        ensure!(answer.is_object(), "the answer is not Elasticsearch's: {}", quote(text));
        Ok(answer)
    })?;
    if let Some(error) = answer.get("error") {
        bail!("Elasticsearch says: {}", quote(&reason(error)));
    }
    Ok(answer)
}

/// Fails if one response is an error or only a part of the data.
fn ensure_whole(response: &Value) -> Result<()> {
    if let Some(error) = response.get("error") {
        bail!("Elasticsearch says: {}", quote(&reason(error)));
    }
    let status = response.get("status").and_then(number_of).unwrap_or(200.0);
    ensure!((200.0..300.0).contains(&status), "Elasticsearch answers with status {status}");
    ensure!(
        response.get("timed_out") != Some(&Value::Bool(true)),
        "Elasticsearch ran out of time; the answer is a part"
    );
    let failed = response.pointer("/_shards/failed").and_then(Value::as_i64).unwrap_or(0);
    ensure!(failed == 0, "{failed} shards of Elasticsearch failed; the answer is a part");
    Ok(())
}

/// Returns the words of an error.
fn reason(error: &Value) -> String {
    let said = error.get("reason").or(error.get("type")).unwrap_or(error);
    said.as_str().map_or_else(|| said.to_string(), String::from)
}

const DAY: f64 = 86_400.0;

/// Parses the answer to the search for benchmarks: the mean of each queue's newest measurements at `now`. It may be empty.
///
/// # Errors
/// Fails if it is an error, holds only a part of the data, or has another shape.
pub fn benchmarks(json: &[u8], now: i64) -> Result<Vec<Benchmark>> {
    let answer = read(json)?;
    ensure_whole(&answer)?;
    let hits = answer.pointer("/hits/hits").and_then(Value::as_array).context("the answer has no hits")?;
    let mut by_queue = BTreeMap::new();
    for hit in hits {
        let queue = hit.pointer("/_source/metadata/PanDAQueue").and_then(Value::as_str);
        let inner = hit.pointer("/inner_hits/most_recent/hits/hits").and_then(Value::as_array);
        if let (Some(queue), Some(inner)) = (queue, inner)
            && let Some((mean, measurements)) = mean(inner, now)
        {
            by_queue.entry(queue).or_insert(Benchmark { queue: queue.into(), mean, measurements });
        }
    }
    Ok(by_queue.into_values().collect())
}

/// Returns the mean of the measurements that count and their number: all of the last two days, up to 30 of the last week,
/// up to 10 of any age; `None` if there is none. What is later than `now` is younger than two days: a run of `--now` asks what came
/// since.
fn mean(hits: &[Value], now: i64) -> Option<(f64, usize)> {
    let measurement = |hit: &Value| {
        let time = hit.pointer("/_source/timestamp")?.as_str()?;
        let in_utc = || time.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        let time = time.parse::<Timestamp>().ok().or_else(in_utc)?;
        let value = hit.pointer("/_source/profiles/fastBmk/value").filter(|value| value.is_number())?;
        Some((time.as_nanosecond() as f64 / 1e9, number_of(value)?))
    };
    let mut newest_first: Vec<_> = hits.iter().filter_map(measurement).collect();
    newest_first.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut sum, mut taken) = (0.0, 0);
    for (time, value) in newest_first {
        let age = now as f64 - time;
        let most = match age {
            _ if age < 2.0 * DAY => usize::MAX,
            _ if age < 7.0 * DAY => 30,
            _ => 10,
        };
        if taken < most {
            (sum, taken) = (sum + value, taken + 1);
        }
    }
    let mean = sum / taken as f64;
    // Of none it is no number, and of some beyond all floats.
    mean.is_finite().then_some((mean, taken))
}

/// Queries what the config selects; returns the lines for `--check`.
pub fn check(config: &Config, now: i64, until: Instant) -> Vec<(String, Result<String, String>)> {
    let mut lines = Vec::new();
    if let Some((url, token)) = &config.datadisks {
        let answer =
            ask_datadisks(url, token, now, until).map(|disks| format!("{} endpoints with a size", disks.len()));
        lines.push(("datadisks".to_string(), answer.map_err(|error| format!("{error:#}"))));
    }
    if let Some((url, login)) = &config.benchmarks {
        let answer = ask_benchmarks(url, login, now, until).map(|all| format!("{} queues with a benchmark", all.len()));
        lines.push(("benchmarks".to_string(), answer.map_err(|error| format!("{error:#}"))));
    }
    lines
}

/// Returns what the servers that the config selects call their versions, each by its name; `None` for one that does not tell.
pub fn versions(config: &Config, until: Instant) -> Vec<(&'static str, Option<String>)> {
    let ask = |address: Url, login: Option<&Login>, at: &str| {
        let client = Client::new().ok()?.accepting_json().with_login(login.cloned());
        version(&client.get(&address, timeout(TIMEOUT_SECONDS, until)).ok()?, at)
    };
    let mut told = Vec::new();
    if let Some((url, token)) = &config.datadisks {
        // Grafana passes a GET on to the Elasticsearch behind it, and tells its own version to everybody.
        let behind = url.join(".").ok().and_then(|base| ask(base, Some(token), "/version/number"));
        told.push(("Elasticsearch of datadisks", behind));
        if let Some((before, _)) = url.as_str().split_once("/api/datasources/") {
            let health = Url::parse(&format!("{before}/api/health")).ok();
            told.push(("Grafana", health.and_then(|health| ask(health, None, "/version"))));
        }
    }
    if let Some((base, login)) = &config.benchmarks {
        told.push(("Elasticsearch of benchmarks", ask(base.clone(), login.as_ref(), "/version/number")));
    }
    told
}

/// Returns the version that stands in an answer, with the name of what is not Elasticsearch: `OpenSearch` calls itself `opensearch`.
fn version(json: &[u8], at: &str) -> Option<String> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let number = answer.pointer(at)?.as_str()?;
    let name = answer.pointer("/version/distribution").and_then(Value::as_str);
    let text = name.map_or(number.to_string(), |name| format!("{number} ({name})"));
    (text.len() < 60 && !text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/panda/es");
        std::fs::read(folder.join(name)).unwrap()
    }

    fn seconds(clock: &str) -> i64 {
        clock.parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp().as_second()
    }

    /// The recorded answer at clocks at which its measurements are hours, days and years old.
    #[test]
    fn benchmarks_are_those_of_the_original_at_any_age() {
        let expected: Value = serde_json::from_slice(&recorded("es_golden.json")).unwrap();
        let answer = recorded("test_input_elasticsearch_benchmarks.json");
        for (clock, queues) in expected.as_object().unwrap() {
            let found = benchmarks(&answer, seconds(clock)).unwrap();
            assert_eq!(found.len(), queues.as_object().unwrap().len(), "{clock}");
            for Benchmark { queue, mean, measurements } in found {
                let (of, count) = (queues[&queue]["avg_value"].as_f64().unwrap(), &queues[&queue]["measurements"]);
                assert!(
                    (mean - of).abs() < 1e-9 && *count == measurements,
                    "{clock} {queue}: {mean} of {measurements}"
                );
            }
        }
    }

    #[test]
    fn how_many_measurements_count_goes_by_their_age() {
        let now = 1_717_245_000;
        let hits = |ages: &[(f64, usize)]| -> Vec<Value> {
            let hit = |age: f64| {
                let time = Timestamp::from_second(now - (age * DAY) as i64).unwrap();
                serde_json::json!({ "_source": { "timestamp": time.to_string(), "profiles": { "fastBmk": { "value": age } } } })
            };
            ages.iter().flat_map(|(age, count)| std::iter::repeat_with(move || hit(*age)).take(*count)).collect()
        };
        for (ages, counted) in [
            // Below two days all count, at two days exactly up to 30, at seven exactly up to 10.
            (&[(1.0, 40)][..], 40),
            (&[(2.0, 40)], 30),
            (&[(6.9, 40)], 30),
            (&[(7.0, 40)], 10),
            (&[(1.0, 35), (3.0, 5)], 35),
            (&[(1.0, 28), (3.0, 5)], 30),
            (&[(3.0, 8), (9.0, 5)], 10),
            (&[(400.0, 3)], 3),
            // What came after the run's clock.
            (&[(-3.0, 40), (3.0, 4)], 40),
            (&[(-3.0, 4), (3.0, 4)], 8),
        ] {
            assert_eq!(mean(&hits(ages), now).map(|mean| mean.1), Some(counted), "{ages:?}");
        }
        assert_eq!(mean(&hits(&[(-1.0, 4)]), now), Some((-1.0, 4)));
        let odd = serde_json::json!([
            { "_source": { "timestamp": "2024-05-31T12:00:00Z", "profiles": { "fastBmk": { "value": "7" } } } },
            { "_source": { "timestamp": "2024-05-31T12:00:00Z", "profiles": {} } },
            { "_source": { "timestamp": "yesterday", "profiles": { "fastBmk": { "value": 7 } } } },
            { "_source": { "timestamp": "2024-05-31T12:00:00", "profiles": { "fastBmk": { "value": 9.5 } } } },
        ]);
        assert_eq!(mean(odd.as_array().unwrap(), now), Some((9.5, 1)), "only a number with a time counts");
        let huge = serde_json::json!({ "_source": { "timestamp": "2024-05-31T12:00:00", "profiles": { "fastBmk": { "value": 1.7e308 } } } });
        assert_eq!(mean(&[huge.clone(), huge], now), None, "no float holds their sum");
        assert_eq!(mean(&[], now), None);
    }

    #[test]
    fn sizes_are_those_that_the_original_kept() {
        let expected: Value = serde_json::from_slice(&recorded("test_output_grafana_datadisks.json")).unwrap();
        let found = datadisks(&recorded("test_input_grafana_datadisks.json")).unwrap();
        let found: serde_json::Map<_, _> = found
            .into_iter()
            .map(|Datadisk { rse, bytes, files }| (rse, serde_json::json!({ "bytes": bytes, "files": files })))
            .collect();
        assert_eq!(Value::Object(found), expected);
    }

    #[test]
    fn an_answer_without_data_is_an_error_whatever_its_status() {
        for (answer, said) in [
            (recorded("msearch_error_response.json"), "Elasticsearch says: \"no such index\""),
            (recorded("msearch_empty_response.json"), "the answer holds no endpoint with a size"),
            (br#"{"responses": []}"#.to_vec(), "the answer has no response"),
            (br#"{"took": 5}"#.to_vec(), "the answer has no response"),
            (br#"{"responses": [{"status": 200}]}"#.to_vec(), "the answer has no aggregations"),
            (b"[]".to_vec(), "the answer is not Elasticsearch's: \"[]\""),
        ] {
            assert_eq!(datadisks(&answer).unwrap_err().to_string(), said);
        }
        // A bucket without sums is passed over, the others count.
        let answer = br#"{"responses": [{"aggregations": {"4": {"buckets": [
            {"key": "A_DATADISK", "1": {"value": null}, "3": {"value": 5.0}},
            {"key": "B_DATADISK"},
            {"key": "C_DATADISK", "1": {"value": 2.0}, "3": {"value": 7.0}}
        ]}}}]}"#;
        let found = datadisks(answer).unwrap();
        assert_eq!(found, [Datadisk { rse: "C_DATADISK".into(), bytes: 7, files: 2 }]);
    }

    #[test]
    fn of_several_days_the_newest_with_endpoints_counts() {
        let bucket = |bytes: i64| serde_json::json!({ "key": "A", "1": { "value": 1 }, "3": { "value": bytes } });
        // A key may come as a float, as sums do.
        for key in [|day: i64| serde_json::json!(day), |day: i64| serde_json::json!(day as f64)] {
            let day = |at: i64, buckets: Vec<Value>| serde_json::json!({ "key": key(at), "4": { "buckets": buckets } });
            let days = [day(2, vec![bucket(20)]), day(3, Vec::new()), day(1, vec![bucket(10)])];
            let answer = |status: i64| {
                let response = serde_json::json!({ "status": status, "aggregations": { "days": { "buckets": days } } });
                datadisks(serde_json::json!({ "responses": [response] }).to_string().as_bytes())
            };
            assert_eq!(answer(200).unwrap()[0].bytes, 20);
            assert_eq!(answer(500).unwrap_err().to_string(), "Elasticsearch answers with status 500");
        }
    }
}
