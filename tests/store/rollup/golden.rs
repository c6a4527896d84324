//! What QMonit's downsample.py wrote for inputs that are known: the same where it was right, and the bug where it was not.

use std::collections::BTreeMap;

use gridmon::model::{Point, SECOND, Tier, Value, Window};
use gridmon::monitors::panda::TABLE;
use gridmon::rollup::{Begins, Coverage, DAY, HOUR, WindowFold, source};
use gridmon::setup::CATALOG;
use gridmon::setup::queue_table::{Known, rows_at};
use gridmon::sinks::embedded::EmbeddedReader;
use gridmon::sources::panda::Statistics;

use super::histories::World;
use super::points::measurement;
use super::recorded::{given, read};

/// 2024-06-01 00:00:00 UTC.
const D: i64 = 1_717_200_000 * SECOND;

/// The folded points of a window by series, without what only ours have.
fn folded(tier: Tier, window: Window, points: &[Point]) -> BTreeMap<String, String> {
    let (finer, times) = source(tier, window);
    let begins = Begins::default();
    let mut coverage = Coverage::new(&begins);
    let inside: Vec<_> = points.iter().filter(|point| times.contains(point.time())).collect();
    for point in &inside {
        match finer {
            Tier::Raw => coverage.assume(measurement("jobs"), point, point.time(), "atlas"),
            _ => coverage.assume_hour(measurement("jobs"), point, point.time(), "atlas"),
        }
    }
    let mut fold = WindowFold::new(tier, measurement("jobs"), &coverage);
    inside.iter().for_each(|point| fold.add(point));
    fold.finish(window.to).iter().map(|folded| line(&folded.point)).collect()
}

/// A point as its series, and its other tags, fields and time.
fn line(point: &Point) -> (String, String) {
    let fields = point.fields().filter(|(name, _)| !["jobs_sum", "slots"].contains(name));
    let fields: Vec<_> = fields.map(|(name, value)| format!("{name}={value}")).collect();
    (point.series().into(), format!("{} {} {}", point.labels_text(), fields.join(","), point.time()))
}

/// Compares with what the original wrote: each series that differs, with its `jobs`, ours and theirs.
fn differences(tier: Tier, window: Window, input: &str, output: &str) -> Vec<String> {
    let finer = source(tier, window).0;
    let ours = folded(tier, window, &given(input, finer));
    let text = read(output);
    let theirs: BTreeMap<_, _> = text
        .lines()
        .map(|line_| {
            let mut point = Point::from_line(line_).unwrap();
            CATALOG.declare(&mut point);
            line(&point)
        })
        .collect();
    let jobs = |line: Option<&String>| match line {
        None => "nothing".to_string(),
        Some(line) => line.split("jobs=").nth(1).unwrap().split([',', ' ']).next().unwrap().to_string(),
    };
    let series: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut differences = Vec::new();
    for series in series.into_iter().filter(|series| ours.get(*series) != theirs.get(*series)) {
        let tags: Vec<_> = series.split(',').skip(1).map(|tag| tag.split('=').nth(1).unwrap()).collect();
        let [status, _, source, resource] = tags.as_slice() else { panic!("{series}") };
        differences.push(format!(
            "{source} {resource} {status}: {}, not {}",
            jobs(ours.get(series)),
            jobs(theirs.get(series))
        ));
    }
    differences
}

#[test]
fn an_hour_is_that_of_the_original_but_for_its_bugs() {
    let window = Window { from: D + 12 * HOUR, to: D + 13 * HOUR };
    let found = differences(Tier::Hour, window, "downsample_1h.json", "downsample_1h.lp");
    let bugs = [
        // The hour's value is that of the newest six values: 12:20 to 13:10 in the run of 13:15.
        "managed MCORE failed: 39.0, not 51.0",
        "managed MCORE running: 106.5, not 108.5",
        // After a gap the newest six values reach back into the hour before. Here the hour has two, and zeros.
        "managed MCORE transferring: 15.0, not 58.33",
        "user SCORE finished: 2.0, not 6.0",
        // What was last seen before the hour is its value.
        "managed SCORE closed: nothing, not 0.0",
        "user SCORE activated: nothing, not 7.0",
        // A slot without the series is left out, not zero.
        "user MCORE running: 6.67, not 10.0",
        // The tags are those of a point after the hour.
        "user SCORE running: 5.0, not 5.0",
    ];
    let mut bugs = bugs.map(String::from).to_vec();
    bugs.sort();
    let mut found = found;
    found.sort();
    assert_eq!(found, bugs);
}

