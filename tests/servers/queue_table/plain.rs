//! The table by a plain computation over all points of InfluxDB: a loop over slots and hours for each cell, as the rules are
//! written. Hours that the program has folded are reckoned anew of the raw points, and the score by its written definition.

use std::collections::{BTreeMap, BTreeSet};

use gridmon::model::{Cell, Row};
use gridmon::monitors::panda::TABLE;
use gridmon_testkit::Influxdb;

use super::site::{SLOT, record};

/// A point of `jobs`.
pub struct Stored {
    key: [String; 4],
    /// All tags, as they stand in the series key.
    tags: String,
    time: i64,
    jobs: f64,
    sequence: Option<f64>,
    sum: Option<f64>,
    slots: Option<f64>,
}

/// All points: raw, hourly, raw coverage by slot, hourly coverage by label.
pub struct AllPoints {
    raw: Vec<Stored>,
    hours: Vec<Stored>,
    covered: BTreeSet<i64>,
    hour_covered: BTreeMap<i64, i64>,
}

pub fn points_of(influxdb: &Influxdb) -> AllPoints {
    let coverage = |policy: &str| {
        let query = format!("SELECT slots FROM monit_jobs.\"{policy}\".coverage WHERE \"measurement\" = 'jobs'");
        let rows = influxdb.rows(&query);
        rows.iter().map(|row| (row[0].as_i64().unwrap() / 1_000_000_000, row[1].as_i64().unwrap())).collect::<Vec<_>>()
    };
    AllPoints {
        raw: jobs(influxdb, "10m"),
        hours: jobs(influxdb, "1h"),
        covered: coverage("10m").into_iter().map(|(time, _)| time).collect(),
        hour_covered: coverage("1h").into_iter().collect(),
    }
}

fn jobs(influxdb: &Influxdb, policy: &str) -> Vec<Stored> {
    let answer = influxdb.query(&format!("SELECT * FROM monit_jobs.\"{policy}\".jobs GROUP BY *"));
    let mut points = Vec::new();
    for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
        let tag = |name: &str| series["tags"][name].as_str().unwrap_or_default().to_string();
        let columns = series["columns"].as_array().unwrap();
        let at = |name: &str| columns.iter().position(|column| column == name);
        let tags = series["tags"].as_object().unwrap();
        let tags: String = tags
            .iter()
            .filter(|(_, value)| **value != "")
            .map(|(name, value)| format!(",{name}={}", value.as_str().unwrap()))
            .collect();
        for row in series["values"].as_array().unwrap() {
            let field = |name: &str| row[at(name)?].as_f64();
            let Some(jobs) = field("jobs") else { continue };
            points.push(Stored {
                key: ["panda_queue", "prod_source", "resource", "job_status"].map(tag),
                tags: tags.clone(),
                time: row[0].as_i64().unwrap() / 1_000_000_000,
                jobs,
                sequence: field("sequence"),
                sum: field("jobs_sum"),
                slots: field("slots"),
            });
        }
    }
    points
}

/// The sum and the slots of each series in hours, by label.
type Hours<'a> = BTreeMap<(&'a [String; 4], i64), (f64, f64)>;

