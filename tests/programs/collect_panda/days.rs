//! Simulated days into a real InfluxDB with login on: gaps, restarts, outages, hangs, repeats, two runs in a slot, tags that change,
//! queues that come and go, odd counts, a PanDA that fails. What a query gives back at the end is what was collected, once.

use std::collections::{BTreeMap, BTreeSet};

use gridmon_testkit::{Influxdb, skip};

use super::*;

/// Queue, production source, resource type and status.
type Key = [String; 4];

/// What the database must hold: by key and slot the value of the last run, and its seconds within the slot.
#[derive(Default)]
struct Expected {
    rows: BTreeMap<(Key, i64), (i64, i64)>,
    /// The slots of which an answer was whole.
    covered: BTreeSet<i64>,
    /// The series that the next whole answer must not lack.
    known: BTreeSet<Key>,
}

impl Expected {
    /// Takes in the answer of a run; a late one knows of no earlier one, and is known to none.
    fn collect(&mut self, now: i64, counts: &BTreeMap<Key, i64>, is_whole: bool, is_late: bool) {
        let (slot, sequence) = (now / 600 * 600, now % 600);
        for (key, jobs) in counts {
            self.rows.insert((key.clone(), slot), (*jobs, sequence));
        }
        if is_whole {
            self.covered.insert(slot);
        }
        if is_late {
            return;
        }
        if is_whole {
            for key in self.known.iter().filter(|key| !counts.contains_key(*key)) {
                self.rows.insert((key.clone(), slot), (0, sequence));
            }
            self.known.clear();
        }
        self.known.extend(counts.keys().cloned());
    }
}

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// The world that PanDA and CRIC tell of.
struct World {
    random: Random,
    /// The status of each queue that CRIC knows.
    queues: BTreeMap<String, &'static str>,
    /// The queues that have jobs.
    busy: BTreeSet<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let names = (0..6).map(|at| format!("QUEUE {at}"));
        let queues: BTreeMap<_, _> = names.map(|name| (name, "online")).collect();
        Self { random: Random(seed), busy: queues.keys().cloned().collect(), queues }
    }

    /// Lets some minutes pass.
    fn change(&mut self) {
        if self.random.percent(15) {
            let at = self.random.below(self.queues.len() as u64) as usize;
            let status = self.queues.values_mut().nth(at).unwrap();
            *status = if *status == "online" { "offline" } else { "online" };
        }
        if self.random.percent(15) {
            let name = self.queues.keys().nth(self.random.below(self.queues.len() as u64) as usize).unwrap().clone();
            if !self.busy.remove(&name) {
                self.busy.insert(name);
            }
        }
        if self.random.percent(3) {
            let name = format!("NEW-{}", self.queues.len());
            self.busy.insert(name.clone());
            self.queues.insert(name, "test");
        }
    }

    /// Sets what CRIC and PanDA answer; returns the counts that are whole numbers, and whether all are.
    fn tell(&mut self, site: &Site) -> (BTreeMap<Key, i64>, bool) {
        let record = |(name, status): (&String, &&str)| {
            (name.clone(), json!({"panda_resource": name, "status": status, "atlas_site": "S", "cloud": "CERN"}))
        };
        site.server.gives(QUEUES, &Value::Object(self.queues.iter().map(record).collect()));
        let odd = self.random.percent(5);
        let (mut counts, mut is_whole) = (BTreeMap::new(), true);
        let mut data = json!({});
        for queue in &self.busy {
            for resource in ["SCORE", "MCORE", "null"] {
                for status in ["running", "failed", "a status of its own"] {
                    if self.random.percent(10) {
                        continue;
                    }
                    let count = self.random.below(1000) as i64;
                    let is_odd = odd && self.random.percent(10);
                    data[queue]["managed"][resource][status] = if is_odd { json!(-1) } else { json!(count) };
                    if is_odd {
                        is_whole = false;
                    } else {
                        let key = [queue.as_str(), "managed", resource, status].map(String::from);
                        counts.insert(key, count);
                    }
                }
            }
        }
        site.server.gives(PANDA, &json!({"success": true, "message": "", "data": data}));
        (counts, is_whole)
    }
}

