//! From end to end: agents of many hosts, two masters behind a balancer, and InfluxDB or a Carbon. Whatever is killed, hangs, is away,
//! cut off or full meanwhile, every value that an agent has published is stored, and no other.
//!
//! `make test` takes ten agents for two minutes, before both stores at once, since such a system mostly waits. `make soak-system` takes
//! 200 for an hour before InfluxDB, and then 50 for a quarter of one before Carbon. `GRIDMON_SYSTEM_SECONDS` and
//! `GRIDMON_SYSTEM_AGENTS` set that, `GRIDMON_SEED` repeats the choices of a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::process::Command;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::Point;
use gridmon::setup::CATALOG;
use gridmon::sinks::graphite::carbon::datapoints;
use gridmon_testkit::network::Line;
use gridmon_testkit::sandbox::Mood;
use gridmon_testkit::sandbox::disk::SmallDisk;
use gridmon_testkit::sandbox::proof::Keeper;
use gridmon_testkit::{Front, Influxdb, signal, skip, wait_until};
use serde_json::Value;

use super::agents::{Agent, stored};
use super::{LIMIT, Master};

/// How long everything may take to arrive after the end.
const ARRIVES: Duration = Duration::from_secs(120);

/// Values, by series, time and field.
type Values = BTreeMap<(String, i64, String), f64>;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Choices that a seed repeats.
struct Choices(u64);

impl Choices {
    fn of(&mut self, count: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }
}

/// Where the values are to be.
enum Store {
    Influxdb(Influxdb),
    /// A stand-in: a real Carbon keeps one value for each step of its files.
    Carbon(Keeper),
}

impl Store {
    /// The section by which a master sends to it.
    fn section(&self) -> String {
        match self {
            Self::Influxdb(influxdb) => format!(
                "[influxdb]\nurl = http://127.0.0.1:{}/\ndatabase = g\nretention_raw = autogen\ntimeout_seconds = 3\nusername = root\n\
                 password = {}\n",
                influxdb.port,
                Influxdb::PASSWORD
            ),
            Self::Carbon(keeper) => {
                format!("[carbon]\nhost = 127.0.0.1\nport = {}\ntimeout_seconds = 3\n", keeper.port)
            }
        }
    }

    /// It is away.
    fn end(&mut self) {
        match self {
            Self::Influxdb(influxdb) => influxdb.kill(),
            Self::Carbon(keeper) => keeper.mood(Mood::Closes),
        }
    }

    /// It takes connections and says nothing.
    fn hang(&mut self) {
        match self {
            Self::Influxdb(influxdb) => influxdb.signal("STOP"),
            Self::Carbon(keeper) => keeper.mood(Mood::Stopped),
        }
    }

    /// It is there again after [`Store::end`].
    fn begin(&mut self) {
        match self {
            Self::Influxdb(influxdb) => influxdb.restart(),
            Self::Carbon(keeper) => keeper.mood(Mood::Good),
        }
    }

    /// It answers again after [`Store::hang`].
    fn wake(&mut self) {
        match self {
            Self::Influxdb(influxdb) => influxdb.signal("CONT"),
            Self::Carbon(keeper) => keeper.mood(Mood::Good),
        }
    }

    /// What it has of the series of these values.
    fn values(&self, expected: &Values) -> Values {
        match self {
            Self::Influxdb(influxdb) => in_influxdb(influxdb, expected),
            Self::Carbon(keeper) => {
                let paths: BTreeSet<_> = expected.keys().map(|(path, ..)| path).collect();
                let values = keeper.values().into_iter().filter(|((path, _), _)| paths.contains(path));
                values.map(|((path, time), value)| ((path, time, String::new()), value)).collect()
            }
        }
    }

    /// These points as it has them.
    fn expects(&self, points: &[Point]) -> Values {
        if let Self::Carbon(_) = self {
            let (datapoints, dropped) = datapoints(points, CATALOG);
            assert!(dropped.is_empty(), "Carbon takes all that sensors tell");
            let value = |one: gridmon::model::Datapoint| ((one.path, one.time, String::new()), one.value.as_f64());
            return datapoints.into_iter().map(value).collect();
        }
        let of = |point: &Point| {
            let tags: String = point.tags().map(|(name, value)| format!(",{name}={value}")).collect();
            let series = format!("{}{tags}", point.measurement());
            let value = |(field, value): (&str, gridmon::model::Value)| {
                ((series.clone(), point.time(), field.to_string()), value.as_f64())
            };
            point.fields().map(value).collect::<Vec<_>>()
        };
        points.iter().flat_map(of).collect()
    }
}

