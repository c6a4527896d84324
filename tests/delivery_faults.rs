//! Odd spools and programs beside each other: what is torn, foreign, too much, or cannot be written costs what it must and
//! no more, is named, and the run's own points reach Carbon when that is up.

#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use sandbox::disk::SmallDisk;
use sandbox::proof::{Clouds, Keeper, Key, account, batches, names, slot};
use sandbox::{Mood, Outcome, Sandbox};
use support::{Ports, free_port, wait_until};

/// The slot of the first run.
const START: i64 = 1_717_200_000;

const MINUTE: i64 = 60;

/// A sandbox with so many batches waiting, one a minute from [`START`] on, and Carbon up.
struct Waiting {
    sandbox: Sandbox,
    clouds: Clouds,
    keeper: Keeper,
    closed: u16,
    _ports: Ports,
}

impl Waiting {
    fn new(count: usize, waiting: i64) -> Self {
        let (closed, _ports) = free_port();
        let this = Self {
            sandbox: Sandbox::new("small"),
            clouds: Clouds::new(count),
            keeper: Keeper::start(),
            closed,
            _ports,
        };
        this.carbon(false, "");
        for minute in 0..waiting {
            assert_eq!(this.clouds.run(&this.sandbox, START + MINUTE * minute).code, Some(1));
        }
        this.carbon(true, "");
        this
    }

    /// Carbon is up or refuses connections; `more` is config.
    fn carbon(&self, up: bool, more: &str) {
        self.clouds.config(&self.sandbox, if up { self.keeper.port } else { self.closed }, more);
    }

    /// A run that tells everything, this many minutes after the first.
    fn run(&self, minute: i64) -> Outcome {
        let arguments = self.clouds.at(&self.sandbox, START + MINUTE * minute);
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push("-v");
        self.sandbox.run(&arguments)
    }

    fn spool(&self) -> PathBuf {
        self.sandbox.path("state/spool")
    }

    fn bad(&self) -> Vec<String> {
        names(&self.spool().join("bad"))
    }

    /// Carbon must have exactly these minutes, each of them whole.
    fn has(&self, minutes: impl IntoIterator<Item = i64>) {
        let mut expected = BTreeMap::new();
        minutes.into_iter().for_each(|minute| expected.extend(self.clouds.datapoints(START + MINUTE * minute)));
        assert_same(&self.keeper.values(), &expected);
    }
}

fn assert_same(stored: &BTreeMap<Key, f64>, expected: &BTreeMap<Key, f64>) {
    let slots =
        |values: &BTreeMap<Key, f64>| values.keys().map(|(_, time)| (time - START) / MINUTE).collect::<BTreeSet<_>>();
    assert_eq!(slots(stored), slots(expected), "minutes");
    assert!(stored == expected, "{} values, expected {}", stored.len(), expected.len());
}

/// A name for a batch which sorts as if it were of so many seconds after the first.
fn named(batch: &str, seconds: i64) -> String {
    batch.replacen(&batch[..12], &format!("{:012}", START + seconds), 1)
}