/// The whole table at a slot, after hours with labels up to `folded` were folded.
pub fn expected(points: &AllPoints, slot: i64, odd: &[[String; 4]], folded: i64) -> Vec<Row> {
    const DAY: i64 = 86_400;
    let oldest = slot - 30 * DAY;
    let mut rows = BTreeSet::new();
    for point in points.raw.iter().chain(&points.hours) {
        let of = point.time / SLOT * SLOT;
        if of > oldest && of <= slot {
            let [queue, source, resource, _] = point.key.clone();
            rows.insert([queue, source, resource]);
        }
    }
    // The winner of each slot and series, and each hour's points.
    let mut slots = BTreeMap::<(&[String; 4], i64), &Stored>::new();
    let mut any = BTreeSet::new();
    for point in &points.raw {
        any.insert(point.time / SLOT * SLOT);
        let kept = slots.entry((&point.key, point.time / SLOT * SLOT)).or_insert(point);
        let rank = |point: &Stored| (point.sequence.unwrap_or(-1.0) as i64, point.tags.clone());
        if rank(point) > rank(kept) {
            *kept = point;
        }
    }
    let first = points.covered.first().copied().unwrap_or(i64::MAX);
    let is_covered = |slot: i64| points.covered.contains(&slot) || slot < first && any.contains(&slot);
    let mut hours = Hours::new();
    let mut any_hour = BTreeSet::new();
    let first_hour = points.hour_covered.first_key_value().map_or(i64::MAX, |(label, _)| *label);
    for point in &points.hours {
        let label = point.time / 3600 * 3600;
        any_hour.insert(label);
        let is_event = point.key[3] == "failed" || point.key[3] == "finished";
        let old = (if is_event { point.jobs } else { 6.0 * point.jobs }, 6.0);
        let of = if label < first_hour { old } else { (point.sum.unwrap(), point.slots.unwrap()) };
        let kept = hours.entry((&point.key, label)).or_default();
        *kept = (kept.0 + of.0, kept.1 + of.1);
    }
    let is_folded = |label: i64| label > first && label <= folded;
    let stored: Hours = hours.iter().filter(|((_, label), _)| is_folded(*label)).map(|(key, of)| (*key, *of)).collect();
    let reckoned: Hours = fold(&slots, &is_covered).into_iter().filter(|((_, label), _)| is_folded(*label)).collect();
    assert_eq!(stored, reckoned, "the folded hours");
    let folded_hours = reckoned.keys().map(|(_, label)| label).collect::<BTreeSet<_>>().len();
    assert!(folded == 0 || folded_hours > 20, "{folded_hours} hours are folded");
    for label in points.hour_covered.keys().filter(|label| is_folded(**label)) {
        let covered = (1..=6).filter(|back| is_covered(label - back * SLOT)).count() as i64;
        assert_eq!(points.hour_covered[label], covered, "the coverage of the hour up to {label}");
    }
    hours.extend(reckoned);
    let newest_hour = points.hour_covered.keys().copied().filter(|label| *label <= slot).max();
    let recent = |key: &[String; 4], count: i64| {
        let (mut sum, mut number) = (0.0, 0.0);
        for of in (0..count).map(|back| slot - back * SLOT) {
            let own = slots.get(&(key, of));
            sum += own.map_or(0.0, |point| point.jobs);
            number += f64::from(is_covered(of) || own.is_some());
        }
        rounded(sum, number)
    };
    let long = |key: &[String; 4], days: i64| {
        let (mut sum, mut number) = (0.0, 0.0);
        for label in (0..days * 24).filter_map(|back| Some(newest_hour? - back * 3600)) {
            let own = hours.get(&(key, label)).filter(|own| own.1 > 0.0);
            sum += own.map_or(0.0, |own| own.0);
            let of_all = match points.hour_covered.get(&label) {
                Some(slots) => *slots as f64,
                None if label < first_hour && any_hour.contains(&label) => 6.0,
                None => 0.0,
            };
            number += if label < first_hour { of_all } else { own.map_or(of_all, |own| own.1) };
        }
        rounded(sum, number)
    };
    rows.into_iter()
        .map(|[queue, source, resource]| {
            let key = |status: &str| [queue.clone(), source.clone(), resource.clone(), status.to_string()];
            let mut row: Row = [&queue, &source, &resource].map(|text| Cell::Text(text.clone())).into();
            describe(&queue, &resource, slot, &mut row);
            for column in &TABLE.columns[15..31] {
                let key = key(column.name.strip_suffix("_jobs").unwrap());
                let jobs = slots.get(&(&key, slot)).map_or(0, |point| point.jobs as i64);
                row.push(if odd.contains(&key) { Cell::Null } else { Cell::Int(jobs) });
            }
            for status in ["assigned", "activated", "failed", "running"] {
                let key = key(status);
                let of_slots = [6, 36, 72, 144].map(|count| recent(&key, count));
                row.extend(of_slots.into_iter().chain([7, 30].map(|days| long(&key, days))));
            }
            row.push(score(&row));
            row.push(Cell::Int(slot));
            row
        })
        .collect()
}

