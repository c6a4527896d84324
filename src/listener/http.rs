//! HTTP: InfluxDB's addresses for writing, and what monitors ask.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use flate2::read::MultiGzDecoder;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use super::config::Config;
use super::door::Shared;
use super::request::{Answer, Kept};
use super::room::Share;
use super::streams::offer;
use crate::model::SECOND;
use crate::os::guests::Guest;
use crate::os::hosts::{self, Reached};
use crate::sources::agents::lines::Lines;
use crate::sources::agents::status::{AgentStatus, LONGEST};
use crate::text::from_base64;

/// How long a request's head may take to arrive, and how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(60);

/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(60);

/// Maximum size of a request's head, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// The version that InfluxDB's clients are told.
const VERSION: &str = concat!("gridmon-", env!("CARGO_PKG_VERSION"));

/// Serves a connection until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    guest: &Arc<Guest>,
    has_certificate: bool,
    shared: &Arc<Shared>,
) {
    let service = service_fn(|request| answer(request, guest, has_certificate, shared));
    let mut exchange = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        // An error concerns this client alone.
        _ = exchange.as_mut() => return,
        _ = stopping.wait_for(|is_so| *is_so) => {}
    }
    exchange.as_mut().graceful_shutdown();
    let _ = exchange.await;
}

/// What a request gets instead of 204.
struct Failure {
    status: StatusCode,
    /// InfluxDB 2's word for it.
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    fn unavailable(message: String, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
    }

    fn too_large(most: usize) -> Self {
        let message = format!("the body is larger than {most} bytes; send fewer lines at once");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request too large", message)
    }

    fn respond(self) -> Response<Body> {
        // InfluxDB 1 calls it error, InfluxDB 2 message.
        let body = serde_json::json!({"code": self.code, "error": self.message, "message": self.message});
        let mut response = respond(self.status, "application/json", body.to_string());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let schemes = header::HeaderValue::from_static("Bearer, Basic realm=\"qmaster\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, schemes);
        }
        response
    }
}

