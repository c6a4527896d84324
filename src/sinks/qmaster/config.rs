//! `[qmaster]`: its keys, and how one sends to a qmaster. How qmaster itself reads it, `listener::config` says.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};

use super::qulo::Line;
use crate::config::{Key, Kind, Section, Unset, Values};
use crate::os::http::{Login, Tls, Url};
use crate::sinks::influxdb;
use crate::sinks::influxdb::config::Peer;

/// `[qmaster]`.
pub const SECTION: Section = Section::new(
    "qmaster",
    "Sends points to a qmaster, which keeps them until they are stored. For qmaster itself it says where it listens, and whom \
     it lets in.",
    &[
        Key::new(
            "host",
            Kind::Host,
            Unset::Absent("qmaster.example.org"),
            "The host of the master. Without it nothing is sent there; but in QULo's qagent.conf it is 127.0.0.1. For qmaster: \
             where it listens for line protocol over HTTP and for QULo's agents; 127.0.0.1 by default.",
        ),
        Key::new("port", Kind::Port, Unset::Default("7888"), "Its port.").or(&["incoming data port"]),
        Key::new(
            "protocol",
            Kind::Word(&["auto", "http", "qulo"]),
            Unset::Default("auto"),
            "http for a qmaster of this toolkit, which acknowledges what is safe. qulo for QULo's own: it acknowledges \
             nothing, and what it or its Graphite loses is lost. auto finds out; a master that hangs at the very first \
             contact may be taken for QULo's, so write http once none is left.",
        ),
        Key::new(
            "tls",
            Kind::Word(&["off", "verify", "skip"]),
            Unset::Default("off"),
            "verify for a master that speaks TLS. skip does not verify its certificate: then anybody on the way can read \
             and change everything.",
        ),
        Key::new("ca", Kind::Path, Unset::Absent("/etc/gridmon/ca.pem"), FILES),
        Key::new("certificate", Kind::Path, Unset::Absent("/etc/gridmon/node.pem"), FILES),
        Key::new("key", Kind::Path, Unset::Absent("/etc/gridmon/node.key"), FILES),
        Key::new(
            "token",
            Kind::Secret,
            Unset::Absent("change-me"),
            "The token that the master asks for; without TLS it can be read on the way.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("20"),
            "How long one request may take, in seconds.",
        ),
        Key::new(
            "listen",
            Kind::List,
            Unset::Absent("10.0.0.1:7888 [::1]:7888"),
            "For qmaster: more addresses, each ADDRESS:PORT, at which it listens for the same.",
        ),
        Key::new("carbon_line", Kind::Listen, Unset::Absent("127.0.0.1:2003"), CARBON),
        Key::new("carbon_pickle", Kind::Listen, Unset::Absent("127.0.0.1:2004"), CARBON),
        Key::new(
            "access",
            Kind::Word(&["closed", "open"]),
            Unset::Default("closed"),
            "closed: clients on other machines need a certificate or a token, and QULo's agents and Carbon's protocols, which \
             have neither, are let in from this machine only; open: QULo's agents and Carbon's protocols are let in from \
             everywhere, and everybody is if there is neither tls_client_ca nor tokens.",
        ),
        Key::new(
            "hosts",
            Kind::List,
            Unset::Absent("qmaster.example.org"),
            "More names under which a balancer on the same machine may ask for qmaster at a loopback address without a token; \
             localhost and loopback addresses are served anyway.",
        ),
        Key::new(
            "tls_certificate",
            Kind::Path,
            Unset::Absent("/etc/gridmon/qmaster.pem"),
            "The certificate of qmaster with its chain, in PEM. With it, HTTP is spoken over TLS alone.",
        ),
        Key::new(
            "tls_key",
            Kind::Path,
            Unset::Absent("/etc/gridmon/qmaster.key"),
            "Its key; by default it stands in the file of the certificate.",
        ),
        Key::new(
            "tls_client_ca",
            Kind::Path,
            Unset::Absent("/etc/gridmon/agents-ca.pem"),
            "The CAs whose certificates let a client in.",
        ),
        Key::new(
            "tokens",
            Kind::Secret,
            Unset::Absent("file:/etc/gridmon/qmaster.tokens"),
            "The tokens that let a client in, separated by commas or blanks: as a Bearer or Token, or as a password.",
        ),
        Key::new(
            "max_body_bytes",
            Kind::Number { least: 1024, most: 1 << 30, unit: "bytes" },
            Unset::Default("26214400"),
            "The largest body of a request, also after it is unpacked.",
        ),
        Key::new(
            "agents_config",
            Kind::Path,
            Unset::Absent("/etc/gridmon/agents.conf"),
            "For qmaster: the file with the settings of sensors that agents get, by host: [sensor:NAME] for all, [sensor:NAME \
             PATTERN] for those that fit. Intervals and filters alone.",
        ),
        Key::new(
            "ask_for_settings",
            Kind::Word(&["yes", "no"]),
            Unset::Default("yes"),
            "For an agent: whether it tells the master once a minute how it is, and takes the intervals and filters of its \
             sensors from there. A master that is away changes nothing.",
        ),
        Key::new(
            "new_series_per_hour",
            Kind::Number { least: 1, most: u64::MAX, unit: "series" },
            Unset::Default("100000"),
            "How many series that qmaster has not seen before a client may begin in an hour, all clients behind one balancer \
             together. Beyond that they are refused, and named.",
        ),
        Key::new(
            "forward",
            Kind::Host,
            Unset::Absent("qmaster.example.org"),
            "For qmaster: the host of another master to which it sends, as others send to this one.",
        ),
        Key::new("forward_port", Kind::Port, Unset::Default("7888"), "The port of that master."),
    ],
)
.in_any_case();

