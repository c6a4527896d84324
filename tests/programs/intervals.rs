//! Three programs with intervals of 10 s, 300 s and a day write one measurement side by side, each the series of its own
//! host. None of them is stale, late or thinned by another.
//!
//! A program is this test binary again, as a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use gridmon::frame::{self, Common, Program, Run, Setup};
use gridmon::model::{Catalog, Collected, Declaration, Field, Fold, Measurement, Tag};
use gridmon::query::{Detail, Read, Wanted};
use gridmon::sinks::embedded::{self, Embedded, EmbeddedReader};
use gridmon::view::history::History;
use gridmon::view::page::Page;
use gridmon::view::table::{Health, sections};

const LOAD: Field<f64> = Field::gauge("load", "ratio", Fold::Mean, "a made-up load");

static HOSTS: Measurement = Measurement::new(Declaration {
    name: "hosts",
    meaning: "made-up hosts",
    tags: &[Tag::key("grid"), Tag::key("host")],
    fields: &[LOAD.info()],
    carbon: "hosts.{grid}.{host}.load",
    every: 60,
});

static MEASUREMENTS: [&Measurement; 1] = [&HOSTS];

const fn program(name: &'static str) -> Program {
    Program { name, interval_seconds: 60, deadline_seconds: 50, sources: &[], measurements: &MEASUREMENTS }
}

/// The programs, each with the host that it writes and its configured interval.
static WRITERS: [(Program, &str, i64); 3] =
    [(program("seconds"), "a", 10), (program("minutes"), "b", 300), (program("nightly"), "c", 86_400)];

/// 2024-06-01 12:30:00 UTC.
const NOW: i64 = 1_717_245_000;

fn setup(folder: &Path, interval: i64) -> Setup {
    let store = folder.join("gridmon.db");
    let config = embedded::Config { path: None, keep_raw_days: None, keep_1h_days: None, keep_1d_days: None };
    Setup {
        config_path: None,
        scope: "g".into(),
        deadline_seconds: None,
        interval_seconds: Some(interval),
        state_directory: Some(folder.join("state")),
        spool: crate::SPOOL,
        catalog: Catalog::new(&MEASUREMENTS),
        database: String::new(),
        roles: String::new(),
        mail: None,
        tables: None,
        sinks: Box::new(move |_| vec![Box::new(Embedded { config: config.clone(), place: store.clone().into() })]),
    }
}

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// Not a test: the process that the test starts.
#[test]
fn the_writer_itself() {
    let Ok(asked) = std::env::var("GRIDMON_TEST_WRITER") else { return };
    let (at, rest) = asked.split_once(' ').unwrap();
    let (now, folder) = rest.split_once(' ').unwrap();
    let (program, host, interval) = &WRITERS[at.parse::<usize>().unwrap()];
    let collect = |run: &Run<()>| Collected {
        points: vec![HOSTS.point(run.time, ["g", host], &[LOAD.of(run.time as f64 / 1e9)])],
        complete: vec![&HOSTS],
        scope: vec![("host", host.to_string())],
        ..Collected::default()
    };
    let common = Args::parse_from(["writer", "--now", now]).common;
    let code =
        frame::cron(program, &common, |_, _| Ok(((), setup(Path::new(folder), *interval))), collect, |_, _| vec![]);
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

fn write(folder: &Path, writer: usize, now: i64) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "intervals::the_writer_itself"])
        .env("GRIDMON_TEST_WRITER", format!("{writer} {now} {}", folder.display()))
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "writer {writer} at {now}");
}

#[test]
fn writers_of_ten_seconds_five_minutes_and_a_day_stand_side_by_side() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("intervals-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("state")).unwrap();
    // The night's run was at 03:00; its slot is the day.
    write(&folder, 2, NOW - 34_200);
    (-10..=0).for_each(|slot| write(&folder, 1, NOW + slot * 300));
    (-29..=0).for_each(|slot| write(&folder, 0, NOW + slot * 10));

    let reader = EmbeddedReader::new(folder.join("gridmon.db"));
    let now = NOW + 15;
    let latest = reader.latest(&MEASUREMENTS, now).unwrap().values;
    let every: Vec<_> = latest.iter().map(|one| (one.series.tag("host").unwrap().to_string(), one.every)).collect();
    assert_eq!(every, [("a".into(), 10), ("b".into(), 300), ("c".into(), 86_400)]);

    // None is stale, late or left out.
    let page = Page::of(&HOSTS);
    let all = sections(&page, latest);
    let [section] = all.as_slice() else { panic!("one section") };
    assert!(!section.is_stale(now));
    let tables = section.tables(&page, false);
    assert_eq!((tables[0].rows.len(), tables[0].left_out), (3, 0));
    for row in &tables[0].rows {
        let cell = row.cells.iter().flatten().next().unwrap();
        assert!(!cell.late && !cell.is_stale(now) && Health::of(Some(cell)) == Health::Up, "{}", row.name);
    }
    // When the most frequent one stops, the others stay as they are.
    assert!(section.is_stale(NOW + 60));
    let cells: Vec<_> = tables[0].rows.iter().map(|row| row.cells.iter().flatten().next().unwrap()).collect();
    assert_eq!(cells.iter().map(|cell| cell.is_stale(NOW + 60)).collect::<Vec<_>>(), [true, false, false]);

    // None is thinned: 30 values at 10 s are 30 values, alone and beside the others.
    let catalog = Catalog::new(&MEASUREMENTS);
    let wanted: Vec<_> =
        ["a", "b", "c"].map(|host| Wanted::new(&format!("hosts.g.{host}.load"), catalog).unwrap()).into();
    let from = NOW - 43_200 - 1800;
    let history = |wanted: &[Wanted], from: i64| {
        History::new(from, NOW + 10, 100_000, reader.range(wanted, from, NOW + 10, Detail::Points(100_000)).unwrap())
    };
    for wanted in [&wanted[..1], &wanted[..]] {
        let history = history(wanted, from);
        assert_eq!(history.step_seconds, 10);
        let recent: Vec<_> = history
            .times
            .iter()
            .zip(&history.series[0].values)
            .filter_map(|(time, value)| Some((*time, (*value)?)))
            .collect();
        let expected: Vec<_> = (-29..=0).map(|slot| (NOW + slot * 10, (NOW + slot * 10) as f64)).collect();
        assert_eq!(recent, expected);
    }
    let alone = history(&wanted[1..2], NOW - 3000);
    assert_eq!((alone.step_seconds, alone.series[0].values.iter().flatten().count()), (300, 11));
    fs::remove_dir_all(&folder).unwrap();
}
