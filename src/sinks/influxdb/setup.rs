//! Finds out whether the places that points go to exist, and creates them: a database with three retention policies.
//!
//! Nothing is created by a write: InfluxDB 2 makes a bucket that keeps three days for a database that it does not know, so
//! it is asked by queries alone. InfluxDB 1 is asked by a body without points too, which also tells whether the login may
//! write; it needs no right to read.

use anyhow::{Result, bail};

use super::client::Connection;
use super::influxql::{Cell, identifier};
use crate::model::Tier;
use crate::sinks::ClosedPlace;
use crate::text::quote;

/// Returns what is there, for `--check`.
///
/// # Errors
/// Fails if the database or a retention policy is missing, or if the login may not write.
pub(super) fn check(connection: &Connection) -> Result<String> {
    let (version, config) = (connection.version()?, connection.config);
    let shown = if version.is_empty() { "InfluxDB" } else { &format!("InfluxDB {version}") };
    let database = config.of_run();
    if !databases(connection)?.iter().any(|one| one == database) {
        bail!("{shown} at {} has no database {}; {}", config.name(), quote(database), remedy(&version));
    }
    let policies = policies(connection);
    let mut missing = Vec::new();
    for policy in &policies {
        if let Err(error) = probe(connection, policy, &version) {
            let text = format!("{error:#}");
            // "retention policy not found" of 1.x; of 2.x whatever it says of a mapping or bucket.
            if !text.contains("not found") && !text.contains("mapping") {
                return Err(error);
            }
            missing.push(*policy);
        }
    }
    if !missing.is_empty() {
        let (noun, missing) = (if missing.len() == 1 { "policy" } else { "policies" }, missing.join(", "));
        bail!(
            "database {} of {shown} at {} lacks the retention {noun} {missing}; {}",
            quote(database),
            config.name(),
            remedy(&version)
        );
    }
    Ok(format!(
        "{shown} at {} has the database {database} with the retention policies {}",
        config.describe(),
        policies.join(", ")
    ))
}

/// Creates what is missing; changes nothing that exists. Returns what it did, for `--setup`.
///
/// # Errors
/// Fails if something is missing and cannot be created.
pub(super) fn setup(connection: &Connection) -> Result<String> {
    let (version, config) = (connection.version()?, connection.config);
    if !version.is_empty() && !is_first(&version) {
        // Its buckets and mappings are made by its own tools alone.
        return check(connection);
    }
    let (database, wanted) = (config.of_run(), policies(connection));
    let (mut made, mut there) = (Vec::new(), Vec::new());
    let on = identifier(database);
    // Points are kept for ever: a database that others may use is not ours to forget from.
    let kept = "DURATION INF REPLICATION 1";
    if !databases(connection)?.iter().any(|one| one == database) {
        let raw = identifier(config.policy(Tier::Raw));
        create(connection, &format!("CREATE DATABASE {on} WITH {kept} NAME {raw}"))?;
        made.push(format!("database {database}"));
        made.push(format!("retention policy {} as default", config.policy(Tier::Raw)));
    }
    connection.query(database, &format!("SHOW RETENTION POLICIES ON {on}"), |rows| {
        there.extend(rows.values.iter().filter_map(|row| text(row.first()?)));
        Ok(())
    })?;
    for policy in wanted {
        if there.iter().any(|there| there == policy) {
            continue;
        }
        let is_default = policy == config.policy(Tier::Raw);
        let default = if is_default { " DEFAULT" } else { "" };
        create(connection, &format!("CREATE RETENTION POLICY {} ON {on} {kept}{default}", identifier(policy)))?;
        made.push(format!("retention policy {policy}{}", if is_default { " as default" } else { "" }));
    }
    Ok(if made.is_empty() { "has all that it needs".into() } else { format!("created {}", made.join(", ")) })
}

fn create(connection: &Connection, statement: &str) -> Result<()> {
    connection.query("", statement, |_| Ok(())).map_err(|error| match error.is::<ClosedPlace>() {
        true => error.context(format!("only an administrator may: {statement}")),
        false => error,
    })
}

/// Returns the databases that the login may see.
fn databases(connection: &Connection) -> Result<Vec<String>> {
    let mut databases = Vec::new();
    connection.query("", "SHOW DATABASES", |rows| {
        databases.extend(rows.values.iter().filter_map(|row| text(row.first()?)));
        Ok(())
    })?;
    Ok(databases)
}

/// Returns the retention policies of the config, each once.
fn policies<'a>(connection: &Connection<'a>) -> Vec<&'a str> {
    let mut policies = Vec::new();
    for tier in Tier::ALL {
        let policy = connection.config.policy(tier);
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    policies
}

/// Asks for a retention policy of the database.
fn probe(connection: &Connection, policy: &str, version: &str) -> Result<()> {
    let database = connection.config.of_run();
    if is_first(version) {
        return connection.write_nothing(database, policy);
    }
    let from = format!("{}.{}", identifier(database), identifier(policy));
    connection.query(database, &format!("SELECT * FROM {from}.\"gridmon_check\" LIMIT 1"), |_| Ok(()))
}

fn is_first(version: &str) -> bool {
    version.trim_start_matches('v').starts_with("1.")
}

/// Says how a missing place is made.
fn remedy(version: &str) -> &'static str {
    if version.is_empty() || is_first(version) {
        "--setup creates it, or the login may not see it"
    } else {
        "map a bucket to each retention policy: influx v1 dbrp create --db DATABASE --rp POLICY --bucket-id ID"
    }
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.to_string()),
        _ => None,
    }
}
