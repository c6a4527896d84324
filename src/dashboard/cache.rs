//! Rendered responses, kept so that the same data are rendered and compressed once.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;

use super::Dashboard;
use super::room::Room;
use super::routes::{Failure, bad_request, panicked};
use super::turns::Turn;
use crate::os::work::catch;
use crate::query::TooMuch;

/// The most bytes that are kept, before compression.
const MAX_BYTES: usize = 6 << 20;

/// The most responses that are kept.
const MAX_RESPONSES: usize = 1000;

/// A shorter body, in bytes, is sent uncompressed.
const MIN_GZIP_BYTES: usize = 1024;

/// A rendered response.
pub(super) struct Rendered {
    content_type: &'static str,
    body: Bytes,
    /// Its `ETag`; a weak one, since it stands for the compressed body too.
    tag: HeaderValue,
    /// The compressed body, made when first asked for; `None` in it if the body is not worth compressing.
    gzip: OnceLock<Option<Bytes>>,
    /// How well it is compressed.
    level: Compression,
}

impl Rendered {
    fn new(content_type: &'static str, body: Bytes, level: Compression) -> Self {
        let tag = format!("W/\"{:x}-{:08x}\"", body.len(), crc32fast::hash(&body));
        let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits");
        Self { content_type, body, tag, gzip: OnceLock::new(), level }
    }

    /// Returns the response for a client with these request headers.
    pub(super) fn response(&self, headers: &HeaderMap, room: &Room) -> Response {
        let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
        let cache_control = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let tag = (header::ETAG, self.tag.clone());
        if self.is_known(headers) {
            return (StatusCode::NOT_MODIFIED, [vary, cache_control, tag]).into_response();
        }
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        match accepts_gzip(headers).then(|| self.compressed(room)).flatten() {
            Some(gzip) => {
                let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                ([content_type, vary, cache_control, tag, encoding], gzip).into_response()
            }
            None => ([content_type, vary, cache_control, tag], self.body.clone()).into_response(),
        }
    }

    /// Whether the client has it already.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let own = self.tag.as_bytes();
        let known = headers.get_all(header::IF_NONE_MATCH).iter();
        known.flat_map(|tags| tags.as_bytes().split(|byte| *byte == b',')).any(|tag| tag.trim_ascii() == own)
    }

    /// Returns the compressed body; `None` if it is not worth it, or if there is no room for it.
    fn compressed(&self, room: &Room) -> Option<Bytes> {
        self.gzip.get_or_init(|| room.hold(gzip(&self.body, self.level)?).ok()).clone()
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("gzip"))
}

fn gzip(bytes: &[u8], level: Compression) -> Option<Vec<u8>> {
    if bytes.len() < MIN_GZIP_BYTES {
        return None;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// The rendered responses, each under a key that holds everything it depends on.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, Arc<Rendered>>>);

impl Cache {
    fn get(&self, key: &str) -> Option<Arc<Rendered>> {
        self.0.lock().expect("nothing panics while it is held").get(key).cloned()
    }

    fn insert(&self, key: String, rendered: Arc<Rendered>) {
        let mut cache = self.0.lock().expect("nothing panics while it is held");
        let bytes = cache.values().map(|rendered| rendered.body.len()).sum::<usize>() + rendered.body.len();
        // Keys hold the version of the data, so most of a full cache is outdated.
        if cache.len() >= MAX_RESPONSES || bytes > MAX_BYTES {
            cache.clear();
        }
        cache.insert(key, rendered);
    }

    /// Removes all responses.
    pub(super) fn clear(&self) {
        self.0.lock().expect("nothing panics while it is held").clear();
    }
}

impl Dashboard {
    /// Returns the response that was rendered under this key, if it is still in the cache.
    pub(super) fn cached(&self, key: &str) -> Option<Arc<Rendered>> {
        let rendered = self.cache.get(key)?;
        self.counts.reused.fetch_add(1, Ordering::Relaxed);
        Some(rendered)
    }

    /// Returns the response under this key from the cache, or else keeps that of `body`, a file of the page.
    pub(super) fn file(&self, key: String, content_type: &'static str, body: &'static [u8]) -> Arc<Rendered> {
        self.cached(&key).unwrap_or_else(|| {
            let rendered = Arc::new(Rendered::new(content_type, Bytes::from_static(body), Compression::best()));
            self.cache.insert(key, rendered.clone());
            rendered
        })
    }

    /// Renders a response in a thread of its own, which holds `turn`, and keeps it in the cache under `key`, which holds
    /// everything that it depends on: `render` returns content type and body.
    pub(super) async fn render<B: Into<Vec<u8>>>(
        self: &Arc<Self>,
        key: String,
        turn: Turn,
        headers: &HeaderMap,
        render: impl FnOnce() -> Result<(&'static str, B)> + Send + 'static,
    ) -> Result<Arc<Rendered>, Failure> {
        let (this, is_compressed) = (self.clone(), accepts_gzip(headers));
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // While it waited for its turn, another request may have rendered it.
            if let Some(rendered) = this.cached(&key) {
                return Ok(rendered);
            }
            let (content_type, body) =
                catch(render).map_err(|bug| panicked(&bug))?.map_err(|error| match error.is::<TooMuch>() {
                    true => bad_request(error),
                    false => Failure(StatusCode::BAD_GATEWAY, format!("{}: {error:#}", this.backend.describe())),
                })?;
            // Most responses are sent once, so a fast level costs the least in all. A row is much like the one before, which the
            // fastest level of all hardly uses.
            let rendered = Arc::new(Rendered::new(content_type, this.hold(body.into())?, Compression::new(4)));
            if is_compressed {
                rendered.compressed(&this.room);
            }
            this.cache.insert(key, rendered.clone());
            Ok(rendered)
        });
        let ended = |_| Failure(StatusCode::SERVICE_UNAVAILABLE, "cloud-monitor is about to end".into());
        work.await.map_err(ended)?
    }

    /// Finds room for an answer: first that of the answers that are kept, then that of clients who are slow to take theirs.
    fn hold(&self, mut body: Vec<u8>) -> Result<Bytes, Failure> {
        body.shrink_to_fit();
        for tries in 0..20 {
            match self.room.hold(body) {
                Ok(bytes) => return Ok(bytes),
                Err(same) => body = same,
            }
            if tries == 0 {
                self.cache.clear();
            } else {
                self.guests.send_away_a_slow_one();
                thread::sleep(Duration::from_millis(50));
            }
        }
        Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "too many answers are on their way; try again".into()))
    }
}
