//! Files in rrdtool's format: what the sink takes, refuses and removes, beside rrdtool itself.

mod faults;
mod graphs;
mod kills;
mod peer;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gridmon::model::{
    Catalog, Declaration, Field, FieldValue, Fold, Measurement, Point, RrdFile, RrdScale, RrdSource, SECOND, Tag,
};
use gridmon::sinks::rrd::{Config, Rrd, RrdFiles};
use gridmon::sinks::{Sent, Sink};
use gridmon::spool::{Batch, Header};
use gridmon_testkit::{TempDir, skip};

const RATIO: Field<f64> = Field::gauge("cpu_ratio", "ratio", Fold::Mean, "how busy it is");
const RX: Field<f64> = Field::gauge("net_rx_bytes_per_second", "bytes per second", Fold::Mean, "what it received");
const TX: Field<f64> = Field::gauge("net_tx_bytes_per_second", "bytes per second", Fold::Mean, "what it sent");
const STATE: Field<i64> = Field::gauge("state", "number", Fold::Last, "its state");

const fn source(name: &'static str, field: &'static str, factor: f64, most: Option<f64>) -> RrdSource {
    RrdSource { name, field, factor, most, label: "a label", colour: "#00ff00", is_area: true }
}

static FILES: [RrdFile; 2] = [
    RrdFile {
        name: "cpu",
        folder: "machine",
        sources: &[source("cpu", "cpu_ratio", 100.0, Some(100.0))],
        axis: "% cpu used",
        scale: RrdScale::To(100.0),
    },
    RrdFile {
        name: "net",
        folder: "machine",
        sources: &[
            source("rx", "net_rx_bytes_per_second", 1.0, None),
            source("tx", "net_tx_bytes_per_second", 1.0, None),
        ],
        axis: "bytes/s",
        scale: RrdScale::LogarithmicFrom(1000.0),
    },
];

/// A measurement of the tests' own.
static MACHINE: Measurement = Measurement::new(Declaration {
    name: "machine",
    meaning: "a machine",
    tags: &[Tag::key("machine")],
    fields: &[RATIO.info(), RX.info(), TX.info(), STATE.info()],
    carbon: "machines.{machine}.{field}",
    every: 300,
})
.in_rrd(&FILES);

static OTHER: Measurement = Measurement::new(Declaration {
    name: "other",
    meaning: "without a file",
    tags: &[Tag::key("machine")],
    fields: &[STATE.info()],
    carbon: "others.{machine}.{field}",
    every: 300,
});

const ALL: [&Measurement; 2] = [&MACHINE, &OTHER];
const CATALOG: Catalog = Catalog::new(&ALL);

const START: i64 = 1_717_200_000;
const DAY: i64 = 86_400;
const UUID: &str = "8d1d0b5e-6e0e-4f5e-9f0e-0a8d4b2c1f00";

fn sink(directory: &Path) -> RrdFiles {
    let config = Config { directory: directory.to_path_buf(), keep_days: Some(30) };
    RrdFiles { config, catalog: CATALOG, now: START + 400 * DAY, is_made: true }
}

fn point(machine: &str, seconds: i64, fields: &[FieldValue]) -> Point {
    MACHINE.point(seconds * SECOND, [machine], fields)
}

fn header(time: i64) -> Header {
    Header {
        program: "test".into(),
        grid: "g".into(),
        time,
        tier: "raw".into(),
        database: String::new(),
        sinks: BTreeSet::new(),
    }
}

fn send(sink: &RrdFiles, points: Vec<Point>) -> Sent {
    let header = header(points.first().map_or(START, |point| point.time() / SECOND));
    sink.send(&Batch { header, points }, Instant::now() + Duration::from_secs(20))
}

