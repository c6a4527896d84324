//! CRIC: the topology of the grid. Which queues, sites, storage endpoints and federations there are.
//!
//! `GET https://atlas-cric.cern.ch/api/atlas/pandaqueue/query/?json` and three more, each answered with one object of
//! records (CRIC of 2026; the recorded answers are of 2019, trimmed):
//!
//! ```text
//! {"AGLT2": {"atlas_site": "AGLT2", "cloud": "US", "corecount": 8, "corepower": 14.54, "panda_resource": "AGLT2", …
//! ```
//!
//! A queue's key is its nickname; PanDA knows it as `panda_resource`. Any value may be null or absent, and a record may be
//! odd: it is passed over. CRIC answers with half of its records or none while its database is in trouble, so an answer is
//! compared with the last good one ([`Kept`]).

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kept::Kept;
use super::lenient::{number, number_of, or_default, text_or_empty, texts, whole};
use super::{CA, CERTIFICATE, KEY, not_json, parse_json, read_tls, timeout};
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::http::{self, Client, Tls, Url};
use crate::os::work::both;
use crate::problem::Problem;
use crate::text::quote;

/// `[cric]`.
pub const SECTION: Section = Section::new(
    "cric",
    "Asks CRIC which queues, sites, storage endpoints and federations there are.",
    &[
        Key::new(
            "pandaqueue_url",
            Kind::Url,
            Unset::Default("https://atlas-cric.cern.ch/api/atlas/pandaqueue/query/?json"),
            "The queues of PanDA; asked in each run.",
        ),
        Key::new(
            "site_url",
            Kind::Url,
            Unset::Default("https://atlas-cric.cern.ch/api/atlas/site/query/?json"),
            "The sites; asked once an hour.",
        ),
        Key::new(
            "ddmendpoint_url",
            Kind::Url,
            Unset::Default("https://atlas-cric.cern.ch/api/atlas/ddmendpoint/query/?json"),
            "The storage endpoints; asked once an hour.",
        ),
        Key::new(
            "federation_url",
            Kind::Url,
            Unset::Default("https://wlcg-cric.cern.ch/api/core/federation/query/?json"),
            "The federations of sites, with their pledges; asked once an hour.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 3600),
            Unset::Default("60"),
            "How long each answer may take, in seconds.",
        ),
        CA,
        CERTIFICATE,
        KEY,
    ],
);

/// `[cric]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the queues.
    pub pandaqueue_url: Url,
    /// The address of the sites.
    pub site_url: Url,
    /// The address of the storage endpoints.
    pub ddmendpoint_url: Url,
    /// The address of the federations.
    pub federation_url: Url,
    /// The time limit of each answer, in seconds; 60 by default.
    pub timeout_seconds: u64,
    /// Whom the connections trust.
    pub tls: Tls,
}

impl Config {
    /// Reads `[cric]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind.
    pub fn read(values: &Values) -> Result<Self> {
        let url = |key| values.url(key)?.with_context(|| format!("[cric] {key} has a default"));
        Ok(Self {
            pandaqueue_url: url("pandaqueue_url")?,
            site_url: url("site_url")?,
            ddmendpoint_url: url("ddmendpoint_url")?,
            federation_url: url("federation_url")?,
            timeout_seconds: values.number("timeout_seconds")?,
            tls: read_tls(values)?,
        })
    }
}

/// A queue of PanDA. A null value is `None`, like an absent one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// The queue's name in PanDA.
    pub panda_resource: String,
    /// Its site in ATLAS (`atlas_site`).
    pub atlas_site: Option<String>,
    /// `unified`, `production`, `analysis`, `special`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The region of sites.
    pub cloud: Option<String>,
    /// `online`, `offline`, `test`, `brokeroff`, `paused`.
    pub status: Option<String>,
    /// The tier, `T2D`.
    pub tier: Option<String>,
    /// The country.
    pub country: Option<String>,
    /// `GRID`, `cloud`, `hpc`; not the resource type of a job.
    pub resource_type: Option<String>,
    /// Who starts pilots.
    pub pilot_manager: Option<String>,
    /// The pilot's version.
    pub pilot_version: Option<String>,
    /// The Harvester instance; may be empty.
    pub harvester: Option<String>,
    /// `pull`, `pull_ups`; may be empty.
    pub workflow: Option<String>,
    /// `singularity:pilot`; may be empty.
    pub container_type: Option<String>,
    /// The name of its federation.
    pub rc: Option<String>,
    /// Its site in the federations.
    pub rc_site: Option<String>,
    /// The cores of a multi-core job.
    pub corecount: Option<i64>,
    /// HS06 per core.
    pub corepower: Option<f64>,
    /// The storage endpoints that it reads (`astorages.read_lan`), in CRIC's order.
    pub read_lan: Vec<String>,
}