/// What befalls InfluxDB in a slot.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Up,
    Down,
    Hangs,
}

/// Plays `days` into InfluxDB and compares.
fn play(test: &str, days: i64, seed: u64) {
    let Some(mut influxdb) = Influxdb::start() else { return skip(test, "InfluxDB") };
    let site = Site::golden();
    site.config(&format!(
        "[influxdb]\nurl = http://127.0.0.1:{}\nusername = root\npassword = {}\ndatabase = monit_jobs\ntimeout_seconds = 3",
        influxdb.port,
        Influxdb::PASSWORD
    ));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    let (mut world, mut expected) = (World::new(seed), Expected::default());
    let begin = NOW / 86_400 * 86_400;
    let (mut state, mut missed) = (State::Up, None);
    for slot in (begin..begin + 86_400 * days).step_by(600) {
        let is_last = slot + 600 == begin + 86_400 * days;
        let next = match (state, world.random.below(100)) {
            _ if is_last => State::Up,
            (State::Up, 0..4) => State::Down,
            (State::Up, 4..5) => State::Hangs,
            (State::Up, 5..7) => {
                influxdb.kill();
                influxdb.restart();
                State::Up
            }
            (State::Down, 0..75) | (State::Hangs, 0..20) => state,
            _ => State::Up,
        };
        match (state, next) {
            (State::Up, State::Down) => influxdb.kill(),
            (State::Down, State::Up) => influxdb.restart(),
            (State::Up, State::Hangs) => influxdb.signal("STOP"),
            (State::Hangs, State::Up) => influxdb.signal("CONT"),
            _ => {}
        }
        state = next;
        world.change();
        if !is_last && world.random.percent(5) {
            missed = Some(slot);
            continue;
        }
        let now = slot + world.random.below(300) as i64;
        slot_runs(&site, &mut world, &mut expected, (now, is_last), state == State::Up);
        if world.random.percent(30)
            && let Some(slot) = missed.take()
        {
            let (counts, is_whole) = world.tell(&site);
            site.at(slot + 7, &[]);
            expected.collect(slot + 7, &counts, is_whole, true);
        }
    }
    compare(&influxdb, &expected);
    let left = site.at(begin + 86_400 * days + 5, &["-v"]);
    assert!(left.stderr.contains("influxdb: ") && left.stderr.contains(" 0 wait"), "{}", left.stderr);
}

/// The runs of one slot: one, the same once more, another one later, or one that PanDA does not answer.
fn slot_runs(site: &Site, world: &mut World, expected: &mut Expected, (now, is_last): (i64, bool), is_up: bool) {
    let (counts, is_whole) = world.tell(site);
    if !is_last && world.random.percent(5) {
        site.server.answers(PANDA, page("500 Internal Server Error", ""));
        assert_eq!(site.at(now, &[]).code, Some(1));
        return;
    }
    let mut run = |now: i64, counts: &BTreeMap<Key, i64>, is_whole: bool| {
        let outcome = site.at(now, &[]);
        assert_eq!(outcome.code == Some(0), is_whole && is_up, "{}", outcome.stderr);
        expected.collect(now, counts, is_whole, false);
    };
    run(now, &counts, is_whole);
    if world.random.percent(5) {
        run(now, &counts, is_whole);
    }
    // After an outage that ended within the slot the first picture waits when the second one comes: see the next slots.
    if world.random.percent(if is_up { 8 } else { 40 }) {
        world.change();
        let (counts, is_whole) = world.tell(site);
        run(now + 250, &counts, is_whole);
    }
}

