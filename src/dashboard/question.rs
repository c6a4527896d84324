//! Questions about the past: how a query is read, bounded and answered.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Dashboard;
use super::routes::{Failure, bad_request};
use crate::model::{Catalog, graphite_time};
use crate::query::Wanted;
use crate::view::history::History;
use crate::view::html::MAX_PLOTS;
use crate::view::plot::{self, PlotStyle};

/// The most values of each series.
const MAX_POINTS: usize = 20_000;

/// The longest range, in seconds: a little over twenty years.
const MAX_RANGE: i64 = 21 * 366 * 86_400;

/// How long a question may wait for its turn and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A question over more seconds than this, all numbers together, is a large one.
const LARGE_RANGE: i64 = 7 * 86_400;

/// So is one that wants more values of each series.
const LARGE_POINTS: usize = 5000;

/// The names and values of a query, decoded.
pub(super) type Pairs = Vec<(String, String)>;

/// Decodes a query.
pub(super) fn pairs(query: Option<&str>) -> Pairs {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Returns the first value under any of these names.
pub(super) fn first<'a>(pairs: &'a Pairs, names: &[&str]) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_str())
}

/// The form of an answer.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Format {
    Json,
    Tsv,
    Csv,
    Svg,
}

/// A question about the past.
struct Question {
    wanted: Vec<Wanted>,
    from: i64,
    to: i64,
    points: usize,
}

impl Question {
    /// Reads a query. The original's names (`paths[]`, `end`, `until`) are accepted too.
    fn new(pairs: &Pairs, now: i64, catalog: Catalog) -> Result<Self> {
        let paths = pairs.iter().filter(|(name, _)| ["path", "paths", "paths[]", "plot"].contains(&name.as_str()));
        let paths: Vec<_> = paths.map(|(_, path)| path.as_str()).collect();
        ensure!(
            !paths.is_empty(),
            "say which numbers, with path=… once for each; /api/v1/summary names the path of each"
        );
        ensure!(paths.len() <= MAX_PLOTS, "{} paths are too many: at most {MAX_PLOTS}", paths.len());
        // A range that ends now moves once a minute, not every second, so that its answer can come from the cache.
        let now = (now.div_euclid(60) + 1) * 60;
        let time = |names: &[&str], default| {
            let text = first(pairs, names).filter(|text| !text.is_empty()).unwrap_or(default);
            graphite_time::parse(text, now).with_context(|| names[0].to_string())
        };
        let (from, to) = (time(&["from"], "-6h")?, time(&["to", "end", "until"], "now")?);
        ensure!(from < to, "from is not before to");
        ensure!(to - from <= MAX_RANGE, "a range of over 21 years");
        let points = first(pairs, &["points"]).unwrap_or("1000");
        let points = points.parse().ok().filter(|points| (2..=MAX_POINTS).contains(points));
        let points = points.with_context(|| format!("points is not 2 to {MAX_POINTS}"))?;
        let wanted = paths.into_iter().map(|path| Wanted::new(path, catalog)).collect::<Result<_>>()?;
        Ok(Self { wanted, from, to, points })
    }

    /// Whether small ones need not wait for it.
    fn is_large(&self) -> bool {
        (self.to - self.from).saturating_mul(self.wanted.len() as i64) > LARGE_RANGE || self.points > LARGE_POINTS
    }

    fn key(&self) -> String {
        let mut key = format!("{} {} {}", self.from, self.to, self.points);
        for wanted in &self.wanted {
            let _ = write!(key, " {}", wanted.path);
        }
        key
    }
}

impl Dashboard {
    /// Returns the numbers that a query asks for over its range, in this format, to a client with these request headers.
    pub(super) async fn history(
        self: &Arc<Self>,
        pairs: Pairs,
        format: Format,
        client: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        let question = Question::new(&pairs, (self.now)(), self.catalog).map_err(bad_request)?;
        let style = PlotStyle::new(&pairs).map_err(bad_request)?;
        let format_key = match format {
            Format::Json => "json".into(),
            Format::Tsv => "tsv".into(),
            Format::Csv => "csv".into(),
            Format::Svg => format!("svg {style:?}"),
        };
        let key = format!("{format_key} {} {}", self.backend.version(), question.key());
        if let Some(rendered) = self.cached(&key) {
            return Ok(rendered.response(headers, &self.room));
        }
        let this = self.clone();
        let work = async {
            let turn = self.turns.question(client, question.is_large()).await;
            let render = move || {
                let history = this.read_history(&question)?;
                Ok(match format {
                    Format::Json => ("application/json", serde_json::to_string(&history).unwrap_or_default()),
                    Format::Tsv => ("text/tab-separated-values; charset=utf-8", history.table('\t')),
                    Format::Csv => ("text/csv; charset=utf-8", history.table(',')),
                    Format::Svg => ("image/svg+xml", plot::svg(&history, &style)),
                })
            };
            self.render(key, turn, headers, render).await
        };
        match tokio::time::timeout(TIMEOUT, work).await {
            Ok(rendered) => Ok(rendered?.response(headers, &self.room)),
            Err(_) => Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "too many questions at once; try again".into())),
        }
    }

    fn read_history(&self, question: &Question) -> Result<History> {
        let Question { wanted, from, to, points } = question;
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        let values = self.backend.range(wanted, *from, *to, *points).inspect_err(|_| {
            self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(History::new(*from, *to, *points, values))
    }
}
