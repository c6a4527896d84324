//! What a run of collect-instances asks and computes: `cargo bench --bench instances`.
//!
//! A stand-in for libvirtd plays 1,000 instances, at once and as fast as QEMUs answered. Reading them, with list, metadata and the
//! account of lost calls, stands beside the bare bulk calls over one connection, whose replies nobody decodes. Then the rates of two readings are made. At last whole runs of
//! the program, with files in rrdtool's format and graphs for a stand-in for an object store, which takes everything.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::validate;
use gridmon::monitors::instances::{Bases, InstancesInput, Moment, points};
use gridmon::setup::Config as Settings;
use gridmon::sources::libvirt::client::Client;
use gridmon::sources::libvirt::message::{self, Groups, Procedure};
use gridmon::sources::libvirt::{self, Answer, Config, Memory};
use gridmon_testkit::{TempDir, program};

mod frame;
#[path = "../demo/libvirt.rs"]
mod player;

use frame::*;

const INSTANCES: usize = 1000;
const BESIDE_BULK: f64 = 1.2;
const LIMIT_MS: f64 = 50.0;
const LIMIT_MB: f64 = 64.0;
const SLOT: i64 = 1_717_245_000;
/// What one QEMU took for its counters: libvirt 9.0, QEMU 7.2.
const QEMU: Duration = Duration::from_micros(6500);
const RUN_CPU_S: f64 = 7.0;
/// The graphs of 1,000 instances that are due in a run, on average.
const DUE: usize = 3625;
const RUN_WALL_S: f64 = 60.0;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "alone") {
        let config = config(Path::new(&arguments[2]));
        let answer = read(&config, &mut Memory::default(), SLOT);
        return tell(rates(&[answer.clone(), answer]));
    }
    let folder = TempDir::new();
    let player = player::Player::start(&folder.path().join("libvirt"), INSTANCES).expect("a socket");
    let config = config(&player.socket);
    let mut table = Table::default();
    reading(&mut table, &player, &config);
    computing(&mut table, &player, &config);
    let peak = || alone(["alone".as_ref(), player.socket.as_os_str()]).1;
    let met = |memory: &f64| *memory <= LIMIT_MB;
    let memory = table.twice(peak, met);
    table.target("peak memory of all of it", &megabytes(memory), "", &format!("at most {LIMIT_MB} MB"), met(&memory));
    whole_runs(&mut table, &player);
    table.end()
}

fn config(socket: &Path) -> Config {
    let text = format!("[libvirt]\nsocket = {}\n", socket.display());
    Settings::parse(&text, "bench").expect("a config").0.libvirt
}

fn until() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn read(config: &Config, memory: &mut Memory, now: i64) -> Answer {
    let (answer, problems) = libvirt::collect(config, memory, now, until(), &|_| Ok(()));
    assert!(problems.is_empty(), "{problems:?}");
    answer.expect("the stand-in answers")
}

/// Asks for everything in lists of a hundred, and decodes nothing.
fn bulk(config: &Config) {
    let mut client = Client::open(&config.socket, Duration::from_secs(20), until()).expect("the stand-in listens");
    let list = client.call(Procedure::List, &message::list(), until()).expect("a list");
    let domains = message::read_list(&list).expect("a list");
    for list in domains.iter().collect::<Vec<_>>().chunks(100) {
        client.call(Procedure::Stats, &message::stats(list, Groups::All), until()).expect("counters");
    }
    client.close();
}

fn reading(table: &mut Table, player: &player::Player, config: &Config) {
    table.title("1,000 instances of a stand-in for libvirtd");
    player.at(SLOT);
    // Nova's metadata of all are asked for once, then of a twelfth in each run.
    let mut memory = Memory::default();
    let first = timed(|| read(config, &mut memory, SLOT));
    let mut measure = |rounds: usize| {
        let [ours, bare] =
            turns(rounds, [&mut || timed(|| read(config, &mut memory, SLOT)), &mut || timed(|| bulk(config))]);
        (least(ours), least(bare))
    };
    let (ours, bare) = measure(9);
    table.line("the first reading, with all metadata", &milliseconds(first), "");
    table.line("bare bulk calls, answered at once", &milliseconds(bare), "");
    table.line("a reading, answered at once", &milliseconds(ours), "");
    player.pace(QEMU);
    let met = |(ours, bare): &(f64, f64)| ours / bare <= BESIDE_BULK;
    let (ours, bare) = table.twice(|| measure(2), met);
    player.pace(Duration::ZERO);
    table.line("bare bulk calls, 6.5 ms in each QEMU as measured", &seconds(bare), "");
    let target = format!("at most {BESIDE_BULK} times the bare calls");
    table.target("a reading of the same", &seconds(ours), &times(ours / bare), &target, met(&(ours, bare)));
}

/// Makes the points of the last of two readings; returns their number.
fn rates(answers: &[Answer; 2]) -> usize {
    let mut bases = Bases::default();
    let mut count = 0;
    for (at, answer) in answers.iter().enumerate() {
        let began = Moment { wall: (SLOT + 300 * at as i64) * 1_000_000_000, running: None };
        let (time, answer) = (began.wall, Some(answer));
        let input = InstancesInput { grid: "g", host: "h", time, began, boot: "", names: false, answer };
        let (points, dropped) = validate(points(&input, &mut bases).points);
        assert!(dropped.is_empty());
        count = points.len();
    }
    count
}

fn computing(table: &mut Table, player: &player::Player, config: &Config) {
    let mut memory = Memory::default();
    let answers = [SLOT, SLOT + 300].map(|time| {
        player.at(time);
        read(config, &mut memory, time)
    });
    assert!(rates(&answers) > 2 * INSTANCES);
    let measure = || least((0..9).map(|_| timed(|| rates(&answers)) / 2.0));
    let met = |seconds: &f64| seconds * 1e3 <= LIMIT_MS;
    let found = table.twice(measure, met);
    table.target("points of a run", &milliseconds(found), "", &format!("at most {LIMIT_MS} ms"), met(&found));
}