impl Queue {
    /// A queue that CRIC does not know.
    pub const NONE: Self = Self {
        panda_resource: String::new(),
        atlas_site: None,
        kind: None,
        cloud: None,
        status: None,
        tier: None,
        country: None,
        resource_type: None,
        pilot_manager: None,
        pilot_version: None,
        harvester: None,
        workflow: None,
        container_type: None,
        rc: None,
        rc_site: None,
        corecount: None,
        corepower: None,
        read_lan: Vec::new(),
    };
}

/// A site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// The first address of the first group of `fsconf.frontier`.
    pub frontier: Option<String>,
    /// Whether `datapolicies` names `Nucleus`.
    pub is_nucleus: bool,
}

/// A storage endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// The first address of `servedrestfts.MASTER`.
    pub master: Option<String>,
}

/// Pledges by year, quarter (`Q1`) and kind (`CPU`, `Disk`, `Tape`).
pub type Pledges = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

/// A federation of sites.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Federation {
    /// Its name.
    pub name: String,
    /// Its name in the accounting.
    pub accounting_name: Option<String>,
    /// Its sites, as the `rc_site` of queues names them.
    pub rcsites: Vec<String>,
    /// What it pledges to ATLAS.
    pub atlas: Pledges,
}

/// The last good answers of CRIC.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The queues.
    pub pandaqueue: Kept<Queue>,
    /// The sites.
    pub site: Kept<Site>,
    /// The storage endpoints.
    pub ddmendpoint: Kept<Endpoint>,
    /// The federations.
    pub federation: Kept<Federation>,
}

/// A kind of records, and how one is read.
trait Record: Sized {
    /// What CRIC writes; reading it never fails for the type of a value.
    type Raw: DeserializeOwned;
    /// The topic in CRIC's address, and the name of the copy.
    const TOPIC: &str;
    /// What a run without these records lacks.
    const MISSING: &str;

    /// Returns the record called `key`, unless it is odd.
    fn read(key: String, raw: Self::Raw) -> Option<Self>;
}

/// Asks CRIC for what is due at `now`, at most until `until`, and renews the copies. Returns what is missing.
pub fn collect(config: &Config, topology: &mut Topology, now: i64, until: Instant) -> Vec<Problem> {
    let client = Client::trusting(&config.tls).map(Client::accepting_json).map_err(|error| format!("{error:#}"));
    let cric = CricClient { client: client.as_ref(), timeout_seconds: config.timeout_seconds, now, until };
    let Topology { pandaqueue, site, ddmendpoint, federation } = topology;
    let ((queues, sites), (endpoints, federations)) = both(
        || both(|| cric.renew(&config.pandaqueue_url, pandaqueue, true), || cric.renew(&config.site_url, site, false)),
        || {
            both(
                || cric.renew(&config.ddmendpoint_url, ddmendpoint, false),
                || cric.renew(&config.federation_url, federation, false),
            )
        },
    );
    [queues, sites, endpoints, federations].into_iter().flatten().collect()
}

/// Asks CRIC for the queues alone, and renews their copy. Returns what is missing.
pub fn collect_queues(config: &Config, queues: &mut Kept<Queue>, now: i64, until: Instant) -> Vec<Problem> {
    let client = Client::trusting(&config.tls).map(Client::accepting_json).map_err(|error| format!("{error:#}"));
    let cric = CricClient { client: client.as_ref(), timeout_seconds: config.timeout_seconds, now, until };
    cric.renew(&config.pandaqueue_url, queues, true).into_iter().collect()
}

/// Asks CRIC in one run.
struct CricClient<'a> {
    client: Result<&'a Client, &'a String>,
    timeout_seconds: u64,
    now: i64,
    until: Instant,
}

impl CricClient<'_> {
    fn ask<T: Record>(&self, url: &Url) -> Result<Vec<T>> {
        let client = self.client.map_err(|error| anyhow!("{error}"))?;
        let json = client.get(url, timeout(self.timeout_seconds, self.until)).map_err(explain)?;
        parse(&json)
    }

    fn renew<T: Record>(&self, url: &Url, kept: &mut Kept<T>, in_each_run: bool) -> Option<Problem> {
        if !in_each_run && !kept.is_due(self.now) {
            return None;
        }
        let name = format!("cric {}", T::TOPIC);
        kept.renew(self.ask(url), self.now, (&name, T::TOPIC), T::MISSING)
    }

    fn check<T: Record>(&self, url: &Url) -> (String, Result<String, String>) {
        let answer = self.ask::<T>(url).map_err(|error| format!("{error:#}"));
        (format!("cric {}", T::TOPIC), answer.map(|records| format!("{} usable records", records.len())))
    }
}