#[test]
fn a_batch_that_is_torn_anywhere_or_changed_goes_aside_and_the_rest_arrives() {
    // One that is text and one that is compressed.
    for count in [15, 200] {
        let at = Waiting::new(count, 2);
        let whole = batches(&at.sandbox).remove(1);
        let bytes = fs::read(at.spool().join(&whole)).unwrap();
        let compressed = bytes.windows(15).any(|window| window == b"encoding\":\"zstd");
        assert_eq!(compressed, count == 200, "{} bytes", bytes.len());
        let mut poison = BTreeSet::new();
        let mut put = |bytes: &[u8], seconds: usize| {
            let name = named(&whole, 1 + seconds as i64 % 59);
            let name = name.replace("-carbon-", &format!("-carbon-p{seconds}-"));
            fs::write(at.spool().join(&name), bytes).unwrap();
            poison.insert(name);
        };
        let cuts = (0..bytes.len()).step_by(512).chain([bytes.len() - 1]);
        let cuts = cuts.map(|cut| put(&bytes[..cut], cut)).count();
        for changed in (16..bytes.len()).step_by(bytes.len() / 20).chain([bytes.len() - 1]) {
            let mut bytes = bytes.clone();
            bytes[changed] ^= 1;
            put(&bytes, 100_000 + changed);
        }
        assert!(cuts > 5 && poison.len() > cuts + 20, "{cuts} cuts, {} in all", poison.len());

        let outcome = at.run(2);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        for name in &poison {
            let line = outcome.stderr.lines().find(|line| line.contains(&format!("batch {name}: ")));
            let line = line.unwrap_or_else(|| panic!("{name} is not named: {}", outcome.stderr));
            let why = [
                "its checksum is wrong: it is torn or was changed",
                "it does not begin as a batch",
                "it ends in its first line",
                "it has no version",
            ];
            assert!(why.iter().any(|why| line.contains(why)) && line.contains("; put into bad/"), "{line}");
            let why = fs::read_to_string(at.spool().join("bad").join(format!("{name}.why"))).unwrap();
            assert!(line.contains(why.trim()), "{why}: {line}");
        }
        let [collected, delivered, spooled, dropped, replayed, waiting] = account(&outcome.stderr);
        // Both others carry the report of the run before, and the second of the two did as well.
        assert_eq!((delivered, spooled, dropped, waiting), (collected, 0, 0, 0));
        assert_eq!(replayed, 2 * at.clouds.points() + 1);
        at.has(0..=2);
        let aside: BTreeSet<_> = at.bad().into_iter().filter(|name| !name.ends_with(".why")).collect();
        assert_eq!(aside, poison);
        // What has gone aside is not met again.
        let outcome = at.run(3);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
}

#[test]
fn a_batch_of_a_newer_version_waits_and_is_named() {
    let at = Waiting::new(3, 3);
    let newer = batches(&at.sandbox).remove(1);
    let path = at.spool().join(&newer);
    let old = fs::read(&path).unwrap();
    fs::write(&path, [b"gridmon-batch 2 ", &old[16..]].concat()).unwrap();
    for minute in [3, 4] {
        let outcome = at.run(minute);
        assert_eq!(outcome.code, Some(1));
        let words =
            format!("batch {newer}: it has format version 2, which a newer gridmon wrote and can send; it waits");
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
        let [collected, delivered, _, _, _, waiting] = account(&outcome.stderr);
        assert_eq!((delivered, waiting), (collected, at.clouds.points() + 1));
        assert_eq!(batches(&at.sandbox), [newer.as_str()]);
    }
    at.has([0, 2, 3, 4]);
    // The newer one comes, and sends it.
    fs::write(&path, old).unwrap();
    let outcome = at.run(5);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&format!("batch {newer}: works again after 2 min")), "{}", outcome.stderr);
    at.has(0..=5);
}

#[test]
fn what_a_batch_says_moves_no_cursor() {
    let at = Waiting::new(3, 2);
    let name = batches(&at.sandbox).remove(0);
    let path = at.spool().join(&name);
    // Sound as a file, with a word in it that a terminal would obey.
    let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let rest = text.splitn(4, ' ').nth(3).unwrap().replace("\"plain\"", "\"\u{9b}31mred\"");
    fs::write(&path, format!("gridmon-batch 1 {:08x} {rest}", crc32fast::hash(rest.as_bytes()))).unwrap();
    let outcome = at.run(3);
    assert!(outcome.stderr.contains("unknown variant ` 31mred`"), "{:?}", outcome.stderr);
    assert!(!outcome.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", outcome.stderr);
}

#[test]
fn what_gridmon_did_not_write_goes_aside_and_is_named() {
    let at = Waiting::new(3, 2);
    let spool = at.spool();
    fs::write(spool.join("notes.txt"), "what is this?\n").unwrap();
    fs::write(spool.join(".hidden"), "").unwrap();
    fs::write(spool.join("-1-1-carbon-x.batch"), "almost a name\n").unwrap();
    fs::create_dir_all(spool.join("folder/below")).unwrap();
    fs::write(spool.join("folder/below/file"), "x").unwrap();
    std::os::unix::fs::symlink("/nowhere", spool.join("link")).unwrap();
    let outcome = at.run(2);
    assert_eq!(outcome.code, Some(1));
    let line = outcome.stderr.lines().find(|line| line.contains(": spool: ")).unwrap();
    for name in ["notes.txt", ".hidden", "-1-1-carbon-x.batch", "folder", "link"] {
        assert!(line.contains(name), "{name}: {line}");
        assert!(at.bad().contains(&name.to_string()) && at.bad().contains(&format!("{name}.why")), "{:?}", at.bad());
    }
    assert!(line.contains("into bad/, which gridmon did not write"), "{line}");
    assert_eq!(fs::read_to_string(spool.join("bad/folder/below/file")).unwrap(), "x");
    at.has(0..=2);
    assert_eq!(names(&spool), ["bad", "lock.carbon"]);
    let outcome = at.run(3);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);

    // Another one of a name that is there already, and a folder of a batch's name, which no run can read.
    fs::write(spool.join("notes.txt"), "and this?\n").unwrap();
    fs::create_dir(spool.join("folder")).unwrap();
    let outcome = at.run(4);
    assert!(outcome.stderr.contains("folder"), "{}", outcome.stderr);
    assert_eq!(account(&outcome.stderr)[1], at.clouds.points() + 1);
    at.has(0..=4);
    assert_eq!(names(&spool), ["bad", "lock.carbon"], "{}", outcome.stderr);
    let kept: Vec<_> = at
        .bad()
        .iter()
        .filter(|name| name.starts_with("notes.txt") && !name.ends_with(".why"))
        .map(|name| fs::read_to_string(spool.join("bad").join(name)).unwrap())
        .collect();
    assert_eq!(kept.len(), 2, "the first of two files of one name was lost: {:?}", at.bad());
    assert_eq!(at.run(5).code, Some(0));
}

