//! The HTTP client: with a timeout, a size limit, verified TLS, no redirects, and no secret from a URL in an error.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
pub use url::Url;

pub use super::tls::Tls;
use crate::text::quote;

/// Default maximum size of a response, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// An HTTP client. Use one for many requests: it keeps connections open and reads the CAs only once, before
/// its first request with TLS.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without HTTP no client is ever made"))]
pub struct Client {
    http: backend::Http,
    login: Option<Login>,
    max_bytes: usize,
    /// Whether nothing but JSON is accepted.
    json: bool,
    /// What messages show instead of the address.
    spelling: Option<String>,
}

impl Client {
    /// Creates a client; it opens no connection yet.
    ///
    /// # Errors
    /// Fails if the program was built without HTTP. Where the machine's CAs cannot be read, each request with TLS fails.
    pub fn new() -> Result<Self> {
        Self::trusting(&Tls::default())
    }

    /// Creates a client that takes any certificate, so that somebody on the way can read and change everything.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn unverified() -> Result<Self> {
        Self::trusting(&Tls { is_unverified: true, ..Tls::default() })
    }

    /// Creates a client with its own CAs and certificate; it opens no connection yet.
    ///
    /// # Errors
    /// Fails if these cannot be read, or the program was built without HTTP.
    pub fn trusting(tls: &Tls) -> Result<Self> {
        Ok(Self { http: backend::new(tls)?, login: None, max_bytes: MAX_BYTES, json: false, spelling: None })
    }

    /// Sets the maximum size of a response, in bytes.
    #[must_use]
    pub fn reading_at_most(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// Makes each request accept JSON and nothing else (`Accept: application/json`).
    #[must_use]
    pub fn accepting_json(self) -> Self {
        Self { json: true, ..self }
    }

    /// Sets the login that is sent with each request.
    #[must_use]
    pub fn with_login(self, login: Option<Login>) -> Self {
        Self { login, ..self }
    }

    /// Sets what messages show instead of the address, which then may be secret.
    #[must_use]
    pub fn shown_as(self, spelling: Option<String>) -> Self {
        Self { spelling, ..self }
    }

    fn name(&self, url: &Url) -> String {
        self.spelling.clone().unwrap_or_else(|| redacted(url))
    }

    /// Sends a GET request and returns the response's body.
    ///
    /// # Errors
    /// Fails if the response does not arrive within `timeout`, its status is not 200 ([`BadStatus`]), or its body is too
    /// large.
    pub fn get(&self, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        backend::get(self, url, timeout).with_context(|| format!("GET {}", self.name(url)))
    }

    /// Posts a URL-encoded form and returns the response's body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&self, url: &Url, form: String, timeout: Duration) -> Result<Vec<u8>> {
        self.post_as("application/x-www-form-urlencoded", url, form, timeout)
    }

    /// Posts a body of the media type `kind` and returns the response's body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post_as(&self, kind: &'static str, url: &Url, body: String, timeout: Duration) -> Result<Vec<u8>> {
        backend::post(self, url, kind, body, timeout).with_context(|| format!("POST {}", self.name(url)))
    }

    /// Sends a GET request and returns the answer, whatever its status. Its body is read as it comes.
    ///
    /// # Errors
    /// Fails with [`NoAnswer`] if no answer begins within `timeout`, which also limits the reading of its body.
    pub fn open(&self, url: &Url, timeout: Duration) -> Result<Answer> {
        backend::open(self, url, timeout).with_context(|| format!("GET {}", self.name(url)))
    }

    /// Posts text, compressed by gzip if it is long, and returns the answer as [`Client::open`] does.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn send(&self, url: &Url, text: String, timeout: Duration) -> Result<Answer> {
        backend::send(self, url, text, timeout).with_context(|| format!("POST {}", self.name(url)))
    }

    /// Puts a body with these headers and returns the answer as [`Client::open`] does.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn put(&self, url: &Url, headers: &[(&'static str, &str)], body: Vec<u8>, timeout: Duration) -> Result<Answer> {
        backend::put(self, url, headers, body, timeout).with_context(|| format!("PUT {}", self.name(url)))
    }
}

/// The beginning of an answer; its body is read as it comes.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether messages may show addresses.
    is_shown: bool,
    response: backend::Response,
}

impl Answer {
    /// Returns a header; `None` if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        backend::header(&self.response, name)
    }

    /// Reads the rest of the body, at most `max_bytes` of it. What breaks off is cut there.
    pub fn text(self, max_bytes: u64) -> String {
        let mut body = Vec::new();
        let _ = self.take(max_bytes).read_to_end(&mut body);
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Returns where a redirect leads to, without login and query.
    pub fn location(&self) -> Option<String> {
        backend::location(&self.response).map(|to| if self.is_shown { to } else { "elsewhere".into() })
    }
}

