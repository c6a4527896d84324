//! `[influxdb]`, and the login of `[credentials]`.

use anyhow::{Context, Result, anyhow};

use crate::config::{Key, Kind, Section, Unset, Values};
use crate::model::Tier;
use crate::os::http::{Client, Login, Tls, Url};
use crate::sinks::credentials::{FROM_CREDENTIALS, either};

/// `[influxdb]`.
pub const SECTION: Section = Section::new(
    "influxdb",
    "Sends points to InfluxDB 1, or to InfluxDB 2 through its 1.x addresses, and reads them from there.",
    &[
        Key::new(
            "url",
            Kind::Url,
            Unset::Absent("https://influxdb.example.org:8086"),
            "Where InfluxDB is. Without it nothing is sent there.",
        ),
        Key::new("database", Kind::Text, Unset::Absent("monit_jobs"), FROM_CREDENTIALS),
        Key::new("username", Kind::Text, Unset::Absent("gridmon"), FROM_CREDENTIALS),
        Key::new("password", Kind::Secret, Unset::Absent("change-me"), FROM_CREDENTIALS),
        Key::new(
            "token",
            Kind::Secret,
            Unset::Absent("change-me"),
            "The token that InfluxDB 2 asks for instead of username and password. Password and token are sent to url alone, \
             readable on the way if it begins with http://.",
        ),
        Key::new(
            "retention_raw",
            Kind::Text,
            Unset::Default("10m"),
            "The retention policy of points as they were collected.",
        ),
        Key::new("retention_1h", Kind::Text, Unset::Default("1h"), "The retention policy of hourly ones."),
        Key::new("retention_1d", Kind::Text, Unset::Default("1d"), "The retention policy of daily ones."),
        Key::new(
            "fold",
            Kind::List,
            Unset::Default("jobs"),
            "The measurements that downsample-1h and downsample-1d fold there.",
        ),
        Key::new(
            "tls",
            Kind::Word(&["verify", "skip"]),
            Unset::Default("verify"),
            "verify, or skip for an https:// address with a certificate that cannot be verified: then anybody on the way can \
             read and change everything.",
        ),
        Key::new(
            "timeout_seconds",
            Kind::Seconds(1, 600),
            Unset::Default("20"),
            "How long one request may take, in seconds. A batch may need several, and a run's deadline ends them all.",
        ),
    ],
);

/// Who speaks InfluxDB's protocol, for messages.
#[derive(Debug)]
pub struct Peer {
    /// The permanent name of the sink.
    pub sink: &'static str,
    /// Its name in sentences.
    pub title: &'static str,
    /// Its section of the config.
    pub section: &'static str,
    /// The keys of its login, in words.
    pub login: &'static str,
}

/// InfluxDB itself.
pub static INFLUXDB: Peer =
    Peer { sink: "influxdb", title: "InfluxDB", section: "influxdb", login: "username and password, or token" };

/// `[influxdb]`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who is asked.
    pub peer: &'static Peer,
    /// The address of InfluxDB: `http://HOST:PORT/`, with a path if it is served under a prefix.
    pub url: Url,
    /// How the config spells the address, if messages show that instead.
    pub spelling: Option<String>,
    /// The database of batches that name none.
    pub database: String,
    /// The database of this run's points, if it is another one.
    pub run_database: Option<String>,
    /// The login that it asks for.
    pub login: Option<Login>,
    /// The retention policies of raw, hourly and daily points.
    pub policies: [String; 3],
    /// The measurements that are folded.
    pub fold: Vec<String>,
    /// Whether its certificate is verified.
    pub is_verified: bool,
    /// CAs and certificate of this client, if they are not the machine's.
    pub tls: Tls,
    /// The time limit of a request, in seconds; 20 by default.
    pub timeout_seconds: u64,
}