impl From<Answer> for Failure {
    fn from(Answer { status, message, retry_after }: Answer) -> Self {
        let (status, code) = match status {
            400 => (StatusCode::BAD_REQUEST, "invalid"),
            429 => (StatusCode::TOO_MANY_REQUESTS, "too many requests"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self { retry_after, ..Self::new(status, code, message) }
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(if body.is_empty() { Body::empty() } else { Body::from(body) });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("X-Influxdb-Version", header::HeaderValue::from_static(VERSION));
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    response
}

async fn answer(
    request: Request<Incoming>,
    guest: &Arc<Guest>,
    has_certificate: bool,
    shared: &Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    guest.asks();
    let (route, answered) = route(request, guest, has_certificate, shared).await;
    let response = answered.unwrap_or_else(Failure::respond);
    shared.counts.request(route, response.status().as_u16());
    guest.is_answered();
    Ok(response)
}

async fn route(
    request: Request<Incoming>,
    guest: &Guest,
    has_certificate: bool,
    shared: &Arc<Shared>,
) -> (&'static str, Result<Response<Body>, Failure>) {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_post = *request.method() == Method::POST;
    let ok = |text: &str| Ok(respond(StatusCode::OK, "application/json", text.into()));
    let (route, is_method, is_for_all) = match request.uri().path() {
        "/write" => ("/write", is_post, false),
        "/api/v2/write" => ("/api/v2/write", is_post, false),
        "/agent" => ("/agent", is_post, false),
        "/query" => ("/query", is_post || is_read, false),
        "/ping" => ("/ping", is_read || is_post, true),
        "/health" => ("/health", is_read, true),
        "/healthz" => ("/healthz", is_read, true),
        "/metrics" => ("/metrics", is_read, false),
        _ => return ("other", Err(Failure::new(StatusCode::NOT_FOUND, "not found", "there is nothing here"))),
    };
    if !is_method {
        let message = "this address takes another method";
        return (route, Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", message)));
    }
    if let Err(failure) = from_where(&request, &shared.config, guest) {
        return (route, Err(failure));
    }
    if !is_for_all && !is_known(request.headers(), has_certificate, guest, shared) {
        let message = "no token that lets anybody in; send it as Authorization: Bearer TOKEN";
        return (route, Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", message)));
    }
    let answered = match route {
        "/ping" => Ok(respond(StatusCode::NO_CONTENT, "text/plain", String::new())),
        "/health" => ok(r#"{"name":"qmaster","status":"pass"}"#),
        "/healthz" => match shared.accept.problem() {
            None => Ok(respond(StatusCode::OK, "text/plain", "ok\n".into())),
            Some(why) => Ok(respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n"))),
        },
        "/metrics" => Ok(respond(StatusCode::OK, "text/plain; version=0.0.4", metrics(shared))),
        "/agent" => agent(request, guest, shared).await,
        "/query" => query(request, shared).await,
        _ => write(request, guest, shared).await,
    };
    (route, answered)
}

/// Refuses what a page in a browser sends, and what asks for another name where nobody must say who he is.
fn from_where(request: &Request<Incoming>, config: &Config, guest: &Guest) -> Result<(), Failure> {
    if hosts::is_of_a_page(request.headers()) {
        let message = "a page in a browser may not ask here; clients send neither Origin nor Sec-Fetch-Site";
        return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    let is_local = guest.address.is_loopback() && !config.asks_who();
    let reached = Reached { program: "qmaster", section: "qmaster", names: &config.hosts };
    hosts::check(request, is_local, reached).map_err(|(status, message)| Failure::new(status, "invalid", message))
}

/// Whether a client may write.
fn is_known(headers: &HeaderMap, has_certificate: bool, guest: &Guest, shared: &Shared) -> bool {
    let config = &shared.config;
    if !config.asks_who() {
        return config.is_open || guest.address.is_loopback();
    }
    if has_certificate {
        return true;
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, value) = given.split_once(' ').unwrap_or_default();
    let value = value.trim();
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => value.as_bytes().to_vec(),
        "basic" => password(value),
        _ => return false,
    };
    // InfluxDB 1's clients may send USER:PASSWORD behind Token.
    let last = token.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    config.tokens.iter().any(|known| is_same(known.0.as_bytes(), &token) || is_same(known.0.as_bytes(), last))
}

/// Compares two texts in a time that tells nothing about where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Returns the password of a Basic login; empty if there is none.
fn password(encoded: &str) -> Vec<u8> {
    let mut login = from_base64(encoded).unwrap_or_default();
    let at = login.iter().position(|byte| *byte == b':').map_or(login.len(), |at| at + 1);
    login.split_off(at)
}

fn metrics(shared: &Shared) -> String {
    let [safe, batches, waiting] = shared.accept.progress();
    shared.counts.metrics(&[
        ("qmaster_connections", "Connections now.", shared.guests.count() as u64),
        (
            "qmaster_receiving_bytes",
            "Bytes of requests and messages that are being received.",
            (shared.room.taken() + shared.streams.taken()) as u64,
        ),
        ("qmaster_known_series", "Series that are known.", shared.series.known() as u64),
        ("qmaster_spooled_points", "Points that have been put into the spool since the start.", safe),
        ("qmaster_batches", "Batches that they are in.", batches),
        ("qmaster_waiting_points", "Points that wait for their batch.", waiting),
        ("qmaster_up", "Whether points are accepted.", u64::from(shared.accept.problem().is_none())),
    ])
}

/// Hears what an agent says about itself, and answers with the settings of its sensors.
async fn agent(request: Request<Incoming>, guest: &Guest, shared: &Arc<Shared>) -> Result<Response<Body>, Failure> {
    let (body, _share) = body(request.into_body(), LONGEST, shared).await?;
    let bad = |error: anyhow::Error| {
        Failure::new(StatusCode::BAD_REQUEST, "invalid", format!("no word of an agent: {error:#}"))
    };
    let agent = AgentStatus::parse(&body).map_err(bad)?;
    let host = agent.host.clone();
    let most_new = shared.config.new_series_per_hour;
    if !shared.series.admits_agent(guest.address, most_new, &host, Instant::now()) {
        let message = format!("{host} is one new series too many within an hour");
        return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "too many requests", message));
    }
    shared.agents.hear(agent, guest.address, Timestamp::now().as_second());
    let accept = Arc::clone(&shared.accept);
    let settings = tokio::task::spawn_blocking(move || accept.settings(&host)).await;
    match settings {
        Ok(Ok(settings)) => Ok(respond(StatusCode::OK, "text/plain", settings)),
        // Its agents keep those that they have.
        Ok(Err(_)) | Err(_) => Err(Failure::unavailable("the settings of agents cannot be read".into(), 60)),
    }
}

/// Answers the question that clients of InfluxDB 1 ask before they write.
async fn query(request: Request<Incoming>, shared: &Shared) -> Result<Response<Body>, Failure> {
    let in_address = parameter(request.uri().query(), "q");
    let (body, _share) = body(request.into_body(), 4096, shared).await?;
    let in_body = parameter(std::str::from_utf8(&body).ok(), "q");
    let question = in_address.or(in_body).unwrap_or_default();
    if question.trim_start().to_ascii_uppercase().starts_with("CREATE DATABASE") {
        return Ok(respond(StatusCode::OK, "application/json", r#"{"results":[{"statement_id":0}]}"#.into()));
    }
    Err(Failure::new(
        StatusCode::BAD_REQUEST,
        "invalid",
        "qmaster passes points on and answers no questions about them",
    ))
}

fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Returns the nanoseconds of the unit that a client names.
fn unit(request: &Request<Incoming>) -> Result<i64, Failure> {
    match parameter(request.uri().query(), "precision").as_deref() {
        None | Some("" | "ns" | "n") => Ok(1),
        Some("us" | "u" | "µ") => Ok(1_000),
        Some("ms") => Ok(1_000_000),
        Some("s") => Ok(SECOND),
        Some("m") => Ok(60 * SECOND),
        Some("h") => Ok(3600 * SECOND),
        Some(_) => Err(Failure::new(StatusCode::BAD_REQUEST, "invalid", "precision is none of ns, us, ms, s, m, h")),
    }
}

async fn write(request: Request<Incoming>, guest: &Guest, shared: &Arc<Shared>) -> Result<Response<Body>, Failure> {
    if let Some(why) = shared.accept.problem() {
        return Err(Failure::unavailable(why, 30));
    }
    let unit = unit(&request)?;
    let most = shared.config.max_body_bytes;
    let encoding = request.headers().get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let is_packed = match encoding.as_deref() {
        None | Some(b"" | b"identity") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => {
            let message = "only gzip is unpacked";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", message));
        }
    };
    let (body, mut share) = body(request.into_body(), most, shared).await?;
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let begin = move || {
        let mut lines = Lines::new(if is_packed { unpack(&body, most, &mut share)? } else { body }, unit, now);
        Ok((lines.piece(), lines, share))
    };
    let (mut piece, mut lines, _share) = work(begin, shared).await?;
    let (mut kept, most_new) = (Kept::default(), shared.config.new_series_per_hour);
    while let Some(received) = piece {
        let (points, refused) = kept.admit(received, guest.address, (&shared.series, most_new), Instant::now());
        shared.counts.refused("line protocol", guest.address, &refused);
        let count = points.len();
        if count > 0 {
            let offered = offer(points, shared).await;
            offered.map_err(|(why, retry_after)| Failure::from(kept.unfinished(why, retry_after)))?;
            shared.counts.safe("line protocol", count);
            kept.keep(count);
        }
        piece = None;
        if !lines.is_done() {
            (piece, lines) = work(move || Ok((lines.piece(), lines)), shared).await?;
        }
    }
    match kept.answer(most_new) {
        Answer { status: 204, .. } => Ok(respond(StatusCode::NO_CONTENT, "text/plain", String::new())),
        answer => Err(answer.into()),
    }
}

/// Runs what keeps a processor busy, a few such at once.
async fn work<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    shared: &Shared,
) -> Result<T, Failure> {
    let Ok(_turn) = shared.parsing.acquire().await else { return Err(Failure::unavailable("it ends".into(), 10)) };
    tokio::task::spawn_blocking(run).await.unwrap_or_else(|_| {
        Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "met a bug of qmaster"))
    })
}

/// Reads a body of at most `most` bytes.
async fn body(mut body: Incoming, most: usize, shared: &Shared) -> Result<(Vec<u8>, Share), Failure> {
    let (mut bytes, mut share) = (Vec::new(), shared.room.share());
    if body.size_hint().lower() > most as u64 {
        return Err(Failure::too_large(most));
    }
    let read = async {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "invalid", "the body broke off"))?;
            let Ok(part) = frame.into_data() else { continue };
            if bytes.len() + part.len() > most {
                return Err(Failure::too_large(most));
            }
            // A vector may double its room when it grows.
            if !share.grow_to(2 * (bytes.len() + part.len())) {
                return Err(Failure::unavailable("too much is being received at once".into(), 2));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(())
    };
    match tokio::time::timeout(BODY, read).await {
        Ok(read) => read?,
        Err(_) => {
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "invalid", "the body did not arrive in time"));
        }
    }
    Ok((bytes, share))
}

/// Unpacks a body to at most `most` bytes.
fn unpack(packed: &[u8], most: usize, share: &mut Share) -> Result<Vec<u8>, Failure> {
    let mut reader = MultiGzDecoder::new(packed);
    let (mut bytes, mut part) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match reader.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) if bytes.len() + count > most => return Err(Failure::too_large(most)),
            Ok(count) => {
                if !share.grow_to(packed.len() + 2 * (bytes.len() + count)) {
                    return Err(Failure::unavailable("too much is being received at once".into(), 2));
                }
                bytes.extend_from_slice(&part[..count]);
            }
            Err(_) => return Err(Failure::new(StatusCode::BAD_REQUEST, "invalid", "the body is not gzip")),
        }
    }
}
