//! Points that a real InfluxDB refuses: each is named, all others are stored, and nothing else is acknowledged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gridmon::model::Point;
use gridmon::setup::Config;
use gridmon::sinks::influxdb::Influxdb as Sink;
use gridmon::sinks::{ClosedPlace, Sent, Sink as _};
use gridmon::spool::{Batch, Header};
use gridmon_testkit::Influxdb;

use super::{count, server};

/// The sink of a config whose database is `d`.
pub(super) fn sink(port: u16, more: &str) -> Sink {
    let login = format!("username = root\npassword = {}", Influxdb::PASSWORD);
    let login = if more.contains("token") { "" } else { &login };
    let text = format!("[influxdb]\nurl = http://127.0.0.1:{port}\ndatabase = d\n{login}\n{more}\n");
    let state = gridmon_testkit::TempDir::new();
    Sink::new(Config::parse(&text, "c.cfg").unwrap().0.influxdb.unwrap(), state.path())
}

pub(super) fn batch(tier: &str, lines: impl Iterator<Item = String>) -> Batch {
    let points = lines.map(|line| Point::from_line(&line).unwrap()).collect();
    let header = Header {
        program: "test".into(),
        grid: "g".into(),
        time: 0,
        tier: tier.into(),
        database: String::new(),
        sinks: BTreeSet::new(),
    };
    Batch { header, points }
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The values of the tag `a` of the refused points, with a reason.
fn refused(sent: &Sent) -> (Vec<String>, String) {
    assert!(sent.result.is_ok(), "{:?}", sent.result);
    let mut names: Vec<_> = sent.refused.iter().map(|(point, _)| point.tag("a").unwrap().to_string()).collect();
    names.sort();
    (names, sent.refused.first().map(|(_, why)| why.clone()).unwrap_or_default())
}

#[test]
fn the_refused_points_are_named_and_the_rest_is_stored() {
    let Some(influxdb) = server("the_refused_points_are_named_and_the_rest_is_stored", &[]) else { return };
    let sink = sink(influxdb.port, "");
    sink.setup(soon()).unwrap();
    // Over three shards, one of which knows another type.
    let week = 7 * 86_400_000_000_000_i64;
    let now = 1_717_245_000_000_000_000_i64;
    influxdb.write("d", "10m", &format!("m v=1i {now}\n"));
    let line = |at: i64| {
        let value = if at % 100 == 7 { "1.5".to_string() } else { format!("{at}i") };
        format!("m,a=p{at:04} v={value} {}", now + at % 3 * week)
    };
    let sent = sink.send(&batch("raw", (0..2000).map(line)), soon());
    let (names, why) = refused(&sent);
    // Where nobody had written the field, the first one to come gave it its type.
    let others = count(&influxdb, "SELECT count(v) FROM d.\"10m\".m WHERE a != ''");
    assert_eq!(names.len() as i64 + others, 2000);
    assert!(why.starts_with("field type conflict: input field \"v\" on measurement \"m\" is type "), "{why}");
    for name in &names {
        assert_eq!(count(&influxdb, &format!("SELECT count(v) FROM d.\"10m\".m WHERE a = '{name}'")), 0, "{name}");
    }

    influxdb.query("ALTER RETENTION POLICY \"1h\" ON d DURATION 2h SHARD DURATION 1h");
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    let old =
        |at: i64| format!("r,a=p{at:04} v=1i {}", if at % 50 == 3 { 1_717_245_000_000_000_000 + at } else { now + at });
    let sent = sink.send(&batch("1h", (0..500).map(old)), soon());
    let (names, why) = refused(&sent);
    let expected: Vec<_> = (0..500).filter(|at| at % 50 == 3).map(|at| format!("p{at:04}")).collect();
    assert_eq!((names, why.as_str()), (expected, "points beyond retention policy"));
    assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"1h\".r"), 490);
    // All of them, in one request.
    let before = influxdb.logs().matches("POST /write").count();
    let sent = sink.send(&batch("1h", (0..5000).map(|at| format!("r,a=q{at:04} v=1i {at}"))), soon());
    assert_eq!(refused(&sent).0.len(), 5000);
    assert_eq!(influxdb.logs().matches("POST /write").count() - before, 1);
    // What no version can store, between others.
    let odd = ["n,a=ok v=1i 5", "n,a=bad,time=b v=1i 5", "n,a=late v=1i 9223372036854775807", "n,a=fine v=2i 6"];
    let sent = sink.send(&batch("raw", odd.iter().map(|line| (*line).into())), soon());
    assert_eq!(refused(&sent).0, ["bad", "late"]);
    assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"10m\".n"), 2);
}

