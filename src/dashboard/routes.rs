//! The routes, and what is kept of their answers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::Config;
use super::page::{self, Options, View};
use crate::model::{Catalog, graphite_time as times};
use crate::query::{Read, Wanted};
use crate::text::quote;
use crate::view::history::History;
use crate::view::json::Now;
use crate::view::page::Page;
use crate::view::plot;
use crate::view::table::{Section as Part, sections};

/// The most series that one question may have.
pub(super) const SERIES: usize = crate::view::html::PLOTS;

/// The most values of each.
const POINTS: usize = 20_000;

/// The longest range, in seconds: a little over twenty years.
const RANGE: i64 = 21 * 366 * 86_400;

/// How many questions about the past are answered at once; others wait their turn.
const AT_ONCE: usize = 2;

/// How long a question may wait for its turn and its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long what was made may be shown again, in seconds, when nothing has changed: ages stand in it.
const FRESH: i64 = 10;

/// How much is kept of what was made, in bytes before compression.
const KEPT: usize = 6 << 20;

/// The dashboard, as its routes see it.
pub struct Dashboard {
    config: Config,
    backend: Box<dyn Read>,
    catalog: Catalog,
    /// The clock, in unix seconds.
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    pages: Vec<Shown>,
    turns: Semaphore,
    kept: Mutex<HashMap<String, Arc<Made>>>,
    counts: Counts,
}

/// A page, and what it shows.
struct Shown {
    page: Page,
    summary: RwLock<Arc<Summary>>,
    asking: AsyncMutex<()>,
}

/// The sections of a page as they were last asked for.
#[derive(Debug, Default)]
pub struct Summary {
    /// The sections, sorted by name.
    pub sections: Vec<Part>,
    /// Why they could not be had again since.
    pub problem: Option<String>,
    version: u64,
    asked: Option<Instant>,
}

/// What was made of the data.
struct Made {
    kind: &'static str,
    body: Bytes,
    /// The same compressed, once somebody has asked for it so; nothing where that is no gain.
    gzip: OnceLock<Option<Bytes>>,
}

/// What `/metrics` tells.
#[derive(Default)]
struct Counts {
    requests: Mutex<HashMap<Kind, Answered>>,
    reused: AtomicU64,
    asked: AtomicU64,
    failed: AtomicU64,
}

