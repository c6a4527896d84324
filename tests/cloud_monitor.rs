//! cloud-monitor from end to end, without a browser: its routes over the embedded store and over real Graphite, hostile
//! questions, stores and servers in every state, many clients at once.

#![cfg(feature = "dashboard")]
#![allow(clippy::unwrap_used)]

mod sandbox;
mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use gridmon::model::{Point, SECOND, Tier, Value};
use gridmon::sinks::embedded::{Filter, Store};
use sandbox::monitor::Monitor;
use sandbox::{Sandbox, http};
use serde_json::Value as Json;
use support::{shared_graphite, skip, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A cloud-monitor on a port of its own, asked over HTTP.
struct Site(Monitor);

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Site {
    fn start(sandbox: &Sandbox) -> Self {
        Self(Monitor::start(sandbox, "127.0.0.1:0"))
    }

    /// Sends bytes and reads all that comes back.
    fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0.port())).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // It may answer and close before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    fn ask(&self, request: &str) -> Answer {
        let bytes = self.raw(request.as_bytes());
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(!head.contains("transfer-encoding"), "{head}");
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    /// The JSON of a path that answers.
    fn json(&self, path: &str) -> Json {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Its memory at the peak, in MB.
    fn peak_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// Every number of a summary by its path: value and time.
fn numbers(summary: &Json) -> BTreeMap<String, (f64, i64)> {
    fn walk(json: &Json, found: &mut BTreeMap<String, (f64, i64)>) {
        match json {
            Json::Object(object) => match (object.get("path"), object.get("value"), object.get("time")) {
                (Some(Json::String(path)), Some(value), Some(time)) => {
                    found.insert(path.clone(), (value.as_f64().unwrap(), time.as_i64().unwrap()));
                }
                _ => object.values().for_each(|json| walk(json, found)),
            },
            Json::Array(array) => array.iter().for_each(|json| walk(json, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    walk(summary, &mut found);
    found
}

/// The minute that began so many minutes ago, in unix seconds.
fn minute(ago: i64) -> i64 {
    (jiff::Timestamp::now().as_second() / 60 - ago) * 60
}

/// Runs collect-grid once for each of so many minutes up to the one that began `last` minutes ago, and gives these
/// minutes.
fn collect(sandbox: &Sandbox, runs: i64, last: i64) -> Vec<i64> {
    // Another minute may begin meanwhile.
    let last = minute(last);
    let minutes: Vec<_> = (0..runs).rev().map(|before| last - 60 * before).collect();
    for minute in &minutes {
        let run = sandbox.run(&["--now", &minute.to_string()]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    }
    minutes
}

/// What the store holds by Carbon path, as of the newest time: independent of the dashboard's own way to it.
fn stored(sandbox: &Sandbox) -> BTreeMap<String, (f64, i64)> {
    let store = Store::open_to_read(&sandbox.path("state/gridmon.db")).unwrap().unwrap();
    let mut newest = BTreeMap::new();
    let mut each = |point: Point| {
        let Some(measurement) = gridmon::setup::CATALOG.measurement(point.measurement()) else { return Ok(()) };
        for (field, value) in point.fields() {
            let Some(path) = measurement.carbon_path(&point, field) else { continue };
            if path.starts_with("grids.") {
                newest.insert(path, (value.as_f64(), point.time() / SECOND));
            }
        }
        Ok(())
    };
    store.points(Tier::Raw, &Filter::default(), 0, i64::MAX, &mut each, &|_| {}).unwrap();
    newest
}

#[test]
fn every_route_gives_what_the_store_holds() {
    let sandbox = Sandbox::new("small");
    let times = collect(&sandbox, 5, 1);
    let site = Site::start(&sandbox);
    for path in ["/api/v1/summary", "/json", "/json?"] {
        assert_eq!(numbers(&site.json(path)), stored(&sandbox), "{path}");
    }
    let idle = "grids.heprc.jobs.all.idle";
    let quota = "grids.heprc.clouds.cc-east.quota";
    let values = stored(&sandbox);
    let history = site.json(&format!("/api/v1/history?path={idle}&path={quota}&from=-1h"));
    assert_eq!(history["step_seconds"], 60);
    assert_eq!(history["times"], serde_json::json!(times));
    for (at, (path, unit)) in [(idle, "jobs"), (quota, "vms")].into_iter().enumerate() {
        let series = &history["series"][at];
        assert_eq!((series["path"].as_str(), series["unit"].as_str()), (Some(path), Some(unit)));
        assert_eq!(series["values"], serde_json::json!(vec![values[path].0; 5]));
    }
    // The original's names, asked as its page did.
    let original = site.json(&format!("/json?paths%5B%5D={idle}&paths[]={quota}&from=-1h&end=now"));
    assert_eq!(original, history);
    let form = format!("paths[]={idle}&paths[]={quota}&from=-1h&end=now");
    let length = form.len();
    let posted = site.ask(&format!(
        "POST /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    ));
    assert_eq!(posted.json(), history);

    let tsv = site.get(&format!("/export?path={idle}&path={quota}&from=-1h"));
    let first = jiff::Timestamp::from_second(times[0]).unwrap();
    let row = format!("{first}\t{}\t{}", values[idle].0, values[quota].0);
    assert_eq!(tsv.text().lines().take(2).collect::<Vec<_>>(), [&format!("time\t{idle}\t{quota}"), &row]);
    assert!(tsv.head.contains("content-disposition: attachment; filename=\"cloud-monitor.tsv\""), "{}", tsv.head);
    let csv = site.get(&format!("/export?path={idle}&path={quota}&from=-1h&format=csv"));
    assert_eq!(csv.text(), tsv.text().replace('\t', ","));
    assert_eq!(site.get(&format!("/export?path={idle}&path={quota}&from=-1h&format=json")).json(), history);
    let svg = site.get(&format!("/plot.svg?path={idle}&from=-1h"));
    assert!(
        svg.head.contains("content-type: image/svg+xml")
            && svg.text().contains("<title>grids.heprc.jobs.all.idle</title>")
    );

    assert_eq!((site.get("/healthz").status, site.get("/healthz").text()), (200, "ok\n".into()));
    let metrics = site.get("/metrics").text();
    assert!(metrics.contains("cloud_monitor_requests_total{route=\"/json\",status=\"200\"} 4\n"), "{metrics}");
    assert!(
        metrics.contains("\ncloud_monitor_store_up 1\n")
            && metrics.contains("cloud_monitor_grid_age_seconds{grid=\"heprc\"} ")
    );
    // A new run is seen at once.
    collect(&sandbox, 1, 0);
    assert_eq!(numbers(&site.json("/json")), stored(&sandbox));
}

#[test]
fn what_no_page_declares_has_a_page_of_its_own() {
    let sandbox = Sandbox::new("small");
    let times = collect(&sandbox, 5, 1);
    let site = Site::start(&sandbox);
    // Each run but the last is told of by the next one.
    let runs = site.json("/pages/run/api/v1/summary");
    assert_eq!((runs["run"][0]["name"].as_str(), runs["run"][0]["time"].as_i64()), (Some("heprc"), Some(times[3])));
    let (path, (success, _)) = numbers(&runs).into_iter().find(|(path, _)| path.ends_with(".success")).unwrap();
    assert!(path.starts_with("run.heprc.") && success == 1.0, "{path} {success}");
    let page = site.get("/pages/run/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&format!("<a href=\"?plot={path}\">1</a>")), "{}", page.text());
    assert!(page.text().contains(&site.get("/pages/run/tables").text()));
    // What the page asks for is found from where it is.
    assert!(page.text().contains("src=\"static/app.js?v="));
    assert_eq!(site.get("/pages/run/static/app.js").body, site.get("/static/app.js").body);
    let history = site.json(&format!("/pages/run/api/v1/history?path={path}&from=-1h"));
    assert_eq!(history["times"], serde_json::json!(times[..4]));
    assert_eq!(site.json("/pages/coverage/json")["coverage"][0]["coverage"]["grid_vms"]["slots"]["value"], 1);
    assert_eq!(numbers(&site.json("/pages/grids/json")), stored(&sandbox));
    assert!(!site.get("/").text().contains("pages/"), "nothing leads there yet");

    let moved = site.get("/pages/run");
    assert!(moved.status == 308 && moved.head.contains("\r\nlocation: run/\r\n"), "{moved:?}");
    for path in ["/pages/nonsense", "/pages/nonsense/", "/pages/%0d%0ax/tables", "/pages/nonsense/json"] {
        let answer = site.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("; there are grids, grid_live_hosts, coverage, run"), "{}", answer.text());
    }
    let metrics = site.get("/metrics").text();
    assert!(metrics.contains("requests_total{route=\"/static\",status=\"200\"} 2\n"), "{metrics}");
}

#[test]
fn graphite_and_the_store_give_the_same_numbers() {
    let test = "graphite_and_the_store_give_the_same_numbers";
    let Some((carbon, graphite)) = shared_graphite() else { return skip(test, "Carbon with graphite-web") };
    let sandbox = Sandbox::new("small");
    let config = |read: &str| {
        let store = sandbox.path("state/gridmon.db");
        sandbox.config(&format!(
            "[carbon]\nhost = 127.0.0.1\nport = {}\nacknowledge = readback\n[graphite]\nurl = http://127.0.0.1:{}/\n[embedded]\npath = {}\n[dashboard]\nread = {read}",
            carbon.pickle, graphite.port, store.display()
        ));
        // The shared Graphite holds other tests' grids too.
        let path = sandbox.path("config.cfg");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("name = heprc", "name = two-backends")).unwrap();
    };
    config("graphite");
    collect(&sandbox, 12, 1);
    let from_graphite = Site::start(&sandbox);
    config("embedded");
    let from_store = Site::start(&sandbox);
    let of_this_grid = |site: &Site| {
        let mut numbers = numbers(&site.json("/json"));
        numbers.retain(|path, _| path.starts_with("grids.two-backends."));
        numbers
    };
    let expected = of_this_grid(&from_store);
    assert!(expected.len() > 90, "{}", expected.len());
    carbon.wait_until_on_disk(expected.iter().map(|(path, (_, time))| (path, *time)));
    assert_eq!(of_this_grid(&from_graphite), expected);

    let question = "path=grids.two-backends.jobs.all.idle&path=grids.two-backends.clouds.cc-east.quota&from=-20min";
    let [ours, theirs] = [&from_store, &from_graphite].map(|site| site.json(&format!("/api/v1/history?{question}")));
    let known = |history: &Json, at: usize| -> Vec<(i64, f64)> {
        let times = history["times"].as_array().unwrap();
        let values = history["series"][at]["values"].as_array().unwrap();
        times.iter().zip(values).filter_map(|(time, value)| Some((time.as_i64().unwrap(), value.as_f64()?))).collect()
    };
    for at in 0..2 {
        assert_eq!(known(&ours, at).len(), 12);
        assert_eq!(known(&theirs, at), known(&ours, at));
    }
}

#[test]
fn hostile_questions_are_refused_in_words() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 2, 1);
    let site = Site::start(&sandbox);
    let many = "path=grids.heprc.jobs.all.idle&".repeat(51);
    for (question, words) in [
        ("", "say which numbers, with path=…"),
        ("path=grids.*.jobs.all.idle", "is the path of no number"),
        ("path=grids.heprc.jobs.all.idle,grids.heprc.jobs.all.held", "is the path of no number"),
        ("path=alias(grids.heprc.jobs.all.idle,%22x%22)", "is the path of no number"),
        ("path=../../etc/passwd", "is the path of no number"),
        ("path=carbon.agents.x.cpuUsage", "is the path of no number"),
        ("path=%00&from=-1h", "is the path of no number"),
        ("path=%3Cscript%3Ealert(1)%3C/script%3E", "is the path of no number"),
        ("path=grids.heprc.jobs.all.idle&from=soon", "from: \\\"soon\\\" is no time"),
        ("path=grids.heprc.jobs.all.idle&from=now&to=-1h", "from is not before to"),
        ("path=grids.heprc.jobs.all.idle&from=1970-01-01", "a range of over 21 years"),
        ("path=grids.heprc.jobs.all.idle&points=NaN", "points is not 2 to 20000"),
        ("path=grids.heprc.jobs.all.idle&points=999999999999", "points is not 2 to 20000"),
        (&many, "51 paths are too many: at most 50"),
        ("path=grids.heprc.jobs.all.idle&width=1e9", "width is not 200 to 4000"),
    ] {
        for route in ["/api/v1/history", "/export", "/plot.svg"] {
            let answer = site.get(&format!("{route}?{question}"));
            assert_eq!(answer.status, 400, "{question}: {}", answer.text());
            assert!(answer.text().contains(words), "{question}: {}", answer.text());
            assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        }
    }
    assert!(
        site.get("/export?path=grids.heprc.jobs.all.idle&format=exe")
            .text()
            .contains("is none of tsv, csv, json and svg")
    );
    // A number that nobody sent is an empty plot, no error.
    let nobody = site.json("/api/v1/history?path=grids.nobody.jobs.all.idle");
    assert_eq!((&nobody["times"], &nobody["series"][0]["values"]), (&serde_json::json!([]), &serde_json::json!([])));
    for (path, status) in
        [("/nothing", 404), ("/static/../Cargo.toml", 404), ("/static/..%2fCargo.toml", 404), ("//", 404)]
    {
        assert_eq!(site.get(path).status, status, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "TRACE"] {
        assert_eq!(
            site.ask(&format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).status,
            405,
            "{method}"
        );
    }
    let long = "a".repeat(70_000);
    assert_eq!(site.get(&format!("/json?path={long}")).status, 414);
    let header = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {long}{long}{long}\r\n\r\n");
    assert_eq!(site.ask(&header).status, 431);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = String::from_utf8_lossy(&site.raw(garbage)).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    for path in
        ["/", "/tables", "/json", "/healthz", "/metrics", "/nothing", "/plot.svg?path=grids.heprc.jobs.all.idle"]
    {
        let head = site.get(path).head.to_ascii_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'"), "{path}: {head}");
        assert!(
            head.contains("x-content-type-options: nosniff") && head.contains("referrer-policy: same-origin"),
            "{path}"
        );
        assert!(!head.contains("script-src 'unsafe"), "{path}: {head}");
    }
}

#[test]
fn names_from_the_store_never_become_markup() {
    let sandbox = Sandbox::new("small");
    let evil = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'-alert(1)-'",
        "../../etc",
        "&lt;",
        "\u{202e}rtl",
    ];
    let time = minute(1) * SECOND;
    let mut points = Vec::new();
    for name in evil {
        let tagged = |measurement: &'static str, tags: &[(&'static str, &str)], field: &'static str| {
            let tags: Vec<_> =
                [("grid", name)].iter().chain(tags).map(|(name, value)| ((*name).into(), *value)).collect();
            Point::new(measurement.into(), tags, [(field.into(), Value::Int(3))], time)
        };
        points.push(tagged("grid_heartbeat", &[("service", name)], "alive"));
        points.push(tagged("grid_vms", &[("cloud", name), ("vmtype", name), ("status", name)], "vms"));
        points.push(tagged("grid_jobs", &[("type", name), ("status", name)], "jobs"));
        points.push(tagged("grid_schedd", &[("schedd", name)], "heartbeat"));
    }
    let until = Instant::now() + LONG;
    Store::open(&sandbox.path("state/gridmon.db"), until).unwrap().write(Tier::Raw, &points, until).unwrap();
    let site = Site::start(&sandbox);
    let hostile = "%3Cscript%3Ealert(2)%3C/script%3E%22%27";
    for path in [
        "/".to_string(),
        "/tables".into(),
        format!("/?plot={hostile}&from={hostile}&to={hostile}&hide={hostile}&theme={hostile}"),
    ] {
        let answer = site.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let text = answer.text();
        for markup in ["<script>alert", "<img src=x", "onerror=alert(1)>"] {
            assert!(!text.replace("&lt;", "").replace("&gt;", "").contains(markup), "{path}: {markup} in {text}");
        }
    }
    // Each of its numbers can be plotted by the path that the page gives.
    let summary = numbers(&site.json("/json"));
    assert_eq!(summary.len(), evil.len() * 4);
    for (path, (value, _)) in summary {
        let history = site.json(&format!("/api/v1/history?path={path}&from=-1h"));
        assert_eq!(history["series"][0]["values"], serde_json::json!([value]), "{path}");
    }
}

