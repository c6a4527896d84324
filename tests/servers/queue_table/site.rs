//! A site with collect-panda, whose answers are a function of the slot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use gridmon::model::{Point, Tier};
use gridmon::monitors::panda::offset;
use gridmon::sinks::embedded::Store;
use gridmon::sinks::mysql::{Config, Mysql};
use gridmon_testkit::sandbox::{Outcome, Sandbox, StandIn, fixture};
use gridmon_testkit::{Influxdb, Mariadb, program};
use serde_json::{Value, json};

/// A slot, in seconds.
pub const SLOT: i64 = 600;

/// The first slot that is a run of the program: 2024-06-11 09:00 UTC.
pub const START: i64 = 1_718_096_400;

/// Where a site's points and tables go.
#[derive(Clone, Copy)]
pub enum At {
    /// InfluxDB and MariaDB at these ports.
    Servers(u16, u16),
    /// The embedded store.
    Embedded,
}

/// Its sandbox, and the stand-in for PanDA, CRIC and Grafana.
pub struct Site {
    pub sandbox: Sandbox,
    server: StandIn,
}

/// The password of InfluxDB's user, whom the config of `[influxdb]` names apart.
const INFLUX: &str = Influxdb::PASSWORD;

impl Site {
    pub fn new(at: At) -> Self {
        let site = Self { sandbox: Sandbox::new("small"), server: StandIn::start() };
        for (path, answer) in [("/site", "scraped_cric_sites.json"), ("/ddm", "scraped_cric_ddm.json")] {
            site.server.gives(path, &recorded(answer));
        }
        site.server.gives("/federation", &json!({"NONE": {"name": "NONE", "rcsites": ["X"], "pledges": {}}}));
        let bucket =
            |key: &str, bytes: f64, files: i64| json!({"key": key, "3": {"value": bytes}, "1": {"value": files}});
        let buckets = [bucket("AGLT2_DATADISK", 2864830492252718.0, 1559635), bucket("B_DATADISK", 7.5e9, 4)];
        site.server.gives("/msearch", &json!({"responses": [{"aggregations": {"4": {"buckets": buckets}}}]}));
        site.config(at, "");
        site
    }

    /// Writes the config; `more` is more of `[mysql]`.
    pub fn config(&self, at: At, more: &str) {
        let (url, state) = (&self.server.url, self.sandbox.path("state"));
        let sinks = match at {
            At::Servers(influxdb, mariadb) => format!(
                "[credentials]\nusername = monit\npassword = {}\ndatabase = monit_jobs\n\
                 [influxdb]\nurl = http://127.0.0.1:{influxdb}\nusername = root\npassword = {INFLUX}\n\
                 [mysql]\nhost = 127.0.0.1\nport = {mariadb}\ntls = off\n{more}",
                Mariadb::PASSWORD
            ),
            At::Embedded => String::new(),
        };
        let path = self.sandbox.write(
            "config.cfg",
            format!(
                "[grid]\nname = atlas\n[panda]\nurl = {url}/panda\n[cric]\npandaqueue_url = {url}/queues\nsite_url = {url}/site\n\
                 ddmendpoint_url = {url}/ddm\nfederation_url = {url}/federation\n[credentials_monit_grafana]\n\
                 url = {url}/msearch\ntoken = x\n[state]\ndirectory = {}\n{sinks}\n",
                state.display()
            ),
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.program("collect-panda", arguments)
    }

    pub fn program(&self, name: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program(name));
        command.args(arguments).current_dir(self.sandbox.path("")).env_clear().env("PATH", "/usr/bin:/bin");
        Outcome::of(&mut command)
    }

    pub fn at(&self, now: i64) -> Outcome {
        self.run(&["--now", &now.to_string()])
    }

    pub fn store(&self) -> PathBuf {
        self.sandbox.path("state/gridmon.db")
    }

