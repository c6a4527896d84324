//! From end to end: agents of many hosts, two masters behind a balancer, and InfluxDB. Whatever is killed, hangs or is away
//! meanwhile, every value that an agent has published is stored, and no other.
//!
//! `make test` takes ten agents for a short time, `make soak-system` 200 for an hour; `GRIDMON_SYSTEM_SECONDS` and
//! `GRIDMON_SYSTEM_AGENTS` set that, `GRIDMON_SEED` repeats the choices of a seed.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gridmon::model::Point;
use gridmon_testkit::{Front, Influxdb, signal, skip};
use serde_json::Value;

use super::Master;
use super::agents::{Agent, stored};

/// How long everything may take to arrive after the end.
const ARRIVES: Duration = Duration::from_secs(120);

/// How many kinds of failure there are.
const KINDS: u64 = 7;

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

/// The whole system.
struct System {
    influxdb: Influxdb,
    masters: Vec<Master>,
    balancer: Front,
    agents: Vec<Agent>,
}

impl System {
    /// Something fails, and is mended a little later.
    fn fail(&mut self, which: u64, choices: &mut Choices) {
        let pause = Duration::from_millis(300 + choices.of(1700));
        let one = choices.of(2) as usize;
        match which {
            0 => {
                self.masters[one].kill();
                thread::sleep(pause);
                self.masters[one].run();
            }
            1 => {
                self.masters.iter_mut().for_each(Master::kill);
                thread::sleep(pause);
                self.masters.iter_mut().for_each(Master::run);
            }
            2 => {
                for _ in 0..1 + self.agents.len() / 5 {
                    let agent = choices.of(self.agents.len() as u64) as usize;
                    self.agents[agent].end("KILL");
                    self.agents[agent].run();
                }
                thread::sleep(pause);
            }
            3 => {
                self.influxdb.kill();
                thread::sleep(pause);
                self.influxdb.restart();
            }
            // It takes connections and says nothing, for longer than an agent waits.
            4 => {
                signal(self.masters[one].pid(), "STOP");
                thread::sleep(pause + Duration::from_secs(2));
                signal(self.masters[one].pid(), "CONT");
            }
            // Nothing gets through between agents and masters.
            5 => {
                self.balancer.signal("STOP");
                thread::sleep(pause + Duration::from_secs(2));
                self.balancer.signal("CONT");
            }
            _ => {
                self.masters[one].kill();
                self.influxdb.signal("STOP");
                thread::sleep(pause);
                self.influxdb.signal("CONT");
                self.masters[one].run();
            }
        }
    }

    /// What InfluxDB has of these measurements.
    fn stored(&self, measurements: &[String]) -> Values {
        let mut values = Values::new();
        for measurement in measurements {
            let answer = self.influxdb.query(&format!("SELECT * FROM g.\"autogen\".\"{measurement}\" GROUP BY *"));
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
}

/// What an agent's own store has.
fn own(agent: &Agent, values: &mut Values) {
    for line in stored(agent.command("gridmon-status", &["store", "export"])) {
        let point = Point::from_line(&line).unwrap();
        let tags: String = point.tags().map(|(name, value)| format!(",{name}={value}")).collect();
        for (field, value) in point.fields() {
            let key = (format!("{}{tags}", point.measurement()), point.time(), field.to_string());
            values.insert(key, value.as_f64());
        }
    }
}

#[test]
fn what_agents_publish_is_stored_through_two_masters_behind_a_balancer() {
    const NAME: &str = "what_agents_publish_is_stored";
    let Some(influxdb) = Influxdb::start() else { return skip(NAME, "InfluxDB") };
    if !Command::new("/usr/bin/unshare").args(["-u", "/bin/true"]).status().is_ok_and(|status| status.success()) {
        return skip(NAME, "the right to name a machine (unshare -u)");
    }
    influxdb.query("CREATE DATABASE g");
    let sink = format!(
        "[influxdb]\nurl = http://127.0.0.1:{}/\ndatabase = g\nretention_raw = autogen\ntimeout_seconds = 3\nusername = root\npassword = {}\n",
        influxdb.port,
        Influxdb::PASSWORD
    );
    let masters = vec![Master::start(&sink), Master::start(&sink)];
    let ports: Vec<_> = masters.iter().map(|master| master.port).collect();
    let Some(balancer) = Front::before("haproxy-healthz", &ports) else { return skip(NAME, "haproxy") };
    let is_soak = env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1");
    let (agents, seconds) = if is_soak { (200, 3600) } else { (10, 15) };
    let (agents, seconds) = (number("GRIDMON_SYSTEM_AGENTS", agents), number("GRIDMON_SYSTEM_SECONDS", seconds));
    let seed = number("GRIDMON_SEED", std::process::id().into());
    println!("the whole system: GRIDMON_SEED={seed}");
    let (interval, publishes) = if agents > 20 { ("5", 5) } else { ("0.2", 1) };
    let agents = (0..agents).map(|number| {
        let mut agent = Agent::new(balancer.port);
        (agent.host, agent.publishes) = (Some(format!("wn{number:03}")), publishes);
        let sensors = ["LoadAverage", "CPUTimes"].map(|name| format!("[sensor:{name}]\ntime_interval = {interval}\n"));
        agent.configure(&sensors.concat());
        agent.run();
        agent
    });
    let agents = agents.collect();
    let mut system = System { influxdb, masters, balancer, agents };
    let (mut choices, mut failures) = (Choices(seed), 0);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) || failures < KINDS {
        // Each kind once, and then as it comes.
        let which = if failures < KINDS { failures } else { choices.of(KINDS) };
        system.fail(which, &mut choices);
        failures += 1;
        thread::sleep(Duration::from_millis(choices.of(500)));
    }
    thread::sleep(Duration::from_secs(1));
    let mut expected = Values::new();
    for agent in &mut system.agents {
        agent.end("TERM");
    }
    for agent in &system.agents {
        agent.flush();
        own(agent, &mut expected);
    }
    let hosts = system.agents.iter().filter(|agent| {
        let tag = format!(",host={}", agent.host.as_deref().unwrap());
        expected.keys().any(|(series, ..)| series.contains(&tag))
    });
    assert_eq!(hosts.count(), system.agents.len(), "each agent has a name of its own");
    let mut measurements: Vec<_> =
        expected.keys().map(|(series, ..)| series.split(',').next().unwrap().to_string()).collect();
    measurements.dedup();
    let ended = Instant::now();
    let (lost, invented) = loop {
        let there = system.stored(&measurements);
        let lost = expected.iter().filter(|(key, value)| there.get(*key) != Some(value)).count();
        let invented = there.keys().filter(|key| !expected.contains_key(*key)).count();
        if lost == 0 || ended.elapsed() > ARRIVES {
            break (lost, invented);
        }
        thread::sleep(Duration::from_millis(500));
    };
    let count = expected.len();
    assert_eq!((lost, invented), (0, 0), "of {count} values; GRIDMON_SEED={seed}");
    println!(
        "the whole system: GRIDMON_SEED={seed}: {} agents, {failures} failures in {:.0?}, {count} values: lost {lost}, invented {invented}",
        system.agents.len(),
        ended.duration_since(began)
    );
    for master in &mut system.masters {
        master.stop();
        assert!(!master.log().contains("met a bug"), "{}", master.log());
    }
}
