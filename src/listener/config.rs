//! `[qmaster]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::config::{Secret, Values};

/// Where qmaster listens without `[qmaster] host`.
const LOOPBACK: &str = "127.0.0.1";

/// `[qmaster]`, as qmaster reads it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host to listen at, a name or an address; 127.0.0.1 by default.
    pub host: String,
    /// Its port; 7888 by default.
    pub port: u16,
    /// More addresses to listen at.
    pub listen: Vec<SocketAddr>,
    /// Where Carbon's line protocol is received.
    pub carbon_line: Option<SocketAddr>,
    /// Where Carbon's pickle protocol is received.
    pub carbon_pickle: Option<SocketAddr>,
    /// Whether clients that cannot say who they are are let in from other machines.
    pub is_open: bool,
    /// More names under which it may be reached at a loopback address.
    pub hosts: Vec<String>,
    /// The file with the settings of sensors for agents.
    pub agents_config: Option<PathBuf>,
    /// The files of TLS; `None` without TLS.
    pub tls: Option<ServerTls>,
    /// The tokens that let a client in.
    pub tokens: Vec<Secret>,
    /// The largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// How many new series a client may begin in an hour.
    pub new_series_per_hour: u64,
}

/// The files of a server's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CAs of clients.
    pub client_ca: Option<PathBuf>,
}

impl Config {
    /// Reads `[qmaster]`.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, or if what is given of TLS does not suffice.
    pub fn read(values: &Values) -> Result<Self> {
        // An error shows what stands in the file, which may only name where a value is.
        let address = |key: &str, text: &str| -> Result<SocketAddr> {
            let what = "of addresses alone, each an ADDRESS:PORT such as 10.0.0.1:7888";
            text.parse().map_err(|_| values.check(key, false, what).err().unwrap_or_else(|| anyhow!("{key}")))
        };
        let listens = |key: &str| values.text(key)?.map(|text| address(key, &text)).transpose();
        let (certificate, key) = (values.path("tls_certificate")?, values.path("tls_key")?);
        let client_ca = values.path("tls_client_ca")?;
        if certificate.is_none() && (key.is_some() || client_ca.is_some()) {
            return Err(values.error("tls_certificate", anyhow!("is missing beside tls_key or tls_client_ca")));
        }
        let tls = certificate.map(|certificate| ServerTls {
            key: key.unwrap_or_else(|| certificate.clone()),
            certificate,
            client_ca,
        });
        let tokens = values.secret("tokens")?.map(|tokens| tokens.0).unwrap_or_default();
        let tokens = tokens.split([',', ' ', '\t', '\n']).filter(|token| !token.is_empty());
        Ok(Self {
            host: values.text("host")?.unwrap_or_else(|| LOOPBACK.into()),
            port: values.port("port")?,
            listen: values.list("listen")?.iter().map(|text| address("listen", text)).collect::<Result<_>>()?,
            carbon_line: listens("carbon_line")?,
            carbon_pickle: listens("carbon_pickle")?,
            is_open: values.word("access")? == "open",
            hosts: values.list("hosts")?,
            agents_config: values.path("agents_config")?,
            tls,
            tokens: tokens.map(|token| Secret(token.into())).collect(),
            max_body_bytes: usize::try_from(values.number("max_body_bytes")?).unwrap_or(usize::MAX),
            new_series_per_hour: values.number("new_series_per_hour")?,
        })
    }

    /// Whether a client over HTTP must show a certificate or a token.
    pub fn asks_who(&self) -> bool {
        !self.tokens.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}
