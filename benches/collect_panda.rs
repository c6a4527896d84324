//! What a run of collect-panda computes and sends: `cargo bench --bench collect_panda`.
//!
//! 700 queues (the 501 of 2019 and copies of them) and 100,800 counts: PanDA's answer and CRIC's four are decoded, joined to points
//! and encoded as line protocol, in a process of its own for its memory. Then the same lines go to a real InfluxDB, beside
//! curl, which posts the bytes that were encoded before.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use gridmon::model::{Point, sort, validate};
use gridmon::monitors::panda::{self as monitor, PandaInput};
use gridmon::sources::{cric, panda};
use gridmon_testkit::TempDir;
use serde_json::{Value, json};

mod frame;

use frame::*;

const LIMIT_MS: f64 = 250.0;
const LIMIT_MB: f64 = 128.0;
#[cfg(feature = "http")]
const BESIDE_CURL: f64 = 1.3;
const SLOT: i64 = 1_717_245_000;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "alone") {
        return tell(encoded(&points(&Answers::read(Path::new(&arguments[2])))));
    }
    let mut table = Table::default();
    let folder = TempDir::new();
    write_answers(&folder);
    compute(&mut table, folder.path());
    #[cfg(feature = "http")]
    delivery::deliver(&mut table, &folder);
    table.end()
}

/// The answers as they come from PanDA and CRIC.
struct Answers {
    counts: Vec<u8>,
    queues: Vec<u8>,
    sites: Vec<u8>,
    endpoints: Vec<u8>,
    federations: Vec<u8>,
}

impl Answers {
    fn read(folder: &Path) -> Self {
        let read = |name: &str| fs::read(folder.join(name)).expect("it was just written");
        let [counts, queues, sites, endpoints, federations] =
            ["counts", "queues", "sites", "endpoints", "federations"].map(read);
        Self { counts, queues, sites, endpoints, federations }
    }
}

fn write_answers(folder: &TempDir) {
    let recorded = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/panda").join(name);
        fs::read_to_string(path).expect("a recorded answer")
    };
    let known: Value = serde_json::from_str(&recorded("pandaqueue_501.json")).expect("JSON");
    let known: Vec<_> = known.as_object().expect("an object").values().cloned().collect();
    let (mut queues, mut data) = (json!({}), json!({}));
    for at in 0..700 {
        let mut queue = known[at % known.len()].clone();
        let name = match at < known.len() {
            true => queue["panda_resource"].as_str().expect("its name").to_string(),
            false => format!("{}_COPY", queue["panda_resource"].as_str().expect("its name")),
        };
        queue["panda_resource"] = json!(name);
        queues[&name] = queue;
        for source in ["managed", "user", "panda"] {
            for resource in ["SCORE", "MCORE", "SCORE_HIMEM", "MCORE_HIMEM"] {
                for (number, status) in STATUSES.iter().enumerate() {
                    data[&name][source][resource][status] = json!(at * 7 + number);
                }
            }
        }
    }
    folder.write("counts", json!({"success": true, "message": "", "data": data}).to_string());
    folder.write("queues", queues.to_string());
    folder.write("sites", recorded("site_243.json"));
    folder.write("endpoints", recorded("ddmendpoint_163.json"));
    folder.write("federations", recorded("federation_2019.json"));
}

const STATUSES: [&str; 12] = [
    "assigned",
    "activated",
    "running",
    "finished",
    "failed",
    "pending",
    "defined",
    "waiting",
    "throttled",
    "sent",
    "starting",
    "holding",
];

/// Decodes the answers and joins them to points, as a run does.
fn points(answers: &Answers) -> Vec<Point> {
    let counts = panda::parse(&answers.counts).expect("PanDA's answer");
    let queues = cric::queues(&answers.queues).expect("CRIC's queues");
    let sites = cric::sites(&answers.sites).expect("CRIC's sites");
    let endpoints = cric::endpoints(&answers.endpoints).expect("CRIC's endpoints");
    let federations = cric::federations(&answers.federations).expect("CRIC's federations");
    let mut points = monitor::points(&PandaInput {
        now: SLOT + 462,
        time: SLOT * 1_000_000_000,
        panda: Some(&counts),
        queues: Some(&queues),
        sites: &sites,
        endpoints: &endpoints,
        federations: &federations,
        benchmarks: &[],
    })
    .points;
    sort(&mut points);
    let (points, rejected) = validate(points);
    assert!(rejected.is_empty() && points.len() == 700 * 3 * 4 * STATUSES.len(), "{}", points.len());
    points
}

#[cfg(feature = "http")]
fn lines(points: &[Point]) -> String {
    points.iter().fold(String::new(), |mut body, point| {
        point.write_line(&mut body);
        body.push('\n');
        body
    })
}