#[test]
fn a_folder_with_the_name_of_a_batch_is_named_and_holds_up_nothing() {
    let at = Waiting::new(3, 2);
    let name = named(&batches(&at.sandbox)[0], -60);
    fs::create_dir(at.spool().join(&name)).unwrap();
    let outcome = at.run(2);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(&format!("batch {name}: ")), "{}", outcome.stderr);
    at.has(0..=2);
}

#[test]
fn a_spool_that_vanishes_between_runs_is_made_again() {
    let at = Waiting::new(3, 1);
    fs::remove_dir_all(at.spool()).unwrap();
    let outcome = at.run(1);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    fs::remove_dir_all(at.sandbox.path("state")).unwrap();
    at.carbon(false, "");
    assert_eq!(at.run(2).code, Some(1));
    at.carbon(true, "");
    assert_eq!(at.run(3).code, Some(0));
    at.has([1, 2, 3]);
}

#[test]
fn a_spool_that_cannot_be_had_costs_no_live_points() {
    let at = Waiting::new(3, 0);
    fs::write(at.spool(), "a file").unwrap_or_else(|_| {
        fs::remove_dir_all(at.spool()).unwrap();
        fs::write(at.spool(), "a file").unwrap();
    });
    let outcome = at.run(0);
    assert_eq!(outcome.code, Some(1));
    let words = format!(
        "collect-grid: spool: spool {}: Not a directory (os error 20); what a sink does not acknowledge at once is lost",
        at.spool().display()
    );
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    let [collected, delivered, ..] = account(&outcome.stderr);
    assert_eq!((collected, delivered), (at.clouds.points(), at.clouds.points()));
    at.has([0]);
    // With Carbon down as well the points are lost, and that is said.
    at.carbon(false, "");
    let outcome = at.run(1);
    assert_eq!(outcome.code, Some(1));
    let [collected, delivered, spooled, dropped, _, waiting] = account(&outcome.stderr);
    assert_eq!((delivered, spooled, dropped, waiting), (0, 0, collected, 0));
    let words = format!("all {collected} points of this run (neither spooled nor acknowledged by carbon)");
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
}

/// A run of [`Waiting`] in which everybody sees the disk.
fn run_on(disk: &SmallDisk, at: &Waiting, minute: i64) -> Outcome {
    let arguments = at.clouds.at(&at.sandbox, START + MINUTE * minute);
    let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    arguments.push("-v");
    disk.run(&at.sandbox.command(&arguments))
}

#[test]
fn a_disk_that_has_gone_read_only_costs_no_live_points_and_what_is_on_it_waits() {
    let test = "a_disk_that_has_gone_read_only_costs_no_live_points_and_what_is_on_it_waits";
    // That of the spool alone, and that of all the state.
    for folder in ["state/spool", "state"] {
        let at = Waiting::new(3, 0);
        let Some(disk) = SmallDisk::mount(test, at.sandbox.path(folder), "4m") else { return };
        at.carbon(false, "");
        assert_eq!(run_on(&disk, &at, 0).code, Some(1));
        disk.remount("ro");
        at.carbon(true, "");
        for minute in [1, 2] {
            let outcome = run_on(&disk, &at, minute);
            assert_eq!(outcome.code, Some(1), "{folder}");
            let words = "collect-grid: spool: spool: Read-only file system (os error 30); what a sink does not acknowledge at once is lost";
            assert!(outcome.stderr.contains(words), "{folder}: {}", outcome.stderr);
            let [collected, delivered, spooled, dropped, replayed, waiting] = account(&outcome.stderr);
            assert_eq!((delivered, spooled, dropped, replayed), (collected, 0, 0, 0), "{folder}");
            assert_eq!(waiting, at.clouds.points(), "{folder}");
        }
        at.has([1, 2]);
        disk.remount("rw");
        let outcome = run_on(&disk, &at, 3);
        assert_eq!((outcome.code, account(&outcome.stderr)[5]), (Some(0), 0), "{folder}: {}", outcome.stderr);
        at.has(0..=3);
    }
}

