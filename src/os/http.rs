//! The HTTP client: with a timeout, a size limit, verified TLS, no redirects, and no secret from a URL in an error.

use std::time::Duration;

use anyhow::{Context, Result};
pub use url::Url;

/// Default maximum size of a response, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// An HTTP client. Use one for many requests: it keeps connections open and reads the certificates only once.
#[derive(Debug)]
pub struct Client {
    http: backend::Http,
    max_bytes: usize,
}

impl Client {
    /// Creates a client; it opens no connection yet.
    ///
    /// # Errors
    /// Fails if the machine's certificates cannot be read, or the program was built without HTTP.
    pub fn new() -> Result<Self> {
        Ok(Self { http: backend::new()?, max_bytes: MAX_BYTES })
    }

    /// Sets the maximum size of a response, in bytes.
    #[must_use]
    pub fn reading_at_most(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Sends a GET request and returns the response's body.
    ///
    /// # Errors
    /// Fails if the response does not arrive within `timeout`, its status is not 200, or its body is too large.
    pub fn get(&self, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        backend::get(&self.http, url, timeout, self.max_bytes).with_context(|| format!("GET {}", redacted(url)))
    }

    /// Posts a URL-encoded form and returns the response's body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&self, url: &Url, form: String, timeout: Duration) -> Result<Vec<u8>> {
        backend::post(&self.http, url, form, timeout, self.max_bytes).with_context(|| format!("POST {}", redacted(url)))
    }
}

#[cfg(feature = "http")]
mod backend {
    use std::io::Read;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use reqwest::blocking::{Client, RequestBuilder};
    use url::Url;

    use crate::text::quote;

    pub type Http = Client;

    pub fn new() -> Result<Http> {
        // It fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .user_agent(concat!("gridmon/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("HTTP client")
    }

    pub fn get(http: &Http, url: &Url, timeout: Duration, max_bytes: usize) -> Result<Vec<u8>> {
        fetch(http.get(url.clone()), timeout, max_bytes)
    }

    pub fn post(http: &Http, url: &Url, form: String, timeout: Duration, max_bytes: usize) -> Result<Vec<u8>> {
        let request = http.post(url.clone()).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        fetch(request, timeout, max_bytes)
    }

    fn fetch(request: RequestBuilder, timeout: Duration, max_bytes: usize) -> Result<Vec<u8>> {
        let response = request.timeout(timeout).send().map_err(reqwest::Error::without_url);
        let response = response
            .with_context(|| format!("no answer within {} s", (timeout.as_secs_f64() * 10.0).round() / 10.0))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        response.take(max_bytes as u64 + 1).read_to_end(&mut body).context("the answer broke off")?;
        ensure!(status == 200, "HTTP {status} {}", quote(&String::from_utf8_lossy(&body[..body.len().min(1000)])));
        ensure!(body.len() <= max_bytes, "answer of over {max_bytes} bytes");
        Ok(body)
    }
}

#[cfg(not(feature = "http"))]
mod backend {
    use std::time::Duration;

    use anyhow::{Result, bail};
    use url::Url;

    pub type Http = std::convert::Infallible;

    pub fn new() -> Result<Http> {
        bail!("this program was built without HTTP; build it with --features http");
    }

    pub fn get(http: &Http, _: &Url, _: Duration, _: usize) -> Result<Vec<u8>> {
        match *http {}
    }

    pub fn post(http: &Http, _: &Url, _: String, _: Duration, _: usize) -> Result<Vec<u8>> {
        match *http {}
    }
}

/// Whether this build contains the HTTP client (feature `http`).
pub const AVAILABLE: bool = cfg!(feature = "http");

/// Returns a URL without login and query, for messages.
fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
