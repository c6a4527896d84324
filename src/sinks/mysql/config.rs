//! `[mysql]`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::sinks::credentials::{FROM_CREDENTIALS, either};

/// `[mysql]`.
pub const SECTION: Section = Section::new(
    "mysql",
    "Keeps tables in MySQL or MariaDB instead of the embedded store.",
    &[
        Key::new(
            "host",
            Kind::Host,
            Unset::Absent("mysql.example.org"),
            "The host of the server. Without it tables are kept in the embedded store.",
        ),
        Key::new("port", Kind::Port, Unset::Default("3306"), "Its port; QMonit's was 5501."),
        Key::new("database", Kind::Text, Unset::Absent("monit_jobs"), FROM_CREDENTIALS),
        Key::new("username", Kind::Text, Unset::Absent("gridmon"), FROM_CREDENTIALS),
        Key::new("password", Kind::Secret, Unset::Absent("change-me"), FROM_CREDENTIALS),
        Key::new(
            "tls",
            Kind::Word(&["verify", "off"]),
            Unset::Default("verify"),
            "verify, or off for a connection that everybody on the way can read.",
        ),
        Key::new(
            "ca",
            Kind::Path,
            Unset::Absent("/etc/gridmon/mysql-ca.pem"),
            "A file of CAs, or a hashed folder of them, that are trusted beside Mozilla's. Default: those of the machine.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("20"),
            "How long the server may take to answer a statement, in seconds.",
        ),
    ],
);

/// `[mysql]`.
#[derive(Clone)]
pub struct Config {
    /// The host of the server.
    pub host: String,
    /// Its port; 3306 by default.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user.
    pub username: String,
    /// The user's password; never shown.
    pub password: String,
    /// Whether the connection is encrypted and the server's certificate verified.
    pub is_verified: bool,
    /// CAs that are trusted instead of the machine's.
    pub ca: Option<PathBuf>,
    /// The time limit of a statement, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "mysql {}, database {}, user {}", self.name(), self.database, self.username)
    }
}

impl Config {
    /// Reads `[mysql]`, and from `[credentials]` what it leaves out; returns `None` unless it names a host.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, or if there is no database or no login.
    pub fn read(values: &Values, credentials: &Values) -> Result<Option<Self>> {
        let host = values.text("host")?;
        let (port, timeout_seconds) = (values.port("port")?, values.number("timeout_seconds")?);
        let (is_verified, ca) = (values.word("tls")? == "verify", values.path("ca")?);
        let [database, username, password] =
            ["database", "username", "password"].map(|key| either(key, values, credentials));
        let (database, username, password) = (database?, username?, password?);
        let Some(host) = host else { return Ok(None) };
        let needed = |key: &str, value: Option<(bool, String)>| {
            let missing = || values.error("host", anyhow!("needs {key} beside it, or in [credentials]"));
            value.map(|(_, value)| value).ok_or_else(missing)
        };
        Ok(Some(Self {
            host,
            port,
            database: needed("database", database)?,
            username: needed("username", username)?,
            // A user of a test server may have none.
            password: password.map(|(_, password)| password).unwrap_or_default(),
            is_verified,
            ca,
            timeout_seconds,
        }))
    }

    /// Returns the server's name for messages.
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Names it for messages, and says if everybody on the way can read it.
    pub fn describe(&self) -> String {
        let is_local = matches!(self.host.as_str(), "localhost" | "::1") || self.host.starts_with("127.");
        let warning =
            if self.is_verified || is_local { "" } else { "; login and data are sent unencrypted (tls = off)" };
        format!("{}{warning}", self.name())
    }
}