/// The hours of the winners of slots: the sum of each series, over the covered slots and those in which it has a point.
fn fold<'a>(slots: &BTreeMap<(&'a [String; 4], i64), &Stored>, is_covered: &dyn Fn(i64) -> bool) -> Hours<'a> {
    let mut hours = Hours::new();
    for ((key, slot), point) in slots {
        let label = slot / 3600 * 3600 + 3600;
        let of = hours
            .entry((*key, label))
            .or_insert_with(|| (0.0, (1..=6).filter(|back| is_covered(label - back * SLOT)).count() as f64));
        *of = (of.0 + point.jobs, of.1 + f64::from(!is_covered(*slot)));
    }
    hours
}

/// The score as docs/collect-panda.md defines it.
fn score(row: &Row) -> Cell {
    let of = |column: String| row[TABLE.at(&column).unwrap()].as_f64();
    let count = |status: &str| of(format!("{status}_jobs"));
    let average = |window: &str, status: &str| of(format!("avg{window}_{status}_jobs"));
    // How many standard deviations x lies beyond m.
    let beyond = |x: f64, m: f64| match x {
        0.0 => (2.0 * m).sqrt(),
        _ => (2.0 * (m - x + x * (x / m).ln())).sqrt(),
    };
    let largest = |parts: Vec<f64>| parts.into_iter().reduce(f64::max);
    let running = count("running").and_then(|x| {
        let usual = [
            average("1h", "running").map(|a| 0.8 * (6.0 * a - x) / 5.0),
            average("6h", "running").map(|a| 0.65 * a),
            average("24h", "running").map(|a| 0.55 * a),
        ];
        largest(usual.into_iter().flatten().map(|m| if x < m { beyond(x, m) } else { 0.0 }).collect())
    });
    let risen = |status: &str| {
        let x = count(status)?;
        let usual = ["6h", "24h"].into_iter().filter_map(|window| Some(2.0 * average(window, status)? + 3.0));
        largest(usual.map(|m| if x > m { beyond(x, m) } else { 0.0 }).collect())
    };
    let (failed, activated) = (risen("failed"), risen("activated"));
    if running.is_none() && failed.is_none() {
        return Cell::Null;
    }
    let sum = running.unwrap_or(0.0) + failed.unwrap_or(0.0) + activated.unwrap_or(0.0).min(1.0);
    Cell::Real((sum * 100.0).round() / 100.0)
}

fn rounded(sum: f64, number: f64) -> Cell {
    if number == 0.0 { Cell::Null } else { Cell::Real(((200.0 * sum + number) / (2.0 * number)).floor() / 100.0) }
}

/// What CRIC and Grafana say of a queue.
fn describe(queue: &str, resource: &str, slot: i64, row: &mut Row) {
    let text = |text: &str| Cell::Text(text.into());
    let mcore = if queue == "Q1" { 16.0 } else { 8.0 };
    let factor = Cell::Real(if resource == "MCORE" { mcore } else { 1.0 });
    if queue == "Q7" {
        row.extend(vec![Cell::Null; 7]);
        row.push(factor);
        row.extend(vec![Cell::Null; 4]);
        return;
    }
    let record = record(queue, (slot - super::START) / SLOT, 599);
    row.extend([text(&format!("SITE-{queue}")), text("unified"), text("Côte d'Ivoire"), text("US"), Cell::Null]);
    row.extend([text(record["status"].as_str().unwrap()), text("T2D"), factor, text("GRID")]);
    row.extend(match queue {
        "Q0" => [text("AGLT2_DATADISK"), Cell::Real(2864830492252718_f64 / 1e9), Cell::Int(1559635)],
        "Q1" => [text("UNKNOWN_DATADISK"), Cell::Null, Cell::Null],
        "Q2" => [text("B_DATADISK"), Cell::Real(7.5), Cell::Int(4)],
        _ => [text("NONE"), Cell::Real(0.0), Cell::Int(0)],
    });
}
