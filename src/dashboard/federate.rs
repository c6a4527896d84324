//! `/federate`: the newest value of every series in Prometheus' text format (version 0.0.4).
//!
//! A metric is named `MEASUREMENT_FIELD`, or `MEASUREMENT__FIELD` where that would be the name of another one, of a measurement
//! with a shorter name: `instance_net__rx_bytes_per_second` is of one device, `instance_net_rx_bytes_per_second` of all. `_total` at
//! the end, which Prometheus keeps for what only rises, is `_all`, and `_count`, which it keeps for histograms, `_counted`; gigabytes, `_gb`,
//! are bytes, its base unit. Its labels are the tags that identify the series; its help is the declared meaning with the unit. Values have their own times, in milliseconds. What has been silent for three intervals is left out, as
//! Prometheus itself would: it is no longer known.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Error, Result, anyhow, ensure};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::Dashboard;
use super::question::{Pairs, pairs};
use super::routes::{App, Failure, MAX_AGE, bad_request};
use crate::model::{Catalog, FieldInfo, Measurement, SECOND, Value};
use crate::query::{Latest, TooMuch};
use crate::text::quote;
use crate::view::table::is_stale;

/// The most bytes of an answer.
const MOST_BYTES: usize = 16 << 20;

/// The most names that a query may select.
const MOST_NAMES: usize = 100;

/// The unit of the fields that end with `_gb`.
const GIGABYTES: &str = "gigabytes";

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which metrics are asked for: names of metrics or measurements, with `*` at the end for all that begin so.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