impl Read for Answer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        backend::read(&mut self.response, into)
    }
}

/// No answer came.
#[derive(Debug)]
pub struct NoAnswer {
    /// How it failed.
    pub kind: Failure,
    text: String,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be opened.
    Connection,
    /// The time was over.
    Time,
    /// The connection broke before an answer came.
    Broken,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for NoAnswer {}

/// What a server asks for. It is shown nowhere, and redirects are not followed, so that no other server gets it.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Username and password, joined by a colon.
    Basic(String),
    /// A token.
    Bearer(String),
    /// A token as InfluxDB 2 asks for it (`Authorization: Token …`).
    Token(String),
}

impl Login {
    /// Creates a login by HTTP basic authentication. `username` must be without a colon.
    ///
    /// # Errors
    /// Fails if one of the two holds control characters.
    pub fn basic(username: &str, password: &str) -> Result<Self> {
        ensure!(
            !format!("{username}{password}").contains(char::is_control),
            "holds a control character, such as the end of a line"
        );
        Ok(Self::Basic(format!("{username}:{password}")))
    }

    /// Creates a login by a token.
    ///
    /// # Errors
    /// Fails if no header can hold the token.
    pub fn bearer(token: &str) -> Result<Self> {
        checked(token).map(Self::Bearer)
    }

    /// Creates a login by a token of InfluxDB 2.
    ///
    /// # Errors
    /// As [`Login::bearer`].
    pub fn token(token: &str) -> Result<Self> {
        checked(token).map(Self::Token)
    }

    /// Returns a warning if somebody on the way to `url` can read the login; empty if nobody can.
    pub fn warning(login: Option<&Self>, url: &Url) -> &'static str {
        let is_here = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let is_readable = login.is_some() && url.scheme() == "http" && !is_here;
        if is_readable { "; the login is sent unencrypted, so use https://" } else { "" }
    }
}

fn checked(token: &str) -> Result<String> {
    ensure!(token.bytes().all(|byte| byte.is_ascii_graphic()), "holds a character that no token has, such as a blank");
    Ok(token.into())
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// A response whose status is not 200.
#[derive(Debug)]
pub struct BadStatus {
    /// Its status.
    pub status: u16,
    /// Where a redirect leads to, without login and query.
    location: Option<String>,
    /// The begin of its body.
    body: String,
}

#[cfg(feature = "elasticsearch")]
impl BadStatus {
    /// What another client got.
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, location: None, body: body.chars().take(1000).collect() }
    }
}

impl fmt::Display for BadStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.location) {
            // The body is a page that asks people to log in.
            (401 | 403, _) => write!(out, "HTTP {}", self.status),
            (status, Some(location)) => write!(out, "HTTP {status}, a redirect to {location}, which is not followed"),
            (status, None) => write!(out, "HTTP {status} {}", quote(&self.body)),
        }
    }
}

impl std::error::Error for BadStatus {}

#[cfg(feature = "http")]
mod backend {
    use std::error::Error;
    use std::io::{self, Read, Write as _};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::time::{Duration, Instant};

    use anyhow::{Context, Result, anyhow, ensure};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use reqwest::blocking::{self, RequestBuilder};
    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
    use tokio::sync::oneshot;
    use url::Url;

    use super::{Answer, BadStatus, Client, Failure, Login, NoAnswer, Tls, redacted};
    use crate::os::{names, tls};

    pub type Response = blocking::Response;

    #[derive(Debug)]
    pub struct Http {
        tls: Tls,
        /// What asks without TLS. It knows no CA: to read the machine's takes longer than most requests.
        plain: OnceLock<blocking::Client>,
        /// What asks with TLS.
        secured: OnceLock<blocking::Client>,
        /// The number of names that are being looked up.
        looking_up: Arc<AtomicUsize>,
    }

    pub fn new(tls: &Tls) -> Result<Http> {
        tls::install();
        let http =
            Http { tls: tls.clone(), plain: OnceLock::new(), secured: OnceLock::new(), looking_up: Arc::default() };
        // A file that the config names is read at once, so that a wrong one is said before anything is asked.
        if tls.ca.is_some() || tls.certificate.is_some() {
            http.secured()?;
        }
        Ok(http)
    }

    impl Http {
        /// Returns what asks a URL; no redirect leads it to another one.
        fn to(&self, url: &Url) -> Result<&blocking::Client> {
            if url.scheme() == "https" { self.secured() } else { self.plain() }
        }