/// Route and status of an answer.
type Kind = (&'static str, u16);

/// How many, and how long they took in all, in microseconds.
type Answered = (u64, u64);

/// An answer that is none.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.1 }).to_string();
        (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

fn wrong(error: anyhow::Error) -> Failure {
    Failure(StatusCode::BAD_REQUEST, format!("{error:#}"))
}

impl Dashboard {
    /// A dashboard of these pages, the first of them in front, that reads `backend` by the clock `now`.
    ///
    /// # Panics
    /// When there is no page.
    pub fn new(
        config: Config,
        pages: Vec<Page>,
        backend: Box<dyn Read>,
        catalog: Catalog,
        now: Box<dyn Fn() -> i64 + Send + Sync>,
    ) -> Arc<Self> {
        assert!(!pages.is_empty(), "a dashboard without a page");
        let shown = |page| Shown { page, summary: RwLock::default(), asking: AsyncMutex::default() };
        Arc::new(Self {
            config,
            backend,
            catalog,
            now,
            pages: pages.into_iter().map(shown).collect(),
            turns: Semaphore::new(AT_ONCE),
            kept: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Its routes.
    pub fn routes(self: Arc<Self>) -> Router {
        let of_a_page = |at: &str| {
            Router::new()
                .route(&format!("{at}/"), get(whole_page))
                .route(&format!("{at}/tables"), get(tables))
                .route(&format!("{at}/json"), get(json).post(json_form))
                .route(&format!("{at}/export"), get(export))
                .route(&format!("{at}/plot.svg"), get(drawn))
                .route(&format!("{at}/api/v1/summary"), get(summary_json))
                .route(&format!("{at}/api/v1/history"), get(history_json))
                .route(&format!("{at}/static/{{name}}"), get(asset))
        };
        of_a_page("")
            .merge(of_a_page("/pages/{page}"))
            .route("/pages/{page}", get(moved))
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics))
            .fallback(async || Failure(StatusCode::NOT_FOUND, "there is no such page; begin at ./".into()))
            .layer(axum::middleware::from_fn_with_state(self.clone(), around))
            .with_state(self)
    }

    /// The page that an address names; the first one where it names none.
    fn page(&self, names: &Names) -> Result<&Shown, Failure> {
        let Some(name) = names.get("page") else { return Ok(&self.pages[0]) };
        self.pages.iter().find(|shown| shown.page.name == name).ok_or_else(|| {
            let known: Vec<_> = self.pages.iter().map(|shown| shown.page.name).collect();
            let words = format!("there is no page {}; there are {}", quote(name), known.join(", "));
            Failure(StatusCode::NOT_FOUND, words)
        })
    }

    /// A page as it is now: asked for once per change of the data, however many want to know.
    async fn current(self: &Arc<Self>, shown: &Shown) -> Arc<Summary> {
        let is_fresh = |summary: &Summary| match summary.asked {
            None => false,
            // What went wrong may be right in a moment.
            Some(asked) if summary.problem.is_some() => asked.elapsed() < Duration::from_secs(5),
            Some(asked) => summary.version == self.backend.version() && asked.elapsed() < Duration::from_secs(3600),
        };
        let last = shown.last();
        if is_fresh(&last) {
            self.counts.reused.fetch_add(1, Ordering::Relaxed);
            return last;
        }
        let _asking = match shown.asking.try_lock() {
            Ok(asking) => asking,
            // Somebody asks already; meanwhile the last answer does.
            Err(_) if last.asked.is_some() => return last,
            Err(_) => shown.asking.lock().await,
        };
        let last = shown.last();
        if is_fresh(&last) {
            return last;
        }
        let (this, page) = (self.clone(), shown.page);
        let answer = tokio::task::spawn_blocking(move || {
            // Read before the data: what changes while they are read is asked for again.
            let version = this.backend.version();
            let latest = this.backend.latest(&page.measurements(), (this.now)());
            (version, latest.map(|latest| sections(&page, latest)))
        });
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        let (version, sections) = answer.await.unwrap_or_else(|error| (0, Err(anyhow!("{error}"))));
        let asked = Some(Instant::now());
        let summary = Arc::new(match sections {
            Ok(sections) => Summary { sections, problem: None, version, asked },
            Err(error) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                Summary { sections: last.sections.clone(), problem: Some(format!("{error:#}")), version, asked }
            }
        });
        *shown.summary.write().expect("nothing panics while it is held") = summary.clone();
        // What was made of other data is asked for no more.
        self.kept.lock().expect("nothing panics while it is held").clear();
        summary
    }

    /// What was made under this key before and is still kept.
    fn made_before(&self, key: &str) -> Option<Arc<Made>> {
        let made = self.kept.lock().expect("nothing panics while it is held").get(key).cloned()?;
        self.counts.reused.fetch_add(1, Ordering::Relaxed);
        Some(made)
    }

    /// Something made of the data, or what was made of the same data before. `key` holds everything that it depends on.
    fn made<B: Into<Bytes>>(&self, key: String, make: impl FnOnce() -> (&'static str, B)) -> Arc<Made> {
        if let Some(made) = self.made_before(&key) {
            return made;
        }
        let (kind, body) = make();
        let made = Arc::new(Made { kind, body: body.into(), gzip: OnceLock::new() });
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        // What is old is never asked for again, so what is too much is mostly old.
        if kept.len() >= 1000 || kept.values().map(|made| made.body.len()).sum::<usize>() + made.body.len() > KEPT {
            kept.clear();
        }
        kept.insert(key, made.clone());
        made
    }
}

impl Shown {
    /// What was last asked for.
    fn last(&self) -> Arc<Summary> {
        self.summary.read().expect("nothing panics while it is held").clone()
    }
}

fn compressed(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < 1024 {
        return None;
    }
    // What is sent once is compressed once, so the quick way is the quickest.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).ok()?;
    Some(encoder.finish().ok()?.into())
}

impl Made {
    fn response(&self, headers: &HeaderMap) -> Response {
        let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
        let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let wanted =
            accepts.contains("gzip").then(|| self.gzip.get_or_init(|| compressed(&self.body)).clone()).flatten();
        match wanted {
            Some(gzip) => {
                let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                ([kind, vary, cache, encoding], gzip).into_response()
            }
            None => ([kind, vary, cache], self.body.clone()).into_response(),
        }
    }
}

/// The names and values of a query, decoded.
type Pairs = Vec<(String, String)>;

fn pairs(query: Option<&str>) -> Pairs {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn one<'a>(pairs: &'a Pairs, names: &[&str]) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_str())
}

/// A question about the past.
struct Question {
    wanted: Vec<Wanted>,
    from: i64,
    to: i64,
    points: usize,
}

impl Question {
    /// Reads one; names that the original used are understood too.
    fn new(pairs: &Pairs, now: i64, catalog: Catalog) -> Result<Self> {
        let paths = pairs.iter().filter(|(name, _)| ["path", "paths", "paths[]", "plot"].contains(&name.as_str()));
        let paths: Vec<_> = paths.map(|(_, path)| path.as_str()).collect();
        ensure!(
            !paths.is_empty(),
            "say which numbers, with path=… once for each; /api/v1/summary names the path of each"
        );
        ensure!(paths.len() <= SERIES, "{} paths are too many: at most {SERIES}", paths.len());
        // Ranges that end now go on with the minute, not with every second, so that what is drawn can be shown again.
        let now = (now.div_euclid(60) + 1) * 60;
        let time = |names: &[&str], default| {
            let text = one(pairs, names).filter(|text| !text.is_empty()).unwrap_or(default);
            times::parse(text, now).with_context(|| names[0].to_string())
        };
        let (from, to) = (time(&["from"], "-6h")?, time(&["to", "end", "until"], "now")?);
        ensure!(from < to, "from is not before to");
        ensure!(to - from <= RANGE, "a range of over 21 years");
        let points = one(pairs, &["points"]).unwrap_or("1000");
        let points = points.parse().ok().filter(|points| (2..=POINTS).contains(points));
        let points = points.with_context(|| format!("points is not 2 to {POINTS}"))?;
        let wanted = paths.into_iter().map(|path| Wanted::new(path, catalog)).collect::<Result<_>>()?;
        Ok(Self { wanted, from, to, points })
    }

    fn key(&self) -> String {
        let mut key = format!("{} {} {}", self.from, self.to, self.points);
        for wanted in &self.wanted {
            let _ = write!(key, " {}", wanted.path);
        }
        key
    }
}

/// What is given of the past.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Json,
    Tsv,
    Csv,
    Svg,
}