#[test]
fn a_full_disk_costs_no_live_points() {
    let test = "a_full_disk_costs_no_live_points";
    // Of the spool alone, and of all the state.
    for folder in ["state/spool", "state"] {
        let at = Waiting::new(3, 0);
        let Some(disk) = SmallDisk::mount(test, at.sandbox.path(folder), "2m") else { return };
        // Where nobody minds a foreign file.
        let filling = if folder == "state" { "spool/bad/filling" } else { "bad/filling" };
        at.carbon(false, "[spool]\nmax_disk_percent = 100");
        assert_eq!(run_on(&disk, &at, 0).code, Some(1), "{folder}");
        disk.fill(filling);
        // Before the limit, and where there is none.
        for (minute, percent, words) in [
            (
                1,
                100,
                "spool: spool: No space left on device (os error 28); what a sink does not acknowledge at once is lost",
            ),
            (
                2,
                95,
                "spool: spool: its disk is 100 % full, and [spool] max_disk_percent is 95; what a sink does not acknowledge at once is lost",
            ),
        ] {
            at.carbon(true, &format!("[spool]\nmax_disk_percent = {percent}"));
            let outcome = run_on(&disk, &at, minute);
            assert_eq!(outcome.code, Some(1), "{folder}");
            assert!(outcome.stderr.contains(words), "{folder}: {}", outcome.stderr);
            let [collected, delivered, spooled, dropped, _, waiting] = account(&outcome.stderr);
            assert_eq!((delivered, spooled, dropped, waiting), (collected, 0, 0, 0), "{folder}: {}", outcome.stderr);
            // What waits could be sent all the same: reading it needs no room.
            at.has(0..=minute);
        }
        at.carbon(false, "[spool]\nmax_disk_percent = 100");
        // Also where the batch was that has left.
        disk.fill(filling);
        let outcome = run_on(&disk, &at, 3);
        let [collected, delivered, spooled, dropped, ..] = account(&outcome.stderr);
        assert_eq!((delivered, spooled, dropped), (0, 0, collected), "{folder}: {}", outcome.stderr);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains("points of this run (neither spooled nor acknowledged by carbon)"));
        // No leaving of what did not fit, and all is well with room.
        fs::remove_file(disk.path(filling)).unwrap();
        let spool = disk.path(filling).ancestors().nth(2).unwrap().to_path_buf();
        assert_eq!(names(&spool), ["bad", "lock.carbon"]);
        at.carbon(true, "");
        let outcome = run_on(&disk, &at, 4);
        assert_eq!(outcome.code, Some(0), "{folder}: {}", outcome.stderr);
        at.has([0, 1, 2, 4]);
    }
}

#[test]
fn beyond_max_bytes_the_oldest_go_and_are_named() {
    let at = Waiting::new(3, 6);
    let bytes: Vec<u64> =
        batches(&at.sandbox).iter().map(|name| fs::metadata(at.spool().join(name)).unwrap().len()).collect();
    let keep: u64 = bytes[3..].iter().sum();
    let more = format!("[spool]\nmax_bytes = {keep}");
    at.carbon(false, &more);
    let outcome = at.run(6);
    assert_eq!(outcome.code, Some(1));
    let lost = 3 * at.clouds.points() + 2;
    let words = format!(
        "collect-grid: spool limit: dropped 3 batches with {lost} points from 2024-06-01 00:00 UTC on, that waited longer than [spool] max_age_days or beyond max_bytes"
    );
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    let [collected, delivered, spooled, dropped, _, waiting] = account(&outcome.stderr);
    assert_eq!((delivered, spooled, dropped), (0, collected, 0));
    assert_eq!(waiting, 4 * (at.clouds.points() + 1));
    at.carbon(true, "");
    assert_eq!(at.run(7).code, Some(0));
    at.has(3..=7);
}