/// What InfluxDB has of the measurements of these values.
fn in_influxdb(influxdb: &Influxdb, expected: &Values) -> Values {
    let measurements: BTreeSet<_> = expected.keys().map(|(series, ..)| series.split(',').next().unwrap()).collect();
    let mut values = Values::new();
    for measurement in measurements {
        let answer = influxdb.query(&format!("SELECT * FROM g.\"autogen\".\"{measurement}\" GROUP BY *"));
        for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
            let tags = series["tags"].as_object().into_iter().flatten();
            let tags: String = tags.map(|(name, value)| format!(",{name}={}", value.as_str().unwrap())).collect();
            let columns: Vec<_> =
                series["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            for row in series["values"].as_array().unwrap() {
                let row = row.as_array().unwrap();
                let time = row[0].as_i64().unwrap();
                let fields = columns.iter().zip(row).skip(1).filter(|(_, value)| **value != Value::Null);
                for (field, value) in fields {
                    let key = (format!("{measurement}{tags}"), time, field.to_string());
                    values.insert(key, value.as_f64().unwrap());
                }
            }
        }
    }
    values
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    MasterDies,
    BothMastersAreAway,
    AgentsDie,
    StoreIsAway,
    MasterHangs,
    BalancerHangs,
    MasterDiesWhileTheStoreHangs,
    NetworkIsCut,
    DiskIsFull,
}

/// The whole system.
struct System {
    store: Store,
    masters: Vec<Master>,
    balancer: Front,
    agents: Vec<Agent>,
    /// The line of the agents' network, where the machine allows one.
    line: Option<Rc<Line>>,
}

impl System {
    /// What can fail on this machine.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![
            Kind::MasterDies,
            Kind::BothMastersAreAway,
            Kind::AgentsDie,
            Kind::StoreIsAway,
            Kind::MasterHangs,
            Kind::BalancerHangs,
            Kind::MasterDiesWhileTheStoreHangs,
        ];
        kinds.extend(self.line.as_ref().map(|_| Kind::NetworkIsCut));
        kinds.extend(self.masters[0].disk.as_ref().map(|_| Kind::DiskIsFull));
        kinds
    }

    /// Something fails, and is mended a little later.
    fn fail(&mut self, kind: Kind, choices: &mut Choices) {
        let pause = Duration::from_millis(300 + choices.of(1700));
        // Longer than an agent waits.
        let long = pause + Duration::from_secs(2);
        let one = choices.of(2) as usize;
        match kind {
            Kind::MasterDies => {
                self.masters[one].kill();
                thread::sleep(pause);
                self.masters[one].run();
            }
            Kind::BothMastersAreAway => {
                self.masters.iter_mut().for_each(Master::kill);
                thread::sleep(pause);
                self.masters.iter_mut().for_each(Master::run);
            }
            Kind::AgentsDie => {
                for _ in 0..1 + self.agents.len() / 5 {
                    let agent = choices.of(self.agents.len() as u64) as usize;
                    self.agents[agent].end("KILL");
                    self.agents[agent].run();
                }
                thread::sleep(pause);
            }
            Kind::StoreIsAway => {
                self.store.end();
                thread::sleep(pause);
                self.store.begin();
            }
            Kind::MasterHangs => {
                signal(self.masters[one].pid(), "STOP");
                thread::sleep(long);
                signal(self.masters[one].pid(), "CONT");
            }
            Kind::BalancerHangs => {
                self.balancer.signal("STOP");
                thread::sleep(long);
                self.balancer.signal("CONT");
            }
            Kind::MasterDiesWhileTheStoreHangs => {
                self.masters[one].kill();
                self.store.hang();
                thread::sleep(pause);
                self.store.wake();
                self.masters[one].run();
            }
            Kind::NetworkIsCut => {
                let line = self.line.as_ref().expect("it is there");
                line.cut();
                let balancer = format!("exec 3<>/dev/tcp/{}/{}", line.address, self.balancer.port);
                let mut reach = Command::new("timeout");
                reach.args(["0.5", "bash", "-c", &balancer]);
                assert!(!line.network.inside(&reach).status().unwrap().success(), "it is not cut");
                thread::sleep(long);
                line.mend();
            }
            Kind::DiskIsFull => {
                let disk = self.masters[one].disk.as_ref().expect("it is there");
                // What the sinks have is removed meanwhile, and leaves room. The point is of a measurement that no agent has.
                wait_until("a disk that is full", LIMIT, || {
                    disk.fill("ballast");
                    (self.masters[one].post("/write", "", b"probe f=1 1").0 == 503).then_some(())
                });
                thread::sleep(long);
                fs::remove_file(disk.path("ballast")).unwrap();
            }
        }
    }
}

/// What an agent's own store has.
fn own(agent: &Agent) -> Vec<Point> {
    let lines = stored(agent.command("gridmon-status", &["store", "export"]));
    lines.iter().map(|line| Point::from_line(line).unwrap()).collect()
}

/// A master whose state lies on a disk of its own, where the machine allows one.
fn master(test: &str, more: &str) -> Master {
    let mut master = Master::new(more);
    master.disk = SmallDisk::mount(test, master.folder.path().join("state"), "16m");
    master.run();
    master
}