impl Dashboard {
    /// The answer to a question about the past, in a format.
    async fn past(self: &Arc<Self>, pairs: Pairs, format: Format) -> Result<Arc<Made>, Failure> {
        let question = Question::new(&pairs, (self.now)(), self.catalog).map_err(wrong)?;
        let look = plot::Look::new(&pairs).map_err(wrong)?;
        let kind = match format {
            Format::Json => "json".into(),
            Format::Tsv => "tsv".into(),
            Format::Csv => "csv".into(),
            Format::Svg => format!("svg {look:?}"),
        };
        let key = format!("{kind} {} {}", self.backend.version(), question.key());
        if let Some(made) = self.made_before(&key) {
            return Ok(made);
        }
        let this = self.clone();
        let work = async move {
            let _turn = this.turns.acquire().await;
            let this = this.clone();
            let work = tokio::task::spawn_blocking(move || {
                this.counts.asked.fetch_add(1, Ordering::Relaxed);
                let Question { wanted, from, to, points } = &question;
                let answer = this.backend.range(wanted, *from, *to, *points);
                let values = answer.inspect_err(|_| {
                    this.counts.failed.fetch_add(1, Ordering::Relaxed);
                })?;
                let history = History::new(*from, *to, *points, values);
                Ok::<_, anyhow::Error>(this.made(key, || match format {
                    Format::Json => ("application/json", serde_json::to_string(&history).unwrap_or_default()),
                    Format::Tsv => ("text/tab-separated-values; charset=utf-8", history.table('\t')),
                    Format::Csv => ("text/csv; charset=utf-8", history.table(',')),
                    Format::Svg => ("image/svg+xml", plot::svg(&history, &look)),
                }))
            });
            work.await.context("the question broke off")?
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(error)) => Err(Failure(StatusCode::BAD_GATEWAY, format!("{}: {error:#}", self.backend.describe()))),
            Err(_) => Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "too many questions at once; try again".into())),
        }
    }
}

