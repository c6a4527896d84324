//! A tag that only describes a series may change from run to run: the series stays the same, its value is never replaced by
//! a zero, and the newest description holds. The program is this test binary again, as a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use gridmon::frame::{self, Common, Program, Run, Setup};
use gridmon::model::{Catalog, Collected, Declaration, Field, Measurement, Tag};
use gridmon::query::{Read, Selector};
use gridmon::sinks::embedded::{self, Embedded, EmbeddedReader, Store};
use gridmon::sinks::graphite::carbon::{self, Acknowledge, Carbon};
use gridmon::sinks::graphite::receiver::Receiver;
use gridmon_testkit::sandbox::{FakeCarbon, Mood};

const IDLE: Field<i64> = Field::count("idle", "jobs", "idle jobs");

static QUEUES: Measurement = Measurement::new(Declaration {
    name: "queues",
    meaning: "made-up queues",
    tags: &[Tag::key("queue"), Tag::label("state")],
    fields: &[IDLE.info()],
    carbon: "queues.{queue}.idle",
    every: 60,
});

static MEASUREMENTS: [&Measurement; 1] = [&QUEUES];

static PROGRAM: Program = Program {
    name: "collect-queues",
    interval_seconds: 60,
    deadline_seconds: 50,
    sources: &[],
    measurements: &MEASUREMENTS,
};

const NOW: i64 = 1_717_245_000;

fn setup(folder: &Path, port: u16) -> Setup {
    let store = folder.join("gridmon.db");
    let catalog = Catalog::new(&MEASUREMENTS);
    let kept = embedded::Config { path: None, keep_raw_days: None, keep_1h_days: None, keep_1d_days: None };
    let config = carbon::Config {
        host: "127.0.0.1".into(),
        shown_host: "127.0.0.1".into(),
        port,
        acknowledge: Acknowledge::Fin,
        timeout_seconds: 10,
        graphite: None,
    };
    Setup {
        config_path: None,
        scope: "g".into(),
        deadline_seconds: None,
        interval_seconds: None,
        state_directory: Some(folder.join("state")),
        spool: crate::SPOOL,
        catalog,
        database: String::new(),
        roles: String::new(),
        mail: None,
        tables: None,
        sinks: Box::new(move |state| {
            vec![
                Box::new(Embedded { config: kept.clone(), place: store.clone().into() }),
                Box::new(Carbon { config: config.clone(), catalog, receiver: Receiver::new(&config, state) }),
            ]
        }),
    }
}

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// Not a test: the process that the test starts.
#[test]
fn the_collector_itself() {
    let Ok(asked) = std::env::var("GRIDMON_TEST_QUEUES") else { return };
    let [now, state, port, folder] = asked.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{asked}") };
    let collect = |run: &Run<()>| Collected {
        points: if state == "gone" { vec![] } else { vec![QUEUES.point(run.time, ["long", state], &[IDLE.of(42)])] },
        complete: vec![&QUEUES],
        ..Collected::default()
    };
    let common = Args::parse_from(["collect-queues", "--now", now]).common;
    let load = |_: Option<&Path>, _: &Program| Ok(((), setup(Path::new(folder), port.parse().unwrap())));
    let code = frame::cron(&PROGRAM, &common, load, collect, |_, _| vec![]);
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

#[test]
fn a_state_that_changes_sends_the_value_and_no_zero_and_stays_one_series() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("labels-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("state")).unwrap();
    let sink = FakeCarbon::start(Mood::Good);
    for (minute, state) in [(0, "offline"), (1, "online"), (2, "gone")] {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "labels::the_collector_itself"])
            .env("GRIDMON_TEST_QUEUES", format!("{} {state} {} {}", NOW + minute * 60, sink.port, folder.display()))
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{state}");
    }
    let of_queues = |line: &&String| line.starts_with("queues.");
    let mut sent: Vec<_> = sink.lines().iter().map(ToString::to_string).collect::<Vec<_>>();
    sent.sort();
    let sent: Vec<_> = sent.iter().filter(of_queues).collect();
    // 42 while it is there, whatever its state; one zero when it is gone.
    assert_eq!(
        sent,
        [
            &format!("queues.long.idle 0 {}", NOW + 120),
            &format!("queues.long.idle 42 {NOW}"),
            &format!("queues.long.idle 42 {}", NOW + 60)
        ]
    );

    let path = folder.join("gridmon.db");
    let store = Store::open_to_read(&path).unwrap().unwrap();
    let series = store.find(&Selector::measurement("queues")).unwrap();
    assert_eq!(series.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["queues,queue=long"]);
    let latest = EmbeddedReader::new(path).latest(&MEASUREMENTS, NOW).unwrap().values;
    assert_eq!((latest.len(), latest[0].value.as_f64(), latest[0].series.tag("state")), (1, 0.0, Some("online")));
    fs::remove_dir_all(&folder).unwrap();
}
