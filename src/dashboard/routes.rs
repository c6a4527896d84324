//! The routes: what each address returns.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use axum::Extension;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Config;
use super::cache::Cache;
use super::day;
use super::elsewhere::Elsewhere;
use super::federate::federate;
use super::happenings;
use super::metrics::Counts;
use super::page::{self, Options, View};
use super::question::{Format, Pairs, first, pairs};
use super::room::Room;
use super::summary::PageState;
use super::troubles::{Line, Place};
use super::turns::Turns;
use super::watch::Watch;
use crate::events::Rules;
use crate::model::{Catalog, Measurement};
use crate::os::guests::{Guest, Guests};
use crate::os::work::catch;
use crate::query::Read;
use crate::text::quote;
use crate::view::html::Own;
use crate::view::json::PageJson;
use crate::view::page::Page;
use crate::view::table::sections_of;

/// Maximum number of connections.
const PLACES: usize = 900;

/// How long a rendered page may be given again while the data stay the same, in seconds: it shows ages.
pub(super) const MAX_AGE: i64 = 10;

/// How long a form may take to arrive.
const FORM: Duration = Duration::from_secs(15);

/// The largest form, in bytes.
const LONGEST_FORM: usize = 64 << 10;

/// The dashboard that the routes share.
pub struct Dashboard {
    pub(super) config: Config,
    pub(super) backend: Box<dyn Read>,
    pub(super) catalog: Catalog,
    /// The clock, in unix seconds.
    pub(super) now: Box<dyn Fn() -> i64 + Send + Sync>,
    pub(super) pages: Vec<PageState>,
    pub(super) watch: Watch,
    pub(super) guests: Arc<Guests>,
    pub(super) turns: Turns,
    pub(super) room: Room,
    pub(super) cache: Cache,
    pub(super) counts: Counts,
}

