//! What is wrong now and what happened, as JSON, CSV and a page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Dashboard;
use super::elsewhere::Elsewhere;
use super::page::{self, Options, View};
use super::question::{Pairs, first, no_range, pairs};
use super::routes::{App, Client, Failure, MAX_AGE, Names, address, bad_request};
use super::troubles::{DEFAULT_FROM, Happened, Line, Place};
use crate::events::{Event, Severity, csv, past_of, write_json};
use crate::model::graphite_time;
use crate::query::Wanted;
use crate::text::quote;
use crate::view::bar::{Bars, Lines};
use crate::view::html::{MAX_PLOTS, Own};
use crate::view::marks::{Mark, MarkKind};
use crate::view::selection::Selection;

/// The longest range, in seconds.
const MAX_RANGE: i64 = 5 * 366 * 86_400;

/// Over a longer range, in seconds, a plot has no marks, as in the script.
const LONGEST_MARKED: i64 = 62 * 86_400;

/// A range of more seconds than this is a large question.
const LARGE_RANGE: i64 = 2 * 86_400;

/// How long a question may wait for its turn and its answer.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct EventsJson<'a> {
    from: i64,
    until: i64,
    /// How many events are left out.
    left_out: usize,
    events: &'a [Event],
}

/// Which events a reader chose.
struct Chosen<'a> {
    options: &'a Options,
    longer: i64,
}

impl<'a> Chosen<'a> {
    fn new(options: &'a Options) -> Self {
        Self { options, longer: options.longer.parse().unwrap_or(0) }
    }

    fn has(&self, event: &Event, now: i64) -> bool {
        let Options { system, kind, going, .. } = self.options;
        (system.is_empty() || event.system == *system)
            && (kind.is_empty() || event.severity.word() == *kind)
            && (!going || event.until.is_none())
            && event.seconds(now) >= self.longer
    }
}

/// Returns what is wrong now.
pub(super) async fn problems(State(app): App, headers: HeaderMap) -> Result<Response, Failure> {
    let watched = app.watched().await.ok_or_else(no_rules)?;
    if let Some(problem) = watched.problem.as_ref().filter(|_| watched.now.time == 0) {
        return Err(Failure(StatusCode::BAD_GATEWAY, format!("{}: {problem}", app.backend.describe())));
    }
    let key = format!("problems {:?}", watched.read_at);
    app.answer(key, &headers, move || Ok(("application/json", write_json(&watched.now, watched.problem.as_deref()))))
        .await
}

fn no_rules() -> Failure {
    Failure(StatusCode::NOT_FOUND, "this server has no rules".into())
}

/// Reads the range of a query, which moves once a minute, so that its answer can come from the cache.
fn range(pairs: &Pairs, now: i64) -> Result<(i64, i64)> {
    let time = |names: &[&str], default| {
        let text = first(pairs, names).filter(|text| !text.is_empty()).unwrap_or(default);
        graphite_time::parse(text, now).with_context(|| names[0].to_string())
    };
    let (from, until) = (time(&["from"], DEFAULT_FROM)?, time(&["until", "to", "end"], "now")?);
    ensure!(from < until, "{}", no_range(from, "until", now));
    ensure!(until - from <= MAX_RANGE, "a range of over five years");
    ensure!(from < now, "from is in the future");
    Ok((from, until.min(now)))
}

/// Returns what happened in the range of the query.
pub(super) async fn events(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let pairs = pairs(query.as_deref());
    let now = app.minute();
    let range = range(&pairs, now).map_err(bad_request)?;
    let paths = pairs.iter().filter(|(name, _)| name == "path").map(|(_, path)| path.as_str());
    let numbers =
        paths.map(|path| Wanted::or_sum(path, app.catalog)).collect::<Result<Vec<_>>>().map_err(bad_request)?;
    if numbers.len() > MAX_PLOTS {
        return Err(bad_request(anyhow!("{} paths are too many: at most {MAX_PLOTS}", numbers.len())));
    }
    let asked = Options::new(&pairs);
    let of: Vec<_> = numbers.iter().map(|number| number.path.as_str()).collect();
    let of = of.join(" ");
    let is_csv = match first(&pairs, &["format"]).unwrap_or("json") {
        "json" => false,
        "csv" => true,
        other => return Err(bad_request(anyhow!("format {} is not json or csv", quote(other)))),
    };
    let (this, options) = (app.clone(), asked.clone());
    let render = move || {
        let (mut events, left_out) = this.past(range, &numbers)?;
        let chosen = Chosen::new(&options);
        events.retain(|event| chosen.has(event, now));
        Ok(match is_csv {
            true => ("text/csv; charset=utf-8", csv(&events, now)),
            false => {
                let json = EventsJson { from: range.0, until: range.1, left_out, events: &events };
                ("application/json", serde_json::to_string(&json)?)
            }
        })
    };
    let mut response =
        app.tell(format!("events {is_csv} {range:?} {of} {asked:?}"), range, &guest, &headers, render).await?;
    if is_csv {
        let disposition = HeaderValue::from_static("attachment; filename=\"events.csv\"");
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// Redirects to the address with a slash, because the addresses in the page are relative.
pub(super) async fn add_slash() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "events/")]).into_response()
}

