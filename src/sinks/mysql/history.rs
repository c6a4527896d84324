//! The history of backups in MySQL.

use std::collections::BTreeMap;
use std::time::Instant;

use ::mysql::Value;
use anyhow::{Context, Result};

use super::Mysql;
use super::connection::{text, within};
use super::table::{Duplicate, put};
use crate::sinks::history::{History, Kept, NEWEST, OfSet, SIZES, Sizes, TABLE};

impl History for Mysql {
    fn keep(&self, backups: &[Kept], until: Instant) -> Result<Vec<String>> {
        let (imported, seen): (Vec<_>, Vec<_>) = backups.iter().partition(|kept| kept.is_imported());
        let rows = |kept: Vec<&Kept>| kept.into_iter().map(Kept::row).collect::<Vec<_>>();
        let rows = vec![(rows(imported), Duplicate::Stays), (rows(seen), Duplicate::Replaced)];
        within(&self.config, until, move |connection| put(connection, &TABLE, rows, false))
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