/// An error response, with the message that its JSON body holds.
pub(super) struct Failure(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.1 }).to_string();
        (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Returns the response to a request that met a bug.
pub(super) fn panicked(bug: &anyhow::Error) -> Failure {
    Failure(StatusCode::INTERNAL_SERVER_ERROR, format!("cloud-monitor {bug}"))
}

/// Returns the response to a query that cannot be read.
pub(super) fn bad_request(error: anyhow::Error) -> Failure {
    Failure(StatusCode::BAD_REQUEST, format!("{error:#}"))
}

impl Dashboard {
    /// Returns a dashboard of these pages, the first one at `/`, that reads `backend` by the clock `now` (unix seconds).
    ///
    /// # Panics
    /// If there is no page.
    pub fn new(
        config: Config,
        pages: Vec<Page>,
        backend: Box<dyn Read>,
        catalog: Catalog,
        now: Box<dyn Fn() -> i64 + Send + Sync>,
    ) -> Arc<Self> {
        Self::with_rules(config, pages, Rules::default(), backend, catalog, now)
    }

    /// Returns such a dashboard that also tells, by these rules, what is wrong and what happened.
    ///
    /// # Panics
    /// If there is no page.
    pub fn with_rules(
        config: Config,
        pages: Vec<Page>,
        rules: Rules,
        backend: Box<dyn Read>,
        catalog: Catalog,
        now: Box<dyn Fn() -> i64 + Send + Sync>,
    ) -> Arc<Self> {
        assert!(!pages.is_empty(), "a dashboard without a page");
        Arc::new(Self {
            config,
            backend,
            catalog,
            now,
            pages: pages.into_iter().map(PageState::new).collect(),
            watch: Watch::new(rules),
            guests: Arc::new(Guests::new(PLACES)),
            turns: Turns::default(),
            room: Room::default(),
            cache: Cache::default(),
            counts: Counts::default(),
        })
    }

    /// Returns the routes: those of each page below `pages/NAME`, and those of the first page without that too.
    pub fn routes(self: Arc<Self>) -> Router {
        let of_a_page = |at: &str| {
            Router::new()
                .route(&format!("{at}/"), get(whole_page))
                .route(&format!("{at}/tables"), get(tables))
                .route(&format!("{at}/json"), get(json).post(json_form))
                .route(&format!("{at}/export"), get(export))
                .route(&format!("{at}/plot.svg"), get(plot_svg))
                .route(&format!("{at}/plot.png"), get(plot_png))
                .route(&format!("{at}/api/v1/summary"), get(summary_json))
                .route(&format!("{at}/api/v1/history"), get(history_json))
                .route(&format!("{at}/api/v1/events"), get(happenings::events))
                .route(&format!("{at}/static/{{name}}"), get(asset))
        };
        of_a_page("")
            .merge(of_a_page("/pages/{page}"))
            .route("/pages/{page}", get(add_slash))
            .route("/api/v1/problems", get(happenings::problems))
            .route("/events", get(happenings::add_slash))
            .route("/events/", get(happenings::page))
            .route("/events/tables", get(happenings::tables))
            .route("/events/export", get(export))
            .route("/events/plot.svg", get(plot_svg))
            .route("/events/plot.png", get(plot_png))
            .route("/events/api/v1/history", get(history_json))
            .route("/events/api/v1/events", get(happenings::events))
            .route("/events/static/{name}", get(asset))
            .route("/help", get(async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "help/")])))
            .route("/help/", get(help))
            .route("/help/tables", get(help_tables))
            .route("/help/static/{name}", get(asset))
            .route("/federate", get(federate))
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics))
            .fallback(async || Failure(StatusCode::NOT_FOUND, "there is no such page; begin at ./".into()))
            .layer(axum::middleware::from_fn_with_state(self.clone(), secure_and_count))
            .with_state(self)
    }

    /// Returns the response under this key from the cache, or renders it in its turn.
    pub(super) async fn answer(
        self: &Arc<Self>,
        key: String,
        headers: &HeaderMap,
        render: impl FnOnce() -> anyhow::Result<(&'static str, String)> + Send + 'static,
    ) -> Result<Response, Failure> {
        let rendered = match self.cached(&key) {
            Some(rendered) => rendered,
            None => self.render(key, self.turns.rendering().await, headers, render).await?,
        };
        Ok(rendered.response(headers, &self.room))
    }

    /// Returns what the page of a name has besides, if one is asked for; nothing if the store does not answer.
    fn own(&self, page: &Page, options: &Options, now: i64) -> Own {
        let Some((_, tag, name)) = options.named() else { return Own::default() };
        let of = page.measurements_of_a_name(tag, self.catalog.measurements());
        if of.is_empty() {
            return Own::default();
        }
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        let sections = match self.backend.latest_of(&of, (tag, name), now) {
            Ok(newest) => sections_of(page, &of, newest.values),
            Err(_) => {
                self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
                Vec::new()
            }
        };
        let shows = |page: &Page, one: &Measurement| page.measurements().iter().any(|shown| shown.name == one.name);
        let page_of = |one: &&'static Measurement| self.pages.iter().find(|state| shows(&state.page, one));
        let pages = of.iter().map(|one| page_of(one).map_or("", |state| state.page.name)).collect();
        Own { measurements: of, pages, sections }
    }

    /// Returns the pages of measurements that no declared page shows.
    pub(super) fn others(&self) -> Vec<Page> {
        self.pages.iter().map(|state| state.page).filter(|page| page.program.is_empty()).collect()
    }

    /// Returns the pages that a program fills, which stand in the list of systems.
    pub(super) fn systems(&self) -> Vec<Page> {
        self.pages.iter().map(|state| state.page).filter(|page| !page.program.is_empty()).collect()
    }

    /// Returns the page that an address names, or the first one if it names none.
    pub(super) fn page(&self, names: &Names) -> Result<&PageState, Failure> {
        let Some(name) = names.get("page") else { return Ok(&self.pages[0]) };
        self.pages.iter().find(|state| state.page.name == name).ok_or_else(|| {
            let known: Vec<_> = self.pages.iter().map(|state| state.page.name).collect();
            let message = format!("there is no page {}; there are {}", quote(name), known.join(", "));
            Failure(StatusCode::NOT_FOUND, message)
        })
    }
}

pub(super) type App = State<Arc<Dashboard>>;

/// The connection of a request.
pub(super) type Client = Option<Extension<Arc<Guest>>>;

/// Returns where a request comes from.
pub(super) fn address(client: &Client) -> IpAddr {
    client.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |guest| guest.address)
}

/// The parts of an address by the names that its route gives them: `page`, `name`.
pub(super) type Names = HashMap<String, String>;

async fn whole_page(
    State(app): App,
    Path(names): Path<Names>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    html(&app, &names, query, &headers, "page", page::whole).await
}