        fn plain(&self) -> Result<&blocking::Client> {
            if let Some(client) = self.plain.get() {
                return Ok(client);
            }
            // Without a CA it would refuse to be made, were it to verify any.
            let client = self
                .builder()
                .tls_danger_accept_invalid_certs(true)
                .tls_certs_only([])
                .build()
                .context("HTTP client")?;
            Ok(self.plain.get_or_init(|| client))
        }

        fn secured(&self) -> Result<&blocking::Client> {
            if let Some(client) = self.secured.get() {
                return Ok(client);
            }
            let mut builder = self.builder().tls_danger_accept_invalid_certs(self.tls.is_unverified);
            if let Some(path) = &self.tls.ca {
                builder = builder.tls_certs_only(tls::cas(path)?);
            }
            if let Some(identity) = tls::identity(&self.tls)? {
                builder = builder.identity(identity);
            }
            let client = builder.build().map_err(|error| {
                let error = anyhow::Error::new(error);
                if format!("{error:#}").contains("No CA certificates") {
                    return anyhow!(
                        "this machine has no CA certificates, so it can trust no server: install ca-certificates"
                    );
                }
                error.context("HTTP client")
            })?;
            Ok(self.secured.get_or_init(|| client))
        }

        fn builder(&self) -> blocking::ClientBuilder {
            blocking::Client::builder()
                .user_agent(concat!("gridmon/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                // What the environment names must not see a login, and cron has another environment than a person.
                .no_proxy()
                .dns_resolver(Arc::new(Resolver { looking_up: self.looking_up.clone() }))
        }
    }

    /// Looks names up without reqwest's own threads: a client waits for these when it is dropped, and with them for a name
    /// server that does not answer.
    struct Resolver {
        looking_up: Arc<AtomicUsize>,
    }

    impl Resolve for Resolver {
        fn resolve(&self, name: Name) -> Resolving {
            let (found, addresses) = oneshot::channel();
            self.looking_up.fetch_add(1, Ordering::Relaxed);
            let looking_up = self.looking_up.clone();
            names::look_up(name.as_str().into(), 0, move |result| {
                looking_up.fetch_sub(1, Ordering::Relaxed);
                let _ = found.send(result);
            });
            Box::pin(async move {
                let addresses = addresses.await.map_err(|_| "no thread for it")?;
                let addresses: Addrs = Box::new(addresses?.into_iter());
                Ok(addresses)
            })
        }
    }

    pub fn get(client: &Client, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        fetch(client, client.http.to(url)?.get(url.clone()), true, timeout)
    }

    pub fn post(client: &Client, url: &Url, kind: &str, body: String, timeout: Duration) -> Result<Vec<u8>> {
        let request = client.http.to(url)?.post(url.clone());
        fetch(client, request.header(CONTENT_TYPE, kind).body(body), false, timeout)
    }

    pub fn open(client: &Client, url: &Url, timeout: Duration) -> Result<Answer> {
        exchange(client, client.http.to(url)?.get(url.clone()), true, timeout)
    }

    /// Text of fewer bytes is not compressed.
    const COMPRESSED_FROM: usize = 1 << 10;

    pub fn send(client: &Client, url: &Url, text: String, timeout: Duration) -> Result<Answer> {
        let request = client.http.to(url)?.post(url.clone()).header(CONTENT_TYPE, "text/plain; charset=utf-8");
        if text.len() < COMPRESSED_FROM {
            return exchange(client, request.body(text), false, timeout);
        }
        let mut gzip = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
        let body = gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish()).context("gzip")?;
        exchange(client, request.header(CONTENT_ENCODING, "gzip").body(body), false, timeout)
    }

