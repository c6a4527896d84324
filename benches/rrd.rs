//! Files in rrdtool's format and their graphs, beside rrdtool: `cargo bench --bench rrd`.
//!
//! A run's 3,000 updates of the files of 1,000 instances, with the arithmetic that makes the values, beside `rrdtool -` writing the same values
//! into files of its own. The nine graphs of a month, beside `rrdtool -` drawing them from the same files. Processor time counts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use gridmon::model::{Point, RRD_SPANS, RrdScale, SECOND, validate};
use gridmon::monitors::instances::{Bases, FILES, INSTANCE, InstancesInput, Moment, points};
use gridmon::setup::{CATALOG, Config as Settings};
use gridmon::sinks::Sink;
use gridmon::sinks::rrd::{Config, RrdFiles};
use gridmon::sources::libvirt::{self, Answer, Memory};
use gridmon::spool::{Batch, Header};
use gridmon_testkit::TempDir;

mod frame;
#[path = "../demo/libvirt.rs"]
mod player;

use frame::*;

/// One in twenty is off and has no values: a thousand are left.
const INSTANCES: usize = 1053;
/// The runs that are measured, after one that begins the rates and one that makes the files.
const RUNS: usize = 6;
const LIMIT_MS: f64 = 100.0;
const BESIDE_GRAPH: f64 = 0.5;
/// How often each graph is drawn.
const TIMES: usize = 20;
const SLOT: i64 = 1_717_243_200;
const UUID: &str = "8d1d0b5e-6e0e-4f5e-9f0e-0a8d4b2c1f00";

fn main() -> ExitCode {
    let mut table = Table::default();
    if Command::new("rrdtool").arg("--version").output().is_err() {
        println!("rrdtool is not installed: left out");
        return table.end();
    }
    updates(&mut table);
    graphs(&mut table);
    table.end()
}

fn files(directory: &Path) -> RrdFiles {
    let config = Config { directory: directory.to_path_buf(), keep_days: None };
    RrdFiles { config, catalog: CATALOG, now: SLOT + 100 * 86_400, is_made: true }
}

fn send(files: &RrdFiles, points: Vec<Point>, time: i64) {
    let (program, grid, tier) = ("collect-instances".into(), "g".into(), "raw".into());
    let header = Header { program, grid, time, tier, database: String::new(), sinks: Default::default() };
    let sent = files.send(&Batch { header, points }, Instant::now() + Duration::from_secs(600));
    sent.result.expect("a folder of our own");
    assert!(sent.refused.is_empty());
}

/// What libvirt tells at one time after the other.
fn answers() -> Vec<Answer> {
    let folder = TempDir::new();
    let player = player::Player::start(&folder.path().join("libvirt"), INSTANCES).expect("a socket");
    let text = format!("[libvirt]\nsocket = {}\n", player.socket.display());
    let (config, mut memory) = (Settings::parse(&text, "bench").expect("a config").0.libvirt, Memory::default());
    let answer = |run: usize| {
        let time = SLOT + 300 * run as i64;
        player.at(time);
        let until = Instant::now() + Duration::from_secs(60);
        libvirt::collect(&config, &mut memory, time, until, &|_| Ok(())).0.expect("the stand-in answers")
    };
    (0..RUNS + 2).map(answer).collect()
}

/// The points of a run, as the program makes them.
fn rates(answer: &Answer, run: usize, bases: &mut Bases) -> Vec<Point> {
    let time = (SLOT + 300 * run as i64) * SECOND;
    let began = Moment { wall: time, running: None };
    let answer = Some(answer);
    let input = InstancesInput { grid: "g", host: "h", time, began, boot: "", names: false, answer };
    validate(points(&input, bases).points).0
}

/// The same values as rrdtool's commands.
fn commands(points: &[Point], directory: &Path) -> String {
    let mut text = String::new();
    for point in points.iter().filter(|point| point.measurement() == INSTANCE.name) {
        let value = |name: &str| point.fields().find(|(field, _)| *field == name).map(|(_, value)| value.as_f64());
        for file in &FILES {
            let values: Vec<_> =
                file.sources.iter().map(|source| value(source.field).map(|value| value * source.factor)).collect();
            if values.iter().all(Option::is_none) {
                continue;
            }
            let path = directory.join(point.tag("instance").expect("its key")).join(file.name);
            let _ = write!(text, "update {}.rrd {}", path.display(), point.time() / SECOND);
            for value in values {
                let _ = write!(text, ":{}", value.map_or("U".into(), |value| value.to_string()));
            }
            text.push('\n');
        }
    }
    text
}

/// The processor time of `rrdtool -` with these commands, in seconds.
fn rrdtool(commands: &Path) -> f64 {
    let mut command = clean("/bin/sh", "/usr/bin:/bin");
    let text = format!("exec rrdtool - <'{}' >'{}.out'", commands.display(), commands.display());
    let took = cost(command.arg("-c").arg(text).env("TZ", "UTC")).processor;
    let said = fs::read_to_string(commands.with_extension("txt.out")).expect("its output");
    assert!(!said.contains("ERROR"), "{}", said.lines().find(|line| line.contains("ERROR")).unwrap_or_default());
    took
}

