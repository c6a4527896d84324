//! One way to ask over HTTP: with a time-out, a limit to what is read, verified TLS, no redirects, and no address in an
//! error that could carry a secret.

use std::time::Duration;

use anyhow::{Context, Result};
pub use url::Url;

/// The most that is read of an answer by default, in bytes.
const LONGEST: usize = 256 << 20;

/// Asks servers; one for many questions, since it keeps connections and has read the certificates.
#[derive(Debug)]
pub struct Client {
    http: backend::Http,
    longest: usize,
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// When the machine's certificates cannot be read, or the program was built without HTTP.
    pub fn new() -> Result<Self> {
        Ok(Self { http: backend::new()?, longest: LONGEST })
    }

    /// One that reads at most so many bytes of an answer.
    #[must_use]
    pub fn reading_at_most(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// The body of `url`, asked with GET.
    ///
    /// # Errors
    /// When it does not come in time, has another status than 200, or is too large.
    pub fn get(&self, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        backend::get(&self.http, url, timeout, self.longest).with_context(|| format!("GET {}", shown(url)))
    }

    /// The answer of `url` to a form.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&self, url: &Url, form: String, timeout: Duration) -> Result<Vec<u8>> {
        backend::post(&self.http, url, form, timeout, self.longest).with_context(|| format!("POST {}", shown(url)))
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
        // Fails only when it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .user_agent(concat!("gridmon/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("HTTP client")
    }

    pub fn get(http: &Http, url: &Url, timeout: Duration, longest: usize) -> Result<Vec<u8>> {
        fetch(http.get(url.clone()), timeout, longest)
    }

    pub fn post(http: &Http, url: &Url, form: String, timeout: Duration, longest: usize) -> Result<Vec<u8>> {
        let request = http.post(url.clone()).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        fetch(request, timeout, longest)
    }

    fn fetch(request: RequestBuilder, timeout: Duration, longest: usize) -> Result<Vec<u8>> {
        let answer = request.timeout(timeout).send().map_err(reqwest::Error::without_url);
        let answer =
            answer.with_context(|| format!("no answer within {} s", (timeout.as_secs_f64() * 10.0).round() / 10.0))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        answer.take(longest as u64 + 1).read_to_end(&mut body).context("the answer broke off")?;
        ensure!(status == 200, "HTTP {status} {}", quote(&String::from_utf8_lossy(&body[..body.len().min(1000)])));
        ensure!(body.len() <= longest, "answer of over {longest} bytes");
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

/// Whether this build can ask over HTTP.
pub const AVAILABLE: bool = cfg!(feature = "http");

/// An address without login and query, for messages.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