/// Adds what to do about an HTTP status.
fn explain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<http::BadStatus>().map(|answer| answer.status) {
        Some(401 | 403) => anyhow!("{error:#}; it may want a client certificate: set [cric] certificate and key"),
        Some(301..=308) => anyhow!("{error:#}; set the address of [cric] to the page itself"),
        _ => error,
    }
}

/// Parses the queues of an answer.
///
/// # Errors
/// Fails if the answer is not a JSON object, or has no usable record. So do the three others.
pub fn queues(json: &[u8]) -> Result<Vec<Queue>> {
    parse(json)
}

/// Parses the sites of an answer.
///
/// # Errors
/// As [`queues`].
pub fn sites(json: &[u8]) -> Result<Vec<Site>> {
    parse(json)
}

/// Parses the storage endpoints of an answer.
///
/// # Errors
/// As [`queues`].
pub fn endpoints(json: &[u8]) -> Result<Vec<Endpoint>> {
    parse(json)
}

/// Parses the federations of an answer.
///
/// # Errors
/// As [`queues`].
pub fn federations(json: &[u8]) -> Result<Vec<Federation>> {
    parse(json)
}

fn parse<T: Record>(json: &[u8]) -> Result<Vec<T>> {
    parse_json(json, parse_text)
}

fn parse_text<T: Record>(text: &str) -> Result<Vec<T>> {
    let records: Records<T::Raw> = match serde_json::from_str(text) {
        // A record with a key twice, of which the last counts, as in Python. Values one by one are slower.
        Err(error) if error.to_string().starts_with("duplicate field") => serde_json::from_str(text).map(one_by_one),
        records => records,
    }
    .map_err(|error| match error.is_data() {
        true => anyhow!("the answer is not an object of records: {}: {error}", quote(text)),
        false => not_json(text, &error),
    })?;
    let records: Vec<T> = records.0.into_iter().filter_map(|(key, raw)| T::read(key, raw)).collect();
    ensure!(!records.is_empty(), "the answer has no usable record: {}", quote(text));
    Ok(records)
}

/// Reads records of which some have a key twice.
fn one_by_one<T: DeserializeOwned>(records: Records<serde_json::Map<String, Value>>) -> Records<T> {
    let read = |(key, record)| Some((key, serde_json::from_value(Value::Object(record)).ok()?));
    Records(records.0.into_iter().filter_map(read).collect())
}

/// The records of an answer by key, without those that are no objects.
struct Records<T>(BTreeMap<String, T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Records<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct ByKey<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for ByKey<T> {
            type Value = Records<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Records<T>, A::Error> {
                let mut records = BTreeMap::new();
                while let Some(key) = map.next_key()? {
                    if let Some(record) = map.next_value::<Object<T>>()?.0 {
                        records.insert(key, record);
                    }
                }
                Ok(Records(records))
            }
        }
        json.deserialize_map(ByKey(PhantomData))
    }
}

/// A record; `None` for a value that is no object.
struct Object<T>(Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AnyValue(PhantomData))
    }
}

struct AnyValue<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for AnyValue<T> {
    type Value = Object<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|record| Object(Some(record)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Object<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object(None))
    }

    fn visit_unit<E>(self) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
        Ok(Object(None))
    }
}

/// A queue as CRIC writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawQueue {
    #[serde(deserialize_with = "text_or_empty")]
    panda_resource: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    atlas_site: Option<String>,
    #[serde(rename = "type", deserialize_with = "text_or_empty")]
    kind: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    cloud: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    status: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    tier: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    country: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    resource_type: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    pilot_manager: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    pilot_version: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    harvester: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    workflow: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    container_type: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    rc: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    rc_site: Option<String>,
    #[serde(deserialize_with = "whole")]
    corecount: Option<i64>,
    #[serde(deserialize_with = "number")]
    corepower: Option<f64>,
    #[serde(deserialize_with = "or_default")]
    astorages: Storages,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Storages {
    #[serde(deserialize_with = "texts")]
    read_lan: Vec<String>,
}

impl Record for Queue {
    type Raw = RawQueue;
    const TOPIC: &str = "pandaqueue";
    const MISSING: &str = "without queues there are no points";

    fn read(_: String, raw: RawQueue) -> Option<Self> {
        Some(Self {
            panda_resource: raw.panda_resource.filter(|name| !name.is_empty())?,
            atlas_site: raw.atlas_site,
            kind: raw.kind,
            cloud: raw.cloud,
            status: raw.status,
            tier: raw.tier,
            country: raw.country,
            resource_type: raw.resource_type,
            pilot_manager: raw.pilot_manager,
            pilot_version: raw.pilot_version,
            harvester: raw.harvester,
            workflow: raw.workflow,
            container_type: raw.container_type,
            rc: raw.rc,
            rc_site: raw.rc_site,
            corecount: raw.corecount,
            corepower: raw.corepower,
            read_lan: raw.astorages.read_lan,
        })
    }
}

