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
use super::summary::PageState;
use crate::model::{Catalog, graphite_time};
use crate::query::{ANY, Detail, TooMuch, Values, WIDTHS, Wanted, range_with_sums};
use crate::text::quote;
use crate::view::history::History;
use crate::view::html::MAX_PLOTS;
use crate::view::plot::{self, PlotStyle};
use crate::view::png;

/// The most values of each series.
const MAX_POINTS: usize = 20_000;

/// The longest range, in seconds: a little over twenty years.
const MAX_RANGE: i64 = 21 * 366 * 86_400;

/// The most stored values of one export.
const MAX_STORED: usize = 500_000;

/// The most values that one read of an export may bring.
const READ_AT_ONCE: i64 = 100_000;

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
    Png,
}

/// A question about the past.
struct Question {
    wanted: Vec<Wanted>,
    from: i64,
    to: i64,
    detail: Detail,
}

/// Returns why a range is none whose start is not before its end; the start may only be so late because nothing is stored of the
/// future.
pub(super) fn no_range(from: i64, end: &str, now: i64) -> String {
    if from > now {
        "from is in the future: nothing is stored of it yet".into()
    } else {
        format!("from is not before {end}")
    }
}

/// Reads a name or the seconds of one of [`WIDTHS`].
fn step(text: &str) -> Result<i64> {
    let is = |width: i64, name: &str| text == name || text.parse() == Ok(width);
    let found = WIDTHS.iter().find(|(width, name)| is(*width, name)).map(|(width, _)| *width);
    found.with_context(|| {
        let names: Vec<_> = WIDTHS.iter().map(|(_, name)| *name).collect();
        format!("step {} is none of {}", quote(text), names.join(", "))
    })
}

impl Question {
    /// Reads a query; `otherwise` is the detail if the query names no step. The original's names (`paths[]`, `end`, `until`)
    /// are accepted too.
    fn new(pairs: &Pairs, now: i64, catalog: Catalog, otherwise: Option<Detail>) -> Result<Self> {
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
        ensure!(from < to, "{}", no_range(from, "to", now));
        ensure!(to - from <= MAX_RANGE, "a range of over 21 years");
        let points = first(pairs, &["points"]).unwrap_or("1000");
        let points = points.parse().ok().filter(|points| (2..=MAX_POINTS).contains(points));
        let points = points.with_context(|| format!("points is not 2 to {MAX_POINTS}"))?;
        let detail = match first(pairs, &["step"]).filter(|text| !text.is_empty()) {
            Some(text) => Detail::Step(step(text)?),
            None => otherwise.unwrap_or(Detail::Points(points)),
        };
        if let Detail::Step(step) = detail {
            let buckets = (to - from) / step;
            ensure!(
                buckets <= MAX_POINTS as i64,
                "{buckets} steps are too many: at most {MAX_POINTS}; give a longer step"
            );
        }
        let wanted = paths.into_iter().map(|path| Wanted::or_sum(path, catalog)).collect::<Result<_>>()?;
        Ok(Self { wanted, from, to, detail })
    }