/// Sends what must be taken whole.
fn take(sink: &RrdFiles, points: Vec<Point>) {
    let sent = send(sink, points);
    sent.result.unwrap();
    assert_eq!((sent.refused, sent.dropped), (Vec::new(), Vec::new()));
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The newest rows of the finest archive, oldest first.
fn newest(path: &Path, count: usize) -> Vec<Vec<f64>> {
    let rrd = Rrd::open_to_read(path).unwrap().unwrap();
    rrd.rows(0, count).unwrap().chunks(rrd.definition.sources.len()).map(<[f64]>::to_vec).collect()
}

#[test]
fn a_series_has_a_folder_and_a_value_is_written_once() {
    let folder = TempDir::new();
    let sink = sink(&folder.path().join("rrd"));
    assert!(sink.check(soon()).unwrap().ends_with("does not exist yet; the first run makes it"));
    let at = |slot: i64, ratio: f64| point(UUID, START + 300 * slot, &[RATIO.of(ratio), RX.of(2e9), STATE.of(1)]);
    // A point of another measurement has no file, and is taken all the same.
    take(&sink, vec![at(0, 0.25), at(1, 0.5), OTHER.point(START * SECOND, [UUID], &[STATE.of(1)])]);
    let path = sink.config.directory.join(UUID).join("cpu.rrd");
    assert_eq!(newest(&path, 2), [[25.0], [50.0]]);
    let net = newest(&sink.config.directory.join(UUID).join("net.rrd"), 2);
    assert!(net.iter().all(|row| row[0] == 2e9 && row[1].is_nan()), "{net:?}");
    let before = fs::read(&path).unwrap();
    take(&sink, vec![at(1, 0.75), at(0, 1.0)]);
    assert_eq!(fs::read(&path).unwrap(), before, "a value of a time that is over was taken");
    // A state alone is no value of any file.
    take(&sink, vec![point("off", START, &[STATE.of(5)])]);
    assert!(!sink.config.directory.join("off").exists());
    assert!(sink.check(soon()).unwrap().ends_with("has 2 files"));
}

/// Its disk is not mounted: what was written then would lie below the disk.
#[test]
fn a_folder_that_is_missing_is_made_in_the_state_directory_alone() {
    let folder = TempDir::new();
    let sink = RrdFiles { is_made: false, ..sink(&folder.path().join("disk/rrd")) };
    let one = || vec![point(UUID, START, &[RATIO.of(0.5)])];
    let why = send(&sink, one()).result.unwrap_err().to_string();
    assert!(why.ends_with("disk/rrd does not exist: mount its disk; if it is new, make it with --setup"), "{why}");
    assert_eq!(sink.check(soon()).unwrap_err().to_string(), why);
    assert!(!folder.path().join("disk").exists());
    sink.setup(soon()).unwrap();
    take(&sink, one());
    assert!(sink.check(soon()).unwrap().ends_with("has 1 file"));
}

/// A clock that was wrong has left a value of next year: what comes now is refused by name, and the others go on.
#[test]
fn a_file_whose_last_value_is_still_to_come_is_named_and_holds_up_no_others() {
    let folder = TempDir::new();
    let early = RrdFiles { now: START + 600, ..sink(folder.path()) };
    let next_year = START + 365 * DAY;
    take(&early, vec![point(UUID, next_year, &[RATIO.of(0.5)]), point("other", START, &[RATIO.of(0.5)])]);
    let run =
        |slot: i64| vec![point(UUID, START + slot, &[RATIO.of(0.25)]), point("other", START + slot, &[RATIO.of(0.75)])];
    let path = folder.path().join(UUID).join("cpu.rrd");
    let fault = format!(
        "{} its last value is of 2025-06-01 00:00 UTC, which is still to come, so it takes no other until then: move it away, and \
         a new one is made",
        path.display()
    );
    for slot in [300, 600] {
        let sent = send(&early, run(slot));
        sent.result.unwrap();
        let refused: Vec<_> = sent.refused.iter().map(|(point, why)| (point.tag("machine"), why.as_str())).collect();
        assert_eq!(refused, [(Some(UUID), fault.as_str())]);
    }
    assert_eq!(newest(&folder.path().join("other/cpu.rrd"), 1), [[75.0]], "the others go on");
    let checked = format!("{:#}", early.check(soon()).unwrap_err());
    let rest = format!("; 1 other file of {} is in order", folder.path().display());
    assert!(checked.contains("is still to come") && checked.ends_with(&rest), "{checked}");
    // The way out that it names.
    fs::rename(&path, folder.path().join("aside.rrd")).unwrap();
    for slot in [300, 600] {
        take(&early, run(slot));
    }
    assert_eq!(newest(&path, 2), [[25.0], [25.0]]);
    // Two minutes are no more than clocks differ.
    let near = RrdFiles { now: START + 500, ..sink(folder.path()) };
    take(&near, run(600));
}

#[test]
fn what_cannot_be_a_folder_or_is_no_file_is_refused_and_the_rest_is_written() {
    let folder = TempDir::new();
    let sink = sink(folder.path());
    let at = |machine: &str| point(machine, START, &[RATIO.of(0.5), RX.of(1.0)]);
    fs::create_dir(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("b/cpu.rrd"), "no such file").unwrap();
    fs::create_dir(folder.path().join("c")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("c/cpu.rrd")).unwrap();
    let sent = send(&sink, ["a", "b", "c", "../d", ".e", "a/b", &"f".repeat(101)].map(at).to_vec());
    sent.result.unwrap();
    let refused: Vec<_> =
        sent.refused.iter().map(|(_, why)| why.replace(&folder.path().display().to_string(), "DIR")).collect();
    assert_eq!(
        refused,
        [
            "DIR/b/cpu.rrd is damaged (it ends after 12 bytes)".to_string(),
            "DIR/c/cpu.rrd is a symbolic link, not a regular file".into(),
            "machine \"../d\" cannot be the name of a folder".into(),
            "machine \".e\" cannot be the name of a folder".into(),
            "machine \"a/b\" cannot be the name of a folder".into(),
            format!("machine \"{}\" cannot be the name of a folder", "f".repeat(101)),
        ]
    );
    for written in ["a/cpu.rrd", "a/net.rrd", "b/net.rrd", "c/net.rrd"] {
        assert!(folder.path().join(written).exists(), "{written}");
    }
    let checked = format!("{:#}", sink.check(soon()).unwrap_err());
    assert!(
        checked.contains("b/cpu.rrd is damaged (it ends after 12 bytes); and 1 file more; 4 other files"),
        "{checked}"
    );
}

#[test]
fn a_directory_that_is_none_leaves_the_points_in_the_spool() {
    let folder = TempDir::new();
    let place = folder.path().join("file");
    fs::write(&place, "").unwrap();
    let sent = send(&sink(&place), vec![point("a", START, &[RATIO.of(0.5)]), point("b", START, &[RATIO.of(0.5)])]);
    let error = format!("{:#}", sent.result.unwrap_err());
    assert!(error.contains("file/a/cpu.rrd: ") && error.ends_with("; and 1 point more"), "{error}");
    assert!(sent.refused.is_empty());
}

#[test]
fn files_without_values_for_keep_days_go_and_nothing_else_does() {
    let folder = TempDir::new();
    let sink = sink(folder.path());
    let old = |path: &str| {
        let status = Command::new("touch").args(["-d", "2024-06-01"]).arg(folder.path().join(path)).status().unwrap();
        assert!(status.success());
    };
    for (machine, days) in [("gone", 0), ("seen", 20), ("copied", 0), ("mixed", 0)] {
        take(&sink, vec![point(machine, START + days * DAY, &[RATIO.of(0.5), RX.of(1.0)])]);
    }
    fs::write(folder.path().join("mixed/notes"), "").unwrap();
    fs::create_dir(folder.path().join("foreign")).unwrap();
    fs::write(folder.path().join("foreign/cpu.rrd"), "somebody else's").unwrap();
    for name in ["gone", "seen", "mixed"] {
        old(&format!("{name}/cpu.rrd"));
        old(&format!("{name}/net.rrd"));
    }
    old("foreign/cpu.rrd");
    let names = || {
        let entries =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect::<BTreeSet<_>>()
    };
    let all = names();
    sink.prune(START + 30 * DAY, soon()).unwrap();
    assert_eq!(names(), all, "to the day");
    sink.prune(START + 30 * DAY + 1, soon()).unwrap();
    assert_eq!(names().into_iter().collect::<Vec<_>>(), ["copied", "foreign", "mixed", "seen"]);
    assert!(folder.path().join("mixed/notes").exists() && !folder.path().join("mixed/cpu.rrd").exists());
    let forever = RrdFiles { config: Config { keep_days: None, ..sink.config.clone() }, ..self::sink(folder.path()) };
    old("seen/cpu.rrd");
    forever.prune(START + 3000 * DAY, soon()).unwrap();
    assert!(folder.path().join("seen/cpu.rrd").exists());
}

/// rrdtool's output; `None` if it is not installed.
fn rrdtool(arguments: &[&str]) -> Option<Result<String, String>> {
    let output = Command::new("rrdtool").args(arguments).env("TZ", "UTC").env("LC_ALL", "C").output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// The path of a file as rrdtool takes it.
fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn has_rrdtool(test: &str) -> bool {
    let is_here = rrdtool(&["--version"]).is_some();
    if !is_here {
        skip(test, "rrdtool");
    }
    is_here
}

fn path_of(folder: &TempDir, machine: &str, name: &str) -> PathBuf {
    folder.path().join(machine).join(format!("{name}.rrd"))
}