/// A site as CRIC writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSite {
    #[serde(deserialize_with = "text_or_empty")]
    name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    fsconf: Value,
    #[serde(deserialize_with = "texts")]
    datapolicies: Vec<String>,
}

impl Record for Site {
    type Raw = RawSite;
    const TOPIC: &str = "site";
    const MISSING: &str = "the tags frontier and nucleus are missing";

    fn read(key: String, raw: RawSite) -> Option<Self> {
        let frontier = raw.fsconf.pointer("/frontier/0/0").and_then(Value::as_str).map(String::from);
        let is_nucleus = raw.datapolicies.iter().any(|policy| policy == "Nucleus");
        Some(Self { name: named(raw.name, key)?, frontier, is_nucleus })
    }
}

/// A storage endpoint as CRIC writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawEndpoint {
    #[serde(deserialize_with = "text_or_empty")]
    name: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    site: Option<String>,
    #[serde(deserialize_with = "or_default")]
    servedrestfts: Servers,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Servers {
    #[serde(rename = "MASTER", deserialize_with = "texts")]
    master: Vec<String>,
}

impl Record for Endpoint {
    type Raw = RawEndpoint;
    const TOPIC: &str = "ddmendpoint";
    const MISSING: &str = "the tag fts_server is missing";

    fn read(key: String, raw: RawEndpoint) -> Option<Self> {
        let master = raw.servedrestfts.master.into_iter().find(|url| !url.is_empty());
        Some(Self { name: named(raw.name, key)?, site: raw.site.filter(|site| !site.is_empty())?, master })
    }
}

/// A federation as CRIC writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFederation {
    #[serde(deserialize_with = "text_or_empty")]
    name: Option<String>,
    #[serde(deserialize_with = "text_or_empty")]
    accounting_name: Option<String>,
    rcsites: Value,
    #[serde(deserialize_with = "or_default")]
    pledges: BTreeMap<String, Value>,
}

/// The federation of all sites that belong to none.
const NO_FEDERATION: &str = "NULL";

impl Record for Federation {
    type Raw = RawFederation;
    const TOPIC: &str = "federation";
    const MISSING: &str = "pledges are missing";

    fn read(key: String, raw: RawFederation) -> Option<Self> {
        let name = named(raw.name, key.clone())?;
        let Value::Array(rcsites) = raw.rcsites else { return None };
        let rcsites = rcsites.iter().filter_map(Value::as_str).map(String::from).collect();
        let is_real = key != NO_FEDERATION && name != NO_FEDERATION;
        is_real.then(|| Self { name, accounting_name: raw.accounting_name, rcsites, atlas: atlas(&raw.pledges) })
    }
}

/// Returns what a federation pledges to ATLAS, as far as it is numbers.
fn atlas(pledges: &BTreeMap<String, Value>) -> Pledges {
    let quarter = |of: &Value| {
        let kinds = of.pointer("/atlas").and_then(Value::as_object).into_iter().flatten();
        kinds.filter_map(|(kind, pledge)| Some((kind.clone(), number_of(pledge)?))).collect::<BTreeMap<_, _>>()
    };
    let year = |of: &Value| {
        let quarters = of.as_object().into_iter().flatten().map(|(name, of)| (name.clone(), quarter(of)));
        quarters.filter(|(_, kinds)| !kinds.is_empty()).collect::<BTreeMap<_, _>>()
    };
    let years = pledges.iter().map(|(name, of)| (name.clone(), year(of)));
    years.filter(|(_, quarters)| !quarters.is_empty()).collect()
}

/// Returns a record's name: what it says, else its key; `None` if both are empty.
fn named(name: Option<String>, key: String) -> Option<String> {
    Some(name.filter(|name| !name.is_empty()).unwrap_or(key)).filter(|name| !name.is_empty())
}

/// Queries CRIC; returns the lines for `--check`.
pub fn check(config: &Config, until: Instant) -> Vec<(String, Result<String, String>)> {
    let client = Client::trusting(&config.tls).map(Client::accepting_json).map_err(|error| format!("{error:#}"));
    let cric = CricClient { client: client.as_ref(), timeout_seconds: config.timeout_seconds, now: 0, until };
    let ((queues, sites), (endpoints, federations)) = both(
        || both(|| cric.check::<Queue>(&config.pandaqueue_url), || cric.check::<Site>(&config.site_url)),
        || {
            both(
                || cric.check::<Endpoint>(&config.ddmendpoint_url),
                || cric.check::<Federation>(&config.federation_url),
            )
        },
    );
    vec![queues, sites, endpoints, federations]
}