    /// Returns the name of a file for the answer: what is in it, of when, and how it is folded.
    fn file_name(&self, extension: &str) -> String {
        let time = |seconds: i64| {
            jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y%m%dT%H%MZ").to_string()
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let path = self.wanted.first().map_or("", |wanted| wanted.path.as_str());
        let path: String = path.chars().map(|c| if fits(c) { c } else { '_' }).take(100).collect();
        let more = match self.wanted.len() {
            ..=1 => String::new(),
            count => format!("_and_{}_more", count - 1),
        };
        let step = match self.detail {
            Detail::Step(step) => WIDTHS.iter().find(|(width, _)| *width == step).map(|(_, name)| format!("_{name}")),
            Detail::Points(_) | Detail::Stored => None,
        };
        format!("{path}{more}_{}_{}{}.{extension}", time(self.from), time(self.to), step.unwrap_or_default())
    }

    /// Whether small ones need not wait for it.
    fn is_large(&self) -> bool {
        (self.to - self.from).saturating_mul(self.wanted.len() as i64) > LARGE_RANGE || self.wants_many()
    }

    fn wants_many(&self) -> bool {
        match self.detail {
            Detail::Points(points) => points > LARGE_POINTS,
            Detail::Step(step) => (self.to - self.from) / step > LARGE_POINTS as i64,
            Detail::Stored => false,
        }
    }

    fn key(&self) -> String {
        let mut key = format!("{} {} {:?}", self.from, self.to, self.detail);
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
        let question = Question::new(&pairs, (self.now)(), self.catalog, None).map_err(bad_request)?;
        self.respond(question, &pairs, format, client, headers).await
    }

    /// Returns an export and the name of its file: the values as they are stored unless the query names a step; a picture
    /// shows what the plot shows.
    pub(super) async fn export(
        self: &Arc<Self>,
        pairs: Pairs,
        (format, extension): (Format, &str),
        client: IpAddr,
        headers: &HeaderMap,
    ) -> Result<(Response, String), Failure> {
        let stored = (![Format::Svg, Format::Png].contains(&format)).then_some(Detail::Stored);
        let question = Question::new(&pairs, (self.now)(), self.catalog, stored).map_err(bad_request)?;
        let name = question.file_name(extension);
        Ok((self.respond(question, &pairs, format, client, headers).await?, name))
    }

    async fn respond(
        self: &Arc<Self>,
        question: Question,
        pairs: &Pairs,
        format: Format,
        client: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        let mut style = PlotStyle::new(pairs).map_err(bad_request)?;
        style.ahead = question.from > (self.now)();
        let is_picture = [Format::Svg, Format::Png].contains(&format);
        let has_marks = is_picture && first(pairs, &["events"]) == Some("1");
        if format == Format::Png && !png::AVAILABLE {
            let message = "this build of cloud-monitor has no PNG (feature png): ask for plot.svg";
            return Err(Failure(StatusCode::NOT_IMPLEMENTED, message.into()));
        }
        let format_key = match format {
            Format::Json => "json".into(),
            Format::Tsv => "tsv".into(),
            Format::Csv => "csv".into(),
            Format::Svg => format!("svg {has_marks} {style:?}"),
            Format::Png => format!("png {has_marks} {style:?}"),
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
                if has_marks {
                    style.marks = this.marks((question.from, question.to), &question.wanted)?;
                }
                Ok(match format {
                    Format::Json => ("application/json", serde_json::to_vec(&history).unwrap_or_default()),
                    Format::Tsv => ("text/tab-separated-values; charset=utf-8", history.table('\t').into()),
                    Format::Csv => ("text/csv; charset=utf-8", history.table(',').into()),
                    Format::Svg => ("image/svg+xml", plot::svg(&history, &style).into()),
                    Format::Png => ("image/png", plot::png(&history, &style)?),
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
        let Question { from, to, detail, .. } = *question;
        let mut history = match detail {
            Detail::Points(points) => History::new(from, to, points, self.read(question, from, to, detail)?),
            Detail::Step(step) => {
                // Only whole buckets are asked for.
                let (first, last) = ((from + step - 1).div_euclid(step) * step, to.div_euclid(step) * step);
                History::by_step(from, to, step, self.read(question, first, last.max(first), detail)?)
            }
            Detail::Stored => History::stored(from, to, self.read_stored(question)?),
        };
        for (series, Wanted { number, path, .. }) in history.series.iter_mut().zip(&question.wanted) {
            let is_one = number.field.unit == plot::SWITCH && !path.contains(ANY);
            let is_health = |state: &PageState| state.page.has_health(number.measurement, number.field.name);
            series.health = is_one && self.pages.iter().any(is_health);
        }
        Ok(history)
    }

    fn read(&self, question: &Question, from: i64, to: i64, detail: Detail) -> Result<Vec<Values>> {
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        range_with_sums(&*self.backend, &question.wanted, (from, to), detail, (self.now)()).inspect_err(|_| {
            self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Reads the values as they are stored, piece by piece, so that too many are noticed before they fill the memory.
    fn read_stored(&self, question: &Question) -> Result<Vec<Values>> {
        let Question { wanted, from, to, .. } = question;
        let every = wanted.iter().map(|one| one.number.measurement.every).min().unwrap_or(60).max(1);
        let piece = (READ_AT_ONCE / wanted.len().max(1) as i64).max(1).saturating_mul(every);
        let mut all = Vec::<Values>::new();
        let mut begin = *from;
        while begin < *to {
            let end = begin.saturating_add(piece).min(*to);
            let values = self.read(question, begin, end, Detail::Stored)?;
            if all.is_empty() {
                all = values;
            } else {
                for (known, more) in all.iter_mut().zip(values) {
                    known.values.extend(more.values);
                    known.step = known.step.min(more.step);
                }
            }
            let count: usize = all.iter().map(|one| one.values.len()).sum();
            if count > MAX_STORED {
                return Err(anyhow::Error::new(TooMuch(format!(
                    "over {MAX_STORED} stored values are too many: give a shorter range, fewer paths, or step=1h"
                ))));
            }
            begin = end;
        }
        all.iter_mut().for_each(|one| one.parts.clear());
        Ok(all)
    }
}