type App = State<Arc<Dashboard>>;

/// The names in an address, by what they name: `page`, `name`.
type Names = HashMap<String, String>;

async fn whole_page(
    State(app): App,
    Path(names): Path<Names>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    rendered(&app, &names, query, &headers, "page", page::whole).await
}

/// The addresses in a page are relative, so its own ends with a slash.
async fn moved(State(app): App, Path(names): Path<Names>) -> Result<Response, Failure> {
    let address = format!("{}/", app.page(&names)?.page.name);
    Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, address)]).into_response())
}

async fn tables(
    State(app): App,
    Path(names): Path<Names>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    rendered(&app, &names, query, &headers, "tables", page::tables).await
}

async fn rendered(
    app: &Arc<Dashboard>,
    names: &Names,
    query: Option<String>,
    headers: &HeaderMap,
    what: &str,
    render: fn(&View) -> String,
) -> Result<Response, Failure> {
    let shown = app.page(names)?;
    let options = Options::new(&pairs(query.as_deref()));
    let summary = app.current(shown).await;
    let (now, page) = ((app.now)(), &shown.page);
    let key = format!("{what} {} {:?} {} {options:?}", page.name, summary.asked, now.div_euclid(FRESH));
    let made = app.made(key, || {
        let backend = app.backend.describe();
        let view = View { config: &app.config, page, summary: &summary, backend: &backend, options: &options, now };
        ("text/html; charset=utf-8", render(&view))
    });
    Ok(made.response(headers))
}

async fn json(
    State(app): App,
    Path(names): Path<Names>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    either(&app, &names, pairs(query.as_deref()), &headers).await
}

/// The original's page asked with a form.
async fn json_form(
    State(app): App,
    Path(names): Path<Names>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    either(&app, &names, pairs(std::str::from_utf8(&body).ok()), &headers).await
}

async fn either(app: &Arc<Dashboard>, names: &Names, pairs: Pairs, headers: &HeaderMap) -> Result<Response, Failure> {
    if pairs.iter().any(|(name, _)| name.starts_with("path")) {
        return Ok(app.past(pairs, Format::Json).await?.response(headers));
    }
    summarised(app, names, headers).await
}

async fn summary_json(State(app): App, Path(names): Path<Names>, headers: HeaderMap) -> Result<Response, Failure> {
    summarised(&app, &names, &headers).await
}

/// What `/api/v1/summary` answers.
async fn summarised(app: &Arc<Dashboard>, names: &Names, headers: &HeaderMap) -> Result<Response, Failure> {
    let shown = app.page(names)?;
    let summary = app.current(shown).await;
    if let Some(problem) = summary.problem.as_ref().filter(|_| summary.sections.is_empty()) {
        return Err(Failure(StatusCode::BAD_GATEWAY, problem.clone()));
    }
    let (now, page) = ((app.now)(), &shown.page);
    let key = format!("summary {} {:?} {}", page.name, summary.asked, now.div_euclid(FRESH));
    let made = app.made(key, || {
        let answer = Now { now, problem: summary.problem.as_deref(), page, sections: &summary.sections };
        ("application/json", serde_json::to_string(&answer).unwrap_or_default())
    });
    Ok(made.response(headers))
}

