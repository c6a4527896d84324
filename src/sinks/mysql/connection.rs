//! A connection to MySQL or MariaDB: login, TLS, time limits, and what an error means.
//!
//! The crate `mysql` bounds each read and write, but not the look-up of a name, nor a server that sends a byte at a time.
//! So what is asked runs in a thread of its own ([`within`]), which is left behind when its time is over.
//!
//! Traps: a connection to localhost goes over to the server's Unix socket unless `prefer_socket` is off; the crate trusts
//! Mozilla's CAs beside those of the file that it is given, and refuses that file if one CA in it is unusable.

use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ::mysql::error::DriverError;
use ::mysql::prelude::Queryable;
use ::mysql::{Conn, Error, OptsBuilder, Params, SslOpts};
use anyhow::{Context, Result, anyhow, bail};

use super::Config;
use crate::os::tls;
use crate::text::{one_line, quote_ends};

/// The machine's own CAs: of Debian, of Red Hat, of SUSE.
const OF_THE_MACHINE: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// An open connection. What it is asked ends at a set time.
pub(super) struct Connection {
    conn: Conn,
    config: Config,
    ends: Instant,
}

/// Runs `work` with a connection, at most until `ends`.
///
/// # Errors
/// Fails if there is no connection, if `work` fails, or if the time is over: then the server has forgotten a transaction
/// that was not committed, or will when it notices that nobody is there.
pub(super) fn within<T: Send + 'static>(
    config: &Config,
    ends: Instant,
    work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (config, name) = (config.clone(), config.name());
    let (done, answer) = mpsc::channel();
    let ask = move || {
        // Nobody listens any more when the time is over.
        let _ = done.send(Connection::open(config, ends).and_then(|mut connection| work(&mut connection)));
    };
    thread::Builder::new().name("mysql".into()).spawn(ask).context("no thread for the connection")?;
    let left = ends.saturating_duration_since(Instant::now());
    match answer.recv_timeout(left) {
        Ok(answer) => answer.with_context(|| format!("MySQL at {name}")),
        Err(mpsc::RecvTimeoutError::Timeout) => bail!("MySQL at {name}: no end within {:.0} s", left.as_secs_f64()),
        Err(mpsc::RecvTimeoutError::Disconnected) => bail!("MySQL at {name}: the connection ended in a bug"),
    }
}

impl Connection {
    fn open(config: Config, ends: Instant) -> Result<Self> {
        let conn = match connect(&config, Some(&config.database), ends) {
            Ok(conn) => conn,
            Err(error) => return Err(explain(error, &config)),
        };
        let mut connection = Self { conn, config, ends };
        // Another transaction may hold the rows: wait no longer than this one may. Texts are never cut in silence.
        let most = connection.config.timeout_seconds.saturating_sub(1).max(1);
        let wait = connection.left()?.as_secs().clamp(1, most);
        connection.run(&format!("SET SESSION innodb_lock_wait_timeout = {wait}, sql_mode = 'STRICT_ALL_TABLES'"))?;
        Ok(connection)
    }

    /// Returns the time that is left.
    fn left(&self) -> Result<Duration> {
        match self.ends.saturating_duration_since(Instant::now()) {
            Duration::ZERO => bail!("no time is left for another statement"),
            left => Ok(left),
        }
    }

    /// Returns the config.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the server's version, `10.11.14-MariaDB` for instance.
    pub fn version(&mut self) -> Result<String> {
        let rows = self.ask("SELECT VERSION()", ())?;
        Ok(rows.into_iter().flatten().next().map(text).unwrap_or_default())
    }

    /// Runs a statement without parameters.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        self.left()?;
        self.conn.query_drop(statement).map_err(|error| explain(error, &self.config))
    }

    /// Runs a statement with bound parameters.
    pub fn change(&mut self, statement: &str, parameters: impl Into<Params>) -> Result<()> {
        self.left()?;
        self.conn.exec_drop(statement, parameters).map_err(|error| explain(error, &self.config))
    }

    /// Asks a query with bound parameters; returns its rows.
    pub fn ask(&mut self, query: &str, parameters: impl Into<Params>) -> Result<Vec<Vec<::mysql::Value>>> {
        self.left()?;
        let rows: Result<Vec<::mysql::Row>, Error> = self.conn.exec(query, parameters);
        Ok(rows.map_err(|error| explain(error, &self.config))?.into_iter().map(::mysql::Row::unwrap).collect())
    }
}

/// Returns a value as a text.
pub(super) fn text(value: ::mysql::Value) -> String {
    match value {
        ::mysql::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        ::mysql::Value::Int(value) => value.to_string(),
        ::mysql::Value::UInt(value) => value.to_string(),
        _ => String::new(),
    }
}

/// Creates the database if the server has none of that name. Returns whether it did.
///
/// # Errors
/// Fails if it is missing and the login may not create it.
pub(super) fn ensure_database(config: &Config, ends: Instant) -> Result<bool> {
    const UNKNOWN_DATABASE: u16 = 1049;
    match connect(config, Some(&config.database), ends) {
        Err(Error::MySqlError(error)) if error.code == UNKNOWN_DATABASE => {}
        Err(error) => return Err(explain(error, config)),
        Ok(_) => return Ok(false),
    }
    let mut conn = connect(config, None, ends).map_err(|error| explain(error, config))?;
    let statement = format!("CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4", identifier(&config.database));
    conn.query_drop(&statement).map_err(|error| explain(error, config))?;
    Ok(true)
}

