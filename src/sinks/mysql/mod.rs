//! MySQL and MariaDB: tables, through the crate `mysql`. Measured against MariaDB 10.11.
//!
//! ```sql
//! INSERT INTO `jobs` (`panda_queue`, …) VALUES (?, …), … ON DUPLICATE KEY UPDATE `atlas_site` = VALUES(`atlas_site`), …
//! DELETE FROM `jobs` WHERE (`panda_queue`, `prod_source`, `resource`) IN ((?, ?, ?), …)
//! ```
//!
//! All of a table is written in one transaction, with bound parameters; of the history of backups (history.rs), which only
//! grows, ten thousand rows. connection.rs knows nothing of tables.
//!
//! - Without a unique key of exactly the table's key, each run would add its rows again: such a table is not written.
//! - A server's default character set may be latin1. The table says its own, and the connection is utf8mb4.
//! - The default collation takes `a` and `A` for one: the table that `--setup` makes compares bytes.

pub mod config;
#[cfg(feature = "mysql")]
mod connection;
#[cfg(feature = "mysql")]
mod history;
#[cfg(feature = "mysql")]
mod table;

pub use self::config::Config;

/// MySQL or MariaDB as the place of tables.
#[derive(Debug)]
pub struct Mysql {
    config: Config,
}

impl Mysql {
    /// Creates it; it opens no connection yet.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

#[cfg(not(feature = "mysql"))]
mod absent {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use anyhow::{Result, bail};

    use super::Mysql;
    use crate::model::{Rest, Row, TableInfo};
    use crate::sinks::Tables;
    use crate::sinks::history::{History, Kept, OfSet, Sizes};

    /// Says that this build has no client.
    fn absent<T>(this: &Mysql) -> Result<T> {
        bail!("MySQL at {}: this build has no client for it", this.config.name())
    }

    impl History for Mysql {
        fn keep(&self, _: &[Kept], _: Instant) -> Result<Vec<String>> {
            absent(self)
        }

        fn sizes(&self, _: &str, _: &str, _: Instant) -> Result<BTreeMap<String, Sizes>> {
            absent(self)
        }

        fn newest(&self, _: &OfSet, _: usize, _: Instant) -> Result<Vec<Kept>> {
            absent(self)
        }
    }

    impl Tables for Mysql {
        fn name(&self) -> &str {
            "mysql"
        }

        fn write(&self, _: &'static TableInfo, _: &[Row], _: Rest, _: Instant) -> Result<Vec<String>> {
            absent(self)
        }

        fn read(&self, _: &'static TableInfo, _: Instant) -> Result<Vec<Row>> {
            absent(self)
        }

        fn check(&self, _: &'static TableInfo, _: Instant) -> Result<String> {
            absent(self)
        }

        fn setup(&self, _: &'static TableInfo, _: Instant) -> Result<String> {
            absent(self)
        }
    }
}
