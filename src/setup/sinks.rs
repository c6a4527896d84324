//! The sinks that the config selects.

use std::path::Path;

use jiff::Timestamp;

use super::{CATALOG, Config};
use crate::os::http;
use crate::sinks::embedded::{self, Embedded, EmbeddedTables, Place};
use crate::sinks::graphite::carbon::{self, Carbon};
use crate::sinks::graphite::receiver::Receiver;
use crate::sinks::history::History;
use crate::sinks::influxdb::{self, Influxdb};
use crate::sinks::mysql::{self, Mysql};
use crate::sinks::qmaster::{self, Qmaster};
use crate::sinks::rrd::{self, RrdFiles};
use crate::sinks::windows::Marking;
use crate::sinks::{Sink, Tables};

/// Returns the sinks that the config selects; if it selects none, the embedded store, which lies in the `state`
/// directory unless the config names a path.
pub fn sinks(config: &Config, state: &Path) -> Vec<Box<dyn Sink>> {
    let mut sinks = selected(&Selected::of(config), state);
    sinks.extend(config.rrd.as_ref().map(|rrd| files(rrd, state)));
    sinks
}

/// Returns the sink of files in rrdtool's format.
pub(super) fn files(config: &rrd::Config, state: &Path) -> Box<dyn Sink> {
    let is_made = config.directory.parent() == Some(state);
    Box::new(RrdFiles { config: config.clone(), catalog: CATALOG, now: Timestamp::now().as_second(), is_made })
}

/// The sections that select sinks of points.
#[derive(Clone)]
pub(super) struct Selected {
    carbon: Option<carbon::Config>,
    influxdb: Option<influxdb::Config>,
    qmaster: Option<qmaster::Config>,
    embedded: embedded::Config,
}

impl Selected {
    pub fn of(config: &Config) -> Self {
        let (carbon, influxdb, qmaster) = (config.carbon.clone(), config.influxdb.clone(), config.qmaster.clone());
        Self { carbon, influxdb, qmaster, embedded: config.embedded.clone() }
    }
}

pub(super) fn selected(
    Selected { carbon, influxdb, qmaster, embedded }: &Selected,
    state: &Path,
) -> Vec<Box<dyn Sink>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(config) = carbon {
        sinks.push(Box::new(Carbon {
            config: config.clone(),
            catalog: CATALOG,
            receiver: Receiver::new(config, state),
        }));
    }
    if let Some(config) = influxdb {
        sinks.push(marking(Box::new(Influxdb::new(config.clone(), state)), state));
    }
    if let Some(config) = qmaster {
        sinks.push(Box::new(Qmaster::new(config.clone(), CATALOG, state)));
    }
    if sinks.is_empty() || embedded.path.is_some() {
        sinks.push(marking(Box::new(Embedded { config: embedded.clone(), place: place_of(embedded, state) }), state));
    }
    sinks
}

/// Returns the database that the config selects for tables: MySQL, or else the embedded store.
pub fn tables(config: &Config, state: &Path) -> Box<dyn Tables> {
    tables_of(config.mysql.as_ref(), &config.embedded, state)
}

pub(super) fn tables_of(mysql: Option<&mysql::Config>, embedded: &embedded::Config, state: &Path) -> Box<dyn Tables> {
    match mysql {
        Some(config) => Box::new(Mysql::new(config.clone())),
        None => Box::new(EmbeddedTables { place: place_of(embedded, state) }),
    }
}

/// Returns where the history of backups is kept: where tables are.
pub fn history(config: &Config, state: &Path) -> Box<dyn History> {
    match &config.mysql {
        Some(config) => Box::new(Mysql::new(config.clone())),
        None => Box::new(store_place(config, state)),
    }
}

/// Returns a sink whose late batches mark the windows of its store.
fn marking(sink: Box<dyn Sink>, state: &Path) -> Box<dyn Sink> {
    Box::new(Marking { sink, state: state.to_path_buf() })
}

/// Returns the place of the embedded store, which lies in the `state` directory unless the config names a path.
pub fn store_place(config: &Config, state: &Path) -> Place {
    place_of(&config.embedded, state)
}

fn place_of(embedded: &embedded::Config, state: &Path) -> Place {
    Place::new(embedded.path.clone().unwrap_or_else(|| state.join("gridmon.db")), state)
}

/// Whether the points go to a store that sums, as the table of queues needs it.
pub(super) fn can_be_asked(config: &Config) -> bool {
    let Selected { carbon, influxdb, qmaster, embedded } = Selected::of(config);
    let is_embedded = embedded.path.is_some() || (carbon.is_none() && influxdb.is_none() && qmaster.is_none());
    is_embedded || (influxdb.is_some() && http::AVAILABLE)
}

/// Why there is no table if the points go to others.
pub(super) const CANNOT_BE_ASKED: &str =
    "neither Carbon nor a master can be asked for sums: set [embedded] path too, or [influxdb] url";

/// Returns which role goes where, for `--check`.
pub fn roles(config: &Config) -> String {
    let mut others = Vec::new();
    others.extend(config.carbon.iter().map(|_| "carbon".to_string()));
    others.extend(config.influxdb.iter().map(|one| format!("influxdb, database {}", one.of_run())));
    others.extend(config.qmaster.iter().map(|one| format!("qmaster at {}", one.name())));
    let points = match (others.join(" and "), &config.embedded.path) {
        (others, _) if others.is_empty() => {
            "points go to the embedded store, since none of [carbon] host, [influxdb] url and [qmaster] host is set"
                .into()
        }
        (others, None) => format!("points go to {others}"),
        (others, Some(_)) => {
            format!("points go to {others} and, since [embedded] names a path, to the embedded store")
        }
    };
    let tables = match &config.mysql {
        Some(_) if !can_be_asked(config) => format!("no database, since {CANNOT_BE_ASKED}"),
        Some(mysql) => format!("mysql, database {}", mysql.database),
        None => "the embedded store".into(),
    };
    let files = config.rrd.as_ref().map(|rrd| format!("; files in rrdtool's format go to {}", rrd.directory.display()));
    format!("{points}; tables go to {tables}{}", files.unwrap_or_default())
}