/// An object store that takes everything; counts what it took, and the connections.
struct Taker {
    port: u16,
    taken: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Taker {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let (taken, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, opened) = (taken.clone(), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.fetch_add(1, Ordering::Relaxed);
                let count = count.clone();
                thread::spawn(move || {
                    while take(&stream).is_some() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { port, taken, connections }
    }
}

/// Reads a request and answers it; `None` at the end of the connection.
fn take(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let head = line.trim_end().to_ascii_lowercase();
        if head.is_empty() {
            break;
        }
        length = head.strip_prefix("content-length: ").and_then(|length| length.parse().ok()).unwrap_or(length);
    }
    // The client waits for its answer before it sends more, so nothing is left in the reader.
    let mut picture = vec![0; length];
    reader.read_exact(&mut picture).ok()?;
    let answer = format!("HTTP/1.1 200 OK\r\nETag: \"{:x}\"\r\nContent-Length: 0\r\n\r\n", md5::compute(&picture));
    (&*stream).write_all(answer.as_bytes()).ok()
}

/// Makes so many graphs of a kind due that the store has: as if it had them without their newest row.
fn wait_for(memory: &Path, kinds: &[(&str, usize)]) {
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(memory).expect("a memory")).expect("JSON");
    for (kind, count) in kinds {
        let all = kept["series"].as_object_mut().expect("series").values_mut();
        let graphs = all.filter_map(serde_json::Value::as_object_mut).flat_map(|graphs| graphs.iter_mut());
        let made = graphs.filter(|(name, _)| name.ends_with(kind)).take(*count).map(|(_, graph)| {
            graph["row"] = 0.into();
            graph["md5"] = "".into();
        });
        assert_eq!(made.count(), *count);
    }
    fs::write(memory, kept.to_string()).expect("a folder of our own");
}

/// Every run draws the graphs of a day; one in six also those of a week, and one in 24 also those of a month: 3,625 a run.
fn whole_runs(table: &mut Table, player: &player::Player) {
    table.title("a run of collect-instances with files and graphs of 1,000 instances");
    let (folder, store) = (TempDir::new(), Taker::start());
    let text = format!(
        "[grid]\nname = lab\n[libvirt]\nsocket = {}\n[state]\ndirectory = {state}\n[rrd]\ndirectory = {state}/rrd\n[s3]\n\
         url = http://127.0.0.1:{}\nbucket = graphs\naccess_key = a\nsecret_key = s\n",
        player.socket.display(),
        store.port,
        state = folder.path().join("state").display()
    );
    let path = folder.path().join("config.cfg");
    fs::create_dir(folder.path().join("state")).expect("a folder of our own");
    fs::write(&path, text).expect("a folder of our own");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
    let command = |time: i64| -> Command {
        player.at(time);
        store.taken.store(0, Ordering::Relaxed);
        store.connections.store(0, Ordering::Relaxed);
        let mut command = clean(program("collect-instances"), "/usr/bin:/bin");
        command.args(["--now", &time.to_string()]).current_dir(folder.path()).stdout(Stdio::null());
        command
    };
    let run = |time: i64| {
        let took = cost(&mut command(time));
        (took, store.taken.load(Ordering::Relaxed), store.connections.load(Ordering::Relaxed))
    };
    // 2024-06-01 16:00 UTC: a row of every span ends.
    let full = 1_717_257_600;
    run(full - 1200);
    // Makes the files, and sends all their graphs.
    run(full - 900);
    let day = run(full - 600);
    // Beside those of a day of the 950 instances that are on, as many of a week and a month as make the mean of 1,000 that are.
    let more = DUE - day.1;
    let of_month = more / 5;
    let kinds = [("-1w", more - of_month), ("-1m", of_month)];
    wait_for(&folder.path().join("state/collect-instances.lab.graphs"), &kinds);
    let mixed = run(full - 300);
    let month = run(full);
    // Begins the rates anew, after a gap.
    run(full + 1500);
    let week = run(full + 1800);
    for (what, (cost, taken, connections)) in [
        ("graphs of a day", &day),
        ("of a day, some of a week and of a month", &mixed),
        ("of a day and a week", &week),
        ("of all spans", &month),
    ] {
        let figure = format!("{} CPU", seconds(cost.processor));
        let more = format!("{} wall, {taken} graphs put over {connections} connections", seconds(cost.wall));
        table.line(what, &figure, &more);
    }
    let (cpu, wall) = (mixed.0.processor, month.0.wall);
    let what = format!("processor time of a run with {DUE} graphs due, of which {} were put", mixed.1);
    table.target(&what, &seconds(cpu), "", &format!("at most {RUN_CPU_S} s"), cpu <= RUN_CPU_S);
    let two_hours = [(20.0, &day), (3.0, &week), (1.0, &month)];
    let mean = two_hours.iter().map(|(runs, (cost, ..))| runs * cost.processor).sum::<f64>() / 24.0;
    table.line("mean of two hours of runs", &format!("{} CPU", seconds(mean)), "");
    table.target("time of the longest run", &seconds(wall), "", &format!("at most {RUN_WALL_S} s"), wall <= RUN_WALL_S);
    run(full + 86_400);
    // After the gap a row of every span is new.
    let memory = memory_mb(&mut command(full + 86_700));
    let limit = format!("at most {LIMIT_MB} MB");
    table.target("memory, all graphs", &megabytes(memory), "", &limit, memory <= LIMIT_MB);
}