    pub fn mysql(&self, port: u16) -> Mysql {
        Mysql::new(Config {
            host: "127.0.0.1".into(),
            port,
            database: "monit_jobs".into(),
            username: "monit".into(),
            password: Mariadb::PASSWORD.into(),
            is_verified: false,
            ca: None,
            timeout_seconds: 20,
        })
    }

    /// Makes PanDA answer as in a slot.
    pub fn answer_for(&self, slot: i64) {
        let mut data = json!({});
        for [queue, source, resource, status] in keys() {
            if let Some(jobs) = jobs(&queue, &status, slot) {
                data[queue][source][resource][status] = json!(jobs);
            }
        }
        for [queue, source, resource, status] in self.odd_of(slot) {
            data[queue][source][resource][status] = Value::Null;
        }
        self.panda_says(&data);
    }

    /// Makes PanDA answer with these counts.
    pub fn panda_says(&self, data: &Value) {
        self.server.gives("/panda", &json!({"success": true, "message": "", "data": data}));
    }

    /// The counts of a slot that are none.
    pub fn odd_of(&self, slot: i64) -> Vec<[String; 4]> {
        let odd = ["Q1", "managed", "MCORE", "running"].map(String::from);
        if is_odd(slot) { vec![odd] } else { Vec::new() }
    }

    /// Makes CRIC answer as at a time.
    pub fn cric_at(&self, slot: i64, seconds: i64) {
        let mut queues = json!({});
        for queue in QUEUES.iter().filter(|queue| **queue != "Q7") {
            queues[*queue] = record(queue, slot, seconds);
        }
        self.server.gives("/queues", &queues);
    }
}

fn recorded(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("panda/{name}"))).unwrap()).unwrap()
}

const QUEUES: [&str; 8] = ["Q0", "Q1", "Q2", "Q3", "Q4", "Q5 é", "Q6", "Q7"];

/// What CRIC says of a queue: within slot 3, and every half day later, the state of Q2 changes between two runs.
pub fn record(queue: &str, slot: i64, seconds: i64) -> Value {
    let halves = (slot - 3 - i64::from(seconds < 400)).div_euclid(72);
    let state = if queue == "Q2" && halves % 2 == 0 { "offline" } else { "online" };
    let disks = match queue {
        "Q0" => json!({"pr": ["AGLT2_DATADISK"], "read_lan": ["X_SCRATCHDISK", "UNKNOWN_DATADISK", "AGLT2_DATADISK"]}),
        "Q1" => json!({"read_lan": ["UNKNOWN_DATADISK", "OTHER_DATADISK"]}),
        "Q2" => json!({"read_lan": ["B_DATADISK"]}),
        _ => json!({}),
    };
    json!({
        "panda_resource": queue, "atlas_site": format!("SITE-{queue}"), "type": "unified", "cloud": "US", "country": "Côte d'Ivoire",
        "status": state, "tier": "T2D", "resource_type": "GRID", "rc": null, "rc_site": "X",
        "corecount": if queue == "Q1" { json!(16) } else { Value::Null }, "astorages": disks,
    })
}

/// All series.
pub fn keys() -> Vec<[String; 4]> {
    let mut keys = Vec::new();
    for queue in QUEUES {
        for (source, resource) in [("managed", "MCORE"), ("user", "SCORE")] {
            for status in ["activated", "running", "failed", "finished", "odd.status"] {
                keys.push([queue, source, resource, status].map(String::from));
            }
        }
    }
    keys
}

/// The jobs of a series in a slot; `None` if the answer lacks it. Q6 vanishes in slot 5, Q4 appears in slot 2 and Q5 is there
/// at times.
pub fn jobs(queue: &str, status: &str, slot: i64) -> Option<i64> {
    let is_there = match queue {
        "Q6" => slot < 5,
        "Q4" => slot >= 2,
        "Q5 é" => slot.rem_euclid(7) < 3,
        _ => true,
    };
    let seed = queue
        .bytes()
        .chain(status.bytes())
        .fold(slot as u64, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23));
    is_there.then_some((seed >> 40) as i64 % if status == "running" { 3000 } else { 90 })
}

