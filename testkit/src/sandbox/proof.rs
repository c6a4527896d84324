//! What the proofs of delivery share: a source whose every value is known, a Carbon that keeps what it has read, and a look
//! into the spool.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Outcome, Sandbox};

pub use super::keeper::Keeper;

/// What Carbon keeps one value for: path and time in unix seconds.
pub type Key = (String, i64);

/// A grid of clouds and nothing else, whose answer at any time is a formula, so that a value in the wrong place shows.
#[derive(Clone, Debug)]
pub struct Clouds {
    /// The grid's name.
    pub grid: String,
    /// How many clouds it has; each makes 7 points and 8 datapoints.
    pub count: usize,
    /// The deadline of its runs, in seconds.
    pub deadline_seconds: u64,
}

/// The points of one cloud.
pub const POINTS_OF_A_CLOUD: usize = 7;

/// The measurements that a run covers.
const COVERED: [&str; 3] = ["grid_cloud", "grid_heartbeat", "grid_vms"];

/// The points of a run that are not of a cloud: two heartbeats, and what it covered.
pub const OTHER_POINTS: usize = 2 + COVERED.len();

impl Clouds {
    /// The grid `heprc` with this many clouds.
    pub fn new(count: usize) -> Self {
        Self { grid: "heprc".into(), count, deadline_seconds: 50 }
    }

    /// The points that a run collects, but for the report of the run before it.
    pub fn points(&self) -> usize {
        self.count * POINTS_OF_A_CLOUD + OTHER_POINTS
    }

    /// Quota, machines that run and machines in error of one cloud in one minute.
    fn values(at: usize, time: i64) -> [i64; 3] {
        let (cloud, minute) = (at as i64, time.div_euclid(60));
        [minute % 1_000_000 * 1000 + cloud % 1000, (minute * 7 + cloud) % 4 + 1, (minute * 5 + cloud * 3) % 3]
    }

    /// What `cloud_status -aj` prints at this time.
    pub fn json(&self, time: i64) -> String {
        let vm = |status: &str| format!(r#"{{"vmtype":"w","status":"{status}"}}"#);
        let clouds: Vec<_> = (0..self.count)
            .map(|at| {
                let [quota, running, error] = Self::values(at, time);
                let mut vms = vec![vm("Running"); running as usize];
                vms.extend(vec![vm("Error"); error as usize]);
                format!(r#"{{"name":"c{at:04}","enabled":true,"max_slots":{quota},"vms":[{}]}}"#, vms.join(","))
            })
            .collect();
        format!(r#"{{"resources":[{}]}}"#, clouds.join(","))
    }

    /// The datapoints that a run at this time must bring into Carbon, but for the report of the run before it.
    pub fn datapoints(&self, time: i64) -> BTreeMap<Key, f64> {
        let slot = time.div_euclid(60) * 60;
        let mut datapoints = BTreeMap::new();
        for measurement in COVERED {
            datapoints.insert((format!("coverage.{}.{measurement}", self.grid), slot), 1.0);
        }
        let mut put =
            |path: String, value: i64| datapoints.insert((format!("grids.{}.{path}", self.grid), slot), value as f64);
        put("heartbeat.cloud_monitor".into(), 1);
        put("heartbeat.cloud_scheduler".into(), 1);
        for at in 0..self.count {
            let [quota, running, error] = Self::values(at, time);
            put(format!("clouds.c{at:04}.enabled"), 1);
            put(format!("clouds.c{at:04}.quota"), quota);
            for (status, vms) in [
                ("starting", 0),
                ("running", running),
                ("retiring", 0),
                ("error", error),
                ("shutdown", 0),
                ("total", running + error),
            ] {
                put(format!("clouds.c{at:04}.vms.w.{status}"), vms);
            }
        }
        datapoints
    }

    /// Makes this the grid of the sandbox, sent to a Carbon on `port`; `more` is config, its `[carbon]` lines first.
    pub fn config(&self, sandbox: &Sandbox, port: u16, more: &str) -> PathBuf {
        let Self { grid, deadline_seconds, .. } = self;
        let text = format!(
            "[grid]\nname = {grid}\ndeadline_seconds = {deadline_seconds}\n[state]\ndirectory = {}\n[cloud_scheduler]\ncommand = cat {}\n[carbon]\nhost = 127.0.0.1\nport = {port}\n{more}\n",
            sandbox.path("state").display(),
            self.file(sandbox).display(),
        );
        sandbox.write(&format!("{grid}.cfg"), text)
    }

    fn file(&self, sandbox: &Sandbox) -> PathBuf {
        sandbox.path(&format!("{}.json", self.grid))
    }

    /// Lets the source answer as of this time; the arguments of a run then.
    pub fn at(&self, sandbox: &Sandbox, time: i64) -> [String; 4] {
        fs::write(self.file(sandbox), self.json(time)).unwrap();
        ["-c".into(), format!("{}.cfg", self.grid), "--now".into(), time.to_string()]
    }

    /// One run at this time.
    pub fn run(&self, sandbox: &Sandbox, time: i64) -> Outcome {
        let arguments = self.at(sandbox, time);
        sandbox.run(&arguments.each_ref().map(String::as_str))
    }
}

/// Whether a path is of the report that a run sends of the run before it.
pub fn is_report(path: &str) -> bool {
    path.starts_with("run.")
}

/// The published batches of a spool, sorted.
pub fn batches(sandbox: &Sandbox) -> Vec<String> {
    names(&sandbox.path("state/spool")).into_iter().filter(|name| name.ends_with(".batch")).collect()
}

/// The slot of a batch, from its name.
pub fn slot(batch: &str) -> i64 {
    batch[..12].parse().unwrap()
}

/// The names in a folder, sorted; none when it is not there.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file below a folder, by its path in it, sorted.
pub fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            files.extend(self::files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            files.push(name);
        }
    }
    files
}

/// Makes a file look as if it had last been written this long ago.
pub fn set_back(path: &Path, by: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Random numbers that a seed repeats: splitmix64.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// The line of `--verbose` about Carbon: collected, delivered, spooled, dropped, replayed, waiting. The sum is checked.
pub fn account(stderr: &str) -> [usize; 6] {
    let line =
        stderr.lines().find(|line| line.contains(" collected = ")).unwrap_or_else(|| panic!("no account: {stderr}"));
    let line = line.split_once(": carbon: ").expect("of carbon").1;
    let numbers: Vec<usize> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().unwrap())
        .collect();
    let account: [usize; 6] = numbers.try_into().unwrap();
    assert_eq!(account[0], account[1] + account[2] + account[3], "{line}");
    account
}

/// What `GRIDMON_SEED` says, or a new seed.
pub fn seed() -> u64 {
    let seed = std::env::var("GRIDMON_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond() as u64)
}

/// Whether the long forms are asked for: `make soak`.
pub fn soak() -> bool {
    std::env::var_os("GRIDMON_SOAK").is_some_and(|value| value == "1")
}
