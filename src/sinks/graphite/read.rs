//! graphite-web's render API as the dashboard reads it: many numbers in few questions. Measured against graphite-web 1.1.8.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::render;
use crate::model::{Catalog, Fold, Kind, Measurement, SECOND, Value};
use crate::os::http::{Client, Url};
use crate::query::{Latest, Read, Values, Wanted};

/// graphite-web.
#[derive(Debug)]
pub struct GraphiteReader {
    render: Url,
    shown: String,
    client: Client,
    patience: Duration,
    /// By what was asked for.
    seen: Mutex<HashMap<Vec<&'static str>, Seen>>,
    catalog: Catalog,
}

/// What graphite-web has told before.
#[derive(Debug, Default)]
struct Seen {
    /// When all of the last day was asked for.
    widely: Option<Instant>,
    /// The newest time and value of each path.
    newest: HashMap<String, (i64, f64)>,
}

/// The most that is read of its answer, in bytes.
const LONGEST: usize = 24 << 20;

/// How often all of the last day is asked for, and not only the last minutes: for what has been silent since.
const WIDELY: Duration = Duration::from_secs(3600);

/// How many targets one question has.
const TARGETS: usize = 100;

impl GraphiteReader {
    /// graphite-web at its address.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(config: &render::Config, catalog: Catalog) -> Result<Self> {
        let client = Client::new()?.reading_at_most(LONGEST);
        let patience = Duration::from_secs(config.timeout_seconds);
        Ok(Self {
            render: config.render()?,
            shown: config.url.to_string(),
            client,
            patience,
            seen: Mutex::default(),
            catalog,
        })
    }

    /// Values of each target that answers, by target.
    fn ask(&self, targets: &[String], from: i64, until: i64, points: usize) -> Result<HashMap<String, render::Series>> {
        let mut series = HashMap::new();
        let ends = Instant::now() + self.patience;
        for targets in targets.chunks(TARGETS) {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for target in targets {
                form.append_pair("target", target);
            }
            form.append_pair("from", &from.to_string()).append_pair("until", &until.to_string());
            form.append_pair("maxDataPoints", &points.to_string()).append_pair("format", "json");
            let left = ends.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "{} gave no answer within {} s", self.shown, self.patience.as_secs());
            series.extend(render::parse(&self.client.post(&self.render, form.finish(), left)?)?);
        }
        Ok(series)
    }
}

/// The pattern that all paths of a measurement fit.
fn pattern(measurement: &Measurement) -> String {
    let components = measurement.carbon.split('.').map(|component| match component {
        "{field}" => {
            let fields: Vec<_> = measurement.carbon_fields().map(|field| field.name).collect();
            format!("{{{}}}", fields.join(","))
        }
        tag if tag.starts_with('{') => "*".into(),
        name => name.into(),
    });
    components.collect::<Vec<_>>().join(".")
}

/// What is asked for to have many values as one the way that a field folds.
fn consolidated(target: &str, fold: Fold) -> String {
    let by = match fold {
        Fold::Sum => "sum",
        Fold::Mean => "average",
        Fold::Last => "last",
        Fold::Min => "min",
        Fold::Max => "max",
    };
    format!("consolidateBy({target},\"{by}\")")
}

/// The path in the name of an answer.
fn path(target: &str) -> &str {
    let inner = target.strip_prefix("consolidateBy(").and_then(|rest| rest.rsplit_once(','));
    inner.map_or(target, |(path, _)| path)
}

impl Read for GraphiteReader {
    fn describe(&self) -> String {
        format!("Graphite at {}", self.shown)
    }

    fn version(&self) -> u64 {
        // Graphite does not tell; so it is asked again after a while.
        (jiff::Timestamp::now().as_second() / 10).unsigned_abs()
    }

    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Vec<Latest>> {
        let names: Vec<_> = measurements.iter().map(|measurement| measurement.name).collect();
        let last = self.seen.lock().expect("nothing panics while it is held").get(&names).and_then(|seen| seen.widely);
        let widely = last.is_none_or(|last| last.elapsed() > WIDELY);
        let (from, points) = if widely { (now - 86_400, 96) } else { (now - 900, 900) };
        let targets: Vec<_> = measurements.iter().map(|one| consolidated(&pattern(one), Fold::Last)).collect();
        let mut answers = self.ask(&targets, from, now, points)?;
        if widely {
            // Consolidated values carry the time of their first one, so the last minutes are asked for as they are.
            for (target, series) in self.ask(&targets, now - 900, now, 900)? {
                answers
                    .entry(target)
                    .or_insert(render::Series { target: String::new(), datapoints: Vec::new() })
                    .datapoints
                    .extend(series.datapoints);
            }
        }
        let mut seen = self.seen.lock().expect("nothing panics while it is held");
        let seen = seen.entry(names).or_default();
        if widely {
            *seen = Seen { widely: Some(Instant::now()), newest: HashMap::new() };
        }
        for (target, series) in answers {
            let newest = series.datapoints.iter().rev().find_map(|(value, time)| Some((*time, (*value)?)));
            let Some(newest) = newest else { continue };
            let known = seen.newest.entry(path(&target).to_string()).or_insert(newest);
            *known = if newest.0 >= known.0 { newest } else { *known };
        }
        let latest = seen.newest.iter().filter_map(|(path, (time, value))| {
            let wanted = Wanted::new(path, self.catalog).ok()?;
            let value = match wanted.number.field.kind {
                Kind::Int if value.fract() == 0.0 => Value::Int(*value as i64),
                _ => Value::Float(*value),
            };
            Some(Latest {
                series: wanted.series(),
                field: wanted.number.field,
                time: time.saturating_mul(SECOND),
                value,
                every: wanted.number.measurement.every,
            })
        });
        Ok(latest.collect())
    }

    fn range(&self, wanted: &[Wanted], from: i64, to: i64, points: usize) -> Result<Vec<Values>> {
        let targets: Vec<_> =
            wanted.iter().map(|wanted| consolidated(&wanted.path, wanted.number.field.fold)).collect();
        // Its range excludes the beginning and includes the end; ours is the other way round.
        let mut answers = HashMap::new();
        for (target, series) in self.ask(&targets, from - 1, to - 1, points)? {
            answers.insert(path(&target).to_string(), series);
        }
        let mut all = Vec::new();
        for wanted in wanted {
            let datapoints = answers.remove(&wanted.path).map(|series| series.datapoints).unwrap_or_default();
            let mut step = 1;
            if let [(_, first), (_, second), ..] = datapoints.as_slice() {
                ensure!(second > first, "{}: its times do not rise", wanted.path);
                step = second - first;
            }
            let values = datapoints.into_iter().filter_map(|(value, time)| Some((time, value?)));
            all.push(Values { path: wanted.path.clone(), field: wanted.number.field, step, values: values.collect() });
        }
        Ok(all)
    }
}
