//! The history of backups in MySQL.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ::mysql::Value;
use anyhow::{Context, Result};

use super::Mysql;
use super::connection::{Connection, text, within};
use super::table::{Duplicate, put};
use crate::sinks::history::{History, Kept, NEWEST, OfSet, SIZES, Sizes, TABLE};

/// The rows of a node whose key has the time in it, as versions before this one wrote them: of one path first those that were seen,
/// the latest first.
const OLD: &str = "SELECT name, time, path, bytes, seal, id FROM backup WHERE hub = ? AND node = ?
    AND id <> MD5(CONCAT(CONVERT(name USING utf8mb4), CHAR(0), CONVERT(path USING utf8mb4)))
    ORDER BY seal = 'imported', time DESC";

/// Gives the rows of a node that versions before this one wrote the key of their path: a backup that they had with several times is
/// one then. One that is there with its key stays. Killed between its two steps, it is done again.
fn renew(connection: &mut Connection, hub: &str, node: &str) -> Result<()> {
    let rows = connection.ask(OLD, (hub, node))?;
    let (mut kept, mut ids, mut paths) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in rows {
        let [name, time, path, bytes, seal, id] =
            <[Value; 6]>::try_from(row).ok().context("the history gives another row")?;
        let number =
            |value: Value| text(value).parse::<i64>().context("the history has a time or size that is no number");
        let (set, path) = (text(name), text(path));
        ids.push(text(id));
        if paths.insert((set.clone(), path.clone())) {
            let of = OfSet { hub: hub.into(), node: node.into(), set };
            kept.push(of.kept(number(time)?, path, number(bytes)?, text(seal)).row());
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    // What no longer fits the table was never in it.
    put(connection, &TABLE, vec![(kept, Duplicate::Stays)], false)?;
    for some in ids.chunks(REMOVED) {
        let marks = vec!["?"; some.len()].join(", ");
        let of: Vec<Value> = [hub, node].into_iter().chain(some.iter().map(String::as_str)).map(Value::from).collect();
        connection.change(&format!("DELETE FROM backup WHERE hub = ? AND node = ? AND id IN ({marks})"), of)?;
    }
    Ok(())
}

/// How many rows one statement removes.
const REMOVED: usize = 500;

impl History for Mysql {
    fn keep(&self, backups: &[Kept], until: Instant) -> Result<Vec<String>> {
        let (imported, seen): (Vec<_>, Vec<_>) = backups.iter().partition(|kept| kept.is_imported());
        let rows = |kept: Vec<&Kept>| kept.into_iter().map(Kept::row).collect::<Vec<_>>();
        let rows = vec![(rows(imported), Duplicate::Stays), (rows(seen), Duplicate::Replaced)];
        let nodes: BTreeSet<(String, String)> =
            backups.iter().map(|kept| (kept.hub.clone(), kept.node.clone())).collect();
        within(&self.config, until, move |connection| {
            let said = put(connection, &TABLE, rows, false)?;
            for (hub, node) in nodes {
                renew(connection, &hub, &node)?;
            }
            Ok(said)
        })
    }

    fn sizes(&self, hub: &str, node: &str, until: Instant) -> Result<BTreeMap<String, Sizes>> {
        let of = (hub.to_string(), node.to_string(), hub.to_string(), node.to_string());
        let rows = within(&self.config, until, move |connection| connection.ask(SIZES, of))?;
        let mut sets = BTreeMap::<String, Sizes>::new();
        for row in rows {
            let [name, time, bytes] = <[Value; 3]>::try_from(row).ok().context("the history gives another row")?;
            let number =
                |value: Value| text(value).parse::<i64>().context("the history has a time or size that is no number");
            sets.entry(text(name)).or_default().push((number(time)?, number(bytes)?.unsigned_abs()));
        }
        Ok(sets)
    }

    fn newest(&self, of: &OfSet, most: usize, until: Instant) -> Result<Vec<Kept>> {
        let OfSet { hub, node, set } = of.clone();
        let parameters = (hub.clone(), node.clone(), set.clone(), hub, node, set, most as u64);
        let rows = within(&self.config, until, move |connection| connection.ask(NEWEST, parameters))?;
        let kept = |row| {
            let [time, path, bytes, seal] =
                <[Value; 4]>::try_from(row).ok().context("the history gives another row")?;
            let number = |value: Value| text(value).parse().context("the history has a time or size that is no number");
            Ok(of.kept(number(time)?, text(path), number(bytes)?, text(seal)))
        };
        rows.into_iter().map(kept).collect()
    }
}
