//! Old agents: the genuine bytes of QULo 1.10.0, in every fragmentation.

use std::io::Write;
use std::thread;
use std::time::Duration;

use gridmon_testkit::sandbox::{FakeCarbon, Mood, fixture};

use super::{Master, carbon_section, wait_for};

/// The values that the original's master sent to Carbon for a stream, but for lists, dicts and texts, which Carbon dropped.
fn original(prefix: &str) -> Vec<String> {
    let text = std::fs::read_to_string(fixture("qulo/lines.txt")).unwrap();
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| line.starts_with(prefix)) {
        let (path, rest) = line.split_once(' ').unwrap();
        let (value, time) = rest.rsplit_once(' ').unwrap();
        let value = match value {
            "True" => 1.0,
            "False" => 0.0,
            value => match value.parse::<f64>() {
                Ok(value) => value,
                Err(_) => continue,
            },
        };
        let time = time.parse::<f64>().unwrap() as i64;
        lines.push(format!("{path} {value:?} {time}"));
    }
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn genuine_streams_in_any_fragmentation_give_the_originals_values() {
    for (stream, prefix, parts) in [
        ("stream_20.bin", "node01.", vec![usize::MAX]),
        ("stream_20.bin", "node01.", vec![1]),
        ("rich/stream_19.bin", "node02.", vec![8192]),
        ("rich/stream_19.bin", "node02.", vec![7, 1, 1000, 3]),
    ] {
        let carbon = FakeCarbon::start(Mood::Good);
        let master = Master::start(&carbon_section(&carbon));
        let bytes = std::fs::read(fixture(&format!("qulo/{stream}"))).unwrap();
        let mut agent = master.connect();
        agent.set_nodelay(true).unwrap();
        let (mut rest, mut at) = (bytes.as_slice(), 0);
        while !rest.is_empty() {
            let (part, after) = rest.split_at(parts[at % parts.len()].min(rest.len()));
            agent.write_all(part).unwrap();
            (rest, at) = (after, at + 1);
            if parts.len() > 1 && at.is_multiple_of(10) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let expected = original(prefix);
        assert!(expected.len() > 60, "{} values", expected.len());
        wait_for(&carbon, &expected.iter().map(String::as_str).collect::<Vec<_>>());
        let mut there: Vec<_> = carbon.lines().into_iter().filter(|line| line.starts_with(prefix)).collect();
        there.dedup();
        assert_eq!(there, expected, "{stream} in parts of {parts:?}");
    }
}

#[test]
fn ten_thousand_messages_back_to_back_are_ten_thousand() {
    let carbon = FakeCarbon::start(Mood::Good);
    let master = Master::start(&carbon_section(&carbon));
    let bytes = std::fs::read(fixture("qulo/proto3/stream_20.bin")).unwrap();
    let mut agent = master.connect();
    agent.write_all(&bytes).unwrap();
    let name = "qmaster_points_total{from=\"qulo\"}";
    let one = gridmon_testkit::wait_until("the first round", super::LIMIT, || {
        Some(master.metric(name)).filter(|count| *count > 60)
    });
    for _ in 1..500 {
        agent.write_all(&bytes).unwrap();
    }
    drop(agent);
    master.wait_for_metric(name, 500 * one);
}
