//! Three hubs of made-up backups: a year of nights, and one of each fault in the last of them.
//!
//! What lies on a node is a function of the time, as the grid is. The older nights go through collect-backups' own arithmetic into the
//! store and its history; the last ones are runs of collect-backups, whose ssh is a stand-in that answers for the nodes.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gridmon::frame::Program;
use gridmon::model::{Point, SECOND, Tier};
use gridmon::monitors::backups::gather::{Gathered, Gatherer};
use gridmon::monitors::backups::hub::Hub;
use gridmon::monitors::backups::memory::NodeMemory;
use gridmon::monitors::backups::node::{NodeState, Told};
use gridmon::monitors::backups::{self, BACKUP_NODE, BACKUP_SET};
use gridmon::setup::backups as composed;
use gridmon::sinks::embedded::{Place, Store};
use gridmon::sinks::history::{History, Kept};
use gridmon::sources::ssh::{Entry, Seen};
use jiff::Timestamp;

use crate::TIME;

#[cfg(test)]
mod quiet;

/// The stand-in for ssh.
pub const SSH: &str = "demo-ssh";

/// The end of the play, in unix seconds: the night of the faults is the last one before it. The current time if it is not set.
const END: &str = "GRIDMON_DEMO_END";

const DAY: i64 = 86_400;

/// The nights that are played, and how many of them are runs of collect-backups: as many as a disk's trend needs.
const NIGHTS: i64 = 365;
const RUNS: i64 = 15;

/// The nights that lie on a node.
const KEPT: i64 = 14;

/// How long the store may take for a write.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is wrong with a set in the last night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Well,
    Shrunk,
    Unsealed,
    Digest,
    Truncated,
    Small,
    Old,
    Lost,
    Future,
    Vanished,
    Never,
    Unreadable,
    Grown,
    Stale,
    Hoards,
    /// Its set is not in the config.
    Unlisted,
}

use Fault::*;

