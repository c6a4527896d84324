//! The words of times against graphite-web's own parser, `attime.py`: whatever it understands means the same here.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gridmon::model::graphite_time::parse;
use gridmon_testkit::skip;

/// Saturday, 2024-06-01 12:30:45 UTC, and Monday, 2026-01-05 00:00:00 UTC.
const NOWS: [i64; 2] = [1_717_245_045, 1_767_571_200];

/// Asks it for the seconds of each line of standard input; `-` is no time.
const ASK: &str = "
import sys, pytz
from datetime import datetime
from django.conf import settings
settings.configure(TIME_ZONE='UTC')
from graphite.render.attime import parseATTime
for line in sys.stdin.read().split('\\n')[:-1]:
    now, text = line.split('\\t')
    try:
        print(int(parseATTime(text, pytz.utc, datetime.fromtimestamp(int(now), pytz.utc)).timestamp()))
    except Exception:
        print('-')
";

/// What its documentation has, and each way in which its grammar puts times of day, days and offsets together.
fn texts() -> Vec<String> {
    // 12am and 12pm, months and years mean other things there.
    let times = ["", "noon", "midnight", "teatime", "6pm", "1am", "08:00", "8:05am", "11:59pm", "04:00", "23:59"];
    let days = [
        "",
        "today",
        "yesterday",
        "tomorrow",
        "monday",
        "Tuesday",
        "wed",
        "thurs",
        "friday",
        "sat",
        "sunday",
        "january 1",
        "Jan 5",
        "feb29",
        "dec,31",
        "may_1",
        "20260101",
        "20110501",
        "05/01/11",
        "6/1/2024",
        "12/31/99",
    ];
    let offsets = ["", "-6h", "+1d", "-90min", "-1d6h", "- 2 weeks", "+30seconds", "-1d 6hours", "-3w2d1h5min10s"];
    let mut texts: Vec<_> =
        ["now", "-2d", "now-2d", "-30min", "-1hour", "1714547289", "NOW-1w", " -8d ", "-5secs", "-2hrs"]
            .map(String::from)
            .into();
    for time in times {
        for day in days {
            for between in ["", " ", "_", ","] {
                texts.extend(offsets.map(|offset| format!("{time}{between}{day}{offset}")));
            }
        }
    }
    texts
}

#[test]
fn every_time_that_graphite_web_understands_means_the_same() {
    let test = "every_time_that_graphite_web_understands_means_the_same";
    if !Path::new("/usr/lib/python3/dist-packages/graphite/render/attime.py").exists() {
        return skip(test, "graphite-web");
    }
    let asked: Vec<_> = NOWS.iter().flat_map(|now| texts().into_iter().map(|text| (*now, text))).collect();
    let lines: String = asked.iter().map(|(now, text)| format!("{now}\t{text}\n")).collect();
    let mut python = Command::new("/usr/bin/python3");
    let mut python = python.args(["-c", ASK]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    // It reads all before it answers.
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let answer = python.wait_with_output().unwrap();
    assert!(answer.status.success());
    let answers = String::from_utf8(answer.stdout).unwrap();
    let known: Vec<_> = asked.iter().zip(answers.lines()).filter(|(_, answer)| *answer != "-").collect();
    assert!(
        answers.lines().count() == asked.len() && known.len() > asked.len() / 2,
        "{} of {}",
        known.len(),
        asked.len()
    );
    for ((now, text), seconds) in known {
        match parse(text, *now) {
            Ok(time) => assert_eq!(time.to_string(), *seconds, "{text:?} at {now}"),
            Err(error) => panic!("{text:?} at {now} is {seconds}: {error:#}"),
        }
    }
}