#[test]
fn older_than_max_age_days_they_go_and_are_named() {
    let at = Waiting::new(3, 3);
    let two_days = 2 * 24 * 60;
    at.carbon(true, "[spool]\nmax_age_days = 2");
    // Two days after the second of the three.
    let outcome = at.run(two_days + 1);
    assert_eq!(outcome.code, Some(1));
    let lost = at.clouds.points();
    let words = format!("spool limit: dropped 1 batches with {lost} points from 2024-06-01 00:00 UTC on");
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    at.has([1, 2, two_days + 1]);
    assert_eq!(at.run(two_days + 2).code, Some(0));
}

#[test]
fn on_a_disk_beyond_max_disk_percent_nothing_is_spooled_and_live_points_arrive() {
    let at = Waiting::new(3, 2);
    at.carbon(true, "[spool]\nmax_disk_percent = 1");
    let outcome = at.run(2);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains(" % full, and [spool] max_disk_percent is 1; what a sink does not"),
        "{}",
        outcome.stderr
    );
    let [collected, delivered, ..] = account(&outcome.stderr);
    assert_eq!(collected, delivered);
    at.has(0..=2);
}

#[test]
fn of_twenty_grids_on_one_spool_a_stuck_one_holds_up_nobody_and_loses_nothing() {
    const GRIDS: usize = 20;
    let (sandbox, keeper, stopped) = (Sandbox::new("small"), Keeper::start(), Keeper::start());
    stopped.mood(Mood::Stopped);
    let (closed, _ports) = free_port();
    let grids: Vec<_> = (0..GRIDS).map(|at| Clouds { grid: format!("g{at:02}"), ..Clouds::new(2 + at % 3) }).collect();
    // Some of all wait.
    for (at, grid) in grids.iter().enumerate() {
        grid.config(&sandbox, closed, "");
        assert_eq!(grid.run(&sandbox, START + MINUTE * (at as i64 % 4)).code, Some(1));
        grid.config(&sandbox, keeper.port, "timeout_seconds = 30");
    }
    let now = START + 10 * MINUTE;
    let spawn = |grid: &Clouds, time: i64| {
        let arguments = grid.at(&sandbox, time);
        let mut command = sandbox.command(&arguments.each_ref().map(String::as_str));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let own = |grid: &str| {
        let batches = batches(&sandbox).into_iter().filter(|name| slot(name) == now && name.contains(grid));
        batches.collect::<Vec<_>>()
    };
    // One publishes, and stops on its way to Carbon.
    grids[0].config(&sandbox, stopped.port, "timeout_seconds = 30");
    let mut stuck = spawn(&grids[0], now);
    let held = wait_until("the batch of the one that gets stuck", Duration::from_secs(30), || own("g00").pop());
    support::signal(stuck.id(), "STOP");

    for (minute, expected) in [(0, "works again"), (1, "")] {
        let runs: Vec<_> = grids[1..].iter().map(|grid| (grid, spawn(grid, now + MINUTE * minute))).collect();
        for (grid, run) in runs {
            let output = run.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{}: {stderr}", grid.grid);
            assert!(stderr.lines().all(|line| !expected.is_empty() && line.contains(expected)), "{stderr}");
        }
    }
    // Whoever had the lock may have begun before others had published; the second round has taken all.
    assert_eq!(batches(&sandbox), [held.as_str()]);
    let of_stuck = |(path, time): &Key| path.starts_with("grids.g00.") && *time == now;
    assert!(!keeper.values().keys().any(of_stuck), "its maker lives and holds it");

    support::signal(stuck.id(), "KILL");
    stuck.wait().unwrap();
    assert_eq!(grids[1].run(&sandbox, now + 2 * MINUTE).code, Some(0));
    assert_eq!(batches(&sandbox), Vec::<String>::new());
    let mut expected = BTreeMap::new();
    for (at, grid) in grids.iter().enumerate() {
        expected.extend(grid.datapoints(START + MINUTE * (at as i64 % 4)));
        expected.extend(grid.datapoints(now));
        expected.extend(if at > 0 { grid.datapoints(now + MINUTE) } else { BTreeMap::new() });
        expected.extend(if at == 1 { grid.datapoints(now + 2 * MINUTE) } else { BTreeMap::new() });
    }
    assert_same(&keeper.values(), &expected);
    assert_eq!(keeper.changed(), []);
}