#[test]
fn a_body_that_is_too_large_is_sent_in_parts() {
    let settings = [("http.max-body-size", "2000")];
    let Some(influxdb) = server("a_body_that_is_too_large_is_sent_in_parts", &settings) else { return };
    let sink = sink(influxdb.port, "");
    sink.setup(soon()).unwrap();
    let many = |count: i64| batch("raw", (0..count).map(|at| format!("m,a=p{} v={at}i {at}", at * 7919)));
    let sent = sink.send(&many(20_000), soon());
    assert!(sent.result.is_ok() && sent.refused.is_empty(), "{:?}", sent.result);
    assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"10m\".m"), 20_000);
}

#[test]
fn a_batch_goes_where_its_header_says_and_no_time_is_no_answer() {
    let Some(influxdb) = server("a_batch_goes_where_its_header_says_and_no_time_is_no_answer", &[]) else { return };
    let sink = sink(influxdb.port, "timeout_seconds = 1");
    sink.setup(soon()).unwrap();
    influxdb.query("CREATE DATABASE e WITH NAME \"1d\"");
    let mut batch = batch("1d", std::iter::once("m v=1i 5".into()));
    batch.header.database = "e".into();
    assert!(sink.send(&batch, soon()).result.is_ok());
    assert_eq!(count(&influxdb, "SELECT count(v) FROM e.\"1d\".m"), 1);
    batch.header.database = "nosuch".into();
    let error = sink.send(&batch, soon()).result.unwrap_err();
    assert!(error.is::<ClosedPlace>(), "{error:#}");
    let error = format!("{:#}", sink.send(&batch, Instant::now()).result.unwrap_err());
    assert!(error.ends_with("has no time left for another request"), "{error}");
}

/// A limit of the server is no fault of the points: an operator can raise it, and then they are stored.
#[test]
fn points_beyond_a_limit_of_the_server_wait_and_the_others_are_stored() {
    let name = "points_beyond_a_limit_of_the_server_wait_and_the_others_are_stored";
    for (setting, limit) in [
        ("data.max-series-per-database", "max-series-per-database limit exceeded: (8)"),
        ("data.max-values-per-tag", r#"max-values-per-tag limit exceeded (8/8): measurement="m" tag="a""#),
    ] {
        let Some(influxdb) = server(name, &[(setting, "8")]) else { return };
        let sink = sink(influxdb.port, "");
        sink.setup(soon()).unwrap();
        let points = |series: i64, time: i64| (0..series).map(move |at| format!("m,a=p{at} v={at}i {time}"));
        let sent = sink.send(&batch("raw", points(8, 1)), soon());
        assert!(sent.result.is_ok() && sent.refused.is_empty(), "{:?}", sent.result);
        let sent = sink.send(&batch("raw", points(12, 2)), soon());
        let error = sent.result.unwrap_err();
        assert!(error.is::<ClosedPlace>() && sent.refused.is_empty(), "{error:#}");
        let words = format!(
            "InfluxDB at http://127.0.0.1:{}/: {limit}; it takes no new series: raise that limit",
            influxdb.port
        );
        assert!(format!("{error:#}").starts_with(&words), "{error:#}");
        assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"10m\".m WHERE time = 2"), 8, "those that it knows");
        // The operator makes room.
        influxdb.query("DROP DATABASE d");
        sink.setup(soon()).unwrap();
        let sent = sink.send(&batch("raw", points(12, 2).skip(6)), soon());
        assert!(sent.result.is_ok() && sent.refused.is_empty(), "{:?}", sent.result);
        assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"10m\".m WHERE time = 2"), 6);
    }
}