#[test]
fn a_day_is_that_of_the_original_but_for_its_bugs() {
    let window = Window { from: D, to: D + DAY };
    let found = differences(Tier::Day, window, "downsample_1d.json", "downsample_1d.lp");
    // The newest 24 values, which reach back into the day before where some are missing; a missing one is not zero.
    assert_eq!(found, ["user SCORE running: 17.75, not 26.5"]);
}

#[test]
fn half_an_hour_of_which_nothing_is_known_is_no_time_of_the_hour_before() {
    let all = given("downsample_1h.json", Tier::Raw);
    let dark = Window { from: D + 12 * HOUR + HOUR / 2, to: D + 13 * HOUR };
    let window = Window { from: D + 12 * HOUR, to: D + 13 * HOUR };
    let finished = |point: &&Point| point.tag("job_status") == Some("finished");
    let sixty = |point: &Point| point.at(point.time(), [("jobs".into(), Value::Int(60))]);
    let points: Vec<_> = all.iter().filter(finished).map(sixty).collect();
    // Three slots of 60 each.
    let mut points: Vec<_> = points.into_iter().filter(|point| !dark.contains(point.time())).collect();
    let third = points.iter().find(|point| point.time() / HOUR == (D + 12 * HOUR) / HOUR).unwrap();
    let third = third.at(D + 12 * HOUR + 1200 * SECOND + third.time() % SECOND, [("jobs".into(), Value::Int(60))]);
    points.push(third);
    points.sort_by_key(Point::time);
    let folded = folded(Tier::Hour, window, &points);
    assert!(folded.values().all(|line| line.contains("jobs=180.0 ")), "180, not 360: {folded:?}");
}

/// QMonit's own numbers of a queue now, and its averages of up to a day; those of 7 and 30 days it made of its days.
#[test]
fn the_averages_of_a_table_are_those_of_the_original_but_for_its_bugs() {
    let points = given("derived.json", Tier::Raw);
    let newest = D + 12 * HOUR + HOUR / 2;
    let world = World::new("derived");
    let covered = |slot: i64| {
        let values = [("slots".into(), Value::Int(1)), ("step_seconds".into(), Value::Int(600))];
        let tags = [("grid".into(), "a"), ("measurement".into(), "jobs")];
        Point::new("coverage".into(), tags, values, newest - slot * HOUR / 6)
    };
    world.deliver(&points.iter().cloned().chain((0..144).map(covered)).collect::<Vec<_>>());
    let panda = Statistics { groups: Vec::new(), odd: Vec::new() };
    let known = Known { panda: &panda, queues: &[], datadisks: &[] };
    let rows = rows_at(&EmbeddedReader::new(world.place()), newest / SECOND, &known).unwrap();
    let of = |key: &[&str]| rows.iter().find(|row| (0..3).all(|at| row[at].as_text() == Some(key[at])));
    let (mut same, mut differences) = (0, Vec::new());
    for line in read("derived.sql").lines().filter(|line| line.starts_with("INSERT")) {
        let (key, values) = line.trim_end_matches(';').split_once(" ON DUPLICATE KEY UPDATE ").unwrap();
        let key: Vec<&str> = key.split('"').skip(1).step_by(2).collect();
        let row = of(&key).unwrap();
        for (column, theirs) in values.split(", ").map(|pair| pair.split_once('=').unwrap()) {
            let (ours, theirs) = (TABLE.cell(row, column).as_f64(), theirs.parse::<f64>().unwrap());
            if ours.is_some_and(|ours| (ours - theirs).abs() < 0.006) {
                same += 1;
            } else if !column.contains("7d") && !column.contains("30d") {
                let ours = ours.map_or("nothing".into(), |ours| format!("{ours:.2}"));
                differences.push(format!("{} {column}: {ours}, not {theirs}", key[1..].join(" ")));
            }
        }
    }
    // A queue that ran 50 jobs in one slot of the newest hour, and in twelve of the day before: the original takes the newest values,
    // however old they are, and a slot without one is no zero.
    let bugs = [("1h", 50.0 / 6.0), ("6h", 50.0 / 36.0), ("12h", 50.0 / 72.0), ("24h", 13.0 * 50.0 / 144.0)];
    let bugs = bugs.map(|(window, ours)| format!("user SCORE avg{window}_running_jobs: {ours:.2}, not 50"));
    differences.sort();
    let mut bugs = bugs.to_vec();
    bugs.sort();
    assert_eq!((same, differences), (22, bugs));
    // It adds the row of a queue up to a day later.
    assert!(of(&["NEW_QUEUE", "managed", "SCORE"]).is_some() && of(&["VANISHED", "user", "SCORE"]).is_none());
}