fn updates(table: &mut Table) {
    table.title("3,000 updates: the files of 1,000 instances of a stand-in for libvirtd, a run");
    let answers = answers();
    let measure = || {
        let (ours, theirs) = (TempDir::new(), TempDir::new());
        let sink = files(&ours.path().join("rrd"));
        let (mut bases, mut took, mut text, mut updates) = (Bases::default(), Vec::new(), String::new(), 0);
        for (run, answer) in answers.iter().enumerate() {
            let began = processor();
            let points = rates(answer, run, &mut bases);
            let made = processor() - began;
            let (copy, time) = (points.clone(), SLOT + 300 * run as i64);
            let began = processor();
            send(&sink, points, time);
            if run < 2 {
                // The files as they are then.
                let copied =
                    Command::new("cp").arg("-r").args([ours.path().join("rrd"), theirs.path().into()]).status();
                assert!(run == 0 || copied.expect("cp").success());
                continue;
            }
            took.push(made + processor() - began);
            let more = commands(&copy, &theirs.path().join("rrd"));
            updates += more.lines().count();
            text += &more;
        }
        let path = theirs.path().join("commands.txt");
        fs::write(&path, text).expect("a folder of our own");
        let beside = rrdtool(&path) / RUNS as f64;
        assert!(updates >= RUNS * 3000, "{updates}");
        (median(took), beside, updates / RUNS)
    };
    let met = |(ours, _, _): &(f64, f64, usize)| ours * 1e3 <= LIMIT_MS;
    let (ours, theirs, updates) = table.twice(measure, met);
    table.line("updates of a run", &updates.to_string(), "");
    table.line("rrdtool -, the same values, ready made", &milliseconds(theirs), "");
    let target = format!("at most {LIMIT_MS} ms");
    table.target("arithmetic and updates", &milliseconds(ours), &times(ours / theirs), &target, ours * 1e3 <= LIMIT_MS);
}

/// A month of one instance.
fn month(sink: &RrdFiles) -> i64 {
    let steps = 31 * 288;
    let wave = |step: i64, period: f64| 1.0 + (step as f64 / period).sin();
    let points = (1..=steps).map(|step| {
        let values =
            [0.5 * wave(step, 46.0), 1e6 * wave(step, 40.0), 3e5 * wave(step, 60.0), 1e7, 2e6 * wave(step, 9.0)];
        let fields = FILES.iter().flat_map(|file| file.sources).zip(values);
        let fields = fields.map(|(source, value)| (source.field.into(), value.into()));
        let tags = [("grid", "g"), ("host", "h"), ("instance", UUID)].map(|(tag, value)| (tag.into(), value));
        Point::new(INSTANCE.name.into(), tags, fields, (SLOT + 300 * step) * SECOND)
    });
    let mut points: Vec<_> = points.collect();
    points.iter_mut().for_each(|point| CATALOG.declare(point));
    send(sink, points, SLOT);
    SLOT + 300 * steps
}

/// rrdtool's command for a graph of nova's instance monitor.
fn drawing(folder: &Path, file: &gridmon::model::RrdFile, days: i64, end: i64) -> String {
    let scale = match file.scale {
        RrdScale::To(most) => format!("--lower-limit 0 --upper-limit {most}"),
        RrdScale::LogarithmicFrom(least) => format!("--logarithmic --units si --lower-limit {least} --rigid"),
    };
    let path = folder.join("rrd").join(UUID).join(format!("{}.rrd", file.name));
    let mut text = format!(
        "graph {}/theirs.png --disable-rrdtool-tag --imgformat PNG --width 400 --height 120 --start {} --end {end} \
         --vertical-label '{}' {scale}",
        folder.display(),
        end - days * 86_400,
        file.axis
    );
    for source in file.sources {
        let shape = if source.is_area { "AREA" } else { "LINE1" };
        let (name, path) = (source.name, path.display());
        let _ = write!(text, " DEF:{name}={path}:{name}:AVERAGE '{shape}:{name}{}:{}'", source.colour, source.label);
    }
    text + "\n"
}

fn graphs(table: &mut Table) {
    table.title("a graph as PNG, 482 x 175, mean of the nine of an instance with a month of values");
    let folder = TempDir::new();
    let sink = files(&folder.path().join("rrd"));
    let end = month(&sink);
    let commands = folder.path().join("commands.txt");
    let all = || FILES.iter().flat_map(|file| RRD_SPANS.iter().map(move |span| (file, span)));
    let text: String = all().map(|(file, span)| drawing(folder.path(), file, span.days.unwrap_or(31), end)).collect();
    fs::write(&commands, text.repeat(TIMES)).expect("a folder of our own");
    let count = (TIMES * all().count()) as f64;
    let ours = || {
        let began = processor();
        for _ in 0..TIMES {
            for (file, span) in all() {
                let graph = sink.graph(UUID, file, span).expect("our own file").expect("it is there");
                fs::write(folder.path().join("ours.png"), graph.png().expect("a picture")).expect("our own folder");
            }
        }
        (processor() - began) / count
    };
    let measure = || {
        let [ours, theirs] = turns(3, [&mut || ours(), &mut || rrdtool(&commands) / count]);
        (median(ours), median(theirs))
    };
    let (ours, theirs) = table.twice(measure, |(ours, theirs)| ours / theirs <= BESIDE_GRAPH);
    table.line("rrdtool -", &milliseconds(theirs), "");
    let ratio = ours / theirs;
    table.target("ours", &milliseconds(ours), &times(ratio), "at most half of rrdtool's", ratio <= BESIDE_GRAPH);
}