    pub fn put(
        client: &Client,
        url: &Url,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Answer> {
        let request = client.http.to(url)?.put(url.clone()).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        // Twice the same leaves the same.
        exchange(client, request, true, timeout)
    }

    /// Whether the connection broke before an answer came.
    fn is_broken(error: &reqwest::Error) -> bool {
        !error.is_timeout() && !error.is_connect()
    }

    /// Sends a request; one that may come twice is sent once more if its connection breaks.
    fn exchange(client: &Client, request: RequestBuilder, is_repeatable: bool, timeout: Duration) -> Result<Answer> {
        let request = if client.json { request.header(ACCEPT, "application/json") } else { request };
        let request = match &client.login {
            None => request,
            Some(Login::Basic(login)) => {
                let (username, password) = login.split_once(':').unwrap_or((login, ""));
                request.basic_auth(username, Some(password))
            }
            Some(Login::Bearer(token)) => request.bearer_auth(token),
            Some(Login::Token(token)) => {
                let mut value = HeaderValue::from_str(&format!("Token {token}")).context("token")?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
        };
        let began = Instant::now();
        let (again, request) = (request.try_clone().filter(|_| is_repeatable), request.timeout(timeout));
        let sent = match (request.send(), again) {
            // A server may end a connection that waits for the next question just when that is on its way. What
            // changes nothing the second time is asked once more, on a new connection.
            (Err(error), Some(again)) if is_broken(&error) && began.elapsed() < timeout => {
                again.timeout(timeout - began.elapsed()).send()
            }
            (sent, _) => sent,
        };
        let response = sent.map_err(|error| explain(&client.http, &error, timeout))?;
        Ok(Answer { status: response.status().as_u16(), is_shown: client.spelling.is_none(), response })
    }

    fn fetch(client: &Client, request: RequestBuilder, is_repeatable: bool, timeout: Duration) -> Result<Vec<u8>> {
        let max_bytes = client.max_bytes;
        let answer = exchange(client, request, is_repeatable, timeout)?;
        let (status, location) = (answer.status, answer.location());
        let mut body = Vec::new();
        let read = answer.take(max_bytes as u64 + 1).read_to_end(&mut body);
        read.map_err(|error| match error.get_ref().and_then(|error| error.downcast_ref::<reqwest::Error>()) {
            Some(error) if error.is_timeout() => anyhow!("no whole answer within {} s", seconds(timeout)),
            _ => anyhow!("the answer broke off: {}", root(&error)),
        })?;
        if status != 200 {
            let body = String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
            return Err(BadStatus { status, location, body }.into());
        }
        ensure!(body.len() <= max_bytes, "answer of over {max_bytes} bytes");
        Ok(body)
    }

    pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    pub fn location(response: &Response) -> Option<String> {
        let location = header(response, LOCATION.as_str())?;
        response.url().join(location).ok().map(|url| redacted(&url))
    }

    pub fn read(response: &mut Response, into: &mut [u8]) -> io::Result<usize> {
        response.read(into)
    }

    /// Says what kept the answer away, without the URL, which may hold secrets.
    fn explain(http: &Http, error: &reqwest::Error, timeout: Duration) -> anyhow::Error {
        let seconds = seconds(timeout);
        let (kind, text) = if error.is_timeout() {
            let is_name = http.looking_up.load(Ordering::Relaxed) > 0;
            let what = if is_name { "its name was not looked up" } else { "no answer" };
            (Failure::Time, format!("{what} within {seconds} s"))
        } else if error.is_connect() {
            (Failure::Connection, format!("no connection: {}", root(error)))
        } else {
            (Failure::Broken, format!("no answer: {}", root(error)))
        };
        NoAnswer { kind, text }.into()
    }

    /// Returns a time limit for messages, in seconds.
    fn seconds(timeout: Duration) -> f64 {
        (timeout.as_secs_f64() * 10.0).round() / 10.0
    }

    /// Returns the text of an error's first cause.
    fn root(error: &(dyn Error + 'static)) -> String {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        cause.to_string()
    }
}

#[cfg(not(feature = "http"))]
mod backend {
    use std::io;
    use std::time::Duration;

    use anyhow::{Result, bail};
    use url::Url;

    use super::{Answer, Client, Tls};

    pub type Http = std::convert::Infallible;
    pub type Response = std::convert::Infallible;

    pub fn new(_: &Tls) -> Result<Http> {
        bail!("this program was built without HTTP; build it with --features http");
    }

    pub fn get(client: &Client, _: &Url, _: Duration) -> Result<Vec<u8>> {
        match client.http {}
    }

    pub fn post(client: &Client, _: &Url, _: &str, _: String, _: Duration) -> Result<Vec<u8>> {
        match client.http {}
    }

    pub fn open(client: &Client, _: &Url, _: Duration) -> Result<Answer> {
        match client.http {}
    }

    pub fn send(client: &Client, _: &Url, _: String, _: Duration) -> Result<Answer> {
        match client.http {}
    }

    pub fn put(client: &Client, _: &Url, _: &[(&'static str, &str)], _: Vec<u8>, _: Duration) -> Result<Answer> {
        match client.http {}
    }

    pub fn header<'a>(response: &'a Response, _: &str) -> Option<&'a str> {
        match *response {}
    }

    pub fn location(response: &Response) -> Option<String> {
        match *response {}
    }

    pub fn read(response: &mut Response, _: &mut [u8]) -> io::Result<usize> {
        match *response {}
    }
}

/// Whether this build contains the HTTP client (feature `http`).
pub const AVAILABLE: bool = cfg!(feature = "http");

/// Returns a URL without login, query and fragment, for messages.
fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
