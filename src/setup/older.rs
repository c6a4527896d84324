//! The points that an older system wrote, for `--compare`.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result, bail, ensure};

use super::{CATALOG, Config};
use crate::frame::{Older, Wanted};
use crate::model::Point;
use crate::os::http::{self, Url};
use crate::query::{Scan, Selector};
use crate::sinks::influxdb::{self, InfluxReader};
use crate::text::quote;

/// Reads the wanted points of `source`: an InfluxDB if it is an address, else a file of line protocol.
///
/// # Errors
/// Fails if the file cannot be read or has a line that is none, and if the address names no database or InfluxDB does not
/// answer.
pub fn older(config: &Config, source: &str, wanted: Wanted) -> Result<Older> {
    let is_address = ["http://", "https://"].iter().any(|scheme| source.starts_with(scheme));
    if is_address { of_influxdb(config, source, wanted) } else { of_file(source, wanted) }
}

fn of_file(path: &str, Wanted { program, window, .. }: Wanted) -> Result<Older> {
    let file = File::open(path).context("cannot be read; give a file of line protocol, or http://HOST:8086?db=NAME")?;
    let mut older = Older::default();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("line {}", at + 1))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split([',', ' ']).next().unwrap_or_default();
        if !program.measurements.iter().any(|measurement| measurement.name == name) {
            continue;
        }
        let mut point = Point::from_line(line).with_context(|| format!("line {}", at + 1))?;
        CATALOG.declare(&mut point);
        if window.contains(point.time()) {
            older.points.push(point);
        } else {
            older.others += 1;
        }
    }
    Ok(older)
}

fn of_influxdb(config: &Config, address: &str, wanted: Wanted) -> Result<Older> {
    ensure!(http::AVAILABLE, "this build has no HTTP");
    let mut url = Url::parse(address).context("is not an address")?;
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "the login belongs into [influxdb] of the config, not into an address"
    );
    let (mut database, mut policy) = (None, None);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "db" if !value.is_empty() => database = Some(value.into_owned()),
            "rp" if !value.is_empty() => policy = Some(value.into_owned()),
            _ => bail!("{} is not db=NAME or rp=POLICY", quote(&format!("{name}={value}"))),
        }
    }
    let database = database.context("names no database: add ?db=NAME")?;
    url.set_query(None);
    let config = influxdb::Config::elsewhere(config.influxdb.as_ref(), url, database, policy);
    let reader = InfluxReader::new(&config, CATALOG)?.until(wanted.until);
    let mut older = Older::default();
    for measurement in wanted.program.measurements {
        let mut take = |point| {
            older.points.push(point);
            Ok(())
        };
        reader.each(&Selector::measurement(measurement.name), wanted.window, wanted.tier, &mut take)?;
    }
    Ok(older)
}
