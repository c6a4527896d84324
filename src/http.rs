//! One way to ask over HTTP: with a time-out, a limit to what is read, verified TLS, no redirects, and no address in an
//! error that could carry a secret.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use reqwest::blocking::RequestBuilder;

use crate::point::quote;

/// The most that is read of an answer by default, in bytes.
const LONGEST: usize = 256 << 20;

/// Asks servers; one for many questions, since it keeps connections and has read the certificates.
#[derive(Debug)]
pub struct Client {
    client: reqwest::blocking::Client,
    longest: usize,
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// When the machine's certificates cannot be read.
    pub fn new() -> Result<Self> {
        // Fails only when it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder()
            .user_agent(concat!("gridmon/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("HTTP client")?;
        Ok(Self { client, longest: LONGEST })
    }

    /// One that reads at most so many bytes of an answer.
    #[must_use]
    pub fn reading_at_most(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// The body of `url`, asked with GET.
    ///
    /// # Errors
    /// When it cannot be had in time, has another status than 200, or is beyond all measure.
    pub fn get(&self, url: &Url, timeout: Duration) -> Result<Vec<u8>> {
        self.fetch(self.client.get(url.clone()), timeout).with_context(|| format!("GET {}", shown(url)))
    }

    /// The answer of `url` to a form.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&self, url: &Url, form: String, timeout: Duration) -> Result<Vec<u8>> {
        let request =
            self.client.post(url.clone()).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        self.fetch(request, timeout).with_context(|| format!("POST {}", shown(url)))
    }

    fn fetch(&self, request: RequestBuilder, timeout: Duration) -> Result<Vec<u8>> {
        let answer = request.timeout(timeout).send().map_err(reqwest::Error::without_url);
        let answer =
            answer.with_context(|| format!("no answer within {} s", (timeout.as_secs_f64() * 10.0).round() / 10.0))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        answer.take(self.longest as u64 + 1).read_to_end(&mut body).context("the answer broke off")?;
        ensure!(status == 200, "HTTP {status} {}", quote(&String::from_utf8_lossy(&body[..body.len().min(1000)])));
        ensure!(body.len() <= self.longest, "answer of over {} bytes", self.longest);
        Ok(body)
    }
}

/// An address without login and query, for messages.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// An address of the config: `http://` or `https://`, without a login.
///
/// # Errors
/// When it is none, or carries a login.
pub fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.context("is no http:// or https:// address")?;
    ensure!(url.username().is_empty() && url.password().is_none(), "carries a login, which would show in logs");
    Ok(url)
}
