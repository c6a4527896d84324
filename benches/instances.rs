//! What a run of collect-instances asks and computes: `cargo bench --bench instances`.
//!
//! A stand-in for libvirtd plays 1,000 instances. Reading them, with list, metadata and the account of lost calls, stands beside the
//! bare bulk calls over one connection, whose replies nobody decodes. Then the rates of two readings are made.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gridmon::model::validate;
use gridmon::monitors::instances::{Bases, InstancesInput, Moment, points};
use gridmon::setup::Config as Settings;
use gridmon::sources::libvirt::client::Client;
use gridmon::sources::libvirt::message::{self, Groups, Procedure};
use gridmon::sources::libvirt::{self, Answer, Config, Memory};
use gridmon_testkit::TempDir;

mod frame;
#[path = "../demo/libvirt.rs"]
mod player;

use frame::*;

const INSTANCES: usize = 1000;
const BESIDE_BULK: f64 = 1.2;
const LIMIT_MS: f64 = 50.0;
const LIMIT_MB: f64 = 64.0;
const SLOT: i64 = 1_717_245_000;

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
    let (answer, problems) = libvirt::collect(config, memory, now, until());
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
    let measure = || {
        let [ours, bare] =
            turns(15, [&mut || timed(|| read(config, &mut memory, SLOT)), &mut || timed(|| bulk(config))]);
        (least(ours), least(bare))
    };
    let met = |(ours, bare): &(f64, f64)| ours / bare <= BESIDE_BULK;
    let (ours, bare) = table.twice(measure, met);
    table.line("the first reading, with all metadata", &milliseconds(first), "");
    table.line("bare bulk calls", &milliseconds(bare), "");
    table.target(
        "a reading",
        &milliseconds(ours),
        &times(ours / bare),
        &format!("at most {BESIDE_BULK} times the bare calls"),
        met(&(ours, bare)),
    );
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