#[test]
fn a_graphite_in_trouble_is_told_for_what_it_is() {
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let soon = Duration::ZERO;
    let nobody = "http://127.0.0.1:1".to_string();
    for (url, words) in [
        (nobody, "Connection refused"),
        (http("", LONG), "no answer within 1 s"),
        (
            http(&answer("200 OK", "<html>Please log in</html>"), soon),
            "graphite-web's answer is no list of series: \\\"<html>Please log in</html>\\\"",
        ),
        (
            http(&answer("200 OK", "[{\"target\": \"a\", \"datapoints\": [[1.0, 17"), soon),
            "graphite-web's answer is no list of series",
        ),
        (http(&answer("500 Internal Server Error", "out of memory"), soon), "HTTP 500 \\\"out of memory\\\""),
        (http(&answer("302 Found", ""), soon), "HTTP 302"),
    ] {
        let sandbox = Sandbox::new("small");
        sandbox.config(&format!("[graphite]\nurl = {url}\ntimeout_seconds = 1"));
        let site = Site::start(&sandbox);
        for route in ["/json", "/api/v1/history?path=grids.heprc.jobs.all.idle"] {
            let began = Instant::now();
            let answer = site.get(route);
            assert_eq!(answer.status, 502, "{words}: {}", answer.text());
            assert!(answer.text().contains(words), "{words}: {}", answer.text());
            assert!(began.elapsed() < Duration::from_secs(10));
        }
        let page = site.get("/");
        assert_eq!(page.status, 200);
        let health = site.get("/healthz");
        assert!(
            health.status == 503 && health.text().starts_with("Graphite at http://127.0.0.1:"),
            "{}",
            health.text()
        );
        assert!(site.get("/metrics").text().contains("\ncloud_monitor_store_up 0\n"));
    }
}

