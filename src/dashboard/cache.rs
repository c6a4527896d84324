//! Rendered responses, kept so that the same data are rendered and compressed once.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::Dashboard;

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
    /// The compressed body, made when first asked for; `None` in it if the body is not worth compressing.
    gzip: OnceLock<Option<Bytes>>,
}

impl Rendered {
    /// Returns the response for a client with these request headers.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response {
        let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
        let cache_control = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let gzip = accepts.contains("gzip").then(|| self.gzip.get_or_init(|| gzip(&self.body)).clone()).flatten();
        match gzip {
            Some(gzip) => {
                let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                ([content_type, vary, cache_control, encoding], gzip).into_response()
            }
            None => ([content_type, vary, cache_control], self.body.clone()).into_response(),
        }
    }
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < MIN_GZIP_BYTES {
        return None;
    }
    // Most responses are sent once, so the fastest level costs the least in all.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).ok()?;
    Some(encoder.finish().ok()?.into())
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

    /// Returns the response under this key from the cache, or renders it: `render` returns content type and body. The key
    /// holds everything that the response depends on.
    pub(super) fn rendered<B: Into<Bytes>>(
        &self,
        key: String,
        render: impl FnOnce() -> (&'static str, B),
    ) -> Arc<Rendered> {
        if let Some(rendered) = self.cached(&key) {
            return rendered;
        }
        let (content_type, body) = render();
        let rendered = Arc::new(Rendered { content_type, body: body.into(), gzip: OnceLock::new() });
        self.cache.insert(key, rendered.clone());
        rendered
    }
}
