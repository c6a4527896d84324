//! graphite-web's render API for the dashboard: many values per request. Measured against graphite-web 1.1.8.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::render;
use crate::model::{Catalog, Datapoint, Fold, Kind, Measurement, SECOND, Value, Window};
use crate::os::http::{Client, Login, Url};
use crate::query::{Ahead, Detail, Latest, Newest, Part, Read, Values, Wanted};

/// graphite-web as a reader.
#[derive(Debug)]
pub struct GraphiteReader {
    render: Url,
    shown: String,
    client: Client,
    login: Option<Login>,
    timeout: Duration,
    /// The latest values, by the names of the requested measurements.
    cache: Mutex<HashMap<Vec<&'static str>, LatestCache>>,
    catalog: Catalog,
}

/// The latest values that graphite-web returned for some measurements.
#[derive(Debug, Default)]
struct LatestCache {
    /// The time of the last request for the whole day.
    widely: Option<Instant>,
    /// The newest time (unix seconds) and value of each path.
    newest: HashMap<String, (i64, f64)>,
}

/// The largest response, in bytes.
const LONGEST: usize = 24 << 20;

/// How often the whole last day is requested instead of the last 15 minutes, to include series that are
/// silent now.
const WIDELY: Duration = Duration::from_secs(3600);

/// The number of targets per request.
const TARGETS: usize = 100;

impl GraphiteReader {
    /// Creates a reader of the graphite-web in `config`.
    ///
    /// # Errors
    /// Fails if no HTTP client can be created.
    pub fn new(config: &render::Config, catalog: Catalog) -> Result<Self> {
        let client = config.client()?.reading_at_most(LONGEST);
        let timeout = Duration::from_secs(config.timeout_seconds);
        Ok(Self {
            render: config.render()?,
            shown: config.name().into(),
            client,
            login: config.login.clone(),
            timeout,
            cache: Mutex::default(),
            catalog,
        })
    }

    /// Requests values of `targets`; returns the series by target.
    fn ask(&self, targets: &[String], from: i64, until: i64, points: usize) -> Result<HashMap<String, render::Series>> {
        let mut series = HashMap::new();
        let ends = Instant::now() + self.timeout;
        for targets in targets.chunks(TARGETS) {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for target in targets {
                form.append_pair("target", target);
            }
            form.append_pair("from", &from.to_string()).append_pair("until", &until.to_string());
            form.append_pair("maxDataPoints", &points.to_string()).append_pair("format", "json");
            let left = ends.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "{} gave no answer within {} s", self.shown, self.timeout.as_secs());
            let answer = self.client.post(&self.render, form.finish(), left);
            series.extend(render::parse(&answer.map_err(|error| render::explain(error, self.login.as_ref()))?)?);
        }
        Ok(series)
    }
}

impl GraphiteReader {
    /// Returns the values of targets in a window, as they are stored, sorted by path and time.
    ///
    /// # Errors
    /// Fails if graphite-web does not answer.
    pub fn values(&self, targets: &[String], window: Window) -> Result<Vec<Datapoint>> {
        let [from, to] = [window.from, window.to].map(|time| time.div_euclid(SECOND));
        // Graphite's range excludes the start and includes the end.
        let series = self.ask(targets, from - 1, to - 1, usize::MAX)?;
        let values = series.into_values().flat_map(|render::Series { target, datapoints }| {
            let value = move |(value, time): (Option<f64>, i64)| {
                Some(Datapoint { path: target.clone(), time, value: Value::Float(value?) })
            };
            datapoints.into_iter().filter_map(value)
        });
        let mut values: Vec<_> = values.collect();
        values.sort_by(|a, b| (&a.path, a.time).cmp(&(&b.path, b.time)));
        Ok(values)
    }

    /// Returns buckets of `width` seconds; `None` if Graphite's archive is coarser, so that most of them would be empty.
    fn folded(&self, wanted: &[Wanted], from: i64, to: i64, width: i64) -> Result<Option<Vec<Values>>> {
        let target =
            |(name, of): &(&str, String)| format!("alias(summarize({of},\"{width}s\",\"{name}\"),\"{name} {of}\")");
        let targets: Vec<_> =
            wanted.iter().flat_map(|Wanted { path, .. }| asked(path)).map(|one| target(&one)).collect();
        let answers = self.ask(&targets, from - 1, to - 1, usize::MAX)?;
        let mut all = Vec::new();
        for Wanted { path, number } in wanted {
            let values = |(name, of): (&str, String)| -> BTreeMap<i64, f64> {
                let datapoints = answers.get(&format!("{name} {of}")).into_iter().flat_map(|series| &series.datapoints);
                datapoints.filter_map(|(value, time)| Some((*time, (*value)?))).collect()
            };
            let [means, least, most, counts, steps, pairs] = asked(path).map(values);
            let times: Vec<_> = means.keys().copied().collect();
            let close = times.windows(2).filter(|pair| pair[1] - pair[0] <= width).count();
            if times.len() > 2 && close < times.len() / 2 {
                return Ok(None);
            }
            let possible = possible(&counts, &steps, &pairs);
            let part = |(time, mean): (&i64, &f64)| {
                let count = counts.get(time).copied().unwrap_or(1.0).max(1.0);
                let of = |fold: &BTreeMap<i64, f64>| fold.get(time).copied().unwrap_or(*mean);
                let coverage = (count / possible).min(1.0);
                Part { least: of(&least), most: of(&most), count: count as u64, coverage }
            };
            let parts = means.iter().map(part).collect();
            let values = means.into_iter().collect();
            all.push(Values { path: path.clone(), field: number.field, step: width, values, parts, newest: None });
        }
        Ok(Some(all))
    }
}

