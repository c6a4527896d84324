//! One way to ask over HTTP: with a time-out, a limit to what is read, verified TLS, and no address in an error that could
//! carry a secret.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::blocking::Client;

use crate::point::quote;

/// The body of `url`, at most `longest` bytes of it.
///
/// # Errors
/// When it cannot be had in time, has another status than 200, or is longer.
pub fn get(url: &str, timeout: Duration, longest: usize) -> Result<Vec<u8>> {
    // Fails only when it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shown = shown(url);
    let client = Client::builder()
        .timeout(timeout)
        .user_agent(concat!("gridmon/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("HTTP client")?;
    let answer = client.get(url).send().map_err(reqwest::Error::without_url);
    let answer = answer.with_context(|| format!("GET {shown} within {} s", timeout.as_secs_f64().round()))?;
    let status = answer.status();
    let mut body = Vec::new();
    answer.take(longest as u64 + 1).read_to_end(&mut body).with_context(|| format!("GET {shown}"))?;
    ensure!(
        status.as_u16() == 200,
        "GET {shown}: HTTP {} {}",
        status.as_u16(),
        quote(&String::from_utf8_lossy(&body[..body.len().min(1000)]))
    );
    ensure!(body.len() <= longest, "GET {shown}: answer of over {longest} bytes");
    Ok(body)
}

/// An address without login and query, for messages.
fn shown(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return "an address that is none".into() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
