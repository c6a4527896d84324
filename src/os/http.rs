//! The HTTP client: with a timeout, a size limit, verified TLS, no redirects, and no secret from a URL in an error.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
pub use url::Url;

/// Default maximum size of a response, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// An HTTP client. Use one for many requests: it keeps connections open and reads the certificates only once.
#[derive(Debug)]
pub struct Client {
    http: backend::Http,
    options: Options,
}

/// What holds for each request.
struct Options {
    /// Maximum size of the response, in bytes.
    max_bytes: usize,
    /// Whether nothing but JSON is accepted.
    json: bool,
    /// User and password.
    login: Option<(String, String)>,
}

/// Shows no login.
impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_bytes, json, login } = self;
        write!(out, "at most {max_bytes} bytes, JSON only: {json}, with a login: {}", login.is_some())
    }
}

/// The answer of a server whose status is not 200.
#[derive(Debug)]
pub struct Refusal {
    /// The status: 401, 404, …
    pub status: u16,
    /// The beginning of the body, quoted.
    body: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HTTP {} {}", self.status, self.body)
    }
}

impl std::error::Error for Refusal {}

impl Client {
    /// Creates a client; it opens no connection yet.
    ///
    /// # Errors
    /// Fails if the machine's certificates cannot be read, or the program was built without HTTP.
    pub fn new() -> Result<Self> {
        Ok(Self { http: backend::new()?, options: Options { max_bytes: MAX_BYTES, json: false, login: None } })
    }

    /// Sets the maximum size of a response, in bytes.
    #[must_use]
    pub fn reading_at_most(mut self, max_bytes: usize) -> Self {
        self.options.max_bytes = max_bytes;
        self
    }

    /// Makes each request accept JSON and nothing else (`Accept: application/json`).
    #[must_use]
    pub fn accepting_json(mut self) -> Self {
        self.options.json = true;
        self
    }

    /// Makes each request carry a user and a password (Basic).
    #[must_use]
    pub fn with_login(mut self, username: &str, password: &str) -> Self {
        self.options.login = Some((username.into(), password.into()));
        self
    }

    /// Sends a GET request and returns the response's body.
    ///
    /// # Errors
    /// Fails if the response does not arrive within `timeout`, its status is not 200 ([`Refusal`]), or its body is too large.
    pub fn get(&self, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        backend::get(self, url, timeout).with_context(|| format!("GET {}", redacted(url)))
    }

    /// Posts a URL-encoded form and returns the response's body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&self, url: &Url, form: String, timeout: Duration) -> Result<Vec<u8>> {
        backend::post(self, url, form, timeout).with_context(|| format!("POST {}", redacted(url)))
    }
}

#[cfg(feature = "http")]
mod backend {
    use std::io::Read;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use reqwest::blocking::RequestBuilder;
    use url::Url;

    use super::{Client, Refusal};
    use crate::text::quote;

    pub type Http = reqwest::blocking::Client;

    pub fn new() -> Result<Http> {
        // It fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Http::builder()
            .user_agent(concat!("gridmon/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("HTTP client")
    }

    pub fn get(client: &Client, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        fetch(client, client.http.get(url.clone()), timeout)
    }

    pub fn post(client: &Client, url: &Url, form: String, timeout: Duration) -> Result<Vec<u8>> {
        let request = client.http.post(url.clone());
        fetch(client, request.header("Content-Type", "application/x-www-form-urlencoded").body(form), timeout)
    }

    fn fetch(client: &Client, mut request: RequestBuilder, timeout: Duration) -> Result<Vec<u8>> {
        let max_bytes = client.options.max_bytes;
        if client.options.json {
            request = request.header("Accept", "application/json");
        }
        if let Some((username, password)) = &client.options.login {
            request = request.basic_auth(username, Some(password));
        }
        let response = request.timeout(timeout).send().map_err(reqwest::Error::without_url);
        let response = response
            .with_context(|| format!("no answer within {} s", (timeout.as_secs_f64() * 10.0).round() / 10.0))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        response.take(max_bytes as u64 + 1).read_to_end(&mut body).context("the answer broke off")?;
        let beginning = &body[..body.len().min(1000)];
        ensure!(status == 200, Refusal { status, body: quote(&String::from_utf8_lossy(beginning)) });
        ensure!(body.len() <= max_bytes, "answer of over {max_bytes} bytes");
        Ok(body)
    }
}

#[cfg(not(feature = "http"))]
mod backend {
    use std::time::Duration;

    use anyhow::{Result, bail};
    use url::Url;

    use super::Client;

    pub type Http = std::convert::Infallible;

    pub fn new() -> Result<Http> {
        bail!("this program was built without HTTP; build it with --features http");
    }

    pub fn get(client: &Client, _: &Url, _: Duration) -> Result<Vec<u8>> {
        match client.http {}
    }

    pub fn post(client: &Client, _: &Url, _: String, _: Duration) -> Result<Vec<u8>> {
        match client.http {}
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