fn compare(influxdb: &Influxdb, expected: &Expected) {
    let columns = "jobs, sequence, panda_queue, prod_source, resource, job_status";
    let mut rows = BTreeMap::<(Key, i64), (i64, i64)>::new();
    let mut offsets = BTreeMap::new();
    for row in influxdb.rows(&format!("SELECT {columns} FROM monit_jobs.\"10m\".jobs")) {
        let text = |at: usize| row[at].as_str().unwrap().to_string();
        let (time, key) = (row[0].as_i64().unwrap(), [text(3), text(4), text(5), text(6)]);
        let (slot, offset) = (time / 600_000_000_000 * 600, time % 600_000_000_000);
        assert_eq!(*offsets.entry(key.clone()).or_insert(offset), offset, "{key:?}");
        assert!((100_000_000..1_000_000_000).contains(&offset), "{key:?}");
        let value = (row[1].as_i64().unwrap(), row[2].as_i64().unwrap());
        // Two runs of a slot with other tags: the later one counts.
        let kept = rows.entry((key, slot)).or_insert(value);
        if value.1 > kept.1 {
            *kept = value;
        }
    }
    for (row, value) in &expected.rows {
        assert_eq!(rows.get(row), Some(value), "{row:?}");
    }
    assert_eq!(rows.len(), expected.rows.len(), "{:?}", rows.keys().find(|row| !expected.rows.contains_key(*row)));
    let covered = influxdb.rows("SELECT slots FROM monit_jobs.\"10m\".coverage WHERE \"measurement\" = 'jobs'");
    let covered: BTreeSet<_> = covered.iter().map(|row| row[0].as_i64().unwrap() / 1_000_000_000).collect();
    assert_eq!(covered, expected.covered);
    assert!(rows.len() > 4000 && expected.rows.values().any(|(jobs, _)| *jobs == 0), "{}", rows.len());
}

#[test]
fn a_simulated_day_comes_back_from_influxdb_as_it_was_collected_once() {
    play("a_simulated_day_comes_back_from_influxdb_as_it_was_collected_once", 1, 1);
}

#[test]
#[ignore = "three days: `make test-all` runs it"]
fn three_simulated_days_come_back_from_influxdb_as_they_were_collected_once() {
    for seed in 2..5 {
        play("three_simulated_days_come_back_from_influxdb_as_they_were_collected_once", 1, seed);
    }
}

#[test]
fn the_first_of_two_runs_that_waited_is_never_sent_after_the_second() {
    let test = "the_first_of_two_runs_that_waited_is_never_sent_after_the_second";
    let Some(mut influxdb) = Influxdb::start() else { return skip(test, "InfluxDB") };
    let site = Site::golden();
    site.config(&format!(
        "[influxdb]\nurl = http://127.0.0.1:{}\nusername = root\npassword = {}\ndatabase = monit_jobs",
        influxdb.port,
        Influxdb::PASSWORD
    ));
    assert_eq!(site.run(&["--setup"]).code, Some(0));
    let slot = NOW / 600 * 600;
    let queue = |status: &str| {
        site.server.gives(QUEUES, &json!({"CERN": {"panda_resource": "CERN", "status": status}}));
    };
    let jobs = |counts: Value| site.server.gives(PANDA, &json!({"CERN": {"managed": {"SCORE": counts}}}));
    influxdb.kill();
    queue("online");
    jobs(json!({"running": 1, "failed": 2}));
    assert_eq!(site.at(slot + 5, &[]).code, Some(1));
    influxdb.restart();
    // The later one has other tags and lacks a status, which is zero then.
    queue("offline");
    jobs(json!({"running": 3}));
    let outcome = site.at(slot + 450, &["-v"]);
    assert!(outcome.code == Some(0) && outcome.stderr.contains(" superseded, 0 wait"), "{}", outcome.stderr);
    let rows = influxdb.rows("SELECT jobs, sequence, job_status, site_state FROM monit_jobs.\"10m\".jobs");
    let mut rows: Vec<_> = rows.iter().map(|row| json!([row[3], row[1], row[2], row[4]]).to_string()).collect();
    rows.sort();
    // The zero has the tags that the series had last.
    assert_eq!(rows, [r#"["failed",0,450,"online"]"#, r#"["running",3,450,"offline"]"#]);
}