/// What graphite-web is asked for in each bucket of a path, as fold and target: mean, least, most and number of its values; the
/// number of steps that the archive has there; and the number of values whose step before has one too.
fn asked(path: &str) -> [(&'static str, String); 6] {
    let [mean, least, most, count] = ["average", "min", "max", "count"].map(|fold| (fold, path.to_string()));
    [mean, least, most, count, ("count", format!("transformNull({path},0)")), ("count", format!("derivative({path})"))]
}

/// Returns how many values a whole bucket has: one a step of the archive if most values follow each other step by step. Else their
/// program runs more rarely than the archive's steps, and nothing but the fullest bucket tells how often.
fn possible(counts: &BTreeMap<i64, f64>, steps: &BTreeMap<i64, f64>, pairs: &BTreeMap<i64, f64>) -> f64 {
    let most = |of: &BTreeMap<i64, f64>| of.values().copied().fold(1.0, f64::max);
    let sum = |of: &BTreeMap<i64, f64>| of.values().sum::<f64>();
    if 2.0 * sum(pairs) >= sum(counts) { most(steps).max(most(counts)) } else { most(counts) }
}

/// Wraps a target so that graphite-web consolidates values in the way that the field folds.
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

/// Extracts the path from the target of a response.
fn path(target: &str) -> &str {
    let inner = target.strip_prefix("consolidateBy(").and_then(|rest| rest.rsplit_once(','));
    inner.map_or(target, |(path, _)| path)
}

impl Read for GraphiteReader {
    fn describe(&self) -> String {
        format!("Graphite at {}", self.shown)
    }

    fn version(&self) -> u64 {
        // Graphite has no version, so cached answers expire after ten seconds.
        (jiff::Timestamp::now().as_second() / 10).unsigned_abs()
    }

    fn latest(&self, measurements: &[&'static Measurement], now: i64) -> Result<Newest> {
        let names: Vec<_> = measurements.iter().map(|measurement| measurement.name).collect();
        let last =
            self.cache.lock().expect("nothing panics while it is held").get(&names).and_then(|latest| latest.widely);
        let widely = last.is_none_or(|last| last.elapsed() > WIDELY);
        let (from, points) = if widely { (now - 86_400, 96) } else { (now - 900, 900) };
        let targets: Vec<_> =
            measurements.iter().map(|one| consolidated(&one.carbon_pattern(|_| Vec::new()), Fold::Last)).collect();
        let mut answers = self.ask(&targets, from, now, points)?;
        if widely {
            // A consolidated value has the time of its first one, so the last minutes are also requested without
            // consolidation.
            for (target, series) in self.ask(&targets, now - 900, now, 900)? {
                answers
                    .entry(target)
                    .or_insert(render::Series { target: String::new(), datapoints: Vec::new() })
                    .datapoints
                    .extend(series.datapoints);
            }
        }
        let mut cache = self.cache.lock().expect("nothing panics while it is held");
        let latest = cache.entry(names).or_default();
        if widely {
            *latest = LatestCache { widely: Some(Instant::now()), newest: HashMap::new() };
        }
        for (target, series) in answers {
            let newest = series.datapoints.iter().rev().find_map(|(value, time)| Some((*time, (*value)?)));
            let Some(newest) = newest else { continue };
            let known = latest.newest.entry(path(&target).to_string()).or_insert(newest);
            *known = if newest.0 >= known.0 { newest } else { *known };
        }
        let latest = latest.newest.iter().filter_map(|(path, (time, value))| {
            let wanted = Wanted::new(path, self.catalog).ok()?;
            let value = match wanted.number.field.kind {
                Kind::Int if value.fract() == 0.0 => Value::Int(*value as i64),
                _ => Value::Float(*value),
            };
            Some(Latest {
                series: wanted.series().into(),
                field: wanted.number.field,
                time: time.saturating_mul(SECOND),
                value,
                every: wanted.number.measurement.every,
            })
        });
        // Graphite is asked for nothing later than now.
        Ok(Newest { values: latest.collect(), ahead: Ahead::default() })
    }

    fn range(&self, wanted: &[Wanted], from: i64, to: i64, detail: Detail) -> Result<Vec<Values>> {
        let every = wanted.iter().map(|wanted| wanted.number.measurement.every).min().unwrap_or(60);
        if let Some(width) = detail.bucket(to.saturating_sub(from), every)
            && let Some(folded) = self.folded(wanted, from, to, width)?
        {
            return Ok(folded);
        }
        let targets: Vec<_> =
            wanted.iter().map(|wanted| consolidated(&wanted.path, wanted.number.field.fold)).collect();
        // Graphite's range excludes the start and includes the end; ours is the other way round.
        let mut answers = HashMap::new();
        for (target, series) in self.ask(&targets, from - 1, to - 1, detail.points(to.saturating_sub(from)))? {
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
            let (path, field) = (wanted.path.clone(), wanted.number.field);
            all.push(Values { path, field, step, values: values.collect(), parts: Vec::new(), newest: None });
        }
        Ok(all)
    }
}