impl Config {
    /// Reads `[influxdb]`, and from `[credentials]` what it leaves out; returns `None` unless it names an address.
    ///
    /// # Errors
    /// Fails if a value is not of its key's kind, if the address has a query, if there is no database, or if the login is
    /// not whole.
    pub fn read(values: &Values, credentials: &Values) -> Result<Option<Self>> {
        let url = values.url("url")?;
        if url.as_ref().is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            let message =
                "carries a ? or #, and what follows it is not used; database and login have keys of their own";
            return Err(values.error("url", anyhow!(message)));
        }
        let login = login(values, credentials, url.is_some())?;
        let database = either("database", values, credentials)?;
        let policy = |key| -> Result<String> {
            let name = values.needed(key)?;
            values.check(key, !name.contains(char::is_control), "the name of a retention policy")?;
            Ok(name)
        };
        let policies = [policy("retention_raw")?, policy("retention_1h")?, policy("retention_1d")?];
        let fold = values.list("fold")?;
        let is_verified = values.word("tls")? == "verify";
        let timeout_seconds = values.number("timeout_seconds")?;
        let Some(url) = url else { return Ok(None) };
        let Some((owner, database)) = database else {
            let message = "is missing; name the database here or in [credentials]";
            return Err(values.error("database", anyhow!(message)));
        };
        let owner = if owner { values } else { credentials };
        owner.check("database", !database.contains(char::is_control), "the name of a database")?;
        Ok(Some(Self {
            peer: &INFLUXDB,
            url,
            spelling: values.spelling("url"),
            database,
            run_database: None,
            login,
            policies,
            fold,
            is_verified,
            tls: Tls::default(),
            timeout_seconds,
        }))
    }

    /// Returns the config of another InfluxDB, or of another database of this one: `policy` is the retention policy of all its
    /// points; the rest, as the login, is as in `like`.
    pub fn elsewhere(like: Option<&Self>, url: Url, database: String, policy: Option<String>) -> Self {
        let policies = match policy {
            Some(policy) => [policy.clone(), policy.clone(), policy],
            None => like.map_or_else(|| ["10m", "1h", "1d"].map(String::from), |like| like.policies.clone()),
        };
        Self {
            peer: &INFLUXDB,
            url,
            spelling: None,
            database,
            run_database: None,
            login: like.and_then(|like| like.login.clone()),
            policies,
            fold: Vec::new(),
            is_verified: like.is_none_or(|like| like.is_verified),
            tls: Tls::default(),
            timeout_seconds: like.map_or(20, |like| like.timeout_seconds),
        }
    }

    /// Returns the database of this run's points.
    pub fn of_run(&self) -> &str {
        self.run_database.as_deref().unwrap_or(&self.database)
    }

    /// Returns its name for messages.
    pub fn name(&self) -> &str {
        self.spelling.as_deref().unwrap_or(self.url.as_str())
    }

    /// Names it for messages; says if its login can be read on the way, and if its certificate is not verified.
    pub fn describe(&self) -> String {
        let warning = Login::warning(self.login.as_ref(), &self.url);
        let is_open = !self.is_verified && self.url.scheme() == "https";
        format!(
            "{}{warning}{}",
            self.name(),
            if is_open { "; its certificate is not verified (tls = skip)" } else { "" }
        )
    }

    /// Returns the retention policy of a tier.
    pub fn policy(&self, tier: Tier) -> &str {
        match tier {
            Tier::Raw => &self.policies[0],
            Tier::Hour => &self.policies[1],
            Tier::Day => &self.policies[2],
        }
    }

    /// Returns a client that knows the login.
    pub(in crate::sinks) fn client(&self) -> Result<Client> {
        let client = Client::trusting(&Tls { is_unverified: !self.is_verified, ..self.tls.clone() })?;
        Ok(client.with_login(self.login.clone()).shown_as(self.spelling.clone()))
    }

    /// Returns the address of one of its services, `write` or `query`, with these parameters.
    pub(in crate::sinks) fn address(&self, service: &str, parameters: &[(&str, &str)]) -> Result<Url> {
        // Without a final slash, `join` replaces the last part of the prefix.
        let mut base = self.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut address = base.join(service).with_context(|| format!("[{}]", self.peer.section))?;
        address.query_pairs_mut().extend_pairs(parameters);
        Ok(address)
    }
}

/// Reads the login: `token`, or username and password. Without `is_used` nothing is refused but what is no value.
fn login(values: &Values, credentials: &Values, is_used: bool) -> Result<Option<Login>> {
    let (username, password) = (either("username", values, credentials)?, either("password", values, credentials)?);
    if let Some(token) = values.secret("token")? {
        if values.gives("username") || values.gives("password") {
            return Err(
                values.error("token", anyhow!("stands beside username or password; keep the one that it asks for"))
            );
        }
        return Login::token(&token.0).map(Some).map_err(|error| values.error("token", error));
    }
    if !is_used {
        return Ok(None);
    }
    let owner = |is_own: bool| if is_own { values } else { credentials };
    match (username, password) {
        (None, None) => Ok(None),
        (Some((is_own, username)), Some((is_own_too, password))) => {
            owner(is_own).check("username", !username.contains(':'), "a name without a colon")?;
            let login = Login::basic(&username, &password);
            login.map(Some).map_err(|error| owner(is_own_too).error("password", error))
        }
        (Some((is_own, _)), None) => Err(owner(is_own).error("username", anyhow!("needs password beside it"))),
        (None, Some((is_own, _))) => Err(owner(is_own).error("password", anyhow!("needs username beside it"))),
    }
}