/// Returns the page of what happened.
pub(super) async fn page(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    html(&app, query, &guest, &headers, ("page", page::whole)).await
}

/// Returns its content alone, for its refresh.
pub(super) async fn tables(
    State(app): App,
    RawQuery(query): RawQuery,
    guest: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    html(&app, query, &guest, &headers, ("tables", page::tables)).await
}

async fn html(
    app: &Arc<Dashboard>,
    query: Option<String>,
    guest: &Client,
    headers: &HeaderMap,
    (kind, render): (&str, fn(&View) -> String),
) -> Result<Response, Failure> {
    let pairs = pairs(query.as_deref());
    let now = app.minute();
    let range = range(&pairs, now).map_err(bad_request)?;
    let options = Options::new(&pairs);
    let watched = app.watched().await.ok_or_else(no_rules)?;
    let state = app.page(&Names::new())?;
    let (page, summary) = (state.page, app.summary(state).await);
    let (others, read) = app.others_to_search(None, &options).await;
    let clock = (app.now)();
    let key =
        format!("happened {kind} {range:?} {options:?}{read} {:?} {}", watched.read_at, clock.div_euclid(MAX_AGE));
    let this = app.clone();
    let render = move || {
        let (mut events, more) = this.past(range, &[])?;
        let (selection, chosen) = (Selection::new(&options, None), Chosen::new(&options));
        let is_found =
            |event: &Event| [&event.subject, &event.text, &event.section].into_iter().any(|text| selection.finds(text));
        events.retain(|event| chosen.has(event, now) && (!selection.is_search() || is_found(event)));
        let (config, backend, options) = (&this.config, &this.backend.describe(), &options);
        let line = Line { watched: &watched, systems: &[], place: Place::Events, options, title: &config.title };
        let systems = this.watch.rules.systems;
        let happened = Some(Happened { events: &events, more, range, options, systems, now });
        let (line, now, page, summary) = (Some(line), clock, &page, &summary);
        let (bars, lines, past, troubles) = (&Bars::new(), &Lines::new(), &BTreeMap::new(), None);
        let (place, pages) = (Place::Events, &this.systems());
        let view = View {
            config,
            page,
            place,
            pages,
            others: &[],
            elsewhere: &Elsewhere::new(options, &others),
            summary,
            own: &Own::default(),
            bars,
            lines,
            past,
            backend,
            options,
            now,
            line,
            troubles,
            is_help: false,
            happened,
        };
        Ok(("text/html; charset=utf-8", render(&view)))
    };
    app.tell(key, range, guest, headers, render).await
}

impl Dashboard {
    /// Returns the end of this minute, in unix seconds.
    fn minute(&self) -> i64 {
        ((self.now)().div_euclid(60) + 1) * 60
    }

    /// Returns what happened of these numbers; of all if there are none.
    fn past(&self, range: (i64, i64), numbers: &[Wanted]) -> Result<(Vec<Event>, usize)> {
        self.counts.store_questions.fetch_add(1, Ordering::Relaxed);
        past_of(&*self.backend, &self.watch.rules, range, (self.now)(), numbers).inspect_err(|_| {
            self.counts.store_failures.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Returns what happened of these numbers, for their plot; nothing over a range of which there would be too much.
    pub(super) fn marks(&self, (from, until): (i64, i64), numbers: &[Wanted]) -> Result<Vec<Mark>> {
        if until - from > LONGEST_MARKED || from >= (self.now)() {
            return Ok(Vec::new());
        }
        let (mut events, _) = self.past((from, until), numbers)?;
        events.sort_by_key(|event| event.since);
        let kind = |severity| match severity {
            Severity::Bad => MarkKind::Bad,
            Severity::Worse => MarkKind::Worse,
            Severity::NotCollected | Severity::Off | Severity::Changed => MarkKind::Other,
        };
        Ok(events.iter().map(|event| Mark { since: event.since, kind: kind(event.severity) }).collect())
    }

    /// Returns what `render` makes of the past, in its turn.
    async fn tell(
        self: &Arc<Self>,
        key: String,
        (from, until): (i64, i64),
        client: &Client,
        headers: &HeaderMap,
        render: impl FnOnce() -> Result<(&'static str, String)> + Send + 'static,
    ) -> Result<Response, Failure> {
        let key = format!("{key} {}", self.backend.version());
        if let Some(rendered) = self.cached(&key) {
            return Ok(rendered.response(headers, &self.room));
        }
        let work = async {
            let turn = self.turns.question(address(client), until - from > LARGE_RANGE).await;
            self.render(key, turn, headers, render).await
        };
        match tokio::time::timeout(TIMEOUT, work).await {
            Ok(rendered) => Ok(rendered?.response(headers, &self.room)),
            Err(_) => Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "too many questions at once; try again".into())),
        }
    }
}