/// The seconds of a slot at which the program runs: slot 3 twice, slot 6 not at all, and so every four hours.
pub fn runs_of(slot: i64) -> Vec<i64> {
    match slot % 24 {
        3 => vec![5, 450],
        6 => vec![],
        _ => vec![slot],
    }
}

/// Whether a count of the slot's answer is none.
pub fn is_odd(slot: i64) -> bool {
    slot % 24 == 4
}

/// Whether a slot before the first run was covered, and whether it has points at all.
fn was_covered(slot: i64) -> (bool, bool) {
    (slot % 19 != 0 && slot % 31 != 0, slot % 19 != 0)
}

/// The first slot with coverage: before it there are QMonit's points.
const FIRST: i64 = -139;

/// Writes the slots before the first run: raw points of two days, hours of 40 days of which the newest are ours.
pub fn write_history(influxdb: &Influxdb, small: &Site, start: i64, hours_back: i64) {
    let (mut raw, mut hours) = (Vec::new(), Vec::new());
    for slot in -288..0 {
        let (is_covered, has_points) = was_covered(slot);
        let at = start + slot * SLOT;
        for key in keys().iter().filter(|_| has_points) {
            let Some(jobs) = jobs(&key[0], &key[3], slot) else { continue };
            let sequence = if slot < FIRST { String::new() } else { format!(",sequence={}i", slot.rem_euclid(60)) };
            raw.push(line(key, &format!("jobs={jobs}i,corepower=1.5{sequence}"), at, "online"));
        }
        if is_covered && slot >= FIRST {
            raw.push(format!("coverage,grid=atlas,measurement=jobs slots=1i,step_seconds=600i {at}000000000"));
        }
    }
    let newest = start / 3600 * 3600;
    for hour in 0..hours_back / 6 {
        let label = newest - hour * 3600;
        let is_ours = hour < 24 * 20;
        let covered = if hour % 13 == 5 { 4 } else { 6 };
        for key in keys().into_iter().filter(|key| key[1] == "managed") {
            let Some(jobs) = jobs(&key[0], &key[3], -hour) else { continue };
            // In some hours a slot was not covered in which some series have points.
            let slots = covered + i64::from(hour % 97 == 3 && jobs % 2 == 0);
            let fields = match is_ours {
                true => format!("jobs={}.5,jobs_sum={}i,slots={slots}i", jobs, jobs * slots),
                false => format!("jobs={}.25", jobs),
            };
            hours.push(line(&key, &fields, label, "online"));
        }
        if is_ours {
            hours.push(format!("coverage,grid=atlas,measurement=jobs slots={covered}i {label}000000000"));
        }
    }
    for (policy, lines, tier) in [("10m", &raw, Tier::Raw), ("1h", &hours, Tier::Hour)] {
        for part in lines.chunks(20_000) {
            influxdb.write("monit_jobs", policy, &part.join("\n"));
        }
        let until = Instant::now() + Duration::from_secs(60);
        let points: Vec<_> = lines.iter().map(|line| declared(line)).collect();
        Store::open(&small.store(), until).unwrap().write(tier, &points, until).unwrap();
    }
}

/// A point of a line, with its keys told from its labels.
fn declared(line: &str) -> Point {
    let mut point = Point::from_line(line).unwrap();
    gridmon::setup::CATALOG.declare(&mut point);
    point
}

fn line([queue, source, resource, status]: &[String; 4], fields: &str, at: i64, state: &str) -> String {
    let time = at * 1_000_000_000 + offset(queue, source, resource, status);
    let queue = queue.replace(' ', "\\ ");
    format!(
        "jobs,cloud=US,job_status={status},panda_queue={queue},prod_source={source},resource={resource},site_state={state} {fields} {time}"
    )
}