#[test]
fn a_store_in_trouble_is_told_and_its_recovery_is_seen() {
    let sandbox = Sandbox::new("small");
    let site = Site::start(&sandbox);
    let path = sandbox.path("state/gridmon.db");
    // None yet: no error, no grids.
    assert_eq!(site.json("/json")["grids"], serde_json::json!([]));
    assert_eq!(site.get("/healthz").status, 200);
    collect(&sandbox, 2, 1);
    assert_eq!(numbers(&site.json("/json")), stored(&sandbox), "it has appeared");

    // Damaged: the last numbers stay, with the words.
    let good = fs::read(&path).unwrap();
    fs::write(sandbox.path("bad"), "this is no database at all, only some text that lies there".repeat(100)).unwrap();
    fs::rename(sandbox.path("bad"), &path).unwrap();
    let troubled = site.json("/json");
    assert!(troubled["problem"].as_str().unwrap().contains("is no SQLite database, or is damaged"), "{troubled}");
    assert!(!numbers(&troubled).is_empty());
    assert_eq!(site.get("/healthz").status, 503);
    let history = site.get("/api/v1/history?path=grids.heprc.jobs.all.idle");
    assert!(history.status == 502 && history.text().contains("is damaged"), "{}", history.text());

    // Put back: it works again by itself.
    fs::write(sandbox.path("good"), &good).unwrap();
    fs::rename(sandbox.path("good"), &path).unwrap();
    wait_until("the store to be seen again", LONG, || (site.get("/healthz").status == 200).then_some(()));
    assert_eq!(site.json("/json")["problem"], Json::Null);

    // Somebody holds it with a transaction: readers do not mind.
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(site.json("/json")["problem"], Json::Null);
    assert_eq!(
        site.json("/api/v1/history?path=grids.heprc.jobs.all.idle&from=-1h")["times"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn nothing_is_written_to_the_store() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 2, 1);
    let before = fs::read(sandbox.path("state/gridmon.db")).unwrap();
    let site = Site::start(&sandbox);
    for path in
        ["/", "/json", "/export?path=grids.heprc.jobs.all.idle", "/plot.svg?path=grids.heprc.jobs.all.idle", "/metrics"]
    {
        assert_eq!(site.get(path).status, 200);
    }
    drop(site);
    assert_eq!(fs::read(sandbox.path("state/gridmon.db")).unwrap(), before);
}

#[test]
fn many_clients_with_slow_readers_among_them_are_served_in_flat_memory() {
    let sandbox = Sandbox::new("small");
    collect(&sandbox, 10, 1);
    let site = Site::start(&sandbox);
    let soak = std::env::var("GRIDMON_SOAK").is_ok_and(|value| value == "1");
    let ends = Instant::now() + Duration::from_secs(if soak { 60 } else { 5 });
    let (served, slow) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..200 {
            let (site, served, slow) = (&site, &served, &slow);
            scope.spawn(move || {
                let paths = [
                    "/",
                    "/tables",
                    "/json",
                    "/plot.svg?path=grids.heprc.jobs.all.idle",
                    "/api/v1/history?path=grids.heprc.jobs.all.held",
                ];
                let mut at = client;
                while Instant::now() < ends {
                    let path = paths[at % paths.len()];
                    at += 1;
                    if client % 10 == 0 {
                        // Reads a few bytes at a time, and goes away in the middle.
                        let mut stream = TcpStream::connect(("127.0.0.1", site.0.port())).unwrap();
                        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                        for _ in 0..10 {
                            assert!(stream.read(&mut [0; 20]).unwrap() > 0);
                            thread::sleep(Duration::from_millis(20));
                        }
                        slow.fetch_add(1, Ordering::Relaxed);
                    } else {
                        let answer = site.get(path);
                        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (served, slow, peak) = (served.into_inner(), slow.into_inner(), site.peak_mb());
    println!("200 clients: {served} answers, {slow} slow readers, {peak:.1} MB at the peak");
    assert!(served > 200 && slow > 20);
    assert!(peak < 48.0, "{peak} MB");
}

#[test]
fn wrong_flags_and_places_are_told() {
    let sandbox = Sandbox::new("small");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cloud-monitor"))
            .args(arguments)
            .current_dir(sandbox.path(""))
            .env_clear()
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["--listen", "everywhere"]).0, Some(2));
    assert_eq!(run(&["--config", "nowhere.cfg"]).0, Some(2));
    sandbox.config("[dashboard]\nread = graphite");
    assert_eq!(
        run(&[]),
        (Some(1), "cloud-monitor: [dashboard] read = graphite, but [graphite] url is not set\n".into())
    );
    sandbox.config("[dashboard]\nlisten = localhost");
    let (code, words) = run(&[]);
    assert!(code == Some(2) && words.contains("[dashboard] listen: \"localhost\" is not an ADDRESS:PORT"), "{words}");
    sandbox.config("");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, words) = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(
        code == Some(1) && words.contains("cannot listen on 127.0.0.1:") && words.contains("Address already in use"),
        "{words}"
    );
}