const CARBON: &str = "Where qmaster listens for Carbon's line and pickle protocols, which are off without an address: then it \
                      is a relay that loses nothing before any Carbon.";

const FILES: &str = "With tls: the CAs that are trusted instead of the machine's, and the certificate and key of this host, if \
                     the master asks for one.";

/// A qmaster, for messages.
static QMASTER: Peer = Peer { sink: "qmaster", title: "qmaster", section: "qmaster", login: "token" };

/// `[qmaster] protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `auto`.
    Auto,
    /// `http`: InfluxDB's protocol.
    Http,
    /// `qulo`: pickles, which nobody acknowledges.
    Qulo,
}

/// `[qmaster]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host of the master.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it is asked by HTTP.
    pub http: influxdb::Config,
    /// Whether an agent takes settings of its sensors from there.
    pub asks: bool,
    /// The connection to QULo's master, which is kept open from batch to batch.
    pub line: Arc<Line>,
}

impl Config {
    /// Reads `[qmaster]`; returns `None` unless it names a host or there is a default one.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, or does not fit the others.
    pub fn read(values: &Values, default_host: Option<&str>) -> Result<Option<Self>> {
        let host = values.text("host")?.or(default_host.map(String::from));
        Self::at(values, "host", host, values.port("port")?)
    }

    /// Reads where qmaster itself sends to; returns `None` unless `forward` names a host.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn forward(values: &Values) -> Result<Option<Self>> {
        Self::at(values, "forward", values.text("forward")?, values.port("forward_port")?)
    }

    fn at(values: &Values, key: &str, host: Option<String>, port: u16) -> Result<Option<Self>> {
        let protocol = match values.word("protocol")? {
            "http" => Protocol::Http,
            "qulo" => Protocol::Qulo,
            _ => Protocol::Auto,
        };
        let scheme = values.word("tls")?;
        let file = |name| -> Result<Option<PathBuf>> {
            let path = values.path(name)?;
            values.check(name, path.is_none() || scheme != "off", "used without tls = verify; set that too")?;
            Ok(path)
        };
        let tls = Tls { ca: file("ca")?, certificate: file("certificate")?, key: file("key")?, is_unverified: false };
        let token = values.secret("token")?;
        let login =
            token.map(|token| Login::token(&token.0)).transpose().map_err(|error| values.error("token", error))?;
        let timeout_seconds = values.number("timeout_seconds")?;
        let asks = values.word("ask_for_settings")? == "yes";
        let is_plain = scheme == "off";
        if !is_plain && protocol == Protocol::Qulo {
            return Err(values.error("protocol", anyhow!("qulo knows no TLS; leave tls out")));
        }
        let Some(host) = host else { return Ok(None) };
        let shown = values.spelling(key);
        let (start, end) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let address = format!("http{}://{start}{host}{end}:{port}/", if is_plain { "" } else { "s" });
        let url = Url::parse(&address).context("it is no address").map_err(|error| values.error(key, error))?;
        let http = influxdb::Config {
            peer: &QMASTER,
            url,
            spelling: shown.map(|shown| format!("{shown}:{port}")),
            // A qmaster keeps none apart, and asks for none.
            database: "gridmon".into(),
            run_database: None,
            login,
            policies: ["raw", "1h", "1d"].map(String::from),
            fold: Vec::new(),
            is_verified: scheme != "skip",
            tls,
            timeout_seconds,
        };
        // What speaks TLS is none of QULo's.
        let protocol = if is_plain { protocol } else { Protocol::Http };
        Ok(Some(Self { host, port, protocol, http, asks, line: Arc::default() }))
    }

    /// Returns its name for messages.
    pub fn name(&self) -> String {
        let name = self.http.name();
        name.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').into()
    }
}
