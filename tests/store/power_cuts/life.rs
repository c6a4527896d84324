//! The lives that are recorded.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use gridmon_testkit::power::{Disk, Log, record};
use gridmon_testkit::sandbox::proof::{Clouds, Keeper, Key};
use gridmon_testkit::sandbox::{Outcome, Sandbox, fixture};
use gridmon_testkit::{free_port, program};
use jiff::Timestamp;
use rusqlite::Connection;

use crate::runs::stored;

pub(super) const MINUTE: i64 = 60;

/// What happened on a disk.
pub(super) struct Life {
    pub(super) log: Log,
    pub(super) clouds: Clouds,
    /// Of each slot: the time whose values its source had.
    pub(super) slots: BTreeMap<i64, i64>,
    /// The slots that were discarded for Carbon.
    pub(super) discarded: Vec<i64>,
    /// The slots that pruning removes.
    pub(super) old: Vec<i64>,
    /// What is in the store from the beginning.
    pub(super) before: BTreeMap<Key, f64>,
    /// The time of the first run after a cut.
    pub(super) next: i64,
}

/// Where the programs' state and store are, in the sandbox and on the disk.
pub(super) const STATE: &str = "disk/state";

/// Makes `clouds` the grid of a sandbox whose state is on the disk; `more` is config.
pub(super) fn configure(sandbox: &Sandbox, clouds: &Clouds, more: &str) {
    let state = sandbox.path(STATE);
    let text = format!(
        "[grid]\nname = {}\ndeadline_seconds = {}\n[state]\ndirectory = {}\n[cloud_scheduler]\ncommand = cat {}\n[spool]\nmax_age_days = 1000\n{more}",
        clouds.grid,
        clouds.deadline_seconds,
        state.display(),
        sandbox.path(&format!("{}.json", clouds.grid)).display(),
    );
    sandbox.write(&format!("{}.cfg", clouds.grid), text);
}

/// The config of a site with both a store and a Carbon.
pub(super) fn with_carbon(sandbox: &Sandbox, port: u16) -> String {
    let store = store(sandbox);
    format!("[carbon]\nhost = 127.0.0.1\nport = {port}\n[embedded]\npath = {}\n", store.display())
}

pub(super) fn store(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(STATE).join("gridmon.db")
}

/// `gridmon-status` in the sandbox.
pub(super) fn status(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program("gridmon-status"));
    Outcome::of(command.args(arguments).args(["-c", "heprc.cfg"]).current_dir(sandbox.path("")).env_clear())
}

/// What is said when a slot was discarded.
pub(super) fn discarded(slot: i64) -> String {
    format!("{slot} is discarded")
}

/// A life while it is lived.
struct Living<'a> {
    disk: &'a Disk,
    sandbox: &'a Sandbox,
    clouds: Clouds,
    slots: BTreeMap<i64, i64>,
    discarded: Vec<i64>,
}

impl<'a> Living<'a> {
    fn new(disk: &'a Disk, sandbox: &'a Sandbox) -> Self {
        Self { disk, sandbox, clouds: Clouds::new(3), slots: BTreeMap::new(), discarded: Vec::new() }
    }
}