/// Returns the help: what columns mean, what shapes and keys do.
async fn help(State(app): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Failure> {
    html(&app, &Names::new(), query, &headers, "help", page::whole).await
}

async fn help_tables(State(app): App, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Failure> {
    html(&app, &Names::new(), query, &headers, "help tables", page::tables).await
}

/// Redirects to the address with a slash, because the addresses in a page are relative.
async fn add_slash(State(app): App, Path(names): Path<Names>) -> Result<Response, Failure> {
    let address = format!("{}/", app.page(&names)?.page.name);
    Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, address)]).into_response())
}

async fn tables(
    State(app): App,
    Path(names): Path<Names>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    html(&app, &names, query, &headers, "tables", page::tables).await
}

async fn html(
    app: &Arc<Dashboard>,
    names: &Names,
    query: Option<String>,
    headers: &HeaderMap,
    kind: &str,
    render: fn(&View) -> String,
) -> Result<Response, Failure> {
    let state = app.page(names)?;
    let asked = pairs(query.as_deref());
    let options = Options::new(&asked);
    let (summary, watched) = tokio::join!(app.summary(state), app.watched());
    let is_help = kind.starts_with("help");
    let here = (!is_help).then_some(&state.page);
    let (bars, events, (others, read)) =
        tokio::join!(app.bars(names, &summary.sections), app.day(names), app.others_to_search(here, &options));
    let (now, page) = ((app.now)(), state.page);
    let place = Place::of(names.contains_key("page"), is_help);
    let looked_at = watched.as_ref().and_then(|watched| watched.read_at);
    let key = format!(
        "{kind} {} {place:?} {:?} {looked_at:?} {:?} {:?}{read} {} {options:?}",
        page.name,
        summary.read_at,
        bars.read,
        events.read,
        now.div_euclid(MAX_AGE)
    );
    if let Some(column) = first(&asked, &["column"]).filter(|_| kind == "page") {
        let address = page::plotting(&page, &summary, &options, column, now);
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response());
    }
    let this = app.clone();
    app.answer(key, headers, move || {
        let (config, page, backend) = (&this.config, &page, &this.backend.describe());
        let (options, title) = (&options, config.title.as_str());
        let systems = &this.systems_of(page);
        let line = watched.as_deref().map(|watched| Line { watched, systems, place, options, title });
        let pages = &this.systems();
        let troubles = line.as_ref().and_then(|line| this.watch.troubles(line.watched, page, line.systems));
        let troubles = troubles.as_ref();
        let (summary, bars, lines, happened) = (&summary, &bars.found.bars, &bars.found.lines, None);
        let own = &this.own(page, options, now);
        let past = &day::html(&events.found, page, &summary.sections, (place, options, now));
        let view = View {
            config,
            page,
            place,
            pages,
            others: &this.others(),
            elsewhere: &Elsewhere::new(options, &others),
            summary,
            own,
            bars,
            lines,
            past,
            backend,
            options,
            now,
            line,
            troubles,
            is_help,
            happened,
        };
        Ok(("text/html; charset=utf-8", render(&view)))
    })
    .await
}

async fn json(
    State(app): App,
    Path(names): Path<Names>,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    history_or_summary(&app, &names, pairs(query.as_deref()), address(&guest), &headers).await
}

/// Answers the POST form of the original's page.
async fn json_form(
    State(app): App,
    Path(names): Path<Names>,
    guest: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let form = tokio::time::timeout(FORM, to_bytes(body, LONGEST_FORM)).await;
    let form = form.map_err(|_| Failure(StatusCode::REQUEST_TIMEOUT, "the form did not arrive".into()))?;
    let form = form.map_err(|error| bad_request(anyhow!("the form: {error}")))?;
    history_or_summary(&app, &names, pairs(std::str::from_utf8(&form).ok()), address(&guest), &headers).await
}

/// Returns the history if the query names a path, else the summary.
async fn history_or_summary(
    app: &Arc<Dashboard>,
    names: &Names,
    pairs: Pairs,
    client: IpAddr,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    if pairs.iter().any(|(name, _)| name.starts_with("path")) {
        return app.history(pairs, Format::Json, client, headers).await;
    }
    summary(app, names, headers).await
}

async fn summary_json(State(app): App, Path(names): Path<Names>, headers: HeaderMap) -> Result<Response, Failure> {
    summary(&app, &names, &headers).await
}