impl Names {
    fn new(pairs: &Pairs) -> Result<Self> {
        let names = pairs.iter().filter(|(name, _)| name == "match[]" || name == "match");
        let names: Vec<_> = names.map(|(_, value)| value.clone()).collect();
        ensure!(names.len() <= MOST_NAMES, "{} names are too many: at most {MOST_NAMES}", names.len());
        let is_plain = |name: &str| {
            let name = name.strip_suffix('*').unwrap_or(name);
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some(name) = names.iter().find(|name| !is_plain(name)) {
            return Err(anyhow!(
                "match[] {} is not the name of a metric or measurement, with * at its end for all that begin so",
                quote(name)
            ));
        }
        Ok(Self(names))
    }

    fn select(&self, measurement: &str, metric: &str) -> bool {
        let is = |name: &String| match name.strip_suffix('*') {
            Some(begin) => metric.starts_with(begin),
            None => name == metric || name == measurement,
        };
        self.0.is_empty() || self.0.iter().any(is)
    }
}

/// Returns the newest value of every series that the query selects.
pub(super) async fn federate(
    State(app): App,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let names = Names::new(&pairs(query.as_deref())).map_err(bad_request)?;
    let now = (app.now)();
    let key = format!("federate {names:?} {} {}", app.backend.version(), now.div_euclid(MAX_AGE));
    let this = app.clone();
    app.answer(key, &headers, move || Ok((CONTENT_TYPE, this.newest(&names, now)?))).await
}

impl Dashboard {
    fn newest(self: &Arc<Self>, names: &Names, now: i64) -> Result<String> {
        let selects = |measurement: &&Measurement| {
            measurement
                .fields
                .iter()
                .any(|field| names.select(measurement.name, &metric(self.catalog, measurement, field)))
        };
        let measurements: Vec<_> = self.catalog.measurements().filter(selects).collect();
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        let newest = self.backend.latest(&measurements, now).inspect_err(|_| {
            self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
        })?;
        write(self.catalog, &measurements, &newest.values, names, now)
    }
}

/// Returns the name of a metric. Prometheus knows letters, digits and `_`.
fn metric(catalog: Catalog, measurement: &Measurement, field: &FieldInfo) -> String {
    let name = format!("{}_{}", measurement.name, field.name);
    let is_name = |other: &Measurement| {
        let field_name = name.strip_prefix(other.name).and_then(|rest| rest.strip_prefix('_'));
        field_name.is_some_and(|field_name| other.field(field_name).is_some())
    };
    let is_taken = catalog.measurements().any(|other| other.name.len() < measurement.name.len() && is_name(other));
    let name = if is_taken { format!("{}__{}", measurement.name, field.name) } else { name };
    // To Prometheus what ends so only rises, or is a part of a histogram; nothing here does, or is.
    let others = [("_total", "_all"), ("_count", "_counted"), ("_gb", "_bytes")];
    let other = others.iter().find_map(|(end, other)| Some(format!("{}{other}", name.strip_suffix(end)?)));
    let name = other.unwrap_or(name);
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Returns the metrics in the order of their declaration, and their series in that of their labels.
fn write(
    catalog: Catalog,
    measurements: &[&'static Measurement],
    values: &[Latest],
    names: &Names,
    now: i64,
) -> Result<String> {
    // Points with other describing tags are other series in some stores; the newest of them counts.
    let mut series = BTreeMap::<(&str, &str), BTreeMap<String, &Latest>>::new();
    for one in values.iter().filter(|one| !is_stale(one.time / SECOND, one.every.max(1), now)) {
        let Some(measurement) = measurements.iter().find(|known| known.name == one.series.measurement()) else {
            continue;
        };
        let of_metric = series.entry((measurement.name, one.field.name)).or_default();
        let newest = of_metric.entry(labels(measurement, one)).or_insert(one);
        if newest.time < one.time {
            *newest = one;
        }
    }
    let mut text = String::with_capacity(1 << 16);
    for measurement in measurements {
        for field in measurement.fields {
            let Some(of_metric) = series.get(&(measurement.name, field.name)) else { continue };
            let name = metric(catalog, measurement, field);
            if !names.select(measurement.name, &name) {
                continue;
            }
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} gauge", help(measurement, field));
            for (labels, one) in of_metric {
                let value = match one.value {
                    value if field.unit == GIGABYTES => (value.as_f64() * 1e9).to_string(),
                    Value::Int(value) => value.to_string(),
                    Value::Float(value) => value.to_string(),
                };
                let _ = writeln!(text, "{name}{labels} {value} {}", one.time / 1_000_000);
                if text.len() > MOST_BYTES {
                    let message = format!(
                        "the newest values take over {} MB: name some metrics, with match[]=… once for each",
                        MOST_BYTES >> 20
                    );
                    return Err(Error::new(TooMuch(message)));
                }
            }
        }
    }
    Ok(text)
}

/// Returns what a field means, with its unit, on one line.
fn help(measurement: &Measurement, field: &FieldInfo) -> String {
    let unit = if field.unit == GIGABYTES { "bytes" } else { field.unit };
    let text = format!("{}: {} ({unit})", measurement.meaning, field.meaning);
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Returns the tags that identify a series as labels: `{grid="heprc",cloud="cc-east"}`.
fn labels(measurement: &Measurement, one: &Latest) -> String {
    let mut text = String::new();
    for tag in measurement.tags.iter().filter(|tag| tag.identifies) {
        let value = one.series.tag(tag.name).unwrap_or_default();
        // A label without a value is no label.
        if value.is_empty() {
            continue;
        }
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}{}=\"{value}\"", if text.is_empty() { "{" } else { "," }, tag.name);
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Declaration, Field, Fold, Point, Tag};

    static FARM: Measurement = Measurement::new(Declaration {
        name: "farm",
        meaning: "a farm",
        tags: &[Tag::key("host"), Tag::label("state")],
        fields: &[
            Field::<i64>::count("jobs", "jobs", "by \\state").info(),
            Field::<f64>::gauge("load", "threads", Fold::Mean, "its load").info(),
            Field::<f64>::gauge("used_gb", "gigabytes", Fold::Last, "its disk").info(),
        ],
        carbon: "farm.{host}.{field}",
        every: 60,
    });

    static ALL: [&Measurement; 1] = [&FARM];

    fn latest(host: &str, state: &str, field: usize, time: i64, value: Value) -> Latest {
        let series = Point::new("farm".into(), [("host".into(), host), ("state".into(), state)], [], 0);
        Latest { series: series.into(), field: &FARM.fields[field], time: time * SECOND, value, every: 60 }
    }

    fn text(values: &[Latest], names: &[&str]) -> Result<String> {
        let names = names.iter().map(|name| ("match[]".into(), (*name).into())).collect();
        write(Catalog::new(&ALL), &ALL, values, &Names::new(&names)?, 1000)
    }

    #[test]
    fn the_newest_value_of_each_series_has_its_declaration_and_its_time() {
        let values = [
            latest("a", "old", 0, 900, Value::Int(1)),
            latest("a", "new", 0, 960, Value::Int(2)),
            latest("b", "new", 0, 819, Value::Int(3)),
            latest("c", "", 0, 820, Value::Int(i64::MAX)),
            latest("a", "new", 1, 1001, Value::Float(0.25)),
        ];
        assert_eq!(
            text(&values, &[]).unwrap(),
            "# HELP farm_jobs a farm: by \\\\state (jobs)\n# TYPE farm_jobs gauge\n\
             farm_jobs{host=\"a\"} 2 960000\nfarm_jobs{host=\"c\"} 9223372036854775807 820000\n\
             # HELP farm_load a farm: its load (threads)\n# TYPE farm_load gauge\nfarm_load{host=\"a\"} 0.25 1001000\n"
        );
        let selected = text(&values, &["farm_l*"]).unwrap();
        assert!(selected.contains("farm_load{") && !selected.contains("farm_jobs"), "{selected}");
        assert_eq!(text(&values, &["farm"]).unwrap().matches("# TYPE").count(), 2);
        // In Prometheus' base unit.
        let used = text(&[latest("a", "", 2, 1000, Value::Float(9.5))], &[]).unwrap();
        assert_eq!(
            used,
            "# HELP farm_used_bytes a farm: its disk (bytes)\n# TYPE farm_used_bytes gauge\nfarm_used_bytes{host=\"a\"} 9500000000 1000000\n"
        );
        assert_eq!(text(&values, &["far"]).unwrap(), "");
        assert!(text(&values, &["{job=\"x\"}"]).is_err());
    }

    #[test]
    fn an_answer_is_bounded() {
        let name = "x".repeat(200);
        let one = |at: usize| latest(&format!("{at}{name}"), "", 0, 1000, Value::Int(1));
        let values: Vec<_> = (0..75_000).map(one).collect();
        assert!(text(&values, &[]).unwrap_err().is::<TooMuch>());
        assert!(text(&values[..1000], &[]).is_ok());
    }

    proptest! {
        #[test]
        fn a_hostile_name_stays_in_its_label(host in "\\PC{0,20}|[\\\\\"\n{},= ]{0,20}") {
            let one = latest(&host, "", 0, 1000, Value::Int(7));
            // What no name may hold is gone already.
            let host = one.series.tag("host").unwrap_or_default().to_string();
            let text = text(&[one], &[]).unwrap();
            prop_assert_eq!(text.lines().count(), 3);
            let line = text.lines().last().unwrap();
            let inside = line.strip_prefix("farm_jobs").unwrap().strip_suffix(" 7 1000000").unwrap();
            if host.is_empty() {
                prop_assert_eq!(inside, "");
            } else {
                let inside = inside.strip_prefix("{host=\"").unwrap().strip_suffix("\"}").unwrap();
                let mut back = String::new();
                let mut chars = inside.chars();
                while let Some(c) = chars.next() {
                    prop_assert!(c != '"' && c != '\n');
                    back.push(match c {
                        '\\' => match chars.next() { Some('n') => '\n', Some(c) => c, None => unreachable!() },
                        c => c,
                    });
                }
                prop_assert_eq!(back, host);
            }
        }
    }
}
