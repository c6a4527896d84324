//! Odd spools and programs beside each other: what is torn, foreign, too much, or cannot be written costs what it must and
//! no more, is named, and the run's own points reach Carbon when that is up.

mod disk;
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::proof::{Clouds, Keeper, Key, account, batches, names, slot};
use gridmon_testkit::sandbox::{Mood, Outcome, Sandbox};
use gridmon_testkit::{Ports, free_port, wait_until};

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