async fn history_json(State(app): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Failure> {
    Ok(app.past(pairs(query.as_deref()), Format::Json).await?.response(&headers))
}

async fn drawn(State(app): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Failure> {
    Ok(app.past(pairs(query.as_deref()), Format::Svg).await?.response(&headers))
}

async fn export(State(app): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Failure> {
    let pairs = pairs(query.as_deref());
    let (format, ending) = match one(&pairs, &["format"]).unwrap_or("tsv") {
        "tsv" => (Format::Tsv, "tsv"),
        "csv" => (Format::Csv, "csv"),
        "json" => (Format::Json, "json"),
        "svg" => (Format::Svg, "svg"),
        other => return Err(wrong(anyhow!("format {} is none of tsv, csv, json and svg", quote(other)))),
    };
    let mut response = app.past(pairs, format).await?.response(&headers);
    let name = HeaderValue::from_str(&format!("attachment; filename=\"cloud-monitor.{ending}\""));
    response.headers_mut().extend(name.ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    Ok(response)
}

async fn healthz(State(app): App) -> Response {
    let summary = app.current(&app.pages[0]).await;
    match &summary.problem {
        None => "ok\n".into_response(),
        Some(problem) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}: {problem}\n", app.backend.describe())).into_response()
        }
    }
}

async fn metrics(State(app): App) -> Response {
    let summary = app.current(&app.pages[0]).await;
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, lines: Vec<(String, String)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let requests = app.counts.requests.lock().expect("nothing panics while it is held").clone();
    let mut requests: Vec<_> = requests.into_iter().collect();
    requests.sort_unstable();
    let label = |(route, status): (&str, u16)| format!("{{route=\"{route}\",status=\"{status}\"}}");
    let counts = requests.iter().map(|(of, (count, _))| (label(*of), count.to_string())).collect();
    metric("cloud_monitor_requests_total", "counter", "Requests that were answered.", counts);
    let times = requests.iter().map(|(of, (_, micros))| (label(*of), format!("{}", *micros as f64 / 1e6))).collect();
    metric("cloud_monitor_request_seconds_total", "counter", "How long they took in all.", times);
    let count = |count: &AtomicU64| vec![(String::new(), count.load(Ordering::Relaxed).to_string())];
    metric("cloud_monitor_reused_total", "counter", "Answers that were made before.", count(&app.counts.reused));
    metric("cloud_monitor_store_questions_total", "counter", "Questions to the store.", count(&app.counts.asked));
    metric("cloud_monitor_store_failures_total", "counter", "Those that it did not answer.", count(&app.counts.failed));
    let up = vec![(String::new(), u8::from(summary.problem.is_none()).to_string())];
    metric("cloud_monitor_store_up", "gauge", "Whether it answered the last one about all grids.", up);
    let now = (app.now)();
    let escaped = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let ages = summary
        .sections
        .iter()
        .map(|grid| (format!("{{grid=\"{}\"}}", escaped(&grid.name)), (now - grid.time).to_string()));
    metric("cloud_monitor_grid_age_seconds", "gauge", "Age of the newest number of a grid.", ages.collect());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn asset(State(app): App, Path(names): Path<Names>, headers: HeaderMap) -> Response {
    let Some(asset) = page::ASSETS.iter().find(|asset| names.get("name").is_some_and(|name| asset.name == name)) else {
        return Failure(StatusCode::NOT_FOUND, "there is no such file".into()).into_response();
    };
    let made = app.made(format!("static {}", asset.name), || (asset.kind, asset.bytes));
    let mut response = made.response(&headers);
    // Its address holds the version.
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// What holds for every answer: no script but our own, nothing from elsewhere, and a count.
async fn around(State(app): App, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.uri().path();
    // Each page has the same routes.
    let of_a_page = path.strip_prefix("/pages/").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let route = match of_a_page.unwrap_or(path) {
        "/" => "/",
        "/tables" => "/tables",
        "/json" => "/json",
        "/export" => "/export",
        "/plot.svg" => "/plot.svg",
        "/api/v1/summary" => "/api/v1/summary",
        "/api/v1/history" => "/api/v1/history",
        "/healthz" => "/healthz",
        "/metrics" => "/metrics",
        path if path.starts_with("/static/") => "/static",
        _ => "other",
    };
    let mut response: Response<Body> = next.run(request).await;
    let policy = match route {
        "/plot.svg" => "default-src 'none'; style-src 'unsafe-inline'",
        _ => {
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        }
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let mut requests = app.counts.requests.lock().expect("nothing panics while it is held");
    let count = requests.entry((route, response.status().as_u16())).or_default();
    count.0 += 1;
    count.1 += u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    response
}