async fn summary(app: &Arc<Dashboard>, names: &Names, headers: &HeaderMap) -> Result<Response, Failure> {
    let state = app.page(names)?;
    let summary = app.summary(state).await;
    if let Some(problem) = summary.problem.as_ref().filter(|_| summary.sections.is_empty()) {
        return Err(Failure(StatusCode::BAD_GATEWAY, problem.clone()));
    }
    let (now, page) = ((app.now)(), state.page);
    let key = format!("summary {} {:?} {}", page.name, summary.read_at, now.div_euclid(MAX_AGE));
    app.answer(key, headers, move || {
        let (problem, notice) = (summary.problem.as_deref(), summary.ahead.notice());
        let json = PageJson { now, problem, notice: notice.as_deref(), page: &page, sections: &summary.sections };
        Ok(("application/json", serde_json::to_string(&json)?))
    })
    .await
}

async fn history_json(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    app.history(pairs(query.as_deref()), Format::Json, address(&guest), &headers).await
}

async fn plot_svg(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    app.history(pairs(query.as_deref()), Format::Svg, address(&guest), &headers).await
}

async fn plot_png(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    app.history(pairs(query.as_deref()), Format::Png, address(&guest), &headers).await
}

async fn export(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let pairs = pairs(query.as_deref());
    let (format, extension) = match first(&pairs, &["format"]).unwrap_or("tsv") {
        "tsv" => (Format::Tsv, "tsv"),
        "csv" => (Format::Csv, "csv"),
        "json" => (Format::Json, "json"),
        "svg" => (Format::Svg, "svg"),
        "png" => (Format::Png, "png"),
        other => return Err(bad_request(anyhow!("format {} is not tsv, csv, json, svg or png", quote(other)))),
    };
    let (mut response, name) = app.export(pairs, (format, extension), address(&guest), &headers).await?;
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    response.headers_mut().extend(name.ok().map(|name| (header::CONTENT_DISPOSITION, name)));
    Ok(response)
}

async fn healthz(State(app): App) -> Response {
    let summary = app.summary(&app.pages[0]).await;
    match &summary.problem {
        None => "ok\n".into_response(),
        Some(problem) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}: {problem}\n", app.backend.describe())).into_response()
        }
    }
}

async fn metrics(State(app): App) -> Response {
    let summary = app.summary(&app.pages[0]).await;
    let text = app.counts.metrics(&summary, &app.room, (app.now)());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn asset(State(app): App, Path(names): Path<Names>, headers: HeaderMap) -> Response {
    let Some(asset) = page::ASSETS.iter().find(|asset| names.get("name").is_some_and(|name| asset.name == name)) else {
        return Failure(StatusCode::NOT_FOUND, "there is no such file".into()).into_response();
    };
    let rendered = app.file(format!("static {}", asset.name), asset.content_type, asset.bytes);
    let mut response = rendered.response(&headers, &app.room);
    // The links to it hold its checksum, so a changed file has another address.
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// The route under which requests are counted that never reach one, because of their Host.
pub(super) const REFUSED: &str = "refused";

/// Adds the security headers to every response (only our own scripts, nothing from other sites) and counts the request.
async fn secure_and_count(State(app): App, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = route_of(request.uri().path());
    let mut answer = pin!(next.run(request));
    let answer = poll_fn(|context| match catch(|| answer.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(bug) => Poll::Ready(Err(bug)),
    });
    let mut response: Response<Body> = answer.await.unwrap_or_else(|bug| panicked(&bug).into_response());
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
    app.counts.request(route, response.status().as_u16(), began.elapsed());
    response
}

/// Returns the route of a path for the counts, the same for every page: `other` if there is none.
fn route_of(path: &str) -> &'static str {
    let of_a_page = path.strip_prefix("/pages/").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    match of_a_page.unwrap_or(path) {
        "/" => "/",
        "/tables" => "/tables",
        "/json" => "/json",
        "/events" | "/events/" | "/events/tables" => "/events",
        "/api/v1/problems" => "/api/v1/problems",
        "/api/v1/events" => "/api/v1/events",
        "/export" => "/export",
        "/plot.svg" => "/plot.svg",
        "/plot.png" => "/plot.png",
        "/api/v1/summary" => "/api/v1/summary",
        "/api/v1/history" => "/api/v1/history",
        "/federate" => "/federate",
        "/healthz" => "/healthz",
        "/metrics" => "/metrics",
        path if path.starts_with("/static/") => "/static",
        _ => "other",
    }
}