impl Living<'_> {
    /// A run at a time that must end with this code.
    fn run(&mut self, time: i64, code: i32) {
        let outcome = self.clouds.run(self.sandbox, time);
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        self.slots.insert(time, time);
    }

    /// A run by the machine's clock, which prunes. Returns its slot.
    fn run_now(&mut self, keeper: &Keeper) -> i64 {
        let time = Timestamp::now().as_second();
        let arguments = self.clouds.at(self.sandbox, time);
        let outcome = self.sandbox.run(&arguments.each_ref().map(String::as_str)[..2]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        // A new minute may have begun meanwhile.
        let slot = keeper.values().keys().map(|(_, time)| *time).max().unwrap();
        self.slots.insert(slot, time);
        slot
    }

    /// Discards what waits of a slot; its batch as a whole, or what waits for a sink.
    fn discard(&mut self, slot: i64, of: &[&str]) {
        let outcome = status(self.sandbox, &[&["discard", "-y"], of].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        self.discarded.push(slot);
        self.disk.mark(&discarded(slot));
    }

    /// What comes now.
    fn phase(&self, name: &str, more: &str) {
        self.disk.mark(name);
        configure(self.sandbox, &self.clouds, more);
    }
}

/// A site from its first run on. `None` without FUSE.
pub(super) fn site() -> Option<Life> {
    let sandbox = Sandbox::new("small");
    let folder = sandbox.path("disk");
    fs::create_dir(&folder).unwrap();
    let start = Timestamp::now().as_second().div_euclid(MINUTE) * MINUTE - 60 * MINUTE;
    let old = [0, 1].map(|minute| start - 40 * 86_400 + minute * MINUTE);
    let ((slots, discarded, next), log) = record(&folder, |disk| {
        let mut life = Living::new(disk, &sandbox);
        life.phase("the first runs", "");
        old.into_iter().chain([start]).for_each(|time| life.run(time, 0));

        life.phase("a store that fails", "");
        disk.refuse(Some("gridmon.db-wal"));
        (1..3).for_each(|minute| life.run(start + minute * MINUTE, 1));
        disk.refuse(None);
        life.phase("the backlog of the store", "");
        life.run(start + 3 * MINUTE, 0);

        let (closed, _ports) = free_port();
        life.phase("Carbon is down", &with_carbon(&sandbox, closed));
        disk.refuse(Some("gridmon.db-wal"));
        life.run(start + 4 * MINUTE, 1);
        // The store still owes it: a copy is put into bad/.
        life.discard(start + 4 * MINUTE, &["--sink", "carbon"]);
        disk.refuse(None);
        (5..8).for_each(|minute| life.run(start + minute * MINUTE, 1));
        // The store has it: the batch itself goes to bad/.
        life.discard(start + 5 * MINUTE, &[&format!("{:012}-", start + 5 * MINUTE)]);
        let keeper = Keeper::start();
        let both = with_carbon(&sandbox, keeper.port);
        life.phase("the backlog of Carbon", &both);
        life.run(start + 8 * MINUTE, 0);

        // While it has the store open the log beside the store is neither emptied nor removed by the writers.
        let reader = Connection::open(store(&sandbox)).unwrap();
        let read = || reader.query_row("SELECT count(*) FROM series", [], |row| row.get::<_, i64>(0)).unwrap();
        life.phase("beside a reader", &both);
        read();
        (9..11).for_each(|minute| life.run(start + minute * MINUTE, 0));
        read();
        reader.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        // Writes over the beginning of the log.
        life.run(start + 11 * MINUTE, 0);
        life.phase("a vacuum beside a reader", &both);
        let vacuumed = status(&sandbox, &["store", "vacuum"]);
        assert_eq!(vacuumed.code, Some(0), "{}", vacuumed.stderr);
        drop(reader);

        life.phase("pruning", &both);
        let now = life.run_now(&keeper);
        life.phase("a vacuum", &both);
        let vacuumed = status(&sandbox, &["store", "vacuum"]);
        assert_eq!(vacuumed.code, Some(0), "{}", vacuumed.stderr);
        life.phase("the last run", &both);
        life.run(now + MINUTE, 0);
        life.disk.mark("the end");
        let hour = Connection::open(store(&sandbox)).unwrap();
        let hour: i64 = hour.query_row("SELECT min(bucket) FROM tier_raw", [], |row| row.get(0)).unwrap();
        assert!(hour > old[1] / 3600, "nothing was pruned");
        (life.slots, life.discarded, now + 2 * MINUTE)
    })?;
    Some(Life { log, clouds: Clouds::new(3), slots, discarded, old: old.into(), before: BTreeMap::new(), next })
}

/// A store of schema 1 and its first run with this version. `None` without FUSE.
pub(super) fn migration() -> Option<Life> {
    let sandbox = Sandbox::new("small");
    let folder = sandbox.path("disk");
    fs::create_dir(&folder).unwrap();
    let start = Timestamp::now().as_second().div_euclid(MINUTE) * MINUTE;
    let ((slots, before), log) = record(&folder, |disk| {
        let mut life = Living::new(disk, &sandbox);
        fs::create_dir(sandbox.path(STATE)).unwrap();
        fs::copy(fixture("store/schema1.db"), store(&sandbox)).unwrap();
        // On another disk: a store that this process opens keeps the disk in use.
        let before = stored(&sandbox.write("before.db", fs::read(fixture("store/schema1.db")).unwrap()));
        assert!(!before.is_empty(), "the old store is empty");
        disk.settle();
        life.phase("a migration", "");
        (0..2).for_each(|minute| life.run(start + minute * MINUTE, 0));
        disk.mark("the end");
        (life.slots, before)
    })?;
    let next = start + 2 * MINUTE;
    Some(Life { log, clouds: Clouds::new(3), slots, discarded: Vec::new(), old: Vec::new(), before, next })
}