/// Encodes points body by body, as the sink sends them. Returns the number of bytes.
fn encoded(points: &[Point]) -> usize {
    const BODY: usize = 10 << 20;
    let (mut body, mut bytes) = (String::with_capacity(BODY + (64 << 10)), 0);
    for point in points {
        point.write_line(&mut body);
        body.push('\n');
        if body.len() > BODY {
            bytes += body.len();
            body.clear();
        }
    }
    bytes + body.len()
}

fn compute(table: &mut Table, folder: &Path) {
    table.title("700 queues and 100,800 counts");
    let answers = Answers::read(folder);
    let measure = || {
        let [all] = turns(9, [&mut || timed(|| encoded(&points(&answers)))]);
        least(all)
    };
    let met = |seconds: &f64| seconds * 1e3 <= LIMIT_MS;
    let found = table.twice(measure, met);
    let parsed = least((0..9).map(|_| timed(|| panda::parse(&answers.counts))));
    let joined = points(&answers);
    let in_lines = least((0..9).map(|_| timed(|| encoded(&joined))));
    table.line("PanDA's answer decoded", &milliseconds(parsed), "");
    table.line("lines encoded", &milliseconds(in_lines), "");
    table.target(
        "decoded, joined and encoded",
        &milliseconds(found),
        "",
        &format!("at most {LIMIT_MS} ms"),
        met(&found),
    );
    let peak = || alone([OsStr::new("alone"), folder.as_os_str()]).1;
    let met = |memory: &f64| *memory <= LIMIT_MB;
    let memory = table.twice(peak, met);
    table.target("peak memory of all of it", &megabytes(memory), "", &format!("at most {LIMIT_MB} MB"), met(&memory));
}

#[cfg(feature = "http")]
mod delivery {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use gridmon::setup::Config;
    use gridmon::sinks::Sink as _;
    use gridmon::sinks::influxdb::Influxdb as Sink;
    use gridmon::spool::{Batch, Header};
    use gridmon_testkit::Influxdb;

    use super::*;

    /// Sends the points through the sink, and posts the same lines with curl, in turns.
    pub fn deliver(table: &mut Table, folder: &TempDir) {
        table.title("the same points into InfluxDB");
        let curl = Path::new("/usr/bin/curl");
        let Some(influxdb) =
            Influxdb::start_with(&[("http.max-body-size", "0"), ("coordinator.write-timeout", "\"60s\"")])
                .filter(|_| curl.exists())
        else {
            println!("  left out: InfluxDB or curl is not here");
            return;
        };
        influxdb.query("CREATE DATABASE d WITH DURATION INF REPLICATION 1 NAME \"10m\"");
        let points = points(&Answers::read(folder.path()));
        let body = folder.write("body", lines(&points));
        let login = format!("username = root\npassword = {}\n", Influxdb::PASSWORD);
        let port = influxdb.port;
        let config = format!("[influxdb]\nurl = http://127.0.0.1:{port}\ndatabase = d\ntimeout_seconds = 60\n{login}");
        let config = Config::parse(&config, "bench").expect("a config").0.influxdb.expect("its address is set");
        let sink = Sink::new(config, folder.path());
        let header = Header {
            program: "bench".into(),
            grid: "g".into(),
            time: SLOT,
            tier: "raw".into(),
            database: String::new(),
            sinks: ["influxdb".to_string()].into(),
        };
        let batch = Batch { header, points };
        let ours = || {
            timed(|| {
                let sent = sink.send(&batch, Instant::now() + Duration::from_secs(120));
                assert!(sent.result.is_ok() && sent.refused.is_empty(), "{:?}", sent.result);
            })
        };
        let theirs = || {
            let address = format!("http://127.0.0.1:{port}/write?db=d&rp=10m");
            let mut command = Command::new(curl);
            command.args(["-sS", "-f", "-u", &format!("root:{}", Influxdb::PASSWORD), "--data-binary"]);
            command.arg(format!("@{}", body.display())).arg(address).stdout(Stdio::null());
            timed(|| assert!(command.status().expect("curl").success()))
        };
        // The first one makes 100,800 series.
        theirs();
        let measure = || turns(5, [&mut || theirs(), &mut || ours()]).map(median);
        let met = |[theirs, ours]: &[f64; 2]| ours / theirs <= BESIDE_CURL;
        let found = table.twice(measure, met);
        let [theirs, ours] = found;
        table.line("curl, one body", &seconds(theirs), &times(1.0));
        let target = format!("at most {BESIDE_CURL} x");
        table.target("the sink", &seconds(ours), &times(ours / theirs), &target, met(&found));
    }
}