/// InfluxDB repeats each line that it cannot read, in the body and in a header.
#[test]
fn an_error_of_more_than_a_megabyte_costs_the_bad_lines_alone() {
    let Some(influxdb) = server("an_error_of_more_than_a_megabyte_costs_the_bad_lines_alone", &[]) else { return };
    let sink = sink(influxdb.port, "");
    sink.setup(soon()).unwrap();
    let long = "x".repeat(400);
    let line = |at: i64| match at % 5 {
        0 => format!("n,a=ok{at} v=1i 5"),
        _ => format!("n,a=bad{at},b={long} v=1i 9223372036854775807"),
    };
    let before = influxdb.logs().matches("POST /write").count();
    let sent = sink.send(&batch("raw", (0..5_000).map(line)), soon());
    let requests = influxdb.logs().matches("POST /write").count() - before;
    let (names, why) = refused(&sent);
    assert_eq!(names.len(), 4_000);
    assert!(names.iter().all(|name| name.starts_with("bad")));
    assert!(why.len() < 400 && why.starts_with("unable to parse it: "), "{why}");
    assert!(requests < 10, "{requests} requests");
    assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"10m\".n"), 1_000);
}

/// Names that differ are different series, and those that line protocol can carry come back as they were.
#[test]
fn names_that_differ_are_different_series() {
    let Some(influxdb) = server("names_that_differ_are_different_series", &[]) else { return };
    let sink = sink(influxdb.port, "");
    sink.setup(soon()).unwrap();
    // All texts of up to four characters of those that line protocol treats in a way of its own, and more.
    let alphabet = ['\\', ',', ' ', '=', '"', '\'', 'n', '\n', '\t'];
    let mut names = vec![String::new()];
    for length in 0..4 {
        let longest: Vec<_> = names.iter().filter(|name| name.chars().count() == length).cloned().collect();
        names.extend(longest.iter().flat_map(|name| alphabet.iter().map(move |c| format!("{name}{c}"))));
    }
    names.remove(0);
    let point = |(at, name): (usize, &String)| {
        let tags = [("a".into(), name.as_str()), ("b".into(), "x\\y")];
        Point::new("m".into(), tags, [("v".into(), (at as i64).into())], 5)
    };
    let mut batch = batch("raw", std::iter::empty());
    batch.points = names.iter().enumerate().map(point).collect();
    let sent = sink.send(&batch, soon());
    assert!(sent.result.is_ok() && sent.refused.is_empty(), "{:?}, {:?}", sent.result, sent.refused.first());
    assert_eq!(count(&influxdb, "SELECT count(v) FROM d.\"10m\".m"), names.len() as i64);
    let expected: Vec<_> = batch.points.iter().map(|point| (point.tag("a").unwrap().to_string(), point)).collect();
    let answer = influxdb.query("SELECT v, a, b FROM d.\"10m\".m");
    let rows = answer["results"][0]["series"][0]["values"].as_array().unwrap();
    for row in rows {
        let (at, a, b) = (row[1].as_i64().unwrap() as usize, row[2].as_str().unwrap(), row[3].as_str().unwrap());
        assert_eq!((a, b), (expected[at].0.as_str(), "x\\y"), "{:?}", names[at]);
        let is_kept = !names[at].contains(['\n', '\t']) && !names[at].ends_with('\\');
        assert_eq!(a == names[at], is_kept, "{a:?} for {:?}", names[at]);
    }
    assert_eq!(rows.len(), names.len());
}
