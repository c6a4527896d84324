//! What scm-backup-monitor knew of the newest backup of each set: in its database, or in the JSON of a node's plots.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::super::Config;
use super::super::backups::imported;
use super::older;
use crate::frame::{Older, Wanted};
use crate::model::{Name, Point, Value};
use crate::monitors::backups::hub::Hub;
use crate::monitors::backups::scm_backup::{self, MIB, NEWEST, OF_DATABASE, OF_JSON};
use crate::sources::tgzs;

/// The longest JSON that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// The beginning of an SQLite database.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Hub, node and set, with the newest backup: its time in unix seconds and its size in MiB.
type Newest = BTreeMap<[String; 3], (i64, f64)>;

/// Reads the database or the JSON of scm-backup-monitor; else as [`older`] does.
///
/// # Errors
/// As [`older`], and if the file is neither.
pub fn of_backups(config: &Config, source: &str, wanted: Wanted) -> Result<Older> {
    let path = Path::new(source);
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    if !path.is_file() || !(is_json || begins_with(path, SQLITE)?) {
        return older(config, source, wanted);
    }
    let (newest, others, notes) = match is_json {
        true => of_json(&config.backups.hubs, path)?,
        false => of_database(&config.backups.hubs, path)?,
    };
    let slot = wanted.window.from;
    let name = if is_json { OF_JSON } else { OF_DATABASE };
    let points = newest.iter().map(|(key, (time, mib))| point(name, key, Some((*time, *mib)), slot)).collect();
    // A hub of which the file has nothing is another file's.
    let is_of_file = |point: &&Point| {
        let key = |[hub, node, _]: &[String; 3]| {
            [point.tag("hub"), point.tag("node")] == [Some(hub), Some(node)].map(|it| it.map(String::as_str))
        };
        newest.keys().any(key)
    };
    let ours = wanted.ours.iter().filter(|point| point.tag("set").is_some()).filter(is_of_file);
    let ours = ours.map(|point| translated(name, point, wanted.now)).collect();
    Ok(Older { points, ours: Some(ours), others, notes, ..Older::default() })
}

fn begins_with(path: &Path, bytes: &[u8]) -> Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    fs::File::open(path)?.take(bytes.len() as u64).read_to_end(&mut head)?;
    Ok(head == bytes)
}

/// Returns a set as it is compared; without values if it has no backup.
fn point(name: &'static str, [hub, node, set]: &[String; 3], newest: Option<(i64, f64)>, slot: i64) -> Point {
    let fields = newest.map(|(time, mib)| [(NEWEST, Value::Int(time)), (MIB, Value::Float(mib))]);
    let fields = fields.into_iter().flatten().map(|(name, value)| (Name::from(name), value));
    let none = newest.is_none().then_some((Name::from("backups"), Value::Int(0)));
    let tags = [("hub", hub), ("node", node), ("set", set)].map(|(name, value)| (Name::from(name), value.as_str()));
    Point::new(name.into(), tags, fields.chain(none), slot)
}

/// Returns a point of `backup_set` in the words of the original.
fn translated(name: &'static str, of: &Point, now: i64) -> Point {
    let key = ["hub", "node", "set"].map(|name| of.tag(name).unwrap_or_default().to_string());
    let field = |name: &str| of.fields().find(|(field, _)| *field == name).map(|(_, value)| value.as_f64());
    let newest =
        field("age_seconds").zip(field("bytes")).map(|(age, bytes)| (now - age as i64, scm_backup::mebibytes(bytes)));
    point(name, &key, newest, of.time())
}

/// Reads the database, whose stamps are read with the hub's zone.
fn of_database(hubs: &[Hub], path: &Path) -> Result<(Newest, usize, Vec<String>)> {
    let (mut newest, mut others) = (Newest::new(), 0);
    for tarball in tgzs::read(path)? {
        let found: Vec<_> = hubs.iter().filter_map(|hub| imported(hub, &tarball)).collect();
        others += usize::from(found.is_empty());
        for kept in found {
            let found = newest.entry([kept.hub, kept.node, kept.set]).or_insert((i64::MIN, 0.0));
            *found = later(*found, (kept.time, (kept.bytes >> 20) as f64));
        }
    }
    Ok((newest, others, Vec::new()))
}

/// Returns the later of two backups; of those of one time the larger, as gridmon does.
fn later(one: (i64, f64), other: (i64, f64)) -> (i64, f64) {
    if (other.0, other.1) > (one.0, one.1) { other } else { one }
}

/// Options of Highcharts, as the original wrote them for each node.
#[derive(Deserialize)]
struct Chart {
    chart: Container,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Container {
    /// `container_NODE`.
    #[serde(rename = "renderTo")]
    render_to: String,
}

#[derive(Deserialize)]
struct Series {
    /// The set; `OK` for the number of tarballs of each day.
    name: String,
    /// Times in milliseconds, stamps read as if they were UTC, and sizes in MiB.
    data: Vec<(i64, f64)>,
}

/// Reads the JSON of a node, which names no hub: it is of each hub that has the node.
fn of_json(hubs: &[Hub], path: &Path) -> Result<(Newest, usize, Vec<String>)> {
    ensure!(fs::metadata(path)?.len() <= LONGEST, "is longer than {LONGEST} bytes");
    let chart: Chart = serde_json::from_slice(&fs::read(path)?)
        .context("is no JSON of scm-backup-monitor: chart.renderTo and series are missing")?;
    let node = chart.chart.render_to.strip_prefix("container_").unwrap_or(&chart.chart.render_to);
    let hubs: Vec<_> = hubs.iter().filter(|hub| hub.nodes.iter().any(|known| known == node)).collect();
    ensure!(!hubs.is_empty(), "is of the node {node}, which no hub of the config has");
    let mut newest = Newest::new();
    for Series { name, data } in chart.series.iter().filter(|series| series.name != "OK") {
        let rows = data.iter().map(|(time, mib)| (time.div_euclid(1000), *mib));
        let Some(last) = rows.reduce(later) else { continue };
        for hub in &hubs {
            newest.insert([hub.name.clone(), node.into(), name.clone()], last);
        }
    }
    Ok((newest, 0, Vec::new()))
}