fn into_influxdb() {
    const NAME: &str = "what_agents_publish_is_stored_in_influxdb";
    let Some(influxdb) = Influxdb::start() else { return skip(NAME, "InfluxDB") };
    influxdb.query("CREATE DATABASE g");
    whole_system(NAME, Store::Influxdb(influxdb));
}

fn into_carbon() {
    whole_system("what_agents_publish_is_stored_in_carbon", Store::Carbon(Keeper::start()));
}

fn is_soak() -> bool {
    env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1")
}

/// One test for both: the tests beside it then have but one turn less while these wait.
#[test]
fn what_agents_publish_is_stored_through_two_masters_behind_a_balancer() {
    if is_soak() {
        into_influxdb();
        into_carbon();
    } else {
        thread::scope(|threads| {
            threads.spawn(into_influxdb);
            threads.spawn(into_carbon);
        });
    }
}

/// Builds the system, lets it fail, and compares.
fn whole_system(name: &str, store: Store) {
    if !Command::new("/usr/bin/unshare").args(["-u", "/bin/true"]).status().is_ok_and(|status| status.success()) {
        return skip(name, "the right to name a machine (unshare -u)");
    }
    let line = Line::make().map(Rc::new);
    if line.is_none() {
        skip(name, "iproute2, or the right to make a network: no network is cut; it");
    }
    let address = line.as_ref().map_or("127.0.0.1", |line| &line.address).to_string();
    let more = format!("hosts = {address}\n{}", store.section());
    let masters = vec![master(name, &more), master(name, &more)];
    let ports: Vec<_> = masters.iter().map(|master| master.port).collect();
    let also = if line.is_some() { address.as_str() } else { "" };
    let Some(balancer) = Front::also_at(also, "haproxy-healthz", &ports) else { return skip(name, "haproxy") };
    let (agents, seconds) = match &store {
        _ if !is_soak() => (10, 120),
        Store::Influxdb(_) => (200, 3600),
        Store::Carbon(_) => (50, 900),
    };
    let (agents, seconds) = (number("GRIDMON_SYSTEM_AGENTS", agents), number("GRIDMON_SYSTEM_SECONDS", seconds));
    let seed = number("GRIDMON_SEED", std::process::id().into());
    println!("the whole system: GRIDMON_SEED={seed}");
    // Carbon's times are whole seconds.
    let (interval, publishes) = match &store {
        _ if agents > 20 => ("5", 5),
        Store::Influxdb(_) => ("0.5", 1),
        Store::Carbon(_) => ("1", 1),
    };
    let agents = (0..agents).map(|number| {
        let mut agent = Agent::new(balancer.port);
        (agent.to, agent.line) = (address.clone(), line.clone());
        (agent.host, agent.publishes) = (Some(format!("wn{number:03}")), publishes);
        let sensors = ["LoadAverage", "CPUTimes"].map(|name| format!("[sensor:{name}]\ntime_interval = {interval}\n"));
        agent.configure(&sensors.concat());
        agent.run();
        agent
    });
    let agents = agents.collect();
    let mut system = System { store, masters, balancer, agents, line };
    let (mut choices, mut failures, kinds) = (Choices(seed), 0, system.kinds());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) || failures < kinds.len() {
        // Each kind once, and then as it comes.
        let which = if failures < kinds.len() { failures } else { choices.of(kinds.len() as u64) as usize };
        system.fail(kinds[which], &mut choices);
        failures += 1;
        thread::sleep(Duration::from_millis(choices.of(500)));
    }
    thread::sleep(Duration::from_secs(1));
    compare(system, &format!("GRIDMON_SEED={seed}, {failures} failures"));
}

/// Ends the agents, and compares what they have published with what is stored.
fn compare(mut system: System, what: &str) {
    let mut points = Vec::new();
    for agent in &mut system.agents {
        agent.end("TERM");
    }
    for agent in &system.agents {
        agent.flush();
        points.extend(own(agent));
    }
    let hosts: BTreeSet<_> = points.iter().filter_map(|point| point.tag("host")).collect();
    assert_eq!(hosts.len(), system.agents.len(), "each agent has a name of its own");
    let expected = system.store.expects(&points);
    let ended = Instant::now();
    let (lost, invented) = loop {
        let there = system.store.values(&expected);
        let lost = expected.iter().filter(|(key, value)| there.get(*key) != Some(value)).count();
        let invented = there.keys().filter(|key| !expected.contains_key(*key)).count();
        if lost == 0 || ended.elapsed() > ARRIVES {
            break (lost, invented);
        }
        thread::sleep(Duration::from_millis(500));
    };
    let count = expected.len();
    assert_eq!((lost, invented), (0, 0), "of {count} values; {what}");
    println!(
        "the whole system: {what}: {} agents, {count} values: lost {lost}, invented {invented}",
        system.agents.len()
    );
    for master in &mut system.masters {
        master.stop();
        assert!(!master.log().contains("met a bug"), "{}", master.log());
    }
}