/// Hub, node, set, what is wrong with it, and the size of its backups in MB.
type Set = (&'static str, &'static str, &'static str, Fault, u64);

const SETS: [Set; 24] = [
    ("physics", "store1", "svn/code", Well, 1400),
    ("physics", "store1", "svn/docs", Digest, 320),
    ("physics", "store1", "tracs/code", Truncated, 210),
    ("physics", "store1", "tracs/docs", Unsealed, 90),
    ("physics", "store1", "db/runs", Shrunk, 5200),
    ("physics", "store1", "db/calib", Small, 700),
    ("physics", "store2", "svn/code", Lost, 1400),
    ("physics", "store2", "svn/docs", Old, 320),
    ("physics", "store2", "tracs/code", Vanished, 210),
    ("physics", "store2", "tracs/docs", Never, 90),
    ("physics", "store2", "db/runs", Future, 5200),
    ("physics", "store2", "db/calib", Well, 700),
    ("web", "mirror", "wiki", Well, 640),
    ("web", "mirror", "shop", Grown, 45),
    ("web", "mirror", "forum", Stale, 2300),
    ("web", "mirror", "mail", Unreadable, 9100),
    ("web", "mirror", "blog", Hoards, 75),
    ("web", "mirror", "test", Unlisted, 2),
    ("machines", "pve1", "101", Well, 12_000),
    ("machines", "pve1", "102", Well, 34_000),
    ("machines", "pve1", "103", Well, 8_000),
    ("machines", "pve2", "201", Well, 21_000),
    ("machines", "pve2", "202", Well, 17_000),
    ("machines", "pve2", "203", Well, 4_000),
];

/// The node that nobody reaches in the last night, and the one whose copy hangs and whose disk fills.
const UNREACHABLE: &str = "pve2";
const STUCK: &str = "pve1";

/// Returns the sections of the config; `folder` is the demo's.
pub fn config(folder: &str) -> String {
    format!(
        "
[embedded]
keep_raw_days = 400

[backups]
ssh = {SSH}
interval_seconds = {DAY}
report_directory = {folder}/report

[hub physics]
nodes = store1, store2
root = /backup/physics
pattern = {{set}}/%Y/%m/%d/%H%M%S/*.tar.gz
timezone = Asia/Shanghai
fresh_hours = 30
sets = svn/code, svn/docs, tracs/code, tracs/docs, db/runs, db/calib

[backup_set physics svn/docs]
check = digest

[hub web]
nodes = mirror
root = /srv/backup
pattern = {{set}}/%Y-%m-%d_%H%M.sql.gz
timezone = UTC
fresh_hours = 30
sets = wiki, shop, forum, mail, blog

[backup_set web blog]
keep = 7

[hub machines]
nodes = pve1, pve2
root = /var/lib/vz/dump
pattern = vzdump-{{set}}-%Y_%m_%d-%H_%M_%S.vma.zst
timezone = Europe/Zurich
fresh_hours = 30
"
    )
}

/// What is played: the sets, the night of their faults, and how many of the nights before fail.
struct Play<'a> {
    sets: &'a [Set],
    /// As days since 1970.
    last: i64,
    failing: f64,
}

impl Play<'_> {
    /// The sets with one of each fault in the last night before `end`; now and then a night before has failed.
    fn until(end: i64) -> Self {
        Self { sets: &SETS, last: night(end), failing: 0.004 }
    }
}

/// A file on a node.
struct File {
    set: &'static str,
    path: String,
    time: i64,
    bytes: u64,
    mtime: i64,
    /// The size and the digest that its sidecar says.
    seal: Option<(u64, String)>,
}

/// What lies on a node at a time.
struct World {
    files: Vec<File>,
    locked: Option<i64>,
    closed: bool,
    /// The bytes of the disk, and how many are free.
    disk: (u64, u64),
}

/// A number from 0 to 1 that looks random and depends on its arguments alone.
fn chance(name: &str, more: i64) -> f64 {
    let begin = more as u64 ^ 0x0BAC_0BAC_0BAC_0BAC;
    let seed = name
        .bytes()
        .fold(begin, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23));
    (seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns the last night that is over at a time, as days since 1970: backups are made at 01:30 UTC, and counted from 04:00 on.
fn night(time: i64) -> i64 {
    (time - 4 * 3600).div_euclid(DAY)
}

/// Returns the path of a night's backup, with its local time in the name.
fn path(hub: &str, set: &str, time: i64) -> String {
    let zone = match hub {
        "physics" => "Asia/Shanghai",
        "machines" => "Europe/Zurich",
        _ => "UTC",
    };
    let local = Timestamp::from_second(time).unwrap_or_default().in_tz(zone).map(|local| match hub {
        "physics" => format!("{set}/{}/{}.tar.gz", local.strftime("%Y/%m/%d/%H%M%S"), set.replace('/', "-")),
        "machines" => format!("vzdump-{set}-{}.vma.zst", local.strftime("%Y_%m_%d-%H_%M_%S")),
        _ => format!("{set}/{}.sql.gz", local.strftime("%Y-%m-%d_%H%M")),
    });
    local.unwrap_or_default()
}

/// Returns what a digest of a file gives.
fn sum(path: &str) -> String {
    let part = |more: i64| format!("{:016x}", (chance(path, more) * (1_u64 << 53) as f64) as u64);
    part(1) + &part(2)
}

/// Returns the backup of a night; `None` if there is none, or none any more, at `now`.
fn backup(of: &Set, night: i64, play: &Play, now: i64) -> Option<File> {
    let (hub, node, set, fault, megabytes) = *of;
    let last = play.last;
    let is_last = night == last;
    let name = format!("{hub} {node} {set}");
    let has_come = self::night(now) >= last;
    match fault {
        Never => return None,
        Vanished if has_come => return None,
        Old if last - night < 3 => return None,
        Lost if has_come && last - night < 3 => return None,
        _ => {}
    }
    if chance(&name, night) < play.failing && last - night > RUNS {
        return None;
    }
    let mut time = night * DAY + 5400;
    if fault == Future && is_last {
        time += 3 * DAY;
    }
    // It grows by a third in a year.
    let age = (last - night) as f64 / 365.0;
    let usual = megabytes as f64 * 1e6 * (1.0 - 0.25 * age) * (1.0 + 0.02 * chance(&name, night + 1));
    let bytes = match fault {
        Small if is_last => 45.0,
        Shrunk if is_last => usual * 0.2,
        Grown if is_last => usual * 4.0,
        _ => usual,
    } as u64;
    let path = path(hub, set, time);
    let sealed = hub == "physics" && !(fault == Unsealed && is_last);
    let of_seal = if fault == Truncated && is_last { bytes / 9 * 10 } else { bytes };
    let digest = if fault == Digest && is_last { sum("another") } else { sum(&path) };
    let mtime = night * DAY + 6000 - if fault == Stale && is_last { 2 * DAY } else { 0 };
    Some(File { set, path, time, bytes, mtime, seal: sealed.then_some((of_seal, digest)) })
}

/// Returns what lies on a node at a time; `None` if it cannot be reached.
fn world(node: &str, now: i64, play: &Play) -> Option<World> {
    let (tonight, last) = (night(now), play.last);
    if node == UNREACHABLE && tonight >= last {
        return None;
    }
    let mut files = Vec::new();
    for of in play.sets.iter().filter(|(_, on, ..)| *on == node) {
        let kept = if of.3 == Hoards { 3 * KEPT } else { KEPT };
        files.extend((tonight - kept + 1..=tonight).filter_map(|night| backup(of, night, play, now)));
    }
    let closed = node == "mirror" && tonight >= last;
    if closed {
        files.retain(|file| file.set != "mail");
    }
    let total = 4_000_000_000_000_u64;
    let left = if node == STUCK { 6 + 3 * (last - tonight).clamp(0, RUNS).unsigned_abs() } else { 40 };
    let locked = (node == STUCK && tonight >= last).then_some(tonight * DAY - 20 * 3600);
    Some(World { files, locked, closed, disk: (total, total / 100 * left) })
}

/// Hands a world to a gatherer, as a listing would.
fn gathered(hub: &Hub, world: &World) -> Gathered {
    let mut gatherer = Gatherer::new(&hub.pattern, &hub.zone, hub.only_set());
    for file in &world.files {
        let entry = Entry { is_folder: false, bytes: file.bytes, mtime: file.mtime, path: file.path.as_bytes() };
        gatherer.take(Seen::Entry(entry));
        if let Some((bytes, digest)) = &file.seal {
            let path = format!("{}.dna", file.path);
            gatherer.take(Seen::Seal(path.as_bytes(), sidecar(*bytes, digest).as_bytes()));
        }
    }
    gatherer.take(Seen::Disk(world.disk.0, world.disk.1));
    if world.closed {
        gatherer.take(Seen::Closed(b"mail"));
        gatherer.take(Seen::Failed(1));
    }
    gatherer.finish()
}

fn sidecar(bytes: u64, digest: &str) -> String {
    format!("{{'dig': '{digest}', 'size': {bytes}L}}")
}

/// Answers as ssh to a node would: the listing, or the digests that are asked for.
pub fn stand_in(arguments: &[String]) -> ExitCode {
    let now = Timestamp::now().as_second();
    let of = |name: &str| env::var(name).ok().and_then(|time| time.parse().ok()).unwrap_or(now);
    let (time, end) = (of(TIME), of(END));
    let node = arguments.iter().skip_while(|word| *word != "--").nth(1).map(String::as_str).unwrap_or_default();
    let mut script = String::new();
    let _ = io::stdin().read_to_string(&mut script);
    let Some(world) = world(node, time, &Play::until(end)) else {
        let _ = writeln!(io::stderr(), "ssh: connect to host {node} port 22: Connection timed out");
        return ExitCode::from(255);
    };
    let answer = match script.lines().find_map(|line| line.strip_prefix("nonce=")) {
        // The clock is right, whatever time is played.
        Some(nonce) => listing(&world, nonce, now),
        None => digests(&script),
    };
    if world.closed {
        let _ = writeln!(io::stderr(), "find: './mail': Permission denied");
    }
    // If the reader has closed the pipe, it no longer wants the answer.
    let _ = io::stdout().write_all(answer.as_bytes());
    ExitCode::SUCCESS
}

fn listing(world: &World, nonce: &str, clock: i64) -> String {
    let mut text = format!("\nBEGIN {nonce} gnu {clock}\nR\t0\0d\t4096\t1.0\t\0");
    let mut seals = String::new();
    for File { path, bytes, mtime, seal, .. } in &world.files {
        text += &format!("f\t{bytes}\t{mtime}.0000000000\t{path}\0");
        if let Some((bytes, digest)) = seal {
            text += &format!("f\t70\t{mtime}.0000000000\t{path}.dna\0");
            seals += &format!("S\t./{path}.dna\0T\t{}\0", sidecar(*bytes, digest));
        }
    }
    if let Some(locked) = world.locked {
        text += &format!("d\t4096\t{locked}.0000000000\tLOCKED\0");
    }
    text += &seals;
    if world.closed {
        text += "X\t./mail\0Z\t1\0";
    }
    let (total, free) = (world.disk.0 / 1024, world.disk.1 / 1024);
    text + &format!("D\t/dev/sda1 {total} {} {free} 50% /backup\0END\t{nonce} 0\0", total - free)
}

/// Answers the questions for digests: `sum 0 '/backup/physics'/'svn/docs/…'`.
fn digests(script: &str) -> String {
    let mut text = String::new();
    for line in script.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["echo;", "echo", "BEGIN", nonce] => text += &format!("\nBEGIN {nonce}\n"),
            ["echo", "END", nonce] => text += &format!("END {nonce}\n"),
            ["sum", at, file] => {
                let path = file.split_once("'/'").map_or("", |(_, path)| path.trim_end_matches('\''));
                text += &format!("C {at} 0 {}\n", sum(path));
            }
            _ => {}
        }
    }
    text
}

/// What was played.
pub struct Played {
    /// The backups that the history has of the older nights.
    pub backups: usize,
    /// The lines of the last night, as collect-backups said them.
    pub said: Vec<String>,
}

static PROGRAM: Program = Program {
    name: composed::PROGRAM,
    interval_seconds: 3600,
    deadline_seconds: 900,
    sources: &["nodes"],
    measurements: &backups::MEASUREMENTS,
};

/// Plays a year of nights up to `end`, in unix seconds, into the store of a demo's folder; `programs` has collect-backups.
///
/// # Errors
/// Fails if the store cannot be written, or a run does not end as what it finds explains.
pub fn play(folder: &Path, programs: &Path, end: i64) -> Result<Played> {
    let path = folder.join("config.cfg");
    let (config, _) = composed::load(Some(&path), &PROGRAM).context("the hubs of the demo")?;
    fs::create_dir_all(folder.join("report")).context("the folder of the report")?;
    let (points, kept) = older(&config.backups.hubs, end);
    let store = folder.join("state/gridmon.db");
    Store::open(&store, Instant::now() + PATIENCE)?.write(Tier::Raw, &points, Instant::now() + PATIENCE)?;
    Place::new(store, &folder.join("state")).keep(&kept, Instant::now() + PATIENCE)?;
    let mut said = Vec::new();
    for ago in (0..RUNS).rev() {
        said = run(folder, programs, end - ago * DAY, end)?;
    }
    Ok(Played { backups: kept.len(), said })
}

/// Returns the points and the history of the nights before the runs.
fn older(hubs: &[Hub], end: i64) -> (Vec<Point>, Vec<Kept>) {
    let (mut points, mut kept) = (Vec::new(), BTreeMap::new());
    let mut memory = BTreeMap::<(usize, &str), NodeMemory>::new();
    for ago in (RUNS..NIGHTS).rev() {
        let now = end - ago * DAY;
        let time = now.div_euclid(DAY) * DAY * SECOND;
        let mut states = Vec::new();
        for (at, hub) in hubs.iter().enumerate() {
            for node in &hub.nodes {
                let Some(world) = world(node, now, &Play::until(end)) else { continue };
                let gathered = gathered(hub, &world);
                let told = Told { gathered: &gathered, said: "", skew_seconds: Some(0), contents: &|_| None };
                let before = memory.remove(&(at, node.as_str())).unwrap_or_default();
                let (state, mut after) = NodeState::judge(hub, node, &told, &before, now);
                state.remember(&mut after, now);
                memory.insert((at, node), after);
                states.push(state);
                kept.extend(world.files.into_iter().map(|file| {
                    let File { set, path, time, bytes, seal, .. } = file;
                    let seal = if seal.is_some() { "sealed" } else { "unsealed" }.into();
                    let (hub, node, set) = (hub.name.clone(), node.clone(), set.to_string());
                    ((hub.clone(), node.clone(), path.clone()), Kept { hub, node, set, time, path, bytes, seal })
                }));
            }
        }
        let collected = backups::points(&states, time, now);
        let covered = [&BACKUP_SET, &BACKUP_NODE].map(|of| collected.coverage(of, "demo", time, DAY));
        points.extend(collected.points.into_iter().chain(covered));
    }
    (points, kept.into_values().collect())
}

/// Runs collect-backups as cron would in a night; returns what it said.
fn run(folder: &Path, programs: &Path, now: i64, end: i64) -> Result<Vec<String>> {
    let program = programs.join(composed::PROGRAM);
    let mut command = Command::new(&program);
    command.arg("--config").arg(folder.join("config.cfg")).args(["--now", &now.to_string()]).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()));
    command.env(TIME, now.to_string()).env(END, end.to_string()).stdin(Stdio::null());
    let output = command.output().with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // One node cannot be reached in the last night.
    let expected = i32::from(night(now) >= night(end));
    ensure!(
        output.status.code() == Some(expected),
        "collect-backups --now {now} ended with {} where what lies there explains {expected}: {}",
        output.status,
        said.trim_end()
    );
    Ok(said.lines().map(String::from).collect())
}