/// Quotes a name of a database, table or column.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn connect(config: &Config, database: Option<&str>, ends: Instant) -> Result<Conn, Error> {
    let left = ends.saturating_duration_since(Instant::now());
    // A little more than the server itself waits for a lock, so that it can say so.
    let limit = Duration::from_secs(config.timeout_seconds) + Duration::from_millis(500);
    let limit = left.min(limit).max(Duration::from_millis(1));
    let authorities = if config.is_verified {
        Some(Authorities::of(config).map_err(|error| Error::IoError(std::io::Error::other(format!("{error:#}"))))?)
    } else {
        None
    };
    let ssl = authorities.as_ref().map(|authorities| match &authorities.path {
        Some(path) => SslOpts::default().with_root_cert_path(Some(path.clone())),
        None => SslOpts::default(),
    });
    if ssl.is_some() {
        tls::install();
    }
    let options = OptsBuilder::new()
        .ip_or_hostname(Some(config.host.clone()))
        .tcp_port(config.port)
        .prefer_socket(false)
        .user(Some(config.username.clone()))
        .pass(Some(config.password.clone()))
        .db_name(database)
        .tcp_connect_timeout(Some(limit))
        .read_timeout(Some(limit))
        .write_timeout(Some(limit))
        .ssl_opts(ssl);
    Conn::new(options)
}

/// The CAs that are trusted beside Mozilla's, as a file in memory.
struct Authorities {
    path: Option<PathBuf>,
    _file: Option<std::fs::File>,
}

impl Authorities {
    fn of(config: &Config) -> Result<Self> {
        let machine = || OF_THE_MACHINE.iter().map(Path::new).find(|path| path.exists());
        let Some(of) = config.ca.as_deref().or_else(machine) else { return Ok(Self { path: None, _file: None }) };
        let pem = tls::usable_cas(of)?;
        let file = rustix::fs::memfd_create("cas", rustix::fs::MemfdFlags::CLOEXEC).context("no memory for the CAs")?;
        let mut file = std::fs::File::from(file);
        file.write_all(pem.as_bytes()).context("no memory for the CAs")?;
        Ok(Self { path: Some(format!("/proc/self/fd/{}", file.as_raw_fd()).into()), _file: Some(file) })
    }
}

/// What holds of each error in a transaction that was not committed.
const NOTHING: &str = "nothing was changed";

/// What is said of a server that takes only small statements.
const SMALL_PACKETS: &str = "a statement is larger than the server takes, nothing was changed: raise its max_allowed_packet, \
     MariaDB's own is 16M";

/// Says what an error means, and what to do.
fn explain(error: Error, config: &Config) -> anyhow::Error {
    let grants = || {
        format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {0}.* TO its user; for --setup CREATE and ALTER too",
            identifier(&config.database)
        )
    };
    match error {
        Error::MySqlError(error) => {
            let said = quote_ends(&one_line(&error.message));
            let remedy = match error.code {
                1045 | 1698 => "it refuses the login: check username and password of [mysql] or [credentials]".into(),
                1044 | 1142 | 1143 | 1227 | 1410 => format!("its login may not do that: {}", grants()),
                1049 => "the database is missing: --setup creates it".into(),
                1146 => "the table is missing: --setup creates it".into(),
                1205 => format!("another transaction holds the rows; {NOTHING}"),
                1213 => format!("another transaction was in the way; {NOTHING}"),
                1290 | 1792 | 1836 => "it is read-only: is that a replica?".into(),
                1264 | 1406 => {
                    format!("a column is narrower than the one that --setup makes; {NOTHING}: ALTER TABLE … MODIFY it")
                }
                1364 => format!(
                    "a column that is not gridmon's needs a value; {NOTHING}: ALTER TABLE … ALTER COLUMN … SET DEFAULT …"
                ),
                1366 => format!(
                    "its character set lacks a letter; {NOTHING}: ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
                ),
                1153 => SMALL_PACKETS.into(),
                1317 | 1927 => format!("somebody ended the connection; {NOTHING}"),
                1040 | 1203 | 1226 => "it takes no more connections".into(),
                _ => String::new(),
            };
            let remedy = if remedy.is_empty() { remedy } else { format!("; {remedy}") };
            anyhow!("error {} {said}{remedy}", error.code)
        }
        Error::DriverError(DriverError::TlsNotSupported) => {
            anyhow!("it has no TLS; [mysql] tls = off does without, and everybody on the way can read it")
        }
        Error::DriverError(DriverError::CouldNotConnect(Some((_, why, kind)))) => {
            let (why, kind) = (one_line(&why), kind.to_string());
            // As a rule the one says the other.
            let is_said = why.to_lowercase().contains(&kind.to_lowercase());
            if is_said { anyhow!("no connection: {why}") } else { anyhow!("no connection: {why} ({kind})") }
        }
        // The crate hides what kind of error it was, when it comes while the first bytes are read.
        error if matches!(error, Error::TlsError(_)) || error.to_string().contains("peer certificate") => anyhow!(
            "no TLS connection: {}; [mysql] ca names the CA that its certificate is from",
            quote_ends(&one_line(&error.to_string()))
        ),
        // The crate's own codec refuses what the server would, and knows no number for it.
        error if error.to_string().contains("max_allowed_packet") => anyhow!("{SMALL_PACKETS}"),
        // A read or write that took too long, in the words of Linux: the crate hides what kind of error it was.
        error if error.to_string().contains("os error 11)") => {
            anyhow!("no answer within {} s", config.timeout_seconds)
        }
        error => anyhow!("{}", quote_ends(&one_line(&error.to_string()))),
    }
}
